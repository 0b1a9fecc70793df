//! One real run from its log file to its exit code: wires the engine to the
//! processes on one side and to the report on the other.
#![forbid(unsafe_code)]

use crate::exit;
use crate::report::console::Console;
use crate::report::event_stream::{EventStream, StreamHead};
use crate::report::history::History;
use crate::report::log::{Log, LogLevel};
use crate::report::log_directory::LogDirectory;
use crate::report::output_files::OutputFiles;
use crate::report::reporter::Reporter;
use crate::report::validation_summary::{CheckResult, ValidationSummary};
use crate::report::{clock, print, validation_summary};
use crate::run::capture::Spool;
use crate::run::child;
use crate::run::connection_limit::ConnectionLimit;
use crate::run::deadline::Deadline;
use crate::run::guardian::Guardian;
use crate::run::interrupt::{self, Interrupt};
use crate::run::job::JobEnvironment;
use crate::run::journal::Journal;
use crate::run::pool::Pool;
use crate::run::process_context::ProcessContext;
use crate::run::run_end::RunEnd;
use crate::run::runner::{Runner, Time, Wake};
use crate::run::sys;
use crate::run::walk::engine::{Engine, Settings};
use crate::session::approval::{self, Plan};
use crate::session::destinations::{self, JsonFile};
use crate::session::ending::{self, Ended};
use crate::session::instance::{self, Instance};
use crate::session::load::Loaded;
use crate::session::mail_once::{self, Failure};
use crate::session::page;
use crate::session::preflight::{self, Check};
use crate::session::recovery::{self, Closed, Going};
use crate::session::refusal::{Refusal, homeless, unwritable};
use crate::session::scope;
use crate::session::time_limit;
use crate::task::Ix;
use crate::task::mask::Mask;
use crate::task::nodeset::HostFilter;
use crate::text::diagnostic::Plural;
use crate::text::{duration, sha256};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// How many hosts are between start and nonce at once (SPEC §5).
const MAX_CONNECTING: u32 = 10;

/// How often the watchers of a run hear that time goes by.
const BEAT: Duration = Duration::from_secs(1);

/// Runs the workflow; the exit code.
pub fn run(loaded: &Loaded) -> i32 {
    match try_run(loaded) {
        Ok(code) => code,
        Err(refusal) => {
            mail_once::tell(loaded, &Failure::of_refusal(&refusal), || refusal.print());
            loaded.validation.tell(&loaded.invocation, &refusal);
            refusal.code
        }
    }
}

fn try_run(loaded: &Loaded) -> Result<i32, Refusal> {
    let (began, clock) = (SystemTime::now(), Instant::now());
    let log_dir = LogDirectory::new(log_directory(loaded)?, began);
    let invocation = &loaded.invocation;
    let goes_on = invocation.resume || invocation.auto_recovery || invocation.finish_only;
    if goes_on && !instance::let_others_end(loaded, &log_dir)? {
        return Ok(exit::OK);
    }
    let going = recovery::find(loaded, &log_dir)?;
    let run_id = going
        .as_ref()
        .map_or_else(|| run_id(began), |g| g.run_id.clone());
    let (start, selection) = match &going {
        Some(going) => (going.start, going.selection.clone()),
        None => (
            start_task(loaded)?,
            scope::read(loaded, &log_dir).map_err(|why| Refusal::new(exit::USAGE, why))?,
        ),
    };
    let mut deadline = time_limit::read(loaded, &selection, began)?;
    let missing = preflight::missing_programs(loaded, &selection);
    if !missing.is_empty() {
        let why = format!("not in PATH: {}", missing.join(", "));
        let mut findings = ValidationSummary::default();
        let what = "Execution type validation failed";
        let line = format!("{what} ({why})");
        findings.checks.push((line, CheckResult::Failed));
        let findings = loaded.validation.of_file.with(&findings);
        loaded.validation.keep(&findings, exit::EXEC_TYPE);
        return Err(Refusal::new(exit::EXEC_TYPE, why));
    }
    let plan = Plan::new(loaded, &selection, Some(&log_dir))?;
    approval::check(loaded, &selection, &plan, Some(&log_dir))?;
    if let Some(json) = JsonFile::of(&loaded.invocation, &loaded.name) {
        json.check(&log_dir)?;
    }
    if let Some(events) = &loaded.invocation.events {
        destinations::refuse_task_file("--events", events, &loaded.name)?;
    }
    if let Some(report) = &loaded.invocation.report {
        page::check(report, &loaded.name)?;
    }
    if let Some(deadline) = deadline.as_ref().filter(|_| !loaded.invocation.quiet) {
        time_limit::doubt(loaded, &selection, deadline);
    }
    approval::confirm(loaded, &selection, &plan)?;
    let around = surroundings(loaded, log_dir.private(&run_id)).map_err(unwritable)?;
    let mut pool = Pool::new(around.clone()).map_err(unwritable)?;
    if let Some(deadline) = &mut deadline {
        let used = clock.elapsed().saturating_sub(pool.now());
        deadline.at = deadline.at.saturating_sub(used);
    }
    let begun = Begun {
        began,
        going,
        run_id,
        start,
        log_dir,
        selection,
        deadline,
        plan,
        around,
    };
    let code = begin(loaded, &begun, &mut pool);
    pool.close();
    code
}

