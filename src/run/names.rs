//! Finds out whether the names of hosts have an address (SPEC §6.2), as the exec types
//! that use them would: ssh by its own configuration, all others as the system does.
//!
//! However many names there are, all of it is over after one patience. Behind a jump host
//! only that one is looked for, because the names behind it may be known to it alone; and
//! a ProxyCommand knows its own way.
#![forbid(unsafe_code)]

use super::job;
use super::lookup::{LookupEnd, Lookups, ProgramAnswer};
use super::round::{self, Fate, Limit};
use crate::plan::exec::{Arg, ExecMethod, ExecType};
use crate::task::host;
use crate::text::decimal::short_seconds;
use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A host, and the exec types of the commands that run on it.
pub struct ContactHost {
    pub name: String,
    pub exec_types: Vec<Arc<ExecType>>,
}

impl ContactHost {
    /// The question to ssh where it would connect to, as the first type built on it asks.
    pub fn question_to_ssh(&self) -> Option<SshQuestion> {
        let mut types = self.exec_types.iter();
        types.find_map(|exec| SshQuestion::of_type(exec, &self.name))
    }
}

/// What a round of checks found.
#[derive(Default)]
pub struct ContactReport {
    pub checked: usize,
    /// What failed (a host, or a host and its exec type) and why, in order.
    pub failures: Vec<(String, String)>,
    /// The hosts for which there was no time, and why that is so.
    pub unchecked: Vec<(String, String)>,
}

/// How many jump hosts can lead to the first one.
const MOST_JUMPS: usize = 8;

/// `ssh -G` with the options that a task's ssh gets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SshQuestion {
    /// Up to the host.
    words: Vec<String>,
    host: String,
}

impl SshQuestion {
    /// Nothing where the type does not use ssh.
    fn of_type(exec: &ExecType, host: &str) -> Option<SshQuestion> {
        match &exec.way {
            ExecMethod::Ssh { options, .. } => Some(SshQuestion {
                words: asking(job::ssh_client(options).map(String::from)),
                host: host::for_ssh(host).into_owned(),
            }),
            ExecMethod::Argv(args) if exec.program() == Some("ssh") => of_argv(args, host),
            _ => None,
        }
    }

    /// About a jump host: the ssh that connects to it gets the configuration of the
    /// first one and none of its other options.
    fn of_jump(&self, hop: &str) -> SshQuestion {
        let words = self.words.iter().map(String::as_str);
        let file = words.skip_while(|word| *word != "-F").take(2);
        let client = ["ssh"].into_iter().chain(file).chain(["--"]);
        SshQuestion {
            words: asking(client.map(String::from)),
            host: hop.to_string(),
        }
    }

    /// Asks it.
    pub fn ask(&self, lookups: &Lookups, end: Instant) -> Option<SshAnswer> {
        let words = [&self.words[..], std::slice::from_ref(&self.host)].concat();
        match lookups.ask(&words, end) {
            LookupEnd::Answered(answer) => Some(SshAnswer::read(&answer)),
            LookupEnd::Unanswered => None,
            LookupEnd::Missing => Some(SshAnswer::Unknown),
        }
    }
}

/// The words with a `-G` after the program.
fn asking(mut client: impl Iterator<Item = String>) -> Vec<String> {
    let program = client.next();
    let question = program.into_iter().chain(["-G".to_string()]);
    question.chain(client).collect()
}

/// The words of an `argv=ssh …` up to its host.
fn of_argv(args: &[Arg], name: &str) -> Option<SshQuestion> {
    let mut words = Vec::new();
    for arg in args {
        let Arg::Word(parts) = arg else { return None };
        let word: String = parts.iter().map(|p| p.as_deref().unwrap_or(name)).collect();
        if parts.contains(&None) {
            let words = asking(words.into_iter());
            return Some(SshQuestion { words, host: word });
        }
        words.push(word);
    }
    None
}

/// What `ssh -G` says.
#[derive(Clone, Debug, PartialEq)]
pub enum SshAnswer {
    Destination(SshDestination),
    /// It cannot use its configuration or its options, and so would not connect; its
    /// words.
    Refused(String),
    /// There is no ssh, or an old one without `-G`.
    Unknown,
}

/// Where ssh would connect to for a host.
#[derive(Clone, Debug, PartialEq)]
pub struct SshDestination {
    pub name: String,
    pub port: Option<u16>,
    pub route: SshRoute,
}

#[derive(Clone, Debug, PartialEq)]
pub enum SshRoute {
    Direct,
    /// The first jump host.
    Jump(String),
    Proxy,
}

