//! Resuming a run that failed or was interrupted (SPEC §6.4, §3.7).

mod support;

use std::process::{Command, Stdio};
use support::neutral::neutral;
use support::{Ran, Sandbox, finish, run_of, signal, wait_for};

/// Runs `tasks.txt` again without changing it.
fn run_again(sandbox: &Sandbox, options: &[&str]) -> Ran {
    let mut arguments = options.to_vec();
    arguments.push("tasks.txt");
    sandbox.output(&arguments)
}

fn resume(sandbox: &Sandbox) -> Ran {
    run_again(sandbox, &["-r", "--resume"])
}

/// A shell task that records in `effects` that it ran, then does the rest.
fn recording_task(id: u32, rest: &str) -> String {
    format!("task={id}\nexec=shell\ncommand=echo {id} >>effects; {rest}\n")
}

#[test]
fn results_are_restored_and_the_task_that_stopped_runs_again() {
    let sandbox = Sandbox::new();
    let text = recording_task(1, "echo from one")
        + &recording_task(2, "test -e fine && echo got @1_stdout@")
        + &recording_task(
            3,
            "echo @1_stdout@ @2_stdout@ @1_attempts@ @2_attempts@ >sum",
        );
    let first = sandbox.run(&text, &[]);
    assert_eq!(first.code, 1);
    assert_eq!(sandbox.journals().len(), 1);
    sandbox.file("fine", "");
    let second = sandbox.type_in(&first.advice());
    assert_eq!(second.code, 0, "{second:?}");
    assert_eq!(sandbox.read("effects"), "1\n2\n2\n3\n");
    assert_eq!(sandbox.read("sum"), "from one got from one 1 1\n");
    assert!(sandbox.journals().is_empty(), "it is removed on success");
    assert!(second.stdout.starts_with("Resuming run "), "{second:?}");
    let log = sandbox.log();
    assert!(
        log.contains("Resuming run ") && log.contains("Restored task 1: ok"),
        "{log}"
    );
    assert_eq!(sandbox.steps(), "1 2 3");
    let third = resume(&sandbox);
    assert_eq!(third.code, 12, "{third:?}");
    assert!(
        third
            .stderr
            .contains("there is no interrupted or failed run of tasks.txt"),
        "{third:?}"
    );
}

#[test]
fn only_subtasks_that_did_not_succeed_run_again() {
    let sandbox = Sandbox::new();
    let text = "task=1\ntype=parallel\nhostnames=h[1-6]\nexec=shell\nmax_parallel=2\n\
        command=echo @hostname@ >>effects; test -e fine || test @hostname@ != h3 -a @hostname@ != h5\n\
        task=2\ntype=parallel\ntasks=3,4\n"
        .to_string()
        + &recording_task(3, "true")
        + &recording_task(4, "test -e better")
        + &recording_task(5, "echo @1_ok_hosts@ @1_total_count@ @2_success_count@ >sum");
    assert_eq!(sandbox.run(&text, &[]).code, 10);
    sandbox.file("fine", "");
    sandbox.file("effects", "");
    let second = resume(&sandbox);
    assert_eq!(second.code, 10, "{second:?}");
    let mut ran: Vec<String> = sandbox
        .read("effects")
        .lines()
        .map(str::to_string)
        .collect();
    ran.sort();
    assert_eq!(ran, ["3", "4", "h3", "h5"]);
    // Once more: a resumed run can be resumed.
    sandbox.file("better", "");
    sandbox.file("effects", "");
    let third = resume(&sandbox);
    assert_eq!(third.code, 0, "{third:?}");
    assert_eq!(sandbox.read("effects"), "4\n5\n");
    assert_eq!(sandbox.read("sum"), "h[1-6] 6 2\n");
}

#[test]
fn a_block_that_was_killed_continues_with_its_remaining_waves() {
    let sandbox = Sandbox::new();
    let text = "task=1\ntype=parallel\nhostnames=h[1-6]\nexec=shell\nwaves=2,2,rest\nwave_check=9\n\
        command=echo @hostname@ >>effects; test -e fine -o @hostname@ != h4 || { echo x >ready; sleep 60; }\n"
        .to_string()
        + &recording_task(9, "true");
    let child = sandbox.start(&text, &[]);
    wait_for("h4 runs and h3 is over", || {
        sandbox.exists("ready")
            && std::fs::read_to_string(&sandbox.journals()[0])
                .is_ok_and(|j| j.contains("\th3\t1\tok\t"))
    });
    sandbox.kill(child);
    sandbox.file("fine", "");
    sandbox.file("effects", "");
    let ran = resume(&sandbox);
    assert_eq!(ran.code, 0, "{ran:?}");
    let effects = sandbox.read("effects");
    let mut ran: Vec<&str> = effects.lines().collect();
    ran.sort_unstable();
    assert_eq!(
        ran,
        ["9", "h4", "h5", "h6"],
        "the first check is not run again, the second is"
    );
}

