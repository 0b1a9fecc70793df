//! `--start-from` through the binary (SPEC §6.4): where a run begins, what it leaves out,
//! which results it must not need, and what a dry run shows of it.

mod support;

use support::{Ran, Sandbox, wait_for};

/// A command that appends its id to `ran`, then does the rest.
fn note_id(id: u32, rest: &str) -> String {
    format!("task={id}\nexec=shell\ncommand=echo {id} >>ran; {rest}\n")
}

/// The same once for each id.
fn note_ids(ids: &[u32]) -> String {
    ids.iter().map(|id| note_id(*id, "true")).collect()
}

/// A run that begins at the task: its end, and what ran.
fn run_from(sandbox: &Sandbox, tasks: &str, id: &str, options: &[&str]) -> (Ran, String) {
    let _ = std::fs::remove_file(sandbox.path.join("ran"));
    let options = [&["--start-from", id], options].concat();
    let ran = sandbox.run(tasks, &options);
    let notes = sandbox.read("ran");
    (ran, notes.trim_end().replace('\n', " "))
}

/// A block whose condition is false, so that only a start leads into its first branch.
/// So is that of the inner one.
fn branches() -> String {
    note_ids(&[1, 15, 16, 17, 18, 21, 22, 23, 24, 30])
        + "task=10\ntype=conditional\ncondition=false\nif_true_tasks=15,16,20,17\nif_false_tasks=18\n\
           task=20\ntype=conditional\ncondition=@1_stdout:-@ ~ x\nif_true_tasks=21,22\nif_false_tasks=23,24\n"
}

#[test]
fn a_member_is_followed_by_the_rest_of_its_branch() {
    let tasks = branches();
    for (id, notes, path) in [
        ("1", "1 18 30", "1 10 30"),
        ("10", "18 30", "10 30"),
        ("18", "18 30", "10 30"),
        ("17", "17 30", "10 30"),
        // Inside a block that is inside it.
        ("21", "21 22 17 30", "10 30"),
        ("22", "22 17 30", "10 30"),
        ("24", "24 17 30", "10 30"),
        ("30", "30", "30"),
    ] {
        let sandbox = Sandbox::new();
        let (ran, found) = run_from(&sandbox, &tasks, id, &[]);
        assert_eq!((ran.code, found.as_str()), (0, notes), "{id}: {ran:?}");
        assert_eq!(sandbox.steps(), path, "{id}");
    }
    let sandbox = Sandbox::new();
    let (ran, _) = run_from(&sandbox, &tasks, "22", &["--events=events"]);
    let expected = "task 10\n  begins at task 20, as if its condition were true: 2 tasks to run\n\
                    task 20\n  begins at task 22, as if its condition were true: 1 task to run\n";
    assert!(ran.stdout.contains(expected), "{ran:?}");
    let event = r#""condition":true,"begins_at":22,"tasks":1"#;
    assert!(sandbox.read("events").contains(event));
    let line = "begins at task 22, as if its condition were true, 1 task to run";
    assert!(sandbox.log().contains(line));
}

#[test]
fn the_rest_of_the_branch_decides_how_the_block_ends() {
    let block = |keys: &str| {
        format!("task=10\ntype=conditional\ncondition=false\nif_true_tasks=15,16\n{keys}")
            + "task=20\nexec=shell\ncommand=echo @10_success@ @10_total_count@ @10_failed_hosts@ >>ran\n"
    };
    for (keys, sixteen, code, notes) in [
        ("", "exit 3", 0, "16 false 1 16"),
        ("", "true", 0, "16 true 1"),
        ("next=success\non_failure=90\n", "exit 3", 0, "16 90"),
        ("next=success\n", "exit 3", 10, "16"),
    ] {
        let tasks = note_id(15, "exit 1") + &block(keys) + &note_id(16, sixteen) + &note_ids(&[90]);
        // Only a failure target is a handler.
        let tasks = tasks.replace("task=20\n", "task=20\nnext=never\n");
        let (ran, found) = run_from(&Sandbox::new(), &tasks, "16", &[]);
        assert_eq!(
            (ran.code, found.as_str()),
            (code, notes),
            "{keys}{sixteen}: {ran:?}"
        );
    }
}

