//! A directory that is opened once, and the files in it by their names (SPEC §6.3): what
//! others put in the place of the directory or of a file in it is neither followed nor
//! waited for. It does not know what the files are for.
//!
//! Rejected: checking paths before they are used. Whoever can write a directory above
//! them puts a link there between the two.
#![forbid(unsafe_code)]

use super::sys;
use crate::text::diagnostic::{cannot, printable, reason};
use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// The mode of what is made for its user only.
const PRIVATE: u32 = 0o600;
/// The mode of a directory of which the same is true.
const OWN_RIGHTS: u32 = 0o700;

/// How many links are followed one after the other.
const LINKS_MOST: usize = 8;
/// How many are followed among the directories of a path.
const LINKS_ON_THE_WAY: usize = 40;

/// Writes the contents of a file.
pub type WriteFile<'a> = dyn Fn(&mut dyn io::Write) -> io::Result<()> + 'a;

/// How a file of the user is opened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OpenMode {
    Read,
    /// To read and change it.
    Change,
    /// The same; made if it is not there.
    Keep,
    /// To read it and write at its end; made if it is not there.
    Append,
    /// A new one.
    New,
    /// A new one, to write at its end.
    NewToAppend,
}

impl OpenMode {
    fn flags(self) -> i32 {
        match self {
            OpenMode::Read => sys::O_RDONLY,
            OpenMode::Change => sys::O_RDWR,
            OpenMode::Keep => sys::O_RDWR | sys::O_CREAT,
            OpenMode::Append => sys::O_RDWR | sys::O_APPEND | sys::O_CREAT,
            OpenMode::New => sys::O_RDWR | sys::O_CREAT | sys::O_EXCL,
            OpenMode::NewToAppend => OpenMode::Append.flags() | sys::O_EXCL,
        }
    }
}

/// Which directories can be used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trust {
    /// Anyone's; the files in it are the user's all the same.
    Anyones,
    /// The user's, which nobody else can write.
    Own,
    /// Any, to look at the files of its owner.
    Look,
}

/// An opened directory. Copies share it.
#[derive(Clone)]
pub struct Directory {
    handle: Arc<File>,
    /// For messages, and for commands that get a file by its path.
    path: PathBuf,
    /// Whose files count.
    owner: u32,
}

/// A directory, and whether the rights of others in it were taken away just now.
pub struct Entered {
    pub directory: Directory,
    pub was_tightened: bool,
}

/// Why a directory is not used.
#[derive(Debug)]
pub struct NotTrusted(String);

impl std::fmt::Display for NotTrusted {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotTrusted {}

/// Whether this is not about the file or directory itself, but about whose it is.
pub fn is_about_trust(e: &io::Error) -> bool {
    e.get_ref().is_some_and(|inner| inner.is::<NotTrusted>())
}

/// Describes why a directory is not used; `is_about_trust` still tells.
pub fn cannot_use(path: &Path, e: io::Error) -> io::Error {
    let described = cannot("use the directory", path);
    match is_about_trust(&e) {
        true => not_trusted(described(e).to_string()),
        false => described(e),
    }
}

fn not_trusted(why: String) -> io::Error {
    io::Error::other(NotTrusted(why))
}

/// The user whose files tasker trusts.
pub fn own_id() -> u32 {
    sys::user_ids().1
}

fn belongs_to(owner: u32) -> String {
    match owner {
        0 => "it belongs to root".into(),
        _ => format!("it belongs to another user (id {owner})"),
    }
}

/// Whether it is the name of something in a directory, and leads nowhere else.
fn is_plain_name(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    !matches!(bytes, b"" | b"." | b"..") && !bytes.contains(&b'/') && !bytes.contains(&0)
}

impl Directory {
    /// Opens any directory. Links on the way to it are followed.
    pub fn at(path: &Path) -> io::Result<Directory> {
        let flags = sys::O_PATH | sys::O_DIRECTORY;
        let handle = sys::open_at(None, path_or_here(path), flags, 0)?;
        Ok(Directory::new(handle, path.to_path_buf()))
    }

    /// The same; it is made with those above it if it is not there.
    pub fn made_at(path: &Path) -> io::Result<Directory> {
        let missing = match Directory::at(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => e,
            found => return found,
        };
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(missing);
        };
        match Directory::made_at(parent)?.make(name) {
            // Another process was faster, or it is a link that leads nowhere.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Directory::at(path),
            made => made.map(|made| Directory {
                path: path.to_path_buf(),
                ..made
            }),
        }
    }

