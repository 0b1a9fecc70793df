//! Places where bash does arithmetic: it evaluates what the variables hold, and again what
//! the variables hold that are named there (SPEC §2.4).
#![forbid(unsafe_code)]

use super::carried::{Carried, Origin, holds_command, is_pattern};
use super::checker::ScriptChecker;
use super::reader::{MARKS, is_name, is_name_char};
use super::tree::{PartKind, ShellPart, ShellWord};
use super::values::written_text;
use crate::text::source::Span;
use std::collections::BTreeSet;

const NUMBER_HELP: &str =
    "use `@N_number@`, which is checked to be a number, or compare with `[ \"$n\" -gt 5 ]`";
const DIGITS_HELP: &str =
    "make it a number with `| tr -dc 0-9`, or compare with `[ \"$n\" -gt 5 ]`";

/// What the text of arithmetic names.
#[derive(Default)]
struct Named {
    names: BTreeSet<String>,
    /// A name in it is put together from parts, so that it can be any.
    any: bool,
    /// It holds the text of a command.
    code: bool,
}

/// Characters of names that stand together.
#[derive(Default)]
struct JoinedName {
    text: String,
    numbers: usize,
    others: usize,
}

impl Named {
    /// Takes the characters that came so far as one token.
    fn end(&mut self, token: &mut JoinedName) {
        let JoinedName {
            text,
            numbers,
            others,
        } = std::mem::take(token);
        let has_letter = text.contains(|c: char| !c.is_ascii_digit());
        match numbers + others {
            0 if is_name(&text) => {
                self.names.insert(text);
            }
            0 => {}
            parts => {
                self.any |= has_letter || (others > 0 && (parts > 1 || !text.is_empty()));
            }
        }
    }
}

impl ScriptChecker<'_, '_> {
    /// A word in which the shell does arithmetic.
    pub fn number_word(&mut self, word: &ShellWord, what: &str) {
        let Some(at) = word.at() else {
            return;
        };
        self.walk_word(word);
        if let Some(at) = self.data_in(word) {
            let message =
                format!("a value cannot be used inside {what}; the shell would read it as code");
            return self.refuse(at, message, NUMBER_HELP);
        }
        if !self.reporting {
            return;
        }
        let named = self.named_in(word);
        if named.code && !self.everything().is_safe() {
            return self.refuse_command(at, what);
        }
        let patterns = word
            .parts
            .iter()
            .any(|part| !part.quoted && written_text(part).is_some_and(is_pattern));
        if what == "`let`" && patterns && !self.everything().is_safe() {
            let message =
                "the names of files can get into the words of `let`, which evaluates them";
            return self.refuse(at, message.into(), "quote the word, or use `((...))`");
        }
        if named.any {
            self.number(Carried::OUTPUT, at, what, None);
        }
        for name in named.names {
            let held = self.variable(&name);
            self.number(held, at, what, Some(&name));
        }
        let mut alone = Carried::NUMBER;
        for part in word.parts.iter().filter(|p| written_text(p).is_none()) {
            let value = self.part_value(part, false, false);
            alone = alone.or(value);
            self.number(value, at, what, name_of(part));
        }
        // What the parts make together.
        let whole = self.value(word, false);
        let more = (whole.glued, whole.code) != (alone.glued, alone.code);
        if !whole.is_safe() && (more || whole.origin != alone.origin) {
            let who = self.culprit_name(word);
            self.number(whole, at, what, who.as_deref());
        }
    }

    fn refuse_command(&mut self, at: Span, what: &str) {
        let message = format!(
            "a command is written in text that bash evaluates in {what}; the checker does not follow it, and results could be used in it"
        );
        self.refuse(at, message, "run the command with `$(...)` before");
    }

    /// The names in a text of arithmetic.
    fn named_in(&self, word: &ShellWord) -> Named {
        let (mut named, mut token) = (Named::default(), JoinedName::default());
        let mut written = String::new();
        for part in &word.parts {
            if let Some(text) = written_text(part) {
                written += text;
                for c in text.chars() {
                    match c {
                        _ if is_name_char(c) => token.text.push(c),
                        _ if c == MARKS[0] => token.numbers += 1,
                        _ if c == MARKS[1] => named.any = true,
                        _ => named.end(&mut token),
                    }
                }
                continue;
            }
            written.push(' ');
            let value = self.part_value(part, false, false);
            match value.is_safe() && !value.wordy && !value.unknown {
                true => token.numbers += 1,
                false => token.others += 1,
            }
        }
        named.end(&mut token);
        named.code = holds_command(&written);
        named
    }

