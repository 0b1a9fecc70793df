//! The main line: from task to task as the flow says, until the run ends.
#![forbid(unsafe_code)]

use super::engine::Engine;
use super::step::Stepped;
use crate::exit;
use crate::outcome::Outcome;
use crate::plan::flow::{self, Decision, FlowState, Position, Step};
use crate::plan::start::{self, BranchEntry};
use crate::run::event::Event;
use crate::run::record::FlowStop;
use crate::run::replay::Redo;
use crate::run::run_end::RunEnd;
use crate::task::Ix;
use crate::text::diagnostic::Plural;

impl<'a> Engine<'a> {
    /// Walks to the end, then runs the final tasks.
    pub fn run(mut self) -> RunEnd {
        let start = &self.settings.start;
        let (exit, last) = self.walk(start.first, &start.way);
        let exit = self.run_deadline_task(exit);
        self.signal = self.stopped;
        let task = self.workflow.tasks[last].id;
        self.replay.record_flow(exit, self.complete, task);
        let exit = match self.run_final_tasks(exit) {
            // What `--finish-only` closes is never a success (SPEC §3.7).
            exit::OK if self.replay.finish_only => exit::FAILURES,
            exit => exit,
        };
        if self.finals_left.is_none() {
            let kept = exit != exit::OK || !self.complete;
            self.replay.record_over(kept);
        }
        let first_failure = self.first_lasting_failure();
        let beyond_limit = self.hosts_beyond_limit();
        let (journal, diverged) = self.replay.into_parts();
        RunEnd {
            exit,
            last,
            first_failure,
            path: self.path,
            handlers: self.handlers,
            stopped_at: self.stopped_at,
            signal: self.signal,
            why: self.why,
            took: self.runner.now(),
            results: self.results,
            complete: self.complete,
            beyond_limit,
            finals_left: self.finals_left,
            journal,
            diverged,
        }
    }

    /// Follows the main line from a task to the end; the exit code and the task
    /// that the flow ended at. `way` leads on from that task to a member of it.
    fn walk(&mut self, first: Ix, way: &'a [BranchEntry]) -> (i32, Ix) {
        let mut at = self.arrive(first);
        let mut arrives = true;
        let mut state = FlowState {
            in_handlers: start::begins_in_handlers(self.workflow, first, way),
            ..FlowState::default()
        };
        let mut steps = 0;
        // What the first step enters, also where a resumed run takes it again.
        let mut entered = way;
        loop {
            self.handle_signals();
            if let Some(code) = self.end_before(arrives, &mut steps) {
                return (code, at.task);
            }
            let turn = self.replay.turn() + 1;
            self.way = entered;
            let stepped = self.step(at, None);
            self.replay.redo = Redo::Whole;
            if std::mem::take(&mut arrives) && stepped.seen.outcome != Outcome::Skipped {
                self.path.push(at.task);
                if state.in_handlers || self.workflow.is_handler(at.task) {
                    self.handlers.push(at.task);
                }
            }
            if self.stopped.is_some() {
                return (self.stop_code(), at.task);
            }
            self.check_deadline(at, &stepped);
            if self.is_blocked() {
                continue;
            }
            let decision = self.decide(state, at, &stepped);
            if self.is_where_it_stopped(turn, &decision) {
                at = self.redo(at);
                arrives = at.iteration == 1;
                continue;
            }
            entered = &[];
            state = decision.state;
            self.note_step(at.task, &stepped, &decision);
            self.emit_route(at.task, &decision);
            match decision.step {
                Step::End(code) => {
                    self.complete = !stops_run(&decision);
                    self.stopped_at = Some(at.task).filter(|_| !self.complete);
                    self.why = decision.why.into_owned();
                    return (code, at.task);
                }
                Step::Retry => at = self.next_attempt(at, &stepped),
                Step::Iterate => at = self.next_iteration(at, &stepped),
                Step::Go(to) => {
                    self.sleep(at, &stepped);
                    at = self.arrive(to);
                    arrives = true;
                }
            }
        }
    }

