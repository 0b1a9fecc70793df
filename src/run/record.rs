//! The records of a journal: what each kind holds, and how it is written and read.
//!
//! The only encoder and the only decoder of the format, whose lines `run::frame`
//! lays out. A record's fields are separated by tabs, and the first names its kind. In
//! a field `\t`, `\n`, `\\` and `\0` stand for these bytes, and `\sNAME;` for the secret
//! of that name, which is never written itself. The kinds:
//!
//! ```text
//! begin  ...                                     the header: see `run::header`
//! done   TURN TASK ITERATION ATTEMPT REFUSED RESULT  a task that is not a block ran once
//! sub    TURN NAME TASK RESULT                   a subtask of a parallel block ended
//! block  TURN TASK LAST RESULT MEMBERS LEFT_OUT  a block ended
//! hosts  TURN HOST...                            a block begins on these hosts
//! flow   TURN EXIT HOW TASK                      the flow ended; final tasks follow
//! over                                           the final tasks have run
//! ```
//!
//! What a run that goes on with an earlier one begins with:
//!
//! ```text
//! kept   TURN TASK RESULT                  before that turn the task has this result, of
//!                                          an earlier run or because it was repeated
//! member TURN TASK NAME LEFT_OUT RESULT    the same for its subtask; follows its `kept`
//! repeat TURN FINALS...                    these final tasks had run, so tasks with
//!                                          `on_resume=repeat` run before that turn
//! cut    TURN                              records from this turn on are void
//! rewalk                                   the flow begins once more, and runs only
//!                                          what was not ok (`--keep-going`)
//! ```
//!
//! The others only serve `--status`: they restore nothing, and are not synced for their
//! own sake.
//!
//! ```text
//! run    PID WHEN TASKS LOG BEFORE AFTER         a process runs it from here on; the
//!                                                command line that goes on with it
//! open   TURN TASK TOTAL KEPT TITLE WHEN         a parallel block begins
//! start  TURN TASK LABEL HOST TITLE MEMBER CONNECTS WHEN  a command starts: to connect
//!                                                to its host, and again once that answers
//! left   TURN TASK LABEL                         it was cut short, and may go on
//! again  TURN TASK NAME WHEN                     a subtask waits for its next attempt
//! advice LINE WORDS...                           how to continue, as the end of the run said
//! ```
#![forbid(unsafe_code)]

use super::capture::{Captured, Held, Spool};
use super::fields::{FieldReader, FieldWriter, since_1970};
use super::frame::{self, NextFrame};
use super::header::Header;
use super::result::TaskResult;
use crate::outcome::Outcome;
use crate::task::secret_index::{Secret, SecretIndex};
use crate::text::decimal::nanoseconds;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The first line of a journal, with the version of the format.
pub const MAGIC: &[u8] = b"tasker journal 5\n";

/// How the flow of a run ended, as far as resuming is concerned.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowEnd {
    /// The turn that would have come next.
    pub turn: u64,
    pub exit: i32,
    pub how: FlowStop,
    /// The id of the task it was at.
    pub task: u32,
}

/// How a flow ended, as far as resuming is concerned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FlowStop {
    /// It reached its end or a `return`, so there is nothing to continue.
    Reached,
    /// It can be resumed.
    Stopped,
    /// `--finish-only` closed the run.
    Closed,
}

impl FlowStop {
    const WORDS: [(FlowStop, &'static str); 3] = [
        (FlowStop::Reached, "complete"),
        (FlowStop::Stopped, "stopped"),
        (FlowStop::Closed, "closed"),
    ];
}

/// A process begins or resumes the run.
pub struct RunProcess<'a> {
    pub pid: u32,
    pub since: SystemTime,
    /// How many tasks the file has.
    pub tasks: usize,
    pub log: Cow<'a, [u8]>,
    /// What is before the option of a command line that goes on with the run, from its
    /// `cd` on, and what is behind it.
    pub before_option: Cow<'a, str>,
    pub after_option: Cow<'a, str>,
    /// Where the process id is counted; empty if that is not known, and in older journals.
    pub pid_space: Cow<'a, str>,
    /// Of which project the run is; empty for none, and in older journals.
    pub project: Cow<'a, str>,
}

