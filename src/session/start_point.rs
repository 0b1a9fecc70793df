//! `--start-from`: where the run begins, and whether it can do without the results of
//! the tasks that it leaves out (SPEC §6.4).
#![forbid(unsafe_code)]

use crate::exit;
use crate::plan::coverage::Coverage;
use crate::plan::lost_results;
use crate::plan::start::Start;
use crate::session::load::Loaded;
use crate::session::refusal::Refusal;
use crate::text::diagnostic::{DiagnosticList, Plural};

/// Where the command line says that the run begins.
///
/// # Errors
/// That a run cannot begin there (12), or that there is no task to begin at (20).
pub fn read(loaded: &Loaded) -> Result<Start, Refusal> {
    let workflow = &loaded.workflow;
    let Some(word) = &loaded.invocation.start_from else {
        let why =
            "every task belongs to a block or is a final task, so there is no task to begin at";
        let first = workflow.first().map(Start::main_line);
        return first.ok_or_else(|| Refusal::new(exit::INVALID, format!("{}: {why}", loaded.name)));
    };
    let refuse = |why: String| Refusal::new(exit::POSITION, format!("--start-from: {why}"));
    let ix = workflow.resolve_task(word).map_err(refuse)?;
    let start = Start::new(workflow, ix, &|_| None);
    start.map_err(|why| refuse(format!("task {word} {why}")))
}

/// Checks that the run needs no result of a task that it cannot reach.
///
/// # Errors
/// Each use of such a result (12).
pub fn check_results(loaded: &Loaded, coverage: &Coverage) -> Result<(), Refusal> {
    let Some(word) = &loaded.invocation.start_from else {
        return Ok(());
    };
    if loaded.invocation.skip_task_validation {
        return Ok(());
    }
    let lost = lost_results::find(&loaded.workflow, coverage);
    if lost.is_empty() {
        return Ok(());
    }
    let tasks = &loaded.workflow.tasks;
    let mut diagnostics = DiagnosticList::default();
    for (ix, used) in &lost {
        let (id, field, from) = (tasks[*ix].id, used.field.name(), tasks[used.task].id);
        let message = format!("task {id} uses the `{field}` of task {from}, which does not run");
        diagnostics.error(used.at, message);
    }
    let results = Plural(lost.len(), "result");
    let why = format!("--start-from {word}: the run uses {results} of tasks that it leaves out");
    let help = format!(
        "--resume-at {word} goes on there with the results of the last run; --skip-task-validation runs it anyway"
    );
    Err(Refusal {
        findings: loaded.mask().apply(&diagnostics.draw_all(&loaded.sources)),
        help: Some(help.into()),
        ..Refusal::new(exit::POSITION, why)
    })
}
