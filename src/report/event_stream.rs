//! `--events`: the events of a run for another program (SPEC §6.6), one JSON object
//! per line, each in one write. Outputs are not included; they are in the log.
#![forbid(unsafe_code)]

use super::{clock, destination, endings};
use crate::exit;
use crate::outcome::{Counts, Outcome};
use crate::run::event::{About, Event};
use crate::run::interrupt::{SignalLevel, signal_name};
use crate::run::result::TaskResult;
use crate::run::run_end::RunEnd;
use crate::run::sys;
use crate::task::mask::Mask;
use crate::text::diagnostic::{cannot, reason};
use crate::text::json::Json;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// The version of the format: fields may be added, but none changes or is removed.
const VERSION: i64 = 1;

/// How long a reader may leave a pipe full before lines are dropped.
const PATIENCE: Duration = Duration::from_secs(5);

pub struct EventStream {
    file: File,
    path: PathBuf,
    mask: Mask,
    run_id: String,
    opened: Instant,
    /// How long to wait for a full pipe.
    patience: Duration,
    /// Whether the last line was written only in part.
    torn: bool,
    /// Whether a write has failed.
    failed: bool,
    /// The first failure, until `take_failure`.
    failure: Option<String>,
}

/// The contents of the first line.
pub struct StreamHead<'a> {
    pub run_id: &'a str,
    pub task_file: &'a str,
    pub sha256: &'a str,
    pub plan: &'a str,
    pub project: Option<&'a str>,
    /// The global `CHANGE`.
    pub change: Option<&'a str>,
    pub tasks: usize,
    pub log_file: &'a str,
    /// Whether an earlier run is resumed.
    pub resumed: bool,
}

impl EventStream {
    /// Opens the file to append lines, and creates it if it does not exist.
    ///
    /// # Errors
    /// It cannot be opened, or is a FIFO without a reader.
    pub fn open(path: &Path, mask: Mask) -> io::Result<EventStream> {
        let file = destination::open_to_append(path).map_err(|e| {
            let e = match e.raw_os_error() {
                Some(sys::ENXIO) => io::Error::other("no process reads it; start its reader first"),
                _ => e,
            };
            io::Error::new(e.kind(), format!("--events: {}", cannot("open", path)(e)))
        })?;
        Ok(EventStream {
            file,
            path: path.to_path_buf(),
            mask,
            run_id: String::new(),
            opened: Instant::now(),
            patience: PATIENCE,
            torn: false,
            failed: false,
            failure: None,
        })
    }

    /// Writes the first line.
    pub fn begin(&mut self, head: &StreamHead) {
        self.run_id = head.run_id.to_string();
        self.write_event("run_started", |line| {
            line.string("task_file", head.task_file);
            line.string("sha256", head.sha256);
            line.string("version", env!("CARGO_PKG_VERSION"));
            line.string("plan", head.plan);
            line.optional_string("project", head.project);
            line.optional_string("change", head.change);
            line.number("tasks", head.tasks as u64);
            line.string("log_file", head.log_file);
            line.number("pid", u64::from(std::process::id()));
            line.json.boolean("resumed", head.resumed);
        });
    }

    pub fn event(&mut self, event: &Event) {
        match event {
            Event::Routed { from, to, why } => self.write_event("routed", |line| {
                line.number("from", u64::from(*from));
                line.route(*to);
                line.string("why", why);
            }),
            Event::Finals => self.write_event("finals_started", |_| {}),
            Event::Warning { label, text } => self.write_event("warning", |line| {
                line.string("label", label);
                line.string("text", text);
            }),
            Event::Interrupted {
                signal,
                level,
                running,
            } => self.write_event("interrupted", |line| {
                line.string("signal", signal_name(*signal));
                line.string("level", level_name(*level));
                line.words("running", running);
            }),
            _ => self.task_event(event),
        }
    }

