//! `--mail-once` (SPEC §6.6): what cron mails while a job keeps failing. A file in
//! the log directory remembers how each job failed last time. If it is lost, the
//! next failure is reported in full once more, and nothing else is lost.
#![forbid(unsafe_code)]

use crate::cli::invocation::Invocation;
use crate::report::log_directory::{self, LogDirectory};
use crate::report::{clock, endings, print, safe_text};
use crate::run::directory::NamedFile;
use crate::run::interrupt::signal_name;
use crate::run::run_end::RunEnd;
use crate::session::identity::short_hash;
use crate::session::load::Loaded;
use crate::session::refusal::{self, Refusal};
use crate::session::validation::Validation;
use crate::text::diagnostic::{Plural, reason};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A failure, as it is compared with the last one and reported in one line.
pub struct Failure {
    /// The same for the same tasks, outcomes and hosts.
    key: String,
    /// What failed.
    brief: String,
    /// The log that says more, if there is one.
    log: Option<String>,
}

impl Failure {
    pub fn of_end(loaded: &Loaded, end: &RunEnd, log: &Path) -> Failure {
        Failure {
            key: short_hash(key_of(loaded, end).as_bytes()),
            brief: brief_of(loaded, end),
            log: Some(log.display().to_string()),
        }
    }

    pub fn of_refusal(refusal: &Refusal) -> Failure {
        let Refusal {
            code,
            why,
            findings,
            detail,
            ..
        } = refusal;
        let failed = format!("refused {code}\n{why}\n{findings}\n{detail}");
        Failure {
            key: short_hash(failed.as_bytes()),
            brief: format!("{}; nothing was run", refusal.sentence()),
            log: refusal.log.as_ref().map(|l| l.display().to_string()),
        }
    }
}

/// Everything that did not succeed, one line each, and how the run ended if that
/// was not decided by a task alone.
fn key_of(loaded: &Loaded, end: &RunEnd) -> String {
    let mut key = String::new();
    for (ix, task) in loaded.workflow.tasks.iter().enumerate() {
        let failed = end.results.get(ix).filter(|r| r.outcome.is_failure());
        if let Some(result) = failed {
            key += &format!(
                "task {} {}\n",
                task.id,
                endings::failed_where(result, task.is_over_hosts())
            );
        }
    }
    let last = end.results.get(end.last).map(|r| r.exit);
    if last != Some(end.exit) || end.signal.is_some() {
        key += &format!("exit {}\n", end.exit);
    }
    key + &format!("last {}\n", loaded.workflow.tasks[end.last].id)
}

fn brief_of(loaded: &Loaded, end: &RunEnd) -> String {
    let first = end.first_failure.and_then(|ix| {
        let (task, result) = (&loaded.workflow.tasks[ix], end.results.get(ix)?);
        let task_named = safe_text::task_name(task);
        Some(format!(
            "task {task_named} {}",
            endings::failed_where(result, task.is_over_hosts())
        ))
    });
    match (end.signal, first) {
        (Some(signal), _) => format!("ended by {}", signal_name(signal)),
        (None, Some(first)) => first,
        (None, None) => format!("exit code {}: {}", end.exit, end.why),
    }
}

/// Reports a failure: in full, or in one line if it is the same as last time.
pub fn report(
    invocation: &Invocation,
    validation: &Validation,
    failure: &Failure,
    show_in_full: impl FnOnce(),
) {
    if !is_wanted(invocation) {
        return show_in_full();
    }
    let now = SystemTime::now();
    match note(validation, &failure.key, now) {
        Ok(Some(memory)) => {
            let since = since(&memory, now);
            let (times, brief) = (ordinal(memory.count), &failure.brief);
            let log = failure.log.as_ref();
            let log = log.map_or(String::new(), |log| format!("; log: {log}"));
            let line = format!("same as since {since} ({times} time): {brief}{log}");
            complain(validation, &line);
        }
        Ok(None) => show_in_full(),
        Err(why) => {
            show_in_full();
            complain(validation, &format!("reported in full: --mail-once: {why}"));
        }
    }
}

/// Prints that the job has recovered, on the first success after a failure.
pub fn recovered(loaded: &Loaded) {
    if !is_wanted(&loaded.invocation) {
        return;
    }
    if let Err(why) = forget(&loaded.validation) {
        complain(&loaded.validation, &format!("--mail-once: {why}"));
    }
}

fn is_wanted(invocation: &Invocation) -> bool {
    invocation.mail_once && invocation.quiet
}

/// One line on standard error, in the form of the last line of a recap.
fn complain(validation: &Validation, text: &str) {
    let text = validation.mask.apply(&safe_text::line(text));
    print::complain(format_args!(
        "tasker: {}: {}",
        validation.name,
        safe_text::short(&text)
    ));
}

