//! The events of a run for another program (SPEC §6.6): one JSON object a line,
//! each in one write. Knows the run only by its events; outputs are in the log.
#![forbid(unsafe_code)]

use super::clock;
use crate::exit;
use crate::outcome::{Counts, Outcome};
use crate::run::engine::RunEnd;
use crate::run::event::{About, Event};
use crate::run::interrupt::{Level, signal_name};
use crate::run::result::TaskResult;
use crate::run::sys;
use crate::task::mask::Mask;
use crate::text::json::Json;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// The version of the lines: a field may come in addition, none goes or changes.
const VERSION: i64 = 1;

/// How long a reader may leave a full pipe unread before lines are left out.
const PATIENCE: Duration = Duration::from_secs(5);

pub struct EventStream {
    file: File,
    path: PathBuf,
    mask: Mask,
    run_id: String,
    opened: Instant,
    /// How long a full pipe is waited for.
    patience: Duration,
    /// Whether the last line ends in its middle.
    torn: bool,
    /// Whether a failed write was noticed already.
    failed: bool,
    /// What is to be told of that.
    lost: Option<String>,
}

/// What the first line tells.
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
    /// It goes on with an earlier run.
    pub resumed: bool,
}

impl EventStream {
    /// Opens the file to add lines to it; makes it where it is not there.
    ///
    /// # Errors
    /// That it cannot be opened, also a FIFO that nobody reads.
    pub fn open(path: &Path, mask: Mask) -> io::Result<EventStream> {
        let file = open(path).map_err(|e| {
            let why = match e.raw_os_error() {
                Some(sys::ENXIO) => "nobody reads it; start its reader first".into(),
                _ => e.to_string(),
            };
            let path = path.display();
            io::Error::new(e.kind(), format!("cannot open `{path}` for events: {why}"))
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
            lost: None,
        })
    }

    /// Tells that the run begins.
    pub fn begin(&mut self, head: &StreamHead) {
        self.run_id = head.run_id.to_string();
        self.say("run_started", |line| {
            line.text("task_file", head.task_file);
            line.text("sha256", head.sha256);
            line.text("version", env!("CARGO_PKG_VERSION"));
            line.text("plan", head.plan);
            line.maybe_text("project", head.project);
            line.maybe_text("change", head.change);
            line.number("tasks", head.tasks as u64);
            line.text("log_file", head.log_file);
            line.number("pid", u64::from(std::process::id()));
            line.json.boolean("resumed", head.resumed);
        });
    }

    pub fn event(&mut self, event: &Event) {
        match event {
            Event::Routed { from, to, why } => self.say("routed", |line| {
                line.number("from", u64::from(*from));
                line.route(*to);
                line.text("why", why);
            }),
            Event::Finals => self.say("finals_started", |_| {}),
            Event::Warning { label, text } => self.say("warning", |line| {
                line.text("label", label);
                line.text("text", text);
            }),
            Event::Interrupted {
                signal,
                level,
                running,
            } => self.say("interrupted", |line| {
                line.text("signal", signal_name(*signal));
                line.text("level", level_name(*level));
                line.words("running", running);
            }),
            Event::Started { .. }
            | Event::Block { .. }
            | Event::Branch { .. }
            | Event::Finished { .. }
            | Event::BlockFinished { .. }
            | Event::Skipped { .. }
            | Event::Restored { .. }
            | Event::Retry { .. }
            | Event::Sleep { .. } => self.of_task(event),
            Event::Debug { .. } | Event::Beat | Event::Asked => {}
        }
    }

    /// What happens to one task; the others are told already.
    fn of_task(&mut self, event: &Event) {
        match event {
            Event::Started {
                about,
                exec,
                command,
                timeout,
            } => self.say_of("task_started", about, |line| {
                line.text("exec", exec);
                line.text("command", command);
                line.json.seconds("timeout_seconds", Some(*timeout));
            }),
            Event::Block {
                about,
                total,
                at_once,
            } => self.say_of("block_started", about, |line| {
                line.number("total", *total as u64);
                line.number("at_once", *at_once as u64);
            }),
            Event::Branch {
                about,
                holds,
                tasks,
            } => self.say_of("branch", about, |line| {
                line.json.boolean("condition", *holds);
                line.number("tasks", *tasks as u64);
            }),
            Event::Finished { about, result } if result.members.is_empty() => {
                self.say_of("task_finished", about, |line| line.result(result));
            }
            Event::Finished { about, result } | Event::BlockFinished { about, result } => {
                self.say_of("block_finished", about, |line| {
                    line.result(result);
                    line.counts(&result.counts());
                });
            }
            Event::Skipped { about } => self.say_of("task_skipped", about, |_| {}),
            Event::Restored { about, result } => {
                self.say_of("task_restored", about, |line| line.result(result));
            }
            Event::Retry {
                about, of, delay, ..
            } => self.say_of("retry", about, |line| {
                line.number("of", u64::from(*of));
                line.json.seconds("delay_seconds", Some(*delay));
            }),
            Event::Sleep { about, time } => self.say_of("sleep", about, |line| {
                line.json.seconds("delay_seconds", Some(*time));
            }),
            _ => {}
        }
    }

