//! A run as one who looks on from outside is told of it (SPEC §6.6): plain lines,
//! the same on a terminal and in a mail.
#![forbid(unsafe_code)]

use super::{clock, endings, safe_text};
use crate::exit;
use crate::outcome::{Counts, Outcome};
use crate::run::record::{BlockStart, CommandStart, RunProcess};
use crate::run::snapshot::Snapshot;
use crate::task::nodeset;
use crate::text::diagnostic::Plural;
use crate::text::quote;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How many running commands are named, and how many failed tasks.
const ROWS: usize = 20;
const FAILED: usize = 10;

/// Above the commands of a run that was killed.
const DIED: &str = "running when it died (outcome not known):";

/// A run as it was found.
pub struct FoundRun {
    pub id: String,
    /// A process holds its journal.
    pub live: bool,
    /// Its own process is not among those of this machine.
    pub hidden: bool,
    /// When the journal was last written.
    pub heard: SystemTime,
    /// What the journal tells, or why it tells nothing.
    pub track: Result<Snapshot, String>,
}

impl FoundRun {
    /// When the run began; the newest come first by it.
    pub fn began(&self) -> SystemTime {
        self.track.as_ref().map_or(self.heard, began)
    }
}

fn began(track: &Snapshot) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(track.header.began)
}

/// The run in one line.
pub fn line(sight: &FoundRun, now: SystemTime) -> String {
    let Ok(track) = &sight.track else {
        return unreadable(sight);
    };
    let how = match sight.live {
        true => alive(sight, track, now),
        false => format!("dead, {}", ended(track)),
    };
    format!("{}: {how}\n", named(sight, track))
}

/// All that is known of the run; `here` is where the reader stands.
pub fn detail(sight: &FoundRun, now: SystemTime, here: &Path) -> String {
    let Ok(track) = &sight.track else {
        return unreadable(sight);
    };
    let head = match sight.live {
        true => alive(sight, track, now),
        false => format!(
            "dead, begun {}, last heard of {}",
            clock::stamp(began(track)),
            clock::stamp(sight.heard)
        ),
    };
    let mut out = format!("{}: {head}\n", named(sight, track));
    if !sight.live || track.flow.is_some() {
        out.push_str(&format!("  {}\n", ended(track)));
    }
    out.push_str(&progress(sight, track));
    out.push_str(&failed(track));
    out.push_str(&under_way(sight, track, now));
    out.push_str(&cut_short(track, now));
    if let Some(process) = &track.process {
        out.push_str(&format!(
            "  log: {}\n",
            safe_text::line(&String::from_utf8_lossy(&process.log))
        ));
        if !sight.live {
            out.push_str(&go_on(track, process, here));
        }
    }
    out
}

fn unreadable(sight: &FoundRun) -> String {
    let state = if sight.live { "live" } else { "dead" };
    let why = sight.track.as_ref().err().map_or("", String::as_str);
    let id = safe_text::line(&sight.id);
    format!("run {id}: {state}, but its journal tells nothing: {why}\n")
}

fn named(sight: &FoundRun, track: &Snapshot) -> String {
    let file = match track.header.file.as_str() {
        "-" => "standard input".to_string(),
        file => safe_text::line(file),
    };
    format!("run {} of {file}", safe_text::line(&sight.id))
}

/// `live, process 4711, since 2024-11-24 13:26:41 (12:04)`
fn alive(sight: &FoundRun, track: &Snapshot, now: SystemTime) -> String {
    let began = began(track);
    let hidden = if sight.hidden {
        " (not seen from here)"
    } else {
        ""
    };
    let named = |p: &RunProcess| format!(" process {}{hidden},", p.pid);
    let (process, word, since) = match &track.process {
        Some(p) if track.processes > 1 => (named(p), "resumed", p.since),
        Some(p) => (named(p), "since", began),
        None => (String::new(), "since", began),
    };
    let stamp = clock::stamp(since);
    format!("live,{process} {word} {stamp} ({})", age(since, now))
}

