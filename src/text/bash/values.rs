//! What the words and variables of a script can hold (SPEC §2.4).
#![forbid(unsafe_code)]

use super::carried::{Carried, Origin, is_pattern};
use super::checker::ScriptChecker;
use super::reader::{is_name_char, is_number};
use super::tree::{PartKind, ShellParameter, ShellPart, ShellWord};
use super::words::READ_BY_PROGRAM;
use crate::text::template::{Piece, Symbol};

impl ScriptChecker<'_, '_> {
    /// What a word can hold. `split` says that it can become several words.
    pub fn value(&self, word: &ShellWord, split: bool) -> Carried {
        let mut all = Carried::NUMBER;
        let mut pattern = String::new();
        let mut before = None;
        let parts = word.parts.iter().filter(|part| !is_empty(part));
        for (n, part) in parts.enumerate() {
            let value = self.part_value(part, split, n == 0);
            all = match before {
                None => value,
                Some(before) => self.after(all, before, value, part),
            };
            if let PartKind::Text(text) = &part.kind
                && !part.quoted
            {
                pattern += text;
            }
            before = Some(part);
        }
        match split && self.has_data && is_pattern(&pattern) {
            true => all.or(Carried::MADE),
            false => all,
        }
    }

    /// What is in a word so far, with the part after `before`.
    fn after(&self, all: Carried, before: &ShellPart, value: Carried, part: &ShellPart) -> Carried {
        let both = all.apart(value);
        let (left, right) = (written_text(before), written_text(part));
        let of_left = self.part_value(before, false, false);
        let touches = match (left, right) {
            (Some(_), Some(_)) => false,
            (Some(text), None) => !value.is_safe() && ends_open(text),
            (None, Some(text)) => !of_left.is_safe() && begins_open(text),
            (None, None) => !of_left.is_safe() || !value.is_safe(),
        };
        // `a[` and `$(…)]` that come together.
        let bracket = |text: Option<&str>| text.is_none_or(|text| text.contains('['));
        let opens =
            both.dollar && (left.is_none() || right.is_none()) && (bracket(left) || bracket(right));
        Carried {
            glued: both.glued || touches,
            code: both.code || opens,
            ..both
        }
    }

    pub fn part_value(&self, part: &ShellPart, split: bool, first: bool) -> Carried {
        match &part.kind {
            PartKind::Text(text) => {
                let value = Carried::of_text(text);
                let home = first && text.starts_with('~');
                match !part.quoted && home && self.has_data {
                    true => value.or(Carried::MADE),
                    false => value,
                }
            }
            PartKind::AnsiC(text) => Carried::of_text(text),
            PartKind::Value(symbol) => self.symbol_value(*symbol),
            PartKind::Parameter(parameter) => {
                let value = self.parameter_value(parameter);
                self.after_splitting(value, part.quoted, split)
            }
            PartKind::Substitution(body) => {
                self.after_splitting(self.output_of(body), part.quoted, split)
            }
            PartKind::Process(_) => Carried::OUTPUT,
            PartKind::Arithmetic(_) => Carried::NUMBER,
            PartKind::Elements(words) => {
                let is_keyed = |word: &ShellWord| word.beginning().starts_with('[');
                let values = words.iter().map(|word| self.value(word, !is_keyed(word)));
                values.fold(Carried::NUMBER, Carried::or)
            }
        }
    }

    fn after_splitting(&self, value: Carried, quoted: bool, split: bool) -> Carried {
        if quoted || !split {
            return value;
        }
        match value.origin {
            Origin::Safe => value,
            _ if value.glob => value.made(),
            _ => Carried {
                split: true,
                ..value
            },
        }
    }

    pub fn symbol_value(&self, symbol: usize) -> Carried {
        match self.symbols.get(symbol) {
            _ if symbol == READ_BY_PROGRAM => Carried::MADE,
            Some(Symbol::Atom(piece)) if is_number(piece) => Carried::NUMBER,
            Some(Symbol::Atom(Piece::Reference { to, .. })) if !to.is_data() => Carried::NUMBER,
            _ => Carried::RESULT,
        }
    }

    pub fn parameter_value(&self, parameter: &ShellParameter) -> Carried {
        if parameter.length {
            return Carried::NUMBER;
        }
        let base = self.variable(&parameter.name);
        if parameter.indirect {
            return self.indirect_value(parameter);
        }
        let base = match parameter.name == "*" || parameter.has_subscript("*") {
            true => self.joined_list(base),
            false => base,
        };
        let operator = parameter.operator.as_str();
        match operator {
            "" | "#" | "##" | "%" | "%%" | ":" | "@P" | "*" | "@" => base,
            _ if operator.contains(['-', '=', '+', '?']) => {
                base.or(self.value(&parameter.operand, false))
            }
            "//" if keeps_digits(&parameter.operand) => Carried::NUMBER,
            _ if operator.starts_with('/') => {
                let operand = self.value(&parameter.operand, false);
                match removes_only(&parameter.operand) && operand.is_safe() {
                    true => Carried {
                        cut: base.cut || !base.is_safe(),
                        ..base
                    },
                    false => base.or(operand).made(),
                }
            }
            _ => base.made(),
        }
    }