/// A run whose command line and plan are as they should be.
struct Begun {
    began: SystemTime,
    /// The earlier run that it goes on with.
    going: Option<Going>,
    run_id: String,
    start: Ix,
    log_dir: LogDirectory,
    selection: HostFilter,
    deadline: Option<Deadline>,
    plan: Plan,
    around: Arc<ProcessContext>,
}

/// Waits for its time and its lock, then runs to the end.
fn begin(loaded: &Loaded, begun: &Begun, pool: &mut Pool) -> Result<i32, Refusal> {
    if let Some(most) = loaded.invocation.splay {
        pause(pool, most.mul_f64(child::random()))?;
    }
    // Held until the run has ended.
    let lock = match instance::instance(loaded, &begun.log_dir, &begun.plan, pool)? {
        Instance::Another => return Ok(exit::OK),
        Instance::Ours(lock) => lock,
    };
    let mut report = open_report(loaded, &begun.log_dir).map_err(unwritable)?;
    head(&mut report.log, loaded, begun);
    announce(&mut report, loaded, begun);
    if let Some(holder) = lock.beside() {
        let text =
            format!("Another instance is active ({holder}); --force-instance runs beside it");
        print::complain(format_args!("tasker: warning: {text}"));
        report.log.say(LogLevel::Warn, &text);
    }
    tell_going(&mut report, begun.going.as_ref());
    match prepare(loaded, begun, pool, &mut report) {
        Ok((settings, journal)) => Ok(run_to_end(
            loaded,
            begun,
            &settings,
            journal,
            pool,
            &mut report,
        )),
        Err(refusal) => Err(note_refusal(&mut report, refusal)),
    }
}

/// The last that can refuse the run: its hosts, and its journal.
fn prepare(
    loaded: &Loaded,
    begun: &Begun,
    pool: &mut Pool,
    report: &mut Reporter,
) -> Result<(Settings, Journal), Refusal> {
    check_hosts(
        loaded,
        &begun.selection,
        &begun.around,
        pool,
        &mut report.log,
    )?;
    let settings = settings(loaded, begun);
    let spool = &begun.around.spool;
    let mut journal = match &begun.going {
        Some(going) => going.take(loaded, spool)?,
        None => {
            let header = recovery::header(
                loaded,
                &begun.log_dir,
                &begun.run_id,
                begun.began,
                &settings,
            )?;
            recovery::begin(loaded, &begun.log_dir, &header, spool)?
        }
    };
    let words = ending::words(loaded, None, None);
    journal.note_run(loaded.workflow.tasks.len(), report.log.path(), &words);
    Ok((settings, journal))
}

