//! Follows results through a script, and refuses them where the shell would read them
//! as code (SPEC §2.4).
//!
//! The order of the commands does not count: a variable can hold whatever any
//! assignment gives it. What is not known is refused.
#![forbid(unsafe_code)]

use super::carried::{Carried, Guard};
use super::reader::MARKS;
use super::tree::{Body, PartKind, ShellAssignment, ShellCommand, ShellPart, ShellWord};
use crate::text::source::Span;
use crate::text::template::Symbol;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// The shell that runs a script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
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

const CODE_HELP: &str =
    "pass the result as a word of its own: `bash -c '... \"$1\"' _ \"$n\"`, `awk -v n=\"$n\"`";

/// How much text of scripts in words is read in a round.
const LONGEST_SCRIPTS: usize = 256 * 1024;

/// How often the script is followed until nothing changes.
const ROUNDS: usize = 60;

/// A text that was read as a script: with what input, and how.
pub type ScriptRead = (String, Carried, (ScriptShell, ScriptShell, bool));

pub struct ScriptChecker<'s, 'a> {
    pub symbols: &'s [Symbol<'a>],
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
    /// Whether `exec` or `coproc` can change what is read.
    pub moved_input: bool,
    /// What the commands here read.
    pub stdin: Carried,
    pub has_data: bool,
    /// Whether a list can have words for keys.
    pub associative: bool,
    /// What the commands in `$(…)` give, as long as nothing changes.
    pub outputs: RefCell<BTreeMap<(usize, Carried), (Body, Carried)>>,
    /// What was gone through since something changed: commands by their place, and the
    /// texts of scripts.
    pub walked: BTreeSet<(usize, Carried)>,
    pub read: BTreeSet<ScriptRead>,
    /// How much text of scripts can still be read in this round.
    pub left: usize,
    pub reporting: bool,
    pub changed: bool,
    pub findings: Vec<ScriptFinding>,
    /// What the results must be checked for before the script runs.
    pub guard: Guard,
    pub depth: usize,
    /// Where the script stands that is read from a text.
    pub inside: Option<Span>,
    /// Where the command begins that is looked at.
    pub command_at: Span,
    /// Whether arguments of functions move, as by `shift`.
    pub shifts: bool,
    /// Whether results are assigned before the command that is looked at.
    pub prefixed: bool,
    /// What the command reads, where all of it is written in the script.
    pub inputs: Option<Vec<ShellWord>>,
    /// How many forms of the command were looked at.
    pub steps: usize,
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
            moved_input: false,
            stdin: match setting.stdin {
                true => Carried::RESULT,
                false => Carried::OUTPUT,
            },
            has_data: has_data || setting.stdin || !setting.environment.is_empty(),
            left: LONGEST_SCRIPTS,
            reporting: false,
            changed: false,
            findings: Vec::new(),
            guard: Guard::default(),
            associative: may_have_keys(symbols),
            outputs: RefCell::default(),
            walked: BTreeSet::new(),
            read: BTreeSet::new(),
            depth: 0,
            inside: None,
            command_at: symbols.first().map_or(Span::whole(0), symbol_span),
            shifts: false,
            prefixed: false,
            inputs: None,
            steps: 0,
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
        // Lists are only in scripts that are words, whose text is no symbol.
        self.associative = true;
        self.follow(|checker| checker.program(&name, &words[1..]));
    }

    fn follow(&mut self, walk: impl Fn(&mut Self)) {
        for _ in 0..ROUNDS {
            self.changed = false;
            self.left = LONGEST_SCRIPTS;
            walk(self);
            if !self.changed {
                self.reporting = true;
                self.left = LONGEST_SCRIPTS;
                self.forget();
                for (name, _, at) in &self.setting.environment {
                    self.assign(name, Carried::RESULT, *at);
                }
                walk(self);
                return;
            }
        }
        self.reporting = true;
        if let Some(at) = self.symbols.first().map(symbol_span) {
            self.refuse(
                at,
                "the checker cannot follow the results in this script".into(),
                "make it shorter, or set variables before they are used",
            );
        }
    }

    /// Notes that something is known that was not.
    fn change(&mut self) {
        self.changed = true;
        self.forget();
    }

    /// Forgets what was found out about commands.
    pub fn forget(&mut self) {
        self.outputs.get_mut().clear();
        self.walked.clear();
        self.read.clear();
    }

    pub fn refuse(&mut self, at: Span, message: String, help: &'static str) {
        self.found(at, message, help, true);
    }

    pub fn warn(&mut self, at: Span, message: String, help: &'static str) {
        self.found(at, message, help, false);
    }

    fn found(&mut self, at: Span, message: String, help: &'static str, refused: bool) {
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

    // Assignments.

    /// Notes that the variable can get this value.
    pub fn assign(&mut self, name: &str, value: Carried, at: Span) {
        self.special_variable(name, value, at);
        if name.contains(MARKS) {
            // It is put together from what is not known.
            return self.assign_any(value);
        }
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
            "IFS" => self.mark(|c| &mut c.odd_separator),
            _ => {}
        }
        // `cd` sets PWD too, of which programs only see the directory itself.
        if !value.is_safe() && is_inherited(name) && !matches!(name, "PWD" | "OLDPWD" | "_") {
            self.mark(|c| &mut c.exported);
        }
        let known = self.variables.get(name).copied().unwrap_or_default();
        let all = known.or(value);
        if all != known {
            self.variables.insert(name.to_string(), all);
            self.change();
        }
    }

    /// Notes that some variable, whose name is not known, can get this value.
    pub fn assign_any(&mut self, value: Carried) {
        let all = self.any.or(value);
        if all != self.any {
            self.any = all;
            self.change();
        }
    }

    /// Notes a set of names, such as those of functions.
    pub fn insert(&mut self, which: fn(&mut Self) -> &mut BTreeSet<String>, name: &str) {
        if which(self).insert(name.to_string()) {
            self.change();
        }
    }

    /// Sets a mark that stays.
    pub fn mark(&mut self, which: fn(&mut Self) -> &mut bool) {
        let mark = which(self);
        if !std::mem::replace(mark, true) {
            self.change();
        }
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
        }
        if assignment.append {
            let is_list = matches!(
                assignment.value.parts.as_slice(),
                [ShellPart {
                    kind: PartKind::Elements(_),
                    ..
                }]
            );
            value = match is_list || assignment.value.begins_apart() {
                true => self.variable(name).apart(value),
                false => self.variable(name).joined(value),
            };
            self.set_otherwise(name);
        }
        if name != "IFS" || !is_usual_separator(&assignment.value) {
            self.assign(name, value, assignment.at);
        }
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
            Some(text) if has_octal(&text) && self.is_unsafe_anywhere() => {
                let message = format!(
                    "the checker does not read `\\NNN` in `{name}`, and results could be used in it"
                );
                self.refuse(at, message, "write the character");
            }
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
        if word.parts.first().is_some_and(begins) {
            let subscript = subscript_of(word);
            self.number_word(&subscript, "an array subscript");
        }
    }

    /// Notes that the variable is set to this word.
    pub fn set_to(&mut self, name: &str, word: &ShellWord) {
        if self.reporting {
            return;
        }
        if is_set_by_shell(name) {
            return self.set_otherwise(name);
        }
        let known = self
            .written
            .entry(name.to_string())
            .or_insert(Some(Vec::new()));
        let Some(words) = known else {
            return;
        };
        if words.contains(word) {
            return;
        }
        match words.len() < 8 {
            true => words.push(word.clone()),
            false => *known = None,
        }
        self.change();
    }

    /// Notes that the variable is set to what is no word.
    pub fn set_otherwise(&mut self, name: &str) {
        let known = self.written.insert(name.to_string(), None);
        if !matches!(known, Some(None)) {
            self.change();
        }
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

    /// The first result that is written in the word, also inside `$(…)`.
    pub fn data_in(&self, word: &ShellWord) -> Option<Span> {
        word.parts.iter().find_map(|part| match &part.kind {
            PartKind::Value(symbol) if !self.symbol_value(*symbol).is_safe() => Some(part.at),
            PartKind::Parameter(parameter) => self.data_in(&parameter.operand),
            PartKind::Elements(words) => words.iter().find_map(|word| self.data_in(word)),
            PartKind::Substitution(body) if !self.output_of(body).is_safe() => body
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

    pub fn culprit_name(&self, word: &ShellWord) -> Option<String> {
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
}

fn symbol_span(symbol: &Symbol) -> Span {
    match symbol {
        Symbol::Char { at, .. } => *at,
        Symbol::Atom(piece) => piece.at(),
    }
}

/// The word up to the `]` that closes its first `[`.
fn subscript_of(word: &ShellWord) -> ShellWord {
    let mut subscript = ShellWord::default();
    let mut depth = 0;
    for part in &word.parts {
        let PartKind::Text(text) = &part.kind else {
            subscript.parts.push(part.clone());
            continue;
        };
        let mut end = None;
        for (n, c) in text.char_indices().filter(|_| !part.quoted) {
            depth += i32::from(c == '[') - i32::from(c == ']');
            if depth == 0 && c == ']' {
                end = Some(n);
                break;
            }
        }
        let text = text[..end.unwrap_or(text.len())].to_string();
        subscript.parts.push(ShellPart {
            kind: PartKind::Text(text),
            ..part.clone()
        });
        if end.is_some() {
            break;
        }
    }
    subscript
}

/// Whether the text holds `\\NNN`, which is a character of a prompt.
pub fn has_octal(text: &str) -> bool {
    text.as_bytes()
        .windows(2)
        .any(|pair| pair[0] == b'\\' && pair[1].is_ascii_digit())
}

/// Whether the shell sets the variable too, so that no assignment says all of it.
pub fn is_set_by_shell(name: &str) -> bool {
    name.starts_with("BASH") && name != "BASH_ENV"
        || name.starts_with("COMP")
        || name.starts_with("READLINE")
        || name.starts_with("TASKER_")
        || matches!(
            name,
            "REPLY"
                | "OPTARG"
                | "OPTIND"
                | "_"
                | "MAPFILE"
                | "PWD"
                | "OLDPWD"
                | "DIRSTACK"
                | "FUNCNAME"
                | "PIPESTATUS"
                | "GROUPS"
                | "RANDOM"
                | "SRANDOM"
                | "LINENO"
                | "SECONDS"
                | "HISTCMD"
                | "COPROC"
        )
}

/// Whether a variable of this name is usually in the environment already: what a script
/// sets it to goes to every program.
fn is_inherited(name: &str) -> bool {
    let usual = matches!(
        name,
        "HOME"
            | "USER"
            | "LOGNAME"
            | "SHELL"
            | "TMPDIR"
            | "TMP"
            | "TEMP"
            | "LANG"
            | "LANGUAGE"
            | "TZ"
            | "TERM"
            | "EDITOR"
            | "VISUAL"
            | "PAGER"
            | "DISPLAY"
            | "MAIL"
            | "PWD"
            | "OLDPWD"
            | "HOSTNAME"
            | "PATH"
            | "MANPATH"
            | "LS_COLORS"
            | "SHLVL"
    );
    usual || name.starts_with("LC_") || std::env::var_os(name).is_some()
}

/// Whether blanks are joined with the word as `IFS`.
fn is_usual_separator(word: &ShellWord) -> bool {
    let written = word.written();
    written.is_some_and(|text| !text.is_empty() && text.chars().all(|c| " \t\n".contains(c)))
}

/// Whether an option such as `-A` is written anywhere in the script.
fn may_have_keys(symbols: &[Symbol]) -> bool {
    let mut option = false;
    for symbol in symbols {
        match symbol {
            Symbol::Char { c: '-' | '+', .. } => option = true,
            Symbol::Char { c: 'A', .. } if option => return true,
            Symbol::Char { c, .. } if c.is_ascii_alphabetic() => {}
            _ => option = false,
        }
    }
    false
}
