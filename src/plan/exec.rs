//! Exec types (SPEC §5): how a command reaches its host. This file has the built-in
//! types; `tasker.conf` adds types and overrides them (`conf`).
#![forbid(unsafe_code)]

use crate::text::bash::checker::ScriptShell;
use crate::text::bash::words::is_shell;
use crate::text::nearest::{did_you_mean, suggestion};
use crate::text::source::Span;
use crate::text::template::Template;
use crate::text::words;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A part of an exec type's argument vector: one word or several.
#[derive(Clone, Debug, PartialEq)]
pub enum Arg {
    /// One word in pieces; `None` is the host.
    Word(Vec<Option<String>>),
    /// The words of `command`.
    Command,
    /// The words of `arguments`.
    Arguments,
    /// `COMMAND ARGUMENTS` as one script, in one word.
    Script,
}

/// How an exec type runs a command.
#[derive(Clone, Debug, PartialEq)]
pub enum ExecMethod {
    /// The words are the program and its arguments.
    Words,
    /// `COMMAND ARGUMENTS` is a script for the local shell.
    Script,
    /// A program that carries the words, or the script, to the host.
    Argv(Vec<Arg>),
    /// The system's `ssh` with a wrapper on the remote host, for a script or for words.
    Ssh {
        script: bool,
        /// `ssh_options`: words before the host.
        options: Vec<String>,
    },
}

/// The test of an exec type on a host (`-c`).
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    pub words: Vec<String>,
    pub exit: i32,
    /// What its output must contain.
    pub output: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ExecType {
    /// The name and its aliases.
    pub names: Vec<String>,
    pub way: ExecMethod,
    pub probe: Option<Probe>,
    /// The timeout of its tasks without `timeout=`.
    pub timeout: Option<Duration>,
    /// The port to try if a host cannot be pinged.
    pub port: Option<u16>,
    /// Whether this machine can resolve its hosts. A pod, a container or a job of a
    /// site's own type has no address.
    pub resolves: bool,
    /// Whether `tasker.conf` leaves it as it is.
    pub built_in: bool,
}

impl ExecType {
    /// Whether tasker sees when the host has answered.
    pub fn connects(&self) -> bool {
        matches!(self.way, ExecMethod::Ssh { .. })
    }

    pub fn name(&self) -> &str {
        &self.names[0]
    }

    /// Whether it runs on this machine, with or without a host.
    pub fn is_local(&self) -> bool {
        match &self.way {
            ExecMethod::Words | ExecMethod::Script => true,
            ExecMethod::Ssh { .. } => false,
            ExecMethod::Argv(args) => !args
                .iter()
                .any(|a| matches!(a, Arg::Word(parts) if parts.contains(&None))),
        }
    }

    /// A type like `ssh`, or `ssh-shell` for scripts.
    pub fn over_ssh(name: &str, script: bool, options: Vec<String>) -> ExecType {
        let way = ExecMethod::Ssh { script, options };
        built_in(&[name], way, Some(("true", None)))
    }

    /// The `ssh_options` of a type that is built on ssh.
    pub fn ssh_options(&self) -> Option<&[String]> {
        match &self.way {
            ExecMethod::Ssh { options, .. } => Some(options),
            _ => None,
        }
    }

    /// Whether it takes the command as a script, not as words.
    pub fn takes_script(&self) -> bool {
        match &self.way {
            ExecMethod::Script | ExecMethod::Ssh { script: true, .. } => true,
            ExecMethod::Argv(args) => args.contains(&Arg::Script),
            _ => false,
        }
    }

    /// The shell that runs its scripts, as far as that is known here.
    pub fn script_shell(&self) -> ScriptShell {
        match &self.way {
            ExecMethod::Words | ExecMethod::Script => match local_shell() {
                BASH => ScriptShell::Bash,
                _ => local_sh(),
            },
            ExecMethod::Ssh { .. } => ScriptShell::Any,
            ExecMethod::Argv(args) => {
                let mut words = args.iter().filter_map(|arg| match arg {
                    Arg::Word(parts) => parts.first()?.as_deref(),
                    _ => None,
                });
                let shell = words.rfind(|word| is_shell(word));
                shell.map_or(ScriptShell::Any, |name| {
                    ScriptShell::of_program(name, ScriptShell::Any)
                })
            }
        }
    }

    /// Whether its scripts that only bash may run are run by bash, or not at all.
    pub fn finds_bash(&self) -> bool {
        matches!(self.way, ExecMethod::Ssh { .. })
    }

    /// The program that it needs; `None` for types that run the words themselves.
    pub fn program(&self) -> Option<&str> {
        match &self.way {
            ExecMethod::Words | ExecMethod::Script => None,
            ExecMethod::Ssh { .. } => Some("ssh"),
            ExecMethod::Argv(args) => match args.first() {
                Some(Arg::Word(parts)) => parts.first().and_then(Option::as_deref),
                _ => None,
            },
        }
    }
}

