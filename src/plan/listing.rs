//! The plan as text (SPEC §6.1): what would run, in order.
#![forbid(unsafe_code)]

use super::hosts::RunHosts;
use super::outline::{
    EntryKind, MemberGroup, Outline, PlanEntry, PlanRoute, PlannedCommand, RouteCase, RouteTarget,
};
use super::task_settings::{SettingValue, TaskSetting};
use super::workflow::Workflow;
use crate::task::nodeset;
use crate::text::diagnostic::{Plural, printable};
use crate::text::duration;
use std::fmt::Write;

/// The whole listing.
pub fn list(outline: &Outline, workflow: &Workflow, file: &str) -> String {
    let mut lister = Lister {
        workflow,
        out: String::new(),
    };
    let tasks = Plural(workflow.tasks.len(), "task");
    let part = match outline.count == workflow.tasks.len() {
        true => String::new(),
        false => format!("{} of ", outline.count),
    };
    let _ = writeln!(lister.out, "{}: {part}{tasks}", printable(file));
    lister.tasks(&outline.main, 0);
    lister.handlers(outline);
    lister.section("final tasks, run whenever the run ends", &outline.finals);
    lister.run(outline);
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

    /// The handlers in the order of their ids; those that belong to a block are shown
    /// there.
    fn handlers(&mut self, outline: &Outline) {
        let in_blocks = outline.handlers_in_blocks(self.workflow);
        if outline.handlers.is_empty() && in_blocks.is_empty() {
            return;
        }
        self.out
            .push_str("\nfailure handlers, entered only on failure:\n");
        let mut in_blocks = in_blocks.into_iter().peekable();
        for entry in &outline.handlers {
            while let Some((id, block)) = in_blocks.next_if(|(id, _)| *id < entry.id) {
                self.handler_in_block(id, block);
            }
            self.task(entry, 0);
        }
        in_blocks.for_each(|(id, block)| self.handler_in_block(id, block));
    }

    fn handler_in_block(&mut self, id: u32, block: u32) {
        let _ = writeln!(self.out, "{id:>4}  see block {block}");
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

    /// A line, unless it is empty.
    fn optional_line(&mut self, depth: usize, text: &str) {
        if !text.is_empty() {
            self.line(depth, text);
        }
    }

    fn task(&mut self, entry: &PlanEntry, depth: usize) {
        let mut head = entry.title.clone();
        if let Some(name) = entry.name.as_ref().filter(|n| **n != head) {
            head = format!("[{name}] {head}");
        }
        let line = format!(
            "{}{:>4}  {}",
            "    ".repeat(depth),
            entry.id,
            printable(head.trim_end())
        );
        let _ = writeln!(self.out, "{}", line.trim_end());
        let own = entry.only_if.as_ref();
        if let Some(condition) = own.filter(|_| entry.kind != EntryKind::Conditional) {
            self.line(depth, &format!("only if {condition}"));
        }
        self.kind(&entry.kind, depth);
        self.optional_line(depth, &block_limits(entry));
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
        self.optional_line(depth, &limits(entry));
        let own = entry.settings.iter();
        for setting in own.filter(|s| !JOINED.contains(&s.key.as_str())) {
            self.line(depth, &format!("{}={}", setting.key, setting.value));
        }
        if !entry.routes.is_empty() {
            self.line(depth, &routes(&entry.routes));
        }
        for (context, jumped) in &entry.routes_when_jumped_to {
            self.line(depth, &format!("{}: {}", context.label(), routes(jumped)));
        }
    }

    /// What is not said by the command or by the headings of the members.
    fn kind(&mut self, kind: &EntryKind, depth: usize) {
        match kind {
            EntryKind::Hosts {
                at_once,
                set,
                hosts,
            } => {
                let on = hosts
                    .as_ref()
                    .map_or(set.clone(), |hosts| hosts.describe(set));
                let text = format!("parallel, at most {at_once} at once, on each of {on}");
                self.line(depth, &text);
                if let Some(hosts) = hosts.as_ref().filter(|h| !h.is_sorted) {
                    let order = hosts.list.join(",");
                    self.line(depth, &format!("in this order: {order}"));
                }
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
        if let Some(written) = &command.written {
            self.line(depth, &format!("written: {written}"));
        }
    }

    /// What holds for the whole run.
    fn run(&mut self, outline: &Outline) {
        if !outline.settings.is_empty() {
            let _ = writeln!(self.out, "\nsettings:");
        }
        for setting in &outline.settings {
            self.line(0, &setting.to_string());
        }
        if !outline.globals.is_empty() {
            let _ = writeln!(self.out, "\nglobals:");
        }
        for global in &outline.globals {
            self.line(0, format!("{}={}", global.name, global.value).trim_end());
        }
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
    if let Some(id) = entry.begins_at {
        let holds = group == MemberGroup::IfTrue;
        return format!("begins at task {id}, as if its condition ({condition}) were {holds}:");
    }
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

/// The keys that `block_limits` and `limits` join.
const JOINED: [&str; 10] = [
    "waves",
    "wave_pause",
    "fail_fast",
    "unreachable",
    "block_timeout",
    "retry_count",
    "retry_delay",
    "retry_on",
    "loop",
    "sleep",
];

fn find<'a>(settings: &'a [TaskSetting], key: &str) -> Option<&'a SettingValue> {
    let found = settings.iter().find(|s| s.key == key);
    found.map(|s| &s.value)
}

/// What bounds a parallel block, in the words of the task file.
fn block_limits(entry: &PlanEntry) -> String {
    let settings = entry
        .settings
        .iter()
        .filter(|s| JOINED[..5].contains(&s.key.as_str()));
    let parts: Vec<String> = settings.map(|s| format!("{} {}", s.key, s.value)).collect();
    parts.join("; ")
}

/// Retries, iterations and the sleep after the task.
fn limits(entry: &PlanEntry) -> String {
    let mut parts = Vec::new();
    let get = |key| find(&entry.settings, key);
    match get("retry_count") {
        Some(SettingValue::Number(n)) => {
            parts.push(format!("up to {}", Plural(*n as usize, "more attempt")))
        }
        Some(value) => parts.push(format!("up to {value} more attempts")),
        None => {}
    }
    parts.extend(get("retry_delay").map(|delay| format!("{delay} apart")));
    parts.extend(get("retry_on").map(|on| format!("only after {on}")));
    if let Some(count) = get("loop") {
        let count = match count {
            SettingValue::Number(n) => Plural(*n as usize, "time").to_string(),
            value => format!("{value} times"),
        };
        let has_break = entry.criteria.iter().any(|(key, _)| *key == "loop_break");
        let most = if has_break { " at most" } else { "" };
        parts.push(format!("loops {count}{most}"));
    }
    parts.extend(get("sleep").map(|sleep| format!("then sleeps {sleep}")));
    parts.join(", ")
}

/// Where the flow goes, on one line.
pub fn routes(routes: &[PlanRoute]) -> String {
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
        (RouteCase::Failure, RouteTarget::Task { id, jump: false }) => {
            format!("a failure continues with {id}")
        }
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
