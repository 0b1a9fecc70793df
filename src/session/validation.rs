//! The end of every validation: what it found is shown, and kept as one entry of
//! the day's report (SPEC §6.2, §6.3).
#![forbid(unsafe_code)]

use crate::cli::invocation::Invocation;
use crate::exit;
use crate::report::clock;
use crate::report::color::{self, Color};
use crate::report::invoker;
use crate::report::log_directory::LogDirectory;
use crate::report::print::{complain, complain_raw, print};
use crate::report::validation_summary::{self, ValidationSummary};
use crate::session::config::ChosenDirectory;
use crate::session::refusal::Refusal;
use crate::session::rejection::Refused;
use crate::task::mask::Mask;
use crate::text::diagnostic::{DiagnosticList, Plural, Severity, printable};
use crate::text::source::SourceMap;
use std::path::PathBuf;
use std::time::SystemTime;

/// What was found in the file, before any host is asked.
pub struct Validation {
    /// The task file as the user named it.
    pub name: String,
    /// Its real path, where it has one.
    pub real: PathBuf,
    /// All findings as they are drawn, secrets masked.
    findings: String,
    /// `N errors, M warnings`
    counts: String,
    pub of_file: ValidationSummary,
    pub log_directory: ChosenDirectory,
    /// Whether the report is written even where it needs a new directory.
    always_kept: bool,
    asked: Asked,
    mask: Mask,
    color: Color,
}

/// By whom this was asked for, from where, and for which `CHANGE`.
pub struct Asked {
    pub by: String,
    pub change: Option<String>,
}

impl Validation {
    /// Draws what was found in the file.
    pub fn new(
        name: &str,
        invocation: &Invocation,
        log_directory: ChosenDirectory,
        asked: Asked,
        mask: Mask,
        diagnostics: &mut DiagnosticList,
        sources: &SourceMap,
    ) -> Validation {
        let count = |severity| diagnostics.count(severity);
        Validation {
            name: name.to_string(),
            real: std::fs::canonicalize(name).unwrap_or_else(|_| PathBuf::from(name)),
            counts: format!(
                "{}, {}",
                Plural(count(Severity::Error), "error"),
                Plural(count(Severity::Warning), "warning")
            ),
            of_file: ValidationSummary::of_file(diagnostics, invocation.skip_task_validation),
            findings: mask.apply(&diagnostics.draw(sources)),
            always_kept: invocation.run || invocation.validate_only,
            log_directory,
            asked,
            mask,
            color: invocation.color,
        }
    }

    /// Who asked for it, from where, as `invoker::describe_user` tells it.
    pub fn who(&self) -> &str {
        &self.asked.by
    }

    /// Shows what is wrong with a file that cannot be run; the exit code.
    pub fn refuse(&self, invocation: &Invocation) -> i32 {
        self.show_findings();
        let name = printable(&self.name);
        match self.of_file.code {
            exit::NO_TASKS => complain(format_args!(
                "tasker: {name}: it holds no tasks; nothing was run"
            )),
            _ => complain(format_args!(
                "tasker: {name}: {}; nothing was run",
                self.counts
            )),
        }
        if !invocation.run {
            print(&validation_summary::lines(&self.of_file));
        }
        self.keep(&self.of_file, self.of_file.code);
        let why = match self.of_file.code {
            exit::NO_TASKS => "it holds no tasks".to_string(),
            _ => format!("the task file is invalid: {}", self.counts),
        };
        self.tell(invocation, &Refusal::new(self.of_file.code, why));
        self.of_file.code
    }

    /// Tells whoever waits for a run that it did not begin.
    pub fn tell(&self, invocation: &Invocation, refusal: &Refusal) {
        let directory = self.log_directory.as_ref();
        Refused {
            invocation,
            log_directory: directory.map(|(path, _)| path.as_path()),
            file: &self.name,
            change: self.asked.change.as_deref(),
            code: refusal.code,
            why: &refusal.why,
            said: match self.of_file.code {
                exit::OK => &refusal.detail,
                _ => &self.findings,
            },
            who: &self.asked.by,
            log: refusal.log.as_deref(),
            mask: &self.mask,
        }
        .tell();
    }

    /// Shows the warnings of a file that can be run.
    pub fn advise(&self) {
        if !self.findings.is_empty() {
            self.show_findings();
            complain(format_args!("tasker: {}", self.counts));
        }
    }

    fn show_findings(&self) {
        match self.color.on_stderr() {
            true => complain_raw(format_args!("{}", color::findings(&self.findings))),
            false => complain_raw(format_args!("{}", self.findings)),
        }
    }

    /// Adds an entry to the report: when, what, by whom, what was found, and how
    /// it ended. That it cannot be written is told and changes nothing.
    pub fn keep(&self, findings: &ValidationSummary, code: i32) {
        let Some((directory, named)) = &self.log_directory else {
            return;
        };
        // Looking at a file leaves no traces where there are none yet.
        if !self.always_kept && !named && !directory.exists() {
            return;
        }
        let now = SystemTime::now();
        let entry = format!(
            "[{}] Validation of {}\n{}\n{}{}\n{}Exit code {code}\n\n",
            clock::stamp(now),
            printable(&self.real.display().to_string()),
            self.asked.head(),
            self.findings,
            self.counts,
            validation_summary::plain_lines(findings),
        );
        let log_dir = LogDirectory::new(directory.clone(), now);
        if let Err(e) = log_dir.append_to_validations(&self.mask.apply(&entry)) {
            complain(format_args!(
                "tasker: warning: cannot add to the validation report: {e}"
            ));
        }
    }
}

impl Asked {
    pub fn new(own_name: &str, change: Option<String>) -> Asked {
        Asked {
            by: invoker::describe_user(own_name),
            change,
        }
    }

    /// All of it, for the heads of records.
    fn head(&self) -> String {
        let change = self.change.as_ref();
        let change = change.map_or(String::new(), |c| format!("; CHANGE {c}"));
        format!("{}{change}", self.by)
    }
}
