//! What the log directory no longer keeps, and what it keeps (SPEC §6.3).

mod support;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use support::{Ran, Sandbox, finish, run_of, wait_for};

const RIGHT: &str = "task=1\nexec=local\ncommand=true\n";
/// An output that is kept in a file, and a failure.
const LONG: &str = "task=1\nexec=shell\ncommand=head -c 3000000 /dev/zero | tr '\\0' x\n\
                    task=2\nexec=shell\nstdin=@1_stdout@\ncommand=test -e fine && wc -c\n";
/// A run that goes on until there is a file `go`.
const WAITS: &str =
    "task=1\nexec=shell\ncommand=echo x >>began; while [ ! -e go ]; do sleep 0.02; done\n";

fn configure(sandbox: &Sandbox, lines: &str) {
    sandbox.file(".config/tasker/tasker.conf", lines);
}

/// A time so many days ago, as names have it.
fn days_ago(sandbox: &Sandbox, days: u32) -> String {
    let mut date = Command::new("date");
    date.env("TZ", &sandbox.zone);
    date.args(["-d", &format!("{days} days ago"), "+%Y%m%d_%H%M%S"]);
    let output = date.output().expect("date runs");
    String::from_utf8_lossy(&output.stdout).trim().into()
}

/// As if it had last been changed so many days ago.
fn age(sandbox: &Sandbox, name: &str, days: u32) {
    let mut touch = Command::new("touch");
    touch.args(["-d", &format!("{days} days ago")]);
    let touched = touch.arg(sandbox.path.join(name)).status();
    assert!(touched.expect("touch runs").success());
}

fn age_locks(sandbox: &Sandbox) {
    let locks = fs::read_dir(sandbox.path.join("TASKER/locks"));
    for entry in locks.expect("locks").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        age(sandbox, &format!("TASKER/locks/{name}"), 900);
    }
}

/// All names below the log directory.
fn names(sandbox: &Sandbox) -> BTreeSet<String> {
    fn add(directory: &Path, prefix: &str, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(directory).expect("a directory").flatten() {
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type().expect("a type").is_dir() {
                add(&entry.path(), &format!("{name}/"), found);
            }
            found.insert(name);
        }
    }
    let mut found = BTreeSet::new();
    add(&sandbox.path.join("TASKER"), "", &mut found);
    found
}

/// Moves the only run of the sandbox that left a journal to another time; its id then.
fn move_run(sandbox: &Sandbox, time: &str) -> String {
    let journal = sandbox.journals().remove(0);
    let run = run_of(&journal);
    let moved = format!("{time}-{}", &run[16..]);
    let state = sandbox.path.join("TASKER/state");
    for entry in fs::read_dir(&state).expect("a directory").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(rest) = name.strip_prefix(&run) {
            fs::rename(entry.path(), state.join(format!("{moved}{rest}"))).expect("renamed");
        }
    }
    moved
}

fn prune(sandbox: &Sandbox) -> Ran {
    sandbox.output(&["--prune"])
}

#[track_caller]
fn assert_clean(ran: &Ran) {
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
}

/// Names that go when logs are kept for 90 days and state for 30: each with a time 91 or
/// 31 days ago.
const GO: &[(u32, &str)] = &[
    (91, "logs/tasker_TIME.log"),
    (91, "logs/tasker_TIME_k7m2x9qa.log"),
    (91, "logs/validation_report_DAY.log"),
    (91, "tasks/deploy_TIME.txt"),
    (91, "tasks/a b_c.d_TIME_k7m2x9qa.txt"),
    (91, "output/deploy_TIME.json"),
    (31, "state/TIME-k7m2x9qa.journal"),
    (31, "state/TIME-k7m2x9qb.0123456789abcdef.journal"),
    (31, "state/TIME-4711.journal"),
    (31, "state/TIME-k7m2x9qc.0123456789abcdef.journal.new"),
    (1, "state/TIME-k7m2x9qd.0123456789abcdef.journal.gone"),
];

/// Names that stay.
const STAY: &[(u32, &str)] = &[
    (89, "logs/tasker_TIME.log"),
    (89, "logs/validation_report_DAY.log"),
    (89, "tasks/deploy_TIME.txt"),
    (89, "output/deploy_TIME.json"),
    (29, "state/TIME-k7m2x9qa.journal"),
    (29, "state/TIME-k7m2x9qc.0123456789abcdef.journal.new"),
    // Not of tasker's own form.
    (900, "logs/project_nightly_summary.log"),
    (900, "logs/project_TIME_summary.log"),
    (900, "logs/tasker_TIME.log.gz"),
    (900, "logs/mine_TIME.log"),
    (900, "logs/deeper/tasker_TIME.log"),
    (900, "tasks/TIME.txt"),
    (900, "tasks/deploy.txt"),
    (900, "tasks/deploy_TIME.sh"),
    (900, "output/deploy_TIME_BIG.json"),
    (900, "state/TIME.journal"),
    (900, "state/my-TIME-k7m2x9qa.journal"),
    (900, "state/notes"),
    (900, "deploy_TIME.txt"),
];

