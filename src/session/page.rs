//! The page that `--report` asks for: brings together what it is made of.
#![forbid(unsafe_code)]

use crate::cli::options::PlanForm;
use crate::report::history::History;
use crate::report::html_report::{HtmlReport, Story};
use crate::report::log_directory;
use crate::report::replace_file;
use crate::report::run_summary::RunSummary;
use crate::session::approval;
use crate::session::destinations;
use crate::session::ending::Ended;
use crate::session::refusal::{Refusal, unwritable};
use crate::task::mask::Mask;
use std::io;
use std::path::Path;

/// Writes the page of a run that is over.
///
/// # Errors
/// That it cannot be written; the file is named.
pub fn write(
    path: &Path,
    ended: &Ended,
    account: &RunSummary,
    history: &History,
) -> io::Result<()> {
    let loaded = ended.loaded;
    let mask = Mask::new(&loaded.workflow.globals);
    let text = &loaded.sources.get(loaded.file).text;
    let story = Story {
        history,
        plan: &approval::draw(loaded, ended.selection, ended.plan, PlanForm::Text),
        task_file: &log_directory::mask_definitions(text, &mask),
        sources: &loaded.sources,
    };
    let page = HtmlReport {
        account,
        who: loaded.validation.who(),
        detail: "",
        story: Some(story),
    };
    replace_file::replace(path, page.draw().as_bytes())
}

/// Finds out before anything runs whether the page can be written.
///
/// # Errors
/// That it cannot (32), or is the task file (2).
pub fn check(path: &Path, task_file: &str) -> Result<(), Refusal> {
    destinations::refuse_task_file("--report", path, task_file)?;
    replace_file::check(path).map_err(unwritable)
}
