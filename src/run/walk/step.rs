//! One attempt of one task of any kind: from its numbers to its recorded result.
#![forbid(unsafe_code)]

use super::command::time_before_now;
use super::engine::Engine;
use super::numbers::{Numbers, Retries};
use super::verdict::BranchEnd;
use crate::outcome::Outcome;
use crate::plan::flow::{BranchHandlers, FlowInput, Position};
use crate::run::evaluation::TaskContext;
use crate::run::result::TaskResult;
use crate::task::values::Delay;
use crate::task::{NextRule, TaskKind};
use std::time::Duration;

/// What a step leaves for the flow.
pub struct Stepped {
    pub seen: FlowInput,
    pub delay: Delay,
    pub sleep: Duration,
    /// How the branch of a conditional block ended.
    pub branch: BranchEnd,
    /// Why a further attempt does not fit before the deadline.
    pub overrun: Option<String>,
}

/// A performed task, before it is judged.
struct Performed {
    result: TaskResult,
    /// It could not be started at all, so no criterion can make it succeed.
    refused: bool,
    /// It ran when the flow was walked before, which has been reported.
    is_remembered: bool,
    branch: BranchEnd,
}

impl Engine<'_> {
    /// Runs the task once and evaluates what the flow needs to know. `inherited`
    /// are the retries of its block.
    pub(super) fn step(&mut self, at: Position, inherited: Option<&Retries>) -> Stepped {
        self.catch_up(at.task);
        let context = self.context(at);
        let task = self.task(&context);
        let wanted = match at == Position::at(at.task) {
            true => self.is_wanted(&context),
            false => Ok(true),
        };
        if wanted == Ok(false) {
            self.skip(&context);
            let numbers = Numbers::default();
            return Stepped {
                seen: self.seen(&context, &numbers, None, false),
                delay: numbers.retries.delay,
                sleep: Duration::ZERO,
                branch: BranchEnd::default(),
                overrun: None,
            };
        }
        let turn = self.replay.begin_turn();
        let numbers = wanted.and_then(|_| self.numbers(&context, inherited));
        let (performed, numbers) = match numbers {
            Ok(numbers) => (self.perform(&context, &numbers), numbers),
            Err(reason) => (self.refuse(&context, &reason), Numbers::default()),
        };
        let Performed {
            result,
            refused,
            is_remembered,
            branch,
        } = performed;
        if self.replay.has_recorded(turn) {
            // A conditional that had ended: its last member was not the last to report.
            self.replay.mute();
        }
        self.judge(&context, result, refused);
        let judged = self.results.get(at.task).is_some_and(TaskResult::is_judged);
        let ends_loop = self.loop_break(&context, judged);
        let result = self.results.get(at.task);
        let has_lost = result.is_some_and(|r| r.lost().is_some());
        let verdict = match (judged, refused) {
            (false, _) => false,
            // A loop that polls goes on until the answer is there as a whole.
            (true, false) if has_lost && ends_loop.is_none() => {
                matches!(task.routing.next, NextRule::Always)
            }
            (true, true) => matches!(task.routing.next, NextRule::Always),
            (true, false) if matches!(task.routing.next, NextRule::Loop) => {
                ends_loop != Some(false) || at.iteration < numbers.iterations
            }
            (true, false) => self.verdict(&context, &branch),
        };
        let seen = self.seen(&context, &numbers, ends_loop, verdict);
        let result = self.results.get(at.task).cloned();
        if let Some(result) = result.filter(|_| !is_remembered) {
            self.emit_result(&context, &result);
        }
        self.record_step(turn, &context, refused);
        Stepped {
            seen: FlowInput {
                refused,
                handlers: branch.handlers,
                ..seen
            },
            delay: numbers.retries.delay,
            sleep: numbers.sleep,
            branch,
            overrun: self.overrun(numbers.longest(at.attempt + 1)),
        }
    }

    /// Whether the task's `condition=` lets it run.
    ///
    /// # Errors
    /// Why this is undecided; a final task runs then (SPEC §3.1).
    pub(super) fn is_wanted(&mut self, context: &TaskContext) -> Result<bool, String> {
        let task = self.task(context);
        let Some(condition) = &task.condition else {
            return Ok(true);
        };
        self.holds_before(condition, context).or_else(|why| {
            if !task.finally {
                return Err(why);
            }
            self.warn(
                &context.label,
                &format!("{why}; the final task runs anyway"),
            );
            Ok(true)
        })
    }

    /// Does what the task's kind asks for.
    fn perform(&mut self, context: &TaskContext, numbers: &Numbers) -> Performed {
        let task = self.task(context);
        if !task.is_block()
            && let Some(performed) = self.result_without_running(context, numbers)
        {
            return performed;
        }
        let result = match &task.kind {
            TaskKind::Command(command) => self.command(command, context, numbers),
            TaskKind::Decision | TaskKind::Bare => Ok(TaskResult::without_process(
                Outcome::Ok,
                0,
                context.at.attempt,
            )),
            TaskKind::Parallel(parallel) => self.parallel(parallel, context, numbers),
            TaskKind::Conditional(conditional) => {
                let turn = self.replay.turn();
                let done = self.conditional(conditional, context, numbers);
                let (mut result, branch) = match done {
                    Ok(done) => done,
                    Err(reason) => return self.refuse(context, &reason),
                };
                if let Some(took) = self.replay.block_time(turn, task.id) {
                    result.took = took;
                }
                return Performed {
                    branch,
                    ..Performed::ran(result)
                };
            }
        };
        match result {
            Ok(result) => Performed::ran(result),
            Err(reason) => self.refuse(context, &reason),
        }
    }

    /// The result of a task that does not run now: the journal has it, or nothing
    /// can start any more.
    fn result_without_running(
        &mut self,
        context: &TaskContext,
        numbers: &Numbers,
    ) -> Option<Performed> {
        if let Some((result, refused)) = self.replayed_task(context) {
            return Some(Performed {
                refused,
                ..Performed::ran(result)
            });
        }
        if let Some((_, result)) = self.remembered.take_if(|(at, _)| *at == context.at) {
            self.emit_restored(context, &result);
            return Some(Performed {
                is_remembered: true,
                ..Performed::ran(result)
            });
        }
        if !self.is_blocked() {
            let overrun = self.overrun(numbers.longest(context.at.attempt));
            let cause = overrun.filter(|_| self.task(context).command().is_some())?;
            self.miss_deadline(&context.label, cause);
        }
        let result = TaskResult::not_started(-1, &self.stop_cause());
        Some(Performed::ran(result))
    }

    fn refuse(&mut self, context: &TaskContext, reason: &str) -> Performed {
        Performed {
            refused: true,
            ..Performed::ran(self.unstarted(context, reason))
        }
    }

    /// Decides success and sets the task's result.
    fn judge(&mut self, context: &TaskContext, mut result: TaskResult, refused: bool) {
        if !refused && result.is_judged() {
            let success = self.succeeded(context, &mut result);
            result.settle(success);
        }
        if !refused && !matches!(self.task(context).kind, TaskKind::Command(_)) {
            result.exit = i32::from(!result.success);
        }
        if result.started.is_none() && result.is_judged() {
            result.started = time_before_now(result.took);
        }
        self.results.set(context.at.task, result);
    }

    /// Whether the task's `loop_break` holds; `None` without one. A host that was not
    /// reached does not answer.
    fn loop_break(&mut self, context: &TaskContext, judged: bool) -> Option<bool> {
        let repeat = self.task(context).repeat.as_ref();
        let until = repeat.and_then(|r| r.until.as_ref())?;
        let applies = judged && self.applies(context, until);
        Some(applies && self.holds(until, context, "the loop continues"))
    }

    /// Everything that the flow needs to know about the task's result.
    fn seen(
        &mut self,
        context: &TaskContext,
        numbers: &Numbers,
        ends_loop: Option<bool>,
        verdict: bool,
    ) -> FlowInput {
        let (task, ix) = (self.task(context), context.at.task);
        let lost = self.results.get(ix).is_some_and(TaskResult::has_loss);
        let (outcome, exit, success) = match self.results.get_mut(ix) {
            Some(result) => {
                if !verdict && result.outcome == Outcome::Ok {
                    // It exited 0, but its criterion did not hold (SPEC §3.3).
                    result.outcome = Outcome::Failed;
                }
                if result.outcome == Outcome::Ok && task.is_block() {
                    // A wave check stopped the block, but its criterion holds.
                    result.cause.clear();
                }
                (result.outcome, result.exit, result.success)
            }
            None => (Outcome::Unknown, -1, false),
        };
        let over = matches!(outcome, Outcome::Cancelled | Outcome::Skipped);
        FlowInput {
            outcome,
            exit,
            success,
            verdict,
            refused: false,
            iterations: numbers.iterations,
            loop_break: ends_loop == Some(true),
            // A block hands its retries down to its subtasks.
            retries: match task.is_block() {
                true => 0,
                false => numbers.retries.count,
            },
            retry_on: numbers.retries.on.clone(),
            lost: !verdict && lost,
            returns: match &task.routing.return_ {
                Some(code) if !over => Some(self.evaluate_after(context, |values| {
                    let code = code.resolve(values);
                    values.usable(code)
                })),
                _ => None,
            },
            handlers: BranchHandlers::default(),
        }
    }
}

impl Performed {
    fn ran(result: TaskResult) -> Performed {
        Performed {
            result,
            refused: false,
            is_remembered: false,
            branch: BranchEnd::default(),
        }
    }
}
