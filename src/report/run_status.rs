//! What `--status` prints about a run (SPEC §6.6): plain lines, the same on a
//! terminal and in a mail.
#![forbid(unsafe_code)]

use super::{clock, endings, safe_text};
use crate::exit;
use crate::outcome::{Counts, Outcome};
use crate::run::record::{BlockStart, CommandStart, FlowEnd, FlowStop, RunProcess};
use crate::run::snapshot::Snapshot;
use crate::task::nodeset;
use crate::text::diagnostic::Plural;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How many running commands and how many failed tasks are listed.
const ROWS: usize = 20;
const FAILED: usize = 10;

/// Introduces the commands of a run that was killed.
const RUNNING_WHEN_IT_DIED: &str = "running when it died (outcome not known):";

/// A run that left a journal.
pub struct FoundRun {
    pub id: String,
    /// The user whose journal it is, if that is another.
    pub owner: Option<u32>,
    /// Whether a process holds its journal.
    pub live: bool,
    /// The id that its process has here, if it is visible.
    pub process_here: Option<u32>,
    /// Its log was removed.
    pub log_is_gone: bool,
    /// When the journal was last written.
    pub last_write: SystemTime,
    /// What the journal says, or why it cannot be read.
    pub snapshot: Result<Snapshot, String>,
}

impl FoundRun {
    /// When the run began.
    pub fn began(&self) -> SystemTime {
        self.snapshot.as_ref().map_or(self.last_write, began)
    }
}

fn began(snapshot: &Snapshot) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(snapshot.header.began)
}

/// The run in one line.
pub fn line(run: &FoundRun, now: SystemTime) -> String {
    let Ok(snapshot) = &run.snapshot else {
        return unreadable(run);
    };
    let how = match run.live {
        true => alive(run, snapshot, now),
        false => format!("dead, {}", ended(snapshot.flow.as_ref(), snapshot.over)),
    };
    format!("{}: {how}\n", run_and_file(run, snapshot))
}

/// All that is known about the run.
pub fn detail(run: &FoundRun, now: SystemTime) -> String {
    let Ok(snapshot) = &run.snapshot else {
        return unreadable(run);
    };
    let head = match run.live {
        true => alive(run, snapshot, now),
        false => format!(
            "dead, began {}, last journal entry {}",
            clock::stamp(began(snapshot)),
            clock::stamp(run.last_write)
        ),
    };
    let mut out = format!("{}: {head}\n", run_and_file(run, snapshot));
    if !run.live || snapshot.flow.is_some() {
        let how = ended(snapshot.flow.as_ref(), snapshot.over);
        out.push_str(&format!("  {how}\n"));
    }
    out.push_str(&progress(run, snapshot));
    out.push_str(&failed(snapshot));
    out.push_str(&in_progress(run, snapshot, now));
    out.push_str(&cut_short(snapshot, now));
    if let Some(process) = &snapshot.process {
        let gone = if run.log_is_gone { " (it is gone)" } else { "" };
        out.push_str(&format!(
            "  log: {}{gone}\n",
            safe_text::line(&String::from_utf8_lossy(&process.log))
        ));
        match run.owner {
            _ if run.live => {}
            // A command line of another user is nothing to copy.
            Some(owner) => out.push_str(&format!(
                "  how to continue it: --status says so to its user (id {owner})\n"
            )),
            None => out.push_str(&how_to_continue(snapshot, process)),
        }
    }
    out
}

fn unreadable(run: &FoundRun) -> String {
    let state = if run.live { "live" } else { "dead" };
    let why = run.snapshot.as_ref().err().map_or("", String::as_str);
    let id = safe_text::line(&run.id);
    format!("run {id}: {state}, but its journal cannot be read: {why}\n")
}

fn run_and_file(run: &FoundRun, snapshot: &Snapshot) -> String {
    let file = match snapshot.header.file.as_str() {
        "-" => "standard input".to_string(),
        file => safe_text::line(file),
    };
    format!("run {} of {file}", safe_text::line(&run.id))
}

