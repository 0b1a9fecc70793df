//! What a validation found: shown, and kept as one entry of the day's report
//! (SPEC §6.2, §6.3).
#![forbid(unsafe_code)]

use crate::cli::invocation::Invocation;
use crate::exit;
use crate::plan::workflow::Workflow;
use crate::report::clock;
use crate::report::color::{self, Color};
use crate::report::invoker;
use crate::report::log_directory::LogDirectory;
use crate::report::print::{complain, complain_raw};
use crate::report::retention::Retention;
use crate::report::validation_summary::{self, ValidationSummary};
use crate::run::sys;
use crate::session::config::{ChosenDirectory, Config};
use crate::session::identity;
use crate::session::monitoring::Monitoring;
use crate::session::refusal::{self, Refusal};
use crate::task::mask::Mask;
use crate::text::diagnostic::{DiagnosticList, Plural, Severity, printable};
use crate::text::source::SourceMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What was found in a task file before any host is asked, and what is known of
/// the file whether or not it can be run.
pub struct Validation {
    /// The task file as the user named it.
    pub name: String,
    /// Its absolute path as it was named; see `identity`.
    pub named: PathBuf,
    /// Its real path if it has one, else the named one.
    pub real: PathBuf,
    /// What tells this job from others; see `identity`.
    pub job: String,
    /// It came from standard input.
    pub from_stdin: bool,
    /// Who asked for it, from where: see `invoker::describe_user`.
    pub who: String,
    /// The global `CHANGE`.
    pub change: Option<String>,
    /// Where this call writes. The file's own `-l` counts once it is accepted.
    pub log_directory: ChosenDirectory,
    /// Where earlier runs of the file are looked for: its own `-l` counts at once.
    pub records: ChosenDirectory,
    /// The log directory without regard to the options in the file, which are not
    /// always known: for what has to be found again after any kind of end.
    pub memory_directory: Option<PathBuf>,
    /// What `tasker.conf` says about who watches the runs.
    pub monitoring: Monitoring,
    /// And about how long records are kept.
    pub retention: Retention,
    /// The checks of the file.
    pub summary: ValidationSummary,
    /// The findings as they are drawn, secrets masked.
    findings: String,
    /// The same for the report: all of them.
    all_findings: String,
    /// `N errors, M warnings`
    counts: String,
    /// Whether the report is written even if its directory does not exist yet.
    always_kept: bool,
    pub mask: Mask,
    color: Color,
}

impl Validation {
    /// Of a file that was not looked into.
    pub fn of_unread(name: &str, invocation: &Invocation, config: &Config) -> Validation {
        let named = identity::named_path(Path::new(name));
        let real = std::fs::canonicalize(&named).unwrap_or_else(|_| named.clone());
        let log_directory = config.log_directory(invocation.log_dir.as_deref());
        Validation {
            name: name.to_string(),
            job: identity::job_of_file(&named, invocation),
            named,
            real,
            from_stdin: false,
            who: invoker::describe_user(&sys::own_name()),
            change: None,
            memory_directory: log_directory.as_ref().map(|(path, _)| path.clone()),
            records: log_directory.clone(),
            log_directory,
            monitoring: Monitoring::of_site(config),
            retention: config.retention(),
            summary: ValidationSummary::default(),
            findings: String::new(),
            all_findings: String::new(),
            counts: String::new(),
            always_kept: invocation.is_typed("run") || invocation.is_typed("validate-only"),
            mask: Mask::default(),
            color: invocation.color,
        }
    }

    /// The log directory, for what is written at this time.
    ///
    /// # Errors
    /// There is no home directory (32).
    pub fn log_directory_at(&self, now: SystemTime) -> Result<LogDirectory, Refusal> {
        directory_at(&self.log_directory, now)
    }

    /// The log directory of the file's earlier runs. It is only to be read before the
    /// file is accepted, when it becomes the one that is written.
    ///
    /// # Errors
    /// There is no home directory (32).
    pub fn records_at(&self, now: SystemTime) -> Result<LogDirectory, Refusal> {
        directory_at(&self.records, now)
    }

