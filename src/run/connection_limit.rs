//! Limits how many hosts tasker connects to at once (SPEC §5), independently of how
//! many commands run: an overloaded server, above all a jump host, drops connections.
//!
//! How many it takes is not known, so the limit adapts. It begins low; while it is used
//! up, each host that connects raises it by one, which doubles it in the time that a
//! connection takes. A connection that was turned away halves it; from then on it rises
//! only by one each time that as many have connected.
#![forbid(unsafe_code)]

use super::interrupt::{Interrupt, SignalLevel, lock, wait_on};
use std::sync::{Condvar, Mutex};
use std::time::Instant;

/// How many hosts are connecting at most when a run begins: what sshd's default
/// `MaxStartups` always takes.
const FIRST: u32 = 10;

pub struct ConnectionLimit {
    state: Mutex<LimitState>,
    free: Condvar,
}

struct LimitState {
    max: u32,
    connecting: u32,
    /// How many may be connecting.
    allowed: u32,
    /// How many wait for their turn.
    waiting: u32,
    /// How often it was halved.
    halvings: u32,
    /// How many have connected since the limit last changed.
    connected: u32,
}

impl LimitState {
    fn connected(&mut self) {
        self.connected += 1;
        // As long as it is not used up, nothing is learned about what is too much.
        let is_used_up = self.waiting > 0;
        let enough = self.halvings == 0 || self.connected >= self.allowed;
        if is_used_up && enough && self.allowed < self.max {
            self.allowed += 1;
            self.connected = 0;
        }
    }

    /// A connection that began after so many halvings was turned away. Of those that
    /// were turned away together only the first counts.
    fn turned_away(&mut self, halvings: u32) {
        if self.halvings == halvings {
            self.allowed = (self.allowed.min(self.connecting) / 2).max(1);
            self.halvings += 1;
            self.connected = 0;
        }
    }
}

/// Held from the start of a connection until its host answers; dropping it frees the
/// slot.
pub struct ConnectionSlot<'a> {
    limit: &'a ConnectionLimit,
    /// How often the limit had been halved when this connection began.
    halvings: u32,
}

impl ConnectionSlot<'_> {
    /// The host has answered.
    pub fn connected(self) {
        lock(&self.limit.state).connected();
        // Its own slot is free now, and perhaps one more.
        self.limit.free.notify_one();
    }

    /// The server has turned the connection away.
    pub fn turned_away(self) {
        lock(&self.limit.state).turned_away(self.halvings);
    }
}

impl Drop for ConnectionSlot<'_> {
    fn drop(&mut self) {
        lock(&self.limit.state).connecting -= 1;
        self.limit.free.notify_one();
    }
}

impl ConnectionLimit {
    pub fn new(max: u32) -> ConnectionLimit {
        ConnectionLimit {
            state: Mutex::new(LimitState {
                max,
                connecting: 0,
                allowed: FIRST.min(max),
                waiting: 0,
                halvings: 0,
                connected: 0,
            }),
            free: Condvar::new(),
        }
    }

    /// Waits for a free slot; `None` if a signal or `until` comes first.
    pub fn acquire(
        &self,
        until: Option<Instant>,
        interrupt: &Interrupt,
    ) -> Option<ConnectionSlot<'_>> {
        let mut state = lock(&self.state);
        loop {
            let late = until.is_some_and(|u| Instant::now() >= u);
            if late || interrupt.level() > SignalLevel::None {
                return None;
            }
            if state.connecting < state.allowed {
                state.connecting += 1;
                return Some(ConnectionSlot {
                    limit: self,
                    halvings: state.halvings,
                });
            }
            let left = until.map(|u| u.saturating_duration_since(Instant::now()));
            state.waiting += 1;
            state = wait_on(&self.free, state, left);
            state.waiting -= 1;
        }
    }

    /// Wakes all waiting threads, so that they see a signal.
    pub fn wake(&self) {
        // Taking the lock makes sure that no thread is between its check and its wait.
        drop(lock(&self.state));
        self.free.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hosts that always wait, against a server that takes so many at once: how many are
    /// allowed after each round.
    fn rounds(max: u32, takes: u32, rounds: usize) -> Vec<u32> {
        let limit = ConnectionLimit::new(max);
        let mut state = lock(&limit.state);
        state.waiting = u32::MAX;
        let round = |_| {
            let (together, halvings) = (state.allowed, state.halvings);
            state.connecting = together;
            for number in 0..together {
                match number < takes {
                    true => state.connected(),
                    false => state.turned_away(halvings),
                }
            }
            state.allowed
        };
        (0..rounds).map(round).collect()
    }

    #[test]
    fn it_doubles_while_hosts_connect() {
        assert_eq!(rounds(1000, 1000, 5), [20, 40, 80, 160, 320]);
        assert_eq!(rounds(35, 1000, 3), [20, 35, 35]);
        assert_eq!(rounds(7, 1000, 2), [7, 7]);
    }

    #[test]
    fn it_stays_near_what_the_server_takes() {
        for takes in [1, 3, 10, 30] {
            let seen = rounds(1000, takes, 100);
            let settled = &seen[10..];
            let most = settled.iter().max().copied().unwrap_or(0);
            assert!(most <= takes + 1, "{takes}: {seen:?}");
            assert!(settled.iter().all(|n| *n >= takes.div_ceil(2)), "{takes}: {seen:?}");
        }
    }

    #[test]
    fn what_is_not_used_up_does_not_grow() {
        let limit = ConnectionLimit::new(1000);
        let mut state = lock(&limit.state);
        (0..100).for_each(|_| state.connected());
        assert_eq!(state.allowed, FIRST);
    }
}
