//! What surrounded a run that is continued: its directory, its environment as far as the
//! file uses it, and its options (SPEC §6.4). They come from the journal, so that it
//! does the same wherever it is continued.
//!
//! To be used before there are threads, and before anything was opened by a relative
//! path.
#![forbid(unsafe_code)]

use crate::cli::invocation::Typed;
use crate::cli::options;
use crate::report::invoker;
use crate::run::header::Header;
use crate::run::sys;
use crate::text::diagnostic::{printable, reason};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Variables of the environment that name files or settings of tasker itself. Relative
/// paths in them are those of the directory that this call was started in.
const OWN_PATHS: [&str; 2] = ["TASKER_CONFIG", "TASK_EXECUTOR_LOG"];
/// Those that say how tasks run; a journal has them if they were set.
pub const OWN_SETTINGS: [&str; 2] = ["TASK_EXECUTOR_TYPE", "TASK_EXECUTOR_TIMEOUT"];

/// What was changed, to put it back.
pub struct Surroundings {
    directory: PathBuf,
    variables: Vec<(String, Option<OsString>)>,
}

impl Surroundings {
    /// Enters those of the run.
    ///
    /// # Errors
    /// One sentence: its directory cannot be entered.
    pub fn enter(header: &Header) -> Result<Surroundings, String> {
        let directory = PathBuf::from(OsString::from_vec(header.directory.clone()));
        let before = invoker::started_in().to_path_buf();
        go_to(&directory).map_err(|e| {
            let (id, why) = (&header.run_id, reason(&e));
            let directory = printable(&directory.display().to_string());
            format!("run {id} began in the directory `{directory}`, which cannot be entered: {why}")
        })?;
        let mut entered = Surroundings {
            directory: before.clone(),
            variables: Vec::new(),
        };
        for name in OWN_PATHS {
            if let Some(path) = std::env::var_os(name).filter(|path| !path.is_empty()) {
                entered.set(name, Some(before.join(path).as_os_str()));
            }
        }
        let named = Some(directory.as_os_str()).filter(|name| !name.is_empty());
        entered.set("PWD", named);
        let had = |name: &str| header.variables.iter().any(|(n, _)| n == name);
        for name in OWN_SETTINGS.into_iter().filter(|name| !had(name)) {
            entered.set(name, None);
        }
        for (name, value) in &header.variables {
            entered.set(name, Some(OsStr::from_bytes(value)));
        }
        Ok(entered)
    }

    /// Unsets those of the used variables that the run did not have; whether there were
    /// any.
    pub fn unset_new(&mut self, header: &Header, used: &[(String, Vec<u8>)]) -> bool {
        let had = |name: &str| header.variables.iter().any(|(n, _)| n == name);
        let new = used.iter().filter(|(name, _)| !had(name));
        let new: Vec<&str> = new.map(|(name, _)| name.as_str()).collect();
        new.iter().for_each(|name| self.set(name, None));
        !new.is_empty()
    }

    fn set(&mut self, name: &str, value: Option<&OsStr>) {
        let before = std::env::var_os(name);
        if before.as_deref() != value {
            sys::set_variable(name, value);
            self.variables.push((name.into(), before));
        }
    }

    /// Whether anything is different from before.
    pub fn differ(&self) -> bool {
        self.is_elsewhere() || !self.variables.is_empty()
    }

    /// Whether the directory is another one.
    pub fn is_elsewhere(&self) -> bool {
        invoker::working_directory() != self.directory
    }

    /// Puts everything back.
    ///
    /// # Errors
    /// One sentence: the directory cannot be entered again.
    pub fn leave(self) -> Result<(), String> {
        for (name, value) in self.variables.iter().rev() {
            sys::set_variable(name, value.as_deref());
        }
        go_to(&self.directory).map_err(|e| {
            let directory = printable(&self.directory.display().to_string());
            format!(
                "cannot return to the directory `{directory}`: {}",
                reason(&e)
            )
        })
    }
}

/// Enters the directory. One without a name was gone already when tasker started in it,
/// so that nothing depended on it.
fn go_to(directory: &Path) -> io::Result<()> {
    match directory.as_os_str().is_empty() {
        true => Ok(()),
        false => std::env::set_current_dir(directory),
    }
}

/// The options of this command line with those of the run. What is typed wins; whether
/// it says the same is checked later. Relative paths are made absolute.
pub fn options_of(header: &Header, typed: &[Typed]) -> Vec<Typed> {
    let here = invoker::working_directory();
    let mut all: Vec<Typed> = Vec::new();
    for (long, value) in &header.options {
        let name = |value: &str| value.split('=').next().map(str::to_string);
        let is_typed = typed.iter().any(|t| {
            let text = t.value.as_ref().map(|v| v.to_string_lossy());
            t.option.long == long && (long != "set" || text.and_then(|v| name(&v)) == name(value))
        });
        if let Some(option) = options::find_long(long).ok().filter(|_| !is_typed) {
            let value = Some(value.into());
            all.push(Typed { option, value });
        }
    }
    all.extend(typed.iter().map(|t| absolute(t, &here)));
    all
}

/// The option as it is typed in another directory.
fn absolute(typed: &Typed, here: &Path) -> Typed {
    let option = typed.option;
    let value = typed.value.clone();
    // A bare name of a program is looked for in PATH.
    let is_path = |v: &OsString| option.long != "alert-on-failure" || v.as_bytes().contains(&b'/');
    let value = value.map(|v| match option.is_path && !v.is_empty() && is_path(&v) {
        true => here.join(&v).into_os_string(),
        false => v,
    });
    Typed { option, value }
}
