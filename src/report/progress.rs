//! The progress of a run, for the status line, the line a minute and the answer to
//! SIGUSR1 (SPEC §6.6).
#![forbid(unsafe_code)]

use super::{clock, display_width, safe_text};
use crate::outcome::{Counts, Outcome};
use crate::run::event::{About, Event};
use crate::text::decimal::seconds;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// A subtask is slow once it has run this many times the median of the others.
const SLOW: u32 = 5;
/// A subtask is not slow before this time.
const NEVER_SLOW: Duration = Duration::from_secs(5);
/// How many others must have ended for a meaningful median.
const ENOUGH: usize = 3;
/// How many running commands the answer to SIGUSR1 lists.
const LISTED: usize = 20;

pub struct Progress {
    began: Instant,
    /// The number of tasks in the file, and the sorted ids of those that have begun.
    total: usize,
    begun: Vec<u32>,
    /// The current task of the flow, and since when.
    at: Option<(TaskName, Instant)>,
    block: Option<BlockProgress>,
    /// Running commands, by label.
    running: HashMap<String, RunningCommand>,
    /// What the flow is doing while it runs nothing.
    pause: Option<&'static str>,
}

/// The label and title of a task: `10`, `deploy`.
struct TaskName {
    label: String,
    title: String,
}

impl TaskName {
    /// `10 deploy`, the title cut to `columns`.
    fn within(&self, columns: usize) -> String {
        match display_width::cut(&self.title, columns) {
            title if title.is_empty() => self.label.clone(),
            title => format!("{} {title}", self.label),
        }
    }
}

struct RunningCommand {
    /// `web07`, or `task 12`.
    name: String,
    since: Instant,
    /// Its host has not answered: its own time has not begun.
    connects: bool,
}

impl RunningCommand {
    /// `web07 12:04`, `web07 connecting 0:12`
    fn line(&self) -> String {
        let name = safe_text::line(&self.name);
        let connecting = if self.connects { " connecting" } else { "" };
        format!(
            "{name}{connecting} {}",
            clock::elapsed(self.since.elapsed())
        )
    }
}

/// The running parallel block.
struct BlockProgress {
    total: usize,
    at_once: usize,
    /// The outcome of each finished subtask, by label.
    over: HashMap<String, Outcome>,
    /// The times of those that ended by themselves.
    took: Vec<Duration>,
    /// Labels of those already reported as slow.
    slow: HashSet<String>,
}

impl Progress {
    /// For a run of `total` tasks.
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

