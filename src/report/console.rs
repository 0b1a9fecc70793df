//! What a run prints: plain lines that can be read in a mail (SPEC §6.6).
#![forbid(unsafe_code)]

use super::color::Color;
use super::print;
use super::progress::Progress;
use super::recap::Recap;
use super::status_line::{self, StatusLine};
use super::{endings, result_groups, safe_text};
use crate::exit;
use crate::run::capture::Captured;
use crate::run::event::{About, Event};
use crate::run::interrupt::{SignalLevel, signal_name};
use crate::run::result::TaskResult;
use crate::task::mask::Mask;
use crate::text::diagnostic::Plural;
use crate::text::duration;
use std::fmt::Write as _;
use std::time::Instant;

/// How much of each stream of a task is printed, in bytes. The log has more.
const OUTPUT: usize = 4 << 10;
/// How many lines about subtasks are printed while their block runs.
const WHILE_RUNNING: usize = 20;

pub struct Console {
    quiet: bool,
    mask: Mask,
    progress: Progress,
    /// The status line, on a terminal.
    live: Option<StatusLine>,
    /// The last minute that was reported, without a status line.
    minutes: u64,
    /// How many lines about subtasks of the current block were due.
    subtask_lines: usize,
}

impl Console {
    /// `tasks` is the number of tasks in the file.
    pub fn new(quiet: bool, color: Color, mask: Mask, tasks: usize) -> Console {
        let live = !quiet && status_line::is_possible();
        Console {
            quiet,
            progress: Progress::new(tasks, Instant::now()),
            live: live.then(|| StatusLine::new(mask.clone(), color.on_stdout())),
            minutes: 0,
            mask,
            subtask_lines: 0,
        }
    }

    /// Prints to standard output, unless quiet.
    pub fn print(&mut self, text: &str) {
        if self.quiet || text.is_empty() {
            return;
        }
        let text = self.mask.apply(text);
        match &mut self.live {
            Some(live) => live.above(&text, &self.progress),
            None => {
                print::print(&text);
            }
        }
    }

    /// Prints a line about a subtask: the first few of them.
    fn print_about_subtask(&mut self, line: &str) {
        self.subtask_lines += 1;
        if self.subtask_lines <= WHILE_RUNNING {
            self.print(line);
        } else if self.subtask_lines == WHILE_RUNNING + 1 {
            self.print("  ... more in the log, and a summary when the block ends\n");
        }
    }

    /// Prints to standard error, also when quiet.
    pub fn complain(&mut self, text: &str) {
        if let Some(live) = &mut self.live {
            live.clear();
        }
        print::complain_raw(format_args!("{}", self.mask.apply(text)));
    }

    /// Shows an event. Returns a line for each subtask that turns out to be slow.
    pub fn event(&mut self, event: &Event) -> Vec<String> {
        let slow = self.progress.event(event);
        self.show(event);
        for line in &slow {
            self.print_about_subtask(&format!("  {line}\n"));
        }
        let due = matches!(event, Event::Beat);
        match &mut self.live {
            Some(live) => live.redraw(&self.progress, due),
            None if due => {
                let minute = self.minute().unwrap_or_default();
                self.print(&minute);
            }
            None => {}
        }
        slow
    }

    /// A line a minute, which shows that a long run is alive.
    fn minute(&mut self) -> Option<String> {
        let minutes = self.progress.minutes();
        let before = std::mem::replace(&mut self.minutes, minutes);
        (minutes > before).then(|| format!("{}\n", self.progress.minute()))
    }

    fn show(&mut self, event: &Event) {
        match event {
            Event::Asked => {
                let answer = self.progress.answer().join("\n");
                self.complain(&format!("tasker: {answer}\n"));
            }
            Event::Interrupted {
                signal,
                level,
                running,
            } => self.interrupted(*signal, *level, running),
            _ if is_about_subtask(event) => {
                let line = subtask_line(event);
                if !line.is_empty() {
                    self.print_about_subtask(&line);
                }
            }
            _ => {
                if matches!(event, Event::Block { .. }) {
                    self.subtask_lines = 0;
                }
                let text = self.describe(event);
                self.print(&text);
            }
        }
    }

