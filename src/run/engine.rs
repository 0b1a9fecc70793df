//! The walk: from task to task as the flow says, until the run ends.
//!
//! One thread, one owner of every result. It asks `plan::flow` where to go, has
//! commands run by a `Runner`, and tells what happens as events.
#![forbid(unsafe_code)]

use super::event::{About, Event};
use super::interrupt::Level;
use super::job::{self, Common};
use super::result::{Results, TaskResult};
use super::runner::{Ending, Finished, Runner, Time, Wake};
use super::view::{Own, View};
use crate::exit;
use crate::outcome::{Counts, Outcome};
use crate::plan::flow::{self, Choice, Course, Policy, Position, Seen, Step};
use crate::plan::recipe::Defaults;
use crate::plan::workflow::Workflow;
use crate::task::values::{Delay, RetryOn, Split};
use crate::task::{Command, Ix, Kind, Next, Task};
use crate::text::condition::Expr;
use crate::text::diagnostic::Count;
use std::cell::RefCell;
use std::time::Duration;

/// What the command line says about the walk.
pub struct Settings {
    pub policy: Policy,
    /// How many tasks a run executes at most (SPEC §3.2).
    pub max_steps: u64,
    pub start: Ix,
    /// Whether DEBUG events are wanted.
    pub debug: bool,
}

/// How a run ended.
pub struct RunEnd {
    pub exit: i32,
    /// The task the flow was at.
    pub last: Ix,
    pub results: Results,
    pub counts: Counts,
    /// The steps the flow took (SPEC §6.7).
    pub path: Vec<Ix>,
    /// The first failure that was not retried.
    pub first_failure: Option<Ix>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    pub took: Duration,
}

/// How long a final task may take when it does not say (SPEC §3.7).
const FINAL_TIMEOUT: Duration = Duration::from_secs(60);

pub struct Engine<'a> {
    workflow: &'a Workflow,
    defaults: &'a Defaults,
    settings: &'a Settings,
    common: &'a Common,
    runner: &'a mut dyn Runner,
    emit: &'a mut dyn FnMut(Event),
    results: Results,
    path: Vec<Ix>,
    first_failure: Option<Ix>,
    /// The first signal; nothing new starts any more.
    stopped: Option<i32>,
    level: Level,
    jobs: u64,
    run_outcome: &'static str,
}

/// The numbers of a task, which may come from results.
struct Numbers {
    timeout: Duration,
    retries: u32,
    delay: Delay,
    retry_on: RetryOn,
    iterations: u32,
    sleep: Duration,
    stdout_split: Option<Split>,
    stderr_split: Option<Split>,
}

