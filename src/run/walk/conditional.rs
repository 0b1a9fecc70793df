//! Conditional blocks (SPEC §3.6): the chosen branch, one task after another.
#![forbid(unsafe_code)]

use super::engine::Engine;
use super::numbers::{Numbers, Retries};
use crate::outcome::Outcome;
use crate::plan::flow::{self, Choice, FlowInput, Position};
use crate::run::capture::Captured;
use crate::run::evaluation::TaskContext;
use crate::run::event::Event;
use crate::run::result::{Member, TaskResult};
use crate::run::runner::Time;
use crate::task::{Conditional, Ix, NextRule};
use std::borrow::Cow;

/// A choice that leads out of a block, and why.
pub type Departure = (Choice, Cow<'static, str>);

/// What follows a branch task.
enum AfterBranchTask {
    NextTask,
    /// The branch stops here and the block fails.
    Stop,
    /// The flow leaves the block.
    Leave(Departure),
}

impl Engine<'_> {
    /// Runs the chosen branch: the block's result, and where the flow goes if a
    /// task left the block.
    ///
    /// # Errors
    /// Why its condition is undecided: no branch runs (SPEC §3.1).
    pub(super) fn conditional(
        &mut self,
        conditional: &Conditional,
        context: &TaskContext,
        numbers: &Numbers,
    ) -> Result<(TaskResult, Option<Departure>), String> {
        let began = self.runner.now();
        let before = self.results.get(context.at.task);
        let (known, done) = self.replay.kept_branch(before).unzip();
        let done = done.unwrap_or_default();
        let holds = match known {
            Some(known) => known,
            None => self.holds_before(&conditional.condition, context)?,
        };
        let branch = match holds {
            true => &conditional.if_true,
            false => &conditional.if_false,
        };
        let branch: &[Ix] = branch.as_deref().unwrap_or(&[]);
        self.emit_about(context, |about| Event::Branch {
            about,
            holds,
            tasks: branch.len(),
        });
        let mut departure = None;
        let mut stopped = false;
        let mut members = Vec::new();
        for ix in branch {
            let name = self.workflow.tasks[*ix].id.to_string();
            if !done.contains(&name) {
                if departure.is_some() || stopped || self.is_stopping() {
                    // The flow may still reach a task after it has left the block.
                    if departure.is_none() {
                        self.leave_out(*ix, context.id);
                        members.extend(self.member(*ix));
                    }
                    continue;
                }
                match self.branch_task(*ix, context.id, &numbers.retries) {
                    AfterBranchTask::NextTask => {}
                    AfterBranchTask::Stop => stopped = true,
                    AfterBranchTask::Leave(to) => departure = Some(to),
                }
            }
            members.extend(self.member(*ix));
        }
        let result = self.branch_result(holds, context, members, began);
        Ok((result, departure))
    }

    fn member(&self, ix: Ix) -> Option<Member> {
        let result = self.results.get(ix)?.clone();
        let name = self.workflow.tasks[ix].id.to_string();
        Some(Member::counted(name, result))
    }

    /// Gives its result to a task that the branch did not reach.
    fn leave_out(&mut self, ix: Ix, block: u32) {
        let cause = match self.is_stopping() {
            true => self.stop_cause(),
            false => format!("block {block} had ended"),
        };
        self.results.set(ix, TaskResult::not_started(-1, &cause));
    }

    fn branch_result(
        &mut self,
        holds: bool,
        context: &TaskContext,
        members: Vec<Member>,
        began: Time,
    ) -> TaskResult {
        let mut result = TaskResult {
            stdout: Captured::in_memory(format!("condition {holds}\n")),
            took: self.runner.now().saturating_sub(began),
            members,
            ..TaskResult::without_process(Outcome::Ok, 0, context.at.attempt)
        };
        if result.has_failed_member() {
            // If a signal stopped nothing, the block is judged as usual.
            result.outcome = match self.is_stopping() {
                true => Outcome::Cancelled,
                false => Outcome::Failed,
            };
            result.success = false;
            result.cause = self.stop_cause();
        }
        result
    }

    /// Runs one branch task with its retries and iterations.
    fn branch_task(&mut self, ix: Ix, block: u32, inherited: &Retries) -> AfterBranchTask {
        let task = &self.workflow.tasks[ix];
        let mut at = Position::at(ix);
        loop {
            let stepped = self.step(at, Some(inherited));
            if self.is_stopping() {
                return AfterBranchTask::Stop;
            }
            if let Some(departure) = stepped.departure {
                return AfterBranchTask::Leave(departure);
            }
            let (choice, why) = flow::choose(task, at, &stepped.seen);
            match choice {
                Choice::Retry => at = self.next_attempt(at, &stepped),
                Choice::Iterate => at = self.next_iteration(at, &stepped),
                Choice::Jump { .. } | Choice::Return(_) | Choice::Never(_) => {
                    self.note_branch_failure(ix, &stepped.seen);
                    if matches!(choice, Choice::Jump { .. }) {
                        self.sleep(at, &stepped);
                    }
                    let why = format!("task {} of block {block}: {why}", task.id);
                    return AfterBranchTask::Leave((choice, why.into()));
                }
                Choice::FallThrough | Choice::Fail => {
                    self.sleep(at, &stepped);
                    // A failure stops the branch only if the task has a `next=`.
                    let stops =
                        choice == Choice::Fail && !matches!(task.routing.next, NextRule::Absent);
                    return match stops {
                        true => AfterBranchTask::Stop,
                        false => AfterBranchTask::NextTask,
                    };
                }
            }
            if self.stopped.is_some() {
                return AfterBranchTask::Stop;
            }
        }
    }

    fn note_branch_failure(&mut self, ix: Ix, seen: &FlowInput) {
        if !seen.verdict && seen.outcome.is_failure() {
            self.note_first_failure(ix);
        }
    }
}
