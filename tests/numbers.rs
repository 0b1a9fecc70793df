//! `@N_number@` (SPEC §2.1, §2.4, §3.1): an output or a global that is one number, or
//! nothing runs; so it can stand where a shell evaluates what it reads.

mod support;

use support::{Ran, Sandbox};

/// What a task prints, and the number that it is.
const NUMBERS: [(&str, &str); 14] = [
    ("5", "5"),
    ("5\n", "5"),
    (" \t5 \r\n\n", "5"),
    ("0", "0"),
    ("000", "0"),
    ("08", "8"),
    ("-08", "-8"),
    ("+7", "7"),
    ("-0", "-0"),
    ("00.50", "0.50"),
    ("-12.25", "-12.25"),
    ("010.0", "10.0"),
    ("18446744073709551616000", "18446744073709551616000"),
    ("\n\n42", "42"),
];

/// What is no number, most of which a shell would evaluate.
const OTHERS: [&str; 22] = [
    "",
    " ",
    "\n\n",
    "a",
    "x=1",
    "a[$(touch PWNED)]",
    "$(touch PWNED)",
    "`touch PWNED`",
    "5;touch PWNED",
    "5\ntouch PWNED",
    "5 6",
    "5.",
    ".5",
    "1.2.3",
    "--5",
    "- 5",
    "1e3",
    "0x10",
    "5%",
    "1,5",
    "\u{ff15}",
    "-",
];

fn run(sandbox: &Sandbox, output: &str, tasks: &str, options: &[&str]) -> Ran {
    sandbox.file("output", output);
    for file in ["ran", "PWNED"] {
        let _ = std::fs::remove_file(sandbox.path.join(file));
    }
    // The log is that of this run.
    let _ = std::fs::remove_dir_all(sandbox.path.join("TASKER"));
    let tasks = format!("task=1\nexec=local\ncommand=cat output\n{tasks}");
    let ran = sandbox.run(&tasks, &[&["--skip-host-validation"], options].concat());
    assert!(!sandbox.exists("PWNED"), "{output:?}: {tasks}");
    ran
}

#[test]
fn a_number_arrives_without_blanks_and_leading_zeros() {
    let sandbox = Sandbox::new();
    sandbox.program(
        "mark",
        "#!/bin/sh\nprintf '%s|' \"$@\" \"$V\" \"$(cat)\" > ran\n",
    );
    for (output, number) in NUMBERS {
        for (task, expected) in [
            (
                "exec=local\ncommand=./mark @1_number@ a@1_NUMBER@b \"@1_number@ c\"\nenv.V=@1_number@\nstdin=@1_number@",
                format!("{number}|a{number}b|{number} c|{number}|{number}|"),
            ),
            (
                "exec=shell\ncommand=./mark @1_number@ \"@1_number@\" '@1_number@' $(echo @1_number@) </dev/null",
                format!("{number}|{number}|{number}|{number}|||"),
            ),
            (
                "exec=shell\ncommand=echo @1_number@>ran",
                format!("{number}\n"),
            ),
            (
                "type=parallel\nhostnames=h@1_number@x\nexec=local\ncommand=sh -c 'printf @hostname@ > ran'",
                format!("h{number}x"),
            ),
        ] {
            let ran = run(&sandbox, output, &format!("task=2\n{task}\n"), &["-q"]);
            assert_eq!(ran.code, 0, "{output:?}: {task}: {}", ran.stderr);
            assert_eq!(sandbox.read("ran"), expected, "{output:?}: {task}");
        }
    }
}

/// Where bash does arithmetic.
const ARITHMETIC: [&str; 10] = [
    "echo $((@1_number@ + 1)) > ran",
    "echo $[@1_number@ + 1] > ran",
    "(( @1_number@ > -100 )) && echo $((@1_number@ + 1)) > ran",
    "let n=@1_number@+1; echo $n > ran",
    "a[@1_number@]=x; echo $((${!a[*]} + 1)) > ran",
    "n=@1_number@; echo $((n + 1)) > ran",
    "[[ @1_number@ -gt -100 ]] && echo $((@1_number@ + 1)) > ran",
    "for ((i=@1_number@; i<@1_number@ + 1; i++)); do echo $((i + 1)) > ran; done",
    "echo \"$((@1_number@ + $((1))))\" > ran",
    "x=$(echo $((@1_number@ + 1))); echo \"$x\" > ran",
];

