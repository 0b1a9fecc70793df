//! The flow through the binary (SPEC §3.2, §3.4, §3.8): which failures end a run, and
//! with which exit code. No run in which something was left undone ends with 0.

mod support;

use support::{Ran, Sandbox};

/// A command that appends its id to `ran` and exits with the code.
fn note_id(id: u32, exit: u32, rest: &str) -> String {
    let keys = rest.replace("; ", "\n");
    format!("task={id}\nexec=shell\ncommand=echo {id} >>ran; exit {exit}\n{keys}\n")
}

/// The commands of a file: id, exit code, further keys separated by `; `.
type Tasks = &'static [(u32, u32, &'static str)];

fn run(tasks: Tasks, options: &[&str]) -> (i32, String, Ran, Sandbox) {
    let sandbox = Sandbox::new();
    let text: String = tasks.iter().map(|(i, e, k)| note_id(*i, *e, k)).collect();
    let ran = sandbox.run(&text, &[options, &["--max-steps=20"]].concat());
    let notes = sandbox.read("ran");
    let notes: Vec<&str> = notes.lines().collect();
    (ran.code, notes.join(" "), ran, sandbox)
}

/// Checks exit code and what ran.
#[track_caller]
fn assert_runs(options: &[&str], cases: &[(Tasks, i32, &str)]) {
    for (tasks, code, notes) in cases {
        let (found, ran_notes, ran, _) = run(tasks, options);
        assert_eq!(
            (found, ran_notes.as_str()),
            (*code, *notes),
            "{tasks:?} {options:?}: {ran:?}"
        );
    }
}

const IF_TRUE: &str = "condition='1'=1";

#[test]
fn a_task_that_a_conditional_owns_can_be_a_handler() {
    let conditional = |condition: &str, keys: &str| {
        format!("task=10\ntype=conditional\ncondition={condition}\n{keys}")
    };
    let tail = |ninety, rest| note_id(90, ninety, rest) + &note_id(99, 0, "return=7");
    for (text, code, notes) in [
        // As the target of a failure it is a step, and the flow falls through.
        (
            note_id(5, 1, "next=success; goto=90")
                + &conditional("'1'=1", "if_false_tasks=90\n")
                + &tail(0, ""),
            7,
            "5 90 99",
        ),
        (
            note_id(5, 1, "on_failure=90")
                + &conditional("'1'=1", "if_false_tasks=90\n")
                + &tail(3, ""),
            7,
            "5 90 99",
        ),
        // A run without a failure enters none.
        (
            note_id(5, 0, "on_failure=90")
                + &note_id(6, 0, "on_failure=99")
                + &conditional("'1'=1", "if_false_tasks=90\n")
                + &tail(0, ""),
            0,
            "5 6",
        ),
        // As a branch task it leads through the handlers as well.
        (
            note_id(5, 0, "on_failure=90")
                + &note_id(6, 0, "on_failure=99")
                + &conditional("'1'=2", "if_false_tasks=90\n")
                + &tail(0, ""),
            7,
            "5 6 90 99",
        ),
        // It fails as a branch task of an `if`: the run does not end with 0.
        (
            note_id(5, 0, "on_failure=90")
                + &conditional("'1'=2", "if_false_tasks=90\n")
                + &note_id(20, 0, "return=0")
                + &note_id(90, 4, ""),
            1,
            "5 90 20",
        ),
        // In a block in the branch, too.
        (
            note_id(5, 0, "on_failure=90")
                + &conditional("'1'=1", "if_true_tasks=12\n")
                + "task=12\ntype=conditional\ncondition='1'=1\nif_true_tasks=90\n"
                + &note_id(20, 0, "")
                + &note_id(90, 4, ""),
            1,
            "5 90 20",
        ),
    ] {
        let sandbox = Sandbox::new();
        let ran = sandbox.run(&text, &[]);
        let found = sandbox.read("ran").replace('\n', " ");
        assert_eq!((ran.code, found.trim_end()), (code, notes), "{text}{ran:?}");
    }
}

#[test]
fn a_run_that_begins_at_a_handler_falls_through_handlers() {
    let tasks: Tasks = &[
        (0, 0, "on_failure=90"),
        (1, 0, "on_failure=99"),
        (20, 0, ""),
        (90, 3, ""),
        (99, 0, ""),
    ];
    assert_runs(&["--start-from=90"], &[(tasks, 1, "90 99")]);
    assert_runs(&["--start-from=20"], &[(tasks, 0, "20")]);
}

