//! Who else could change a file that decides what runs (SPEC §6.2).
#![forbid(unsafe_code)]

use crate::text::diagnostic::{DiagnosticList, printable};
use crate::text::quote;
use crate::text::source::Span;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

/// How many links a path can lead through, as for the kernel.
const MOST_LINKS: usize = 40;

/// Somebody else decides what is in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Doubt {
    pub message: String,
    pub help: String,
    /// Whether the rights of the file or of a directory allow it; else it is the owner
    /// who can.
    pub by_rights: bool,
}

impl Doubt {
    /// Whether `user` must not run what the file says. An owner is trusted `by_name`: the
    /// user has named the file.
    pub fn is_error(&self, user: u32, by_name: bool) -> bool {
        user == 0 && (self.by_rights || !by_name)
    }

    /// One sentence, with the remedy.
    pub fn sentence(&self) -> String {
        format!("{} ({})", self.message, self.help)
    }

    /// Reports it at this place.
    pub fn report(&self, user: u32, by_name: bool, at: Span, diagnostics: &mut DiagnosticList) {
        let message = &self.message;
        match self.is_error(user, by_name) {
            true => diagnostics.error(at, message).help(self.help.as_str()),
            false => diagnostics.warning(at, message).help(self.help.as_str()),
        };
    }
}

/// Who besides `user` and root could change the file; `opened` is what was opened by this
/// path. Pipes and devices have no path that anybody could replace.
pub fn doubt(path: &Path, opened: &Metadata, user: u32) -> Option<Doubt> {
    if opened.file_type().is_fifo() {
        return doubt_of(path, opened, user, Entry::File);
    }
    if !opened.is_file() {
        return None;
    }
    let Ok(way) = way_to(path) else {
        return Some(replaced(path));
    };
    if !way.last().is_some_and(|(_, last, _)| is_same(last, opened)) {
        return Some(replaced(path));
    }
    // The file itself by the name that the user knows.
    let named = |entry: Entry, at: &Path| match entry {
        Entry::File => path.to_path_buf(),
        _ => at.to_path_buf(),
    };
    let mut doubts = way
        .iter()
        .rev()
        .filter_map(|(at, data, entry)| doubt_of(&named(*entry, at), data, user, *entry));
    let first = doubts.next()?;
    match first.by_rights {
        true => Some(first),
        false => Some(doubts.find(|doubt| doubt.by_rights).unwrap_or(first)),
    }
}

fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

fn replaced(path: &Path) -> Doubt {
    Doubt {
        message: format!("`{}` was replaced while it was read", shown(path)),
        help: "find out who did that, and try again".into(),
        by_rights: true,
    }
}

/// What stands on the way to a file.
#[derive(Clone, Copy, PartialEq)]
enum Entry {
    Directory,
    Link,
    File,
}

/// The directories, links and at last the file itself that the path leads through.
fn way_to(path: &Path) -> io::Result<Vec<(PathBuf, Metadata, Entry)>> {
    let whole = match path.is_absolute() {
        true => path.to_path_buf(),
        false => std::env::current_dir()?.join(path),
    };
    let mut ahead = components(&whole);
    let (mut here, mut way, mut links) = (PathBuf::from("/"), Vec::new(), 0);
    way.push((here.clone(), here.symlink_metadata()?, Entry::Directory));
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            here.pop();
            continue;
        }
        let next = here.join(&name);
        let data = next.symlink_metadata()?;
        if !data.is_symlink() {
            let entry = match data.is_dir() {
                true => Entry::Directory,
                false => Entry::File,
            };
            way.push((next.clone(), data, entry));
            here = next;
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(io::Error::other("too many links"));
        }
        let target = next.read_link()?;
        way.push((next, data, Entry::Link));
        if target.is_absolute() {
            here = PathBuf::from("/");
        }
        let mut first = components(&target);
        first.append(&mut ahead);
        ahead = first;
    }
    Ok(way)
}

/// The names in a path, `..` too.
fn components(path: &Path) -> VecDeque<OsString> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_os_string()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    names.collect()
}