#[test]
fn a_number_can_stand_in_arithmetic_and_nothing_else_gets_there() {
    let sandbox = Sandbox::new();
    for (number, script) in ARITHMETIC.into_iter().enumerate() {
        let task = format!("task=2\nexec=shell\ncommand={script}\n");
        for (output, expected) in [("41", "42"), (" 008\n", "9")] {
            let ran = run(&sandbox, output, &task, &["-q"]);
            assert_eq!(ran.code, 0, "{script}: {}", ran.stderr);
            assert_eq!(sandbox.read("ran").trim(), expected, "{script}");
        }
        for output in OTHERS.into_iter().skip(number % 4).step_by(4) {
            let ran = run(&sandbox, output, &task, &["-q"]);
            assert_eq!(ran.code, 126, "{script}: {output:?}: {}", ran.stderr);
            assert!(!sandbox.exists("ran"), "{script}: {output:?}");
        }
    }
}

/// Where a value decides what a task does.
const PLACES: [&str; 17] = [
    "exec=local\ncommand=touch ran @1_number@",
    "exec=local\ncommand=touch ran x@1_number@y",
    "exec=local\ncommand=touch ran\narguments='@1_number@'",
    "exec=shell\ncommand=touch ran; echo @1_number@",
    "exec=local\ncommand=touch ran\nstdin=@1_number@",
    "exec=local\ncommand=touch ran\nenv.N=@1_number@",
    "exec=local\ncommand=touch ran\nworkdir=./@1_number@",
    "exec=local\ncommand=touch ran\nhostname=web@1_number@",
    "exec=local\ncommand=touch ran\ntimeout=@1_number@",
    "exec=local\ncommand=touch ran\nsleep=@1_number@",
    "exec=local\ncommand=touch ran\nretry_count=@1_number@",
    "exec=local\ncommand=touch ran\nnext=loop\nloop=@1_number@",
    "exec=local\ncommand=touch ran\ncondition=@1_number@ > 3",
    "exec=local\ncommand=touch ran\ncondition=!(@1_number@ = x)",
    "exec=local\ncommand=touch ran\ncondition=x@1_number@ ~ x",
    "type=parallel\nhostnames=web@1_number@\nexec=local\ncommand=touch ran",
    "type=parallel\nhostnames=web1\nexec=local\ncommand=touch ran\nmax_parallel=@1_number@",
];

#[test]
fn what_uses_anything_else_as_a_number_is_not_started() {
    let sandbox = Sandbox::new();
    for (number, place) in PLACES.into_iter().enumerate() {
        for output in OTHERS.into_iter().skip(number % 4).step_by(4) {
            let ran = run(&sandbox, output, &format!("task=2\n{place}\n"), &["-q"]);
            let what = format!("{place}: {output:?}: {}{}", ran.stdout, ran.stderr);
            let code = if place.contains("parallel\n") {
                10
            } else {
                126
            };
            assert_eq!(ran.code, code, "{what}");
            assert!(!sandbox.exists("ran"), "{what}");
            let log = sandbox.log();
            let told = match output.trim() {
                "" => "`@1_number@` is not a number: it is empty".to_string(),
                _ => "`@1_number@` is not a number: `".to_string(),
            };
            assert!(log.contains(&told), "{what}{log}");
        }
    }
    // The beginning of a long value, and never a secret.
    let long = format!("12{}", "x".repeat(3_000_000));
    let ran = run(&sandbox, &long, &format!("task=2\n{}\n", PLACES[0]), &[]);
    assert_eq!(ran.code, 126);
    assert!(ran.stderr.len() < 3000, "{}", ran.stderr.len());
    sandbox.file("output", "hunter2-hunter2");
    let tasks = "A_KEY=hunter2\ntask=1\nexec=local\ncommand=cat output\ntask=2\nexec=local\ncommand=echo @1_number@\nenv.K=@A_KEY@\n";
    let ran = sandbox.run(tasks, &[]);
    let all = format!("{}{}{}", ran.stdout, ran.stderr, sandbox.log());
    assert!(all.contains("is not a number: `***-***`"), "{all}");
    assert!(!all.contains("hunter2"), "{all}");
}

