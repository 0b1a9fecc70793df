//! The replay of a journal: a resumed run takes from it what was done before, and
//! every run records there what it does.
//!
//! Owns the journal and counts the turns (`run::journal` says what a turn is). It
//! answers questions and emits nothing: it does not know the engine that walks.
#![forbid(unsafe_code)]

use super::event::About;
use super::journal::Journal;
use super::record::{FlowEnd, FlowStop};
use super::recorded_run::{EarlierVisit, KeptTask};
use super::result::TaskResult;
use crate::outcome::Outcome;
use crate::plan::flow::Position;
use crate::task::{Task, TaskKind};
use std::collections::HashMap;
use std::time::Duration;

/// The journal of this run and how far the walk has come in it. Without a journal,
/// as in a rehearsal, nothing is replayed or recorded.
#[derive(Default)]
pub struct Replay {
    journal: Option<Journal>,
    /// `--finish-only`: only final tasks run.
    pub finish_only: bool,
    turn: u64,
    /// The first turn of the final tasks, once the flow has ended.
    flow_turn: u64,
    /// How it ended, as it was recorded last.
    flow_end: Option<FlowEnd>,
    muted: bool,
    /// Whether the next step runs again only what of it did not succeed.
    pub redo: Redo,
    /// What was due to be repeated has been.
    pub repeats_are_done: bool,
    /// The turn whose kept results have been asked for.
    caught_up: u64,
    broken_reported: bool,
    diverged: Option<String>,
}

/// What of a step runs again that had run before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Redo {
    /// All of it.
    #[default]
    Whole,
    /// The subtasks of a block that did not succeed, each in its wave.
    Unfinished,
    /// The same, in waves over these.
    InNewWaves,
    /// The subtasks that did not succeed when the flow was walked before, and those that
    /// the block did not have then.
    Remembered,
}

/// A block as it was recorded.
pub struct ReplayedBlock {
    pub result: TaskResult,
    /// The results of tasks that ran between its waves, by id.
    pub checks: Vec<(u32, TaskResult)>,
}

impl Replay {
    pub fn new(journal: Journal, finish_only: bool) -> Replay {
        let redo = match journal.recorded.kept_before(1).next() {
            Some(_) => Redo::InNewWaves,
            None => Redo::Whole,
        };
        Replay {
            muted: journal.recorded.last_turn() > 0,
            redo,
            journal: Some(journal),
            finish_only,
            ..Replay::default()
        }
    }

    /// The journal, and why it turned out to belong to another run.
    pub fn into_parts(self) -> (Option<Journal>, Option<String>) {
        (self.journal, self.diverged)
    }

    // Turns.

    /// Begins a turn and returns its number.
    pub fn begin_turn(&mut self) -> u64 {
        self.turn += 1;
        let journal = self.journal.as_ref();
        self.muted = journal
            .is_some_and(|j| j.recorded.has_turn(self.turn) || j.recorded.last_turn() > self.turn);
        self.turn
    }

    pub fn turn(&self) -> u64 {
        self.turn
    }

    /// Whether a later turn than the present one is recorded, so that there is
    /// nothing to wait for.
    pub fn is_replaying(&self) -> bool {
        self.last_turn() > self.turn
    }

    /// Whether the turn is recorded to its end.
    pub fn has_recorded(&self, turn: u64) -> bool {
        self.journal
            .as_ref()
            .is_some_and(|j| j.recorded.has_turn(turn))
    }

    /// Whether events are suppressed: they were reported when the turn was recorded.
    pub fn is_muted(&self) -> bool {
        self.muted
    }

    /// Reports nothing until the turn has been recorded: it was reported then.
    pub fn mute(&mut self) {
        self.muted = true;
    }

    /// Reports everything from here on.
    pub fn unmute(&mut self) {
        self.muted = false;
    }

    // What a run begins with that goes on with an earlier one.

    /// The results that tasks have before the next turn without having run in one.
    pub fn kept_before_next_turn(&mut self) -> Vec<(u32, TaskResult)> {
        let is_new = std::mem::replace(&mut self.caught_up, self.turn + 1) != self.turn + 1;
        let Some(journal) = self.journal.as_ref().filter(|_| is_new) else {
            return Vec::new();
        };
        let kept = journal.recorded.kept_before(self.turn + 1);
        kept.map(|KeptTask { task, result, .. }| (*task, result.clone()))
            .collect()
    }

