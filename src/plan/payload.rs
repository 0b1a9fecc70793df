//! A task's command as words or as a script (SPEC §4.1), whichever its exec type takes.
#![forbid(unsafe_code)]

use super::exec::{ExecMethod, ExecType, local_sh};
use crate::task::Command;
use crate::task::global_value::environment;
use crate::text::bash::checker::{ScriptFinding, ScriptSetting, ScriptShell};
use crate::text::bash::program::{self, ProgramRisk};
use crate::text::bash::reader::is_number;
use crate::text::diagnostic::DiagnosticList;
use crate::text::glob;
use crate::text::script::{self, Script};
use crate::text::source::Span;
use crate::text::template::{Piece, Template};
use crate::text::words::{self, Lookalike, SuspectWord};
use std::borrow::Cow;

/// The longest word that the kernel accepts, in bytes without its final NUL.
const MAX_WORD: usize = (128 << 10) - 1;

/// What an exec type gets to run.
#[derive(Clone, Debug)]
pub enum Payload {
    /// The words of `command`, then those of `arguments`.
    Words {
        words: Vec<Template>,
        of_command: usize,
    },
    Script(Script),
}

/// Makes the payload during the run, for an exec type known only then.
///
/// # Errors
/// The first mistake in the command, as one sentence.
pub fn late_payload(command: &Command, exec: &ExecType, strict: bool) -> Result<Payload, String> {
    let mut diagnostics = DiagnosticList::default();
    let payload = CommandReader::new(&mut diagnostics, strict).payload(command, exec);
    match payload {
        Some(payload) if !diagnostics.has_errors() => Ok(payload),
        _ => Err(diagnostics
            .first_message()
            .unwrap_or_else(|| "the command cannot be read".into())),
    }
}

/// The environment variables that the words of the command use.
pub fn variables(command: &Command) -> Vec<String> {
    let mut names = Vec::new();
    let values = std::iter::once(&command.command).chain(&command.arguments);
    for value in values {
        words::split(value, &mut |name, _| {
            names.push(name.to_string());
            None
        });
    }
    names
}

/// Reads commands and reports their mistakes.
pub struct CommandReader<'a> {
    diagnostics: &'a mut DiagnosticList,
    /// `--strict-env-validation`
    strict: bool,
    shell: ShellAccess,
}

/// How a command of the same kind gets to a shell.
#[derive(Clone, Copy, PartialEq)]
enum ShellAccess {
    OnThisMachine,
    OverSsh,
    OfACarrier,
}

impl ShellAccess {
    /// The shell for commands of this type.
    fn of_type(exec: &ExecType) -> ShellAccess {
        match exec.way {
            ExecMethod::Words | ExecMethod::Script => ShellAccess::OnThisMachine,
            ExecMethod::Ssh { .. } => ShellAccess::OverSsh,
            ExecMethod::Argv(_) => ShellAccess::OfACarrier,
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            ShellAccess::OnThisMachine => "use `exec=shell`",
            ShellAccess::OverSsh => "use `exec=ssh-shell`",
            ShellAccess::OfACarrier => "run a shell, as in `sh -c '...'`,",
        }
    }
}

/// Whether a shell would find files for the word, or would probably: those of a path
/// can come later, or be on another host. `place` is where the command runs, if it runs
/// on this machine.
fn would_expand(word: &str, place: Option<&str>) -> bool {
    if word.contains('/') {
        return true;
    }
    let files = place.and_then(|place| std::fs::read_dir(place).ok());
    let mut files = files.into_iter().flatten().flatten();
    files.any(|file| glob::matches(word, &file.file_name().to_string_lossy()))
}

/// Whether the piece is data that can hold more than a number.
fn can_be_code(piece: &Piece) -> bool {
    match piece {
        Piece::Text { .. } => false,
        Piece::Reference { to, .. } => to.is_data() && !is_number(piece),
        Piece::Data { .. } => !is_number(piece),
    }
}

