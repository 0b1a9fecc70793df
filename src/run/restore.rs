//! The engine's side of the journal: records what is done, and on a resumed run
//! takes it from there instead of doing it again.
#![forbid(unsafe_code)]

use super::engine::Engine;
use super::evaluation::TaskContext;
use super::event::{About, Event};
use super::journal::{FlowEnd, Journal};
use super::result::TaskResult;
use crate::exit;
use crate::outcome::Outcome;
use crate::plan::flow::{Decision, Position, Step};
use crate::task::{Ix, Members, Parallel, Task};
use std::collections::HashMap;
use std::time::Duration;

/// What the engine knows about its journal.
#[derive(Default)]
pub(super) struct Memory {
    pub journal: Option<Journal>,
    /// `--finish-only`: nothing but final tasks is run.
    pub finish_only: bool,
    /// The task or block that is at work; see `run::journal`.
    pub turn: u64,
    /// Nothing is told of what is restored.
    pub muted: bool,
    /// The block that stopped the run is run again: of its tasks only those that
    /// did not succeed.
    pub redo: bool,
    pub in_finals: bool,
    /// Final tasks were left out for a second signal.
    pub finals_left: bool,
    told_broken: bool,
    /// The journal is not of this run.
    pub diverged: Option<String>,
}

impl<'a> Engine<'a> {
    /// Has the run recorded, and what the journal holds restored.
    pub fn with_journal(mut self, journal: Journal, finish_only: bool) -> Engine<'a> {
        self.memory.muted = journal.last() > 0;
        self.memory.journal = Some(journal);
        self.memory.finish_only = finish_only;
        self
    }

    /// Begins a turn; its number.
    pub(super) fn next_turn(&mut self) -> u64 {
        self.memory.turn += 1;
        let turn = self.memory.turn;
        let journal = self.memory.journal.as_ref();
        self.memory.muted = journal.is_some_and(|j| j.has(turn) || j.last() > turn);
        turn
    }

    pub(super) fn turn(&self) -> u64 {
        self.memory.turn
    }

    /// Whether what comes after the present turn is recorded, so that there is
    /// nothing to wait for.
    pub(super) fn is_restoring(&self) -> bool {
        let journal = self.memory.journal.as_ref();
        journal.is_some_and(|j| j.last() > self.memory.turn)
    }

    fn was_restored(&self, turn: u64) -> bool {
        let journal = self.memory.journal.as_ref();
        journal.is_some_and(|j| j.has(turn))
    }

    /// Nothing may start any more: the journal cannot be written, or is of
    /// another run, or the deadline leaves no time.
    pub(super) fn is_blocked(&self) -> bool {
        if self.memory.in_finals {
            return false;
        }
        self.is_broken() || self.memory.diverged.is_some() || self.missed().is_some()
    }

    /// Why nothing starts any more.
    pub(super) fn block_cause(&self) -> String {
        match (&self.memory.diverged, self.is_broken(), self.missed()) {
            (Some(_), ..) => "the journal is of another run".into(),
            (None, false, Some(cause)) => cause.to_string(),
            (None, ..) => "the journal cannot be written".into(),
        }
    }

    /// The exit code of a walk that is over for that.
    pub(super) fn blocked_exit(&self) -> i32 {
        match (&self.memory.diverged, self.is_broken()) {
            (Some(_), _) => exit::POSITION,
            (None, true) => exit::LOG_DIR,
            (None, false) => exit::DEADLINE,
        }
    }

    fn is_broken(&self) -> bool {
        let journal = self.memory.journal.as_ref();
        journal.is_some_and(|j| j.broken().is_some())
    }

    fn diverge(&mut self, why: String) {
        self.memory.muted = false;
        let text = format!("the journal does not fit this file, so nothing is run: {why}");
        self.warn("", &text);
        self.memory.diverged = Some(text);
    }

    // Tasks.

    /// The task's recorded result of this turn, and whether it was refused.
    pub(super) fn restored_task(&mut self, at: Position) -> Option<(TaskResult, bool)> {
        let turn = self.memory.turn;
        let id = self.workflow.tasks[at.task].id;
        let in_finals = self.memory.in_finals;
        let journal = self.memory.journal.as_ref()?;
        if in_finals && !journal.has(turn) {
            // Left by a signal, while those after it have run.
            return None;
        }
        let (result, refused) = match journal.done(turn, id, at) {
            Ok(done) => done?,
            Err(why) => {
                self.diverge(why);
                return None;
            }
        };
        self.tell_restored(at, &result);
        Some((result, refused))
    }

    fn tell_restored(&mut self, at: Position, result: &TaskResult) {
        let context = self.context(at);
        let muted = std::mem::replace(&mut self.memory.muted, false);
        let title = self.title(&self.workflow.tasks[at.task], &context);
        let about = context.about(&title);
        self.emit(Event::Restored { about, result });
        self.memory.muted = muted;
    }

    /// Records the task that has its result, and has it on the disk before the
    /// flow moves on.
    pub(super) fn record_step(&mut self, turn: u64, at: Position, refused: bool) {
        let task = &self.workflow.tasks[at.task];
        let Some(journal) = &mut self.memory.journal else {
            return;
        };
        let Some(result) = self.results.get(at.task) else {
            return;
        };
        // What was cut short is to be run again; so it is as if it had not begun.
        let known = journal.has(turn) || !result.is_judged();
        if known || self.memory.diverged.is_some() {
            self.memory.muted = journal.last() > self.memory.turn;
            return;
        }
        if task.is_block() {
            journal.add_block(turn, task.id, self.memory.turn, result);
        } else {
            journal.add_done((turn, task.id), at, refused, result);
        }
        self.sync();
    }

    pub(super) fn is_unsynced(&self) -> bool {
        self.memory.journal.as_ref().is_some_and(Journal::is_dirty)
    }

    /// Brings to the disk what was recorded; tells once that it is not possible.
    pub(super) fn sync(&mut self) {
        let Some(journal) = &mut self.memory.journal else {
            return;
        };
        let was_broken = self.memory.told_broken;
        journal.sync();
        if let Some(why) = journal.broken().map(str::to_string)
            && !was_broken
        {
            self.memory.told_broken = true;
            self.warn("", &format!("{why}; nothing new starts"));
        }
    }

    // What is under way.

    /// Tells the journal that the task's command was handed out: afterwards, so that
    /// the command does not wait for it.
    pub(super) fn note_start(&mut self, task: u32, about: &About) {
        let turn = self.memory.turn;
        if let Some(journal) = &mut self.memory.journal {
            journal.note_start((turn, task), about);
        }
    }

    /// The same of a block with so many subtasks, some of them over before.
    pub(super) fn note_open(
        &mut self,
        task: &Task,
        context: &TaskContext,
        total: usize,
        kept: usize,
    ) {
        let title = self.title(task, context);
        let turn = self.memory.turn;
        if let Some(journal) = &mut self.memory.journal {
            journal.note_open((turn, task.id), total, kept, &title);
        }
    }

    pub(super) fn note_again(&mut self, task: u32, name: &str) {
        let turn = self.memory.turn;
        if let Some(journal) = &mut self.memory.journal {
            journal.note_again((turn, task), name);
        }
    }

    // Parallel blocks.

    /// The block as it was recorded, its tasks' results restored.
    pub(super) fn restored_block(&mut self, ix: Ix, parallel: &Parallel) -> Option<TaskResult> {
        let turn = self.memory.turn;
        let id = self.workflow.tasks[ix].id;
        let journal = self.memory.journal.as_ref()?;
        let done = match journal.block(turn, id) {
            Ok(done) => done?,
            Err(why) => {
                self.diverge(why);
                return None;
            }
        };
        let checks = journal.done_in(turn + 1..done.last + 1);
        self.memory.turn = done.last;
        self.restore_results(checks);
        if let Members::Tasks(tasks) = &parallel.members {
            for member in tasks {
                let name = self.workflow.tasks[*member].id.to_string();
                let found = done.result.members.iter().find(|m| m.name == name);
                if let Some(member_of) = found {
                    self.results.set(*member, member_of.result.clone());
                }
            }
        }
        self.tell_restored(Position::at(ix), &done.result);
        Some(done.result)
    }

    fn restore_results(&mut self, done: Vec<(u32, TaskResult)>) {
        for (id, result) in done {
            if let Some(ix) = self.workflow.find(&id.to_string()) {
                self.results.set(ix, result);
            }
        }
    }

    /// The subtasks by name that succeeded when the block was begun before, and
    /// whether they are recorded for this turn.
    pub(super) fn kept_subtasks(&self, ix: Ix) -> HashMap<String, (TaskResult, bool)> {
        let mut kept = HashMap::new();
        if self.memory.redo {
            for member in self.results.get(ix).map_or(&[][..], |r| &r.members) {
                kept.insert(member.name.clone(), (member.result.clone(), false));
            }
        }
        if let Some(journal) = &self.memory.journal {
            for (name, _, result) in journal.subs(self.memory.turn) {
                kept.insert(name, (result, true));
            }
        }
        kept.retain(|_, (result, _)| matches!(result.outcome, Outcome::Ok | Outcome::Skipped));
        kept
    }

    /// What a conditional that is run again had come to: its condition, and the
    /// tasks that succeeded.
    pub(super) fn kept_branch(&self, id: u32) -> Option<(bool, Vec<String>)> {
        let ix = self.workflow.find(&id.to_string())?;
        let result = self.results.get(ix).filter(|_| self.memory.redo)?;
        let chosen = match result.stdout.trimmed().as_ref() {
            b"condition true" => true,
            b"condition false" => false,
            _ => return None,
        };
        let done = result.members_that(&[Outcome::Ok, Outcome::Skipped]);
        Some((chosen, done.into_iter().map(str::to_string).collect()))
    }

    /// How long the block of that turn took when it ran.
    pub(super) fn restored_time(&self, turn: u64, id: u32) -> Option<Duration> {
        let journal = self.memory.journal.as_ref()?;
        let done = journal.block(turn, id).ok()??;
        Some(done.result.took)
    }

    pub(super) fn record_sub(
        &mut self,
        turn: u64,
        ix: Ix,
        name: &str,
        label: &str,
        result: &TaskResult,
    ) {
        if matches!(result.outcome, Outcome::Cancelled) {
            return;
        }
        let id = self.workflow.tasks[ix].id;
        if let Some(journal) = &mut self.memory.journal {
            journal.add_sub(turn, id, name, label, result);
        }
    }

    // The flow.

    /// Whether the decision ends a restored run at the task that stopped it, which
    /// is then to be run again.
    pub(super) fn stopped_here(&self, turn: u64, decision: &Decision) -> bool {
        is_stop(decision) && !self.memory.finish_only && self.was_restored(turn)
    }

    /// With `--finish-only`: whether the walk is at the end of what was done.
    pub(super) fn is_at_the_end(&self) -> bool {
        let Some(journal) = self
            .memory
            .journal
            .as_ref()
            .filter(|_| self.memory.finish_only)
        else {
            return false;
        };
        let next = self.memory.turn + 1;
        let ended = journal.flow().is_some_and(|flow| next >= flow.turn);
        ended || !journal.has(next)
    }

    /// Restores what was done within a block that was not over.
    pub(super) fn restore_the_rest(&mut self) {
        let from = self.memory.turn + 1;
        let Some(journal) = &self.memory.journal else {
            return;
        };
        let to = journal.flow().map_or(journal.last() + 1, |flow| flow.turn);
        let done = journal.done_in(from..to);
        let turns = journal.turns_with_subs();
        let subs: Vec<(u32, TaskResult)> = turns
            .into_iter()
            .filter(|turn| (from..to).contains(turn))
            .flat_map(|turn| journal.subs(turn))
            .map(|(_, id, result)| (id, result))
            .collect();
        self.restore_results(done);
        for (id, result) in subs {
            let ix = self.workflow.find(&id.to_string());
            // A copy for a host has no result of its own.
            if let Some(ix) = ix.filter(|ix| !self.workflow.tasks[*ix].is_block()) {
                self.results.set(ix, result);
            }
        }
        self.memory.turn = to - 1;
        self.memory.muted = false;
    }

    /// Records that the flow is over, before the final tasks begin.
    pub(super) fn record_flow(&mut self, exit: i32, complete: bool, at: Ix) {
        let flow = FlowEnd {
            turn: self.memory.turn + 1,
            exit,
            complete,
            task: self.workflow.tasks[at].id,
        };
        if let Some(journal) = &mut self.memory.journal
            && journal.flow().is_none()
            && self.memory.diverged.is_none()
        {
            journal.add_flow(&flow);
        }
    }

    pub(super) fn record_over(&mut self, exit: i32) {
        // A second signal may have left some of them out: those are still to do.
        if let Some(journal) = &mut self.memory.journal
            && self.memory.diverged.is_none()
            && !self.memory.finals_left
        {
            journal.add_over(exit != exit::OK || !self.complete);
        }
    }
}

/// Whether the run stops there, for a failure that nothing handles.
pub(super) fn is_stop(decision: &Decision) -> bool {
    decision.failure && matches!(decision.step, Step::End(_))
}
