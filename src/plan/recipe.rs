//! How each task would be run: its exec type and its payload (SPEC §5).
//!
//! Recipes are made when the file is loaded, so that every mistake in a command is
//! found then. `run` fills in what depends on results.
#![forbid(unsafe_code)]

use super::exec::{self, ExecMethod, ExecType, ExecTypes};
use super::payload::{CommandReader, Payload};
use super::programs::{ProgramCache, ProgramName, shell_remedy};
use crate::task::build::TaskFile;
use crate::task::host_files::HostFiles;
use crate::task::{Command, Task, host, nodeset};
use crate::text::diagnostic::{Category, DiagnosticList};
use crate::text::nearest::{did_you_mean, nearest};
use crate::text::template::{Piece, Reference, Template};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// What applies to tasks that do not set it themselves.
pub struct Defaults {
    pub types: ExecTypes,
    /// `-t`, else `TASK_EXECUTOR_TYPE`, else `tasker.conf`.
    pub exec: Option<Arc<ExecType>>,
    /// `-o`, else `TASK_EXECUTOR_TIMEOUT`, else `tasker.conf`, else 300 s.
    pub timeout: Duration,
    /// The same for a final task, but else 60 s (SPEC §3.7).
    pub final_timeout: Duration,
    /// How long a command has between SIGTERM and SIGKILL (SPEC §4.3).
    pub kill_after: Duration,
    /// How long a host may take to answer (SPEC §5).
    pub connect_timeout: Duration,
    /// How many subtasks of a block run at once without `max_parallel=`.
    pub max_parallel: u32,
    /// The name of this machine.
    pub own_name: String,
    /// `--strict-env-validation`
    pub strict_env: bool,
}

impl Defaults {
    /// The timeout of a task's command (SPEC §4.3); `None` if it comes from a result.
    pub fn known_timeout(
        &self,
        task: &Task,
        command: &Command,
        recipe: &Recipe,
    ) -> Option<Duration> {
        if let Some(timeout) = &command.timeout {
            return timeout.known().copied();
        }
        let of_type = match recipe {
            Recipe::Ready { exec, .. } => exec.timeout,
            Recipe::None | Recipe::Late => None,
        };
        Some(of_type.unwrap_or(self.default_timeout(task)))
    }

    /// How long an attempt may take to connect before its timeout counts (SPEC §6.5).
    pub fn connect_timeout(&self, command: &Command, recipe: &Recipe) -> Duration {
        match recipe {
            Recipe::Ready { exec, .. } if exec.connects() => self.connect_timeout,
            // Its type comes from a result. One that a host decides does not connect.
            Recipe::Late if command.exec.is_some() => self.connect_timeout,
            Recipe::Ready { .. } | Recipe::Late | Recipe::None => Duration::ZERO,
        }
    }

    /// The timeout of a task that has none of its own or of its exec type.
    pub fn default_timeout(&self, task: &Task) -> Duration {
        match task.in_finals {
            true => self.final_timeout,
            false => self.timeout,
        }
    }
}

/// How a task would be run, as far as it is known before the run.
pub enum Recipe {
    /// It runs no command.
    None,
    /// Its exec type, or the host that decides it, comes from a result.
    Late,
    Ready {
        exec: Arc<ExecType>,
        payload: Payload,
    },
}

/// Makes the recipe of every task, in their order; mistakes in commands are reported,
/// also in those of tasks that are not part of the workflow.
pub fn prepare(
    file: &TaskFile,
    defaults: &Defaults,
    diagnostics: &mut DiagnosticList,
) -> Vec<Recipe> {
    diagnostics.begin_category(Category::Syntax);
    let mut programs = ProgramCache::default();
    let tasks = file.tasks.iter().chain(&file.rejected);
    let mut recipes: Vec<Recipe> = tasks
        .map(|task| recipe(task, &file.host_files, defaults, &mut programs, diagnostics))
        .collect();
    recipes.truncate(file.tasks.len());
    recipes
}

fn recipe(
    task: &Task,
    host_files: &HostFiles,
    defaults: &Defaults,
    programs: &mut ProgramCache,
    diagnostics: &mut DiagnosticList,
) -> Recipe {
    let Some(command) = task.command() else {
        return Recipe::None;
    };
    let exec = match exec_type(task, command, defaults, diagnostics) {
        ExecChoice::Known(exec) => exec,
        ExecChoice::Wrong(Some(meant)) => {
            check_command(task, host_files, &meant, defaults, diagnostics);
            return Recipe::Late;
        }
        ExecChoice::Wrong(None) | ExecChoice::Late => {
            check_late(command, defaults, diagnostics);
            return Recipe::Late;
        }
    };
    let Some(payload) = check_command(task, host_files, &exec, defaults, diagnostics) else {
        return Recipe::Late;
    };
    if let Payload::Words { words, .. } = &payload
        && exec.way == ExecMethod::Words
    {
        warn_of_missing_program(task, command, &words[0], programs, diagnostics);
    }
    Recipe::Ready { exec, payload }
}

