//! Which tasks a run can reach from where it begins (SPEC §6.4).
#![forbid(unsafe_code)]

use super::flow::Policy;
use super::graph::{Graph, node};
use super::start::{self, BranchEntry, Start};
use super::workflow::Workflow;
use crate::task::{Ix, TaskKind};

/// Where a run begins, and what else decides where its flow can go.
pub struct Beginning<'a> {
    pub start: &'a Start,
    pub policy: Policy,
    /// The task that the flow goes to when the deadline passes.
    pub deadline_task: Option<Ix>,
}

/// What a run can reach.
pub struct Reach {
    /// Whether it can reach each task: the steps that its flow can lead to with all that
    /// they own, and the final tasks; of `entered` only the rest of the branch.
    pub tasks: Vec<bool>,
    /// The same without what it reaches only if a handler answers a failure.
    pub expected: Vec<bool>,
    /// The blocks that it begins in the middle of, and never comes back to: their
    /// conditions are not asked.
    pub entered: Vec<BranchEntry>,
}

/// What a run can reach that begins so.
pub fn find(workflow: &Workflow, beginning: &Beginning) -> Reach {
    let (start, policy) = (beginning.start, beginning.policy);
    let (graph, first) = Graph::beginning_at(workflow, start, policy);
    let late = beginning.deadline_task;
    let late = late.map(|ix| node(ix, workflow.is_handler(ix)));
    let from: Vec<_> = std::iter::once(first).chain(late).collect();
    let steps = graph.reachable(&from);
    let is_step = |ix| steps[node(ix, false)] || steps[node(ix, true)];
    let mut reach = Reach {
        tasks: vec![false; workflow.tasks.len()],
        expected: vec![false; workflow.tasks.len()],
        entered: Vec::new(),
    };
    let in_handlers = start::begins_in_handlers(workflow, start.first, &start.way);
    let is_expected =
        |ix| steps[node(ix, in_handlers)] && (in_handlers || !workflow.is_handler(ix));
    for (ix, task) in workflow.tasks.iter().enumerate() {
        if task.finally || is_step(ix) {
            add(&mut reach.tasks, workflow, ix, &[]);
        }
        if task.finally || is_expected(ix) {
            add(&mut reach.expected, workflow, ix, &[]);
        }
    }
    let is_whole = |entry: &BranchEntry| is_step(start.first) || is_step(entry.block);
    let entered = start.way.iter().filter(|entry| !is_whole(entry));
    reach.entered = entered.copied().collect();
    add(&mut reach.tasks, workflow, start.first, &start.way);
    add(&mut reach.expected, workflow, start.first, &start.way);
    reach
}

/// Adds the task with what it owns, as far as `way` does not lead past it.
fn add(reached: &mut [bool], workflow: &Workflow, ix: Ix, way: &[BranchEntry]) {
    let task = &workflow.tasks[ix];
    reached[ix] = true;
    match (&task.kind, way.split_first()) {
        (TaskKind::Conditional(conditional), Some((entry, inner))) => {
            let (_, rest) = entry.split(conditional);
            add(reached, workflow, entry.member, inner);
            let rest = rest.iter().skip(1);
            rest.for_each(|ix| add(reached, workflow, *ix, &[]));
        }
        _ => {
            let owned = task.owned_tasks().into_iter();
            owned.for_each(|ix| add(reached, workflow, ix, &[]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::workflow::tests::workflow;

    /// The ids of the tasks that a run can reach which begins at this one.
    fn reached_from(text: &str, id: u32, policy: Policy, late: Option<u32>) -> Vec<u32> {
        let text = text.replace('!', "exec=local;command=a").replace(';', "\n");
        let workflow = workflow(&text);
        let ix = |id: u32| workflow.find(&id.to_string()).expect("a task");
        let start = Start::new(&workflow, ix(id), &|_| None).expect("a start");
        let beginning = Beginning {
            start: &start,
            policy,
            deadline_task: late.map(ix),
        };
        let found = find(&workflow, &beginning).tasks;
        let ids = workflow.tasks.iter().zip(&found);
        ids.filter(|(_, is)| **is).map(|(t, _)| t.id).collect()
    }

    const FILE: &str = "task=1;!;on_failure=80;task=2;type=conditional;condition=true;\
        if_true_tasks=3,4,6;if_false_tasks=7;task=3;!;on_failure=85;task=4;!;task=5;!;task=6;\
        type=conditional;condition=true;if_true_tasks=8;if_false_tasks=9,10;task=7;!;next=never;\
        task=8;!;next=success;on_failure=90;task=9;!;task=10;!;task=11;type=parallel;tasks=12,13;\
        task=12;!;task=13;!;task=20;!;on_success=23;task=21;!;task=23;!;task=80;!;return=1;\
        task=85;!;return=1;task=90;!;return=1;task=95;finally=true;type=parallel;tasks=96;task=96;!";

    #[test]
    fn what_the_flow_leads_to_is_reached() {
        let from = |id| reached_from(FILE, id, Policy::default(), None);
        assert_eq!(from(20), [20, 23, 95, 96]);
        assert_eq!(from(80), [80, 95, 96]);
        assert_eq!(from(11), [11, 12, 13, 20, 23, 95, 96]);
        // The rest of the branch, and where its tasks lead.
        let after = [5, 11, 12, 13, 20, 23];
        let expected = |first: &[u32], handlers: &[u32]| {
            let mut all = [first, &after, handlers, &[95, 96]].concat();
            all.sort_unstable();
            all
        };
        assert_eq!(from(4), expected(&[2, 4, 6, 8, 9, 10], &[90]));
        assert_eq!(from(10), expected(&[2, 6, 10], &[]));
        assert_eq!(from(8), expected(&[2, 6, 8], &[90]));
        assert_eq!(from(7), [2, 7, 95, 96]);
        assert_eq!(from(2), expected(&[2, 3, 4, 6, 7, 8, 9, 10], &[85, 90]));
    }

    #[test]
    fn failures_that_are_passed_over_and_the_deadline_lead_on() {
        let keep_going = Policy {
            keep_going: true,
            forgive: false,
        };
        assert_eq!(
            reached_from(FILE, 20, keep_going, None),
            [20, 21, 23, 95, 96]
        );
        let late = reached_from(FILE, 20, Policy::default(), Some(80));
        assert_eq!(late, [20, 23, 80, 95, 96]);
    }

    #[test]
    fn a_block_that_the_flow_comes_back_to_is_reached_whole() {
        let file = "task=1;type=conditional;condition=true;if_true_tasks=2,3;task=2;!;task=3;!;\
            task=4;!;task=5;!;on_failure=1";
        assert_eq!(
            reached_from(file, 3, Policy::default(), None),
            [1, 2, 3, 4, 5]
        );
        let file = file.replace("on_failure=1", "on_failure=5");
        assert_eq!(
            reached_from(&file, 3, Policy::default(), None),
            [1, 3, 4, 5]
        );
    }
}
