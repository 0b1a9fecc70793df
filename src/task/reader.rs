//! Reads one task's keys, each by its form; every mistake is collected.
#![forbid(unsafe_code)]

use super::keys::{self, KindSet};
use super::model::{
    Command, Conditional, Criterion, Deferrable, Ix, Members, NextRule, Parallel, Repeat, Retry,
    Routing, Task, TaskKind,
};
use super::raw::RawTask;
use super::resolve::Resolver;
use super::values::{self, RetryOn};
use super::{host, nodeset};
use crate::text::condition::{Expr, Operand, Test};
use crate::text::condition_parser;
use crate::text::diagnostic::{Category, Found};
use crate::text::nearest::did_you_mean;
use crate::text::scanner::Pair;
use crate::text::source::Span;
use crate::text::template::Template;
use std::borrow::Cow;
use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

/// Which results a condition may ask for.
#[derive(Clone, Copy, PartialEq)]
enum ResultScope {
    /// Nothing has run yet.
    Earlier,
    /// The command's own result.
    Own,
    /// The block's counts.
    Counts,
    /// A host's own result, or the block's counts, not both.
    OwnOrCounts,
}

/// Reads one task's keys.
pub struct TaskReader<'r, 'a> {
    r: &'r mut Resolver<'a>,
    raw: &'r RawTask,
    directory: &'r Path,
    /// What the task is; keys that mean nothing for it are not read.
    kinds: KindSet,
}

impl<'r, 'a> TaskReader<'r, 'a> {
    pub fn new(
        r: &'r mut Resolver<'a>,
        raw: &'r RawTask,
        directory: &'r Path,
    ) -> TaskReader<'r, 'a> {
        TaskReader {
            r,
            raw,
            directory,
            kinds: KindSet::MAX,
        }
    }

    /// The task that the keys make.
    pub fn task(&mut self) -> Task {
        let finally = self.known("finally", values::flag).unwrap_or(false);
        self.r.in_final = finally;
        let kinds = self.kinds();
        self.unfitting(kinds);
        self.kinds = kinds;
        let kind = self.kind(kinds);
        let asks = match kinds {
            keys::TASKS | keys::CONDITIONAL => ResultScope::Counts,
            keys::HOSTS => ResultScope::OwnOrCounts,
            keys::DECISION | keys::BARE => ResultScope::Earlier,
            _ => ResultScope::Own,
        };
        let condition = if kinds == keys::CONDITIONAL {
            None
        } else {
            self.condition("condition", ResultScope::Earlier)
        };
        let success = self.criterion(asks);
        self.decides(kinds);
        let routing = self.routing(if asks == ResultScope::OwnOrCounts {
            ResultScope::Counts
        } else {
            asks
        });
        let repeat = self.repeat(
            &routing,
            if asks == ResultScope::OwnOrCounts {
                ResultScope::Counts
            } else {
                asks
            },
        );
        let retry = self.retry();
        let title = self.title();
        Task {
            id: self.raw.id,
            at: self.raw.at,
            name: self.value("name").map(|at| self.snippet(at).to_string()),
            title,
            kind,
            condition,
            success,
            routing,
            repeat: repeat.map(Box::new),
            retry,
            finally,
            sleep: self.late("sleep", values::pause),
            uses: std::mem::take(&mut self.r.uses),
            written: self
                .raw
                .pairs
                .iter()
                .map(|(k, p)| (k.name, p.value))
                .collect(),
        }
    }

    // Values by form.

    fn pair(&self, key: &str) -> Option<&(&'static keys::TaskKey, Pair)> {
        let means = |k: &keys::TaskKey| k.on & self.kinds != 0;
        let mut pairs = self.raw.pairs.iter();
        pairs.find(|(k, _)| k.name == key && means(k))
    }

    /// The place of the key's value, without a comment at its end.
    fn value(&self, key: &str) -> Option<Span> {
        let (key, pair) = self.pair(key)?;
        let length = if key.comment {
            keys::without_comment(self.snippet(pair.value)).len()
        } else {
            self.snippet(pair.value).len()
        };
        Some(pair.value.part(0, length))
    }

    fn snippet(&self, at: Span) -> &str {
        self.r.sources.snippet(at)
    }

    fn has(&self, key: &str) -> bool {
        self.pair(key).is_some()
    }

    fn error(
        &mut self,
        at: Span,
        message: impl Into<String>,
    ) -> &mut crate::text::diagnostic::Diagnostic {
        self.r.diagnostics.error(at, message)
    }

