//! Reads a task from its keys: which kind it is, and what the keys mean together.
#![forbid(unsafe_code)]

use super::global_value::{is_only_reference, is_secret};
use super::host_files::HostFiles;
use super::key_reader::{KeyReader, ResultScope, without_secret};
use super::keys::{self, KindSet};
use super::model::{
    Command, Conditional, Criterion, Deferrable, Members, NextRule, Parallel, Repeat, Retry,
    Routing, Task, TaskKind, call_task,
};
use super::raw::RawTask;
use super::resolve::Resolver;
use super::values::{self, RetryOn};
use super::{host, nodeset};
use crate::text::condition::{Expr, Test};
use crate::text::condition_parser;
use crate::text::diagnostic::{Category, expected};
use crate::text::nearest::{did_you_mean, nearest};
use crate::text::source::Span;
use crate::text::template::{Piece, Template};
use std::borrow::Cow;

/// Reads the task that the lines describe.
pub fn read_task(resolver: &mut Resolver, raw: &RawTask, files: &HostFiles) -> Task {
    KeyReader::new(resolver, raw, files).task()
}

const NO_MEMBERS: &str = "a parallel block needs `tasks=` or `hostnames=`";

impl KeyReader<'_, '_> {
    fn task(&mut self) -> Task {
        let finally = self.known("finally", values::flag);
        // A value that cannot be read probably means `true`.
        self.resolver.in_final = finally.unwrap_or(self.has("finally"));
        let finally = finally.unwrap_or(false);
        let bit = self.find_kind();
        self.check_keys(bit);
        self.kind = bit;
        let kind = self.task_kind();
        let condition = match bit {
            keys::CONDITIONAL => None,
            _ => self.condition(),
        };
        // Only `success` and `failure` can test each host of a block by itself.
        let (criterion_scope, scope) = match bit {
            keys::HOSTS => (ResultScope::OwnOrCounts, ResultScope::Counts),
            keys::TASKS | keys::CONDITIONAL => (ResultScope::Counts, ResultScope::Counts),
            keys::DECISION | keys::BARE => (ResultScope::Earlier, ResultScope::Earlier),
            _ => (ResultScope::Own, ResultScope::Own),
        };
        let success = self.success(criterion_scope);
        self.check_decision();
        self.check_hostname_uses(success.as_ref());
        let routing = self.routing(scope);
        let repeat = self.repeat(&routing, scope).map(Box::new);
        let retry = self.retry();
        let title = self.title();
        let keys = self.raw.pairs.iter();
        Task {
            id: self.raw.id,
            at: self.raw.at,
            name: self
                .value_span("name")
                .map(|at| self.snippet(at).to_string()),
            title,
            kind,
            condition,
            success,
            routing,
            repeat,
            retry,
            finally,
            in_finals: finally,
            repeats_on_resume: self.known("on_resume", values::on_resume).is_some(),
            written: keys.map(|(k, p)| (k.name, p.value)).collect(),
            sleep: self.deferrable("sleep", values::pause),
            uses: std::mem::take(&mut self.resolver.uses),
        }
    }

    fn title(&mut self) -> Template {
        if let Some(title) = self.template("description") {
            return title;
        }
        // A name serves as a title as well as the comment above (SPEC §1).
        match self.value_span("name").or(self.raw.comment) {
            Some(at) => Template::literal(self.snippet(at), at),
            None => Template::default(),
        }
    }

    /// The kind of task that the keys make; one bit.
    fn find_kind(&mut self) -> KindSet {
        if let Some(at) = self.value_span("type") {
            return self.written_kind(at);
        }
        let (task, at) = (call_task(self.raw.id), self.raw.at);
        if self.has("command") {
            keys::COMMAND
        } else if self.has("tasks") || self.has("hostnames") {
            self.error(
                at,
                format!("{task} lists what to run but has no `type=parallel`"),
            );
            self.parallel_kind()
        } else if self.has("if_true_tasks") || self.has("if_false_tasks") {
            self.error(at, format!("{task} has branches but no `type=conditional`"));
            keys::CONDITIONAL
        } else {
            let never = self.next_word().is_some_and(|(_, word)| word == "never");
            if !never && !self.has("return") {
                let needed = "it needs a `command`, a `type`, a `return` or `next=never`";
                self.error(at, format!("{task} does nothing: {needed}"));
            }
            keys::BARE
        }
    }

