//! One instance at a time (SPEC §6.4), and `--splay`.

mod support;

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command};
use support::{Ran, Sandbox, finish, signal, wait_for};

/// Runs until the file `go` exists; `began` records that it runs.
const HOLDS: &str =
    "task=1\nexec=shell\ncommand=echo x >> began; while [ ! -e go ]; do sleep 0.01; done\n";

/// Starts a run that holds the lock, and waits until it does.
fn holder(sandbox: &Sandbox) -> Child {
    let child = sandbox.start(HOLDS, &["--instance-check"]);
    wait_for("the first instance", || sandbox.exists("began"));
    child
}

/// Lets the holder end.
fn release(sandbox: &Sandbox, holder: Child) {
    sandbox.file("go", "");
    assert_eq!(finish(holder).code, 0);
}

/// The names of the lock files.
fn locks(sandbox: &Sandbox) -> Vec<String> {
    let entries = std::fs::read_dir(sandbox.path.join("TASKER/locks"));
    let names = entries.into_iter().flatten().flatten();
    let names = names.map(|e| e.file_name().to_string_lossy().into_owned());
    names.collect()
}

fn from_stdin(sandbox: &Sandbox, text: &str) -> Child {
    let file = File::open(sandbox.file("stdin.txt", text)).expect("the text");
    let mut tasker = sandbox.tasker(&["-r", "--instance-check", "-"]);
    tasker.stdin(file).spawn().expect("tasker starts")
}

fn tasker(sandbox: &Sandbox, options: &[&str]) -> Ran {
    let mut arguments = vec!["-r"];
    arguments.extend(options);
    arguments.push("tasks.txt");
    sandbox.output(&arguments)
}

