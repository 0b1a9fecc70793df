//! Bounds how many hosts are being connected to at once (SPEC §5), apart from
//! how many commands run: a server drops what is too many for it.
#![forbid(unsafe_code)]

use super::interrupt::{Interrupt, Level, lock};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

pub struct Ramp {
    most: u32,
    connecting: Mutex<u32>,
    free: Condvar,
}

/// Between the start of a connection and its nonce; given back when dropped.
pub struct Connecting<'a> {
    ramp: &'a Ramp,
}

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        *lock(&self.ramp.connecting) -= 1;
        self.ramp.free.notify_one();
    }
}

impl Ramp {
    pub fn new(most: u32) -> Ramp {
        Ramp {
            most,
            connecting: Mutex::new(0),
            free: Condvar::new(),
        }
    }

    /// Waits for a place; nothing when a signal or the time comes first.
    pub fn enter(&self, until: Option<Instant>, interrupt: &Interrupt) -> Option<Connecting<'_>> {
        let mut connecting = lock(&self.connecting);
        loop {
            let late = until.is_some_and(|u| Instant::now() >= u);
            if late || interrupt.level() > Level::None {
                return None;
            }
            if *connecting < self.most {
                *connecting += 1;
                return Some(Connecting { ramp: self });
            }
            connecting = match until {
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    self.free
                        .wait_timeout(connecting, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
                None => self
                    .free
                    .wait(connecting)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Wakes those that wait, so that they see a signal.
    pub fn wake(&self) {
        // Taken so that nobody is between looking and waiting.
        drop(lock(&self.connecting));
        self.free.notify_all();
    }
}
