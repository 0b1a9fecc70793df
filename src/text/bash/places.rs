//! Which command runs, and whether it reads its words as code (SPEC §2.4).
//!
//! A command is known when every text that its first word can have is. One that is not,
//! and that a result can reach, is refused.
#![forbid(unsafe_code)]

use super::carried::{Carried, Origin};
use super::checker::{ScriptChecker, ScriptShell, is_set_by_shell};
use super::reader::{MARKS, is_name};
use super::tree::{PartKind, ShellCommand, ShellParameter, ShellPart, ShellWord};
use super::words::{
    after_dashes, as_word, can_be_split, has_braces, has_list, is_marked, is_odd, is_positional,
    is_whole_list, is_written_out, only_part,
};
use crate::text::source::Span;
use std::collections::BTreeSet;

/// The commands of bash that have a place for code, a name or a number.
const WITH_PLACES: &str = "command builtin exec jobs eval . source trap alias compgen complete \
    compopt bind enable hash fc history let declare typeset local export readonly unset read \
    mapfile readarray getopts wait [ test cd pushd popd set shopt shift";

/// How often a variable is looked up in another one's value.
const DEPTH: usize = 3;

/// How many forms of one command are looked at.
const STEPS: usize = 2000;

/// Where a command stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandPlace {
    /// Where the shell runs it: it can be one of bash's own or a function.
    Shell,
    /// In the words of a program, such as `timeout`.
    Program,
}

impl ScriptChecker<'_, '_> {
    /// Checks a simple command by its words.
    pub fn run(&mut self, words: &[ShellWord]) {
        let Some(first) = words.first() else {
            return;
        };
        self.command_at = first.at().unwrap_or(self.command_at);
        if self.depth == 0 {
            self.steps = 0;
        }
        for word in words {
            let value = self.value(word, false);
            self.assign("_", value, Span::whole(0));
        }
        let rest = &words[1..];
        if self.functions.contains("command_not_found_handle") {
            self.positional(words);
        }
        if first.written().is_none() && self.calls_function(words) {
            self.call_function(rest);
        }
        self.command(words, CommandPlace::Shell);
    }

    fn call_function(&mut self, arguments: &[ShellWord]) {
        self.positional(arguments);
        if self.runs_arguments && !self.functions.contains("command_not_found_handle") {
            self.command_in_arguments(arguments);
        }
    }

    /// Checks the words of a command that stands at this place.
    pub fn command(&mut self, words: &[ShellWord], place: CommandPlace) {
        let Some(first) = words.first() else {
            return;
        };
        if !self.counts(first) {
            return;
        }
        if self.runs_own_arguments(words) {
            return;
        }
        let Some(all) = self.spellings(first, 0) else {
            return self.unknown_command(words, place);
        };
        for spelling in all {
            if spelling.is_empty() {
                self.command(&words[1..], place);
                continue;
            }
            let all: Vec<ShellWord> = spelling.into_iter().chain(words[1..].to_vec()).collect();
            self.spelled(&all, place);
        }
        // A variable that is not set yet leaves the next word as the command.
        if words.len() > 1 && can_be_split(first) {
            self.command(&words[1..], place);
        }
    }

    /// Counts the forms of a command: whether one more can be looked at.
    fn counts(&mut self, word: &ShellWord) -> bool {
        self.steps += 1;
        if self.steps > STEPS {
            let at = word.at().unwrap_or(self.command_at);
            let message = "this command has too many forms to be checked";
            self.refuse(at, message.into(), "write the commands out");
        }
        self.steps <= STEPS
    }

    fn spelled(&mut self, words: &[ShellWord], place: CommandPlace) {
        let Some(name) = words.first().and_then(ShellWord::written) else {
            return;
        };
        match place {
            CommandPlace::Shell => {
                if self.functions.contains(&name) {
                    self.call_function(&words[1..]);
                }
                self.known_command(&name, words, &words[1..]);
            }
            CommandPlace::Program => self.program(&name, &words[1..]),
        }
    }

    /// Whether something in the script is a result.
    pub fn is_unsafe_anywhere(&self) -> bool {
        !self.everything().is_safe()
    }

    pub fn any_unsafe(&self, words: &[ShellWord]) -> bool {
        words.iter().any(|word| !self.value(word, true).is_safe())
    }

