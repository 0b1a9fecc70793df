//! How a command line about a run is printed: one that does what it says in whatever
//! shell it is typed (SPEC §6.4). It begins in the directory of the run, calls the
//! program as it was called, and gives what came from the environment as options.
#![forbid(unsafe_code)]

use crate::cli::invocation::KeptOption;
use crate::plan::payload;
use crate::plan::recipe::Recipe;
use crate::report::{invoker, log_directory};
use crate::session::load::Loaded;
use crate::task::global_value::is_secret;
use crate::task::nodeset::{self, HostFilter};
use crate::text::quote;
use std::collections::{BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// What the command lines about a run are made of; each part is quoted for a shell.
pub struct CommandLine {
    /// `cd DIR && ` and `sudo -u USER `, each where it is needed.
    beginning: String,
    /// `env NAME=VALUE `, for a fresh run.
    environment: String,
    program: String,
    /// The options that every line needs again.
    always: Vec<String>,
    /// Those that a journal keeps, for a fresh run.
    fresh: Vec<String>,
    file: String,
}

impl CommandLine {
    pub fn new(loaded: &Loaded) -> CommandLine {
        let directory = invoker::working_directory();
        let change = match directory.as_os_str().is_empty() {
            true => String::new(),
            false => format!("cd {} && ", shell_path(&directory)),
        };
        let user = invoker::behind_sudo().map_or(String::new(), |user| {
            format!("sudo -u {} ", quote::shell_word(&user))
        });
        let program = std::env::args_os().next();
        let program = program_as_called(program, invoker::started_in());
        let kept = &loaded.invocation.kept_options;
        let words = |is_meant: fn(&KeptOption) -> bool| {
            let meant = kept.iter().filter(|option| is_meant(option));
            meant.map(|o| o.words.clone()).collect::<Vec<String>>()
        };
        let always = words(|o| !o.is_in_journal);
        let in_journal = words(|o| o.is_in_journal && !matches!(o.long, "limit" | "exclude"));
        CommandLine {
            beginning: change + &user,
            environment: environment(loaded),
            program: shell_path(&program),
            always: [options_of_environment(loaded), always].concat(),
            fresh: [fresh_options_of_environment(loaded), in_journal].concat(),
            file: shell_path(&file_operand(&loaded.name)),
        }
    }

    /// The line that goes on with a run by this option (`--resume`, `--finish-only`).
    /// What the journal keeps is not in it.
    pub fn continuing(&self, option: &str) -> String {
        format!("{} {option} {}", self.before_option(), self.after_option())
    }

    /// What is before the option of a line that goes on with the run.
    pub fn before_option(&self) -> String {
        format!("{}{} -r", self.beginning, self.program)
    }

    /// What is behind it.
    pub fn after_option(&self) -> String {
        let words = self.always.iter().chain([&self.file]);
        words.map(String::as_str).collect::<Vec<&str>>().join(" ")
    }

    /// The line of a fresh run on these hosts.
    pub fn fresh(&self, selection: &HostFilter) -> String {
        let start = format!("{}{}{} -r", self.beginning, self.environment, self.program);
        let set = |option: &str, hosts: &HashSet<String>| {
            let mut hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
            hosts.sort_unstable();
            format!("{option} {}", quote::shell_word(&nodeset::fold(&hosts)))
        };
        let limit = selection.limit.as_ref().map(|hosts| set("--limit", hosts));
        let exclude = Some(&selection.exclude).filter(|hosts| !hosts.is_empty());
        let exclude = exclude.map(|hosts| set("--exclude", hosts));
        let words = std::iter::once(start).chain(limit).chain(exclude);
        let words: Vec<String> = words.chain(self.fresh.iter().cloned()).collect();
        format!("{} {}", words.join(" "), self.after_option())
    }
}

/// A path as a word of a shell.
fn shell_path(path: &Path) -> String {
    quote::shell_argument(path.as_os_str().as_bytes())
}

/// The program as it was called, absolute if it was called by a relative path.
fn program_as_called(called: Option<OsString>, directory: &Path) -> PathBuf {
    let called = PathBuf::from(called.filter(|c| !c.is_empty()).unwrap_or("tasker".into()));
    // Without a `/` the shell looks for it in PATH.
    let is_path = called.as_os_str().as_bytes().contains(&b'/');
    match is_path && called.is_relative() && directory.is_absolute() {
        true => directory.join(called.strip_prefix(".").unwrap_or(&called)),
        false => called,
    }
}

/// The task file, so that it is not taken for an option.
fn file_operand(name: &str) -> PathBuf {
    match name.starts_with('-') {
        true => Path::new(".").join(name),
        false => PathBuf::from(name),
    }
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn option(name: &str, value: &OsStr) -> String {
    format!("{name} {}", quote::shell_argument(value.as_bytes()))
}

/// The options for what the environment or `tasker.conf` said: where the logs are, and
/// which configuration holds.
fn options_of_environment(loaded: &Loaded) -> Vec<String> {
    let invocation = &loaded.invocation;
    let named = loaded.config.log_directory(None).map(|(path, _)| path);
    let named = named.filter(|path| {
        invocation.log_dir.is_none() && log_directory::default_directory().as_ref() != Some(path)
    });
    let config = variable("TASKER_CONFIG").filter(|_| invocation.config.is_none());
    let options = [
        named.map(|path| option("-l", path.as_os_str())),
        config.map(|path| option("--config", &path)),
    ];
    options.into_iter().flatten().collect()
}

/// The same for what a journal keeps: the defaults of tasks.
fn fresh_options_of_environment(loaded: &Loaded) -> Vec<String> {
    let invocation = &loaded.invocation;
    let exec = variable("TASK_EXECUTOR_TYPE").filter(|_| invocation.exec.is_none());
    let timeout = variable("TASK_EXECUTOR_TIMEOUT").filter(|_| !invocation.has_timeout());
    let options = [
        exec.map(|name| option("-t", &name)),
        timeout.map(|time| option("-o", &time)),
    ];
    options.into_iter().flatten().collect()
}

/// `env NAME=VALUE ` with the variables that the run uses; empty without any.
fn environment(loaded: &Loaded) -> String {
    let variables: Vec<String> = used_variables(loaded)
        .iter()
        .map(|(name, value)| format!("{name}={}", quote::shell_argument(value)))
        .collect();
    match variables.is_empty() {
        true => String::new(),
        false => format!("env {} ", variables.join(" ")),
    }
}

/// The environment variables that the file's globals and the words of its commands use
/// and that are set, by name. Not among them is one that is secret by its name, or that
/// a secret global uses.
pub fn used_variables(loaded: &Loaded) -> Vec<(String, Vec<u8>)> {
    let workflow = &loaded.workflow;
    let hidden = workflow.globals.hidden_variables();
    let mut names: BTreeSet<String> = workflow.globals.variables();
    for (task, recipe) in workflow.tasks.iter().zip(&workflow.recipes) {
        // A shell reads the variables of a script itself.
        let is_script = matches!(recipe, Recipe::Ready { exec, .. } if exec.takes_script());
        let command = task.command().filter(|_| !is_script);
        names.extend(command.into_iter().flat_map(payload::variables));
    }
    names.retain(|name| !is_secret(name) && !hidden.contains(name));
    let set = names.into_iter().filter_map(|name| {
        let value = std::env::var_os(&name)?;
        Some((name, value.into_vec()))
    });
    set.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_called_as_it_was() {
        let program = |called: &str| {
            let path = program_as_called(Some(called.into()), Path::new("/d"));
            path.to_string_lossy().into_owned()
        };
        let all = [
            "tasker",
            "/usr/bin/tasker",
            "./tasker",
            "../tasker",
            "bin/t",
            "",
        ];
        assert_eq!(
            all.map(program),
            [
                "tasker",
                "/usr/bin/tasker",
                "/d/tasker",
                "/d/../tasker",
                "/d/bin/t",
                "tasker"
            ]
        );
        assert_eq!(program_as_called(None, Path::new("")), Path::new("tasker"));
        assert_eq!(
            program_as_called(Some("./t".into()), Path::new("")),
            Path::new("./t")
        );
    }

    #[test]
    fn a_file_is_never_taken_for_an_option() {
        assert_eq!(file_operand("-r"), Path::new("./-r"));
        assert_eq!(file_operand("a -r"), Path::new("a -r"));
    }
}
