//! The journal of a real run from its creation to its removal (SPEC §6.4).
#![forbid(unsafe_code)]

use crate::exit;
use crate::outcome::{HostSet, Outcome};
use crate::plan::workflow::Workflow;
use crate::report::log_directory::LogDirectory;
use crate::run::capture::Spool;
use crate::run::header::{Header, RunBeginning};
use crate::run::journal::Journal;
use crate::run::result::TaskResult;
use crate::run::run_end::RunEnd;
use crate::session::earlier_runs::{EarlierRun, EarlierRuns};
use crate::session::journal_header;
use crate::session::load::Loaded;
use crate::session::refusal::{Refusal, unwritable};
use crate::session::resume_at::ResumedAt;
use crate::task::{Ix, Members, TaskKind};
use crate::text::diagnostic::reason;
use crate::text::template::{Field, Reference};
use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

/// A new run's journal, with the results that it begins with.
///
/// # Errors
/// That it cannot be written, or an output cannot be kept (32).
pub fn create(
    loaded: &Loaded,
    log_dir: &LogDirectory,
    header: &Header,
    number: File,
    spool: &Arc<Spool>,
    at: Option<&ResumedAt>,
) -> Result<Journal, Refusal> {
    let secrets = loaded.mask().named_secrets();
    let add_earlier = |journal: &mut Journal| at.map_or(Ok(()), |at| at.write(journal, spool));
    let create = || {
        let place = log_dir.new_journal(&header.run_id, &loaded.identity.journal_mark())?;
        Journal::create(&place, header, number, secrets, spool, &add_earlier)
    };
    create().map_err(unwritable)
}

/// A journal after its run.
#[derive(Default)]
pub struct ClosedJournal {
    /// The journal of a run that can be continued.
    pub kept: Option<Journal>,
    /// The journal whose outputs nobody needs once the end has been reported.
    pub done_with: Option<Journal>,
    /// A line for each journal of an earlier run that could not be read or is not to be
    /// trusted.
    pub ignored: Vec<String>,
}

/// Closes the journal of a run that has ended: removes it if there is nothing left to
/// do, with those of earlier runs of the work that this run ends. Adds what is to be
/// reported.
pub fn close(
    loaded: &Loaded,
    log_dir: &LogDirectory,
    end: &mut RunEnd,
    complaints: &mut Vec<String>,
) -> ClosedJournal {
    let Some(mut journal) = end.journal.take() else {
        return ClosedJournal::default();
    };
    if let Some(why) = journal.broken() {
        complaints.push(why.to_string());
        let done = std::mem::take(&mut journal.unrecorded);
        if !done.is_empty() {
            complaints.push(format!("done but not recorded: {}", done.join(", ")));
        }
        return ClosedJournal {
            kept: Some(journal),
            ..ClosedJournal::default()
        };
    }
    let is_good = end.exit == exit::OK && end.complete;
    let ignored = match is_good && !loaded.from_stdin {
        true => end_older(loaded, log_dir, &journal, end),
        false => Vec::new(),
    };
    if !(loaded.from_stdin || is_good && end.is_all_ok()) {
        return ClosedJournal {
            kept: Some(journal),
            ignored,
            ..ClosedJournal::default()
        };
    }
    if let Err(e) = journal.remove() {
        complaints.push(format!(
            "cannot remove the journal `{}`: {}",
            journal.path().display(),
            reason(&e)
        ));
    }
    ClosedJournal {
        done_with: Some(journal),
        ignored,
        ..ClosedJournal::default()
    }
}

/// Removes the journals of older runs of the same work: a run that ended well makes up
/// for them, on the hosts that it was limited to (SPEC §6.4). Returns a line for each that
/// is ignored.
fn end_older(loaded: &Loaded, log_dir: &LogDirectory, own: &Journal, end: &RunEnd) -> Vec<String> {
    let own_name = own.path().file_name();
    let identity = &loaded.identity;
    // What cannot be listed now cannot be ended; the journals stay.
    let journals = log_dir.journals_for(&identity.journal_mark());
    let journals = journals.unwrap_or_default();
    // Read only if there are others of the work to compare it with.
    if journals
        .iter()
        .all(|place| Some(place.name.as_os_str()) == own_name)
    {
        return Vec::new();
    }
    let mut runs = EarlierRuns::read(log_dir, &journals, &identity.file.to_string_lossy());
    let is_own = |run: &&EarlierRun| Some(run.place.name.as_os_str()) == own_name;
    let mut ignored = std::mem::take(&mut runs.warnings);
    let Some(header) = runs.runs.iter().find(is_own).map(|run| &run.header) else {
        return ignored;
    };
    let is_older = |run: &&EarlierRun| {
        let age = |header: &Header| (header.number, header.began);
        age(&run.header) < age(header)
    };
    let older = runs.same_work(identity).filter(is_older);
    let mut older: Vec<&EarlierRun> = older.collect();
    if let Some(continued) = runs_from_start(header, &older) {
        older.retain(|run| continued.contains(&run.header.run_id.as_str()));
    }
    let is_limited = header.limit != "-" || !header.exclude.is_empty();
    for older in older {
        let spool = Spool::new(older.private.clone());
        // A live run's is locked.
        let opened = Journal::open(&older.place, loaded.mask().named_secrets(), &spool);
        if let Ok(mut journal) = opened
            && !(is_limited && leaves_undone(loaded, log_dir, &older.header, &journal, end))
        {
            // Before nothing tells of it any more.
            if let Err(e) = log_dir.append_killed_to_project(&older.snapshot) {
                let run = &older.header.run_id;
                ignored.push(format!(
                    "run {run}, which was killed, is not in the summary of its project: {}",
                    reason(&e)
                ));
            }
            // If it cannot be removed, that does no harm: a newer one comes first.
            let _ = journal.remove().map(|()| journal.release_outputs());
        }
    }
    ignored
}

