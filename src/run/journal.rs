//! The journal: what a run has done, kept so that nothing can lose it (SPEC §6.4).
//!
//! Each run has one file, and records are only ever appended to it: first `MAGIC`,
//! then records in the form of `run::record`. A record is written as soon as
//! there is something to record, and synced before the flow continues. It goes
//! into preallocated space: a sync is cheap when the file does not grow, since the
//! file system then has nothing to record. Closing a journal cuts off the
//! space that is left.
//!
//! Records for `--status` are written but not synced for their own sake, except the
//! first `start`: with it a new journal reaches the disk.
//!
//! **Turns** number what the engine's thread does, block by block and task by task,
//! from 1. Where the flow goes depends only on the file, the globals and the
//! results, so no position is written down. A resumed run walks the same way again
//! with the results of the journal, turn by turn, instantly and silently. Where the
//! journal ends, it is in the state that the run was in: loops, retries, handlers,
//! nested blocks. A turn that was recorded for another task is refused: then this
//! is not the run that wrote the journal.
//!
//! Rejected: writing down the position. It has a part for each kind of task and
//! each depth of blocks, and each of them can be wrong on its own.
#![forbid(unsafe_code)]

use super::capture::Spool;
use super::directory::{NamedFile, OpenMode};
use super::event::About;
use super::frame;
use super::header::Header;
use super::pid_space::PidSpace;
use super::record::{
    AdviceNote, BlockDone, BlockStart, CommandStart, FlowEnd, FlowStop, HostsBegun, JournalError,
    KeptMember, KeptResult, LeftCommand, MAGIC, Record, RepeatDue, RetryWait, RunProcess,
    SubtaskDone, TaskDone, read_header, scan,
};
use super::recorded_run::RecordedRun;
use super::result::TaskResult;
use crate::plan::flow::Position;
use crate::task::secret_index::{Secret, SecretIndex};
use crate::text::diagnostic::{cannot, reason};
use std::borrow::Cow;
use std::fs::{File, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How much space is preallocated at a time, in bytes.
const PREALLOCATED: usize = 32 << 10;

/// How a run goes on that had begun before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Continuation {
    /// Where it stopped.
    Resume,
    /// Only with its final tasks (`--finish-only`).
    FinishOnly,
    /// From its beginning, with what was not ok (`--keep-going`).
    Rewalk,
}

pub struct Journal {
    /// Where it is; nowhere if it is only pretended.
    place: Option<NamedFile>,
    path: PathBuf,
    file: File,
    secrets: SecretIndex,
    spool: Arc<Spool>,
    checksum: u32,
    /// How many bytes are written.
    length: u64,
    /// The length of the file, with the preallocated space.
    allocated: u64,
    dirty: bool,
    /// Its name may not be on the disk yet, nor this file with the number of the run.
    fresh: Option<File>,
    /// Why nothing can be written any more.
    broken: Option<String>,
    /// What was done but not recorded because of that.
    pub unrecorded: Vec<String>,
    /// What was written since the last sync, in case the next one fails.
    unsynced: Vec<String>,
    /// What an earlier process recorded.
    pub recorded: RecordedRun,
    /// The last record was not completely written, and was cut off.
    pub torn: bool,
    pretends: bool,
}

/// Reads the header of a journal, without taking its lock.
///
/// # Errors
/// That the journal is empty, damaged, or of another version.
pub fn header(place: &NamedFile) -> Result<Header, JournalError> {
    let mut file = place.open(OpenMode::Read).map_err(unusable)?;
    header_of(&mut file, &mut Vec::new())
}

/// Reads the header of an opened journal. `bytes` gets what was read, which is rarely
/// more than that: the outputs that follow can be large.
///
/// # Errors
/// That the journal is empty, damaged, or of another version.
pub fn header_of(file: &mut File, bytes: &mut Vec<u8>) -> Result<Header, JournalError> {
    const USUALLY_ENOUGH: u64 = 64 << 10;
    let beginning = file.take(USUALLY_ENOUGH).read_to_end(bytes);
    beginning.map_err(unusable)?;
    let found = match read_header(frame::written(bytes)) {
        Err(JournalError::Empty) => {
            read_rest(file, bytes).map_err(unusable)?;
            read_header(frame::written(bytes))
        }
        found => found,
    };
    found.map(|(header, ..)| header)
}

