//! The rehearsal (SPEC §6.1): the engine walks with a pretended runner. No process
//! runs, nothing is written, no host is contacted, and no time passes.
#![forbid(unsafe_code)]

use crate::exit;
use crate::outcome::Outcome;
use crate::plan::coverage::Coverage;
use crate::plan::hosts;
use crate::report::print::print;
use crate::report::rehearsal_text::Story;
use crate::run::deadline::Deadline;
use crate::run::event::Event;
use crate::run::job::JobEnvironment;
use crate::run::pretend::{Answer, PretendedRunner};
use crate::run::run_end::RunEnd;
use crate::run::runner::{CommandEnd, Job};
use crate::run::walk::engine::{Engine, Settings};
use crate::session::load::Loaded;
use crate::session::refusal::Refusal;
use crate::session::scope::RunScope;
use crate::session::time_limit;
use crate::task::nodeset;
use crate::task::{Ix, Task, TaskKind};
use crate::text::diagnostic::{Found, printable};
use crate::text::duration;
use crate::text::nearest::suggestion;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write;
use std::time::{Duration, SystemTime};

/// The most steps of one rehearsal out of many; a cycle ends there.
const STEPS_OF_ONE: u64 = 10_000;

/// How many steps are shown at each end of a long path.
const END_OF_PATH: usize = 20;

/// What is assumed about a task.
struct Assumption {
    task: Ix,
    /// Only on these hosts; nothing for all.
    hosts: Option<HashSet<String>>,
    effect: Effect,
}

enum Effect {
    Ends(CommandEnd),
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
}

/// Rehearses and prints what would happen; the exit code of the rehearsal, not
/// of the run.
///
/// # Errors
/// What is wrong with the command line.
pub fn run(loaded: &Loaded) -> Result<i32, Refusal> {
    let scope = RunScope::read(loaded)?;
    let coverage = scope.coverage(loaded, loaded.invocation.policy());
    let deadline = time_limit::read(loaded, &coverage, SystemTime::now())?;
    let mut rehearsal = Rehearsal {
        loaded,
        scope,
        deadline,
        assumptions: Vec::new(),
        used: Vec::new(),
    };
    for text in &loaded.invocation.assume {
        let assumption = rehearsal
            .read(text)
            .map_err(|why| Refusal::new(exit::USAGE, format!("--assume {}: {why}", Found(text))))?;
        rehearsal.assumptions.push(assumption);
    }
    let text = match loaded.invocation.assume_each_fails {
        true => rehearsal.each_fails(),
        false => rehearsal.whole(),
    };
    print(&loaded.mask().apply(&text));
    Ok(exit::OK)
}

struct Rehearsal<'a> {
    loaded: &'a Loaded,
    scope: RunScope,
    /// On the rehearsal's own clock, which begins at zero.
    deadline: Option<Deadline>,
    assumptions: Vec<Assumption>,
    /// Which assumptions had an effect.
    used: Vec<bool>,
}

