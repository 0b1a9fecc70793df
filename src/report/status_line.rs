//! The status line on a terminal: the last line, which is redrawn while everything
//! else scrolls above it (SPEC §6.6).
//!
//! The cursor always rests in its first column. Whether a terminal that is made
//! narrower wraps the line or cuts it, the cursor stays where the line begins, and
//! clearing from there to the end of the screen is right.
#![forbid(unsafe_code)]

use super::progress::Progress;
use super::{display_width, print};
use crate::run::sys;
use crate::task::mask::Mask;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Events redraw it at most this often.
const REDRAW_INTERVAL: Duration = Duration::from_millis(100);
/// A narrower terminal has no status line.
const NARROWEST: usize = 12;

const CLEAR: &str = "\r\x1b[J";
const RED: &str = "\x1b[31m";
const PLAIN: &str = "\x1b[0m";

pub struct StatusLine {
    mask: Mask,
    color: bool,
    /// Whether the line is on the screen.
    drawn: bool,
    last: Instant,
}

/// Whether standard output is a terminal that can redraw a line.
pub fn is_possible() -> bool {
    let term = std::env::var_os("TERM").filter(|t| !t.is_empty());
    term.is_some_and(|t| t != "dumb") && std::io::stdout().is_terminal()
}

impl StatusLine {
    pub fn new(mask: Mask, color: bool) -> StatusLine {
        StatusLine {
            mask,
            color,
            drawn: false,
            last: Instant::now(),
        }
    }

    /// Prints lines above the status line.
    pub fn above(&mut self, text: &str, progress: &Progress) {
        let line = self.line(progress);
        self.write(&format!("{CLEAR}{text}{line}"));
    }

    /// Redraws it, `now` or when it is due.
    pub fn redraw(&mut self, progress: &Progress, now: bool) {
        if now || self.last.elapsed() >= REDRAW_INTERVAL {
            let line = self.line(progress);
            self.write(&format!("\r{line}"));
        }
    }

    /// Removes it, at the end or before text goes to standard error.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            self.write(CLEAR);
        }
    }

    /// The line for the current width of the terminal, with the cursor back at its
    /// beginning.
    fn line(&mut self, progress: &Progress) -> String {
        self.last = Instant::now();
        let columns = sys::terminal_columns().unwrap_or(80);
        self.drawn = columns >= NARROWEST;
        if !self.drawn {
            return CLEAR.into();
        }
        // The last column stays free: some terminals wrap there.
        let room = columns - 1;
        let mut text = display_width::cut(&self.mask.apply(&progress.status(room)), room);
        for (number, name) in progress.slowest().iter().enumerate() {
            let name = self.mask.apply(name);
            let more = match number {
                0 => format!(" | {name}"),
                _ => format!(", {name}"),
            };
            if display_width::columns(&text) + display_width::columns(&more) > room {
                break;
            }
            text.push_str(&more);
        }
        format!("{}\x1b[J\r", self.colored(&text))
    }

    /// Shows failures in red.
    fn colored(&self, text: &str) -> String {
        let failed = text.find(" failed").filter(|_| self.color);
        let Some(end) = failed.map(|at| at + " failed".len()) else {
            return text.to_string();
        };
        let digits = text[..end - " failed".len()]
            .rfind(' ')
            .map_or(0, |at| at + 1);
        let (before, rest) = text.split_at(digits);
        let (red, after) = rest.split_at(end - digits);
        format!("{before}{RED}{red}{PLAIN}{after}")
    }

    /// Ignores errors: a closed terminal does not fail the run.
    fn write(&self, text: &str) {
        print::print(text);
    }
}
