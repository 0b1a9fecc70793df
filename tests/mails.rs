//! `--mail-once` (SPEC §6.6): what cron mails about a failure that persists, and
//! about its end. What is printed is what is mailed.

mod support;

use std::path::PathBuf;
use support::{Ran, Sandbox};

/// A job on several hosts; those listed in `bad` fail.
const JOB: &str = "task=5\ntype=parallel\nhostnames=web[1-4]\nexec=shell\n\
     command=! grep -qx @hostname@ bad\n";

fn job(sandbox: &Sandbox, bad: &str, options: &[&str]) -> Ran {
    sandbox.file("bad", bad);
    run_quietly(sandbox, JOB, options)
}

fn run_quietly(sandbox: &Sandbox, text: &str, options: &[&str]) -> Ran {
    let mut all = vec!["-q", "--mail-once"];
    all.extend(options);
    sandbox.run(text, &all)
}

/// The files that remember failures.
fn memory_files(sandbox: &Sandbox) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(sandbox.path.join("TASKER/state"));
    let paths = entries.expect("state").flatten().map(|e| e.path());
    let is_memory = |p: &PathBuf| p.display().to_string().contains("/mail_");
    paths.filter(is_memory).collect()
}

/// Replaces times such as in `since HH:MM`.
fn without_time(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find([':']).filter(|at| *at >= 2) {
        let is_time = rest[at - 2..at].bytes().all(|b| b.is_ascii_digit())
            && rest[at + 1..].len() >= 2
            && rest[at + 1..at + 3].bytes().all(|b| b.is_ascii_digit());
        if is_time {
            out += &rest[..at - 2];
            out += "HH:MM";
            rest = &rest[at + 3..];
        } else {
            out += &rest[..=at];
            rest = &rest[at + 1..];
        }
    }
    out + rest
}

#[track_caller]
fn assert_full_message(ran: &Ran) {
    assert!(
        ran.stderr.contains("tasks.txt:1: task 5 failed ("),
        "{ran:?}"
    );
    assert!(
        ran.stderr
            .contains("tasker: tasks.txt: failed with exit code"),
        "{ran:?}"
    );
    assert!(!ran.stderr.contains("same as"), "{ran:?}");
}

/// One line with this count and this failure, and the path of an existing log.
#[track_caller]
fn assert_one_line(ran: &Ran, times: &str, what: &str) {
    let text = without_time(&ran.stderr);
    let (line, log) = text.split_once("; log: ").expect("a log");
    let expected = format!("tasker: tasks.txt: same as since HH:MM ({times} time): {what}");
    assert_eq!(line, expected, "{ran:?}");
    assert_eq!(log.lines().count(), 1, "{ran:?}");
    assert!(std::fs::metadata(log.trim_end()).is_ok(), "{ran:?}");
}

#[test]
fn the_same_failure_is_one_line_until_the_job_recovers() {
    let sandbox = Sandbox::new();
    let first = job(&sandbox, "web1\nweb2\n", &[]);
    assert_full_message(&first);
    assert_eq!(first.code, 10);
    // The command to continue is for an interactive run, without `-q` and this
    // option.
    let go_on = first.stderr.lines().last().unwrap_or_default();
    assert!(
        go_on.contains("tasker -r ") && !go_on.contains(" -q") && !go_on.contains("--mail-once"),
        "{go_on}"
    );
    let second = job(&sandbox, "web1\nweb2\n", &[]);
    assert_one_line(&second, "2nd", "task 5 failed on web[1-2]");
    assert_eq!((second.code, second.stdout.as_str()), (10, ""));
    assert_one_line(
        &job(&sandbox, "web1\nweb2\n", &[]),
        "3rd",
        "task 5 failed on web[1-2]",
    );
    let recovered = job(&sandbox, "", &[]);
    assert_eq!((recovered.code, recovered.stderr.as_str()), (0, ""));
    assert_eq!(
        without_time(&recovered.stdout),
        "tasker: tasks.txt: recovered at HH:MM after 3 failures since HH:MM\n"
    );
    assert!(memory_files(&sandbox).is_empty());
    // Reported once; the next failure is a new one.
    let still = job(&sandbox, "", &[]);
    assert_eq!((still.stdout.as_str(), still.stderr.as_str()), ("", ""));
    assert_full_message(&job(&sandbox, "web1\nweb2\n", &[]));
    let recovered = job(&sandbox, "", &[]);
    assert!(
        recovered.stdout.contains(" after 1 failure since "),
        "{recovered:?}"
    );
}

