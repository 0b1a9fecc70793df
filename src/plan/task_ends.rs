//! Every way a task can end, and how it can leave its branch: by the rules of the flow
//! themselves (`flow`), asked for each case.
#![forbid(unsafe_code)]

use super::flow::{self, BranchHandlers, Choice, FlowInput, Position};
use super::start::BranchEntry;
use super::workflow::Workflow;
use crate::outcome::Outcome;
use crate::task::values::RetryOn;
use crate::task::{Ix, NextRule, Task, TaskKind};

/// How a task ended, or that the flow left the block through a branch task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    Skipped,
    True,
    False,
    Left,
}

/// Every way a task can end after its last retry and iteration. `way` leads on to the
/// member that it is entered at, if it is a conditional with which a run begins.
pub fn endings(workflow: &Workflow, ix: Ix, way: &[BranchEntry]) -> Vec<(Case, FlowInput)> {
    let task = &workflow.tasks[ix];
    match BlockEnds::of_conditional(workflow, ix, way) {
        Some(ends) => ends.endings(task),
        None => {
            let skipped = task.condition.is_some().then_some(Case::Skipped);
            let failed = can_be_false(task).then_some(Case::False);
            let cases = [skipped, Some(Case::True), failed].into_iter().flatten();
            cases.map(|case| (case, ending(task, case))).collect()
        }
    }
}

/// What the flow knows of a task that ended so.
fn ending(task: &Task, case: Case) -> FlowInput {
    let verdict = case == Case::True;
    let return_ = task.routing.return_.as_ref();
    FlowInput {
        outcome: match case {
            Case::Skipped => Outcome::Skipped,
            Case::True => Outcome::Ok,
            Case::False | Case::Left => Outcome::Failed,
        },
        exit: i32::from(!verdict),
        success: verdict,
        refused: false,
        lost: false,
        verdict,
        iterations: 1,
        loop_break: verdict && matches!(task.routing.next, NextRule::Loop),
        retries: 0,
        retry_on: RetryOn::default(),
        returns: return_.map(|code| Ok(code.known().copied().unwrap_or(1))),
        handlers: BranchHandlers::default(),
    }
}

/// Whether the verdict can be false. It cannot with `next=always`, in a task that runs
/// nothing, after a loop that waits for nothing, and after a whole branch of a
/// conditional that only chooses what runs.
pub fn can_be_false(task: &Task) -> bool {
    match task.routing.next {
        NextRule::Always => false,
        NextRule::Loop => task.waits_in_loop(),
        _ => !matches!(task.kind, TaskKind::Bare) && !task.is_plain_if(),
    }
}

/// The ways in which a conditional block can end, with the handlers that it ran.
#[derive(Default)]
pub struct BlockEnds {
    /// A branch ran to its end.
    completed: Vec<BranchHandlers>,
    /// A branch task stopped its branch.
    stopped: Vec<BranchHandlers>,
    /// A branch task left the block.
    pub leaves: Vec<(Choice, FlowInput)>,
}

impl BlockEnds {
    /// `None` if the task is not a conditional block. `way` is that of `endings`.
    pub fn of_conditional(workflow: &Workflow, ix: Ix, way: &[BranchEntry]) -> Option<BlockEnds> {
        let task = &workflow.tasks[ix];
        let TaskKind::Conditional(conditional) = &task.kind else {
            return None;
        };
        let mut ends = BlockEnds::default();
        if let Some((entry, inner)) = way.split_first() {
            ends.add_branch(workflow, task, entry.split(conditional).1, inner);
            return Some(ends);
        }
        for holds in [true, false] {
            ends.add_branch(workflow, task, conditional.branch(holds), &[]);
        }
        Some(ends)
    }

    /// `way` leads on into the first task.
    fn add_branch(
        &mut self,
        workflow: &Workflow,
        block: &Task,
        branch: &[Ix],
        way: &[BranchEntry],
    ) {
        let mut at = vec![BranchHandlers::default()];
        let ways = std::iter::once(way).chain(std::iter::repeat(&[][..]));
        for (member, way) in branch.iter().zip(ways) {
            let ends = member_ends(workflow, *member, way);
            let mut after = Vec::new();
            for (choice, seen) in &ends {
                for before in &at {
                    let mut handlers = *before;
                    handlers.note(workflow, *member, seen);
                    match choice {
                        Choice::Jump { .. } | Choice::Return(_) | Choice::Never(_) => {
                            let case = match seen.verdict {
                                true => Case::True,
                                false => Case::False,
                            };
                            let left = FlowInput {
                                handlers,
                                ..ending(block, case)
                            };
                            self.leaves.push((choice.clone(), left));
                        }
                        Choice::Fail if flow::stops_branch(&workflow.tasks[*member]) => {
                            add(&mut self.stopped, handlers)
                        }
                        _ => add(&mut after, handlers),
                    }
                }
            }
            at = after;
        }
        for handlers in at {
            add(&mut self.completed, handlers);
        }
    }

    /// The ways in which the block ends without being left.
    fn endings(&self, block: &Task) -> Vec<(Case, FlowInput)> {
        let mut out = Vec::new();
        let mut push = |case, handlers: &BranchHandlers| {
            let seen = FlowInput {
                handlers: *handlers,
                ..ending(block, case)
            };
            out.push((case, seen));
        };
        let can_be_false = can_be_false(block);
        for handlers in &self.completed {
            push(Case::True, handlers);
            if can_be_false {
                push(Case::False, handlers);
            }
        }
        for handlers in &self.stopped {
            if !block.is_plain_if() {
                push(Case::True, handlers);
            }
            if can_be_false || block.is_plain_if() {
                push(Case::False, handlers);
            }
        }
        out
    }
}

/// How a branch task can end, and what it chooses then.
fn member_ends(workflow: &Workflow, ix: Ix, way: &[BranchEntry]) -> Vec<(Choice, FlowInput)> {
    let task = &workflow.tasks[ix];
    let endings = endings(workflow, ix, way).into_iter();
    let chosen = endings.map(|(_, seen)| (flow::choose(task, Position::at(ix), &seen).0, seen));
    let inner = BlockEnds::of_conditional(workflow, ix, way).unwrap_or_default();
    chosen.chain(inner.leaves).collect()
}

fn add(list: &mut Vec<BranchHandlers>, handlers: BranchHandlers) {
    if !list.contains(&handlers) {
        list.push(handlers);
    }
}
