//! Going on with a run that failed or was interrupted (SPEC §6.4): which journal,
//! whether it may be used, and what going on would do.
#![forbid(unsafe_code)]

use crate::exit;
use crate::outcome::{Counts, Outcome};
use crate::plan::flow::Policy;
use crate::plan::plan_id::keyed_hash;
use crate::report::clock;
use crate::report::log_directory::LogDirectory;
use crate::report::print;
use crate::run::capture::Spool;
use crate::run::event::Event;
use crate::run::job::JobEnvironment;
use crate::run::journal::{self, Journal};
use crate::run::pretend::{Answer, PretendedRunner};
use crate::run::record::{Header, JournalError, since_1970};
use crate::run::run_end::RunEnd;
use crate::run::runner::{CommandEnd, Job};
use crate::run::walk::engine::{Engine, Settings};
use crate::session::load::Loaded;
use crate::session::real_run;
use crate::session::refusal::Refusal;
use crate::session::scope;
use crate::task::Ix;
use crate::task::mask::Mask;
use crate::task::nodeset::HostFilter;
use crate::text::diagnostic::{Plural, printable};
use crate::text::{quote, sha256};
use std::collections::HashSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A run to go on with.
pub struct Going {
    path: PathBuf,
    pub run_id: String,
    pub start: Ix,
    pub selection: HostFilter,
    pub policy: Policy,
    /// What the head of the log says.
    pub said: String,
    found: Recovery,
}

/// What going on would do.
struct Recovery {
    header: Header,
    restored: Counts,
    /// How the run ended, as far as the journal knows.
    ended: String,
    torn: bool,
    next: Vec<String>,
    end: RunEnd,
}

fn refuse(why: impl Into<String>) -> Refusal {
    Refusal::new(exit::POSITION, why)
}

/// The options about failures, as a journal keeps them.
fn policy_word(policy: Policy) -> &'static str {
    match (policy.keep_going, policy.forgive) {
        (_, true) => "fire-and-forget",
        (true, false) => "keep-going",
        (false, false) => "stop",
    }
}

fn policy_of(word: &str) -> Policy {
    Policy {
        keep_going: word != "stop",
        forgive: word == "fire-and-forget",
    }
}

fn list(hosts: &HashSet<String>) -> String {
    let mut hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    hosts.sort_unstable();
    hosts.join(",")
}

fn set(text: &str) -> HashSet<String> {
    let hosts = text.split(',').filter(|h| !h.is_empty());
    hosts.map(str::to_string).collect()
}

/// What a new run's journal begins with.
///
/// # Errors
/// That the key for its hashes cannot be read or made.
pub fn header(
    loaded: &Loaded,
    log_dir: &LogDirectory,
    run_id: &str,
    began: SystemTime,
    settings: &Settings,
) -> Result<Header, Refusal> {
    let selection = &settings.selection;
    let key = log_dir.plan_key().map_err(|e| {
        let why = format!("the key for the journal's hashes, in the log directory: {e}");
        Refusal::new(exit::LOG_DIR, why)
    })?;
    let text = &loaded.sources.get(loaded.file).text;
    let line = |line: &str| keyed_hash(&key, "line", line.as_bytes())[..8].to_string();
    let globals = loaded.workflow.globals.values();
    Ok(Header {
        version: env!("CARGO_PKG_VERSION").into(),
        run_id: run_id.into(),
        began: since_1970(began),
        file: real_path(loaded),
        sha256: sha256::hex(text.as_bytes()),
        start: loaded.workflow.tasks[settings.start].id,
        policy: policy_word(settings.policy).into(),
        limit: selection.limit.as_ref().map_or("-".into(), list),
        exclude: list(&selection.exclude),
        lines: text.lines().map(line).collect(),
        globals: globals
            .map(|(name, _, value)| (name.to_string(), keyed_hash(&key, name, &value)))
            .collect(),
    })
}

fn real_path(loaded: &Loaded) -> String {
    if loaded.from_stdin {
        return "-".into();
    }
    loaded.validation.real.to_string_lossy().into_owned()
}

fn secrets(loaded: &Loaded) -> Vec<Vec<u8>> {
    Mask::new(&loaded.workflow.globals).secret_values().to_vec()
}

