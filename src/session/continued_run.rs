//! From the command line to a checked workflow and, where it asks for one, the earlier
//! run that it goes on with (SPEC §6.4). Nothing has begun when this refuses.
#![forbid(unsafe_code)]

use crate::cli::invocation::{Mode, Typed};
use crate::exit;
use crate::report::{invoker, project_summary};
use crate::run::capture::Spool;
use crate::run::header::Header;
use crate::run::journal::{Continuation, Journal};
use crate::run::record::JournalError;
use crate::run::sys;
use crate::session::acceptance::{self, AcceptedPlan};
use crate::session::choice::Wanted;
use crate::session::command_line;
use crate::session::earlier_runs::{EarlierRun, EarlierRuns};
use crate::session::identity::{Identity, file_mark, named_path};
use crate::session::instance::{self, InstanceLocks};
use crate::session::load::{self, Loaded, Rejected};
use crate::session::prepared::{ContinuedRun, Earlier, Prepared, Way};
use crate::session::recovery;
use crate::session::refusal::Refusal;
use crate::session::surroundings::{self, Surroundings};
use crate::session::validation::Validation;
use crate::session::{journal_header, scope};
use std::ffi::OsStr;
use std::path::Path;
use std::time::{Instant, SystemTime};

/// Loads a task file, and finds the run to go on with.
///
/// # Errors
/// The file cannot be run, or the run cannot be continued.
pub fn load(path: &OsStr, typed: &[Typed]) -> Result<Prepared, Box<Rejected>> {
    let first = load_checked(path, typed);
    let invocation = match &first {
        Ok(loaded) => &loaded.invocation,
        Err(rejected) => &rejected.invocation,
    };
    let depends_on_plan = acceptance::depends_on_plan(invocation);
    // A rehearsal and a mere check of the file need no earlier run.
    let needs_none = invocation.mode() == Mode::Rehearse || invocation.validate_only;
    let wanted = Wanted::by(invocation).filter(|_| !needs_none);
    let Some(wanted) = wanted else {
        let prepared = first.map(Prepared::fresh)?;
        return match depends_on_plan {
            true => accept_plan(prepared).map(|(prepared, _)| prepared),
            false => Ok(prepared),
        };
    };
    if path == "-" {
        let option = wanted.option();
        let why = format!("{option}: a run from standard input cannot be resumed");
        return Err(refused(first, Refusal::new(exit::USAGE, why)));
    }
    let mut search = Search {
        path,
        typed,
        wanted,
        began: Instant::now(),
        only_looks: depends_on_plan,
        accepted: None,
    };
    if !depends_on_plan {
        return search.load(first);
    }
    // The plan depends on the run that is chosen, and a lock is a file.
    let found = search.load(first)?;
    if found.earlier.is_left_to_another {
        return Ok(found);
    }
    search.accepted = Some(accept_plan(found)?.1);
    search.only_looks = false;
    search.load(search.load_file(path, typed))
}

/// Loads a task file that is accepted if it can be run, unless that depends on its plan.
fn load_checked(path: &OsStr, typed: &[Typed]) -> Result<Loaded, Box<Rejected>> {
    let mut loaded = load::load(path, typed)?;
    acceptance::accept_checked(&mut loaded);
    Ok(loaded)
}

/// Accepts the file if its plan is the named one, and leaves the surroundings of the
/// earlier run.
fn accept_plan(prepared: Prepared) -> Result<(Prepared, AcceptedPlan), Box<Rejected>> {
    let Prepared {
        mut loaded,
        mut earlier,
    } = prepared;
    let accepted = AcceptedPlan::compare(&loaded, earlier.run.as_ref()).and_then(|accepted| {
        accepted.accept(&mut loaded)?;
        Ok(accepted)
    });
    let left = match earlier.entered.take() {
        Some(entered) => entered.leave(),
        None => Ok(()),
    };
    let left = left.map_err(|why| Refusal::new(exit::POSITION, why));
    match accepted.and_then(|accepted| left.map(|()| accepted)) {
        Ok(accepted) => Ok((Prepared { loaded, earlier }, accepted)),
        Err(refusal) => Err(Box::new(Rejected::for_reason(loaded, refusal))),
    }
}

