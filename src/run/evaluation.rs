//! The values of references and conditions at one moment of a run.
#![forbid(unsafe_code)]

use super::capture::{Captured, Held};
use super::event::About;
use super::result::{LatestResults, TaskResult};
use crate::outcome::{Counts, Outcome};
use crate::plan::flow::Position;
use crate::plan::workflow::Workflow;
use crate::task::mask::Mask;
use crate::task::{Ix, nodeset};
use crate::text::condition::{Op, Operand, ResultState};
use crate::text::decimal::seconds;
use crate::text::diagnostic::reason;
use crate::text::evaluate::{Scope, TextStart};
use crate::text::number::plain_number;
use crate::text::template::{BlockCount, Field, Lookup, Reference};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::io;

/// How much of an output is read into memory at most, in bytes (SPEC §4.2).
const LARGEST: usize = 1 << 20;

/// The running task's own values.
#[derive(Clone, Debug)]
pub struct TaskContext {
    /// For a host's copy that of its block.
    pub at: Position,
    /// The task's id; for a host's copy that of its block.
    pub id: u32,
    /// `5`, or `10.3` in a block over hosts.
    pub task: String,
    /// How it is reported: also with its iteration, `5.2`.
    pub label: String,
    pub hostname: String,
    /// It is a subtask of a parallel block.
    pub in_block: bool,
}

impl TaskContext {
    /// `task 5`, or `task 10.3 on web03` for another host.
    pub fn name_with_host(&self) -> String {
        match self.hostname.as_str() {
            "" | "localhost" => format!("task {}", self.label),
            host => format!("task {} on {host}", self.label),
        }
    }

    /// What an event about this task names.
    pub fn about<'a>(&'a self, title: &'a str) -> About<'a> {
        About {
            task: self.id,
            iteration: self.at.iteration,
            attempt: self.at.attempt,
            label: &self.label,
            title,
            host: &self.hostname,
            in_block: self.in_block,
        }
    }
}

pub struct Evaluation<'a> {
    pub workflow: &'a Workflow,
    pub results: &'a LatestResults,
    pub context: &'a TaskContext,
    pub mask: &'a Mask,
    /// `ok`, `failed`, `interrupted` or `deadline`; empty before the end.
    pub run_outcome: &'static str,
    /// The result that a criterion judges.
    pub result: Option<&'a TaskResult>,
    /// Nothing is run, so an output that is not assumed is not known.
    pub pretended: bool,
    /// Warnings that came up.
    pub warnings: RefCell<Vec<String>>,
    /// Why tests of a condition are undecided.
    pub undecided: RefCell<Vec<String>>,
    /// Why an output cannot be used; its value was empty.
    pub unusable: RefCell<Vec<String>>,
    /// What values are used for, for such a reason.
    pub purpose: Cell<&'static str>,
    /// DEBUG lines, if they are wanted.
    pub trace: Option<RefCell<Vec<String>>>,
}

/// What came up in an evaluation, for the log.
pub struct EvaluationNotes {
    pub warnings: Vec<String>,
    /// Why tests of a condition are undecided.
    pub undecided: Vec<String>,
    pub trace: Vec<String>,
}

