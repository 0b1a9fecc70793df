//! Results that are used where their task has not run, or might not have run.
#![forbid(unsafe_code)]

use super::dominators::Dominators;
use super::graph::{Graph, Node, To, node, task_of};
use super::workflow::Workflow;
use crate::task::{Ix, ResultUse, Task, TaskKind};
use crate::text::diagnostic::DiagnosticList;

/// How many steps the searches for paths can take, so that a huge file is still
/// checked quickly.
const STEPS: usize = 20_000_000;

/// The keys that hold conditions: there an empty result is a valid answer.
const CONDITION_KEYS: [&str; 5] = ["condition", "success", "failure", "next", "loop_break"];

/// Warns of results that do not exist when they are used, or not on every path.
pub fn check(
    workflow: &Workflow,
    graph: &Graph,
    reached: &[bool],
    diagnostics: &mut DiagnosticList,
) {
    if workflow.tasks.iter().all(|t| t.uses.is_empty()) {
        return;
    }
    let mut uses = UseChecker {
        workflow,
        graph,
        reached,
        dominators: dominators(workflow, graph, reached),
        searches: (STEPS / reached.len().max(1)).min(500),
        paths: None,
    };
    for (ix, task) in workflow.tasks.iter().enumerate() {
        let mut reported = Vec::new();
        for used in &task.uses {
            // The workflow has checked the task's own result.
            if used.task == ix || reported.contains(&used.task) {
                continue;
            }
            if uses.is_impossible(ix, used.task) {
                cannot_have_run(workflow, task, used, diagnostics);
                reported.push(used.task);
            } else if let Some(jump) = uses.jumped_over_by(ix, used) {
                may_not_have_run(workflow, task, used, jump, diagnostics);
                reported.push(used.task);
            }
        }
    }
}

fn cannot_have_run(
    workflow: &Workflow,
    task: &Task,
    used: &ResultUse,
    diagnostics: &mut DiagnosticList,
) {
    let target = &workflow.tasks[used.task];
    let message = format!(
        "task {} uses a result of task {}, which cannot have run before it",
        task.id, target.id
    );
    diagnostics
        .warning(used.at, message)
        .also(target.at, "the task");
}

/// `jump` is the task that jumps over the used one.
fn may_not_have_run(
    workflow: &Workflow,
    task: &Task,
    used: &ResultUse,
    jump: Ix,
    diagnostics: &mut DiagnosticList,
) {
    let (target, jumps) = (&workflow.tasks[used.task], &workflow.tasks[jump]);
    let message = format!(
        "task {} uses a result of task {}, which has not run if task {} jumps over it",
        task.id, target.id, jumps.id
    );
    let jump = jumps.first_key_span(&["goto", "on_failure", "on_success"]);
    diagnostics
        .warning(used.at, message)
        .also(jump, "the jump")
        .help("in that case the result is empty");
}

struct UseChecker<'a> {
    workflow: &'a Workflow,
    graph: &'a Graph,
    reached: &'a [bool],
    dominators: Option<Dominators>,
    /// How many searches are left.
    searches: usize,
    /// The last result of `paths_around`, and the task it is about.
    paths: Option<(Ix, Vec<Option<Node>>)>,
}

