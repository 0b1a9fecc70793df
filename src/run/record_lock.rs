//! Locks of records that several runs write (SPEC §6.3): waited for with a bound, and not
//! against a signal.
#![forbid(unsafe_code)]

use super::interrupt;
use std::fs::{File, TryLockError};
use std::io;
use std::time::{Duration, Instant};

/// How long a record waits for whoever writes to it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Takes the lock of the file; whether it was free in time. Whoever holds it longer, or
/// until a signal comes, is no run of tasker.
///
/// # Errors
/// The file system has no locks.
pub fn take(file: &File) -> io::Result<bool> {
    let (began, signals) = (Instant::now(), interrupt::signals());
    let mut nap = Duration::from_millis(1);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(e)) => return Err(e),
        }
        if began.elapsed() > PATIENCE || interrupt::signals() != signals {
            return Ok(false);
        }
        std::thread::sleep(nap);
        nap = (nap * 2).min(Duration::from_millis(20));
    }
}
