//! Signals all processes of a command: its process group, and the other groups of
//! its session.
//!
//! A command leads its own session, and most of what it starts stays in its group.
//! But `timeout`, or a shell with `set -m`, creates further groups in the session,
//! which a signal to the first group does not reach. They are found in /proc; if
//! that is not possible, only the first group is signalled.
//!
//! The first group's id stays in use while its leader is not reaped. The ids of the
//! others are read just before they are signalled: to hit another process, an id
//! would have to be freed and reused within that moment.
#![forbid(unsafe_code)]

use super::interrupt::lock;
use super::sys;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A process that is not a zombie.
pub struct LiveProcess {
    group: i32,
    session: i32,
}

impl LiveProcess {
    /// Whether it belongs to the command with this process id.
    pub fn belongs_to(&self, leader: i32) -> bool {
        self.session == leader || self.group == leader
    }
}

/// How long one scan of /proc is reused.
const SCAN_MAX_AGE: Duration = Duration::from_millis(50);

/// The last scan of /proc, and when it began.
static LAST_SCAN: Mutex<Option<(Instant, Arc<Vec<LiveProcess>>)>> = Mutex::new(None);

/// The processes that were alive at some time after `since`. Hundreds of commands
/// that are terminated at once share one scan, instead of each reading all of /proc.
fn living_since(since: Instant) -> Option<Arc<Vec<LiveProcess>>> {
    let mut last = lock(&LAST_SCAN);
    match &*last {
        Some((at, all)) if *at >= since && at.elapsed() < SCAN_MAX_AGE => Some(all.clone()),
        _ => {
            let began = Instant::now();
            let all = Arc::new(living()?);
            *last = Some((began, all.clone()));
            Some(all)
        }
    }
}

/// All processes that are not zombies; `None` if /proc cannot be read.
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
        found.extend(
            stat.ok()
                .and_then(|s| parse_stat(&String::from_utf8_lossy(&s))),
        );
    }
    known.then_some(found)
}

/// Parses `pid (name) state parent group session ...`; the name can contain anything.
fn parse_stat(stat: &str) -> Option<LiveProcess> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?;
    let mut number = |skip| fields.nth(skip)?.parse().ok();
    let (group, session) = (number(1)?, number(0)?);
    (!matches!(state, "Z" | "X")).then_some(LiveProcess { group, session })
}

/// Whether any process of the command was alive after `since`, the time at which its
/// leader had ended: after that, none can appear. True if it is not known.
pub fn is_alive(leader: i32, since: Instant) -> bool {
    living_since(since).is_none_or(|all| all.iter().any(|p| p.belongs_to(leader)))
}

/// Sends the signals to every process of the command.
pub fn signal(leader: i32, signals: &[i32]) {
    let recently = Instant::now()
        .checked_sub(SCAN_MAX_AGE)
        .unwrap_or_else(Instant::now);
    let all = living_since(recently).unwrap_or_default();
    let mut groups: Vec<i32> = all
        .iter()
        .filter(|p| p.belongs_to(leader) && p.group > 1)
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
        let belongs = |stat: &str, leader| parse_stat(stat).is_some_and(|p| p.belongs_to(leader));
        assert!(belongs("7 (a) b) S 1 7 9 0", 7) && belongs("7 (a) b) S 1 7 9 0", 9));
        assert!(
            !belongs("7 (x) S 1 7 9 0", 1) && !belongs("7 (x) Z 1 7 9 0", 7) && !belongs("7 (x", 7)
        );
    }
}
