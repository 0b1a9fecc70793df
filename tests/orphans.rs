//! What leaves its session, and what is left behind (SPEC §4.3): it is ended with its
//! command or named, a daemon lives on, and orphans are reaped.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use support::{Ran, Sandbox, processes_with, signal, wait_for};

/// Whether a process with these words is left; none of them is left to the machine.
fn is_left(words: &str) -> bool {
    let left = processes_with(words);
    left.iter().for_each(|pid| signal(*pid, "KILL"));
    !left.is_empty()
}

/// A task that puts a process out of its session and then waits.
fn escaping(escape: &str) -> String {
    format!("task=1\nexec=shell\ntimeout=1\ncommand={escape} sleep 60\n")
}

#[test]
fn what_left_its_session_is_ended_at_a_timeout() {
    for (number, escape) in [
        // A child in a session of its own.
        "setsid sleep 71NN.5 & setsid sleep 71NN.25 >/dev/null 2>&1 & sleep 0.2;",
        // Its parent has ended, so that it is nobody's child but tasker's.
        "(setsid sleep 71NN.5 >/dev/null 2>&1 &); sleep 0.2;",
        // It does not want to end.
        "(setsid sh -c 'trap \"\" TERM; sleep 71NN.5; sleep 71NN.5' >/dev/null 2>&1 &); sleep 0.2;",
        // Its child left the session once more.
        "(setsid sh -c 'setsid sleep 71NN.5 & setsid setsid sleep 71NN.25 & wait' >/dev/null 2>&1 &); sleep 0.2;",
    ]
    .into_iter()
    .enumerate()
    {
        let sandbox = Sandbox::new();
        sandbox.file("tasker.conf", "kill_after=1\n");
        let escape = escape.replace("NN", &format!("{number:02}"));
        let ran = sandbox.run(&escaping(&escape), &["--config=tasker.conf"]);
        assert_eq!(ran.code, 124, "{escape}: {ran:?}");
        assert!(ran.stdout.contains("timeout"), "{escape}: {ran:?}");
        assert!(!is_left(&format!("71{number:02}.")), "{escape}");
    }
}

/// What cannot be told from somebody else's process, as of one who entered the container,
/// is not ended.
#[test]
fn what_has_no_mark_of_its_command_is_named_and_lives_on() {
    let sandbox = Sandbox::new();
    let escape = "sleep 0.1; (setsid env -i sleep 7150.5 >/dev/null 2>&1 &); sleep 0.2;";
    let ran = sandbox.run(&escaping(escape), &[]);
    assert_eq!(ran.code, 124, "{ran:?}");
    let message = "warning: task 1: began during the command and may be of it, but was not ended: \
                   process ";
    assert!(
        ran.stdout.contains(message) && ran.stdout.contains("(`sleep 7150.5`)"),
        "{ran:?}"
    );
    assert!(is_left("7150.5"));
    // A daemon that was there before is not even named, nor what it starts.
    let tasks = "task=0\nexec=shell\ncommand=setsid env -i sh -c 'sleep 1; (sleep 7151.5 &); sleep 7152.5' >/dev/null 2>&1 & sleep 0.2\n\
                 task=1\nexec=shell\ntimeout=2\ncommand=sleep 60\n";
    let ran = sandbox.run(tasks, &[]);
    assert_eq!(ran.code, 124, "{ran:?}");
    assert!(!ran.stdout.contains("may be of it"), "{ran:?}");
    assert!(is_left("7151.5"));
    assert!(is_left("7152.5"));
}

/// What holds the output of a command that has ended is of that command, whatever it did
/// to its session and its environment.
#[test]
fn what_holds_the_output_of_a_command_is_ended_after_it() {
    for (number, escape) in ["setsid", "env -i setsid", "env -i setsid setsid"]
        .iter()
        .enumerate()
    {
        let sandbox = Sandbox::new();
        sandbox.file("tasker.conf", "kill_after=1\n");
        let time = format!("716{number}.5");
        let tasks = format!(
            "task=1\nexec=shell\ncommand=({escape} sleep {time} &); echo on\nsuccess=stdout=on&exit_0\n"
        );
        let ran = sandbox.run(&tasks, &["--config=tasker.conf"]);
        assert_eq!(ran.code, 0, "{escape}: {ran:?}");
        let message = "a background process held the output open after the command ended";
        assert!(ran.stdout.contains(message), "{escape}: {ran:?}");
        assert!(!is_left(&time), "{escape}");
    }
}

