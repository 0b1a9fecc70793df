//! Warnings about fall-throughs that a reader of the file easily misses.
#![forbid(unsafe_code)]

use super::graph::{Edge, Graph, Node, To, node, task_of};
use super::task_ends::Case;
use super::workflow::Workflow;
use crate::task::Ix;
use crate::text::diagnostic::DiagnosticList;

/// A fall-through across this many unused ids is worth a warning.
const WIDE_GAP: u32 = 10;

pub struct FallThroughs<'a> {
    workflow: &'a Workflow,
    graph: &'a Graph,
    /// Which nodes of the graph the flow can reach.
    reached: &'a [bool],
    /// For every task, the first task whose failure leads to it.
    failure_sources: Vec<Option<Ix>>,
}

impl FallThroughs<'_> {
    pub fn new<'a>(
        workflow: &'a Workflow,
        graph: &'a Graph,
        reached: &'a [bool],
    ) -> FallThroughs<'a> {
        let mut failure_sources = vec![None; workflow.tasks.len()];
        for (ix, task) in workflow.tasks.iter().enumerate() {
            if let Some(to) = task.routing.on_failure {
                failure_sources[to].get_or_insert(ix);
            }
        }
        FallThroughs {
            workflow,
            graph,
            reached,
            failure_sources,
        }
    }

    /// Warns about the fall-throughs of a task that is a step of the flow.
    pub fn check(&self, ix: Ix, diagnostics: &mut DiagnosticList) {
        let is_reached = self.reached[node(ix, false)];
        if is_reached {
            self.end_before_handler(ix, diagnostics);
        }
        let mut falls = self.on_success(ix, false).filter(|e| !e.jump);
        // Not past the handlers that a conditional block ran.
        let stays = |next: &Node| *next == node(task_of(*next), false);
        let next = falls.find_map(|e| e.to.node().filter(stays));
        if let Some(next) = next.map(task_of) {
            if is_reached {
                self.failure_target(ix, next, diagnostics);
            }
            self.wide_gap(ix, next, diagnostics);
        }
        if self.reached[node(ix, true)] {
            self.among_handlers(ix, diagnostics);
        }
    }

    fn on_success(&self, ix: Ix, in_handlers: bool) -> impl Iterator<Item = &Edge> {
        let edges = self.graph.edges_from(node(ix, in_handlers)).iter();
        edges.filter(|e| e.case == Case::True)
    }

    /// A task after which the run ends, since the next task is a handler.
    fn end_before_handler(&self, ix: Ix, diagnostics: &mut DiagnosticList) {
        let ends = self.on_success(ix, false).any(|e| e.before_handler);
        let Some(handler) = self.workflow.next_of(ix).filter(|_| ends) else {
            return;
        };
        let (task, handler) = (&self.workflow.tasks[ix], &self.workflow.tasks[handler]);
        let message = format!(
            "after task {} the run ends with 0: task {} is a failure handler",
            task.id, handler.id
        );
        diagnostics
            .warning(task.at, message)
            .also(handler.at, "the handler")
            .help("make that explicit with `return=0`, or jump over the handler");
    }

    fn wide_gap(&self, ix: Ix, next: Ix, diagnostics: &mut DiagnosticList) {
        let (task, target) = (&self.workflow.tasks[ix], &self.workflow.tasks[next]);
        let unused = (target.id - task.id - 1).saturating_sub((next - ix - 1) as u32);
        if unused >= WIDE_GAP {
            let message = format!(
                "after task {} the flow falls through to task {}, across {unused} unused ids",
                task.id, target.id
            );
            diagnostics
                .warning(task.at, message)
                .also(target.at, "the next task");
        }
    }

    /// After a failure: a handler that falls through to the next one, or a task that
    /// ends the run with 0.
    fn among_handlers(&self, ix: Ix, diagnostics: &mut DiagnosticList) {
        let task = &self.workflow.tasks[ix];
        for edge in self.on_success(ix, true).filter(|e| !e.jump) {
            match edge.to {
                To::Node(next) if self.workflow.is_handler(ix) => {
                    let next = &self.workflow.tasks[task_of(next)];
                    let message = format!(
                        "the failure handler {} falls through to task {}",
                        task.id, next.id
                    );
                    diagnostics
                        .warning(task.at, message)
                        .also(next.at, "the next task")
                        .help("`return=1` ends the run here");
                }
                To::End(0) => {
                    let message = format!("after a failure, task {} ends the run with 0", task.id);
                    diagnostics
                        .warning(task.at, message)
                        .help("`return=1` reports the failure to the caller");
                }
                To::Node(_) | To::End(_) => {}
            }
        }
    }

    /// A failure target that ends the run with its own code looks like a handler. If
    /// the id just below is taken it is not one, and a successful run falls through
    /// to it.
    fn failure_target(&self, from: Ix, next: Ix, diagnostics: &mut DiagnosticList) {
        let (task, target) = (&self.workflow.tasks[from], &self.workflow.tasks[next]);
        let Some(source) = self.source_of_fall(from, next) else {
            return;
        };
        if let Some(code) = self.code_of_success(next).filter(|c| *c != 0) {
            let message = format!(
                "task {} falls through to task {}, the target of a failure: a successful run ends with {code}",
                task.id, target.id
            );
            let source = &self.workflow.tasks[source];
            diagnostics
                .warning(task.at, message)
                .also(source.key_span("on_failure"), "the failure")
                .help(
                    "a failure handler needs an unused id just below its own; give it a higher id",
                );
        }
    }

    /// The task whose failure leads to `next`, if `next` would be a handler but for
    /// the id of `from`.
    fn source_of_fall(&self, from: Ix, next: Ix) -> Option<Ix> {
        let follows = self.workflow.tasks[from].id + 1 == self.workflow.tasks[next].id;
        self.failure_sources[next].filter(|_| follows)
    }

    /// The exit code of a run that reaches the task and succeeds from there; `None`
    /// if it falls through to another failure target.
    fn code_of_success(&self, from: Ix) -> Option<i32> {
        let mut at = from;
        for _ in &self.workflow.tasks {
            let edge = self.on_success(at, false).next()?;
            match edge.to {
                To::Node(next) => {
                    let next = task_of(next);
                    if !edge.jump && self.source_of_fall(at, next).is_some() {
                        return None;
                    }
                    at = next;
                }
                To::End(code) => {
                    let return_ = self.workflow.tasks[at].routing.return_.as_ref();
                    return Some(code).filter(|_| return_.is_none_or(|c| c.known().is_some()));
                }
            }
        }
        None
    }
}
