//! Parallel blocks (SPEC §3.5): many subtasks, some at once.
//!
//! The engine's thread is the only one that touches a block. It starts subtasks
//! in their order while a slot is free, then waits for whatever comes first: a
//! result, a retry that is due, the end of a sleep, the block's deadline, a signal.
//! A subtask that waits for its retry holds no slot and no thread. Results are
//! recorded as they arrive, each once; the block's own result lists them in the
//! order of its subtasks.
#![forbid(unsafe_code)]

use super::engine::Engine;
use super::numbers::{Numbers, retry_delay};
use super::subtasks::{BlockLimits, ParallelRun, RunningSubtask, Subtask, command_of, is_retried};
use crate::exit;
use crate::outcome::Outcome;
use crate::plan::flow::{Choice, Position};
use crate::plan::waves;
use crate::run::capture::Captured;
use crate::run::evaluation::{Evaluation, TaskContext};
use crate::run::event::Event;
use crate::run::job;
use crate::run::replay::Redo;
use crate::run::required;
use crate::run::result::TaskResult;
use crate::run::runner::{FinishedCommand, Time, Wake};
use crate::task::host_files::HostFiles;
use crate::task::nodeset::{self, HostFilter, NodeSet};
use crate::task::result_hosts::{self, SetPart};
use crate::task::values::{Unreachable, Wave};
use crate::task::{Ix, Members, Parallel, TaskKind, resolve_setting};
use crate::text::template::{Piece, Template};
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

