//! Random workflows: the kinds of task and route of SPEC §3, in combinations that the
//! validation accepts and whose end does not depend on time.

use super::logic::{Aggregate, Amount, FieldName, Formula, Operand, Pattern};
use super::workflow::{
    Answer, Criterion, LeftOut, Limit, Next, RetryOn, Shape, Spec, WaveSize, Word, Work, Workflow,
};
use crate::chance::Chance;
use std::collections::{BTreeMap, BTreeSet};

const TEXTS: [&str; 9] = ["", "5", "97", "97%", "true", "up", "12.5", "-3", "FALSE"];

pub fn generate(seed: u64) -> Workflow {
    let mut growing = Growing {
        chance: Chance::new(seed),
        tasks: BTreeMap::new(),
        next_member: 200,
        handlers: Vec::new(),
        free_handlers: Vec::new(),
        parallel_members: BTreeSet::new(),
        hosts: 0,
    };
    growing.grow();
    growing.add_routes();
    growing.add_conditions();
    let answers = growing.answers();
    Workflow {
        keep_going: growing.one_in(6),
        max_steps: 60,
        tasks: growing.tasks,
        answers,
    }
}

struct Growing {
    chance: Chance,
    tasks: BTreeMap<u32, Spec>,
    next_member: u32,
    handlers: Vec<u32>,
    /// Those that no branch has.
    free_handlers: Vec<u32>,
    /// Subtasks of parallel blocks and checks between waves: nothing leads to them.
    parallel_members: BTreeSet<u32>,
    hosts: usize,
}

impl Growing {
    fn one_in(&mut self, count: usize) -> bool {
        self.chance.below(count) == 0
    }

    // Tasks and blocks.

    fn grow(&mut self) {
        // Handlers first, since a branch can own one.
        let mut at = 90;
        for _ in 0..self.chance.below(4) {
            self.handlers.push(at);
            self.free_handlers.push(at);
            let command = self.command();
            self.tasks.insert(at, command);
            at += 1 + self.chance.below(4) as u32;
        }
        let mut id = self.chance.below(3) as u32;
        for _ in 0..3 + self.chance.below(5) {
            let task = self.any_task(0);
            self.tasks.insert(id, task);
            id += 1 + [0, 0, 1, 4][self.chance.below(4)];
        }
        for final_id in [40, 950, 960] {
            if self.one_in(6) {
                let mut task = self.command();
                task.is_final = true;
                self.tasks.insert(final_id, task);
            }
        }
    }

    fn any_task(&mut self, depth: usize) -> Spec {
        match self.chance.below(20) {
            0..=3 => self.conditional(depth),
            4 | 5 => self.hosts(),
            6 | 7 => self.tasks_block(),
            8 | 9 => Spec::new(Work::Decision),
            10 if depth == 0 => self.bare(),
            _ => self.command(),
        }
    }

    fn bare(&mut self) -> Spec {
        let mut task = Spec::new(Work::Bare);
        if self.one_in(3) {
            task.next = Next::Never;
        } else {
            task.end = Some(self.chance.below(3) as i32);
        }
        task
    }

    fn command(&mut self) -> Spec {
        let host = match self.one_in(4) {
            true => Some(self.new_host()),
            false => None,
        };
        Spec::new(Work::Command(host))
    }

    fn new_host(&mut self) -> String {
        self.hosts += 1;
        format!("h{}", self.hosts)
    }

    fn new_member(&mut self, task: Spec) -> u32 {
        let id = self.next_member;
        self.next_member += 1 + self.chance.below(2) as u32;
        self.tasks.insert(id, task);
        id
    }

    fn conditional(&mut self, depth: usize) -> Spec {
        let (mut yes, mut no) = (self.branch(depth), self.branch(depth));
        if yes.is_empty() && no.is_empty() {
            let command = self.command();
            let member = self.new_member(command);
            if self.one_in(2) { &mut yes } else { &mut no }.push(member);
        }
        Spec::new(Work::Conditional { yes, no })
    }

