//! A file that decides what runs: read once, within a bound.
#![forbid(unsafe_code)]

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What was read, and whose the opened file is.
pub struct InputFile {
    pub bytes: Vec<u8>,
    pub data: Metadata,
}

impl InputFile {
    /// Reads the file to its end. A FIFO or a device that is named is read, too.
    ///
    /// # Errors
    /// It cannot be read, or it is longer than `most` bytes.
    pub fn read(path: &Path, most: u64) -> io::Result<InputFile> {
        match path.metadata()?.is_file() {
            true => InputFile::read_plain(path, most),
            false => InputFile::read_from(File::open(path)?, most),
        }
    }

    /// The same for a plain file only, which never makes tasker wait.
    ///
    /// # Errors
    /// As for `read`; it is no plain file.
    pub fn read_plain(path: &Path, most: u64) -> io::Result<InputFile> {
        // A FIFO that takes the file's place in this moment has no writer to wait for.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)?;
        match file.metadata()?.is_file() {
            true => InputFile::read_from(file, most),
            false => Err(io::Error::other("it is not a plain file")),
        }
    }

    fn read_from(file: File, most: u64) -> io::Result<InputFile> {
        let data = file.metadata()?;
        let bytes = InputFile::read_open(file, most)?;
        Ok(InputFile { bytes, data })
    }

    /// What is left of an open file, within the same bound.
    ///
    /// # Errors
    /// As for `read`.
    pub fn read_open(open: impl Read, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        open.take(most + 1).read_to_end(&mut bytes)?;
        match bytes.len() as u64 > most {
            true => Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("it is larger than {} MiB", most >> 20),
            )),
            false => Ok(bytes),
        }
    }
}