impl Evaluation<'_> {
    pub fn into_notes(self) -> EvaluationNotes {
        EvaluationNotes {
            warnings: self.warnings.into_inner(),
            undecided: self.undecided.into_inner(),
            trace: self.trace.map(RefCell::into_inner).unwrap_or_default(),
        }
    }

    /// The beginning of a value, for a line of the log.
    pub fn excerpt(&self, value: &[u8]) -> String {
        const SHOWN: usize = 200;
        let mut masked = self.mask.apply_to_range(value, 0, SHOWN);
        // Not in the middle of a character.
        if let Err(cut) = std::str::from_utf8(&masked)
            && cut.error_len().is_none()
        {
            masked.truncate(cut.valid_up_to());
        }
        String::from_utf8_lossy(&masked).into_owned()
    }

    fn warn_once(&self, text: String) {
        let mut warnings = self.warnings.borrow_mut();
        if !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    /// The latest result of the task. That of the context's own task is the one
    /// that is judged, else that of the iteration before (SPEC §2.1).
    pub fn result_of(&self, task: Ix) -> Option<&TaskResult> {
        if task != self.context.at.task {
            return self.results.get(task);
        }
        let before = || self.results.get(task);
        let is_first = self.context.at.iteration == 1;
        self.result
            .or_else(|| if is_first { None } else { before() })
    }

    /// Why a result has no value for the field; `None` if it has one.
    pub fn why_missing(&self, task: Ix, field: Field) -> Option<String> {
        let why = match self.results.get(task) {
            // The iteration before the first one is empty, not missing.
            _ if task == self.context.at.task => return None,
            None => "has not run",
            Some(result) => result.why_missing(field)?,
        };
        Some(format!("task {} {why}", self.workflow.tasks[task].id))
    }

    /// What was made of values, unless an output in them cannot be used: nothing runs
    /// with a part of one (SPEC §4.2).
    ///
    /// # Errors
    /// Why it cannot, else the error of what was made.
    pub fn usable<T>(&self, made: Result<T, String>) -> Result<T, String> {
        match self.unusable.borrow().first() {
            Some(why) => Err(why.clone()),
            None => made,
        }
    }

    /// Why the output that the field shows cannot be used at all.
    pub fn why_unusable(&self, task: Ix, field: Field) -> Option<String> {
        let stream = stream_of(self.result_of(task)?, field)?;
        why_unusable(stream, &self.written(task, field))
    }

    /// The field as a reference to it is written.
    fn written(&self, task: Ix, field: Field) -> String {
        format!("`@{}_{}@`", self.workflow.tasks[task].id, field.name())
    }

    fn note_unusable(&self, why: String) {
        self.unusable.borrow_mut().push(why);
    }

    /// At most a MiB of an output; empty if it cannot be used, which is noted.
    fn beginning<'s>(&self, stream: &'s Captured, name: &str) -> TextStart<'s> {
        let nothing = TextStart::whole(Cow::Borrowed(&b""[..]));
        if let Some(lost) = stream.lost() {
            self.note_unusable(lost_output(name, lost));
            return nothing;
        }
        match stream.beginning(LARGEST) {
            Ok(text) => TextStart {
                is_whole: text.is_whole(),
                length: text.whole,
                bytes: text.bytes,
            },
            Err(e) => {
                self.note_unusable(unreadable(name, &e));
                nothing
            }
        }
    }

    /// The whole of an output; empty if it cannot be used, which is noted.
    fn whole<'s>(&self, stream: &'s Captured, name: &str) -> Cow<'s, [u8]> {
        let text = self.beginning(stream, name);
        if text.is_whole {
            return text.bytes;
        }
        self.note_unusable(format!(
            "{name}: output of {} bytes is too large for {}, at most 1 MiB; `stdin=@N_stdout@` and `@N_stdout_file@` give the whole output",
            text.length,
            self.purpose.get()
        ));
        Cow::Borrowed(b"")
    }

    /// What is found out about an output that is read to its end; the default if it
    /// cannot be used, which is noted.
    fn found<T: Default>(
        &self,
        stream: &Captured,
        name: &str,
        find: impl FnOnce(&Captured) -> io::Result<T>,
    ) -> T {
        let found = match stream.lost() {
            Some(lost) => Err(lost_output(name, lost)),
            None => find(stream).map_err(|e| unreadable(name, &e)),
        };
        found.unwrap_or_else(|why| {
            self.note_unusable(why);
            T::default()
        })
    }

    /// The path of a spooled output; empty if it is in memory, or if it cannot be used,
    /// which is noted.
    fn path_of<'s>(&self, stream: &'s Captured, name: &str) -> Cow<'s, [u8]> {
        use std::os::unix::ffi::OsStrExt;
        if let Some(why) = why_unusable(stream, name) {
            self.note_unusable(why);
            return Cow::Borrowed(b"");
        }
        let path = stream.path().map(|path| path.as_os_str().as_bytes());
        Cow::Borrowed(path.unwrap_or_default())
    }

    /// The value, or the default where it is empty or missing, if it has at most
    /// `limit` bytes. A longer output is not loaded.
    ///
    /// # Errors
    /// Its length.
    pub fn value_up_to<'v>(
        &'v self,
        reference: Reference,
        default: Option<&'v str>,
        limit: usize,
    ) -> Result<Cow<'v, [u8]>, u64> {
        if let Some(stream) = self.stream_of(reference)
            && stream.len() > limit as u64
        {
            let length = stream.trimmed_len();
            if length > limit as u64 {
                return Err(length);
            }
        }
        let value = self.value_or(reference, default);
        match value.len() > limit {
            true => Err(value.len() as u64),
            false => Ok(value),
        }
    }

    /// An output without its NUL bytes, if it has at most `limit` bytes then.
    pub fn without_nul_up_to(&self, reference: Reference, limit: usize) -> Option<Vec<u8>> {
        let stream = self.stream_of(reference)?;
        let (mut left, mut kept) = (stream.trimmed_len(), Vec::new());
        let read = stream.chunks(&mut |chunk| {
            let taken = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            kept.extend(chunk[..taken].iter().filter(|byte| **byte != 0));
            left -= taken as u64;
            left > 0 && kept.len() <= limit
        });
        (read.is_ok() && left == 0 && kept.len() <= limit).then_some(kept)
    }

    /// The value, or the default where it is empty or missing, for display: a long
    /// output is cut to a little more than `limit` bytes.
    pub fn value_within<'v>(
        &'v self,
        reference: Reference,
        default: Option<&'v str>,
        limit: usize,
    ) -> Cow<'v, [u8]> {
        match self.stream_of(reference) {
            Some(stream)
                if stream.lost().is_none()
                    && stream.len() > 2 * limit as u64
                    && stream.trimmed_len() > limit as u64 =>
            {
                stream.head(limit + 1)
            }
            _ => self.value_or(reference, default),
        }
    }

    /// The output that the reference is to.
    fn stream_of(&self, reference: Reference) -> Option<&Captured> {
        let Reference::Field { task, field } = reference else {
            return None;
        };
        let result = self.result_of(task)?;
        match field {
            Field::Stdout => Some(&result.stdout),
            Field::Stderr => Some(&result.stderr),
            _ => None,
        }
    }

    /// The output as a number; empty if it is none. In a rehearsal the reference itself
    /// stands for what is not known.
    fn number_of(&self, task: Ix, result: &TaskResult) -> Vec<u8> {
        let is_unknown = self.pretended && result.stdout.len() == 0 && !result.never_began();
        match is_unknown {
            true => format!("@{}_number@", self.workflow.tasks[task].id).into_bytes(),
            false => number_in(&result.stdout).unwrap_or_default(),
        }
    }

    fn field_of(&self, task: Ix, field: Field) -> Cow<'_, [u8]> {
        let result = self.result_of(task);
        let value = result.map_or(Cow::Borrowed(&b""[..]), |r| self.value_of(task, field, r));
        if let Some(trace) = &self.trace {
            let id = self.workflow.tasks[task].id;
            let line = format!("@{id}_{}@ is `{}`", field.name(), self.excerpt(&value));
            // The shown and the used command line both ask for the value.
            if !trace.borrow().contains(&line) {
                trace.borrow_mut().push(line);
            }
        }
        value
    }

    fn value_of<'r>(&self, task: Ix, field: Field, result: &'r TaskResult) -> Cow<'r, [u8]> {
        let name = || self.written(task, field);
        match (field, stream_of(result, field)) {
            _ if !field_is_known(result, field) => Cow::Borrowed(b""),
            (Field::Stdout | Field::Stderr, Some(stream)) => self.whole(stream, &name()),
            (Field::Number, Some(stream)) => match why_unusable(stream, &name()) {
                Some(why) => {
                    self.note_unusable(why);
                    Cow::Borrowed(b"")
                }
                None => Cow::Owned(self.number_of(task, result)),
            },
            (_, Some(stream)) => self.path_of(stream, &name()),
            (_, None) => field_value(result, field),
        }
    }
}

