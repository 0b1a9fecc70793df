//! One task, once: from its numbers over its command to its judged result.
#![forbid(unsafe_code)]

use super::capture::Captured;
use super::engine::Engine;
use super::evaluation::{Evaluation, TaskContext};
use super::event::Event;
use super::job::{self, Prepared, Timeout};
use super::result::TaskResult;
use super::runner::{Ending, Finished, Job, Wake};
use crate::exit;
use crate::outcome::Outcome;
use crate::plan::durations::FINAL_TIMEOUT;
use crate::plan::flow::{Choice, FlowInput, Position};
use crate::task::values::{Delay, RetryOn, Split};
use crate::task::{Command, Criterion, Ix, NextRule, Task, TaskKind, resolve_setting};
use crate::text::condition::Expr;
use std::borrow::Cow;
use std::time::{Duration, SystemTime};

/// What a step leaves for the flow.
pub struct Stepped {
    pub seen: FlowInput,
    pub delay: Delay,
    pub sleep: Duration,
    /// Where a branch task went that left its conditional block.
    pub left: Option<Left>,
    /// Why a further attempt does not fit before the deadline.
    pub misfit: Option<String>,
}

/// A choice that leads out of a block, and why.
pub type Left = (Choice, Cow<'static, str>);

/// The retries that apply to a task.
#[derive(Clone)]
pub struct Retries {
    pub count: u32,
    pub delay: Delay,
    pub on: RetryOn,
}

/// The numbers of a task, which may come from results.
pub struct Numbers {
    pub timeout: Timeout,
    pub retries: Retries,
    iterations: u32,
    pub sleep: Duration,
    pub stdout_split: Option<Split>,
    pub stderr_split: Option<Split>,
}

impl Numbers {
    /// Those of a task that was not looked at further.
    fn none() -> Numbers {
        let delay = Delay {
            first: Duration::ZERO,
            last: None,
        };
        Numbers {
            timeout: Timeout {
                own: None,
                default: Duration::ZERO,
                most: None,
                left: None,
            },
            retries: Retries {
                count: 0,
                delay,
                on: RetryOn::default(),
            },
            iterations: 0,
            sleep: Duration::ZERO,
            stdout_split: None,
            stderr_split: None,
        }
    }
}

/// A performed task, before it is judged.
struct Performed {
    result: TaskResult,
    /// It could not be started at all, so that no criterion can make it succeed.
    refused: bool,
    left: Option<Left>,
}

impl Engine<'_> {
    /// Runs the task once and evaluates what the flow must know of it. `inherited`
    /// are the retries of a block, for a task that names none.
    pub(super) fn step(&mut self, at: Position, inherited: Option<&Retries>) -> Stepped {
        let task = &self.workflow.tasks[at.task];
        let context = self.context(at);
        if at == Position::at(at.task) && !self.is_wanted(task, &context) {
            self.skip(at.task, &context);
            let numbers = Numbers::none();
            let seen = self.seen(at.task, task, &context, &numbers, false);
            return Stepped {
                seen,
                delay: numbers.retries.delay,
                sleep: Duration::ZERO,
                left: None,
                misfit: None,
            };
        }
        let turn = self.next_turn();
        let (performed, numbers) = match self.numbers(task, &context, inherited) {
            Ok(numbers) => (self.perform(at, task, &context, &numbers), numbers),
            Err(reason) => (
                Performed::refused(self.unstarted(&context, &reason)),
                Numbers::none(),
            ),
        };
        let Performed {
            result,
            refused,
            left,
        } = performed;
        self.judge(at.task, task, &context, result, refused);
        let judged = self.results.get(at.task).is_some_and(TaskResult::is_judged);
        let verdict = match (judged, refused) {
            (false, _) => false,
            (true, true) => matches!(task.routing.next, NextRule::Always),
            (true, false) => self.verdict(at.task, task, &context, left.is_some()),
        };
        let seen = self.seen(at.task, task, &context, &numbers, verdict);
        let seen = FlowInput { refused, ..seen };
        self.tell_finished(at.task, task, &context);
        self.record_step(turn, at, refused);
        Stepped {
            seen,
            delay: numbers.retries.delay,
            sleep: numbers.sleep,
            left,
            misfit: self.misfit(at.attempt + 1, &numbers),
        }
    }

    /// Does what the task's kind asks for.
    fn perform(
        &mut self,
        at: Position,
        task: &Task,
        context: &TaskContext,
        numbers: &Numbers,
    ) -> Performed {
        if !task.is_block() {
            if let Some((result, refused)) = self.restored_task(at) {
                return Performed {
                    result,
                    refused,
                    left: None,
                };
            }
            if self.is_blocked() {
                let cause = self.block_cause();
                return Performed::of(TaskResult::not_started(-1, &cause));
            }
            let misfit = self.misfit(at.attempt, numbers);
            if let Some(cause) = misfit.filter(|_| task.command().is_some()) {
                self.miss(&context.label, cause.clone());
                return Performed::of(TaskResult::not_started(-1, &cause));
            }
        }
        match &task.kind {
            TaskKind::Command(command) => {
                match self.command(at.task, task, command, context, numbers) {
                    Ok(result) => Performed::of(result),
                    Err(reason) => Performed::refused(self.unstarted(context, &reason)),
                }
            }
            TaskKind::Decision | TaskKind::Bare => {
                Performed::of(TaskResult::without_process(Outcome::Ok, 0, at.attempt))
            }
            TaskKind::Parallel(parallel) => {
                match self.parallel(at.task, task, parallel, context, numbers) {
                    Ok(result) => Performed::of(result),
                    Err(reason) => Performed::refused(self.unstarted(context, &reason)),
                }
            }
            TaskKind::Conditional(conditional) => {
                let turn = self.turn();
                let (mut result, left) = self.conditional(task, conditional, context, numbers);
                if let Some(took) = self.restored_time(turn, task.id) {
                    result.took = took;
                }
                Performed {
                    result,
                    refused: false,
                    left,
                }
            }
        }
    }

    fn command(
        &mut self,
        ix: Ix,
        task: &Task,
        command: &Command,
        context: &TaskContext,
        numbers: &Numbers,
    ) -> Result<TaskResult, String> {
        let prepared = self.prepare(ix, command, context, numbers.timeout)?;
        let title = self.tell_started(task, context, &prepared);
        let number = self.next_job();
        let deadline = self.deadline;
        self.runner.start(Job {
            number,
            deadline,
            ..prepared.job
        });
        self.note_start(task.id, &context.about(&title));
        let finished = self.await_job(number, context);
        let mut result = self.result_of(finished, context, prepared.shown);
        self.split(&mut result, context, numbers);
        Ok(result)
    }

    pub(super) fn prepare(
        &mut self,
        ix: Ix,
        command: &Command,
        context: &TaskContext,
        timeout: Timeout,
    ) -> Result<Prepared, String> {
        let (recipe, defaults, common) = (&self.workflow.recipes[ix], self.defaults, self.common);
        let mut prepared = self.look(context, |values| {
            job::prepare(command, recipe, defaults, common, values, timeout)
        })?;
        prepared.job.task = Some(ix);
        Ok(prepared)
    }

    /// Waits for the one job that runs; signals are taken in meanwhile.
    fn await_job(&mut self, number: u64, context: &TaskContext) -> Finished {
        loop {
            match self.wait(None) {
                Wake::Done(done, finished) if done == number => return *finished,
                Wake::Interrupt { signal, level } => {
                    self.interrupted(signal, level, &[running(context)])
                }
                _ => {}
            }
        }
    }

    /// The result of a finished command, before its success is judged.
    pub(super) fn result_of(
        &mut self,
        finished: Finished,
        context: &TaskContext,
        command: String,
    ) -> TaskResult {
        for warning in &finished.warnings {
            self.warn(&context.label, warning);
        }
        let (exit, outcome) = match finished.ending {
            Ending::Exited(code) | Ending::Unstarted(code) => (code, Outcome::Failed),
            Ending::Signaled(signal) => (exit::SIGNAL + signal, Outcome::Failed),
            Ending::TimedOut => (exit::TIMEOUT, Outcome::Timeout),
            Ending::Unreachable(code) => (code, Outcome::Unreachable),
            // Its turn to connect did not come, for want of time or for a signal.
            Ending::NotStarted if self.is_late() => (exit::TIMEOUT, Outcome::NotStarted),
            Ending::NotStarted | Ending::Shortage => (-1, Outcome::NotStarted),
            Ending::Cancelled => (exit::SIGNAL + super::sys::SIGTERM, Outcome::Cancelled),
        };
        TaskResult {
            stdout: finished.stdout,
            stderr: finished.stderr,
            hostname: context.hostname.clone(),
            command,
            took: finished.took,
            cpu: finished.cpu,
            peak_kib: finished.peak_kib,
            started: ago(finished.took).filter(|_| outcome != Outcome::NotStarted),
            cause: match outcome {
                Outcome::NotStarted if exit == exit::TIMEOUT => "block_timeout".into(),
                Outcome::Cancelled | Outcome::NotStarted => self.stop_cause(),
                _ => String::new(),
            },
            ..TaskResult::without_process(outcome, exit, context.attempt)
        }
    }

    /// Keeps one field of the outputs (SPEC §2.3).
    pub(super) fn split(
        &mut self,
        result: &mut TaskResult,
        context: &TaskContext,
        numbers: &Numbers,
    ) {
        let streams = [
            (&numbers.stdout_split, &mut result.stdout, "stdout"),
            (&numbers.stderr_split, &mut result.stderr, "stderr"),
        ];
        for (split, stream, name) in streams {
            let Some(split) = split else { continue };
            let field = split.field(&stream.trimmed()).map(<[u8]>::to_vec);
            match field {
                Some(field) => *stream = Captured::in_memory(field),
                None => {
                    let text = format!(
                        "{name}_split: there is no field {}; the output stays whole",
                        split.index
                    );
                    self.warn(&context.label, &text);
                }
            }
        }
    }

    /// Decides success and records the result.
    fn judge(
        &mut self,
        ix: Ix,
        task: &Task,
        context: &TaskContext,
        mut result: TaskResult,
        refused: bool,
    ) {
        if !refused && result.is_judged() {
            let success = self.success(task, context, &mut result);
            result.settle(success);
        }
        if !refused && !matches!(task.kind, TaskKind::Command(_)) {
            result.exit = i32::from(!result.success);
        }
        if result.started.is_none() && result.is_judged() {
            result.started = ago(result.took);
        }
        self.results.set(ix, result);
    }

    /// Whether the result is a success: by its criterion, else by the rule of
    /// its kind (SPEC §3.2).
    fn success(&mut self, task: &Task, context: &TaskContext, result: &mut TaskResult) -> bool {
        if matches!(task.kind, TaskKind::Parallel(_))
            && result.members.is_empty()
            && result.left_out.is_empty()
        {
            // An empty set is 0 of 0, whatever the criterion (SPEC §1.1).
            return true;
        }
        match (&task.kind, block_criterion(task)) {
            (TaskKind::Parallel(_), Some((expr, negated))) => {
                self.look_at(context, Some(result), |values| expr.eval(values)) != negated
            }
            (TaskKind::Parallel(_), None) => result
                .members
                .iter()
                .all(|m| !m.result.outcome.is_failure()),
            (TaskKind::Conditional(_), _) if task.success.is_none() => {
                result.outcome == Outcome::Ok
            }
            _ => self.meets(task.success.as_ref(), context, result),
        }
    }

    /// Whether a command's result meets the criterion, else exit code 0.
    pub(super) fn meets(
        &mut self,
        criterion: Option<&Criterion>,
        context: &TaskContext,
        result: &mut TaskResult,
    ) -> bool {
        result.success = result.exit == 0;
        match criterion {
            None => result.success,
            Some(c) => {
                self.look_at(context, Some(result), |values| c.expr.eval(values)) != c.negated
            }
        }
    }

    /// The verdict of SPEC §3.2, rule 1; `left` when the flow left the block.
    fn verdict(&mut self, ix: Ix, task: &Task, context: &TaskContext, left: bool) -> bool {
        let success = self.results.get(ix).is_some_and(|r| r.success);
        if !success && is_plain_if(task) {
            if !left {
                self.warn_of_branch(ix, context);
            }
            return true;
        }
        match &task.routing.next {
            NextRule::Always => true,
            // The criterion of a parallel block, judged already.
            NextRule::When(expr) if is_criterion(task, expr) => success,
            NextRule::When(expr) => self.holds(expr, context, Some(ix)),
            _ => success,
        }
    }

    /// A conditional that says nothing itself goes on; what failed is named.
    fn warn_of_branch(&mut self, ix: Ix, context: &TaskContext) {
        let failed = self.results.get(ix).map(|r| {
            let failed = r.members.iter().filter(|m| m.result.outcome.is_failure());
            failed
                .map(|m| format!("{} {}", m.name, m.result.outcome))
                .collect::<Vec<_>>()
                .join(", ")
        });
        let text = format!(
            "in its branch: {}; the flow goes on",
            failed.unwrap_or_default()
        );
        self.warn(&context.label, &text);
    }

    /// Everything the flow must know of the recorded result.
    fn seen(
        &mut self,
        ix: Ix,
        task: &Task,
        context: &TaskContext,
        numbers: &Numbers,
        verdict: bool,
    ) -> FlowInput {
        let until = task.repeat.as_ref().and_then(|r| r.until.as_ref());
        let (outcome, exit, success) = match self.results.get_mut(ix) {
            Some(result) => {
                if !verdict && result.outcome == Outcome::Ok {
                    // It exited 0, but what it was to show did not hold (SPEC §3.3).
                    result.outcome = Outcome::Failed;
                }
                (result.outcome, result.exit, result.success)
            }
            None => (Outcome::Unknown, -1, false),
        };
        let over = matches!(outcome, Outcome::Cancelled | Outcome::Skipped);
        FlowInput {
            outcome,
            exit,
            success,
            verdict,
            refused: false,
            iterations: numbers.iterations,
            loop_break: !over && until.is_some_and(|e| self.holds(e, context, Some(ix))),
            // A block hands its retries down to its subtasks.
            retries: if task.is_block() {
                0
            } else {
                numbers.retries.count
            },
            retry_on: numbers.retries.on.clone(),
            returns: match &task.routing.return_ {
                Some(code) if !over => Some(self.look(context, |values| code.resolve(values))),
                _ => None,
            },
        }
    }

    /// A task that fails before it starts (126).
    pub(super) fn unstarted(&mut self, context: &TaskContext, reason: &str) -> TaskResult {
        self.warn(&context.label, &format!("was not started: {reason}"));
        TaskResult {
            stderr: Captured::in_memory(format!("{reason}\n")),
            hostname: context.hostname.clone(),
            ..TaskResult::without_process(Outcome::Failed, exit::NOT_EXECUTABLE, context.attempt)
        }
    }

    pub(super) fn is_wanted(&mut self, task: &Task, context: &TaskContext) -> bool {
        task.condition
            .as_ref()
            .is_none_or(|e| self.holds(e, context, None))
    }

    pub(super) fn skip(&mut self, ix: Ix, context: &TaskContext) {
        let skipped = TaskResult::without_process(Outcome::Skipped, -1, 0);
        self.results.set(
            ix,
            TaskResult {
                hostname: context.hostname.clone(),
                ..skipped
            },
        );
        self.tell(&self.workflow.tasks[ix], context, |about| Event::Skipped {
            about,
        });
    }

    // Values.

    /// The task's own values at this position.
    pub(super) fn context(&self, at: Position) -> TaskContext {
        let task = &self.workflow.tasks[at.task];
        let label = match task.routing.next {
            NextRule::Loop => format!("{}.{}", task.id, at.iteration),
            _ => task.id.to_string(),
        };
        let mut context = TaskContext {
            id: task.id,
            task: task.id.to_string(),
            label,
            iteration: at.iteration,
            attempt: at.attempt,
            ..TaskContext::default()
        };
        if let TaskKind::Command(command) = &task.kind {
            // A bad host is told when the numbers are looked at.
            context.hostname = self
                .quiet_look(&context, |values| job::host_of(command, values))
                .unwrap_or_default();
        }
        context
    }

    pub(super) fn title(&self, task: &Task, context: &TaskContext) -> String {
        self.quiet_look(context, |values| task.title.shown(Some(values)))
    }

    /// The task's numbers; the error says which of them is unusable.
    pub(super) fn numbers(
        &mut self,
        task: &Task,
        context: &TaskContext,
        inherited: Option<&Retries>,
    ) -> Result<Numbers, String> {
        let default = self.defaults.timeout;
        let of_final = task.finally.then_some(FINAL_TIMEOUT);
        // What was only believed to be quick must end with the time that is left.
        let most = [of_final, self.time_left()].into_iter().flatten().min();
        let left = self.deadline.map(|d| d.saturating_sub(self.runner.now()));
        self.look(context, |values| {
            if let TaskKind::Command(command) = &task.kind {
                job::host_of(command, values)?;
            }
            let command = task.command();
            let own = command.and_then(|c| c.timeout.as_ref());
            let sleep = resolve_setting("sleep", task.sleep.as_ref(), values)?;
            let count = task.repeat.as_ref().map(|r| &r.count);
            Ok(Numbers {
                timeout: Timeout {
                    own: resolve_setting("timeout", own, values)?,
                    default,
                    most,
                    left,
                },
                retries: retries(task, values, inherited)?,
                iterations: resolve_setting("loop", count, values)?.unwrap_or(0),
                sleep: sleep.unwrap_or_default(),
                stdout_split: resolve_setting(
                    "stdout_split",
                    command.and_then(|c| c.stdout_split.as_ref()),
                    values,
                )?,
                stderr_split: resolve_setting(
                    "stderr_split",
                    command.and_then(|c| c.stderr_split.as_ref()),
                    values,
                )?,
            })
        })
    }

    // Telling.

    /// Tells that a command is handed out; its title.
    pub(super) fn tell_started(
        &mut self,
        task: &Task,
        context: &TaskContext,
        prepared: &Prepared,
    ) -> String {
        let title = self.title(task, context);
        let about = context.about(&title);
        let (exec, timeout) = (prepared.exec.name(), prepared.job.timeout);
        self.emit(Event::Started {
            about,
            exec,
            command: &prepared.shown,
            timeout,
        });
        title
    }

    fn tell_finished(&mut self, ix: Ix, task: &Task, context: &TaskContext) {
        if let Some(result) = self.results.get(ix).cloned() {
            self.tell_result(task, context, &result);
        }
    }

    pub(super) fn tell_result(&mut self, task: &Task, context: &TaskContext, result: &TaskResult) {
        let title = self.title(task, context);
        let about = context.about(&title);
        // A copy for a host is told with the block's task, but is no block.
        self.emit(match &task.kind {
            TaskKind::Parallel(_) if !context.in_block => Event::BlockFinished { about, result },
            _ => Event::Finished { about, result },
        });
    }
}