#[test]
fn a_second_instance_is_refused_with_the_holder() {
    let sandbox = Sandbox::new();
    let first = holder(&sandbox);
    let ran = tasker(&sandbox, &["--instance-check"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (25, ""), "{ran:?}");
    let message = format!(
        "another instance of this run is active: process {} on ",
        first.id()
    );
    assert!(
        ran.stderr.contains(&message) && ran.stderr.contains(", started 20"),
        "{ran:?}"
    );
    let ran = tasker(&sandbox, &["--lock-skip"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (0, "", "")
    );
    let ran = tasker(&sandbox, &["--lock-wait=50ms"]);
    assert_eq!(ran.code, 25, "{ran:?}");
    assert_eq!(sandbox.read("began").lines().count(), 1, "nothing else ran");
    release(&sandbox, first);
    assert_eq!(
        tasker(&sandbox, &["--instance-check"]).code,
        0,
        "it is free again"
    );
}

#[test]
fn a_job_is_the_path_and_what_the_command_line_gives() {
    let sandbox = Sandbox::new();
    let first = holder(&sandbox);
    let text = "DATE=$TODAY\nX=1\ntask=1\nexec=local\ncommand=true @X@ @DATE@\n";
    sandbox.file("tasks.txt", text);
    sandbox.file("other.txt", text);
    std::os::unix::fs::symlink("tasks.txt", sandbox.path.join("link.txt")).expect("a link");
    let run = |file: &str, options: &[&str]| {
        let mut arguments = vec!["-r", "--instance-check"];
        arguments.extend(options);
        arguments.push(file);
        let mut tasker = sandbox.tasker(&arguments);
        tasker.env("TODAY", "friday");
        Ran::from(tasker.output().expect("tasker runs")).code
    };
    // Neither an edited file, another date nor a link leads past the lock.
    assert_eq!(run("tasks.txt", &[]), 25);
    assert_eq!(run("./link.txt", &[]), 25);
    assert_eq!(run("link.txt", &["--set", "X=2"]), 0);
    assert_eq!(run("tasks.txt", &["--set", "X=$TODAY"]), 0);
    assert_eq!(run("other.txt", &[]), 0);
    release(&sandbox, first);
    assert_eq!(run("link.txt", &[]), 0);
    assert_eq!(locks(&sandbox), [""; 0], "each is removed at the end");
}

#[test]
fn standard_input_is_a_job_by_its_text() {
    let sandbox = Sandbox::new();
    let first = from_stdin(&sandbox, HOLDS);
    wait_for("the first instance", || sandbox.exists("began"));
    assert_eq!(finish(from_stdin(&sandbox, HOLDS)).code, 25);
    let other = from_stdin(&sandbox, "task=1\nexec=local\ncommand=true\n");
    assert_eq!(finish(other).code, 0);
    release(&sandbox, first);
}

#[test]
fn force_instance_runs_anyway_with_a_warning() {
    let sandbox = Sandbox::new();
    let first = holder(&sandbox);
    let second = sandbox.start(HOLDS, &["--force-instance"]);
    wait_for("both", || sandbox.read("began").lines().count() == 2);
    release(&sandbox, first);
    let ran = finish(second);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stderr.contains("--force-instance runs anyway"),
        "{ran:?}"
    );
}

#[test]
fn a_waiting_instance_runs_after_the_first() {
    let sandbox = Sandbox::new();
    let first = holder(&sandbox);
    let second = sandbox.start(HOLDS, &["--lock-wait=60"]);
    release(&sandbox, first);
    let ran = finish(second);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(sandbox.read("began").lines().count(), 2);
}

#[test]
fn the_lock_is_free_after_sigkill_and_no_command_holds_it() {
    let sandbox = Sandbox::new();
    // The process that the command leaves behind outlives the run and must not hold
    // the lock.
    let text = "task=1\nexec=shell\ncommand=setsid -f sleep 20 </dev/null >/dev/null 2>&1; echo x >> began; while [ ! -e go ]; do sleep 0.01; done\n";
    let mut child = sandbox.start(text, &["--instance-check"]);
    wait_for("the run", || sandbox.exists("began"));
    child.kill().expect("it runs");
    child.wait().expect("it ended");
    sandbox.file("go", "");
    // The guardian lets go of it once the command has ended.
    let ran = tasker(&sandbox, &["--lock-wait=15s"]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn a_signal_ends_the_wait_for_the_lock_and_the_splay() {
    let sandbox = Sandbox::new();
    let first = holder(&sandbox);
    for option in ["--lock-wait=300", "--splay=24h"] {
        let waiting = sandbox.start(HOLDS, &[option]);
        let blocked = || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", waiting.id()));
            let status = status.unwrap_or_default();
            // From here on it handles signals itself.
            status
                .lines()
                .any(|l| l.starts_with("SigBlk:") && !l.ends_with("0000000000000000"))
                && status
                    .lines()
                    .any(|l| l.starts_with("Threads:") && !l.ends_with("\t1"))
        };
        wait_for("the wait", blocked);
        signal(waiting.id(), "TERM");
        let ran = finish(waiting);
        assert_eq!(ran.code, 143, "{ran:?}");
        assert!(
            ran.stderr.contains("ended by SIGTERM; nothing was run"),
            "{ran:?}"
        );
    }
    assert_eq!(sandbox.read("began").lines().count(), 1);
    release(&sandbox, first);
}

#[test]
fn one_of_twenty_instances_runs() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", HOLDS);
    let start = |_| {
        sandbox
            .tasker(&["-r", "--instance-check", "tasks.txt"])
            .spawn()
    };
    let all: Vec<Child> = (0..20).map(start).map(|c| c.expect("it starts")).collect();
    // The nineteen end by themselves while the first is still running.
    let ended = |child: &Child| {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id()));
        stat.is_ok_and(|s| s.contains(") Z "))
    };
    wait_for("nineteen refusals", || {
        all.iter().filter(|c| ended(c)).count() == 19
    });
    sandbox.file("go", "");
    let mut codes: Vec<i32> = all.into_iter().map(|c| finish(c).code).collect();
    codes.sort_unstable();
    assert_eq!(codes[0], 0);
    assert_eq!(codes[1..], [25; 19]);
    assert_eq!(sandbox.read("began").lines().count(), 1);
}

