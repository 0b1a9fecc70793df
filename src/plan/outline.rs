//! The plan as a tree (SPEC §6.1): each task with what would run and where the flow
//! goes next. Every form of the plan (`listing`, `diagram`, `as_json`) draws this
//! tree and decides nothing itself.
#![forbid(unsafe_code)]

use super::coverage::Coverage;
use super::durations::{self, Durations};
use super::graph::{Graph, Node, To, node, task_of};
use super::hosts::RunHosts;
use super::payload::Payload;
use super::plan_settings::{self, PlanGlobal, PlanSetting};
use super::recipe::{Defaults, Recipe};
use super::shown_command::shown_command;
use super::task_ends::Case;
use super::task_settings::{self, TaskSetting, is_ambiguous};
use super::workflow::Workflow;
use crate::task::nodeset;
use crate::task::{
    Command, Conditional, Deferrable, Ix, Members, NextRule, Parallel, Task, TaskKind,
};
use crate::text::duration;
use crate::text::source::SourceMap;
use crate::text::template::Template;
use std::collections::HashSet;
use std::time::Duration;

/// What a plan is made of.
pub struct PlanBasis<'a> {
    pub workflow: &'a Workflow,
    pub defaults: &'a Defaults,
    pub coverage: &'a Coverage,
    pub sources: &'a SourceMap,
    /// What options and `tasker.conf` say.
    pub settings: Vec<PlanSetting>,
}

/// The plan of a checked workflow. Its id covers what is here, and every form shows it.
pub struct Outline {
    /// How many tasks it has.
    pub count: usize,
    /// The tasks of the main line in order; blocks contain their members.
    pub main: Vec<PlanEntry>,
    /// Failure handlers, and tasks that only handlers lead to.
    pub handlers: Vec<PlanEntry>,
    /// Tasks that run whenever the run ends.
    pub finals: Vec<PlanEntry>,
    /// What options and `tasker.conf` say about the run, and the exec types of
    /// `tasker.conf` that it uses.
    pub settings: Vec<PlanSetting>,
    pub globals: Vec<PlanGlobal>,
    pub hosts: RunHosts,
    pub durations: Durations,
}

/// One task of the plan.
pub struct PlanEntry {
    pub ix: Ix,
    pub id: u32,
    pub name: Option<String>,
    pub title: String,
    pub kind: EntryKind,
    /// The text of its `condition=`, which chooses the branch of a conditional block.
    pub only_if: Option<String>,
    /// Its criteria by key, as written.
    pub criteria: Vec<(&'static str, String)>,
    /// The command it runs, once or on each of its hosts.
    pub command: Option<PlannedCommand>,
    /// Its other keys that decide how it runs.
    pub settings: Vec<TaskSetting>,
    pub groups: Vec<(MemberGroup, Vec<PlanEntry>)>,
    /// The member that the run begins at, without asking the block's condition.
    pub begins_at: Option<u32>,
    pub routes: Vec<PlanRoute>,
    /// Where the flow goes from a branch task that a jump led to: it is a step of its
    /// own then (SPEC §3.2). Empty if no jump leads to it.
    pub routes_when_jumped_to: Vec<(JumpContext, Vec<PlanRoute>)>,
}

/// What kind of task it is.
#[derive(Clone, Debug, PartialEq)]
pub enum EntryKind {
    Command,
    /// A block over tasks; `at_once` is its limit of running subtasks.
    Tasks {
        at_once: String,
    },
    /// A block over hosts.
    Hosts {
        at_once: String,
        /// The node set as written.
        set: String,
        /// The hosts that would run; `None` if a result names them.
        hosts: Option<PlannedHosts>,
    },
    Conditional,
    Decision,
    Bare,
}

impl EntryKind {
    /// What the plan's id and the fingerprints of tasks call it.
    pub fn label(&self) -> &'static str {
        match self {
            EntryKind::Command => "command",
            EntryKind::Tasks { .. } | EntryKind::Hosts { .. } => "parallel",
            EntryKind::Conditional => "conditional",
            EntryKind::Decision => "decision",
            EntryKind::Bare => "runs nothing",
        }
    }

