//! What a call has before it begins: a checked workflow and, where it asks for one, the
//! earlier run that it goes on with (SPEC §6.4).
#![forbid(unsafe_code)]

use crate::run::capture::PrivateFiles;
use crate::run::directory::NamedFile;
use crate::run::header::Header;
use crate::run::journal::{Continuation, Journal};
use crate::session::instance::InstanceLocks;
use crate::session::load::Loaded;
use crate::session::surroundings::Surroundings;

/// An earlier run that this call goes on with.
pub struct ContinuedRun {
    pub place: NamedFile,
    pub private: PrivateFiles,
    pub header: Header,
    pub way: Way,
    /// Its journal, locked if this call is to run something, else only read.
    pub journal: Journal,
    /// The commands that ran when tasker died: the task's id, and as `10 on web03`.
    pub in_flight: Vec<(u32, String)>,
    /// Its project.
    pub project: Option<String>,
}

impl ContinuedRun {
    /// Its project, if this call is the same run.
    pub fn own_project(&self) -> Option<String> {
        let is_same = matches!(self.way, Way::Same(_));
        self.project.clone().filter(|_| is_same)
    }
}

/// How a run is continued.
#[derive(Clone, Debug, PartialEq)]
pub enum Way {
    /// In its own journal.
    Same(Continuation),
    /// As a new run that begins at this task.
    At(String),
}

/// What a call works with.
pub struct Prepared {
    pub loaded: Loaded,
    pub earlier: Earlier,
}

/// What is known of earlier runs.
#[derive(Default)]
pub struct Earlier {
    /// The one that is continued.
    pub run: Option<ContinuedRun>,
    /// The locks that were taken before it was chosen.
    pub locks: Option<InstanceLocks>,
    /// Another instance is active, and this one ends quietly.
    pub is_left_to_another: bool,
    /// What is to be said, for the console and the log.
    pub warnings: Vec<String>,
    /// Why `--auto-recovery` begins afresh.
    pub fresh_because: Option<String>,
    /// What surrounds the call now, if that is what surrounded the run.
    pub entered: Option<Surroundings>,
}

impl Prepared {
    /// Without an earlier run.
    pub fn fresh(loaded: Loaded) -> Prepared {
        Prepared {
            loaded,
            earlier: Earlier::default(),
        }
    }
}
