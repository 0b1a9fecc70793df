//! All processes of a command: those of its group, and of its session.
//!
//! A command leads a session of its own, and most of what it starts stays in its
//! group. But `timeout`, or a shell with `set -m`, opens further groups in the
//! session, which a signal to the first does not reach. /proc tells them; where
//! it cannot, the first group is all there is to signal.
//!
//! The first group's id is held by its leader, which is not reaped yet. Those of
//! the others are read a moment before they are signalled: an id would have to
//! be freed and come round again in that moment to mean another process.
#![forbid(unsafe_code)]

use super::interrupt::lock;
use super::sys;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A living process, as far as it matters here.
pub struct LiveProcess {
    group: i32,
    session: i32,
}

impl LiveProcess {
    /// Whether it belongs to the command with that id.
    pub fn is_of(&self, leader: i32) -> bool {
        self.session == leader || self.group == leader
    }
}

/// How long one look at /proc serves all who ask.
const FRESH: Duration = Duration::from_millis(50);

/// The last look, and when it began.
static LAST: Mutex<Option<(Instant, Arc<Vec<LiveProcess>>)>> = Mutex::new(None);

/// All processes that lived at some moment after `since`. Hundreds of commands
/// that are ended at once share one look: each by itself would read all of /proc.
fn living_since(since: Instant) -> Option<Arc<Vec<LiveProcess>>> {
    let mut last = lock(&LAST);
    match &*last {
        Some((at, all)) if *at >= since && at.elapsed() < FRESH => Some(all.clone()),
        _ => {
            let began = Instant::now();
            let all = Arc::new(living()?);
            *last = Some((began, all.clone()));
            Some(all)
        }
    }
}

/// All living processes; nothing where /proc cannot tell.
pub fn living() -> Option<Vec<LiveProcess>> {
    let entries = std::fs::read_dir("/proc").ok()?;
    let pids = entries.flatten().filter(|entry| {
        let name = entry.file_name();
        name.as_encoded_bytes().iter().all(u8::is_ascii_digit)
    });
    let mut known = false;
    let mut found = Vec::new();
    for entry in pids {
        known = true;
        let stat = std::fs::read(entry.path().join("stat"));
        found.extend(stat.ok().and_then(|s| parse(&String::from_utf8_lossy(&s))));
    }
    known.then_some(found)
}

/// `pid (name) state parent group session …`; the name may hold anything.
fn parse(stat: &str) -> Option<LiveProcess> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?;
    let mut number = |skip| fields.nth(skip)?.parse().ok();
    let (group, session) = (number(1)?, number(0)?);
    (!matches!(state, "Z" | "X")).then_some(LiveProcess { group, session })
}

/// Whether anything of the command lived after `since`, when its leader had ended
/// (nothing of it can come to life afterwards); where that is not known, it may.
pub fn lives(leader: i32, since: Instant) -> bool {
    living_since(since).is_none_or(|all| all.iter().any(|p| p.is_of(leader)))
}

/// Sends the signals to every process of the command.
pub fn signal(leader: i32, signals: &[i32]) {
    let soon = Instant::now()
        .checked_sub(FRESH)
        .unwrap_or_else(Instant::now);
    let all = living_since(soon).unwrap_or_default();
    let mut groups: Vec<i32> = all
        .iter()
        .filter(|p| p.is_of(leader) && p.group > 1)
        .map(|p| p.group)
        .collect();
    groups.push(leader);
    groups.sort_unstable();
    groups.dedup();
    for group in groups {
        for signal in signals {
            sys::signal_group(group, *signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_forge_the_fields() {
        let of = |stat: &str, leader| parse(stat).is_some_and(|p| p.is_of(leader));
        assert!(of("7 (a) b) S 1 7 9 0", 7) && of("7 (a) b) S 1 7 9 0", 9));
        assert!(!of("7 (x) S 1 7 9 0", 1) && !of("7 (x) Z 1 7 9 0", 7) && !of("7 (x", 7));
    }
}
