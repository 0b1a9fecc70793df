//! What a journal recorded of its run, for the replay: results by turn, how the flow
//! ended, what is missing.
#![forbid(unsafe_code)]

use super::capture::Spool;
use super::record::{EncodedResult, FlowEnd, Record, TaskDone};
use super::result::{Member, TaskResult};
use crate::plan::flow::Position;
use crate::task::mask::Secret;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

/// A block that had ended.
pub struct RecordedBlock {
    /// The last turn of its tasks.
    pub last: u64,
    pub result: TaskResult,
}

/// Where the records of a journal are, by turn. They are decoded on demand.
pub struct RecordedRun {
    pub(super) bytes: Vec<u8>,
    secrets: Vec<Secret>,
    spool: Arc<Spool>,
    done: HashMap<u64, Range<usize>>,
    subs: HashMap<u64, Vec<(String, Range<usize>)>>,
    blocks: HashMap<u64, Range<usize>>,
    pub(super) flow: Option<FlowEnd>,
    pub(super) over: bool,
    /// The last turn that has a record.
    last: u64,
    /// An output that was kept in a file is gone or has changed.
    missing: bool,
}

impl RecordedRun {
    pub(super) fn new(secrets: &[Secret], spool: &Arc<Spool>) -> RecordedRun {
        RecordedRun {
            bytes: Vec::new(),
            secrets: secrets.to_vec(),
            spool: spool.clone(),
            done: HashMap::new(),
            subs: HashMap::new(),
            blocks: HashMap::new(),
            flow: None,
            over: false,
            last: 0,
            missing: false,
        }
    }

    /// Takes in a record. Its result is decoded once, so that none turns out to be
    /// unusable in the middle of a run.
    pub(super) fn add(
        &mut self,
        record: Record<'static, EncodedResult>,
        range: Range<usize>,
    ) -> Option<()> {
        let (spool, missing) = (&self.spool, &mut self.missing);
        match record {
            Record::Done(done) => {
                done.result.decode(spool, missing)?;
                self.done.insert(done.turn, range);
                self.last = self.last.max(done.turn);
            }
            Record::Sub(sub) => {
                sub.result.decode(spool, missing)?;
                let subs = self.subs.entry(sub.turn).or_default();
                subs.push((sub.name.into_owned(), range));
                self.last = self.last.max(sub.turn);
            }
            Record::Block(block) => {
                block.result.decode(spool, missing)?;
                self.blocks.insert(block.turn, range);
                self.last = self.last.max(block.last);
            }
            Record::Flow(flow) => self.flow = Some(flow),
            Record::Over => self.over = true,
            Record::Cut(turn) => self.cut(turn),
            Record::Run(_) | Record::Open(_) | Record::Start(_) | Record::Again(_) => {}
            Record::Begin(_) => return None,
        }
        Some(())
    }

    /// Forgets what was recorded from that turn on.
    pub(super) fn cut(&mut self, turn: u64) {
        self.done.retain(|t, _| *t < turn);
        self.subs.retain(|t, _| *t < turn);
        self.blocks.retain(|t, _| *t < turn);
        self.flow = None;
        self.over = false;
        self.last = self.last.min(turn - 1);
    }

    /// How the flow ended, if it did.
    pub fn flow_end(&self) -> Option<&FlowEnd> {
        self.flow.as_ref()
    }

    /// Whether the final tasks have run as well.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Whether an output that was kept in a file is gone or has changed.
    pub fn misses_outputs(&self) -> bool {
        self.missing
    }

    /// The last turn that is recorded; 0 for a new journal.
    pub fn last_turn(&self) -> u64 {
        self.last
    }

    /// Whether the turn is recorded to its end.
    pub fn has_turn(&self, turn: u64) -> bool {
        self.done.contains_key(&turn) || self.blocks.contains_key(&turn)
    }

    /// The recorded task of a turn, and whether its result was refused.
    ///
    /// # Errors
    /// That another task was recorded for this turn.
    pub fn task(
        &self,
        turn: u64,
        id: u32,
        at: Position,
    ) -> Result<Option<(TaskResult, bool)>, String> {
        let Some(range) = self.done.get(&turn) else {
            return match self.last > turn || self.blocks.contains_key(&turn) {
                true => Err(format!(
                    "step {turn} was recorded for something other than task {id}"
                )),
                false => Ok(None),
            };
        };
        let Some((done, result)) = self.task_done(range) else {
            return Err(unreadable(turn));
        };
        if (done.task, done.iteration, done.attempt) != (id, at.iteration, at.attempt) {
            let other = done.task;
            return Err(format!(
                "step {turn} was recorded for task {other}, and is task {id} now"
            ));
        }
        Ok(Some((result, done.refused)))
    }

