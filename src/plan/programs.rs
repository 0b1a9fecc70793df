//! Programs of commands on this machine, looked up before the run.
#![forbid(unsafe_code)]

use crate::task::Command;
use crate::task::keys::is_identifier;
use crate::text::template::Template;
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A program as a command names it, and the working directory of the command.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProgramName {
    pub name: String,
    workdir: Option<String>,
}

impl ProgramName {
    /// The program of a command; `None` if a result decides it, or if the command sets
    /// a `PATH` of its own.
    pub fn of_command(command: &Command, word: &Template) -> Option<ProgramName> {
        let workdir = command.workdir.as_ref();
        let has_own_path = command.env.iter().any(|(n, _)| n == "PATH");
        if has_own_path || workdir.is_some_and(Template::depends_on_run) {
            return None;
        }
        let workdir = workdir.and_then(Template::known_text);
        Some(ProgramName {
            name: word.known_text()?.into_owned(),
            workdir: workdir.map(Cow::into_owned),
        })
    }

    pub fn exists(&self) -> bool {
        find_program(&self.name, self.workdir.as_deref()).is_some()
    }
}

/// Which programs exist: each is looked up once, however many tasks run it.
#[derive(Default)]
pub struct ProgramCache(HashMap<ProgramName, bool>);

impl ProgramCache {
    pub fn exists(&mut self, program: &ProgramName) -> bool {
        match self.0.get(program) {
            Some(exists) => *exists,
            None => {
                let exists = program.exists();
                self.0.insert(program.clone(), exists);
                exists
            }
        }
    }
}

/// The remedy for a first word that only a shell understands.
pub fn shell_remedy(word: &str) -> Option<&'static str> {
    let assigns = word.split_once('=').is_some_and(|(n, _)| is_identifier(n));
    match word {
        _ if assigns => {
            Some("only a shell sets variables like this; use `env.NAME=`, or `exec=shell`")
        }
        "cd" | "pushd" => Some("it exists only in a shell; use `workdir=`, or `exec=shell`"),
        "alias" | "eval" | "exec" | "exit" | "export" | "for" | "if" | "set" | "source"
        | "trap" | "type" | "ulimit" | "umask" | "unset" | "until" | "wait" | "while" | "{"
        | "." | "(" | "[[" => Some("it exists only in a shell; use `exec=shell`"),
        _ => None,
    }
}

/// The path of a program, found as the kernel and a shell find it.
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

/// Whether it is a plain file that somebody may run.
pub fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}
