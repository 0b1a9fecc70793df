//! Results that are used where their task has not run, or may not have.
#![forbid(unsafe_code)]

use super::dominators::Dominators;
use super::graph::{Graph, Node, To, node, task_of};
use super::workflow::Workflow;
use crate::task::{Deferrable, Ix, NextRule, ResultUse, Task, TaskKind};
use crate::text::diagnostic::DiagnosticList;

/// How many steps are spent on questions about paths, so that a huge file stays
/// quick to check.
const STEPS: usize = 20_000_000;

/// The keys that ask a question: an answer of "it has not run" is meant there.
const QUESTIONS: [&str; 5] = ["condition", "success", "failure", "next", "loop_break"];

/// Reports the uses of results that are not there, or not on every path.
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
        questions: (STEPS / reached.len().max(1)).min(500),
        ways: None,
    };
    for (ix, task) in workflow.tasks.iter().enumerate() {
        let mut told = Vec::new();
        for used in &task.uses {
            if told.contains(&used.task) {
                continue;
            }
            if uses.is_impossible(ix, used.task) {
                cannot_have_run(workflow, task, used, diagnostics);
                told.push(used.task);
            } else if let Some(jump) = uses.passed_by(ix, used) {
                may_not_have_run(workflow, task, used, jump, diagnostics);
                told.push(used.task);
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
    if target.id == task.id {
        let message = format!(
            "task {} uses its own result, which is not there before it has run",
            task.id
        );
        diagnostics.warning(used.at, message);
        return;
    }
    let message = format!(
        "task {} uses a result of task {}, which cannot have run before it",
        task.id, target.id
    );
    diagnostics
        .warning(used.at, message)
        .also(target.at, "the task");
}

/// `jump` is the task whose jump leads past the used one.
fn may_not_have_run(
    workflow: &Workflow,
    task: &Task,
    used: &ResultUse,
    jump: Ix,
    diagnostics: &mut DiagnosticList,
) {
    let (target, jumps) = (&workflow.tasks[used.task], &workflow.tasks[jump]);
    let message = format!(
        "task {} uses a result of task {}, which has not run where task {} jumps past it",
        task.id, target.id, jumps.id
    );
    let key = jumps.first_key(&["goto", "on_failure", "on_success"]);
    diagnostics
        .warning(used.at, message)
        .also(key.map_or(jumps.at, |k| jumps.key_span(k)), "the jump")
        .help("the result is empty then");
}

struct UseChecker<'a> {
    workflow: &'a Workflow,
    graph: &'a Graph,
    reached: &'a [bool],
    dominators: Option<Dominators>,
    /// How many questions about paths may still be asked.
    questions: usize,
    /// The ways that do not lead over a task, of the last question.
    ways: Option<(Ix, Vec<Option<Node>>)>,
}

impl UseChecker<'_> {
    fn is_impossible(&mut self, ix: Ix, used: Ix) -> bool {
        let (task, target) = (&self.workflow.tasks[ix], &self.workflow.tasks[used]);
        let (here, there) = (top(self.workflow, ix), top(self.workflow, used));
        if target.finally && !task.finally {
            true
        } else if task.finally {
            target.finally && used >= ix
        } else if here == there {
            together(self.workflow, ix, used) && !self.comes_again(here)
        } else if !self.can_run(there) && !self.can_run(used) {
            true
        } else if there < here {
            // Before it in the file: the ordinary case.
            false
        } else if self.questions == 0 {
            false
        } else {
            self.questions -= 1;
            !leads(self.graph, there, here)
        }
    }

    /// Whether the flow can come back to the task, so that there may be a result
    /// of the last time.
    fn comes_again(&mut self, ix: Ix) -> bool {
        let next: Vec<Node> = [node(ix, false), node(ix, true)]
            .into_iter()
            .filter(|n| self.reached[*n])
            .flat_map(|n| self.graph.from(n))
            .filter_map(|e| match e.to {
                To::Node(to) => Some(to),
                To::End(_) => None,
            })
            .collect();
        match self.questions.checked_sub(1) {
            Some(left) => self.questions = left,
            None => return true,
        }
        let seen = self.graph.reachable(&next);
        seen[node(ix, false)] || seen[node(ix, true)]
    }

    fn can_run(&self, ix: Ix) -> bool {
        self.reached[node(ix, false)] || self.reached[node(ix, true)]
    }

    /// The jump of a way to the task that does not lead over the used one.
    ///
    /// In failure handlers and final tasks it is expected that only a part has
    /// run, and a question may well be about a task that was passed by.
    fn passed_by(&mut self, ix: Ix, used: &ResultUse) -> Option<Ix> {
        let task = &self.workflow.tasks[ix];
        let (here, there) = (top(self.workflow, ix), top(self.workflow, used.task));
        let asks = |key: &&str| {
            let value = task.key_span(key);
            value != task.at && value.file == used.at.file && {
                (value.start..value.end).contains(&used.at.start)
            }
        };
        if here == there
            || task.finally
            || !self.reached[node(here, false)]
            || QUESTIONS.iter().any(asks)
            || self.dominators.as_ref()?.dominates(there, here)
        {
            return None;
        }
        if self.ways.as_ref().is_none_or(|(of, _)| *of != there) {
            self.questions = self.questions.checked_sub(1)?;
            self.ways = Some((there, self.ways_past(there, used.task)));
        }
        let (_, ways) = self.ways.as_ref()?;
        // Back to the last jump.
        let mut at = node(here, false);
        loop {
            let before = ways[at]?;
            if before == at {
                return None;
            }
            let jumps = self.graph.from(before).iter();
            if jumps.clone().any(|e| e.jump && e.to == To::Node(at))
                && !jumps.clone().any(|e| !e.jump && e.to == To::Node(at))
            {
                return Some(task_of(before));
            }
            at = before;
        }
    }

    /// For every node that the flow can come to without the task (or a member
    /// that it was jumped to), the one it comes from; the start from itself.
    fn ways_past(&self, task: Ix, member: Ix) -> Vec<Option<Node>> {
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
            waiting.extend(self.graph.from(at).iter().filter_map(|e| match e.to {
                To::Node(to) => Some((to, at)),
                To::End(_) => None,
            }));
        }
        from
    }
}

