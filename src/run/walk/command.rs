//! One command, from its words to its result.
#![forbid(unsafe_code)]

use super::engine::Engine;
use super::numbers::Numbers;
use crate::exit;
use crate::outcome::Outcome;
use crate::run::capture::Captured;
use crate::run::evaluation::TaskContext;
use crate::run::event::Event;
use crate::run::job::{self, PreparedJob, TimeoutRule};
use crate::run::process_group;
use crate::run::result::{self, TaskResult};
use crate::run::runner::{CommandEnd, FinishedCommand, Job, Wake};
use crate::task::Command;
use crate::text::diagnostic::reason;
use std::time::{Duration, SystemTime};

/// A command that has been handed to the runner.
pub struct StartedCommand {
    /// The number of its job.
    pub number: u64,
    /// The command line, quoted for a shell, secrets masked.
    pub shown: String,
    /// Another program takes it to its host.
    pub carried: bool,
}

impl Engine<'_> {
    /// Runs a command to its end.
    ///
    /// # Errors
    /// Why it cannot be started.
    pub(super) fn command(
        &mut self,
        command: &Command,
        context: &TaskContext,
        numbers: &Numbers,
    ) -> Result<TaskResult, String> {
        let prepared = self.prepare(command, context, numbers.timeout)?;
        let started = self.start(context, prepared);
        let finished = self.wait_for(started.number, context);
        Ok(self.command_result(finished, context, started, numbers))
    }

    pub(super) fn prepare(
        &mut self,
        command: &Command,
        context: &TaskContext,
        timeout: TimeoutRule,
    ) -> Result<PreparedJob, String> {
        let ix = context.at.task;
        let (recipe, defaults, common) = (&self.workflow.recipes[ix], self.defaults, self.common);
        let mut prepared = self.evaluate_usable(context, |values| {
            job::prepare(command, recipe, defaults, common, values, timeout)
        })?;
        prepared.job.task = Some(ix);
        Ok(prepared)
    }

    /// Hands the command to the runner.
    pub(super) fn start(&mut self, context: &TaskContext, prepared: PreparedJob) -> StartedCommand {
        let title = self.title(context);
        let about = context.about(&title);
        let connects = prepared.job.remote.is_some();
        self.emit(Event::Started {
            about,
            exec: prepared.exec.name(),
            command: &prepared.shown,
            timeout: prepared.job.timeout,
            connects,
        });
        self.jobs += 1;
        // Before it starts: what it does may kill tasker.
        self.replay.note_start(context.id, &about, connects);
        let carried = prepared.job.carried;
        self.runner.start(Job {
            number: self.jobs,
            deadline: self.block_deadline,
            ..prepared.job
        });
        self.replay.sync_new();
        StartedCommand {
            number: self.jobs,
            shown: prepared.shown,
            carried,
        }
    }

    /// The host has answered: from now on the command's time counts.
    pub(super) fn connected(&mut self, context: &TaskContext) {
        let title = self.title(context);
        let about = context.about(&title);
        self.replay.note_start(context.id, &about, false);
        self.emit(Event::Connected { about });
    }

    /// Waits for the one command that runs, and handles signals meanwhile.
    fn wait_for(&mut self, number: u64, context: &TaskContext) -> FinishedCommand {
        loop {
            match self.wait(None) {
                Wake::Done(done, finished) if done == number => return *finished,
                Wake::Connected(connected) if connected == number => self.connected(context),
                Wake::Interrupt { signal, level } => {
                    self.interrupt(signal, level, &[context.name_with_host()])
                }
                _ => {}
            }
        }
    }

    /// The result of a finished command, before its success is judged.
    pub(super) fn command_result(
        &mut self,
        finished: FinishedCommand,
        context: &TaskContext,
        command: StartedCommand,
        numbers: &Numbers,
    ) -> TaskResult {
        for warning in &finished.warnings {
            self.warn(&context.label, warning);
        }
        for text in finished.preamble.lines() {
            let label = &context.label;
            self.emit(Event::Debug { label, text });
        }
        let (exit, outcome) = self.exit_and_outcome(finished.ending);
        let reason_given = finished.reason.unwrap_or_default();
        let mut result = TaskResult {
            stdout: finished.stdout,
            stderr: finished.stderr,
            hostname: context.hostname.clone(),
            command: command.shown,
            took: finished.took,
            connecting: match outcome {
                Outcome::Unreachable => Duration::ZERO,
                _ => finished.connecting,
            },
            cpu: finished.cpu,
            peak_kib: finished.peak_kib,
            started: time_before_now(finished.took).filter(|_| outcome != Outcome::NotStarted),
            cause: match outcome {
                Outcome::NotStarted if exit == exit::TIMEOUT => "block_timeout".into(),
                Outcome::Cancelled | Outcome::NotStarted => self.stop_cause(),
                Outcome::Unreachable | Outcome::Unknown => reason_given,
                _ => String::new(),
            },
            ..TaskResult::without_process(outcome, exit, context.at.attempt)
        };
        self.split(&mut result, context, numbers);
        for (name, stream) in [("stdout", &result.stdout), ("stderr", &result.stderr)] {
            if let Some(why) = stream.lost() {
                self.warn(&context.label, &format!("{name}: {why}"));
            }
        }
        if result.cause.is_empty() {
            result.cause = result.lost().unwrap_or_default().to_string();
        }
        if let Some(left) = &finished.left {
            let text = format!("{} {left}", shown_where(&result.command, &context.hostname));
            self.warn(&context.label, &text);
        }
        if let Some(left) = finished.left.filter(|_| !command.carried) {
            // It may still be doing what it was to do. Of a carried one nobody ever knows
            // that (SPEC §4.3).
            result.outcome = Outcome::Unknown;
            result.cause = left;
        }
        if result.outcome == Outcome::Timeout && result.lost().is_some() {
            // That it took too long says less than that there is no result.
            result.outcome = Outcome::Failed;
        }
        result
    }

    fn exit_and_outcome(&self, ending: CommandEnd) -> (i32, Outcome) {
        match ending {
            CommandEnd::Exited(code) | CommandEnd::Unstarted(code) => (code, Outcome::Failed),
            CommandEnd::Signaled(signal) => (exit::SIGNAL + signal, Outcome::Failed),
            CommandEnd::TimedOut => (exit::TIMEOUT, Outcome::Timeout),
            CommandEnd::Unreachable(code) => (code, Outcome::Unreachable),
            CommandEnd::Lost(code) => (code, Outcome::Unknown),
            // The block's time was over, or a signal came, before its turn to connect.
            CommandEnd::NotStarted if self.is_late() => (exit::TIMEOUT, Outcome::NotStarted),
            CommandEnd::NotStarted | CommandEnd::Shortage => (-1, Outcome::NotStarted),
            CommandEnd::Cancelled => (result::CANCELLED, Outcome::Cancelled),
        }
    }

    /// Reduces the outputs to one field (SPEC §2.3).
    fn split(&mut self, result: &mut TaskResult, context: &TaskContext, numbers: &Numbers) {
        let streams = [
            (&numbers.stdout_split, &mut result.stdout, "stdout"),
            (&numbers.stderr_split, &mut result.stderr, "stderr"),
        ];
        for (split, stream, name) in streams {
            let Some(split) = split.as_ref().filter(|_| stream.lost().is_none()) else {
                continue;
            };
            let place = split.place(|take| stream.text_chunks(take));
            let field = place.and_then(|place| place.map(|p| stream.part(p)).transpose());
            match field {
                Ok(Some(field)) => *stream = field,
                Err(e) => {
                    let why = format!("output lost after 0 bytes: {}", reason(&e));
                    *stream = Captured::in_memory("").with_loss(&why);
                }
                Ok(None) => {
                    let index = split.index;
                    let text = format!("{name}_split: no field {index}; the whole output is kept");
                    self.warn(&context.label, &text);
                }
            }
        }
    }

    /// The result of a task that fails before it starts (126).
    pub(super) fn unstarted(&mut self, context: &TaskContext, reason: &str) -> TaskResult {
        self.warn(&context.label, &format!("was not started: {reason}"));
        TaskResult {
            stderr: Captured::in_memory(format!("{reason}\n")),
            hostname: context.hostname.clone(),
            ..TaskResult::without_process(Outcome::Failed, exit::NOT_EXECUTABLE, context.at.attempt)
        }
    }
}

/// `sleep 60` on web01, as far as it fits on a line.
fn shown_where(command: &str, host: &str) -> String {
    let shown = format!("`{}`", process_group::shortened(command));
    match host {
        "" | "localhost" => shown,
        host => format!("{shown} on {host}"),
    }
}

/// The point in time that long ago.
pub(super) fn time_before_now(time: Duration) -> Option<SystemTime> {
    SystemTime::now().checked_sub(time)
}
