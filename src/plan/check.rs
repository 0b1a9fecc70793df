//! Warnings about a workflow that probably does not do what its author means
//! (SPEC §3.2, §6.2), and errors that only its flow shows. What cannot run at all is
//! refused elsewhere.
#![forbid(unsafe_code)]

use super::exit_255;
use super::fall_throughs::FallThroughs;
use super::graph::{Graph, Node, To, node, task_of};
use super::keys_without_effect;
use super::result_uses;
use super::workflow::Workflow;
use crate::task::global_value::is_secret;
use crate::task::globals::GlobalTable;
use crate::task::{Deferrable, Ix, Members, NextRule, Task, TaskKind, nodeset};
use crate::text::diagnostic::DiagnosticList;
use crate::text::source::Span;
use std::collections::HashSet;

/// Warns about the flow and the values of globals. `deadline_task` is where the flow
/// can also go, when the deadline passes.
pub fn check(workflow: &Workflow, deadline_task: Option<Ix>, diagnostics: &mut DiagnosticList) {
    let Some(first) = workflow.first() else {
        return;
    };
    let graph = Graph::new(workflow);
    let begins = |ix: Ix| node(ix, workflow.is_handler(ix));
    let reached = graph.reachable(&[begins(first)]);
    let entered = match deadline_task {
        Some(task) => &graph.reachable(&[begins(first), begins(task)]),
        None => &reached,
    };
    let fall_throughs = FallThroughs::new(workflow, &graph, entered);
    let is_reached = |ix: Ix| entered[node(ix, false)] || entered[node(ix, true)];
    for (ix, task) in workflow.tasks.iter().enumerate() {
        if is_reached(ix) {
            // Also a branch task that is jumped to.
            fall_throughs.check(ix, diagnostics);
        } else if workflow.is_main_line(ix) {
            let message = format!("task {} can never run: nothing leads to it", task.id);
            let warning = diagnostics.warning(task.at, message);
            if let Some((at, why)) = ended_before(workflow, ix, &is_reached) {
                warning.also(at, why);
            }
        }
        jumps_into_a_branch(workflow, task, diagnostics);
        keys_without_effect::check(workflow, ix, diagnostics);
        exit_255::check(workflow, ix, diagnostics);
        slots(workflow, task, diagnostics);
    }
    cycles(workflow, &graph, &reached, diagnostics);
    result_uses::check(workflow, &graph, &reached, diagnostics);
    values(&workflow.globals, diagnostics);
}

/// Why the flow does not fall through to the task: a key of the task before it.
fn ended_before(
    workflow: &Workflow,
    ix: Ix,
    is_reached: &dyn Fn(Ix) -> bool,
) -> Option<(Span, &'static str)> {
    let before = (0..ix).rev().find(|b| workflow.is_main_line(*b))?;
    let before = Some(before).filter(|b| is_reached(*b))?;
    let task = &workflow.tasks[before];
    if matches!(task.routing.next, NextRule::Never) {
        return Some((task.key_span("next"), "the run ends here"));
    }
    [
        ("goto", "the flow jumps over it here"),
        ("on_success", "the flow jumps over it here"),
        ("return", "the run ends here"),
    ]
    .into_iter()
    .find(|(key, _)| task.has_key(key))
    .map(|(key, why)| (task.key_span(key), why))
}

/// Jumps to a task of a branch, of which the rest does not run then (SPEC §3.2).
fn jumps_into_a_branch(workflow: &Workflow, task: &Task, diagnostics: &mut DiagnosticList) {
    let routing = &task.routing;
    let failure_key = task.first_key(&["on_failure", "goto"]);
    for (key, target) in [
        (Some("on_success"), routing.on_success),
        (failure_key, routing.on_failure.or(routing.goto)),
    ] {
        let (Some(key), Some(target)) = (key, target) else {
            continue;
        };
        let Some((block, rest)) = rest_of_branch(workflow, target) else {
            continue;
        };
        let ids: Vec<String> = rest
            .iter()
            .map(|ix| workflow.tasks[*ix].id.to_string())
            .collect();
        let message = format!(
            "task {} jumps into the branch of block {}: after task {} the rest of the branch ({}) does not run",
            task.id,
            workflow.tasks[block].id,
            workflow.tasks[target].id,
            ids.join(", ")
        );
        diagnostics
            .warning(task.key_span(key), message)
            .also(workflow.tasks[block].at, "the block");
    }
}