#[test]
fn a_daemon_that_a_task_left_lives_on() {
    let sandbox = Sandbox::new();
    let tasks = "task=1\nexec=shell\ncommand=setsid sleep 7200.5 >/dev/null 2>&1 & sleep 0.2\n\
                 task=2\nexec=shell\ntimeout=1\nnext=always\ncommand=sleep 60\n\
                 task=3\nexec=shell\nretry_count=1\nretry_on=failed\ntimeout=2\n\
                 command=if [ -e again ]; then sleep 60; fi; touch again; setsid sleep 7201.5 >/dev/null 2>&1 & sleep 0.2; exit 1\n";
    let ran = sandbox.run(tasks, &["-q"]);
    assert_eq!(ran.code, 124, "{ran:?}");
    assert!(is_left("7200.5"), "that of another task");
    assert!(is_left("7201.5"), "that of an attempt that ended by itself");
}

/// A program that takes all ids of root cannot be signalled by another user.
#[test]
fn what_may_not_be_signalled_is_named_and_the_outcome_is_unknown() {
    let sandbox = Sandbox::new();
    let setpriv = sandbox.path.join("setpriv");
    let own = std::fs::metadata("/proc/self").expect("/proc");
    if std::os::unix::fs::MetadataExt::uid(&own) != 0
        || std::fs::copy("/usr/bin/setpriv", &setpriv).is_err()
    {
        return;
    }
    let set_mode = |path: &std::path::Path, mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, mode).expect("the mode");
    };
    set_mode(&setpriv, 0o4755);
    let tasker = sandbox.path.join("tasker");
    std::fs::copy(env!("CARGO_BIN_EXE_tasker"), &tasker).expect("the program");
    sandbox.file("tasker.conf", "kill_after=1\n");
    let tasks = "task=1\nexec=local\ntimeout=1\non_failure=3\n\
                 command=./setpriv --reuid=0 --regid=0 --clear-groups sleep 7300.5\n\
                 task=3\nexec=local\ncommand=touch seen\ncondition=@1_outcome@ = unknown\n";
    sandbox.file("tasks.txt", tasks);
    std::os::unix::fs::chown(&sandbox.path, Some(54321), Some(54321)).expect("the owner");
    let run = || {
        let mut command = Command::new(&tasker);
        command
            .args([
                "-r",
                "--config=tasker.conf",
                "--output-json=out.json",
                "tasks.txt",
            ])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", &sandbox.path)
            .current_dir(&sandbox.path)
            .uid(54321)
            .gid(54321);
        command.output()
    };
    // Another test can still hold the copy open for writing.
    let output = loop {
        match run() {
            Err(e) if e.kind() == std::io::ErrorKind::ExecutableFileBusy => {}
            output => break output.expect("tasker runs"),
        }
    };
    let ran = Ran::from(output);
    if ran.stdout.contains("setpriv: ") || ran.stderr.contains("setpriv: ") {
        // A file system without set-user-id programs.
        return;
    }
    let is_named = |text: &str| {
        text.contains("could not be ended, and may go on: process ")
            && text.contains("(`sleep 7300.5`): it may not be signalled: Operation not permitted")
    };
    assert!(is_left("7300.5"), "{ran:?}");
    assert!(is_named(&ran.stdout), "{ran:?}");
    assert!(
        ran.stdout.contains("unknown (could not be ended"),
        "{ran:?}"
    );
    assert!(is_named(&sandbox.log()), "{}", sandbox.log());
    assert!(sandbox.exists("seen"), "{ran:?}");
    let json = sandbox.read("out.json");
    let first = json.split("\"3\"").next().unwrap_or_default();
    assert!(
        first.contains("\"timed_out\": true") || first.contains("\"timed_out\":true"),
        "{json}"
    );
    assert!(first.contains("124"), "{json}");
}

