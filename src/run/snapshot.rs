//! A snapshot of a run, read from its journal: what is done, what is running, and how
//! it ended.
//!
//! For `--status` (SPEC §6.6). Knows neither the task file nor the secrets, nor
//! whether the run is alive. It only looks at bytes, so it can be taken while the
//! run writes them.
#![forbid(unsafe_code)]

use super::frame;
use super::header::Header;
use super::record::{
    AdviceNote, BlockStart, CommandStart, EncodedResult, FlowEnd, FlowStop, JournalError, Record,
    RunProcess, scan,
};
use crate::outcome::{Counts, Outcome};
use std::collections::HashMap;

pub struct Snapshot {
    pub header: Header,
    /// The process that runs it, or ran it last.
    pub process: Option<RunProcess<'static>>,
    /// How many processes have run it, one after the other.
    pub processes: u32,
    /// The parallel block that has not ended.
    pub block: Option<BlockStart<'static>>,
    running: Commands,
    /// Commands that wait for their next attempt.
    waiting: Commands,
    cut_short: Commands,
    /// Commands that ran when an earlier process of the run died, or were cut short and
    /// may go on, and did not run again.
    lost: Commands,
    pub flow: Option<FlowEnd>,
    /// The final tasks have run as well.
    pub over: bool,
    /// What the end of the run said about continuing it.
    pub advice: Option<AdviceNote<'static>>,
    /// By turn; those of a block's subtasks also by name, all others by an empty one.
    outcomes: HashMap<(u64, String), RecordedOutcome>,
}

/// Commands by their task, and in a block by the subtask's name.
type Commands = HashMap<(u32, String), CommandStart<'static>>;

/// How a task ended, or a block's copy for a host.
struct RecordedOutcome {
    task: u32,
    /// It is one of many copies, not the task itself.
    is_copy: bool,
    outcome: Outcome,
    exit: i32,
}

/// The most that a block can have: each is a task with an id of six digits, or a host.
const MAX_SUBTASKS: usize = 1_000_000;

/// Reads a journal. A last record that was not completely written is left out.
///
/// # Errors
/// That it is empty or damaged.
pub fn read(bytes: &[u8]) -> Result<Snapshot, JournalError> {
    let mut snapshot = Snapshot {
        header: Header::default(),
        process: None,
        processes: 0,
        block: None,
        running: Commands::new(),
        waiting: Commands::new(),
        cut_short: Commands::new(),
        lost: Commands::new(),
        flow: None,
        over: false,
        advice: None,
        outcomes: HashMap::new(),
    };
    let scanned = scan(frame::written(bytes), None, |record, _| {
        snapshot.apply(record)
    })?;
    snapshot.header = scanned.header;
    Ok(snapshot)
}

impl Snapshot {
    /// Whether the run came to its end: then there is nothing to resume.
    pub fn is_finished(&self) -> bool {
        let flow = self.flow.as_ref();
        flow.is_some_and(|f| f.how != FlowStop::Stopped) && self.over
    }

