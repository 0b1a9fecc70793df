//! The plan as a tree (SPEC §6.1): every task where a reader looks for it, with
//! what would run and where the flow goes next. Each form of the plan (`listing`,
//! `picture`, `as_json`) draws this and decides nothing itself.
#![forbid(unsafe_code)]

use super::durations::{self, Durations, FINAL_TIMEOUT};
use super::exec::{Arg, ExecMethod, ExecType};
use super::graph::{Case, Graph, To, node, task_of};
use super::hosts::RunHosts;
use super::recipe::{Defaults, Payload, Recipe};
use super::workflow::Workflow;
use crate::task::nodeset::{self, HostFilter};
use crate::task::{Conditional, Deferrable, Ix, Members, NextRule, Parallel, Task, TaskKind};
use crate::text::duration;
use crate::text::quote;
use crate::text::script::{Script, variable};
use crate::text::source::SourceMap;
use crate::text::template::{Piece, Template};
use std::time::Duration;

/// The plan of a checked workflow.
pub struct Outline {
    /// The tasks of the main line in order; blocks hold their members.
    pub main: Vec<PlanEntry>,
    /// Tasks that only a failure leads to.
    pub handlers: Vec<PlanEntry>,
    /// Tasks that run whenever the run ends.
    pub finals: Vec<PlanEntry>,
    pub targets: RunHosts,
    pub durations: Durations,
}

/// One task of the plan.
pub struct PlanEntry {
    pub ix: Ix,
    pub id: u32,
    pub title: String,
    pub what: EntryKind,
    /// The text of its `condition=`; of a conditional it is what chooses.
    pub only_if: Option<String>,
    /// The conditions that judge it, by their keys, as written.
    pub judged: Vec<(&'static str, String)>,
    /// The command it runs, or runs on each of its hosts.
    pub runs: Option<PlannedCommand>,
    pub groups: Vec<(MemberGroup, Vec<PlanEntry>)>,
    pub routes: Vec<PlanRoute>,
}

/// What kind of task it is.
#[derive(Clone, Debug, PartialEq)]
pub enum EntryKind {
    Command,
    /// At most so many at once.
    Tasks {
        at_once: String,
    },
    Hosts {
        at_once: String,
        /// The node set as written, and what the command line leaves of it.
        set: String,
        left: Option<(String, usize, usize)>,
    },
    Conditional,
    Decision,
    Bare,
}

/// How a command would be run.
pub struct PlannedCommand {
    pub host: Option<String>,
    pub exec: String,
    /// The exact words, quoted for a shell; what the run decides is left as
    /// written, secrets are masked.
    pub words: String,
    pub timeout: String,
    /// In seconds, where it is known.
    pub timeout_known: Option<Duration>,
}

/// What a block's members are to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MemberGroup {
    Subtasks,
    /// Between waves.
    Check,
    IfTrue,
    IfFalse,
}