/// Reads a journal to its end, or to where nothing has been written: a file that somebody
/// made as large as he liked is not read for ever.
///
/// # Errors
/// It cannot be read, or is larger than 4 GiB.
pub fn read_rest(file: &mut File, bytes: &mut Vec<u8>) -> io::Result<()> {
    const AT_ONCE: u64 = 1 << 20;
    // More than any record holds.
    const UNWRITTEN: usize = 64 << 20;
    const MOST: usize = 4 << 30;
    let mut zeros = 0;
    while zeros < UNWRITTEN {
        let before = bytes.len();
        let length = Read::by_ref(file).take(AT_ONCE).read_to_end(bytes)?;
        if length == 0 {
            break;
        }
        let is_zero = bytes[before..].iter().all(|byte| *byte == 0);
        zeros = if is_zero { zeros + length } else { 0 };
        if bytes.len() > MOST {
            return Err(io::Error::other("it is larger than 4 GiB"));
        }
    }
    Ok(())
}

impl Journal {
    /// Makes a new journal, and locks it. It reaches the disk with the first
    /// command; until then it holds nothing that could be lost. `number` is the file that
    /// the run's number comes from, which must not be given to another run. `add_earlier`
    /// adds the results that the run begins with.
    ///
    /// # Errors
    /// That it cannot be written, or as `add_earlier`.
    pub fn create(
        place: &NamedFile,
        header: &Header,
        number: File,
        secrets: &[Secret],
        spool: &Arc<Spool>,
        add_earlier: &dyn Fn(&mut Journal) -> io::Result<()>,
    ) -> io::Result<Journal> {
        // It gets its name once it says whose it is and has all that the run begins with:
        // whoever resumes it could not tell that something is missing.
        let mut unnamed = place.clone();
        unnamed.name.push(".new");
        // Two machines or containers that share a log directory can give one id twice.
        let file = unnamed.open(OpenMode::New);
        let file = file.map_err(cannot("write the journal", &unnamed.path()))?;
        let mut journal = Journal::new(place.path(), file, secrets, spool);
        journal.place = Some(place.clone());
        journal.fresh = Some(number);
        let path = place.path();
        let failed = cannot("write the journal", &path);
        let begun = journal.begin(header).map_err(&failed);
        let whole = begun
            .and_then(|()| add_earlier(&mut journal))
            .and_then(|()| journal.sync_earlier());
        let named = whole.and_then(|()| {
            let renamed = place.directory.rename_new(&unnamed.name, &place.name);
            renamed.map_err(&failed)
        });
        named.inspect_err(|_| drop(unnamed.remove()))?;
        spool.keep();
        Ok(journal)
    }

    fn begin(&mut self, header: &Header) -> io::Result<()> {
        self.file.lock()?;
        self.append(MAGIC)?;
        self.append_record(&Record::Begin(Box::new(Cow::Borrowed(header))))
    }

    /// Syncs the results that the run begins with, if there are any.
    fn sync_earlier(&mut self) -> io::Result<()> {
        if self.dirty
            && self.broken.is_none()
            && let Err(e) = self.file.sync_data()
        {
            self.give_up(&e);
        }
        match self.broken.take() {
            None => Ok(()),
            Some(why) => Err(io::Error::other(why)),
        }
    }

    fn new(path: PathBuf, file: File, secrets: &[Secret], spool: &Arc<Spool>) -> Journal {
        Journal {
            place: None,
            path,
            file,
            secrets: SecretIndex::new(secrets),
            spool: spool.clone(),
            checksum: 0,
            length: 0,
            allocated: 0,
            dirty: false,
            fresh: None,
            broken: None,
            unrecorded: Vec::new(),
            unsynced: Vec::new(),
            recorded: RecordedRun::new(secrets, spool),
            torn: false,
            pretends: false,
        }
    }