    /// Takes in what was found in the file. One without any task has nothing else
    /// that matters.
    pub fn take_findings(
        &mut self,
        workflow: &Workflow,
        diagnostics: &mut DiagnosticList,
        sources: &SourceMap,
        invocation: &Invocation,
        has_tasks: bool,
    ) {
        let is_empty = !has_tasks && !diagnostics.has_errors();
        if is_empty || invocation.skip_task_validation {
            diagnostics.drop_warnings();
        }
        self.mask = Mask::new(&workflow.globals, &workflow.tasks);
        self.change = workflow.globals.get("CHANGE").map(|g| g.shown());
        self.summary = match is_empty {
            true => ValidationSummary::for_empty_file(),
            false => ValidationSummary::for_file(diagnostics, invocation.skip_task_validation),
        };
        self.counts = format!(
            "{}, {}",
            Plural(diagnostics.count(Severity::Error), "error"),
            Plural(diagnostics.count(Severity::Warning), "warning")
        );
        self.findings = self.mask.apply(&diagnostics.draw(sources));
        self.all_findings = self.mask.apply(&diagnostics.draw_all(sources));
    }

    /// Why the file cannot be run, in one sentence; nothing if it can.
    pub fn error(&self) -> Option<String> {
        match self.summary.code {
            exit::OK => None,
            exit::NO_TASKS => Some("the file holds no tasks".into()),
            _ => Some(format!("the task file is invalid: {}", self.counts)),
        }
    }

    /// `; CHANGE x`, if there is one: the end of a line of a record.
    pub fn change_note(&self) -> String {
        let change = self.change.as_ref();
        change.map_or(String::new(), |c| format!("; CHANGE {c}"))
    }

    /// The findings as they are drawn.
    pub fn findings(&self) -> &str {
        &self.findings
    }

    /// `N errors, M warnings`
    pub fn counts(&self) -> &str {
        &self.counts
    }

    /// Shows the warnings of a file that can be run. A quiet run has them in its log.
    pub fn show_warnings(&self, invocation: &Invocation) {
        if !invocation.is_quiet_run() {
            show_skipped(invocation);
        }
        if let Some(option) = invocation.overrules_run {
            complain(format_args!(
                "tasker: note: {option} overrules -r; nothing is run"
            ));
        }
        if invocation.is_quiet_run() {
            return;
        }
        if !invocation.ignored.is_empty() {
            let old: Vec<String> = invocation
                .ignored
                .iter()
                .map(|o| format!("--{o}"))
                .collect();
            complain(format_args!(
                "tasker: note: these options no longer have an effect: {}",
                old.join(", ")
            ));
        }
        if !self.findings.is_empty() {
            self.show_findings(&self.findings);
            complain(format_args!("tasker: {}", self.counts));
        }
    }

    /// Prints findings to standard error, in colour if that is wanted.
    pub fn show_findings(&self, findings: &str) {
        match self.color.on_stderr() {
            true => complain_raw(format_args!("{}", color::diagnostics(findings))),
            false => complain_raw(format_args!("{findings}")),
        }
    }

    /// Adds an entry to the report: when, what, by whom, what was found, and how
    /// it ended. If it cannot be written, that is reported and changes nothing.
    pub fn keep(&self, summary: &ValidationSummary, code: i32) {
        let Some((directory, named)) = &self.log_directory else {
            return;
        };
        // Looking at a file leaves no traces where there are none yet.
        if !self.always_kept && !named && !directory.exists() {
            return;
        }
        let now = SystemTime::now();
        let change = self.change.as_ref();
        let change = change.map_or(String::new(), |c| format!("; CHANGE {}", printable(c)));
        let entry = format!(
            "[{}] Validation of {}\n{}{change}\n{}{}\n{}Exit code {code}\n\n",
            clock::stamp(now),
            printable(&self.real.display().to_string()),
            self.who,
            self.all_findings,
            self.counts,
            validation_summary::plain_lines(summary),
        );
        let log_dir = LogDirectory::new(directory.clone(), now);
        if let Err(e) = log_dir.append_to_validations(&self.mask.apply(&entry)) {
            complain(format_args!(
                "tasker: warning: the validation report is not written: {e}"
            ));
        }
    }
}

fn directory_at(chosen: &ChosenDirectory, now: SystemTime) -> Result<LogDirectory, Refusal> {
    let path = chosen.as_ref().map(|(path, _)| path.clone());
    path.map(|path| LogDirectory::new(path, now))
        .ok_or_else(refusal::homeless)
}

/// Says what is not checked.
pub fn show_skipped(invocation: &Invocation) {
    if invocation.skip_task_validation {
        complain(format_args!(
            "tasker: warning: flow checks and all warnings are skipped"
        ));
    }
    if invocation.skip_host_validation {
        complain(format_args!(
            "tasker: warning: hosts are neither resolved nor contacted before the run"
        ));
    }
}
