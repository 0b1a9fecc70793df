//! The log file of a run (SPEC §6.3): complete and greppable, one event per line.
#![forbid(unsafe_code)]

use super::{clock, endings, print, result_groups, safe_text};
use crate::outcome::Outcome;
use crate::run::capture::Captured;
use crate::run::event::{About, Event};
use crate::run::interrupt::signal_name;
use crate::run::result::{Member, TaskResult};
use crate::task::mask::Mask;
use crate::text::decimal::seconds;
use crate::text::diagnostic::{Plural, cannot, reason};
use crate::text::duration;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
}

impl LogLevel {
    pub const NAMES: [(&'static str, LogLevel); 4] = [
        ("ERROR", LogLevel::Error),
        ("WARN", LogLevel::Warn),
        ("INFO", LogLevel::Info),
        ("DEBUG", LogLevel::Debug),
    ];

    fn as_str(self) -> &'static str {
        Self::NAMES[self as usize].0
    }
}

/// How much of each stream of a task is logged, in bytes.
const OUTPUT: usize = 64 << 10;

/// Makes the log file: where it is, too.
pub type MakeLog = Box<dyn Fn() -> io::Result<(File, PathBuf)>>;

pub struct Log {
    make: MakeLog,
    file: File,
    path: PathBuf,
    level: LogLevel,
    mask: Mask,
    /// Whether a failed write was already reported.
    reported: bool,
}

impl Log {
    /// Makes the log.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn new(make: MakeLog, level: LogLevel, mask: Mask) -> io::Result<Log> {
        let (file, path) = make()?;
        Ok(Log {
            make,
            file,
            path,
            level,
            mask,
            reported: false,
        })
    }

    /// Goes on in a new file if somebody has removed or compressed this one.
    fn renew(&mut self) {
        use std::os::unix::fs::MetadataExt;
        if self.file.metadata().is_ok_and(|data| data.nlink() > 0) {
            return;
        }
        let before = self.path.display().to_string();
        let was_removed = format!(
            "the log {} was removed during the run",
            safe_text::line(&before)
        );
        match (self.make)() {
            Ok(made) => (self.file, self.path) = made,
            Err(e) => {
                if !std::mem::replace(&mut self.reported, true) {
                    let why = reason(&e);
                    print::complain(format_args!(
                        "tasker: warning: {was_removed}, and it goes on nowhere: {why}"
                    ));
                }
                return;
            }
        }
        let text = format!(
            "{was_removed}; it goes on in {}",
            safe_text::line(&self.path.display().to_string())
        );
        print::complain(format_args!("tasker: warning: {text}"));
        let mut lines = LogLines::new(self.level);
        lines.push(LogLevel::Warn, &text);
        let _ = self
            .file
            .write_all(&self.mask.apply_bytes(lines.text.as_bytes()));
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes one line.
    pub fn write(&mut self, level: LogLevel, text: &str) {
        self.write_lines(level, &[text]);
    }

    /// Writes these lines together.
    pub fn write_lines(&mut self, level: LogLevel, texts: &[impl AsRef<str>]) {
        let mut lines = LogLines::new(self.level);
        for line in texts {
            lines.push(level, line.as_ref());
        }
        self.flush(lines);
    }

    /// Writes the lines in one write. A failure is reported once, and the run
    /// continues: only the journal must not lose anything.
    fn flush(&mut self, lines: LogLines) {
        if lines.text.is_empty() {
            return;
        }
        self.renew();
        let masked = self.mask.apply_bytes(lines.text.as_bytes());
        if let Err(e) = self.file.write_all(&masked)
            && !std::mem::replace(&mut self.reported, true)
        {
            print::complain(format_args!(
                "tasker: {}; the run continues without it",
                cannot("write the log", &self.path)(e)
            ));
        }
    }

    pub fn event(&mut self, event: &Event) {
        let mut lines = LogLines::new(self.level);
        match event {
            Event::Finished { about, result } => {
                self.finished(&mut lines, about, result);
                branch(&mut lines, about, result);
            }
            Event::BlockFinished { about, result } => {
                self.finished(&mut lines, about, result);
                self.groups(&mut lines, about, result);
            }
            Event::Connected { .. } => lines.push(LogLevel::Debug, &describe(event)),
            Event::Debug { label, text } => lines.push(LogLevel::Debug, &labelled(label, text)),
            Event::Warning { label, text } => lines.push(LogLevel::Warn, &labelled(label, text)),
            Event::Retry { .. } | Event::Interrupted { .. } => {
                lines.push(LogLevel::Warn, &describe(event));
            }
            Event::Beat => {}
            _ => {
                for line in describe(event).lines() {
                    lines.push(LogLevel::Info, line);
                }
            }
        }
        self.flush(lines);
    }

    fn finished(&self, lines: &mut LogLines, about: &About, result: &TaskResult) {
        let level = if result.success {
            LogLevel::Info
        } else {
            LogLevel::Error
        };
        let connecting = match result.connecting.is_zero() {
            true => String::new(),
            false => format!(" after connecting {}", duration::show(result.connecting)),
        };
        let text = format!(
            "Task {} ended: {}, exit code {}, {}{}, cpu {} s, peak memory {}, success {}",
            label_and_host(about),
            endings::outcome_and_cause(result),
            result.exit,
            duration::show(result.took),
            connecting,
            seconds(result.cpu, 3),
            safe_text::size(result.peak_kib << 10),
            result.success
        );
        lines.push(level, &text);
        self.output(lines, about, "stdout", &result.stdout);
        self.output(lines, about, "stderr", &result.stderr);
    }

    fn groups(&self, lines: &mut LogLines, about: &About, result: &TaskResult) {
        lines.push(
            LogLevel::Info,
            &format!("Task {}: {}", label_and_host(about), result.counts()),
        );
        for group in result_groups::group_results(result, &self.mask) {
            for line in group.draw("").lines() {
                lines.push(
                    LogLevel::Info,
                    &format!("Task {}: {line}", label_and_host(about)),
                );
            }
        }
    }

    fn output(&self, lines: &mut LogLines, about: &About, stream: &str, output: &Captured) {
        if self.level < LogLevel::Info || output.len() == 0 {
            return;
        }
        let (shown, more) = safe_text::head(output, &self.mask, OUTPUT, safe_text::line);
        for line in shown {
            lines.push(
                LogLevel::Info,
                &format!("Task {} {stream}| {line}", label_and_host(about)),
            );
        }
        if more > 0 {
            let place = output.path().map_or(String::new(), |p| {
                format!(", in {} while the run can be resumed", p.display())
            });
            lines.push(
                LogLevel::Info,
                &format!(
                    "Task {} {stream}: {} more of {}{place}",
                    label_and_host(about),
                    safe_text::size(more),
                    safe_text::size(output.len())
                ),
            );
        }
    }
}

