//! The shipped task files in `tests/files`, each on each of its paths: the exit
//! code, the steps it took, and what the console and the log show.

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use support::{Ran, Sandbox};

/// One path through one file.
struct Way {
    file: &'static str,
    environment: &'static [(&'static str, &'static str)],
    code: i32,
    path: &'static str,
    /// Lines of standard output, in this order, possibly with others in between.
    stdout: &'static [&'static str],
    /// The same for standard error; it is empty if the run succeeds.
    stderr: &'static [&'static str],
    /// The same for the log, without its times.
    log: &'static [&'static str],
}

const WAYS: &[Way] = &[
    Way {
        file: "quick-start",
        environment: &[],
        code: 0,
        path: "0 1",
        stdout: &[
            "task 0: Ask which version is installed",
            "  | 4.2.1",
            "task 1: Start it only if it is the right one",
            "  | STARTING APP 4.2.1",
        ],
        stderr: &[],
        log: &[
            "[INFO] Task validation passed (2 tasks)",
            "[INFO] Executing Task 0: Ask which version is installed",
            "[INFO] Task 0 stdout| 4.2.1",
            "[INFO] Task 1 stdout| STARTING APP 4.2.1",
        ],
    },
    Way {
        file: "health-check",
        environment: &[],
        code: 0,
        path: "0 1",
        stdout: &["  | status: UP", "  | the service says: status: UP"],
        stderr: &[],
        log: &[
            "[INFO] Task 0: local, timeout 10 s: echo status: UP",
            "[INFO] Task 0: goes to task 1: its verdict is true",
            "[INFO] Task 1: the run ends with exit code 0: next=never",
        ],
    },
    Way {
        file: "health-check",
        environment: &[("TASKER_TEST_ANSWER", "status: DOWN")],
        code: 1,
        path: "0 90",
        stdout: &[
            "  | status: DOWN",
            "  goes to task 90: its verdict is false",
            "task 90: Restart the service",
        ],
        stderr: &[
            "FILE:12: task 0 (Check the service) exited 0 after TIME, but its criterion did not hold",
            "     | echo 'status: DOWN'",
            "     = stdout: status: DOWN",
        ],
        log: &[
            "[INFO] Task 0: goes to task 90: its verdict is false",
            "[INFO] Task 90: the run ends with exit code 1: return=1",
        ],
    },
    Way {
        file: "health-check",
        environment: &[
            ("TASKER_TEST_ANSWER", "status: DOWN"),
            ("TASKER_TEST_RESTART", "false"),
        ],
        code: 2,
        path: "0 90 99",
        stdout: &[
            "  goes to task 90: its verdict is false",
            "  goes to task 99: its verdict is false",
            "  | restart failed with exit code 1",
        ],
        stderr: &[
            "FILE:12: task 0 (Check the service) exited 0 after TIME, but its criterion did not hold",
        ],
        log: &[
            "[INFO] Task 90: goes to task 99: its verdict is false",
            "[INFO] Task 99: the run ends with exit code 2: return=2",
        ],
    },
    Way {
        file: "retry-then-goto",
        environment: &[],
        code: 0,
        path: "0 1",
        stdout: &["task 0: Fetch the package", "  | installed"],
        stderr: &[],
        log: &["[INFO] Task 0: goes to task 1: its verdict is true"],
    },
    Way {
        file: "retry-then-goto",
        environment: &[("TASKER_TEST_FETCH", "SANDBOX/third-time-lucky")],
        code: 0,
        path: "0 1",
        stdout: &[
            "  retry 1 of 2 in 0.020 s",
            "  retry 2 of 2 in 0.020 s",
            "  | installed",
        ],
        stderr: &[],
        log: &[
            "[WARN] Task 0: retry 1 of 2 in 0.020 s",
            "[WARN] Task 0: retry 2 of 2 in 0.020 s",
            "[INFO] Task 0: goes to task 1: its verdict is true",
        ],
    },
    Way {
        file: "retry-then-goto",
        environment: &[("TASKER_TEST_FETCH", "false")],
        code: 0,
        path: "0 20 1",
        stdout: &[
            "  retry 2 of 2 in 0.020 s",
            "  goes to task 20: its verdict is false",
            "  goes to task 1: its verdict is true",
            "  | installed",
        ],
        stderr: &[],
        log: &[
            "[WARN] Task 0: retry 2 of 2 in 0.020 s",
            "[INFO] Task 0: goes to task 20: its verdict is false",
            "[INFO] Task 20: goes to task 1: its verdict is true",
        ],
    },
    Way {
        file: "retry-then-goto",
        environment: &[
            ("TASKER_TEST_FETCH", "false"),
            ("TASKER_TEST_MIRROR", "false"),
        ],
        code: 4,
        path: "0 20",
        stdout: &[
            "  goes to task 20: its verdict is false",
            "  failed, exit 1, TIME",
        ],
        stderr: &["     | false"],
        log: &["[INFO] Task 20: the run ends with exit code 4: return=4"],
    },
    Way {
        file: "poll-until-ready",
        environment: &[],
        code: 0,
        path: "0 1",
        stdout: &[
            "task 0.1: Wait until it is ready",
            "task 0.2: Wait until it is ready",
            "task 0.3: Wait until it is ready",
            "  | ready",
            "  | users are let in",
        ],
        stderr: &[],
        log: &[
            "[INFO] Task 0.2 stdout| starting",
            "[INFO] Task 0.3 stdout| ready",
            "[INFO] Task 0: goes to task 1: its loop_break is true",
        ],
    },
    Way {
        file: "poll-until-ready",
        environment: &[("TASKER_TEST_READY_AT", "9")],
        code: 75,
        path: "0 90",
        stdout: &[
            "task 0.5: Wait until it is ready",
            "  goes to task 90: its loop_break was never true",
            "  | it still says: starting",
        ],
        stderr: &[],
        log: &[
            "[INFO] Task 0.5 stdout| starting",
            "[INFO] Task 0: goes to task 90: its loop_break was never true",
            "[INFO] Task 90: the run ends with exit code 75: return=75",
        ],
    },
    Way {
        file: "pass-output-on",
        environment: &[],
        code: 0,
        path: "0 1 2 3",
        stdout: &["  | 4821", "  | <4821>", "  | PROCESS 4821", "  | 4821"],
        stderr: &[],
        log: &[
            "[INFO] Task 0 stdout| 4821",
            "[INFO] Task 1 stdout| <4821>",
            "[INFO] Task 2 stdout| PROCESS 4821",
            "[INFO] Task 3 stdout| 4821",
        ],
    },
    // Output of a command, or the environment, is data, never syntax.
    Way {
        file: "pass-output-on",
        environment: &[(
            "TASKER_TEST_ANSWER",
            "a:b:$(touch x); rm '*' \"`id`\" @1_stdout@",
        )],
        code: 0,
        path: "0 1 2 3",
        stdout: &[
            "  | $(touch x); rm '*' \"`id`\" @1_stdout@",
            "  | <$(touch x); rm '*' \"`id`\" @1_stdout@>",
            "  | PROCESS $(TOUCH X); RM '*' \"`ID`\" @1_STDOUT@",
            "  | $(touch x); rm '*' \"`id`\" @1_stdout@",
        ],
        stderr: &[],
        log: &["[INFO] Task 1 stdout| <$(touch x); rm '*' \"`id`\" @1_stdout@>"],
    },
    Way {
        file: "pass-output-on",
        environment: &[("TASKER_TEST_ANSWER", "app:stopped")],
        code: 3,
        path: "0 90",
        stdout: &[
            "  warning: task 0: stdout_split: no field 2; the whole output is kept",
            "  | app:stopped",
            "  | no process id in: app:stopped",
        ],
        stderr: &["     = stdout: app:stopped"],
        log: &[
            "[WARN] Task 0: stdout_split: no field 2; the whole output is kept",
            "[INFO] Task 0: goes to task 90: its verdict is false",
        ],
    },
    Way {
        file: "decision",
        environment: &[],
        code: 0,
        path: "0 1 2",
        stdout: &[
            "task 1: Can the update run now?",
            "  ok, TIME",
            "  | updated at load 0.4",
        ],
        stderr: &[],
        log: &["[INFO] Task 1: goes to task 2: its verdict is true"],
    },
    Way {
        file: "decision",
        environment: &[("TASKER_TEST_LOAD", "7.5")],
        code: 3,
        path: "0 1 20",
        stdout: &[
            "  failed, exit 1, TIME",
            "  goes to task 20: its verdict is false",
            "  | postponed: load 7.5, freeze false",
        ],
        stderr: &["FILE:18: task 1 (Can the update run now?) failed with exit code 1 after TIME"],
        log: &[
            "[INFO] Task 1: goes to task 20: its verdict is false",
            "[INFO] Task 20: the run ends with exit code 3: return=3",
        ],
    },
    Way {
        file: "decision",
        environment: &[("TASKER_TEST_FREEZE", "true")],
        code: 3,
        path: "0 1 20",
        stdout: &["  | postponed: load 0.4, freeze true"],
        stderr: &[],
        log: &["[INFO] Task 1: goes to task 20: its verdict is false"],
    },
    // An operator in the data is text: this is not a number below 2.5.
    Way {
        file: "decision",
        environment: &[("TASKER_TEST_LOAD", "9 | true")],
        code: 3,
        path: "0 1 20",
        stdout: &["  | postponed: load 9 | true, freeze false"],
        stderr: &[],
        log: &["[INFO] Task 1: goes to task 20: its verdict is false"],
    },
    Way {
        file: "maintenance",
        environment: &[],
        code: 0,
        path: "0 1 2 3",
        stdout: &[
            "  | healthy",
            "final tasks",
            "task 100: Switch maintenance mode off",
        ],
        stderr: &[],
        log: &[
            "[INFO] Task 3: the run ends with exit code 0: return=0",
            "[INFO] Running the final tasks",
            "[INFO] Task 100: local, timeout 1 m: true",
        ],
    },
    Way {
        file: "maintenance",
        environment: &[("TASKER_TEST_STOP", "false")],
        code: 1,
        path: "0 1 99",
        stdout: &[
            "  goes to task 99: its verdict is false",
            "  warning: task 99: task 2 has not run; a reference to its result is empty",
            "final tasks",
            "task 100: Switch maintenance mode off",
        ],
        stderr: &["FILE:24: task 1 (Stop the service) failed with exit code 1 after TIME"],
        log: &[
            "[WARN] Task 99: task 2 has not run; a reference to its result is empty",
            "[INFO] Executing Task 100: Switch maintenance mode off",
        ],
    },
    Way {
        file: "maintenance",
        environment: &[("TASKER_TEST_UPDATE", "false")],
        code: 1,
        path: "0 1 2 90 99",
        stdout: &[
            "  retry 1 of 1 in 0.020 s",
            "  goes to task 90: its verdict is false",
            "  goes to task 99: its verdict is true",
            "  | maintenance failed, update exit code: 1",
            "final tasks",
        ],
        stderr: &["FILE:30: task 2 (update) failed with exit code 1 after TIME, on attempt 2"],
        log: &[
            "[INFO] Task 90: goes to task 99: its verdict is true",
            "[INFO] Task 99: the run ends with exit code 1: return=1",
            "[INFO] Running the final tasks",
        ],
    },
    Way {
        file: "maintenance",
        environment: &[
            ("TASKER_TEST_UPDATE", "false"),
            ("TASKER_TEST_ROLLBACK", "false"),
        ],
        code: 1,
        path: "0 1 2 90 99",
        stdout: &[
            "  goes to task 99: failed in a failure handler; nothing handles that",
            "  | maintenance failed, update exit code: 1",
            "task 100: Switch maintenance mode off",
        ],
        stderr: &["FILE:30: task 2 (update) failed with exit code 1 after TIME, on attempt 2"],
        log: &[
            "[INFO] Task 90: goes to task 99: failed in a failure handler; nothing handles that",
        ],
    },
    Way {
        file: "maintenance",
        environment: &[("TASKER_TEST_HEALTH", "sick")],
        code: 1,
        path: "0 1 2 3 90 99",
        stdout: &["  | sick", "  | maintenance failed, update exit code: 0"],
        stderr: &[
            "FILE:39: task 3 (Start the service and check its health) exited 0 after TIME, but its criterion did not hold",
        ],
        log: &["[INFO] Task 3: goes to task 90: its verdict is false"],
    },
    // A final task that fails makes a successful run fail.
    Way {
        file: "maintenance",
        environment: &[("TASKER_TEST_OFF", "false")],
        code: 1,
        path: "0 1 2 3",
        stdout: &["task 100: Switch maintenance mode off"],
        stderr: &[
            "FILE:61: task 100 (Switch maintenance mode off) failed with exit code 1 after TIME",
        ],
        log: &["[INFO] Running the final tasks"],
    },
];