fn plant(sandbox: &Sandbox, planted: &[(u32, &str)]) -> Vec<String> {
    let fill = |(days, name): &(u32, &str)| {
        let time = days_ago(sandbox, *days);
        let name = name.replace("TIME", &time).replace("DAY", &time[..8]);
        sandbox.file(&format!("TASKER/{name}"), "");
        name
    };
    planted.iter().map(fill).collect()
}

#[test]
fn what_is_too_old_by_its_name_goes_with_a_run_and_with_prune() {
    for by_run in [true, false] {
        let sandbox = Sandbox::new();
        configure(&sandbox, "keep_logs=90d\nkeep_state=30d\n");
        assert_eq!(sandbox.run(RIGHT, &["-q"]).code, 0);
        let (go, stay) = (plant(&sandbox, GO), plant(&sandbox, STAY));
        let said = match by_run {
            true => {
                let ran = sandbox.run(RIGHT, &["-q"]);
                assert_eq!(
                    (ran.stdout.as_str(), ran.stderr.as_str()),
                    ("", ""),
                    "{ran:?}"
                );
                sandbox.log()
            }
            false => {
                let ran = prune(&sandbox);
                assert_clean(&ran);
                ran.stdout
            }
        };
        let left = names(&sandbox);
        for name in &go {
            assert!(!left.contains(name), "{name} stays: {said}");
        }
        for name in &stay {
            assert!(left.contains(name), "{name} is gone: {said}");
        }
        let ends = (&go[0]["logs/".len()..], &go[1]["logs/".len()..]);
        let logs = format!("emoved 2 logs, {} to {} (keep_logs=90d)", ends.0, ends.1);
        for part in [&logs, "emoved 5 journals, ", " (keep_state=30d)\n"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let again = prune(&sandbox);
        assert_clean(&again);
        assert!(
            again.stdout.starts_with("nothing to remove from `"),
            "{again:?}"
        );
        assert_eq!(names(&sandbox), left);
    }
}

#[test]
fn by_default_logs_stay_and_the_log_names_an_unfinished_run_that_goes() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(LONG, &["-q"]).code, 1);
    let old = move_run(&sandbox, &days_ago(&sandbox, 31));
    let log = format!("TASKER/logs/tasker_{}.log", days_ago(&sandbox, 5000));
    sandbox.file(&log, "");
    assert!(sandbox.exists(&format!("TASKER/state/{old}/output-0")));
    // Another work does it as well.
    sandbox.file("other.txt", RIGHT);
    let ran = sandbox.output(&["-rq", "other.txt"]);
    assert_eq!(
        (ran.stdout.as_str(), ran.stderr.as_str()),
        ("", ""),
        "{ran:?}"
    );
    let named = format!(
        "[WARN] Removed the unfinished run {old} of {}, which stopped at task 2 with exit code 1 \
         (keep_state=30d)\n",
        sandbox.path.join("tasks.txt").display()
    );
    assert!(sandbox.log().contains(&named), "{}", sandbox.log());
    assert!(sandbox.journals().is_empty() && !sandbox.exists(&format!("TASKER/state/{old}")));
    assert!(sandbox.exists(&log));
    let status = sandbox.output(&["--status"]);
    assert!(status.stdout.starts_with("no run is active"), "{status:?}");
}

#[test]
fn a_run_that_came_to_its_end_goes_without_a_warning_and_a_damaged_one_is_named() {
    let sandbox = Sandbox::new();
    let handled = "task=1\nexec=local\ncommand=false\non_failure=9\ntask=9\nexec=local\n\
                   command=true\nreturn=3\n";
    assert_eq!(sandbox.run(handled, &["-q"]).code, 3);
    move_run(&sandbox, &days_ago(&sandbox, 40));
    let time = days_ago(&sandbox, 41);
    sandbox.file(
        &format!("TASKER/state/{time}-4711.journal"),
        "tasker-journal 1\nx",
    );
    let ran = prune(&sandbox);
    assert_clean(&ran);
    assert!(!ran.stdout.contains("unfinished"), "{ran:?}");
    let damaged = format!("removed run {time}-4711, whose journal cannot be read: ");
    assert!(ran.stdout.contains(&damaged), "{ran:?}");
    assert!(sandbox.journals().is_empty());
}

#[test]
fn what_a_live_run_needs_stays_however_old_its_name_is() {
    let sandbox = Sandbox::new();
    configure(&sandbox, "keep_logs=1d\nkeep_state=1d\n");
    let child = sandbox.start(WAITS, &["--instance-check"]);
    wait_for("the run", || sandbox.exists("began"));
    let live = move_run(&sandbox, "20200101_020304");
    fs::create_dir(sandbox.path.join(format!("TASKER/state/{live}"))).expect("a directory");
    age(&sandbox, &format!("TASKER/state/{live}"), 900);
    for (directory, ending) in [("logs", ".log"), ("tasks", ".txt")] {
        let directory = sandbox.path.join("TASKER").join(directory);
        for entry in fs::read_dir(&directory).expect("a directory").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some((stem, _)) = name
                .split_once("_2")
                .filter(|(stem, _)| *stem != "validation_report")
            {
                let moved = format!("{stem}_20200101_020304{ending}");
                fs::rename(entry.path(), directory.join(moved)).expect("renamed");
            }
        }
    }
    age_locks(&sandbox);
    let before = names(&sandbox);
    assert_eq!(
        before
            .iter()
            .filter(|name| name.contains("20200101_020304"))
            .count(),
        4
    );
    assert_eq!(
        before.iter().filter(|name| name.ends_with(".lock")).count(),
        2
    );
    assert_clean(&prune(&sandbox));
    assert_eq!(names(&sandbox), before);
    sandbox.file("other.txt", RIGHT);
    assert_eq!(sandbox.output(&["-rq", "other.txt"]).code, 0);
    assert!(before.is_subset(&names(&sandbox)));
    // Nobody holds any of it now.
    sandbox.kill(child);
    age_locks(&sandbox);
    assert_clean(&prune(&sandbox));
    let left = names(&sandbox);
    let old = |name: &&String| name.contains("20200101_020304") || name.ends_with(".lock");
    assert_eq!(left.iter().filter(old).collect::<Vec<_>>(), [""; 0]);
}

