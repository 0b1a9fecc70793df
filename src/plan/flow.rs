//! The rules of the flow (SPEC §3.2 to §3.4): what comes after a task.
//!
//! Pure functions: from the workflow, the position in it and the result there, to
//! the next step. `run` evaluates conditions, waits and starts commands.
#![forbid(unsafe_code)]

use super::workflow::Workflow;
use crate::exit;
use crate::outcome::Outcome;
use crate::task::values::RetryOn;
use crate::task::{Ix, NextRule, Task, TaskKind};
use std::borrow::Cow;

/// A task of the flow at one iteration and attempt (both count from 1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Position {
    pub task: Ix,
    pub iteration: u32,
    pub attempt: u32,
}

impl Position {
    pub fn at(task: Ix) -> Position {
        Position {
            task,
            iteration: 1,
            attempt: 1,
        }
    }
}

/// What the flow must remember of the tasks before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FlowState {
    /// A failure led to a handler, so the flow falls through handlers too.
    pub in_handlers: bool,
    /// The exit code of the first unhandled failure in a handler.
    pub handler_failed: Option<i32>,
    /// The flow continued past a failure (`--keep-going`).
    pub kept_going: bool,
}

/// What the command line says about unhandled failures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Policy {
    pub keep_going: bool,
    /// `--fire-and-forget`: keep going and end with 0.
    pub forgive: bool,
}

/// The end of a task, with its conditions evaluated.
#[derive(Clone, Debug)]
pub struct FlowInput {
    pub outcome: Outcome,
    pub exit: i32,
    pub success: bool,
    pub verdict: bool,
    /// Its values did not allow it to start: no retry, no iteration.
    pub refused: bool,
    /// How many iterations `loop` asks for, and whether `loop_break` is true.
    pub iterations: u32,
    pub loop_break: bool,
    pub retries: u32,
    pub retry_on: RetryOn,
    /// The `return` code, or why it cannot be used.
    pub returns: Option<Result<u8, String>>,
}

/// What a task's own keys ask for, wherever the task is.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    Retry,
    Iterate,
    Jump {
        to: Ix,
        failure: bool,
    },
    Return(i32),
    /// `next=never`: the run ends here with this code.
    Never(i32),
    /// An unhandled false verdict.
    Fail,
    FallThrough,
}

/// The next step of the main line.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Retry,
    Iterate,
    Go(Ix),
    End(i32),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub step: Step,
    pub state: FlowState,
    pub why: Cow<'static, str>,
    /// Whether a failure led there.
    pub failure: bool,
}

/// Decides what comes after a task of the main line, or a task that was jumped to.
pub fn decide(
    workflow: &Workflow,
    policy: Policy,
    state: FlowState,
    at: Position,
    seen: &FlowInput,
) -> Decision {
    let task = &workflow.tasks[at.task];
    let (choice, why) = choose(task, at, seen);
    follow(
        workflow,
        policy,
        state,
        at.task,
        choice,
        why,
        failure_code(task, seen),
    )
}

/// Turns a choice into the next step. A conditional block passes on the choice of
/// a branch task that left it; `failure` is the exit code if the run stops here.
pub fn follow(
    workflow: &Workflow,
    policy: Policy,
    state: FlowState,
    from: Ix,
    choice: Choice,
    why: Cow<'static, str>,
    failure: i32,
) -> Decision {
    let failed = matches!(choice, Choice::Fail | Choice::Jump { failure: true, .. });
    let go = |step, state| Decision {
        step,
        state,
        why: why.clone(),
        failure: failed,
    };
    match choice {
        Choice::Retry => go(Step::Retry, state),
        Choice::Iterate => go(Step::Iterate, state),
        Choice::Jump { to, failure } => {
            let in_handlers = failure && (state.in_handlers || workflow.is_handler(to));
            go(
                Step::Go(to),
                FlowState {
                    in_handlers,
                    ..state
                },
            )
        }
        Choice::Return(code) | Choice::Never(code) => go(Step::End(final_code(state, code)), state),
        Choice::FallThrough => fall_through(workflow, policy, state, from, why),
        Choice::Fail if policy.keep_going => {
            let state = FlowState {
                kept_going: true,
                ..state
            };
            let why = "failed; continuing because of --keep-going";
            fall_through(workflow, policy, state, from, why.into())
        }
        Choice::Fail if state.in_handlers && workflow.is_handler(from) => {
            let first = state.handler_failed.or(Some(failure));
            let state = FlowState {
                handler_failed: first,
                ..state
            };
            let why = "failed in a failure handler; nothing handles that";
            fall_through(workflow, policy, state, from, why.into())
        }
        Choice::Fail => go(Step::End(failure), state),
    }
}

