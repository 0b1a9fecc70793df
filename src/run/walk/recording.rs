//! The walk's use of its journal: takes from it what was done before instead of
//! doing it again, and records what is done now.
#![forbid(unsafe_code)]

use super::engine::Engine;
use crate::run::evaluation::TaskContext;
use crate::run::event::Event;
use crate::run::result::TaskResult;
use crate::task::{Members, Parallel};

impl Engine<'_> {
    /// The recorded result of this turn's task, and whether it was refused.
    pub(super) fn replayed_task(&mut self, context: &TaskContext) -> Option<(TaskResult, bool)> {
        if self.in_finals && !self.replay.has_recorded(self.replay.turn()) {
            // A signal left it out, though later ones have run.
            return None;
        }
        let found = self.replay.task(context.id, context.at);
        let (result, refused) = self.unless_diverged(found)?;
        self.emit_restored(context, &result);
        Some((result, refused))
    }

    /// The block as it was recorded, with the results of its tasks.
    pub(super) fn replayed_block(
        &mut self,
        parallel: &Parallel,
        context: &TaskContext,
    ) -> Option<TaskResult> {
        let found = self.replay.block(context.id);
        let block = self.unless_diverged(found)?;
        self.restore_results(block.checks);
        if let Members::Tasks(tasks) = &parallel.members {
            for member in tasks {
                let name = self.workflow.tasks[*member].id.to_string();
                let found = block.result.members.iter().find(|m| m.name == name);
                if let Some(found) = found {
                    self.results.set(*member, found.result.clone());
                }
            }
        }
        self.emit_restored(context, &block.result);
        Some(block.result)
    }

    /// With `--finish-only`: restores what was done in a block that had not ended.
    pub(super) fn restore_the_rest(&mut self) {
        let done = self.replay.skip_to_the_end();
        self.restore_results(done);
    }

    fn restore_results(&mut self, done: Vec<(u32, TaskResult)>) {
        for (id, result) in done {
            let ix = self.workflow.find(&id.to_string());
            // A copy for a host has no result of its own.
            if let Some(ix) = ix.filter(|ix| !self.workflow.tasks[*ix].is_block()) {
                self.results.set(ix, result);
            }
        }
    }

    /// What was found; warns if the journal belongs to another run.
    fn unless_diverged<T>(&mut self, found: Result<Option<T>, String>) -> Option<T> {
        found.unwrap_or_else(|warning| {
            self.warn("", &warning);
            None
        })
    }

    pub(super) fn emit_restored(&mut self, context: &TaskContext, result: &TaskResult) {
        let title = self.title(context);
        let about = context.about(&title);
        // Emitted even while the replay is muted.
        (self.emit)(Event::Restored { about, result });
    }

    /// Records the task's result and syncs it before the flow moves on.
    pub(super) fn record_step(&mut self, turn: u64, context: &TaskContext, refused: bool) {
        let (task, at) = (self.task(context), context.at);
        let result = self.results.get(at.task);
        let may_go_on = result.is_some_and(TaskResult::is_cut_short_and_unknown);
        if result.is_some_and(|r| self.replay.record(turn, task, at, refused, r)) {
            self.sync();
        }
        if may_go_on {
            self.replay.note_left(task.id, &context.label);
        }
    }

    /// Syncs what was recorded; reports once that this is not possible.
    pub(super) fn sync(&mut self) {
        if let Some(why) = self.replay.sync() {
            self.warn("", &format!("{why}; nothing new starts"));
        }
    }
}
