//! Bash's own commands that read their words as code (SPEC §2.4).
#![forbid(unsafe_code)]

use super::carried::Carried;
use super::checker::{ScriptChecker, ScriptShell};
use super::options::{CommandOption, OptionKind, read_options};
use super::places::CommandPlace;
use super::reader::is_name;
use super::tree::{PartKind, ShellPart, ShellWord};
use super::words::{
    after_bracket, after_dashes, can_be_split, has_braces, has_list, is_in, is_marked,
    is_positional, only_part, split_assignment,
};
use crate::text::source::Span;

const NAME_HELP: &str = "write the name out, such as `n` or `a[0]`";
const FORMAT_HELP: &str = "write the format out: `printf '%s\\n' \"$n\"`";

/// Variables of bash that are arrays.
const OWN_ARRAYS: &str = "BASH_ALIASES BASH_ARGC BASH_ARGV BASH_CMDS BASH_LINENO BASH_REMATCH \
    BASH_SOURCE BASH_VERSINFO COMPREPLY COMP_WORDS COPROC DIRSTACK FUNCNAME GROUPS MAPFILE \
    PIPESTATUS";

/// Variables whose value a shell runs.
const SCRIPTS: &str = "GIT_SSH_COMMAND GIT_PAGER GIT_EDITOR GIT_SEQUENCE_EDITOR PAGER MANPAGER \
    EDITOR VISUAL SUDO_EDITOR FCEDIT RSYNC_RSH CVS_RSH";

/// Variables that name a program or code for one.
const CODE: &str = "GIT_SSH GIT_EXTERNAL_DIFF GIT_PROXY_COMMAND GIT_ASKPASS GIT_EXEC_PATH SHELL LESSOPEN LESSCLOSE SUDO_ASKPASS \
    SSH_ASKPASS PYTHONSTARTUP PYTHONPATH PYTHONHOME PERL5OPT PERL5LIB PERL5DB RUBYOPT RUBYLIB \
    NODE_OPTIONS NODE_PATH MAKEFLAGS TAR_OPTIONS JAVA_TOOL_OPTIONS";

impl ScriptChecker<'_, '_> {
    // Variables that bash or programs run.

    /// Checks what a variable gets that means more than its value.
    pub fn special_variable(&mut self, name: &str, value: Carried, at: Span) {
        let what = format!("the value of `{name}`");
        match name {
            "BASH_ARGV0" => self.assign("0", value, at),
            "BASH_ALIASES" | "BASH_CMDS" => self.not_followed(name, &[]),
            "PS0" | "PS1" | "PS2" | "PS4" | "PROMPT_COMMAND" | "BASH_ENV" | "ENV" => {
                self.expanded_value(name, value, at);
            }
            _ if is_in(SCRIPTS, name) => {
                self.code(value, at, &what);
                self.expanded_value(name, value, at);
            }
            _ if is_in(CODE, name) || name.starts_with("LD_") => self.code(value, at, &what),
            _ => {}
        }
    }

    /// A value that is expanded or run later: all of it must be seen.
    fn expanded_value(&mut self, name: &str, value: Carried, at: Span) {
        let is_device = |words: &Vec<ShellWord>| words.iter().any(is_of_device);
        let written = self.written.get(name).and_then(Option::as_ref);
        let reads = matches!(name, "BASH_ENV" | "ENV") && written.is_some_and(is_device);
        if !(self.is_unsafe_anywhere() || reads && self.has_data) {
            return;
        }
        let refused =
            format!("the checker cannot see what is in `{name}`, and results could be used in it");
        let Some(Some(words)) = self.written.get(name).cloned() else {
            if value.sharp {
                self.refuse(at, refused, "write it out");
            }
            return;
        };
        for word in words {
            let text = word.written();
            let is_sharp = text.is_some_and(|t| t.contains(['$', '`', '\\']));
            match name {
                "BASH_ENV" | "ENV"
                    if is_sharp || self.is_hidden_word(&word) || is_of_device(&word) =>
                {
                    self.refuse(at, refused.clone(), "write it out");
                }
                _ if name.starts_with('P') && !is_in(SCRIPTS, name) => {
                    self.prompt(name, &word, at);
                }
                _ if is_in(SCRIPTS, name) && self.depth < 3 => {
                    let stdin = std::mem::replace(&mut self.stdin, Carried::OUTPUT);
                    self.script(
                        std::slice::from_ref(&word),
                        &format!("the value of `{name}`"),
                    );
                    self.stdin = stdin;
                }
                _ => {}
            }
        }
    }

