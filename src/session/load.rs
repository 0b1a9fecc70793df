//! From the command line to a checked workflow: everything that can be refused
//! is refused here, before the first process starts.
#![forbid(unsafe_code)]

use crate::cli::invocation::{self, HeldBack, Invocation, Mode, Typed};
use crate::exit;
use crate::plan::check;
use crate::plan::environment_hosts;
use crate::plan::recipe::{self, Defaults};
use crate::plan::workflow::Workflow;
use crate::report::log_directory::LogDirectory;
use crate::report::validation_summary::ValidationSummary;
use crate::run::sys;
use crate::session::alert;
use crate::session::config::{self, Config};
use crate::session::identity::{self, Identity};
use crate::session::refusal::Refusal;
use crate::session::validation::Validation;
use crate::task::build::{self, GlobalOverride};
use crate::task::global_value::{end_of_secret_name, is_only_reference, is_secret};
use crate::task::host_files::HostFiles;
use crate::task::keys;
use crate::task::mask::Mask;
use crate::task::ownership;
use crate::text::diagnostic::{Category, DiagnosticList, Severity, printable, reason};
use crate::text::input_file::InputFile;
use crate::text::scanner::{self, Line};
use crate::text::source::{BadText, MAX_BYTES, Source, SourceMap, Span};
use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A file that can be run.
pub struct Loaded {
    /// The task file as the user named it.
    pub name: String,
    /// `-` was given.
    pub from_stdin: bool,
    pub sources: SourceMap,
    /// The task file's number among the sources.
    pub file: u32,
    pub invocation: Invocation,
    /// What the file asks for beyond that; see `acceptance`.
    pub held_back: HeldBack,
    pub defaults: Defaults,
    pub config: Config,
    pub workflow: Workflow,
    pub validation: Validation,
    pub identity: Identity,
}

/// A file that is not run, and the options by which that is reported: those of the file
/// are among them only if it was accepted.
pub struct Rejected {
    pub invocation: Invocation,
    pub validation: Validation,
    pub refusal: Refusal,
    /// Nothing for a file that could not be read.
    pub identity: Option<Identity>,
    /// The file can be run, only not as the command line asks for.
    pub is_valid: bool,
    /// The globals that cannot be expanded, if these are its only mistakes.
    pub not_set: Vec<String>,
}

impl Loaded {
    /// The log directory, for what is written at this time.
    ///
    /// # Errors
    /// There is no home directory (32).
    pub fn log_directory(&self, now: SystemTime) -> Result<LogDirectory, Refusal> {
        self.validation.log_directory_at(now)
    }

    /// The log directory of the file's earlier runs; see `Validation::records_at`.
    ///
    /// # Errors
    /// There is no home directory (32).
    pub fn records(&self, now: SystemTime) -> Result<LogDirectory, Refusal> {
        self.validation.records_at(now)
    }

    /// Hides secrets in what is shown.
    pub fn mask(&self) -> &Mask {
        &self.validation.mask
    }
}

