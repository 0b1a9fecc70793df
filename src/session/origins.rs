//! Where a run is to begin so that a task can end in another way (SPEC §6.4): a decision,
//! or a block whose tasks are all done, only reads results, so that continued as it is it
//! would end as before.
#![forbid(unsafe_code)]

use crate::exit;
use crate::outcome::Outcome;
use crate::plan::workflow::Workflow;
use crate::run::result::TaskResult;
use crate::run::run_end::RunEnd;
use crate::task::{Conditional, Criterion, Ix, NextRule, Parallel, Task, TaskKind};
use crate::text::condition::{Operand, Test};

/// The keys whose conditions judge a task.
const CRITERIA: [&str; 3] = ["success", "failure", "next"];

/// The tasks of a run that has ended, and the results that decided how they ended.
pub struct Origins<'a> {
    pub workflow: &'a Workflow,
    pub end: &'a RunEnd,
}

impl Origins<'_> {
    /// Whether it would only read the same results again.
    pub fn only_reads(&self, ix: Ix) -> bool {
        !self.has_not_run(ix) && self.read_by(ix).is_some()
    }

    /// The task itself or, where it would only read the same results again, the first of
    /// the tasks that they come from; none if it depends on no result.
    pub fn first(&self, ix: Ix) -> Option<Ix> {
        let mut seen = vec![false; self.workflow.tasks.len()];
        let (mut waiting, mut found) = (vec![ix], Vec::new());
        while let Some(at) = waiting.pop() {
            if std::mem::replace(&mut seen[at], true) {
                continue;
            }
            // A task of the main line that the flow has jumped over can still run.
            let is_before = at < ix && self.workflow.is_main_line(at);
            let can_run = self.has_not_run(at) && (at == ix || is_before);
            match self.read_by(at).filter(|_| !can_run) {
                Some(read) => waiting.extend(read),
                None => found.push(at),
            }
        }
        found.into_iter().min_by_key(|ix| self.place_in_time(*ix))
    }

    fn has_not_run(&self, ix: Ix) -> bool {
        self.end.results.get(ix).is_none()
    }

    /// Orders tasks as they ran. Those that were restored ran before.
    fn place_in_time(&self, ix: Ix) -> impl Ord {
        let steps = &self.end.path;
        let is_it = |step: &Ix| *step == ix || self.workflow.is_inside(ix, *step);
        let started = self.end.results.get(ix).and_then(|r| r.started);
        (
            self.has_not_run(ix),
            steps.iter().rposition(is_it),
            started,
            ix,
        )
    }

    /// The tasks whose results alone decide how the task ends; nothing if it does
    /// something of its own.
    fn read_by(&self, ix: Ix) -> Option<Vec<Ix>> {
        let task = &self.workflow.tasks[ix];
        let owner = self.workflow.owner_of(ix).map(|(block, _)| block);
        let Some(result) = self.end.results.get(ix) else {
            let chosen_by = owner.map(|block| &self.workflow.tasks[block]);
            return Some(chosen_by.map_or(Vec::new(), |block| uses_in(block, &["condition"])));
        };
        match (&task.kind, result.outcome) {
            (_, Outcome::Skipped) => Some(uses_in(task, &["condition"])),
            (_, Outcome::NotStarted) => owner.map(|block| vec![block]),
            (TaskKind::Decision | TaskKind::Bare, _) => Some(all_uses(task)),
            _ if is_refused(result) => Some(all_uses(task)),
            (TaskKind::Conditional(conditional), _) => self.read_by_branch(ix, conditional),
            (TaskKind::Parallel(parallel), Outcome::Failed) => self.read_by_block(ix, parallel),
            (TaskKind::Command(_), Outcome::Failed) if is_judged_by_others(task) => {
                Some(uses_in(task, &CRITERIA))
            }
            _ => None,
        }
    }

    /// The same for a conditional. Continued, it begins at its first failed member.
    fn read_by_branch(&self, ix: Ix, conditional: &Conditional) -> Option<Vec<Ix>> {
        let task = &self.workflow.tasks[ix];
        let result = self.end.results.get(ix)?;
        if let Some(failed) = self.failed_members(result) {
            return self.all_read_by(&failed);
        }
        if !result.success {
            return Some(uses_in(task, &CRITERIA));
        }
        let mut read = uses_in(task, &["condition"]);
        let branches = [true, false].map(|holds| conditional.branch(holds));
        let has_run = |ix: &Ix| !self.has_not_run(*ix);
        read.extend(branches.concat().into_iter().filter(has_run));
        Some(read)
    }

    /// The same for a parallel block that has failed. Continued, it runs what did not
    /// succeed.
    fn read_by_block(&self, ix: Ix, parallel: &Parallel) -> Option<Vec<Ix>> {
        let task = &self.workflow.tasks[ix];
        let result = self.end.results.get(ix)?;
        let check = parallel.wave_check.and_then(|ix| {
            let result = self.end.results.get(ix)?;
            (!result.success).then_some(ix)
        });
        match (self.failed_members(result), check) {
            (Some(_), _) if task.is_over_hosts() => {
                is_judged_by_others(task).then(|| uses_in(task, &CRITERIA))
            }
            (Some(failed), _) => self.all_read_by(&failed),
            (None, Some(check)) => self.read_by(check),
            (None, None) => {
                let is_ok = |outcome| matches!(outcome, Outcome::Ok | Outcome::Skipped);
                let is_done = result.members.iter().all(|m| is_ok(m.result.outcome));
                is_done.then(|| uses_in(task, &[&CRITERIA[..], &["hostnames"]].concat()))
            }
        }
    }

    /// The tasks among a block's members that have failed, if any member has.
    fn failed_members(&self, result: &TaskResult) -> Option<Vec<Ix>> {
        let has_ended = |outcome| !matches!(outcome, Outcome::NotStarted | Outcome::Skipped);
        let failed: Vec<_> = result
            .failed_members()
            .filter(|m| has_ended(m.result.outcome))
            .collect();
        let tasks = failed.iter().filter_map(|m| self.workflow.find(&m.name));
        (!failed.is_empty()).then(|| tasks.collect())
    }

    /// What these tasks read; nothing if one of them does something of its own.
    fn all_read_by(&self, tasks: &[Ix]) -> Option<Vec<Ix>> {
        let read: Option<Vec<Vec<Ix>>> = tasks.iter().map(|ix| self.read_by(*ix)).collect();
        Some(read?.concat())
    }
}

