//! What each task, and each host of a block, did and when, for the timeline of the
//! HTML report. Kept only with `--report`.
#![forbid(unsafe_code)]

use crate::outcome::Outcome;
use crate::run::event::{About, Event};
use crate::run::result::TaskResult;
use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

/// How a stretch of time was spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// One attempt of a command, or a decision.
    Attempt,
    /// Until its host answered.
    Connecting,
    /// A whole parallel or conditional block.
    Block,
    /// Waiting for the next attempt.
    RetryDelay,
    /// The pause after a task, or between two waves.
    Sleep,
    /// Nothing: its condition was false.
    Skipped,
    /// Nothing: an earlier run had done it, and this run resumes that one.
    Restored,
}

/// A stretch of time of one task or host.
pub struct Stretch {
    /// The task's id; for a copy on a host, the id of its block.
    pub task: u32,
    /// `5`, `5.2` (an iteration), `10.3` (a host of a block).
    pub label: String,
    pub title: String,
    /// Empty for this machine.
    pub host: String,
    /// A subtask of a parallel block.
    pub in_block: bool,
    pub attempt: u32,
    pub spent: Spent,
    /// Since the first task was due.
    pub began: Duration,
    /// None while it lasts.
    pub ended: Option<Duration>,
    /// None for a wait.
    pub outcome: Option<Outcome>,
    pub exit: i32,
}

/// The stretches in the order in which they began, and the signals.
pub struct History {
    origin: Instant,
    pub stretches: Vec<Stretch>,
    /// When each signal arrived, and its number.
    pub signals: Vec<(Duration, i32)>,
    /// When the final tasks began.
    pub finals: Option<Duration>,
    /// Open stretches by label: attempts and blocks, and waits.
    open: HashMap<String, usize>,
    waiting: HashMap<String, usize>,
    /// The current pause of the flow.
    asleep: Option<usize>,
}

impl History {
    /// `origin` is when the first task was due.
    pub fn new(origin: Instant) -> History {
        History {
            origin,
            stretches: Vec::new(),
            signals: Vec::new(),
            finals: None,
            open: HashMap::new(),
            waiting: HashMap::new(),
            asleep: None,
        }
    }

    /// When the first task was due.
    pub fn began(&self) -> SystemTime {
        let now = SystemTime::now();
        now.checked_sub(self.origin.elapsed()).unwrap_or(now)
    }

    pub fn event(&mut self, event: &Event) {
        let now = self.origin.elapsed();
        if matches!(event, Event::Beat | Event::Asked) {
            return;
        }
        if let Some(index) = self.asleep.take() {
            self.stretches[index].ended = Some(now);
        }
        match event {
            Event::Started { about, .. } => {
                self.end_wait(about, now);
                self.begin(about, Spent::Attempt, now);
            }
            Event::Connected { about } => {
                if let Some(index) = self.open.get(about.label) {
                    let stretch = &mut self.stretches[*index];
                    (stretch.spent, stretch.ended) = (Spent::Connecting, Some(now));
                }
                self.begin(about, Spent::Attempt, now);
            }
            Event::Block { about, .. } | Event::Branch { about, .. } => {
                self.begin(about, Spent::Block, now);
            }
            Event::Finished { about, result } | Event::BlockFinished { about, result } => {
                self.end(about, result, now);
            }
            Event::Skipped { about } => {
                let index = self.add(about, Spent::Skipped, now);
                self.close(index, Outcome::Skipped, -1, now);
            }
            Event::Restored { about, result } => {
                let index = self.add(about, Spent::Restored, now);
                self.close(index, result.outcome, result.exit, now);
            }
            Event::Retry { about, .. } => {
                let index = self.add(about, Spent::RetryDelay, now);
                self.waiting.insert(about.label.to_string(), index);
            }
            Event::Sleep { about, .. } => self.asleep = Some(self.add(about, Spent::Sleep, now)),
            Event::Finals => self.finals = Some(now),
            Event::Interrupted { signal, .. } => self.signals.push((now, *signal)),
            Event::Beat
            | Event::Asked
            | Event::Routed { .. }
            | Event::Warning { .. }
            | Event::Debug { .. } => {}
        }
    }

    /// Closes every open stretch when the run has ended.
    pub fn close_all(&mut self) {
        let now = self.origin.elapsed();
        for stretch in self.stretches.iter_mut().filter(|s| s.ended.is_none()) {
            stretch.ended = Some(now);
        }
    }

    fn add(&mut self, about: &About, spent: Spent, now: Duration) -> usize {
        self.stretches.push(Stretch {
            task: about.task,
            label: about.label.to_string(),
            title: about.title.to_string(),
            host: match about.host {
                "localhost" => String::new(),
                host => host.to_string(),
            },
            in_block: about.in_block,
            attempt: about.attempt,
            spent,
            began: now,
            ended: None,
            outcome: None,
            exit: 0,
        });
        self.stretches.len() - 1
    }

    fn begin(&mut self, about: &About, spent: Spent, now: Duration) {
        let index = self.add(about, spent, now);
        self.open.insert(about.label.to_string(), index);
    }

    fn end_wait(&mut self, about: &About, now: Duration) {
        if let Some(index) = self.waiting.remove(about.label) {
            self.stretches[index].ended = Some(now);
        }
    }

    /// Decisions, and tasks that never ran, have no start event.
    fn end(&mut self, about: &About, result: &TaskResult, now: Duration) {
        let index = match self.open.remove(about.label) {
            Some(index) => index,
            None => self.add(about, Spent::Attempt, now.saturating_sub(result.took)),
        };
        self.close(index, result.outcome, result.exit, now);
    }

    fn close(&mut self, index: usize, outcome: Outcome, exit: i32, now: Duration) {
        let stretch = &mut self.stretches[index];
        stretch.outcome = Some(outcome);
        stretch.exit = exit;
        stretch.ended = Some(now);
    }
}