    fn new(handle: File, path: PathBuf) -> Directory {
        Directory {
            handle: Arc::new(handle),
            path,
            owner: own_id(),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose files count in it.
    pub fn owner(&self) -> u32 {
        self.owner
    }

    pub fn path_of(&self, name: &OsStr) -> PathBuf {
        self.path.join(name)
    }

    fn open(&self, name: &OsStr, flags: i32, mode: u32) -> io::Result<File> {
        if !is_plain_name(name) {
            return Err(io::Error::other("it is not the name of a file"));
        }
        sys::open_at(
            Some(self.handle.as_fd()),
            name,
            flags | sys::O_NOFOLLOW,
            mode,
        )
        .map_err(|e| explain(e, &self.path, self.about()))
    }

    /// Opens what has this name, whatever it is, and whosever. Neither the opening nor a
    /// read or write of it waits.
    pub fn open_any(&self, name: &OsStr, flags: i32) -> io::Result<File> {
        self.open(name, flags | sys::O_NONBLOCK | sys::O_NOCTTY, PRIVATE)
    }

    /// Opens a plain file of the user.
    ///
    /// # Errors
    /// Among others that it is another's, or no plain file, or has a second name.
    pub fn open_own(&self, name: &OsStr, mode: OpenMode) -> io::Result<File> {
        let opened = self.open_any(name, mode.flags());
        let file = opened.map_err(|e| match e.raw_os_error() {
            Some(sys::ELOOP) => not_trusted("it is a link".into()),
            Some(sys::ENXIO) => not_trusted("it is not a plain file".into()),
            _ => e,
        })?;
        match mode {
            OpenMode::New | OpenMode::NewToAppend => make_private(&file),
            OpenMode::Read | OpenMode::Change => self.check_plain(&file.metadata()?)?,
            OpenMode::Keep | OpenMode::Append => {
                let about = file.metadata()?;
                self.check_plain(&about)?;
                if about.mode() & PRIVATE != PRIVATE {
                    make_private(&file);
                }
            }
        }
        Ok(file)
    }

    fn check_plain(&self, about: &Metadata) -> io::Result<()> {
        let why = match () {
            () if !about.is_file() => "it is not a plain file".into(),
            () if about.uid() != self.owner => belongs_to(about.uid()),
            () if about.nlink() > 1 => format!("it has {} names", about.nlink()),
            () => return Ok(()),
        };
        Err(not_trusted(why))
    }

    /// What has this name; a link is not followed.
    pub fn look_at(&self, name: &OsStr) -> io::Result<Metadata> {
        self.open(name, sys::O_PATH, 0)?.metadata()
    }

    /// What the directory itself is.
    pub fn about(&self) -> io::Result<Metadata> {
        self.handle.metadata()
    }

    /// Where a link leads that the user or root has put here; nothing if it is no link.
    ///
    /// # Errors
    /// Among others that it is another user's.
    pub fn link_target(&self, name: &OsStr) -> io::Result<Option<PathBuf>> {
        let link = self.open(name, sys::O_PATH, 0)?;
        let about = link.metadata()?;
        if !about.is_symlink() {
            return Ok(None);
        }
        match about.uid() {
            uid if uid == 0 || uid == own_id() => {
                sys::read_link(link.as_fd()).map(PathBuf::from).map(Some)
            }
            uid => Err(not_trusted(format!(
                "it is a link of another user (id {uid})"
            ))),
        }
    }

    /// The directory where this name leads, and the name there: that of a link's target
    /// instead of the link. Ends at a target that is known to lead elsewhere.
    ///
    /// # Errors
    /// That a link is another user's, or that the directory cannot be opened.
    pub fn resolve<T>(
        self,
        name: &OsStr,
        known: &dyn Fn(&Path) -> Option<T>,
    ) -> io::Result<Result<(Directory, OsString), T>> {
        let (mut directory, mut name) = (self, name.to_os_string());
        for _ in 0..LINKS_MOST {
            let target = match directory.link_target(&name) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => None,
                target => target?,
            };
            let Some(target) = target else {
                return Ok(Ok((directory, name)));
            };
            if let Some(known) = known(&target) {
                return Ok(Err(known));
            }
            let Some(next) = target.file_name() else {
                return Err(io::Error::from_raw_os_error(sys::EISDIR));
            };
            let parent = target.parent().unwrap_or(Path::new(""));
            directory = directory.descend(parent, &mut { LINKS_ON_THE_WAY })?;
            name = next.to_os_string();
        }
        Err(io::Error::from_raw_os_error(sys::ELOOP))
    }

    /// Opens a directory by its path, as `descend` does.
    pub fn reached(path: &Path) -> io::Result<Directory> {
        let start = if path.is_absolute() { "/" } else { "" };
        Directory::at(Path::new(start))?.descend(path, &mut { LINKS_ON_THE_WAY })
    }

    /// The directory at a path from here. A link on the way is followed where it belongs
    /// to the user, to root, or to whoever owns the directory that it is in: it is not
    /// where everyone can put one. `links` counts down.
    fn descend(&self, path: &Path, links: &mut usize) -> io::Result<Directory> {
        let mut here = self.clone();
        for part in path.components() {
            here = match part {
                Component::Normal(name) => here.step(name, links)?,
                Component::CurDir => here,
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                    let flags = sys::O_PATH | sys::O_DIRECTORY;
                    let from = Some(here.handle.as_fd());
                    let handle = sys::open_at(from, part.as_os_str(), flags, 0)?;
                    Directory::new(handle, here.path.join(part))
                }
            };
        }
        Ok(here)
    }

