//! A task's numbers, which may come from results: timeout, retries, delays.
#![forbid(unsafe_code)]

use super::engine::Engine;
use crate::plan::durations::{LIKELY, retry_waits};
use crate::run::evaluation::{Evaluation, TaskContext};
use crate::run::job::{self, TimeoutRule};
use crate::task::values::{Delay, RetryOn, Split};
use crate::task::{NextRule, Task, TaskKind, resolve_setting};
use std::time::Duration;

#[derive(Default)]
pub struct Numbers {
    pub timeout: TimeoutRule,
    /// How long it may take to connect to its host, before its timeout counts.
    pub connecting: Duration,
    pub retries: Retries,
    /// What `loop=` asks for.
    pub iterations: u32,
    pub sleep: Duration,
    pub stdout_split: Option<Split>,
    pub stderr_split: Option<Split>,
}

/// The retries that apply to a task.
#[derive(Clone, Default)]
pub struct Retries {
    pub count: u32,
    pub delay: Delay,
    pub on: RetryOn,
}

impl Numbers {
    /// The longest that this attempt and those after it can take. A task without
    /// a timeout is assumed to be as quick as most are.
    pub fn longest(&self, attempt: u32) -> Duration {
        let (timeout, retries) = (&self.timeout, &self.retries);
        let once = timeout.own.unwrap_or(timeout.default.min(LIKELY));
        let once = once.saturating_add(self.connecting);
        let left = (retries.count + 1).saturating_sub(attempt);
        let wait = |count: u32| retry_waits(retries.delay, count as usize);
        let before = retries.count - left.min(retries.count);
        let pauses = wait(retries.count).saturating_sub(wait(before));
        let all = once.saturating_mul(left.saturating_add(1));
        let all = all.saturating_add(pauses);
        timeout.left.map_or(all, |of_block| all.min(of_block))
    }
}

impl Engine<'_> {
    /// Evaluates the task's numbers. `inherited` are the retries of its block.
    ///
    /// # Errors
    /// Which of them is unusable, and why.
    pub(super) fn numbers(
        &mut self,
        context: &TaskContext,
        inherited: Option<&Retries>,
    ) -> Result<Numbers, String> {
        let task = self.task(context);
        let default = self.defaults.default_timeout(task);
        let recipe = &self.workflow.recipes[context.at.task];
        let command = task.command();
        let connecting = command.map(|c| self.defaults.connect_timeout(c, recipe));
        let connecting = connecting.unwrap_or_default();
        // A task without a timeout is assumed to be quick; the deadline ends it, even if
        // it takes long to connect.
        let default_max = self.time_left().map(|left| left.saturating_sub(connecting));
        let left = self
            .block_deadline
            .map(|d| d.saturating_sub(self.runner.now()));
        self.evaluate_usable(context, |values| {
            if let TaskKind::Command(command) = &task.kind {
                job::host_of(command, values)?;
            }
            let timeout = command.and_then(|c| c.timeout.as_ref());
            let stdout_split = command.and_then(|c| c.stdout_split.as_ref());
            let stderr_split = command.and_then(|c| c.stderr_split.as_ref());
            let sleep = resolve_setting("sleep", task.sleep.as_ref(), values)?;
            let count = task.repeat.as_ref().map(|r| &r.count);
            Ok(Numbers {
                timeout: TimeoutRule {
                    own: resolve_setting("timeout", timeout, values)?,
                    default,
                    default_max,
                    left,
                },
                connecting,
                retries: retries(task, values, inherited)?,
                iterations: resolve_setting("loop", count, values)?.unwrap_or(0),
                sleep: sleep.unwrap_or_default(),
                stdout_split: resolve_setting("stdout_split", stdout_split, values)?,
                stderr_split: resolve_setting("stderr_split", stderr_split, values)?,
            })
        })
    }
}

/// The task's own retries; each key that it does not set comes from its block. A
/// loop has none (SPEC §3.4).
fn retries(
    task: &Task,
    values: &Evaluation,
    inherited: Option<&Retries>,
) -> Result<Retries, String> {
    let written = |keys: &[&str]| task.written.iter().any(|(k, _)| keys.contains(k));
    let mut retries = Retries {
        count: resolve_setting("retry_count", Some(&task.retry.count), values)?.unwrap_or_default(),
        delay: resolve_setting("retry_delay", Some(&task.retry.delay), values)?.unwrap_or_default(),
        on: resolve_setting("retry_on", Some(&task.retry.on), values)?.unwrap_or_default(),
    };
    if let Some(block) = inherited {
        if !written(&["retry_count", "retry_failed"]) {
            retries.count = block.count;
        }
        if !written(&["retry_delay"]) {
            retries.delay = block.delay;
        }
        if !written(&["retry_on"]) {
            retries.on = block.on.clone();
        }
    }
    if matches!(task.routing.next, NextRule::Loop) {
        retries.count = 0;
    }
    Ok(retries)
}

/// The delay before the next attempt; a range doubles each time, with a random
/// deviation of up to 20 %.
pub(super) fn retry_delay(delay: Delay, attempt: u32) -> Duration {
    use std::hash::{BuildHasher, Hasher};
    let Some(last) = delay.last else {
        return delay.first;
    };
    let doubled = delay
        .first
        .saturating_mul(1 << (attempt - 1).min(20))
        .min(last);
    let random = std::hash::RandomState::new().build_hasher().finish() % 401;
    doubled.mul_f64((800 + random) as f64 / 1000.0).min(last)
}
