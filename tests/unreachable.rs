//! Hosts that cannot be reached in a parallel block (SPEC §3.5): whatever
//! `unreachable=` says, they are seen everywhere, and a run in which nothing was
//! reached is never a success.
//!
//! A stand-in for `ssh` does not reach hosts called `bad…`, and runs the rest here.

mod support;

use std::process::Command;
use support::{Ran, Sandbox};

const SSH: &str = "#!/bin/sh\n\
    for a; do case $a in bad*) echo 'ssh: No route to host' >&2; exit 255;; good*) host=$a;; esac; done\n\
    shift $(($# - 1)); exec setsid -w sh -c \"$1\"\n";

fn sandbox(tasks: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.program("bin/ssh", SSH);
    sandbox.file("tasks.txt", tasks);
    sandbox
}

fn tasker(sandbox: &Sandbox, options: &[&str]) -> Ran {
    let all = [&["-r", "--skip-host-validation"], options, &["tasks.txt"]].concat();
    let path = format!("{}/bin:/usr/bin:/bin", sandbox.path.display());
    let mut tasker = sandbox.tasker(&all);
    Ran::from(tasker.env("PATH", path).output().expect("tasker runs"))
}

fn block(hosts: &str, keys: &str) -> String {
    format!(
        "task=0\ntype=parallel\nhostnames={hosts}\nexec=ssh\ncommand=echo did @hostname@\nretry_failed=false\n{keys}\n"
    )
}

/// The hosts on which the command ran.
fn done(ran: &Sandbox) -> Vec<String> {
    let log = ran.log();
    let words = log.lines().filter_map(|l| l.split_once("stdout| did "));
    let mut hosts: Vec<String> = words.map(|(_, host)| host.trim().to_string()).collect();
    hosts.sort();
    hosts
}

const COUNTED: &str = "task=1\nexec=local\ncommand=echo [@0_outcome@ @0_exit@ @0_stdout@] \
    @0_success_count@+@0_failed_count@+@0_timeout_count@+@0_unreachable_count@+@0_cancelled_count@\
    +@0_not_started_count@+@0_skipped_count@+@0_unknown_count@=@0_total_count@ \
    ok:@0_ok_hosts@ failed:@0_failed_hosts@ unreachable:@0_unreachable_hosts@ \
    unknown:@0_unknown_hosts@ not_ok:@0_not_ok_hosts@\n";
const SEEN: &str = "[ok 0 3/5 succeeded] 3+0+0+2+0+0+0+0=5 ok:good[1-3] failed: \
    unreachable:bad[1-2] unknown: not_ok:bad[1-2]";