#[test]
fn a_loop_continues_with_the_interrupted_iteration() {
    let sandbox = Sandbox::new();
    let text = "task=1\nexec=shell\nnext=loop\nloop=4\n\
        command=echo @loop@ >>effects; test -e fine -o @loop@ != 3 || { echo x >ready; sleep 60; }\n\
        task=2\nexec=shell\ncommand=echo two >>effects\n";
    let child = sandbox.start(text, &[]);
    wait_for("the third iteration", || sandbox.exists("ready"));
    signal(child.id(), "TERM");
    assert_eq!(finish(child).code, 143);
    sandbox.file("fine", "");
    let ran = resume(&sandbox);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(sandbox.read("effects"), "1\n2\n3\n3\n4\ntwo\n");
}

#[test]
fn an_interrupted_retry_keeps_its_attempt_number() {
    let sandbox = Sandbox::new();
    let text = "task=1\nexec=shell\nretry_count=3\nretry_delay=0.01\n\
        command=echo @attempt@ >>effects; test @attempt@ != 1 || exit 1; \
        test -e fine || { echo x >ready; sleep 60; }; test @attempt@ = 3\n";
    let child = sandbox.start(text, &[]);
    wait_for("the second attempt", || sandbox.exists("ready"));
    sandbox.kill(child);
    sandbox.file("fine", "");
    let ran = resume(&sandbox);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(sandbox.read("effects"), "1\n2\n2\n3\n");
}

#[test]
fn a_conditional_continues_with_the_failed_member_at_any_depth() {
    let sandbox = Sandbox::new();
    let text = recording_task(1, "true")
        + "task=2\ntype=conditional\ncondition=@1_success@\nif_true_tasks=3,4,8\nnext=success\n"
        + &recording_task(3, "true")
        + "task=4\ntype=conditional\ncondition=@3_success@\nif_true_tasks=5,6,7\nnext=success\n"
        + &recording_task(5, "true")
        + &recording_task(6, "test -e fine")
        + "next=success\n"
        + &recording_task(7, "true")
        + &recording_task(8, "true")
        + &recording_task(9, "true");
    let first = sandbox.run(&text, &[]);
    assert_eq!(first.code, 10, "{first:?}");
    assert_eq!(sandbox.read("effects"), "1\n3\n5\n6\n");
    sandbox.file("fine", "");
    sandbox.file("effects", "");
    let second = resume(&sandbox);
    assert_eq!(second.code, 0, "{second:?}");
    assert_eq!(sandbox.read("effects"), "6\n7\n8\n9\n");
}

#[test]
fn a_changed_file_or_global_is_refused_by_name_and_secrets_stay_out() {
    let sandbox = Sandbox::new();
    let head = "A=one\nSECRET_B=correct-horse\n";
    let text = format!(
        "{head}{}{}",
        recording_task(1, "echo @A@ is @SECRET_B@"),
        recording_task(2, "test -e fine && echo \"@1_stdout@\" >sum")
    );
    assert_eq!(sandbox.run(&text, &[]).code, 1);
    let journal = std::fs::read_to_string(&sandbox.journals()[0]).expect("a journal");
    assert!(
        !journal.contains("correct-horse") && journal.contains("is \\sSECRET_B;"),
        "{journal}"
    );
    sandbox.file("tasks.txt", text.replace("task=2", "task=3"));
    let ran = resume(&sandbox);
    assert_eq!(ran.code, 12, "{ran:?}");
    assert!(
        ran.stderr
            .contains("the task file has changed: line 6 is different"),
        "{ran:?}"
    );
    sandbox.file("tasks.txt", &text);
    let ran = run_again(&sandbox, &["-r", "--resume", "--set", "A=two"]);
    assert_eq!(ran.code, 12, "{ran:?}");
    let others = "there is no interrupted or failed run of tasks.txt with these globals";
    assert!(ran.stderr.contains(others), "{ran:?}");
    let journal = sandbox.journals().remove(0);
    let id = run_of(&journal);
    let which = format!("note: run {id} is one with other globals: A\n");
    assert!(ran.stderr.contains(&which), "{ran:?}");
    let this = format!("--resume={id}");
    let ran = run_again(&sandbox, &["-r", &this, "--set", "A=two"]);
    assert_eq!(ran.code, 12, "{ran:?}");
    assert!(
        ran.stderr.contains("the global A has a different value"),
        "{ran:?}"
    );
    let ran = run_again(&sandbox, &["-r", "--resume", "-k"]);
    assert_eq!(ran.code, 12, "{ran:?}");
    assert!(ran.stderr.contains("it had no --keep-going"), "{ran:?}");
    assert_eq!(sandbox.read("effects"), "1\n2\n", "nothing ran");
    sandbox.file("fine", "");
    assert_eq!(resume(&sandbox).code, 0);
    assert_eq!(
        sandbox.read("sum"),
        "one is correct-horse\n",
        "the secret is put back"
    );
}