    /// Whether a command of these words could get at a result.
    pub fn reaches(&self, words: &[ShellWord]) -> bool {
        self.gives(words) || (self.is_unsafe_anywhere() && !self.stdin.is_safe())
    }

    /// The same, but for its input.
    pub fn gives(&self, words: &[ShellWord]) -> bool {
        if !self.is_unsafe_anywhere() {
            return false;
        }
        let is_sharp = |part: &ShellPart| match &part.kind {
            PartKind::Text(text) | PartKind::AnsiC(text) => {
                text.contains(['$', '`']) || self.names_unsafe_variable(text)
            }
            _ => false,
        };
        let is_named = |word: &ShellWord| word.parts.iter().any(is_sharp);
        let given = self.exported || self.prefixed;
        given || self.any_unsafe(words) || words.iter().any(is_named)
    }

    fn names_unsafe_variable(&self, text: &str) -> bool {
        let mut words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        words.any(|name| is_name(name) && !self.variable(name).is_safe())
    }

    // The texts of a word.

    /// Every way in which the word can begin a command, as words; `None` if not all are
    /// known.
    pub fn spellings(&self, word: &ShellWord, depth: usize) -> Option<Vec<Vec<ShellWord>>> {
        if depth > DEPTH {
            return None;
        }
        if word.written().is_some() {
            return (!is_odd(word)).then(|| vec![vec![word.clone()]]);
        }
        if let Some(ShellPart {
            kind: PartKind::Parameter(parameter),
            quoted,
            at,
            ..
        }) = only_part(word)
        {
            return self.parameter_spellings(parameter, *quoted, *at, depth);
        }
        // A program in a directory: its name says what it is.
        let PartKind::Text(text) = &word.parts.last()?.kind else {
            return None;
        };
        let (_, name) = text.rsplit_once('/')?;
        let is_one = !can_be_split(word) || self.is_single(word);
        let is_safe = self.value(word, false).is_safe();
        let known = is_one && is_safe && !is_odd(word) && !name.is_empty();
        known.then(|| vec![vec![as_word(&format!("./{name}"), word.at())]])
    }

    fn parameter_spellings(
        &self,
        parameter: &ShellParameter,
        quoted: bool,
        at: Span,
        depth: usize,
    ) -> Option<Vec<Vec<ShellWord>>> {
        if parameter.length || parameter.indirect || parameter.name == "@" {
            return None;
        }
        if let Some(subscript) = &parameter.subscript {
            let is_list = subscript.written().as_deref() == Some("@") && quoted;
            let plain = is_list && parameter.operator.is_empty();
            return self.list_spelling(&parameter.name, depth).filter(|_| plain);
        }
        let mut texts = self.variable_texts(&parameter.name, depth);
        match parameter.operator.as_str() {
            "" => {}
            ":-" | "-" => {
                let default = parameter.operand.written()?;
                let is_set = self.variables.contains_key(&parameter.name);
                let mut known = match is_set {
                    true => texts?,
                    false => texts.unwrap_or_default(),
                };
                known.push(default);
                texts = Some(known);
            }
            _ => return None,
        }
        let split = |text: String| match quoted {
            true => Some(vec![as_word(&text, Some(at))]),
            false if self.odd_separator || text.contains(['*', '?', '[', '\\']) => None,
            // Which blanks split it is not followed.
            false if self.written.contains_key("IFS") && text.contains([' ', '\t', '\n']) => None,
            false => Some(
                text.split_ascii_whitespace()
                    .map(|t| as_word(t, Some(at)))
                    .collect(),
            ),
        };
        texts?.into_iter().map(split).collect()
    }

    /// The elements of an array that is set once.
    fn list_spelling(&self, name: &str, depth: usize) -> Option<Vec<Vec<ShellWord>>> {
        let Some(Some(words)) = self.written.get(name) else {
            return None;
        };
        let [word] = words.as_slice() else {
            return None;
        };
        let [
            ShellPart {
                kind: PartKind::Elements(elements),
                ..
            },
        ] = word.parts.as_slice()
        else {
            return None;
        };
        let is_key = |word: &ShellWord| word.beginning().starts_with('[');
        let odd = |word: &ShellWord| is_key(word) || is_odd(word) || can_be_split(word);
        if elements.iter().any(odd) {
            return None;
        }
        let Some((first, rest)) = elements.split_first() else {
            return Some(vec![Vec::new()]);
        };
        let all = self.spellings(first, depth + 1)?;
        let with_rest = |begin: Vec<ShellWord>| begin.into_iter().chain(rest.to_vec()).collect();
        Some(all.into_iter().map(with_rest).collect())
    }

