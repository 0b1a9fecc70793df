//! Follows results through a script, and refuses them where the shell would read them
//! as code (SPEC §2.4).
//!
//! The order of the commands does not count: a variable can hold whatever any
//! assignment gives it. What is not known is refused.
#![forbid(unsafe_code)]

use super::carried::{Carried, Origin, is_pattern};
use super::reader::{ScriptReader, is_name, is_number};
use super::tree::{PartKind, ShellAssignment, ShellCommand, ShellParameter, ShellPart, ShellWord};
use crate::text::source::Span;
use crate::text::template::{Piece, Symbol};
use std::collections::{BTreeMap, BTreeSet};

/// The shell that runs a script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScriptShell {
    #[default]
    Bash,
    /// One that knows no arrays, such as dash and busybox: what it does arithmetic with
    /// is a number.
    Posix,
    /// Any, such as ksh, which also evaluates the numbers of `[` and of some builtins.
    Any,
}

impl ScriptShell {
    /// The shell with this name; `sh` is that of the machine.
    pub fn of_program(name: &str, sh: ScriptShell) -> ScriptShell {
        match name.rsplit('/').next().unwrap_or(name) {
            "bash" | "rbash" => ScriptShell::Bash,
            "dash" | "ash" | "busybox" => ScriptShell::Posix,
            "sh" => sh,
            _ => ScriptShell::Any,
        }
    }
}

/// What a script is run with, as far as it can hold results.
#[derive(Clone, Debug, Default)]
pub struct ScriptSetting {
    /// The variables of `env.NAME` that hold results, and whether text of the author
    /// is joined to them that could make code of them.
    pub environment: Vec<(String, bool, Span)>,
    /// Whether `stdin=` holds a result.
    pub stdin: bool,
    /// What runs it.
    pub shell: ScriptShell,
    /// What `sh` is there.
    pub sh: ScriptShell,
}

/// Something to say about a script.
#[derive(Clone, Debug, PartialEq)]
pub struct ScriptFinding {
    pub at: Span,
    pub message: String,
    pub help: &'static str,
    pub refused: bool,
}

const NUMBER_HELP: &str =
    "use `@N_number@`, which is checked to be a number, or compare with `[ \"$n\" -gt 5 ]`";
const CODE_HELP: &str =
    "pass the result as a word of its own: `bash -c '... \"$1\"' _ \"$n\"`, `awk -v n=\"$n\"`";

/// How often the script is followed until nothing changes.
const ROUNDS: usize = 60;

pub struct ScriptChecker<'s, 'a> {
    symbols: &'s [Symbol<'a>],
    pub documents: &'s [ShellWord],
    pub setting: &'s ScriptSetting,
    /// What runs the commands that are looked at.
    pub shell: ScriptShell,
    /// What `sh` is for them.
    pub sh: ScriptShell,
    /// Whether they are read as shells other than bash read them.
    pub portable: bool,
    pub variables: BTreeMap<String, Carried>,
    /// The words that are assigned to a variable; `None` if it is also set otherwise.
    pub written: BTreeMap<String, Option<Vec<ShellWord>>>,
    pub functions: BTreeSet<String>,
    pub integers: BTreeSet<String>,
    pub arrays: BTreeSet<String>,
    /// The files that a result is written to, as they are named.
    pub files: BTreeSet<String>,
    /// What a variable of any name can hold.
    pub any: Carried,
    /// Whether a variable can be another name of another one.
    pub aliased: bool,
    pub all_integers: bool,
    pub exported: bool,
    /// Whether a function runs its arguments as a command.
    pub runs_arguments: bool,
    /// Whether `set` gives arguments.
    pub sets_arguments: bool,
    pub odd_separator: bool,
    /// What the commands here read.
    pub stdin: Carried,
    has_data: bool,
    pub reporting: bool,
    changed: bool,
    pub findings: Vec<ScriptFinding>,
    /// Whether results must be checked before the script runs, and whether for patterns
    /// too.
    pub evaluates: bool,
    pub expands: bool,
    pub depth: usize,
    /// Where the script stands that is read from a text.
    inside: Option<Span>,
    /// Where the command begins that is looked at.
    pub command_at: Span,
}

