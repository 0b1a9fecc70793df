//! `--deadline` and `--deadline-task` (SPEC §6.5): what the command line says,
//! against the plan.
#![forbid(unsafe_code)]

use crate::exit;
use crate::plan::coverage::Coverage;
use crate::plan::durations;
use crate::report::print;
use crate::run::deadline::{self, Deadline};
use crate::session::load::Loaded;
use crate::session::refusal::Refusal;
use crate::task::Ix;
use crate::text::duration;
use crate::text::moment::Moment;
use std::time::{Duration, SystemTime};

/// The deadline of a run that begins at `began`, which is zero on its clock.
///
/// # Errors
/// It has passed (15), or the deadline task is not a task to jump to (2).
pub fn read(
    loaded: &Loaded,
    coverage: &Coverage,
    began: SystemTime,
) -> Result<Option<Deadline>, Refusal> {
    let Some(moment) = loaded.invocation.deadline else {
        return Ok(None);
    };
    let (workflow, defaults) = (&loaded.workflow, &loaded.defaults);
    let word = loaded.invocation.deadline_task.as_ref();
    let task = word.map(|word| task(loaded, word)).transpose()?;
    let at = deadline::until(moment, began).ok_or_else(|| passed(moment))?;
    let reserved = workflow.finals().chain(task);
    let reserved = reserved.map(|ix| durations::promised(workflow, defaults, coverage, ix));
    let reserved = reserved.fold(Duration::ZERO, Duration::saturating_add);
    Ok(Some(Deadline { at, reserved, task }))
}

/// Says which one it was: it can stand in the task file, where a resumed run finds it again.
fn passed(moment: Moment) -> Refusal {
    let named = match moment {
        Moment::At {
            year,
            month,
            day,
            hour,
            minute,
        } => format!(" {year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}"),
        Moment::In(_) | Moment::Clock { .. } => String::new(),
    };
    let why = format!("the deadline{named} has already passed");
    Refusal {
        help: Some("--deadline on the command line sets another one".into()),
        ..Refusal::new(exit::DEADLINE, why)
    }
}

fn task(loaded: &Loaded, word: &str) -> Result<Ix, Refusal> {
    let workflow = &loaded.workflow;
    let refuse = |why: String| Refusal::new(exit::USAGE, format!("--deadline-task: {why}"));
    let ix = workflow.resolve_task(word).map_err(refuse)?;
    if workflow.tasks[ix].finally {
        return Err(refuse(format!(
            "task {word} is a final task, which runs at the end anyway"
        )));
    }
    if let Some((block, _)) = workflow.owner_of(ix) {
        let block = workflow.tasks[block].id;
        return Err(refuse(format!(
            "task {word} belongs to block {block}; use the block's id"
        )));
    }
    Ok(ix)
}

/// Warns if the plan may take longer than there is time; not in a quiet run.
pub fn warn(loaded: &Loaded, coverage: &Coverage, deadline: Option<&Deadline>) {
    let is_quiet = loaded.invocation.run && loaded.invocation.quiet;
    let Some(deadline) = deadline.filter(|_| !is_quiet) else {
        return;
    };
    let (workflow, defaults) = (&loaded.workflow, &loaded.defaults);
    let (graph, first) = coverage.graph(workflow);
    let durations = durations::measure(workflow, &graph, first, defaults, coverage);
    let left = duration::rough(Duration::from_secs(deadline.at.as_secs()));
    let needs = match durations.whole.worst {
        Some(worst) if worst <= deadline.at => return,
        Some(worst) => format!("the run can take {}", duration::rough(worst)),
        None => "how long the run can take is not known".into(),
    };
    print::complain(format_args!(
        "tasker: warning: {needs}, and the deadline is in {left}; what does not fit is not started"
    ));
}
