//! The earlier runs of a task file, as their journals tell: which of them are the same
//! work, which are unfinished, and which one is meant (SPEC §6.4).
#![forbid(unsafe_code)]

use crate::report::log_directory::LogDirectory;
use crate::run::capture::PrivateFiles;
use crate::run::directory::{NamedFile, OpenMode};
use crate::run::header::{Header, RunBeginning};
use crate::run::journal;
use crate::run::journal_name;
use crate::run::record::{FlowStop, JournalError};
use crate::run::snapshot::{self, Snapshot};
use crate::session::identity::{self, Identity};
use crate::text::diagnostic::{printable, reason};
use std::fs::TryLockError;
use std::io;

/// A run of the task file that left a journal.
pub struct EarlierRun {
    /// Its journal, and its outputs.
    pub place: NamedFile,
    pub private: PrivateFiles,
    pub header: Header,
    /// A process holds the journal.
    pub is_live: bool,
    pub snapshot: Snapshot,
}

/// The earlier runs of a task file, the newest first.
#[derive(Default)]
pub struct EarlierRuns {
    pub runs: Vec<EarlierRun>,
    /// A line for each journal that cannot be read.
    pub warnings: Vec<String>,
    /// Where they were looked for.
    place: Option<LogDirectory>,
}

impl EarlierRuns {
    /// Reads the journals in the log directory. What is not a journal of this user is
    /// left out, with a warning: it may be of this file, or of any other.
    /// Only those whose journals have a mark that begins so are opened.
    pub fn find(log_dir: &LogDirectory, file: &str, mark: &str) -> EarlierRuns {
        match log_dir.journals_for(mark) {
            Ok(journals) => EarlierRuns::read(log_dir, &journals, file),
            Err(e) => EarlierRuns {
                warnings: vec![format!("{}; no earlier run is known", reason(&e))],
                ..EarlierRuns::default()
            },
        }
    }

    /// Reads these journals, as far as they are of the task file.
    pub fn read(log_dir: &LogDirectory, journals: &[NamedFile], file: &str) -> EarlierRuns {
        let mut found = EarlierRuns {
            place: Some(log_dir.clone()),
            ..EarlierRuns::default()
        };
        for place in journals {
            match read(log_dir, place, file) {
                Ok(run) => found.runs.extend(run),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => {
                    let name = printable(&place.path().display().to_string());
                    let why = reason(&e);
                    found
                        .warnings
                        .push(format!("the journal `{name}` is ignored: {why}"));
                }
            }
        }
        found
            .runs
            .sort_by_key(|run| std::cmp::Reverse((run.header.number, run.header.began)));
        found
    }

    /// The run with this id, or the only one whose id begins so.
    ///
    /// # Errors
    /// One sentence.
    pub fn find_by_id(&self, word: &str) -> Result<&EarlierRun, String> {
        let mut begins = self
            .runs
            .iter()
            .filter(|r| r.header.run_id.starts_with(word));
        let exact = self.runs.iter().find(|r| r.header.run_id == word);
        match (exact, begins.next(), begins.next()) {
            (Some(run), ..) | (None, Some(run), None) => Ok(run),
            (None, Some(_), Some(_)) => {
                Err(format!("several runs of this file begin with `{word}`"))
            }
            (None, None, _) => Err(self.no_such_run(word)),
        }
    }

    fn no_such_run(&self, word: &str) -> String {
        let outputs = self.place.as_ref().map(LogDirectory::lone_outputs);
        let mut outputs = outputs.unwrap_or_default().into_iter();
        match outputs.find(|outputs| outputs.run == word) {
            Some(outputs) => outputs.sentence(),
            None => format!("this file has no run `{word}` to go on with"),
        }
    }

    /// The runs of the same work, the newest first.
    pub fn same_work<'r>(&'r self, identity: &'r Identity) -> impl Iterator<Item = &'r EarlierRun> {
        let is_same = |run: &&EarlierRun| is_same_work(identity, &run.header);
        self.runs.iter().filter(is_same)
    }
}

