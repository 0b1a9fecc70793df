//! Maintenance on, work, maintenance off (SPEC §3.7): however the run ends, `off`
//! runs exactly once.

mod support;

use std::process::Command;
use support::{Ran, Sandbox, finish, signal, wait_for};

/// The file: the command of `work`, and more keys of its task.
fn maintenance(work: &str, keys: &str) -> String {
    format!(
        "task=1\nexec=shell\ncommand=echo on >> acts\n\
         # Work\ntask=2\nexec=shell\ncommand={work}\n{keys}\n\
         task=3\nexec=shell\ncommand=echo more >> acts\n\
         task=9\nexec=shell\ncommand=echo off @run_outcome@ >> acts\nfinally=true\n"
    )
}

/// Work that continues until it is ended or the file `go` exists.
const LONG: &str = "echo work >> acts; while [ ! -e go ]; do sleep 0.01; done";

#[track_caller]
fn assert_acts(sandbox: &Sandbox, expected: &str) {
    let acts = sandbox.read("acts");
    assert_eq!(acts.lines().collect::<Vec<_>>().join(", "), expected);
}

#[test]
fn off_runs_once_if_the_run_ends_by_itself() {
    for (work, keys, options, code, expected) in [
        ("true", "", &[][..], 0, "on, more, off ok"),
        ("exit 4", "", &[], 4, "on, off failed"),
        ("true", "return=7", &[], 7, "on, off failed"),
        ("true", "return=0", &[], 0, "on, off ok"),
        ("true", "", &["--max-steps=2"], 14, "on, off failed"),
        ("exit 4", "", &["--keep-going"], 1, "on, more, off failed"),
    ] {
        let sandbox = Sandbox::new();
        let ran = sandbox.run(&maintenance(work, keys), options);
        assert_eq!(ran.code, code, "{ran:?}");
        assert_acts(&sandbox, expected);
    }
}

#[test]
fn off_runs_once_after_each_signal() {
    for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let sandbox = Sandbox::new();
        let child = sandbox.start(&maintenance(LONG, ""), &[]);
        wait_for("the work", || sandbox.read("acts").contains("work"));
        signal(child.id(), name);
        if name == "INT" {
            // The run drains: running commands may finish.
            sandbox.file("go", "");
        }
        assert_eq!(finish(child).code, code, "{name}");
        assert_acts(&sandbox, "on, work, off interrupted");
    }
}

#[test]
fn off_runs_once_when_the_terminal_is_closed() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", maintenance(LONG, ""));
    // Closes the terminal once the work has begun; tasker is the session leader.
    let program = "
import os,pty,sys,time
pid,fd=pty.fork()
if pid==0: os.execv(sys.argv[1],sys.argv[1:])
while not (os.path.exists('acts') and 'work' in open('acts').read()): time.sleep(0.005)
os.close(fd)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid,0)[1]))";
    let ran = Command::new("python3")
        .args([
            "-c",
            program,
            env!("CARGO_BIN_EXE_tasker"),
            "-r",
            "tasks.txt",
        ])
        .current_dir(&sandbox.path)
        .env("HOME", &sandbox.path)
        .output();
    let ran = Ran::from(ran.expect("python runs"));
    assert_eq!(ran.code, 129, "{ran:?}");
    assert_acts(&sandbox, "on, work, off interrupted");
}

#[test]
fn off_runs_once_after_sigkill_and_finish_only() {
    let sandbox = Sandbox::new();
    let mut child = sandbox.start(&maintenance(LONG, ""), &[]);
    wait_for("the work", || sandbox.read("acts").contains("work"));
    child.kill().expect("it runs");
    child.wait().expect("it ended");
    assert_acts(&sandbox, "on, work");
    let finish_only = || {
        let output = sandbox
            .tasker(&["-r", "--finish-only", "tasks.txt"])
            .output();
        Ran::from(output.expect("tasker runs"))
    };
    let ran = finish_only();
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_acts(&sandbox, "on, work, off interrupted");
    // It does not run again.
    assert_eq!(finish_only().code, 12);
    assert_acts(&sandbox, "on, work, off interrupted");
}

#[test]
fn a_signal_while_hosts_are_resolved_ends_the_run_before_it_begins() {
    let sandbox = Sandbox::new();
    sandbox.file("hold", "");
    // Runs when the resolver knows no address; it answers once it is allowed to.
    let getent = "#!/bin/sh\ntouch asked\nwhile [ -e hold ]; do sleep 0.01; done\nexit 2\n";
    sandbox.program("bin/getent", getent);
    sandbox.file(
        "tasks.txt",
        "task=1\nexec=shell\ncommand=echo ran >> acts\ntask=2\nhostname=h1.invalid\nexec=ssh\ncommand=true\n",
    );
    let path = format!("{}:/usr/bin:/bin", sandbox.path.join("bin").display());
    let mut tasker = sandbox.tasker(&["-r", "tasks.txt"]);
    let child = tasker.env("PATH", path).spawn().expect("tasker starts");
    wait_for("the question", || sandbox.exists("asked"));
    signal(child.id(), "TERM");
    let pid = child.id();
    let gone = || !std::path::Path::new(&format!("/proc/{pid}/fd/0")).exists();
    wait_for("its end", gone);
    std::fs::remove_file(sandbox.path.join("hold")).expect("it was there");
    let ran = finish(child);
    assert_eq!(ran.code, 143, "{ran:?}");
    assert!(
        ran.stderr.contains("ended by SIGTERM; nothing was run"),
        "{ran:?}"
    );
    assert!(!sandbox.exists("acts"));
}
