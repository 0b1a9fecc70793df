//! The end of a real run: the last lines of the log, the project's summary, the
//! files for programs, the recap, and the alert (SPEC §6.3 to §6.7).
#![forbid(unsafe_code)]

use crate::exit;
use crate::plan::flow::Policy;
use crate::report::destination;
use crate::report::history::History;
use crate::report::html_report::{HtmlReport, RunDetails};
use crate::report::last_hosts::HostEnd;
use crate::report::log::LogLevel;
use crate::report::log_directory::{self, LogDirectory};
use crate::report::project_summary::{self, ProjectRow};
use crate::report::recap::Recap;
use crate::report::reporter::Reporter;
use crate::report::run_summary::{Advice, RunSummary, TaskSummary};
use crate::report::{endings, print};
use crate::run::interrupt::{Interrupt, SignalLevel};
use crate::run::journal::Journal;
use crate::run::run_end::RunEnd;
use crate::session::advice::EndToAdvise;
use crate::session::alert::Alert;
use crate::session::destinations::JsonFile;
use crate::session::load::Loaded;
use crate::session::mail_once::{self, Failure};
use crate::session::metrics_files::{self, Problem};
use crate::session::scope::RunScope;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A run that has ended.
pub struct EndedRun<'a> {
    pub loaded: &'a Loaded,
    pub log_dir: &'a LogDirectory,
    pub run_id: &'a str,
    /// See `Header::number`.
    pub number: u64,
    pub began: SystemTime,
    pub end: &'a RunEnd,
    /// The plan as it was before the run, for a report.
    pub drawn_plan: &'a str,
    /// Where it began, and the hosts it was limited to.
    pub scope: &'a RunScope,
    pub policy: Policy,
    /// What a signal to tasker ends: the waits of this end.
    pub interrupt: &'a Interrupt,
}