    /// The kind that `type=` names; for an unknown one the kind that was probably meant,
    /// to find more errors.
    fn written_kind(&mut self, at: Span) -> KindSet {
        let word = self.snippet(at).to_string();
        if let Some(kind) = self.kind_of_type(&word.to_ascii_lowercase()) {
            return kind;
        }
        let types = || ["parallel", "conditional", "decision"].into_iter();
        let meant = nearest(&word, &mut types());
        let near = did_you_mean(&word, types());
        let expected = "expected `parallel`, `conditional` or `decision`";
        self.error(at, format!("{expected}, found `{word}`"))
            .label(near);
        if let Some(kind) = meant.and_then(|word| self.kind_of_type(word)) {
            return kind;
        }
        match () {
            _ if self.has("command") => keys::COMMAND,
            _ if self.has("tasks") || self.has("hostnames") => self.parallel_kind(),
            _ if self.has("condition") => keys::CONDITIONAL,
            _ => keys::DECISION,
        }
    }

    /// The kind of a task of that type.
    fn kind_of_type(&self, word: &str) -> Option<KindSet> {
        match word {
            "parallel" => Some(self.parallel_kind()),
            "conditional" => Some(keys::CONDITIONAL),
            "decision" => Some(keys::DECISION),
            _ => None,
        }
    }

    /// Over what a parallel block runs; without either key, a `command` means hosts.
    fn parallel_kind(&self) -> KindSet {
        match self.has("hostnames") || (self.has("command") && !self.has("tasks")) {
            true => keys::HOSTS,
            false => keys::TASKS,
        }
    }

    /// Warns about keys that do not apply to this kind of task.
    fn check_keys(&mut self, kind: KindSet) {
        let what = keys::describe_kind(kind);
        for (key, pair) in &self.raw.pairs {
            if key.on & kind != 0 || (kind == keys::HOSTS && key.name == "tasks") {
                continue;
            }
            let name = self.snippet(pair.key);
            let message = format!("`{name}` does not apply to {what}");
            if key.name == "command" {
                self.error(pair.key, format!("{what} cannot have a `command`"));
                self.resolver.parse_template(pair.value);
            } else if keys::PROTECTIVE.contains(&key.name) {
                self.error(pair.key, format!("{message} and would protect nothing"))
                    .label(needed_type(key.name, kind));
            } else {
                self.warning(pair.key, message)
                    .label(needed_type(key.name, kind));
            }
        }
    }

    fn task_kind(&mut self) -> TaskKind {
        match self.kind {
            keys::COMMAND => TaskKind::Command(self.command()),
            keys::TASKS | keys::HOSTS => TaskKind::Parallel(Box::new(self.parallel())),
            keys::CONDITIONAL => TaskKind::Conditional(self.conditional()),
            keys::DECISION => TaskKind::Decision,
            _ => TaskKind::Bare,
        }
    }

    fn command(&mut self) -> Command {
        let stdin = self.template("stdin");
        Command {
            hostname: self.hostname(),
            command: self.nonempty("command").unwrap_or_default(),
            arguments: self.template("arguments"),
            exec: self.nonempty("exec"),
            timeout: self.deferrable("timeout", values::timeout),
            env: self.env(),
            stdin,
            workdir: self.nonempty("workdir"),
            stdout_split: self.deferrable("stdout_split", values::split),
            stderr_split: self.deferrable("stderr_split", values::split),
        }
    }

    fn hostname(&mut self) -> Option<Template> {
        let value = self.nonempty("hostname")?;
        let at = self.value_span("hostname")?;
        // An empty value is already reported.
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
        let pairs = self.raw.pairs.iter();
        for (_, pair) in pairs.filter(|(k, _)| k.name == keys::ENV.name) {
            let name = &self.resolver.sources.snippet(pair.key)[keys::ENV.name.len()..];
            if !keys::is_identifier(name) {
                let message = match name.is_empty() {
                    true => "expected a name after `env.`".into(),
                    false => format!("`{name}` is not a valid environment variable name"),
                };
                self.resolver.diagnostics.error(pair.key, message);
            }
            let value = match is_secret(name) {
                true => self.secret_variable(name, pair.value),
                false => self.resolver.parse_template(pair.value),
            };
            out.push((name.to_string(), value));
        }
        out
    }

