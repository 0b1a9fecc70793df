//! How long a run can take, and how long it probably takes (SPEC §6.1).
//!
//! Worst: every command uses up its timeout and all its attempts, is slow to connect
//! and to end, and the flow takes its longest path. Likely: every command succeeds at its first
//! attempt. How long commands took in earlier runs is not known here: a command
//! likely takes `LIKELY`, or its timeout if that is shorter. Neither includes the
//! time that ssh connections wait for each other.
#![forbid(unsafe_code)]

use super::bounds::{Bounds, sum, times};
use super::coverage::Coverage;
use super::graph::{Graph, Node, To, task_of};
use super::hosts::hosts_of_task;
use super::recipe::Defaults;
use super::task_ends::Case;
use super::waves;
use super::workflow::Workflow;
use crate::task::values::{Delay, Wave};
use crate::task::{
    Command, Conditional, Deferrable, Ix, Members, NextRule, Parallel, Task, TaskKind,
};
use std::time::Duration;

/// How long a command is assumed to take.
pub const LIKELY: Duration = Duration::from_secs(10);
/// How long a command can take to end beyond `kill_after`: the wait for pipes held
/// by its children.
const ENDING: Duration = Duration::from_secs(3);
/// ... and one over ssh, whose host has to say that it has ended.
const FAR_ENDING: Duration = Duration::from_secs(6);

/// The bounds of one visit of every task, and of the whole run.
pub struct Durations {
    tasks: Vec<Bounds>,
    /// From the first task to an end by the longest path, and then the final tasks.
    pub whole: Bounds,
}

impl Durations {
    /// One visit of the task, with its retries, iterations and sleep; zero for one that the
    /// run does not cover.
    pub fn task(&self, ix: Ix) -> Bounds {
        self.tasks[ix]
    }
}

/// Computes the bounds of a checked workflow, of which a run covers this part. The graph
/// begins where the run does, at the node `first`.
pub fn measure(
    workflow: &Workflow,
    graph: &Graph,
    first: Option<Node>,
    defaults: &Defaults,
    coverage: &Coverage,
) -> Durations {
    let mut measure = Measure {
        workflow,
        defaults,
        coverage,
        promised: false,
        known: vec![None; workflow.tasks.len()],
    };
    let mut tasks: Vec<Bounds> = (0..workflow.tasks.len())
        .map(|ix| measure.task(ix))
        .collect();
    let finals = workflow.finals().map(|ix| tasks[ix]);
    let finals = finals.fold(Bounds::ZERO, Bounds::then);
    // A block that the flow begins in the middle of has a node of its own.
    tasks.extend(coverage.start.as_ref().map(|start| tasks[start.first]));
    let flow = first.map_or(Bounds::ZERO, |first| Bounds {
        worst: longest(graph, first, &tasks),
        likely: likely(graph, first, &tasks),
    });
    Durations {
        tasks,
        whole: flow.then(finals),
    }
}

/// How long one visit of the task takes at most. Only timeouts given in the task
/// count; a command without one, or with one known only during the run, takes the
/// likely time.
pub fn promised(workflow: &Workflow, defaults: &Defaults, coverage: &Coverage, ix: Ix) -> Duration {
    let mut measure = Measure {
        workflow,
        defaults,
        coverage,
        promised: true,
        known: vec![None; workflow.tasks.len()],
    };
    let bounds = measure.task(ix);
    bounds.worst.unwrap_or(bounds.likely)
}

/// The longest path from a node to an end; `None` if there is a cycle. A node is
/// settled once all its successors are.
fn longest(graph: &Graph, start: Node, tasks: &[Bounds]) -> Option<Duration> {
    #[derive(Clone, Copy)]
    enum Mark {
        Open,
        Settled(Duration),
    }
    impl Mark {
        fn time(self) -> Option<Duration> {
            match self {
                Mark::Open => None,
                Mark::Settled(time) => Some(time),
            }
        }
    }
    let mut seen: Vec<Option<Mark>> = vec![None; tasks.len() * 2];
    // The nodes of the path, and how many of their edges have been followed.
    let mut path = vec![(start, 0)];
    seen[start] = Some(Mark::Open);
    while let Some((at, followed)) = path.last_mut() {
        let at = *at;
        let Some(edge) = graph.edges_from(at).get(*followed) else {
            let after = graph
                .edges_from(at)
                .iter()
                .filter_map(|e| seen[e.to.node()?]?.time());
            let after = after.max().unwrap_or_default();
            let time = tasks[task_of(at)].worst?.saturating_add(after);
            seen[at] = Some(Mark::Settled(time));
            path.pop();
            continue;
        };
        *followed += 1;
        let To::Node(next) = edge.to else { continue };
        match seen[next] {
            None => {
                seen[next] = Some(Mark::Open);
                path.push((next, 0));
            }
            Some(Mark::Open) => return None,
            Some(Mark::Settled(_)) => {}
        }
    }
    seen[start]?.time()
}