/// What the task's own keys ask for, by the rules of SPEC §3.2.
pub fn choose(task: &Task, at: Position, seen: &FlowInput) -> (Choice, Cow<'static, str>) {
    if seen.outcome == Outcome::Skipped {
        return (Choice::FallThrough, "skipped".into());
    }
    if matches!(task.routing.next, NextRule::Loop) && !seen.refused {
        return choose_in_loop(task, at, seen);
    }
    let again = !seen.refused && is_retried(seen.outcome, seen.exit, &seen.retry_on);
    if !seen.verdict && at.attempt <= seen.retries && again {
        let why = format!(
            "its verdict is false; retry {} of {}",
            at.attempt, seen.retries
        );
        return (Choice::Retry, why.into());
    }
    if matches!(task.routing.next, NextRule::Never) {
        return never(task, seen);
    }
    if let Some(to) = task.routing.goto {
        return (Choice::Jump { to, failure: false }, "goto".into());
    }
    if seen.verdict {
        on_true(task, seen, "its verdict is true")
    } else {
        on_false(task, seen)
    }
}

/// Whether `retry_on` covers the outcome or the exit code (SPEC §3.3).
pub fn is_retried(outcome: Outcome, exit: i32, on: &RetryOn) -> bool {
    let by_code = on.codes.contains(&exit);
    match outcome {
        Outcome::Timeout => on.timeout || by_code,
        Outcome::Unreachable => on.unreachable || by_code,
        // A false verdict of a task that is ok counts as failed.
        Outcome::Failed | Outcome::Ok => on.failed || by_code,
        // It may have been done: no exit code says that it can be done again.
        Outcome::Unknown => on.unknown,
        Outcome::Cancelled | Outcome::NotStarted | Outcome::Skipped => false,
    }
}

fn choose_in_loop(task: &Task, at: Position, seen: &FlowInput) -> (Choice, Cow<'static, str>) {
    let waits = task.repeat.as_ref().is_some_and(|r| r.until.is_some());
    if seen.loop_break {
        return on_true(task, seen, "its loop_break is true");
    }
    if at.iteration < seen.iterations {
        let why = format!("iteration {} of {} is done", at.iteration, seen.iterations);
        return (Choice::Iterate, why.into());
    }
    match task.routing.on_failure {
        Some(to) if waits => (
            Choice::Jump { to, failure: true },
            "its loop_break was never true".into(),
        ),
        _ => on_true(task, seen, "its loop is done"),
    }
}

fn never(task: &Task, seen: &FlowInput) -> (Choice, Cow<'static, str>) {
    if let Some(choice) = returned(seen) {
        return choice;
    }
    let code = match (seen.success, seen.exit) {
        (true, _) => exit::OK,
        (false, 1..=255) => seen.exit,
        (false, _) => exit::CRITERION,
    };
    let why = if task.routing.on_success.is_some() {
        "next=never, which hides on_success"
    } else {
        "next=never"
    };
    (Choice::Never(code), why.into())
}

