//! Limits how many hosts tasker connects to at once (SPEC §5), independently of how
//! many commands run: an overloaded server, above all a jump host, drops connections.
//!
//! How many it takes is not known, so the limit adapts. It begins low; while it is used
//! up, each host that connects raises it by one, which doubles it in the time that a
//! connection takes. A connection that was turned away halves it; from then on it rises
//! only by one each time that as many have connected, and much more slowly where it was
//! too much before.
//!
//! A host that does not answer soon is far away or hangs, and no sign of load: after a
//! while it no longer counts, so that it does not keep the others from connecting. Only
//! `max_connecting` bounds all that are connecting.
#![forbid(unsafe_code)]

use super::interrupt::{Interrupt, SignalLevel, lock, wait_on};
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// How many hosts are connecting at most when a run begins: what sshd's default
/// `MaxStartups` always takes.
const FIRST: usize = 10;
/// How long a connection counts.
const COUNTS: Duration = Duration::from_millis(300);
/// ... once one was turned away.
const COUNTS_LONGER: Duration = Duration::from_secs(5);

/// How many times as many as are allowed must have connected before one more is tried
/// than what was too much before.
const TO_TRY_MORE: usize = 10;

pub struct ConnectionLimit {
    state: Mutex<LimitState>,
    free: Condvar,
}

struct LimitState {
    max: usize,
    /// How many may be connecting that count.
    allowed: usize,
    /// When those that are connecting began, in the order in which they began.
    connecting: BTreeMap<u64, Instant>,
    /// How many have begun.
    begun: u64,
    /// How many wait for their turn.
    waiting: usize,
    /// How often it was halved.
    halvings: u32,
    /// How many were fewer than when one was last turned away.
    known_good: usize,
    /// How many have connected since the limit last changed.
    connected: usize,
}

impl LimitState {
    fn new(max: u32) -> LimitState {
        let max = max as usize;
        LimitState {
            max,
            allowed: FIRST.min(max),
            connecting: BTreeMap::new(),
            begun: 0,
            waiting: 0,
            halvings: 0,
            known_good: max,
            connected: 0,
        }
    }

    /// Lets a connection begin.
    ///
    /// # Errors
    /// Not now; at the latest at this time there is something new.
    fn begin(&mut self, now: Instant) -> Result<u64, Option<Instant>> {
        let counts = match self.halvings {
            0 => COUNTS,
            _ => COUNTS_LONGER,
        };
        let mut young = self.connecting.values().rev();
        // The one that has to stop counting before the next can begin.
        let last = young.nth(self.allowed - 1).map(|began| *began + counts);
        if self.connecting.len() >= self.max {
            return Err(None);
        }
        if last.is_some_and(|ends| ends > now) {
            return Err(last);
        }
        self.begun += 1;
        self.connecting.insert(self.begun, now);
        Ok(self.begun)
    }

    fn connected(&mut self) {
        self.connected += 1;
        // As long as it is not used up, nothing is learned about what is too much.
        let is_used_up = self.waiting > 0;
        let needed = match (self.halvings, self.allowed < self.known_good) {
            (0, _) => 1,
            (_, true) => self.allowed,
            (_, false) => TO_TRY_MORE * self.allowed,
        };
        if is_used_up && self.connected >= needed && self.allowed < self.max {
            self.allowed += 1;
            self.connected = 0;
        }
    }

    /// A connection that began after so many halvings was turned away. Of those that
    /// were turned away together only the first counts.
    fn turned_away(&mut self, halvings: u32) {
        if self.halvings == halvings {
            self.known_good = self.connecting.len().saturating_sub(1).max(1);
            self.allowed = (self.allowed.min(self.connecting.len()) / 2).max(1);
            self.halvings += 1;
            self.connected = 0;
        }
    }
}

