//! The keys of a task that decide how it runs, with their values, as every form of
//! the plan shows them (SPEC §6.1). A key that says what holds without it is left out.
#![forbid(unsafe_code)]

use crate::task::global_value::{is_only_reference, is_secret};
use crate::task::value_text::list_waves;
use crate::task::values::{self, Delay, RetryOn, Unreachable};
use crate::task::{Command, Deferrable, NextRule, Parallel, Task, TaskKind};
use crate::text::duration;
use crate::text::source::SourceMap;
use crate::text::template::{Piece, Template};
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskSetting {
    /// The key as in the task file: `fail_fast`, `env.NAME`.
    pub key: String,
    pub value: SettingValue,
}

#[derive(Clone, Debug, PartialEq)]
pub enum SettingValue {
    Number(u32),
    Time(Duration),
    Text(String),
}

impl Display for SettingValue {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self {
            SettingValue::Number(n) => write!(f, "{n}"),
            SettingValue::Time(time) => f.write_str(&duration::setting(*time)),
            SettingValue::Text(text) => f.write_str(text),
        }
    }
}

/// The settings of a task, in the order in which they are shown. `in_branch`: it is a
/// member of a conditional block.
pub fn collect(task: &Task, sources: &SourceMap, in_branch: bool) -> Vec<TaskSetting> {
    let mut settings = SettingCollector {
        task,
        sources,
        found: Vec::new(),
    };
    if let TaskKind::Parallel(parallel) = &task.kind {
        settings.parallel(parallel);
    }
    settings.repetition();
    if let Some(command) = task.command() {
        settings.command(command);
    }
    settings.deferrable("sleep", task.sleep.as_ref(), |t| {
        (!t.is_zero()).then_some(SettingValue::Time(*t))
    });
    if task.repeats_on_resume {
        settings.add_text("on_resume", "repeat");
    }
    settings.routing(in_branch);
    settings.found
}

struct SettingCollector<'a> {
    task: &'a Task,
    sources: &'a SourceMap,
    found: Vec<TaskSetting>,
}

impl SettingCollector<'_> {
    fn add(&mut self, key: &str, value: SettingValue) {
        let key = key.to_string();
        self.found.push(TaskSetting { key, value });
    }

    fn add_text(&mut self, key: &str, text: impl Into<String>) {
        self.add(key, SettingValue::Text(text.into()));
    }

    /// A value with its references; one that the mask hides, also as it is written.
    fn template(&mut self, key: &str, value: &Template) {
        let shown = value.shown(None);
        let text = match self.task.find_key(key).filter(|_| is_ambiguous(value)) {
            Some(at) => format!("{shown} (written: {})", self.sources.snippet(at)),
            None => shown,
        };
        self.add_text(key, text);
    }

    /// A value that is known now, if `show` finds that it changes anything, or as its
    /// references.
    fn deferrable<T>(
        &mut self,
        key: &str,
        value: Option<&Deferrable<T>>,
        show: impl Fn(&T) -> Option<SettingValue>,
    ) {
        match value {
            Some(Deferrable::Known(value)) => {
                if let Some(value) = show(value) {
                    self.add(key, value);
                }
            }
            Some(Deferrable::Deferred { value, .. }) => self.template(key, value),
            None => {}
        }
    }

    fn parallel(&mut self, parallel: &Parallel) {
        let time = |t: &Duration| Some(SettingValue::Time(*t));
        let text = |text: String| Some(SettingValue::Text(text));
        self.deferrable("waves", parallel.waves.as_ref(), |w| text(list_waves(w)));
        self.deferrable("wave_pause", parallel.wave_pause.as_ref(), |t| {
            (!t.is_zero()).then_some(SettingValue::Time(*t))
        });
        self.deferrable("fail_fast", parallel.fail_fast.as_ref(), |share| {
            share.and_then(|share| text(share.to_string()))
        });
        self.deferrable("unreachable", parallel.unreachable.as_ref(), |way| {
            text(way.to_string()).filter(|_| *way != Unreachable::Fail)
        });
        self.deferrable("block_timeout", parallel.block_timeout.as_ref(), time);
    }

    /// Retries and iterations.
    fn repetition(&mut self) {
        let retry = &self.task.retry;
        let number = |n: &u32| Some(SettingValue::Number(*n)).filter(|_| *n > 0);
        self.deferrable("retry_count", Some(&retry.count), number);
        if retry.count.known() != Some(&0) {
            let standard = Delay {
                first: values::RETRY_DELAY,
                last: None,
            };
            self.deferrable("retry_delay", Some(&retry.delay), |delay| {
                (*delay != standard).then(|| SettingValue::Text(delay.to_string()))
            });
            self.deferrable("retry_on", Some(&retry.on), |on| {
                (*on != RetryOn::default()).then(|| SettingValue::Text(on.to_string()))
            });
        }
        if let Some(repeat) = &self.task.repeat {
            self.deferrable("loop", Some(&repeat.count), number);
        }
    }

    fn command(&mut self, command: &Command) {
        let split = |split: &values::Split| Some(SettingValue::Text(split.to_string()));
        for (key, value) in [("stdin", &command.stdin), ("workdir", &command.workdir)] {
            if let Some(value) = value {
                self.template(key, value);
            }
        }
        let places = self.task.written.iter().filter(|(key, _)| *key == "env.");
        let places: Vec<_> = places.map(|(_, at)| *at).collect();
        for (at, (name, value)) in command.env.iter().enumerate() {
            let shown = value.shown(None);
            let written = places.get(at).map_or("", |at| self.sources.snippet(*at));
            // A secret that is written there is shown in no form.
            let is_known = !is_secret(name) || is_only_reference(written);
            let text = match is_ambiguous(value) && is_known {
                true => format!("{shown} (written: {written})"),
                false => shown,
            };
            self.add_text(&format!("env.{name}"), text);
        }
        self.deferrable("stdout_split", command.stdout_split.as_ref(), split);
        self.deferrable("stderr_split", command.stderr_split.as_ref(), split);
    }

    /// What the routes of the task do not show.
    fn routing(&mut self, in_branch: bool) {
        let routing = &self.task.routing;
        match routing.next {
            NextRule::Always => self.add_text("next", "always"),
            NextRule::Never => self.add_text("next", "never"),
            NextRule::Success if in_branch => self.add_text("next", "success"),
            _ => {}
        }
        if let Some(Deferrable::Deferred { value, .. }) = &routing.return_ {
            self.template("return", value);
        }
    }
}

/// Whether the value as it is shown could also be another one: a secret is `***`
/// whichever it is, and literal text can look like a reference.
pub fn is_ambiguous(value: &Template) -> bool {
    let like_reference = |piece: &Piece| match piece {
        Piece::Text { text, .. } => text.matches('@').count() > 1,
        Piece::Data { bytes, .. } => bytes.iter().filter(|b| **b == b'@').count() > 1,
        Piece::Reference { .. } => false,
    };
    value.has_secret() || value.pieces.iter().any(like_reference)
}