fn on_true(task: &Task, seen: &FlowInput, why: &'static str) -> (Choice, Cow<'static, str>) {
    if let Some(to) = task.routing.on_success.or(task.routing.goto) {
        return (Choice::Jump { to, failure: false }, why.into());
    }
    returned(seen).unwrap_or((Choice::FallThrough, why.into()))
}

fn on_false(task: &Task, seen: &FlowInput) -> (Choice, Cow<'static, str>) {
    if let Some(to) = task.routing.on_failure {
        return (
            Choice::Jump { to, failure: true },
            "its verdict is false".into(),
        );
    }
    returned(seen).unwrap_or((
        Choice::Fail,
        "its verdict is false and nothing handles it".into(),
    ))
}

fn returned(seen: &FlowInput) -> Option<(Choice, Cow<'static, str>)> {
    match seen.returns.as_ref()? {
        Ok(code) => Some((
            Choice::Return(i32::from(*code)),
            format!("return={code}").into(),
        )),
        Err(why) => Some((
            Choice::Return(exit::FAILURES),
            format!("its return cannot be used: {why}").into(),
        )),
    }
}

/// The exit code of a run that stops at this task.
pub fn failure_code(task: &Task, seen: &FlowInput) -> i32 {
    let runs_itself = matches!(task.kind, TaskKind::Command(_));
    if runs_itself && (1..=255).contains(&seen.exit) {
        seen.exit
    } else {
        exit::CRITERION
    }
}

fn fall_through(
    workflow: &Workflow,
    policy: Policy,
    state: FlowState,
    from: Ix,
    why: Cow<'static, str>,
) -> Decision {
    let end = |why| Decision {
        step: Step::End(final_code(state, end_code(policy, state))),
        state,
        why,
        failure: false,
    };
    match workflow.next_of(from) {
        None => end(why),
        Some(next) if workflow.is_handler(next) && !state.in_handlers => end(format!(
            "{why}; task {} is a failure handler, so the run ends",
            workflow.tasks[next].id
        )
        .into()),
        Some(next) => Decision {
            step: Step::Go(next),
            state,
            why,
            failure: false,
        },
    }
}

/// The exit code of a flow that reached its end.
fn end_code(policy: Policy, state: FlowState) -> i32 {
    if state.kept_going && !policy.forgive {
        exit::FAILURES
    } else {
        exit::OK
    }
}