/// Calls that run nothing leave records, too: every night for a year.
#[test]
fn calls_that_run_nothing_remove_old_records_as_well() {
    let old = [
        "logs/tasker_20200101_020304.log",
        "logs/validation_report_20200101.log",
        "tasks/a_20200101_020304.txt",
        "output/a_20200101_020304.json",
    ];
    let journal = "state/20200101_020304-k7m2x9qa.journal";
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", RIGHT);
    sandbox.file("bad.txt", "task=1\nexec=local\ncommnd=true\n");
    let left = |arguments: &[&str], code: i32, conf: &str| {
        configure(&sandbox, conf);
        let all = old.iter().chain([&journal]);
        all.for_each(|name| drop(sandbox.file(&format!("TASKER/{name}"), "")));
        let ran = sandbox.output(arguments);
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(sandbox.exists(&format!("TASKER/{journal}")), "{ran:?}");
        let names = names(&sandbox);
        old.iter().filter(|name| names.contains(**name)).count()
    };
    let keep = "keep_logs=90d\n";
    for (arguments, code) in [
        (&["-rq", "--output-json", "gone.txt"][..], 30),
        (&["-rq", "bad.txt"], 20),
        (&["--validate-only", "bad.txt"], 20),
        (&["--validate-only", "tasks.txt"], 0),
        (&["-rq", "--expect-hosts=7", "tasks.txt"], 13),
    ] {
        assert_eq!(left(arguments, code, keep), 0, "{arguments:?}");
        assert_eq!(left(arguments, code, ""), old.len(), "{arguments:?}");
    }
    // Looking at the plan is no record.
    assert_eq!(left(&["tasks.txt"], 0, keep), old.len());
    // What a configuration with a mistake says does not count.
    let mistaken = "keep_logs=90d\nnonsense=1\n";
    assert_eq!(left(&["-rq", "tasks.txt"], 20, mistaken), old.len());
}

/// A job that is another one each night does not make every run slower for ever.
#[test]
fn of_what_is_remembered_for_long_only_the_newest_is() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(RIGHT, &["-q"]).code, 0);
    let name = |n: usize| format!("TASKER/state/last_{n:016x}.hosts");
    for n in 0..1003 {
        sandbox.file(&name(n), "");
        sandbox.file(&name(n).replace("last", "mail").replace("hosts", "txt"), "");
    }
    // The older, the higher the number; the last three are too many and too old.
    for n in 900..1003 {
        age(
            &sandbox,
            &name(n),
            31 + u32::try_from(n - 900).expect("small"),
        );
    }
    let count = |begin: &str| {
        let all = names(&sandbox);
        all.iter().filter(|name| name.starts_with(begin)).count()
    };
    let before = (count("state/last_"), count("state/mail_"));
    assert_clean(&prune(&sandbox));
    assert_eq!(count("state/last_"), 1000, "of {}", before.0);
    // None of these is old.
    assert_eq!(count("state/mail_"), before.1);
    assert!(sandbox.exists(&name(950)) && !sandbox.exists(&name(1002)));
}

/// A run as if it were another time; the file system's clock is right.
fn run_at(sandbox: &Sandbox, time: &str, arguments: &[&str]) -> Ran {
    let tasker = sandbox.tasker(arguments);
    let mut later = Command::new("faketime");
    later.args(["--exclude-monotonic", "-f", time]);
    later.arg(tasker.get_program()).args(tasker.get_args());
    later.env_clear().current_dir(&sandbox.path);
    later.env("PATH", "/usr/bin:/bin").env("NO_FAKE_STAT", "1");
    let set = tasker.get_envs();
    later.envs(set.filter_map(|(name, value)| Some((name, value?))));
    Ran::from(later.output().expect("faketime runs"))
}

fn has_faketime() -> bool {
    let is_there = Command::new("faketime").arg("--version").output().is_ok();
    if !is_there {
        eprintln!("skipped: there is no faketime");
    }
    is_there
}

/// One of many machines with one directory believes that it is next year.
#[test]
fn a_clock_that_is_ahead_removes_nothing() {
    if !has_faketime() {
        return;
    }
    let sandbox = Sandbox::new();
    configure(&sandbox, "keep_logs=90d\nkeep_state=30d\n");
    assert_eq!(sandbox.run(LONG, &["-q"]).code, 1);
    sandbox.file("other.txt", RIGHT);
    let before = names(&sandbox);
    assert_clean(&run_at(&sandbox, "+400d", &["-rq", "other.txt"]));
    let pruned = run_at(&sandbox, "+400d", &["--prune"]);
    assert_clean(&pruned);
    assert!(pruned.stdout.starts_with("nothing to remove"), "{pruned:?}");
    let refused = run_at(&sandbox, "+400d", &["-rq", "gone.txt"]);
    assert_eq!(refused.code, 30, "{refused:?}");
    assert!(before.is_subset(&names(&sandbox)));
}

