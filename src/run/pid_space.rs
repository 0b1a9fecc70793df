//! Where the ids of processes are counted (SPEC §6.6): a machine since it was started, and
//! in it a PID namespace, as each container has one. Process 1 of a container is not
//! process 1 of its machine.
#![forbid(unsafe_code)]

use super::sys;
use std::fmt::{self, Display};
use std::os::unix::fs::MetadataExt;

/// The namespace that a machine starts with.
const FIRST: u64 = 0xEFFF_FFFC;

/// As journals have it, `BOOT/NAMESPACE`.
#[derive(Clone, Debug, PartialEq)]
pub struct PidSpace {
    boot: String,
    namespace: u64,
}

impl Display for PidSpace {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/{}", self.boot, self.namespace)
    }
}

impl PidSpace {
    /// That of this process; nothing where there is no /proc.
    pub fn own() -> Option<PidSpace> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let namespace = namespace_of("self")?;
        let boot = boot.trim().to_string();
        Some(PidSpace { boot, namespace })
    }

    fn parse(text: &str) -> Option<PidSpace> {
        let (boot, namespace) = text.split_once('/')?;
        let namespace = namespace.parse().ok()?;
        let boot = boot.to_string();
        Some(PidSpace { boot, namespace })
    }

    /// ` (PID namespace 4026532193)`, if it is not the one that machines start with.
    pub fn note(&self) -> String {
        match self.namespace {
            FIRST => String::new(),
            other => format!(" (PID namespace {other})"),
        }
    }
}

fn namespace_of(process: &str) -> Option<u64> {
    let about = std::fs::metadata(format!("/proc/{process}/ns/pid"));
    about.ok().map(|about| about.ino())
}

/// The id that a process has here which has this one in its own space, if it is visible
/// here. Where nothing is known of its space, it is taken for ours.
pub fn id_here(pid: u32, space: &str) -> Option<u32> {
    let exists = || sys::process_exists(pid).then_some(pid);
    let Some((then, here)) = PidSpace::parse(space).zip(PidSpace::own()) else {
        return exists();
    };
    match () {
        () if then == here => exists(),
        () if then.boot == here.boot => within(pid, then.namespace),
        () => None,
    }
}

/// The process that has this id in a namespace below ours.
fn within(pid: u32, namespace: u64) -> Option<u32> {
    let entries = std::fs::read_dir("/proc").ok()?.flatten();
    let mut ids = entries.filter_map(|entry| entry.file_name().into_string().ok());
    ids.find(|id| {
        let is_process = id.bytes().all(|b| b.is_ascii_digit());
        is_process && innermost_id(id) == Some(pid) && namespace_of(id) == Some(namespace)
    })
    .and_then(|id| id.parse().ok())
}

/// The id that it has in its own namespace: the last of those in `NSpid:`.
fn innermost_id(process: &str) -> Option<u32> {
    let status = std::fs::read(format!("/proc/{process}/status")).ok()?;
    let status = String::from_utf8_lossy(&status);
    let ids = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?;
    ids.split_whitespace().next_back()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_only_where_its_id_is_counted() {
        let own = PidSpace::own().expect("a /proc");
        let pid = std::process::id();
        let text = own.to_string();
        assert_eq!(PidSpace::parse(&text), Some(own.clone()));
        // An older journal does not say where.
        assert_eq!(id_here(pid, &text), Some(pid));
        assert_eq!(id_here(pid, ""), Some(pid));
        assert_eq!(id_here(1, &format!("{}/1", own.boot)), None);
        assert_eq!(id_here(1, &format!("another/{}", own.namespace)), None);
    }
}
