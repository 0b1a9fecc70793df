//! Where the results for a program go (SPEC §6.7): `--output-json`.
#![forbid(unsafe_code)]

use crate::cli::Invocation;
use crate::report::records::{self, Records};
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
    /// That it cannot; the file is named.
    pub fn check(&self, records: &Records) -> io::Result<()> {
        match self.named {
            Some(path) => records::can_write(path),
            None => records.output_directory().map(|_| ()),
        }
    }

    /// Writes all of it, or leaves what was there.
    ///
    /// # Errors
    /// That it cannot be written; the file is named.
    pub fn write(&self, records: &Records, text: &str) -> io::Result<()> {
        match self.named {
            Some(path) => records::write_whole(path, text.as_bytes()),
            None => records.write_output(self.task_file, text),
        }
    }
}