/// Two runs a day, one of which fails, in 120 days: `tests/year.py` does more of them.
#[test]
fn a_third_of_a_year_of_runs_leaves_no_more_than_the_days_that_are_kept() {
    if !has_faketime() {
        return;
    }
    let sandbox = Sandbox::new();
    configure(&sandbox, "keep_logs=30d\nkeep_state=10d\n");
    sandbox.file("tasks.txt", RIGHT);
    sandbox.file("bad.txt", LONG);
    let run = |day: u64, file: &str, code: i32| {
        let mut date = Command::new("date");
        date.args(["-u", "-d", &format!("2026-01-01 + {day} days")]);
        let date = date.arg("+@%F 02:00:00").output().expect("date runs");
        let date = String::from_utf8_lossy(&date.stdout).trim().to_string();
        let ran = run_at(&sandbox, &date, &["-rq", "--output-json", file]);
        assert_eq!(ran.code, code, "{ran:?}");
    };
    let mut counts = Vec::new();
    for day in 0..120 {
        run(day, "tasks.txt", 0);
        run(day, "bad.txt", 1);
        if day % 30 == 29 {
            let names = names(&sandbox);
            let count = |part: &str| names.iter().filter(|name| name.contains(part)).count();
            counts.push([
                count("logs/tasker_"),
                count("logs/validation_"),
                count("tasks/"),
                count("output/"),
                count(".journal"),
                count("/output-0"),
                names.len(),
            ]);
        }
    }
    // The days that are kept, and today.
    assert_eq!(counts[1][..6], [62, 31, 62, 62, 11, 11], "{counts:?}");
    assert!(
        counts[1..].iter().all(|later| *later == counts[1]),
        "{counts:?}"
    );
}

#[test]
fn last_hosts_and_remembered_failures_outlive_the_state_of_their_runs() {
    let sandbox = Sandbox::new();
    configure(&sandbox, "keep_state=1d\n");
    let block = "task=1\ntype=parallel\nhostnames=localhost,127.0.0.1\nexec=shell\n\
                 command=test -e fine || test @HOST@ = localhost\n";
    let block = block.replace(
        "test @HOST@ = localhost",
        "test \"$TASKER_HOSTNAME\" = localhost",
    );
    let options = ["-q", "--mail-once", "--skip-host-validation"];
    assert_ne!(sandbox.run(&block, &options).code, 0);
    let remembered: Vec<String> = names(&sandbox)
        .into_iter()
        .filter(|name| name.starts_with("state/last_") || name.starts_with("state/mail_"))
        .map(|name| format!("TASKER/{name}"))
        .collect();
    assert_eq!(remembered.len(), 2, "{remembered:?}");
    move_run(&sandbox, &days_ago(&sandbox, 399));
    remembered.iter().for_each(|name| age(&sandbox, name, 399));
    assert_clean(&prune(&sandbox));
    assert!(sandbox.journals().is_empty());
    let again = sandbox.run(&block, &[&options[..], &["--limit=last:failed"]].concat());
    assert!(again.stderr.contains("same as since "), "{again:?}");
    assert!(
        sandbox.log().contains("127.0.0.1") && again.code != 0,
        "{again:?}"
    );
    remembered.iter().for_each(|name| age(&sandbox, name, 401));
    assert_clean(&prune(&sandbox));
    assert!(remembered.iter().all(|name| !sandbox.exists(name)));
}

#[test]
fn what_has_no_date_in_its_name_goes_by_its_last_change() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(RIGHT, &["-q"]).code, 0);
    assert_eq!(sandbox.output(&["--show-plan", "tasks.txt"]).code, 0);
    let plan = names(&sandbox)
        .into_iter()
        .find(|name| name.starts_with("state/plans/"));
    let own = [
        &plan.expect("a plan"),
        "locks/job_0123456789abcdef.lock",
        "locks/work_0123456789abcdef.lock",
        "state/.tasker-0123456789abcdef.tmp",
        "output/.tasker-0123456789abcdef.tmp",
    ];
    let others = [
        "locks/mine.lock",
        "state/plans/notes",
        "state/last_night.hosts",
    ];
    let all = own.iter().chain(&others);
    let all: Vec<String> = all.map(|name| format!("TASKER/{name}")).collect();
    all.iter().for_each(|name| drop(sandbox.file(name, "")));
    for (days, left) in [(29, all.len()), (31, others.len())] {
        all.iter().for_each(|name| age(&sandbox, name, days));
        age(&sandbox, "TASKER/state/number", 0);
        assert_clean(&prune(&sandbox));
        assert_eq!(all.iter().filter(|name| sandbox.exists(name)).count(), left);
    }
    age(&sandbox, "TASKER/state/number", 5000);
    assert_clean(&prune(&sandbox));
    assert!(sandbox.exists("TASKER/state/number"));
}