impl CommandReader<'_> {
    pub fn new(diagnostics: &mut DiagnosticList, strict: bool) -> CommandReader<'_> {
        CommandReader {
            diagnostics,
            strict,
            shell: ShellAccess::OnThisMachine,
        }
    }

    /// The payload for this exec type; `None` after a mistake.
    pub fn payload(&mut self, command: &Command, exec: &ExecType) -> Option<Payload> {
        self.shell = ShellAccess::of_type(exec);
        if exec.takes_script() {
            self.script(command, Some(exec))
        } else {
            let payload = self.words(command)?;
            if let Payload::Words { words, .. } = &payload {
                self.warn_of_code(words, command, exec);
            }
            Some(payload)
        }
    }

    /// Warns of a result that the command could run.
    fn warn_of_code(&mut self, words: &[Template], command: &Command, exec: &ExecType) {
        let (at, message, help) = match program::check(words, &self.setting(command, Some(exec))) {
            None => return,
            Some(ProgramRisk::IsName(at)) => (
                at,
                "a result is the name of the command that runs here; it decides what is run",
                "name the command, and pass the result as a word",
            ),
            Some(ProgramRisk::IsCode(at)) => (
                at,
                "a result gets to where this command reads code; it could run what the result says",
                "pass it as a word of its own: `sh -c '... \"$1\"' _ @N_stdout@`",
            ),
        };
        self.diagnostics.warning(at, message).help(help);
    }

    /// The script for this type; without one, for bash.
    pub fn script(&mut self, command: &Command, exec: Option<&ExecType>) -> Option<Payload> {
        let mut line = command.command.clone();
        if let Some(arguments) = &command.arguments {
            let at = arguments.pieces.first().map_or(Span::whole(0), Piece::at);
            line.pieces.push(Piece::of_global(" ", at));
            line.pieces.extend(arguments.pieces.iter().cloned());
        }
        let blank = line.known_text().is_some_and(|t| t.trim().is_empty());
        if let Some(at) = line.pieces.first().map(Piece::at).filter(|_| blank) {
            self.diagnostics.error(at, "this script is empty");
            return None;
        }
        match script::scan(&line, &self.setting(command, exec)) {
            Ok(script) if script.bash_only.is_some() && !exec.is_some_and(ExecType::finds_bash) => {
                self.refuse_without_bash(script.bash_only);
                None
            }
            Ok(script) => {
                for warning in &script.warnings {
                    let message = warning.message.clone();
                    self.diagnostics
                        .warning(warning.at, message)
                        .help(warning.help);
                }
                self.check_typography(&line);
                self.fits(&script.text, &line, "script")
                    .then_some(Payload::Script(script))
            }
            Err(bad) => {
                let error = self.diagnostics.error(bad.at, bad.message);
                if !bad.help.is_empty() {
                    error.help(bad.help);
                }
                None
            }
        }
    }

    /// Refuses a script that another shell than bash would read otherwise.
    fn refuse_without_bash(&mut self, finding: Option<ScriptFinding>) {
        if let Some(found) = finding {
            let message = format!(
                "another shell than bash reads this script otherwise: {}",
                found.message
            );
            self.diagnostics.error(found.at, message).help(
                "use bash, or what every shell reads alike: `[ ... ]`, `$((...))`, `export x=\"$n\"`",
            );
        }
    }

    /// Where else results get into the script than by its text.
    fn setting(&self, command: &Command, exec: Option<&ExecType>) -> ScriptSetting {
        let holds = |value: &Template| value.pieces.iter().any(can_be_code);
        let is_sharp = |value: &Template| {
            let sharp = |piece: &Piece| matches!(piece, Piece::Text { text, .. } if text.contains(['$', '`', '\\']));
            value.pieces.iter().any(sharp)
        };
        let environment = command.env.iter().filter(|(_, value)| holds(value));
        ScriptSetting {
            environment: environment
                .map(|(name, value)| {
                    let at = value.pieces.first().map_or(Span::whole(0), Piece::at);
                    (name.clone(), is_sharp(value), at)
                })
                .collect(),
            stdin: command.stdin.as_ref().is_some_and(holds),
            shell: exec.map_or(ScriptShell::Bash, ExecType::script_shell),
            sh: match exec.map(|exec| &exec.way) {
                None | Some(ExecMethod::Words | ExecMethod::Script) => local_sh(),
                _ => ScriptShell::Any,
            },
        }
    }

    pub fn words(&mut self, command: &Command) -> Option<Payload> {
        let place = match &command.workdir {
            None => Some(Cow::Borrowed(".")),
            Some(directory) => directory.known_text(),
        };
        let words = self.split(&command.command, place.as_deref());
        let arguments = command.arguments.as_ref();
        let arguments = arguments.map(|value| self.split(value, place.as_deref()));
        let mut words = words?;
        let of_command = words.len();
        words.extend(arguments.unwrap_or_else(|| Some(Vec::new()))?);
        if words.is_empty() {
            let at = command.command.pieces.first().map(Piece::at)?;
            self.diagnostics.error(at, "this command has no words");
            return None;
        }
        let fit = words.iter().map(|word| self.fits(word, word, "word"));
        let fit: Vec<bool> = fit.collect();
        fit.iter()
            .all(|fits| *fits)
            .then_some(Payload::Words { words, of_command })
    }

    /// The words of one value, with variables of the environment filled in. `place` is
    /// where the command will run, if that is known.
    fn split(&mut self, value: &Template, place: Option<&str>) -> Option<Vec<Template>> {
        let (strict, diagnostics) = (self.strict, &mut *self.diagnostics);
        let split = words::split(value, &mut |name, at| match environment(name, at, strict) {
            Ok(Some(piece)) => Some(piece),
            Ok(None) => {
                let message =
                    format!("the environment variable `{name}` is not set and counts as empty");
                diagnostics.warning(at, message);
                None
            }
            Err(message) => {
                diagnostics.error(at, message);
                None
            }
        });
        let shell = self.shell;
        for suspect in &split.suspects {
            let is_local = shell == ShellAccess::OnThisMachine;
            let place = place.filter(|_| is_local);
            if suspect.looks_like != Lookalike::Glob || would_expand(&suspect.written, place) {
                self.warn_of_suspect(suspect);
            }
            // What follows was meant as a comment.
            if suspect.looks_like == Lookalike::Comment {
                break;
            }
        }
        if let Some(at) = split.open_quote {
            self.diagnostics.error(at, "this quote is never closed");
            return None;
        }
        Some(split.words)
    }

    fn warn_of_suspect(&mut self, suspect: &SuspectWord) {
        let word = match suspect.written.contains('`') {
            true => suspect.written.clone(),
            false => format!("`{}`", suspect.written),
        };
        let shell = self.shell.remedy();
        let (problem, help) = match suspect.looks_like {
            Lookalike::Operator => (
                "is passed literally, not interpreted by a shell",
                format!("{shell} for pipes, redirections and substitutions"),
            ),
            Lookalike::Glob => (
                "is passed literally; no shell replaces it by file names",
                format!("{shell} to expand it, or quote it to pass it as it is"),
            ),
            Lookalike::Home => (
                "is passed literally; no shell replaces it by a home directory",
                format!("write the whole path, or {shell}; quote it to pass it as it is"),
            ),
            Lookalike::Comment => (
                "begins no comment here; it is passed to the command with all that follows",
                "put the comment on a line of its own, or quote the `#`".into(),
            ),
            Lookalike::Typography => (
                "contains a typographic quote, dash or space",
                "replace it by the plain character, or quote it to pass it as it is".into(),
            ),
        };
        self.diagnostics
            .warning(suspect.at, format!("{word} {problem}"))
            .help(help);
    }

    /// Warns of what a word processor has put into a script.
    fn check_typography(&mut self, script: &Template) {
        let split = words::split(script, &mut |_, _| None);
        for suspect in split.suspects {
            if suspect.looks_like == Lookalike::Typography {
                self.warn_of_suspect(&suspect);
            }
        }
    }

    /// Refuses a word that the kernel would not accept; cutting it off would change
    /// its meaning. (Words with results are checked during the run.)
    fn fits(&mut self, word: &Template, written: &Template, what: &str) -> bool {
        let length: usize = word.pieces.iter().map(Piece::size).sum();
        if length <= MAX_WORD {
            return true;
        }
        let at = written.pieces.first().map_or(Span::whole(0), Piece::at);
        let message =
            format!("a {what} can have at most {MAX_WORD} bytes (128 KiB), this one has {length}");
        self.diagnostics
            .error(at, message)
            .help("pass large data with `stdin=`");
        false
    }
}