    fn step(&self, name: &OsStr, links: &mut usize) -> io::Result<Directory> {
        // Not first as what it is: that would not mount what is mounted on demand.
        let not_directory = match self.open(name, sys::O_PATH | sys::O_DIRECTORY, 0) {
            Err(e) if matches!(e.raw_os_error(), Some(sys::ENOTDIR | sys::ELOOP)) => e,
            opened => return Ok(Directory::new(opened?, self.path_of(name))),
        };
        let link = self.open(name, sys::O_PATH, 0)?;
        let about = link.metadata()?;
        if !about.is_symlink() {
            return Err(not_directory);
        }
        if ![0, own_id(), self.about()?.uid()].contains(&about.uid()) {
            return Err(not_trusted(format!(
                "`{}` is a link of another user (id {})",
                printable(&self.path_of(name).display().to_string()),
                about.uid()
            )));
        }
        let left = links.checked_sub(1);
        *links = left.ok_or_else(|| io::Error::from_raw_os_error(sys::ELOOP))?;
        self.descend(Path::new(&sys::read_link(link.as_fd())?), links)
    }

    /// Opens a directory in it. A link of the user's or root's is followed.
    ///
    /// # Errors
    /// Among others that it cannot be trusted.
    pub fn enter(&self, name: &OsStr, trust: Trust) -> io::Result<Entered> {
        let resolved = self.clone().resolve(name, &|_| None::<Infallible>)?;
        let Ok((parent, last)) = resolved;
        let handle = parent.open(&last, sys::O_RDONLY | sys::O_DIRECTORY, 0);
        let handle =
            handle.map_err(|e| explain(e, &parent.path_of(&last), parent.look_at(&last)))?;
        let about = handle.metadata()?;
        let owner = match trust {
            Trust::Look => about.uid(),
            Trust::Anyones | Trust::Own => own_id(),
        };
        let was_tightened = trust == Trust::Own && tighten(&handle, &about)?;
        let directory = Directory {
            handle: Arc::new(handle),
            path: self.path.join(name),
            owner,
        };
        Ok(Entered {
            directory,
            was_tightened,
        })
    }

