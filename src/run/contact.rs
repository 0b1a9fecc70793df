//! Contacts hosts (SPEC §6.2): finds their addresses, pings them or connects to
//! them, and runs the probes of their exec types.
//!
//! Many hosts are checked at once. Which hosts, and what follows from the answers,
//! is for the caller to decide.
#![forbid(unsafe_code)]

use super::child;
use super::interrupt::{lock, wait_on};
use super::job::{self, JobEnvironment};
use super::process_context::ProcessContext;
use super::runner::{CommandEnd, Job};
use crate::plan::exec::ExecType;
use crate::text::decimal::short_seconds;
use crate::text::diagnostic::reason;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// How many checks run at once.
const AT_ONCE: usize = 64;

/// A host, and the exec types of the commands that run on it.
pub struct ContactHost {
    pub name: String,
    pub exec_types: Vec<Arc<ExecType>>,
}

impl ContactHost {
    fn uses_ssh(&self) -> bool {
        self.exec_types.iter().any(|t| t.program() == Some("ssh"))
    }
}

/// What a round of checks found.
pub struct ContactReport {
    pub checked: usize,
    /// What failed (a host, or a host and its exec type) and why, in order.
    pub failures: Vec<(String, String)>,
}

/// Looks for an address of each host.
///
/// Like the other rounds it gives up on checks when none finishes for `patience`,
/// and on all of them once `stop` says so.
pub fn resolve_all(
    hosts: &[Arc<ContactHost>],
    patience: Duration,
    stop: &dyn Fn() -> bool,
) -> ContactReport {
    run_checks(with_names(hosts), |host| resolve(host), patience, stop)
}

/// Pings each host, or connects to it. Also returns a phrase that counts how they
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

/// A round of checks that threads share.
struct CheckRound<T, F> {
    subjects: Vec<(String, T)>,
    /// Checks a subject; a failure is one line.
    check: F,
    queue: Mutex<CheckQueue>,
    finished: Condvar,
}

#[derive(Clone)]
enum CheckState {
    Waiting,
    Running,
    Passed,
    Failed(String),
}

struct CheckQueue {
    /// In the order of the subjects.
    states: Vec<CheckState>,
    /// The first that was not started yet.
    next: usize,
    /// How many have not finished.
    unfinished: usize,
    /// When one last finished.
    last_answer: Instant,
}

impl CheckQueue {
    fn take(&mut self) -> Option<usize> {
        let number = self.next;
        *self.states.get_mut(number)? = CheckState::Running;
        self.next += 1;
        Some(number)
    }

    /// Records an answer, unless the check was already given up.
    fn finish(&mut self, number: usize, answer: Result<(), String>) {
        if let Some(state @ CheckState::Running) = self.states.get_mut(number) {
            *state = answer.map_or_else(CheckState::Failed, |()| CheckState::Passed);
            self.unfinished -= 1;
            self.last_answer = Instant::now();
        }
    }

    /// Gives up all running checks; returns whether there were any.
    fn give_up(&mut self, why: &str) -> bool {
        let before = self.unfinished;
        for number in 0..self.next {
            self.finish(number, Err(why.to_string()));
        }
        self.unfinished < before
    }
}

/// Checks all subjects, many at a time.
///
/// A check that hangs keeps its thread. So when no check finishes for `patience`,
/// the running ones are given up and new threads take over the rest.
fn run_checks<T: Send + Sync + 'static>(
    subjects: Vec<(String, T)>,
    check: impl Fn(&T) -> Result<(), String> + Send + Sync + 'static,
    patience: Duration,
    stop: &dyn Fn() -> bool,
) -> ContactReport {
    let checked = subjects.len();
    let queue = CheckQueue {
        states: vec![CheckState::Waiting; checked],
        next: 0,
        unfinished: checked,
        last_answer: Instant::now(),
    };
    let round = Arc::new(CheckRound {
        subjects,
        check,
        queue: Mutex::new(queue),
        finished: Condvar::new(),
    });
    let start_threads = || {
        for _ in 0..checked.min(AT_ONCE) {
            let round = round.clone();
            // With fewer threads than wanted it only takes longer.
            let _ = std::thread::Builder::new()
                .stack_size(256 << 10)
                .spawn(move || check_thread(&round));
        }
    };
    start_threads();
    let no_answer = format!("no answer within {} s", short_seconds(patience));
    let mut queue = lock(&round.queue);
    while queue.unfinished > 0 && !stop() {
        queue = wait_on(&round.finished, queue, Some(Duration::from_millis(100)));
        if queue.unfinished > 0 && queue.last_answer.elapsed() > patience {
            if !queue.give_up(&no_answer) {
                break;
            }
            start_threads();
        }
    }
    // Emptied, so that no thread starts another check.
    let states = std::mem::take(&mut queue.states);
    let failures = round
        .subjects
        .iter()
        .zip(states)
        .filter_map(|((name, _), state)| {
            let why = match state {
                CheckState::Passed => return None,
                CheckState::Failed(why) => why,
                CheckState::Running => no_answer.clone(),
                CheckState::Waiting => "was not checked".into(),
            };
            Some((name.clone(), why))
        });
    let failures = failures.collect();
    ContactReport { checked, failures }
}

