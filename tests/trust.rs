//! What belongs to another user, or could have been put there by one: journals, log
//! directories, links, FIFOs, devices (SPEC §6.3, §6.4); and that honest set-ups go on
//! working. Tests with two users need root.

mod support;

#[path = "support/sshd.rs"]
#[allow(dead_code)]
mod sshd;

use sshd::{is_root, skipped};
use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{Ran, Sandbox, finish, run_of, signal, wait_for};

/// The user who runs tasker, where that is not root, and the one who wants to harm.
const ANN: u32 = 61_001;
const EVE: u32 = 61_002;

const RIGHT: &str = "task=1\nexec=shell\ncommand=echo x >>effects\n";
const WRONG: &str = "task=1\nexec=shell\ncommand=echo x >>effects; test -e fine\n";

/// Whether there can be two users.
fn two_users(test: &str) -> bool {
    let setpriv = Command::new("setpriv").arg("--version").output();
    let are_possible = is_root() && setpriv.is_ok();
    if !are_possible {
        skipped(test, "only root can become other users, with setpriv");
    }
    are_possible
}

/// The same command as another user, with this umask.
fn as_user(command: &Command, user: u32, umask: &str) -> Command {
    let mut other = Command::new("setpriv");
    other.args(["--clear-groups", &format!("--reuid={user}")]);
    other.arg(format!("--regid={user}"));
    other.args(["sh", "-c", &format!("umask {umask}; exec \"$@\""), "sh"]);
    other.arg(command.get_program()).args(command.get_args());
    other.env_clear();
    other.envs(command.get_envs().filter_map(|(n, v)| Some((n, v?))));
    other.current_dir(command.get_current_dir().expect("a directory"));
    other.stdin(Stdio::null());
    other.stdout(Stdio::piped()).stderr(Stdio::piped());
    other
}

/// A sandbox that belongs to the user, and tasker run in it as that one.
fn sandbox_of(user: u32) -> Sandbox {
    let sandbox = Sandbox::new();
    chown(&sandbox.path, Some(user), Some(user)).expect("chown");
    sandbox
}

fn run_as(user: u32, sandbox: &Sandbox, options: &[&str]) -> Ran {
    let command = sandbox.tasker(&[&["-r"], options, &["tasks.txt"]].concat());
    let output = as_user(&command, user, "022").output();
    Ran::from(output.expect("tasker runs"))
}

fn set_mode(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("chmod");
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).expect("it is there").mode() & 0o7777
}

fn directory(path: PathBuf, user: u32, mode: u32) -> PathBuf {
    fs::create_dir_all(&path).expect("a directory");
    chown(&path, Some(user), Some(user)).expect("chown");
    set_mode(&path, mode);
    path
}

/// A link that belongs to the user.
fn link_of(user: u32, target: impl AsRef<Path>, at: &Path) {
    symlink(target, at).expect("a link");
    std::os::unix::fs::lchown(at, Some(user), Some(user)).expect("chown");
}

fn fifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status();
    assert!(made.expect("mkfifo").success());
}

fn assert_ok(ran: &Ran) {
    assert_eq!(ran.code, 0, "{ran:?}");
}

/// Waits until the flow has ended.
fn wait_for_end(sandbox: &Sandbox) {
    let has_ended = || sandbox.log().contains("Run ended");
    wait_for("the end", || sandbox.exists("TASKER/logs") && has_ended());
}

/// What is left of temporary files.
fn temporary_files(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).expect("a directory").flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .filter(|name| name.contains(".tmp") || name.contains(".new"))
        .collect()
}

// The log directory

#[test]
fn rights_of_others_in_an_own_directory_are_taken_away_and_that_is_said_once() {
    let sandbox = Sandbox::new();
    let logs = sandbox.path.join("TASKER/logs");
    let state = sandbox.path.join("TASKER/state");
    for directory in [&logs, &state] {
        fs::create_dir_all(directory).expect("a directory");
    }
    set_mode(sandbox.path.join("TASKER"), 0o775);
    set_mode(&logs, 0o775);
    set_mode(&state, 0o1777);
    let ran = sandbox.run(RIGHT, &["-q"]);
    assert_ok(&ran);
    for directory in [&logs, &state] {
        assert_eq!(mode(directory), 0o700);
        let said = format!("others could write to `{}`", directory.display());
        assert_eq!(ran.stderr.matches(&said).count(), 1, "{ran:?}");
        assert!(sandbox.log().contains(&format!("[WARN] {said}")));
    }
    // What is above them can be anyone's.
    assert_eq!(mode(sandbox.path.join("TASKER")), 0o775);
    let again = sandbox.run(RIGHT, &["-q"]);
    assert_eq!((again.code, again.stderr.as_str()), (0, ""));
}

