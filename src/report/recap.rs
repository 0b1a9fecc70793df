//! The end of a run in a few lines: what failed first, what became of the rest,
//! where to read on and how to go on (SPEC §6.6). With `-q` it is all of the mail.
#![forbid(unsafe_code)]

use super::{result_groups, safe_text};
use crate::exit;
use crate::outcome::Outcome;
use crate::plan::workflow::Workflow;
use crate::run::interrupt::signal_name;
use crate::run::result::TaskResult;
use crate::run::run_end::RunEnd;
use crate::task::mask::Mask;
use crate::task::{Ix, Task};
use crate::text::diagnostic::Plural;
use crate::text::duration;
use crate::text::source::SourceMap;
use std::fmt::Write as _;

/// How many last lines of a failure's output are printed.
const LAST_LINES: usize = 20;
/// How many tasks of a kind are named.
const NAMED: usize = 12;

/// How many further failures are told, and their last lines.
const FURTHER: usize = 3;
const FURTHER_LINES: usize = 5;

/// What the end of a run is told about.
pub struct Closing<'a> {
    pub file: &'a str,
    pub sources: &'a SourceMap,
    pub workflow: &'a Workflow,
    /// The first failure that nothing retried, where there was one.
    pub failed: Option<Ix>,
    pub log: String,
    /// The command line that goes on after a failure.
    pub go_on: String,
}

/// The recap, in lines that are still to be masked.
pub fn draw(end: &RunEnd, closing: &Closing, mask: &Mask) -> String {
    let mut text = String::new();
    let failed = end.exit != exit::OK;
    if let Some(ix) = closing.failed.filter(|_| failed) {
        Failure { closing, mask, end }.tell_all(&mut text, ix);
    }
    let ran = end.counts.total() as usize;
    let left = match closing.workflow.tasks.len().saturating_sub(ran) {
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
    for line in notable(end, closing) {
        let _ = writeln!(text, "tasker: {line}");
    }
    let _ = writeln!(text, "tasker: log: {}", closing.log);
    match closing.go_on.as_str() {
        _ if !failed => {}
        "" if end.complete => {
            text.push_str("tasker: the run is over; what failed is left to be done by hand\n");
        }
        "" => {}
        go_on => {
            let _ = writeln!(text, "tasker: to go on from there: {go_on}");
        }
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
        None => format!(
            "failed with exit code {code} at task {}: {}",
            safe_text::named(&closing.workflow.tasks[end.last]),
            safe_text::line(&end.why)
        ),
    }
}

/// Lines that name what is not as smooth as the counts look.
fn notable(end: &RunEnd, closing: &Closing) -> Vec<String> {
    let retried = |r: &TaskResult| r.attempts > 1;
    let mut lines: Vec<String> = Vec::new();
    lines.extend(list("retried", end, closing, None, retried));
    // Of the first failure all is said already.
    let told = closing.failed.filter(|_| end.exit != exit::OK);
    for outcome in Outcome::ALL {
        let word = match outcome {
            Outcome::Ok => continue,
            Outcome::Failed if told.is_some() => "also failed".to_string(),
            Outcome::Timeout => "timed out".to_string(),
            Outcome::NotStarted => "not started".to_string(),
            other => other.to_string(),
        };
        let but = told.filter(|_| outcome == Outcome::Failed);
        lines.extend(list(&word, end, closing, but, move |r| {
            r.outcome == outcome
        }));
    }
    lines.extend(what_followed(end, closing));
    lines
}

/// `then ran: 90 (Roll back): ok` — handlers and final tasks, after a failure.
fn what_followed(end: &RunEnd, closing: &Closing) -> Option<String> {
    if end.exit == exit::OK {
        return None;
    }
    let workflow = closing.workflow;
    let handlers = end.path.iter().copied();
    let handlers = handlers.filter(|ix| workflow.is_handler(*ix));
    let ran = handlers.chain(workflow.finals());
    let ran = ran.filter(|ix| closing.failed != Some(*ix));
    let told = |ix: Ix| {
        let result = end.results.get(ix)?;
        Some(format!(
            "{}: {}",
            safe_text::named(&workflow.tasks[ix]),
            result.outcome
        ))
    };
    let names: Vec<String> = ran.filter_map(told).collect();
    (!names.is_empty()).then(|| format!("then ran: {}", few(names)))
}

fn few(mut names: Vec<String>) -> String {
    if names.len() > NAMED {
        let more = names.len() - NAMED;
        names.truncate(NAMED);
        names.push(format!("{more} more, see the log"));
    }
    names.join(", ")
}

/// `retried: 5 (3 attempts), 10 on web[01-03]`, one task left out.
fn list(
    word: &str,
    end: &RunEnd,
    closing: &Closing,
    but: Option<Ix>,
    holds: impl Fn(&TaskResult) -> bool,
) -> Option<String> {
    let mut names = Vec::new();
    for (ix, task) in closing.workflow.tasks.iter().enumerate() {
        let Some(result) = end.results.get(ix).filter(|_| but != Some(ix)) else {
            continue;
        };
        // Members of a list are tasks of the file, and named as such.
        let members = result.members.iter();
        let members = members.filter(|m| is_over_hosts(task) && holds(&m.result));
        let hosts: Vec<&str> = members.map(|m| m.name.as_str()).collect();
        if !hosts.is_empty() {
            let set = result_groups::brief_set(&hosts);
            let count = match set.ends_with("...") {
                true => format!(" ({})", Plural(hosts.len(), "host")),
                false => String::new(),
            };
            names.push(format!("{} on {set}{count}", task.id));
        } else if holds(result) && result.attempts > 1 {
            names.push(format!("{} ({} attempts)", task.id, result.attempts));
        } else if holds(result) {
            names.push(task.id.to_string());
        }
    }
    (!names.is_empty()).then(|| format!("{word}: {}", few(names)))
}

fn is_over_hosts(task: &Task) -> bool {
    task.is_block() && task.command().is_some()
}

/// A failure as it is told: what, where, the command, the last that it said.
struct Failure<'a> {
    closing: &'a Closing<'a>,
    mask: &'a Mask,
    end: &'a RunEnd,
}

