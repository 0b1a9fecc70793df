//! The deadline of a run (SPEC §6.5): nothing starts that may not end in time.
//!
//! The wall clock is read once, when the run begins. From then on only the runner's
//! clock counts, which nobody can set.
#![forbid(unsafe_code)]

use super::runner::Time;
use super::sys::{self, LocalTime};
use crate::task::Ix;
use crate::text::duration;
use crate::text::moment::Moment;
use std::time::{Duration, SystemTime};

#[derive(Clone, Debug)]
pub struct Deadline {
    /// When the run must have ended, on the runner's clock.
    pub at: Time,
    /// The time before it that is reserved for final tasks and the deadline task.
    pub reserved: Duration,
    /// `--deadline-task`
    pub task: Option<Ix>,
}

impl Deadline {
    /// When everything but the final tasks and the deadline task must have ended.
    pub fn limit(&self) -> Time {
        self.at.saturating_sub(self.reserved)
    }

    /// The time left until the limit; zero once it has passed.
    pub fn time_left(&self, now: Time) -> Duration {
        self.limit().saturating_sub(now)
    }

    /// Why something that takes up to `needs` cannot start now.
    pub fn overrun(&self, needs: Duration, now: Time) -> Option<String> {
        let left = self.time_left(now);
        (needs > left || left.is_zero()).then(|| {
            format!(
                "does not fit (needs {}, {} left)",
                duration::rough(needs),
                duration::rough(rounded_down(left))
            )
        })
    }
}

/// Rounds down to the unit that is shown, so that the time left never looks
/// sufficient when it is not.
fn rounded_down(left: Duration) -> Duration {
    let seconds = left.as_secs();
    Duration::from_secs(match seconds {
        0..3540 => seconds,
        3540.. => seconds / 60 * 60,
    })
}

/// The time from `now` to the moment; `None` if the moment has passed.
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
            // A day past the end of the month means the next month.
            soon.or_else(|| on(today.day + 1))
        }
    };
    left.filter(|left| !left.is_zero())
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

    #[test]
    fn what_does_not_fit_before_the_reserved_time_overruns() {
        let seconds = Duration::from_secs;
        let deadline = Deadline {
            at: seconds(100),
            reserved: seconds(30),
            task: None,
        };
        assert_eq!(deadline.overrun(seconds(20), seconds(50)), None);
        let why = deadline.overrun(seconds(21), seconds(50));
        assert_eq!(why.as_deref(), Some("does not fit (needs 21 s, 20 s left)"));
        let over = deadline.overrun(Duration::ZERO, seconds(70));
        assert!(over.is_some(), "nothing fits when no time is left");
    }
}
