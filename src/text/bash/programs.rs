//! Programs that read their words or their input as code, or run a command in their
//! words (SPEC §2.4).
#![forbid(unsafe_code)]

use super::carried::Carried;
use super::checker::{ScriptChecker, ScriptShell};
use super::known_programs::{
    ALL_CODE, CONTAINER, Interpreter, ProgramOperand, SHELL, SSH, SU, TAKES_C, Wrapper, XARGS,
    interpreter, wrapper,
};
use super::options::{CommandOption, OptionKind, OptionList, read_options};
use super::places::CommandPlace;
use super::reader::is_name;
use super::tree::{PartKind, Redirection, ShellAssignment, ShellPart, ShellWord};
use super::words::{
    READ_BY_PROGRAM, as_word, base_name, can_be_split, has_braces, is_command_option, is_in,
    is_shell, split_assignment,
};
use crate::text::source::Span;

const CODE_INPUT: &str = "pass the result as a word: `bash -c '... \"$1\"' _ \"$n\"`";
const REMOTE_HELP: &str =
    "send the result as input: `ssh web1 'read -r n; ls -- \"$n\"' <<< \"$n\"`";

impl ScriptChecker<'_, '_> {
    /// Notes what the next command reads and is given.
    pub fn note_inputs(&mut self, assignments: &[ShellAssignment], redirections: &[Redirection]) {
        let gives = |a: &ShellAssignment| !self.value(&a.value, false).is_safe();
        self.prefixed = assignments.iter().any(gives);
        let is_input = |r: &&Redirection| r.operator.starts_with('<');
        let mut texts = Vec::new();
        for redirection in redirections.iter().filter(is_input) {
            match redirection.operator.as_str() {
                "<<<" => texts.push(redirection.target.clone()),
                "<<" | "<<-" => {
                    let body = redirection.document.and_then(|n| self.documents.get(n));
                    texts.extend(body.cloned());
                }
                _ => {
                    self.inputs = None;
                    return;
                }
            }
        }
        self.inputs = Some(texts).filter(|texts| !texts.is_empty());
    }

    pub fn program(&mut self, name: &str, rest: &[ShellWord]) {
        let base = base_name(name).to_string();
        let rest = &self.spelled_out(rest);
        match base.as_str() {
            _ if is_shell(&base) => self.shell(&base, rest),
            "ssh" | "slogin" | "autossh" | "rsh" | "remsh" => self.ssh(&base, rest),
            "at" | "batch" | "crontab" => {
                rest.iter().for_each(|word| self.program_file(word, &base));
                self.program_on_stdin(&base, false);
            }
            "watch" => self.watch(rest),
            "parallel" => {
                self.codes(rest, "the words of `parallel`");
                self.program_on_stdin("parallel", false);
            }
            "su" | "runuser" if base == "su" || !names_user(rest) => self.switch_user(&base, rest),
            "sg" | "newgrp" | "script" => self.shell_word(&base, rest),
            "xargs" => self.xargs(rest),
            "find" => self.find(rest),
            "docker" | "podman" | "nerdctl" => self.container(&base, rest),
            "kubectl" | "oc" => self.kubectl(&base, rest),
            _ if is_in(ALL_CODE, &base) => {
                rest.iter().for_each(|word| self.program_file(word, &base));
                self.program_on_stdin(&base, false);
            }
            _ => match (interpreter(&base), wrapper(&base)) {
                (Some(known), _) => self.interpreter(&base, known, rest),
                (None, Some(known)) => self.wrapper(&base, known, rest),
                (None, None) if is_in(TAKES_C, &base) => self.command_options(&base, rest),
                (None, None) => self.shell_in_words(rest),
            },
        }
    }

