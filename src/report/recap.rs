//! The end of a run in a few lines: what failed first, what became of the rest,
//! where to read on and how to go on (SPEC §6.6). With `-q` it is all of the mail.
#![forbid(unsafe_code)]

use super::{fold, show};
use crate::exit;
use crate::outcome::Outcome;
use crate::run::engine::RunEnd;
use crate::run::interrupt::signal_name;
use crate::run::result::TaskResult;
use crate::task::mask::Mask;
use crate::task::{Task, nodeset};
use crate::text::duration;
use std::fmt::Write as _;

/// How many last lines of a failure's output are printed.
const LAST_LINES: usize = 20;
/// How many tasks of a kind are named.
const NAMED: usize = 12;

/// What the end of a run is told about.
pub struct Closing<'a> {
    pub file: &'a str,
    /// `FILE:LINE` of the failed task.
    pub place: String,
    pub failed: Option<(&'a Task, &'a TaskResult)>,
    pub tasks: &'a [Task],
    pub log: String,
    /// The command line that goes on after a failure.
    pub go_on: String,
}

/// The recap, in lines that are still to be masked.
pub fn draw(end: &RunEnd, closing: &Closing, mask: &Mask) -> String {
    let mut text = String::new();
    let failed = end.exit != exit::OK;
    if let (true, Some((task, result))) = (failed, closing.failed) {
        match result.members.is_empty() {
            true => failure(&mut text, task, result, closing, mask),
            false => failed_block(&mut text, task, result, closing, mask),
        }
    }
    let ran = end.counts.total() as usize;
    let left = match closing.tasks.len().saturating_sub(ran) {
        0 => String::new(),
        left => format!(", {left} not reached"),
    };
    let _ = writeln!(
        text,
        "tasker: {}: {}; {}{left}; {}",
        closing.file,
        state(end, closing),
        end.counts,
        duration::show(end.took)
    );
    for line in notable(end, closing.tasks) {
        let _ = writeln!(text, "tasker: {line}");
    }
    let _ = writeln!(text, "tasker: log: {}", closing.log);
    if failed && !closing.go_on.is_empty() {
        let _ = writeln!(text, "tasker: to go on from there: {}", closing.go_on);
    }
    text
}

/// `ok`, or how it failed.
fn state(end: &RunEnd, closing: &Closing) -> String {
    let code = end.exit;
    match end.signal {
        Some(signal) => format!("ended by {} with exit code {code}", signal_name(signal)),
        None if code == exit::OK => "ok".into(),
        None if closing.failed.is_some() => format!("failed with exit code {code}"),
        None => format!("failed with exit code {code}: {}", show::line(&end.why)),
    }
}

/// Lines that name what is not as smooth as the counts look.
fn notable(end: &RunEnd, tasks: &[Task]) -> Vec<String> {
    let retried = |r: &TaskResult| r.attempts > 1;
    let mut lines = Vec::new();
    lines.extend(named("retried", end, tasks, retried));
    for outcome in [Outcome::Timeout, Outcome::Skipped] {
        let word = match outcome {
            Outcome::Timeout => "timed out",
            _ => "skipped",
        };
        lines.extend(named(word, end, tasks, move |r| r.outcome == outcome));
    }
    lines
}

/// `retried: 5 (3 attempts), 10 on web[01-03]`
fn named(
    word: &str,
    end: &RunEnd,
    tasks: &[Task],
    holds: impl Fn(&TaskResult) -> bool,
) -> Option<String> {
    let mut names = Vec::new();
    for (ix, task) in tasks.iter().enumerate() {
        let Some(result) = end.results.get(ix) else {
            continue;
        };
        // Members of a list are tasks of the file, and named as such.
        let over_hosts = task.is_block() && task.command().is_some();
        let members = result
            .members
            .iter()
            .filter(|m| over_hosts && holds(&m.result));
        let hosts: Vec<&str> = members.map(|m| m.name.as_str()).collect();
        if !hosts.is_empty() {
            names.push(format!("{} on {}", task.id, nodeset::fold(&hosts)));
        } else if holds(result) && result.attempts > 1 {
            names.push(format!("{} ({} attempts)", task.id, result.attempts));
        } else if holds(result) {
            names.push(task.id.to_string());
        }
    }
    if names.len() > NAMED {
        let more = names.len() - NAMED;
        names.truncate(NAMED);
        names.push(format!("{more} more, see the log"));
    }
    (!names.is_empty()).then(|| format!("{word}: {}", names.join(", ")))
}

/// `tasks.txt:12: task 5 (Deploy)`
fn headline(task: &Task, closing: &Closing) -> String {
    let title = match task.title.shown(None) {
        title if title.is_empty() => String::new(),
        title => format!(" ({})", show::line(&title)),
    };
    format!("{}: task {}{title}", closing.place, task.id)
}

/// A block: on which hosts it failed, the command of the first, and what they
/// said.
fn failed_block(
    text: &mut String,
    task: &Task,
    result: &TaskResult,
    closing: &Closing,
    mask: &Mask,
) {
    let (counts, took) = (result.counts(), duration::show(result.took));
    let _ = writeln!(
        text,
        "{} failed: {counts}, after {took}",
        headline(task, closing)
    );
    let mut failed = result
        .members
        .iter()
        .filter(|m| m.result.outcome.is_failure() && !m.result.command.is_empty());
    if let Some(first) = failed.next() {
        let command = show::line(&first.result.command);
        let _ = writeln!(text, "     | {command}");
    }
    for group in fold::failures(result, mask, LAST_LINES) {
        text.push_str(&group.text("     = "));
    }
}

fn failure(text: &mut String, task: &Task, result: &TaskResult, closing: &Closing, mask: &Mask) {
    let host = match result.hostname.as_str() {
        "" | "localhost" => String::new(),
        host => format!(" on {host}"),
    };
    let attempts = match result.attempts {
        0 | 1 => String::new(),
        n => format!(", at attempt {n}"),
    };
    let _ = writeln!(
        text,
        "{}{host} {}{attempts}",
        headline(task, closing),
        how(result)
    );
    if !result.command.is_empty() {
        let _ = writeln!(text, "     | {}", show::line(&result.command));
    }
    for (name, output) in [("stdout", &result.stdout), ("stderr", &result.stderr)] {
        let lines = show::tail(output, mask, LAST_LINES);
        for (number, line) in lines.iter().enumerate() {
            let name = match number {
                0 => format!("{name}:"),
                _ => String::new(),
            };
            let _ = writeln!(text, "     = {name:<7} {}", show::short(line));
        }
    }
}

/// `failed with exit code 3 after 0.1 s`, and the like.
fn how(result: &TaskResult) -> String {
    let took = duration::show(result.took);
    match result.outcome {
        Outcome::Timeout => format!("timed out after {took}"),
        Outcome::Cancelled | Outcome::NotStarted if !result.cause.is_empty() => {
            format!("{} ({}) after {took}", result.outcome, result.cause)
        }
        _ if result.exit > 128 && result.exit < 165 => {
            format!("was ended by signal {} after {took}", result.exit - 128)
        }
        _ if result.exit == 0 => "exited 0, but its criterion did not hold".into(),
        outcome => format!("{outcome} with exit code {} after {took}", result.exit),
    }
}
