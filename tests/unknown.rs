//! Connections that are lost while a command runs (SPEC §5): the outcome `unknown` and
//! the reason that ssh gave, in everything that is said about a run, and in its flow.
//! And the time of connecting, which is none of a command's.
//!
//! A stand-in for `ssh` runs the wrapper here, in a session of its own as on a host. It
//! loses the connection to a host when there is a file `cut-HOST`, does not reach hosts
//! called `gone…`, and takes a while to reach those called `slow…`.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};
use support::{Ran, Sandbox, processes_with, signal, wait_for};

const SSH: &str = r#"#!/bin/sh
for a; do case $a in web*|gone*|slow*) host=$a;; esac; done
case $host in
gone*) echo "ssh: connect to host $host port 22: No route to host" >&2; exit 255;;
slow*) sleep 3;;
esac
shift $(($# - 1))
exec 3<&0
setsid sh -c "$1" <&3 3<&- &
there=$!
exec 3<&-
while kill -0 $there 2>/dev/null; do
    if [ -e "cut-$host" ]; then
        pkill -KILL -s $there || kill -KILL -- -$there
        rm "cut-$host"
        echo "Connection to $host closed by remote host." >&2
        exit 255
    fi
    sleep 0.05
done
wait $there
"#;
const REASON: &str = "Connection to web2 closed by remote host.";

fn sandbox(tasks: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.program("bin/ssh", SSH);
    sandbox.file("tasks.txt", tasks);
    sandbox
}

fn tasker(sandbox: &Sandbox, options: &[&str]) -> Command {
    let all = [&["--skip-host-validation"], options, &["tasks.txt"]].concat();
    let path = format!("{}/bin:/usr/bin:/bin", sandbox.path.display());
    let mut tasker = sandbox.tasker(&all);
    tasker.env("PATH", path);
    tasker
}

fn run(sandbox: &Sandbox, options: &[&str]) -> Ran {
    let options = [&["-r"], options].concat();
    Ran::from(tasker(sandbox, &options).output().expect("tasker runs"))
}

/// A command on a host that writes down that it ran, and whose connection is lost on
/// `web2` unless there is a file `fine`.
const LOSING: &str = "exec=ssh-shell\ncommand=echo @hostname@ >>did; echo begun @hostname@; \
    [ @hostname@ != web2 -o -e fine ] || { touch cut-web2; sleep 5; }\n";

fn on_host(id: u32, host: &str, keys: &str) -> String {
    format!("task={id}\nhostname={host}\n{LOSING}{keys}\n")
}

fn block(hosts: &str, keys: &str) -> String {
    format!("task=0\ntype=parallel\nhostnames={hosts}\n{LOSING}{keys}\n")
}

/// The hosts on which the command ran, in order of name.
fn did(sandbox: &Sandbox) -> String {
    let text = sandbox.read("did");
    let mut hosts: Vec<&str> = text.lines().collect();
    hosts.sort_unstable();
    hosts.join(" ")
}

/// What a Python expression says about the results `r` and events `e` of a run.
fn read(sandbox: &Sandbox, expression: &str) -> String {
    let script = format!(
        "import json; r = json.load(open('j'))['task_results']; \
         e = [json.loads(l) for l in open('ev')]; print({expression})"
    );
    let mut python = Command::new("python3");
    let output = python
        .args(["-c", &script])
        .current_dir(&sandbox.path)
        .output();
    let ran = Ran::from(output.expect("python3 runs"));
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.stdout.trim().to_string()
}

const RECORDS: [&str; 2] = ["--output-json=j", "--events=ev"];

// What is said.

#[test]
fn a_lost_connection_is_unknown_wherever_a_host_is_seen() {
    let counted = "task=1\nexec=local\ncommand=echo [@0_outcome@ @0_stdout@] \
        @0_success_count@+@0_failed_count@+@0_timeout_count@+@0_unreachable_count@\
        +@0_cancelled_count@+@0_not_started_count@+@0_skipped_count@+@0_unknown_count@=@0_total_count@ \
        ok:@0_ok_hosts@ failed:@0_failed_hosts@ unreachable:@0_unreachable_hosts@ \
        unknown:@0_unknown_hosts@ not_ok:@0_not_ok_hosts@\n";
    let sandbox = sandbox(&(block("web[1-3],gone1", "next=always") + counted));
    let written = ["--report=r.html", "--metrics=m.prom"];
    let ran = run(&sandbox, &[&RECORDS[..], &written].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    let all = format!("{}{}", ran.stdout, ran.stderr);
    let gone = "ssh: connect to host gone1 port 22: No route to host";
    for text in [
        "task 0: failed (2 ok, 1 unreachable, 1 unknown)",
        &format!("  web2 (1): unknown: {REASON}\n    | begun web2\n"),
        &format!("  gone1 (1): unreachable: {gone}\n"),
        "[failed 2/4 succeeded] 2+0+0+1+0+0+0+1=4 ok:web[1,3] failed:web2 unreachable:gone1 \
         unknown:web2 not_ok:gone1,web2",
        "tasker: unknown: 0 on web2\n",
    ] {
        assert!(all.contains(text), "{text}\n{all}");
    }
    let log = sandbox.log();
    for line in [
        format!("Task 0.2 web2 ended: unknown ({REASON}), exit code 255, "),
        format!("Task 0.4 gone1 ended: unreachable ({gone}), exit code 255, "),
        format!("Task 0: web2 (1): unknown: {REASON}\n"),
    ] {
        assert!(log.contains(&line), "{line}\n{log}");
    }
    let of_host = "[(h['outcome'], h['exit_code'], h['cause']) for h in r['0']['hosts'][1::2]]";
    let known = format!("[('unknown', 255, '{REASON}'), ('unreachable', 255, '{gone}')]");
    assert_eq!(read(&sandbox, of_host), known);
    let of_event = "sorted((l['outcome'], l['exit_code'], l['cause']) for l in e if \
        l['event'] == 'task_finished' and l['exit_code'])";
    assert_eq!(read(&sandbox, of_event), known);
    let counts = "[l['counts']['unknown'] for l in e if l['event'] == 'block_finished']";
    assert_eq!(read(&sandbox, counts), "[1]");
    let page = sandbox.read("r.html");
    assert!(page.contains(REASON) && page.contains(gone));
    assert!(page.contains("data-o=\"unknown\""));
    let metrics = sandbox.read("m.prom");
    let of_hosts = |l: &&str| l.starts_with("tasker_last_run_hosts") && l.contains("\"unknown\"");
    let line = metrics.lines().find(of_hosts).unwrap_or_default();
    assert!(line.ends_with(" 1"), "{metrics}");
}

#[test]
fn the_reason_is_in_the_mail() {
    // One task: its exit code is that of the run.
    let sandbox = sandbox(&on_host(1, "web2", ""));
    let ran = run(&sandbox, &["-q"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (255, ""), "{ran:?}");
    let sentence = format!("task 1 on web2 unknown ({REASON}) after ");
    assert!(ran.stderr.contains(&sentence), "{ran:?}");
    assert!(ran.stderr.contains("= stdout: begun web2\n"), "{ran:?}");
    sandbox.file("tasks.txt", on_host(1, "gone1", ""));
    let ran = run(&sandbox, &["-q"]);
    assert_eq!(ran.code, 255, "{ran:?}");
    let gone = "task 1 on gone1 unreachable (ssh: connect to host gone1 port 22: No route to host)";
    assert!(ran.stderr.contains(gone), "{ran:?}");
    // A block's exit code is 10.
    sandbox.file("tasks.txt", block("web[1-3]", ""));
    let ran = run(&sandbox, &["-q"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (10, ""), "{ran:?}");
    let of_host = format!("web2 (1): unknown: {REASON}\n");
    assert!(ran.stderr.contains(&of_host), "{ran:?}");
}

#[test]
fn hosts_that_were_not_reached_for_the_same_reason_are_one_line() {
    let sandbox = sandbox(&block("web1,gone[1-3]", ""));
    let line = "gone[1-3] (3): unreachable: ssh: connect to host HOST port 22: No route to host\n";
    let ran = run(&sandbox, &["-q"]);
    assert_eq!(ran.code, 10, "{ran:?}");
    assert!(ran.stderr.contains(line), "{ran:?}");
    assert!(sandbox.log().contains(line), "{}", sandbox.log());
    let ran = run(&sandbox, &[]);
    assert!(ran.stdout.contains(line), "{ran:?}");
}

// What the flow does.

#[test]
fn a_criterion_decides_about_what_is_unknown() {
    let went_on = "task=2\nexec=local\ncommand=touch went-on\n";
    for (keys, code) in [
        ("", 255),
        ("success=exit_0", 255),
        ("success=exit_0|unknown", 0),
        ("success=exit_0|timeout", 255),
        ("success=exit_0|unreachable", 255),
        // Nobody knows how it ended, but a criterion that holds, holds.
        ("success=exit_0|exit_255", 0),
        ("success=stdout ~ begun", 0),
        ("failure=unknown", 255),
        // That it did not fail in a certain way says nothing about it.
        ("failure=exit_0", 255),
        ("failure=exit_1|stderr ~ fatal", 255),
        ("failure=exit_0|!unknown", 0),
        ("next=unknown", 0),
        ("next=!unknown", 255),
        ("next=success", 255),
        ("next=always", 0),
    ] {
        let sandbox = sandbox(&(on_host(1, "web2", keys) + went_on));
        let ran = run(&sandbox, &[]);
        assert_eq!(ran.code, code, "{keys}: {ran:?}");
        assert_eq!(sandbox.exists("went-on"), code == 0, "{keys}: {ran:?}");
        assert_eq!(did(&sandbox), "web2", "{keys}");
    }
    // Of a block: each host's, and the block's.
    for (keys, code) in [
        ("success=exit_0|unknown", 0),
        ("success=max_failed=0", 10),
        ("success=max_failed=1", 0),
        ("success=unknown_count <= 1 & failed_count = 0", 0),
        ("success=unknown_count = 0", 10),
        ("unreachable=skip", 10),
        ("unreachable=50%", 10),
    ] {
        let ran = run(&sandbox(&(block("web[1-3]", keys) + went_on)), &[]);
        assert_eq!(ran.code, code, "{keys}: {ran:?}");
    }
}

#[test]
fn what_may_have_been_done_is_retried_only_by_name() {
    for (keys, times) in [
        ("", 1),
        ("retry_on=failed,unreachable,timeout", 1),
        ("retry_on=255", 1),
        ("retry_on=unknown", 3),
        ("retry_on=failed,unknown", 3),
    ] {
        let keys = format!("retry_count=2\nretry_delay=0\n{keys}");
        let once = sandbox(&on_host(1, "web2", &keys));
        let ran = run(&once, &[]);
        assert_eq!(ran.code, 255, "{keys}: {ran:?}");
        assert_eq!(did(&once), vec!["web2"; times].join(" "), "{keys}");
        let many = sandbox(&block("web[2-3]", &keys));
        let ran = run(&many, &[]);
        assert_eq!(ran.code, 10, "{keys}: {ran:?}");
        let all = [vec!["web2"; times], vec!["web3"]].concat().join(" ");
        assert_eq!(did(&many), all, "{keys}");
    }
}

/// What it printed until then is no missing result, and its fields say what is known.
#[test]
fn what_it_printed_is_a_result() {
    let tasks = on_host(1, "web2", "next=always")
        + "task=2\nexec=local\n\
           command=echo [@1_stdout@ @1_outcome@ @1_exit@ @1_success@ @1_attempts@]\n";
    let ran = run(&sandbox(&tasks), &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let fields = "[begun web2 unknown 255 false 1]";
    assert!(ran.stdout.contains(fields), "{ran:?}");
}

#[test]
fn fail_fast_counts_it() {
    let sandbox = sandbox(&block(
        "web[2-5]",
        "fail_fast=true\nmax_parallel=1\nunreachable=skip",
    ));
    let ran = run(&sandbox, &[]);
    assert_eq!(ran.code, 10, "{ran:?}");
    assert_eq!(did(&sandbox), "web2");
    let end = "task 0: failed (3 not_started, 1 unknown)";
    assert!(ran.stdout.contains(end), "{ran:?}");
}

#[test]
fn a_rehearsal_can_assume_it() {
    let sandbox = sandbox(
        &(on_host(1, "web1", "on_failure=90") + "task=90\nexec=local\ncommand=true\nreturn=3\n"),
    );
    let rehearse = |what: &str| {
        let output = tasker(&sandbox, &["--assume", what]).output();
        Ran::from(output.expect("tasker runs"))
    };
    let ran = rehearse("1=unknown");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("unknown"), "{ran:?}");
    assert!(ran.stdout.contains("exit code: 3"), "{ran:?}");
    let ran = rehearse("1=unknwon");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("did you mean `unknown`?"), "{ran:?}");
}

// The next run.

#[test]
fn it_is_named_before_it_runs_again() {
    let sandbox = sandbox(&block("web[1-3]", ""));
    let first = run(&sandbox, &[]);
    assert_eq!(first.code, 10, "{first:?}");
    let status = sandbox.output(&["--status", "tasks.txt"]);
    assert!(status.stdout.contains("failed: task 0"), "{status:?}");
    sandbox.file("fine", "");
    sandbox.file("did", "");
    let ran = run(&sandbox, &["--resume"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let named = "may have been done already, and runs again: 0 on web2\n";
    assert!(
        format!("{}{}", ran.stdout, ran.stderr).contains(named),
        "{ran:?}"
    );
    assert_eq!(did(&sandbox), "web2");
    // The same for a task.
    std::fs::remove_file(sandbox.path.join("fine")).expect("removed");
    sandbox.file(
        "tasks.txt",
        on_host(1, "web1", "") + &on_host(2, "web2", ""),
    );
    assert_eq!(run(&sandbox, &[]).code, 255);
    sandbox.file("fine", "");
    sandbox.file("did", "");
    let ran = run(&sandbox, &["--resume"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let named = "may have been done already, and runs again: 2 on web2\n";
    assert!(
        format!("{}{}", ran.stdout, ran.stderr).contains(named),
        "{ran:?}"
    );
    assert_eq!(did(&sandbox), "web2");
}

#[test]
fn the_next_run_can_choose_it() {
    let sandbox = sandbox(&block("web[1-3],gone1", ""));
    assert_eq!(run(&sandbox, &[]).code, 10);
    for (limit, hosts) in [
        ("last:failed", "web2"),
        ("last:not_ok", "web2"),
        ("last:unreachable", ""),
    ] {
        sandbox.file("did", "");
        let ran = run(&sandbox, &["--limit", limit]);
        assert_eq!(ran.code, 10, "{limit}: {ran:?}");
        assert_eq!(did(&sandbox), hosts, "{limit}");
    }
}

// The time of connecting.

#[test]
fn connecting_is_told_apart_from_running() {
    let tasks = block("slow1,web1,gone1", "unreachable=skip")
        + "task=1\nexec=local\ncommand=true\n\
           task=2\nhostname=slow1\nexec=ssh\ncommand=echo x\n";
    let sandbox = sandbox(&tasks);
    let ran = run(&sandbox, &[&RECORDS[..], &["--report=r.html"]].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    let hosts = "[(h['hostname'], h['connect_seconds'] is not None, \
        h['connect_start_time'] is not None) for h in r['0']['hosts']]";
    assert_eq!(
        read(&sandbox, hosts),
        "[('slow1', True, True), ('web1', True, True), ('gone1', False, False)]"
    );
    let here = "r['1']['connect_seconds'], r['1']['connect_start_time']";
    assert_eq!(read(&sandbox, here), "None None");
    // When it began to connect, and when its command began there.
    let between = "(lambda h, d: abs(round((d(h['start_time']) - d(h['connect_start_time']))\
        .total_seconds() - h['connect_seconds'], 1)))\
        (r['2'], __import__('datetime').datetime.fromisoformat)";
    assert_eq!(read(&sandbox, between), "0.0");
    let events = "[l['event'] for l in e if l.get('host') == 'slow1' and l['task'] == 2]";
    assert_eq!(
        read(&sandbox, events),
        "['task_started', 'connected', 'task_finished']"
    );
    let answered = "sorted(l['host'] for l in e if l['event'] == 'connected')";
    assert_eq!(read(&sandbox, answered), "['slow1', 'slow1', 'web1']");
    let connects = "[l['connects'] for l in e if l['event'] == 'task_started' and l['task'] > 0]";
    assert_eq!(read(&sandbox, connects), "[False, True]");
    // It took three seconds to answer, which are not of its command.
    let times = "(lambda s, c, f, t: (f['connect_seconds'] > 2.9, \
        f['duration_seconds'] < t(f) - t(s) - 2.8, r['2']['duration'] == f['duration_seconds']))\
        (*[l for l in e if l.get('host') == 'slow1' and l['task'] == 2], \
        lambda l: __import__('datetime').datetime.fromisoformat(l['time']).timestamp())";
    assert_eq!(read(&sandbox, times), "(True, True, True)");
    let log = sandbox.log();
    assert!(log.contains(" after connecting "), "{log}");
    assert!(sandbox.read("r.html").contains("connects to its host"));
}

/// While it connects it is neither slow nor the slowest, and `--status` says what it does.
#[test]
fn a_host_that_connects_is_not_slow() {
    let tasks = "task=0\ntype=parallel\nhostnames=slow1,web1\nexec=ssh\n\
                 command=sh -c 'touch at-@hostname@; while [ ! -e go ]; do sleep 0.1; done'\n";
    let sandbox = sandbox(tasks);
    let ssh = SSH.replace(
        "slow*) sleep 3;;",
        "slow*) while [ ! -e answer ]; do sleep 0.1; done;;",
    );
    sandbox.program("bin/ssh", &ssh);
    let child = tasker(&sandbox, &["-r"]).spawn().expect("tasker runs");
    wait_for("the other host", || sandbox.exists("at-web1"));
    let status = || {
        let ran = sandbox.output(&["--status", "tasks.txt"]);
        ran.stdout
    };
    let row = |host: &str| {
        let text = status();
        let line = text.lines().find(|l| l.trim_start().starts_with(host));
        line.unwrap_or_default().trim().to_string()
    };
    wait_for("its status", || row("web1").starts_with("web1 since "));
    assert!(
        row("slow1").starts_with("slow1 connecting since "),
        "{}",
        status()
    );
    signal(child.id(), "USR1");
    sandbox.file("answer", "");
    wait_for("the slow host", || sandbox.exists("at-slow1"));
    wait_for("its status", || row("slow1").starts_with("slow1 since "));
    sandbox.file("go", "");
    let ran = Ran::from(child.wait_with_output().expect("tasker ends"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("\n  slow1 connecting 0:0"), "{ran:?}");
    assert!(ran.stderr.contains("\n  web1 0:0"), "{ran:?}");
}

#[test]
fn a_deadline_counts_connecting() {
    let block = "task=0\ntype=parallel\nhostnames=web[1-2]\nexec=ssh\ncommand=true\ntimeout=10\n";
    let sandbox = sandbox(block);
    sandbox.file("tasker.conf", "connect_timeout=30\n");
    let until = |time: &str| run(&sandbox, &["--config=tasker.conf", "--deadline", time]);
    let ran = until("+35s");
    assert_eq!(ran.code, 15, "{ran:?}");
    assert!(ran.stdout.contains("does not fit (needs 40 s, "), "{ran:?}");
    let ran = until("+60s");
    assert_eq!(ran.code, 0, "{ran:?}");
    // Each attempt connects.
    sandbox.file(
        "tasks.txt",
        format!("{block}retry_count=1\nretry_delay=1\n"),
    );
    let ran = until("+75s");
    assert!(ran.stdout.contains("does not fit (needs 81 s, "), "{ran:?}");
    // Nothing here connects.
    sandbox.file("tasks.txt", block.replace("exec=ssh", "exec=local"));
    assert_eq!(until("+35s").code, 0);
    let plan = |conf: &str| {
        sandbox.file("tasks.txt", block);
        sandbox.file("tasker.conf", conf);
        let shown = tasker(&sandbox, &["--config=tasker.conf"]).output();
        Ran::from(shown.expect("tasker runs")).stdout
    };
    assert!(plan("").contains("at worst 41 s"), "{}", plan(""));
    let longer = plan("connect_timeout=2m\n");
    assert!(longer.contains("at worst 2 m 21 s"), "{longer}");
}

// What could not be ended.

/// A program that becomes root, so that tasker, run by another user, cannot signal it.
/// `None` where there is none.
fn with_root_helper(tasks: &str, options: &[&str], until: Option<&str>) -> Option<(Sandbox, Ran)> {
    let sandbox = Sandbox::new();
    let helper = sandbox.path.join("setpriv");
    std::fs::copy("/usr/bin/setpriv", &helper).ok()?;
    let mode = std::fs::Permissions::from_mode(0o4755);
    std::fs::set_permissions(&helper, mode).ok()?;
    let tasker = sandbox.path.join("tasker");
    std::fs::copy(env!("CARGO_BIN_EXE_tasker"), &tasker).expect("the program");
    sandbox.file("tasker.conf", "kill_after=0.5\n");
    sandbox.file("tasks.txt", tasks);
    sandbox.program("bin/pbrun", "#!/bin/sh\nshift 3; exec \"$@\"\n");
    std::os::unix::fs::chown(&sandbox.path, Some(54321), Some(54321)).ok()?;
    let ran = as_other_user(&sandbox, options, until);
    let refused = format!("{}{}", ran.stdout, ran.stderr).contains("setpriv: ");
    (!refused).then_some((sandbox, ran))
}

/// Runs tasker as another user; when a file `until` is there, it gets SIGTERM.
fn as_other_user(sandbox: &Sandbox, options: &[&str], until: Option<&str>) -> Ran {
    let path = format!("{}/bin:/usr/bin:/bin", sandbox.path.display());
    let mut command = Command::new(sandbox.path.join("tasker"));
    command
        .args(["-r", "--config=tasker.conf", "--skip-host-validation"])
        .args(options)
        .arg("tasks.txt")
        .env_clear()
        .env("PATH", path)
        .env("HOME", &sandbox.path)
        .current_dir(&sandbox.path)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .uid(54321)
        .gid(54321);
    let deadline = Instant::now() + Duration::from_secs(10);
    let child = loop {
        match command.spawn() {
            // Another test can still hold the copy open for writing.
            Err(e) if e.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                assert!(Instant::now() < deadline, "{e}");
            }
            child => break child.expect("tasker runs"),
        }
    };
    if let Some(file) = until {
        wait_for("the command", || sandbox.exists(file));
        signal(child.id(), "TERM");
    }
    Ran::from(child.wait_with_output().expect("tasker ends"))
}

fn end_all(words: &str) {
    for pid in processes_with(words) {
        signal(pid, "KILL");
    }
}

const AS_ROOT: &str = "./setpriv --reuid=0 --regid=0 --clear-groups";

/// Nobody ever knows how a command ended that another program took to its host.
#[test]
fn a_timeout_of_pbrun_stays_a_timeout() {
    let tasks =
        format!("task=1\nhostname=web1\nexec=pbrun\ntimeout=1\ncommand={AS_ROOT} sleep 7400.5\n");
    let Some((sandbox, ran)) = with_root_helper(&tasks, &[], None) else {
        return;
    };
    end_all("7400.5");
    assert_eq!(ran.code, 124, "{ran:?}");
    let log = sandbox.log();
    assert!(
        log.contains("Task 1 web1 ended: timeout, exit code 124"),
        "{log}"
    );
    assert!(
        log.contains("[WARN] Task 1: the command may still be running on the host"),
        "{log}"
    );
}

/// What a signal cut short and may go on runs again, as what was cut short does, and is
/// named before.
#[test]
fn what_a_signal_did_not_end_is_named_before_it_runs_again() {
    let tasks = format!(
        "task=1\nexec=shell\ntimeout=60\non_failure=90\nsuccess=exit_0|unknown\n\
         command=echo x >>did; [ -e fine ] || {{ touch at-it; exec {AS_ROOT} sleep 7401.5; }}\n\
         task=90\nexec=local\ncommand=touch handled\n"
    );
    let Some((sandbox, ran)) = with_root_helper(&tasks, &[], Some("at-it")) else {
        return;
    };
    end_all("7401.5");
    assert_eq!(ran.code, 143, "{ran:?}");
    assert!(
        ran.stdout.contains("unknown (could not be ended"),
        "{ran:?}"
    );
    sandbox.file("fine", "");
    let ran = as_other_user(&sandbox, &["--resume"], None);
    assert_eq!(ran.code, 0, "{ran:?}");
    let named = "may have been done already, and runs again: 1\n";
    assert!(
        format!("{}{}", ran.stdout, ran.stderr).contains(named),
        "{ran:?}"
    );
    assert_eq!(sandbox.read("did"), "x\nx\n");
    assert!(!sandbox.exists("handled"), "{ran:?}");
}