    /// The texts that a variable can hold.
    pub fn variable_texts(&self, name: &str, depth: usize) -> Option<Vec<String>> {
        let Some(words) = self.written.get(name) else {
            // The shell that runs the script.
            let is_set = self.variables.contains_key(name);
            return (matches!(name, "SHELL" | "BASH") && !is_set).then(|| vec!["bash".into()]);
        };
        let mut texts = Vec::new();
        for word in words.as_ref()? {
            if let Some(text) = word.written() {
                if word.beginning().starts_with('~') {
                    return None;
                }
                texts.push(text);
                continue;
            }
            for spelling in self.spellings(&as_quoted(word), depth + 1)? {
                let [one] = spelling.as_slice() else {
                    return None;
                };
                texts.push(one.written()?);
            }
        }
        Some(texts)
    }

    /// Whether the word stays one word, as far as the author can tell.
    pub fn is_single(&self, word: &ShellWord) -> bool {
        let is_one = |part: &ShellPart| match &part.kind {
            _ if part.quoted => true,
            PartKind::Parameter(p) => {
                let known = self.variables.get(&p.name).copied();
                let texts = self.variable_texts(&p.name, 0).unwrap_or_default();
                let plain = p.operator.is_empty() && p.subscript.is_none() && !p.indirect;
                let splits = |t: &String| {
                    t.contains(|c: char| c.is_whitespace() || "*?[".contains(c))
                        || self.odd_separator
                };
                let is_text = !texts.is_empty() && !texts.iter().any(splits);
                let is_environment =
                    known.is_none() && !is_positional(word) && !is_set_by_shell(&p.name);
                p.length || plain && (is_environment || is_text || known == Some(Carried::NUMBER))
            }
            PartKind::Substitution(body) => self.output(body) == Carried::NUMBER,
            _ => true,
        };
        !has_list(word) && word.parts.iter().all(is_one)
    }

    /// The words with those lists and variables spelled out of which all is known.
    pub fn spelled_out(&self, words: &[ShellWord]) -> Vec<ShellWord> {
        let mut all = Vec::new();
        for word in words {
            let known = match word.written().is_none() {
                true => self.spellings(word, 0),
                false => None,
            };
            match known.as_deref() {
                Some([only]) => all.extend(only.iter().cloned()),
                _ => all.push(word.clone()),
            }
        }
        all
    }

    /// Whether a word that is not written out can be an option, of which a `-` comes first.
    pub fn can_be_option(&self, word: &ShellWord) -> bool {
        let is_path = |part: &ShellPart| matches!(&part.kind, PartKind::Text(t) if t.contains('/'));
        let begins = word.beginning();
        if is_marked(word) && begins.starts_with(MARKS[1]) {
            return true;
        }
        if word.written().is_some() || !begins.is_empty() || word.parts.iter().any(is_path) {
            return false;
        }
        match self.spellings(word, 0) {
            Some(all) => (all.iter().flatten()).any(|word| word.beginning().starts_with('-')),
            None => !self.is_environment(word) && self.value(word, true) != Carried::NUMBER,
        }
    }

    /// Whether it is a variable that the script never sets.
    fn is_environment(&self, word: &ShellWord) -> bool {
        only_part(word).is_some_and(|part| match &part.kind {
            PartKind::Parameter(p) => {
                !self.variables.contains_key(&p.name)
                    && !is_positional(word)
                    && !p.indirect
                    && !is_set_by_shell(&p.name)
            }
            _ => false,
        })
    }

    // Commands that are not known.

