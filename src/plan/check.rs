//! What in a workflow is probably not meant (SPEC §3.2, §6.2): warnings only,
//! for what cannot run at all is refused elsewhere.
#![forbid(unsafe_code)]

use super::graph::{Case, Graph, Node, To, node, task_of};
use super::keys_without_effect;
use super::result_uses;
use super::workflow::Workflow;
use crate::task::globals::{GlobalTable, is_secret};
use crate::task::{Deferrable, Ix, Members, NextRule, Task, TaskKind, nodeset};
use crate::text::diagnostic::DiagnosticList;
use crate::text::source::Span;
use std::collections::HashSet;

/// A fall-through over that many unused ids is worth a question.
const WIDE: u32 = 10;

/// Reports every doubt about the flow and the values. `late` is where the flow may
/// also go by itself, at its deadline.
pub fn check(workflow: &Workflow, late: Option<Ix>, diagnostics: &mut DiagnosticList) {
    let Some(first) = workflow.first() else {
        return;
    };
    let graph = Graph::new(workflow);
    let begins = |ix: Ix| node(ix, workflow.is_handler(ix));
    let reached = graph.reachable(&[begins(first)]);
    let led_to = match late {
        Some(late) => &graph.reachable(&[begins(first), begins(late)]),
        None => &reached,
    };
    let failures = failures(workflow);
    let is_reached = |ix: Ix| led_to[node(ix, false)] || led_to[node(ix, true)];
    for (ix, task) in workflow.tasks.iter().enumerate() {
        if workflow.is_main_line(ix) {
            match is_reached(ix) {
                true => falls(workflow, &graph, led_to, &failures, ix, diagnostics),
                false => {
                    let message = format!("task {} can never run: nothing leads to it", task.id);
                    let warning = diagnostics.warning(task.at, message);
                    if let Some((at, why)) = ended_before(workflow, ix, &is_reached) {
                        warning.also(at, why);
                    }
                }
            }
        }
        keys_without_effect::check(workflow, ix, diagnostics);
        slots(workflow, task, diagnostics);
    }
    cycles(workflow, &graph, &reached, diagnostics);
    result_uses::check(workflow, &graph, &reached, diagnostics);
    values(&workflow.globals, diagnostics);
}

/// Why the flow does not fall through to the task: what the one before it says.
fn ended_before(
    workflow: &Workflow,
    ix: Ix,
    is_reached: &dyn Fn(Ix) -> bool,
) -> Option<(Span, &'static str)> {
    let before = (0..ix).rev().find(|b| workflow.is_main_line(*b))?;
    let before = Some(before).filter(|b| is_reached(*b))?;
    let task = &workflow.tasks[before];
    if matches!(task.routing.next, NextRule::Never) {
        return Some((task.key_span("next"), "the run ends here before it"));
    }
    [
        ("goto", "the flow jumps past it here"),
        ("on_success", "the flow jumps past it here"),
        ("return", "the run ends here before it"),
    ]
    .into_iter()
    .find(|(key, _)| task.has_key(key))
    .map(|(key, why)| (task.key_span(key), why))
}

