//! Where the flow of a run begins (SPEC §6.4): at a step of the main line, or at a
//! member of a conditional block, which continues with the rest of its branch.
#![forbid(unsafe_code)]

use super::workflow::Workflow;
use crate::task::{Conditional, Ix, TaskKind};

/// Where a flow begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// The first step: the task that was named, or the outermost block around it.
    pub first: Ix,
    /// The conditionals from `first` inward to the member that was named; empty for a
    /// task that no block owns.
    pub way: Vec<BranchEntry>,
}

/// A conditional block that the flow enters at one of its members: its condition is
/// not asked, and the members before that one do not run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BranchEntry {
    pub block: Ix,
    /// Whether it is the branch of a true condition.
    pub holds: bool,
    pub member: Ix,
}

impl BranchEntry {
    /// The tasks of the branch that do not run, and those that do.
    pub fn split<'c>(&self, conditional: &'c Conditional) -> (&'c [Ix], &'c [Ix]) {
        let branch = conditional.branch(self.holds);
        let at = branch.iter().position(|ix| *ix == self.member);
        branch.split_at(at.unwrap_or(0))
    }
}

impl Start {
    /// A step of the main line.
    pub fn main_line(first: Ix) -> Start {
        Start {
            first,
            way: Vec::new(),
        }
    }

    /// The task, or the way to it if conditional blocks own it. `chosen` says which
    /// branch a block took before; it is asked about a task that is in both of them.
    ///
    /// # Errors
    /// Why no flow begins there and what to do instead; follows the task's name, as in
    /// `task 5 …`.
    pub fn new(
        workflow: &Workflow,
        task: Ix,
        chosen: &dyn Fn(Ix) -> Option<bool>,
    ) -> Result<Start, String> {
        let tasks = &workflow.tasks;
        if tasks[task].finally {
            return Err("is a final task, which runs at the end".into());
        }
        let mut start = Start::main_line(task);
        while let Some((block, is_conditional)) = workflow.owner_of(start.first) {
            let id = tasks[block].id;
            if !is_conditional {
                return Err(format!("belongs to parallel block {id}; begin there"));
            }
            if tasks[block].in_finals {
                return Err(format!(
                    "belongs to block {id} and runs with the final tasks, at the end"
                ));
            }
            let member = start.first;
            let Some(holds) = branch_of(workflow, block, member).or_else(|| chosen(block)) else {
                let which = match start.way.first() {
                    None => "is".to_string(),
                    Some(entry) => format!("belongs to block {}, which is", tasks[entry.block].id),
                };
                return Err(format!(
                    "{which} in both branches of block {id}; begin there"
                ));
            };
            let entry = BranchEntry {
                block,
                holds,
                member,
            };
            start.way.insert(0, entry);
            start.first = block;
        }
        Ok(start)
    }

    /// The task that was named.
    pub fn task(&self) -> Ix {
        self.way.last().map_or(self.first, |entry| entry.member)
    }
}

/// The branch that has the member; `None` if both have.
fn branch_of(workflow: &Workflow, block: Ix, member: Ix) -> Option<bool> {
    let TaskKind::Conditional(conditional) = &workflow.tasks[block].kind else {
        return None;
    };
    let is_in = |holds| conditional.branch(holds).contains(&member);
    match (is_in(true), is_in(false)) {
        (true, true) => None,
        (holds, _) => Some(holds),
    }
}

/// Whether a flow that begins so falls through handlers (SPEC §3.2, rule 6).
pub fn begins_in_handlers(workflow: &Workflow, first: Ix, way: &[BranchEntry]) -> bool {
    let mut tasks = way.iter().map(|entry| entry.member).chain([first]);
    tasks.any(|ix| workflow.is_handler(ix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::workflow::tests::workflow;

    const FILE: &str = "task=1;type=conditional;condition=true;if_true_tasks=2,3;if_false_tasks=4,3;\
        task=2;exec=local;command=a;task=3;exec=local;command=a;\
        task=4;type=conditional;condition=true;if_false_tasks=5,6;\
        task=5;exec=local;command=a;task=6;type=parallel;tasks=7;task=7;exec=local;command=a;\
        task=8;exec=local;command=a;task=9;finally=true;type=conditional;condition=true;\
        if_true_tasks=10;task=10;exec=local;command=a";

    #[test]
    fn a_start_leads_through_the_blocks_around_the_task() {
        let workflow = workflow(&FILE.replace(';', "\n"));
        let ix = |id: u32| workflow.find(&id.to_string()).expect("a task");
        let entry = |block, holds, member| BranchEntry {
            block: ix(block),
            holds,
            member: ix(member),
        };
        let start = |id, chosen: Option<bool>| Start::new(&workflow, ix(id), &|_| chosen);
        assert_eq!(start(8, None), Ok(Start::main_line(ix(8))));
        let inner = start(6, None).expect("a start");
        assert_eq!(inner.first, ix(1));
        assert_eq!(inner.way, [entry(1, false, 4), entry(4, false, 6)]);
        assert_eq!(inner.task(), ix(6));
        assert_eq!(
            start(3, Some(true)).map(|s| s.way),
            Ok(vec![entry(1, true, 3)])
        );
        for (id, why) in [
            (3, "is in both branches of block 1; begin there"),
            (7, "belongs to parallel block 6; begin there"),
            (9, "is a final task, which runs at the end"),
            (
                10,
                "belongs to block 9 and runs with the final tasks, at the end",
            ),
        ] {
            assert_eq!(start(id, None), Err(why.to_string()));
        }
    }
}
