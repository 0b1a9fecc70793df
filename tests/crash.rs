//! tasker is killed at every point of a long run, and its journal is damaged: what
//! was done is never done again, nothing is left out, and the results are the same.
//!
//! By default only some points are tried; `TASKER_CRASH=all`, as in `make
//! test-crash`, tries all of them.

mod support;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use support::{Ran, Sandbox, processes_with, run_of, wait_for};

fn try_every_point() -> bool {
    std::env::var("TASKER_CRASH").is_ok_and(|v| v == "all")
}

/// Records in `effects` that it ran, and prints something of its own.
const EFFECT: &str =
    "exec=shell\ncommand=echo @task@.@loop@.@attempt@ >>effects; echo v@task@.@loop@\n";

/// More than 200 tasks: loops, retries, a conditional block that contains one and a
/// parallel block, blocks over tasks and hosts with waves and a check, a final
/// task.
fn long() -> String {
    let mut text = String::new();
    let plain = (1..=150).chain(161..=176).chain(184..=188).chain(190..=230);
    for id in plain.chain([181]) {
        let _ = write!(text, "task={id}\n{EFFECT}");
        if id % 15 == 0 && id <= 150 {
            text.push_str("next=loop\nloop=3\n");
        }
    }
    text.push_str("task=160\ntype=parallel\ntasks=161-175\nmax_parallel=4\n");
    text.push_str("waves=3,5,rest\nwave_check=176\n");
    text.push_str("task=177\ntype=parallel\nhostnames=h[1-12]\nmax_parallel=5\nexec=shell\n");
    text.push_str("command=echo @hostname@ >>effects; echo of @hostname@\n");
    text.push_str("task=180\ntype=conditional\ncondition=@1_success@\n");
    text.push_str("if_true_tasks=181,182,183\nif_false_tasks=188\n");
    text.push_str("task=182\ntype=conditional\ncondition=@2_exit@=0\nif_true_tasks=184,185\n");
    text.push_str("task=183\ntype=parallel\ntasks=186,187\n");
    text.push_str("task=240\nexec=shell\nretry_count=2\nretry_delay=0.01\n");
    text.push_str("command=echo @task@.@loop@.@attempt@ >>effects; test @attempt@ -eq 3\n");
    text.push_str("task=250\nexec=shell\ncommand=echo");
    for id in (1..=150)
        .step_by(7)
        .chain([15, 161, 175, 176, 181, 184, 186, 230])
    {
        let _ = write!(text, " @{id}_stdout@ @{id}_success@");
    }
    text.push_str(" @160_stdout@ @177_ok_hosts@ @180_stdout@ @182_success@ @240_attempts@");
    text.push_str(" >sum\ntask=260\nfinally=true\n");
    text.push_str(EFFECT);
    text
}

/// A few of each kind, for a short run.
fn short() -> String {
    let mut text = format!("task=1\n{EFFECT}task=2\n{EFFECT}next=loop\nloop=2\n");
    let _ = write!(
        text,
        "task=3\ntype=parallel\ntasks=4,5\ntask=4\n{EFFECT}task=5\n{EFFECT}"
    );
    let _ = write!(
        text,
        "task=6\ntype=conditional\ncondition=@1_exit@=0\nif_true_tasks=7\n"
    );
    let _ = write!(text, "task=7\n{EFFECT}task=8\n{EFFECT}task=9\nexec=shell\n");
    text.push_str(
        "command=echo @1_stdout@ @2_stdout@ @3_stdout@ @7_stdout@ @8_stdout@ >sum; test -e fine\n",
    );
    text
}

/// How often each effect took place.
fn count_effects(sandbox: &Sandbox) -> BTreeMap<String, u32> {
    let mut found = BTreeMap::new();
    for line in sandbox.read("effects").lines() {
        *found.entry(line.to_string()).or_insert(0) += 1;
    }
    found
}

