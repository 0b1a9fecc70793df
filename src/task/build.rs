//! From the lines of a file to its tasks.
#![forbid(unsafe_code)]

use super::globals::GlobalTable;
use super::host_files::HostFiles;
use super::model::{Ix, Task};
use super::raw::{self, RawTask};
use super::reader::read_task;
use super::resolve::Resolver;
use crate::text::diagnostic::DiagnosticList;
use crate::text::scanner::Line;
use crate::text::source::{SourceMap, Span};

/// The tasks of a file in id order, and its globals.
pub struct TaskFile {
    pub tasks: Vec<Task>,
    /// Tasks that cannot be part of the workflow, and tasks with a key that was given
    /// before: only their mistakes matter.
    pub rejected: Vec<Task>,
    pub globals: GlobalTable,
    pub host_files: HostFiles,
}

/// How many rejected tasks are read: each comes from an error of its own, and not more
/// errors are shown.
const MOST_REJECTED: usize = 50;

/// A global that the command line sets (`--set`).
pub struct GlobalOverride {
    pub name: String,
    pub at: Span,
}

/// Builds the tasks of a scanned file; `settings` override its globals. With `strict`
/// only environment variables that begin with `TASKER_` are allowed.
pub fn build(
    lines: &[Line],
    settings: &[GlobalOverride],
    strict: bool,
    host_files: HostFiles,
    sources: &SourceMap,
    diagnostics: &mut DiagnosticList,
) -> TaskFile {
    let (mut raw, mut globals) = raw::collect(lines, strict, sources, diagnostics);
    for setting in settings {
        globals.set(&setting.name, setting.at, setting.at);
    }
    globals.expand_all(sources, diagnostics);
    let mut rejected = raw::sort_by_id(&mut raw, sources, diagnostics);
    let names = raw::task_names(&raw, &rejected, &globals, sources, diagnostics);
    let repeating = raw::with_repeated_keys(raw.iter().chain(&rejected), sources);
    rejected.extend(repeating);
    rejected.truncate(MOST_REJECTED);
    let ids = raw.iter().map(|r| r.id).collect();
    let mut resolver = Resolver {
        sources,
        diagnostics,
        globals,
        ids,
        names,
        uses: Vec::new(),
        in_final: false,
        size: 0,
    };
    let mut read = |raw: Vec<RawTask>| {
        let tasks = raw.iter();
        tasks
            .map(|raw| read_task(&mut resolver, raw, &host_files))
            .collect()
    };
    let (mut tasks, rejected): (Vec<Task>, Vec<Task>) = (read(raw), read(rejected));
    mark_members_of_finals(&mut tasks);
    let Resolver { mut globals, .. } = resolver;
    globals.report_uses(diagnostics);
    TaskFile {
        tasks,
        rejected,
        globals,
        host_files,
    }
}

/// What a final block owns, at any depth, runs with the final tasks.
fn mark_members_of_finals(tasks: &mut [Task]) {
    let finals = tasks.iter().filter(|task| task.finally);
    let mut members: Vec<Ix> = finals.flat_map(Task::owned_tasks).collect();
    while let Some(ix) = members.pop() {
        // Blocks that contain each other are reported later.
        if !std::mem::replace(&mut tasks[ix].in_finals, true) {
            members.extend(tasks[ix].owned_tasks());
        }
    }
}