#[test]
fn rights_to_read_an_own_directory_stay() {
    let sandbox = Sandbox::new();
    let logs = sandbox.path.join("TASKER/logs");
    fs::create_dir_all(&logs).expect("a directory");
    set_mode(&logs, 0o750);
    let ran = sandbox.run(RIGHT, &["-q"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_eq!(mode(&logs), 0o750);
}

#[test]
fn a_directory_of_another_user_refuses_the_run() {
    if !two_users("a directory of another user") {
        return;
    }
    for name in ["logs", "tasks", "state", "locks", "output"] {
        let sandbox = sandbox_of(ANN);
        sandbox.file("tasks.txt", RIGHT);
        directory(sandbox.path.join("TASKER"), ANN, 0o755);
        directory(sandbox.path.join("TASKER").join(name), EVE, 0o777);
        let options = ["--output-json", "--instance-check"];
        let ran = run_as(ANN, &sandbox, &options);
        assert_eq!(ran.code, 32, "{ran:?}");
        let why = format!("TASKER/{name}`: it belongs to another user (id {EVE})");
        assert!(ran.stderr.contains(&why), "{ran:?}");
        let help = "     = help: name another directory with -l DIR\n";
        assert!(ran.stderr.contains(help), "{ran:?}");
        assert!(!sandbox.exists("effects"));
        let with_l = run_as(ANN, &sandbox, &["-l", "mine", "--output-json"]);
        assert_ok(&with_l);
    }
    // As with `sudo -E`: the home directory is another's.
    let sandbox = sandbox_of(ANN);
    sandbox.file("tasks.txt", RIGHT);
    directory(sandbox.path.join("TASKER"), ANN, 0o755);
    directory(sandbox.path.join("TASKER/logs"), ANN, 0o700);
    let mut command = sandbox.tasker(&["-r", "tasks.txt"]);
    let ran = Ran::from(
        command
            .env("SUDO_USER", "ann")
            .output()
            .expect("tasker runs"),
    );
    assert_eq!(ran.code, 32, "{ran:?}");
    assert!(ran.stderr.contains("or use sudo -H"), "{ran:?}");
}

#[test]
fn a_link_to_a_bigger_disk_is_followed_and_one_of_another_user_is_not() {
    if !two_users("links in the log directory") {
        return;
    }
    for (owner, code) in [(ANN, 0), (0, 0), (EVE, 32)] {
        let sandbox = sandbox_of(ANN);
        sandbox.file("tasks.txt", RIGHT);
        let top = directory(sandbox.path.join("TASKER"), 0, 0o777);
        let disk = directory(sandbox.path.join("disk"), ANN, 0o700);
        link_of(owner, "../disk/", &top.join("logs"));
        let ran = run_as(ANN, &sandbox, &[]);
        assert_eq!(ran.code, code, "{ran:?}");
        let written = fs::read_dir(&disk).expect("readable").count();
        assert_eq!(written > 0, code == 0);
        if code != 0 {
            let why = format!("it is a link of another user (id {EVE})");
            assert!(ran.stderr.contains(&why), "{ran:?}");
        }
    }
    let sandbox = Sandbox::new();
    sandbox.file("TASKER/x", "");
    symlink("/no/such/disk", sandbox.path.join("TASKER/logs")).expect("a link");
    let ran = sandbox.run(RIGHT, &[]);
    assert_eq!(ran.code, 32, "{ran:?}");
    assert!(
        ran.stderr.contains("it is a link that leads nowhere"),
        "{ran:?}"
    );
}

/// A volume of a container, `/tmp`, `/var/log`: anyone's directories.
#[test]
fn the_directory_above_can_be_anyones() {
    if !two_users("directories of others") {
        return;
    }
    for mode in [0o777, 0o1777] {
        let sandbox = sandbox_of(ANN);
        sandbox.file("tasks.txt", RIGHT);
        let volume = directory(sandbox.path.join("volume"), 0, mode);
        let ran = run_as(ANN, &sandbox, &["-l", "volume", "--output-json"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        let ran = run_as(ANN, &sandbox, &["-l", "volume/deeper/down"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        assert_eq!(fs::metadata(volume.join("state")).expect("made").uid(), ANN);
    }
}

/// As systemd's DynamicUser has it: a link of root's, to a directory of a user that no
/// database lists.
#[test]
fn a_service_with_a_user_of_its_own_has_its_log_directory() {
    if !two_users("a service account") {
        return;
    }
    let sandbox = sandbox_of(ANN);
    sandbox.file("tasks.txt", RIGHT);
    directory(sandbox.path.join("private"), 0, 0o755);
    directory(sandbox.path.join("private/service"), ANN, 0o755);
    link_of(0, "private/service", &sandbox.path.join("service"));
    for _ in 0..2 {
        let ran = run_as(ANN, &sandbox, &["-l", "service"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    }
}

#[test]
fn directories_have_their_mode_whatever_the_umask() {
    for umask in ["0177", "0002", "0777", "0277", "0077", "0000"] {
        let sandbox = match is_root() {
            true => sandbox_of(ANN),
            false => Sandbox::new(),
        };
        let text = "task=1\nexec=shell\ncommand=umask 022; head -c 1500000 /dev/zero; echo x >>effects; test -e fine\n";
        sandbox.file("tasks.txt", text);
        let command = sandbox.tasker(&["-r", "-l", "deep/down", "--output-json", "tasks.txt"]);
        let output = match is_root() {
            true => as_user(&command, ANN, umask).output(),
            false => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"]);
                shell.arg(command.get_program()).args(command.get_args());
                shell.current_dir(&sandbox.path).output()
            }
        };
        let ran = Ran::from(output.expect("tasker runs"));
        assert_eq!(ran.code, 1, "{umask}: {ran:?}");
        assert_eq!(sandbox.read("effects"), "x\n", "{umask}: {ran:?}");
        // And it can be used for ever afterwards.
        sandbox.file("fine", "");
        let resumed = sandbox.tasker(&["-r", "-l", "deep/down", "--resume", "tasks.txt"]);
        let resumed = match is_root() {
            true => Ran::from(as_user(&resumed, ANN, umask).output().expect("tasker runs")),
            false => sandbox.output(&["-r", "-l", "deep/down", "--resume", "tasks.txt"]),
        };
        assert_eq!(resumed.code, 0, "{umask}: {resumed:?}");
        let mut directories = vec![sandbox.path.join("deep")];
        let mut seen = 0;
        while let Some(directory) = directories.pop() {
            assert_eq!(mode(&directory), 0o700, "{umask}: {directory:?}");
            for entry in fs::read_dir(&directory).expect("a directory").flatten() {
                match entry.path().is_dir() {
                    true => directories.push(entry.path()),
                    false => assert_eq!(mode(entry.path()), 0o600, "{umask}: {entry:?}"),
                }
                seen += 1;
            }
        }
        assert!(seen >= 8, "{umask}: {seen}");
    }
}

/// As an older tasker left it, or a `chmod -R 600`: the message says what to do.
#[test]
fn a_directory_in_which_its_owner_has_no_rights_is_named_with_the_remedy() {
    if !two_users("a user whom modes bind") {
        return;
    }
    let sandbox = sandbox_of(ANN);
    sandbox.file("tasks.txt", WRONG);
    assert_eq!(run_as(ANN, &sandbox, &["-q", "--instance-check"]).code, 1);
    let home = sandbox.path.join("TASKER");
    let asked = |options: &[&str]| {
        let command = sandbox.tasker(options);
        Ran::from(as_user(&command, ANN, "022").output().expect("tasker runs"))
    };
    for (at, bits) in [
        ("logs", 0o600),
        ("state", 0o500),
        ("locks", 0),
        ("tasks", 0o200),
        ("", 0o600),
    ] {
        let bad = home.join(at);
        let bad = bad.components().collect::<PathBuf>();
        set_mode(&bad, bits);
        let ran = run_as(ANN, &sandbox, &["-q", "--instance-check"]);
        assert_eq!(ran.code, 32, "{ran:?}");
        let remedy = format!(
            ": Permission denied: `{}` has mode {bits:04o}; `chmod u+rwx` lets you use it; nothing was run\n",
            bad.display()
        );
        assert!(ran.stderr.contains(&remedy), "{remedy}: {ran:?}");
        assert_eq!(mode(&bad), bits);
        set_mode(&bad, 0o700);
    }
    set_mode(home.join("state"), 0o600);
    let list = format!(
        "cannot list the directory `{}`",
        home.join("state").display()
    );
    for options in [&["--status"][..], &["--prune"]] {
        let ran = asked(options);
        assert_eq!((ran.code != 0, ran.stdout.as_str()), (true, ""), "{ran:?}");
        assert!(ran.stderr.contains(&list), "{ran:?}");
        assert_eq!(ran.stderr.matches(&list).count(), 1, "{ran:?}");
    }
    set_mode(home.join("state"), 0o700);
    assert_eq!(run_as(ANN, &sandbox, &["-q", "--instance-check"]).code, 1);
}

/// `sudo tasker -r ~/tasks.txt`, with the home directory of root: file, destinations and
/// their directory are the caller's.
#[test]
fn root_runs_the_file_of_another_user_and_writes_where_that_one_says() {
    if !two_users("root in the directory of another user") {
        return;
    }
    let sandbox = sandbox_of(ANN);
    let tasks = sandbox.file("tasks.txt", RIGHT);
    chown(&tasks, Some(ANN), Some(ANN)).expect("chown");
    let page = sandbox.file("page.html", "old");
    chown(&page, Some(ANN), Some(ANN)).expect("chown");
    set_mode(&page, 0o640);
    directory(sandbox.path.join("root"), 0, 0o700);
    let mut command = sandbox.tasker(&[
        "-r",
        "--report=page.html",
        "--output-json=new.json",
        "tasks.txt",
    ]);
    command
        .env("HOME", sandbox.path.join("root"))
        .env("SUDO_USER", "ann");
    let ran = Ran::from(command.output().expect("tasker runs"));
    assert_ok(&ran);
    let about = fs::metadata(&page).expect("there");
    assert_eq!((about.mode() & 0o7777, about.gid()), (0o640, ANN));
    assert!(sandbox.read("new.json").contains("schema_version"));
    assert!(sandbox.exists("root/TASKER/logs"));
}

// Journals

/// The id of the only run that has left a journal.
fn run_id(sandbox: &Sandbox) -> String {
    let journals = sandbox.journals();
    assert_eq!(journals.len(), 1, "{journals:?}");
    run_of(&journals[0])
}

#[test]
fn what_another_user_has_put_among_the_journals_is_ignored_and_named() {
    if !two_users("forged journals") {
        return;
    }
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(WRONG, &[]).code, 1);
    let state = sandbox.path.join("TASKER/state");
    let real = sandbox.journals().remove(0);
    let secret = sandbox.file("secret", "root's");
    // In a directory that was open once.
    let forged = state.join("forged.journal");
    fs::copy(&real, &forged).expect("a copy");
    chown(&forged, Some(EVE), Some(EVE)).expect("chown");
    link_of(EVE, &secret, &state.join("link.journal"));
    fifo(&state.join("fifo.journal"));
    fs::create_dir(state.join("directory.journal")).expect("a directory");
    fs::rename(&real, state.join("moved.journal")).expect("renamed");
    let reasons = [
        ("forged", "it belongs to another user"),
        ("link", "it is a link"),
        ("fifo", "it is not a plain file"),
        ("directory", "it is not a plain file"),
        ("moved", "it is the journal of another run"),
    ];
    let resumed = sandbox.output(&["-r", "--resume", "tasks.txt"]);
    assert_eq!(resumed.code, 12, "{resumed:?}");
    for (name, why) in reasons {
        let line = format!("{name}.journal` is ignored: {why}");
        assert!(resumed.stderr.contains(&line), "{line}: {resumed:?}");
    }
    let status = sandbox.output(&["--status"]);
    assert!(!status.stdout.contains("to resume"), "{status:?}");
    assert!(!status.stdout.contains("forged"), "{status:?}");
    assert!(
        status.stderr.contains("forged.journal` is ignored"),
        "{status:?}"
    );
    sandbox.file("fine", "");
    let fresh = sandbox.run(WRONG, &[]);
    assert_ok(&fresh);
    for (name, why) in reasons {
        let line = format!("{name}.journal` is ignored: {why}");
        assert!(sandbox.log().contains(&line), "{line}");
        assert!(fs::symlink_metadata(state.join(format!("{name}.journal"))).is_ok());
    }
    assert_eq!(sandbox.read("secret"), "root's");
}

#[test]
fn a_journal_with_a_second_name_is_ignored() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(WRONG, &[]).code, 1);
    let real = sandbox.journals().remove(0);
    fs::hard_link(&real, sandbox.path.join("second")).expect("a link");
    let resumed = sandbox.output(&["-r", "--resume", "tasks.txt"]);
    assert_eq!(resumed.code, 12, "{resumed:?}");
    assert!(
        resumed.stderr.contains("is ignored: it has 2 names"),
        "{resumed:?}"
    );
}

/// The file of a large output is read by its name in the run's directory, and only if it
/// is a plain one of the user.
#[test]
fn an_output_that_was_replaced_is_not_read() {
    let text = "task=1\nexec=shell\ncommand=head -c 1500000 /dev/zero\n\
                task=2\nexec=shell\ncommand=test -e fine\n";
    type Replace = fn(&Path, &Path);
    let ways: [(&str, Replace); 3] = [
        ("a link", |secret, output| {
            symlink(secret, output).expect("a link");
        }),
        ("a second name", |secret, output| {
            fs::hard_link(secret, output).expect("a link");
        }),
        ("a FIFO", |_, output| fifo(output)),
    ];
    for (what, replace) in ways {
        let sandbox = Sandbox::new();
        assert_eq!(sandbox.run(text, &[]).code, 1);
        let output = sandbox
            .path
            .join("TASKER/state")
            .join(run_id(&sandbox))
            .join("output-0");
        let secret = sandbox.file("secret", vec![b'x'; 1_500_000]);
        fs::remove_file(&output).expect("an output");
        replace(&secret, &output);
        let ran = sandbox.output(&["-r", "--resume", "tasks.txt"]);
        assert_eq!(ran.code, 12, "{what}: {ran:?}");
        assert!(
            ran.stderr.contains("/output-0` cannot be used: it "),
            "{what}: {ran:?}"
        );
    }
}

#[test]
fn links_in_place_of_records_are_not_followed() {
    if !two_users("links in place of records") {
        return;
    }
    for (place, options) in [
        ("logs/project_P_summary.log", &["-p", "P"][..]),
        ("state/number", &[]),
    ] {
        let sandbox = Sandbox::new();
        let victim = sandbox.file("victim", "precious\n");
        let path = sandbox.path.join("TASKER").join(place);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        link_of(EVE, &victim, &path);
        let ran = sandbox.run(RIGHT, options);
        assert!(ran.stderr.contains("it is a link"), "{ran:?}");
        assert_eq!(sandbox.read("victim"), "precious\n");
    }
}

#[test]
fn root_sees_the_runs_of_another_user_without_a_line_to_copy() {
    if !two_users("--status of another user") {
        return;
    }
    let sandbox = sandbox_of(ANN);
    sandbox.file("tasks.txt", WRONG);
    let ran = run_as(ANN, &sandbox, &["-p", "P"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let id = run_id(&sandbox);
    let status = sandbox.output(&["--status", &id]);
    assert_ok(&status);
    assert!(status.stdout.contains("stopped at task 1"), "{status:?}");
    assert!(!status.stdout.contains("tasker -r"), "{status:?}");
    let words = format!("--status says so to its user (id {ANN})");
    assert!(status.stdout.contains(&words), "{status:?}");
    let summary = sandbox.output(&["--project-summary=P"]);
    assert!(summary.stdout.contains("FAILED"), "{summary:?}");
    // Its user has the line.
    let command = sandbox.tasker(&["--status", &id]);
    let own = Ran::from(as_user(&command, ANN, "022").output().expect("tasker runs"));
    assert!(own.stdout.contains("to continue from there: "), "{own:?}");
    assert_eq!(mode(sandbox.path.join("TASKER/state")), 0o700);
}

// Destinations

#[test]
fn a_replaced_file_keeps_its_mode_and_group_and_a_link_stays() {
    let sandbox = Sandbox::new();
    let target = sandbox.file("target/results.json", "old");
    set_mode(&target, 0o664);
    let group = if is_root() {
        4711
    } else {
        fs::metadata(&target).expect("there").gid()
    };
    chown(&target, None, Some(group)).expect("chgrp");
    symlink("target/results.json", sandbox.path.join("latest")).expect("a link");
    symlink("latest", sandbox.path.join("again")).expect("a link");
    for name in ["latest", "again", "target/results.json"] {
        sandbox.file("target/results.json", "old");
        assert_ok(&sandbox.run(RIGHT, &[&format!("--output-json={name}")]));
        assert!(
            sandbox
                .read("target/results.json")
                .contains("schema_version")
        );
        let about = fs::symlink_metadata(&target).expect("there");
        assert_eq!((about.mode() & 0o7777, about.gid()), (0o664, group));
    }
    assert!(
        fs::symlink_metadata(sandbox.path.join("latest"))
            .expect("there")
            .is_symlink()
    );
    assert_ok(&sandbox.run(RIGHT, &["--output-json=new.json", "--report=new.html"]));
    assert_eq!(
        (
            mode(sandbox.path.join("new.json")),
            mode(sandbox.path.join("new.html"))
        ),
        (0o600, 0o600)
    );
    assert!(temporary_files(&sandbox.path).is_empty());
}

/// A group that the user cannot give gets no more than everyone has.
#[test]
fn a_group_that_cannot_be_kept_loses_its_rights() {
    if !two_users("groups of others") {
        return;
    }
    for (before, after) in [(0o660, 0o600), (0o664, 0o644)] {
        let sandbox = sandbox_of(ANN);
        sandbox.file("tasks.txt", RIGHT);
        let target = sandbox.file("results.json", "old");
        chown(&target, Some(ANN), Some(4711)).expect("chown");
        set_mode(&target, before);
        assert_ok(&run_as(ANN, &sandbox, &["--output-json=results.json"]));
        let about = fs::metadata(&target).expect("there");
        assert_eq!((about.mode() & 0o7777, about.gid()), (after, ANN));
    }
}

#[test]
fn a_link_of_another_user_is_refused_as_a_destination() {
    if !two_users("links as destinations") {
        return;
    }
    for mode in [0o777, 0o1777] {
        for option in [
            "--output-json",
            "--report",
            "--metrics",
            "--events",
            "--keep-output",
        ] {
            let sandbox = Sandbox::new();
            sandbox.file("victim", "precious");
            let open = directory(sandbox.path.join("open"), EVE, mode);
            let target = match option {
                "--keep-output" => directory(sandbox.path.join("etc"), 0, 0o755),
                _ => sandbox.path.join("victim"),
            };
            link_of(EVE, target, &open.join("x"));
            let ran = sandbox.run(RIGHT, &[&format!("{option}=open/x")]);
            assert_eq!(ran.code, 32, "{option}: {ran:?}");
            let why = format!("it is a link of another user (id {EVE})");
            assert!(ran.stderr.contains(&why), "{option}: {ran:?}");
            assert!(!sandbox.exists("effects"));
            assert_eq!(sandbox.read("victim"), "precious");
            // Also one that leads nowhere yet.
            fs::remove_file(open.join("x")).expect("a link");
            link_of(EVE, "../new", &open.join("x"));
            let ran = sandbox.run(RIGHT, &[&format!("{option}=open/x")]);
            assert_eq!(ran.code, 32, "{option}: {ran:?}");
            assert!(!sandbox.exists("new"));
        }
    }
}

/// A link to a directory, where everyone can put one.
#[test]
fn a_link_on_the_way_to_a_destination_is_followed_where_not_everyone_can_put_it() {
    if !two_users("links on the way") {
        return;
    }
    for (owner, code) in [(EVE, 32), (ANN, 0), (0, 0)] {
        let sandbox = Sandbox::new();
        let open = directory(sandbox.path.join("open"), ANN, 0o1777);
        directory(sandbox.path.join("etc"), 0, 0o755);
        link_of(owner, "../etc", &open.join("way"));
        let ran = sandbox.run(RIGHT, &["--output-json=open/way/../etc/./results.json"]);
        assert_eq!(ran.code, code, "{owner}: {ran:?}");
        assert_eq!(sandbox.exists("etc/results.json"), code == 0);
        let ran = sandbox.run(RIGHT, &["--keep-output=open/way/new"]);
        assert_eq!(ran.code, code, "{owner}: {ran:?}");
        assert_eq!(sandbox.exists("etc/new"), code == 0);
    }
    let sandbox = Sandbox::new();
    symlink("loop", sandbox.path.join("loop")).expect("a link");
    for path in ["loop", "loop/x"] {
        let ran = sandbox.run(RIGHT, &[&format!("--report={path}")]);
        assert_eq!(ran.code, 32, "{ran:?}");
        assert!(ran.stderr.contains("symbolic links"), "{ran:?}");
    }
}

/// The link comes after the check, and before the write.
#[test]
fn a_link_that_is_put_there_during_the_run_is_not_followed() {
    if !two_users("links that come late") {
        return;
    }
    for option in ["--output-json", "--report", "--metrics"] {
        let sandbox = Sandbox::new();
        sandbox.file("victim", "precious");
        let open = directory(sandbox.path.join("open"), EVE, 0o777);
        let text =
            format!("task=1\nexec=shell\ncommand=ln -sf ../victim open/x; chown -h {EVE} open/x\n");
        let ran = sandbox.run(&text, &[&format!("{option}=open/x")]);
        assert_ok(&ran);
        assert!(
            ran.stderr.contains("it is a link of another user"),
            "{ran:?}"
        );
        assert_eq!(sandbox.read("victim"), "precious");
        assert!(temporary_files(&open).is_empty());
    }
    // The file of an output, in a directory of another user.
    let sandbox = Sandbox::new();
    sandbox.file("victim", "precious");
    let open = directory(sandbox.path.join("open"), EVE, 0o777);
    link_of(EVE, "../victim", &open.join("1.stdout"));
    let ran = sandbox.run(
        "task=1\nexec=local\ncommand=echo x\n",
        &["--keep-output=open"],
    );
    assert!(
        ran.stderr.contains("it is a link of another user"),
        "{ran:?}"
    );
    assert_eq!(sandbox.read("victim"), "precious");
}

#[test]
fn a_second_name_that_anyone_can_give_does_not_grow() {
    if !two_users("second names") {
        return;
    }
    let sandbox = Sandbox::new();
    let victim = sandbox.file("victim", "precious\n");
    directory(sandbox.path.join("open"), 0, 0o777);
    fs::hard_link(&victim, sandbox.path.join("open/x")).expect("a second name");
    let ran = sandbox.run(RIGHT, &["--events=open/x"]);
    assert_eq!(ran.code, 32, "{ran:?}");
    assert!(ran.stderr.contains("it has 2 names"), "{ran:?}");
    assert_eq!(sandbox.read("victim"), "precious\n");
    // In a directory of one's own it is one's own choice.
    fs::hard_link(&victim, sandbox.path.join("x")).expect("a second name");
    assert_ok(&sandbox.run(RIGHT, &["--events=x"]));
}

#[test]
fn an_own_link_to_events_is_followed() {
    let sandbox = Sandbox::new();
    sandbox.file("events", "");
    symlink("events", sandbox.path.join("link")).expect("a link");
    assert_ok(&sandbox.run(RIGHT, &["--events=link"]));
    assert!(sandbox.read("events").contains("run_ended"));
    assert!(
        fs::symlink_metadata(sandbox.path.join("link"))
            .expect("there")
            .is_symlink()
    );
}

/// tasker in a shell of bash, which has `>(...)`.
fn in_bash(sandbox: &Sandbox, script: &str) -> Ran {
    let tasker = sandbox.tasker::<&str>(&[]);
    let mut bash = Command::new("bash");
    bash.args(["-c", script, "bash"]).arg(tasker.get_program());
    bash.env_clear().current_dir(&sandbox.path);
    bash.envs(tasker.get_envs().filter_map(|(n, v)| Some((n, v?))));
    Ran::from(bash.stdin(Stdio::null()).output().expect("bash runs"))
}

#[test]
fn what_is_open_already_is_written_to_as_it_is() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", RIGHT);
    // A pipe, and one with a name that bash gives it.
    let ran = in_bash(
        &sandbox,
        "\"$1\" -r -q --output-json=/dev/stdout tasks.txt | cat >piped",
    );
    assert_ok(&ran);
    assert!(sandbox.read("piped").contains("schema_version"), "{ran:?}");
    let script =
        "\"$1\" -r -q --output-json=>(cat >substituted) --report >(gzip >page.gz) tasks.txt; wait";
    assert_ok(&in_bash(&sandbox, script));
    wait_for("the readers", || {
        let page = Command::new("gzip")
            .args(["-dc", "page.gz"])
            .current_dir(&sandbox.path)
            .output();
        let page = page.expect("gzip runs").stdout;
        sandbox.read("substituted").ends_with("}\n") && page.ends_with(b"</html>\n")
    });
    // A file that others write to as well: nothing is cut off or renamed.
    let script =
        "{ echo before; \"$1\" -r -q --output-json=/dev/fd/5 tasks.txt 5>&1; echo after; } >all";
    assert_ok(&in_bash(&sandbox, script));
    let all = sandbox.read("all");
    assert!(
        all.starts_with("before\n{") && all.ends_with("}\nafter\n"),
        "{all}"
    );
    // Also behind a link.
    symlink("/dev/stdout", sandbox.path.join("out")).expect("a link");
    let ran = in_bash(&sandbox, "\"$1\" -r -q --output-json=out tasks.txt | cat");
    assert!(ran.stdout.contains("schema_version"), "{ran:?}");
    // A number that is not open.
    let ran = in_bash(&sandbox, "\"$1\" -r -q --output-json=/dev/fd/77 tasks.txt");
    assert_eq!(ran.code, 32, "{ran:?}");
}

#[test]
fn a_device_is_written_to_and_stays_one() {
    let sandbox = Sandbox::new();
    let options = [
        "--output-json=/dev/null",
        "--report=/dev/null",
        "--events=/dev/null",
    ];
    assert_ok(&sandbox.run(RIGHT, &options));
    let null = fs::metadata("/dev/null").expect("there");
    assert!(null.file_type().is_char_device());
    let ran = sandbox.run(RIGHT, &["--output-json=/dev/full"]);
    assert_ok(&ran);
    assert!(ran.stderr.contains("No space left on device"), "{ran:?}");
}

#[test]
fn a_fifo_gets_the_results_also_if_its_reader_comes_late() {
    let sandbox = Sandbox::new();
    let text =
        format!("{RIGHT}task=2\nexec=shell\ncommand=head -c 300000 /dev/zero | tr '\\0' x\n");
    for option in ["--output-json", "--report", "--metrics"] {
        let path = sandbox.path.join(format!("fifo{option}"));
        fifo(&path);
        let run = sandbox.start(&text, &[&format!("{option}={}", path.display())]);
        wait_for_end(&sandbox);
        let mut read = String::new();
        let opened = File::open(&path).and_then(|mut f| f.read_to_string(&mut read));
        opened.expect("readable");
        assert_ok(&finish(run));
        let end = match option {
            "--report" => "</html>\n",
            "--metrics" => "outcome=\"unknown\"} 0\n",
            _ => "}\n",
        };
        assert!(read.ends_with(end), "{option}: {}", read.len());
        assert!(fs::metadata(&path).expect("there").file_type().is_fifo());
    }
}

#[test]
fn a_signal_ends_the_wait_for_a_reader() {
    let text = "task=1\nexec=shell\ncommand=head -c 300000 /dev/zero | tr '\\0' x\n";
    for option in ["--output-json", "--report", "--metrics"] {
        // A page fits into the pipe.
        for has_reader in [false, option == "--output-json"] {
            let sandbox = Sandbox::new();
            let path = sandbox.path.join("fifo");
            fifo(&path);
            // One that opens it and reads nothing.
            let mut flags = File::options();
            flags.read(true).custom_flags(0o4000);
            let reader = has_reader.then(|| flags.open(&path).expect("a reader"));
            let run = sandbox.start(text, &[&format!("{option}=fifo")]);
            wait_for_end(&sandbox);
            std::thread::sleep(Duration::from_millis(200));
            let began = Instant::now();
            signal(run.id(), "TERM");
            let ran = finish(run);
            assert!(began.elapsed() < Duration::from_secs(5), "{ran:?}");
            assert!(ran.stderr.contains("a signal ended the wait"), "{ran:?}");
            drop(reader);
        }
    }
}

#[test]
fn nobody_is_waited_for_without_a_bound() {
    let sandbox = Sandbox::new();
    fifo(&sandbox.path.join("fifo"));
    let began = Instant::now();
    let ran = sandbox.run(RIGHT, &["--output-json=fifo"]);
    assert_ok(&ran);
    assert!(
        ran.stderr.contains("no process reads it (waited 10 s)"),
        "{ran:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[test]
fn simultaneous_runs_share_no_temporary_file() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "tasks.txt",
        "task=1\ntype=parallel\nhostnames=h[1-40]\nexec=local\ncommand=true\n",
    );
    let options = [
        "-r",
        "-q",
        "--output-json=results.json",
        "--report=page.html",
        "tasks.txt",
    ];
    let start = |_| sandbox.tasker(&options).spawn().expect("tasker starts");
    let runs: Vec<_> = (0..12).map(start).collect();
    for run in runs {
        let ran = finish(run);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    }
    assert!(sandbox.read("results.json").ends_with("}\n"));
    assert!(sandbox.read("page.html").ends_with("</html>\n"));
    for directory in ["", "TASKER/state"] {
        let left = temporary_files(&sandbox.path.join(directory));
        assert!(left.is_empty(), "{left:?}");
    }
}

/// What runs may do to their own destinations.
#[test]
fn a_directory_that_the_run_makes_anew_gets_the_results() {
    let sandbox = Sandbox::new();
    sandbox.file("build/old", "");
    let text = "task=1\nexec=shell\ncommand=rm -r build; mkdir build\n";
    assert_ok(&sandbox.run(text, &["--output-json=build/results.json"]));
    assert!(
        sandbox
            .read("build/results.json")
            .contains("schema_version")
    );
    let mut file = File::create(sandbox.path.join("build/more")).expect("a file");
    file.write_all(b"x").expect("written");
}

// Everything at once

/// Commands that together open all that a log directory holds.
fn broad_use(sandbox: &Sandbox) -> Vec<Ran> {
    let calls: [&[&str]; 9] = [
        &["tasks.txt"],
        &["--plan=0123456789ab", "tasks.txt"],
        &["--status"],
        &["--project-summary=P"],
        &["-r", "--resume", "--instance-check", "tasks.txt"],
        &["-r", "--limit=last:failed", "tasks.txt"],
        &[
            "-r",
            "-q",
            "--mail-once",
            "-p",
            "P",
            "--instance-check",
            "tasks.txt",
        ],
        &["-r", "--auto-recovery", "--output-json", "tasks.txt"],
        &["-r", "--resume-at=2", "tasks.txt"],
    ];
    let run = |call: &&[&str]| {
        let mut command = Command::new("timeout");
        let tasker = sandbox.tasker::<&str>(&[]);
        command
            .args(["-s", "KILL", "60"])
            .arg(tasker.get_program())
            .args(*call);
        command
            .env_clear()
            .current_dir(&sandbox.path)
            .stdin(Stdio::null());
        command.envs(tasker.get_envs().filter_map(|(n, v)| Some((n, v?))));
        Ran::from(command.output().expect("timeout runs"))
    };
    calls.iter().map(run).collect()
}

/// The files and directories of the log directory, by their paths in it.
fn found_in(directory: &Path, prefix: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            found_in(&entry.path(), &format!("{name}/"), found);
        }
        found.push(name);
    }
}

const BROAD: &str = "task=1\nexec=shell\ncommand=head -c 1500000 /dev/zero\n\
     task=2\ntype=parallel\nhostnames=h[1-2]\nexec=shell\ncommand=test @hostname@ = h1\n";

/// Each thing in a log directory is replaced, by each kind of thing.
#[test]
fn whatever_replaces_a_record_nothing_hangs_and_nothing_outside_changes() {
    if !two_users("records that are replaced") {
        return;
    }
    type Replace = fn(&Path, &Path);
    let kinds: [(&str, Replace); 7] = [
        ("a link of another", |at, victim| link_of(EVE, victim, at)),
        ("an own link", |at, victim| link_of(0, victim, at)),
        ("a link to a directory", |at, victim| {
            link_of(EVE, victim.parent().expect("a parent"), at);
        }),
        ("a FIFO", |at, _| fifo(at)),
        ("a directory", |at, _| {
            fs::create_dir(at).expect("a directory")
        }),
        ("a file of another", |at, victim| {
            fs::copy(victim, at).expect("a copy");
            chown(at, Some(EVE), Some(EVE)).expect("chown");
        }),
        ("a huge file", |at, _| {
            let huge = File::create(at).expect("a file");
            huge.set_len(100 << 20).expect("sparse");
        }),
    ];
    let used = Sandbox::new();
    used.file("tasks.txt", BROAD);
    broad_use(&used);
    let mut places = Vec::new();
    found_in(&used.path.join("TASKER"), "", &mut places);
    assert!(places.len() > 20, "{places:?}");
    // One of a kind: names that differ only in numbers.
    let shape = |place: &str| support::neutral::without_numbers(place);
    places.sort_by_key(|place| shape(place));
    places.dedup_by_key(|place| shape(place));
    // All pairs take a minute: `make test-crash` tries them.
    let tries_all = std::env::var_os("TASKER_CRASH").is_some();
    let copy = |to: &Path| {
        let mut command = Command::new("cp");
        command.arg("-a").arg(used.path.join("TASKER")).arg(to);
        assert!(command.status().expect("cp runs").success());
    };
    for (number, place) in places.iter().enumerate() {
        for (kind, (what, replace)) in kinds.iter().enumerate() {
            if !tries_all && number % kinds.len() != kind {
                continue;
            }
            let sandbox = Sandbox::new();
            sandbox.file("tasks.txt", BROAD);
            let victim = sandbox.file("outside/victim", "precious");
            copy(&sandbox.path);
            let at = sandbox.path.join("TASKER").join(place);
            match at.is_dir() {
                true => fs::remove_dir_all(&at).expect("removed"),
                false => fs::remove_file(&at).expect("removed"),
            }
            replace(&at, &victim);
            for ran in broad_use(&sandbox) {
                let words = format!("{place} as {what}: {ran:?}");
                assert!((0..128).contains(&ran.code), "{words}");
                assert!(!ran.stderr.contains("panicked"), "{words}");
            }
            assert_eq!(
                sandbox.read("outside/victim"),
                "precious",
                "{place} as {what}"
            );
            let outside = fs::read_dir(sandbox.path.join("outside")).expect("readable");
            assert_eq!(outside.count(), 1, "{place} as {what}");
        }
    }
}

/// A process of another user, which ends with the test.
struct Running(std::process::Child);

impl Running {
    fn start(command: &Command, user: u32) -> Running {
        Running(as_user(command, user, "000").spawn().expect("setpriv runs"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Another user exchanges what is there, again and again, while tasker runs.
#[test]
fn no_moment_is_right_for_a_link() {
    if !two_users("races") {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", RIGHT);
    sandbox.file("victim", "precious");
    directory(sandbox.path.join("outside"), 0, 0o755);
    let open = directory(sandbox.path.join("open"), EVE, 0o777);
    directory(open.join("volume"), EVE, 0o777);
    let script = "while :; do
        for x in json html events 1.stdout; do
            ln -s ../victim link; mv -fT link $x
        done
        for x in logs state tasks locks output; do
            ln -sfT ../../outside away; mv -T volume/$x volume/kept; mv -T away volume/$x
            rm -f volume/$x; mkdir -m 777 volume/hers; mv -T volume/hers volume/$x
            [ -O volume/$x ] && [ \"$(ls -A volume/$x)\" ] && ls -ld volume/$x volume/$x/* >>leaked
            rmdir volume/$x || mv -T volume/$x volume/made.$x
            mv -T volume/kept volume/$x
        done
        for x in json html events 1.stdout; do echo x >plain; mv -fT plain $x; done
        sleep 0.0$(($$ % 3 + 1))
    done 2>/dev/null";
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).current_dir(&open);
    let eve = Running::start(&shell, EVE);
    let options: [&[&str]; 6] = [
        &["--output-json=open/json"],
        &["--report=open/html"],
        &["--metrics=open/json"],
        &["--events=open/events"],
        &["--keep-output=open"],
        &["-l", "open/volume", "--output-json", "--instance-check"],
    ];
    let rounds = match std::env::var_os("TASKER_CRASH") {
        Some(_) => 200,
        None => 20,
    };
    let mut codes = Vec::new();
    for options in options.iter().cycle().take(rounds * options.len()) {
        let ran = sandbox.run(RIGHT, options);
        assert!([0, 32].contains(&ran.code), "{ran:?}");
        codes.push(ran.code);
    }
    drop(eve);
    assert_eq!(sandbox.read("victim"), "precious");
    let outside = fs::read_dir(sandbox.path.join("outside")).expect("readable");
    assert_eq!(outside.count(), 0, "{codes:?}");
    // Nor is anything in a directory of hers.
    assert_eq!(sandbox.read("open/leaked"), "");
    // It was neither too slow nor too fast.
    assert!([0, 32].iter().all(|code| codes.contains(code)), "{codes:?}");
}

/// A directory that was just made is exchanged for one of another user.
#[test]
fn a_new_directory_that_is_taken_away_is_missed() {
    let has_strace = Command::new("strace").arg("-V").output().is_ok();
    if !two_users("a directory that is exchanged") || !has_strace {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", RIGHT);
    let volume = directory(sandbox.path.join("volume"), EVE, 0o777);
    directory(volume.join("hers"), EVE, 0o777);
    let mut shell = Command::new("sh");
    // Not to another directory: that would need rights in what is moved.
    let script = "until mv -T logs kept 2>/dev/null; do :; done; mv -T hers logs";
    shell.args(["-c", script]).current_dir(&volume);
    let mut eve = Running::start(&shell, EVE);
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=mkdirat"]);
    command.args(["-e", "inject=mkdirat:delay_exit=1000000:when=1"]);
    command.arg(env!("CARGO_BIN_EXE_tasker"));
    command.args(["-r", "-q", "-l", "volume", "tasks.txt"]);
    command.current_dir(&sandbox.path).stdin(Stdio::null());
    let ran = Ran::from(command.output().expect("strace runs"));
    assert_eq!(ran.code, 32, "{ran:?}");
    assert!(eve.0.wait().expect("it ends").success());
    let why = format!("it belongs to another user (id {EVE})");
    assert!(ran.stderr.contains(&why), "{ran:?}");
    assert_eq!(mode(volume.join("logs")), 0o777);
    let logs = fs::read_dir(volume.join("logs")).expect("readable");
    assert_eq!(logs.count(), 0);
}

/// In a directory that everyone can write, whoever made the file decides who reads it.
#[test]
fn no_file_that_another_user_has_put_there_gets_results() {
    if !two_users("no_file_that_another_user_has_put_there_gets_results") {
        return;
    }
    let sandbox = sandbox_of(0);
    let shared = directory(sandbox.path.join("shared"), 0, 0o1777);
    sandbox.file("tasks.txt", RIGHT);
    let put = |name: &str| {
        let path = shared.join(name);
        fs::write(&path, "").expect("a file");
        chown(&path, Some(EVE), Some(EVE)).expect("chown");
        set_mode(&path, 0o666);
        path
    };
    // One that is replaced is private.
    let json = put("o.json");
    let option = format!("--output-json={}", json.display());
    assert_ok(&sandbox.output(&["-r", "-q", &option, "tasks.txt"]));
    assert_eq!(
        (mode(&json), fs::metadata(&json).expect("it").gid()),
        (0o600, 0)
    );
    // One that grows, and a FIFO, are refused.
    put("events");
    let pipe = shared.join("pipe");
    fifo(&pipe);
    chown(&pipe, Some(EVE), Some(EVE)).expect("chown");
    for option in [
        "--events=shared/events",
        "--events=shared/pipe",
        "--output-json=shared/pipe",
        "--report=shared/pipe",
    ] {
        let ran = sandbox.output(&["-r", "-q", option, "tasks.txt"]);
        assert_eq!(ran.code, 32, "{option}: {ran:?}");
        let told = ["belongs to another user", "no process reads it"];
        assert!(
            told.iter().any(|text| ran.stderr.contains(text)),
            "{option}: {ran:?}"
        );
    }
    assert_eq!(sandbox.read("effects"), "x\n", "nothing ran");
    // In a directory of its own a user says who reads.
    let theirs = directory(sandbox.path.join("theirs"), ANN, 0o755);
    let json = theirs.join("o.json");
    fs::write(&json, "").expect("a file");
    chown(&json, Some(ANN), Some(ANN)).expect("chown");
    set_mode(&json, 0o640);
    let option = format!("--output-json={}", json.display());
    assert_ok(&sandbox.output(&["-r", "-q", &option, "tasks.txt"]));
    assert_eq!(
        (mode(&json), fs::metadata(&json).expect("it").gid()),
        (0o640, ANN)
    );
}

/// A journal that somebody made huge is read no further than it was written.
#[test]
fn a_huge_journal_holds_nobody_up() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", WRONG);
    assert_eq!(sandbox.output(&["-r", "-q", "tasks.txt"]).code, 1);
    for name in ["d.journal", &format!("{}.journal", run_id(&sandbox))] {
        let path = sandbox.path.join("TASKER/state").join(name);
        let file = File::options().append(true).create(true).open(path);
        let file = file.expect("the journal");
        // Of a size that no memory and no patience has.
        if file.set_len(1 << 42).is_err() {
            return skipped(
                "a_huge_journal_holds_nobody_up",
                "the file system has a limit",
            );
        }
    }
    for options in [&["--status"][..], &["--show-recovery-info", "tasks.txt"]] {
        let ran = sandbox.output(options);
        assert!(ran.code == 0 || ran.code == 12, "{ran:?}");
    }
    sandbox.file("fine", "");
    let ran = sandbox.output(&["-r", "-q", "--auto-recovery", "tasks.txt"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(sandbox.read("effects"), "x\nx\n");
}

/// What root reads is told to nobody because somebody else's file names it.
#[test]
fn a_look_at_anothers_file_asks_dns_for_nothing_that_stands_in_a_file() {
    if !two_users("a_look_at_anothers_file_asks_dns_for_nothing_that_stands_in_a_file") {
        return;
    }
    let sandbox = sandbox_of(0);
    sandbox.file("token", "hvs-token-of-root\n");
    set_mode(sandbox.path.join("token"), 0o600);
    let tasks = "task=1\ntype=parallel\nhostnames=file:token,web.invalid\nexec=ssh\ncommand=true\n";
    let path = sandbox.file("tasks.txt", tasks);
    let asked =
        |ran: &Ran| ran.stdout.contains("hvs-token-of-root") || ran.stderr.contains("resolv");
    let own = sandbox.output(&["tasks.txt"]);
    assert!(asked(&own), "{own:?}");
    chown(&path, Some(EVE), Some(EVE)).expect("chown");
    let ran = sandbox.output(&["tasks.txt"]);
    let message = "stands in a host file that somebody else's task file names";
    assert!(ran.stderr.contains(message), "{ran:?}");
    let summary: Vec<&str> = ran.stdout.lines().filter(|l| l.contains("DNS")).collect();
    assert!(
        !summary
            .iter()
            .any(|line| line.contains("hvs-token-of-root")),
        "{ran:?}"
    );
}