/// Outputs without a journal: a run was killed between the two, or somebody removed it.
#[test]
fn outputs_without_a_journal_go_when_nobody_has_changed_them_for_long() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(LONG, &["-q"]).code, 1);
    let old = move_run(&sandbox, &days_ago(&sandbox, 31));
    fs::remove_file(sandbox.journals().remove(0)).expect("a journal");
    let outputs = format!("TASKER/state/{old}");
    assert_clean(&prune(&sandbox));
    assert!(sandbox.exists(&outputs));
    age(&sandbox, &outputs, 31);
    let ran = prune(&sandbox);
    assert!(
        ran.stdout
            .contains(&format!("removed 1 directory of outputs, {old} ")),
        "{ran:?}"
    );
    assert!(!sandbox.exists(&outputs));
}

#[test]
fn what_is_no_plain_file_of_the_user_is_left_alone_and_named() {
    let sandbox = Sandbox::new();
    configure(&sandbox, "keep_logs=1d\n");
    assert_eq!(sandbox.run(RIGHT, &["-q"]).code, 0);
    let secret = sandbox.file("secret", "mine");
    let place = |name: &str| sandbox.path.join("TASKER").join(name);
    symlink(&secret, place("logs/tasker_20200101_020304.log")).expect("a link");
    fs::create_dir(place("tasks/a_20200101_020304.txt")).expect("a directory");
    let made = Command::new("mkfifo")
        .arg(place("state/20200101_020304-a.journal"))
        .status();
    assert!(made.expect("mkfifo runs").success());
    fs::hard_link(&secret, place("state/20200101_020305-a.journal")).expect("a second name");
    symlink(&sandbox.path, place("state/20200101_020306-a")).expect("a link");
    sandbox.file("TASKER/state/20200101_020306-a.journal", "");
    let before = names(&sandbox);
    let ran = prune(&sandbox);
    assert_eq!(ran.code, 32, "{ran:?}");
    for why in [
        "logs/tasker_20200101_020304.log` is ignored: it is a link",
        "tasks/a_20200101_020304.txt`: Is a directory",
        "state/20200101_020304-a.journal` is ignored: it is not a plain file",
        "state/20200101_020305-a.journal` is ignored: it has 2 names",
        "state/20200101_020306-a`: it is not a directory of yours",
    ] {
        assert!(ran.stderr.contains(why), "{why}: {ran:?}");
    }
    assert_eq!(sandbox.read("secret"), "mine");
    assert_eq!(names(&sandbox).len(), before.len());
    assert_eq!(
        sandbox.run(RIGHT, &["-q"]).code,
        0,
        "a run only warns in its log"
    );
    assert!(
        sandbox.log().contains("[WARN] No longer kept, but `"),
        "{}",
        sandbox.log()
    );
}

#[test]
fn a_file_that_cannot_be_read_or_is_anothers_stays_and_the_others_go() {
    const ANN: u32 = 61_001;
    if !fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
        eprintln!("skipped: only root can become another user");
        return;
    }
    let sandbox = Sandbox::new();
    let home = &sandbox.path;
    for directory in ["", "TASKER", "TASKER/state", "TASKER/logs"] {
        let _ = fs::create_dir(home.join(directory));
        chown(home.join(directory), Some(ANN), Some(ANN)).expect("chown");
        fs::set_permissions(home.join(directory), Permissions::from_mode(0o700)).expect("chmod");
    }
    let plant = |run: &str, owner: u32, mode: u32| {
        let path = sandbox.file(&format!("TASKER/state/{run}.journal"), "");
        chown(&path, Some(owner), Some(owner)).expect("chown");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("chmod");
    };
    plant("20200101_020304-a", ANN, 0o600);
    plant("20200101_020304-b", ANN, 0);
    plant("20200101_020304-c", 0, 0o666);
    plant("20200101_020304-d", ANN, 0o600);
    let tasker = sandbox.tasker(&["--prune"]);
    let mut as_ann = Command::new("setpriv");
    as_ann.args(["--clear-groups", "--reuid=61001", "--regid=61001"]);
    as_ann
        .arg(tasker.get_program())
        .arg("--prune")
        .env_clear()
        .current_dir("/");
    as_ann.envs(
        tasker
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let ran = Ran::from(as_ann.output().expect("setpriv runs"));
    assert_eq!(ran.code, 32, "{ran:?}");
    assert!(
        ran.stderr.contains("020304-b.journal`: Permission denied"),
        "{ran:?}"
    );
    assert!(
        ran.stderr
            .contains("020304-c.journal` is ignored: it belongs to root"),
        "{ran:?}"
    );
    let left: Vec<String> = sandbox.journals().iter().map(|path| run_of(path)).collect();
    assert_eq!(left, ["20200101_020304-b", "20200101_020304-c"]);
}

/// Old runs with outputs, and old logs; how many of each.
fn plant_many(sandbox: &Sandbox, count: usize) {
    for n in 0..count {
        let (day, second) = (n / 60 % 28 + 1, n % 60);
        let time = format!("202001{day:02}_0203{second:02}");
        let run = format!("TASKER/state/{time}-{n}");
        sandbox.file(&format!("{run}.0123456789abcdef.journal"), "");
        sandbox.file(&format!("{run}/output-0"), "x");
        sandbox.file(&format!("TASKER/logs/tasker_{time}_{n}.log"), "");
    }
}

