//! Signals all processes of a command: its process group, the other groups of its
//! session, and what has left the session.
//!
//! A command leads its own session, and most of what it starts stays in its group.
//! But `timeout`, or a shell with `set -m`, creates further groups in the session,
//! which a signal to the first group does not reach; and `setsid` leaves the session.
//! They are found in /proc; if that is not possible, only the first group is signalled.
//!
//! What has left the session is known by its parents, or, once these have ended and it
//! is tasker's child, by the variables that tasker gave its command.
//!
//! The first group's id stays in use while its leader is not reaped. The ids of the
//! others are read just before they are signalled: to hit another process, an id
//! would have to be freed and reused within that moment.
#![forbid(unsafe_code)]

use super::process_table::{LiveProcess, SCAN_MAX_AGE, living, living_since, of_pid};
use super::{orphans, sys};
use crate::text::diagnostic::{printable, reason};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::ffi::CString;
use std::io;
use std::path::PathBuf;
use std::time::Instant;

/// How many characters of a command line are shown.
const SHOWN: usize = 200;

/// The processes of one command.
pub struct CommandProcesses {
    leader: i32,
    /// The variables that tell its processes apart from all others.
    tag: Vec<CString>,
    /// What has left its session, as far as that was seen.
    escaped: BTreeSet<(i32, u64)>,
    /// Orphans that can be of this command or of another one that runs.
    suspects: BTreeSet<(i32, u64)>,
}

/// Of which command an orphan is.
#[derive(PartialEq)]
enum OrphanOf {
    This,
    Another,
    Unknown,
}

impl CommandProcesses {
    /// `settings` are the variables that its leader got.
    pub fn new(leader: i32, settings: &[CString]) -> CommandProcesses {
        let is_tag = |v: &&CString| v.as_bytes().starts_with(b"TASKER_");
        let tag: Vec<CString> = settings.iter().filter(is_tag).cloned().collect();
        let names_run = |v: &CString| v.as_bytes().starts_with(b"TASKER_RUN_ID=");
        CommandProcesses {
            leader,
            tag: match tag.iter().any(names_run) {
                true => tag,
                false => Vec::new(),
            },
            escaped: BTreeSet::new(),
            suspects: BTreeSet::new(),
        }
    }

    /// Sends the signals to every process of the command.
    pub fn signal(&mut self, signals: &[i32]) {
        let recently = Instant::now()
            .checked_sub(SCAN_MAX_AGE)
            .unwrap_or_else(Instant::now);
        let all = living_since(recently).unwrap_or_default();
        self.note_escaped(&all);
        signal_groups(self.leader, &all, signals);
        for process in all.iter().filter(|p| self.has_escaped(p)) {
            for signal in signals {
                let _ = sys::signal_process(process.pid, *signal);
            }
        }
    }

    /// Ends what an ssh that has ended left behind here, as its ProxyCommand. But if it has
    /// made a connection that other commands share, that needs it.
    pub fn end_unshared(&mut self) {
        let all = living().unwrap_or_default();
        self.note_escaped(&all);
        if !all.iter().any(|p| self.has_escaped(p)) {
            signal_groups(self.leader, &all, &[sys::SIGTERM, sys::SIGCONT]);
        }
    }

    /// Whether any process of the command was alive after `since`, the time at which its
    /// leader had ended: after that, none can appear. True if it is not known.
    pub fn is_alive(&self, since: Instant) -> bool {
        let is_one = |p: &LiveProcess| p.belongs_to(self.leader) || self.has_escaped(p);
        living_since(since).is_none_or(|all| all.iter().any(is_one))
    }

    /// Those that are left after SIGKILL, each as `process 12 (sleep 60): REASON`.
    pub fn left(&self) -> Vec<String> {
        let all = living().unwrap_or_default();
        let is_one = |p: &&LiveProcess| p.belongs_to(self.leader) || self.has_escaped(p);
        all.iter().filter(is_one).map(describe).collect()
    }

    /// Those that hold one of the command's pipes, wherever they went.
    pub fn holders(pipes: &[u64]) -> Vec<String> {
        let found = holders(pipes);
        let shown = found
            .iter()
            .map(|p| format!("{}, which holds its output", shown_process(p)));
        shown.collect()
    }

    /// Takes the holders of the command's pipes for its processes.
    pub fn add_holders(&mut self, pipes: &[u64]) {
        // A process that tasker is just starting still has all of tasker's own files.
        let exe = |id: &str| std::fs::read_link(format!("/proc/{id}/exe")).ok();
        let own = exe("self");
        let mut found = holders(pipes);
        found.retain(|p| !orphans::is_own(p.pid) && exe(&p.pid.to_string()) != own);
        self.escaped.extend(found.iter().map(|p| (p.pid, p.began)));
    }

