//! The host files of node sets (SPEC §1.1). Each is read once: the hosts that were
//! checked and shown in the plan are those that the run uses.
#![forbid(unsafe_code)]

use super::ownership::{self, Doubt};
use crate::text::diagnostic::reason;
use crate::text::input_file::InputFile;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The largest host file, in bytes.
const LARGEST: u64 = 64 << 20;

/// The lines of a host file, or why it cannot be used.
pub type HostLines = Result<Arc<str>, String>;

/// The host files that have been read.
pub struct HostFiles {
    /// What relative paths are relative to.
    pub directory: PathBuf,
    /// For whom the hosts are.
    user: u32,
    /// Whether somebody else decides which files are named: what is in them is not told
    /// to others by a look.
    pub named_by_another: bool,
    read: Mutex<FilesRead>,
}

#[derive(Default)]
struct FilesRead {
    by_path: BTreeMap<PathBuf, HostLines>,
    /// What has not been told yet.
    doubts: Vec<(String, Doubt)>,
}

impl HostFiles {
    pub fn new(directory: PathBuf, user: u32) -> HostFiles {
        HostFiles {
            directory,
            user,
            named_by_another: false,
            read: Mutex::default(),
        }
    }

    /// The text of the file. A `plain` one must be a plain file: its name comes from a
    /// result, and reading anything else might never end.
    ///
    /// # Errors
    /// It cannot be read, or root must not believe it; the sentence says why.
    pub fn lines(&self, shown: &str, plain: bool) -> HostLines {
        // A file is read completely or not at all, so what is there is right.
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.directory.join(shown);
        if let Some(lines) = read.by_path.get(&path) {
            return lines.clone();
        }
        let lines = self.read(shown, &path, plain, &mut read.doubts);
        read.by_path.insert(path, lines.clone());
        lines
    }

    fn read(
        &self,
        shown: &str,
        path: &Path,
        plain: bool,
        doubts: &mut Vec<(String, Doubt)>,
    ) -> HostLines {
        let input = match plain {
            true => InputFile::read_plain(path, LARGEST),
            false => InputFile::read(path, LARGEST),
        };
        let input =
            input.map_err(|e| format!("cannot read the host file `{shown}`: {}", reason(&e)))?;
        match ownership::doubt(path, &input.data, self.user) {
            Some(doubt) if doubt.is_error(self.user, true) => {
                return Err(format!("the host file `{shown}`: {}", doubt.sentence()));
            }
            Some(doubt) => doubts.push((shown.to_string(), doubt)),
            None => {}
        }
        String::from_utf8(input.bytes)
            .map(Arc::from)
            .map_err(|_| format!("the host file `{shown}` is not UTF-8 text"))
    }

    /// The files that somebody else could change, each told once, by the path as it is
    /// written.
    pub fn take_doubts(&self) -> Vec<(String, Doubt)> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut read.doubts)
    }
}