fn files_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files")
}

fn read_shipped(name: &str) -> String {
    files_directory()
        .join(name)
        .with_extension("txt")
        .display()
        .to_string()
}

#[test]
fn every_shipped_file_has_its_paths() {
    let shipped: BTreeSet<String> = std::fs::read_dir(files_directory())
        .expect("the shipped files")
        .flatten()
        .filter_map(|e| Some(e.file_name().to_str()?.strip_suffix(".txt")?.to_string()))
        .collect();
    let mut walked: BTreeSet<String> = WAYS.iter().map(|way| way.file.to_string()).collect();
    // The long ones have their own tests.
    let workflows = include_str!("workflows.rs");
    let named = |file: &&String| workflows.contains(&format!("\"{file}.txt\""));
    walked.extend(shipped.iter().filter(named).cloned());
    assert_eq!(shipped, walked);
}

#[test]
fn every_shipped_file_succeeds_unchanged() {
    let all: BTreeSet<&str> = WAYS.iter().map(|way| way.file).collect();
    let good: BTreeSet<&str> = WAYS
        .iter()
        .filter(|way| way.environment.is_empty() && way.code == 0)
        .map(|way| way.file)
        .collect();
    assert_eq!(all, good);
}

#[test]
fn a_dry_run_runs_nothing_and_finds_no_mistake() {
    for file in WAYS.iter().map(|way| way.file).collect::<BTreeSet<_>>() {
        let sandbox = Sandbox::new();
        let ran = sandbox.output(&[read_shipped(file)]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{file}");
        assert!(ran.stdout.contains("nothing is executed"), "{file}");
        assert!(!sandbox.exists("TASKER"), "{file}");
    }
}

#[test]
fn every_path_is_as_written() {
    let wrong: Vec<String> = WAYS.iter().filter_map(|way| take_path(way).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// With `-q` a successful run prints nothing; a failed one prints the same as
/// without.
#[test]
fn a_quiet_run_prints_only_failures() {
    let sandbox = Sandbox::new();
    let run = |environment: &[(&str, &str)]| {
        let mut tasker = sandbox.tasker(&["-q", "-r", &read_shipped("maintenance")]);
        let ran = tasker.envs(environment.iter().copied()).output();
        Ran::from(ran.expect("tasker runs"))
    };
    let good = run(&[]);
    assert_eq!(
        (good.code, good.stdout.as_str(), good.stderr.as_str()),
        (0, "", "")
    );
    let bad = run(&[("TASKER_TEST_UPDATE", "false")]);
    assert_eq!((bad.code, bad.stdout.as_str()), (1, ""));
    assert!(
        bad.stderr
            .contains("task 2 (update) failed with exit code 1"),
        "{}",
        bad.stderr
    );
}

fn take_path(way: &Way) -> Result<(), String> {
    let sandbox = Sandbox::new();
    sandbox.program(
        "third-time-lucky",
        "#!/bin/sh\necho >>tries\ntest \"$(wc -l <tries)\" -ge 3\n",
    );
    let here = sandbox.path.display().to_string();
    let file = read_shipped(way.file);
    let mut tasker = sandbox.tasker(&["-r", &file]);
    for (name, value) in way.environment {
        tasker.env(name, value.replace("SANDBOX", &here));
    }
    let ran = Ran::from(tasker.output().expect("tasker runs"));
    let about = format!("{} {:?}", way.file, way.environment);
    let neutral = |text: &str| without_times(&text.replace(&file, "FILE"));
    let log: String = sandbox
        .log()
        .lines()
        .map(|line| format!("{}\n", line.split_once("] ").map_or(line, |(_, text)| text)))
        .collect();
    if (ran.code, sandbox.steps().as_str()) != (way.code, way.path) {
        return Err(format!(
            "{about}: exit code {}, path {}\n{}{}",
            ran.code,
            sandbox.steps(),
            ran.stdout,
            ran.stderr
        ));
    }
    if way.code == 0 && !ran.stderr.is_empty() {
        return Err(format!("{about}: standard error: {}", ran.stderr));
    }
    assert_in_order(way.stdout, &neutral(&ran.stdout))
        .map_err(|e| format!("{about}: stdout: {e}"))?;
    assert_in_order(way.stderr, &neutral(&ran.stderr))
        .map_err(|e| format!("{about}: stderr: {e}"))?;
    assert_in_order(way.log, &log).map_err(|e| format!("{about}: log: {e}"))
}

/// Whether all these lines appear, in this order.
fn assert_in_order(wanted: &[&str], text: &str) -> Result<(), String> {
    let mut lines = text.lines();
    for line in wanted {
        if !lines.any(|found| found == *line) {
            return Err(format!("no line `{line}` where it should be in\n{text}"));
        }
    }
    Ok(())
}

/// Replaces measured times by `TIME`; times that a file sets are kept, unlike in
/// `golden.rs`.
fn without_times(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let measured = ["  ok, ", "exit 0, ", "exit 1, ", "after ", "reached; "];
        let cut = measured
            .iter()
            .find_map(|m| line.find(m).map(|at| at + m.len()));
        match cut.and_then(|at| Some((at, line[at..].find(" s")?))) {
            Some((at, end)) => {
                out += &format!("{}TIME{}\n", &line[..at], &line[at + end + 2..]);
            }
            None => out += &format!("{line}\n"),
        }
    }
    out
}