    /// Tells that the run is over: the last line.
    pub fn end(&mut self, end: &RunEnd) {
        self.say("run_ended", |line| {
            line.end(end.exit, &end.counts, end.took, end.signal, &end.why);
        });
    }

    /// The last line of a run that was refused after it was announced.
    pub fn refused(&mut self, code: i32, why: &str) {
        let took = self.opened.elapsed();
        // Nothing had run: a code above 128 is a signal's.
        let signal = Some(code - exit::SIGNAL).filter(|s| *s > 0);
        self.say("run_ended", |line| {
            line.end(code, &Counts::default(), took, signal, why);
        });
    }

    fn say_of(&mut self, event: &str, about: &About, fill: impl FnOnce(&mut Line)) {
        self.say(event, |line| {
            line.who(about);
            fill(line);
        });
    }

    fn say(&mut self, event: &str, fill: impl FnOnce(&mut Line)) {
        let object = Json::object(|json| {
            let mask = &self.mask;
            let line = &mut Line { json, mask };
            line.json.number("v", VERSION);
            line.text("time", &clock::rfc3339(SystemTime::now()));
            line.text("run", &self.run_id);
            line.text("event", event);
            fill(line);
        });
        let before = if self.torn { "\n" } else { "" };
        self.write(format!("{before}{object}\n").as_bytes());
    }

    /// Writes a line; that it cannot be is to be told once, and the run goes on.
    fn write(&mut self, line: &[u8]) {
        let mut written = 0;
        let result = self.write_within(line, &mut written);
        if written > 0 {
            self.torn = written < line.len();
        }
        let Err(e) = result else { return };
        let why = match e.kind() {
            ErrorKind::WouldBlock => {
                // Whoever has not read for so long is not waited for again.
                self.patience = Duration::ZERO;
                "its reader does not read".into()
            }
            _ => e.to_string(),
        };
        if !std::mem::replace(&mut self.failed, true) {
            let path = self.path.display();
            self.lost = Some(format!(
                "cannot write events to `{path}`: {why}; the run goes on without"
            ));
        }
    }

    /// What is to be told: that lines cannot be written, once.
    pub fn lost(&mut self) -> Option<String> {
        self.lost.take()
    }

    /// A file takes the line in one write; a pipe that is full is waited for, as
    /// long as its reader may pause.
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

fn open(path: &Path) -> io::Result<File> {
    // What the descriptor leads to: opened anew it would have a position of its
    // own, and write over what tasker prints.
    let own = match path.to_str() {
        Some("/dev/stderr") => Some(io::stderr().as_fd().try_clone_to_owned()),
        Some("/dev/stdout") => Some(io::stdout().as_fd().try_clone_to_owned()),
        _ => None,
    };
    match own {
        Some(fd) => fd.map(File::from),
        // Neither the opening nor a reader that does not read holds up the run.
        None => OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(sys::O_NONBLOCK)
            .open(path),
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::None | Level::Drain => "drain",
        Level::End => "end",
        Level::Kill => "kill",
    }
}

/// A line that is being written. Every text is masked before it is quoted, so
/// that no secret stands there in its escaped form.
struct Line<'a> {
    json: &'a mut Json,
    mask: &'a Mask,
}

impl Line<'_> {
    fn text(&mut self, key: &str, value: &str) {
        self.json.string(key, &self.mask.apply(value));
    }

    fn maybe_text(&mut self, key: &str, value: Option<&str>) {
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

    fn who(&mut self, about: &About) {
        self.number("task", u64::from(about.task));
        self.text("label", about.label);
        self.text("title", about.title);
        self.text("host", about.host);
        self.number("attempt", u64::from(about.attempt));
        self.number("iteration", u64::from(about.iteration));
    }

    /// How a task ended; of its outputs only the sizes.
    fn result(&mut self, result: &TaskResult) {
        self.text("outcome", result.outcome.word());
        self.json.number("exit_code", i64::from(result.exit));
        self.json.boolean("success", result.success);
        self.json.boolean("timed_out", result.timed_out);
        self.number("attempts", u64::from(result.attempts));
        self.json.seconds("duration_seconds", Some(result.took));
        self.json.seconds("cpu_seconds", Some(result.cpu));
        self.number("peak_memory_bytes", result.peak_kib << 10);
        self.number("stdout_bytes", result.stdout.len());
        self.number("stderr_bytes", result.stderr.len());
        self.text("cause", &result.cause);
    }

    fn counts(&mut self, counts: &Counts) {
        self.json.object_member("counts", |json| {
            for outcome in Outcome::ALL {
                json.number(outcome.word(), counts.of(outcome) as i64);
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
        let good = code == exit::OK;
        self.text("status", if good { "success" } else { "failed" });
        self.maybe_text("signal", signal.map(signal_name));
        self.text("why", why);
        self.counts(counts);
        self.json.seconds("duration_seconds", Some(took));
    }
}
