//! Warnings about exit code 255 on another host (SPEC §5): it can be the command's own,
//! but a connection that was lost is `unknown`, and a host that was not reached is
//! `unreachable`.
#![forbid(unsafe_code)]

use super::recipe::Recipe;
use super::workflow::Workflow;
use crate::exit::UNREACHABLE;
use crate::task::{Ix, NextRule, Task, TaskKind};
use crate::text::condition::{Expr, Op, Operand, Test};
use crate::text::diagnostic::DiagnosticList;
use crate::text::source::Span;
use crate::text::template::{Field, Piece, Reference};

const REMEDY: &str =
    "`unknown` is a lost connection, `unreachable` a host that was not reached; name what is meant";

/// Warns where the task asks for exit code 255 of a command that ssh runs, its own or an
/// earlier one, and where it retries that code.
pub fn check(workflow: &Workflow, ix: Ix, diagnostics: &mut DiagnosticList) {
    let task = &workflow.tasks[ix];
    let is_on_host = |ix: Ix| match &workflow.recipes[ix] {
        Recipe::Ready { exec, .. } => exec.connects(),
        Recipe::None | Recipe::Late => false,
    };
    for expr in conditions(task) {
        let mut found: Vec<Span> = Vec::new();
        expr.for_each_test(&mut |test, at| {
            let asked = task_asked(test, ix);
            found.extend(asked.filter(|of| is_on_host(*of)).map(|_| at));
        });
        for at in found {
            let message = "exit code 255 of a command over ssh does not tell its own from a connection that was lost";
            diagnostics.warning(at, message).help(REMEDY);
        }
    }
    let retries = task.retry.on.known();
    let retries_255 = retries.is_some_and(|on| on.codes.contains(&UNREACHABLE) && !on.unknown);
    // A block hands its retries down.
    let is_of_host = || is_on_host(ix) || task.owned_tasks().into_iter().any(is_on_host);
    if retries_255 && is_of_host() {
        let message = "255 in `retry_on` does not cover a connection that was lost";
        let at = task.key_span("retry_on");
        diagnostics.warning(at, message).help(REMEDY);
    }
}

/// Every condition of the task that can ask for a result.
fn conditions(task: &Task) -> impl Iterator<Item = &Expr> {
    let next = match &task.routing.next {
        NextRule::When(expr) => Some(expr),
        _ => None,
    };
    let branch = match &task.kind {
        TaskKind::Conditional(conditional) => Some(&conditional.condition),
        _ => None,
    };
    let success = task.success.as_ref().map(|criterion| &criterion.expr);
    let until = task.repeat.as_ref().and_then(|r| r.until.as_ref());
    [task.condition.as_ref(), branch, success, next, until]
        .into_iter()
        .flatten()
}

/// The task whose exit code the test compares with 255.
fn task_asked(test: &Test, own: Ix) -> Option<Ix> {
    match test {
        Test::Exit(UNREACHABLE) => Some(own),
        Test::Compare {
            left,
            op: Op::Equal | Op::Unequal,
            right,
        } => {
            let code = right.value.known_text()?;
            let of = task_of_exit(left, own)?;
            (code.trim() == UNREACHABLE.to_string()).then_some(of)
        }
        _ => None,
    }
}

/// The task whose exit code the operand is.
fn task_of_exit(operand: &Operand, own: Ix) -> Option<Ix> {
    let value = match operand {
        Operand::Exit => return Some(own),
        Operand::Value(value) => value,
        _ => return None,
    };
    match value.pieces.as_slice() {
        [
            Piece::Reference {
                to: Reference::Field { task, field },
                ..
            },
        ] if *field == Field::Exit => Some(*task),
        _ => None,
    }
}
