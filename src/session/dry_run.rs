//! Without `-r`: what the checks found, and what a run would do (SPEC §6.1).
#![forbid(unsafe_code)]

use crate::cli::options::PlanForm;
use crate::exit;
use crate::report::print::{complain, complain_raw, print};
use crate::report::validation_summary;
use crate::session::approval::{self, Plan};
use crate::session::load::Loaded;
use crate::session::preflight::{self, Check};
use crate::session::refusal::Refusal;
use crate::session::scope::RunScope;
use crate::session::time_limit;
use crate::task::nodeset::HostFilter;
use std::time::SystemTime;

/// Shows what the checks found and what would run; the exit code.
///
/// # Errors
/// What would refuse a run, or is wrong with the command line.
pub fn run(loaded: &Loaded) -> Result<i32, Refusal> {
    let now = SystemTime::now();
    let selection = RunScope::read(loaded)?.selection;
    match time_limit::read(loaded, &selection, now) {
        Ok(deadline) => time_limit::warn(loaded, &selection, deadline.as_ref()),
        Err(refusal) => warn_of_refusal(&refusal.why, refusal.code),
    }
    let summary = match loaded.invocation.connection_test {
        true => preflight::test_connections(loaded, &selection)?,
        false => preflight::check(&Check {
            loaded,
            selection: &selection,
            context: None,
            stop: &|| false,
        }),
    };
    // `--validate-only` has found them already.
    if summary.code == exit::OK && !loaded.invocation.validate_only {
        let missing = preflight::missing_programs(loaded, &selection);
        if !missing.is_empty() {
            let why = format!("not in PATH: {}", missing.join(", "));
            warn_of_refusal(&why, exit::EXEC_TYPE);
        }
    }
    let summary = loaded.validation.summary.with(&summary);
    loaded.validation.keep(&summary, summary.code);
    let lines = validation_summary::lines(&summary);
    let form = loaded.invocation.show_plan.unwrap_or(PlanForm::Text);
    // Other forms are for a program, which must find nothing else there.
    match form {
        PlanForm::Text => print(&lines),
        _ if summary.code != exit::OK => complain_raw(format_args!("{lines}")),
        _ => {}
    }
    if summary.code == exit::OK && !loaded.invocation.validate_only {
        show_plan(loaded, &selection, form, now)?;
    }
    Ok(summary.code)
}

fn warn_of_refusal(why: &str, code: i32) {
    complain(format_args!(
        "tasker: warning: {why}; a real run would be refused with {code}"
    ));
}

/// Prints the plan, and checks that it is what the command line expects.
fn show_plan(
    loaded: &Loaded,
    selection: &HostFilter,
    form: PlanForm,
    now: SystemTime,
) -> Result<(), Refusal> {
    // A user without a home directory can look at a plan as well.
    let log_dir = loaded.log_directory(now).ok();
    let plan = Plan::new(loaded, selection);
    if form == PlanForm::Text {
        print("\nDry run: nothing is executed; -r runs it.\n");
    }
    print(&approval::draw(loaded, &plan, form));
    // Looking at a file leaves no trace where no log directory is in use.
    if let Some(log_dir) = log_dir.as_ref().filter(|r| r.exists()) {
        plan.keep(log_dir);
    }
    approval::check(loaded, selection, &plan, log_dir.as_ref())
}
