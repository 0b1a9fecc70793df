//! The plan as text (SPEC §6.1): what would run, in order.
#![forbid(unsafe_code)]

use super::hosts::RunHosts;
use super::outline::{
    EntryKind, MemberGroup, Outline, PlanEntry, PlanRoute, PlannedCommand, RouteCase, RouteTarget,
};
use super::workflow::Workflow;
use crate::task::nodeset;
use crate::task::{Deferrable, Task};
use crate::text::diagnostic::{Plural, printable};
use crate::text::duration;
use std::fmt::Write;

/// The whole listing.
pub fn list(outline: &Outline, workflow: &Workflow, file: &str) -> String {
    let mut lister = Lister {
        workflow,
        out: String::new(),
    };
    let _ = writeln!(
        lister.out,
        "{}: {}",
        printable(file),
        Plural(workflow.tasks.len(), "task")
    );
    lister.tasks(&outline.main, 0);
    lister.section(
        "failure handlers, entered only on failure",
        &outline.handlers,
    );
    lister.section("final tasks, run whenever the run ends", &outline.finals);
    lister.hosts(outline);
    lister.time(outline);
    lister.out
}

struct Lister<'a> {
    workflow: &'a Workflow,
    out: String,
}

impl Lister<'_> {
    fn section(&mut self, heading: &str, entries: &[PlanEntry]) {
        if !entries.is_empty() {
            let _ = writeln!(self.out, "\n{heading}:");
            self.tasks(entries, 0);
        }
    }

    fn tasks(&mut self, entries: &[PlanEntry], depth: usize) {
        entries.iter().for_each(|e| self.task(e, depth));
    }

    fn line(&mut self, depth: usize, text: &str) {
        let _ = writeln!(
            self.out,
            "{}      {}",
            "    ".repeat(depth),
            printable(text)
        );
    }

    fn task(&mut self, entry: &PlanEntry, depth: usize) {
        let task = &self.workflow.tasks[entry.ix];
        let mut head = entry.title.clone();
        if let Some(name) = task.name.as_ref().filter(|n| **n != head) {
            head = format!("[{name}] {head}");
        }
        let line = format!(
            "{}{:>4}  {}",
            "    ".repeat(depth),
            entry.id,
            printable(head.trim_end())
        );
        let _ = writeln!(self.out, "{}", line.trim_end());
        if let Some(condition) = entry.only_if.as_ref().filter(|_| entry.groups.is_empty()) {
            self.line(depth, &format!("only if {condition}"));
        }
        self.kind(&entry.kind, depth);
        if let Some(command) = &entry.command {
            self.command(command, depth);
        }
        for (group, members) in &entry.groups {
            self.line(depth, &heading(*group, entry));
            self.tasks(members, depth + 1);
        }
        for (key, condition) in &entry.criteria {
            let word = match *key {
                "success" => "succeeds if",
                "failure" => "fails if",
                "next" => "continues if",
                _ => "loops until",
            };
            self.line(depth, &format!("{word} {condition}"));
        }
        let limits = limits(task);
        if !limits.is_empty() {
            self.line(depth, &limits);
        }
        if !entry.routes.is_empty() {
            self.line(depth, &routes(&entry.routes));
        }
    }

    /// What is not said by the command or by the headings of the members.
    fn kind(&mut self, kind: &EntryKind, depth: usize) {
        match kind {
            EntryKind::Hosts {
                at_once,
                set,
                selected,
            } => {
                let on = match selected {
                    None => set.clone(),
                    Some(part) => format!(
                        "{} ({} of {} selected on the command line)",
                        part.set, part.count, part.total
                    ),
                };
                let text = format!("parallel, at most {at_once} at once, on each of {on}");
                self.line(depth, &text);
            }
            EntryKind::Decision => self.line(depth, "decision"),
            EntryKind::Command
            | EntryKind::Tasks { .. }
            | EntryKind::Conditional
            | EntryKind::Bare => {}
        }
    }

    fn command(&mut self, command: &PlannedCommand, depth: usize) {
        let host = command.host.as_ref();
        let host = host.map_or(String::new(), |h| format!("{h}, "));
        let text = format!("{host}{}, timeout {}", command.exec, command.timeout);
        self.line(depth, &text);
        self.line(depth, &format!("$ {}", command.words));
    }

    fn hosts(&mut self, outline: &Outline) {
        let RunHosts { known, late } = &outline.hosts;
        let hosts = match known.len() {
            0 => "only this machine".to_string(),
            n => format!("{n} distinct ({})", nodeset::fold(known)),
        };
        let ids = late
            .iter()
            .map(|ix| self.workflow.tasks[*ix].id.to_string());
        let late = match ids.collect::<Vec<_>>().as_slice() {
            [] => String::new(),
            [id] => format!(", and those that a result names (task {id})"),
            ids => format!(", and those that results name (tasks {})", ids.join(", ")),
        };
        let _ = writeln!(self.out, "\nhosts: {}{late}", printable(&hosts));
    }

    fn time(&mut self, outline: &Outline) {
        let whole = outline.durations.whole;
        let worst = match whole.worst {
            Some(worst) => format!("at worst {}", duration::rough(worst)),
            None => {
                "no upper bound (a cycle of jumps, or a number known only during the run)".into()
            }
        };
        let likely = duration::rough(whole.likely);
        let _ = writeln!(self.out, "time: likely {likely}, {worst}");
    }
}