#[test]
fn orphans_become_children_of_tasker_and_are_reaped() {
    let sandbox = Sandbox::new();
    let tasks = "task=1\nexec=shell\ncommand=for i in $(seq 40); do (sleep 0.3 &); done; sleep 0.1\n\
                 task=2\nexec=shell\ntimeout=20\nworkdir=/proc\n\
                 command=seen=; while :; do left=; for p in [0-9]*; do read -r s < $p/stat || continue; s=${s##*) }; set -- $s; [ \"$2\" = $PPID ] && [ $p != $$ ] && case $s in Z*) seen=1; left=1;; esac; done 2>/dev/null; [ \"$seen\" ] && [ ! \"$left\" ] && exit 0; sleep 0.1; done\n";
    let ran = sandbox.run(tasks, &["-q"]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

/// The guardian of this tasker.
fn guardian_of(tasker: u32) -> Option<u32> {
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    let mut pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.contains(" (tasker-guardian) S ") && stat.contains(&format!(") S {tasker} "))
    })
}

#[test]
fn a_guardian_that_is_killed_is_replaced_and_the_run_says_so() {
    let sandbox = Sandbox::new();
    let tasks = "task=1\nexec=shell\ncommand=touch began; while [ ! -e go ]; do sleep 0.05; done\n\
                 task=2\nexec=shell\ncommand=sleep 7400.5\n";
    let child = sandbox.start(tasks, &[]);
    wait_for("the first command", || sandbox.exists("began"));
    let first = guardian_of(child.id()).expect("a guardian");
    signal(first, "KILL");
    wait_for("another guardian", || {
        guardian_of(child.id()).is_some_and(|pid| pid != first)
    });
    sandbox.file("go", "");
    wait_for("the second command", || {
        !processes_with("7400.5").is_empty()
    });
    let log = sandbox.log();
    assert!(
        log.contains("[WARN]") && log.contains("another one was started"),
        "{log}"
    );
    // What runs is ended by the new one.
    sandbox.kill(child);
    wait_for("the end of the command", || {
        processes_with("7400.5").is_empty()
    });
}

/// What was running when the guardian was replaced is registered with the new one.
#[test]
fn a_command_outlives_one_guardian_and_not_the_next() {
    let sandbox = Sandbox::new();
    let child = sandbox.start("task=1\nexec=shell\ncommand=sleep 7500.5\n", &[]);
    wait_for("the command", || !processes_with("7500.5").is_empty());
    let first = guardian_of(child.id()).expect("a guardian");
    signal(first, "KILL");
    wait_for("another guardian", || {
        guardian_of(child.id()).is_some_and(|pid| pid != first)
    });
    sandbox.kill(child);
    wait_for("the end of the command", || {
        processes_with("7500.5").is_empty()
    });
}

/// As the first process of a container.
#[test]
fn as_process_1_tasker_leaves_no_zombie() {
    let sandbox = Sandbox::new();
    let tasks = "task=1\nexec=shell\ncommand=for i in $(seq 40); do (setsid sleep 0.3 >/dev/null 2>&1 &); done; sleep 4; for p in /proc/[0-9]*; do read -r s < $p/stat || continue; case ${s##*) } in Z*) echo $p;; esac; done 2>/dev/null | wc -l\n\
                 task=2\nexec=shell\ncommand=[ @1_number@ = 0 ]\n";
    sandbox.file("tasks.txt", tasks);
    let output = Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc", "--"])
        .arg(env!("CARGO_BIN_EXE_tasker"))
        .args(["-r", "-q", "tasks.txt"])
        .env("HOME", &sandbox.path)
        .current_dir(&sandbox.path)
        .output();
    let Ok(output) = output else { return };
    let ran = Ran::from(output);
    if ran.stderr.contains("unshare: ") {
        // Only root can have a container here.
        return;
    }
    assert_eq!(ran.code, 0, "{ran:?}");
}
