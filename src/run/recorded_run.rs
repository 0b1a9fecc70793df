//! What a journal recorded of its run, for the replay: results by turn, how the flow
//! ended, what is missing.
#![forbid(unsafe_code)]

use super::capture::Spool;
use super::record::{EncodedResult, FlowEnd, FlowStop, Record, RepeatDue, TaskDone};
use super::result::{Member, TaskResult};
use crate::outcome::Outcome;
use crate::plan::flow::Position;
use crate::task::secret_index::Secret;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

/// A block that had ended.
pub struct RecordedBlock {
    /// The last turn of its tasks.
    pub last: u64,
    pub result: TaskResult,
    /// The names of its tasks.
    names: Vec<String>,
}

/// A result that a task has, though it did not run in a turn.
pub struct KeptTask {
    pub task: u32,
    pub result: TaskResult,
}

/// One pass through a task, with its retries and iterations: how it ended.
#[derive(Clone)]
pub struct EarlierVisit {
    pub iteration: u32,
    pub attempt: u32,
    pub result: TaskResult,
}

/// Where the records of a whole walk are, by turn.
struct Walked {
    /// The first turn of the final tasks.
    end: u64,
    done: BTreeMap<u64, Range<usize>>,
    subs: BTreeMap<u64, Vec<(String, Range<usize>)>>,
    blocks: BTreeMap<u64, Range<usize>>,
}

/// Where the records of a journal are, by turn. They are decoded on demand.
pub struct RecordedRun {
    pub(super) bytes: Vec<u8>,
    secrets: Vec<Secret>,
    spool: Arc<Spool>,
    done: BTreeMap<u64, Range<usize>>,
    subs: BTreeMap<u64, Vec<(String, Range<usize>)>>,
    blocks: BTreeMap<u64, Range<usize>>,
    /// The hosts of each block that began, by turn.
    hosts: HashMap<u64, Vec<String>>,
    /// The task or block of each turn that something was started in.
    begun: HashMap<u64, u32>,
    pub(super) flow: Option<FlowEnd>,
    pub(super) over: bool,
    /// By the turn that they come before, in the order in which they were recorded.
    kept: BTreeMap<u64, Vec<KeptTask>>,
    /// Tasks that are due to be repeated, and those that have been.
    repeat: Option<RepeatDue>,
    repeated: HashSet<u32>,
    /// The records of the walk before the flow began once more, until they are read.
    walked: Option<Walked>,
    /// What was done before the flow began once more, by task.
    earlier: HashMap<u32, VecDeque<EarlierVisit>>,
    /// The last turn that has a record.
    last: u64,
    /// Why an output that was kept in a file is not there.
    missing: Option<String>,
}

impl RecordedRun {
    pub(super) fn new(secrets: &[Secret], spool: &Arc<Spool>) -> RecordedRun {
        RecordedRun {
            bytes: Vec::new(),
            secrets: secrets.to_vec(),
            spool: spool.clone(),
            done: BTreeMap::new(),
            subs: BTreeMap::new(),
            blocks: BTreeMap::new(),
            hosts: HashMap::new(),
            begun: HashMap::new(),
            flow: None,
            over: false,
            kept: BTreeMap::new(),
            repeat: None,
            repeated: HashSet::new(),
            walked: None,
            earlier: HashMap::new(),
            last: 0,
            missing: None,
        }
    }

