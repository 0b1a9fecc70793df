//! The hosts of a run before it (SPEC §6.2): are they known, can they be reached,
//! do their exec types work?
//!
//! Each distinct host is asked once, many at a time; the hosts of local tasks
//! are not asked at all.
#![forbid(unsafe_code)]

use crate::exit;
use crate::plan::exec::ExecType;
use crate::plan::hosts::hosts_of_task;
use crate::plan::recipe::{self, Recipe};
use crate::report::validation_summary::{CheckResult, ValidationSummary};
use crate::run::child;
use crate::run::interrupt::lock;
use crate::run::job::{self, JobEnvironment};
use crate::run::process_context::ProcessContext;
use crate::run::runner::Ending;
use crate::session::load::Loaded;
use crate::task::nodeset::{self, HostFilter};
use crate::text::decimal::short_seconds;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A host and the types of the commands that run on it.
struct Target {
    host: String,
    types: Vec<Arc<ExecType>>,
}

/// How many hosts are asked at once.
const AT_ONCE: usize = 64;
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
    let (loaded, stop) = (check.loaded, check.stop);
    let (targets, counts) = targets(loaded, check.selection);
    let mut findings = ValidationSummary {
        hosts: targets.len(),
        ..ValidationSummary::default()
    };
    if loaded.invocation.skip_host_validation {
        findings.skip("Host DNS resolution", "--skip-host-validation");
    } else {
        let mut left: Vec<Arc<Target>> = targets.into_iter().map(Arc::new).collect();
        resolve_all(&mut left, stop, &mut findings);
        if let Some(around) = check.around {
            reach_all(&mut left, stop, &mut findings);
            probe_all(&left, around, stop, &mut findings);
        }
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

/// Those whose names mean something here.
fn named(targets: &[Arc<Target>]) -> Vec<Arc<Target>> {
    let named = |t: &&Arc<Target>| t.types.iter().any(|t| t.resolves);
    targets.iter().filter(named).cloned().collect()
}

fn without(targets: &mut Vec<Arc<Target>>, failed: &[(String, String)]) {
    let failed: HashSet<&str> = failed.iter().map(|(host, _)| host.as_str()).collect();
    targets.retain(|t| !failed.contains(t.host.as_str()));
}

fn resolve_all(
    left: &mut Vec<Arc<Target>>,
    stop: &dyn Fn() -> bool,
    findings: &mut ValidationSummary,
) {
    let asked = named(left);
    if asked.is_empty() {
        return;
    }
    let questions = asked.iter().map(|target| {
        let (name, target) = (target.host.clone(), target.clone());
        (name, Box::new(move || resolve(&target)) as Ask)
    });
    let failed = ask_all(questions.collect(), patience(), stop);
    without(left, &failed);
    let all = asked.len();
    findings.add("Host DNS resolution", "hosts", all, failed, exit::HOST);
}

fn reach_all(
    left: &mut Vec<Arc<Target>>,
    stop: &dyn Fn() -> bool,
    findings: &mut ValidationSummary,
) {
    let asked = named(left);
    if asked.is_empty() {
        return;
    }
    let (ways, patience) = (Arc::new(Ways::default()), patience());
    let questions = asked.iter().map(|target| {
        let (target, ways) = (target.clone(), ways.clone());
        let name = target.host.clone();
        let ask = move || reach(&target, patience, &ways);
        (name, Box::new(ask) as Ask)
    });
    let failed = ask_all(questions.collect(), patience, stop);
    without(left, &failed);
    let unit = format!("hosts; {}", ways.told());
    findings.add(
        "Host connectivity validation",
        &unit,
        asked.len(),
        failed,
        exit::HOST,
    );
}

fn probe_all(
    left: &[Arc<Target>],
    around: &Arc<ProcessContext>,
    stop: &dyn Fn() -> bool,
    findings: &mut ValidationSummary,
) {
    let common = JobEnvironment::new("connection-test", Default::default());
    let trials = probes(left, &common, patience());
    let all = trials.len();
    if all == 0 {
        return;
    }
    let questions = trials.into_iter().map(|trial| {
        let (name, around) = (trial.name.clone(), around.clone());
        (name, Box::new(move || probe(&trial, &around)) as Ask)
    });
    let failed = ask_all(questions.collect(), patience() * 2, stop);
    findings.add("Exec type tests", "tests", all, failed, exit::EXEC_TYPE);
}

fn patience() -> Duration {
    let set = std::env::var("VALIDATION_TEST_TIMEOUT")
        .ok()
        .and_then(|t| crate::text::duration::parse(&t).ok());
    set.filter(|t| !t.is_zero()).unwrap_or(PATIENCE)
}

/// The distinct hosts that are known before the run, and how many commands use
/// each exec type, by its name.
fn targets(loaded: &Loaded, selection: &HostFilter) -> (Vec<Target>, Vec<(Arc<ExecType>, usize)>) {
    let mut order: Vec<Target> = Vec::new();
    let mut places: HashMap<Cow<str>, usize> = HashMap::new();
    let mut counts: Vec<(Arc<ExecType>, usize)> = Vec::new();
    for (task, recipe) in loaded.workflow.tasks.iter().zip(&loaded.workflow.recipes) {
        for host in hosts_of_task(&loaded.workflow, selection, task) {
            let exec = match recipe {
                Recipe::Ready { exec, .. } => Some(exec.clone()),
                Recipe::Deferrable if task.command().is_some_and(|c| c.exec.is_none()) => {
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
                order.push(Target {
                    host: host.to_string(),
                    types: Vec::new(),
                });
                order.len() - 1
            });
            if !order[place].types.iter().any(|t| Arc::ptr_eq(t, &exec)) {
                order[place].types.push(exec);
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
            recipe::find_program(program, None)
                .is_none()
                .then(|| format!("`{program}` for exec type `{}`", exec.name()))
        })
        .collect();
    missing.sort_unstable();
    missing.dedup();
    missing
}

/// Finds out about a host; the failure is one line.
type Ask = Box<dyn FnOnce() -> Result<(), String> + Send>;

/// How far a question is.
enum Stand {
    Waits(Ask),
    Asked,
    Passed,
    Failed(String),
}

/// The questions, in their order.
struct Board {
    stands: Vec<Stand>,
    /// The first that was not taken yet.
    next: usize,
    /// How many have no answer.
    open: usize,
    /// When the last answer came.
    heard: Instant,
}

impl Board {
    fn take(&mut self) -> Option<(usize, Ask)> {
        let number = self.next;
        let stand = self.stands.get_mut(number)?;
        self.next += 1;
        match std::mem::replace(stand, Stand::Asked) {
            Stand::Waits(ask) => Some((number, ask)),
            _ => None,
        }
    }

    /// What was given up already stays so.
    fn answer(&mut self, number: usize, answer: Result<(), String>) {
        if let Some(stand @ Stand::Asked) = self.stands.get_mut(number) {
            *stand = answer.map_or_else(Stand::Failed, |()| Stand::Passed);
            self.open -= 1;
            self.heard = Instant::now();
        }
    }

    /// Gives up all that were asked; whether there were any.
    fn give_up(&mut self, why: &str) -> bool {
        let before = self.open;
        for number in 0..self.next {
            self.answer(number, Err(why.to_string()));
        }
        self.open < before
    }
}

/// Asks every question, many at a time; the failures in the order of the questions,
/// by their names.
///
/// One that hangs holds its thread. When nothing is heard for `patience`, those
/// that were asked are given up and others take over; when `stop` says so, all is.
fn ask_all(
    questions: Vec<(String, Ask)>,
    patience: Duration,
    stop: &dyn Fn() -> bool,
) -> Vec<(String, String)> {
    let (names, asks): (Vec<String>, Vec<Ask>) = questions.into_iter().unzip();
    let shared = Arc::new((
        Mutex::new(Board {
            open: asks.len(),
            stands: asks.into_iter().map(Stand::Waits).collect(),
            next: 0,
            heard: Instant::now(),
        }),
        Condvar::new(),
    ));
    let start = || {
        for _ in 0..names.len().min(AT_ONCE) {
            let shared = shared.clone();
            // Fewer threads than wished for only take longer.
            let _ = std::thread::Builder::new()
                .stack_size(256 << 10)
                .spawn(move || work(&shared.0, &shared.1));
        }
    };
    start();
    let silence = format!("no answer within {} s", short_seconds(patience));
    let mut board = lock(&shared.0);
    while board.open > 0 && !stop() {
        let waited = shared.1.wait_timeout(board, Duration::from_millis(100));
        board = waited.unwrap_or_else(PoisonError::into_inner).0;
        if board.open > 0 && board.heard.elapsed() > patience {
            if !board.give_up(&silence) {
                break;
            }
            start();
        }
    }
    // Nobody takes up what is left.
    let stands = std::mem::take(&mut board.stands);
    let failure = |(name, stand)| match stand {
        Stand::Waits(_) => Some((name, "was not asked".into())),
        Stand::Asked => Some((name, silence.clone())),
        Stand::Passed => None,
        Stand::Failed(why) => Some((name, why)),
    };
    names.into_iter().zip(stands).filter_map(failure).collect()
}

/// A thread that asks one question after the other.
fn work(board: &Mutex<Board>, news: &Condvar) {
    loop {
        // Its own statement: the lock must not be held while asking.
        let taken = lock(board).take();
        let Some((number, ask)) = taken else { return };
        let answer = ask();
        lock(board).answer(number, answer);
        news.notify_one();
    }
}

impl Target {
    fn uses_ssh(&self) -> bool {
        self.types.iter().any(|t| t.program() == Some("ssh"))
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

/// Finds an address: by the resolver, by `getent` (a static binary knows no
/// nsswitch), or because ssh's own configuration knows the host.
fn resolve(target: &Target) -> Result<(), String> {
    let host = bare(&target.host);
    if !addresses(host).is_empty() || succeeds(Command::new("getent").args(["hosts", host])) {
        return Ok(());
    }
    if target.uses_ssh() && known_to_ssh(&target.host) {
        return Ok(());
    }
    Err("no address found".into())
}

/// Whether ssh's configuration gives the host another name, or a way through others.
fn known_to_ssh(host: &str) -> bool {
    route_of_ssh(host).is_some_and(|r| r.through || !addresses(&r.name).is_empty())
}

/// Where ssh would connect to for a host.
struct Route {
    name: String,
    port: Option<u16>,
    /// By way of another host or a program, so not from here.
    through: bool,
}

/// What ssh's configuration makes of the host.
fn route_of_ssh(host: &str) -> Option<Route> {
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
    let through = ["proxyjump", "proxycommand"]
        .iter()
        .any(|k| value(k).is_some_and(|v| v != "none"));
    Some(Route {
        name: value("hostname")?.to_string(),
        port: value("port").and_then(|p| p.parse().ok()),
        through,
    })
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    quiet.status().is_ok_and(|s| s.success())
}

/// How long a ping or a connection may take, within a host's time.
const CONTACT: Duration = Duration::from_secs(5);
/// What is counted where a host was not contacted, and why.
const NO_WAY: &str = "nothing: no ping here, and its exec type has no port";
const BY_SSH: &str = "ssh alone: its way leads through another host";

/// Pings the host with the system's `ping`; where that cannot be, connects to
/// the exec type's port. Where ssh goes another way than the name says, that is
/// the host to contact.
fn reach(target: &Target, patience: Duration, ways: &Ways) -> Result<(), String> {
    let route = Some(&target.host).filter(|_| target.uses_ssh());
    let route = route.and_then(|host| route_of_ssh(host));
    if route.as_ref().is_some_and(|r| r.through) {
        ways.count(BY_SSH);
        return Ok(());
    }
    let host = route.as_ref().map_or(bare(&target.host), |r| &r.name);
    let patience = patience.min(CONTACT);
    if let Some(answers) = ping(host, patience) {
        ways.count("ping");
        return match answers {
            true => Ok(()),
            false => Err("does not answer a ping".into()),
        };
    }
    let of_ssh = route.as_ref().and_then(|r| r.port);
    match of_ssh.or_else(|| target.types.iter().find_map(|t| t.port)) {
        Some(port) => {
            ways.count("a TCP connection");
            connect(host, port, patience)
        }
        None => {
            ways.count(NO_WAY);
            Ok(())
        }
    }
}

/// Whether the host answers; nothing where `ping` is missing or not permitted.
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
            Err(e) => last = e.to_string(),
        }
    }
    Err(format!("no connection to port {port}: {last}"))
}

/// How many hosts were contacted which way.
#[derive(Default)]
struct Ways(Mutex<Vec<&'static str>>);

impl Ways {
    fn count(&self, way: &'static str) {
        lock(&self.0).push(way);
    }

    fn told(&self) -> String {
        let mut ways = lock(&self.0);
        ways.sort_unstable();
        let same = ways.chunk_by(|a, b| a == b);
        let each: Vec<String> = same
            .map(|ways| format!("{} by {}", ways.len(), ways[0]))
            .collect();
        each.join(", ")
    }
}

/// The test of one exec type on one host.
struct Trial {
    name: String,
    job: crate::run::runner::Job,
    exit: i32,
    output: Option<String>,
}

fn probes(targets: &[Arc<Target>], common: &JobEnvironment, patience: Duration) -> Vec<Trial> {
    let mut out = Vec::new();
    for target in targets {
        for exec in &target.types {
            let Some(probe) = &exec.probe else { continue };
            let job = job::of_words(exec, &probe.words, &target.host, common, patience);
            let name = format!("{} ({})", target.host, exec.name());
            out.push(Trial {
                name,
                job,
                exit: probe.exit,
                output: probe.output.clone(),
            });
        }
    }
    out
}

fn probe(trial: &Trial, around: &ProcessContext) -> Result<(), String> {
    let finished = child::run(&trial.job, None, true, around);
    let said = || {
        let stderr = String::from_utf8_lossy(&finished.stderr.tail(300)).into_owned();
        stderr
            .lines()
            .last()
            .map_or(String::new(), |l| format!(": {l}"))
    };
    match finished.ending {
        Ending::Exited(code) if code == trial.exit => {}
        Ending::Exited(code) => return Err(format!("its test ended with {code}{}", said())),
        Ending::TimedOut => return Err("its test timed out".into()),
        Ending::Unreachable(_) => return Err(format!("cannot be reached{}", said())),
        _ => return Err(format!("its test did not run{}", said())),
    }
    match &trial.output {
        Some(text) if !finished.stdout.contains(text.as_bytes()) => {
            Err(format!("its test did not print `{text}`"))
        }
        _ => Ok(()),
    }
}
