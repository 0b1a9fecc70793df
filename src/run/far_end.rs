//! The far end of an `ssh` job: what its wrapper has said, and what tasker says to it.
//!
//! First it connects: it holds a connection slot, and nothing runs. Once the wrapper has
//! answered, tasker says `go`, and from then on the command may have been executed. It is
//! known to have ended once the wrapper says so, and only then.
#![forbid(unsafe_code)]

use super::connection_limit::ConnectionSlot;
use super::marks::{MarkedStderr, MarkedStdout};
use super::remote::{CUT, GO};
use super::stdin_pipe::StdinPipe;
use std::borrow::Cow;
use std::os::fd::RawFd;
use std::time::Instant;

/// Who is told that a host has answered.
pub type Announce<'a> = &'a (dyn Fn() + Sync);

pub struct FarEnd<'a> {
    stdin: StdinPipe,
    stdout: MarkedStdout,
    stderr: MarkedStderr,
    /// Held while it connects.
    slot: Option<ConnectionSlot<'a>>,
    announce: Announce<'a>,
    /// When `go` was said.
    pub began: Option<Instant>,
}

impl<'a> FarEnd<'a> {
    pub fn new(
        nonce: &str,
        stdin: StdinPipe,
        slot: ConnectionSlot<'a>,
        announce: Announce<'a>,
    ) -> FarEnd<'a> {
        FarEnd {
            stdin,
            stdout: MarkedStdout::new(nonce),
            stderr: MarkedStderr::new(nonce),
            slot: Some(slot),
            announce,
            began: None,
        }
    }

    /// The channel to the wrapper, while there is something to write; otherwise -1.
    pub fn stdin_fd(&self) -> RawFd {
        self.stdin.fd()
    }

    pub fn write_stdin(&mut self) {
        self.stdin.write();
    }

    /// What the command wrote of these bytes.
    pub fn pass_stdout<'b>(&mut self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        self.stdout.pass(bytes)
    }

    /// The same of standard error, with what the wrapper says on it.
    pub fn pass_stderr(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.stderr.pass(bytes)
    }

    /// The rest of standard output and of standard error, at their end.
    pub fn close_outputs(&mut self) -> [Vec<u8>; 2] {
        [self.stdout.rest(), self.stderr.rest()]
    }

    /// Whether the wrapper has answered, and waits for `go`.
    pub fn is_ready(&self) -> bool {
        self.began.is_none() && self.stderr.pid.is_some()
    }

    /// Lets the command begin.
    pub fn begin(&mut self) {
        self.began = Some(Instant::now());
        self.stdin.send_input(GO);
        if let Some(slot) = self.slot.take() {
            slot.connected();
        }
        (self.announce)();
    }

    /// The slot of a connection that has failed.
    pub fn take_slot(&mut self) -> Option<ConnectionSlot<'a>> {
        self.slot.take()
    }

    /// The exit code of the command, once it has ended by itself.
    pub fn ended_with(&self) -> Option<i32> {
        self.stderr.ended_with
    }

    /// Whether the command has ended by itself, and all its output has come.
    pub fn is_complete(&self) -> bool {
        self.ended_with().is_some() && self.stdout.has_ended()
    }

    /// Tells the wrapper to end the command, or what it has left behind.
    pub fn end_command(&mut self) {
        match self.ended_with() {
            Some(_) => self.stdin.send(CUT),
            None => self.stdin.close(),
        }
    }

    /// Whether the wrapper could not end everything.
    pub fn has_left(&self) -> bool {
        !self.stderr.left.is_empty()
    }

    /// What may still run of a command that was to be ended; `None` if nothing does.
    pub fn unconfirmed(&self) -> Option<String> {
        let pid = self.stderr.pid.filter(|_| self.began.is_some())?;
        if self.ended_with().is_some() || self.stderr.ended {
            return None;
        }
        Some(self.left().unwrap_or_else(|| {
            format!(
                "is not known to have ended: process {pid} there, and what it started, may go on"
            )
        }))
    }

    /// What the wrapper could not end; `None` if it has named nothing.
    pub fn left(&self) -> Option<String> {
        let left = self.stderr.left.join(", ");
        self.has_left()
            .then(|| format!("could not be ended, and may go on: {left}"))
    }

    /// What ssh, or a host between, printed before the command began.
    pub fn preamble(&self) -> Vec<u8> {
        without_returns(self.stderr.preamble())
    }

    /// The same on standard output: the noise of start-up files.
    pub fn stdout_preamble(&self) -> Vec<u8> {
        without_returns(self.stdout.preamble())
    }
}

/// ssh ends its own lines with a carriage return, which says nothing.
fn without_returns(bytes: &[u8]) -> Vec<u8> {
    bytes
        .iter()
        .copied()
        .filter(|byte| *byte != b'\r')
        .collect()
}
