//! A runner that starts nothing: each command takes the time and gives the answer
//! that somebody made up, on a clock that jumps from event to event. The engine
//! cannot tell it from real processes, so what it does here it does in a run.
#![forbid(unsafe_code)]

use super::capture::Captured;
use super::runner::{Ending, Finished, Job, Runner, Time, Wake};
use std::time::Duration;

/// How a pretended command ends.
pub struct Answer {
    pub ending: Ending,
    pub took: Duration,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Answer {
    pub fn new(ending: Ending, took: Duration) -> Answer {
        Answer {
            ending,
            took,
            stdout: Vec::new(),
            stderr: Vec::new(),
        }
    }
}

/// Makes up the answer of a command that starts at this time.
pub type Script<'a> = dyn FnMut(&Job, Time) -> Answer + 'a;

pub struct Pretend<'a> {
    now: Time,
    script: &'a mut Script<'a>,
    running: Vec<Running>,
    pub most_at_once: usize,
}

struct Running {
    ends: Time,
    number: u64,
    answer: Answer,
}

impl<'a> Pretend<'a> {
    pub fn new(script: &'a mut Script<'a>) -> Pretend<'a> {
        Pretend {
            now: Time::ZERO,
            script,
            running: Vec::new(),
            most_at_once: 0,
        }
    }

    /// The place of the command that ends first, if that is not after `until`.
    fn first(&self, until: Option<Time>) -> Option<usize> {
        let by_end = |(_, r): &(usize, &Running)| (r.ends, r.number);
        let (index, first) = self.running.iter().enumerate().min_by_key(by_end)?;
        until.is_none_or(|u| first.ends <= u).then_some(index)
    }
}

impl Runner for Pretend<'_> {
    fn now(&self) -> Time {
        self.now
    }

    fn start(&mut self, job: Job) {
        let mut answer = (self.script)(&job, self.now);
        if answer.took > job.timeout {
            answer.ending = Ending::TimedOut;
            answer.took = job.timeout;
        }
        self.running.push(Running {
            ends: self.now + answer.took,
            number: job.number,
            answer,
        });
        self.most_at_once = self.most_at_once.max(self.running.len());
    }

    fn wait(&mut self, until: Option<Time>) -> Wake {
        let Some(index) = self.first(until) else {
            // The engine waits without a time only for a command that runs.
            self.now = self.now.max(until.unwrap_or(self.now));
            return Wake::Time;
        };
        let Running {
            ends,
            number,
            answer,
        } = self.running.remove(index);
        self.now = self.now.max(ends);
        let finished = Finished {
            ending: answer.ending,
            stdout: Captured::text(answer.stdout),
            stderr: Captured::text(answer.stderr),
            took: answer.took,
            cpu: Duration::ZERO,
            peak_kib: 0,
            warnings: Vec::new(),
        };
        Wake::Done(number, Box::new(finished))
    }

    fn rearm(&mut self, _: bool) {}
}
