//! What SPEC §3 says becomes of a workflow.

use super::logic::{Facts, Formula, Truth};
use super::workflow::{
    Answer, Criterion, LeftOut, Limit, Next, RetryOn, Shape, Spec, TaskEnd, WaveSize, Word, Work,
    Workflow,
};
use std::collections::BTreeMap;

/// What a run leaves.
pub struct Story {
    pub exit: i32,
    pub path: Vec<u32>,
    pub results: BTreeMap<u32, TaskEnd>,
}

/// How a task ended, and what that means for the flow.
struct Judged {
    end: TaskEnd,
    /// None: it was skipped.
    verdict: Option<bool>,
    /// A branch that was left, and how.
    leaves: Option<Step>,
    /// Its branch was stopped by a member's own `next`.
    is_stopped: bool,
    /// An answer was polled for and never came.
    unanswered: bool,
}

impl Judged {
    fn new(end: TaskEnd, verdict: Option<bool>) -> Judged {
        Judged {
            end,
            verdict,
            leaves: None,
            is_stopped: false,
            unanswered: false,
        }
    }
}

/// Where the flow goes after a task (§3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    FallThrough,
    Jump {
        to: u32,
        after: Jumped,
    },
    End(i32),
    /// A false verdict that nothing in the file answers: the exit code of a stop.
    Unhandled(i32),
    MaxSteps,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Jumped {
    Failure,
    /// On a true verdict, or by a plain `goto`.
    Otherwise,
}

struct Walker<'a> {
    workflow: &'a Workflow,
    results: BTreeMap<u32, TaskEnd>,
    calls: BTreeMap<(u32, String), usize>,
    path: Vec<u32>,
    steps: usize,
    /// Whether falling through ends before a handler (§3.2.6).
    is_protected: bool,
    handler_failed: bool,
    went_past_failures: bool,
    has_started: bool,
    /// The blocks that run, one in another.
    blocks: Vec<u32>,
}

pub fn run(workflow: &Workflow) -> Story {
    let mut walker = Walker {
        workflow,
        results: BTreeMap::new(),
        calls: BTreeMap::new(),
        path: Vec::new(),
        steps: 0,
        is_protected: true,
        handler_failed: false,
        went_past_failures: false,
        has_started: false,
        blocks: Vec::new(),
    };
    let code = walker.main_line();
    let exit = walker.final_tasks(code);
    Story {
        exit,
        path: walker.path,
        results: walker.results,
    }
}