/// Checks a command for this exec type; its payload, if it has no mistake.
fn check_command(
    task: &Task,
    host_files: &HostFiles,
    exec: &ExecType,
    defaults: &Defaults,
    diagnostics: &mut DiagnosticList,
) -> Option<Payload> {
    let command = task.command()?;
    let own_name = &defaults.own_name;
    match exec.is_local() {
        true => warn_of_foreign_host(task, host_files, exec, own_name, diagnostics),
        false => check_remote(task, command, exec, diagnostics),
    }
    let payload = CommandReader::new(diagnostics, defaults.strict_env).payload(command, exec);
    warn_of_secrets(command, payload.as_ref(), diagnostics);
    payload
}

enum ExecChoice {
    Known(Arc<ExecType>),
    /// Known only during the run.
    Late,
    /// A mistake, already reported, and the type that was probably meant.
    Wrong(Option<Arc<ExecType>>),
}

fn exec_type(
    task: &Task,
    command: &Command,
    defaults: &Defaults,
    diagnostics: &mut DiagnosticList,
) -> ExecChoice {
    if let Some(name) = &command.exec {
        let Some(text) = name.known_text() else {
            return ExecChoice::Late;
        };
        let text = text.trim();
        if let Some(exec) = defaults.types.find(text) {
            return ExecChoice::Known(exec.clone());
        }
        let message = match name.has_secret() {
            true => "there is no such exec type; its name is a secret".into(),
            false => format!("there is no exec type `{text}`"),
        };
        diagnostics
            .error(task.key_span("exec"), message)
            .category(Category::ExecType)
            .label(did_you_mean(text, defaults.types.names()));
        let meant = nearest(text, &mut defaults.types.names());
        let meant = meant.and_then(|name| defaults.types.find(name));
        return ExecChoice::Wrong(meant.cloned());
    }
    if let Some(exec) = &defaults.exec {
        return ExecChoice::Known(exec.clone());
    }
    let host = command.hostname.as_ref();
    if task.is_block() || host.is_some_and(Template::depends_on_run) {
        return ExecChoice::Late;
    }
    let host = host.and_then(Template::known_text);
    match default_exec(host.as_deref(), defaults) {
        Some(exec) => ExecChoice::Known(exec),
        None => {
            let message = format!(
                "{} needs a `hostname`, or `exec=local` to run on this machine",
                task.called()
            );
            diagnostics.error(task.at, message);
            ExecChoice::Wrong(defaults.types.find("local").cloned())
        }
    }
}

/// The exec type of a task without `exec=` (SPEC §5); `None` if there is no host to
/// choose it by.
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

/// Checks a command whose exec type is known only during the run. What no type could
/// take, neither as words nor as a script, is a mistake now.
fn check_late(command: &Command, defaults: &Defaults, diagnostics: &mut DiagnosticList) {
    let strict = defaults.strict_env;
    let mut scratch = DiagnosticList::default();
    let mut trial = CommandReader::new(&mut scratch, strict);
    if trial.words(command).is_none() && trial.script(command, None).is_none() {
        CommandReader::new(diagnostics, strict).words(command);
    }
}

/// A command on another host needs a host, and some keys do not reach it.
fn check_remote(task: &Task, command: &Command, exec: &ExecType, diagnostics: &mut DiagnosticList) {
    let name = exec.name();
    if command.hostname.is_none() && !task.is_block() {
        let message = format!(
            "{} needs a `hostname`: exec type `{name}` runs on one",
            task.called()
        );
        diagnostics.error(task.at, message);
    }
    for (key, at) in &task.written {
        let key = match *key {
            "workdir" => "workdir",
            // The wrapper on the remote host gets the variables with the words.
            "env." if !matches!(exec.way, ExecMethod::Ssh { .. }) => "env",
            _ => continue,
        };
        let message = format!(
            "`{key}` is for commands on this machine; exec type `{name}` does not pass it on"
        );
        diagnostics.warning(*at, message);
    }
}

