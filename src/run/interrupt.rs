//! Signals to tasker itself (SPEC §6.5).
//!
//! All threads block them; one thread waits for them and raises a level. Each thread
//! that watches a command polls two pipes: the first becomes readable when commands
//! are to be terminated, the second when they are to be killed.
#![forbid(unsafe_code)]

use super::sys;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What the signals so far have stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum SignalLevel {
    #[default]
    None,
    /// Nothing new starts; running commands can finish.
    Drain,
    /// Running commands are terminated.
    End,
    /// Running commands are killed, and tasker ends at once.
    Kill,
}

/// What a first SIGINT does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnInterrupt {
    #[default]
    Drain,
    Kill,
}

impl OnInterrupt {
    pub const NAMES: [(&'static str, OnInterrupt); 2] =
        [("drain", OnInterrupt::Drain), ("kill", OnInterrupt::Kill)];
}

/// How many signals came, for whoever waits without an `Interrupt` at hand.
static SIGNALS: AtomicU32 = AtomicU32::new(0);

/// How many signals came so far.
pub fn signals() -> u32 {
    SIGNALS.load(Relaxed)
}

/// The level, shared by all threads. Its lock is never held across a call that waits.
pub struct Interrupt {
    level: Mutex<SignalLevel>,
    end: (PipeReader, PipeWriter),
    kill: (PipeReader, PipeWriter),
    on_interrupt: OnInterrupt,
    /// The final tasks run: the next signal terminates them.
    rearmed: AtomicBool,
}

impl Interrupt {
    pub fn new(on_interrupt: OnInterrupt) -> io::Result<Interrupt> {
        Ok(Interrupt {
            level: Mutex::default(),
            end: io::pipe()?,
            kill: io::pipe()?,
            on_interrupt,
            rearmed: AtomicBool::new(false),
        })
    }

    /// Raises the level according to the signal, and returns it.
    pub fn raise(&self, signal: i32) -> SignalLevel {
        SIGNALS.fetch_add(1, Relaxed);
        let mut level = lock(&self.level);
        let before = *level;
        let drains = self.on_interrupt == OnInterrupt::Drain && !self.rearmed.load(Relaxed);
        *level = match (before, signal) {
            (SignalLevel::None, sys::SIGINT) if drains => SignalLevel::Drain,
            (SignalLevel::None | SignalLevel::Drain, _) => SignalLevel::End,
            (SignalLevel::End | SignalLevel::Kill, _) => SignalLevel::Kill,
        };
        if *level >= SignalLevel::End && before < SignalLevel::End {
            let _ = (&self.end.1).write_all(b"!");
        }
        if *level == SignalLevel::Kill && before < SignalLevel::Kill {
            let _ = (&self.kill.1).write_all(b"!");
        }
        *level
    }

    pub fn level(&self) -> SignalLevel {
        *lock(&self.level)
    }

    /// Readable once running commands are to be terminated.
    pub fn end_fd(&self) -> RawFd {
        self.end.0.as_raw_fd()
    }

    /// Readable once running commands are to be killed.
    pub fn kill_fd(&self) -> RawFd {
        self.kill.0.as_raw_fd()
    }

    /// Resets the level, so that final tasks can run; called only while no command
    /// runs. From then on the first signal terminates what runs (SPEC §3.7).
    pub fn rearm(&self) {
        self.rearmed.store(true, Relaxed);
        let mut level = lock(&self.level);
        for (from, pipe) in [
            (SignalLevel::End, &self.end.0),
            (SignalLevel::Kill, &self.kill.0),
        ] {
            if *level >= from {
                let mut byte = [0];
                let _ = { pipe }.read_exact(&mut byte);
            }
        }
        *level = SignalLevel::None;
    }
}

/// Takes a lock. A panic ends the process (`panic = "abort"`), so a poisoned lock
/// holds at worst an old value.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for the condition, at most for `patience`.
pub fn wait_on<'a, T>(
    condition: &Condvar,
    guard: MutexGuard<'a, T>,
    patience: Option<Duration>,
) -> MutexGuard<'a, T> {
    match patience {
        None => condition
            .wait(guard)
            .unwrap_or_else(PoisonError::into_inner),
        Some(patience) => {
            let waited = condition.wait_timeout(guard, patience);
            waited.unwrap_or_else(PoisonError::into_inner).0
        }
    }
}

/// `SIGINT`, `SIGTERM`, `SIGHUP`.
pub fn signal_name(signal: i32) -> &'static str {
    match signal {
        sys::SIGINT => "SIGINT",
        sys::SIGTERM => "SIGTERM",
        sys::SIGHUP => "SIGHUP",
        _ => "a signal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_signal_raises_the_level() -> io::Result<()> {
        let interrupt = Interrupt::new(OnInterrupt::Drain)?;
        let raise = |signal| interrupt.raise(signal);
        assert_eq!(
            [raise(sys::SIGINT), raise(sys::SIGINT), raise(sys::SIGINT)],
            [SignalLevel::Drain, SignalLevel::End, SignalLevel::Kill]
        );
        assert_eq!(
            sys::poll(&[interrupt.end_fd(), interrupt.kill_fd()], -1, None)?,
            0b11
        );
        interrupt.rearm();
        assert_eq!(
            sys::poll(
                &[interrupt.end_fd(), interrupt.kill_fd()],
                -1,
                Some(std::time::Duration::ZERO)
            )?,
            0
        );
        assert_eq!(
            [raise(sys::SIGINT), raise(sys::SIGINT)],
            [SignalLevel::End, SignalLevel::Kill],
            "counted anew"
        );
        let other = Interrupt::new(OnInterrupt::Drain)?;
        assert_eq!(
            [other.raise(sys::SIGTERM), other.raise(sys::SIGHUP)],
            [SignalLevel::End, SignalLevel::Kill]
        );
        assert_eq!(
            Interrupt::new(OnInterrupt::Kill)?.raise(sys::SIGINT),
            SignalLevel::End
        );
        Ok(())
    }
}
