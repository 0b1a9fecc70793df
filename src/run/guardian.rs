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

use super::interrupt::lock;
use super::process_table::{self, LiveProcess};
use super::{orphans, process_group, sys};
use crate::text::diagnostic::reason;
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long it sleeps after it has read everything. If it woke up for each message,
/// it would interrupt the run twice per task; the pipe has room for the messages of
/// 8000 tasks.
const PAUSE: Duration = Duration::from_millis(20);

/// How many messages fit into a pipe that nobody reads, with room to spare.
const FIRST_MESSAGES: usize = 4000;

pub struct Guardian {
    /// What the process holds as well, until no command is left.
    locks: Mutex<Vec<Arc<File>>>,
    pipe: PipeWriter,
    kill_after: Duration,
    state: Mutex<GuardianState>,
}

struct GuardianState {
    /// `None` if it was killed and no other could be started, and at the end.
    pid: Option<i32>,
    finished: bool,
    /// What is to be told of it.
    notice: Option<String>,
}

impl Guardian {
    /// Starts the guardian. To be called while tasker has only one thread.
    ///
    /// # Errors
    /// That there can be no pipe or no process.
    pub fn start(kill_after: Duration) -> io::Result<Guardian> {
        let (reader, pipe) = io::pipe()?;
        let pid = start_process(reader, kill_after, &[])?;
        sys::become_subreaper();
        Ok(Guardian {
            locks: Mutex::default(),
            pipe,
            kill_after,
            state: Mutex::new(GuardianState {
                pid: Some(pid),
                finished: false,
                notice: None,
            }),
        })
    }

    /// Lets the guardian hold these locks too: if tasker dies, they are free once all
    /// commands have ended. To be called before any command starts.
    ///
    /// # Errors
    /// There can be no further process.
    pub fn hold(&self, locks: Vec<Arc<File>>) -> io::Result<()> {
        let _held = orphans::hold_starts();
        *lock(&self.locks) = locks;
        let mut state = lock(&self.state);
        let before = state.pid.replace(self.replace()?);
        if let Some(pid) = before {
            end_process(pid);
        }
        Ok(())
    }

    /// Starts another guardian if somebody has killed this one.
    pub fn check(&self) {
        // Nothing starts meanwhile, so that all that runs is registered anew.
        let _held = orphans::hold_starts();
        let mut state = lock(&self.state);
        // What cannot be asked is taken to be there: waiting for it could take for ever.
        let is_there = |pid| !sys::has_ended(pid, false).unwrap_or(false);
        if let Some(pid) = state.pid.filter(|pid| is_there(*pid)) {
            // One that somebody has stopped would end nothing.
            sys::signal_child(pid, sys::SIGCONT);
            return;
        }
        if state.finished {
            return;
        }
        if let Some(pid) = state.pid.take() {
            let _ = sys::reap(pid);
            orphans::forget(pid);
        }
        match self.replace() {
            Ok(pid) => {
                state.pid = Some(pid);
                state.notice = Some("the guardian process, which ends all commands if tasker is killed, was killed itself; another one was started".into());
            }
            Err(e) => {
                let reason = reason(&e);
                state.notice = Some(format!(
                    "the guardian process was killed, and no other can be started: {reason}; commands would go on if tasker is killed"
                ));
            }
        }
    }

    fn replace(&self) -> io::Result<i32> {
        let groups = orphans::commands();
        let (reader, writer) = io::pipe()?;
        // As many as fit before there is a reader, so that it knows them from the start.
        let (first, rest) = groups.split_at(groups.len().min(FIRST_MESSAGES));
        for group in first {
            sys::write_message(writer.as_fd(), *group)?;
        }
        sys::replace_descriptor(writer.as_fd(), self.pipe.as_fd())?;
        drop(writer);
        let pid = start_process(reader, self.kill_after, &lock(&self.locks))?;
        for group in rest {
            sys::write_message(self.pipe.as_fd(), *group)?;
        }
        Ok(pid)
    }

    /// What is to be told of the guardian, once.
    pub fn take_notice(&self) -> Option<String> {
        lock(&self.state).notice.take()
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
        let mut state = lock(&self.state);
        state.finished = true;
        // It has nothing left to do, and SIGKILL works even if it is stopped.
        if let Some(pid) = state.pid.take() {
            end_process(pid);
        }
    }
}

fn end_process(pid: i32) {
    sys::signal_child(pid, sys::SIGKILL);
    let _ = sys::reap(pid);
    orphans::forget(pid);
}

/// Starts the process that reads this pipe. Its own copies of the other end are closed
/// with everything else.
fn start_process(reader: PipeReader, kill_after: Duration, locks: &[Arc<File>]) -> io::Result<i32> {
    let pid = sys::fork(|| guard(reader, kill_after, locks))?;
    orphans::note(pid);
    Ok(pid)
}

/// Runs in the guardian.
fn guard(mut reader: PipeReader, kill_after: Duration, locks: &[Arc<File>]) {
    sys::detach(c"tasker-guardian");
    // What tasker had open is closed when tasker ends: other locks are free then.
    let mut kept = vec![reader.as_fd()];
    kept.extend(locks.iter().map(|lock| lock.as_fd()));
    sys::close_above_2_except(&kept);
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
    sign(locks, &groups);
    end_groups(&mut groups, kill_after);
    if !locks.is_empty() {
        wait_for_end(groups);
    }
}

/// Says in the files of the locks who holds them now.
fn sign(locks: &[Arc<File>], groups: &[i32]) {
    let all = process_table::living().unwrap_or_default();
    let is_left = |p: &&LiveProcess| groups.iter().any(|group| p.belongs_to(*group));
    let left: Vec<String> = all
        .iter()
        .filter(is_left)
        .map(process_group::shown_process)
        .collect();
    if left.is_empty() {
        return;
    }
    let left = left.join(", ");
    for file in locks {
        let mut holder = String::new();
        let mut file = file.as_ref();
        let signed = file
            .rewind()
            .and_then(|()| file.read_to_string(&mut holder))
            .and_then(|_| file.rewind());
        let holder = holder.trim_end();
        let text = format!("{holder}; it was killed, and of its commands still run: {left}\n");
        // Another instance learns less if that fails; the lock holds all the same.
        let _ = signed.and_then(|()| file.write_all(text.as_bytes()));
    }
}

/// Waits until nothing is left of the groups.
fn wait_for_end(mut groups: Vec<i32>) {
    let mut nap = Duration::from_millis(20);
    while !groups.is_empty() {
        std::thread::sleep(nap);
        nap = (nap * 2).min(Duration::from_secs(1));
        match process_table::living() {
            Some(all) => groups.retain(|g| all.iter().any(|p| p.belongs_to(*g))),
            None => groups.retain(|g| sys::group_exists(*g)),
        }
    }
}

/// Sends SIGTERM, then SIGKILL to the groups that are left.
fn end_groups(groups: &mut Vec<i32>, kill_after: Duration) {
    let signal = |groups: &[i32], signals: &[i32]| {
        let all = process_table::living().unwrap_or_default();
        for group in groups {
            process_group::signal_groups(*group, &all, signals);
        }
    };
    signal(groups, &[sys::SIGTERM, sys::SIGCONT]);
    let deadline = Instant::now() + kill_after;
    while !groups.is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
        match process_table::living() {
            Some(all) => groups.retain(|g| all.iter().any(|p| p.belongs_to(*g))),
            None => groups.retain(|g| sys::group_exists(*g)),
        }
    }
    // Twice: a process that was just being started may have been missed.
    signal(groups, &[sys::SIGKILL]);
    signal(groups, &[sys::SIGKILL]);
}
