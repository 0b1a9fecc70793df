//! What continuing an earlier run would do (SPEC §6.4): found out by walking with its
//! journal up to the first command that would run.
#![forbid(unsafe_code)]

use crate::exit;
use crate::outcome::{Counts, Outcome};
use crate::plan::coverage::Coverage;
use crate::plan::flow::Policy;
use crate::plan::start::Start;
use crate::plan::workflow::Workflow;
use crate::report::print::{complain, print};
use crate::report::{clock, endings, result_groups, run_status};
use crate::run::capture::Spool;
use crate::run::event::Event;
use crate::run::header::{Header, RunBeginning};
use crate::run::job::JobEnvironment;
use crate::run::journal::{Continuation, Journal};
use crate::run::pretend::{Answer, PretendedRunner};
use crate::run::result::TaskResult;
use crate::run::run_end::RunEnd;
use crate::run::runner::{CommandEnd, Job};
use crate::run::walk::engine::{Engine, Settings};
use crate::session::journal_header;
use crate::session::load::Loaded;
use crate::session::prepared::{ContinuedRun, Earlier, Way};
use crate::session::refusal::{Refusal, unwritable};
use crate::session::resume_at::ResumedAt;
use crate::session::scope::RunScope;
use crate::task::Ix;
use crate::text::diagnostic::{Plural, printable};
use std::collections::BTreeMap;
use std::collections::HashSet;
use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

/// An earlier run, and what continuing it does.
pub struct Resumption {
    pub scope: RunScope,
    pub policy: Policy,
    /// What the new run begins with; nothing if it goes on in its own journal.
    pub at: Option<ResumedAt>,
    /// The first line about it.
    pub headline: String,
    /// Lines that say what had been done and is done again.
    pub details: Vec<String>,
    /// What is to be confirmed on a terminal: it may do harm.
    pub doubts: Vec<String>,
    /// The flow begins once more, and passes by what was ok.
    is_whole_walk: bool,
    preview: Preview,
}

/// What continuing a run would do.
struct Preview {
    /// The results that it has.
    restored: Vec<RestoredTask>,
    /// How the run ended, as far as the journal knows.
    ending: String,
    torn: bool,
    /// The first commands, with their hosts.
    started: Vec<(Ix, String)>,
    /// The blocks that begin again.
    blocks: Vec<ResumedBlock>,
    end: RunEnd,
}

/// A task that is not run again.
struct RestoredTask {
    id: u32,
    outcome: Outcome,
    exit: i32,
    /// `output lost after N bytes: REASON`
    lost: Option<String>,
}

/// A block that begins again.
struct ResumedBlock {
    task: u32,
    kept: Vec<String>,
    open: Vec<String>,
}

const TORN: &str = "its last record is incomplete and is ignored";

fn refuse(why: impl Into<String>) -> Refusal {
    Refusal::new(exit::POSITION, why)
}

/// Works out what continuing the run does.
///
/// # Errors
/// It cannot be continued there.
pub fn examine(loaded: &Loaded, run: &ContinuedRun) -> Result<Resumption, Refusal> {
    let header = &run.header;
    let at = match &run.way {
        Way::Same(_) => None,
        Way::At(word) => Some(resumed_at(loaded, run, word)?),
    };
    let begins = match &at {
        Some(at) => at.start.clone(),
        None => start_of(loaded, header)?,
    };
    let scope = RunScope {
        start: begins,
        selection: journal_header::selection(header),
    };
    let policy = journal_header::parse_policy(&header.policy);
    let preview = preview(loaded, run, &scope, policy, at.as_ref())?;
    let mut resumption = Resumption {
        headline: headline(run, &preview),
        details: at.as_ref().map_or(Vec::new(), |at| at.notes.clone()),
        doubts: Vec::new(),
        scope,
        policy,
        at,
        is_whole_walk: run.way == Way::Same(Continuation::Rewalk),
        preview,
    };
    resumption.add_details();
    resumption.add_doubts(loaded, run);
    Ok(resumption)
}

/// Whether it is of any use to continue the run: it would not only read the same results
/// again, and end as before.
///
/// # Errors
/// It is of none, or the run cannot be continued.
pub fn check_use(loaded: &Loaded, run: &ContinuedRun) -> Result<(), Refusal> {
    let preview = examine(loaded, run)?.preview;
    let is_step = |(ix, _): &(Ix, String)| !loaded.workflow.tasks[*ix].in_finals;
    let goes_on = preview.end.complete || preview.started.iter().any(is_step);
    match goes_on {
        true => Ok(()),
        false => {
            let id = &run.header.run_id;
            let why = "would only read the same results again and end as before";
            Err(refuse(format!("run {id} {why}")))
        }
    }
}

