//! From the command line to a checked workflow: everything that can be refused
//! is refused here, before the first process starts.
#![forbid(unsafe_code)]

use crate::cli::invocation::{self, Invocation, Typed};
use crate::exit;
use crate::plan::check;
use crate::plan::recipe::{self, Defaults};
use crate::plan::workflow::Workflow;
use crate::report::print::complain;
use crate::report::validation_summary::ValidationSummary;
use crate::session::config::{self, Site};
use crate::session::refusal::refuse_command_line;
use crate::session::rejection::Refused;
use crate::session::validation::{Asked, Validation};
use crate::task::build::{self, GlobalOverride};
use crate::task::global_value::is_secret;
use crate::task::keys;
use crate::task::mask::Mask;
use crate::text::diagnostic::{Category, DiagnosticList, printable, reason};
use crate::text::scanner::{self, Line};
use crate::text::source::{BadText, MAX_BYTES, Source, SourceMap, Span};
use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A file that may be run.
pub struct Loaded {
    /// The task file as the user named it.
    pub name: String,
    /// `-` was given.
    pub from_stdin: bool,
    pub sources: SourceMap,
    /// The task file's number among the sources.
    pub file: u32,
    pub invocation: Invocation,
    pub defaults: Defaults,
    pub site: Site,
    pub workflow: Workflow,
    pub validation: Validation,
}

/// Reads, builds and checks; says what is wrong and returns the exit code.
pub fn load(path: &OsStr, typed: &[Typed]) -> Result<Loaded, i32> {
    let from_stdin = path == "-";
    let name = if from_stdin {
        "standard input".into()
    } else {
        path.to_string_lossy().into_owned()
    };
    let bytes = read(path, &name).map_err(|(code, why)| {
        complain(format_args!("tasker: {why}"));
        tell_of_typed(typed, &name, code, &why)
    })?;
    let usage = |why: String| tell_of_typed(typed, &name, refuse_command_line(&why), &why);
    let mut sources = SourceMap::default();
    let mut diagnostics = DiagnosticList::default();
    let (source, bad) = Source::decode(&name, &bytes);
    let file = sources.add(source);
    let lines = lines(file, bad, &mut sources, &mut diagnostics);
    let options = option_lines(&lines, &sources, &mut diagnostics);
    let invocation = Invocation::new(typed, &options, &sources, &mut diagnostics).map_err(usage)?;
    let settings = settings(&invocation, &mut sources);
    let mut site = config::read(&invocation, &mut sources, &mut diagnostics).map_err(usage)?;
    let defaults = site
        .defaults(&invocation, &mut diagnostics)
        .map_err(usage)?;
    let directory = directory(path, from_stdin);
    let tasks = build::build(
        &lines,
        &settings,
        invocation.strict_env,
        &directory,
        &sources,
        &mut diagnostics,
    );
    let none = tasks.tasks.is_empty();
    let recipes = recipe::prepare(&tasks.tasks, &defaults, &mut diagnostics);
    if !from_stdin {
        config::check_owner(Path::new(path), Span::whole(file), &mut diagnostics);
    }
    let workflow = Workflow::new(tasks, recipes, &mut diagnostics);
    let mask = Mask::new(&workflow.globals);
    diagnostics.begin_category(Category::Flow);
    if !diagnostics.has_errors() && !invocation.skip_task_validation {
        let late = invocation.deadline_task.as_ref();
        let late = late.and_then(|task| workflow.find(task));
        check::check(&workflow, late, &mut diagnostics);
    }
    warn_of_skipped(&invocation, &mut diagnostics);
    let empty = none && !diagnostics.has_errors();
    if empty {
        // Nothing else matters then.
        diagnostics.drop_warnings();
    }
    let change = workflow.globals.get("CHANGE").map(|g| g.shown());
    let mut validation = Validation::new(
        &name,
        &invocation,
        site.log_directory(&invocation),
        Asked::new(&defaults.own_name, change),
        mask,
        &mut diagnostics,
        &sources,
    );
    if empty {
        validation.of_file = ValidationSummary::of_empty_file();
    }
    if validation.of_file.code != exit::OK {
        return Err(validation.refuse(&invocation));
    }
    // A quiet run keeps warnings to itself.
    if !(invocation.run && invocation.quiet) {
        note_old_options(&invocation);
        validation.advise();
    }
    Ok(Loaded {
        name,
        from_stdin,
        sources,
        file,
        invocation,
        defaults,
        site,
        workflow,
        validation,
    })
}

/// What is not checked is said, whatever else is silent.
fn warn_of_skipped(invocation: &Invocation, diagnostics: &mut DiagnosticList) {
    if invocation.skip_task_validation {
        diagnostics.drop_warnings();
        complain(format_args!(
            "tasker: warning: the checks of the flow and all warnings are skipped"
        ));
    }
    if invocation.skip_host_validation {
        complain(format_args!(
            "tasker: warning: hosts are neither resolved nor contacted before the run"
        ));
    }
}

