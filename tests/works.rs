//! Works of one file side by side: what fails in one is resumed there and nowhere
//! else, whatever the others do (SPEC §6.4).
//!
//! `TASKER_WORKS_SEED=N` sets another first seed, `TASKER_WORKS_ROUNDS=N` the number
//! of rounds; `make test-advice` tries 200.

#[path = "support/chance.rs"]
mod chance;
#[path = "support/advice/line.rs"]
mod line;
mod support;

use chance::Chance;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::{Command, Stdio};
use support::{Ran, Sandbox, finish, run_of};

const REGIONS: [&str; 3] = ["eu", "us", "jp"];

/// One of each kind of task; `@D@` is the date where there is one.
const FILE: &str = "REGION=none
task=10
exec=shell
command=bin/act @REGION@-10
task=20
type=parallel
hostnames=h[1-3]
exec=shell
command=bin/act @REGION@-20.@hostname@
task=30
type=parallel
tasks=31,32
task=31
exec=shell
command=bin/act @REGION@-31
task=32
exec=shell
command=bin/act @REGION@-32
task=40
type=conditional
condition=@10_stdout@ ~ up
if_true_tasks=41,42
next=success
task=41
exec=shell
command=bin/act @REGION@-41
task=42
exec=shell
command=bin/act @REGION@-42
task=50
exec=shell
command=bin/act @REGION@-50
";

const ITEMS: [&str; 9] = [
    "10", "20.h1", "20.h2", "20.h3", "31", "32", "41", "42", "50",
];

/// Records which run did what, unless that is broken or the run is to be killed there.
const ACT: &str = "#!/bin/sh
if [ -e \"kill/$1\" ]; then kill -9 $PPID; sleep 60; fi
if [ -e \"broken/$1\" ]; then echo \"$1 is broken\" >&2; exit 3; fi
echo \"$TASKER_RUN_ID $1\" >>effects
echo up
";

fn number_from_env(variable: &str, default: u64) -> u64 {
    let set = std::env::var(variable).ok();
    set.map_or(default, |text| text.parse().expect("a number"))
}

fn place() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.program("bin/act", ACT);
    for directory in ["broken", "kill"] {
        std::fs::create_dir(sandbox.path.join(directory)).expect("a directory");
    }
    sandbox.file("tasks.txt", FILE);
    sandbox
}

/// Runs the work of a region.
fn run(sandbox: &Sandbox, region: &str, options: &[&str]) -> Ran {
    let set = format!("REGION={region}");
    let arguments = [&["-r", "--set", &set], options, &["tasks.txt"]].concat();
    sandbox.output(&arguments)
}

/// Types a line in a fresh shell, somewhere else.
fn type_line(sandbox: &Sandbox, line: &str) -> Ran {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).current_dir("/").env_clear();
    command
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", &sandbox.path)
        .stdin(Stdio::null());
    Ran::from(command.output().expect("a shell runs"))
}

fn broken(sandbox: &Sandbox, region: &str, item: &str) {
    sandbox.file(&format!("broken/{region}-{item}"), "");
}

fn repair(sandbox: &Sandbox) {
    let directory = sandbox.path.join("broken");
    std::fs::remove_dir_all(&directory).expect("a directory");
    std::fs::create_dir(&directory).expect("a directory");
}

/// How often each item was done, by run.
fn effects(sandbox: &Sandbox) -> BTreeMap<String, BTreeMap<String, usize>> {
    let mut runs: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for line in sandbox.read("effects").lines() {
        let (run, item) = line.split_once(' ').expect("a run and an item");
        *runs
            .entry(run.into())
            .or_default()
            .entry(item.into())
            .or_insert(0) += 1;
    }
    runs
}

/// Each item of the region done so often, by so many runs.
fn counts(sandbox: &Sandbox, region: &str) -> Vec<usize> {
    let runs = effects(sandbox);
    let count = |item: &&str| {
        let name = format!("{region}-{item}");
        let of_runs = runs.values().filter_map(|items| items.get(&name));
        of_runs.sum()
    };
    ITEMS.iter().map(count).collect()
}

