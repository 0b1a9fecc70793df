//! A file that an option names (SPEC §6.3). A plain one is replaced as a whole, or grows;
//! anything else is written to as it is. What another user has put in its place is not
//! followed, and nothing is waited for without a bound.
#![forbid(unsafe_code)]

use crate::run::directory::{self, Directory, Trust, WriteFile};
use crate::run::sys;
use crate::text::diagnostic::cannot;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, fchown};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the reader of a FIFO is waited for, until it is there and while it reads
/// nothing.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a signal is looked for meanwhile.
const LOOK: Duration = Duration::from_millis(50);
/// A pipe that can be written takes so much without waiting.
const AT_ONCE: usize = 4096;

/// Where a path leads.
enum Outlet {
    /// What this process has open already.
    Open(File),
    /// A plain file, or none yet.
    Plain(PlainFile),
    /// A FIFO or a device.
    Special(Directory, OsString),
}

struct PlainFile {
    directory: Directory,
    name: OsString,
    /// What is there.
    old: Option<Metadata>,
}

/// Finds out whether the file can be written, unless the disk fills up.
///
/// # Errors
/// `cannot write PATH: REASON`.
pub fn check(path: &Path) -> io::Result<()> {
    let check = || match find(path)? {
        Outlet::Plain(plain) => {
            let (_, temporary) = plain.directory.create_temporary()?;
            plain.directory.remove(&temporary)
        }
        Outlet::Special(directory, name) => refuse_anothers(&directory.look_at(&name)?, &directory),
        Outlet::Open(_) => Ok(()),
    };
    check().map_err(cannot("write", path))
}

/// Replaces a plain file, keeping its mode and group; one that is new can be read by its
/// owner only. Writes to anything else, until `stop` says to wait no longer.
///
/// # Errors
/// `cannot write PATH: REASON`; the old contents of a plain file are kept.
pub fn write(path: &Path, contents: &WriteFile, stop: &dyn Fn() -> bool) -> io::Result<()> {
    write_with(path, contents, &|_| Ok(()), stop)
}

/// The same for a file that other users read: everyone can if it is new, whatever the
/// umask.
///
/// # Errors
/// As `write`.
pub fn write_for_all(path: &Path, contents: &WriteFile, stop: &dyn Fn() -> bool) -> io::Result<()> {
    const FOR_ALL: u32 = 0o644;
    let open_up = |file: &File| file.set_permissions(Permissions::from_mode(FOR_ALL));
    write_with(path, contents, &open_up, stop)
}