/// Tells whoever waits for the run that there will be none, as far as the command
/// line says who that is: the options of the file are not known. The exit code.
fn tell_of_typed(typed: &[Typed], name: &str, code: i32, why: &str) -> i32 {
    let (sources, mut unseen) = (SourceMap::default(), DiagnosticList::default());
    let Ok(invocation) = Invocation::new(typed, &[], &sources, &mut unseen) else {
        return code;
    };
    let site = config::read(&invocation, &mut SourceMap::default(), &mut unseen);
    let directory = site.ok().and_then(|s| s.log_directory(&invocation));
    Refused {
        invocation: &invocation,
        log_directory: directory.as_ref().map(|(path, _)| path.as_path()),
        file: name,
        change: None,
        code,
        why,
        said: "",
        who: "",
        log: None,
        mask: &Mask::default(),
    }
    .tell();
    code
}

/// The bytes of the file; else the exit code, and why.
fn read(path: &OsStr, name: &str) -> Result<Vec<u8>, (i32, String)> {
    let mut bytes = Vec::new();
    let result = if path == "-" {
        io::stdin().take(MAX_BYTES + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|f| f.take(MAX_BYTES + 1).read_to_end(&mut bytes))
    };
    let problem = match result {
        Ok(_) if bytes.len() as u64 <= MAX_BYTES => return Ok(bytes),
        Ok(_) => "it is larger than 1 GiB".to_string(),
        Err(e) if is_absent(&e) => {
            let here = std::env::current_dir()
                .ok()
                .filter(|_| Path::new(name).is_relative());
            let here = here.map(|d| printable(&d.to_string_lossy()));
            let place = here.map_or(String::new(), |d| format!(" in `{d}`"));
            let why = format!("there is no task file `{}`{place}", printable(name));
            return Err((exit::NO_FILE, why));
        }
        Err(e) if e.kind() == io::ErrorKind::IsADirectory => "it is a directory".to_string(),
        Err(e) => reason(&e),
    };
    let why = format!("cannot read the task file `{}`: {problem}", printable(name));
    Err((exit::UNREADABLE, why))
}

fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

/// The lines of the file, the values of secrets hidden; none where it is no text,
/// for half a file says nothing. Its secrets are hidden all the same: the message
/// shows a line of it.
fn lines(
    file: u32,
    bad: Option<BadText>,
    sources: &mut SourceMap,
    diagnostics: &mut DiagnosticList,
) -> Vec<Line> {
    let Some(bad) = bad else {
        let lines = scanner::scan(file, sources.get(file), diagnostics);
        hide_secrets(&lines, sources);
        return lines;
    };
    let readable = scanner::scan(file, sources.get(file), &mut DiagnosticList::default());
    hide_secrets(&readable, sources);
    diagnostics.error(Span::new(file, bad.at, bad.at), bad.what);
    Vec::new()
}

/// The option lines; one after the first `key=value` line is an error.
fn option_lines(
    lines: &[Line],
    sources: &SourceMap,
    diagnostics: &mut DiagnosticList,
) -> Vec<Span> {
    let mut options = Vec::new();
    let mut pairs = false;
    for line in lines {
        match line {
            Line::Pair(_) => pairs = true,
            Line::Option(at) if pairs => {
                let message = format!(
                    "the option `{}` stands after the first `key=value` line",
                    invocation::option_name(sources.snippet(*at))
                );
                diagnostics
                    .error(*at, message)
                    .help("move it up, to the beginning of the file");
            }
            Line::Option(at) => options.push(*at),
        }
    }
    options
}

/// Keeps the values of secrets out of messages, wherever they are written.
fn hide_secrets(lines: &[Line], sources: &mut SourceMap) {
    for line in lines {
        let value = match line {
            Line::Pair(pair) => {
                let name = sources.snippet(pair.key);
                (is_secret(name) && keys::is_identifier(name)).then_some(pair.value)
            }
            Line::Option(at) => {
                invocation::secret_value_start(sources.snippet(*at)).map(|from| Span {
                    start: at.start + from as u32,
                    ..*at
                })
            }
        };
        if let Some(value) = value {
            sources.hide(value);
        }
    }
}

/// `--set` values become sources of their own, so that mistakes in them have a place.
fn settings(invocation: &Invocation, sources: &mut SourceMap) -> Vec<GlobalOverride> {
    let add = |(name, value): &(String, String)| {
        let file = sources.add(Source::new(&format!("--set {name}"), value.clone()));
        let at = Span::new(file, 0, value.len());
        if is_secret(name) {
            sources.hide(at);
        }
        GlobalOverride {
            name: name.clone(),
            at,
        }
    };
    invocation.settings.iter().map(add).collect()
}

/// Where relative `file:` paths of the task file begin.
fn directory(path: &OsStr, from_stdin: bool) -> PathBuf {
    match Path::new(path).parent() {
        Some(parent) if !from_stdin && !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// Old files may hold options that do nothing any more.
fn note_old_options(invocation: &Invocation) {
    if !invocation.ignored.is_empty() {
        let old: Vec<String> = invocation
            .ignored
            .iter()
            .map(|o| format!("--{o}"))
            .collect();
        complain(format_args!(
            "tasker: note: no effect any more: {}",
            old.join(", ")
        ));
    }
}
