//! The commands that read their words as code (SPEC §2.4).
#![forbid(unsafe_code)]

use super::carried::Carried;
use super::checker::{ScriptChecker, ScriptShell};
use super::reader::is_name;
use super::tree::{PartKind, ShellPart, ShellWord};
use crate::text::source::Span;

/// Programs that run the command in their words.
const WRAPPERS: [&str; 30] = [
    "env",
    "nice",
    "nohup",
    "timeout",
    "setsid",
    "stdbuf",
    "ionice",
    "chroot",
    "flock",
    "sudo",
    "doas",
    "su",
    "runuser",
    "strace",
    "ltrace",
    "xargs",
    "find",
    "parallel",
    "busybox",
    "toybox",
    "docker",
    "podman",
    "kubectl",
    "unshare",
    "nsenter",
    "systemd-run",
    "chrt",
    "taskset",
    "watch",
    "script",
];

/// Programs for which `-c` is no command.
const TAKES_C: [&str; 22] = [
    "grep", "egrep", "fgrep", "zgrep", "rg", "head", "tail", "cut", "stat", "ping", "tr", "uniq",
    "tar", "gzip", "sort", "wc", "df", "du", "cp", "echo", "curl", "git",
];

/// Programs that read a script in a shell's language.
pub fn is_shell(name: &str) -> bool {
    matches!(
        base_name(name),
        "sh" | "bash"
            | "dash"
            | "ksh"
            | "mksh"
            | "zsh"
            | "ash"
            | "rbash"
            | "hush"
            | "fish"
            | "csh"
            | "tcsh"
    )
}

fn base_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// Programs whose program text is in a word or on standard input.
fn is_interpreter(name: &str) -> bool {
    let name = base_name(name);
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    matches!(
        name,
        "sed"
            | "gsed"
            | "awk"
            | "gawk"
            | "mawk"
            | "nawk"
            | "original-awk"
            | "perl"
            | "python"
            | "pypy"
            | "ruby"
            | "node"
            | "nodejs"
            | "php"
            | "lua"
            | "tclsh"
            | "expect"
            | "ed"
            | "ex"
            | "vi"
            | "vim"
            | "dc"
            | "gdb"
            | "m"
    )
}

impl ScriptChecker<'_, '_> {
    /// Checks a simple command by its words.
    pub fn run(&mut self, words: &[ShellWord]) {
        let Some(first) = words.first() else {
            return;
        };
        self.command_at = first.at().unwrap_or(self.command_at);
        for word in words {
            let value = self.value(word, false);
            self.assign("_", value, Span::whole(0));
        }
        let rest = &words[1..];
        if self.functions.contains("command_not_found_handle") {
            self.positional(words);
        }
        if self.calls_function(words) {
            self.positional(rest);
            if self.runs_arguments && !self.functions.contains("command_not_found_handle") {
                self.command_in_arguments(rest);
            }
        }
        if self.has_braces(first) {
            let at = first.at().unwrap_or(Span::whole(0));
            if self.any_unsafe(words) {
                self.refuse(
                    at,
                    "the checker cannot see which command this is, and a result is in it".into(),
                    "write the command out",
                );
            }
            return;
        }
        let Some(name) = self.command_name(first) else {
            return self.unknown_command(words);
        };
        self.known_command(&name, words, rest);
    }

    fn has_braces(&self, word: &ShellWord) -> bool {
        let is_open =
            |p: &ShellPart| matches!(&p.kind, PartKind::Text(t) if !p.quoted && t.contains('{'));
        word.parts.iter().any(is_open) && word.plain() != Some("{")
    }

    fn any_unsafe(&self, words: &[ShellWord]) -> bool {
        words.iter().any(|word| !self.value(word, true).is_safe())
    }

    /// The name of the command, also where a variable holds it.
    fn command_name(&self, word: &ShellWord) -> Option<String> {
        word.written()
    }

    fn unknown_command(&mut self, words: &[ShellWord]) {
        if self.value(&words[0], true).is_safe() {
            let names: Option<Vec<String>> = self.texts(&words[..1]).into_iter().collect();
            let is_variable = |p: &ShellPart| {
                matches!(&p.kind, PartKind::Text(_))
                    || matches!(&p.kind, PartKind::Parameter(p) if matches!(self.written.get(&p.name), Some(Some(_))))
            };
            if let Some(names) = names
                && words[0].parts.iter().all(is_variable)
            {
                names
                    .iter()
                    .for_each(|text| self.named_command(text, words));
                return;
            }
        }
        let at = words[0].at().unwrap_or(Span::whole(0));
        let value = self.value(&words[0], true);
        if self.runs_own_arguments(&words[0]) {
            // Without arguments the next word is the command.
            return self.run(&words[1..]);
        }
        if !value.is_safe() && can_be_split(&words[0]) {
            return self.code_word(&words[0], "the words of a command; quote it");
        }
        if !value.is_safe() {
            let message =
                "a result is the name of the command that runs here; it decides what is run";
            self.warn(
                at,
                message.into(),
                "name the command, and pass the result as a word",
            );
        }
        let is_one = words.len() == 1 && !has_list(&words[0]) && !can_be_split(&words[0]);
        if is_one || self.everything().is_safe() {
            return;
        }
        let rest = &words[1..];
        if rest.iter().any(is_command_option) {
            self.shell("sh", rest);
        }
        self.tail("command", rest);
        if can_be_split(&words[0]) {
            // An empty variable leaves the next word as the command.
            self.run(rest);
        }
        let is_environment = matches!(
            words[0].parts.as_slice(),
            [ShellPart { kind: PartKind::Parameter(p), .. }]
                if p.operator.is_empty() && !p.indirect && p.subscript.is_none()
                    && is_name(&p.name) && !self.variables.contains_key(&p.name)
        );
        let begins_path = words[0]
            .parts
            .iter()
            .any(|p| matches!(&p.kind, PartKind::Text(t) if t.contains('/')));
        if value.is_safe() && !is_environment && !begins_path {
            self.refuse(
                at,
                "the checker cannot see which command this is, and a result is in its words".into(),
                "write the command out",
            );
        }
    }