    /// Options of a program whose words are no code otherwise: `tar --to-command`.
    fn command_options(&mut self, name: &str, rest: &[ShellWord]) {
        let options = match name {
            "git" => "--exec --extcmd --upload-pack --receive-pack",
            "tar" => {
                "--to-command --checkpoint-action -I --use-compress-program -F --info-script \
                    --new-volume-script --rsh-command"
            }
            "sort" => "--compress-program",
            _ => return,
        };
        let what = format!("a command of `{name}`");
        for (n, word) in rest.iter().enumerate() {
            let text = word.beginning();
            let begin = text.split('=').next().unwrap_or_default();
            let is_one = options.split_ascii_whitespace().any(|option| {
                let is_short = option.len() == 2 && text.starts_with(option);
                is_short || begin.len() > 3 && option.starts_with(begin)
            });
            if is_one {
                self.code_word(word, &what);
            }
            let before = n.checked_sub(1).map(|n| rest[n].beginning());
            let next = &rest[n + 1..rest.len().min(n + 2)];
            match (before.as_deref(), text.as_str()) {
                (Some("submodule"), "foreach") | (Some("bisect"), "run") if name == "git" => {
                    self.codes(&rest[n + 1..], &what);
                }
                (_, "-c") if name == "git" && next.iter().any(is_git_code) => {
                    self.codes(next, &what);
                }
                _ if is_one && !text.contains('=') => self.codes(next, &what),
                _ => {}
            }
        }
    }

    // Options.

    /// Checks the values of options; whether one of them gave the program.
    fn option_values(&mut self, given: &[CommandOption], name: &str, what: &str) -> bool {
        let mut has_program = false;
        for option in given {
            let Some(value) = &option.value else {
                continue;
            };
            match option.kind {
                OptionKind::Program | OptionKind::LastProgram => {
                    self.code_word(value, what);
                    has_program = true;
                }
                OptionKind::Code | OptionKind::AttachedCode => self.code_word(value, what),
                OptionKind::File => {
                    self.program_file(value, name);
                    has_program |= !option.name.contains("rcfile") && option.name != "--init-file";
                }
                _ => self.single_value(value, name),
            }
        }
        has_program
    }

    /// A word that must not move the ones after it.
    fn single_value(&mut self, word: &ShellWord, name: &str) {
        if !can_be_split(word) || self.is_single(word) {
            return;
        }
        if !self.value(word, true).is_safe() {
            self.code_word(word, &format!("the words of `{name}`; quote it"));
        } else if self.is_unsafe_anywhere() {
            let at = word.at().unwrap_or(self.command_at);
            let message = format!("this can become several words of `{name}`");
            self.refuse(at, message, "quote it");
        }
    }

    /// Refuses a word that can be an option and give the words after it another meaning.
    fn hidden_option(&mut self, name: &str, list: &OptionList) {
        let Some((first, rest)) = list.rest.split_first() else {
            return;
        };
        if !list.ended && self.can_be_option(first) && self.gives(rest) {
            let at = first.at().unwrap_or(self.command_at);
            let message =
                format!("this can be an option of `{name}`, and a result could be code behind it");
            self.refuse(at, message, "write `--` before it");
        }
    }

    /// An option that is not known: what follows could be anything.
    fn unknown_option(&mut self, name: &str, words: &[ShellWord]) {
        if let Some(word) = words.first().filter(|_| self.reaches(words)) {
            let at = word.at().unwrap_or(self.command_at);
            let option = word.written().unwrap_or_else(|| "this".into());
            let message = format!(
                "the checker does not know the option `{option}` of `{name}`, and a result could be code behind it"
            );
            let help = "leave the option out, or write its value with it: `--option=value`";
            self.refuse(at, message, help);
        }
    }

    // Wrappers.

    fn wrapper(&mut self, name: &str, known: &Wrapper, rest: &[ShellWord]) {
        let list = read_options(known.options, rest);
        let what = format!("the words of `{name}`");
        let has_program = self.option_values(&list.given, name, &what);
        if list.unknown {
            return self.unknown_option(name, list.rest);
        }
        if has_program {
            return self.codes(list.rest, &what);
        }
        let mut words = list.rest;
        if matches!(name, "env" | "sudo" | "doas") {
            if words.first().and_then(ShellWord::written).as_deref() == Some("-") {
                words = &words[1..];
            }
            words = self.given_variables(name, words);
        }
        for _ in 0..known.operands {
            let Some((word, after)) = words.split_first() else {
                return;
            };
            self.single_value(word, name);
            words = after;
        }
        self.behind(name, &list, words);
    }