#[track_caller]
fn assert_done(sandbox: &Sandbox, region: &str, times: usize, context: &str) {
    let counts = counts(sandbox, region);
    assert!(
        counts.iter().all(|count| *count == times),
        "{region}: {ITEMS:?} were done {counts:?} times, not {times}\n{context}"
    );
}

fn shuffled<'a>(chance: &mut Chance, all: &[&'a str]) -> Vec<&'a str> {
    let mut left = all.to_vec();
    let mut order = Vec::new();
    while !left.is_empty() {
        order.push(left.remove(chance.below(left.len())));
    }
    order
}

/// Runs the rounds in two threads.
fn in_rounds(default: u64, round: fn(u64)) {
    let first = number_from_env("TASKER_WORKS_SEED", 170);
    let count = number_from_env("TASKER_WORKS_ROUNDS", default);
    // A round that panics fails the test, and names its seed.
    std::thread::scope(|scope| {
        for thread in 0..2 {
            scope.spawn(move || {
                for number in (thread..count).step_by(2) {
                    round(first.wrapping_add(number));
                }
            });
        }
    });
}

/// How a failed work is continued.
#[derive(Clone, Copy, Debug)]
enum How {
    AutoRecovery,
    Resume,
    ResumeTheRun,
    TypeTheLine,
}

/// What is known of a work that failed.
struct Failed {
    region: &'static str,
    line: Option<String>,
    run: String,
}

fn side_by_side(seed: u64) {
    let mut chance = Chance::new(seed);
    let chance = &mut chance;
    let sandbox = place();
    let mut story = format!("TASKER_WORKS_SEED={seed}\n");
    let fail_count = 2 + chance.below(2);
    let order = shuffled(chance, &REGIONS);
    let mut failed = Vec::new();
    for region in &order[..fail_count] {
        failed.push(fail(chance, &sandbox, region, &mut story));
    }
    for region in &order[fail_count..] {
        refused_for_another(&sandbox, region, &failed, &mut story);
        if chance.below(2) == 0 {
            let ran = run(&sandbox, region, &["--auto-recovery"]);
            let _ = writeln!(story, "{region} afresh: {ran:?}");
            assert_eq!(ran.code, 0, "{story}");
            assert!(!ran.stdout.contains("Resuming"), "{story}");
            assert_done(&sandbox, region, 1, &story);
        }
    }
    while !failed.is_empty() {
        let work = failed.remove(chance.below(failed.len()));
        let how = chance.one_of(&[
            How::AutoRecovery,
            How::Resume,
            How::ResumeTheRun,
            How::TypeTheLine,
        ]);
        // Sometimes it fails a second time, somewhere else.
        if chance.below(4) == 0 {
            broken(&sandbox, work.region, "50");
            let ran = continued(&sandbox, &work, how);
            let _ = writeln!(story, "{} fails again, {how:?}: {ran:?}", work.region);
            assert_ne!(ran.code, 12, "{story}");
            repair(&sandbox);
        }
        let ran = continued(&sandbox, &work, how);
        let _ = writeln!(story, "{} by {how:?}: {ran:?}", work.region);
        assert_eq!(ran.code, 0, "{story}");
        assert_done(&sandbox, work.region, 1, &story);
        let again = run(&sandbox, work.region, &["--resume"]);
        assert_eq!(again.code, 12, "{again:?}\n{story}");
    }
    let runs = effects(&sandbox);
    let works = runs.len();
    assert!(works <= 3, "{works} runs\n{story}");
    assert!(sandbox.journals().is_empty(), "{story}");
}

