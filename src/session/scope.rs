//! Which part of the file a run covers: the task it begins at (`--start-from`), and
//! the hosts that `--limit` and `--exclude` leave (SPEC §6).
#![forbid(unsafe_code)]

use crate::exit;
use crate::outcome::HostSet;
use crate::plan::coverage::Coverage;
use crate::plan::flow::Policy;
use crate::plan::reach::Beginning;
use crate::plan::start::Start;
use crate::report::print::complain;
use crate::run::sys;
use crate::session::load::Loaded;
use crate::session::refusal::Refusal;
use crate::session::start_point;
use crate::task::host;
use crate::task::host_files::HostFiles;
use crate::task::nodeset::{self, HostFilter};
use crate::task::{Members, TaskKind};
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::SystemTime;

/// What of the file a run covers.
#[derive(Clone)]
pub struct RunScope {
    pub start: Start,
    pub selection: HostFilter,
}

impl RunScope {
    /// What the command line says.
    ///
    /// # Errors
    /// See `start_point` and `selection`.
    pub fn read(loaded: &Loaded) -> Result<RunScope, Refusal> {
        let scope = RunScope {
            start: start_point::read(loaded)?,
            selection: selection_with_warning(loaded)?,
        };
        let coverage = scope.coverage(loaded, loaded.invocation.policy());
        start_point::check_results(loaded, &coverage)?;
        Ok(scope)
    }

    /// What a run covers that handles failures so.
    pub fn coverage(&self, loaded: &Loaded, policy: Policy) -> Coverage {
        let workflow = &loaded.workflow;
        let deadline_task = loaded.invocation.deadline_task.as_ref();
        let beginning = Beginning {
            start: &self.start,
            policy,
            deadline_task: deadline_task.and_then(|word| workflow.find(word)),
        };
        Coverage::from_start(workflow, &beginning, self.selection.clone())
    }
}

/// The hosts that `--limit` and `--exclude` leave.
///
/// # Errors
/// A set that cannot be read, or one that leaves no host of the file (2); no log
/// directory for `last:` (32).
pub fn selection(loaded: &Loaded) -> Result<HostFilter, Refusal> {
    read_selection(loaded).map(|(selection, _)| selection)
}

/// The same. Warns of a host of a `--limit` that no block has.
fn selection_with_warning(loaded: &Loaded) -> Result<HostFilter, Refusal> {
    let (selection, unknown) = read_selection(loaded)?;
    let is_quiet = loaded.invocation.run && loaded.invocation.quiet;
    if !unknown.is_empty() && !is_quiet {
        complain(format_args!(
            "tasker: warning: --limit: no block has {}",
            nodeset::fold(&unknown)
        ));
    }
    Ok(selection)
}

/// The hosts that are left, and those of a `--limit` that no block has: probably
/// mistyped.
fn read_selection(loaded: &Loaded) -> Result<(HostFilter, Vec<String>), Refusal> {
    let (limit, exclude) = (&loaded.invocation.limit, &loaded.invocation.exclude);
    if limit.is_empty() && exclude.is_empty() {
        return Ok(Default::default());
    }
    let (limited, mut named) = option_hosts("limit", limit, loaded)?;
    let selection = HostFilter {
        limit: (!limit.is_empty()).then_some(limited),
        exclude: option_hosts("exclude", exclude, loaded)?.0,
    };
    let Some(hosts) = block_hosts(loaded) else {
        return Ok((selection, Vec::new()));
    };
    if !hosts.iter().any(|h| selection.allows(h)) {
        let why = "--limit and --exclude leave no host of any block";
        return Err(Refusal::new(exit::USAGE, why));
    }
    let alone: HashSet<&str> = hosts.iter().map(|h| host::split_user(h).1).collect();
    named.retain(|host| !hosts.contains(host) && !alone.contains(host.as_str()));
    named.sort_unstable();
    Ok((selection, named))
}

/// The hosts of all sets of an option, and those that node sets name. Only the sum
/// of the sets has to have a host.
fn option_hosts(
    option: &str,
    sets: &[String],
    loaded: &Loaded,
) -> Result<(HashSet<String>, Vec<String>), Refusal> {
    let (mut hosts, mut named) = (HashSet::new(), Vec::new());
    let prefix = |refusal: Refusal| Refusal {
        why: format!("--{option}: {}", refusal.why),
        ..refusal
    };
    for set in sets {
        let found = hosts_in(set, loaded).map_err(prefix)?;
        if !set.starts_with("last:") {
            named.extend(found.iter().cloned());
        }
        hosts.extend(found);
    }
    if !sets.is_empty() && hosts.is_empty() {
        let words: Vec<&str> = sets
            .iter()
            .filter_map(|s| s.strip_prefix("last:"))
            .collect();
        let why = match words.is_empty() {
            true => "the node set is empty".into(),
            false => format!("no host of the last run was {}", words.join(" or ")),
        };
        return Err(prefix(Refusal::new(exit::USAGE, why)));
    }
    Ok((hosts, named))
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
        let Some(work) = &loaded.identity.work else {
            return Err(usage(format!(
                "`{set}`: the last run from standard input is not remembered"
            )));
        };
        let log_dir = loaded.records(SystemTime::now())?;
        return log_dir.last_hosts(work, chosen.outcomes()).map_err(usage);
    }
    let files = HostFiles::new(PathBuf::from("."), sys::user_ids().1);
    let expanded = nodeset::expand(set, &files).map_err(|bad| usage(bad.message))?;
    for (path, doubt) in files.take_doubts() {
        let doubt = doubt.sentence();
        complain(format_args!(
            "tasker: warning: the host file `{path}`: {doubt}"
        ));
    }
    Ok(expanded.hosts.into_iter().collect())
}

/// The hosts of all blocks; `None` if those of a block are known only during the run.
fn block_hosts(loaded: &Loaded) -> Option<HashSet<String>> {
    let workflow = &loaded.workflow;
    let mut all = HashSet::new();
    for task in &workflow.tasks {
        let TaskKind::Parallel(parallel) = &task.kind else {
            continue;
        };
        let Members::Hosts { set, .. } = &parallel.members else {
            continue;
        };
        let hosts = nodeset::expand(&set.known_text()?, &workflow.host_files)
            .map(|s| s.hosts)
            .unwrap_or_default();
        all.extend(hosts);
    }
    Some(all)
}