/// The run that `--resume`, `--auto-recovery` or `--finish-only` goes on with;
/// nothing for a fresh one.
///
/// # Errors
/// That there is none to go on with, or that it may not be.
pub fn find(loaded: &Loaded, log_dir: &LogDirectory) -> Result<Option<Going>, Refusal> {
    let i = &loaded.invocation;
    let asked = i.resume || i.finish_only || i.show_recovery_info;
    if !asked && !i.auto_recovery {
        return Ok(None);
    }
    let option = match (i.resume, i.finish_only) {
        (true, _) => "--resume",
        (_, true) => "--finish-only",
        _ if asked => "--show-recovery-info",
        _ => "--auto-recovery",
    };
    if loaded.from_stdin {
        let why = format!("{option}: what came from standard input cannot be gone on with");
        return Err(Refusal::new(exit::USAGE, why));
    }
    if i.start_from.is_some() {
        let why = format!(
            "{option} goes on where the run stopped, and --start-from at a task; give one of them"
        );
        return Err(Refusal::new(exit::USAGE, why));
    }
    let Some((path, header)) = newest(loaded, log_dir)? else {
        return match asked {
            true => Err(refuse(format!(
                "{option}: there is no interrupted or failed run of {} to go on with",
                printable(&loaded.name)
            ))),
            false => Ok(None),
        };
    };
    look_at(loaded, log_dir, path, header, asked)
}

/// Checks the journal, and tries what going on with it would do.
fn look_at(
    loaded: &Loaded,
    log_dir: &LogDirectory,
    path: PathBuf,
    header: Header,
    asked: bool,
) -> Result<Option<Going>, Refusal> {
    let id = header.run_id.clone();
    let start = loaded.workflow.find(&header.start.to_string());
    let now = header_now(loaded, log_dir, &header)?;
    if let Some(what) = difference(&header, &now) {
        return Err(refuse(format!("run {id} cannot be gone on with: {what}")));
    }
    let start = start.ok_or_else(|| refuse(format!("run {id} began at a task that is gone")))?;
    let policy = policy_of(&header.policy);
    let selection = HostFilter {
        limit: (header.limit != "-").then(|| set(&header.limit)),
        exclude: set(&header.exclude),
    };
    check_options(loaded, log_dir, &header, &selection)?;
    let spool = Spool::new(log_dir.private(&id));
    let (_, journal) =
        Journal::open(&path, &secrets(loaded), &spool).map_err(|p| explain(&id, &p))?;
    // One that ended well and was killed before it could say so: that is done now.
    let failed = journal.flow().filter(|f| f.complete && f.exit != exit::OK);
    if let Some(flow) = failed.filter(|_| journal.is_over()) {
        if !asked {
            return Ok(None);
        }
        return Err(over(loaded, &id, flow.exit, flow.task));
    }
    if journal.misses_outputs() {
        let why = "an output that it kept in a file is gone or not as it was";
        return Err(explain(&id, &JournalError::Unusable(why.into())));
    }
    let succeeded = journal.flow().is_some_and(|f| f.complete);
    if loaded.invocation.finish_only && journal.is_over() && !succeeded {
        let why = format!("run {id}: its final tasks have run already");
        return Err(refuse(why));
    }
    let settings = settings(loaded, start, selection.clone(), policy);
    let found = rehearse(loaded, &settings, header, journal)?;
    let restored = match found.restored.total() {
        0 => "nothing to restore".to_string(),
        _ => format!("{} restored", found.restored),
    };
    let said = format!(
        "Going on with run {id}: {restored}{}",
        if found.torn {
            "; its last record was cut off in the middle and is left out"
        } else {
            ""
        }
    );
    Ok(Some(Going {
        path,
        run_id: id,
        start,
        selection,
        policy,
        said,
        found,
    }))
}

fn explain(id: &str, problem: &JournalError) -> Refusal {
    refuse(match problem {
        JournalError::Active => format!("run {id} is still active; wait until it has ended"),
        JournalError::Empty => format!("run {id} had not begun"),
        JournalError::Unusable(why) => format!(
            "the journal of run {id} cannot be used: {why}; --start-from begins at a task without it"
        ),
    })
}

/// A run that is over: what failed, and how to begin there.
fn over(loaded: &Loaded, id: &str, code: i32, task: u32) -> Refusal {
    let name = quote::shell_word(&loaded.name);
    refuse(format!(
        "run {id} reached its end, at task {task} with exit code {code}, so there is nothing to go on with; tasker -r --start-from {task} {name} begins there"
    ))
}