#[test]
fn a_run_with_a_failed_handler_does_not_end_with_0() {
    let cases: &[(Tasks, i32, &str)] = &[
        // By itself, with `return=0`, with `next=never`, past a plain `goto`.
        (&[(0, 2, "on_failure=90"), (90, 7, "")], 1, "0 90"),
        (&[(0, 2, "on_failure=90"), (90, 7, "return=0")], 1, "0 90"),
        (
            &[(0, 2, "on_failure=90"), (90, 7, ""), (99, 0, "next=never")],
            1,
            "0 90 99",
        ),
        (
            &[(0, 2, "on_failure=95"), (20, 0, ""), (95, 7, "goto=20")],
            1,
            "0 95 20",
        ),
        (
            &[
                (0, 2, "on_failure=95"),
                (20, 0, "next=never; return=0"),
                (95, 7, "goto=20"),
            ],
            1,
            "0 95 20",
        ),
        // Answered by another handler, or by an ordinary task.
        (
            &[
                (0, 2, "on_failure=90"),
                (90, 7, "on_failure=99"),
                (99, 0, "return=0"),
            ],
            1,
            "0 90 99",
        ),
        (
            &[
                (0, 2, "on_failure=90"),
                (20, 0, "next=never"),
                (90, 7, "on_failure=20"),
            ],
            1,
            "0 90 20",
        ),
        // Another code is kept.
        (
            &[(0, 2, "on_failure=90"), (90, 7, ""), (99, 0, "return=5")],
            5,
            "0 90 99",
        ),
        // A failure that is meant is none.
        (
            &[(0, 2, "on_failure=90"), (90, 7, "next=always; return=0")],
            0,
            "0 90",
        ),
        (
            &[(0, 2, "on_failure=90"), (90, 7, "failure=exit_0")],
            0,
            "0 90",
        ),
        (&[(0, 2, "on_failure=90"), (90, 0, "")], 0, "0 90"),
        // After a failure it continues as after a true verdict.
        (
            &[
                (0, 2, "on_failure=90"),
                (20, 0, ""),
                (90, 7, "on_success=20"),
                (99, 0, ""),
            ],
            1,
            "0 90 20",
        ),
    ];
    assert_runs(&[], cases);
    let (_, _, ran, sandbox) = run(cases[4].0, &["-q"]);
    let (log, stderr) = (sandbox.log(), ran.stderr);
    assert!(log.contains("; failure handler 95 had failed"), "{log}");
    assert!(
        stderr.contains("task 0 failed with exit code 2"),
        "{stderr}"
    );
    assert!(
        stderr.contains("task 95 failed with exit code 7"),
        "{stderr}"
    );
    assert_runs(
        &["--fire-and-forget"],
        &[(&[(0, 2, "on_failure=90"), (90, 7, "")], 0, "0 90")],
    );
}

#[test]
fn return_0_never_hides_a_failure() {
    assert_runs(
        &[],
        &[
            (&[(0, 3, "return=0"), (1, 0, "")], 3, "0"),
            (&[(0, 3, "next=success; return=0")], 3, "0"),
            (&[(0, 3, "next=never; return=0")], 3, "0"),
            (&[(0, 0, "success=exit_4; return=0")], 10, "0"),
            (&[(0, 0, "success=exit_4; next=never; return=0")], 10, "0"),
            (&[(0, 3, "on_success=2; return=0"), (2, 0, "")], 3, "0"),
            (
                &[(0, 0, "next=loop; loop=2; loop_break=exit_1; return=0")],
                10,
                "0 0",
            ),
            // What answers a failure still does.
            (&[(0, 3, "return=6")], 6, "0"),
            (&[(0, 3, "next=never; return=6")], 6, "0"),
            (&[(0, 3, "on_failure=2; return=0"), (2, 0, "")], 0, "0 2"),
            (&[(0, 3, "next=always; return=0"), (1, 0, "")], 0, "0"),
            (&[(0, 3, "success=exit_3; return=0"), (1, 0, "")], 0, "0"),
            (&[(0, 0, "return=0"), (1, 0, "")], 0, "0"),
        ],
    );
    assert_runs(
        &["--keep-going"],
        &[
            (&[(0, 3, "return=0"), (1, 0, "")], 1, "0"),
            (&[(0, 3, ""), (1, 0, "return=0")], 1, "0 1"),
            (&[(0, 3, ""), (1, 0, "next=never")], 1, "0 1"),
            (&[(0, 3, ""), (1, 0, "next=never; return=0")], 1, "0 1"),
            (&[(0, 3, ""), (1, 0, "return=6")], 6, "0 1"),
            (&[(0, 0, ""), (1, 0, "return=0")], 0, "0 1"),
        ],
    );
    let forgiven: &[(Tasks, i32, &str)] = &[(&[(0, 3, ""), (1, 0, "return=0")], 0, "0 1")];
    assert_runs(&["--fire-and-forget"], forgiven);
}

