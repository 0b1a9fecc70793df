//! Waiting, and what ends it: signals, the deadlines of the run and of a block.
#![forbid(unsafe_code)]

use super::engine::Engine;
use crate::exit;
use crate::run::event::Event;
use crate::run::interrupt::{SignalLevel, signal_name};
use crate::run::runner::{Time, Wake};
use std::time::Duration;

impl Engine<'_> {
    /// Waits for what concerns the flow, and passes on what concerns only those
    /// who watch it.
    pub(super) fn wait(&mut self, until: Option<Time>) -> Wake {
        loop {
            match self.runner.wait(until) {
                Wake::Beat => self.emit(Event::Beat),
                Wake::Asked => self.emit(Event::Asked),
                wake => return wake,
            }
        }
    }

    /// Waits until the time, a deadline or the first signal.
    pub(super) fn wait_until(&mut self, until: Time) {
        if self.replay.is_replaying() {
            return;
        }
        let limits = [Some(until), self.block_deadline, self.limit()];
        let until = limits.into_iter().flatten().min();
        while self.stopped.is_none() {
            match self.wait(until) {
                Wake::Time => return,
                Wake::Interrupt { signal, level } => self.interrupt(signal, level, &[]),
                _ => {}
            }
        }
    }

    // Signals.

    /// Handles the signals that have arrived, without waiting.
    pub(super) fn handle_signals(&mut self) {
        let now = self.runner.now();
        while let Wake::Interrupt { signal, level } = self.wait(Some(now)) {
            self.interrupt(signal, level, &[]);
        }
    }

    pub(super) fn interrupt(&mut self, signal: i32, level: SignalLevel, running: &[String]) {
        self.stopped.get_or_insert(signal);
        self.level = level;
        (self.emit)(Event::Interrupted {
            signal,
            level,
            running,
        });
    }

    // The run's deadline.

    /// When the flow must have ended.
    fn limit(&self) -> Option<Time> {
        let deadline = self.settings.deadline.as_ref()?;
        (!self.in_reserve && !self.in_finals).then(|| deadline.limit())
    }

    /// The time left for the flow; `None` without a limit.
    pub(super) fn time_left(&self) -> Option<Duration> {
        let limit = self.limit()?;
        Some(limit.saturating_sub(self.runner.now()))
    }

    /// Why something that takes up to `needs` cannot start before the deadline.
    pub(super) fn overrun(&self, needs: Duration) -> Option<String> {
        let deadline = self.settings.deadline.as_ref()?;
        self.limit()?;
        deadline.overrun(needs, self.runner.now())
    }

    /// From here on nothing starts; the first reason counts.
    pub(super) fn miss_deadline(&mut self, label: &str, cause: String) {
        if self.missed.is_none() {
            self.warn(label, &format!("the deadline: {cause}"));
            self.missed = Some(cause);
        }
    }

    // Whether anything can still start.

    /// Whether the block's time is over.
    pub(super) fn is_late(&self) -> bool {
        self.block_deadline.is_some_and(|d| self.runner.now() >= d)
    }

    /// Whether nothing can start any more: the journal cannot be written or belongs
    /// to another run, a task that had to run again failed, or the deadline leaves no
    /// time.
    pub(super) fn is_blocked(&self) -> bool {
        let replay = &self.replay;
        let blocked = replay.is_broken() || replay.has_diverged() || self.missed.is_some();
        (blocked || self.repeat_failed.is_some()) && !self.in_finals
    }

    /// Whether a signal or anything else keeps the next task from starting.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopped.is_some() || self.is_blocked()
    }

    /// Why nothing starts any more; empty if nothing says so.
    pub(super) fn stop_cause(&self) -> String {
        if let Some(signal) = self.stopped {
            format!("tasker got {}", signal_name(signal))
        } else if !self.is_blocked() {
            String::new()
        } else if self.replay.has_diverged() {
            "the journal belongs to another run".into()
        } else if self.replay.is_broken() {
            "the journal cannot be written".into()
        } else if let Some((id, _)) = self.repeat_failed {
            format!("task {id} failed, which had to run again (on_resume=repeat)")
        } else {
            self.missed.clone().unwrap_or_default()
        }
    }

    /// The exit code of a flow that ended because nothing could start any more.
    pub(super) fn stop_code(&self) -> i32 {
        if let Some(signal) = self.stopped {
            exit::SIGNAL + signal
        } else if self.replay.has_diverged() {
            exit::POSITION
        } else if self.replay.is_broken() {
            exit::LOG_DIR
        } else if let Some((_, code)) = self.repeat_failed {
            code
        } else {
            exit::DEADLINE
        }
    }
}
