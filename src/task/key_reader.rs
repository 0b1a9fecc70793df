//! Reads the values of one task's keys, each by its form, and reports every error.
//! Knows nothing of what the keys mean together.
#![forbid(unsafe_code)]

use super::host_files::HostFiles;
use super::keys::{self, KindSet};
use super::model::{Criterion, Deferrable, Ix};
use super::raw::RawTask;
use super::resolve::Resolver;
use crate::text::condition::{Expr, ResultState, Test};
use crate::text::diagnostic::Diagnostic;
use crate::text::scanner::Pair;
use crate::text::source::Span;
use crate::text::template::{self, Template};
use std::collections::HashSet;

/// The results that a condition can test.
#[derive(Clone, Copy, PartialEq)]
pub enum ResultScope {
    /// Those of earlier tasks only.
    Earlier,
    /// The command's own result.
    Own,
    /// The block's counts.
    Counts,
    /// The own result of each host, or the block's counts, but not both.
    OwnOrCounts,
}

/// Reads the keys of one task.
pub struct KeyReader<'r, 'a> {
    pub resolver: &'r mut Resolver<'a>,
    pub raw: &'r RawTask,
    pub host_files: &'r HostFiles,
    /// The kind of the task; keys that do not apply to it are not read.
    pub kind: KindSet,
}

impl<'r, 'a> KeyReader<'r, 'a> {
    pub fn new(
        resolver: &'r mut Resolver<'a>,
        raw: &'r RawTask,
        host_files: &'r HostFiles,
    ) -> KeyReader<'r, 'a> {
        KeyReader {
            resolver,
            raw,
            host_files,
            kind: KindSet::MAX,
        }
    }

    /// The key and its line, if it is written and applies to the task.
    fn pair(&self, key: &str) -> Option<&(&'static keys::TaskKey, Pair)> {
        let mut pairs = self.raw.pairs.iter();
        pairs.find(|(k, _)| k.name == key && k.on & self.kind != 0)
    }

    /// The span of the key's value, without a comment at its end.
    pub fn value_span(&self, key: &str) -> Option<Span> {
        let (key, pair) = self.pair(key)?;
        match key.comment {
            true => {
                let value = keys::without_comment(self.snippet(pair.value));
                Some(pair.value.part(0, value.len()))
            }
            false => Some(pair.value),
        }
    }

    pub fn snippet(&self, at: Span) -> &str {
        self.resolver.sources.snippet(at)
    }

    pub fn has(&self, key: &str) -> bool {
        self.pair(key).is_some()
    }

    pub fn error(&mut self, at: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.resolver.diagnostics.error(at, message)
    }

    pub fn warning(&mut self, at: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.resolver.diagnostics.warning(at, message)
    }

    /// Reports `key` if it is written together with `other`.
    pub fn exclusive(&mut self, key: &str, other: &str, message: impl Into<String>) {
        if self.has(key) && self.has(other) {
            let (at, other) = (self.name_span(key), self.name_span(other));
            self.error(at, message).also(other, "the other is here");
        }
    }

    pub fn template(&mut self, key: &str) -> Option<Template> {
        let at = self.value_span(key)?;
        Some(self.resolver.parse_template(at))
    }

    /// A value that must not be empty.
    pub fn nonempty(&mut self, key: &str) -> Option<Template> {
        let at = self.value_span(key)?;
        if self.snippet(at).is_empty() {
            self.error(self.name_span(key), format!("`{key}` is empty"));
        }
        Some(self.resolver.parse_template(at))
    }

    /// The span of the key itself, or of the task's id if it is not written.
    pub fn name_span(&self, key: &str) -> Span {
        self.pair(key).map_or(self.raw.at, |(_, p)| p.key)
    }

    /// A value that `read` parses now, or during the run if it contains references.
    pub fn deferrable<T>(
        &mut self,
        key: &str,
        read: fn(&str) -> Result<T, String>,
    ) -> Option<Deferrable<T>> {
        let at = self.value_span(key)?;
        let value = self.resolver.parse_template(at);
        let Some(text) = value.known_text() else {
            return Some(Deferrable::Deferred {
                value: Box::new(value),
                read,
            });
        };
        match read(text.trim()) {
            Ok(value) => Some(Deferrable::Known(value)),
            Err(message) => {
                self.error(at, without_secret(&value, message));
                None
            }
        }
    }