#[test]
fn a_run_that_failed_at_its_end_is_resumed_there() {
    let sandbox = Sandbox::new();
    let poor = "task=1\nexec=shell\ncommand=echo 1 >>ran; [ -e good ]\n";
    for keys in ["next=never", "next=never\nreturn=0", "return=0"] {
        let _ = std::fs::remove_file(sandbox.path.join("good"));
        let _ = std::fs::remove_file(sandbox.path.join("ran"));
        let text = format!("{}{poor}{keys}\n", note_id(0, 0, ""));
        assert_eq!(sandbox.run(&text, &[]).code, 1);
        sandbox.file("good", "");
        let ran = sandbox.output(&["-r", "--resume", "tasks.txt"]);
        assert_eq!(
            (ran.code, sandbox.read("ran").as_str()),
            (0, "0\n1\n1\n"),
            "{ran:?}"
        );
    }
}

#[test]
fn return_0_in_a_branch_never_hides_a_failure() {
    let block = format!("task=0\ntype=conditional\n{IF_TRUE}\nif_true_tasks=10,11\n");
    for (keys, exit, code, notes) in [
        ("return=0", 0, 0, "10"),
        ("return=0", 3, 10, "10"),
        ("next=never; return=0", 3, 3, "10"),
        ("next=always; return=0", 3, 0, "10"),
    ] {
        let sandbox = Sandbox::new();
        let text =
            block.clone() + &note_id(1, 0, "") + &note_id(10, exit, keys) + &note_id(11, 0, "");
        let ran = sandbox.run(&text, &[]);
        let found = sandbox.read("ran").replace('\n', " ");
        assert_eq!((ran.code, found.trim_end()), (code, notes), "{text}{ran:?}");
    }
}

#[test]
fn the_plan_says_what_a_failure_does_at_a_return_0() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", note_id(0, 0, "return=0"));
    let plan = sandbox.output(&["tasks.txt"]).stdout;
    let routes = "then the run ends with 0; a failure ends the run";
    assert!(plan.contains(routes), "{plan}");
}