/// The output that the field shows, whole or as a path.
fn stream_of(result: &TaskResult, field: Field) -> Option<&Captured> {
    match field {
        Field::Stdout | Field::StdoutFile | Field::Number => Some(&result.stdout),
        Field::Stderr | Field::StderrFile => Some(&result.stderr),
        _ => None,
    }
}

fn why_unusable(stream: &Captured, name: &str) -> Option<String> {
    if let Some(lost) = stream.lost() {
        return Some(lost_output(name, lost));
    }
    let Held::File(file) = stream.held() else {
        return None;
    };
    file.open().err().map(|e| unreadable(name, &e))
}

fn lost_output(name: &str, lost: &str) -> String {
    format!("{name} cannot be used: {lost}")
}

fn unreadable(name: &str, e: &io::Error) -> String {
    format!("{name} cannot be read: {}", reason(e))
}

impl Lookup for Evaluation<'_> {
    fn value(&self, reference: Reference) -> Cow<'_, [u8]> {
        let text = |text: &str| Cow::Owned(text.as_bytes().to_vec());
        match reference {
            Reference::Task => text(&self.context.task),
            Reference::Hostname => text(&self.context.hostname),
            Reference::Loop => text(&self.context.at.iteration.to_string()),
            Reference::Attempt => text(&self.context.at.attempt.to_string()),
            Reference::RunOutcome => text(self.run_outcome),
            Reference::NoNumber => Cow::Borrowed(b""),
            Reference::Field { task, field } => {
                let value = self.field_of(task, field);
                if value.is_empty()
                    && let Some(why) = self.why_missing(task, field)
                {
                    self.warn_once(format!("{why}; a reference to its result is empty"));
                }
                value
            }
        }
    }

    fn why_no_number(
        &self,
        reference: Reference,
        written: &str,
        default: Option<&str>,
    ) -> Option<String> {
        let found = match reference {
            Reference::NoNumber => {
                let name = written.trim_matches('@');
                let name = name.get(..name.len().saturating_sub("_number".len()))?;
                self.excerpt(self.workflow.globals.get(name)?.shown().as_bytes())
            }
            Reference::Field {
                task,
                field: Field::Number,
            } if self.why_missing(task, Field::Number).is_none() => {
                if let Some(why) = self.why_unusable(task, Field::Number) {
                    return Some(why);
                }
                let stdout = self.result_of(task).map(|result| &result.stdout);
                let begin = stdout.map_or(Cow::Borrowed(&b""[..]), |s| s.head(LONGEST_NUMBER));
                let is_empty = begin.trim_ascii().is_empty();
                let is_number = stdout.is_some_and(|s| number_in(s).is_some());
                if is_number || (is_empty && (default.is_some() || self.pretended)) {
                    return None;
                }
                self.excerpt(begin.trim_ascii())
            }
            _ => return None,
        };
        Some(match found.as_str() {
            "" => format!("`{written}` is not a number: it is empty"),
            found => format!("`{written}` is not a number: `{found}`"),
        })
    }

    fn value_or<'v>(&'v self, reference: Reference, default: Option<&'v str>) -> Cow<'v, [u8]> {
        let (Reference::Field { task, field }, Some(default)) = (reference, default) else {
            return self.value(reference);
        };
        match self.field_of(task, field) {
            value if value.is_empty() => Cow::Borrowed(default.as_bytes()),
            value => value,
        }
    }
}

