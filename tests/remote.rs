//! Commands on other hosts: through a real OpenSSH server, through stand-ins for
//! engines that are not available, and through exec types of `tasker.conf` (SPEC
//! §5, §6.2).

#[path = "support/hostile.rs"]
mod hostile;
#[path = "support/sshd.rs"]
mod sshd;
mod support;

use hostile::{Writer, hostile, next, nothing_was_run, producers, same, trimmed, words};
use sshd::{Server, User};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use support::{Ran, Sandbox, finish, signal, wait_for};

// Passing words and data.

/// Generates argument vectors, and their text in a task file.
struct Vectors {
    state: u64,
    data: Vec<Vec<u8>>,
}

impl Vectors {
    fn pick(&mut self, count: usize) -> usize {
        (next(&mut self.state) >> 20) as usize % count
    }

    fn bytes(&mut self) -> Vec<u8> {
        let special = b"'\"$\\`;&|<>(){}[]*?~#!=%@ \t\n-";
        let length = self.pick(30);
        let byte = |s: &mut Self| match s.pick(3) {
            0 => special[s.pick(special.len())],
            1 => 1 + s.pick(255) as u8,
            _ => b'a' + s.pick(26) as u8,
        };
        (0..length).map(|_| byte(self)).collect()
    }

    /// What the author of a task file can write: characters, on one line.
    fn literal(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.bytes()).into_owned();
        text.replace(|c: char| c.is_control() && c != '\t', "_")
    }

    /// A piece of a word, quoted in one way or another.
    fn piece(&mut self) -> (String, Vec<u8>) {
        let literal = self.literal();
        let shown = literal.replace('@', "@@");
        match self.pick(6) {
            0 => (
                format!("'{}'", shown.replace('\'', "'\\''")),
                literal.into(),
            ),
            1 => {
                let mut text = String::new();
                for c in shown.chars() {
                    if "\"$\\`".contains(c) {
                        text.push('\\');
                    }
                    text.push(c);
                }
                (format!("\"{text}\""), literal.into())
            }
            2 => {
                let mut text = String::new();
                for c in shown.chars() {
                    if !c.is_alphanumeric() && c != '@' {
                        text.push('\\');
                    }
                    text.push(c);
                }
                (text, literal.into())
            }
            kind => {
                let number = self.pick(self.data.len());
                let (text, bytes) = match kind {
                    3 => (format!("@G{number}@"), self.data[number].clone()),
                    _ => {
                        let text = format!("@{}_stdout@", 100 + number);
                        (text, trimmed(&self.data[number]))
                    }
                };
                match self.pick(3) {
                    0 => (format!("'{text}'"), bytes),
                    1 => (format!("\"{text}\""), bytes),
                    _ => (text, bytes),
                }
            }
        }
    }

    fn quoted_word(&mut self) -> (String, Vec<u8>) {
        if self.pick(12) == 0 {
            return ("''".into(), Vec::new());
        }
        let mut word = ("\"\"".to_string(), Vec::new());
        for _ in 0..1 + self.pick(3) {
            let (text, bytes) = self.piece();
            word.0 += &text;
            word.1.extend(bytes);
        }
        word
    }
}

/// 500 vectors, 125 through each of `local`, `shell`, `ssh` and `ssh-shell`.
#[test]
fn words_arrive_byte_for_byte() {
    let Some(server) = Server::start("MaxSessions 100") else {
        return;
    };
    let _shared = server.share_connections();
    let sandbox = &server.sandbox;
    let mut vectors = Vectors {
        state: 0x2545_f491_4f6c_dd1d,
        data: hostile(),
    };
    for _ in 0..40 {
        let bytes = vectors.bytes();
        vectors.data.push(bytes);
    }
    let mut tasks: String = (0..vectors.data.len())
        .map(|n| format!("G{n}=$V{n}\n"))
        .collect();
    tasks += &producers(sandbox, &vectors.data);
    let path = sandbox.path.display().to_string();
    let mut expected = Vec::new();
    for number in 0..500 {
        let exec = ["local", "shell", "ssh", "ssh-shell"][number % 4];
        let mut made: Vec<_> = (0..vectors.pick(8))
            .map(|_| vectors.quoted_word())
            .collect();
        // A blank at the end of a line would be dropped.
        made.push(("end".into(), b"end".to_vec()));
        let text: Vec<&str> = made.iter().map(|w| w.0.as_str()).collect();
        let text = text.join(" ");
        tasks += &format!(
            "task={}\nhostname=node{number}\nexec={exec}\ncommand={path}/argv {path}/out/{number} {text}\n",
            1000 + number
        );
        let bytes: Vec<&[u8]> = made.iter().map(|w| w.1.as_slice()).collect();
        expected.push((format!("{exec}: {text}"), words(&bytes)));
    }
    tasks += "task=5000\ntype=parallel\nmax_parallel=6\ntasks=1000-1499\n";
    sandbox.file("tasks.txt", tasks);
    let mut command = server.tasker(&["-r", "-q", "-k", "--skip-host-validation", "tasks.txt"]);
    for (number, bytes) in vectors.data.iter().enumerate() {
        use std::os::unix::ffi::OsStrExt;
        command.env(format!("V{number}"), std::ffi::OsStr::from_bytes(bytes));
    }
    let ran = Ran::from(command.output().expect("tasker runs"));
    assert_eq!(ran.code, 0, "{:.3000}", ran.stderr);
    for (number, (text, bytes)) in expected.iter().enumerate() {
        same(sandbox, &format!("out/{number}"), bytes, text);
    }
    nothing_was_run(sandbox);
}

#[test]
fn remote_scripts_take_data_as_data() {
    let Some(server) = Server::start("MaxSessions 100") else {
        return;
    };
    let _shared = server.share_connections();
    let sandbox = &server.sandbox;
    let data = hostile();
    let mut tasks = producers(sandbox, &data);
    let path = sandbox.path.display().to_string();
    let mut writer = Writer {
        state: 0x9e37_79b9_7f4a_7c15,
        data: &data,
    };
    let mut expected = Vec::new();
    for number in 0..100 {
        let (text, bytes) = writer.command(3);
        tasks += &format!(
            "task={}\nhostname=node1\nexec=ssh-shell\ncommand={{ {text}; }} > {path}/out/{number}\n",
            1000 + number
        );
        expected.push((text, bytes));
    }
    tasks += "task=5000\ntype=parallel\nmax_parallel=6\ntasks=1000-1099\n";
    let ran = server.run(&tasks, &["-q"]);
    assert_eq!(ran.code, 0, "{:.3000}", ran.stderr);
    nothing_was_run(sandbox);
    for (number, (text, bytes)) in expected.iter().enumerate() {
        same(sandbox, &format!("out/{number}"), bytes, text);
    }
}

/// The preamble and the data use one channel.
#[test]
fn three_megabytes_pass_through_standard_input() {
    let Some(server) = Server::start("") else {
        return;
    };
    let sandbox = &server.sandbox;
    let mut state = 0x1234_5678_9abc_def1;
    let data: Vec<u8> = (0..3 << 20)
        .map(|_| (next(&mut state) >> 33) as u8)
        .collect();
    sandbox.file("data", &data);
    let path = sandbox.path.display();
    let ran = server.run(
        &format!(
            "task=1\nexec=local\ncommand=cat data\n\
             task=2\nhostname=127.0.0.2\nexec=ssh\ncommand=cmp - {path}/data\nstdin=@1_stdout@\n\
             task=3\nhostname=127.0.0.3\nexec=ssh-shell\ncommand=cat | cat\nstdin=@1_stdout@\n\
             task=4\nexec=local\ncommand=cmp - data\nstdin=@3_stdout@\n\
             task=5\nhostname=127.0.0.2\nexec=ssh\ncommand=true\nstdin=@1_stdout@\n\
             task=6\nhostname=127.0.0.2\nexec=ssh-shell\ncommand=head -c 10; cat | wc -c\nstdin=@1_stdout@\n\
             success=stdout~3145718\n\
             task=7\nhostname=127.0.0.2\nexec=ssh\ncommand=cat\nstdin=  a @6_exit@ 'b'\nsuccess=stdout=\"a 0 'b'\"\n\
             task=8\nhostname=127.0.0.2\nexec=ssh\ncommand=cat\nsuccess=stdout=\n"
        ),
        &[],
    );
    let log = sandbox.log();
    let short = |l: &&str| !l.contains("Task 1 stdout|") && !l.contains("Task 3 stdout|");
    assert_eq!(
        ran.code,
        0,
        "{:#?}",
        log.lines().filter(short).collect::<Vec<_>>()
    );
}

