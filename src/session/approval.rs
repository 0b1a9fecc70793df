//! The plan before the run (SPEC §6.1): how it is shown, whether it is still the
//! reviewed plan, and the questions that are asked before it runs.
#![forbid(unsafe_code)]

use crate::cli::options::PlanForm;
use crate::exit;
use crate::plan::coverage::Coverage;
use crate::plan::fingerprints;
use crate::plan::outline::{Outline, PlanBasis};
use crate::plan::plan_id;
use crate::plan::workflow::Workflow;
use crate::plan::{as_json, diagram, listing};
use crate::report::log_directory::LogDirectory;
use crate::report::print;
use crate::session::load::Loaded;
use crate::session::plan_options;
use crate::session::refusal::Refusal;
use crate::task::nodeset;
use crate::text::diagnostic::Plural;
use std::io::{self, IsTerminal};

/// On more hosts than this a run asks first, on a terminal (SPEC §6.1).
const CONFIRM_ABOVE: u32 = 50;

/// The plan of a loaded file.
pub struct Plan {
    /// All that the file holds; what the id is about.
    whole: Outline,
    /// The part of it that the run covers, if it does not cover everything.
    part: Option<Outline>,
    /// What the id is computed from, secrets masked; see `plan_id`.
    text: String,
    /// 64 digits.
    id: String,
}

impl Plan {
    pub fn new(loaded: &Loaded, coverage: &Coverage) -> Plan {
        let outline = |coverage: &Coverage| {
            Outline::new(PlanBasis {
                workflow: &loaded.workflow,
                defaults: &loaded.defaults,
                coverage,
                sources: &loaded.sources,
                settings: plan_options::settings(loaded, &coverage.selection),
            })
        };
        let whole = outline(&Coverage::whole(coverage.selection.clone()));
        let text = plan_id::describe_plan(&whole);
        Plan {
            id: plan_id::hash(&text),
            text: loaded.mask().apply(&text),
            whole,
            part: coverage.is_part().then(|| outline(coverage)),
        }
    }

    /// What the run covers, as every form shows it.
    fn shown(&self) -> &Outline {
        self.part.as_ref().unwrap_or(&self.whole)
    }

    /// The id as people read it.
    pub fn shown_id(&self) -> String {
        plan_id::short_form(&self.id)
    }

    /// What stands for each task, by its id; see `plan::fingerprints`.
    pub fn task_fingerprints(&self, workflow: &Workflow) -> Vec<(u32, String)> {
        fingerprints::task_fingerprints(&self.whole, workflow)
    }

    /// What stands for each setting of the run that `tasker.conf` can change.
    pub fn run_facts(&self, workflow: &Workflow) -> Vec<(String, String)> {
        fingerprints::run_facts(&self.whole, workflow)
    }

    /// Keeps the plan's text, so that a later plan can be compared with it. If it
    /// cannot be kept, only that comparison is missing.
    pub fn keep(&self, log_dir: &LogDirectory) {
        if let Err(e) = log_dir.keep_plan(&self.id, &self.text) {
            print::complain(format_args!(
                "tasker: warning: cannot keep the plan for a later comparison: {e}"
            ));
        }
    }
}

/// The plan in the requested form, secrets masked.
pub fn draw(loaded: &Loaded, plan: &Plan, form: PlanForm) -> String {
    let (workflow, outline) = (&loaded.workflow, plan.shown());
    let text = match form {
        PlanForm::Text => {
            let mut text = listing::list(outline, workflow, &loaded.name);
            text.push_str(&format!("plan: {}\n", plan.shown_id()));
            text
        }
        PlanForm::Diagram(language) => {
            diagram::draw(outline, &loaded.name, language, loaded.mask())
        }
        PlanForm::Json => as_json::write(outline, workflow, &loaded.name, &plan.id),
    };
    loaded.mask().apply(&text)
}

/// Checks that the plan is the one that the command line names, if it names one.
///
/// # Errors
/// It is another (12).
pub fn check_id(
    loaded: &Loaded,
    plan: &Plan,
    log_dir: Option<&LogDirectory>,
) -> Result<(), Refusal> {
    match &loaded.invocation.plan {
        Some(digits) if !plan.id.starts_with(digits.as_str()) => {
            Err(other_plan(plan, digits, log_dir))
        }
        _ => Ok(()),
    }
}