impl<'a> Engine<'a> {
    pub fn new(
        workflow: &'a Workflow,
        defaults: &'a Defaults,
        settings: &'a Settings,
        common: &'a Common,
        runner: &'a mut dyn Runner,
        emit: &'a mut dyn FnMut(Event),
    ) -> Engine<'a> {
        Engine {
            workflow,
            defaults,
            settings,
            common,
            runner,
            emit,
            results: Results::new(workflow.tasks.len()),
            path: Vec::new(),
            first_failure: None,
            stopped: None,
            level: Level::None,
            jobs: 0,
            run_outcome: "",
        }
    }

    /// Walks to the end, then runs the final tasks.
    pub fn run(mut self) -> RunEnd {
        let (exit, last) = self.walk();
        let signal = self.stopped;
        let exit = self.finals(exit);
        RunEnd {
            exit,
            last,
            counts: self.results.counts(),
            path: self.path,
            first_failure: self.first_failure,
            signal,
            took: self.runner.now(),
            results: self.results,
        }
    }

    /// The main line; the exit code and the task it ended at.
    fn walk(&mut self) -> (i32, Ix) {
        let mut at = Position::at(self.settings.start);
        let mut course = Course {
            in_handlers: self.workflow.is_handler(at.task),
            ..Course::default()
        };
        let mut steps = 0;
        loop {
            self.look_for_signals();
            if let Some(signal) = self.stopped {
                return (exit::SIGNAL + signal, at.task);
            }
            if at == Position::at(at.task) {
                steps += 1;
                if steps > self.settings.max_steps {
                    let text = format!(
                        "stopped after {}, as --max-steps says",
                        Count(self.settings.max_steps as usize, "task")
                    );
                    self.warn("", &text);
                    return (exit::MAX_STEPS, at.task);
                }
            }
            let (seen, delay, sleep) = self.step(at);
            if let Some(signal) = self.stopped {
                return (exit::SIGNAL + signal, at.task);
            }
            let decision = flow::decide(self.workflow, self.settings.policy, course, at, &seen);
            course = decision.course;
            self.note_failure(at.task, &seen, &decision.step);
            self.tell_route(at.task, &decision.step, &decision.why);
            match decision.step {
                Step::End(code) => return (code, at.task),
                Step::Retry => {
                    self.pause_before_retry(at, &seen, delay);
                    at.attempt += 1;
                }
                Step::Iterate => {
                    self.sleep(at, sleep);
                    at.iteration += 1;
                }
                Step::Go(to) => {
                    if seen.outcome != Outcome::Skipped {
                        self.sleep(at, sleep);
                    }
                    at = Position::at(to);
                }
            }
        }
    }

    /// Runs the task once and evaluates what the flow must know of it.
    fn step(&mut self, at: Position) -> (Seen, Delay, Duration) {
        let task = &self.workflow.tasks[at.task];
        let own = self.own(at);
        if at == Position::at(at.task) && !self.is_wanted(task, &own) {
            return (
                self.skip(at, &own),
                Delay {
                    first: Duration::ZERO,
                    last: None,
                },
                Duration::ZERO,
            );
        }
        if self.path.last() != Some(&at.task) || at == Position::at(at.task) {
            self.path.push(at.task);
        }
        let numbers = self.numbers(task, &own);
        let (result, numbers) = match numbers {
            Ok(numbers) => (self.perform(at, task, &own, &numbers), numbers),
            Err(reason) => (self.unstarted(task, &own, reason), Numbers::none()),
        };
        let seen = self.judge(at, task, &own, result, &numbers);
        (seen, numbers.delay, numbers.sleep)
    }

    /// Does what the task's kind asks for; success is not judged yet.
    fn perform(&mut self, at: Position, task: &Task, own: &Own, numbers: &Numbers) -> TaskResult {
        match &task.kind {
            Kind::Command(command) => self.command(at.task, task, command, own, numbers),
            Kind::Decision | Kind::Bare => TaskResult::without_process(Outcome::Ok, 0, at.attempt),
            Kind::Parallel(_) | Kind::Conditional(_) => {
                TaskResult::without_process(Outcome::Ok, 0, at.attempt)
            }
        }
    }

    fn command(
        &mut self,
        ix: Ix,
        task: &Task,
        command: &Command,
        own: &Own,
        numbers: &Numbers,
    ) -> TaskResult {
        let prepared = self.look(own, |view| {
            job::prepare(
                command,
                &self.workflow.recipes[ix],
                self.defaults,
                self.common,
                view,
                numbers.timeout,
            )
        });
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(reason) => return self.unstarted(task, own, reason),
        };
        let title = self.title(task, own);
        let about = About {
            label: &own.task,
            title: &title,
            host: &own.hostname,
        };
        (self.emit)(Event::Started {
            about,
            exec: prepared.exec.name(),
            command: &prepared.shown,
            timeout: numbers.timeout,
        });
        let number = self.next_job();
        self.runner.start(super::runner::Job {
            number,
            ..prepared.job
        });
        let finished = self.await_job(number, own);
        let mut result = self.result_of(finished, own, prepared.shown);
        result.attempts = own.attempt;
        self.split(&mut result, own, numbers);
        result
    }

    fn next_job(&mut self) -> u64 {
        self.jobs += 1;
        self.jobs
    }

    /// Waits for the one job that runs; signals are taken in meanwhile.
    fn await_job(&mut self, number: u64, own: &Own) -> Finished {
        loop {
            match self.runner.wait(None) {
                Wake::Done(done, finished) if done == number => return *finished,
                Wake::Done(..) | Wake::Time => {}
                Wake::Interrupt { signal, level } => {
                    self.interrupted(signal, level, &[running(own)])
                }
            }
        }
    }

    /// The result of a finished command, before its success is judged.
    fn result_of(&mut self, finished: Finished, own: &Own, command: String) -> TaskResult {
        for warning in &finished.warnings {
            self.warn(&own.task, warning);
        }
        let (exit, outcome) = match finished.ending {
            Ending::Exited(code) | Ending::Unstarted(code) => (code, Outcome::Failed),
            Ending::Signaled(signal) => (exit::SIGNAL + signal, Outcome::Failed),
            Ending::TimedOut => (exit::TIMEOUT, Outcome::Timeout),
            Ending::Cancelled => (exit::SIGNAL + super::sys::SIGTERM, Outcome::Cancelled),
        };
        let cause = match (outcome, self.stopped) {
            (Outcome::Cancelled, Some(signal)) => {
                format!("tasker got {}", super::interrupt::signal_name(signal))
            }
            _ => String::new(),
        };
        TaskResult {
            exit,
            stdout: finished.stdout,
            stderr: finished.stderr,
            hostname: own.hostname.clone(),
            command,
            took: finished.took,
            cpu: finished.cpu,
            peak_kib: finished.peak_kib,
            cause,
            ..TaskResult::without_process(outcome, exit, own.attempt)
        }
    }

    /// Keeps one field of the outputs (SPEC §2.3).
    fn split(&mut self, result: &mut TaskResult, own: &Own, numbers: &Numbers) {
        for (split, stream, name) in [
            (&numbers.stdout_split, &mut result.stdout, "stdout"),
            (&numbers.stderr_split, &mut result.stderr, "stderr"),
        ] {
            let Some(split) = split else { continue };
            let field = split.field(&stream.trimmed()).map(<[u8]>::to_vec);
            match field {
                Some(field) => *stream = super::capture::Captured::text(field),
                None => {
                    let text = format!(
                        "{name}_split: there is no field {}; the output stays whole",
                        split.index
                    );
                    (self.emit)(Event::Warning {
                        label: &own.task,
                        text: &text,
                    });
                }
            }
        }
    }

    /// Decides success and verdict, records the result and tells it.
    fn judge(
        &mut self,
        at: Position,
        task: &Task,
        own: &Own,
        mut result: TaskResult,
        numbers: &Numbers,
    ) -> Seen {
        let cancelled = result.outcome == Outcome::Cancelled;
        result.success = !cancelled && self.success(task, own, &mut result);
        if result.success {
            result.outcome = Outcome::Ok;
        } else if result.outcome == Outcome::Ok {
            result.outcome = Outcome::Failed;
        }
        if matches!(task.kind, Kind::Decision) {
            result.exit = i32::from(!result.success);
        }
        self.results.set(at.task, result);
        let verdict = !cancelled && self.verdict(at.task, task, own);
        let loop_break = !cancelled
            && task
                .repeat
                .as_ref()
                .and_then(|r| r.until.as_ref())
                .is_some_and(|e| self.holds(e, own, Some(at.task)));
        if let Some(result) = self
            .results
            .get_mut(at.task)
            .filter(|r| !verdict && r.outcome == Outcome::Ok)
        {
            // It exited 0, but what it was to show did not hold (SPEC §3.3).
            result.outcome = Outcome::Failed;
        }
        let returns = task
            .routing
            .return_
            .as_ref()
            .map(|code| self.look(own, |view| code.get(view)));
        let title = self.title(task, own);
        let (outcome, exit, success) = match self.results.get(at.task) {
            Some(result) => {
                let about = About {
                    label: &own.task,
                    title: &title,
                    host: &own.hostname,
                };
                (self.emit)(Event::Finished { about, result });
                (result.outcome, result.exit, result.success)
            }
            None => (Outcome::Unknown, -1, false),
        };
        Seen {
            outcome,
            exit,
            success,
            verdict,
            iterations: numbers.iterations,
            loop_break,
            retries: numbers.retries,
            retry_on: numbers.retry_on.clone(),
            returns,
        }
    }

    /// `success=` or `failure=`, else exit code 0.
    fn success(&mut self, task: &Task, own: &Own, result: &mut TaskResult) -> bool {
        result.success = result.exit == 0;
        match &task.success {
            None => result.success,
            Some(criterion) => {
                let holds = self.look_at(own, Some(result), |view| criterion.expr.eval(view));
                holds != criterion.negated
            }
        }
    }

    fn verdict(&mut self, ix: Ix, task: &Task, own: &Own) -> bool {
        match &task.routing.next {
            Next::Always => true,
            Next::When(expr) => self.holds(expr, own, Some(ix)),
            _ => self.results.get(ix).is_some_and(|r| r.success),
        }
    }

    /// A task that fails before it starts (126).
    fn unstarted(&mut self, task: &Task, own: &Own, reason: String) -> TaskResult {
        self.warn(
            &own.task,
            &format!("task {} was not started: {reason}", task.id),
        );
        TaskResult {
            stderr: super::capture::Captured::text(format!("{reason}\n")),
            hostname: own.hostname.clone(),
            ..TaskResult::without_process(Outcome::Failed, exit::NOT_EXECUTABLE, own.attempt)
        }
    }

    fn is_wanted(&mut self, task: &Task, own: &Own) -> bool {
        task.condition
            .as_ref()
            .is_none_or(|e| self.holds(e, own, None))
    }

    fn skip(&mut self, at: Position, own: &Own) -> Seen {
        let task = &self.workflow.tasks[at.task];
        let title = self.title(task, own);
        self.results.set(
            at.task,
            TaskResult {
                hostname: own.hostname.clone(),
                ..TaskResult::without_process(Outcome::Skipped, -1, 0)
            },
        );
        (self.emit)(Event::Skipped {
            about: About {
                label: &own.task,
                title: &title,
                host: &own.hostname,
            },
        });
        Seen {
            outcome: Outcome::Skipped,
            ..Seen::nothing()
        }
    }

    // The final tasks.

    /// Runs the final tasks (SPEC §3.7); the run's exit code after them.
    fn finals(&mut self, exit: i32) -> i32 {
        if self.path.is_empty() || self.workflow.finals().next().is_none() {
            return exit;
        }
        if self.level == Level::Kill {
            self.leave_out_finals(self.workflow.finals().collect());
            return exit;
        }
        self.run_outcome = match (self.stopped, exit) {
            (Some(_), _) => "interrupted",
            (None, exit::OK) => "ok",
            _ => "failed",
        };
        if self.stopped.take().is_some() {
            self.runner.rearm();
        }
        (self.emit)(Event::Finals);
        let mut code = exit;
        let finals: Vec<Ix> = self.workflow.finals().collect();
        for (done, ix) in finals.iter().enumerate() {
            let failed = self.final_task(*ix);
            if code == exit::OK {
                code = failed.unwrap_or(exit::OK);
            }
            if self.stopped.is_some() {
                self.leave_out_finals(finals[done + 1..].to_vec());
                break;
            }
        }
        code
    }

    /// Runs one final task with its retries; its code when it failed.
    fn final_task(&mut self, ix: Ix) -> Option<i32> {
        let mut at = Position::at(ix);
        loop {
            let (seen, delay, sleep) = self.step(at);
            if self.stopped.is_some() {
                return Some(flow::failure_code(&self.workflow.tasks[ix], &seen));
            }
            let (choice, _) = flow::choose(&self.workflow.tasks[ix], at, &seen);
            match choice {
                Choice::Retry => {
                    self.pause_before_retry(at, &seen, delay);
                    at.attempt += 1;
                }
                Choice::FallThrough => {
                    self.sleep(at, sleep);
                    return None;
                }
                _ => {
                    self.first_failure.get_or_insert(ix);
                    return Some(flow::failure_code(&self.workflow.tasks[ix], &seen));
                }
            }
        }
    }

    fn leave_out_finals(&mut self, left: Vec<Ix>) {
        if !left.is_empty() {
            let ids: Vec<String> = left
                .iter()
                .map(|ix| self.workflow.tasks[*ix].id.to_string())
                .collect();
            self.warn(
                "",
                &format!(
                    "A SECOND SIGNAL: these final tasks did NOT run: {}",
                    ids.join(", ")
                ),
            );
        }
    }

    // Waiting.

    /// Takes in signals that have arrived, without waiting.
    fn look_for_signals(&mut self) {
        let now = self.runner.now();
        while let Wake::Interrupt { signal, level } = self.runner.wait(Some(now)) {
            self.interrupted(signal, level, &[]);
        }
    }

    fn interrupted(&mut self, signal: i32, level: Level, running: &[String]) {
        self.stopped.get_or_insert(signal);
        self.level = level;
        (self.emit)(Event::Interrupted {
            signal,
            level,
            running,
        });
    }

    /// Waits until the time or the first signal.
    fn wait_until(&mut self, until: Time) {
        while self.stopped.is_none() {
            match self.runner.wait(Some(until)) {
                Wake::Time => return,
                Wake::Interrupt { signal, level } => self.interrupted(signal, level, &[]),
                Wake::Done(..) => {}
            }
        }
    }

    fn sleep(&mut self, at: Position, time: Duration) {
        if time > Duration::ZERO {
            let own = self.own(at);
            let title = self.title(&self.workflow.tasks[at.task], &own);
            (self.emit)(Event::Sleep {
                about: About {
                    label: &own.task,
                    title: &title,
                    host: &own.hostname,
                },
                time,
            });
            self.wait_until(self.runner.now() + time);
        }
    }

    fn pause_before_retry(&mut self, at: Position, seen: &Seen, delay: Delay) {
        let delay = retry_delay(delay, at.attempt);
        let own = self.own(at);
        let title = self.title(&self.workflow.tasks[at.task], &own);
        let about = About {
            label: &own.task,
            title: &title,
            host: &own.hostname,
        };
        (self.emit)(Event::Retry {
            about,
            attempt: at.attempt,
            of: seen.retries,
            delay,
        });
        self.wait_until(self.runner.now() + delay);
    }

    // Values and words.

    /// The task's own values at this position.
    fn own(&self, at: Position) -> Own {
        let task = &self.workflow.tasks[at.task];
        let label = match task.routing.next {
            Next::Loop => format!("{}.{}", task.id, at.iteration),
            _ => task.id.to_string(),
        };
        let mut own = Own {
            task: label,
            hostname: String::new(),
            iteration: at.iteration,
            attempt: at.attempt,
        };
        if let Kind::Command(command) = &task.kind {
            // A bad host is told when the job is prepared.
            own.hostname = self
                .quiet_look(&own, |view| job::host_of(command, view))
                .unwrap_or_default();
        }
        own
    }

    fn title(&self, task: &Task, own: &Own) -> String {
        self.quiet_look(own, |view| task.title.shown(Some(view)))
    }

    fn view<'v>(&'v self, own: &'v Own, result: Option<&'v TaskResult>) -> View<'v> {
        View {
            workflow: self.workflow,
            results: &self.results,
            own,
            run_outcome: self.run_outcome,
            result,
            doubts: RefCell::default(),
            trace: self.settings.debug.then(RefCell::default),
        }
    }

    /// Evaluates something and tells the doubts that came up.
    fn look<T>(&mut self, own: &Own, see: impl FnOnce(&View) -> T) -> T {
        self.look_at(own, None, see)
    }

    fn look_at<T>(
        &mut self,
        own: &Own,
        result: Option<&TaskResult>,
        see: impl FnOnce(&View) -> T,
    ) -> T {
        let view = self.view(own, result);
        let value = see(&view);
        let (doubts, trace) = (
            view.doubts.take(),
            view.trace.map(RefCell::into_inner).unwrap_or_default(),
        );
        for text in doubts {
            (self.emit)(Event::Warning {
                label: &own.task,
                text: &text,
            });
        }
        for text in trace {
            (self.emit)(Event::Debug {
                label: &own.task,
                text: &text,
            });
        }
        value
    }

    /// The same for what is evaluated more than once, without telling.
    fn quiet_look<T>(&self, own: &Own, see: impl FnOnce(&View) -> T) -> T {
        see(&self.view(own, None))
    }

    /// Whether the condition holds, about the result of task `about`.
    fn holds(&mut self, expr: &Expr, own: &Own, about: Option<Ix>) -> bool {
        let result = about.and_then(|ix| self.results.get(ix)).cloned();
        self.look_at(own, result.as_ref(), |view| expr.eval(view))
    }

    fn numbers(&mut self, task: &Task, own: &Own) -> Result<Numbers, String> {
        let command = task.command();
        let default = match task.finally {
            true => FINAL_TIMEOUT,
            false => self.defaults.timeout,
        };
        self.look(own, |view| {
            if let (Some(command), Kind::Command(_)) = (command, &task.kind) {
                job::host_of(command, view)?;
            }
            let split = |s: Option<&crate::task::Late<Split>>| s.map(|s| s.get(view)).transpose();
            Ok(Numbers {
                timeout: match command.and_then(|c| c.timeout.as_ref()) {
                    Some(timeout) => timeout.get(view)?,
                    None => default,
                },
                retries: task.retry.count.get(view)?,
                delay: task.retry.delay.get(view)?,
                retry_on: task.retry.on.get(view)?,
                iterations: task.repeat.as_ref().map_or(Ok(0), |r| r.count.get(view))?,
                sleep: task
                    .sleep
                    .as_ref()
                    .map_or(Ok(Duration::ZERO), |s| s.get(view))?,
                stdout_split: split(command.and_then(|c| c.stdout_split.as_ref()))?,
                stderr_split: split(command.and_then(|c| c.stderr_split.as_ref()))?,
            })
        })
    }

    // Telling.

    fn warn(&mut self, label: &str, text: &str) {
        (self.emit)(Event::Warning { label, text });
    }

    fn note_failure(&mut self, task: Ix, seen: &Seen, step: &Step) {
        let over = !matches!(step, Step::Retry | Step::Iterate);
        if over && !seen.verdict && seen.outcome.is_failure() {
            self.first_failure.get_or_insert(task);
        }
    }

    fn tell_route(&mut self, from: Ix, step: &Step, why: &str) {
        let id = |ix: Ix| self.workflow.tasks[ix].id;
        let to = match step {
            Step::Go(to) => Ok(id(*to)),
            Step::End(code) => Err(*code),
            Step::Retry | Step::Iterate => return,
        };
        (self.emit)(Event::Routed {
            from: id(from),
            to,
            why,
        });
    }
}

