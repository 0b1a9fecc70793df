//! The hosts of a run before it (SPEC §6.2): are they known, can they be reached,
//! do their exec types work?
//!
//! Each distinct host is asked once, many at a time; the hosts of local tasks
//! are not asked at all.
#![forbid(unsafe_code)]

use crate::exit;
use crate::plan::exec::ExecType;
use crate::plan::hosts::hosts_of_task;
use crate::plan::programs;
use crate::plan::recipe::{self, Recipe};
use crate::report::validation_summary::{CheckResult, ValidationSummary};
use crate::run::contact::{self, ContactHost, ContactReport};
use crate::run::process_context::ProcessContext;
use crate::session::load::Loaded;
use crate::task::nodeset::{self, HostFilter};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// How long one host may take when `VALIDATION_TEST_TIMEOUT` does not say.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is to be checked, and how far.
pub struct Check<'a> {
    pub loaded: &'a Loaded,
    /// What `--limit` and `--exclude` leave.
    pub selection: &'a HostFilter,
    /// With it the hosts are contacted, not only resolved.
    pub around: Option<&'a Arc<ProcessContext>>,
    /// Says when nobody wants the answers any more.
    pub stop: &'a dyn Fn() -> bool,
}

/// Checks the hosts. One that fails a check is not asked again: each is told of
/// once.
pub fn check(check: &Check) -> ValidationSummary {
    let loaded = check.loaded;
    let (targets, counts) = targets(loaded, check.selection);
    let mut findings = ValidationSummary {
        hosts: targets.len(),
        ..ValidationSummary::default()
    };
    if loaded.invocation.skip_host_validation {
        findings.skip("Host DNS resolution", "--skip-host-validation");
    } else {
        let hosts = targets.into_iter().map(Arc::new).collect();
        contact_hosts(check, hosts, &mut findings);
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|(exec, count)| format!("{}: {count}", exec.name()))
        .collect();
    test_programs(check, &mut findings);
    if !counts.is_empty() {
        let (word, sign) = match findings.code {
            exit::EXEC_TYPE => ("failed", CheckResult::Failed),
            _ => ("passed", CheckResult::Passed),
        };
        let counts = counts.join(", ");
        findings
            .checks
            .push((format!("Execution type validation {word} ({counts})"), sign));
    }
    findings
}

/// With `-c` every program must be there; where only the validation is asked for,
/// those without which a real run would not begin.
fn test_programs(check: &Check, findings: &mut ValidationSummary) {
    let loaded = check.loaded;
    let contacting = check.around.is_some() && !loaded.invocation.skip_host_validation;
    let mut missing = Vec::new();
    if contacting || loaded.invocation.validate_only {
        missing.extend(missing_programs(loaded, check.selection));
    }
    if contacting {
        let local =
            recipe::missing_local_programs(&loaded.workflow.tasks, &loaded.workflow.recipes);
        missing.extend(local.iter().map(|p| format!("`{p}`")));
    }
    if !missing.is_empty() && findings.code == exit::OK {
        findings.code = exit::EXEC_TYPE;
    }
    let why = || "there is no such program".to_string();
    let failures = missing.into_iter().map(|program| (program, why()));
    findings.failures.extend(failures);
}

/// The hosts whose names have to resolve on this machine.
fn resolvable(hosts: &[Arc<ContactHost>]) -> Vec<Arc<ContactHost>> {
    let resolves = |host: &&Arc<ContactHost>| host.exec_types.iter().any(|t| t.resolves);
    hosts.iter().filter(resolves).cloned().collect()
}

/// Resolves the hosts and, if `check` says so, contacts them. A host that fails one
/// check is left out of the next ones, so that it is reported once.
fn contact_hosts(check: &Check, mut left: Vec<Arc<ContactHost>>, findings: &mut ValidationSummary) {
    let (patience, stop) = (patience(), check.stop);
    let mut add = |what: &str, unit: &str, report: ContactReport, code: i32| {
        if report.checked > 0 {
            findings.add(what, unit, report.checked, report.failures, code);
        }
    };
    let report = contact::resolve_all(&resolvable(&left), patience, stop);
    remove_failed(&mut left, &report);
    add("Host DNS resolution", "hosts", report, exit::HOST);
    let Some(around) = check.around else { return };
    let (report, methods) = contact::reach_all(&resolvable(&left), patience, stop);
    remove_failed(&mut left, &report);
    let unit = format!("hosts; {methods}");
    add("Host connectivity validation", &unit, report, exit::HOST);
    let report = contact::probe_all(&left, patience, around, stop);
    add("Exec type tests", "tests", report, exit::EXEC_TYPE);
}