impl Rehearsal<'_> {
    /// Reads `5=exit 3`, `10:web[01-03]=timeout`, `8=stdout:standby`.
    fn read(&self, text: &str) -> Result<Assumption, String> {
        let (who, what) = text
            .split_once('=')
            .ok_or("expected TASK=RESULT or TASK:HOSTS=RESULT")?;
        let (word, hosts) = match who.split_once(':') {
            Some((word, hosts)) => (word.trim(), Some(hosts.trim())),
            None => (who.trim(), None),
        };
        let workflow = &self.loaded.workflow;
        let task = workflow.resolve_task(word)?;
        if workflow.tasks[task].command().is_none() {
            return Err(runs_nothing(&workflow.tasks[task]));
        }
        let hosts = match hosts {
            Some(set) => Some(self.hosts(task, set)?),
            None => None,
        };
        Ok(Assumption {
            task,
            hosts,
            effect: effect(what)?,
        })
    }

    /// The hosts of a node set, each of which the task must have.
    fn hosts(&self, task: Ix, set: &str) -> Result<HashSet<String>, String> {
        let files = &self.loaded.workflow.host_files;
        let expanded = nodeset::expand(set, files).map_err(|e| e.message)?;
        if expanded.hosts.is_empty() {
            return Err("expected a host or node set after `:`, found nothing".into());
        }
        let Some(known) = self.known_hosts(task) else {
            return Ok(expanded.hosts.into_iter().collect());
        };
        let id = self.loaded.workflow.tasks[task].id;
        for host in &expanded.hosts {
            if !known.contains(host) {
                let mut known: Vec<&str> = known.iter().map(String::as_str).collect();
                known.sort_unstable();
                let near = suggestion(host, known);
                return Err(format!("task {id} does not run on {}{near}", Found(host)));
            }
        }
        Ok(expanded.hosts.into_iter().collect())
    }

    /// Where the task would run; `None` if that depends on a result.
    fn known_hosts(&self, ix: Ix) -> Option<HashSet<String>> {
        let workflow = &self.loaded.workflow;
        let task = &workflow.tasks[ix];
        let whole = Coverage::whole(self.scope.selection.clone());
        if hosts::has_late_hosts(task) {
            return None;
        }
        match &task.kind {
            TaskKind::Command(command) if command.hostname.is_none() => {
                Some(HashSet::from(["localhost".to_string()]))
            }
            _ => hosts::hosts_of_task(workflow, &whole, ix)
                .into_iter()
                .map(|host| host.map(Cow::into_owned))
                .collect(),
        }
    }

    /// One walk in which `failing` fails, in addition to what is assumed.
    fn walk(&mut self, failing: Option<Ix>, max_steps: u64, emit: &mut dyn FnMut(Event)) -> RunEnd {
        let loaded = self.loaded;
        let settings = Settings {
            policy: loaded.invocation.policy(),
            max_steps,
            start: self.scope.start.clone(),
            debug: false,
            selection: self.scope.selection.clone(),
            deadline: self.deadline.clone(),
        };
        let common = JobEnvironment::pretended("rehearsal", loaded.mask().clone());
        let mut used = vec![false; self.assumptions.len()];
        let assumptions = &self.assumptions;
        let mut script = |job: &Job, _| answer(assumptions, failing, job, &mut used);
        let mut runner = PretendedRunner::new(&mut script);
        let engine = Engine::new(
            &loaded.workflow,
            &loaded.defaults,
            &settings,
            &common,
            &mut runner,
            emit,
        );
        let end = engine.run();
        self.used = used;
        end
    }

    /// Each step of one walk, and its end.
    fn whole(&mut self) -> String {
        let mut story = Story::default();
        let end = self.walk(None, self.loaded.invocation.max_steps(), &mut |event| {
            story.event(&event)
        });
        let name = printable(&self.loaded.name);
        let mut out = format!(
            "{name}: a rehearsal; nothing is executed, and what is not assumed succeeds with no output\n"
        );
        out.push_str(&story.text);
        let _ = writeln!(out, "\npath: {}", self.path(&end.path));
        let _ = writeln!(out, "tasks: {}", end.results.counts());
        let _ = writeln!(
            out,
            "time: {} in pauses and timeouts",
            duration::rough(end.took)
        );
        for (text, _) in self.unused() {
            let _ = writeln!(out, "no effect: --assume {}", quoted(text));
        }
        let _ = writeln!(out, "exit code: {}", end.exit);
        out
    }

    /// One line for each task: where its failure leads.
    fn each_fails(&mut self) -> String {
        let name = printable(&self.loaded.name);
        let mut out = format!("{name}: one failure at a time; nothing is executed\n");
        let workflow = &self.loaded.workflow;
        for (ix, task) in workflow.tasks.iter().enumerate() {
            if task.command().is_none() {
                continue;
            }
            let most = self.loaded.invocation.max_steps().min(STEPS_OF_ONE);
            let end = self.walk(Some(ix), most, &mut |_| {});
            let way = match end.results.get(ix).map(|r| r.outcome) {
                None | Some(Outcome::NotStarted) => "is not reached".into(),
                Some(Outcome::Skipped) => "is skipped, its condition is false".into(),
                _ if task.finally => format!("after the end -> exit {}", end.exit),
                _ => {
                    let path = self.path(self.from(ix, &end.path));
                    format!("{path} -> exit {}", end.exit)
                }
            };
            let title = printable(&task.title.shown(None));
            let title = if title.is_empty() {
                title
            } else {
                format!(" ({title})")
            };
            let _ = writeln!(out, "{:>6}{title}: {way}", task.id);
        }
        out
    }

    /// The path from the step in which the task failed.
    fn from<'p>(&self, ix: Ix, path: &'p [Ix]) -> &'p [Ix] {
        let mut at = ix;
        while !path.contains(&at) {
            match self.loaded.workflow.owner_of(at) {
                Some((block, _)) => at = block,
                None => return &path[path.len()..],
            }
        }
        let first = path.iter().position(|step| *step == at).unwrap_or(0);
        &path[first..]
    }

    /// The ids of the steps; only both ends of a long path, such as a cycle.
    fn path(&self, path: &[Ix]) -> String {
        let ids = |part: &[Ix]| {
            let tasks = &self.loaded.workflow.tasks;
            let ids = part.iter().map(|ix| tasks[*ix].id.to_string());
            ids.collect::<Vec<_>>().join(" ")
        };
        match path.len().checked_sub(2 * END_OF_PATH) {
            None | Some(0) => ids(path),
            Some(left_out) => format!(
                "{} ... ({left_out} more) ... {}",
                ids(&path[..END_OF_PATH]),
                ids(&path[path.len() - END_OF_PATH..])
            ),
        }
    }

    fn unused(&self) -> impl Iterator<Item = (&String, &bool)> {
        let all = self.loaded.invocation.assume.iter().zip(&self.used);
        all.filter(|(_, used)| !**used)
    }
}