    fn branch(&mut self, depth: usize) -> Vec<u32> {
        let mut branch = Vec::new();
        for _ in 0..self.chance.below(4) {
            let adopts = !self.free_handlers.is_empty() && self.one_in(6);
            let member = match adopts.then(|| self.free_handlers.pop()).flatten() {
                Some(handler) => handler,
                None => {
                    let task = match depth {
                        2 => self.command(),
                        _ => self.any_task(depth + 1),
                    };
                    self.new_member(task)
                }
            };
            branch.push(member);
        }
        branch
    }

    fn hosts(&mut self) -> Spec {
        let hosts = (0..1 + self.chance.below(6))
            .map(|_| self.new_host())
            .collect();
        let far = self.one_in(2);
        let shape = self.shape(far);
        Spec::new(Work::Hosts { hosts, far, shape })
    }

    fn tasks_block(&mut self) -> Spec {
        let mut members = Vec::new();
        for _ in 0..1 + self.chance.below(5) {
            let command = self.command();
            members.push(self.new_member(command));
        }
        self.parallel_members.extend(&members);
        let shape = self.shape(true);
        Spec::new(Work::Tasks { members, shape })
    }

    fn shape(&mut self, far: bool) -> Shape {
        let mut shape = Shape::default();
        if self.one_in(3) {
            shape.fail_fast = Some(match self.chance.below(3) {
                0 => Limit::True,
                1 => Limit::Number(1 + self.chance.below(2)),
                _ => Limit::Percent(10 + 20 * self.chance.below(3)),
            });
        }
        if far && self.one_in(2) {
            shape.unreachable = Some(match self.chance.below(4) {
                0 => LeftOut::Never,
                1 | 2 => LeftOut::Always,
                _ => LeftOut::Percent(20 + 20 * self.chance.below(3)),
            });
        }
        if self.one_in(3) {
            for _ in 0..1 + self.chance.below(3) {
                shape.waves.push(match self.chance.below(3) {
                    0 => WaveSize::Percent(10 + 15 * self.chance.below(3)),
                    _ => WaveSize::Number(1 + self.chance.below(2)),
                });
            }
            if self.one_in(3) {
                shape.waves.push(WaveSize::Rest);
            }
            if self.one_in(2) {
                let check = match self.one_in(3) {
                    true => Spec::new(Work::Decision),
                    false => self.command(),
                };
                let check = self.new_member(check);
                self.parallel_members.insert(check);
                shape.wave_check = Some(check);
            }
        }
        shape
    }

    // Routes.

    fn is_routable(&self, id: u32) -> bool {
        !self.parallel_members.contains(&id) && !self.tasks[&id].is_final
    }

    fn add_routes(&mut self) {
        let ids: Vec<u32> = self.tasks.keys().copied().collect();
        let targets: Vec<u32> = ids
            .iter()
            .copied()
            .filter(|id| self.is_routable(*id))
            .collect();
        for id in ids {
            let mut task = self.tasks[&id].clone();
            if self.is_routable(id) && !matches!(task.work, Work::Bare) {
                self.route(id, &mut task, &targets);
            }
            self.add_retries(&mut task);
            self.tasks.insert(id, task);
        }
    }

    fn target(&mut self, id: u32, targets: &[u32]) -> u32 {
        if !self.handlers.is_empty() && self.one_in(3) {
            let handlers = self.handlers.clone();
            return self.chance.one_of(&handlers);
        }
        // Usually onwards, so that most runs come to their end.
        let onwards: Vec<u32> = targets.iter().copied().filter(|to| *to > id).collect();
        if onwards.is_empty() || self.one_in(5) {
            return self.chance.one_of(targets);
        }
        self.chance.one_of(&onwards)
    }