    /// A value that must be known when the file is loaded.
    pub fn known<T: Clone>(&mut self, key: &str, read: fn(&str) -> Result<T, String>) -> Option<T> {
        match self.deferrable(key, read)? {
            Deferrable::Known(value) => Some(value),
            Deferrable::Deferred { .. } => {
                let at = self.value_span(key)?;
                let message =
                    "must be known when the file is loaded; it cannot use a task's result";
                self.error(at, format!("`{key}` {message}"));
                None
            }
        }
    }

    /// The task that a key names.
    pub fn target(&mut self, key: &str) -> Option<Ix> {
        let at = self.value_span(key)?;
        let word = self.snippet(at).to_string();
        if word.contains(',') && !word.contains('@') {
            self.error(at, format!("expected one task for `{key}`, found `{word}`"));
            return None;
        }
        self.resolver.resolve_task(&word, at)
    }

    /// A list of ids, names and ranges of ids, such as `11,12,20-25`.
    pub fn task_list(&mut self, key: &str) -> Option<Vec<Ix>> {
        let at = self.value_span(key)?;
        let text = self.snippet(at).to_string();
        let (mut out, mut seen) = (Vec::new(), HashSet::new());
        let mut from = 0;
        if text.is_empty() {
            self.error(self.name_span(key), format!("`{key}` lists no tasks"));
            return Some(out);
        }
        for part in text.split(',') {
            let head = part.len() - part.trim_start().len();
            let word = part.trim();
            let entry = at.part(from + head, from + head + word.len());
            from += part.len() + 1;
            if word.is_empty() {
                self.error(entry, "expected a task id or name, found nothing");
            }
            for ix in self.list_entry(word, entry) {
                if seen.insert(ix) {
                    out.push(ix);
                } else {
                    let id = self.resolver.ids[ix];
                    self.error(entry, format!("task {id} is listed twice"));
                }
            }
        }
        Some(out)
    }

    /// The tasks of one entry of a list.
    fn list_entry(&mut self, word: &str, at: Span) -> Vec<Ix> {
        let ends = word.split_once('-').and_then(|(a, b)| {
            Some((a.trim().parse::<u32>().ok()?, b.trim().parse::<u32>().ok()?))
        });
        match ends {
            _ if word.is_empty() => Vec::new(),
            Some((first, last)) => match self.task_range(first, last) {
                Ok(tasks) => tasks.collect(),
                Err(why) => {
                    self.error(at, format!("the range `{word}` {why}"));
                    Vec::new()
                }
            },
            None if word.contains('-') => {
                let message = format!("expected a range of ids such as `20-25`, found `{word}`");
                self.error(at, message);
                Vec::new()
            }
            None => self.resolver.resolve_task(word, at).into_iter().collect(),
        }
    }

    /// The tasks with the ids from `first` to `last`, each of which must exist.
    fn task_range(&self, first: u32, last: u32) -> Result<std::ops::Range<Ix>, String> {
        if last < first {
            return Err("runs backwards".into());
        }
        let missing = |id| format!("includes task {id}, which does not exist");
        let ids = &self.resolver.ids;
        let start = ids.binary_search(&first).map_err(|_| missing(first))?;
        match (first..=last)
            .zip(start..)
            .find(|(id, ix)| ids.get(*ix) != Some(id))
        {
            Some((id, _)) => Err(missing(id)),
            None => Ok(start..start + (last - first) as usize + 1),
        }
    }

    /// The condition that decides whether the task runs, or its branch.
    pub fn condition(&mut self) -> Option<Expr> {
        let at = self.value_span("condition")?;
        let expr = self.resolver.parse_condition(at)?;
        self.check_scope(&expr, ResultScope::Earlier);
        Some(expr)
    }

    /// A condition about the task's own result, over the results in `scope`.
    pub fn criterion(&mut self, key: &str, scope: ResultScope) -> Option<Expr> {
        let at = self.value_span(key)?;
        self.criterion_at(at, scope)
    }

