//! The command line: what it asks for, and the options as they were typed.
#![forbid(unsafe_code)]

use super::invocation::{self, Typed};
use super::options::{self, CliOption, PlanForm, Shell, choose};
use std::ffi::OsString;

/// What the command line asks for.
pub enum Request {
    /// The short help (`-h`) or all of it.
    Help {
        short: bool,
    },
    Version,
    Completions(Shell),
    /// What is known of a run, or of all runs.
    Status {
        run: Option<OsString>,
        typed: Vec<Typed>,
    },
    /// The runs of a project.
    ProjectSummary {
        name: String,
        typed: Vec<Typed>,
    },
    /// That what is no longer kept be removed.
    Prune {
        typed: Vec<Typed>,
    },
    /// Everything that is asked of a task file.
    TaskFile {
        file: OsString,
        typed: Vec<Typed>,
    },
}

/// Reads the command line.
///
/// # Errors
/// One sentence for standard error; the exit code is 2.
pub fn read(arguments: impl Iterator<Item = OsString>) -> Result<Request, String> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let (mut file, mut typed) = (None, Vec::new());
    // The option before the word, if its value could only have been given with `=`.
    let mut bare: Option<&CliOption> = None;
    // The option and the word after it.
    let mut apart = None;
    while let Some(argument) = parser.next().map_err(explain)? {
        let is_short = matches!(argument, lexopt::Arg::Short(_));
        let option = match argument {
            lexopt::Arg::Value(value) => {
                if let Some(option) = bare.take() {
                    apart = Some((option, value.clone()));
                }
                if file.is_some() {
                    return Err(second_file(value, apart));
                }
                file = Some(value);
                continue;
            }
            lexopt::Arg::Long(name) => options::find_long(name)?,
            lexopt::Arg::Short(letter) => options::find_short(letter)?,
        };
        let value = value_of(option, &mut parser)?;
        bare = (option.value_is_optional && value.is_none()).then_some(option);
        match (option.long, &value) {
            ("help", _) => return Ok(Request::Help { short: is_short }),
            ("version", _) => return Ok(Request::Version),
            ("completions", Some(shell)) => {
                let shell = choose(&shell.to_string_lossy(), &Shell::NAMES);
                let shell = shell.map_err(|e| format!("--completions: {e}"))?;
                return Ok(Request::Completions(shell));
            }
            _ => typed.push(Typed { option, value }),
        }
    }
    if typed.iter().any(|t| QUESTIONS.contains(&t.option.long)) {
        return question(file, typed);
    }
    match file {
        Some(file) => Ok(Request::TaskFile { file, typed }),
        None => Err("no task file given".into()),
    }
}

/// Takes the option's value from the command line.
fn value_of(option: &CliOption, parser: &mut lexopt::Parser) -> Result<Option<OsString>, String> {
    if option.value.is_none() {
        return Ok(None);
    }
    if option.value_is_optional {
        return Ok(parser.optional_value());
    }
    match parser.value() {
        Ok(value) if !value.is_empty() => Ok(Some(value)),
        _ => Err(option.needs_value()),
    }
}

fn explain(error: lexopt::Error) -> String {
    match error {
        lexopt::Error::UnexpectedValue { option, .. } => format!("`{option}` takes no value"),
        error => error.to_string(),
    }
}

/// A second word that is not an option: often the value of an option before it.
fn second_file(second: OsString, apart: Option<(&CliOption, OsString)>) -> String {
    let meant = apart.map(|(option, word)| (option.long, word.to_string_lossy().into_owned()));
    let meant = meant
        .filter(|(long, word)| *long != "show-plan" || choose(word, &PlanForm::NAMES).is_ok())
        .map(|(long, word)| format!("; did you mean `--{long}={word}`?"));
    format!(
        "expected one task file, found `{}` as well{}",
        second.to_string_lossy(),
        meant.unwrap_or_default()
    )
}

/// Options that are about earlier runs, and run nothing.
const QUESTIONS: [&str; 3] = ["status", "project-summary", "prune"];

/// What may be given with one of them.
const GO_WITH_QUESTIONS: [&str; 4] = ["log-dir", "config", "color", "quiet"];

fn question(file: Option<OsString>, typed: Vec<Typed>) -> Result<Request, String> {
    let is_question = |t: &&Typed| QUESTIONS.contains(&t.option.long);
    let Some(asked) = typed.iter().find(is_question) else {
        return Err("no task file given".into());
    };
    let name = asked.option.long;
    let fits = |t: &&Typed| t.option.long == name || GO_WITH_QUESTIONS.contains(&t.option.long);
    if let Some(other) = typed.iter().find(|t| !fits(t)) {
        let other = other.option.long;
        return Err(format!("`--{other}` and `--{name}` do not go together"));
    }
    let value = asked.value.clone().filter(|v| !v.is_empty());
    match (name, value, file) {
        // The run can also be the next word: there is no task file here.
        ("status", None, run) | ("status", run, None) => Ok(Request::Status { run, typed }),
        ("status", Some(run), Some(other)) => Err(format!(
            "expected one run, found `{}` and `{}`",
            run.to_string_lossy(),
            other.to_string_lossy()
        )),
        (_, _, Some(file)) => Err(format!(
            "`--{name}` reads no task file; leave `{}` out",
            file.to_string_lossy()
        )),
        ("prune", ..) => Ok(Request::Prune { typed }),
        (_, value, None) => invocation::project(&value.unwrap_or_default().to_string_lossy())
            .map(|name| Request::ProjectSummary { name, typed })
            .map_err(|why| format!("--{name}: {why}")),
    }
}
