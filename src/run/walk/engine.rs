//! The state of a run. One thread owns it and every result.
//!
//! It asks `plan::flow` where to go, has commands run by a `Runner`, and reports
//! what happens as events.
#![forbid(unsafe_code)]

use crate::outcome::Outcome;
use crate::plan::flow::{Policy, Position};
use crate::plan::recipe::Defaults;
use crate::plan::start::{BranchEntry, Start};
use crate::plan::workflow::Workflow;
use crate::run::deadline::Deadline;
use crate::run::evaluation::{Evaluation, EvaluationNotes, TaskContext};
use crate::run::event::{About, Event};
use crate::run::interrupt::SignalLevel;
use crate::run::job::{self, JobEnvironment};
use crate::run::journal::Journal;
use crate::run::replay::Replay;
use crate::run::result::{LatestResults, TaskResult};
use crate::run::runner::{Runner, Time};
use crate::task::nodeset::HostFilter;
use crate::task::{Ix, NextRule, Task, TaskKind};
use crate::text::condition::Expr;
use std::cell::{Cell, RefCell};

/// What the command line says about the walk.
pub struct Settings {
    pub policy: Policy,
    /// The most tasks that a run executes (SPEC §3.2).
    pub max_steps: u64,
    pub start: Start,
    /// Whether DEBUG events are wanted.
    pub debug: bool,
    /// `--limit` and `--exclude`, for every block over hosts.
    pub selection: HostFilter,
    pub deadline: Option<Deadline>,
}

