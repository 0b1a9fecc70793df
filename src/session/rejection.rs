//! A run that was wanted and did not begin: whoever waits for its end is told.
#![forbid(unsafe_code)]

use crate::cli::invocation::Invocation;
use crate::report::html_report::HtmlReport;
use crate::report::log_directory::LogDirectory;
use crate::report::print::complain;
use crate::report::replace_file;
use crate::report::results_json;
use crate::report::run_summary::RunSummary;
use crate::session::alert::Alert;
use crate::session::destinations::{self, JsonFile};
use crate::task::mask::Mask;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Why it did not begin, and what there was of it.
pub struct Refused<'a> {
    pub invocation: &'a Invocation,
    /// Nothing where there is none, or it is not known.
    pub log_directory: Option<&'a Path>,
    /// The task file as the user named it.
    pub file: &'a str,
    pub change: Option<&'a str>,
    pub code: i32,
    /// One sentence.
    pub why: &'a str,
    /// What was found; lines.
    pub said: &'a str,
    /// Who asked, from where; empty where that is not known.
    pub who: &'a str,
    pub log: Option<&'a Path>,
    pub mask: &'a Mask,
}

impl Refused<'_> {
    /// Sends the alert and writes what a program reads. What fails of this is
    /// told and changes nothing.
    pub fn tell(&self) {
        if !self.invocation.run {
            return;
        }
        if let Some(program) = &self.invocation.alert_on_failure {
            let error = self.mask.apply(self.why);
            Alert::of_refusal(program, self.file, self.code, &error).send_alone();
        }
        self.write();
    }

    fn write(&self) {
        let now = SystemTime::now();
        let account = RunSummary {
            file: self.file,
            run_id: "",
            project: self.invocation.project.as_deref(),
            change: self.change,
            began: now,
            took: Duration::ZERO,
            exit: self.code,
            log: self.log,
            error: self.why,
            mask: self.mask,
            walk: None,
        };
        self.write_json(&account);
        self.write_page(&account);
    }

    fn write_json(&self, account: &RunSummary) {
        let place = JsonFile::of(self.invocation, self.file);
        let Some(place) = place.filter(|p| !p.is_task_file()) else {
            return;
        };
        let directory = self.log_directory.unwrap_or(Path::new("."));
        let log_dir = LogDirectory::new(directory.to_path_buf(), account.began);
        if let Err(e) = place.write(&log_dir, &results_json::draw(account)) {
            complain(format_args!("tasker: {e}"));
        }
    }

    /// So that the page of an earlier run does not pass for this one's.
    fn write_page(&self, account: &RunSummary) {
        let report = self.invocation.report.as_ref();
        let Some(path) = report.filter(|p| !destinations::is_task_file(p, self.file)) else {
            return;
        };
        let page = HtmlReport {
            account,
            who: self.who,
            detail: self.said,
            story: None,
        };
        if let Err(e) = replace_file::replace(path, page.draw().as_bytes()) {
            complain(format_args!("tasker: {e}"));
        }
    }
}