/// The newest journal of this file.
fn newest(loaded: &Loaded, log_dir: &LogDirectory) -> Result<Option<(PathBuf, Header)>, Refusal> {
    let file = real_path(loaded);
    let mut found: Option<(PathBuf, Header)> = None;
    let mut unreadable: Vec<(SystemTime, PathBuf, String)> = Vec::new();
    for path in log_dir.journals() {
        match journal::header(&path) {
            Ok(header) if header.file == file => {
                if found.as_ref().is_none_or(|(_, f)| f.began < header.began) {
                    found = Some((path, header));
                }
            }
            // Of another file; or it broke off before anything was run.
            Ok(_) | Err(JournalError::Empty | JournalError::Active) => {}
            Err(JournalError::Unusable(why)) => unreadable.push((modified(&path), path, why)),
        }
    }
    let newest = found.as_ref().map(|(path, _)| modified(path));
    let doubt = unreadable
        .into_iter()
        .find(|(at, ..)| newest.is_none_or(|n| *at >= n));
    match doubt {
        Some((_, path, why)) => Err(refuse(format!(
            "the journal `{}` cannot be read, and may be of this file: {why}; move it away if it is not",
            path.display()
        ))),
        None => Ok(found),
    }
}

fn modified(path: &Path) -> SystemTime {
    let meta = std::fs::metadata(path);
    meta.and_then(|m| m.modified()).unwrap_or(UNIX_EPOCH)
}

/// The header that a run like this would have now.
fn header_now(loaded: &Loaded, log_dir: &LogDirectory, then: &Header) -> Result<Header, Refusal> {
    let start = loaded.workflow.find(&then.start.to_string()).unwrap_or(0);
    let settings = settings(loaded, start, HostFilter::default(), Policy::default());
    header(loaded, log_dir, &then.run_id, UNIX_EPOCH, &settings)
}

/// What is not as it was, in one sentence.
fn difference(then: &Header, now: &Header) -> Option<String> {
    if then.sha256 != now.sha256 {
        let lines = |header: &Header| {
            let bytes = header.lines.as_bytes();
            bytes.chunks(8).map(<[u8]>::to_vec).collect::<Vec<_>>()
        };
        let (old, new) = (lines(then), lines(now));
        let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
        let what = match (old.len(), new.len()) {
            (o, n) if same == o && n > o => format!("line {} is new", same + 1),
            (o, n) if same == n && o > n => format!("it ends before line {}", same + 1),
            (o, n) if same == o && o == n => "its line ends differ".into(),
            _ => format!("line {} is not what it was", same + 1),
        };
        return Some(format!("the task file has changed: {what}"));
    }
    let value = |header: &Header, name: &str| {
        let found = header.globals.iter().find(|(n, _)| n == name);
        found.map(|(_, hash)| hash.clone())
    };
    for (name, hash) in &then.globals {
        match value(now, name) {
            None => {
                return Some(format!(
                    "the global {name} is not set now (--set {name}=...)"
                ));
            }
            Some(other) if other != *hash => {
                return Some(format!("the global {name} has another value"));
            }
            Some(_) => {}
        }
    }
    let added = now.globals.iter().find(|(n, _)| value(then, n).is_none());
    added.map(|(name, _)| format!("the global {name} was not set then"))
}

/// Options that would change what was done: those of the run hold.
fn check_options(
    loaded: &Loaded,
    log_dir: &LogDirectory,
    header: &Header,
    selection: &HostFilter,
) -> Result<(), Refusal> {
    let id = &header.run_id;
    let word = policy_word(loaded.invocation.policy());
    if word != "stop" && word != header.policy {
        return Err(refuse(format!(
            "run {id} cannot be gone on with: it had no --{word}"
        )));
    }
    if loaded.invocation.limit.is_none() && loaded.invocation.exclude.is_none() {
        return Ok(());
    }
    let given = scope::read(loaded, log_dir).map_err(refuse)?;
    match given.limit == selection.limit && given.exclude == selection.exclude {
        true => Ok(()),
        false => Err(refuse(format!(
            "run {id} cannot be gone on with: its --limit and --exclude were others; leave them out"
        ))),
    }
}