#[test]
fn a_block_over_many_hosts() {
    let Some(server) = Server::start("") else {
        return;
    };
    let tasks = "task=1\ntype=parallel\nhostnames=127.0.1.[1-24]\nexec=ssh-shell\n\
        command=set -- $SSH_CONNECTION; echo at $3 $TASKER_HOSTNAME $TASKER_TASK $MINE\n\
        env.MINE=@hostname@ it's\n\
        success=stdout=\"at @hostname@ @hostname@ @task@ @hostname@ it's\"\n\
        task=2\nexec=local\ncommand=echo hosts @1_ok_hosts@ @1_success_count@\n";
    let ran = server.run(tasks, &[]);
    let log = server.sandbox.log();
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(log.contains("stdout| hosts 127.0.1.[1-24] 24"), "{log}");
    assert_eq!(log.matches(" ended: ok, exit code 0").count(), 26, "{log}");
    assert_eq!(server.log().matches("Accepted publickey").count(), 24);
}

// Exit codes do not depend on the login shell.

/// The login shells of this machine, by name and path.
fn login_shells(sandbox: &Sandbox) -> Vec<(&'static str, String)> {
    let mut found = vec![("sh", "/bin/sh".to_string())];
    for (name, path) in [
        ("bash", "/bin/bash"),
        ("dash", "/bin/dash"),
        ("tcsh", "/usr/bin/tcsh"),
        ("fish", "/usr/bin/fish"),
    ] {
        match Path::new(path).exists() {
            true => found.push((name, path.into())),
            false => sshd::skipped(&format!("{name} as login shell"), "it is not installed"),
        }
    }
    let busybox = ["/bin/busybox", "/usr/bin/busybox"];
    match busybox.iter().find(|p| Path::new(p).exists()) {
        Some(busybox) => {
            let shell = sandbox.path.join("busybox/sh");
            std::fs::create_dir_all(sandbox.path.join("busybox")).expect("a directory");
            std::os::unix::fs::symlink(busybox, &shell).expect("a link");
            found.push(("busybox", shell.display().to_string()));
        }
        None => sshd::skipped("busybox as login shell", "it is not installed"),
    }
    found
}

#[test]
fn exit_codes_pass_unchanged_for_every_login_shell() {
    let Some(server) = Server::start("") else {
        return;
    };
    let sandbox = &server.sandbox;
    sandbox.file("not-executable", "true\n");
    let path = sandbox.path.display();
    let shells = login_shells(sandbox);
    let users: Vec<User> = shells
        .iter()
        .filter_map(|(name, shell)| User::new(name, shell, &sandbox.path))
        .collect();
    let mut hosts: Vec<String> = users
        .iter()
        .map(|u| format!("{}@127.0.0.2", u.name))
        .collect();
    if hosts.is_empty() {
        hosts.push("127.0.0.2".into());
    }
    let (count, hosts) = (hosts.len(), hosts.join(","));
    let odd = r#"'a  b' "it's" '$HOME!' '' '\\' "!x" '*' '`id`' @1_stdout@"#;
    let mut tasks = "task=1\nexec=local\ncommand=printf 'two\\nlines ! \\\\ \\047'\n".to_string();
    for (id, exec, command, code) in [
        (10, "ssh", "true".to_string(), 0),
        (11, "ssh", "false".into(), 1),
        (12, "ssh-shell", "exit 7".into(), 7),
        (13, "ssh", format!("{path}/not-executable"), 126),
        (14, "ssh", "no-such-program".into(), 127),
        (15, "ssh-shell", "kill -9 $$".into(), 137),
        (16, "ssh", "sh -c 'exit 255'".into(), 255),
        (17, "ssh-shell", "kill -TERM $$".into(), 143),
    ] {
        tasks += &format!(
            "task={id}\ntype=parallel\nhostnames={hosts}\nexec={exec}\ncommand={command}\n\
             success=exit_{code}&stdout=\n"
        );
    }
    tasks += &format!(
        "task=20\ntype=parallel\nhostnames={hosts}\nexec=ssh\ncommand=printf '<%s>' {odd}\n\
         task=21\nexec=local\ncommand=true\n"
    );
    let ran = server.run(&tasks, &["-k"]);
    let log = sandbox.log();
    assert_eq!(ran.code, 0, "{log}");
    let printed = r"stdout| <a  b><it's><$HOME!><><\\><!x><*><`id`><two";
    assert_eq!(log.matches(printed).count(), count, "{log}");
    assert_eq!(log.matches(r"stdout| lines ! \ '>").count(), count, "{log}");
    assert!(!log.contains("unreachable"), "{log}");
}

/// The wrapper itself, under every sh that a host may have.
#[test]
fn the_remote_wrapper_runs_under_any_sh() {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"];
    let shells: Vec<String> = [
        "/bin/dash",
        "/bin/bash",
        "/bin/ksh93",
        "/bin/mksh",
        "/bin/yash",
        "/bin/zsh --emulate sh",
    ]
    .iter()
    .filter(|p| Path::new(p.split(' ').next().unwrap_or(p)).exists())
    .map(|p| p.to_string())
    .chain(
        busybox
            .iter()
            .filter(|p| Path::new(p).exists())
            .take(1)
            .map(|p| format!("{p} sh")),
    )
    .collect();
    // Mostly they wait.
    std::thread::scope(|scope| {
        for shell in &shells {
            scope.spawn(|| run_wrapper_under(shell));
        }
    });
}

fn run_wrapper_under(shell: &str) {
    let sandbox = Sandbox::new();
    sandbox.file(".config/tasker/tasker.conf", "kill_after=1\n");
    // An ssh that connects to nothing: only the session, as sshd would start it, and
    // that ends, as ssh does, when nothing holds the output any more.
    sandbox.program(
        "bin/ssh",
        &format!(
            "#!/bin/sh\nfor last; do :; done\n\
         {{ {{ setsid -w sh -c \"$(printf %s \"$last\" | sed 's,/bin/sh,{shell},')\" 2>&3 3>&- | cat; }} 3>&1 >&4 4>&- | cat >&2; }} 4>&1\n"
        ),
    );
    let tasks = "task=1\nhostname=far\nexec=ssh\ncommand=printf '<%s>' 'a  b' '' \"it's\" '\\x'\nsuccess=stdout=\"<a  b><><it's><\\\\x>\"\n\
        task=2\nhostname=far\nexec=ssh-shell\ncommand=cat; exit 7\nstdin=some data\nsuccess=exit_7&stdout=\"some data\"\n\
        task=3\nhostname=far\nexec=ssh-shell\ncommand=(trap '' TERM; sleep 50) & sleep 51 | cat\ntimeout=1\nnext=always\n\
        task=4\nhostname=far\nexec=ssh-shell\ncommand=sleep 52 & echo on\nsuccess=stdout=on\n";
    sandbox.file("tasks.txt", tasks);
    let mut command = with_bin(&sandbox, &["-r", "--skip-host-validation", "tasks.txt"]);
    let began = Instant::now();
    let ran = Ran::from(command.output().expect("tasker runs"));
    let log = sandbox.log();
    assert_eq!(ran.code, 0, "{shell}\n{log}");
    assert!(
        log.contains("Task 3 far ended: timeout, exit code 124"),
        "{shell}\n{log}"
    );
    assert!(
        log.contains("Task 4: a background process held"),
        "{shell}\n{log}"
    );
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "{:?}",
        began.elapsed()
    );
    let home = format!("HOME={}\0", sandbox.path.display());
    wait_for("the end of all", || {
        support::processes_with(&home).is_empty()
    });
}

