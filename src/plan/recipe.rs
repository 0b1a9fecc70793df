//! From a task's command to the words that would be executed (SPEC §4.1, §5).
//!
//! A recipe is made when the file is loaded, so that every mistake in a command
//! is found then; what depends on results is filled in by `run`.
#![forbid(unsafe_code)]

use super::exec::{self, ExecMethod, ExecType, ExecTypes};
use crate::task::global_value::environment;
use crate::task::keys::is_identifier;
use crate::task::{Command, Task, host};
use crate::text::diagnostic::{Category, DiagnosticList};
use crate::text::nearest::did_you_mean;
use crate::text::script::{self, Script};
use crate::text::source::Span;
use crate::text::template::{Piece, Template};
use crate::text::words;
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The longest word that the kernel takes, in bytes without its final NUL.
const LONGEST_WORD: usize = (128 << 10) - 1;

/// What tasks take when they name nothing themselves.
pub struct Defaults {
    pub types: ExecTypes,
    /// `-t`, else `TASK_EXECUTOR_TYPE`, else `tasker.conf`.
    pub exec: Option<Arc<ExecType>>,
    /// `-o`, else `TASK_EXECUTOR_TIMEOUT`, else `tasker.conf`, else 300 s.
    pub timeout: Duration,
    /// How long a command has between SIGTERM and SIGKILL (SPEC §4.3).
    pub kill_after: Duration,
    /// How many subtasks of a block run at once when it does not say.
    pub max_parallel: u32,
    /// The name of this machine.
    pub own_name: String,
    /// `--strict-env-validation`
    pub strict_env: bool,
}

/// How a task would be run, as far as it is known before the run.
pub enum Recipe {
    /// It runs no command.
    None,
    /// Its exec type, or the host that decides it, comes from a result.
    Deferrable,
    Ready {
        exec: Arc<ExecType>,
        payload: Payload,
    },
}

/// What the exec type is given.
#[derive(Clone, Debug)]
pub enum Payload {
    /// The words of `command`, then those of `arguments`.
    Words {
        words: Vec<Template>,
        of_command: usize,
    },
    Script(Script),
}

/// Makes the recipe of every task, in their order; mistakes in commands are reported.
pub fn prepare(
    tasks: &[Task],
    defaults: &Defaults,
    diagnostics: &mut DiagnosticList,
) -> Vec<Recipe> {
    diagnostics.begin_category(Category::Syntax);
    let mut programs = Programs::default();
    let recipes = tasks
        .iter()
        .map(|task| recipe(task, defaults, &mut programs, diagnostics));
    recipes.collect()
}

/// Whether a program is there, by its name and working directory: looked for
/// once, however many tasks run it.
type Programs = HashMap<(String, Option<String>), bool>;

