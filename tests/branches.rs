//! Conditional blocks through the binary (SPEC §3.6): which branch runs, how it
//! continues after a failure, and where its tasks route.

mod support;

use support::{Ran, Sandbox};

/// A command that appends its id to `ran` and exits with the code.
fn note_id(id: u32, exit: u32, rest: &str) -> String {
    format!("task={id}\nexec=shell\ncommand=echo {id} >>ran; exit {exit}\n{rest}")
}

/// Runs the file: exit code, what ran, the path, and the rest.
fn run(tasks: &str) -> (i32, String, String, Ran, Sandbox) {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(tasks, &[]);
    let notes = sandbox.read("ran");
    let notes: Vec<&str> = notes.lines().collect();
    (ran.code, notes.join(" "), sandbox.steps(), ran, sandbox)
}

/// Checks exit code, what ran and the path.
#[track_caller]
fn assert_run(tasks: &str, code: i32, notes: &str, path: &str) -> (Ran, Sandbox) {
    let (found, ran_notes, steps, ran, sandbox) = run(tasks);
    assert_eq!(
        (found, ran_notes.as_str(), steps.as_str()),
        (code, notes, path),
        "{ran:?}"
    );
    (ran, sandbox)
}

fn conditional(keys: &str) -> String {
    format!("YES=yes\ntask=0\ntype=conditional\n{keys}")
}

#[test]
fn the_branch_runs_in_the_listed_order() {
    let members = note_id(1, 0, "") + &note_id(2, 0, "") + &note_id(3, 0, "") + &note_id(9, 0, "");
    for (keys, notes) in [
        (
            "condition=@YES@=yes\nif_true_tasks=3,1\nif_false_tasks=2\n",
            "3 1 9",
        ),
        (
            "condition=@YES@=no\nif_true_tasks=3,1\nif_false_tasks=2\n",
            "2 9",
        ),
        ("condition=@YES@=no\nif_true_tasks=3,1,2\n", "9"),
        ("condition=@YES@=yes\nif_false_tasks=3,1,2\n", "9"),
        ("condition=@YES@=yes\nif_true_tasks=1-3\n", "1 2 3 9"),
    ] {
        let (ran, _) = assert_run(&(conditional(keys) + &members), 0, notes, "0 9");
        assert!(!ran.stdout.contains("warning"), "{ran:?}");
    }
}

#[test]
fn an_absent_branch_succeeds() {
    let tasks = conditional("condition=@YES@=no\nif_true_tasks=1\nnext=success\n")
        + &note_id(1, 0, "")
        + "task=9\nexec=shell\ncommand=echo @0_success@ @0_exit@ @0_total_count@ >>ran\n";
    assert_run(&tasks, 0, "true 0 0", "0 9");
}

#[test]
fn a_plain_if_continues_and_names_what_failed() {
    let tasks = conditional("condition=@YES@=yes\nif_true_tasks=1-3\n")
        + &note_id(1, 4, "")
        + &note_id(2, 0, "")
        + &note_id(3, 5, "")
        + "task=9\nexec=shell\ncommand=echo @0_success@ @0_exit@ @0_failed_count@ @0_failed_hosts@ >>ran\n";
    let (ran, sandbox) = assert_run(&tasks, 0, "1 2 3 false 1 2 [1,3]", "0 9");
    let warning = "in its branch: 1 failed, 3 failed; the flow continues";
    assert!(ran.stdout.contains(warning), "{ran:?}");
    assert!(sandbox.log().contains(&format!("[WARN] Task 0: {warning}")));
}

#[test]
fn a_conditional_with_its_own_next_decides_the_flow() {
    let members =
        |exit| note_id(1, exit, "") + &note_id(2, 0, "") + &note_id(8, 0, "") + &note_id(90, 0, "");
    let keys = "condition=@YES@=yes\nif_true_tasks=1,2\n";
    for (more, exit, code, notes, path) in [
        // A failed branch task does not stop the branch.
        ("next=success\non_failure=90\n", 1, 0, "1 2 90", "0 90"),
        ("next=success\non_failure=90\n", 0, 0, "1 2 8", "0 8"),
        ("on_success=8\non_failure=90\n", 1, 0, "1 2 90", "0 90"),
        ("next=success\n", 1, 10, "1 2", "0"),
        ("success=any_success\n", 1, 0, "1 2 8 90", "0 8 90"),
        ("success=max_failed=0\n", 1, 10, "1 2", "0"),
        ("success=@2_exit@=0\n", 1, 0, "1 2 8 90", "0 8 90"),
        ("next=always\n", 1, 0, "1 2 8 90", "0 8 90"),
        ("next=never\n", 0, 0, "1 2", "0"),
        // The exit code of a failed block is 1.
        ("next=never\n", 1, 1, "1 2", "0"),
        ("return=5\n", 0, 5, "1 2", "0"),
    ] {
        assert_run(
            &(conditional(&format!("{keys}{more}")) + &members(exit)),
            code,
            notes,
            path,
        );
    }
}