    /// Whether tasks with `on_resume=repeat` are due before the next turn: it is the first
    /// that is not recorded. A conditional begins with turns that may be.
    pub fn repeat_is_due(&self, task: &Task) -> bool {
        let Some(journal) = self.journal.as_ref().filter(|_| !self.finish_only) else {
            return false;
        };
        let next = self.turn + 1;
        let has_begun = matches!(task.kind, TaskKind::Conditional(_)) && self.last_turn() > next;
        let is_due = journal
            .recorded
            .repeat_due()
            .is_some_and(|due| due.turn >= next);
        is_due && !self.repeats_are_done && !self.has_recorded(next) && !has_begun
    }

    fn last_turn(&self) -> u64 {
        let journal = self.journal.as_ref();
        journal.map_or(0, |j| j.recorded.last_turn())
    }

    /// Whether the task has been repeated since that was due.
    pub fn has_repeated(&self, task: u32) -> bool {
        let journal = self.journal.as_ref();
        journal.is_some_and(|j| j.recorded.has_repeated(task))
    }

    /// Records that the task has been repeated before the next turn.
    pub fn record_repeated(&mut self, task: u32, result: &TaskResult) {
        let turn = self.turn + 1;
        if let Some(journal) = &mut self.journal {
            journal.add_kept(turn, task, result);
        }
    }

    /// How the next pass through the task ended before the flow began once more.
    pub fn next_earlier_visit(&mut self, task: u32) -> Option<EarlierVisit> {
        self.journal.as_mut()?.recorded.next_earlier_visit(task)
    }

    // What stops a run.

    /// Whether the journal cannot be written any more.
    pub fn is_broken(&self) -> bool {
        let journal = self.journal.as_ref();
        journal.is_some_and(|j| j.broken().is_some())
    }

    /// Whether the journal turned out to belong to another run.
    pub fn has_diverged(&self) -> bool {
        self.diverged.is_some()
    }

    /// Notes that the journal belongs to another run, and returns the warning.
    fn diverge(&mut self, why: &str) -> String {
        self.muted = false;
        let text = format!("the journal does not match this file, so nothing was run: {why}");
        self.diverged.insert(text).clone()
    }

    // What was done.

    /// The recorded result of this turn's task, and whether it was refused.
    ///
    /// # Errors
    /// The warning to report when this turn was another task's.
    pub fn task(&mut self, id: u32, at: Position) -> Result<Option<(TaskResult, bool)>, String> {
        match &self.journal {
            None => Ok(None),
            Some(journal) => journal
                .recorded
                .task(self.turn, id, at)
                .map_err(|why| self.diverge(&why)),
        }
    }

    /// The parallel block recorded in this turn; moves on to its last turn.
    ///
    /// # Errors
    /// As `task`.
    pub fn block(&mut self, id: u32) -> Result<Option<ReplayedBlock>, String> {
        let Some(journal) = &self.journal else {
            return Ok(None);
        };
        let turn = self.turn;
        let done = journal
            .recorded
            .block(turn, id)
            .map_err(|why| self.diverge(&why))?;
        Ok(done.zip(self.journal.as_ref()).map(|(done, journal)| {
            self.turn = done.last;
            ReplayedBlock {
                result: done.result,
                checks: journal.recorded.tasks(turn + 1..done.last + 1),
            }
        }))
    }

    /// How long the block of that turn took when it ran.
    pub fn block_time(&self, turn: u64, id: u32) -> Option<Duration> {
        let journal = self.journal.as_ref()?;
        let done = journal.recorded.block(turn, id).ok()??;
        Some(done.result.took)
    }

    /// The subtasks by name that had succeeded when the block was interrupted, and
    /// whether they are recorded for this turn. `before` is the block's result.
    pub fn kept_subtasks(
        &self,
        before: Option<&TaskResult>,
    ) -> HashMap<String, (TaskResult, bool)> {
        let mut kept = HashMap::new();
        for member in before
            .filter(|_| self.redo != Redo::Whole)
            .map_or(&[][..], |r| &r.members)
        {
            kept.insert(member.name.clone(), (member.result.clone(), false));
        }
        if let Some(journal) = &self.journal {
            for (name, _, result) in journal.recorded.subtasks(self.turn) {
                kept.insert(name, (result, true));
            }
        }
        kept.retain(|_, (result, _)| matches!(result.outcome, Outcome::Ok | Outcome::Skipped));
        kept
    }

