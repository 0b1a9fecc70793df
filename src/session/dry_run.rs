//! Without `-r`: what the checks found, and what a run would do (SPEC §6.1).
#![forbid(unsafe_code)]

use crate::cli::options::PlanForm;
use crate::exit;
use crate::plan::coverage::Coverage;
use crate::report::print::{complain, complain_raw, print};
use crate::report::validation_summary;
use crate::session::approval::{self, Plan};
use crate::session::load::Loaded;
use crate::session::preflight::{self, Check};
use crate::session::prepared::Earlier;
use crate::session::prune;
use crate::session::recovery::{self, Resumption};
use crate::session::refusal::Refusal;
use crate::session::scope::RunScope;
use crate::session::time_limit;
use std::time::SystemTime;

/// Shows what the checks found and what would run; the exit code.
///
/// # Errors
/// What would refuse a run, or is wrong with the command line.
pub fn run(loaded: &Loaded, earlier: &Earlier) -> Result<i32, Refusal> {
    let now = SystemTime::now();
    let resumption = show_earlier_run(loaded, earlier)?;
    let coverage = match &resumption {
        Some(resumption) => resumption.coverage(loaded),
        None => RunScope::read(loaded)?.coverage(loaded, loaded.invocation.policy()),
    };
    match time_limit::read(loaded, &coverage, now) {
        Ok(deadline) => time_limit::warn(loaded, &coverage, deadline.as_ref()),
        Err(refusal) => warn_of_refusal(&refusal.why, refusal.code),
    }
    let summary = match loaded.invocation.connection_test {
        true => preflight::test_connections(loaded, &coverage)?,
        false => preflight::check(&Check {
            loaded,
            coverage: &coverage,
            context: None,
            stop: &|| false,
        }),
    };
    // `--validate-only` has found them already.
    if summary.code == exit::OK && !loaded.invocation.validate_only {
        let missing = preflight::missing_programs(loaded, &coverage);
        if !missing.is_empty() {
            let why = format!("not in PATH: {}", missing.join(", "));
            warn_of_refusal(&why, exit::EXEC_TYPE);
        }
    }
    let summary = loaded.validation.summary.with(&summary);
    loaded.validation.keep(&summary, summary.code);
    if loaded.invocation.validate_only {
        prune::after_record(&loaded.validation);
    }
    let lines = validation_summary::lines(&summary);
    let form = loaded.invocation.show_plan.unwrap_or(PlanForm::Text);
    // Other forms are for a program, which must find nothing else there.
    match form {
        PlanForm::Text => print(&lines),
        _ if summary.code != exit::OK => complain_raw(format_args!("{lines}")),
        _ => {}
    }
    if summary.code == exit::OK && !loaded.invocation.validate_only {
        show_plan(loaded, &coverage, form, now)?;
    }
    Ok(summary.code)
}

/// Says which earlier run would be continued, and what of it is done.
fn show_earlier_run(loaded: &Loaded, earlier: &Earlier) -> Result<Option<Resumption>, Refusal> {
    recovery::show(loaded, earlier)?;
    if let Some(why) = &earlier.fresh_because {
        print(&format!("--auto-recovery would begin afresh: {why}\n"));
    }
    let run = earlier.run.as_ref();
    run.map(|run| recovery::examine(loaded, run)).transpose()
}

fn warn_of_refusal(why: &str, code: i32) {
    complain(format_args!(
        "tasker: warning: {why}; a real run would be refused with {code}"
    ));
}

/// Prints the plan, and checks that it is what the command line expects.
fn show_plan(
    loaded: &Loaded,
    coverage: &Coverage,
    form: PlanForm,
    now: SystemTime,
) -> Result<(), Refusal> {
    // A user without a home directory can look at a plan as well.
    let log_dir = loaded.log_directory(now).ok();
    let plan = Plan::new(loaded, coverage);
    if form == PlanForm::Text {
        print("\nDry run: nothing is executed; -r runs it.\n");
    }
    print(&approval::draw(loaded, &plan, form));
    // Looking at a file leaves no trace where no log directory is in use.
    if let Some(log_dir) = log_dir.as_ref().filter(|r| r.exists()) {
        plan.keep(log_dir);
    }
    approval::check(loaded, &plan, log_dir.as_ref())
}
