//! `--keep-output`: everything each command printed, in one file for each task or
//! host and stream (SPEC §6).
#![forbid(unsafe_code)]

use super::destination;
use crate::run::capture::Captured;
use crate::run::directory::Directory;
use crate::run::event::{About, Event};
use crate::task::mask::Mask;
use crate::text::diagnostic::cannot;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

pub struct OutputFiles {
    directory: Directory,
    mask: Mask,
    /// Whether a failed write was already reported.
    reported: bool,
}

impl OutputFiles {
    /// Creates the directory, unless it exists.
    ///
    /// # Errors
    /// No file can be created in it.
    pub fn new(directory: &Path, mask: Mask) -> io::Result<OutputFiles> {
        let open = || {
            let opened = destination::open_directory(directory)?;
            let (_, probe) = opened.create_temporary()?;
            opened.remove(&probe).map(|()| opened)
        };
        Ok(OutputFiles {
            directory: open().map_err(cannot("keep outputs in", directory))?,
            mask,
            reported: false,
        })
    }

    /// Writes what a finished command printed. The first failure is returned.
    pub fn event(&mut self, event: &Event) -> Option<String> {
        let Event::Finished { about, result } = event else {
            return None;
        };
        if result.command.is_empty() {
            return None;
        }
        let name = file_name(about);
        for (stream, output) in [("stdout", &result.stdout), ("stderr", &result.stderr)] {
            let name = format!("{name}.{stream}");
            let Err(e) = self.write(&name, output) else {
                continue;
            };
            let path = self.directory.path_of(name.as_ref());
            if !std::mem::replace(&mut self.reported, true) {
                return Some(cannot("write", &path)(e).to_string());
            }
        }
        None
    }

    fn write(&self, name: &str, output: &Captured) -> io::Result<()> {
        let mut file = self.create(name)?;
        let mut window = Vec::new();
        let mut written = Ok(());
        output.chunks(&mut |chunk| {
            window.extend_from_slice(chunk);
            written = file.write_all(&self.mask.drain_masked(&mut window, false));
            written.is_ok()
        })?;
        written?;
        file.write_all(&self.mask.drain_masked(&mut window, true))
    }

    /// An empty file with mode 0600, whether or not it existed.
    fn create(&self, name: &str) -> io::Result<File> {
        let file = destination::open_to_append_in(&self.directory, name.as_ref())?;
        if file.metadata()?.is_file() {
            file.set_len(0)?;
        }
        Ok(file)
    }
}

/// `5`, `5.2` (an iteration), `10.web03`. Characters of a host name that are unsafe
/// in a file name are dropped; the label then keeps the names unique.
fn file_name(about: &About) -> String {
    let is_copy = about.in_block && about.label.contains('.');
    if !is_copy {
        return about.label.to_string();
    }
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match about.host.chars().all(is_safe) {
        true => format!("{}.{}", about.task, about.host),
        false => {
            let host: String = about.host.chars().filter(|c| is_safe(*c)).collect();
            format!("{}.{host}", about.label)
        }
    }
}