#[test]
fn hosts_that_are_left_out_vanish_nowhere() {
    let tasks = block("bad1,good[1-3],bad2", "unreachable=skip") + COUNTED;
    let sandbox = sandbox(&tasks);
    let written = ["--output-json=j", "--report=r.html", "--events=ev"];
    let ran = tasker(&sandbox, &written);
    assert_eq!(ran.code, 0, "{ran:?}");
    for text in [
        "task 0: ok (3 ok, 2 unreachable)",
        "  bad[1-2] (2): unreachable: ssh: No route to host\n",
        SEEN,
        "tasker: unreachable: 0 on bad[1-2]\n",
    ] {
        let all = format!("{}{}", ran.stdout, ran.stderr);
        assert!(all.contains(text), "{text}\n{all}");
    }
    let log = sandbox.log();
    for host in ["0.1 bad1", "0.5 bad2"] {
        let ended =
            format!("Task {host} ended: unreachable (ssh: No route to host), exit code 255");
        assert!(log.contains(&ended), "{log}");
    }
    for line in [
        "3 ok, 2 unreachable\n",
        "bad[1-2] (2): unreachable: ssh: No route to host\n",
    ] {
        assert!(log.contains(&format!("Task 0: {line}")), "{log}");
    }
    let page = sandbox.read("r.html");
    for host in ["bad1", "bad2"] {
        assert!(page.contains(host), "{host}");
    }
    let notes = page.matches("left out of the criterion").count();
    assert_eq!(notes, 2);
    let events = sandbox.read("ev");
    let unreachable = |line: &&str| line.contains("\"outcome\":\"unreachable\"");
    assert_eq!(events.lines().filter(unreachable).count(), 2, "{events}");
    let script = "import json; h = json.load(open('j'))['task_results']['0']['hosts']; \
        print(*[(x['hostname'], x['outcome'], x['exit_code'], x['stderr'].strip()) for x in h])";
    let mut python = Command::new("python3");
    let read = python
        .args(["-c", script])
        .current_dir(&sandbox.path)
        .output();
    let read = Ran::from(read.expect("python3 runs"));
    let good = "('good1', 'ok', 0, '') ('good2', 'ok', 0, '') ('good3', 'ok', 0, '')";
    let bad = |host| format!("('{host}', 'unreachable', 255, 'ssh: No route to host')");
    assert_eq!(
        read.stdout.trim(),
        format!("{} {good} {}", bad("bad1"), bad("bad2"))
    );
    // A quiet run is not silent about them.
    let ran = tasker(&sandbox, &["-q"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{ran:?}");
    assert!(
        ran.stderr.contains("2 unreachable (0 on bad[1-2])"),
        "{ran:?}"
    );
    // The next run can choose them.
    for (option, hosts) in [
        ("last:unreachable", "bad[1-2]"),
        ("last:not_ok", "bad[1-2]"),
    ] {
        let ran = tasker(&sandbox, &["--limit", option]);
        assert_eq!(ran.code, 10, "{ran:?}");
        let end = format!("task 0: failed (2 unreachable: {hosts})");
        assert!(ran.stdout.contains("(2 unreachable)"), "{end}: {ran:?}");
    }
    assert_eq!(tasker(&sandbox, &["--limit=last:failed"]).code, 2);
}

#[test]
fn a_resumed_run_and_a_rehearsal_count_them_too() {
    let tasks = block("bad1,good[1-3],bad2", "unreachable=skip")
        + COUNTED
        + "task=2\nexec=shell\ncommand=test -e mended\n"
        + &COUNTED.replace("task=1", "task=3");
    let sandbox = sandbox(&tasks);
    assert_eq!(tasker(&sandbox, &[]).code, 1);
    sandbox.file("mended", "");
    let ran = tasker(&sandbox, &["--resume"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains(SEEN), "{ran:?}");
    assert!(ran.stdout.contains("unreachable: 0 on bad[1-2]"), "{ran:?}");

    sandbox.file(
        "tasks.txt",
        tasks.replace("bad1", "one").replace("bad2", "two"),
    );
    let assume = ["--assume=0:one,two=unreachable", "tasks.txt"];
    let ran = sandbox.output(&assume);
    let end = "task 0: ok (3 ok; 2 unreachable: one,two)";
    assert!(ran.stdout.contains(end), "{ran:?}");
    let ran = sandbox.output(&["--assume=0=unreachable", "tasks.txt"]);
    assert!(ran.stdout.contains("exit code: 10"), "{ran:?}");
}

#[test]
fn a_run_in_which_nothing_was_reached_is_never_a_success() {
    let criteria = [
        "",
        "success=all_success",
        "success=max_failed=0",
        "success=max_failed=100%",
        "success=min_success=0",
        "success=failed_count=0",
        // Each host's.
        "success=true",
        "success=exit_255",
        "failure=exit_0",
        "success=total_count>=0",
        "failure=min_failed=1",
        "failure=failed_count>0",
        "next=max_failed=0",
        "next=failed_count=0",
    ];
    for unreachable in ["skip", "100%"] {
        for criterion in criteria {
            let keys = format!("unreachable={unreachable}\n{criterion}");
            let sandbox =
                sandbox(&(block("bad[1-2]", &keys) + "task=1\nexec=local\ncommand=touch ran\n"));
            let ran = tasker(&sandbox, &[]);
            assert_eq!(
                (ran.code, sandbox.exists("ran")),
                (10, false),
                "{keys}: {ran:?}"
            );
            let why = "2 hosts left out as unreachable, and nothing succeeded";
            assert!(ran.stdout.contains(why), "{keys}: {ran:?}");
        }
    }
}

#[test]
fn a_share_is_of_all_hosts_and_one_more_makes_all_of_them_failures() {
    // Four hosts: 25 % is one, 49 % is one, 50 % are two.
    for (share, unreachable, code) in [
        ("24%", 1, 10),
        ("25%", 1, 0),
        ("25%", 2, 10),
        ("49%", 2, 10),
        ("50%", 2, 0),
        ("50%", 3, 10),
        ("0%", 0, 0),
        ("0%", 1, 10),
        ("fail", 1, 10),
        ("skip", 3, 0),
    ] {
        let bad = (1..=unreachable).map(|n| format!("bad{n}"));
        let good = (unreachable + 1..=4).map(|n| format!("good{n}"));
        let hosts: Vec<String> = bad.chain(good).collect();
        let tasks = block(&hosts.join(","), &format!("unreachable={share}"));
        let sandbox = sandbox(&tasks);
        let ran = tasker(&sandbox, &[]);
        assert_eq!(ran.code, code, "{unreachable} of 4, {share}: {ran:?}");
    }
    // Both count once there is one too many, not only the second.
    let keys = "unreachable=25%\nsuccess=max_failed=1";
    let ran = tasker(&sandbox(&block("bad[1-2],good[1-2]", keys)), &[]);
    assert_eq!(ran.code, 10, "{ran:?}");
    // The criterion's total is without those left out, the counts are of all.
    let keys = "unreachable=50%\nsuccess=min_success=100% & total_count=4 & unreachable_count=2";
    let ran = tasker(&sandbox(&block("bad[1-2],good[1-2]", keys)), &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn aggregates_leave_them_out_and_counts_do_not() {
    // Two are ok, one fails, two are not reached and left out.
    for (criterion, holds) in [
        ("all_success", false),
        ("any_success", true),
        ("majority_success", true),
        ("min_success=66%", true),
        ("min_success=67%", false),
        ("min_success=3", false),
        ("max_success=2", true),
        ("min_failed=1", true),
        ("min_failed=2", false),
        ("max_failed=1", true),
        ("max_failed=0", false),
        ("max_failed=33%", false),
        ("max_failed=34%", true),
        ("total_count=5 & success_count=2", true),
        ("failed_count=1 & unreachable_count=2", true),
        ("cancelled_count=0 & unknown_count=0", true),
    ] {
        for key in ["success", "failure", "next"] {
            let keys = format!("unreachable=skip\n{key}={criterion}");
            let tasks = block("bad1,good[1-3],bad2", &keys);
            let tasks = tasks.replace("echo did @hostname@", "test @hostname@ != good3");
            let ran = tasker(&sandbox(&tasks), &[]);
            let ok = holds != (key == "failure");
            assert_eq!(ran.code == 0, ok, "{key}={criterion}: {ran:?}");
        }
    }
}

#[test]
fn fail_fast_does_not_count_hosts_that_are_left_out() {
    for (keys, code, hosts) in [
        ("unreachable=skip\nfail_fast=true", 0, "good1 good2"),
        ("unreachable=fail\nfail_fast=true", 10, ""),
        ("unreachable=fail\nfail_fast=1", 10, "good1"),
        ("unreachable=50%\nfail_fast=true", 0, "good1 good2"),
        ("unreachable=25%\nfail_fast=true", 10, "good1"),
        ("unreachable=25%\nfail_fast=1", 10, "good1"),
        ("unreachable=25%\nfail_fast=2", 10, "good1 good2"),
    ] {
        let keys = format!("max_parallel=1\n{keys}");
        let sandbox = sandbox(&block("bad1,good1,bad2,good2", &keys));
        let ran = tasker(&sandbox, &[]);
        assert_eq!(
            (ran.code, done(&sandbox).join(" ").as_str()),
            (code, hosts),
            "{keys}: {ran:?}"
        );
    }
}

#[test]
fn an_unreachable_canary_stops_the_block() {
    for unreachable in ["skip", "100%", "fail"] {
        for fail_fast in ["", "fail_fast=9"] {
            let keys = format!("waves=1,rest\nunreachable={unreachable}\n{fail_fast}");
            let sandbox = sandbox(&block("bad1,good[1-3]", &keys));
            let ran = tasker(&sandbox, &[]);
            assert_eq!((ran.code, done(&sandbox).len()), (10, 0), "{keys}: {ran:?}");
            assert!(
                ran.stdout.contains("1 unreachable, 3 not_started"),
                "{ran:?}"
            );
            assert!(
                ran.stdout
                    .contains("nothing in the previous wave succeeded"),
                "{ran:?}"
            );
        }
    }
    // A later wave stops it too, unless `fail_fast` decides.
    for (keys, code, hosts) in [
        ("", 10, "good1"),
        ("fail_fast=false", 10, "good1"),
        ("fail_fast=true", 0, "good1 good2"),
    ] {
        let keys = format!("waves=1\nunreachable=skip\n{keys}");
        let sandbox = sandbox(&block("good1,bad1,good2", &keys));
        let ran = tasker(&sandbox, &[]);
        assert_eq!(
            (ran.code, done(&sandbox).join(" ").as_str()),
            (code, hosts),
            "{keys}: {ran:?}"
        );
    }
}

#[test]
fn hosts_that_are_left_out_do_not_explain_a_failure() {
    let check = "task=15\nexec=local\ncommand=./unhealthy\n";
    let keys = "unreachable=skip\nwaves=2\nwave_check=15";
    let of_host = "     | ssh ";
    for (hosts, end, explains) in [
        ("bad1,good[1-3]", "wave_check failed: task 15", false),
        // Nothing succeeded: this is why the block failed.
        ("bad[1-4]", "(2 unreachable, 2 not_started)", true),
    ] {
        let sandbox = sandbox(&(block(hosts, keys) + check));
        sandbox.program("unhealthy", "#!/bin/sh\necho unhealthy\nexit 1\n");
        let ran = tasker(&sandbox, &["-q", "--report=r.html"]);
        assert_eq!(ran.code, 10, "{ran:?}");
        assert!(ran.stderr.contains(end), "{ran:?}");
        assert_eq!(ran.stderr.contains(of_host), explains, "{ran:?}");
        assert_eq!(
            ran.stderr.contains("= stdout: unhealthy"),
            !explains,
            "{ran:?}"
        );
    }
}
