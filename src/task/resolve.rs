//! Resolves the names in values: globals, tasks, fields.
#![forbid(unsafe_code)]

use super::globals::{GlobalTable, RESERVED};
use super::model::{Ix, ResultUse};
use crate::text::condition::Expr;
use crate::text::condition_parser;
use crate::text::diagnostic::{Category, DiagnosticList};
use crate::text::number::plain_number;
use crate::text::source::{SourceMap, Span};
use crate::text::template::{self, FIELDS, Field, Piece, Reference, Template, WrittenReference};
use crate::text::words;
use std::collections::BTreeMap;

/// The names of a file, and the errors in their use.
pub struct Resolver<'a> {
    pub sources: &'a SourceMap,
    pub diagnostics: &'a mut DiagnosticList,
    pub globals: GlobalTable,
    /// All ids, ascending; the position of an id is the task's index.
    pub ids: Vec<u32>,
    /// The tasks with a name; nothing for a task that is not part of the workflow.
    pub names: BTreeMap<String, Option<Ix>>,
    /// References to results, collected while a task is built.
    pub uses: Vec<ResultUse>,
    /// Whether the task being built is a final task.
    pub in_final: bool,
    /// How many bytes globals have added to values so far.
    pub size: usize,
}

/// The most bytes that globals can add to the values of a file.
const LARGEST: usize = 64 << 20;