/// The runs that this one continues back to one of `--start-from`, which did only the
/// rest of the work and ends no other; nothing if it does the whole work.
fn runs_from_start<'r>(header: &'r Header, older: &[&'r EarlierRun]) -> Option<Vec<&'r str>> {
    let mut beginning = &header.beginning;
    let mut continued = Vec::new();
    // The newest comes first, and each continues an older one.
    for run in older {
        if let RunBeginning::ResumeAt { run_id, .. } = beginning
            && *run_id == run.header.run_id
        {
            continued.push(run_id.as_str());
            beginning = &run.header.beginning;
        }
    }
    (*beginning == RunBeginning::StartFrom).then_some(continued)
}

/// Whether something of the older run is left that neither this run nor one between them
/// has done: a host that is not ok, or one that this run was not to run on, in a block
/// that the older run did not come to.
fn leaves_undone(
    loaded: &Loaded,
    log_dir: &LogDirectory,
    older: &Header,
    journal: &Journal,
    end: &RunEnd,
) -> bool {
    if !end.is_all_ok() {
        return true;
    }
    let work = loaded.identity.work.as_deref().unwrap_or_default();
    let later = log_dir.ok_since(work, older.number);
    let latest = journal.recorded.latest();
    let well = [Outcome::Ok, Outcome::Skipped];
    let is_done = |id: u32, host: &str| {
        let now = loaded.workflow.find(&id.to_string());
        let now = now.and_then(|ix| end.results.get(ix));
        let results = [latest.get(&id), now].into_iter().flatten();
        let mut done = results.map(|result| result.members_with(&well));
        done.any(|hosts| hosts.contains(&host)) || later.contains(&(id, host.to_string()))
    };
    // What the older run was not to do itself is none of its work.
    let own = journal_header::selection(older);
    let tasks = &loaded.workflow.tasks;
    let mut left = end.beyond_limit.keys().any(|ix| {
        let hosts = hosts_to_do(&loaded.workflow, &latest, end, *ix);
        let mut hosts = hosts.iter().filter(|host| own.allows(host));
        hosts.any(|host| !is_done(tasks[*ix].id, host))
    });
    for (id, result) in &latest {
        let mut members = result
            .members
            .iter()
            .filter(|m| !well.contains(&m.result.outcome));
        left |= members.any(|m| !is_done(*id, &m.name));
    }
    left
}

/// The hosts that the block would have had without a limit, besides those that it ran
/// on: those that were left out, and where its hosts are those that were ok in an earlier
/// block, all of that one, since they are all ok by now.
fn hosts_to_do<'a>(
    workflow: &'a Workflow,
    older: &'a BTreeMap<u32, TaskResult>,
    end: &'a RunEnd,
    block: Ix,
) -> Vec<&'a str> {
    let mut hosts: Vec<&str> = Vec::new();
    let mut blocks = vec![block];
    let mut next = 0;
    while let Some(ix) = blocks.get(next).copied() {
        next += 1;
        let left_out = end.beyond_limit.get(&ix).into_iter().flatten();
        hosts.extend(left_out.map(String::as_str));
        if ix != block {
            let result = older.get(&workflow.tasks[ix].id).into_iter();
            hosts.extend(result.flat_map(|r| &r.members).map(|m| m.name.as_str()));
        }
        let TaskKind::Parallel(parallel) = &workflow.tasks[ix].kind else {
            continue;
        };
        let Members::Hosts { set, .. } = &parallel.members else {
            continue;
        };
        for (reference, _) in set.references() {
            if let Reference::Field { task, field } = reference
                && field == Field::Hosts(HostSet::Ok)
                && !blocks.contains(&task)
            {
                blocks.push(task);
            }
        }
    }
    hosts
}