impl EndedRun<'_> {
    /// Writes the end of the run everywhere else.
    pub fn close(&self, report: &mut Reporter, journal: Option<&mut Journal>) {
        self.save_hosts(report);
        let advice = EndToAdvise {
            loaded: self.loaded,
            end: self.end,
            run_id: self.run_id,
            scope: self.scope,
            has_journal: journal.is_some(),
            journal_is_gone: journal.as_ref().is_some_and(|journal| journal.is_gone()),
            policy: self.policy,
        };
        let advice = advice.advise();
        if let Some(journal) = journal {
            journal.note_advice(&advice.line, &advice.words);
        }
        self.write_json(report, &advice);
        self.recap(report, advice.clone());
        self.write_page(report, &advice);
        self.write_metrics(report, &advice);
        self.tell_syslog(report);
    }

    /// Writes the results as JSON, if they are wanted.
    fn write_json(&self, report: &mut Reporter, advice: &Advice) {
        let invocation = &self.loaded.invocation;
        let Some(place) = JsonFile::wanted_by(invocation, &self.loaded.name) else {
            return;
        };
        let log = report.log.path();
        let stop = self.end_of_patience();
        let written = self.with_summary(log, advice, &|summary| {
            place.write(self.log_dir, summary, &stop)
        });
        if let Err(e) = written {
            self.lost(report, &format!("--output-json: {e}"));
        }
    }

    /// Writes the HTML report, if it is wanted.
    fn write_page(&self, report: &mut Reporter, advice: &Advice) {
        let path = self.loaded.invocation.report.as_ref();
        let Some((path, mut history)) = path.zip(report.history.take()) else {
            return;
        };
        history.close_all();
        let log = report.log.path();
        let stop = self.end_of_patience();
        let written = self.with_summary(log, advice, &|summary| {
            let page = self.draw_page(summary, &history);
            destination::write(path, &|out| out.write_all(page.as_bytes()), &stop)
        });
        if let Err(e) = written {
            self.lost(report, &format!("--report: {e}"));
        }
    }

    /// Writes the metrics, if they are wanted.
    fn write_metrics(&self, report: &mut Reporter, advice: &Advice) {
        let loaded = self.loaded;
        let stop = self.end_of_patience();
        let files = metrics_files::of_job(&loaded.invocation, &loaded.validation);
        let log = report.log.path();
        let written = self.with_summary(log, advice, &|summary| files.write(summary, &stop));
        for problem in written {
            match problem {
                Problem::Unwritten(text) => self.lost(report, &text),
                Problem::Replaced(text) => report.warn(&text),
            }
        }
    }

    fn tell_syslog(&self, report: &mut Reporter) {
        let validation = &self.loaded.validation;
        let file = validation.real.display().to_string();
        let (change, log) = (validation.change_note(), report.log.path().to_path_buf());
        report.tell_syslog(|syslog| syslog.end(self.end, &file, &change, &log));
    }

    fn draw_page(&self, summary: &RunSummary, history: &History) -> String {
        let loaded = self.loaded;
        let text = &loaded.sources.get(loaded.file).text;
        let details = RunDetails {
            history,
            plan: self.drawn_plan,
            task_file: &log_directory::mask_definitions(text, loaded.mask()),
            sources: &loaded.sources,
        };
        let page = HtmlReport {
            run: summary,
            who: &loaded.validation.who,
            findings: "",
            details: Some(details),
        };
        page.draw()
    }

    /// Reports a record that could not be written; the run continues.
    fn lost(&self, report: &mut Reporter, text: &str) {
        print::complain(format_args!("tasker: {text}"));
        report.log.write(LogLevel::Error, text);
    }

    fn with_summary<T>(&self, log: &Path, advice: &Advice, use_it: &dyn Fn(&RunSummary) -> T) -> T {
        let invocation = &self.loaded.invocation;
        let error = endings::run_error(&self.loaded.workflow.tasks, self.end);
        use_it(&RunSummary {
            file: &self.loaded.name,
            run_id: self.run_id,
            project: invocation.project.as_deref(),
            change: self.loaded.validation.change.as_deref(),
            began: self.began,
            took: self.end.took,
            exit: self.end.exit,
            log: Some(log),
            error: &error,
            mask: self.loaded.mask(),
            tasks: Some(TaskSummary {
                workflow: &self.loaded.workflow,
                end: self.end,
                advice,
            }),
        })
    }

    fn recap(&self, report: &mut Reporter, advice: Advice) {
        let (end, loaded) = (self.end, self.loaded);
        let recap = Recap {
            file: &loaded.name,
            sources: &loaded.sources,
            workflow: &loaded.workflow,
            end,
            log: report.log.path().display().to_string(),
            advice,
        };
        if end.exit == exit::OK {
            report.console.end(&recap);
            return mail_once::recovered(loaded);
        }
        let failure = Failure::of_end(loaded, end, report.log.path());
        mail_once::report(&loaded.invocation, &loaded.validation, &failure, || {
            report.console.end(&recap)
        });
    }

    /// Runs the alert program for a run that failed; how that went is only logged.
    pub fn alert(&self, report: &mut Reporter, state_file: PathBuf) {
        let Some(program) = &self.loaded.invocation.alert_on_failure else {
            return;
        };
        if self.end.exit == exit::OK {
            return;
        }
        let failed = self.end.first_failure.unwrap_or(self.end.last);
        let alert = Alert {
            state_file: match state_file.exists() {
                true => state_file,
                false => PathBuf::new(),
            },
            log_file: report.log.path().to_path_buf(),
            failed_task: self.loaded.workflow.tasks[failed].id.to_string(),
            ..Alert::of_refusal(
                program,
                &self.loaded.name,
                self.end.exit,
                &endings::run_error(&self.loaded.workflow.tasks, self.end),
            )
        };
        match alert.send(&self.further_signal()) {
            Ok(()) => report
                .log
                .write(LogLevel::Info, "The alert program was run"),
            Err(why) => report.log.write(LogLevel::Warn, &why),
        }
    }

    /// Whether nothing is to be waited for: a signal has come from here on, or the one
    /// that ends everything at once.
    fn end_of_patience(&self) -> impl Fn() -> bool {
        let further_signal = self.further_signal();
        move || further_signal() || self.interrupt.level() == SignalLevel::Kill
    }

    /// Whether a signal has come from here on.
    fn further_signal(&self) -> impl Fn() -> bool {
        let before = self.interrupt.level();
        move || self.interrupt.level() > before
    }

    /// Keeps the outcome of each host of a block, for `--limit last:…`.
    fn save_hosts(&self, report: &mut Reporter) {
        let Some(work) = &self.loaded.identity.work else {
            return;
        };
        let mut ends = self.host_ends();
        ends.sort_unstable();
        ends.dedup();
        if let Err(e) = self.log_dir.save_last_hosts(work, self.number, &ends) {
            let text = format!("Cannot keep the hosts for --limit last: {e}");
            report.log.write(LogLevel::Warn, &text);
        }
    }

    /// How each host of a block ended.
    fn host_ends(&self) -> Vec<HostEnd<'_>> {
        let mut ends = Vec::new();
        for (ix, task) in self.loaded.workflow.tasks.iter().enumerate() {
            let over_hosts = task.is_over_hosts();
            let Some(result) = self.end.results.get(ix).filter(|_| over_hosts) else {
                continue;
            };
            ends.extend(result.members.iter().map(|member| HostEnd {
                block: task.id,
                host: &member.name,
                outcome: member.result.outcome,
            }));
        }
        ends
    }
}

/// The last lines of the log.
pub fn last_lines(loaded: &Loaded, end: &RunEnd, report: &mut Reporter) {
    let tasks = &loaded.workflow.tasks;
    let path = end.path.iter().map(|ix| tasks[*ix].id.to_string());
    let path = path.collect::<Vec<String>>().join(" ");
    report.log.write(LogLevel::Info, &format!("Path: {path}"));
    let level = match end.exit {
        exit::OK => LogLevel::Info,
        _ => LogLevel::Error,
    };
    let line = format!(
        "Run ended: {}, exit code {}, {}, final task {}",
        project_summary::status(end.exit),
        end.exit,
        end.results.counts(),
        tasks[end.last].id
    );
    report.log.write(level, &line);
}

/// Adds the run to the summary of its project.
pub fn add_to_project(
    loaded: &Loaded,
    log_dir: &LogDirectory,
    project: &str,
    end: &RunEnd,
    report: &Reporter,
) {
    let last = end.results.get(end.last);
    let row = ProjectRow {
        file: &loaded.name,
        task: loaded.workflow.tasks[end.last].id,
        host: last.map_or("", |r| r.hostname.as_str()),
        exit: end.exit,
        log: &report.log.path().display().to_string(),
    };
    if let Err(e) = log_dir.append_to_project(project, &row) {
        print::complain(format_args!(
            "tasker: cannot add the run to the summary of project {project}: {e}"
        ));
    }
}
