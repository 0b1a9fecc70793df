//! The far end of `ssh` tasks against a real OpenSSH server (SPEC §4.3, §5): connecting
//! is bounded in time and number, a refused login is not repeated, only the command's
//! own output is its result, and what could not be ended is said.

#[path = "support/sshd.rs"]
#[allow(dead_code)]
mod sshd;
mod support;

use sshd::Server;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use support::{finish, signal, wait_for};

/// A configuration that gives hosts little time.
const HASTY: &str = "kill_after=1\nconnect_timeout=6\n";

// Connecting.

/// A server that says its version, and then nothing.
fn mute_server() -> (TcpListener, u16) {
    let listener = TcpListener::bind(("127.0.0.9", 0)).expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let accepting = listener.try_clone().expect("a copy");
    std::thread::spawn(move || {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = accepting.accept() {
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
            held.push(stream);
        }
    });
    (listener, port)
}

/// Hosts that hang in every phase of a login, before those that do not.
#[test]
fn hosts_whose_login_hangs_are_unreachable_and_hold_up_no_other() {
    let Some(server) = Server::start(
        "MaxStartups 100\nMatch LocalAddress 127.0.7.0/24\n  ForceCommand sleep 300; eval \"$SSH_ORIGINAL_COMMAND\"\nMatch all",
    ) else {
        return;
    };
    server.sandbox.file(".config/tasker/tasker.conf", HASTY);
    let (_listener, port) = mute_server();
    server.configure(&format!(
        "Host mute*\n  HostName 127.0.0.9\n  Port {port}\nHost stuck*\n  HostName 127.0.0.2\n  ProxyCommand sleep 300\n"
    ));
    let tasks = format!(
        "task=1\ntype=parallel\nhostnames=mute[1-6],stuck[1-6],127.0.7.[1-6],127.0.2.[1-12]\nmax_parallel=50\nexec=ssh\ncommand=touch {}/done-@hostname@\nunreachable=skip\n",
        server.sandbox.path.display()
    );
    let ran = server.run(&tasks, &["--skip-host-validation"]);
    let log = server.sandbox.log();
    assert_eq!(ran.code, 0, "{log}");
    let ended: Vec<&str> = log
        .lines()
        .filter(|l| l.contains("Task 1.") && l.contains(" ended: "))
        .collect();
    assert_eq!(ended.len(), 30, "{log}");
    // All that answer have ended before the first that does not is given up.
    let (good, bad) = ended.split_at(12);
    assert!(good.iter().all(|l| l.contains(" ended: ok")), "{log}");
    let why = "no answer within 6 s (connect_timeout)";
    for line in bad {
        assert!(
            line.contains(" ended: unreachable") && line.contains(why),
            "{line}\n{log}"
        );
    }
    assert!(server.sandbox.exists("done-127.0.2.1"));
    for number in 1..=6 {
        assert!(!server.sandbox.exists(&format!("done-127.0.7.{number}")));
    }
}

/// A host that was given up executes nothing when it wakes up.
#[test]
fn a_host_that_wakes_up_too_late_runs_nothing() {
    let Some(server) =
        Server::start("ForceCommand read -r t <SANDBOX/WAKE; eval \"$SSH_ORIGINAL_COMMAND\"")
    else {
        return;
    };
    // The start-up files of the far shell wait for a pipe.
    let path = server.sandbox.path.display().to_string();
    let made = Command::new("mkfifo").arg(format!("{path}/WAKE")).status();
    assert!(made.expect("mkfifo runs").success());
    server
        .sandbox
        .file(".config/tasker/tasker.conf", "connect_timeout=2\n");
    let tasks = format!("task=1\nhostname=127.0.0.2\nexec=ssh\ncommand=touch {path}/done\n");
    let ran = server.run(&tasks, &[]);
    let log = server.sandbox.log();
    assert_eq!(ran.code, 255, "{log}");
    assert!(
        log.contains("no answer within 2 s (connect_timeout)"),
        "{log}"
    );
    let mut far = Vec::new();
    wait_for("the session that waits", || {
        far = server.left();
        !far.is_empty()
    });
    std::fs::write(server.sandbox.path.join("WAKE"), "now\n").expect("the pipe");
    wait_for("its end", || server.left().is_empty());
    assert!(!server.sandbox.exists("done"));
}