    /// For a conditional that runs again: what its condition was, if that is known, and
    /// the names of the tasks that succeeded. `before` is the block's result.
    pub fn kept_branch(&self, before: Option<&TaskResult>) -> (Option<bool>, Vec<String>) {
        let Some(result) = before.filter(|_| self.redo != Redo::Whole) else {
            return (None, Vec::new());
        };
        let chosen = match result.stdout.head(16).as_ref() {
            b"condition true\n" => Some(true),
            b"condition false\n" => Some(false),
            // It was cut short before it had a result.
            _ => None,
        };
        let done = result.members_with(&[Outcome::Ok, Outcome::Skipped]);
        (chosen, done.into_iter().map(str::to_string).collect())
    }

    /// Whether a `--finish-only` walk has come to the end of what was done.
    pub fn is_at_the_end(&self) -> bool {
        let Some(journal) = self.journal.as_ref().filter(|_| self.finish_only) else {
            return false;
        };
        let next = self.turn + 1;
        let ended = journal
            .recorded
            .flow_end()
            .is_some_and(|flow| next >= flow.turn);
        ended || !journal.recorded.has_turn(next)
    }

    /// Moves to the end of the flow: the results, by task id, of what was done in
    /// a block that had not ended.
    pub fn skip_to_the_end(&mut self) -> Vec<(u32, TaskResult)> {
        let Some(journal) = &self.journal else {
            return Vec::new();
        };
        let from = self.turn + 1;
        let to = journal
            .recorded
            .flow_end()
            .map_or(journal.recorded.last_turn() + 1, |flow| flow.turn);
        let turns = journal.recorded.turns_with_subtasks();
        let subtasks = turns
            .into_iter()
            .filter(|turn| (from..to).contains(turn))
            .flat_map(|turn| journal.recorded.subtasks(turn))
            .map(|(_, id, result)| (id, result));
        let mut done = journal.recorded.tasks(from..to);
        done.extend(subtasks);
        self.turn = to - 1;
        self.muted = false;
        done
    }

    // Recording.

    /// Records the result of the task or block that began with `turn`; returns
    /// whether there was anything to record.
    pub fn record(
        &mut self,
        turn: u64,
        task: &Task,
        at: Position,
        refused: bool,
        result: &TaskResult,
    ) -> bool {
        let Some(journal) = &mut self.journal else {
            return false;
        };
        // What was cut short runs again, as if it had not begun.
        let known = journal.recorded.has_turn(turn) || !result.is_judged();
        if known || self.diverged.is_some() {
            self.muted = journal.recorded.last_turn() > self.turn;
            return false;
        }
        if task.is_block() {
            journal.add_block(turn, task.id, self.turn, result);
        } else {
            journal.add_task((turn, task.id), at, refused, result);
        }
        true
    }

    /// Records a finished subtask of the block that began with `turn`.
    pub fn record_subtask(
        &mut self,
        turn: u64,
        task: u32,
        name: &str,
        label: &str,
        result: &TaskResult,
    ) {
        if matches!(result.outcome, Outcome::Cancelled) {
            return;
        }
        if let Some(journal) = &mut self.journal {
            journal.add_subtask(turn, task, name, label, result);
        }
    }

    /// Whether something is written but not synced.
    pub fn is_unsynced(&self) -> bool {
        self.journal.as_ref().is_some_and(Journal::is_dirty)
    }

    /// Syncs what was recorded; returns why if this fails for the first time.
    pub fn sync(&mut self) -> Option<String> {
        let journal = self.journal.as_mut()?;
        journal.sync();
        let why = journal.broken()?.to_string();
        (!std::mem::replace(&mut self.broken_reported, true)).then_some(why)
    }

    /// Syncs a new journal: once a command runs, so that it does not wait for it.
    pub fn sync_new(&mut self) {
        if let Some(journal) = &mut self.journal {
            journal.sync_new();
        }
    }

    /// Notes that a command is about to start, or to connect to its host.
    pub fn note_start(&mut self, task: u32, about: &About, connects: bool) {
        if let Some(journal) = &mut self.journal {
            journal.note_start((self.turn, task), about, connects);
        }
    }

