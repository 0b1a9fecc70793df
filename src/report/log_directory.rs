//! The log directory (SPEC §6.3): the files that runs leave behind. Directories
//! have mode 0700, files 0600.
#![forbid(unsafe_code)]

use super::{clock, invoker, print};
use crate::run::capture::PrivateFiles;
use crate::run::directory::{NamedFile, OpenMode, Trust, WriteFile};
use crate::run::place::Place;
use crate::run::{journal_name, record_lock, run_id};
use crate::task::global_value::{is_only_reference, is_secret};
use crate::task::keys::is_identifier;
use crate::task::mask::Mask;
use crate::text::diagnostic::{cannot, printable};
use crate::text::source::MASK;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

/// The log directory as this invocation uses it. Its directories are opened when they
/// are first needed, and everything in them is reached from there.
#[derive(Clone)]
pub struct LogDirectory {
    base: Place,
    pub(super) logs: Place,
    pub(super) tasks: Place,
    pub(super) state: Place,
    pub(super) locks: Place,
    pub(super) output: Place,
    /// When tasker began: file names hold the time.
    began: SystemTime,
    /// The letters of this run's id, once they are needed.
    letters: OnceLock<String>,
}

/// The log directory that the environment names: `TASK_EXECUTOR_LOG`.
pub fn directory_of_environment() -> Option<PathBuf> {
    let name = std::env::var_os("TASK_EXECUTOR_LOG");
    name.filter(|v| !v.is_empty()).map(PathBuf::from)
}

/// The log directory when nothing names one: `~/TASKER`.
pub fn default_directory() -> Option<PathBuf> {
    invoker::home_directory().map(|home| home.join("TASKER"))
}

impl LogDirectory {
    /// For what is written, and read by runs.
    pub fn new(path: PathBuf, began: SystemTime) -> LogDirectory {
        LogDirectory::with_trust(path, began, Trust::Own)
    }

    /// To look at, also another user's.
    pub fn to_look_at(path: PathBuf, now: SystemTime) -> LogDirectory {
        LogDirectory::with_trust(path, now, Trust::Look)
    }

    fn with_trust(path: PathBuf, began: SystemTime, trust: Trust) -> LogDirectory {
        let base = Place::at(path, warn_of_rights);
        let place = |name| base.child(name, trust);
        LogDirectory {
            logs: place("logs"),
            tasks: place("tasks"),
            state: place("state"),
            locks: place("locks"),
            output: place("output"),
            base,
            began,
            letters: OnceLock::new(),
        }
    }

    /// The same by its absolute path, for one that is used from another directory.
    pub fn made_absolute(self) -> LogDirectory {
        match std::path::absolute(self.path()) {
            Ok(path) => LogDirectory::new(path, self.began),
            Err(_) => self,
        }
    }

    pub fn path(&self) -> &Path {
        self.base.path()
    }

    pub fn exists(&self) -> bool {
        self.path().is_dir()
    }

    /// What was changed in it so that it can be trusted, a line each.
    pub fn warnings(&self) -> Vec<String> {
        let places = [
            &self.logs,
            &self.tasks,
            &self.state,
            &self.locks,
            &self.output,
        ];
        let changed = places.into_iter().filter(|place| place.was_tightened());
        changed.map(|place| rights_taken(place.path())).collect()
    }

    /// A new log file, named by the time. Its lock keeps it from being removed as too old
    /// while the run lasts.
    pub fn create_log(&self) -> io::Result<(File, PathBuf)> {
        let name = format!("tasker_{}", clock::compact(self.began));
        let created = self.create_named(&self.logs, &name, "log");
        // Where no file can be locked, none is removed.
        created.inspect(|(file, _)| drop(file.try_lock_shared()))
    }

