//! Tests of runs that begin in the middle: they stay in what `plan::reach` says that
//! they can reach, and run nothing before the member that they begin at.
#![forbid(unsafe_code)]

use super::model::{Random, ids_that_ran, random_workflow};
use super::simulation::{OK, run_adjusted, seconds};
use crate::plan::flow::Policy;
use crate::plan::reach::{self, Beginning};
use crate::plan::start::Start;
use crate::plan::workflow::Workflow;
use crate::plan::workflow::tests::workflow;
use crate::run::runner::CommandEnd;
use crate::task::Ix;

/// Nested conditionals, with a way out of the inner one and a way back into it.
const NESTED: &str = "task=300\ntype=conditional\ncondition=@any_exit@ = 0\nif_true_tasks=301,302\n\
    if_false_tasks=303\ntask=301\nexec=local\ncommand=job 301\n\
    task=302\ntype=conditional\ncondition=@any_exit@ = 1\nif_true_tasks=311\nif_false_tasks=312,313\n\
    task=303\nexec=local\ncommand=job 303\non_failure=312\n\
    task=311\nexec=local\ncommand=job 311\non_success=any\n\
    task=312\nexec=local\ncommand=job 312\n\
    task=313\nexec=local\ncommand=job 313\non_failure=any\n\
    task=390\nexec=local\ncommand=job 390\nfinally=true\n";

#[test]
fn a_run_stays_in_what_it_can_reach() {
    let mut random = Random(0x57a7);
    let (mut left_out, mut in_branches) = (0, 0);
    for round in 0..200 {
        let text = random_workflow(&mut random) + NESTED;
        // The first task of the file is always 0.
        let text = text.replace("=any", "=0").replace("@any_", "@0_");
        let workflow = workflow(&text);
        for _ in 0..8 {
            let any = random.below(workflow.tasks.len() as u64) as Ix;
            let Ok(start) = Start::new(&workflow, any, &|_| None) else {
                continue;
            };
            let policy = Policy {
                keep_going: random.below(2) == 0,
                forgive: false,
            };
            let beginning = Beginning {
                start: &start,
                policy,
                deadline_task: None,
            };
            let reach = reach::find(&workflow, &beginning);
            let seed = random.below(u64::MAX - 1) + 1;
            let seen = run_adjusted(
                |_, settings| {
                    settings.start = start.clone();
                    settings.policy = policy;
                },
                &text,
                &|words, before| {
                    let last = u64::from(words.as_bytes()[words.len() - 1]);
                    let mut own = Random(seed ^ (last * 7919 + before as u64 * 104_729 + 1));
                    own.below(3);
                    (CommandEnd::Exited((own.below(3) == 0) as i32), seconds(1))
                },
            );
            assert_eq!(seen.end.path.first(), Some(&start.first), "{text}");
            for id in ids_that_ran(&workflow, &seen) {
                let ix = workflow.find(&id.to_string()).expect("a task");
                let from = workflow.tasks[any].id;
                assert!(reach.tasks[ix], "round {round}, {from}: {id} ran\n{text}");
            }
            left_out += reach.tasks.iter().filter(|is| !**is).count();
            in_branches += usize::from(!start.way.is_empty());
        }
    }
    assert!(
        left_out > 1000 && in_branches > 300,
        "{left_out} {in_branches}"
    );
}

const BRANCH: &str = "task=1\nexec=local\ncommand=one\n\
    task=10\ntype=conditional\ncondition=false\nif_true_tasks=15,16\nif_false_tasks=18\nnext=loop\nloop=2\n\
    task=15\nexec=local\ncommand=fifteen\ntask=16\nexec=local\ncommand=sixteen\n\
    task=18\nexec=local\ncommand=eighteen\n";

/// The commands of a run of `BRANCH` that begins at the task.
fn commands_from(id: &str) -> Vec<String> {
    let begin = |workflow: &Workflow| {
        let task = workflow.find(id).expect("a task");
        Start::new(workflow, task, &|_| None).expect("a start")
    };
    let seen = run_adjusted(
        |workflow, settings| settings.start = begin(workflow),
        BRANCH,
        &|_, _| (OK, seconds(1)),
    );
    assert_eq!(seen.end.exit, 0);
    seen.starts.into_iter().map(|(words, _)| words).collect()
}

#[test]
fn only_the_first_visit_of_a_block_begins_at_the_member() {
    assert_eq!(commands_from("16"), ["sixteen", "eighteen"]);
    assert_eq!(commands_from("15"), ["fifteen", "sixteen", "eighteen"]);
    assert_eq!(commands_from("10"), ["eighteen", "eighteen"]);
}