impl<'a> Walker<'a> {
    fn task(&self, id: u32) -> &'a Spec {
        &self.workflow.tasks[&id]
    }

    fn next_on_main_line(&self, after: Option<u32>) -> Option<u32> {
        let tasks = self.workflow.tasks.iter();
        let mut later = tasks.filter(|(id, task)| {
            after.is_none_or(|after| **id > after)
                && !task.is_final
                && self.workflow.owner(**id).is_none()
        });
        later.next().map(|(id, _)| *id)
    }

    fn is_handler(&self, id: u32) -> bool {
        // A failure that leads back to the start begins again.
        if self.next_on_main_line(None) == Some(id) {
            return false;
        }
        let mut tasks = self.workflow.tasks.values();
        tasks.any(|t| t.failure_target() == Some(id))
            && !id
                .checked_sub(1)
                .is_some_and(|before| self.workflow.tasks.contains_key(&before))
    }

    fn main_line(&mut self) -> i32 {
        let mut at = self.next_on_main_line(None);
        while let Some(id) = at {
            match self.step(id) {
                Step::Jump { to, after } => {
                    match after {
                        Jumped::Otherwise => self.is_protected = true,
                        Jumped::Failure if self.is_handler(to) => self.is_protected = false,
                        Jumped::Failure => {}
                    }
                    at = Some(to);
                }
                Step::FallThrough => {
                    at = self.next_on_main_line(Some(id));
                    if at.is_some_and(|to| self.is_protected && self.is_handler(to)) {
                        at = None;
                    }
                }
                Step::End(0) => break,
                Step::End(code) | Step::Unhandled(code) => return code,
                Step::MaxSteps => return 14,
            }
        }
        i32::from(self.handler_failed || self.went_past_failures)
    }

    fn step(&mut self, id: u32) -> Step {
        if self.steps == self.workflow.max_steps {
            return Step::MaxSteps;
        }
        let judged = self.execute(id);
        self.steps += 1;
        if judged.verdict.is_some() {
            self.path.push(id);
        }
        let step = self.after(id, &judged);
        self.results.insert(id, judged.end);
        match step {
            Step::Unhandled(_) if self.workflow.keep_going => {
                self.went_past_failures = true;
                // The author wanted the end here, though not as a success.
                self.task(id).end.map_or(Step::FallThrough, Step::End)
            }
            step => step,
        }
    }

    /// §3.2, from 3 on.
    fn after(&mut self, id: u32, judged: &Judged) -> Step {
        let task = self.task(id);
        let Some(verdict) = judged.verdict else {
            return Step::FallThrough;
        };
        self.handler_failed |= self.is_handler(id) && !verdict;
        let in_handler = !self.is_protected && self.is_handler(id);
        if let Some(step) = judged.leaves {
            return step;
        }
        let is_branch_task = !self.blocks.is_empty();
        let (exit, success) = (judged.end.exit, judged.end.success);
        if let Next::Never = task.next {
            return Step::End(match (success, task.end) {
                (true, end) => end.unwrap_or(0),
                (false, Some(end)) if end != 0 => end,
                (false, _) if exit != 0 => exit,
                (false, _) => 10,
            });
        }
        if verdict {
            return self.after_true(task);
        }
        if let Some(to) = task.failure_target() {
            let after = Jumped::Failure;
            return Step::Jump { to, after };
        }
        if let Some(to) = task.goto {
            let after = Jumped::Otherwise;
            return Step::Jump { to, after };
        }
        match task.end {
            Some(end) if end != 0 => Step::End(end),
            // A branch has its own rule for failures.
            _ if in_handler && !is_branch_task => self.after_true(task),
            _ => {
                let is_command = matches!(task.work, Work::Command(_));
                let has_code = is_command && !judged.unanswered && exit != 0;
                Step::Unhandled(if has_code { exit } else { 10 })
            }
        }
    }

    fn after_true(&self, task: &Spec) -> Step {
        let after = Jumped::Otherwise;
        let plain = task.goto.filter(|_| matches!(task.next, Next::Absent));
        match (task.on_success.or(plain), task.end) {
            (Some(to), _) => Step::Jump { to, after },
            (None, Some(end)) => Step::End(end),
            (None, None) => Step::FallThrough,
        }
    }

    fn final_tasks(&mut self, code: i32) -> i32 {
        let mut code = code;
        if !self.has_started {
            return code;
        }
        let workflow = self.workflow;
        for id in workflow.tasks.keys().copied() {
            if !self.task(id).is_final {
                continue;
            }
            let judged = self.execute(id);
            if let (0, Step::Unhandled(exit)) = (code, self.after(id, &judged)) {
                code = exit;
            }
            self.results.insert(id, judged.end);
        }
        code
    }

    fn truth(&self, formula: Option<&Formula>) -> Truth {
        let facts = Facts {
            results: &self.results,
            own: None,
            is_criterion: false,
        };
        formula.map_or(Truth::Yes, |formula| facts.evaluate(formula))
    }

    fn holds(&self, formula: &Formula, id: u32, end: &TaskEnd) -> bool {
        let facts = Facts {
            results: &self.results,
            own: Some((id, end)),
            is_criterion: false,
        };
        facts.evaluate(formula) == Truth::Yes
    }

    /// Whether a criterion calls this a success.
    fn succeeds(&self, criterion: &Criterion, id: u32, end: &TaskEnd) -> bool {
        let facts = Facts {
            results: &self.results,
            own: Some((id, end)),
            is_criterion: true,
        };
        let (formula, truth) = match criterion {
            Criterion::Success(formula) => (formula, facts.evaluate(formula)),
            Criterion::Failure(formula) => (formula, facts.evaluate_opposite(formula)),
        };
        let is_failure = matches!(criterion, Criterion::Failure(_));
        truth == Truth::Yes
            && (!end.is_lost || formula.names_unreachable())
            && (!end.breaks || !is_failure || formula.names_unknown())
    }

    /// Runs a task with its loop or retries.
    fn execute(&mut self, id: u32) -> Judged {
        let mut judged = self.execute_unjudged(id);
        if judged.verdict == Some(false) && judged.end.word == Word::Ok {
            // A false verdict of a task whose outcome is `ok` counts as `failed`.
            judged.end.word = Word::Failed;
        }
        judged
    }

    fn execute_unjudged(&mut self, id: u32) -> Judged {
        let task = self.task(id);
        let chooses = matches!(task.work, Work::Conditional { .. });
        let condition = self.truth(task.condition.as_ref());
        if condition == Truth::No && !chooses {
            return Judged::new(TaskEnd::new(Word::Skipped, -1), None);
        }
        self.has_started = true;
        if condition == Truth::Undecided && !task.is_final {
            let end = TaskEnd::unstarted();
            let verdict = matches!(task.next, Next::Always);
            let mut judged = Judged::new(end, Some(verdict));
            judged.is_stopped = chooses && is_transparent(task);
            return judged;
        }
        match &task.work {
            Work::Command(host) => {
                let host = host.clone().unwrap_or_default();
                self.command(id, &host)
            }
            Work::Hosts { hosts, shape, .. } => self.hosts(id, hosts, shape),
            Work::Tasks { members, shape } => self.tasks(id, members, shape),
            Work::Conditional { yes, no } => {
                self.conditional(id, if condition == Truth::Yes { yes } else { no })
            }
            Work::Decision => {
                let end = TaskEnd::new(Word::Ok, 0);
                let success = task
                    .criterion
                    .as_ref()
                    .is_none_or(|c| self.succeeds(c, id, &end));
                self.judge_block(id, end, success)
            }
            Work::Bare => Judged::new(TaskEnd::new(Word::Ok, 0), Some(true)),
        }
    }

    /// Whether `next=` or `loop_break=` can be true of the result: not of a host that
    /// was not reached, unless that is asked for.
    fn may_judge(&self, formula: &Formula, id: u32, end: &TaskEnd) -> bool {
        let criterion = match &self.task(id).criterion {
            Some(Criterion::Success(formula) | Criterion::Failure(formula)) => Some(formula),
            None => None,
        };
        let mut both = criterion.into_iter().chain([formula]);
        !end.is_lost || both.any(|f| f.names_unreachable())
    }

    // Commands.

    fn attempt(&mut self, id: u32, host: &str) -> TaskEnd {
        let key = (id, host.to_string());
        let answers = &self.workflow.answers[&key];
        let calls = self.calls.entry(key).or_insert(0);
        let answer = answers[(*calls).min(answers.len() - 1)];
        let Answer { code, breaks, .. } = answer;
        *calls += 1;
        let mut end = TaskEnd::new(Word::Ok, code.unwrap_or(255));
        let has_begun = code.is_some() || breaks;
        end.text = if has_begun { answer.stdout } else { "" };
        end.is_lost = !has_begun;
        end.breaks = breaks;
        let task = self.task(id);
        let criterion = task.criterion.as_ref().filter(|c| match c {
            Criterion::Success(f) | Criterion::Failure(f) => !f.is_aggregate(),
        });
        end.success = match criterion {
            Some(criterion) => self.succeeds(criterion, id, &end),
            None => end.exit == 0,
        };
        end.word = match (end.success, end.is_lost, end.breaks) {
            (true, ..) => Word::Ok,
            (_, true, _) => Word::Unreachable,
            (.., true) => Word::Unknown,
            _ => Word::Failed,
        };
        end
    }

    fn command(&mut self, id: u32, host: &str) -> Judged {
        if let Next::Loop(count, held) = &self.task(id).next {
            return self.repeat(id, host, *count, held.as_ref());
        }
        let (retries, retry_on) = self.retries(id);
        let mut attempts = 0;
        loop {
            let mut end = self.attempt(id, host);
            attempts += 1;
            end.attempts = attempts;
            let verdict = match &self.task(id).next {
                Next::Always => true,
                Next::If(formula) => {
                    self.holds(formula, id, &end) && self.may_judge(formula, id, &end)
                }
                _ => end.success,
            };
            if verdict || attempts > retries || !is_retried(retry_on, &end) {
                return Judged::new(end, Some(verdict));
            }
        }
    }

    /// The retries of a task; a block's apply to each of its members.
    fn retries(&self, id: u32) -> (usize, RetryOn) {
        let task = self.task(id);
        // Not of one that it was jumped to from: that is a step of its own.
        let block = self.blocks.last().map(|block| self.task(*block));
        let (count, retry_on) = block.map_or((0, RetryOn::Default), |b| (b.retries, b.retry_on));
        let is_named = task.retries > 0 && task.retry_on != RetryOn::Default;
        (
            if task.retries > 0 {
                task.retries
            } else {
                count
            },
            if is_named { task.retry_on } else { retry_on },
        )
    }

    /// §3.4.
    fn repeat(&mut self, id: u32, host: &str, count: usize, held: Option<&Formula>) -> Judged {
        let mut last = None;
        let mut answered = held.is_none();
        for _ in 0..count {
            let mut end = self.attempt(id, host);
            end.attempts = 1;
            let holds = held
                .is_some_and(|held| self.holds(held, id, &end) && self.may_judge(held, id, &end));
            // A reference to itself means the iteration before.
            self.results.insert(id, end.clone());
            last = Some(end);
            if holds {
                answered = true;
                break;
            }
        }
        let mut judged = Judged::new(last.expect("an iteration"), Some(answered));
        judged.unanswered = !answered;
        judged
    }

    // Blocks.

    /// The verdict of a block or a decision.
    fn judge_block(&self, id: u32, mut end: TaskEnd, success: bool) -> Judged {
        end.success = success;
        end.word = if success { Word::Ok } else { Word::Failed };
        end.exit = i32::from(!success);
        let verdict = match &self.task(id).next {
            Next::Always => true,
            // The criterion is judged already.
            Next::If(formula) if is_criterion(self.task(id), formula) => success,
            Next::If(formula) => self.holds(formula, id, &end) && !reached_nobody(&end),
            _ => success,
        };
        Judged::new(end, Some(verdict))
    }

    fn hosts(&mut self, id: u32, hosts: &[String], shape: &Shape) -> Judged {
        let members: Vec<Member> = hosts.iter().map(|h| Member::Host(h.clone())).collect();
        self.parallel(id, &members, shape)
    }

    fn tasks(&mut self, id: u32, members: &[u32], shape: &Shape) -> Judged {
        let members: Vec<Member> = members.iter().map(|id| Member::Task(*id)).collect();
        self.parallel(id, &members, shape)
    }

    /// §3.5. The members one after another: where it matters how many run at once,
    /// the task file says one.
    fn parallel(&mut self, id: u32, members: &[Member], shape: &Shape) -> Judged {
        let all = members.len();
        let mut ends: Vec<TaskEnd> = Vec::new();
        let mut first = true;
        for size in wave_sizes(&shape.waves, all) {
            if let Some(check) = shape.wave_check.filter(|_| !first) {
                let judged = self.execute(check);
                let verdict = judged.verdict;
                self.results.insert(check, judged.end);
                if verdict == Some(false) {
                    break;
                }
            }
            let begin = ends.len();
            for member in &members[begin..begin + size] {
                let end = match shape.fail_fast {
                    Some(limit) if is_exceeded(limit, not_ok(&ends, all, shape), all) => {
                        TaskEnd::new(Word::NotStarted, -1)
                    }
                    _ => self.member(id, member),
                };
                ends.push(end);
            }
            let wave = &ends[begin..];
            let had_work = wave.iter().any(|end| end.word != Word::Skipped);
            let none_ok = !wave.iter().any(|end| end.word == Word::Ok);
            let judged_as_a_whole = first || shape.fail_fast.is_none();
            if had_work && none_ok && judged_as_a_whole {
                break;
            }
            if shape
                .fail_fast
                .is_some_and(|limit| is_exceeded(limit, not_ok(&ends, all, shape), all))
            {
                break;
            }
            first = false;
        }
        ends.resize_with(all, || TaskEnd::new(Word::NotStarted, -1));
        let mut end = TaskEnd::new(Word::Ok, 0);
        end.attempts = 1;
        end.criterion_total = all - left_out(&ends, all, shape);
        for (member, of_member) in members.iter().zip(ends) {
            let name = match member {
                Member::Host(host) => host.clone(),
                Member::Task(id) => id.to_string(),
            };
            end.members.push((name, of_member.word, of_member.exit));
            if let Member::Task(id) = member {
                self.results.insert(*id, of_member);
            }
        }
        let task = self.task(id);
        let criterion = task.criterion.as_ref().filter(|c| !is_each_hosts(task, c));
        let mut success = match (criterion, &task.next) {
            (Some(criterion), _) => self.succeeds(criterion, id, &end),
            (None, Next::If(formula)) if formula.is_aggregate() => self.holds(formula, id, &end),
            _ => end.count(Word::Ok) + end.count(Word::Skipped) == end.criterion_total,
        };
        success &= !reached_nobody(&end);
        self.judge_block(id, end, success)
    }

    fn member(&mut self, block: u32, member: &Member) -> TaskEnd {
        match member {
            Member::Host(host) => {
                let (retries, retry_on) = self.retries(block);
                let mut attempts = 0;
                loop {
                    let mut end = self.attempt(block, host);
                    attempts += 1;
                    end.attempts = attempts;
                    if end.success || attempts > retries || !is_retried(retry_on, &end) {
                        break end;
                    }
                }
            }
            Member::Task(id) => {
                self.blocks.push(block);
                let end = self.execute(*id).end;
                self.blocks.pop();
                end
            }
        }
    }

    /// §3.6.
    fn conditional(&mut self, id: u32, branch: &[u32]) -> Judged {
        let mut end = TaskEnd::new(Word::Ok, 0);
        end.attempts = 1;
        let (mut failed, mut stopped, mut leaves, mut left_by_failure) =
            (false, false, None, false);
        let mut names = branch.iter();
        for member in names.by_ref() {
            let was_protected = self.is_protected;
            if self.is_handler(*member) {
                self.is_protected = false;
            }
            self.blocks.push(id);
            let judged = self.execute(*member);
            if judged.verdict.is_none() {
                self.is_protected = was_protected;
            }
            let step = self.after(*member, &judged);
            self.blocks.pop();
            let is_false = judged.verdict == Some(false);
            // A `return=0` that a failure does not take ends the branch as well.
            let member_task = self.task(*member);
            let ends_branch = !matches!(member_task.next, Next::Absent)
                || member_task.end.is_some()
                || judged.is_stopped;
            failed |= is_false;
            end.members
                .push((member.to_string(), judged.end.word, judged.end.exit));
            self.results.insert(*member, judged.end);
            match step {
                Step::FallThrough => {}
                Step::Unhandled(_) if ends_branch => {
                    stopped = true;
                    break;
                }
                Step::Unhandled(_) => {}
                step => {
                    (leaves, left_by_failure) = (Some(step), is_false);
                    break;
                }
            }
        }
        if stopped {
            for rest in names {
                let not_started = TaskEnd::new(Word::NotStarted, -1);
                end.members.push((rest.to_string(), not_started.word, -1));
                self.results.insert(*rest, not_started);
            }
        }
        end.criterion_total = end.members.len();
        let mut judged = self.judge_conditional(id, end, failed, stopped || left_by_failure);
        judged.leaves = leaves;
        judged.is_stopped = stopped && is_transparent(self.task(id));
        judged
    }

    fn judge_conditional(&self, id: u32, end: TaskEnd, failed: bool, is_false: bool) -> Judged {
        let task = self.task(id);
        let success = match &task.criterion {
            Some(criterion) => self.succeeds(criterion, id, &end),
            None => !failed,
        };
        let mut judged = self.judge_block(id, end, success);
        if is_transparent(task) {
            judged.verdict = Some(!is_false);
        }
        judged
    }
}

