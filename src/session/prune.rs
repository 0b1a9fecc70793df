//! What is no longer kept is removed (SPEC §6.3): by a run as its last act, by a call that
//! ran nothing and left a record of that, and by `--prune`.
#![forbid(unsafe_code)]

use crate::cli::invocation::{Invocation, Typed};
use crate::exit;
use crate::report::log::{Log, LogLevel};
use crate::report::log_directory::LogDirectory;
use crate::report::print::{complain, print};
use crate::report::retention::{Extent, Pruned, Retention};
use crate::session::config;
use crate::session::refusal::Refusal;
use crate::session::validation::Validation;
use crate::text::diagnostic::printable;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a run takes for it at most; the next one goes on.
const PATIENCE: Duration = Duration::from_secs(2);

/// One run in so many looks for it in large directories, so that short runs stay short.
const SOME_RUNS: u64 = 8;

/// After the run with this number: removes what is no longer kept, for a bounded time, and
/// says so in its log.
pub fn after_run(
    log_dir: &LogDirectory,
    retention: &Retention,
    number: u64,
    log: &mut Log,
    is_stopped: &dyn Fn() -> bool,
) {
    let began = Instant::now();
    let stop = || began.elapsed() > PATIENCE || is_stopped();
    let pruned = log_dir.prune(retention, extent(number), &stop);
    for line in pruned.removed(retention) {
        log.write(LogLevel::Info, &capitalized(&line));
    }
    for line in pruned.unfinished(retention) {
        log.write(LogLevel::Warn, &capitalized(&line));
    }
    for line in pruned.troubles() {
        log.write(LogLevel::Warn, &format!("No longer kept, but {line}"));
    }
    if pruned.is_cut_short {
        let line = "Not all that is no longer kept was removed; the next run goes on";
        log.write(LogLevel::Info, line);
    }
}

/// After a call that ran nothing, but recorded something: a job that is refused every night
/// must not fill the disk either. There is no log that could tell of it.
pub fn after_record(validation: &Validation) {
    let Some((directory, _)) = &validation.log_directory else {
        return;
    };
    let (began, now) = (Instant::now(), SystemTime::now());
    let chance = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let log_dir = LogDirectory::new(directory.clone(), now);
    let stop = || began.elapsed() > PATIENCE;
    log_dir.prune_records(
        &validation.retention,
        extent(u64::from(chance.subsec_micros())),
        &stop,
    );
}

fn extent(number: u64) -> Extent {
    match number.is_multiple_of(SOME_RUNS) {
        true => Extent::Everywhere,
        false => Extent::SmallDirectories,
    }
}

/// `--prune`: the exit code.
///
/// # Errors
/// That the command line or the configuration is wrong, or that something could not be
/// removed.
pub fn run(typed: &[Typed]) -> Result<i32, Refusal> {
    let (directory, config) = config::of_question(typed)?;
    let name = printable(&directory.display().to_string());
    let retention = config.retention();
    let log_dir = LogDirectory::new(directory, SystemTime::now());
    let pruned = log_dir.prune(&retention, Extent::Everywhere, &|| false);
    let is_quiet = Invocation::of_command_line(typed).is_ok_and(|asked| asked.quiet);
    if !is_quiet {
        print(&describe(&pruned, &retention, &name));
    }
    let troubles = pruned.troubles();
    for line in &troubles {
        complain(format_args!("tasker: warning: {line}"));
    }
    match troubles.is_empty() {
        true => Ok(exit::OK),
        false => Ok(exit::LOG_DIR),
    }
}

/// What was removed, and what stays.
fn describe(pruned: &Pruned, retention: &Retention, directory: &str) -> String {
    let mut lines = pruned.removed(retention);
    lines.extend(pruned.unfinished(retention));
    if lines.is_empty() && pruned.troubles().is_empty() {
        let logs = match retention.logs {
            Some(days) => format!("keep_logs={days}d"),
            None => "all logs are kept".into(),
        };
        let state = retention.state;
        lines.push(format!(
            "nothing to remove from `{directory}` (keep_state={state}d; {logs})"
        ));
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

fn capitalized(line: &str) -> String {
    match line.split_at_checked(1) {
        Some((first, rest)) => first.to_ascii_uppercase() + rest,
        None => line.into(),
    }
}
