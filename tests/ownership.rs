//! Who else could change what decides what runs (SPEC §6.2): an error for root, a warning
//! for others. Files of several users need root; without it these tests do nothing.

mod support;

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use support::{Ran, Sandbox};

const TASKS: &str = "task=1\nhostname=localhost\ncommand=touch ran\n";
/// The number of a user and of a private group; no such user exists.
const OTHER: u32 = 54321;

fn is_root() -> bool {
    let own = std::fs::metadata("/proc/self").expect("/proc");
    std::os::unix::fs::MetadataExt::uid(&own) == 0
}

fn mode(path: &Path, mode: u32) {
    let mode = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(path, mode).expect("the mode");
}

fn own(path: &Path, user: u32, group: u32) {
    chown(path, Some(user), Some(group)).expect("the owner");
}

/// Checks the file `d/tasks.txt` as root, or as the other user.
fn check(sandbox: &Sandbox, user: u32, file: &str) -> Ran {
    let program = sandbox.path.join("tasker");
    if !program.exists() {
        std::fs::copy(env!("CARGO_BIN_EXE_tasker"), &program).expect("the program");
    }
    let mut command = std::process::Command::new(program);
    command
        .args(["--validate-only", file])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", sandbox.path.join("home"))
        .env(
            "TASK_EXECUTOR_LOG",
            sandbox.path.join(format!("log-{user}")),
        )
        .current_dir(&sandbox.path);
    if user != 0 {
        command.uid(user).gid(user);
    }
    // A process that another test has just forked can still hold the copy open.
    loop {
        match command.output() {
            Err(e) if e.kind() == std::io::ErrorKind::ExecutableFileBusy => {}
            output => return Ran::from(output.expect("tasker runs")),
        }
    }
}

/// A directory `d` with the file, which root and the other user trust.
fn prepared() -> (Sandbox, std::path::PathBuf, std::path::PathBuf) {
    let sandbox = Sandbox::new();
    mode(&sandbox.path, 0o755);
    for name in ["home", "log-54321"] {
        std::fs::create_dir(sandbox.path.join(name)).expect("the directory");
        own(&sandbox.path.join(name), OTHER, OTHER);
    }
    let file = sandbox.file("d/tasks.txt", TASKS);
    let directory = sandbox.path.join("d");
    mode(&directory, 0o755);
    mode(&file, 0o644);
    (sandbox, directory, file)
}

/// What must be said: an error, a warning, or nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Said {
    Error,
    Warning,
    Nothing,
}

fn said(ran: &Ran) -> Said {
    match (ran.code, ran.stderr.contains("warning: ")) {
        (20, _) => Said::Error,
        (0, true) => Said::Warning,
        (0, false) => Said::Nothing,
        _ => panic!("{ran:?}"),
    }
}

#[test]
fn root_believes_no_file_that_others_can_change() {
    if !is_root() {
        return;
    }
    use Said::{Error, Nothing, Warning};
    // The owner, group and mode of the directory and of the file; what root and another
    // user hear.
    type Rights = (u32, u32, u32);
    let cases: [(Rights, Rights, Said, Said); 15] = [
        ((0, 0, 0o755), (0, 0, 0o644), Nothing, Nothing),
        ((0, 0, 0o755), (0, 0, 0o646), Error, Warning),
        ((0, 0, 0o755), (0, 0, 0o666), Error, Warning),
        ((0, 0, 0o755), (0, 65534, 0o664), Error, Warning),
        // The group of root, and that of the owner alone.
        ((0, 0, 0o775), (0, 0, 0o664), Nothing, Nothing),
        (
            (OTHER, OTHER, 0o775),
            (OTHER, OTHER, 0o664),
            Warning,
            Nothing,
        ),
        ((0, OTHER, 0o755), (0, OTHER, 0o664), Error, Nothing),
        // A directory on the way.
        ((0, 0, 0o757), (0, 0, 0o644), Error, Warning),
        ((0, 65534, 0o775), (0, 0, 0o644), Error, Warning),
        ((0, 0, 0o1777), (0, 0, 0o644), Nothing, Nothing),
        ((0, 0, 0o1777), (0, 0, 0o666), Error, Warning),
        // An owner who is neither.
        ((0, 0, 0o755), (OTHER, OTHER, 0o644), Warning, Nothing),
        ((OTHER, OTHER, 0o755), (0, 0, 0o644), Warning, Nothing),
        ((0, 0, 0o1777), (65534, 65534, 0o644), Warning, Warning),
        ((65534, 65534, 0o777), (OTHER, OTHER, 0o644), Error, Warning),
    ];
    for (of_directory, of_file, root, other) in cases {
        let (sandbox, directory, file) = prepared();
        for (path, (user, group, bits)) in [(&file, of_file), (&directory, of_directory)] {
            own(path, user, group);
            mode(path, bits);
        }
        for (user, expected) in [(0, root), (OTHER, other)] {
            let ran = check(&sandbox, user, "d/tasks.txt");
            let case = format!("{of_directory:?} {of_file:?} for {user}: {ran:?}");
            assert_eq!(said(&ran), expected, "{case}");
            let is_named = ran.stderr.contains("chmod ") || ran.stderr.contains("chown ");
            assert_eq!(is_named, expected != Nothing, "{case}");
        }
    }
}