#[test]
fn a_condition_about_no_number_is_undecided() {
    let sandbox = Sandbox::new();
    let outcome = |key: &str, output: &str| {
        let task = format!("task=2\nexec=local\ncommand=touch ran\n{key}\nnext=always\n");
        let ran = run(&sandbox, output, &task, &[]);
        let log = sandbox.log();
        assert_eq!(ran.code, 0, "{key}: {}", ran.stderr);
        let undecided = log.contains("undecided: `@1_number@` is not a number");
        let ended = ["ok", "failed", "skipped"].into_iter();
        let mut ended = ended.filter(|end| log.contains(&format!("Task 2 ended: {end}")));
        (ended.next().unwrap_or("skipped"), undecided)
    };
    for (key, with_5, with_x) in [
        ("success=@1_number@ > 3", "ok", "failed"),
        ("success=@1_number@ < 3", "failed", "failed"),
        ("success=!(@1_number@ < 3)", "ok", "failed"),
        ("failure=@1_number@ > 7", "ok", "failed"),
        ("failure=!(@1_number@ > 3)", "ok", "failed"),
        ("success=@1_number@ = 5", "ok", "failed"),
        ("success=@1_number@ != 7", "ok", "failed"),
        ("success=@1_number@ ~ 5", "ok", "failed"),
        ("success=exit_0 & @1_number@ = 05", "ok", "failed"),
    ] {
        assert_eq!(outcome(key, "5"), (with_5, false), "{key}");
        assert_eq!(outcome(key, "5x"), (with_x, true), "{key}");
    }
    // The other side decides.
    assert_eq!(outcome("success=exit_0 | @1_number@ > 3", "x").0, "ok");
    assert_eq!(outcome("failure=exit_1 & @1_number@ > 3", "x").0, "ok");
}

