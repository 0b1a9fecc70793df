//! The checks of hosts and programs before a run (SPEC §6.2): do the names resolve,
//! can the hosts be reached, do their exec types work?
//!
//! Each distinct host is checked once, many at a time; hosts of local tasks are not
//! checked at all.
#![forbid(unsafe_code)]

use crate::cli::invocation::Mode;
use crate::exit;
use crate::plan::coverage::Coverage;
use crate::plan::environment_hosts::EnvironmentHosts;
use crate::plan::exec::ExecType;
use crate::plan::hosts::{self, hosts_of_task};
use crate::plan::programs;
use crate::plan::recipe::{self, Recipe};
use crate::report::log::{Log, LogLevel};
use crate::report::print::complain;
use crate::report::validation_summary::{self, CheckResult, ValidationSummary};
use crate::run::capture::{PrivateFiles, Spool};
use crate::run::connection_limit::ConnectionLimit;
use crate::run::contact;
use crate::run::guardian::Guardian;
use crate::run::interrupt::{self, Interrupt};
use crate::run::names::{self, ContactHost, ContactReport};
use crate::run::pool::Pool;
use crate::run::process_context::ProcessContext;
use crate::run::sys;
use crate::session::left_out_hosts::LeftOutHosts;
use crate::session::load::Loaded;
use crate::session::refusal::{Refusal, no_process};
use crate::task::nodeset;
use crate::text::diagnostic::Plural;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How many hosts are between start and nonce at once, at most (SPEC §5).
const MAX_CONNECTING: u32 = 1000;

/// How long the names of all hosts can take together, and one host to answer, unless `VALIDATION_TEST_TIMEOUT` says otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is to be checked, and how far.
pub struct Check<'a> {
    pub loaded: &'a Loaded,
    /// What the run covers.
    pub coverage: &'a Coverage,
    /// If given, the hosts are contacted, not only resolved.
    pub context: Option<&'a Arc<ProcessContext>>,
    /// Says when to give up.
    pub stop: &'a dyn Fn() -> bool,
}

/// Checks before a real run that the programs that carry commands to hosts are in
/// PATH.
///
/// # Errors
/// Those that are missing (61).
pub fn check_programs(loaded: &Loaded, coverage: &Coverage) -> Result<(), Refusal> {
    let missing = missing_programs(loaded, coverage);
    if missing.is_empty() {
        return Ok(());
    }
    let why = format!("not in PATH: {}", missing.join(", "));
    let mut found = ValidationSummary::default();
    let line = format!("Execution type validation failed ({why})");
    found.checks.push((line, CheckResult::Failed));
    let summary = loaded.validation.summary.with(&found);
    loaded.validation.keep(&summary, exit::EXEC_TYPE);
    Err(Refusal::new(exit::EXEC_TYPE, why))
}

/// Resolves the hosts before a real run, and with `-c` contacts them.
///
/// # Errors
/// A host that fails (60, 61), or a signal.
pub fn check_hosts(
    loaded: &Loaded,
    coverage: &Coverage,
    context: &Arc<ProcessContext>,
    pool: &mut Pool,
    log: &mut Log,
) -> Result<(), Refusal> {
    let contacted = Some(context).filter(|_| loaded.invocation.connection_test);
    let summary = check_until_signal(loaded, coverage, contacted, context, pool)?;
    let summary = loaded.validation.summary.with(&summary);
    loaded.validation.keep(&summary, summary.code);
    if loaded.invocation.skip_host_validation {
        let text = "Hosts were neither resolved nor contacted before the run";
        log.write(LogLevel::Warn, text);
        return Ok(());
    }
    warn_of_hosts(loaded, &summary, log);
    if summary.code == exit::OK {
        let hosts = Plural(summary.hosts - summary.left_out.len(), "host");
        log.write(LogLevel::Info, &format!("Host validation passed ({hosts})"));
        return Ok(());
    }
    for line in summary.failure_lines() {
        log.write(LogLevel::Error, &format!("Host {line}"));
    }
    let why = "host validation failed (--skip-host-validation runs anyway)";
    Err(Refusal {
        findings: match loaded.invocation.quiet {
            true => validation_summary::failed_lines(&summary),
            false => validation_summary::lines(&summary),
        },
        ..Refusal::new(summary.code, why)
    })
}

/// Warns in the log of hosts that the run begins without or that were not checked, and on
/// the console if no refusal shows them there; not in a quiet run, which names at its end
/// those that it did not reach.
fn warn_of_hosts(loaded: &Loaded, summary: &ValidationSummary, log: &mut Log) {
    let is_shown = summary.code == exit::OK && !loaded.invocation.quiet;
    for line in summary.warnings() {
        log.write(LogLevel::Warn, &format!("Host validation: {line}"));
        if is_shown {
            complain(format_args!("tasker: warning: host validation: {line}"));
        }
    }
}

