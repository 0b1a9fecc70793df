//! The names of hosts (SPEC §1.1, §6.2) and the options of ssh (§5): what is asked before
//! a run, how long that takes where nobody answers, and what each ssh is given.
//!
//! A stand-in for `ssh` asks the real one about its configuration (`-G`), and else runs
//! the command here.

#[path = "support/sshd.rs"]
#[allow(dead_code)]
mod sshd;
mod support;

use sshd::skipped;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{Ran, Sandbox, processes_with, wait_for};

/// Every call's words are a line of `calls`.
const SSH: &str = "#!/bin/sh\n\
    line=; for word; do line=\"$line<$word>\"; done; line=${line%%<exec *}\n\
    echo \"$line\" >> \"$HOME/calls\"\n\
    case $* in *-G*) exec /usr/bin/ssh -F \"$HOME/ssh_config\" \"$@\";; esac\n\
    for a; do case $a in *.dark) echo 'no route' >&2; exit 255;; esac; done\n\
    shift $(($# - 1)); exec setsid -w sh -c \"$1\"\n";

const CONFIG: &str = "Host alias*\n  HostName 127.0.0.2\n\
    Host behind*\n  ProxyJump root@127.0.0.3:2222\n\
    Host through*\n  ProxyCommand nc %h %p\n\
    Host made*\n  HostName %h.dark\n\
    Host lost*\n  ProxyJump gate.dark\n\
    Host twice*\n  ProxyJump behind1,other\n";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.program("bin/ssh", SSH);
    sandbox.file("ssh_config", CONFIG);
    sandbox
}

fn with_bin(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = sandbox.tasker(arguments);
    let path = format!("{}/bin:/usr/bin:/bin", sandbox.path.display());
    command.env("PATH", path);
    command
}

fn tasker(sandbox: &Sandbox, tasks: &str, options: &[&str]) -> Ran {
    sandbox.file("tasks.txt", tasks);
    let arguments = [options, &["tasks.txt"]].concat();
    Ran::from(with_bin(sandbox, &arguments).output().expect("tasker runs"))
}

fn block(hosts: &str, keys: &str) -> String {
    format!("task=0\ntype=parallel\nhostnames={hosts}\nexec=ssh\ncommand=true\n{keys}")
}

/// The report of the last validation.
fn report(sandbox: &Sandbox) -> String {
    let logs = std::fs::read_dir(sandbox.path.join("TASKER/logs")).expect("logs");
    let mut names = logs
        .flatten()
        .map(|e| e.file_name().into_string().expect("text"));
    let name = names.find(|n| n.starts_with("validation_report_"));
    sandbox.read(&format!("TASKER/logs/{}", name.expect("a report")))
}

