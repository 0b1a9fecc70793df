//! One real run from its log file to its exit code: wires the engine to the
//! processes on one side and to the report on the other.
#![forbid(unsafe_code)]

use crate::alert::Alert;
use crate::cli::Form;
use crate::deadline;
use crate::exit;
use crate::hosts::{self, Check};
use crate::limits;
use crate::load::Loaded;
use crate::lock::{self, Instance};
use crate::outcome::Outcome;
use crate::plan::flow::Policy;
use crate::report::console::{Closing, Console};
use crate::report::log::{Level, Log};
use crate::report::records::{self, Records};
use crate::report::summary::{Findings, Sign};
use crate::report::{Report, clock, show, summary};
use crate::resume::{self, Going};
use crate::review::{self, Plan};
use crate::run::capture::Spool;
use crate::run::child::{self, Surroundings};
use crate::run::deadline::Deadline;
use crate::run::engine::{Engine, RunEnd, Settings};
use crate::run::guardian::Guardian;
use crate::run::interrupt::{self, Interrupt};
use crate::run::job::Common;
use crate::run::journal::Journal;
use crate::run::pool::Pool;
use crate::run::ramp::Ramp;
use crate::run::runner::{Runner, Wake};
use crate::run::sys;
use crate::task::Ix;
use crate::task::mask::Mask;
use crate::task::nodeset::Selection;
use crate::text::diagnostic::Count;
use crate::text::{quote, sha256};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// How many hosts are between start and nonce at once (SPEC §5).
const MAX_CONNECTING: u32 = 10;

/// Runs the workflow; the exit code.
pub fn run(loaded: &Loaded) -> i32 {
    match try_run(loaded) {
        Ok(code) => code,
        Err(refusal) => {
            show::complain(format_args!("tasker: {}; nothing was run", refusal.why));
            show::complain_raw(format_args!("{}", refusal.detail));
            if let Some(program) = &loaded.invocation.alert_on_failure {
                let error = Mask::new(&loaded.workflow.globals).text(&refusal.why);
                Alert::of_refusal(program, &loaded.name, refusal.code, &error).send_alone();
            }
            refusal.code
        }
    }
}

/// Why a run did not begin.
pub struct Refusal {
    pub code: i32,
    /// One sentence.
    pub why: String,
    /// Lines that follow it; mostly none.
    pub detail: String,
}

impl Refusal {
    pub fn new(code: i32, why: impl Into<String>) -> Refusal {
        Refusal {
            code,
            why: why.into(),
            detail: String::new(),
        }
    }
}

fn try_run(loaded: &Loaded) -> Result<i32, Refusal> {
    let (began, clock) = (SystemTime::now(), Instant::now());
    let records = Records::new(log_directory(loaded)?, began);
    let invocation = &loaded.invocation;
    let goes_on = invocation.resume || invocation.auto_recovery || invocation.finish_only;
    if goes_on && !lock::let_others_end(loaded, &records)? {
        return Ok(exit::OK);
    }
    let going = resume::find(loaded, &records)?;
    let run_id = going
        .as_ref()
        .map_or_else(|| run_id(began), |g| g.run_id.clone());
    let (start, selection) = match &going {
        Some(going) => (going.start, going.selection.clone()),
        None => (
            start_task(loaded)?,
            limits::read(loaded, &records).map_err(|why| Refusal::new(exit::USAGE, why))?,
        ),
    };
    let mut deadline = deadline::read(loaded, &selection, began)?;
    let missing = hosts::missing_programs(loaded, &selection);
    if !missing.is_empty() {
        let why = format!("not in PATH: {}", missing.join(", "));
        let mut findings = Findings::default();
        let what = "Execution type validation failed";
        let line = format!("{what} ({why})");
        findings.checks.push((line, Sign::Failed));
        let findings = loaded.validation.of_file.with(&findings);
        loaded.validation.keep(&findings, exit::EXEC_TYPE);
        return Err(Refusal::new(exit::EXEC_TYPE, why));
    }
    let plan = Plan::new(loaded, &selection, &records)?;
    review::check(loaded, &selection, &plan, &records)?;
    if let Some(deadline) = deadline.as_ref().filter(|_| !loaded.invocation.quiet) {
        deadline::doubt(loaded, &selection, deadline);
    }
    review::confirm(loaded, &selection, &plan)?;
    let around = surroundings(loaded, records.private(&run_id)).map_err(unwritable)?;
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
        records,
        selection,
        deadline,
        plan,
        around,
    };
    let code = begin(loaded, begun, &mut pool);
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
    records: Records,
    selection: Selection,
    deadline: Option<Deadline>,
    plan: Plan,
    around: Arc<Surroundings>,
}

