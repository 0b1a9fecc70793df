//! How far a run is: what the status line, the minute line and the answer to
//! SIGUSR1 tell (SPEC §6.6).
#![forbid(unsafe_code)]

use super::{display_width, safe_text};
use crate::outcome::{Counts, Outcome};
use crate::run::event::{About, Event};
use crate::text::decimal::seconds;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// How many times the median of the others a subtask must have run to be slow.
const SLOW: u32 = 5;
/// Nothing is slow that has not run so long.
const NEVER_SLOW: Duration = Duration::from_secs(5);
/// How many others must have ended for their median to say anything.
const ENOUGH: usize = 3;
/// How many running subtasks are named to someone who asks.
const NAMED: usize = 20;

pub struct Progress {
    began: Instant,
    /// How many tasks the file has, and the ids of those that have begun, in order.
    total: usize,
    begun: Vec<u32>,
    /// The task that the flow is at, and since when.
    at: Option<(Place, Instant)>,
    block: Option<Block>,
    /// What runs, by label.
    running: HashMap<String, Running>,
    /// What the flow does instead of running anything.
    pause: Option<&'static str>,
}

/// A task as it is named: `10`, `deploy`.
struct Place {
    label: String,
    title: String,
}

impl Place {
    /// `10 deploy`, the title in at most so many columns.
    fn within(&self, columns: usize) -> String {
        match display_width::cut(&self.title, columns) {
            title if title.is_empty() => self.label.clone(),
            title => format!("{} {title}", self.label),
        }
    }
}

struct Running {
    /// `web07`, or `task 12`.
    name: String,
    since: Instant,
}

/// The parallel block that runs.
struct Block {
    total: usize,
    at_once: usize,
    /// How each subtask ended that is over, by label.
    over: HashMap<String, Outcome>,
    /// How long those took that ended by themselves.
    took: Vec<Duration>,
    /// Labels of those that were named as slow.
    slow: HashSet<String>,
}

impl Progress {
    /// Of a run of that many tasks that began then.
    pub fn new(total: usize, began: Instant) -> Progress {
        Progress {
            began,
            total,
            begun: Vec::new(),
            at: None,
            block: None,
            running: HashMap::new(),
            pause: None,
        }
    }

    /// Takes in what happened; names the subtasks that turn out to be slow.
    pub fn event(&mut self, event: &Event) -> Vec<String> {
        match event {
            Event::Started { about, .. } => self.started(about),
            Event::Block {
                about,
                total,
                at_once,
            } => {
                self.arrive(about);
                self.block = Some(Block::new(*total, *at_once));
            }
            Event::Branch { about, .. } => self.arrive(about),
            Event::Finished { about, result } => {
                self.finished(about, result.outcome, result.took);
            }
            Event::Skipped { about } if about.in_block => {
                self.finished(about, Outcome::Skipped, Duration::ZERO);
            }
            Event::Skipped { about } | Event::Restored { about, .. } => {
                self.begin(about.task);
            }
            Event::BlockFinished { .. } => {
                self.block = None;
                self.running.clear();
            }
            Event::Retry { about, .. } => self.retry(about),
            Event::Sleep { .. } => self.pause = Some("sleeping"),
            Event::Beat => {}
            Event::Asked
            | Event::Routed { .. }
            | Event::Finals
            | Event::Warning { .. }
            | Event::Debug { .. }
            | Event::Interrupted { .. } => return Vec::new(),
        }
        self.slow()
    }

    fn begin(&mut self, task: u32) {
        if let Err(place) = self.begun.binary_search(&task) {
            self.begun.insert(place, task);
        }
    }

    fn arrive(&mut self, about: &About) {
        self.begin(about.task);
        self.pause = None;
        let place = Place {
            label: about.label.to_string(),
            // A tab moves to a column that the redrawn line knows nothing of.
            title: safe_text::line(about.title).replace('\t', " "),
        };
        self.at = Some((place, Instant::now()));
    }

    fn started(&mut self, about: &About) {
        self.begin(about.task);
        if self.block.is_none() {
            self.arrive(about);
        }
        let name = match about.host {
            "" | "localhost" => format!("task {}", about.label),
            host => host.to_string(),
        };
        let since = Instant::now();
        self.running
            .insert(about.label.to_string(), Running { name, since });
    }

    fn finished(&mut self, about: &About, outcome: Outcome, took: Duration) {
        self.begin(about.task);
        let running = self.running.remove(about.label);
        let Some(block) = self.block.as_mut().filter(|_| about.in_block) else {
            return;
        };
        block.over.insert(about.label.to_string(), outcome);
        if matches!(outcome, Outcome::Ok | Outcome::Failed) && running.is_some() {
            block.took.push(took);
        }
    }

    fn retry(&mut self, about: &About) {
        match &mut self.block {
            Some(block) if about.in_block => {
                block.over.remove(about.label);
            }
            _ => self.pause = Some("waiting to retry"),
        }
    }