const BASH: &str = "/bin/bash";

/// The shell for scripts on this machine.
pub fn local_shell() -> &'static str {
    match Path::new(BASH).exists() {
        true => BASH,
        false => "/bin/sh",
    }
}

/// What `sh` is on this machine.
pub fn local_sh() -> ScriptShell {
    let program = std::fs::canonicalize("/bin/sh").unwrap_or_default();
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    match name.as_ref() {
        "sh" => ScriptShell::Any,
        name => ScriptShell::of_program(name, ScriptShell::Any),
    }
}

/// Every exec type of this invocation.
pub struct ExecTypes {
    list: Vec<Arc<ExecType>>,
    /// The place in the list, by each name and alias.
    places: HashMap<String, usize>,
}

/// The default type for hosts other than this machine.
pub const REMOTE_DEFAULT: &str = "pbrun";

impl ExecTypes {
    pub fn built_in() -> ExecTypes {
        let list = [
            built_in(&["local"], ExecMethod::Words, None),
            built_in(&["shell", "bash", "sh"], ExecMethod::Script, None),
            ExecType::over_ssh("ssh", false, Vec::new()),
            ExecType::over_ssh("ssh-shell", true, Vec::new()),
            built_in(
                &["pbrun"],
                carried_by(&["pbrun", "-n", "-h"]),
                Some(("pbtest", Some("OK"))),
            ),
            built_in(&["p7s"], carried_by(&["p7s"]), Some(("pbtest", Some("OK")))),
            built_in(
                &["wwrs"],
                carried_by(&["wwrs_clir"]),
                Some(("wwrs_test", Some("OK"))),
            ),
        ];
        let mut types = ExecTypes {
            list: Vec::new(),
            places: HashMap::new(),
        };
        list.into_iter().for_each(|exec| types.add(exec));
        types
    }

    /// Adds a type, in place of one with the same name.
    pub fn add(&mut self, exec: ExecType) {
        let names = exec.names.clone();
        let place = match self.places.get(&names[0]) {
            Some(place) => {
                let before = std::mem::replace(&mut self.list[*place], Arc::new(exec));
                let place = *place;
                before.names.iter().for_each(|name| {
                    self.places.remove(name);
                });
                place
            }
            None => {
                self.list.push(Arc::new(exec));
                self.list.len() - 1
            }
        };
        self.places
            .extend(names.into_iter().map(|name| (name, place)));
    }

    /// Gives options to the types built on ssh, but not to those that have their own.
    pub fn set_ssh_options(&mut self, given: &[String], has_own: impl Fn(&str) -> bool) {
        for exec in &mut self.list {
            if !has_own(exec.name())
                && let ExecMethod::Ssh { options, .. } = &mut Arc::make_mut(exec).way
            {
                *options = given.to_vec();
            }
        }
    }

    /// The type of that name or alias.
    pub fn find(&self, name: &str) -> Option<&Arc<ExecType>> {
        self.places.get(name).map(|place| &self.list[*place])
    }

    pub fn all(&self) -> impl Iterator<Item = &ExecType> {
        self.list.iter().map(Arc::as_ref)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.list
            .iter()
            .flat_map(|t| t.names.iter().map(String::as_str))
    }

    /// The type of that name or alias, as given by the user.
    ///
    /// # Errors
    /// There is no such type; the message suggests the nearest name.
    pub fn resolve(&self, name: &str) -> Result<&Arc<ExecType>, String> {
        self.find(name).ok_or_else(|| {
            let near = suggestion(name, self.names());
            format!("there is no exec type `{name}`{near}")
        })
    }
}

fn built_in(names: &[&str], way: ExecMethod, probe: Option<(&str, Option<&str>)>) -> ExecType {
    let port = matches!(way, ExecMethod::Ssh { .. }).then_some(22);
    let probe = probe.map(|(word, output)| Probe {
        words: vec![word.into()],
        exit: 0,
        output: output.map(String::from),
    });
    ExecType {
        names: names.iter().map(|n| n.to_string()).collect(),
        way,
        probe,
        timeout: None,
        port,
        resolves: true,
        built_in: true,
    }
}

/// `PROGRAM … HOST COMMAND ARGS…`
fn carried_by(program: &[&str]) -> ExecMethod {
    let mut args: Vec<Arg> = program
        .iter()
        .map(|w| Arg::Word(vec![Some(w.to_string())]))
        .collect();
    args.extend([Arg::Word(vec![None]), Arg::Command, Arg::Arguments]);
    ExecMethod::Argv(args)
}

