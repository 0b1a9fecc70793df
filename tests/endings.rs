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
    // The run that it closes had failed.
    assert_eq!(ran.code, 1, "{ran:?}");
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

/// A run with three final tasks; the first waits for the file `off`.
fn with_finals(work: &str) -> String {
    format!(
        "task=1\nexec=shell\ncommand={work}\n\
         task=7\nexec=shell\nfinally=true\n\
         command=echo off @run_outcome@ >> acts; while [ ! -e off ]; do sleep 0.01; done\n\
         task=8\nexec=shell\ncommand=echo 8 >> acts\nfinally=true\n\
         task=9\nexec=shell\ncommand=echo 9 >> acts\nfinally=true\n"
    )
}

#[test]
fn a_signal_during_the_final_tasks_ends_the_running_one_and_leaves_out_the_rest() {
    for (work, name, code, outcome) in [
        // After a good run the signal decides the exit code, as if it had come before.
        ("true", "INT", 130, "ok"),
        ("true", "TERM", 143, "ok"),
        ("exit 3", "INT", 3, "failed"),
    ] {
        let sandbox = Sandbox::new();
        let child = sandbox.start(&with_finals(work), &["-q", "--output-json=out.json"]);
        wait_for("the final task", || sandbox.read("acts").contains("off"));
        signal(child.id(), name);
        let ran = finish(child);
        assert_eq!(ran.code, code, "{ran:?}");
        assert_acts(&sandbox, &format!("off {outcome}"));
        let warning = format!("SIG{name} DURING THE FINAL TASKS: did NOT run to the end: 7, 8, 9");
        assert!(sandbox.log().contains(&warning), "{}", sandbox.log());
        assert!(
            sandbox.log().contains("Task 7 ended: cancelled"),
            "{}",
            sandbox.log()
        );
        // The mail of a quiet run and the JSON report it as well.
        assert!(ran.stderr.contains(&warning), "{ran:?}");
        assert!(ran.stderr.contains("not started: 8, 9\n"), "{ran:?}");
        let json = sandbox.read("out.json");
        let left = r#""outcome":"not_started","exit_code":-1"#;
        assert_eq!(json.matches(left).count(), 2, "{json}");
        let cause = format!(r#""cause":"tasker got SIG{name}""#);
        assert_eq!(json.matches(&cause).count(), 3, "{json}");
        // They are run later.
        sandbox.file("off", "");
        let ran = sandbox.output(&["-r", "--finish-only", "tasks.txt"]);
        assert!(sandbox.read("acts").ends_with("8\n9\n"), "{ran:?}");
    }
}

#[test]
fn the_members_of_a_final_block_have_the_timeout_of_a_final_task() {
    let sandbox = Sandbox::new();
    let tasks = "task=1\nexec=shell\ncommand=true\n\
                 task=7\ntype=parallel\ntasks=71\nfinally=true\n\
                 task=71\nexec=shell\ncommand=true\n\
                 task=8\ntype=conditional\ncondition=@1_success@=true\nif_true_tasks=80\n\
                 finally=true\n\
                 task=80\ntype=conditional\ncondition=@1_success@=true\nif_true_tasks=81\n\
                 task=81\nexec=shell\ncommand=true\n";
    let ran = sandbox.run(tasks, &["--events=events"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for (task, timeout) in [(1, 300), (71, 60), (81, 60)] {
        let events = sandbox.read("events");
        let mut started = events.lines().filter(|line| {
            line.contains(r#""event":"task_started""#)
                && line.contains(&format!(r#""task":{task},"#))
        });
        let timeout = format!(r#""timeout_seconds":{timeout},"#);
        assert!(started.any(|line| line.contains(&timeout)), "{events}");
    }
}

#[test]
fn a_final_conditional_with_an_undecided_condition_runs_no_branch_and_fails() {
    let sandbox = Sandbox::new();
    let tasks = "task=1\nexec=shell\ncommand=echo x\n\
                 task=8\ntype=conditional\ncondition=@1_stdout@ > 3\nif_true_tasks=80\n\
                 if_false_tasks=81\nfinally=true\n\
                 task=80\nexec=shell\ncommand=echo yes >> acts\n\
                 task=81\nexec=shell\ncommand=echo no >> acts\n";
    let ran = sandbox.run(tasks, &["-q"]);
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(!sandbox.exists("acts"), "{ran:?}");
    assert!(ran.stderr.contains("`x` is not a number"), "{ran:?}");
}

#[test]
fn the_mail_of_a_run_killed_before_its_final_tasks_names_them() {
    let sandbox = Sandbox::new();
    let work = format!("trap '' TERM; {LONG}");
    let child = sandbox.start(&with_finals(&work), &["-q"]);
    wait_for("the work", || sandbox.read("acts").contains("work"));
    signal(child.id(), "TERM");
    wait_for("the signal", || sandbox.log().contains("SIGTERM"));
    signal(child.id(), "TERM");
    let ran = finish(child);
    assert_eq!(ran.code, 143, "{ran:?}");
    assert_acts(&sandbox, "work");
    for line in [
        "KILLED BEFORE THE FINAL TASKS: did NOT run to the end: 7, 8, 9\n",
        "not started: 7, 8, 9\n",
    ] {
        assert!(ran.stderr.contains(line), "{ran:?}");
    }
}

#[test]
fn signals_are_counted_anew_when_the_final_tasks_begin() {
    // Two signals end the work; the final tasks run anyway.
    let sandbox = Sandbox::new();
    sandbox.file("off", "");
    let child = sandbox.start(&with_finals(LONG), &[]);
    wait_for("the work", || sandbox.read("acts").contains("work"));
    signal(child.id(), "INT");
    wait_for("the drain", || sandbox.log().contains("SIGINT"));
    signal(child.id(), "INT");
    assert_eq!(finish(child).code, 130);
    assert_acts(&sandbox, "work, off interrupted, 8, 9");
    // One ends the work, the next the final task; it is not killed at once.
    let sandbox = Sandbox::new();
    let tasks = with_finals(LONG).replace(
        "echo off",
        "trap 'echo put back >> acts; exit 1' TERM; echo off",
    );
    let child = sandbox.start(&tasks, &[]);
    wait_for("the work", || sandbox.read("acts").contains("work"));
    signal(child.id(), "TERM");
    wait_for("the final task", || sandbox.read("acts").contains("off"));
    signal(child.id(), "INT");
    assert_eq!(finish(child).code, 143);
    assert_acts(&sandbox, "work, off interrupted, put back");
}

#[test]
fn a_good_run_with_a_failed_final_task_is_resumed_there() {
    let sandbox = Sandbox::new();
    let tasks = "task=1\nexec=shell\ncommand=echo work >> acts\n\
                 task=7\nexec=shell\ncommand=echo 7 >> acts; [ -e good ]\nfinally=true\n\
                 task=8\nexec=shell\ncommand=echo 8 >> acts\nfinally=true\n";
    let ran = sandbox.run(tasks, &[]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let go_on = ran.advice();
    let status = sandbox.output(&["--status", "tasks.txt"]);
    assert!(
        status.stdout.contains("stopped at task 7 with exit code 1"),
        "{status:?}"
    );
    sandbox.file("good", "");
    let ran = sandbox.type_in(&go_on);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_acts(&sandbox, "work, 7, 8, 7, 8");
    assert!(sandbox.journals().is_empty());
}

#[test]
fn a_final_task_that_fails_decides_only_a_run_that_ended_with_0() {
    let finals = "task=8\nexec=shell\ncommand=exit 8\nfinally=true\n\
                  task=9\nexec=shell\ncommand=echo off >> acts; exit 9\nfinally=true\n";
    for (exit, keys, options, code) in [
        (0, "", &[][..], 8),
        (0, "return=0", &[][..], 8),
        (0, "return=5", &[][..], 5),
        (3, "", &[][..], 3),
        (3, "", &["--keep-going"][..], 1),
        (0, "", &["--fire-and-forget"][..], 0),
    ] {
        let sandbox = Sandbox::new();
        let tasks = format!("task=0\nexec=shell\ncommand=exit {exit}\n{keys}\n{finals}");
        let ran = sandbox.run(&tasks, &[&["-q"], options].concat());
        assert_eq!(ran.code, code, "{ran:?}");
        assert_acts(&sandbox, "off");
        assert!(!ran.stderr.is_empty(), "{ran:?}");
    }
}
