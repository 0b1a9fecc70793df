//! The final tasks (SPEC §3.7), which run however the flow ended.
#![forbid(unsafe_code)]

use super::engine::Engine;
use crate::exit;
use crate::plan::flow::{self, Choice};
use crate::run::event::Event;
use crate::run::interrupt::{SignalLevel, signal_name};
use crate::run::result::TaskResult;
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
            self.leave_out_finals(&finals, "KILLED BEFORE");
            return exit;
        }
        if self.stopped.is_some() {
            // What came together with the signal that ended the run.
            self.handle_signals();
        }
        self.run_outcome = self.outcome_before_finals(exit);
        self.stopped = None;
        self.runner.rearm();
        self.in_finals = true;
        self.emit(Event::Finals);
        let mut code = exit;
        for (done, ix) in finals.iter().enumerate() {
            let (choice, seen) = self.run_without_routing(*ix);
            self.handle_signals();
            let failed = !matches!(choice, Choice::FallThrough);
            if failed {
                self.note_failure(*ix);
            }
            if let Some(signal) = self.stopped {
                if code == exit::OK {
                    code = exit::SIGNAL + signal;
                    self.signal = Some(signal);
                }
                let left = done + usize::from(!failed);
                let why = format!("{} DURING", signal_name(signal));
                self.leave_out_finals(&finals[left..], &why);
                break;
            }
            if failed && code == exit::OK && !self.settings.policy.forgive {
                let task = &self.workflow.tasks[*ix];
                code = flow::failure_code(task, &seen);
                self.complete = false;
                self.replay.record_final_failure(code, task.id);
            }
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

    /// Gives their result to the final tasks that did not begin, and reports all that
    /// did not run to their end.
    fn leave_out_finals(&mut self, left: &[Ix], why: &str) {
        if left.is_empty() {
            return;
        }
        let cause = self.stop_cause();
        for ix in left {
            if self.results.get(*ix).is_none() {
                self.results.set(*ix, TaskResult::not_started(-1, &cause));
            }
        }
        let id = |ix: &Ix| self.workflow.tasks[*ix].id.to_string();
        let ids = left.iter().map(id).collect::<Vec<_>>().join(", ");
        let text = format!("{why} THE FINAL TASKS: did NOT run to the end: {ids}");
        self.warn("", &text);
        self.finals_left = Some(text);
        self.replay.record_finals_cut_short();
    }
}