    /// A command whose first words are the value of a variable.
    fn named_command(&mut self, text: &str, words: &[ShellWord]) {
        let at = words[0].at().unwrap_or(Span::whole(0));
        let part = |text: &str| ShellPart {
            kind: PartKind::Text(text.to_string()),
            quoted: true,
            at,
            secret: false,
        };
        let first = text.split_whitespace().map(|text| ShellWord {
            parts: vec![part(text)],
        });
        let all: Vec<ShellWord> = first.chain(words[1..].iter().cloned()).collect();
        if let Some(name) = all.first().and_then(ShellWord::written) {
            self.known_command(&name, &all, &all[1..]);
        }
    }

    /// Whether the command is the arguments of a function, which are looked at where it
    /// is called.
    fn runs_own_arguments(&mut self, word: &ShellWord) -> bool {
        let is_positional = |p: &ShellPart| match &p.kind {
            PartKind::Parameter(p) => {
                p.name.parse::<u32>().is_ok() || matches!(p.name.as_str(), "@" | "*")
            }
            _ => false,
        };
        if !word.parts.iter().any(is_positional) {
            return false;
        }
        self.mark(|c| &mut c.runs_arguments);
        let is_whole = has_list(word) && word.parts.iter().all(|p| p.quoted);
        is_whole && !self.functions.is_empty() && !self.sets_arguments
    }

    /// The arguments of a function that can run them as a command.
    fn command_in_arguments(&mut self, rest: &[ShellWord]) {
        if let Some(first) = rest.first() {
            self.code_word(first, "the command that a function runs");
        }
        for (n, word) in rest.iter().enumerate() {
            if let Some(name) = word.written() {
                self.known_command(&name, &rest[n..], &rest[n + 1..]);
            }
        }
    }

    fn positional(&mut self, words: &[ShellWord]) {
        for word in words {
            let value = self.value(word, true);
            self.assign("@", value, word.at().unwrap_or(Span::whole(0)));
        }
    }