impl Engine<'_> {
    /// Runs the block to its end.
    ///
    /// # Errors
    /// Which setting or node set is unusable, and why; then nothing was started.
    pub(super) fn parallel(
        &mut self,
        parallel: &Parallel,
        context: &TaskContext,
        numbers: &Numbers,
    ) -> Result<TaskResult, String> {
        let began = self.runner.now();
        let limits = self.block_limits(parallel, context)?;
        if let Some(result) = self.replayed_block(parallel, context) {
            return Ok(result);
        }
        self.replay.unmute();
        let mut subtasks = self.subtasks(parallel, context)?;
        self.keep_what_succeeded(context, &mut subtasks);
        self.report_block(&limits, context, &subtasks);
        self.block_deadline = limits.timeout.map(|t| began + t);
        let over_hosts = matches!(parallel.members, Members::Hosts { .. });
        let turn = self.replay.turn();
        let mut block = ParallelRun::new(
            turn,
            context,
            over_hosts,
            limits,
            &numbers.retries,
            subtasks,
        );
        let anew = self.replay.redo == Redo::InNewWaves;
        let lined_up = block.line_up(anew);
        let waves = waves::divide(&block.limits.waves, lined_up);
        let last = waves.len().saturating_sub(1);
        for (number, wave) in waves.into_iter().enumerate() {
            self.run_wave(&mut block, wave.clone());
            let redo = matches!(self.replay.redo, Redo::Unfinished | Redo::Remembered);
            let passed = block.passed_before(&wave) && redo;
            if number < last && block.halted.is_none() && !passed {
                self.between_waves(&mut block, parallel.wave_check, wave);
            }
        }
        self.block_deadline = None;
        self.leave_out_the_rest(&mut block);
        if let Some(cause) = block.overrun.take() {
            self.miss_deadline(&context.label, cause);
        }
        Ok(self.block_result(block, context, began))
    }

    /// Reports that the block begins, or that it begins again and what of it runs.
    fn report_block(&mut self, limits: &BlockLimits, context: &TaskContext, all: &[Subtask]) {
        let (total, at_once) = (all.len(), limits.at_once.min(all.len()));
        let names = |had_ended: bool| {
            let chosen = all.iter().filter(|s| s.result.is_some() == had_ended);
            chosen.map(|s| s.name.as_str()).collect::<Vec<&str>>()
        };
        let kept = names(true);
        let open = if kept.is_empty() {
            Vec::new()
        } else {
            names(false)
        };
        let title = self.title(context);
        let about = context.about(&title);
        self.emit(Event::Block {
            about,
            total,
            at_once,
            kept: &kept,
            open: &open,
        });
        let kept = all.iter().filter(|s| s.kept).count();
        self.replay.note_block(context.id, total, kept, &title);
    }

    fn block_limits(
        &mut self,
        parallel: &Parallel,
        context: &TaskContext,
    ) -> Result<BlockLimits, String> {
        let default = self.defaults.max_parallel;
        self.evaluate_usable(context, |values| {
            let at_once = resolve_setting("max_parallel", parallel.max_parallel.as_ref(), values)?;
            let unreachable =
                resolve_setting("unreachable", parallel.unreachable.as_ref(), values)?;
            let fail_fast = resolve_setting("fail_fast", parallel.fail_fast.as_ref(), values)?;
            let waves = resolve_setting("waves", parallel.waves.as_ref(), values)?;
            let pause = resolve_setting("wave_pause", parallel.wave_pause.as_ref(), values)?;
            Ok(BlockLimits {
                at_once: at_once.unwrap_or(default) as usize,
                timeout: resolve_setting("block_timeout", parallel.block_timeout.as_ref(), values)?,
                unreachable: unreachable.unwrap_or(Unreachable::Fail),
                fail_fast: fail_fast.flatten(),
                waves: waves.unwrap_or(vec![Wave::Rest]),
                pause: pause.unwrap_or_default(),
            })
        })
    }

    /// The subtasks in their order.
    fn subtasks(
        &mut self,
        parallel: &Parallel,
        context: &TaskContext,
    ) -> Result<Vec<Subtask>, String> {
        let (set, command) = match &parallel.members {
            Members::Hosts { set, command } => (set, command),
            Members::Tasks(tasks) => {
                let subtask = |member: &Ix| {
                    let context = TaskContext {
                        in_block: true,
                        ..self.context(Position::at(*member))
                    };
                    Subtask::new(context.label.clone(), context)
                };
                return Ok(tasks.iter().map(subtask).collect());
            }
        };
        let subtask = |(index, host): (usize, String)| {
            let label = format!("{}.{}", context.id, index + 1);
            let context = TaskContext {
                at: Position {
                    attempt: 1,
                    ..context.at
                },
                id: context.id,
                task: label.clone(),
                label,
                hostname: host.clone(),
                in_block: true,
            };
            Subtask::new(host, context)
        };
        let before = self.results.get(context.at.task);
        let hosts = match self.replay.hosts_begun_with(before) {
            Some(hosts) => hosts,
            None => self.hosts(set, context)?,
        };
        self.replay.record_hosts(&hosts);
        if !hosts.is_empty() {
            let recipe = &self.workflow.recipes[context.at.task];
            self.evaluate(context, |values| {
                job::check_results(command, recipe, values)
            })?;
        }
        Ok(hosts.into_iter().enumerate().map(subtask).collect())
    }

    /// The hosts of a node set, which may come from results, within `--limit` and
    /// `--exclude`.
    fn hosts(&mut self, set: &Template, context: &TaskContext) -> Result<Vec<String>, String> {
        let files = &self.workflow.host_files;
        let expanded = self.evaluate_usable(context, |values| {
            values.purpose.set("a set of hosts");
            expand_set(set, files, values)
        })?;
        // Of a file whose name was not known before.
        for (path, doubt) in files.take_doubts() {
            let text = format!("the host file `{path}`: {}", doubt.sentence());
            self.warn(&context.label, &text);
        }
        if set.known_text().is_none() && !expanded.repeated.is_empty() {
            // A set that is known before the run was checked with the file.
            let hosts = nodeset::fold(&expanded.repeated);
            let text = format!("given more than once: {hosts}; each runs once");
            self.warn(&context.label, &text);
        }
        if expanded.hosts.is_empty() {
            self.warn(&context.label, "the set of hosts is empty; nothing is run");
        }
        let mut hosts = expanded.hosts;
        hosts.retain(|host| self.settings.selection.allows(host));
        Ok(hosts)
    }

    /// The hosts of each block with a result that `--limit` and `--exclude` left out, also
    /// where the result is an earlier run's. A set that comes from results is that of the
    /// latest ones.
    pub(super) fn hosts_beyond_limit(&self) -> HashMap<Ix, Vec<String>> {
        let selection = &self.settings.selection;
        let mut beyond = HashMap::new();
        if *selection == HostFilter::default() {
            return beyond;
        }
        for (ix, task) in self.workflow.tasks.iter().enumerate() {
            let result = self.results.get(ix);
            let has_begun = result.is_some_and(|r| r.is_judged() && !r.never_began());
            let TaskKind::Parallel(parallel) = &task.kind else {
                continue;
            };
            if let Members::Hosts { set, .. } = &parallel.members
                && has_begun
            {
                let context = self.context(Position::at(ix));
                let text = self.evaluate_quietly(&context, |values| required::fill(set, values));
                let text = text.unwrap_or_default();
                let text = String::from_utf8_lossy(&text);
                let expanded = nodeset::expand(&text, &self.workflow.host_files);
                let mut hosts = expanded.map_or(Vec::new(), |set| set.hosts);
                hosts.retain(|host| !selection.allows(host));
                beyond.insert(ix, hosts);
            }
        }
        beyond
    }

    /// Gives their results to the subtasks that need not run again.
    fn keep_what_succeeded(&mut self, block: &TaskContext, subtasks: &mut [Subtask]) {
        let ix = block.at.task;
        let mut kept = self.replay.kept_subtasks(self.results.get(ix));
        for subtask in subtasks {
            let Some((result, recorded)) = kept.remove(&subtask.name) else {
                continue;
            };
            let task = subtask.context.at.task;
            if task != ix {
                self.results.set(task, result.clone());
            }
            subtask.kept = !recorded;
            subtask.recorded = recorded;
            subtask.result = Some(result);
        }
    }

    // Waves.

    /// Runs the subtasks of one wave until each has ended or none can start.
    fn run_wave(&mut self, block: &mut ParallelRun, wave: Range<usize>) {
        let mut fresh: VecDeque<usize> = block.open_in(wave).collect();
        loop {
            if self.is_blocked() {
                block.halt(self.stop_cause(), -1);
            }
            self.start_subtasks(block, &mut fresh);
            if block.is_idle(!fresh.is_empty()) {
                return;
            }
            match self.wait_for_block(block) {
                Wake::Done(number, finished) => self.subtask_finished(block, number, *finished),
                Wake::Connected(number) => self.subtask_connected(block, number),
                Wake::Time | Wake::Beat | Wake::Asked => {}
                Wake::Interrupt { signal, level } => {
                    self.interrupt(signal, level, &block.running_names());
                    block.halt(self.stop_cause(), -1);
                    block.free_all_slots();
                }
            }
        }
    }

    /// Waits for what comes next. When there is nothing else to do, syncs what was
    /// recorded, a whole batch at once.
    fn wait_for_block(&mut self, block: &ParallelRun) -> Wake {
        if self.replay.is_unsynced() {
            let now = self.runner.now();
            let wake = self.wait(Some(now));
            if matches!(wake, Wake::Time) {
                self.sync();
            }
            return wake;
        }
        self.wait(block.next_due(self.block_deadline))
    }

    /// Between two waves: the check and the pause. A wave in which nothing
    /// succeeded stops the block as well, so that a failed canary is the last.
    fn between_waves(&mut self, block: &mut ParallelRun, check: Option<Ix>, wave: Range<usize>) {
        if block.stops_after(&wave) {
            block.halt("nothing in the previous wave succeeded", -1);
            return;
        }
        if let Some(cause) = block.overrun.clone() {
            block.halt(cause, -1);
            return;
        }
        if let Some(check) = check {
            self.check_wave(block, check);
        }
        let time = block.limits.pause;
        if block.halted.is_none() && time > Duration::ZERO {
            self.emit_about(block.context, |about| Event::Sleep { about, time });
            self.wait_until(self.runner.now() + time);
            if self.stopped.is_some() {
                block.halt(self.stop_cause(), -1);
            }
        }
    }

    /// Runs the check, and halts the block unless it succeeds. A check that a
    /// signal or a deadline ended says nothing about the wave.
    fn check_wave(&mut self, block: &mut ParallelRun, check: Ix) {
        let (choice, _) = self.run_without_routing(check);
        if self.stopped.is_some() {
            block.halt(self.stop_cause(), -1);
        } else if self.is_late() {
            block.halt("block_timeout", exit::TIMEOUT);
        } else if self.is_blocked() {
            block.halt(self.stop_cause(), -1);
        } else if !matches!(choice, Choice::FallThrough) {
            let id = self.workflow.tasks[check].id;
            block.failed_check = Some(self.why_check_failed(check));
            block.halt(format!("wave_check failed (task {id})"), -1);
        }
    }

    /// `wave_check failed: task 15: failed, exit 1`
    fn why_check_failed(&self, check: Ix) -> String {
        let context = self.context(Position::at(check));
        let result = self.results.get(check);
        let why = match (self.why_undecided(&context), result) {
            (Some(why), _) => why,
            (None, Some(r)) if !r.cause.is_empty() => format!("{} ({})", r.outcome, r.cause),
            (None, Some(r)) if r.command.is_empty() => r.outcome.to_string(),
            (None, Some(r)) => format!("{}, exit {}", r.outcome, r.exit),
            (None, None) => Outcome::NotStarted.to_string(),
        };
        format!("wave_check failed: task {}: {why}", context.id)
    }

    // Subtasks.

    /// Starts subtasks while a slot is free: retries that are due, then new ones.
    fn start_subtasks(&mut self, block: &mut ParallelRun, fresh: &mut VecDeque<usize>) {
        let now = self.runner.now();
        if self.is_late() {
            block.halt("block_timeout", exit::TIMEOUT);
        }
        block.free_slots(now);
        while block.halted.is_none() && block.has_slot() {
            let next = match block.due_retry(now) {
                None if !block.is_braked() => fresh.pop_front(),
                retry => retry,
            };
            let Some(next) = next else { return };
            self.start_subtask(block, next);
        }
    }

    /// Starts a subtask, or finds that it has ended already.
    fn start_subtask(&mut self, block: &mut ParallelRun, index: usize) {
        let subtask = &block.subtasks[index];
        let context = subtask.context.clone();
        let task = self.task(&context);
        if !block.over_hosts && context.at.attempt == 1 {
            match self.is_wanted(&context) {
                Ok(true) => {}
                Ok(false) => {
                    self.skip(&context);
                    block.subtasks[index].result = self.results.get(context.at.task).cloned();
                    return;
                }
                Err(reason) => return self.refuse_subtask(block, index, &context, &reason),
            }
        }
        let inherited = Some(block.retries).filter(|_| !block.over_hosts);
        let numbers = match self.numbers(&context, inherited) {
            Ok(numbers) => numbers,
            Err(reason) => return self.refuse_subtask(block, index, &context, &reason),
        };
        let Some(command) = command_of(task) else {
            // A decision among the subtasks.
            let mut result = TaskResult::without_process(Outcome::Ok, 0, context.at.attempt);
            let success = self.meets(task.success.as_ref(), &context, &mut result);
            result.settle(success);
            return self.subtask_ended(block, index, result);
        };
        if let Some(cause) = self.overrun(numbers.longest(context.at.attempt)) {
            return self.leave_out_subtask(block, index, cause);
        }
        match self.prepare(command, &context, numbers.timeout) {
            Ok(prepared) => {
                let command = self.start(&context, prepared);
                let number = command.number;
                let running = RunningSubtask {
                    subtask: index,
                    numbers,
                    command,
                };
                block.running.insert(number, running);
            }
            Err(reason) => self.refuse_subtask(block, index, &context, &reason),
        }
    }

    fn refuse_subtask(
        &mut self,
        block: &mut ParallelRun,
        index: usize,
        context: &TaskContext,
        reason: &str,
    ) {
        let result = self.unstarted(context, reason);
        self.subtask_ended(block, index, result);
    }

    /// Leaves out a subtask that does not fit before the deadline; one that waited
    /// for its next attempt keeps the result of its last.
    fn leave_out_subtask(&mut self, block: &mut ParallelRun, index: usize, cause: String) {
        let subtask = &mut block.subtasks[index];
        let last = subtask.result.as_ref().map(|r| r.outcome);
        block.retries_lost |= last.is_some();
        let result = subtask.result.get_or_insert_with(|| TaskResult {
            hostname: subtask.context.hostname.clone(),
            ..TaskResult::not_started(-1, &cause)
        });
        if !block.over_hosts {
            self.results.set(subtask.context.at.task, result.clone());
        }
        block.overrun.get_or_insert(cause);
        if let Some(outcome) = last {
            block.count(index, outcome);
        }
    }

    fn subtask_connected(&mut self, block: &ParallelRun, number: u64) {
        if let Some(running) = block.running.get(&number) {
            self.connected(&block.subtasks[running.subtask].context);
        }
    }

    /// Judges a finished subtask: it is retried later, or has ended.
    fn subtask_finished(
        &mut self,
        block: &mut ParallelRun,
        number: u64,
        finished: FinishedCommand,
    ) {
        let Some(running) = block.running.remove(&number) else {
            return;
        };
        let (index, numbers) = (running.subtask, running.numbers);
        let context = block.subtasks[index].context.clone();
        let task = self.task(&context);
        let mut result = self.command_result(finished, &context, running.command, &numbers);
        if result.is_judged() {
            let success = self.meets(block.criterion(task), &context, &mut result);
            result.settle(success);
        }
        if is_retried(&context, &numbers.retries, &result) {
            let overrun = self.overrun(numbers.longest(context.at.attempt + 1));
            if block.halted.is_none() && overrun.is_none() {
                return self.retry_subtask(block, index, &numbers, result);
            }
            block.retries_lost = true;
            block.overrun = block.overrun.take().or(overrun);
        }
        if !block.over_hosts && numbers.sleep > Duration::ZERO && self.stopped.is_none() {
            block.hold_slot_until(self.runner.now() + numbers.sleep);
        }
        self.subtask_ended(block, index, result);
    }

    fn retry_subtask(
        &mut self,
        block: &mut ParallelRun,
        index: usize,
        numbers: &Numbers,
        result: TaskResult,
    ) {
        let subtask = &mut block.subtasks[index];
        let (attempt, of) = (subtask.context.at.attempt, numbers.retries.count);
        let delay = retry_delay(numbers.retries.delay, attempt);
        self.emit_result(&subtask.context, &result);
        self.emit_about(&subtask.context, |about| Event::Retry {
            about,
            attempt,
            of,
            delay,
        });
        self.replay.note_retry(subtask.context.id, &subtask.name);
        subtask.context.at.attempt += 1;
        let outcome = result.outcome;
        // Kept in case the block ends before the next attempt.
        subtask.result = Some(result);
        block.retry_at(self.runner.now() + delay, index, outcome);
    }

    /// Records the subtask's last result, once.
    fn subtask_ended(&mut self, block: &mut ParallelRun, index: usize, result: TaskResult) {
        let subtask = &mut block.subtasks[index];
        let ix = subtask.context.at.task;
        self.emit_result(&subtask.context, &result);
        subtask.result = Some(result.clone());
        subtask.recorded = true;
        self.record_subtask(block.turn, subtask);
        let outcome = result.outcome;
        if !block.over_hosts {
            self.results.set(ix, result);
        }
        block.count(index, outcome);
    }

    // The end.

    /// Gives a result to every subtask that has none, and a last one to those
    /// that were waiting for a retry.
    fn leave_out_the_rest(&mut self, block: &mut ParallelRun) {
        let (cause, exit) = block.halted.clone().unwrap_or_default();
        let waited = block.take_retrying();
        block.retries_lost |= !waited.is_empty();
        for (index, subtask) in block.subtasks.iter_mut().enumerate() {
            let fresh = subtask.result.is_none();
            let result = subtask.result.get_or_insert_with(|| TaskResult {
                hostname: subtask.context.hostname.clone(),
                ..TaskResult::not_started(exit, &cause)
            });
            if !block.over_hosts && (fresh || waited.contains(&index)) {
                self.results.set(subtask.context.at.task, result.clone());
            }
        }
    }

    fn record_subtask(&mut self, turn: u64, subtask: &Subtask) {
        if let Some(result) = &subtask.result {
            let Subtask { name, context, .. } = subtask;
            self.replay
                .record_subtask(turn, context.id, name, &context.label, result);
        }
    }

    fn block_result(
        &mut self,
        block: ParallelRun,
        context: &TaskContext,
        began: Time,
    ) -> TaskResult {
        // If a signal stopped nothing, the block is judged as usual.
        let cut_short = block.is_cut_short();
        let cancelled = cut_short && self.is_stopping();
        if !cancelled {
            // Those that were left out or skipped, before the block itself.
            for subtask in block.subtasks.iter().filter(|s| !s.recorded) {
                self.record_subtask(block.turn, subtask);
            }
        }
        if let Some((cause, _)) = block.halted.as_ref().filter(|_| cut_short && !cancelled) {
            self.warn(
                &context.label,
                &format!("started no more subtasks: {cause}"),
            );
        }
        let (outcome, cause) = match cancelled {
            true => (Outcome::Cancelled, self.stop_cause()),
            false => (Outcome::Ok, block.failed_check.clone().unwrap_or_default()),
        };
        let mut result = TaskResult {
            took: self.runner.now().saturating_sub(began),
            cause,
            members: block.into_members(),
            ..TaskResult::without_process(outcome, 0, context.at.attempt)
        };
        let counts = result.counts();
        let (ok, total) = (counts.count(Outcome::Ok), counts.total());
        result.stdout = Captured::in_memory(format!("{ok}/{total} succeeded\n"));
        result
    }
}

