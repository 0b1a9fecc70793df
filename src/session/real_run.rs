//! One real run: everything that is asked before it, then the walk between the
//! processes on one side and the report on the other.
#![forbid(unsafe_code)]

use crate::cli::options::PlanForm;
use crate::exit;
use crate::report::history::History;
use crate::report::log::LogLevel;
use crate::report::log_directory::LogDirectory;
use crate::report::print;
use crate::report::reporter::Reporter;
use crate::run::child;
use crate::run::deadline::Deadline;
use crate::run::event::Event;
use crate::run::job::JobEnvironment;
use crate::run::journal::Journal;
use crate::run::pool::Pool;
use crate::run::process_context::ProcessContext;
use crate::run::run_end::RunEnd;
use crate::run::runner::Runner;
use crate::run::walk::engine::{Engine, Settings};
use crate::session::approval::{self, Plan};
use crate::session::command_line::CommandLine;
use crate::session::ending::EndedRun;
use crate::session::instance::{self, InstanceLocks};
use crate::session::journal_file::{self, ClosedJournal};
use crate::session::load::Loaded;
use crate::session::opening::{self, Opening};
use crate::session::preflight;
use crate::session::recovery::{self, Resumption};
use crate::session::refusal::{Refusal, unwritable};
use crate::session::scope::RunScope;
use crate::session::{destinations, journal_header, time_limit};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// How often the watchers of a run hear that time passes.
const BEAT: Duration = Duration::from_secs(1);

/// A run whose command line and plan are accepted.
struct RealRun<'a> {
    loaded: &'a Loaded,
    began: SystemTime,
    /// Those that were taken before the earlier run was chosen.
    locks: Option<InstanceLocks>,
    /// The earlier run that it resumes.
    resumption: Option<Resumption>,
    run_id: String,
    scope: RunScope,
    log_dir: LogDirectory,
    deadline: Option<Deadline>,
    /// The plan's id as people read it.
    plan_id: String,
    /// The plan as text, if a report is to show it.
    drawn_plan: String,
    context: Arc<ProcessContext>,
}

/// Asks everything that can refuse the run, a line each, then runs it; the exit
/// code.
///
/// # Errors
/// Why the run did not begin.
pub fn run(loaded: &Loaded) -> Result<i32, Refusal> {
    let (began, clock) = (SystemTime::now(), Instant::now());
    let log_dir = loaded.log_directory(began)?;
    // Until the pool is there, a signal ends tasker like any program.
    let mut sleep = |time| {
        std::thread::sleep(time);
        Ok(())
    };
    let locks = match instance::continues_a_run(&loaded.invocation) {
        false => None,
        true => match InstanceLocks::take(loaded, &log_dir, &mut sleep)? {
            None => return Ok(exit::OK),
            locks => locks,
        },
    };
    let resumption = recovery::find(loaded, &log_dir)?;
    let scope = match &resumption {
        Some(resumption) => resumption.scope.clone(),
        None => RunScope::read(loaded)?,
    };
    let mut deadline = time_limit::read(loaded, &scope.selection, began)?;
    preflight::check_programs(loaded, &scope.selection)?;
    let plan = Plan::new(loaded, &scope.selection);
    approval::check(loaded, &scope.selection, &plan, Some(&log_dir))?;
    destinations::check(&loaded.invocation, &loaded.name, &log_dir)?;
    time_limit::warn(loaded, &scope.selection, deadline.as_ref());
    approval::confirm(loaded, &scope.selection, &plan)?;
    let drawn_plan = match loaded.invocation.report {
        Some(_) => approval::draw(loaded, &plan, PlanForm::Text),
        None => String::new(),
    };
    let run_id = match &resumption {
        Some(resumption) => resumption.run_id.clone(),
        None => log_dir.new_run_id(),
    };
    let private = log_dir.private(&run_id);
    let context = preflight::process_context(loaded, private).map_err(unwritable)?;
    let mut pool = Pool::new(context.clone()).map_err(unwritable)?;
    if let Some(deadline) = &mut deadline {
        let used = clock.elapsed().saturating_sub(pool.now());
        deadline.at = deadline.at.saturating_sub(used);
    }
    let run = RealRun {
        loaded,
        began,
        locks,
        resumption,
        run_id,
        scope,
        log_dir,
        deadline,
        plan_id: plan.shown_id(),
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
        let taken = match self.locks.take() {
            None => InstanceLocks::take(loaded, &self.log_dir, &mut pause)?,
            taken => taken,
        };
        // Held until the run has ended.
        let Some(locks) = taken else {
            return Ok(exit::OK);
        };
        let mut report = opening::open(loaded, &self.log_dir).map_err(unwritable)?;
        let opening = Opening {
            loaded,
            run_id: &self.run_id,
            plan_id: &self.plan_id,
            selection: &self.scope.selection,
            is_resumed: self.resumption.is_some(),
        };
        opening.write(&mut report);
        if let Some(holder) = locks.other_instance() {
            let text =
                format!("Another instance is active ({holder}); --force-instance runs anyway");
            print::complain(format_args!("tasker: warning: {text}"));
            report.log.write(LogLevel::Warn, &text);
        }
        if let Some(resumption) = &self.resumption {
            report.log.write(LogLevel::Info, &resumption.announcement);
            report
                .console
                .print(&format!("{}\n", resumption.announcement));
        }
        let settings = self.settings();
        match self.prepare(&settings, pool, &mut report) {
            Ok(journal) => Ok(self.run_to_end(&settings, journal, pool, &mut report)),
            Err(refusal) => Err(report_in_log(&mut report, refusal)),
        }
    }

    fn settings(&self) -> Settings {
        let invocation = &self.loaded.invocation;
        Settings {
            policy: match &self.resumption {
                Some(resumption) => resumption.policy,
                None => invocation.policy(),
            },
            max_steps: invocation.max_steps(),
            start: self.scope.start,
            debug: invocation.log_level == LogLevel::Debug,
            selection: self.scope.selection.clone(),
            deadline: self.deadline.clone(),
        }
    }

    /// The last two that can refuse the run: its hosts, and its journal.
    fn prepare(
        &self,
        settings: &Settings,
        pool: &mut Pool,
        report: &mut Reporter,
    ) -> Result<Journal, Refusal> {
        let loaded = self.loaded;
        let selection = &self.scope.selection;
        preflight::check_hosts(loaded, selection, &self.context, pool, &mut report.log)?;
        let spool = &self.context.spool;
        let mut journal = match &self.resumption {
            Some(resumption) => resumption.take_journal(loaded, spool)?,
            None => {
                let (run_id, began) = (&self.run_id, self.began);
                let header = journal_header::new(loaded, run_id, began, settings);
                journal_file::create(loaded, &self.log_dir, &header, spool)?
            }
        };
        let line = CommandLine::new(loaded);
        let line = (line.before_option(), line.after_option());
        let tasks = loaded.workflow.tasks.len();
        journal.note_run(tasks, report.log.path(), (&line.0, &line.1));
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
        let closed = self.close_journal(report, &mut end);
        let ended = EndedRun {
            loaded: self.loaded,
            log_dir: &self.log_dir,
            run_id: &self.run_id,
            began: self.began,
            end: &end,
            drawn_plan: &self.drawn_plan,
            option: closed.option,
        };
        ended.close(report);
        report.follow(|events| events.end(&end));
        ended.alert(report, state_file, &self.context.interrupt);
        if let Some(journal) = closed.done_with {
            journal.release_outputs();
        }
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