    fn known_command(&mut self, name: &str, words: &[ShellWord], rest: &[ShellWord]) {
        match name {
            "command" | "builtin" | "exec" => self.prefix(name, rest),
            "jobs" => self.prefix(name, rest),
            "eval" => {
                let rest = after_dashes(rest);
                self.script_words(rest, "the words of `eval`");
            }
            "." | "source" => {
                if let Some(file) = rest.first() {
                    self.script_file(file, "source");
                }
                self.positional(rest.get(1..).unwrap_or_default());
            }
            "trap" => self.trap(rest),
            "alias" if !rest.is_empty() && !self.everything().is_safe() => {
                let at = self.command_at;
                self.codes(rest, "the words of `alias`");
                self.refuse(
                    at,
                    "the checker does not follow aliases".into(),
                    "use a function",
                );
            }
            "alias" | "compgen" | "complete" | "compopt" | "bind" | "enable" | "hash" | "fc"
            | "history" => {
                self.codes(rest, &format!("the words of `{name}`"));
            }
            "let" => self.numbers(rest, "`let`"),
            "shift" | "ulimit" if self.shell == ScriptShell::Any => {
                self.numbers(rest, &format!("`{name}`, whose number ksh evaluates"));
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
            "shopt" => {
                let aliases = |w: &ShellWord| w.written().as_deref() == Some("expand_aliases");
                if rest.iter().any(aliases) && !self.everything().is_safe() {
                    let at = words[0].at().unwrap_or(Span::whole(0));
                    self.refuse(
                        at,
                        "the checker does not follow aliases".into(),
                        "use a function",
                    );
                }
            }
            "tee" => {
                if !self.stdin.is_safe() {
                    self.tee(rest);
                }
            }
            _ => self.program(name, rest),
        }
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

    fn codes(&mut self, words: &[ShellWord], what: &str) {
        words.iter().for_each(|word| self.code_word(word, what));
    }

    fn numbers(&mut self, words: &[ShellWord], what: &str) {
        words.iter().for_each(|word| self.number_word(word, what));
    }

    /// `command`, `builtin` and `exec`, with their options.
    fn prefix(&mut self, name: &str, rest: &[ShellWord]) {
        let mut rest = rest;
        while let Some((word, more)) = rest.split_first() {
            let Some(option) = word.written() else {
                break;
            };
            if !option.starts_with('-') {
                break;
            }
            rest = more;
            if option == "--" {
                break;
            }
            if name == "exec" && option.ends_with('a') {
                rest = rest.get(1..).unwrap_or_default();
            }
            if name == "command" && option.contains(['v', 'V']) {
                return;
            }
        }
        if let Some(first) = rest.first() {
            match self.command_name(first) {
                Some(name) if !self.has_braces(first) => {
                    self.known_command(&name, rest, &rest[1..]);
                }
                _ => self.unknown_command(rest),
            }
        }
    }

    fn trap(&mut self, rest: &[ShellWord]) {
        let is_option = |w: &ShellWord| {
            w.written()
                .is_some_and(|w| matches!(w.as_str(), "-l" | "-p" | "-P"))
        };
        if rest.first().is_some_and(is_option) {
            return self.codes(rest, "the words of `trap`");
        }
        let rest = after_dashes(rest);
        self.codes(rest, "the words of `trap`");
        if let Some(action) = rest.first().filter(|_| rest.len() > 1) {
            let stdin = self.stdin;
            self.stdin = self.everything().or(Carried::OUTPUT);
            self.script_words(std::slice::from_ref(action), "the words of `trap`");
            self.stdin = stdin;
        }
    }

    /// Whether a word that is not written out can be an option, as far as can be told.
    fn can_be_option(&self, word: &ShellWord) -> bool {
        if self.everything().is_safe() || word.written().is_some() {
            return false;
        }
        let is_option =
            |text: &Option<String>| text.as_ref().is_none_or(|t| t.starts_with('-') || t == "x");
        self.texts(std::slice::from_ref(word)).iter().any(is_option)
    }

    /// The name in a word that assigns, such as `b[1]=x` for `declare`.
    fn declare(&mut self, name: &str, rest: &[ShellWord]) {
        let mut flags = match name {
            "integer" | "float" => "i".to_string(),
            "nameref" => "n".to_string(),
            _ => String::new(),
        };
        for word in rest {
            let text = word.beginning();
            if text.starts_with(['-', '+']) && word.written().is_some() {
                flags += &text;
                continue;
            }
            self.declared(name, &flags, word);
        }
        if (name == "export" || flags.contains('x')) && !flags.contains(['n', 'p']) {
            let unsafe_name = |w: &ShellWord| {
                let text = w.beginning();
                let name = text.split(['=', '+']).next().unwrap_or_default();
                !self.variable(name).is_safe() || !self.value(w, true).is_safe()
            };
            if rest.iter().any(unsafe_name) {
                self.mark(|c| &mut c.exported);
            }
        }
        if flags.contains('n') && name != "export" {
            self.mark(|c| &mut c.aliased);
        }
    }

    fn declared(&mut self, command: &str, flags: &str, word: &ShellWord) {
        let at = word.at().unwrap_or(Span::whole(0));
        if !matches!(command, "export") && word.beginning().is_empty() && self.can_be_option(word) {
            let message = format!("the checker cannot see the options of `{command}`");
            self.refuse(at, message, "write them out");
        }
        let (name, value) = split_assignment(word);
        let written = name.written();
        if let Some(subscript) = written.is_none().then_some(&name)
            && name.beginning().contains('[')
        {
            self.number_word(&after_bracket(subscript), "an array subscript");
        }
        let what = format!("the name for `{command}`");
        self.code_word(&name, &what);
        self.value_is_one_word(command, value.as_ref());
        let Some(written) = written else {
            let Some(value) = value else {
                return;
            };
            let value = self.value(&value, false);
            if flags.contains('i') {
                self.mark(|c| &mut c.all_integers);
            }
            self.assign_any(value);
            return;
        };
        let own = written.trim_end_matches('+');
        let base = own.split('[').next().unwrap_or_default().to_string();
        if own.contains('[') {
            self.number_word(&after_bracket(&name), "an array subscript");
        }
        if flags.contains('i') {
            self.insert(|c| &mut c.integers, &base);
        }
        if flags.contains(['a', 'A']) {
            self.insert(|c| &mut c.arrays, &base);
        }
        if flags.contains('n') && command != "export" {
            if let Some(value) = &value {
                self.code_word(value, "the name for `declare -n`");
            }
            self.mark(|c| &mut c.aliased);
        }
        let is_integer = flags.contains('i') || self.integers.contains(&base);
        if let Some(value) = value.as_ref().filter(|_| is_integer) {
            self.number_word(value, "the value of an integer variable");
        }
        if let Some(value) = value {
            self.prompt(&base, &value, at);
            self.declared_value(&base, &written, &value, at);
        }
    }

    /// Some shells split the value of `export x=$n` into words that assign too.
    fn value_is_one_word(&mut self, command: &str, value: Option<&ShellWord>) {
        let Some(value) = value.filter(|_| self.portable) else {
            return;
        };
        if can_be_split(value) && !self.value(value, true).is_safe() {
            self.code_word(value, &format!("the value for `{command}`; quote it"));
        }
    }

    fn declared_value(&mut self, base: &str, written: &str, word: &ShellWord, at: Span) {
        let value = self.value(word, false);
        let is_list = matches!(
            word.parts.as_slice(),
            [ShellPart {
                kind: PartKind::Elements(_),
                ..
            }]
        );
        if is_list {
            self.insert(|c| &mut c.arrays, base);
            self.list_elements(word);
        } else if self.arrays.contains(base) && value.is_safe() && !self.everything().is_safe() {
            for text in self.texts(std::slice::from_ref(word)) {
                match text {
                    Some(text) if text.contains('(') => {
                        self.script_text(&format!("{base}={text}"), at);
                    }
                    Some(_) => {}
                    None => self.code(Carried::MADE, at, "the value of an array for `declare`"),
                }
            }
        } else if self.arrays.contains(base) && !value.is_safe() {
            self.code_word(
                word,
                "the value of an array for `declare`, which reads a list in it",
            );
        }
        match written.ends_with('+') || is_list || written.contains('[') {
            true => {
                let all = self.variable(base).joined(value);
                self.set_otherwise(base);
                self.assign(base, all, at);
            }
            false => {
                self.set_to(base, word);
                self.assign(base, value, at);
            }
        }
    }

    fn unset(&mut self, rest: &[ShellWord]) {
        for word in rest {
            self.code_word(word, "the name for `unset`");
            if word.beginning().contains('[') {
                self.number_word(&after_bracket(word), "an array subscript");
            }
        }
    }

    /// A word that names a variable, which gets this value.
    fn name(&mut self, word: &ShellWord, value: Carried, command: &str) {
        let at = word.at().unwrap_or(Span::whole(0));
        self.code_word(word, &format!("the name for `{command}`"));
        if word.beginning().contains('[') {
            self.number_word(&after_bracket(word), "an array subscript");
        }
        match word.written() {
            Some(text) => {
                let base = text.split('[').next().unwrap_or_default().to_string();
                self.set_otherwise(&base);
                self.assign(&base, value, at);
            }
            None => self.assign_any(value),
        }
    }

    /// Options with a value are skipped with it; the words after them.
    fn operands<'w>(
        &mut self,
        words: &'w [ShellWord],
        with_value: &str,
        command: &str,
    ) -> Vec<&'w ShellWord> {
        let mut found = Vec::new();
        let mut words = words.iter();
        let mut options = true;
        while let Some(word) = words.next() {
            let text = word.beginning();
            if !options || !text.starts_with('-') || text == "-" {
                let is_value = word.written().is_none() && options;
                if is_value && text.is_empty() {
                    self.code_word(word, &format!("the options of `{command}`"));
                }
                options = false;
                found.push(word);
                continue;
            }
            if text == "--" {
                options = false;
            } else if let Some(at) = text[1..].find(|c| with_value.contains(c))
                && at + 2 == text.len()
                && word.written().is_some()
            {
                words.next();
            }
        }
        found
    }