#[test]
fn the_time_of_connecting_is_not_the_command_s() {
    let Some(server) = Server::start("") else {
        return;
    };
    let path = server.sandbox.path.display().to_string();
    server.sandbox.program(
        "bin/ssh",
        &format!("#!/bin/sh\nsleep 2\nexec /usr/bin/ssh -F {path}/ssh_config \"$@\"\n"),
    );
    let tasks = "task=1\nhostname=127.0.0.2\nexec=ssh\ncommand=true\ntimeout=1.5\n\
        task=2\ncommand=echo took @1_duration@.\nexec=shell\nsuccess=@1_duration@<1\n";
    let ran = server.run(tasks, &["--skip-host-validation"]);
    assert_eq!(ran.code, 0, "{}", server.sandbox.log());
}

#[test]
fn a_server_that_takes_few_connections_gets_few() {
    let Some(server) = Server::start("MaxStartups 3:100:3") else {
        return;
    };
    let tasks = "task=1\ntype=parallel\nhostnames=127.0.2.[1-30]\nmax_parallel=50\nexec=ssh\ncommand=true\n";
    let ran = server.run(tasks, &["--skip-host-validation"]);
    let log = server.sandbox.log();
    assert_eq!(ran.code, 0, "{log}");
    assert!(server.log().contains("MaxStartups"), "{}", server.log());
    // A further try does not count as a retry.
    assert!(
        log.contains("the connection was turned away 1 time"),
        "{log}"
    );
    assert!(!log.contains(": retry "), "{log}");
}