pub struct Engine<'a> {
    pub(super) workflow: &'a Workflow,
    pub(super) defaults: &'a Defaults,
    pub(super) settings: &'a Settings,
    pub(super) common: &'a JobEnvironment,
    pub(super) runner: &'a mut dyn Runner,
    pub(super) emit: &'a mut dyn FnMut(Event),
    pub(super) replay: Replay,
    pub(super) results: LatestResults,
    pub(super) path: Vec<Ix>,
    /// The steps that answered a failure.
    pub(super) handlers: Vec<Ix>,
    /// The blocks that the present step is still to enter at one of their members.
    pub(super) way: &'a [BranchEntry],
    /// Each failure that was not retried, in order.
    pub(super) failures: Vec<Ix>,
    /// The task whose failure stopped the run.
    pub(super) stopped_at: Option<Ix>,
    /// The first signal; nothing new starts after it.
    pub(super) stopped: Option<i32>,
    pub(super) level: SignalLevel,
    /// The signal that ends the run.
    pub(super) signal: Option<i32>,
    /// Why the flow ended where it did.
    pub(super) why: String,
    /// When the running parallel block and all of its subtasks must end.
    pub(super) block_deadline: Option<Time>,
    /// Why the run's deadline lets nothing more start.
    pub(super) missed: Option<String>,
    /// The deadline task runs, in the time that was reserved for it.
    pub(super) in_reserve: bool,
    pub(super) in_finals: bool,
    /// That a signal left out final tasks, or ended one, and which.
    pub(super) finals_left: Option<String>,
    /// How many commands were started.
    pub(super) jobs: u64,
    pub(super) run_outcome: &'static str,
    /// The flow reached its end or a `return`.
    pub(super) complete: bool,
    /// The task with `on_resume=repeat` that failed when it ran again, and the exit code
    /// of a run that stops there.
    pub(super) repeat_failed: Option<(u32, i32)>,
    /// The result of the next step, known from an earlier walk of the flow.
    pub(super) remembered: Option<(Position, TaskResult)>,
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
            replay: Replay::default(),
            results: LatestResults::new(workflow.tasks.len()),
            path: Vec::new(),
            handlers: Vec::new(),
            way: &[],
            failures: Vec::new(),
            stopped_at: None,
            stopped: None,
            level: SignalLevel::None,
            signal: None,
            why: String::new(),
            block_deadline: None,
            missed: None,
            in_reserve: false,
            in_finals: false,
            finals_left: None,
            jobs: 0,
            run_outcome: "",
            complete: false,
            repeat_failed: None,
            remembered: None,
        }
    }

    /// Replays what the journal holds, and records the run there.
    pub fn with_journal(mut self, journal: Journal, finish_only: bool) -> Engine<'a> {
        self.replay = Replay::new(journal, finish_only);
        self
    }

    // Evaluating.

    /// The task's own values at this position.
    pub(super) fn context(&self, at: Position) -> TaskContext {
        let task = &self.workflow.tasks[at.task];
        let label = match task.routing.next {
            NextRule::Loop => format!("{}.{}", task.id, at.iteration),
            _ => task.id.to_string(),
        };
        let mut context = TaskContext {
            at,
            id: task.id,
            task: task.id.to_string(),
            label,
            hostname: String::new(),
            in_block: false,
        };
        if let TaskKind::Command(command) = &task.kind {
            // An unusable host is reported when the numbers are evaluated.
            context.hostname = self
                .evaluate_quietly(&context, |values| job::host_of(command, values))
                .unwrap_or_default();
        }
        context
    }

    /// The task that the context is about; for a host's copy its block.
    pub(super) fn task(&self, context: &TaskContext) -> &'a Task {
        &self.workflow.tasks[context.at.task]
    }

    pub(super) fn title(&self, context: &TaskContext) -> String {
        let title = &self.task(context).title;
        self.evaluate_quietly(context, |values| title.shown(Some(values)))
    }

    fn evaluation<'v>(
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
            pretended: self.common.pretended,
            warnings: RefCell::default(),
            undecided: RefCell::default(),
            unusable: RefCell::default(),
            purpose: Cell::new("a value"),
            trace: self.settings.debug.then(RefCell::default),
        }
    }

    /// Evaluates something and reports the warnings that come up.
    pub(super) fn evaluate<T>(
        &mut self,
        context: &TaskContext,
        value: impl FnOnce(&Evaluation) -> T,
    ) -> T {
        self.evaluate_about(context, None, value)
    }

    /// The same for a value that must not be made of an output that cannot be used.
    ///
    /// # Errors
    /// Why an output cannot be used, else the error of `value`.
    pub(super) fn evaluate_usable<T>(
        &mut self,
        context: &TaskContext,
        value: impl FnOnce(&Evaluation) -> Result<T, String>,
    ) -> Result<T, String> {
        self.evaluate(context, |values| values.usable(value(values)))
    }

    /// The same once the task has its result.
    pub(super) fn evaluate_after<T>(
        &mut self,
        context: &TaskContext,
        value: impl FnOnce(&Evaluation) -> T,
    ) -> T {
        self.evaluate_about(context, Some(context.at.task), value)
    }

    fn evaluate_about<T>(
        &mut self,
        context: &TaskContext,
        about: Option<Ix>,
        value: impl FnOnce(&Evaluation) -> T,
    ) -> T {
        let values = self.evaluation(context, about.and_then(|ix| self.results.get(ix)));
        let value = value(&values);
        let notes = values.into_notes();
        self.emit_notes(context, notes);
        value
    }

    /// Evaluates something that is evaluated again later, and reports nothing.
    pub(super) fn evaluate_quietly<T>(
        &self,
        context: &TaskContext,
        value: impl FnOnce(&Evaluation) -> T,
    ) -> T {
        value(&self.evaluation(context, None))
    }

    /// Whether the condition holds, about a result that is not recorded yet, or if
    /// `opposed` its opposite. Undecided counts as a no.
    pub(super) fn judges_well(
        &mut self,
        expr: &Expr,
        opposed: bool,
        context: &TaskContext,
        result: &TaskResult,
    ) -> bool {
        let values = self.evaluation(context, Some(result));
        let holds = expr.eval(&values, opposed);
        let notes = values.into_notes();
        self.emit_decision(context, holds, notes, "this counts as a failure");
        holds.is_some_and(|holds| holds != opposed)
    }

    /// Whether the condition holds, about the recorded result of the context's task.
    /// Undecided counts as a no, with a warning that says what follows from it.
    pub(super) fn holds(&mut self, expr: &Expr, context: &TaskContext, if_undecided: &str) -> bool {
        let values = self.evaluation(context, self.results.get(context.at.task));
        let holds = expr.eval(&values, false);
        let notes = values.into_notes();
        self.emit_decision(context, holds, notes, if_undecided);
        holds == Some(true)
    }

    /// Why `success=` of the context's task, which has its result, is undecided.
    pub(super) fn why_undecided(&self, context: &TaskContext) -> Option<String> {
        let criterion = self.task(context).success.as_ref()?;
        let result = self.results.get(context.at.task)?;
        if !result.is_judged() || result.lost().is_some() {
            return None;
        }
        let values = self.evaluation(context, Some(result));
        let is_undecided = criterion.expr.eval(&values, criterion.negated).is_none();
        is_undecided.then(|| values.into_notes().undecided.join("; "))
    }

    /// Whether the condition holds before the task begins.
    ///
    /// # Errors
    /// Why this is undecided.
    pub(super) fn holds_before(
        &mut self,
        expr: &Expr,
        context: &TaskContext,
    ) -> Result<bool, String> {
        let values = self.evaluation(context, None);
        let holds = expr.eval(&values, false);
        let mut notes = values.into_notes();
        if holds.is_none() {
            let why = std::mem::take(&mut notes.undecided).join("; ");
            self.emit_notes(context, notes);
            return Err(format!("in its condition {why}"));
        }
        self.emit_notes(context, notes);
        Ok(holds == Some(true))
    }

    fn emit_decision(
        &mut self,
        context: &TaskContext,
        holds: Option<bool>,
        mut notes: EvaluationNotes,
        if_undecided: &str,
    ) {
        if let (None, Some(last)) = (holds, notes.undecided.last_mut()) {
            *last = format!("{last}; {if_undecided}");
        }
        self.emit_notes(context, notes);
    }

    // Emitting.

    pub(super) fn emit(&mut self, event: Event) {
        if !self.replay.is_muted() {
            (self.emit)(event);
        }
    }

    pub(super) fn warn(&mut self, label: &str, text: &str) {
        self.emit(Event::Warning { label, text });
    }

    /// Emits an event about a task.
    pub(super) fn emit_about(
        &mut self,
        context: &TaskContext,
        event: impl for<'e> FnOnce(About<'e>) -> Event<'e>,
    ) {
        let title = self.title(context);
        let about = context.about(&title);
        self.emit(event(about));
    }

    pub(super) fn emit_result(&mut self, context: &TaskContext, result: &TaskResult) {
        let title = self.title(context);
        let about = context.about(&title);
        // A copy for a host shares the block's task, but is not a block.
        self.emit(match &self.task(context).kind {
            TaskKind::Parallel(_) if !context.in_block => Event::BlockFinished { about, result },
            _ => Event::Finished { about, result },
        });
    }

    fn emit_notes(&mut self, context: &TaskContext, notes: EvaluationNotes) {
        let label = &context.label;
        for text in notes.warnings.iter().chain(&notes.undecided) {
            self.emit(Event::Warning { label, text });
        }
        for text in &notes.trace {
            self.emit(Event::Debug { label, text });
        }
    }

    // Results.

    /// Sets the result of a task whose condition is false.
    pub(super) fn skip(&mut self, context: &TaskContext) {
        let skipped = TaskResult {
            hostname: context.hostname.clone(),
            ..TaskResult::without_process(Outcome::Skipped, -1, 0)
        };
        self.results.set(context.at.task, skipped);
        self.emit_about(context, |about| Event::Skipped { about });
    }

    pub(super) fn note_failure(&mut self, task: Ix) {
        if !self.failures.contains(&task) {
            self.failures.push(task);
        }
    }

    /// The first failure that no later visit of the task has made good.
    pub(super) fn first_lasting_failure(&self) -> Option<Ix> {
        let is_ok = |ix: &Ix| {
            let result = self.results.get(*ix);
            result.is_some_and(|r| r.outcome == Outcome::Ok)
        };
        self.failures.iter().copied().find(|ix| !is_ok(ix))
    }
}
