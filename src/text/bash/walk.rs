//! Goes through the commands of a script: what they assign, read and print.
#![forbid(unsafe_code)]

use super::carried::{Carried, Origin};
use super::checker::ScriptChecker;
use super::tree::{PartKind, Redirection, ShellCommand, ShellParameter, ShellPart, ShellWord};
use crate::text::source::Span;

impl ScriptChecker<'_, '_> {
    pub fn walk(&mut self, commands: &[ShellCommand]) {
        for command in commands {
            self.walk_command(command);
        }
    }

    fn walk_command(&mut self, command: &ShellCommand) {
        match command {
            ShellCommand::Simple {
                assignments,
                words,
                redirections,
            } => {
                assignments.iter().for_each(|a| self.assignment(a));
                words.iter().for_each(|word| self.walk_word(word));
                let stdin = self.begin(redirections, words);
                self.run(words);
                self.stdin = stdin;
            }
            ShellCommand::Pipeline(all) => {
                let stdin = self.stdin;
                for (n, command) in all.iter().enumerate() {
                    self.walk_command(command);
                    self.stdin = self.output(&all[n..=n]);
                }
                self.stdin = stdin;
            }
            ShellCommand::Group(body, redirections) => {
                let stdin = self.begin(redirections, &[]);
                self.walk(body);
                self.stdin = stdin;
            }
            ShellCommand::For {
                name,
                words,
                body,
                redirections,
            } => {
                let stdin = self.begin(redirections, &[]);
                if !self.stdin.is_safe() {
                    // `select` reads the answer.
                    self.assign("REPLY", self.stdin, Span::whole(0));
                }
                self.loop_variable(name, words.as_deref());
                self.walk(body);
                self.stdin = stdin;
            }
            ShellCommand::Case {
                word,
                patterns,
                body,
                redirections,
            } => {
                self.walk_word(word);
                patterns.iter().for_each(|word| self.walk_word(word));
                let stdin = self.begin(redirections, &[]);
                self.walk(body);
                self.stdin = stdin;
            }
            ShellCommand::Arithmetic(text, redirections) => {
                let stdin = self.begin(redirections, &[]);
                self.number_word(text, "arithmetic");
                self.stdin = stdin;
            }
            ShellCommand::Test(words, redirections) => {
                let stdin = self.begin(redirections, &[]);
                self.double_brackets(words);
                self.stdin = stdin;
            }
            ShellCommand::Function { name, body } => self.function(name, body),
            ShellCommand::Coproc { name, body } => {
                self.assign(name, Carried::NUMBER, Span::whole(0));
                let input = self.everything().made();
                let stdin = std::mem::replace(&mut self.stdin, input);
                self.walk_command(body);
                self.stdin = stdin;
            }
        }
    }

    fn function(&mut self, name: &ShellWord, body: &ShellCommand) {
        match name.written() {
            Some(name) => self.insert(|c| &mut c.functions, &name),
            None => self.code_word(name, "the name of a function"),
        }
        // It can be called with any input.
        let everything = self.everything();
        let stdin = std::mem::replace(&mut self.stdin, everything.or(Carried::OUTPUT));
        self.walk_command(body);
        self.stdin = stdin;
    }

    fn loop_variable(&mut self, name: &str, words: Option<&[ShellWord]>) {
        let Some(words) = words else {
            let value = self.variable("@");
            self.set_otherwise(name);
            return self.assign(name, value, Span::whole(0));
        };
        for word in words {
            self.walk_word(word);
            let value = self.value(word, true);
            let is_one = word.parts.iter().all(|part| part.quoted)
                || word
                    .plain()
                    .is_some_and(|text| !text.contains(['{', '*', '?', '[']));
            match is_one {
                true => self.set_to(name, word),
                false => self.set_otherwise(name),
            }
            self.assign(name, value, word.at().unwrap_or(Span::whole(0)));
        }
    }

    /// Goes through what a word expands.
    pub fn walk_word(&mut self, word: &ShellWord) {
        for part in &word.parts {
            match &part.kind {
                PartKind::Substitution(body) => {
                    let stdin = self.stdin;
                    self.walk(body);
                    self.stdin = stdin;
                }
                PartKind::Process(body) => {
                    // With `>(…)` it reads what is written to it.
                    let input = self.everything().made().or(self.stdin);
                    let stdin = std::mem::replace(&mut self.stdin, input);
                    self.walk(body);
                    self.stdin = stdin;
                }
                PartKind::Arithmetic(text) => self.number_word(text, "arithmetic"),
                PartKind::Elements(words) => words.iter().for_each(|word| self.walk_word(word)),
                PartKind::Parameter(parameter) => self.parameter(parameter, part),
                PartKind::Text(_) | PartKind::AnsiC(_) | PartKind::Value(_) => {}
            }
        }
    }