    /// Takes in a record of the journal. Its result is decoded once, so that none turns
    /// out to be unusable in the middle of a run.
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
            Record::Kept(kept) => {
                let result = kept.result.decode(spool, missing)?;
                self.keep(kept.turn, kept.task, result);
            }
            Record::Member(member) => {
                let result = member.result.decode(spool, missing)?;
                let kept = self.kept.get_mut(&member.turn)?.last_mut();
                let kept = kept.filter(|kept| kept.task == member.task)?;
                kept.result.members.push(Member {
                    name: member.name.into_owned(),
                    left_out: member.left_out,
                    result,
                });
            }
            Record::Repeat(due) => self.begin_repeating(due),
            Record::Hosts(block) => {
                let hosts = block.hosts.into_iter().map(|host| host.into_owned());
                self.hosts.insert(block.turn, hosts.collect());
            }
            Record::Rewalk => self.rewalk(),
            Record::Open(block) => {
                self.begun.insert(block.turn, block.task);
            }
            Record::Start(command) => {
                self.begun.entry(command.turn).or_insert(command.task);
            }
            Record::Run(_) | Record::Again(_) | Record::Left(_) | Record::Advice(_) => {}
            Record::Begin(_) => return None,
        }
        Some(())
    }

    /// The task has this result before that turn.
    pub(super) fn keep(&mut self, turn: u64, task: u32, result: TaskResult) {
        if self.repeat.is_some() {
            self.repeated.insert(task);
        }
        let kept = self.kept.entry(turn).or_default();
        kept.push(KeptTask { task, result });
    }

    pub(super) fn begin_repeating(&mut self, due: RepeatDue) {
        self.repeated.clear();
        self.repeat = Some(due);
    }

    /// The flow begins once more: what was done is only remembered.
    pub(super) fn rewalk(&mut self) {
        let end = self.flow.as_ref().map_or(u64::MAX, |flow| flow.turn);
        self.walked = Some(Walked {
            end,
            done: std::mem::take(&mut self.done),
            subs: std::mem::take(&mut self.subs),
            blocks: std::mem::take(&mut self.blocks),
        });
        self.cut(1);
    }

    /// To be called once the bytes are there: reads what is only remembered.
    pub(super) fn remember(&mut self) {
        if let Some(walked) = self.walked.take() {
            self.earlier = self.visits(walked);
        }
    }

    /// The passes through each task of the flow, in order.
    fn visits(&mut self, walked: Walked) -> HashMap<u32, VecDeque<EarlierVisit>> {
        let end = walked.end;
        // A block finds its subtasks where those of this walk are; it has none yet.
        let subs = std::mem::replace(&mut self.subs, walked.subs);
        let blocks = std::mem::replace(&mut self.blocks, walked.blocks);
        let done = &walked.done;
        let mut visits: HashMap<u32, VecDeque<EarlierVisit>> = HashMap::new();
        for range in done.range(..end).map(|(_, range)| range) {
            let Some((done, result)) = self.task_done(range) else {
                continue;
            };
            let visit = EarlierVisit {
                iteration: done.iteration,
                attempt: done.attempt,
                result,
            };
            let of_task = visits.entry(done.task).or_default();
            match of_task
                .back_mut()
                .filter(|_| (done.iteration, done.attempt) != (1, 1))
            {
                Some(last) => *last = visit,
                None => of_task.push_back(visit),
            }
        }
        for turn in self.blocks.range(..end).map(|(turn, _)| turn) {
            if let Some((task, block)) = self.block_of_turn(*turn) {
                visits.entry(task).or_default().push_back(EarlierVisit {
                    iteration: 1,
                    attempt: 1,
                    result: block.result,
                });
            }
        }
        (self.subs, self.blocks) = (subs, blocks);
        visits
    }

    /// The next pass through the task before the flow began once more; none if that
    /// did not end well.
    pub fn next_earlier_visit(&mut self, task: u32) -> Option<EarlierVisit> {
        let visits = self.earlier.get_mut(&task)?;
        // A failure that a later pass has made good is over: there may be no second pass
        // this time.
        let is_ok = |visit: &EarlierVisit| visit.result.outcome == Outcome::Ok;
        let is_first_ok = visits.front().is_none_or(is_ok);
        match visits.iter().position(is_ok).filter(|_| !is_first_ok) {
            Some(good) => visits.drain(..=good).next_back(),
            None => visits.pop_front(),
        }
    }

    /// The results that tasks have before this turn.
    pub fn kept_before(&self, turn: u64) -> impl Iterator<Item = &KeptTask> {
        self.kept.get(&turn).into_iter().flatten()
    }

    /// What is due to be repeated, unless nothing is.
    pub fn repeat_due(&self) -> Option<&RepeatDue> {
        self.repeat.as_ref()
    }

    /// Whether the task has been repeated since that was due.
    pub fn has_repeated(&self, task: u32) -> bool {
        self.repeated.contains(&task)
    }

    /// The final tasks that have run, or were ended while they did, by id.
    pub fn finals(&self) -> Vec<u32> {
        let Some(flow) = &self.flow else {
            return Vec::new();
        };
        let tasks = self.tasks(flow.turn..u64::MAX).into_iter();
        let mut ids: Vec<u32> = tasks.map(|(id, _)| id).collect();
        let blocks = self.blocks.range(flow.turn..);
        ids.extend(blocks.filter_map(|(turn, _)| Some(self.block_of_turn(*turn)?.0)));
        let begun = self.begun.iter().filter(|(turn, _)| **turn >= flow.turn);
        ids.extend(begun.map(|(_, task)| *task));
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The id of the task that ran last in the flow; nothing if that has come to its end.
    pub fn stopped_in(&self) -> Option<u32> {
        let end = match &self.flow {
            Some(flow) if flow.how != FlowStop::Stopped => return None,
            Some(flow) => flow.turn,
            None => u64::MAX,
        };
        let done = self.done.range(..end).next_back();
        let subs = self.subs.range(..end).next_back();
        let subs = subs.and_then(|(turn, subs)| Some((turn, &subs.last()?.1)));
        let (_, range) = done.into_iter().chain(subs).max_by_key(|(turn, _)| *turn)?;
        match self.record(range)? {
            Record::Done(done) => Some(done.task),
            Record::Sub(sub) => Some(sub.task),
            _ => None,
        }
    }

    /// The latest result of each task of the flow, by id. A block that was cut short
    /// has those of its subtasks that had ended, and an exit code of -1.
    pub fn latest(&self) -> BTreeMap<u32, TaskResult> {
        let latest = self.latest_by_turn().into_iter();
        latest.map(|(task, (_, result))| (task, result)).collect()
    }

    /// The same, with the turn in which each task last ran.
    pub fn latest_by_turn(&self) -> BTreeMap<u32, (u64, TaskResult)> {
        let end = self.flow.as_ref().map_or(u64::MAX, |flow| flow.turn);
        let mut latest: BTreeMap<u32, (u64, TaskResult)> = BTreeMap::new();
        let mut named: Vec<(u64, u32, Vec<String>)> = Vec::new();
        let mut note = |turn: u64, task: u32, result: TaskResult| {
            let known = latest.get(&task).is_some_and(|(t, _)| *t > turn);
            if !known {
                latest.insert(task, (turn, result));
            }
        };
        for (turn, range) in self.done.range(..end) {
            if let Some((done, result)) = self.task_done(range) {
                note(*turn, done.task, result);
            }
        }
        // What a task has before a turn is newer than what it did in the turn before.
        for (turn, kept) in &self.kept {
            kept.iter()
                .for_each(|kept| note(turn - 1, kept.task, kept.result.clone()));
        }
        for turn in self.blocks.range(..end).map(|(turn, _)| turn) {
            if let Some((task, block)) = self.block_of_turn(*turn) {
                named.push((*turn, task, block.names));
                note(*turn, task, block.result);
            }
        }
        for (turn, subs) in self.subs.range(..end) {
            self.note_subtasks(*turn, subs, &mut note);
        }
        named.retain(|(turn, task, _)| latest.get(task).is_some_and(|(t, _)| t == turn));
        for (_, task, names) in named {
            add_members(&mut latest, task, &names);
        }
        latest
    }

    /// Notes the results of a block's subtasks, and of the block if it has not ended.
    fn note_subtasks(
        &self,
        turn: u64,
        subs: &[(String, Range<usize>)],
        note: &mut impl FnMut(u64, u32, TaskResult),
    ) {
        let has_ended = self.blocks.contains_key(&turn);
        let mut copies: Option<(u32, HashMap<&str, TaskResult>)> = None;
        for (name, range) in subs {
            let Some(Record::Sub(sub)) = self.record(range) else {
                continue;
            };
            let Some(result) = self.decode(&sub.result) else {
                continue;
            };
            let is_copy = *name != sub.task.to_string();
            if !is_copy {
                note(turn, sub.task, result);
            } else if !has_ended {
                let (_, copies) = copies.get_or_insert_with(|| (sub.task, HashMap::new()));
                copies.insert(name, result);
            }
        }
        let Some((task, mut copies)) = copies else {
            return;
        };
        let mut block = TaskResult::without_process(Outcome::Cancelled, -1, 1);
        // It began with what it had done well in an earlier run.
        let kept = self.kept_before(turn).filter(|kept| kept.task == task);
        for member in kept.flat_map(|kept| &kept.result.members) {
            if !copies.contains_key(member.name.as_str()) {
                block.members.push(member.clone());
            }
        }
        // In the order in which they ended first.
        for (name, _) in subs {
            let result = copies.remove(name.as_str());
            let member = result.map(|result| Member::counted(name.clone(), result));
            block.members.extend(member);
        }
        note(turn, task, block);
    }

    /// Forgets what was recorded from that turn on.
    pub(super) fn cut(&mut self, turn: u64) {
        self.kept.retain(|t, _| *t <= turn);
        self.repeat = self.repeat.take().filter(|due| due.turn <= turn);
        self.done.retain(|t, _| *t < turn);
        self.subs.retain(|t, _| *t < turn);
        self.blocks.retain(|t, _| *t < turn);
        self.hosts.retain(|t, _| *t < turn);
        self.begun.retain(|t, _| *t < turn);
        self.flow = None;
        self.over = false;
        self.last = self.last.min(turn - 1);
    }

    /// The hosts of the block that began in that turn.
    pub fn hosts(&self, turn: u64) -> Option<&[String]> {
        self.hosts.get(&turn).map(Vec::as_slice)
    }

    /// The first turn that runs when the walk goes on: that of a block which was cut
    /// short, else the one after the last that was recorded. The turn in which the run
    /// stopped may be later: what was interrupted is not recorded.
    pub fn next_turn_to_run(&self) -> u64 {
        let cut_short = self.subs.keys().filter(|turn| !self.has_turn(**turn)).min();
        let blocks = self.blocks.keys();
        let blocks = blocks.filter_map(|turn| Some(self.block_of_turn(*turn)?.1.last));
        let done = self.done.keys().next_back().copied();
        let last = done.into_iter().chain(blocks).max();
        cut_short.copied().unwrap_or(last.unwrap_or(0) + 1)
    }

    /// How the flow ended, if it did.
    pub fn flow_end(&self) -> Option<&FlowEnd> {
        self.flow.as_ref()
    }

    /// Whether the final tasks have run as well.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Why an output that was kept in a file is not there: a sentence, if one is not.
    pub fn missing_output(&self) -> Option<&str> {
        self.missing.as_deref()
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
        let read = |(_, range)| {
            let (done, result) = self.task_done(range)?;
            Some((done.task, result))
        };
        within(&self.done, turns).filter_map(read).collect()
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
        self.subs.keys().copied().collect()
    }

    /// The block that had ended in that turn, with its members.
    ///
    /// # Errors
    /// That another task was recorded for this turn.
    pub fn block(&self, turn: u64, id: u32) -> Result<Option<RecordedBlock>, String> {
        if !self.blocks.contains_key(&turn) {
            return match self.done.contains_key(&turn) {
                true => Err(format!(
                    "step {turn} was recorded for something other than block {id}"
                )),
                false => Ok(None),
            };
        }
        match self.block_of_turn(turn) {
            None => Err(unreadable(turn)),
            Some((other, _)) if other != id => Err(format!(
                "step {turn} was recorded for block {other}, and is block {id} now"
            )),
            Some((_, block)) => Ok(Some(block)),
        }
    }

    /// The last result of each task or block in these turns, by its id.
    fn results_in(&self, turns: Range<u64>) -> HashMap<String, TaskResult> {
        let tasks = self.tasks(turns.clone()).into_iter();
        let blocks = within(&self.blocks, turns).filter_map(|(turn, _)| {
            let (id, block) = self.block_of_turn(*turn)?;
            Some((id, block.result))
        });
        tasks
            .chain(blocks)
            .map(|(id, result)| (id.to_string(), result))
            .collect()
    }

    /// The block of that turn, and the id of its task.
    fn block_of_turn(&self, turn: u64) -> Option<(u32, RecordedBlock)> {
        let Record::Block(block) = self.record(self.blocks.get(&turn)?)? else {
            return None;
        };
        let mut result = self.decode(&block.result)?;
        let subs = self.subtasks(turn).into_iter();
        let mut latest: HashMap<String, TaskResult> =
            subs.map(|(name, _, result)| (name, result)).collect();
        if latest.is_empty() {
            // The tasks of a branch ran in turns of their own.
            latest = self.results_in(turn + 1..block.last + 1);
        }
        let left_out: HashSet<&str> = block.left_out.iter().map(|n| n.as_ref()).collect();
        let members = block.members.iter().filter_map(|name| {
            let result = latest.remove(name.as_ref())?;
            Some(Member {
                left_out: left_out.contains(name.as_ref()),
                name: name.to_string(),
                result,
            })
        });
        result.members = members.collect();
        let recorded = RecordedBlock {
            last: block.last,
            result,
            names: block.members.iter().map(|n| n.to_string()).collect(),
        };
        Some((block.task, recorded))
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
        result.decode(&self.spool, &mut None)
    }
}

