//! What references and conditions see at one moment of the run.
#![forbid(unsafe_code)]

use super::event::About;
use super::result::{LatestResults, TaskResult};
use crate::outcome::{Counts, Outcome};
use crate::plan::workflow::Workflow;
use crate::task::mask::Mask;
use crate::task::{Ix, nodeset};
use crate::text::condition::{Op, Operand, ResultState};
use crate::text::decimal::seconds;
use crate::text::evaluate::Scope;
use crate::text::template::{BlockCount, Field, Lookup, Reference};
use std::borrow::Cow;
use std::cell::RefCell;

/// The running task's own values.
#[derive(Clone, Debug, Default)]
pub struct TaskContext {
    /// The task's id; of a copy for a host that of its block.
    pub id: u32,
    /// `5`, or `10.3` in a block over hosts.
    pub task: String,
    /// What it is told as: also with its iteration, `5.2`.
    pub label: String,
    pub hostname: String,
    pub iteration: u32,
    pub attempt: u32,
    /// A subtask of a parallel block.
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

    /// Who an event about this task is about.
    pub fn about<'a>(&'a self, title: &'a str) -> About<'a> {
        About {
            task: self.id,
            iteration: self.iteration,
            attempt: self.attempt,
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
    /// The result that a condition is about.
    pub result: Option<&'a TaskResult>,
    /// WARN lines that came up.
    pub doubts: RefCell<Vec<String>>,
    /// DEBUG lines, where they are wanted.
    pub trace: Option<RefCell<Vec<String>>>,
}

impl Evaluation<'_> {
    /// The WARN and the DEBUG lines that came up.
    pub fn observed(self) -> (Vec<String>, Vec<String>) {
        (
            self.doubts.into_inner(),
            self.trace.map(RefCell::into_inner).unwrap_or_default(),
        )
    }

    /// The beginning of a value, for a DEBUG line.
    fn traced(&self, value: &[u8]) -> String {
        const TRACED: usize = 200;
        String::from_utf8_lossy(&self.mask.apply_to_range(value, 0, TRACED)).into_owned()
    }

    fn doubt_once(&self, text: String) {
        let mut doubts = self.doubts.borrow_mut();
        if !doubts.contains(&text) {
            doubts.push(text);
        }
    }

    /// The result that the reference is about; a WARN where there is none.
    fn result_of(&self, task: Ix) -> Option<&TaskResult> {
        let result = self.results.get(task);
        if result.is_none() {
            self.doubt_once(format!(
                "task {} has not run; a reference to its result is empty",
                self.workflow.tasks[task].id
            ));
        }
        result
    }

    /// The value, but of a long output only the first `limit` bytes and a bit.
    pub fn value_within(&self, reference: Reference, limit: usize) -> Cow<'_, [u8]> {
        let Reference::Field { task, field } = reference else {
            return self.value(reference);
        };
        let long = |result: &TaskResult| match field {
            Field::Stdout => Some(result.stdout.clone()).filter(|s| s.len() > 2 * limit as u64),
            Field::Stderr => Some(result.stderr.clone()).filter(|s| s.len() > 2 * limit as u64),
            _ => None,
        };
        match self.results.get(task).and_then(long) {
            Some(stream) => Cow::Owned(stream.head(limit + 1).into_owned()),
            None => self.value(reference),
        }
    }
}

impl Lookup for Evaluation<'_> {
    fn value(&self, reference: Reference) -> Cow<'_, [u8]> {
        let text = |text: &str| Cow::Owned(text.as_bytes().to_vec());
        let value = match reference {
            Reference::Task => text(&self.context.task),
            Reference::Hostname => text(&self.context.hostname),
            Reference::Loop => text(&self.context.iteration.to_string()),
            Reference::Attempt => text(&self.context.attempt.to_string()),
            Reference::RunOutcome => text(self.run_outcome),
            Reference::Field { task, field } => match self.result_of(task) {
                Some(result) => field_of(result, field),
                None => Cow::Borrowed(&b""[..]),
            },
        };
        if let (Some(trace), Reference::Field { task, field }) = (&self.trace, reference) {
            let shown = self.traced(&value);
            let line = format!(
                "@{}_{}@ is `{shown}`",
                self.workflow.tasks[task].id,
                field.name()
            );
            // What is shown and what is used ask for the same value.
            if !trace.borrow().contains(&line) {
                trace.borrow_mut().push(line);
            }
        }
        value
    }
}