    /// Applies the next record; `None` if no run writes such a one.
    fn apply(&mut self, record: Record<'static, EncodedResult>) -> Option<()> {
        match record {
            Record::Begin(_) => return None,
            Record::Run(process) => {
                self.process = Some(process);
                self.processes += 1;
                self.advice = None;
                // What an earlier process was running ended with it.
                self.block = None;
                self.lost.extend(self.running.drain());
                self.clear_commands();
                self.cut_short.clear();
            }
            Record::Open(block) => self.open(block)?,
            Record::Start(command) => self.start(command),
            Record::Left(left) => {
                let key = (left.task, left.label.into_owned());
                self.lost.extend(self.running.remove_entry(&key));
            }
            Record::Again(wait) => {
                let key = (wait.task, wait.name.into_owned());
                self.waiting.extend(self.running.remove_entry(&key));
            }
            Record::Done(done) => {
                // Next to it only a block can run, whose waves it checks.
                self.running.retain(|_, command| command.is_member);
                self.lost.retain(|(task, _), _| *task != done.task);
                self.add_outcome(done.turn, done.task, String::new(), &done.result);
            }
            Record::Sub(sub) => {
                let key = (sub.task, sub.name.into_owned());
                self.running.remove(&key);
                self.waiting.remove(&key);
                self.lost.remove(&key);
                self.add_outcome(sub.turn, sub.task, key.1, &sub.result);
            }
            Record::Block(done) => {
                if self.block.as_ref().is_none_or(|b| b.turn == done.turn) {
                    self.block = None;
                    self.clear_commands();
                }
                self.add_outcome(done.turn, done.task, String::new(), &done.result);
            }
            Record::Flow(flow) => {
                // Written once more if final tasks were ended.
                self.cut_short.extend(self.running.drain());
                self.cut_short.extend(self.waiting.drain());
                self.flow = Some(flow);
            }
            Record::Over => self.over = true,
            Record::Cut(turn) => self.cut(turn),
            Record::Kept(kept) => {
                let name = kept.task.to_string();
                self.add_outcome(kept.turn - 1, kept.task, name, &kept.result);
            }
            Record::Member(_) | Record::Repeat(_) | Record::Hosts(_) => {}
            Record::Advice(note) => self.advice = Some(note),
            Record::Rewalk => self.cut(1),
        }
        Some(())
    }

    /// Forgets what happened from that turn on.
    fn cut(&mut self, turn: u64) {
        self.outcomes.retain(|(t, _), _| *t < turn);
        self.flow = None;
        self.over = false;
    }

    fn clear_commands(&mut self) {
        self.running.clear();
        self.waiting.clear();
    }

    fn open(&mut self, block: BlockStart<'static>) -> Option<()> {
        if block.kept > block.total || block.total > MAX_SUBTASKS {
            return None;
        }
        // A block that begins again repeats the subtasks that had not succeeded.
        self.outcomes
            .retain(|(turn, _), o| *turn != block.turn || !o.outcome.is_failure());
        self.block = Some(block);
        Some(())
    }

    fn start(&mut self, command: CommandStart<'static>) {
        // `10.3` is a copy for a host, and has the host's name.
        let is_copy = command.is_member && command.label.contains('.');
        let name = match is_copy {
            true => &command.host,
            false => &command.label,
        };
        let key = (command.task, name.to_string());
        self.waiting.remove(&key);
        self.lost.remove(&key);
        self.running.insert(key, command);
    }

    fn add_outcome(&mut self, turn: u64, task: u32, name: String, result: &EncodedResult) {
        let outcome = RecordedOutcome {
            task,
            is_copy: !name.is_empty() && name != task.to_string(),
            outcome: result.outcome,
            exit: result.exit,
        };
        self.outcomes.insert((turn, name), outcome);
    }

    // What follows from it.