    fn route(&mut self, id: u32, task: &mut Spec, targets: &[u32]) {
        let is_command = matches!(task.work, Work::Command(_));
        match self.chance.below(12) {
            0 => task.next = Next::Always,
            1 => task.next = Next::Success,
            2 => task.next = Next::If(Formula::Literal(true)),
            3 if is_command => task.next = Next::Loop(1 + self.chance.below(3), None),
            4 if is_command => {
                let held = Some(Formula::Literal(true));
                task.next = Next::Loop(1 + self.chance.below(3), held);
            }
            5 if self.one_in(4) => {
                task.next = Next::Never;
                if self.one_in(2) {
                    task.end = Some(self.chance.below(3) as i32);
                }
                return;
            }
            _ => {}
        }
        let is_answered = !matches!(task.next, Next::Always);
        match self.chance.below(8) {
            0 | 1 if is_answered => task.on_failure = Some(self.target(id, targets)),
            2 if is_answered => task.goto = Some(self.target(id, targets)),
            3 if self.one_in(3) => task.on_success = Some(self.target(id, targets)),
            _ => {}
        }
        if self.one_in(12) || ((90..200).contains(&id) && self.one_in(4)) {
            task.end = Some(self.chance.one_of(&[0, 0, 1, 7]));
        }
    }

    fn add_retries(&mut self, task: &mut Spec) {
        let only_commands = |ids: &[u32], tasks: &BTreeMap<u32, Spec>| {
            let is_command = |id| matches!(tasks[id].work, Work::Command(_));
            ids.iter().all(is_command) && ids.iter().all(|id| tasks[id].retries == 0)
        };
        let possible = match &task.work {
            Work::Command(_) => !matches!(task.next, Next::Loop(..)),
            Work::Hosts { .. } => true,
            Work::Tasks { .. } | Work::Conditional { .. } => {
                only_commands(&task.owned(), &self.tasks)
            }
            _ => false,
        };
        if possible && self.one_in(4) {
            task.retries = 1 + self.chance.below(3);
            task.retry_on = match self.chance.below(7) {
                6 => RetryOn::Unknown,
                0 => RetryOn::Failed,
                1 => RetryOn::Unreachable,
                2 => RetryOn::Exit(self.chance.one_of(&[1, 3])),
                _ => RetryOn::Default,
            };
        }
    }

    // Conditions.

    fn add_conditions(&mut self) {
        let ids: Vec<u32> = self.tasks.keys().copied().collect();
        for id in ids {
            let mut task = self.tasks[&id].clone();
            let public = self.public(id);
            let is_conditional = matches!(task.work, Work::Conditional { .. });
            if is_conditional || self.one_in(9) {
                task.condition = Some(self.earlier(&public, 2));
            }
            if let Next::If(_) = task.next {
                task.next = Next::If(match &task.work {
                    Work::Command(host) => self.own(&public, 2, host.is_some()),
                    _ if task.is_parallel() && self.one_in(2) => self.aggregate(),
                    _ => self.earlier(&public, 2),
                });
            }
            if let Next::Loop(_, Some(held)) = &mut task.next {
                *held = self.own(&public, 1, false);
            }
            let wanted = matches!(task.work, Work::Decision) || self.one_in(4);
            if wanted {
                task.criterion = self.criterion(&task, &public);
            }
            self.tasks.insert(id, task);
        }
    }

    fn criterion(&mut self, task: &Spec, public: &[u32]) -> Option<Criterion> {
        let formula = match &task.work {
            Work::Bare => return None,
            Work::Command(host) => self.own(public, 2, host.is_some()),
            Work::Hosts { far, .. } if self.one_in(3) => self.own(public, 1, *far),
            Work::Hosts { .. } | Work::Tasks { .. } => self.aggregate(),
            Work::Conditional { .. } | Work::Decision => self.earlier(public, 2),
        };
        Some(match self.one_in(3) {
            true => Criterion::Failure(formula),
            false => Criterion::Success(formula),
        })
    }

