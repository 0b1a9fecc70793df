//! A runner that starts nothing: commands take the time and give the result
//! that the test says, on a clock that jumps from event to event.
#![forbid(unsafe_code)]

use super::capture::Captured;
use super::runner::{Ending, Finished, Job, Runner, Time, Wake};
use std::time::Duration;

/// What a pretended command does, by its words and its attempt so far.
pub type Script<'a> = dyn FnMut(&[String], Time) -> (Ending, Duration) + 'a;

pub struct Pretend<'a> {
    now: Time,
    script: &'a mut Script<'a>,
    running: Vec<(Time, u64, Ending, Duration)>,
    pub most_at_once: usize,
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
}

impl Runner for Pretend<'_> {
    fn now(&self) -> Time {
        self.now
    }

    fn start(&mut self, job: Job) {
        let words: Vec<String> = job
            .words
            .iter()
            .map(|w| String::from_utf8_lossy(w).into_owned())
            .collect();
        let (ending, took) = (self.script)(&words, self.now);
        let (ending, took) = if took > job.timeout {
            (Ending::TimedOut, job.timeout)
        } else {
            (ending, took)
        };
        self.running
            .push((self.now + took, job.number, ending, took));
        self.most_at_once = self.most_at_once.max(self.running.len());
    }

    fn wait(&mut self, until: Option<Time>) -> Wake {
        let first = self
            .running
            .iter()
            .enumerate()
            .min_by_key(|(_, r)| (r.0, r.1))
            .map(|(i, r)| (i, r.0));
        match (first, until) {
            (Some((index, at)), until) if until.is_none_or(|u| at <= u) => {
                let (at, number, ending, took) = self.running.remove(index);
                self.now = self.now.max(at);
                let finished = Finished {
                    ending,
                    stdout: Captured::text(""),
                    stderr: Captured::text(""),
                    took,
                    cpu: Duration::ZERO,
                    peak_kib: 0,
                    warnings: Vec::new(),
                };
                Wake::Done(number, Box::new(finished))
            }
            (_, Some(until)) => {
                self.now = self.now.max(until);
                Wake::Time
            }
            (_, None) => panic!("the engine waits for nothing"),
        }
    }

    fn rearm(&mut self, _: bool) {}
}