    /// Opens and locks the journal of a run that has ended, to resume it.
    ///
    /// # Errors
    /// That it is in use or damaged. It is unchanged then.
    pub fn open(
        place: &NamedFile,
        secrets: &[Secret],
        spool: &Arc<Spool>,
    ) -> Result<Journal, JournalError> {
        let file = place.open(OpenMode::Change).map_err(unusable)?;
        take_lock(&file).map_err(|e| match e {
            TryLockError::WouldBlock => JournalError::Active,
            TryLockError::Error(e) => unusable(e),
        })?;
        // A newer run can have ended it between the opening and the lock.
        if file.metadata().map_err(unusable)?.nlink() == 0 {
            return Err(unusable(io::ErrorKind::NotFound.into()));
        }
        Journal::read(place, file, secrets, spool)
    }

    /// Reads the journal for a walk that only finds out what is left to do: nothing is
    /// written, and no lock is taken.
    ///
    /// # Errors
    /// That it is damaged.
    pub fn look(
        place: &NamedFile,
        secrets: &[Secret],
        spool: &Arc<Spool>,
    ) -> Result<Journal, JournalError> {
        let file = place.open(OpenMode::Read).map_err(unusable)?;
        let mut journal = Journal::read(place, file, secrets, spool)?;
        journal.pretends = true;
        Ok(journal)
    }

    /// A journal that is in memory only, for a walk that only finds out what a new run
    /// would do.
    ///
    /// # Errors
    /// That `/dev/null` cannot be opened.
    pub fn pretended(spool: &Arc<Spool>) -> io::Result<Journal> {
        let path = PathBuf::from("/dev/null");
        let file = File::open(&path)?;
        let mut journal = Journal::new(path, file, &[], spool);
        journal.pretends = true;
        Ok(journal)
    }