impl Failure<'_> {
    /// The first failure in full, then those of other steps in short.
    fn tell_all(&self, text: &mut String, first: Ix) {
        self.tell(text, first, LAST_LINES);
        let workflow = self.closing.workflow;
        let failed = |ix: &Ix| {
            let result = self.end.results.get(*ix);
            *ix != first && result.is_some_and(|r| r.outcome.is_failure() && r.is_judged())
        };
        let steps = self.end.path.iter().copied().chain(workflow.finals());
        let mut others: Vec<Ix> = steps.filter(failed).collect();
        others.sort_unstable();
        others.dedup();
        for ix in others.iter().take(FURTHER) {
            self.tell(text, *ix, FURTHER_LINES);
        }
    }

    fn tell(&self, text: &mut String, ix: Ix, lines: usize) {
        let Some(result) = self.end.results.get(ix) else {
            return;
        };
        let task = &self.closing.workflow.tasks[ix];
        match result.members.is_empty() {
            true => self.tell_task(text, task, result, lines),
            false => self.tell_block(text, task, result, lines),
        }
    }

    /// `tasks.txt:12: task 5 (Deploy)`
    fn head(&self, task: &Task) -> String {
        let place = self.closing.sources.location(task.at);
        format!("{place}: task {}", safe_text::named(task))
    }

    /// A block: how many failed, and what they said.
    fn tell_block(&self, text: &mut String, task: &Task, result: &TaskResult, lines: usize) {
        let (counts, took) = (result.counts(), duration::show(result.took));
        let head = self.head(task);
        let _ = writeln!(text, "{head} failed: {counts}, after {took}");
        if !is_over_hosts(task) {
            return self.tell_members(text, result, lines);
        }
        let mut failed = result.members.iter();
        let first = failed.find(|m| m.result.outcome.is_failure() && !m.result.command.is_empty());
        if let Some(first) = first {
            self.tell_command(text, task, &first.result);
        }
        for group in result_groups::failures(result, self.mask, lines) {
            text.push_str(&group.text("     = "));
        }
    }

    /// The failed tasks of a list, each as the task of the file that it is.
    fn tell_members(&self, text: &mut String, result: &TaskResult, lines: usize) {
        let failed = result.members.iter().filter(|m| {
            let outcome = m.result.outcome;
            outcome.is_failure() && outcome != Outcome::NotStarted
        });
        for member in failed.take(FURTHER) {
            let tasks = &self.closing.workflow.tasks;
            if let Some(ix) = tasks.iter().position(|t| t.id.to_string() == member.name) {
                self.tell(text, ix, lines);
            }
        }
    }

    fn tell_task(&self, text: &mut String, task: &Task, result: &TaskResult, lines: usize) {
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
            self.head(task),
            how(task, result)
        );
        self.tell_command(text, task, result);
        for (name, output) in [("stdout", &result.stdout), ("stderr", &result.stderr)] {
            let lines = safe_text::tail(output, self.mask, lines);
            for (number, line) in lines.iter().enumerate() {
                let name = match number {
                    0 => format!("{name}:"),
                    _ => String::new(),
                };
                let _ = writeln!(text, "     = {name:<7} {}", safe_text::short(line));
            }
        }
    }

    /// The command line, and the lines of the file without which it is not the
    /// same.
    fn tell_command(&self, text: &mut String, task: &Task, result: &TaskResult) {
        if !result.command.is_empty() {
            let _ = writeln!(text, "     | {}", safe_text::line(&result.command));
        }
        let criterion = result.exit == 0;
        for (key, at) in &task.written {
            let part = matches!(*key, "env." | "stdin" | "workdir");
            let asked = matches!(*key, "success" | "failure" | "next" | "loop_break");
            if part || (asked && criterion) {
                let line = self.closing.sources.line(*at);
                let _ = writeln!(
                    text,
                    "     | {}",
                    safe_text::short(&safe_text::line(line.trim()))
                );
            }
        }
    }
}

/// `failed with exit code 3 after 0.1 s`, and the like.
fn how(task: &Task, result: &TaskResult) -> String {
    let took = duration::show(result.took);
    match result.outcome {
        Outcome::Timeout => format!("timed out after {took}"),
        Outcome::Cancelled | Outcome::NotStarted if !result.cause.is_empty() => {
            format!("{} ({}) after {took}", result.outcome, result.cause)
        }
        _ if result.exit > exit::SIGNAL && result.exit < exit::SIGNAL + 65 => {
            let signal = result.exit - exit::SIGNAL;
            let name = ended_by(signal).map_or(String::new(), |name| format!(" ({name})"));
            format!("was ended by signal {signal}{name} after {took}")
        }
        _ if result.exit == 0 && task.repeat.is_some() => {
            format!("exited 0 after {took}, but its `loop_break` never held")
        }
        _ if result.exit == 0 => format!("exited 0 after {took}, but its criterion did not hold"),
        outcome => format!("{outcome} with exit code {} after {took}", result.exit),
    }
}

/// What a signal is called that ends commands.
fn ended_by(signal: i32) -> Option<&'static str> {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL; often the kernel's, when memory runs out",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        _ => return None,
    };
    Some(name)
}
