//! Prints to standard output and standard error. A closed or full stream is never
//! an error here: there is nowhere left to report it. Nor does one that nobody reads hold
//! up the end of a run: after a signal it is given up.
#![forbid(unsafe_code)]

use crate::run::{interrupt, sys};
use std::fmt::Arguments;
use std::io::ErrorKind::{Interrupted, WouldBlock};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How long a stream is waited for once a signal has come.
const AFTER_SIGNAL: Duration = Duration::from_secs(2);
/// How often it is looked whether one has come.
const LOOK: Duration = Duration::from_millis(200);
/// What a pipe that is ready takes at once, in bytes.
const AT_ONCE: usize = 4096;

/// A stream, and whether nobody reads it.
struct Output {
    fd: RawFd,
    given_up: AtomicBool,
}

static STDOUT: Output = Output {
    fd: 1,
    given_up: AtomicBool::new(false),
};
static STDERR: Output = Output {
    fd: 2,
    given_up: AtomicBool::new(false),
};

impl Output {
    fn write(&self, text: &str) {
        let mut left = text.as_bytes();
        while !left.is_empty() {
            if self.given_up.load(Relaxed) || !self.is_ready() {
                self.given_up.store(true, Relaxed);
                return;
            }
            match sys::write_some(self.fd, &left[..left.len().min(AT_ONCE)]) {
                Ok(written) => left = &left[written..],
                Err(e) if matches!(e.kind(), Interrupted | WouldBlock) => {}
                Err(_) => return,
            }
        }
    }

    /// Waits until it takes something; false once it is given up.
    fn is_ready(&self) -> bool {
        let mut signalled: Option<Instant> = None;
        loop {
            // What cannot be waited for is tried.
            if sys::poll(&[], self.fd, Some(LOOK)).map_or(true, |ready| ready != 0) {
                return true;
            }
            if interrupt::signals() > 0 {
                let since = *signalled.get_or_insert_with(Instant::now);
                if since.elapsed() >= AFTER_SIGNAL {
                    return false;
                }
            }
        }
    }
}

/// Prints to standard output.
pub fn print(text: &str) {
    STDOUT.write(text);
}

/// Prints a line to standard error. (`eprintln!` would panic.)
pub fn complain(text: Arguments) {
    complain_raw(format_args!("{text}\n"));
}

/// Prints to standard error text that has its line ends.
pub fn complain_raw(text: Arguments) {
    STDERR.write(&text.to_string());
}