    // Options and names.

    /// The options and operands of a command of bash; `None` if they are not known.
    fn builtin_options(
        &mut self,
        name: &str,
        table: &str,
        rest: &[ShellWord],
    ) -> Option<(Vec<CommandOption>, Vec<ShellWord>)> {
        let words = self.spelled_out(rest);
        let list = read_options(table, &words);
        let values = list.given.iter().filter_map(|o| o.value.as_ref());
        let split = values.clone().find(|word| !self.is_single(word));
        let unknown = list.rest.first().filter(|_| list.unknown).or(split);
        if let Some(word) = unknown.filter(|_| self.is_unsafe_anywhere()) {
            let at = word.at().unwrap_or(self.command_at);
            let message = format!("the checker does not know these options of `{name}`");
            self.refuse(at, message, "write them out, each in a word of its own");
            return None;
        }
        Some((list.given.clone(), list.rest.to_vec()))
    }

    /// A word that names a variable, which gets this value.
    pub fn name(&mut self, word: &ShellWord, value: Carried, command: &str) {
        let at = word.at().unwrap_or(Span::whole(0));
        self.plain_name(word, command);
        match word.written() {
            Some(text) => {
                let base = text.split('[').next().unwrap_or_default().to_string();
                if text.contains('[') {
                    self.insert(|c| &mut c.arrays, &base);
                }
                self.set_otherwise(&base);
                self.assign(&base, value, at);
            }
            None => self.assign_any(value),
        }
    }

    /// Refuses a name that is not written out.
    fn plain_name(&mut self, word: &ShellWord, command: &str) {
        let what = format!("the name for `{command}`");
        if !self.value(word, true).is_safe() {
            return self.code_word(word, &what);
        }
        if self.is_unsafe_anywhere() && !self.is_plain_name(word) {
            let at = word.at().unwrap_or(self.command_at);
            let message =
                format!("the checker does not follow {what}, where results are used in the script");
            self.refuse(at, message, NAME_HELP);
        }
    }

    /// Whether it is `NAME` or `NAME[NUMBER]`.
    fn is_plain_name(&self, word: &ShellWord) -> bool {
        let text = word.beginning();
        let (name, subscript) = text.split_once('[').unwrap_or((&text, "]"));
        if !is_name(name) || has_braces(word) {
            return false;
        }
        let is_digit = |text: &str| text.chars().all(|c| c.is_ascii_digit());
        if word.written().is_some() {
            return subscript.strip_suffix(']').is_some_and(is_digit);
        }
        let index = after_bracket(word);
        let is_number = |part: &ShellPart| match &part.kind {
            PartKind::Text(text) => is_digit(text.strip_suffix(']').unwrap_or(text)),
            PartKind::Arithmetic(_) => true,
            PartKind::Parameter(p) => {
                let plain = p.operator.is_empty() && p.subscript.is_none() && !p.indirect;
                plain && self.variables.get(&p.name) == Some(&Carried::NUMBER)
            }
            _ => false,
        };
        text.contains('[') && index.parts.iter().all(is_number)
    }

    // Commands.

    /// `command`, `builtin` and `exec`, with their options.
    pub fn prefix(&mut self, name: &str, rest: &[ShellWord]) {
        let table = match name {
            "exec" => "a: c l",
            "command" => "p v V",
            "jobs" => "l n p r s x",
            _ => "",
        };
        let Some((given, rest)) = self.builtin_options(name, table, rest) else {
            return;
        };
        if let Some(value) = given.iter().find_map(|o| o.value.as_ref()) {
            let carried = self.value(value, false);
            self.assign("0", carried, value.at().unwrap_or(self.command_at));
        }
        let only_tells = given.iter().any(|o| matches!(o.name.as_str(), "v" | "V"));
        let runs = name != "jobs" || given.iter().any(|o| o.name == "x");
        if runs && !only_tells {
            self.command(&rest, CommandPlace::Shell);
        }
    }