    fn read(&mut self, rest: &[ShellWord]) {
        let value = match rest.iter().any(|w| w.beginning().starts_with("-u")) {
            true => self.everything().made().or(self.stdin),
            false => self.stdin,
        };
        for pair in rest.windows(2) {
            let text = pair[0].beginning();
            if text.starts_with('-') && text.ends_with('a') {
                self.name(&pair[1], value, "read");
                if let Some(name) = pair[1].written() {
                    self.insert(|c| &mut c.arrays, &name);
                }
            }
            if text.starts_with('-') && text.contains('u') {
                let everything = self.everything();
                self.assign("REPLY", everything.made(), Span::whole(0));
                if self.shell == ScriptShell::Any {
                    self.code_word(&pair[1], "`read -u`, which ksh can take for a name");
                }
            }
            // In ksh `-p` reads from the coprocess.
            let is_name = pair[1].written().is_some_and(|name| is_name(&name));
            if text.starts_with('-') && text.ends_with('p') && is_name {
                let input = self.everything().made();
                self.name(&pair[1], input, "read -p");
            }
        }
        let all: Vec<&ShellWord> = self.operands(rest, "adinNptu", "read");
        if all.is_empty() {
            self.assign("REPLY", value, Span::whole(0));
        }
        all.into_iter()
            .for_each(|word| self.name(word, value, "read"));
    }

    fn mapfile(&mut self, rest: &[ShellWord]) {
        let value = match rest.iter().any(|w| w.beginning().starts_with("-u")) {
            true => self.everything().made().or(self.stdin),
            false => self.stdin,
        };
        for pair in rest.windows(2) {
            if pair[0].beginning().starts_with("-C") {
                self.script_words(&pair[1..], "the words of `mapfile -C`");
                self.assign("@", value, Span::whole(0));
            }
        }
        for word in rest
            .iter()
            .filter(|w| w.beginning().len() > 2 && w.beginning().starts_with("-C"))
        {
            self.code_word(word, "the words of `mapfile -C`");
            self.code(
                self.everything(),
                word.at().unwrap_or(self.command_at),
                "the words of `mapfile -C`",
            );
        }
        let all = self.operands(rest, "dnOsuCc", "mapfile");
        if all.is_empty() {
            self.assign("MAPFILE", value, Span::whole(0));
        }
        for word in all {
            self.name(word, value, "mapfile");
            if let Some(name) = word.written() {
                self.insert(|c| &mut c.arrays, &name);
            }
        }
    }

    fn getopts(&mut self, rest: &[ShellWord]) {
        let given = rest.iter().skip(2).map(|word| self.value(word, true));
        let value = given.fold(self.variable("@"), Carried::or);
        self.assign("OPTARG", value, Span::whole(0));
        if let Some(name) = rest.get(1) {
            self.name(name, value, "getopts");
        }
    }

    fn wait(&mut self, rest: &[ShellWord]) {
        for pair in rest.windows(2) {
            if pair[0].beginning().starts_with("-") {
                self.name(&pair[1], Carried::NUMBER, "wait -p");
            }
        }
        for word in rest.iter().filter(|w| w.beginning().starts_with("-p")) {
            self.code_word(word, "the name for `wait -p`");
        }
    }

