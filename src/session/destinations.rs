//! Where the command line has results written: `--output-json`, `--events`,
//! `--report`, `--metrics` (SPEC §6.6 to §6.8). All are checked before anything runs.
#![forbid(unsafe_code)]

use crate::cli::invocation::Invocation;
use crate::exit;
use crate::report::log_directory::LogDirectory;
use crate::report::run_summary::RunSummary;
use crate::report::{destination, results_json};
use crate::session::refusal::Refusal;
use std::io;
use std::path::Path;

/// Finds out before anything runs whether all of them can be written.
///
/// # Errors
/// That one cannot (32), or is the task file (2).
pub fn check(
    invocation: &Invocation,
    task_file: &str,
    log_dir: &LogDirectory,
) -> Result<(), Refusal> {
    if let Some(json) = JsonFile::wanted_by(invocation, task_file) {
        match json.named {
            Some(path) => check_file("--output-json", path, task_file)?,
            None => {
                let made = log_dir.make_output_directory();
                made.map_err(|e| Refusal::of_destination("--output-json", json.path(), &e))?;
            }
        }
    }
    if let Some(path) = &invocation.events {
        refuse_task_file("--events", path, task_file)?;
    }
    if let Some(path) = &invocation.report {
        check_file("--report", path, task_file)?;
    }
    if let Some(path) = &invocation.metrics {
        check_file("--metrics", path, task_file)?;
    }
    Ok(())
}

fn check_file(option: &str, path: &Path, task_file: &str) -> Result<(), Refusal> {
    refuse_task_file(option, path, task_file)?;
    destination::check(path).map_err(|e| Refusal::of_destination(option, path, &e))
}

/// Keeps what an option writes from replacing the task file.
fn refuse_task_file(option: &str, path: &Path, task_file: &str) -> Result<(), Refusal> {
    match is_task_file(path, task_file) {
        true => {
            let why = format!("{option}: `{task_file}` is the task file; name another file");
            Err(Refusal::new(exit::USAGE, why))
        }
        false => Ok(()),
    }
}

/// Whether the path leads to the task file.
pub fn is_task_file(path: &Path, task_file: &str) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    real(path).is_some_and(|found| Some(found) == real(Path::new(task_file)))
}

/// The file of `--output-json`.
pub struct JsonFile<'a> {
    /// As it was named; else the file is in the log directory.
    named: Option<&'a Path>,
    task_file: &'a str,
}

impl<'a> JsonFile<'a> {
    /// The file that a run of this task file is to write; nothing if none is wanted.
    pub fn wanted_by(invocation: &'a Invocation, task_file: &'a str) -> Option<JsonFile<'a>> {
        invocation.output_json.as_ref().map(|named| JsonFile {
            named: named.as_deref(),
            task_file,
        })
    }

    /// The file that the command line names; empty if it names none.
    pub fn path(&self) -> &Path {
        self.named.unwrap_or(Path::new(""))
    }

    /// Writes all of it, or leaves what was there. `stop` says when to wait no longer
    /// for the reader of a FIFO.
    ///
    /// # Errors
    /// That it cannot be written; the file is named.
    pub fn write(
        &self,
        log_dir: &LogDirectory,
        summary: &RunSummary,
        stop: &dyn Fn() -> bool,
    ) -> io::Result<()> {
        let write = |out: &mut dyn io::Write| results_json::write(summary, out);
        match self.named {
            Some(path) => destination::write(path, &write, stop),
            None => log_dir.write_output(self.task_file, &write),
        }
    }
}