fn field_of(result: &TaskResult, field: Field) -> Cow<'_, [u8]> {
    use Outcome::*;
    let text = |text: String| Cow::Owned(text.into_bytes());
    let path = |stream: &super::capture::Captured| match stream.path() {
        Some(path) => Cow::Owned(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()).to_vec()),
        None => Cow::Borrowed(&b""[..]),
    };
    let set = |ended: &[Outcome]| text(nodeset::fold(&result.members_that(ended)));
    match field {
        Field::Stdout => result.stdout.trimmed(),
        Field::Stderr => result.stderr.trimmed(),
        Field::StdoutFile => path(&result.stdout),
        Field::StderrFile => path(&result.stderr),
        Field::Exit => text(result.exit.to_string()),
        Field::Success => text(result.success.to_string()),
        Field::Hostname => Cow::Borrowed(result.hostname.as_bytes()),
        Field::Command => Cow::Borrowed(result.command.as_bytes()),
        Field::Outcome => Cow::Borrowed(result.outcome.as_str().as_bytes()),
        Field::Duration => text(seconds(result.took, 3)),
        Field::Attempts => text(result.attempts.to_string()),
        Field::Count(what) => text(counted(&result.counts(), what).to_string()),
        Field::OkHosts => set(&[Ok]),
        Field::FailedHosts => set(&[Failed, Timeout]),
        Field::UnreachableHosts => {
            let left_out = result.left_out.iter().map(String::as_str);
            text(nodeset::fold(
                &result
                    .members_that(&[Unreachable])
                    .into_iter()
                    .chain(left_out)
                    .collect::<Vec<_>>(),
            ))
        }
        Field::NotStartedHosts => set(&[NotStarted]),
    }
}

fn counted(counts: &Counts, what: BlockCount) -> u64 {
    match what {
        BlockCount::Success => counts.count(Outcome::Ok),
        BlockCount::Failed => counts.count(Outcome::Failed),
        BlockCount::Timeout => counts.count(Outcome::Timeout),
        BlockCount::Unreachable => counts.count(Outcome::Unreachable),
        BlockCount::Skipped => counts.count(Outcome::Skipped),
        BlockCount::NotStarted => counts.count(Outcome::NotStarted),
        BlockCount::Total => counts.total(),
    }
}

impl Scope for Evaluation<'_> {
    fn own_value(&self, operand: &Operand) -> Cow<'_, [u8]> {
        let Some(result) = self.result else {
            return Cow::Borrowed(b"");
        };
        let text = |text: String| Cow::Owned(text.into_bytes());
        match operand {
            Operand::Exit => text(result.exit.to_string()),
            Operand::Stdout => result.stdout.trimmed(),
            Operand::Stderr => result.stderr.trimmed(),
            Operand::Duration => text(seconds(result.took, 3)),
            Operand::StdoutCount => text(result.stdout.lines().to_string()),
            Operand::StderrCount => text(result.stderr.lines().to_string()),
            Operand::Count(what) => text(self.count(*what).to_string()),
            Operand::Value(value) => Cow::Owned(value.fill(self)),
        }
    }

    fn own_contains(&self, operand: &Operand, needle: &[u8]) -> bool {
        match (operand, self.result) {
            (Operand::Stdout, Some(result)) => result.stdout.contains(needle),
            (Operand::Stderr, Some(result)) => result.stderr.contains(needle),
            _ => crate::text::search::contains(&self.own_value(operand), needle),
        }
    }

    fn reference_contains(&self, reference: Reference, needle: &[u8]) -> bool {
        use crate::text::search::contains;
        let Reference::Field { task, field } = reference else {
            return contains(&self.value(reference), needle);
        };
        // A spooled output is not loaded whole.
        match (self.results.get(task), field) {
            (Some(result), Field::Stdout) => result.stdout.contains(needle),
            (Some(result), Field::Stderr) => result.stderr.contains(needle),
            _ => contains(&self.value(reference), needle),
        }
    }

    fn has_state(&self, state: ResultState) -> bool {
        let Some(result) = self.result else {
            return false;
        };
        match state {
            ResultState::Success => result.success,
            ResultState::Failure => !result.success,
            ResultState::Timeout => result.timed_out,
            ResultState::Skipped => result.outcome == Outcome::Skipped,
        }
    }

    fn exit(&self) -> i32 {
        self.result.map_or(-1, |r| r.exit)
    }

    fn count(&self, what: BlockCount) -> u64 {
        self.result.map_or(0, |r| counted(&r.counts(), what))
    }

    fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    fn trace_comparison(&self, left: &[u8], op: Op, right: &[u8], holds: bool) {
        if let Some(trace) = &self.trace {
            trace.borrow_mut().push(format!(
                "`{}` {op} `{}`: {holds}",
                self.traced(left),
                self.traced(right)
            ));
        }
    }

    fn warn(&self, text: &str) {
        self.doubt_once(text.to_string());
    }
}