    fn printf(&mut self, rest: &[ShellWord]) {
        let Some(first) = rest.first() else {
            return;
        };
        let text = first.beginning();
        let hidden = text.is_empty() && first.parts.len() == 1 && self.can_be_option(first);
        if let Some(name) = rest.get(1).filter(|_| hidden) {
            self.code_word(name, "what can be the name for `printf -v`");
        }
        if text.starts_with("-v") {
            let printed = rest
                .iter()
                .skip(2)
                .fold(Carried::NUMBER, |all, w| all.joined(self.value(w, true)));
            let format = rest.get(2).and_then(ShellWord::written);
            let plain = format.is_some_and(|f| {
                let f = f
                    .replace("%s", "")
                    .replace("%d", "")
                    .replace("%%", "")
                    .replace("\\n", "");
                !f.contains(['%', '\\'])
            });
            let value = if plain { printed } else { printed.made() };
            match first.written().as_deref() {
                Some("-v") => {
                    if let Some(name) = rest.get(1) {
                        self.name(name, value, "printf -v");
                    }
                }
                _ => {
                    self.code_word(first, "the name for `printf -v`");
                    match first.written() {
                        Some(name) => {
                            self.set_otherwise(&name[2..]);
                            self.assign(&name[2..], value, Span::whole(0));
                        }
                        None => self.assign_any(value),
                    }
                }
            }
            if text == "-v" && rest.get(1).is_some_and(|w| w.beginning().contains('[')) {
                self.number_word(&after_bracket(&rest[1]), "an array subscript");
            }
            return;
        }
        let can_be_option = text.is_empty() || text.starts_with('-');
        if can_be_option && first.written().is_none() {
            self.number_word(first, "the first operand of `printf`");
        }
    }

    /// `[ … ]` and `test`: an operator in a word evaluates the next one.
    fn test_command(&mut self, rest: &[ShellWord]) {
        for (n, word) in rest.iter().enumerate() {
            let value = self.value(word, true);
            let before = n.checked_sub(1).and_then(|n| rest.get(n));
            let operator = before.and_then(ShellWord::written).unwrap_or_default();
            let unquoted = |p: &ShellPart| {
                !p.quoted && !matches!(p.kind, PartKind::Text(_) | PartKind::Arithmetic(_))
            };
            if !value.is_safe() && word.parts.iter().any(unquoted) {
                self.number_word(word, "an unquoted word of `[`");
            }
            if let Some(before) = before
                && before.written().is_none()
                && self.can_be_option(before)
                && !value.is_safe()
            {
                self.number_word(word, "`[`, where the word before it can be an operator");
            }
            if matches!(operator.as_str(), "-v" | "-R") {
                self.number_word(word, "`[ -v ]`");
            }
            let after_value = before.is_some_and(|w| !self.value(w, true).is_safe());
            if !value.is_safe() && after_value {
                self.number_word(word, "`[`, where the word before it can be an operator");
            }
            let own = word.written().unwrap_or_default();
            let compares = matches!(own.as_str(), "-eq" | "-ne" | "-lt" | "-le" | "-gt" | "-ge");
            if self.shell == ScriptShell::Any && (compares || self.can_be_option(word)) {
                let next = rest.get(n + 1);
                for operand in before.into_iter().chain(next) {
                    self.compared(operand);
                }
            }
        }
    }

    /// A word beside what can be `-gt` and the like.
    fn compared(&mut self, operand: &ShellWord) {
        if !self.value(operand, true).is_safe() {
            let what = "the numeric tests of `[`, which some shells evaluate";
            self.number_word(operand, what);
        }
    }

    fn change_directory(&mut self, rest: &[ShellWord]) {
        for word in rest {
            let value = self.value(word, true);
            self.assign("PWD", value, Span::whole(0));
            self.assign("OLDPWD", value, Span::whole(0));
        }
    }

    fn set_command(&mut self, rest: &[ShellWord]) {
        let mut options = true;
        for (n, word) in rest.iter().enumerate() {
            let text = word.beginning();
            if !options {
                self.set_argument(word);
                continue;
            }
            match word.written().as_deref() {
                Some("--" | "-") => options = false,
                Some(flags) if flags.starts_with(['-', '+']) => {
                    let named = rest
                        .get(n + 1)
                        .and_then(ShellWord::written)
                        .unwrap_or_default();
                    if flags.contains(['k']) || named == "keyword" {
                        self.keyword(word);
                    }
                    if flags.contains('a') || named == "allexport" {
                        self.mark(|c| &mut c.exported);
                    }
                    if flags.contains('A') && self.shell == ScriptShell::Any {
                        return self.set_array(&rest[n + 1..]);
                    }
                }
                Some(_) if n > 0 && rest[n - 1].written().is_some_and(|f| f.ends_with('o')) => {}
                Some(_) => {
                    self.set_argument(word);
                    options = false;
                }
                None => {
                    if !text.is_empty() && !text.starts_with(['-', '+']) {
                        options = false;
                    } else {
                        self.code_word(word, "the options of `set`; write `set --` before it");
                    }
                    self.set_argument(word);
                }
            }
        }
    }

    /// `set -A NAME WORD …`
    fn set_array(&mut self, rest: &[ShellWord]) {
        if let Some((name, words)) = rest.split_first() {
            let values = words.iter().map(|word| self.value(word, true));
            let all = values.fold(Carried::NUMBER, Carried::or);
            self.name(name, all, "set -A");
        }
    }

    /// An argument that is set where the script stands: what a function is called with no
    /// longer says what `"$@"` runs.
    fn set_argument(&mut self, word: &ShellWord) {
        self.mark(|c| &mut c.sets_arguments);
        self.positional(std::slice::from_ref(word));
    }

    fn keyword(&mut self, word: &ShellWord) {
        if !self.everything().is_safe() {
            let at = word.at().unwrap_or(Span::whole(0));
            self.refuse(at, "the checker does not follow `set -k`".into(), "");
        }
    }

    // Programs.

