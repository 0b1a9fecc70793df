//! Contacts hosts (SPEC §6.2): pings them or connects to them, and runs the probes of
//! their exec types.
//!
//! Many hosts are checked at once. Which hosts, and what follows from the answers,
//! is for the caller to decide.
#![forbid(unsafe_code)]

use super::child;
use super::interrupt::lock;
use super::job::{self, JobEnvironment};
use super::lookup::{LookupEnd, Lookups};
use super::names::{ContactHost, ContactReport, SshAnswer, SshDestination, SshRoute, addresses};
use super::process_context::ProcessContext;
use super::round::{self, Fate, Limit};
use super::runner::{CommandEnd, Job};
use crate::task::host;
use crate::text::decimal::short_seconds;
use crate::text::diagnostic::reason;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Pings each host, or connects to it. Gives up on checks when none finishes for
/// `patience`, and on all of them once `stop` says so. Also returns a phrase that counts how they
/// were contacted: `2 by ping, 1 by TCP connection`.
pub fn reach_all(
    hosts: &[Arc<ContactHost>],
    patience: Duration,
    stop: &dyn Fn() -> bool,
) -> (ContactReport, String) {
    let methods = Arc::new(ContactMethods::default());
    let counted = methods.clone();
    let check = move |host: &Arc<ContactHost>| reach(host, patience, &counted);
    let report = run_checks(with_names(hosts), check, patience, stop);
    (report, methods.counts())
}

/// Runs the probe of each host's exec types, for those that have one.
pub fn probe_all(
    hosts: &[Arc<ContactHost>],
    patience: Duration,
    context: &Arc<ProcessContext>,
    stop: &dyn Fn() -> bool,
) -> ContactReport {
    let environment = JobEnvironment::new("connection-test", Default::default());
    let runs = probe_runs(hosts, &environment, patience);
    let context = context.clone();
    let check = move |probe: &ProbeRun| run_probe(probe, &context);
    run_checks(runs, check, patience * 2, stop)
}

fn with_names(hosts: &[Arc<ContactHost>]) -> Vec<(String, Arc<ContactHost>)> {
    let named = hosts.iter().map(|host| (host.name.clone(), host.clone()));
    named.collect()
}

/// Checks all subjects, many at a time. When no check finishes for `patience`, those that
/// run are given up. A failure is one line.
fn run_checks<T: Send + Sync + 'static>(
    subjects: Vec<(String, T)>,
    check: impl Fn(&T) -> Result<(), String> + Send + Sync + 'static,
    patience: Duration,
    stop: &dyn Fn() -> bool,
) -> ContactReport {
    let subjects: Arc<[(String, T)]> = subjects.into();
    let ask = move |(_, subject): &(String, T)| Some(check(subject));
    let fates = round::ask_all(subjects.clone(), ask, Limit::Patience(patience), stop);
    let failures = subjects.iter().zip(fates).filter_map(|((name, _), fate)| {
        let why = match fate {
            Fate::Answered(answer) => answer.err()?,
            Fate::Unanswered(_) => format!("no answer within {} s", short_seconds(patience)),
            Fate::NotAsked => "was not checked".into(),
        };
        Some((name.clone(), why))
    });
    ContactReport {
        checked: subjects.len(),
        failures: failures.collect(),
        unchecked: Vec::new(),
    }
}

/// The most that one ping or connection may take of the time for a host.
const CONTACT: Duration = Duration::from_secs(5);

const BY_PING: &str = "by ping";
const BY_TCP: &str = "by TCP connection";
const LEFT_TO_SSH: &str = "left to ssh, which goes through another host";
const NOT_CONTACTED: &str = "not contacted: no usable `ping`, and the exec type has no port";

/// Pings the host with the system's `ping`; if that cannot be used, connects to the
/// exec type's port. Where ssh has another name for the host, uses that name.
fn reach(host: &ContactHost, patience: Duration, methods: &ContactMethods) -> Result<(), String> {
    let patience = patience.min(CONTACT);
    let destination = ssh_destination(host, patience);
    if destination
        .as_ref()
        .is_some_and(|d| d.route != SshRoute::Direct)
    {
        methods.add(LEFT_TO_SSH);
        return Ok(());
    }
    let name = destination
        .as_ref()
        .map_or(host::bare(&host.name), |d| &d.name);
    if let Some(answers) = ping(name, patience) {
        methods.add(BY_PING);
        return match answers {
            true => Ok(()),
            false => Err("does not answer ping".into()),
        };
    }
    let ssh_port = destination.as_ref().and_then(|d| d.port);
    match ssh_port.or_else(|| host.exec_types.iter().find_map(|t| t.port)) {
        Some(port) => {
            methods.add(BY_TCP);
            connect(name, port, patience)
        }
        None => {
            methods.add(NOT_CONTACTED);
            Ok(())
        }
    }
}