/// Tells a refusal to who has heard already that the run begins.
fn note_refusal(report: &mut Reporter, refusal: Refusal) -> Refusal {
    let text = format!(
        "Run refused with exit code {}: {}",
        refusal.code, refusal.why
    );
    report.log.say(LogLevel::Error, &text);
    report.follow(|events| events.refused(refusal.code, &refusal.why));
    Refusal {
        log: Some(report.log.path().to_path_buf()),
        ..refusal
    }
}

/// Walks, and tells of it; the exit code.
fn run_to_end(
    loaded: &Loaded,
    begun: &Begun,
    settings: &Settings,
    journal: Journal,
    pool: &mut Pool,
    report: &mut Reporter,
) -> i32 {
    let state_file = journal.path().to_path_buf();
    let wanted = loaded.invocation.report.is_some();
    report.history = wanted.then(|| History::new(Instant::now()));
    let mut end = walk(loaded, settings, &begun.run_id, journal, pool, report);
    let closed = close_journal(loaded, &begun.log_dir, report, &mut end);
    let ended = Ended {
        loaded,
        log_dir: &begun.log_dir,
        run_id: &begun.run_id,
        began: begun.began,
        end: &end,
        selection: &begun.selection,
        plan: &begun.plan,
        option: closed.option,
    };
    ended.close(report);
    report.follow(|events| events.end(&end));
    ended.alert(report, state_file, &begun.around.interrupt);
    if let Some(journal) = closed.done_with {
        journal.release_outputs();
    }
    end.exit
}

fn settings(loaded: &Loaded, begun: &Begun) -> Settings {
    Settings {
        policy: begun
            .going
            .as_ref()
            .map_or(loaded.invocation.policy(), |g| g.policy),
        max_steps: loaded.invocation.max_steps(),
        start: begun.start,
        debug: loaded.invocation.log_level == LogLevel::Debug,
        selection: begun.selection.clone(),
        deadline: begun.deadline.clone(),
    }
}

/// Waits; a signal is the refusal.
pub fn pause(pool: &mut Pool, time: Duration) -> Result<(), Refusal> {
    wait_until(pool, pool.now() + time)
}

fn wait_until(pool: &mut Pool, until: Time) -> Result<(), Refusal> {
    loop {
        match pool.wait(Some(until)) {
            Wake::Interrupt { signal, .. } => return Err(ended_by(signal)),
            Wake::Time => return Ok(()),
            // Nothing runs yet that could be done or shown.
            Wake::Done(..) | Wake::Beat | Wake::Asked => {}
        }
    }
}

fn ended_by(signal: i32) -> Refusal {
    let name = interrupt::signal_name(signal);
    Refusal::new(exit::SIGNAL + signal, format!("ended by {name}"))
}

/// Says at the beginning what the run goes on with.
fn tell_going(report: &mut Reporter, going: Option<&Going>) {
    if let Some(going) = going {
        report.log.say(LogLevel::Info, &going.said);
        report.console.say(&format!("{}\n", going.said));
    }
}

/// Keeps or removes the journal.
fn close_journal(
    loaded: &Loaded,
    log_dir: &LogDirectory,
    report: &mut Reporter,
    end: &mut RunEnd,
) -> Closed {
    let mut said = Vec::new();
    let closed = recovery::close(loaded, log_dir, end, &mut said);
    for line in said {
        report.log.say(LogLevel::Error, &line);
        let line = Mask::new(&loaded.workflow.globals).apply(&line);
        print::complain(format_args!("tasker: {line}"));
    }
    closed
}

pub fn run_id(began: SystemTime) -> String {
    format!("{}-{}", clock::compact(began), std::process::id())
}

/// What `--limit` and `--exclude` leave, where nothing runs: without them no log
/// directory is needed.
///
/// # Errors
/// A set that cannot be read or leaves no host (2), no log directory for `last:` (32).
pub fn selection(loaded: &Loaded, began: SystemTime) -> Result<HostFilter, Refusal> {
    if loaded.invocation.limit.is_none() && loaded.invocation.exclude.is_none() {
        return Ok(HostFilter::default());
    }
    let log_dir = LogDirectory::new(log_directory(loaded)?, began);
    scope::read(loaded, &log_dir).map_err(|why| Refusal::new(exit::USAGE, why))
}