/// Where a task of the main line falls through to.
fn falls(
    workflow: &Workflow,
    graph: &Graph,
    reached: &[bool],
    failures: &[Option<Ix>],
    ix: Ix,
    diagnostics: &mut DiagnosticList,
) {
    let task = &workflow.tasks[ix];
    let edges = |in_handlers: bool| {
        graph
            .from(node(ix, in_handlers))
            .iter()
            .filter(|e| e.case == Case::True)
    };
    if reached[node(ix, false)]
        && edges(false).any(|e| e.before_handler)
        && let Some(handler) = workflow.next_of(ix)
    {
        let handler = &workflow.tasks[handler];
        // Beside a `next=never` no failure target is allowed, and without one a
        // `return=0` would hide the failure.
        let handled = task.routing.on_failure.is_some() || task.routing.goto.is_some();
        let help = match handled {
            true => "say so with `return=0`, or route around it",
            false => "say so with `next=never`, or route around it",
        };
        diagnostics
            .warning(
                task.at,
                format!(
                    "after task {} the run ends with 0: task {} is a failure handler",
                    task.id, handler.id
                ),
            )
            .also(handler.at, "the handler")
            .help(help);
    }
    let falls_to = |to: To| match to {
        To::Node(next) => Some(task_of(next)),
        To::End(_) => None,
    };
    if let Some(next) = edges(false)
        .filter(|e| !e.jump)
        .find_map(|e| falls_to(e.to))
    {
        if reached[node(ix, false)] {
            falls_among_handlers(workflow, graph, failures, ix, next, diagnostics);
        }
        let (from, to) = (task.id, workflow.tasks[next].id);
        let unused = (to - from - 1).saturating_sub((next - ix - 1) as u32);
        if unused >= WIDE {
            let message = format!(
                "after task {from} the flow falls through to task {to}, over {unused} unused ids"
            );
            diagnostics
                .warning(task.at, message)
                .also(workflow.tasks[next].at, "the next task");
        }
    }
    if !reached[node(ix, true)] {
        return;
    }
    for edge in edges(true).filter(|e| !e.jump) {
        match edge.to {
            To::Node(next) if workflow.is_handler(ix) => {
                let next = &workflow.tasks[task_of(next)];
                let message = format!(
                    "the failure handler {} falls through to task {}",
                    task.id, next.id
                );
                diagnostics
                    .warning(task.at, message)
                    .also(next.at, "the next task")
                    .help("`return=1` ends the run here");
            }
            To::End(0) => {
                let message = format!("after a failure, task {} ends the run with 0", task.id);
                diagnostics
                    .warning(task.at, message)
                    .help("`return=1` tells the caller of the failure");
            }
            To::Node(_) | To::End(_) => {}
        }
    }
}

/// A task that a failure leads to and that ends the run with a code of its own
/// looks like a handler; where the id just below is taken it is none, and a run
/// that goes well falls into it.
fn falls_among_handlers(
    workflow: &Workflow,
    graph: &Graph,
    failures: &[Option<Ix>],
    from: Ix,
    next: Ix,
    diagnostics: &mut DiagnosticList,
) {
    let (task, target) = (&workflow.tasks[from], &workflow.tasks[next]);
    let Some(jumps) = fallen_into(workflow, failures, from, next) else {
        return;
    };
    if let Some(code) = ends_well_with(workflow, graph, failures, next).filter(|c| *c != 0) {
        let message = format!(
            "task {} falls through to task {}, where a failure leads: a run that goes well ends with {code}",
            task.id, target.id
        );
        diagnostics
            .warning(task.at, message)
            .also(workflow.tasks[jumps].key_span("on_failure"), "the failure")
            .help("a failure handler has no task with the id just below its own; move it up");
    }
}

/// The task whose failure leads to `next`, which the id of `from` keeps from
/// being a handler.
fn fallen_into(workflow: &Workflow, failures: &[Option<Ix>], from: Ix, next: Ix) -> Option<Ix> {
    let follows = workflow.tasks[from].id + 1 == workflow.tasks[next].id;
    failures[next].filter(|_| follows)
}

/// For every task the first one whose failure leads to it.
fn failures(workflow: &Workflow) -> Vec<Option<Ix>> {
    let mut from = vec![None; workflow.tasks.len()];
    for (ix, task) in workflow.tasks.iter().enumerate() {
        if let Some(to) = task.routing.on_failure {
            from[to].get_or_insert(ix);
        }
    }
    from
}

