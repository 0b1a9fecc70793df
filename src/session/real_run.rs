//! One real run: everything that is asked before it, then the walk between the
//! processes on one side and the report on the other.
#![forbid(unsafe_code)]

use crate::cli::options::PlanForm;
use crate::exit;
use crate::plan::coverage::Coverage;
use crate::plan::flow::Policy;
use crate::report::history::History;
use crate::report::log::LogLevel;
use crate::report::log_directory::LogDirectory;
use crate::report::print;
use crate::report::reporter::Reporter;
use crate::run::child;
use crate::run::deadline::Deadline;
use crate::run::event::Event;
use crate::run::header::RunBeginning;
use crate::run::interrupt::SignalLevel;
use crate::run::job::JobEnvironment;
use crate::run::journal::Journal;
use crate::run::pool::Pool;
use crate::run::process_context::ProcessContext;
use crate::run::run_end::RunEnd;
use crate::run::runner::Runner;
use crate::run::sys;
use crate::run::walk::engine::{Engine, Settings};
use crate::session::approval::{self, Plan};
use crate::session::command_line::CommandLine;
use crate::session::ending::{self, EndedRun};
use crate::session::instance::InstanceLocks;
use crate::session::journal_file::{self, ClosedJournal};
use crate::session::journal_header::RunName;
use crate::session::load::Loaded;
use crate::session::opening::{self, Opening};
use crate::session::preflight;
use crate::session::prepared::{ContinuedRun, Earlier, Way};
use crate::session::recovery::{self, Resumption};
use crate::session::refusal::{Refusal, no_process, unwritable};
use crate::session::scope::RunScope;
use crate::session::{destinations, journal_header, prune, time_limit};
use crate::text::diagnostic::reason;
use crate::text::size;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// How often the watchers of a run hear that time passes.
const BEAT: Duration = Duration::from_secs(1);

/// A run whose command line and plan are accepted.
struct RealRun<'a> {
    loaded: &'a Loaded,
    began: SystemTime,
    /// What continuing an earlier run does.
    resumption: Option<Resumption>,
    earlier: Earlier,
    /// The project of the run that goes on in its own journal.
    earlier_project: Option<String>,
    run_id: String,
    /// See `Header::number`; known once there is a journal.
    number: u64,
    scope: RunScope,
    coverage: Coverage,
    policy: Policy,
    log_dir: LogDirectory,
    deadline: Option<Deadline>,
    plan: Plan,
    /// The plan as text, if a report is to show it.
    drawn_plan: String,
    context: Arc<ProcessContext>,
}

/// Asks everything that can refuse the run, a line each, then runs it; the exit
/// code.
///
/// # Errors
/// Why the run did not begin.
pub fn run(loaded: &Loaded, earlier: Earlier) -> Result<i32, Refusal> {
    if earlier.is_left_to_another {
        return Ok(exit::OK);
    }
    let (began, clock) = (SystemTime::now(), Instant::now());
    let log_dir = loaded.log_directory(began)?;
    let resumption = earlier
        .run
        .as_ref()
        .map(|run| recovery::examine(loaded, run));
    let resumption = resumption.transpose()?;
    let scope = match &resumption {
        Some(resumption) => resumption.scope.clone(),
        None => RunScope::read(loaded)?,
    };
    let policy = match &resumption {
        Some(resumption) => resumption.policy,
        None => loaded.invocation.policy(),
    };
    let coverage = match &resumption {
        Some(resumption) => resumption.coverage(loaded),
        None => scope.coverage(loaded, policy),
    };
    let mut deadline = time_limit::read(loaded, &coverage, began)?;
    preflight::check_programs(loaded, &coverage)?;
    let plan = Plan::new(loaded, &coverage);
    approval::check(loaded, &plan, Some(&log_dir))?;
    destinations::check(&loaded.invocation, &loaded.name, &log_dir)?;
    time_limit::warn(loaded, &coverage, deadline.as_ref());
    approval::confirm(loaded, &plan)?;
    if let Some(resumption) = &resumption {
        approval::confirm_doubts(loaded, &resumption.doubts)?;
    }
    let drawn_plan = match loaded.invocation.report {
        Some(_) => approval::draw(loaded, &plan, PlanForm::Text),
        None => String::new(),
    };
    let run_id = match &earlier.run {
        Some(run) if matches!(run.way, Way::Same(_)) => run.header.run_id.clone(),
        _ => log_dir.new_run_id(),
    };
    let private = log_dir.private(&run_id);
    let context = preflight::process_context(loaded, private).map_err(no_process)?;
    let mut pool = Pool::new(context.clone()).map_err(no_process)?;
    if let Some(deadline) = &mut deadline {
        let used = clock.elapsed().saturating_sub(pool.now());
        deadline.at = deadline.at.saturating_sub(used);
    }
    let run = RealRun {
        loaded,
        began,
        resumption,
        earlier_project: earlier.run.as_ref().and_then(ContinuedRun::own_project),
        earlier,
        run_id,
        number: 0,
        scope,
        coverage,
        policy,
        log_dir,
        deadline,
        plan,
        drawn_plan,
        context,
    };
    let code = run.begin(&mut pool);
    pool.close();
    code
}