#[test]
fn a_resumed_run_continues_with_the_secrets_of_today() {
    let sandbox = Sandbox::new();
    let text = format!(
        "SECRET_A=$A_NOW\nSECRET_B=$B_NOW\n{}{}",
        recording_task(1, "echo @SECRET_A@ and @SECRET_B@"),
        recording_task(2, "test -e fine && echo \"@1_stdout@\" >sum")
    );
    sandbox.file("tasks.txt", text);
    let run = |options: &[&str], a: &str, b: &str| {
        let mut tasker = sandbox.tasker(&[options, &["tasks.txt"]].concat());
        tasker.env("A_NOW", a).env("B_NOW", b);
        Ran::from(tasker.output().expect("tasker runs"))
    };
    assert_eq!(run(&["-r"], "first-and-long", "other").code, 1);
    sandbox.file("fine", "");
    // Which of the two is longer must not matter.
    let ran = run(&["-r", "--resume"], "new-a", "new-b-is-the-longer-one");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(sandbox.read("sum"), "new-a and new-b-is-the-longer-one\n");
}

#[test]
fn a_journal_of_an_earlier_version_is_ignored_and_named() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(&recording_task(1, "false"), &[]).code, 1);
    let path = sandbox.journals().remove(0);
    let journal = std::fs::read_to_string(&path).expect("a journal");
    let old = journal.replacen("tasker journal 5\n", "tasker journal 4\n", 1);
    assert_ne!(journal, old);
    std::fs::write(&path, &old).expect("written");
    let ran = resume(&sandbox);
    assert_eq!(ran.code, 12, "{ran:?}");
    let why = format!(
        "the journal `{}` is ignored: it was written by an earlier version of tasker",
        path.display()
    );
    assert!(ran.stderr.contains(&why), "{ran:?}");
    assert_eq!(sandbox.read("effects"), "1\n", "nothing ran");
    let ran = run_again(&sandbox, &["-r", "--auto-recovery"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains(&why), "{ran:?}");
    assert_eq!(sandbox.read("effects"), "1\n1\n", "a fresh run");
    assert_eq!(std::fs::read_to_string(&path).expect("a journal"), old);
}

#[test]
fn a_run_that_cannot_be_resumed_is_refused() {
    let sandbox = Sandbox::new();
    let text = recording_task(1, "true") + &recording_task(2, "false") + "next=success\nreturn=7\n";
    assert_eq!(sandbox.run(&text, &[]).code, 7);
    let ran = resume(&sandbox);
    assert_eq!(ran.code, 12, "{ran:?}");
    assert!(
        ran.stderr
            .contains("reached its end, at task 2 with exit code 7"),
        "{ran:?}"
    );
    let home = sandbox.path.display().to_string();
    let line = neutral(&ran.stderr, &home);
    let instead = "; --resume-at RUN:ID goes on at a task with its results; nothing was run";
    assert!(line.contains(instead), "{ran:?}");
    assert_eq!(
        run_again(&sandbox, &["-r", "--resume", "--start-from", "2"]).code,
        2
    );
    let mut piped = sandbox.tasker(&["-r", "--resume", "-"]);
    let piped = piped.stdin(std::fs::File::open(sandbox.path.join("tasks.txt")).expect("a file"));
    assert_eq!(Ran::from(piped.output().expect("tasker runs")).code, 2);
    assert_eq!(sandbox.read("effects"), "1\n2\n");
    let fresh = run_again(&sandbox, &["-r", "--auto-recovery"]);
    assert_eq!(fresh.code, 7, "{fresh:?}");
    assert_eq!(sandbox.read("effects"), "1\n2\n1\n2\n");
}