#[test]
fn a_task_whose_own_next_is_false_stops_the_branch() {
    let tasks = conditional("condition=@YES@=yes\nif_true_tasks=1-3\non_failure=90\n")
        + &note_id(1, 0, "")
        + &note_id(2, 3, "next=exit_0\n")
        + &note_id(3, 0, "")
        + "task=90\nexec=shell\ncommand=echo @0_success@ @2_outcome@ @3_outcome@ @3_exit@ @0_not_started_count@ >>ran\n";
    let (ran, sandbox) = assert_run(&tasks, 0, "1 2 false failed not_started -1 1", "0 90");
    let output = format!("{}{}", ran.stdout, sandbox.log());
    assert!(
        output.contains("failed (1 ok, 1 failed, 1 not_started)"),
        "{output}"
    );
    assert!(
        output.contains("Task 3 ended: not_started (block 0 had ended)"),
        "{output}"
    );
    // Without keys of the block's own, the run stops.
    let tasks = conditional("condition=@YES@=yes\nif_true_tasks=1,2\n")
        + &note_id(1, 3, "next=success\n")
        + &note_id(2, 0, "")
        + &note_id(9, 0, "");
    let (ran, _) = assert_run(&tasks, 10, "1", "0");
    assert!(
        ran.stderr
            .contains("task 0 failed (1 failed, 1 not_started)"),
        "{ran:?}"
    );
}

#[test]
fn the_last_tasks_false_next_fails_the_block_too() {
    // It exited 0, but its criterion did not hold.
    let tasks = conditional("condition=@YES@=yes\nif_true_tasks=1\nnext=success\n")
        + &note_id(1, 0, "next=stdout~ready\n")
        + &note_id(9, 0, "");
    assert_run(&tasks, 10, "1", "0");
}

#[test]
fn tasks_route_out_of_the_branch() {
    let rest =
        note_id(3, 0, "") + &note_id(8, 0, "") + &note_id(9, 0, "return=0\n") + &note_id(90, 0, "");
    let head = conditional("condition=@YES@=yes\nif_true_tasks=1-3\n");
    for (one, two, code, notes, path) in [
        (note_id(1, 0, "return=7\n"), note_id(2, 0, ""), 7, "1", "0"),
        (
            note_id(1, 0, ""),
            note_id(2, 0, "goto=9\n"),
            0,
            "1 2 9",
            "0 9",
        ),
        (
            note_id(1, 6, ""),
            note_id(2, 6, "goto=9\n"),
            0,
            "1 2 9",
            "0 9",
        ),
        (
            note_id(1, 0, "on_success=9\n"),
            note_id(2, 0, ""),
            0,
            "1 9",
            "0 9",
        ),
        (
            note_id(1, 0, "next=success\non_failure=90\n"),
            note_id(2, 1, "on_failure=90\n"),
            0,
            "1 2 90",
            "0 90",
        ),
        (
            note_id(1, 0, "next=never\n"),
            note_id(2, 0, ""),
            0,
            "1",
            "0",
        ),
        (
            note_id(1, 3, "next=never\n"),
            note_id(2, 0, ""),
            3,
            "1",
            "0",
        ),
        (
            note_id(1, 0, "next=never\nreturn=4\n"),
            note_id(2, 0, ""),
            4,
            "1",
            "0",
        ),
        // A jump to a sibling: an ordinary step, then the main line.
        (
            note_id(1, 0, "goto=3\n"),
            note_id(2, 0, ""),
            0,
            "1 3 8 9",
            "0 3 8 9",
        ),
        (
            note_id(1, 2, "on_failure=3\n"),
            note_id(2, 0, ""),
            0,
            "1 3 8 9",
            "0 3 8 9",
        ),
        // A condition skips the task and its routing.
        (
            note_id(1, 0, "condition=@YES@=no\nreturn=7\n"),
            note_id(2, 0, "goto=9\n"),
            0,
            "2 9",
            "0 9",
        ),
    ] {
        assert_run(&(head.clone() + &one + &two + &rest), code, notes, path);
    }
}