    /// The value of a variable whose name is that of a secret. What is written there is
    /// masked as the value of a global of that name would be (SPEC §2.2).
    fn secret_variable(&mut self, name: &str, at: Span) -> Template {
        if is_only_reference(self.snippet(at)) {
            return self.resolver.parse_template(at);
        }
        let before = std::mem::take(self.resolver.diagnostics);
        let mut value = self.resolver.parse_template(at);
        let found = std::mem::replace(self.resolver.diagnostics, before);
        if found.has_errors() {
            self.error(at, "a reference in this secret is not known")
                .help("write `@@` for a literal `@`");
        }
        let is_written = |piece: &Piece| matches!(piece, Piece::Text { direct: true, .. });
        if value.pieces.iter().any(is_written) {
            let message = format!("the secret `env.{name}` is written in the task file");
            self.warning(at, message).help(format!(
                "define `{name}=${name}` before the first task and write `env.{name}=@{name}@`"
            ));
        }
        value.pieces.iter_mut().for_each(Piece::mark_secret);
        // As one piece, so that one mask stands for it.
        match value.known_text().map(Cow::into_owned) {
            Some(text) if value.pieces.len() > 1 => Template {
                pieces: vec![Piece::Text {
                    text,
                    at,
                    direct: true,
                    secret: true,
                }],
            },
            _ => value,
        }
    }

    fn parallel(&mut self) -> Parallel {
        let members = match self.kind {
            keys::HOSTS => self.hosts(),
            _ => {
                if !self.has("tasks") {
                    self.error(self.raw.at, NO_MEMBERS);
                }
                Members::Tasks(self.task_list("tasks").unwrap_or_default())
            }
        };
        if self.has("wave_check") && !self.has("waves") {
            let message = "`wave_check` without `waves` would never run, and protect nothing";
            self.error(self.name_span("wave_check"), message);
        }
        let mut block_timeout = self.deferrable("block_timeout", values::timeout);
        if self.kind == keys::TASKS {
            // In a block over `tasks=` both keys mean the same (SPEC §3.5).
            let timeout = self.deferrable("timeout", values::timeout);
            let message = "on a block over `tasks=`, `timeout` means the same as `block_timeout`; give only one";
            self.exclusive("timeout", "block_timeout", message);
            block_timeout = block_timeout.or(timeout);
        }
        Parallel {
            members,
            max_parallel: self.deferrable("max_parallel", values::max_parallel),
            block_timeout,
            fail_fast: self.deferrable("fail_fast", values::fail_fast),
            unreachable: self.deferrable("unreachable", values::unreachable),
            waves: self.deferrable("waves", values::waves),
            wave_check: self.target("wave_check"),
            wave_pause: self.deferrable("wave_pause", values::pause),
        }
    }

