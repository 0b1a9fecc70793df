//! The plan for programs (SPEC §6.1): one JSON object; tasker(1) has the schema.
#![forbid(unsafe_code)]

use super::bounds::Bounds;
use super::durations::Durations;
use super::outline::{EntryKind, MemberGroup, Outline, PlanEntry, PlanRoute, RouteTarget};
use super::task_settings::{SettingValue, TaskSetting};
use super::workflow::Workflow;
use crate::text::json::Json;

/// The object and a newline; `plan_id` has all 64 digits.
pub fn write(outline: &Outline, workflow: &Workflow, file: &str, plan_id: &str) -> String {
    let durations = &outline.durations;
    let mut text = Json::object(|j| {
        j.number("version", 1);
        j.string("task_file", file);
        j.string("plan_id", plan_id);
        j.array("hosts", |j| {
            outline.hosts.known.iter().for_each(|h| j.item_string(h));
        });
        j.array("tasks_with_hosts_known_in_the_run", |j| {
            let late = outline.hosts.late.iter();
            late.for_each(|ix| j.item_string(&workflow.tasks[*ix].id.to_string()));
        });
        bounds(j, outline.durations.whole);
        for (part, entries) in [
            ("main", &outline.main),
            ("failure_handlers", &outline.handlers),
            ("final_tasks", &outline.finals),
        ] {
            j.array(part, |j| {
                entries.iter().for_each(|e| entry(j, e, durations))
            });
        }
        j.array("failure_handlers_in_blocks", |j| {
            let handlers = outline.handlers_in_blocks(workflow).into_iter();
            handlers.for_each(|(id, _)| j.item_number(i64::from(id)));
        });
        run(j, outline);
    });
    text.push('\n');
    text
}

fn bounds(json: &mut Json, bounds: Bounds) {
    json.seconds("worst_seconds", bounds.worst);
    json.seconds("likely_seconds", Some(bounds.likely));
}

/// What holds for the whole run.
fn run(json: &mut Json, outline: &Outline) {
    json.array("settings", |j| {
        for setting in &outline.settings {
            j.item_object(|j| {
                j.string("name", &setting.name);
                j.string("value", &setting.value);
                j.string("source", setting.source_name());
                j.boolean("in_plan_id", setting.is_in_id());
            });
        }
    });
    json.object_member("globals", |j| {
        let globals = outline.globals.iter();
        globals.for_each(|g| j.string(&g.name, &g.value));
    });
}

fn entry(json: &mut Json, entry: &PlanEntry, durations: &Durations) {
    json.item_object(|j| {
        j.number("id", i64::from(entry.id));
        j.optional_string("name", entry.name.as_deref());
        j.string("title", &entry.title);
        j.string("type", kind_name(&entry.kind));
        j.optional_string("condition", entry.only_if.as_deref());
        for (key, condition) in &entry.criteria {
            j.string(key, condition);
        }
        command(j, entry);
        entry.settings.iter().for_each(|s| setting(j, s));
        bounds(j, durations.task(entry.ix));
        if let Some(id) = entry.begins_at {
            j.number("begins_at", i64::from(id));
        }
        for (group, members) in &entry.groups {
            let key = match group {
                MemberGroup::Subtasks => "subtasks",
                MemberGroup::Check => "wave_check",
                MemberGroup::IfTrue => "if_true",
                MemberGroup::IfFalse => "if_false",
            };
            j.array(key, |j| {
                members.iter().for_each(|m| self::entry(j, m, durations))
            });
        }
        j.array("routes", |j| entry.routes.iter().for_each(|r| route(j, r)));
        for (context, routes) in &entry.routes_when_jumped_to {
            let key = format!("routes_{}", context.label().replace(' ', "_"));
            j.array(&key, |j| routes.iter().for_each(|r| route(j, r)));
        }
    });
}

fn kind_name(kind: &EntryKind) -> &'static str {
    match kind {
        EntryKind::Command => "command",
        EntryKind::Tasks { .. } | EntryKind::Hosts { .. } => "parallel",
        EntryKind::Conditional => "conditional",
        EntryKind::Decision => "decision",
        EntryKind::Bare => "end",
    }
}

fn command(json: &mut Json, entry: &PlanEntry) {
    if let EntryKind::Tasks { at_once } | EntryKind::Hosts { at_once, .. } = &entry.kind {
        json.string("max_parallel", at_once);
    }
    if let Some(set) = entry.kind.node_set() {
        json.string("hostnames", set);
    }
    if let EntryKind::Hosts {
        hosts: Some(hosts), ..
    } = &entry.kind
    {
        json.array("hosts", |j| {
            hosts.list.iter().for_each(|h| j.item_string(h))
        });
    }
    let Some(command) = &entry.command else {
        return;
    };
    json.optional_string("hostname", command.host.as_deref());
    json.string("exec", &command.exec);
    json.string("words", &command.words);
    if let Some(written) = &command.written {
        json.string("written", written);
    }
    match command.timeout_known {
        Some(timeout) => json.seconds("timeout_seconds", Some(timeout)),
        None => json.string("timeout", &command.timeout),
    }
}

/// A key with its value; a time is in seconds.
fn setting(json: &mut Json, setting: &TaskSetting) {
    let key = &setting.key;
    match &setting.value {
        SettingValue::Number(n) => json.number(key, i64::from(*n)),
        SettingValue::Time(time) => json.seconds(&format!("{key}_seconds"), Some(*time)),
        SettingValue::Text(text) => json.string(key, text),
    }
}

fn route(json: &mut Json, route: &PlanRoute) {
    json.item_object(|j| {
        j.string("when", route.when.label());
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