// Hosts that cannot be reached.

/// A listener that accepts connections and never sends anything.
fn silent_port() -> (std::net::TcpListener, u16) {
    let listener = std::net::TcpListener::bind(("127.0.0.4", 0)).expect("a port");
    let port = listener.local_addr().expect("its address").port();
    (listener, port)
}

/// Hosts of every kind: what they are, and what ssh reports.
fn hosts_of_all_kinds(server: &Server, silent: u16) {
    let path = server.sandbox.path.display();
    let closed = sshd::free_port();
    server.configure(&format!(
        "Host refusing\n  HostName 127.0.0.3\n  Port {closed}\n\
         Host silent\n  HostName 127.0.0.4\n  Port {silent}\n\
         Host changed\n  HostName 127.0.0.5\n  UserKnownHostsFile {path}/changed\n\
         Host denied\n  HostName 127.0.0.6\n  User no-such-user\n\
         Host unknown\n  HostName no-such-host.invalid\n"
    ));
    // The first value wins: the silent host costs 2 s, and the others have time.
    server.sandbox.program(
        "bin/ssh",
        &format!(
            "#!/bin/sh\ncase \"$*\" in *' -- silent '*) set -- -o ConnectTimeout=2 \"$@\";; esac\nexec /usr/bin/ssh -F {path}/ssh_config \"$@\"\n"
        ),
    );
}

#[test]
fn kinds_of_unreachable_hosts_are_distinguished() {
    let Some(server) = Server::start("") else {
        return;
    };
    let (listener, silent) = silent_port();
    hosts_of_all_kinds(&server, silent);
    let hosts = "refusing,silent,changed,denied,unknown,node1";
    let block = |id: u32, more: &str| {
        format!(
            "task={id}\ntype=parallel\nhostnames={hosts}\nexec=ssh\ncommand=sh -c 'echo here; exit 0'\n{more}\n"
        )
    };
    let tasks = block(1, "")
        + &block(2, "unreachable=skip")
        + &block(3, "unreachable=90%")
        + &block(4, "unreachable=50%")
        + "task=5\nhostname=node1\nexec=ssh\ncommand=sh -c 'exit 255'\nretry_on=unreachable\nretry_count=2\nretry_delay=0.1\n\
           task=6\nhostname=changed\nexec=ssh\ncommand=true\nretry_on=unreachable\nretry_count=2\nretry_delay=0.1\n\
           task=7\nhostname=changed\nexec=ssh\ncommand=true\nretry_on=failed\nretry_count=2\nretry_delay=0.1\n\
           task=8\nexec=local\ncommand=echo 1=@1_success@,@1_unreachable_hosts@ 2=@2_success@,@2_stdout@ 3=@3_success@ 4=@4_success@ 5=@5_outcome@,@5_attempts@ 6=@6_outcome@,@6_exit@,@6_attempts@ 7=@7_attempts@\n";
    let began = Instant::now();
    let ran = server.run(&tasks, &["-k", "--skip-host-validation"]);
    let log = server.sandbox.log();
    drop(listener);
    let reason = "has changed and you have requested strict checking.\n    | ... more in the log\n";
    assert!(ran.stdout.contains(reason), "{}", ran.stdout);
    assert_eq!(ran.code, 1, "{log}");
    assert!(began.elapsed() < Duration::from_secs(60), "{log}");
    for (number, (host, reason)) in [
        ("refusing", "Connection refused"),
        ("silent", "timed out"),
        ("changed", "REMOTE HOST IDENTIFICATION HAS CHANGED"),
        ("denied", "Permission denied (publickey)"),
        ("unknown", "Could not resolve hostname"),
    ]
    .iter()
    .enumerate()
    {
        let task = format!("Task 1.{} {host}", number + 1);
        let ended = format!("{task} ended: unreachable");
        assert!(log.contains(&ended), "{ended}\n{log}");
        let reported = |l: &str| l.contains(&format!("{task} stderr|")) && l.contains(reason);
        assert!(log.lines().any(reported), "{task}: {reason}\n{log}");
    }
    assert!(log.contains("Task 1.6 node1 ended: ok"), "{log}");
    let counted = "1=false,changed,denied,refusing,silent,unknown 2=true,1/6 succeeded 3=true 4=false \
        5=failed,1 6=unreachable,255,3 7=1";
    assert!(log.contains(counted), "{log}");
}

/// A host that answers but runs something else: that is not a success.
#[test]
fn a_command_that_never_began_did_not_succeed() {
    let Some(server) = Server::start("") else {
        return;
    };
    let sandbox = &server.sandbox;
    let nologin = ["/usr/sbin/nologin", "/sbin/nologin", "/bin/false"];
    let nologin = nologin
        .iter()
        .find(|p| Path::new(p).exists())
        .expect("a shell that refuses");
    let Some(user) = User::new("nologin", nologin, &sandbox.path) else {
        return;
    };
    let tasks = format!(
        "task=1\nhostname={}@127.0.0.2\nexec=ssh\ncommand=true\n\
         task=2\nhostname=127.0.0.2\nexec=ssh-shell\ncommand=exit 7\nretry_on=unreachable\nretry_count=1\nretry_delay=0.1\n",
        user.name
    );
    let forced = format!("command=\"echo forced\" {}", sandbox.read("user.pub"));
    sandbox.file("authorized", forced);
    let ran = server.run(&tasks, &["-k"]);
    let log = sandbox.log();
    assert_eq!(ran.code, 1, "{log}");
    assert_eq!(log.matches(" ended: unreachable").count(), 3, "{log}");
    for line in [
        "unreachable (the host ended the session with exit code 1 before the command started;",
        "unreachable (the host ended the session with exit code 0 before the command started;",
    ] {
        assert!(log.contains(line), "{line}\n{log}");
    }
}

// Nothing is left running on the host.

/// A child, a grandchild, a pipeline and a process group of its own, which all keep
/// running.
const TREE: &str = "#!/bin/bash
sleep 300 &
sh -c 'sleep 300 & sleep 300; true' &
timeout 300 sleep 300 &
set -m
sleep 300 | cat &
set +m
echo > READY
sleep 300 | cat | cat
";

/// A script that SIGTERM does not end, with a child like it.
const DEAF: &str = "#!/bin/sh
trap '' TERM HUP INT
sh -c 'while :; do sleep 1; done' &
echo > READY
while :; do sleep 1; done
";

/// Both programs in the server's sandbox, and a block that runs them.
fn stubborn_block(server: &Server, more: &str) -> String {
    let path = server.sandbox.path.display();
    for (name, text) in [("tree", TREE), ("deaf", DEAF)] {
        let text = text.replace("READY", &format!("{path}/ready-$TASKER_TASK"));
        server.sandbox.program(name, &text);
    }
    format!(
        "task=1\ntype=parallel\ntasks=2-4\n\
         task=2\nhostname=127.0.0.2\nexec=ssh\ncommand={path}/tree\n{more}\n\
         task=3\nhostname=127.0.0.3\nexec=ssh\ncommand={path}/deaf\n{more}\n\
         task=4\nhostname=127.0.0.4\nexec=ssh-shell\ncommand={path}/tree | cat; true\n{more}\n"
    )
}

fn wait_until_ready(server: &Server) {
    wait_for("the commands", || {
        (2..=4).all(|task| server.sandbox.exists(&format!("ready-{task}")))
    });
}

#[track_caller]
fn assert_nothing_left(server: &Server, since: Instant) {
    wait_for("the end of the remote commands", || {
        server.left().is_empty()
    });
    // `kill_after` is 1 s; the rest is for a busy machine.
    assert!(
        since.elapsed() < Duration::from_secs(12),
        "{:?}",
        since.elapsed()
    );
}