    /// Makes a directory in it, of mode 0700 whatever the umask.
    ///
    /// # Errors
    /// Among others that the name is taken, or that another user was quick to take it.
    pub fn make(&self, name: &OsStr) -> io::Result<Directory> {
        sys::make_directory(self.handle.as_fd(), name, OWN_RIGHTS)?;
        let open = |flags| self.open(name, flags | sys::O_DIRECTORY, 0);
        let own = |handle: File| match handle.metadata()?.uid() {
            uid if uid == own_id() => Ok(handle),
            uid => Err(not_trusted(belongs_to(uid))),
        };
        let handle = match open(sys::O_RDONLY).and_then(own) {
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                // The umask took even the owner's right to read it.
                let handle = own(open(sys::O_PATH)?)?;
                let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
                std::fs::set_permissions(path, Permissions::from_mode(OWN_RIGHTS))?;
                own(open(sys::O_RDONLY)?)?
            }
            opened => opened?,
        };
        if handle.metadata()?.mode() & 0o777 != OWN_RIGHTS {
            handle.set_permissions(Permissions::from_mode(OWN_RIGHTS))?;
        }
        Ok(Directory::new(handle, self.path.join(name)))
    }

    /// The names of what is in it.
    ///
    /// # Errors
    /// `cannot list the directory PATH: REASON`.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        self.names_up_to(usize::MAX)
    }

    /// The same, ending after so many.
    pub fn names_up_to(&self, most: usize) -> io::Result<Vec<OsString>> {
        let named = sys::names_in(self.handle.as_fd(), most);
        named
            .map_err(|e| explain(e, &self.path, self.about()))
            .map_err(cannot("list the directory", &self.path))
    }

    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        sys::remove_at(self.handle.as_fd(), name, false)
    }

    pub fn remove_empty(&self, name: &OsStr) -> io::Result<()> {
        sys::remove_at(self.handle.as_fd(), name, true)
    }

    /// Removes a directory in it with everything in that.
    pub fn remove_tree(&self, name: &OsStr) -> io::Result<()> {
        let handle = self.open(name, sys::O_RDONLY | sys::O_DIRECTORY, 0)?;
        let tree = Directory::new(handle, self.path.join(name));
        for inner in tree.names()? {
            match tree.remove(&inner) {
                Err(e) if matches!(e.raw_os_error(), Some(sys::EISDIR | sys::EPERM)) => {
                    tree.remove_tree(&inner)?;
                }
                removed => removed?,
            }
        }
        self.remove_empty(name)
    }

    pub fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        sys::rename_at(self.handle.as_fd(), from, to)
    }

    /// The same, unless the name is taken.
    pub fn rename_new(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        sys::rename_new_at(self.handle.as_fd(), from, to)
    }

    /// A new file under a name that nobody can foresee, and that no other process has.
    pub fn create_temporary(&self) -> io::Result<(File, OsString)> {
        let mut random = [0; 8];
        sys::random(&mut random)?;
        let random = u64::from_ne_bytes(random);
        let name = OsString::from(format!(".tasker-{random:016x}.tmp"));
        Ok((self.open_own(&name, OpenMode::New)?, name))
    }

    /// Replaces a file as a whole: a reader finds the old contents or the new, never a
    /// part. `prepare` gets the new file before it has the name.
    ///
    /// # Errors
    /// That something cannot be written; the old contents are kept.
    pub fn replace(
        &self,
        name: &OsStr,
        write: &WriteFile,
        prepare: &dyn Fn(&File) -> io::Result<()>,
    ) -> io::Result<()> {
        let (mut file, temporary) = self.create_temporary()?;
        let placed = write(&mut file)
            .and_then(|()| prepare(&file))
            .and_then(|()| self.rename(&temporary, name));
        placed.inspect_err(|_| drop(self.remove(&temporary)))
    }

    /// Waits until the names in it are on the disk.
    pub fn sync(&self) -> io::Result<()> {
        self.handle.sync_all()
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

/// Gives a file that was made its mode, whatever the umask. A file system without modes
/// is no obstacle.
pub fn make_private(file: &File) {
    let _ = file.set_permissions(Permissions::from_mode(PRIVATE));
}

fn path_or_here(path: &Path) -> &OsStr {
    match path.as_os_str().is_empty() {
        true => OsStr::new("."),
        false => path.as_os_str(),
    }
}

/// Says of a directory of the user in which the user has not all rights that this is why
/// something is denied. What took them (an old umask, a `chmod -R` of files) was hardly
/// meant; giving them back is for the user to do, who can have meant it.
fn explain(e: io::Error, path: &Path, about: io::Result<Metadata>) -> io::Error {
    let denied = e.kind() == io::ErrorKind::PermissionDenied && e.raw_os_error().is_some();
    let mode = about.ok().filter(|about| denied && about.uid() == own_id());
    match mode.map(|about| about.mode() & 0o777) {
        Some(mode) if mode & OWN_RIGHTS != OWN_RIGHTS => {
            let path = printable(&path.display().to_string());
            let why = format!("`{path}` has mode {mode:04o}; `chmod u+rwx` lets you use it");
            io::Error::new(e.kind(), format!("{}: {why}", reason(&e)))
        }
        _ => e,
    }
}

/// Takes away the rights of others in a directory of the user where they could write;
/// whether they could.
///
/// # Errors
/// That it is another user's, or that they keep their rights.
fn tighten(handle: &File, about: &Metadata) -> io::Result<bool> {
    const OTHERS_WRITE: u32 = 0o022;
    if about.uid() != own_id() {
        return Err(not_trusted(belongs_to(about.uid())));
    }
    if about.mode() & OTHERS_WRITE == 0 {
        return Ok(false);
    }
    let mode = Permissions::from_mode(about.mode() & OWN_RIGHTS);
    let tightened = handle.set_permissions(mode);
    // Some file systems say yes and do nothing.
    match tightened.and_then(|()| handle.metadata()) {
        Ok(about) if about.mode() & OTHERS_WRITE == 0 => Ok(true),
        _ => Err(not_trusted(
            "others can write to it, and its mode cannot be changed".into(),
        )),
    }
}

/// A file by its name in an opened directory.
#[derive(Clone)]
pub struct NamedFile {
    pub directory: Directory,
    pub name: OsString,
}

impl NamedFile {
    pub fn path(&self) -> PathBuf {
        self.directory.path_of(&self.name)
    }

    pub fn open(&self, mode: OpenMode) -> io::Result<File> {
        self.directory.open_own(&self.name, mode)
    }

    pub fn remove(&self) -> io::Result<()> {
        self.directory.remove(&self.name)
    }
}
