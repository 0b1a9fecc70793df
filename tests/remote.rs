//! Commands on other hosts: by a real OpenSSH server, by stand-ins for what
//! cannot be had, and by what `tasker.conf` adds (SPEC §5, §6.2).

#[path = "support/hostile.rs"]
mod hostile;
#[path = "support/sshd.rs"]
mod sshd;
mod support;

use hostile::{Writer, hostile, next, nothing_was_run, producers, same, trimmed, words};
use sshd::Server;
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
