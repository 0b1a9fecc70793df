//! The next attempt or iteration of a task, and the pauses before it. Whether
//! there is one is decided by `plan::flow`.
#![forbid(unsafe_code)]

use super::engine::Engine;
use super::numbers::retry_delay;
use super::step::Stepped;
use crate::outcome::Outcome;
use crate::plan::flow::{self, Choice, FlowInput, Position};
use crate::run::event::Event;
use crate::task::Ix;
use std::time::Duration;

impl Engine<'_> {
    /// Waits for the next attempt. If it does not fit before the deadline, the
    /// position stays the same and the deadline is missed.
    pub(super) fn next_attempt(&mut self, at: Position, stepped: &Stepped) -> Position {
        let context = self.context(at);
        let overrun = stepped.overrun.clone();
        if let Some(cause) = overrun.filter(|_| !self.replay.is_replaying()) {
            self.miss_deadline(&context.label, cause);
            return at;
        }
        let delay = retry_delay(stepped.delay, at.attempt);
        self.emit_about(&context, |about| Event::Retry {
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

    /// The pause that `sleep=` asks for; none after a skipped task.
    pub(super) fn sleep(&mut self, at: Position, stepped: &Stepped) {
        let time = stepped.sleep;
        if time == Duration::ZERO || stepped.seen.outcome == Outcome::Skipped {
            return;
        }
        let context = self.context(at);
        self.emit_about(&context, |about| Event::Sleep { about, time });
        self.wait_until(self.runner.now() + time);
    }

    /// Runs a task that does not route, with its retries; what it chose last. Anything
    /// but falling through is a failure, also a branch that left its block.
    pub(super) fn run_without_routing(&mut self, ix: Ix) -> (Choice, FlowInput) {
        let mut at = Position::at(ix);
        loop {
            let mut stepped = self.step(at, None);
            if let Some((choice, why)) = stepped.branch.departure.take() {
                let label = self.workflow.tasks[ix].id.to_string();
                self.warn(&label, &format!("cannot leave the block here: {why}"));
                return (choice, stepped.seen);
            }
            let (choice, _) = flow::choose(&self.workflow.tasks[ix], at, &stepped.seen);
            if self.stopped.is_some() || choice != Choice::Retry {
                self.sleep(at, &stepped);
                return (choice, stepped.seen);
            }
            at = self.next_attempt(at, &stepped);
            if self.is_stopping() || self.is_late() {
                return (choice, stepped.seen);
            }
        }
    }
}
