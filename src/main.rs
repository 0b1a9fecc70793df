//! tasker runs a task file: which commands run on which hosts, in what order.
//!
//! Data flows one way: text, tasks, checked workflow, run, records. Each room
//! imports only those before it: `text`, `task`, `plan`, `run`, `report`, `cli`,
//! `session`.
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
use session::continued_run;
use session::load::Loaded;
use session::prepared::{Earlier, Prepared};
use session::prune;
use session::refusal::Refusal;
use session::{dry_run, real_run, recovery, rehearsal, rejection, show_project, show_status};
use std::process::ExitCode;

fn main() -> ExitCode {
    run::sys::ignore_sigusr1();
    let answer = match arguments::read(std::env::args_os().skip(1)) {
        Ok(Request::Help { short }) => show(&help::draw(short)),
        Ok(Request::Version) => show(&format!("tasker {}\n", env!("CARGO_PKG_VERSION"))),
        Ok(Request::Completions(shell)) => show(&completions::script(shell)),
        Ok(Request::Status { run, typed }) => show_status::show(run.as_deref(), &typed),
        Ok(Request::ProjectSummary { name, typed }) => show_project::show(&name, &typed),
        Ok(Request::Prune { typed }) => prune::run(&typed),
        Ok(Request::TaskFile { file, typed }) => Ok(match continued_run::load(&file, &typed) {
            // Never freed: the process ends with it, and a long file has many pieces.
            Ok(Prepared { loaded, earlier }) => carry_out(Box::leak(Box::new(loaded)), earlier),
            Err(bad) => {
                if bad.is_valid {
                    bad.validation.show_warnings(&bad.invocation);
                }
                rejection::report(&bad.invocation, &bad.validation, &bad.refusal)
            }
        }),
        Err(message) => Err(Refusal::of_command_line(&message)),
    };
    let code = answer.unwrap_or_else(|refusal| rejection::report_alone(&refusal));
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// Does what was asked of a file that can be run; the exit code.
fn carry_out(loaded: &Loaded, earlier: Earlier) -> i32 {
    let (invocation, validation) = (&loaded.invocation, &loaded.validation);
    validation.show_warnings(invocation);
    let ended = match invocation.mode() {
        Mode::Rehearse => rehearsal::run(loaded),
        Mode::ShowRecovery => recovery::show(loaded, &earlier),
        Mode::Run => real_run::run(loaded, earlier),
        Mode::DryRun => dry_run::run(loaded, &earlier),
    };
    ended.unwrap_or_else(|refusal| rejection::report(invocation, validation, &refusal))
}

fn show(text: &str) -> Result<i32, Refusal> {
    print(text);
    Ok(exit::OK)
}