/// A run with an unhandled failure in a handler cannot end with 0.
fn final_code(state: FlowState, code: i32) -> i32 {
    if code == exit::OK {
        state.handler_failed.unwrap_or(code)
    } else {
        code
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::workflow::tests::workflow;

    /// Follows the flow with the exit codes given for each task id; every visit takes
    /// the next code, the last one repeats. Returns the path and the exit code.
    fn walk(text: &str, policy: Policy, results: &[(u32, &[i32])]) -> (Vec<u32>, i32) {
        let workflow = workflow(&text.replace(' ', "\n"));
        let mut used = vec![0usize; workflow.tasks.len()];
        let mut path = Vec::new();
        let mut at = Position::at(workflow.first().unwrap_or(0));
        let mut state = FlowState::default();
        for _ in 0..100 {
            let task = &workflow.tasks[at.task];
            path.push(task.id);
            let codes = results
                .iter()
                .find(|(id, _)| *id == task.id)
                .map_or(&[0][..], |(_, c)| c);
            let exit = codes[used[at.task].min(codes.len() - 1)];
            used[at.task] += 1;
            let known = |n: Option<&u32>| n.copied().unwrap_or(0);
            let seen = FlowInput {
                outcome: if exit == 0 {
                    Outcome::Ok
                } else if exit == -1 {
                    Outcome::Skipped
                } else {
                    Outcome::Failed
                },
                exit,
                success: exit == 0,
                refused: false,
                verdict: exit == 0 || matches!(task.routing.next, NextRule::Always),
                iterations: task.repeat.as_ref().map_or(0, |r| known(r.count.known())),
                loop_break: exit == 0 && task.repeat.as_ref().is_some_and(|r| r.until.is_some()),
                retries: known(task.retry.count.known()),
                retry_on: RetryOn::default(),
                returns: task
                    .routing
                    .return_
                    .as_ref()
                    .and_then(|r| r.known())
                    .map(|c| Ok(*c)),
            };
            let decision = decide(&workflow, policy, state, at, &seen);
            state = decision.state;
            match decision.step {
                Step::Retry => at.attempt += 1,
                Step::Iterate => at.iteration += 1,
                Step::Go(to) => at = Position::at(to),
                Step::End(code) => return (path, code),
            }
        }
        (path, -2)
    }

    fn go(text: &str, results: &[(u32, &[i32])]) -> (Vec<u32>, i32) {
        walk(text, Policy::default(), results)
    }

    const C: &str = "exec=local command=true";

    fn file(tasks: &[(&str, &str)]) -> String {
        tasks
            .iter()
            .map(|(id, keys)| format!("task={id} {C} {keys} "))
            .collect()
    }

    #[test]
    fn the_flow_falls_through_gaps_and_stops_at_a_failure() {
        let f = file(&[("0", ""), ("5", ""), ("900", "")]);
        assert_eq!(go(&f, &[]), (vec![0, 5, 900], 0));
        assert_eq!(go(&f, &[(5, &[7])]), (vec![0, 5], 7));
        assert_eq!(go(&f, &[(5, &[-1])]), (vec![0, 5, 900], 0));
    }

    #[test]
    fn verdicts_route() {
        let f = file(&[
            ("0", "next=always"),
            ("1", "on_success=4 on_failure=3"),
            ("2", "return=9"),
            ("3", ""),
            ("4", ""),
        ]);
        assert_eq!(go(&f, &[(0, &[1])]), (vec![0, 1, 4], 0));
        assert_eq!(go(&f, &[(1, &[1])]), (vec![0, 1, 3, 4], 0));
        let f = file(&[
            ("0", "goto=2"),
            ("1", ""),
            ("2", "next=never return=5"),
            ("3", ""),
        ]);
        assert_eq!(go(&f, &[(0, &[1])]), (vec![0, 2], 5));
        let f = file(&[("0", "next=never")]);
        assert_eq!((go(&f, &[]).1, go(&f, &[(0, &[3])]).1), (0, 3));
        let f = file(&[("0", "return=3")]);
        assert_eq!((go(&f, &[]).1, go(&f, &[(0, &[8])]).1), (3, 3));
    }

    #[test]
    fn handlers_are_entered_by_failures_only() {
        let f = file(&[
            ("0", "next=success goto=90"),
            ("1", "next=success goto=99"),
            ("90", ""),
            ("99", "return=1"),
        ]);
        assert_eq!(go(&f, &[]), (vec![0, 1], 0));
        assert_eq!(go(&f, &[(0, &[2])]), (vec![0, 90, 99], 1));
        assert_eq!(go(&f, &[(1, &[2])]), (vec![0, 1, 99], 1));
        // After an unhandled failure in a handler the flow continues to the next one.
        assert_eq!(go(&f, &[(0, &[2]), (90, &[7])]), (vec![0, 90, 99], 1));
        let f = file(&[("0", "on_failure=90"), ("90", ""), ("99", "")]);
        assert_eq!(go(&f, &[(0, &[2]), (90, &[7])]), (vec![0, 90, 99], 7));
        assert_eq!(go(&f, &[(0, &[2])]), (vec![0, 90, 99], 0));
    }

    #[test]
    fn a_true_jump_ends_the_falling_through_handlers() {
        let f = file(&[
            ("0", "on_failure=90"),
            ("20", ""),
            ("90", "goto=20"),
            ("99", ""),
        ]);
        assert_eq!(go(&f, &[]), (vec![0, 20], 0));
        assert_eq!(go(&f, &[(0, &[1])]), (vec![0, 90, 20], 0));
        // The id just below exists: an ordinary task, entered by falling through.
        let f = file(&[("0", "on_failure=2"), ("1", ""), ("2", "")]);
        assert_eq!(go(&f, &[]), (vec![0, 1, 2], 0));
        // A failure that leads back to the start begins the ordinary flow again.
        let f = file(&[
            ("0", ""),
            ("1", "on_failure=0"),
            ("90", ""),
            ("2", "on_failure=90"),
        ]);
        assert_eq!(go(&f, &[(1, &[1, 0])]), (vec![0, 1, 0, 1, 2], 0));
    }

    #[test]
    fn retries_come_before_the_failure_path() {
        let f = file(&[("0", "retry_count=2 on_failure=9"), ("9", "")]);
        assert_eq!(go(&f, &[(0, &[1, 1, 0])]), (vec![0, 0, 0], 0));
        assert_eq!(go(&f, &[(0, &[1])]), (vec![0, 0, 0, 9], 0));
        let f = file(&[("0", "retry_count=2 goto=9"), ("9", "")]);
        assert_eq!(go(&f, &[(0, &[1, 0])]), (vec![0, 0, 9], 0));
    }

    #[test]
    fn loops_run_to_their_end_or_break() {
        let f = file(&[("0", "next=loop loop=3"), ("1", "")]);
        assert_eq!(go(&f, &[(0, &[1])]), (vec![0, 0, 0, 1], 0));
        let f = file(&[
            ("0", "next=loop loop=3 loop_break=exit_0 on_failure=9"),
            ("1", ""),
            ("9", "return=4"),
        ]);
        assert_eq!(go(&f, &[(0, &[1, 0])]), (vec![0, 0, 1], 0));
        assert_eq!(go(&f, &[(0, &[1])]), (vec![0, 0, 0, 9], 4));
    }

    #[test]
    fn what_is_retried() {
        use crate::task::values::retry_on;
        use Outcome::*;
        let outcomes = |on: &RetryOn, exit: i32| {
            let all = Outcome::ALL.into_iter();
            all.filter(|o| is_retried(*o, exit, on)).collect::<Vec<_>>()
        };
        let on = |text: &str| retry_on(text).expect("a list");
        // A false verdict of a task that is ok counts as failed.
        let default = RetryOn::default();
        assert_eq!(outcomes(&default, 1), [Ok, Failed, Unreachable]);
        assert_eq!(outcomes(&on("failed"), 0), [Ok, Failed]);
        assert_eq!(outcomes(&on("timeout"), 124), [Timeout]);
        assert_eq!(outcomes(&on("unreachable"), 255), [Unreachable]);
        assert_eq!(outcomes(&on("unknown"), 255), [Unknown]);
        // What may have been done is not retried for its exit code.
        assert_eq!(
            outcomes(&on("255"), 255),
            [Ok, Failed, Timeout, Unreachable]
        );
        assert_eq!(outcomes(&on("255"), 1), []);
    }

    #[test]
    fn keep_going_remembers_failures() {
        let f = file(&[("0", ""), ("1", ""), ("2", "")]);
        let keep = Policy {
            keep_going: true,
            forgive: false,
        };
        assert_eq!(walk(&f, keep, &[(1, &[5])]), (vec![0, 1, 2], 1));
        assert_eq!(walk(&f, keep, &[]), (vec![0, 1, 2], 0));
        assert_eq!(
            walk(
                &f,
                Policy {
                    keep_going: true,
                    forgive: true
                },
                &[(1, &[5])]
            ),
            (vec![0, 1, 2], 0)
        );
        let f = file(&[("0", ""), ("1", "return=0")]);
        assert_eq!(walk(&f, keep, &[(0, &[5])]), (vec![0, 1], 0));
    }
}