/// Where the run began.
fn start_of(loaded: &Loaded, header: &Header) -> Result<Start, Refusal> {
    let workflow = &loaded.workflow;
    let id = header.start.to_string();
    let ix = workflow.find(&id).ok_or_else(|| {
        let run = &header.run_id;
        refuse(format!("the first task of run {run} is gone"))
    })?;
    let start = Start::new(workflow, ix, &|_| None);
    start.map_err(|why| refuse(format!("task {id} {why}")))
}

fn resumed_at(loaded: &Loaded, run: &ContinuedRun, word: &str) -> Result<ResumedAt, Refusal> {
    let workflow = &loaded.workflow;
    let refuse = |why: String| refuse(format!("--resume-at: {why}"));
    let ix = workflow.resolve_task(word).map_err(refuse)?;
    let start = Start::new(workflow, ix, &|_| None);
    let start = start.map_err(|why| refuse(format!("task {word} {why}")))?;
    ResumedAt::new(loaded, &run.header, &run.journal, (ix, start))
}

fn headline(run: &ContinuedRun, preview: &Preview) -> String {
    let id = &run.header.run_id;
    let restored = match preview.counts().total() {
        0 if preview.blocks.is_empty() => ": nothing to restore".to_string(),
        // The hosts of the block that it goes on with follow.
        0 => String::new(),
        _ => format!(": {} restored", preview.counts()),
    };
    let torn = match preview.torn {
        true => format!("; {TORN}"),
        false => String::new(),
    };
    match &run.way {
        Way::Same(Continuation::Rewalk) => {
            format!(
                "Resuming run {id}, which went past failures: what was ok is not run again{torn}"
            )
        }
        Way::Same(_) => format!("Resuming run {id}{restored}{torn}"),
        Way::At(task) => format!("Continuing run {id} at task {task}{restored}{torn}"),
    }
}

/// Walks up to the first command that would run.
fn preview(
    loaded: &Loaded,
    run: &ContinuedRun,
    scope: &RunScope,
    policy: Policy,
    at: Option<&ResumedAt>,
) -> Result<Preview, Refusal> {
    let id = &run.header.run_id;
    let (journal, finish_only) = pretended_journal(loaded, run, at)?;
    let recorded = &run.journal.recorded;
    let ending = run_status::ended(recorded.flow_end(), recorded.is_over());
    let torn = run.journal.torn;
    let settings = Settings {
        policy,
        max_steps: loaded.invocation.max_steps(),
        start: scope.start.clone(),
        debug: false,
        selection: scope.selection.clone(),
        deadline: None,
    };
    let common = JobEnvironment::pretended(id, loaded.mask().clone());
    let (mut started, mut blocks) = (Vec::new(), Vec::new());
    let mut answer = |job: &Job, _| {
        started.extend(job.task.map(|ix| (ix, job.host.clone())));
        Answer::new(CommandEnd::Cancelled, Duration::ZERO)
    };
    let mut runner = PretendedRunner::stopping(&mut answer);
    let mut decided = HashSet::new();
    let mut emit = |event: Event| match event {
        Event::Block {
            about, kept, open, ..
        } if !kept.is_empty() => {
            let owned = |names: &[&str]| names.iter().map(|n| n.to_string()).collect();
            blocks.push(ResumedBlock {
                task: about.task,
                kept: owned(kept),
                open: owned(open),
            });
        }
        Event::Finished { about, .. }
        | Event::BlockFinished { about, .. }
        | Event::Skipped { about } => {
            decided.insert(about.task);
        }
        _ => {}
    };
    let mut end = Engine::new(
        &loaded.workflow,
        &loaded.defaults,
        &settings,
        &common,
        &mut runner,
        &mut emit,
    )
    .with_journal(journal, finish_only)
    .run();
    if let Some(why) = &end.diverged {
        return Err(refuse(format!("run {id} cannot be resumed: {why}")));
    }
    end.journal = None;
    Ok(Preview {
        restored: restored(loaded, &end, &decided),
        ending,
        torn,
        started,
        blocks,
        end,
    })
}