/// Whether `success=` is about each host, not about the block.
fn is_each_hosts(task: &Spec, criterion: &Criterion) -> bool {
    let (Criterion::Success(formula) | Criterion::Failure(formula)) = criterion;
    matches!(task.work, Work::Hosts { .. }) && !formula.is_aggregate()
}

/// Whether the `next=` of a parallel block is its criterion.
fn is_criterion(task: &Spec, next: &Formula) -> bool {
    let criterion = task.criterion.as_ref();
    task.is_parallel() && next.is_aggregate() && criterion.is_none_or(|c| is_each_hosts(task, c))
}

/// A conditional with no word of its own on what a failure in it means: an `if`.
fn is_transparent(task: &Spec) -> bool {
    let has_route = task.on_success.or(task.on_failure).or(task.goto).is_some();
    let has_word = task.criterion.is_some() || task.end.is_some();
    matches!(task.next, Next::Absent) && !has_route && !has_word
}

enum Member {
    Host(String),
    Task(u32),
}

fn is_retried(retry_on: RetryOn, end: &TaskEnd) -> bool {
    // A false verdict of what ended well counts as failed (§3.3).
    let word = match end.word {
        Word::Ok => Word::Failed,
        word => word,
    };
    match retry_on {
        // It may have been done: neither an outcome nor a code covers it but its own.
        _ if word == Word::Unknown => retry_on == RetryOn::Unknown,
        RetryOn::Default => !end.is_unstarted,
        RetryOn::Failed | RetryOn::Unknown => word == Word::Failed,
        RetryOn::Unreachable => word == Word::Unreachable,
        RetryOn::Exit(code) => end.exit == code,
    }
}

