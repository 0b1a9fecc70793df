//! Blocks under bad conditions: missing programs, a machine short of resources,
//! signals (SPEC §4.3, §6.5), and what is reported then.

mod support;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};
use support::{Ran, Sandbox, finish, processes_with, signal, wait_for};

/// Ends once the file `go` exists; its process id is recorded.
const GATE: &str = "#!/bin/sh\necho \"$1\" >>begun\n\
     while ! [ -e go ]; do sleep 0.3; done\necho \"$1 is over\"\n";

fn count_started(sandbox: &Sandbox) -> usize {
    sandbox.read("begun").lines().count()
}

/// How each subtask ended, from the log lines `Task 0.3 h3 ended: ok, …`.
fn outcomes_in(log: &str) -> BTreeMap<String, Vec<String>> {
    let mut ended: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in log.lines() {
        let about = line.split_once("] Task 0.").map_or("", |(_, rest)| rest);
        if let Some((who, how)) = about.split_once(" ended: ") {
            let word = how.split([',', ' ']).next().unwrap_or_default();
            ended.entry(who.to_string()).or_default().push(word.into());
        }
    }
    ended
}

/// tasker under a shell that first sets a limit.
fn run_with_limit(sandbox: &Sandbox, limit: &str, tasks: &str) -> Ran {
    sandbox.file("tasks.txt", tasks);
    let plain = sandbox.tasker(&["-r", "tasks.txt"]);
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(format!("{limit} && exec \"$0\" \"$@\""));
    shell.arg(plain.get_program()).args(plain.get_args());
    shell.current_dir(&sandbox.path).env_clear();
    for (name, value) in plain.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    Ran::from(shell.output().expect("sh runs"))
}

// A machine that lacks something.

#[test]
fn a_program_missing_on_one_host_of_a_hundred() {
    let sandbox = Sandbox::new();
    for host in (1..=100).filter(|n| *n != 57) {
        std::os::unix::fs::symlink("/bin/true", sandbox.path.join(format!("p{host:03}")))
            .expect("a link");
    }
    let tasks = "task=0\ntype=parallel\nhostnames=[001-100]\n".replace("[001-100]", "p[001-100]")
        + "exec=local\ncommand=./@hostname@\nnext=max_failed=1\n";
    let ran = sandbox.run(&tasks, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stdout.contains("  p[001-056,058-100] (99): ok\n"),
        "{ran:?}"
    );
    assert!(
        ran.stdout
            .contains("  p057 (1): exit 127: ./p057: no such program\n"),
        "{ran:?}"
    );
}

#[test]
fn few_descriptors_only_slow_a_block_down() {
    let sandbox = Sandbox::new();
    let tasks = "task=0\ntype=parallel\nhostnames=h[001-200]\nexec=local\n\
                 command=sh -c \"echo here; sleep 0.05\"\nmax_parallel=100\n";
    let ran = run_with_limit(&sandbox, "ulimit -n 60", tasks);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("h[001-200] (200): ok: here"), "{ran:?}");
}