/// `live, process 4711, since 2024-11-24 13:26:41 (12:04)`
fn alive(run: &FoundRun, snapshot: &Snapshot, now: SystemTime) -> String {
    let began = began(snapshot);
    let named = |p: &RunProcess| match (run.process_here, p.pid) {
        (Some(here), pid) if here == pid => format!(" process {pid},"),
        (Some(here), pid) => format!(" process {here} ({pid} in its container),"),
        (None, pid) => format!(" process {pid} (not visible here),"),
    };
    let (process, word, since) = match &snapshot.process {
        Some(p) if snapshot.processes > 1 => (named(p), "resumed", p.since),
        Some(p) => (named(p), "since", began),
        None => (String::new(), "since", began),
    };
    let stamp = clock::stamp(since);
    format!("live,{process} {word} {stamp} ({})", age(since, now))
}

/// How a run ended, according to its journal: how its flow did, and whether its final
/// tasks have run as well.
pub fn ended(flow: Option<&FlowEnd>, over: bool) -> String {
    let Some(flow) = flow else {
        return "was killed, or the machine went down".into();
    };
    let how = match flow.how {
        FlowStop::Closed => "was closed by --finish-only at",
        FlowStop::Reached => "reached its end at",
        FlowStop::Stopped => "stopped at",
    };
    let finals = match over {
        true => "",
        false => "; not all of its final tasks have run",
    };
    let (task, code) = (flow.task, flow.exit);
    format!("{how} task {task} with exit code {code}{finals}")
}

/// `7 of 12 tasks done: 6 ok, 1 failed; 1 in progress, 4 left`
fn progress(run: &FoundRun, snapshot: &Snapshot) -> String {
    let mut counts = Counts::default();
    let done = snapshot.done_tasks();
    done.iter().for_each(|(_, outcome, _)| counts.add(*outcome));
    let which = match done.len() {
        0 => String::new(),
        _ => format!(": {counts}"),
    };
    let Some(process) = &snapshot.process else {
        return format!("  {} done{which}\n", Plural(done.len(), "task"));
    };
    let busy = snapshot.unfinished_tasks().len();
    let left = process.tasks.saturating_sub(done.len() + busy);
    let busy = match (busy, run.live) {
        (0, _) => String::new(),
        (n, true) => format!("{n} in progress, "),
        (n, false) => format!("{n} {}, ", Outcome::Unknown),
    };
    let (n, all) = (done.len(), Plural(process.tasks, "task"));
    format!("  {n} of {all} done{which}; {busy}{left} left\n")
}