/// The refusal, with what is known of the file. A mistake in the file comes first.
fn refused(first: Result<Loaded, Box<Rejected>>, refusal: Refusal) -> Box<Rejected> {
    match first {
        Ok(loaded) => Box::new(Rejected::for_reason(loaded, refusal)),
        Err(rejected) if !rejected.not_set.is_empty() => Box::new(rejected.replaced(refusal)),
        Err(rejected) => rejected,
    }
}

/// The search for the run.
struct Search<'a> {
    path: &'a OsStr,
    typed: &'a [Typed],
    wanted: Wanted,
    /// All of `--lock-wait` counts from here.
    began: Instant,
    /// Nothing is locked and no journal is taken: the file is not accepted yet.
    only_looks: bool,
    /// The plan that was compared in a look before.
    accepted: Option<AcceptedPlan>,
}

impl Search<'_> {
    /// Loads the task file. What was accepted in a look before is accepted again.
    fn load_file(&self, path: &OsStr, typed: &[Typed]) -> Result<Loaded, Box<Rejected>> {
        let mut loaded = load_checked(path, typed)?;
        let accepted = self.accepted.as_ref();
        match accepted.map_or(Ok(()), |accepted| accepted.accept(&mut loaded)) {
            Ok(()) => Ok(loaded),
            Err(refusal) => Err(Box::new(Rejected::for_reason(loaded, refusal))),
        }
    }

    /// Whether the call takes what it finds, to run something.
    fn takes(&self, loaded: &Loaded) -> bool {
        loaded.invocation.mode() == Mode::Run && !self.only_looks
    }

    /// Chooses a run, and continues it. With `--auto-recovery` it begins afresh if there
    /// is none that can be continued.
    fn load(&self, first: Result<Loaded, Box<Rejected>>) -> Result<Prepared, Box<Rejected>> {
        let mut earlier = Earlier::default();
        let is_named = self.wanted.run().is_some();
        match &first {
            // A named run is of another work if its globals are others.
            Ok(loaded) if !is_named => match self.take_locks(loaded, &mut earlier) {
                Ok(()) if earlier.is_left_to_another => {
                    return first.map(|loaded| Prepared { loaded, earlier });
                }
                Ok(()) => {}
                Err(refusal) => return Err(refused(first, refusal)),
            },
            // What is missing may be in the journal: `--set`, `--type`, the environment.
            Err(rejected) if rejected.identity.is_none() => return first.map(Prepared::fresh),
            Ok(_) | Err(_) => {}
        }
        let chosen = match self.choose_in_time(&first, &mut earlier) {
            Ok(_) if earlier.is_left_to_another => {
                return first.map(|loaded| Prepared { loaded, earlier });
            }
            Ok(chosen) => chosen,
            Err(refusal) => return Err(refused(first, with_notes(refusal, &earlier.warnings))),
        };
        match (chosen, &self.wanted) {
            (None, _) => first.map(|loaded| Prepared { loaded, earlier }),
            (Some(run), Wanted::AutoRecovery) => self.recover(run, first?, earlier),
            (Some(run), _) => self.go_on(run, first, earlier),
        }
    }

    /// The run that is meant. A live run of the work is waited for, or leaves nothing to
    /// do, as the options for locks say: not every run takes a lock.
    fn choose_in_time(
        &self,
        first: &Result<Loaded, Box<Rejected>>,
        earlier: &mut Earlier,
    ) -> Result<Option<EarlierRun>, Refusal> {
        let invocation = first.as_ref().map(|loaded| &loaded.invocation).ok();
        let invocation = invocation.filter(|i| i.mode() == Mode::Run);
        let patience = invocation.and_then(|i| i.lock_wait).unwrap_or_default();
        let (validation, identity) = match first {
            Ok(loaded) => (&loaded.validation, Some(&loaded.identity)),
            Err(bad) => (&bad.validation, bad.identity.as_ref()),
        };
        let Some(identity) = identity else {
            return Ok(None);
        };
        loop {
            match self.choose(validation, identity, earlier) {
                Err(refusal) if refusal.code == exit::ACTIVE => {
                    if self.began.elapsed() < patience {
                        std::thread::sleep(instance::RETRY);
                    } else if invocation.is_some_and(|i| i.lock_skip) {
                        earlier.is_left_to_another = true;
                        return Ok(None);
                    } else {
                        return Err(refusal);
                    }
                }
                chosen => return chosen,
            }
        }
    }

    /// The run that is meant.
    fn choose(
        &self,
        validation: &Validation,
        identity: &Identity,
        earlier: &mut Earlier,
    ) -> Result<Option<EarlierRun>, Refusal> {
        let log_dir = validation.records_at(SystemTime::now())?;
        // tasker enters the directory of the run that it goes on with.
        let log_dir = log_dir.made_absolute();
        let file = identity.file.to_string_lossy();
        // Runs of other works of the file are only listed where there is none of this one.
        let mark = match self.wanted {
            Wanted::AutoRecovery => identity.journal_mark(),
            _ => file_mark(&file),
        };
        let mut runs = EarlierRuns::find(&log_dir, &file, &mark);
        earlier.warnings = std::mem::take(&mut runs.warnings);
        let run = self.wanted.choose(&runs, identity, &validation.name)?;
        let index = run.and_then(|run| runs.runs.iter().position(|r| std::ptr::eq(r, run)));
        Ok(index.map(|index| runs.runs.swap_remove(index)))
    }

    /// `--auto-recovery`: continues the run, or begins afresh and says why.
    fn recover(
        &self,
        run: EarlierRun,
        loaded: Loaded,
        mut earlier: Earlier,
    ) -> Result<Prepared, Box<Rejected>> {
        // The locks are this call's, whichever way it goes on.
        let (locks, warnings) = (earlier.locks.take(), earlier.warnings.clone());
        let because = match self.why_afresh(&run, &loaded) {
            Some(why) => why,
            None => match self.go_on(run, Ok(loaded), earlier) {
                Ok(mut prepared) => {
                    prepared.earlier.locks = locks;
                    return Ok(prepared);
                }
                Err(rejected) if forbids_a_fresh_run(&rejected) => return Err(rejected),
                Err(rejected) => rejected.refusal.why,
            },
        };
        // What surrounded the run has been left again.
        let loaded = self.load_file(self.path, self.typed)?;
        let earlier = Earlier {
            locks,
            warnings,
            fresh_because: Some(because),
            ..Earlier::default()
        };
        Ok(Prepared { loaded, earlier })
    }

    /// Why `--auto-recovery` does not continue the newest run of the work.
    fn why_afresh(&self, run: &EarlierRun, loaded: &Loaded) -> Option<String> {
        let id = &run.header.run_id;
        let work = loaded.identity.work.as_deref().unwrap_or_default();
        let log_dir = loaded.records(SystemTime::now()).ok()?;
        let newest = log_dir.newest_run(work);
        if newest.is_some_and(|number| number > run.header.number) {
            return Some(format!("a run after {id} has ended"));
        }
        if run.is_finished() {
            return Some(format!("run {id} reached its end"));
        }
        let selection = match scope::selection(loaded) {
            Ok(selection) => selection,
            Err(refusal) => return Some(refusal.why),
        };
        let start = loaded.invocation.start_from.as_deref();
        let start = start.and_then(|word| loaded.workflow.find(word));
        let start = start.map(|ix| loaded.workflow.tasks[ix].id);
        let limit = journal_header::limit_word(&selection);
        let exclude = journal_header::exclude_word(&selection);
        let differs = !run.begins_like(start, &limit, &exclude);
        differs.then(|| {
            format!("run {id} had another --limit, --exclude, --start-from or --resume-at")
        })
    }

    /// Enters the run's surroundings, loads the file again if that makes a difference,
    /// and takes the journal.
    fn go_on(
        &self,
        run: EarlierRun,
        first: Result<Loaded, Box<Rejected>>,
        mut earlier: Earlier,
    ) -> Result<Prepared, Box<Rejected>> {
        // Before the directory is another one.
        let absolute = named_path(Path::new(self.path));
        let mut entered = match Surroundings::enter(&run.header) {
            Ok(entered) => entered,
            Err(why) => return Err(refused(first, Refusal::new(exit::POSITION, why))),
        };
        let loaded = self.load_there(&run.header, first, &mut entered, &absolute);
        let taken =
            loaded.and_then(
                |loaded| match self.lock_and_take(run, &loaded, &mut earlier) {
                    Ok(taken) => Ok((loaded, taken)),
                    Err(refusal) => Err(Box::new(Rejected::for_reason(loaded, refusal))),
                },
            );
        match taken {
            Ok((loaded, taken)) => {
                earlier.run = taken;
                earlier.entered = Some(entered);
                Ok(Prepared { loaded, earlier })
            }
            // A call that refuses, and one that begins afresh, are where they began.
            Err(rejected) => match entered.leave() {
                Ok(()) => Err(rejected),
                Err(why) => Err(Box::new(Rejected {
                    refusal: Refusal::new(exit::POSITION, why),
                    ..*rejected
                })),
            },
        }
    }

    /// Loads the file in the run's surroundings, if they make a difference.
    fn load_there(
        &self,
        then: &Header,
        first: Result<Loaded, Box<Rejected>>,
        entered: &mut Surroundings,
        absolute: &Path,
    ) -> Result<Loaded, Box<Rejected>> {
        let typed = surroundings::options_of(then, self.typed);
        let path = match entered.is_elsewhere() {
            true => absolute.as_os_str(),
            false => self.path,
        };
        let is_same = !entered.differ() && typed.len() == self.typed.len();
        let loaded = match first {
            Ok(loaded) if is_same => Ok(loaded),
            _ => self.load_file(path, &typed),
        };
        let loaded = match loaded {
            Ok(loaded) if entered.unset_new(then, &command_line::used_variables(&loaded)) => {
                self.load_file(path, &typed)
            }
            loaded => loaded,
        };
        loaded.map_err(|rejected| lacks_secret(then, rejected))
    }

    /// Takes the run's journal, and before it the locks if the run was named: whose they
    /// are was not known earlier. Nothing if the run is left to another instance.
    fn lock_and_take(
        &self,
        mut run: EarlierRun,
        loaded: &Loaded,
        earlier: &mut Earlier,
    ) -> Result<Option<ContinuedRun>, Refusal> {
        if self.wanted.run().is_some() {
            self.take_locks(loaded, earlier)?;
            if earlier.is_left_to_another {
                return Ok(None);
            }
            // Whoever had the locks can have gone on with it.
            if earlier.locks.is_some()
                && let Some(now) = self.choose(&loaded.validation, &loaded.identity, earlier)?
            {
                run = now;
            }
        }
        let taken = self.take(run, loaded)?;
        let (id, machine) = (&taken.header.run_id, &taken.header.machine);
        if *machine != sys::own_name() {
            let warning = format!("run {id} was on another machine, {machine}");
            earlier.warnings.push(warning);
        }
        Ok(Some(taken))
    }

    /// Takes the locks of a call that is to run something, before the run is chosen that
    /// it continues. Until there is a pool, a signal ends tasker like any program.
    fn take_locks(&self, loaded: &Loaded, earlier: &mut Earlier) -> Result<(), Refusal> {
        if !self.takes(loaded) {
            return Ok(());
        }
        let log_dir = loaded.log_directory(SystemTime::now())?;
        let mut sleep = |time| {
            std::thread::sleep(time);
            Ok(())
        };
        earlier.locks = InstanceLocks::take(loaded, &log_dir, self.began, &mut sleep)?;
        earlier.is_left_to_another = earlier.locks.is_none();
        Ok(())
    }

    /// Takes the run's journal, if the run can be continued with this file and these
    /// options.
    fn take(&self, run: EarlierRun, loaded: &Loaded) -> Result<ContinuedRun, Refusal> {
        let id = &run.header.run_id;
        let way = self.way(&run, loaded);
        let stopped_at = run.snapshot.flow.as_ref().map(|flow| flow.task);
        let is_resumed = matches!(way, Way::Same(_));
        journal_header::check(&run.header, loaded, is_resumed, stopped_at)?;
        let spool = Spool::new(run.private.clone());
        let secrets = loaded.mask().named_secrets();
        let journal = match self.takes(loaded) {
            true => Journal::open(&run.place, secrets, &spool),
            false => Journal::look(&run.place, secrets, &spool),
        };
        let journal = journal.map_err(|problem| explain(id, &problem))?;
        if let Some(why) = journal.recorded.missing_output() {
            return Err(explain(id, &JournalError::Unusable(why.into())));
        }
        if way == Way::Same(Continuation::FinishOnly) && journal.recorded.is_over() {
            let why = format!("the final tasks of run {id} have already run");
            return Err(Refusal::new(exit::POSITION, why));
        }
        let taken = ContinuedRun {
            in_flight: run.in_flight(),
            project: project_summary::project_of(&run.snapshot),
            place: run.place,
            private: run.private,
            header: run.header,
            way,
            journal,
        };
        match &self.wanted {
            // No one is there to see that it would go on in vain, night after night.
            Wanted::AutoRecovery => recovery::check_use(loaded, &taken).map(|()| taken),
            _ => Ok(taken),
        }
    }

    fn way(&self, run: &EarlierRun, loaded: &Loaded) -> Way {
        match &self.wanted {
            Wanted::ResumeAt { task, .. } => Way::At(task.clone()),
            _ if loaded.invocation.finish_only => Way::Same(Continuation::FinishOnly),
            _ if run.kept_going() => Way::Same(Continuation::Rewalk),
            _ => Way::Same(Continuation::Resume),
        }
    }
}