fn recipe(
    task: &Task,
    defaults: &Defaults,
    programs: &mut Programs,
    diagnostics: &mut DiagnosticList,
) -> Recipe {
    let Some(command) = task.command() else {
        return Recipe::None;
    };
    let of_block = task.is_block();
    let exec = match &command.exec {
        Some(name) => match name.known_text() {
            None => return late(command, defaults, diagnostics),
            Some(name) => match defaults.types.find(name.trim()) {
                Some(exec) => exec.clone(),
                None => {
                    let message = match command.exec.as_ref().is_some_and(Template::has_secret) {
                        true => "there is no such exec type; its name is a secret".into(),
                        false => format!("there is no exec type `{}`", name.trim()),
                    };
                    let error = diagnostics.error(task.key_span("exec"), message);
                    error.category(Category::ExecType);
                    error.label(did_you_mean(name.trim(), defaults.types.names()));
                    return Recipe::Deferrable;
                }
            },
        },
        None if of_block => match &defaults.exec {
            Some(exec) => exec.clone(),
            None => return late(command, defaults, diagnostics),
        },
        None => match &command.hostname {
            Some(host) if host.depends_on_run() && defaults.exec.is_none() => {
                return late(command, defaults, diagnostics);
            }
            host => match default_exec(
                host.as_ref().and_then(Template::known_text).as_deref(),
                defaults,
            ) {
                Some(exec) => exec,
                None => {
                    let message = format!(
                        "task {} needs a `hostname`, or `exec=local` to run on this machine",
                        task.id
                    );
                    diagnostics.error(task.at, message);
                    return Recipe::Deferrable;
                }
            },
        },
    };
    if !exec.is_local() && command.hostname.is_none() && !of_block {
        diagnostics.error(
            task.at,
            format!(
                "task {} needs a `hostname`: exec type `{}` runs on one",
                task.id,
                exec.name()
            ),
        );
    }
    if !exec.is_local() {
        for (key, at) in task.written.iter().filter(|(k, _)| match *k {
            "workdir" => true,
            // The far end's wrapper gets them with the words.
            "env." => !matches!(exec.way, ExecMethod::Ssh { .. }),
            _ => false,
        }) {
            let key = key.trim_end_matches('.');
            diagnostics.warning(
                *at,
                format!(
                    "`{key}` is for commands on this machine; exec type `{}` does not pass it on",
                    exec.name()
                ),
            );
        }
    }
    let mut findings = CommandReader {
        diagnostics,
        strict: defaults.strict_env,
    };
    match findings.payload(command, &exec) {
        Some(payload) => {
            findings.doubts(task, command, &exec, &payload, programs);
            Recipe::Ready { exec, payload }
        }
        None => Recipe::Deferrable,
    }
}

/// The recipe of a command whose exec type is known only in the run. What no type
/// could take, neither as words nor as a script, is a mistake now.
fn late(command: &Command, defaults: &Defaults, diagnostics: &mut DiagnosticList) -> Recipe {
    let strict = defaults.strict_env;
    let mut scratch = DiagnosticList::default();
    let mut trial = CommandReader {
        diagnostics: &mut scratch,
        strict,
    };
    if trial.words(command).is_none() && trial.script(command).is_none() {
        let mut findings = CommandReader {
            diagnostics,
            strict,
        };
        findings.words(command);
    }
    Recipe::Deferrable
}

/// The type where the task names none (SPEC §5); nothing where there is no host
/// to go by.
pub fn default_exec(host: Option<&str>, defaults: &Defaults) -> Option<Arc<ExecType>> {
    if defaults.exec.is_some() {
        return defaults.exec.clone();
    }
    let name = match host {
        Some(host) if host::is_this_machine(host, &defaults.own_name) => "local",
        Some(_) => exec::REMOTE_DEFAULT,
        None => return None,
    };
    defaults.types.find(name).cloned()
}

/// Makes the payload in the run, for an exec type known only now.
///
/// # Errors
/// The first thing wrong with the command, as one sentence.
pub fn payload(command: &Command, exec: &ExecType, strict: bool) -> Result<Payload, String> {
    let mut diagnostics = DiagnosticList::default();
    match (CommandReader {
        diagnostics: &mut diagnostics,
        strict,
    })
    .payload(command, exec)
    {
        Some(payload) if !diagnostics.has_errors() => Ok(payload),
        _ => Err(diagnostics
            .first_message()
            .unwrap_or_else(|| "the command cannot be read".into())),
    }
}

struct CommandReader<'a> {
    diagnostics: &'a mut DiagnosticList,
    strict: bool,
}

