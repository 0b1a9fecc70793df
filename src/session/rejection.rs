//! The one place where a run that did not begin is reported: on the console or in
//! the mail, to the alert program, and in the files that a program reads.
#![forbid(unsafe_code)]

use crate::cli::invocation::{Invocation, Mode};
use crate::exit;
use crate::report::html_report::HtmlReport;
use crate::report::log_directory::LogDirectory;
use crate::report::print::{complain, complain_raw, print};
use crate::report::run_summary::RunSummary;
use crate::report::{destination, validation_summary};
use crate::session::alert::Alert;
use crate::session::destinations::{self, JsonFile};
use crate::session::mail_once::{self, Failure};
use crate::session::metrics_files;
use crate::session::prune;
use crate::session::refusal::Refusal;
use crate::session::validation::{self, Validation};
use crate::text::diagnostic::printable;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Reports the refusal wherever it is waited for; its exit code.
pub fn report(invocation: &Invocation, validation: &Validation, refusal: &Refusal) -> i32 {
    let has_errors = validation.summary.code != exit::OK;
    // Otherwise it was shown before.
    if has_errors || invocation.is_quiet_run() {
        validation::show_skipped(invocation);
    }
    let show = || show(invocation, validation, refusal);
    // A file that is not even valid does not say what the call is for.
    let is_run = match has_errors {
        true => invocation.asks_to_run(),
        false => invocation.mode() == Mode::Run,
    };
    if is_run {
        let failure = Failure::of_refusal(refusal);
        mail_once::report(invocation, validation, &failure, show);
    } else {
        show();
    }
    if has_errors {
        validation.keep(&validation.summary, refusal.code);
    }
    if is_run {
        alert(invocation, validation, refusal);
        write_files(invocation, validation, refusal);
        tell_syslog(invocation, validation, refusal);
    }
    if is_run || has_errors {
        prune::after_record(validation);
    }
    refusal.code
}

/// Reports what is wrong with a call that has no task file; its exit code.
pub fn report_alone(refusal: &Refusal) -> i32 {
    complain_raw(format_args!("{}", refusal.findings));
    if refusal.findings.is_empty() {
        complain_error(refusal);
    }
    complain_raw(format_args!("{}", refusal.detail));
    refusal.code
}

fn show(invocation: &Invocation, validation: &Validation, refusal: &Refusal) {
    validation.show_findings(&refusal.findings);
    let name = printable(&validation.name);
    match validation.summary.code {
        exit::OK => complain_last(invocation, refusal),
        exit::NO_TASKS => {
            let why = &refusal.why;
            complain(format_args!("tasker: {name}: {why}; nothing was run"));
        }
        _ => {
            let counts = validation.counts();
            complain(format_args!("tasker: {name}: {counts}; nothing was run"));
        }
    }
    complain_raw(format_args!("{}", refusal.detail));
    if validation.summary.code != exit::OK && !invocation.run {
        print(&validation_summary::lines(&validation.summary));
    }
}

/// The last line, and the remedy. Where nothing was to run, that need not be said.
fn complain_last(invocation: &Invocation, refusal: &Refusal) {
    if refusal.is_usage {
        return complain_error(refusal);
    }
    let end = match invocation.run {
        true => "; nothing was run",
        false => "",
    };
    complain(format_args!("tasker: {}{end}", refusal.why));
    complain_help(refusal);
}

/// A mistake on the command line has the form of one in a file.
fn complain_error(refusal: &Refusal) {
    complain(format_args!("tasker: error: {}", printable(&refusal.why)));
    complain_help(refusal);
}

fn complain_help(refusal: &Refusal) {
    if let Some(help) = &refusal.help {
        complain(format_args!("     = help: {}", printable(help)));
    }
}

fn alert(invocation: &Invocation, validation: &Validation, refusal: &Refusal) {
    if let Some(program) = &invocation.alert_on_failure {
        let error = validation.mask.apply(&refusal.sentence());
        Alert::of_refusal(program, &validation.name, refusal.code, &error).send_alone();
    }
}

/// Writes the JSON and the page, so that those of an earlier run do not pass for
/// this one's. If that fails, it is reported and changes nothing.
fn write_files(invocation: &Invocation, validation: &Validation, refusal: &Refusal) {
    let now = SystemTime::now();
    let summary = RunSummary {
        file: &validation.name,
        run_id: "",
        project: invocation.project.as_deref(),
        change: validation.change.as_deref(),
        began: now,
        took: Duration::ZERO,
        exit: refusal.code,
        log: refusal.log.as_deref(),
        error: &refusal.sentence(),
        mask: &validation.mask,
        tasks: None,
    };
    let is_wanted = |path: &Path| {
        refusal.unwritable.as_deref() != Some(path)
            && !destinations::is_task_file(path, &validation.name)
    };
    if let Some(place) = JsonFile::wanted_by(invocation, &validation.name)
        && is_wanted(place.path())
    {
        let directory = validation.log_directory.as_ref();
        let directory = directory.map_or(Path::new("."), |(path, _)| path);
        let log_dir = LogDirectory::new(directory.to_path_buf(), now);
        if let Err(e) = place.write(&log_dir, &summary, &|| false) {
            complain(format_args!("tasker: --output-json: {e}"));
        }
    }
    if let Some(path) = &invocation.report
        && is_wanted(path)
    {
        let page = HtmlReport {
            run: &summary,
            who: &validation.who,
            findings: &format!("{}{}", refusal.findings, refusal.detail),
            details: None,
        };
        let page = page.draw();
        let written = destination::write(path, &|out| out.write_all(page.as_bytes()), &|| false);
        if let Err(e) = written {
            complain(format_args!("tasker: --report: {e}"));
        }
    }
    let files = metrics_files::of_job(invocation, validation);
    for problem in files.only(&is_wanted).write(&summary, &|| false) {
        complain(format_args!("tasker: {problem}"));
    }
}

fn tell_syslog(invocation: &Invocation, validation: &Validation, refusal: &Refusal) {
    let mask = &validation.mask;
    let Some(mut syslog) = validation.monitoring.syslog(invocation, mask) else {
        return;
    };
    let file = validation.real.display().to_string();
    syslog.refused(refusal.code, &file, &validation.who, &refusal.sentence());
    if let Some(why) = syslog.take_failure() {
        complain(format_args!("tasker: warning: {why}"));
    }
}