/// The conditional block of which this is a branch task, and the tasks that follow it
/// in the branch; `None` if there are none.
fn rest_of_branch(workflow: &Workflow, ix: Ix) -> Option<(Ix, &[Ix])> {
    let (block, _) = workflow.owner_of(ix)?;
    let TaskKind::Conditional(conditional) = &workflow.tasks[block].kind else {
        return None;
    };
    let branches = [&conditional.if_true, &conditional.if_false];
    let mut rests = branches.into_iter().flatten().filter_map(|branch| {
        let at = branch.iter().position(|member| *member == ix)?;
        Some(&branch[at + 1..])
    });
    let rest = rests.find(|rest| !rest.is_empty())?;
    Some((block, rest))
}

/// Jumps that lead back.
fn cycles(workflow: &Workflow, graph: &Graph, reached: &[bool], diagnostics: &mut DiagnosticList) {
    let mut reported = HashSet::new();
    for cycle in graph.cycles() {
        if !cycle.iter().any(|n| reached[*n]) {
            continue;
        }
        let mut tasks: Vec<Ix> = cycle.iter().map(|n| task_of(*n)).collect();
        tasks.dedup();
        let Some(back) = jump_back(graph, &cycle) else {
            continue;
        };
        if !reported.insert(tasks.clone()) {
            continue;
        }
        let ids: Vec<String> = tasks
            .iter()
            .take(8)
            .map(|ix| workflow.tasks[*ix].id.to_string())
            .collect();
        let more = if tasks.len() > 8 { ", ..." } else { "" };
        let end = if graph.can_end(&cycle) {
            ""
        } else {
            "; only --max-steps can end the run there"
        };
        let task = &workflow.tasks[task_of(back)];
        let jump = task.first_key_span(&["goto", "on_failure", "on_success"]);
        let message = match ids.as_slice() {
            [id] => format!("task {id} jumps to itself{end}"),
            _ => format!("tasks {}{more} form a cycle of jumps{end}", ids.join(", ")),
        };
        diagnostics.warning(jump, message);
    }
}

/// The last node of the cycle that jumps to itself or to an earlier one.
fn jump_back(graph: &Graph, cycle: &[Node]) -> Option<Node> {
    let members: HashSet<Node> = cycle.iter().copied().collect();
    let back = |from: Node| {
        graph.edges_from(from).iter().any(|e| e.jump && matches!(e.to, To::Node(to) if task_of(to) <= task_of(from) && members.contains(&to)))
    };
    cycle.iter().rev().copied().find(|n| back(*n))
}

/// A `max_parallel` higher than the number of subtasks.
fn slots(workflow: &Workflow, task: &Task, diagnostics: &mut DiagnosticList) {
    let TaskKind::Parallel(parallel) = &task.kind else {
        return;
    };
    let Some(Deferrable::Known(slots)) = parallel.max_parallel else {
        return;
    };
    let subtasks = match &parallel.members {
        Members::Tasks(tasks) => Some(tasks.len()),
        Members::Hosts { set, .. } => {
            let set = set
                .known_text()
                .and_then(|text| nodeset::expand(&text, &workflow.host_files).ok());
            set.map(|s| s.hosts.len())
        }
    };
    if let Some(subtasks) = subtasks.filter(|n| *n > 0 && (*n as u32) < slots) {
        diagnostics.warning(
            task.key_span("max_parallel"),
            format!(
                "block {} has fewer subtasks ({subtasks}) than `max_parallel` allows",
                task.id
            ),
        );
    }
}