#[test]
fn other_hosts_another_outcome_or_another_task_is_another_failure() {
    let sandbox = Sandbox::new();
    assert_full_message(&job(&sandbox, "web1\n", &[]));
    assert_full_message(&job(&sandbox, "web1\nweb3\n", &[]));
    assert_one_line(
        &job(&sandbox, "web1\nweb3\n", &[]),
        "2nd",
        "task 5 failed on web[1,3]",
    );
    let of_task = |what: &str, text: &str| {
        let ran = run_quietly(&sandbox, text, &[]);
        assert!(
            ran.stderr.contains(what) && !ran.stderr.contains("same"),
            "{ran:?}"
        );
        let ran = run_quietly(&sandbox, text, &[]);
        assert!(ran.stderr.contains("(2nd time)"), "{ran:?}");
        ran
    };
    of_task("task 1 failed", "task=1\nexec=local\ncommand=false\n");
    let sleeps = "task=1\nexec=local\ncommand=sleep 60\ntimeout=1\n";
    of_task("task 1 timed out", sleeps);
    of_task("task 2 failed", "task=2\nexec=local\ncommand=false\n");
    let ran = of_task(
        "exit code 14",
        "--max-steps=1\ntask=1\nexec=local\ncommand=true\ntask=2\nexec=local\ncommand=true\n",
    );
    let end = ": exit code 14: stopped after 1 task (--max-steps); log: ";
    assert!(ran.stderr.contains(end), "{ran:?}");
    let ran = of_task(
        "task 3 (Both) failed",
        "task=1\nexec=local\ncommand=false\ntask=2\nexec=local\ncommand=false\n\
         # Both\ntask=3\ntype=parallel\ntasks=1,2\n",
    );
    assert!(
        ran.stderr
            .contains("time): task 3 (Both) failed in 1,2; log: "),
        "{ran:?}"
    );
    // Whether it is handled makes a difference too.
    of_task(
        "exit code 7",
        "task=2\nexec=local\ncommand=false\nreturn=7\n",
    );
}

/// A file that is invalid, empty or missing, or an option that it does not allow.
#[test]
fn the_refusal_of_a_bad_file_is_repeated_in_one_line() {
    let cases: [(i32, &str, &[&str], &str, &str); 3] = [
        (
            20,
            "task=1\nexec=local\ncommand=true\nnexxt=always\n",
            &[],
            "unknown key `nexxt`",
            "the task file is invalid: 1 error, 0 warnings; nothing was run",
        ),
        (
            24,
            "# nothing yet\n",
            &[],
            "the file holds no tasks",
            "the file holds no tasks; nothing was run",
        ),
        (
            2,
            "task=1\nexec=local\ncommand=true\n",
            &["--type=shh"],
            "there is no exec type",
            "--type: there is no exec type `shh`; did you mean `ssh`?; nothing was run",
        ),
    ];
    for (code, text, options, in_full, what) in cases {
        let sandbox = Sandbox::new();
        let first = run_quietly(&sandbox, text, options);
        assert_eq!(first.code, code, "{first:?}");
        assert!(first.stderr.contains(in_full), "{first:?}");
        assert!(!first.stderr.contains("same as"), "{first:?}");
        let second = run_quietly(&sandbox, text, options);
        assert_eq!((second.code, second.stdout.as_str()), (code, ""));
        assert_eq!(
            without_time(&second.stderr),
            format!("tasker: tasks.txt: same as since HH:MM (2nd time): {what}\n")
        );
        // Another mistake is another failure, and a success ends it.
        let other = run_quietly(&sandbox, &format!("{text}oops\n"), &[]);
        assert!(other.stderr.contains("tasks.txt:"), "{other:?}");
        assert!(!other.stderr.contains("same as"), "{other:?}");
    }
}