/// Runs one check after the other until none is left.
fn check_thread<T>(round: &CheckRound<T, impl Fn(&T) -> Result<(), String>>) {
    loop {
        // A statement of its own: the lock must not be held during the check.
        let taken = lock(&round.queue).take();
        let Some(number) = taken else { return };
        let answer = (round.check)(&round.subjects[number].1);
        lock(&round.queue).finish(number, answer);
        round.finished.notify_one();
    }
}

/// The name without a user and without brackets.
fn bare(host: &str) -> &str {
    unbracketed(host.rsplit_once('@').map_or(host, |(_, h)| h))
}

fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .unwrap_or(host)
}

fn addresses(host: &str) -> Vec<SocketAddr> {
    (host, 0)
        .to_socket_addrs()
        .map(Iterator::collect)
        .unwrap_or_default()
}

/// Asks the resolver for an address, then `getent` (a static binary does not read
/// nsswitch.conf), then ssh's own configuration.
fn resolve(host: &ContactHost) -> Result<(), String> {
    let name = bare(&host.name);
    if !addresses(name).is_empty() || succeeds(Command::new("getent").args(["hosts", name])) {
        return Ok(());
    }
    if host.uses_ssh() && known_to_ssh(&host.name) {
        return Ok(());
    }
    Err("no address found".into())
}

/// Whether ssh's configuration gives the host another name, or a jump host.
fn known_to_ssh(host: &str) -> bool {
    ssh_destination(host).is_some_and(|d| d.indirect || !addresses(&d.name).is_empty())
}

/// Where ssh would connect to for a host.
struct SshDestination {
    name: String,
    port: Option<u16>,
    /// Through another host or a program, so not directly from here.
    indirect: bool,
}

/// Asks `ssh -G`.
fn ssh_destination(host: &str) -> Option<SshDestination> {
    let output = Command::new("ssh")
        .args(["-G", "--", unbracketed(host)])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()
        .filter(|o| o.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = |key: &str| {
        text.lines()
            .find_map(|l| l.strip_prefix(key)?.strip_prefix(' '))
    };
    let indirect = ["proxyjump", "proxycommand"]
        .iter()
        .any(|k| value(k).is_some_and(|v| v != "none"));
    Some(SshDestination {
        name: value("hostname")?.to_string(),
        port: value("port").and_then(|p| p.parse().ok()),
        indirect,
    })
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    quiet.status().is_ok_and(|s| s.success())
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
    let destination = Some(&host.name).filter(|_| host.uses_ssh());
    let destination = destination.and_then(|name| ssh_destination(name));
    if destination.as_ref().is_some_and(|d| d.indirect) {
        methods.add(LEFT_TO_SSH);
        return Ok(());
    }
    let name = destination.as_ref().map_or(bare(&host.name), |d| &d.name);
    let patience = patience.min(CONTACT);
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

/// Whether the host answers; `None` if `ping` is missing or not permitted.
fn ping(host: &str, patience: Duration) -> Option<bool> {
    let seconds = patience.as_secs().max(1).to_string();
    let output = Command::new("ping")
        .args(["-c", "1", "-W", &seconds, "-w", &seconds, "--", host])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .ok()?;
    let stderr = String::from_utf8_lossy(&output.stderr).to_lowercase();
    let forbidden = ["not permitted", "permission", "lacking privilege"];
    let usable = !forbidden.iter().any(|sign| stderr.contains(sign));
    usable.then(|| output.status.success())
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