/// The path on which every task succeeds; a cycle counts once.
fn likely(graph: &Graph, start: Node, tasks: &[Bounds]) -> Duration {
    let mut seen = vec![false; tasks.len() * 2];
    let mut time = Duration::ZERO;
    let mut at = Some(start);
    while let Some(node) = at.filter(|n| !seen[*n]) {
        seen[node] = true;
        time = time.saturating_add(tasks[task_of(node)].likely);
        let mut edges = graph.edges_from(node).iter();
        at = edges
            .find(|e| e.case == Case::True)
            .and_then(|e| e.to.node());
    }
    time
}

/// The attempts of a task, as a block sees them: the time that they hold a slot, and
/// the delays between them, which hold none.
#[derive(Clone, Copy)]
struct Attempts {
    busy: Bounds,
    waits: Option<Duration>,
    /// There can be more than one.
    retried: bool,
}

impl Attempts {
    fn total(self) -> Bounds {
        Bounds {
            worst: sum(self.busy.worst, self.waits),
            likely: self.busy.likely,
        }
    }
}

struct Measure<'a> {
    workflow: &'a Workflow,
    defaults: &'a Defaults,
    coverage: &'a Coverage,
    /// See `promised`.
    promised: bool,
    known: Vec<Option<Bounds>>,
}

