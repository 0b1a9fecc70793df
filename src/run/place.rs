//! A place for files that need not exist yet: the directory is opened when it is first
//! needed, once, and made only for what is written.
#![forbid(unsafe_code)]

use super::directory::{self, Directory, Entered, NamedFile, Trust};
use crate::text::diagnostic::cannot;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// A directory by its name in another place. Copies share it.
#[derive(Clone)]
pub struct Place(Arc<Inner>);

struct Inner {
    parent: Option<Place>,
    /// In the parent; of a place without one, nothing.
    name: OsString,
    path: PathBuf,
    trust: Trust,
    /// Told of a directory in which the rights of others were taken away.
    tell: fn(&Path),
    opened: OnceLock<Directory>,
    tightened: OnceLock<()>,
}

impl Place {
    /// Any directory, which can be anyone's.
    pub fn at(path: PathBuf, tell: fn(&Path)) -> Place {
        Place(Arc::new(Inner {
            parent: None,
            name: OsString::new(),
            path,
            trust: Trust::Anyones,
            tell,
            opened: OnceLock::new(),
            tightened: OnceLock::new(),
        }))
    }

    /// A directory in it.
    pub fn child(&self, name: &str, trust: Trust) -> Place {
        Place(Arc::new(Inner {
            parent: Some(self.clone()),
            name: name.into(),
            path: self.0.path.join(name),
            trust,
            tell: self.0.tell,
            opened: OnceLock::new(),
            tightened: OnceLock::new(),
        }))
    }

    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Whether the rights of others in it were taken away.
    pub fn was_tightened(&self) -> bool {
        self.0.tightened.get().is_some()
    }

    /// The directory, if it is there.
    ///
    /// # Errors
    /// `cannot use the directory PATH: REASON`; `NotFound` if it is not there.
    pub fn existing(&self) -> io::Result<Directory> {
        if let Some(opened) = self.0.opened.get() {
            return Ok(opened.clone());
        }
        match &self.0.parent {
            None => Directory::at(self.path()).map_err(|e| self.failed(e)),
            Some(parent) => {
                let parent = parent.existing()?;
                let entered = parent.enter(&self.0.name, self.0.trust);
                Ok(self.note(entered.map_err(|e| self.failed(e))?))
            }
        }
        .map(|directory| self.keep(directory))
    }

    /// The directory, which is made if it is not there.
    ///
    /// # Errors
    /// `cannot use the directory PATH: REASON`, or `create`.
    pub fn made(&self) -> io::Result<Directory> {
        match self.existing() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        let failed = cannot("create the directory", self.path());
        let made = match &self.0.parent {
            None => Directory::made_at(self.path()),
            Some(parent) => parent.made()?.make(&self.0.name),
        };
        match made {
            // Another process was faster.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => match self.existing() {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    Err(failed(io::Error::other("it is a link that leads nowhere")))
                }
                found => found,
            },
            Err(e) if directory::is_about_trust(&e) => Err(self.failed(e)),
            made => made.map(|made| self.keep(made)).map_err(failed),
        }
    }

    /// A file in the directory, if that is there.
    pub fn file(&self, name: impl Into<OsString>) -> io::Result<NamedFile> {
        let (directory, name) = (self.existing()?, name.into());
        Ok(NamedFile { directory, name })
    }

    /// A file in the directory, which is made if it is not there.
    pub fn file_to_make(&self, name: impl Into<OsString>) -> io::Result<NamedFile> {
        let (directory, name) = (self.made()?, name.into());
        Ok(NamedFile { directory, name })
    }

    fn keep(&self, directory: Directory) -> Directory {
        self.0.opened.get_or_init(|| directory).clone()
    }

    fn note(&self, entered: Entered) -> Directory {
        if entered.was_tightened && self.0.tightened.set(()).is_ok() {
            (self.0.tell)(self.path());
        }
        entered.directory
    }

    fn failed(&self, e: io::Error) -> io::Error {
        directory::cannot_use(self.path(), e)
    }
}