    /// The node set of a block over hosts, without hosts that are not selected.
    pub fn node_set(&self) -> Option<&str> {
        match self {
            EntryKind::Hosts { set, hosts, .. } => Some(match hosts {
                Some(hosts) if hosts.is_part() => &hosts.folded,
                _ => set,
            }),
            _ => None,
        }
    }
}

/// The hosts of a block, as far as they would run.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedHosts {
    /// In the order in which they start.
    pub list: Vec<String>,
    pub folded: String,
    /// How many hosts the whole set has.
    pub total: usize,
    /// How many of them are done already.
    pub done: usize,
    /// Whether that order is the one of `folded`; it decides which wave a host is in.
    pub is_sorted: bool,
}

impl PlannedHosts {
    /// The hosts, after the node set as written if that says it differently.
    pub fn describe(&self, set: &str) -> String {
        let (folded, count) = (&self.folded, self.list.len());
        match self.is_part() {
            true if self.done > 0 => {
                format!(
                    "{folded} ({count} of {}; {} done before)",
                    self.total, self.done
                )
            }
            true => format!(
                "{folded} ({count} of {} selected on the command line)",
                self.total
            ),
            false if set == folded => set.to_string(),
            false => format!("{set}: {folded} ({count})"),
        }
    }

    /// Whether some are left out.
    pub fn is_part(&self) -> bool {
        self.list.len() != self.total
    }
}

/// How a command would be run.
pub struct PlannedCommand {
    pub host: Option<String>,
    pub exec: String,
    /// The exact words, quoted for a shell. References to results are left as
    /// written, secrets are masked.
    pub words: String,
    /// The command as written, if different commands are shown in these words: a
    /// secret is `***` whichever it is.
    pub written: Option<String>,
    pub timeout: String,
    /// `None` if it comes from a result.
    pub timeout_known: Option<Duration>,
}

/// The role of a block's members.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MemberGroup {
    Subtasks,
    /// The `wave_check`, which runs between waves.
    Check,
    IfTrue,
    IfFalse,
}

/// What the run was doing when a jump led to a branch task.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum JumpContext {
    /// Anything that is not listed separately.
    Any,
    /// The flow falls through handlers (SPEC §3.2, rule 6).
    HandlingFailure,
}

impl JumpContext {
    /// Its name in the text, in diagrams and in what the plan id covers.
    pub fn label(self) -> &'static str {
        match self {
            JumpContext::Any => "when jumped to",
            JumpContext::HandlingFailure => "when jumped to while handling a failure",
        }
    }
}

/// When a route is taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RouteCase {
    /// On a true verdict of the task.
    Success,
    Failure,
    /// Whatever the verdict.
    Always,
    Skipped,
    /// A branch task leaves the block.
    Left,
}