impl Measure<'_> {
    fn task(&mut self, ix: Ix) -> Bounds {
        if let Some(known) = self.known[ix] {
            return known;
        }
        if !self.coverage.has_task(ix) {
            return Bounds::ZERO;
        }
        let task = &self.workflow.tasks[ix];
        let once = match &task.kind {
            TaskKind::Parallel(parallel) => self.parallel(ix, parallel),
            TaskKind::Conditional(conditional) => self.conditional(conditional),
            TaskKind::Command(_) | TaskKind::Decision | TaskKind::Bare => self.attempts(ix).total(),
        };
        let bounds = repeated(task, once);
        self.known[ix] = Some(bounds);
        bounds
    }

    /// All attempts of the task's own command, without its sleep.
    fn attempts(&self, ix: Ix) -> Attempts {
        let task = &self.workflow.tasks[ix];
        let once = task
            .command()
            .map_or(Bounds::ZERO, |c| self.attempt(ix, task, c));
        let retries = match &task.routing.next {
            NextRule::Loop => Some(0),
            _ => self.retries(ix).copied().map(|n| n as usize),
        };
        Attempts {
            busy: Bounds {
                worst: once.worst.zip(retries).map(|(w, n)| times(w, n + 1)),
                likely: once.likely,
            },
            waits: match retries {
                Some(0) => Some(Duration::ZERO),
                _ => retries.zip(self.delay(ix)).map(|(n, d)| retry_waits(*d, n)),
            },
            retried: retries != Some(0),
        }
    }

    /// One attempt, until the processes of its command have ended.
    fn attempt(&self, ix: Ix, task: &Task, command: &Command) -> Bounds {
        let recipe = &self.workflow.recipes[ix];
        let timeout = self.defaults.known_timeout(task, command, recipe);
        let likely = timeout.map_or(LIKELY, |t| t.min(LIKELY));
        let worst = match (self.promised, &command.timeout) {
            (true, None) => Some(likely),
            (true, Some(_)) => timeout,
            (false, _) => timeout.map(|t| t.saturating_add(self.ending(ix))),
        };
        let connecting = self.defaults.connect_timeout(command, recipe);
        Bounds {
            worst: worst.map(|worst| worst.saturating_add(connecting)),
            likely,
        }
    }

    /// How long the commands of a task take to end after their timeout.
    fn ending(&self, ix: Ix) -> Duration {
        let connects = |ix: &Ix| {
            let command = self.workflow.tasks[*ix].command();
            let recipe = &self.workflow.recipes[*ix];
            command.is_some_and(|c| !self.defaults.connect_timeout(c, recipe).is_zero())
        };
        let owned = self.workflow.tasks[ix].owned_tasks();
        let ending = match owned.iter().chain([&ix]).any(connects) {
            true => FAR_ENDING,
            false => ENDING,
        };
        self.defaults.kill_after.saturating_add(ending)
    }

    /// The task's own retries, else those of the blocks around it (SPEC §3.3).
    fn retries(&self, ix: Ix) -> Option<&u32> {
        let task = self.inherited(ix, &["retry_count", "retry_failed"]);
        task.retry.count.known()
    }

    fn delay(&self, ix: Ix) -> Option<&Delay> {
        self.inherited(ix, &["retry_delay"]).retry.delay.known()
    }

    /// The task whose keys apply: this one, or the nearest block that has any of them.
    fn inherited(&self, ix: Ix, keys: &[&str]) -> &Task {
        let mut at = ix;
        loop {
            let task = &self.workflow.tasks[at];
            if task.first_key(keys).is_some() {
                return task;
            }
            match self.workflow.owner_of(at) {
                Some((block, _)) => at = block,
                None => return task,
            }
        }
    }

    /// The longer branch; its tasks run one after another.
    fn conditional(&mut self, conditional: &Conditional) -> Bounds {
        let branches = [&conditional.if_true, &conditional.if_false];
        branches.into_iter().fold(Bounds::ZERO, |most, branch| {
            let mut whole = Bounds::ZERO;
            for member in branch.iter().flatten() {
                whole = whole.then(self.task(*member));
            }
            most.or(whole)
        })
    }

    fn parallel(&mut self, ix: Ix, parallel: &Parallel) -> Bounds {
        let subtasks = match &parallel.members {
            Members::Tasks(members) => Some(
                members
                    .iter()
                    .filter(|m| self.coverage.has_task(**m))
                    .map(|m| {
                        let attempts = self.attempts(*m);
                        let busy = repeated(&self.workflow.tasks[*m], attempts.busy);
                        Attempts { busy, ..attempts }
                    })
                    .collect(),
            ),
            Members::Hosts { set, .. } if set.known_text().is_none() => None,
            Members::Hosts { .. } => {
                let hosts = hosts_of_task(self.workflow, self.coverage, ix).len();
                Some(vec![self.attempts(ix); hosts])
            }
        };
        let whole = match subtasks {
            Some(subtasks) => self.in_waves(parallel, &subtasks),
            // As many hosts as a result says: no bound, likely all at once.
            None => Bounds {
                worst: None,
                likely: self.attempts(ix).busy.likely,
            },
        };
        let Some(Deferrable::Known(limit)) = parallel.block_timeout else {
            return whole;
        };
        let cut = limit.saturating_add(self.ending(ix));
        Bounds {
            worst: Some(whole.worst.map_or(cut, |w| w.min(cut))),
            likely: whole.likely.min(limit),
        }
    }

    fn in_waves(&mut self, parallel: &Parallel, subtasks: &[Attempts]) -> Bounds {
        let default = self.defaults.max_parallel as usize;
        // A number that is not known yet can turn out to be 1.
        let (least, usual) = match &parallel.max_parallel {
            Some(Deferrable::Known(n)) => (*n as usize, *n as usize),
            Some(Deferrable::Deferred { .. }) => (1, default),
            None => (default, default),
        };
        let waves = match &parallel.waves {
            None => vec![Wave::Rest],
            Some(Deferrable::Known(waves)) => waves.clone(),
            // One after another takes the longest.
            Some(Deferrable::Deferred { .. }) => vec![Wave::Count(1)],
        };
        let pause = match &parallel.wave_pause {
            None => Bounds::ZERO,
            Some(Deferrable::Known(pause)) => Bounds::exactly(*pause),
            Some(Deferrable::Deferred { .. }) => Bounds::default(),
        };
        let brakes = can_brake(parallel, subtasks.len());
        let check = parallel.wave_check.map_or(Bounds::ZERO, |c| self.task(c));
        let waves = waves::divide(&waves, subtasks.len());
        let between = pause.then(check).times(waves.len().saturating_sub(1));
        waves
            .into_iter()
            .map(|wave| &subtasks[wave])
            .map(|wave| Bounds {
                worst: match brakes && wave.iter().any(|s| s.retried) {
                    true => one_by_one(wave),
                    false => worst_of_wave(wave, least),
                },
                likely: likely_of_wave(wave, usual),
            })
            .fold(between, Bounds::then)
    }
}

