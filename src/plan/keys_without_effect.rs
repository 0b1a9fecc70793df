//! Keys that can have no effect where they are given.
#![forbid(unsafe_code)]

use super::recipe::Recipe;
use super::task_ends::can_be_false;
use super::workflow::Workflow;
use crate::task::{Deferrable, Ix, Members, NextRule, Task, TaskKind};
use crate::text::diagnostic::DiagnosticList;
use crate::text::duration;

/// Warns of them in one task.
pub fn check(workflow: &Workflow, ix: Ix, diagnostics: &mut DiagnosticList) {
    let task = &workflow.tasks[ix];
    hidden_return(task, diagnostics);
    sleep_at_the_end(task, diagnostics);
    retries(task, diagnostics);
    retry_settings(workflow, ix, diagnostics);
    deadline(workflow, task, diagnostics);
}

/// A `return` hidden by jumps for both verdicts (SPEC §3.2, rules 4 and 5).
fn hidden_return(task: &Task, diagnostics: &mut DiagnosticList) {
    let routing = &task.routing;
    if routing.return_.is_none() || matches!(routing.next, NextRule::Never) {
        return;
    }
    let jumps_on_success = routing.on_success.is_some();
    let jumps_on_failure = !can_be_false(task) || routing.on_failure.is_some();
    let answers_no_failure = matches!(routing.return_, Some(Deferrable::Known(0)));
    if jumps_on_success && !jumps_on_failure && answers_no_failure {
        let message = format!(
            "`return=0` has no effect: task {} jumps on success, and it does not turn a failure into 0",
            task.id
        );
        diagnostics
            .warning(task.key_span("return"), message)
            .also(task.key_span("on_success"), "it jumps here");
    }
    if routing.goto.is_some() || jumps_on_success && jumps_on_failure {
        let jump = task.first_key_span(&["goto", "on_success"]);
        let message = format!("`return` has no effect: task {} always jumps", task.id);
        diagnostics
            .warning(task.key_span("return"), message)
            .also(jump, "it jumps here");
    }
}

/// A `sleep` of a task that ends the run: nothing follows the sleep.
fn sleep_at_the_end(task: &Task, diagnostics: &mut DiagnosticList) {
    let routing = &task.routing;
    let jumps =
        routing.on_success.is_some() || routing.on_failure.is_some() || routing.goto.is_some();
    let ends = match routing.next {
        NextRule::Never => true,
        NextRule::Loop => false,
        _ => routing.return_.is_some() && !jumps,
    };
    if ends && task.has_key("sleep") {
        let message = format!("`sleep` has no effect: task {} ends the run", task.id);
        diagnostics.warning(task.key_span("sleep"), message);
    }
}

/// Retries of a task that cannot fail.
fn retries(task: &Task, diagnostics: &mut DiagnosticList) {
    let Some(key) = task.first_key(&["retry_count", "retry_failed"]) else {
        return;
    };
    if matches!(task.retry.count, Deferrable::Known(0))
        || matches!(task.routing.next, NextRule::Loop)
    {
        return;
    }
    if !can_be_false(task) && !task.is_block() {
        let message = format!(
            "`{key}` has no effect: the verdict of task {} is never false",
            task.id
        );
        diagnostics.warning(task.key_span(key), message);
    }
}

/// `retry_on` and `retry_delay` without retries, or for outcomes that cannot happen.
fn retry_settings(workflow: &Workflow, ix: Ix, diagnostics: &mut DiagnosticList) {
    let task = &workflow.tasks[ix];
    let counts = |t: &Task| t.first_key(&["retry_count", "retry_failed"]).is_some();
    let mut is_retried = counts(task);
    let mut at = ix;
    while let Some((block, _)) = workflow.owner_of(at).filter(|_| !is_retried) {
        is_retried = counts(&workflow.tasks[block]);
        at = block;
    }
    for key in ["retry_on", "retry_delay"] {
        if task.has_key(key) && !is_retried && !matches!(task.routing.next, NextRule::Loop) {
            let message = format!("`{key}` has no effect without `retry_count`");
            diagnostics.warning(task.key_span(key), message);
        }
    }
    let Deferrable::Known(on) = &task.retry.on else {
        return;
    };
    let only_unreachable = on.unreachable && !on.failed && !on.timeout && on.codes.is_empty();
    let Recipe::Ready { exec, .. } = &workflow.recipes[ix] else {
        return;
    };
    if only_unreachable && is_retried && exec.is_local() {
        let message = format!(
            "task {} is never retried: a command on this machine is never `unreachable`",
            task.id
        );
        diagnostics.warning(task.key_span("retry_on"), message);
    }
}

/// A block's deadline that is shorter than the timeout of a command in the block.
fn deadline(workflow: &Workflow, task: &Task, diagnostics: &mut DiagnosticList) {
    let TaskKind::Parallel(parallel) = &task.kind else {
        return;
    };
    let Some(Deferrable::Known(limit)) = parallel.block_timeout else {
        return;
    };
    let key = task.first_key(&["block_timeout"]).unwrap_or("timeout");
    let longer = |task: &Task| match task.command()?.timeout {
        Some(Deferrable::Known(timeout)) if timeout > limit => Some(timeout),
        _ => None,
    };
    let shown = duration::setting(limit);
    if let Members::Hosts { .. } = &parallel.members
        && let Some(timeout) = longer(task)
    {
        let message = format!(
            "block {} ends after {shown}, before the timeout of its commands ({})",
            task.id,
            duration::setting(timeout)
        );
        diagnostics
            .warning(task.key_span(key), message)
            .also(task.key_span("timeout"), "the timeout of the commands");
    }
    for member in task.owned_tasks() {
        let member = &workflow.tasks[member];
        let Some(timeout) = longer(member) else {
            continue;
        };
        let message = format!(
            "block {} ends after {shown}, before the timeout of task {} ({})",
            task.id,
            member.id,
            duration::setting(timeout)
        );
        diagnostics
            .warning(member.key_span("timeout"), message)
            .also(task.key_span(key), "the block's deadline");
    }
}
