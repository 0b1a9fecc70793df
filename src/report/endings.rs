//! How a task, a block and a run ended, and which branch was taken, in words. Every
//! report and the mail use these, so that each of them has one wording.
#![forbid(unsafe_code)]

use crate::exit;
use crate::outcome::Outcome;
use crate::run::interrupt::signal_name;
use crate::run::result::TaskResult;
use crate::run::run_end::RunEnd;
use crate::task::{Task, nodeset};
use crate::text::duration;

/// Which branch a conditional block runs; `begins_at` is the member that the run begins
/// at.
pub fn branch_choice(holds: bool, begins_at: Option<u32>) -> String {
    match begins_at {
        Some(id) => format!("begins at task {id}, as if its condition were {holds}"),
        None => format!("its condition is {holds}"),
    }
}

/// `failed`, `cancelled (CAUSE)`
pub fn outcome_and_cause(result: &TaskResult) -> String {
    match result.cause.as_str() {
        "" => result.outcome.to_string(),
        cause => format!("{} ({cause})", result.outcome),
    }
}

/// `ok`, `failed, exit 3`, `not_started (CAUSE)`: a task, or a host of a block.
pub fn task_end(result: &TaskResult) -> String {
    outcome_and_cause(result) + &exit_part(result.outcome, result.exit)
}

/// `, exit 3`; empty if nothing ran, or if the exit code adds nothing to the outcome.
pub fn exit_part(outcome: Outcome, code: i32) -> String {
    match (outcome, code) {
        (Outcome::Ok, 0) | (Outcome::Skipped, _) | (_, ..0) => String::new(),
        _ => format!(", exit {code}"),
    }
}

/// `exit 3`, `timeout`: for a subject that is known to have failed.
pub fn failure_label(outcome: Outcome, code: i32) -> String {
    match outcome {
        Outcome::Failed => format!("exit {code}"),
        outcome => outcome.to_string(),
    }
}

/// `failed (3 ok, 1 failed)`
pub fn block_end(result: &TaskResult) -> String {
    format!("{} ({})", result.outcome, result.counts())
}

/// `failed (3 ok, 1 failed: web07)`
pub fn block_end_with_names(result: &TaskResult) -> String {
    let parts = members_by_outcome(result).map(|(outcome, names)| match outcome {
        Outcome::Ok => format!("{} ok", names.len()),
        _ => format!("{} {outcome}: {}", names.len(), nodeset::fold(&names)),
    });
    match parts.collect::<Vec<_>>().join("; ").as_str() {
        "" => format!("{} (no subtasks)", result.outcome),
        parts => format!("{} ({parts})", result.outcome),
    }
}

/// `failed on web[01-03], unreachable on web07`; `failed in 11,12` for a `tasks=`
/// block; `failed on web07` for a task on a host.
pub fn failed_where(result: &TaskResult, over_hosts: bool) -> String {
    let failures = members_by_outcome(result).filter(|(outcome, _)| outcome.is_failure());
    let parts = failures.map(|(outcome, names)| match over_hosts {
        true => format!("{outcome} on {}", nodeset::fold(&names)),
        false => format!("{outcome} in {}", names.join(",")),
    });
    match parts.collect::<Vec<_>>().join(", ") {
        parts if parts.is_empty() => format!("{}{}", result.outcome, on_host(result)),
        parts => parts,
    }
}

/// ` on web07`; nothing for this machine.
pub fn on_host(result: &TaskResult) -> String {
    match result.hostname.as_str() {
        "" | "localhost" => String::new(),
        host => format!(" on {host}"),
    }
}

fn members_by_outcome(result: &TaskResult) -> impl Iterator<Item = (Outcome, Vec<&str>)> {
    let all = Outcome::ALL.into_iter();
    let named = all.map(|outcome| (outcome, result.members_with(&[outcome])));
    named.filter(|(_, names)| !names.is_empty())
}

/// The predicate of a sentence about a task that did not succeed: `failed with exit
/// code 3 after 0.1 s, on attempt 2`, `timed out after 60 s`.
pub fn failure(result: &TaskResult, is_loop: bool) -> String {
    let (outcome, code) = (result.outcome, result.exit);
    let after = format!(" after {}", duration::show(result.took));
    let what = match outcome {
        Outcome::Failed if !result.members.is_empty() && !result.cause.is_empty() => {
            format!("{}{after}: {}", block_end(result), result.cause)
        }
        _ if !result.members.is_empty() => block_end(result) + &after,
        Outcome::Timeout => format!("timed out{after}"),
        Outcome::NotStarted if !result.cause.is_empty() => {
            format!("not started ({})", result.cause)
        }
        _ if !result.cause.is_empty() => outcome_and_cause(result) + &after,
        _ if (exit::SIGNAL + 1..exit::SIGNAL + 65).contains(&code) => {
            format!("was killed by {}{after}", fatal_signal(code - exit::SIGNAL))
        }
        _ if code == 0 && is_loop => {
            format!("exited 0{after}, but its `loop_break` never held")
        }
        _ if code == 0 => format!("exited 0{after}, but its criterion did not hold"),
        _ => format!("{outcome} with exit code {code}{after}"),
    };
    match result.attempts {
        0 | 1 => what,
        n => format!("{what}, on attempt {n}"),
    }
}