    /// The lines about an event of the main line or a branch; empty if it is only
    /// logged.
    fn describe(&self, event: &Event) -> String {
        match event {
            Event::Started { about, command, .. } => {
                format!("{}  $ {}\n", headline(about), safe_text::line(command))
            }
            Event::Block {
                about,
                total,
                at_once,
                kept,
                open,
            } => {
                let (headline, subtasks) = (headline(about), Plural(*total, "subtask"));
                let resumed = match kept.is_empty() {
                    true => String::new(),
                    false => format!("  {}\n", result_groups::resumed_members(kept, open)),
                };
                format!("{headline}  {subtasks}, at most {at_once} at once\n{resumed}")
            }
            Event::Branch {
                about,
                holds,
                begins_at,
                tasks,
            } => {
                let (headline, tasks) = (headline(about), Plural(*tasks, "task"));
                let chosen = endings::branch_choice(*holds, *begins_at);
                format!("{headline}  {chosen}: {tasks} to run\n")
            }
            Event::Finished { about, result } => self.finished(about, result),
            Event::BlockFinished { about, result } => self.block_finished(about, result),
            Event::Skipped { about } => {
                format!("{}  skipped: its condition is false\n", headline(about))
            }
            Event::Retry {
                attempt, of, delay, ..
            } => format!("  retry {attempt} of {of} in {}\n", duration::show(*delay)),
            Event::Sleep { time, .. } => format!("  sleeping {}\n", duration::show(*time)),
            Event::Routed {
                from,
                to: Ok(to),
                why,
            } if *to != from + 1 => format!("  goes to task {to}: {}\n", safe_text::line(why)),
            Event::Finals => "final tasks\n".into(),
            Event::Warning { label: "", text } => format!("  warning: {}\n", safe_text::line(text)),
            Event::Warning { label, text } => {
                format!("  warning: task {label}: {}\n", safe_text::line(text))
            }
            _ => String::new(),
        }
    }

    fn finished(&self, about: &About, result: &TaskResult) -> String {
        let mut text = String::new();
        if result.command.is_empty() && result.members.is_empty() && result.stderr.len() == 0 {
            // A decision, or a task that only ends the run: it had no start event.
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
        for group in result_groups::group_briefly(result, &self.mask) {
            text.push_str(&group.draw("  "));
        }
        text.push_str(&block_ended(about, result));
        text
    }

    fn output(&self, text: &mut String, output: &Captured) {
        let (lines, more) = safe_text::head(output, &self.mask, OUTPUT, safe_text::last_state);
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
            "nothing is running".into()
        } else {
            format!("still running: {}", running.join(", "))
        };
        let text = match level {
            SignalLevel::None | SignalLevel::Drain if running.is_empty() => {
                format!("tasker: {name}: nothing new starts\n")
            }
            SignalLevel::None | SignalLevel::Drain => format!(
                "tasker: {name}: nothing new starts; {runs}; press Ctrl-C again to end them\n"
            ),
            SignalLevel::End => format!("tasker: {name}: ending the run; {runs}\n"),
            SignalLevel::Kill => format!("tasker: {name}: killing all commands; {runs}\n"),
        };
        self.complain(&text);
    }

    /// Prints a warning to standard error, unless quiet.
    pub fn warn(&mut self, text: &str) {
        if !self.quiet {
            self.complain(&format!("tasker: warning: {text}\n"));
        }
    }

    /// Prints the recap. A failure's goes to standard error, even when quiet; and when
    /// quiet, a line about a run that ended with 0 though not everything is ok.
    pub fn end(&mut self, recap: &Recap) {
        if let Some(mut live) = self.live.take() {
            live.clear();
        }
        let text = recap.draw(&self.mask);
        match recap.end.exit {
            exit::OK if self.quiet => self.complain(&recap.exceptions()),
            exit::OK => self.print(&text),
            _ => self.complain(&text),
        }
    }
}

/// `task 5 on web1: Title`, the first line of a task.
fn headline(about: &About) -> String {
    format!(
        "task {}{}\n",
        safe_text::subject(about),
        safe_text::title_suffix(about)
    )
}

/// `task 5: failed (3 ok, 1 failed), 0.120 s`
fn block_ended(about: &About, result: &TaskResult) -> String {
    let (end, took) = (endings::block_end(result), duration::show(result.took));
    format!("  task {}: {end}, {took}\n", about.label)
}

/// `failed, exit 3, 0.120 s`
fn ended(result: &TaskResult) -> String {
    let took = duration::show(result.took);
    format!("{}, {took}", endings::task_end(result))
}

/// Whether the event belongs to a subtask of a parallel block.
fn is_about_subtask(event: &Event) -> bool {
    match event {
        Event::Started { about, .. }
        | Event::Finished { about, .. }
        | Event::Skipped { about }
        | Event::Retry { about, .. } => about.in_block,
        _ => false,
    }
}

/// A line about a subtask; only failures and retries have one.
fn subtask_line(event: &Event) -> String {
    match event {
        Event::Finished { about, result } if result.outcome.is_failure() => {
            format!("  {}: {}\n", safe_text::subject(about), ended(result))
        }
        Event::Retry {
            about,
            attempt,
            of,
            delay,
        } => {
            let (subject, delay) = (safe_text::subject(about), duration::show(*delay));
            format!("  {subject}: retry {attempt} of {of} in {delay}\n")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_line_a_minute_shows_that_the_run_is_alive() {
        let mut console = Console::new(false, Color::Never, Mask::default(), 3);
        assert_eq!(console.minute(), None);
        let minute = Duration::from_secs(60);
        let began = Instant::now().checked_sub(31 * minute);
        console.progress = Progress::new(3, began.expect("a clock that ran so long"));
        assert_eq!(console.minute().as_deref(), Some("31m\n"));
        assert_eq!(console.minute(), None);
    }
}
