//! Finds and reads `tasker.conf` (SPEC §5), and settles the defaults of tasks.
#![forbid(unsafe_code)]

use crate::cli::invocation::{Invocation, Typed};
use crate::exit;
use crate::plan::conf::{self, Conf};
use crate::plan::exec::ExecTypes;
use crate::plan::facility::Facility;
use crate::plan::recipe::Defaults;
use crate::report::log_directory;
use crate::report::retention::Retention;
use crate::run::capture::OutputLimits;
use crate::run::sys;
use crate::session::refusal::Refusal;
use crate::task::ownership;
use crate::text::diagnostic::{DiagnosticList, Severity, printable, reason};
use crate::text::input_file::InputFile;
use crate::text::scanner;
use crate::text::source::{Source, SourceMap, Span};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What `tasker.conf` says, and the exec types with it.
pub struct Config {
    /// What a refused configuration says counts for the check of the task file alone;
    /// see `is_refused`.
    pub conf: Conf,
    pub types: ExecTypes,
    /// The configuration's number among the sources.
    pub file: Option<u32>,
    /// It has a mistake, or others could change it: nothing that it names is written.
    is_refused: bool,
}

/// Where logs go, and whether the user named the directory; nothing if there is no
/// home directory either.
pub type ChosenDirectory = Option<(PathBuf, bool)>;

/// How many subtasks of a block run at once by default.
const AT_ONCE: u32 = 50;
/// The longest configuration, in bytes.
const LARGEST: u64 = 16 << 20;
/// The default timeout of tasks (SPEC §4.3).
const TIMEOUT: Duration = Duration::from_secs(300);
/// ... of a final task.
const FINAL_TIMEOUT: Duration = Duration::from_secs(60);
/// The default time between SIGTERM and SIGKILL (SPEC §4.3).
pub const KILL_AFTER: Duration = Duration::from_secs(5);
/// How long a host may take to answer by default (SPEC §5).
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// For how many days what belongs to runs that are not live is kept by default (SPEC
/// §6.3).
pub const KEEP_STATE: u32 = 30;
/// How much of the disk stays free by default (SPEC §4.2).
pub const KEEP_FREE: u64 = 64 << 20;

/// Where the configuration is: `--config`, `$TASKER_CONFIG`, the user's, the
/// system's. If the file was named, it must exist.
fn find(invocation: &Invocation) -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    let named = invocation.config.clone().or_else(|| set("TASKER_CONFIG"));
    named.or_else(|| {
        let home = set("HOME").map(|home| home.join(".config/tasker/tasker.conf"));
        let mut usual = home.into_iter().chain([PathBuf::from("/etc/tasker.conf")]);
        usual.find(|path| path.exists())
    })
}

/// Reads the configuration; mistakes in it are reported.
///
/// # Errors
/// That the file cannot be read, in one sentence.
pub fn read(
    invocation: &Invocation,
    sources: &mut SourceMap,
    diagnostics: &mut DiagnosticList,
) -> Result<Config, String> {
    let mut config = Config::without_file();
    let Some(path) = find(invocation) else {
        return Ok(config);
    };
    let name = path.display().to_string();
    let input = InputFile::read(&path, LARGEST).map_err(|e| {
        let shown = printable(&name);
        match e.kind() {
            io::ErrorKind::NotFound => format!("the configuration `{shown}` does not exist"),
            io::ErrorKind::IsADirectory => {
                format!("the configuration `{shown}` is a directory, not a file")
            }
            _ => format!("cannot read the configuration `{shown}`: {}", reason(&e)),
        }
    })?;
    let (source, bad) = Source::decode(&name, &input.bytes);
    let file = sources.add(source);
    config.file = Some(file);
    if let Some(bad) = bad {
        diagnostics.error(Span::new(file, bad.at, bad.at), bad.what);
        config.is_refused = true;
        return Ok(config);
    }
    let errors = |diagnostics: &DiagnosticList| diagnostics.count(Severity::Error);
    let before = errors(diagnostics);
    let user = sys::user_ids().1;
    if let Some(doubt) = ownership::doubt(&path, &input.data, user) {
        let by_name = invocation.config.is_some() || std::env::var_os("TASKER_CONFIG").is_some();
        doubt.report(user, by_name, Span::whole(file), diagnostics);
    }
    let lines = scanner::scan(file, sources.get(file), diagnostics);
    config.conf = conf::read(&lines, &mut config.types, sources, diagnostics);
    config.is_refused = errors(diagnostics) > before;
    Ok(config)
}

/// The log directory for a question about earlier runs, which has no task file.
///
/// # Errors
/// As `of_question`.
pub fn log_directory_of(typed: &[Typed]) -> Result<PathBuf, Refusal> {
    of_question(typed).map(|(directory, _)| directory)
}