    /// The tasks whose results it may use: not those that run at the same time, and
    /// not the blocks that it is in.
    fn public(&self, id: u32) -> Vec<u32> {
        let owns = |block: u32, id: u32| self.tasks[&block].owned().contains(&id);
        let is_within = |mut inner: u32, outer: u32| {
            while let Some((owner, _)) = self.tasks.iter().find(|(o, _)| owns(**o, inner)) {
                if *owner == outer {
                    return true;
                }
                inner = *owner;
            }
            false
        };
        let usable = |other: &u32| {
            *other != id
                && self.is_routable(*other)
                && !matches!(self.tasks[other].work, Work::Bare)
                && !is_within(id, *other)
                && !is_within(*other, id)
        };
        self.tasks.keys().copied().filter(usable).collect()
    }

    fn join(&mut self, test: &mut dyn FnMut(&mut Growing) -> Formula, depth: usize) -> Formula {
        if depth == 0 {
            return test(self);
        }
        match self.chance.below(7) {
            0 => Formula::Not(Box::new(self.join(test, depth - 1))),
            1 | 2 => {
                let (a, b) = (self.join(test, depth - 1), self.join(test, depth - 1));
                Formula::And(Box::new(a), Box::new(b))
            }
            3 => {
                let (a, b) = (self.join(test, depth - 1), self.join(test, depth - 1));
                Formula::Or(Box::new(a), Box::new(b))
            }
            _ => test(self),
        }
    }

    /// A condition over earlier results.
    fn earlier(&mut self, public: &[u32], depth: usize) -> Formula {
        self.join(&mut |growing| growing.test_of_another(public), depth)
    }

    /// A condition over the task's own result and earlier ones.
    fn own(&mut self, public: &[u32], depth: usize, far: bool) -> Formula {
        let mut test = |growing: &mut Growing| match growing.chance.below(10) {
            0 => growing.test_of_another(public),
            1..=3 => Formula::ExitIs(growing.chance.one_of(&[0, 0, 1, 3])),
            4 => Formula::Success,
            5 => match far {
                true if growing.one_in(2) => Formula::Unknown,
                true => Formula::Unreachable,
                false => Formula::Failure,
            },
            6 => growing.compared(Operand::Exit, public),
            7 => growing.compared(Operand::StdoutCount, public),
            _ => growing.compared(Operand::Stdout, public),
        };
        self.join(&mut test, depth)
    }

    fn test_of_another(&mut self, public: &[u32]) -> Formula {
        if public.is_empty() {
            return Formula::Literal(self.one_in(2));
        }
        let operand = self.field(public);
        match operand {
            Operand::Field(_, FieldName::Success) => Formula::Holds(operand),
            Operand::Field(_, FieldName::Outcome) => {
                let word =
                    self.chance
                        .one_of(&["ok", "failed", "skipped", "unreachable", "unknown"]);
                Formula::Compared(
                    operand,
                    self.chance.one_of(&["=", "!="]),
                    Pattern::Bare(word),
                )
            }
            _ if self.one_in(8) => Formula::Holds(operand),
            _ => self.compared(operand, public),
        }
    }

    fn field(&mut self, public: &[u32]) -> Operand {
        let id = self.chance.one_of(public);
        let is_parallel = self.tasks[&id].is_parallel();
        let is_command = matches!(self.tasks[&id].work, Work::Command(_));
        let name = match self.chance.below(6) {
            0 => FieldName::Exit,
            1 => FieldName::Success,
            2 => FieldName::Outcome,
            _ if is_parallel => self.chance.one_of(&[
                FieldName::SuccessCount,
                FieldName::FailedCount,
                FieldName::UnreachableCount,
                FieldName::NotStartedCount,
                FieldName::SkippedCount,
                FieldName::UnknownCount,
                FieldName::TotalCount,
            ]),
            _ if is_command => FieldName::Stdout,
            _ => FieldName::Success,
        };
        Operand::Field(id, name)
    }

