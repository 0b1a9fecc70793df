//! `--project-summary`: the runs of a project, as a table (SPEC §6.3).
#![forbid(unsafe_code)]

use crate::cli::invocation::Typed;
use crate::exit;
use crate::report::log_directory::LogDirectory;
use crate::report::print::{complain, complain_raw, print};
use crate::report::project_summary;
use crate::session::config;
use crate::text::diagnostic::{printable, reason};
use crate::text::nearest::did_you_mean;
use std::io;
use std::path::Path;
use std::time::SystemTime;

/// Prints it; the exit code.
pub fn show(name: &str, typed: &[Typed]) -> i32 {
    let directory = match config::log_directory_of(typed) {
        Ok(directory) => directory,
        Err(code) => return code,
    };
    let log_dir = LogDirectory::new(directory.clone(), SystemTime::now());
    match log_dir.project_summary(name) {
        Ok(bytes) => {
            print(&project_summary::table(&bytes));
            exit::OK
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => unknown(name, &directory, &log_dir),
        Err(e) => {
            complain(format_args!(
                "tasker: cannot read the summary of project {name} in `{}`: {}",
                printable(&directory.display().to_string()),
                reason(&e)
            ));
            exit::LOG_DIR
        }
    }
}

/// Says that there is no such project, and which there are.
fn unknown(name: &str, directory: &Path, log_dir: &LogDirectory) -> i32 {
    let names = log_dir.projects();
    complain(format_args!(
        "tasker: error: there is no project `{name}` in `{}`",
        printable(&directory.display().to_string())
    ));
    let near = did_you_mean(name, names.iter().map(String::as_str));
    let help = match near.is_empty() {
        true if names.is_empty() => "a run with -p NAME begins one, -l DIR looks elsewhere".into(),
        true => String::new(),
        false => near,
    };
    if !help.is_empty() {
        complain_raw(format_args!("     = help: {help}\n"));
    }
    if !names.is_empty() {
        let list = printable(&names.join(", "));
        complain_raw(format_args!(
            "     = note: the projects there are: {list}\n"
        ));
    }
    exit::USAGE
}