/// Held from the start of a connection until its host answers; dropping it frees the
/// slot.
pub struct ConnectionSlot<'a> {
    limit: &'a ConnectionLimit,
    number: u64,
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
        lock(&self.limit.state).connecting.remove(&self.number);
        self.limit.free.notify_one();
    }
}

impl ConnectionLimit {
    /// At most `max` hosts are connecting at once.
    pub fn new(max: u32) -> ConnectionLimit {
        ConnectionLimit {
            state: Mutex::new(LimitState::new(max)),
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
            let now = Instant::now();
            if until.is_some_and(|u| now >= u) || interrupt.level() > SignalLevel::None {
                return None;
            }
            let later = match state.begin(now) {
                Ok(number) => {
                    return Some(ConnectionSlot {
                        limit: self,
                        number,
                        halvings: state.halvings,
                    });
                }
                Err(later) => later,
            };
            let next = [until, later].into_iter().flatten().min();
            state.waiting += 1;
            state = wait_on(
                &self.free,
                state,
                next.map(|at| at.saturating_duration_since(now)),
            );
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

    /// Hosts that always wait, against a server that takes so many at once: how many
    /// begin together in each round.
    fn rounds(max: u32, takes: usize, rounds: usize) -> Vec<usize> {
        let mut state = LimitState::new(max);
        state.waiting = usize::MAX;
        let now = Instant::now();
        let round = |_| {
            while state.begin(now).is_ok() {}
            let (together, halvings) = (state.connecting.len(), state.halvings);
            for number in 0..together {
                match number < takes {
                    true => state.connected(),
                    false => state.turned_away(halvings),
                }
            }
            state.connecting.clear();
            together
        };
        (0..rounds).map(round).collect()
    }

    #[test]
    fn it_doubles_while_hosts_connect() {
        assert_eq!(rounds(1000, 1000, 5), [10, 20, 40, 80, 160]);
        assert_eq!(rounds(35, 1000, 4), [10, 20, 35, 35]);
        assert_eq!(rounds(7, 1000, 2), [7, 7]);
    }

    #[test]
    fn it_stays_near_what_the_server_takes() {
        for takes in [1, 3, 10, 30] {
            let seen = rounds(1000, takes, 200);
            let settled = &seen[20..];
            let too_much = settled.iter().filter(|n| **n > takes).count();
            assert!(too_much < settled.len() / 8, "{takes}: {seen:?}");
            let most = settled.iter().max().copied().unwrap_or(0);
            assert!(most <= takes + 1, "{takes}: {seen:?}");
            let least = settled.iter().min().copied().unwrap_or(0);
            assert!(least >= takes.div_ceil(2), "{takes}: {seen:?}");
        }
    }

    #[test]
    fn what_is_not_used_up_does_not_grow() {
        let mut state = LimitState::new(1000);
        (0..100).for_each(|_| state.connected());
        assert_eq!(state.allowed, FIRST);
    }

    #[test]
    fn hosts_that_hang_stop_counting_except_for_the_maximum() {
        let mut state = LimitState::new(25);
        let mut now = Instant::now();
        let fill = |state: &mut LimitState, now| {
            let before = state.connecting.len();
            while state.begin(now).is_ok() {}
            state.connecting.len() - before
        };
        assert_eq!(fill(&mut state, now), 10);
        assert_eq!(fill(&mut state, now + COUNTS / 2), 0);
        assert_eq!(state.begin(now + COUNTS / 2), Err(Some(now + COUNTS)));
        now += COUNTS;
        assert_eq!(fill(&mut state, now), 10);
        now += COUNTS;
        assert_eq!(fill(&mut state, now), 5);
        assert_eq!(state.begin(now + COUNTS), Err(None));
        // Where one was turned away they count for longer.
        let mut state = LimitState::new(25);
        fill(&mut state, now);
        state.turned_away(0);
        assert_eq!(fill(&mut state, now + COUNTS), 0);
        assert_eq!(fill(&mut state, now + COUNTS_LONGER), 5);
    }
}