impl Numbers {
    fn none() -> Numbers {
        Numbers {
            timeout: Duration::ZERO,
            retries: 0,
            delay: Delay {
                first: Duration::ZERO,
                last: None,
            },
            retry_on: RetryOn::default(),
            iterations: 0,
            sleep: Duration::ZERO,
            stdout_split: None,
            stderr_split: None,
        }
    }
}

impl Seen {
    fn nothing() -> Seen {
        Seen {
            outcome: Outcome::Unknown,
            exit: -1,
            success: false,
            verdict: false,
            iterations: 0,
            loop_break: false,
            retries: 0,
            retry_on: RetryOn::default(),
            returns: None,
        }
    }
}

fn running(own: &Own) -> String {
    match own.hostname.is_empty() {
        true => format!("task {}", own.task),
        false => format!("task {} on {}", own.task, own.hostname),
    }
}

/// The wait before the next attempt; a range doubles, give or take a fifth.
fn retry_delay(delay: Delay, attempt: u32) -> Duration {
    let Some(last) = delay.last else {
        return delay.first;
    };
    let doubled = delay
        .first
        .saturating_mul(1 << (attempt - 1).min(20))
        .min(last);
    use std::hash::{BuildHasher, Hasher};
    let random = std::hash::RandomState::new().build_hasher().finish() % 401;
    doubled.mul_f64((800 + random) as f64 / 1000.0).min(last)
}