/// Where ssh would connect to, for a host that it is used for.
fn ssh_destination(host: &ContactHost, patience: Duration) -> Option<SshDestination> {
    let question = host.question_to_ssh()?;
    match question.ask(&Lookups::default(), Instant::now() + patience)? {
        SshAnswer::Destination(destination) => Some(destination),
        SshAnswer::Refused(_) | SshAnswer::Unknown => None,
    }
}

/// Whether the host answers; `None` if `ping` is missing or not permitted.
fn ping(host: &str, patience: Duration) -> Option<bool> {
    let seconds = patience.as_secs().max(1).to_string();
    let words = [
        "ping", "-c", "1", "-W", &seconds, "-w", &seconds, "--", host,
    ];
    // It keeps to its own time; it only has to end at all.
    let end = Instant::now() + patience * 2;
    let answer = match Lookups::default().ask(&words.map(String::from), end) {
        LookupEnd::Answered(answer) => answer,
        LookupEnd::Unanswered => return Some(false),
        LookupEnd::Missing => return None,
    };
    let text = answer.text.to_lowercase();
    let forbidden = ["not permitted", "permission", "lacking privilege"];
    let usable = !forbidden.iter().any(|sign| text.contains(sign));
    usable.then_some(answer.code == Some(0))
}

fn connect(host: &str, port: u16, patience: Duration) -> Result<(), String> {
    let mut last = "no address found".to_string();
    for mut address in addresses(host) {
        address.set_port(port);
        match TcpStream::connect_timeout(&address, patience) {
            Ok(_) => return Ok(()),
            Err(e) => last = reason(&e),
        }
    }
    Err(format!("cannot connect to port {port}: {last}"))
}

/// How each host was contacted.
#[derive(Default)]
struct ContactMethods(Mutex<Vec<&'static str>>);

impl ContactMethods {
    fn add(&self, method: &'static str) {
        lock(&self.0).push(method);
    }

    fn counts(&self) -> String {
        let mut methods = lock(&self.0);
        methods.sort_unstable();
        let same = methods.chunk_by(|a, b| a == b);
        let counts: Vec<String> = same
            .map(|methods| format!("{} {}", methods.len(), methods[0]))
            .collect();
        counts.join(", ")
    }
}

/// The probe of one exec type on one host, and what it is expected to do.
struct ProbeRun {
    job: Job,
    exit: i32,
    output: Option<String>,
}

fn probe_runs(
    hosts: &[Arc<ContactHost>],
    environment: &JobEnvironment,
    timeout: Duration,
) -> Vec<(String, ProbeRun)> {
    let mut runs = Vec::new();
    for host in hosts {
        for exec in &host.exec_types {
            let Some(probe) = &exec.probe else { continue };
            let run = ProbeRun {
                job: job::from_words(exec, &probe.words, &host.name, environment, timeout),
                exit: probe.exit,
                output: probe.output.clone(),
            };
            runs.push((format!("{} ({})", host.name, exec.name()), run));
        }
    }
    runs
}

fn run_probe(probe: &ProbeRun, context: &ProcessContext) -> Result<(), String> {
    let finished = child::run(&probe.job, None, true, &|| {}, context);
    let last_line = || {
        let stderr = String::from_utf8_lossy(&finished.stderr.tail(300)).into_owned();
        let last = stderr.lines().last();
        last.map_or(String::new(), |line| format!(": {line}"))
    };
    match finished.ending {
        CommandEnd::Exited(code) if code == probe.exit => {}
        CommandEnd::Exited(code) => {
            return Err(format!("its probe exited with {code}{}", last_line()));
        }
        CommandEnd::TimedOut => return Err("its probe timed out".into()),
        CommandEnd::Unreachable(_) | CommandEnd::Lost(_) => {
            return Err(format!("unreachable{}", last_line()));
        }
        _ => return Err(format!("its probe did not run{}", last_line())),
    }
    match &probe.output {
        Some(text) if !finished.stdout.contains(text.as_bytes()).unwrap_or(false) => {
            Err(format!("its probe did not print `{text}`"))
        }
        _ => Ok(()),
    }
}