/// Waits for its time and its lock, then runs to the end.
fn begin(loaded: &Loaded, begun: Begun, pool: &mut Pool) -> Result<i32, Refusal> {
    let Begun {
        began,
        going,
        run_id,
        start,
        records,
        selection,
        deadline,
        plan,
        around,
    } = begun;
    if let Some(most) = loaded.invocation.splay {
        pause(pool, most.mul_f64(child::random()))?;
    }
    // Held until the run has ended.
    let lock = match lock::instance(loaded, &records, &plan, pool)? {
        Instance::Another => return Ok(exit::OK),
        Instance::Ours(lock) => lock,
    };
    let mut report = open_report(loaded, &records).map_err(unwritable)?;
    head(&mut report.log, loaded, &selection, &run_id, &plan);
    if let Some(holder) = lock.beside() {
        let text =
            format!("Another instance is active ({holder}); --force-instance runs beside it");
        show::complain(format_args!("tasker: warning: {text}"));
        report.log.say(Level::Warn, &text);
    }
    tell_going(&mut report, going.as_ref());
    check_hosts(loaded, &selection, &around, pool, &mut report.log)?;
    let settings = Settings {
        deadline,
        ..settings(loaded, going.as_ref(), start, selection)
    };
    let mut journal = match &going {
        Some(going) => going.take(loaded, &around.spool)?,
        None => resume::header(loaded, &records, &run_id, began, &settings)
            .and_then(|header| resume::begin(loaded, &records, &header, &around.spool))?,
    };
    let words = command_line(loaded, String::new(), None);
    let tasks = loaded.workflow.tasks.len();
    journal.note_run(tasks, report.log.path(), words.trim_start());
    let state_file = journal.path().to_path_buf();
    let mut end = walk(loaded, &settings, &run_id, journal, pool, &mut report);
    let option = close_journal(loaded, &records, &mut report, &mut end);
    close(loaded, &records, &mut report, &end, option);
    alert(loaded, &mut report, &end, state_file, &around.interrupt);
    Ok(end.exit)
}

fn settings(loaded: &Loaded, going: Option<&Going>, start: Ix, selection: Selection) -> Settings {
    Settings {
        policy: going.map_or(policy(loaded), |g| g.policy),
        max_steps: loaded.invocation.max_steps,
        start,
        debug: loaded.invocation.log_level == Level::Debug,
        selection,
        deadline: None,
    }
}

/// What was to be written in the log directory cannot be.
pub fn unwritable(e: io::Error) -> Refusal {
    Refusal::new(exit::LOG_DIR, e.to_string())
}

/// Waits; a signal is the refusal.
pub fn pause(pool: &mut Pool, time: Duration) -> Result<(), Refusal> {
    let until = pool.now() + time;
    match pool.wait(Some(until)) {
        Wake::Interrupt { signal, .. } => Err(ended_by(signal)),
        _ => Ok(()),
    }
}

fn ended_by(signal: i32) -> Refusal {
    let name = interrupt::signal_name(signal);
    Refusal::new(exit::SIGNAL + signal, format!("ended by {name}"))
}

/// Says at the beginning what the run goes on with.
fn tell_going(report: &mut Report, going: Option<&Going>) {
    if let Some(going) = going {
        report.log.say(Level::Info, &going.said);
        report.console.say(&format!("{}\n", going.said));
    }
}

