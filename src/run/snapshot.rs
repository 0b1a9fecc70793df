//! What a journal tells of its run: what is done, what is under way, how it ended.
//!
//! For those who look on from outside (SPEC §6.6). Knows bytes only: neither the
//! task file nor the secrets, nor whether the run is alive. Nothing is taken into
//! use here, so that it may read while the run writes.
#![forbid(unsafe_code)]

use super::journal::{self, FlowEnd, Header, Problem};
use super::record::{self, Next, Reader};
use crate::outcome::{Counts, Outcome};
use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// All that a journal tells.
pub struct Snapshot {
    pub header: Header,
    pub process: Option<RunProcess>,
    /// How many processes have run it, one after the other.
    pub stretches: u32,
    /// The parallel block that is not over.
    pub block: Option<OpenBlock>,
    running: Commands,
    cut_short: Commands,
    pub flow: Option<FlowEnd>,
    /// The final tasks have run as well.
    pub over: bool,
    /// By turn; those of a block's subtasks by name, all others by none.
    entries: HashMap<(u64, String), RecordedOutcome>,
}

/// Commands by their task, and in a block by the subtask's name.
type Commands = HashMap<(u32, String), RunningCommand>;

/// The process that runs it, or ran it last.
pub struct RunProcess {
    pub id: u32,
    pub since: SystemTime,
    /// How many tasks the file has.
    pub tasks: usize,
    pub log: String,
    pub directory: String,
    /// What stands after `tasker -r --resume` to go on.
    pub words: String,
}

/// A parallel block that is not over.
pub struct OpenBlock {
    turn: u64,
    pub task: u32,
    pub total: usize,
    /// How many were over when the block was begun before.
    kept: usize,
    pub title: String,
}

/// A command under way.
pub struct RunningCommand {
    pub task: u32,
    /// `5`, `5.2`, `10.3`.
    pub label: String,
    pub host: String,
    pub title: String,
    /// A subtask of the parallel block.
    pub is_member: bool,
    pub since: SystemTime,
    /// Its attempt is over, and the next one waits for its time.
    pub waits: bool,
}

/// How a task, or a block's copy for a host, ended.
struct RecordedOutcome {
    task: u32,
    /// It is one of many copies, not the task itself.
    is_copy: bool,
    outcome: Outcome,
    exit: i32,
}

/// No block has more: each is a task with an id of six digits, or a host.
const MOST_SUBTASKS: usize = 1_000_000;

/// Reads a journal. A last record that is cut off is left out.
///
/// # Errors
/// That it has not begun, or is damaged.
pub fn read(bytes: &[u8]) -> Result<Snapshot, Problem> {
    let bytes = record::written(bytes);
    let (header, mut at, mut checksum) = journal::first(bytes)?;
    let mut track = Snapshot {
        header,
        process: None,
        stretches: 0,
        block: None,
        running: Commands::new(),
        cut_short: Commands::new(),
        flow: None,
        over: false,
        entries: HashMap::new(),
    };
    let mut number = 2;
    loop {
        match record::next(bytes, at, checksum) {
            Next::Record(range, sum) => {
                (at, checksum) = (range.end + 1, sum);
                if track.take_in(&bytes[range]).is_none() {
                    let why = format!("its record {number} is of another version");
                    return Err(Problem::Unusable(why));
                }
                number += 1;
            }
            Next::Torn | Next::End => break,
            Next::Corrupt => {
                let why = format!("its record {number} is damaged");
                return Err(Problem::Unusable(why));
            }
        }
    }
    Ok(track)
}

/// A moment as journals hold it.
fn moment(reader: &mut Reader) -> Option<SystemTime> {
    let nanoseconds = reader.number()?;
    UNIX_EPOCH.checked_add(Duration::from_nanos(nanoseconds))
}

