//! Which earlier run is resumed, whether it can be, and what resuming it would do
//! (SPEC §6.4).
#![forbid(unsafe_code)]

use crate::exit;
use crate::outcome::{Counts, Outcome};
use crate::plan::flow::Policy;
use crate::report::clock;
use crate::report::log_directory::LogDirectory;
use crate::report::print::print;
use crate::run::capture::Spool;
use crate::run::event::Event;
use crate::run::job::JobEnvironment;
use crate::run::journal::{self, Journal};
use crate::run::pretend::{Answer, PretendedRunner};
use crate::run::record::{Header, JournalError};
use crate::run::run_end::RunEnd;
use crate::run::runner::{CommandEnd, Job};
use crate::run::walk::engine::{Engine, Settings};
use crate::session::command_line::CommandLine;
use crate::session::journal_header;
use crate::session::load::Loaded;
use crate::session::refusal::Refusal;
use crate::session::scope::{self, RunScope};
use crate::text::diagnostic::{Plural, printable, reason};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An earlier run that is resumed.
pub struct Resumption {
    path: PathBuf,
    pub run_id: String,
    pub scope: RunScope,
    pub policy: Policy,
    /// One line for the console and the log.
    pub announcement: String,
    preview: Preview,
}

/// What resuming it would do.
struct Preview {
    header: Header,
    restored: Counts,
    /// How the run ended, as far as the journal knows.
    ending: String,
    torn: bool,
    /// What would run first.
    next: Vec<String>,
    end: RunEnd,
}

fn refuse(why: impl Into<String>) -> Refusal {
    Refusal::new(exit::POSITION, why)
}

/// The run that `--resume`, `--auto-recovery` or `--finish-only` resumes; nothing
/// for a fresh run.
///
/// # Errors
/// That there is no such run, or that it cannot be resumed.
pub fn find(loaded: &Loaded, log_dir: &LogDirectory) -> Result<Option<Resumption>, Refusal> {
    let invocation = &loaded.invocation;
    let asked = invocation.resume || invocation.finish_only || invocation.show_recovery_info;
    if !asked && !invocation.auto_recovery {
        return Ok(None);
    }
    let option = match (invocation.resume, invocation.finish_only) {
        (true, _) => "--resume",
        (_, true) => "--finish-only",
        _ if asked => "--show-recovery-info",
        _ => "--auto-recovery",
    };
    if loaded.from_stdin {
        let why = format!("{option}: a run from standard input cannot be resumed");
        return Err(Refusal::new(exit::USAGE, why));
    }
    if invocation.start_from.is_some() {
        let why = format!(
            "give either {option}, which continues where the run stopped, or --start-from, not both"
        );
        return Err(Refusal::new(exit::USAGE, why));
    }
    let Some((path, header)) = newest(loaded, log_dir)? else {
        return match asked {
            true => Err(refuse(format!(
                "{option}: there is no interrupted or failed run of {} to resume",
                printable(&loaded.name)
            ))),
            false => Ok(None),
        };
    };
    let Some(journal) = open_unfinished(loaded, log_dir, &path, &header, asked)? else {
        return Ok(None);
    };
    examine(loaded, path, header, journal).map(Some)
}

/// The run's journal, if the run can be resumed with this file and these options;
/// nothing for a finished run, unless it was asked for.
fn open_unfinished(
    loaded: &Loaded,
    log_dir: &LogDirectory,
    path: &Path,
    header: &Header,
    asked: bool,
) -> Result<Option<Journal>, Refusal> {
    let id = &header.run_id;
    let start = loaded.workflow.find(&header.start.to_string());
    let same_start = settings(
        loaded,
        RunScope::whole(start.unwrap_or(0)),
        Policy::default(),
    );
    let now = journal_header::new(loaded, id, UNIX_EPOCH, &same_start);
    if let Some(what) = journal_header::difference(header, &now) {
        return Err(refuse(format!("run {id} cannot be resumed: {what}")));
    }
    check_options(loaded, header)?;
    let spool = Spool::new(log_dir.private(id));
    let opened = Journal::open(path, loaded.mask().named_secrets(), &spool);
    let (_, journal) = opened.map_err(|problem| explain(id, &problem))?;
    // A run that ended well but was killed before it could say so is finished now.
    let failed = journal
        .recorded
        .flow_end()
        .filter(|f| f.complete && f.exit != exit::OK);
    if let Some(flow) = failed.filter(|_| journal.recorded.is_over()) {
        return match asked {
            true => Err(refuse_finished(loaded, id, flow.exit, flow.task)),
            false => Ok(None),
        };
    }
    if journal.recorded.misses_outputs() {
        let why = "an output that it keeps in a file is missing or has changed";
        return Err(explain(id, &JournalError::Unusable(why.into())));
    }
    let succeeded = journal.recorded.flow_end().is_some_and(|f| f.complete);
    if loaded.invocation.finish_only && journal.recorded.is_over() && !succeeded {
        let why = format!("the final tasks of run {id} have already run");
        return Err(refuse(why));
    }
    Ok(Some(journal))
}