    /// Such a condition at that place.
    pub fn criterion_at(&mut self, at: Span, scope: ResultScope) -> Option<Expr> {
        let mut expr = self.resolver.parse_condition(at)?;
        if let Ok(own) = self.resolver.ids.binary_search(&self.raw.id) {
            expr = expr.with_own_result(own);
        }
        self.check_scope(&expr, scope);
        self.check_skipped(&expr);
        Some(expr)
    }

    /// Warns of `skipped` in a criterion: a task that is skipped is not judged.
    fn check_skipped(&mut self, expr: &Expr) {
        let mut found = Vec::new();
        expr.for_each_test(&mut |test, at| {
            if *test == Test::Is(ResultState::Skipped) {
                found.push(at);
            }
        });
        for at in found {
            let message = "`skipped` is never true here: a skipped task is not judged";
            self.warning(at, message);
        }
    }

    /// Reports `@hostname@` where there is no host. `success` is what judges the task.
    pub fn check_hostname_uses(&mut self, success: Option<&Criterion>) {
        let tests_block = success.is_some_and(|c| c.expr.is_about_block());
        let mut found = Vec::new();
        for (key, pair) in &self.raw.pairs {
            if key.on & self.kind == 0 || has_host(self.kind, key.name, tests_block) {
                continue;
            }
            let text = self.resolver.sources.snippet(pair.value);
            template::parse(text, pair.value, &mut |written| {
                if written.name == "hostname" {
                    found.push((key.name, written.at));
                }
                Vec::new()
            });
        }
        for (key, at) in found {
            let (why, help) = match self.kind {
                keys::HOSTS => (
                    format!("`{key}` is evaluated once for the whole block"),
                    match key {
                        "condition" => LEAVE_OUT,
                        _ => "`success=` without a block's counts judges each host by itself",
                    },
                ),
                keys::COMMAND => (format!("`{key}` itself sets it"), ""),
                kind => (
                    format!("{} has no host", keys::describe_kind(kind)),
                    "the host of another task is `@ID_hostname@`",
                ),
            };
            self.error(at, format!("`@hostname@` has no value here: {why}"))
                .help(help);
        }
    }

    /// Reports tests of results that do not exist where the condition is evaluated.
    fn check_scope(&mut self, expr: &Expr, scope: ResultScope) {
        let tests_counts = expr.is_about_block();
        let mut wrong: Vec<(Span, &str)> = Vec::new();
        expr.for_each_test(&mut |test, at| {
            let (own, block) = (test.is_about_own_result(), test.is_about_block());
            let message = match scope {
                ResultScope::Earlier if own => {
                    "this task has no result yet; refer to an earlier task, as in `@1_exit@=0`"
                }
                ResultScope::Earlier | ResultScope::Own if block => {
                    "only a block has these counts; refer to one, as in `@1_success_count@>=2`"
                }
                ResultScope::Counts if own => {
                    "a block has no output or exit code of its own here; use its counts, as in `all_success`"
                }
                ResultScope::OwnOrCounts if own && tests_counts => {
                    "a condition can test each host or the whole block, not both"
                }
                _ => return,
            };
            wrong.push((at, message));
        });
        for (at, message) in wrong {
            self.error(at, message);
        }
    }
}

const LEAVE_OUT: &str = "to leave a host out, exclude it from `hostnames=`, as in `web[1-5],!web3`; `success=` judges each host";

/// Whether `@hostname@` has a value in that key of a task of that kind.
fn has_host(kind: KindSet, key: &str, tests_block: bool) -> bool {
    match (kind, key) {
        (_, "description") => true,
        (keys::HOSTS, "success" | "failure") => !tests_block,
        (keys::HOSTS, key) => {
            !["condition", "next", "loop_break", "return", "hostnames"].contains(&key)
        }
        (keys::COMMAND, key) => key != "hostname",
        _ => false,
    }
}

/// The message, unless the value that it can quote contains a secret.
pub fn without_secret(value: &Template, message: String) -> String {
    match value.has_secret() {
        true => "this value cannot be used; it contains a secret and is not shown".into(),
        false => message,
    }
}