    /// A new file; if its name is taken, with the letters of the run's id.
    ///
    /// # Errors
    /// `cannot create PATH: REASON`.
    fn create_named(
        &self,
        place: &Place,
        name: &str,
        extension: &str,
    ) -> io::Result<(File, PathBuf)> {
        let mut full_name = format!("{name}.{extension}");
        let mut letters = self.letters().to_string();
        loop {
            let named = place.file_to_make(&full_name)?;
            match named.open(OpenMode::NewToAppend) {
                Ok(file) => return Ok((file, named.path())),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(cannot("create", &named.path())(e)),
            }
            full_name = format!("{name}_{letters}.{extension}");
            letters = run_id::letters();
        }
    }

    fn letters(&self) -> &str {
        self.letters.get_or_init(run_id::letters)
    }

    /// The lock file of one instance for this kind of identity and this id.
    pub fn lock_file(&self, kind: &str, id: &str) -> io::Result<NamedFile> {
        self.locks.file_to_make(format!("{kind}_{id}.lock"))
    }

    /// The id of a run that begins now.
    pub fn new_run_id(&self) -> String {
        format!("{}-{}", clock::compact(self.began), self.letters())
    }

    /// The directory of a run's private files.
    pub fn private(&self, run_id: &str) -> PrivateFiles {
        PrivateFiles::new(self.state.clone(), run_id)
    }

    /// The journal of a new run; for the mark see `run::journal_name`.
    pub fn new_journal(&self, run_id: &str, mark: &str) -> io::Result<NamedFile> {
        self.state.file_to_make(journal_name::of_run(run_id, mark))
    }

    /// The journals in it, sorted by name; none if they cannot be read.
    pub fn journals(&self) -> Vec<NamedFile> {
        self.try_journals().unwrap_or_default()
    }

    /// The journals in it, sorted by name. A missing directory holds none.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn try_journals(&self) -> io::Result<Vec<NamedFile>> {
        self.journals_for("")
    }

    /// The journals that concern a task file or a work, by the beginning of their mark.
    ///
    /// # Errors
    /// As `try_journals`.
    pub fn journals_for(&self, mark: &str) -> io::Result<Vec<NamedFile>> {
        self.state_files("journal", |name| journal_name::concerns(name, mark))
    }

    /// What has this ending in `state`, as far as its name is wanted, sorted by name.
    ///
    /// # Errors
    /// As `try_journals`.
    pub(super) fn state_files(
        &self,
        extension: &str,
        is_wanted: impl Fn(&OsStr) -> bool,
    ) -> io::Result<Vec<NamedFile>> {
        let directory = match self.state.existing() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            directory => directory?,
        };
        let mut names = directory.names()?;
        let has_ending = |name: &OsStr| Path::new(name).extension().is_some_and(|e| e == extension);
        names.retain(|name| has_ending(name) && is_wanted(name));
        names.sort_unstable();
        let directory = &directory;
        let files = names.into_iter().map(|name| NamedFile {
            directory: directory.clone(),
            name,
        });
        Ok(files.collect())
    }

    /// Keeps a copy of the task file, secrets masked.
    pub fn copy_task_file(&self, name: &str, text: &str, mask: &Mask) -> io::Result<PathBuf> {
        let stem = self.dated_stem(name);
        let (mut file, path) = self.create_named(&self.tasks, &stem, "txt")?;
        file.write_all(mask_definitions(text, mask).as_bytes())
            .map_err(cannot("write", &path))?;
        Ok(path)
    }

    /// `STEM_YYYYMMDD_HHMMSS`, STEM being the task file's.
    fn dated_stem(&self, task_file: &str) -> String {
        let stem = Path::new(task_file).file_stem();
        let stem = stem.map_or("tasks".into(), |s| s.to_string_lossy());
        format!("{stem}_{}", clock::compact(self.began))
    }

    /// Makes the directory of the JSON results that are written to no named file.
    pub fn make_output_directory(&self) -> io::Result<()> {
        self.output.made().map(drop)
    }

    /// Writes the JSON results of a run of this task file.
    pub fn write_output(&self, task_file: &str, write: &WriteFile) -> io::Result<()> {
        let (_, path) = self.create_named(&self.output, &self.dated_stem(task_file), "json")?;
        let name = path.file_name().unwrap_or_default();
        let file = self.output.file(name)?;
        replace(&file, write).inspect_err(|_| drop(file.remove()))
    }

    /// The file in which `--mail-once` remembers how a job failed.
    pub fn mail_file(&self, job: &str) -> io::Result<NamedFile> {
        self.state.file_to_make(format!("mail_{job}.txt"))
    }

    /// Appends an entry to the day's validation report.
    pub fn append_to_validations(&self, entry: &str) -> io::Result<()> {
        let day = clock::compact(self.began);
        let day = day.split('_').next().unwrap_or_default();
        let name = format!("validation_report_{day}.log");
        self.append_shared(&name, |_| Ok(entry.to_string()))
    }

    /// Appends to a file in `logs` that several runs share. Each run appends in one
    /// write, under a lock, so that their lines are never mixed. The text can depend
    /// on the file.
    ///
    /// # Errors
    /// `cannot append to PATH: REASON`.
    pub fn append_shared(
        &self,
        name: &str,
        text: impl FnOnce(&File) -> io::Result<String>,
    ) -> io::Result<()> {
        let named = self.logs.file_to_make(name)?;
        let append = |mut file: File| {
            wait_for_turn(&file, &named.path())?;
            let text = text(&file)?;
            file.write_all(text.as_bytes())
        };
        let opened = named.open(OpenMode::Append);
        opened
            .and_then(append)
            .map_err(cannot("append to", &named.path()))
    }
}

