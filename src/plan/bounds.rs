//! A longest and a likely time, and how they add up. Times that do not fit saturate.
#![forbid(unsafe_code)]

use std::time::Duration;

/// The longest time that something can take, and the likely one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bounds {
    /// `None` if there is no bound: a cycle of jumps, or a number known only during
    /// the run.
    pub worst: Option<Duration>,
    pub likely: Duration,
}

impl Bounds {
    pub const ZERO: Bounds = Bounds::exactly(Duration::ZERO);

    pub const fn exactly(time: Duration) -> Bounds {
        Bounds {
            worst: Some(time),
            likely: time,
        }
    }

    /// This and then the other.
    pub fn then(self, after: Bounds) -> Bounds {
        Bounds {
            worst: sum(self.worst, after.worst),
            likely: self.likely.saturating_add(after.likely),
        }
    }

    pub fn times(self, count: usize) -> Bounds {
        Bounds {
            worst: self.worst.map(|w| times(w, count)),
            likely: times(self.likely, count),
        }
    }

    /// Either of the two, whichever takes longer.
    pub fn or(self, other: Bounds) -> Bounds {
        Bounds {
            worst: longer(self.worst, other.worst),
            likely: self.likely.max(other.likely),
        }
    }
}

pub fn sum(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    Some(a?.saturating_add(b?))
}

fn longer(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    Some(a?.max(b?))
}

pub fn times(time: Duration, count: usize) -> Duration {
    time.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
}