#[test]
fn a_run_can_begin_at_a_handler_in_a_branch() {
    let tasks = note_ids(&[15, 90, 92, 95, 99])
        + &note_id(1, "exit 1")
        + "on_failure=90\n"
        + &note_id(5, "exit 1")
        + "on_failure=99\n"
        + "task=10\ntype=conditional\ncondition=false\nif_true_tasks=15,90,92\n\
           task=96\nreturn=4\n";
    // From a handler the flow falls through the next one.
    let (ran, notes) = run_from(&Sandbox::new(), &tasks, "90", &[]);
    assert_eq!((ran.code, notes.as_str()), (4, "90 92 95"), "{ran:?}");
    let tasks = tasks.replace("task=96\nreturn=4\n", "");
    for (id, notes) in [("92", "92 95"), ("90", "90 92 95 99"), ("99", "99")] {
        let (ran, found) = run_from(&Sandbox::new(), &tasks, id, &[]);
        assert_eq!((ran.code, found.as_str()), (0, notes), "{id}: {ran:?}");
    }
}

#[test]
fn no_run_begins_where_nothing_says_how_it_goes_on() {
    let tasks = note_ids(&[1, 3, 4, 6, 7, 8, 12])
        + "task=2\ntype=conditional\ncondition=true\nif_true_tasks=3,4,5\nif_false_tasks=4,10\n\
           task=5\ntype=parallel\ntasks=6,7\nmax_parallel=1\nwaves=1,1\nwave_check=8\n\
           task=10\ntype=conditional\ncondition=true\nif_true_tasks=12\n\
           task=80\nname=off\nfinally=true\nexec=local\ncommand=true\n\
           task=81\nfinally=true\ntype=conditional\ncondition=true\nif_true_tasks=82\n\
           task=82\nexec=local\ncommand=true\n";
    let sandbox = Sandbox::new();
    for (id, why) in [
        ("4", "task 4 is in both branches of block 2; begin there"),
        ("6", "task 6 belongs to parallel block 5; begin there"),
        ("8", "task 8 belongs to parallel block 5; begin there"),
        ("off", "task off is a final task, which runs at the end"),
        (
            "82",
            "task 82 belongs to block 81 and runs with the final tasks, at the end",
        ),
    ] {
        for option in ["-r", "--show-plan", "--assume=1=ok"] {
            sandbox.file("tasks.txt", &tasks);
            let ran = sandbox.output(&[option, "--start-from", id, "tasks.txt"]);
            let why = format!("tasker: --start-from: {why}");
            assert_eq!(ran.code, 12, "{ran:?}");
            assert!(ran.stderr.contains(&why), "{ran:?}");
        }
    }
    // The remedy works; it is a member itself.
    let (ran, notes) = run_from(&sandbox, &tasks, "5", &[]);
    assert_eq!((ran.code, notes.as_str()), (0, "6 8 7"), "{ran:?}");
    let both = tasks.replace("if_false_tasks=4,10", "if_false_tasks=5,4,10");
    let (ran, _) = run_from(&sandbox, &both, "12", &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let both = tasks.replace("if_true_tasks=3,4,5", "if_true_tasks=3,4,5,10");
    let (ran, _) = run_from(&sandbox, &both, "12", &[]);
    let why = "task 12 belongs to block 10, which is in both branches of block 2; begin there";
    assert!(ran.code == 12 && ran.stderr.contains(why), "{ran:?}");
}

#[test]
fn a_run_that_began_at_a_member_is_resumed_there() {
    let tasks = branches().replace(
        "echo 22 >>ran; true\n",
        "echo 22 >>ran; test -e fine\nnext=success\n",
    );
    let tasks = tasks.replace("task=10\n", "task=10\nnext=success\n");
    let sandbox = Sandbox::new();
    let (ran, notes) = run_from(&sandbox, &tasks, "21", &[]);
    assert_eq!((ran.code, notes.as_str()), (10, "21 22"), "{ran:?}");
    let preview = sandbox.output(&["--show-recovery-info", "tasks.txt"]);
    assert!(
        preview.stdout.contains("resumes with task 22"),
        "{preview:?}"
    );
    sandbox.file("fine", "");
    let ran = sandbox.output(&["-r", "--resume", "tasks.txt"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    // What was ok is not run again, and nothing before the start is run at all.
    assert_eq!(sandbox.read("ran"), "21\n22\n22\n17\n30\n");
    assert!(sandbox.journals().is_empty());
}

#[test]
fn a_run_that_began_at_a_member_and_was_killed_is_resumed_there() {
    for (slow, done, left) in [
        (21, "", "21 22 17 30"),
        (22, "21 ", "22 17 30"),
        (17, "21 22 ", "17 30"),
        (30, "21 22 17 ", "30"),
    ] {
        let wait = format!("echo {slow} >>ran; test -e fine || {{ echo >ready; sleep 60; }}");
        let tasks = branches().replace(&format!("echo {slow} >>ran; true"), &wait);
        let sandbox = Sandbox::new();
        let child = sandbox.start(&tasks, &["--start-from=21"]);
        wait_for("the slow task", || sandbox.exists("ready"));
        sandbox.kill(child);
        sandbox.file("fine", "");
        let ran = sandbox.output(&["-r", "--resume", "tasks.txt"]);
        assert_eq!(ran.code, 0, "{slow}: {ran:?}");
        let notes = sandbox.read("ran").replace('\n', " ");
        assert_eq!(notes, format!("{done}{slow} {left} "), "{slow}");
        assert_eq!(sandbox.steps(), "10 30");
    }
}

/// Each kind of use of what tasks 1 and 2 leave, with its place.
const USES: &str = "task=1\nexec=local\ncommand=echo one\n\
    task=2\ntype=parallel\nhostnames=h[1-2]\nexec=local\ncommand=true\n\
    task=3\nexec=local\ncommand=true\n\
    task=10\nexec=local\ncommand=echo @1_stdout@ @1_exit@ @1_stderr@\n\
    task=11\ntype=conditional\ncondition=@1_stdout@ ~ one\nif_true_tasks=12\n\
    task=12\nexec=local\ndescription=about @1_stdout@\ncommand=cat @1_stdout_file@\n\
    task=13\ntype=parallel\nhostnames=@2_ok_hosts@\nexec=local\ncommand=true\n\
    task=14\nexec=local\ncommand=echo @1_stdout:-none@ @10_stdout@\ncondition=@2_failed_hosts@ =\n\
    task=90\nfinally=true\nexec=local\ncommand=echo @1_stdout@\n";

#[test]
fn a_run_that_needs_results_of_tasks_that_it_leaves_out_is_refused() {
    let sandbox = Sandbox::new();
    let (ran, _) = run_from(&sandbox, USES, "10", &[]);
    assert_eq!(ran.code, 12, "{ran:?}");
    let uses: Vec<&str> = ran
        .stderr
        .lines()
        .filter(|l| l.contains(": error: "))
        .collect();
    let does_not_run = [
        "tasks.txt:14:14: error: task 10 uses the `stdout` of task 1, which does not run",
        "tasks.txt:17:11: error: task 11 uses the `stdout` of task 1, which does not run",
        "tasks.txt:22:13: error: task 12 uses the `stdout_file` of task 1, which does not run",
        "tasks.txt:25:11: error: task 13 uses the `ok_hosts` of task 2, which does not run",
        "tasks.txt:31:11: error: task 14 uses the `failed_hosts` of task 2, which does not run",
        "tasks.txt:35:14: error: task 90 uses the `stdout` of task 1, which does not run",
    ];
    assert_eq!(uses, does_not_run);
    let end = "tasker: --start-from 10: the run uses 6 results of tasks that it leaves out; nothing was run\n     \
        = help: --resume-at 10 goes on there with the results of the last run; --skip-task-validation runs it anyway\n";
    assert!(ran.stderr.ends_with(end), "{ran:?}");
    assert!(!sandbox.exists("TASKER/logs") && sandbox.journals().is_empty());
    // So is a dry run, and a rehearsal.
    for option in ["--show-plan", "--validate-only", "--assume=10=ok"] {
        let ran = sandbox.output(&[option, "--start-from=10", "tasks.txt"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (12, ""), "{ran:?}");
    }
    // Anyway: 10 is not started, as its result is missing.
    let (ran, _) = run_from(&sandbox, USES, "10", &["--skip-task-validation"]);
    assert_eq!(ran.code, 126, "{ran:?}");
    assert!(ran.stderr.contains("`@1_stdout@` is missing"), "{ran:?}");
}

#[test]
fn only_what_a_run_can_reach_counts() {
    // The run begins at 20, which fails.
    let uses = |id: u32, keys: &str| note_id(id, ": @1_stdout@") + keys;
    let ends = "task=21\nnext=never\n";
    for (keys, rest, options, is_refused) in [
        ("", uses(25, "condition=false\n"), &[][..], true),
        ("", ends.to_string() + &uses(25, ""), &[], false),
        ("", ends.to_string() + &uses(90, ""), &[], false),
        (
            "on_failure=90\n",
            ends.to_string() + &uses(90, ""),
            &[],
            true,
        ),
        ("", uses(96, "finally=true\n"), &[], true),
        // Past a failure, and when the deadline passes.
        (
            "on_success=30\n",
            uses(25, "") + &note_ids(&[30]),
            &[],
            false,
        ),
        (
            "on_success=30\n",
            uses(25, "") + &note_ids(&[30]),
            &["-k"],
            true,
        ),
        (
            "",
            ends.to_string() + &uses(95, ""),
            &["--deadline=+9h", "--deadline-task=95"],
            true,
        ),
        // With a default, another field, a title, the result of a task that is reached.
        ("", uses(25, "").replace("stdout@", "stdout:-@"), &[], false),
        (
            "",
            uses(25, "").replace("stdout@", "exit@ @1_stderr@"),
            &[],
            false,
        ),
        (
            "",
            note_id(25, "true") + "description=@1_stdout@\n",
            &[],
            false,
        ),
        ("", uses(25, "").replace("@1_", "@20_"), &[], false),
    ] {
        let tasks = note_ids(&[1]) + &note_id(20, "exit 1") + keys + &rest;
        let (ran, _) = run_from(&Sandbox::new(), &tasks, "20", options);
        assert_eq!(ran.code == 12, is_refused, "{options:?}\n{tasks}{ran:?}");
    }
}

#[test]
fn no_condition_is_asked_on_the_way_to_the_start() {
    let block = "task=1\nexec=local\ncommand=true\n\
        task=10\ntype=conditional\ncondition=@1_stdout@ ~ x\nif_true_tasks=11,12\n"
        .to_string()
        + &note_ids(&[11, 12, 20]);
    let (ran, notes) = run_from(&Sandbox::new(), &block, "12", &[]);
    assert_eq!((ran.code, notes.as_str()), (0, "12 20"), "{ran:?}");
    // Where the flow comes back to the block it is.
    let back = block.clone() + "on_failure=10\n";
    let (ran, _) = run_from(&Sandbox::new(), &back, "12", &[]);
    assert_eq!(ran.code, 12, "{ran:?}");
    // What is left out of the branch has no result.
    let uses = block.replace("echo 12 >>ran; true", "echo @11_stdout@");
    let (ran, _) = run_from(&Sandbox::new(), &uses, "12", &[]);
    let why = "task 12 uses the `stdout` of task 11, which does not run";
    assert!(ran.code == 12 && ran.stderr.contains(why), "{ran:?}");
}

/// A file on other hosts at each step, with the start in a branch.
const HOSTS: &str = "task=1\ntype=parallel\nhostnames=web[1-9]\nexec=ssh\ncommand=uptime\ntimeout=60\n\
    task=10\ntype=conditional\ncondition='a'=a\nif_true_tasks=15,16\nif_false_tasks=18\n\
    task=15\nhostname=db1\nexec=ssh\ncommand=uptime\non_failure=95\n\
    task=16\nhostname=db2\nexec=ssh\ncommand=uptime\ntimeout=70\n\
    task=18\nhostname=db3\nexec=ssh\ncommand=uptime\n\
    task=20\ntype=parallel\nhostnames=app[1-4]\nexec=ssh\ncommand=uptime\ntimeout=80\non_failure=90\n\
    task=90\nhostname=h90\nexec=ssh\ncommand=uptime\ntimeout=90\nreturn=5\n\
    task=95\nhostname=h95\nexec=ssh\ncommand=uptime\nreturn=1\n\
    task=99\nfinally=true\nhostname=h99\nexec=ssh\ncommand=uptime\n";

fn plan_from(sandbox: &Sandbox, options: &[&str]) -> Ran {
    sandbox.file("tasks.txt", HOSTS);
    let always = ["--skip-host-validation", "--start-from=16", "tasks.txt"];
    let ran = sandbox.output(&[options, &always].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    ran
}

#[test]
fn a_dry_run_shows_the_plan_from_there() {
    let sandbox = Sandbox::new();
    sandbox.program("bin/ssh", "#!/bin/sh\n");
    let text = plan_from(&sandbox, &[]).stdout;
    let (_, plan) = text.split_once("-r runs it.\n").expect("a plan");
    let expected = "tasks.txt: 5 of 9 tasks
  10
      begins at task 16, as if its condition ('a'=a) were true:
      16
          db2, ssh, timeout 70 s
          $ ssh ";
    assert!(plan.starts_with(expected), "{plan}");
    for shown in [
        "\n      then 20\n  20\n",
        "\n  90\n",
        "\n  99\n",
        "\nhosts: 7 distinct (app[1-4],db2,h[90,99])\n",
        "\n      --start-from 16\n",
    ] {
        assert!(plan.contains(shown), "{shown:?}\n{plan}");
    }
    for hidden in ["web", "db1", "db3", "95"] {
        assert!(!plan.contains(hidden), "{hidden:?}\n{plan}");
    }
    // At worst 16, 20, 90 and 99, each with the time that its command takes to connect and to
    // end.
    let time = "\ntime: likely 30 s, at worst 7 m 4 s\n";
    assert!(plan.contains(time), "{plan}");
    let json = plan_from(&sandbox, &["--show-plan=json"]).stdout;
    assert!(
        json.contains(r#""begins_at":16,"if_true":[{"id":16,"#),
        "{json}"
    );
    assert!(!json.contains(r#""if_false""#), "{json}");
    let dot = plan_from(&sandbox, &["--show-plan=dot"]).stdout;
    let arrow = "t10 -> t16 [label=\"begins here\", style=dashed];";
    assert!(dot.contains(arrow) && !dot.contains("t18"), "{dot}");
}

#[test]
fn the_hosts_and_the_id_are_those_of_the_run() {
    let sandbox = Sandbox::new();
    let text = plan_from(&sandbox, &["--expect-hosts=7"]).stdout;
    let id = text
        .rsplit_once("plan: ")
        .expect("an id")
        .1
        .trim()
        .to_string();
    let options = [
        "-r",
        "--skip-host-validation",
        "tasks.txt",
        "--start-from=16",
    ];
    let ran = sandbox.output(&[&options[..], &["--expect-hosts=16"]].concat());
    assert_eq!(ran.code, 13, "{ran:?}");
    assert!(ran.stderr.contains("the plan has 7 hosts"), "{ran:?}");
    // A reviewed plan from there is still the one that runs, and none of another task.
    for (start, is_other) in [("16", false), ("20", true)] {
        let start = format!("--start-from={start}");
        let plan = format!("--plan={id}");
        let arguments = ["-r", &start, &plan, "--expect-hosts=1", "tasks.txt"];
        let ran = sandbox.output(&arguments);
        assert_eq!(ran.code, if is_other { 12 } else { 13 }, "{ran:?}");
    }
}

#[test]
fn only_hosts_and_programs_that_can_be_reached_are_checked() {
    let tasks = "task=0\nexec=local\ncommand=./absent\n\
        task=1\nhostname=nowhere.invalid\nexec=ssh\ncommand=true\n"
        .to_string()
        + &note_id(2, "true");
    let sandbox = Sandbox::new();
    for options in [&[][..], &["-c"]] {
        let (ran, notes) = run_from(&sandbox, &tasks, "2", options);
        assert_eq!((ran.code, notes.as_str()), (0, "2"), "{ran:?}");
    }
    assert!(sandbox.log().contains("targets this machine"));
    let ran = sandbox.run(&tasks, &[]);
    assert_eq!(ran.code, 60, "{ran:?}");
}

#[test]
fn a_run_that_begins_at_a_handler_shows_the_flow_from_there() {
    let tasks = note_id(1, "true")
        + "on_failure=90\n"
        + &note_ids(&[90])
        + &note_id(5, "true")
        + "on_failure=99\n"
        + &note_ids(&[99]);
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", tasks);
    let plan = sandbox.output(&["--start-from=90", "tasks.txt"]);
    assert!(!plan.stdout.contains("failure handlers"), "{plan:?}");
    assert!(plan.stdout.contains("then 99"), "{plan:?}");
    assert!(plan.stdout.contains("tasks.txt: 2 of 4 tasks"), "{plan:?}");
}

#[test]
fn a_rehearsal_begins_at_the_member_as_well() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", branches());
    let ran = sandbox.output(&["--start-from=22", "--assume=17=exit 1", "tasks.txt"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let line = "begins at task 22, as if its condition were true";
    assert!(ran.stdout.contains(line), "{ran:?}");
    assert!(ran.stdout.contains("\npath: 10 30\n"), "{ran:?}");
}