    /// The exit code if the walk ends before this step: for a signal, because
    /// nothing can start any more, or because enough tasks have run.
    fn end_before(&mut self, arrives: bool, steps: &mut u64) -> Option<i32> {
        if self.stopped.is_some() {
            return Some(self.stop_code());
        }
        if self.is_blocked() {
            self.why = self.stop_cause();
            return Some(self.stop_code());
        }
        if self.replay.is_at_the_end() {
            self.why = "only final tasks were to run (--finish-only)".into();
            let code = self.code_of_closed_run();
            self.restore_the_rest();
            return Some(code);
        }
        if arrives && !self.replay.is_replaying() {
            *steps += 1;
            if *steps > self.settings.max_steps {
                let most = Plural(self.settings.max_steps as usize, "task");
                self.why = format!("stopped after {most} (--max-steps)");
                self.warn("", &self.why.clone());
                return Some(exit::MAX_STEPS);
            }
        }
        None
    }

    /// The exit code of a run that `--finish-only` closes: its own, or 1 without one.
    fn code_of_closed_run(&mut self) -> i32 {
        let flow = self.replay.recorded_flow_end();
        let flow = flow.map(|flow| (flow.exit, flow.how == FlowStop::Reached));
        let (code, is_complete) = flow.unwrap_or((exit::FAILURES, false));
        self.complete = is_complete;
        code
    }

    /// A failure at the moment the time is over is due to the deadline: the
    /// deadline ends a task without a timeout, and no handler would fit any more.
    fn check_deadline(&mut self, at: Position, stepped: &Stepped) {
        let over = self.time_left().is_some_and(|left| left.is_zero());
        if over && !stepped.seen.verdict && stepped.seen.outcome.is_failure() {
            let id = self.workflow.tasks[at.task].id;
            let cause = format!("no time left after task {id} failed");
            self.miss_deadline("", cause);
        }
    }

    /// Where the flow goes: as the task says, or where a branch task went that
    /// left its conditional block.
    fn decide(&self, state: FlowState, at: Position, stepped: &Stepped) -> Decision {
        let departure = stepped.branch.departure.clone();
        let policy = self.settings.policy;
        flow::decide(self.workflow, policy, state, at, &stepped.seen, departure)
    }

    fn note_step(&mut self, task: Ix, stepped: &Stepped, decision: &Decision) {
        let over = !matches!(decision.step, Step::Retry | Step::Iterate);
        let failed = !stepped.seen.verdict && stepped.seen.outcome.is_failure();
        if decision.failure || (over && failed) {
            self.note_failure(task);
        }
    }

    fn emit_route(&mut self, from: Ix, decision: &Decision) {
        let id = |ix: Ix| self.workflow.tasks[ix].id;
        let to = match decision.step {
            Step::Go(to) => Ok(id(to)),
            Step::End(code) => Err(code),
            Step::Retry | Step::Iterate => return,
        };
        self.emit(Event::Routed {
            from: id(from),
            to,
            why: &decision.why,
        });
    }

    // A resumed run.

    /// Whether the decision ends a replayed run at the task that stopped it, which
    /// then runs again.
    fn is_where_it_stopped(&self, turn: u64, decision: &Decision) -> bool {
        let replay = &self.replay;
        stops_run(decision) && !replay.finish_only && replay.has_recorded(turn)
    }

    /// Prepares to run the task again that stopped the run.
    fn redo(&mut self, at: Position) -> Position {
        if self.workflow.tasks[at.task].is_block() {
            self.replay.redo = Redo::Unfinished;
        }
        if self.path.last() == Some(&at.task) && at.iteration == 1 {
            self.path.pop();
        }
        Position { attempt: 1, ..at }
    }

    // The deadline task.

    /// After a walk that the deadline ended: the flow from the deadline task on,
    /// which has no limit; the run's exit code. Nothing of it is recorded, since a
    /// resumed run continues where the deadline stopped it.
    fn run_deadline_task(&mut self, exit: i32) -> i32 {
        let deadline = self.settings.deadline.as_ref();
        let task = deadline.and_then(|deadline| deadline.task);
        let (Some(to), true, exit::DEADLINE) = (task, self.missed.is_some(), exit) else {
            return exit;
        };
        let replay = std::mem::take(&mut self.replay);
        let missed = self.missed.take();
        let why = std::mem::take(&mut self.why);
        self.in_reserve = true;
        self.walk(to, &[]);
        self.replay = replay;
        self.replay.unmute();
        self.missed = missed;
        self.why = why;
        self.complete = false;
        self.stopped.map_or(exit, |signal| exit::SIGNAL + signal)
    }
}

/// Whether the run ends there with a failure that nothing handles.
fn stops_run(decision: &Decision) -> bool {
    decision.failure && matches!(decision.step, Step::End(_))
}