/// How a run ended, as far as its journal knows.
fn ended(track: &Snapshot) -> String {
    let Some(flow) = &track.flow else {
        return "broke off: tasker or the machine was killed".into();
    };
    let how = match flow.complete {
        true => "reached its end at",
        false => "stopped at",
    };
    let finals = match track.over {
        true => "",
        false => "; its final tasks are not done",
    };
    let (task, code) = (flow.task, flow.exit);
    format!("{how} task {task} with exit code {code}{finals}")
}

/// `7 of 12 tasks done: 6 ok, 1 failed; 1 under way, 4 left`
fn progress(sight: &FoundRun, track: &Snapshot) -> String {
    let mut counts = Counts::default();
    let done = track.done_tasks();
    done.iter().for_each(|(_, outcome, _)| counts.add(*outcome));
    let which = match done.len() {
        0 => String::new(),
        _ => format!(": {counts}"),
    };
    let Some(process) = &track.process else {
        return format!("  {} done{which}\n", Plural(done.len(), "task"));
    };
    let busy = track.unfinished_tasks().len();
    let left = process.tasks.saturating_sub(done.len() + busy);
    let busy = match (busy, sight.live) {
        (0, _) => String::new(),
        (n, true) => format!("{n} under way, "),
        (n, false) => format!("{n} {}, ", Outcome::Unknown),
    };
    let (n, all) = (done.len(), Plural(process.tasks, "task"));
    format!("  {n} of {all} done{which}; {busy}{left} left\n")
}

/// The tasks that did not succeed.
fn failed(track: &Snapshot) -> String {
    let done = track.done_tasks();
    let failed = done.iter().filter(|(_, outcome, _)| outcome.is_failure());
    let named = failed.clone().take(FAILED).map(|(task, outcome, code)| {
        format!("task {task} ({})", endings::failure_label(*outcome, *code))
    });
    let named: Vec<String> = named.collect();
    match failed.count() {
        0 => String::new(),
        n if n > FAILED => format!("  failed: {} and {} more\n", named.join(", "), n - FAILED),
        _ => format!("  failed: {}\n", named.join(", ")),
    }
}

/// The block that is not over, and what runs, or ran when the run died.
fn under_way(sight: &FoundRun, track: &Snapshot, now: SystemTime) -> String {
    let mut out = String::new();
    let running = track.running();
    let (members, others): (Vec<&CommandStart>, Vec<&CommandStart>) =
        running.into_iter().partition(|s| s.is_member);
    if let Some(block) = &track.block {
        out.push_str(&block_line(sight, track, block, members.len()));
        for outcome in Outcome::ALL.into_iter().filter(|o| o.is_failure()) {
            let hosts = track.hosts_with(block, outcome);
            if !hosts.is_empty() {
                let hosts = safe_text::short(&safe_text::line(&nodeset::fold(&hosts)));
                out.push_str(&format!("    {outcome}: {hosts}\n"));
            }
        }
        match sight.live || members.is_empty() {
            true => rows(&members, "    ", sight.live, now, &mut out),
            false => {
                out.push_str(&format!("    {DIED}\n"));
                rows(&members, "      ", false, now, &mut out);
            }
        }
    }
    let idle = members.is_empty() && others.is_empty();
    match sight.live {
        true if idle && track.waiting() == 0 => out.push_str("  no command runs at the moment\n"),
        false if !others.is_empty() => {
            out.push_str(&format!("  {DIED}\n"));
            rows(&others, "    ", false, now, &mut out);
        }
        live => rows(&others, "  ", live, now, &mut out),
    }
    out
}