/// The effects recorded in the bytes of a journal; its last record may be torn.
fn recorded_effects(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let whole = text.split_inclusive('\n').filter(|l| l.ends_with('\n'));
    let mut found = Vec::new();
    for line in whole.skip(1) {
        let fields: Vec<&str> = line[27..].trim_end().split('\t').collect();
        match fields.as_slice() {
            ["done", _, id, iteration, attempt, ..] => {
                found.push(format!("{id}.{iteration}.{attempt}"));
            }
            ["sub", _, name, "177", "ok", ..] => found.push(name.to_string()),
            ["sub", _, _, id, "ok", ..] => found.push(format!("{id}.1.1")),
            _ => {}
        }
    }
    found
}

fn tasker(sandbox: &Sandbox, options: &[&str]) -> Ran {
    let mut arguments = vec!["-r", "-q", "--no-task-backup", "--skip-host-validation"];
    arguments.extend(options);
    arguments.push("tasks.txt");
    sandbox.output(&arguments)
}

/// What the run does when it is not killed.
struct Undisturbed {
    effects: BTreeMap<String, u32>,
    sum: String,
}

fn run_undisturbed(text: &str) -> Undisturbed {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", text);
    sandbox.file("fine", "");
    let ran = tasker(&sandbox, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(sandbox.journals().is_empty());
    Undisturbed {
        effects: count_effects(&sandbox),
        sum: sandbox.read("sum"),
    }
}

/// Runs tasker so that it is killed; if it was not, the number of points.
fn run_killed_at(sandbox: &Sandbox, point: Point, options: &[&str]) -> bool {
    let mut command = match point {
        Point::Call(call, n) => {
            let mut command = Command::new("strace");
            command.args(["-qq", "-o", "/dev/null", "-e"]);
            command.arg(format!("inject={call}:signal=SIGKILL:when={n}"));
            command.args(["-e", &format!("trace={call}")]);
            command.arg(env!("CARGO_BIN_EXE_tasker"));
            command
        }
        Point::After(_) => Command::new(env!("CARGO_BIN_EXE_tasker")),
    };
    command.args(["-r", "-q", "--no-task-backup", "--skip-host-validation"]);
    command.args(options).arg("tasks.txt");
    command.current_dir(&sandbox.path).env_clear();
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command.env("HOME", &sandbox.path);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().expect("tasker starts");
    if let Point::After(time) = point {
        std::thread::sleep(time);
        // It may have ended already.
        let _ = child.kill();
    }
    let status = child.wait().expect("tasker ends");
    let home = sandbox.path.display().to_string();
    wait_for("no process is left", || {
        processes_with(&format!("HOME={home}")).is_empty()
    });
    status.code().is_none_or(|c| c == 137)
}

#[derive(Clone, Copy, Debug)]
enum Point {
    /// At the n-th such system call of the engine.
    Call(&'static str, usize),
    After(Duration),
}

/// The guardian of a killed run holds its locks until its last command has ended.
const RECOVER: &[&str] = &["--auto-recovery", "--lock-wait=30s"];

/// Kills a run at the point, resumes it, and checks everything it did.
fn crash(text: &str, point: Point, expected: &Undisturbed) -> bool {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", text);
    sandbox.file("fine", "");
    if !run_killed_at(&sandbox, point, &[]) {
        return false;
    }
    // Killed while printing its end: the journal is gone, because everything was
    // done.
    let mut over = sandbox.journals().is_empty() && count_effects(&sandbox) == expected.effects;
    if let Point::Call(call, n) = point
        && n % 3 == 0
        && !over
    {
        // The resumed run is killed as well, unless it ends first.
        let second = Point::Call(call, 25 + n % 50);
        over = !run_killed_at(&sandbox, second, RECOVER);
    }
    let before = count_effects(&sandbox);
    let journal = sandbox
        .journals()
        .first()
        .map(|p| std::fs::read(p).unwrap_or_default());
    let recorded = recorded_effects(&journal.unwrap_or_default());
    if !over {
        let ran = tasker(&sandbox, RECOVER);
        assert_eq!(ran.code, 0, "{point:?}: {ran:?}");
    }
    compare(
        &sandbox,
        &before,
        &recorded,
        expected,
        &format!("{point:?}"),
    );
    assert!(sandbox.journals().is_empty(), "{point:?}");
    true
}

/// Nothing recorded was done again, and nothing was left out.
fn compare(
    sandbox: &Sandbox,
    before: &BTreeMap<String, u32>,
    recorded: &[String],
    expected: &Undisturbed,
    what: &str,
) {
    let after = count_effects(sandbox);
    for label in recorded {
        let Some(wanted) = expected.effects.get(label) else {
            continue;
        };
        // The wave check runs between any two waves.
        let times_recorded = recorded.iter().filter(|r| *r == label).count() as u32;
        let done = before.get(label).copied().unwrap_or(0);
        let times = after.get(label).copied().unwrap_or(0);
        assert_eq!(
            times,
            done + wanted - times_recorded,
            "{what}: {label} was recorded {times_recorded} times, and done {done} times"
        );
    }
    let names = |map: &BTreeMap<String, u32>| map.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&after), names(&expected.effects), "{what}");
    let more = |(label, n): &(&String, &u32)| expected.effects.get(*label).is_some_and(|w| *n > w);
    let again = after.iter().filter(more).count();
    assert!(
        again <= 10,
        "{what}: {again} tasks ran again, more than ran at once"
    );
    assert_eq!(sandbox.read("sum"), expected.sum, "{what}");
}

