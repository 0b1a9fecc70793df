//! The journal: what a run has done, kept so that nothing can lose it (SPEC §6.4).
//!
//! One file a run, to which records are only ever added. Its first line is `MAGIC`;
//! then come records (`run::record` has their form). A record is written as soon as
//! there is something to say, and synced before the flow moves on; into room that
//! was made before, for a sync is cheap where the file does not grow: then there
//! are bytes to write and nothing for the file system to record. A journal that is
//! closed has no room left. The kinds:
//!
//! ```text
//! begin  VERSION RUN BEGAN FILE SHA256 START POLICY LIMIT EXCLUDE LINES NAME=HASH...
//! done   TURN TASK ITERATION ATTEMPT REFUSED RESULT  a task that is no block has run once
//! sub    TURN NAME TASK RESULT                   a subtask of a parallel block is over
//! block  TURN TASK LAST RESULT MEMBERS LEFT_OUT  a block is over
//! flow   TURN EXIT HOW TASK                      the flow ended; the final tasks come
//! over                                           they have run
//! cut    TURN                                    records from this turn on are void
//! ```
//!
//! Others only tell `--status` what is under way (`run::snapshot` reads them). They
//! restore nothing, are no turns, and are written but not synced for their own sake,
//! save the first `start`, with which a new journal comes to the disk:
//!
//! ```text
//! run    PID WHEN TASKS LOG DIRECTORY WORDS      a process runs it from here on
//! open   TURN TASK TOTAL KEPT TITLE WHEN         a parallel block begins
//! start  TURN TASK LABEL HOST TITLE MEMBER WHEN  a command is handed out
//! again  TURN TASK NAME WHEN                     a subtask waits for its next attempt
//! ```
//!
//! **Turns** number what the engine's thread does, block by block and task by
//! task, from 1. Where the flow goes depends on nothing but the file, the globals
//! and the results; so no position is written down. A resumed run walks the same
//! way again with the results of the journal, turn by turn, in no time and
//! without telling, and is where the journal ends in the state that the run was
//! in: loops, retries, handlers, blocks within blocks. A turn whose record is of
//! another task is refused: then this is not the run that wrote it.
//!
//! Rejected: writing down the position. It has a part for each kind of task and
//! each depth of blocks, and every one can be wrong on its own.
#![forbid(unsafe_code)]

use super::capture::Spool;
use super::event::About;
use super::record::{self, Fields, Next, Reader};
use super::result::{Member, TaskResult};
use crate::plan::flow::Position;
use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The first line, with the version of the format.
const MAGIC: &[u8] = b"tasker journal 1\n";

/// How much room is made at a time, in bytes.
const ROOM: usize = 32 << 10;

/// The records that only tell what is under way.
const NOTES: [&str; 4] = ["run", "open", "start", "again"];

/// What a journal begins with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Header {
    pub version: String,
    pub run_id: String,
    /// Nanoseconds since 1970, to tell the newest.
    pub began: u64,
    /// The task file's real path.
    pub file: String,
    pub sha256: String,
    /// The id of the task that the run began at.
    pub start: u32,
    /// The options about failures that nothing handles.
    pub policy: String,
    /// The hosts of `--limit` and `--exclude`, by commas; `-` without a limit.
    pub limit: String,
    pub exclude: String,
    /// A short keyed hash of each line of the file, to name one that differs.
    pub lines: String,
    /// A keyed hash of each global's value, by name.
    pub globals: Vec<(String, String)>,
}

