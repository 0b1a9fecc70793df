//! What a finished task leaves behind.
#![forbid(unsafe_code)]

use super::capture::{Captured, Spool};
use super::sys;
use crate::exit;
use crate::outcome::{Counts, Outcome};
use crate::task::{Ix, Task, TaskKind};
use crate::text::template::Field;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The exit code of a command that was cut short by a signal to tasker.
pub const CANCELLED: i32 = exit::SIGNAL + sys::SIGTERM;

#[derive(Clone)]
pub struct TaskResult {
    pub outcome: Outcome,
    /// -1 if nothing ran (SPEC §3.2, §3.5).
    pub exit: i32,
    pub success: bool,
    /// It reached its timeout, even if its criterion calls that a success.
    pub timed_out: bool,
    pub stdout: Captured,
    pub stderr: Captured,
    pub hostname: String,
    /// The command line with secrets masked; empty if nothing ran.
    pub command: String,
    /// When its last attempt began, on another host when the host had answered; `None`
    /// if none did.
    pub started: Option<SystemTime>,
    pub took: Duration,
    /// How long it took to connect to its host before that; zero for a command here,
    /// and if the host was not reached.
    pub connecting: Duration,
    pub attempts: u32,
    /// User and system time together.
    pub cpu: Duration,
    pub peak_kib: u64,
    /// Why it was cancelled or not started, why its host was not reached or the
    /// connection was lost, what could not be ended, that output was lost, or which
    /// wave check ended the failed block; empty otherwise.
    pub cause: String,
    /// A block's subtasks, in their order.
    pub members: Vec<Member>,
}

/// A subtask of a block and how it ended.
#[derive(Clone)]
pub struct Member {
    /// The host, or for `tasks=` the id.
    pub name: String,
    pub result: TaskResult,
    /// It was not reached, and `unreachable=` leaves it out of the criterion.
    pub left_out: bool,
}

impl Member {
    /// A member that the criterion counts.
    pub fn counted(name: String, result: TaskResult) -> Member {
        Member {
            name,
            result,
            left_out: false,
        }
    }
}

impl TaskResult {
    /// A result that no process left.
    pub fn without_process(outcome: Outcome, exit: i32, attempts: u32) -> TaskResult {
        TaskResult {
            outcome,
            exit,
            success: outcome == Outcome::Ok,
            timed_out: outcome == Outcome::Timeout,
            stdout: Captured::in_memory(""),
            stderr: Captured::in_memory(""),
            hostname: String::new(),
            command: String::new(),
            started: None,
            took: Duration::ZERO,
            connecting: Duration::ZERO,
            attempts,
            cpu: Duration::ZERO,
            peak_kib: 0,
            cause: String::new(),
            members: Vec::new(),
        }
    }

    /// The result of a task that was left out, and why.
    pub fn not_started(exit: i32, cause: &str) -> TaskResult {
        TaskResult {
            cause: cause.to_string(),
            ..TaskResult::without_process(Outcome::NotStarted, exit, 0)
        }
    }

    /// The same result for another run, with the outputs in its directory.
    ///
    /// # Errors
    /// That an output cannot be linked or copied.
    pub fn adopt(&self, spool: &Arc<Spool>) -> io::Result<TaskResult> {
        let mut result = self.clone();
        result.stdout = self.stdout.adopt(spool)?;
        result.stderr = self.stderr.adopt(spool)?;
        for member in &mut result.members {
            member.result = member.result.adopt(spool)?;
        }
        Ok(result)
    }

    /// `output lost after N bytes: REASON` if it is not all that its command printed.
    pub fn lost(&self) -> Option<&str> {
        self.stdout.lost().or(self.stderr.lost())
    }

    /// Whether output of it or of one of its subtasks was lost.
    pub fn has_loss(&self) -> bool {
        self.lost().is_some() || self.members.iter().any(|m| m.result.has_loss())
    }

    /// Whether a criterion applies: not to what never ran or was cut short.
    pub fn is_judged(&self) -> bool {
        let left_out = matches!(self.outcome, Outcome::NotStarted | Outcome::Cancelled);
        !left_out && !self.is_cut_short_and_unknown()
    }

    /// Whether tasker cut it short because of a signal, and nobody knows whether that
    /// ended it.
    pub fn is_cut_short_and_unknown(&self) -> bool {
        self.outcome == Outcome::Unknown && self.exit == CANCELLED
    }