    /// The command behind the options and operands.
    fn behind(&mut self, name: &str, list: &OptionList, words: &[ShellWord]) {
        let option = words.first().and_then(ShellWord::written);
        if name == "flock" && matches!(option.as_deref(), Some("-c" | "--command")) {
            return self.script_for(ScriptShell::Any, &words[1..], "the word after `flock -c`");
        }
        if matches!(name, "sudo" | "doas") && list.has(&["s", "i", "--shell", "--login"]) {
            self.codes(words, &format!("the word that `{name}` gives to a shell"));
            if words.is_empty() {
                return self.program_on_stdin(name, false);
            }
        }
        if words.is_empty() && matches!(name, "chroot" | "unshare" | "nsenter") {
            return self.program_on_stdin(name, false);
        }
        let is_edit = list.has(&["e", "--edit", "l", "--list"]) && name == "sudo";
        if !is_edit {
            let sh = match name {
                "busybox" | "toybox" => ScriptShell::Posix,
                "chroot" | "nsenter" => ScriptShell::Any,
                _ => self.sh,
            };
            self.command_with(sh, words);
        }
    }

    /// A command for which `sh` is this shell.
    fn command_with(&mut self, sh: ScriptShell, words: &[ShellWord]) {
        let before = std::mem::replace(&mut self.sh, sh);
        self.command(words, CommandPlace::Program);
        self.sh = before;
    }

