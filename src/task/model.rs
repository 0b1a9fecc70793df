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
    pub kind: TaskKind,
    /// Skip the task unless it holds; a conditional's own is in its kind.
    pub condition: Option<Expr>,
    pub success: Option<Criterion>,
    pub routing: Routing,
    pub repeat: Option<Box<Repeat>>,
    pub retry: Retry,
    pub finally: bool,
    pub sleep: Option<Deferrable<Duration>>,
    /// Every reference to another task's result.
    pub uses: Vec<ResultUse>,
    /// The keys that were written, with the places of their values.
    pub written: Vec<(&'static str, Span)>,
}

pub enum TaskKind {
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
    pub timeout: Option<Deferrable<Duration>>,
    pub env: Vec<(String, Template)>,
    pub stdin: Option<Template>,
    pub workdir: Option<Template>,
    pub stdout_split: Option<Deferrable<values::Split>>,
    pub stderr_split: Option<Deferrable<values::Split>>,
}

pub struct Parallel {
    pub members: Members,
    pub max_parallel: Option<Deferrable<u32>>,
    pub block_timeout: Option<Deferrable<Duration>>,
    pub fail_fast: Option<Deferrable<values::Share>>,
    pub unreachable: Option<Deferrable<values::Unreachable>>,
    pub waves: Option<Deferrable<Vec<values::Wave>>>,
    pub wave_check: Option<Ix>,
    pub wave_pause: Option<Deferrable<Duration>>,
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
    pub next: NextRule,
    pub on_success: Option<Ix>,
    /// `on_failure`, or `goto` beside a `next`.
    pub on_failure: Option<Ix>,
    /// `goto` without a `next`.
    pub goto: Option<Ix>,
    pub return_: Option<Deferrable<u8>>,
}

impl Routing {
    /// Whether the task says anything about where the flow goes.
    pub fn routes(&self) -> bool {
        !matches!(self.next, NextRule::Absent)
            || self.on_success.is_some()
            || self.on_failure.is_some()
            || self.goto.is_some()
            || self.return_.is_some()
    }
}

#[derive(Default)]
pub enum NextRule {
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
    pub count: Deferrable<u32>,
    pub until: Option<Expr>,
}

/// Further attempts after a false verdict (SPEC §3.3).
pub struct Retry {
    pub count: Deferrable<u32>,
    pub delay: Deferrable<values::Delay>,
    pub on: Deferrable<values::RetryOn>,
}

/// A reference to a field of another task's result.
#[derive(Clone, Copy)]
pub struct ResultUse {
    pub task: Ix,
    pub field: Field,
    pub at: Span,
}

/// A setting that is known when the file is loaded, or only in the run.
#[derive(Clone)]
pub enum Deferrable<T> {
    Known(T),
    Deferred {
        value: Box<Template>,
        read: fn(&str) -> Result<T, String>,
    },
}

impl<T: Clone> Deferrable<T> {
    /// The value now; the error says what is wrong with it.
    pub fn resolve(&self, values: &dyn Lookup) -> Result<T, String> {
        match self {
            Deferrable::Known(value) => Ok(value.clone()),
            Deferrable::Deferred { value, read } => {
                read(String::from_utf8_lossy(&value.fill(values)).trim())
            }
        }
    }

    pub fn known(&self) -> Option<&T> {
        match self {
            Deferrable::Known(value) => Some(value),
            Deferrable::Deferred { .. } => None,
        }
    }
}

/// The value of a key now, where it is written.
///
/// # Errors
/// What is wrong with it, with the key's name.
pub fn resolve_setting<T: Clone>(
    key: &str,
    value: Option<&Deferrable<T>>,
    values: &dyn Lookup,
) -> Result<Option<T>, String> {
    value
        .map(|v| v.resolve(values).map_err(|e| format!("{key}: {e}")))
        .transpose()
}

impl Task {
    /// Whether the task has this key.
    pub fn has_key(&self, key: &str) -> bool {
        self.find_key(key).is_some()
    }

    /// The place of the key's value, if the task has the key.
    pub fn find_key(&self, key: &str) -> Option<Span> {
        let (_, at) = self.written.iter().find(|(k, _)| *k == key)?;
        Some(*at)
    }

    /// The first of these keys that the task has.
    pub fn first_key<'k>(&self, keys: &[&'k str]) -> Option<&'k str> {
        keys.iter().copied().find(|k| self.has_key(k))
    }

    /// The place of the key's value, or of the task where the key is not written.
    pub fn key_span(&self, key: &str) -> Span {
        self.find_key(key).unwrap_or(self.at)
    }

    pub fn is_block(&self) -> bool {
        matches!(self.kind, TaskKind::Parallel(_) | TaskKind::Conditional(_))
    }

    /// The command it runs itself, or once per host.
    pub fn command(&self) -> Option<&Command> {
        match &self.kind {
            TaskKind::Command(command) => Some(command),
            TaskKind::Parallel(parallel) => match &parallel.members {
                Members::Hosts { command, .. } => Some(command.as_ref()),
                Members::Tasks(_) => None,
            },
            _ => None,
        }
    }

    /// The tasks it owns: a block's subtasks and a `wave_check`.
    pub fn owned_tasks(&self) -> Vec<Ix> {
        match &self.kind {
            TaskKind::Parallel(parallel) => {
                let mut owned = match &parallel.members {
                    Members::Tasks(tasks) => tasks.clone(),
                    Members::Hosts { .. } => Vec::new(),
                };
                owned.extend(parallel.wave_check);
                owned
            }
            TaskKind::Conditional(conditional) => [&conditional.if_true, &conditional.if_false]
                .into_iter()
                .flatten()
                .flatten()
                .copied()
                .collect(),
            _ => Vec::new(),
        }
    }
}
