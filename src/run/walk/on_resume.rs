//! What a run begins with that goes on with an earlier one (SPEC §6.4): the results
//! that its tasks have already, the tasks with `on_resume=repeat`, and in a run of
//! `--keep-going` what was done when its flow was walked before.
#![forbid(unsafe_code)]

use super::engine::Engine;
use crate::outcome::Outcome;
use crate::plan::flow::{self, Choice, FlowInput, Position};
use crate::run::replay::Redo;
use crate::task::{Ix, TaskKind};

impl Engine<'_> {
    /// Before a step: gives tasks the results they have without running, and runs those
    /// again that are due.
    pub(super) fn catch_up(&mut self, next: Ix) {
        for (id, result) in self.replay.kept_before_next_turn() {
            if let Some(ix) = self.workflow.find(&id.to_string()) {
                self.emit_restored(&self.context(Position::at(ix)), &result);
                self.results.set(ix, result);
            }
        }
        let is_due = self.replay.repeat_is_due(&self.workflow.tasks[next]);
        if is_due && !self.in_finals && !self.is_stopping() {
            self.repeat_tasks();
            self.replay.repeats_are_done = self.repeat_failed.is_none() && !self.is_stopping();
        }
    }

    /// Runs the tasks with `on_resume=repeat` again that had succeeded: final tasks may
    /// have undone what they did (SPEC §3.7). A failure stops the run.
    fn repeat_tasks(&mut self) {
        for (ix, task) in self.workflow.tasks.iter().enumerate() {
            let succeeded = self
                .results
                .get(ix)
                .is_some_and(|r| r.outcome == Outcome::Ok);
            if !task.repeats_on_resume || !succeeded || self.replay.has_repeated(task.id) {
                continue;
            }
            let Some(seen) = self.repeat(ix) else { return };
            if !seen.verdict {
                self.note_failure(ix);
                self.stopped_at = Some(ix);
                self.repeat_failed = Some((task.id, flow::failure_code(task, &seen)));
                return;
            }
            if let Some(result) = self.results.get(ix) {
                self.replay.record_repeated(task.id, result);
                self.sync();
            }
        }
    }

    /// Runs one task again, with its retries and iterations but not its jumps. Nothing if
    /// the run is stopping: then it is still due.
    fn repeat(&mut self, ix: Ix) -> Option<FlowInput> {
        // What happens here belongs to no turn.
        let replay = std::mem::take(&mut self.replay);
        let before = self.results.get(ix).cloned();
        let mut at = Position::at(ix);
        let seen = loop {
            let stepped = self.step(at, None);
            if self.is_stopping() {
                break None;
            }
            match flow::choose(&self.workflow.tasks[ix], at, &stepped.seen).0 {
                Choice::Retry => at = self.next_attempt(at, &stepped),
                Choice::Iterate => at = self.next_iteration(at, &stepped),
                _ => {
                    self.sleep(at, &stepped);
                    break Some(stepped.seen);
                }
            }
        };
        self.replay = replay;
        let is_skipped = seen.as_ref().is_some_and(|s| s.outcome == Outcome::Skipped);
        if let Some(before) = before.filter(|_| is_skipped) {
            // Its condition does not hold any more: what it did is all there is.
            self.results.set(ix, before);
            return seen.map(|seen| FlowInput {
                verdict: true,
                ..seen
            });
        }
        seen
    }

    /// Where a pass through the task begins: where it ended well when the flow was walked
    /// before, else at its first attempt. Of a block only what did not succeed runs.
    pub(super) fn arrive(&mut self, ix: Ix) -> Position {
        let task = &self.workflow.tasks[ix];
        let visit = self.replay.next_earlier_visit(task.id);
        // A handler answers a failure of this walk, and what final tasks may have undone
        // is done again.
        let forgets = self.workflow.is_handler(ix) || task.repeats_on_resume;
        let Some(visit) = visit.filter(|_| !forgets) else {
            return Position::at(ix);
        };
        match &task.kind {
            TaskKind::Parallel(_) => {
                self.results.set(ix, visit.result);
                self.replay.redo = Redo::Remembered;
            }
            TaskKind::Command(_) if visit.result.outcome == Outcome::Ok => {
                let at = Position {
                    task: ix,
                    iteration: visit.iteration,
                    attempt: visit.attempt,
                };
                self.remembered = Some((at, visit.result));
                return at;
            }
            _ => {}
        }
        Position::at(ix)
    }
}
