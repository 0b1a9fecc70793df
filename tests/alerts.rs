//! The alert program (SPEC §6.4): once for every real run that fails.

mod support;

use support::{Sandbox, signal, wait_for};

/// Appends its environment to `received`, one paragraph per call.
const ALERT: &str = "#!/bin/sh
{ env | grep '^TASKER_' | sort; echo; } >> received
";

/// Runs a file with the alert program; the lines that the program got.
fn run_with_alert(text: &str, options: &[&str]) -> (Sandbox, i32, Vec<String>) {
    let sandbox = Sandbox::new();
    sandbox.program("alert", ALERT);
    let mut all = vec!["--alert-on-failure=./alert"];
    all.extend(options);
    let ran = sandbox.run(text, &all);
    let lines = sandbox.read("received").lines().map(String::from).collect();
    (sandbox, ran.code, lines)
}

#[track_caller]
fn assert_line(lines: &[String], wanted: &str) {
    assert!(lines.iter().any(|l| l == wanted), "{wanted}: {lines:?}");
}

const FAILS: &str =
    "task=1\nexec=local\ncommand=true\n# Break\ntask=2\nexec=local\ncommand=false\n";

#[test]
fn a_failed_run_alerts_once_and_a_successful_run_does_not() {
    let (sandbox, code, lines) = run_with_alert(FAILS, &[]);
    assert_eq!(code, 1);
    assert_line(&lines, "TASKER_FAILED_TASK=2");
    assert_line(&lines, "TASKER_EXIT_CODE=1");
    assert_line(&lines, "TASKER_TASK_FILE=tasks.txt");
    assert_line(&lines, "TASKER_ERROR=task 2: failed, exit 1");
    assert_eq!(
        lines.iter().filter(|l| l.is_empty()).count(),
        1,
        "{lines:?}"
    );
    let log = lines
        .iter()
        .find_map(|l| l.strip_prefix("TASKER_LOG_FILE="));
    let log = std::fs::read_to_string(log.expect("a log")).expect("readable");
    assert!(log.contains("Run ended: FAILED"), "{log}");
    assert!(log.contains("[INFO] The alert program was run"), "{log}");
    let stamp = lines
        .iter()
        .find_map(|l| l.strip_prefix("TASKER_TIMESTAMP="));
    assert_eq!(stamp.map(str::len), Some(19), "{lines:?}");
    drop(sandbox);
    let (_, code, lines) = run_with_alert("task=1\nexec=local\ncommand=true\n", &[]);
    assert_eq!((code, lines.len()), (0, 0), "{lines:?}");
    let (_, code, lines) = run_with_alert(FAILS, &["--fire-and-forget"]);
    assert_eq!((code, lines.len()), (0, 0), "{lines:?}");
}

#[test]
fn a_refused_run_alerts_too() {
    for (text, options, code, error) in [
        (
            "task=1\nexec=local\ncommandd=x\n",
            &[][..],
            20,
            "the task file is invalid: 1 error",
        ),
        ("# nothing\n", &[], 24, "the file holds no tasks"),
        (
            FAILS,
            &["--start-from=9"],
            12,
            "--start-from: there is no task `9`",
        ),
        (
            "task=1\nhostname=h.invalid\nexec=ssh\ncommand=x\n",
            &[],
            60,
            "host validation failed",
        ),
        (
            FAILS,
            &["--log-dir=/dev/null/x"],
            32,
            "cannot use the directory",
        ),
    ] {
        let (_, found, lines) = run_with_alert(text, options);
        assert_eq!(found, code, "{lines:?}");
        assert_line(&lines, &format!("TASKER_EXIT_CODE={code}"));
        assert_line(&lines, "TASKER_LOG_FILE=");
        assert!(
            lines
                .iter()
                .any(|l| l.starts_with("TASKER_ERROR=") && l.contains(error)),
            "{error}: {lines:?}"
        );
    }
    let sandbox = Sandbox::new();
    sandbox.program("alert", ALERT);
    let output = sandbox
        .tasker(&["-r", "--alert-on-failure=./alert", "absent.txt"])
        .output();
    assert_eq!(output.expect("tasker runs").status.code(), Some(30));
    assert!(sandbox.read("received").contains("TASKER_EXIT_CODE=30\n"));
    // A dry run does not alert.
    sandbox.file("tasks.txt", "task=1\nx=\n");
    let output = sandbox
        .tasker(&["--alert-on-failure=./alert", "tasks.txt"])
        .output();
    assert_eq!(output.expect("tasker runs").status.code(), Some(20));
    assert!(!sandbox.read("received").contains("TASKER_EXIT_CODE=20\n"));
}

#[test]
fn a_failure_of_the_alert_is_only_logged() {
    let sandbox = Sandbox::new();
    sandbox.program("alert", "#!/bin/sh\nexit 7\n");
    for (program, reason) in [("./alert", "exit status: 7"), ("./none", "cannot be run")] {
        let ran = sandbox.run(FAILS, &["-q", &format!("--alert-on-failure={program}")]);
        assert_eq!(ran.code, 1);
        assert!(!ran.stderr.contains("alert program"), "{ran:?}");
        assert!(
            sandbox
                .log()
                .contains(&format!("[WARN] the alert program `{program}`")),
            "{}",
            sandbox.log()
        );
        assert!(sandbox.log().contains(reason), "{}", sandbox.log());
    }
}

#[test]
fn a_signal_alerts_and_a_second_one_ends_the_alert() {
    let sandbox = Sandbox::new();
    sandbox.program("alert", "#!/bin/sh\nenv > received\nexec sleep 300\n");
    let text = "task=1\nexec=shell\ncommand=touch began; sleep 300\n";
    let child = sandbox.start(text, &["--alert-on-failure=./alert"]);
    wait_for("the task", || sandbox.exists("began"));
    signal(child.id(), "TERM");
    wait_for("the alert", || {
        sandbox.read("received").contains("TASKER_EXIT_CODE=143")
    });
    signal(child.id(), "TERM");
    let ran = support::finish(child);
    assert_eq!(ran.code, 143, "{ran:?}");
    assert!(
        sandbox.log().contains("was ended by a signal to tasker"),
        "{}",
        sandbox.log()
    );
    let path = sandbox.path.display().to_string();
    assert_eq!(support::processes_with(&path), [0; 0], "nothing is left");
}

#[test]
fn a_secret_does_not_reach_the_alert() {
    let text = "SECRET_A=hunter22\ntask=1\nexec=local\ncommand=true\nenv.X=@SECRET_A@\n";
    let (_, code, lines) = run_with_alert(text, &["--start-from=hunter22"]);
    assert_eq!(code, 12);
    assert_line(&lines, "TASKER_ERROR=--start-from: there is no task `***`");
}

#[test]
fn the_alert_gets_the_path_of_the_journal() {
    let (sandbox, _, lines) = run_with_alert(FAILS, &[]);
    let state = lines
        .iter()
        .find_map(|l| l.strip_prefix("TASKER_STATE_FILE="));
    let state = state.expect("the variable");
    assert!(std::path::Path::new(state).is_file(), "{state:?}");
    drop(sandbox);
}