    /// Names once each subtask that is slow by comparison.
    fn slow(&mut self) -> Vec<String> {
        let Some(block) = &mut self.block else {
            return Vec::new();
        };
        let Some(median) = block.median() else {
            return Vec::new();
        };
        let limit = (median * SLOW).max(NEVER_SLOW);
        let others = block.took.len();
        let mut told = Vec::new();
        for (label, running) in &self.running {
            let so_far = running.since.elapsed();
            if so_far > limit && block.slow.insert(label.clone()) {
                told.push(format!(
                    "{} is slow: {} so far; the median of {others} others is {}",
                    safe_text::line(&running.name),
                    clock(so_far),
                    fine(median)
                ));
            }
        }
        told.sort_unstable();
        told
    }

    // What is told.

    fn is_in_block(&self) -> bool {
        self.block.is_some()
    }

    /// What runs, the longest first.
    fn longest(&self) -> Vec<&Running> {
        let mut all: Vec<&Running> = self.running.values().collect();
        all.sort_unstable_by(|a, b| a.since.cmp(&b.since).then_with(|| a.name.cmp(&b.name)));
        all
    }

    /// `45/100 ok 3 failed 2 running`
    fn counts(&self, block: &Block) -> String {
        let counts = block.counts();
        let ok = counts.count(Outcome::Ok);
        let skipped = counts.count(Outcome::Skipped);
        let failed = counts.total() - ok - skipped;
        let mut text = format!("{ok}/{} ok", block.total);
        for (count, word) in [(failed, "failed"), (skipped, "skipped")] {
            if count > 0 {
                text.push_str(&format!(" {count} {word}"));
            }
        }
        text + &format!(" {} running", self.running.len())
    }

    /// The status line, without those that run longest, in so many columns if it
    /// can be by cutting the title.
    pub fn status(&self, columns: usize) -> String {
        let whole = self.with_title(usize::MAX);
        let surplus = display_width::columns(&whole).saturating_sub(columns);
        let title = self
            .at
            .as_ref()
            .map_or(0, |(at, _)| display_width::columns(&at.title));
        match surplus {
            0 => whole,
            _ => self.with_title(title.saturating_sub(surplus)),
        }
    }

    fn with_title(&self, columns: usize) -> String {
        let mut text = format!("[{}/{}]", self.begun.len(), self.total);
        let Some((task, since)) = &self.at else {
            return format!("{text} {}", clock(self.began.elapsed()));
        };
        text.push_str(&format!(" {}", task.within(columns)));
        if let Some(block) = &self.block {
            text.push_str(&format!(" {}", self.counts(block)));
        } else if let Some(pause) = self.pause {
            text.push_str(&format!(" {pause}"));
        }
        text.push_str(&format!(" {}", clock(since.elapsed())));
        if let Some(eta) = self.eta() {
            text.push_str(&format!(" eta {}", clock(eta)));
        }
        text
    }

    /// Those of the block that run longest, one by one: `web07 12:04`.
    pub fn slowest(&self) -> Vec<String> {
        let all = self.longest();
        let named = all.iter().filter(|_| self.is_in_block());
        named
            .map(|r| format!("{} {}", safe_text::line(&r.name), clock(r.since.elapsed())))
            .collect()
    }

    /// How long the block will still take if the rest is like what has ended.
    fn eta(&self) -> Option<Duration> {
        let block = self.block.as_ref()?;
        let took = u32::try_from(block.took.len()).ok().filter(|n| *n > 0)?;
        let mean = block.took.iter().sum::<Duration>() / took;
        let left = block
            .total
            .checked_sub(block.over.len() + self.running.len())?;
        let of_running: Duration = self
            .running
            .values()
            .map(|r| mean.saturating_sub(r.since.elapsed()))
            .sum();
        let all = mean.checked_mul(u32::try_from(left).ok()?)? + of_running;
        let eta = all / u32::try_from(block.at_once.max(1)).ok()?;
        // Nothing is known of what takes longer than the others did.
        Some(eta).filter(|eta| !eta.is_zero())
    }

    /// Whole minutes since the run began.
    pub fn minutes(&self) -> u64 {
        self.began.elapsed().as_secs() / 60
    }

    /// `31m 940/1000 ok 12 failed 48 running, slowest web07 12:04`
    pub fn minute(&self) -> String {
        let minutes = self.minutes();
        let longest = self.longest();
        let slowest = longest
            .first()
            .map(|r| format!("{} {}", safe_text::line(&r.name), clock(r.since.elapsed())));
        match (&self.block, &self.at) {
            (Some(block), _) => {
                let slowest = slowest.map_or(String::new(), |s| format!(", slowest {s}"));
                format!("{minutes}m {}{slowest}", self.counts(block))
            }
            (None, Some((task, since))) => {
                let doing = self.pause.unwrap_or("running");
                let (begun, total) = (self.begun.len(), self.total);
                let time = clock(since.elapsed());
                let task = task.within(usize::MAX);
                format!("{minutes}m [{begun}/{total}] {task} {doing} {time}")
            }
            (None, None) => format!("{minutes}m"),
        }
    }