/// How long a number can be, in bytes, with the blanks around it.
const LONGEST_NUMBER: usize = 64 << 10;

/// The number that the output is.
fn number_in(stdout: &Captured) -> Option<Vec<u8>> {
    if stdout.len() > LONGEST_NUMBER as u64 {
        return None;
    }
    plain_number(&stdout.beginning(LONGEST_NUMBER).ok()?.bytes)
}

/// Whether the result has the field: what never began has only some.
fn field_is_known(result: &TaskResult, field: Field) -> bool {
    let always = matches!(field, Field::Exit | Field::Success | Field::Outcome);
    always || !result.never_began()
}

/// A field that shows no output.
fn field_value(result: &TaskResult, field: Field) -> Cow<'_, [u8]> {
    let text = |text: String| Cow::Owned(text.into_bytes());
    match field {
        Field::Stdout | Field::Stderr | Field::StdoutFile | Field::StderrFile | Field::Number => {
            Cow::Borrowed(b"")
        }
        Field::Exit => text(result.exit.to_string()),
        Field::Success => text(result.success.to_string()),
        Field::Hostname => Cow::Borrowed(result.hostname.as_bytes()),
        Field::Command => Cow::Borrowed(result.command.as_bytes()),
        Field::Outcome => Cow::Borrowed(result.outcome.as_str().as_bytes()),
        Field::Duration => text(seconds(result.took, 3)),
        Field::Attempts => text(result.attempts.to_string()),
        Field::Count(what) => text(block_count(&result.counts(), what).to_string()),
        Field::Hosts(set) => text(nodeset::fold(&result.members_with(set.outcomes()))),
    }
}

fn block_count(counts: &Counts, what: BlockCount) -> u64 {
    match what {
        BlockCount::Ended(outcome) => counts.count(outcome),
        BlockCount::Total => counts.total(),
    }
}

