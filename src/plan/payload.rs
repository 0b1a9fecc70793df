//! A task's command as words or as a script (SPEC §4.1), whichever its exec type takes.
#![forbid(unsafe_code)]

use super::exec::ExecType;
use crate::task::Command;
use crate::task::global_value::environment;
use crate::text::diagnostic::DiagnosticList;
use crate::text::script::{self, Script};
use crate::text::source::Span;
use crate::text::template::{Piece, Template};
use crate::text::words;

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

/// Reads commands and reports their mistakes.
pub struct CommandReader<'a> {
    diagnostics: &'a mut DiagnosticList,
    /// `--strict-env-validation`
    strict: bool,
}

impl CommandReader<'_> {
    pub fn new(diagnostics: &mut DiagnosticList, strict: bool) -> CommandReader<'_> {
        CommandReader {
            diagnostics,
            strict,
        }
    }

    /// The payload for this exec type; `None` after a mistake.
    pub fn payload(&mut self, command: &Command, exec: &ExecType) -> Option<Payload> {
        if exec.takes_script() {
            self.script(command)
        } else {
            self.words(command)
        }
    }

    pub fn script(&mut self, command: &Command) -> Option<Payload> {
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
        match script::scan(&line) {
            Ok(script) => {
                self.check_length(&script.text, &line, "script")?;
                Some(Payload::Script(script))
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

    pub fn words(&mut self, command: &Command) -> Option<Payload> {
        let mut words = self.split(&command.command)?;
        let of_command = words.len();
        if let Some(arguments) = &command.arguments {
            words.extend(self.split(arguments)?);
        }
        if words.is_empty() {
            let at = command.command.pieces.first().map(Piece::at)?;
            self.diagnostics.error(at, "this command has no words");
            return None;
        }
        for word in &words {
            self.check_length(word, word, "word")?;
        }
        Some(Payload::Words { words, of_command })
    }

    /// The words of one value, with variables of the environment filled in.
    fn split(&mut self, value: &Template) -> Option<Vec<Template>> {
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
        let split = match split {
            Ok(split) => split,
            Err(at) => {
                self.diagnostics.error(at, "this quote is never closed");
                return None;
            }
        };
        for (at, word) in split.operators {
            let word = match word.contains('`') {
                true => word.to_string(),
                false => format!("`{word}`"),
            };
            self.diagnostics
                .warning(
                    at,
                    format!("{word} is passed literally, not interpreted by a shell"),
                )
                .help("use `exec=shell` for pipes, redirections and substitutions");
        }
        Some(split.words)
    }

    /// Refuses a word that the kernel would not accept; cutting it off would change
    /// its meaning. (Results are cut during the run, with a warning.)
    fn check_length(&mut self, word: &Template, written: &Template, what: &str) -> Option<()> {
        let length: usize = word.pieces.iter().map(Piece::size).sum();
        if length <= MAX_WORD {
            return Some(());
        }
        let at = written.pieces.first().map_or(Span::whole(0), Piece::at);
        let message =
            format!("a {what} can have at most {MAX_WORD} bytes (128 KiB), this one has {length}");
        self.diagnostics
            .error(at, message)
            .help("pass large data with `stdin=`");
        None
    }
}
