//! What a run prints: plain lines, readable in a mail (SPEC §6.6).
#![forbid(unsafe_code)]

use super::color::Color;
use super::progress::Progress;
use super::recap::{self, Closing};
use super::status_line;
use super::status_line::StatusLine;
use super::{result_groups, safe_text};
use crate::exit;
use crate::run::capture::Captured;
use crate::run::event::{About, Event};
use crate::run::interrupt::{SignalLevel, signal_name};
use crate::run::result::TaskResult;
use crate::run::run_end::RunEnd;
use crate::task::mask::Mask;
use crate::text::diagnostic::Plural;
use crate::text::duration;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Instant;

/// How much of each stream of a task is printed, in bytes; the log has more.
const OUTPUT: usize = 4 << 10;
/// How many lines are printed about subtasks while their block runs.
const WHILE_RUNNING: usize = 20;

pub struct Console {
    quiet: bool,
    mask: Mask,
    progress: Progress,
    /// The status line, on a terminal.
    live: Option<StatusLine>,
    /// Minutes of the run that were told, where there is no status line.
    minutes: u64,
    /// Lines about subtasks of the block that runs.
    of_block: usize,
}

impl Console {
    /// `tasks` is how many the file has.
    pub fn new(quiet: bool, color: Color, mask: Mask, tasks: usize) -> Console {
        let live = !quiet && status_line::is_possible();
        Console {
            quiet,
            progress: Progress::new(tasks, Instant::now()),
            live: live.then(|| StatusLine::new(mask.clone(), color.on_stdout())),
            minutes: 0,
            mask,
            of_block: 0,
        }
    }

    /// Prints to standard output unless quiet. A reader that is gone is no error.
    pub fn say(&mut self, text: &str) {
        if self.quiet || text.is_empty() {
            return;
        }
        let text = self.mask.apply(text);
        match &mut self.live {
            Some(live) => live.above(&text, &self.progress),
            None => {
                let _ = std::io::stdout().write_all(text.as_bytes());
            }
        }
    }

    /// Prints a line about a subtask; of thousands only the first few.
    fn say_of_block(&mut self, line: &str) {
        self.of_block += 1;
        if self.of_block <= WHILE_RUNNING {
            self.say(line);
        } else if self.of_block == WHILE_RUNNING + 1 {
            self.say("  ... more of this in the log, and all of it when the block ends\n");
        }
    }

    /// Prints to standard error, also when quiet.
    pub fn complain(&mut self, text: &str) {
        if let Some(live) = &mut self.live {
            live.clear();
        }
        let _ = std::io::stdout().flush();
        let _ = std::io::stderr().write_all(self.mask.apply(text).as_bytes());
    }

    /// Shows what happened; the subtasks that turn out to be slow.
    pub fn event(&mut self, event: &Event) -> Vec<String> {
        let slow = self.progress.event(event);
        self.tell(event);
        for line in &slow {
            self.say_of_block(&format!("  {line}\n"));
        }
        let due = matches!(event, Event::Beat);
        match &mut self.live {
            Some(live) => live.redraw(&self.progress, due),
            None if due => {
                let minute = self.minute().unwrap_or_default();
                self.say(&minute);
            }
            None => {}
        }
        slow
    }

    /// A line a minute, so that a long run is seen to live.
    fn minute(&mut self) -> Option<String> {
        let minutes = self.progress.minutes();
        let before = std::mem::replace(&mut self.minutes, minutes);
        (minutes > before).then(|| format!("{}\n", self.progress.minute()))
    }

    fn tell(&mut self, event: &Event) {
        match event {
            // Of many at once only what is not well is told while they run.
            Event::Started { about, .. } if about.in_block => {}
            Event::Finished { about, result } if about.in_block => {
                if result.outcome.is_failure() {
                    self.say_of_block(&format!("  {}: {}\n", safe_text::who(about), ended(result)));
                }
            }
            Event::Skipped { about } if about.in_block => {}
            Event::Restored { .. } => {}
            Event::Retry {
                about,
                attempt,
                of,
                delay,
            } if about.in_block => {
                let delay = duration::show(*delay);
                self.say_of_block(&format!(
                    "  {}: retry {attempt} of {of} in {delay}\n",
                    safe_text::who(about)
                ));
            }
            Event::Started { about, command, .. } => {
                self.say(&format!(
                    "{}  $ {}\n",
                    headline(about),
                    safe_text::line(command)
                ));
            }
            Event::Block {
                about,
                total,
                at_once,
            } => {
                self.of_block = 0;
                let subtasks = Plural(*total, "subtask");
                self.say(&format!(
                    "{}  {subtasks}, at most {at_once} at once\n",
                    headline(about)
                ));
            }
            Event::Branch {
                about,
                holds,
                tasks,
            } => {
                let tasks = Plural(*tasks, "task");
                self.say(&format!(
                    "{}  its condition is {holds}: {tasks} to run\n",
                    headline(about)
                ));
            }
            Event::Finished { about, result } => {
                let text = self.finished(about, result);
                self.say(&text);
            }
            Event::BlockFinished { about, result } => {
                let text = self.block_finished(about, result);
                self.say(&text);
            }
            Event::Skipped { about } => {
                self.say(&format!(
                    "{}  skipped: its condition is false\n",
                    headline(about)
                ));
            }
            Event::Retry {
                attempt, of, delay, ..
            } => {
                self.say(&format!(
                    "  retry {attempt} of {of} in {}\n",
                    duration::show(*delay)
                ));
            }
            Event::Sleep { time, .. } => {
                self.say(&format!("  sleeping {}\n", duration::show(*time)))
            }
            Event::Routed {
                from,
                to: Ok(to),
                why,
            } if *to != from + 1 => {
                self.say(&format!("  goes to task {to}: {}\n", safe_text::line(why)));
            }
            Event::Routed { .. } | Event::Debug { .. } => {}
            Event::Beat => {}
            Event::Asked => {
                let answer = self.progress.answer().join("\n");
                self.complain(&format!("tasker: {answer}\n"));
            }
            Event::Finals => self.say("final tasks\n"),
            Event::Warning { label, text } => {
                self.say(&format!(
                    "  warning: {}{}\n",
                    labelled(label),
                    safe_text::line(text)
                ));
            }
            Event::Interrupted {
                signal,
                level,
                running,
            } => {
                self.interrupted(*signal, *level, running);
            }
        }
    }