/// Of tasks, whether or not the flow falls through handlers there: what leads
/// over a task here does so in the graph too, so that most uses need no search.
fn dominators(workflow: &Workflow, graph: &Graph, reached: &[bool]) -> Option<Dominators> {
    let next: Vec<Vec<usize>> = (0..workflow.tasks.len())
        .map(|ix| {
            let nodes = [node(ix, false), node(ix, true)];
            let edges = nodes.into_iter().filter(|n| reached[*n]);
            edges
                .flat_map(|n| graph.from(n))
                .filter_map(|e| match e.to {
                    To::Node(to) => Some(task_of(to)),
                    To::End(_) => None,
                })
                .collect()
        })
        .collect();
    Dominators::new(&next, workflow.first()?, STEPS)
}

/// The task of the main line that a task belongs to, however deep.
fn top(workflow: &Workflow, ix: Ix) -> Ix {
    let mut at = ix;
    for _ in 0..workflow.tasks.len().min(64) {
        match workflow.owner_of(at) {
            Some((block, _)) => at = block,
            None => break,
        }
    }
    at
}

/// Whether two tasks of one block, or a block and its task, cannot run one before
/// the other.
fn together(workflow: &Workflow, ix: Ix, used: Ix) -> bool {
    if ix == used {
        let task = &workflow.tasks[ix];
        // Of an earlier iteration or attempt there is a result.
        return task.repeat.is_none()
            && matches!(task.retry.count, Deferrable::Known(0))
            && !own_criterion(task);
    }
    match (workflow.owner_of(ix), workflow.owner_of(used)) {
        // Two subtasks of one parallel block run at the same time.
        (Some((a, false)), Some((b, false))) if a == b => !is_check(workflow, a, ix),
        _ => false,
    }
}

fn is_check(workflow: &Workflow, block: Ix, ix: Ix) -> bool {
    matches!(&workflow.tasks[block].kind, TaskKind::Parallel(p) if p.wave_check == Some(ix))
}

/// Whether the task judges itself by name, which is as good as a bare operand, or
/// returns what it found.
fn own_criterion(task: &Task) -> bool {
    task.success.is_some()
        || task.routing.return_.is_some()
        || matches!(task.routing.next, NextRule::When(_))
        || task.is_block()
}

fn leads(graph: &Graph, from: Ix, to: Ix) -> bool {
    let seen = graph.reachable(&[node(from, false), node(from, true)]);
    seen[node(to, false)] || seen[node(to, true)]
}