/// Where all are turned away, the message says what bounds them.
#[test]
fn a_connection_that_is_always_turned_away_is_given_up() {
    let Some(server) = Server::start("") else {
        return;
    };
    let listener = TcpListener::bind(("127.0.0.9", 0)).expect("a port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || while listener.accept().is_ok() {});
    server.configure(&format!("Host busy\n  HostName 127.0.0.9\n  Port {port}\n"));
    let tasks = "task=1\nhostname=busy\nexec=ssh\ncommand=true\n";
    let ran = server.run(tasks, &["--skip-host-validation"]);
    let log = server.sandbox.log();
    assert_eq!(ran.code, 255, "{log}");
    assert!(
        log.contains("the connection was turned away 4 times"),
        "{log}"
    );
    assert!(log.contains("`max_connecting` in tasker.conf"), "{log}");
}

#[test]
fn a_refused_login_is_not_repeated() {
    let Some(server) = Server::start("Banner SANDBOX/banner") else {
        return;
    };
    server.sandbox.file(
        "banner",
        "Connection reset by peer\nkex_exchange_identification: Connection closed by remote host\nConnection closed by 10.0.0.1 port 22\n",
    );
    server.configure(
        "Host jump\n  HostName 127.0.0.8\n  User no-such-user\nHost behind*\n  HostName 127.0.0.2\n  ProxyCommand ssh -W %h:%p jump\nHost denied*\n  HostName 127.0.0.3\n  User no-such-user\n",
    );
    let tasks = "task=1\ntype=parallel\nhostnames=behind[1-4],denied[1-4]\nexec=ssh\ncommand=true\nnext=always\n";
    let ran = server.run(tasks, &["--skip-host-validation"]);
    let log = server.sandbox.log();
    assert_eq!(ran.code, 0, "{log}");
    assert!(log.contains("Task 1: 8 unreachable"), "{log}");
    let logins = server.log().matches("Invalid user no-such-user").count();
    assert_eq!(logins, 8, "{}", server.log());
    assert!(!log.contains("turned away"), "{log}");
    let reason = "Permission denied (publickey).";
    let named = |l: &&str| l.contains(" ended: unreachable") && l.contains(reason);
    assert_eq!(log.lines().filter(named).count(), 8, "{log}");
}

// Only the command's output is its result.

#[test]
fn noise_before_the_command_is_no_part_of_its_result() {
    let Some(server) = Server::start("Banner SANDBOX/banner") else {
        return;
    };
    let path = server.sandbox.path.display().to_string();
    server.sandbox.file("banner", "For staff of NAME only\n");
    server.sandbox.file(
        ".bashrc",
        "echo welcome $$\necho mind the gap $$ >&2\nprintf 'no newline'\n",
    );
    server.configure(&format!(
        "Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile {path}/new-%h\n"
    ));
    let tasks = "task=1\ntype=parallel\nhostnames=127.0.2.[1-6]\nexec=ssh\ncommand=echo 4.2.1\nsuccess=stdout=4.2.1&stderr=\"\"\n\
        task=2\nhostname=127.0.0.2\nexec=ssh-shell\ncommand=echo only this >&2\nsuccess=stdout=\"\"&stderr=\"only this\"\n";
    let ran = server.run(tasks, &["--log-level=DEBUG"]);
    let log = server.sandbox.log();
    assert_eq!(ran.code, 0, "{log}");
    assert!(log.contains("127.0.2.[1-6] (6): ok"), "{log}");
    assert!(!log.contains("different results"), "{log}");
    assert!(
        !log.contains("stderr| mind") && !log.contains("stdout| welcome"),
        "{log}"
    );
    for noise in [
        "For staff of NAME only",
        "Permanently added",
        "mind the gap",
        "welcome",
    ] {
        assert!(
            log.lines()
                .any(|l| l.contains("[DEBUG]") && l.contains(noise)),
            "{noise}\n{log}"
        );
    }
}

/// What the host has written can arrive long after the news that its command has ended;
/// a line that breaks in between leaves a part of it.
#[test]
fn output_that_arrives_late_is_waited_for_and_a_part_is_not_taken_for_the_whole() {
    let Some(server) = Server::start("") else {
        return;
    };
    let path = server.sandbox.path.display().to_string();
    let tasks = "task=1\nhostname=node1\nexec=ssh\ncommand=seq 2000\nnext=always\n\
        task=2\nexec=shell\ncommand=echo last is $(tail -n 1)\nstdin=@1_stdout@\n";
    let run = |line: &str| {
        server.sandbox.program(
            "bin/ssh",
            &format!("#!/bin/sh\n/usr/bin/ssh -F {path}/ssh_config \"$@\" | {line}\n"),
        );
        let ran = server.run(tasks, &["--skip-host-validation"]);
        (ran.code, server.sandbox.log())
    };
    let (code, log) = run("{ head -c 1000; sleep 2.5; cat; }");
    assert_eq!(code, 0, "{log}");
    assert!(log.contains("stdout| last is 2000"), "{log}");
    assert!(!log.contains("background process"), "{log}");
    // It comes in pieces, the mark of the end too.
    let (code, log) = run("dd bs=7 status=none");
    assert_eq!(code, 0, "{log}");
    assert!(log.contains("stdout| last is 2000"), "{log}");
    let lost = "bytes: the connection ended before all of it had come";
    for line in ["{ head -c 1000; cat >/dev/null; }", "head -c -9"] {
        let (code, log) = run(line);
        assert_ne!(code, 0, "{line}\n{log}");
        assert!(log.contains("Task 1 node1 ended: failed"), "{line}\n{log}");
        assert!(log.contains(lost), "{line}\n{log}");
    }
}

#[test]
fn programs_are_run_and_never_the_far_shell_s_builtins() {
    let Some(server) = Server::start("") else {
        return;
    };
    let tasks = r"task=1
hostname=127.0.0.2
exec=ssh
command=echo 'C:\temp\new' '-n'
name=echo
task=2
hostname=127.0.0.2
exec=ssh
command=cd /opt
success=exit_127
task=3
hostname=127.0.0.2
exec=ssh
command=exit 3
success=exit_127
task=4
hostname=127.0.0.2
exec=ssh
command=sh -c 'kill -SEGV $$'
success=exit_139
";
    let ran = server.run(tasks, &[]);
    let log = server.sandbox.log();
    assert_eq!(ran.code, 0, "{log}");
    assert!(log.contains(r"stdout| C:\temp\new -n"), "{log}");
}

#[test]
fn standard_input_has_no_name_on_the_host() {
    let Some(server) = Server::start("") else {
        return;
    };
    let tasks = "task=1\nhostname=127.0.0.2\nexec=ssh-shell\nstdin=a secret\n\
        command=cat; readlink /proc/self/fd/0; ls -a /dev/shm /tmp | grep -c '^tasker\\.[A-Za-z0-9]\\{6\\}$'; true\n";
    let ran = server.run(tasks, &[]);
    let log = server.sandbox.log();
    assert_eq!(ran.code, 0, "{log}");
    let mut lines = log
        .lines()
        .filter_map(|l| l.split_once("stdout| "))
        .map(|(_, l)| l);
    assert_eq!(lines.next(), Some("a secret"));
    let link = lines.next().unwrap_or_default();
    assert!(
        link.starts_with("/dev/shm/tasker.") && link.ends_with(" (deleted)"),
        "{log}"
    );
    assert_eq!(lines.next(), Some("0"), "{log}");
}

// What could not be ended.

/// Whether a process with these words runs.
fn runs(words: &str) -> bool {
    !pids(words).is_empty()
}

fn pids(words: &str) -> Vec<u32> {
    let wanted = words.replace(' ', "\0") + "\0";
    let holds = |pid: &u32| {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|l| l == wanted.as_bytes())
    };
    let numbers = std::fs::read_dir("/proc").expect("/proc").flatten();
    let all = numbers.filter_map(|e| e.file_name().to_str()?.parse().ok());
    all.filter(holds).collect()
}

