//! What commands leave behind (SPEC §4.3). A process whose parent has ended becomes a
//! child of tasker, which reaps it when it ends: by its id, never any child at all, since
//! how a command ended is for the thread that follows it to learn.
//!
//! Locks: `STARTING` is held to read while a process is started and noted as tasker's own,
//! and to write while the children are looked at. So a command that has just been started
//! is never taken for an orphan.
#![forbid(unsafe_code)]

use super::interrupt::lock;
use super::{process_table, sys};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError, RwLock, RwLockWriteGuard};

static STARTING: RwLock<()> = RwLock::new(());

/// The processes that tasker has started and not reaped, and which of them are commands.
static OWN: Mutex<BTreeMap<i32, bool>> = Mutex::new(BTreeMap::new());

/// Starts a command that tasker itself will wait for; `pid` says which process it is.
///
/// # Errors
/// Those of `start`.
pub fn start_own<T>(
    start: impl FnOnce() -> io::Result<T>,
    pid: impl Fn(&T) -> i32,
) -> io::Result<T> {
    let _starting = STARTING.read().unwrap_or_else(PoisonError::into_inner);
    let started = start()?;
    lock(&OWN).insert(pid(&started), true);
    Ok(started)
}

/// A process of tasker's own, which is no command, started while nobody could look.
pub fn note(pid: i32) {
    lock(&OWN).insert(pid, false);
}

/// Keeps everybody from starting processes as long as it is held.
pub fn hold_starts() -> RwLockWriteGuard<'static, ()> {
    STARTING.write().unwrap_or_else(PoisonError::into_inner)
}

/// The process is reaped, or nobody waits for it any more.
pub fn forget(pid: i32) {
    lock(&OWN).remove(&pid);
}

pub fn is_own(pid: i32) -> bool {
    lock(&OWN).contains_key(&pid)
}

/// The commands that run, by their leaders.
pub fn commands() -> Vec<i32> {
    let own = lock(&OWN);
    let commands = own.iter().filter(|(_, is_command)| **is_command);
    commands.map(|(pid, _)| *pid).collect()
}

/// Reaps the orphans that have ended.
pub fn reap_ended() {
    let _held = hold_starts();
    for pid in process_table::adopted() {
        if !is_own(pid) && sys::has_ended(pid, false).unwrap_or(false) {
            let _ = sys::reap(pid);
        }
    }
}
