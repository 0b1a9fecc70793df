//! The walk: from task to task as the flow says, until the run ends.
//!
//! One thread, one owner of every result. It asks `plan::flow` where to go, has
//! commands run by a `Runner`, and tells what happens as events.
#![forbid(unsafe_code)]

use super::deadline::{Deadline, Window};
use super::evaluation::{Evaluation, TaskContext};
use super::event::{About, Event};
use super::interrupt::{Level, signal_name};
use super::job::JobEnvironment;
use super::journal::Journal;
use super::restore::{Memory, is_stop};
use super::result::{Results, TaskResult};
use super::runner::{Runner, Time, Wake};
use super::step::Stepped;
use crate::exit;
use crate::outcome::{Counts, Outcome};
use crate::plan::flow::{self, Choice, FlowInput, FlowState, Policy, Position, Step};
use crate::plan::recipe::Defaults;
use crate::plan::workflow::Workflow;
use crate::task::nodeset::HostFilter;
use crate::task::values::Delay;
use crate::task::{Ix, Task};
use crate::text::condition::Expr;
use crate::text::diagnostic::Plural;
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
    /// `--limit` and `--exclude`, for every block over hosts.
    pub selection: HostFilter,
    pub deadline: Option<Deadline>,
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
    /// Why the flow ended where it did.
    pub why: String,
    pub took: Duration,
    /// The flow reached its end or a `return`.
    pub complete: bool,
    pub journal: Option<Journal>,
    /// Why the journal cannot be of this run; nothing was run then.
    pub diverged: Option<String>,
}

pub struct Engine<'a> {
    pub(super) workflow: &'a Workflow,
    pub(super) defaults: &'a Defaults,
    pub(super) settings: &'a Settings,
    pub(super) common: &'a JobEnvironment,
    pub(super) runner: &'a mut dyn Runner,
    emit: &'a mut dyn FnMut(Event),
    pub(super) results: Results,
    path: Vec<Ix>,
    first_failure: Option<Ix>,
    /// The first signal; nothing new starts any more.
    pub(super) stopped: Option<i32>,
    level: Level,
    /// The signal that ends the run.
    signal: Option<i32>,
    pub(super) why: String,
    /// The deadline of the parallel block that runs, for all that it owns.
    pub(super) deadline: Option<Time>,
    jobs: u64,
    run_outcome: &'static str,
    pub(super) memory: Memory,
    /// The flow reached its end or a `return`.
    pub(super) complete: bool,
    pub(super) window: Window,
}

