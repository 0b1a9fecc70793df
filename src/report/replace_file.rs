//! Replaces a file as a whole: a reader finds the old contents or the new, never a
//! part, and no two writers share a temporary file.
#![forbid(unsafe_code)]

use crate::run::sys;
use crate::text::diagnostic::cannot;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Writes a file that only its owner can read (mode 0600). A symbolic link stays:
/// its target is replaced. A pipe or a terminal is written to directly.
///
/// # Errors
/// `cannot write PATH: REASON`; the old contents are kept.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_by(path, &|file| file.write_all(bytes))
}

/// Writes the contents of a file.
pub type WriteFile<'a> = dyn Fn(&mut File) -> io::Result<()> + 'a;

/// The same with contents that are too large to be collected first.
///
/// # Errors
/// As for `replace`.
pub fn replace_by(path: &Path, write: &WriteFile) -> io::Result<()> {
    replace_or_write(path, write).map_err(cannot("write", path))
}

fn replace_or_write(path: &Path, write: &WriteFile) -> io::Result<()> {
    if is_special(path) {
        return write(&mut OpenOptions::new().write(true).open(path)?);
    }
    let path = target(path);
    let (mut file, temporary) = create_temporary(&path)?;
    let placed = write(&mut file).and_then(|()| fs::rename(&temporary, &path));
    placed.inspect_err(|_| drop(fs::remove_file(&temporary)))
}

/// Checks that `replace` can write the file, unless the disk fills up.
///
/// # Errors
/// `cannot write PATH: REASON`.
pub fn check(path: &Path) -> io::Result<()> {
    let checked = match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        _ if is_special(path) => Ok(()),
        _ => create_temporary(&target(path)).and_then(|(_, temporary)| fs::remove_file(temporary)),
    };
    checked.map_err(cannot("write", path))
}

/// Creates an empty file of mode 0600 with a unique name, next to `path`.
pub fn create_temporary(path: &Path) -> io::Result<(File, PathBuf)> {
    let mut random = [0; 8];
    sys::random(&mut random)?;
    let random = u64::from_ne_bytes(random);
    let temporary = path.with_file_name(format!(".tasker-{random:016x}.tmp"));
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    Ok((file, temporary))
}

fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| !meta.is_file())
}

fn target(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}
