//! From the lines of a file to its tasks.
#![forbid(unsafe_code)]

use super::globals::GlobalTable;
use super::model::Task;
use super::raw;
use super::reader::read_task;
use super::resolve::Resolver;
use crate::text::diagnostic::DiagnosticList;
use crate::text::scanner::Line;
use crate::text::source::{SourceMap, Span};
use std::path::{Path, PathBuf};

/// The tasks of a file in id order, and its globals.
pub struct TaskFile {
    pub tasks: Vec<Task>,
    pub globals: GlobalTable,
    /// What relative `file:` paths are relative to.
    pub directory: PathBuf,
}

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
    directory: &Path,
    sources: &SourceMap,
    diagnostics: &mut DiagnosticList,
) -> TaskFile {
    let (mut raw, mut globals) = raw::collect(lines, strict, sources, diagnostics);
    for setting in settings {
        globals.set(&setting.name, setting.at, setting.at);
    }
    globals.expand_all(sources, diagnostics);
    raw::sort_by_id(&mut raw, sources, diagnostics);
    let names = raw::task_names(&raw, &globals, sources, diagnostics);
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
    let tasks = raw
        .into_iter()
        .map(|raw| read_task(&mut resolver, &raw, directory))
        .collect();
    let Resolver { mut globals, .. } = resolver;
    globals.report_uses(diagnostics);
    TaskFile {
        tasks,
        globals,
        directory: directory.to_path_buf(),
    }
}
