//! What of a workflow a run covers: a run that begins in the middle reaches only a part
//! of the tasks, options select hosts, and a run that goes on leaves out what is done.
#![forbid(unsafe_code)]

use super::flow::Policy;
use super::graph::{Graph, Node};
use super::reach::{self, Beginning};
use super::start::{BranchEntry, Start, begins_in_handlers};
use super::workflow::Workflow;
use crate::task::Ix;
use crate::task::nodeset::HostFilter;
use std::collections::{HashMap, HashSet};

/// The tasks and hosts that a run covers.
#[derive(Clone, Default)]
pub struct Coverage {
    /// The hosts of blocks that `--limit` and `--exclude` select.
    pub selection: HostFilter,
    /// Where the flow begins; nothing for the first task.
    pub start: Option<Start>,
    /// Whether each task can run; nothing for all of them.
    pub tasks: Option<Vec<bool>>,
    /// The blocks of which only the rest of a branch can run.
    entered: Vec<BranchEntry>,
    /// The hosts of a block that do not run because they are done.
    pub done: HashMap<Ix, HashSet<String>>,
}

impl Coverage {
    /// All tasks, on these hosts.
    pub fn whole(selection: HostFilter) -> Coverage {
        Coverage {
            selection,
            ..Coverage::default()
        }
    }

    /// The final tasks alone.
    pub fn finals(workflow: &Workflow, selection: HostFilter) -> Coverage {
        let tasks = workflow.tasks.iter().map(|task| task.in_finals);
        Coverage {
            tasks: Some(tasks.collect()),
            ..Coverage::whole(selection)
        }
    }

    /// What a run can reach that begins so; all tasks if it begins with the first.
    pub fn from_start(
        workflow: &Workflow,
        beginning: &Beginning,
        selection: HostFilter,
    ) -> Coverage {
        let whole = Coverage::whole(selection);
        if workflow.first() == Some(beginning.start.task()) {
            return whole;
        }
        let reach = reach::find(workflow, beginning);
        Coverage {
            start: Some(beginning.start.clone()),
            tasks: Some(reach.tasks),
            entered: reach.entered,
            ..whole
        }
    }

    /// The flow of the run as a graph, and the node that it begins at.
    pub fn graph(&self, workflow: &Workflow) -> (Graph, Option<Node>) {
        let first = workflow.first().map(Start::main_line);
        match self.start.as_ref().or(first.as_ref()) {
            None => (Graph::new(workflow), None),
            Some(start) => {
                let (graph, node) = Graph::beginning_at(workflow, start, Policy::default());
                (graph, Some(node))
            }
        }
    }

    /// Whether the run leaves out tasks, or hosts that are done.
    pub fn is_part(&self) -> bool {
        self.tasks.is_some() || !self.done.is_empty()
    }

    pub fn has_task(&self, ix: Ix) -> bool {
        self.tasks.as_ref().is_none_or(|tasks| tasks[ix])
    }

    /// Whether the block's command would run on the host.
    pub fn has_host(&self, block: Ix, host: &str) -> bool {
        self.selection.allows(host) && !self.is_done(block, host)
    }

    pub fn is_done(&self, block: Ix, host: &str) -> bool {
        let done = self.done.get(&block);
        done.is_some_and(|hosts| hosts.contains(host))
    }

    /// The member that the run begins at, if it never asks the block's condition.
    pub fn begins_at(&self, block: Ix) -> Option<Ix> {
        let entry = self.entered.iter().find(|entry| entry.block == block)?;
        Some(entry.member)
    }

    /// Whether the flow begins at a handler.
    pub fn begins_in_handlers(&self, workflow: &Workflow) -> bool {
        let start = self.start.as_ref();
        start.is_some_and(|s| begins_in_handlers(workflow, s.first, &s.way))
    }
}
