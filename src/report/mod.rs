//! What is said about a run: the console, the log, the records on disk.
//!
//! Reads the run's events; nothing here decides anything.
#![forbid(unsafe_code)]

pub mod account;
pub mod as_json;
pub mod axis;
pub mod clock;
pub mod console;
pub mod events;
pub mod fold;
pub mod history;
pub mod html;
pub mod live;
pub mod log;
pub mod outputs;
pub mod page;
pub mod paint;
pub mod progress;
pub mod project;
pub mod recap;
pub mod records;
pub mod show;
pub mod status;
pub mod story;
pub mod summary;
pub mod table;
pub mod timeline;
pub mod width;

use crate::run::event::Event;
use console::Console;
use events::Events;
use history::History;
use log::{Level, Log};
use outputs::Outputs;

/// Everyone who reads the events of a run.
pub struct Report {
    pub console: Console,
    pub log: Log,
    /// For another program that follows the run.
    pub events: Option<Events>,
    /// Where `--keep-output` is given.
    pub outputs: Option<Outputs>,
    /// Where `--report` is given.
    pub history: Option<History>,
}

impl Report {
    pub fn event(&mut self, event: &Event) {
        self.log.event(event);
        for slow in self.console.event(event) {
            self.log.say(Level::Warn, &slow);
        }
        self.follow(|events| events.event(event));
        if let Some(history) = &mut self.history {
            history.event(event);
        }
        let lost = self.outputs.as_mut().and_then(|o| o.event(event));
        self.tell_lost(lost);
    }

    /// Tells the program that follows the run; what it does not get is told once.
    pub fn follow(&mut self, tell: impl FnOnce(&mut Events)) {
        let lost = self.events.as_mut().and_then(|events| {
            tell(events);
            events.lost()
        });
        self.tell_lost(lost);
    }

    fn tell_lost(&mut self, lost: Option<String>) {
        if let Some(text) = lost {
            self.log.say(Level::Error, &text);
            self.console.complain(&format!("tasker: {text}\n"));
        }
    }
}
