//! One instance at a time (SPEC §6.4), and `--splay`.

mod support;

use std::process::Child;
use support::{Ran, Sandbox, finish, signal, wait_for};

/// Runs until the file `go` exists; `began` records that it runs.
const HOLDS: &str =
    "task=1\nexec=shell\ncommand=echo x >> began; while [ ! -e go ]; do sleep 0.01; done\n";

/// Starts a run that holds the lock, and waits until it does.
fn holder(sandbox: &Sandbox) -> Child {
    let child = sandbox.start(HOLDS, &["--instance-check"]);
    wait_for("the first instance", || sandbox.exists("began"));
    child
}

/// Lets the holder end.
fn release(sandbox: &Sandbox, holder: Child) {
    sandbox.file("go", "");
    assert_eq!(finish(holder).code, 0);
}

fn tasker(sandbox: &Sandbox, options: &[&str]) -> Ran {
    let mut arguments = vec!["-r"];
    arguments.extend(options);
    arguments.push("tasks.txt");
    sandbox.output(&arguments)
}

#[test]
fn a_second_instance_is_refused_with_the_holder() {
    let sandbox = Sandbox::new();
    let first = holder(&sandbox);
    let ran = tasker(&sandbox, &["--instance-check"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (25, ""), "{ran:?}");
    let message = format!(
        "another instance of this run is active: process {} on ",
        first.id()
    );
    assert!(
        ran.stderr.contains(&message) && ran.stderr.contains(", started 20"),
        "{ran:?}"
    );
    let ran = tasker(&sandbox, &["--lock-skip"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (0, "", "")
    );
    let ran = tasker(&sandbox, &["--lock-wait=50ms"]);
    assert_eq!(ran.code, 25, "{ran:?}");
    assert_eq!(sandbox.read("began").lines().count(), 1, "nothing else ran");
    release(&sandbox, first);
    assert_eq!(
        tasker(&sandbox, &["--instance-check"]).code,
        0,
        "it is free again"
    );
}

#[test]
fn another_file_or_other_globals_are_another_run() {
    let sandbox = Sandbox::new();
    let first = holder(&sandbox);
    sandbox.file("tasks.txt", "X=1\ntask=1\nexec=local\ncommand=true @X@\n");
    assert_eq!(tasker(&sandbox, &["--instance-check"]).code, 0);
    assert_eq!(
        tasker(&sandbox, &["--instance-check", "--set", "X=2"]).code,
        0
    );
    release(&sandbox, first);
}

#[test]
fn force_instance_runs_anyway_with_a_warning() {
    let sandbox = Sandbox::new();
    let first = holder(&sandbox);
    let second = sandbox.start(HOLDS, &["--force-instance"]);
    wait_for("both", || sandbox.read("began").lines().count() == 2);
    release(&sandbox, first);
    let ran = finish(second);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stderr.contains("--force-instance runs anyway"),
        "{ran:?}"
    );
}

#[test]
fn a_waiting_instance_runs_after_the_first() {
    let sandbox = Sandbox::new();
    let first = holder(&sandbox);
    let second = sandbox.start(HOLDS, &["--lock-wait=60"]);
    release(&sandbox, first);
    let ran = finish(second);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(sandbox.read("began").lines().count(), 2);
}

#[test]
fn the_lock_is_free_after_sigkill_and_no_command_holds_it() {
    let sandbox = Sandbox::new();
    // The process that the command leaves behind outlives the run and must not hold
    // the lock.
    let text = "task=1\nexec=shell\ncommand=setsid -f sleep 20 </dev/null >/dev/null 2>&1; echo x >> began; while [ ! -e go ]; do sleep 0.01; done\n";
    let mut child = sandbox.start(text, &["--instance-check"]);
    wait_for("the run", || sandbox.exists("began"));
    child.kill().expect("it runs");
    child.wait().expect("it ended");
    sandbox.file("go", "");
    let ran = tasker(&sandbox, &["--instance-check"]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn a_signal_ends_the_wait_for_the_lock_and_the_splay() {
    let sandbox = Sandbox::new();
    let first = holder(&sandbox);
    for option in ["--lock-wait=300", "--splay=24h"] {
        let waiting = sandbox.start(HOLDS, &[option]);
        let blocked = || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", waiting.id()));
            let status = status.unwrap_or_default();
            // From here on it handles signals itself.
            status
                .lines()
                .any(|l| l.starts_with("SigBlk:") && !l.ends_with("0000000000000000"))
                && status
                    .lines()
                    .any(|l| l.starts_with("Threads:") && !l.ends_with("\t1"))
        };
        wait_for("the wait", blocked);
        signal(waiting.id(), "TERM");
        let ran = finish(waiting);
        assert_eq!(ran.code, 143, "{ran:?}");
        assert!(
            ran.stderr.contains("ended by SIGTERM; nothing was run"),
            "{ran:?}"
        );
    }
    assert_eq!(sandbox.read("began").lines().count(), 1);
    release(&sandbox, first);
}

#[test]
fn one_of_twenty_instances_runs() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", HOLDS);
    let start = |_| {
        sandbox
            .tasker(&["-r", "--instance-check", "tasks.txt"])
            .spawn()
    };
    let all: Vec<Child> = (0..20).map(start).map(|c| c.expect("it starts")).collect();
    // The nineteen end by themselves while the first is still running.
    let ended = |child: &Child| {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id()));
        stat.is_ok_and(|s| s.contains(") Z "))
    };
    wait_for("nineteen refusals", || {
        all.iter().filter(|c| ended(c)).count() == 19
    });
    sandbox.file("go", "");
    let mut codes: Vec<i32> = all.into_iter().map(|c| finish(c).code).collect();
    codes.sort_unstable();
    assert_eq!(codes[0], 0);
    assert_eq!(codes[1..], [25; 19]);
    assert_eq!(sandbox.read("began").lines().count(), 1);
}

#[test]
fn resuming_an_active_run_respects_its_lock() {
    let sandbox = Sandbox::new();
    let first = holder(&sandbox);
    let ran = tasker(&sandbox, &["--auto-recovery", "--lock-skip"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (0, "", "")
    );
    let ran = tasker(&sandbox, &["--auto-recovery", "--instance-check"]);
    assert_eq!(ran.code, 25, "{ran:?}");
    let second = sandbox.start(HOLDS, &["--auto-recovery", "--lock-wait=60"]);
    release(&sandbox, first);
    let ran = finish(second);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(sandbox.read("began").lines().count(), 2, "it began afresh");
}
