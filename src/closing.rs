//! The end of a real run: its last words in the log, the project's summary, the
//! records for a program, the recap, and the alert (SPEC §6.3 to §6.7).
#![forbid(unsafe_code)]

use crate::alert::Alert;
use crate::exit;
use crate::load::Loaded;
use crate::outcome::Outcome;
use crate::report::console::Closing;
use crate::report::log::Level;
use crate::report::records::Records;
use crate::report::{Report, clock, show};
use crate::run::engine::RunEnd;
use crate::run::interrupt::Interrupt;
use crate::task::Ix;
use crate::text::quote;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::SystemTime;

/// Whether a run may begin at the task: not at a final one, nor inside a block.
fn can_start_at(loaded: &Loaded, ix: Ix) -> bool {
    let workflow = &loaded.workflow;
    !workflow.tasks[ix].finally && !matches!(workflow.owner_of(ix), Some((_, false)))
}

/// The last words: log, project summary, recap.
pub fn close(
    loaded: &Loaded,
    records: &Records,
    report: &mut Report,
    end: &RunEnd,
    option: Option<&str>,
) {
    let workflow = &loaded.workflow;
    let last = &workflow.tasks[end.last];
    let host = end
        .results
        .get(end.last)
        .map_or("", |r| r.hostname.as_str());
    let status = if end.exit == exit::OK {
        "SUCCESS"
    } else {
        "FAILED"
    };
    let path: Vec<String> = end
        .path
        .iter()
        .map(|ix| workflow.tasks[*ix].id.to_string())
        .collect();
    report
        .log
        .say(Level::Info, &format!("Path: {}", path.join(" ")));
    let level = if end.exit == exit::OK {
        Level::Info
    } else {
        Level::Error
    };
    report.log.say(
        level,
        &format!(
            "Run ended: {status}, exit code {}, {}, final task {}",
            end.exit, end.counts, last.id
        ),
    );
    if let Some(project) = &loaded.invocation.project {
        let line = format!(
            "{} | {} | {} | {} | {} | {status} | {}",
            clock::stamp(SystemTime::now()),
            field(&loaded.name),
            last.id,
            field(if host.is_empty() { "-" } else { host }),
            end.exit,
            field(&report.log.path().display().to_string())
        );
        if let Err(e) = records.add_to_project(project, &line) {
            show::complain(format_args!(
                "tasker: cannot add to the summary of project {project}: {e}"
            ));
        }
    }
    save_hosts(loaded, records, report, end);
    let failed = end
        .first_failure
        .and_then(|ix| end.results.get(ix).map(|r| (&workflow.tasks[ix], r)));
    let closing = Closing {
        file: &loaded.name,
        place: end.first_failure.map_or(loaded.name.clone(), |ix| {
            loaded.sources.place(workflow.tasks[ix].at)
        }),
        failed,
        log: report.log.path().display().to_string(),
        go_on: match option {
            Some(option) => command_line(loaded, format!("tasker -r {option}"), None),
            None => end
                .first_failure
                .map_or(String::new(), |ix| go_on(loaded, ix)),
        },
        total: workflow.tasks.len(),
    };
    report.console.end(end, &closing);
}

/// Tells the alert program of a run that failed; how that went is only logged.
pub fn alert(
    loaded: &Loaded,
    report: &mut Report,
    end: &RunEnd,
    state_file: PathBuf,
    interrupt: &Interrupt,
) {
    let Some(program) = &loaded.invocation.alert_on_failure else {
        return;
    };
    if end.exit == exit::OK {
        return;
    }
    let tasks = &loaded.workflow.tasks;
    let failed = end.first_failure.unwrap_or(end.last);
    let error = match end.first_failure.and_then(|ix| end.results.get(ix)) {
        Some(result) => format!(
            "task {}: {}, exit code {}",
            tasks[failed].id, result.outcome, result.exit
        ),
        None => end.why.clone(),
    };
    let alert = Alert {
        state_file: match state_file.exists() {
            true => state_file,
            false => PathBuf::new(),
        },
        log_file: report.log.path().to_path_buf(),
        failed_task: tasks[failed].id.to_string(),
        ..Alert::of_refusal(program, &loaded.name, end.exit, &error)
    };
    // A further signal ends the alert.
    let before = interrupt.level();
    match alert.send(&|| interrupt.level() > before) {
        Ok(()) => report.log.say(Level::Info, "The alert program was run"),
        Err(why) => report.log.say(Level::Warn, &why),
    }
}

/// The command line that goes on at a failed task; for a block over hosts, with
/// those that failed.
fn go_on(loaded: &Loaded, ix: Ix) -> String {
    if loaded.from_stdin || !can_start_at(loaded, ix) {
        return String::new();
    }
    let task = &loaded.workflow.tasks[ix];
    let over_hosts = task.is_block() && task.command().is_some();
    let limit = match &loaded.invocation.limit {
        _ if over_hosts => Some("--limit last:failed".to_string()),
        Some(set) => Some(format!("--limit {}", quote::word(set))),
        None => None,
    };
    let begin = format!("tasker -r --start-from {}", task.id);
    command_line(loaded, begin, limit)
}

/// A command line about this file, with the options that are needed again.
fn command_line(loaded: &Loaded, begin: String, limit: Option<String>) -> String {
    let again = loaded.invocation.again.iter().cloned();
    let words = [begin].into_iter().chain(limit).chain(again);
    words
        .chain([quote::word(&loaded.name)])
        .collect::<Vec<_>>()
        .join(" ")
}

/// Keeps how each host of a block ended, for `--limit last:…`.
fn save_hosts(loaded: &Loaded, records: &Records, report: &mut Report, end: &RunEnd) {
    let mut hosts = BTreeSet::new();
    for (ix, task) in loaded.workflow.tasks.iter().enumerate() {
        let over_hosts = task.is_block() && task.command().is_some();
        if let Some(result) = end.results.get(ix).filter(|_| over_hosts) {
            hosts.extend(
                result
                    .members
                    .iter()
                    .map(|m| (m.result.outcome, m.name.as_str())),
            );
            hosts.extend(
                result
                    .left_out
                    .iter()
                    .map(|h| (Outcome::Unreachable, h.as_str())),
            );
        }
    }
    if hosts.is_empty() || loaded.from_stdin {
        return;
    }
    if let Err(e) = records.save_hosts(&loaded.name, &hosts) {
        report.log.say(
            Level::Warn,
            &format!("Cannot keep the hosts for --limit last: {e}"),
        );
    }
}

/// A field of the project summary: no separator in it.
fn field(text: &str) -> String {
    show::line(text).replace('|', "/")
}