/// How a job failed last time.
struct Memory {
    key: String,
    since: SystemTime,
    /// How many times in a row.
    count: u64,
}

/// Remembers the failure; returns what is remembered if it is the same as last time.
fn note(validation: &Validation, key: &str, now: SystemTime) -> Result<Option<Memory>, String> {
    let file = memory_file(validation)?;
    let (earlier, trouble) = match Memory::read(&file) {
        Ok(earlier) => (earlier, None),
        Err(why) => (None, Some(why)),
    };
    let memory = match earlier {
        Some(earlier) if earlier.key == key => Memory {
            count: earlier.count.saturating_add(1),
            ..earlier
        },
        _ => Memory {
            key: key.to_string(),
            since: now,
            count: 1,
        },
    };
    memory.write(&file)?;
    match trouble {
        Some(why) => Err(why),
        None => Ok(Some(memory).filter(|m| m.count > 1)),
    }
}

fn forget(validation: &Validation) -> Result<(), String> {
    let file = memory_file(validation)?;
    let now = SystemTime::now();
    let how = match Memory::read(&file) {
        Ok(None) => return Ok(()),
        Ok(Some(memory)) => format!(
            "after {} since {}",
            Plural(
                usize::try_from(memory.count).unwrap_or(usize::MAX),
                "failure"
            ),
            since(&memory, now)
        ),
        Err(why) => format!("after failures; {why}"),
    };
    let at = clock::stamp(now);
    print::print(&format!(
        "tasker: {}: recovered at {} {how}\n",
        safe_text::line(&validation.name),
        &at[11..16]
    ));
    file.remove().map_err(|e| about(&file, &e))
}

impl Memory {
    /// Nothing if the job did not fail last time.
    fn read(file: &NamedFile) -> Result<Option<Memory>, String> {
        let text = match log_directory::read_text(file) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(about(file, &e)),
        };
        let damaged = || format!("`{}` is damaged and is replaced", file.path().display());
        Memory::parse(&text).map(Some).ok_or_else(damaged)
    }

    /// `1 KEY SECONDS COUNT`, where the first is the version.
    fn parse(text: &str) -> Option<Memory> {
        let words: Vec<&str> = text.strip_suffix('\n')?.split(' ').collect();
        let [version, key, since, count] = words[..] else {
            return None;
        };
        let since = Duration::from_secs(since.parse().ok()?);
        Some(Memory {
            key: Some(key).filter(|_| version == "1")?.to_string(),
            since: UNIX_EPOCH.checked_add(since)?,
            count: count.parse().ok().filter(|c| *c > 0)?,
        })
    }

    fn write(&self, file: &NamedFile) -> Result<(), String> {
        let since = self.since.duration_since(UNIX_EPOCH);
        let since = since.map_or(0, |d| d.as_secs());
        let text = format!("1 {} {since} {}\n", self.key, self.count);
        let written = log_directory::replace(file, &|out| out.write_all(text.as_bytes()));
        written.map_err(|e| e.to_string())
    }
}

fn about(file: &NamedFile, error: &io::Error) -> String {
    format!("`{}`: {}", file.path().display(), reason(error))
}

/// The memory of the job, which stays the same when the file is corrected after a
/// failure.
fn memory_file(validation: &Validation) -> Result<NamedFile, String> {
    let directory = validation.memory_directory.clone();
    let directory = directory.ok_or_else(|| refusal::homeless().why)?;
    let log_dir = LogDirectory::new(directory, SystemTime::now());
    log_dir
        .mail_file(&validation.job)
        .map_err(|e| e.to_string())
}

/// The time of day of the first failure, with the date unless it is today.
fn since(memory: &Memory, now: SystemTime) -> String {
    let (since, now) = (clock::stamp(memory.since), clock::stamp(now));
    match since[..10] == now[..10] {
        true => since[11..16].to_string(),
        false => since[..16].to_string(),
    }
}

fn ordinal(count: u64) -> String {
    let end = match (count % 10, count % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{count}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_counted_in_english() {
        let all = [1, 2, 3, 4, 11, 12, 13, 21, 22, 111, 103].map(ordinal);
        assert_eq!(
            all.join(" "),
            "1st 2nd 3rd 4th 11th 12th 13th 21st 22nd 111th 103rd"
        );
    }

    #[test]
    fn what_is_not_a_memory_is_not_read_as_one() {
        assert!(Memory::parse("1 abc 1700000000 3\n").is_some_and(|m| m.count == 3));
        for damaged in [
            "",
            "1 abc 1700000000 3",
            "2 abc 1 3\n",
            "1 abc 1 0\n",
            "1 abc x 1\n",
            "1 abc 99999999999999999999 1\n",
        ] {
            assert!(Memory::parse(damaged).is_none(), "{damaged}");
        }
    }
}