/// A number of seconds that no other test sleeps.
fn own_time(number: u32) -> String {
    format!("{}.{number}", 1000 + std::process::id())
}

#[test]
fn what_left_the_session_is_ended_with_its_task_or_left_alone() {
    let Some(server) = Server::start("") else {
        return;
    };
    let path = server.sandbox.path.display().to_string();
    let (quiet, holder, bare, timed) = (own_time(1), own_time(2), own_time(3), own_time(4));
    // A daemon with its pipes closed; two that hold them; one whose task is timed out.
    let tasks = format!(
        "task=1\nhostname=127.0.0.2\nexec=ssh-shell\ncommand=setsid sleep {quiet} >/dev/null 2>&1 </dev/null & echo on\ntimeout=60\n\
         task=2\nhostname=127.0.0.2\nexec=ssh-shell\ncommand=setsid sleep {holder} & echo on\ntimeout=60\n\
         task=3\nhostname=127.0.0.2\nexec=ssh-shell\ncommand=env -i setsid sleep {bare} & echo on\ntimeout=60\n\
         task=4\nhostname=127.0.0.2\nexec=ssh-shell\ncommand=setsid sleep {timed} >/dev/null 2>&1 & touch {path}/ready; sleep 300\ntimeout=3\nnext=always\n"
    );
    let ran = server.run(&tasks, &[]);
    let log = server.sandbox.log();
    assert_eq!(ran.code, 0, "{log}");
    assert!(server.sandbox.exists("ready"));
    assert!(
        log.contains("Task 4 127.0.0.2 ended: timeout, exit code 124"),
        "{log}"
    );
    for task in [2, 3] {
        assert!(
            log.contains(&format!(
                "[WARN] Task {task}: a background process held the output"
            )),
            "{log}"
        );
    }
    assert!(!log.contains("[WARN] Task 1"), "{log}");
    for time in [holder, bare, timed] {
        assert!(!runs(&format!("sleep {time}")), "{time}\n{log}");
    }
    let daemon = pids(&format!("sleep {quiet}"));
    assert_eq!(daemon.len(), 1, "{log}");
    signal(daemon[0], "KILL");
}