/// Works out what resuming the run would do.
fn examine(
    loaded: &Loaded,
    path: PathBuf,
    header: Header,
    journal: Journal,
) -> Result<Resumption, Refusal> {
    let id = header.run_id.clone();
    let start = loaded.workflow.find(&header.start.to_string());
    let scope = RunScope {
        start: start.ok_or_else(|| refuse(format!("the first task of run {id} is gone")))?,
        selection: journal_header::selection(&header),
    };
    let policy = journal_header::parse_policy(&header.policy);
    let settings = settings(loaded, scope.clone(), policy);
    let preview = preview(loaded, &settings, header, journal)?;
    let restored = match preview.restored.total() {
        0 => "nothing to restore".to_string(),
        _ => format!("{} restored", preview.restored),
    };
    let torn = match preview.torn {
        true => format!("; {TORN}"),
        false => String::new(),
    };
    Ok(Resumption {
        path,
        announcement: format!("Resuming run {id}: {restored}{torn}"),
        run_id: id,
        scope,
        policy,
        preview,
    })
}

const TORN: &str = "its last record is incomplete and is ignored";

fn explain(id: &str, problem: &JournalError) -> Refusal {
    refuse(match problem {
        JournalError::Active => format!("run {id} is still active; wait until it ends"),
        JournalError::Empty => format!("run {id} had not begun"),
        JournalError::Unusable(why) => format!(
            "the journal of run {id} cannot be used: {why}; --start-from ID begins at a task without it"
        ),
    })
}

/// A run that reached its end: what failed, and how to begin there.
fn refuse_finished(loaded: &Loaded, id: &str, code: i32, task: u32) -> Refusal {
    let line = CommandLine::new(loaded).fresh(&format!("--start-from {task}"));
    refuse(format!(
        "run {id} reached its end, at task {task} with exit code {code}, so there is nothing to resume; to begin there: {line}"
    ))
}

/// The newest journal of this file.
fn newest(loaded: &Loaded, log_dir: &LogDirectory) -> Result<Option<(PathBuf, Header)>, Refusal> {
    let file = journal_header::file_name(loaded);
    let mut found: Option<(PathBuf, Header)> = None;
    let mut unreadable: Vec<(SystemTime, PathBuf, String)> = Vec::new();
    for path in log_dir.journals() {
        match journal::header(&path) {
            Ok(header) if header.file == file => {
                if found.as_ref().is_none_or(|(_, f)| f.began < header.began) {
                    found = Some((path, header));
                }
            }
            // For another file, or killed before anything was run.
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
            "the journal `{}` cannot be read, and may belong to this file: {why}; if it does not, move it away",
            path.display()
        ))),
        None => Ok(found),
    }
}

fn modified(path: &Path) -> SystemTime {
    let meta = std::fs::metadata(path);
    meta.and_then(|m| m.modified()).unwrap_or(UNIX_EPOCH)
}

/// Refuses options that would change what the run does: its own apply.
fn check_options(loaded: &Loaded, header: &Header) -> Result<(), Refusal> {
    let id = &header.run_id;
    let word = journal_header::policy_word(loaded.invocation.policy());
    if word != "stop" && word != header.policy {
        return Err(refuse(format!(
            "run {id} cannot be resumed: it had no --{word}; leave that out"
        )));
    }
    if loaded.invocation.limit.is_empty() && loaded.invocation.exclude.is_empty() {
        return Ok(());
    }
    let given = scope::selection(loaded).map_err(|refusal| refuse(refusal.why))?;
    let selection = journal_header::selection(header);
    match given.limit == selection.limit && given.exclude == selection.exclude {
        true => Ok(()),
        false => Err(refuse(format!(
            "run {id} cannot be resumed: it had a different --limit or --exclude; leave them out"
        ))),
    }
}

