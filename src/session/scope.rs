//! Which part of the file a run covers: the task it begins at (`--start-from`), and
//! the hosts that `--limit` and `--exclude` leave (SPEC §6).
#![forbid(unsafe_code)]

use crate::exit;
use crate::outcome::HostSet;
use crate::session::load::Loaded;
use crate::session::refusal::Refusal;
use crate::task::Ix;
use crate::task::nodeset::{self, HostFilter};
use crate::task::{Members, TaskKind};
use std::collections::HashSet;
use std::path::Path;
use std::time::SystemTime;

/// What of the file a run covers.
#[derive(Clone)]
pub struct RunScope {
    pub start: Ix,
    pub selection: HostFilter,
}

impl RunScope {
    /// All hosts, from this task on.
    pub fn whole(start: Ix) -> RunScope {
        RunScope {
            start,
            selection: HostFilter::default(),
        }
    }

    /// What the command line says.
    ///
    /// # Errors
    /// See `start_task` and `selection`.
    pub fn read(loaded: &Loaded) -> Result<RunScope, Refusal> {
        Ok(RunScope {
            start: start_task(loaded)?,
            selection: selection(loaded)?,
        })
    }
}

/// The task to begin at.
///
/// # Errors
/// That a run cannot begin there (12), or that there is no such task at all (20).
fn start_task(loaded: &Loaded) -> Result<Ix, Refusal> {
    let workflow = &loaded.workflow;
    let Some(word) = &loaded.invocation.start_from else {
        let why =
            "every task belongs to a block or is a final task, so there is no task to begin at";
        return workflow
            .first()
            .ok_or_else(|| Refusal::new(exit::INVALID, format!("{}: {why}", loaded.name)));
    };
    let refuse = |why: String| Refusal::new(exit::POSITION, format!("--start-from: {why}"));
    let ix = workflow.resolve_task(word).map_err(refuse)?;
    if workflow.tasks[ix].finally {
        return Err(refuse(format!(
            "task {word} is a final task, which runs at the end"
        )));
    }
    if let Some((block, false)) = workflow.owner_of(ix) {
        let block = workflow.tasks[block].id;
        return Err(refuse(format!(
            "task {word} belongs to parallel block {block}; begin there"
        )));
    }
    Ok(ix)
}

/// The hosts that `--limit` and `--exclude` leave.
///
/// # Errors
/// A set that cannot be read, or one that leaves no host of the file (2); no log
/// directory for `last:` (32).
pub fn selection(loaded: &Loaded) -> Result<HostFilter, Refusal> {
    let read = |option: &str, sets: &[String]| {
        let mut hosts = HashSet::new();
        for set in sets {
            hosts.extend(hosts_in(set, loaded).map_err(|refusal| Refusal {
                why: format!("--{option}: {}", refusal.why),
                ..refusal
            })?);
        }
        Ok(hosts)
    };
    let (limit, exclude) = (&loaded.invocation.limit, &loaded.invocation.exclude);
    let limited = read("limit", limit)?;
    let selection = HostFilter {
        limit: (!limit.is_empty()).then_some(limited),
        exclude: read("exclude", exclude)?,
    };
    if (!limit.is_empty() || !exclude.is_empty()) && leaves_nothing(&selection, loaded) {
        let why = "--limit and --exclude leave no host of any block";
        return Err(Refusal::new(exit::USAGE, why));
    }
    Ok(selection)
}

/// The hosts of a node set, or of the last run (`last:failed`).
fn hosts_in(set: &str, loaded: &Loaded) -> Result<HashSet<String>, Refusal> {
    let usage = |why: String| Refusal::new(exit::USAGE, why);
    if let Some(word) = set.strip_prefix("last:") {
        let chosen = match word {
            "failed" => HostSet::Failed,
            "unreachable" => HostSet::Unreachable,
            "not_started" => HostSet::NotStarted,
            "not_ok" => HostSet::NotOk,
            _ => {
                return Err(usage(format!(
                    "expected `last:failed`, `last:unreachable`, `last:not_started` or `last:not_ok`, found `{set}`"
                )));
            }
        };
        let log_dir = loaded.log_directory(SystemTime::now())?;
        let hosts = log_dir
            .last_hosts(&loaded.name, chosen.outcomes())
            .map_err(usage)?;
        return match hosts.is_empty() {
            true => Err(usage(format!("no host of the last run was {word}"))),
            false => Ok(hosts),
        };
    }
    let expanded = nodeset::expand(set, Path::new(".")).map_err(|bad| usage(bad.message))?;
    match expanded.hosts.is_empty() {
        true => Err(usage("the node set is empty".into())),
        false => Ok(expanded.hosts.into_iter().collect()),
    }
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
