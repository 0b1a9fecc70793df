//! The recap: the end of a run in a few lines (SPEC §6.6). What failed first, what
//! became of the rest, where the log is and how to continue. With `-q` it is the
//! whole mail.
#![forbid(unsafe_code)]

use super::run_summary::Advice;
use super::{endings, result_groups, safe_text};
use crate::exit;
use crate::outcome::Outcome;
use crate::plan::workflow::Workflow;
use crate::run::result::TaskResult;
use crate::run::run_end::RunEnd;
use crate::task::mask::Mask;
use crate::task::{Ix, Task, TaskKind};
use crate::text::diagnostic::Plural;
use crate::text::duration;
use crate::text::source::SourceMap;
use std::fmt::Write as _;

/// How many last lines of the first failure's output are printed.
const LAST_LINES: usize = 20;
/// How many tasks a line lists.
const LISTED: usize = 12;

/// How many further failures are printed, and how many last lines of each.
const FURTHER: usize = 3;
const FURTHER_LINES: usize = 5;

pub struct Recap<'a> {
    pub file: &'a str,
    pub sources: &'a SourceMap,
    pub workflow: &'a Workflow,
    pub end: &'a RunEnd,
    pub log: String,
    pub advice: Advice,
}

impl Recap<'_> {
    /// The lines, not masked yet.
    pub fn draw(&self, mask: &Mask) -> String {
        let (end, mut text) = (self.end, String::new());
        if let Some(first) = self.first_failure() {
            FailureText { recap: self, mask }.describe_all(&mut text, first);
        }
        let ended = end.results.counts().total() as usize;
        let left = match self.workflow.tasks.len().saturating_sub(ended) {
            0 => String::new(),
            left => format!(", {left} not reached"),
        };
        let _ = writeln!(
            text,
            "tasker: {}: {}; {}{left}; {}",
            safe_text::line(self.file),
            self.state(),
            end.results.counts(),
            duration::show(end.took)
        );
        for line in self.notable() {
            let _ = writeln!(text, "tasker: {line}");
        }
        let _ = writeln!(text, "tasker: log: {}", safe_text::line(&self.log));
        if !self.advice.line.is_empty() {
            let _ = writeln!(text, "tasker: to continue from there: {}", self.advice.line);
        }
        for words in &self.advice.words {
            let _ = writeln!(text, "tasker: {words}");
        }
        text
    }

    /// One line for a quiet run that ended with 0 though not everything was done:
    /// `2 failed (5, 7 on web02)`. Empty if every outcome is `ok` or `skipped`.
    pub fn exceptions(&self) -> String {
        let outcomes = Outcome::ALL.into_iter().filter(|o| o.is_failure());
        let parts = outcomes.filter_map(|outcome| {
            let (count, names) = self.with(None, |r| r.outcome == outcome);
            (count > 0).then(|| format!("{count} {outcome} ({})", joined(names)))
        });
        match parts.collect::<Vec<_>>().join(", ") {
            parts if parts.is_empty() => parts,
            parts => format!(
                "tasker: {}: ended with 0, but not everything is ok: {parts}; log: {}\n",
                safe_text::line(self.file),
                safe_text::line(&self.log)
            ),
        }
    }

    /// The first failure that no retry resolved, if the run failed.
    fn first_failure(&self) -> Option<Ix> {
        let failed = self.end.first_failure.filter(|_| self.end.exit != exit::OK);
        failed.filter(|ix| self.end.results.get(*ix).is_some())
    }

    /// How the run ended, and where, unless a failure above says so.
    fn state(&self) -> String {
        let end = self.end;
        let state = endings::run_end(end.exit, end.signal);
        if end.exit == exit::OK || end.signal.is_some() || self.first_failure().is_some() {
            return state;
        }
        let last = safe_text::task_name(&self.workflow.tasks[end.last]);
        format!("{state} at task {last}: {}", safe_text::line(&end.why))
    }

    /// Lines for what the counts do not show.
    fn notable(&self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        lines.extend(self.list("retried", None, |r| r.attempts > 1));
        // The first failure is described above.
        let first = self.first_failure();
        for outcome in Outcome::ALL {
            let word = match outcome {
                Outcome::Ok => continue,
                Outcome::Failed if first.is_some() => "also failed",
                Outcome::Timeout => "timed out",
                Outcome::NotStarted => "not started",
                other => other.as_str(),
            };
            let except = first.filter(|_| outcome == Outcome::Failed);
            lines.extend(self.list(word, except, |r| r.outcome == outcome));
        }
        lines.extend(self.what_followed());
        lines.extend(self.end.finals_left.clone());
        lines
    }

    /// `then ran: 90 (Roll back): ok`: handlers and final tasks, after a failure.
    fn what_followed(&self) -> Option<String> {
        let (end, workflow) = (self.end, self.workflow);
        if end.exit == exit::OK {
            return None;
        }
        let handlers = end.handlers.iter().copied();
        let ran = handlers.chain(workflow.finals());
        let ran = ran.filter(|ix| self.first_failure() != Some(*ix));
        let ended = |ix: Ix| {
            let result = end.results.get(ix)?;
            if result.outcome == Outcome::NotStarted {
                return None;
            }
            let task = safe_text::task_name(&workflow.tasks[ix]);
            Some(format!("{task}: {}", result.outcome))
        };
        let names: Vec<String> = ran.filter_map(ended).collect();
        (!names.is_empty()).then(|| format!("then ran: {}", joined(names)))
    }

    /// `retried: 5 (3 attempts), 10 on web[01-03]`, without the task `except`.
    fn list(
        &self,
        word: &str,
        except: Option<Ix>,
        holds: impl Fn(&TaskResult) -> bool,
    ) -> Option<String> {
        let (_, names) = self.with(except, holds);
        (!names.is_empty()).then(|| format!("{word}: {}", joined(names)))
    }

    /// The tasks and hosts for whose result this holds, and how many they are.
    fn with(
        &self,
        except: Option<Ix>,
        holds: impl Fn(&TaskResult) -> bool,
    ) -> (usize, Vec<String>) {
        let (mut count, mut names) = (0, Vec::new());
        for (ix, task) in self.workflow.tasks.iter().enumerate() {
            let Some(result) = self.end.results.get(ix).filter(|_| except != Some(ix)) else {
                continue;
            };
            // Members of a `tasks=` block are tasks of the file, listed as such.
            let members = result.members.iter();
            let members = members.filter(|m| task.is_over_hosts() && holds(&m.result));
            let hosts: Vec<&str> = members.map(|m| m.name.as_str()).collect();
            if !hosts.is_empty() {
                count += hosts.len();
                let set = result_groups::brief_node_set(&hosts);
                let count = match set.ends_with("...") {
                    true => format!(" ({})", Plural(hosts.len(), "host")),
                    false => String::new(),
                };
                names.push(format!("{} on {set}{count}", task.id));
            } else if holds(result) {
                count += 1;
                names.push(match result.attempts {
                    0 | 1 => task.id.to_string(),
                    attempts => format!("{} ({attempts} attempts)", task.id),
                });
            }
        }
        (count, names)
    }
}