impl RouteCase {
    /// Its name in diagrams and JSON.
    pub fn label(self) -> &'static str {
        match self {
            RouteCase::Always => "always",
            RouteCase::Success => "success",
            RouteCase::Failure => "failure",
            RouteCase::Skipped => "skipped",
            RouteCase::Left => "out of the branch",
        }
    }
}

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RouteTarget {
    /// A task, by a jump or by falling through.
    Task { id: u32, jump: bool },
    /// The end of the run, with this exit code; `None` is the task's own.
    End(Option<i32>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlanRoute {
    pub when: RouteCase,
    pub to: RouteTarget,
}

impl Outline {
    pub fn new(basis: PlanBasis) -> Outline {
        let (workflow, coverage) = (basis.workflow, basis.coverage);
        let (graph, first) = coverage.graph(workflow);
        let is_handler = |n| workflow.is_handler(task_of(n));
        let reached = graph.reachable(first.as_slice());
        let reached_without_handlers = graph.reachable_past(first.as_slice(), &is_handler);
        let entered = graph.reversed().iter().map(|b| !b.is_empty()).collect();
        let builder = OutlineBuilder {
            workflow,
            defaults: basis.defaults,
            coverage,
            sources: basis.sources,
            graph,
            first,
            entered,
            reached,
            reached_without_handlers,
            begins_in_handlers: coverage.begins_in_handlers(workflow),
        };
        let entries = |tasks: Vec<Ix>| builder.entries(&tasks);
        let main = (0..workflow.tasks.len()).filter(|ix| workflow.is_main_line(*ix));
        let (handlers, line): (Vec<Ix>, Vec<Ix>) =
            main.partition(|ix| builder.belongs_to_handlers(*ix));
        let mut settings = basis.settings;
        settings.extend(plan_settings::exec_types(
            workflow,
            basis.defaults,
            coverage,
        ));
        Outline {
            count: (0..workflow.tasks.len())
                .filter(|ix| coverage.has_task(*ix))
                .count(),
            main: entries(line),
            handlers: entries(handlers),
            finals: entries(workflow.finals().collect()),
            settings,
            globals: plan_settings::globals(&workflow.globals, basis.sources),
            hosts: RunHosts::collect(workflow, basis.defaults, coverage),
            durations: durations::measure(
                workflow,
                &builder.graph,
                first,
                basis.defaults,
                coverage,
            ),
        }
    }

    /// The handlers that are branch tasks, each with its block, in order.
    pub fn handlers_in_blocks(&self, workflow: &Workflow) -> Vec<(u32, u32)> {
        let shown: HashSet<Ix> = self.all().iter().map(|entry| entry.ix).collect();
        let handlers = (0..workflow.tasks.len()).filter(|ix| workflow.is_handler(*ix));
        let handlers = handlers.filter(|ix| shown.contains(ix));
        let with_block = handlers.filter_map(|ix| {
            let (block, _) = workflow.owner_of(ix)?;
            Some((workflow.tasks[ix].id, workflow.tasks[block].id))
        });
        with_block.collect()
    }

    /// Every entry in order, blocks before their members.
    pub fn all(&self) -> Vec<&PlanEntry> {
        let mut out = Vec::new();
        let mut waiting: Vec<&PlanEntry> = Vec::new();
        for entries in [&self.finals, &self.handlers, &self.main] {
            waiting.extend(entries.iter().rev());
        }
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
    coverage: &'a Coverage,
    sources: &'a SourceMap,
    graph: Graph,
    /// The node that the run begins at.
    first: Option<Node>,
    /// Which nodes of the graph an edge leads to.
    entered: Vec<bool>,
    /// Which nodes of the graph the flow can reach, and which of them without
    /// entering a handler.
    reached: Vec<bool>,
    reached_without_handlers: Vec<bool>,
    /// The run begins at a handler.
    begins_in_handlers: bool,
}

impl OutlineBuilder<'_> {
    /// Whether the task is a handler, or only handlers lead to it; none does for a run
    /// that begins at a handler.
    fn belongs_to_handlers(&self, ix: Ix) -> bool {
        if self.begins_in_handlers {
            return false;
        }
        let either = |reached: &[bool]| reached[node(ix, false)] || reached[node(ix, true)];
        self.workflow.is_handler(ix)
            || (either(&self.reached) && !either(&self.reached_without_handlers))
    }

    /// The node whose edges are shown: handlers fall through to handlers, and a block
    /// that the run begins in the middle of has fewer ways out.
    fn shown_node(&self, ix: Ix) -> Node {
        if let Some(first) = self.first
            && self.coverage.begins_at(ix).is_some()
            && self.workflow.is_main_line(ix)
        {
            return first;
        }
        let only_in_handlers = self.reached[node(ix, true)] && !self.reached[node(ix, false)];
        node(ix, self.workflow.is_handler(ix) || only_in_handlers)
    }

    /// The entries of those tasks that the run covers.
    fn entries(&self, tasks: &[Ix]) -> Vec<PlanEntry> {
        let covered = tasks.iter().filter(|ix| self.coverage.has_task(**ix));
        covered.map(|ix| self.entry(*ix)).collect()
    }

    fn entry(&self, ix: Ix) -> PlanEntry {
        let task = &self.workflow.tasks[ix];
        let mut groups = Vec::new();
        let kind = match &task.kind {
            TaskKind::Command(_) => EntryKind::Command,
            TaskKind::Decision => EntryKind::Decision,
            TaskKind::Bare => EntryKind::Bare,
            TaskKind::Parallel(parallel) => {
                if let Members::Tasks(tasks) = &parallel.members {
                    groups.push((MemberGroup::Subtasks, self.entries(tasks)));
                }
                if let Some(check) = parallel.wave_check {
                    groups.push((MemberGroup::Check, self.entries(&[check])));
                }
                self.parallel(ix, parallel)
            }
            TaskKind::Conditional(Conditional {
                if_true, if_false, ..
            }) => {
                for (group, branch) in [
                    (MemberGroup::IfTrue, if_true),
                    (MemberGroup::IfFalse, if_false),
                ] {
                    if let Some(branch) = branch {
                        groups.push((group, self.entries(branch)));
                    }
                }
                EntryKind::Conditional
            }
        };
        groups.retain(|(_, members)| !members.is_empty());
        PlanEntry {
            ix,
            id: task.id,
            name: task.name.clone(),
            title: task.title.shown(None),
            kind,
            only_if: task
                .find_key("condition")
                .map(|at| self.sources.snippet(at).to_string()),
            criteria: self.criteria(task),
            command: self.command(ix, task),
            settings: task_settings::collect(task, self.sources, self.is_in_branch(ix)),
            groups,
            begins_at: self
                .coverage
                .begins_at(ix)
                .map(|ix| self.workflow.tasks[ix].id),
            routes: self.routes(ix, task),
            routes_when_jumped_to: self.routes_when_jumped_to(ix, task),
        }
    }

    fn is_in_branch(&self, ix: Ix) -> bool {
        let owner = self.workflow.owner_of(ix);
        owner.is_some_and(|(block, _)| {
            matches!(self.workflow.tasks[block].kind, TaskKind::Conditional(_))
        })
    }

    fn criteria(&self, task: &Task) -> Vec<(&'static str, String)> {
        let keys = ["success", "failure", "next", "loop_break"];
        let is_condition =
            |key: &str| key != "next" || matches!(task.routing.next, NextRule::When(_));
        let of_key = |key: &&'static str| {
            let at = task.find_key(key)?;
            Some((*key, self.sources.snippet(at).to_string()))
        };
        let keys = keys.iter().filter(|k| is_condition(k));
        keys.filter_map(of_key).collect()
    }

    fn parallel(&self, ix: Ix, parallel: &Parallel) -> EntryKind {
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
                hosts: self.hosts(ix, set),
            },
        }
    }

    /// The hosts of a known node set that would run.
    fn hosts(&self, block: Ix, set: &Template) -> Option<PlannedHosts> {
        let text = set.known_text()?;
        let mut list = nodeset::expand(&text, &self.workflow.host_files)
            .ok()?
            .hosts;
        let total = list.len();
        list.retain(|h| self.coverage.selection.allows(h));
        let selected = list.len();
        list.retain(|h| !self.coverage.is_done(block, h));
        let folded = nodeset::fold(&list);
        let sorted = nodeset::expand(&folded, &self.workflow.host_files);
        Some(PlannedHosts {
            is_sorted: list.is_empty() || sorted.is_ok_and(|s| s.hosts == list),
            done: selected - list.len(),
            list,
            folded,
            total,
        })
    }

    fn command(&self, ix: Ix, task: &Task) -> Option<PlannedCommand> {
        let command = task.command()?;
        let host = command.hostname.as_ref().map(|h| h.shown(None));
        let recipe = &self.workflow.recipes[ix];
        let (exec, words) = match recipe {
            Recipe::Ready { exec, payload } => {
                let on = host.as_deref().unwrap_or("{hostname}");
                (exec.name().to_string(), shown_command(exec, payload, on))
            }
            _ => {
                let exec = command.exec.as_ref().map(|e| e.shown(None));
                let exec = exec.unwrap_or("exec type known only during the run".into());
                let words = [Some(&command.command), command.arguments.as_ref()];
                let words: Vec<String> = words.iter().flatten().map(|w| w.shown(None)).collect();
                (exec, words.join(" "))
            }
        };
        let written = is_ambiguous_command(command, recipe).then(|| {
            let places = [task.find_key("command"), task.find_key("arguments")];
            let parts = places
                .into_iter()
                .flatten()
                .map(|at| self.sources.snippet(at));
            parts.collect::<Vec<_>>().join(" ")
        });
        let timeout_known = self.defaults.known_timeout(task, command, recipe);
        let timeout = match &command.timeout {
            Some(Deferrable::Deferred { value, .. }) => value.shown(None),
            _ => timeout_known.map_or(String::new(), duration::setting),
        };
        Some(PlannedCommand {
            host,
            exec,
            words,
            written,
            timeout,
            timeout_known,
        })
    }

    /// Where the flow goes from the task: every edge of the graph for a task
    /// of the main line, what its own keys say for a subtask.
    fn routes(&self, ix: Ix, task: &Task) -> Vec<PlanRoute> {
        let is_main_line = self.workflow.is_main_line(ix);
        if task.finally || !(is_main_line || task.routing.routes()) {
            return Vec::new();
        }
        let mut out = self.edges(self.shown_node(ix), task);
        if !is_main_line {
            // A branch task that does not jump or end the run stays in its branch.
            out.retain(|r| matches!(r.to, RouteTarget::Task { jump: true, .. }) || ends(task, r));
        }
        simplify(out, task.routing.on_failure.is_some())
    }

    /// The graph has no edge from a block to its members: only a jump leads to one.
    fn routes_when_jumped_to(&self, ix: Ix, task: &Task) -> Vec<(JumpContext, Vec<PlanRoute>)> {
        let either = |nodes: &[bool]| nodes[node(ix, false)] || nodes[node(ix, true)];
        if self.workflow.is_main_line(ix) || !either(&self.entered) {
            return Vec::new();
        }
        let is_reached = |in_handlers| self.reached[node(ix, in_handlers)];
        let first = match (is_reached(false), is_reached(true)) {
            (false, false) => self.shown_node(ix),
            (outside, _) => node(ix, !outside),
        };
        let routes = |n| simplify(self.edges(n, task), task.routing.on_failure.is_some());
        let mut out = vec![(JumpContext::Any, routes(first))];
        let handling = node(ix, true);
        if self.reached[handling] && routes(handling) != out[0].1 {
            out.push((JumpContext::HandlingFailure, routes(handling)));
        }
        out
    }

    /// Every edge of the graph from the task as a step of its own.
    fn edges(&self, from: Node, task: &Task) -> Vec<PlanRoute> {
        let return_ = task.routing.return_.as_ref();
        let code_is_known = return_.is_none_or(|code| code.known().is_some());
        let mut out: Vec<PlanRoute> = Vec::new();
        for edge in self.graph.edges_from(from) {
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
                To::End(code) => {
                    RouteTarget::End(Some(code).filter(|_| code_is_known && !edge.own_code))
                }
            };
            let route = PlanRoute { when, to };
            if !out.contains(&route) {
                out.push(route);
            }
        }
        out
    }
}