    /// The commands that are running, longest first.
    pub fn running(&self) -> Vec<&CommandStart<'static>> {
        by_age(&self.running)
    }

    /// The commands that ran when an earlier process of the run died, or were cut short
    /// and may go on, and have not run again since.
    pub fn lost(&self) -> Vec<&CommandStart<'static>> {
        by_age(&self.lost)
    }

    /// How many subtasks wait for their next attempt.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The commands that ran when the flow ended, and have no result.
    pub fn cut_short(&self) -> Vec<&CommandStart<'static>> {
        by_age(&self.cut_short)
    }

    /// The outcome and exit code of each task that has ended, by id.
    pub fn done_tasks(&self) -> Vec<(u32, Outcome, i32)> {
        let tasks = self.outcomes.iter().filter(|(_, o)| !o.is_copy);
        let mut done: Vec<(&(u64, String), &RecordedOutcome)> = tasks.collect();
        done.sort_unstable_by(|(at, a), (bt, b)| a.task.cmp(&b.task).then_with(|| bt.cmp(at)));
        // The last turn counts.
        done.dedup_by_key(|(_, outcome)| outcome.task);
        let unfinished = self.unfinished_tasks();
        done.retain(|(_, outcome)| !unfinished.contains(&outcome.task));
        let outcomes = done.iter().map(|(_, o)| (o.task, o.outcome, o.exit));
        outcomes.collect()
    }

    /// The task that ended last.
    pub fn last_done(&self) -> Option<u32> {
        let last = self.outcomes.iter().max_by_key(|((turn, _), _)| *turn);
        last.map(|(_, outcome)| outcome.task)
    }

    /// The tasks that have begun and not ended, by id.
    pub fn unfinished_tasks(&self) -> Vec<u32> {
        let commands = self.running.values().chain(self.waiting.values());
        let ended = |b: &&BlockStart| self.flow.as_ref().is_some_and(|f| b.turn < f.turn);
        let block = self.block.iter().filter(|b| !ended(b));
        let tasks = commands.map(|c| c.task).chain(block.map(|b| b.task));
        let mut tasks: Vec<u32> = tasks.collect();
        tasks.sort_unstable();
        tasks.dedup();
        tasks
    }

    /// How many subtasks of the block have each outcome.
    pub fn block_counts(&self, block: &BlockStart) -> Counts {
        let mut counts = Counts::default();
        (0..block.kept).for_each(|_| counts.add(Outcome::Ok));
        self.subtask_outcomes(block)
            .for_each(|(_, o)| counts.add(o.outcome));
        counts
    }

    /// The hosts of the block that have this outcome.
    pub fn hosts_with(&self, block: &BlockStart, outcome: Outcome) -> Vec<&str> {
        let copies = self.subtask_outcomes(block).filter(|(_, o)| o.is_copy);
        let found = copies.filter(|(_, o)| o.outcome == outcome);
        let mut hosts: Vec<&str> = found.map(|(name, _)| name).collect();
        hosts.sort_unstable();
        hosts
    }

    fn subtask_outcomes(
        &self,
        block: &BlockStart,
    ) -> impl Iterator<Item = (&str, &RecordedOutcome)> {
        let outcomes = self.outcomes.iter();
        let subtasks = outcomes.filter(|((t, name), _)| *t == block.turn && !name.is_empty());
        subtasks.map(|((_, name), outcome)| (name.as_str(), outcome))
    }
}

