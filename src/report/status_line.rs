//! The status line on a terminal: the last line, redrawn; what else is printed
//! scrolls above it (SPEC §6.6).
//!
//! The cursor always rests in its first column. So a terminal that is made
//! narrower, and breaks the line, leaves the cursor where all of the line begins,
//! and one that cuts it does the same; clearing from there to the end of the
//! screen is right for both.
#![forbid(unsafe_code)]

use super::display_width;
use super::progress::Progress;
use crate::run::sys;
use crate::task::mask::Mask;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// EventStream do not redraw it more often than this.
const SELDOM: Duration = Duration::from_millis(100);
/// A terminal narrower than this has none.
const NARROW: usize = 12;

const CLEAR: &str = "\r\x1b[J";
const RED: &str = "\x1b[31m";
const PLAIN: &str = "\x1b[0m";

pub struct StatusLine {
    mask: Mask,
    color: bool,
    /// What stands there now; nothing where it is cleared.
    drawn: bool,
    last: Instant,
}

/// Whether standard output can show a line that is redrawn.
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

    /// Draws it anew; for an event only when that is due.
    pub fn redraw(&mut self, progress: &Progress, now: bool) {
        if now || self.last.elapsed() >= SELDOM {
            let line = self.line(progress);
            self.write(&format!("\r{line}"));
        }
    }

    /// Takes it away, for good or for what goes to standard error.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            self.write(CLEAR);
        }
    }

    /// The line for the terminal as wide as it is now, the cursor back at its
    /// beginning.
    fn line(&mut self, progress: &Progress) -> String {
        self.last = Instant::now();
        let columns = sys::terminal_columns().unwrap_or(80);
        self.drawn = columns >= NARROW;
        if !self.drawn {
            return CLEAR.into();
        }
        // The last column stays free: some terminals go on to the next line there.
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
        format!("{}\x1b[J\r", self.painted(&text))
    }

    /// Failures in red.
    fn painted(&self, text: &str) -> String {
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

    /// A terminal that is gone is no failure of the run.
    fn write(&self, text: &str) {
        let mut out = std::io::stdout();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}