/// Replaces a file of the log directory as a whole.
///
/// # Errors
/// `cannot write PATH: REASON`; the old contents are kept.
pub fn replace(file: &NamedFile, write: &WriteFile) -> io::Result<()> {
    let replaced = file.directory.replace(&file.name, write, &|_| Ok(()));
    replaced.map_err(cannot("write", &file.path()))
}

/// Takes the lock of a record, or says that it is written without.
///
/// # Errors
/// The file system has no locks.
pub fn wait_for_turn(file: &File, path: &Path) -> io::Result<()> {
    if !record_lock::take(file)? {
        let path = printable(&path.display().to_string());
        print::complain(format_args!(
            "tasker: warning: `{path}` stays locked by another process; it is written without the lock"
        ));
    }
    Ok(())
}

/// The text of a file of the log directory.
///
/// # Errors
/// Among others that it is not a plain file of the user.
pub fn read_text(file: &NamedFile) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.open(OpenMode::Read)?.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Others could write in one of its directories, and no longer can.
fn rights_taken(path: &Path) -> String {
    let path = printable(&path.display().to_string());
    format!("others could write to `{path}`; it is now open to you only (mode 0700)")
}

fn warn_of_rights(path: &Path) {
    print::complain(format_args!("tasker: warning: {}", rights_taken(path)));
}

/// The text of a task file without the values of secrets: in definitions, however
/// short they are, and anywhere else.
pub fn mask_definitions(text: &str, mask: &Mask) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let end = if line.ends_with('\n') { "\n" } else { "" };
        let value = line.split_once('=').map_or("", |(_, value)| value.trim());
        let name = line.split_once('=').map(|(name, _)| name.trim());
        let is_hidden = |key: &&str| match key.strip_prefix("env.") {
            Some(name) => is_secret(name) && !is_only_reference(value),
            None => is_secret(key) && is_identifier(key),
        };
        match name.filter(is_hidden) {
            Some(name) => out.push_str(&format!("{name}={}{end}", MASK)),
            None => out.push_str(line),
        }
    }
    mask.apply(&out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_where_they_are_defined() {
        let text = "SECRET_A=x\nB=y\ntask=1\nenv.A_KEY=x\nenv.B_KEY=@SECRET_A@\n\
                    command=echo SECRET_A=x\n";
        assert_eq!(
            mask_definitions(text, &Mask::default()),
            "SECRET_A=***\nB=y\ntask=1\nenv.A_KEY=***\nenv.B_KEY=@SECRET_A@\n\
             command=echo SECRET_A=x\n"
        );
    }
}
