//! Conditional blocks (SPEC §3.6): the chosen branch, one task after another.
#![forbid(unsafe_code)]

use super::engine::Engine;
use super::evaluation::TaskContext;
use super::result::{Member, TaskResult};
use super::step::{Left, Numbers};
use crate::outcome::Outcome;
use crate::plan::flow::{self, Choice, FlowInput, Position};
use crate::task::{Conditional, Ix, NextRule, Task};

/// How a branch task ended, for its branch.
enum After {
    Next,
    /// The branch stops here and the block fails.
    Stop,
    /// The flow leaves the block.
    Leave(Left),
}

impl Engine<'_> {
    /// Runs the chosen branch: the block's result, and where a task left it for.
    pub(super) fn conditional(
        &mut self,
        task: &Task,
        conditional: &Conditional,
        context: &TaskContext,
        numbers: &Numbers,
    ) -> (TaskResult, Option<Left>) {
        let began = self.runner.now();
        let (known, done) = self.kept_branch(task.id).unzip();
        let done = done.unwrap_or_default();
        let chosen = known.unwrap_or_else(|| self.holds(&conditional.condition, context, None));
        let branch = if chosen {
            &conditional.if_true
        } else {
            &conditional.if_false
        };
        let word = if chosen { "true" } else { "false" };
        let branch: &[Ix] = branch.as_deref().unwrap_or(&[]);
        self.tell(task, context, |about| super::event::Event::Branch {
            about,
            holds: chosen,
            tasks: branch.len(),
        });
        let mut left = None;
        let mut stopped = false;
        let mut members = Vec::new();
        for ix in branch {
            let name = self.workflow.tasks[*ix].id.to_string();
            if done.contains(&name) {
                members.extend(self.member(*ix));
                continue;
            }
            if left.is_some() || stopped || self.stopped.is_some() || self.is_blocked() {
                let cause = if self.stopped.is_some() {
                    self.stop_cause()
                } else if self.is_blocked() {
                    self.block_cause()
                } else {
                    format!("block {} was over", task.id)
                };
                self.leave_out(*ix, &cause, left.is_none(), &mut members);
                continue;
            }
            match self.branch_task(*ix, task, numbers) {
                After::Next => {}
                After::Stop => stopped = true,
                After::Leave(to) => left = Some(to),
            }
            members.extend(self.member(*ix));
        }
        (self.branch_result(word, context, members, began), left)
    }

    fn member(&self, ix: Ix) -> Option<Member> {
        let result = self.results.get(ix)?.clone();
        let name = self.workflow.tasks[ix].id.to_string();
        Some(Member { name, result })
    }

    /// A task that the branch did not come to. A flow that left the block may
    /// still come to it, so it then gets no result.
    fn leave_out(&mut self, ix: Ix, cause: &str, record: bool, members: &mut Vec<Member>) {
        if record {
            let result = TaskResult::not_started(-1, cause);
            self.results.set(ix, result.clone());
            members.push(Member {
                name: self.workflow.tasks[ix].id.to_string(),
                result,
            });
        }
    }

    fn branch_result(
        &mut self,
        word: &str,
        context: &TaskContext,
        members: Vec<Member>,
        began: super::runner::Time,
    ) -> TaskResult {
        // What a signal took nothing from is judged as ever.
        let stopped = self.stopped.is_some() || self.is_blocked();
        let cancelled = stopped && members.iter().any(|m| m.result.outcome.is_failure());
        let failed = members.iter().any(|m| m.result.outcome.is_failure());
        let outcome = match (cancelled, failed) {
            (true, _) => Outcome::Cancelled,
            (false, true) => Outcome::Failed,
            (false, false) => Outcome::Ok,
        };
        TaskResult {
            stdout: super::capture::Captured::in_memory(format!("condition {word}\n")),
            took: self.runner.now().saturating_sub(began),
            cause: if cancelled && self.is_blocked() {
                self.block_cause()
            } else if cancelled {
                self.stop_cause()
            } else {
                String::new()
            },
            members,
            ..TaskResult::without_process(outcome, 0, context.attempt)
        }
    }

    /// Runs one branch task with its retries and iterations.
    fn branch_task(&mut self, ix: Ix, block: &Task, numbers: &Numbers) -> After {
        let inherited = Some(&numbers.retries);
        let mut at = Position::at(ix);
        loop {
            let stepped = self.step(at, inherited);
            if self.stopped.is_some() || self.is_blocked() {
                return After::Stop;
            }
            if let Some(left) = stepped.left {
                return After::Leave(left);
            }
            let task = &self.workflow.tasks[ix];
            let (choice, why) = flow::choose(task, at, &stepped.seen);
            match choice {
                Choice::Retry => at = self.next_attempt(at, &stepped),
                Choice::Iterate => at = self.next_iteration(at, &stepped),
                Choice::Jump { .. } => {
                    self.note_branch_failure(ix, &stepped.seen);
                    self.sleep(at, &stepped);
                    return After::Leave((
                        choice,
                        format!("task {} of block {}: {why}", task.id, block.id).into(),
                    ));
                }
                Choice::Return(_) | Choice::Never(_) => {
                    self.note_branch_failure(ix, &stepped.seen);
                    return After::Leave((
                        choice,
                        format!("task {} of block {}: {why}", task.id, block.id).into(),
                    ));
                }
                Choice::FallThrough => {
                    self.sleep(at, &stepped);
                    return After::Next;
                }
                Choice::Fail => {
                    self.sleep(at, &stepped);
                    // Only a task that says itself when the flow goes on stops it.
                    return if matches!(task.routing.next, NextRule::Absent) {
                        After::Next
                    } else {
                        After::Stop
                    };
                }
            }
            if self.stopped.is_some() {
                return After::Stop;
            }
        }
    }

    fn note_branch_failure(&mut self, ix: Ix, seen: &FlowInput) {
        if !seen.verdict && seen.outcome.is_failure() {
            self.note_first_failure(ix);
        }
    }
}
