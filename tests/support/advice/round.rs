//! How a run is made to end early, and what happens afterwards.

use super::generator;
use super::workflow::{Item, Style, Work, Workflow, task_of};
use crate::chance::Chance;
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
pub struct Round {
    pub workflow: Workflow,
    pub call: Call,
    /// What fails until its cause is removed.
    pub broken: Vec<Item>,
    /// What does not end until its cause is removed.
    pub hung: Vec<Item>,
    /// What succeeds with an answer that a decision takes for a no.
    pub soft: Vec<Item>,
    /// What fails at its first attempt only.
    pub flaky: Vec<Item>,
    pub first: Ending,
    pub second: Ending,
    pub cure: Cure,
    pub edit: Option<Edit>,
    /// A dry run comes before each run.
    pub looks_first: bool,
}

/// How tasker is called.
#[derive(Clone, Debug)]
pub struct Call {
    pub style: Style,
    pub program: Program,
    pub logs: Logs,
    pub exec: Exec,
    pub file: &'static str,
    pub is_quiet: bool,
    pub limit: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Name,
    Relative,
    Absolute,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logs {
    Default,
    Option,
    Environment,
}

/// Where the exec type is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exec {
    Task,
    Option,
    Environment,
}

#[derive(Clone, Debug)]
pub enum Ending {
    /// By what is broken, if anything is.
    Natural,
    Signal(&'static str, Hold),
    Deadline(&'static str),
    KeepGoing,
    MaxSteps(usize),
}

/// The point at which a signal comes.
#[derive(Clone, Debug)]
pub struct Hold {
    pub item: Item,
    pub when: When,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Its effect has not taken place, and does not before the signal.
    Before,
    /// It has, and the command does not end before the signal.
    After,
    /// Right after it began, in a race with everything else.
    Racing,
}

/// When the causes are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cure {
    AtOnce,
    AfterTheSecond,
    OneByOne,
}

/// What is changed in the file after the first run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    Comment,
    /// The command that failed first.
    Command,
}

pub fn draw(seed: u64) -> Round {
    let mut chance = Chance::new(seed);
    let chance = &mut chance;
    let workflow = generator::generate(chance);
    let call = draw_call(chance);
    let mut round = Round {
        workflow,
        call,
        broken: Vec::new(),
        hung: Vec::new(),
        soft: Vec::new(),
        flaky: Vec::new(),
        first: Ending::Natural,
        second: Ending::Natural,
        cure: match chance.below(8) {
            0 | 1 => Cure::AfterTheSecond,
            2 | 3 => Cure::OneByOne,
            _ => Cure::AtOnce,
        },
        edit: None,
        looks_first: chance.below(4) == 0,
    };
    let items = all_items(&round.workflow);
    if !round
        .workflow
        .tasks
        .values()
        .any(|t| matches!(t.work, Work::Hosts { .. }))
    {
        round.call.limit = None;
    }
    round.first = draw_ending(chance, &items);
    let most = match &round.first {
        Ending::Natural | Ending::KeepGoing => 1 + chance.below(3),
        _ => chance.below(3) * chance.below(2),
    };
    break_some(&mut round, chance, most);
    if chance.below(15) == 0 {
        hang_one(&mut round);
    }
    if chance.below(5) == 0 {
        let how = chance.one_of(&["KILL", "KILL", "TERM", "INT"]);
        round.second = Ending::Signal(how, draw_hold(chance, &items));
    }
    if matches!(round.first, Ending::Natural) && chance.below(4) == 0 {
        round.edit = Some(chance.one_of(&[Edit::Comment, Edit::Command]));
    }
    round
}

fn draw_call(chance: &mut Chance) -> Call {
    let exec = chance.one_of(&[Exec::Task, Exec::Task, Exec::Option, Exec::Environment]);
    Call {
        style: Style {
            has_exec: exec == Exec::Task,
            word_of_environment: chance.below(5) == 0,
        },
        program: chance.one_of(&[Program::Name, Program::Relative, Program::Absolute]),
        logs: chance.one_of(&[
            Logs::Default,
            Logs::Default,
            Logs::Option,
            Logs::Environment,
        ]),
        exec,
        file: chance.one_of(&["tasks.txt", "tasks.txt", "it's a job.txt", "./jobs/$a.txt"]),
        is_quiet: chance.below(3) == 0,
        limit: match chance.below(12) {
            0 => Some("h[1-2]"),
            _ => None,
        },
    }
}

fn draw_ending(chance: &mut Chance, items: &[Item]) -> Ending {
    match chance.below(20) {
        0..=7 => Ending::Natural,
        8..=12 => Ending::Signal("KILL", draw_hold(chance, items)),
        13 => Ending::Signal("TERM", draw_hold(chance, items)),
        14 | 15 => Ending::Signal("INT", draw_hold(chance, items)),
        16 => Ending::Deadline(chance.one_of(&["+20s", "+20s", "+1s"])),
        17 | 18 => Ending::KeepGoing,
        _ => Ending::MaxSteps(1 + chance.below(5)),
    }
}

fn draw_hold(chance: &mut Chance, items: &[Item]) -> Hold {
    Hold {
        item: items[chance.below(items.len())].clone(),
        when: chance.one_of(&[When::Before, When::After, When::After, When::Racing]),
    }
}

fn break_some(round: &mut Round, chance: &mut Chance, count: usize) {
    let workflow = &round.workflow;
    let items: Vec<Item> = all_items(workflow)
        .into_iter()
        .chain(checks(workflow))
        .filter(|item| !matches!(workflow.tasks[&task_of(item)].work, Work::Loop(_)))
        .collect();
    let mut broken = BTreeSet::new();
    for _ in 0..count {
        let item = items[chance.below(items.len())].clone();
        let id = task_of(&item);
        let task = &workflow.tasks[&id];
        let is_odd = workflow.is_handler(id) || task.is_final;
        if is_odd && chance.below(6) > 0 {
            continue;
        }
        if workflow.is_judged(id) && chance.below(2) == 0 {
            round.soft.push(item);
        } else if task.retries && chance.below(2) == 0 {
            round.flaky.push(item);
        } else {
            broken.insert(item);
        }
    }
    round.broken = broken.into_iter().collect();
}

/// Lets one of the broken tasks hang instead.
fn hang_one(round: &mut Round) {
    let workflow = &round.workflow;
    let hangs = |item: &Item| {
        let task = &workflow.tasks[&task_of(item)];
        matches!(task.work, Work::Command | Work::Hosts { .. }) && !task.is_final
    };
    if let Some(at) = round.broken.iter().position(hangs) {
        let item = round.broken.remove(at);
        let task = round.workflow.tasks.get_mut(&task_of(&item));
        task.expect("a task").is_hasty = true;
        round.hung.push(item);
    }
}

fn checks(workflow: &Workflow) -> Vec<Item> {
    let tasks = workflow.tasks.iter();
    let checks = tasks.filter(|(_, t)| matches!(t.work, Work::Check));
    checks.map(|(id, _)| id.to_string()).collect()
}

/// Everything that can leave an effect.
pub fn all_items(workflow: &Workflow) -> Vec<Item> {
    let mut items = Vec::new();
    for (id, task) in &workflow.tasks {
        match &task.work {
            Work::Command | Work::Poll(_) => items.push(id.to_string()),
            Work::Loop(count) => items.extend((1..=*count).map(|n| format!("{id}.{n}"))),
            Work::Hosts { .. } => {
                let hosts = 1..=workflow.host_count(*id);
                items.extend(hosts.map(|n| format!("{id}.h{n}")));
            }
            _ => {}
        }
    }
    items
}