/// Tries the points, two at a time; returns their number.
fn try_all(text: &str, points: Vec<Point>) -> u32 {
    let expected = run_undisturbed(text);
    let next = AtomicU32::new(0);
    let tried = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed) as usize;
                    let Some(point) = points.get(n) else { return };
                    if crash(text, *point, &expected) {
                        tried.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    tried.into_inner()
}

#[test]
fn a_run_killed_at_any_point_can_be_resumed() {
    let every = if try_every_point() { 1 } else { 97 };
    let mut points: Vec<Point> = (1..=1500)
        .step_by(every)
        .map(|n| Point::Call("write", n))
        .collect();
    points.extend(
        (1..=300)
            .step_by(every)
            .map(|n| Point::Call("fdatasync", n)),
    );
    let times = if try_every_point() { 100 } else { 3 };
    points.extend((0..times).map(|n| Point::After(Duration::from_millis(20 + n * 731 % 900))));
    let tried = try_all(&long(), points);
    println!("killed at {tried} points");
    assert!(
        tried >= if try_every_point() { 500 } else { 5 },
        "only {tried} points"
    );
}

/// A run that failed: its final task undoes what task 1 does, which task 4 needs. The id
/// of the run.
fn failed_mount(sandbox: &Sandbox) -> String {
    sandbox.file(
        "tasks.txt",
        "task=1\nexec=shell\ncommand=echo mount >>effects; echo v1\non_resume=repeat\n\
         task=2\nexec=shell\ncommand=test -e fine\n\
         task=4\nexec=shell\ncommand=echo use >>effects; echo @1_stdout@ >sum\n\
         task=9\nfinally=true\nexec=shell\ncommand=echo umount >>effects\n",
    );
    assert_eq!(tasker(sandbox, &[]).code, 1);
    let journal = sandbox.journals().remove(0);
    let id = run_of(&journal);
    sandbox.file("fine", "");
    id
}

#[test]
fn a_run_killed_before_it_goes_on_forgets_nothing() {
    let sandbox = Sandbox::new();
    let run = failed_mount(&sandbox);
    let at = format!("--resume-at={run}:2");
    let mut tried = 0;
    for option in ["--resume", &at] {
        for n in 1.. {
            let sandbox = Sandbox::new();
            let own = failed_mount(&sandbox);
            let option = option.replace(&run, &own);
            if !run_killed_at(&sandbox, Point::Call("pwrite64", n), &[&option]) {
                break;
            }
            tried += 1;
            let ran = tasker(&sandbox, &["--resume", "--lock-wait=30s"]);
            assert_eq!(ran.code, 0, "{option}, killed at {n}: {ran:?}");
            assert_eq!(sandbox.read("sum"), "v1\n", "{option}, killed at {n}");
            let effects = sandbox.read("effects");
            assert!(
                effects.contains("use") && !effects.contains("umount\nuse"),
                "{option}, killed at {n}: {effects}"
            );
        }
    }
    assert!(tried >= 10, "killed at {tried} points");
}