#[test]
fn a_timeout_ends_remote_commands() {
    let Some(server) = Server::start("") else {
        return;
    };
    let began = Instant::now();
    let ran = server.run(&stubborn_block(&server, "timeout=3"), &[]);
    assert_nothing_left(&server, began + Duration::from_secs(3));
    let log = server.sandbox.log();
    assert_eq!(ran.code, 10, "{log}");
    assert_eq!(
        log.matches(" ended: timeout, exit code 124").count(),
        3,
        "{log}"
    );
    assert!(!log.contains("may still run"), "{log}");
}

#[test]
fn a_signal_to_tasker_ends_remote_commands() {
    let Some(server) = Server::start("") else {
        return;
    };
    let child = server.begin(&stubborn_block(&server, ""), &[]);
    wait_until_ready(&server);
    let ended_at = Instant::now();
    signal(child.id(), "TERM");
    let ran = finish(child);
    assert_nothing_left(&server, ended_at);
    let log = server.sandbox.log();
    assert_eq!(ran.code, 143, "{log}");
    // The three and their block.
    assert_eq!(log.matches(" ended: cancelled").count(), 4, "{log}");
}

#[test]
fn killing_tasker_ends_remote_commands() {
    let Some(server) = Server::start("") else {
        return;
    };
    let mut child = server.begin(&stubborn_block(&server, ""), &[]);
    wait_until_ready(&server);
    let ended_at = Instant::now();
    child.kill().expect("kill");
    child.wait().expect("its end");
    assert_nothing_left(&server, ended_at);
}

/// The processes of this run whose command line contains the text.
fn clients(server: &Server, text: &str) -> Vec<u32> {
    let home = format!("HOME={}\0", server.sandbox.path.display());
    let holds = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(text)
    };
    let all = support::processes_with(&home);
    let far = server.left();
    all.into_iter()
        .filter(|p| !far.contains(p))
        .filter(holds)
        .collect()
}

#[test]
fn killing_ssh_ends_remote_commands() {
    let Some(server) = Server::start("") else {
        return;
    };
    let child = server.begin(&stubborn_block(&server, ""), &[]);
    wait_until_ready(&server);
    let ended_at = Instant::now();
    let clients = clients(&server, "/usr/bin/ssh\0");
    assert_eq!(clients.len(), 3);
    for pid in clients {
        signal(pid, "KILL");
    }
    let ran = finish(child);
    assert_nothing_left(&server, ended_at);
    let log = server.sandbox.log();
    assert_eq!(ran.code, 10, "{log}");
    let ended = |l: &&str| l.contains(" ended: unknown") && l.contains("exit code 255");
    assert_eq!(log.lines().filter(ended).count(), 3, "{log}");
}

#[test]
fn a_server_that_dies_ends_its_commands() {
    let Some(server) = Server::start("") else {
        return;
    };
    let child = server.begin(&stubborn_block(&server, ""), &[]);
    wait_until_ready(&server);
    let ended_at = Instant::now();
    server.signal_sessions("KILL");
    let ran = finish(child);
    assert_nothing_left(&server, ended_at);
    let log = server.sandbox.log();
    assert_eq!(ran.code, 10, "{log}");
    let ended = |l: &&str| l.contains(" ended: unknown") && l.contains("exit code 255");
    assert_eq!(log.lines().filter(ended).count(), 3, "{log}");
    assert!(
        log.contains("closed by remote host") || log.contains("Connection reset"),
        "{log}"
    );
}

#[test]
fn a_remote_background_process_does_not_hang_the_run() {
    let Some(server) = Server::start("") else {
        return;
    };
    let tasks = "task=1\nhostname=127.0.0.2\nexec=ssh-shell\ncommand=sleep 300 & (trap '' TERM; sleep 300) & echo on\nsuccess=exit_0&stdout=on\n\
        task=2\nhostname=127.0.0.2\nexec=ssh-shell\ncommand=sleep 4 >/dev/null 2>&1 & echo quiet\n";
    let began = Instant::now();
    let ran = server.run(tasks, &[]);
    let log = server.sandbox.log();
    assert_eq!(ran.code, 0, "{log}");
    assert!(
        log.contains("[WARN] Task 1: a background process held the output"),
        "{log}"
    );
    assert!(!log.contains("[WARN] Task 2"), "{log}");
    assert_nothing_left(&server, began);
}

/// A host that hangs with its connection open: the run continues, and once the host
/// is back nothing is left running there.
#[test]
fn a_host_that_hangs_does_not_hang_the_run() {
    let Some(server) = Server::start("") else {
        return;
    };
    let child = server.begin(&stubborn_block(&server, "timeout=4"), &[]);
    wait_until_ready(&server);
    server.signal_sessions("STOP");
    let began = Instant::now();
    let ran = finish(child);
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
    let log = server.sandbox.log();
    assert_eq!(ran.code, 10, "{log}");
    let ended = |l: &&str| l.contains(" ended: unknown") && l.contains("exit code 124");
    assert_eq!(log.lines().filter(ended).count(), 3, "{log}");
    server.signal_sessions("CONT");
    assert_nothing_left(&server, Instant::now());
}

// Many hosts at once.