    fn unknown_command(&mut self, words: &[ShellWord], place: CommandPlace) {
        let first = &words[0];
        let at = first.at().unwrap_or(self.command_at);
        let value = self.value(first, true);
        if !value.is_safe() && !is_odd(first) && can_be_split(first) {
            return self.code_word(first, "the words of a command; quote it");
        }
        // What a program made of a result can be any command, also without that result.
        let is_hidden = value.origin == Origin::Made && self.reaches(&words[1..]);
        if !value.is_safe() && !is_odd(first) && !is_hidden {
            let message =
                "a result is the name of the command that runs here; it decides what is run";
            let help = "name the command, and pass the result as a word";
            return self.warn(at, message.into(), help);
        }
        if self.is_unsafe_anywhere() {
            let message = "the checker cannot see which command this is, and it can get a result";
            self.refuse(at, message.into(), "write the command out");
        }
        if can_be_split(first) && words.get(1).is_some_and(is_written_out) {
            self.command(&words[1..], place);
        }
    }

    /// Whether the command is the arguments of a function, which are looked at where it
    /// is called.
    fn runs_own_arguments(&mut self, words: &[ShellWord]) -> bool {
        let word = &words[0];
        if !is_positional(word) {
            return false;
        }
        self.mark(|c| &mut c.runs_arguments);
        if !is_whole_list(word) {
            self.mark(|c| &mut c.shifts);
        }
        let is_alone = only_part(word).is_some_and(|part| match &part.kind {
            PartKind::Parameter(p) => p.operator.is_empty() || p.operator == ":",
            _ => false,
        });
        let is_known = is_alone && !self.functions.is_empty() && !self.sets_arguments;
        let is_quoted = word.parts.iter().all(|p| p.quoted);
        if is_known && is_quoted && words.len() == 1 {
            return true;
        }
        let is_safe = self.value(word, true).is_safe();
        if !self.is_unsafe_anywhere() || (!is_quoted && !is_safe) {
            return false;
        }
        if !is_known || self.reaches(&words[1..]) {
            let at = word.at().unwrap_or(self.command_at);
            let message = "the checker cannot see which command these arguments are";
            let help = "write the command out, or run `\"$@\"` in a function and nothing after it";
            self.refuse(at, message.into(), help);
        }
        true
    }

    /// The arguments of a function that can run them as a command.
    pub fn command_in_arguments(&mut self, rest: &[ShellWord]) {
        let words = self.spelled_out(rest);
        for (n, word) in words.iter().enumerate() {
            let after = &words[n + 1..];
            if is_positional(word) && !self.sets_arguments {
                continue;
            }
            match self.spellings(word, 0) {
                Some(all) => {
                    for text in all.iter().flatten().filter_map(ShellWord::written) {
                        self.argument_as_command(&text, word, after);
                    }
                }
                None if n == 0 && !self.value(word, true).is_safe() => {
                    self.code_word(word, "the command that a function runs");
                }
                None if n == 0 || self.shifts => self.hidden_argument(word, after),
                None => {}
            }
        }
    }

    fn argument_as_command(&mut self, text: &str, word: &ShellWord, after: &[ShellWord]) {
        let whole = std::iter::once(text);
        // Without quotes in the function it is split.
        let split = text.split_ascii_whitespace();
        let mut forms = vec![whole.collect::<Vec<&str>>()];
        if text.contains([' ', '\t', '\n']) {
            forms.push(split.collect());
        }
        // The function can give it any input.
        let input = self.everything().made().or(self.stdin);
        let stdin = std::mem::replace(&mut self.stdin, input);
        for form in forms {
            let begin = form.iter().map(|t| as_word(t, word.at()));
            let all: Vec<ShellWord> = begin.chain(after.iter().cloned()).collect();
            // Of a function in it the arguments are looked at here too.
            if let Some(name) = all.first().and_then(ShellWord::written)
                && self.counts(word)
            {
                self.known_command(&name, &all, &all[1..]);
            }
        }
        self.stdin = stdin;
    }

    fn hidden_argument(&mut self, word: &ShellWord, after: &[ShellWord]) {
        let is_number = self.value(word, true) == Carried::NUMBER && self.is_single(word);
        if self.value(word, true).is_safe() && !is_number && self.reaches(after) {
            let at = word.at().unwrap_or(self.command_at);
            let message = "the checker cannot see which command the function runs here";
            self.refuse(
                at,
                message.into(),
                "write the command out where it is called",
            );
        }
    }

    pub fn positional(&mut self, words: &[ShellWord]) {
        for word in words {
            let value = self.value(word, true);
            self.assign("@", value, word.at().unwrap_or(Span::whole(0)));
        }
    }

    // The commands that are.

