//! The state of a running parallel block and of its subtasks. It decides nothing
//! about when they run, and starts nothing.
#![forbid(unsafe_code)]

use super::command::StartedCommand;
use super::numbers::{Numbers, Retries};
use super::verdict::is_about_block;
use crate::outcome::Outcome;
use crate::plan::flow;
use crate::run::evaluation::TaskContext;
use crate::run::result::{Member, TaskResult};
use crate::run::runner::Time;
use crate::task::values::{Share, Unreachable, Wave};
use crate::task::{Command, Criterion, Task, TaskKind};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::ops::Range;
use std::time::Duration;

/// How many running subtasks are named when a signal arrives.
const NAMED: usize = 8;

/// The block's own settings, evaluated when it begins.
pub struct BlockLimits {
    pub at_once: usize,
    pub timeout: Option<Duration>,
    pub fail_fast: Option<Share>,
    pub unreachable: Unreachable,
    pub waves: Vec<Wave>,
    pub pause: Duration,
}

/// One subtask: a task of the list, or a copy for a host.
pub struct Subtask {
    pub name: String,
    pub context: TaskContext,
    pub result: Option<TaskResult>,
    /// The journal has the result.
    pub recorded: bool,
    /// It had ended when the block was interrupted before.
    pub kept: bool,
}

/// A subtask's command that runs.
pub struct RunningSubtask {
    pub subtask: usize,
    pub numbers: Numbers,
    pub command: StartedCommand,
}

pub struct ParallelRun<'w> {
    /// The journal's number of this block.
    pub turn: u64,
    pub context: &'w TaskContext,
    pub over_hosts: bool,
    pub limits: BlockLimits,
    pub retries: &'w Retries,
    pub subtasks: Vec<Subtask>,
    /// The subtasks that the waves divide, in the order in which they start.
    line: Vec<usize>,
    pub running: HashMap<u64, RunningSubtask>,
    /// Subtasks that wait for their next attempt, and when it is due.
    retrying: BinaryHeap<Reverse<(Time, usize)>>,
    /// When each sleeping subtask gives up its slot.
    sleeping: BinaryHeap<Reverse<Time>>,
    /// Why no further subtask starts, and the exit code of those left out.
    pub halted: Option<(String, i32)>,
    /// Why the wave check failed that halted the block.
    pub failed_check: Option<String>,
    /// Subtasks had no further attempt because the block was halted.
    pub retries_lost: bool,
    /// Why a subtask or its next attempt does not fit before the deadline.
    pub overrun: Option<String>,
    /// Those that will not succeed any more.
    failed: FailureCount,
    /// Those that wait for a further attempt or make one.
    unsettled: HashMap<usize, Outcome>,
}

/// How many subtasks did not succeed; those not reached are counted apart.
#[derive(Clone, Copy, Default)]
struct FailureCount {
    reached: u64,
    unreachable: u64,
}

impl FailureCount {
    fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Unreachable => self.unreachable += 1,
            outcome if outcome.is_failure() => self.reached += 1,
            _ => {}
        }
    }
}

impl Subtask {
    pub fn new(name: String, context: TaskContext) -> Subtask {
        Subtask {
            name,
            context,
            result: None,
            recorded: false,
            kept: false,
        }
    }
}