/// Whether a branch task itself ends the run there.
fn ends(task: &Task, route: &PlanRoute) -> bool {
    let own = task.routing.return_.is_some() || matches!(task.routing.next, NextRule::Never);
    own && matches!(route.to, RouteTarget::End(_)) && route.when != RouteCase::Skipped
}

/// Whether the words of the command are shown like those of a different one.
fn is_ambiguous_command(command: &Command, recipe: &Recipe) -> bool {
    let written = [Some(&command.command), command.arguments.as_ref()];
    let words: &[Template] = match recipe {
        Recipe::Ready {
            payload: Payload::Words { words, .. },
            ..
        } => words,
        _ => &[],
    };
    written.into_iter().flatten().chain(words).any(is_ambiguous)
}

/// Merges success and failure to one place, unless the latter is a failure jump, and
/// drops `skipped` where it leads where success does.
fn simplify(mut routes: Vec<PlanRoute>, has_failure_jump: bool) -> Vec<PlanRoute> {
    let to = |routes: &[PlanRoute], when| routes.iter().find(|r| r.when == when).map(|r| r.to);
    let success = to(&routes, RouteCase::Success);
    if success.is_some() && success == to(&routes, RouteCase::Skipped) {
        routes.retain(|r| r.when != RouteCase::Skipped);
    }
    let failure = to(&routes, RouteCase::Failure);
    if success.is_some() && ((success == failure && !has_failure_jump) || failure.is_none()) {
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