/// A file that comes and goes: the job is known by its path.
#[test]
fn a_missing_file_is_reported_once_and_recovers() {
    let sandbox = Sandbox::new();
    let run = || {
        let arguments = ["-r", "-q", "--mail-once", "tasks.txt"];
        sandbox.output(&arguments)
    };
    assert!(!run().stderr.contains("same as"));
    let second = run();
    assert_eq!(second.code, 30);
    assert!(
        second.stderr.contains("(2nd time): there is no task file"),
        "{second:?}"
    );
    sandbox.file("tasks.txt", "task=1\nexec=local\ncommand=true\n");
    let recovered = run();
    assert_eq!(
        (recovered.code, recovered.stderr.as_str()),
        (0, ""),
        "{recovered:?}"
    );
    assert!(
        without_time(&recovered.stdout)
            .contains("tasks.txt: recovered at HH:MM after 2 failures since HH:MM"),
        "{recovered:?}"
    );
}

/// What the file says is not known when it cannot be read, when an option is wrong or
/// when the configuration is missing. Such failures end with a success, too.
#[test]
fn a_failure_before_the_file_is_known_ends_with_a_success() {
    let good = "-p PROD\n-l elsewhere\n--exclude=web9\ntask=1\nexec=local\ncommand=true\n\
                task=2\ntype=parallel\nhostnames=web[8-9]\nexec=local\ncommand=true\n";
    let variable = ("TASK_EXECUTOR_TYPE", "zz");
    for (why, options, variable) in [
        ("there is no task file", &[][..], None),
        ("--type: there is no exec type", &["-t", "zz"], None),
        ("TASK_EXECUTOR_TYPE: there is no", &[], Some(variable)),
        ("the configuration", &["--config=absent.conf"], None),
    ] {
        let sandbox = Sandbox::new();
        // Through a link, which leads to the file only while it exists.
        std::fs::create_dir(sandbox.path.join("real")).expect("a directory");
        std::os::unix::fs::symlink("real", sandbox.path.join("link")).expect("a link");
        let file = sandbox.path.join("real/job.txt");
        let run = |options: &[&str], variable: Option<(&str, &str)>| {
            let mut arguments = vec!["-r", "-q", "--mail-once"];
            arguments.extend(options);
            arguments.push("link/job.txt");
            let mut tasker = sandbox.tasker(&arguments);
            tasker.envs(variable);
            Ran::from(tasker.output().expect("tasker runs"))
        };
        let fail = || {
            match why.contains("task file") {
                true => drop(std::fs::remove_file(&file)),
                false => std::fs::write(&file, good).expect("the file"),
            }
            run(options, variable)
        };
        let first = fail();
        assert!(first.code != 0 && first.stderr.contains(why), "{first:?}");
        let second = fail();
        assert!(second.stderr.contains("(2nd time)"), "{why}: {second:?}");
        std::fs::write(&file, good).expect("the file");
        let well = run(&[], None);
        assert_eq!((well.code, well.stderr.as_str()), (0, ""), "{well:?}");
        assert!(well.stdout.contains("after 2 failures"), "{why}: {well:?}");
        let again = fail();
        assert!(!again.stderr.contains("same as"), "{why}: {again:?}");
    }
}

#[test]
fn a_run_that_is_refused_is_a_failure_as_well() {
    let sandbox = Sandbox::new();
    let text = "task=1\nhostname=a.invalid\nexec=ssh\ncommand=true\n";
    let first = run_quietly(&sandbox, text, &[]);
    assert_eq!(first.code, 60);
    assert!(first.stderr.contains("a.invalid: "), "{first:?}");
    let second = run_quietly(&sandbox, text, &[]);
    assert_eq!(second.code, 60);
    let what = "host validation failed (--skip-host-validation runs anyway); nothing was run";
    assert_one_line(&second, "2nd", what);
    // With another host it is another failure.
    let third = run_quietly(&sandbox, &text.replace("a.inv", "b.inv"), &[]);
    assert!(third.stderr.contains("b.invalid: "), "{third:?}");
    sandbox.file(
        "tasker.conf",
        "exec=absent-program\nargv=absent-program {command} {arguments}\n",
    );
    let text = "task=1\nhostname=a\nexec=absent-program\ncommand=true\n";
    let run = || run_quietly(&sandbox, text, &["--config=tasker.conf"]);
    let first = run();
    assert_eq!(first.code, 61, "{first:?}");
    assert!(!first.stderr.contains("same as"), "{first:?}");
    let second = without_time(&run().stderr);
    assert_eq!(
        second,
        "tasker: tasks.txt: same as since HH:MM (2nd time): not in PATH: `absent-program` \
         for exec type `absent-program`; nothing was run\n"
    );
}