/// What a command does to its wrapper, and what it leaves behind: with its output open
/// under any number, whoever was killed or stopped.
#[test]
fn what_a_command_leaves_is_ended_though_the_wrapper_is_gone() {
    let Some(server) = Server::start("") else {
        return;
    };
    let times: Vec<String> = (11..=14).map(own_time).collect();
    let task = |number: u32, command: &str| {
        format!(
            "task={number}\nhostname=127.0.0.2\nexec=ssh-shell\ntimeout=3\nnext=always\ncommand={command}\n"
        )
    };
    let tasks = [
        task(
            1,
            &format!("sleep {} & kill -9 $PPID; sleep {}", times[0], times[1]),
        ),
        task(
            2,
            &format!(
                "(exec sleep {} </dev/null 5>&2 >/dev/null 2>&1 &); echo hi",
                times[2]
            ),
        ),
        task(
            3,
            &format!(
                "trap 'sleep 0.3; kill -STOP $PPID; exit 1' TERM; sleep {}",
                times[3]
            ),
        ),
    ];
    let ran = server.run(&tasks.concat(), &[]);
    let log = server.sandbox.log();
    assert_eq!(ran.code, 0, "{log}");
    for (task, outcome) in [(1, "unknown"), (2, "ok"), (3, "timeout")] {
        let ended = format!("Task {task} 127.0.0.2 ended: {outcome}");
        assert!(log.contains(&ended), "{ended}\n{log}");
    }
    let cut = "[WARN] Task 2: a background process held the output open";
    assert!(log.contains(cut), "{log}");
    for time in times {
        wait_for("its end", || !runs(&format!("sleep {time}")));
    }
    wait_for("the end of all", || server.left().is_empty());
}

/// The wrapper is not alone in its process group: a forced command calls it.
#[test]
fn what_calls_the_wrapper_is_not_ended() {
    let Some(server) = Server::start(
        "ForceCommand sh -c \"$SSH_ORIGINAL_COMMAND\"; echo $? >>SANDBOX/after; sleep 0.2",
    ) else {
        return;
    };
    let (timed, held) = (own_time(21), own_time(22));
    let tasks = format!(
        "task=1\nhostname=127.0.0.2\nexec=ssh-shell\ntimeout=1\nnext=always\ncommand=sleep {timed}; true\n\
         task=2\nhostname=127.0.0.2\nexec=ssh-shell\ncommand=sleep {held} & exit 3\nsuccess=exit_3\n"
    );
    let ran = server.run(&tasks, &[]);
    let log = server.sandbox.log();
    assert_eq!(ran.code, 0, "{log}");
    assert!(log.contains("Task 1 127.0.0.2 ended: timeout"), "{log}");
    assert_eq!(server.sandbox.read("after"), "255\n3\n", "{log}");
    wait_for("the end of all", || {
        !runs(&format!("sleep {timed}")) && !runs(&format!("sleep {held}"))
    });
}