/// A parallel block begins.
pub struct BlockStart<'a> {
    pub turn: u64,
    pub task: u32,
    pub total: usize,
    /// How many subtasks had succeeded when the block was begun before.
    pub kept: usize,
    pub title: Cow<'a, str>,
    pub since: SystemTime,
}

/// A command starts.
pub struct CommandStart<'a> {
    pub turn: u64,
    pub task: u32,
    /// `5`, `5.2`, `10.3`.
    pub label: Cow<'a, str>,
    pub host: Cow<'a, str>,
    pub title: Cow<'a, str>,
    /// A subtask of a parallel block.
    pub is_member: bool,
    /// It connects to its host, which has not answered.
    pub connects: bool,
    pub since: SystemTime,
}

/// A command was cut short and may go on; its task has no result.
pub struct LeftCommand<'a> {
    pub turn: u64,
    pub task: u32,
    pub label: Cow<'a, str>,
}

/// A subtask waits for its next attempt.
pub struct RetryWait<'a> {
    pub turn: u64,
    pub task: u32,
    pub name: Cow<'a, str>,
    pub since: SystemTime,
}

/// A task that is not a block ran once.
pub struct TaskDone<R> {
    pub turn: u64,
    pub task: u32,
    pub iteration: u32,
    pub attempt: u32,
    pub refused: bool,
    pub result: R,
}

/// A subtask of a parallel block ended.
pub struct SubtaskDone<'a, R> {
    pub turn: u64,
    pub name: Cow<'a, str>,
    pub task: u32,
    pub result: R,
}

/// A block ended.
pub struct BlockDone<'a, R> {
    pub turn: u64,
    pub task: u32,
    /// The last turn of its tasks.
    pub last: u64,
    /// Without its members.
    pub result: R,
    pub members: Vec<Cow<'a, str>>,
    /// Those of the members that the criterion did not count.
    pub left_out: Vec<Cow<'a, str>>,
}

/// A result that a task has before a turn, though it did not run in one.
pub struct KeptResult<R> {
    pub turn: u64,
    pub task: u32,
    /// Without its members, which follow.
    pub result: R,
}

/// A subtask of such a task.
pub struct KeptMember<'a, R> {
    pub turn: u64,
    pub task: u32,
    pub name: Cow<'a, str>,
    pub left_out: bool,
    pub result: R,
}

/// Final tasks had run before the run was resumed.
#[derive(Clone, Debug, PartialEq)]
pub struct RepeatDue {
    /// Before this turn, tasks with `on_resume=repeat` run again.
    pub turn: u64,
    /// The ids of the final tasks.
    pub finals: Vec<u32>,
}

/// The hosts of a block that begins.
pub struct HostsBegun<'a> {
    pub turn: u64,
    pub hosts: Vec<Cow<'a, str>>,
}

/// What the end of the run said about continuing it.
pub struct AdviceNote<'a> {
    /// The command line; empty if there is none.
    pub line: Cow<'a, str>,
    pub words: Vec<Cow<'a, str>>,
}