impl RealRun<'_> {
    /// Waits for its time and its locks, then runs to the end.
    fn begin(mut self, pool: &mut Pool) -> Result<i32, Refusal> {
        let loaded = self.loaded;
        if let Some(most) = loaded.invocation.splay {
            let time = most.mul_f64(child::random());
            pool.pause(time).map_err(Refusal::of_signal)?;
        }
        let mut pause = |time| pool.pause(time).map_err(Refusal::of_signal);
        let taken = match self.earlier.locks.take() {
            None => InstanceLocks::take(loaded, &self.log_dir, Instant::now(), &mut pause)?,
            taken => taken,
        };
        // Held until the run has ended.
        let Some(locks) = taken else {
            return Ok(exit::OK);
        };
        let files = locks.files();
        if !files.is_empty() {
            self.context.guardian.hold(files).map_err(no_process)?;
        }
        let mut report = opening::open(loaded, &self.log_dir).map_err(unwritable)?;
        let opening = Opening {
            loaded,
            run_id: &self.run_id,
            plan_id: &self.plan.shown_id(),
            coverage: &self.coverage,
            deadline: self.deadline.as_ref().map(|d| {
                // Rounded to the second that was meant.
                let left = d.at.saturating_sub(pool.now());
                SystemTime::now() + left + Duration::from_millis(500)
            }),
            is_resumed: self.resumption.is_some(),
        };
        opening.write(&mut report);
        if let Some(holder) = locks.other_instance() {
            let text =
                format!("Another instance is active ({holder}); --force-instance runs anyway");
            print::complain(format_args!("tasker: warning: {text}"));
            report.log.write(LogLevel::Warn, &text);
        }
        self.warn_of_full_disk(&mut report);
        self.report_earlier_run(&mut report);
        let settings = self.settings();
        match self.prepare(&settings, pool, &mut report) {
            Ok(journal) => Ok(self.run_to_end(&settings, journal, pool, &mut report)),
            Err(refusal) => Err(report_in_log(&mut report, refusal)),
        }
    }

    /// Warns where outputs that do not fit in memory would be lost from the start.
    fn warn_of_full_disk(&self, report: &mut Reporter) {
        let keep_free = self.loaded.config.output_limits().keep_free;
        let path = report.log.path().parent();
        let free = path.and_then(|path| sys::free_space(File::open(path).ok()?.as_fd()).ok());
        let Some(free) = free.filter(|free| *free < keep_free) else {
            return;
        };
        let text = format!(
            "only {} MiB are free on the file system of the log directory, less than keep_free ({}): an output of more than 1 MiB would be lost",
            free >> 20,
            size::show(keep_free)
        );
        if !self.loaded.invocation.quiet {
            print::complain(format_args!("tasker: warning: {text}"));
        }
        report.log.write(LogLevel::Warn, &text);
    }

    /// Says which run is continued, and what of it runs again; or why none is.
    fn report_earlier_run(&self, report: &mut Reporter) {
        let is_quiet = self.loaded.invocation.quiet;
        let warn = |report: &mut Reporter, text: &str| {
            if !is_quiet {
                print::complain(format_args!("tasker: warning: {text}"));
            }
            report.log.write(LogLevel::Warn, text);
        };
        for warning in &self.earlier.warnings {
            warn(report, warning);
        }
        if let Some(why) = &self.earlier.fresh_because {
            let line = format!("--auto-recovery begins afresh: {why}");
            report.log.write(LogLevel::Info, &line);
            report.console.print(&format!("{line}\n"));
        }
        let Some(resumption) = &self.resumption else {
            return;
        };
        let headline = &resumption.headline;
        report.log.write(LogLevel::Info, headline);
        match self.loaded.invocation.auto_recovery {
            // Also in a mail: nobody asked for this run in particular.
            true => print::print(&format!("{headline}\n")),
            false => report.console.print(&format!("{headline}\n")),
        }
        for line in &resumption.details {
            report.log.write(LogLevel::Info, line);
            report.console.print(&format!("{line}\n"));
        }
        for line in &resumption.doubts {
            // Also in a mail: something may be done twice, or stay undone.
            print::complain(format_args!(
                "tasker: warning: {}",
                self.loaded.mask().apply(line)
            ));
            report.log.write(LogLevel::Warn, line);
        }
    }

    /// The project of the run: that of the run that goes on, if this call names none.
    fn project(&self) -> Option<&str> {
        let named = self.loaded.invocation.project.as_deref();
        named.or(self.earlier_project.as_deref())
    }

    fn settings(&self) -> Settings {
        let invocation = &self.loaded.invocation;
        Settings {
            policy: self.policy,
            max_steps: invocation.max_steps(),
            start: self.scope.start.clone(),
            debug: invocation.log_level == LogLevel::Debug,
            selection: self.scope.selection.clone(),
            deadline: self.deadline.clone(),
        }
    }

    /// The id of the task that the run begins at, and how it comes to begin there.
    fn beginning(&self, earlier: Option<&ContinuedRun>) -> (u32, RunBeginning) {
        let invocation = &self.loaded.invocation;
        let beginning = match earlier {
            Some(run) => RunBeginning::ResumeAt {
                run_id: run.header.run_id.clone(),
                all_hosts: invocation.all_hosts,
            },
            None if invocation.start_from.is_some() => RunBeginning::StartFrom,
            None => RunBeginning::Whole,
        };
        let start = self.scope.start.task();
        (self.loaded.workflow.tasks[start].id, beginning)
    }

    /// The journal of an earlier run that is continued in it, else a new one.
    fn open_journal(&mut self, settings: &Settings) -> Result<Journal, Refusal> {
        let earlier = self.earlier.run.take();
        if let Some(ContinuedRun {
            way: Way::Same(way),
            mut journal,
            header,
            ..
        }) = earlier
        {
            self.number = header.number;
            let unwritable = |e: io::Error| {
                let why = format!("cannot write the journal: {}", reason(&e));
                Refusal::new(exit::LOG_DIR, why)
            };
            journal.prepare(way).map_err(unwritable)?;
            self.context.spool.keep();
            return Ok(journal);
        }
        let (number, file) = self.log_dir.next_run_number().map_err(unwritable)?;
        self.number = number;
        let name = RunName {
            id: self.run_id.clone(),
            number,
            began: self.began,
        };
        let beginning = self.beginning(earlier.as_ref());
        let header = journal_header::new(self.loaded, name, settings, beginning, &self.plan);
        let spool = &self.context.spool;
        let at = self.resumption.as_ref().and_then(|r| r.at.as_ref());
        journal_file::create(self.loaded, &self.log_dir, &header, file, spool, at)
    }

    /// The last two that can refuse the run: its hosts, and its journal.
    fn prepare(
        &mut self,
        settings: &Settings,
        pool: &mut Pool,
        report: &mut Reporter,
    ) -> Result<Journal, Refusal> {
        let loaded = self.loaded;
        let coverage = &self.coverage;
        preflight::check_hosts(loaded, coverage, &self.context, pool, &mut report.log)?;
        let mut journal = self.open_journal(settings)?;
        // The console has them already.
        for warning in self.log_dir.warnings() {
            report.log.write(LogLevel::Warn, &warning);
        }
        let line = CommandLine::new(loaded);
        let line = (line.before_option(), line.after_option());
        let tasks = loaded.workflow.tasks.len();
        let project = self.project().unwrap_or_default();
        journal.note_run(tasks, report.log.path(), (&line.0, &line.1), project);
        Ok(journal)
    }

    /// Walks, and reports the end; the exit code.
    fn run_to_end(
        &self,
        settings: &Settings,
        journal: Journal,
        pool: &mut Pool,
        report: &mut Reporter,
    ) -> i32 {
        let state_file = journal.path().to_path_buf();
        let wanted = self.loaded.invocation.report.is_some();
        report.history = wanted.then(|| History::new(Instant::now()));
        let mut end = self.walk(settings, journal, pool, report);
        ending::last_lines(self.loaded, &end, report);
        // Before the journal goes: of a run that is killed from here on, something tells.
        if let Some(project) = self.project() {
            ending::add_to_project(self.loaded, &self.log_dir, project, &end, report);
        }
        let mut closed = self.close_journal(report, &mut end);
        let ended = EndedRun {
            loaded: self.loaded,
            log_dir: &self.log_dir,
            run_id: &self.run_id,
            number: self.number,
            began: self.began,
            end: &end,
            drawn_plan: &self.drawn_plan,
            scope: &self.scope,
            policy: settings.policy,
            interrupt: &self.context.interrupt,
        };
        ended.close(report, closed.kept.as_mut());
        report.follow(|events| events.end(&end));
        ended.alert(report, state_file);
        if let Some(journal) = closed.done_with {
            journal.release_outputs();
        }
        let interrupt = &self.context.interrupt;
        let level = interrupt.level();
        let retention = self.loaded.config.retention();
        prune::after_run(
            &self.log_dir,
            &retention,
            self.number,
            &mut report.log,
            &|| interrupt.level() > level || interrupt.level() == SignalLevel::Kill,
        );
        end.exit
    }

    fn walk(
        &self,
        settings: &Settings,
        journal: Journal,
        pool: &mut Pool,
        report: &mut Reporter,
    ) -> RunEnd {
        pool.beat(BEAT);
        let loaded = self.loaded;
        let common = JobEnvironment::new(&self.run_id, loaded.mask().clone());
        let mut emit = |event: Event| report.event(&event);
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

    /// Keeps or removes the journal.
    fn close_journal(&self, report: &mut Reporter, end: &mut RunEnd) -> ClosedJournal {
        let mut complaints = Vec::new();
        let closed = journal_file::close(self.loaded, &self.log_dir, end, &mut complaints);
        for line in complaints {
            report.log.write(LogLevel::Error, &line);
            let line = self.loaded.mask().apply(&line);
            print::complain(format_args!("tasker: {line}"));
        }
        for line in &closed.ignored {
            report.log.write(LogLevel::Warn, line);
        }
        closed
    }
}

/// Reports a refusal to those who know already that the run begins.
fn report_in_log(report: &mut Reporter, refusal: Refusal) -> Refusal {
    let text = format!(
        "Run refused with exit code {}: {}",
        refusal.code, refusal.why
    );
    report.log.write(LogLevel::Error, &text);
    report.follow(|events| events.refused(refusal.code, &refusal.why));
    Refusal {
        log: Some(report.log.path().into()),
        ..refusal
    }
}