    fn known_command(&mut self, name: &str, words: &[ShellWord], rest: &[ShellWord]) {
        let has_places = WITH_PLACES.split_ascii_whitespace().any(|n| n == name);
        if has_places && self.hides_braces(name, rest) {
            return;
        }
        match name {
            "command" | "builtin" | "exec" | "jobs" => self.prefix(name, rest),
            "eval" => self.script(after_dashes(rest), "the words of `eval`"),
            "." | "source" => {
                let rest = after_dashes(rest);
                if let Some(file) = rest.first() {
                    self.sourced_file(file);
                }
                let arguments = rest.get(1..).unwrap_or_default();
                self.positional(arguments);
                self.arguments_of_script(arguments);
            }
            "trap" => self.trap(rest),
            "alias" | "unalias" if rest.is_empty() => {}
            "alias" | "compgen" | "complete" | "compopt" | "bind" | "enable" => {
                self.not_followed(name, words);
            }
            "hash" | "fc" | "history" => self.codes(rest, &format!("the words of `{name}`")),
            "let" => self.numbers(rest, "`let`"),
            "ulimit" if self.shell == ScriptShell::Any => {
                self.numbers(rest, "`ulimit`, whose number ksh evaluates");
            }
            "integer" | "float" | "nameref" | "global" if self.shell == ScriptShell::Any => {
                self.declare(name, rest);
            }
            "declare" | "typeset" | "local" | "export" | "readonly" => self.declare(name, rest),
            "unset" => self.unset(rest),
            "read" => self.read(rest),
            "mapfile" | "readarray" => self.mapfile(rest),
            "getopts" => self.getopts(rest),
            "wait" => self.wait(rest),
            "printf" => self.printf(rest),
            "[" | "test" => self.test_command(rest),
            "cd" | "pushd" | "popd" => self.change_directory(rest),
            "set" => self.set_command(rest),
            "shopt" => self.shopt(rest),
            "shift" => {
                self.mark(|c| &mut c.shifts);
                if self.shell == ScriptShell::Any {
                    self.numbers(rest, "`shift`, whose number ksh evaluates");
                }
            }
            "tee" if !self.stdin.is_safe() => self.tee(rest),
            _ => self.program(name, rest),
        }
    }

    /// Refuses what is never followed in a script with results.
    pub fn not_followed(&mut self, what: &str, words: &[ShellWord]) {
        if self.is_unsafe_anywhere() {
            let at = words.first().and_then(ShellWord::at);
            let message = format!(
                "the checker does not follow `{what}`, and results are used in this script"
            );
            let help = match what {
                "alias" | "expand_aliases" => "use a function",
                _ => "leave it out, or put it in a script of its own",
            };
            self.refuse(at.unwrap_or(self.command_at), message, help);
        }
    }

    /// Refuses braces that can become any words.
    pub fn hides_braces(&mut self, name: &str, words: &[ShellWord]) -> bool {
        let Some(word) = words.iter().find(|word| has_braces(word)) else {
            return false;
        };
        if self.is_unsafe_anywhere() {
            let at = word.at().unwrap_or(self.command_at);
            let message = format!("the checker does not follow braces in the words of `{name}`");
            self.refuse(at, message, "write the words out");
        }
        true
    }

    fn tee(&mut self, rest: &[ShellWord]) {
        for word in rest {
            if let Some(name) = word.written().filter(|n| !n.starts_with('-')) {
                self.insert(|c| &mut c.files, &name);
            } else if word.written().is_none() {
                self.insert(|c| &mut c.files, "${}");
            }
        }
    }

    pub fn codes(&mut self, words: &[ShellWord], what: &str) {
        words.iter().for_each(|word| self.code_word(word, what));
    }

    pub fn numbers(&mut self, words: &[ShellWord], what: &str) {
        words.iter().for_each(|word| self.number_word(word, what));
    }

    // Scripts in words.

    /// A script in words, of which all must be seen where results are used.
    pub fn script(&mut self, words: &[ShellWord], what: &str) {
        let mut seen = BTreeSet::new();
        let hidden = words
            .iter()
            .find_map(|word| self.hidden_in(word, &mut seen));
        if let Some(at) = hidden.filter(|_| self.is_unsafe_anywhere())
            && !self.any_unsafe(words)
        {
            let message = format!(
                "the checker cannot see what a command or file puts into {what}, and results are used in this script"
            );
            return self.refuse(at, message, HIDDEN_HELP);
        }
        if !self.prints_settings(words) {
            self.script_words(words, what);
        }
    }