/// Lets the work of a region fail at random.
fn fail(
    chance: &mut Chance,
    sandbox: &Sandbox,
    region: &&'static str,
    story: &mut String,
) -> Failed {
    let item = ITEMS[chance.below(ITEMS.len())];
    let is_killed = chance.below(3) == 0 && !item.contains('h') && !item.starts_with('3');
    let directory = if is_killed { "kill" } else { "broken" };
    sandbox.file(&format!("{directory}/{region}-{item}"), "");
    let ran = match is_killed {
        true => run_killed(sandbox, region),
        false => run(sandbox, region, &[]),
    };
    let _ = writeln!(story, "{region} fails at {item} ({directory}): {ran:?}");
    assert_ne!(ran.code, 0, "{story}");
    std::fs::remove_file(sandbox.path.join(format!("{directory}/{region}-{item}")))
        .expect("the cause");
    let journals = sandbox.journals();
    let newest = journals
        .iter()
        .max_by_key(|path| std::fs::metadata(path).and_then(|m| m.modified()).ok());
    let newest = newest.expect("a journal");
    Failed {
        region,
        line: line::advised(&ran.stderr),
        run: run_of(newest),
    }
}

/// A run that its own command kills, and its end.
fn run_killed(sandbox: &Sandbox, region: &str) -> Ran {
    let set = format!("REGION={region}");
    let child = sandbox.tasker(&["-r", "--set", &set, "tasks.txt"]).spawn();
    let ran = finish(child.expect("tasker starts"));
    let home = format!("HOME={}", sandbox.path.display());
    support::wait_for("the end of all processes", || {
        support::processes_with(&home).is_empty()
    });
    ran
}

/// `--resume` for a work that never failed names the runs of those that did, and what
/// differs.
fn refused_for_another(sandbox: &Sandbox, region: &str, failed: &[Failed], story: &mut String) {
    let ran = run(sandbox, region, &["--resume"]);
    let _ = writeln!(story, "{region} --resume: {ran:?}");
    assert_eq!(ran.code, 12, "{story}");
    for other in failed {
        let names = |line: &str| line.contains(&other.run) && line.contains("REGION");
        let is_named = ran.stderr.lines().any(names);
        assert!(is_named, "{} is not named\n{story}", other.region);
    }
    let counts = counts(sandbox, region);
    assert!(counts.iter().all(|count| *count == 0), "{story}");
}

fn continued(sandbox: &Sandbox, work: &Failed, how: How) -> Ran {
    match (how, &work.line) {
        (How::Resume, _) => run(sandbox, work.region, &["--resume"]),
        (How::ResumeTheRun, _) => {
            let option = format!("--resume={}", work.run);
            sandbox.output(&["-r", &option, "tasks.txt"])
        }
        (How::TypeTheLine, Some(line)) => type_line(sandbox, line),
        _ => run(sandbox, work.region, &["--auto-recovery"]),
    }
}

#[test]
fn works_of_one_file_are_resumed_each_by_itself() {
    in_rounds(8, side_by_side);
}

fn two_at_once(seed: u64) {
    let mut chance = Chance::new(seed);
    let chance = &mut chance;
    let sandbox = place();
    let mut story = format!("TASKER_WORKS_SEED={seed}\n");
    let region = chance.one_of(&REGIONS);
    fail(chance, &sandbox, &region, &mut story);
    let waits = chance.below(2) == 0;
    let set = format!("REGION={region}");
    let mut arguments = vec!["-r", "--set", &set, "--auto-recovery"];
    if waits {
        arguments.extend(["--lock-wait", "30s"]);
    }
    arguments.push("tasks.txt");
    let start = || sandbox.tasker(&arguments).spawn().expect("tasker starts");
    let both = [start(), start()];
    let both = both.map(finish);
    let _ = writeln!(story, "{both:?}");
    let mut codes: Vec<i32> = both.iter().map(|ran| ran.code).collect();
    codes.sort_unstable();
    // One that comes when the other is done begins afresh.
    let runs = match codes[..] {
        [0, 0] => 2,
        [0, 25] if !waits => 1,
        _ => panic!("{story}"),
    };
    let resumed = both.iter().filter(|ran| ran.stdout.contains("Resuming"));
    assert_eq!(resumed.count(), 1, "{story}");
    assert_done(&sandbox, region, runs, &story);
    for (run, items) in effects(&sandbox) {
        let once = items.values().all(|times| *times == 1);
        assert!(once, "{run}: {items:?}\n{story}");
    }
    assert!(sandbox.journals().is_empty(), "{story}");
}

#[test]
fn one_of_two_resumes_a_run() {
    in_rounds(8, two_at_once);
}