impl Resolver<'_> {
    /// The value at `at` as a template.
    pub fn parse_template(&mut self, at: Span) -> Template {
        let text = self.sources.snippet(at);
        let value = template::parse(text, at, &mut |written| self.reference(written));
        if text.contains(":-") {
            self.check_defaults(&value);
        }
        for (name, at) in template::unclosed_names(&value) {
            let known = self.globals.get(name).is_some() || self.field(name).is_some();
            let known = known || self.global_of_number(name).is_some();
            if known || own_value(name).is_some() {
                let (message, help) = template::unclosed_message(name);
                self.diagnostics.warning(at, message).help(help);
            }
        }
        value
    }

    /// The condition at `at`; `None` if it is malformed, which is reported.
    pub fn parse_condition(&mut self, at: Span) -> Option<Expr> {
        let text = self.sources.snippet(at);
        if let Some((start, quote)) = words::typographic_quote(text) {
            let at = at.part(start, start + quote.len_utf8());
            self.diagnostics
                .warning(
                    at,
                    format!("`{quote}` is a typographic quote and quotes nothing"),
                )
                .help("replace it by the plain character, or quote it to compare with it");
        }
        let whole = template::reference_name(text.strip_prefix('@').unwrap_or(""))
            .filter(|n| n.len() + 2 == text.len());
        let value = self.parse_template(at);
        // A condition that is only a global is that global's text (SPEC §3.1).
        let symbols = match whole.and_then(|n| self.globals.get(n)) {
            Some(_) => template::symbols(&value).collect(),
            None => condition_parser::symbols(&value),
        };
        match condition_parser::parse(&symbols, at) {
            Ok(parsed) => {
                for found in parsed.warnings {
                    let warning = self.diagnostics.warning(found.at, found.message);
                    warning.help(found.help);
                }
                Some(parsed.expr)
            }
            Err(_) if value.has_secret() => {
                let message =
                    "this condition cannot be parsed; it contains a secret and is not shown";
                self.diagnostics.error(at, message);
                None
            }
            Err(bad) => {
                self.diagnostics.syntax_error(bad);
                None
            }
        }
    }

    /// The task with that id or name; an unknown one is reported.
    pub fn resolve_task(&mut self, word: &str, at: Span) -> Option<Ix> {
        let found = self.find_task(word);
        if found.is_none() && !self.names.contains_key(word) {
            let names = self.names.keys().map(String::as_str);
            let near = self.diagnostics.suggest(word, names);
            let error = self
                .diagnostics
                .error(at, format!("there is no task `{word}`"))
                .category(Category::Dependency)
                .label(near);
            if word.contains('@') {
                error.help("a task id cannot be a reference");
            }
        }
        found
    }

    /// Whether the word is a number or the name of a task.
    pub fn names_task(&self, word: &str) -> bool {
        let is_number = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
        is_number || self.names.contains_key(word)
    }

    fn find_task(&self, word: &str) -> Option<Ix> {
        match word.parse::<u32>() {
            Ok(id) if word.bytes().all(|b| b.is_ascii_digit()) => self.ids.binary_search(&id).ok(),
            _ => self.names.get(word).copied().flatten(),
        }
    }

    /// The pieces for a reference (SPEC §2.1).
    fn reference(&mut self, written: WrittenReference) -> Vec<Piece> {
        let WrittenReference { name, default, at } = written;
        if let Some(to) = own_value(name) {
            if to == Reference::RunOutcome && !self.in_final {
                self.diagnostics
                    .error(at, "`@run_outcome@` is known only in a final task")
                    .help("a final task has `finally=true`");
            } else if default.is_some() {
                let message = format!("`@{name}@` is never empty and takes no default");
                self.diagnostics.error(at, message);
            }
            return self.piece(to, None, at);
        }
        let field = self.field(name);
        if let Some(global) = self.globals.get(name) {
            let defined = global.at;
            if field.is_some() {
                self.diagnostics.error(
                    at,
                    format!("`{name}` is both a global and a field of a task; rename one of them"),
                );
            } else if default.is_some() {
                self.diagnostics
                    .error(
                        at,
                        format!("`{name}` is a global and takes no default here"),
                    )
                    .also(defined, "defined here")
                    .help(format!(
                        "a default for a variable of the environment: `{name}=${{VARIABLE:-TEXT}}`"
                    ));
            }
            return self.global(name, at);
        }
        match field {
            Some((task, field)) => {
                let has_default = default.is_some();
                let default = match field {
                    Field::Number => self.default_number(default, name, at),
                    _ => default,
                };
                self.uses.push(ResultUse {
                    task,
                    field,
                    has_default,
                    at,
                });
                self.piece(Reference::Field { task, field }, default, at)
            }
            None if self.global_of_number(name).is_some() => self.global_number(name, default, at),
            None => {
                self.unknown(name, at);
                // Something that fits everywhere, so that the value is not reported too.
                self.piece(Reference::Task, None, at)
            }
        }
    }

    /// The default of a number, which is one; anything else is reported.
    fn default_number(&mut self, text: Option<String>, name: &str, at: Span) -> Option<String> {
        let text = text?;
        match plain_number(text.as_bytes()) {
            Some(number) => Some(String::from_utf8_lossy(&number).into_owned()),
            None => {
                let message = format!("the default of `@{name}@` is not a number");
                let error = self.diagnostics.error(at, message);
                error.help(format!(
                    "a number is written as `[+-]digits[.digits]`: `@{name}:-0@`"
                ));
                // A number, so that the value is not reported too.
                Some("0".into())
            }
        }
    }

    /// The global whose number is asked for: `N` in `N_number`.
    fn global_of_number<'n>(&self, name: &'n str) -> Option<&'n str> {
        let (global, field) = name.rsplit_once('_')?;
        let is_number = Field::from_name(field) == Some(Field::Number);
        (is_number && self.globals.get(global).is_some()).then_some(global)
    }

    /// A global as a number. One that is none fails what uses it.
    fn global_number(&mut self, name: &str, default: Option<String>, at: Span) -> Vec<Piece> {
        let global = self.global_of_number(name).unwrap_or(name);
        if default.is_some() {
            let message = format!("`{global}` is a global and takes no default here");
            let error = self.diagnostics.error(at, message);
            error.help(format!(
                "a default for a variable of the environment: `{global}=${{VARIABLE:-TEXT}}`"
            ));
        }
        let value = Template {
            pieces: self.global(global, at),
        };
        match value.known().and_then(|known| plain_number(&known)) {
            // Nothing in a number can be taken for syntax.
            Some(number) => vec![Piece::Text {
                text: String::from_utf8_lossy(&number).into_owned(),
                at,
                direct: false,
                secret: value.has_secret(),
            }],
            None => self.piece(Reference::NoNumber, None, at),
        }
    }

    /// Reports a default that is never closed, and one that seems to hold a reference.
    fn check_defaults(&mut self, value: &Template) {
        let mut rest = value.pieces.as_slice();
        while let Some((piece, after)) = rest.split_first() {
            rest = after;
            match piece {
                Piece::Text {
                    text,
                    at,
                    direct: true,
                    ..
                } => self.check_open_default(text, *at),
                Piece::Reference {
                    default: Some(text),
                    at,
                    ..
                } => self.check_default(text, *at, after.first()),
                _ => {}
            }
        }
    }

    /// Checks a default; `next` follows its closing `@`.
    fn check_default(&mut self, text: &str, at: Span, next: Option<&Piece>) {
        // `@0_stdout:-x @1_stdout@`: the second reference closed the default.
        if let Some(Piece::Text { text: next, .. }) = next
            && let name = template::leading_name(next)
            && self.field(name).is_some()
        {
            self.diagnostics
                .error(at, "this default is never closed")
                .help(format!("it takes the `@` of `@{name}` for its end"));
            return;
        }
        let names = text.split('@').skip(1).map(template::leading_name);
        let known = |n: &&str| self.globals.get(n).is_some() || self.field(n).is_some();
        if let Some(name) = names.into_iter().find(known) {
            let text = format!("`@{name}` in this default is text, not a reference");
            self.diagnostics.warning(at, text);
        }
    }

    fn check_open_default(&mut self, text: &str, at: Span) {
        for (open, _) in text.match_indices('@') {
            let name = template::leading_name(&text[open + 1..]);
            let end = open + 1 + name.len();
            if text[end..].starts_with(":-") && self.field(name).is_some() {
                self.diagnostics
                    .error(at.part(open, end + 2), "this default is never closed")
                    .help(format!("write `@{name}:-TEXT@`"));
            }
        }
    }

    /// The global's value; empty once the values have become too large.
    fn global(&mut self, name: &str, at: Span) -> Vec<Piece> {
        let pieces = self
            .globals
            .refer(name, at, LARGEST.saturating_sub(self.size));
        let Some(pieces) = pieces else {
            if self.size <= LARGEST {
                self.diagnostics.error(
                    at,
                    "the globals in the values of this file add up to more than 64 MiB",
                );
            }
            self.size = LARGEST + 1;
            return Vec::new();
        };
        self.size += pieces.iter().map(Piece::cost).sum::<usize>();
        pieces
    }

    fn piece(&self, to: Reference, default: Option<String>, at: Span) -> Vec<Piece> {
        vec![Piece::Reference {
            to,
            at,
            written: self.sources.snippet(at).to_string(),
            default: default.map(String::into_boxed_str),
        }]
    }

    /// `ID_FIELD` or `NAME_FIELD`, split so that both parts are known.
    fn field(&self, name: &str) -> Option<(Ix, Field)> {
        name.match_indices('_').find_map(|(cut, _)| {
            let field = Field::from_name(&name[cut + 1..])?;
            Some((self.find_task(&name[..cut])?, field))
        })
    }

    /// Reports a name that is not known: a known task with an unknown field, an
    /// unknown task with a known field, or else an unknown global.
    fn unknown(&mut self, name: &str, at: Span) {
        let is_rejected = |cut: usize| self.names.get(&name[..cut]) == Some(&None);
        if name.match_indices('_').any(|(cut, _)| is_rejected(cut)) {
            return;
        }
        let task_of = name
            .match_indices('_')
            .find_map(|(cut, _)| self.find_task(&name[..cut]).map(|_| cut));
        let unknown_task = name
            .match_indices('_')
            .find(|(cut, _)| Field::from_name(&name[cut + 1..]).is_some());
        if let Some(cut) = task_of {
            let field = &name[cut + 1..];
            let fields = FIELDS.iter().map(|(n, _)| *n);
            let near = self.diagnostics.suggest(field, fields);
            self.diagnostics
                .error(at, format!("a task's result has no field `{field}`"))
                .category(Category::Dependency)
                .label(near);
        } else if let Some((cut, _)) = unknown_task {
            self.resolve_task(&name[..cut], at);
        } else {
            let known = self.globals.names().chain(RESERVED.iter().copied());
            let near = self.diagnostics.suggest(name, known);
            let error = self
                .diagnostics
                .error(at, format!("there is no global `{name}`"))
                .category(Category::Dependency)
                .label(near);
            error.help("write `@@` for a literal `@`");
        }
    }
}

/// The running task's own value with that name.
fn own_value(name: &str) -> Option<Reference> {
    Some(match name {
        "task" => Reference::Task,
        "hostname" => Reference::Hostname,
        "loop" => Reference::Loop,
        "attempt" => Reference::Attempt,
        "run_outcome" => Reference::RunOutcome,
        _ => return None,
    })
}
