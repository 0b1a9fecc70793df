//! Who else could change a file that decides what runs (SPEC §6.2).
#![forbid(unsafe_code)]

use crate::run::sys;
use crate::text::diagnostic::DiagnosticList;
use crate::text::quote;
use crate::text::source::Span;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A file that others can write decides what runs here, with our rights: a
/// warning, and an error for root.
pub fn check(path: &Path, at: Span, diagnostics: &mut DiagnosticList) {
    let Ok(data) = std::fs::metadata(path) else {
        return;
    };
    if !data.is_file() {
        return;
    }
    let (writer, letter) = match data.mode() {
        mode if mode & 0o002 != 0 => ("everyone".to_string(), 'o'),
        mode if mode & 0o020 != 0 && !is_private(data.gid(), data.uid()) => {
            (format!("the group {}", group_name(data.gid())), 'g')
        }
        _ => return,
    };
    let message = format!("{writer} can write to this file and so decide what runs");
    let help = format!(
        "chmod {letter}-w {}",
        quote::shell_word(&path.display().to_string())
    );
    match sys::user_ids().1 {
        0 => diagnostics.error(at, message).help(help),
        _ => diagnostics.warning(at, message).help(help),
    };
}

/// The fields of each line of `/etc/group` or `/etc/passwd`.
fn entries(file: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let fields = |l: &str| l.split(':').map(String::from).collect();
    text.lines().map(fields).collect()
}

fn group_name(gid: u32) -> String {
    let groups = entries("/etc/group");
    let found = groups.iter().find(|f| f.get(2) == Some(&gid.to_string()));
    found.map_or(gid.to_string(), |f| format!("`{}`", f[0]))
}

/// Whether the file's owner is known to be the only member of the group, as where
/// every user has a group of their own. A group that this machine does not list
/// can have any members.
fn is_private(gid: u32, owner: u32) -> bool {
    let (gid, owner) = (gid.to_string(), owner.to_string());
    let (groups, users) = (entries("/etc/group"), entries("/etc/passwd"));
    let Some(group) = groups.iter().find(|f| f.get(2) == Some(&gid)) else {
        return false;
    };
    let name = users
        .iter()
        .find(|f| f.get(2) == Some(&owner))
        .map(|f| &f[0]);
    let members = group.get(3).map_or("", String::as_str).split(',');
    let mut others = members.filter(|m| !m.is_empty() && Some(*m) != name.map(String::as_str));
    // Users whose primary group it is.
    let mut primary = users.iter().filter(|f| f.get(3) == Some(&gid));
    others.next().is_none() && primary.all(|f| f.get(2) == Some(&owner))
}