/// A record. `R` is the type of a result: `&TaskResult` to write one,
/// `EncodedResult` when read.
pub enum Record<'a, R> {
    Begin(Box<Cow<'a, Header>>),
    Run(RunProcess<'a>),
    Open(BlockStart<'a>),
    Start(CommandStart<'a>),
    Left(LeftCommand<'a>),
    Again(RetryWait<'a>),
    Done(TaskDone<R>),
    Sub(SubtaskDone<'a, R>),
    Block(BlockDone<'a, R>),
    Flow(FlowEnd),
    Over,
    /// From this turn on.
    Cut(u64),
    Kept(KeptResult<R>),
    Member(KeptMember<'a, R>),
    Repeat(RepeatDue),
    Rewalk,
    Hosts(HostsBegun<'a>),
    Advice(AdviceNote<'a>),
}

impl Record<'_, &TaskResult> {
    /// The fields as they are written. Each of the secrets is replaced.
    pub fn encode(&self, secrets: &SecretIndex) -> Vec<u8> {
        // A header has no secrets; it is read to find out whether they are the same.
        let none = SecretIndex::default();
        let secrets = match self {
            Record::Begin(_) => &none,
            _ => secrets,
        };
        let mut out = FieldWriter::new(secrets);
        match self {
            Record::Begin(header) => out.kind("begin").header(header),
            Record::Run(r) => {
                out.kind("run").plain(r.pid).time(r.since).plain(r.tasks);
                out.escaped(&r.log)
                    .escaped_text(&r.before_option)
                    .escaped_text(&r.after_option)
                    .escaped_text(&r.pid_space)
                    .escaped_text(&r.project)
            }
            Record::Open(r) => {
                out.kind("open").plain(r.turn).plain(r.task).plain(r.total);
                out.plain(r.kept).escaped_text(&r.title).time(r.since)
            }
            Record::Start(r) => {
                out.kind("start")
                    .plain(r.turn)
                    .plain(r.task)
                    .escaped_text(&r.label);
                out.escaped_text(&r.host).escaped_text(&r.title);
                out.plain(r.is_member).plain(r.connects).time(r.since)
            }
            Record::Left(r) => {
                out.kind("left").plain(r.turn).plain(r.task);
                out.escaped_text(&r.label)
            }
            Record::Again(r) => {
                out.kind("again").plain(r.turn).plain(r.task);
                out.escaped_text(&r.name).time(r.since)
            }
            Record::Done(r) => {
                out.kind("done").plain(r.turn).plain(r.task);
                out.plain(r.iteration).plain(r.attempt).plain(r.refused);
                out.result(r.result)
            }
            Record::Sub(r) => {
                out.kind("sub")
                    .plain(r.turn)
                    .escaped_text(&r.name)
                    .plain(r.task);
                out.result(r.result)
            }
            Record::Block(r) => {
                out.kind("block").plain(r.turn).plain(r.task).plain(r.last);
                out.result(r.result).plain(r.members.len());
                for name in r.members.iter().chain(&r.left_out) {
                    out.escaped_text(name);
                }
                &mut out
            }
            Record::Flow(r) => {
                let word = FlowStop::WORDS.iter().find(|(how, _)| *how == r.how);
                out.kind("flow").plain(r.turn).plain(r.exit);
                out.plain(word.map_or("", |(_, word)| word)).plain(r.task)
            }
            Record::Over => out.kind("over"),
            Record::Cut(turn) => out.kind("cut").plain(turn),
            Record::Kept(r) => {
                out.kind("kept").plain(r.turn).plain(r.task);
                out.result(r.result)
            }
            Record::Member(r) => {
                out.kind("member").plain(r.turn).plain(r.task);
                out.escaped_text(&r.name).plain(r.left_out);
                out.result(r.result)
            }
            Record::Repeat(due) => {
                out.kind("repeat").plain(due.turn);
                for id in &due.finals {
                    out.plain(id);
                }
                &mut out
            }
            Record::Rewalk => out.kind("rewalk"),
            Record::Hosts(r) => {
                out.kind("hosts").plain(r.turn);
                for host in &r.hosts {
                    out.escaped_text(host);
                }
                &mut out
            }
            Record::Advice(r) => {
                out.kind("advice").escaped_text(&r.line);
                for words in &r.words {
                    out.escaped_text(words);
                }
                &mut out
            }
        };
        out.bytes
    }
}

impl<'a> Record<'static, EncodedResult<'a>> {
    /// Reads the fields of a record. If the secrets are not known, `***` replaces
    /// them. `None` if this version of tasker does not write such a record.
    pub fn decode(fields: &'a [u8], secrets: Option<&'a [Secret]>) -> Option<Self> {
        let mut from = FieldReader::new(fields, secrets);
        Some(match from.raw()? {
            b"begin" => Record::Begin(Box::new(Cow::Owned(from.header()?))),
            b"run" => Record::Run(RunProcess {
                pid: from.number()?,
                since: from.time()?,
                tasks: from.number()?,
                log: from.bytes()?.into(),
                before_option: from.lossy()?,
                after_option: from.lossy()?,
                pid_space: from.lossy().unwrap_or_default(),
                project: from.lossy().unwrap_or_default(),
            }),
            b"open" => Record::Open(BlockStart {
                turn: from.turn()?,
                task: from.number()?,
                total: from.number()?,
                kept: from.number()?,
                title: from.lossy()?,
                since: from.time()?,
            }),
            b"start" => Record::Start(CommandStart {
                turn: from.turn()?,
                task: from.number()?,
                label: from.lossy()?,
                host: from.lossy()?,
                title: from.lossy()?,
                is_member: from.number()?,
                connects: from.number()?,
                since: from.time()?,
            }),
            b"left" => Record::Left(LeftCommand {
                turn: from.turn()?,
                task: from.number()?,
                label: from.lossy()?,
            }),
            b"again" => Record::Again(RetryWait {
                turn: from.turn()?,
                task: from.number()?,
                name: from.lossy()?,
                since: from.time()?,
            }),
            b"done" => Record::Done(TaskDone {
                turn: from.turn()?,
                task: from.number()?,
                iteration: from.ordinal()?,
                attempt: from.ordinal()?,
                refused: from.number()?,
                result: from.result()?,
            }),
            b"sub" => Record::Sub(SubtaskDone {
                turn: from.turn()?,
                name: from.lossy()?,
                task: from.number()?,
                result: from.result()?,
            }),
            b"block" => Record::Block(from.block()?),
            b"flow" => Record::Flow(FlowEnd {
                turn: from.turn()?,
                exit: from.number()?,
                how: from.flow_stop()?,
                task: from.number()?,
            }),
            b"over" => Record::Over,
            b"cut" => Record::Cut(from.turn()?),
            b"kept" => Record::Kept(KeptResult {
                turn: from.turn()?,
                task: from.number()?,
                result: from.result()?,
            }),
            b"member" => Record::Member(KeptMember {
                turn: from.turn()?,
                task: from.number()?,
                name: from.lossy()?,
                left_out: from.number()?,
                result: from.result()?,
            }),
            b"repeat" => Record::Repeat(RepeatDue {
                turn: from.turn()?,
                finals: std::iter::from_fn(|| from.number()).collect(),
            }),
            b"rewalk" => Record::Rewalk,
            b"hosts" => Record::Hosts(HostsBegun {
                turn: from.turn()?,
                hosts: std::iter::from_fn(|| from.lossy()).collect(),
            }),
            b"advice" => Record::Advice(AdviceNote {
                line: from.lossy()?,
                words: std::iter::from_fn(|| from.lossy()).collect(),
            }),
            _ => return None,
        })
    }
}

/// A result in a record that was read. The rest of it, which can be large, is
/// decoded on demand.
pub struct EncodedResult<'a> {
    pub outcome: Outcome,
    pub exit: i32,
    fields: FieldReader<'a>,
}

/// How many fields a result has.
const RESULT_FIELDS: usize = 17;

impl EncodedResult<'_> {
    /// The whole result. An output whose file is gone or has changed is empty, and
    /// `missing` says why. `None` if it cannot be read.
    pub fn decode(&self, spool: &Arc<Spool>, missing: &mut Option<String>) -> Option<TaskResult> {
        let mut from = self.fields;
        let (outcome, exit) = (from.outcome()?, from.number()?);
        let (success, timed_out) = (from.number()?, from.number()?);
        let started: u64 = from.number()?;
        let took = Duration::from_nanos(from.number()?);
        let connecting = Duration::from_nanos(from.number()?);
        let attempts = from.number()?;
        let cpu = Duration::from_nanos(from.number()?);
        let peak_kib = from.number()?;
        Some(TaskResult {
            success,
            timed_out,
            started: (started > 0).then(|| UNIX_EPOCH + Duration::from_nanos(started)),
            took,
            connecting,
            cpu,
            peak_kib,
            hostname: from.next_text()?,
            command: from.next_text()?,
            cause: from.next_text()?,
            stdout: from.stream(spool, missing)?,
            stderr: from.stream(spool, missing)?,
            ..TaskResult::without_process(outcome, exit, attempts)
        })
    }
}

impl FieldWriter<'_> {
    /// All of a result but its members and the hosts that were left out.
    fn result(&mut self, result: &TaskResult) -> &mut Self {
        self.plain(result.outcome)
            .plain(result.exit)
            .plain(result.success)
            .plain(result.timed_out)
            .plain(result.started.map_or(0, since_1970))
            .plain(nanoseconds(result.took))
            .plain(nanoseconds(result.connecting))
            .plain(result.attempts)
            .plain(nanoseconds(result.cpu))
            .plain(result.peak_kib)
            .escaped_text(&result.hostname)
            .escaped_text(&result.command)
            .escaped_text(&result.cause)
            .stream(&result.stdout)
            .stream(&result.stderr)
    }

    /// An output: its bytes, or the length and name of the file that holds them. Before
    /// them stands why it is not all of the output, if it is not.
    fn stream(&mut self, stream: &Captured) -> &mut Self {
        let (kind, bytes) = match stream.held() {
            Held::Memory(bytes) => ("memory".to_string(), bytes),
            Held::File(file) => {
                let name = file.name().as_encoded_bytes();
                (format!("file {}", stream.len()), name)
            }
        };
        match stream.lost() {
            None => self.plain(kind),
            Some(why) => self.escaped_text(&format!("{kind} {LOST} {why}")),
        };
        self.escaped(bytes)
    }
}

impl<'a> FieldReader<'a> {
    fn block(&mut self) -> Option<BlockDone<'static, EncodedResult<'a>>> {
        let turn = self.turn()?;
        let task = self.number()?;
        let last = self.turn().filter(|last| *last >= turn)?;
        let result = self.result()?;
        let count: usize = self.number()?;
        let members = (0..count).map(|_| self.lossy()).collect::<Option<_>>()?;
        let left_out = std::iter::from_fn(|| self.lossy()).collect();
        Some(BlockDone {
            turn,
            task,
            last,
            result,
            members,
            left_out,
        })
    }

    fn flow_stop(&mut self) -> Option<FlowStop> {
        let word = self.raw()?;
        let mut words = FlowStop::WORDS.iter();
        let found = words.find(|(_, w)| w.as_bytes() == word);
        found.map(|(how, _)| *how)
    }

    fn outcome(&mut self) -> Option<Outcome> {
        let word = self.raw()?;
        Outcome::ALL
            .into_iter()
            .find(|o| o.as_str().as_bytes() == word)
    }

    fn result(&mut self) -> Option<EncodedResult<'a>> {
        let fields = *self;
        let (outcome, exit) = (self.outcome()?, self.number()?);
        for _ in 2..RESULT_FIELDS {
            self.raw()?;
        }
        Some(EncodedResult {
            outcome,
            exit,
            fields,
        })
    }

    fn stream(&mut self, spool: &Arc<Spool>, missing: &mut Option<String>) -> Option<Captured> {
        use std::os::unix::ffi::OsStringExt;
        let kind = self.next_text()?;
        let bytes = self.bytes()?;
        let (kind, lost) = match kind.split_once(&format!(" {LOST} ")) {
            Some((kind, why)) => (kind, Some(why)),
            None => (kind.as_str(), None),
        };
        let stream = match kind.strip_prefix("file ") {
            None => Captured::in_memory(bytes),
            Some(length) => {
                let name = std::ffi::OsString::from_vec(bytes);
                match (Captured::spooled(name, length.parse().ok()?, spool), lost) {
                    (Ok(stream), _) => stream,
                    // Nobody would have got the part that was there.
                    (Err(_), Some(_)) => Captured::in_memory(""),
                    (Err(why), None) => {
                        missing.get_or_insert(why);
                        Captured::in_memory("").with_loss(GONE)
                    }
                }
            }
        };
        Some(match lost {
            Some(why) => stream.with_loss(why),
            None => stream,
        })
    }
}

/// Stands between the place of a stream and why it is not whole.
const LOST: &str = "lost:";
/// Why an output is not there that a journal keeps in a file.
const GONE: &str = "output lost after 0 bytes: its file is gone or has changed";

/// Why a journal cannot be used.
#[derive(Debug, PartialEq)]
pub enum JournalError {
    /// The run that writes it is alive.
    Active,
    /// It ends before its first record does, so nothing had been run.
    Empty,
    Unusable(String),
}

/// Reads the header of a journal: also returns where the next record begins, and
/// the checksum so far.
///
/// # Errors
/// That the journal is empty, damaged, or of another version.
pub fn read_header(bytes: &[u8]) -> Result<(Header, usize, u32), JournalError> {
    let unusable = |why: &str| Err(JournalError::Unusable(why.into()));
    if bytes.len() < MAGIC.len() && MAGIC.starts_with(bytes) {
        return Err(JournalError::Empty);
    }
    let earlier: [&[u8]; 4] = [
        b"tasker journal 1\n",
        b"tasker journal 2\n",
        b"tasker journal 3\n",
        b"tasker journal 4\n",
    ];
    if earlier.iter().any(|magic| bytes.starts_with(magic)) {
        return unusable("it was written by an earlier version of tasker");
    }
    if !bytes.starts_with(MAGIC) {
        return unusable("it is not a journal of this version of tasker");
    }
    match frame::next(bytes, MAGIC.len(), 0) {
        NextFrame::Record(range, checksum) => {
            let end = range.end + 1;
            match Record::decode(&bytes[range], Some(&[])) {
                Some(Record::Begin(header)) => Ok((header.into_owned(), end, checksum)),
                _ => unusable("its first record cannot be understood"),
            }
        }
        NextFrame::Torn | NextFrame::End => Err(JournalError::Empty),
        NextFrame::Corrupt => unusable("its first record is damaged"),
    }
}

/// What `scan` found besides the records.
pub struct Scanned {
    pub header: Header,
    /// The length of the whole records, in bytes, and their checksum.
    pub length: usize,
    pub checksum: u32,
    /// The last record was not completely written; it does not count.
    pub torn: bool,
}

/// Reads a whole journal, and hands each record after the header to `take`, with
/// the place of its fields. `take` returns `None` for a record that no run writes.
///
/// # Errors
/// That the journal is empty, damaged, or of another version.
pub fn scan(
    bytes: &[u8],
    secrets: Option<&[Secret]>,
    mut take: impl FnMut(Record<'static, EncodedResult>, Range<usize>) -> Option<()>,
) -> Result<Scanned, JournalError> {
    let (header, mut length, mut checksum) = read_header(bytes)?;
    let mut number = 2;
    let unusable = |number: u64, what: &str| {
        let why = format!("its record {number} is {what}");
        Err(JournalError::Unusable(why))
    };
    let torn = loop {
        match frame::next(bytes, length, checksum) {
            NextFrame::Record(range, sum) => {
                (length, checksum) = (range.end + 1, sum);
                let record = Record::decode(&bytes[range.clone()], secrets);
                if record.and_then(|record| take(record, range)).is_none() {
                    return unusable(number, "of another version");
                }
                number += 1;
            }
            NextFrame::End => break false,
            NextFrame::Torn => break true,
            NextFrame::Corrupt => return unusable(number, "damaged"),
        }
    };
    Ok(Scanned {
        header,
        length,
        checksum,
        torn,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::chance::Chance;

    #[test]
    fn any_bytes_are_read_to_their_end() {
        let mut chance = Chance::new(9);
        let pieces = [
            "\\s",
            "\\s9999999999999999999999;",
            "\t",
            "file 5",
            "ok",
            "true",
            "7",
        ];
        let spool = Spool::in_directory("/nowhere");
        for _ in 0..5000 {
            let bytes = chance.bytes(&pieces, 40);
            let result = FieldReader::new(&bytes, None).result();
            result.and_then(|r| r.decode(&spool, &mut None));
            let mut reader = FieldReader::new(&bytes, Some(&[]));
            let fields = bytes.split(|b| *b == b'\t').count();
            assert!((0..=fields).any(|_| reader.bytes().is_none()), "{bytes:?}");
        }
    }

    const RESULT: &str = "failed\t3\tfalse\tfalse\t0\t17\t5\t2\t0\t0\tweb01\t\tno\\nidea\t\
                          memory\ta\\tb\\n\tmemory\t";

    #[test]
    fn each_kind_is_written_as_it_was_read() {
        for form in [
            "begin\t1.0\tR\t4\t7\tm\t/a b\t/d\t5a\t1\twhole\t\tstop\t-\tweb\tl\t2\tX\tff\tY\t0\
             \t1\tset\tA=1\t1\tB\tx\t1\t10\tab\t1\tkill_after\tcd",
            "begin\t1.0\tR\t4\t7\tm\t/a b\t/d\t5a\t1\tall-hosts\tS\tstop\t-\tweb\tl\t0\t0\t0\t0\t0",
            "kept\t1\t10\tRESULT",
            "member\t1\t10\ta b\ttrue\tRESULT",
            "repeat\t4\t90\t91",
            "repeat\t4",
            "rewalk",
            "hosts\t4\ta\tb",
            "advice\tcd / && tasker\truns again: 5\tx",
            "run\t7\t50\t9\t/log\t/dir\tf.txt\tboot/7\tnight",
            "open\t4\t10\t3\t1\tT\t50",
            "start\t4\t10\t10.1\ta\tT\ttrue\tfalse\t50",
            "left\t4\t10\t10.2",
            "again\t4\t10\ta\t50",
            "done\t4\t10\t1\t2\ttrue\tRESULT",
            "sub\t4\ta\t10\tRESULT",
            "block\t4\t10\t6\tRESULT\t2\ta\tb\tc",
            "flow\t4\t14\tstopped\t10",
            "flow\t4\t0\tcomplete\t10",
            "over",
            "cut\t4",
        ] {
            let form = form.replace("RESULT", RESULT);
            assert_eq!(encode_again(form.as_bytes()), Some(form));
        }
        for bad in ["", "other\t1", "cut\t0", "sub\t4\ta\t10\tok\t0"] {
            assert!(Record::decode(bad.as_bytes(), None).is_none(), "{bad}");
        }
    }

    /// Decodes the record, and writes what was decoded.
    fn encode_again(bytes: &[u8]) -> Option<String> {
        let spool = Spool::in_directory("/nowhere");
        let decode = |encoded: EncodedResult| encoded.decode(&spool, &mut None);
        let result;
        let record = match Record::decode(bytes, Some(&[]))? {
            Record::Begin(r) => Record::Begin(r),
            Record::Run(r) => Record::Run(r),
            Record::Open(r) => Record::Open(r),
            Record::Start(r) => Record::Start(r),
            Record::Left(r) => Record::Left(r),
            Record::Again(r) => Record::Again(r),
            Record::Done(r) => {
                result = decode(r.result)?;
                let result = &result;
                Record::Done(TaskDone {
                    turn: r.turn,
                    task: r.task,
                    iteration: r.iteration,
                    attempt: r.attempt,
                    refused: r.refused,
                    result,
                })
            }
            Record::Sub(r) => {
                result = decode(r.result)?;
                let (turn, name, task) = (r.turn, r.name, r.task);
                let result = &result;
                Record::Sub(SubtaskDone {
                    turn,
                    name,
                    task,
                    result,
                })
            }
            Record::Block(r) => {
                result = decode(r.result)?;
                Record::Block(BlockDone {
                    turn: r.turn,
                    task: r.task,
                    last: r.last,
                    result: &result,
                    members: r.members,
                    left_out: r.left_out,
                })
            }
            Record::Flow(r) => Record::Flow(r),
            Record::Over => Record::Over,
            Record::Cut(turn) => Record::Cut(turn),
            Record::Kept(r) => {
                result = decode(r.result)?;
                let (turn, task, result) = (r.turn, r.task, &result);
                Record::Kept(KeptResult { turn, task, result })
            }
            Record::Member(r) => {
                result = decode(r.result)?;
                Record::Member(KeptMember {
                    turn: r.turn,
                    task: r.task,
                    name: r.name,
                    left_out: r.left_out,
                    result: &result,
                })
            }
            Record::Repeat(due) => Record::Repeat(due),
            Record::Rewalk => Record::Rewalk,
            Record::Hosts(block) => Record::Hosts(block),
            Record::Advice(note) => Record::Advice(note),
        };
        String::from_utf8(record.encode(&SecretIndex::default())).ok()
    }
}