    /// Those that left a session, and of which it is not known whether they are of this
    /// command: they were not ended.
    pub fn suspects(&self) -> Vec<String> {
        if self.suspects.is_empty() {
            return Vec::new();
        }
        let all = living().unwrap_or_default();
        let is_one = |p: &&LiveProcess| self.suspects.contains(&(p.pid, p.began));
        all.iter().filter(is_one).map(shown_process).collect()
    }

    fn has_escaped(&self, process: &LiveProcess) -> bool {
        self.escaped.contains(&(process.pid, process.began))
    }

    /// Finds what has left the session: the children of its processes, theirs, and the
    /// orphans that began after it and have its variables. One without any can be of a
    /// daemon, or of somebody who entered the container: it is only named.
    fn note_escaped(&mut self, all: &[LiveProcess]) {
        let own = std::process::id() as i32;
        let began = of_pid(self.leader).map_or(u64::MAX, |(leader, _)| leader.began);
        let is_orphan = |p: &&LiveProcess| {
            p.parent == own && p.began >= began && p.pid != self.leader && !orphans::is_own(p.pid)
        };
        let known = |p: &&LiveProcess| p.belongs_to(self.leader) || self.has_escaped(p);
        let mut members: HashSet<i32> = all.iter().filter(known).map(|p| p.pid).collect();
        members.insert(self.leader);
        // What is in the session of an older process is that one's.
        let is_old = |pid: i32| all.iter().any(|p| p.pid == pid && p.began <= began);
        for orphan in all.iter().filter(is_orphan) {
            match self.origin(orphan.pid) {
                OrphanOf::This => drop(members.insert(orphan.pid)),
                OrphanOf::Unknown if orphan.began > began && !is_old(orphan.session) => {
                    self.suspects.insert((orphan.pid, orphan.began));
                }
                OrphanOf::Unknown | OrphanOf::Another => {}
            }
        }
        loop {
            let before = members.len();
            for process in all {
                if members.contains(&process.parent) {
                    members.insert(process.pid);
                }
            }
            if members.len() == before {
                break;
            }
        }
        let found = all
            .iter()
            .filter(|p| members.contains(&p.pid) && !p.belongs_to(self.leader));
        self.escaped.extend(found.map(|p| (p.pid, p.began)));
    }

    fn origin(&self, orphan: i32) -> OrphanOf {
        let environment = std::fs::read(format!("/proc/{orphan}/environ")).unwrap_or_default();
        let variables: HashSet<&[u8]> = environment.split(|b| *b == 0).collect();
        let has_tag = variables.iter().any(|v| v.starts_with(b"TASKER_RUN_ID="));
        match has_tag {
            true if self.tag.is_empty() => OrphanOf::Another,
            true if self.tag.iter().all(|v| variables.contains(v.as_bytes())) => OrphanOf::This,
            true => OrphanOf::Another,
            false => OrphanOf::Unknown,
        }
    }
}

/// The processes but tasker that hold the writing end of one of these pipes, as far as
/// the system lets us look. Looks at every open file of the machine.
fn holders(pipes: &[u64]) -> Vec<LiveProcess> {
    let own = std::process::id() as i32;
    let targets: Vec<String> = pipes.iter().map(|pipe| format!("pipe:[{pipe}]")).collect();
    let is_target = |path: PathBuf| {
        targets
            .iter()
            .any(|target| path.as_os_str() == target.as_str())
    };
    let mut all = living().unwrap_or_default();
    all.retain(|process| {
        let files = std::fs::read_dir(format!("/proc/{}/fd", process.pid));
        let files = files.into_iter().flatten().flatten();
        let mut paths = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        process.pid != own && paths.any(is_target)
    });
    all
}

/// As much of a command line as is shown.
pub fn shortened(command: &str) -> Cow<'_, str> {
    match command.char_indices().nth(SHOWN) {
        Some((end, _)) => Cow::Owned(format!("{} ...", &command[..end])),
        None => Cow::Borrowed(command),
    }
}

/// `process 12 (sleep 60)`
pub fn shown_process(process: &LiveProcess) -> String {
    let pid = process.pid;
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<u8> = words
        .iter()
        .map(|b| if *b == 0 { b' ' } else { *b })
        .collect();
    let text = printable(String::from_utf8_lossy(&words).trim_end());
    let shown = shortened(&text);
    format!("process {pid} (`{shown}`)")
}

/// The same with the reason why it is still there.
fn describe(process: &LiveProcess) -> String {
    let why = match sys::signal_process(process.pid, 0) {
        Ok(()) => "it goes on after SIGKILL".to_string(),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            format!("it may not be signalled: {}", reason(&e))
        }
        Err(e) => reason(&e),
    };
    format!("{}: {why}", shown_process(process))
}

/// Signals the groups of the command's session.
pub fn signal_groups(leader: i32, all: &[LiveProcess], signals: &[i32]) {
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