    /// The tasks that ran in these turns, in order.
    pub fn tasks(&self, turns: Range<u64>) -> Vec<(u32, TaskResult)> {
        let found = self.done.iter().filter(|(t, _)| turns.contains(t));
        let mut found: Vec<(&u64, &Range<usize>)> = found.collect();
        found.sort_unstable_by_key(|(turn, _)| **turn);
        let read = |range| {
            let (done, result) = self.task_done(range)?;
            Some((done.task, result))
        };
        found.iter().filter_map(|(_, range)| read(range)).collect()
    }

    /// The subtasks that had ended in the block of that turn, with their tasks.
    pub fn subtasks(&self, turn: u64) -> Vec<(String, u32, TaskResult)> {
        let subs = self.subs.get(&turn).map_or(&[][..], Vec::as_slice);
        let read = |(name, range): &(String, Range<usize>)| match self.record(range)? {
            Record::Sub(sub) => Some((name.clone(), sub.task, self.decode(&sub.result)?)),
            _ => None,
        };
        subs.iter().filter_map(read).collect()
    }

    /// The turns of parallel blocks that have subtasks, in order.
    pub fn turns_with_subtasks(&self) -> Vec<u64> {
        let mut turns: Vec<u64> = self.subs.keys().copied().collect();
        turns.sort_unstable();
        turns
    }

    /// The block that had ended in that turn, with its members.
    ///
    /// # Errors
    /// That another task was recorded for this turn.
    pub fn block(&self, turn: u64, id: u32) -> Result<Option<RecordedBlock>, String> {
        let Some(range) = self.blocks.get(&turn) else {
            return match self.done.contains_key(&turn) {
                true => Err(format!(
                    "step {turn} was recorded for something other than block {id}"
                )),
                false => Ok(None),
            };
        };
        let Some(Record::Block(block)) = self.record(range) else {
            return Err(unreadable(turn));
        };
        if block.task != id {
            let other = block.task;
            return Err(format!(
                "step {turn} was recorded for block {other}, and is block {id} now"
            ));
        }
        let Some(mut result) = self.decode(&block.result) else {
            return Err(unreadable(turn));
        };
        let subs = self.subtasks(turn).into_iter();
        let mut latest: HashMap<String, TaskResult> =
            subs.map(|(name, _, result)| (name, result)).collect();
        let left_out: HashSet<&str> = block.left_out.iter().map(|n| n.as_ref()).collect();
        // Earlier versions listed those left out only by themselves.
        let names = block.members.iter().chain(&block.left_out);
        let members = names.filter_map(|name| {
            let result = latest.remove(name.as_ref())?;
            Some(Member {
                left_out: left_out.contains(name.as_ref()),
                name: name.to_string(),
                result,
            })
        });
        result.members = members.collect();
        let last = block.last;
        Ok(Some(RecordedBlock { last, result }))
    }

    fn record(&self, range: &Range<usize>) -> Option<Record<'static, EncodedResult<'_>>> {
        let fields = self.bytes.get(range.clone())?;
        Record::decode(fields, Some(&self.secrets))
    }

    fn task_done(&self, range: &Range<usize>) -> Option<(TaskDone<EncodedResult<'_>>, TaskResult)> {
        match self.record(range)? {
            Record::Done(done) => {
                let result = self.decode(&done.result)?;
                Some((done, result))
            }
            _ => None,
        }
    }

    fn decode(&self, result: &EncodedResult) -> Option<TaskResult> {
        result.decode(&self.spool, &mut false)
    }
}

fn unreadable(turn: u64) -> String {
    format!("step {turn} cannot be read")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Outcome;

    /// The members of the block of turn 1, and whether each is left out.
    fn members(names: &str) -> Vec<(String, Outcome, bool)> {
        let result = |outcome: &str| {
            format!("{outcome}\t255\tfalse\tfalse\t0\t17\t1\t0\t0\tx\t\t\tmemory\t\tmemory\t")
        };
        let records = [
            format!("sub\t1\tbad\t10\t{}", result("unreachable")),
            format!("sub\t1\tgood\t10\t{}", result("ok")),
            format!("block\t1\t10\t1\t{}\t{names}", result("ok")),
        ];
        let spool = Arc::new(Spool::new("/nowhere".into()));
        let mut run = RecordedRun::new(&[], &spool);
        for record in &records {
            let from = run.bytes.len();
            run.bytes.extend_from_slice(record.as_bytes());
            let range = from..run.bytes.len();
            let record = Record::decode(record.as_bytes(), Some(&[])).expect("a record");
            run.add(record, range).expect("a usable record");
        }
        let block = run.block(1, 10).expect("block 10").expect("its end");
        let members = block.result.members.into_iter();
        members
            .map(|m| (m.name, m.result.outcome, m.left_out))
            .collect()
    }

    #[test]
    fn hosts_that_were_left_out_are_members_in_journals_of_any_version() {
        let (bad, good) = (Outcome::Unreachable, Outcome::Ok);
        let all = [("bad".into(), bad, true), ("good".into(), good, false)];
        assert_eq!(members("2\tbad\tgood\tbad"), all);
        let [bad, good] = all;
        assert_eq!(members("1\tgood\tbad"), [good, bad]);
    }
}
