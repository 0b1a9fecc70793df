//! The guardian: a small process that ends all process groups that tasker started,
//! if tasker itself dies (SPEC §4.3).
//!
//! It reads from a pipe. Each new process writes its id, which is also its group's,
//! to the pipe before it becomes the command. tasker writes the negative id before
//! it reaps the process. At the end of the pipe tasker is gone, and the guardian
//! ends the groups that are still registered.
//!
//! Rejected: `PR_SET_PDEATHSIG`, which is tied to the thread that forked, and is
//! cleared when a set-uid program is executed.
#![forbid(unsafe_code)]

use super::{process_group, sys};
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// How long it sleeps after it has read everything. If it woke up for each message,
/// it would interrupt the run twice per task; the pipe has room for the messages of
/// 8000 tasks.
const PAUSE: Duration = Duration::from_millis(20);

pub struct Guardian {
    pipe: PipeWriter,
    pid: i32,
}

impl Guardian {
    /// Starts the guardian. To be called while tasker has only one thread.
    ///
    /// # Errors
    /// That there can be no pipe or no process.
    pub fn start(kill_after: Duration) -> io::Result<Guardian> {
        let (reader, writer) = io::pipe()?;
        let mut writer = Some(writer);
        let pid = sys::fork(|| {
            // Otherwise the guardian itself would keep the pipe open.
            drop(writer.take());
            guard(reader, kill_after);
        })?;
        match writer {
            Some(pipe) => Ok(Guardian { pipe, pid }),
            None => Err(io::Error::other("the guardian did not start")),
        }
    }

    /// Where a new process writes its id.
    pub fn registry(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    /// Unregisters a group. To be called before its leader is reaped: afterwards the
    /// id can belong to another process.
    pub fn unregister(&self, group: i32) {
        // If someone killed the guardian, the run must continue.
        let _ = sys::write_message(self.pipe.as_fd(), -group);
    }

    /// Ends the guardian. To be called when no group is registered any more.
    pub fn finish(&self) {
        // It has nothing left to do, and SIGKILL works even if it is stopped.
        sys::signal_child(self.pid, sys::SIGKILL);
        let _ = sys::reap(self.pid);
    }
}

/// Runs in the guardian.
fn guard(mut reader: PipeReader, kill_after: Duration) {
    sys::detach(c"tasker-guardian");
    // What tasker had open is closed when tasker ends: locks are free then.
    sys::close_above_2_except(reader.as_fd());
    let mut groups = Vec::new();
    // Each message is written as a whole, so a read never ends within one.
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
                    std::thread::sleep(PAUSE);
                }
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    end_groups(groups, kill_after);
}

/// Sends SIGTERM, then SIGKILL to the groups that are left.
fn end_groups(mut groups: Vec<i32>, kill_after: Duration) {
    for group in &groups {
        process_group::signal(*group, &[sys::SIGTERM, sys::SIGCONT]);
    }
    let deadline = Instant::now() + kill_after;
    while !groups.is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
        match process_group::living() {
            Some(all) => groups.retain(|g| all.iter().any(|p| p.belongs_to(*g))),
            None => groups.retain(|g| sys::group_exists(*g)),
        }
    }
    // Twice: a process that was just being started may have been missed.
    for group in groups.iter().chain(&groups) {
        process_group::signal(*group, &[sys::SIGKILL]);
    }
}
