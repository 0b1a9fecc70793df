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
    /// The first handler whose verdict was false.
    pub handler_failed: Option<Ix>,
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

/// What the flow must remember of the handlers that a branch ran.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BranchHandlers {
    pub any: bool,
    /// The first one whose verdict was false.
    pub failed: Option<Ix>,
}

impl BranchHandlers {
    /// Notes how a branch task ended, and what it ran if it is a block.
    pub fn note(&mut self, workflow: &Workflow, task: Ix, seen: &FlowInput) {
        let ran = workflow.is_handler(task) && seen.outcome != Outcome::Skipped;
        let failed = Some(task).filter(|_| ran && !seen.verdict);
        self.any |= ran || seen.handlers.any;
        self.failed = self.failed.or(seen.handlers.failed).or(failed);
    }
}

/// The end of a task, with its conditions evaluated.
#[derive(Clone, Debug)]
pub struct FlowInput {
    pub outcome: Outcome,
    pub exit: i32,
    pub success: bool,
    /// After a loop, false only if its `loop_break` never held.
    pub verdict: bool,
    /// Its values did not allow it to start: no retry, no iteration.
    pub refused: bool,
    /// Its verdict is false, and output of it or of a subtask could not be kept whole.
    pub lost: bool,
    /// How many iterations `loop` asks for, and whether `loop_break` is true.
    pub iterations: u32,
    pub loop_break: bool,
    pub retries: u32,
    pub retry_on: RetryOn,
    /// The `return` code, or why it cannot be used.
    pub returns: Option<Result<u8, String>>,
    /// The handlers that a conditional block ran as branch tasks.
    pub handlers: BranchHandlers,
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

/// A choice, and why it was made. A conditional block passes on that of a branch task
/// that left it.
pub type Departure = (Choice, Cow<'static, str>);

/// Decides what comes after a task of the main line, or a task that was jumped to.
pub fn decide(
    workflow: &Workflow,
    policy: Policy,
    state: FlowState,
    at: Position,
    seen: &FlowInput,
    departure: Option<Departure>,
) -> Decision {
    let chosen = departure.unwrap_or_else(|| choose(&workflow.tasks[at.task], at, seen));
    let walk = MainLine {
        workflow,
        policy,
        state: state.after(workflow, at.task, &chosen.0, seen),
        from: at.task,
        seen,
    };
    walk.follow(chosen)
}

impl FlowState {
    /// The state once the task has ended, before the flow moves on.
    fn after(self, workflow: &Workflow, task: Ix, choice: &Choice, seen: &FlowInput) -> FlowState {
        let is_over = !matches!(choice, Choice::Retry | Choice::Iterate);
        let failed = is_over && !seen.verdict && seen.outcome != Outcome::Skipped;
        let itself = Some(task).filter(|task| failed && workflow.is_handler(*task));
        FlowState {
            in_handlers: self.in_handlers || seen.handlers.any,
            handler_failed: self.handler_failed.or(seen.handlers.failed).or(itself),
            ..self
        }
    }
}

/// The main line at the end of a task.
struct MainLine<'a> {
    workflow: &'a Workflow,
    policy: Policy,
    state: FlowState,
    from: Ix,
    seen: &'a FlowInput,
}

impl MainLine<'_> {
    /// Turns a choice into the next step.
    fn follow(&self, (choice, why): Departure) -> Decision {
        let state = self.state;
        let failure = matches!(choice, Choice::Fail | Choice::Jump { failure: true, .. });
        let go = |step, state, why| Decision {
            step,
            state,
            why,
            failure,
        };
        match choice {
            Choice::Retry => go(Step::Retry, state, why),
            Choice::Iterate => go(Step::Iterate, state, why),
            Choice::Jump { to, failure } => {
                let in_handlers = failure && (state.in_handlers || self.workflow.is_handler(to));
                let state = FlowState {
                    in_handlers,
                    ..state
                };
                go(Step::Go(to), state, why)
            }
            Choice::Return(code) => self.end(code, why),
            Choice::Never(code) => Decision {
                failure: code != exit::OK,
                ..self.end(code, why)
            },
            Choice::FallThrough => self.fall_through(why),
            Choice::Fail => self.fail(why),
        }
    }

    /// A false verdict that no key of the task handles.
    fn fail(&self, why: Cow<'static, str>) -> Decision {
        let task = &self.workflow.tasks[self.from];
        if self.state.in_handlers && self.workflow.is_handler(self.from) {
            let why = "failed in a failure handler; nothing handles that";
            return self.follow(on_true(task, self.seen, why));
        }
        if !self.policy.keep_going {
            return Decision {
                failure: true,
                ..self.end(failure_code(task, self.seen), why)
            };
        }
        let continued = MainLine {
            state: FlowState {
                kept_going: true,
                ..self.state
            },
            ..*self
        };
        let why = "failed; continuing because of --keep-going";
        // The run ends at a `return=0` whatever became of its task.
        let choice = returned(self.seen).unwrap_or((Choice::FallThrough, why.into()));
        continued.follow(choice)
    }

    fn fall_through(&self, why: Cow<'static, str>) -> Decision {
        match self.workflow.next_of(self.from) {
            None => self.end(exit::OK, why),
            Some(next) if self.workflow.is_handler(next) && !self.state.in_handlers => {
                let id = self.workflow.tasks[next].id;
                let why = format!("{why}; task {id} is a failure handler, so the run ends");
                self.end(exit::OK, why.into())
            }
            Some(next) => Decision {
                step: Step::Go(next),
                state: self.state,
                why,
                failure: false,
            },
        }
    }

