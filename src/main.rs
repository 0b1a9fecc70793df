//! tasker runs a task file: which commands, on which hosts, in what order.
//!
//! The data flows one way: text, tasks, checked workflow, run, records. Each
//! room imports only those to its left: `text`, `task`, `plan`, `run`, `report`.
#![deny(unsafe_code)]

mod cli;
mod exit;
mod outcome;
mod plan;
mod report;
mod run;
mod session;
mod task;
mod text;

use cli::arguments::{self, Request};
use cli::invocation::Mode;
use cli::{completions, help};
use report::print::print;
use session::{dry_run, load, real_run, recovery, refusal, rehearsal, show_project, show_status};
use std::process::ExitCode;

fn main() -> ExitCode {
    run::sys::survive_questions();
    let code = match arguments::read(std::env::args_os().skip(1)) {
        Ok(Request::Help { short }) => printed(&help::draw(short)),
        Ok(Request::Version) => printed(&format!("tasker {}\n", env!("CARGO_PKG_VERSION"))),
        Ok(Request::Completions(shell)) => printed(&completions::script(shell)),
        Ok(Request::Status { run, typed }) => show_status::show(run.as_deref(), &typed),
        Ok(Request::ProjectSummary { name, typed }) => show_project::show(&name, &typed),
        // Never freed: the process ends with it, and a long file has many pieces.
        Ok(Request::TaskFile { file, typed }) => match load::load(&file, &typed).map(leaked) {
            Ok(loaded) => match loaded.invocation.mode() {
                Mode::Rehearse => rehearsal::run(loaded),
                Mode::ShowRecovery => recovery::show(loaded),
                Mode::Run => real_run::run(loaded),
                Mode::DryRun => dry_run::run(loaded),
            },
            Err(code) => code,
        },
        Err(message) => refusal::refuse_command_line(&message),
    };
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

fn leaked(loaded: load::Loaded) -> &'static load::Loaded {
    Box::leak(Box::new(loaded))
}

fn printed(text: &str) -> i32 {
    print(text);
    exit::OK
}
