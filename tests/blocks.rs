//! Parallel blocks through the binary, with real processes (SPEC §3.5).
//!
//! The commands record what happened: each appends `+ NAME` to the file `events`
//! when it begins and `- NAME` when it ends. Appending keeps the order of the
//! writes, so the lines prove what ran at the same time.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use support::neutral::neutral;
use support::{Ran, Sandbox, finish, wait_for};

/// Begins and ends; `step NAME EXIT`.
const STEP: &str = "#!/bin/sh\necho \"+ $1\" >>events\necho \"- $1\" >>events\nexit ${2:-0}\n";
/// Ends once the file `go` exists.
const GATE: &str = "#!/bin/sh\necho \"+ $1\" >>events\n\
     while ! [ -e go ]; do sleep 0.02; done\necho \"- $1\" >>events\n";
/// Fails on the hosts listed in the file `bad`, one per line.
const UNLESS_BAD: &str = "#!/bin/sh\necho \"+ $1\" >>events\n\
     if grep -qx \"$1\" bad 2>/dev/null; then echo \"$1 is bad\" >&2; exit 3; fi\n";
/// The same with the time in nanoseconds, to measure durations.
const STAMP: &str = "#!/bin/sh\necho \"$1 $(date +%s%N)\" >>times\nexit ${2:-0}\n";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    for (name, script) in [
        ("step", STEP),
        ("gate", GATE),
        ("unless-bad", UNLESS_BAD),
        ("stamp", STAMP),
    ] {
        sandbox.program(name, script);
    }
    sandbox
}

/// The names that began, in order.
fn started_names(sandbox: &Sandbox) -> Vec<String> {
    let events = sandbox.read("events");
    let begun = events.lines().filter_map(|l| l.strip_prefix("+ "));
    begun.map(String::from).collect()
}

/// The largest number of commands that ran at the same time.
fn peak_concurrency(sandbox: &Sandbox) -> i32 {
    let (mut now, mut most) = (0, 0);
    for line in sandbox.read("events").lines() {
        now += if line.starts_with('+') { 1 } else { -1 };
        most = most.max(now);
    }
    assert_eq!(now, 0, "what began was over");
    most
}

/// The time stamps of `stamp`, in seconds.
fn times(sandbox: &Sandbox) -> Vec<(String, f64)> {
    let text = sandbox.read("times");
    let pairs = text.lines().filter_map(|l| l.split_once(' '));
    let seconds = |t: &str| t.parse::<u64>().expect("a time") as f64 / 1e9;
    pairs.map(|(n, t)| (n.to_string(), seconds(t))).collect()
}

/// How often each subtask ended, from the log lines `Task 0.3 web3 ended: ok`.
fn count_ended(log: &str) -> BTreeMap<String, u32> {
    let mut ended = BTreeMap::new();
    for line in log.lines() {
        let about = line.split_once("] Task ").map_or("", |(_, rest)| rest);
        if let Some((who, _)) = about.split_once(" ended: ")
            && who.contains(' ')
        {
            *ended.entry(who.to_string()).or_default() += 1;
        }
    }
    ended
}

/// The output line of the last task, which echoes references.
fn last_output_line(ran: &Ran) -> &str {
    let line = ran.stdout.lines().rfind(|l| l.starts_with("  | "));
    line.unwrap_or_else(|| panic!("no output: {ran:?}"))
        .trim_start_matches("  | ")
}

// Concurrency.

#[test]
fn max_parallel_is_never_exceeded_and_every_result_arrives_once() {
    for (total, at_once) in [
        (2, 1),
        (2, 200),
        (50, 7),
        (1000, 1),
        (1000, 50),
        (3000, 200),
    ] {
        let sandbox = sandbox();
        let tasks = format!(
            "task=0\ntype=parallel\nhostnames=n[00001-{total:05}]\nexec=local\n\
             command=./step @hostname@\nmax_parallel={at_once}\n\
             task=1\nexec=local\ncommand=echo @0_success_count@ @0_total_count@ @0_ok_hosts@\n"
        );
        let ran = sandbox.run(&tasks, &[]);
        let case = format!("{total} at {at_once}");
        assert_eq!(ran.code, 0, "{case}: {ran:?}");
        assert_eq!(
            last_output_line(&ran),
            format!("{total} {total} n[00001-{total:05}]")
        );
        assert!(peak_concurrency(&sandbox) <= at_once, "{case}");
        let names: Vec<String> = (1..=total).map(|i| format!("n{i:05}")).collect();
        let mut begun = started_names(&sandbox);
        if at_once > 1 {
            begun.sort();
        }
        assert_eq!(begun, names, "{case}: each ran once");
        let log = sandbox.log();
        let started: Vec<&str> = log
            .lines()
            .filter_map(|l| l.split_once("Executing Task 0.").map(|(_, who)| who))
            .collect();
        let in_order: Vec<String> = (1..=total).map(|i| format!("{i} n{i:05}")).collect();
        assert_eq!(started, in_order, "{case}: started in order");
        let ended = count_ended(&log);
        assert_eq!(ended.len(), total, "{case}");
        assert!(ended.values().all(|n| *n == 1), "{case}: recorded once");
    }
}

