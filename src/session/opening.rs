//! The beginning of a real run in its records: the log with its head, the copy of
//! the task file, the first event (SPEC §6.3).
#![forbid(unsafe_code)]

use crate::plan::coverage::Coverage;
use crate::report::clock;
use crate::report::console::Console;
use crate::report::event_stream::{EventStream, StreamHead};
use crate::report::log::{Log, LogLevel};
use crate::report::log_directory::LogDirectory;
use crate::report::output_files::OutputFiles;
use crate::report::reporter::Reporter;
use crate::report::syslog::BeginMessage;
use crate::session::load::Loaded;
use crate::session::preflight;
use crate::text::diagnostic::Plural;
use crate::text::{duration, sha256};
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

/// Opens everything that follows the run.
///
/// # Errors
/// That something cannot be written; the file is named.
pub fn open(loaded: &Loaded, log_dir: &LogDirectory) -> io::Result<Reporter> {
    let (invocation, mask) = (&loaded.invocation, loaded.mask());
    let place = log_dir.clone();
    let make = Box::new(move || place.create_log());
    let mut log = Log::new(make, invocation.log_level, mask.clone())?;
    if !invocation.no_task_backup {
        log_dir.copy_task_file(&loaded.name, &loaded.sources.get(loaded.file).text, mask)?;
    }
    let outputs = invocation.keep_output.as_ref();
    let outputs = outputs.map(|directory| OutputFiles::new(directory, mask.clone()));
    let outputs = outputs.transpose()?;
    let tasks = loaded.workflow.tasks.len();
    let open = |path: &PathBuf| EventStream::open(path, mask.clone());
    let events = invocation.events.as_ref().map(open).transpose();
    let events = events.inspect_err(|e| log.write(LogLevel::Error, &e.to_string()))?;
    Ok(Reporter {
        outputs,
        history: None,
        syslog: loaded.validation.monitoring.syslog(invocation, mask),
        console: Console::new(invocation.quiet, invocation.color, mask.clone(), tasks),
        log,
        events,
    })
}

/// What the head of the records says of the run.
pub struct Opening<'a> {
    pub loaded: &'a Loaded,
    pub run_id: &'a str,
    /// The plan's id as people read it.
    pub plan_id: &'a str,
    pub coverage: &'a Coverage,
    /// When the deadline is, as a clock shows it.
    pub deadline: Option<SystemTime>,
    /// An earlier run is resumed.
    pub is_resumed: bool,
}

impl Opening<'_> {
    /// Writes the head of the log, and the first event.
    pub fn write(&self, report: &mut Reporter) {
        report.log.write_lines(LogLevel::Info, &self.head());
        if self.loaded.invocation.skip_task_validation {
            let text = "Flow checks and all warnings were skipped";
            report.log.write(LogLevel::Warn, text);
        }
        let log_file = report.log.path().display().to_string();
        let head = StreamHead {
            run_id: self.run_id,
            task_file: &self.loaded.validation.real.display().to_string(),
            sha256: &self.task_file_sha256(),
            plan: self.plan_id,
            project: self.loaded.invocation.project.as_deref(),
            change: self.loaded.validation.change.as_deref(),
            tasks: self.loaded.workflow.tasks.len(),
            log_file: &log_file,
            resumed: self.is_resumed,
        };
        report.follow(|events| events.begin(&head));
        let beginning = BeginMessage {
            run_id: self.run_id,
            task_file: head.task_file,
            who: &self.loaded.validation.who,
            plan: self.plan_id,
            hosts: &preflight::named_targets(self.loaded, self.coverage),
            change: &self.loaded.validation.change_note(),
        };
        report.tell_syslog(|syslog| syslog.begin(&beginning));
    }

    /// Who runs what, from where.
    fn head(&self) -> Vec<String> {
        let loaded = self.loaded;
        let change = loaded.validation.change_note();
        let config = loaded.config.file.map(|file| {
            let source = loaded.sources.get(file);
            let sha256 = sha256::hex(source.text.as_bytes());
            format!("Configuration {}, SHA-256 {sha256}", source.name)
        });
        let tasks = Plural(loaded.workflow.tasks.len(), "task");
        let mut lines = vec![
            format!(
                "tasker {} run {}{change}",
                env!("CARGO_PKG_VERSION"),
                self.run_id
            ),
            format!(
                "Task file {}, SHA-256 {}",
                loaded.validation.real.display(),
                self.task_file_sha256()
            ),
        ];
        lines.extend(config);
        lines.extend([
            loaded.validation.who.clone(),
            format!("Plan {}", self.plan_id),
            format!(
                "Default timeout {}, targets {}",
                duration::setting(loaded.defaults.timeout),
                preflight::named_targets(loaded, self.coverage)
            ),
        ]);
        let deadline = self.deadline.map(clock::stamp);
        lines.extend(deadline.map(|at| format!("Deadline {at}")));
        lines.push(format!("Task validation passed ({tasks})"));
        lines
    }

    fn task_file_sha256(&self) -> String {
        sha256::hex(self.loaded.sources.get(self.loaded.file).text.as_bytes())
    }
}