    fn read(
        place: &NamedFile,
        mut file: File,
        secrets: &[Secret],
        spool: &Arc<Spool>,
    ) -> Result<Journal, JournalError> {
        let mut bytes = Vec::new();
        read_rest(&mut file, &mut bytes).map_err(unusable)?;
        bytes.truncate(frame::written(&bytes).len());
        // Before a result is decoded: dropping it would remove its output's file.
        spool.keep();
        let mut recorded = RecordedRun::new(secrets, spool);
        let scanned = scan(&bytes, Some(secrets), |record, range| {
            recorded.add(record, range)
        })?;
        bytes.truncate(scanned.length);
        recorded.bytes = bytes;
        recorded.remember();
        let mut journal = Journal::new(place.path(), file, secrets, spool);
        journal.place = Some(place.clone());
        journal.checksum = scanned.checksum;
        journal.length = scanned.length as u64;
        journal.torn = scanned.torn;
        journal.recorded = recorded;
        Ok(journal)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Prepares to go on with the run: cuts off a torn record, and says what the run
    /// does again.
    ///
    /// # Errors
    /// That the file cannot be changed.
    pub fn prepare(&mut self, way: Continuation) -> io::Result<()> {
        if !self.pretends {
            self.free_preallocated()?;
        }
        match way {
            Continuation::FinishOnly => {}
            Continuation::Resume => self.cut_off_the_end()?,
            Continuation::Rewalk => {
                self.append_unless_pretended(&Record::Rewalk)?;
                self.recorded.rewalk();
            }
        }
        self.recorded.remember();
        match self.pretends {
            true => Ok(()),
            false => self.file.sync_data(),
        }
    }

    /// Takes back the end of a flow that had stopped, and its final tasks: what these may
    /// have undone is due to be repeated.
    fn cut_off_the_end(&mut self) -> io::Result<()> {
        let flow = self.recorded.flow.as_ref();
        let Some(flow) = flow.filter(|f| f.how == FlowStop::Stopped) else {
            return Ok(());
        };
        let (turn, finals) = (flow.turn, self.recorded.finals());
        self.recorded.cut(turn);
        // Written first: without the end of the flow nobody would know of the final tasks.
        if !finals.is_empty() {
            let turn = self.recorded.next_turn_to_run();
            let due = RepeatDue { turn, finals };
            self.append_unless_pretended(&Record::Repeat(due.clone()))?;
            self.recorded.begin_repeating(due);
        }
        self.append_unless_pretended(&Record::Cut(turn))
    }

    fn append_unless_pretended(&mut self, record: &Record<&TaskResult>) -> io::Result<()> {
        match self.pretends {
            true => Ok(()),
            false => self.append_record(record),
        }
    }

    /// Records that the task has this result before that turn, without having run in one.
    pub fn add_kept(&mut self, turn: u64, task: u32, result: &TaskResult) {
        self.sync_outputs(result);
        let kept = KeptResult { turn, task, result };
        self.write(&Record::Kept(kept), Some(format!("task {task}")));
        for member in &result.members {
            self.sync_outputs(&member.result);
            let member = KeptMember {
                turn,
                task,
                name: member.name.as_str().into(),
                left_out: member.left_out,
                result: &member.result,
            };
            self.write(&Record::Member(member), None);
        }
        self.recorded.keep(turn, task, result.clone());
    }

    /// Records that final tasks had run, so that tasks with `on_resume=repeat` are due
    /// before the first turn.
    pub fn add_repeat(&mut self, finals: Vec<u32>) {
        let due = RepeatDue { turn: 1, finals };
        self.write(&Record::Repeat(due.clone()), None);
        self.recorded.begin_repeating(due);
    }

    /// Writes at the end, and preallocates space if there is none. If that fails,
    /// the write itself reports why.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.length + bytes.len() as u64;
        let zeros = || vec![0; PREALLOCATED];
        if end > self.allocated
            && bytes.len() < PREALLOCATED
            && self.file.write_all_at(&zeros(), self.length).is_ok()
        {
            self.allocated = self.length + PREALLOCATED as u64;
        }
        self.file.write_all_at(bytes, self.length)?;
        self.length = end;
        self.allocated = self.allocated.max(end);
        Ok(())
    }

    fn append_record(&mut self, record: &Record<&TaskResult>) -> io::Result<()> {
        let (bytes, checksum) = frame::encode(&record.encode(&self.secrets), self.checksum);
        self.append(&bytes)?;
        self.checksum = checksum;
        Ok(())
    }

    fn free_preallocated(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.allocated = self.length;
        Ok(())
    }

    /// Writes a record; `what` is reported as unrecorded if it does not reach the
    /// disk.
    fn write(&mut self, record: &Record<&TaskResult>, what: Option<String>) {
        if self.pretends {
            return;
        }
        if self.broken.is_some() {
            self.unrecorded.extend(what);
            return;
        }
        self.unsynced.extend(what);
        match self.append_record(record) {
            Ok(()) => self.dirty = true,
            Err(e) => self.give_up(&e),
        }
    }

    /// Writes a record for `--status`. If it cannot be written it is left out: that
    /// is no reason to end a run.
    fn note(&mut self, record: &Record<&TaskResult>) {
        if self.pretends || self.broken.is_some() {
            return;
        }
        // If a part of it stayed, the next records could not be read.
        if self.append_record(record).is_err()
            && let Err(e) = self.free_preallocated()
        {
            self.give_up(&e);
        }
    }

    /// Records that this process runs the run from here on: how many tasks the file
    /// has, the log, and the command line that goes on with the run, in two parts: an
    /// option is between them; and the project, if it has one.
    pub fn note_run(&mut self, tasks: usize, log: &Path, line: (&str, &str), project: &str) {
        let absolute = std::path::absolute(log).unwrap_or_else(|_| log.to_path_buf());
        self.note(&Record::Run(RunProcess {
            pid: std::process::id(),
            since: SystemTime::now(),
            tasks,
            log: absolute.as_os_str().as_encoded_bytes().into(),
            before_option: line.0.into(),
            after_option: line.1.into(),
            pid_space: PidSpace::own()
                .map_or_else(String::new, |s| s.to_string())
                .into(),
            project: project.into(),
        }));
    }