fn settings(loaded: &Loaded, start: Ix, selection: HostFilter, policy: Policy) -> Settings {
    Settings {
        policy,
        max_steps: loaded.invocation.max_steps(),
        start,
        debug: false,
        selection,
        deadline: None,
    }
}

/// Walks with the journal up to the first command that would run.
fn rehearse(
    loaded: &Loaded,
    settings: &Settings,
    header: Header,
    mut journal: Journal,
) -> Result<Recovery, Refusal> {
    let finish_only = loaded.invocation.finish_only;
    let ended = match journal.flow() {
        Some(flow) if flow.complete => "its final tasks were not all run".to_string(),
        Some(flow) => format!("stopped at task {} with exit code {}", flow.task, flow.exit),
        None => "broke off: tasker or the machine was killed".to_string(),
    };
    let torn = journal.torn;
    journal.pretend_resume(finish_only);
    let common = JobEnvironment::new(&header.run_id, Mask::new(&loaded.workflow.globals));
    let mut started = Vec::new();
    let mut answer = |job: &Job, _| {
        started.extend(job.task.map(|ix| (ix, job.host.clone())));
        Answer::new(CommandEnd::Cancelled, Duration::ZERO)
    };
    let mut runner = PretendedRunner::stopping(&mut answer);
    let mut emit = |_: Event| {};
    let mut end = Engine::new(
        &loaded.workflow,
        &loaded.defaults,
        settings,
        &common,
        &mut runner,
        &mut emit,
    )
    .with_journal(journal, finish_only)
    .run();
    if let Some(why) = &end.diverged {
        let id = &header.run_id;
        return Err(refuse(format!("run {id} cannot be gone on with: {why}")));
    }
    // Given back: the guardian, which is yet to start, must not inherit it.
    end.journal = None;
    let mut restored = Counts::default();
    for (_, outcome, _) in done(loaded, &end) {
        restored.add(outcome);
    }
    let next = started.iter().map(|(ix, host)| {
        let task = &loaded.workflow.tasks[*ix];
        let title = task.title.shown(None);
        let at = match host.as_str() {
            "" | "localhost" => String::new(),
            host => format!(" on {host}"),
        };
        match title.is_empty() {
            true => format!("task {}{at}", task.id),
            false => format!("task {}{at}: {title}", task.id),
        }
    });
    Ok(Recovery {
        next: next.collect(),
        header,
        restored,
        ended,
        torn,
        end,
    })
}

/// The tasks that have a result and are not run again.
fn done<'a>(loaded: &'a Loaded, end: &'a RunEnd) -> impl Iterator<Item = (u32, Outcome, i32)> + 'a {
    let tasks = loaded.workflow.tasks.iter().enumerate();
    let results = tasks.filter_map(|(ix, task)| Some((task.id, end.results.get(ix)?)));
    results
        .filter(|(_, r)| !matches!(r.outcome, Outcome::Cancelled | Outcome::NotStarted))
        .map(|(id, r)| (id, r.outcome, r.exit))
}

impl Going {
    /// Takes the journal, to go on with it.
    ///
    /// # Errors
    /// That another process was faster, or it cannot be written.
    pub fn take(&self, loaded: &Loaded, spool: &Arc<Spool>) -> Result<Journal, Refusal> {
        let opened = Journal::open(&self.path, &secrets(loaded), spool);
        let (_, mut journal) = opened.map_err(|p| explain(&self.run_id, &p))?;
        let unwritable = |e| Refusal::new(exit::LOG_DIR, format!("cannot write the journal: {e}"));
        journal
            .prepare_resume(loaded.invocation.finish_only)
            .map_err(unwritable)?;
        Ok(journal)
    }
}

/// A new run's journal.
///
/// # Errors
/// That it cannot be written (32).
pub fn begin(
    loaded: &Loaded,
    log_dir: &LogDirectory,
    header: &Header,
    spool: &Arc<Spool>,
) -> Result<Journal, Refusal> {
    let made = log_dir.create_journal(&header.run_id, |path| {
        Journal::create(path, header, &secrets(loaded), spool)
    });
    made.map_err(|e| Refusal::new(exit::LOG_DIR, format!("cannot write the journal: {e}")))
}

/// A journal that nothing is added to any more.
#[derive(Default)]
pub struct Closed {
    /// The command line's option that goes on with the run.
    pub option: Option<&'static str>,
    /// The journal whose outputs nobody needs once the run has been told.
    pub done_with: Option<Journal>,
}