    /// `NAME=VALUE` before the command of `env`; the words after them.
    fn given_variables<'w>(&mut self, name: &str, words: &'w [ShellWord]) -> &'w [ShellWord] {
        for (n, word) in words.iter().enumerate() {
            if !word.beginning().contains('=') {
                return &words[n..];
            }
            self.given_variable(name, word);
        }
        &[]
    }

    fn given_variable(&mut self, command: &str, word: &ShellWord) {
        let (name, value) = split_assignment(word);
        self.single_value(word, command);
        self.code_word(&name, &format!("the name of a variable for `{command}`"));
        let (Some(name), Some(value)) = (name.written(), value) else {
            return;
        };
        let carried = self.value(&value, true);
        if is_name(&name) {
            self.set_to(&name, &value);
        }
        self.assign(&name, carried, word.at().unwrap_or(self.command_at));
        if !carried.is_safe() {
            self.mark(|c| &mut c.exported);
        }
    }

    fn container(&mut self, name: &str, rest: &[ShellWord]) {
        let is_run = |word: &ShellWord| {
            let text = word.written();
            text.is_some_and(|t| matches!(t.as_str(), "run" | "exec" | "create"))
        };
        let Some(position) = rest.iter().position(is_run) else {
            return self.hidden_command(name, rest);
        };
        let list = read_options(CONTAINER, &rest[position + 1..]);
        for option in &list.given {
            let variable = option
                .value
                .as_ref()
                .filter(|v| v.beginning().contains('='));
            match variable.filter(|_| matches!(option.name.as_str(), "e" | "--env")) {
                Some(word) => self.given_variable(name, word),
                None if option.name == "--entrypoint" => {
                    let words: Vec<ShellWord> = option.value.iter().cloned().collect();
                    let after = list.rest.get(1..).unwrap_or_default();
                    self.command_with(ScriptShell::Any, &[&words, after].concat());
                }
                None => option
                    .value
                    .iter()
                    .for_each(|word| self.single_value(word, name)),
            }
        }
        match list.rest.split_first() {
            _ if list.unknown => self.unknown_option(name, list.rest),
            Some((image, words)) => {
                self.single_value(image, name);
                self.command_with(ScriptShell::Any, words);
            }
            None => {}
        }
    }

    /// What a program runs if one of its words, which is not written out, says so.
    fn hidden_command(&mut self, name: &str, rest: &[ShellWord]) {
        let is_hidden = |word: &&ShellWord| word.written().is_none();
        let before = rest
            .iter()
            .take_while(|word| self.value(word, true).is_safe());
        if before.clone().any(|word| is_hidden(&word)) && self.gives(rest) {
            self.unknown_option(name, rest);
        }
        self.shell_in_words(rest);
    }

    fn kubectl(&mut self, name: &str, rest: &[ShellWord]) {
        let written =
            |text: &'static str| move |word: &ShellWord| word.written().as_deref() == Some(text);
        let runs = ["exec", "run", "rsh", "debug", "attach"];
        if !runs.iter().any(|name| rest.iter().any(written(name))) {
            return self.hidden_command(name, rest);
        }
        match rest.iter().position(written("--")) {
            Some(position) => self.command_with(ScriptShell::Any, &rest[position + 1..]),
            None => self.unknown_option(name, rest),
        }
    }

    /// `su`, which gives a word and all that follows to a shell.
    fn switch_user(&mut self, name: &str, rest: &[ShellWord]) {
        let what = format!("the word after `{name} -c`");
        let mut operands: Vec<&ShellWord> = Vec::new();
        let mut rest = rest;
        let mut has_script = false;
        loop {
            let list = read_options(SU, rest);
            if list.unknown {
                return self.unknown_option(name, list.rest);
            }
            for option in &list.given {
                match &option.value {
                    Some(word) if option.kind == OptionKind::Program => {
                        has_script = true;
                        self.script_for(ScriptShell::Any, std::slice::from_ref(word), &what);
                    }
                    Some(word) => self.single_value(word, name),
                    None => {}
                }
            }
            let Some((word, after)) = list.rest.split_first() else {
                break;
            };
            if word.written().as_deref() != Some("-") {
                operands.push(word);
            }
            rest = after;
        }
        let words: Vec<ShellWord> = operands.into_iter().skip(1).cloned().collect();
        if has_script {
            self.script_arguments(&words);
        } else {
            self.codes(&words, &format!("the words that `{name}` gives to a shell"));
            self.program_on_stdin(name, false);
        }
    }

    /// `sg`, `newgrp` and `script`, of which any word can be for a shell.
    fn shell_word(&mut self, name: &str, rest: &[ShellWord]) {
        let is_odd = |w: &ShellWord| {
            let text = w.beginning();
            w.written().is_none()
                || has_braces(w)
                || text.starts_with("--com") && text != "--command"
                || text.starts_with('-') && text.contains('c') && !text.ends_with('c')
        };
        if rest.iter().any(is_odd) && self.gives(rest) {
            return self.unknown_option(name, rest);
        }
        let is_script =
            |w: &ShellWord| is_command_option(w) || w.beginning().starts_with("--command");
        let position = rest.iter().position(is_script);
        let what = format!("the word after `{name} -c`");
        match position.map(|n| &rest[n..]) {
            Some([option, script, after @ ..]) if option.beginning().find('=').is_none() => {
                self.script_for(ScriptShell::Any, std::slice::from_ref(script), &what);
                if name != "script" {
                    self.codes(after, &what);
                }
            }
            Some(words) => self.codes(words, &what),
            None if name == "script" => self.program_on_stdin(name, false),
            None => {
                let words = rest.get(1..).unwrap_or_default();
                self.script_for(ScriptShell::Any, words, &what);
                self.program_on_stdin(name, false);
            }
        }
    }

    fn watch(&mut self, rest: &[ShellWord]) {
        let table = "b c C d? e f g p r t w x n: q: --beep --color --differences? --errexit \
            --chgexit --precise --no-title --no-wrap --exec --interval: --equexit:";
        let list = read_options(table, rest);
        match list.unknown {
            true => self.unknown_option("watch", list.rest),
            false => self.script_for(self.sh, list.rest, "the words of `watch`"),
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

    // Shells.

    /// A script for a shell that has commands of its own: `repeat` and `print -P` of `zsh`.
    fn other_language(&mut self, name: &str, script: &ShellWord, arguments: &[ShellWord]) {
        let base = base_name(name);
        let is_other = ["zsh", "rzsh", "fish", "csh", "tcsh"]
            .iter()
            .any(|other| base.starts_with(other));
        if is_other && (self.prefixed || self.reaches(arguments)) {
            let at = script.at().unwrap_or(self.command_at);
            let message = format!(
                "the checker does not know the commands of `{name}`, and a result could be code there"
            );
            self.refuse(at, message, "use `bash -c`");
        }
    }

    fn shell(&mut self, name: &str, rest: &[ShellWord]) {
        let mut rest = rest;
        let mut given = Vec::new();
        loop {
            let list = read_options(SHELL, rest);
            self.hidden_option(name, &list);
            given.extend(list.given);
            rest = list.rest;
            if list.unknown {
                return self.unknown_option(name, rest);
            }
            // `+x` switches off, `+o name` too.
            let Some(plus) = rest.first().and_then(ShellWord::written) else {
                break;
            };
            if !plus.starts_with('+') {
                break;
            }
            let takes = usize::from(plus.ends_with(['o', 'O']));
            rest = rest.get(1 + takes..).unwrap_or_default();
        }
        self.option_values(&given, name, &format!("the options of `{name}`"));
        let has = |letter: &str| given.iter().any(|o| o.name == letter);
        let (first, arguments) = match rest.split_first() {
            Some((first, arguments)) => (Some(first), arguments),
            None => (None, rest),
        };
        match first {
            Some(word) if has("c") => {
                self.other_language(name, word, arguments);
                if self.prefixed {
                    self.mark(|c| &mut c.exported);
                }
                self.script_arguments(arguments);
                let what = format!("the script of `{name} -c`");
                let shell = ScriptShell::of_program(name, self.sh);
                self.script_for(shell, std::slice::from_ref(word), &what);
            }
            Some(file) if !has("s") => {
                self.program_file(file, name);
                self.script_arguments(arguments);
                self.assign_name(file);
            }
            _ => {
                self.positional(rest);
                self.arguments_of_script(rest);
                let gets = self.any_unsafe(rest);
                self.program_on_stdin(name, gets);
            }
        }
    }

    /// The words after a script: the first one is `$0`.
    fn script_arguments(&mut self, words: &[ShellWord]) {
        if let Some((first, rest)) = words.split_first() {
            self.assign_name(first);
            let is_list = !self.is_single(first);
            self.positional(if is_list { words } else { rest });
            self.arguments_of_script(rest);
        }
    }

    fn assign_name(&mut self, word: &ShellWord) {
        let value = self.value(word, true);
        self.assign("0", value, word.at().unwrap_or(self.command_at));
    }

    /// What a script gets is like the arguments of a function.
    pub fn arguments_of_script(&mut self, words: &[ShellWord]) {
        if self.runs_arguments {
            self.command_in_arguments(words);
        }
    }

    /// A file that `source` reads.
    pub fn sourced_file(&mut self, file: &ShellWord) {
        self.file_of_code(file, "source", true);
    }

    /// A file that a program reads as its program.
    fn program_file(&mut self, file: &ShellWord, name: &str) {
        self.file_of_code(file, name, false);
    }

    fn file_of_code(&mut self, file: &ShellWord, name: &str, is_sourced: bool) {
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
        let mut path = file.beginning();
        if file.written().is_none() {
            // What the variables in it give.
            let texts = self.texts(std::slice::from_ref(file));
            let odd = |text: &&Option<String>| {
                text.as_ref()
                    .is_none_or(|t| t.contains("stdin") || t.contains("/fd/"))
            };
            let is_odd = self.is_hidden_word(file) || texts.iter().any(|text| odd(&text));
            if is_odd && !self.stdin.is_safe() {
                self.code(self.stdin, at, &what);
            }
        }
        if path.ends_with("/stdin") || path.starts_with("//") {
            path = "/dev/stdin".into();
        }
        if path.contains("/fd/") {
            // What a descriptor gives is not followed.
            self.code(self.everything(), at, &what);
        } else if path.starts_with("/dev/") || path.starts_with("/proc/") || path == "-" {
            self.program_on_stdin(name, is_sourced);
        }
    }

    /// A program that is read from standard input; `gets` says that it can get at
    /// results.
    fn program_on_stdin(&mut self, name: &str, gets: bool) {
        let at = self.command_at;
        if !self.stdin.is_safe() {
            let message = format!("a result is in what `{name}` reads as its program");
            return self.refuse(at, message, CODE_INPUT);
        }
        if !self.is_unsafe_anywhere() {
            return;
        }
        let sees = gets || self.exported || self.prefixed;
        match self.inputs.clone() {
            Some(words) if is_shell(name) || name == "source" => {
                for word in &words {
                    let what = format!("what `{name}` reads as its program");
                    let shell = match name {
                        "source" => self.shell,
                        _ => ScriptShell::of_program(name, self.sh),
                    };
                    self.script_for(shell, std::slice::from_ref(word), &what);
                }
            }
            Some(_) if interpreter(name).is_some() => {}
            _ if sees => {
                let message = format!(
                    "the checker cannot see what `{name}` reads as its program, and results are there for it"
                );
                self.refuse(at, message, CODE_INPUT);
            }
            _ => {}
        }
    }

    // On other hosts.

    fn ssh(&mut self, name: &str, rest: &[ShellWord]) {
        let what = format!("the options of `{name}`");
        let table = match name {
            "autossh" => SSH.replace("M ", "M: "),
            _ => SSH.to_string(),
        };
        let list = read_options(&table, rest);
        self.option_values(&list.given, name, &what);
        if list.unknown {
            return self.unknown_option(name, list.rest);
        }
        let reads = !list.has(&["n", "f"]);
        let Some((host, after)) = list.rest.split_first() else {
            return;
        };
        self.single_value(host, name);
        // Options can follow the host.
        let list = read_options(&table, after);
        self.option_values(&list.given, name, &what);
        match list.rest {
            words if list.unknown => self.unknown_option(name, words),
            [] => self.program_on_stdin(name, false),
            words => self.remote_script(words, reads && !list.has(&["n", "f"])),
        }
    }

    /// What the shell there runs; `reads` says that it gets the input of this one.
    fn remote_script(&mut self, words: &[ShellWord], reads: bool) {
        let what = "the words after the host of `ssh`";
        let unsafe_word = words.iter().find(|word| !self.value(word, true).is_safe());
        if let Some(word) = unsafe_word {
            let at = self.data_in(word).or(word.at()).unwrap_or(self.command_at);
            let message =
                format!("a result cannot be used in {what}; the shell there would read it as code");
            return self.refuse(at, message, REMOTE_HELP);
        }
        // The shell there has no variable of this one: only its input is a result.
        let gets = self.exported || self.prefixed || (reads && !self.stdin.is_safe());
        let texts = self.texts(words);
        if gets || texts.iter().all(Option::is_some) {
            self.script_words(words, what);
        }
    }

    // Programs that put what they read into words.

    fn xargs(&mut self, rest: &[ShellWord]) {
        let list = read_options(XARGS, rest);
        let mut input = self.stdin;
        let mut mark = None;
        for option in &list.given {
            let value = option.value.clone().unwrap_or_default();
            match option.name.as_str() {
                "I" => mark = value.written(),
                "i" | "--replace" => {
                    mark = value
                        .written()
                        .filter(|text| !text.is_empty())
                        .or(Some("{}".into()));
                }
                "a" | "--arg-file" => input = input.or(self.input_of_file(&value)),
                _ => self.single_value(&value, "xargs"),
            }
            let is_marked = matches!(option.name.as_str(), "I" | "i" | "--replace");
            if is_marked && mark.as_deref().is_none_or(str::is_empty) {
                return self.unknown_option("xargs", rest);
            }
        }
        if list.unknown {
            return self.unknown_option("xargs", list.rest);
        }
        // What it runs reads nothing, but for where the words come from a file.
        let stdin = self.stdin;
        if !list.has(&["a", "--arg-file", "o", "--open-tty"]) {
            self.stdin = Carried::OUTPUT;
        }
        self.with_input("xargs", list.rest, input, mark.as_deref());
        self.stdin = stdin;
    }

    fn input_of_file(&self, file: &ShellWord) -> Carried {
        let mut found = match self.is_own_file(file) {
            true => Carried::MADE,
            false => Carried::OUTPUT,
        };
        for part in &file.parts {
            if let PartKind::Process(body) = &part.kind {
                found = found.or(self.output(body));
            }
        }
        let path = file.beginning();
        match path.starts_with("/dev/") || path.starts_with("/proc/") {
            true => found.or(self.everything()),
            false => found,
        }
    }

    /// The command with what the program reads in its words: instead of the mark, or
    /// after them.
    fn with_input(&mut self, name: &str, words: &[ShellWord], input: Carried, mark: Option<&str>) {
        let at = words
            .first()
            .and_then(ShellWord::at)
            .unwrap_or(self.command_at);
        let read = match input.is_safe() {
            true => as_word("x", Some(at)),
            false => ShellWord {
                parts: vec![ShellPart {
                    kind: PartKind::Value(READ_BY_PROGRAM),
                    quoted: true,
                    at,
                    secret: false,
                }],
            },
        };
        let mut all: Vec<ShellWord> = Vec::new();
        for word in words {
            match mark {
                Some(mark) => all.push(replaced(word, mark, &read)),
                None => all.push(word.clone()),
            }
        }
        if mark.is_none() {
            all.push(read);
        }
        if words.is_empty() {
            return;
        }
        if let Some(word) = words
            .iter()
            .find(|w| can_be_split(w) && !self.value(w, true).is_safe())
        {
            self.code_word(word, &format!("the words of `{name}`; quote it"));
        }
        self.command(&all, CommandPlace::Program);
    }

    fn find(&mut self, rest: &[ShellWord]) {
        for (n, word) in rest.iter().enumerate() {
            self.single_value(word, "find");
            let is_operator = word.written().is_none() && self.can_be_option(word);
            let can_be_operator = self.value(word, true).is_safe() || is_expression(&rest[..n]);
            if has_braces(word) || is_operator && can_be_operator {
                self.unknown_option("find", rest);
            }
        }
        let runs = |word: &ShellWord| {
            let text = word.written();
            text.is_some_and(|t| matches!(t.as_str(), "-exec" | "-execdir" | "-ok" | "-okdir"))
        };
        // The names of files can be results where the script makes such files.
        let input = match self.is_unsafe_anywhere() {
            true => Carried::MADE,
            false => Carried::OUTPUT,
        };
        let mut rest = rest;
        while let Some(position) = rest.iter().position(runs) {
            let words = &rest[position + 1..];
            let ends = |word: &ShellWord| matches!(word.written().as_deref(), Some(";" | "+"));
            let end = words.iter().position(ends).unwrap_or(words.len());
            self.with_input("find", &words[..end], input, Some("{}"));
            rest = &words[end..];
        }
    }

    // Interpreters.

    /// A program whose text is its first operand, or after `-e` or `-c`.
    fn interpreter(&mut self, name: &str, known: &Interpreter, rest: &[ShellWord]) {
        let what = format!("the program text of `{name}`");
        let mut operands: Vec<&ShellWord> = Vec::new();
        let mut has_program = false;
        let rest_of_all = rest;
        let mut rest = rest;
        loop {
            let list = read_options(known.options, rest);
            if operands.is_empty() {
                self.hidden_option(name, &list);
            }
            has_program |= self.option_values(&list.given, name, &what);
            if list.unknown {
                return self.unknown_option(name, list.rest);
            }
            if list.given.iter().any(|o| o.kind == OptionKind::LastProgram) {
                if list.given.iter().any(runs_code) {
                    self.codes(list.rest, &what);
                }
                return;
            }
            let Some((word, after)) = list.rest.split_first() else {
                break;
            };
            operands.push(word);
            rest = after;
            if !known.permutes {
                break;
            }
        }
        if has_program && opens_pipes(name, rest_of_all) {
            // `<>` opens a pipe where the name of a file ends in `|`.
            for word in operands.iter().copied().chain(rest) {
                self.code_word(word, "the files of `perl`; give them as input: `< \"$f\"`");
            }
        }
        match operands.first() {
            _ if has_program => {}
            Some(word) if known.operand == ProgramOperand::Text => {
                self.single_value(word, name);
                self.code_word(word, &what);
            }
            Some(word) => self.program_file(word, name),
            None if known.operand == ProgramOperand::File => self.program_on_stdin(name, false),
            None => {}
        }
    }
}

/// Whether what follows these words of `find` is a test or action: no path, and no value
/// of the word before.
fn is_expression(before: &[ShellWord]) -> bool {
    let takes_none = [
        "-print",
        "-print0",
        "-ls",
        "-delete",
        "-prune",
        "-quit",
        "-depth",
        "-d",
        "-xdev",
        "-mount",
        "-daystart",
        "-follow",
        "-empty",
        "-true",
        "-false",
        "-nouser",
        "-nogroup",
        "-readable",
        "-writable",
        "-executable",
        "-not",
        "-o",
        "-or",
        "-a",
        "-and",
    ];
    let has_begun = |word: &ShellWord| {
        let text = word.beginning();
        text.starts_with('-') && !matches!(text.as_str(), "-L" | "-H" | "-P" | "--")
            || matches!(text.as_str(), "!" | "(" | ",")
    };
    let last = before.last().map(ShellWord::beginning).unwrap_or_default();
    before.iter().any(has_begun) && (!last.starts_with('-') || takes_none.contains(&last.as_str()))
}

/// Whether the setting of `git -c` holds a command.
fn is_git_code(word: &ShellWord) -> bool {
    let text = word.beginning().to_ascii_lowercase();
    let key = text.split_once('=').map(|(key, _)| key);
    let holds = [
        "alias.", "core.", "command", "cmd", "helper", "editor", "pager", "program", "textconv",
        "driver", "external", "tool", "filter", "hook",
    ];
    key.is_some_and(|key| holds.iter().any(|part| key.contains(part)))
}

/// Whether the words of the module are code: `python3 -m timeit`.
fn runs_code(option: &CommandOption) -> bool {
    let module = option.value.as_ref().map(ShellWord::written);
    option.name == "m"
        && module.is_some_and(|name| {
            name.is_none_or(|name| {
                matches!(
                    name.as_str(),
                    "timeit" | "pdb" | "trace" | "cProfile" | "profile" | "code"
                )
            })
        })
}

/// Whether `perl` reads the files that it is given with `<>`, which runs a name that ends
/// in `|` as a command.
fn opens_pipes(name: &str, words: &[ShellWord]) -> bool {
    let reads = |word: &ShellWord| {
        let text = word.beginning();
        let is_hidden = text.starts_with('-') && word.written().is_none();
        let is_loop = text.starts_with('-') && !text.starts_with("-M") && text.contains(['n', 'p']);
        is_loop || text.contains("<>") || text.contains("ARGV") || is_hidden
    };
    name.starts_with("perl") && words.iter().any(reads)
}

/// The word with what was read in place of the mark.
fn replaced(word: &ShellWord, mark: &str, read: &ShellWord) -> ShellWord {
    let mut parts = Vec::new();
    for part in &word.parts {
        let (PartKind::Text(text) | PartKind::AnsiC(text)) = &part.kind else {
            parts.push(part.clone());
            // The mark can be in what a variable holds too.
            if !matches!(part.kind, PartKind::Value(_)) {
                parts.extend(read.parts.iter().cloned());
            }
            continue;
        };
        for (n, piece) in text.split(mark).enumerate() {
            if n > 0 {
                parts.extend(read.parts.iter().cloned());
            }
            parts.push(ShellPart {
                kind: PartKind::Text(piece.to_string()),
                ..part.clone()
            });
        }
    }
    ShellWord { parts }
}

/// Whether `runuser` runs a command itself, and no shell.
fn names_user(rest: &[ShellWord]) -> bool {
    let is_user = |w: &ShellWord| {
        let text = w.beginning();
        text.starts_with("--user") || (text.starts_with('-') && text.ends_with('u'))
    };
    rest.first().is_some_and(is_user)
}
