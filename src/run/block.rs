//! Parallel blocks (SPEC §3.5): many subtasks, some at once.
//!
//! The engine's thread is the only one that touches a block. It starts subtasks
//! in their order while a slot is free, then waits for whatever comes first: a
//! result, a retry or a rest that is due, the block's deadline, a signal. A
//! subtask that waits for its retry holds no slot and no thread. Results are
//! recorded as they arrive, each once; the block's own result lists them in the
//! order of its subtasks.
#![forbid(unsafe_code)]

use super::capture::Captured;
use super::engine::{Engine, retry_delay};
use super::evaluation::TaskContext;
use super::event::Event;
use super::result::{Member, TaskResult};
use super::runner::{Finished, Job, Time, Wake};
use super::step::{Numbers, Retries, is_of_block, running};
use crate::exit;
use crate::outcome::Outcome;
use crate::plan::flow::{self, Choice, Position};
use crate::plan::waves;
use crate::task::values::{Share, Unreachable, Wave};
use crate::task::{
    Command, Criterion, Ix, Members, Parallel, Task, TaskKind, nodeset, resolve_setting,
};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

/// How many running subtasks are named when a signal arrives.
const NAMED: usize = 8;

/// The block's own settings, evaluated when it begins.
struct Limits {
    at_once: usize,
    timeout: Option<Duration>,
    fail_fast: Option<Share>,
    unreachable: Unreachable,
    waves: Vec<Wave>,
    pause: Duration,
}

/// One subtask: a task of the list, or a copy for a host.
struct Subtask {
    /// The task of the list; for a host the block itself.
    task: Ix,
    name: String,
    context: TaskContext,
    result: Option<TaskResult>,
    /// The journal has the result.
    recorded: bool,
    /// It was over when the block was begun before.
    kept: bool,
}

/// A command of the block that runs.
struct Running {
    subtask: usize,
    numbers: Numbers,
    shown: String,
}

struct Block<'w> {
    /// The journal's number of this block.
    turn: u64,
    task: &'w Task,
    over_hosts: bool,
    limits: Limits,
    retries: &'w Retries,
    subtasks: Vec<Subtask>,
    running: HashMap<u64, Running>,
    /// Waiting for their next attempt, which is due at that time.
    retrying: BinaryHeap<Reverse<(Time, usize)>>,
    /// Slots that are kept until that time, because a subtask sleeps.
    resting: BinaryHeap<Reverse<Time>>,
    /// Why no subtask is started any more, and the exit code of those left.
    halted: Option<(String, i32)>,
    /// Subtasks had no further attempt because the block was halted.
    retries_lost: bool,
    /// Why a subtask, or its next attempt, does not fit before the deadline.
    misfit: Option<String>,
    /// How many are over without success; unreachable ones are counted apart.
    failed: u64,
    unreachable: u64,
}