/// Globals that look like secrets but are not hidden.
fn values(globals: &GlobalTable, diagnostics: &mut DiagnosticList) {
    for (name, global, value) in globals.values() {
        let value = String::from_utf8_lossy(&value);
        if !is_secret(name)
            && global.secret_values().is_empty()
            && (names_a_secret(name) || looks_random(&value))
            && !value.is_empty()
        {
            diagnostics
                .warning(
                    global.at,
                    format!("the global `{name}` looks like a secret but is not hidden"),
                )
                .help("a global whose name begins with `SECRET_` is shown as ***");
        }
    }
}

fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let words: Vec<&str> = name.split('_').collect();
    [
        "PASS",
        "PASSWD",
        "PASSWORD",
        "PWD",
        "SECRET",
        "TOKEN",
        "APIKEY",
        "CREDENTIAL",
        "CREDENTIALS",
    ]
    .iter()
    .any(|w| words.contains(w))
}

/// A long mix of upper case, lower case and digits, as in keys and tokens.
fn looks_random(value: &str) -> bool {
    let plain = value
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "+/=_-".contains(c));
    let has = |test: fn(&char) -> bool| value.chars().filter(test).count() >= 3;
    let mixed =
        has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase) && has(char::is_ascii_digit);
    // In a path or a sentence, neighbours are mostly of the same kind.
    let kind = |c: char| (c.is_ascii_digit(), c.is_ascii_uppercase());
    let changes = value
        .chars()
        .zip(value.chars().skip(1))
        .filter(|(a, b)| kind(*a) != kind(*b))
        .count();
    value.len() >= 16 && plain && mixed && changes * 3 >= value.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::recipe;
    use crate::plan::workflow::tests::defaults;
    use crate::task::build::build;
    use crate::task::host_files::HostFiles;
    use crate::text::chance::{self, Chance};
    use crate::text::scanner::scan;
    use crate::text::source::{Source, SourceMap};
    use std::path::Path;

    #[test]
    fn secrets_are_recognized_by_their_shape() {
        assert!(
            looks_random("Xk29sk20DKs02kd0")
                && looks_random("ghp_16C7e42F292c6912E7710c838347Ae178B4a")
        );
        for ordinary in [
            "/var/lib/postgresql/14/main",
            "2024-01-15T14:30:15",
            "release-4.2.1",
            "WebServerPrimaryNode01",
            "true",
        ] {
            assert!(!looks_random(ordinary), "{ordinary}");
        }
        assert!(
            names_a_secret("DB_PASS") && !names_a_secret("PASSENGERS") && !names_a_secret("BYPASS")
        );
    }

    #[test]
    fn a_damaged_file_is_checked_and_every_mistake_has_a_place() {
        let files = chance::task_files();
        let mut chance = Chance::new(12);
        for _ in 0..2000 {
            let bytes = chance.file(&files);
            let (source, bad) = Source::decode("t", &bytes);
            if bad.is_some() {
                continue;
            }
            let mut sources = SourceMap::default();
            let file = sources.add(source);
            let mut diagnostics = DiagnosticList::default();
            let lines = scan(file, sources.get(file), &mut diagnostics);
            let here = Path::new("/nowhere");
            let tasks = build(
                &lines,
                &[],
                false,
                HostFiles::new(here.into(), 1),
                &sources,
                &mut diagnostics,
            );
            let recipes = recipe::prepare(&tasks, &defaults(), &mut diagnostics);
            let workflow = Workflow::new(tasks, recipes, &mut diagnostics);
            if !diagnostics.has_errors() {
                check(&workflow, None, &mut diagnostics);
            }
            let drawn = diagnostics.draw(&sources);
            let is_unprintable = |c: char| c.is_control() && c != '\n';
            assert!(!drawn.contains(is_unprintable), "{drawn:?}");
        }
    }
}