fn by_age(commands: &Commands) -> Vec<&CommandStart<'static>> {
    let mut commands: Vec<&CommandStart> = commands.values().collect();
    commands.sort_unstable_by(|a, b| {
        let labels = || a.label.cmp(&b.label);
        a.since.cmp(&b.since).then_with(labels)
    });
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What follows the exit code in a result.
    const REST: &str = "false false 0 0 0 1 0 0 - - - memory - memory -";

    /// A journal of these records, given as words.
    fn journal(records: &[&str]) -> Vec<u8> {
        let begin = "begin 0 R 1 1 m /f /d s 1 whole  stop - - - 0 0 0 0 0";
        let mut bytes = b"tasker journal 5\n".to_vec();
        let mut checksum = 0;
        for words in [&begin].into_iter().chain(records) {
            let fields = words.replace("REST", REST).replace(' ', "\t");
            let (record, sum) = frame::encode(fields.as_bytes(), checksum);
            (bytes, checksum) = ([bytes, record].concat(), sum);
        }
        bytes
    }

    fn read_all(records: &[&str]) -> Snapshot {
        read(&journal(records)).unwrap_or_else(|problem| panic!("{problem:?}"))
    }

    const RUN: &str = "run 7 1 9 /log /dir f.txt";
    const OPEN: &str = "open 1 10 4 0 T 5";
    const A: &str = "start 1 10 10.1 a T true false 6";
    const B: &str = "start 1 10 10.2 b T true false 7";

    fn running(snapshot: &Snapshot) -> Vec<&str> {
        snapshot
            .running()
            .iter()
            .map(|s| s.label.as_ref())
            .collect()
    }

    #[test]
    fn a_command_with_a_result_is_not_running() {
        assert_eq!(running(&read_all(&[RUN, OPEN, B, A])), ["10.1", "10.2"]);
        let snapshot = read_all(&[RUN, OPEN, B, A, "sub 1 b 10 failed 3 REST"]);
        assert_eq!(running(&snapshot), ["10.1"]);
        let block = snapshot.block.as_ref().expect("a block");
        assert_eq!(snapshot.block_counts(block).to_string(), "1 failed");
        assert_eq!(snapshot.hosts_with(block, Outcome::Failed), ["b"]);
        assert!(snapshot.done_tasks().is_empty());
        let snapshot = read_all(&[RUN, OPEN, A, B, "block 1 10 1 failed 1 REST 0"]);
        assert!(snapshot.block.is_none() && running(&snapshot).is_empty());
        assert_eq!(snapshot.done_tasks(), [(10, Outcome::Failed, 1)]);
    }

    #[test]
    fn waiting_for_the_next_attempt_is_not_running() {
        let records = [RUN, OPEN, A, "again 1 10 a 8"];
        let snapshot = read_all(&records);
        assert_eq!(running(&snapshot), [""; 0]);
        assert_eq!(snapshot.waiting(), 1);
        let snapshot = read_all(&[&records[..], &["start 1 10 10.1 a T true false 9"]].concat());
        assert_eq!((running(&snapshot), snapshot.waiting()), (vec!["10.1"], 0));
    }

    #[test]
    fn a_resumed_run_shows_only_its_own_commands_as_running() {
        let first = [
            RUN,
            OPEN,
            A,
            B,
            "sub 1 a 10 failed 1 REST",
            "sub 1 c 10 ok 0 REST",
        ];
        let snapshot = read_all(&[&first[..], &[RUN]].concat());
        assert!(snapshot.block.is_none() && running(&snapshot).is_empty());
        assert_eq!(snapshot.processes, 2);
        let snapshot = read_all(&[&first[..], &[RUN, OPEN, B]].concat());
        let block = snapshot.block.as_ref().expect("a block");
        assert_eq!(snapshot.block_counts(block).to_string(), "1 ok");
        assert_eq!(running(&snapshot), ["10.2"]);
    }

    #[test]
    fn a_command_that_the_end_of_the_flow_cut_short_has_no_result() {
        let one = "start 1 1 1 - T false false 6";
        let end = "flow 1 143 stopped 1";
        let snapshot = read_all(&[RUN, one, end, "start 2 9 9 - T false false 8"]);
        assert_eq!(snapshot.cut_short()[0].label, "1");
        assert_eq!(running(&snapshot), ["9"]);
        let snapshot = read_all(&[
            RUN,
            "done 1 1 1 1 false failed 3 REST",
            end,
            "over",
            "cut 1",
        ]);
        assert!(snapshot.flow.is_none() && !snapshot.over && snapshot.done_tasks().is_empty());
    }

    #[test]
    fn a_flow_that_begins_once_more_has_what_the_run_began_with() {
        let snapshot = read_all(&[
            "kept 1 5 ok 0 REST",
            RUN,
            "done 1 6 1 1 false failed 3 REST",
            "flow 2 0 complete 6",
            "over",
            "rewalk",
        ]);
        assert_eq!(snapshot.done_tasks(), [(5, Outcome::Ok, 0)]);
        assert!(snapshot.flow.is_none() && !snapshot.over);
    }

    #[test]
    fn a_torn_record_is_left_out_and_damage_is_reported() {
        let bytes = journal(&[RUN, OPEN]);
        let snapshot = read(&bytes[..bytes.len() - 3]).map(|t| t.block.is_none());
        assert_eq!(snapshot, Ok(true));
        let mut damaged = bytes.clone();
        let last = damaged.len() - 4;
        damaged[last] ^= 1;
        let why = "its record 3 is damaged".to_string();
        assert_eq!(read(&damaged).err(), Some(JournalError::Unusable(why)));
        let unknown = read(&journal(&[RUN, "other 1"])).err();
        assert!(
            matches!(unknown, Some(JournalError::Unusable(_))),
            "{unknown:?}"
        );
        let why = JournalError::Unusable("its record 3 is of another version".into());
        for none in [
            "cut 0",
            "sub 0 b 10 ok 0 REST",
            "flow 0 1 stopped 5",
            "open 1 10 4 5 T 5",
            "open 1 10 446744073709551615 446744073709551615 T 5",
        ] {
            let refused = read(&journal(&[RUN, none])).err();
            assert_eq!(refused.as_ref(), Some(&why), "{none}");
        }
    }
}