impl SshAnswer {
    fn read(answer: &ProgramAnswer) -> SshAnswer {
        if answer.code != Some(0) {
            return SshAnswer::read_failure(answer);
        }
        let value = |key: &str| {
            let mut lines = answer.text.lines();
            lines.find_map(|l| l.strip_prefix(key)?.strip_prefix(' '))
        };
        let route = |key: &str| value(key).filter(|v| *v != "none");
        let Some(name) = value("hostname") else {
            return SshAnswer::Unknown;
        };
        SshAnswer::Destination(SshDestination {
            name: name.to_string(),
            port: value("port").and_then(|p| p.parse().ok()),
            route: match (route("proxyjump"), route("proxycommand")) {
                (Some(jumps), _) => SshRoute::Jump(first_jump(jumps).to_string()),
                (None, Some(_)) => SshRoute::Proxy,
                (None, None) => SshRoute::Direct,
            },
        })
    }

    fn read_failure(answer: &ProgramAnswer) -> SshAnswer {
        let is_old = ["-- G", "-- 'G'", "usage: "]
            .iter()
            .any(|sign| answer.text.contains(sign));
        let mut lines = answer.text.lines().map(str::trim);
        match lines.rfind(|line| !line.is_empty()) {
            Some(line) if answer.code == Some(255) && !is_old => SshAnswer::Refused(line.into()),
            _ => SshAnswer::Unknown,
        }
    }
}

/// The first host of a ProxyJump, `[ssh://][USER@]HOST[:PORT],…`, without its port.
fn first_jump(jumps: &str) -> &str {
    let first = jumps.split(',').next().unwrap_or(jumps).trim();
    let first = first.strip_prefix("ssh://").unwrap_or(first);
    match first.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => {
            let is_address = host.contains(':') && !host.ends_with(']');
            if is_address { first } else { host }
        }
        _ => first,
    }
}

/// What has to be found for a host.
enum Need {
    Name(WantedName),
    Nothing,
    Fails(String),
    /// ssh was not asked, or did not answer.
    Unclear,
}

/// A name or an address, and the phrase that tells what it is to the host.
struct WantedName {
    name: String,
    what: String,
}

/// Looks for an address of each host, until `patience` is over or `stop` says so.
pub fn resolve_all(
    hosts: &[Arc<ContactHost>],
    patience: Duration,
    stop: &dyn Fn() -> bool,
) -> ContactReport {
    let end = Instant::now() + patience;
    let lookups = Arc::new(Lookups::default());
    let end_of_ssh = Instant::now() + patience * 3 / 4;
    let routes = SshRoutes::find(hosts, &lookups, end_of_ssh, stop);
    let needs: Vec<Vec<Need>> = hosts.iter().map(|host| routes.needs(host)).collect();
    let names = needs.iter().flatten().filter_map(|need| match need {
        Need::Name(wanted) => Some(wanted.name.clone()),
        _ => None,
    });
    let names: Arc<[String]> = distinct(names).into();
    let asked = lookups.clone();
    let ask = move |name: &String| has_address(name, &asked, end);
    let fates = round::ask_all(names.clone(), ask, Limit::Until(end), stop);
    lookups.stop();
    let found: HashMap<&str, Address> = names
        .iter()
        .zip(fates)
        .map(|(name, fate)| (name.as_str(), Address::by(fate, patience)))
        .collect();
    let mut report = ContactReport {
        checked: hosts.len(),
        ..ContactReport::default()
    };
    for (host, needs) in hosts.iter().zip(needs) {
        report.add(&host.name, &needs, &found, patience);
    }
    report
}

/// Whether a name has an address.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Address {
    Yes,
    No,
    /// There was no answer, though there was time for one.
    Silence,
    Unchecked,
}

impl Address {
    /// Whoever had not half of the time may only be slow.
    fn by(fate: Fate<bool>, patience: Duration) -> Address {
        match fate {
            Fate::Answered(true) => Address::Yes,
            Fate::Answered(false) => Address::No,
            Fate::Unanswered(open) if open >= patience / 2 => Address::Silence,
            Fate::Unanswered(_) | Fate::NotAsked => Address::Unchecked,
        }
    }
}

impl ContactReport {
    fn add(
        &mut self,
        host: &str,
        needs: &[Need],
        found: &HashMap<&str, Address>,
        patience: Duration,
    ) {
        let seconds = short_seconds(patience);
        let mut unchecked = None;
        for need in needs {
            let why = match need {
                Need::Nothing => continue,
                Need::Fails(why) => why.clone(),
                Need::Unclear => {
                    unchecked = Some("`ssh -G` did not answer in time");
                    continue;
                }
                Need::Name(WantedName { name, what }) => match found.get(name.as_str()) {
                    Some(Address::Yes) => continue,
                    Some(Address::No) => format!("no address found{what}"),
                    Some(Address::Silence) => {
                        format!("no address found{what}: no answer within {seconds} s")
                    }
                    Some(Address::Unchecked) | None => {
                        unchecked = Some("there was no time to look for an address");
                        continue;
                    }
                },
            };
            self.failures.push((host.to_string(), why));
            return;
        }
        if let Some(why) = unchecked {
            self.unchecked.push((host.to_string(), why.to_string()));
        }
    }
}