/// Warns of a command that runs on this machine although another host is named for it,
/// unless it uses that name.
fn warn_of_foreign_host(
    task: &Task,
    host_files: &HostFiles,
    exec: &ExecType,
    own_name: &str,
    diagnostics: &mut DiagnosticList,
) {
    let Some(command) = task.command().filter(|command| !uses_host(command)) else {
        return;
    };
    // A type of `tasker.conf` without `{hostname}` can find the host by other means.
    if !matches!(exec.way, ExecMethod::Words | ExecMethod::Script) {
        return;
    }
    let (key, hosts) = match task.node_set() {
        Some(set) => ("hostnames", known_hosts(set, host_files)),
        None => {
            let host = command.hostname.as_ref().and_then(Template::known_text);
            ("hostname", host.map(Cow::into_owned).into_iter().collect())
        }
    };
    let is_foreign =
        |host: &&String| host::check(host).is_ok() && !host::is_this_machine(host, own_name);
    let Some(host) = hosts.iter().find(is_foreign) else {
        return;
    };
    let name = exec.name();
    let message = format!("exec type `{name}` runs the command on this machine, not on `{host}`");
    let remote = match exec.takes_script() {
        true => "ssh-shell",
        false => "ssh",
    };
    diagnostics
        .warning(task.key_span(key), message)
        .help(format!(
            "use `exec={remote}` to run it there, or name the host in it with `@hostname@`"
        ));
}

/// The hosts of a node set, as far as they are known before the run.
fn known_hosts(set: &Template, host_files: &HostFiles) -> Vec<String> {
    let text = set.known_text();
    let set = text.and_then(|text| nodeset::expand(&text, host_files).ok());
    set.map_or_else(Vec::new, |set| set.hosts)
}

/// Whether anything of the command refers to its host.
fn uses_host(command: &Command) -> bool {
    let values = [&command.arguments, &command.stdin, &command.workdir];
    let values = values.into_iter().flatten();
    let env = command.env.iter().map(|(_, value)| value);
    values
        .chain(env)
        .chain([&command.command])
        .any(|value| value.references().any(|(to, _)| to == Reference::Hostname))
}

fn warn_of_secrets(command: &Command, payload: Option<&Payload>, diagnostics: &mut DiagnosticList) {
    let secret = |t: &Template| t.pieces.iter().find(|p| p.is_secret()).map(Piece::at);
    if let Some(at) = command.hostname.as_ref().and_then(secret) {
        let message = "a secret used as a host name appears in every log and report";
        diagnostics.warning(at, message);
    }
    let written = [Some(&command.command), command.arguments.as_ref()];
    let words: &[Template] = match payload {
        Some(Payload::Words { words, .. }) => words,
        _ => &[],
    };
    let mut values = written.into_iter().flatten().chain(words);
    if let Some(at) = values.find_map(secret) {
        let message = "a secret in a command's words is visible to everyone in `ps`";
        diagnostics
            .warning(at, message)
            .help("pass it with `env.NAME=` or `stdin=`");
    }
}

/// Warns of a program that does not exist now; it can still exist during the run.
fn warn_of_missing_program(
    task: &Task,
    command: &Command,
    word: &Template,
    programs: &mut ProgramCache,
    diagnostics: &mut DiagnosticList,
) {
    let program = ProgramName::of_command(command, word);
    let Some(program) = program.filter(|p| !programs.exists(p)) else {
        return;
    };
    let (at, name) = (task.key_span("command"), word.shown(None));
    if program.name.contains('/') {
        diagnostics.warning(at, format!("there is no program `{name}`"));
        return;
    }
    let path = || format!("PATH is {}", std::env::var("PATH").unwrap_or_default());
    diagnostics
        .warning(at, format!("the program `{name}` is not in PATH"))
        .help(shell_remedy(&name).map_or_else(path, String::from));
}

/// The programs of `local` commands that do not exist (`-c`).
pub fn missing_local_programs<'a>(
    tasks: impl Iterator<Item = (&'a Task, &'a Recipe)>,
) -> Vec<String> {
    let programs = tasks.filter_map(|(task, recipe)| match recipe {
        Recipe::Ready {
            exec,
            payload: Payload::Words { words, .. },
        } if exec.way == ExecMethod::Words => ProgramName::of_command(task.command()?, &words[0]),
        _ => None,
    });
    let mut programs: Vec<ProgramName> = programs.collect();
    programs.sort_unstable();
    programs.dedup();
    programs.retain(|program| !program.exists());
    let mut missing: Vec<String> = programs.into_iter().map(|p| p.name).collect();
    missing.dedup();
    missing
}