    fn hosts(&mut self) -> Members {
        if let Some(pair) = self.raw.pair("tasks") {
            self.error(pair.key, "a block runs `tasks` or `hostnames`, not both");
        }
        if !self.has("hostnames") {
            self.error(self.raw.at, NO_MEMBERS);
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
    }

    /// The hosts of a block; a set that is already known is checked.
    fn node_set(&mut self) -> Template {
        let Some(value) = self.nonempty("hostnames") else {
            return Template::default();
        };
        self.check_default_hosts(&value);
        let (Some(text), Some(at)) = (value.known_text(), self.value_span("hostnames")) else {
            return value;
        };
        let expanded = nodeset::expand(&text, self.host_files);
        self.warn_of_owners(at);
        match expanded {
            Ok(set) if set.hosts.is_empty() && !text.trim().is_empty() => {
                self.error(at, "this node set is empty");
            }
            Ok(set) => {
                for host in set.repeated.iter().take(3) {
                    let host = match value.has_secret() {
                        true => "a host".into(),
                        false => format!("the host `{host}`"),
                    };
                    let message = "is given more than once; the command runs on it once";
                    self.warning(at, format!("{host} {message}"));
                }
            }
            Err(bad) => {
                let is_literal = text == self.snippet(at);
                let at = match is_literal {
                    true => at.part(bad.at, bad.at + bad.length),
                    false => at,
                };
                self.error(at, without_secret(&value, bad.message));
            }
        }
        value
    }

    fn warn_of_owners(&mut self, at: Span) {
        for (path, doubt) in self.host_files.take_doubts() {
            let message = format!("the host file `{path}`: {}", doubt.message);
            self.warning(at, message).help(doubt.help);
        }
    }

    /// A default in a node set is hosts and ranges: it removes no host and reads no file.
    fn check_default_hosts(&mut self, value: &Template) {
        for piece in &value.pieces {
            let Piece::Reference {
                default: Some(text),
                at,
                ..
            } = piece
            else {
                continue;
            };
            let refused = ["!", "file:"].into_iter().find(|sign| text.contains(sign));
            if let Some(sign) = refused {
                let from = self.snippet(*at).find(sign).unwrap_or_default();
                self.error(
                    at.part(from, from + sign.len()),
                    format!("`{sign}` in a default; a default in `hostnames` is hosts and ranges"),
                );
            }
        }
    }

    fn conditional(&mut self) -> Conditional {
        if !self.has("condition") {
            self.error(self.raw.at, "a conditional block needs a `condition`");
        }
        let condition = self.condition();
        let (if_true, if_false) = (
            self.task_list("if_true_tasks"),
            self.task_list("if_false_tasks"),
        );
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

    /// Warns about a decision that decides nothing and routes nowhere.
    fn check_decision(&mut self) {
        let deciding = ["success", "failure", "next", "goto", "return"];
        if self.kind != keys::DECISION || deciding.iter().any(|k| self.has(k)) {
            return;
        }
        let has_condition = self.has("condition");
        let decision = call_task(self.raw.id).replacen("task", "decision", 1);
        let message = format!("{decision} has no `success`; its verdict is always true");
        let warning = self.warning(self.raw.at, message);
        if has_condition {
            warning.help("`condition` can only skip the task; `success` sets the verdict");
        }
    }

    fn success(&mut self, scope: ResultScope) -> Option<Criterion> {
        let message = "`failure` is the opposite of `success`; give only one";
        self.exclusive("failure", "success", message);
        let success = self.criterion("success", scope);
        let failure = self.criterion("failure", scope);
        let negated = !self.has("success");
        let expr = if negated { failure } else { success }?;
        Some(Criterion { expr, negated })
    }

    fn routing(&mut self, scope: ResultScope) -> Routing {
        let next = self.next(scope);
        let plain = matches!(next, NextRule::Absent);
        let goto = self.target("goto");
        let on_failure = self.target("on_failure");
        // With `next`, a `goto` applies to a false verdict, else to both (SPEC §3.2).
        let others: &[&str] = match plain {
            true => &["on_failure", "on_success"],
            false => &["on_failure"],
        };
        for other in others {
            let message = format!("`goto` and `{other}` both say where to go; give only one");
            self.exclusive("goto", other, message);
        }
        self.never_taken(&next);
        Routing {
            on_success: self.target("on_success"),
            on_failure: on_failure.or(if plain { None } else { goto }),
            goto: if plain { goto } else { None },
            return_: self.deferrable("return", values::return_code),
            next,
        }
    }

    /// Reports jumps that `next` rules out. A jump on failure is an error with a `next`
    /// that ignores the verdict (SPEC §3.2); the others are warnings.
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
            let (at, next_at) = (self.name_span(key), self.name_span("next"));
            let message = format!("`{key}` is never taken with `next={word}`");
            if matches!(next, NextRule::Loop) {
                self.warning(at, message)
                    .help("it is taken only when a `loop_break` never becomes true");
            } else if *key == "on_success" {
                self.warning(at, message);
            } else {
                self.error(at, message)
                    .category(Category::Flow)
                    .also(next_at, format!("`next={word}` ignores the verdict"));
            }
        }
    }