impl Scope for Evaluation<'_> {
    fn own_value(&self, operand: &Operand) -> Cow<'_, [u8]> {
        let Some(result) = self.result else {
            return Cow::Borrowed(b"");
        };
        let text = |text: String| Cow::Owned(text.into_bytes());
        let lines = |stream, name| text(self.found(stream, name, Captured::lines).to_string());
        match operand {
            Operand::Exit => text(result.exit.to_string()),
            Operand::Stdout => self.whole(&result.stdout, "stdout"),
            Operand::Stderr => self.whole(&result.stderr, "stderr"),
            Operand::Duration => text(seconds(result.took, 3)),
            Operand::StdoutCount => lines(&result.stdout, "stdout"),
            Operand::StderrCount => lines(&result.stderr, "stderr"),
            Operand::Count(what) => text(self.count(*what).to_string()),
            Operand::Value(value) => Cow::Owned(value.fill(self)),
        }
    }

    fn own_start(&self, operand: &Operand) -> TextStart<'_> {
        match (operand, self.result) {
            (Operand::Stdout, Some(result)) => self.beginning(&result.stdout, "stdout"),
            (Operand::Stderr, Some(result)) => self.beginning(&result.stderr, "stderr"),
            _ => TextStart::whole(self.own_value(operand)),
        }
    }

    fn start<'v>(&'v self, reference: Reference, default: Option<&'v str>) -> TextStart<'v> {
        if let Reference::Field { task, field } = reference
            && matches!(field, Field::Stdout | Field::Stderr)
            && let Some(stream) = self.result_of(task).and_then(|r| stream_of(r, field))
            && stream.len() > LARGEST as u64
        {
            return self.beginning(stream, &self.written(task, field));
        }
        TextStart::whole(self.value_or(reference, default))
    }

    fn own_contains(&self, operand: &Operand, needle: &[u8]) -> bool {
        let contains = |stream, name| self.found(stream, name, |s| s.contains(needle));
        match (operand, self.result) {
            (Operand::Stdout, Some(result)) => contains(&result.stdout, "stdout"),
            (Operand::Stderr, Some(result)) => contains(&result.stderr, "stderr"),
            _ => crate::text::search::contains(&self.own_value(operand), needle),
        }
    }

    fn reference_contains(&self, reference: Reference, needle: &[u8]) -> bool {
        // Avoids loading a spooled output.
        if let Reference::Field { task, field } = reference
            && matches!(field, Field::Stdout | Field::Stderr)
            && let Some(stream) = self.result_of(task).and_then(|r| stream_of(r, field))
            && stream.len() > 0
        {
            let name = self.written(task, field);
            return self.found(stream, &name, |s| s.contains(needle));
        }
        crate::text::search::contains(&self.value(reference), needle)
    }

    fn use_for(&self, purpose: &'static str) {
        self.purpose.set(purpose);
    }

    fn take_unusable(&self) -> Option<String> {
        let noted = std::mem::take(&mut *self.unusable.borrow_mut());
        noted.into_iter().next()
    }

    fn has_state(&self, state: ResultState) -> bool {
        let Some(result) = self.result else {
            return false;
        };
        match state {
            ResultState::Success => result.success,
            ResultState::Failure => !result.success,
            ResultState::Timeout => result.timed_out,
            ResultState::Unreachable => result.outcome == Outcome::Unreachable,
            ResultState::Unknown => result.outcome == Outcome::Unknown,
            ResultState::Skipped => result.outcome == Outcome::Skipped,
        }
    }

    fn exit(&self) -> i32 {
        self.result.map_or(-1, |r| r.exit)
    }

    fn count(&self, what: BlockCount) -> u64 {
        self.result.map_or(0, |r| block_count(&r.counts(), what))
    }

    fn left_out(&self) -> u64 {
        self.result.map_or(0, |r| r.left_out().count() as u64)
    }

    fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    fn is_missing(&self, reference: Reference) -> bool {
        match reference {
            Reference::Field { task, field } => self.why_missing(task, field).is_some(),
            _ => false,
        }
    }

    fn shown(&self, value: &[u8]) -> String {
        self.excerpt(value)
    }

    fn trace_comparison(&self, left: &[u8], op: Op, right: &[u8], holds: Option<bool>) {
        if let Some(trace) = &self.trace {
            let holds = holds.map_or("undecided", |h| if h { "true" } else { "false" });
            trace.borrow_mut().push(format!(
                "`{}` {op} `{}`: {holds}",
                self.excerpt(left),
                self.excerpt(right)
            ));
        }
    }

    fn warn(&self, text: String) {
        self.warn_once(text);
    }

    fn note_undecided(&self, why: String) {
        self.undecided.borrow_mut().push(why);
    }
}
