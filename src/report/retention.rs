//! What the log directory no longer keeps (SPEC §6.3), by the dates in the names of files,
//! which no copy or restore changes. What has no date in its name goes by its last change.
//!
//! | | goes by |
//! |---|---|
//! | logs, validation reports, copies of task files, JSON results | `keep_logs` |
//! | journals, outputs of runs, plans, locks and temporary files of nobody | `keep_state` |
//! | how hosts ended (`--limit last:`), failures (`--mail-once`) | `keep_state`, but the newest 1000 of each not within 400 days of their last change: a job that runs once a year still runs, and one that is another job each night has an end |
//! | summaries of projects, the number of the last run | never |
//!
//! A run holds locks on its journal and on its log. Whatever is locked stays, as does
//! whatever cannot be locked: the file system tells nothing of who uses it.
#![forbid(unsafe_code)]

use super::clock;
use super::log_directory::LogDirectory;
use super::run_status;
use super::safe_text;
use crate::run::directory::{self, Directory, OpenMode};
use crate::run::journal_name::{is_time, time_of_run};
use crate::run::place::Place;
use crate::run::record::JournalError;
use crate::run::snapshot::{self, Snapshot};
use crate::text::diagnostic::{printable, reason};
use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{File, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(86_400);
/// From which size on a directory takes milliseconds to list, in bytes: some thousand names.
const LARGE: u64 = 256 << 10;
/// The same in names, for file systems whose directories have no size in bytes (tmpfs, ZFS).
const MANY: usize = 6000;
/// How many files are named that could not be removed.
const MOST_NAMED: usize = 20;
/// For how many days at least a job remembers how its last run ended.
const JOBS_REMEMBER: u32 = 400;
/// How many of them do: each is looked at by every run.
const MOST_REMEMBERED: usize = 1000;
/// The end of the name of a journal that is being removed, until its outputs are too.
const GOING: &str = ".gone";
/// The end of the name of one that is being made.
const COMING: &str = ".new";

/// For how many days what is kept.
pub struct Retention {
    /// Records of runs; nothing for all of them.
    pub logs: Option<u32>,
    /// What is kept for going on with runs that are not live.
    pub state: u32,
}

/// Where to look for what is no longer kept.
#[derive(Clone, Copy, PartialEq)]
pub enum Extent {
    Everywhere,
    SmallDirectories,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Log,
    Validations,
    TaskFile,
    Results,
    Journal,
    Outputs,
    Hosts,
    Failure,
    Plan,
    Lock,
    Temporary,
}

impl Kind {
    /// What one and several of them are called.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Kind::Log => ("log", "logs"),
            Kind::Validations => ("validation report", "validation reports"),
            Kind::TaskFile => ("copy of a task file", "copies of task files"),
            Kind::Results => ("JSON result", "JSON results"),
            Kind::Journal => ("journal", "journals"),
            Kind::Outputs => ("directory of outputs", "directories of outputs"),
            Kind::Hosts => ("list of last hosts", "lists of last hosts"),
            Kind::Failure => ("remembered failure", "remembered failures"),
            Kind::Plan => ("plan", "plans"),
            Kind::Lock => ("lock of nobody", "locks of nobody"),
            Kind::Temporary => ("temporary file", "temporary files"),
        }
    }

    fn is_record(self) -> bool {
        use Kind::{Log, Results, TaskFile, Validations};
        matches!(self, Log | Validations | TaskFile | Results)
    }
}

/// How many of a kind, and the names of the first and the last of them.
struct Tally {
    count: usize,
    first: OsString,
    last: OsString,
}

/// What was removed.
#[derive(Default)]
pub struct Pruned {
    tallies: BTreeMap<Kind, Tally>,
    /// A sentence for each run that went although it was not finished.
    unfinished: Vec<String>,
    /// A sentence for each file that should go and did not, up to `MOST_NAMED`.
    troubles: Vec<String>,
    further_troubles: usize,
    /// There was no time for everything.
    pub is_cut_short: bool,
}

