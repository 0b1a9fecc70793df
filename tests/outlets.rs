//! Where the output of a run goes: a reader that has gone, a full disk, a summary
//! that twenty runs write at once. Nothing ends the run or mixes lines.

mod support;

use std::fs::File;
use std::os::fd::OwnedFd;
use std::process::Child;
use support::{Ran, Sandbox, finish, wait_for};

/// A run with this work; `did` records what was done.
fn maintenance(work: &str) -> String {
    format!(
        "task=1\nname=on\nexec=shell\ncommand=echo on >> did\n\
         task=2\nname=work\nexec=shell\ncommand=echo work >> did\n{work}\
         task=99\nname=off\nfinally=true\nexec=shell\ncommand=echo off @run_outcome@ >> did\n"
    )
}

/// Work that continues until it is ended or allowed to finish.
const WAITS: &str =
    "task=3\nexec=shell\ncommand=echo waits >> did; until test -e go; do sleep 0.02; done\n";

fn waiting(sandbox: &Sandbox) {
    wait_for("the work", || sandbox.read("did").contains("waits"));
}

#[test]
fn a_reader_that_goes_away_does_not_end_the_run() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", maintenance(WAITS));
    let mut command = sandbox.tasker(&["-r", "tasks.txt"]);
    let mut child = command.spawn().expect("tasker starts");
    waiting(&sandbox);
    drop(child.stdout.take());
    drop(child.stderr.take());
    sandbox.file("go", "");
    let ran = finish(child);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(sandbox.read("did"), "on\nwork\nwaits\noff ok\n");
    assert!(sandbox.log().contains("Run ended: SUCCESS"));
}

#[test]
fn output_that_cannot_be_written_does_not_end_the_run() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", maintenance(""));
    let full = || -> OwnedFd {
        let full = File::options().write(true).open("/dev/full");
        full.expect("/dev/full").into()
    };
    let mut command = sandbox.tasker(&["-r", "tasks.txt"]);
    command.stdout(full()).stderr(full());
    let ran = Ran::from(command.output().expect("tasker runs"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(sandbox.read("did"), "on\nwork\noff ok\n");
}

#[test]
fn twenty_simultaneous_runs_give_a_project_twenty_complete_lines() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", "task=1\nexec=local\ncommand=true\n");
    let children: Vec<Child> = (0..20)
        .map(|_| {
            let mut command = sandbox.tasker(&["-r", "-q", "-p", "P", "tasks.txt"]);
            command.spawn().expect("tasker starts")
        })
        .collect();
    for child in children {
        let ran = finish(child);
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    let summary = sandbox.read("TASKER/logs/project_P_summary.log");
    let mut lines = summary.lines();
    let head = lines.next().unwrap_or_default();
    assert!(head.starts_with("Timestamp | Task_File | "), "{summary}");
    let mut logs: Vec<&str> = lines
        .map(|line| {
            let fields: Vec<&str> = line.split(" | ").collect();
            assert_eq!(fields.len(), 7, "{line}");
            assert_eq!(
                fields[1..6],
                ["tasks.txt", "1", "localhost", "0", "SUCCESS"]
            );
            fields[6]
        })
        .collect();
    logs.sort_unstable();
    logs.dedup();
    assert_eq!(logs.len(), 20, "each run has a log of its own:\n{summary}");
    assert!(logs.iter().all(|log| std::fs::metadata(log).is_ok()));
}

/// A destination that cannot be written refuses the run, and is not tried again to
/// say so; the other one is.
#[test]
fn a_destination_that_cannot_be_written_is_reported_once() {
    let text = "task=1\nexec=shell\ncommand=echo x >>effects\n";
    for (broken, other) in [
        ("--report", "--output-json"),
        ("--output-json", "--report"),
        ("--metrics", "--report"),
    ] {
        let sandbox = Sandbox::new();
        let (broken_file, other_file) = (format!("{broken}=absent/x"), format!("{other}=there"));
        let ran = sandbox.run(text, &[&broken_file, &other_file]);
        assert_eq!(ran.code, 32, "{ran:?}");
        let about: Vec<&str> = ran
            .stderr
            .lines()
            .filter(|l| l.contains("absent/x"))
            .collect();
        assert_eq!(about.len(), 1, "{ran:?}");
        assert!(about[0].ends_with("; nothing was run"), "{ran:?}");
        assert!(about[0].contains("No such file or directory"), "{ran:?}");
        assert!(!about[0].contains("os error"), "{ran:?}");
        let there = sandbox.read("there");
        assert!(
            there.contains("32") && there.contains("absent/x"),
            "{there}"
        );
        assert!(!sandbox.path.join("effects").exists());
    }
}

/// The log directory itself, if nothing else was named.
#[test]
fn a_log_directory_that_cannot_be_written_is_reported_once() {
    let sandbox = Sandbox::new();
    sandbox.file("plain", "");
    let text = "task=1\nexec=local\ncommand=true\n";
    for options in [&["-l", "plain", "--output-json"][..], &["-l", "plain"]] {
        let ran = sandbox.run(text, options);
        assert_eq!(ran.code, 32, "{ran:?}");
        let about = ran.stderr.lines().filter(|l| l.contains("`plain`"));
        assert_eq!(about.count(), 1, "{ran:?}");
        assert!(
            ran.stderr.contains("Not a directory; nothing was run"),
            "{ran:?}"
        );
    }
}