impl Engine<'_> {
    /// Runs the block to its end.
    ///
    /// # Errors
    /// A setting or node set that turns out unusable; then nothing was started.
    pub(super) fn parallel(
        &mut self,
        ix: Ix,
        task: &Task,
        parallel: &Parallel,
        context: &TaskContext,
        numbers: &Numbers,
    ) -> Result<TaskResult, String> {
        let began = self.runner.now();
        let limits = self.limits(parallel, context)?;
        if let Some(result) = self.restored_block(ix, parallel) {
            return Ok(result);
        }
        self.memory.muted = false;
        let mut subtasks = self.subtasks(ix, task, parallel, context)?;
        self.keep_what_succeeded(ix, &mut subtasks);
        let waves = waves::divide(&limits.waves, subtasks.len());
        let (total, at_once) = (subtasks.len(), limits.at_once.min(subtasks.len()));
        self.tell(task, context, |about| Event::Block {
            about,
            total,
            at_once,
        });
        let kept = subtasks.iter().filter(|s| s.kept).count();
        self.note_open(task, context, total, kept);
        self.deadline = limits.timeout.map(|t| began + t);
        let mut block = Block {
            turn: self.turn(),
            task,
            over_hosts: matches!(parallel.members, Members::Hosts { .. }),
            limits,
            retries: &numbers.retries,
            subtasks,
            running: HashMap::new(),
            retrying: BinaryHeap::new(),
            resting: BinaryHeap::new(),
            halted: None,
            retries_lost: false,
            misfit: None,
            failed: 0,
            unreachable: 0,
        };
        let last = waves.len().saturating_sub(1);
        for (number, wave) in waves.into_iter().enumerate() {
            self.run_wave(&mut block, wave.clone());
            let passed = block.passed_before(&wave) && self.memory.redo;
            if number < last && block.halted.is_none() && !passed {
                self.between_waves(&mut block, parallel.wave_check, wave);
            }
        }
        self.deadline = None;
        self.leave_out_the_rest(&mut block);
        if let Some(cause) = block.misfit.take() {
            self.miss(&context.label, cause);
        }
        Ok(self.block_result(block, context, began))
    }

    /// Gives their results to the subtasks that need not run again.
    fn keep_what_succeeded(&mut self, ix: Ix, subtasks: &mut [Subtask]) {
        let mut kept = self.kept_subtasks(ix);
        for subtask in subtasks {
            let Some((result, recorded)) = kept.remove(&subtask.name) else {
                continue;
            };
            if subtask.task != ix {
                self.results.set(subtask.task, result.clone());
            }
            subtask.kept = !recorded;
            subtask.recorded = recorded;
            subtask.result = Some(result);
        }
    }

    fn limits(&mut self, parallel: &Parallel, context: &TaskContext) -> Result<Limits, String> {
        let default = self.defaults.max_parallel;
        self.look(context, |values| {
            let at_once = resolve_setting("max_parallel", parallel.max_parallel.as_ref(), values)?;
            let unreachable =
                resolve_setting("unreachable", parallel.unreachable.as_ref(), values)?;
            Ok(Limits {
                at_once: at_once.unwrap_or(default) as usize,
                timeout: resolve_setting("block_timeout", parallel.block_timeout.as_ref(), values)?,
                unreachable: unreachable.unwrap_or(Unreachable::Fail),
                fail_fast: resolve_setting("fail_fast", parallel.fail_fast.as_ref(), values)?,
                waves: resolve_setting("waves", parallel.waves.as_ref(), values)?
                    .unwrap_or(vec![Wave::Rest]),
                pause: resolve_setting("wave_pause", parallel.wave_pause.as_ref(), values)?
                    .unwrap_or_default(),
            })
        })
    }

    /// The subtasks in their order; a node set from results is expanded now.
    fn subtasks(
        &mut self,
        ix: Ix,
        task: &Task,
        parallel: &Parallel,
        context: &TaskContext,
    ) -> Result<Vec<Subtask>, String> {
        let subtask = |task: Ix, name: String, context: TaskContext| Subtask {
            task,
            name,
            context,
            result: None,
            recorded: false,
            kept: false,
        };
        match &parallel.members {
            Members::Tasks(tasks) => Ok(tasks
                .iter()
                .map(|member| {
                    let context = TaskContext {
                        in_block: true,
                        ..self.context(Position::at(*member))
                    };
                    subtask(*member, context.label.clone(), context)
                })
                .collect()),
            Members::Hosts { set, .. } => {
                let text = self.look(context, |values| {
                    String::from_utf8_lossy(&set.fill(values)).into_owned()
                });
                let set_of_hosts =
                    nodeset::expand(&text, &self.workflow.directory).map_err(|bad| bad.message)?;
                if set.known_text().is_none() {
                    self.warn_of_repeated(context, &set_of_hosts.repeated);
                }
                let mut hosts = set_of_hosts.hosts;
                hosts.retain(|h| self.settings.selection.allows(h));
                let context = |(index, host): (usize, &String)| TaskContext {
                    id: task.id,
                    task: format!("{}.{}", task.id, index + 1),
                    label: format!("{}.{}", task.id, index + 1),
                    hostname: host.clone(),
                    iteration: context.iteration,
                    attempt: 1,
                    in_block: true,
                };
                Ok(hosts
                    .iter()
                    .enumerate()
                    .map(|pair| subtask(ix, pair.1.clone(), context(pair)))
                    .collect())
            }
        }
    }

    /// What the check of the file says of a set that is known then.
    fn warn_of_repeated(&mut self, context: &TaskContext, repeated: &[String]) {
        if !repeated.is_empty() {
            let hosts = nodeset::fold(repeated);
            let text = format!("given more than once: {hosts}; each runs once");
            self.warn(&context.label, &text);
        }
    }

    /// Runs the subtasks of one wave until each is over or none may start.
    fn run_wave(&mut self, block: &mut Block, wave: Range<usize>) {
        let open = |index: &usize| block.subtasks[*index].result.is_none();
        let mut fresh: VecDeque<usize> = wave.filter(open).collect();
        loop {
            if self.is_blocked() {
                block.halt(self.block_cause(), -1);
            }
            self.start_what_may(block, &mut fresh);
            let waiting =
                block.halted.is_none() && !(fresh.is_empty() && block.retrying.is_empty());
            if block.running.is_empty() && block.resting.is_empty() && !waiting {
                return;
            }
            match self.next_of_block(block) {
                Wake::Done(number, finished) => self.subtask_finished(block, number, *finished),
                Wake::Time | Wake::Beat | Wake::Asked => {}
                Wake::Interrupt { signal, level } => {
                    self.interrupted(signal, level, &block.running_names());
                    block.halt(self.stop_cause(), -1);
                    block.resting.clear();
                }
            }
        }
    }

    /// Waits for what comes next; what is recorded is synced, all of a batch at
    /// once, when there is nothing else to do.
    fn next_of_block(&mut self, block: &Block) -> Wake {
        if self.is_unsynced() {
            let now = self.runner.now();
            let wake = self.wait(Some(now));
            if !matches!(wake, Wake::Time) {
                return wake;
            }
            self.sync();
            return Wake::Time;
        }
        self.wait(block.next_due(self.deadline))
    }

    /// Starts subtasks while there is a slot: retries that are due, then new ones.
    fn start_what_may(&mut self, block: &mut Block, fresh: &mut VecDeque<usize>) {
        let now = self.runner.now();
        if self.is_late() {
            block.halt("block_timeout".into(), exit::TIMEOUT);
        }
        while block
            .resting
            .peek()
            .is_some_and(|Reverse(until)| *until <= now)
        {
            block.resting.pop();
        }
        while block.halted.is_none()
            && block.running.len() + block.resting.len() < block.limits.at_once
        {
            let due = block
                .retrying
                .peek()
                .is_some_and(|Reverse((at, _))| *at <= now);
            let next = match due {
                true => block.retrying.pop().map(|Reverse((_, subtask))| subtask),
                false => fresh.pop_front(),
            };
            let Some(next) = next else { return };
            self.start_subtask(block, next);
        }
    }

    /// Starts a subtask, or finds that it is over at once.
    fn start_subtask(&mut self, block: &mut Block, index: usize) {
        let subtask = &block.subtasks[index];
        let (ix, context) = (subtask.task, subtask.context.clone());
        let task = &self.workflow.tasks[ix];
        if !block.over_hosts && context.attempt == 1 && !self.is_wanted(task, &context) {
            self.skip(ix, &context);
            let result = self.results.get(ix).cloned();
            block.subtasks[index].result = result;
            return;
        }
        let inherited = Some(block.retries).filter(|_| !block.over_hosts);
        let numbers = self.numbers(task, &context, inherited);
        let runs = command_of(task).is_some();
        let misfit = numbers.as_ref().ok().filter(|_| runs);
        if let Some(cause) = misfit.and_then(|n| self.misfit(context.attempt, n)) {
            self.leave_out_subtask(block, index, cause);
            return;
        }
        let started = numbers.and_then(|numbers| {
            let Some(command) = command_of(task) else {
                return Ok(None);
            };
            let prepared = self.prepare(ix, command, &context, numbers.timeout)?;
            Ok(Some((numbers, prepared)))
        });
        match started {
            Ok(Some((numbers, prepared))) => {
                let title = self.tell_started(task, &context, &prepared);
                let number = self.next_job();
                block.running.insert(
                    number,
                    Running {
                        subtask: index,
                        numbers,
                        shown: prepared.shown,
                    },
                );
                let deadline = self.deadline;
                self.runner.start(Job {
                    number,
                    deadline,
                    ..prepared.job
                });
                self.note_start(task.id, &context.about(&title));
            }
            // A decision among the subtasks.
            Ok(None) => {
                let mut result = TaskResult::without_process(Outcome::Ok, 0, context.attempt);
                let success = self.meets(task.success.as_ref(), &context, &mut result);
                result.settle(success);
                self.subtask_over(block, index, result);
            }
            Err(reason) => {
                let result = self.unstarted(&context, &reason);
                self.subtask_over(block, index, result);
            }
        }
    }

    /// Leaves out a subtask that does not fit before the deadline; one that waited
    /// for its next attempt keeps the result of its last.
    fn leave_out_subtask(&mut self, block: &mut Block, index: usize, cause: String) {
        let subtask = &mut block.subtasks[index];
        block.retries_lost |= subtask.result.is_some();
        let result = subtask.result.get_or_insert_with(|| TaskResult {
            hostname: subtask.context.hostname.clone(),
            ..TaskResult::not_started(-1, &cause)
        });
        if !block.over_hosts {
            self.results.set(subtask.task, result.clone());
        }
        block.misfit.get_or_insert(cause);
    }

    /// Judges a finished subtask: it is tried again later, or over.
    fn subtask_finished(&mut self, block: &mut Block, number: u64, finished: Finished) {
        let Some(Running {
            subtask: index,
            numbers,
            shown,
        }) = block.running.remove(&number)
        else {
            return;
        };
        let (ix, context) = (
            block.subtasks[index].task,
            block.subtasks[index].context.clone(),
        );
        let task = &self.workflow.tasks[ix];
        let mut result = self.result_of(finished, &context, shown);
        self.split(&mut result, &context, &numbers);
        if result.is_judged() {
            let success = self.meets(block.criterion_of(task), &context, &mut result);
            result.settle(success);
        }
        let again = is_tried_again(&context, &numbers.retries, &result);
        let misfit = self.misfit(context.attempt + 1, &numbers);
        if again && (block.halted.is_some() || misfit.is_some()) {
            block.retries_lost = true;
            block.misfit = block.misfit.take().or(misfit);
        } else if again {
            let delay = retry_delay(numbers.retries.delay, context.attempt);
            self.tell_result(task, &context, &result);
            let (attempt, of) = (context.attempt, numbers.retries.count);
            self.tell(task, &context, |about| Event::Retry {
                about,
                attempt,
                of,
                delay,
            });
            self.note_again(task.id, &block.subtasks[index].name);
            block.subtasks[index].context.attempt += 1;
            // Kept in case the block ends before the next attempt.
            block.subtasks[index].result = Some(result);
            block
                .retrying
                .push(Reverse((self.runner.now() + delay, index)));
            return;
        }
        if !block.over_hosts && numbers.sleep > Duration::ZERO && self.stopped.is_none() {
            block
                .resting
                .push(Reverse(self.runner.now() + numbers.sleep));
        }
        self.subtask_over(block, index, result);
    }

    /// Records the subtask's last result, once.
    fn subtask_over(&mut self, block: &mut Block, index: usize, result: TaskResult) {
        let subtask = &mut block.subtasks[index];
        let (ix, context) = (subtask.task, subtask.context.clone());
        subtask.result = Some(result.clone());
        subtask.recorded = true;
        let name = subtask.name.clone();
        self.tell_result(&self.workflow.tasks[ix], &context, &result);
        self.record_sub(block.turn, ix, &name, &context.label, &result);
        let outcome = result.outcome;
        if !block.over_hosts {
            self.results.set(ix, result);
        }
        match outcome {
            Outcome::Unreachable => block.unreachable += 1,
            outcome if outcome.is_failure() => block.failed += 1,
            _ => return,
        }
        block.look_at_fail_fast();
    }

    /// Between two waves: the check and the pause. A wave in which nothing
    /// succeeded stops the block as well: a canary that died says enough.
    fn between_waves(&mut self, block: &mut Block, check: Option<Ix>, wave: Range<usize>) {
        let outcomes: Vec<Outcome> = block.subtasks[wave]
            .iter()
            .filter_map(|s| s.result.as_ref())
            .map(|r| r.outcome)
            .collect();
        let left_out = block.leaves_out_unreachable();
        let failed = |o: &Outcome| o.is_failure() && !(left_out && *o == Outcome::Unreachable);
        if !outcomes.contains(&Outcome::Ok) && outcomes.iter().any(failed) {
            block.halt("nothing of the wave before succeeded".into(), -1);
            return;
        }
        if let Some(cause) = &block.misfit {
            block.halt(cause.clone(), -1);
            return;
        }
        if let Some(check) = check {
            self.check_wave(block, check);
        }
        if block.halted.is_none() && block.limits.pause > Duration::ZERO {
            let time = block.limits.pause;
            let context = self.own_of_block(block);
            self.tell(block.task, &context, |about| Event::Sleep { about, time });
            self.wait_until(self.runner.now() + time);
            if self.stopped.is_some() {
                block.halt(self.stop_cause(), -1);
            }
        }
    }

    /// Runs the check; why it stops the block, if it does. A check that a signal
    /// or the deadline ended says nothing of the wave.
    fn check_wave(&mut self, block: &mut Block, check: Ix) {
        let (choice, _) = self.run_owned(check);
        if self.stopped.is_some() {
            block.halt(self.stop_cause(), -1);
        } else if self.is_late() {
            block.halt("block_timeout".into(), exit::TIMEOUT);
        } else if self.is_blocked() {
            block.halt(self.block_cause(), -1);
        } else if !matches!(choice, Choice::FallThrough) {
            let id = self.workflow.tasks[check].id;
            block.halt(format!("the wave_check, task {id}, failed"), -1);
        }
    }

    fn own_of_block(&self, block: &Block) -> TaskContext {
        TaskContext {
            id: block.task.id,
            task: block.task.id.to_string(),
            label: block.task.id.to_string(),
            ..TaskContext::default()
        }
    }

    /// Gives a result to every subtask that has none, and a last one to those
    /// that were waiting for a retry.
    fn leave_out_the_rest(&mut self, block: &mut Block) {
        let (cause, exit) = block.halted.clone().unwrap_or_default();
        let waited: Vec<usize> = block
            .retrying
            .drain()
            .map(|Reverse((_, index))| index)
            .collect();
        block.retries_lost |= !waited.is_empty();
        for (index, subtask) in block.subtasks.iter_mut().enumerate() {
            let fresh = subtask.result.is_none();
            let result = subtask.result.get_or_insert_with(|| TaskResult {
                hostname: subtask.context.hostname.clone(),
                ..TaskResult::not_started(exit, &cause)
            });
            if !block.over_hosts && (fresh || waited.contains(&index)) {
                self.results.set(subtask.task, result.clone());
            }
        }
    }

    /// Records those that were left out or skipped, before the block itself.
    fn record_the_rest(&mut self, block: &Block) {
        for subtask in block.subtasks.iter().filter(|s| !s.recorded) {
            if let Some(result) = &subtask.result {
                let label = &subtask.context.label;
                self.record_sub(block.turn, subtask.task, &subtask.name, label, result);
            }
        }
    }

    fn block_result(&mut self, block: Block, context: &TaskContext, began: Time) -> TaskResult {
        // What a signal took nothing from is judged as ever.
        let stopped = self.stopped.is_some() || self.is_blocked();
        let cancelled = stopped && block.is_cut_short();
        if !cancelled {
            self.record_the_rest(&block);
        }
        let (outcome, cause) = if cancelled && self.is_blocked() {
            (Outcome::Cancelled, self.block_cause())
        } else if cancelled {
            (Outcome::Cancelled, self.stop_cause())
        } else {
            (Outcome::Ok, String::new())
        };
        let halted = block.halted.as_ref().filter(|_| block.is_cut_short());
        if let Some((cause, _)) = halted.filter(|_| !cancelled) {
            self.warn(&context.label, &format!("started no more: {cause}"));
        }
        let leave_out = block.leaves_out_unreachable();
        let (mut members, mut left_out) = (Vec::new(), Vec::new());
        for Subtask { name, result, .. } in block.subtasks {
            match result {
                Some(r) if leave_out && r.outcome == Outcome::Unreachable => left_out.push(name),
                Some(result) => members.push(Member { name, result }),
                None => {}
            }
        }
        let mut result = TaskResult {
            took: self.runner.now().saturating_sub(began),
            cause,
            members,
            left_out,
            ..TaskResult::without_process(outcome, 0, context.attempt)
        };
        let counts = result.counts();
        result.stdout = Captured::in_memory(format!(
            "{}/{} succeeded\n",
            counts.of(Outcome::Ok),
            counts.total()
        ));
        result
    }
}

