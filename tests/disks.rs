//! Full disks and bad directories (SPEC §3.8, §6.4): what a run requires is checked
//! before anything runs, and what breaks later is reported and loses no result.

mod support;

use std::process::{Command, Stdio};
use support::{Ran, Sandbox};

const TASKS: &str = "task=1\nexec=shell\ncommand=echo one >> ran\n\
                     task=2\nexec=shell\ncommand=echo two >> ran\n";

/// Runs a shell script in its own mount namespace, with tasker as `$0`; None if
/// that is not possible.
fn in_namespace(sandbox: &Sandbox, script: &str) -> Option<Ran> {
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["-r", "-m", "--"]);
        command
    };
    let mut probe = unshare();
    probe.args(["mount", "-t", "tmpfs", "none", "/mnt"]);
    let works = probe.stderr(Stdio::null()).status();
    if !works.is_ok_and(|s| s.success()) {
        println!("skipped: no mounts in a namespace here");
        return None;
    }
    let tasker = sandbox.tasker::<&str>(&[]);
    let mut command = unshare();
    command
        .args(["bash", "-c", script])
        .arg(tasker.get_program())
        .current_dir(&sandbox.path)
        .env_clear()
        .envs(tasker.get_envs().filter_map(|(n, v)| Some((n, v?))))
        .stdin(Stdio::null());
    Some(Ran::from(command.output().expect("unshare runs")))
}

#[track_caller]
fn refused_before_anything_runs(sandbox: &Sandbox, ran: &Ran) {
    assert_eq!(ran.code, 32, "{ran:?}");
    assert!(ran.stderr.contains("nothing was run"), "{ran:?}");
    assert!(!sandbox.exists("ran"), "{ran:?}");
}

#[test]
fn a_log_directory_that_cannot_be_made_refuses_the_run() {
    let sandbox = Sandbox::new();
    sandbox.file("a-file", "");
    let ran = sandbox.run(TASKS, &["-l", "a-file"]);
    refused_before_anything_runs(&sandbox, &ran);
    let ran = sandbox.run(TASKS, &["-l", "a-file/below"]);
    refused_before_anything_runs(&sandbox, &ran);
    let ran = sandbox.run(TASKS, &["-l", "/proc/tasker"]);
    refused_before_anything_runs(&sandbox, &ran);
}

#[test]
fn a_missing_home_is_created_or_refused() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", TASKS);
    let in_home = |home: &str| {
        let mut command = sandbox.tasker(&["-r", "tasks.txt"]);
        command.env("HOME", home);
        Ran::from(command.output().expect("tasker runs"))
    };
    refused_before_anything_runs(&sandbox, &in_home("/proc/nobody"));
    refused_before_anything_runs(&sandbox, &in_home("/dev/null"));
}

#[test]
fn a_home_that_is_read_only_refuses_the_run() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", TASKS);
    std::fs::create_dir(sandbox.path.join("home")).expect("a directory");
    let script = "mount -t tmpfs -o ro none home; HOME=$PWD/home exec \"$0\" -r tasks.txt";
    if let Some(ran) = in_namespace(&sandbox, script) {
        refused_before_anything_runs(&sandbox, &ran);
        assert!(ran.stderr.contains("Read-only"), "{ran:?}");
    }
}

#[test]
fn a_disk_that_is_full_at_the_start_refuses_the_run() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", TASKS);
    std::fs::create_dir(sandbox.path.join("home")).expect("a directory");
    let script = "mount -t tmpfs -o size=64k none home; head -c 65536 /dev/zero > home/full
        HOME=$PWD/home exec \"$0\" -r tasks.txt";
    if let Some(ran) = in_namespace(&sandbox, script) {
        refused_before_anything_runs(&sandbox, &ran);
        assert!(ran.stderr.contains("No space left"), "{ran:?}");
    }
}

#[test]
fn a_disk_that_fills_up_drains_the_run_and_reports_lost_results() {
    let sandbox = Sandbox::new();
    let fills = "task=1\nexec=shell\ncommand=echo one >> ran; head -c 9999999 /dev/zero > home/full; seq 20000\n\
                 task=2\nexec=shell\ncommand=echo two >> ran\n\
                 task=9\nfinally=true\nexec=shell\ncommand=echo off >> ran\n";
    sandbox.file("tasks.txt", fills);
    std::fs::create_dir(sandbox.path.join("home")).expect("a directory");
    let script = "mount -t tmpfs -o size=256k none home
        HOME=$PWD/home exec \"$0\" -r tasks.txt";
    let Some(ran) = in_namespace(&sandbox, script) else {
        return;
    };
    assert_eq!(ran.code, 32, "{ran:?}");
    assert_eq!(sandbox.read("ran"), "one\noff\n", "{ran:?}");
    assert_eq!(
        ran.stderr.matches("cannot write the log").count(),
        1,
        "{ran:?}"
    );
    assert!(
        ran.stderr.contains("done but not recorded: task 1"),
        "{ran:?}"
    );
}

#[test]
fn a_clock_that_was_set_back_changes_nothing() {
    let sandbox = Sandbox::new();
    // A namespace can only move the monotonic clock, not the wall clock; records
    // with a later time simulate a clock that was set back.
    for name in ["tasker_29990101_000000.log", "tasker_29990101_000000_2.log"] {
        sandbox.file(&format!("TASKER/logs/{name}"), "from the future\n");
    }
    let ran = sandbox.run(TASKS, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(sandbox.read("ran"), "one\ntwo\n");
}

#[test]
fn runs_of_the_same_second_use_different_files() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", TASKS);
    let start = || {
        let mut command = sandbox.tasker(&["-r", "-q", "tasks.txt"]);
        command.spawn().expect("tasker starts")
    };
    let children: Vec<_> = (0..6).map(|_| start()).collect();
    for child in children {
        let ran = support::finish(child);
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    let count = |directory: &str, begins: &str| {
        let entries = std::fs::read_dir(sandbox.path.join(directory)).expect("there");
        let names = entries.flatten().map(|e| e.file_name());
        names
            .filter(|n| n.to_string_lossy().starts_with(begins))
            .count()
    };
    assert_eq!(count("TASKER/logs", "tasker_"), 6);
    assert_eq!(count("TASKER/tasks", "tasks_"), 6);
}