/// Contacts the hosts without `-r`, with everything that guards a run.
///
/// # Errors
/// No log directory (32), or a signal.
pub fn test_connections(
    loaded: &Loaded,
    coverage: &Coverage,
) -> Result<ValidationSummary, Refusal> {
    let log_dir = loaded.log_directory(SystemTime::now())?;
    let private = log_dir.private(&log_dir.new_run_id());
    let context = process_context(loaded, private).map_err(no_process)?;
    let mut pool = Pool::new(context.clone()).map_err(no_process)?;
    let summary = check_until_signal(loaded, coverage, Some(&context), &context, &mut pool);
    pool.close();
    summary
}

/// Checks the hosts until a signal comes; the signal is the refusal.
fn check_until_signal(
    loaded: &Loaded,
    coverage: &Coverage,
    contacted: Option<&Arc<ProcessContext>>,
    context: &Arc<ProcessContext>,
    pool: &mut Pool,
) -> Result<ValidationSummary, Refusal> {
    let summary = check(&Check {
        loaded,
        coverage,
        context: contacted,
        stop: &|| context.interrupt.level() > interrupt::SignalLevel::None,
    });
    pool.pause(Duration::ZERO).map_err(Refusal::of_signal)?;
    Ok(summary)
}

/// What all commands share; starts the guardian, so it comes before any thread and
/// before any file that commands must not see.
///
/// # Errors
/// That the guardian cannot be started.
pub fn process_context(loaded: &Loaded, private: PrivateFiles) -> io::Result<Arc<ProcessContext>> {
    sys::share_heap();
    sys::close_on_exec_above_2();
    sys::block_signals();
    let conf = &loaded.config.conf;
    let kill_after = loaded.defaults.kill_after;
    let max_connecting = conf.max_connecting.unwrap_or(MAX_CONNECTING);
    Ok(Arc::new(ProcessContext {
        guardian: Guardian::start(kill_after)?,
        interrupt: Interrupt::new(loaded.invocation.on_interrupt)?,
        spool: Spool::bounded(private, loaded.config.output_limits()),
        kill_after,
        connect_timeout: loaded.defaults.connect_timeout,
        connection_limit: ConnectionLimit::new(max_connecting),
    }))
}

