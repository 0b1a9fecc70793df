//! Scripts in words, such as those of `eval` and `trap` (SPEC §2.4).
#![forbid(unsafe_code)]

use super::checker::ScriptChecker;
use super::reader::{MARKS, ScriptReader};
use super::tree::{Body, PartKind, ShellCommand, ShellParameter, ShellWord};
use crate::text::source::Span;
use crate::text::template::Symbol;
use std::cell::RefCell;
use std::collections::BTreeSet;

/// How long a script can be that variables are put into.
const LONGEST: usize = 64 * 1024;

/// What stands for what is not known.
#[derive(Clone, Copy)]
struct Style {
    number: char,
    word: char,
}

const PLAIN: Style = Style {
    number: '0',
    word: 'x',
};

/// The reader knows these, so that no name is made of them.
const MARKED: Style = Style {
    number: MARKS[0],
    word: MARKS[1],
};

/// How words are rendered, and how much more there can be.
struct Rendering {
    style: Style,
    choice: usize,
    left: usize,
}

impl ScriptChecker<'_, '_> {
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
        for text in self.rendered_texts(words, MARKED) {
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

    /// What the words can be; `None` for what cannot be told. What is not known in them
    /// is `x`, a number `0`.
    pub fn texts(&self, words: &[ShellWord]) -> Vec<Option<String>> {
        self.rendered_texts(words, PLAIN)
    }

    fn rendered_texts(&self, words: &[ShellWord], style: Style) -> Vec<Option<String>> {
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
            let mut rendering = Rendering {
                style,
                choice,
                left: LONGEST,
            };
            let texts: Option<Vec<String>> = words
                .iter()
                .map(|word| self.rendered(word, &mut rendering, 0))
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

    fn rendered(
        &self,
        word: &ShellWord,
        rendering: &mut Rendering,
        depth: usize,
    ) -> Option<String> {
        if depth > 8 {
            return None;
        }
        let mut text = String::new();
        for part in &word.parts {
            let style = rendering.style;
            let before = text.len();
            match &part.kind {
                PartKind::Text(t) | PartKind::AnsiC(t) => text += t,
                PartKind::Value(_) | PartKind::Arithmetic(_) => text.push(style.number),
                PartKind::Substitution(body) => text.push(self.rendered_output(body, style)?),
                PartKind::Process(_) => text.push(style.word),
                PartKind::Elements(_) => return None,
                PartKind::Parameter(parameter) if parameter.length => text.push(style.number),
                PartKind::Parameter(parameter) => {
                    text += &self.rendered_parameter(parameter, rendering, depth)?;
                }
            }
            rendering.left = rendering.left.checked_sub(text.len() - before + 1)?;
        }
        Some(text)
    }

    /// What a program prints is one word, if it is one that prints a name.
    fn rendered_output(&self, body: &Body, style: Style) -> Option<char> {
        let value = self.output_of(body);
        match value.is_safe() && !value.unknown && !value.wordy {
            true => Some(style.number),
            // It is a command that is as good as none.
            false if self.gives_settings(body) => Some(':'),
            false if style.number == PLAIN.number || self.prints_name(body) => Some(style.word),
            false => None,
        }
    }

    fn rendered_parameter(
        &self,
        parameter: &ShellParameter,
        rendering: &mut Rendering,
        depth: usize,
    ) -> Option<String> {
        let style = rendering.style;
        if !parameter.operator.is_empty() || parameter.indirect || parameter.subscript.is_some() {
            return None;
        }
        if self.any.wordy || self.any.unknown {
            // Its name can be put together where it is set.
            return None;
        }
        let value = self.variable(&parameter.name);
        let is_known = !value.wordy && (!value.unknown || style.number == PLAIN.number);
        match self.written.get(&parameter.name) {
            Some(Some(words)) => {
                let word = words.get(rendering.choice.min(words.len().saturating_sub(1)))?;
                self.rendered(word, rendering, depth + 1)
            }
            None if matches!(parameter.name.as_str(), "@" | "*") => None,
            _ if !is_known => None,
            Some(None) if !value.unknown => Some(style.number.into()),
            None if is_number_variable(&parameter.name) => Some(style.number.into()),
            _ => Some(style.word.into()),
        }
    }

    /// A script that is written out in a word.
    pub fn script_text(&mut self, text: &str, at: Span) {
        let how = (self.shell, self.sh, self.portable);
        if !self.read.insert((text.to_string(), self.stdin, how)) {
            return;
        }
        // What is short costs time too.
        let cost = text.len() + 200;
        if self.depth > 8 || self.left < cost {
            return self.refuse(
                at,
                "these scripts are nested too deeply to be checked".into(),
                "",
            );
        }
        self.left -= cost;
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

    /// Refuses a command whose name is not known, in a script that is put together.
    pub fn unknown_name(&mut self, words: &[ShellWord]) {
        let runs_next = |word: &ShellWord| {
            let name = word.written().unwrap_or_default();
            matches!(name.as_str(), "command" | "builtin" | "exec")
        };
        let first = words.iter().find(|word| !runs_next(word));
        let is_unknown = |word: &ShellWord| word.beginning().contains(MARKS) && !is_path(word);
        if first.is_some_and(is_unknown) && self.has_data {
            let message =
                "the checker cannot see which command this is, and results could be used in it";
            self.refuse(self.command_at, message.into(), "write the command out");
        }
    }

    fn nested(&mut self, commands: &[ShellCommand], documents: Vec<ShellWord>, at: Span) {
        // The checker of the inner script shares all but the texts of here-documents.
        self.forget();
        let mut inner = ScriptChecker {
            outputs: RefCell::default(),
            walked: BTreeSet::new(),
            read: std::mem::take(&mut self.read),
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
            inputs: None,
            ..*self
        };
        inner.walk(commands);
        (self.any, self.aliased, self.all_integers) =
            (inner.any, inner.aliased, inner.all_integers);
        self.runs_arguments = inner.runs_arguments;
        self.sets_arguments = inner.sets_arguments;
        (self.shifts, self.steps) = (inner.shifts, inner.steps);
        (self.exported, self.odd_separator) = (inner.exported, inner.odd_separator);
        self.moved_input = inner.moved_input;
        (self.changed, self.guard) = (inner.changed, inner.guard);
        (self.read, self.left) = (inner.read, inner.left);
        self.variables = inner.variables;
        self.written = inner.written;
        self.functions = inner.functions;
        self.integers = inner.integers;
        self.arrays = inner.arrays;
        self.files = inner.files;
        self.findings = inner.findings;
    }
}

/// Whether the word goes on as a path, so that it is no command of the shell.
fn is_path(word: &ShellWord) -> bool {
    word.beginning().contains('/')
}

fn is_number_variable(name: &str) -> bool {
    matches!(
        name,
        "#" | "?" | "$" | "!" | "RANDOM" | "SECONDS" | "UID" | "EUID" | "PPID"
    )
}