    fn next(&mut self, scope: ResultScope) -> NextRule {
        let Some((at, word)) = self.next_word() else {
            return NextRule::Absent;
        };
        match word.as_str() {
            "always" => NextRule::Always,
            "success" => NextRule::Success,
            "never" => NextRule::Never,
            "loop" => NextRule::Loop,
            word if keys::is_identifier(word) && !condition_parser::is_word(word) => {
                if self.resolver.names_task(self.snippet(at)) {
                    self.next_names_task(at);
                    return NextRule::Success;
                }
                let words = ["always", "success", "never", "loop"].into_iter();
                let near = did_you_mean(word, words.chain(condition_parser::known_words()));
                let forms = "`always`, `success`, `never`, `loop` or a condition";
                self.error(at, expected(forms, self.snippet(at)))
                    .label(near);
                NextRule::Success
            }
            word if self.resolver.names_task(word) => {
                self.next_names_task(at);
                NextRule::Success
            }
            _ => {
                let expr = self.criterion_at(at, scope);
                expr.map_or(NextRule::Success, NextRule::When)
            }
        }
    }

    /// Reports a task in `next`: it says whether the flow continues, not where.
    fn next_names_task(&mut self, at: Span) {
        let task = self.snippet(at).to_string();
        self.error(at, format!("`next` cannot name a task, found `{task}`"))
            .help(format!(
                "`goto={task}` jumps there always, `on_success={task}` if the task succeeds"
            ));
    }

    /// The value of `next`, or of the global that it is, in lower case.
    fn next_word(&mut self) -> Option<(Span, String)> {
        let at = self.value_span("next")?;
        let text = keys::without_comment(self.snippet(at));
        // Only a single word can be followed by a comment.
        let is_word = !text.contains(char::is_whitespace);
        let at = if is_word { at.part(0, text.len()) } else { at };
        let text = self.snippet(at).to_string();
        let global = text
            .strip_prefix('@')
            .and_then(|t| t.strip_suffix('@'))
            .is_some_and(|n| self.resolver.globals.get(n).is_some());
        let word = match global {
            true => self
                .resolver
                .parse_template(at)
                .known_text()
                .map(Cow::into_owned),
            false => None,
        };
        Some((at, word.unwrap_or(text).to_ascii_lowercase()))
    }

    fn repeat(&mut self, routing: &Routing, scope: ResultScope) -> Option<Repeat> {
        let looping = matches!(routing.next, NextRule::Loop);
        let until = self.criterion("loop_break", scope);
        let count = self.deferrable("loop", values::loop_count);
        if looping && !self.has("loop") {
            self.error(
                self.name_span("next"),
                "`next=loop` needs `loop=N`, the number of iterations",
            );
        }
        for key in ["loop", "loop_break"] {
            if !looping && self.has(key) {
                self.error(self.name_span(key), format!("`{key}` requires `next=loop`"));
            }
        }
        if !looping {
            return None;
        }
        for key in ["retry_count", "retry_failed"] {
            if self.has(key) {
                let message = format!("`{key}` has no effect with `next=loop`");
                self.warning(self.name_span(key), message);
            }
        }
        Some(Repeat {
            count: count?,
            until,
        })
    }

    fn retry(&mut self) -> Retry {
        let wanted = self.known("retry_failed", values::flag);
        let count = self.deferrable("retry_count", values::retry_count);
        let count = match (wanted, count) {
            (Some(false), _) => Deferrable::Known(0),
            (Some(true), None) => Deferrable::Known(1),
            (_, count) => count.unwrap_or(Deferrable::Known(0)),
        };
        let delay = values::Delay {
            first: values::RETRY_DELAY,
            last: None,
        };
        Retry {
            count,
            delay: self
                .deferrable("retry_delay", values::delay)
                .unwrap_or(Deferrable::Known(delay)),
            on: self
                .deferrable("retry_on", values::retry_on)
                .unwrap_or(Deferrable::Known(RetryOn::default())),
        }
    }
}

/// What is probably missing where a key of a block is given to a command.
fn needed_type(key: &str, kind: KindSet) -> &'static str {
    match key {
        "hostname" if kind == keys::HOSTS => "did you mean `hostnames`?",
        "on_resume" if kind == keys::CONDITIONAL => "give it to the tasks of its branches",
        _ if kind != keys::COMMAND => "",
        "tasks" | "hostnames" => "is a `type=parallel` missing?",
        _ if keys::PROTECTIVE.contains(&key) => "is a `type=parallel` missing?",
        "if_true_tasks" | "if_false_tasks" => "is a `type=conditional` missing?",
        _ => "",
    }
}
