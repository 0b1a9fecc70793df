//! How a run ended: what its records say after the last event.
#![forbid(unsafe_code)]

use super::journal::Journal;
use super::result::LatestResults;
use crate::task::Ix;
use std::time::Duration;

pub struct RunEnd {
    pub exit: i32,
    /// The task the flow was at.
    pub last: Ix,
    pub results: LatestResults,
    /// The steps the flow took (SPEC §6.7).
    pub path: Vec<Ix>,
    /// The first failure that was not retried.
    pub first_failure: Option<Ix>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Why the flow ended where it did.
    pub why: String,
    pub took: Duration,
    /// The flow reached its end or a `return`.
    pub complete: bool,
    /// That a signal left out final tasks, or ended one, and which.
    pub finals_left: Option<String>,
    pub journal: Option<Journal>,
    /// Why the journal belongs to another run; nothing was run then.
    pub diverged: Option<String>,
}