/// Asks about the hosts until a signal comes; the signal is the refusal.
pub fn contact(
    loaded: &Loaded,
    selection: &HostFilter,
    contacted: Option<&Arc<ProcessContext>>,
    around: &Arc<ProcessContext>,
    pool: &mut Pool,
) -> Result<ValidationSummary, Refusal> {
    let stop = || around.interrupt.level() > interrupt::SignalLevel::None;
    let findings = preflight::check(&Check {
        loaded,
        selection,
        around: contacted,
        stop: &stop,
    });
    let now = pool.now();
    wait_until(pool, now).map(|()| findings)
}

/// What every command shares; starts the guardian, so before any thread and
/// before any file that commands must not see.
pub fn surroundings(loaded: &Loaded, private: PathBuf) -> io::Result<Arc<ProcessContext>> {
    sys::share_heap();
    sys::close_on_exec_above_2();
    sys::block_signals();
    let conf = &loaded.site.conf;
    let kill_after = loaded.defaults.kill_after;
    Ok(Arc::new(ProcessContext {
        guardian: Guardian::start(kill_after)?,
        interrupt: Interrupt::new(loaded.invocation.on_interrupt)?,
        spool: Spool::new(private),
        kill_after,
        connection_limit: ConnectionLimit::new(conf.max_connecting.unwrap_or(MAX_CONNECTING)),
    }))
}

/// Where logs and records go.
///
/// # Errors
/// That there is no home directory to keep them in (32).
pub fn log_directory(loaded: &Loaded) -> Result<PathBuf, Refusal> {
    let directory = loaded.validation.log_directory.as_ref();
    directory.map(|(path, _)| path.clone()).ok_or_else(homeless)
}

fn open_report(loaded: &Loaded, log_dir: &LogDirectory) -> io::Result<Reporter> {
    let invocation = &loaded.invocation;
    let mask = Mask::new(&loaded.workflow.globals);
    let (file, path) = log_dir.create_log()?;
    let mut log = Log::new(file, path, invocation.log_level, mask.clone());
    if !invocation.no_task_backup {
        log_dir.copy_task_file(&loaded.name, &loaded.sources.get(loaded.file).text, &mask)?;
    }
    let outputs = invocation.keep_output.as_ref();
    let outputs = outputs.map(|directory| OutputFiles::new(directory, mask.clone()));
    let outputs = outputs.transpose()?;
    let tasks = loaded.workflow.tasks.len();
    let open = |path: &PathBuf| EventStream::open(path, mask.clone());
    let events = invocation.events.as_ref().map(open).transpose();
    let events = events.inspect_err(|e| log.say(LogLevel::Error, &e.to_string()))?;
    Ok(Reporter {
        outputs,
        history: None,
        console: Console::new(invocation.quiet, invocation.color, mask, tasks),
        log,
        events,
    })
}

/// The first of the events for another program.
fn announce(report: &mut Reporter, loaded: &Loaded, begun: &Begun) {
    let change = loaded.workflow.globals.get("CHANGE").map(|g| g.shown());
    let log_file = report.log.path().display().to_string();
    let head = StreamHead {
        run_id: &begun.run_id,
        task_file: &loaded.validation.real.display().to_string(),
        sha256: &sha256::hex(loaded.sources.get(loaded.file).text.as_bytes()),
        plan: &begun.plan.shown_id(),
        project: loaded.invocation.project.as_deref(),
        change: change.as_deref(),
        tasks: loaded.workflow.tasks.len(),
        log_file: &log_file,
        resumed: begun.going.is_some(),
    };
    report.follow(|events| events.begin(&head));
}