    /// A script in words for another shell, as each that it can be reads it.
    pub fn script_for(&mut self, shell: ScriptShell, words: &[ShellWord], what: &str) {
        let before = (self.shell, self.portable);
        (self.shell, self.portable) = (shell, false);
        self.script(words, what);
        let gets_results = self.exported
            || self.prefixed
            || !self.variable("@").is_safe()
            || !self.variable("0").is_safe()
            || !self.stdin.is_safe();
        if shell != ScriptShell::Bash && gets_results {
            self.portable = true;
            self.script(words, what);
        }
        (self.shell, self.portable) = before;
    }

    /// Whether it is `"$(ssh-agent)"` or the like, which prints variables to be set.
    fn prints_settings(&self, words: &[ShellWord]) -> bool {
        let [word] = words else {
            return false;
        };
        let Some(PartKind::Substitution(body)) = only_part(word).map(|part| &part.kind) else {
            return false;
        };
        let name = match body.as_slice() {
            [ShellCommand::Simple { words, .. }] => words.first().and_then(ShellWord::written),
            _ => None,
        };
        self.is_inert(body) && name.is_some_and(|name| SETTINGS.contains(&name.as_str()))
    }

    /// Where something stands in the word of which the text is not known.
    fn hidden_in(&self, word: &ShellWord, seen: &mut BTreeSet<String>) -> Option<Span> {
        word.parts.iter().find_map(|part| match &part.kind {
            PartKind::Substitution(body) => (!self.is_inert(body)).then_some(part.at),
            PartKind::Process(_) => Some(part.at),
            PartKind::Parameter(p) if !p.length => self
                .is_hidden(&p.name, seen)
                .then_some(part.at)
                .or_else(|| self.hidden_in(&p.operand, seen)),
            _ => None,
        })
    }

    /// Whether something stands in the word of which the text is not known.
    pub fn is_hidden_word(&self, word: &ShellWord) -> bool {
        self.hidden_in(word, &mut BTreeSet::new()).is_some()
    }

    fn is_hidden(&self, name: &str, seen: &mut BTreeSet<String>) -> bool {
        if !seen.insert(name.to_string()) {
            return false;
        }
        match self.written.get(name) {
            Some(Some(words)) => words.iter().any(|w| self.hidden_in(w, seen).is_some()),
            _ => self.variable(name).sharp,
        }
    }

    /// Whether what the commands print holds no command: `mktemp`, `ssh-agent`.
    pub fn is_inert(&self, body: &[ShellCommand]) -> bool {
        if self.output(body) == Carried::NUMBER {
            return true;
        }
        let [
            ShellCommand::Simple {
                assignments, words, ..
            },
        ] = body
        else {
            return false;
        };
        let texts: Option<Vec<String>> = words.iter().map(ShellWord::written).collect();
        let Some(texts) = texts.filter(|_| assignments.is_empty()) else {
            return false;
        };
        let is_known = texts.first().is_some_and(|name| {
            let is_one = |list: &[&str]| list.contains(&name.as_str());
            (is_one(&INERT) || is_one(&SETTINGS)) && !self.functions.contains(name)
        });
        is_known
            && !texts
                .iter()
                .any(|t| t.contains(|c: char| ";&|$`()<>\n\\{}".contains(c)))
    }
}

/// Programs that print settings for the shell.
const SETTINGS: [&str; 7] = [
    "ssh-agent",
    "gpg-agent",
    "dircolors",
    "resize",
    "tset",
    "locale",
    "lesspipe",
];

/// Programs that print a name or a number.
const INERT: [&str; 9] = [
    "mktemp", "date", "hostname", "id", "whoami", "nproc", "uname", "tty", "pwd",
];

const HIDDEN_HELP: &str = "write the script out; in single quotes a variable is expanded when it runs: `trap 'rm -f \"$file\"' EXIT`";

/// The word as if it stood in double quotes, as in an assignment.
fn as_quoted(word: &ShellWord) -> ShellWord {
    let mut word = word.clone();
    word.parts.iter_mut().for_each(|part| part.quoted = true);
    word
}