/// When a route is taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RouteCase {
    /// On a true verdict.
    Success,
    Failure,
    /// Whatever the verdict.
    Always,
    Skipped,
    /// A branch task left the block.
    Left,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RouteTarget {
    /// To a task: by a jump, or by falling through.
    Task { id: u32, jump: bool },
    /// The run ends, with this exit code; without one, with the task's own.
    End(Option<i32>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlanRoute {
    pub when: RouteCase,
    pub to: RouteTarget,
}

impl Outline {
    pub fn new(
        workflow: &Workflow,
        defaults: &Defaults,
        selection: &HostFilter,
        sources: &SourceMap,
    ) -> Outline {
        let graph = Graph::new(workflow);
        let first = workflow.first().map(|f| node(f, workflow.is_handler(f)));
        let reached = graph.reachable(first.as_slice());
        let maker = OutlineBuilder {
            workflow,
            defaults,
            selection,
            sources,
            graph,
            reached,
        };
        let entries = |tasks: Vec<Ix>| tasks.into_iter().map(|ix| maker.entry(ix)).collect();
        let main = (0..workflow.tasks.len()).filter(|ix| workflow.is_main_line(*ix));
        let (handlers, line): (Vec<Ix>, Vec<Ix>) = main.partition(|ix| maker.is_after_failure(*ix));
        Outline {
            main: entries(line),
            handlers: entries(handlers),
            finals: entries(workflow.finals().collect()),
            targets: RunHosts::collect(workflow, defaults, selection),
            durations: durations::measure(workflow, &maker.graph, defaults, selection),
        }
    }

    /// Every entry with its part, blocks before their members.
    pub fn all(&self) -> Vec<&PlanEntry> {
        let mut out = Vec::new();
        let mut waiting: Vec<&PlanEntry> = Vec::new();
        let parts = [&self.finals, &self.handlers, &self.main];
        parts.iter().for_each(|p| waiting.extend(p.iter().rev()));
        while let Some(entry) = waiting.pop() {
            out.push(entry);
            let members = entry.groups.iter().rev().flat_map(|(_, m)| m.iter().rev());
            waiting.extend(members);
        }
        out
    }
}

struct OutlineBuilder<'a> {
    workflow: &'a Workflow,
    defaults: &'a Defaults,
    /// What `--limit` and `--exclude` leave of blocks over hosts.
    selection: &'a HostFilter,
    sources: &'a SourceMap,
    graph: Graph,
    /// The nodes of the graph that the flow can come to.
    reached: Vec<bool>,
}

impl OutlineBuilder<'_> {
    /// Whether only a failure leads to the task: to a handler, and to a task that
    /// only handlers fall through to.
    fn is_after_failure(&self, ix: Ix) -> bool {
        let only_in_handlers = self.reached[node(ix, true)] && !self.reached[node(ix, false)];
        self.workflow.is_handler(ix) || only_in_handlers
    }

    fn entry(&self, ix: Ix) -> PlanEntry {
        let task = &self.workflow.tasks[ix];
        let members = |tasks: &[Ix]| tasks.iter().map(|ix| self.entry(*ix)).collect();
        let mut groups = Vec::new();
        let what = match &task.kind {
            TaskKind::Command(_) => EntryKind::Command,
            TaskKind::Decision => EntryKind::Decision,
            TaskKind::Bare => EntryKind::Bare,
            TaskKind::Parallel(parallel) => {
                if let Members::Tasks(tasks) = &parallel.members {
                    groups.push((MemberGroup::Subtasks, members(tasks)));
                }
                if let Some(check) = parallel.wave_check {
                    groups.push((MemberGroup::Check, members(&[check])));
                }
                self.parallel(parallel)
            }
            TaskKind::Conditional(Conditional {
                if_true, if_false, ..
            }) => {
                for (group, branch) in [
                    (MemberGroup::IfTrue, if_true),
                    (MemberGroup::IfFalse, if_false),
                ] {
                    if let Some(branch) = branch {
                        groups.push((group, members(branch)));
                    }
                }
                EntryKind::Conditional
            }
        };
        let condition = task.written.iter().find(|(k, _)| *k == "condition");
        PlanEntry {
            ix,
            id: task.id,
            title: task.title.shown(None),
            what,
            only_if: condition.map(|(_, at)| self.sources.snippet(*at).to_string()),
            judged: self.judged(task),
            runs: self.runs(ix, task),
            groups,
            routes: self.routes(ix, task),
        }
    }

    fn judged(&self, task: &Task) -> Vec<(&'static str, String)> {
        let keys = ["success", "failure", "next", "loop_break"];
        let is_condition =
            |key: &str| key != "next" || matches!(task.routing.next, NextRule::When(_));
        let of_key = |key: &&'static str| {
            let (_, at) = task.written.iter().find(|(k, _)| k == key)?;
            Some((*key, self.sources.snippet(*at).to_string()))
        };
        let keys = keys.iter().filter(|k| is_condition(k));
        keys.filter_map(of_key).collect()
    }

    fn parallel(&self, parallel: &Parallel) -> EntryKind {
        let at_once = match &parallel.max_parallel {
            Some(Deferrable::Known(n)) => n.to_string(),
            Some(Deferrable::Deferred { value, .. }) => value.shown(None),
            None => self.defaults.max_parallel.to_string(),
        };
        match &parallel.members {
            Members::Tasks(_) => EntryKind::Tasks { at_once },
            Members::Hosts { set, .. } => EntryKind::Hosts {
                at_once,
                set: set.shown(None),
                left: self.left_of(set),
            },
        }
    }

    /// What the command line leaves of a known node set, of how many.
    fn left_of(&self, set: &Template) -> Option<(String, usize, usize)> {
        let text = set.known_text()?;
        let mut known = nodeset::expand(&text, &self.workflow.directory).ok()?;
        let all = known.hosts.len();
        known.hosts.retain(|h| self.selection.allows(h));
        let left = known.hosts.len();
        (left != all).then(|| (nodeset::fold(&known.hosts), left, all))
    }

    fn runs(&self, ix: Ix, task: &Task) -> Option<PlannedCommand> {
        let command = task.command()?;
        let host = command.hostname.as_ref().map(|h| h.shown(None));
        let mut exec_timeout = None;
        let (exec, words) = match &self.workflow.recipes[ix] {
            Recipe::Ready { exec, payload } => {
                exec_timeout = exec.timeout;
                let on = host.as_deref().unwrap_or("{hostname}");
                (exec.name().to_string(), words(exec, payload, on))
            }
            _ => {
                let exec = command.exec.as_ref();
                let arguments = command.arguments.as_ref();
                let arguments = arguments.map_or(String::new(), |a| format!(" {}", a.shown(None)));
                (
                    exec.map_or("type known in the run".into(), |e| e.shown(None)),
                    format!("{}{arguments}", command.command.shown(None)),
                )
            }
        };
        let default = exec_timeout.unwrap_or(self.defaults.timeout);
        let (timeout, timeout_known) = match &command.timeout {
            Some(Deferrable::Deferred { value, .. }) => (value.shown(None), None),
            known => {
                let default = match task.finally {
                    true => default.min(FINAL_TIMEOUT),
                    false => default,
                };
                let timeout = known.as_ref().and_then(Deferrable::known).copied();
                let timeout = timeout.unwrap_or(default);
                (duration::setting(timeout), Some(timeout))
            }
        };
        Some(PlannedCommand {
            host,
            exec,
            words,
            timeout,
            timeout_known,
        })
    }

    /// Where the flow goes from the task: for a task of the main line every edge
    /// of the graph, for a subtask what its own keys say.
    fn routes(&self, ix: Ix, task: &Task) -> Vec<PlanRoute> {
        if task.finally || !(self.workflow.is_main_line(ix) || task.routing.routes()) {
            return Vec::new();
        }
        let mut out: Vec<PlanRoute> = Vec::new();
        for edge in self.graph.from(node(ix, self.is_after_failure(ix))) {
            let when = match edge.case {
                Case::True => RouteCase::Success,
                Case::False => RouteCase::Failure,
                Case::Skipped => RouteCase::Skipped,
                Case::Left => RouteCase::Left,
            };
            let to = match edge.to {
                To::Node(to) => RouteTarget::Task {
                    id: self.workflow.tasks[task_of(to)].id,
                    jump: edge.jump,
                },
                // Where nothing names a code, it is the task's own.
                To::End(_) if when == RouteCase::Failure && task.routing.return_.is_none() => {
                    RouteTarget::End(None)
                }
                To::End(_)
                    if task
                        .routing
                        .return_
                        .as_ref()
                        .is_some_and(|c| c.known().is_none()) =>
                {
                    RouteTarget::End(None)
                }
                To::End(code) => RouteTarget::End(Some(code)),
            };
            let route = PlanRoute { when, to };
            if !out.contains(&route) {
                out.push(route);
            }
        }
        if !self.workflow.is_main_line(ix) {
            // A branch task that does not jump or end the run stays in its branch.
            out.retain(|r| matches!(r.to, RouteTarget::Task { jump: true, .. }) || ends(task, r));
        }
        simpler(out)
    }
}