/// Whether its values did not let the task start.
fn is_refused(result: &TaskResult) -> bool {
    result.exit == exit::NOT_EXECUTABLE && result.command.is_empty() && result.members.is_empty()
}

/// The other tasks whose results the task uses.
fn all_uses(task: &Task) -> Vec<Ix> {
    task.uses.iter().map(|used| used.task).collect()
}

/// The same in these keys.
fn uses_in(task: &Task, keys: &[&str]) -> Vec<Ix> {
    let spans: Vec<_> = keys.iter().filter_map(|key| task.find_key(key)).collect();
    let uses = task.uses.iter();
    let is_there = |at| spans.iter().any(|span| span.contains(at));
    uses.filter(|used| is_there(used.at))
        .map(|used| used.task)
        .collect()
}

/// Whether its success is a matter of other tasks' results alone.
fn is_judged_by_others(task: &Task) -> bool {
    let expr = match (&task.routing.next, &task.success) {
        (NextRule::When(expr), _) => expr,
        (_, Some(Criterion { expr, .. })) => expr,
        (_, None) => return false,
    };
    let mut is_own = uses_in(task, &CRITERIA).is_empty();
    expr.for_each_test(&mut |test, _| is_own |= asks_itself(test));
    !is_own
}

fn asks_itself(test: &Test) -> bool {
    match test {
        Test::Constant(_) => false,
        Test::Truth(operand) | Test::Compare { left: operand, .. } => {
            !matches!(operand, Operand::Value(_))
        }
        _ => true,
    }
}