impl Block<'_> {
    /// When the block must look again though nothing has happened.
    fn next_due(&self, deadline: Option<Time>) -> Option<Time> {
        let retry = self
            .retrying
            .peek()
            .map(|Reverse((at, _))| *at)
            .filter(|_| self.halted.is_none() && self.has_slot());
        let rest = self.resting.peek().map(|Reverse(at)| *at);
        let deadline = deadline.filter(|_| self.halted.is_none());
        [retry, rest, deadline].into_iter().flatten().min()
    }

    fn has_slot(&self) -> bool {
        self.running.len() + self.resting.len() < self.limits.at_once
    }

    /// Whether all of the wave and something after it was over before, so that
    /// its check had passed.
    fn passed_before(&self, wave: &Range<usize>) -> bool {
        self.subtasks[wave.clone()].iter().all(|s| s.kept)
            && self.subtasks[wave.end..].iter().any(|s| s.kept)
    }

    fn halt(&mut self, cause: String, exit: i32) {
        self.halted.get_or_insert((cause, exit));
    }

    /// Whether subtasks or attempts are missing that were wanted.
    fn is_cut_short(&self) -> bool {
        let missing = |outcome| matches!(outcome, Outcome::Cancelled | Outcome::NotStarted);
        let results = self.subtasks.iter().filter_map(|s| s.result.as_ref());
        self.retries_lost || results.map(|r| r.outcome).any(missing)
    }

    fn look_at_fail_fast(&mut self) {
        let total = self.subtasks.len() as u64;
        let failed = self.failed
            + if self.leaves_out_unreachable() {
                0
            } else {
                self.unreachable
            };
        if let Some(share) = self.limits.fail_fast
            && failed > share.limit_for(total)
        {
            self.halt(
                format!("fail_fast, {failed} of {total} did not succeed"),
                -1,
            );
        }
    }

    /// Whether the block goes on as if the unreachable hosts were not its own.
    fn leaves_out_unreachable(&self) -> bool {
        match self.limits.unreachable {
            Unreachable::Fail => false,
            Unreachable::Skip => true,
            Unreachable::Percent(p) => self.unreachable * 100 <= p * self.subtasks.len() as u64,
        }
    }

    /// What a subtask's success is judged by.
    fn criterion_of<'t>(&self, task: &'t Task) -> Option<&'t Criterion> {
        task.success
            .as_ref()
            .filter(|c| !self.over_hosts || !is_of_block(task, c))
    }

    fn running_names(&self) -> Vec<String> {
        let mut numbers: Vec<&u64> = self.running.keys().collect();
        numbers.sort_unstable();
        let mut names: Vec<String> = numbers
            .iter()
            .take(NAMED)
            .filter_map(|n| self.running.get(n))
            .map(|r| running(&self.subtasks[r.subtask].context))
            .collect();
        if numbers.len() > NAMED {
            names.push(format!("{} more", numbers.len() - NAMED));
        }
        names
    }
}

/// The command of a subtask; nothing for a decision.
fn command_of(task: &Task) -> Option<&Command> {
    match &task.kind {
        TaskKind::Decision | TaskKind::Bare => None,
        _ => task.command(),
    }
}

/// Whether the result is one that is tried again (SPEC §3.3).
fn is_tried_again(context: &TaskContext, retries: &Retries, result: &TaskResult) -> bool {
    let again = flow::is_retried(result.outcome, result.exit, &retries.on);
    !result.success && context.attempt <= retries.count && again
}