/// Checks the hosts. One that fails a check is not asked again, so that each is
/// reported once.
pub fn check(check: &Check) -> ValidationSummary {
    let loaded = check.loaded;
    let targets = Targets::find(loaded, check.coverage);
    let mut findings = ValidationSummary {
        hosts: targets.hosts.len(),
        ..ValidationSummary::default()
    };
    if loaded.invocation.skip_host_validation {
        findings.skip("Host DNS resolution", "--skip-host-validation");
    } else {
        let hosts = targets.hosts.into_iter().map(Arc::new).collect();
        contact_hosts(check, hosts, &mut findings);
        if targets.unasked > 0 {
            let what = format!("Validation of {}", Plural(targets.unasked, "host"));
            let why = "only with -r: named by the environment or a secret";
            findings.skip(&what, why);
        }
    }
    let counts: Vec<String> = targets
        .counts
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

/// With `-c` every program must exist; with `--validate-only` those without which a
/// real run would not begin.
fn test_programs(check: &Check, findings: &mut ValidationSummary) {
    let loaded = check.loaded;
    let contacting = check.context.is_some() && !loaded.invocation.skip_host_validation;
    let mut missing = Vec::new();
    if contacting || loaded.invocation.validate_only {
        missing.extend(missing_programs(loaded, check.coverage));
    }
    if contacting {
        let workflow = &loaded.workflow;
        let tasks = workflow.tasks.iter().zip(&workflow.recipes).enumerate();
        let covered = tasks.filter(|(ix, _)| check.coverage.has_task(*ix));
        let local = recipe::missing_local_programs(covered.map(|(_, task)| task));
        missing.extend(local.iter().map(|p| format!("`{p}`")));
    }
    if !missing.is_empty() && findings.code == exit::OK {
        findings.code = exit::EXEC_TYPE;
    }
    let failures = missing.into_iter().map(|program| {
        // A name with a `/` is a path, which is not looked for in PATH.
        let why = match program.contains('/') {
            true => "does not exist or is not executable",
            false => "not in PATH",
        };
        (program, why.to_string())
    });
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
    let loaded = check.loaded;
    let optional = LeftOutHosts::new(&loaded.workflow, check.coverage, |ix, host| {
        let exec = hosts::exec_type(&loaded.workflow, &loaded.defaults, ix, Some(host));
        exec.is_some_and(|exec| !exec.is_local())
    });
    let mut add = |what: &str, unit: &str, report: ContactReport, code: i32| {
        if report.checked > 0 {
            let left_out = &findings.left_out;
            let split = match code {
                exit::HOST => split_failures(report.failures, left_out, &optional),
                _ => [report.failures, Vec::new()],
            };
            let [failed, left_out] = split;
            let split = [failed, left_out, report.unchecked];
            findings.add(what, unit, report.checked, split, code);
        }
    };
    let report = names::resolve_all(&resolvable(&left), patience, stop);
    remove_failed(&mut left, &report);
    add("Host DNS resolution", "hosts", report, exit::HOST);
    let Some(context) = check.context else { return };
    let (report, methods) = contact::reach_all(&resolvable(&left), patience, stop);
    remove_failed(&mut left, &report);
    let unit = format!("hosts; {methods}");
    add("Host connectivity validation", &unit, report, exit::HOST);
    let report = contact::probe_all(&left, patience, context, stop);
    add("Exec type tests", "tests", report, exit::EXEC_TYPE);
}

/// The failures that refuse the run, and those of hosts that it begins without,
/// given those that an earlier check left out.
fn split_failures(
    failures: Vec<(String, String)>,
    before: &[(String, String)],
    optional: &LeftOutHosts,
) -> [Vec<(String, String)>; 2] {
    let failed = failures.iter().chain(before).map(|(h, _)| h.as_str());
    let left_out = optional.among(&failed.collect());
    let refuses: Vec<bool> = failures
        .iter()
        .map(|(host, _)| !left_out.contains(host.as_str()))
        .collect();
    let mut split = [Vec::new(), Vec::new()];
    for (failure, refuses) in failures.into_iter().zip(refuses) {
        split[usize::from(!refuses)].push(failure);
    }
    split
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

/// What is to be contacted, as far as it is known before the run.
#[derive(Default)]
struct Targets {
    /// The distinct hosts that are not this machine.
    hosts: Vec<ContactHost>,
    /// How many commands use each exec type, by its name.
    counts: Vec<(Arc<ExecType>, usize)>,
    /// How many more hosts there are that a dry run does not ask for: the query would
    /// tell others a secret, or a value from the environment of whoever looks at the file.
    unasked: usize,
}

impl Targets {
    fn find(loaded: &Loaded, coverage: &Coverage) -> Targets {
        let (workflow, defaults) = (&loaded.workflow, &loaded.defaults);
        let is_dry = loaded.invocation.mode() != Mode::Run;
        let contacts = loaded.invocation.connection_test;
        let mut targets = Targets::default();
        let (mut places, mut unasked) = (HashMap::new(), HashSet::new());
        for ix in 0..workflow.tasks.len() {
            let private = match is_dry {
                true => EnvironmentHosts::of_task(workflow, &loaded.sources, ix),
                false => EnvironmentHosts::default(),
            };
            for host in hosts_of_task(workflow, coverage, ix) {
                let exec = hosts::exec_type(workflow, defaults, ix, host.as_deref());
                let Some(exec) = exec else { continue };
                targets.count(&exec);
                match host.filter(|_| !exec.is_local()) {
                    Some(host) if private.contains(&host) && (exec.resolves || contacts) => {
                        unasked.insert(host);
                    }
                    Some(host) => targets.add(host, exec, &mut places),
                    None => {}
                }
            }
        }
        unasked.retain(|host| !places.contains_key(host));
        targets.unasked = unasked.len();
        let counts = &mut targets.counts;
        counts.sort_unstable_by(|(a, _), (b, _)| a.name().cmp(b.name()));
        targets
    }

    fn count(&mut self, exec: &Arc<ExecType>) {
        match self
            .counts
            .iter_mut()
            .find(|(e, _)| e.name() == exec.name())
        {
            Some((_, count)) => *count += 1,
            None => self.counts.push((exec.clone(), 1)),
        }
    }

    /// Adds a host, and a way in which commands run on it.
    fn add<'a>(
        &mut self,
        host: Cow<'a, str>,
        exec: Arc<ExecType>,
        places: &mut HashMap<Cow<'a, str>, usize>,
    ) {
        let place = *places.entry(host).or_insert_with_key(|host| {
            self.hosts.push(ContactHost {
                name: host.to_string(),
                exec_types: Vec::new(),
            });
            self.hosts.len() - 1
        });
        let types = &mut self.hosts[place].exec_types;
        if !types.iter().any(|t| Arc::ptr_eq(t, &exec)) {
            types.push(exec);
        }
    }
}

/// The hosts that commands run on, as far as they are known; folded.
pub fn named_targets(loaded: &Loaded, coverage: &Coverage) -> String {
    let hosts: Vec<Cow<str>> = (0..loaded.workflow.tasks.len())
        .flat_map(|ix| hosts_of_task(&loaded.workflow, coverage, ix))
        .flatten()
        .collect();
    if hosts.is_empty() {
        "this machine".into()
    } else {
        nodeset::fold(&hosts)
    }
}

/// The programs that carry commands to their hosts and are not in PATH.
pub fn missing_programs(loaded: &Loaded, coverage: &Coverage) -> Vec<String> {
    let used = Targets::find(loaded, coverage).counts;
    // Also those of a block that has no hosts left.
    let recipes = loaded.workflow.recipes.iter().enumerate();
    let covered = recipes.filter(|(ix, _)| coverage.has_task(*ix));
    let ready = covered.filter_map(|(_, r)| match r {
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