/// Keeps or removes the journal; the option that goes on with the run.
fn close_journal(
    loaded: &Loaded,
    records: &Records,
    report: &mut Report,
    end: &mut RunEnd,
) -> Option<&'static str> {
    let (option, said) = resume::close(loaded, records, end);
    for line in said {
        report.log.say(Level::Error, &line);
        let line = Mask::new(&loaded.workflow.globals).text(&line);
        show::complain(format_args!("tasker: {line}"));
    }
    option
}

/// What the command line says about failures that nothing handles.
pub fn policy(loaded: &Loaded) -> Policy {
    let invocation = &loaded.invocation;
    Policy {
        keep_going: invocation.keep_going || invocation.fire_and_forget,
        forgive: invocation.fire_and_forget,
    }
}

fn run_id(began: SystemTime) -> String {
    format!("{}-{}", clock::compact(began), std::process::id())
}

/// Without `-r`: what the checks found and what would run; the exit code.
pub fn dry_run(loaded: &Loaded) -> i32 {
    match try_dry_run(loaded) {
        Ok(code) => code,
        Err(refusal) => {
            show::complain(format_args!("tasker: {}", refusal.why));
            show::complain_raw(format_args!("{}", refusal.detail));
            refusal.code
        }
    }
}

/// What `--limit` and `--exclude` leave, where nothing runs: without them no log
/// directory is needed.
///
/// # Errors
/// A set that cannot be read or leaves no host (2), no log directory for `last:` (32).
pub fn selection(loaded: &Loaded, began: SystemTime) -> Result<Selection, Refusal> {
    if loaded.invocation.limit.is_none() && loaded.invocation.exclude.is_none() {
        return Ok(Selection::default());
    }
    let records = Records::new(log_directory(loaded)?, began);
    limits::read(loaded, &records).map_err(|why| Refusal::new(exit::USAGE, why))
}

fn try_dry_run(loaded: &Loaded) -> Result<i32, Refusal> {
    let began = SystemTime::now();
    start_task(loaded)?;
    let selection = selection(loaded, began)?;
    match deadline::read(loaded, &selection, began) {
        Ok(None) => {}
        Ok(Some(deadline)) => deadline::doubt(loaded, &selection, &deadline),
        Err(refusal) => show::complain(format_args!(
            "tasker: warning: {}; a real run would be refused with {}",
            refusal.why, refusal.code
        )),
    }
    let findings = match loaded.invocation.connection_test {
        true => test_connections(loaded, &selection, began)?,
        false => hosts::check(&Check {
            loaded,
            selection: &selection,
            around: None,
            stop: &|| false,
        }),
    };
    let missing = hosts::missing_programs(loaded, &selection);
    if !missing.is_empty() && findings.code == exit::OK {
        let missing = missing.join(", ");
        show::complain(format_args!(
            "tasker: warning: not in PATH: {missing}; a real run would be refused with 61"
        ));
    }
    let findings = loaded.validation.of_file.with(&findings);
    loaded.validation.keep(&findings, findings.code);
    let mut text = summary::lines(&findings);
    let form = loaded.invocation.show_plan.unwrap_or(Form::Text);
    // A picture is for a program, which must not find anything else there.
    if form != Form::Text {
        if findings.code != exit::OK {
            show::complain_raw(format_args!("{text}"));
        }
        text.clear();
    }
    crate::print(&text);
    if findings.code != exit::OK || loaded.invocation.validate_only {
        return Ok(findings.code);
    }
    show_plan(loaded, &selection, form, began)?;
    Ok(findings.code)
}

/// Prints the plan, and says whether it is what the command line expects.
fn show_plan(
    loaded: &Loaded,
    selection: &Selection,
    form: Form,
    began: SystemTime,
) -> Result<(), Refusal> {
    let records = Records::new(log_directory(loaded)?, began);
    let plan = Plan::new(loaded, selection, &records)?;
    if form == Form::Text {
        crate::print("\nDry run: nothing is executed; -r runs it.\n");
    }
    crate::print(&review::draw(loaded, selection, &plan, form));
    // Looking at a file leaves no trace where no log directory is in use.
    if records.exists() {
        plan.keep(&records);
    }
    review::check(loaded, selection, &plan, &records)
}

