//! `--resume-at` (SPEC §6.4): a new run that begins at a task, with those results of an
//! earlier run that still hold there.
#![forbid(unsafe_code)]

use crate::exit;
use crate::outcome::Outcome;
use crate::plan::coverage::Coverage;
use crate::plan::reach::{self, Beginning};
use crate::plan::start::Start;
use crate::plan::workflow::Workflow;
use crate::run::capture::{Captured, Spool};
use crate::run::header::Header;
use crate::run::journal::Journal;
use crate::run::result::{Member, TaskResult};
use crate::session::approval::Plan;
use crate::session::journal_header;
use crate::session::load::Loaded;
use crate::session::refusal::Refusal;
use crate::task::{Ix, TaskKind};
use crate::text::diagnostic::Plural;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::sync::Arc;

/// What the new run begins with.
pub struct ResumedAt {
    pub start: Start,
    /// The results that hold, by the task's id.
    kept: Vec<(u32, TaskResult)>,
    /// The tasks that the flow can reach from there, by id.
    reached: HashSet<u32>,
    /// The final tasks of the earlier run that had run, by id.
    finals: Vec<u32>,
    /// What is to be said about it.
    pub notes: Vec<String>,
}

impl ResumedAt {
    /// Works out which results of the earlier run hold where the flow begins at `start`,
    /// which is the task `ix`.
    ///
    /// # Errors
    /// A task that runs needs the result of one that has changed (12).
    pub fn new(
        loaded: &Loaded,
        header: &Header,
        earlier: &Journal,
        (ix, start): (Ix, Start),
    ) -> Result<ResumedAt, Refusal> {
        let workflow = &loaded.workflow;
        let late = loaded.invocation.deadline_task.as_deref();
        let late = late.and_then(|word| workflow.find(word));
        let runs = reach::find(
            workflow,
            &Beginning {
                start: &start,
                policy: journal_header::parse_policy(&header.policy),
                deadline_task: late,
            },
        )
        .tasks;
        let selection = journal_header::selection(header);
        let fingerprints =
            Plan::new(loaded, &Coverage::whole(selection)).task_fingerprints(workflow);
        let then: HashMap<u32, &str> = by_id(&header.tasks);
        let now: HashMap<u32, &str> = by_id(&fingerprints);
        let is_same = |id: u32| then.contains_key(&id) && then.get(&id) == now.get(&id);
        let mut latest = earlier.recorded.latest_by_turn();
        let turn = latest.get(&workflow.tasks[ix].id).map(|(turn, _)| *turn);
        let all_hosts = loaded.invocation.all_hosts;
        let own = match workflow.tasks[ix].is_block() && !all_hosts {
            true => subtree(workflow, ix),
            false => HashSet::new(),
        };
        let last = earlier.recorded.stopped_in();
        let last = last.and_then(|id| workflow.find(&id.to_string()));
        // Its tasks can have run as steps of their own as well, in handlers.
        if last.is_some_and(|last| own.contains(&last)) {
            complete_block(workflow, ix, &mut latest);
        }
        let (mut kept, mut changed) = (Vec::new(), HashSet::new());
        for (id, (ran, result)) in latest {
            let Some(task) = workflow.find(&id.to_string()) else {
                continue;
            };
            // Where the flow jumps back, it can also reach what had run before.
            let is_before = turn.is_some_and(|turn| ran < turn);
            let holds = !runs[task] || (is_before && !workflow.is_inside(ix, task));
            if own.contains(&task) || (holds && is_same(id)) {
                kept.push((id, result));
            } else if !runs[task] {
                changed.insert(task);
            }
        }
        check_uses(loaded, &runs, &changed)?;
        let mut notes = Vec::new();
        notes.extend(note_changed_block(workflow, ix, &kept, is_same));
        let reached = workflow.tasks.iter().zip(&runs).filter(|(_, runs)| **runs);
        Ok(ResumedAt {
            start,
            kept,
            reached: reached.map(|(task, _)| task.id).collect(),
            finals: earlier.recorded.finals(),
            notes,
        })
    }

    /// Whether the flow can reach this task.
    pub fn reaches(&self, id: u32) -> bool {
        self.reached.contains(&id)
    }

