//! Where the results for a program go (SPEC §6.7): `--output-json`.
#![forbid(unsafe_code)]

use crate::cli::invocation::Invocation;
use crate::exit;
use crate::report::log_directory::LogDirectory;
use crate::report::replace_file;
use crate::session::refusal::{Refusal, unwritable};
use std::io;
use std::path::Path;

/// The file that the results are written to.
pub struct JsonFile<'a> {
    /// As it was named; else one of the log directory.
    named: Option<&'a Path>,
    task_file: &'a str,
}

impl<'a> JsonFile<'a> {
    /// The file that a run of this task file is to write; nothing where none is
    /// wanted.
    pub fn of(invocation: &'a Invocation, task_file: &'a str) -> Option<JsonFile<'a>> {
        invocation.output_json.as_ref().map(|named| JsonFile {
            named: named.as_deref(),
            task_file,
        })
    }

    /// Finds out before anything runs whether it can be written.
    ///
    /// # Errors
    /// That it cannot (32), or is the task file (2).
    pub fn check(&self, log_dir: &LogDirectory) -> Result<(), Refusal> {
        let can_be_written = match self.named {
            Some(path) => {
                refuse_task_file("--output-json", path, self.task_file)?;
                replace_file::check(path)
            }
            None => log_dir.output_directory().map(|_| ()),
        };
        can_be_written.map_err(unwritable)
    }

    /// Whether writing it would take the task file away.
    pub fn is_task_file(&self) -> bool {
        self.named
            .is_some_and(|path| is_task_file(path, self.task_file))
    }

    /// Writes all of it, or leaves what was there.
    ///
    /// # Errors
    /// That it cannot be written; the file is named.
    pub fn write(&self, log_dir: &LogDirectory, text: &str) -> io::Result<()> {
        match self.named {
            Some(path) => replace_file::replace(path, text.as_bytes()),
            None => log_dir.write_output(self.task_file, text),
        }
    }
}

/// Whether the path leads to the task file.
pub fn is_task_file(path: &Path, task_file: &str) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    real(path).is_some_and(|found| Some(found) == real(Path::new(task_file)))
}

/// Keeps what an option writes from the task file.
///
/// # Errors
/// That it would be written over or into it (2).
pub fn refuse_task_file(option: &str, path: &Path, task_file: &str) -> Result<(), Refusal> {
    match is_task_file(path, task_file) {
        true => {
            let why = format!("{option}: `{task_file}` is the task file; name another one");
            Err(Refusal::new(exit::USAGE, why))
        }
        false => Ok(()),
    }
}
