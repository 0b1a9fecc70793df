//! The log directory (SPEC §6.3): the files that runs leave behind. Directories
//! have mode 0700, files 0600.
#![forbid(unsafe_code)]

use super::replace_file::{self, WriteFile};
use super::{clock, invoker};
use crate::task::global_value::{is_only_reference, is_secret};
use crate::task::keys::is_identifier;
use crate::task::mask::Mask;
use crate::text::diagnostic::cannot;
use crate::text::source::MASK;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The log directory as this invocation uses it.
#[derive(Clone)]
pub struct LogDirectory {
    path: PathBuf,
    /// When tasker began: file names hold the time.
    began: SystemTime,
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
    pub fn new(path: PathBuf, began: SystemTime) -> LogDirectory {
        LogDirectory { path, began }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn exists(&self) -> bool {
        self.path.is_dir()
    }

    /// Creates a directory in it, unless it exists.
    ///
    /// # Errors
    /// `cannot create the directory PATH: REASON`.
    pub fn create(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(cannot("create the directory", &path))?;
        Ok(path)
    }

    /// Creates a file in one of its directories. That usually exists, so it is
    /// created only if the file cannot be.
    fn create_in<T>(&self, name: &str, create: impl Fn(&Path) -> io::Result<T>) -> io::Result<T> {
        create(&self.path.join(name)).or_else(|_| create(&self.create(name)?))
    }

    /// A new log file, named by the time; a number is added if the name is taken.
    pub fn create_log(&self) -> io::Result<(File, PathBuf)> {
        let name = format!("tasker_{}", clock::compact(self.began));
        self.create_in("logs", |directory| create_numbered(directory, &name, "log"))
    }

    /// The lock file of one instance for this kind of identity and this id.
    pub fn lock_file(&self, kind: &str, id: &str) -> io::Result<PathBuf> {
        Ok(self.create("locks")?.join(format!("{kind}_{id}.lock")))
    }

    /// The id of a run that begins now.
    pub fn new_run_id(&self) -> String {
        format!("{}-{}", clock::compact(self.began), std::process::id())
    }

    /// The directory of a run's private files.
    pub fn private(&self, run_id: &str) -> PathBuf {
        self.path.join("state").join(run_id)
    }

    /// Creates a run's journal.
    pub fn create_journal<T>(
        &self,
        run_id: &str,
        create: impl Fn(&Path) -> io::Result<T>,
    ) -> io::Result<T> {
        let name = format!("{run_id}.journal");
        self.create_in("state", |directory| create(&directory.join(&name)))
    }

    /// The journals in it, sorted by name; none if they cannot be read.
    pub fn journals(&self) -> Vec<PathBuf> {
        self.try_journals().unwrap_or_default()
    }

    /// The journals in it, sorted by name. A missing directory holds none.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn try_journals(&self) -> io::Result<Vec<PathBuf>> {
        let mut paths: Vec<PathBuf> = match fs::read_dir(self.path.join("state")) {
            Ok(entries) => entries.flatten().map(|e| e.path()).collect(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(e),
        };
        paths.retain(|p| p.extension().is_some_and(|e| e == "journal"));
        // All are in one directory, so comparing bytes compares names, and is fast.
        paths.sort_unstable_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
        Ok(paths)
    }

    /// Keeps a copy of the task file, secrets masked.
    pub fn copy_task_file(&self, name: &str, text: &str, mask: &Mask) -> io::Result<PathBuf> {
        let stem = self.dated_stem(name);
        let (mut file, path) = self.create_in("tasks", |directory| {
            create_numbered(directory, &stem, "txt")
        })?;
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

    /// The directory of the JSON results that are written to no named file.
    pub fn output_directory(&self) -> io::Result<PathBuf> {
        self.create("output")
    }

    /// Writes the JSON results of a run of this task file.
    pub fn write_output(&self, task_file: &str, write: &WriteFile) -> io::Result<()> {
        let directory = self.output_directory()?;
        let (_, path) = create_numbered(&directory, &self.dated_stem(task_file), "json")?;
        let written = replace_file::replace_by(&path, write);
        written.inspect_err(|_| drop(fs::remove_file(&path)))
    }

    /// The file in which `--mail-once` remembers how a job failed.
    pub fn mail_file(&self, job: &str) -> io::Result<PathBuf> {
        Ok(self.create("state")?.join(format!("mail_{job}.txt")))
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
        let path = self.path.join("logs").join(name);
        let file = self.create_in("logs", |directory| {
            let path = directory.join(name);
            let mut options = OpenOptions::new();
            let options = options.read(true).append(true).create(true);
            let open = options.mode(0o600).open(&path);
            open.map_err(cannot("append to", &path))
        })?;
        let append = |mut file: File| {
            file.lock()?;
            let text = text(&file)?;
            file.write_all(text.as_bytes())
        };
        append(file).map_err(cannot("append to", &path))
    }
}

fn create_numbered(directory: &Path, name: &str, extension: &str) -> io::Result<(File, PathBuf)> {
    let mut number = 1;
    loop {
        let path = directory.join(match number {
            1 => format!("{name}.{extension}"),
            n => format!("{name}_{n}.{extension}"),
        });
        let created = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        match created {
            Ok(file) => return Ok((file, path)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(e) => return Err(cannot("create", &path)(e)),
        }
    }
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
