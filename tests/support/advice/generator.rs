//! Random workflows of which an undisturbed run ends with 0 and does everything.

use super::workflow::{Hosts, Shape, Spec, Test, Work, Workflow};
use crate::chance::Chance;
use std::collections::BTreeMap;

/// A handler that only records, one that undoes a block, one more that records.
const HANDLERS: [u32; 3] = [900, 910, 920];
pub const USERS_IN: u32 = 960;

pub fn generate(chance: &mut Chance) -> Workflow {
    let mut growing = Growing {
        chance,
        tasks: BTreeMap::new(),
        commands: Vec::new(),
        blocks: Vec::new(),
        free: 0,
    };
    growing.grow();
    Workflow {
        tasks: growing.tasks,
    }
}

struct Growing<'a> {
    chance: &'a mut Chance,
    tasks: BTreeMap<u32, Spec>,
    /// Of the main line, so far: what later tasks may read.
    commands: Vec<u32>,
    blocks: Vec<u32>,
    /// The next id for a subtask.
    free: u32,
}

impl Growing<'_> {
    fn one_in(&mut self, count: usize) -> bool {
        self.chance.below(count) == 0
    }

    fn grow(&mut self) {
        let mut at = 10;
        if self.one_in(3) {
            let mut task = Spec::new(Work::Command);
            task.repeats = true;
            self.tasks.insert(at, task);
            let mut task = Spec::new(Work::Command);
            task.is_final = true;
            self.tasks.insert(USERS_IN, task);
            at += 20;
        }
        for _ in 0..3 + self.chance.below(5) {
            self.free = at + 1;
            let task = self.unit(at);
            self.tasks.insert(at, task);
            at += 20;
        }
        if self.one_in(3) {
            let mut task = Spec::new(Work::Command);
            task.is_final = true;
            self.tasks.insert(950, task);
        }
        if self.one_in(12) {
            let mut task = Spec::new(Work::Command);
            task.end = Some(0);
            self.tasks.insert(at, task);
        }
        if self.one_in(8) {
            self.add_catch(at - 20);
        }
        self.add_handlers();
    }

    /// A failure that leads to a later task of the main line, which is no handler
    /// because there is a task right before it.
    fn add_catch(&mut self, to: u32) {
        let main: Vec<u32> = (10..to).step_by(20).collect();
        let from = main[self.chance.below(main.len())];
        self.tasks.insert(to - 1, Spec::new(Work::Command));
        if let Some(task) = self.tasks.get_mut(&from)
            && !matches!(task.work, Work::Loop(_))
        {
            task.on_failure = Some(to);
        }
    }

    /// A task of the main line.
    fn unit(&mut self, id: u32) -> Spec {
        let mut task = match self.chance.below(20) {
            0..=3 => self.command(),
            4..=8 => self.hosts(),
            9 | 10 if !self.blocks.is_empty() => self.ok_hosts(),
            11 | 12 => self.members(),
            13..=15 => self.conditional(2),
            16 | 17 if !self.commands.is_empty() => self.decision(),
            18 => Spec::new(Work::Loop(2 + self.chance.below(2))),
            19 => Spec::new(Work::Poll(3)),
            _ => self.command(),
        };
        let is_plain = !matches!(task.work, Work::Conditional { .. } | Work::Decision(_));
        if self.one_in(8) && is_plain {
            task.condition = Some(self.test(true));
        }
        let always_runs = task.condition.is_none();
        match &task.work {
            Work::Command if always_runs => self.commands.push(id),
            Work::Hosts { .. } if always_runs => self.blocks.push(id),
            _ => {}
        }
        if self.chance.below(5) < 2 && !matches!(task.work, Work::Loop(_)) {
            task.on_failure = Some(self.handler());
        }
        task
    }

    fn decision(&mut self) -> Spec {
        let of = self.chance.one_of(&self.commands.clone());
        Spec::new(Work::Decision(of))
    }

    fn handler(&mut self) -> u32 {
        match self.chance.below(6) {
            0 if self.has_hosts() => HANDLERS[1],
            0..=3 => HANDLERS[0],
            _ => HANDLERS[2],
        }
    }

    fn has_hosts(&self) -> bool {
        !self.blocks.is_empty()
    }

    /// A condition that is as wanted when nothing has failed.
    fn test(&mut self, wanted: bool) -> Test {
        let commands = self.commands.clone();
        let blocks = self.blocks.clone();
        match self.chance.below(4) {
            0 if wanted && !blocks.is_empty() => Test::NoneFailed(self.chance.one_of(&blocks)),
            0 | 1 if !commands.is_empty() => Test::IsUp(self.chance.one_of(&commands), wanted),
            2 if !commands.is_empty() => Test::Succeeded(self.chance.one_of(&commands), wanted),
            _ => Test::Literal(wanted),
        }
    }

    fn command(&mut self) -> Spec {
        let mut task = Spec::new(Work::Command);
        task.retries = self.one_in(6);
        task.is_long = self.one_in(6);
        if !self.commands.is_empty() && self.one_in(3) {
            task.passed = Some(self.chance.one_of(&self.commands.clone()));
        }
        task
    }

    fn hosts(&mut self) -> Spec {
        let count = 2 + self.chance.below(3);
        let shape = self.shape(true);
        let mut task = Spec::new(Work::Hosts {
            hosts: Hosts::Count(count),
            shape,
        });
        task.retries = self.one_in(6);
        task.is_long = self.one_in(8);
        if !self.commands.is_empty() && self.one_in(5) {
            task.passed = Some(self.chance.one_of(&self.commands.clone()));
        }
        task
    }

    fn ok_hosts(&mut self) -> Spec {
        let of = self.chance.one_of(&self.blocks.clone());
        let shape = self.shape(false);
        Spec::new(Work::Hosts {
            hosts: Hosts::OkOf(of),
            shape,
        })
    }

    fn members(&mut self) -> Spec {
        let mut members = Vec::new();
        for _ in 0..2 + self.chance.below(2) {
            let task = self.command();
            members.push(self.add(task));
        }
        if !self.commands.is_empty() && self.one_in(5) {
            let task = self.decision();
            members.push(self.add(task));
        }
        let shape = self.shape(true);
        Spec::new(Work::Tasks { members, shape })
    }

    fn add(&mut self, task: Spec) -> u32 {
        let id = self.free;
        self.free += 1;
        self.tasks.insert(id, task);
        id
    }

    fn shape(&mut self, may_have_criterion: bool) -> Shape {
        let mut shape = Shape::default();
        if self.one_in(3) {
            shape.max_parallel = Some(1 + self.chance.below(2));
        }
        if self.one_in(4) {
            shape.fail_fast = Some(self.chance.one_of(&["true", "1", "50%"]));
        }
        if self.one_in(4) {
            shape.waves = Some(self.chance.one_of(&["1,rest", "1", "2,1", "50%"]));
            if self.one_in(2) {
                let check = match !self.commands.is_empty() && self.one_in(3) {
                    true => self.decision(),
                    false => Spec::new(Work::Check),
                };
                shape.wave_check = Some(self.add(check));
            }
        }
        if may_have_criterion && self.one_in(6) {
            shape.least = Some(self.chance.one_of(&["1", "50%"]));
        }
        shape
    }

    fn conditional(&mut self, depth: usize) -> Spec {
        let wanted = self.one_in(2);
        let test = self.test(wanted);
        let chosen = self.branch(depth);
        let other = match self.one_in(2) {
            true => Vec::new(),
            false => {
                let task = Spec::new(Work::Command);
                vec![self.add(task)]
            }
        };
        let (yes, no) = match wanted {
            true => (chosen, other),
            false => (other, chosen),
        };
        let mut task = Spec::new(Work::Conditional { test, yes, no });
        task.is_strict = !self.one_in(8);
        task
    }

    fn branch(&mut self, depth: usize) -> Vec<u32> {
        let mut branch = Vec::new();
        for _ in 0..1 + self.chance.below(3) {
            let mut task = match self.chance.below(9) {
                8 if !self.commands.is_empty() => self.decision(),
                0 if depth > 1 => self.conditional(depth - 1),
                1 => self.hosts(),
                2 if depth > 1 => self.members(),
                3 => Spec::new(Work::Loop(2)),
                4 => Spec::new(Work::Poll(2)),
                _ => self.command(),
            };
            if self.one_in(8) && matches!(task.work, Work::Command) {
                task.on_failure = Some(HANDLERS[0]);
            }
            branch.push(self.add(task));
        }
        branch
    }

    /// The handlers that are named, and the chain that they begin.
    fn add_handlers(&mut self) {
        let blocks = self.blocks.clone();
        for id in HANDLERS {
            if !self.tasks.values().any(|t| t.on_failure == Some(id)) {
                continue;
            }
            let work = match id == HANDLERS[1] {
                true => Work::Rollback(blocks[0]),
                false => Work::Command,
            };
            let mut task = Spec::new(work);
            if self.chance.below(5) < 3 {
                task.end = Some(self.chance.one_of(&[1, 3]));
            }
            self.tasks.insert(id, task);
        }
    }
}
