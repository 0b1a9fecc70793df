//! What there is to tell of a run when it is over; JSON and the report draw it.
#![forbid(unsafe_code)]

use crate::plan::workflow::Workflow;
use crate::run::run_end::RunEnd;
use crate::task::mask::Mask;
use std::path::Path;
use std::time::{Duration, SystemTime};

pub struct RunSummary<'a> {
    /// The task file as the user named it.
    pub file: &'a str,
    pub run_id: &'a str,
    pub project: Option<&'a str>,
    /// The global `CHANGE`, as it may be shown.
    pub change: Option<&'a str>,
    pub began: SystemTime,
    pub took: Duration,
    pub exit: i32,
    /// Nothing where the run was refused before it had one.
    pub log: Option<&'a Path>,
    /// Why it failed, in one sentence; empty after a success.
    pub error: &'a str,
    pub mask: &'a Mask,
    /// Nothing where the run did not begin.
    pub walk: Option<Walk<'a>>,
}

/// What became of the tasks.
pub struct Walk<'a> {
    pub workflow: &'a Workflow,
    pub end: &'a RunEnd,
    /// The command line that goes on after a failure; empty where there is none.
    pub go_on: &'a str,
}