/// The first run fails, a second one that is its own work.
fn failed_at(item: &str) -> Sandbox {
    let sandbox = place();
    broken(&sandbox, "eu", item);
    let ran = run(&sandbox, "eu", &[]);
    assert_ne!(ran.code, 0, "{ran:?}");
    repair(&sandbox);
    sandbox
}

#[test]
fn an_edited_file_begins_afresh_and_says_why() {
    for is_quiet in [false, true] {
        let sandbox = failed_at("50");
        sandbox.file("tasks.txt", format!("# Edited.\n{FILE}"));
        let options: &[&str] = match is_quiet {
            true => &["-q", "--auto-recovery"],
            false => &["--auto-recovery"],
        };
        let ran = run(&sandbox, "eu", options);
        assert_eq!(ran.code, 0, "{ran:?}");
        let said = ran.stdout.clone() + &ran.stderr;
        let why = |text: &str| {
            let of_file = |line: &str| line.contains("afresh") && line.contains("changed");
            text.lines().any(of_file)
        };
        match is_quiet {
            true => {
                assert_eq!(said, "", "it is silent");
                assert!(why(&sandbox.log()), "{}", sandbox.log());
            }
            false => assert!(why(&said), "{ran:?}"),
        }
        let counts = counts(&sandbox, "eu");
        assert_eq!(counts[..8], [2; 8], "{ran:?}");
        assert_eq!(counts[8], 1);
        // Nothing is left of the run that failed.
        let ran = run(&sandbox, "eu", options);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(counts_of_last(&sandbox), ITEMS.len(), "{ran:?}");
        assert!(sandbox.journals().is_empty());
    }
}

/// How much the newest run did.
fn counts_of_last(sandbox: &Sandbox) -> usize {
    let effects = sandbox.read("effects");
    let last = effects.lines().last().expect("an effect");
    let (run, _) = last.split_once(' ').expect("a run and an item");
    effects.lines().filter(|line| line.starts_with(run)).count()
}

/// A run in an environment.
fn run_with(sandbox: &Sandbox, variables: &[(&str, &str)], options: &[&str]) -> Ran {
    let arguments = [&["-r"], options, &["tasks.txt"]].concat();
    let mut command = sandbox.tasker(&arguments);
    command.envs(variables.iter().copied());
    Ran::from(command.output().expect("tasker runs"))
}

#[test]
fn another_date_is_another_work() {
    let sandbox = place();
    sandbox.file(
        "tasks.txt",
        format!("DATE=$TODAY\n{FILE}task=60\nexec=shell\ncommand=echo @DATE@\n"),
    );
    broken(&sandbox, "none", "32");
    let monday = run_with(&sandbox, &[("TODAY", "monday")], &["--auto-recovery"]);
    assert_ne!(monday.code, 0, "{monday:?}");
    // Tuesday is not held up by it, and fails as well.
    let tuesday = run_with(&sandbox, &[("TODAY", "tuesday")], &["--auto-recovery"]);
    assert!(!tuesday.stdout.contains("Resuming"), "{tuesday:?}");
    assert_eq!(counts(&sandbox, "none")[0], 2, "{tuesday:?}");
    repair(&sandbox);
    let wednesday = run_with(&sandbox, &[("TODAY", "wednesday")], &["--auto-recovery"]);
    assert_eq!(wednesday.code, 0, "{wednesday:?}");
    assert_eq!(counts_of_last(&sandbox), ITEMS.len(), "{wednesday:?}");
    // Each of the others can still be resumed.
    for (day, told) in [("monday", &monday), ("tuesday", &tuesday)] {
        let line = line::advised(&told.stderr).expect("advice");
        let ran = match day {
            "monday" => run_with(&sandbox, &[("TODAY", day)], &["--auto-recovery"]),
            _ => type_line(&sandbox, &line),
        };
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.stdout.contains("Resuming"), "{ran:?}");
        assert!(ran.stdout.contains(&format!("| {day}")), "{ran:?}");
    }
    assert_done(&sandbox, "none", 3, "");
    assert!(sandbox.journals().is_empty());
}