#[test]
fn a_branch_that_was_left_keeps_its_results() {
    let tasks = conditional("condition=@YES@=yes\nif_true_tasks=1-3\n")
        + &note_id(1, 0, "")
        + &note_id(2, 4, "on_failure=90\n")
        + &note_id(3, 0, "")
        + "task=90\nexec=shell\ncommand=echo @0_success@ @0_total_count@ @0_success_count@ @0_failed_count@ [@3_outcome@] >>ran\n";
    assert_run(&tasks, 0, "1 2 false 2 1 1 []", "0 90");
}

#[test]
fn retries_of_the_block_retry_each_failed_task() {
    let flaky = |id: u32, at: u32, rest: &str| {
        format!(
            "task={id}\nexec=shell\ncommand=echo {id}.@attempt@ >>ran; [ @attempt@ -ge {at} ]\n{rest}"
        )
    };
    let tasks = conditional(
        "condition=@YES@=yes\nif_true_tasks=1-4\nretry_count=2\nretry_delay=0.01\nnext=success\non_failure=90\n",
    ) + &flaky(1, 3, "")
        + &flaky(2, 1, "")
        + &flaky(3, 9, "retry_count=1\nretry_delay=0.01\n")
        + &flaky(4, 9, "retry_failed=false\n")
        + &note_id(90, 0, "");
    assert_run(&tasks, 0, "1.1 1.2 1.3 2.1 3.1 3.2 4.1 90", "0 90");
}

#[test]
fn loops_and_pauses_work_inside_a_branch() {
    let tasks = conditional("condition=@YES@=yes\nif_true_tasks=1,2\n")
        + "task=1\nexec=shell\ncommand=echo l@loop@ >>ran\nnext=loop\nloop=5\nloop_break=@loop@=3\n"
        + &note_id(2, 0, "sleep=0.01\n");
    let (_, sandbox) = assert_run(&tasks, 0, "l1 l2 l3 2", "0");
    assert!(sandbox.log().contains("Executing Task 1.3"));
}

#[test]
fn blocks_nest_as_members() {
    let nested = |inner: u32, x: u32| {
        format!(
            "YES=yes\n\
             task=0\ntype=conditional\ncondition=@YES@=yes\nif_true_tasks=1,10,20,2\nnext=success\non_failure=90\n\
             {}{}\
             task=10\ntype=conditional\ncondition=@1_exit@=0\nif_true_tasks=11,12\nnext=success\n{}{}\
             task=20\ntype=parallel\ntasks=21-23\nmax_parallel=1\nsuccess=majority_success\n{}{}{}\
             task=80\nexec=shell\ncommand=echo @10_success@ @20_stdout@ @0_success_count@ >>ran\nreturn=0\n{}",
            note_id(1, 0, ""),
            note_id(2, 0, ""),
            note_id(11, 0, ""),
            note_id(12, inner, ""),
            note_id(21, 0, ""),
            note_id(22, x, ""),
            note_id(23, x, ""),
            note_id(90, 0, "")
        )
    };
    assert_run(
        &nested(0, 0),
        0,
        "1 11 12 21 22 23 2 true 3/3 succeeded 4",
        "0 80",
    );
    // The inner block's own `next` stops the outer branch.
    assert_run(&nested(1, 0), 0, "1 11 12 90", "0 90");
    // The parallel member fails without a `next`: the branch continues, the block
    // fails.
    assert_run(&nested(0, 1), 0, "1 11 12 21 22 23 2 90", "0 90");
}

#[test]
fn a_route_leads_out_of_every_block_around_it() {
    let tasks = |routing: &str| {
        format!(
            "YES=yes\ntask=0\ntype=conditional\ncondition=@YES@=yes\nif_true_tasks=1,10,2\n{}{}\
             task=10\ntype=conditional\ncondition=@YES@=yes\nif_true_tasks=11,12\n{}{}{}{}",
            note_id(1, 0, ""),
            note_id(2, 0, ""),
            note_id(11, 0, routing),
            note_id(12, 0, ""),
            note_id(50, 0, ""),
            note_id(60, 0, "")
        )
    };
    assert_run(&tasks("return=3\n"), 3, "1 11", "0");
    assert_run(&tasks("goto=60\n"), 0, "1 11 60", "0 60");
    assert_run(&tasks("next=never\n"), 0, "1 11", "0");
    // A jump to a member of the outer block: an ordinary step, then the main line.
    assert_run(&tasks("goto=2\n"), 0, "1 11 2 50 60", "0 2 50 60");
}
