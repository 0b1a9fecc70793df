//! Results that a run uses which begins in the middle, of tasks that it does not reach
//! (SPEC §6.4).
#![forbid(unsafe_code)]

use super::coverage::Coverage;
use super::workflow::Workflow;
use crate::task::{Ix, ResultUse};
use crate::text::source::Span;

/// Each use of a result that cannot be there, with the task that uses it, in the order of
/// the file: of the output or the hosts of a task that the run does not cover, without
/// a default. Other fields are empty with a warning.
pub fn find(workflow: &Workflow, coverage: &Coverage) -> Vec<(Ix, ResultUse)> {
    let mut lost = Vec::new();
    let tasks = workflow.tasks.iter().enumerate();
    for (ix, task) in tasks.filter(|(ix, _)| coverage.has_task(*ix)) {
        // A title decides nothing, and where the run begins no condition is asked.
        let mut aside: Vec<Span> = task.find_key("description").into_iter().collect();
        if coverage.begins_at(ix).is_some() {
            aside.extend(task.find_key("condition"));
        }
        let uses = task.uses.iter().filter(|used| {
            let is_needed = used.field.is_required() && !used.has_default;
            let is_lost = is_needed && !coverage.has_task(used.task);
            is_lost && !aside.iter().any(|key| key.contains(used.at))
        });
        lost.extend(uses.map(|used| (ix, *used)));
    }
    lost.sort_by_key(|(_, used)| (used.at.file, used.at.start));
    lost
}