#[test]
fn a_date_that_is_not_set_is_another_work() {
    let sandbox = place();
    sandbox.file(
        "tasks.txt",
        format!("DATE=$TODAY\n{FILE}task=60\nexec=shell\ncommand=echo @DATE@\n"),
    );
    broken(&sandbox, "none", "32");
    let monday = run_with(&sandbox, &[("TODAY", "monday")], &[]);
    repair(&sandbox);
    // The line that was printed has the date of the run, from the journal.
    let line = line::advised(&monday.stderr).expect("advice");
    let ran = type_line(&sandbox, &line);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("| monday"), "{ran:?}");
    assert_done(&sandbox, "none", 1, "");
}

#[test]
fn a_rotated_secret_is_the_same_work() {
    let sandbox = place();
    let text = format!(
        "SECRET_X=$TOKEN\n{FILE}task=60\nexec=shell\nenv.X=@SECRET_X@\ncommand=echo \"$X\" >token\n"
    );
    sandbox.file("tasks.txt", text);
    broken(&sandbox, "none", "42");
    let ran = run_with(&sandbox, &[("TOKEN", "of yesterday")], &["--auto-recovery"]);
    assert_ne!(ran.code, 0, "{ran:?}");
    repair(&sandbox);
    let ran = run_with(&sandbox, &[], &["--resume"]);
    assert_eq!(ran.code, 12, "{ran:?}");
    assert!(ran.stderr.contains("SECRET_X"), "{ran:?}");
    let ran = run_with(
        &sandbox,
        &[("TOKEN", "of today")],
        &["-q", "--auto-recovery"],
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    let said = ran.stdout.clone() + &ran.stderr;
    assert!(said.contains("Resuming"), "also under -q: {ran:?}");
    assert_done(&sandbox, "none", 1, "");
    assert_eq!(sandbox.read("token"), "of today\n");
}

/// Puts something into `state/` that is no journal of this version or this user.
fn litter(sandbox: &Sandbox) -> Vec<&'static str> {
    use std::os::unix::fs::PermissionsExt;
    let state = sandbox.path.join("TASKER/state");
    let journal = sandbox.journals().remove(0);
    let good = std::fs::read(journal).expect("a journal");
    std::fs::write(state.join("30000101_000000-garbage1.journal"), "garbage\n").expect("a file");
    let old = "tasker journal 1\n00000008 00000000 00000000 begin\tx\n";
    std::fs::write(state.join("30000101_000000-version1.journal"), old).expect("a file");
    std::fs::create_dir(state.join("30000101_000000-folder01.journal")).expect("a directory");
    // What would be waited for, and what has no end.
    let fifo = state.join("30000101_000000-fifo0001.journal");
    let made = Command::new("mkfifo").arg(fifo).status();
    assert!(made.expect("mkfifo").success());
    let endless = state.join("30000101_000000-endless1.journal");
    std::os::unix::fs::symlink("/dev/zero", endless).expect("a link");
    let foreign = state.join("30000101_000000-foreign1.journal");
    std::fs::write(&foreign, good).expect("a file");
    let mode = std::fs::Permissions::from_mode(0o000);
    std::fs::set_permissions(&foreign, mode).expect("a mode");
    let mut names = vec!["garbage1", "version1", "folder01", "fifo0001", "endless1"];
    // Only root can give a file away; for any other user mode 0 is enough.
    let is_root = std::os::unix::fs::chown(&foreign, Some(12345), Some(12345)).is_ok();
    let is_unreadable = is_root || std::fs::read(&foreign).is_err();
    if is_unreadable {
        names.push("foreign1");
    }
    names
}

