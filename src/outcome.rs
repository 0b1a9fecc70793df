//! How a task ended: always exactly one of eight words, the same everywhere.
#![forbid(unsafe_code)]

use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    Ok,
    Failed,
    Timeout,
    Unreachable,
    /// Ended before its time by a signal to tasker or a deadline.
    Cancelled,
    NotStarted,
    Skipped,
    /// It ran, but nobody saw how it ended.
    Unknown,
}

impl Outcome {
    pub const ALL: [Outcome; 8] = [
        Outcome::Ok,
        Outcome::Failed,
        Outcome::Timeout,
        Outcome::Unreachable,
        Outcome::Cancelled,
        Outcome::NotStarted,
        Outcome::Skipped,
        Outcome::Unknown,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Failed => "failed",
            Outcome::Timeout => "timeout",
            Outcome::Unreachable => "unreachable",
            Outcome::Cancelled => "cancelled",
            Outcome::NotStarted => "not_started",
            Outcome::Skipped => "skipped",
            Outcome::Unknown => "unknown",
        }
    }

    /// Whether it is the outcome of a task that was wanted and did not succeed.
    pub fn is_failure(self) -> bool {
        !matches!(self, Outcome::Ok | Outcome::Skipped)
    }
}

/// The subtasks of a block that ended in some of the outcomes: a field of its result,
/// as in `@5_failed_hosts@`, and a choice of `--limit last:…` (SPEC §2.1, §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostSet {
    Ok,
    /// A change may have been made, and is not known to be good.
    Failed,
    Unreachable,
    NotStarted,
    Unknown,
    /// All that were wanted and did not succeed.
    NotOk,
}

impl HostSet {
    pub fn outcomes(self) -> &'static [Outcome] {
        use Outcome::*;
        match self {
            HostSet::Ok => &[Ok],
            HostSet::Failed => &[Failed, Timeout, Unknown, Cancelled],
            HostSet::Unreachable => &[Unreachable],
            HostSet::NotStarted => &[NotStarted],
            HostSet::Unknown => &[Unknown],
            HostSet::NotOk => &[Failed, Timeout, Unreachable, Cancelled, NotStarted, Unknown],
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How many tasks ended in each outcome; the eight add up to the total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; 8]);

impl Counts {
    pub fn add(&mut self, outcome: Outcome) {
        self.0[outcome as usize] += 1;
    }

    pub fn count(&self, outcome: Outcome) -> u64 {
        self.0[outcome as usize]
    }

    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl fmt::Display for Counts {
    /// `3 ok, 1 failed`; only what there is.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let mut first = true;
        for outcome in Outcome::ALL.into_iter().filter(|o| self.count(*o) > 0) {
            let comma = if std::mem::take(&mut first) { "" } else { ", " };
            write!(f, "{comma}{} {outcome}", self.count(outcome))?;
        }
        if first {
            f.write_str("nothing ran")
        } else {
            Ok(())
        }
    }
}
