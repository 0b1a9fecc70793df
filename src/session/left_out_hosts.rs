//! The hosts that a run can begin without (SPEC §6.2): those that only blocks use whose
//! `unreachable=` leaves them out.
#![forbid(unsafe_code)]

use crate::plan::coverage::Coverage;
use crate::plan::hosts::hosts_of_task;
use crate::plan::workflow::Workflow;
use crate::task::values::Unreachable;
use crate::task::{Ix, Members, Parallel, TaskKind};
use std::collections::{HashMap, HashSet};

pub struct LeftOutHosts {
    /// By the block that a host is used in; `None` is outside any.
    blocks: HashMap<Option<Ix>, BlockHosts>,
}

/// The hosts of a block, one for each subtask that has one.
struct BlockHosts {
    unreachable: Unreachable,
    subtasks: usize,
    hosts: Vec<String>,
}

impl LeftOutHosts {
    /// `is_checked` says whether a task's host has to resolve.
    pub fn new(
        workflow: &Workflow,
        coverage: &Coverage,
        is_checked: impl Fn(Ix, &str) -> bool,
    ) -> LeftOutHosts {
        let mut blocks: HashMap<Option<Ix>, BlockHosts> = HashMap::new();
        for ix in 0..workflow.tasks.len() {
            let hosts = hosts_of_task(workflow, coverage, ix);
            let (block, parallel) = parallel_block(workflow, ix).unzip();
            let entry = blocks.entry(block).or_insert_with(|| BlockHosts {
                unreachable: rule(parallel),
                subtasks: match parallel.map(|p| &p.members) {
                    Some(Members::Tasks(tasks)) => tasks.len(),
                    _ => hosts.len(),
                },
                hosts: Vec::new(),
            });
            let hosts = hosts.into_iter().flatten().filter(|h| is_checked(ix, h));
            entry.hosts.extend(hosts.map(|h| h.into_owned()));
        }
        LeftOutHosts { blocks }
    }

    /// Those of the failed hosts that every block that uses them leaves out.
    pub fn among<'a>(&self, failed: &HashSet<&'a str>) -> HashSet<&'a str> {
        let mut left_out = failed.clone();
        for block in self.blocks.values() {
            let missing = block.hosts.iter().filter(|h| failed.contains(h.as_str()));
            if !block.leaves_out(missing.count()) {
                for host in &block.hosts {
                    left_out.remove(host.as_str());
                }
            }
        }
        left_out
    }
}

impl BlockHosts {
    fn leaves_out(&self, missing: usize) -> bool {
        match self.unreachable {
            Unreachable::Fail => false,
            Unreachable::Skip => true,
            Unreachable::Percent(p) => missing as u64 * 100 <= p * self.subtasks as u64,
        }
    }
}

/// The parallel block that the task is, or is a subtask of.
fn parallel_block(workflow: &Workflow, ix: Ix) -> Option<(Ix, &Parallel)> {
    let own = |ix: Ix| match &workflow.tasks[ix].kind {
        TaskKind::Parallel(parallel) => Some((ix, &**parallel)),
        _ => None,
    };
    own(ix).or_else(|| workflow.owner_of(ix).and_then(|(block, _)| own(block)))
}

/// What is known only during the run leaves no host out before it.
fn rule(parallel: Option<&Parallel>) -> Unreachable {
    let written = parallel.and_then(|p| p.unreachable.as_ref()?.known());
    written.copied().unwrap_or(Unreachable::Fail)
}