/// The exit code of a run that comes to the task and goes well from there; none
/// where it falls into another task that a failure leads to.
fn ends_well_with(
    workflow: &Workflow,
    graph: &Graph,
    failures: &[Option<Ix>],
    from: Ix,
) -> Option<i32> {
    let mut at = from;
    for _ in &workflow.tasks {
        let edges = graph.from(node(at, false));
        let edge = edges.iter().find(|e| e.case == Case::True)?;
        match edge.to {
            To::Node(next) => {
                let next = task_of(next);
                if !edge.jump && fallen_into(workflow, failures, at, next).is_some() {
                    return None;
                }
                at = next;
            }
            To::End(code) => {
                let return_ = workflow.tasks[at].routing.return_.as_ref();
                return Some(code).filter(|_| return_.is_none_or(|c| c.known().is_some()));
            }
        }
    }
    None
}

/// Jumps that lead back to where they came from.
fn cycles(workflow: &Workflow, graph: &Graph, reached: &[bool], diagnostics: &mut DiagnosticList) {
    let mut told = HashSet::new();
    for cycle in graph.cycles() {
        if !cycle.iter().any(|n| reached[*n]) {
            continue;
        }
        let mut tasks: Vec<Ix> = cycle.iter().map(|n| task_of(*n)).collect();
        tasks.dedup();
        let Some(back) = jump_back(graph, &cycle) else {
            continue;
        };
        if !told.insert(tasks.clone()) {
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
            ", and nothing in it can end the run but --max-steps"
        };
        let task = &workflow.tasks[task_of(back)];
        let key = task.first_key(&["goto", "on_failure", "on_success"]);
        let message = match ids.as_slice() {
            [id] => format!("task {id} jumps to itself{end}"),
            _ => format!("tasks {}{more} form a cycle of jumps{end}", ids.join(", ")),
        };
        diagnostics.warning(key.map_or(task.at, |k| task.key_span(k)), message);
    }
}

/// The last node of the cycle that jumps to one before it, or to itself.
fn jump_back(graph: &Graph, cycle: &[Node]) -> Option<Node> {
    let back = |from: Node| {
        graph.from(from).iter().any(|e| e.jump && matches!(e.to, To::Node(to) if task_of(to) <= task_of(from) && cycle.contains(&to)))
    };
    cycle.iter().rev().copied().find(|n| back(*n))
}

/// More slots than subtasks.
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
                .and_then(|text| nodeset::expand(&text, &workflow.directory).ok());
            set.map(|s| s.hosts.len())
        }
    };
    if let Some(subtasks) = subtasks.filter(|n| *n > 0 && (*n as u32) < slots) {
        diagnostics.warning(
            task.key_span("max_parallel"),
            format!(
                "more at once than block {} has subtasks ({subtasks})",
                task.id
            ),
        );
    }
}

/// Values that look like secrets under an ordinary name.
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
                    format!(
                        "the global `{name}` looks like a secret, but its name does not hide it"
                    ),
                )
                .help("a name that begins with `SECRET_` is shown as *** everywhere");
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

/// A long run of letters of both cases and digits, as keys and tokens are.
fn looks_random(value: &str) -> bool {
    let plain = value
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "+/=_-".contains(c));
    let has = |test: fn(&char) -> bool| value.chars().filter(test).count() >= 3;
    let mixed =
        has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase) && has(char::is_ascii_digit);
    // A path or a sentence changes its kind of character seldom.
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
    use crate::text::chance::{self, Chance};
    use crate::text::scanner::scan;
    use crate::text::source::{Source, SourceMap};
    use std::path::Path;

    #[test]
    fn secrets_are_recognized_by_their_look() {
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
    fn a_spoilt_file_is_checked_and_every_mistake_has_a_place() {
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
            let tasks = build(&lines, &[], false, here, &sources, &mut diagnostics);
            let recipes = recipe::prepare(&tasks.tasks, &defaults(), &mut diagnostics);
            let workflow = Workflow::new(tasks, recipes, &mut diagnostics);
            if !diagnostics.has_errors() {
                check(&workflow, None, &mut diagnostics);
            }
            let drawn = diagnostics.draw(&sources);
            let is_foul = |c: char| c.is_control() && c != '\n';
            assert!(!drawn.contains(is_foul), "{drawn:?}");
        }
    }
}