    pub fn program(&mut self, name: &str, rest: &[ShellWord]) {
        let base = base_name(name).to_string();
        match base.as_str() {
            _ if is_shell(&base) => self.shell(&base, rest),
            "ssh" | "slogin" | "autossh" | "rsh" | "remsh" => self.ssh(&base, rest),
            "at" | "batch" | "crontab" => self.program_on_stdin(&base),
            "watch" => self.script_for(self.sh, rest, "the words of `watch`"),
            "parallel" => {
                self.codes(rest, "the words of `parallel`");
                self.program_on_stdin("parallel");
            }
            "env" => self.env(rest),
            "su" | "runuser" | "script" | "flock" | "sg" | "newgrp" => self.switch(&base, rest),
            "xargs" | "find" => self.replacing(&base, rest),
            _ if is_interpreter(&base) => self.interpreter(&base, rest),
            _ if WRAPPERS.contains(&base.as_str()) => self.tail(&base, rest),
            _ if TAKES_C.contains(&base.as_str()) => {}
            _ => self.shell_in_words(rest),
        }
    }

    /// A command in the words of another one, such as that of `timeout`.
    fn tail(&mut self, wrapper: &str, rest: &[ShellWord]) {
        self.no_split_words(wrapper, rest);
        let sh = self.sh;
        match wrapper {
            "busybox" | "toybox" => self.sh = ScriptShell::Posix,
            "docker" | "podman" | "kubectl" | "chroot" | "nsenter" => self.sh = ScriptShell::Any,
            _ => {}
        }
        self.commands_in(rest);
        self.sh = sh;
        if matches!(wrapper, "flock" | "su") {
            self.shell_in_words(rest);
        }
        if wrapper == "sudo"
            && rest
                .first()
                .and_then(ShellWord::written)
                .is_some_and(|w| matches!(w.as_str(), "-s" | "-i" | "--shell" | "--login"))
        {
            self.codes(&rest[1..], "the word that `sudo` gives to a shell");
        }
    }

    /// Every word that could be the command of those after it.
    fn commands_in(&mut self, rest: &[ShellWord]) {
        for (n, word) in rest.iter().enumerate() {
            let Some(name) = word.written() else {
                continue;
            };
            let base = base_name(&name).to_string();
            let is_code = is_shell(&base)
                || is_interpreter(&base)
                || WRAPPERS.contains(&base.as_str())
                || matches!(
                    base.as_str(),
                    "ssh" | "eval" | "at" | "batch" | "rsh" | "slogin"
                );
            if is_code {
                let after = &rest[n + 1..];
                self.program(&base, after);
            }
        }
    }

    /// Refuses what can become several words of a program that runs some of them.
    fn no_split_words(&mut self, name: &str, rest: &[ShellWord]) {
        for word in rest {
            if can_be_split(word) {
                self.code_word(word, &format!("the words of `{name}`; quote it"));
            }
        }
    }

    /// A shell with `-c` in the words of a program that is not known.
    fn shell_in_words(&mut self, rest: &[ShellWord]) {
        for (n, word) in rest.iter().enumerate() {
            let is_one = word.written().is_some_and(|name| is_shell(&name));
            let after = &rest[n + 1..];
            if is_one && after.iter().any(is_command_option) {
                self.shell("sh", after);
            }
        }
        let position = rest.iter().position(is_command_option);
        if let Some(position) = position
            && let Some(word) = rest.get(position + 1)
            && let Some(at) = word.at()
            && !self.value(word, true).is_safe()
        {
            let message = "a result after `-c` is parsed again by the program that gets it; it could run what the result says";
            self.warn(at, message.into(), "");
        }
    }

    fn shell(&mut self, name: &str, rest: &[ShellWord]) {
        let mut n = 0;
        let mut has_script = false;
        while let Some(word) = rest.get(n) {
            let text = word.beginning();
            if !text.starts_with(['-', '+']) || text == "-" {
                if !has_script {
                    self.script_file(word, name);
                }
                break;
            }
            self.code_word(word, &format!("the options of `{name}`"));
            n += 1;
            if text == "--" {
                break;
            }
            if text.starts_with('-') && !text.starts_with("--") && text.contains('c') {
                has_script = true;
            }
            if text.ends_with(['o', 'O']) && !text.starts_with("--")
                || matches!(text.as_str(), "--rcfile" | "--init-file")
            {
                n += 1;
            }
        }
        match rest.get(n) {
            Some(word) if has_script => {
                self.positional(&rest[n + 1..]);
                let shell = ScriptShell::of_program(name, self.sh);
                let what = format!("the script of `{name} -c`");
                self.script_for(shell, std::slice::from_ref(word), &what);
            }
            Some(_) => {
                // With `-s` the words are parameters of what is on standard input.
                self.positional(&rest[n + 1..]);
                let reads = rest[..n].iter().any(|w| w.beginning().contains('s'));
                if reads {
                    self.program_on_stdin(name);
                }
            }
            None => self.program_on_stdin(name),
        }
    }

    /// A script in words for another shell, as each that it can be reads it.
    fn script_for(&mut self, shell: ScriptShell, words: &[ShellWord], what: &str) {
        let before = (self.shell, self.portable);
        (self.shell, self.portable) = (shell, false);
        self.script_words(words, what);
        let gets_results = self.exported || !self.variable("@").is_safe() || !self.stdin.is_safe();
        if shell != ScriptShell::Bash && gets_results {
            self.portable = true;
            self.script_words(words, what);
        }
        (self.shell, self.portable) = before;
    }