#[test]
fn the_number_of_a_missing_result_is_missing() {
    let sandbox = Sandbox::new();
    let tasks = |task: &str| {
        format!(
            "task=1\nexec=local\ncommand=echo 5\ncondition=false\ntask=2\nexec=local\ncommand=touch ran @{task}\n"
        )
    };
    let ran = sandbox.run(&tasks("1_number@"), &["-q"]);
    assert_eq!(ran.code, 126, "{ran:?}");
    let told = "`@1_number@` is missing: task 1 was skipped; give it a default, `@1_number:-TEXT@`, or the task a `condition=`";
    assert!(ran.stderr.contains(told), "{ran:?}");
    assert!(!sandbox.exists("ran"));
    let ran = sandbox.run(&tasks("1_number:-007@"), &["-q"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(sandbox.exists("7"));
    let ran = sandbox.run(&tasks("1_outcome@\ncondition=@1_number@ > 3"), &[]);
    assert!(ran.stdout.contains("skipped") && ran.code == 0, "{ran:?}");
    assert!(sandbox.log().contains("there is no result to compare"));
    // An empty output takes the default too; anything else does not.
    let task = "task=2\nexec=local\ncommand=touch n@1_number:-3@\n";
    assert_eq!(run(&sandbox, " \n", task, &["-q"]).code, 0);
    assert!(sandbox.exists("n3"));
    assert_eq!(run(&sandbox, "x", task, &["-q"]).code, 126);
    // The check of the file knows that the task may fail.
    let ran = run(
        &sandbox,
        "5",
        "condition=false\ntask=2\nexec=local\ncommand=echo @1_number@\n",
        &["--validate-only"],
    );
    assert!(
        ran.stderr.contains("task 2 needs a result of task 1"),
        "{ran:?}"
    );
    let ran = run(
        &sandbox,
        "5",
        "task=2\nexec=local\ncommand=echo @1_number@\n",
        &["--start-from=2"],
    );
    assert_eq!(ran.code, 12, "{ran:?}");
}

#[test]
fn a_default_for_a_number_is_a_number() {
    let sandbox = Sandbox::new();
    for (default, code) in [
        ("0", 0),
        ("-1.5", 0),
        ("", 20),
        ("none", 20),
        ("a[$(touch PWNED)]", 20),
    ] {
        let task = format!("task=2\nexec=local\ncommand=echo @1_number:-{default}@\n");
        let ran = run(&sandbox, "5", &task, &[]);
        assert_eq!(ran.code, code, "{default}: {}", ran.stderr);
        let told = ran
            .stderr
            .contains("the default of `@1_number@` is not a number");
        assert_eq!(told, code == 20, "{}", ran.stderr);
    }
}

#[test]
fn a_global_is_read_as_a_number_too() {
    let sandbox = Sandbox::new();
    let run_with = |tasks: &str, count: &str| {
        sandbox.file("tasks.txt", tasks);
        let _ = std::fs::remove_file(sandbox.path.join("ran"));
        let mut command = sandbox.tasker(&["-r", "tasks.txt"]);
        let ran = Ran::from(command.env("COUNT", count).output().expect("tasker"));
        assert!(!sandbox.exists("PWNED"), "{ran:?}");
        ran
    };
    let scripts =
        "N=$COUNT\ntask=1\nexec=shell\ncommand=echo $((@N_number@ + 1)) @N_Number@ > ran\n";
    let words = "N=$COUNT\ntask=1\nexec=local\ncommand=sh -c 'echo $(($1 + 1)) $1 > ran' - @N_number@\ntimeout=@N_number@s\n";
    for tasks in [scripts, words] {
        for (count, expected) in [("5", "6 5\n"), (" 007 ", "8 7\n")] {
            let ran = run_with(tasks, count);
            assert_eq!(ran.code, 0, "{ran:?}");
            assert_eq!(sandbox.read("ran"), expected);
        }
        for count in OTHERS {
            let ran = run_with(tasks, count);
            assert_eq!(ran.code, 126, "{count:?}: {ran:?}");
            assert!(!sandbox.exists("ran"), "{count:?}");
            assert!(
                ran.stderr
                    .to_lowercase()
                    .contains("`@n_number@` is not a number: "),
                "{ran:?}"
            );
        }
    }
    // Undecided, as with a result.
    let ran = run_with(
        "N=$COUNT\ntask=1\nexec=local\ncommand=touch ran\ncondition=!(@N_number@ > 3)\n",
        "x",
    );
    assert_eq!((ran.code, sandbox.exists("ran")), (126, false), "{ran:?}");
    // A global of that name comes first.
    let ran = run_with(
        "N=x\nN_number=y\ntask=1\nexec=local\ncommand=touch ran-@N_number@ @N@\n",
        "",
    );
    assert_eq!((ran.code, sandbox.exists("ran-y")), (0, true), "{ran:?}");
    // A secret stays one.
    for (value, code) in [("0071234", 0), ("hunter2", 126)] {
        let tasks =
            format!("PIN_KEY={value}\ntask=1\nexec=local\ncommand=echo got @PIN_KEY_number@\n");
        let ran = run_with(&tasks, "");
        assert_eq!(ran.code, code, "{ran:?}");
        let all = format!("{}{}{}", ran.stdout, ran.stderr, sandbox.log());
        assert!(!all.contains("71234") && !all.contains("hunter2"), "{all}");
        assert!(all.contains("***"), "{all}");
    }
    let ran = run_with("N=1\ntask=1\nexec=local\ncommand=echo @N_number:-3@\n", "");
    assert_eq!(ran.code, 20, "{ran:?}");
    assert!(
        ran.stderr
            .contains("`N` is a global and takes no default here"),
        "{ran:?}"
    );
}

#[test]
fn plan_and_rehearsal_show_the_number_as_it_is_written() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "tasks.txt",
        "task=1\nexec=local\ncommand=echo 5\ntask=2\nexec=local\ncommand=echo @1_number@ x\ntask=3\nexec=shell\ncommand=echo $((@1_number@ + 1))\n",
    );
    let plan = Ran::from(sandbox.tasker(&["tasks.txt"]).output().expect("tasker"));
    assert!(plan.stdout.contains("echo @1_number@ x"), "{plan:?}");
    let mut command = sandbox.tasker(&["--assume=1=ok", "tasks.txt"]);
    let rehearsal = Ran::from(command.output().expect("tasker"));
    assert_eq!(rehearsal.code, 0, "{rehearsal:?}");
    assert!(rehearsal.stdout.contains("path: 1 2 3"), "{rehearsal:?}");
}