impl<'a> Engine<'a> {
    pub fn new(
        workflow: &'a Workflow,
        defaults: &'a Defaults,
        settings: &'a Settings,
        common: &'a JobEnvironment,
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
            signal: None,
            why: String::new(),
            deadline: None,
            jobs: 0,
            run_outcome: "",
            memory: Memory::default(),
            complete: false,
            window: Window::default(),
        }
    }

    /// Walks to the end, then runs the final tasks.
    pub fn run(mut self) -> RunEnd {
        let (exit, last) = self.walk(self.settings.start);
        let exit = self.after_deadline(exit);
        self.signal = self.stopped;
        self.record_flow(exit, self.complete, last);
        let exit = self.finals(exit);
        self.record_over(exit);
        RunEnd {
            exit,
            last,
            counts: self.results.counts(),
            path: self.path,
            first_failure: self.first_failure,
            signal: self.signal,
            why: self.why,
            took: self.runner.now(),
            results: self.results,
            complete: self.complete,
            journal: self.memory.journal,
            diverged: self.memory.diverged,
        }
    }

    /// The main line from a task on; the exit code and the task it ended at.
    pub(super) fn walk(&mut self, start: Ix) -> (i32, Ix) {
        let mut at = Position::at(start);
        let mut course = FlowState {
            in_handlers: self.workflow.is_handler(at.task),
            ..FlowState::default()
        };
        let mut steps = 0;
        loop {
            self.look_for_signals();
            if let Some(signal) = self.stopped {
                return (exit::SIGNAL + signal, at.task);
            }
            if let Some(code) = self.end_of_memory() {
                return (code, at.task);
            }
            if at == Position::at(at.task) && !self.is_restoring() {
                steps += 1;
                if steps > self.settings.max_steps {
                    let most = Plural(self.settings.max_steps as usize, "task");
                    self.why = format!("stopped after {most}, as --max-steps says");
                    self.warn("", &self.why.clone());
                    return (exit::MAX_STEPS, at.task);
                }
            }
            let turn = self.turn() + 1;
            let stepped = self.step(at, None);
            self.memory.redo = false;
            if at == Position::at(at.task) && stepped.seen.outcome != Outcome::Skipped {
                self.path.push(at.task);
            }
            if let Some(signal) = self.stopped {
                return (exit::SIGNAL + signal, at.task);
            }
            self.look_at_the_clock(at, &stepped);
            if self.is_blocked() {
                continue;
            }
            let decision = self.decide(course, at, &stepped);
            if self.stopped_here(turn, &decision) {
                at = self.again(at);
                continue;
            }
            course = decision.course;
            self.note_failure(at.task, &stepped.seen, &decision);
            self.tell_route(at.task, &decision.step, &decision.why);
            match decision.step {
                Step::End(code) => {
                    self.complete = !is_stop(&decision);
                    self.why = decision.why.into_owned();
                    return (code, at.task);
                }
                Step::Retry => at = self.next_attempt(at, &stepped),
                Step::Iterate => at = self.next_iteration(at, &stepped),
                Step::Go(to) => {
                    self.sleep(at, &stepped);
                    at = Position::at(to);
                }
            }
        }
    }

    /// The exit code where the walk is over for its journal: it cannot be
    /// written, or only the final tasks are wanted.
    fn end_of_memory(&mut self) -> Option<i32> {
        if self.is_blocked() {
            self.why = self.block_cause();
            return Some(self.blocked_exit());
        }
        self.is_at_the_end().then(|| {
            self.why = "only the final tasks were wanted".into();
            self.restore_the_rest();
            exit::OK
        })
    }

    /// A failure when the time is over is the deadline's: what had no timeout of
    /// its own was ended by it, and nothing that handles the failure would fit.
    fn look_at_the_clock(&mut self, at: Position, stepped: &Stepped) {
        let over = self.time_left().is_some_and(|left| left.is_zero());
        if over && !stepped.seen.verdict && stepped.seen.outcome.is_failure() {
            let id = self.workflow.tasks[at.task].id;
            let cause = format!("no time was left when task {id} had failed");
            self.miss("", cause);
        }
    }

    /// Where a resumed run does the task again that had stopped it.
    fn again(&mut self, at: Position) -> Position {
        self.memory.redo = self.workflow.tasks[at.task].is_block();
        if self.path.last() == Some(&at.task) && at.iteration == 1 {
            self.path.pop();
        }
        Position { attempt: 1, ..at }
    }

    /// Where the flow goes: as the task says, or as a branch task said that left
    /// its conditional block.
    fn decide(&self, course: FlowState, at: Position, stepped: &Stepped) -> flow::Decision {
        let policy = self.settings.policy;
        match &stepped.left {
            None => flow::decide(self.workflow, policy, course, at, &stepped.seen),
            Some((choice, why)) => {
                let failure = flow::failure_code(&self.workflow.tasks[at.task], &stepped.seen);
                flow::follow(
                    self.workflow,
                    policy,
                    course,
                    at.task,
                    choice.clone(),
                    why.clone(),
                    failure,
                )
            }
        }
    }

    pub(super) fn next_attempt(&mut self, at: Position, stepped: &Stepped) -> Position {
        let context = self.context(at);
        if let Some(cause) = stepped.misfit.clone().filter(|_| !self.is_restoring()) {
            self.miss(&context.label, cause);
            return at;
        }
        let delay = retry_delay(stepped.delay, at.attempt);
        let task = &self.workflow.tasks[at.task];
        self.tell(task, &context, |about| Event::Retry {
            about,
            attempt: at.attempt,
            of: stepped.seen.retries,
            delay,
        });
        self.wait_until(self.runner.now() + delay);
        Position {
            attempt: at.attempt + 1,
            ..at
        }
    }

    pub(super) fn next_iteration(&mut self, at: Position, stepped: &Stepped) -> Position {
        self.sleep(at, stepped);
        Position {
            iteration: at.iteration + 1,
            ..at
        }
    }

    /// The pause that the task asks for; not after one that was skipped.
    pub(super) fn sleep(&mut self, at: Position, stepped: &Stepped) {
        if stepped.sleep == Duration::ZERO || stepped.seen.outcome == Outcome::Skipped {
            return;
        }
        let context = self.context(at);
        let task = &self.workflow.tasks[at.task];
        self.tell(task, &context, |about| Event::Sleep {
            about,
            time: stepped.sleep,
        });
        self.wait_until(self.runner.now() + stepped.sleep);
    }

    // The final tasks.

    /// Runs the final tasks (SPEC §3.7); the run's exit code after them.
    fn finals(&mut self, exit: i32) -> i32 {
        let finals: Vec<Ix> = self.workflow.finals().collect();
        let begun = !self.path.is_empty() || self.memory.finish_only;
        if !begun || finals.is_empty() || self.memory.diverged.is_some() {
            return exit;
        }
        if self.level == Level::Kill {
            self.leave_out_finals(&finals);
            return exit;
        }
        self.run_outcome = match (self.stopped, exit) {
            _ if self.memory.finish_only && !self.complete => "interrupted",
            (Some(_), _) => "interrupted",
            (None, exit::OK) => "ok",
            (None, exit::DEADLINE) if self.missed().is_some() => "deadline",
            _ => "failed",
        };
        let mut warned = self.stopped.take().is_some();
        self.runner.rearm(!warned);
        self.memory.in_finals = true;
        self.emit(Event::Finals);
        let mut code = exit;
        for (done, ix) in finals.iter().enumerate() {
            let (choice, seen) = self.run_owned(*ix);
            if !matches!(choice, Choice::FallThrough) {
                self.note_first_failure(*ix);
                if code == exit::OK && !self.settings.policy.forgive {
                    code = flow::failure_code(&self.workflow.tasks[*ix], &seen);
                }
            }
            let Some(signal) = self.stopped else { continue };
            if std::mem::replace(&mut warned, true) {
                self.leave_out_finals(&finals[done + 1..]);
                break;
            }
            // The first signal of the run: it ends after all final tasks.
            code = exit::SIGNAL + signal;
            self.signal = Some(signal);
            self.stopped = None;
            self.runner.rearm(false);
        }
        code
    }

    /// Runs a task that does not route, with its retries: what it chose last.
    pub(super) fn run_owned(&mut self, ix: Ix) -> (Choice, FlowInput) {
        let mut at = Position::at(ix);
        loop {
            let stepped = self.step(at, None);
            let (choice, _) = flow::choose(&self.workflow.tasks[ix], at, &stepped.seen);
            if self.stopped.is_some() || choice != Choice::Retry {
                self.sleep(at, &stepped);
                return (choice, stepped.seen);
            }
            at = self.next_attempt(at, &stepped);
            if self.stopped.is_some() || self.is_late() || self.is_blocked() {
                return (choice, stepped.seen);
            }
        }
    }

    fn leave_out_finals(&mut self, left: &[Ix]) {
        if !left.is_empty() {
            self.memory.finals_left = true;
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

    pub(super) fn next_job(&mut self) -> u64 {
        self.jobs += 1;
        self.jobs
    }

    /// Waits for what concerns the flow; what only concerns its watchers is told.
    pub(super) fn wait(&mut self, until: Option<Time>) -> Wake {
        loop {
            match self.runner.wait(until) {
                Wake::Beat => self.emit(Event::Beat),
                Wake::Asked => self.emit(Event::Asked),
                wake => return wake,
            }
        }
    }

    /// Takes in signals that have arrived, without waiting.
    fn look_for_signals(&mut self) {
        let now = self.runner.now();
        while let Wake::Interrupt { signal, level } = self.wait(Some(now)) {
            self.interrupted(signal, level, &[]);
        }
    }

    pub(super) fn interrupted(&mut self, signal: i32, level: Level, running: &[String]) {
        self.stopped.get_or_insert(signal);
        self.level = level;
        (self.emit)(Event::Interrupted {
            signal,
            level,
            running,
        });
    }

    /// Why nothing starts any more, where a signal says so.
    pub(super) fn stop_cause(&self) -> String {
        self.stopped.map_or(String::new(), |signal| {
            format!("tasker got {}", signal_name(signal))
        })
    }

    pub(super) fn is_late(&self) -> bool {
        self.deadline.is_some_and(|d| self.runner.now() >= d)
    }

    /// Waits until the time, the block's deadline or the first signal.
    pub(super) fn wait_until(&mut self, until: Time) {
        if self.is_restoring() {
            return;
        }
        let until = self.deadline.map_or(until, |d| d.min(until));
        let until = self.limit().map_or(until, |limit| limit.min(until));
        while self.stopped.is_none() {
            match self.wait(Some(until)) {
                Wake::Time => return,
                Wake::Interrupt { signal, level } => self.interrupted(signal, level, &[]),
                _ => {}
            }
        }
    }

    // Values and words.

    fn view<'v>(
        &'v self,
        context: &'v TaskContext,
        result: Option<&'v TaskResult>,
    ) -> Evaluation<'v> {
        Evaluation {
            workflow: self.workflow,
            results: &self.results,
            context,
            mask: &self.common.mask,
            run_outcome: self.run_outcome,
            result,
            doubts: RefCell::default(),
            trace: self.settings.debug.then(RefCell::default),
        }
    }

    /// Evaluates something and tells the doubts that came up.
    pub(super) fn look<T>(
        &mut self,
        context: &TaskContext,
        see: impl FnOnce(&Evaluation) -> T,
    ) -> T {
        self.look_at(context, None, see)
    }

    /// The same about a result that is not recorded yet.
    pub(super) fn look_at<T>(
        &mut self,
        context: &TaskContext,
        result: Option<&TaskResult>,
        see: impl FnOnce(&Evaluation) -> T,
    ) -> T {
        let view = self.view(context, result);
        let value = see(&view);
        let (doubts, trace) = view.observed();
        self.tell_observed(context, doubts, trace);
        value
    }

    /// Whether the condition holds, about the recorded result of task `about`.
    pub(super) fn holds(&mut self, expr: &Expr, context: &TaskContext, about: Option<Ix>) -> bool {
        let view = self.view(context, about.and_then(|ix| self.results.get(ix)));
        let holds = expr.eval(&view);
        let (doubts, trace) = view.observed();
        self.tell_observed(context, doubts, trace);
        holds
    }

    fn tell_observed(&mut self, context: &TaskContext, doubts: Vec<String>, trace: Vec<String>) {
        for text in doubts {
            self.emit(Event::Warning {
                label: &context.label,
                text: &text,
            });
        }
        for text in trace {
            self.emit(Event::Debug {
                label: &context.label,
                text: &text,
            });
        }
    }

    /// The same for what is evaluated more than once, without telling.
    pub(super) fn quiet_look<T>(
        &self,
        context: &TaskContext,
        see: impl FnOnce(&Evaluation) -> T,
    ) -> T {
        see(&self.view(context, None))
    }

    // Telling.

    pub(super) fn emit(&mut self, event: Event) {
        if !self.memory.muted {
            (self.emit)(event);
        }
    }

    pub(super) fn warn(&mut self, label: &str, text: &str) {
        self.emit(Event::Warning { label, text });
    }

    /// Emits an event about a task.
    pub(super) fn tell(
        &mut self,
        task: &Task,
        context: &TaskContext,
        event: impl for<'e> FnOnce(About<'e>) -> Event<'e>,
    ) {
        let title = self.title(task, context);
        let about = context.about(&title);
        self.emit(event(about));
    }

    pub(super) fn note_first_failure(&mut self, task: Ix) {
        self.first_failure.get_or_insert(task);
    }

    fn note_failure(&mut self, task: Ix, seen: &FlowInput, decision: &flow::Decision) {
        let over = !matches!(decision.step, Step::Retry | Step::Iterate);
        let failed = !seen.verdict && seen.outcome.is_failure();
        if decision.failure || (over && failed) {
            self.note_first_failure(task);
        }
    }

    fn tell_route(&mut self, from: Ix, step: &Step, why: &str) {
        let id = |ix: Ix| self.workflow.tasks[ix].id;
        let to = match step {
            Step::Go(to) => Ok(id(*to)),
            Step::End(code) => Err(*code),
            Step::Retry | Step::Iterate => return,
        };
        let from = id(from);
        self.emit(Event::Routed { from, to, why });
    }
}

/// The wait before the next attempt; a range doubles, give or take a fifth.
pub(super) fn retry_delay(delay: Delay, attempt: u32) -> Duration {
    use std::hash::{BuildHasher, Hasher};
    let Some(last) = delay.last else {
        return delay.first;
    };
    let doubled = delay
        .first
        .saturating_mul(1 << (attempt - 1).min(20))
        .min(last);
    let random = std::hash::RandomState::new().build_hasher().finish() % 401;
    doubled.mul_f64((800 + random) as f64 / 1000.0).min(last)
}