    fn finished(&self, about: &About, result: &TaskResult) -> String {
        let mut text = String::new();
        if result.command.is_empty() && result.members.is_empty() && result.stderr.len() == 0 {
            // A decision, or a task that only ends the run: nothing announced it.
            text.push_str(&headline(about));
        }
        if !result.members.is_empty() {
            text.push_str(&block_ended(about, result));
            return text;
        }
        self.output(&mut text, &result.stdout);
        self.output(&mut text, &result.stderr);
        let _ = writeln!(text, "  {}", ended(result));
        text
    }

    fn block_finished(&self, about: &About, result: &TaskResult) -> String {
        let mut text = String::new();
        for group in result_groups::fold_briefly(result, &self.mask) {
            text.push_str(&group.text("  "));
        }
        text.push_str(&block_ended(about, result));
        text
    }

    fn output(&self, text: &mut String, output: &Captured) {
        let (lines, more) = safe_text::head(output, &self.mask, OUTPUT);
        for line in lines {
            let _ = writeln!(text, "  | {}", safe_text::short(&line));
        }
        if more > 0 {
            let _ = writeln!(text, "  | ... {} more, see the log", safe_text::size(more));
        }
    }

    fn interrupted(&mut self, signal: i32, level: SignalLevel, running: &[String]) {
        let name = signal_name(signal);
        let runs = if running.is_empty() {
            "nothing runs".into()
        } else {
            format!("still running: {}", running.join(", "))
        };
        let text = match level {
            SignalLevel::None | SignalLevel::Drain if running.is_empty() => {
                format!("tasker: {name}: nothing new starts\n")
            }
            SignalLevel::None | SignalLevel::Drain => format!(
                "tasker: {name}: nothing new starts; {runs}; press Ctrl-C again to end it\n"
            ),
            SignalLevel::End => format!("tasker: {name}: ending the run; {runs}\n"),
            SignalLevel::Kill => format!("tasker: {name}: killing what runs; {runs}\n"),
        };
        self.complain(&text);
    }

    /// The recap. A failure goes to standard error, even when quiet.
    pub fn end(&mut self, end: &RunEnd, closing: &Closing) {
        if let Some(mut live) = self.live.take() {
            live.clear();
        }
        let text = recap::draw(end, closing, &self.mask);
        match end.exit {
            exit::OK => self.say(&text),
            _ => self.complain(&text),
        }
    }
}

/// `task 5 on web1: Title`, the line that begins a task.
fn headline(about: &About) -> String {
    format!(
        "task {}{}\n",
        safe_text::who(about),
        safe_text::titled(about)
    )
}

/// `task 5: failed (3 ok, 1 failed), 0.120 s`
fn block_ended(about: &About, result: &TaskResult) -> String {
    let (outcome, counts) = (result.outcome, result.counts());
    format!(
        "  task {}: {outcome} ({counts}), {}\n",
        about.label,
        duration::show(result.took)
    )
}

/// `failed, exit 3, 0.120 s`
fn ended(result: &TaskResult) -> String {
    let took = duration::show(result.took);
    match result.cause.is_empty() {
        true => format!("{}, exit {}, {took}", result.outcome, result.exit),
        false => format!(
            "{} ({}), exit {}, {took}",
            result.outcome, result.cause, result.exit
        ),
    }
}

fn labelled(label: &str) -> String {
    if label.is_empty() {
        String::new()
    } else {
        format!("task {label}: ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_line_a_minute_tells_that_the_run_lives() {
        let mut console = Console::new(false, Color::Never, Mask::default(), 3);
        assert_eq!(console.minute(), None);
        let minute = Duration::from_secs(60);
        let began = Instant::now().checked_sub(31 * minute);
        console.progress = Progress::new(3, began.expect("a clock that ran so long"));
        assert_eq!(console.minute().as_deref(), Some("31m\n"));
        assert_eq!(console.minute(), None);
    }
}
