//! The deadline of a run (SPEC §6.5): nothing starts that may not end in time.
//!
//! The wall clock is read once, when the run begins; from then on only the
//! runner's clock counts, which nobody sets.
#![forbid(unsafe_code)]

use super::engine::Engine;
use super::runner::Time;
use super::step::Numbers;
use super::sys::{self, LocalTime};
use crate::exit;
use crate::plan::durations::{LIKELY, retry_waits};
use crate::task::Ix;
use crate::text::duration;
use crate::text::moment::Moment;
use std::time::{Duration, SystemTime};

/// The time that a run may use.
#[derive(Clone, Debug)]
pub struct Deadline {
    /// When it is over, on the runner's clock.
    pub at: Time,
    /// What of it final tasks and the deadline task are to have.
    pub kept: Duration,
    /// `--deadline-task`
    pub task: Option<Ix>,
}

impl Deadline {
    /// When everything else must have ended.
    fn limit(&self) -> Time {
        self.at.saturating_sub(self.kept)
    }
}

/// What became of the deadline in a run.
#[derive(Default)]
pub(super) struct Window {
    /// Why nothing starts any more.
    missed: Option<String>,
    /// What runs is what the time was kept for.
    in_kept: bool,
}

/// How long it is from `now` to the moment; nothing where that has passed.
pub fn until(moment: Moment, now: SystemTime) -> Option<Duration> {
    let on_wall = |year, month, day, hour, minute| {
        let time = LocalTime {
            year,
            month,
            day,
            hour,
            minute,
            second: 0,
            offset: 0,
        };
        sys::moment(time)?.duration_since(now).ok()
    };
    let left = match moment {
        Moment::In(time) => Some(time),
        Moment::At {
            year,
            month,
            day,
            hour,
            minute,
        } => on_wall(year, month, day, hour, minute),
        Moment::Clock { hour, minute } => {
            let today = sys::local_time(now);
            let on = |day| on_wall(today.year, today.month, day, hour, minute);
            let soon = on(today.day).filter(|left| !left.is_zero());
            // Of a day after the month's last the next month's is made.
            soon.or_else(|| on(today.day + 1))
        }
    };
    left.filter(|left| !left.is_zero())
}

impl Engine<'_> {
    /// What is left for the flow; nothing where there is no limit.
    pub(super) fn time_left(&self) -> Option<Duration> {
        let limit = self.limit()?;
        Some(limit.saturating_sub(self.runner.now()))
    }

    /// When the flow must have ended.
    pub(super) fn limit(&self) -> Option<Time> {
        let deadline = self.settings.deadline.as_ref()?;
        (!self.window.in_kept && !self.memory.in_finals).then(|| deadline.limit())
    }

    /// Why an attempt cannot start: with those after it, it may not end in time.
    pub(super) fn misfit(&self, attempt: u32, numbers: &Numbers) -> Option<String> {
        let left = self.time_left()?;
        let needs = needs(attempt, numbers);
        (needs > left || left.is_zero()).then(|| {
            format!(
                "does not fit (needs {}, {} left)",
                duration::rough(needs),
                duration::rough(whole(left))
            )
        })
    }

    /// From here on nothing starts; the first reason counts.
    pub(super) fn miss(&mut self, label: &str, cause: String) {
        if self.window.missed.is_none() {
            self.warn(label, &format!("the deadline: {cause}"));
            self.window.missed = Some(cause);
        }
    }

    /// Why nothing starts any more, where that is for the deadline.
    pub(super) fn missed(&self) -> Option<&str> {
        self.window.missed.as_deref()
    }

    /// After a walk that the deadline ended: the flow from the deadline task on,
    /// which has no limit; the run's exit code. The journal holds nothing of it,
    /// since a resumed run goes on where the deadline had stopped it.
    pub(super) fn after_deadline(&mut self, exit: i32) -> i32 {
        let deadline = self.settings.deadline.as_ref();
        let task = deadline.and_then(|deadline| deadline.task);
        let (Some(to), Some(_), exit::DEADLINE) = (task, self.missed(), exit) else {
            return exit;
        };
        let journal = self.memory.journal.take();
        let (turn, why) = (self.memory.turn, std::mem::take(&mut self.why));
        let missed = self.window.missed.take();
        self.window.in_kept = true;
        self.memory.muted = false;
        self.walk(to);
        self.window.missed = missed;
        self.memory.journal = journal;
        self.memory.turn = turn;
        self.complete = false;
        self.why = why;
        self.stopped.map_or(exit, |signal| exit::SIGNAL + signal)
    }
}

/// Rounded down to what is shown of it, so that it never looks as if it were
/// enough.
fn whole(left: Duration) -> Duration {
    let seconds = left.as_secs();
    Duration::from_secs(match seconds {
        0..3540 => seconds,
        3540.. => seconds / 60 * 60,
    })
}

/// The longest that the attempts from this one on take. A task that names no
/// timeout is believed to be as quick as most are.
fn needs(attempt: u32, numbers: &Numbers) -> Duration {
    let (timeout, retries) = (&numbers.timeout, &numbers.retries);
    let once = timeout.own.unwrap_or(timeout.default.min(LIKELY));
    let left = (retries.count + 1).saturating_sub(attempt);
    let wait = |count: u32| retry_waits(retries.delay, count as usize);
    let pauses = wait(retries.count).saturating_sub(wait(retries.count - left.min(retries.count)));
    let all = once.saturating_mul(left.saturating_add(1));
    let all = all.saturating_add(pauses);
    timeout.left.map_or(all, |of_block| all.min(of_block))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::moment::parse;

    fn left(text: &str, now: SystemTime) -> Option<Duration> {
        parse(text).ok().and_then(|moment| until(moment, now))
    }

    #[test]
    fn the_next_time_of_day_is_meant() {
        let now = SystemTime::now();
        let day = Duration::from_secs(25 * 3600);
        for text in ["00:00", "04:00", "12:30", "23:59"] {
            let left = left(text, now).expect("a time");
            assert!(left > Duration::ZERO && left <= day, "{text}: {left:?}");
            let then = sys::local_time(now + left + Duration::from_millis(1));
            assert_eq!(format!("{:02}:{:02}", then.hour, then.minute), text);
        }
    }

    #[test]
    fn a_moment_that_has_passed_is_none() {
        let now = SystemTime::now();
        assert_eq!(left("+0s", now), None);
        assert_eq!(left("2020-01-15T04:00", now), None);
        assert_eq!(left("+90s", now), Some(Duration::from_secs(90)));
        assert!(left("9999-12-31T23:59", now).is_some());
    }
}
