//! Who runs tasker, and from where: a line for the head of a record (SPEC §6.3).
#![forbid(unsafe_code)]

use super::safe_text;
use crate::run::sys;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

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
    const HOME: usize = 5;
    user_field(sys::user_ids().0, HOME).map(PathBuf::from)
}

/// A field of the user's line in the user database, if it is not empty.
fn user_field(uid: u32, field: usize) -> Option<String> {
    let uid = uid.to_string();
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let mut users = users.lines().map(|l| l.split(':').collect::<Vec<_>>());
    let fields = users.find(|f| f.get(2) == Some(&uid.as_str()))?;
    let value = fields.get(field).filter(|value| !value.is_empty());
    value.map(|value| value.to_string())
}

/// Who tasker runs as, in the form of `sudo -u`, if it was called through sudo.
pub fn behind_sudo() -> Option<String> {
    std::env::var_os("SUDO_USER").filter(|user| !user.is_empty())?;
    const NAME: usize = 0;
    let uid = sys::user_ids().1;
    Some(user_field(uid, NAME).unwrap_or_else(|| format!("#{uid}")))
}

/// The working directory when tasker was started. To be asked for the first time before
/// it is changed.
pub fn started_in() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(working_directory)
}

/// The working directory as the user knows it: `$PWD`, which keeps links, where that
/// names it. Empty if it is gone.
pub fn working_directory() -> PathBuf {
    let is_plain = |c: Component| matches!(c, Component::RootDir | Component::Normal(_));
    let place = |path: &Path| {
        let about = std::fs::metadata(path).ok()?;
        Some((about.dev(), about.ino()))
    };
    let here = place(Path::new("."));
    let named = std::env::var_os("PWD").map(PathBuf::from);
    let is_plain_path = |path: &Path| path.is_absolute() && path.components().all(is_plain);
    let named = named.filter(|path| is_plain_path(path) && here.is_some() && place(path) == here);
    let real = || std::env::current_dir().unwrap_or_default();
    named.unwrap_or_else(real)
}