    /// Updates the progress. Returns a line for each subtask that turns out to be slow.
    pub fn event(&mut self, event: &Event) -> Vec<String> {
        match event {
            Event::Started {
                about, connects, ..
            } => self.started(about, *connects),
            Event::Connected { about } => {
                if let Some(running) = self.running.get_mut(about.label) {
                    (running.since, running.connects) = (Instant::now(), false);
                }
            }
            Event::Block {
                about,
                total,
                at_once,
                ..
            } => {
                self.arrive(about);
                self.block = Some(BlockProgress::new(*total, *at_once));
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
        let place = TaskName {
            label: about.label.to_string(),
            // A tab would move to a column that the status line does not account for.
            title: safe_text::line(about.title).replace('\t', " "),
        };
        self.at = Some((place, Instant::now()));
    }

    fn started(&mut self, about: &About, connects: bool) {
        self.begin(about.task);
        if self.block.is_none() {
            self.arrive(about);
        }
        let name = match about.host {
            "" | "localhost" => format!("task {}", about.label),
            host => host.to_string(),
        };
        let running = RunningCommand {
            name,
            since: Instant::now(),
            connects,
        };
        self.running.insert(about.label.to_string(), running);
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

    /// Reports once each subtask that is slow compared with the others.
    fn slow(&mut self) -> Vec<String> {
        let Some(block) = &mut self.block else {
            return Vec::new();
        };
        let Some(median) = block.median() else {
            return Vec::new();
        };
        let limit = (median * SLOW).max(NEVER_SLOW);
        let others = block.took.len();
        let mut lines = Vec::new();
        for (label, running) in &self.running {
            let so_far = running.since.elapsed();
            if so_far > limit && !running.connects && block.slow.insert(label.clone()) {
                lines.push(format!(
                    "{} is slow: {} so far; the median of {others} others is {}",
                    safe_text::line(&running.name),
                    clock::elapsed(so_far),
                    fine(median)
                ));
            }
        }
        lines.sort_unstable();
        lines
    }

    fn is_in_block(&self) -> bool {
        self.block.is_some()
    }

    /// Running commands, the oldest first, those that still connect last.
    fn longest(&self) -> Vec<&RunningCommand> {
        let mut all: Vec<&RunningCommand> = self.running.values().collect();
        all.sort_unstable_by(|a, b| {
            let times = || a.since.cmp(&b.since).then_with(|| a.name.cmp(&b.name));
            a.connects.cmp(&b.connects).then_with(times)
        });
        all
    }

    /// `45/100 ok 3 failed 2 running`
    fn counts(&self, block: &BlockProgress) -> String {
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

    /// The status line without the slowest subtasks. The title is cut to fit into
    /// `columns` if possible.
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
            return format!("{text} {}", clock::elapsed(self.began.elapsed()));
        };
        text.push_str(&format!(" {}", task.within(columns)));
        if let Some(block) = &self.block {
            text.push_str(&format!(" {}", self.counts(block)));
        } else if let Some(pause) = self.pause {
            text.push_str(&format!(" {pause}"));
        }
        text.push_str(&format!(" {}", clock::elapsed(since.elapsed())));
        if let Some(eta) = self.eta() {
            text.push_str(&format!(" eta {}", clock::elapsed(eta)));
        }
        text
    }

    /// The running subtasks of the block, the oldest first: `web07 12:04`.
    pub fn slowest(&self) -> Vec<String> {
        let all = self.longest();
        let named = all.iter().filter(|r| self.is_in_block() && !r.connects);
        named.map(|running| running.line()).collect()
    }

    /// The remaining time of the block, if the rest takes as long as the finished part.
    fn eta(&self) -> Option<Duration> {
        let block = self.block.as_ref()?;
        let took = u32::try_from(block.took.len()).ok().filter(|n| *n > 0)?;
        let mean = block.took.iter().sum::<Duration>() / took;
        let left = block
            .total
            .checked_sub(block.over.len() + self.running.len())?;
        let running: Duration = self
            .running
            .values()
            .map(|r| match r.connects {
                true => mean,
                false => mean.saturating_sub(r.since.elapsed()),
            })
            .sum();
        let all = mean.checked_mul(u32::try_from(left).ok()?)? + running;
        let eta = all / u32::try_from(block.at_once.max(1)).ok()?;
        // Subtasks that take longer than the others cannot be predicted.
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
        let slowest = longest.first().filter(|r| !r.connects).map(|r| r.line());
        match (&self.block, &self.at) {
            (Some(block), _) => {
                let slowest = slowest.map_or(String::new(), |s| format!(", slowest {s}"));
                format!("{minutes}m {}{slowest}", self.counts(block))
            }
            (None, Some((task, since))) => {
                let doing = self.pause.unwrap_or("running");
                let (begun, total) = (self.begun.len(), self.total);
                let time = clock::elapsed(since.elapsed());
                let task = task.within(usize::MAX);
                format!("{minutes}m [{begun}/{total}] {task} {doing} {time}")
            }
            (None, None) => format!("{minutes}m"),
        }
    }

    /// The answer to SIGUSR1: a line about the run, then the running commands.
    pub fn answer(&self) -> Vec<String> {
        let total = clock::elapsed(self.began.elapsed());
        let mut lines = vec![format!(
            "{}, {total} since the run began",
            self.with_title(usize::MAX)
        )];
        let longest = self.longest();
        for running in longest.iter().take(LISTED) {
            lines.push(format!("  {}", running.line()));
        }
        if longest.len() > LISTED {
            lines.push(format!("  and {} more", longest.len() - LISTED));
        }
        lines
    }
}

impl BlockProgress {
    fn new(total: usize, at_once: usize) -> BlockProgress {
        BlockProgress {
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

    /// The median time of the finished subtasks.
    fn median(&self) -> Option<Duration> {
        if self.took.len() < ENOUGH {
            return None;
        }
        let mut took = self.took.clone();
        took.sort_unstable();
        Some(took[took.len() / 2])
    }
}

/// The same, with tenths if it is short.
fn fine(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{} s", seconds(time, 1)),
        _ => clock::elapsed(time),
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
            kept: &[],
            open: &[],
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
            connects: false,
        });
        assert_eq!(progress.status(80), "[1/1] 1 make ready 0:00");
    }

    fn start(progress: &mut Progress, label: &str, host: &str) {
        progress.event(&Event::Started {
            about: about(label, host),
            exec: "ssh",
            command: "true",
            timeout: Duration::ZERO,
            connects: false,
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
    fn a_block_is_counted_and_predicted() {
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
        // Two more minutes for two running, three to come: five minutes, two at once.
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
    fn a_host_that_connects_is_neither_slow_nor_the_slowest() {
        let mut progress = block_of(6);
        for n in 1..=4 {
            let label = format!("10.{n}");
            start(&mut progress, &label, "w");
            finish(&mut progress, &label, Outcome::Ok);
        }
        let about = about("10.5", "w5");
        progress.event(&Event::Started {
            about,
            exec: "ssh",
            command: "true",
            timeout: Duration::ZERO,
            connects: true,
        });
        let long_ago = Instant::now().checked_sub(Duration::from_secs(900));
        let running = progress.running.get_mut("10.5").expect("it runs");
        running.since = long_ago.expect("a clock that ran so long");
        assert!(progress.event(&Event::Beat).is_empty());
        assert_eq!(progress.slowest(), [""; 0]);
        assert_eq!(progress.minute(), "0m 4/6 ok 1 running");
        assert!(progress.answer()[1].starts_with("  w5 connecting 15:0"));
        progress.event(&Event::Connected { about });
        assert_eq!(progress.slowest(), ["w5 0:00"]);
        assert_eq!(progress.minute(), "0m 4/6 ok 1 running, slowest w5 0:00");
    }

    #[test]
    fn a_slow_host_is_reported_once() {
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
}