fn heading(group: MemberGroup, entry: &PlanEntry) -> String {
    let condition = entry.only_if.as_deref().unwrap_or("its condition");
    match (group, &entry.kind) {
        (MemberGroup::Subtasks, EntryKind::Tasks { at_once }) => {
            format!("parallel, at most {at_once} at once:")
        }
        (MemberGroup::Subtasks, _) => "its subtasks:".into(),
        (MemberGroup::Check, _) => "between waves:".into(),
        (MemberGroup::IfTrue, _) => format!("if {condition}:"),
        (MemberGroup::IfFalse, _) if entry.groups.len() == 1 => format!("unless {condition}:"),
        (MemberGroup::IfFalse, _) => "otherwise:".into(),
    }
}

/// Retries, iterations and the sleep after the task.
fn limits(task: &Task) -> String {
    let mut parts = Vec::new();
    match &task.retry.count {
        Deferrable::Known(0) => {}
        Deferrable::Known(n) => {
            parts.push(format!("up to {}", Plural(*n as usize, "more attempt")))
        }
        Deferrable::Deferred { value, .. } => {
            parts.push(format!("up to {} more attempts", value.shown(None)))
        }
    }
    if let Some(repeat) = &task.repeat {
        let count = match &repeat.count {
            Deferrable::Known(n) => Plural(*n as usize, "time").to_string(),
            Deferrable::Deferred { value, .. } => format!("{} times", value.shown(None)),
        };
        let most = if repeat.until.is_some() {
            " at most"
        } else {
            ""
        };
        parts.push(format!("loops {count}{most}"));
    }
    if let Some(Deferrable::Known(sleep)) = &task.sleep {
        parts.push(format!("then sleeps {}", duration::setting(*sleep)));
    }
    parts.join(", ")
}

/// Where the flow goes, on one line.
fn routes(routes: &[PlanRoute]) -> String {
    let (leaving, own): (Vec<&PlanRoute>, Vec<&PlanRoute>) =
        routes.iter().partition(|r| r.when == RouteCase::Left);
    let mut parts: Vec<String> = own.into_iter().map(route).collect();
    if !leaving.is_empty() {
        let targets = leaving.iter().map(|r| target(r.to));
        let targets = targets.collect::<Vec<_>>().join(", or ");
        parts.push(format!("if a branch task leaves the block: {targets}"));
    }
    parts.join("; ")
}

fn route(route: &PlanRoute) -> String {
    let to = target(route.to);
    match (route.when, route.to) {
        (RouteCase::Always | RouteCase::Left, _) => to,
        (RouteCase::Success, RouteTarget::Task { jump: false, .. }) => to,
        (RouteCase::Success, RouteTarget::End(_)) => format!("then {to}"),
        (RouteCase::Success, _) => format!("on success {to}"),
        (RouteCase::Failure, RouteTarget::End(None)) => "a failure ends the run".into(),
        (RouteCase::Failure, _) => format!("on failure {to}"),
        (RouteCase::Skipped, _) => format!("if skipped {to}"),
    }
}

fn target(target: RouteTarget) -> String {
    match target {
        RouteTarget::Task { id, jump: false } => format!("then {id}"),
        RouteTarget::Task { id, jump: true } => format!("go to {id}"),
        RouteTarget::End(Some(code)) => format!("the run ends with {code}"),
        RouteTarget::End(None) => "the run ends with its exit code".into(),
    }
}
