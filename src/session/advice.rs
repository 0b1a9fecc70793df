//! The command line that continues after a failure, as it is printed (SPEC §6.4).
#![forbid(unsafe_code)]

use crate::exit;
use crate::plan::recipe::Recipe;
use crate::run::run_end::RunEnd;
use crate::session::command_line::CommandLine;
use crate::session::load::Loaded;
use crate::task::Ix;

/// The command line that continues after the run; empty if there is none. `option`
/// is the one that resumes the run.
pub fn command_line(loaded: &Loaded, end: &RunEnd, option: Option<&str>) -> String {
    if end.exit == exit::OK {
        return String::new();
    }
    match (option, end.first_failure) {
        (Some(option), _) => CommandLine::new(loaded).continuing(option),
        (None, Some(_)) if handled_on_hosts(loaded, end) => run_afresh(loaded),
        (None, Some(ix)) => start_from(loaded, ix),
        (None, None) => String::new(),
    }
}

/// Whether a failure handler ran on hosts. It may have undone what succeeded, so that
/// the failed task alone does not make up for it.
fn handled_on_hosts(loaded: &Loaded, end: &RunEnd) -> bool {
    let workflow = &loaded.workflow;
    let steps = end.path.iter().copied();
    let handlers: Vec<Ix> = steps.filter(|ix| workflow.is_handler(*ix)).collect();
    let runs_there = |ix: Ix| {
        let is_local =
            |recipe: &Recipe| matches!(recipe, Recipe::Ready { exec, .. } if exec.is_local());
        workflow.tasks[ix].is_over_hosts()
            || workflow.tasks[ix].command().is_some() && !is_local(&workflow.recipes[ix])
    };
    let in_handler = |mut ix: Ix| loop {
        if handlers.contains(&ix) {
            return true;
        }
        match workflow.owner_of(ix) {
            Some((block, _)) => ix = block,
            None => return false,
        }
    };
    let has_run = |ix: Ix| end.results.get(ix).is_some_and(|r| r.started.is_some());
    (0..workflow.tasks.len()).any(|ix| runs_there(ix) && has_run(ix) && in_handler(ix))
}

/// Runs everything again, on the same hosts.
fn run_afresh(loaded: &Loaded) -> String {
    match loaded.from_stdin {
        true => String::new(),
        false => CommandLine::new(loaded).fresh(""),
    }
}

/// Begins at the failed task; for a block over hosts, with those that are not ok.
fn start_from(loaded: &Loaded, ix: Ix) -> String {
    if loaded.from_stdin || !can_start_at(loaded, ix) {
        return String::new();
    }
    let task = &loaded.workflow.tasks[ix];
    let over_hosts = task.is_block() && task.command().is_some();
    let option = format!("--start-from {}", task.id);
    match over_hosts {
        true => CommandLine::new(loaded).fresh_on(&option, "last:not_ok"),
        false => CommandLine::new(loaded).fresh(&option),
    }
}

/// Whether a run can begin at the task: not at a final one, nor inside a block.
fn can_start_at(loaded: &Loaded, ix: Ix) -> bool {
    let workflow = &loaded.workflow;
    !workflow.tasks[ix].finally && !matches!(workflow.owner_of(ix), Some((_, false)))
}