/// A bound of the user's is never passed.
#[test]
fn max_connecting_bounds_how_many_connect_at_once() {
    let Some(server) = Server::start("MaxStartups 2:100:2") else {
        return;
    };
    let conf = server.sandbox.file("narrow.conf", "max_connecting=2\n");
    let tasks = "task=1\ntype=parallel\nhostnames=127.0.2.[1-30]\nmax_parallel=50\nexec=ssh\ncommand=true\n";
    let ran = server.run(tasks, &["--config", &conf.display().to_string()]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(server.sandbox.log().contains("Task 1: 30 ok"));
    assert!(!server.log().contains("MaxStartups"), "{}", server.log());
    assert!(!server.sandbox.log().contains("turned away"));
}

// Engines that are not available: stand-ins that accept only one argument vector.

/// A program that compares its arguments with those in `expected-TASK`, then runs
/// the words after the host.
fn stand_in(sandbox: &Sandbox, name: &str, before_command: u32) {
    let path = sandbox.path.display();
    sandbox.program(
        &format!("bin/{name}"),
        &format!(
            "#!/bin/sh\nprintf '%s\\0' \"$@\" | cmp -s - \"{path}/expected-$TASKER_TASK\" || {{ echo \"{name}: wrong arguments: $*\" >&2; exit 99; }}\nshift {before_command}\nexec \"$@\"\n"
        ),
    );
}

fn run_with_bin(sandbox: &Sandbox, tasks: &str, options: &[&str]) -> Ran {
    sandbox.file("tasks.txt", tasks);
    let mut arguments = options.to_vec();
    arguments.push("tasks.txt");
    Ran::from(with_bin(sandbox, &arguments).output().expect("tasker runs"))
}

/// tasker with the sandbox's `bin` first in its PATH.
fn with_bin(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = sandbox.tasker(arguments);
    let path = format!("{}/bin:/usr/bin:/bin", sandbox.path.display());
    command.env("PATH", path);
    command
}

#[test]
fn engines_get_their_exact_arguments() {
    let sandbox = Sandbox::new();
    stand_in(&sandbox, "pbrun", 3);
    stand_in(&sandbox, "p7s", 1);
    stand_in(&sandbox, "wwrs_clir", 1);
    let mut tasks = "task=1\nexec=local\ncommand=printf 'x; y\\n$HOME \\047'\n".to_string();
    let cases: [(u32, &str, &[&str]); 4] = [
        (2, "", &["-n", "-h", "web1"]),
        (3, "exec=pbrun\n", &["-n", "-h", "web1"]),
        (4, "exec=p7s\n", &["web1"]),
        (5, "exec=wwrs\n", &["web1"]),
    ];
    for (id, exec, before) in cases {
        tasks += &format!(
            "task={id}\nhostname=web1\n{exec}command=printf '<%s>'\narguments='a  b' @1_stdout@ '' \"it's\" -n\nstdin=data\n\
             success=stdout=\"<a  b><x; y\\n$HOME '><><it's><-n>\"|stdout~\"<a  b><x; y\"\n"
        );
        let words = ["printf", "<%s>", "a  b", "x; y\n$HOME '", "", "it's", "-n"];
        let all: Vec<u8> = before
            .iter()
            .chain(&words)
            .flat_map(|w| [w.as_bytes(), b"\0"].concat())
            .collect();
        sandbox.file(&format!("expected-{id}"), all);
    }
    // The check itself can fail.
    tasks += "task=6\nhostname=web2\nexec=p7s\ncommand=true\nsuccess=exit_99\n";
    sandbox.file("expected-6", b"web1\0true\0");
    // A remote side that is not tasker's own.
    tasks += "task=7\nhostname=web2\nexec=p7s\ncommand=sleep 30\ntimeout=1\n";
    sandbox.file("expected-7", b"web2\0sleep\x0030\0");
    let ran = run_with_bin(&sandbox, &tasks, &["-r", "--skip-host-validation"]);
    let log = sandbox.log();
    assert_eq!(ran.code, 124, "{log}");
    assert_eq!(log.matches("success true").count(), 6, "{log}");
    assert!(
        log.contains("[WARN] Task 7: the command may still be running on the host"),
        "{log}"
    );
}

#[test]
fn engines_are_tested_with_their_probes() {
    let sandbox = Sandbox::new();
    // The name must be known; the host need not be.
    let probe = |program: &str, before: u32, name: &str, says: &str| {
        sandbox.program(
            &format!("bin/{program}"),
            &format!(
                "#!/bin/sh\necho \"{program} $*\" >> {}/calls\nshift {before}\n[ \"$*\" = {name} ] || exit 98\n{says}\n",
                sandbox.path.display()
            ),
        );
    };
    probe("pbrun", 3, "pbtest", "echo OK");
    probe("p7s", 1, "pbtest", "echo OK; exit 0");
    probe("wwrs_clir", 1, "wwrs_test", "echo OK");
    sandbox.program(
        "bin/ping",
        "#!/bin/sh\n[ \"$1 $2 $7\" = '-c 1 --' ] && exec test \"$8\" != 127.0.0.9\nexit 2\n",
    );
    let task = |id: u32, host: &str, exec: &str| {
        format!(
            "task={id}\nhostname={host}\nexec={exec}\ncommand=touch {}/ran\n",
            sandbox.path.display()
        )
    };
    let good = task(1, "127.0.0.2", "pbrun")
        + &task(2, "127.0.0.2", "pbrun")
        + &task(3, "127.0.0.2", "p7s")
        + &task(4, "127.0.0.3", "wwrs");
    let ran = run_with_bin(&sandbox, &good, &["-c"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for line in [
        "Host DNS resolution passed (2/2 hosts)",
        "Host connectivity validation passed (2/2 hosts; 2 by ping)",
        "Exec type tests passed (3/3 tests)",
        "Execution type validation passed (p7s: 1, pbrun: 2, wwrs: 1)",
    ] {
        assert!(ran.stdout.contains(line), "{line}\n{}", ran.stdout);
    }
    let mut calls: Vec<String> = sandbox.read("calls").lines().map(String::from).collect();
    calls.sort();
    assert_eq!(
        calls,
        [
            "p7s 127.0.0.2 pbtest",
            "pbrun -n -h 127.0.0.2 pbtest",
            "wwrs_clir 127.0.0.3 wwrs_test"
        ]
    );

    probe("pbrun", 3, "pbtest", "echo KO");
    probe("p7s", 1, "pbtest", "echo OK; echo no licence >&2; exit 3");
    probe("wwrs_clir", 1, "wwrs_test", "sleep 60");
    sandbox.file("tasks.txt", &good);
    let mut command = with_bin(&sandbox, &["-r", "-c", "tasks.txt"]);
    command.env("VALIDATION_TEST_TIMEOUT", "2");
    let began = Instant::now();
    let ran = Ran::from(command.output().expect("tasker runs"));
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(ran.code, 61, "{ran:?}");
    for line in [
        "127.0.0.2 (pbrun): its probe did not print `OK`",
        "127.0.0.2 (p7s): its probe exited with 3: no licence",
        "127.0.0.3 (wwrs): its probe timed out",
        "Exec type tests failed (0/3 tests)",
    ] {
        assert!(ran.stderr.contains(line), "{line}\n{}", ran.stderr);
    }
    assert!(!sandbox.exists("ran"));

    let ran = run_with_bin(&sandbox, &task(1, "127.0.0.9", "pbrun"), &["-r", "-c"]);
    assert_eq!(ran.code, 60, "{ran:?}");
    assert!(
        ran.stderr.contains("127.0.0.9: does not answer ping"),
        "{ran:?}"
    );
    assert!(!sandbox.exists("ran"));
}

/// With ssh, the connection goes where ssh's configuration says.
#[test]
fn ssh_hosts_are_contacted_where_ssh_would_connect() {
    let Some(server) = Server::start("") else {
        return;
    };
    let closed = sshd::free_port();
    server.configure(&format!(
        "Host dead\n  HostName 127.0.0.7\n  Port {closed}\nHost inner\n  HostName no-such-host.invalid\n  ProxyJump node1\n"
    ));
    let task =
        |id: u32, host: &str| format!("task={id}\nhostname={host}\nexec=ssh\ncommand=true\n");
    // PATH has only what is in these two: no ping.
    let bin = server.sandbox.path.join("bin");
    let check = |tasks: &str| {
        server.sandbox.file("tasks.txt", tasks);
        let mut command = server.sandbox.tasker(&["-c", "tasks.txt"]);
        command.env("PATH", &bin);
        Ran::from(command.output().expect("tasker runs"))
    };
    let ran = check(
        &(task(1, "node1")
            + &task(2, "127.0.0.3")
            + &task(3, &format!("{}@node2", sshd::own_name()))),
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stdout
            .contains("passed (3/3 hosts; 3 by TCP connection)"),
        "{ran:?}"
    );
    assert!(
        ran.stdout.contains("Exec type tests passed (3/3 tests)"),
        "{ran:?}"
    );
    let ran = check(&(task(1, "node1") + &task(2, "dead")));
    assert_eq!(ran.code, 60, "{ran:?}");
    let all = ran.stdout + &ran.stderr;
    assert!(
        all.to_lowercase().contains(&format!(
            "dead: cannot connect to port {closed}: connection refused"
        )),
        "{all}"
    );
    assert!(
        all.contains("Host connectivity validation failed (1/2 hosts"),
        "{all}"
    );
    let ran = check(&task(1, "inner"));
    let all = ran.stdout + &ran.stderr;
    assert!(all.contains("1/1 hosts; 1 left to ssh"), "{all}");
    if !Path::new("/usr/bin/ping").exists() && !Path::new("/bin/ping").exists() {
        sshd::skipped("a real ping", "ping is not installed");
        return;
    }
    server.sandbox.file("tasks.txt", task(1, "node1"));
    let ran = Ran::from(
        server
            .tasker(&["-c", "tasks.txt"])
            .output()
            .expect("tasker runs"),
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    let by_ping = ran.stdout.contains("(1/1 hosts; 1 by ping)");
    assert!(
        by_ping || ran.stdout.contains("(1/1 hosts; 1 by TCP connection)"),
        "{ran:?}"
    );
}

/// A host that only blocks use that leave it out does not refuse the run, which finds
/// it unreachable.
#[test]
fn a_block_leaves_out_hosts_that_do_not_resolve() {
    let sandbox = Sandbox::new();
    sandbox.program(
        "bin/ssh",
        "#!/bin/sh\nfor a; do case $a in -G) exit 1;; *.invalid|127.0.0.9) echo unknown >&2; exit 255;; esac; done\n\
         shift $(($# - 1)); exec setsid -w sh -c \"$1\"\n",
    );
    sandbox.program(
        "bin/ping",
        "#!/bin/sh\nfor host; do :; done\ntest $host != 127.0.0.9\n",
    );
    let block = |hosts: &str, keys: &str| {
        format!("task=0\ntype=parallel\nhostnames={hosts}\nexec=ssh\ncommand=true\n{keys}\n")
    };
    let member = "task=1\nhostname=a.invalid\nexec=ssh\ncommand=true\n\
                  task=2\nhostname=127.0.0.2\nexec=ssh\ncommand=true\n";
    let of_tasks = |keys: &str| format!("task=0\ntype=parallel\ntasks=1,2\n{keys}\n{member}");
    let (one, two) = ("a.invalid,127.0.0.[2-4]", "a.invalid,b.invalid,127.0.0.2");
    let elsewhere = "task=5\nhostname=a.invalid\nexec=ssh\ncommand=true\n";
    let unreached = "127.0.0.9,127.0.0.[2-4]";
    for (tasks, options, code, warned) in [
        (block(one, "unreachable=skip"), &["-r"][..], 0, "a.invalid"),
        (
            block(one, "unreachable=skip\nwaves=1,rest"),
            &["-r"],
            10,
            "a.invalid",
        ),
        (
            block(one, "unreachable=skip\nretry_count=1\nretry_delay=0s"),
            &["-r"],
            0,
            "a.invalid",
        ),
        (block(one, "unreachable=25%"), &["-r"], 0, "a.invalid"),
        (of_tasks("unreachable=skip"), &["-r"], 0, "a.invalid"),
        (of_tasks("unreachable=50%"), &["-r"], 0, "a.invalid"),
        (
            block("a.invalid", "unreachable=skip"),
            &["-r"],
            10,
            "a.invalid",
        ),
        (
            block(unreached, "unreachable=skip"),
            &["-r", "-c"],
            0,
            "127.0.0.9",
        ),
        (block(one, "unreachable=24%"), &["-r"], 60, ""),
        (block(two, "unreachable=50%"), &["-r"], 60, ""),
        (of_tasks("unreachable=49%"), &["-r"], 60, ""),
        (block(one, ""), &["-r"], 60, ""),
        (of_tasks(""), &["-r"], 60, ""),
        (block(one, "unreachable=skip") + elsewhere, &["-r"], 60, ""),
        (block(unreached, ""), &["-r", "-c"], 60, ""),
    ] {
        let ran = run_with_bin(&sandbox, &tasks, options);
        assert_eq!(ran.code, code, "{tasks}\n{ran:?}");
        let warning = format!("warning: host validation: {warned}: ");
        let is_warned = ran.stderr.contains(&warning) && ran.stderr.contains("as unreachable\n");
        assert_eq!(is_warned, code != 60, "{tasks}\n{ran:?}");
        if code != 60 {
            let log = sandbox.log();
            assert!(
                log.contains(&format!("Host validation: {warned}: ")),
                "{log}"
            );
        }
    }
    let ran = run_with_bin(
        &sandbox,
        &block(one, "unreachable=skip"),
        &["--validate-only"],
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    for line in [
        "Host DNS resolution passed (3/4 hosts; 1 left out)\n",
        "   a.invalid: no address found; left out as unreachable\n",
    ] {
        assert!(ran.stdout.contains(line), "{line}\n{}", ran.stdout);
    }
}

#[test]
fn unknown_hosts_are_found_before_anything_runs() {
    let sandbox = Sandbox::new();
    sandbox.program("bin/pbrun", "#!/bin/sh\nexit 0\n");
    let path = sandbox.path.display();
    let tasks = format!(
        "task=1\nexec=shell\nhostname=label.invalid\ncommand=touch {path}/ran\n\
         task=2\nhostname=a.invalid\ncommand=true\n\
         task=3\ntype=parallel\nhostnames=b[1-2].invalid,127.0.0.1\nexec=pbrun\ncommand=true\n"
    );
    for options in [&["-r"][..], &[]] {
        let ran = run_with_bin(&sandbox, &tasks, options);
        assert_eq!(ran.code, 60, "{ran:?}");
        let all = ran.stdout + &ran.stderr;
        assert!(
            all.contains("Host DNS resolution failed (1/4 hosts)"),
            "{all}"
        );
        let found = "   a.invalid,b[1-2].invalid: no address found\n";
        assert!(all.contains(found), "{all}");
        assert!(!all.contains("label.invalid:"), "{all}");
        assert!(!sandbox.exists("ran"));
    }
    let ran = run_with_bin(&sandbox, &tasks, &["-r", "--skip-host-validation"]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

/// A lookup that hangs does not delay those that have not started.
#[test]
fn lookups_that_hang_are_abandoned_and_the_others_are_made() {
    let sandbox = Sandbox::new();
    sandbox.program("bin/pbrun", "#!/bin/sh\nexit 0\n");
    // As many hang as are looked up at once.
    sandbox.program(
        "bin/ping",
        "#!/bin/sh\ncase $8 in 127.1.1.*) exec sleep 9 ;; esac\n",
    );
    sandbox.file(
        "tasks.txt",
        "task=1\ntype=parallel\nhostnames=127.1.1.[1-64],127.1.2.[1-3]\nexec=pbrun\ncommand=true\n",
    );
    let mut command = with_bin(&sandbox, &["-r", "-c", "tasks.txt"]);
    command.env("VALIDATION_TEST_TIMEOUT", "2");
    let began = Instant::now();
    let ran = Ran::from(command.output().expect("tasker runs"));
    assert!(
        began.elapsed() < Duration::from_secs(9),
        "it waited for them"
    );
    assert_eq!(ran.code, 60, "{ran:?}");
    for part in [
        "Host connectivity validation failed (3/67 hosts; 3 by ping)",
        "127.1.1.[1-64]: no answer within 2 s",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {ran:?}");
    }
}

/// Many hosts are looked up at once: the timeouts do not add up.
#[test]
fn timeouts_of_dead_hosts_do_not_add_up() {
    let sandbox = Sandbox::new();
    sandbox.program("bin/pbrun", "#!/bin/sh\nexit 0\n");
    sandbox.program("bin/ping", "#!/bin/sh\nsleep 1\nexit 1\n");
    sandbox.file(
        "tasks.txt",
        "task=1\ntype=parallel\nhostnames=127.1.[1-2].[1-100]\nexec=pbrun\ncommand=true\n",
    );
    let mut command = with_bin(&sandbox, &["-r", "-c", "tasks.txt"]);
    let began = Instant::now();
    let ran = Ran::from(command.output().expect("tasker runs"));
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(ran.code, 60, "{ran:?}");
    assert!(
        ran.stderr
            .contains("Host connectivity validation failed (0/200 hosts; 200 by ping)"),
        "{ran:?}"
    );
    assert!(
        ran.stderr
            .contains("127.1.[1-2].[1-100]: does not answer ping"),
        "{ran:?}"
    );
}

#[test]
fn a_missing_program_of_an_exec_type_is_found_before_anything_runs() {
    let sandbox = Sandbox::new();
    let path = sandbox.path.display();
    let first = format!("task=1\nexec=shell\ncommand=/bin/sh -c ': > {path}/ran'\n");
    for (more, program, exec) in [
        (
            "task=2\nhostname=127.0.0.2\nexec=ssh\ncommand=true\n",
            "ssh",
            "ssh",
        ),
        ("task=2\nhostname=web1\ncommand=true\n", "pbrun", "pbrun"),
        (
            "task=2\ntype=parallel\nhostnames=localhost,web[1-3]\ncommand=true\n",
            "pbrun",
            "pbrun",
        ),
        (
            "task=2\nhostname=web1\nexec=wwrs\ncommand=true\n",
            "wwrs_clir",
            "wwrs",
        ),
    ] {
        sandbox.file("tasks.txt", first.clone() + more);
        let mut command = sandbox.tasker(&["-r", "--skip-host-validation", "tasks.txt"]);
        command.env("PATH", "/nowhere");
        let ran = Ran::from(command.output().expect("tasker runs"));
        assert_eq!(ran.code, 61, "{ran:?}");
        assert!(
            ran.stderr
                .contains(&format!("`{program}` for exec type `{exec}`")),
            "{ran:?}"
        );
        assert!(!sandbox.exists("ran"), "{more}");
    }
}

/// A command for another host never runs here because no exec type was given.
#[test]
fn the_default_type_never_runs_a_remote_command_here() {
    let sandbox = Sandbox::new();
    sandbox.program("bin/pbrun", "#!/bin/sh\necho \"pbrun $3\"\n");
    let tasks = "task=1\nexec=local\ncommand=echo web7\n\
        task=2\nhostname=@1_stdout@\ncommand=echo here\nsuccess=stdout=\"pbrun web7\"\n\
        task=3\nhostname=web1\ncommand=echo here\nsuccess=stdout=\"pbrun web1\"\n\
        task=4\nhostname=127.0.0.5\ncommand=echo here\nsuccess=stdout=here\n\
        task=5\ntype=parallel\nhostnames=localhost,web[1-2],[::1]\ncommand=echo here\nsuccess=stdout=\"pbrun @hostname@\"|stdout=here\n\
        task=6\nexec=local\ncommand=echo localhost\n\
        task=7\nhostname=@6_stdout@\ncommand=echo here\nsuccess=stdout=here\n\
        task=8\nexec=local\ncommand=echo 'bad;host'\n\
        task=9\nhostname=@8_stdout@\ncommand=echo here\n";
    let ran = run_with_bin(&sandbox, tasks, &["-r", "--skip-host-validation"]);
    let log = sandbox.log();
    assert_eq!(ran.code, 126, "{log}");
    for line in [
        "Task 5.1: local",
        "Task 5.2 web1: pbrun",
        "Task 5.3 web2: pbrun",
        "Task 5.4 [::1]: local",
        "a host name cannot contain `;`",
    ] {
        assert!(log.contains(line), "{line}\n{log}");
    }
    // Each way to set another type.
    let task = "task=1\nhostname=web1\ncommand=echo here\n";
    sandbox.program("bin/p7s", "#!/bin/sh\necho p7s\n");
    let ran = run_with_bin(
        &sandbox,
        task,
        &["-r", "--skip-host-validation", "-t", "p7s"],
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        sandbox.log().contains("Task 1 web1: p7s, "),
        "{}",
        sandbox.log()
    );
    let ran = run_with_bin(&sandbox, task, &["-r", "-t", "p8s"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.stderr
            .contains("--type: there is no exec type `p8s`\n     = help: did you mean `p7s`?"),
        "{ran:?}"
    );
}

// tasker.conf.

/// A sandbox with a configuration in the user's directory.
fn sandbox_with_conf(conf: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file(".config/tasker/tasker.conf", conf);
    sandbox
}

const PLAIN: &str = "task=1\nexec=local\ncommand=true\n";

#[test]
fn the_configuration_is_searched_in_order() {
    let sandbox = sandbox_with_conf("timeout=11s\n");
    sandbox.file("tasks.txt", PLAIN);
    sandbox.file("environment.conf", "timeout=22s\n");
    sandbox.file("option.conf", "timeout=33s\n");
    let timeout = |variable: Option<&str>, options: &[&str]| {
        let mut arguments = vec!["-r"];
        arguments.extend(options);
        arguments.push("tasks.txt");
        let mut command = sandbox.tasker(&arguments);
        command.envs(variable.map(|v| ("TASKER_CONFIG", v)));
        let ran = Ran::from(command.output().expect("tasker runs"));
        assert_eq!(ran.code, 0, "{ran:?}");
        let log = sandbox.log();
        let (_, rest) = log.split_once("Task 1: local, timeout ").expect("the task");
        rest.split(':').next().unwrap_or("").to_string()
    };
    assert_eq!(timeout(None, &[]), "11 s");
    assert_eq!(timeout(Some(""), &[]), "11 s");
    assert_eq!(timeout(Some("environment.conf"), &[]), "22 s");
    let named = ["--config", "option.conf"];
    assert_eq!(timeout(Some("environment.conf"), &named), "33 s");
    // Options override every configuration.
    assert_eq!(
        timeout(None, &["--config=option.conf", "-o", "44s"]),
        "44 s"
    );
    for (variable, options) in [
        (None, &["--config", "gone.conf"][..]),
        (Some("gone.conf"), &[]),
    ] {
        let mut arguments = options.to_vec();
        arguments.push("tasks.txt");
        let mut command = sandbox.tasker(&arguments);
        command.envs(variable.map(|v| ("TASKER_CONFIG", v)));
        let ran = Ran::from(command.output().expect("tasker runs"));
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(
            ran.stderr
                .contains("the configuration `gone.conf` does not exist"),
            "{ran:?}"
        );
    }
}

/// A directory in place of the file, whether it was found or named.
#[test]
fn a_directory_is_not_a_configuration() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", "task=0\nexec=local\ncommand=true\n");
    let usual = sandbox.path.join(".config/tasker/tasker.conf");
    std::fs::create_dir_all(&usual).expect("a directory");
    std::fs::create_dir(sandbox.path.join("named.conf")).expect("a directory");
    for (options, shown) in [
        (&["tasks.txt"][..], usual.display().to_string()),
        (&["-r", "tasks.txt"], usual.display().to_string()),
        (&["--config=named.conf", "tasks.txt"], "named.conf".into()),
        (&["--status"], usual.display().to_string()),
    ] {
        let ran = sandbox.output(options);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
        let why = format!("the configuration `{shown}` is a directory, not a file");
        assert!(ran.stderr.contains(&why), "{ran:?}");
        assert!(!ran.stderr.contains("os error"), "{ran:?}");
    }
}

#[test]
fn every_setting_of_the_configuration_has_its_effect() {
    let sandbox = Sandbox::new();
    let path = sandbox.path.display().to_string();
    sandbox.file(
        ".config/tasker/tasker.conf",
        format!(
            "# a comment\n\ndefault_exec = site # the site's own\ntimeout=90s\nkill_after=500ms\nlog_dir=~/elsewhere\nmax_parallel=2\nmax_connecting=3\n\n\
             exec=site\n  argv={path}/carry --to={{hostname}} -- {{command}} {{arguments}} 'the end' $HOME\n  probe=check it\n  probe_expect_exit=3\n  probe_expect_output=all well\n  timeout=70s\n\
             exec=script\n  script={path}/carry {{hostname}} sh -c {{script}}\n\
             exec=here\n  argv=env A=1 {{command}} {{arguments}}\n\
             exec=wwrs\n  timeout=60s\n"
        ),
    );
    sandbox.program(
        "carry",
        "#!/bin/sh\nprintf '<%s>' \"$@\"\ncase \"$*\" in *check*) echo all well; exit 3;; esac\n",
    );
    sandbox.program("bin/wwrs_clir", "#!/bin/sh\nexit 0\n");
    let tasks = "task=1\nhostname=web1\ncommand=run\narguments=\"a  b\" c\n\
        task=2\nhostname=web1\nexec=script\ncommand=echo 'it''s' @1_exit@\n\
        task=3\nexec=here\ncommand=sh -c 'echo $A'\nsuccess=stdout=1\n\
        task=4\nhostname=web2\nexec=wwrs\ncommand=true\n\
        task=5\ntype=parallel\nhostnames=web[1-4]\ncommand=true\n\
        task=6\nexec=shell\ncommand=trap '' TERM; sleep 30\ntimeout=1\nnext=always\n";
    let began = Instant::now();
    let ran = run_with_bin(&sandbox, tasks, &["-r", "--skip-host-validation"]);
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    let logs: Vec<_> = std::fs::read_dir(sandbox.path.join("elsewhere/logs"))
        .expect("the log directory")
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().starts_with("tasker_"))
        .collect();
    let log = std::fs::read_to_string(logs[0].path()).expect("a log");
    for line in [
        &format!(
            "Task 1 web1: site, timeout 70 s: {path}/carry --to=web1 -- run 'a  b' c 'the end' '$HOME'"
        ),
        "Task 1 web1 stdout| <--to=web1><--><run><a  b><c><the end><$HOME>",
        "Task 2 web1: script, timeout 90 s: ",
        "Task 3: here, timeout 90 s: env A=1 sh -c 'echo $A'",
        "Task 4 web2: wwrs, timeout 1 m: wwrs_clir web2 true",
        "Executing Task 5: 4 subtasks, at most 2 at once",
        "Task 6: shell, timeout 1 s",
    ] {
        assert!(log.contains(line), "{line}\n{log}");
    }
    let ran = run_with_bin(
        &sandbox,
        "task=1\nhostname=127.0.0.2\ncommand=run\n",
        &["-c"],
    );
    // Whatever the machine has for ping, the probe passes.
    assert!((ran.stdout + &ran.stderr).contains("Exec type tests passed (1/1 tests)"));
}

/// Scripts through an engine get their data as variables before the text.
#[test]
fn scripts_through_an_engine_take_data_as_data() {
    let sandbox = sandbox_with_conf("exec=far\nscript=sh -c {script} {hostname}\n");
    let data = hostile();
    let mut tasks = producers(&sandbox, &data);
    for number in 0..data.len() {
        let d = format!("@{}_stdout@", 100 + number);
        tasks += &format!(
            "task={}\nhostname=web1\nexec=far\ncommand=./argv out/{number} {d} \"{d}\" '{d}' a{d}b \"$(printf %s {d})\"\n",
            300 + number
        );
    }
    let ran = sandbox.run(&tasks, &["-q", "--skip-host-validation"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for (number, bytes) in data.iter().enumerate() {
        let d = trimmed(bytes);
        let around = [b"a", &d[..], b"b"].concat();
        let what = String::from_utf8_lossy(bytes);
        same(
            &sandbox,
            &format!("out/{number}"),
            &words(&[&d, &d, &d, &around, &d]),
            &what,
        );
    }
    nothing_was_run(&sandbox);
}

#[test]
fn a_section_overrides_a_built_in_type() {
    let sandbox = sandbox_with_conf(
        "exec=pbrun\nargv=sudo-like -u op {hostname} {command} {arguments}\nexec=shell\nscript=dash-like {script}\n",
    );
    sandbox.program("bin/sudo-like", "#!/bin/sh\necho \"$*\"\n");
    sandbox.program("bin/dash-like", "#!/bin/sh\necho \"script: $*\"\n");
    let tasks = "task=1\nhostname=web1\ncommand=id -u\nsuccess=stdout=\"-u op web1 id -u\"\n\
        task=2\nexec=bash\ncommand=id | wc\nsuccess=stdout=\"script: id | wc\"\n";
    let ran = run_with_bin(&sandbox, tasks, &["-r", "--skip-host-validation"]);
    assert_eq!(ran.code, 0, "{}", sandbox.log());
}

/// Each mistake: the configuration, and the message with its place.
const MISTAKES: &[(&str, &str)] = &[
    (
        "timeot=5\n",
        "bad.conf:1:1: error: unknown key `timeot` in the settings before the first `exec=`",
    ),
    (
        "exec=x\nargv=a {command} {arguments}\nprob=1\n",
        "bad.conf:3:1: error: unknown key `prob` in the section `exec=x`",
    ),
    (
        "timeout=5\ntimeout=6\n",
        "bad.conf:2:1: error: `timeout` is given twice",
    ),
    (
        "default_exec=nosuch\n",
        "bad.conf:1:14: error: there is no exec type `nosuch`",
    ),
    ("default_exec=shel\n", "did you mean `shell`?"),
    ("timeout=never\n", "bad.conf:1:9: error: "),
    (
        "kill_after=2h\n",
        "bad.conf:1:12: error: expected at most 1 h, found `2h`",
    ),
    ("max_parallel=0\n", "bad.conf:1:14: error: "),
    ("max_connecting=x\n", "bad.conf:1:16: error: "),
    ("log_dir=\n", "error: expected a directory, found nothing"),
    (
        "--debug\n",
        "bad.conf:1:1: error: tasker.conf cannot contain option lines",
    ),
    ("just words\n", "bad.conf:1:1: error: "),
    (
        "exec=a b\nargv=a {command} {arguments}\n",
        "bad.conf:1:6: error: expected a name of letters, digits, `-` and `_`, found `a b`",
    ),
    (
        "exec=x\n",
        "bad.conf:1:1: error: the exec type `x` has neither `argv` nor `script`",
    ),
    (
        "exec=x\nargv=a {command}\n",
        "bad.conf:2:6: error: `argv=` needs `{command}` and `{arguments}` as words of their own",
    ),
    (
        "exec=x\nscript=a\n",
        "bad.conf:2:8: error: `script=` needs `{script}` as a word of its own",
    ),
    (
        "exec=x\nargv=a {command} {arguments}\nscript=a {script}\n",
        "bad.conf:3:8: error: an exec type has either `argv` or `script`, not both",
    ),
    (
        "exec=x\nargv={hostname} {command} {arguments}\n",
        "bad.conf:2:6: error: expected the program to run as the first word",
    ),
    (
        "exec=x\nargv=a 'b {command} {arguments}\n",
        "bad.conf:2:6: error: a quote is never closed",
    ),
    (
        "exec=x\nargv=a {command} {arguments}\nprobe_expect_exit=300\n",
        "bad.conf:3:19: error: ",
    ),
    (
        "exec=x\nargv=a {command} {arguments}\nexec=x\nargv=a {command} {arguments}\n",
        "bad.conf:3:6: error: the exec type `x` is given twice",
    ),
    (
        "exec=x\nargv=a {host} {command} {arguments}\n",
        "bad.conf:2:6: error: there is no `{host}`",
    ),
];

#[test]
fn mistakes_in_the_configuration_are_reported_with_their_place() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", PLAIN);
    for (conf, message) in MISTAKES {
        sandbox.file("bad.conf", conf);
        let ran = sandbox.output(&["-r", "--config", "bad.conf", "tasks.txt"]);
        assert_eq!(ran.code, 20, "{conf}\n{ran:?}");
        assert!(
            ran.stderr.contains(message),
            "{conf}\n{message}\n{}",
            ran.stderr
        );
        assert!(
            ran.stderr.contains("1 error, 0 warnings"),
            "{conf}\n{}",
            ran.stderr
        );
    }
    sandbox.file("bad.conf", b"timeout=5\n\xff\n");
    let ran = sandbox.output(&["--config", "bad.conf", "tasks.txt"]);
    assert_eq!(ran.code, 20, "{ran:?}");
    assert!(ran.stderr.contains("bad.conf:2:1: error: "), "{ran:?}");
}

#[test]
fn a_configuration_that_others_can_write_is_not_trusted() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", PLAIN);
    let conf = sandbox.file("open.conf", "timeout=5\n");
    let check = || sandbox.output(&["--config", "open.conf", "tasks.txt"]);
    assert_eq!(check().code, 0);
    for mode in [0o646, 0o666] {
        std::fs::set_permissions(&conf, std::fs::Permissions::from_mode(mode)).expect("mode");
        let ran = check();
        let said = "everyone can write to this file and so decide what runs";
        let (code, kind) = if sshd::is_root() {
            (20, "error")
        } else {
            (0, "warning")
        };
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(
            ran.stderr.contains(&format!("open.conf: {kind}: {said}")),
            "{ran:?}"
        );
    }
}
