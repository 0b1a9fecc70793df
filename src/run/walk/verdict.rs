//! Whether a result is a success, and its verdict: whether the flow continues as
//! wanted (SPEC §3.2).
#![forbid(unsafe_code)]

use super::engine::Engine;
use crate::outcome::Outcome;
use crate::plan::flow::{BranchHandlers, Departure};
use crate::run::evaluation::TaskContext;
use crate::run::result::TaskResult;
use crate::task::{Criterion, Ix, NextRule, Task, TaskKind};
use crate::text::condition::{Expr, ResultState};
use crate::text::diagnostic::Plural;

/// How the branch of a conditional block ended.
#[derive(Default)]
pub struct BranchEnd {
    /// Where the flow goes if a branch task left the block.
    pub departure: Option<Departure>,
    /// The task that left it had failed.
    pub left_by_failure: bool,
    /// A branch task stopped the branch, so the block has failed.
    pub stopped: bool,
    /// The branch tasks whose verdict was false, and those that did not run.
    pub failed: Vec<Ix>,
    pub handlers: BranchHandlers,
}

impl Engine<'_> {
    /// Whether the result is a success: by its criterion, else by the rule of
    /// its kind (SPEC §3.2).
    pub(super) fn succeeded(&mut self, context: &TaskContext, result: &mut TaskResult) -> bool {
        let task = self.task(context);
        match (&task.kind, block_criterion(task)) {
            // An empty set is 0 of 0, whatever the criterion (SPEC §1.1).
            (TaskKind::Parallel(_), _) if result.members.is_empty() => true,
            (TaskKind::Parallel(_), _) if self.reached_nothing(context, result) => false,
            (TaskKind::Parallel(_), Some((expr, negated))) => {
                self.judges_well(expr, negated, context, result)
            }
            (TaskKind::Parallel(_), None) => !result.has_failed_member(),
            (TaskKind::Conditional(_), _) if task.success.is_none() => {
                result.outcome == Outcome::Ok
            }
            _ => self.meets(task.success.as_ref(), context, result),
        }
    }

    /// Whether hosts were left out of the criterion and nothing else succeeded: then
    /// the block has failed, whatever its criterion says (SPEC §3.5).
    fn reached_nothing(&mut self, context: &TaskContext, result: &TaskResult) -> bool {
        let left_out = hosts_without_success(result);
        if left_out == 0 {
            return false;
        }
        let text = format!(
            "failed whatever its criterion says: {} left out as unreachable, and nothing succeeded",
            Plural(left_out, "host")
        );
        self.warn(&context.label, &text);
        true
    }

    /// Whether the result of a command meets the criterion; without one, whether
    /// its exit code is 0.
    pub(super) fn meets(
        &mut self,
        criterion: Option<&Criterion>,
        context: &TaskContext,
        result: &mut TaskResult,
    ) -> bool {
        if result.lost().is_some() {
            // Nothing is decided by a part of an output (SPEC §4.2).
            return false;
        }
        result.success = result.exit == 0;
        if result.success && result.outcome == Outcome::Failed {
            // What the criterion sees, should it ask.
            result.outcome = Outcome::Ok;
        }
        let Some(Criterion { expr, negated }) = criterion else {
            return result.success;
        };
        // A criterion says nothing about a host that was not reached, unless it
        // asks for that (SPEC §3.2, rule 1). Nor is a command of which nobody knows
        // whether it was done a success because it did not fail in a certain way.
        let applies = match result.outcome {
            Outcome::Unreachable => expr.asks_for(ResultState::Unreachable),
            Outcome::Unknown if *negated => expr.asks_for(ResultState::Unknown),
            _ => true,
        };
        applies && self.judges_well(expr, *negated, context, result)
    }

    /// The verdict on a recorded result (SPEC §3.2, rule 1). `branch` is how the branch
    /// of a conditional block ended.
    pub(super) fn verdict(&mut self, context: &TaskContext, branch: &BranchEnd) -> bool {
        let (task, ix) = (self.task(context), context.at.task);
        let success = self.results.get(ix).is_some_and(|r| r.success);
        if task.is_plain_if() {
            let continues = !branch.stopped && !branch.left_by_failure;
            if !success && continues && branch.departure.is_none() {
                self.warn_of_branch(context, branch);
            }
            return continues;
        }
        match &task.routing.next {
            NextRule::Always => true,
            // The criterion of a parallel block is judged already.
            NextRule::When(expr) if is_block_criterion(task, expr) => success,
            NextRule::When(expr) => {
                self.applies(context, expr) && self.holds(expr, context, "its verdict is false")
            }
            _ => success,
        }
    }

    /// Whether a condition says anything about the recorded result: not where a part of
    /// the output was lost, nor where no host was reached, unless it or `success=` asks
    /// for that (SPEC §3.2, rule 1, §3.5).
    pub(super) fn applies(&self, context: &TaskContext, expr: &Expr) -> bool {
        let (task, result) = (self.task(context), self.results.get(context.at.task));
        if result.is_some_and(|r| r.lost().is_some()) {
            return false;
        }
        let reached = result
            .is_none_or(|r| r.outcome != Outcome::Unreachable && hosts_without_success(r) == 0);
        let mut criteria = task.success.iter().map(|c| &c.expr).chain([expr]);
        reached || criteria.any(|expr| expr.asks_for(ResultState::Unreachable))
    }

    /// Names what failed in a conditional after which the flow continues.
    fn warn_of_branch(&mut self, context: &TaskContext, branch: &BranchEnd) {
        let failed = branch.failed.iter().map(|ix| {
            let id = self.workflow.tasks[*ix].id;
            match self.results.get(*ix) {
                Some(result) => format!("{id} {}", result.outcome),
                None => id.to_string(),
            }
        });
        let failed: Vec<String> = failed.collect();
        let text = format!("in its branch: {}; the flow continues", failed.join(", "));
        self.warn(&context.label, &text);
    }
}

/// How many hosts of a block were left out, where nothing succeeded.
fn hosts_without_success(result: &TaskResult) -> usize {
    match result.counts().count(Outcome::Ok) {
        0 => result.left_out().count(),
        _ => 0,
    }
}

/// The condition that decides whether a parallel block succeeds: its `success=`,
/// unless that is about each host, else its `next=` (SPEC §3.2). `None` without
/// one.
fn block_criterion(task: &Task) -> Option<(&Expr, bool)> {
    let success = task.success.as_ref().filter(|c| is_about_block(task, c));
    match (success, &task.routing.next) {
        (Some(criterion), _) => Some((&criterion.expr, criterion.negated)),
        (None, NextRule::When(expr)) if expr.is_about_block() => Some((expr, false)),
        _ => None,
    }
}

/// Whether `next`, the condition of the task's `next=`, decides whether the block
/// succeeds.
fn is_block_criterion(task: &Task, next: &Expr) -> bool {
    let decides = block_criterion(task).is_some_and(|(expr, _)| std::ptr::eq(expr, next));
    decides && matches!(task.kind, TaskKind::Parallel(_))
}

/// Whether `success=` is about the block, not about each host.
pub(super) fn is_about_block(task: &Task, criterion: &Criterion) -> bool {
    task.command().is_none() || criterion.expr.is_about_block()
}
