//! The time axis above the timeline of the HTML report.
#![forbid(unsafe_code)]

use super::clock;
use super::history::History;
use super::html::Html;
use crate::text::decimal::{milliseconds, seconds};
use crate::text::duration;
use std::time::{Duration, SystemTime};

/// The time axis: its length and the distance of its ticks.
pub struct TimeAxis {
    pub whole: Duration,
    pub step: Duration,
}

impl TimeAxis {
    pub fn new(history: &History) -> TimeAxis {
        let last = history.stretches.iter().filter_map(|s| s.ended).max();
        let whole = last.unwrap_or_default().max(Duration::from_millis(1));
        TimeAxis {
            whole,
            step: step(whole),
        }
    }

    pub fn share(&self, at: Duration) -> f64 {
        (at.as_secs_f64() / self.whole.as_secs_f64()).min(1.0)
    }

    /// Draws it as the first row of the chart.
    pub fn draw(&self, html: &mut Html, from: SystemTime) {
        let stamp = clock::stamp(from);
        html.markup("<li class=\"axis\"><span class=\"n\">from ");
        html.line(stamp.split(' ').next_back().unwrap_or_default());
        html.markup("</span><svg>");
        let ticks = (milliseconds(self.whole) / milliseconds(self.step)) as u32;
        for number in 0..=ticks {
            let share = self.share(self.step * number);
            // Labels at the ends must not overflow. A narrow page shows half of them.
            let class = match number {
                0 => "first",
                _ if share > 0.94 => "last",
                n if n % 2 == 1 => "odd",
                _ => "even",
            };
            html.markup("<text class=\"").markup(class);
            html.markup("\" y=\"14\" x=\"").percent(share).markup("\">");
            html.line(&self.tick(number)).markup("</text>");
        }
        html.markup("</svg></li>\n");
    }

    fn tick(&self, number: u32) -> String {
        let at = self.step * number;
        let ms = milliseconds(self.step);
        match (number, ms) {
            (0, _) => "0".into(),
            _ if self.whole >= Duration::from_secs(60) => match ms {
                0..1000 => format!("{} s", seconds(at, 1)),
                _ => minutes(at),
            },
            (_, 1000..) => format!("{} s", at.as_secs()),
            (_, 100..) => format!("{} s", seconds(at, 1)),
            (_, 10..) => format!("{} s", seconds(at, 2)),
            _ => format!("{} ms", milliseconds(at)),
        }
    }
}

/// `0:30`, `12:00`, `1:30:00`
fn minutes(at: Duration) -> String {
    let seconds = at.as_secs();
    match seconds {
        0..60 => format!("0:{seconds:02}"),
        _ => duration::show(at),
    }
}

/// The distance of the ticks: a round number, so that there are at most eight.
fn step(whole: Duration) -> Duration {
    const SECONDS: [u64; 18] = [
        1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200,
        86_400,
    ];
    const MILLISECONDS: [u64; 9] = [1, 2, 5, 10, 20, 50, 100, 200, 500];
    let steps = MILLISECONDS
        .into_iter()
        .chain(SECONDS.map(|s| s * 1000))
        .map(Duration::from_millis);
    let day = Duration::from_secs(86_400);
    steps
        .into_iter()
        .find(|step| *step * 8 >= whole)
        .unwrap_or_else(|| day * whole.as_secs().div_ceil(8 * 86_400) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers() {
        let ticks = |ms: u64| {
            let whole = Duration::from_millis(ms);
            let scale = TimeAxis {
                whole,
                step: step(whole),
            };
            let count = (ms / milliseconds(scale.step)) as u32;
            (0..=count)
                .map(|n| scale.tick(n))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(ticks(7), "0 1 ms 2 ms 3 ms 4 ms 5 ms 6 ms 7 ms");
        assert_eq!(
            ticks(150),
            "0 0.02 s 0.04 s 0.06 s 0.08 s 0.10 s 0.12 s 0.14 s"
        );
        assert_eq!(ticks(12_300), "0 2 s 4 s 6 s 8 s 10 s 12 s");
        assert_eq!(ticks(200_000), "0 0:30 1:00 1:30 2:00 2:30 3:00");
        assert_eq!(ticks(9_000_000), "0 30:00 1:00:00 1:30:00 2:00:00 2:30:00");
        assert!(ticks(86_400_000 * 40).ends_with(" 960:00:00"));
    }
}
