//! Which hosts `--limit` and `--exclude` name (SPEC §6).
#![forbid(unsafe_code)]

use crate::outcome::Outcome;
use crate::report::log_directory::LogDirectory;
use crate::session::load::Loaded;
use crate::task::nodeset::{self, HostFilter};
use crate::task::{Members, TaskKind};
use std::collections::HashSet;
use std::path::Path;

/// Reads both options.
///
/// # Errors
/// A set that cannot be read, or one that leaves no host of the file.
pub fn read(loaded: &Loaded, log_dir: &LogDirectory) -> Result<HostFilter, String> {
    let read = |name: &str, set: &Option<String>| match set {
        Some(set) => hosts(set, loaded, log_dir)
            .map(Some)
            .map_err(|e| format!("--{name}: {e}")),
        None => Ok(None),
    };
    let selection = HostFilter {
        limit: read("limit", &loaded.invocation.limit)?,
        exclude: read("exclude", &loaded.invocation.exclude)?.unwrap_or_default(),
    };
    if (selection.limit.is_some() || loaded.invocation.exclude.is_some())
        && leaves_nothing(&selection, loaded)
    {
        return Err("--limit and --exclude leave no host of any block".into());
    }
    Ok(selection)
}

/// The hosts of a node set, or of the last run (`last:failed`).
fn hosts(set: &str, loaded: &Loaded, log_dir: &LogDirectory) -> Result<HashSet<String>, String> {
    if let Some(word) = set.strip_prefix("last:") {
        let ended: &[Outcome] = match word {
            "failed" => &[Outcome::Failed, Outcome::Timeout],
            "unreachable" => &[Outcome::Unreachable],
            "not_started" => &[Outcome::NotStarted, Outcome::Cancelled],
            _ => {
                return Err(format!(
                    "expected `last:failed`, `last:unreachable` or `last:not_started`, found `{set}`"
                ));
            }
        };
        let hosts = log_dir.last_hosts(&loaded.name, ended)?;
        return if hosts.is_empty() {
            Err(format!("no host of the last run was {word}"))
        } else {
            Ok(hosts)
        };
    }
    let expanded = nodeset::expand(set, Path::new(".")).map_err(|bad| bad.message)?;
    if expanded.hosts.is_empty() {
        return Err("the node set is empty".into());
    }
    Ok(expanded.hosts.into_iter().collect())
}

/// Whether no block over hosts that are known now has any left.
fn leaves_nothing(selection: &HostFilter, loaded: &Loaded) -> bool {
    let workflow = &loaded.workflow;
    for task in &workflow.tasks {
        let TaskKind::Parallel(parallel) = &task.kind else {
            continue;
        };
        let Members::Hosts { set, .. } = &parallel.members else {
            continue;
        };
        let Some(text) = set.known_text() else {
            return false;
        };
        let hosts = nodeset::expand(&text, &workflow.directory)
            .map(|s| s.hosts)
            .unwrap_or_default();
        if hosts.iter().any(|h| selection.allows(h)) {
            return false;
        }
    }
    true
}