fn old_ones(sandbox: &Sandbox) -> usize {
    names(sandbox)
        .iter()
        .filter(|name| name.contains("202001"))
        .count()
}

#[test]
fn a_kill_at_any_point_leaves_nothing_that_the_next_one_does_not_remove() {
    const COUNT: usize = 60;
    let sandbox = Sandbox::new();
    configure(&sandbox, "keep_logs=1d\n");
    // Stopped after ever more of what it removes; the last time it comes to its end.
    let mut stopped = 0;
    for after in (1..).step_by(7) {
        plant_many(&sandbox, COUNT);
        let tasker = sandbox.tasker(&["--prune"]);
        let mut traced = Command::new("strace");
        traced.args(["-qq", "-o", "/dev/null", "-e"]);
        traced.arg(format!("inject=unlinkat,renameat:signal=KILL:when={after}"));
        traced
            .arg(tasker.get_program())
            .arg("--prune")
            .env_clear()
            .current_dir(&sandbox.path);
        traced.envs(
            tasker
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        traced.stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(status) = traced.status() else {
            eprintln!("skipped: there is no strace");
            return;
        };
        if status.success() {
            assert_eq!(old_ones(&sandbox), 0);
            break;
        }
        stopped += 1;
        assert_ne!(old_ones(&sandbox), 0, "after {after}");
        let status = sandbox.output(&["--status"]);
        assert!(!status.stdout.contains("another run"), "{status:?}");
        assert_clean(&prune(&sandbox));
        assert_eq!(
            old_ones(&sandbox),
            0,
            "after {after}: {:?}",
            names(&sandbox)
        );
    }
    assert!(stopped > 20, "{stopped}");
}

#[test]
fn several_that_remove_at_once_are_in_nobodys_way() {
    const COUNT: usize = 800;
    let sandbox = Sandbox::new();
    configure(&sandbox, "keep_logs=1d\n");
    plant_many(&sandbox, COUNT);
    sandbox.file("tasks.txt", RIGHT);
    let start = |arguments: &[&str]| sandbox.tasker(arguments).spawn().expect("tasker starts");
    let mut children: Vec<_> = (0..3).map(|_| start(&["--prune"])).collect();
    children.extend((0..3).map(|_| start(&["-rq", "tasks.txt"])));
    let ended: Vec<Ran> = children.into_iter().map(finish).collect();
    for ran in &ended {
        assert_clean(ran);
    }
    assert_clean(&prune(&sandbox));
    assert_eq!(old_ones(&sandbox), 0);
    for entry in fs::read_dir(sandbox.path.join("TASKER/logs"))
        .expect("logs")
        .flatten()
    {
        let log = fs::read_to_string(entry.path()).expect("a log");
        assert!(!log.contains("No longer kept, but"), "{log}");
    }
}

#[test]
fn a_run_takes_a_bounded_time_for_it_and_the_next_one_goes_on() {
    let sandbox = Sandbox::new();
    configure(&sandbox, "keep_logs=1d\n");
    // Reading this takes longer than a run takes for it.
    let slow = sandbox.path.join("slow");
    fs::create_dir(&slow).expect("a directory");
    plant_many(&sandbox, 40);
    let tasker = sandbox.tasker(&["-rq", "tasks.txt"]);
    sandbox.file("tasks.txt", RIGHT);
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "-o", "/dev/null", "-e"]);
    traced.arg("inject=unlinkat:delay_enter=200000");
    traced.arg(tasker.get_program()).args(tasker.get_args());
    traced.env_clear().current_dir(&sandbox.path);
    traced.envs(
        tasker
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let Ok(output) = traced.output() else {
        eprintln!("skipped: there is no strace");
        return;
    };
    assert_clean(&Ran::from(output));
    let line = "[INFO] Not all that is no longer kept was removed; the next run goes on\n";
    assert!(sandbox.log().contains(line), "{}", sandbox.log());
    let left = old_ones(&sandbox);
    assert!(left > 60 && left < 160, "{left}");
    assert_eq!(sandbox.run(RIGHT, &["-q"]).code, 0);
    assert_eq!(old_ones(&sandbox), 0);
}

/// On a file system whose directories have a size in bytes, and on one where they have not.
#[test]
fn a_large_directory_is_looked_through_by_some_runs() {
    let sandbox = Sandbox::new();
    let memory = format!("/dev/shm/tasker-test-{}", std::process::id());
    let memory = std::path::PathBuf::from(memory);
    let on_disk = sandbox.path.join("TASKER");
    let places = [
        Some(on_disk),
        fs::create_dir(&memory).is_ok().then_some(memory),
    ];
    for place in places.iter().flatten() {
        configure(
            &sandbox,
            &format!("keep_logs=1d\nlog_dir={}\n", place.display()),
        );
        assert_eq!(sandbox.run(RIGHT, &["-q"]).code, 0);
        let today = days_ago(&sandbox, 0);
        let log = |name: &str| place.join(format!("logs/tasker_{name}.log"));
        for n in 0..8000 {
            fs::write(log(&format!("{today}_{n}")), "").expect("a log");
        }
        let old = log("20200101_020304");
        fs::write(&old, "").expect("a log");
        let run = || assert_eq!(sandbox.output(&["-rq", "tasks.txt"]).code, 0);
        run();
        assert!(old.exists(), "{old:?}");
        (0..7).for_each(|_| run());
        assert!(!old.exists(), "{old:?}");
        fs::write(&old, "").expect("a log");
        assert_clean(&prune(&sandbox));
        assert!(!old.exists(), "{old:?}");
    }
    if let Some(memory) = &places[1] {
        fs::remove_dir_all(memory).expect("it was made");
    }
}