#[test]
fn resuming_an_active_run_respects_its_lock() {
    let sandbox = Sandbox::new();
    let first = holder(&sandbox);
    let ran = tasker(&sandbox, &["--auto-recovery", "--lock-skip"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (0, "", "")
    );
    let ran = tasker(&sandbox, &["--auto-recovery", "--instance-check"]);
    assert_eq!(ran.code, 25, "{ran:?}");
    let second = sandbox.start(HOLDS, &["--auto-recovery", "--lock-wait=60"]);
    release(&sandbox, first);
    let ran = finish(second);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(sandbox.read("began").lines().count(), 2, "it began afresh");
}

/// A file with a region, which the environment can set.
const REGIONS: &str = "REGION=${WHERE:-eu}\ntask=1\nexec=shell\ncommand=echo @REGION@ >> done\n";

/// An invocation with `--auto-recovery` that can run in another directory.
fn recovering(sandbox: &Sandbox, options: &[&str], file: impl AsRef<Path>) -> Command {
    let mut arguments = vec!["-r".to_string(), "--auto-recovery".into()];
    arguments.extend(options.iter().map(|o| o.to_string()));
    arguments.push(file.as_ref().display().to_string());
    sandbox.tasker(&arguments)
}

fn code(mut tasker: Command) -> i32 {
    Ran::from(tasker.output().expect("tasker runs")).code
}

/// Starts an instance that holds the lock of its work and runs nothing yet.
fn holding(sandbox: &Sandbox, mut tasker: Command) -> Child {
    let child = tasker.spawn().expect("tasker starts");
    let name = format!("process {} on ", child.id());
    wait_for("the lock of the work", || {
        let mut names = locks(sandbox).into_iter();
        names.any(|lock| {
            sandbox
                .read(&format!("TASKER/locks/{lock}"))
                .starts_with(&name)
        })
    });
    child
}

fn stop(child: Child) {
    signal(child.id(), "TERM");
    let ran = finish(child);
    assert_eq!(ran.code, 143, "{ran:?}");
}

const LONG: &str = "--splay=24h";

#[test]
fn works_of_one_file_do_not_block_each_other() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", REGIONS);
    let run = |options: &[&str]| recovering(&sandbox, options, "tasks.txt");
    let eu = holding(&sandbox, run(&[LONG]));
    let us = holding(&sandbox, run(&[LONG, "--set", "REGION=us"]));
    assert_eq!(code(run(&[])), 25);
    assert_eq!(code(run(&["--set", "REGION=eu"])), 25, "the same value");
    assert_eq!(code(run(&["--set", "REGION=us"])), 25);
    assert_eq!(code(run(&["--set", "REGION=jp"])), 0);
    let in_region = |region: &str| {
        let mut tasker = run(&[]);
        tasker.env("WHERE", region);
        code(tasker)
    };
    assert_eq!(in_region("us"), 25);
    assert_eq!(in_region("br"), 0);
    assert_eq!(sandbox.read("done"), "jp\nbr\n");
    stop(eu);
    stop(us);
    assert_eq!(locks(&sandbox), [""; 0]);
}

#[test]
fn the_lock_of_a_work_is_taken_without_an_option_and_cannot_be_forced() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", REGIONS);
    let run = |options: &[&str]| recovering(&sandbox, options, "tasks.txt");
    let first = holding(&sandbox, run(&[LONG]));
    for options in [&[][..], &["--force-instance"], &["--lock-wait=50ms"]] {
        let ran = Ran::from(run(options).output().expect("tasker runs"));
        let holder = format!("is active: process {} on ", first.id());
        assert_eq!(ran.code, 25, "{options:?} {ran:?}");
        assert!(ran.stderr.contains(&holder), "{options:?} {ran:?}");
    }
    for option in ["--resume", "--finish-only"] {
        assert_eq!(tasker(&sandbox, &[option]).code, 25, "{option}");
    }
    let skipped = tasker(&sandbox, &["--auto-recovery", "--lock-skip"]);
    assert_eq!(
        (
            skipped.code,
            skipped.stdout.as_str(),
            skipped.stderr.as_str()
        ),
        (0, "", "")
    );
    // It is no matter of runs that continue none.
    assert_eq!(tasker(&sandbox, &["--instance-check"]).code, 0);
    let waiting = run(&["--lock-wait=60"]).spawn().expect("tasker starts");
    stop(first);
    assert_eq!(finish(waiting).code, 0);
    assert_eq!(sandbox.read("done").lines().count(), 2);
}