    /// Notes that a command was cut short and may go on: it runs again, as one that ran
    /// when tasker died.
    pub fn note_left(&mut self, task: u32, label: &str) {
        if let Some(journal) = &mut self.journal {
            journal.note_left((self.turn, task), label);
        }
    }

    /// Notes that a block began; `kept` of its `total` subtasks had succeeded.
    pub fn note_block(&mut self, task: u32, total: usize, kept: usize, title: &str) {
        if let Some(journal) = &mut self.journal {
            journal.note_open((self.turn, task), total, kept, title);
        }
    }

    /// The hosts that the block of this turn began with, or the block that stopped the
    /// run. `before` is that block's result.
    pub fn hosts_begun_with(&self, before: Option<&TaskResult>) -> Option<Vec<String>> {
        let journal = self.journal.as_ref()?;
        if let Some(hosts) = journal.recorded.hosts(self.turn) {
            return Some(hosts.to_vec());
        }
        // A member of a branch that ended before it, or a set that was refused, had none.
        let has_begun = |result: &&TaskResult| !result.members.is_empty();
        let before = before.filter(|_| self.redo == Redo::Unfinished);
        let before = before.filter(has_begun)?;
        Some(before.members.iter().map(|m| m.name.clone()).collect())
    }

    /// Records the hosts that the block of this turn begins with.
    pub fn record_hosts(&mut self, hosts: &[String]) {
        let turn = self.turn;
        if let Some(journal) = &mut self.journal
            && journal.recorded.hosts(turn).is_none()
        {
            journal.add_hosts(turn, hosts);
        }
    }

    /// Notes that a subtask waits for its next attempt.
    pub fn note_retry(&mut self, task: u32, name: &str) {
        if let Some(journal) = &mut self.journal {
            journal.note_again((self.turn, task), name);
        }
    }

    /// Records that the flow has ended, before the final tasks begin.
    pub fn record_flow(&mut self, exit: i32, complete: bool, task: u32) {
        let known = self.journal.as_ref().and_then(|j| j.recorded.flow_end());
        self.flow_turn = known.map_or(self.turn + 1, |flow| flow.turn);
        let how = match complete {
            true => FlowStop::Reached,
            false if self.finish_only => FlowStop::Closed,
            false => FlowStop::Stopped,
        };
        if known.is_none_or(|flow| flow.how != how) {
            self.write_flow_end(exit, how, task);
        }
    }

    /// How the flow of the run ended that `--finish-only` closes, if it did.
    pub fn recorded_flow_end(&self) -> Option<&FlowEnd> {
        self.journal.as_ref()?.recorded.flow_end()
    }

    /// Records that a good run failed at this final task: it stopped there, and if it is
    /// resumed, the final tasks run again (SPEC §3.7).
    pub fn record_final_failure(&mut self, exit: i32, task: u32) {
        self.write_flow_end(exit, FlowStop::Stopped, task);
    }

    /// Records that the final tasks that were running were ended: nothing of them is in
    /// flight.
    pub fn record_finals_cut_short(&mut self) {
        let flow = self.flow_end.as_ref().or(self.recorded_flow_end());
        let flow = flow.cloned();
        if let (Some(flow), Some(journal)) = (flow, &mut self.journal) {
            journal.add_flow_end(&flow);
        }
    }

    fn write_flow_end(&mut self, exit: i32, how: FlowStop, task: u32) {
        let flow = FlowEnd {
            turn: self.flow_turn,
            exit,
            how,
            task,
        };
        if let Some(journal) = &mut self.journal
            && self.diverged.is_none()
        {
            journal.add_flow_end(&flow);
            self.flow_end = Some(flow);
        }
    }

    /// Records that the final tasks have run; `kept` says that the journal is not
    /// removed next.
    pub fn record_over(&mut self, kept: bool) {
        if let Some(journal) = &mut self.journal
            && self.diverged.is_none()
        {
            journal.add_over(kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_journal_nothing_is_replayed() {
        let mut replay = Replay::default();
        assert_eq!((replay.begin_turn(), replay.begin_turn()), (1, 2));
        let at = Position::at(0);
        assert!(matches!(replay.task(0, at), Ok(None)));
        assert!(matches!(replay.block(0), Ok(None)));
        assert!(!replay.is_replaying() && !replay.is_muted() && !replay.is_at_the_end());
        assert!(replay.skip_to_the_end().is_empty() && replay.sync().is_none());
    }
}