impl Pruned {
    fn add(&mut self, kind: Kind, name: &OsStr) {
        let tally = self.tallies.entry(kind).or_insert_with(|| Tally {
            count: 0,
            first: name.into(),
            last: name.into(),
        });
        tally.count += 1;
        tally.last = name.into();
    }

    /// A line for each kind of what is gone, beginning in lower case.
    pub fn removed(&self, retention: &Retention) -> Vec<String> {
        let lines = self.tallies.iter().map(|(kind, tally)| {
            let (one, several) = kind.names();
            let shown = |name: &OsStr| printable(&name.to_string_lossy());
            let (first, last) = (shown(&tally.first), shown(&tally.last));
            let by = match (kind.is_record(), retention.logs) {
                (true, Some(days)) => format!("keep_logs={days}d"),
                _ => format!("keep_state={}d", retention.state),
            };
            match tally.count {
                1 => format!("removed 1 {one}, {first} ({by})"),
                n => format!("removed {n} {several}, {first} to {last} ({by})"),
            }
        });
        lines.collect()
    }

    /// A line for each file that should go and did not, also if there are thousands of them
    /// every night.
    pub fn troubles(&self) -> Vec<String> {
        let further = (self.further_troubles > 0)
            .then(|| format!("{} more could not be removed", self.further_troubles));
        self.troubles.iter().cloned().chain(further).collect()
    }

    fn add_trouble(&mut self, trouble: String) {
        // A directory can be in the way of several kinds.
        if self.troubles.contains(&trouble) {
            return;
        }
        match self.troubles.len() < MOST_NAMED {
            true => self.troubles.push(trouble),
            false => self.further_troubles += 1,
        }
    }

    /// A line for each run that can no longer be continued.
    pub fn unfinished(&self, retention: &Retention) -> Vec<String> {
        let by = format!("keep_state={}d", retention.state);
        let lines = self.unfinished.iter();
        lines.map(|run| format!("removed {run} ({by})")).collect()
    }
}

impl LogDirectory {
    /// Removes what is no longer kept, the oldest first, until `stop` says so.
    pub fn prune(&self, retention: &Retention, extent: Extent, stop: &dyn Fn() -> bool) -> Pruned {
        let mut pruning = self.pruning(retention, extent, stop);
        pruning.records(self);
        let state = pruning.list(&self.state);
        if let Some(state) = &state {
            pruning.runs(state);
        }
        let others = [self.plans(), self.locks.clone(), self.output.clone()];
        let others = others.iter().filter_map(|place| pruning.list(place));
        let others: Vec<Listed> = others.collect();
        for listed in state.iter().chain(&others) {
            pruning.undated(listed);
        }
        pruning.pruned
    }

    /// The same for the records of runs only, which is what also a refused run adds to.
    pub fn prune_records(
        &self,
        retention: &Retention,
        extent: Extent,
        stop: &dyn Fn() -> bool,
    ) -> Pruned {
        let mut pruning = self.pruning(retention, extent, stop);
        pruning.records(self);
        pruning.pruned
    }

    fn pruning<'a>(
        &'a self,
        retention: &'a Retention,
        extent: Extent,
        stop: &'a dyn Fn() -> bool,
    ) -> Pruning<'a> {
        let now = SystemTime::now();
        let changes_now = self.time_of_changes().unwrap_or(now);
        Pruning {
            log_dir: self,
            retention,
            extent,
            // A clock that is ahead removes nothing of machines whose clocks are right.
            now: now.min(changes_now),
            changes_now,
            stop,
            in_use: HashSet::new(),
            pruned: Pruned::default(),
        }
    }

    /// The present by the clock of the file system, which can be another machine's.
    fn time_of_changes(&self) -> Option<SystemTime> {
        let state = self.state.existing().ok()?;
        let (file, name) = state.create_temporary().ok()?;
        let changed = file.metadata().and_then(|about| about.modified());
        let _ = state.remove(&name);
        changed.ok()
    }
}

/// Names that hold an earlier time are too old.
fn before(now: SystemTime, days: u32) -> String {
    clock::compact(
        now.checked_sub(DAY * days)
            .unwrap_or(SystemTime::UNIX_EPOCH),
    )
}