#[test]
fn different_jobs_of_one_file_are_kept_apart() {
    let sandbox = Sandbox::new();
    let text = "WHERE=a\nSECRET_A=x\n\
         task=1\nexec=shell\ncommand=test @WHERE@ = good -o -z \"@SECRET_A@\"\n\
         task=2\ntype=parallel\nhostnames=web[8-9]\nexec=local\ncommand=true\n";
    let run = |options: &[&str]| run_quietly(&sandbox, text, options);
    let jobs: [&[&str]; 3] = [&[], &["--set=WHERE=b"], &["--set=SECRET_A=one-secret"]];
    for job in jobs {
        let ran = run(job);
        assert!(
            ran.code == 1 && !ran.stderr.contains("same as"),
            "{job:?} {ran:?}"
        );
    }
    assert_eq!(memory_files(&sandbox).len(), 3);
    for job in jobs {
        let ran = run(job);
        assert!(ran.stderr.contains("(2nd time)"), "{job:?} {ran:?}");
    }
    // A secret may have another value: it counts by its name.
    let rotated = run(&["--set=SECRET_A=other-secret"]);
    assert!(rotated.stderr.contains("(3rd time)"), "{rotated:?}");
    // What a run leaves out, or is counted under, makes it no other job.
    for (options, times) in [
        (["--set=WHERE=b", "--exclude=web9"], "3rd"),
        (["--set=WHERE=b", "--project=night"], "4th"),
        (["--set=WHERE=a", "--set=WHERE=b"], "5th"),
    ] {
        let ran = run(&options);
        assert!(ran.stderr.contains(times), "{options:?} {ran:?}");
    }
    // A success of one job says nothing about another, and the file may have been
    // fixed.
    let good = run(&["--set=WHERE=good"]);
    assert_eq!((good.code, good.stdout.as_str()), (0, ""));
    let mended = text.replace("WHERE=a", "WHERE=good");
    let recovered = run_quietly(&sandbox, &mended, &[]);
    assert!(
        recovered.stdout.contains(" after 2 failures since "),
        "{recovered:?}"
    );
    assert_eq!(memory_files(&sandbox).len(), 2);
    for memory in memory_files(&sandbox) {
        let text = std::fs::read_to_string(memory).expect("readable");
        assert!(!text.contains("secret"), "{text}");
    }
}

/// What the file defines is not known when it is refused, and may differ from night to
/// night; what the command line gives is.
#[test]
fn a_job_is_the_same_whatever_its_file_says() {
    let sandbox = Sandbox::new();
    let good = "DATE=$TODAY\nWHERE=a\ntask=1\nexec=local\ncommand=test -d @WHERE@/@DATE@/..\n";
    let run = |text: &str, today: &str| {
        sandbox.file("tasks.txt", text);
        let options = ["--set", "WHERE=$DIR", "--set", "OTHER=@DATE@ $DIR"];
        let mut arguments = vec!["-r", "-q", "--mail-once", "tasks.txt"];
        arguments.extend(options);
        let mut tasker = sandbox.tasker(&arguments);
        tasker.env("TODAY", today).env("DIR", &sandbox.path);
        Ran::from(tasker.output().expect("tasker runs"))
    };
    std::fs::create_dir(sandbox.path.join("4")).expect("a directory");
    assert_eq!(run("oops\n", "1").code, 20);
    assert_eq!(run(good, "2").code, 1);
    assert!(run(good, "2").stderr.contains("(2nd time)"));
    assert!(run(good, "3").stderr.contains("(3rd time)"));
    let recovered = run(good, "4");
    assert!(
        recovered.stdout.contains(" after 3 failures since "),
        "{recovered:?}"
    );
    assert!(memory_files(&sandbox).is_empty());
}