    /// `${!…}`: the keys of a list, names of variables, or what a name refers to.
    fn indirect_value(&self, parameter: &ShellParameter) -> Carried {
        if parameter.is_prefix() {
            return Carried::of_text("name").or(Carried::OUTPUT);
        }
        match parameter.is_keys() {
            // The keys of a list that has no words for keys are numbers.
            true if !self.associative => Carried::NUMBER,
            true => self
                .joined_list(self.variable(&parameter.name))
                .or(Carried::of_text("name"))
                .or(Carried::OUTPUT),
            false => self.everything().or(Carried::OUTPUT),
        }
    }

    /// The elements of a list in one word.
    fn joined_list(&self, base: Carried) -> Carried {
        match base.is_safe() {
            true => base.apart(base),
            false if self.odd_separator => base.apart(base).made(),
            false => base.apart(base),
        }
    }

    /// What a variable can hold.
    pub fn variable(&self, name: &str) -> Carried {
        const NUMBERS: [&str; 22] = [
            "#",
            "?",
            "$",
            "!",
            "RANDOM",
            "SRANDOM",
            "SECONDS",
            "LINENO",
            "BASHPID",
            "UID",
            "EUID",
            "PPID",
            "EPOCHSECONDS",
            "EPOCHREALTIME",
            "SHLVL",
            "OPTIND",
            "PIPESTATUS",
            "BASH_SUBSHELL",
            "COLUMNS",
            "LINES",
            "HISTCMD",
            "GROUPS",
        ];
        const HARMLESS: [&str; 7] = [
            "-",
            "BASH_VERSION",
            "BASH_VERSINFO",
            "BASH_LINENO",
            "BASH_REMATCH",
            "BASH",
            "BASHOPTS",
        ];
        let known = |name: &str| self.variables.get(name).copied().unwrap_or_default();
        let any = match self.aliased {
            true => self.any.or(self.everything()),
            false => self.any,
        };
        if (name.starts_with("TASKER_VALUE_") && self.has_data) || name == "TASKER_HOSTNAME" {
            return Carried::RESULT.or(any);
        }
        if NUMBERS.contains(&name) {
            return known(name).or(any);
        }
        if matches!(name, "@" | "*") || name.parse::<u32>().is_ok_and(|n| n > 0) {
            return known("@").or(known(name)).or(any);
        }
        let is_own = name.starts_with("BASH_")
            || name.starts_with("COMP_")
            || name.starts_with("READLINE_")
            || matches!(name, "DIRSTACK" | "FUNCNAME" | "HISTFILE");
        if is_own && !HARMLESS.contains(&name) && self.has_data {
            return Carried::MADE;
        }
        if matches!(name, "_" | "REPLY" | "MAPFILE" | "OPTARG") && self.has_data {
            return known(name).or(Carried::RESULT).or(any);
        }
        known(name).or(any)
    }
}

/// Whether a replacement takes away all but digits.
fn keeps_digits(operand: &ShellWord) -> bool {
    let is_quoted = operand.parts.iter().any(|part| part.quoted);
    let written = operand.written().filter(|_| !is_quoted);
    let pattern = written.as_deref().map(|text| text.trim_end_matches('/'));
    matches!(
        pattern,
        Some("[^0-9]" | "[!0-9]" | "[^[:digit:]]" | "[![:digit:]]")
    )
}

/// Whether a replacement only takes characters away.
fn removes_only(operand: &ShellWord) -> bool {
    let mut slashes = 0;
    let last = operand.parts.len().saturating_sub(1);
    for (n, part) in operand.parts.iter().enumerate() {
        if let PartKind::Text(text) = &part.kind {
            slashes += text.matches('/').count();
            if slashes > 1 || (slashes == 1 && (n != last || !text.ends_with('/'))) {
                return false;
            }
        }
    }
    true
}

fn is_empty(part: &ShellPart) -> bool {
    written_text(part).is_some_and(str::is_empty)
}

/// The text of a part that is written out.
pub fn written_text(part: &ShellPart) -> Option<&str> {
    match &part.kind {
        PartKind::Text(text) | PartKind::AnsiC(text) => Some(text),
        _ => None,
    }
}

/// Whether a result after this text can become one name or operator with it.
fn ends_open(text: &str) -> bool {
    text.ends_with(is_name_char) || text.ends_with("++") || text.ends_with("--")
}

/// Whether a result before this text can become one name or operator with it.
fn begins_open(text: &str) -> bool {
    let equals = |text: &str| text.starts_with('=') && !text.starts_with("==");
    let operator = text.trim_start_matches(['+', '-', '*', '/', '%', '&', '|', '^', '<', '>']);
    text.starts_with(is_name_char)
        || text.starts_with('[')
        || text.starts_with("++")
        || text.starts_with("--")
        || equals(operator)
}