/// `-c` without `-r`: contacts the hosts with all that guards a run.
fn test_connections(
    loaded: &Loaded,
    selection: &Selection,
    began: SystemTime,
) -> Result<Findings, Refusal> {
    let private = Records::new(log_directory(loaded)?, began).private(&run_id(began));
    let around = surroundings(loaded, private).map_err(unwritable)?;
    let mut pool = Pool::new(around.clone()).map_err(unwritable)?;
    let findings = contact(loaded, selection, Some(&around), &around, &mut pool);
    pool.close();
    findings
}

/// Asks about the hosts until a signal comes; the signal is the refusal.
fn contact(
    loaded: &Loaded,
    selection: &Selection,
    contacted: Option<&Arc<Surroundings>>,
    around: &Arc<Surroundings>,
    pool: &mut Pool,
) -> Result<Findings, Refusal> {
    let stop = || around.interrupt.level() > interrupt::Level::None;
    let findings = hosts::check(&Check {
        loaded,
        selection,
        around: contacted,
        stop: &stop,
    });
    let now = pool.now();
    match pool.wait(Some(now)) {
        Wake::Interrupt { signal, .. } => Err(ended_by(signal)),
        _ => Ok(findings),
    }
}

/// What every command shares; starts the guardian, so before any thread and
/// before any file that commands must not see.
fn surroundings(loaded: &Loaded, private: PathBuf) -> io::Result<Arc<Surroundings>> {
    sys::close_on_exec_above_2();
    sys::block_signals();
    let conf = &loaded.site.conf;
    let kill_after = loaded.defaults.kill_after;
    Ok(Arc::new(Surroundings {
        guardian: Guardian::start(kill_after)?,
        interrupt: Interrupt::new(loaded.invocation.on_interrupt)?,
        spool: Spool::new(private),
        kill_after,
        ramp: Ramp::new(conf.max_connecting.unwrap_or(MAX_CONNECTING)),
    }))
}

/// Where logs and records go.
///
/// # Errors
/// That there is no home directory to keep them in (32).
pub fn log_directory(loaded: &Loaded) -> Result<PathBuf, Refusal> {
    let directory = loaded.validation.log_directory.as_ref();
    directory.map(|(path, _)| path.clone()).ok_or_else(|| {
        Refusal::new(
            exit::LOG_DIR,
            "no home directory to keep the log in; name a directory with -l DIR",
        )
    })
}

fn open_report(loaded: &Loaded, records: &Records) -> io::Result<Report> {
    let invocation = &loaded.invocation;
    let mask = Mask::new(&loaded.workflow.globals);
    let (file, path) = records.create_log()?;
    let log = Log::new(file, path, invocation.log_level, mask.clone());
    if !invocation.no_task_backup {
        records.copy_task_file(&loaded.name, &loaded.sources.get(loaded.file).text, &mask)?;
    }
    Ok(Report {
        console: Console::new(invocation.quiet, mask),
        log,
    })
}