impl Header {
    /// A header is read before the secrets are known to be the same; it has none.
    fn fields(&self) -> Fields<'static> {
        let mut fields = Fields::new("begin", &[]);
        for text in [&self.version, &self.run_id] {
            fields.number(text);
        }
        fields.number(self.began).add(&self.file);
        fields.number(&self.sha256).number(self.start);
        fields
            .number(&self.policy)
            .add(&self.limit)
            .add(&self.exclude);
        fields.number(&self.lines);
        for (name, hash) in &self.globals {
            fields.number(format_args!("{name}={hash}"));
        }
        fields
    }

    fn read(mut reader: Reader) -> Option<Header> {
        if reader.text()? != "begin" {
            return None;
        }
        let mut header = Header {
            version: reader.text()?,
            run_id: reader.text()?,
            began: reader.number()?,
            file: reader.text()?,
            sha256: reader.text()?,
            start: reader.number()?,
            policy: reader.text()?,
            limit: reader.text()?,
            exclude: reader.text()?,
            lines: reader.text()?,
            globals: Vec::new(),
        };
        while let Some(global) = reader.text() {
            let (name, hash) = global.split_once('=')?;
            header.globals.push((name.into(), hash.into()));
        }
        Some(header)
    }
}

/// How the flow of a run ended, as far as going on is concerned.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowEnd {
    /// The turn that would have been next.
    pub turn: u64,
    pub exit: i32,
    /// It reached its end or a `return`, so that there is nowhere to go on.
    pub complete: bool,
    /// The id of the task it was at.
    pub task: u32,
}

/// A block that was over.
pub struct BlockDone {
    /// The last turn of its tasks.
    pub last: u64,
    pub result: TaskResult,
}

/// Why a journal cannot be used.
#[derive(Debug, PartialEq)]
pub enum Problem {
    /// The run that writes it is alive.
    Active,
    /// It broke off before it said anything, so nothing had been run.
    Empty,
    Unusable(String),
}

/// What a journal held when it was opened.
#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    done: HashMap<u64, Range<usize>>,
    subs: HashMap<u64, Vec<(String, Range<usize>)>>,
    blocks: HashMap<u64, Range<usize>>,
    flow: Option<FlowEnd>,
    over: bool,
    /// The last turn that it has a record of.
    last: u64,
    count: usize,
}

pub struct Journal {
    path: PathBuf,
    file: File,
    secrets: Vec<Vec<u8>>,
    spool: Arc<Spool>,
    checksum: u32,
    /// The length of what is written, and of the file.
    length: u64,
    room: u64,
    dirty: bool,
    /// Whether its name may not be on the disk yet.
    fresh: bool,
    /// Why nothing can be written any more.
    broken: Option<String>,
    /// What was done and is not recorded for that.
    pub unrecorded: Vec<String>,
    /// What was written since the last sync, in case it fails.
    unsynced: Vec<String>,
    kept: Kept,
    /// It stopped in the middle of a record, which was cut off.
    pub torn: bool,
    /// An output that was kept in a file is gone or not as it was.
    pub missing: bool,
    pretends: bool,
}

/// Reads what the journal begins with, without taking it.
pub fn header(path: &Path) -> Result<Header, Problem> {
    let bytes = std::fs::read(path).map_err(|e| Problem::Unusable(e.to_string()))?;
    first(record::written(&bytes)).map(|(header, ..)| header)
}

/// The header, where the next record begins, and the checksum so far.
pub(super) fn first(bytes: &[u8]) -> Result<(Header, usize, u32), Problem> {
    let unusable = |why: &str| Err(Problem::Unusable(why.into()));
    if bytes.len() < MAGIC.len() && MAGIC.starts_with(bytes) {
        return Err(Problem::Empty);
    }
    if !bytes.starts_with(MAGIC) {
        return unusable("it is no journal of this version of tasker");
    }
    match record::next(bytes, MAGIC.len(), 0) {
        Next::Record(range, checksum) => {
            let end = range.end + 1;
            match Header::read(Reader::new(&bytes[range], &[])) {
                Some(header) => Ok((header, end, checksum)),
                None => unusable("its first record cannot be understood"),
            }
        }
        Next::Torn | Next::End => Err(Problem::Empty),
        Next::Corrupt => unusable("its first record is damaged"),
    }
}