/// A journal that is only read, as the run begins with it; and whether only final tasks
/// run.
fn pretended_journal(
    loaded: &Loaded,
    run: &ContinuedRun,
    at: Option<&ResumedAt>,
) -> Result<(Journal, bool), Refusal> {
    let spool = Spool::new(run.private.clone());
    spool.keep();
    let Way::Same(way) = run.way else {
        let mut journal = Journal::pretended(&spool).map_err(unwritable)?;
        if let Some(at) = at {
            at.pretend(&mut journal);
        }
        return Ok((journal, false));
    };
    let secrets = loaded.mask().named_secrets();
    let unusable = |_| {
        refuse(format!(
            "the journal of run {} has changed",
            run.header.run_id
        ))
    };
    let mut journal = Journal::look(&run.place, secrets, &spool).map_err(unusable)?;
    journal.prepare(way).map_err(unwritable)?;
    Ok((journal, way == Continuation::FinishOnly))
}

impl Preview {
    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for RestoredTask { outcome, .. } in &self.restored {
            counts.add(*outcome);
        }
        counts
    }
}

/// The tasks that have a result and are not run again, nor decided again.
fn restored(loaded: &Loaded, end: &RunEnd, decided: &HashSet<u32>) -> Vec<RestoredTask> {
    let tasks = loaded.workflow.tasks.iter().enumerate();
    let results = tasks.filter_map(|(ix, task)| Some((task.id, end.results.get(ix)?)));
    results
        .filter(|(_, r)| !matches!(r.outcome, Outcome::Cancelled | Outcome::NotStarted))
        .filter(|(id, _)| !decided.contains(id))
        .map(|(id, r)| RestoredTask {
            id,
            outcome: r.outcome,
            exit: r.exit,
            lost: r.lost().map(String::from),
        })
        .collect()
}

impl Resumption {
    /// What of the file runs, as far as that is known before: from the first command on,
    /// without the hosts that are done.
    pub fn coverage(&self, loaded: &Loaded) -> Coverage {
        let workflow = &loaded.workflow;
        let from = match (&self.at, self.is_whole_walk) {
            (None, false) => self.first_step(workflow),
            _ => Some(self.scope.start.clone()),
        };
        let selection = self.scope.selection.clone();
        let mut coverage = match from {
            Some(start) => {
                let scope = RunScope { start, selection };
                scope.coverage(loaded, self.policy)
            }
            None => Coverage::finals(workflow, selection),
        };
        for block in &self.preview.blocks {
            if let Some(ix) = workflow.find(&block.task.to_string()) {
                coverage
                    .done
                    .insert(ix, block.kept.iter().cloned().collect());
            }
        }
        coverage
    }

    /// Where the flow continues; nothing if only final tasks are left.
    fn first_step(&self, workflow: &Workflow) -> Option<Start> {
        let (mut ix, _) = *self.preview.started.first()?;
        while !workflow.tasks[ix].in_finals {
            match (Start::new(workflow, ix, &|_| None), workflow.owner_of(ix)) {
                (Ok(start), _) => return Some(start),
                (Err(_), Some((block, _))) => ix = block,
                (Err(_), None) => return None,
            }
        }
        None
    }

    /// Names the hosts that are restored, and those that run now.
    fn add_details(&mut self) {
        for block in &self.preview.blocks {
            let (kept, open) = (strs(&block.kept), strs(&block.open));
            let members = result_groups::resumed_members(&kept, &open);
            self.details.push(format!("task {}: {members}", block.task));
        }
    }