/// The run that left the journal, if it is of this file and had begun.
fn read(log_dir: &LogDirectory, place: &NamedFile, file: &str) -> io::Result<Option<EarlierRun>> {
    let mut opened = place.open(OpenMode::Read)?;
    let is_live = match opened.try_lock_shared() {
        Ok(()) => opened.unlock().map(|()| false)?,
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(e)) => return Err(e),
    };
    let mut bytes = Vec::new();
    let header = match journal::header_of(&mut opened, &mut bytes) {
        Ok(header) if header.file != file => return Ok(None),
        header => header,
    };
    journal::read_rest(&mut opened, &mut bytes)?;
    let found = header.and_then(|header| Ok((header, snapshot::read(&bytes)?)));
    match found {
        Ok((header, _)) if journal_name::run_id(&place.name) != header.run_id => {
            Err(io::Error::other("it is the journal of another run"))
        }
        Ok((header, snapshot)) => Ok(Some(EarlierRun {
            place: place.clone(),
            private: log_dir.private(&header.run_id),
            header,
            is_live,
            snapshot,
        })),
        // Killed before anything was run.
        Err(JournalError::Empty | JournalError::Active) => Ok(None),
        Err(JournalError::Unusable(why)) => Err(io::Error::other(why)),
    }
}

/// Whether a run with this header is of the same work.
fn is_same_work(identity: &Identity, header: &Header) -> bool {
    identity.work.is_some()
        && identity.file.to_string_lossy() == header.file
        && differences(identity, header).is_empty()
}

/// The globals whose values are others than in that run.
pub fn differences(identity: &Identity, header: &Header) -> Vec<String> {
    let then = |name: &str| header.globals.iter().find(|(n, _)| n == name);
    let differs = |(name, hash): &&(String, String)| {
        let then = then(name).map(|(_, hash)| hash);
        then.is_none_or(|then| !identity::same_value(hash, then))
    };
    let changed = identity.globals.iter().filter(differs);
    let mut names: Vec<String> = changed.map(|(name, _)| name.clone()).collect();
    let is_here = |name: &str| identity.globals.iter().any(|(n, _)| n == name);
    let gone = header.globals.iter().filter(|(name, _)| !is_here(name));
    names.extend(gone.map(|(name, _)| name.clone()));
    names
}

impl EarlierRun {
    /// Whether it came to its end: then there is nothing to resume.
    pub fn is_finished(&self) -> bool {
        self.snapshot.is_finished()
    }

    /// Whether `--resume` takes it: it is unfinished, or `--keep-going` went past
    /// failures.
    pub fn can_be_resumed(&self) -> bool {
        !self.is_finished() || self.kept_going()
    }

    /// Whether it went past failures to its end.
    pub fn kept_going(&self) -> bool {
        let flow = self.snapshot.flow.as_ref();
        let reached = flow.is_some_and(|f| f.how == FlowStop::Reached);
        reached && self.snapshot.over && self.header.policy != "stop"
    }

    /// Whether it began as this command line would: at the same task, on the same hosts.
    pub fn begins_like(&self, start: Option<u32>, limit: &str, exclude: &str) -> bool {
        let header = &self.header;
        let same_start = match (&header.beginning, start) {
            (RunBeginning::Whole, None) => true,
            (RunBeginning::StartFrom, Some(id)) => header.start == id,
            _ => false,
        };
        same_start && header.limit == limit && header.exclude == exclude
    }

    /// The commands that ran when tasker died: the task's id, and as `10 on web03`.
    pub fn in_flight(&self) -> Vec<(u32, String)> {
        let snapshot = &self.snapshot;
        let all = snapshot.lost().into_iter().chain(snapshot.running());
        all.map(|c| match c.host.as_ref() {
            "" | "localhost" => (c.task, c.label.to_string()),
            host if c.is_member && c.label.contains('.') => {
                (c.task, format!("{} on {host}", c.task))
            }
            host => (c.task, format!("{} on {host}", c.label)),
        })
        .collect()
    }
}