/// How many unreachable hosts the criterion leaves out.
fn left_out(ends: &[TaskEnd], all: usize, shape: &Shape) -> usize {
    let lost = ends.iter().filter(|e| e.word == Word::Unreachable).count();
    match shape.unreachable {
        Some(LeftOut::Always) => lost,
        Some(LeftOut::Percent(percent)) if lost * 100 <= percent * all => lost,
        _ => 0,
    }
}

fn not_ok(ends: &[TaskEnd], all: usize, shape: &Shape) -> usize {
    let is_failure =
        |e: &&TaskEnd| matches!(e.word, Word::Failed | Word::Unreachable | Word::Unknown);
    ends.iter().filter(is_failure).count() - left_out(ends, all, shape)
}

fn is_exceeded(limit: Limit, count: usize, all: usize) -> bool {
    match limit {
        Limit::True => count > 0,
        Limit::Number(number) => count > number,
        Limit::Percent(percent) => count * 100 > percent * all,
    }
}

/// Some hosts were left out and nothing succeeded.
fn reached_nobody(end: &TaskEnd) -> bool {
    end.criterion_total < end.members.len() && end.count(Word::Ok) == 0
}

fn wave_sizes(waves: &[WaveSize], all: usize) -> Vec<usize> {
    let mut sizes = Vec::new();
    let mut rest = all;
    let mut named = waves.iter();
    let mut size = WaveSize::Rest;
    while rest > 0 {
        size = named.next().copied().unwrap_or(size);
        let wanted = match size {
            WaveSize::Number(number) => number,
            WaveSize::Percent(percent) => (percent * all).div_ceil(100),
            WaveSize::Rest => rest,
        };
        let taken = wanted.min(rest);
        sizes.push(taken);
        rest -= taken;
    }
    sizes
}
