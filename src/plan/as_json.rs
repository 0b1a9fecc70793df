//! The plan for programs (SPEC §6.1): one JSON object, its schema in tasker(1).
#![forbid(unsafe_code)]

use super::durations::{Bounds, Durations};
use super::outline::{
    EntryKind, MemberGroup, Outline, PlanEntry, PlanRoute, RouteCase, RouteTarget,
};
use super::workflow::Workflow;
use crate::task::{Deferrable, Task};
use crate::text::json::Json;

/// What is known of the plan as a whole.
pub struct PlanHeader<'a> {
    pub file: &'a str,
    /// All 64 digits.
    pub id: &'a str,
}

/// The object, with a line end.
pub fn write(outline: &Outline, workflow: &Workflow, whole: &PlanHeader) -> String {
    let durations = &outline.durations;
    let mut text = Json::object(|j| {
        j.number("version", 1);
        j.string("task_file", whole.file);
        j.string("plan_id", whole.id);
        j.array("hosts", |j| {
            outline.targets.hosts.iter().for_each(|h| j.item_string(h));
        });
        j.array("tasks_with_hosts_known_in_the_run", |j| {
            let late = outline.targets.late.iter();
            late.for_each(|ix| j.item_string(&workflow.tasks[*ix].id.to_string()));
        });
        bounds(j, outline.durations.whole);
        for (part, entries) in [
            ("main", &outline.main),
            ("failure_handlers", &outline.handlers),
            ("final_tasks", &outline.finals),
        ] {
            j.array(part, |j| {
                entries
                    .iter()
                    .for_each(|e| entry(j, e, workflow, durations))
            });
        }
    });
    text.push('\n');
    text
}

/// The longest time, where there is one, and the likely one.
fn bounds(json: &mut Json, bounds: Bounds) {
    json.seconds("worst_seconds", bounds.worst);
    json.seconds("likely_seconds", Some(bounds.likely));
}

fn entry(json: &mut Json, entry: &PlanEntry, workflow: &Workflow, durations: &Durations) {
    let task = &workflow.tasks[entry.ix];
    json.item_object(|j| {
        j.number("id", i64::from(entry.id));
        j.optional_string("name", task.name.as_deref());
        j.string("title", &entry.title);
        j.string("type", kind(&entry.what));
        j.optional_string("condition", entry.only_if.as_deref());
        for (key, condition) in &entry.judged {
            j.string(key, condition);
        }
        command(j, entry);
        numbers(j, task);
        bounds(j, durations.task(entry.ix));
        for (group, members) in &entry.groups {
            let key = match group {
                MemberGroup::Subtasks => "subtasks",
                MemberGroup::Check => "wave_check",
                MemberGroup::IfTrue => "if_true",
                MemberGroup::IfFalse => "if_false",
            };
            j.array(key, |j| {
                members
                    .iter()
                    .for_each(|m| self::entry(j, m, workflow, durations))
            });
        }
        j.array("routes", |j| entry.routes.iter().for_each(|r| route(j, r)));
    });
}

fn kind(what: &EntryKind) -> &'static str {
    match what {
        EntryKind::Command => "command",
        EntryKind::Tasks { .. } | EntryKind::Hosts { .. } => "parallel",
        EntryKind::Conditional => "conditional",
        EntryKind::Decision => "decision",
        EntryKind::Bare => "end",
    }
}

fn command(json: &mut Json, entry: &PlanEntry) {
    if let EntryKind::Tasks { at_once } | EntryKind::Hosts { at_once, .. } = &entry.what {
        json.string("max_parallel", at_once);
    }
    if let EntryKind::Hosts { set, left, .. } = &entry.what {
        let set = left.as_ref().map_or(set, |(left, ..)| left);
        json.string("hostnames", set);
    }
    let Some(runs) = &entry.runs else { return };
    json.optional_string("hostname", runs.host.as_deref());
    json.string("exec", &runs.exec);
    json.string("words", &runs.words);
    match runs.timeout_known {
        Some(timeout) => json.seconds("timeout_seconds", Some(timeout)),
        None => json.string("timeout", &runs.timeout),
    }
}

/// Those that are known before the run.
fn numbers(json: &mut Json, task: &Task) {
    if let Deferrable::Known(count @ 1..) = &task.retry.count {
        json.number("retry_count", i64::from(*count));
    }
    if let Some(Deferrable::Known(count)) = task.repeat.as_ref().map(|r| &r.count) {
        json.number("loop", i64::from(*count));
    }
    if let Some(Deferrable::Known(sleep)) = &task.sleep {
        json.seconds("sleep_seconds", Some(*sleep));
    }
}

fn route(json: &mut Json, route: &PlanRoute) {
    json.item_object(|j| {
        j.string("when", when(route.when));
        match route.to {
            RouteTarget::Task { id, jump } => {
                j.number("task", i64::from(id));
                j.boolean("jump", jump);
            }
            RouteTarget::End(Some(code)) => j.number("exit_code", i64::from(code)),
            RouteTarget::End(None) => j.null("exit_code"),
        }
    });
}

/// The word for it, the same in every form of the plan.
pub fn when(when: RouteCase) -> &'static str {
    match when {
        RouteCase::Always => "always",
        RouteCase::Success => "success",
        RouteCase::Failure => "failure",
        RouteCase::Skipped => "skipped",
        RouteCase::Left => "out of the branch",
    }
}