    fn parameter(&mut self, parameter: &ShellParameter, part: &ShellPart) {
        if let Some(subscript) = &parameter.subscript
            && !matches!(subscript.written().as_deref(), Some("@" | "*"))
        {
            self.number_word(subscript, "an array subscript");
        }
        let operator = parameter.operator.as_str();
        match operator {
            ":" => self.number_word(&parameter.operand, "the offset or length of `${...}`"),
            _ => self.walk_word(&parameter.operand),
        }
        if operator == "@P" {
            let value = self.variable(&parameter.name);
            self.number(value, part.at, "`${...@P}`", Some(&parameter.name));
        }
        if matches!(operator, "=" | ":=") {
            let value = self.value(&parameter.operand, false);
            self.set_otherwise(&parameter.name);
            self.assign(&parameter.name, value, part.at);
        }
        let is_list = parameter.subscript.is_some() || parameter.operator.starts_with(['*', '@']);
        if parameter.indirect && !is_list {
            let value = self.variable(&parameter.name);
            self.code(value, part.at, "the name of a variable in `${!...}`");
        }
    }

    // Input and output.

    /// Goes through redirections; the standard input before them.
    fn begin(&mut self, redirections: &[Redirection], words: &[ShellWord]) -> Carried {
        let before = self.stdin;
        for redirection in redirections {
            self.walk_word(&redirection.target);
            let at = redirection.target.at().unwrap_or(Span::whole(0));
            if let Some(variable) = &redirection.variable {
                self.set_otherwise(variable);
                self.assign(variable, Carried::NUMBER, at);
            }
            match redirection.operator.as_str() {
                "<" | "<>" => self.stdin = self.file(&redirection.target),
                "<&" => self.stdin = self.everything().made(),
                "<<<" => self.stdin = self.value(&redirection.target, false),
                "<<" | "<<-" => {
                    if let Some(body) = redirection.document.and_then(|n| self.documents.get(n)) {
                        self.walk_word(body);
                        self.stdin = self.value(body, false);
                    }
                }
                _ => self.writes(&redirection.target, words),
            }
        }
        let is_exec = words.first().and_then(|w| w.written()).as_deref() == Some("exec");
        match is_exec && !redirections.is_empty() {
            true => before.or(self.stdin).or(self.everything().made()),
            false => before,
        }
    }

    /// What is read from a file.
    fn file(&self, target: &ShellWord) -> Carried {
        if let [
            ShellPart {
                kind: PartKind::Process(body),
                ..
            },
        ] = target.parts.as_slice()
        {
            return self.output(body);
        }
        match self.is_own_file(target) || self.names_own_file(target) {
            true => self.everything().made(),
            false => Carried::OUTPUT,
        }
    }

    /// Notes that results are written to a file.
    fn writes(&mut self, target: &ShellWord, words: &[ShellWord]) {
        let written = words
            .iter()
            .fold(self.stdin, |all, w| all.or(self.value(w, false)));
        let unsafe_group = words.is_empty() && !self.everything().is_safe();
        if !written.is_safe() || unsafe_group || self.calls_function(words) {
            let name = key_of(target);
            if name != "/dev/null" && !name.starts_with("/dev/std") && !is_descriptor(&name) {
                self.insert(|c| &mut c.files, &name);
            }
        }
    }

    pub fn is_own_file(&self, target: &ShellWord) -> bool {
        let name = key_of(target);
        self.files.contains(&name) || (!self.files.is_empty() && name.contains("${"))
    }

    /// Whether a word names a file that the script writes results to.
    fn names_own_file(&self, word: &ShellWord) -> bool {
        let name = key_of(word);
        // What a descriptor gives is not followed.
        if ["/dev/fd", "/dev/stdin", "/proc/"]
            .iter()
            .any(|start| name.starts_with(start))
        {
            return !self.everything().is_safe();
        }
        self.files.iter().any(|file| name.contains(file.as_str()))
    }

    pub fn calls_function(&self, words: &[ShellWord]) -> bool {
        match words.first().map(ShellWord::written) {
            Some(Some(name)) => self.functions.contains(&name),
            Some(None) => !self.functions.is_empty(),
            None => false,
        }
    }

    /// What `$(…)` gives.
    pub fn output(&self, body: &[ShellCommand]) -> Carried {
        if let [only] = body {
            if self.prints_number(only) {
                return Carried::NUMBER;
            }
            if let Some(value) = self.printed(only) {
                return value;
            }
        }
        match body.iter().map(|c| self.touches(c)).max() {
            Some(Origin::Result | Origin::Made) => Carried::MADE,
            _ => Carried::OUTPUT,
        }
    }