/// The beginning of the plain file that is there, at most so many bytes; nothing of
/// anything else.
///
/// # Errors
/// Why it cannot be read.
pub fn read(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let Outlet::Plain(PlainFile {
        directory,
        name,
        old: Some(_),
    }) = find(path)?
    else {
        return Ok(None);
    };
    let file = directory.open_any(&name, sys::O_RDONLY)?;
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn write_with(
    path: &Path,
    contents: &WriteFile,
    prepare_new: &dyn Fn(&File) -> io::Result<()>,
    stop: &dyn Fn() -> bool,
) -> io::Result<()> {
    let write = || match find(path)? {
        Outlet::Plain(PlainFile {
            directory,
            name,
            old,
        }) => {
            // Who may read it is for its owner or that of the directory to say.
            let trusted = |old: &&Metadata| !is_anothers(old, &directory).unwrap_or(true);
            let prepare = |file: &File| match old.as_ref() {
                None => prepare_new(file),
                Some(old) if trusted(&old) => keep_rights(file, old),
                Some(_) => Ok(()),
            };
            directory.replace(&name, contents, &prepare)
        }
        Outlet::Open(file) => contents(&mut PatientWriter { file, stop }),
        Outlet::Special(directory, name) => {
            let file = open_in_time(&directory, &name, stop)?;
            contents(&mut PatientWriter { file, stop })
        }
    };
    write().map_err(cannot("write", path))
}

/// Opens a file that grows. Neither this nor a write to it waits.
///
/// # Errors
/// Why it cannot be opened, among others that nobody reads a FIFO.
pub fn open_to_append(path: &Path) -> io::Result<File> {
    append(find(path)?)
}

/// The same for a file in an opened directory.
///
/// # Errors
/// As `open_to_append`.
pub fn open_to_append_in(directory: &Directory, name: &OsStr) -> io::Result<File> {
    append(find_from(directory.clone(), name.to_os_string())?)
}

/// Opens a directory, which is made if it is not there.
///
/// # Errors
/// Among others that it is a link of another user.
pub fn open_directory(path: &Path) -> io::Result<Directory> {
    let Some(name) = path.file_name() else {
        return Directory::reached(path);
    };
    let parent = Directory::reached(parent_of(path));
    let entered = parent.and_then(|parent| parent.enter(name, Trust::Anyones));
    match entered {
        Err(e) if e.kind() == ErrorKind::NotFound => Directory::made_at(path),
        entered => entered.map(|entered| entered.directory),
    }
}

/// Where the path leads. Links of the user's and root's are followed.
fn find(path: &Path) -> io::Result<Outlet> {
    if let Some(number) = own_number(path) {
        return open_number(number).map(Outlet::Open);
    }
    let Some(name) = path.file_name() else {
        return Err(io::Error::from_raw_os_error(sys::EISDIR));
    };
    find_from(Directory::reached(parent_of(path))?, name.to_os_string())
}

fn find_from(directory: Directory, name: OsString) -> io::Result<Outlet> {
    let (directory, name) = match directory.resolve(&name, &|target| own_number(target))? {
        Ok(place) => place,
        Err(number) => return open_number(number).map(Outlet::Open),
    };
    let old = match directory.look_at(&name) {
        Err(e) if e.kind() == ErrorKind::NotFound => None,
        found => Some(found?),
    };
    match &old {
        Some(about) if about.is_dir() => Err(io::Error::from_raw_os_error(sys::EISDIR)),
        Some(about) if !about.is_file() => Ok(Outlet::Special(directory, name)),
        _ => Ok(Outlet::Plain(PlainFile {
            directory,
            name,
            old,
        })),
    }
}

fn parent_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// The number of the descriptor of this process that the path is a name of. It is used
/// as it is: to open the file again would give it a position of its own.
fn own_number(path: &Path) -> Option<RawFd> {
    match path.to_str()? {
        "/dev/stdin" => Some(0),
        "/dev/stdout" => Some(1),
        "/dev/stderr" => Some(2),
        text => {
            let prefixes = ["/dev/fd/", "/proc/self/fd/"];
            let number = prefixes.iter().find_map(|p| text.strip_prefix(p))?;
            number.parse().ok().filter(|number| *number >= 0)
        }
    }
}

fn open_number(number: RawFd) -> io::Result<File> {
    let own = sys::duplicate(number)?;
    if own.metadata()?.is_file() {
        return Ok(own);
    }
    // A pipe or terminal has no position, and only what is opened anew can be made not
    // to wait without doing that to others that have it. A socket cannot be.
    let flags = sys::O_WRONLY | sys::O_NONBLOCK | sys::O_NOCTTY;
    let path = OsString::from(format!("/proc/self/fd/{number}"));
    sys::open_at(None, &path, flags, 0).or(Ok(own))
}

fn append(outlet: Outlet) -> io::Result<File> {
    let flags = sys::O_WRONLY | sys::O_APPEND;
    match outlet {
        Outlet::Open(file) => Ok(file),
        Outlet::Special(directory, name) => {
            let file = directory.open_any(&name, flags)?;
            refuse_anothers(&file.metadata()?, &directory)?;
            Ok(file)
        }
        Outlet::Plain(PlainFile {
            directory,
            name,
            old: None,
        }) => {
            let file = directory.open_any(&name, flags | sys::O_CREAT)?;
            directory::make_private(&file);
            Ok(file)
        }
        Outlet::Plain(PlainFile {
            directory, name, ..
        }) => {
            let file = directory.open_any(&name, flags)?;
            refuse_second_name(&file, &directory)?;
            refuse_anothers(&file.metadata()?, &directory)?;
            Ok(file)
        }
    }
}

/// Whether somebody has put it into a directory that is not his: neither the user, nor
/// root, nor the directory's owner.
fn is_anothers(about: &Metadata, directory: &Directory) -> io::Result<bool> {
    let place = directory.about()?;
    Ok(![0, directory.owner(), place.uid()].contains(&about.uid()))
}

/// What grows or is passed on can be read by whoever it belongs to.
fn refuse_anothers(about: &Metadata, directory: &Directory) -> io::Result<()> {
    let kind = about.file_type();
    let is_kept = kind.is_file() || kind.is_fifo();
    match is_kept && is_anothers(about, directory)? {
        true => Err(io::Error::other(
            "it belongs to another user, who could read what is written",
        )),
        false => Ok(()),
    }
}

/// Where others can write they can also give a name to any file, and have it grow.
fn refuse_second_name(file: &File, directory: &Directory) -> io::Result<()> {
    const OTHERS_WRITE: u32 = 0o022;
    let (about, place) = (file.metadata()?, directory.about()?);
    let is_own = [0, directory.owner()].contains(&place.uid());
    let is_open = !is_own || place.mode() & OTHERS_WRITE != 0;
    match about.is_file() && about.nlink() > 1 && is_open {
        true => Err(io::Error::other(format!(
            "it has {} names, and others can write to its directory",
            about.nlink()
        ))),
        false => Ok(()),
    }
}

/// Gives the file the group and the mode of the one that it replaces.
fn keep_rights(file: &File, old: &Metadata) -> io::Result<()> {
    let mut mode = old.mode() & 0o777;
    if file.metadata()?.gid() != old.gid() && fchown(file, None, Some(old.gid())).is_err() {
        // Only root gives a file to any group. Another one gets what everyone has.
        mode = (mode & 0o707) | ((mode & 0o007) << 3);
    }
    file.set_permissions(Permissions::from_mode(mode))
}

/// Opens a FIFO or device. The reader of a FIFO may still have to start.
fn open_in_time(directory: &Directory, name: &OsStr, stop: &dyn Fn() -> bool) -> io::Result<File> {
    let until = Instant::now() + PATIENCE;
    loop {
        let opened = directory.open_any(name, sys::O_WRONLY);
        let file = match opened {
            Err(e) if e.raw_os_error() == Some(sys::ENXIO) => {
                wait_once(until, stop, "no process reads it")?;
                continue;
            }
            opened => opened?,
        };
        refuse_anothers(&file.metadata()?, directory)?;
        let kind = file.metadata()?.file_type();
        return match kind.is_fifo() || kind.is_char_device() || kind.is_block_device() {
            true => Ok(file),
            false => Err(io::Error::other("it has changed meanwhile")),
        };
    }
}

fn wait_once(until: Instant, stop: &dyn Fn() -> bool, why: &str) -> io::Result<()> {
    // Not `Interrupted`, after which a write would be tried again.
    if stop() {
        return Err(io::Error::other("a signal ended the wait for its reader"));
    }
    if Instant::now() >= until {
        let seconds = PATIENCE.as_secs();
        return Err(io::Error::other(format!("{why} (waited {seconds} s)")));
    }
    std::thread::sleep(LOOK);
    Ok(())
}

/// Writes to what may have a reader that does not read.
struct PatientWriter<'a> {
    file: File,
    stop: &'a dyn Fn() -> bool,
}

impl Write for PatientWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let until = Instant::now() + PATIENCE;
        let bytes = &bytes[..bytes.len().min(AT_ONCE)];
        loop {
            let is_ready = sys::poll(&[], self.file.as_raw_fd(), Some(Duration::ZERO))? != 0;
            match is_ready.then(|| self.file.write(bytes)) {
                Some(Err(e)) if e.kind() == ErrorKind::WouldBlock => {}
                Some(written) => return written,
                None => {}
            }
            wait_once(until, self.stop, "its reader is not reading")?;
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