/// What becomes of the journal when the run has ended: it is removed on success,
/// with those of earlier runs that this one makes pointless. What is to be said is
/// added.
pub fn close(
    loaded: &Loaded,
    log_dir: &LogDirectory,
    end: &mut RunEnd,
    said: &mut Vec<String>,
) -> Closed {
    let Some(mut journal) = end.journal.take() else {
        return Closed::default();
    };
    if let Some(why) = journal.broken() {
        said.push(why.to_string());
        let done = std::mem::take(&mut journal.unrecorded);
        said.push(format!("done but not recorded: {}", done.join(", ")));
        return Closed {
            option: Some("--resume"),
            done_with: None,
        };
    }
    let success = end.exit == exit::OK && end.complete;
    if success || loaded.from_stdin {
        let path = journal.path().to_path_buf();
        let others: Vec<PathBuf> = log_dir.journals();
        let others: Vec<PathBuf> = others.into_iter().filter(|p| *p != path).collect();
        // Asked while it is there, and only where there is one to compare it with.
        let header = (!others.is_empty()).then(|| journal::header(&path));
        if let Err(e) = journal.remove() {
            said.push(format!(
                "cannot remove the journal `{}`: {e}",
                path.display()
            ));
        }
        if let Some(Ok(header)) = header {
            remove_older(loaded, log_dir, &header, &others);
        }
        return Closed {
            option: None,
            done_with: Some(journal),
        };
    }
    let over = end.complete && journal.is_over();
    Closed {
        option: (!over).then_some("--resume"),
        done_with: Some(journal).filter(|_| over),
    }
}

/// Removes journals of earlier runs of the same file with the same globals.
fn remove_older(loaded: &Loaded, log_dir: &LogDirectory, last: &Header, others: &[PathBuf]) {
    for path in others {
        let Ok(header) = journal::header(path) else {
            continue;
        };
        let same = header.file == last.file
            && header.sha256 == last.sha256
            && header.globals == last.globals
            && header.began < last.began;
        if !same {
            continue;
        }
        let spool = Spool::new(log_dir.private(&header.run_id));
        if let Ok((_, mut journal)) = Journal::open(path, &secrets(loaded), &spool) {
            // One that stays does no harm: a newer one is asked first.
            let _ = journal.remove().map(|()| journal.release_outputs());
        }
    }
}

/// `--show-recovery-info`: what going on would do; the exit code.
pub fn show(loaded: &Loaded) -> i32 {
    let found = real_run::log_directory(loaded).and_then(|directory| {
        let log_dir = LogDirectory::new(directory, SystemTime::now());
        find(loaded, &log_dir)
    });
    match found {
        Ok(Some(going)) => {
            let text = Mask::new(&loaded.workflow.globals).apply(&going.found.text(loaded));
            let _ = std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes());
            exit::OK
        }
        Ok(None) => exit::OK,
        Err(refusal) => {
            print::complain(format_args!("tasker: {}; nothing was run", refusal.why));
            refusal.code
        }
    }
}

impl Recovery {
    fn text(&self, loaded: &Loaded) -> String {
        let mut out = String::new();
        let began = UNIX_EPOCH + Duration::from_nanos(self.header.began);
        // A String takes everything.
        let _ = writeln!(
            out,
            "{}: run {}, begun {}",
            printable(&loaded.name),
            self.header.run_id,
            clock::stamp(began)
        );
        let _ = writeln!(out, "  {}", self.ended);
        if self.torn {
            out.push_str("  its last record was cut off in the middle and is left out\n");
        }
        let _ = writeln!(out, "  done: {}", self.restored);
        for (id, outcome, code) in done(loaded, &self.end) {
            let _ = writeln!(out, "    task {id}: {outcome}, exit code {code}");
        }
        match self.next.split_first() {
            None => {
                let _ = writeln!(
                    out,
                    "  nothing is left to run; the run would end with {}",
                    self.end.exit
                );
            }
            Some((first, rest)) => {
                let _ = writeln!(out, "  goes on with {first}");
                const NAMED: usize = 8;
                for next in rest.iter().take(NAMED) {
                    let _ = writeln!(out, "    and {next}");
                }
                if rest.len() > NAMED {
                    let _ = writeln!(out, "    and {}", Plural(rest.len() - NAMED, "other task"));
                }
            }
        }
        out
    }
}