#[test]
fn journals_that_cannot_be_read_stop_nobody() {
    for options in [&["--auto-recovery"][..], &["--resume"]] {
        let sandbox = failed_at("32");
        let names = litter(&sandbox);
        let status = sandbox.output(&["--status"]);
        assert_eq!(status.code, 0, "{status:?}");
        let before = sandbox.journals();
        // The runs are counted by their journals.
        std::fs::remove_file(sandbox.path.join("TASKER/state/number")).expect("a count");
        let ran = run(&sandbox, "eu", options);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_done(&sandbox, "eu", 1, &format!("{ran:?}"));
        let said = ran.stdout.clone() + &ran.stderr + &sandbox.log();
        for name in names {
            let warns = |line: &str| line.contains(name) && line.to_lowercase().contains("warn");
            assert!(said.lines().any(warns), "{name}: {said}");
        }
        let removed = before.len() - sandbox.journals().len();
        assert_eq!(removed, 1, "only its own is removed");
        // They hold up no fresh run either.
        let ran = run(&sandbox, "us", options);
        let code = if options[0] == "--resume" { 12 } else { 0 };
        assert_eq!(ran.code, code, "{ran:?}");
    }
}

/// A damaged count is as good as none, once.
#[test]
fn a_damaged_count_is_replaced() {
    let sandbox = failed_at("50");
    let count = "TASKER/state/number";
    for damaged in ["x".repeat(50), String::new(), "9".repeat(300)] {
        sandbox.file(count, damaged);
        let before = sandbox.journals().len();
        broken(&sandbox, "eu", "50");
        assert_ne!(run(&sandbox, "eu", &[]).code, 0);
        assert_eq!(sandbox.read(count), format!("{:020}\n", before + 1));
    }
}

/// A count that is no file is waited for by nobody.
#[test]
fn a_count_that_is_no_file_refuses_the_run() {
    let sandbox = failed_at("50");
    let count = sandbox.path.join("TASKER/state/number");
    std::fs::remove_file(&count).expect("a count");
    let made = Command::new("mkfifo").arg(&count).status();
    assert!(made.expect("mkfifo").success());
    let ran = run(&sandbox, "eu", &[]);
    assert_eq!(ran.code, 32, "{ran:?}");
    assert!(ran.stderr.contains("it is not a plain file"), "{ran:?}");
}

