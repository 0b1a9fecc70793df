//! Writes a remote command's standard input to a pipe, and keeps the pipe open: it is
//! also the control channel to the remote wrapper.
#![forbid(unsafe_code)]

use super::capture::Held;
use super::runner::Stdin;
use super::sys;
use std::fs::File;
use std::io::{self, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd, RawFd};

/// How much of a file is read at once, in bytes.
const CHUNK: usize = 64 << 10;

pub struct StdinPipe {
    /// `None` once closed, which tells the wrapper to end its command.
    pipe: Option<PipeWriter>,
    /// What to write next.
    pending: Vec<u8>,
    written: usize,
    /// The standard input that is not yet to be sent: bytes, or a file.
    input: Option<(Vec<u8>, Option<File>)>,
    /// Where the rest comes from.
    file: Option<File>,
}

/// The length of the input in bytes; the wrapper gets it before the input.
pub fn size(stdin: &Stdin) -> u64 {
    match stdin {
        Stdin::Null => 0,
        Stdin::Bytes(bytes) => bytes.len() as u64,
        Stdin::Stream(stream) => stream.len(),
    }
}

impl StdinPipe {
    /// A pipe that begins with this line. What follows waits for `send_input`.
    ///
    /// # Errors
    /// That the pipe cannot be set up, or an output to read from is gone.
    pub fn new(pipe: PipeWriter, line: Vec<u8>, stdin: &Stdin) -> io::Result<StdinPipe> {
        sys::set_nonblocking(pipe.as_fd())?;
        let (bytes, file) = match stdin {
            Stdin::Null => (Vec::new(), None),
            Stdin::Bytes(bytes) => (bytes.clone(), None),
            Stdin::Stream(stream) => match stream.held() {
                Held::File(file) => (Vec::new(), Some(file.open()?)),
                Held::Memory(bytes) => (bytes.to_vec(), None),
            },
        };
        Ok(StdinPipe {
            pipe: Some(pipe),
            pending: line,
            written: 0,
            input: Some((bytes, file)),
            file: None,
        })
    }

    /// Writes this line, and then the standard input.
    pub fn send_input(&mut self, line: &[u8]) {
        let (bytes, file) = self.input.take().unwrap_or_default();
        self.pending.extend_from_slice(line);
        self.pending.extend_from_slice(&bytes);
        self.file = file;
    }

    /// Writes a line, once everything before it is written.
    pub fn send(&mut self, line: &[u8]) {
        self.pending.extend_from_slice(line);
    }

    /// The pipe, while there is something to write; otherwise -1.
    pub fn fd(&self) -> RawFd {
        let more = self.written < self.pending.len() || self.file.is_some();
        self.pipe
            .as_ref()
            .filter(|_| more)
            .map_or(-1, AsRawFd::as_raw_fd)
    }

    /// Writes as much as the pipe accepts. If the reader is gone, nothing more is
    /// written; how the command ended explains the rest.
    pub fn write(&mut self) {
        if self.written == self.pending.len() && !self.refill() {
            return;
        }
        let Some(pipe) = &mut self.pipe else { return };
        match pipe.write(&self.pending[self.written..]) {
            Ok(length) => self.written += length,
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            Err(_) => self.close(),
        }
    }

    fn refill(&mut self) -> bool {
        let Some(file) = &mut self.file else {
            return false;
        };
        self.pending.resize(CHUNK, 0);
        self.written = 0;
        // If the file cannot be read, the wrapper notices that bytes are missing.
        let length = file.read(&mut self.pending).unwrap_or(0);
        self.pending.truncate(length);
        if length == 0 {
            self.file = None;
        }
        length > 0
    }

    pub fn close(&mut self) {
        self.pipe = None;
        self.file = None;
    }
}