fn remove_failed(hosts: &mut Vec<Arc<ContactHost>>, report: &ContactReport) {
    let failed: HashSet<&str> = report.failures.iter().map(|(h, _)| h.as_str()).collect();
    hosts.retain(|h| !failed.contains(h.name.as_str()));
}

fn patience() -> Duration {
    let set = std::env::var("VALIDATION_TEST_TIMEOUT")
        .ok()
        .and_then(|t| crate::text::duration::parse(&t).ok());
    set.filter(|t| !t.is_zero()).unwrap_or(PATIENCE)
}

/// The distinct hosts that are known before the run, and how many commands use
/// each exec type, by its name.
fn targets(
    loaded: &Loaded,
    selection: &HostFilter,
) -> (Vec<ContactHost>, Vec<(Arc<ExecType>, usize)>) {
    let mut order: Vec<ContactHost> = Vec::new();
    let mut places: HashMap<Cow<str>, usize> = HashMap::new();
    let mut counts: Vec<(Arc<ExecType>, usize)> = Vec::new();
    for (task, recipe) in loaded.workflow.tasks.iter().zip(&loaded.workflow.recipes) {
        for host in hosts_of_task(&loaded.workflow, selection, task) {
            let exec = match recipe {
                Recipe::Ready { exec, .. } => Some(exec.clone()),
                Recipe::Late if task.command().is_some_and(|c| c.exec.is_none()) => {
                    recipe::default_exec(host.as_deref(), &loaded.defaults)
                }
                _ => None,
            };
            let Some(exec) = exec else { continue };
            match counts.iter_mut().find(|(e, _)| e.name() == exec.name()) {
                Some((_, count)) => *count += 1,
                None => counts.push((exec.clone(), 1)),
            }
            let Some(host) = host.filter(|_| !exec.is_local()) else {
                continue;
            };
            let place = *places.entry(host).or_insert_with_key(|host| {
                order.push(ContactHost {
                    name: host.to_string(),
                    exec_types: Vec::new(),
                });
                order.len() - 1
            });
            if !order[place]
                .exec_types
                .iter()
                .any(|t| Arc::ptr_eq(t, &exec))
            {
                order[place].exec_types.push(exec);
            }
        }
    }
    counts.sort_unstable_by(|(a, _), (b, _)| a.name().cmp(b.name()));
    (order, counts)
}

/// The hosts that commands are meant for, as far as they are known; folded.
pub fn named_targets(loaded: &Loaded, selection: &HostFilter) -> String {
    let tasks = loaded.workflow.tasks.iter();
    let hosts: Vec<Cow<str>> = tasks
        .flat_map(|t| hosts_of_task(&loaded.workflow, selection, t))
        .flatten()
        .collect();
    if hosts.is_empty() {
        "this machine".into()
    } else {
        nodeset::fold(&hosts)
    }
}

/// The programs that carry commands to their hosts and are not there.
pub fn missing_programs(loaded: &Loaded, selection: &HostFilter) -> Vec<String> {
    let used = targets(loaded, selection).1;
    // Of a block that has no hosts left, too.
    let ready = loaded.workflow.recipes.iter().filter_map(|r| match r {
        Recipe::Ready { exec, .. } => Some(exec),
        _ => None,
    });
    let mut types: Vec<&Arc<ExecType>> = Vec::new();
    for exec in used.iter().map(|(exec, _)| exec).chain(ready) {
        if !types.iter().any(|t| Arc::ptr_eq(t, exec)) {
            types.push(exec);
        }
    }
    let mut missing: Vec<String> = types
        .into_iter()
        .filter_map(|exec| {
            let program = exec.program()?;
            programs::find_program(program, None)
                .is_none()
                .then(|| format!("`{program}` for exec type `{}`", exec.name()))
        })
        .collect();
    missing.sort_unstable();
    missing.dedup();
    missing
}