    /// Whether the result of this task holds.
    pub fn keeps(&self, id: u32) -> bool {
        self.kept.iter().any(|(kept, _)| *kept == id)
    }

    /// Writes it to the journal of the new run.
    ///
    /// # Errors
    /// An output cannot be kept.
    pub fn write(&self, journal: &mut Journal, spool: &Arc<Spool>) -> io::Result<()> {
        for (id, result) in &self.kept {
            journal.add_kept(1, *id, &result.adopt(spool)?);
        }
        self.add_repeat(journal);
        Ok(())
    }

    /// The same for a walk that only finds out what would run.
    pub fn pretend(&self, journal: &mut Journal) {
        for (id, result) in &self.kept {
            journal.add_kept(1, *id, result);
        }
        self.add_repeat(journal);
    }

    fn add_repeat(&self, journal: &mut Journal) {
        if !self.finals.is_empty() {
            journal.add_repeat(self.finals.clone());
        }
    }
}

fn by_id(fingerprints: &[(u32, String)]) -> HashMap<u32, &str> {
    let fingerprints = fingerprints.iter();
    fingerprints
        .map(|(id, hash)| (*id, hash.as_str()))
        .collect()
}

/// The task and everything that it owns, at any depth.
fn subtree(workflow: &Workflow, ix: Ix) -> HashSet<Ix> {
    let (mut all, mut next) = (HashSet::from([ix]), vec![ix]);
    while let Some(at) = next.pop() {
        let owned = workflow.tasks[at].owned_tasks().into_iter();
        next.extend(owned.filter(|owned| all.insert(*owned)));
    }
    all
}

/// Gives a result to a block that was cut short: that of its tasks which had ended.
fn complete_block(workflow: &Workflow, ix: Ix, latest: &mut BTreeMap<u32, (u64, TaskResult)>) {
    let task = &workflow.tasks[ix];
    if latest.contains_key(&task.id) || task.is_over_hosts() {
        return;
    }
    let members = task.owned_tasks().into_iter().filter_map(|member| {
        let id = workflow.tasks[member].id;
        let (_, result) = latest.get(&id)?;
        Some(Member::counted(id.to_string(), result.clone()))
    });
    let members: Vec<Member> = members.collect();
    if !members.is_empty() {
        let result = TaskResult {
            stdout: Captured::in_memory(""),
            members,
            ..TaskResult::without_process(Outcome::Cancelled, -1, 1)
        };
        latest.insert(task.id, (0, result));
    }
}

/// Refuses a start from which a task needs a result that does not hold any more.
fn check_uses(loaded: &Loaded, runs: &[bool], changed: &HashSet<Ix>) -> Result<(), Refusal> {
    let workflow = &loaded.workflow;
    if loaded.invocation.skip_task_validation {
        return Ok(());
    }
    for (ix, task) in workflow
        .tasks
        .iter()
        .enumerate()
        .filter(|(ix, _)| runs[*ix])
    {
        let needed = task
            .uses
            .iter()
            .filter(|used| used.field.is_required() && !used.has_default);
        let mut needed = needed.filter(|used| used.task != ix);
        if let Some(used) = needed.find(|used| changed.contains(&used.task)) {
            let other = workflow.tasks[used.task].id;
            let why = format!(
                "--resume-at: {}: task {} uses the result of task {other}, which has changed since it ran; go on at task {other} instead",
                loaded.sources.location(used.at),
                task.id
            );
            return Err(Refusal::new(exit::POSITION, why));
        }
    }
    Ok(())
}

/// That the block is another one for the hosts that run now than for those that had done
/// well.
fn note_changed_block(
    workflow: &Workflow,
    ix: Ix,
    kept: &[(u32, TaskResult)],
    is_same: impl Fn(u32) -> bool,
) -> Option<String> {
    let task = &workflow.tasks[ix];
    let (_, result) = kept.iter().find(|(id, _)| *id == task.id)?;
    let done = result.members_with(&[Outcome::Ok]).len();
    let is_parallel = matches!(task.kind, TaskKind::Parallel(_));
    (is_parallel && done > 0 && !is_same(task.id)).then(|| {
        format!(
            "task {} has changed since {} of it did well; --all-hosts runs these again too",
            task.id,
            Plural(done, "subtask")
        )
    })
}
