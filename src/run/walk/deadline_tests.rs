//! Tests of what a deadline does to a run.
#![forbid(unsafe_code)]

use super::simulation::{OK, Observed, outcomes, run_until, seconds};
use crate::outcome::Outcome;
use crate::run::deadline::Deadline;
use crate::run::runner::CommandEnd;

/// A deadline after `at` seconds, of which the last `reserved` are reserved.
fn deadline(at: u64, reserved: u64) -> Option<Deadline> {
    Some(Deadline {
        at: seconds(at),
        reserved: seconds(reserved),
        task: None,
    })
}

fn words(seen: &Observed) -> Vec<&str> {
    seen.starts.iter().map(|(w, _)| w.as_str()).collect()
}

fn cause(seen: &Observed, ix: usize) -> (Outcome, &str) {
    let result = seen.end.results.get(ix).expect("a result");
    (result.outcome, result.cause.as_str())
}

#[test]
fn what_does_not_fit_is_not_started() {
    let text = "task=0\nexec=local\ncommand=one\ntimeout=60\ntask=1\nexec=local\ncommand=two\ntimeout=60\n\
                task=9\nexec=local\ncommand=off @run_outcome@\nfinally=true\n";
    let long = |_: &str, _| (OK, seconds(50));
    let seen = run_until(deadline(120, 10), text, &long);
    assert_eq!(
        (seen.end.exit, words(&seen)),
        (0, vec!["one", "two", "off ok"])
    );
    let seen = run_until(deadline(119, 10), text, &long);
    assert_eq!(
        (seen.end.exit, words(&seen)),
        (15, vec!["one", "off deadline"])
    );
    let why = "does not fit (needs 60 s, 59 s left)";
    assert_eq!(cause(&seen, 1), (Outcome::NotStarted, why));
    assert!(!seen.end.complete && seen.end.why == why);
    assert!(seen.reported.contains(&format!("the deadline: {why}")));
    let seen = run_until(deadline(119, 60), text, &long);
    assert_eq!((seen.end.exit, words(&seen)), (15, vec!["off deadline"]));
}

#[test]
fn all_attempts_must_fit() {
    let text = "task=0\nexec=local\ncommand=one\ntimeout=10\nretry_count=2\nretry_delay=5\n";
    let fails = |_: &str, _| (CommandEnd::Exited(7), seconds(10));
    let seen = run_until(deadline(40, 0), text, &fails);
    assert_eq!((seen.end.exit, seen.starts.len()), (15, 3), "it just fits");
    let seen = run_until(deadline(39, 0), text, &fails);
    assert_eq!((seen.end.exit, seen.starts.len()), (15, 0));
    let seen = run_until(deadline(41, 0), text, &fails);
    assert_eq!(
        (seen.end.exit, seen.starts.len()),
        (7, 3),
        "it failed, but in time"
    );
}

#[test]
fn a_retry_that_no_longer_fits_keeps_the_result_before_it() {
    // It has no timeout, so it is assumed to take 10 s, and takes longer.
    let text = "task=0\nexec=local\ncommand=one\nretry_count=1\nretry_delay=1\n";
    let slow = |_: &str, _| (CommandEnd::Exited(7), seconds(25));
    let seen = run_until(deadline(30, 0), text, &slow);
    assert_eq!((seen.end.exit, seen.starts.len()), (15, 1));
    assert_eq!(cause(&seen, 0), (Outcome::Failed, ""));
    assert_eq!(seen.end.took, seconds(25), "no wait for the retry");
    let block = "task=0\ntype=parallel\ntasks=1\ntask=1\nexec=local\ncommand=one\nretry_count=1\nretry_delay=1\n";
    let seen = run_until(deadline(30, 0), block, &slow);
    assert_eq!((seen.end.exit, seen.starts.len()), (15, 1));
    assert_eq!(outcomes(&seen, 0), [Outcome::Failed]);
    assert_eq!(
        cause(&seen, 0),
        (Outcome::Cancelled, "does not fit (needs 10 s, 5 s left)")
    );
}

#[test]
fn the_deadline_ends_a_task_without_a_timeout() {
    let text = "task=0\nexec=local\ncommand=one\non_failure=9\ntask=9\nexec=local\ncommand=alert\n";
    let seen = run_until(deadline(30, 10), text, &|_, _| (OK, seconds(100)));
    assert_eq!((seen.end.exit, words(&seen)), (15, vec!["one"]));
    assert_eq!(cause(&seen, 0).0, Outcome::Timeout);
    assert_eq!(seen.end.took, seconds(20));
}