/// What ssh says about hosts and the jump hosts before them.
struct SshRoutes(HashMap<SshQuestion, SshAnswer>);

impl SshRoutes {
    fn find(
        hosts: &[Arc<ContactHost>],
        lookups: &Arc<Lookups>,
        end: Instant,
        stop: &dyn Fn() -> bool,
    ) -> SshRoutes {
        let mut routes = SshRoutes(HashMap::new());
        let mut questions: Vec<SshQuestion> = distinct(hosts.iter().flat_map(|h| questions(h)));
        for _ in 0..MOST_JUMPS {
            questions.retain(|question| !routes.0.contains_key(question));
            if questions.is_empty() {
                break;
            }
            let asked: Arc<[SshQuestion]> = questions.into();
            let lookups = lookups.clone();
            let ask = move |question: &SshQuestion| question.ask(&lookups, end);
            let fates = round::ask_all(asked.clone(), ask, Limit::Until(end), stop);
            let mut jumps = Vec::new();
            for (question, fate) in asked.iter().zip(fates) {
                let Fate::Answered(answer) = fate else {
                    continue;
                };
                if let Some(hop) = answer.jump() {
                    jumps.push(question.of_jump(hop));
                }
                routes.0.insert(question.clone(), answer);
            }
            questions = distinct(jumps.into_iter());
        }
        routes
    }

    /// What has to be found for a host, in each way in which commands get to it.
    fn needs(&self, host: &ContactHost) -> Vec<Need> {
        let plain = host
            .exec_types
            .iter()
            .any(|exec| exec.resolves && SshQuestion::of_type(exec, &host.name).is_none());
        let own_name = || wanted(host::bare(&host.name), String::new());
        let plain = plain.then(own_name);
        let by_ssh = questions(host).map(|question| self.need(&question, &host.name));
        plain.into_iter().chain(by_ssh).collect()
    }

    fn need(&self, question: &SshQuestion, host: &str) -> Need {
        let own = host::bare(host);
        let mut at = Cow::Borrowed(question);
        for hops in 0..MOST_JUMPS {
            let destination = match self.0.get(&*at) {
                None => return Need::Unclear,
                Some(SshAnswer::Refused(words)) => return Need::Fails(format!("ssh: {words}")),
                Some(SshAnswer::Unknown) => {
                    let name = host::bare(&at.host).to_string();
                    let what = phrase(&name, own, hops);
                    return wanted(&name, what);
                }
                Some(SshAnswer::Destination(destination)) => destination,
            };
            match &destination.route {
                SshRoute::Proxy => return Need::Nothing,
                SshRoute::Direct => {
                    let name = host::bare(&destination.name);
                    return wanted(name, phrase(name, own, hops));
                }
                SshRoute::Jump(hop) => at = Cow::Owned(at.of_jump(hop)),
            }
        }
        // Jump hosts that lead to each other; ssh says so itself.
        Need::Nothing
    }
}

impl SshAnswer {
    fn jump(&self) -> Option<&str> {
        match self {
            SshAnswer::Destination(SshDestination {
                route: SshRoute::Jump(hop),
                ..
            }) => Some(hop),
            _ => None,
        }
    }
}

/// What the name is to the host, so that hosts whose names are made alike have the same
/// words: `%h` is the host, as in ssh_config(5).
fn phrase(name: &str, own: &str, hops: usize) -> String {
    if hops > 0 {
        return format!(" for its jump host `{name}`");
    }
    if name.eq_ignore_ascii_case(own) {
        return String::new();
    }
    format!(
        " for its HostName `{}`",
        by_pattern(name, &own.to_ascii_lowercase())
    )
}

/// The name with `%h` where it holds the host as a whole word.
fn by_pattern(name: &str, own: &str) -> String {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let whole = |at: &usize| {
        let (before, after) = (&name[..*at], &name[at + own.len()..]);
        !is_word(before.chars().next_back()) && !is_word(after.chars().next())
    };
    let mut places = name.match_indices(own).map(|(at, _)| at);
    match places.find(whole) {
        Some(at) => format!("{}%h{}", &name[..at], &name[at + own.len()..]),
        None => name.to_string(),
    }
}

fn wanted(name: &str, what: String) -> Need {
    // An address is one with a zone too.
    let address = name.split_once('%').map_or(name, |(address, _)| address);
    match address.parse::<IpAddr>() {
        Ok(_) => Need::Nothing,
        Err(_) => Need::Name(WantedName {
            name: name.to_string(),
            what,
        }),
    }
}

