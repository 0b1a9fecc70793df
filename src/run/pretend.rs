//! A runner that starts no process: each command takes the time and gives the
//! answer that its caller makes up, on a clock that jumps from event to event.
//! The engine cannot tell it from real processes, so a rehearsal does what a run
//! would do.
#![forbid(unsafe_code)]

use super::capture::Captured;
use super::interrupt::SignalLevel;
use super::runner::{CommandEnd, FinishedCommand, Job, Runner, Time, Wake};
use super::sys;
use std::time::Duration;

/// How a pretended command ends.
pub struct Answer {
    pub ending: CommandEnd,
    pub took: Duration,
    /// How long its host takes to answer before that, if it is on another one.
    pub connecting: Duration,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Answer {
    pub fn new(ending: CommandEnd, took: Duration) -> Answer {
        Answer {
            ending,
            took,
            connecting: Duration::ZERO,
            stdout: Vec::new(),
            stderr: Vec::new(),
        }
    }
}

/// Makes up the answer of a command that starts at this time.
pub type AnswerFn<'a> = dyn FnMut(&Job, Time) -> Answer + 'a;

pub struct PretendedRunner<'a> {
    now: Time,
    answer: &'a mut AnswerFn<'a>,
    running: Vec<PretendedCommand>,
    /// A signal arrives as soon as a command runs; what starts after it is not asked
    /// for.
    interrupt: Interruption,
    pub most_at_once: usize,
}

/// Whether a pretended run is stopped by a signal.
#[derive(Clone, Copy, PartialEq)]
enum Interruption {
    Never,
    ToCome,
    Over,
}

struct PretendedCommand {
    /// When its host answers; `None` if it has, and for a command without one.
    connects: Option<Time>,
    ends: Time,
    number: u64,
    answer: Answer,
}

impl PretendedCommand {
    /// When it has something to say.
    fn due(&self) -> Time {
        self.connects.unwrap_or(self.ends)
    }
}

impl<'a> PretendedRunner<'a> {
    pub fn new(answer: &'a mut AnswerFn<'a>) -> PretendedRunner<'a> {
        PretendedRunner {
            now: Time::ZERO,
            answer,
            running: Vec::new(),
            interrupt: Interruption::Never,
            most_at_once: 0,
        }
    }

    /// A runner that stops the walk with a signal as soon as commands run, to show
    /// which ones a run would start first.
    pub fn stopping(answer: &'a mut AnswerFn<'a>) -> PretendedRunner<'a> {
        PretendedRunner {
            interrupt: Interruption::ToCome,
            ..PretendedRunner::new(answer)
        }
    }

    /// The index of the command that is due first, if it is by `until`.
    fn first(&self, until: Option<Time>) -> Option<usize> {
        let by_time = |(_, r): &(usize, &PretendedCommand)| (r.due(), r.number);
        let (index, first) = self.running.iter().enumerate().min_by_key(by_time)?;
        until.is_none_or(|u| first.due() <= u).then_some(index)
    }
}

impl Runner for PretendedRunner<'_> {
    fn now(&self) -> Time {
        self.now
    }

    fn start(&mut self, job: Job) {
        let mut answer = match self.interrupt {
            Interruption::Over => Answer::new(CommandEnd::NotStarted, Duration::ZERO),
            _ => (self.answer)(&job, self.now),
        };
        if answer.took > job.timeout {
            answer.ending = CommandEnd::TimedOut;
            answer.took = job.timeout;
        }
        let answers = !matches!(
            answer.ending,
            CommandEnd::Unreachable(_) | CommandEnd::NotStarted
        );
        if job.remote.is_none() || !answers {
            answer.connecting = Duration::ZERO;
        }
        let begins = self.now + answer.connecting;
        self.running.push(PretendedCommand {
            connects: (job.remote.is_some() && answers).then_some(begins),
            ends: begins + answer.took,
            number: job.number,
            answer,
        });
        self.most_at_once = self.most_at_once.max(self.running.len());
    }

    fn wait(&mut self, until: Option<Time>) -> Wake {
        if !self.running.is_empty() && self.interrupt == Interruption::ToCome {
            self.interrupt = Interruption::Over;
            return Wake::Interrupt {
                signal: sys::SIGTERM,
                level: SignalLevel::Kill,
            };
        }
        let Some(index) = self.first(until) else {
            // The engine waits without a limit only while a command runs.
            self.now = self.now.max(until.unwrap_or(self.now));
            return Wake::Time;
        };
        let first = &mut self.running[index];
        if let Some(at) = first.connects.take() {
            self.now = self.now.max(at);
            return Wake::Connected(first.number);
        }
        let PretendedCommand {
            ends,
            number,
            answer,
            ..
        } = self.running.remove(index);
        self.now = self.now.max(ends);
        let finished = FinishedCommand {
            left: None,
            ending: answer.ending,
            stdout: Captured::in_memory(answer.stdout),
            stderr: Captured::in_memory(answer.stderr),
            took: answer.took,
            connecting: answer.connecting,
            reason: None,
            preamble: String::new(),
            cpu: Duration::ZERO,
            peak_kib: 0,
            warnings: Vec::new(),
        };
        Wake::Done(number, Box::new(finished))
    }

    fn rearm(&mut self) {}
}
