//! Conditional blocks (SPEC §3.6): the chosen branch, one task after another.
#![forbid(unsafe_code)]

use super::engine::Engine;
use super::numbers::{Numbers, Retries};
use super::verdict::BranchEnd;
use crate::outcome::Outcome;
use crate::plan::flow::{self, Choice, Departure, FlowInput};
use crate::plan::start::BranchEntry;
use crate::run::capture::Captured;
use crate::run::evaluation::TaskContext;
use crate::run::event::Event;
use crate::run::result::{Member, TaskResult};
use crate::run::runner::Time;
use crate::task::{Conditional, Ix, NextRule};

impl Engine<'_> {
    /// Runs the chosen branch: the block's result, and how the branch ended.
    ///
    /// # Errors
    /// Why its condition is undecided: no branch runs (SPEC §3.1).
    pub(super) fn conditional(
        &mut self,
        conditional: &Conditional,
        context: &TaskContext,
        numbers: &Numbers,
    ) -> Result<(TaskResult, BranchEnd), String> {
        let began = self.runner.now();
        let before = self.results.get(context.at.task);
        let (known, done) = self.replay.kept_branch(before);
        let entry = self.enter(context.at.task);
        let holds = match entry.map(|entry| entry.holds).or(known) {
            Some(known) => known,
            None => self.holds_before(&conditional.condition, context)?,
        };
        let (left_out, branch) = match &entry {
            Some(entry) => entry.split(conditional),
            None => (&[][..], conditional.branch(holds)),
        };
        let begins_at = entry.map(|entry| self.workflow.tasks[entry.member].id);
        self.emit_about(context, |about| Event::Branch {
            about,
            holds,
            begins_at,
            tasks: branch.len(),
        });
        let mut end = BranchEnd::default();
        end.failed
            .extend(left_out.iter().filter(|ix| self.had_failed(**ix)));
        let mut members: Vec<Member> = left_out.iter().filter_map(|ix| self.member(*ix)).collect();
        for ix in branch {
            let name = self.workflow.tasks[*ix].id.to_string();
            if done.contains(&name) {
                end.handlers.any |= self.workflow.is_handler(*ix);
            } else if end.departure.is_some() {
                // The flow may still reach the task after it has left the block.
                continue;
            } else if end.stopped || self.is_stopping() {
                self.leave_out(*ix, context.id);
                end.failed.push(*ix);
            } else {
                self.branch_task(*ix, context.id, &numbers.retries, &mut end);
            }
            members.extend(self.member(*ix));
        }
        let result = self.branch_result(holds, context, members, &end, began);
        Ok((result, end))
    }

    /// How the block is entered, if the run begins at one of its members.
    fn enter(&mut self, block: Ix) -> Option<BranchEntry> {
        let (entry, inner) = self.way.split_first()?;
        (entry.block == block).then(|| {
            self.way = inner;
            *entry
        })
    }

    /// Whether a task before the one that the run begins at has a result of an earlier
    /// run that makes the block fail.
    fn had_failed(&self, ix: Ix) -> bool {
        let is_forgiven = matches!(self.workflow.tasks[ix].routing.next, NextRule::Always);
        let failed = |result: &TaskResult| !result.success && result.outcome != Outcome::Skipped;
        !is_forgiven && self.results.get(ix).is_some_and(failed)
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
        end: &BranchEnd,
        began: Time,
    ) -> TaskResult {
        let mut result = TaskResult {
            stdout: Captured::in_memory(format!("condition {holds}\n")),
            took: self.runner.now().saturating_sub(began),
            members,
            ..TaskResult::without_process(Outcome::Ok, 0, context.at.attempt)
        };
        if !end.failed.is_empty() {
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
    fn branch_task(&mut self, ix: Ix, block: u32, inherited: &Retries, end: &mut BranchEnd) {
        let redo = self.replay.redo;
        let mut at = self.arrive(ix);
        loop {
            let mut stepped = self.step(at, Some(inherited));
            self.replay.redo = redo;
            if self.is_stopping() {
                if !stepped.seen.verdict {
                    end.failed.push(ix);
                }
                return;
            }
            if let Some(departure) = stepped.branch.departure.take() {
                self.note_end(ix, &stepped.seen, end);
                end.departure = Some(departure);
                end.left_by_failure = !stepped.seen.verdict;
                return;
            }
            let (choice, why) = flow::choose(&self.workflow.tasks[ix], at, &stepped.seen);
            match choice {
                Choice::Retry => at = self.next_attempt(at, &stepped),
                Choice::Iterate => at = self.next_iteration(at, &stepped),
                _ => {
                    if !matches!(choice, Choice::Return(_) | Choice::Never(_)) {
                        self.sleep(at, &stepped);
                    }
                    self.note_end(ix, &stepped.seen, end);
                    return self.leave_branch_task(ix, block, &stepped.seen, (choice, why), end);
                }
            }
            if self.stopped.is_some() {
                end.failed.push(ix);
                return;
            }
        }
    }

    fn note_end(&mut self, ix: Ix, seen: &FlowInput, end: &mut BranchEnd) {
        end.handlers.note(self.workflow, ix, seen);
        if !seen.verdict && seen.outcome != Outcome::Skipped {
            end.failed.push(ix);
        }
    }

    /// What follows a branch task: the next one, or the end of the branch.
    fn leave_branch_task(
        &mut self,
        ix: Ix,
        block: u32,
        seen: &FlowInput,
        (choice, why): Departure,
        end: &mut BranchEnd,
    ) {
        let task = &self.workflow.tasks[ix];
        match choice {
            Choice::Fail => end.stopped = seen.lost || flow::stops_branch(task),
            Choice::Jump { .. } | Choice::Return(_) | Choice::Never(_) => {
                if !seen.verdict && seen.outcome.is_failure() {
                    self.note_failure(ix);
                }
                let why = format!("task {} of block {block}: {why}", task.id);
                end.departure = Some((choice, why.into()));
                end.left_by_failure = !seen.verdict;
            }
            Choice::FallThrough | Choice::Retry | Choice::Iterate => {}
        }
    }
}