    /// Names what may be done twice, and what final tasks may have undone.
    fn add_doubts(&mut self, loaded: &Loaded, run: &ContinuedRun) {
        let is_finished_only = run.way == Way::Same(Continuation::FinishOnly);
        let at = self.at.as_ref();
        let runs = |id: u32| !is_finished_only && at.is_none_or(|at| at.reaches(id));
        let name = |(_, name): (u32, String)| name;
        let in_flight = run.in_flight.iter().cloned();
        let (again, left): (Vec<_>, Vec<_>) = in_flight.partition(|(id, _)| runs(*id));
        let left: Vec<String> = left.into_iter().map(name).collect();
        let mut unknown: Vec<String> = again.into_iter().map(name).collect();
        let latest = run.journal.recorded.latest();
        unknown.extend(self.unknown_before(loaded, &latest));
        if !left.is_empty() {
            self.details.push(format!(
                "may have been done, and is not run again: {}",
                left.join(", ")
            ));
        }
        if !unknown.is_empty() {
            self.doubts.push(format!(
                "may have been done already, and runs again: {}",
                unknown.join(", ")
            ));
        }
        let finals = match is_finished_only {
            true => return,
            false => run.journal.recorded.finals(),
        };
        // What is left may be final tasks alone.
        let first = self.preview.started.first();
        let goes_on = first.is_some_and(|(ix, _)| !loaded.workflow.tasks[*ix].in_finals);
        if finals.is_empty() || !goes_on {
            return;
        }
        let ids = |ids: Vec<u32>| {
            ids.iter()
                .map(u32::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let repeated = self.repeated(loaded, &latest);
        let finals = ids(finals);
        self.doubts.push(match repeated.is_empty() {
            true => format!(
                "final tasks had run ({finals}), and what they undid stays undone: no restored task has on_resume=repeat"
            ),
            false => format!(
                "final tasks had run ({finals}); because of on_resume=repeat these run again first: {}",
                ids(repeated)
            ),
        });
    }

    /// The tasks that run again because final tasks had run.
    fn repeated(&self, loaded: &Loaded, latest: &BTreeMap<u32, TaskResult>) -> Vec<u32> {
        let is_restored = |id: u32| {
            let succeeded = latest.get(&id).is_some_and(|r| r.outcome == Outcome::Ok);
            succeeded && self.at.as_ref().is_none_or(|at| at.keeps(id))
        };
        let tasks = loaded.workflow.tasks.iter();
        let repeated = tasks.filter(|task| task.repeats_on_resume && is_restored(task.id));
        repeated.map(|task| task.id).collect()
    }

    /// What had ended `unknown` and runs again.
    fn unknown_before(&self, loaded: &Loaded, latest: &BTreeMap<u32, TaskResult>) -> Vec<String> {
        let mut found = Vec::new();
        for block in &self.preview.blocks {
            let Some(result) = latest.get(&block.task) else {
                continue;
            };
            let names = result.members_with(&[Outcome::Unknown]).into_iter();
            let open = names.filter(|name| block.open.iter().any(|o| o == name));
            found.extend(open.map(|name| format!("{} on {name}", block.task)));
        }
        for (ix, _) in &self.preview.started {
            let task = &loaded.workflow.tasks[*ix];
            let result = latest.get(&task.id).filter(|_| !task.is_block());
            if let Some(result) = result.filter(|r| r.outcome == Outcome::Unknown) {
                found.push(format!("{}{}", task.id, endings::on_host(result)));
            }
        }
        found.dedup();
        found
    }
}

fn strs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// Shows what continuing the run would do; the exit code.
///
/// # Errors
/// It cannot be continued.
pub fn show(loaded: &Loaded, earlier: &Earlier) -> Result<i32, Refusal> {
    for warning in &earlier.warnings {
        complain(format_args!("tasker: warning: {warning}"));
    }
    if let Some(run) = &earlier.run {
        let resumption = examine(loaded, run)?;
        print(&loaded.mask().apply(&resumption.draw(loaded, run)));
    }
    Ok(exit::OK)
}

impl Resumption {
    /// What is known of the run, and what runs first.
    pub fn draw(&self, loaded: &Loaded, run: &ContinuedRun) -> String {
        let (mut out, preview) = (String::new(), &self.preview);
        let began = UNIX_EPOCH + Duration::from_nanos(run.header.began);
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{}: run {}, begun {}",
            printable(&loaded.name),
            run.header.run_id,
            clock::stamp(began)
        );
        let _ = writeln!(out, "  {}", preview.ending);
        if preview.torn {
            let _ = writeln!(out, "  {TORN}");
        }
        if let RunBeginning::ResumeAt { run_id, .. } = &run.header.beginning {
            let _ = writeln!(out, "  began at task {} of run {run_id}", run.header.start);
        }
        if !preview.restored.is_empty() || preview.blocks.is_empty() {
            let _ = writeln!(out, "  done: {}", preview.counts());
        }
        for task in &preview.restored {
            let RestoredTask {
                id, outcome, exit, ..
            } = task;
            let _ = write!(out, "    task {id}: {outcome}, exit code {exit}");
            let lost = task.lost.iter().map(|lost| format!(", {lost}"));
            let _ = writeln!(out, "{}", lost.collect::<String>());
        }
        for line in self.details.iter().chain(&self.doubts) {
            let _ = writeln!(out, "  {line}");
        }
        self.draw_next(loaded, &mut out);
        out
    }

    fn draw_next(&self, loaded: &Loaded, out: &mut String) {
        let next = self.preview.started.iter().map(|(ix, host)| {
            let task = &loaded.workflow.tasks[*ix];
            let title = printable(&task.title.shown(None));
            let at = match host.as_str() {
                "" | "localhost" => String::new(),
                host => format!(" on {host}"),
            };
            match title.is_empty() {
                true => format!("task {}{at}", task.id),
                false => format!("task {}{at}: {title}", task.id),
            }
        });
        let next: Vec<String> = next.collect();
        let Some((first, rest)) = next.split_first() else {
            let _ = writeln!(
                out,
                "  nothing is left to run; the run would end with {}",
                self.preview.end.exit
            );
            return;
        };
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