impl CommandReader<'_> {
    fn payload(&mut self, command: &Command, exec: &ExecType) -> Option<Payload> {
        if exec.takes_script() {
            self.script(command)
        } else {
            self.words(command)
        }
    }

    fn script(&mut self, command: &Command) -> Option<Payload> {
        let mut line = command.command.clone();
        if let Some(arguments) = &command.arguments {
            let at = arguments.pieces.first().map_or(Span::whole(0), Piece::at);
            line.pieces.push(Piece::Text {
                text: " ".into(),
                at,
                direct: false,
                secret: false,
            });
            line.pieces.extend(arguments.pieces.iter().cloned());
        }
        let blank = line.known_text().is_some_and(|t| t.trim().is_empty());
        if let Some(at) = line.pieces.first().map(Piece::at).filter(|_| blank) {
            self.diagnostics.error(at, "this script is empty");
            return None;
        }
        match script::scan(&line) {
            Ok(script) => {
                self.fits(&script.text, &line, "script")?;
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

    fn words(&mut self, command: &Command) -> Option<Payload> {
        let mut out = Vec::new();
        let mut of_command = None;
        for value in [Some(&command.command), command.arguments.as_ref()]
            .into_iter()
            .flatten()
        {
            let (strict, diagnostics) = (self.strict, &mut *self.diagnostics);
            let split = words::split(value, &mut |name, at| match environment(name, at, strict) {
                Ok(Some(piece)) => Some(piece),
                Ok(None) => {
                    diagnostics.warning(
                        at,
                        format!("the environment variable `{name}` is not set; it counts as empty"),
                    );
                    None
                }
                Err(message) => {
                    diagnostics.error(at, message);
                    None
                }
            });
            match split {
                Ok(split) => {
                    for (at, word) in split.operators {
                        let message = match word.contains('`') {
                            true => format!("{word} is passed literally, no shell sees it"),
                            false => format!("`{word}` is passed literally, no shell sees it"),
                        };
                        self.diagnostics
                            .warning(at, message)
                            .help("use `exec=shell` for pipes, redirections and substitutions");
                    }
                    match out.is_empty() {
                        true => out = split.words,
                        false => out.extend(split.words),
                    }
                    of_command.get_or_insert(out.len());
                }
                Err(at) => {
                    self.diagnostics.error(at, "this quote is never closed");
                    return None;
                }
            }
        }
        if out.is_empty() {
            let at = command.command.pieces.first().map(Piece::at);
            if let Some(at) = at {
                self.diagnostics.error(at, "this command has no words");
            }
            return None;
        }
        for word in &out {
            self.fits(word, word, "word")?;
        }
        let of_command = of_command.unwrap_or(out.len());
        Some(Payload::Words {
            words: out,
            of_command,
        })
    }

    /// Refuses a word of the author's that the kernel would not take; cut off
    /// it would mean something else. Results are cut in the run, with a warning.
    fn fits(&mut self, word: &Template, written: &Template, what: &str) -> Option<()> {
        let length: usize = word.pieces.iter().map(Piece::size).sum();
        if length <= LONGEST_WORD {
            return Some(());
        }
        let at = written.pieces.first().map_or(Span::whole(0), Piece::at);
        let message =
            format!("a {what} has at most {LONGEST_WORD} bytes (128 KiB), this one has {length}");
        self.diagnostics
            .error(at, message)
            .help("hand large data over with `stdin=`");
        None
    }

    /// What is probably not meant.
    fn doubts(
        &mut self,
        task: &Task,
        command: &Command,
        exec: &ExecType,
        payload: &Payload,
        programs: &mut Programs,
    ) {
        let host = command
            .hostname
            .iter()
            .flat_map(|h| &h.pieces)
            .find(|p| p.is_secret());
        if let Some(at) = host.map(Piece::at) {
            self.diagnostics
                .warning(at, "a secret as a host name stands in every log and report");
        }
        let written = [Some(&command.command), command.arguments.as_ref()];
        let words: &[Template] = match payload {
            Payload::Words { words, .. } => words,
            Payload::Script(_) => &[],
        };
        let values = written.into_iter().flatten().chain(words);
        let mut pieces = values.flat_map(|t| &t.pieces);
        if let Some(at) = pieces.find(|p| p.is_secret()).map(Piece::at) {
            let warning = self.diagnostics.warning(
                at,
                "a secret in a command's words is visible to everyone in `ps`",
            );
            warning.help("hand it over with `env.NAME=` or `stdin=`");
        }
        let Payload::Words { words, .. } = payload else {
            return;
        };
        if let Some(at) = data_after_c(words) {
            let message = "a result after `-c` is parsed again by the program that gets it; it could run what the result says";
            self.diagnostics
                .warning(at, message)
                .help("use `exec=shell`, which passes results as data");
        }
        if exec.way == ExecMethod::Words {
            self.program(task, command, &words[0], programs);
        }
    }

    /// Warns of a program that is not there now; it may be there in the run.
    fn program(
        &mut self,
        task: &Task,
        command: &Command,
        word: &Template,
        programs: &mut Programs,
    ) {
        let Some(key) = known_program(command, word) else {
            return;
        };
        let in_path = !key.0.contains('/');
        let found = match programs.get(&key) {
            Some(found) => *found,
            None => {
                let found = find_program(&key.0, key.1.as_deref()).is_some();
                programs.insert(key, found);
                found
            }
        };
        if found {
            return;
        }
        let (at, name) = (task.key_span("command"), word.shown(None));
        if in_path {
            let path = std::env::var("PATH").unwrap_or_default();
            self.diagnostics
                .warning(at, format!("the program `{name}` is not in PATH"))
                .help(match remedy(&name) {
                    Some(remedy) => remedy.to_string(),
                    None => format!("PATH is {path}"),
                });
        } else {
            self.diagnostics
                .warning(at, format!("there is no program `{name}`"));
        }
    }
}

/// What to do about a first word that only a shell understands.
fn remedy(word: &str) -> Option<&'static str> {
    let assigns = word.split_once('=').is_some_and(|(n, _)| is_identifier(n));
    match word {
        _ if assigns => Some("only a shell sets a variable so; use `env.NAME=`, or `exec=shell`"),
        "cd" | "pushd" => Some("only a shell knows it; use `workdir=`, or `exec=shell`"),
        "alias" | "eval" | "exec" | "exit" | "export" | "for" | "if" | "set" | "source"
        | "trap" | "type" | "ulimit" | "umask" | "unset" | "until" | "wait" | "while" | "{"
        | "." | "(" | "[[" => Some("only a shell knows it; use `exec=shell`"),
        _ => None,
    }
}

/// A command's program and its working directory, as far as both are known and
/// the program is looked for in our own PATH.
fn known_program(command: &Command, word: &Template) -> Option<(String, Option<String>)> {
    let has_own_path = command.env.iter().any(|(n, _)| n == "PATH");
    let workdir = command.workdir.as_ref();
    if has_own_path || workdir.is_some_and(Template::depends_on_run) {
        return None;
    }
    let workdir = workdir.and_then(Template::known_text);
    Some((
        word.known_text()?.into_owned(),
        workdir.map(Cow::into_owned),
    ))
}

/// The programs of `local` commands that are not there (`-c`).
pub fn missing_local_programs(tasks: &[Task], recipes: &[Recipe]) -> Vec<String> {
    let mut programs: Vec<_> = tasks
        .iter()
        .zip(recipes)
        .filter_map(|(task, recipe)| match recipe {
            Recipe::Ready {
                exec,
                payload: Payload::Words { words, .. },
            } if exec.way == ExecMethod::Words => known_program(task.command()?, &words[0]),
            _ => None,
        })
        .collect();
    programs.sort_unstable();
    programs.dedup();
    programs.retain(|(program, workdir)| find_program(program, workdir.as_deref()).is_none());
    let mut missing: Vec<String> = programs.into_iter().map(|(program, _)| program).collect();
    missing.dedup();
    missing
}

/// A reference in the words after a `-c`.
fn data_after_c(words: &[Template]) -> Option<Span> {
    let c = words.iter().position(|w| {
        w.known_text()
            .is_some_and(|w| w.starts_with('-') && !w.starts_with("--") && w.ends_with('c'))
    })?;
    words[c + 1..]
        .iter()
        .flat_map(|w| w.references())
        .find(|(to, _)| to.is_data())
        .map(|(_, at)| at)
}

/// Where a program is, searched as the kernel and a shell do it.
pub fn find_program(program: &str, workdir: Option<&str>) -> Option<PathBuf> {
    if program.contains('/') {
        let path = Path::new(workdir.unwrap_or("")).join(program);
        return is_executable(&path).then_some(path);
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|p| is_executable(p))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}