    fn task_event(&mut self, event: &Event) {
        match event {
            Event::Started {
                about,
                exec,
                command,
                timeout,
                connects,
            } => self.write_task_event("task_started", about, |line| {
                line.string("exec", exec);
                line.string("command", command);
                line.json.seconds("timeout_seconds", Some(*timeout));
                line.json.boolean("connects", *connects);
            }),
            Event::Connected { about } => self.write_task_event("connected", about, |_| {}),
            Event::Block {
                about,
                total,
                at_once,
                kept,
                ..
            } => self.write_task_event("block_started", about, |line| {
                line.number("total", *total as u64);
                line.number("at_once", *at_once as u64);
                line.number("done_before", kept.len() as u64);
            }),
            Event::Branch {
                about,
                holds,
                begins_at,
                tasks,
            } => self.write_task_event("branch", about, |line| {
                line.json.boolean("condition", *holds);
                match begins_at {
                    Some(id) => line.number("begins_at", u64::from(*id)),
                    None => line.json.null("begins_at"),
                }
                line.number("tasks", *tasks as u64);
            }),
            Event::Finished { about, result } if result.members.is_empty() => {
                self.write_task_event("task_finished", about, |line| line.result(result));
            }
            Event::Finished { about, result } | Event::BlockFinished { about, result } => {
                self.write_task_event("block_finished", about, |line| {
                    line.result(result);
                    line.counts(&result.counts());
                });
            }
            Event::Skipped { about } => self.write_task_event("task_skipped", about, |_| {}),
            Event::Restored { about, result } => {
                self.write_task_event("task_restored", about, |line| line.result(result));
            }
            Event::Retry {
                about, of, delay, ..
            } => self.write_task_event("retry", about, |line| {
                line.number("of", u64::from(*of));
                line.json.seconds("delay_seconds", Some(*delay));
            }),
            Event::Sleep { about, time } => self.write_task_event("sleep", about, |line| {
                line.json.seconds("delay_seconds", Some(*time));
            }),
            _ => {}
        }
    }

    /// Writes the last line.
    pub fn end(&mut self, end: &RunEnd) {
        self.write_event("run_ended", |line| {
            line.end(
                end.exit,
                &end.results.counts(),
                end.took,
                end.signal,
                &end.why,
            );
        });
    }

    /// Writes the last line of a run that was refused after the first line.
    pub fn refused(&mut self, code: i32, why: &str) {
        let took = self.opened.elapsed();
        // No command has run, so a code above 128 means a signal to tasker.
        let signal = Some(code - exit::SIGNAL).filter(|s| *s > 0);
        self.write_event("run_ended", |line| {
            line.end(code, &Counts::default(), took, signal, why);
        });
    }

    fn write_task_event(&mut self, event: &str, about: &About, fill: impl FnOnce(&mut EventLine)) {
        self.write_event(event, |line| {
            line.task(about);
            fill(line);
        });
    }

    fn write_event(&mut self, event: &str, fill: impl FnOnce(&mut EventLine)) {
        let object = Json::object(|json| {
            let mask = &self.mask;
            let line = &mut EventLine { json, mask };
            line.json.number("v", VERSION);
            line.string("time", &clock::rfc3339(SystemTime::now()));
            line.string("run", &self.run_id);
            line.string("event", event);
            fill(line);
        });
        let before = if self.torn { "\n" } else { "" };
        self.write(format!("{before}{object}\n").as_bytes());
    }

    /// Writes a line. The first failure is kept; the run continues.
    fn write(&mut self, line: &[u8]) {
        let mut written = 0;
        let result = self.write_within(line, &mut written);
        if written > 0 {
            self.torn = written < line.len();
        }
        let Err(e) = result else { return };
        let why = match e.kind() {
            ErrorKind::WouldBlock => {
                // Do not wait for this reader again.
                self.patience = Duration::ZERO;
                "its reader is not reading".into()
            }
            _ => reason(&e),
        };
        if !std::mem::replace(&mut self.failed, true) {
            let path = self.path.display();
            self.failure = Some(format!(
                "cannot write events to `{path}`: {why}; the run continues without them"
            ));
        }
    }