/// Reads the `argv=` or `script=` of a type: words, with `{hostname}` in them,
/// and `{command}`, `{arguments}` or `{script}` as words of their own.
///
/// # Errors
/// The mistake in the line.
pub fn read_argv(line: &str, takes_script: bool) -> Result<ExecMethod, String> {
    let value = Template::literal(line, Span::whole(0));
    // `$` is an ordinary character here: nothing comes from the environment.
    let mut literal =
        |name: &str, at: Span| Some(crate::text::template::Piece::data(format!("${name}"), at));
    let words = words::split(&value, &mut literal);
    if words.open_quote.is_some() {
        return Err("a quote is never closed".into());
    }
    let mut args = Vec::new();
    for word in words.words {
        let word = word.known_text().unwrap_or_default();
        check_placeholders(&word)?;
        args.push(match word.as_ref() {
            "{command}" => Arg::Command,
            "{arguments}" => Arg::Arguments,
            "{script}" => Arg::Script,
            _ => Arg::Word(with_host(&word)),
        });
    }
    let has = |arg: Arg| args.contains(&arg);
    match args.first() {
        None => return Err("expected a program to run, found nothing".into()),
        Some(Arg::Word(parts)) if parts.len() == 1 && parts[0].is_some() => {}
        _ => return Err("expected the program to run as the first word".into()),
    }
    if takes_script && !has(Arg::Script) {
        return Err("`script=` needs `{script}` as a word of its own".into());
    }
    if !takes_script && has(Arg::Script) {
        return Err("`{script}` is for `script=`; `argv=` takes `{command} {arguments}`".into());
    }
    let has_words = has(Arg::Command) && has(Arg::Arguments);
    if !takes_script && !has_words {
        return Err("`argv=` needs `{command}` and `{arguments}` as words of their own".into());
    }
    Ok(ExecMethod::Argv(args))
}

/// Refuses a placeholder that is misspelt or is not a word of its own.
fn check_placeholders(word: &str) -> Result<(), String> {
    const ALONE: [&str; 3] = ["{command}", "{arguments}", "{script}"];
    if ALONE.contains(&word) {
        return Ok(());
    }
    if let Some(part) = ALONE.iter().find(|p| word.contains(**p)) {
        return Err(format!(
            "`{part}` must be a word of its own, found `{word}`"
        ));
    }
    let known = ["hostname", "command", "arguments", "script"];
    for (at, _) in word.match_indices('{') {
        let inside = &word[at + 1..];
        let name = inside.split('}').next().unwrap_or("");
        // `{{.Name}}` and `${x}` are for the program.
        let own = word[..at].ends_with(['{', '$']) || !inside.contains('}');
        let near = did_you_mean(name, known.iter().copied());
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        if !own && name != "hostname" && (is_name || !near.is_empty()) {
            let near = if near.is_empty() {
                "there are `{hostname}`, `{command}`, `{arguments}` and `{script}`"
            } else {
                &near
            };
            return Err(format!("there is no `{{{name}}}`; {near}"));
        }
    }
    Ok(())
}

fn with_host(word: &str) -> Vec<Option<String>> {
    let mut parts = Vec::new();
    for (number, text) in word.split("{hostname}").enumerate() {
        if number > 0 {
            parts.push(None);
        }
        if !text.is_empty() {
            parts.push(Some(text.to_string()));
        }
    }
    if parts.is_empty() {
        parts.push(Some(String::new()));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn argv_lines_are_read() {
        let text = |t: &str| Some(t.to_string());
        let way = read_argv(
            "kubectl exec pod-{hostname} -- {command} {arguments}",
            false,
        );
        assert_eq!(
            way,
            Ok(ExecMethod::Argv(vec![
                Arg::Word(vec![text("kubectl")]),
                Arg::Word(vec![text("exec")]),
                Arg::Word(vec![text("pod-"), None]),
                Arg::Word(vec![text("--")]),
                Arg::Command,
                Arg::Arguments,
            ]))
        );
        assert!(read_argv("sudo -n sh -c {script}", true).is_ok());
        assert!(read_argv("x {{.Name}} ${hostnam} {a,b} {script}", true).is_ok());
        for (bad, script) in [
            ("", false),
            ("{hostname} {command} {arguments}", false),
            ("x {command}", false),
            ("x {script}", false),
            ("x", true),
            ("x 'y", true),
            ("x {hostnam} {command} {arguments}", false),
            ("x --run={command} {command} {arguments}", false),
        ] {
            assert!(read_argv(bad, script).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_type_of_tasker_conf_replaces_a_built_in_one() {
        let mut types = ExecTypes::built_in();
        let way = read_argv("my-ssh {hostname} {command} {arguments}", false)
            .unwrap_or(ExecMethod::Words);
        types.add(ExecType {
            names: vec!["ssh".into()],
            way,
            probe: None,
            timeout: None,
            port: None,
            resolves: false,
            built_in: false,
        });
        assert_eq!(
            types
                .find("ssh")
                .and_then(|t| t.program().map(String::from)),
            Some("my-ssh".into())
        );
        assert_eq!(types.names().filter(|n| *n == "ssh").count(), 1);
        assert!(
            types
                .resolve("shel")
                .is_err_and(|e| e.contains("did you mean `shell`?"))
        );
    }
}