    pub fn trap(&mut self, rest: &[ShellWord]) {
        let Some((given, rest)) = self.builtin_options("trap", "l p P", rest) else {
            return;
        };
        self.codes(&rest, "the words of `trap`");
        let is_list = rest.first().is_some_and(|word| !self.is_single(word));
        if let Some(action) = rest.first().filter(|_| rest.len() > 1 || is_list)
            && given.is_empty()
        {
            let stdin = self.stdin;
            self.stdin = self.everything().made().or(self.stdin);
            self.script(std::slice::from_ref(action), "the words of `trap`");
            self.stdin = stdin;
        }
    }

    /// The name in a word that assigns, such as `b[1]=x` for `declare`.
    pub fn declare(&mut self, name: &str, rest: &[ShellWord]) {
        let mut flags = match name {
            "integer" | "float" => "i".to_string(),
            "nameref" => "n".to_string(),
            _ => String::new(),
        };
        if name == "nameref" {
            self.not_followed(name, rest);
        }
        for word in rest {
            let text = word.beginning();
            if text.starts_with(['-', '+']) && word.written().is_some() {
                flags += &text;
                if text.contains('n') && name != "export" {
                    self.not_followed(&format!("{name} -n"), std::slice::from_ref(word));
                }
                if text.contains(['l', 'u', 'c']) {
                    self.not_followed(&format!("{name} {text}"), std::slice::from_ref(word));
                }
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
        let (name, value) = split_assignment(word);
        let written = name.written();
        let only_tells = flags.contains(['f', 'F', 'p']) && value.is_none();
        let own = written
            .as_deref()
            .map(|name| name.trim_end_matches('+').to_string());
        if command == "local" && own.as_deref() == Some("-") {
            return;
        }
        if !only_tells {
            let plain = ShellWord {
                parts: match &own {
                    Some(own) => vec![ShellPart {
                        kind: PartKind::Text(own.clone()),
                        quoted: !has_braces(&name),
                        at,
                        secret: false,
                    }],
                    None => name.parts.clone(),
                },
            };
            self.plain_name(&plain, command);
        }
        self.value_is_one_word(command, value.as_ref());
        let (Some(written), Some(own)) = (written, own) else {
            return self.declared_any(flags, value);
        };
        let base = own.split('[').next().unwrap_or_default().to_string();
        if flags.contains('i') {
            self.insert(|c| &mut c.integers, &base);
        }
        if flags.contains(['a', 'A']) || own.contains('[') {
            self.insert(|c| &mut c.arrays, &base);
        }
        if let Some(value) = value {
            if flags.contains('i') || self.integers.contains(&base) {
                self.number_word(&value, "the value of an integer variable");
            }
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

    fn declared_any(&mut self, flags: &str, value: Option<ShellWord>) {
        if let Some(value) = value {
            let value = self.value(&value, false);
            if flags.contains('i') {
                self.mark(|c| &mut c.all_integers);
            }
            self.assign_any(value);
        }
    }

    fn declared_value(&mut self, base: &str, written: &str, word: &ShellWord, at: Span) {
        let value = self.value(word, false);
        let is_list = matches!(
            only_part(word).map(|part| &part.kind),
            Some(PartKind::Elements(_))
        );
        if is_list {
            self.insert(|c| &mut c.arrays, base);
            self.list_elements(word);
        } else {
            self.list_in_text(base, word);
        }
        match written.ends_with('+') || written.contains('[') {
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

    /// `declare` reads a list in the text of an array.
    fn list_in_text(&mut self, base: &str, word: &ShellWord) {
        if !self.is_unsafe_anywhere() {
            return;
        }
        let is_array = self.arrays.contains(base) || is_in(OWN_ARRAYS, base) || self.aliased;
        let what = "the value of an array for `declare`, which reads a list in it";
        if is_array && !self.value(word, false).is_safe() {
            return self.code_word(word, what);
        }
        let opens = |text: &String| text.trim_start().starts_with('(');
        let texts = self.texts(std::slice::from_ref(word));
        let is_list = texts.iter().flatten().any(opens) || opens(&word.beginning());
        let hidden = texts.contains(&None) || self.is_hidden_word(word);
        if is_list || (is_array && hidden) {
            let at = word.at().unwrap_or(self.command_at);
            let message = format!("the checker does not follow {what}");
            self.refuse(
                at,
                message,
                "write the list without quotes: `declare -a a=(...)`",
            );
        }
    }

    pub fn unset(&mut self, rest: &[ShellWord]) {
        let Some((given, rest)) = self.builtin_options("unset", "f v n", rest) else {
            return;
        };
        for word in &rest {
            if !given.iter().any(|o| o.name == "f") {
                self.plain_name(word, "unset");
            }
            if let Some(name) = word.written() {
                self.set_otherwise(name.split('[').next().unwrap_or_default());
            }
        }
    }

    /// What a command reads: of a descriptor with `-u`, it could be anything.
    fn read_value(&self, given: &[CommandOption]) -> Carried {
        match given.iter().any(|o| o.name == "u") {
            true => self.everything().made().or(self.stdin),
            false => self.stdin,
        }
    }

    pub fn read(&mut self, rest: &[ShellWord]) {
        let table = "a= d: e E i: n: N: p: r s t: u:";
        let Some((given, rest)) = self.builtin_options("read", table, rest) else {
            return;
        };
        let value = self.read_value(&given);
        for option in given.iter().filter(|o| o.kind == OptionKind::Name) {
            if let Some(word) = &option.value {
                self.array_name(word, value, "read");
            }
        }
        if self.shell == ScriptShell::Any {
            self.read_in_ksh(&given);
        }
        if rest.is_empty() {
            self.assign("REPLY", value, Span::whole(0));
        }
        rest.iter().for_each(|word| self.name(word, value, "read"));
    }

    /// In ksh `-u` takes a name too, `-p` reads from the coprocess, and `-A` is `-a`.
    fn read_in_ksh(&mut self, given: &[CommandOption]) {
        for option in given {
            let Some(word) = &option.value else { continue };
            let is_name = word.written().is_some_and(|name| is_name(&name));
            match option.name.as_str() {
                "u" => self.code_word(word, "`read -u`, which ksh can take for a name"),
                "p" if is_name => {
                    let input = self.everything().made();
                    self.name(word, input, "read -p");
                }
                _ => {}
            }
        }
    }

    fn array_name(&mut self, word: &ShellWord, value: Carried, command: &str) {
        self.name(word, value, command);
        if let Some(name) = word.written() {
            self.insert(|c| &mut c.arrays, &name);
        }
    }

    pub fn mapfile(&mut self, rest: &[ShellWord]) {
        let table = "d: n: O: s: t u: C! c:";
        let Some((given, rest)) = self.builtin_options("mapfile", table, rest) else {
            return;
        };
        let value = self.read_value(&given);
        if let Some(option) = given.iter().find(|o| o.name == "C") {
            let words: Vec<ShellWord> = option.value.iter().cloned().collect();
            self.codes(&words, "the words of `mapfile -C`");
            self.not_followed("mapfile -C", &words);
        }
        if rest.is_empty() {
            self.assign("MAPFILE", value, Span::whole(0));
        }
        for word in &rest {
            self.array_name(word, value, "mapfile");
        }
    }

    pub fn getopts(&mut self, rest: &[ShellWord]) {
        let rest = after_dashes(rest);
        let given = rest.iter().skip(2).map(|word| self.value(word, true));
        let value = given.fold(self.variable("@"), Carried::or);
        self.assign("OPTARG", value, Span::whole(0));
        if rest.first().is_some_and(|word| !self.is_single(word)) {
            self.plain_name(&rest[0], "getopts");
        }
        if let Some(name) = rest.get(1) {
            self.name(name, value, "getopts");
        }
    }

    pub fn wait(&mut self, rest: &[ShellWord]) {
        let Some((given, _)) = self.builtin_options("wait", "f n p=", rest) else {
            return;
        };
        for word in given.iter().filter_map(|o| o.value.as_ref()) {
            self.name(word, Carried::NUMBER, "wait -p");
        }
    }

    pub fn printf(&mut self, rest: &[ShellWord]) {
        let words = self.spelled_out(rest);
        let list = read_options("v=", &words);
        let format = list.rest.first();
        let until = words.len() - list.rest.len() + usize::from(format.is_some());
        if self.hides_braces("printf", &words[..until]) {
            return;
        }
        let value = self.formatted(list.rest).unwrap_or_else(|| {
            let values = list.rest.iter().map(|word| self.value(word, true));
            values.fold(Carried::NUMBER, Carried::joined).made()
        });
        for word in list.given.iter().filter_map(|o| o.value.as_ref()) {
            self.name(word, value, "printf -v");
        }
        if let Some(format) = format {
            self.format(format);
        }
    }

    /// A format sets a variable where it holds `%n`.
    fn format(&mut self, word: &ShellWord) {
        let at = word.at().unwrap_or(self.command_at);
        let what = "the format of `printf`";
        if let Some(at) = self.data_in(word) {
            let message = format!("a result cannot be used in {what}, which can assign by `%n`");
            return self.refuse(at, message, FORMAT_HELP);
        }
        let texts = self.texts(std::slice::from_ref(word));
        let assigns = |text: &String| counts_characters(text) || text.starts_with("-v");
        let value = self.value(word, true);
        if !self.is_unsafe_anywhere() {
            return;
        }
        if texts.iter().flatten().any(assigns) || counts_characters(&word.beginning()) {
            let message =
                format!("`%n` in {what} sets a variable, which the checker does not follow");
            self.refuse(at, message, "use `${#text}` for a length");
        } else if !value.is_safe() && !is_positional(word) && !has_list(word) {
            let name = self.culprit_name(word);
            self.number(value, at, what, name.as_deref());
        } else if self.is_hidden_format(word) {
            let message =
                format!("the checker cannot see what is in {what}, and it can assign by `%n`");
            self.refuse(at, message, FORMAT_HELP);
        }
    }

    fn is_hidden_format(&self, word: &ShellWord) -> bool {
        let is_list = word.written().is_none() && !self.is_single(word) && can_be_split(word);
        is_list || is_positional(word) || self.is_hidden_word(word)
    }

    /// `[ ... ]` and `test`: the word after `-v` or `-R` is evaluated.
    pub fn test_command(&mut self, rest: &[ShellWord]) {
        let words = self.spelled_out(rest);
        for (n, word) in words.iter().enumerate() {
            let before = n.checked_sub(1).and_then(|n| words.get(n));
            let next = words.get(n + 1);
            if self.is_unsafe_anywhere() && !self.is_single_text(word) {
                let at = word.at().unwrap_or(self.command_at);
                let message = "this can become several words of `[`, of which one could be `-v`";
                self.refuse(at, message.into(), "quote it");
                continue;
            }
            if let Some(before) = before {
                self.test_operand(before, word);
            }
            let own = word.written().unwrap_or_default();
            let compares = matches!(own.as_str(), "-eq" | "-ne" | "-lt" | "-le" | "-gt" | "-ge");
            if self.shell == ScriptShell::Any && (compares || self.can_compare(word)) {
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

    /// Whether a word that is not written out can be `-gt`.
    fn can_compare(&self, word: &ShellWord) -> bool {
        if word.written().is_some() || !self.is_unsafe_anywhere() {
            return false;
        }
        let is_option =
            |text: &Option<String>| text.as_ref().is_none_or(|t| t.starts_with('-') || t == "x");
        self.texts(std::slice::from_ref(word)).iter().any(is_option)
    }

    /// A word of `[` after this one.
    fn test_operand(&mut self, before: &ShellWord, word: &ShellWord) {
        if let Some(operator) = before.written().filter(|_| !is_marked(before)) {
            if matches!(operator.as_str(), "-v" | "-R") {
                self.number_word(word, "`[ -v ]`");
            }
            return;
        }
        let texts = self.texts(std::slice::from_ref(before));
        let is_operator = |text: &Option<String>| {
            text.as_ref()
                .is_none_or(|t| matches!(t.as_str(), "-v" | "-R"))
        };
        let known = self.spellings(before, 0).is_some() && !texts.iter().any(is_operator);
        let is_number = self.value(before, true) == Carried::NUMBER;
        let is_plain = word.written().is_some_and(|text| !text.contains('['));
        if self.is_unsafe_anywhere() && !known && !is_number && !is_plain {
            let at = before.at().unwrap_or(self.command_at);
            let message = "this could be `-v`, so that `[` evaluates the word after it";
            self.refuse(
                at,
                message.into(),
                "write the operator between the two words",
            );
        }
    }

    /// Whether it is one word of `[`, quoted or known.
    fn is_single_text(&self, word: &ShellWord) -> bool {
        if word.written().is_some() {
            return true;
        }
        let quoted = word.parts.iter().all(|part| match &part.kind {
            PartKind::Text(_) | PartKind::Arithmetic(_) => true,
            PartKind::Substitution(body) => part.quoted || self.is_inert(body),
            _ => part.quoted,
        });
        let is_list = has_list(word);
        (quoted && !is_list) || self.is_single(word)
    }

    pub fn change_directory(&mut self, rest: &[ShellWord]) {
        for word in rest {
            let value = self.value(word, true);
            self.assign("PWD", value, Span::whole(0));
            self.assign("OLDPWD", value, Span::whole(0));
        }
    }

    pub fn set_command(&mut self, rest: &[ShellWord]) {
        let mut options = true;
        let mut takes_name = false;
        for (n, word) in rest.iter().enumerate() {
            let text = word.beginning();
            if std::mem::take(&mut takes_name) {
                self.shell_option(word);
                continue;
            }
            if !options {
                self.set_argument(word);
                continue;
            }
            match word.written().as_deref() {
                Some("--" | "-") => options = false,
                Some(flags) if flags.starts_with(['-', '+']) => {
                    takes_name = flags.contains('o');
                    if flags.contains('k') {
                        self.not_followed("set -k", std::slice::from_ref(word));
                    }
                    if flags.contains('a') {
                        self.mark(|c| &mut c.exported);
                    }
                    if flags.contains('A') && self.shell == ScriptShell::Any {
                        return self.set_array(&rest[n + 1..]);
                    }
                }
                Some(_) => {
                    self.set_argument(word);
                    options = false;
                }
                None => {
                    if text.is_empty() || text.starts_with(['-', '+']) {
                        self.code_word(word, "the options of `set`; write `set --` before it");
                    }
                    self.set_argument(word);
                    options = text.is_empty() || text.starts_with(['-', '+']);
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

    /// The name of an option of the shell.
    fn shell_option(&mut self, word: &ShellWord) {
        match word.written().as_deref() {
            Some("allexport") => self.mark(|c| &mut c.exported),
            Some(name @ ("keyword" | "posix" | "expand_aliases")) => {
                self.not_followed(name, std::slice::from_ref(word));
            }
            Some(_) => {}
            None => self.not_followed(
                "an option that is not written out",
                std::slice::from_ref(word),
            ),
        }
    }

    pub fn shopt(&mut self, rest: &[ShellWord]) {
        for word in rest {
            match word.written() {
                Some(text) if text.starts_with('-') => {}
                _ => self.shell_option(word),
            }
        }
    }

    /// An argument that is set where the script stands: what a function is called with no
    /// longer says what `"$@"` runs.
    pub fn set_argument(&mut self, word: &ShellWord) {
        self.mark(|c| &mut c.sets_arguments);
        self.positional(std::slice::from_ref(word));
    }

    pub fn list_elements(&mut self, word: &ShellWord) {
        for part in &word.parts {
            if let PartKind::Elements(words) = &part.kind {
                words.iter().for_each(|word| self.element(word));
            }
        }
    }
}

/// Whether the word names what a descriptor gives.
fn is_of_device(word: &ShellWord) -> bool {
    let text = word.beginning();
    text.contains("/dev") || text.contains("/proc") || text.contains("stdin")
}

/// Whether a format holds `%n`, with any flags.
fn counts_characters(format: &str) -> bool {
    let format = format.replace("%%", "");
    let mut parts = format.split('%').skip(1);
    parts.any(|part| {
        let is_flag = |c: char| c.is_ascii_digit() || "-+ #0'*.hlLjzt".contains(c);
        part.trim_start_matches(is_flag).starts_with('n')
    })
}