#[test]
fn a_failure_is_reported_even_without_its_memory() {
    let sandbox = Sandbox::new();
    assert_full_message(&job(&sandbox, "web1\n", &[]));
    let memory = memory_files(&sandbox).remove(0);
    std::fs::write(&memory, "nonsense").expect("written");
    let ran = job(&sandbox, "web1\n", &[]);
    assert_full_message(&ran);
    let damaged = format!(
        "tasker: tasks.txt: reported in full: --mail-once: `{}` is damaged and is replaced\n",
        memory.display()
    );
    assert!(ran.stderr.ends_with(&damaged), "{ran:?}");
    assert_one_line(
        &job(&sandbox, "web1\n", &[]),
        "2nd",
        "task 5 failed on web1",
    );
    std::fs::write(&memory, "nonsense").expect("written");
    let recovered = job(&sandbox, "", &[]);
    assert!(recovered.stdout.contains(" recovered at "), "{recovered:?}");
    assert!(recovered.stdout.contains("is damaged"), "{recovered:?}");
    assert!(memory_files(&sandbox).is_empty());
    // A directory in its place can be neither read nor replaced.
    std::fs::create_dir(&memory).expect("made");
    for _ in 0..2 {
        let ran = job(&sandbox, "web1\n", &[]);
        assert_full_message(&ran);
        let why = format!(
            "reported in full: --mail-once: cannot write `{}`: ",
            memory.display()
        );
        assert!(ran.stderr.contains(&why), "{ran:?}");
    }
    let left = std::fs::read_dir(memory.parent().expect("state")).expect("read");
    let temporary = left
        .flatten()
        .filter(|e| e.path().display().to_string().contains(".tmp"));
    assert_eq!(temporary.count(), 0);
    // There is no log directory.
    let ran = job(&sandbox, "", &["--log-dir=/dev/null/x"]);
    assert_eq!(ran.code, 32);
    assert!(ran.stderr.contains("; nothing was run\n"), "{ran:?}");
    assert!(
        ran.stderr.contains("reported in full: --mail-once: "),
        "{ran:?}"
    );
}

#[test]
fn an_older_failure_has_its_date() {
    let mut sandbox = Sandbox::new();
    sandbox.zone = "UTC".into();
    assert_full_message(&job(&sandbox, "web1\n", &[]));
    let memory = memory_files(&sandbox).remove(0);
    let text = std::fs::read_to_string(&memory).expect("readable");
    let words: Vec<&str> = text.split_whitespace().collect();
    let old = format!("{} {} 1700000000 10\n", words[0], words[1]);
    std::fs::write(&memory, old).expect("written");
    let ran = job(&sandbox, "web1\n", &[]);
    let what = "same as since 2023-11-14 22:13 (11th time): task 5 failed on web1; log: ";
    assert!(ran.stderr.contains(what), "{ran:?}");
    let recovered = job(&sandbox, "", &[]);
    let what = " after 11 failures since 2023-11-14 22:13\n";
    assert!(recovered.stdout.ends_with(what), "{recovered:?}");
}

#[test]
fn mail_once_applies_only_to_quiet_runs() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(JOB, &["--mail-once"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr
            .contains("--mail-once changes what -q prints; add -q"),
        "{ran:?}"
    );
    // In a task file it has an effect only in a quiet run.
    let text = format!("--mail-once\n{JOB}");
    sandbox.file("bad", "web1\n");
    for _ in 0..2 {
        let ran = sandbox.run(&text, &[]);
        assert!(
            ran.code == 10 && ran.stderr.contains("failed with exit code"),
            "{ran:?}"
        );
    }
    assert!(memory_files(&sandbox).is_empty());
    sandbox.run(&text, &["-q"]);
    assert!(sandbox.run(&text, &["-q"]).stderr.contains("(2nd time)"));
}