    /// What `echo` or `printf` prints.
    fn printed(&self, command: &ShellCommand) -> Option<Carried> {
        let ShellCommand::Simple {
            assignments,
            words,
            redirections,
        } = command
        else {
            return None;
        };
        let (first, rest) = words.split_first()?;
        let name = first.written()?;
        if self.functions.contains(&name) || !assignments.is_empty() || !redirections.is_empty() {
            return None;
        }
        let mut words = rest;
        let mut all = Carried::NUMBER;
        match name.as_str() {
            "echo" => {
                if words
                    .first()
                    .and_then(ShellWord::plain)
                    .is_some_and(|w| w == "-n")
                {
                    words = &words[1..];
                } else if words
                    .first()
                    .is_some_and(|w| w.beginning().starts_with('-'))
                {
                    return None;
                }
            }
            "printf" => {
                let (format, rest) = words.split_first()?;
                let format = format.written()?;
                let plain = format.replace("\\n", "").replace("\\t", "");
                if format.starts_with('-') || plain.contains('\\') {
                    return None;
                }
                let conversions = plain.replace("%%", "").replace("%s", "").replace("%d", "");
                if conversions.contains('%') {
                    return None;
                }
                all = Carried::of_text(&plain.replace("%s", "").replace("%d", ""));
                words = rest;
            }
            _ => return None,
        }
        Some(
            words
                .iter()
                .fold(all, |all, word| all.joined(self.value(word, true))),
        )
    }

    /// Whether all that the command prints is a number.
    fn prints_number(&self, command: &ShellCommand) -> bool {
        match command {
            ShellCommand::Pipeline(all) => all.last().is_some_and(|last| self.prints_number(last)),
            ShellCommand::Simple {
                words,
                redirections,
                ..
            } => {
                let prints_itself =
                    |r: &Redirection| matches!(r.operator.as_str(), ">&" | "<&" | "&>");
                let texts: Option<Vec<String>> = words
                    .iter()
                    .map(|w| w.written().or_else(|| quoted_word(w)))
                    .collect();
                let Some(texts) = texts else {
                    return false;
                };
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                !redirections.iter().any(prints_itself)
                    && !texts
                        .first()
                        .is_some_and(|name| self.functions.contains(*name))
                    && is_counter(&texts)
            }
            _ => false,
        }
    }

    /// Where what a command works on comes from.
    fn touches(&self, command: &ShellCommand) -> Origin {
        let of_word = |word: &ShellWord| self.word_touches(word);
        let of_all = |words: &[ShellWord]| words.iter().map(of_word).max().unwrap_or_default();
        let of_redirections = |all: &[Redirection]| {
            all.iter()
                .map(|r| self.redirection_touches(r))
                .max()
                .unwrap_or_default()
        };
        let of_body = |body: &[ShellCommand]| {
            body.iter()
                .map(|c| self.touches(c))
                .max()
                .unwrap_or_default()
        };
        match command {
            ShellCommand::Simple {
                assignments,
                words,
                redirections,
            } => {
                let set = assignments.iter().map(|a| of_word(&a.value)).max();
                let found = of_all(words)
                    .max(of_redirections(redirections))
                    .max(set.unwrap_or_default());
                found.max(self.command_touches(words))
            }
            ShellCommand::Pipeline(body) => of_body(body),
            ShellCommand::Group(body, redirections) => {
                of_body(body).max(of_redirections(redirections))
            }
            ShellCommand::For {
                words,
                body,
                redirections,
                name,
            } => of_body(body)
                .max(of_redirections(redirections))
                .max(self.variable(name).origin)
                .max(of_all(words.as_deref().unwrap_or_default())),
            ShellCommand::Case {
                word,
                patterns,
                body,
                redirections,
            } => of_body(body)
                .max(of_redirections(redirections))
                .max(of_word(word))
                .max(of_all(patterns)),
            ShellCommand::Arithmetic(_, _) => Origin::Safe,
            ShellCommand::Test(words, _) => of_all(words),
            ShellCommand::Function { .. } | ShellCommand::Coproc { .. } => self.everything().origin,
        }
    }

    fn word_touches(&self, word: &ShellWord) -> Origin {
        // File names do not come from a result by themselves.
        let mut found = Origin::Safe;
        for part in &word.parts {
            let one = match &part.kind {
                PartKind::Text(_) | PartKind::AnsiC(_) => Origin::Safe,
                PartKind::Process(body) | PartKind::Substitution(body) => self.output(body).origin,
                PartKind::Elements(words) => words
                    .iter()
                    .map(|w| self.word_touches(w))
                    .max()
                    .unwrap_or_default(),
                _ => {
                    let parts = vec![part.clone()];
                    self.value(&ShellWord { parts }, false).origin
                }
            };
            found = found.max(one);
        }
        match self.names_own_file(word) {
            true => Origin::Made,
            false => found,
        }
    }