/// `signal 15 (SIGTERM)`
fn fatal_signal(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL, often sent by the kernel when memory runs out",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        _ => return format!("signal {signal}"),
    };
    format!("signal {signal} ({name})")
}

/// `ok`, `failed with exit code 3`, `ended by SIGTERM with exit code 143`
pub fn run_end(code: i32, signal: Option<i32>) -> String {
    match signal {
        Some(signal) => format!("ended by {} with exit code {code}", signal_name(signal)),
        None if code == exit::OK => "ok".into(),
        None => format!("failed with exit code {code}"),
    }
}

/// `success` or `failed`, for programs.
pub fn status(code: i32) -> &'static str {
    match code {
        exit::OK => "success",
        _ => "failed",
    }
}

/// Why a run failed, in one line: its first failure, else why its flow ended. Empty
/// if it succeeded.
pub fn run_error(tasks: &[Task], end: &RunEnd) -> String {
    if end.exit == exit::OK {
        return String::new();
    }
    let first = end.first_failure;
    match first.and_then(|ix| Some((&tasks[ix], end.results.get(ix)?))) {
        Some((task, result)) => format!("task {}: {}", task.id, task_end(result)),
        None => end.why.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::result::Member;
    use std::time::Duration;

    fn result(outcome: Outcome, exit: i32) -> TaskResult {
        TaskResult {
            took: Duration::from_millis(1500),
            ..TaskResult::without_process(outcome, exit, 1)
        }
    }

    fn caused(outcome: Outcome, cause: &str) -> TaskResult {
        TaskResult {
            cause: cause.into(),
            ..result(outcome, -1)
        }
    }

    fn block(members: &[(&str, Outcome)]) -> TaskResult {
        let members = members
            .iter()
            .map(|(name, outcome)| Member::counted((*name).into(), result(*outcome, 1)));
        TaskResult {
            members: members.collect(),
            ..result(Outcome::Failed, 10)
        }
    }

    #[test]
    fn the_end_of_a_task_in_a_few_words() {
        assert_eq!(task_end(&result(Outcome::Ok, 0)), "ok");
        assert_eq!(task_end(&result(Outcome::Ok, 4)), "ok, exit 4");
        assert_eq!(task_end(&result(Outcome::Failed, 0)), "failed, exit 0");
        assert_eq!(task_end(&result(Outcome::Skipped, -1)), "skipped");
        let cancelled = caused(Outcome::Cancelled, "deadline");
        assert_eq!(task_end(&cancelled), "cancelled (deadline)");
        assert_eq!(failure_label(Outcome::Failed, 3), "exit 3");
        assert_eq!(failure_label(Outcome::Timeout, 124), "timeout");
    }

    #[test]
    fn the_end_of_a_block_with_its_members() {
        let names = [
            ("web1", Outcome::Ok),
            ("web2", Outcome::Failed),
            ("web3", Outcome::Failed),
            ("web4", Outcome::Unreachable),
        ];
        let block = block(&names);
        assert_eq!(block_end(&block), "failed (1 ok, 2 failed, 1 unreachable)");
        assert_eq!(
            block_end_with_names(&block),
            "failed (1 ok; 2 failed: web[2-3]; 1 unreachable: web4)"
        );
        assert_eq!(
            failed_where(&block, false),
            "failed in web2,web3, unreachable in web4"
        );
        assert_eq!(failed_where(&result(Outcome::Failed, 1), true), "failed");
    }

    #[test]
    fn a_failure_as_the_predicate_of_a_sentence() {
        let sentence = |result: &TaskResult| failure(result, false);
        assert_eq!(
            sentence(&result(Outcome::Failed, 3)),
            "failed with exit code 3 after 1.500 s"
        );
        assert_eq!(
            sentence(&result(Outcome::Timeout, 124)),
            "timed out after 1.500 s"
        );
        assert_eq!(
            sentence(&result(Outcome::Failed, 143)),
            "was killed by signal 15 (SIGTERM) after 1.500 s"
        );
        assert_eq!(
            sentence(&result(Outcome::Failed, 0)),
            "exited 0 after 1.500 s, but its criterion did not hold"
        );
        let cancelled = caused(Outcome::Cancelled, "deadline");
        assert_eq!(sentence(&cancelled), "cancelled (deadline) after 1.500 s");
        let third = TaskResult {
            attempts: 3,
            ..result(Outcome::Failed, 1)
        };
        assert!(sentence(&third).ends_with(" after 1.500 s, on attempt 3"));
    }

    #[test]
    fn the_end_of_a_run() {
        assert_eq!(run_end(0, None), "ok");
        assert_eq!(run_end(3, None), "failed with exit code 3");
        let ended = run_end(143, Some(15));
        assert_eq!(ended, "ended by SIGTERM with exit code 143");
    }
}