#[test]
fn an_active_run_is_left_alone() {
    let sandbox = Sandbox::new();
    let text = recording_task(
        1,
        "echo x >ready; while ! test -e fine; do sleep 0.01; done",
    );
    let child = sandbox.start(&text, &[]);
    wait_for("it runs", || sandbox.exists("ready"));
    for option in [
        "--resume",
        "--resume-at=1",
        "--auto-recovery",
        "--finish-only",
    ] {
        let ran = run_again(&sandbox, &["-r", option]);
        assert_eq!(ran.code, 25, "{option}: {ran:?}");
        assert!(ran.stderr.contains("is still active"), "{option}: {ran:?}");
    }
    assert_eq!(sandbox.read("effects"), "1\n", "nothing else ran");
    sandbox.file("fine", "");
    assert_eq!(finish(child).code, 0);
}

#[test]
fn only_the_final_tasks_can_be_run_after_a_kill() {
    let sandbox = Sandbox::new();
    let text = recording_task(1, "echo on")
        + &recording_task(2, "test -e fine || { echo x >ready; sleep 60; }")
        + &recording_task(9, "echo off @1_stdout@ @run_outcome@ >>effects")
        + "finally=true\n";
    let child = sandbox.start(&text, &[]);
    wait_for("the second task", || sandbox.exists("ready"));
    sandbox.kill(child);
    let ran = run_again(&sandbox, &["-r", "--finish-only"]);
    assert_eq!(ran.code, 1, "a run that was cut short has failed: {ran:?}");
    let unknown = "may have been done, and is not run again: 2\n";
    assert!(ran.stdout.contains(unknown), "{ran:?}");
    assert_eq!(sandbox.read("effects"), "1\n2\n9\noff on interrupted\n");
    let twice = run_again(&sandbox, &["-r", "--finish-only"]);
    assert_eq!(twice.code, 12, "{twice:?}");
    assert!(twice.stderr.contains("reached its end"), "{twice:?}");
    sandbox.file("fine", "");
    let rest = resume(&sandbox);
    assert_eq!(rest.code, 12, "it is finished: {rest:?}");
    let rest = sandbox.type_in(&ran.advice());
    assert_eq!(rest.code, 0, "{rest:?}");
    assert_eq!(
        sandbox.read("effects"),
        "1\n2\n9\noff on interrupted\n2\n9\noff on ok\n"
    );
}

#[test]
fn only_final_tasks_that_were_killed_are_run() {
    let sandbox = Sandbox::new();
    let text = recording_task(1, "true")
        + &recording_task(8, "true")
        + "finally=true\n"
        + &recording_task(9, "test -e fine || { echo x >ready; sleep 60; }")
        + "finally=true\n";
    let child = sandbox.start(&text, &[]);
    wait_for("the last final task", || sandbox.exists("ready"));
    sandbox.kill(child);
    sandbox.file("fine", "");
    let ran = resume(&sandbox);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(sandbox.read("effects"), "1\n8\n9\n9\n");
}