fn is_before(time: &str, before: &str) -> bool {
    before.get(..time.len()).is_some_and(|before| time < before)
}

fn in_logs(name: &str) -> Option<(Kind, &str)> {
    if let Some(day) = name.strip_prefix("validation_report_") {
        let day = day.strip_suffix(".log")?;
        let is_day = day.len() == 8 && day.bytes().all(|b| b.is_ascii_digit());
        return is_day.then_some((Kind::Validations, day));
    }
    let time = stamped(name, ".log")?;
    name.strip_prefix("tasker_")?
        .starts_with(time)
        .then_some((Kind::Log, time))
}

/// The time in `NAME_YYYYMMDD_HHMMSS.ENDING`, where letters can follow the time.
fn stamped<'a>(name: &'a str, ending: &str) -> Option<&'a str> {
    let stem = name.strip_suffix(ending)?;
    let at_end = |stem: &'a str| {
        let (before, time) = stem.split_at_checked(stem.len().checked_sub(15)?)?;
        (before.len() > 1 && before.ends_with('_') && is_time(time)).then_some(time)
    };
    at_end(stem).or_else(|| {
        let (stem, letters) = stem.rsplit_once('_')?;
        let is_letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let are_letters = matches!(letters.len(), 1..=8) && letters.bytes().all(is_letter);
        at_end(stem).filter(|_| are_letters)
    })
}

/// What belongs to a run, by its name in `state`: the run, and whether it is its journal.
fn of_run(name: &str) -> Option<(&str, bool)> {
    let journal = name.strip_suffix(GOING).or(name.strip_suffix(COMING));
    let journal = journal.unwrap_or(name).strip_suffix(".journal");
    let stem = match journal {
        Some(stem) => stem.split_once('.').map_or(stem, |(run, _)| run),
        None => name,
    };
    time_of_run(stem).map(|_| (stem, journal.is_some()))
}

/// What has no date in its name.
fn without_date(name: &str) -> Option<Kind> {
    let is_hash = |text: &str, digits: usize| {
        let is_digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        text.len() == digits && text.bytes().all(is_digit)
    };
    let between = |begin: &str, end: &str| name.strip_prefix(begin)?.strip_suffix(end);
    let has = |begin, end| between(begin, end).is_some_and(|hash| is_hash(hash, 16));
    match () {
        () if has("last_", ".hosts") => Some(Kind::Hosts),
        () if has("mail_", ".txt") => Some(Kind::Failure),
        () if has(".tasker-", ".tmp") => Some(Kind::Temporary),
        () if is_hash(name, 64) => Some(Kind::Plan),
        () if ["work_", "job_", "file_"]
            .iter()
            .any(|kind| has(kind, ".lock")) =>
        {
            Some(Kind::Lock)
        }
        () => None,
    }
}

/// Whether it is a file that a run had begun to write, and that has no name of its own yet.
pub fn is_half_written(name: &str) -> bool {
    let begun = name.strip_suffix(COMING);
    without_date(name) == Some(Kind::Temporary)
        || begun.is_some_and(|name| name.ends_with(".journal"))
}

struct Pruning<'a> {
    log_dir: &'a LogDirectory,
    retention: &'a Retention,
    extent: Extent,
    /// The present, for the dates in names.
    now: SystemTime,
    /// That of the file system, for what was changed there.
    changes_now: SystemTime,
    stop: &'a dyn Fn() -> bool,
    /// The times in the names of logs that runs write.
    in_use: HashSet<String>,
    pruned: Pruned,
}