impl Journal {
    /// A new journal, locked. It comes to the disk with the first command: until
    /// then it holds nothing that could be lost.
    ///
    /// # Errors
    /// That it cannot be written.
    pub fn create(
        path: &Path,
        header: &Header,
        secrets: &[Vec<u8>],
        spool: &Arc<Spool>,
    ) -> io::Result<Journal> {
        // It gets its name when it says whose it is.
        let unnamed = path.with_extension("journal.new");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&unnamed)?;
        file.lock()?;
        let mut journal = Journal::of(path, file, secrets, spool);
        let (bytes, checksum) = record::frame(&header.fields().bytes, 0);
        journal.file.set_len(0)?;
        journal.append(&[MAGIC, &bytes].concat())?;
        journal.checksum = checksum;
        std::fs::rename(unnamed, path)?;
        spool.keep();
        Ok(journal)
    }

    fn of(path: &Path, file: File, secrets: &[Vec<u8>], spool: &Arc<Spool>) -> Journal {
        Journal {
            path: path.to_path_buf(),
            file,
            secrets: secrets.to_vec(),
            spool: spool.clone(),
            checksum: 0,
            length: 0,
            room: 0,
            dirty: false,
            fresh: true,
            broken: None,
            unrecorded: Vec::new(),
            unsynced: Vec::new(),
            kept: Kept::default(),
            torn: false,
            missing: false,
            pretends: false,
        }
    }

    /// Takes the journal of a run that has ended, to go on with it.
    ///
    /// # Errors
    /// That it is in use or damaged. Nothing is changed then.
    pub fn open(
        path: &Path,
        secrets: &[Vec<u8>],
        spool: &Arc<Spool>,
    ) -> Result<(Header, Journal), Problem> {
        let unusable = |e: io::Error| Problem::Unusable(e.to_string());
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(unusable)?;
        take_lock(&file).map_err(|e| match e {
            TryLockError::WouldBlock => Problem::Active,
            TryLockError::Error(e) => unusable(e),
        })?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(unusable)?;
        bytes.truncate(record::written(&bytes).len());
        let (header, at, checksum) = first(&bytes)?;
        // Before an output is looked at, whose end would else be that of its file.
        spool.keep();
        let mut journal = Journal::of(path, file, secrets, spool);
        journal.checksum = checksum;
        journal.kept.bytes = bytes;
        journal.index(at)?;
        Ok((header, journal))
    }

    /// Finds all records. They are decoded here once, so that none is found to be
    /// unusable in the middle of a run.
    fn index(&mut self, mut at: usize) -> Result<(), Problem> {
        let bytes = std::mem::take(&mut self.kept.bytes);
        loop {
            match record::next(&bytes, at, self.checksum) {
                Next::Record(range, checksum) => {
                    let number = self.kept.count + 2;
                    let fields = &bytes[range.clone()];
                    if self.take_in(fields, &range).is_none() {
                        let why = format!("its record {number} is of another version");
                        return Err(Problem::Unusable(why));
                    }
                    self.kept.count += 1;
                    self.checksum = checksum;
                    at = range.end + 1;
                }
                Next::End => break,
                Next::Torn => {
                    self.torn = true;
                    break;
                }
                Next::Corrupt => {
                    let why = format!("its record {} is damaged", self.kept.count + 2);
                    return Err(Problem::Unusable(why));
                }
            }
        }
        self.kept.bytes = bytes;
        self.kept.bytes.truncate(at);
        self.length = at as u64;
        Ok(())
    }

    /// Notes where a record is; nothing where it cannot be understood.
    fn take_in(&mut self, fields: &[u8], range: &Range<usize>) -> Option<()> {
        let (spool, secrets) = (self.spool.clone(), self.secrets.clone());
        let mut reader = Reader::new(fields, &secrets);
        let kind = reader.text()?;
        let kept = &mut self.kept;
        if kind == "over" {
            kept.over = true;
            return Some(());
        }
        if NOTES.contains(&kind.as_str()) {
            return Some(());
        }
        let turn = reader.turn()?;
        match kind.as_str() {
            "done" => {
                let _: (u32, u32, u32) = (reader.number()?, reader.number()?, reader.number()?);
                let _: bool = reader.number()?;
                reader.result(&spool)?;
                kept.done.insert(turn, range.clone());
            }
            "sub" => {
                let name = reader.text()?;
                let _: u32 = reader.number()?;
                reader.result(&spool)?;
                let subs = kept.subs.entry(turn).or_default();
                subs.push((name, range.clone()));
            }
            "block" => {
                let _: u32 = reader.number()?;
                let last = reader.turn().filter(|last| *last >= turn)?;
                reader.result(&spool)?;
                kept.blocks.insert(turn, range.clone());
                kept.last = kept.last.max(last);
            }
            "flow" => {
                kept.flow = Some(FlowEnd {
                    turn,
                    exit: reader.number()?,
                    complete: reader.text()? == "complete",
                    task: reader.number()?,
                });
                return Some(());
            }
            "cut" => {
                kept.cut(turn);
                return Some(());
            }
            _ => return None,
        }
        kept.last = kept.last.max(turn);
        self.missing |= reader.missing;
        Some(())
    }

    // What it holds.

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How the flow ended, where it did.
    pub fn flow(&self) -> Option<&FlowEnd> {
        self.kept.flow.as_ref()
    }

    /// Whether the final tasks have run as well.
    pub fn is_over(&self) -> bool {
        self.kept.over
    }

    /// The last turn that is recorded; 0 for a new journal.
    pub fn last(&self) -> u64 {
        self.kept.last
    }

    /// Whether the turn is recorded to its end.
    pub fn has(&self, turn: u64) -> bool {
        self.kept.done.contains_key(&turn) || self.kept.blocks.contains_key(&turn)
    }

    /// The recorded task of a turn.
    ///
    /// # Errors
    /// That this turn was another task's.
    pub fn done(
        &self,
        turn: u64,
        id: u32,
        at: Position,
    ) -> Result<Option<(TaskResult, bool)>, String> {
        let Some(range) = self.kept.done.get(&turn) else {
            return match self.kept.last > turn || self.kept.blocks.contains_key(&turn) {
                true => Err(format!("step {turn} is not task {id} there")),
                false => Ok(None),
            };
        };
        let mut reader = self.reader(range);
        let found = (|| {
            reader.text()?;
            let _: u64 = reader.number()?;
            let place: (u32, u32, u32) = (reader.number()?, reader.number()?, reader.number()?);
            let refused: bool = reader.number()?;
            Some((place, (reader.result(&self.spool)?, refused)))
        })();
        match found {
            Some((place, done)) if place == (id, at.iteration, at.attempt) => Ok(Some(done)),
            Some(((other, ..), _)) => Err(format!(
                "step {turn} is task {other} there and task {id} now"
            )),
            None => Err(format!("step {turn} cannot be read")),
        }
    }

    /// The tasks that were done in these turns.
    pub fn done_in(&self, turns: Range<u64>) -> Vec<(u32, TaskResult)> {
        let mut found: Vec<(&u64, &Range<usize>)> = self
            .kept
            .done
            .iter()
            .filter(|(t, _)| turns.contains(t))
            .collect();
        found.sort_unstable_by_key(|(turn, _)| **turn);
        let read = |range: &Range<usize>| {
            let mut reader = self.reader(range);
            reader.text()?;
            let _: u64 = reader.number()?;
            let (id, _, _): (u32, u32, u32) =
                (reader.number()?, reader.number()?, reader.number()?);
            let _: bool = reader.number()?;
            Some((id, reader.result(&self.spool)?))
        };
        found.iter().filter_map(|(_, r)| read(r)).collect()
    }

    /// The subtasks that were over in the block of that turn, with their tasks.
    pub fn subs(&self, turn: u64) -> Vec<(String, u32, TaskResult)> {
        let subs = self.kept.subs.get(&turn).map_or(&[][..], Vec::as_slice);
        let read = |(name, range): &(String, Range<usize>)| {
            let mut reader = self.reader(range);
            reader.text()?;
            let _: u64 = reader.number()?;
            reader.text()?;
            let id = reader.number()?;
            Some((name.clone(), id, reader.result(&self.spool)?))
        };
        subs.iter().filter_map(read).collect()
    }

    /// The turns of parallel blocks that have subtasks.
    pub fn turns_with_subs(&self) -> Vec<u64> {
        let mut turns: Vec<u64> = self.kept.subs.keys().copied().collect();
        turns.sort_unstable();
        turns
    }

    /// The block that was over in that turn, with the members that it names.
    ///
    /// # Errors
    /// That this turn was another task's.
    pub fn block(&self, turn: u64, id: u32) -> Result<Option<BlockDone>, String> {
        let Some(range) = self.kept.blocks.get(&turn) else {
            return match self.kept.done.contains_key(&turn) {
                true => Err(format!("step {turn} is not block {id} there")),
                false => Ok(None),
            };
        };
        let mut reader = self.reader(range);
        let found = (|| {
            reader.text()?;
            let _: u64 = reader.number()?;
            let other: u32 = reader.number()?;
            let last = reader.number()?;
            let mut result = reader.result(&self.spool)?;
            let members: usize = reader.number()?;
            let names: Option<Vec<String>> = (0..members).map(|_| reader.text()).collect();
            while let Some(name) = reader.text() {
                result.left_out.push(name);
            }
            Some((other, names?, BlockDone { last, result }))
        })();
        let Some((other, names, mut done)) = found else {
            return Err(format!("step {turn} cannot be read"));
        };
        if other != id {
            return Err(format!(
                "step {turn} is block {other} there and block {id} now"
            ));
        }
        let mut latest: HashMap<String, TaskResult> = HashMap::new();
        for (name, _, result) in self.subs(turn) {
            latest.insert(name, result);
        }
        done.result.members = names
            .into_iter()
            .filter_map(|name| latest.remove(&name).map(|result| Member { name, result }))
            .collect();
        Ok(Some(done))
    }

    fn reader(&self, range: &Range<usize>) -> Reader<'_> {
        let fields = self.kept.bytes.get(range.clone()).unwrap_or_default();
        Reader::new(fields, &self.secrets)
    }

    // Writing.

    /// Makes ready to go on: cuts off what is torn, and what the flow must do
    /// again or has not come to.
    ///
    /// # Errors
    /// That the file cannot be changed.
    pub fn go_on(&mut self, finish_only: bool) -> io::Result<()> {
        self.give_room_back()?;
        let stopped = self.kept.flow.clone().filter(|f| !f.complete);
        if let Some(flow) = stopped.filter(|_| !finish_only) {
            let mut fields = Fields::new("cut", &[]);
            fields.number(flow.turn);
            let (bytes, checksum) = record::frame(&fields.bytes, self.checksum);
            self.append(&bytes)?;
            self.checksum = checksum;
            self.kept.cut(flow.turn);
        }
        self.file.sync_data()
    }

    /// Like `go_on`, but nothing is written from now on: a walk to see what there
    /// is to do.
    pub fn pretend(&mut self, finish_only: bool) {
        self.pretends = true;
        let stopped = self.kept.flow.clone().filter(|f| !f.complete);
        if let Some(flow) = stopped.filter(|_| !finish_only) {
            self.kept.cut(flow.turn);
        }
    }

    /// Writes after what is written, and makes room first where there is none. Where
    /// none can be made the write itself will tell why.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.length + bytes.len() as u64;
        if end > self.room
            && bytes.len() < ROOM
            && self.file.write_all_at(&vec![0; ROOM], self.length).is_ok()
        {
            self.room = self.length + ROOM as u64;
        }
        self.file.write_all_at(bytes, self.length)?;
        self.length = end;
        self.room = self.room.max(end);
        Ok(())
    }

    /// Makes the file end with what is written.
    fn give_room_back(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.room = self.length;
        Ok(())
    }

    /// Writes one record; `what` is named should it not come to the disk.
    fn write(&mut self, fields: Vec<u8>, what: String) {
        if self.pretends {
            return;
        }
        let named = !what.is_empty();
        if self.broken.is_some() {
            self.unrecorded.extend(named.then_some(what));
            return;
        }
        let (bytes, checksum) = record::frame(&fields, self.checksum);
        self.unsynced.extend(named.then_some(what));
        match self.append(&bytes) {
            Ok(()) => {
                self.checksum = checksum;
                self.dirty = true;
            }
            Err(e) => self.give_up(&e),
        }
    }

    /// Writes a record that only tells what is under way. One that cannot be
    /// written is left out: no run ends for it.
    fn note(&mut self, kind: &str, fill: impl FnOnce(&mut Fields)) {
        if self.pretends || self.broken.is_some() {
            return;
        }
        let secrets = std::mem::take(&mut self.secrets);
        let mut fields = Fields::new(kind, &secrets);
        fill(&mut fields);
        let (bytes, checksum) = record::frame(&fields.bytes, self.checksum);
        self.secrets = secrets;
        if self.append(&bytes).is_ok() {
            self.checksum = checksum;
        } else if let Err(e) = self.give_room_back() {
            // A part of it that stays would spoil what comes after.
            self.give_up(&e);
        }
    }

    /// Tells that this process runs it from here on: the number of the file's
    /// tasks, the log, and the words of a command line that goes on.
    pub fn note_run(&mut self, tasks: usize, log: &Path, words: &str) {
        let absolute = std::path::absolute(log).unwrap_or_else(|_| log.to_path_buf());
        let directory = std::env::current_dir().unwrap_or_default();
        self.note("run", |fields| {
            fields.number(std::process::id()).number(now());
            fields.number(tasks);
            fields.add(absolute.as_os_str().as_encoded_bytes());
            fields.add(directory.as_os_str().as_encoded_bytes());
            fields.add(words);
        });
    }

    /// `step` is the turn and the task's id; of its subtasks `kept` were over
    /// when the block was begun before.
    pub fn note_open(&mut self, step: (u64, u32), total: usize, kept: usize, title: &str) {
        self.note("open", |fields| {
            fields.number(step.0).number(step.1).number(total);
            fields.number(kept).add(title).number(now());
        });
    }

    /// A command was handed out; for a block's subtask `about` says so. While the
    /// first one runs, a new journal and its name come to the disk, so that its
    /// result has to wait for no more than its own record.
    pub fn note_start(&mut self, step: (u64, u32), about: &About) {
        self.note("start", |fields| {
            fields.number(step.0).number(step.1).add(about.label);
            fields.add(about.host).add(about.title);
            fields.number(about.in_block).number(now());
        });
        if self.fresh && !self.pretends {
            self.dirty = true;
            self.sync();
        }
    }

    /// The subtask's attempt is over, and the next one waits for its time.
    pub fn note_again(&mut self, step: (u64, u32), name: &str) {
        self.note("again", |fields| {
            fields.number(step.0).number(step.1).add(name).number(now());
        });
    }

    fn give_up(&mut self, e: &io::Error) {
        let why = format!("cannot write the journal `{}`: {e}", self.path.display());
        self.broken = Some(why);
        self.unrecorded.append(&mut self.unsynced);
    }

    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Why it cannot be written any more.
    pub fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// Brings what was written to the disk.
    pub fn sync(&mut self) {
        if !std::mem::take(&mut self.dirty) || self.broken.is_some() {
            return;
        }
        match self.file.sync_data().and_then(|()| self.sync_name()) {
            Ok(()) => self.unsynced.clear(),
            Err(e) => self.give_up(&e),
        }
    }

    /// Its name must outlive a power cut as well.
    fn sync_name(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.fresh)
            && let Some(directory) = self.path.parent()
        {
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    }

    /// Outputs in files must be on the disk before the record that names them.
    fn sync_outputs(&mut self, result: &TaskResult) {
        for stream in [&result.stdout, &result.stderr] {
            if let Err(e) = stream.sync()
                && self.broken.is_none()
            {
                self.give_up(&e);
            }
        }
    }

    /// `step` is the turn and the task's id.
    pub fn add_done(&mut self, step: (u64, u32), at: Position, refused: bool, result: &TaskResult) {
        let (turn, id) = step;
        self.sync_outputs(result);
        let secrets = std::mem::take(&mut self.secrets);
        let mut fields = Fields::new("done", &secrets);
        fields.number(turn).number(id).number(at.iteration);
        fields.number(at.attempt).number(refused).result(result);
        let bytes = fields.bytes;
        self.secrets = secrets;
        self.write(bytes, format!("task {id}: {}", result.outcome));
    }

    pub fn add_sub(&mut self, turn: u64, id: u32, name: &str, label: &str, result: &TaskResult) {
        self.sync_outputs(result);
        let secrets = std::mem::take(&mut self.secrets);
        let mut fields = Fields::new("sub", &secrets);
        fields.number(turn).add(name).number(id).result(result);
        let bytes = fields.bytes;
        self.secrets = secrets;
        self.write(bytes, format!("task {label} ({name}): {}", result.outcome));
    }

    pub fn add_block(&mut self, turn: u64, id: u32, last: u64, result: &TaskResult) {
        let secrets = std::mem::take(&mut self.secrets);
        let mut fields = Fields::new("block", &secrets);
        fields.number(turn).number(id).number(last).result(result);
        fields.number(result.members.len());
        for member in &result.members {
            fields.add(&member.name);
        }
        for name in &result.left_out {
            fields.add(name);
        }
        let bytes = fields.bytes;
        self.secrets = secrets;
        self.write(bytes, format!("block {id}: {}", result.outcome));
    }

    /// Where a final task follows, its result brings this to the disk as well; what
    /// comes before it is there already and tells the same.
    pub fn add_flow(&mut self, flow: &FlowEnd) {
        let mut fields = Fields::new("flow", &[]);
        let how = if flow.complete { "complete" } else { "stopped" };
        fields
            .number(flow.turn)
            .number(flow.exit)
            .number(how)
            .number(flow.task);
        let bytes = fields.bytes;
        self.write(bytes, String::new());
    }

    /// `kept` says that the journal is not removed next.
    pub fn add_over(&mut self, kept: bool) {
        self.write(b"over".to_vec(), String::new());
        if kept {
            self.sync();
        }
        self.kept.over = true;
    }

    /// Removes the outputs that it refers to: the run is over, and nobody goes on
    /// with it.
    pub fn release_outputs(&self) {
        self.spool.clear();
    }

    /// Removes it: the run needs it no more. Then `release_outputs` can follow, not
    /// before, for without its outputs it could not be gone on with.
    pub fn remove(&mut self) -> io::Result<()> {
        std::fs::remove_file(&self.path)?;
        // What has no name needs no end: to cut it off costs as much as a sync.
        self.room = self.length;
        Ok(())
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if !self.pretends && self.room > self.length {
            // Room that stays does no harm.
            let _ = self.give_room_back();
        }
    }
}

/// Takes the lock of a run that has ended. Whoever looks on holds it for a moment
/// (`--status`); so it is asked for again before the run is called alive.
fn take_lock(file: &File) -> Result<(), TryLockError> {
    for _ in 0..3 {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
            taken => return taken,
        }
    }
    file.try_lock()
}

/// Nanoseconds since 1970.
fn now() -> u64 {
    record::since_1970(SystemTime::now())
}

impl Kept {
    /// Forgets what came from that turn on.
    fn cut(&mut self, turn: u64) {
        self.done.retain(|t, _| *t < turn);
        self.subs.retain(|t, _| *t < turn);
        self.blocks.retain(|t, _| *t < turn);
        self.flow = None;
        self.over = false;
        self.last = self.last.min(turn - 1);
    }
}
