//! A run that has ended, or was refused, as the JSON results and the HTML report
//! show it.
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
    /// The global `CHANGE`, secrets masked.
    pub change: Option<&'a str>,
    pub began: SystemTime,
    pub took: Duration,
    pub exit: i32,
    /// None if the run was refused before it had a log.
    pub log: Option<&'a Path>,
    /// Why it failed, in one line. Empty after a success.
    pub error: &'a str,
    pub mask: &'a Mask,
    /// None if the run did not begin.
    pub tasks: Option<TaskSummary<'a>>,
}

/// How the tasks ended.
pub struct TaskSummary<'a> {
    pub workflow: &'a Workflow,
    pub end: &'a RunEnd,
    pub advice: &'a Advice,
}

/// How to continue after a failure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Advice {
    /// The command line; empty if there is none.
    pub line: String,
    /// What it leaves undone or does again, or why there is none.
    pub words: Vec<String>,
}
