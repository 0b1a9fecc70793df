//! The final tasks (SPEC §3.7), which run however the flow ended.
#![forbid(unsafe_code)]

use super::engine::Engine;
use crate::exit;
use crate::plan::flow::{self, Choice};
use crate::run::event::Event;
use crate::run::interrupt::SignalLevel;
use crate::task::Ix;

impl Engine<'_> {
    /// Runs the final tasks; the run's exit code after them.
    pub(super) fn run_final_tasks(&mut self, exit: i32) -> i32 {
        let finals: Vec<Ix> = self.workflow.finals().collect();
        let begun = !self.path.is_empty() || self.replay.finish_only;
        if !begun || finals.is_empty() || self.replay.has_diverged() {
            return exit;
        }
        if self.level == SignalLevel::Kill {
            self.leave_out_finals(&finals);
            return exit;
        }
        self.run_outcome = self.outcome_before_finals(exit);
        let mut warned = self.stopped.take().is_some();
        self.runner.rearm(!warned);
        self.in_finals = true;
        self.emit(Event::Finals);
        let mut code = exit;
        for (done, ix) in finals.iter().enumerate() {
            let (choice, seen) = self.run_without_routing(*ix);
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
            // The first signal of the run ends it after all final tasks.
            code = exit::SIGNAL + signal;
            self.signal = Some(signal);
            self.stopped = None;
            self.runner.rearm(false);
        }
        code
    }

    /// What `@run_outcome@` is in the final tasks.
    fn outcome_before_finals(&self, exit: i32) -> &'static str {
        let broken_off = self.replay.finish_only && !self.complete;
        match exit {
            _ if broken_off || self.stopped.is_some() => "interrupted",
            exit::OK => "ok",
            exit::DEADLINE if self.missed.is_some() => "deadline",
            _ => "failed",
        }
    }

    fn leave_out_finals(&mut self, left: &[Ix]) {
        if left.is_empty() {
            return;
        }
        self.finals_left = true;
        let id = |ix: &Ix| self.workflow.tasks[*ix].id.to_string();
        let ids = left.iter().map(id).collect::<Vec<_>>().join(", ");
        let text = format!("A SECOND SIGNAL: these final tasks did NOT run: {ids}");
        self.warn("", &text);
    }
}