impl<'w> ParallelRun<'w> {
    pub fn new(
        turn: u64,
        context: &'w TaskContext,
        over_hosts: bool,
        limits: BlockLimits,
        retries: &'w Retries,
        subtasks: Vec<Subtask>,
    ) -> ParallelRun<'w> {
        ParallelRun {
            turn,
            context,
            over_hosts,
            limits,
            retries,
            subtasks,
            line: Vec::new(),
            running: HashMap::new(),
            retrying: BinaryHeap::new(),
            sleeping: BinaryHeap::new(),
            halted: None,
            failed_check: None,
            retries_lost: false,
            overrun: None,
            failed: FailureCount::default(),
            unsettled: HashMap::new(),
        }
    }

    // Slots and times.

    /// Keeps a subtask that ended in this outcome for its next attempt.
    pub fn retry_at(&mut self, due: Time, subtask: usize, outcome: Outcome) {
        self.retrying.push(Reverse((due, subtask)));
        self.unsettled.insert(subtask, outcome);
    }

    /// Keeps the slot of a subtask that sleeps.
    pub fn hold_slot_until(&mut self, until: Time) {
        self.sleeping.push(Reverse(until));
    }

    /// Frees the slots of subtasks that have slept long enough.
    pub fn free_slots(&mut self, now: Time) {
        while self.sleeping.peek().is_some_and(|Reverse(t)| *t <= now) {
            self.sleeping.pop();
        }
    }

    pub fn free_all_slots(&mut self) {
        self.sleeping.clear();
    }

    /// A subtask whose next attempt is due.
    pub fn due_retry(&mut self, now: Time) -> Option<usize> {
        let Reverse((due, _)) = self.retrying.peek()?;
        if *due > now {
            return None;
        }
        self.retrying.pop().map(|Reverse((_, subtask))| subtask)
    }

    /// Removes and returns all subtasks that wait for their next attempt.
    pub fn take_retrying(&mut self) -> Vec<usize> {
        let waited = self.retrying.drain();
        waited.map(|Reverse((_, subtask))| subtask).collect()
    }

    pub fn has_slot(&self) -> bool {
        self.running.len() + self.sleeping.len() < self.limits.at_once
    }

    /// Whether nothing runs or sleeps, and nothing waits to start; `fresh` says
    /// whether subtasks have not started yet.
    pub fn is_idle(&self, fresh: bool) -> bool {
        let waiting = self.halted.is_none() && (fresh || !self.retrying.is_empty());
        self.running.is_empty() && self.sleeping.is_empty() && !waiting
    }

    /// When the block must act even if nothing happens until then.
    pub fn next_due(&self, deadline: Option<Time>) -> Option<Time> {
        let halted = self.halted.is_some();
        let retry = self.retrying.peek().map(|Reverse((due, _))| *due);
        let retry = retry.filter(|_| !halted && self.has_slot());
        let slept = self.sleeping.peek().map(|Reverse(until)| *until);
        let deadline = deadline.filter(|_| !halted);
        [retry, slept, deadline].into_iter().flatten().min()
    }

    // Stopping.

    /// Starts no further subtask; the first reason counts.
    pub fn halt(&mut self, cause: impl Into<String>, exit: i32) {
        self.halted.get_or_insert_with(|| (cause.into(), exit));
    }

    /// Whether a subtask or a further attempt was wanted and did not run.
    pub fn is_cut_short(&self) -> bool {
        let missing = |r: &TaskResult| !r.is_judged();
        let results = self.subtasks.iter().filter_map(|s| s.result.as_ref());
        self.retries_lost || results.into_iter().any(missing)
    }

    /// Counts how a subtask ended, and halts the block when `fail_fast=` says so.
    pub fn count(&mut self, subtask: usize, outcome: Outcome) {
        self.unsettled.remove(&subtask);
        self.failed.add(outcome);
        let (failed, total) = (self.not_succeeded(self.failed), self.subtasks.len());
        if self.is_too_many(failed) {
            let cause = format!("fail_fast: {failed} of {total} did not succeed");
            self.halt(cause, -1);
        }
    }

    /// Whether `fail_fast=` lets no further subtask begin: too many have failed or
    /// have a further attempt before them. One that succeeds can change that.
    pub fn is_braked(&self) -> bool {
        let mut failed = self.failed;
        self.unsettled.values().for_each(|o| failed.add(*o));
        self.is_too_many(self.not_succeeded(failed))
    }

    fn is_too_many(&self, failed: u64) -> bool {
        let total = self.subtasks.len() as u64;
        let limit = self.limits.fail_fast.map(|share| share.limit_for(total));
        limit.is_some_and(|limit| failed > limit)
    }

    fn not_succeeded(&self, failed: FailureCount) -> u64 {
        match self.leaves_out(failed.unreachable) {
            true => failed.reached,
            false => failed.reached + failed.unreachable,
        }
    }

    /// Whether the criterion and `fail_fast=` leave out that many unreachable hosts.
    fn leaves_out(&self, unreachable: u64) -> bool {
        match self.limits.unreachable {
            Unreachable::Fail => false,
            Unreachable::Skip => true,
            Unreachable::Percent(p) => unreachable * 100 <= p * self.subtasks.len() as u64,
        }
    }

    // Waves.

    /// Lines the subtasks up for the waves, or if `anew` only those that had not ended
    /// before; how many they are.
    pub fn line_up(&mut self, anew: bool) -> usize {
        let subtasks = self.subtasks.iter().enumerate();
        let waits = subtasks.filter(|(_, s)| !anew || s.result.is_none());
        self.line = waits.map(|(index, _)| index).collect();
        self.line.len()
    }

    /// The subtasks of the wave that have not ended.
    pub fn open_in(&self, wave: Range<usize>) -> impl Iterator<Item = usize> {
        let line = self.line[wave].iter().copied();
        line.filter(|index| self.subtasks[*index].result.is_none())
    }

    /// Whether all of the wave and something after it had ended before, so that
    /// its check had passed.
    pub fn passed_before(&self, wave: &Range<usize>) -> bool {
        let kept = |index: &usize| self.subtasks[*index].kept;
        self.line[wave.clone()].iter().all(kept) && self.line[wave.end..].iter().any(kept)
    }

    /// Whether the wave had something to do and nothing of it succeeded. With
    /// `fail_fast=` this stops only the first wave (SPEC §3.5).
    pub fn stops_after(&self, wave: &Range<usize>) -> bool {
        let applies = wave.start == 0 || self.limits.fail_fast.is_none();
        let wave = self.line[wave.clone()]
            .iter()
            .map(|index| &self.subtasks[*index]);
        let mut outcomes = wave.filter_map(|s| s.result.as_ref().map(|r| r.outcome));
        let worked = outcomes.clone().any(|o| o != Outcome::Skipped);
        applies && worked && !outcomes.any(|o| o == Outcome::Ok)
    }

    // Subtasks.

    /// What a subtask's success is judged by.
    pub fn criterion<'t>(&self, task: &'t Task) -> Option<&'t Criterion> {
        task.success
            .as_ref()
            .filter(|c| !self.over_hosts || !is_about_block(task, c))
    }

    /// The running subtasks in the order of their start, at most `NAMED`.
    pub fn running_names(&self) -> Vec<String> {
        let mut numbers: Vec<&u64> = self.running.keys().collect();
        numbers.sort_unstable();
        let named = numbers.iter().take(NAMED);
        let mut names: Vec<String> = named
            .map(|n| &self.subtasks[self.running[n].subtask].context)
            .map(TaskContext::name_with_host)
            .collect();
        if numbers.len() > NAMED {
            names.push(format!("{} more", numbers.len() - NAMED));
        }
        names
    }

    /// The block's members, in their order.
    pub fn into_members(self) -> Vec<Member> {
        let results = self.subtasks.iter().filter_map(|s| s.result.as_ref());
        let unreachable = results.filter(|r| r.outcome == Outcome::Unreachable);
        let leaves_out = self.leaves_out(unreachable.count() as u64);
        let members = self.subtasks.into_iter().filter_map(|subtask| {
            let result = subtask.result?;
            Some(Member {
                name: subtask.name,
                left_out: leaves_out && result.outcome == Outcome::Unreachable,
                result,
            })
        });
        members.collect()
    }
}

/// The command of a subtask; `None` for a decision.
pub fn command_of(task: &Task) -> Option<&Command> {
    match &task.kind {
        TaskKind::Decision | TaskKind::Bare => None,
        _ => task.command(),
    }
}

/// Whether the result is one that is retried (SPEC §3.3).
pub fn is_retried(context: &TaskContext, retries: &Retries, result: &TaskResult) -> bool {
    let again = flow::is_retried(result.outcome, result.exit, &retries.on);
    !result.success && context.at.attempt <= retries.count && again
}