impl Performed {
    fn of(result: TaskResult) -> Performed {
        Performed {
            result,
            refused: false,
            left: None,
        }
    }

    fn refused(result: TaskResult) -> Performed {
        Performed {
            result,
            refused: true,
            left: None,
        }
    }
}

/// The condition that makes a parallel block succeed, where it has one: its
/// `success=`, unless that is about each host, else its `next=` (SPEC §3.2).
fn block_criterion(task: &Task) -> Option<(&Expr, bool)> {
    let of_block = task.success.as_ref().filter(|c| is_of_block(task, c));
    match (of_block, &task.routing.next) {
        (Some(criterion), _) => Some((&criterion.expr, criterion.negated)),
        (None, NextRule::When(expr)) if expr.is_about_block() => Some((expr, false)),
        _ => None,
    }
}

/// Whether the condition of `next` is what makes the block succeed.
fn is_criterion(task: &Task, next: &Expr) -> bool {
    let own = block_criterion(task).is_some_and(|(expr, _)| std::ptr::eq(expr, next));
    own && matches!(task.kind, TaskKind::Parallel(_))
}

/// Whether the block's `success=` is about the block, not about each host.
pub(super) fn is_of_block(task: &Task, criterion: &Criterion) -> bool {
    task.command().is_none() || criterion.expr.is_about_block()
}