#[test]
fn a_block_starts_only_the_subtasks_that_fit() {
    let text = "task=0\ntype=parallel\ntasks=1,2,3\nmax_parallel=1\nnext=always\n\
                task=1\nexec=local\ncommand=one\ntimeout=20\ntask=2\nexec=local\ncommand=two\ntimeout=60\n\
                task=3\nexec=local\ncommand=three\ntimeout=20\ntask=4\nexec=local\ncommand=after\ntimeout=1\n";
    let seen = run_until(deadline(50, 0), text, &|_, _| (OK, seconds(10)));
    assert_eq!((seen.end.exit, words(&seen)), (15, vec!["one", "three"]));
    assert_eq!(
        outcomes(&seen, 0),
        [Outcome::Ok, Outcome::NotStarted, Outcome::Ok]
    );
    let hosts = "task=0\ntype=parallel\nhostnames=h[1-9]\nexec=local\ncommand=do @hostname@\nmax_parallel=2\ntimeout=20\n";
    let seen = run_until(deadline(50, 0), hosts, &|_, _| (OK, seconds(20)));
    assert_eq!((seen.end.exit, seen.starts.len()), (15, 4));
    let counts = seen.end.results.get(0).expect("a result").counts();
    assert_eq!(
        (counts.count(Outcome::Ok), counts.count(Outcome::NotStarted)),
        (4, 5)
    );
}

#[test]
fn no_wave_follows_one_that_does_not_fit() {
    let text = "task=0\ntype=parallel\nhostnames=h[1-9]\nexec=local\ncommand=do @hostname@\ntimeout=20\nwaves=1,2,rest\nwave_pause=15\n";
    let seen = run_until(deadline(60, 0), text, &|_, _| (OK, seconds(10)));
    // One at 0, two at 25; at 50 only 10 s are left.
    assert_eq!((seen.end.exit, seen.starts.len()), (15, 3));
    assert_eq!(seen.end.took, seconds(50));
}

#[test]
fn loops_and_branches_stop_at_the_deadline() {
    let text = "task=0\nexec=local\ncommand=turn\ntimeout=10\nnext=loop\nloop=9\nsleep=5\n";
    let seen = run_until(deadline(45, 0), text, &|_, _| (OK, seconds(10)));
    assert_eq!((seen.end.exit, seen.starts.len()), (15, 3));
    let text = "task=0\ntype=conditional\ncondition=true\nif_true_tasks=1,2,3\n\
                task=1\nexec=local\ncommand=one\ntimeout=10\ntask=2\nexec=local\ncommand=two\ntimeout=10\n\
                task=3\nexec=local\ncommand=three\ntimeout=10\ntask=4\nexec=local\ncommand=after\n";
    let seen = run_until(deadline(15, 0), text, &|_, _| (OK, seconds(10)));
    assert_eq!((seen.end.exit, words(&seen)), (15, vec!["one"]));
    assert_eq!(
        outcomes(&seen, 0),
        [Outcome::Ok, Outcome::NotStarted, Outcome::NotStarted]
    );
}

#[test]
fn a_pause_ends_at_the_deadline() {
    let text = "task=0\nexec=local\ncommand=one\nsleep=10h\ntask=1\nexec=local\ncommand=two\n";
    let seen = run_until(deadline(60, 5), text, &|_, _| (OK, seconds(1)));
    assert_eq!((seen.end.exit, words(&seen)), (15, vec!["one"]));
    assert_eq!(seen.end.took, seconds(55));
}

#[test]
fn the_deadline_task_runs_without_a_deadline() {
    let text = "task=0\nexec=local\ncommand=one\ntimeout=60\nnext=never\n\
                task=5\nexec=local\ncommand=roll back\ntimeout=60\ntask=6\nexec=local\ncommand=tell\nreturn=3\n\
                task=9\nexec=local\ncommand=off @run_outcome@\nfinally=true\n";
    let jump = deadline(10, 5).map(|d| Deadline { task: Some(1), ..d });
    let seen = run_until(jump, text, &|_, _| (OK, seconds(50)));
    assert_eq!(
        (seen.end.exit, words(&seen)),
        (15, vec!["roll back", "tell", "off deadline"])
    );
    assert!(seen.end.why.starts_with("does not fit (needs 60 s"));
}
