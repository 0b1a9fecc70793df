//! Makes a workflow smaller as long as something about it stays true.

use super::logic::Formula;
use super::workflow::{Next, RetryOn, Shape, Spec, Work, Workflow};

/// The smallest workflow found by removing one thing after another, with at most so
/// many tries.
pub fn shrink(
    workflow: Workflow,
    tries: usize,
    is_kept: &mut dyn FnMut(&Workflow) -> bool,
) -> Workflow {
    let mut smallest = workflow;
    let (mut at, mut last_success) = (0, 0);
    for _ in 0..tries {
        let mut all = simpler(&smallest);
        // What could not be removed is tried again once everything else was.
        if all.is_empty() || at > last_success + all.len() {
            break;
        }
        let smaller = all.swap_remove(at % all.len());
        if !smaller.tasks.is_empty() && is_kept(&smaller) {
            smallest = smaller;
            last_success = at;
        } else {
            at += 1;
        }
    }
    smallest
}

/// Every workflow with one thing less, the largest things first.
fn simpler(workflow: &Workflow) -> Vec<Workflow> {
    let mut all = Vec::new();
    for id in workflow.tasks.keys() {
        all.push(without(workflow, *id));
    }
    for (id, task) in &workflow.tasks {
        for simpler in simpler_tasks(task) {
            let mut smaller = workflow.clone();
            smaller.tasks.insert(*id, simpler);
            all.push(smaller);
        }
    }
    if workflow.keep_going {
        let mut smaller = workflow.clone();
        smaller.keep_going = false;
        all.push(smaller);
    }
    for (key, answers) in &workflow.answers {
        let shorter = (1..answers.len()).map(|at| answers[..at].to_vec());
        let silent = answers.iter().any(|a| !a.stdout.is_empty()).then(|| {
            let mut silent = answers.clone();
            silent.iter_mut().for_each(|a| a.stdout = "");
            silent
        });
        for answers in shorter.chain(silent) {
            let mut smaller = workflow.clone();
            smaller.answers.insert(key.clone(), answers);
            all.push(smaller);
        }
    }
    all
}

/// Without a task, whatever it owns and whatever names them.
fn without(workflow: &Workflow, id: u32) -> Workflow {
    let mut smaller = workflow.clone();
    let mut gone = vec![id];
    while let Some(id) = gone.pop() {
        if let Some(task) = smaller.tasks.remove(&id) {
            gone.extend(task.owned());
        }
        let is_named = |formula: &Formula| formula.uses(id);
        for task in smaller.tasks.values_mut() {
            forget(task, id);
            if task.condition.as_ref().is_some_and(is_named) {
                let chooses = matches!(task.work, Work::Conditional { .. });
                task.condition = chooses.then_some(Formula::Literal(false));
            }
            if task.formulas().into_iter().any(is_named) {
                task.criterion = None;
                task.next = Next::Absent;
            }
        }
        // A block of nothing is refused.
        let is_empty = |task: &Spec| match &task.work {
            Work::Tasks { members, .. } => members.is_empty(),
            Work::Conditional { yes, no } => yes.is_empty() && no.is_empty(),
            _ => false,
        };
        let empty = smaller.tasks.iter().filter(|(_, task)| is_empty(task));
        gone.extend(empty.map(|(id, _)| *id));
    }
    smaller
}

fn forget(task: &mut Spec, id: u32) {
    for route in [&mut task.on_success, &mut task.on_failure, &mut task.goto] {
        route.take_if(|to| *to == id);
    }
    match &mut task.work {
        Work::Tasks { members, shape } => {
            members.retain(|member| *member != id);
            shape.wave_check.take_if(|check| *check == id);
        }
        Work::Hosts { shape, .. } => drop(shape.wave_check.take_if(|check| *check == id)),
        Work::Conditional { yes, no } => {
            yes.retain(|member| *member != id);
            no.retain(|member| *member != id);
        }
        _ => {}
    }
}

fn simpler_tasks(task: &Spec) -> Vec<Spec> {
    let mut all = Vec::new();
    let mut add = |change: &dyn Fn(&mut Spec)| {
        let mut simpler = task.clone();
        change(&mut simpler);
        if format!("{simpler:?}") != format!("{task:?}") {
            all.push(simpler);
        }
    };
    add(&|t| t.on_success = None);
    add(&|t| t.on_failure = None);
    add(&|t| t.goto = None);
    add(&|t| t.end = None);
    add(&|t| t.retries = 0);
    add(&|t| t.retry_on = RetryOn::Default);
    add(&|t| t.criterion = None);
    add(&|t| match t.work {
        Work::Conditional { .. } => {}
        _ => t.condition = None,
    });
    add(&|t| t.next = Next::Absent);
    add(&|t| t.is_final = false);
    add(&|t| {
        if let Next::Loop(count, held) = &mut t.next {
            (*count, *held) = (1, None);
        }
    });
    if let Work::Hosts { hosts, .. } = &task.work {
        for at in 0..hosts.len().min(hosts.len() * (hosts.len() - 1)) {
            add(&|t| {
                if let Work::Hosts { hosts, .. } = &mut t.work {
                    hosts.remove(at);
                }
            });
        }
    }
    let shapes: [&dyn Fn(&mut Shape); 3] =
        [&|s| s.fail_fast = None, &|s| s.unreachable = None, &|s| {
            (s.waves, s.wave_check) = (Vec::new(), None)
        }];
    for change in shapes {
        add(&|t| match &mut t.work {
            Work::Hosts { shape, .. } | Work::Tasks { shape, .. } => change(shape),
            _ => {}
        });
    }
    add(&|t| {
        if let Some(condition) = &mut t.condition {
            simplify(condition);
        }
    });
    for holds in [true, false] {
        add(&|t| {
            if let Work::Conditional { .. } = t.work {
                t.condition = Some(Formula::Literal(holds));
            }
        });
    }
    add(&|t| {
        use super::workflow::Criterion::{Failure, Success};
        if let Some(Success(formula) | Failure(formula)) = &mut t.criterion {
            simplify(formula);
        }
    });
    add(&|t| {
        if let Next::If(formula) | Next::Loop(_, Some(formula)) = &mut t.next {
            simplify(formula);
        }
    });
    all
}

/// Leaves one operand of an operator.
fn simplify(formula: &mut Formula) {
    if let Formula::And(a, _) | Formula::Or(a, _) | Formula::Not(a) = formula {
        *formula = (**a).clone();
    }
}
