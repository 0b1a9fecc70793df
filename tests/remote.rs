//! Commands on other hosts: by a real OpenSSH server, by stand-ins for what
//! cannot be had, and by what `tasker.conf` adds (SPEC §5, §6.2).

#[path = "support/hostile.rs"]
mod hostile;
#[path = "support/sshd.rs"]
mod sshd;
mod support;

use hostile::{Writer, hostile, next, nothing_was_run, producers, same, trimmed, words};
use sshd::Server;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use support::{Ran, Sandbox, finish, signal, wait_for};

// What goes through.

/// Makes argument vectors, and their text in a task file.
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

    /// A piece of a word, quoted one way or another.
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

    fn word(&mut self) -> (String, Vec<u8>) {
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
        let mut made: Vec<_> = (0..vectors.pick(8)).map(|_| vectors.word()).collect();
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
fn scripts_at_the_far_end_take_data_as_data() {
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

/// What comes before the data, and the data, in one channel.
#[test]
fn three_megabytes_go_through_standard_input() {
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
    let told = |l: &&str| !l.contains("Task 1 stdout|") && !l.contains("Task 3 stdout|");
    assert_eq!(
        ran.code,
        0,
        "{:#?}",
        log.lines().filter(told).collect::<Vec<_>>()
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

// Exit codes, whatever the login shell.

/// A user for the test with that login shell, gone with its value.
struct User {
    name: String,
}

impl User {
    fn new(name: &str, shell: &str, home: &Path) -> User {
        let user = User {
            name: format!("tasker-test-{name}"),
        };
        user.remove();
        let made = Command::new("/usr/sbin/useradd")
            .args(["-M", "-N", "-p", "*", "-s", shell, "-d"])
            .arg(home)
            .arg(&user.name)
            .output()
            .expect("useradd runs");
        assert!(made.status.success(), "{made:?}");
        user
    }

    fn remove(&self) {
        let _ = Command::new("/usr/sbin/userdel")
            .args(["-f", &self.name])
            .output();
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.remove();
    }
}

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
    sandbox.program("no-interpreter", "#!/no/such/interpreter\n");
    sandbox.file("not-executable", "true\n");
    let path = sandbox.path.display();
    let shells = login_shells(sandbox);
    let users: Vec<User> = shells
        .iter()
        .map(|(name, shell)| User::new(name, shell, &sandbox.path))
        .collect();
    let hosts: Vec<String> = users
        .iter()
        .map(|u| format!("{}@127.0.0.2", u.name))
        .collect();
    let hosts = hosts.join(",");
    let odd = r#"'a  b' "it's" '$HOME!' '' '\\' "!x" '*' '`id`' @1_stdout@"#;
    let mut tasks = format!("task=1\nexec=local\ncommand=printf 'two\\nlines ! \\\\ \\047'\n");
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
    assert_eq!(log.matches(printed).count(), shells.len(), "{log}");
    assert_eq!(
        log.matches(r"stdout| lines ! \ '>").count(),
        shells.len(),
        "{log}"
    );
    assert!(!log.contains("unreachable"), "{log}");
}

/// The wrapper itself under every sh that a host may have.
#[test]
fn the_far_end_runs_under_any_sh() {
    let sandbox = Sandbox::new();
    let busybox = ["/bin/busybox", "/usr/bin/busybox"];
    let shells: Vec<String> = [
        "/bin/dash",
        "/bin/bash",
        "/bin/ksh",
        "/bin/mksh",
        "/bin/zsh",
    ]
    .iter()
    .filter(|p| Path::new(p).exists())
    .map(|p| p.to_string())
    .chain(
        busybox
            .iter()
            .filter(|p| Path::new(p).exists())
            .take(1)
            .map(|p| format!("{p} sh")),
    )
    .collect();
    sandbox.file(".config/tasker/tasker.conf", "kill_after=1\n");
    for shell in shells {
        // An ssh that goes nowhere: the session alone, as sshd would make it.
        sandbox.program(
            "bin/ssh",
            &format!(
                "#!/bin/sh\nfor last; do :; done\nexec setsid -w sh -c \"$(printf %s \"$last\" | sed 's,/bin/sh,{shell},')\"\n"
            ),
        );
        let tasks = "task=1\nhostname=far\nexec=ssh\ncommand=printf '<%s>' 'a  b' '' \"it's\" '\\x'\nsuccess=stdout=\"<a  b><><it's><\\\\x>\"\n\
            task=2\nhostname=far\nexec=ssh-shell\ncommand=cat; exit 7\nstdin=some data\nsuccess=exit_7&stdout=\"some data\"\n\
            task=3\nhostname=far\nexec=ssh-shell\ncommand=(trap '' TERM; sleep 50) & sleep 51 | cat\ntimeout=1\nnext=always\n\
            task=4\nhostname=far\nexec=ssh-shell\ncommand=sleep 52 & echo on\nsuccess=stdout=on\n";
        sandbox.file("tasks.txt", tasks);
        let mut command = sandbox.tasker(&["-r", "--skip-host-validation", "tasks.txt"]);
        command.env(
            "PATH",
            format!("{}/bin:/usr/bin:/bin", sandbox.path.display()),
        );
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
}

// Hosts that cannot be reached.

/// A listener that takes connections and never says a word.
fn silent_port() -> (std::net::TcpListener, u16) {
    let listener = std::net::TcpListener::bind(("127.0.0.4", 0)).expect("a port");
    let port = listener.local_addr().expect("its address").port();
    (listener, port)
}

/// Hosts of every kind: what they are, and what ssh says of them.
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
    // The first value wins, so that the silent host costs 2 s.
    server.sandbox.program(
        "bin/ssh",
        &format!("#!/bin/sh\nexec /usr/bin/ssh -F {path}/ssh_config -o ConnectTimeout=2 \"$@\"\n"),
    );
}

#[test]
fn what_cannot_be_reached_is_told_apart() {
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
    let reason =
        "  changed (1): unreachable: Host key verification failed.\n    | ... more in the log\n";
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
        let ended = format!("{task} ended: unreachable, exit code 255");
        assert!(log.contains(&ended), "{ended}\n{log}");
        let told = |l: &str| l.contains(&format!("{task} stderr|")) && l.contains(reason);
        assert!(log.lines().any(told), "{task}: {reason}\n{log}");
    }
    assert!(log.contains("Task 1.6 node1 ended: ok"), "{log}");
    let counted = "1=false,changed,denied,refusing,silent,unknown 2=true,1/1 succeeded 3=true 4=false \
        5=failed,1 6=unreachable,255,3 7=1";
    assert!(log.contains(counted), "{log}");
}

// What is left at the far end: nothing.

/// A child, a grandchild, a pipeline and a group of its own that all stay.
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

/// One that no SIGTERM ends, with a child like it.
const DEAF: &str = "#!/bin/sh
trap '' TERM HUP INT
sh -c 'while :; do sleep 1; done' &
echo > READY
while :; do sleep 1; done
";

/// Both programs in the server's sandbox, and a block that runs them.
fn stubborn(server: &Server, more: &str) -> String {
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
fn nothing_left(server: &Server, since: Instant) {
    wait_for("the end of what ran far away", || server.left().is_empty());
    // `kill_after` is 1 s; the rest is a machine's that does other things too.
    assert!(
        since.elapsed() < Duration::from_secs(12),
        "{:?}",
        since.elapsed()
    );
}

#[test]
fn a_timeout_ends_what_runs_far_away() {
    let Some(server) = Server::start("") else {
        return;
    };
    let began = Instant::now();
    let ran = server.run(&stubborn(&server, "timeout=3"), &[]);
    nothing_left(&server, began + Duration::from_secs(3));
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
fn a_signal_to_tasker_ends_what_runs_far_away() {
    let Some(server) = Server::start("") else {
        return;
    };
    let child = server.begin(&stubborn(&server, ""), &[]);
    wait_until_ready(&server);
    let told = Instant::now();
    signal(child.id(), "TERM");
    let ran = finish(child);
    nothing_left(&server, told);
    let log = server.sandbox.log();
    assert_eq!(ran.code, 143, "{log}");
    // The three and their block.
    assert_eq!(log.matches(" ended: cancelled").count(), 4, "{log}");
}

#[test]
fn killing_tasker_ends_what_runs_far_away() {
    let Some(server) = Server::start("") else {
        return;
    };
    let mut child = server.begin(&stubborn(&server, ""), &[]);
    wait_until_ready(&server);
    let told = Instant::now();
    child.kill().expect("kill");
    child.wait().expect("its end");
    nothing_left(&server, told);
}

/// The processes of this run that hold the text in their command line.
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
fn killing_ssh_ends_what_runs_far_away() {
    let Some(server) = Server::start("") else {
        return;
    };
    let child = server.begin(&stubborn(&server, ""), &[]);
    wait_until_ready(&server);
    let told = Instant::now();
    let clients = clients(&server, "/usr/bin/ssh\0");
    assert_eq!(clients.len(), 3);
    for pid in clients {
        signal(pid, "KILL");
    }
    let ran = finish(child);
    nothing_left(&server, told);
    let log = server.sandbox.log();
    assert_eq!(ran.code, 10, "{log}");
    assert_eq!(
        log.matches(" ended: failed, exit code 137").count(),
        3,
        "{log}"
    );
}

#[test]
fn a_server_that_dies_ends_what_runs_there() {
    let Some(server) = Server::start("") else {
        return;
    };
    let child = server.begin(&stubborn(&server, ""), &[]);
    wait_until_ready(&server);
    let told = Instant::now();
    server.kill_sessions();
    let ran = finish(child);
    nothing_left(&server, told);
    let log = server.sandbox.log();
    assert_eq!(ran.code, 10, "{log}");
    assert_eq!(
        log.matches(" ended: failed, exit code 255").count(),
        3,
        "{log}"
    );
    assert!(
        log.contains("closed by remote host") || log.contains("Connection reset"),
        "{log}"
    );
}

#[test]
fn a_background_process_far_away_does_not_hang_the_run() {
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
    nothing_left(&server, began);
}
