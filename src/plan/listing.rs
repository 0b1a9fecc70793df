//! The plan as a person reads it (SPEC §6.1): what would run, in order.
#![forbid(unsafe_code)]

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
    outline.main.iter().for_each(|e| lister.task(e, 0));
    lister.part(
        "failure handlers, entered only by a failure",
        &outline.handlers,
    );
    lister.part("final tasks, run whenever the run ends", &outline.finals);
    lister.hosts(outline);
    lister.time(outline);
    lister.out
}

struct Lister<'a> {
    workflow: &'a Workflow,
    out: String,
}

impl Lister<'_> {
    fn part(&mut self, heading: &str, entries: &[PlanEntry]) {
        if !entries.is_empty() {
            let _ = writeln!(self.out, "\n{heading}:");
            entries.iter().for_each(|e| self.task(e, 0));
        }
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
        self.what(entry, depth);
        if let Some(runs) = &entry.runs {
            self.runs(runs, depth);
        }
        for (group, members) in &entry.groups {
            self.line(depth, &heading(*group, entry));
            members.iter().for_each(|m| self.task(m, depth + 1));
        }
        for (key, condition) in &entry.judged {
            let word = match *key {
                "success" => "succeeds if",
                "failure" => "fails if",
                "next" => "goes on if",
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

    fn what(&mut self, entry: &PlanEntry, depth: usize) {
        match &entry.what {
            EntryKind::Hosts { at_once, set, left } => {
                let on = match left {
                    None => set.clone(),
                    Some((set, left, all)) => {
                        format!("{set} ({left} of {all}, as the command line says)")
                    }
                };
                self.line(
                    depth,
                    &format!("parallel, at most {at_once} at once, on each of {on}"),
                );
            }
            EntryKind::Decision => self.line(depth, "decision"),
            EntryKind::Command
            | EntryKind::Tasks { .. }
            | EntryKind::Conditional
            | EntryKind::Bare => {}
        }
    }

    fn runs(&mut self, runs: &PlannedCommand, depth: usize) {
        let at = runs
            .host
            .as_ref()
            .map_or(String::new(), |h| format!("{h}, "));
        self.line(
            depth,
            &format!("{at}{}, timeout {}", runs.exec, runs.timeout),
        );
        self.line(depth, &format!("$ {}", runs.words));
    }

    fn hosts(&mut self, outline: &Outline) {
        let targets = &outline.targets;
        let hosts = match targets.hosts.len() {
            0 => "none but this machine".to_string(),
            n => format!("{n} distinct ({})", nodeset::fold(&targets.hosts)),
        };
        let ids: Vec<String> = targets
            .late
            .iter()
            .map(|ix| self.workflow.tasks[*ix].id.to_string())
            .collect();
        let late = match ids.len() {
            0 => String::new(),
            1 => format!(", and those that a result names (task {})", ids[0]),
            _ => format!(", and those that results name (tasks {})", ids.join(", ")),
        };
        let _ = writeln!(self.out, "\nhosts: {}{late}", printable(&hosts));
    }

    fn time(&mut self, outline: &Outline) {
        let whole = outline.durations.whole;
        let worst = match whole.worst {
            Some(worst) => format!("at worst {}", duration::rough(worst)),
            None => "at worst without end (a cycle of jumps, or a number that only the run knows)"
                .into(),
        };
        let likely = duration::rough(whole.likely);
        let _ = writeln!(self.out, "time: likely {likely}, {worst}");
    }
}

fn heading(group: MemberGroup, entry: &PlanEntry) -> String {
    let condition = entry.only_if.as_deref().unwrap_or("its condition");
    match (group, &entry.what) {
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

/// Attempts, iterations and the pause after the task.
pub fn limits(task: &Task) -> String {
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

/// Where the flow goes, as one line.
pub fn routes(routes: &[PlanRoute]) -> String {
    let parts: Vec<String> = routes.iter().map(route).collect();
    parts.join("; ")
}

fn route(route: &PlanRoute) -> String {
    let to = match route.to {
        RouteTarget::Task { id, jump: false } => format!("then {id}"),
        RouteTarget::Task { id, jump: true } => format!("go to {id}"),
        RouteTarget::End(Some(code)) => format!("the run ends with {code}"),
        RouteTarget::End(None) => "the run ends with its exit code".into(),
    };
    match (route.when, route.to) {
        (RouteCase::Always, _) => to,
        (RouteCase::Success, RouteTarget::Task { jump: false, .. }) => to,
        (RouteCase::Success, RouteTarget::End(_)) => format!("then {to}"),
        (RouteCase::Success, _) => format!("on success {to}"),
        (RouteCase::Failure, RouteTarget::End(None)) => "a failure ends the run".into(),
        (RouteCase::Failure, _) => format!("on failure {to}"),
        (RouteCase::Skipped, _) => format!("when skipped {to}"),
        (RouteCase::Left, _) => format!("out of its branch {to}"),
    }
}