    /// For someone who asks: a line about the run, then what runs.
    pub fn answer(&self) -> Vec<String> {
        let total = clock(self.began.elapsed());
        let mut lines = vec![format!(
            "{}, {total} since the run began",
            self.with_title(usize::MAX)
        )];
        let longest = self.longest();
        for running in longest.iter().take(NAMED) {
            let time = clock(running.since.elapsed());
            lines.push(format!("  {} {time}", safe_text::line(&running.name)));
        }
        if longest.len() > NAMED {
            lines.push(format!("  and {} more", longest.len() - NAMED));
        }
        lines
    }
}

impl Block {
    fn new(total: usize, at_once: usize) -> Block {
        Block {
            total,
            at_once,
            over: HashMap::new(),
            took: Vec::new(),
            slow: HashSet::new(),
        }
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.over.values().for_each(|o| counts.add(*o));
        counts
    }

    /// The time that half of those that ended took at most.
    fn median(&self) -> Option<Duration> {
        if self.took.len() < ENOUGH {
            return None;
        }
        let mut took = self.took.clone();
        took.sort_unstable();
        Some(took[took.len() / 2])
    }
}

/// `0:41`, `12:04`, `1:02:03`
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// The same, with tenths where it is short.
fn fine(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{} s", seconds(time, 1)),
        _ => clock(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::result::TaskResult;

    fn about<'a>(label: &'a str, host: &'a str) -> About<'a> {
        About {
            task: 10,
            iteration: 1,
            attempt: 1,
            label,
            title: "",
            host,
            in_block: true,
        }
    }

    fn block_of(total: usize) -> Progress {
        let mut progress = Progress::new(12, Instant::now());
        let at_once = 2;
        progress.event(&Event::Block {
            about: About {
                title: "deploy",
                in_block: false,
                ..about("10", "")
            },
            total,
            at_once,
        });
        progress
    }

    #[test]
    fn a_tab_in_a_title_takes_one_column() {
        let mut progress = Progress::new(1, Instant::now());
        progress.event(&Event::Started {
            about: About {
                title: "make\tready",
                in_block: false,
                ..about("1", "")
            },
            exec: "local",
            command: "true",
            timeout: Duration::ZERO,
        });
        assert_eq!(progress.status(80), "[1/1] 1 make ready 0:00");
    }

    fn start(progress: &mut Progress, label: &str, host: &str) {
        progress.event(&Event::Started {
            about: about(label, host),
            exec: "ssh",
            command: "true",
            timeout: Duration::ZERO,
        });
    }

    fn finish(progress: &mut Progress, label: &str, outcome: Outcome) {
        let result = TaskResult {
            took: Duration::from_secs(60),
            ..TaskResult::without_process(outcome, 0, 1)
        };
        progress.event(&Event::Finished {
            about: about(label, ""),
            result: &result,
        });
    }

    #[test]
    fn a_block_is_counted_and_foretold() {
        let mut progress = block_of(6);
        for (label, host) in [("10.1", "w1"), ("10.2", "w2")] {
            start(&mut progress, label, host);
        }
        assert_eq!(
            progress.status(200),
            "[1/12] 10 deploy 0/6 ok 2 running 0:00"
        );
        finish(&mut progress, "10.1", Outcome::Ok);
        start(&mut progress, "10.3", "w3");
        // Two run for a minute yet, three come: five minutes by two.
        assert_eq!(
            progress.status(200),
            "[1/12] 10 deploy 1/6 ok 2 running 0:00 eta 2:29"
        );
        assert_eq!(progress.slowest(), ["w2 0:00", "w3 0:00"]);
        finish(&mut progress, "10.2", Outcome::Failed);
        let status = progress.status(200);
        assert!(status.contains("1/6 ok 1 failed 1 running"), "{status}");
        progress.event(&Event::Retry {
            about: about("10.2", "w2"),
            attempt: 1,
            of: 1,
            delay: Duration::ZERO,
        });
        let status = progress.status(200);
        assert!(status.contains("1/6 ok 1 running"), "{status}");
        let status = progress.status(44);
        assert!(
            status.starts_with("[1/12] 10 de\u{2026} 1/6 ok"),
            "{status}"
        );
        assert_eq!(progress.minute(), "0m 1/6 ok 1 running, slowest w3 0:00");
    }

    #[test]
    fn a_slow_host_is_named_once() {
        let mut progress = block_of(6);
        for n in 1..=4 {
            start(&mut progress, &format!("10.{n}"), &format!("w{n}"));
        }
        for n in 1..=3 {
            finish(&mut progress, &format!("10.{n}"), Outcome::Ok);
        }
        assert!(progress.event(&Event::Beat).is_empty());
        let since = Instant::now().checked_sub(Duration::from_secs(301));
        if let (Some(since), Some(w4)) = (since, progress.running.get_mut("10.4")) {
            w4.since = since;
            assert_eq!(
                progress.event(&Event::Beat),
                ["w4 is slow: 5:01 so far; the median of 3 others is 1:00"]
            );
        }
        assert!(progress.event(&Event::Beat).is_empty());
    }

    #[test]
    fn times_are_those_of_a_clock() {
        let of = |seconds| clock(Duration::from_secs(seconds));
        assert_eq!([of(0), of(724), of(3723)], ["0:00", "12:04", "1:02:03"]);
    }
}