#[test]
fn a_link_is_followed_to_whoever_could_put_another() {
    if !is_root() {
        return;
    }
    // The link stands in a directory that everyone can write, or is another's.
    for (bits, owner, expected) in [
        (0o755, 0, Said::Nothing),
        (0o777, 0, Said::Error),
        (0o1777, 0, Said::Nothing),
        (0o1777, OTHER, Said::Warning),
    ] {
        let (sandbox, _, file) = prepared();
        let place = sandbox.path.join("links");
        std::fs::create_dir(&place).expect("links");
        let link = place.join("t.txt");
        symlink(&file, &link).expect("a link");
        std::os::unix::fs::lchown(&link, Some(owner), Some(owner)).expect("the owner");
        mode(&place, bits);
        let ran = check(&sandbox, 0, "links/t.txt");
        assert_eq!(said(&ran), expected, "{bits:o} {owner}: {ran:?}");
    }
}

#[test]
fn a_host_list_that_others_can_change_is_refused_for_root() {
    if !is_root() {
        return;
    }
    let (sandbox, _, file) = prepared();
    let tasks = "task=1\ntype=parallel\nhostnames=file:../hosts\nexec=local\n\
                 command=echo @hostname@\n";
    std::fs::write(&file, tasks).expect("the file");
    let hosts = sandbox.file("hosts", "web1\n");
    mode(&hosts, 0o644);
    assert_eq!(said(&check(&sandbox, 0, "d/tasks.txt")), Said::Nothing);
    mode(&hosts, 0o666);
    let ran = check(&sandbox, 0, "d/tasks.txt");
    assert_eq!(said(&ran), Said::Error, "{ran:?}");
    let message = "d/tasks.txt:3:11: error: the host file `../hosts`: everyone can write to this \
                   file and so decide what runs (chmod o-w ";
    assert!(ran.stderr.contains(message), "{ran:?}");
    let ran = check(&sandbox, OTHER, "d/tasks.txt");
    assert_eq!(said(&ran), Said::Warning, "{ran:?}");
    let message = "d/tasks.txt:3:11: warning: the host file `../hosts`: everyone can write";
    assert!(ran.stderr.contains(message), "{ran:?}");
    // The same for that of the command line.
    std::fs::write(
        &file,
        "task=1\ntype=parallel\nhostnames=web[1-2]\nexec=local\ncommand=true @hostname@\n",
    )
    .expect("the file");
    let ran = sandbox.output(&["--limit=file:hosts", "d/tasks.txt"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.stderr
            .contains("the host file `hosts`: everyone can write"),
        "{ran:?}"
    );
}

#[test]
fn a_configuration_found_in_the_home_of_another_is_refused_for_root() {
    if !is_root() {
        return;
    }
    let (sandbox, _, _) = prepared();
    let conf = sandbox.file("home/.config/tasker/tasker.conf", "timeout=60\n");
    for path in [".config", ".config/tasker", ".config/tasker/tasker.conf"] {
        own(&sandbox.path.join("home").join(path), OTHER, OTHER);
    }
    let ran = check(&sandbox, 0, "d/tasks.txt");
    assert_eq!(said(&ran), Said::Error, "{ran:?}");
    assert!(
        ran.stderr
            .contains("this file belongs to user 54321, who can"),
        "{ran:?}"
    );
    assert_eq!(said(&check(&sandbox, OTHER, "d/tasks.txt")), Said::Nothing);
    // One that is named is the user's own choice.
    let option = format!("--config={}", conf.display());
    let ran = sandbox.output(&[&option, "--validate-only", "d/tasks.txt"]);
    assert_eq!(said(&ran), Said::Warning, "{ran:?}");
    mode(&conf, 0o666);
    let ran = sandbox.output(&[&option, "--validate-only", "d/tasks.txt"]);
    assert_eq!(said(&ran), Said::Error, "{ran:?}");
}

#[test]
fn an_alert_program_is_checked_before_the_run_and_again_before_it_runs() {
    let (sandbox, _, _) = match is_root() {
        true => prepared(),
        false => return,
    };
    let program = sandbox.program("alert", "#!/bin/sh\ntouch alerted\n");
    let option = format!("--alert-on-failure={}", program.display());
    let tasks = |change: &str| format!("task=1\nexec=shell\ncommand={change}; touch ran; exit 3\n");
    mode(&program, 0o755);
    let ran = sandbox.run(&tasks("true"), &[&option]);
    assert_eq!((ran.code, sandbox.exists("alerted")), (3, true), "{ran:?}");
    std::fs::remove_file(sandbox.path.join("alerted")).expect("the mark");
    std::fs::remove_file(sandbox.path.join("ran")).expect("the mark");
    for wrong in ["chmod 777 alert", "chown 54321 alert"] {
        // During the run.
        let ran = sandbox.run(&tasks(wrong), &[&option]);
        assert_eq!(ran.code, 3, "{ran:?}");
        assert!(
            sandbox.exists("ran") && !sandbox.exists("alerted"),
            "{ran:?}"
        );
        assert!(sandbox.log().contains("was not run: "), "{}", sandbox.log());
        std::fs::remove_file(sandbox.path.join("ran")).expect("the mark");
        // Before it, also where the file names it.
        let in_file = format!("{option}\n{}", tasks("true"));
        let ran = sandbox.run(&in_file, &[]);
        assert_eq!(ran.code, 20, "{ran:?}");
        assert!(
            !sandbox.exists("ran") && !sandbox.exists("alerted"),
            "{ran:?}"
        );
        let ran = sandbox.run(&tasks("true"), &[&option]);
        assert_eq!(ran.code, 20, "{ran:?}");
        assert!(ran.stderr.contains("error: the alert program `"), "{ran:?}");
        assert!(
            !sandbox.exists("ran") && !sandbox.exists("alerted"),
            "{ran:?}"
        );
        mode(&program, 0o755);
        own(&program, 0, 0);
    }
}

#[test]
fn an_alert_program_that_is_not_there_is_a_warning() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(TASKS, &["--alert-on-failure=/nowhere/alert"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let message = "warning: there is no alert program `/nowhere/alert`";
    assert!(ran.stderr.contains(message), "{ran:?}");
}

/// What was checked and shown is what runs, though the list changes meanwhile.
#[test]
fn a_host_list_is_read_once() {
    let sandbox = Sandbox::new();
    sandbox.file("hosts", "a\n");
    let tasks = "task=1\nexec=shell\ncommand=echo b > hosts\n\
                 task=2\ntype=parallel\nhostnames=file:hosts\nexec=local\n\
                 command=touch on-@hostname@\n";
    let ran = sandbox.run(tasks, &["-q"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(sandbox.exists("on-a") && !sandbox.exists("on-b"), "{ran:?}");
    let ran = sandbox.run(tasks, &["-q"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(sandbox.exists("on-b"), "a new run reads it anew");
}