    /// A file that is read as a script.
    fn script_file(&mut self, file: &ShellWord, name: &str) {
        let what = format!("the file of `{name}`");
        self.code_word(file, &what);
        let at = file.at().unwrap_or(Span::whole(0));
        for part in &file.parts {
            if let PartKind::Process(body) = &part.kind {
                let value = self.output(body).or(self.everything());
                self.code(value, at, &what);
            }
        }
        if self.is_own_file(file) {
            self.code(Carried::MADE, at, &what);
        }
        let path = file.beginning();
        if path.starts_with("/dev/") || path.starts_with("/proc/") {
            self.program_on_stdin(name);
        }
    }

    /// A program that reads its script from standard input.
    fn program_on_stdin(&mut self, name: &str) {
        let sees_results = self.exported && !self.everything().is_safe();
        if !self.stdin.is_safe() || sees_results {
            let message = format!("a result is in what `{name}` reads as its program");
            let at = self.input_place();
            self.refuse(at, message, CODE_INPUT);
        }
    }

    fn ssh(&mut self, name: &str, rest: &[ShellWord]) {
        const WITH_VALUE: &str = "BbcDEeFIiJLlmOopQRSWw";
        let mut n = 0;
        while let Some(word) = rest.get(n) {
            let text = word.beginning();
            if !text.starts_with('-') {
                break;
            }
            self.code_word(word, &format!("the options of `{name}`"));
            n += 1;
            if text == "--" {
                break;
            }
            if text.len() == 2 && text.ends_with(|c| WITH_VALUE.contains(c)) {
                if let Some(value) = rest.get(n).filter(|_| text == "-o") {
                    self.code_word(value, &format!("the options of `{name}`"));
                }
                n += 1;
            }
        }
        let after = rest.get(n + 1..).unwrap_or_default();
        match after.is_empty() {
            true => self.program_on_stdin(name),
            false => self.script_words(after, "the words after the host of `ssh`"),
        }
    }

    fn env(&mut self, rest: &[ShellWord]) {
        for (n, word) in rest.iter().enumerate() {
            let text = word.beginning();
            self.no_split_words("env", std::slice::from_ref(word));
            if text.starts_with("-S") || text.starts_with("--split-string") {
                self.codes(&rest[n..], "the words of `env -S`");
            } else if text.starts_with('-') {
                continue;
            } else if text.contains('=') {
                let (name, value) = split_assignment(word);
                self.code_word(&name, "the name of a variable for `env`");
                if let (Some(name), Some(value)) = (name.written(), value) {
                    let value = self.value(&value, true);
                    self.assign(&name, value, word.at().unwrap_or(Span::whole(0)));
                    if !value.is_safe() {
                        self.mark(|c| &mut c.exported);
                    }
                }
            } else if word.written().is_none() && !self.value(word, true).is_safe() {
                self.code_word(word, "the words of `env` before the command");
            } else {
                if let Some(name) = word.written() {
                    self.program(&name, &rest[n + 1..]);
                }
                return;
            }
        }
    }

    /// `su` and others that give the word after `-c` to a shell.
    fn switch(&mut self, name: &str, rest: &[ShellWord]) {
        for (n, word) in rest.iter().enumerate() {
            let text = word.beginning();
            let is_c =
                is_command_option(word) || text == "--command" || text == "--session-command";
            if is_c && let Some(script) = rest.get(n + 1) {
                let what = format!("the word after `{name} -c`");
                self.script_for(ScriptShell::Any, std::slice::from_ref(script), &what);
            } else if text.starts_with("--command=")
                || text.starts_with("-c")
                || text.starts_with("--session-command=")
            {
                self.code_word(word, &format!("the word after `{name} -c`"));
            }
        }
        if !rest.iter().any(is_command_option) && matches!(name, "su" | "runuser") {
            self.program_on_stdin(name);
        }
        self.tail(name, rest);
    }

    /// `xargs` and `find`, which put what they read into the words of a command.
    fn replacing(&mut self, name: &str, rest: &[ShellWord]) {
        self.no_split_words(name, rest);
        let input = match name {
            "xargs" => self.stdin,
            _ => Carried::NUMBER,
        };
        let found = rest
            .iter()
            .fold(input, |all, w| all.or(self.value(w, true)));
        let names: Vec<Option<String>> = rest.iter().map(ShellWord::written).collect();
        let is_code = |name: &String| {
            is_shell(name)
                || is_interpreter(name)
                || matches!(
                    base_name(name),
                    "ssh" | "su" | "sudo" | "eval" | "env" | "timeout"
                )
        };
        let code = names
            .iter()
            .position(|name| name.as_ref().is_some_and(is_code));
        if let Some(code) = code
            && !found.is_safe()
            && let Some(at) = rest[code].at()
        {
            let replaced = names.iter().zip(rest).any(|(name, w)| {
                name.as_deref().is_none_or(|n| n.contains("{}")) && !w.beginning().starts_with("{}")
                    || name.as_deref() == Some("{}") && !has_script_before(rest, w)
            });
            let custom = names.iter().flatten().any(|n| {
                (n.starts_with("-I") || n.starts_with("-J") || n.starts_with("--replace"))
                    && !n.ends_with("{}")
                    && n != "-I"
            }) || names
                .windows(2)
                .any(|w| w[0].as_deref() == Some("-I") && w[1].as_deref() != Some("{}"));
            let scripted = rest[code + 1..].iter().position(is_command_option);
            let complete = scripted.is_some_and(|n| rest.get(code + 1 + n + 1).is_some());
            if replaced || custom || !complete {
                let message = format!("`{name}` puts what comes from a result into a script");
                self.refuse(at, message, CODE_INPUT);
            }
            self.assign("@", found.made(), at);
        }
        if let Some(code) = code {
            let word = names[code].clone().unwrap_or_default();
            self.program(&word, &rest[code + 1..]);
        }
    }

