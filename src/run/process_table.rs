//! The processes of this machine, as /proc lists them.
#![forbid(unsafe_code)]

use super::interrupt::lock;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A process that is not a zombie.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveProcess {
    pub pid: i32,
    pub parent: i32,
    pub group: i32,
    pub session: i32,
    /// When it began, in ticks since the machine started: with the id, no other
    /// process is taken for it.
    pub began: u64,
}

impl LiveProcess {
    /// Whether it belongs to the session or the group of the command with this id.
    pub fn belongs_to(&self, leader: i32) -> bool {
        self.session == leader || self.group == leader
    }
}

/// How long one scan of /proc is reused.
pub const SCAN_MAX_AGE: Duration = Duration::from_millis(50);

/// The last scan of /proc, and when it began.
static LAST_SCAN: Mutex<Option<(Instant, Arc<Vec<LiveProcess>>)>> = Mutex::new(None);

/// The processes that were alive at some time after `since`. Hundreds of commands
/// that are terminated at once share one scan, instead of each reading all of /proc.
pub fn living_since(since: Instant) -> Option<Arc<Vec<LiveProcess>>> {
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

/// Whether /proc is of this process's own PID namespace. Under another one, as after
/// `unshare --pid` without a /proc of its own, its numbers mean other processes.
fn is_own_proc() -> bool {
    let own = std::process::id().to_string();
    std::fs::read_link("/proc/self").is_ok_and(|link| link.as_os_str() == own.as_str())
}

/// All processes that are not zombies; `None` if /proc cannot be read or is of another PID
/// namespace.
pub fn living() -> Option<Vec<LiveProcess>> {
    if !is_own_proc() {
        return None;
    }
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
        let parsed = stat
            .ok()
            .and_then(|s| parse_stat(&String::from_utf8_lossy(&s)));
        found.extend(parsed.filter(|(_, is_alive)| *is_alive).map(|(p, _)| p));
    }
    known.then_some(found)
}

/// A process that is tasker's child, also as a zombie.
pub fn of_pid(pid: i32) -> Option<(LiveProcess, bool)> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&String::from_utf8_lossy(&stat))
}

/// Parses `pid (name) state parent group session ...`, where the name can contain
/// anything; and whether it is alive.
fn parse_stat(stat: &str) -> Option<(LiveProcess, bool)> {
    let pid = stat.split(' ').next()?.parse().ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?;
    let mut number = |skip| fields.nth(skip)?.parse::<i64>().ok();
    let process = LiveProcess {
        pid,
        parent: number(0)? as i32,
        group: number(0)? as i32,
        session: number(0)? as i32,
        began: number(15)? as u64,
    };
    Some((process, !matches!(state, "Z" | "X")))
}

/// The children of tasker that it has not started itself, among others: orphans become
/// children of its first thread.
pub fn adopted() -> Vec<i32> {
    if !is_own_proc() {
        return Vec::new();
    }
    let own = std::process::id();
    let children = std::fs::read_to_string(format!("/proc/self/task/{own}/children"));
    match children {
        Ok(children) => children
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect(),
        // A kernel that does not list them.
        Err(_) => children_in_proc(own as i32),
    }
}

fn children_in_proc(own: i32) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_child = |pid: &i32| of_pid(*pid).is_some_and(|(process, _)| process.parent == own);
    pids.filter(is_child).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_forge_the_fields() {
        const REST: &str = "0 0 0 0 0 0 0 0 0 0 0 20 0 1 0 77";
        let belongs = |stat: &str, leader| {
            let parsed = parse_stat(&format!("{stat} {REST}"));
            parsed.is_some_and(|(p, is_alive)| is_alive && p.belongs_to(leader) && p.began == 77)
        };
        assert!(belongs("7 (a) b) S 1 7 9", 7) && belongs("7 (a) b) S 1 7 9", 9));
        assert!(
            !belongs("7 (x) S 1 7 9", 1) && !belongs("7 (x) Z 1 7 9", 7) && !belongs("7 (x", 7)
        );
    }
}