impl Pruning<'_> {
    /// What a place holds, if it is there.
    fn list(&mut self, place: &Place) -> Option<Listed> {
        let directory = place.existing();
        if self.extent == Extent::SmallDirectories && directory.as_ref().is_ok_and(is_large) {
            return None;
        }
        let most = match self.extent {
            Extent::SmallDirectories => MANY,
            Extent::Everywhere => usize::MAX,
        };
        let listed = directory.and_then(|d| d.names_up_to(most).map(|names| (d, names)));
        match listed {
            Ok((_, names)) if names.len() == most => None,
            // Names of tasker's own are UTF-8.
            Ok((directory, names)) => Some(Listed {
                directory,
                names: names
                    .into_iter()
                    .filter_map(|n| n.into_string().ok())
                    .collect(),
            }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => {
                self.pruned.add_trouble(reason(&e));
                None
            }
        }
    }

    fn is_over(&mut self) -> bool {
        self.pruned.is_cut_short |= (self.stop)();
        self.pruned.is_cut_short
    }

    /// Removes the records of runs.
    fn records(&mut self, log_dir: &LogDirectory) {
        let Some(days) = self.retention.logs else {
            return;
        };
        let before = before(self.now, days);
        self.dated(&log_dir.logs, &before, &|name| in_logs(name));
        self.dated(&log_dir.tasks, &before, &|name| {
            stamped(name, ".txt").map(|time| (Kind::TaskFile, time))
        });
        self.dated(&log_dir.output, &before, &|name| {
            stamped(name, ".json").map(|time| (Kind::Results, time))
        });
    }

    /// Removes files with dates in their names.
    fn dated(
        &mut self,
        place: &Place,
        before: &str,
        kind_and_time: &dyn for<'n> Fn(&'n str) -> Option<(Kind, &'n str)>,
    ) {
        let Some(listed) = self.list(place) else {
            return;
        };
        let is_due =
            |name: &str| kind_and_time(name).is_some_and(|(_, time)| is_before(time, before));
        for name in listed.sorted(&is_due) {
            let Some((kind, time)) = kind_and_time(name) else {
                continue;
            };
            if self.is_over() {
                return;
            }
            // A copy stays as long as the log.
            if !self.in_use.contains(time)
                && self.remove_file(&listed.directory, name, kind) == Removal::InUse
            {
                self.in_use.insert(time.to_string());
            }
        }
    }

    /// Removes what goes by its last change.
    fn undated(&mut self, listed: &Listed) {
        let days = self.retention.state;
        let mut due: Vec<(&str, Kind)> = Vec::new();
        let mut remembered: BTreeMap<Kind, Vec<(SystemTime, &str)>> = BTreeMap::new();
        for name in &listed.names {
            let Some((kind, changed)) = without_date(name).zip(listed.changed(name)) else {
                continue;
            };
            match kind {
                Kind::Hosts | Kind::Failure => {
                    remembered.entry(kind).or_default().push((changed, name));
                }
                _ if self.is_older(changed, days) => due.push((name, kind)),
                _ => {}
            }
        }
        for (kind, mut all) in remembered {
            all.sort_unstable_by(|a, b| b.cmp(a));
            let is_due = |(place, (changed, _)): &(usize, (SystemTime, &str))| {
                let least = if *place < MOST_REMEMBERED {
                    JOBS_REMEMBER
                } else {
                    0
                };
                self.is_older(*changed, days.max(least))
            };
            let old = all.into_iter().enumerate().filter(is_due);
            due.extend(old.map(|(_, (_, name))| (name, kind)));
        }
        due.sort_unstable();
        for (name, kind) in due {
            if self.is_over() {
                return;
            }
            self.remove_file(&listed.directory, name, kind);
        }
    }

    /// Whether this change is more days ago.
    fn is_older(&self, changed: SystemTime, days: u32) -> bool {
        let age = self.changes_now.duration_since(changed);
        age.is_ok_and(|age| age > DAY * days)
    }

    /// Removes the journals and outputs of runs that are not live.
    fn runs(&mut self, state: &Listed) {
        let before = before(self.now, self.retention.state);
        let is_due = |name: &str| {
            let is_old = |(run, _)| time_of_run(run).is_some_and(|time| is_before(time, &before));
            of_run(name).is_some_and(|of| is_old(of) || name.ends_with(GOING))
        };
        let due = state.sorted(&is_due);
        let mut with_journal = HashSet::new();
        for name in &due {
            if let Some((run, true)) = of_run(name) {
                with_journal.insert(run);
                if self.is_over() {
                    return;
                }
                self.remove_run(&state.directory, name, run);
            }
        }
        // No lock tells whether a run that is just ending still needs them.
        let is_orphan = |name: &str| {
            !with_journal.contains(name)
                && of_run(name).is_some_and(|(_, is_journal)| !is_journal)
                && state
                    .changed(name)
                    .is_some_and(|at| self.is_older(at, self.retention.state))
        };
        let orphans: Vec<&str> = due.iter().copied().filter(|name| is_orphan(name)).collect();
        for name in orphans {
            if self.is_over() {
                return;
            }
            self.remove_outputs(&state.directory, name);
        }
    }

    /// Removes a file that nobody holds.
    fn remove_file(&mut self, directory: &Directory, name: &str, kind: Kind) -> Removal {
        let name = OsStr::new(name);
        let removed = take(directory, name).and_then(|taken| match taken {
            Taken::Free(_lock) => directory.remove(name).map(|()| Removal::Done),
            Taken::InUse => Ok(Removal::InUse),
        });
        match removed {
            Ok(removal) => {
                if removal == Removal::Done {
                    self.pruned.add(kind, name);
                }
                return removal;
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => self.trouble(directory, name, &e),
        }
        Removal::Failed
    }

    /// Removes a run's journal and outputs, unless it is live. In between the journal has
    /// a name that nobody reads; if it stays, the next call goes on with it.
    fn remove_run(&mut self, directory: &Directory, name: &str, run: &str) {
        let name = OsStr::new(name);
        let mut file = match take(directory, name) {
            Ok(Taken::Free(file)) => file,
            Ok(Taken::InUse) => return,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return,
            Err(e) => return self.trouble(directory, name, &e),
        };
        let is_whole = name.as_encoded_bytes().ends_with(b".journal");
        let left = is_whole.then(|| read(&mut file));
        let unfinished = left.as_ref().and_then(|left| tell(left, run));
        if let Some(Ok(Some(snapshot))) = &left
            && let Err(e) = self.log_dir.append_killed_to_project(snapshot)
        {
            return self.trouble(directory, name, &e);
        }
        let mut going = name.to_os_string();
        if is_whole {
            going.push(GOING);
            if let Err(e) = directory.rename(name, &going) {
                return self.trouble(directory, name, &e);
            }
        }
        self.pruned.unfinished.extend(unfinished);
        if self.remove_outputs(directory, run) {
            match directory.remove(&going) {
                Ok(()) => self.pruned.add(Kind::Journal, name),
                Err(e) => self.trouble(directory, &going, &e),
            }
        }
    }

    /// Removes the private directory of a run; whether it is gone.
    fn remove_outputs(&mut self, directory: &Directory, run: &str) -> bool {
        let name = OsStr::new(run);
        let about = directory.look_at(name);
        let removed =
            about.and_then(
                |about| match about.is_dir() && about.uid() == directory.owner() {
                    true => directory.remove_tree(name),
                    false => Err(io::Error::other("it is not a directory of yours")),
                },
            );
        match removed {
            Ok(()) => self.pruned.add(Kind::Outputs, name),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => {
                self.trouble(directory, name, &e);
                return false;
            }
        }
        true
    }

    fn trouble(&mut self, directory: &Directory, name: &OsStr, e: &io::Error) {
        let path = printable(&directory.path_of(name).display().to_string());
        let why = reason(e);
        self.pruned.add_trouble(match directory::is_about_trust(e) {
            true => format!("`{path}` is ignored: {why}"),
            false => format!("cannot remove `{path}`: {why}"),
        });
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Removal {
    Done,
    InUse,
    Failed,
}

/// Whether listing it would take a noticeable part of the time of a short run.
fn is_large(directory: &Directory) -> bool {
    directory.about().is_ok_and(|about| about.len() > LARGE)
}

/// A directory, and the names that it held.
struct Listed {
    directory: Directory,
    names: Vec<String>,
}

impl Listed {
    /// The names that are due, the oldest date first.
    fn sorted(&self, is_due: &dyn Fn(&str) -> bool) -> Vec<&str> {
        let names = self.names.iter().map(String::as_str);
        let mut due: Vec<&str> = names.filter(|name| is_due(name)).collect();
        due.sort_unstable();
        due
    }

    /// When it was last changed.
    fn changed(&self, name: &str) -> Option<SystemTime> {
        let about = self.directory.look_at(OsStr::new(name));
        about.and_then(|about| about.modified()).ok()
    }
}

enum Taken {
    /// Locked until this is dropped.
    Free(File),
    InUse,
}

/// Takes a plain file of the user that nobody holds, and that still has its name.
///
/// # Errors
/// Among others that it is not such a file.
fn take(directory: &Directory, name: &OsStr) -> io::Result<Taken> {
    let file = directory.open_own(name, OpenMode::Change)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Taken::InUse),
        Err(TryLockError::Error(e)) => return Err(e),
    }
    let (own, found) = (file.metadata()?, directory.look_at(name)?);
    match (own.dev(), own.ino()) == (found.dev(), found.ino()) {
        true => Ok(Taken::Free(file)),
        // Another file has got the name: somebody uses it.
        false => Ok(Taken::InUse),
    }
}

/// What a journal tells, if anything was run; or why it cannot be read.
fn read(file: &mut File) -> Result<Option<Snapshot>, String> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|e| reason(&e))?;
    match snapshot::read(&bytes) {
        Err(JournalError::Unusable(why)) => Err(why),
        read => Ok(read.ok()),
    }
}