/// The log directory and the configuration of a call without a task file.
///
/// # Errors
/// What is wrong with the command line or the configuration, or that there is no
/// home directory.
pub fn of_question(typed: &[Typed]) -> Result<(PathBuf, Config), Refusal> {
    let mut sources = SourceMap::default();
    let mut diagnostics = DiagnosticList::default();
    let asked = Invocation::of_command_line(typed);
    let found = asked.and_then(|invocation| {
        let config = read(&invocation, &mut sources, &mut diagnostics)?;
        Ok((config.log_directory(invocation.log_dir.as_deref()), config))
    });
    let (directory, config) = found.map_err(|why| Refusal::of_command_line(&why))?;
    // A file with errors cannot be trusted to say where the runs are.
    if diagnostics.has_errors() {
        return Err(Refusal {
            findings: diagnostics.draw(&sources),
            ..Refusal::new(exit::INVALID, "the configuration is invalid")
        });
    }
    let Some((directory, _)) = directory else {
        let why = "no home directory to look for runs in; name a directory with -l DIR";
        return Err(Refusal::new(exit::LOG_DIR, why));
    };
    Ok((directory, config))
}

impl Config {
    /// What applies where no `tasker.conf` exists.
    pub fn without_file() -> Config {
        Config {
            conf: Conf::default(),
            types: ExecTypes::built_in(),
            file: None,
            is_refused: false,
        }
    }

    /// The named directory (`-l`), else what the environment or `tasker.conf` says,
    /// else `~/TASKER`.
    pub fn log_directory(&self, named: Option<&Path>) -> ChosenDirectory {
        let of_conf = self.conf.log_dir.as_ref().filter(|_| !self.is_refused);
        let named = named
            .map(Path::to_path_buf)
            .or_else(log_directory::directory_of_environment)
            .or_else(|| of_conf.map(|(path, _)| path.clone()));
        let default = || log_directory::default_directory().map(|d| (d, false));
        named.map(|d| (d, true)).or_else(default)
    }

    /// Where each job has its metrics.
    pub fn metrics_directory(&self) -> Option<&Path> {
        let of_conf = self.conf.metrics.as_ref().filter(|_| !self.is_refused);
        of_conf.map(|(path, _)| path.as_path())
    }

    /// Under what syslog hears of every run.
    pub fn facility(&self) -> Option<Facility> {
        self.conf.syslog.filter(|_| !self.is_refused)
    }

    /// What bounds the outputs of a run (SPEC §4.2).
    pub fn output_limits(&self) -> OutputLimits {
        OutputLimits {
            keep_free: self.conf.keep_free.unwrap_or(KEEP_FREE),
            max_output: self.conf.max_output,
        }
    }

    /// How long records and state are kept (SPEC §6.3).
    pub fn retention(&self) -> Retention {
        Retention {
            logs: self.conf.keep_logs.filter(|_| !self.is_refused),
            state: self.conf.keep_state.unwrap_or(KEEP_STATE),
        }
    }

    /// The defaults of tasks, in the order of SPEC §4.3 and §5. An unknown exec type
    /// in the file is reported.
    ///
    /// # Errors
    /// The command line or the environment has an unknown exec type or a bad timeout.
    pub fn defaults(
        &mut self,
        invocation: &Invocation,
        diagnostics: &mut DiagnosticList,
    ) -> Result<Defaults, String> {
        let types = std::mem::replace(&mut self.types, ExecTypes::built_in());
        let named = |name: &str, from: &str| {
            types
                .resolve(name)
                .cloned()
                .map(Some)
                .map_err(|e| format!("{from}: {e}"))
        };
        let exec = match (&invocation.exec, invocation.exec_of_environment()) {
            (Some((name, Some(at))), _) => types
                .resolve(name)
                .cloned()
                .map_err(|e| diagnostics.error_with_suggestion(*at, &e))
                .ok(),
            (Some((name, None)), _) => named(name, "--type")?,
            (None, Some(name)) => named(&name, "TASK_EXECUTOR_TYPE")?,
            // An unknown one is already an error of the configuration.
            (None, None) => self
                .conf
                .default_exec
                .as_ref()
                .and_then(|(name, _)| types.find(name).cloned()),
        };
        let timeout = invocation.default_timeout()?.or(self.conf.timeout);
        Ok(Defaults {
            exec,
            timeout: timeout.unwrap_or(TIMEOUT),
            final_timeout: timeout.unwrap_or(FINAL_TIMEOUT),
            kill_after: self.conf.kill_after.unwrap_or(KILL_AFTER),
            connect_timeout: self.conf.connect_timeout.unwrap_or(CONNECT_TIMEOUT),
            max_parallel: self.conf.max_parallel.unwrap_or(AT_ONCE),
            own_name: sys::own_name(),
            strict_env: invocation.strict_env,
            types,
        })
    }
}
