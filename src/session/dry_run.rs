//! Without `-r`: what the checks found, and what a run would do (SPEC §6.1).
#![forbid(unsafe_code)]

use crate::cli::options::PlanForm;
use crate::exit;
use crate::report::log_directory::LogDirectory;
use crate::report::print;
use crate::report::validation_summary::{self, ValidationSummary};
use crate::run::pool::Pool;
use crate::session::approval::{self, Plan};
use crate::session::load::Loaded;
use crate::session::preflight::{self, Check};
use crate::session::real_run;
use crate::session::refusal::{Refusal, unwritable};
use crate::session::time_limit;
use crate::task::nodeset::HostFilter;
use std::time::SystemTime;

/// Without `-r`: what the checks found and what would run; the exit code.
pub fn run(loaded: &Loaded) -> i32 {
    match try_run(loaded) {
        Ok(code) => code,
        Err(refusal) => {
            print::complain(format_args!("tasker: {}", refusal.why));
            print::complain_raw(format_args!("{}", refusal.detail));
            refusal.code
        }
    }
}

fn try_run(loaded: &Loaded) -> Result<i32, Refusal> {
    let began = SystemTime::now();
    real_run::start_task(loaded)?;
    let selection = real_run::selection(loaded, began)?;
    match time_limit::read(loaded, &selection, began) {
        Ok(None) => {}
        Ok(Some(deadline)) => time_limit::doubt(loaded, &selection, &deadline),
        Err(refusal) => print::complain(format_args!(
            "tasker: warning: {}; a real run would be refused with {}",
            refusal.why, refusal.code
        )),
    }
    let findings = match loaded.invocation.connection_test {
        true => test_connections(loaded, &selection, began)?,
        false => preflight::check(&Check {
            loaded,
            selection: &selection,
            around: None,
            stop: &|| false,
        }),
    };
    // `--validate-only` has found them already.
    let missing = match findings.code == exit::OK && !loaded.invocation.validate_only {
        true => preflight::missing_programs(loaded, &selection),
        false => Vec::new(),
    };
    if !missing.is_empty() {
        let missing = missing.join(", ");
        print::complain(format_args!(
            "tasker: warning: not in PATH: {missing}; a real run would be refused with 61"
        ));
    }
    let findings = loaded.validation.of_file.with(&findings);
    loaded.validation.keep(&findings, findings.code);
    let mut text = validation_summary::lines(&findings);
    let form = loaded.invocation.show_plan.unwrap_or(PlanForm::Text);
    // A picture is for a program, which must not find anything else there.
    if form != PlanForm::Text {
        if findings.code != exit::OK {
            print::complain_raw(format_args!("{text}"));
        }
        text.clear();
    }
    print::print(&text);
    if findings.code != exit::OK || loaded.invocation.validate_only {
        return Ok(findings.code);
    }
    show_plan(loaded, &selection, form, began)?;
    Ok(findings.code)
}

/// Prints the plan, and says whether it is what the command line expects.
fn show_plan(
    loaded: &Loaded,
    selection: &HostFilter,
    form: PlanForm,
    began: SystemTime,
) -> Result<(), Refusal> {
    // A user without a home can look at a plan as well.
    let directory = real_run::log_directory(loaded).ok();
    let log_dir = directory.map(|directory| LogDirectory::new(directory, began));
    let plan = Plan::new(loaded, selection, log_dir.as_ref())?;
    if form == PlanForm::Text {
        print::print("\nDry run: nothing is executed; -r runs it.\n");
    }
    print::print(&approval::draw(loaded, selection, &plan, form));
    // Looking at a file leaves no trace where no log directory is in use.
    if let Some(log_dir) = log_dir.as_ref().filter(|r| r.exists()) {
        plan.keep(log_dir);
    }
    approval::check(loaded, selection, &plan, log_dir.as_ref())
}

/// `-c` without `-r`: contacts the hosts with all that guards a run.
fn test_connections(
    loaded: &Loaded,
    selection: &HostFilter,
    began: SystemTime,
) -> Result<ValidationSummary, Refusal> {
    let private = LogDirectory::new(real_run::log_directory(loaded)?, began)
        .private(&real_run::run_id(began));
    let around = real_run::surroundings(loaded, private).map_err(unwritable)?;
    let mut pool = Pool::new(around.clone()).map_err(unwritable)?;
    let findings = real_run::contact(loaded, selection, Some(&around), &around, &mut pool);
    pool.close();
    findings
}