#[test]
fn polling_that_is_never_answered_is_a_failure() {
    let cases: &[(Tasks, i32, &str)] = &[
        (
            &[
                (0, 0, "next=loop; loop=2; loop_break=stdout~up"),
                (1, 0, ""),
            ],
            10,
            "0 0",
        ),
        // Not the exit code of the last question.
        (
            &[(0, 3, "next=loop; loop=2; loop_break=exit_0"), (1, 0, "")],
            10,
            "0 0",
        ),
        (
            &[
                (0, 3, "next=loop; loop=2; loop_break=exit_0; on_failure=9"),
                (1, 0, ""),
                (9, 0, "return=4"),
            ],
            4,
            "0 0 9",
        ),
        (
            &[
                (0, 3, "next=loop; loop=2; loop_break=exit_0; goto=9"),
                (9, 0, "return=4"),
            ],
            4,
            "0 0 9",
        ),
        (
            &[(0, 3, "next=loop; loop=2; loop_break=exit_0; return=6")],
            6,
            "0 0",
        ),
        // An answer, even the last one.
        (
            &[(0, 3, "next=loop; loop=2; loop_break=exit_3"), (1, 0, "")],
            0,
            "0 1",
        ),
        // A loop that waits for nothing continues whatever its iterations did.
        (&[(0, 3, "next=loop; loop=2"), (1, 0, "")], 0, "0 0 1"),
        (
            &[
                (0, 3, "next=loop; loop=2; on_failure=9"),
                (1, 0, ""),
                (9, 0, ""),
            ],
            0,
            "0 0 1",
        ),
        // Not begun: no verdict.
        (
            &[
                (
                    0,
                    0,
                    "next=loop; loop=2; loop_break=exit_1; condition='1'=2",
                ),
                (1, 0, ""),
            ],
            0,
            "1",
        ),
    ];
    assert_runs(&[], cases);
    assert_runs(
        &["--keep-going"],
        &[(
            &[(0, 0, "next=loop; loop=2; loop_break=exit_1"), (1, 0, "")],
            1,
            "0 0 1",
        )],
    );
    let (_, _, ran, sandbox) = run(cases[0].0, &["-q"]);
    let reason = "task 0 exited 0";
    assert!(ran.stderr.contains(reason), "{ran:?}");
    assert!(
        ran.stderr.contains("but its `loop_break` never held"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("loop_break=stdout~up"), "{ran:?}");
    assert!(
        sandbox.log().contains("Task 0.2 ended: failed"),
        "{}",
        sandbox.log()
    );
}

#[test]
fn a_stopped_branch_fails_the_block_and_the_run() {
    let rest = note_id(1, 0, "") + &note_id(11, 0, "");
    let plain = format!("task=0\ntype=conditional\n{IF_TRUE}\nif_true_tasks=10-11\n");
    let nested = format!(
        "task=0\ntype=conditional\n{IF_TRUE}\nif_true_tasks=5,12\n\
         task=5\ntype=conditional\n{IF_TRUE}\nif_true_tasks=10,11\n"
    ) + &note_id(12, 0, "");
    for (block, keys, code, notes) in [
        (&plain, "next=success", 10, "10"),
        (&plain, "next=stdout~x", 10, "10"),
        (&plain, "next=loop; loop=2; loop_break=exit_0", 10, "10 10"),
        (&plain, "", 0, "10 11 1"),
        (&plain, "next=always", 0, "10 11 1"),
        (&plain, "next=loop; loop=2", 0, "10 10 11 1"),
        (&nested, "next=success", 10, "10"),
        (&nested, "", 0, "10 11 12 1"),
    ] {
        let sandbox = Sandbox::new();
        let text = block.clone() + &note_id(10, 3, keys) + &rest;
        let ran = sandbox.run(&text, &["-q"]);
        let found = sandbox.read("ran").replace('\n', " ");
        assert_eq!((ran.code, found.trim_end()), (code, notes), "{text}{ran:?}");
        let warned = sandbox.log().contains("[WARN] Task 0: in its branch: ");
        assert_eq!(warned, keys.is_empty() && block == &plain, "{text}");
        assert!(!ran.stderr.is_empty() && ran.stdout.is_empty(), "{ran:?}");
    }
}

#[test]
fn the_result_of_a_conditional_covers_verdicts() {
    // Its exit code, as the task after it sees it.
    for (keys, exit, seen) in [
        ("", 0, "0 true"),
        ("", 3, "1 false"),
        ("next=always", 3, "0 true"),
        ("next=loop; loop=2", 3, "0 true"),
        ("success=exit_3", 3, "0 true"),
        ("goto=1", 0, "0 true"),
        ("goto=1", 3, "1 false"),
        ("on_failure=1", 3, "1 false"),
        ("on_success=1", 0, "0 true"),
        ("condition='1'=2", 3, "0 true"),
        // Left after a failure that did not matter to the inner `if`.
        ("NESTED", 3, "0 true"),
    ] {
        let nested = format!(
            "task=10\ntype=conditional\n{IF_TRUE}\nif_true_tasks=20,21\n{}{}",
            note_id(20, exit, ""),
            note_id(21, 0, "on_success=1")
        );
        let member = match keys {
            "NESTED" => nested,
            keys => note_id(10, exit, keys),
        };
        let sandbox = Sandbox::new();
        let text = format!("task=0\ntype=conditional\n{IF_TRUE}\nif_true_tasks=10\n")
            + "task=1\nexec=shell\ncommand=echo @0_exit@ @0_success@ >seen\n"
            + &member;
        let ran = sandbox.run(&text, &[]);
        assert_eq!(
            (ran.code, sandbox.read("seen").trim_end()),
            (0, seen),
            "{text}{ran:?}"
        );
    }
}

#[test]
fn a_quiet_run_that_ends_with_0_names_what_is_not_ok() {
    for (tasks, said) in [
        (note_id(0, 3, "next=always"), "1 failed (0)"),
        (note_id(0, 3, "next=loop; loop=3"), "1 failed (0)"),
        (note_id(0, 3, "goto=2") + &note_id(2, 0, ""), "1 failed (0)"),
        (
            note_id(0, 3, "on_failure=5") + &note_id(5, 4, "next=always"),
            "2 failed (0, 5)",
        ),
        (
            "task=0\ntype=parallel\nhostnames=h[1-4]\nexec=shell\nnext=min_success=2\n\
             command=case @hostname@ in h[13]) exit 3;; esac\n"
                .into(),
            "2 failed (0 on h[1,3])",
        ),
        (
            "task=0\ntype=parallel\nhostnames=h[1-4]\nexec=shell\nnext=always\nmax_parallel=1\n\
             fail_fast=true\ncommand=exit 3\n"
                .into(),
            "1 failed (0 on h1), 3 not_started (0 on h[2-4])",
        ),
        (note_id(0, 0, ""), ""),
        (note_id(0, 0, "condition='1'=2"), ""),
        (note_id(0, 3, "success=exit_3"), ""),
    ] {
        let sandbox = Sandbox::new();
        let ran = sandbox.run(&tasks, &["-q"]);
        let said = match said {
            "" => String::new(),
            said => format!("tasker: tasks.txt: ended with 0, but not everything is ok: {said}; "),
        };
        assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{tasks}{ran:?}");
        assert!(ran.stderr.starts_with(&said), "{tasks}{ran:?}");
        let lines = usize::from(!said.is_empty());
        assert_eq!(ran.stderr.lines().count(), lines, "{tasks}{ran:?}");
    }
}
