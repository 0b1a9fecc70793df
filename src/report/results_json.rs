//! `--output-json`: the results of a run for a program (SPEC §6.7). The keys and
//! their order are stable: tasker-json(5) documents them, and new keys are added at
//! the end of their object.
#![forbid(unsafe_code)]

use super::run_summary::{RunSummary, TaskSummary};
use super::{clock, endings};
use crate::exit;
use crate::outcome::Outcome;
use crate::run::capture::Captured;
use crate::run::result::TaskResult;
use crate::task::mask::Mask;
use crate::task::{Members, Task, TaskKind};
use crate::text::json::Json;
use std::io;

/// Raised when a key changes its meaning or is removed.
const VERSION: i64 = 1;

/// The most bytes written of each stream. `--keep-output` keeps all of it.
const OUTPUT: usize = 1 << 20;

/// Writes the whole document, with a newline at the end.
///
/// # Errors
/// Those of `out`.
pub fn write(run: &RunSummary, out: &mut dyn io::Write) -> io::Result<()> {
    Json::write(out, |json| {
        json.number("schema_version", VERSION);
        json.object_member("workflow_metadata", |json| metadata(json, run));
        json.object_member("execution_summary", |json| summary(json, run));
        json.object_member("task_results", |json| {
            if let Some(tasks) = &run.tasks {
                task_results(json, tasks, run.mask);
            }
        });
        json.object_member("variables", |json| {
            let globals = run.tasks.iter().map(|w| &w.workflow.globals);
            for (name, global, _) in globals.flat_map(|g| g.values()) {
                json.string(name, &run.mask.apply(&global.shown()));
            }
        });
    })
}

fn metadata(json: &mut Json, run: &RunSummary) {
    let ended = run.began.checked_add(run.took);
    let shown = |text: &str| run.mask.apply(text);
    let log = run.log.map(|p| shown(&p.display().to_string()));
    json.string("task_file", &shown(run.file));
    json.optional_string("execution_id", non_empty(run.run_id));
    json.optional_string("project", run.project);
    json.string("status", endings::status(run.exit));
    json.number("exit_code", run.exit.into());
    json.string("start_time", &clock::rfc3339(run.began));
    let ended = ended.map(clock::rfc3339);
    json.optional_string("end_time", ended.as_deref());
    json.seconds("duration_seconds", Some(run.took));
    json.optional_string("log_file", log.as_deref());
    json.optional_string("change", run.change.map(shown).as_deref());
    json.string("tasker_version", env!("CARGO_PKG_VERSION"));
}

fn non_empty(text: &str) -> Option<&str> {
    Some(text).filter(|t| !t.is_empty())
}

fn summary(json: &mut Json, run: &RunSummary) {
    let tasks = run.tasks.as_ref();
    let counts = tasks.map(|w| w.end.results.counts()).unwrap_or_default();
    let of = |outcome| counts.count(outcome) as i64;
    let total = tasks.map_or(0, |w| w.workflow.tasks.len()) as i64;
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
        for (tasks, ix) in tasks
            .iter()
            .flat_map(|w| w.end.path.iter().map(move |ix| (w, ix)))
        {
            json.item_number(tasks.workflow.tasks[*ix].id.into());
        }
    });
    match tasks {
        Some(tasks) => json.number("final_task", tasks.workflow.tasks[tasks.end.last].id.into()),
        None => json.null("final_task"),
    }
    match run.exit {
        exit::OK => json.null("failure_info"),
        _ => json.object_member("failure_info", |json| failure(json, run)),
    }
    json.object_member("outcomes", |json| {
        for outcome in Outcome::ALL {
            json.number(outcome.as_str(), of(outcome));
        }
    });
}

fn failure(json: &mut Json, run: &RunSummary) {
    let tasks = run.tasks.as_ref();
    let failed = tasks.and_then(|w| Some(w.workflow.tasks[w.end.first_failure?].id));
    match failed {
        Some(id) => json.number("task_id", id.into()),
        None => json.null("task_id"),
    }
    json.number("exit_code", run.exit.into());
    json.string("error", &run.mask.apply(run.error));
    json.optional_string(
        "resume_command",
        tasks.and_then(|w| non_empty(&w.advice.line)),
    );
    json.array("resume_notes", |json| {
        for words in tasks.iter().flat_map(|w| &w.advice.words) {
            json.item_string(&run.mask.apply(words));
        }
    });
}

fn task_results(json: &mut Json, tasks: &TaskSummary, mask: &Mask) {
    for (ix, task) in tasks.workflow.tasks.iter().enumerate() {
        let Some(result) = tasks.end.results.get(ix) else {
            continue;
        };
        json.object_member(&task.id.to_string(), |json| {
            let title = mask.apply(&task.title.shown(None));
            json.string("name", &title);
            fields(json, result, mask);
            members(json, task, result, tasks, mask);
        });
    }
}

/// The keys of every result, of a task and of a host.
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
    json.optional_string("cause", non_empty(&result.cause));
    json.optional_string("stdout_lost", result.stdout.lost());
    json.optional_string("stderr_lost", result.stderr.lost());
    let connecting = result.connect_started().map(clock::rfc3339);
    json.optional_string("connect_start_time", connecting.as_deref());
    json.seconds("connect_seconds", result.connect_time());
}

/// The beginning of an output, and its length.
fn stream(json: &mut Json, name: &str, output: &Captured, mask: &Mask) {
    let bytes = output.head(OUTPUT + mask.reach());
    let shown = mask.apply_to_range(&bytes, 0, OUTPUT);
    json.string(name, &String::from_utf8_lossy(&shown));
    json.number(&format!("{name}_bytes"), output.len() as i64);
}

fn members(json: &mut Json, task: &Task, result: &TaskResult, tasks: &TaskSummary, mask: &Mask) {
    match &task.kind {
        TaskKind::Parallel(parallel) => match &parallel.members {
            Members::Hosts { .. } => json.array("hosts", |json| {
                for member in &result.members {
                    json.item_object(|json| fields(json, &member.result, mask));
                }
            }),
            Members::Tasks(members) => json.array("members", |json| {
                for ix in members {
                    json.item_number(tasks.workflow.tasks[*ix].id.into());
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