/// `task 10: deploy, 45/100 done (42 ok, 3 failed), 2 running, 53 left`
fn block_line(sight: &FoundRun, track: &Snapshot, block: &BlockStart, running: usize) -> String {
    let (counts, waiting) = (track.block_counts(block), track.waiting());
    let done = usize::try_from(counts.total()).unwrap_or(block.total);
    let left = block.total.saturating_sub(done + running + waiting);
    let mut parts = vec![match done {
        0 => format!("0/{} done", block.total),
        _ => format!("{done}/{} done ({counts})", block.total),
    }];
    let runs = match sight.live {
        true => "running",
        false => Outcome::Unknown.as_str(),
    };
    if running > 0 {
        parts.push(format!("{running} {runs}"));
    }
    if waiting > 0 {
        parts.push(format!("{waiting} waiting for a retry"));
    }
    parts.push(format!("{left} left"));
    let title = titled(&block.title);
    format!("  task {}{title}, {}\n", block.task, parts.join(", "))
}

fn titled(title: &str) -> String {
    match title.is_empty() {
        true => String::new(),
        false => format!(": {}", safe_text::short(&safe_text::line(title))),
    }
}

/// What the end of the flow ended.
fn cut_short(track: &Snapshot, now: SystemTime) -> String {
    let started = track.cut_short();
    let mut out = String::new();
    if !started.is_empty() {
        out.push_str("  ended with the run, and to be run again:\n");
        rows(&started, "    ", false, now, &mut out);
    }
    out
}

/// One row for each command, but for too many.
fn rows(started: &[&CommandStart], indent: &str, live: bool, now: SystemTime, out: &mut String) {
    for started in started.iter().take(ROWS) {
        let age = match live {
            true => format!(" ({})", age(started.since, now)),
            false => String::new(),
        };
        let since = at(started.since, now);
        out.push_str(&format!("{indent}{} since {since}{age}\n", who(started)));
    }
    if started.len() > ROWS {
        let more = started.len() - ROWS;
        out.push_str(&format!("{indent}and {more} more, begun later\n"));
    }
}

/// `web07` for a copy of a block's command, else the task with its title.
fn who(started: &CommandStart) -> String {
    let host = safe_text::line(&started.host);
    // A copy's label is `BLOCK.INDEX`.
    if started.is_member && started.label.contains('.') {
        return host;
    }
    let title = titled(&started.title);
    let label = safe_text::line(&started.label);
    match host.as_str() {
        "" | "localhost" => format!("task {label}{title}"),
        host => format!("task {label}{title} on {host}"),
    }
}

/// The moment; its day only where that is another.
fn at(moment: SystemTime, now: SystemTime) -> String {
    let (stamp, today) = (clock::stamp(moment), clock::stamp(now));
    match (stamp.split_once(' '), today.split_once(' ')) {
        (Some((day, time)), Some((today, _))) if day == today => time.to_string(),
        _ => stamp,
    }
}

/// `0:41`, `12:04`, `31:00:00`
fn age(since: SystemTime, now: SystemTime) -> String {
    let seconds = now.duration_since(since).unwrap_or_default().as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// The command line that goes on with a dead run.
fn go_on(track: &Snapshot, process: &RunProcess, here: &Path) -> String {
    if track.header.file == "-" {
        return "  it came from standard input, and cannot be gone on with\n".into();
    }
    let over = track.flow.as_ref().filter(|f| f.complete && track.over);
    let (what, option) = match over {
        Some(flow) if flow.exit == exit::OK => return "  nothing is left to do\n".into(),
        Some(flow) => (
            "to begin at that task",
            format!("--start-from {}", flow.task),
        ),
        None => ("to go on", "--resume".into()),
    };
    let cd = match Path::new(OsStr::from_bytes(&process.directory)) == here {
        true => String::new(),
        false => format!(
            "cd {} && ",
            quote::shell_word(&String::from_utf8_lossy(&process.directory))
        ),
    };
    let words = safe_text::line(&process.words);
    format!(
        "  {what}: {}tasker -r {option} {words}\n",
        safe_text::line(&cd)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_read_at_a_glance() {
        let age = |seconds| age(UNIX_EPOCH, UNIX_EPOCH + Duration::from_secs(seconds));
        let all = [0, 41, 724, 3600, 111_601].map(age);
        assert_eq!(all, ["0:00", "0:41", "12:04", "1:00:00", "31:00:01"]);
    }
}
