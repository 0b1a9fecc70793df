//! What is said about a run: the console, the log, the records on disk.
//!
//! Reads the run's events; nothing here decides anything.
#![forbid(unsafe_code)]

pub mod clock;
pub mod console;
pub mod fold;
pub mod log;
pub mod paint;
pub mod project;
pub mod records;
pub mod show;
pub mod status;
pub mod story;
pub mod summary;

use crate::run::event::Event;
use console::Console;
use log::Log;

/// Everyone who reads the events of a run.
pub struct Report {
    pub console: Console,
    pub log: Log,
}

impl Report {
    pub fn event(&mut self, event: &Event) {
        self.log.event(event);
        self.console.event(event);
    }
}