/// The hosts of a set with its values filled in.
fn expand_set(
    set: &Template,
    files: &HostFiles,
    evaluation: &Evaluation,
) -> Result<NodeSet, String> {
    required::check(set, evaluation)?;
    // Each part with its reference, if it is a result.
    let mut filled: Vec<(Option<&str>, String)> = Vec::new();
    for piece in &set.pieces {
        let (written, value) = match piece {
            Piece::Text { text, .. } => (None, text.clone()),
            Piece::Data { bytes, .. } => (None, String::from_utf8_lossy(bytes).into_owned()),
            Piece::Reference {
                to,
                written,
                default,
                ..
            } => {
                let value = evaluation.value_up_to(*to, default.as_deref(), result_hosts::LONGEST);
                let value = value.map_err(|length| {
                    format!("`{written}`: output of {length} bytes is too large for a set of hosts, at most 1 MiB; hosts from a result are at most 10000")
                })?;
                let written = to.is_data().then_some(written.as_str());
                (written, String::from_utf8_lossy(&value).into_owned())
            }
        };
        filled.push((written, value));
    }
    let parts = filled.iter().map(|(written, value)| match *written {
        Some(written) => SetPart::Result { written, value },
        None => SetPart::Author(value),
    });
    let parts: Vec<SetPart> = parts.collect();
    result_hosts::expand(&parts, files).map_err(|bad| match bad.value {
        Some(value) => format!(
            "{}: `{}`",
            bad.message,
            evaluation.excerpt(value.as_bytes())
        ),
        None => bad.message,
    })
}
