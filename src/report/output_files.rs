//! `--keep-output`: all that every command printed, a file for each task or host
//! and stream (SPEC §6).
#![forbid(unsafe_code)]

use super::safe_text;
use crate::run::capture::Captured;
use crate::run::event::{About, Event};
use crate::task::mask::Mask;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub struct OutputFiles {
    directory: PathBuf,
    mask: Mask,
    /// Whether a file that could not be written was told already.
    told: bool,
}

impl OutputFiles {
    /// Makes the directory where there is none.
    ///
    /// # Errors
    /// That no file can be made in it.
    pub fn new(directory: &Path, mask: Mask) -> io::Result<OutputFiles> {
        let named = |e: io::Error| {
            let text = format!("cannot keep outputs in `{}`: {e}", directory.display());
            io::Error::new(e.kind(), text)
        };
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory);
        made.map_err(named)?;
        let probe = directory.join(format!(".new.{}", std::process::id()));
        create(&probe).map_err(named)?;
        std::fs::remove_file(&probe).map_err(named)?;
        Ok(OutputFiles {
            directory: directory.to_path_buf(),
            mask,
            told: false,
        })
    }

    /// Keeps what a finished command printed; why that failed, once.
    pub fn event(&mut self, event: &Event) -> Option<String> {
        let Event::Finished { about, result } = event else {
            return None;
        };
        if result.command.is_empty() {
            return None;
        }
        let name = file_name(about);
        for (stream, output) in [("stdout", &result.stdout), ("stderr", &result.stderr)] {
            let path = self.directory.join(format!("{name}.{stream}"));
            let Err(e) = self.keep(&path, output) else {
                continue;
            };
            if !std::mem::replace(&mut self.told, true) {
                let path = safe_text::line(&path.display().to_string());
                return Some(format!("cannot keep the output `{path}`: {e}"));
            }
        }
        None
    }

    fn keep(&self, path: &Path, output: &Captured) -> io::Result<()> {
        let mut file = create(path)?;
        let mut window = Vec::new();
        let mut written = Ok(());
        output.chunks(&mut |chunk| {
            window.extend_from_slice(chunk);
            written = file.write_all(&self.mask.drain_masked(&mut window, false));
            written.is_ok()
        });
        written?;
        file.write_all(&self.mask.drain_masked(&mut window, true))
    }
}

/// A file for its owner only, whatever stood there before.
fn create(path: &Path) -> io::Result<std::fs::File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

/// `5`, `5.2` (an iteration), `10.web03`. Of a host's name only what can do no
/// harm in a file name; the number keeps others apart.
fn file_name(about: &About) -> String {
    let copy = about.in_block && about.label.contains('.');
    if !copy {
        return about.label.to_string();
    }
    let harmless = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match about.host.chars().all(harmless) {
        true => format!("{}.{}", about.task, about.host),
        false => {
            let host: String = about.host.chars().filter(|c| harmless(*c)).collect();
            format!("{}.{host}", about.label)
        }
    }
}