/// Resolves the hosts, and with `-c` contacts them; nothing runs where one fails.
fn check_hosts(
    loaded: &Loaded,
    selection: &HostFilter,
    around: &Arc<ProcessContext>,
    pool: &mut Pool,
    log: &mut Log,
) -> Result<(), Refusal> {
    let contacted = Some(around).filter(|_| loaded.invocation.connection_test);
    let findings = contact(loaded, selection, contacted, around, pool)?;
    let findings = loaded.validation.of_file.with(&findings);
    loaded.validation.keep(&findings, findings.code);
    if loaded.invocation.skip_host_validation {
        log.say(
            LogLevel::Warn,
            "Hosts were neither resolved nor contacted before the run",
        );
        return Ok(());
    }
    if findings.code == exit::OK {
        log.say(
            LogLevel::Info,
            &format!(
                "Host validation passed ({})",
                Plural(findings.hosts, "host")
            ),
        );
        return Ok(());
    }
    for (name, reason) in &findings.failures {
        log.say(LogLevel::Error, &format!("Host {name}: {reason}"));
    }
    let before = match loaded.invocation.quiet {
        true => validation_summary::failed_lines(&findings),
        false => validation_summary::lines(&findings),
    };
    let why = "the hosts are not as they should be (--skip-host-validation runs all the same)";
    Err(Refusal {
        before,
        ..Refusal::new(findings.code, why)
    })
}

/// The task to begin at.
pub fn start_task(loaded: &Loaded) -> Result<Ix, Refusal> {
    let workflow = &loaded.workflow;
    let Some(word) = &loaded.invocation.start_from else {
        let why = "every task belongs to a block or is a final task, so there is none to begin at";
        return workflow
            .first()
            .ok_or_else(|| Refusal::new(exit::INVALID, format!("{}: {why}", loaded.name)));
    };
    let refuse = |why: String| Refusal::new(exit::POSITION, format!("--start-from: {why}"));
    let ix = workflow.resolve_task(word).map_err(refuse)?;
    if workflow.tasks[ix].finally {
        return Err(refuse(format!(
            "task {word} is a final task, which runs at the end"
        )));
    }
    if let Some((block, false)) = workflow.owner_of(ix) {
        let block = workflow.tasks[block].id;
        return Err(refuse(format!(
            "task {word} belongs to the parallel block {block}; begin there"
        )));
    }
    Ok(ix)
}

/// The head of the log: who runs what, from where (SPEC §6.3).
fn head(log: &mut Log, loaded: &Loaded, begun: &Begun) {
    let workflow = &loaded.workflow;
    let conf = loaded.site.file.map(|file| {
        let source = loaded.sources.get(file);
        format!(
            "Configuration {}, SHA-256 {}",
            source.name,
            sha256::hex(source.text.as_bytes())
        )
    });
    let change = workflow
        .globals
        .get("CHANGE")
        .map(|g| format!("; CHANGE {}", g.shown()));
    let mut lines = vec![
        format!(
            "tasker {} run {}{}",
            env!("CARGO_PKG_VERSION"),
            begun.run_id,
            change.unwrap_or_default()
        ),
        format!(
            "Task file {}, SHA-256 {}",
            loaded.validation.real.display(),
            sha256::hex(loaded.sources.get(loaded.file).text.as_bytes())
        ),
        loaded.validation.who().to_string(),
        format!(
            "Default timeout {}, targets {}",
            duration::setting(loaded.defaults.timeout),
            preflight::named_targets(loaded, &begun.selection)
        ),
        format!(
            "Task validation passed ({})",
            Plural(workflow.tasks.len(), "task")
        ),
    ];
    lines.insert(3, format!("Plan {}", begun.plan.shown_id()));
    lines.splice(2..2, conf);
    log.say_all(LogLevel::Info, &lines);
    if loaded.invocation.skip_task_validation {
        log.say(
            LogLevel::Warn,
            "The checks of the flow and all warnings were skipped",
        );
    }
}

fn walk(
    loaded: &Loaded,
    settings: &Settings,
    run_id: &str,
    journal: Journal,
    pool: &mut Pool,
    report: &mut Reporter,
) -> RunEnd {
    pool.beat(BEAT);
    let common = JobEnvironment::new(run_id, Mask::new(&loaded.workflow.globals));
    let mut emit = |event: crate::run::event::Event| report.event(&event);
    Engine::new(
        &loaded.workflow,
        &loaded.defaults,
        settings,
        &common,
        pool,
        &mut emit,
    )
    .with_journal(journal, loaded.invocation.finish_only)
    .run()
}
