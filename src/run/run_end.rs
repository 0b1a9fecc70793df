//! How a run ended: what its records say after the last event.
#![forbid(unsafe_code)]

use super::journal::Journal;
use super::result::LatestResults;
use crate::outcome::Outcome;
use crate::task::Ix;
use std::collections::HashMap;
use std::time::Duration;

pub struct RunEnd {
    pub exit: i32,
    /// The task the flow was at.
    pub last: Ix,
    pub results: LatestResults,
    /// The steps the flow took (SPEC §6.7).
    pub path: Vec<Ix>,
    /// Those of them that answered a failure: handlers, and what came after them.
    pub handlers: Vec<Ix>,
    /// The first failure that was neither retried nor made good by a later visit.
    pub first_failure: Option<Ix>,
    /// The task whose failure stopped the run.
    pub stopped_at: Option<Ix>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Why the flow ended where it did.
    pub why: String,
    pub took: Duration,
    /// The flow reached its end or a `return`.
    pub complete: bool,
    /// That a signal left out final tasks, or ended one, and which.
    pub finals_left: Option<String>,
    /// The hosts of each block that `--limit` and `--exclude` left out.
    pub beyond_limit: HashMap<Ix, Vec<String>>,
    pub journal: Option<Journal>,
    /// Why the journal belongs to another run; nothing was run then.
    pub diverged: Option<String>,
}

impl RunEnd {
    /// Whether every task and host that has an outcome is `ok` or `skipped`.
    pub fn is_all_ok(&self) -> bool {
        let is_well = |outcome: Outcome| matches!(outcome, Outcome::Ok | Outcome::Skipped);
        self.results.all().all(|result| {
            let mut members = result.members.iter();
            is_well(result.outcome) && members.all(|m| is_well(m.result.outcome))
        })
    }
}