    /// Notes how to continue the run, as its end says.
    pub fn note_advice(&mut self, line: &str, words: &[String]) {
        let words = words.iter().map(|words| words.as_str().into());
        self.note(&Record::Advice(AdviceNote {
            line: line.into(),
            words: words.collect(),
        }));
    }

    /// `step` is the turn and the task's id; `kept` of the subtasks had succeeded
    /// when the block was begun before.
    pub fn note_open(&mut self, step: (u64, u32), total: usize, kept: usize, title: &str) {
        self.note(&Record::Open(BlockStart {
            turn: step.0,
            task: step.1,
            total,
            kept,
            title: title.into(),
            since: SystemTime::now(),
        }));
    }

    /// A command is about to start.
    pub fn note_start(&mut self, step: (u64, u32), about: &About, connects: bool) {
        self.note(&Record::Start(CommandStart {
            turn: step.0,
            task: step.1,
            label: about.label.into(),
            host: about.host.into(),
            title: about.title.into(),
            is_member: about.in_block,
            connects,
            since: SystemTime::now(),
        }));
    }

    pub fn note_left(&mut self, step: (u64, u32), label: &str) {
        self.note(&Record::Left(LeftCommand {
            turn: step.0,
            task: step.1,
            label: label.into(),
        }));
    }

    /// Syncs a new journal and its name while the first command runs, so that its result
    /// only has to wait for its own record.
    pub fn sync_new(&mut self) {
        if self.fresh.is_some() && !self.pretends {
            self.dirty = true;
            self.sync();
        }
    }

    /// Records that the block of this turn begins on these hosts, and runs on them also if
    /// it is resumed.
    pub fn add_hosts(&mut self, turn: u64, hosts: &[String]) {
        let hosts = hosts.iter().map(|host| host.as_str().into()).collect();
        self.write(&Record::Hosts(HostsBegun { turn, hosts }), None);
    }

    /// An attempt of the subtask ended, and it waits for the next one.
    pub fn note_again(&mut self, step: (u64, u32), name: &str) {
        self.note(&Record::Again(RetryWait {
            turn: step.0,
            task: step.1,
            name: name.into(),
            since: SystemTime::now(),
        }));
    }

    fn give_up(&mut self, e: &io::Error) {
        let (path, why) = (self.path.display(), reason(e));
        self.broken = Some(format!("cannot write the journal `{path}`: {why}"));
        self.unrecorded.append(&mut self.unsynced);
    }

    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Why nothing can be written any more.
    pub fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// Syncs what was written.
    pub fn sync(&mut self) {
        if !std::mem::take(&mut self.dirty) || self.broken.is_some() {
            return;
        }
        match self.file.sync_data().and_then(|()| self.sync_name()) {
            Ok(()) => self.unsynced.clear(),
            Err(e) => self.give_up(&e),
        }
    }

    /// Its name must survive a power cut as well.
    fn sync_name(&mut self) -> io::Result<()> {
        if let Some(number) = self.fresh.take()
            && let Some(place) = &self.place
        {
            number.sync_data()?;
            place.directory.sync()?;
        }
        Ok(())
    }

    /// Outputs in files must be on the disk before the record that refers to them.
    fn sync_outputs(&mut self, result: &TaskResult) {
        for stream in [&result.stdout, &result.stderr] {
            if let Err(e) = stream.sync()
                && self.broken.is_none()
            {
                self.give_up(&e);
            }
        }
    }

    /// Adds the record of a task that is not a block. `step` is the turn and the task's id.
    pub fn add_task(&mut self, step: (u64, u32), at: Position, refused: bool, result: &TaskResult) {
        let (turn, task) = step;
        self.sync_outputs(result);
        let record = Record::Done(TaskDone {
            turn,
            task,
            iteration: at.iteration,
            attempt: at.attempt,
            refused,
            result,
        });
        self.write(&record, Some(format!("task {task}: {}", result.outcome)));
    }