/// What the user's own ssh_config starts here, beside the client: the proxy of a
/// connection that is shared, and one that does not end with its ssh.
#[test]
fn proxies_are_ended_unless_they_are_shared() {
    let Some(server) = Server::start("") else {
        return;
    };
    let path = server.sandbox.path.display().to_string();
    let time = own_time(41);
    server.configure(&format!(
        "Host shared*\n  HostName 127.0.0.4\n  ControlMaster auto\n  ControlPersist 30\n  ControlPath {path}/master\n  ProxyCommand /usr/bin/ssh -F {path}/ssh_config -W %h:%p node1\n\
         Host slow*\n  HostName 127.0.0.5\n  ProxyCommand sh -c 'trap \"\" HUP; /usr/bin/ssh -F {path}/ssh_config -W %h:%p node1; sleep {time}'\n"
    ));
    // None of them waits for a proxy as long as this.
    let patient = "kill_after=30\n";
    server.sandbox.file(".config/tasker/tasker.conf", patient);
    // The first makes the connection that the other one uses, and is timed out.
    let tasks = "task=1\ntype=parallel\ntasks=2,3\nnext=always\n\
        task=2\nhostname=shared1\nexec=ssh\ncommand=sleep 300\ntimeout=2\n\
        task=3\nhostname=shared2\nexec=ssh\ncommand=sleep 10\n\
        task=4\nhostname=slow1\nexec=ssh\ncommand=echo on\n\
        task=5\nhostname=slow1\nexec=ssh\ncommand=sleep 300\ntimeout=1\nnext=always\n";
    let began = Instant::now();
    let ran = server.run(tasks, &["--skip-host-validation"]);
    let took = began.elapsed();
    let log = server.sandbox.log();
    let closed = Command::new(server.sandbox.path.join("bin/ssh"))
        .args(["-O", "exit", "shared1"])
        .output();
    assert_eq!(ran.code, 0, "{log}");
    assert!(closed.expect("ssh runs").status.success(), "{log}");
    for (task, ended) in [
        ("2 shared1", "timeout"),
        ("3 shared2", "ok"),
        ("4 slow1", "ok"),
        ("5 slow1", "timeout"),
    ] {
        let line = format!("Task {task} ended: {ended}");
        assert!(log.contains(&line), "{line}\n{log}");
    }
    assert!(took < Duration::from_secs(30), "{took:?}\n{log}");
    assert!(!log.contains("background process"), "{log}");
    wait_for("the end of the proxies", || !runs(&format!("sleep {time}")));
}

/// Where the open files of a host cannot be listed, something could hold the output
/// unseen.
#[test]
fn a_host_that_cannot_be_searched_confirms_no_end() {
    let Some(server) =
        Server::start("ForceCommand PATH=SANDBOX/few; exec sh -c \"$SSH_ORIGINAL_COMMAND\"")
    else {
        return;
    };
    let few = server.sandbox.path.join("few");
    std::fs::create_dir(&few).expect("a directory");
    for program in ["sh", "bash", "grep", "sleep", "tr", "head"] {
        let found = ["/usr/bin", "/bin"].map(|d| Path::new(d).join(program));
        let found = found.iter().find(|path| path.exists()).expect("a program");
        std::os::unix::fs::symlink(found, few.join(program)).expect("a link");
    }
    let time = own_time(31);
    let tasks = format!("task=1\nhostname=127.0.0.2\nexec=ssh\ntimeout=1\ncommand=sleep {time}\n");
    let ran = server.run(&tasks, &[]);
    let log = server.sandbox.log();
    assert_eq!(ran.code, 124, "{log}");
    assert!(log.contains("Task 1 127.0.0.2 ended: unknown"), "{log}");
    assert!(!runs(&format!("sleep {time}")), "{log}");
}

/// Standard input that does not come whole leaves nothing begun.
#[test]
fn a_timeout_while_standard_input_is_sent_is_no_unknown_end() {
    let Some(server) = Server::start("") else {
        return;
    };
    let path = server.sandbox.path.display().to_string();
    server.sandbox.program(
        "bin/ssh",
        &format!(
            "#!/bin/sh\n{{ dd bs=1 count=1000 status=none; sleep 3; }} | /usr/bin/ssh -F {path}/ssh_config \"$@\"\n"
        ),
    );
    let tasks = format!(
        "task=1\nexec=shell\ncommand=seq 100000\n\
         task=2\nhostname=node1\nexec=ssh\ncommand=touch {path}/done\nstdin=@1_stdout@\ntimeout=1\nnext=always\n"
    );
    let ran = server.run(&tasks, &["--skip-host-validation"]);
    let log = server.sandbox.log();
    assert_eq!(ran.code, 0, "{log}");
    assert!(log.contains("Task 2 node1 ended: timeout"), "{log}");
    assert!(!server.sandbox.exists("done"));
}