/// The names and times of the journals say that the newer run is the older one.
#[test]
fn the_newer_of_two_runs_is_known_without_a_clock() {
    for (first, second) in [("50", "20.h2"), ("20.h2", "50")] {
        let sandbox = place();
        let fail = |item: &str, zone: &str| {
            broken(&sandbox, "eu", item);
            let mut command = sandbox.tasker(&["-r", "--set", "REGION=eu", "tasks.txt"]);
            let before = sandbox.journals();
            let output = command.env("TZ", zone).output().expect("tasker runs");
            assert_ne!(output.status.code(), Some(0));
            repair(&sandbox);
            let mut new = sandbox.journals();
            new.retain(|path| !before.contains(path));
            new.remove(0)
        };
        // POSIX counts to the west: the first is a day later by its clock.
        let older = fail(first, "AAA-12");
        let newer = fail(second, "BBB12");
        assert!(older > newer, "{older:?} {newer:?}");
        for (path, time) in [(&older, "2030-01-01"), (&newer, "2020-01-01")] {
            let touched = Command::new("touch").args(["-d", time]).arg(path).status();
            assert!(touched.expect("touch runs").success());
        }
        let ran = run(&sandbox, "eu", &["--auto-recovery"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let id = run_of(&newer);
        assert!(
            ran.stdout.contains(&format!("Resuming run {id}")),
            "{ran:?}"
        );
        assert!(sandbox.journals().is_empty(), "both are ended: {ran:?}");
    }
}

/// The hosts that the newest run did in block 20.
fn hosts_of_last(sandbox: &Sandbox) -> Vec<String> {
    let effects = sandbox.read("effects");
    let last = effects.lines().last().expect("an effect");
    let (run, _) = last.split_once(' ').expect("a run and an item");
    let lines = effects.lines().filter(|line| line.starts_with(run));
    let mut hosts: Vec<String> = lines
        .filter_map(|line| line.split_once("-20."))
        .map(|(_, host)| host.to_string())
        .collect();
    hosts.sort();
    hosts
}

#[test]
fn the_morning_after_ends_the_night_once_nothing_of_it_is_undone() {
    let sandbox = place();
    broken(&sandbox, "eu", "20.h2");
    assert_ne!(run(&sandbox, "eu", &["--auto-recovery"]).code, 0);
    repair(&sandbox);
    let morning = run(&sandbox, "eu", &["--limit", "last:failed"]);
    assert_eq!(morning.code, 0, "{morning:?}");
    assert_eq!(hosts_of_last(&sandbox), ["h2"]);
    assert!(sandbox.journals().is_empty(), "{morning:?}");
    let night = run(&sandbox, "eu", &["--auto-recovery"]);
    assert_eq!(night.code, 0, "{night:?}");
    assert_eq!(hosts_of_last(&sandbox), ["h1", "h2", "h3"], "{night:?}");
    assert_eq!(counts_of_last(&sandbox), ITEMS.len(), "{night:?}");
}

#[test]
fn the_night_is_kept_while_something_of_it_is_undone() {
    let sandbox = place();
    broken(&sandbox, "eu", "20.h2");
    broken(&sandbox, "eu", "20.h3");
    assert_ne!(run(&sandbox, "eu", &["--auto-recovery"]).code, 0);
    repair(&sandbox);
    // The other host is still not ok.
    let morning = run(&sandbox, "eu", &["--limit", "h2"]);
    assert_eq!(morning.code, 0, "{morning:?}");
    assert_eq!(sandbox.journals().len(), 1, "{morning:?}");
    let asked = run(&sandbox, "eu", &["--show-recovery-info"]);
    assert_eq!(asked.code, 0, "{asked:?}");
    assert!(asked.stdout.contains("h3"), "{asked:?}");
    // The newest run had another limit, so the next night does everything.
    let night = run(&sandbox, "eu", &["--auto-recovery"]);
    assert_eq!(night.code, 0, "{night:?}");
    assert_eq!(hosts_of_last(&sandbox), ["h1", "h2", "h3"], "{night:?}");
    assert_eq!(counts_of_last(&sandbox), ITEMS.len(), "{night:?}");
    assert!(sandbox.journals().is_empty(), "{night:?}");
}

/// Containers share a directory and a process number: their runs have ids of their own.
#[test]
fn runs_of_one_second_in_two_containers_do_not_meet() {
    let sandbox = Sandbox::new();
    let tasks = "task=1\nexec=shell\ncommand=echo $PPID >> pids; seq 300000\n\
                 task=2\nexec=shell\nstdin=@1_stdout@\ncommand=[ $(wc -l) = 300000 ] && echo x >> ok; exit 1\n";
    sandbox.file("tasks.txt", tasks);
    let start = || {
        let mut command = std::process::Command::new("unshare");
        command
            .args(["--pid", "--fork", "--mount-proc", "--"])
            .arg(env!("CARGO_BIN_EXE_tasker"))
            .args(["-r", "-q", "tasks.txt"])
            .env("HOME", &sandbox.path)
            .current_dir(&sandbox.path)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        command.spawn()
    };
    let children: Vec<_> = (0..8).filter_map(|_| start().ok()).collect();
    let ended: Vec<Ran> = children
        .into_iter()
        .map(|child| Ran::from(child.wait_with_output().expect("tasker ends")))
        .collect();
    if ended.iter().any(|ran| ran.stderr.contains("unshare: ")) {
        // Only root can have a container here.
        return;
    }
    for ran in &ended {
        assert_eq!(ran.code, 1, "{ran:?}");
    }
    assert_eq!(sandbox.read("pids"), "1\n".repeat(8));
    assert_eq!(sandbox.read("ok"), "x\n".repeat(8));
    assert_eq!(sandbox.journals().len(), 8, "each has its journal");
    // Each is known by its own id, and its outputs are there.
    for journal in sandbox.journals() {
        let name = run_of(&journal);
        let (_, letters) = name.split_once('-').expect("letters");
        assert_eq!(letters.len(), 8, "{name}");
        let ran = sandbox.output(&["-r", "-q", &format!("--resume={name}"), "tasks.txt"]);
        assert_eq!(ran.code, 1, "{ran:?}");
    }
    assert_eq!(sandbox.read("ok"), "x\n".repeat(16));
}
