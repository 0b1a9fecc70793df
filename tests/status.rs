//! What earlier runs and those that still go on tell of themselves (SPEC §6.3).

mod support;

use support::{Ran, Sandbox};

fn tasker(sandbox: &Sandbox, arguments: &[&str]) -> Ran {
    Ran::from(sandbox.tasker(arguments).output().expect("tasker runs"))
}

// The project summary.

#[test]
fn a_project_is_a_table_with_totals() {
    let sandbox = Sandbox::new();
    sandbox.file("good.txt", "task=1\nexec=local\ncommand=true\n");
    sandbox.file("bad.txt", "task=5\nexec=shell\ncommand=exit 3\n");
    for (file, code) in [("good.txt", 0), ("bad.txt", 3), ("good.txt", 0)] {
        let ran = tasker(&sandbox, &["-rq", "-p", "nightly", file]);
        assert_eq!(ran.code, code, "{ran:?}");
    }
    let ran = tasker(&sandbox, &["--project-summary", "nightly"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 5, "{ran:?}");
    let columns = [
        "Timestamp",
        "Task_File",
        "Final_Task",
        "Final_Host",
        "Exit_Code",
        "Status",
        "Log_File",
    ];
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>(),
        columns,
        "{ran:?}"
    );
    // Each cell begins where its column does.
    for line in &lines[1..4] {
        for name in columns {
            let at = lines[0].find(name).expect("a column");
            assert!(line[..at].ends_with("  ") || at == 0, "{name}: {line}");
            assert!(!line[at..].starts_with(' '), "{name}: {line}");
        }
    }
    assert!(lines[2].contains("bad.txt") && lines[2].contains("FAILED"));
    let (stamp, _) = lines[2].split_at(19);
    assert_eq!(
        lines[4],
        format!("3 runs: 2 SUCCESS, 1 FAILED; last failure {stamp} bad.txt at task 5 (exit 3)")
    );
    // From anywhere, by each of the ways to name the directory.
    let elsewhere = Sandbox::new();
    let logs = sandbox.path.join("TASKER").display().to_string();
    let conf = elsewhere.file("conf", format!("log_dir={logs}\n"));
    let conf = conf.display().to_string();
    for options in [["-l", &logs], ["--config", &conf]] {
        let found = tasker(
            &elsewhere,
            &[&options[..], &["--project-summary=nightly"]].concat(),
        );
        assert_eq!((found.code, &found.stdout), (0, &ran.stdout), "{found:?}");
    }
    let mut command = elsewhere.tasker(&["--project-summary", "nightly"]);
    let found = command.env("TASK_EXECUTOR_LOG", &logs).output();
    assert_eq!(Ran::from(found.expect("tasker runs")).stdout, ran.stdout);
    assert!(!elsewhere.exists("TASKER"), "nothing is written");
}

#[test]
fn damaged_lines_of_a_project_are_told_and_lose_no_run() {
    let sandbox = Sandbox::new();
    let name = "TASKER/logs/project_P_summary.log";
    let good = "2024-01-15 14:30:15 | deploy.txt | 5 | web01 | 3 | FAILED | /l/tasker_1.log";
    let header = "Timestamp | Task_File | Final_Task | Final_Host | Exit_Code | Status | Log_File";
    let hostile = b"\x1b]52;c;aGk=\x07 | \xff | x";
    let cut = &good[..30];
    let text = [
        header.as_bytes(),
        good.as_bytes(),
        hostile,
        header.as_bytes(),
        cut.as_bytes(),
    ];
    sandbox.file(name, text.join(&b'\n'));
    let ran = tasker(&sandbox, &["--project-summary", "P"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stdout.contains(
            "\n1 run: 0 SUCCESS, 1 FAILED; last failure 2024-01-15 14:30:15 deploy.txt at task 5 (exit 3)\n\
             2 lines of the file cannot be read as a run:\n  line 3: \\x1b]52;c;aGk=\\x07 | \u{fffd} | x\n  line 5: "
        ),
        "{ran:?}"
    );
    assert!(
        ran.stdout.ends_with(&format!("  line 5: {cut}\n")),
        "{ran:?}"
    );
    // The next run begins a line of its own.
    sandbox.run("task=1\nexec=local\ncommand=true\n", &["-q", "-p", "P"]);
    let ran = tasker(&sandbox, &["--project-summary", "P"]);
    assert!(
        ran.stdout.contains("\n2 runs: 1 SUCCESS, 1 FAILED;"),
        "{ran:?}"
    );
    assert!(ran.stdout.contains("\n2 lines of the file"), "{ran:?}");
}

#[test]
fn an_unknown_project_is_refused_with_those_that_are() {
    let sandbox = Sandbox::new();
    let none = tasker(&sandbox, &["--project-summary", "P"]);
    assert_eq!(none.code, 2, "{none:?}");
    let directory = sandbox.path.join("TASKER").display().to_string();
    let missing = |name| format!("tasker: error: there is no project `{name}` in `{directory}`\n");
    assert!(none.stderr.starts_with(&missing("P")), "{none:?}");
    for name in ["nightly", "backup"] {
        sandbox.file(&format!("TASKER/logs/project_{name}_summary.log"), "");
    }
    let near = tasker(&sandbox, &["--project-summary", "nihgtly"]);
    assert_eq!(near.code, 2, "{near:?}");
    assert_eq!(
        near.stderr,
        missing("nihgtly")
            + "     = help: did you mean `nightly`?\n     = note: there are backup, nightly\n"
    );
    let empty = tasker(&sandbox, &["--project-summary", "backup"]);
    assert_eq!((empty.code, empty.stdout.as_str()), (0, "no runs\n"));
}

#[test]
fn a_question_stands_alone() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", "task=1\nexec=local\ncommand=true\n");
    for (arguments, why) in [
        (
            &["--project-summary", "P", "tasks.txt"][..],
            "`--project-summary` reads no task file; leave `tasks.txt` out",
        ),
        (
            &["-r", "--project-summary", "P"],
            "`--run` and `--project-summary` do not go together",
        ),
        (
            &["--project-summary", "../P"],
            "--project-summary: expected a name of letters",
        ),
        (
            &["--project-summary"],
            "`--project-summary` needs a value: NAME",
        ),
        (
            &["--config", "none", "--project-summary", "P"],
            "there is no configuration `none`",
        ),
    ] {
        let ran = tasker(&sandbox, arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
        assert!(
            ran.stderr.starts_with(&format!("tasker: error: {why}")),
            "{ran:?}"
        );
    }
    sandbox.file("conf", "log_dri=here\n");
    let ran = tasker(&sandbox, &["--config", "conf", "--project-summary", "P"]);
    assert_eq!(ran.code, 20, "{ran:?}");
    assert!(ran.stderr.contains("did you mean `log_dir`?"), "{ran:?}");
}