/// Reads, builds and checks a task file.
///
/// # Errors
/// It cannot be run; everything that is known about it.
pub fn load(path: &OsStr, typed: &[Typed]) -> Result<Loaded, Box<Rejected>> {
    let from_stdin = path == "-";
    let name = match from_stdin {
        true => "standard input".into(),
        false => path.to_string_lossy().into_owned(),
    };
    let unread = |refusal| Box::new(Rejected::unread(typed, &name, None, refusal));
    let (bytes, data) = read(path, &name).map_err(unread)?;
    let text = from_stdin.then(|| String::from_utf8_lossy(&bytes).into_owned());
    let refuse = |refusal| Box::new(Rejected::unread(typed, &name, text.clone(), refusal));
    let usage = |why: String| refuse(Refusal::of_command_line(&why));
    let mut sources = SourceMap::default();
    let mut diagnostics = DiagnosticList::default();
    let (source, bad) = Source::decode(&name, &bytes);
    let file = sources.add(source);
    let lines = lines(file, bad, &mut sources, &mut diagnostics);
    let options = option_lines(&lines, &sources, &mut diagnostics);
    let asked = Invocation::new(typed, &options, &sources, &mut diagnostics);
    let (invocation, held_back) = asked.map_err(usage)?;
    let settings = settings(&invocation, &mut sources);
    warn_of_visible_secrets(&settings, typed, &mut diagnostics);
    let mut config = config::read(&invocation, &mut sources, &mut diagnostics)
        .map_err(|why| refuse(Refusal::new(exit::USAGE, why)))?;
    let defaults = config
        .defaults(&invocation, &mut diagnostics)
        .map_err(usage)?;
    let user = sys::user_ids().1;
    let doubt = data.and_then(|data| ownership::doubt(Path::new(path), &data, user));
    let mut host_files = HostFiles::new(directory(path, from_stdin), user);
    host_files.named_by_another = doubt.is_some();
    let tasks = build::build(
        &lines,
        &settings,
        invocation.strict_env,
        host_files,
        &sources,
        &mut diagnostics,
    );
    let has_tasks = !tasks.tasks.is_empty();
    let recipes = recipe::prepare(&tasks, &defaults, &mut diagnostics);
    if let Some(doubt) = doubt {
        doubt.report(user, true, Span::whole(file), &mut diagnostics);
    }
    let typed_alert = invocation.alert_on_failure.as_deref();
    if let Some(program) = typed_alert.or(held_back.alert_program()) {
        alert::check(program, Span::whole(file), &mut diagnostics);
    }
    let workflow = Workflow::new(tasks, recipes, &mut diagnostics);
    diagnostics.begin_category(Category::Flow);
    if !diagnostics.has_errors() && !invocation.skip_task_validation {
        let late = invocation.deadline_task.as_ref();
        let late = late.and_then(|task| workflow.find(task));
        check::check(&workflow, late, &mut diagnostics);
    }
    if invocation.mode() == Mode::DryRun && !invocation.skip_host_validation {
        let contacts = invocation.connection_test;
        environment_hosts::check(&workflow, &defaults, contacts, &sources, &mut diagnostics);
    }
    let mut validation = Validation::of_unread(&name, &invocation, &config);
    if let Some(records) = held_back.records().filter(|_| invocation.log_dir.is_none()) {
        validation.records = config.log_directory(Some(records));
    }
    validation.take_findings(
        &workflow,
        &mut diagnostics,
        &sources,
        &invocation,
        has_tasks,
    );
    let globals = &workflow.globals;
    let (errors, not_set) = globals.not_set();
    let is_all = errors == diagnostics.count(Severity::Error);
    let not_set = if is_all { not_set } else { Vec::new() };
    let identity = match &text {
        Some(text) => Identity::of_text(text, globals, &invocation),
        None => Identity::of_file(&validation.named, &validation.real, globals, &invocation),
    };
    validation.job.clone_from(&identity.job);
    validation.from_stdin = from_stdin;
    match validation.error() {
        Some(why) => Err(Box::new(Rejected {
            identity: Some(identity),
            not_set,
            ..Rejected::invalid(invocation, validation, why)
        })),
        None => Ok(Loaded {
            name,
            from_stdin,
            sources,
            file,
            invocation,
            held_back,
            defaults,
            config,
            workflow,
            validation,
            identity,
        }),
    }
}

impl Rejected {
    /// A file of which only the name is known, or a mistake on the command line: only
    /// the options of the command line count.
    fn unread(typed: &[Typed], name: &str, text: Option<String>, refusal: Refusal) -> Rejected {
        let mut sources = SourceMap::default();
        let mut unseen = DiagnosticList::default();
        let invocation = Invocation::of_command_line(typed).unwrap_or_default();
        let config = config::read(&invocation, &mut sources, &mut unseen);
        let config = config.unwrap_or_else(|_| Config::without_file());
        let mut validation = Validation::of_unread(name, &invocation, &config);
        if let Some(text) = text {
            validation.job = identity::job_of_text(&text, &invocation);
            validation.from_stdin = true;
        }
        Rejected {
            validation,
            invocation,
            refusal,
            identity: None,
            is_valid: false,
            not_set: Vec::new(),
        }
    }

    /// The same file, refused for another reason than its mistakes.
    pub fn replaced(self, refusal: Refusal) -> Rejected {
        let mut replaced = Rejected { refusal, ..self };
        replaced.validation.summary = ValidationSummary::default();
        replaced
    }

    /// A file that can be run, but not as the command line asks for.
    pub fn for_reason(loaded: Loaded, refusal: Refusal) -> Rejected {
        Rejected {
            invocation: loaded.invocation,
            validation: loaded.validation,
            refusal,
            identity: Some(loaded.identity),
            is_valid: true,
            not_set: Vec::new(),
        }
    }

    /// A file with errors or without tasks.
    fn invalid(invocation: Invocation, validation: Validation, why: String) -> Rejected {
        let refusal = Refusal {
            findings: validation.findings().to_string(),
            ..Refusal::new(validation.summary.code, why)
        };
        Rejected {
            invocation,
            validation,
            refusal,
            identity: None,
            is_valid: false,
            not_set: Vec::new(),
        }
    }
}