#[test]
fn max_parallel_is_reached() {
    for (limit, reached) in [
        ("max_parallel=7\n", 7),
        ("", 50),
        ("max_parallel=200\n", 60),
    ] {
        let sandbox = sandbox();
        let tasks = format!(
            "task=0\ntype=parallel\nhostnames=n[01-60]\nexec=local\ncommand=./gate @hostname@\n{limit}"
        );
        let child = sandbox.start(&tasks, &[]);
        wait_for("the limit", || started_names(&sandbox).len() == reached);
        sandbox.file("go", "");
        let ran = finish(child);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(peak_concurrency(&sandbox), reached as i32);
        assert_eq!(started_names(&sandbox).len(), 60);
    }
}

#[test]
fn a_thousand_long_outputs_stay_out_of_memory() {
    let sandbox = sandbox();
    sandbox.file(
        "mebibyte",
        "a line of sixty-three letters, so that a log has some of it too\n".repeat(1 << 14),
    );
    let tasks = "task=0\ntype=parallel\nhostnames=n[0001-1000]\nexec=local\n\
                 command=cat mebibyte\nmax_parallel=50\n\
                 task=1\nexec=local\ncommand=./gate last\n";
    let mut child = sandbox.start(tasks, &["--log-level=WARN"]);
    // A gibibyte takes a while on a busy disk.
    while !sandbox.exists("events") {
        assert!(child.try_wait().expect("its state").is_none(), "it ended");
        std::thread::sleep(Duration::from_millis(10));
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("status");
    let peak = status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"))
        .and_then(|n| n.trim().parse::<u64>().ok())
        .expect("a peak");
    sandbox.file("go", "");
    assert_eq!(finish(child).code, 0);
    assert!(peak < 64 << 10, "{peak} KiB at most");
}

// Waves and fail_fast.

#[test]
fn waves_run_one_after_another_with_a_check_and_a_pause_between() {
    let sandbox = sandbox();
    let tasks = "task=0\ntype=parallel\nhostnames=w[1-6]\nexec=local\ncommand=./stamp @hostname@\n\
                 waves=1,2,rest\nwave_check=5\nwave_pause=0.3\n\
                 task=5\nexec=local\ncommand=./stamp check\n";
    let ran = sandbox.run(tasks, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let times = times(&sandbox);
    let names: Vec<&str> = times.iter().map(|(n, _)| n.as_str()).collect();
    let set = |names: &[&str]| names.iter().map(|n| n.to_string()).collect::<BTreeSet<_>>();
    assert_eq!(names[..2], ["w1", "check"]);
    assert_eq!(set(&names[2..4]), set(&["w2", "w3"]));
    assert_eq!(names[4], "check");
    assert_eq!(set(&names[5..]), set(&["w4", "w5", "w6"]));
    for check in [1, 4] {
        let waited = times[check + 1].1 - times[check].1;
        assert!(waited >= 0.3, "paused {waited} s after check {check}");
    }
}

#[test]
fn a_failed_wave_or_check_stops_the_block() {
    // The canary fails; the check fails after the first wave, then after the
    // second.
    for (bad, check_fails_at, began, left) in [
        ("w1", 9, "w1", "w[2-6]"),
        ("", 1, "w1 check", "w[2-6]"),
        ("", 2, "w1 check w2 w3 check", "w[4-6]"),
        // One of two fails: part of the wave succeeded, and the check passes.
        ("w2", 9, "w1 check w2 w3 check w4 w5 w6", ""),
    ] {
        let sandbox = sandbox();
        sandbox.file("bad", bad);
        sandbox.program(
            "check",
            &format!(
                "#!/bin/sh\necho '+ check' >>events\n\
                 [ $(grep -c check events) -lt {check_fails_at} ]\n"
            ),
        );
        let tasks = "task=0\ntype=parallel\nhostnames=w[1-6]\nexec=local\nmax_parallel=1\n\
                     command=./unless-bad @hostname@\nwaves=1,2,rest\nwave_check=5\n\
                     next=max_failed=1\non_success=20\non_failure=20\n\
                     task=5\nexec=local\ncommand=./check\n\
                     task=20\nexec=local\ncommand=echo [@0_not_started_hosts@] @0_not_started_count@ @0_total_count@\n";
        let ran = sandbox.run(tasks, &[]);
        assert_eq!(started_names(&sandbox).join(" "), began);
        let count = 6 - began.split(' ').filter(|w| w.starts_with('w')).count();
        assert_eq!(last_output_line(&ran), format!("[{left}] {count} 6"));
        assert_eq!(
            ran.stdout.contains("started no more"),
            !left.is_empty(),
            "{ran:?}"
        );
    }
}

#[test]
fn the_recap_shows_why_a_wave_check_failed() {
    let block = "task=0\nexec=local\ncommand=echo abc\n\
                 task=10\ntype=parallel\nhostnames=w[1-4]\nexec=local\ncommand=true\n\
                 waves=2\nwave_check=15\ntask=15\n";
    for (check, why, lines) in [
        (
            "exec=shell\ncommand=echo health; echo 503 >&2; exit 7\n",
            "wave_check failed: task 15: failed, exit 7",
            [
                "task 15 failed with exit code 7",
                "     | /bin/bash -c 'echo health; echo 503 >&2; exit 7'",
                "     = stdout: health",
                "     = stderr: 503",
            ],
        ),
        (
            "type=decision\nsuccess=@0_stdout@ < 2\n",
            "wave_check failed: task 15: `@0_stdout@ < 2` is undecided: `abc` is not a number",
            ["task 15 failed", "     | success=@0_stdout@ < 2", "", ""],
        ),
        (
            "exec=local\ncommand=echo 97\nsuccess=stdout < 90\n",
            "wave_check failed: task 15: failed, exit 0",
            [
                "task 15 exited 0",
                "     | success=stdout < 90",
                "     = stdout: 97",
                "",
            ],
        ),
    ] {
        let sandbox = sandbox();
        let options = ["-q", "--output-json=run.json", "--report=run.html"];
        let ran = sandbox.run(&format!("{block}{check}"), &options);
        assert_eq!(ran.code, 10, "{ran:?}");
        for line in lines.into_iter().chain([why]) {
            assert!(ran.stderr.contains(line), "{line}: {}", ran.stderr);
        }
        let why = why.replace('<', "\\u003c");
        let error = format!("\"error\":\"task 10: failed ({why}), exit 1\"");
        let json = sandbox.read("run.json");
        assert!(json.contains(&error), "{json}");
        assert!(sandbox.read("run.html").contains("<h3>Wave check 15"));
        // A criterion that holds makes it no failure, so that nothing has a cause.
        let forgiven = block.replace("waves=", "success=any_success\nwaves=");
        let ran = sandbox.run(&format!("{forgiven}{check}"), &["--output-json=run.json"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(!sandbox.read("run.json").contains(&why), "{ran:?}");
    }
}

#[test]
fn fail_fast_counts_those_that_did_not_succeed() {
    for (fail_fast, begun_then) in [("true", 1), ("1", 2), ("2", 3), ("50%", 4), ("5", 6)] {
        let sandbox = sandbox();
        let tasks = format!(
            "task=0\ntype=parallel\nhostnames=w[1-6]\nexec=local\nmax_parallel=1\n\
             command=./step @hostname@ 4\nfail_fast={fail_fast}\n"
        );
        let ran = sandbox.run(&tasks, &[]);
        assert_eq!(ran.code, 10, "{ran:?}");
        assert_eq!(
            started_names(&sandbox).len(),
            begun_then,
            "fail_fast={fail_fast}"
        );
        let counts = match 6 - begun_then {
            0 => "6 failed".to_string(),
            left => format!("{begun_then} failed, {left} not_started"),
        };
        assert!(
            ran.stdout.contains(&format!("failed ({counts})")),
            "{ran:?}"
        );
        assert_eq!(ran.stdout.contains("started no more"), begun_then < 6);
        if begun_then < 6 {
            assert!(
                ran.stdout.contains(&format!(
                    "not_started (fail_fast: {begun_then} of 6 did not succeed)"
                )),
                "{ran:?}"
            );
        }
    }
}

/// Fails the first N times on a host; `flaky NAME N`.
const FLAKY: &str = "#!/bin/sh\necho \"+ $1\" >>events\n\
     [ $(grep -cx \"+ $1\" events) -gt $2 ]\n";

#[test]
fn fail_fast_holds_while_retries_wait() {
    // How often each host's command fails, and what is started.
    let all = "w1 w1 w2 w2 w3 w3 w4 w4 w5 w5 w6 w6";
    for (fail_fast, failures, started, code) in [
        ("true", 2, "w1 w1", 10),
        ("1", 2, "w1 w1 w2 w2", 10),
        ("34%", 2, "w1 w1 w2 w2 w3 w3", 10),
        ("5", 2, all, 10),
        ("true", 1, all, 0),
        ("2", 1, all, 0),
        ("false", 2, all, 10),
    ] {
        let sandbox = sandbox();
        sandbox.program("flaky", FLAKY);
        let tasks = format!(
            "task=0\ntype=parallel\nhostnames=w[1-6]\nexec=local\nmax_parallel=1\n\
             command=./flaky @hostname@ {failures}\nretry_count=1\nretry_delay=0.05\n\
             fail_fast={fail_fast}\n"
        );
        let ran = sandbox.run(&tasks, &[]);
        let what = format!("fail_fast={fail_fast}, {failures} failures: {ran:?}");
        assert_eq!(ran.code, code, "{what}");
        let mut names = started_names(&sandbox);
        if fail_fast == "true" {
            // The retry comes before anything new.
            assert_eq!(names[..2], ["w1", "w1"], "{what}");
        }
        names.sort();
        assert_eq!(names.join(" "), started, "{what}");
        let left = 6 - names.len() / 2;
        assert_eq!(ran.stdout.contains("not_started"), left > 0, "{what}");
        let counts = format!("{} failed, {left} not_started", names.len() / 2);
        assert!(left == 0 || ran.stdout.contains(&counts), "{what}");
    }
}

#[test]
fn a_retry_does_not_begin_once_too_many_have_failed_for_good() {
    let sandbox = sandbox();
    // Task 1 fails for good once task 2 waits for its retry in an hour.
    let tasks = "task=0\ntype=parallel\ntasks=1-3\nmax_parallel=2\nfail_fast=true\non_failure=9\n\
                 task=1\nexec=shell\nretry_failed=false\n\
                 command=while ! grep -qrs 'retry [1] of 3' TASKER/logs; do sleep 0.02; done; exit 4\n\
                 task=2\nexec=local\ncommand=./step two 7\nretry_count=3\nretry_delay=1h\n\
                 task=3\nexec=local\ncommand=./step three\n\
                 task=9\nexec=local\ncommand=echo @1_exit@ @2_exit@ @2_attempts@ @3_outcome@ @0_failed_hosts@\n";
    let ran = sandbox.run(tasks, &[]);
    assert_eq!(last_output_line(&ran), "4 7 1 not_started [1-2]", "{ran:?}");
    assert_eq!(started_names(&sandbox), ["two"]);
}

#[test]
fn a_block_that_fail_fast_holds_ends_at_its_deadline() {
    let sandbox = sandbox();
    let tasks = "task=0\ntype=parallel\ntasks=1-3\nmax_parallel=1\nfail_fast=true\n\
                 block_timeout=1\nretry_count=1\nretry_delay=1h\nnext=always\n\
                 task=1\nexec=local\ncommand=./step one 7\n\
                 task=2\nexec=local\ncommand=./step two\n\
                 task=3\nexec=local\ncommand=./step three\n\
                 task=9\nexec=local\ncommand=echo @1_outcome@ @1_exit@ @2_outcome@ @2_exit@ @3_exit@\n";
    let ran = sandbox.run(tasks, &[]);
    let expected = "failed 7 not_started 124 124";
    assert_eq!(last_output_line(&ran), expected, "{ran:?}");
    assert_eq!(started_names(&sandbox), ["one"]);
}

#[test]
fn fail_fast_alone_decides_after_the_first_wave() {
    for (fail_fast, bad, began) in [
        ("", "w2", "w1 w2"),
        ("fail_fast=false", "w2", "w1 w2"),
        ("fail_fast=1", "w2", "w1 w2 w3 w4 w5"),
        ("fail_fast=1", "w2\nw4", "w1 w2 w3 w4"),
        ("fail_fast=2", "w2\nw4", "w1 w2 w3 w4 w5"),
        ("fail_fast=100%", "w2\nw3\nw4\nw5", "w1 w2 w3 w4 w5"),
        ("fail_fast=100%", "w1", "w1"),
        ("fail_fast=true", "w5", "w1 w2 w3 w4 w5"),
    ] {
        let sandbox = sandbox();
        sandbox.file("bad", bad);
        let tasks = format!(
            "task=0\ntype=parallel\nhostnames=w[1-5]\nexec=local\nwaves=1\n\
             command=./unless-bad @hostname@\n{fail_fast}\n"
        );
        let ran = sandbox.run(&tasks, &[]);
        let begun = started_names(&sandbox).join(" ");
        assert_eq!(
            (begun.as_str(), ran.code),
            (began, 10),
            "{fail_fast}, {bad}: {ran:?}"
        );
    }
}

#[test]
fn a_wave_without_anything_to_do_does_not_stop_the_block() {
    let sandbox = sandbox();
    let tasks = "task=0\ntype=parallel\ntasks=1-3\nwaves=1\n\
                 task=1\nexec=local\ncondition=false\ncommand=./step one\n\
                 task=2\nexec=local\ncommand=./step two 3\n\
                 task=3\nexec=local\ncommand=./step three\n";
    let ran = sandbox.run(tasks, &[]);
    assert_eq!(
        (ran.code, started_names(&sandbox).join(" ").as_str()),
        (10, "two"),
        "{ran:?}"
    );
}

// Deadlines.

#[test]
fn a_block_deadline_ends_running_waiting_and_retried_subtasks() {
    for deadline in ["block_timeout", "timeout"] {
        let sandbox = sandbox();
        let tasks = format!(
            "task=0\ntype=parallel\ntasks=1-5\nmax_parallel=2\n{deadline}=1\nnext=always\n\
             task=1\nexec=local\ncommand=./gate one\n\
             task=2\nexec=local\ncommand=./step two\n\
             task=3\nexec=local\ncommand=./step three 7\nretry_count=3\nretry_delay=60\n\
             task=4\nexec=local\ncommand=./gate four\n\
             task=5\nexec=local\ncommand=./step five\n\
             task=9\nexec=local\ncommand=echo @1_outcome@ @1_exit@ @2_outcome@ @2_exit@ \
             @3_outcome@ @3_exit@ @4_outcome@ @4_exit@ @5_outcome@ @5_exit@ \
             @0_timeout_count@ @0_failed_count@ @0_failed_hosts@ @0_not_started_hosts@ @0_stdout@\n"
        );
        let ran = sandbox.run(&tasks, &[]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(
            last_output_line(&ran),
            "timeout 124 ok 0 failed 7 timeout 124 not_started 124 2 1 1,[3-4] 5 1/5 succeeded"
                .replace("1,[3-4]", "[1,3-4]"),
            "{deadline}"
        );
        let mut begun = started_names(&sandbox);
        begun.sort();
        assert_eq!(begun, ["four", "one", "three", "two"]);
    }
}

#[test]
fn over_hosts_timeout_is_per_host_and_block_timeout_for_the_block() {
    for (keys, expected) in [
        ("timeout=1\n", "2 [a-b] 0"),
        ("timeout=30\nblock_timeout=1\n", "1 a 1"),
    ] {
        let sandbox = sandbox();
        let tasks = format!(
            "task=0\ntype=parallel\nhostnames=n[1-2]\nexec=local\ncommand=./gate @hostname@\n\
             max_parallel=1\nnext=always\n{keys}\
             task=9\nexec=local\ncommand=echo @0_timeout_count@ @0_failed_hosts@ @0_not_started_count@\n"
        );
        let ran = sandbox.run(&tasks, &[]);
        let expected = expected.replace("[a-b]", "n[1-2]").replace('a', "n1");
        assert_eq!(last_output_line(&ran), expected, "{keys}: {ran:?}");
    }
}

#[test]
fn a_block_deadline_covers_its_checks_and_pauses() {
    for check in [
        "./gate check",
        "false\nretry_count=9\nretry_delay=5m",
        "true",
    ] {
        let sandbox = sandbox();
        let tasks = format!(
            "task=0\ntype=parallel\nhostnames=n[1-3]\nexec=local\ncommand=./step @hostname@\n\
             waves=1,rest\nwave_check=5\nwave_pause=5m\nblock_timeout=1\nnext=always\n\
             task=5\nexec=local\ncommand={check}\n\
             task=9\nexec=local\ncommand=echo @0_not_started_hosts@ @0_success_count@\n"
        );
        let ran = sandbox.run(&tasks, &[]);
        assert_eq!(last_output_line(&ran), "n[2-3] 1", "{check}: {ran:?}");
        assert!(
            ran.stdout
                .contains("n[2-3] (2): not_started (block_timeout)"),
            "{check}: {ran:?}"
        );
    }
}

// Retries, conditions, pauses, values.

#[test]
fn subtasks_are_retried_by_their_own_settings_or_the_blocks() {
    let sandbox = sandbox();
    // Fails with the code in $2 until attempt $3.
    sandbox.program(
        "flaky",
        "#!/bin/sh\necho \"+ $1.$4\" >>events\n[ $4 -ge $3 ] || exit $2\n",
    );
    let tasks = "task=0\ntype=parallel\ntasks=1-5\nretry_count=2\nretry_delay=0.05\nretry_on=7,9\nnext=always\n\
                 task=1\nexec=local\ncommand=./flaky one 7 3 @attempt@\n\
                 task=2\nexec=local\ncommand=./flaky two 8 3 @attempt@\n\
                 task=3\nexec=local\ncommand=./flaky three 7 9 @attempt@\n\
                 task=4\nexec=local\ncommand=./flaky four 7 2 @attempt@\nretry_failed=false\n\
                 task=5\nexec=local\ncommand=./flaky five 8 5 @attempt@\nretry_count=4\nretry_delay=0.01\n\
                 task=9\nexec=local\ncommand=echo @1_attempts@ @1_exit@ @2_attempts@ @2_exit@ \
                 @3_attempts@ @3_exit@ @4_attempts@ @4_exit@ @5_attempts@ @5_exit@ @0_failed_hosts@\n";
    let ran = sandbox.run(tasks, &[]);
    assert_eq!(
        last_output_line(&ran),
        "3 0 1 8 3 7 1 7 1 8 [2-5]",
        "{ran:?}"
    );
    assert_eq!(started_names(&sandbox).len(), 3 + 1 + 3 + 1 + 1);
}

#[test]
fn a_retry_over_hosts_has_its_attempt_number() {
    let sandbox = sandbox();
    sandbox.program(
        "second",
        "#!/bin/sh\necho \"+ $1.$2\" >>events\n[ $1 != w2 ] || [ $2 = 2 ]\n",
    );
    let tasks = "task=0\ntype=parallel\nhostnames=w[1-3]\nexec=local\n\
                 command=./second @hostname@ @attempt@\nretry_failed=true\nretry_delay=0.01\n";
    let ran = sandbox.run(tasks, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let mut begun = started_names(&sandbox);
    begun.sort();
    assert_eq!(begun, ["w1.1", "w2.1", "w2.2", "w3.1"]);
    let log = sandbox.log();
    assert!(
        log.contains("Task 0.2 w2: retry 1 of 1 in 0.010 s"),
        "{log}"
    );
}

#[test]
fn a_subtask_skipped_by_its_condition_does_not_count() {
    let sandbox = sandbox();
    let tasks = "WANTED=no\ntask=0\ntype=parallel\ntasks=1-4\nsuccess=min_success=66%\n\
                 task=1\nexec=local\ncommand=./step one\n\
                 task=2\nexec=local\ncommand=./step two\n\
                 task=3\nexec=local\ncommand=./step three 1\n\
                 task=4\nexec=local\ncommand=./step four\ncondition=@WANTED@=yes\n\
                 task=9\nexec=local\ncommand=echo @4_outcome@ @4_exit@ @4_success@ @0_skipped_count@ @0_total_count@ @0_failed_count@\n";
    let ran = sandbox.run(tasks, &[]);
    assert_eq!(last_output_line(&ran), "skipped -1 false 1 4 1", "{ran:?}");
    assert!(!started_names(&sandbox).contains(&"four".to_string()));
}

#[test]
fn a_subtask_that_sleeps_keeps_its_slot() {
    let sandbox = sandbox();
    let tasks = "task=0\ntype=parallel\ntasks=1,2\nmax_parallel=1\n\
                 task=1\nexec=local\ncommand=./stamp one\nsleep=0.4\n\
                 task=2\nexec=local\ncommand=./stamp two\n";
    assert_eq!(sandbox.run(tasks, &[]).code, 0);
    let times = times(&sandbox);
    assert!(times[1].1 - times[0].1 >= 0.4, "{times:?}");
}

#[test]
fn a_subtask_knows_its_host_and_index_and_a_later_task_every_result() {
    let sandbox = sandbox();
    let tasks = "task=5\ntype=parallel\nhostnames=db[1-2],web7\nexec=local\n\
                 command=sh -c \"echo @task@ @hostname@ \\$TASKER_TASK \\$TASKER_HOSTNAME >>seen\"\n\
                 task=6\ntype=parallel\ntasks=7,first\n\
                 task=7\nexec=shell\ncommand=echo seven; echo oops >&2; exit 3\n\
                 task=8\nname=first\nexec=shell\ncommand=echo eight\n\
                 next_marker=1\n"
        .replace("next_marker=1\n", "")
        .replace("tasks=7,first\n", "tasks=7,first\nnext=always\n")
        + "task=9\nexec=local\ncommand=echo @7_stdout@ @7_stderr@ @7_exit@ @7_success@ @first_stdout@ \
           @6_failed_hosts@ @6_success_count@ @5_stdout@\n";
    let ran = sandbox.run(&tasks, &[]);
    assert_eq!(
        last_output_line(&ran),
        "seven oops 3 false eight 7 1 3/3 succeeded",
        "{ran:?}"
    );
    let seen = sandbox.read("seen");
    let seen: BTreeSet<&str> = seen.lines().collect();
    assert_eq!(
        seen,
        BTreeSet::from(["5.1 db1 5.1 db1", "5.2 db2 5.2 db2", "5.3 web7 5.3 web7"])
    );
}

// Choosing hosts.

const OVER_AND_AGAIN: &str = "task=0\ntype=parallel\nhostnames=web[01-12],db1\nexec=local\n\
     command=./unless-bad @hostname@\nnext=always\n\
     task=1\nexec=local\ncommand=rm -f events\n\
     task=2\ntype=parallel\nhostnames=@0_failed_hosts@\nexec=local\ncommand=./step @hostname@\n\
     task=3\nexec=local\ncommand=echo [@0_failed_hosts@] [@0_ok_hosts@] @2_success@ @2_stdout@\n";

#[test]
fn a_second_block_runs_only_on_the_failed_hosts() {
    let sandbox = sandbox();
    sandbox.file("bad", "web03\nweb04\nweb11\ndb1\n");
    let ran = sandbox.run(OVER_AND_AGAIN, &[]);
    assert_eq!(
        last_output_line(&ran),
        "[db1,web[03-04,11]] [web[01-02,05-10,12]] true 4/4 succeeded",
        "{ran:?}"
    );
    let mut begun = started_names(&sandbox);
    begun.sort();
    assert_eq!(begun, ["db1", "web03", "web04", "web11"]);
}

#[test]
fn an_empty_set_never_means_all() {
    let sandbox = sandbox();
    let ran = sandbox.run(OVER_AND_AGAIN, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        last_output_line(&ran),
        "[] [db1,web[01-12]] true 0/0 succeeded"
    );
    assert_eq!(started_names(&sandbox), Vec::<String>::new());
}

#[test]
fn hosts_from_a_result_are_checked_before_anything_starts() {
    for bad in ["web1 -oProxyCommand=x", "-x", "web[1-", "a;b", "web[1-3"] {
        let sandbox = sandbox();
        sandbox.file("set", bad);
        let tasks = "task=0\nexec=local\ncommand=cat set\n\
                     task=1\ntype=parallel\nhostnames=@0_stdout@\nexec=local\ncommand=./step @hostname@\n\
                     on_failure=9\n\
                     task=9\nexec=local\ncommand=echo @1_exit@ @1_outcome@ [@1_stderr@]\n";
        let ran = sandbox.run(tasks, &[]);
        assert!(
            last_output_line(&ran).starts_with("126 failed ["),
            "{bad}: {ran:?}"
        );
        assert!(!last_output_line(&ran).ends_with("[]"), "{bad}: {ran:?}");
        assert_eq!(started_names(&sandbox), Vec::<String>::new());
    }
}

#[test]
fn a_host_that_a_result_names_twice_runs_once() {
    let sandbox = sandbox();
    let tasks = "task=0\nexec=local\ncommand=echo w1,w2,w1,w[1-2]\n\
                 task=1\ntype=parallel\nhostnames=@0_stdout@\nexec=local\ncommand=./step @hostname@\n";
    let ran = sandbox.run(tasks, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let mut begun = started_names(&sandbox);
    begun.sort();
    assert_eq!(begun, ["w1", "w2"]);
    assert!(
        ran.stdout
            .contains("warning: task 1: given more than once: w[1-2]; each runs once\n"),
        "{ran:?}"
    );
}

#[test]
fn a_loop_over_a_block_ends_when_all_succeed() {
    let sandbox = sandbox();
    let tasks = "task=0\ntype=parallel\nhostnames=w[1-3]\nexec=shell\n\
                 command=echo \"+ @hostname@ @loop@\" >>events; [ @hostname@ != w2 -o @loop@ -ge 3 ]\n\
                 next=loop\nloop=9\nloop_break=all_success\n\
                 task=1\nexec=local\ncommand=echo @0_success@ @0_ok_hosts@\n";
    let ran = sandbox.run(tasks, &[]);
    assert_eq!(last_output_line(&ran), "true w[1-3]", "{ran:?}");
    assert_eq!(started_names(&sandbox).len(), 9, "three rounds of three");
}

#[test]
fn a_node_set_can_come_from_a_file_next_to_the_task_file() {
    let sandbox = sandbox();
    sandbox.file("sets/hosts", "# the site\nweb[1-3]\n\ndb1\n!web2\n");
    sandbox.file(
        "sets/tasks.txt",
        "task=0\ntype=parallel\nhostnames=file:hosts\nexec=local\ncommand=./step @hostname@\nmax_parallel=1\n",
    );
    let ran = Ran::from(
        sandbox
            .tasker(&["-r", "sets/tasks.txt"])
            .output()
            .expect("runs"),
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(started_names(&sandbox), ["web1", "web3", "db1"]);
}

#[test]
fn limit_and_exclude_apply_to_every_block() {
    let tasks = "task=0\ntype=parallel\nhostnames=web[1-6]\nexec=local\ncommand=./step a@hostname@\nmax_parallel=1\n\
                 task=1\ntype=parallel\nhostnames=web[5-8],db1\nexec=local\ncommand=./step b@hostname@\nmax_parallel=1\n";
    for (options, expected) in [
        (
            &["--limit", "web[5-6],nowhere"][..],
            "aweb5 aweb6 bweb5 bweb6",
        ),
        (
            &["--limit", "web[1-6]", "--exclude", "web[2-5]"],
            "aweb1 aweb6 bweb6",
        ),
        (&["--exclude", "web[1-6]"], "bweb7 bweb8 bdb1"),
        (&["--limit=file:some"], "aweb2 bdb1"),
    ] {
        let sandbox = sandbox();
        sandbox.file("some", "web2\ndb1\n");
        let ran = sandbox.run(tasks, options);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(started_names(&sandbox).join(" "), expected, "{options:?}");
    }
    for options in [
        &["--limit", "mail1"][..],
        &["--exclude", "web[1-8],db1"],
        &["--limit", "last:failed"],
    ] {
        let sandbox = sandbox();
        let ran = sandbox.run(tasks, options);
        assert_eq!(ran.code, 2, "{options:?}: {ran:?}");
        assert!(ran.stderr.contains("nothing was run"), "{ran:?}");
        assert!(!sandbox.exists("events"));
    }
}

#[test]
fn limit_last_selects_hosts_of_the_last_run() {
    let sandbox = sandbox();
    sandbox.file("bad", "w2\nw3\n");
    let tasks = "task=0\ntype=parallel\nhostnames=w[1-6]\nexec=local\nmax_parallel=1\nfail_fast=1\n\
                 command=./unless-bad @hostname@\n";
    let mut runs = Vec::new();
    let mut run = |options: &[&str], bad: &str| {
        let ran = sandbox.run(tasks, options);
        runs.push(started_names(&sandbox).join(" "));
        sandbox.file("events", "");
        sandbox.file("bad", bad);
        ran.code
    };
    assert_eq!(run(&[], "w2\n"), 10);
    assert_eq!(run(&["--limit", "last:failed"], ""), 10);
    assert_eq!(run(&["--limit", "last:failed"], ""), 0);
    assert_eq!(run(&["--limit", "last:failed"], ""), 2);
    assert_eq!(runs, ["w1 w2 w3", "w2 w3", "w2", ""]);
    // Hosts that were not started are selected separately.
    sandbox.file("bad", "w2\nw3\n");
    assert_eq!(sandbox.run(tasks, &[]).code, 10);
    sandbox.file("events", "");
    assert_eq!(sandbox.run(tasks, &["--limit=last:not_started"]).code, 0);
    assert_eq!(started_names(&sandbox).join(" "), "w4 w5 w6");
    assert_eq!(sandbox.run(tasks, &["--limit=last:unreachable"]).code, 2);
    // A run keeps what became of hosts that it did not touch.
    sandbox.file("events", "");
    sandbox.file("bad", "");
    assert_eq!(sandbox.run(tasks, &["--limit=w2,w4"]).code, 0);
    sandbox.file("events", "");
    assert_eq!(sandbox.run(tasks, &["--limit=last:not_ok"]).code, 0);
    assert_eq!(started_names(&sandbox).join(" "), "w3");
    assert_eq!(sandbox.run(tasks, &["--limit=last:not_ok"]).code, 2);
}

/// Each region of a file has last hosts of its own; they outlive the journals, an edit
/// of the file and another secret.
#[test]
fn limit_last_goes_by_the_work() {
    let sandbox = sandbox();
    sandbox.file("bad", "w2\n");
    let tasks = "REGION=us\nA_TOKEN=${T:-1}\ntask=0\ntype=parallel\nhostnames=w[1-3]\nexec=shell\n\
                 command=[ @REGION@ = us -o \"@A_TOKEN@\" = \"\" ] || ./unless-bad @hostname@\n";
    let run = |options: &[&str]| {
        sandbox.file("events", "");
        let ran = sandbox.run(tasks, options);
        (ran.code, started_names(&sandbox).join(" "), ran.stderr)
    };
    let (eu, last) = ("--set=REGION=eu", "--limit=last:failed");
    assert_eq!(run(&[eu]).0, 10);
    assert_eq!(run(&[]).0, 0);
    let (code, _, why) = run(&[last]);
    assert!(
        code == 2 && why.contains("no host of the last run was failed"),
        "{why}"
    );
    let (code, _, why) = run(&[last, "--set=REGION=jp"]);
    let expected = "--limit: this file has not run yet with these globals";
    assert!(code == 2 && why.contains(expected), "{why}");
    for journal in sandbox.journals() {
        std::fs::remove_file(journal).expect("a journal");
    }
    let (code, started, _) = run(&[last, eu, "--set=A_TOKEN=2"]);
    assert_eq!((code, started.as_str()), (10, "w2"));
    sandbox.file("stdin.txt", tasks);
    let text = std::fs::File::open(sandbox.path.join("stdin.txt")).expect("the text");
    let mut tasker = sandbox.tasker(&["-r", last, "-"]);
    let ran = Ran::from(tasker.stdin(text).output().expect("tasker runs"));
    let expected = "`last:failed`: the last run from standard input is not remembered";
    assert!(ran.code == 2 && ran.stderr.contains(expected), "{ran:?}");
}

/// A rollback on the hosts has undone what had succeeded: the failed hosts alone do
/// not make up for it. A handler that only reports has undone nothing.
#[test]
fn after_a_rollback_only_a_fresh_run_is_advised() {
    let upgrade = "task=10\ntype=parallel\nhostnames=web[1-3]\nexec=shell\n\
                   command=test @hostname@ != web2\non_failure=90\n";
    let advice = |handler: &str| {
        let sandbox = Sandbox::new();
        let ran = sandbox.run(&format!("{upgrade}{handler}"), &["-q"]);
        assert_eq!(ran.code, 1, "{ran:?}");
        neutral(&ran.advice(), &sandbox.path.display().to_string())
    };
    let rollback = "task=90\ntype=parallel\nhostnames=@10_ok_hosts@\nexec=shell\n\
                    command=true @hostname@\nreturn=1\n";
    assert_eq!(advice(rollback), "cd HOME && tasker -r tasks.txt");
    let report = "task=90\nexec=local\ncommand=true\nreturn=1\n";
    let again = "cd HOME && tasker -r --resume-at RUN:10 tasks.txt";
    assert_eq!(advice(report), again);
}

#[test]
fn repeated_limits_add_up() {
    let sandbox = sandbox();
    sandbox.file("bad", "w2\n");
    let tasks =
        "task=0\ntype=parallel\nhostnames=w[1-3]\nexec=local\ncommand=./unless-bad @hostname@\n";
    assert_eq!(sandbox.run(tasks, &[]).code, 10);
    let (failed, unreachable) = ("--limit=last:failed", "--limit=last:unreachable");
    for limits in [
        &[failed, unreachable][..],
        &[unreachable, failed],
        &["--limit=w2", unreachable],
    ] {
        sandbox.file("events", "");
        let ran = sandbox.run(tasks, limits);
        assert_eq!(ran.code, 10, "{limits:?} {ran:?}");
        assert!(!ran.stderr.contains("no block has"), "{ran:?}");
        assert_eq!(started_names(&sandbox), ["w2"], "{limits:?}");
    }
    let ran = sandbox.run(tasks, &[unreachable, "--limit=last:not_started"]);
    assert_eq!(ran.code, 2);
    let why = "--limit: no host of the last run was unreachable or not_started";
    assert!(ran.stderr.contains(why), "{ran:?}");
}

#[test]
fn a_limit_to_a_host_of_no_block_is_reported() {
    let sandbox = sandbox();
    sandbox.file("bad", "");
    let tasks =
        "task=0\ntype=parallel\nhostnames=w[1-3]\nexec=local\ncommand=./unless-bad @hostname@\n";
    for limits in [
        &["--limit=w1", "--limit=w98", "--limit=w99"][..],
        &["--limit=w1,w[98-99]"],
    ] {
        sandbox.file("events", "");
        let ran = sandbox.run(tasks, limits);
        assert_eq!(ran.code, 0, "{ran:?}");
        let warning = "warning: --limit: no block has w[98-99]";
        assert!(ran.stderr.contains(warning), "{ran:?}");
        assert_eq!(started_names(&sandbox), ["w1"]);
    }
    assert_eq!(sandbox.run(tasks, &["--limit=w98,w99"]).code, 2);
}
