//! Makes a round smaller as long as the same thing is wrong with it.

use super::round::{Ending, Exec, Hold, Logs, Program, Round};
use super::workflow::{Hosts, Item, Shape, Spec, Test, Work, Workflow, task_of};

/// The smallest round found with at most so many tries.
pub fn shrink(round: Round, tries: usize, is_kept: &mut dyn FnMut(&Round) -> bool) -> Round {
    let mut smallest = round;
    let (mut at, mut since_success) = (0, 0);
    for _ in 0..tries {
        let mut all = simpler(&smallest);
        if all.is_empty() || since_success > all.len() {
            break;
        }
        let smaller = all.swap_remove(at % all.len());
        if !smaller.workflow.tasks.is_empty() && is_kept(&smaller) {
            smallest = smaller;
            since_success = 0;
        } else {
            at += 1;
            since_success += 1;
        }
    }
    smallest
}

/// Every round with one thing less, the largest things first.
fn simpler(round: &Round) -> Vec<Round> {
    let mut all = Vec::new();
    let mut add = |change: &dyn Fn(&mut Round)| {
        let mut simpler = round.clone();
        change(&mut simpler);
        if format!("{simpler:?}") != format!("{round:?}") {
            all.push(simpler);
        }
    };
    for id in round.workflow.tasks.keys() {
        add(&|r| without(r, *id));
    }
    add(&|r| r.second = Ending::Natural);
    add(&|r| r.edit = None);
    add(&|r| r.looks_first = false);
    add(&|r| r.call.limit = None);
    add(&|r| r.cure = super::round::Cure::AtOnce);
    add(&|r| r.call.is_quiet = false);
    add(&|r| r.call.program = Program::Name);
    add(&|r| r.call.logs = Logs::Default);
    add(&|r| r.call.file = "tasks.txt");
    add(&|r| r.call.style.word_of_environment = false);
    add(&|r| {
        r.call.exec = Exec::Task;
        r.call.style.has_exec = true;
    });
    let lists = [&round.broken, &round.hung, &round.soft, &round.flaky];
    for (list, items) in lists.into_iter().enumerate() {
        for at in 0..items.len() {
            add(&|r| {
                let lists = [&mut r.broken, &mut r.hung, &mut r.soft, &mut r.flaky];
                lists.into_iter().nth(list).expect("a list").remove(at);
            });
        }
    }
    add(&|r| {
        let hung = std::mem::take(&mut r.hung);
        r.broken.extend(hung);
    });
    for id in round.workflow.tasks.keys() {
        for change in CHANGES {
            add(&|r| {
                if let Some(task) = r.workflow.tasks.get_mut(id) {
                    change(task);
                }
                tidy(r);
            });
        }
    }
    all
}

const CHANGES: [&dyn Fn(&mut Spec); 10] = [
    &|t| t.condition = None,
    &|t| t.passed = None,
    &|t| t.retries = false,
    &|t| t.on_failure = None,
    &|t| t.end = None,
    &|t| t.is_long = false,
    &|t| {
        if let Some(shape) = shape_of(t) {
            *shape = Shape::default();
        }
    },
    &|t| {
        if let Some(shape) = shape_of(t) {
            (shape.waves, shape.wave_check) = (None, None);
        }
    },
    &|t| {
        if let Work::Hosts {
            hosts: Hosts::Count(count),
            ..
        } = &mut t.work
        {
            *count = 1.max(*count - 1);
        }
    },
    &|t| {
        if let Work::Conditional { test, yes, no } = &mut t.work
            && (yes.is_empty() || no.is_empty())
        {
            *test = Test::Literal(no.is_empty());
        }
    },
];

fn shape_of(task: &mut Spec) -> Option<&mut Shape> {
    match &mut task.work {
        Work::Hosts { shape, .. } | Work::Tasks { shape, .. } => Some(shape),
        _ => None,
    }
}

/// Without a task, whatever it owns and whatever needs its result.
fn without(round: &mut Round, id: u32) {
    let mut gone = vec![id];
    while let Some(id) = gone.pop() {
        let Some(task) = round.workflow.tasks.remove(&id) else {
            continue;
        };
        gone.extend(task.owned());
        let tasks = &mut round.workflow.tasks;
        for (other, task) in tasks.iter_mut() {
            forget(task, id);
            if task.used().contains(&id) || is_hollow(task) {
                gone.push(*other);
            }
        }
    }
    tidy(round);
}

/// A block of nothing is refused.
fn is_hollow(task: &Spec) -> bool {
    match &task.work {
        Work::Tasks { members, .. } => members.is_empty(),
        Work::Conditional { yes, no, .. } => yes.is_empty() && no.is_empty(),
        _ => false,
    }
}

fn forget(task: &mut Spec, id: u32) {
    task.on_failure.take_if(|to| *to == id);
    task.passed.take_if(|from| *from == id);
    let uses = |test: &Test| match test {
        Test::IsUp(of, _) | Test::Succeeded(of, _) | Test::NoneFailed(of) => *of == id,
        Test::Literal(_) => false,
    };
    task.condition.take_if(|test| uses(test));
    match &mut task.work {
        Work::Tasks { members, shape } => {
            members.retain(|member| *member != id);
            shape.wave_check.take_if(|check| *check == id);
        }
        Work::Hosts { shape, .. } => drop(shape.wave_check.take_if(|check| *check == id)),
        Work::Conditional { test, yes, no } => {
            if uses(test) {
                *test = Test::Literal(no.is_empty());
            }
            yes.retain(|member| *member != id);
            no.retain(|member| *member != id);
        }
        _ => {}
    }
}

/// Drops what nothing names any more.
fn tidy(round: &mut Round) {
    let workflow = &mut round.workflow;
    let named: Vec<u32> = workflow
        .tasks
        .values()
        .filter_map(|t| t.on_failure)
        .collect();
    let checks: Vec<u32> = workflow.tasks.values().flat_map(Spec::owned).collect();
    workflow.tasks.retain(|id, task| match task.work {
        Work::Check => checks.contains(id),
        _ => !(900..950).contains(id) || named.contains(id),
    });
    let known = |workflow: &Workflow, item: &Item| workflow.tasks.contains_key(&task_of(item));
    let lists = [
        &mut round.broken,
        &mut round.hung,
        &mut round.soft,
        &mut round.flaky,
    ];
    for items in lists {
        items.retain(|item| known(&round.workflow, item));
    }
    let workflow = &round.workflow;
    round.soft.retain(|item| workflow.is_judged(task_of(item)));
    for ending in [&mut round.first, &mut round.second] {
        if let Ending::Signal(_, Hold { item, .. }) = ending
            && !known(&round.workflow, item)
        {
            *ending = Ending::Natural;
        }
    }
}