    pub fn add_subtask(
        &mut self,
        turn: u64,
        task: u32,
        name: &str,
        label: &str,
        result: &TaskResult,
    ) {
        self.sync_outputs(result);
        let what = format!("task {label} ({name}): {}", result.outcome);
        let record = Record::Sub(SubtaskDone {
            turn,
            name: name.into(),
            task,
            result,
        });
        self.write(&record, Some(what));
    }

    pub fn add_block(&mut self, turn: u64, task: u32, last: u64, result: &TaskResult) {
        let members = result.members.iter().map(|m| m.name.as_str().into());
        let left_out = result.left_out().map(|m| m.name.as_str().into());
        let record = Record::Block(BlockDone {
            turn,
            task,
            last,
            result,
            members: members.collect(),
            left_out: left_out.collect(),
        });
        self.write(&record, Some(format!("block {task}: {}", result.outcome)));
    }

    /// Not synced by itself. If final tasks follow, the first result does that; what
    /// precedes this record is on the disk already, and says the same.
    pub fn add_flow_end(&mut self, flow: &FlowEnd) {
        self.write(&Record::Flow(flow.clone()), None);
    }

    /// `kept`: the journal is not removed next.
    pub fn add_over(&mut self, kept: bool) {
        self.write(&Record::Over, None);
        if kept {
            self.sync();
        }
        self.recorded.over = true;
    }

    /// Removes the outputs that it refers to: the run is over, and nobody resumes
    /// it.
    pub fn release_outputs(&self) {
        self.spool.clear();
    }

    /// Whether somebody has removed the file: nobody can go on with the run.
    pub fn is_gone(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        !self.pretends && self.file.metadata().is_ok_and(|about| about.nlink() == 0)
    }

    /// Removes the file: the run does not need it any more. `release_outputs` comes
    /// afterwards; a journal without its outputs could not be resumed.
    pub fn remove(&mut self) -> io::Result<()> {
        if let Some(place) = self.place.as_ref().filter(|_| !self.is_gone()) {
            place.remove()?;
        }
        // A file without a name can keep its space; to cut it off costs a sync.
        self.allocated = self.length;
        Ok(())
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if !self.pretends && self.allocated > self.length {
            // Space that stays does no harm.
            let _ = self.free_preallocated();
        }
    }
}

fn unusable(e: io::Error) -> JournalError {
    JournalError::Unusable(reason(&e))
}

/// Takes the lock of a run that has ended. `--status` holds it for a moment, so it
/// is tried several times before the run is called alive.
fn take_lock(file: &File) -> Result<(), TryLockError> {
    for _ in 0..3 {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
            taken => return taken,
        }
    }
    file.try_lock()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::directory::Directory;

    #[test]
    fn no_journal_takes_the_place_of_another() {
        let directory = std::env::temp_dir().join(format!("tasker-id-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let place = NamedFile {
            directory: Directory::at(&directory).expect("a directory"),
            name: "R.journal".into(),
        };
        let spool = Spool::in_directory("/nowhere");
        let create = |machine: &str| {
            let header = Header {
                run_id: "R".into(),
                machine: machine.into(),
                ..Header::default()
            };
            let number = File::open("/dev/null").expect("a file");
            Journal::create(&place, &header, number, &[], &spool, &|_| Ok(()))
        };
        let first = create("one").map(drop);
        let second = create("other").map(drop);
        let left = std::fs::read_dir(&directory).map(Iterator::count);
        let kept = header(&place).map(|header| header.machine);
        std::fs::remove_dir_all(&directory).expect("it can be removed");
        assert!(first.is_ok() && second.is_err(), "{first:?} {second:?}");
        assert_eq!((kept, left.ok()), (Ok("one".into()), Some(1)));
    }
}