/// Resolves the hosts, and with `-c` contacts them; nothing runs where one fails.
fn check_hosts(
    loaded: &Loaded,
    selection: &Selection,
    around: &Arc<Surroundings>,
    pool: &mut Pool,
    log: &mut Log,
) -> Result<(), Refusal> {
    let contacted = Some(around).filter(|_| loaded.invocation.connection_test);
    let findings = contact(loaded, selection, contacted, around, pool)?;
    let findings = loaded.validation.of_file.with(&findings);
    loaded.validation.keep(&findings, findings.code);
    if loaded.invocation.skip_host_validation {
        log.say(
            Level::Warn,
            "Hosts were neither resolved nor contacted before the run",
        );
        return Ok(());
    }
    if findings.code == exit::OK {
        log.say(
            Level::Info,
            &format!("Host validation passed ({})", Count(findings.hosts, "host")),
        );
        return Ok(());
    }
    for (name, reason) in &findings.failures {
        log.say(Level::Error, &format!("Host {name}: {reason}"));
    }
    show::complain_raw(format_args!("{}", summary::lines(&findings)));
    Err(Refusal::new(
        findings.code,
        "the hosts are not as they should be (--skip-host-validation runs all the same)",
    ))
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
    let ix = workflow.named(word).map_err(refuse)?;
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

/// Whether a run may begin at the task: not at a final one, nor inside a block.
fn can_start_at(loaded: &Loaded, ix: Ix) -> bool {
    let workflow = &loaded.workflow;
    !workflow.tasks[ix].finally && !matches!(workflow.owner_of(ix), Some((_, false)))
}

/// The head of the log: who runs what, from where (SPEC §6.3).
fn head(log: &mut Log, loaded: &Loaded, selection: &Selection, run_id: &str, plan: &Plan) {
    let workflow = &loaded.workflow;
    let real = std::fs::canonicalize(&loaded.name)
        .unwrap_or_else(|_| Path::new(&loaded.name).to_path_buf());
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
            "tasker {} run {run_id}{}",
            env!("CARGO_PKG_VERSION"),
            change.unwrap_or_default()
        ),
        format!(
            "Task file {}, SHA-256 {}",
            real.display(),
            sha256::hex(loaded.sources.get(loaded.file).text.as_bytes())
        ),
        records::who(&loaded.defaults.own_name),
        format!(
            "Default timeout {}, targets {}",
            crate::cli::shown_timeout(loaded.defaults.timeout),
            hosts::named_targets(loaded, selection)
        ),
        format!(
            "Task validation passed ({})",
            Count(workflow.tasks.len(), "task")
        ),
    ];
    lines.insert(3, format!("Plan {}", plan.shown_id()));
    lines.splice(2..2, conf);
    for line in lines {
        log.say(Level::Info, &line);
    }
    if loaded.invocation.skip_task_validation {
        log.say(
            Level::Warn,
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
    report: &mut Report,
) -> RunEnd {
    let common = Common::new(run_id, Mask::new(&loaded.workflow.globals));
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

/// The last words: log, project summary, recap.
fn close(
    loaded: &Loaded,
    records: &Records,
    report: &mut Report,
    end: &RunEnd,
    option: Option<&str>,
) {
    let workflow = &loaded.workflow;
    let last = &workflow.tasks[end.last];
    let host = end
        .results
        .get(end.last)
        .map_or("", |r| r.hostname.as_str());
    let status = if end.exit == exit::OK {
        "SUCCESS"
    } else {
        "FAILED"
    };
    let path: Vec<String> = end
        .path
        .iter()
        .map(|ix| workflow.tasks[*ix].id.to_string())
        .collect();
    report
        .log
        .say(Level::Info, &format!("Path: {}", path.join(" ")));
    let level = if end.exit == exit::OK {
        Level::Info
    } else {
        Level::Error
    };
    report.log.say(
        level,
        &format!(
            "Run ended: {status}, exit code {}, {}, final task {}",
            end.exit, end.counts, last.id
        ),
    );
    if let Some(project) = &loaded.invocation.project {
        let line = format!(
            "{} | {} | {} | {} | {} | {status} | {}",
            clock::stamp(SystemTime::now()),
            field(&loaded.name),
            last.id,
            field(if host.is_empty() { "-" } else { host }),
            end.exit,
            field(&report.log.path().display().to_string())
        );
        if let Err(e) = records.add_to_project(project, &line) {
            show::complain(format_args!(
                "tasker: cannot add to the summary of project {project}: {e}"
            ));
        }
    }
    save_hosts(loaded, records, report, end);
    let failed = end
        .first_failure
        .and_then(|ix| end.results.get(ix).map(|r| (&workflow.tasks[ix], r)));
    let closing = Closing {
        file: &loaded.name,
        place: end.first_failure.map_or(loaded.name.clone(), |ix| {
            loaded.sources.place(workflow.tasks[ix].at)
        }),
        failed,
        log: report.log.path().display().to_string(),
        go_on: match option {
            Some(option) => command_line(loaded, format!("tasker -r {option}"), None),
            None => end
                .first_failure
                .map_or(String::new(), |ix| go_on(loaded, ix)),
        },
        total: workflow.tasks.len(),
    };
    report.console.end(end, &closing);
}

/// Tells the alert program of a run that failed; how that went is only logged.
fn alert(
    loaded: &Loaded,
    report: &mut Report,
    end: &RunEnd,
    state_file: PathBuf,
    interrupt: &Interrupt,
) {
    let Some(program) = &loaded.invocation.alert_on_failure else {
        return;
    };
    if end.exit == exit::OK {
        return;
    }
    let tasks = &loaded.workflow.tasks;
    let failed = end.first_failure.unwrap_or(end.last);
    let error = match end.first_failure.and_then(|ix| end.results.get(ix)) {
        Some(result) => format!(
            "task {}: {}, exit code {}",
            tasks[failed].id, result.outcome, result.exit
        ),
        None => end.why.clone(),
    };
    let alert = Alert {
        state_file: match state_file.exists() {
            true => state_file,
            false => PathBuf::new(),
        },
        log_file: report.log.path().to_path_buf(),
        failed_task: tasks[failed].id.to_string(),
        ..Alert::of_refusal(program, &loaded.name, end.exit, &error)
    };
    // A further signal ends the alert.
    let before = interrupt.level();
    match alert.send(&|| interrupt.level() > before) {
        Ok(()) => report.log.say(Level::Info, "The alert program was run"),
        Err(why) => report.log.say(Level::Warn, &why),
    }
}

/// The command line that goes on at a failed task; for a block over hosts, with
/// those that failed.
fn go_on(loaded: &Loaded, ix: Ix) -> String {
    if loaded.from_stdin || !can_start_at(loaded, ix) {
        return String::new();
    }
    let task = &loaded.workflow.tasks[ix];
    let over_hosts = task.is_block() && task.command().is_some();
    let limit = match &loaded.invocation.limit {
        _ if over_hosts => Some("--limit last:failed".to_string()),
        Some(set) => Some(format!("--limit {}", quote::word(set))),
        None => None,
    };
    let begin = format!("tasker -r --start-from {}", task.id);
    command_line(loaded, begin, limit)
}

/// A command line about this file, with the options that are needed again.
fn command_line(loaded: &Loaded, begin: String, limit: Option<String>) -> String {
    let again = loaded.invocation.again.iter().cloned();
    let words = [begin].into_iter().chain(limit).chain(again);
    words
        .chain([quote::word(&loaded.name)])
        .collect::<Vec<_>>()
        .join(" ")
}

/// Keeps how each host of a block ended, for `--limit last:…`.
fn save_hosts(loaded: &Loaded, records: &Records, report: &mut Report, end: &RunEnd) {
    let mut hosts = BTreeSet::new();
    for (ix, task) in loaded.workflow.tasks.iter().enumerate() {
        let over_hosts = task.is_block() && task.command().is_some();
        if let Some(result) = end.results.get(ix).filter(|_| over_hosts) {
            hosts.extend(
                result
                    .members
                    .iter()
                    .map(|m| (m.result.outcome, m.name.as_str())),
            );
            hosts.extend(
                result
                    .left_out
                    .iter()
                    .map(|h| (Outcome::Unreachable, h.as_str())),
            );
        }
    }
    if hosts.is_empty() || loaded.from_stdin {
        return;
    }
    if let Err(e) = records.save_hosts(&loaded.name, &hosts) {
        report.log.say(
            Level::Warn,
            &format!("Cannot keep the hosts for --limit last: {e}"),
        );
    }
}

/// A field of the project summary: no separator in it.
fn field(text: &str) -> String {
    show::line(text).replace('|', "/")
}
