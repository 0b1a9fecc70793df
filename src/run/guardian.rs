//! The guardian: a small process that ends every group tasker started, should
//! tasker itself die (SPEC §4.3).
//!
//! It holds the reading end of a pipe. Each new process writes its id (which is
//! its group's) into the other end before it becomes the command; tasker writes
//! the negative id before it collects the ended process. When the pipe ends,
//! tasker is gone, and what is still registered is ended.
//!
//! Rejected: `PR_SET_PDEATHSIG`, which follows the thread that forked and is
//! lost when a set-uid program is executed.
#![forbid(unsafe_code)]

use super::{process_group, sys};
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// How long it rests when it has read all there was. Woken by each message it
/// would take a processor from the run twice a task; the pipe has room for the
/// messages of 8000 tasks.
const REST: Duration = Duration::from_millis(20);

pub struct Guardian {
    pipe: PipeWriter,
    pid: i32,
}

impl Guardian {
    /// Starts the guardian; only while tasker has one thread and has opened
    /// nothing that must be closed when tasker ends.
    pub fn start(kill_after: Duration) -> io::Result<Guardian> {
        let (reader, writer) = io::pipe()?;
        let mut writer = Some(writer);
        let pid = sys::fork(|| {
            // The copy's own writing end would keep the pipe open for ever.
            drop(writer.take());
            guard(reader, kill_after);
        })?;
        match writer {
            Some(pipe) => Ok(Guardian { pipe, pid }),
            None => Err(io::Error::other("the guardian did not start")),
        }
    }

    /// Where a new process registers itself.
    pub fn registry(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    /// Forgets a group; before its leader is reaped, so that the id cannot mean
    /// another process yet.
    pub fn forget(&self, group: i32) {
        // A guardian that was killed by hand must not stop the run.
        let _ = sys::write_message(self.pipe.as_fd(), -group);
    }

    /// Ends the guardian and waits for it; nothing may be registered any more.
    pub fn finish(&self) {
        // Nothing is left for it to do, and even a stopped one ends this way.
        sys::signal_child(self.pid, sys::SIGKILL);
        let _ = sys::reap(self.pid);
    }
}

/// The guardian's whole life.
fn guard(mut reader: PipeReader, kill_after: Duration) {
    sys::detach(c"tasker-guardian");
    let mut groups = Vec::new();
    // Each message is written whole, so that a read never ends within one.
    let mut messages = [0u8; 4096];
    loop {
        match reader.read(&mut messages) {
            Ok(0) => break,
            Ok(length) => {
                for message in messages[..length].as_chunks().0 {
                    let id = i32::from_ne_bytes(*message);
                    match id {
                        1.. => groups.push(id),
                        _ => groups.retain(|g| *g != -id),
                    }
                }
                if length < messages.len() {
                    std::thread::sleep(REST);
                }
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    end(groups, kill_after);
}

/// Ends the groups: SIGTERM, then SIGKILL to those still there.
fn end(mut groups: Vec<i32>, kill_after: Duration) {
    for group in &groups {
        process_group::signal(*group, &[sys::SIGTERM, sys::SIGCONT]);
    }
    let deadline = Instant::now() + kill_after;
    while !groups.is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
        match process_group::living() {
            Some(all) => groups.retain(|g| all.iter().any(|p| p.is_of(*g))),
            None => groups.retain(|g| sys::group_exists(*g)),
        }
    }
    // Twice, since what was being started at that moment may have been missed.
    for group in groups.iter().chain(&groups) {
        process_group::signal(*group, &[sys::SIGKILL]);
    }
}