/// Why the journal cannot be used.
fn explain(id: &str, problem: &JournalError) -> Refusal {
    let (code, why) = match problem {
        JournalError::Active => (
            exit::ACTIVE,
            format!("run {id} is still active; wait until it ends"),
        ),
        JournalError::Empty => (exit::POSITION, format!("run {id} had not begun")),
        JournalError::Unusable(why) => (
            exit::POSITION,
            format!("the journal of run {id} cannot be used: {why}; a fresh run does not need it"),
        ),
    };
    Refusal::new(code, why)
}

/// The refusal, with what was ignored on the way to it: that can be the run that is
/// meant.
fn with_notes(refusal: Refusal, warnings: &[String]) -> Refusal {
    let notes = warnings.iter().map(|w| format!("tasker: warning: {w}\n"));
    let detail = format!("{}{}", refusal.detail, notes.collect::<String>());
    Refusal {
        detail: detail.into(),
        ..refusal
    }
}

/// The rejection of a file whose secrets are not set: they are not in the journal.
fn lacks_secret(header: &Header, rejected: Box<Rejected>) -> Box<Rejected> {
    let globals = rejected.identity.as_ref().map(|i| i.globals.as_slice());
    let is_here = |name: &str| globals.is_none_or(|g| g.iter().any(|(n, _)| n == name));
    let secrets = header.globals.iter().filter(|(_, hash)| hash == "-");
    let not_given = secrets.map(|(name, _)| name).find(|name| !is_here(name));
    let what = match not_given {
        Some(name) => format!("the secret {name} is not set now (--set {name}=...)"),
        None if rejected.not_set.is_empty() => return rejected,
        None => {
            let names = rejected.not_set.join(", ");
            format!("{names} cannot be expanded, and a journal keeps no secret")
        }
    };
    let findings = rejected.refusal.findings.clone();
    let why = format!("run {} cannot be continued: {what}", header.run_id);
    Box::new(rejected.replaced(Refusal {
        findings,
        ..Refusal::new(exit::POSITION, why)
    }))
}

/// Whether nothing may run instead of a run that cannot be continued: it is live after
/// all, or tasker is not in the directory where it was started.
fn forbids_a_fresh_run(rejected: &Rejected) -> bool {
    rejected.refusal.code == exit::ACTIVE || invoker::working_directory() != invoker::started_in()
}