/// The journal of a short run that failed at its last task.
fn failed_run() -> (Sandbox, PathBuf, Vec<u8>) {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", short());
    let ran = tasker(&sandbox, &[]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let journal = sandbox.journals().remove(0);
    let bytes = std::fs::read(&journal).expect("a journal");
    sandbox.file("fine", "");
    (sandbox, journal, bytes)
}

/// Removes what the directory of this journal remembers of its runs.
fn forget_runs(journal: &Path) {
    let state = journal.parent().expect("a directory");
    let files = std::fs::read_dir(state).expect("the directory").flatten();
    for file in files.filter(|file| file.path().is_file()) {
        std::fs::remove_file(file.path()).expect("removed");
    }
}

#[test]
fn a_journal_cut_off_anywhere_resumes_what_it_holds() {
    let expected = run_undisturbed(&short());
    let (sandbox, journal, bytes) = failed_run();
    for length in (0..=bytes.len()).step_by(if try_every_point() { 1 } else { 61 }) {
        let _ = std::fs::remove_file(sandbox.path.join("effects"));
        let part = &bytes[..length];
        // A run that has ended well since then would make up for it.
        forget_runs(&journal);
        std::fs::write(&journal, part).expect("a journal");
        let known = recorded_effects(part);
        let ran = tasker(&sandbox, RECOVER);
        assert_eq!(ran.code, 0, "{length}: {ran:?}");
        let after = count_effects(&sandbox);
        for label in expected.effects.keys() {
            let wanted = u32::from(!known.contains(label));
            let times = after.get(label).copied().unwrap_or(0);
            assert_eq!(times, wanted, "{length}: {label}");
        }
        assert_eq!(sandbox.read("sum"), expected.sum, "{length}");
        let _ = std::fs::remove_file(&journal);
    }
}

/// It may be of any run, so it is named, and as good as not there.
#[test]
fn a_damaged_journal_is_ignored_and_named() {
    let (sandbox, journal, bytes) = failed_run();
    let before = sandbox.read("effects");
    let mut random: u64 = 0x2545_f491_4f6c_dd1d;
    for _ in 0..if try_every_point() { 1000 } else { 60 } {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let at = random as usize % bytes.len();
        let mut damaged = bytes.clone();
        damaged[at] ^= (1 + (random >> 40) % 255) as u8;
        std::fs::write(&journal, &damaged).expect("a journal");
        let ran = tasker(&sandbox, &["--resume"]);
        assert_eq!(ran.code, 12, "byte {at}: {ran:?}");
        let named = format!("the journal `{}` is ignored: ", journal.display());
        let why = "there is no interrupted or failed run of tasks.txt";
        assert!(ran.stderr.contains(&named), "byte {at}: {ran:?}");
        assert!(ran.stderr.contains(why), "byte {at}: {ran:?}");
        assert_eq!(sandbox.read("effects"), before, "byte {at}");
        let now = std::fs::read(&journal).expect("a journal");
        assert_eq!(now, damaged, "byte {at}");
    }
    // Nothing is left of it in a run that begins afresh.
    let expected = run_undisturbed(&short());
    let _ = std::fs::remove_file(sandbox.path.join("effects"));
    let ran = tasker(&sandbox, RECOVER);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(sandbox.log().contains("is ignored: "), "{}", sandbox.log());
    assert_eq!(count_effects(&sandbox), expected.effects);
    assert!(journal.exists(), "it is left for people");
}