/// With the task's sleep and iterations. The sleep comes once, after the last
/// attempt.
fn repeated(task: &Task, once: Bounds) -> Bounds {
    let sleep = match &task.sleep {
        None => Bounds::ZERO,
        Some(Deferrable::Known(sleep)) => Bounds::exactly(*sleep),
        Some(Deferrable::Deferred { .. }) => Bounds::default(),
    };
    let visit = once.then(sleep);
    match task.repeat.as_ref().map(|r| (&r.count, r.until.is_some())) {
        None => visit,
        Some((Deferrable::Known(count), waits)) => Bounds {
            // A polling loop likely succeeds at once.
            likely: times(visit.likely, if waits { 1 } else { *count as usize }),
            ..visit.times(*count as usize)
        },
        Some((Deferrable::Deferred { .. }, _)) => Bounds {
            worst: None,
            ..visit
        },
    }
}

/// The longest total delay between attempts. It doubles from `first` until it
/// reaches `last`.
pub fn retry_waits(delay: Delay, retries: usize) -> Duration {
    let Some(last) = delay.last else {
        return times(delay.first, retries);
    };
    let mut all = Duration::ZERO;
    let mut next = delay.first;
    for _ in 0..retries {
        // Jitter adds up to a fifth, but never exceeds `last`.
        all = all.saturating_add((next + next / 5).min(last));
        next = next.saturating_mul(2).min(last);
    }
    all
}

/// Whether `fail_fast=` can keep subtasks from starting while retries wait.
fn can_brake(parallel: &Parallel, total: usize) -> bool {
    match &parallel.fail_fast {
        None | Some(Deferrable::Known(None)) => false,
        Some(Deferrable::Known(Some(share))) => share.limit_for(total as u64) < total as u64,
        Some(Deferrable::Deferred { .. }) => true,
    }
}

/// The worst case if each retry holds back everything else.
fn one_by_one(wave: &[Attempts]) -> Option<Duration> {
    let mut worst = wave.iter().map(|subtask| subtask.total().worst);
    worst.try_fold(Duration::ZERO, |all, one| sum(Some(all), one))
}

/// An upper bound for any order that starts a subtask whenever a slot is free: all
/// slots were busy except while the last subtask ran or waited.
fn worst_of_wave(wave: &[Attempts], slots: usize) -> Option<Duration> {
    let slots = slots.clamp(1, wave.len().max(1));
    let mut busy = Duration::ZERO;
    let mut longest = Duration::ZERO;
    let mut no_waits = true;
    for subtask in wave {
        let time = subtask.busy.worst?;
        busy = busy.saturating_add(time);
        longest = longest.max(time.saturating_add(subtask.waits?));
        no_waits &= subtask.waits == Some(Duration::ZERO);
    }
    let share = busy / u32::try_from(slots).unwrap_or(u32::MAX);
    let any = share.saturating_add(longest);
    // Without delays, each slot finishes a subtask within the longest time.
    let rounds = times(longest, wave.len().div_ceil(slots));
    Some(if no_waits { any.min(rounds) } else { any })
}