#[test]
fn a_work_goes_by_the_path_as_it_was_named() {
    let sandbox = Sandbox::new();
    sandbox.file("real/tasks.txt", REGIONS);
    std::fs::create_dir(sandbox.path.join("real/sub")).expect("a directory");
    let (real, link) = (sandbox.path.join("real"), sandbox.path.join("link"));
    std::os::unix::fs::symlink("real", &link).expect("a link");
    // In the real directory, with this `$PWD`.
    let run = |named: &Path, options: &[&str], file: &str| {
        let mut tasker = recovering(&sandbox, options, file);
        tasker.current_dir(&real).env("PWD", named);
        tasker
    };
    let by_link = holding(&sandbox, run(&link, &[LONG], "tasks.txt"));
    let absolute = |directory: &Path| code(recovering(&sandbox, &[], directory.join("tasks.txt")));
    assert_eq!(absolute(&link), 25);
    assert_eq!(absolute(&real), 0);
    assert_eq!(code(run(&link, &[], "./sub/../tasks.txt")), 25);
    // What names another directory, or none, does not count.
    for elsewhere in [&sandbox.path, Path::new("/nowhere"), Path::new("")] {
        assert_eq!(code(run(elsewhere, &[], "tasks.txt")), 0, "{elsewhere:?}");
    }
    stop(by_link);
}

#[test]
fn a_stale_lock_is_taken_and_a_lost_one_spares_that_of_the_next() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", REGIONS);
    let run = |options: &[&str]| recovering(&sandbox, options, "tasks.txt");
    let mut killed = holding(&sandbox, run(&[LONG]));
    let lock = format!("TASKER/locks/{}", locks(&sandbox).remove(0));
    killed.kill().expect("it runs");
    killed.wait().expect("it ended");
    assert!(sandbox.exists(&lock));
    // A guardian that was only just begun lets go of the lock a moment later.
    let first = holding(&sandbox, run(&[LONG, "--lock-wait=20s"]));
    // If someone removes the file, nobody finds the lock any more.
    std::fs::remove_file(sandbox.path.join(&lock)).expect("the lock's file");
    let second = holding(&sandbox, run(&[LONG]));
    stop(first);
    assert!(sandbox.exists(&lock));
    assert_eq!(code(run(&[])), 25);
    stop(second);
    assert_eq!(locks(&sandbox), [""; 0]);
}

/// One that takes the lock while another removes its file must not hold a lock that
/// nobody sees.
#[test]
fn two_never_hold_the_lock_of_a_work_at_once() {
    let sandbox = Sandbox::new();
    let text = "task=1\nexec=shell\ncommand=mkdir held && rmdir held || echo x >> both\n";
    sandbox.file("tasks.txt", text);
    let work_fifty_times = || {
        let mut done = 0;
        while done < 50 {
            match code(recovering(&sandbox, &["-q"], "tasks.txt")) {
                0 => done += 1,
                code => assert_eq!(code, 25),
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work_fifty_times);
        scope.spawn(work_fifty_times);
    });
    assert!(!sandbox.exists("both"));
    assert_eq!(locks(&sandbox), [""; 0]);
}

/// The guardian holds the lock until the last command of a killed run has ended.
#[test]
fn the_lock_outlives_tasker_until_its_commands_have_ended() {
    let sandbox = Sandbox::new();
    sandbox.file("tasker.conf", "kill_after=3\n");
    // It ignores SIGTERM, and is killed only after that time.
    let text = "task=1\nexec=shell\n\
                command=trap '' TERM; echo x >> began; [ $(wc -l < began) -gt 1 ] || exec sleep 7600.5\n";
    let options = [
        "--config=tasker.conf",
        "--auto-recovery",
        "--instance-check",
    ];
    let mut first = sandbox.start(text, &options);
    wait_for("the run", || sandbox.exists("began"));
    first.kill().expect("it runs");
    first.wait().expect("it ended");
    let lock = format!("TASKER/locks/{}", locks(&sandbox).remove(0));
    wait_for("the guardian", || {
        sandbox.read(&lock).contains("it was killed")
    });
    let ran = tasker(&sandbox, &options);
    assert_eq!(ran.code, 25, "{ran:?}");
    let message = format!(
        "another instance of this run is active: process {} on ",
        first.id()
    );
    assert!(ran.stderr.contains(&message), "{ran:?}");
    let message = "; it was killed, and of its commands still run: process ";
    assert!(ran.stderr.contains(message), "{ran:?}");
    assert!(ran.stderr.contains("(`sleep 7600.5`)"), "{ran:?}");
    let ran = tasker(&sandbox, &[&options[..], &["--lock-wait=20s"]].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("Resuming run"), "{ran:?}");
    assert!(support::processes_with("7600.5").is_empty());
    assert_eq!(sandbox.read("began"), "x\nx\n");
}