    /// Warns of a value where the shell does arithmetic, or refuses it.
    pub fn number(&mut self, value: Carried, at: Span, what: &str, name: Option<&str>) {
        if !self.reporting {
            return;
        }
        let follows = !self.everything().is_safe();
        if value.code && follows {
            return self.refuse_command(at, what);
        }
        let mut all = value;
        if value.origin == Origin::Result {
            all = all.or(self.nameable());
        } else if value.is_safe() && (value.wordy || value.unknown) {
            all = all.or(match name {
                Some(name) => self.reached(name),
                None => self.nameable(),
            });
        }
        if all.code && follows {
            return self.refuse_command(at, what);
        }
        let who = name.map_or("this".to_string(), |name| format!("`{name}`"));
        let can = match value.is_safe() {
            true => "can name a variable that holds",
            false => "can hold",
        };
        match all.origin {
            Origin::Safe => {}
            Origin::Result if !all.glued => {
                self.guard.needed = true;
                self.guard.patterns |= all.split;
                self.guard.cut |= all.cut;
                self.guard.glued |= self.variables.values().any(|v| v.glued);
                self.guard.formats |= what.contains("`printf`");
                self.warn(
                    at,
                    format!("{who} {can} a result, and bash evaluates it in {what}; the task fails if a result that it uses holds `$`, a backquote, a backslash, an assignment, or an operator at its beginning or end"),
                    if value.is_safe() { DIGITS_HELP } else { NUMBER_HELP },
                );
            }
            _ => self.refuse(
                at,
                format!("{who} {can} what was made from a result or a file name, and bash would run code in it in {what}"),
                DIGITS_HELP,
            ),
        }
    }

    /// What a name can refer to that is not known. Parts that make a name together are
    /// looked for before the run.
    fn nameable(&self) -> Carried {
        let start = match self.has_data {
            true => Carried::RESULT.or(self.any),
            false => self.any,
        };
        // No result is evaluated that is `_` or the name of a variable of bash itself.
        let others = self.variables.iter().filter(|(name, _)| *name != "_");
        Carried {
            glued: false,
            ..others.fold(start, |all, (_, value)| all.or(*value))
        }
    }

    /// What arithmetic with this variable reaches: it evaluates names that it holds.
    fn reached(&self, name: &str) -> Carried {
        let mut seen = BTreeSet::new();
        let mut left = vec![name.to_string()];
        let mut all = Carried::NUMBER;
        while let Some(name) = left.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            let held = self.variable(&name);
            all = all.or(Carried {
                wordy: false,
                unknown: false,
                ..held
            });
            if !held.wordy && !held.unknown {
                continue;
            }
            if self.any.wordy || self.any.unknown {
                return all.or(self.nameable());
            }
            let Some(Some(words)) = self.written.get(&name) else {
                return all.or(self.nameable());
            };
            for word in words {
                let named = self.named_in(word);
                if named.any || word.parts.iter().any(|part| self.is_unknown(part)) {
                    return all.or(self.nameable());
                }
                left.extend(named.names);
                left.extend(word.parts.iter().filter_map(name_of).map(String::from));
            }
        }
        all
    }

    /// Whether nothing is known of the names that a part holds.
    fn is_unknown(&self, part: &ShellPart) -> bool {
        let value = self.part_value(part, false, false);
        let named = written_text(part).is_some() || name_of(part).is_some();
        (value.wordy || value.unknown) && !named
    }
}

/// The name of a variable that stands in a word as it is.
fn name_of(part: &ShellPart) -> Option<&str> {
    match &part.kind {
        PartKind::Parameter(p)
            if p.operator.is_empty() && !p.indirect && !p.length && p.subscript.is_none() =>
        {
            Some(&p.name)
        }
        _ => None,
    }
}