#[test]
fn few_processes_only_slow_a_block_down() {
    let sandbox = Sandbox::new();
    let id = Command::new("id").arg("-u").output().expect("id runs");
    let setpriv = Command::new("setpriv").arg("--version").output();
    if id.stdout != b"0\n" || setpriv.is_err() {
        // The limit counts all processes of a user and does not apply to root: only
        // root can become a user reserved for the test.
        return;
    }
    let user = 60_000 + std::process::id() % 5_000;
    let tasker = sandbox.path.join("tasker");
    std::fs::copy(env!("CARGO_BIN_EXE_tasker"), &tasker).expect("a copy");
    sandbox.file(
        "tasks.txt",
        "task=0\ntype=parallel\nhostnames=h[001-200]\nexec=local\n\
         command=sleep 0.05\nmax_parallel=100\ntimeout=5\n",
    );
    let chown = Command::new("chown")
        .arg("-R")
        .arg(user.to_string())
        .arg(&sandbox.path)
        .status();
    assert!(chown.expect("chown runs").success());
    let output = Command::new("prlimit")
        .args(["--nproc=40", "setpriv", "--clear-groups"])
        .args([format!("--reuid={user}"), format!("--regid={user}")])
        .arg(&tasker)
        .args(["-r", "tasks.txt"])
        .current_dir(&sandbox.path)
        .env("HOME", &sandbox.path)
        .output();
    let ran = Ran::from(output.expect("prlimit runs"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("h[001-200] (200): ok\n"), "{ran:?}");
}

#[test]
fn a_limit_that_never_lifts_fails_clearly() {
    let sandbox = Sandbox::new();
    let tasks = "task=0\ntype=parallel\nhostnames=h[1-3]\nexec=local\ncommand=true\ntimeout=1\n";
    let ran = run_with_limit(&sandbox, "ulimit -n 12", tasks);
    assert_ne!(ran.code, 0, "{ran:?}");
    let output = format!("{}{}", ran.stdout, ran.stderr);
    assert!(output.contains("Too many open files"), "{output}");
}

#[test]
fn a_subtask_that_kills_its_own_group_ends_no_other() {
    let sandbox = Sandbox::new();
    let tasks = "task=0\ntype=parallel\nhostnames=h[1-8]\nexec=shell\n\
                 command=echo from @hostname@; if [ @hostname@ = h3 ]; then kill -9 0; fi; sleep 0.1\n\
                 next=max_failed=1\n\
                 task=1\nexec=local\ncommand=echo @0_failed_hosts@ @0_success_count@\n";
    let ran = sandbox.run(tasks, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("  | h3 7\n"), "{ran:?}");
    assert!(ran.stdout.contains("h3 (1): exit 137: from h3"), "{ran:?}");
}

// Signals.

#[test]
fn one_sigterm_ends_two_hundred_commands() {
    let sandbox = Sandbox::new();
    sandbox.program(
        "gate",
        &GATE.replace(
            "while",
            "case $1 in h00?) echo \"$1 was quick\"; exit;; esac\nwhile",
        ),
    );
    let tasks = "task=0\ntype=parallel\nhostnames=h[001-300]\nexec=local\ncommand=./gate @hostname@\n\
                 max_parallel=200\n";
    let child = sandbox.start(tasks, &[]);
    wait_for("200 that wait", || count_started(&sandbox) == 209);
    signal(child.id(), "TERM");
    let ran = finish(child);
    assert_eq!(ran.code, 143, "{ran:?}");
    assert!(
        ran.stdout
            .contains("cancelled (9 ok, 200 cancelled, 91 not_started)"),
        "{ran:?}"
    );
    let log = sandbox.log();
    let ended = outcomes_in(&log);
    assert_eq!(ended.len(), 209, "all that ran have a result");
    assert!(ended.values().all(|words| words.len() == 1), "one each");
    assert_eq!(ended.values().filter(|w| w[0] == "ok").count(), 9);
    assert!(
        log.contains("Task 0.4 h004 stdout| h004 was quick"),
        "{log}"
    );
    assert!(
        log.contains("(91): not_started (tasker got SIGTERM)"),
        "{log}"
    );
    let home = sandbox.path.display().to_string();
    assert_eq!(processes_with(&home), Vec::<u32>::new(), "nothing is left");
}

#[test]
fn a_sigint_drains_and_a_second_one_ends() {
    for twice in [false, true] {
        let sandbox = Sandbox::new();
        sandbox.program("gate", GATE);
        let tasks = "task=0\ntype=parallel\nhostnames=h[1-6]\nexec=local\ncommand=./gate @hostname@\n\
                     max_parallel=3\nwaves=4,rest\nwave_pause=60\n\
                     task=1\nexec=local\ncommand=touch never\n\
                     task=9\nexec=local\ncommand=touch final\nfinally=true\n";
        let child = sandbox.start(tasks, &[]);
        wait_for("three that wait", || count_started(&sandbox) == 3);
        signal(child.id(), "INT");
        wait_for("the signal in the log", || {
            sandbox.log().contains("SIGINT (Drain)")
        });
        if twice {
            signal(child.id(), "INT");
        } else {
            sandbox.file("go", "");
        }
        let ran = finish(child);
        assert_eq!(ran.code, 130, "{ran:?}");
        let counts = if twice {
            "cancelled (3 cancelled, 3 not_started)"
        } else {
            "cancelled (3 ok, 3 not_started)"
        };
        assert!(ran.stdout.contains(counts), "{ran:?}");
        assert!(
            ran.stderr.contains(
                "still running: task 0.1 on h1, task 0.2 on h2, task 0.3 on h3; press Ctrl-C again"
            ),
            "{ran:?}"
        );
        assert_eq!(count_started(&sandbox), 3);
        assert!(!sandbox.exists("never"));
        assert!(sandbox.exists("final"), "final tasks run: {ran:?}");
    }
}

#[test]
fn retries_that_wait_end_with_the_signal_and_with_the_deadline() {
    for (keys, code, counts) in [
        ("", 143, "cancelled (4 failed)"),
        ("block_timeout=1\n", 10, "failed (4 failed)"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.program("gate", "#!/bin/sh\necho $1 >>begun\nexit 6\n");
        let tasks = format!(
            "task=0\ntype=parallel\nhostnames=h[1-4]\nexec=local\ncommand=./gate @hostname@\n\
             retry_count=3\nretry_delay=5m\n{keys}"
        );
        let child = sandbox.start(&tasks, &[]);
        if keys.is_empty() {
            wait_for("four retries", || {
                log_so_far(&sandbox).matches("retry 1 of 3").count() == 4
            });
            signal(child.id(), "TERM");
        }
        let ran = finish(child);
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.stdout.contains(counts), "{ran:?}");
        assert!(
            ran.stdout.contains("h[1-4] (4): exit 6"),
            "the last result: {ran:?}"
        );
        assert_eq!(count_started(&sandbox), 4);
    }
}

/// The log, or an empty text while there is none.
fn log_so_far(sandbox: &Sandbox) -> String {
    match sandbox.exists("TASKER/logs") {
        true => sandbox.log(),
        false => String::new(),
    }
}

#[test]
fn a_signal_between_waves_starts_no_further_wave() {
    let sandbox = Sandbox::new();
    let tasks = "task=0\ntype=parallel\nhostnames=h[1-4]\nexec=local\ncommand=true\n\
                 waves=2,rest\nwave_pause=10m\n";
    let child = sandbox.start(tasks, &[]);
    wait_for("the pause", || log_so_far(&sandbox).contains("sleeping"));
    signal(child.id(), "INT");
    let ran = finish(child);
    assert_eq!(ran.code, 130, "{ran:?}");
    assert!(
        ran.stdout.contains("cancelled (2 ok, 2 not_started)"),
        "{ran:?}"
    );
}

#[test]
fn a_third_sigint_kills_what_is_still_running() {
    let sandbox = Sandbox::new();
    sandbox.program(
        "gate",
        &GATE.replace("echo \"$1\"", "trap '' TERM INT; echo \"$1\""),
    );
    let tasks = "task=0\ntype=parallel\nhostnames=h[1-20]\nexec=local\ncommand=./gate @hostname@\nmax_parallel=10\n";
    let child = sandbox.start(tasks, &[]);
    wait_for("ten that wait", || count_started(&sandbox) == 10);
    signal(child.id(), "INT");
    wait_for("the drain", || sandbox.log().contains("(Drain)"));
    let told_to_end = Instant::now();
    signal(child.id(), "INT");
    wait_for("the end", || sandbox.log().contains("(End)"));
    signal(child.id(), "INT");
    let ran = finish(child);
    assert_eq!(ran.code, 130, "{ran:?}");
    let took = told_to_end.elapsed();
    assert!(took < Duration::from_secs(5), "by itself it takes 5 s");
    assert!(sandbox.log().contains("SIGINT (Kill)"));
    assert!(
        ran.stdout
            .contains("cancelled (10 cancelled, 10 not_started)"),
        "{ran:?}"
    );
    let home = sandbox.path.display().to_string();
    wait_for("the end of all", || processes_with(&home).is_empty());
}

#[test]
fn a_drain_that_skips_nothing_leaves_the_block_as_it_is() {
    for (exit, ending) in [(0, "0: ok (2 ok)"), (4, "0: failed (2 failed)")] {
        let sandbox = Sandbox::new();
        sandbox.program("gate", &format!("{GATE}exit {exit}\n"));
        let tasks = "task=0\ntype=parallel\nhostnames=h[1-2]\nexec=local\ncommand=./gate @hostname@\n\
                     task=1\nexec=local\ncommand=touch never\n";
        let child = sandbox.start(tasks, &[]);
        wait_for("both that wait", || count_started(&sandbox) == 2);
        signal(child.id(), "INT");
        wait_for("the signal in the log", || {
            sandbox.log().contains("(Drain)")
        });
        sandbox.file("go", "");
        let ran = finish(child);
        assert_eq!(ran.code, 130, "{ran:?}");
        assert!(ran.stdout.contains(ending), "{ran:?}");
        assert!(!sandbox.exists("never"));
    }
}

#[test]
fn a_signal_ends_a_wave_check_and_its_retries() {
    for (check, keys) in [
        (GATE, ""),
        (
            "#!/bin/sh\necho $1 >>begun\nexit 3\n",
            "retry_count=5\nretry_delay=10m\n",
        ),
    ] {
        let sandbox = Sandbox::new();
        sandbox.program("check", check);
        let tasks = format!(
            "task=0\ntype=parallel\nhostnames=h[1-4]\nexec=local\ncommand=true\nwaves=2,rest\nwave_check=5\n\
             task=5\nexec=local\ncommand=./check one\n{keys}"
        );
        let child = sandbox.start(&tasks, &[]);
        wait_for("the check", || count_started(&sandbox) == 1);
        if !keys.is_empty() {
            wait_for("its retry", || {
                log_so_far(&sandbox).contains("retry 1 of 5")
            });
        }
        signal(child.id(), "TERM");
        let ran = finish(child);
        assert_eq!(ran.code, 143, "{ran:?}");
        assert!(
            ran.stdout
                .contains("h[3-4] (2): not_started (tasker got SIGTERM)"),
            "{ran:?}"
        );
        let tries = sandbox.log().matches("Executing Task 5").count();
        assert_eq!(tries, 1, "it is not tried again");
    }
}

#[test]
fn a_signal_in_a_branch_leaves_the_rest_of_it() {
    let sandbox = Sandbox::new();
    sandbox.program("gate", GATE);
    let tasks = "YES=yes\ntask=0\ntype=conditional\ncondition=@YES@=yes\nif_true_tasks=1-3\n\
                 task=1\nexec=local\ncommand=true\n\
                 task=2\nexec=local\ncommand=./gate two\n\
                 task=3\nexec=local\ncommand=touch never\n\
                 task=8\nexec=local\ncommand=touch never\n\
                 task=9\nfinally=true\nexec=local\ncommand=echo @0_outcome@ @1_outcome@ @2_outcome@ @3_outcome@ [@8_outcome@]\n";
    let child = sandbox.start(tasks, &[]);
    wait_for("the gate", || count_started(&sandbox) == 1);
    signal(child.id(), "TERM");
    let ran = finish(child);
    assert_eq!(ran.code, 143, "{ran:?}");
    assert!(
        ran.stdout
            .contains("  | cancelled ok cancelled not_started []\n"),
        "{ran:?}"
    );
    assert!(!sandbox.exists("never"));
}

// Reports.

#[test]
fn lines_of_concurrent_tasks_never_mix() {
    let sandbox = Sandbox::new();
    sandbox.program(
        "babble",
        "#!/bin/sh\ni=0\nwhile [ $i -lt 40 ]; do\n\
         printf '%s ' \"$1\"; printf 'says %s\\n' $i; echo \"$1 errs $i\" >&2; i=$((i+1))\ndone\n",
    );
    let tasks =
        "task=5\ntype=parallel\nhostnames=web[01-50]\nexec=local\ncommand=./babble @hostname@\n";
    let ran = sandbox.run(tasks, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let mut next_line: BTreeMap<(u32, bool), usize> = BTreeMap::new();
    for line in sandbox.log().lines() {
        // The folded lines of the block begin with the block's id.
        let of_subtask = line.split_once("[INFO] Task 5.");
        let Some((head, text)) = of_subtask.and_then(|(_, rest)| rest.split_once("| ")) else {
            continue;
        };
        let words: Vec<&str> = head.split(' ').collect();
        let index: u32 = words[0].parse().expect("an index");
        let errs = words[2] == "stderr";
        let next = next_line.entry((index, errs)).or_default();
        let host = format!("web{index:02}");
        assert_eq!(words[1], host);
        let word = if errs { "errs" } else { "says" };
        assert_eq!(text, format!("{host} {word} {next}"));
        *next += 1;
    }
    assert_eq!(next_line.len(), 100);
    assert!(next_line.values().all(|n| *n == 40));
}

#[test]
fn a_thousand_hosts_stay_readable() {
    for (what, command, code) in [
        ("equal and successful", "echo same", 0),
        ("equal and failing", "echo same; exit 3", 10),
        ("all different", "echo I am @hostname@", 0),
        (
            "all failing differently",
            "echo I am @hostname@ >&2; exit 3",
            10,
        ),
        ("retried", "[ @attempt@ = 2 ]", 0),
    ] {
        let sandbox = Sandbox::new();
        let tasks = format!(
            "task=0\ntype=parallel\nhostnames=web[0001-1000]\nexec=shell\ncommand={command}\n\
             retry_count=1\nretry_delay=10ms\nretry_on=1\n"
        );
        let ran = sandbox.run(&tasks, &[]);
        assert_eq!(ran.code, code, "{what}: {}", ran.stderr);
        let output = format!("{}{}", ran.stdout, ran.stderr);
        assert!(output.lines().count() < 100, "{what}:\n{output}");
        if what.starts_with("equal") {
            assert!(ran.stdout.lines().count() < 50, "{what}:\n{output}");
            assert!(output.contains("web[0001-1000] (1000): "), "{output}");
        }
        let ended = outcomes_in(&sandbox.log());
        assert_eq!(ended.len(), 1000, "the log has each of them");
    }
}

#[test]
fn identical_outputs_are_shown_once() {
    let sandbox = Sandbox::new();
    let tasks = "task=0\ntype=parallel\nhostnames=web[01-09],db[1-3]\nexec=shell\n\
                 command=case @hostname@ in web0[35]) echo disk full >&2; exit 28;; db2) exit 1;; db*) echo 14.2;; *) echo nginx 1.25; echo up;; esac\n";
    let ran = sandbox.run(tasks, &[]);
    assert_eq!(ran.code, 10);
    let folded = "  web[01-02,04,06-09] (7): ok: nginx 1.25\n    | up\n\
                  \x20 web[03,05] (2): exit 28: disk full\n\
                  \x20 db[1,3] (2): ok: 14.2\n\
                  \x20 db2 (1): exit 1\n\
                  \x20 task 0: failed (9 ok, 3 failed), ";
    assert!(ran.stdout.contains(folded), "{}", ran.stdout);
    assert!(
        ran.stderr
            .contains("     = web[03,05] (2): exit 28: disk full\n"),
        "{}",
        ran.stderr
    );
    let nginx_line = |line: &str| line.starts_with("     = ") && line.contains("nginx");
    assert!(!ran.stderr.lines().any(nginx_line), "{}", ran.stderr);
    let log = sandbox.log();
    assert!(
        log.contains("[INFO] Task 0: web[03,05] (2): exit 28: disk full"),
        "{log}"
    );
}

/// Every n-th point of the sweep that `make test-crash` runs completely.
#[test]
fn a_failed_system_call_is_survived_or_reported() {
    let sweep = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inject.py");
    let output = std::process::Command::new("python3")
        .arg(sweep)
        .args([env!("CARGO_BIN_EXE_tasker"), "13"])
        .output();
    let ran = Ran::from(output.expect("python runs"));
    if ran.code == 77 {
        println!("{}", ran.stdout);
        return;
    }
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
}