/// A command can end before the wrapper's watcher has let go of the output.
#[test]
fn short_commands_leave_nothing_behind() {
    let Some(server) = Server::start("MaxStartups 100") else {
        return;
    };
    let tasks = "task=1\ntype=parallel\nhostnames=127.0.2.[1-60]\nmax_parallel=20\nexec=ssh\ncommand=true\n";
    let ran = server.run(tasks, &["--skip-host-validation"]);
    let log = server.sandbox.log();
    assert_eq!(ran.code, 0, "{log}");
    assert!(!log.contains("background process"), "{log}");
    wait_for("the end of all", || server.left().is_empty());
}

/// A line that is frozen: nothing says what became of the command.
#[test]
fn an_end_that_is_not_confirmed_is_unknown() {
    let Some(server) = Server::start("") else {
        return;
    };
    let path = server.sandbox.path.display().to_string();
    let tasks = format!(
        "task=1\nhostname=127.0.0.2\nexec=ssh-shell\ncommand=touch {path}/ready; sleep 300\ntimeout=4\nnext=always\n\
         task=2\nexec=shell\ncommand=echo is @1_outcome@ @1_exit@ @1_success@\n"
    );
    let child = server.begin(&tasks, &[]);
    wait_for("the command", || server.sandbox.exists("ready"));
    server.signal_sessions("STOP");
    let ran = finish(child);
    let log = server.sandbox.log();
    let far: Vec<u32> = server.left();
    server.signal_sessions("CONT");
    assert_eq!(ran.code, 0, "{log}");
    assert!(log.contains("stdout| is unknown 124 false"), "{log}");
    let named = |pid: &u32| {
        log.contains(&format!(
            "process {pid} there, and what it started, may go on"
        ))
    };
    assert!(far.iter().any(named), "{far:?}\n{log}");
    wait_for("the end there", || server.left().is_empty());
}

/// A program of root's that runs in the session of a user.
fn root_sleeper(server: &Server) -> Option<String> {
    let source = "unsafe extern \"C\" { fn setuid(id: u32) -> i32; }\n\
        fn main() { unsafe { setuid(0); } std::thread::sleep(std::time::Duration::from_secs(20)); }\n";
    let path = server.sandbox.file("sleeper.rs", source);
    let program = server.sandbox.path.join("sleeper");
    let made = Command::new("rustc")
        .args(["--edition=2024", "-o"])
        .arg(&program)
        .arg(&path)
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        sshd::skipped("a set-user-ID program", "rustc does not run");
        return None;
    }
    let mode = std::fs::Permissions::from_mode(0o4755);
    std::fs::set_permissions(&program, mode).expect("the mode");
    Some(program.display().to_string())
}

#[test]
fn what_may_not_be_signalled_on_the_host_is_named() {
    let Some(server) = Server::start("") else {
        return;
    };
    let Some(user) = sshd::User::new("sleeper", "/bin/sh", &server.sandbox.path) else {
        return;
    };
    let Some(program) = root_sleeper(&server) else {
        return;
    };
    std::fs::set_permissions(&server.sandbox.path, std::fs::Permissions::from_mode(0o755))
        .expect("the mode");
    let tasks = format!(
        "task=1\nhostname={}@127.0.0.2\nexec=ssh\ncommand={program} now\ntimeout=2\n",
        user.name
    );
    let ran = server.run(&tasks, &[]);
    let log = server.sandbox.log();
    let left = pids(&format!("{program} now"));
    assert_eq!(left.len(), 1, "{log}");
    let named = format!(
        "could not be ended, and may go on: process {} (`{program} now`)",
        left[0]
    );
    signal(left[0], "KILL");
    assert!(log.contains(&named), "{log}");
    assert!(log.contains("ended: unknown"), "{log}");
    assert_ne!(ran.code, 0);
}
