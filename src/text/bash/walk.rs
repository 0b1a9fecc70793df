//! Goes through the commands of a script: what they assign, read and print.
#![forbid(unsafe_code)]

use super::carried::{Carried, Origin};
use super::checker::ScriptChecker;
use super::reader::is_name;
use super::tree::{
    Body, PartKind, Redirection, ShellCommand, ShellParameter, ShellPart, ShellWord,
};
use super::words::base_name;
use crate::text::source::Span;
use std::rc::Rc;

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
                self.unknown_name(words);
                self.note_inputs(assignments, redirections);
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
                self.insert(|c| &mut c.arrays, name);
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
        let everything = self.everything().made();
        let stdin = std::mem::replace(&mut self.stdin, everything);
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
                PartKind::Substitution(body) => self.walk_body(body, self.stdin),
                PartKind::Process(body) => {
                    // With `>(…)` it reads what is written to it.
                    let input = self.everything().made().or(self.stdin);
                    self.walk_body(body, input);
                }
                PartKind::Arithmetic(text) => self.number_word(text, "arithmetic"),
                PartKind::Elements(words) => words.iter().for_each(|word| self.walk_word(word)),
                PartKind::Parameter(parameter) => self.parameter(parameter, part),
                PartKind::Text(_) | PartKind::AnsiC(_) | PartKind::Value(_) => {}
            }
        }
    }

    /// Goes through commands in a word, but not again while nothing changes: several places
    /// look at the same word.
    fn walk_body(&mut self, body: &Body, input: Carried) {
        let key = (Rc::as_ptr(body) as usize, input);
        if self.walked.insert(key) {
            let stdin = std::mem::replace(&mut self.stdin, input);
            self.walk(body);
            self.stdin = stdin;
        }
    }

    fn parameter(&mut self, parameter: &ShellParameter, part: &ShellPart) {
        if let Some(subscript) = &parameter.subscript
            && !parameter.has_subscript("@")
            && !parameter.has_subscript("*")
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
            let texts = self.variable_texts(&parameter.name, 0);
            let has_escape = |text: &String| text.contains('\\');
            let escapes = texts.is_none_or(|texts| texts.iter().any(has_escape));
            // One assignment gives it a result, another the code that uses one.
            let written = self.written.get(&parameter.name).and_then(Option::as_ref);
            let is_code = |word: &ShellWord| {
                let text = word.written().unwrap_or_default();
                text.contains(['$', '`', '\\'])
            };
            let holds_code = written.is_some_and(|words| words.iter().any(is_code));
            let hides = value.is_safe() && (value.unknown || escapes);
            let runs = value.dollar || holds_code || hides;
            if runs && !self.everything().is_safe() {
                let message =
                    "the checker cannot see what `${...@P}` runs, and results could be used in it";
                self.refuse(part.at, message.into(), "use `$(...)`");
            }
            self.number(value, part.at, "`${...@P}`", Some(&parameter.name));
        }
        if matches!(operator, "=" | ":=") {
            if parameter.subscript.is_some() {
                self.insert(|c| &mut c.arrays, &parameter.name);
            }
            let value = self.value(&parameter.operand, false);
            self.set_otherwise(&parameter.name);
            self.assign(&parameter.name, value, part.at);
        }
        if parameter.indirect && !parameter.is_keys() && !parameter.is_prefix() {
            self.indirection(parameter, part.at);
        }
    }

    /// `${!NAME}`: what the variable holds is a name, or one with a subscript.
    fn indirection(&mut self, parameter: &ShellParameter, at: Span) {
        const WHAT: &str = "the name of a variable in `${!...}`";
        let value = self.variable(&parameter.name);
        if !value.is_safe() {
            return self.code(value, at, WHAT);
        }
        let named = ShellParameter {
            name: parameter.name.clone(),
            ..ShellParameter::default()
        };
        let word = ShellWord {
            parts: vec![ShellPart {
                kind: PartKind::Parameter(Box::new(named)),
                quoted: true,
                at,
                secret: false,
            }],
        };
        if !value.wordy && !value.unknown {
            // A number is that of an argument.
            return;
        }
        let plain = parameter.subscript.is_none()
            && self.written.contains_key(&parameter.name)
            && !self.is_hidden_word(&word);
        let is_known = |text: &Option<String>| text.as_deref().is_some_and(is_plain_name);
        let known = plain && self.texts(&[word]).iter().all(is_known);
        if !known && !self.everything().is_safe() {
            let message = format!("the checker cannot see {WHAT}, and results could be used in it");
            self.refuse(at, message, "write the names out, or use `declare -A`");
        }
    }

    // Input and output.

    /// Goes through redirections; the standard input before them. What one command can
    /// read is all together, whatever descriptor it comes from.
    fn begin(&mut self, redirections: &[Redirection], words: &[ShellWord]) -> Carried {
        let before = self.stdin;
        let replaced = redirections.iter().any(Redirection::replaces_stdin);
        let mut input = match replaced {
            true => Carried::NUMBER,
            false => before,
        };
        for redirection in redirections {
            self.walk_word(&redirection.target);
            let at = redirection.target.at().unwrap_or(Span::whole(0));
            if let Some(variable) = &redirection.variable {
                self.set_otherwise(variable);
                self.assign(variable, Carried::NUMBER, at);
            }
            if redirection.is_input() {
                input = input.or(self.input_of(redirection));
            }
            if !redirection.is_input() || redirection.operator == "<>" {
                self.writes(&redirection.target, words);
            }
        }
        let takes = redirections.iter().any(Redirection::is_input);
        if takes && self.can_be_exec(words) {
            // From here on anything can be read, also by commands that stand before.
            self.mark(|c| &mut c.moved_input);
        }
        if self.moved_input {
            input = input.or(self.everything().made());
        }
        self.stdin = input;
        before
    }

    fn can_be_exec(&self, words: &[ShellWord]) -> bool {
        let is_exec = |text: &Option<String>| {
            text.as_deref()
                .is_none_or(|text| text == "x" || text.contains("exec"))
        };
        let Some(first) = words.first() else {
            return false;
        };
        match first.written().as_deref() {
            Some("command" | "builtin") => words.iter().any(|word| is_exec(&word.written())),
            Some(name) => name == "exec",
            None => self.texts(&words[..1]).iter().any(is_exec),
        }
    }

    /// What can be read through a redirection.
    fn input_of(&mut self, redirection: &Redirection) -> Carried {
        match redirection.operator.as_str() {
            "<" | "<>" => self.file(&redirection.target),
            "<<<" => self.value(&redirection.target, false),
            "<<" | "<<-" => match redirection.document.and_then(|n| self.documents.get(n)) {
                Some(body) => {
                    self.walk_word(body);
                    self.value(body, false)
                }
                None => Carried::NUMBER,
            },
            _ => self.everything().made(),
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
            return self.output_of(body);
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
        let is_any = words.is_empty() || self.calls_function(words) || self.can_be_exec(words);
        let is_unsafe = !written.is_safe()
            || (is_any && !self.everything().is_safe())
            || self.command_touches(words) != Origin::Safe;
        if is_unsafe {
            let name = key_of(target);
            if name != "/dev/null" && !name.starts_with("/dev/std") && !is_descriptor(&name) {
                self.insert(|c| &mut c.files, &name);
                let texts = self.texts(std::slice::from_ref(target));
                for text in texts.into_iter().flatten() {
                    self.insert(|c| &mut c.files, without_dots(&text));
                }
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
        if is_of_process(&name) {
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

    /// What `$(…)` gives, remembered as long as nothing changes.
    pub fn output_of(&self, body: &Body) -> Carried {
        let key = (Rc::as_ptr(body) as usize, self.stdin);
        if let Some((_, known)) = self.outputs.borrow().get(&key) {
            return *known;
        }
        let value = self.output(body);
        // It holds the commands, so that no others come to be at the same place.
        let kept = (body.clone(), value);
        self.outputs.borrow_mut().insert(key, kept);
        value
    }

    /// What commands print.
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
            _ => Carried {
                code: body.iter().any(|c| self.prints_command(c)),
                ..Carried::OUTPUT
            },
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
        match name.as_str() {
            "echo" => self.echoed(rest),
            "printf" => self.formatted(rest),
            _ => None,
        }
    }

    fn echoed(&self, words: &[ShellWord]) -> Option<Carried> {
        let mut words = words;
        if words.first().and_then(ShellWord::plain) == Some("-n") {
            words = &words[1..];
        } else if words
            .first()
            .is_some_and(|w| w.beginning().starts_with('-'))
        {
            return None;
        }
        let values = words.iter().map(|word| self.value(word, true));
        Some(values.fold(Carried::NUMBER, Carried::apart))
    }

    pub fn formatted(&self, words: &[ShellWord]) -> Option<Carried> {
        let (format, words) = words.split_first()?;
        let format = format.written()?;
        let plain = format.replace("\\n", "").replace("\\t", "");
        if format.starts_with('-') || plain.contains('\\') {
            return None;
        }
        let (text, texts) = without_conversions(&plain)?;
        if texts == 0 {
            // Only numbers.
            return Some(Carried::of_text(&text));
        }
        let values = words.iter().map(|word| self.value(word, true));
        let all = values.fold(Carried::of_text(&text), Carried::joined);
        let is_one = words.len() == 1 && text.is_empty() && words[0].parts.iter().all(|p| p.quoted);
        if !is_one && !all.is_safe() {
            return Some(all.made());
        }
        Some(Carried {
            glued: all.glued || (!is_one && !all.is_safe()),
            ..all
        })
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
                let to_nothing =
                    |r: &Redirection| r.target.written().as_deref() == Some("/dev/null");
                let prints_itself = |r: &Redirection| {
                    !matches!(r.operator.as_str(), "<" | "<<<" | "<<" | "<<-") && !to_nothing(r)
                };
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

    /// Whether the command prints the text of a command that arithmetic would run, as far
    /// as it is no program in another language.
    fn prints_command(&self, command: &ShellCommand) -> bool {
        match command {
            ShellCommand::Pipeline(all) | ShellCommand::Group(all, _) => {
                all.iter().any(|command| self.prints_command(command))
            }
            ShellCommand::Simple {
                words,
                redirections,
                ..
            } => {
                let name = words.first().and_then(ShellWord::written);
                let other = |name: &str| OTHER_LANGUAGES.iter().any(|o| name.ends_with(o));
                let body = |r: &Redirection| r.document.and_then(|n| self.documents.get(n));
                let read = redirections.iter().filter_map(body);
                // The program text of another language is none of the shell.
                let words = match name.is_some_and(|name| other(&name)) {
                    true => &[],
                    false => &words[..],
                };
                let given = words.iter().chain(redirections.iter().map(|r| &r.target));
                given.chain(read).any(|word| self.value(word, false).code)
            }
            ShellCommand::For { body, .. } | ShellCommand::Case { body, .. } => {
                body.iter().any(|command| self.prints_command(command))
            }
            _ => false,
        }
    }

    /// Whether a command that got no result prints a name, such as that of a file.
    pub fn prints_name(&self, body: &[ShellCommand]) -> bool {
        self.is_one_of(body, &NAME_PRINTERS)
    }

    /// Whether it prints settings that no result is in.
    pub fn gives_settings(&self, body: &[ShellCommand]) -> bool {
        self.output(body).is_safe() && self.is_one_of(body, &SETTINGS_PRINTERS)
    }

    fn is_one_of(&self, body: &[ShellCommand], names: &[&str]) -> bool {
        let [ShellCommand::Simple { words, .. }] = body else {
            return false;
        };
        let name = words.first().and_then(ShellWord::written);
        name.is_some_and(|name| names.contains(&name.as_str()) && !self.functions.contains(&name))
            && words.iter().all(|word| self.is_plain_word(word))
    }

    /// Whether a word holds no character of the shell's language, as far as the script
    /// decides: what comes from its surroundings is the author's concern.
    fn is_plain_word(&self, word: &ShellWord) -> bool {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./%+:-=@,".contains(c);
        word.parts.iter().all(|part| match &part.kind {
            PartKind::Text(text) => text.chars().all(is_plain),
            PartKind::Parameter(p) => {
                p.operator.is_empty() && !p.indirect && !self.variables.contains_key(&p.name)
            }
            _ => false,
        })
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
            // What bash says about an error holds the text.
            ShellCommand::Arithmetic(_, redirections) if !redirections.is_empty() => {
                self.everything().origin
            }
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
                PartKind::Process(body) | PartKind::Substitution(body) => {
                    self.output_of(body).origin
                }
                PartKind::Elements(words) => words
                    .iter()
                    .map(|w| self.word_touches(w))
                    .max()
                    .unwrap_or_default(),
                _ => self.part_value(part, false, false).origin,
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
        let is_printer = name
            .as_deref()
            .is_some_and(|n| prints_all.contains(&base_name(n)));
        let prints_directory = name
            .as_deref()
            .is_some_and(|n| matches!(base_name(n), "pwd" | "dirs" | "realpath" | "readlink"));
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

/// Programs whose program text can look like that of a shell.
const OTHER_LANGUAGES: [&str; 12] = [
    "awk", "sed", "perl", "python", "python3", "ruby", "jq", "grep", "node", "php", "sh", "tr",
];

/// Programs that print a name or a date.
const NAME_PRINTERS: [&str; 13] = [
    "mktemp", "pwd", "date", "hostname", "whoami", "uname", "basename", "dirname", "realpath",
    "readlink", "nproc", "id", "tty",
];

/// Programs that print settings for a shell to run.
const SETTINGS_PRINTERS: [&str; 6] = ["ssh-agent", "dircolors", "resize", "tset", "locale", "opam"];

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
    without_dots(&key).to_string()
}

/// The path without `./` before it.
fn without_dots(path: &str) -> &str {
    let mut path = path;
    while let Some(rest) = path.strip_prefix("./") {
        path = rest.trim_start_matches('/');
    }
    path
}

/// Whether the file is what a process has open or was given.
fn is_of_process(name: &str) -> bool {
    let below = |start: &str| name.strip_prefix(start);
    if below("/dev/fd").is_some() || below("/dev/std").is_some() {
        return true;
    }
    // `/proc/uptime` and the like are of the system.
    let is_system = |rest: &str| {
        rest.starts_with(|c: char| c.is_ascii_lowercase())
            && !rest.starts_with("self")
            && !rest.starts_with("thread-self")
            && !rest.contains("..")
    };
    below("/proc").is_some_and(|rest| !rest.strip_prefix('/').is_some_and(is_system))
}

/// Whether the text is a name, also one with a number as its subscript.
fn is_plain_name(text: &str) -> bool {
    let (name, subscript) = match text.strip_suffix(']').and_then(|t| t.split_once('[')) {
        Some((name, subscript)) => (name, subscript),
        None => (text, "0"),
    };
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_digits(subscript) && (is_name(name) || is_digits(name))
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
        "nproc" => rest.is_empty() || rest == ["--all"],
        "id" => matches!(rest, ["-u" | "-g"]),
        "seq" => rest.iter().all(|w| w.parse::<i64>().is_ok()),
        "date" => is_date_number(rest),
        "stat" => is_size_number(rest),
        "tr" => {
            let digits = matches!(rest.last(), Some(&("0-9" | "[:digit:]" | "0123456789")));
            rest.len() == 2 && digits && matches!(rest[0], "-dc" | "-cd")
        }
        _ => false,
    }
}

/// The text of a format of `printf` without its conversions, and how many of these put in
/// a text; `None` with other ones than `%s` and those of a number.
fn without_conversions(format: &str) -> Option<(String, usize)> {
    let (mut text, mut texts) = (String::new(), 0);
    let mut rest = format;
    while let Some((before, conversion)) = rest.split_once('%') {
        text += before;
        let is_width = |c: char| c.is_ascii_digit() || c == '-';
        let conversion = conversion.trim_start_matches(is_width);
        match conversion.chars().next()? {
            's' => texts += 1,
            'd' | 'i' | 'u' | '%' => {}
            _ => return None,
        }
        rest = &conversion[1..];
    }
    Some((text + rest, texts))
}

/// Whether `date` with these words prints nothing but digits.
fn is_date_number(words: &[&str]) -> bool {
    let words = words.strip_prefix(&["-u"]).unwrap_or(words);
    let format = match words {
        [format] => format,
        ["-d" | "-r", _, format] => format,
        _ => return false,
    };
    let known = |c: char| "sNYmdHMSjuVGgyCUWw".contains(c);
    let parts = format.strip_prefix("+%").map(|rest| rest.split('%'));
    parts.is_some_and(|mut parts| parts.all(|part| part.len() == 1 && part.starts_with(known)))
}

/// Whether `stat` with these words prints nothing but digits.
fn is_size_number(words: &[&str]) -> bool {
    let formats = [
        "%s", "%X", "%Y", "%Z", "%W", "%u", "%g", "%h", "%b", "%B", "%i", "%a",
    ];
    match words {
        ["-c", format, "--", ..] => formats.contains(format),
        ["-c", format, file] => {
            let is_file =
                |w: &str| w != "\"" && !w.starts_with('-') && !w.contains(['*', '?', '[', '{']);
            formats.contains(format) && is_file(file)
        }
        _ => false,
    }
}