/// The entries of these turns, in order.
fn within<T>(by_turn: &BTreeMap<u64, T>, turns: Range<u64>) -> impl Iterator<Item = (&u64, &T)> {
    // An end before its start would be no range.
    let end = turns.end.max(turns.start);
    by_turn.range(turns.start..end)
}

/// Gives a conditional block the members that it lacks: what they did is recorded as
/// theirs, or before its turns if it was restored.
fn add_members(latest: &mut BTreeMap<u32, (u64, TaskResult)>, task: u32, names: &[String]) {
    let Some((_, block)) = latest.get(&task) else {
        return;
    };
    let lacks = |name: &&String| block.members.iter().all(|m| m.name != **name);
    let added = names.iter().filter(lacks).filter_map(|name| {
        let (_, result) = latest.get(&name.parse().ok()?)?;
        Some(Member::counted(name.clone(), result.clone()))
    });
    let added: Vec<Member> = added.collect();
    if let Some((_, result)) = latest.get_mut(&task) {
        result.members.extend(added);
        let place = |m: &Member| names.iter().position(|name| *name == m.name);
        result.members.sort_by_key(place);
    }
}

fn unreadable(turn: u64) -> String {
    format!("step {turn} cannot be read")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Outcome;
    use crate::run::record::{self, MAGIC};
    use crate::run::{frame, snapshot};
    use crate::text::chance::Chance;

    /// A journal of these records, with fields that are separated by spaces.
    fn journal(records: &[String]) -> Vec<u8> {
        let begin = "begin 0 R 1 1 m /f /d s 1 whole  stop - - - 0 0 0 0 0".to_string();
        let (mut bytes, mut checksum) = (MAGIC.to_vec(), 0);
        for record in [&begin].into_iter().chain(records) {
            let fields = record.replace(' ', "\t");
            let (record, sum) = frame::encode(fields.as_bytes(), checksum);
            bytes.extend(record);
            checksum = sum;
        }
        bytes
    }

    /// Asks everything that a replay asks.
    fn use_up(run: &mut RecordedRun) {
        run.remember();
        let (next, last) = (run.next_turn_to_run(), run.last_turn());
        assert!(next > 0 && run.latest().len() + run.finals().len() < 100);
        for turn in [1, 2, 3, last, last + 1, next] {
            for id in [1, 10] {
                let _ = (run.task(turn, id, Position::at(0)), run.block(turn, id));
            }
            run.subtasks(turn);
            run.kept_before(turn).count();
        }
        run.stopped_in();
        run.tasks(1..u64::MAX);
        run.turns_with_subtasks();
        while run
            .next_earlier_visit(1)
            .or(run.next_earlier_visit(10))
            .is_some()
        {}
    }

    #[test]
    fn no_record_is_read_past_its_end_or_trusted() {
        const RESULT: &str = "ok 0 true false 0 1 0 1 0 0 h c - memory x memory -";
        let forms = [
            "kept 1 10 RESULT",
            "member 1 10 a true RESULT",
            "done 1 1 1 1 false RESULT",
            "done 2 10 2 1 false RESULT",
            "sub 3 a 10 RESULT",
            "block 3 10 3 RESULT 2 a b",
            "flow 2 1 stopped 1",
            "over",
            "cut 2",
            "repeat 2 90",
            "hosts 3 a b",
            "rewalk",
            "open 1 10 4 0 T 5",
            "start 1 10 10.1 a T true false 6",
            "left 1 10 10.2",
            "again 1 10 a 8",
            "run 7 1 9 /log /dir f.txt",
            "advice line words",
        ];
        let most = u64::MAX.to_string();
        let last = (u64::MAX / 2 - 1).to_string();
        let odd = [
            "",
            "0",
            "-1",
            "4294967295",
            "2147483646",
            &last,
            &most,
            "\\s9;",
            "x",
        ];
        let mut chance = Chance::new(17);
        let (mut read, spool) = (0, Spool::in_directory("/nowhere"));
        for _ in 0..4000 {
            let records: Vec<String> = (0..1 + chance.below(8))
                .map(|_| {
                    let form = forms[chance.below(forms.len())].replace("RESULT", RESULT);
                    let mut fields: Vec<&str> = form.split(' ').collect();
                    let at = 1 + chance.below(fields.len());
                    if let Some(field) = fields.get_mut(at).filter(|_| chance.below(2) == 0) {
                        *field = odd[chance.below(odd.len())];
                    }
                    fields.join(" ")
                })
                .collect();
            let bytes = journal(&records);
            let mut run = RecordedRun::new(&[], &spool);
            let scanned = record::scan(&bytes, Some(&[]), |record, at| run.add(record, at));
            if scanned.is_ok() {
                run.bytes = bytes.clone();
                use_up(&mut run);
                run.rewalk();
                use_up(&mut run);
                read += 1;
            }
            if let Ok(snapshot) = snapshot::read(&bytes) {
                let block = snapshot.block.iter();
                block.for_each(|block| assert!(snapshot.block_counts(block).total() < 2_000_000));
                snapshot.done_tasks();
            }
        }
        assert!(read > 1000, "{read} were journals");
    }

    /// The members of the block of turn 1, and whether each is left out.
    fn members(names: &str) -> Vec<(String, Outcome, bool)> {
        let result = |outcome: &str| {
            format!("{outcome}\t255\tfalse\tfalse\t0\t17\t0\t1\t0\t0\tx\t\t\tmemory\t\tmemory\t")
        };
        let records = [
            format!("sub\t1\tbad\t10\t{}", result("unreachable")),
            format!("sub\t1\tgood\t10\t{}", result("ok")),
            format!("block\t1\t10\t1\t{}\t{names}", result("ok")),
        ];
        let spool = Arc::new(Spool::in_directory("/nowhere"));
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
    fn hosts_that_were_left_out_are_members() {
        let (bad, good) = (Outcome::Unreachable, Outcome::Ok);
        let all = [("bad".into(), bad, true), ("good".into(), good, false)];
        assert_eq!(members("2\tbad\tgood\tbad"), all);
    }
}