#[test]
fn a_good_run_opens_no_journal_of_another_work() {
    let sandbox = Sandbox::new();
    let text = "X=1\ntask=1\nexec=shell\ncommand=test -e fine || exit @X@\n";
    for x in ["3", "4"] {
        assert_ne!(sandbox.run(text, &["-q", &format!("--set=X={x}")]).code, 0);
    }
    sandbox.file("other.txt", text);
    assert_ne!(sandbox.output(&["-rq", "other.txt"]).code, 0);
    // Nobody can read them; they would be named.
    let journals = sandbox.journals();
    assert_eq!(journals.len(), 3);
    for journal in &journals {
        fs::write(journal, "not a journal\n").expect("a journal");
    }
    sandbox.file("fine", "");
    assert_eq!(sandbox.run(text, &["-q", "--set=X=5"]).code, 0);
    assert!(!sandbox.log().contains("is ignored"), "{}", sandbox.log());
    let options = ["-q", "--set=X=6", "--auto-recovery"];
    assert_eq!(sandbox.run(text, &options).code, 0);
    assert!(!sandbox.log().contains("is ignored"), "{}", sandbox.log());
    // Their own work finds them, and what belongs to the file.
    assert_eq!(sandbox.run(text, &["-q", "--set=X=4"]).code, 0);
    assert_eq!(
        sandbox.log().matches("is ignored").count(),
        1,
        "{}",
        sandbox.log()
    );
    let resumed = sandbox.output(&["-r", "--resume", "tasks.txt"]);
    assert_eq!(
        resumed.stderr.matches("is ignored").count(),
        2,
        "{resumed:?}"
    );
}

#[test]
fn a_journal_with_the_name_of_an_earlier_version_is_found_and_ended() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(LONG, &["-q"]).code, 1);
    let journal = sandbox.journals().remove(0);
    let id = run_of(&journal);
    let old = journal.with_file_name(format!("{id}.journal"));
    fs::rename(&journal, &old).expect("renamed");
    let status = sandbox.output(&["--status", &id]);
    assert_eq!(status.code, 0, "{status:?}");
    let info = sandbox.output(&["--show-recovery-info", "tasks.txt"]);
    assert!(info.stdout.contains(&id), "{info:?}");
    sandbox.file("fine", "");
    assert_eq!(sandbox.run(LONG, &["-q"]).code, 0);
    assert!(sandbox.journals().is_empty());
}

#[test]
fn what_others_removed_is_named_for_what_it_is() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(LONG, &["-q"]).code, 1);
    let id = run_of(&sandbox.journals()[0]);
    let state = sandbox.path.join("TASKER/state").join(&id);
    let log = sandbox.output(&["--status", &id]).stdout;
    assert!(log.contains(".log\n") && !log.contains("gone"), "{log}");
    fs::remove_dir_all(sandbox.path.join("TASKER/logs")).expect("logs");
    fs::remove_file(state.join("output-0")).expect("an output");
    let status = sandbox.output(&["--status", &id]);
    assert!(status.stdout.contains(".log (it is gone)\n"), "{status:?}");
    for options in [
        &["-r", "--resume"][..],
        &["-r", "--resume-at=2"],
        &["--show-recovery-info"],
    ] {
        let ran = sandbox.output(&[options, &["tasks.txt"]].concat());
        assert_eq!(ran.code, 12, "{ran:?}");
        let why = format!(
            "the output that it keeps in `{}` is gone; tasker removes it only with the journal",
            state.join("output-0").display()
        );
        assert!(ran.stderr.contains(&why), "{ran:?}");
    }
}

#[test]
fn outputs_whose_journal_others_removed_are_named_for_what_they_are() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(LONG, &["-q"]).code, 1);
    let id = run_of(&sandbox.journals()[0]);
    fs::remove_file(sandbox.journals().remove(0)).expect("a journal");
    let state = sandbox.path.join("TASKER/state").join(&id);
    let is = format!(
        "the journal of run {id} is gone, only its outputs are left in `{}`",
        state.display()
    );
    let status = sandbox.output(&["--status"]);
    assert!(status.stdout.ends_with(&format!("{is}\n")), "{status:?}");
    assert_eq!(status.code, 0);
    let resume = format!("--resume={id}");
    for options in [&["--status", &id][..], &["-r", &resume, "tasks.txt"]] {
        let ran = sandbox.output(options);
        assert_eq!(ran.code, 12, "{ran:?}");
        assert!(ran.stderr.contains(&is), "{ran:?}");
    }
    // Nothing else is in the way.
    sandbox.file("fine", "");
    assert_eq!(sandbox.run(LONG, &["-q"]).code, 0);
    assert!(state.exists());
}

