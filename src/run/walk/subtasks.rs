//! The state of a running parallel block and of its subtasks. It decides nothing
//! about when they run, and starts nothing.
#![forbid(unsafe_code)]

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
    pub shown: String,
}

pub struct ParallelRun<'w> {
    /// The journal's number of this block.
    pub turn: u64,
    pub context: &'w TaskContext,
    pub over_hosts: bool,
    pub limits: BlockLimits,
    pub retries: &'w Retries,
    pub subtasks: Vec<Subtask>,
    pub running: HashMap<u64, RunningSubtask>,
    /// Subtasks that wait for their next attempt, and when it is due.
    retrying: BinaryHeap<Reverse<(Time, usize)>>,
    /// When each sleeping subtask gives up its slot.
    sleeping: BinaryHeap<Reverse<Time>>,
    /// Why no further subtask starts, and the exit code of those left out.
    pub halted: Option<(String, i32)>,
    /// Subtasks had no further attempt because the block was halted.
    pub retries_lost: bool,
    /// Why a subtask or its next attempt does not fit before the deadline.
    pub overrun: Option<String>,
    failed: u64,
    /// Counted apart from those that failed.
    unreachable: u64,
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
            running: HashMap::new(),
            retrying: BinaryHeap::new(),
            sleeping: BinaryHeap::new(),
            halted: None,
            retries_lost: false,
            overrun: None,
            failed: 0,
            unreachable: 0,
        }
    }

    // Slots and times.

    pub fn retry_at(&mut self, due: Time, subtask: usize) {
        self.retrying.push(Reverse((due, subtask)));
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
    pub fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Unreachable => self.unreachable += 1,
            outcome if outcome.is_failure() => self.failed += 1,
            _ => return,
        }
        let total = self.subtasks.len() as u64;
        let unreachable = match self.leaves_out_unreachable() {
            true => 0,
            false => self.unreachable,
        };
        let failed = self.failed + unreachable;
        if let Some(share) = self.limits.fail_fast
            && failed > share.limit_for(total)
        {
            let cause = format!("fail_fast: {failed} of {total} did not succeed");
            self.halt(cause, -1);
        }
    }

    /// Whether unreachable hosts count as if they were not part of the block.
    fn leaves_out_unreachable(&self) -> bool {
        match self.limits.unreachable {
            Unreachable::Fail => false,
            Unreachable::Skip => true,
            Unreachable::Percent(p) => self.unreachable * 100 <= p * self.subtasks.len() as u64,
        }
    }

    // Waves.

    /// Whether all of the wave and something after it had ended before, so that
    /// its check had passed.
    pub fn passed_before(&self, wave: &Range<usize>) -> bool {
        self.subtasks[wave.clone()].iter().all(|s| s.kept)
            && self.subtasks[wave.end..].iter().any(|s| s.kept)
    }

    /// Whether subtasks of the wave failed and none succeeded.
    pub fn wave_failed(&self, wave: Range<usize>) -> bool {
        let results = self.subtasks[wave].iter().filter_map(|s| s.result.as_ref());
        let outcomes: Vec<Outcome> = results.map(|r| r.outcome).collect();
        let left_out = self.leaves_out_unreachable();
        let failed = |o: &Outcome| o.is_failure() && !(left_out && *o == Outcome::Unreachable);
        !outcomes.contains(&Outcome::Ok) && outcomes.iter().any(failed)
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

    /// The block's members, and the names of unreachable hosts that it leaves out.
    pub fn into_members(self) -> (Vec<Member>, Vec<String>) {
        let leaves_out = self.leaves_out_unreachable();
        let (mut members, mut left_out) = (Vec::new(), Vec::new());
        for Subtask { name, result, .. } in self.subtasks {
            match result {
                Some(r) if leaves_out && r.outcome == Outcome::Unreachable => left_out.push(name),
                Some(result) => members.push(Member { name, result }),
                None => {}
            }
        }
        (members, left_out)
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