/// Checks the plan against what the command line expects.
///
/// # Errors
/// It is not the reviewed plan (12), or has another number of hosts (13).
pub fn check(loaded: &Loaded, plan: &Plan, log_dir: Option<&LogDirectory>) -> Result<(), Refusal> {
    check_id(loaded, plan, log_dir)?;
    let Some(expected) = &loaded.invocation.expect_hosts else {
        return Ok(());
    };
    let run_hosts = &plan.shown().hosts;
    let found = run_hosts.known.len();
    let late = match run_hosts.late.is_empty() {
        true => String::new(),
        false => ", and hosts that come from results cannot be counted before the run".into(),
    };
    if expected.contains(&found) && late.is_empty() {
        return Ok(());
    }
    let wanted = match expected.start() == expected.end() {
        true => expected.start().to_string(),
        false => format!("{} to {}", expected.start(), expected.end()),
    };
    let hosts = match found {
        0 => "no host except this machine".to_string(),
        n => format!(
            "{} ({})",
            Plural(n, "host"),
            nodeset::fold(&run_hosts.known)
        ),
    };
    Err(Refusal::new(
        exit::EXPECTED_HOSTS,
        format!("--expect-hosts: expected {wanted}, the plan has {hosts}{late}"),
    ))
}

fn other_plan(plan: &Plan, digits: &str, log_dir: Option<&LogDirectory>) -> Refusal {
    let named = plan_id::short_form(digits);
    let why = format!("--plan: expected plan {named}, found {}", plan.shown_id());
    let detail = match log_dir.and_then(|r| r.kept_plan(digits)) {
        Some(old) => format!(
            "Differences (- reviewed, + now):\n{}\n",
            plan_id::difference(&old, &plan.text)
        ),
        None => {
            "The reviewed plan is not in this log directory, so the differences cannot be shown.\n"
                .into()
        }
    };
    Refusal {
        detail: detail.into(),
        ..Refusal::new(exit::POSITION, why)
    }
}

/// Asks on the terminal if the plan is to be confirmed.
///
/// # Errors
/// The answer is no, or is not the number of hosts (16); there is no terminal to ask
/// on (2).
pub fn confirm(loaded: &Loaded, plan: &Plan) -> Result<(), Refusal> {
    let invocation = &loaded.invocation;
    let has_terminal =
        !loaded.from_stdin && io::stdin().is_terminal() && io::stderr().is_terminal();
    if let Some(form) = invocation.show_plan {
        print::print(&draw(loaded, plan, form));
        if !invocation.yes {
            if !has_terminal {
                let why = "--show-plan with -r asks first, but there is no terminal; -y runs without asking";
                return Err(Refusal::new(exit::USAGE, why));
            }
            let answer = ask("Run this? [y/N] ");
            if !matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes") {
                return Err(Refusal::new(exit::NOT_CONFIRMED, "not confirmed"));
            }
        }
    }
    if invocation.yes || invocation.expect_hosts.is_some() || !has_terminal {
        return Ok(());
    }
    let run_hosts = &plan.shown().hosts;
    let (hosts, most) = (run_hosts.known.len(), loaded.config.conf.confirm_above);
    if hosts <= most.unwrap_or(CONFIRM_ABOVE) as usize {
        return Ok(());
    }
    let folded = nodeset::fold(&run_hosts.known);
    let answer = ask(&format!(
        "This runs on {hosts} hosts: {folded}\nType their number to continue: "
    ));
    match answer.parse() == Ok(hosts) {
        true => Ok(()),
        false => Err(Refusal::new(
            exit::NOT_CONFIRMED,
            format!("the answer is not the number of hosts, {hosts}"),
        )),
    }
}

/// Asks on the terminal whether a run is continued about which something is in doubt:
/// one line each.
///
/// # Errors
/// The answer is no (16).
pub fn confirm_doubts(loaded: &Loaded, doubts: &[String]) -> Result<(), Refusal> {
    let invocation = &loaded.invocation;
    let has_terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
    if doubts.is_empty() || invocation.yes || invocation.quiet || !has_terminal {
        return Ok(());
    }
    for doubt in doubts {
        print::complain(format_args!("tasker: {}", loaded.mask().apply(doubt)));
    }
    match ask("Continue? [y/N] ").to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Refusal::new(exit::NOT_CONFIRMED, "not confirmed")),
    }
}

/// The answer from the terminal, trimmed; empty at end of file.
fn ask(question: &str) -> String {
    print::complain_raw(format_args!("{question}"));
    let mut answer = String::new();
    let _ = io::stdin().read_line(&mut answer);
    answer.trim().to_string()
}