/// Runs its arguments where DNS drops every question.
const BLACK_HOLE: &str = "#!/bin/sh\n\
    mount --bind resolv.conf /etc/resolv.conf && mount --bind nsswitch.conf /etc/nsswitch.conf || exit 99\n\
    ip link set lo up || exit 99\n\
    python3 -c 'import socket, time\n\
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
s.bind((\"127.0.0.1\", 53))\n\
open(\"up\", \"w\").close()\n\
time.sleep(600)' & server=$!\n\
    while [ ! -e up ] && kill -0 $server; do sleep 0.02; done\n\
    \"$@\"; code=$?; kill $server; exit $code\n";

/// tasker where DNS drops every question, and how long it took; nothing where that cannot
/// be arranged.
fn in_black_hole(
    sandbox: &Sandbox,
    tasks: &str,
    options: &[&str],
    patience: &str,
) -> Option<(Ran, Duration)> {
    sandbox.file("tasks.txt", tasks);
    sandbox.file("resolv.conf", "nameserver 127.0.0.1\n");
    sandbox.file("nsswitch.conf", "hosts: files dns\n");
    let script = sandbox.program("black-hole", BLACK_HOLE);
    let _ = std::fs::remove_file(sandbox.path.join("up"));
    let plain = with_bin(sandbox, &[options, &["tasks.txt"]].concat());
    let mut command = Command::new("unshare");
    let root: &[&str] = if sshd::is_root() { &[] } else { &["-r"] };
    command
        .args(root)
        .args(["-m", "-n", "--"])
        .arg(script)
        .arg(plain.get_program())
        .args(plain.get_args())
        .current_dir(&sandbox.path)
        .env_clear()
        .envs(plain.get_envs().filter_map(|(n, v)| Some((n, v?))))
        .env("VALIDATION_TEST_TIMEOUT", patience)
        .stdin(Stdio::null());
    let path = format!(
        "{}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        sandbox.path.display()
    );
    let began = Instant::now();
    let output = command.env("PATH", path).output().ok().map(Ran::from);
    let took = began.elapsed();
    match output {
        Some(ran) if ran.code != 99 && !ran.stderr.contains("unshare: ") => Some((ran, took)),
        _ => {
            skipped("a network without DNS", "no namespaces with mounts here");
            None
        }
    }
}

#[test]
fn a_network_without_dns_refuses_no_host_that_ssh_finds() {
    let sandbox = sandbox();
    let hosts = "alias[1-9],behind[1-9],through[1-9],twice[1-2],root@alias1,127.0.0.4,[::1]";
    let Some((ran, took)) = in_black_hole(&sandbox, &block(hosts, ""), &["-r"], "10") else {
        return;
    };
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert!(report(&sandbox).contains("Host DNS resolution passed (32/32 hosts)"));
    assert!(!ran.stderr.contains("warning"), "{ran:?}");
}

#[test]
fn hosts_that_nobody_resolves_cost_one_patience_and_one_line() {
    let sandbox = sandbox();
    let many = block("web[001-200]", "").replace("exec=ssh", "exec=pbrun");
    let tasks = many + "task=1\nhostname=alias1\nexec=ssh\ncommand=true\n";
    sandbox.program("bin/pbrun", "#!/bin/sh\n");
    let Some((ran, took)) = in_black_hole(&sandbox, &tasks, &["-r", "-q"], "6") else {
        return;
    };
    assert_eq!(ran.code, 60, "{ran:?}");
    // The start of all the programs is part of it.
    assert!(took < Duration::from_secs(15), "{took:?}");
    let is_folded = |text: &str| {
        let mut lines = text
            .lines()
            .filter(|l| l.contains("web[001-") && l.contains("no address"));
        let found = lines.next().unwrap_or_default();
        // On a slow machine not all are asked.
        let end = "]: no address found: no answer within 6 s";
        found.contains("web[0") && found.contains(end) && lines.count() == 0
    };
    assert!(is_folded(&ran.stderr), "{ran:?}");
    assert!(ran.stderr.lines().count() < 12, "{ran:?}");
    assert!(is_folded(&report(&sandbox)) && is_folded(&sandbox.log()));
    assert!(!ran.stderr.contains("alias"), "{ran:?}");
    // A look says the same.
    let (ran, _) = in_black_hole(&sandbox, &tasks, &[], "6").expect("as before");
    assert_eq!(ran.code, 60);
    assert!(is_folded(&ran.stdout), "{ran:?}");
    let home = format!("HOME={}", sandbox.path.display());
    wait_for("the end of all lookups", || {
        processes_with(&home).is_empty()
    });
}

#[test]
fn hosts_without_an_address_are_left_out_where_they_may_be() {
    let sandbox = sandbox();
    let tasks = block("web[1-9].dark,alias[1-9]", "unreachable=skip\n");
    let Some((ran, took)) = in_black_hole(&sandbox, &tasks, &["-r"], "3") else {
        return;
    };
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
    let line = "web[1-9].dark: no address found: no answer within 3 s; left out as unreachable";
    assert!(ran.stderr.contains(line), "{ran:?}");
    assert!(ran.stdout.contains("(9 ok, 9 unreachable)"), "{ran:?}");
    assert!(sandbox.log().contains(line));
}

/// Programs that never answer; what they start hangs too.
const HANGS: &str = "#!/bin/sh\nsleep 600 & sleep 600\n";

#[test]
fn a_resolver_that_hangs_is_ended() {
    let sandbox = sandbox();
    sandbox.program("bin/getent", HANGS);
    sandbox.file(
        "tasks.txt",
        block("web[1-70].dark", "") + "task=1\nhostname=x\nexec=pbrun\ncommand=true\n",
    );
    let mut command = with_bin(&sandbox, &["tasks.txt"]);
    command.env("VALIDATION_TEST_TIMEOUT", "2");
    let began = Instant::now();
    let ran = Ran::from(command.output().expect("tasker runs"));
    assert!(began.elapsed() < Duration::from_secs(8), "{ran:?}");
    assert_eq!(ran.code, 60, "{ran:?}");
    let line = ": no address found: no answer within 2 s\n";
    assert!(ran.stdout.contains(line), "{ran:?}");
    let home = format!("HOME={}", sandbox.path.display());
    wait_for("the end of all lookups", || {
        processes_with(&home).is_empty()
    });
}

#[test]
fn what_there_is_no_time_to_check_refuses_no_run() {
    let sandbox = sandbox();
    // Only the questions hang.
    let ssh = SSH.replace("*-G*) ", "*-G*hang*) sleep 600;; *-G*) ");
    sandbox.program("bin/ssh", &ssh);
    sandbox.file(
        "tasks.txt",
        block("hang[1-70],alias1,made1", "unreachable=skip\n"),
    );
    let mut command = with_bin(&sandbox, &["-r", "tasks.txt"]);
    command.env("VALIDATION_TEST_TIMEOUT", "2");
    let began = Instant::now();
    let ran = Ran::from(command.output().expect("tasker runs"));
    assert!(began.elapsed() < Duration::from_secs(20), "{ran:?}");
    assert_eq!(ran.code, 0, "{ran:?}");
    let line = "hang[1-70]: `ssh -G` did not answer in time; not checked";
    assert!(ran.stderr.contains(line), "{ran:?}");
    assert!(sandbox.log().contains(line), "{ran:?}");
    let report = report(&sandbox);
    assert!(
        report.contains("(1/72 hosts; 1 left out; 70 not checked)"),
        "{report}"
    );
    assert!(
        report.contains("All validations that were made passed"),
        "{report}"
    );
    let home = format!("HOME={}", sandbox.path.display());
    wait_for("the end of all questions", || {
        processes_with(&home).is_empty()
    });
}

#[test]
fn each_type_finds_its_hosts_in_its_own_way() {
    let sandbox = sandbox();
    sandbox.program(
        "bin/getent",
        "#!/bin/sh\necho \"$*\" >> \"$HOME/asked\"\ncase $2 in *.dark|alias*) exit 2;; esac\nexit 0\n",
    );
    let tasks = block(
        "alias[1-3],behind[1-3],through1,made[1-3],lost[1-3],twice1,me@plain",
        "",
    ) + "task=1\nhostname=alias1\nexec=pbrun\ncommand=true\n\
           task=2\nhostname=alias2\nexec=local\ncommand=true\n";
    let ran = tasker(&sandbox, &tasks, &[]);
    assert_eq!(ran.code, 60, "{ran:?}");
    for line in [
        "Host DNS resolution failed (8/15 hosts)\n",
        "   alias1: no address found\n",
        "   made[1-3]: no address found for its HostName `%h.dark`\n",
        "   lost[1-3]: no address found for its jump host `gate.dark`\n",
    ] {
        assert!(ran.stdout.contains(line), "{line}\n{ran:?}");
    }
    // Each name is asked for once, and none that has no need of an address.
    let mut asked: Vec<String> = sandbox.read("asked").lines().map(String::from).collect();
    asked.sort();
    let names = [
        "alias1",
        "gate.dark",
        "made1.dark",
        "made2.dark",
        "made3.dark",
        "plain",
    ];
    assert_eq!(asked, names.map(|name| format!("ahosts {name}")));
}

#[test]
fn options_that_ssh_does_not_take_refuse_the_run_in_its_words() {
    let sandbox = sandbox();
    sandbox.file("tasker.conf", "ssh_options=-o Frobnicate=yes\n");
    let options = ["-r", "--config=tasker.conf"];
    let ran = tasker(&sandbox, &block("alias[1-9]", ""), &options);
    assert_eq!(ran.code, 60, "{ran:?}");
    let words = "alias[1-9]: ssh: command-line: line 0: Bad configuration option: frobnicate\n";
    assert!(
        ran.stdout.contains(words) || ran.stderr.contains(words),
        "{ran:?}"
    );
}

/// What ssh was called with for its commands, up to the host.
fn calls(sandbox: &Sandbox, questions: bool) -> Vec<String> {
    let calls = sandbox.read("calls");
    let mut calls: Vec<String> = calls
        .lines()
        .filter(|line| line.contains("<-G>") == questions)
        .map(|line| line.replace("><", " ").replace("<", "").replace(">", ""))
        .collect();
    calls.sort();
    calls
}

#[test]
fn ssh_gets_the_options_of_its_type() {
    let sandbox = sandbox();
    sandbox.file(
        "tasker.conf",
        "ssh_options=-4 -i '/no key'\n\
         exec=ssh-shell\ntimeout=7\n\
         exec=bastion\nssh_options=-J 127.0.0.9\n\
         exec=bastion-shell\nssh_options=-J 127.0.0.9 -p2222 -o ConnectTimeout=3\nscript={script}\n\
         exec=words\nssh_options=-C\nargv={command} {arguments}\n\
         exec=bare\nssh_options=\n",
    );
    let task = |id: u32, exec: &str, command: &str| {
        format!("task={id}\nhostname=alias{id}\nexec={exec}\ncommand={command}\n")
    };
    let tasks = [
        task(1, "ssh", "printf '%s|' 'a b'"),
        task(2, "ssh-shell", "printf '%s|' 'a b' | cat"),
        task(3, "bastion", "printf '%s|' 'a b'"),
        task(4, "bastion-shell", "printf '%s|' 'a b' | cat"),
        task(5, "words", "printf '%s|' 'a b'"),
        task(6, "bare", "printf '%s|' 'a b'"),
    ];
    let options = ["--config=tasker.conf"];
    let ran = tasker(&sandbox, &tasks.concat(), &[&["-r"], &options[..]].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(sandbox.log().matches("stdout| a b|").count(), 6);
    let expected = [
        ("-4 -i /no key ", "alias1"),
        ("-4 -i /no key ", "alias2"),
        ("-J 127.0.0.9 ", "alias3"),
        ("-J 127.0.0.9 -p2222 -o ConnectTimeout=3 ", "alias4"),
        ("-C ", "alias5"),
        ("", "alias6"),
    ];
    // What the user gives comes before tasker's own values, which ssh then leaves.
    let defaults = "-o ConnectTimeout=";
    let line = |(options, host): &(&str, &str), more: &str| {
        (
            format!("{more}-o BatchMode=yes -T {options}{defaults}"),
            format!(" -- {host}"),
        )
    };
    for (questions, more) in [(false, ""), (true, "-G ")] {
        let calls = calls(&sandbox, questions);
        for case in &expected {
            let (start, end) = line(case, more);
            let is_it = |call: &&String| call.starts_with(&start) && call.ends_with(&end);
            assert_eq!(
                calls.iter().filter(is_it).count(),
                1,
                "{start} {end}\n{calls:?}"
            );
        }
    }
    // They are shown wherever ssh is, as they can be typed.
    let shown = sandbox.log();
    for words in [
        "ssh -4 -i '/no key' alias1 ",
        "ssh -4 -i '/no key' alias2 ",
        "ssh -J 127.0.0.9 alias3 ",
        "ssh -J 127.0.0.9 -p2222 -o ConnectTimeout=3 alias4 ",
        "ssh alias6 ",
    ] {
        assert!(shown.contains(words), "{words}\n{shown}");
        let plan = tasker(&sandbox, &tasks.concat(), &options);
        assert!(plan.stdout.contains(words), "{words}\n{plan:?}");
    }
}

#[test]
fn the_options_decide_the_plan() {
    let sandbox = sandbox();
    let id = |conf: &str| {
        sandbox.file("tasker.conf", conf);
        let tasks = "task=1\nhostname=alias1\nexec=one\ncommand=true\n";
        let ran = tasker(&sandbox, tasks, &["--config=tasker.conf"]);
        let mut lines = ran.stdout.lines().map(String::from);
        let plan = lines.rfind(|l| l.starts_with("plan: "));
        plan.unwrap_or_else(|| panic!("{ran:?}"))
    };
    let one = id("exec=one\nssh_options=-C\n");
    assert_eq!(
        one,
        id("exec=one\nssh_options='-C'   # quoted"
            .split("   #")
            .next()
            .unwrap_or(""))
    );
    for other in [
        "exec=one\nssh_options=-4\n",
        "exec=one\nssh_options=\n",
        "exec=one\nssh_options=-C\nscript={script}\n",
        "ssh_options=-4\nexec=one\nssh_options=-C\n",
    ] {
        assert_ne!(one, id(other), "{other}");
    }
}

#[test]
fn options_that_would_break_the_channel_are_errors_with_their_place() {
    let sandbox = sandbox();
    sandbox.file(
        "tasker.conf",
        "ssh_options=-4 -n\n\
         exec=one\nssh_options=-o RequestTTY=force -o 'LogLevel QUIET'\n\
         exec=two\nssh_options=-S /tmp/x bastion\n\
         exec=three\nssh_options=-C\nargv=kubectl {command} {arguments}\n\
         exec=pbrun\nssh_options=-C\n\
         exec=four\nscript={script}\n",
    );
    let ran = tasker(
        &sandbox,
        &block("alias1", ""),
        &["-r", "--config=tasker.conf"],
    );
    assert_eq!(ran.code, 20, "{ran:?}");
    for line in [
        "tasker.conf:1:16: error: `-n` cannot be used here: ssh's standard input is",
        "tasker.conf:3:16: error: `RequestTTY` cannot be set here: a terminal",
        "tasker.conf:3:37: error: `LogLevel` cannot be set here: tasker reads",
        "tasker.conf:5:13: error: `-S` cannot be used here: a connection that tasks share",
        "= help: set ControlMaster and ControlPath in ssh_config(5)",
        "tasker.conf:5:23: error: expected an option of ssh(1), found `bastion`",
        "tasker.conf:7:1: error: `ssh_options` is for types built on ssh",
        "tasker.conf:10:1: error: exec type `pbrun` is not built on ssh",
        "tasker.conf:12:8: error: expected the program to run as the first word",
    ] {
        assert!(ran.stderr.contains(line), "{line}\n{}", ran.stderr);
    }
    assert!(ran.stderr.contains("8 errors, "), "{}", ran.stderr);
    assert!(!sandbox.exists("calls"));
}

/// The user of each host that ran.
fn ran_on(sandbox: &Sandbox) -> String {
    let mut hosts: Vec<String> = calls(sandbox, false)
        .iter()
        .filter_map(|call| Some(call.rsplit_once(' ')?.1.to_string()))
        .collect();
    let _ = std::fs::remove_file(sandbox.path.join("calls"));
    hosts.sort();
    hosts.join(" ")
}

#[test]
fn a_limit_without_a_user_takes_the_machine_for_any_user() {
    let sandbox = sandbox();
    let tasks = "task=0\ntype=parallel\nhostnames=alias1,root@alias1,me@alias[2-3]\nexec=ssh\n\
                 command=test ! -e bad -o \"$TASKER_HOSTNAME\" != root@alias1\n";
    let shell = tasks.replace("exec=ssh\n", "exec=ssh-shell\n");
    let only = |option: &str| {
        let ran = tasker(&sandbox, &shell, &["-r", option]);
        (ran.code, ran_on(&sandbox), ran.stderr)
    };
    for (option, hosts) in [
        ("--limit=alias1", "alias1 root@alias1"),
        ("--limit=alias[2-9]", "me@alias2 me@alias3"),
        ("--limit=root@alias1", "root@alias1"),
        ("--exclude=alias1", "me@alias2 me@alias3"),
        ("--exclude=root@alias1", "alias1 me@alias2 me@alias3"),
    ] {
        let (code, ran, stderr) = only(option);
        assert_eq!((code, ran.as_str()), (0, hosts), "{option} {stderr}");
        let warns = stderr.contains("no block has alias[4-9]");
        assert_eq!(warns, option.contains("2-9"), "{option} {stderr}");
    }
    let (code, ran, _) = only("--limit=me@alias1");
    assert_eq!((code, ran.as_str()), (2, ""));
    // What an earlier run had is only that.
    sandbox.file("bad", "");
    assert_eq!(tasker(&sandbox, &shell, &["-r"]).code, 10);
    ran_on(&sandbox);
    let (code, ran, stderr) = only("--limit=last:failed");
    assert_eq!((code, ran.as_str()), (10, "root@alias1"), "{stderr}");
}

#[test]
fn hosts_are_taken_or_refused_with_the_way_out() {
    let sandbox = sandbox();
    for (host, remedy) in [
        ("root@[::1]", ""),
        ("[::1]", ""),
        ("root@::1", ""),
        (
            "web01:2222",
            "set `Port 2222` for `web01` in ssh_config(5), or `ssh_options=-p 2222`",
        ),
        ("root@[::1]:22", "set `Port 22` for `::1` in ssh_config(5)"),
        (
            "fe80::1%eth0",
            "write `fe80::1` with `ssh_options=-o HostName=%h%%eth0`",
        ),
        ("@all", "write the hosts, or `file:PATH`"),
        ("user@", "write `user@HOST`"),
        ("web[1-03]", "differ in width"),
        ("root@[x]", "is not an IPv6 address"),
    ] {
        let single = format!("task=0\nhostname={host}\nexec=ssh\ncommand=true\n");
        for tasks in [single, block(host, "")] {
            let is_set = host == "web[1-03]" || host == "root@[x]";
            if is_set && !tasks.contains("hostnames") {
                continue;
            }
            let ran = tasker(&sandbox, &tasks, &["--validate-only"]);
            let code = if remedy.is_empty() { 0 } else { 20 };
            assert_eq!(ran.code, code, "{host} {ran:?}");
            let says = ran.stderr.contains(remedy) || host == "root@[x]";
            assert!(says, "{host} {ran:?}");
        }
        let limit = format!("--limit={host}");
        let ran = tasker(&sandbox, &block(&format!("alias9,{host}"), ""), &[&limit]);
        assert_eq!(ran.code == 0, remedy.is_empty(), "{host} {ran:?}");
    }
    let _ = std::fs::remove_file(sandbox.path.join("calls"));
    let ran = tasker(&sandbox, &block("root@[::1],[::1]", ""), &["-r"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    // ssh takes an address without brackets.
    assert_eq!(ran_on(&sandbox), "::1 root@::1");
}

#[test]
fn a_real_server_is_reached_by_options_alone() {
    let Some(server) = sshd::Server::start("") else {
        return;
    };
    let path = server.sandbox.path.display().to_string();
    // Nothing of the hosts is in the configuration.
    server.sandbox.file("empty", "");
    server
        .sandbox
        .program("bin/ssh", "#!/bin/sh\nexec /usr/bin/ssh \"$@\"\n");
    let common = format!(
        "-F {path}/empty -p {} -i {path}/user -o UserKnownHostsFile={path}/known \
         -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes",
        server.port
    );
    server.sandbox.file(
        ".config/tasker/tasker.conf",
        format!(
            "kill_after=1\nssh_options={common}\n\
             exec=inner\nssh_options={common} -o HostName=127.0.0.5 -o HostKeyAlias=any\n"
        ),
    );
    let tasks = "task=1\nhostname=127.0.0.2\nexec=ssh\ncommand=echo 'a  b'\n\
                 task=2\nhostname=no-such-host\nexec=inner\ncommand=echo 'c  d'\n";
    let ran = server.run(tasks, &["-c"]);
    assert_eq!(ran.code, 0, "{ran:?} {}", server.log());
    let log = server.sandbox.log();
    assert!(
        log.contains("stdout| a  b") && log.contains("stdout| c  d"),
        "{log}"
    );
}