    /// Ends the run. It does not end with 0 after a failure that was passed over or in
    /// a handler, unless the command line says so (SPEC §3.8).
    fn end(&self, code: i32, why: Cow<'static, str>) -> Decision {
        let state = self.state;
        let passed_over = match state.handler_failed {
            Some(ix) => {
                let id = self.workflow.tasks[ix].id;
                Some(format!("failure handler {id} had failed"))
            }
            None if state.kept_going => Some("--keep-going passed over a failure".into()),
            None => None,
        };
        let (code, why) = match passed_over {
            Some(passed_over) if code == exit::OK && !self.policy.forgive => {
                (exit::FAILURES, format!("{why}; {passed_over}").into())
            }
            _ => (code, why),
        };
        Decision {
            step: Step::End(code),
            state,
            why,
            failure: false,
        }
    }
}

/// What the task's own keys ask for, by the rules of SPEC §3.2.
pub fn choose(task: &Task, at: Position, seen: &FlowInput) -> Departure {
    if seen.outcome == Outcome::Skipped {
        return (Choice::FallThrough, "skipped".into());
    }
    let polls = task.repeat.as_ref().is_some_and(|r| r.until.is_some());
    if matches!(task.routing.next, NextRule::Loop) && !seen.refused && (polls || !seen.lost) {
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
        on_false(task, seen, "its verdict is false")
    }
}

/// Whether a branch task with a false verdict that nothing handles stops its branch
/// (SPEC §3.6). It does if it has a `next`; also if it would have ended the run, by a
/// `return=0`; and if it is a conditional without keys, whose own branch was stopped.
pub fn stops_branch(task: &Task) -> bool {
    let routing = &task.routing;
    let is_asked = !matches!(routing.next, NextRule::Absent) || routing.return_.is_some();
    is_asked || task.is_plain_if()
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

fn choose_in_loop(task: &Task, at: Position, seen: &FlowInput) -> Departure {
    if seen.loop_break {
        return on_true(task, seen, "its loop_break is true");
    }
    if at.iteration < seen.iterations {
        let why = format!("iteration {} of {} is done", at.iteration, seen.iterations);
        return (Choice::Iterate, why.into());
    }
    if seen.verdict {
        on_true(task, seen, "its loop is done")
    } else {
        on_false(task, seen, "its loop_break was never true")
    }
}

fn never(task: &Task, seen: &FlowInput) -> Departure {
    let answer = returned(seen).filter(|(choice, _)| seen.success || !is_return_0(choice));
    if let Some(choice) = answer {
        return choice;
    }
    let code = match (seen.success, seen.exit) {
        (true, _) => exit::OK,
        (false, _) if seen.lost && seen.outcome == Outcome::Failed => exit::LOG_DIR,
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

fn on_true(task: &Task, seen: &FlowInput, why: &'static str) -> Departure {
    if let Some(to) = task.routing.on_success.or(task.routing.goto) {
        return (Choice::Jump { to, failure: false }, why.into());
    }
    returned(seen).unwrap_or((Choice::FallThrough, why.into()))
}

fn on_false(task: &Task, seen: &FlowInput, why: &'static str) -> Departure {
    if let Some(to) = task.routing.on_failure {
        return (Choice::Jump { to, failure: true }, why.into());
    }
    match returned(seen) {
        Some((choice, why)) if !is_return_0(&choice) => (choice, why),
        _ => (Choice::Fail, format!("{why} and nothing handles it").into()),
    }
}

/// A `return=0` answers a good end only: it does not turn a failure into 0.
fn is_return_0(choice: &Choice) -> bool {
    *choice == Choice::Return(exit::OK)
}

fn returned(seen: &FlowInput) -> Option<Departure> {
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
    let polls = matches!(task.routing.next, NextRule::Loop) && !seen.refused;
    let runs_itself = matches!(task.kind, TaskKind::Command(_));
    if seen.lost && seen.outcome == Outcome::Failed {
        return exit::LOG_DIR;
    }
    if runs_itself && !polls && (1..=255).contains(&seen.exit) {
        seen.exit
    } else {
        exit::CRITERION
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
            let polls = task.repeat.as_ref().is_some_and(|r| r.until.is_some());
            let verdict = match task.routing.next {
                NextRule::Always => true,
                NextRule::Loop => exit == 0 || !polls,
                _ => exit == 0,
            };
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
                lost: false,
                verdict,
                handlers: BranchHandlers::default(),
                iterations: task.repeat.as_ref().map_or(0, |r| known(r.count.known())),
                loop_break: exit == 0 && polls,
                retries: known(task.retry.count.known()),
                retry_on: RetryOn::default(),
                returns: task
                    .routing
                    .return_
                    .as_ref()
                    .and_then(|r| r.known())
                    .map(|c| Ok(*c)),
            };
            let decision = decide(&workflow, policy, state, at, &seen, None);
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
        assert_eq!(go(&f, &[(0, &[2]), (90, &[7])]), (vec![0, 90, 99], 1));
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
        assert_eq!(walk(&f, keep, &[(0, &[5])]), (vec![0, 1], 1));
    }
}