fn likely_of_wave(wave: &[Attempts], slots: usize) -> Duration {
    let slots = slots.clamp(1, wave.len().max(1));
    let mut longest = Duration::ZERO;
    let mut busy = Duration::ZERO;
    for subtask in wave {
        busy = busy.saturating_add(subtask.busy.likely);
        longest = longest.max(subtask.busy.likely);
    }
    longest.max(busy / u32::try_from(slots).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::workflow::tests::{defaults, workflow};

    /// Worst and likely seconds of a file; `;` separates its lines.
    fn bounds(text: &str) -> (Option<u64>, u64) {
        let workflow = workflow(&text.replace(';', "\n"));
        let all = Coverage::default();
        let (graph, first) = all.graph(&workflow);
        let whole = measure(&workflow, &graph, first, &defaults(), &all).whole;
        (whole.worst.map(|w| w.as_secs()), whole.likely.as_secs())
    }

    /// A command that times out after 10 s and has ended 8 s later.
    const C: &str = "exec=local;command=true;timeout=10";

    #[test]
    fn a_visit_has_attempts_delays_and_iterations() {
        assert_eq!(bounds("task=0;exec=local;command=true"), (Some(308), 10));
        assert_eq!(bounds(&format!("task=0;{C};sleep=5")), (Some(23), 15));
        let retries = format!("task=0;{C};retry_count=3;retry_delay=10s..30s");
        assert_eq!(bounds(&retries), (Some(4 * 18 + 12 + 24 + 30), 10));
        assert_eq!(
            bounds(&format!("task=0;{C};sleep=1;next=loop;loop=3")),
            (Some(3 * 19), 33)
        );
        assert_eq!(
            bounds(&format!(
                "task=0;{C};sleep=1;next=loop;loop=3;loop_break=exit_0"
            )),
            (Some(3 * 19), 11)
        );
        let late = format!("task=0;{C};task=1;exec=local;command=true;timeout=@0_stdout@");
        assert_eq!(bounds(&late), (None, 20));
        assert_eq!(
            bounds(
                "task=0;exec=local;command=true;timeout=2;task=1;finally=true;exec=local;command=true"
            ),
            (Some(10 + 68), 12)
        );
    }

    #[test]
    fn the_longest_path_counts_and_a_cycle_has_no_bound() {
        let path =
            format!("task=0;{C};on_failure=90;task=1;{C};task=90;{C};task=91;{C};timeout=40");
        // Via 1 it would take 36 s; the failure via 90 and 91 takes longer.
        let text = path.replace(";timeout=10;timeout=40", ";timeout=40");
        assert_eq!(bounds(&text), (Some(18 + 18 + 48), 20));
        assert_eq!(
            bounds(&format!("task=0;{C};task=1;{C};on_failure=0")),
            (None, 20)
        );
    }

    #[test]
    fn blocks_share_slots() {
        let block =
            "task=0;type=parallel;hostnames=h[1-5];exec=ssh;command=x;timeout=10;max_parallel=2";
        // Connecting can take 20 s before the timeout counts.
        assert_eq!(bounds(block), (Some(3 * 41), 25));
        assert_eq!(bounds(&format!("{block};block_timeout=20")), (Some(31), 20));
        let waves = format!("{block};waves=1,2,rest;wave_pause=100;wave_check=1;task=1;{C}");
        assert_eq!(bounds(&waves), (Some(3 * 41 + 2 * 118), 30 + 2 * 110));
        // A delay holds no slot: 5 commands twice in 2 slots, and one delay.
        let retries = format!("{block};retry_count=1;retry_delay=100");
        assert_eq!(bounds(&retries), (Some(5 * 82 / 2 + 182), 25));
        // With `fail_fast`, nothing new starts during the delay of another.
        let braked = format!("{retries};fail_fast=true");
        assert_eq!(bounds(&braked), (Some(5 * 182), 25));
        assert_eq!(bounds(&format!("{retries};fail_fast=5")), bounds(&retries));
        assert_eq!(
            bounds(&format!("{block};fail_fast=true;retry_count=0")),
            bounds(block)
        );
        let late =
            format!("task=9;{C};task=10;type=parallel;hostnames=@9_stdout@;exec=ssh;command=x");
        assert_eq!(bounds(&late), (None, 20));
        assert_eq!(
            bounds(&format!("{late};block_timeout=60")),
            (Some(18 + 71), 20)
        );
    }

    #[test]
    fn a_conditional_takes_its_longer_branch_with_its_retries() {
        let text = format!(
            "task=0;type=conditional;condition=true;if_true_tasks=1,2;if_false_tasks=3;retry_count=1;retry_delay=2;\
             task=1;{C};task=2;{C};retry_count=0;task=3;{C}"
        );
        assert_eq!(bounds(&text), (Some(38 + 18), 20));
    }

    #[test]
    fn a_long_file_is_quick() {
        let text: String = (0..50_000)
            .map(|i| format!("task={i};exec=local;command=true;on_failure=60000;"))
            .chain(["task=60000;return=1".to_string()])
            .collect();
        let workflow = workflow(&text.replace(';', "\n"));
        let began = std::time::Instant::now();
        let all = Coverage::default();
        let (graph, first) = all.graph(&workflow);
        let whole = measure(&workflow, &graph, first, &defaults(), &all).whole;
        assert_eq!(whole.worst, Some(Duration::from_secs(50_000 * 308)));
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
    }
}