/// A conditional without a route or criterion of its own (SPEC §3.2, rule 1).
fn is_plain_if(task: &Task) -> bool {
    matches!(task.kind, TaskKind::Conditional(_))
        && task.success.is_none()
        && !task.routing.routes()
}

/// The task's own retries, each key for itself, else those of its block; none in
/// a loop (SPEC §3.4).
fn retries(
    task: &Task,
    values: &Evaluation,
    inherited: Option<&Retries>,
) -> Result<Retries, String> {
    let written = |keys: &[&str]| task.written.iter().any(|(k, _)| keys.contains(k));
    let mut retries = Retries {
        count: task
            .retry
            .count
            .resolve(values)
            .map_err(|e| format!("retry_count: {e}"))?,
        delay: task
            .retry
            .delay
            .resolve(values)
            .map_err(|e| format!("retry_delay: {e}"))?,
        on: task
            .retry
            .on
            .resolve(values)
            .map_err(|e| format!("retry_on: {e}"))?,
    };
    if let Some(block) = inherited {
        if !written(&["retry_count", "retry_failed"]) {
            retries.count = block.count;
        }
        if !written(&["retry_delay"]) {
            retries.delay = block.delay;
        }
        if !written(&["retry_on"]) {
            retries.on = block.on.clone();
        }
    }
    if matches!(task.routing.next, NextRule::Loop) {
        retries.count = 0;
    }
    Ok(retries)
}

/// The moment so long ago.
fn ago(time: Duration) -> Option<SystemTime> {
    SystemTime::now().checked_sub(time)
}

/// How a running task is named to someone who waits for it.
pub(super) fn running(context: &TaskContext) -> String {
    match context.hostname.as_str() {
        "" | "localhost" => format!("task {}", context.label),
        host => format!("task {} on {host}", context.label),
    }
}
