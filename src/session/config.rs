//! Finds and reads `tasker.conf` (SPEC §5), and settles what tasks take that
//! name nothing themselves.
#![forbid(unsafe_code)]

use crate::cli::invocation::{Invocation, Typed};
use crate::exit;
use crate::plan::conf::{self, Conf};
use crate::plan::exec::ExecTypes;
use crate::plan::recipe::Defaults;
use crate::report::print::{complain, complain_raw};
use crate::report::{color, log_directory};
use crate::run::sys;
use crate::session::refusal::refuse_command_line;
use crate::text::diagnostic::DiagnosticList;
use crate::text::quote;
use crate::text::scanner;
use crate::text::source::{Source, SourceMap, Span};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

/// The configuration and the exec types with it.
pub struct Site {
    pub conf: Conf,
    pub types: ExecTypes,
    /// The configuration's number among the sources.
    pub file: Option<u32>,
}

/// Where logs go, and whether the user named the directory; nothing where there
/// is not even a home.
pub type ChosenDirectory = Option<(PathBuf, bool)>;

/// How many subtasks of a block run at once when nothing says.
const AT_ONCE: u32 = 50;
/// The timeout of tasks when nothing names one (SPEC §4.3).
const TIMEOUT: Duration = Duration::from_secs(300);
/// How long a command has to end by itself when nothing says (SPEC §4.3).
const KILL_AFTER: Duration = Duration::from_secs(5);

/// Where the configuration is: `--config`, `$TASKER_CONFIG`, the user's, the
/// system's. One that was named must be there.
fn find(invocation: &Invocation) -> Option<(PathBuf, bool)> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    if let Some(named) = invocation.config.clone().or_else(|| set("TASKER_CONFIG")) {
        return Some((named, true));
    }
    let of_user = set("HOME").map(|home| home.join(".config/tasker/tasker.conf"));
    let candidates = of_user
        .into_iter()
        .chain([PathBuf::from("/etc/tasker.conf")]);
    candidates
        .into_iter()
        .find(|p| p.exists())
        .map(|p| (p, false))
}

/// Reads the configuration; mistakes in it are reported.
///
/// # Errors
/// That the file cannot be read.
pub fn read(
    invocation: &Invocation,
    sources: &mut SourceMap,
    diagnostics: &mut DiagnosticList,
) -> Result<Site, String> {
    let mut site = Site {
        conf: Conf::default(),
        types: ExecTypes::built_in(),
        file: None,
    };
    let Some((path, _)) = find(invocation) else {
        return Ok(site);
    };
    let name = path.display().to_string();
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(format!("there is no configuration `{name}`"));
        }
        Err(e) => return Err(format!("cannot read the configuration `{name}`: {e}")),
    };
    let (source, bad) = Source::decode(&name, &bytes);
    let file = sources.add(source);
    site.file = Some(file);
    if let Some(bad) = bad {
        diagnostics.error(Span::new(file, bad.at, bad.at), bad.what);
        return Ok(site);
    }
    check_owner(&path, Span::whole(file), diagnostics);
    let lines = scanner::scan(file, sources.get(file), diagnostics);
    site.conf = conf::read(&lines, &mut site.types, sources, diagnostics);
    Ok(site)
}

/// The log directory of a question about earlier runs, which has no task file.
/// What is wrong is said.
///
/// # Errors
/// The exit code.
pub fn log_directory_of(typed: &[Typed]) -> Result<PathBuf, i32> {
    let mut sources = SourceMap::default();
    let mut diagnostics = DiagnosticList::default();
    let asked = Invocation::new(typed, &[], &sources, &mut diagnostics);
    let found = asked.and_then(|invocation| {
        let site = read(&invocation, &mut sources, &mut diagnostics)?;
        Ok((site, invocation))
    });
    let (site, invocation) = found.map_err(|why| refuse_command_line(&why))?;
    // Where the runs are is not known from a file that cannot be trusted.
    if diagnostics.has_errors() {
        let drawn = diagnostics.draw(&sources);
        match invocation.color.on_stderr() {
            true => complain_raw(format_args!("{}", color::findings(&drawn))),
            false => complain_raw(format_args!("{drawn}")),
        }
        return Err(exit::INVALID);
    }
    site.log_directory(&invocation)
        .map(|(directory, _)| directory)
        .ok_or_else(|| {
            complain(format_args!(
                "tasker: no home directory to look for runs in; name a directory with -l DIR"
            ));
            exit::LOG_DIR
        })
}

