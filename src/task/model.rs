//! A task as its keys describe it, with every reference resolved to an index.
#![forbid(unsafe_code)]

use super::values;
use crate::text::condition::Expr;
use crate::text::source::Span;
use crate::text::template::{Field, Lookup, Template};
use std::time::Duration;

/// The index of a task in id order; always valid in a checked file.
pub type Ix = usize;

/// A task of the file.
pub struct Task {
    /// From 0 to 999999 (SPEC §1).
    pub id: u32,
    pub at: Span,
    pub name: Option<String>,
    /// `description=`, or the task's name, or the comment above it; can be empty.
    pub title: Template,
    pub kind: TaskKind,
    /// The task is skipped unless it is true; that of a conditional block is in
    /// its kind.
    pub condition: Option<Expr>,
    pub success: Option<Criterion>,
    pub routing: Routing,
    pub repeat: Option<Box<Repeat>>,
    pub retry: Retry,
    pub finally: bool,
    /// It is a final task or, at any depth, a member of one.
    pub in_finals: bool,
    /// `on_resume=repeat`: it is run again where final tasks may have undone it.
    pub repeats_on_resume: bool,
    pub sleep: Option<Deferrable<Duration>>,
    /// Every reference to another task's result.
    pub uses: Vec<ResultUse>,
    /// The keys that were written, with the spans of their values.
    pub written: Vec<(&'static str, Span)>,
}

/// What a task runs.
pub enum TaskKind {
    Command(Command),
    Parallel(Box<Parallel>),
    Conditional(Conditional),
    /// Runs nothing: a verdict on earlier results.
    Decision,
    /// Only a `return=` or a `next=never`.
    Bare,
}

/// A command, with the keys that say how and where it runs.
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

/// A parallel block (SPEC §3.5).
pub struct Parallel {
    pub members: Members,
    pub max_parallel: Option<Deferrable<u32>>,
    pub block_timeout: Option<Deferrable<Duration>>,
    pub fail_fast: Option<Deferrable<Option<values::Share>>>,
    pub unreachable: Option<Deferrable<values::Unreachable>>,
    pub waves: Option<Deferrable<Vec<values::Wave>>>,
    pub wave_check: Option<Ix>,
    pub wave_pause: Option<Deferrable<Duration>>,
}

/// The members of a parallel block.
pub enum Members {
    Tasks(Vec<Ix>),
    /// One copy of the command for each host of the node set.
    Hosts {
        set: Template,
        command: Box<Command>,
    },
}

/// A conditional block: its condition and its branches.
pub struct Conditional {
    pub condition: Expr,
    pub if_true: Option<Vec<Ix>>,
    pub if_false: Option<Vec<Ix>>,
}

impl Conditional {
    /// The tasks that run when the condition holds, or when it does not.
    pub fn branch(&self, holds: bool) -> &[Ix] {
        let branch = match holds {
            true => &self.if_true,
            false => &self.if_false,
        };
        branch.as_deref().unwrap_or(&[])
    }
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
    /// `on_failure`, or `goto` with a `next`.
    pub on_failure: Option<Ix>,
    /// `goto` without a `next`.
    pub goto: Option<Ix>,
    pub return_: Option<Deferrable<u8>>,
}

impl Routing {
    /// Whether the task has any key that sets where the flow goes.
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
    /// Written as `@ID_FIELD:-TEXT@`.
    pub has_default: bool,
    pub at: Span,
}

/// A setting that is known when the file is loaded, or only during the run.
#[derive(Clone)]
pub enum Deferrable<T> {
    Known(T),
    Deferred {
        value: Box<Template>,
        read: fn(&str) -> Result<T, String>,
    },
}

impl<T: Clone> Deferrable<T> {
    /// The value during a run.
    ///
    /// # Errors
    /// What was expected and what was found.
    pub fn resolve(&self, values: &dyn Lookup) -> Result<T, String> {
        match self {
            Deferrable::Known(value) => Ok(value.clone()),
            Deferrable::Deferred { value, read } => {
                if let Some(why) = value.why_no_number(values) {
                    return Err(why);
                }
                read(String::from_utf8_lossy(&value.fill(values)).trim())
            }
        }
    }

    /// The value, if it is known before a run.
    pub fn known(&self) -> Option<&T> {
        match self {
            Deferrable::Known(value) => Some(value),
            Deferrable::Deferred { .. } => None,
        }
    }
}

/// The value of a key during a run, if the key is written.
///
/// # Errors
/// The key's name, what was expected and what was found.
pub fn resolve_setting<T: Clone>(
    key: &str,
    value: Option<&Deferrable<T>>,
    values: &dyn Lookup,
) -> Result<Option<T>, String> {
    value
        .map(|v| v.resolve(values).map_err(|e| format!("{key}: {e}")))
        .transpose()
}

/// The id of a task whose id is malformed; its keys are still read.
pub const NO_ID: u32 = u32::MAX;

/// What a message calls the task with that id.
pub fn call_task(id: u32) -> String {
    match id {
        NO_ID => "this task".into(),
        id => format!("task {id}"),
    }
}

impl Task {
    /// Whether the task has this key.
    pub fn has_key(&self, key: &str) -> bool {
        self.find_key(key).is_some()
    }

    /// The span of the key's value, if the task has the key.
    pub fn find_key(&self, key: &str) -> Option<Span> {
        let (_, at) = self.written.iter().find(|(k, _)| *k == key)?;
        Some(*at)
    }

    /// The place of the first of these keys that the task has, else of the task.
    pub fn first_key_span(&self, keys: &[&str]) -> Span {
        self.first_key(keys)
            .map_or(self.at, |key| self.key_span(key))
    }

    /// The first of these keys that the task has.
    pub fn first_key<'k>(&self, keys: &[&'k str]) -> Option<&'k str> {
        keys.iter().copied().find(|k| self.has_key(k))
    }

    /// The span of the key's value, or of the task's id if the key is not written.
    pub fn key_span(&self, key: &str) -> Span {
        self.find_key(key).unwrap_or(self.at)
    }

    pub fn is_block(&self) -> bool {
        matches!(self.kind, TaskKind::Parallel(_) | TaskKind::Conditional(_))
    }

    /// Whether it is a block that runs its command once per host.
    pub fn is_over_hosts(&self) -> bool {
        self.is_block() && self.command().is_some()
    }

    /// Whether it is a conditional block without a criterion or route of its own: an
    /// `if`, after which the flow continues whatever its branch did (SPEC §3.2, rule 1).
    pub fn is_plain_if(&self) -> bool {
        matches!(self.kind, TaskKind::Conditional(_))
            && self.success.is_none()
            && !self.routing.routes()
    }

    /// Whether it is a loop that has failed if its `loop_break` never held.
    pub fn waits_in_loop(&self) -> bool {
        let has_break = self.repeat.as_ref().is_some_and(|r| r.until.is_some());
        has_break && matches!(self.routing.next, NextRule::Loop)
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

    /// The node set of a block over hosts.
    pub fn node_set(&self) -> Option<&Template> {
        match &self.kind {
            TaskKind::Parallel(parallel) => match &parallel.members {
                Members::Hosts { set, .. } => Some(set),
                Members::Tasks(_) => None,
            },
            _ => None,
        }
    }

    /// What a message calls the task.
    pub fn called(&self) -> String {
        call_task(self.id)
    }

    /// The tasks that the task owns: a block's subtasks and its `wave_check`.
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