/// What is to be said of a run whose journal goes; nothing if it came to its end, or if
/// nothing was run.
fn tell(left: &Result<Option<Snapshot>, String>, run: &str) -> Option<String> {
    match left {
        Ok(None) => None,
        Ok(Some(snapshot)) if snapshot.is_finished() => None,
        Ok(Some(snapshot)) => Some(format!(
            "the unfinished run {run} of {}, which {}",
            safe_text::line(&snapshot.header.file),
            run_status::ended(snapshot.flow.as_ref(), snapshot.over)
        )),
        Err(why) => Some(format!("run {run}, whose journal cannot be read: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_taskers_own_form_have_a_time() {
        let time = Some("20240115_143015");
        assert_eq!(stamped("a b_20240115_143015.txt", ".txt"), time);
        assert_eq!(stamped("a_20240115_143015_k7m2x9qa.txt", ".txt"), time);
        assert_eq!(stamped("a_20240115_143015_1.txt", ".txt"), time);
        assert_eq!(stamped("é_20240115_143015.txt", ".txt"), time);
        for other in [
            "_20240115_143015.txt",
            "20240115_143015.txt",
            "a_20240115_143015.txt.gz",
            "a_20240115_143015_toolonger.txt",
            "a_20240115_143015_A.txt",
            "a_20240115_14301é.txt",
            "a_2024-01-15.txt",
            "notes.txt",
        ] {
            assert_eq!(stamped(other, ".txt"), None, "{other}");
        }
        assert_eq!(
            in_logs("validation_report_20240115.log"),
            Some((Kind::Validations, "20240115"))
        );
        for other in [
            "project_20240115_143015_summary.log",
            "project_tasker_20240115_143015.log",
            "mine_20240115_143015.log",
            "tasker_x_20240115_143015.log",
            "validation_report_2024.log",
        ] {
            assert_eq!(in_logs(other), None, "{other}");
        }
    }

    #[test]
    fn what_belongs_to_a_run_names_it() {
        let run = "20240115_143015-k7m2x9qa";
        for journal in [
            ".journal",
            ".0123456789abcdef.journal",
            ".journal.new",
            ".0.journal.gone",
        ] {
            assert_eq!(
                of_run(&format!("{run}{journal}")),
                Some((run, true)),
                "{journal}"
            );
        }
        assert_eq!(of_run(run), Some((run, false)));
        for other in [
            "plans",
            "number",
            "forged.journal",
            "20240115_143015.journal",
            "x.gone",
        ] {
            assert_eq!(of_run(other), None, "{other}");
        }
    }

    #[test]
    fn a_day_is_before_a_later_day_only() {
        assert!(is_before("20240114", "20240115_143015"));
        assert!(!is_before("20240115", "20240115_143015"));
        assert!(is_before("20240115_143014", "20240115_143015"));
    }
}