/// Why nothing can be assumed of a task without a command.
fn runs_nothing(task: &Task) -> String {
    let id = task.id;
    match task.kind {
        TaskKind::Parallel(_) | TaskKind::Conditional(_) => {
            format!("task {id} is a block; assume something of its subtasks")
        }
        _ => format!("task {id} runs no command"),
    }
}

fn effect(what: &str) -> Result<Effect, String> {
    if let Some(text) = what.strip_prefix("stdout:") {
        return Ok(Effect::Stdout(text.as_bytes().to_vec()));
    }
    if let Some(text) = what.strip_prefix("stderr:") {
        return Ok(Effect::Stderr(text.as_bytes().to_vec()));
    }
    let what = what.trim();
    let ending = match what {
        "ok" => CommandEnd::Exited(0),
        "failed" => CommandEnd::Exited(1),
        "timeout" => CommandEnd::TimedOut,
        "unreachable" => CommandEnd::Unreachable(exit::UNREACHABLE),
        "unknown" => CommandEnd::Lost(exit::UNREACHABLE),
        _ => {
            let code = what.strip_prefix("exit").map(str::trim);
            let code = code.and_then(|c| c.parse::<u8>().ok());
            let words = [
                "ok",
                "failed",
                "timeout",
                "unreachable",
                "unknown",
                "exit 1",
            ];
            CommandEnd::Exited(i32::from(code.ok_or_else(|| {
                let near = suggestion(what, words);
                format!(
                    "expected `exit N` (0 to 255), `ok`, `failed`, `timeout`, `unreachable`, `unknown`, `stdout:TEXT` or `stderr:TEXT`, found {}{near}",
                    Found(what)
                )
            })?))
        }
    };
    Ok(Effect::Ends(ending))
}

/// What the job is assumed to do; of two assumptions about the same thing the later
/// one applies.
fn answer(assumptions: &[Assumption], failing: Option<Ix>, job: &Job, used: &mut [bool]) -> Answer {
    let fails = failing.is_some() && job.task == failing;
    let mut answer = Answer::new(CommandEnd::Exited(i32::from(fails)), Duration::ZERO);
    for (assumption, used) in assumptions.iter().zip(used) {
        let on_host = assumption
            .hosts
            .as_ref()
            .is_none_or(|h| h.contains(&job.host));
        if job.task != Some(assumption.task) || !on_host {
            continue;
        }
        *used = true;
        match &assumption.effect {
            Effect::Ends(CommandEnd::TimedOut) => {
                answer.ending = CommandEnd::TimedOut;
                answer.took = job.timeout;
            }
            Effect::Ends(ending) => {
                answer.ending = *ending;
                answer.took = Duration::ZERO;
            }
            Effect::Stdout(text) => answer.stdout.clone_from(text),
            Effect::Stderr(text) => answer.stderr.clone_from(text),
        }
    }
    answer
}

fn quoted(text: &str) -> String {
    crate::text::quote::shell_word(&printable(text))
}