/// The tasks that did not succeed.
fn failed(snapshot: &Snapshot) -> String {
    let done = snapshot.done_tasks();
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

/// The unfinished block, and the commands that are running, or were when the run
/// died.
fn in_progress(run: &FoundRun, snapshot: &Snapshot, now: SystemTime) -> String {
    let mut out = String::new();
    let running = snapshot.running();
    let (members, others): (Vec<&CommandStart>, Vec<&CommandStart>) =
        running.into_iter().partition(|s| s.is_member);
    if let Some(block) = &snapshot.block {
        out.push_str(&block_line(run, snapshot, block, members.len()));
        for outcome in Outcome::ALL.into_iter().filter(|o| o.is_failure()) {
            let hosts = snapshot.hosts_with(block, outcome);
            if !hosts.is_empty() {
                let hosts = safe_text::short(&safe_text::line(&nodeset::fold(&hosts)));
                out.push_str(&format!("    {outcome}: {hosts}\n"));
            }
        }
        match run.live || members.is_empty() {
            true => rows(&members, "    ", run.live, now, &mut out),
            false => {
                out.push_str(&format!("    {RUNNING_WHEN_IT_DIED}\n"));
                rows(&members, "      ", false, now, &mut out);
            }
        }
    }
    let idle = members.is_empty() && others.is_empty();
    match run.live {
        true if idle && snapshot.waiting() == 0 => out.push_str("  no command is running\n"),
        false if !others.is_empty() => {
            out.push_str(&format!("  {RUNNING_WHEN_IT_DIED}\n"));
            rows(&others, "    ", false, now, &mut out);
        }
        live => rows(&others, "  ", live, now, &mut out),
    }
    out
}

/// `task 10: deploy, 45/100 done (42 ok, 3 failed), 2 running, 53 left`
fn block_line(run: &FoundRun, snapshot: &Snapshot, block: &BlockStart, running: usize) -> String {
    let (counts, waiting) = (snapshot.block_counts(block), snapshot.waiting());
    let done = usize::try_from(counts.total()).unwrap_or(block.total);
    let left = block.total.saturating_sub(done + running + waiting);
    let mut parts = vec![match done {
        0 => format!("0/{} done", block.total),
        _ => format!("{done}/{} done ({counts})", block.total),
    }];
    let state = match run.live {
        true => "running",
        false => Outcome::Unknown.as_str(),
    };
    if running > 0 {
        parts.push(format!("{running} {state}"));
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

/// The commands that were ended when the flow ended.
fn cut_short(snapshot: &Snapshot, now: SystemTime) -> String {
    let started = snapshot.cut_short();
    let mut out = String::new();
    if !started.is_empty() {
        out.push_str("  ended with the run, to be run again:\n");
        rows(&started, "    ", false, now, &mut out);
    }
    out
}

/// A row for each command, up to `ROWS`.
fn rows(started: &[&CommandStart], indent: &str, live: bool, now: SystemTime, out: &mut String) {
    for started in started.iter().take(ROWS) {
        let age = match live {
            true => format!(" ({})", age(started.since, now)),
            false => String::new(),
        };
        let since = time_of_day(started.since, now);
        let connecting = if started.connects { " connecting" } else { "" };
        out.push_str(&format!(
            "{indent}{}{connecting} since {since}{age}\n",
            subject(started)
        ));
    }
    if started.len() > ROWS {
        let more = started.len() - ROWS;
        out.push_str(&format!("{indent}and {more} more, started later\n"));
    }
}

/// `web07` for a copy of a block's command, else the task with its title.
fn subject(started: &CommandStart) -> String {
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

/// The time, with its date if that is not today.
fn time_of_day(moment: SystemTime, now: SystemTime) -> String {
    let (stamp, today) = (clock::stamp(moment), clock::stamp(now));
    match (stamp.split_once(' '), today.split_once(' ')) {
        (Some((day, time)), Some((today, _))) if day == today => time.to_string(),
        _ => stamp,
    }
}

fn age(since: SystemTime, now: SystemTime) -> String {
    clock::elapsed(now.duration_since(since).unwrap_or_default())
}

/// How to continue a dead run.
fn how_to_continue(snapshot: &Snapshot, process: &RunProcess) -> String {
    let line = |what: &str, line: &str| format!("  {what}: {}\n", safe_text::line(line));
    if let Some(advice) = &snapshot.advice {
        let lines = Some(&advice.line)
            .filter(|l| !l.is_empty())
            .map(|l| line("to continue from there", l));
        let words = advice
            .words
            .iter()
            .map(|w| format!("  {}\n", safe_text::line(w)));
        return lines.into_iter().chain(words).collect();
    }
    if snapshot.header.file == "-" {
        return "  it was read from standard input and cannot be resumed\n".into();
    }
    let flow = snapshot.flow.as_ref();
    if flow.is_some_and(|f| f.how != FlowStop::Stopped && f.exit == exit::OK && snapshot.over) {
        return "  nothing is left to do\n".into();
    }
    let (before, after) = (&process.before_option, &process.after_option);
    let id = &snapshot.header.run_id;
    line("to resume", &format!("{before} --resume={id} {after}"))
}
