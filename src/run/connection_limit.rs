//! Limits how many hosts tasker connects to at once (SPEC §5), independently of how
//! many commands run: an overloaded server drops connections.
#![forbid(unsafe_code)]

use super::interrupt::{Interrupt, SignalLevel, lock, wait_on};
use std::sync::{Condvar, Mutex};
use std::time::Instant;

pub struct ConnectionLimit {
    max: u32,
    connecting: Mutex<u32>,
    free: Condvar,
}

/// Held from the start of a connection until its nonce arrives; dropping it frees
/// the slot.
pub struct ConnectionSlot<'a> {
    limit: &'a ConnectionLimit,
}

impl Drop for ConnectionSlot<'_> {
    fn drop(&mut self) {
        *lock(&self.limit.connecting) -= 1;
        self.limit.free.notify_one();
    }
}

impl ConnectionLimit {
    pub fn new(max: u32) -> ConnectionLimit {
        ConnectionLimit {
            max,
            connecting: Mutex::new(0),
            free: Condvar::new(),
        }
    }

    /// Waits for a free slot; `None` if a signal or `until` comes first.
    pub fn acquire(
        &self,
        until: Option<Instant>,
        interrupt: &Interrupt,
    ) -> Option<ConnectionSlot<'_>> {
        let mut connecting = lock(&self.connecting);
        loop {
            let late = until.is_some_and(|u| Instant::now() >= u);
            if late || interrupt.level() > SignalLevel::None {
                return None;
            }
            if *connecting < self.max {
                *connecting += 1;
                return Some(ConnectionSlot { limit: self });
            }
            let left = until.map(|u| u.saturating_duration_since(Instant::now()));
            connecting = wait_on(&self.free, connecting, left);
        }
    }

    /// Wakes all waiting threads, so that they see a signal.
    pub fn wake(&self) {
        // Taking the lock makes sure that no thread is between its check and its wait.
        drop(lock(&self.connecting));
        self.free.notify_all();
    }
}