    fn template(&mut self, key: &str) -> Option<Template> {
        let at = self.value(key)?;
        Some(self.r.parse_template(at))
    }

    /// A template that must say something.
    fn filled(&mut self, key: &str) -> Option<Template> {
        let at = self.value(key)?;
        if self.snippet(at).is_empty() {
            self.error(self.raw_key(key), format!("`{key}` is empty"));
        }
        Some(self.r.parse_template(at))
    }

    fn raw_key(&self, key: &str) -> Span {
        self.pair(key).map_or(self.raw.at, |(_, p)| p.key)
    }

    fn late<T>(&mut self, key: &str, read: fn(&str) -> Result<T, String>) -> Option<Deferrable<T>> {
        let at = self.value(key)?;
        let value = self.r.parse_template(at);
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

    /// A value that shapes the file, so that it cannot wait for a result.
    fn known<T: Clone>(&mut self, key: &str, read: fn(&str) -> Result<T, String>) -> Option<T> {
        match self.late(key, read)? {
            Deferrable::Known(value) => Some(value),
            Deferrable::Deferred { .. } => {
                let at = self.value(key)?;
                self.error(at, format!("`{key}` must be known when the file is loaded; it cannot use a task's result"));
                None
            }
        }
    }

    fn target(&mut self, key: &str) -> Option<Ix> {
        let at = self.value(key)?;
        let word = self.snippet(at).to_string();
        if word.contains(',') && !word.contains('@') {
            self.error(at, format!("expected one task for `{key}`, found `{word}`"));
            return None;
        }
        self.r.resolve_task(&word, at)
    }

    /// `11,12,20-25`, ids and names; every one of them must exist.
    fn ids(&mut self, key: &str) -> Option<Vec<Ix>> {
        let at = self.value(key)?;
        let text = self.snippet(at).to_string();
        let (mut out, mut seen) = (Vec::new(), HashSet::new());
        let mut from = 0;
        for part in text.split(',') {
            let head = part.len() - part.trim_start().len();
            let word = part.trim();
            let place = at.part(from + head, from + head + word.len());
            from += part.len() + 1;
            if word.is_empty() {
                let message = if text.is_empty() {
                    format!("`{key}` lists no tasks")
                } else {
                    "expected a task id or name, found nothing".into()
                };
                self.error(
                    if text.is_empty() {
                        self.raw_key(key)
                    } else {
                        place
                    },
                    message,
                );
                continue;
            }
            for ix in self.ids_of(word, place) {
                if seen.insert(ix) {
                    out.push(ix);
                } else {
                    self.error(place, format!("task {} is listed twice", self.r.ids[ix]));
                }
            }
        }
        Some(out)
    }

    fn ids_of(&mut self, word: &str, at: Span) -> Vec<Ix> {
        let ends = word.split_once('-').and_then(|(a, b)| {
            Some((a.trim().parse::<u32>().ok()?, b.trim().parse::<u32>().ok()?))
        });
        let Some((first, last)) = ends else {
            if word.contains('-') {
                let message = format!("expected a range of ids such as `20-25`, found `{word}`");
                self.error(at, message);
                return Vec::new();
            }
            return self.r.resolve_task(word, at).into_iter().collect();
        };
        if last < first {
            self.error(at, format!("the range `{word}` runs backwards"));
            return Vec::new();
        }
        let Ok(start) = self.r.ids.binary_search(&first) else {
            self.error(
                at,
                format!("the range `{word}` includes task {first}, which does not exist"),
            );
            return Vec::new();
        };
        let count = (last - first) as usize + 1;
        let missing = (0..count).find(|i| self.r.ids.get(start + i) != Some(&(first + *i as u32)));
        if let Some(missing) = missing {
            self.error(
                at,
                format!(
                    "the range `{word}` includes task {}, which does not exist",
                    first as usize + missing
                ),
            );
            return Vec::new();
        }
        (start..start + count).collect()
    }

    fn condition(&mut self, key: &str, asks: ResultScope) -> Option<Expr> {
        let at = self.value(key)?;
        let expr = self.r.parse_condition(at)?;
        self.check_asks(&expr, asks);
        Some(expr)
    }

    /// Reports tests for results that are not there where the condition stands.
    fn check_asks(&mut self, expr: &Expr, asks: ResultScope) {
        let counts = expr.is_about_block();
        let mut wrong: Vec<(Span, &str)> = Vec::new();
        expr.for_each_test(&mut |test: &Test, at| {
            let own = test.is_about_own_result();
            let block = matches!(test, Test::All | Test::Any | Test::Majority | Test::Bound { .. }) || (counts && !own && is_count(test));
            match asks {
                ResultScope::Earlier if own => wrong.push((at, "this task has no result yet; refer to an earlier task, as in `@1_exit@=0`")),
                ResultScope::Earlier | ResultScope::Own if block => wrong.push((at, "only a block has these counts; refer to one, as in `@1_success_count@>=2`")),
                ResultScope::Counts if own => wrong.push((at, "a block has no output or exit code of its own here; use its counts, as in `all_success`")),
                ResultScope::OwnOrCounts if own && counts => wrong.push((at, "a condition can test each host or the whole block, not both")),
                _ => {}
            }
        });
        for (at, message) in wrong {
            self.error(at, message);
        }
    }

    // The parts of a task.

    fn title(&mut self) -> Template {
        if let Some(title) = self.template("description") {
            return title;
        }
        // A name says as much as the comment above (SPEC §1).
        match self.value("name").or(self.raw.comment) {
            Some(at) => Template::literal(self.snippet(at), at),
            None => Template::default(),
        }
    }

    /// The one kind of task that the keys make.
    fn kinds(&mut self) -> KindSet {
        // Where it says neither, a command of its own is meant for hosts.
        let hosts = self.has("hostnames") || (self.has("command") && !self.has("tasks"));
        let parallel = if hosts { keys::HOSTS } else { keys::TASKS };
        if let Some(at) = self.value("type") {
            let word = self.snippet(at).to_string();
            match word.to_ascii_lowercase().as_str() {
                "parallel" => return parallel,
                "conditional" => return keys::CONDITIONAL,
                "decision" => return keys::DECISION,
                _ => {
                    let near = did_you_mean(&word, ["parallel", "conditional", "decision"]);
                    self.error(
                        at,
                        format!("expected `parallel`, `conditional` or `decision`, found `{word}`"),
                    )
                    .label(near);
                    // What it was meant to be is guessed, to find more mistakes.
                    return match () {
                        _ if self.has("command") => keys::COMMAND,
                        _ if self.has("tasks") || self.has("hostnames") => parallel,
                        _ if self.has("condition") => keys::CONDITIONAL,
                        _ => keys::DECISION,
                    };
                }
            }
        }
        if self.has("command") {
            return keys::COMMAND;
        }
        if self.has("tasks") || self.has("hostnames") {
            self.error(
                self.raw.at,
                format!(
                    "task {} lists what to run but has no `type=parallel`",
                    self.raw.id
                ),
            );
            return parallel;
        }
        if self.has("if_true_tasks") || self.has("if_false_tasks") {
            self.error(
                self.raw.at,
                format!(
                    "task {} has branches but no `type=conditional`",
                    self.raw.id
                ),
            );
            return keys::CONDITIONAL;
        }
        let never = self.next_word().is_some_and(|(_, word)| word == "never");
        if !never && !self.has("return") {
            let id = self.raw.id;
            self.error(self.raw.at, format!("task {id} does nothing: it needs a `command`, a `type`, a `return` or `next=never`"));
        }
        keys::BARE
    }

    /// Warns of keys that mean nothing for this kind of task.
    fn unfitting(&mut self, kinds: KindSet) {
        let what = match kinds {
            keys::COMMAND => "a command",
            keys::TASKS => "a block over `tasks=`",
            keys::HOSTS => "a block over `hostnames=`",
            keys::CONDITIONAL => "a conditional block",
            keys::DECISION => "a decision",
            _ => "a task that runs nothing",
        };
        for (key, pair) in &self.raw.pairs {
            if key.on & kinds != 0 || (kinds == keys::HOSTS && key.name == "tasks") {
                continue;
            }
            let name = self.r.sources.snippet(pair.key);
            if key.name == "command" {
                self.r
                    .diagnostics
                    .error(pair.key, format!("{what} cannot have a `command`"));
            } else {
                self.r
                    .diagnostics
                    .warning(pair.key, format!("`{name}` does not apply to {what}"))
                    .label(needed_type(key.name, kinds));
            }
        }
    }

    fn kind(&mut self, kinds: KindSet) -> TaskKind {
        match kinds {
            keys::COMMAND => TaskKind::Command(self.command()),
            keys::TASKS | keys::HOSTS => TaskKind::Parallel(Box::new(self.parallel(kinds))),
            keys::CONDITIONAL => TaskKind::Conditional(self.conditional()),
            keys::DECISION => TaskKind::Decision,
            _ => TaskKind::Bare,
        }
    }

    fn command(&mut self) -> Command {
        let stdin = self.template("stdin");
        Command {
            hostname: self.hostname(),
            command: self.filled("command").unwrap_or_default(),
            arguments: self.template("arguments"),
            exec: self.filled("exec"),
            timeout: self.late("timeout", values::timeout),
            env: self.env(),
            stdin,
            workdir: self.filled("workdir"),
            stdout_split: self.late("stdout_split", values::split),
            stderr_split: self.late("stderr_split", values::split),
        }
    }

    fn hostname(&mut self) -> Option<Template> {
        let value = self.filled("hostname")?;
        let at = self.value("hostname")?;
        // That nothing at all is written there is said already.
        if let Some(host) = value.known_text().filter(|_| !self.snippet(at).is_empty())
            && let Err(message) = host::check(&host)
        {
            let error = self.error(at, without_secret(&value, message));
            if host.contains([',', ' ', '!']) || host.find('[').is_some_and(|at| at > 0) {
                error.help("for several hosts use `type=parallel` with `hostnames=`");
            }
        }
        Some(value)
    }

    fn env(&mut self) -> Vec<(String, Template)> {
        let mut out = Vec::new();
        for (_, pair) in self
            .raw
            .pairs
            .iter()
            .filter(|(k, _)| k.name == keys::ENV.name)
        {
            let name = &self.r.sources.snippet(pair.key)[keys::ENV.name.len()..];
            if !keys::is_identifier(name) {
                let message = match name.is_empty() {
                    true => "expected a name after `env.`".into(),
                    false => format!("`{name}` is not a valid environment variable name"),
                };
                self.r.diagnostics.error(pair.key, message);
            }
            out.push((name.to_string(), self.r.parse_template(pair.value)));
        }
        out
    }

    fn parallel(&mut self, kinds: KindSet) -> Parallel {
        let members = if kinds == keys::HOSTS {
            if let Some((_, pair)) = self.raw.pairs.iter().find(|(k, _)| k.name == "tasks") {
                self.error(pair.key, "a block runs `tasks` or `hostnames`, not both");
            }
            if !self.has("hostnames") {
                self.error(
                    self.raw.at,
                    "a parallel block needs `tasks=` or `hostnames=`",
                );
            } else if !self.has("command") {
                self.error(
                    self.raw.at,
                    "a block over `hostnames=` needs a `command` to run on each host",
                );
            }
            Members::Hosts {
                set: self.node_set(),
                command: Box::new(self.command()),
            }
        } else {
            if !self.has("tasks") {
                self.error(
                    self.raw.at,
                    "a parallel block needs `tasks=` or `hostnames=`",
                );
            }
            Members::Tasks(self.ids("tasks").unwrap_or_default())
        };
        let mut block_timeout = self.late("block_timeout", values::timeout);
        if kinds == keys::TASKS {
            // On a `tasks=` block both keys mean the same (SPEC §3.5).
            let timeout = self.late("timeout", values::timeout);
            if self.has("timeout") && self.has("block_timeout") {
                let (at, first) = (self.raw_key("timeout"), self.raw_key("block_timeout"));
                self.error(
                    at,
                    "on a block over `tasks=`, `timeout` means the same as `block_timeout`; give only one",
                )
                .also(first, "the other is here");
            }
            block_timeout = block_timeout.or(timeout);
        }
        Parallel {
            members,
            max_parallel: self.late("max_parallel", values::max_parallel),
            block_timeout,
            fail_fast: self.late("fail_fast", values::fail_fast),
            unreachable: self.late("unreachable", values::unreachable),
            waves: self.late("waves", values::waves),
            wave_check: self.target("wave_check"),
            wave_pause: self.late("wave_pause", values::pause),
        }
    }

    /// The hosts of a block; a set that is known now is checked now.
    fn node_set(&mut self) -> Template {
        let Some(value) = self.filled("hostnames") else {
            return Template::default();
        };
        let (Some(text), Some(at)) = (value.known_text(), self.value("hostnames")) else {
            return value;
        };
        let literal = text == self.snippet(at);
        match nodeset::expand(&text, self.directory) {
            Ok(set) if set.hosts.is_empty() && !text.trim().is_empty() => {
                self.error(at, "this node set is empty");
            }
            Ok(set) => {
                for host in set.repeated.iter().take(3) {
                    self.r.diagnostics.warning(
                        at,
                        match value.has_secret() {
                            true => "a host is given more than once; the command runs on it once".into(),
                            false => {
                                format!("the host `{host}` is given more than once; the command runs on it once")
                            }
                        },
                    );
                }
            }
            Err(bad) => {
                let place = if literal {
                    at.part(bad.at, bad.at + bad.length)
                } else {
                    at
                };
                self.error(place, without_secret(&value, bad.message));
            }
        }
        value
    }

    fn conditional(&mut self) -> Conditional {
        if !self.has("condition") {
            self.error(self.raw.at, "a conditional block needs a `condition`");
        }
        let condition = self.condition("condition", ResultScope::Earlier);
        let (if_true, if_false) = (self.ids("if_true_tasks"), self.ids("if_false_tasks"));
        if !self.has("if_true_tasks") && !self.has("if_false_tasks") {
            self.error(
                self.raw.at,
                "a conditional block needs `if_true_tasks` or `if_false_tasks`",
            );
        }
        let condition =
            condition.unwrap_or(Expr::Test(Box::new(Test::Constant(true)), self.raw.at));
        Conditional {
            condition,
            if_true,
            if_false,
        }
    }

    /// Warns of a decision that has nothing to decide and nowhere to lead.
    fn decides(&mut self, kinds: KindSet) {
        let says = ["success", "failure", "next", "goto", "return"];
        let asks = self.has("condition");
        if kinds == keys::DECISION && !says.iter().any(|k| self.has(k)) {
            let message = format!(
                "decision {} has no `success`; its verdict is always true",
                self.raw.id
            );
            let warning = self.r.diagnostics.warning(self.raw.at, message);
            if asks {
                warning.help("`condition` can only skip the task; `success` sets the verdict");
            }
        }
    }

    fn criterion(&mut self, asks: ResultScope) -> Option<Criterion> {
        if self.has("success") && self.has("failure") {
            let (failure, success) = (self.raw_key("failure"), self.raw_key("success"));
            self.error(
                failure,
                "`failure` is the opposite of `success`; give only one",
            )
            .also(success, "the other is here");
        }
        let key = if self.has("success") {
            "success"
        } else {
            "failure"
        };
        let expr = self.condition(key, asks)?;
        Some(Criterion {
            expr,
            negated: key == "failure",
        })
    }

    fn routing(&mut self, asks: ResultScope) -> Routing {
        let next = self.next(asks);
        let plain = matches!(next, NextRule::Absent);
        let goto = self.target("goto");
        let on_failure = self.target("on_failure");
        // Beside a `next` a `goto` is for a false verdict, else for both (SPEC §3.2).
        let others: &[&str] = match plain {
            true => &["on_failure", "on_success"],
            false => &["on_failure"],
        };
        for other in others {
            if self.has("goto") && self.has(other) {
                let (at, first) = (self.raw_key("goto"), self.raw_key(other));
                self.error(
                    at,
                    format!("`goto` and `{other}` both say where to go; give only one"),
                )
                .also(first, "the other is here");
            }
        }
        self.never_taken(&next);
        Routing {
            on_success: self.target("on_success"),
            on_failure: on_failure.or(if plain { None } else { goto }),
            goto: if plain { goto } else { None },
            return_: self.late("return", values::return_code),
            next,
        }
    }

    /// Jumps that the `next` beside them rules out: a failure target beside one that
    /// knows no failure is a mistake (SPEC §3.2), the others are doubts.
    fn never_taken(&mut self, next: &NextRule) {
        let (word, keys): (&str, &[&str]) = match next {
            NextRule::Always => ("always", &["goto", "on_failure"]),
            NextRule::Never => ("never", &["goto", "on_failure", "on_success"]),
            NextRule::Loop if !self.has("loop_break") => ("loop", &["goto", "on_failure"]),
            _ => return,
        };
        for key in keys {
            if !self.has(key) {
                continue;
            }
            let (at, beside) = (self.raw_key(key), self.raw_key("next"));
            let message = format!("`{key}` is never taken with `next={word}`");
            let diagnostics = &mut self.r.diagnostics;
            if matches!(next, NextRule::Loop) {
                diagnostics
                    .warning(at, message)
                    .help("it is taken only when a `loop_break` never becomes true");
            } else if *key == "on_success" {
                diagnostics.warning(at, message);
            } else {
                diagnostics
                    .error(at, message)
                    .category(Category::Flow)
                    .also(beside, format!("`next={word}` ignores the verdict"));
            }
        }
    }

    fn next(&mut self, asks: ResultScope) -> NextRule {
        let Some((at, word)) = self.next_word() else {
            return NextRule::Absent;
        };
        match word.as_str() {
            "always" => NextRule::Always,
            "success" => NextRule::Success,
            "never" => NextRule::Never,
            "loop" => NextRule::Loop,
            word if keys::is_identifier(word) && !condition_parser::is_word(word) => {
                let message = "expected `always`, `success`, `never`, `loop` or a condition";
                let words = ["always", "success", "never", "loop"].into_iter();
                let near = did_you_mean(word, words.chain(condition_parser::known_words()));
                self.error(at, format!("{message}, found {}", Found(self.snippet(at))))
                    .label(near);
                NextRule::Success
            }
            _ => {
                let Some(expr) = self.r.parse_condition(at) else {
                    return NextRule::Success;
                };
                self.check_asks(&expr, asks);
                NextRule::When(expr)
            }
        }
    }

    /// The value of `next` in lower case, or the text of the global that it is.
    fn next_word(&mut self) -> Option<(Span, String)> {
        let at = self.value("next")?;
        let text = keys::without_comment(self.snippet(at));
        // Only a single word may be followed by a comment.
        let is_word = !text.contains(char::is_whitespace);
        let at = if is_word { at.part(0, text.len()) } else { at };
        let text = self.snippet(at).to_string();
        let global = text
            .strip_prefix('@')
            .and_then(|t| t.strip_suffix('@'))
            .is_some_and(|n| self.r.globals.get(n).is_some());
        let word = match global {
            true => self.r.parse_template(at).known_text().map(Cow::into_owned),
            false => None,
        };
        Some((at, word.unwrap_or(text).to_ascii_lowercase()))
    }

    fn repeat(&mut self, routing: &Routing, asks: ResultScope) -> Option<Repeat> {
        let looping = matches!(routing.next, NextRule::Loop);
        let until = self.condition("loop_break", asks);
        let count = self.late("loop", values::loop_count);
        if looping && !self.has("loop") {
            self.error(
                self.raw_key("next"),
                "`next=loop` needs `loop=N`, the number of iterations",
            );
        }
        for key in ["loop", "loop_break"] {
            if !looping && self.has(key) {
                self.error(self.raw_key(key), format!("`{key}` requires `next=loop`"));
            }
        }
        if !looping {
            return None;
        }
        for key in ["retry_count", "retry_failed"] {
            if self.has(key) {
                self.r.diagnostics.warning(
                    self.raw_key(key),
                    format!("`{key}` has no effect with `next=loop`"),
                );
            }
        }
        Some(Repeat {
            count: count?,
            until,
        })
    }

    fn retry(&mut self) -> Retry {
        let wanted = self.known("retry_failed", values::flag);
        let count = self.late("retry_count", values::retry_count);
        let count = match (wanted, count) {
            (Some(false), _) => Deferrable::Known(0),
            (Some(true), None) => Deferrable::Known(1),
            (_, count) => count.unwrap_or(Deferrable::Known(0)),
        };
        let delay = values::Delay {
            first: Duration::from_secs(1),
            last: None,
        };
        Retry {
            count,
            delay: self
                .late("retry_delay", values::delay)
                .unwrap_or(Deferrable::Known(delay)),
            on: self
                .late("retry_on", values::retry_on)
                .unwrap_or(Deferrable::Known(RetryOn::default())),
        }
    }
}

/// The message, unless the value it may quote is a secret.
fn without_secret(value: &Template, message: String) -> String {
    match value.has_secret() {
        true => "this value cannot be used; it contains a secret and is not shown".into(),
        false => message,
    }
}

fn is_count(test: &Test) -> bool {
    match test {
        Test::Compare { left, .. } | Test::Truth(left) => matches!(left, Operand::Count(_)),
        _ => false,
    }
}

/// What is probably missing where a command lists what a block would run.
fn needed_type(key: &str, kinds: KindSet) -> &'static str {
    match key {
        "hostname" if kinds == keys::HOSTS => "did you mean `hostnames`?",
        _ if kinds != keys::COMMAND => "",
        "tasks" | "hostnames" => "is a `type=parallel` missing?",
        "if_true_tasks" | "if_false_tasks" => "is a `type=conditional` missing?",
        _ => "",
    }
}
