//! `--project-summary`: the runs of a project, as a table (SPEC §6.3).
#![forbid(unsafe_code)]

use crate::cli::invocation::Typed;
use crate::exit;
use crate::report::log_directory::LogDirectory;
use crate::report::print::print;
use crate::report::project_summary;
use crate::session::config;
use crate::session::refusal::Refusal;
use crate::text::diagnostic::{printable, reason};
use crate::text::nearest::did_you_mean;
use std::io;
use std::path::Path;
use std::time::SystemTime;

/// Prints it; the exit code.
///
/// # Errors
/// That there is no such project, or its summary cannot be read.
pub fn show(name: &str, typed: &[Typed]) -> Result<i32, Refusal> {
    let directory = config::log_directory_of(typed)?;
    let log_dir = LogDirectory::to_look_at(directory.clone(), SystemTime::now());
    match log_dir.project_summary(name) {
        Ok(bytes) => print(&project_summary::table(&bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(refuse_unknown(name, &directory, &log_dir));
        }
        Err(e) => {
            let why = format!(
                "cannot read the summary of project {name} in `{}`: {}",
                printable(&directory.display().to_string()),
                reason(&e)
            );
            return Err(Refusal::new(exit::LOG_DIR, why));
        }
    }
    Ok(exit::OK)
}

/// Says that there is no such project, and which there are.
fn refuse_unknown(name: &str, directory: &Path, log_dir: &LogDirectory) -> Refusal {
    let names = log_dir.projects();
    let near = did_you_mean(name, names.iter().map(String::as_str));
    let help = match (near.is_empty(), names.is_empty()) {
        (false, _) => Some(near),
        (true, true) => Some("a run with -p NAME begins one, -l DIR looks elsewhere".into()),
        (true, false) => None,
    };
    let list = printable(&names.join(", "));
    let directory = printable(&directory.display().to_string());
    Refusal {
        detail: match names.is_empty() {
            true => "".into(),
            false => format!("     = note: existing projects: {list}\n").into(),
        },
        help: help.map(String::into_boxed_str),
        ..Refusal::new(
            exit::USAGE,
            format!("there is no project `{name}` in `{directory}`"),
        )
    }
}
