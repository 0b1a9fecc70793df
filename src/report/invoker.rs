//! Who runs tasker, and from where: a line for the head of a record (SPEC §6.3).
#![forbid(unsafe_code)]

use super::safe_text;
use crate::run::sys;
use std::path::{Path, PathBuf};

/// `User id 0, effective 0, SUDO_USER ann, SSH_CONNECTION -, terminal ..., host ...`
pub fn describe_user(own_name: &str) -> String {
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| "-".into());
    let (user, effective) = sys::user_ids();
    let is_terminal = |p: &Path| p.starts_with("/dev/pts") || p.starts_with("/dev/tty");
    let terminal = std::fs::read_link("/proc/self/fd/0")
        .ok()
        .filter(|p| is_terminal(p));
    let terminal = terminal.map_or("-".into(), |p| p.display().to_string());
    safe_text::line(&format!(
        "User id {user}, effective {effective}, SUDO_USER {}, SSH_CONNECTION {}, terminal {terminal}, host {own_name}",
        variable("SUDO_USER"),
        variable("SSH_CONNECTION"),
    ))
}

/// The home directory: `$HOME`, or the one in the user database, for a cron job
/// without `HOME`.
pub fn home_directory() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    home.map(PathBuf::from).or_else(home_in_user_database)
}

fn home_in_user_database() -> Option<PathBuf> {
    let uid = sys::user_ids().0.to_string();
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let mut users = users.lines().map(|l| l.split(':').collect::<Vec<_>>());
    let fields = users.find(|f| f.get(2) == Some(&uid.as_str()))?;
    let home = fields.get(5).filter(|home| !home.is_empty());
    home.map(PathBuf::from)
}