    /// A program whose program text is its first operand, or after `-e` or `-c`.
    fn interpreter(&mut self, name: &str, rest: &[ShellWord]) {
        let base = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        let is_awk = base.ends_with("awk");
        let what = format!("the program text of `{name}`");
        let mut n = 0;
        let mut has_program = false;
        while let Some(word) = rest.get(n) {
            let text = word.beginning();
            if !text.starts_with('-') || text == "-" {
                break;
            }
            n += 1;
            if text == "--" {
                break;
            }
            if is_awk && (text.starts_with("-v") || text.starts_with("-F")) {
                n += usize::from(text.len() == 2 && word.written().is_some());
                continue;
            }
            self.code_word(word, &what);
            let long = text.starts_with("--");
            let letter = text.chars().last().unwrap_or('-');
            let takes_file = !long && letter == 'f' || text == "--file";
            let takes_code = match base {
                "sed" | "gsed" => (!long && text.contains('e')) || text == "--expression",
                "python" | "pypy" => !long && letter == 'c',
                "perl" | "ruby" => !long && matches!(letter, 'e' | 'E'),
                _ if is_awk => text == "-e" || text == "--source",
                _ => !long && matches!(letter, 'e' | 'r' | 'c' | 'p'),
            };
            if takes_code || takes_file {
                has_program = true;
                if letter == 'e' || letter == 'c' || letter == 'E' || takes_file || !long {
                    self.codes(rest.get(n..n + 1).unwrap_or_default(), &what);
                    n += 1;
                }
                if matches!(base, "python" | "pypy") {
                    return;
                }
            }
        }
        if has_program {
            return;
        }
        match rest.get(n) {
            Some(program) => {
                self.code_word(program, &what);
                if program.written().as_deref() == Some("-") {
                    self.program_on_stdin(name);
                }
            }
            None if !is_awk && !matches!(base, "sed" | "gsed") => self.program_on_stdin(name),
            None => {}
        }
        if matches!(base, "ed" | "ex" | "vi" | "vim" | "dc" | "gdb") {
            self.program_on_stdin(name);
        }
    }

    fn input_place(&self) -> Span {
        self.command_at
    }

    fn list_elements(&mut self, word: &ShellWord) {
        for part in &word.parts {
            if let PartKind::Elements(words) = &part.kind {
                words.iter().for_each(|word| self.element(word));
            }
        }
    }
}

/// What follows the first `[` of a word.
fn after_bracket(word: &ShellWord) -> ShellWord {
    let mut parts = word.parts.clone();
    if let Some(ShellPart {
        kind: PartKind::Text(text) | PartKind::AnsiC(text),
        ..
    }) = parts.first_mut()
        && let Some((_, after)) = text.split_once('[')
    {
        *text = after.to_string();
    }
    ShellWord { parts }
}

const CODE_INPUT: &str = "pass the result as a word: `bash -c '... \"$1\"' _ \"$n\"`";

/// Whether the shell can make several words of it.
fn can_be_split(word: &ShellWord) -> bool {
    word.parts.iter().any(|part| match &part.kind {
        PartKind::Parameter(_) | PartKind::Substitution(_) => !part.quoted,
        _ => false,
    }) || has_list(word)
}

/// Whether it is `"$@"` or the like.
fn has_list(word: &ShellWord) -> bool {
    word.parts.iter().any(|part| match &part.kind {
        PartKind::Parameter(parameter) => {
            parameter.name == "@"
                || (parameter.subscript.as_ref())
                    .is_some_and(|s| s.written().as_deref() == Some("@"))
        }
        _ => false,
    })
}

/// The words after a `--`.
fn after_dashes(words: &[ShellWord]) -> &[ShellWord] {
    match words.first().and_then(ShellWord::written).as_deref() {
        Some("--") => &words[1..],
        _ => words,
    }
}

/// Whether the word is an option such as `-c` or `-lc`.
fn is_command_option(word: &ShellWord) -> bool {
    (word.written()).is_some_and(|w| w.starts_with('-') && !w.starts_with("--") && w.contains('c'))
}

/// Whether a script after `-c` stands before this word.
fn has_script_before(words: &[ShellWord], word: &ShellWord) -> bool {
    let place = words.iter().position(|w| std::ptr::eq(w, word));
    let option = words.iter().position(is_command_option);
    matches!((option, place), (Some(option), Some(place)) if option + 1 < place)
}

/// The part of a word before its first `=`, and that after it.
pub fn split_assignment(word: &ShellWord) -> (ShellWord, Option<ShellWord>) {
    let (mut name, mut value) = (ShellWord::default(), None::<ShellWord>);
    for part in &word.parts {
        if let Some(value) = &mut value {
            value.parts.push(part.clone());
            continue;
        }
        let (PartKind::Text(text) | PartKind::AnsiC(text)) = &part.kind else {
            name.parts.push(part.clone());
            continue;
        };
        let Some((before, after)) = text.split_once('=') else {
            name.parts.push(part.clone());
            continue;
        };
        let piece = |text: &str| ShellPart {
            kind: PartKind::Text(text.to_string()),
            ..part.clone()
        };
        name.parts.push(piece(before));
        let mut rest = ShellWord::default();
        if !after.is_empty() {
            rest.parts.push(piece(after));
        }
        value = Some(rest);
    }
    (name, value)
}