/// What others may write decides what runs here, with our rights: a warning, and
/// an error for root (SPEC §6.2).
pub fn check_owner(path: &std::path::Path, at: Span, diagnostics: &mut DiagnosticList) {
    let Ok(data) = std::fs::metadata(path) else {
        return;
    };
    if !data.is_file() {
        return;
    }
    let (who, letter) = match data.mode() {
        mode if mode & 0o002 != 0 => ("everyone".to_string(), 'o'),
        mode if mode & 0o020 != 0 && !is_private(data.gid(), data.uid()) => {
            (format!("the group {}", group_name(data.gid())), 'g')
        }
        _ => return,
    };
    let message = format!("{who} may write this file, and so decide what is run");
    let help = format!(
        "chmod {letter}-w {}",
        quote::shell_word(&path.display().to_string())
    );
    match sys::user_ids().1 {
        0 => diagnostics.error(at, message).help(help),
        _ => diagnostics.warning(at, message).help(help),
    };
}

/// The fields of a line of `/etc/group` or `/etc/passwd`.
fn entries(file: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let fields = |l: &str| l.split(':').map(String::from).collect();
    text.lines().map(fields).collect()
}

fn group_name(gid: u32) -> String {
    let groups = entries("/etc/group");
    let found = groups.iter().find(|f| f.get(2) == Some(&gid.to_string()));
    found.map_or(gid.to_string(), |f| format!("`{}`", f[0]))
}

/// Whether a group is known to hold the file's owner and nobody else, as where
/// every user has a group of his own. One that this machine does not list may
/// hold anyone.
fn is_private(gid: u32, owner: u32) -> bool {
    let (gid, owner) = (gid.to_string(), owner.to_string());
    let (groups, users) = (entries("/etc/group"), entries("/etc/passwd"));
    let Some(group) = groups.iter().find(|f| f.get(2) == Some(&gid)) else {
        return false;
    };
    let name = users
        .iter()
        .find(|f| f.get(2) == Some(&owner))
        .map(|f| &f[0]);
    let members = group.get(3).map_or("", String::as_str).split(',');
    let mut others = members.filter(|m| !m.is_empty() && Some(*m) != name.map(String::as_str));
    // Its members by their own entry.
    let mut by_entry = users.iter().filter(|f| f.get(3) == Some(&gid));
    others.next().is_none() && by_entry.all(|f| f.get(2) == Some(&owner))
}

impl Site {
    /// `-l`, else what the environment or `tasker.conf` says, else `~/TASKER`.
    pub fn log_directory(&self, invocation: &Invocation) -> ChosenDirectory {
        let named = invocation.log_dir.clone();
        let named = named
            .or_else(log_directory::directory_of_environment)
            .or_else(|| self.conf.log_dir.clone());
        let default = || log_directory::default_directory().map(|d| (d, false));
        named.map(|d| (d, true)).or_else(default)
    }

    /// What tasks take that name nothing, in the order of SPEC §4.3 and §5; a type
    /// that the file names and that is none is reported.
    ///
    /// # Errors
    /// An exec type or a timeout of the command line or environment that is none.
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
            // One that is not there is an error of the configuration already.
            (None, None) => self
                .conf
                .default_exec
                .as_ref()
                .and_then(|(name, _)| types.find(name).cloned()),
        };
        Ok(Defaults {
            exec,
            timeout: invocation
                .default_timeout()?
                .or(self.conf.timeout)
                .unwrap_or(TIMEOUT),
            kill_after: self.conf.kill_after.unwrap_or(KILL_AFTER),
            max_parallel: self.conf.max_parallel.unwrap_or(AT_ONCE),
            own_name: sys::own_name(),
            strict_env: invocation.strict_env,
            types,
        })
    }
}