/// Text that may hold anything.
fn lossy(reader: &mut Reader) -> Option<String> {
    let bytes = reader.bytes()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

impl Snapshot {
    fn take_in(&mut self, fields: &[u8]) -> Option<()> {
        let mut reader = Reader::masked(fields);
        let kind = reader.text()?;
        match kind.as_str() {
            "run" => self.begin(&mut reader)?,
            "open" => self.open(&mut reader)?,
            "start" => self.start(&mut reader)?,
            "again" => self.again(&mut reader)?,
            "done" => self.done(&mut reader)?,
            "sub" => self.sub(&mut reader)?,
            "block" => self.close(&mut reader)?,
            "flow" => {
                self.cut_short = std::mem::take(&mut self.running);
                self.flow = Some(FlowEnd {
                    turn: reader.turn()?,
                    exit: reader.number()?,
                    complete: reader.text()? == "complete",
                    task: reader.number()?,
                });
            }
            "over" => self.over = true,
            "cut" => self.cut(reader.turn()?),
            _ => return None,
        }
        Some(())
    }

    fn begin(&mut self, reader: &mut Reader) -> Option<()> {
        self.process = Some(RunProcess {
            id: reader.number()?,
            since: moment(reader)?,
            tasks: reader.number()?,
            log: lossy(reader)?,
            directory: lossy(reader)?,
            words: lossy(reader)?,
        });
        self.stretches += 1;
        // What an earlier process had under way ended with it.
        self.block = None;
        self.running.clear();
        self.cut_short.clear();
        Some(())
    }

    fn open(&mut self, reader: &mut Reader) -> Option<()> {
        let block = OpenBlock {
            turn: reader.turn()?,
            task: reader.number()?,
            total: reader.number()?,
            kept: reader.number()?,
            title: lossy(reader)?,
        };
        if block.kept > block.total || block.total > MOST_SUBTASKS {
            return None;
        }
        // A block that is begun again does so with those that had not succeeded.
        self.entries
            .retain(|(turn, _), e| *turn != block.turn || !e.outcome.is_failure());
        self.block = Some(block);
        Some(())
    }

    fn start(&mut self, reader: &mut Reader) -> Option<()> {
        let _: u64 = reader.number()?;
        let started = RunningCommand {
            task: reader.number()?,
            label: lossy(reader)?,
            host: lossy(reader)?,
            title: lossy(reader)?,
            is_member: reader.number()?,
            since: moment(reader)?,
            waits: false,
        };
        // `10.3` is a copy for a host, and known by that.
        let is_copy = started.is_member && started.label.contains('.');
        let name = if is_copy {
            &started.host
        } else {
            &started.label
        };
        let key = (started.task, name.clone());
        self.running.insert(key, started);
        Some(())
    }

    fn again(&mut self, reader: &mut Reader) -> Option<()> {
        let _: u64 = reader.number()?;
        let task: u32 = reader.number()?;
        if let Some(started) = self.running.get_mut(&(task, lossy(reader)?)) {
            started.waits = true;
        }
        Some(())
    }

    fn done(&mut self, reader: &mut Reader) -> Option<()> {
        let turn = reader.turn()?;
        let task: u32 = reader.number()?;
        let _: (u32, u32, bool) = (reader.number()?, reader.number()?, reader.number()?);
        // Nothing runs beside it but a block that it checks the waves of.
        self.running.retain(|_, s| s.is_member);
        self.add(turn, task, String::new(), reader)
    }

    fn sub(&mut self, reader: &mut Reader) -> Option<()> {
        let turn = reader.turn()?;
        let name = lossy(reader)?;
        let task: u32 = reader.number()?;
        self.running.remove(&(task, name.clone()));
        self.add(turn, task, name, reader)
    }

    /// A block is over, and with it all that it had under way.
    fn close(&mut self, reader: &mut Reader) -> Option<()> {
        let turn = reader.turn()?;
        let task: u32 = reader.number()?;
        let _: u64 = reader.number()?;
        if self.block.as_ref().is_none_or(|b| b.turn == turn) {
            self.block = None;
            self.running.clear();
        }
        self.add(turn, task, String::new(), reader)
    }

    fn add(&mut self, turn: u64, task: u32, name: String, reader: &mut Reader) -> Option<()> {
        let entry = RecordedOutcome {
            task,
            is_copy: !name.is_empty() && name != task.to_string(),
            outcome: reader.outcome()?,
            exit: reader.number()?,
        };
        self.entries.insert((turn, name), entry);
        Some(())
    }

    /// What came from that turn on is void.
    fn cut(&mut self, turn: u64) {
        self.entries.retain(|(t, _), _| *t < turn);
        self.flow = None;
        self.over = false;
    }

    // What it comes to.

    /// Commands under way, those that run longest first.
    pub fn running(&self) -> Vec<&RunningCommand> {
        by_age(self.running.values().filter(|s| !s.waits))
    }

    /// How many subtasks wait for their next attempt.
    pub fn waiting(&self) -> usize {
        self.running.values().filter(|s| s.waits).count()
    }

    /// What ran when the flow ended, and has no result for that.
    pub fn cut_short(&self) -> Vec<&RunningCommand> {
        by_age(self.cut_short.values())
    }

    /// How each task ended that is over, by id.
    pub fn done_tasks(&self) -> Vec<(u32, Outcome, i32)> {
        let entries = self.entries.iter().filter(|(_, e)| !e.is_copy);
        let mut done: Vec<(&(u64, String), &RecordedOutcome)> = entries.collect();
        done.sort_unstable_by(|(at, a), (bt, b)| a.task.cmp(&b.task).then_with(|| bt.cmp(at)));
        // The last turn counts.
        done.dedup_by_key(|(_, entry)| entry.task);
        let under_way = self.tasks_under_way();
        done.retain(|(_, entry)| !under_way.contains(&entry.task));
        let ends = done.iter().map(|(_, e)| (e.task, e.outcome, e.exit));
        ends.collect()
    }

    /// The tasks that are not over, by id.
    pub fn tasks_under_way(&self) -> Vec<u32> {
        let running = self.running.values().map(|s| s.task);
        let ended = |b: &&OpenBlock| self.flow.as_ref().is_some_and(|f| b.turn < f.turn);
        let block = self.block.iter().filter(|b| !ended(b));
        let mut tasks: Vec<u32> = running.chain(block.map(|b| b.task)).collect();
        tasks.sort_unstable();
        tasks.dedup();
        tasks
    }

    /// How the subtasks of the block ended that are over.
    pub fn counts(&self, block: &OpenBlock) -> Counts {
        let mut counts = Counts::default();
        (0..block.kept).for_each(|_| counts.add(Outcome::Ok));
        self.over_in(block).for_each(|(_, e)| counts.add(e.outcome));
        counts
    }

    /// The hosts of the block that ended so.
    pub fn hosts_that(&self, block: &OpenBlock, ended: Outcome) -> Vec<&str> {
        let entries = self.over_in(block).filter(|(_, e)| e.is_copy);
        let found = entries.filter(|(_, e)| e.outcome == ended);
        let mut hosts: Vec<&str> = found.map(|(name, _)| name).collect();
        hosts.sort_unstable();
        hosts
    }

    fn over_in(&self, block: &OpenBlock) -> impl Iterator<Item = (&str, &RecordedOutcome)> {
        let entries = self.entries.iter();
        let entries = entries.map(|((turn, name), entry)| (*turn, name.as_str(), entry));
        let of_block = entries.filter(|(turn, name, _)| *turn == block.turn && !name.is_empty());
        of_block.map(|(_, name, entry)| (name, entry))
    }
}

fn by_age<'a>(commands: impl Iterator<Item = &'a RunningCommand>) -> Vec<&'a RunningCommand> {
    let mut commands: Vec<&RunningCommand> = commands.collect();
    commands.sort_unstable_by(|a, b| {
        let labels = || a.label.cmp(&b.label);
        a.since.cmp(&b.since).then_with(labels)
    });
    commands
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::record::{Fields, frame};

    /// A journal of these records, given as words.
    fn journal(records: &[&str]) -> Vec<u8> {
        let begin = "begin 0 R 1 /f s 1 stop - - -";
        let mut bytes = b"tasker journal 1\n".to_vec();
        let mut checksum = 0;
        for words in [&begin].into_iter().chain(records) {
            let mut words = words.split(' ');
            let mut fields = Fields::new(words.next().unwrap_or(""), &[]);
            for word in words {
                fields.add(word);
            }
            let (record, sum) = frame(&fields.bytes, checksum);
            (bytes, checksum) = ([bytes, record].concat(), sum);
        }
        bytes
    }

    fn read_all(records: &[&str]) -> Snapshot {
        read(&journal(records)).unwrap_or_else(|problem| panic!("{problem:?}"))
    }

    const RUN: &str = "run 7 1 9 /log /dir f.txt";
    const OPEN: &str = "open 1 10 4 0 T 5";
    const A: &str = "start 1 10 10.1 a T true 6";
    const B: &str = "start 1 10 10.2 b T true 7";

    fn running(track: &Snapshot) -> Vec<&str> {
        track.running().iter().map(|s| s.label.as_str()).collect()
    }

    #[test]
    fn what_has_a_result_runs_no_more() {
        assert_eq!(running(&read_all(&[RUN, OPEN, B, A])), ["10.1", "10.2"]);
        let track = read_all(&[RUN, OPEN, B, A, "sub 1 b 10 failed 3"]);
        assert_eq!(running(&track), ["10.1"]);
        let block = track.block.as_ref().expect("a block");
        assert_eq!(track.counts(block).to_string(), "1 failed");
        assert_eq!(track.hosts_that(block, Outcome::Failed), ["b"]);
        assert!(track.done_tasks().is_empty());
        let track = read_all(&[RUN, OPEN, A, B, "block 1 10 1 failed 1"]);
        assert!(track.block.is_none() && running(&track).is_empty());
        assert_eq!(track.done_tasks(), [(10, Outcome::Failed, 1)]);
    }

    #[test]
    fn a_wait_for_the_next_attempt_is_told_from_running() {
        let records = [RUN, OPEN, A, "again 1 10 a 8"];
        let track = read_all(&records);
        assert_eq!(running(&track), [""; 0]);
        assert_eq!(track.waiting(), 1);
        let track = read_all(&[&records[..], &["start 1 10 10.1 a T true 9"]].concat());
        assert_eq!((running(&track), track.waiting()), (vec!["10.1"], 0));
    }

    #[test]
    fn a_run_that_is_gone_on_with_has_only_its_own_under_way() {
        let first = [RUN, OPEN, A, B, "sub 1 a 10 failed 1", "sub 1 c 10 ok 0"];
        let track = read_all(&[&first[..], &[RUN]].concat());
        assert!(track.block.is_none() && running(&track).is_empty());
        assert_eq!(track.stretches, 2);
        let track = read_all(&[&first[..], &[RUN, OPEN, B]].concat());
        let block = track.block.as_ref().expect("a block");
        assert_eq!(track.counts(block).to_string(), "1 ok");
        assert_eq!(running(&track), ["10.2"]);
    }

    #[test]
    fn what_the_end_of_the_flow_cut_short_has_no_result() {
        let one = "start 1 1 1 - T false 6";
        let end = "flow 1 143 stopped 1";
        let track = read_all(&[RUN, one, end, "start 2 9 9 - T false 8"]);
        assert_eq!(track.cut_short()[0].label, "1");
        assert_eq!(running(&track), ["9"]);
        let track = read_all(&[RUN, "done 1 1 1 1 false failed 3", end, "over", "cut 1"]);
        assert!(track.flow.is_none() && !track.over && track.done_tasks().is_empty());
    }

    #[test]
    fn a_cut_is_left_out_and_damage_is_told() {
        let bytes = journal(&[RUN, OPEN]);
        let track = read(&bytes[..bytes.len() - 3]).map(|t| t.block.is_none());
        assert_eq!(track, Ok(true));
        let mut damaged = bytes.clone();
        let last = damaged.len() - 4;
        damaged[last] ^= 1;
        let why = "its record 3 is damaged".to_string();
        assert_eq!(read(&damaged).err(), Some(Problem::Unusable(why)));
        let unknown = read(&journal(&[RUN, "other 1"])).err();
        assert!(matches!(unknown, Some(Problem::Unusable(_))), "{unknown:?}");
        let why = Problem::Unusable("its record 3 is of another version".into());
        for none in [
            "cut 0",
            "sub 0 b 10 ok 0",
            "flow 0 1 stopped 5",
            "open 1 10 4 5 T 5",
            "open 1 10 446744073709551615 446744073709551615 T 5",
        ] {
            let refused = read(&journal(&[RUN, none])).err();
            assert_eq!(refused.as_ref(), Some(&why), "{none}");
        }
    }
}