/// Takes the lock of a record as any process can, and keeps it.
fn hold_record(sandbox: &Sandbox, name: &str) -> File {
    let path = sandbox.file(name, "");
    for directory in [path.parent(), path.parent().and_then(Path::parent)] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(directory.expect("a parent"), mode).expect("the mode");
    }
    let file = File::options().append(true).open(path).expect("the record");
    file.lock().expect("the lock");
    file
}

/// The lock of a record is waited for with a bound, and a signal ends the wait.
#[test]
fn a_record_that_stays_locked_is_written_without_its_lock() {
    for signalled in [false, true] {
        let sandbox = Sandbox::new();
        let record = "TASKER/logs/project_night_summary.log";
        let held = hold_record(&sandbox, record);
        let child = sandbox.start(
            "task=1\nexec=local\ncommand=touch ran\n",
            &["--project=night"],
        );
        wait_for("the command", || sandbox.exists("ran"));
        if signalled {
            // It ended, or waits for its turn at the end: the signal changes no outcome.
            wait_for("the end", || sandbox.log().contains("Run ended: "));
            signal(child.id(), "TERM");
        }
        let ran = finish(child);
        assert_eq!(ran.code, 0, "{ran:?}");
        let message = "project_night_summary.log` stays locked by another process; it is written \
                       without the lock";
        assert!(ran.stderr.contains(message), "{ran:?}");
        assert!(sandbox.read(record).contains("tasks.txt"), "{ran:?}");
        drop(held);
    }
}

/// Whatever tasker waits for, the third signal is the end.
#[test]
fn the_third_signal_ends_tasker_though_nobody_reads_what_it_prints() {
    let sandbox = Sandbox::new();
    let tasks = "task=1\nexec=shell\ncommand=touch began; seq 100000; sleep 0.1\n\
                 task=2\nexec=shell\ncommand=seq 100000\n";
    let mut child = sandbox.start(tasks, &["--debug"]);
    wait_for("the command", || sandbox.exists("began"));
    let mut ended = None;
    for _ in 0..50 {
        ended = child.try_wait().expect("its state");
        if ended.is_some() {
            break;
        }
        signal(child.id(), "INT");
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    assert_eq!(ended.and_then(|status| status.code()), Some(130));
}

/// One signal is enough, as from `timeout` or systemd: after it nobody is waited for who
/// does not read.
#[test]
fn one_signal_ends_tasker_though_nobody_reads_what_it_prints() {
    for (name, code) in [("TERM", 143), ("HUP", 129), ("INT", 130)] {
        let sandbox = Sandbox::new();
        let tasks = "task=1\nexec=local\ncommand=touch began\n\
                     task=2\nexec=shell\ncommand=touch second\n\
                     task=3\nfinally=true\nexec=local\ncommand=touch final\n";
        sandbox.file("tasks.txt", tasks);
        let (unread, mut full) = std::io::pipe().expect("a pipe");
        std::io::Write::write_all(&mut full, &[b'x'; 1 << 16]).expect("room");
        let mut command = sandbox.tasker(&["-r", "tasks.txt"]);
        let mut child = command.stdout(full).spawn().expect("tasker starts");
        wait_for("the log", || sandbox.exists("TASKER/logs"));
        wait_for("the task", || sandbox.log().contains("Executing Task 1"));
        signal(child.id(), name);
        let ended = child.wait().expect("it ends");
        assert_eq!(ended.code(), Some(code), "{name}");
        let log = sandbox.log();
        assert!(
            log.contains("Run ended: ") && sandbox.exists("final"),
            "{log}"
        );
        assert!(!sandbox.exists("second"), "{log}");
        drop(unread);
    }
}