fn settings(loaded: &Loaded, scope: RunScope, policy: Policy) -> Settings {
    Settings {
        policy,
        max_steps: loaded.invocation.max_steps(),
        start: scope.start,
        debug: false,
        selection: scope.selection,
        deadline: None,
    }
}

/// Walks with the journal up to the first command that would run.
fn preview(
    loaded: &Loaded,
    settings: &Settings,
    header: Header,
    mut journal: Journal,
) -> Result<Preview, Refusal> {
    let finish_only = loaded.invocation.finish_only;
    let ending = match journal.recorded.flow_end() {
        Some(flow) if flow.complete => "some of its final tasks have not run".to_string(),
        Some(flow) => format!("stopped at task {} with exit code {}", flow.task, flow.exit),
        None => "was killed, or the machine went down".to_string(),
    };
    let torn = journal.torn;
    journal.pretend_resume(finish_only);
    let common = JobEnvironment::pretended(&header.run_id, loaded.mask().clone());
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
        return Err(refuse(format!("run {id} cannot be resumed: {why}")));
    }
    // Closed, so that the guardian, which starts later, does not inherit it.
    end.journal = None;
    let mut counts = Counts::default();
    for (_, outcome, _) in restored(loaded, &end) {
        counts.add(outcome);
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
    Ok(Preview {
        next: next.collect(),
        header,
        restored: counts,
        ending,
        torn,
        end,
    })
}

/// The tasks that have a result and are not run again.
fn restored<'a>(
    loaded: &'a Loaded,
    end: &'a RunEnd,
) -> impl Iterator<Item = (u32, Outcome, i32)> + 'a {
    let tasks = loaded.workflow.tasks.iter().enumerate();
    let results = tasks.filter_map(|(ix, task)| Some((task.id, end.results.get(ix)?)));
    results
        .filter(|(_, r)| !matches!(r.outcome, Outcome::Cancelled | Outcome::NotStarted))
        .map(|(id, r)| (id, r.outcome, r.exit))
}

impl Resumption {
    /// Takes the journal, to add to it.
    ///
    /// # Errors
    /// That another process took it first, or that it cannot be written.
    pub fn take_journal(&self, loaded: &Loaded, spool: &Arc<Spool>) -> Result<Journal, Refusal> {
        let opened = Journal::open(&self.path, loaded.mask().named_secrets(), spool);
        let (_, mut journal) = opened.map_err(|p| explain(&self.run_id, &p))?;
        journal
            .prepare_resume(loaded.invocation.finish_only)
            .map_err(|e| {
                let why = format!("cannot write the journal: {}", reason(&e));
                Refusal::new(exit::LOG_DIR, why)
            })?;
        Ok(journal)
    }
}

/// Shows what resuming the run would do; the exit code.
///
/// # Errors
/// That there is no such run, or that it cannot be resumed.
pub fn show(loaded: &Loaded) -> Result<i32, Refusal> {
    let log_dir = loaded.log_directory(SystemTime::now())?;
    if let Some(resumption) = find(loaded, &log_dir)? {
        print(&loaded.mask().apply(&resumption.preview.draw(loaded)));
    }
    Ok(exit::OK)
}

impl Preview {
    fn draw(&self, loaded: &Loaded) -> String {
        let mut out = String::new();
        let began = UNIX_EPOCH + Duration::from_nanos(self.header.began);
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{}: run {}, begun {}",
            printable(&loaded.name),
            self.header.run_id,
            clock::stamp(began)
        );
        let _ = writeln!(out, "  {}", self.ending);
        if self.torn {
            let _ = writeln!(out, "  {TORN}");
        }
        let _ = writeln!(out, "  done: {}", self.restored);
        for (id, outcome, code) in restored(loaded, &self.end) {
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
                let _ = writeln!(out, "  resumes with {first}");
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