/// The questions to ssh about a host, one for each way in which its types ask.
fn questions(host: &ContactHost) -> impl Iterator<Item = SshQuestion> {
    let types = host.exec_types.iter().filter(|exec| exec.resolves);
    let all = types.filter_map(|exec| SshQuestion::of_type(exec, &host.name));
    distinct(all).into_iter()
}

/// Each once, in their order.
fn distinct<T: Clone + Eq + Hash>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = std::collections::HashSet::new();
    all.filter(|one| seen.insert(one.clone())).collect()
}

/// Asks `getent`, which answers as other programs of this machine would; a static binary
/// does not read nsswitch.conf. Where it cannot, asks the built-in resolver.
fn has_address(name: &str, lookups: &Lookups, end: Instant) -> Option<bool> {
    if name.starts_with('-') {
        return Some(false);
    }
    let words = ["getent", "ahosts", name].map(String::from);
    match lookups.ask(&words, end) {
        LookupEnd::Unanswered => None,
        LookupEnd::Answered(ProgramAnswer { code: Some(0), .. }) => Some(true),
        LookupEnd::Answered(ProgramAnswer { code: Some(2), .. }) => Some(false),
        LookupEnd::Answered(_) | LookupEnd::Missing => Some(!addresses(name).is_empty()),
    }
}

pub fn addresses(host: &str) -> Vec<SocketAddr> {
    (host, 0)
        .to_socket_addrs()
        .map(Iterator::collect)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(code: i32, text: &str) -> SshAnswer {
        SshAnswer::read(&ProgramAnswer {
            code: Some(code),
            text: text.into(),
        })
    }

    #[test]
    fn answers_of_ssh_are_read() {
        let direct = SshDestination {
            name: "10.0.0.1".into(),
            port: Some(2222),
            route: SshRoute::Direct,
        };
        let text = "host web\nhostname 10.0.0.1\nport 2222\nproxyusefdpass no\n";
        assert_eq!(read(0, text), SshAnswer::Destination(direct));
        for (line, route) in [
            ("proxyjump none", SshRoute::Direct),
            ("proxyjump u@b1:22,b2", SshRoute::Jump("u@b1".into())),
            ("proxyjump ssh://b1:22", SshRoute::Jump("b1".into())),
            ("proxyjump [::1]:22", SshRoute::Jump("[::1]".into())),
            ("proxyjump fe80::1", SshRoute::Jump("fe80::1".into())),
            ("proxycommand nc %h %p", SshRoute::Proxy),
        ] {
            let answer = read(0, &format!("{text}{line}\n"));
            let SshAnswer::Destination(found) = answer else {
                panic!("{answer:?}");
            };
            assert_eq!(found.route, route, "{line}");
        }
        let refused = SshAnswer::Refused("line 3: Bad configuration option: foo".into());
        let words = "x\nline 3: Bad configuration option: foo\r\n";
        assert_eq!(read(255, words), refused);
        for (code, text) in [
            (0, ""),
            (1, "no"),
            (255, ""),
            (255, "ssh: illegal option -- G\nusage: ssh\n"),
            (255, "unknown option -- G\n"),
        ] {
            assert_eq!(read(code, text), SshAnswer::Unknown);
        }
    }

    #[test]
    fn names_that_are_made_alike_have_the_same_words() {
        assert_eq!(phrase("web1", "Web1", 0), "");
        for own in ["web1", "Web2"] {
            let name = format!("{}.corp", own.to_lowercase());
            assert_eq!(phrase(&name, own, 0), " for its HostName `%h.corp`");
        }
        assert_eq!(phrase("b", "web1", 1), " for its jump host `b`");
        for (name, own, pattern) in [
            ("a.data.corp", "a", "%h.data.corp"),
            ("data.corp", "a", "data.corp"),
            ("prod-web1-a", "web1", "prod-%h-a"),
            ("web10.corp", "web1", "web10.corp"),
        ] {
            assert_eq!(by_pattern(name, own), pattern);
        }
    }

    #[test]
    fn a_question_has_the_options_of_the_task() {
        let ask = |exec: &ExecType| SshQuestion::of_type(exec, "me@[::1]");
        let options = ["-F", "/f", "-J", "b"].map(String::from).to_vec();
        let question = ask(&ExecType::over_ssh("x", false, options)).expect("it is ssh");
        let line = question.words.join(" ");
        assert!(line.starts_with("ssh -G -o BatchMode=yes -T -F /f -J b -o "));
        assert!(line.ends_with(" --") && question.host == "me@::1");
        let jump = question.of_jump("b");
        assert_eq!(
            (jump.words.join(" "), &*jump.host),
            ("ssh -G -F /f --".into(), "b")
        );
    }
}