fn doubt_of(path: &Path, data: &Metadata, user: u32, entry: Entry) -> Option<Doubt> {
    let what = match entry {
        Entry::File => String::new(),
        Entry::Directory => format!("the directory `{}`", shown(path)),
        Entry::Link => format!("the link `{}`", shown(path)),
    };
    let quoted = quote::shell_word(&path.display().to_string());
    if let Some((writer, letter)) = writer(data, user, entry) {
        let message = match entry {
            Entry::File => format!("{writer} can write to this file and so decide what runs"),
            _ => format!("{writer} can write to {what} and so replace this file"),
        };
        return Some(Doubt {
            message,
            help: format!("chmod {letter}-w {quoted}"),
            by_rights: true,
        });
    }
    if data.uid() == 0 || data.uid() == user {
        return None;
    }
    let owner = name_of("/etc/passwd", data.uid()).unwrap_or(format!("user {}", data.uid()));
    let message = match entry {
        Entry::File => format!("this file belongs to {owner}, who can so decide what runs"),
        _ => format!("{what} belongs to {owner}, who can so replace this file"),
    };
    let me = name_of("/etc/passwd", user).map_or(user.to_string(), |n| n.replace('`', ""));
    let option = match entry {
        Entry::Link => "-h ",
        _ => "",
    };
    Some(Doubt {
        message,
        help: format!("read it, then `chown {option}{me} {quoted}`, or run it as its owner"),
        by_rights: false,
    })
}

/// Who can write there besides its owner, and the letter for chmod(1).
fn writer(data: &Metadata, user: u32, entry: Entry) -> Option<(String, char)> {
    let mode = data.mode();
    // In a sticky directory nobody removes what is another's.
    if entry == Entry::Link || (entry == Entry::Directory && mode & 0o1000 != 0) {
        return None;
    }
    match mode {
        _ if mode & 0o002 != 0 => Some(("everyone".to_string(), 'o')),
        _ if mode & 0o020 != 0 && !is_private(data.gid(), data.uid(), user) => {
            let group = name_of("/etc/group", data.gid());
            let group = group.unwrap_or(data.gid().to_string());
            Some((format!("the group {group}"), 'g'))
        }
        _ => None,
    }
}

/// Whether nobody but root, the owner and the user is a member of the group, as where
/// every user has a group of their own. A group that this machine does not list can have
/// any members.
fn is_private(gid: u32, owner: u32, user: u32) -> bool {
    if gid == 0 || gid == owner || gid == user {
        return true;
    }
    let (groups, users) = (entries("/etc/group"), entries("/etc/passwd"));
    let number = gid.to_string();
    let Some(group) = groups.iter().find(|f| f.get(2) == Some(&number)) else {
        return false;
    };
    let trusted = |id: &str| id == "0" || id == owner.to_string() || id == user.to_string();
    let id_of = |name: &str| {
        let found = users
            .iter()
            .find(|f| f.first().map(String::as_str) == Some(name));
        found.and_then(|f| f.get(2)).cloned()
    };
    let members = group.get(3).map_or("", String::as_str).split(',');
    let mut members = members.map(str::trim).filter(|m| !m.is_empty());
    // Users whose primary group it is.
    let mut primary = users.iter().filter(|f| f.get(3) == Some(&number));
    members.all(|name| id_of(name).is_some_and(|id| trusted(&id)))
        && primary.all(|f| f.get(2).is_some_and(|id| trusted(id)))
}

/// The fields of each line of `/etc/group` or `/etc/passwd`.
fn entries(file: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let fields = |l: &str| l.split(':').map(String::from).collect();
    text.lines().map(fields).collect()
}

/// The name that goes with the number.
fn name_of(file: &str, number: u32) -> Option<String> {
    let number = number.to_string();
    let found = entries(file)
        .into_iter()
        .find(|f| f.get(2) == Some(&number))?;
    found.first().map(|name| format!("`{}`", printable(name)))
}

fn shown(path: &Path) -> String {
    printable(&path.display().to_string()).to_string()
}
