//! A task as its keys describe it, with every reference resolved.
#![forbid(unsafe_code)]

use super::values;
use crate::text::condition::Expr;
use crate::text::source::Span;
use crate::text::template::{Field, Lookup, Template};
use std::time::Duration;

/// The place of a task in id order; a checked file has no unknown one.
pub type Ix = usize;

pub struct Task {
    /// 0 to 999999 (SPEC §1).
    pub id: u32,
    pub at: Span,
    pub name: Option<String>,
    /// The description, else the comment above the task; may be empty.
    pub title: Template,
    pub kind: Kind,
    /// Skip the task unless it holds; a conditional's own is in its kind.
    pub condition: Option<Expr>,
    pub success: Option<Criterion>,
    pub routing: Routing,
    pub repeat: Option<Box<Repeat>>,
    pub retry: Retry,
    pub finally: bool,
    pub sleep: Option<Late<Duration>>,
    /// Every reference to another task's result.
    pub uses: Vec<Use>,
    /// The keys that were written, with the places of their values.
    pub written: Vec<(&'static str, Span)>,
}

pub enum Kind {
    Command(Command),
    Parallel(Box<Parallel>),
    Conditional(Conditional),
    /// Runs nothing: a verdict over earlier results.
    Decision,
    /// Only a `return=` or `next=never`.
    Bare,
}

pub struct Command {
    pub hostname: Option<Template>,
    pub command: Template,
    pub arguments: Option<Template>,
    pub exec: Option<Template>,
    pub timeout: Option<Late<Duration>>,
    pub env: Vec<(String, Template)>,
    pub stdin: Option<Template>,
    pub workdir: Option<Template>,
    pub stdout_split: Option<Late<values::Split>>,
    pub stderr_split: Option<Late<values::Split>>,
}

pub struct Parallel {
    pub members: Members,
    pub max_parallel: Option<Late<u32>>,
    pub block_timeout: Option<Late<Duration>>,
    pub fail_fast: Option<Late<values::Share>>,
    pub unreachable: Option<Late<values::Unreachable>>,
    pub waves: Option<Late<Vec<values::Wave>>>,
    pub wave_check: Option<Ix>,
    pub wave_pause: Option<Late<Duration>>,
}

pub enum Members {
    Tasks(Vec<Ix>),
    /// One copy of the command per host of the node set.
    Hosts {
        set: Template,
        command: Box<Command>,
    },
}

pub struct Conditional {
    pub condition: Expr,
    pub if_true: Option<Vec<Ix>>,
    pub if_false: Option<Vec<Ix>>,
}

/// `success=` (or `failure=`, its opposite).
pub struct Criterion {
    pub expr: Expr,
    pub negated: bool,
}

/// Where the flow goes after the task (SPEC §3.2).
#[derive(Default)]
pub struct Routing {
    pub next: Next,
    pub on_success: Option<Ix>,
    /// `on_failure`, or `goto` beside a `next`.
    pub on_failure: Option<Ix>,
    /// `goto` without a `next`.
    pub goto: Option<Ix>,
    pub return_: Option<Late<u8>>,
}

impl Routing {
    /// Whether the task says anything about where the flow goes.
    pub fn routes(&self) -> bool {
        !matches!(self.next, Next::Absent)
            || self.on_success.is_some()
            || self.on_failure.is_some()
            || self.goto.is_some()
            || self.return_.is_some()
    }
}

#[derive(Default)]
pub enum Next {
    #[default]
    Absent,
    Always,
    Success,
    Never,
    Loop,
    When(Expr),
}

/// `loop=N` with `loop_break` (SPEC §3.4).
pub struct Repeat {
    pub count: Late<u32>,
    pub until: Option<Expr>,
}

/// Further attempts after a false verdict (SPEC §3.3).
pub struct Retry {
    pub count: Late<u32>,
    pub delay: Late<values::Delay>,
    pub on: Late<values::RetryOn>,
}

/// A reference to a field of another task's result.
#[derive(Clone, Copy)]
pub struct Use {
    pub task: Ix,
    pub field: Field,
    pub at: Span,
}

/// A setting that is known when the file is loaded, or only in the run.
#[derive(Clone)]
pub enum Late<T> {
    Known(T),
    Later {
        value: Box<Template>,
        read: fn(&str) -> Result<T, String>,
    },
}

impl<T: Clone> Late<T> {
    /// The value now; the error says what is wrong with it.
    pub fn get(&self, values: &dyn Lookup) -> Result<T, String> {
        match self {
            Late::Known(value) => Ok(value.clone()),
            Late::Later { value, read } => {
                read(String::from_utf8_lossy(&value.fill(values)).trim())
            }
        }
    }

    pub fn known(&self) -> Option<&T> {
        match self {
            Late::Known(value) => Some(value),
            Late::Later { .. } => None,
        }
    }
}

/// The value of a key now, where it is written.
///
/// # Errors
/// What is wrong with it, with the key's name.
pub fn now<T: Clone>(
    key: &str,
    value: Option<&Late<T>>,
    values: &dyn Lookup,
) -> Result<Option<T>, String> {
    value
        .map(|v| v.get(values).map_err(|e| format!("{key}: {e}")))
        .transpose()
}

impl Task {
    /// The place of the key's value, or of the task where the key is not written.
    pub fn place(&self, key: &str) -> Span {
        self.written
            .iter()
            .find(|(k, _)| *k == key)
            .map_or(self.at, |(_, at)| *at)
    }

    pub fn is_block(&self) -> bool {
        matches!(self.kind, Kind::Parallel(_) | Kind::Conditional(_))
    }

    /// The command it runs itself, or once per host.
    pub fn command(&self) -> Option<&Command> {
        match &self.kind {
            Kind::Command(command) => Some(command),
            Kind::Parallel(parallel) => match &parallel.members {
                Members::Hosts { command, .. } => Some(command.as_ref()),
                Members::Tasks(_) => None,
            },
            _ => None,
        }
    }

    /// The tasks it owns: a block's subtasks and a `wave_check`.
    pub fn owned(&self) -> Vec<Ix> {
        match &self.kind {
            Kind::Parallel(parallel) => {
                let mut owned = match &parallel.members {
                    Members::Tasks(tasks) => tasks.clone(),
                    Members::Hosts { .. } => Vec::new(),
                };
                owned.extend(parallel.wave_check);
                owned
            }
            Kind::Conditional(conditional) => [&conditional.if_true, &conditional.if_false]
                .into_iter()
                .flatten()
                .flatten()
                .copied()
                .collect(),
            _ => Vec::new(),
        }
    }
}