fn joined(mut names: Vec<String>) -> String {
    if names.len() > LISTED {
        let more = names.len() - LISTED;
        names.truncate(LISTED);
        names.push(format!("{more} more, see the log"));
    }
    names.join(", ")
}

/// Describes failures: the task, its place in the file, its command and the end of
/// its output.
struct FailureText<'a> {
    recap: &'a Recap<'a>,
    mask: &'a Mask,
}

impl FailureText<'_> {
    /// The first failure in full, then some of the others briefly.
    fn describe_all(&self, text: &mut String, first: Ix) {
        self.describe(text, first, LAST_LINES);
        let (end, workflow) = (self.recap.end, self.recap.workflow);
        let failed = |ix: &Ix| {
            let result = end.results.get(*ix);
            *ix != first && result.is_some_and(|r| r.outcome.is_failure() && r.is_judged())
        };
        let steps = end.path.iter().copied().chain(workflow.finals());
        let mut others: Vec<Ix> = steps.filter(failed).collect();
        others.sort_unstable();
        others.dedup();
        for ix in others.iter().take(FURTHER) {
            self.describe(text, *ix, FURTHER_LINES);
        }
    }

    /// `tasks.txt:12: task 5 (Deploy) on web07 failed with ...`, then the details.
    fn describe(&self, text: &mut String, ix: Ix, lines: usize) {
        let Some(result) = self.recap.end.results.get(ix) else {
            return;
        };
        let task = &self.recap.workflow.tasks[ix];
        let _ = writeln!(
            text,
            "{}: task {}{} {}",
            safe_text::line(&self.recap.sources.location(task.at)),
            safe_text::task_name(task),
            endings::on_host(result),
            endings::failure(result, task.repeat.is_some())
        );
        match result.members.is_empty() {
            true => self.describe_task(text, task, result, lines),
            false if task.is_over_hosts() => self.describe_hosts(text, task, result, lines),
            false => self.describe_members(text, result, lines),
        }
        if let Some(check) = result.failed_check(task) {
            self.describe(text, check, lines);
        }
    }

    fn describe_hosts(&self, text: &mut String, task: &Task, result: &TaskResult, lines: usize) {
        if let Some(first) = result.first_failed_command() {
            self.describe_command(text, task, first);
        }
        for group in result_groups::failures(result, self.mask, lines) {
            text.push_str(&group.draw("     = "));
        }
    }

    fn describe_members(&self, text: &mut String, result: &TaskResult, lines: usize) {
        let failed = result.members.iter().filter(|m| {
            let outcome = m.result.outcome;
            outcome.is_failure() && outcome != Outcome::NotStarted
        });
        for member in failed.take(FURTHER) {
            if let Some(ix) = self.recap.workflow.find(&member.name) {
                self.describe(text, ix, lines);
            }
        }
    }

    fn describe_task(&self, text: &mut String, task: &Task, result: &TaskResult, lines: usize) {
        self.describe_command(text, task, result);
        for (name, output) in [("stdout", &result.stdout), ("stderr", &result.stderr)] {
            let lines = safe_text::tail(output, self.mask, lines, safe_text::last_state);
            for (number, line) in lines.iter().enumerate() {
                let name = match number {
                    0 => format!("{name}:"),
                    _ => String::new(),
                };
                let _ = writeln!(text, "     = {name:<7} {}", safe_text::short(line));
            }
        }
    }

    /// The command line, and the lines of the file that change what it does or how
    /// it is judged.
    fn describe_command(&self, text: &mut String, task: &Task, result: &TaskResult) {
        if !result.command.is_empty() {
            let _ = writeln!(text, "     | {}", safe_text::line(&result.command));
        }
        let criterion = result.exit == 0 || matches!(task.kind, TaskKind::Decision);
        for (key, at) in &task.written {
            let changes = matches!(*key, "env." | "stdin" | "workdir");
            let judges = matches!(*key, "success" | "failure" | "next" | "loop_break");
            if changes || (judges && criterion) {
                let line = self.recap.sources.line(*at);
                let line = safe_text::line(line.trim());
                let _ = writeln!(text, "     | {}", safe_text::short(&line));
            }
        }
    }
}