#[test]
fn a_spooled_output_is_restored_whole() {
    let sandbox = Sandbox::new();
    let text = recording_task(1, "head -c 3000000 /dev/zero | tr '\\0' x")
        + "task=2\nexec=shell\nstdin=@1_stdout@\ncommand=test -e fine && wc -c >sum\n";
    assert_eq!(sandbox.run(&text, &[]).code, 1);
    sandbox.file("fine", "");
    let ran = resume(&sandbox);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(sandbox.read("sum").trim(), "3000000");
    assert_eq!(sandbox.read("effects"), "1\n");
    let left: Vec<_> = std::fs::read_dir(sandbox.path.join("TASKER/state"))
        .expect("a state directory")
        .flatten()
        .filter(|e| e.path().is_dir() && e.file_name() != "plans")
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn recovery_info_reports_what_is_done_and_what_is_next() {
    let sandbox = Sandbox::new();
    let text = recording_task(1, "true") + &recording_task(2, "false") + "description=the second\n";
    assert_eq!(sandbox.run(&text, &[]).code, 1);
    let ran = run_again(&sandbox, &["--show-recovery-info"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for part in [
        "stopped at task 2 with exit code 1",
        "done: 1 ok",
        "task 1: ok, exit code 0",
        "resumes with task 2: the second",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {ran:?}");
    }
    assert_eq!(sandbox.read("effects"), "1\n2\n", "nothing ran");
}

#[test]
fn a_journal_that_cannot_be_written_ends_the_run_with_32() {
    // First while the first command runs, then with each result.
    let cases = [
        ("EIO", 1, "task 1: ok", "1\n9\n"),
        ("EIO", 4, "task 2: ok", "1\n2\n9\n"),
        ("ENOSPC", 4, "task 2: ok", "1\n2\n9\n"),
    ];
    for (error, when, unrecorded, effects) in cases {
        let sandbox = Sandbox::new();
        let text = recording_task(1, "true")
            + &recording_task(2, "true")
            + &recording_task(3, "true")
            + &recording_task(9, "true")
            + "finally=true\n";
        sandbox.file("tasks.txt", text);
        let mut command = Command::new("strace");
        command.args(["-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e"]);
        command.arg(format!("inject=fdatasync:error={error}:when={when}+"));
        command.args([env!("CARGO_BIN_EXE_tasker"), "-r", "tasks.txt"]);
        command
            .current_dir(&sandbox.path)
            .env("HOME", &sandbox.path)
            .stdin(Stdio::null());
        let ran = Ran::from(command.output().expect("strace runs"));
        assert_eq!(ran.code, 32, "{ran:?}");
        assert!(ran.stderr.contains("cannot write the journal"), "{ran:?}");
        assert!(
            ran.stderr
                .contains(&format!("done but not recorded: {unrecorded}")),
            "{ran:?}"
        );
        assert_eq!(
            sandbox.read("effects"),
            effects,
            "nothing new but the final task"
        );
    }
}

#[test]
fn a_resumed_run_keeps_the_hosts_of_the_first_run() {
    let sandbox = Sandbox::new();
    let text = recording_task(1, "test -e fine")
        + "task=2\ntype=parallel\nhostnames=h[1-9]\nexec=shell\ncommand=echo @hostname@ >>effects\n";
    assert_eq!(sandbox.run(&text, &["--limit", "h[2-3]"]).code, 1);
    sandbox.file("fine", "");
    let ran = run_again(&sandbox, &["-r", "--resume", "--limit", "h4"]);
    assert_eq!(ran.code, 12, "{ran:?}");
    sandbox.file("effects", "");
    assert_eq!(resume(&sandbox).code, 0);
    let effects = sandbox.read("effects");
    let mut ran: Vec<&str> = effects.lines().collect();
    ran.sort_unstable();
    assert_eq!(ran, ["1", "h2", "h3"]);
}

#[test]
fn a_run_in_its_handlers_continues_there() {
    let sandbox = Sandbox::new();
    let text = recording_task(1, "false")
        + "on_failure=90\n"
        + &recording_task(2, "true")
        + &recording_task(90, "true")
        + &recording_task(92, "test -e fine || { echo x >ready; sleep 60; }");
    let child = sandbox.start(&text, &[]);
    wait_for("the last handler", || sandbox.exists("ready"));
    sandbox.kill(child);
    sandbox.file("fine", "");
    let ran = resume(&sandbox);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(sandbox.read("effects"), "1\n90\n92\n92\n");
    assert_eq!(sandbox.steps(), "1 90 92");
}

#[test]
fn a_block_that_had_begun_continues_with_its_hosts() {
    let sandbox = Sandbox::new();
    sandbox.file("hosts", "h1\nh2\n");
    let text = "task=1\ntype=parallel\nhostnames=file:hosts\nexec=shell\n\
        command=echo @hostname@ >>effects; test -e fine -o @hostname@ = h1\n";
    assert_eq!(sandbox.run(text, &[]).code, 10);
    sandbox.file("hosts", "h1\nh3\n");
    sandbox.file("fine", "");
    sandbox.file("effects", "");
    let ran = resume(&sandbox);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(sandbox.read("effects"), "h2\n");
}

#[test]
fn a_success_removes_earlier_journals() {
    let sandbox = Sandbox::new();
    let text = recording_task(1, "true") + &recording_task(2, "test -e fine");
    assert_eq!(sandbox.run(&text, &[]).code, 1);
    sandbox.file("fine", "");
    assert_eq!(sandbox.run(&text, &[]).code, 0);
    assert!(sandbox.journals().is_empty());
    assert_eq!(resume(&sandbox).code, 12);
}

#[test]
fn a_run_that_succeeded_except_for_its_journal_is_not_resumed() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", recording_task(1, "true"));
    let mut command = Command::new("strace");
    command.args(["-qq", "-o", "/dev/null", "-e", "trace=unlinkat", "-e"]);
    command.args([
        "inject=unlinkat:error=EPERM",
        env!("CARGO_BIN_EXE_tasker"),
        "-r",
        "tasks.txt",
    ]);
    command
        .current_dir(&sandbox.path)
        .env("HOME", &sandbox.path)
        .stdin(Stdio::null());
    let ran = Ran::from(command.output().expect("strace runs"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("cannot remove the journal"), "{ran:?}");
    let ran = resume(&sandbox);
    assert_eq!(ran.code, 12, "{ran:?}");
    assert!(ran.stderr.contains("reached its end"), "{ran:?}");
    assert_eq!(sandbox.read("effects"), "1\n");
    let ran = run_again(&sandbox, &["-r", "--auto-recovery"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stdout.contains("--auto-recovery begins afresh: "),
        "{ran:?}"
    );
    assert_eq!(sandbox.read("effects"), "1\n1\n");
    assert!(sandbox.journals().is_empty());
}

/// A run makes no system call twice. The second run, which finds its directories;
/// calls of the loader and the C library before `main` do not count.
#[test]
fn a_run_of_one_task_makes_no_system_call_twice() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", recording_task(1, "/bin/true"));
    let traced = || {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-s", "4000", "-o", "calls", "-e"]);
        command.arg("trace=file,write,getuid,ftruncate,rt_sigaction");
        command.args([env!("CARGO_BIN_EXE_tasker"), "-r", "-q", "tasks.txt"]);
        command.current_dir(&sandbox.path).stdin(Stdio::null());
        command.env("HOME", &sandbox.path);
        let ran = Ran::from(command.output().expect("strace runs"));
        assert_eq!(ran.code, 0, "{ran:?}");
        sandbox.read("calls")
    };
    traced();
    let calls = traced();
    let main = calls.split(' ').next().expect("a process id");
    let (mine, others): (Vec<&str>, Vec<&str>) = calls
        .lines()
        .map(|line| line.split_once(char::is_whitespace).unwrap_or_default())
        .map(|(process, call)| (process == main, call.trim()))
        .fold(Default::default(), |(mut mine, mut others), (own, call)| {
            if own { &mut mine } else { &mut others }.push(call);
            (mine, others)
        });
    let count = |calls: &[&str], parts: &[&str]| {
        let has_all = |call: &&&str| parts.iter().all(|part| call.contains(part));
        calls.iter().filter(has_all).count()
    };
    let once: [&[&str]; 4] = [
        &["readlink(", "/tasks.txt\""],
        &["readlink(", "/proc/self/fd/0"],
        &["getuid("],
        &["write(", "[INFO] Task file"],
    ];
    for parts in once {
        assert_eq!(count(&mine, parts), 1, "{parts:?}\n{calls}");
    }
    assert_eq!(count(&mine, &["mkdir"]), 0, "{calls}");
    // A file without a name is not truncated.
    assert_eq!(count(&mine, &["ftruncate("]), 0, "{calls}");
    // The head of the log is written at once.
    let head = [
        "[INFO] tasker ",
        "[INFO] Task file",
        "[INFO] Plan",
        "[INFO] Task validation",
    ];
    assert_eq!(count(&mine, &head), 1, "{calls}");
    // The journal is not read again: it is created, renamed and removed by name.
    assert_eq!(count(&mine, &["openat(", ".journal\""]), 0, "{calls}");
    // A command resets the ignored signals (SIGUSR1, SIGPIPE, SIGXFSZ), not all
    // signals.
    let resets = |call: &&&str| {
        let new = call
            .strip_prefix("rt_sigaction(")
            .and_then(|c| c.split_once(", "));
        new.is_some_and(|(_, new)| new.starts_with("{sa_handler=SIG_DFL"))
    };
    let until_executed = others
        .iter()
        .take_while(|call| !call.starts_with("execve("));
    let resets = until_executed.filter(resets).count();
    assert!((3..=6).contains(&resets), "{resets}\n{calls}");
}
