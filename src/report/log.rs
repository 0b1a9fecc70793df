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
use crate::text::diagnostic::{Plural, cannot};
use crate::text::duration;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
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

    fn word(self) -> &'static str {
        Self::NAMES[self as usize].0
    }
}

/// How much of each stream of a task is logged, in bytes.
const OUTPUT: usize = 64 << 10;

pub struct Log {
    file: File,
    path: PathBuf,
    level: LogLevel,
    mask: Mask,
    /// Whether a failed write was already reported.
    reported: bool,
}

impl Log {
    pub fn new(file: File, path: PathBuf, level: LogLevel, mask: Mask) -> Log {
        Log {
            file,
            path,
            level,
            mask,
            reported: false,
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes one line.
    pub fn say(&mut self, level: LogLevel, text: &str) {
        self.say_all(level, &[text]);
    }

    /// Writes these lines together.
    pub fn say_all(&mut self, level: LogLevel, texts: &[impl AsRef<str>]) {
        let mut lines = LogLines::new(self.level);
        for line in texts {
            lines.say(level, line.as_ref());
        }
        self.write(lines);
    }

    /// Writes the lines in one write. A failure is reported once, and the run
    /// continues: only the journal must not lose anything.
    fn write(&mut self, lines: LogLines) {
        if lines.text.is_empty() {
            return;
        }
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
            Event::Started {
                about,
                exec,
                command,
                timeout,
            } => {
                lines.say(
                    LogLevel::Info,
                    &format!(
                        "Executing Task {}{}",
                        who(about),
                        safe_text::title_suffix(about)
                    ),
                );
                lines.say(
                    LogLevel::Info,
                    &format!(
                        "Task {}: {exec}, timeout {}: {command}",
                        who(about),
                        duration::setting(*timeout)
                    ),
                );
            }
            Event::Block {
                about,
                total,
                at_once,
            } => {
                let text = format!(
                    "Executing Task {}{}: {}, at most {at_once} at once",
                    who(about),
                    safe_text::title_suffix(about),
                    Plural(*total, "subtask")
                );
                lines.say(LogLevel::Info, &text);
            }
            Event::Branch {
                about,
                holds,
                tasks,
            } => {
                let text = format!(
                    "Executing Task {}{}: its condition is {holds}, {} to run",
                    who(about),
                    safe_text::title_suffix(about),
                    Plural(*tasks, "task")
                );
                lines.say(LogLevel::Info, &text);
            }
            Event::Finished { about, result } => {
                self.finished(&mut lines, about, result);
                branch(&mut lines, about, result);
            }
            Event::BlockFinished { about, result } => {
                self.finished(&mut lines, about, result);
                self.folded(&mut lines, about, result);
            }
            Event::Restored { about, result } => lines.say(
                LogLevel::Info,
                &format!(
                    "Restored task {}{}: {}",
                    who(about),
                    safe_text::title_suffix(about),
                    endings::task_end(result)
                ),
            ),
            Event::Skipped { about } => lines.say(
                LogLevel::Info,
                &format!(
                    "Task {}{} skipped: its condition is false",
                    who(about),
                    safe_text::title_suffix(about)
                ),
            ),
            Event::Retry {
                about,
                attempt,
                of,
                delay,
            } => {
                lines.say(
                    LogLevel::Warn,
                    &format!(
                        "Task {}: retry {attempt} of {of} in {}",
                        who(about),
                        duration::show(*delay)
                    ),
                );
            }
            Event::Sleep { about, time } => lines.say(
                LogLevel::Info,
                &format!("Task {}: sleeping {}", who(about), duration::show(*time)),
            ),
            Event::Routed {
                from,
                to: Ok(to),
                why,
            } => lines.say(
                LogLevel::Info,
                &format!("Task {from}: goes to task {to}: {why}"),
            ),
            Event::Routed {
                from,
                to: Err(code),
                why,
            } => lines.say(
                LogLevel::Info,
                &format!("Task {from}: the run ends with exit code {code}: {why}"),
            ),
            Event::Beat => {}
            Event::Asked => lines.say(LogLevel::Info, "SIGUSR1: answered on standard error"),
            Event::Finals => lines.say(LogLevel::Info, "Running the final tasks"),
            Event::Warning { label, text } => lines.say(LogLevel::Warn, &labelled(label, text)),
            Event::Debug { label, text } => lines.say(LogLevel::Debug, &labelled(label, text)),
            Event::Interrupted {
                signal,
                level,
                running,
            } => {
                let runs = if running.is_empty() {
                    "nothing runs".into()
                } else {
                    format!("running: {}", running.join(", "))
                };
                lines.say(
                    LogLevel::Warn,
                    &format!("{} ({level:?}); {runs}", signal_name(*signal)),
                );
            }
        }
        self.write(lines);
    }

    fn finished(&self, lines: &mut LogLines, about: &About, result: &TaskResult) {
        let level = if result.success {
            LogLevel::Info
        } else {
            LogLevel::Error
        };
        let text = format!(
            "Task {} ended: {}, exit code {}, {}, cpu {} s, peak memory {}, success {}",
            who(about),
            endings::outcome_and_cause(result),
            result.exit,
            duration::show(result.took),
            seconds(result.cpu, 3),
            safe_text::size(result.peak_kib << 10),
            result.success
        );
        lines.say(level, &text);
        self.output(lines, about, "stdout", &result.stdout);
        self.output(lines, about, "stderr", &result.stderr);
    }

    fn folded(&self, lines: &mut LogLines, about: &About, result: &TaskResult) {
        lines.say(
            LogLevel::Info,
            &format!("Task {}: {}", who(about), result.counts()),
        );
        for group in result_groups::group_results(result, &self.mask) {
            for line in group.draw("").lines() {
                lines.say(LogLevel::Info, &format!("Task {}: {line}", who(about)));
            }
        }
    }

    fn output(&self, lines: &mut LogLines, about: &About, stream: &str, output: &Captured) {
        if self.level < LogLevel::Info || output.len() == 0 {
            return;
        }
        let (shown, more) = safe_text::head(output, &self.mask, OUTPUT);
        for line in shown {
            lines.say(
                LogLevel::Info,
                &format!("Task {} {stream}| {line}", who(about)),
            );
        }
        if more > 0 {
            let place = output.path().map_or(String::new(), |p| {
                format!(", in {} while the run can be resumed", p.display())
            });
            lines.say(
                LogLevel::Info,
                &format!(
                    "Task {} {stream}: {} more of {}{place}",
                    who(about),
                    safe_text::size(more),
                    safe_text::size(output.len())
                ),
            );
        }
    }
}

/// The members of a conditional block that did not start; the others were logged
/// when they ended.
fn branch(lines: &mut LogLines, about: &About, result: &TaskResult) {
    if result.members.is_empty() {
        return;
    }
    for Member { name, result } in &result.members {
        if result.outcome == Outcome::NotStarted {
            let text = format!("Task {name} ended: {}", endings::task_end(result));
            lines.say(LogLevel::Warn, &text);
        }
    }
    lines.say(
        LogLevel::Info,
        &format!("Task {}: {}", who(about), result.counts()),
    );
}

fn who(about: &About) -> String {
    match about.host.is_empty() || about.host == "localhost" {
        true => about.label.to_string(),
        false => format!("{} {}", about.label, about.host),
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

    fn say(&mut self, level: LogLevel, text: &str) {
        if level <= self.level {
            let _ = writeln!(
                self.text,
                "[{}] [{}] {}",
                self.stamp,
                level.word(),
                safe_text::line(text)
            );
        }
    }
}