    fn compared(&mut self, left: Operand, public: &[u32]) -> Formula {
        let small = !matches!(left, Operand::Stdout | Operand::Field(_, FieldName::Stdout));
        let number = match small {
            true => self.chance.one_of(&["0", "1", "2", "3"]),
            false => self.chance.one_of(&["5", "50", "97.0", "-3"]),
        };
        let other = self.stdout_of(public);
        match self.chance.below(8) {
            0..=2 => {
                let operator = self.chance.one_of(&["<", "<=", ">", ">="]);
                let right = match other.filter(|_| self.one_in(5)) {
                    Some(other) => other,
                    None => Pattern::Bare(number),
                };
                Formula::Compared(left, operator, right)
            }
            3 | 4 => {
                let text = self.chance.one_of(&["up", "5", "7", "%", ""]);
                let right = match other.filter(|_| self.one_in(3)) {
                    Some(other) => other,
                    None => Pattern::Bare(text),
                };
                Formula::Compared(left, self.chance.one_of(&["~", "!~"]), right)
            }
            _ => {
                let text = self.chance.one_of(&[number, "up", "True", "5.0", ""]);
                let right = match (self.chance.below(5), other) {
                    (0, _) => Pattern::Quoted(text),
                    (1, Some(other)) => other,
                    _ => Pattern::Bare(text),
                };
                Formula::Compared(left, self.chance.one_of(&["=", "==", "!="]), right)
            }
        }
    }

    fn stdout_of(&mut self, public: &[u32]) -> Option<Pattern> {
        let is_command = |id: &u32| matches!(self.tasks[id].work, Work::Command(_));
        let commands: Vec<u32> = public.iter().copied().filter(is_command).collect();
        if commands.is_empty() {
            return None;
        }
        let id = self.chance.one_of(&commands);
        Some(Pattern::Reference(id, FieldName::Stdout))
    }

    fn aggregate(&mut self) -> Formula {
        let amount = match self.one_in(2) {
            true => Amount::Number(self.chance.below(4)),
            false => Amount::Percent(25 * self.chance.below(5)),
        };
        let word = self.chance.one_of(&[Word::Ok, Word::Failed]);
        let aggregate = match self.chance.below(7) {
            0 => Aggregate::All,
            1 => Aggregate::Any,
            2 => Aggregate::Majority,
            3 | 4 => Aggregate::Least(word, amount),
            _ => Aggregate::Most(word, amount),
        };
        Formula::Aggregate(aggregate)
    }

    // Answers.

    fn answers(&mut self) -> BTreeMap<(u32, String), Vec<Answer>> {
        let mut answers = BTreeMap::new();
        let ids: Vec<u32> = self.tasks.keys().copied().collect();
        let often_failing = 1 + self.chance.below(7);
        for id in ids {
            let (hosts, far) = match &self.tasks[&id].work {
                Work::Hosts { hosts, far, .. } => (hosts.clone(), *far),
                Work::Command(host) => (vec![host.clone().unwrap_or_default()], host.is_some()),
                _ => continue,
            };
            for host in hosts {
                let calls = 1 + self.chance.below(3);
                let all = (0..calls)
                    .map(|_| self.answer(far, often_failing))
                    .collect();
                answers.insert((id, host), all);
            }
        }
        answers
    }

    fn answer(&mut self, far: bool, often_failing: usize) -> Answer {
        let failing = self.chance.below(10) < often_failing;
        let code = match failing {
            true if far && self.one_in(2) => None,
            true => Some(self.chance.one_of(&[1, 3])),
            false => Some(0),
        };
        let breaks = code.is_none() && self.one_in(2);
        let stdout = match code {
            None if !breaks => "",
            _ => self.chance.one_of(&TEXTS),
        };
        Answer {
            code,
            breaks,
            stdout,
        }
    }
}
