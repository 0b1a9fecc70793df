//! Which hosts the tasks run on, and how, as far as that is known before the run.
#![forbid(unsafe_code)]

use super::coverage::Coverage;
use super::exec::ExecType;
use super::recipe::{self, Defaults, Recipe};
use super::workflow::Workflow;
use crate::task::host::is_this_machine;
use crate::task::nodeset;
use crate::task::{Ix, Members, Task, TaskKind};
use crate::text::template::Template;
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

/// The distinct hosts of a run, without this machine.
#[derive(Default)]
pub struct RunHosts {
    /// In task order.
    pub known: Vec<String>,
    /// Tasks whose hosts come from results.
    pub late: Vec<Ix>,
}

impl RunHosts {
    pub fn collect(workflow: &Workflow, defaults: &Defaults, coverage: &Coverage) -> RunHosts {
        let mut hosts = RunHosts::default();
        let mut seen = HashSet::new();
        for (ix, task) in workflow.tasks.iter().enumerate() {
            if has_late_hosts(task) && coverage.has_task(ix) {
                hosts.late.push(ix);
                continue;
            }
            for host in hosts_of_task(workflow, coverage, ix).into_iter().flatten() {
                if !seen.contains(&*host) && !is_this_machine(&host, &defaults.own_name) {
                    hosts.known.push(host.to_string());
                    seen.insert(host);
                }
            }
        }
        hosts
    }
}

/// Whether the task's hosts come from results.
pub fn has_late_hosts(task: &Task) -> bool {
    match &task.kind {
        TaskKind::Command(command) => command
            .hostname
            .as_ref()
            .is_some_and(Template::depends_on_run),
        TaskKind::Parallel(parallel) => match &parallel.members {
            Members::Hosts { set, .. } => set.depends_on_run(),
            Members::Tasks(_) => false,
        },
        _ => false,
    }
}

/// How the task's command runs on the host, if that is known before the run.
pub fn exec_type(
    workflow: &Workflow,
    defaults: &Defaults,
    ix: Ix,
    host: Option<&str>,
) -> Option<Arc<ExecType>> {
    let command = || workflow.tasks[ix].command();
    match &workflow.recipes[ix] {
        Recipe::Ready { exec, .. } => Some(exec.clone()),
        Recipe::Late if command().is_some_and(|c| c.exec.is_none()) => {
            recipe::default_exec(host, defaults)
        }
        _ => None,
    }
}

/// The hosts that a task's command would run on; `None` for a host that is missing or
/// known only during the run.
pub fn hosts_of_task<'a>(
    workflow: &'a Workflow,
    coverage: &Coverage,
    ix: Ix,
) -> Vec<Option<Cow<'a, str>>> {
    if !coverage.has_task(ix) {
        return Vec::new();
    }
    match &workflow.tasks[ix].kind {
        TaskKind::Command(command) => {
            vec![command.hostname.as_ref().and_then(Template::known_text)]
        }
        TaskKind::Parallel(parallel) => match &parallel.members {
            Members::Hosts { set, .. } => {
                let text = set.known_text().unwrap_or_default();
                let hosts = nodeset::expand(&text, &workflow.host_files)
                    .map(|s| s.hosts)
                    .unwrap_or_default();
                hosts
                    .into_iter()
                    .filter(|h| coverage.has_host(ix, h))
                    .map(|h| Some(Cow::Owned(h)))
                    .collect()
            }
            Members::Tasks(_) => Vec::new(),
        },
        _ => Vec::new(),
    }
}