/// The bytes of the file, and whose it is unless it is standard input.
fn read(path: &OsStr, name: &str) -> Result<(Vec<u8>, Option<Metadata>), Refusal> {
    let result = match path == "-" {
        true => InputFile::read_open(&io::stdin(), MAX_BYTES).map(|bytes| (bytes, None)),
        false => {
            InputFile::read(Path::new(path), MAX_BYTES).map(|input| (input.bytes, Some(input.data)))
        }
    };
    let shown = printable(name);
    let problem = match result {
        Ok(read) => return Ok(read),
        Err(e) if is_absent(&e) => {
            let here = std::env::current_dir().ok();
            let here = here.filter(|_| Path::new(name).is_relative());
            let place = here.map_or(String::new(), |directory| {
                format!(" in `{}`", printable(&directory.to_string_lossy()))
            });
            let why = format!("there is no task file `{shown}`{place}");
            return Err(Refusal::new(exit::NO_FILE, why));
        }
        Err(e) if e.kind() == io::ErrorKind::IsADirectory => "it is a directory".to_string(),
        Err(e) => reason(&e),
    };
    let why = format!("cannot read the task file `{shown}`: {problem}");
    Err(Refusal::new(exit::UNREADABLE, why))
}

fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

/// The lines of the file, with the values of secrets hidden. A file that is not text
/// has none, since half a file means nothing; its secrets are hidden anyway, because
/// the message shows a line of it.
fn lines(
    file: u32,
    bad: Option<BadText>,
    sources: &mut SourceMap,
    diagnostics: &mut DiagnosticList,
) -> Vec<Line> {
    let Some(bad) = bad else {
        let lines = scanner::scan(file, sources.get(file), diagnostics);
        hide_secrets(&lines, sources);
        hide_malformed_secrets(file, sources);
        return lines;
    };
    let readable = scanner::scan(file, sources.get(file), &mut DiagnosticList::default());
    hide_secrets(&readable, sources);
    hide_malformed_secrets(file, sources);
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
                    "the option `{}` appears after the first `key=value` line",
                    invocation::option_name(sources.snippet(*at))
                );
                diagnostics
                    .error(*at, message)
                    .help("move it up, to the beginning of the file");
                if let Some(why) = invocation::line_error(sources.snippet(*at)) {
                    diagnostics.error_with_suggestion(*at, &why);
                }
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
                let (key, value) = (sources.snippet(pair.key), sources.snippet(pair.value));
                let variable = key.strip_prefix(keys::ENV.name);
                let name = variable.unwrap_or(key);
                let is_literal = variable.is_none() || !is_only_reference(value);
                let is_hidden = is_secret(name) && keys::is_identifier(name) && is_literal;
                is_hidden.then_some(pair.value)
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

/// The same for a line that seems to define a secret and does not: `A_KEY: value`,
/// `export A_KEY=value`. Task keys are no names of globals.
fn hide_malformed_secrets(file: u32, sources: &mut SourceMap) {
    let mut hidden = Vec::new();
    let mut start = 0;
    for line in sources.get(file).text.split_inclusive('\n') {
        if let Some(from) = malformed_secret(line.trim_end()) {
            hidden.push(Span::new(file, start + from, start + line.trim_end().len()));
        }
        start += line.len();
    }
    for span in hidden {
        sources.hide(span);
    }
}

/// Where the value begins in a line that seems to define a secret but is malformed.
fn malformed_secret(line: &str) -> Option<usize> {
    let key = line.split('=').next()?;
    let begin = key.trim();
    if keys::is_identifier(begin) || begin.starts_with("env.") || begin.starts_with(['#', '-']) {
        return None;
    }
    let after = end_of_secret_name(key)?;
    let is_sign = |c: char| c.is_whitespace() || ":=\"'".contains(c);
    let value = line[after..].trim_start_matches(is_sign);
    (!value.is_empty()).then_some(line.len() - value.len())
}

/// `--set` values become sources of their own, so that mistakes in them have a location.
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

/// Warns of secrets in the words of the command line, which everyone can see.
fn warn_of_visible_secrets(
    settings: &[GlobalOverride],
    typed: &[Typed],
    diagnostics: &mut DiagnosticList,
) {
    let is_typed = |name: &str| {
        let mut words = typed.iter().filter(|t| t.option.long == "set");
        words.any(|t| t.setting_name() == Some(name))
    };
    for setting in settings.iter().filter(|s| is_secret(&s.name)) {
        if is_typed(&setting.name) {
            let name = &setting.name;
            diagnostics
                .warning(
                    setting.at,
                    "everyone on this machine can see this secret in `ps`",
                )
                .help(format!(
                    "write `{name}=${name}` in the task file and set it in the environment"
                ));
        }
    }
}

/// What `file:` paths in the task file are relative to.
fn directory(path: &OsStr, from_stdin: bool) -> PathBuf {
    match Path::new(path).parent() {
        Some(parent) if !from_stdin && !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}
