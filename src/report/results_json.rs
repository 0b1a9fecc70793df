//! The results of a run for a program (SPEC §6.7). The keys and their order are
//! part of what is promised: tasker-json(5) documents them, and what is added
//! later is added at the end of its object.
#![forbid(unsafe_code)]

use super::run_summary::{RunSummary, Walk};
use super::{clock, endings};
use crate::exit;
use crate::outcome::Outcome;
use crate::run::capture::Captured;
use crate::run::result::TaskResult;
use crate::task::mask::Mask;
use crate::task::{Members, Task, TaskKind};
use crate::text::json::Json;

/// Raised when a key changes its meaning or goes.
const VERSION: i64 = 1;

/// The most that is written of one stream, in bytes; `--keep-output` keeps all.
const OUTPUT: usize = 1 << 20;

/// The whole document, with a newline at its end.
pub fn draw(account: &RunSummary) -> String {
    let mut text = Json::object(|json| {
        json.number("schema_version", VERSION);
        json.object_member("workflow_metadata", |json| metadata(json, account));
        json.object_member("execution_summary", |json| summary(json, account));
        json.object_member("task_results", |json| {
            if let Some(walk) = &account.walk {
                task_results(json, walk, account.mask);
            }
        });
        json.object_member("variables", |json| {
            let globals = account.walk.iter().map(|w| &w.workflow.globals);
            for (name, global, _) in globals.flat_map(|g| g.values()) {
                json.string(name, &account.mask.apply(&global.shown()));
            }
        });
    });
    text.push('\n');
    text
}

fn metadata(json: &mut Json, account: &RunSummary) {
    let ended = account.began.checked_add(account.took);
    let shown = |text: &str| account.mask.apply(text);
    let log = account.log.map(|p| shown(&p.display().to_string()));
    json.string("task_file", &shown(account.file));
    json.optional_string("execution_id", some(account.run_id));
    json.optional_string("project", account.project);
    json.string("status", endings::status(account.exit));
    json.number("exit_code", account.exit.into());
    json.string("start_time", &clock::rfc3339(account.began));
    let ended = ended.map(clock::rfc3339);
    json.optional_string("end_time", ended.as_deref());
    json.seconds("duration_seconds", Some(account.took));
    json.optional_string("log_file", log.as_deref());
    json.optional_string("change", account.change.map(shown).as_deref());
    json.string("tasker_version", env!("CARGO_PKG_VERSION"));
}

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|t| !t.is_empty())
}

fn summary(json: &mut Json, account: &RunSummary) {
    let walk = account.walk.as_ref();
    let counts = walk.map(|w| w.end.results.counts()).unwrap_or_default();
    let of = |outcome| counts.count(outcome) as i64;
    let total = walk.map_or(0, |w| w.workflow.tasks.len()) as i64;
    let left = of(Outcome::Skipped) + of(Outcome::NotStarted);
    let (ok, timeouts) = (of(Outcome::Ok), of(Outcome::Timeout));
    let executed = counts.total() as i64 - left;
    json.number("total_tasks", total);
    json.number("executed", executed);
    json.number("succeeded", ok);
    json.number("failed", executed - ok - timeouts);
    json.number("timeouts", timeouts);
    json.number("skipped", of(Outcome::Skipped));
    json.array("execution_path", |json| {
        for (walk, ix) in walk
            .iter()
            .flat_map(|w| w.end.path.iter().map(move |ix| (w, ix)))
        {
            json.item_number(walk.workflow.tasks[*ix].id.into());
        }
    });
    match walk {
        Some(walk) => json.number("final_task", walk.workflow.tasks[walk.end.last].id.into()),
        None => json.null("final_task"),
    }
    match account.exit {
        exit::OK => json.null("failure_info"),
        _ => json.object_member("failure_info", |json| failure(json, account)),
    }
    json.object_member("outcomes", |json| {
        for outcome in Outcome::ALL {
            json.number(outcome.as_str(), of(outcome));
        }
    });
}

fn failure(json: &mut Json, account: &RunSummary) {
    let walk = account.walk.as_ref();
    let failed = walk.and_then(|w| Some(w.workflow.tasks[w.end.first_failure?].id));
    match failed {
        Some(id) => json.number("task_id", id.into()),
        None => json.null("task_id"),
    }
    json.number("exit_code", account.exit.into());
    json.string("error", &account.mask.apply(account.error));
    json.optional_string("resume_command", walk.and_then(|w| some(w.go_on)));
}

fn task_results(json: &mut Json, walk: &Walk, mask: &Mask) {
    for (ix, task) in walk.workflow.tasks.iter().enumerate() {
        let Some(result) = walk.end.results.get(ix) else {
            continue;
        };
        json.object_member(&task.id.to_string(), |json| {
            let title = mask.apply(&task.title.shown(None));
            json.string("name", &title);
            fields(json, result, mask);
            members(json, task, result, walk, mask);
        });
    }
}

/// What every result has, that of a task and that of a host.
fn fields(json: &mut Json, result: &TaskResult, mask: &Mask) {
    let started = result.started.map(clock::rfc3339);
    json.string("hostname", &mask.apply(&result.hostname));
    json.string("command", &mask.apply(&result.command));
    json.string("outcome", result.outcome.as_str());
    json.number("exit_code", result.exit.into());
    stream(json, "stdout", &result.stdout, mask);
    stream(json, "stderr", &result.stderr, mask);
    json.boolean("success", result.success);
    json.boolean("skipped", result.outcome == Outcome::Skipped);
    json.boolean("timed_out", result.timed_out);
    json.number("attempts", result.attempts.into());
    json.optional_string("start_time", started.as_deref());
    json.seconds("duration", result.started.map(|_| result.took));
    json.seconds("cpu_seconds", result.started.map(|_| result.cpu));
    json.number("peak_memory_bytes", (result.peak_kib << 10) as i64);
    json.optional_string("cause", some(&result.cause));
}

/// The beginning of an output, and how long all of it is.
fn stream(json: &mut Json, name: &str, output: &Captured, mask: &Mask) {
    let bytes = output.head(OUTPUT + mask.reach());
    let shown = mask.apply_to_range(&bytes, 0, OUTPUT);
    json.string(name, &String::from_utf8_lossy(&shown));
    json.number(&format!("{name}_bytes"), output.len() as i64);
}

fn members(json: &mut Json, task: &Task, result: &TaskResult, walk: &Walk, mask: &Mask) {
    match &task.kind {
        TaskKind::Parallel(parallel) => match &parallel.members {
            Members::Hosts { .. } => json.array("hosts", |json| {
                for member in &result.members {
                    json.item_object(|json| fields(json, &member.result, mask));
                }
                for host in &result.left_out {
                    let left_out = TaskResult {
                        hostname: host.clone(),
                        ..TaskResult::without_process(Outcome::Unreachable, -1, 1)
                    };
                    json.item_object(|json| fields(json, &left_out, mask));
                }
            }),
            Members::Tasks(tasks) => json.array("members", |json| {
                for ix in tasks {
                    json.item_number(walk.workflow.tasks[*ix].id.into());
                }
            }),
        },
        TaskKind::Conditional(_) => json.array("members", |json| {
            for member in &result.members {
                if let Ok(id) = member.name.parse() {
                    json.item_number(id);
                }
            }
        }),
        _ => {}
    }
}
