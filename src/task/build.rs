//! From the lines of a file to its tasks.
#![forbid(unsafe_code)]

use super::globals::GlobalTable;
use super::model::Task;
use super::raw;
use super::reader::TaskReader;
use super::resolve::Resolver;
use crate::text::diagnostic::DiagnosticList;
use crate::text::scanner::Line;
use crate::text::source::{SourceMap, Span};
use std::path::{Path, PathBuf};

/// The tasks in id order, and the globals they use.
pub struct TaskFile {
    pub tasks: Vec<Task>,
    pub globals: GlobalTable,
    /// Where relative `file:` paths begin.
    pub directory: PathBuf,
}

/// A global from the command line.
pub struct GlobalOverride {
    pub name: String,
    pub at: Span,
}

/// Builds the tasks of a scanned file; `settings` override its globals.
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
    raw::order(&mut raw, sources, diagnostics);
    let names = raw::names(&raw, &globals, sources, diagnostics);
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
        .map(|raw| TaskReader::new(&mut resolver, &raw, directory).task())
        .collect();
    let Resolver { mut globals, .. } = resolver;
    globals.report_uses(diagnostics);
    TaskFile {
        tasks,
        globals,
        directory: directory.to_path_buf(),
    }
}