    /// Why lines could not be written; reported once.
    pub fn take_failure(&mut self) -> Option<String> {
        self.failure.take()
    }

    /// A file takes the line in one write. If a pipe is full, waits for its reader
    /// as long as `patience` allows.
    fn write_within(&self, line: &[u8], written: &mut usize) -> io::Result<()> {
        let until = Instant::now() + self.patience;
        while *written < line.len() {
            match (&self.file).write(&line[*written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => *written += count,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock && Instant::now() < until => {
                    let left = until.saturating_duration_since(Instant::now());
                    sys::poll(&[], self.file.as_raw_fd(), Some(left))?;
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

fn level_name(level: SignalLevel) -> &'static str {
    match level {
        SignalLevel::None | SignalLevel::Drain => "drain",
        SignalLevel::End => "end",
        SignalLevel::Kill => "kill",
    }
}

/// A line being built. Text is masked before it is quoted, so that no secret
/// remains in its escaped form.
struct EventLine<'a, 'w> {
    json: &'a mut Json<'w>,
    mask: &'a Mask,
}

impl EventLine<'_, '_> {
    fn string(&mut self, key: &str, value: &str) {
        self.json.string(key, &self.mask.apply(value));
    }

    fn optional_string(&mut self, key: &str, value: Option<&str>) {
        let value = value.map(|v| self.mask.apply(v));
        self.json.optional_string(key, value.as_deref());
    }

    fn number(&mut self, key: &str, value: u64) {
        self.json
            .number(key, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn words(&mut self, key: &str, words: &[String]) {
        let mask = self.mask;
        self.json.array(key, |json| {
            words.iter().for_each(|w| json.item_string(&mask.apply(w)));
        });
    }

    fn task(&mut self, about: &About) {
        self.number("task", u64::from(about.task));
        self.string("label", about.label);
        self.string("title", about.title);
        self.string("host", about.host);
        self.number("attempt", u64::from(about.attempt));
        self.number("iteration", u64::from(about.iteration));
    }

    /// How a task ended, with the sizes of its outputs.
    fn result(&mut self, result: &TaskResult) {
        self.string("outcome", result.outcome.as_str());
        self.json.number("exit_code", i64::from(result.exit));
        self.json.boolean("success", result.success);
        self.json.boolean("timed_out", result.timed_out);
        self.number("attempts", u64::from(result.attempts));
        self.json.seconds("duration_seconds", Some(result.took));
        self.json.seconds("cpu_seconds", Some(result.cpu));
        self.number("peak_memory_bytes", result.peak_kib << 10);
        self.number("stdout_bytes", result.stdout.len());
        self.number("stderr_bytes", result.stderr.len());
        self.string("cause", &result.cause);
        self.json
            .optional_string("stdout_lost", result.stdout.lost());
        self.json
            .optional_string("stderr_lost", result.stderr.lost());
        self.json.seconds("connect_seconds", result.connect_time());
    }

    fn counts(&mut self, counts: &Counts) {
        self.json.object_member("counts", |json| {
            for outcome in Outcome::ALL {
                json.number(outcome.as_str(), counts.count(outcome) as i64);
            }
        });
    }

    fn route(&mut self, to: Result<u32, i32>) {
        match to {
            Ok(task) => {
                self.number("to", u64::from(task));
                self.json.null("exit_code");
            }
            Err(code) => {
                self.json.null("to");
                self.json.number("exit_code", i64::from(code));
            }
        }
    }

    fn end(&mut self, code: i32, counts: &Counts, took: Duration, signal: Option<i32>, why: &str) {
        self.json.number("exit_code", i64::from(code));
        self.string("status", endings::status(code));
        self.optional_string("signal", signal.map(signal_name));
        self.string("why", why);
        self.counts(counts);
        self.json.seconds("duration_seconds", Some(took));
    }
}
