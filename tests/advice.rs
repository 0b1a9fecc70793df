//! What tasker prints is typed: random workflows end early in every way, and the
//! command lines that tasker advises are executed in a fresh shell until none is
//! printed (SPEC §6.4, §3.7). Then everything that an undisturbed run does is done,
//! or named as undone, and nothing was done twice without a word.
//!
//! `TASKER_ADVICE_SEED=N` sets another first seed, `TASKER_ADVICE_WORKFLOWS=N` the
//! number of workflows; `make test-advice` tries 500.

#[path = "support/advice/mod.rs"]
mod advice;
#[path = "support/chance.rs"]
mod chance;
mod support;

use advice::chain::{self, Story};
use advice::judge::{self, Complaint};
use advice::round::{self, Round};
use advice::shrink;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// How often a round is tried to be made smaller.
const TRIES: usize = 150;

/// How many runs of a story are shown.
const SHOWN_RUNS: usize = 4;

fn number_from_env(variable: &str, default: u64) -> u64 {
    let set = std::env::var(variable).ok();
    set.map_or(default, |text| text.parse().expect("a number"))
}

/// Runs the round and judges it.
fn try_round(round: &Round) -> Result<Story, (Complaint, String)> {
    let good = match chain::good_run(round) {
        Ok(good) => good,
        Err(about) => {
            let kind = "the generator's mistake";
            let text = describe(round, None);
            return Err((Complaint { kind, about }, text));
        }
    };
    let story = chain::follow(round, good);
    match judge::judge(round, &story) {
        Ok(()) => Ok(story),
        Err(complaint) => {
            let text = describe(round, Some(&story));
            Err((complaint, text))
        }
    }
}

/// The task file, what was broken, and everything that was printed.
fn describe(round: &Round, story: Option<&Story>) -> String {
    let mut text = format!(
        "--- task file\n{}--- round\nbroken {:?}, hung {:?}, soft {:?}, flaky {:?}\nfirst {:?}, second {:?}, cured {:?}, edited {:?}\n{:?}\n",
        round.workflow.task_file(round.call.style),
        round.broken,
        round.hung,
        round.soft,
        round.flaky,
        round.first,
        round.second,
        round.cure,
        round.edit,
        round.call,
    );
    let runs = story.iter().flat_map(|s| s.runs.iter().enumerate());
    for (number, run) in runs.take(SHOWN_RUNS) {
        let events: Vec<String> = run
            .events
            .iter()
            .map(|e| format!("{} {}", e.what, e.item))
            .collect();
        let _ = write!(
            text,
            "--- run {number}: {}\n--- it ended with {}, signal {:?}, and did: {}\n{}{}",
            run.line,
            run.code,
            run.signal,
            events.join(", "),
            without_warnings(&run.output),
            run.status
        );
    }
    text
}

/// Without what is said of the file, which is the same each time.
fn without_warnings(output: &str) -> String {
    let mut text = String::new();
    let mut is_warning = false;
    for line in output.split_inclusive('\n') {
        is_warning |= line.contains(".txt:") && line.contains(": warning: ");
        if !is_warning {
            text.push_str(line);
        }
        is_warning &= !(line.starts_with("tasker: ") && line.contains(" errors, "));
    }
    text
}

fn try_one(seed: u64, shrunk: &AtomicU64) -> Result<Story, (&'static str, String)> {
    let first = round::draw(seed);
    let (complaint, text) = match try_round(&first) {
        Ok(story) => return Ok(story),
        Err(found) => found,
    };
    let kind = complaint.kind;
    let mut report = format!(
        "=== {kind}: {}; TASKER_ADVICE_SEED={seed} TASKER_ADVICE_WORKFLOWS=1 makes it again\n",
        complaint.about
    );
    if shrunk.fetch_add(1, Ordering::Relaxed) >= number_from_env("TASKER_ADVICE_SHRINK", 3) {
        return Err((kind, report));
    }
    let smallest = shrink::shrink(first, TRIES, &mut |smaller| {
        try_round(smaller).is_err_and(|(found, _)| found.kind == kind)
    });
    match try_round(&smallest) {
        Err((complaint, text)) => {
            let _ = write!(
                report,
                "smallest: {}: {}\n{text}",
                complaint.kind, complaint.about
            );
        }
        Ok(_) => {
            let _ = write!(report, "not every time; as found:\n{text}");
        }
    }
    Err((kind, report))
}

#[test]
fn the_printed_advice_leaves_nothing_undone_and_does_nothing_twice() {
    let first = number_from_env("TASKER_ADVICE_SEED", 17_000);
    let count = number_from_env("TASKER_ADVICE_WORKFLOWS", 30);
    let (seen, shrunk) = (&Mutex::new(Vec::new()), &AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..2 {
            scope.spawn(move || {
                for number in (thread..count).step_by(2) {
                    let one = try_one(first.wrapping_add(number), shrunk);
                    seen.lock().expect("what was seen").push(one);
                }
            });
        }
    });
    let seen = seen.lock().expect("what was seen");
    let failures: Vec<&(&str, String)> = seen.iter().filter_map(|s| s.as_ref().err()).collect();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for (kind, _) in &failures {
        *kinds.entry(kind).or_insert(0) += 1;
    }
    let text: String = failures
        .iter()
        .map(|(_, text)| format!("{text}\n"))
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {count}: {kinds:?}\n{text}",
        failures.len()
    );
    assert_varied(seen.iter().flatten(), count);
}

/// Rounds that are too tame would show nothing.
fn assert_varied<'a>(stories: impl Iterator<Item = &'a Story>, count: u64) {
    let (mut codes, mut options) = (BTreeMap::new(), BTreeMap::new());
    let mut longest = 0;
    for story in stories {
        *codes.entry(story.runs[0].code).or_insert(0) += 1;
        longest = longest.max(story.runs.len());
        for run in &story.runs[1..] {
            for option in ["--resume=", "--resume-at"] {
                if run.line.contains(option) {
                    *options.entry(option).or_insert(0) += 1;
                }
            }
        }
    }
    if count >= 200 {
        let wanted = [1, 3, 10, 14, 15, 130, 143];
        assert!(wanted.iter().all(|c| codes.contains_key(c)), "{codes:?}");
        assert_eq!(options.len(), 2, "{options:?}");
        assert!(longest >= 3, "{longest}");
    }
}

/// A command that kills tasker at once, as the OOM killer might: it is named as not
/// known before it runs again, whichever of the two is faster.
#[test]
fn what_kills_tasker_is_named_before_it_runs_again() {
    for _ in 0..40 {
        let sandbox = support::Sandbox::new();
        let kill = "if [ ! -e fine ]; then kill -9 $PPID; sleep 60; fi";
        let text =
            format!("task=10\nexec=shell\ncommand=true\ntask=20\nexec=shell\ncommand={kill}\n");
        let child = sandbox.start(&text, &[]);
        let ran = support::finish(child);
        assert_eq!(ran.code, -9, "{ran:?}");
        let home = format!("HOME={}", sandbox.path.display());
        support::wait_for("the end of all processes", || {
            support::processes_with(&home).is_empty()
        });
        sandbox.file("fine", "");
        let ran = sandbox.output(&["-r", "--resume", "tasks.txt"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let says = |line: &str| line.contains("may have been done") && line.contains("20");
        assert!(ran.stderr.lines().any(says), "{ran:?}");
    }
}