    fn redirection_touches(&self, redirection: &Redirection) -> Origin {
        if redirection.operator == "<&" {
            return self.everything().origin;
        }
        let body = redirection.document.and_then(|n| self.documents.get(n));
        let found = body.map_or(Origin::Safe, |body| self.word_touches(body));
        found.max(self.word_touches(&redirection.target))
    }

    fn command_touches(&self, words: &[ShellWord]) -> Origin {
        let everything = self.everything().origin;
        if words.is_empty() {
            return Origin::Safe;
        }
        let name = words[0].written();
        let prints_all = [
            "set", "env", "printenv", "declare", "typeset", "local", "export", "readonly",
            "compgen", "alias", "history", "jobs", "trap", "fc", "caller", "eval", "source", ".",
            "exec", "ps",
        ];
        let is_printer = name.as_deref().is_some_and(|n| prints_all.contains(&n));
        let prints_directory = name.as_deref().is_some_and(|n| matches!(n, "pwd" | "dirs"));
        if self.exported || is_printer || self.calls_function(words) || !self.stdin.is_safe() {
            return everything;
        }
        match prints_directory {
            true => self.variable("PWD").origin,
            false => Origin::Safe,
        }
    }

    /// `[[ … ]]`
    fn double_brackets(&mut self, words: &[ShellWord]) {
        for (n, word) in words.iter().enumerate() {
            self.walk_word(word);
            let operator = word.plain().unwrap_or_default();
            let next = words.get(n + 1);
            let before = n.checked_sub(1).and_then(|n| words.get(n));
            match operator {
                "-eq" | "-ne" | "-lt" | "-le" | "-gt" | "-ge" => {
                    for operand in before.into_iter().chain(next) {
                        self.number_word(operand, &format!("`[[ {operator} ]]`"));
                    }
                }
                "-v" | "-R" => {
                    if let Some(operand) = next {
                        self.number_word(operand, &format!("`[[ {operator} ]]`"));
                    }
                }
                "=~" => {
                    if let Some(operand) = before {
                        let value = self.value(operand, false);
                        self.assign("BASH_REMATCH", value, Span::whole(0));
                    }
                }
                _ => {}
            }
        }
    }
}

/// A word as a key: the same text names the same file.
fn key_of(word: &ShellWord) -> String {
    let mut key = String::new();
    for part in &word.parts {
        match &part.kind {
            PartKind::Text(text) | PartKind::AnsiC(text) => key += text,
            PartKind::Parameter(parameter) => key += &format!("${{{}}}", parameter.name),
            PartKind::Value(symbol) => key += &format!("@{symbol}@"),
            _ => key += "${}",
        }
    }
    key
}

fn is_descriptor(name: &str) -> bool {
    name == "-" || name.parse::<u32>().is_ok()
}

/// The text of a word whose variables are quoted, so that it stays one word.
fn quoted_word(word: &ShellWord) -> Option<String> {
    let one = |part: &ShellPart| part.quoted || matches!(part.kind, PartKind::Text(_));
    word.parts.iter().all(one).then(|| match word.beginning() {
        text if text.is_empty() => "\"".to_string(),
        text => text,
    })
}

/// Whether the words are a program that prints one number and nothing else.
fn is_counter(words: &[&str]) -> bool {
    let Some((name, rest)) = words.split_first() else {
        return false;
    };
    let has_value = |w: &&&str| **w == "\"";
    match *name {
        "wc" => {
            rest.len() == 1
                && matches!(
                    rest[0],
                    "-l" | "-c"
                        | "-w"
                        | "-m"
                        | "-L"
                        | "--lines"
                        | "--bytes"
                        | "--words"
                        | "--chars"
                )
        }
        "grep" => {
            let options: Vec<&&str> = rest.iter().take_while(|w| w.starts_with('-')).collect();
            let operands = &rest[options.len()..];
            let known =
                |w: &&str| w.starts_with('-') && w[1..].chars().all(|c| "civwxEFqsh".contains(c));
            let counts = options.iter().any(|w| w.contains('c'));
            // Operands after the first could be options, or several files.
            options.iter().all(|w| known(w) || **w == "--")
                && counts
                && (operands.len() == 1 || operands.len() == 2)
                && (operands.iter().filter(has_value).count() == 0
                    || options.last().is_some_and(|w| **w == "--"))
                && !operands[1..]
                    .iter()
                    .any(|w| w.contains(['*', '?', '[', '{']))
        }
        "tr" => {
            let digits = matches!(rest.last(), Some(&("0-9" | "[:digit:]" | "0123456789")));
            rest.len() == 2 && digits && matches!(rest[0], "-dc" | "-cd")
        }
        _ => false,
    }
}