/// An event in a line, or two for the start of a command.
fn describe(event: &Event) -> String {
    let task = |about: &About| format!("Task {}", label_and_host(about));
    let titled = |about: &About| task(about) + &safe_text::title_suffix(about);
    match event {
        Event::Started {
            about,
            exec,
            command,
            timeout,
            ..
        } => {
            let timeout = duration::setting(*timeout);
            let (titled, task) = (titled(about), task(about));
            let command = safe_text::line(command);
            format!("Executing {titled}\n{task}: {exec}, timeout {timeout}: {command}")
        }
        Event::Connected { about } => format!("{}: its host has answered", task(about)),
        Event::Block {
            about,
            total,
            at_once,
            kept,
            open,
        } => {
            let (titled, subtasks) = (titled(about), Plural(*total, "subtask"));
            let resumed = result_groups::resumed_members(kept, open);
            let resumed = if kept.is_empty() {
                resumed
            } else {
                format!("; {resumed}")
            };
            format!("Executing {titled}: {subtasks}, at most {at_once} at once{resumed}")
        }
        Event::Branch {
            about,
            holds,
            begins_at,
            tasks,
        } => {
            let (titled, tasks) = (titled(about), Plural(*tasks, "task"));
            let chosen = endings::branch_choice(*holds, *begins_at);
            format!("Executing {titled}: {chosen}, {tasks} to run")
        }
        Event::Restored { about, result } => {
            let (label, title) = (label_and_host(about), safe_text::title_suffix(about));
            format!(
                "Restored task {label}{title}: {}",
                endings::task_end(result)
            )
        }
        Event::Skipped { about } => format!("{} skipped: its condition is false", titled(about)),
        Event::Retry {
            about,
            attempt,
            of,
            delay,
        } => {
            let (task, delay) = (task(about), duration::show(*delay));
            format!("{task}: retry {attempt} of {of} in {delay}")
        }
        Event::Sleep { about, time } => {
            format!("{}: sleeping {}", task(about), duration::show(*time))
        }
        Event::Routed { from, to, why } => {
            let why = safe_text::line(why);
            match to {
                Ok(to) => format!("Task {from}: goes to task {to}: {why}"),
                Err(code) => format!("Task {from}: the run ends with exit code {code}: {why}"),
            }
        }
        Event::Asked => "SIGUSR1: answered on standard error".into(),
        Event::Finals => "Running the final tasks".into(),
        Event::Interrupted {
            signal,
            level,
            running,
        } => {
            let running = match running.is_empty() {
                true => "nothing is running".into(),
                false => format!("running: {}", running.join(", ")),
            };
            format!("{} ({level:?}); {running}", signal_name(*signal))
        }
        _ => String::new(),
    }
}

/// The members of a conditional block that did not start; the others were logged
/// when they ended.
fn branch(lines: &mut LogLines, about: &About, result: &TaskResult) {
    if result.members.is_empty() {
        return;
    }
    for Member { name, result, .. } in &result.members {
        if result.outcome == Outcome::NotStarted {
            let text = format!("Task {name} ended: {}", endings::task_end(result));
            lines.push(LogLevel::Warn, &text);
        }
    }
    lines.push(
        LogLevel::Info,
        &format!("Task {}: {}", label_and_host(about), result.counts()),
    );
}

fn label_and_host(about: &About) -> String {
    match about.host.is_empty() || about.host == "localhost" {
        true => about.label.to_string(),
        false => format!("{} {}", about.label, safe_text::line(about.host)),
    }
}

fn labelled(label: &str, text: &str) -> String {
    if label.is_empty() {
        text.to_string()
    } else {
        format!("Task {label}: {text}")
    }
}

/// Lines that are written together.
struct LogLines {
    /// More detailed lines are dropped.
    level: LogLevel,
    stamp: String,
    text: String,
}

impl LogLines {
    fn new(level: LogLevel) -> LogLines {
        LogLines {
            level,
            stamp: clock::stamp(SystemTime::now()),
            text: String::new(),
        }
    }

    fn push(&mut self, level: LogLevel, text: &str) {
        if level <= self.level {
            let _ = writeln!(
                self.text,
                "[{}] [{}] {}",
                self.stamp,
                level.as_str(),
                safe_text::line(text)
            );
        }
    }
}
