//! Passes each event of a run to everything that reports it.
#![forbid(unsafe_code)]

use super::console::Console;
use super::event_stream::EventStream;
use super::history::History;
use super::log::{Log, LogLevel};
use super::output_files::OutputFiles;
use super::syslog::Syslog;
use crate::run::event::Event;

/// The reports of one run.
pub struct Reporter {
    pub console: Console,
    pub log: Log,
    /// With `--events`.
    pub events: Option<EventStream>,
    /// With `--keep-output`.
    pub outputs: Option<OutputFiles>,
    /// With `--syslog`.
    pub syslog: Option<Syslog>,
    /// With `--report`.
    pub history: Option<History>,
}

impl Reporter {
    pub fn event(&mut self, event: &Event) {
        self.log.event(event);
        for slow in self.console.event(event) {
            self.log.write(LogLevel::Warn, &slow);
        }
        self.follow(|events| events.event(event));
        self.tell_syslog(|syslog| syslog.event(event));
        if let Some(history) = &mut self.history {
            history.event(event);
        }
        let failure = self.outputs.as_mut().and_then(|o| o.event(event));
        self.report_failure(failure);
    }

    /// Writes to the event stream, if there is one. A failure is reported once.
    pub fn follow(&mut self, tell: impl FnOnce(&mut EventStream)) {
        let failure = self.events.as_mut().and_then(|events| {
            tell(events);
            events.take_failure()
        });
        self.report_failure(failure);
    }

    /// Tells syslog, if it is to hear of the run. A failure is reported once.
    pub fn tell_syslog(&mut self, tell: impl FnOnce(&mut Syslog)) {
        let failure = self.syslog.as_mut().and_then(|syslog| {
            tell(syslog);
            syslog.take_failure()
        });
        if let Some(text) = failure {
            self.warn(&text);
        }
    }

    /// A warning in the log, and on the console unless that is quiet.
    pub fn warn(&mut self, text: &str) {
        self.log.write(LogLevel::Warn, text);
        self.console.warn(text);
    }

    fn report_failure(&mut self, failure: Option<String>) {
        if let Some(text) = failure {
            self.log.write(LogLevel::Error, &text);
            self.console.complain(&format!("tasker: {text}\n"));
        }
    }
}