impl<'s, 'a> ScriptChecker<'s, 'a> {
    pub fn new(
        symbols: &'s [Symbol<'a>],
        documents: &'s [ShellWord],
        setting: &'s ScriptSetting,
        has_data: bool,
    ) -> ScriptChecker<'s, 'a> {
        let mut checker = ScriptChecker {
            symbols,
            documents,
            setting,
            shell: setting.shell,
            sh: setting.sh,
            portable: false,
            variables: BTreeMap::new(),
            written: BTreeMap::new(),
            functions: BTreeSet::new(),
            integers: BTreeSet::new(),
            arrays: BTreeSet::new(),
            files: BTreeSet::new(),
            any: Carried::NUMBER,
            aliased: false,
            all_integers: false,
            exported: !setting.environment.is_empty(),
            runs_arguments: false,
            sets_arguments: false,
            odd_separator: false,
            stdin: match setting.stdin {
                true => Carried::RESULT,
                false => Carried::OUTPUT,
            },
            has_data: has_data || setting.stdin || !setting.environment.is_empty(),
            reporting: false,
            changed: false,
            findings: Vec::new(),
            evaluates: false,
            expands: false,
            depth: 0,
            inside: None,
            command_at: symbols.first().map_or(Span::whole(0), symbol_span),
        };
        for (name, sharp, _) in &setting.environment {
            let value = match sharp {
                true => Carried::MADE,
                false => Carried::RESULT,
            };
            checker.variables.insert(name.clone(), value);
            checker.written.insert(name.clone(), None);
        }
        checker
    }

    /// Follows the commands until no variable can hold more, then reports.
    pub fn check(&mut self, commands: &[ShellCommand]) {
        self.follow(|checker| checker.walk(commands));
    }

    /// The same for the words of a program that no shell runs.
    pub fn check_program(&mut self, words: &[ShellWord]) {
        let name = words.first().and_then(ShellWord::written);
        let Some(name) = name else {
            return;
        };
        self.command_at = words[0].at().unwrap_or(self.command_at);
        self.follow(|checker| checker.program(&name, &words[1..]));
    }

    fn follow(&mut self, walk: impl Fn(&mut Self)) {
        for _ in 0..ROUNDS {
            self.changed = false;
            walk(self);
            if !self.changed {
                self.reporting = true;
                for (name, _, at) in &self.setting.environment {
                    self.assign(name, Carried::RESULT, *at);
                }
                walk(self);
                return;
            }
        }
        if let Some(at) = self.symbols.first().map(symbol_span) {
            self.refuse(
                at,
                "the checker cannot follow the results in this script".into(),
                "",
            );
        }
    }

    pub fn refuse(&mut self, at: Span, message: String, help: &'static str) {
        self.find(at, message, help, true);
    }

    pub fn warn(&mut self, at: Span, message: String, help: &'static str) {
        self.find(at, message, help, false);
    }

    fn find(&mut self, at: Span, message: String, help: &'static str, refused: bool) {
        let finding = ScriptFinding {
            at: self.inside.unwrap_or(at),
            message,
            help,
            refused,
        };
        // What other shells read too is looked at twice.
        if self.reporting && !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// What the script holds anywhere.
    pub fn everything(&self) -> Carried {
        let start = match self.has_data {
            true => Carried::RESULT,
            false => Carried::NUMBER,
        };
        self.variables
            .values()
            .fold(start.or(self.any), |a, b| a.or(*b))
    }

    // Values.

    /// What a word can hold. `split` says that it can become several words.
    pub fn value(&self, word: &ShellWord, split: bool) -> Carried {
        let mut all = Carried::NUMBER;
        let mut pattern = String::new();
        for (n, part) in word.parts.iter().enumerate() {
            let value = self.part_value(part, split, n == 0);
            all = if n == 0 { value } else { all.joined(value) };
            if let PartKind::Text(text) = &part.kind
                && !part.quoted
            {
                pattern += text;
            }
        }
        match split && self.has_data && is_pattern(&pattern) {
            true => all.or(Carried::MADE),
            false => all,
        }
    }

    fn part_value(&self, part: &ShellPart, split: bool, first: bool) -> Carried {
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
                self.after_splitting(self.output(body), part.quoted, split)
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

    fn symbol_value(&self, symbol: usize) -> Carried {
        match self.symbols.get(symbol) {
            Some(Symbol::Atom(piece)) if is_number(piece) => Carried::NUMBER,
            Some(Symbol::Atom(Piece::Reference { to, .. })) if !to.is_data() => Carried::NUMBER,
            _ => Carried::RESULT,
        }
    }

    fn parameter_value(&self, parameter: &ShellParameter) -> Carried {
        if parameter.length {
            return Carried::NUMBER;
        }
        let base = self.variable(&parameter.name);
        if parameter.indirect {
            let keys = parameter.subscript.is_some() || parameter.operator.starts_with(['*', '@']);
            return match keys {
                true => base.or(Carried::of_text("name")),
                false => self.everything().or(Carried::OUTPUT),
            };
        }
        let joins = parameter.name == "*"
            || (parameter.subscript.as_ref()).is_some_and(|s| s.written().as_deref() == Some("*"));
        let base = match joins && self.odd_separator {
            true => base.made(),
            false => base,
        };
        let operator = parameter.operator.as_str();
        match operator {
            "" | "#" | "##" | "%" | "%%" | ":" | "@P" | "*" | "@" => base,
            _ if operator.contains(['-', '=', '+', '?']) => {
                base.or(self.value(&parameter.operand, false))
            }
            _ if operator.starts_with('/') => {
                let operand = self.value(&parameter.operand, false);
                match removes_only(&parameter.operand) && operand.is_safe() {
                    true => base,
                    false => base.or(operand).made(),
                }
            }
            _ => base.made(),
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
        const HARMLESS: [&str; 8] = [
            "-",
            "0",
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
        if name.starts_with("TASKER_VALUE_") || name == "TASKER_HOSTNAME" {
            return Carried::RESULT.or(any);
        }
        if NUMBERS.contains(&name) {
            return known(name).or(any);
        }
        if matches!(name, "@" | "*") || name.parse::<u32>().is_ok_and(|n| n > 0) {
            return known("@").or(any);
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

    // Assignments.

    /// Notes that the variable can get this value.
    pub fn assign(&mut self, name: &str, value: Carried, at: Span) {
        if self.reporting && (self.integers.contains(name) || self.all_integers) {
            self.number(value, at, "the value of an integer variable", Some(name));
        }
        match name {
            _ if name.starts_with("BASH_FUNC_") => {
                self.code(value, at, &format!("the value of `{name}`"));
            }
            "BASH_ENV"
            | "ENV"
            | "FPATH"
            | "PATH"
            | "PS4"
            | "PS0"
            | "PS1"
            | "PS2"
            | "PROMPT_COMMAND"
            | "LD_PRELOAD"
            | "LD_LIBRARY_PATH"
            | "LD_AUDIT"
            | "BASH_ALIASES"
            | "BASH_CMDS"
            | "BASH_FUNC"
            | "SHELLOPTS"
            | "BASHOPTS"
            | "EXECIGNORE"
            | "BASH_LOADABLES_PATH" => {
                self.code(value, at, &format!("the value of `{name}`"));
            }
            "RANDOM" | "SRANDOM" | "OPTIND" | "HISTCMD" | "SECONDS" | "LINENO" | "EPOCHSECONDS" => {
                self.number(value, at, &format!("the value of `{name}`"), None);
            }
            "TMOUT" | "COLUMNS" | "LINES" | "HISTSIZE" if self.shell == ScriptShell::Any => {
                let what = format!("the value of `{name}`, which ksh evaluates");
                self.number(value, at, &what, None);
            }
            "IFS" if !self.odd_separator && (value.sharp || !value.is_safe()) => {
                self.odd_separator = true;
                self.changed = true;
            }
            _ => {}
        }
        let known = self.variables.get(name).copied().unwrap_or_default();
        let all = known.or(value);
        if all != known {
            self.variables.insert(name.to_string(), all);
            self.changed = true;
        }
    }

    /// Notes that some variable, whose name is not known, can get this value.
    pub fn assign_any(&mut self, value: Carried) {
        let all = self.any.or(value);
        if all != self.any {
            self.any = all;
            self.changed = true;
        }
    }

    /// Notes a set of names, such as those of functions.
    pub fn insert(&mut self, which: fn(&mut Self) -> &mut BTreeSet<String>, name: &str) {
        if which(self).insert(name.to_string()) {
            self.changed = true;
        }
    }

    /// Sets a mark that stays.
    pub fn mark(&mut self, which: fn(&mut Self) -> &mut bool) {
        let mark = which(self);
        let before = std::mem::replace(mark, true);
        self.changed |= !before;
    }

    pub fn assignment(&mut self, assignment: &ShellAssignment) {
        let name = assignment.name.as_str();
        if let Some(subscript) = &assignment.subscript {
            self.number_word(subscript, "an array subscript");
            let key = self.value(subscript, false);
            self.assign(name, key, assignment.at);
            self.insert(|c| &mut c.arrays, name);
        }
        let mut value = self.value(&assignment.value, false);
        if let [
            ShellPart {
                kind: PartKind::Elements(words),
                ..
            },
        ] = assignment.value.parts.as_slice()
        {
            self.insert(|c| &mut c.arrays, name);
            words.iter().for_each(|word| self.element(word));
            self.set_otherwise(name);
        }
        if assignment.append {
            value = self.variable(name).joined(value);
            self.set_otherwise(name);
        }
        self.assign(name, value, assignment.at);
        self.prompt(name, &assignment.value, assignment.at);
        self.set_to(name, &assignment.value);
        self.walk_word(&assignment.value);
    }

    /// The value of a prompt, which is expanded each time that it is shown.
    pub fn prompt(&mut self, name: &str, word: &ShellWord, at: Span) {
        if !matches!(name, "PS4" | "PS0" | "PS1" | "PS2" | "PROMPT_COMMAND")
            || word.parts.is_empty()
        {
            return;
        }
        match word.written() {
            Some(text) if name == "PROMPT_COMMAND" => self.script_text(&text, at),
            Some(text) => self.script_text(&format!(": \"{}\"", text.replace('"', "\\\"")), at),
            None if !self.everything().is_safe() => {
                let message = format!(
                    "the checker cannot see what is in `{name}`, and results could be used in it"
                );
                self.refuse(at, message, "write it out");
            }
            None => {}
        }
    }

    /// `[SUBSCRIPT]=VALUE` in a list.
    pub fn element(&mut self, word: &ShellWord) {
        let begins =
            |part: &ShellPart| matches!(&part.kind, PartKind::Text(t) if t.starts_with('['));
        if !word.parts.first().is_some_and(begins) {
            return;
        }
        let is_end = |part: &ShellPart| matches!(&part.kind, PartKind::Text(t) if t.contains(']'));
        if let Some(end) = word.parts.iter().position(is_end) {
            let parts = word.parts[..=end].to_vec();
            self.number_word(&ShellWord { parts }, "an array subscript");
        }
    }

    /// Notes that the variable is set to this word.
    pub fn set_to(&mut self, name: &str, word: &ShellWord) {
        if self.reporting {
            return;
        }
        let known = self
            .written
            .entry(name.to_string())
            .or_insert(Some(Vec::new()));
        let Some(words) = known else {
            return;
        };
        let place = word.at();
        if words.iter().any(|known| known.at() == place) {
            return;
        }
        match words.len() < 8 {
            true => words.push(word.clone()),
            false => *known = None,
        }
        self.changed = true;
    }

    /// Notes that the variable is set to what is no word.
    pub fn set_otherwise(&mut self, name: &str) {
        let known = self.written.insert(name.to_string(), None);
        self.changed |= !matches!(known, Some(None));
    }

    // Places.

    /// Refuses a value in a script or a name.
    pub fn code(&mut self, value: Carried, at: Span, what: &str) {
        if !value.is_safe() {
            self.refuse(
                at,
                format!("a result can get into {what}; the shell would read it as code"),
                CODE_HELP,
            );
        }
    }

    /// Warns of a value where the shell does arithmetic, or refuses it.
    pub fn number(&mut self, value: Carried, at: Span, what: &str, name: Option<&str>) {
        if !self.reporting {
            return;
        }
        let mut origin = value.origin;
        if origin == Origin::Result {
            origin = origin.max(self.everything().origin);
        } else if value.wordy {
            origin =
                origin.max(name.map_or(self.everything().origin, |name| self.reached(name, 0)));
        }
        let who = name.map_or("this".to_string(), |name| format!("`{name}`"));
        match origin {
            Origin::Safe => {}
            Origin::Result => {
                self.evaluates = true;
                self.expands |= value.split;
                self.warn(
                    at,
                    format!("{who} can hold a result, and bash evaluates it in {what}; the task fails if a result that it uses holds `$`, a backquote or a backslash"),
                    NUMBER_HELP,
                );
            }
            Origin::Made => self.refuse(
                at,
                format!("{who} can hold what was made from a result or a file name, and bash would run code in it in {what}"),
                NUMBER_HELP,
            ),
        }
    }

    /// What arithmetic with this variable reaches: it evaluates names that it holds.
    fn reached(&self, name: &str, depth: usize) -> Origin {
        let Some(Some(words)) = self.written.get(name) else {
            return self.everything().origin;
        };
        let texts: Option<Vec<String>> =
            words.iter().map(|word| self.rendered(word, 0, 0)).collect();
        let is_one = words.len() == 1 || words.iter().all(|word| word.written().is_some());
        let Some(texts) = texts.filter(|_| is_one && depth < 8) else {
            return self.everything().origin;
        };
        let names = texts.iter().flat_map(|text| names_in(text));
        let reached = names.map(|name| {
            let held = self.variable(&name);
            match held.wordy && self.variables.contains_key(&name) {
                true => held.origin.max(self.reached(&name, depth + 1)),
                false => held.origin,
            }
        });
        reached.max().unwrap_or_default()
    }

    /// A word that is a script or a name.
    pub fn code_word(&mut self, word: &ShellWord, what: &str) {
        let Some(at) = word.at() else {
            return;
        };
        if let Some(at) = self.data_in(word) {
            let message =
                format!("a result cannot be used in {what}; the shell would read it as code");
            return self.refuse(at, message, CODE_HELP);
        }
        let value = self.value(word, true);
        if !value.is_safe() {
            let who = self.culprit(word);
            let message = format!(
                "{who} can hold a result and cannot be used in {what}; the shell would read it as code"
            );
            self.refuse(at, message, CODE_HELP);
        }
    }

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
        // What is written between the variables is no value.
        let parts = word
            .parts
            .iter()
            .filter(|p| !matches!(p.kind, PartKind::Text(_)));
        let mut value = parts.fold(Carried::NUMBER, |all, part| {
            all.or(self.part_value(part, false, false))
        });
        if !self.value(word, false).is_safe() && value.origin == Origin::Result {
            value.origin = self.value(word, false).origin;
        }
        let mut names: Vec<String> = Vec::new();
        for part in &word.parts {
            if let PartKind::Text(text) | PartKind::AnsiC(text) = &part.kind {
                names.extend(names_in(text));
            }
        }
        for name in names {
            let held = self.variable(&name);
            if !held.is_safe() || held.wordy {
                self.number(held, at, what, Some(&name));
            }
        }
        let who = self.culprit_name(word);
        self.number(value, at, what, who.as_deref());
    }

    /// The first result that is written in the word, also inside `$(…)`.
    fn data_in(&self, word: &ShellWord) -> Option<Span> {
        word.parts.iter().find_map(|part| match &part.kind {
            PartKind::Value(symbol) if !self.symbol_value(*symbol).is_safe() => Some(part.at),
            PartKind::Parameter(parameter) => self.data_in(&parameter.operand),
            PartKind::Elements(words) => words.iter().find_map(|word| self.data_in(word)),
            PartKind::Substitution(body) if !self.output(body).is_safe() => body
                .iter()
                .find_map(|command| self.data_in_command(command)),
            _ => None,
        })
    }

    fn data_in_command(&self, command: &ShellCommand) -> Option<Span> {
        match command {
            ShellCommand::Simple { words, .. } => words.iter().find_map(|w| self.data_in(w)),
            ShellCommand::Pipeline(all) | ShellCommand::Group(all, _) => {
                all.iter().find_map(|command| self.data_in_command(command))
            }
            _ => None,
        }
    }

    fn culprit_name(&self, word: &ShellWord) -> Option<String> {
        word.parts.iter().find_map(|part| match &part.kind {
            PartKind::Parameter(p) if !self.parameter_value(p).is_safe() => Some(p.name.clone()),
            _ => None,
        })
    }

    fn culprit(&self, word: &ShellWord) -> String {
        match self.culprit_name(word) {
            Some(name) => format!("`${name}`"),
            None => "this".into(),
        }
    }

    // Scripts in words.

    /// A script in words: it holds no result, and what is written in it is checked too.
    pub fn script_words(&mut self, words: &[ShellWord], what: &str) {
        for word in words {
            self.code_word(word, what);
        }
        let Some(at) = words.first().and_then(ShellWord::at) else {
            return;
        };
        if !words.iter().all(|word| self.value(word, true).is_safe()) {
            return;
        }
        for text in self.texts(words) {
            match text {
                Some(text) => self.script_text(&text, at),
                None if self.has_data => {
                    let message = format!(
                        "the checker cannot see what is in {what}, and results could be used in it"
                    );
                    self.refuse(at, message, "write it out");
                }
                None => {}
            }
        }
    }

    /// What the words can be as a script; `None` for what cannot be told.
    pub fn texts(&self, words: &[ShellWord]) -> Vec<Option<String>> {
        let mut choices = BTreeSet::new();
        words
            .iter()
            .for_each(|word| self.chosen(word, &mut choices, 0));
        let several: Vec<&String> = choices.iter().filter(|name| self.count(name) > 1).collect();
        if several.len() > 1 {
            return vec![None];
        }
        let most = several.first().map_or(1, |name| self.count(name));
        let render = |choice| {
            let texts: Option<Vec<String>> = words
                .iter()
                .map(|word| self.rendered(word, choice, 0))
                .collect();
            texts.map(|texts| texts.join(" "))
        };
        (0..most).map(render).collect()
    }

    fn count(&self, name: &str) -> usize {
        match self.written.get(name) {
            Some(Some(words)) => words.len(),
            _ => 1,
        }
    }

    /// The variables that the word depends on.
    fn chosen(&self, word: &ShellWord, names: &mut BTreeSet<String>, depth: usize) {
        for part in &word.parts {
            if let PartKind::Parameter(parameter) = &part.kind
                && names.insert(parameter.name.clone())
                && depth < 8
                && let Some(Some(words)) = self.written.get(&parameter.name)
            {
                words
                    .iter()
                    .for_each(|word| self.chosen(word, names, depth + 1));
            }
        }
    }

    fn rendered(&self, word: &ShellWord, choice: usize, depth: usize) -> Option<String> {
        if depth > 8 {
            return None;
        }
        let mut text = String::new();
        for part in &word.parts {
            match &part.kind {
                PartKind::Text(t) | PartKind::AnsiC(t) => text += t,
                PartKind::Value(_) | PartKind::Arithmetic(_) => text.push('0'),
                PartKind::Substitution(_) | PartKind::Process(_) => text.push('x'),
                PartKind::Elements(_) => return None,
                PartKind::Parameter(parameter) if parameter.length => text.push('0'),
                PartKind::Parameter(parameter) => {
                    if !parameter.operator.is_empty()
                        || parameter.indirect
                        || parameter.subscript.is_some()
                    {
                        return None;
                    }
                    match self.written.get(&parameter.name) {
                        Some(None) => {
                            let value = self.variable(&parameter.name);
                            if value.wordy {
                                return None;
                            }
                            text.push('x');
                        }
                        Some(Some(words)) => {
                            let word = words.get(choice.min(words.len().saturating_sub(1)))?;
                            text += &self.rendered(word, choice, depth + 1)?;
                        }
                        None if matches!(parameter.name.as_str(), "@" | "*") => return None,
                        None if self.variable(&parameter.name).wordy => return None,
                        None => text.push('x'),
                    }
                }
            }
        }
        Some(text)
    }

    /// A script that is written out in a word.
    pub fn script_text(&mut self, text: &str, at: Span) {
        if self.depth > 8 {
            return self.refuse(
                at,
                "these scripts are nested too deeply to be checked".into(),
                "",
            );
        }
        let symbols: Vec<Symbol> = text
            .chars()
            .map(|c| Symbol::Char {
                c,
                at,
                direct: false,
                secret: false,
            })
            .collect();
        let mut reader = ScriptReader::new(&symbols);
        reader.portable = self.portable;
        match reader.script() {
            Ok(commands) => {
                let documents = std::mem::take(&mut reader.documents);
                self.nested(&commands, documents, at);
            }
            Err(_) if self.has_data => {
                let message =
                    "the checker cannot read this script, and results could be used in it";
                self.refuse(at, message.into(), "");
            }
            Err(_) => {}
        }
    }

    fn nested(&mut self, commands: &[ShellCommand], documents: Vec<ShellWord>, at: Span) {
        // The checker of the inner script shares all but the texts of here-documents.
        let mut inner = ScriptChecker {
            symbols: &[],
            documents: &documents,
            setting: self.setting,
            variables: std::mem::take(&mut self.variables),
            written: std::mem::take(&mut self.written),
            functions: std::mem::take(&mut self.functions),
            integers: std::mem::take(&mut self.integers),
            arrays: std::mem::take(&mut self.arrays),
            files: std::mem::take(&mut self.files),
            findings: std::mem::take(&mut self.findings),
            depth: self.depth + 1,
            inside: Some(self.inside.unwrap_or(at)),
            ..*self
        };
        inner.walk(commands);
        (self.any, self.aliased, self.all_integers) =
            (inner.any, inner.aliased, inner.all_integers);
        self.runs_arguments = inner.runs_arguments;
        self.sets_arguments = inner.sets_arguments;
        (self.exported, self.odd_separator) = (inner.exported, inner.odd_separator);
        (self.changed, self.evaluates, self.expands) =
            (inner.changed, inner.evaluates, inner.expands);
        self.variables = inner.variables;
        self.written = inner.written;
        self.functions = inner.functions;
        self.integers = inner.integers;
        self.arrays = inner.arrays;
        self.files = inner.files;
        self.findings = inner.findings;
    }
}

fn symbol_span(symbol: &Symbol) -> Span {
    match symbol {
        Symbol::Char { at, .. } => *at,
        Symbol::Atom(piece) => piece.at(),
    }
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

/// The names of variables in the text of arithmetic.
pub fn names_in(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words
        .filter(|word| is_name(word))
        .map(String::from)
        .collect()
}