/// Whether a branch task itself ends the run there.
fn ends(task: &Task, route: &PlanRoute) -> bool {
    let own = task.routing.return_.is_some() || matches!(task.routing.next, NextRule::Never);
    own && matches!(route.to, RouteTarget::End(_)) && route.when != RouteCase::Skipped
}

/// Success and failure to the same place are one; skipped needs no word where
/// it goes where success goes.
fn simpler(mut routes: Vec<PlanRoute>) -> Vec<PlanRoute> {
    let to = |routes: &[PlanRoute], when| routes.iter().find(|r| r.when == when).map(|r| r.to);
    let success = to(&routes, RouteCase::Success);
    if success.is_some() && success == to(&routes, RouteCase::Skipped) {
        routes.retain(|r| r.when != RouteCase::Skipped);
    }
    let failure = to(&routes, RouteCase::Failure);
    if success.is_some() && (success == failure || failure.is_none()) {
        routes.retain(|r| r.when != RouteCase::Failure);
        for route in &mut routes {
            if route.when == RouteCase::Success {
                route.when = RouteCase::Always;
            }
        }
    }
    routes.sort_by_key(|r| r.when as u8);
    routes
}

/// The words as they would be executed; what the run decides is left as written.
pub fn words(exec: &ExecType, payload: &Payload, host: &str) -> String {
    let (of_command, of_arguments): (Vec<String>, Vec<String>) = match payload {
        Payload::Words { words, of_command } => {
            let own: Vec<String> = words.iter().map(shown_word).collect();
            (own[..*of_command].to_vec(), own[*of_command..].to_vec())
        }
        Payload::Script(script) => (vec![shown_script(exec, script)], Vec::new()),
    };
    let own = || {
        [of_command.clone(), of_arguments.clone()]
            .concat()
            .join(" ")
    };
    match &exec.way {
        ExecMethod::Words | ExecMethod::Script => own(),
        ExecMethod::Ssh { .. } => format!("ssh {} {}", quote::shell_word(host), own()),
        ExecMethod::Argv(args) => {
            let part = |arg: &Arg| match arg {
                Arg::Word(parts) => parts.iter().map(|p| p.as_deref().unwrap_or(host)).collect(),
                Arg::Command | Arg::Script => of_command.join(" "),
                Arg::Arguments => of_arguments.join(" "),
            };
            let shown: Vec<String> = args
                .iter()
                .map(part)
                .filter(|p: &String| !p.is_empty())
                .collect();
            shown.join(" ")
        }
    }
}

/// Quoted, unless only a reference makes it look as if it needed that.
fn shown_word(word: &Template) -> String {
    let literal: String = word
        .pieces
        .iter()
        .filter(|p| !matches!(p, Piece::Reference { .. }))
        .map(|p| {
            Template {
                pieces: vec![p.clone()],
            }
            .shown(None)
        })
        .collect();
    let text = word.shown(None);
    if !text.is_empty()
        && (literal.is_empty() || quote::shell_word(&literal) == literal || word.has_secret())
    {
        text
    } else {
        quote::shell_word(&text)
    }
}

/// The script with the values it uses, as a local shell gets it; elsewhere as
/// one word.
fn shown_script(exec: &ExecType, script: &Script) -> String {
    let values: String = script
        .values
        .iter()
        .enumerate()
        .map(|(i, v)| format!("{}={} ", variable(i + 1), v.shown(None)))
        .collect();
    let text = quote::shell_word(&script.text.shown(None));
    match exec.way {
        ExecMethod::Script => format!("{values}/bin/bash -c {text}"),
        _ => format!("{values}{text}"),
    }
}