impl UseChecker<'_> {
    fn is_impossible(&mut self, ix: Ix, used: Ix) -> bool {
        let (task, target) = (&self.workflow.tasks[ix], &self.workflow.tasks[used]);
        let (here, there) = (outermost(self.workflow, ix), outermost(self.workflow, used));
        if target.finally && !task.finally {
            true
        } else if task.finally {
            target.finally && used >= ix
        } else if here == there {
            are_concurrent(self.workflow, ix, used) && !self.can_return_to(here)
        } else if !self.can_run(there) && !self.can_run(used) {
            true
        } else if there < here || self.searches == 0 {
            // Earlier in the file is the ordinary case.
            false
        } else {
            self.searches -= 1;
            !leads_to(self.graph, there, here)
        }
    }

    /// Whether the flow can come back to the task, with a result from the last visit.
    fn can_return_to(&mut self, ix: Ix) -> bool {
        let next: Vec<Node> = [node(ix, false), node(ix, true)]
            .into_iter()
            .filter(|n| self.reached[*n])
            .flat_map(|n| self.graph.edges_from(n))
            .filter_map(|e| e.to.node())
            .collect();
        match self.searches.checked_sub(1) {
            Some(left) => self.searches = left,
            None => return true,
        }
        let seen = self.graph.reachable(&next);
        seen[node(ix, false)] || seen[node(ix, true)]
    }

    fn can_run(&self, ix: Ix) -> bool {
        self.reached[node(ix, false)] || self.reached[node(ix, true)]
    }

    /// The last jump of a path to the task that avoids the used task.
    ///
    /// Failure handlers and final tasks expect that only a part of the tasks has run,
    /// and conditions can well ask about a task that was jumped over.
    fn jumped_over_by(&mut self, ix: Ix, used: &ResultUse) -> Option<Ix> {
        let task = &self.workflow.tasks[ix];
        let (here, there) = (
            outermost(self.workflow, ix),
            outermost(self.workflow, used.task),
        );
        let is_in = |key: &&str| {
            let value = task.key_span(key);
            value != task.at && value.file == used.at.file && {
                (value.start..value.end).contains(&used.at.start)
            }
        };
        if here == there
            || task.finally
            || !self.reached[node(here, false)]
            || CONDITION_KEYS.iter().any(is_in)
            || self.dominators.as_ref()?.dominates(there, here)
        {
            return None;
        }
        if self.paths.as_ref().is_none_or(|(task, _)| *task != there) {
            self.searches = self.searches.checked_sub(1)?;
            self.paths = Some((there, self.paths_around(there, used.task)));
        }
        let (_, paths) = self.paths.as_ref()?;
        // Follow the path back to its last jump.
        let mut at = node(here, false);
        loop {
            let before = paths[at]?;
            if before == at {
                return None;
            }
            let jumps = self.graph.edges_from(before).iter();
            if jumps.clone().any(|e| e.jump && e.to == To::Node(at))
                && !jumps.clone().any(|e| !e.jump && e.to == To::Node(at))
            {
                return Some(task_of(before));
            }
            at = before;
        }
    }

    /// For every node that the flow can reach without the task (or the member of it
    /// that is a jump target), the node before it on a path; the start has itself.
    fn paths_around(&self, task: Ix, member: Ix) -> Vec<Option<Node>> {
        let mut from = vec![None; self.reached.len()];
        let Some(first) = self.workflow.first() else {
            return from;
        };
        let start = node(first, self.workflow.is_handler(first));
        let mut waiting = vec![(start, start)];
        while let Some((at, before)) = waiting.pop() {
            if from[at].is_some() || [task, member].contains(&task_of(at)) {
                continue;
            }
            from[at] = Some(before);
            let next = self.graph.edges_from(at).iter().filter_map(|e| e.to.node());
            waiting.extend(next.map(|next| (next, at)));
        }
        from
    }
}

/// The dominators among tasks, with both nodes of a task merged. A path that passes
/// through a task here also does in the graph, so that most uses need no search.
fn dominators(workflow: &Workflow, graph: &Graph, reached: &[bool]) -> Option<Dominators> {
    let next: Vec<Vec<usize>> = (0..workflow.tasks.len())
        .map(|ix| {
            let nodes = [node(ix, false), node(ix, true)];
            let edges = nodes.into_iter().filter(|n| reached[*n]);
            edges
                .flat_map(|n| graph.edges_from(n))
                .filter_map(|e| e.to.node().map(task_of))
                .collect()
        })
        .collect();
    Dominators::new(&next, workflow.first()?, STEPS / 4)
}

/// The task of the main line that contains the task, or the task itself.
fn outermost(workflow: &Workflow, ix: Ix) -> Ix {
    let mut at = ix;
    for _ in 0..workflow.tasks.len().min(64) {
        match workflow.owner_of(at) {
            Some((block, _)) => at = block,
            None => break,
        }
    }
    at
}

/// Whether neither of two tasks of one block can finish before the other begins.
fn are_concurrent(workflow: &Workflow, ix: Ix, used: Ix) -> bool {
    match (workflow.owner_of(ix), workflow.owner_of(used)) {
        // Two subtasks of one parallel block run at the same time.
        (Some((a, false)), Some((b, false))) if a == b => !is_check(workflow, a, ix),
        _ => false,
    }
}

fn is_check(workflow: &Workflow, block: Ix, ix: Ix) -> bool {
    matches!(&workflow.tasks[block].kind, TaskKind::Parallel(p) if p.wave_check == Some(ix))
}

fn leads_to(graph: &Graph, from: Ix, to: Ix) -> bool {
    let seen = graph.reachable(&[node(from, false), node(from, true)]);
    seen[node(to, false)] || seen[node(to, true)]
}