#[test]
fn what_is_asked_for_is_checked() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", RIGHT);
    for (value, why) in [
        ("90", "expected a number of days such as `90d`, found `90`"),
        ("12h", "expected a number of days such as `90d`"),
        ("1.5d", "expected a number of days such as `90d`"),
        ("0d", "expected 1d to 36500d, found `0d`"),
        ("99999999999d", "expected 1d to 36500d"),
    ] {
        for key in ["keep_logs", "keep_state"] {
            configure(&sandbox, &format!("{key}={value}\n"));
            for arguments in [&["--prune"][..], &["-r", "tasks.txt"]] {
                let ran = sandbox.output(arguments);
                assert_eq!(ran.code, 20, "{ran:?}");
                assert!(ran.stderr.contains(why), "{key}={value}: {ran:?}");
            }
        }
    }
    configure(&sandbox, "");
    for arguments in [
        &["--prune", "tasks.txt"][..],
        &["--prune", "-r"],
        &["--prune", "--status"],
    ] {
        assert_eq!(sandbox.output(arguments).code, 2, "{arguments:?}");
    }
    sandbox.file("tasks.txt", format!("--prune\n{RIGHT}"));
    let ran = sandbox.output(&["tasks.txt"]);
    assert!(ran.code == 20 && ran.stderr.contains("--prune"), "{ran:?}");
    // Looking makes nothing.
    let elsewhere = Sandbox::new();
    assert_clean(&prune(&elsewhere));
    assert!(!elsewhere.exists("TASKER"));
    let quiet = elsewhere.output(&["--prune", "-q"]);
    assert_eq!((quiet.stdout.as_str(), quiet.code), ("", 0));
}

/// Task, exit code and status of each run in the summary of the project.
fn rows(sandbox: &Sandbox) -> Vec<String> {
    let summary = sandbox.read("TASKER/logs/project_night_summary.log");
    let rows = summary.lines().skip(1).map(|row| {
        let cells: Vec<&str> = row.split(" | ").collect();
        assert!(Path::new(cells[6]).exists(), "{row}");
        format!("{} {} {}", cells[2], cells[4], cells[5])
    });
    rows.collect()
}

/// A run of project `night`, killed in task 2.
fn killed_in_project(sandbox: &Sandbox) {
    let tasks = format!(
        "task=1\nexec=local\ncommand=true\n{}",
        WAITS.replace("task=1", "task=2")
    );
    let child = sandbox.start(&tasks, &["-q", "--project=night"]);
    wait_for("the command", || sandbox.exists("began"));
    sandbox.kill(child);
    sandbox.file("go", "");
    assert_eq!(rows(sandbox), [""; 0]);
}

/// A run that was killed cannot add itself to the summary of its project: whatever ends
/// its story does.
#[test]
fn a_killed_run_is_in_the_summary_once_it_is_closed() {
    let file = ["-r", "-q", "tasks.txt"];
    let fresh = ["-r", "-q", "--project=night", "tasks.txt"];
    let killed_and_good = ["2 137 FAILED", "2 0 SUCCESS"];
    // It goes on: it is one run.
    for option in ["--resume", "--auto-recovery", "--finish-only"] {
        let sandbox = Sandbox::new();
        killed_in_project(&sandbox);
        let ran = sandbox.output(&[&[option][..], &file].concat());
        let rows = rows(&sandbox);
        assert_eq!(rows.len(), 1, "{option}: {ran:?} {rows:?}");
        let is_good = rows[0] == "2 0 SUCCESS";
        assert!(is_good || option == "--finish-only", "{option}: {rows:?}");
    }
    // Another run ends it, or goes on with its results.
    for options in [&[][..], &["--resume-at=2"]] {
        let sandbox = Sandbox::new();
        killed_in_project(&sandbox);
        let ran = sandbox.output(&[options, &fresh].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        let mut rows = rows(&sandbox);
        rows.sort();
        rows.reverse();
        assert_eq!(rows, killed_and_good, "{options:?}");
    }
    // An edited file begins afresh.
    let sandbox = Sandbox::new();
    killed_in_project(&sandbox);
    let text = sandbox.read("tasks.txt");
    sandbox.file("tasks.txt", format!("{text}# edited\n"));
    let ran = sandbox.output(&[&["--auto-recovery"][..], &fresh].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(rows(&sandbox).len(), 2);
    // It is no longer kept.
    let sandbox = Sandbox::new();
    killed_in_project(&sandbox);
    let journal = &sandbox.journals()[0];
    let old = journal.to_string_lossy().replace("/state/20", "/state/19");
    fs::rename(journal, old).expect("renamed");
    let ran = sandbox.output(&["--prune"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(rows(&sandbox), ["2 137 FAILED"], "{ran:?}");
}

/// A run that has added itself is not added again when a later one ends it.
#[test]
fn a_failed_run_is_in_the_summary_once() {
    let sandbox = Sandbox::new();
    let tasks = "task=1\nexec=shell\ncommand=[ -e fine ] || exit 3\n";
    assert_eq!(sandbox.run(tasks, &["-q", "--project=night"]).code, 3);
    sandbox.file("fine", "");
    assert_eq!(sandbox.run(tasks, &["-q", "--project=night"]).code, 0);
    assert_eq!(sandbox.journals().len(), 0);
    assert_eq!(rows(&sandbox), ["1 3 FAILED", "1 0 SUCCESS"]);
}