    /// How long it took to connect to its host; `None` for a command here, and if the
    /// host was not reached.
    pub fn connect_time(&self) -> Option<Duration> {
        Some(self.connecting).filter(|time| !time.is_zero())
    }

    /// When it began to connect.
    pub fn connect_started(&self) -> Option<SystemTime> {
        self.started?.checked_sub(self.connect_time()?)
    }

    /// Whether nothing of it has run: then it has its outcome, and no other field.
    pub fn never_began(&self) -> bool {
        let left_out = matches!(self.outcome, Outcome::Skipped | Outcome::NotStarted);
        left_out && self.members.is_empty()
    }

    /// Why there is no value for the field that a command could use (SPEC §2.1);
    /// `None` if there is one, though it may be empty.
    pub fn why_missing(&self, field: Field) -> Option<&'static str> {
        if self.never_began() {
            let known = matches!(field, Field::Exit | Field::Success | Field::Outcome);
            let why = match self.outcome {
                Outcome::Skipped => "was skipped",
                _ => "was not started",
            };
            return (!known).then_some(why);
        }
        match self.outcome {
            _ if !field.is_required() => None,
            Outcome::Unreachable => Some("did not reach its host"),
            // What a script printed before a program was missing is its output.
            Outcome::Failed if self.is_unstarted() && self.stdout.len() == 0 => {
                Some("could not be started")
            }
            _ => None,
        }
    }

    /// Whether its exit code is that of a command that could not be started.
    fn is_unstarted(&self) -> bool {
        matches!(self.exit, exit::NOT_FOUND | exit::NOT_EXECUTABLE)
    }

    /// Sets the outcome by its success; without success a timeout stays a timeout.
    pub fn settle(&mut self, success: bool) {
        self.success = success;
        if success {
            self.outcome = Outcome::Ok;
        } else if self.outcome == Outcome::Ok {
            self.outcome = Outcome::Failed;
        }
    }

    /// How many subtasks of the block ended in each outcome.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.members
            .iter()
            .for_each(|m| counts.add(m.result.outcome));
        counts
    }

    /// The members that were wanted and did not succeed, without those left out.
    pub fn failed_members(&self) -> impl Iterator<Item = &Member> {
        self.members
            .iter()
            .filter(|m| m.result.outcome.is_failure() && !m.left_out)
    }

    /// The result of the first failed member that has a command. Members that the
    /// criterion leaves out explain the failure only if nothing succeeded.
    pub fn first_failed_command(&self) -> Option<&TaskResult> {
        let nothing = self.counts().count(Outcome::Ok) == 0;
        let results = self
            .failed_members()
            .chain(self.left_out().filter(|_| nothing));
        results.map(|m| &m.result).find(|r| !r.command.is_empty())
    }

    /// The wave check of the block, if it is why the block failed.
    pub fn failed_check(&self, block: &Task) -> Option<Ix> {
        let TaskKind::Parallel(parallel) = &block.kind else {
            return None;
        };
        let ended_by_check = self.outcome == Outcome::Failed && !self.cause.is_empty();
        parallel
            .wave_check
            .filter(|_| ended_by_check && !self.members.is_empty())
    }

    /// The members that the criterion does not count.
    pub fn left_out(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|m| m.left_out)
    }

    pub fn has_failed_member(&self) -> bool {
        self.failed_members().next().is_some()
    }

    /// The names of the members with one of these outcomes.
    pub fn members_with(&self, ended: &[Outcome]) -> Vec<&str> {
        self.members
            .iter()
            .filter(|m| ended.contains(&m.result.outcome))
            .map(|m| m.name.as_str())
            .collect()
    }
}

/// The latest result of every task that has one.
pub struct LatestResults {
    list: Vec<Option<TaskResult>>,
}

impl LatestResults {
    pub fn new(tasks: usize) -> LatestResults {
        LatestResults {
            list: (0..tasks).map(|_| None).collect(),
        }
    }

    pub fn get(&self, task: Ix) -> Option<&TaskResult> {
        self.list[task].as_ref()
    }

    pub fn get_mut(&mut self, task: Ix) -> Option<&mut TaskResult> {
        self.list[task].as_mut()
    }

    pub fn set(&mut self, task: Ix, result: TaskResult) {
        self.list[task] = Some(result);
    }

    pub fn all(&self) -> impl Iterator<Item = &TaskResult> {
        self.list.iter().flatten()
    }

    /// How many tasks ended in each outcome.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.list
            .iter()
            .flatten()
            .for_each(|r| counts.add(r.outcome));
        counts
    }
}
