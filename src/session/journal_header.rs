//! What a journal begins with: which file, globals and options its run had, and
//! how they differ from what there is now (SPEC §6.4).
#![forbid(unsafe_code)]

use crate::exit;
use crate::plan::coverage::Coverage;
use crate::plan::flow::Policy;
use crate::report::invoker;
use crate::report::log_directory::mask_definitions;
use crate::run::fields::since_1970;
use crate::run::header::{Header, RunBeginning};
use crate::run::sys;
use crate::run::walk::engine::Settings;
use crate::session::approval::Plan;
use crate::session::command_line;
use crate::session::identity::{same_value, short_hash};
use crate::session::load::Loaded;
use crate::session::refusal::Refusal;
use crate::session::scope;
use crate::session::surroundings::OWN_SETTINGS;
use crate::task::nodeset::HostFilter;
use crate::text::sha256;
use std::collections::HashSet;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::SystemTime;

/// The options about failures, as a journal keeps them.
pub fn policy_word(policy: Policy) -> &'static str {
    match (policy.keep_going, policy.forgive) {
        (_, true) => "fire-and-forget",
        (true, false) => "keep-going",
        (false, false) => "stop",
    }
}

pub fn parse_policy(word: &str) -> Policy {
    Policy {
        keep_going: word != "stop",
        forgive: word == "fire-and-forget",
    }
}

/// The hosts by commas, sorted.
pub fn join_hosts(hosts: &HashSet<String>) -> String {
    let mut hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    hosts.sort_unstable();
    hosts.join(",")
}

/// The hosts of such a list.
fn split_hosts(text: &str) -> HashSet<String> {
    let hosts = text.split(',').filter(|h| !h.is_empty());
    hosts.map(str::to_string).collect()
}

/// The hosts that the run was limited to.
pub fn selection(header: &Header) -> HostFilter {
    HostFilter {
        limit: (header.limit != "-").then(|| split_hosts(&header.limit)),
        exclude: split_hosts(&header.exclude),
    }
}

/// What a new run is known by.
pub struct RunName {
    pub id: String,
    pub number: u64,
    pub began: SystemTime,
}

/// What a new run's journal begins with. `start` is the id of the task it begins at.
pub fn new(
    loaded: &Loaded,
    run: RunName,
    settings: &Settings,
    (start, beginning): (u32, RunBeginning),
    plan: &Plan,
) -> Header {
    let selection = &settings.selection;
    let text = &loaded.sources.get(loaded.file).text;
    Header {
        version: env!("CARGO_PKG_VERSION").into(),
        run_id: run.id,
        number: run.number,
        began: since_1970(run.began),
        machine: sys::own_name(),
        file: loaded.identity.file.to_string_lossy().into_owned(),
        directory: invoker::working_directory().as_os_str().as_bytes().into(),
        sha256: sha256::hex(text.as_bytes()),
        start,
        beginning,
        policy: policy_word(settings.policy).into(),
        limit: limit_word(selection),
        exclude: join_hosts(&selection.exclude),
        lines: hashed_lines(loaded),
        globals: loaded.identity.globals.clone(),
        options: loaded.invocation.journal_options.clone(),
        variables: variables(loaded),
        tasks: plan.task_fingerprints(&loaded.workflow),
        settings: plan.run_facts(&loaded.workflow),
    }
}

/// The variables of the environment that decide what the run does.
fn variables(loaded: &Loaded) -> Vec<(String, Vec<u8>)> {
    let mut variables = command_line::used_variables(loaded);
    let own = OWN_SETTINGS.iter().filter_map(|name| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
        Some((name.to_string(), value.into_vec()))
    });
    variables.extend(own);
    variables
}

/// The hosts of `--limit` as the header holds them.
pub fn limit_word(selection: &HostFilter) -> String {
    selection.limit.as_ref().map_or("-".into(), join_hosts)
}

/// The hosts of `--exclude` as the header holds them.
pub fn exclude_word(selection: &HostFilter) -> String {
    join_hosts(&selection.exclude)
}

/// Checks that the run does what it did: with the same file and configuration if it
/// `is_resumed`, and always with its globals and options. It had stopped at the task
/// `stopped_at`, if that is known.
///
/// # Errors
/// What is different, and what to do instead.
pub fn check(
    then: &Header,
    loaded: &Loaded,
    is_resumed: bool,
    stopped_at: Option<u32>,
) -> Result<(), Refusal> {
    let id = &then.run_id;
    let there = stopped_at.map_or("ID".into(), |id| id.to_string());
    let verb = if is_resumed { "resumed" } else { "continued" };
    let refuse = |what: String| {
        let why = format!("run {id} cannot be {verb}: {what}");
        Err(Refusal::new(exit::POSITION, why))
    };
    let text = &loaded.sources.get(loaded.file).text;
    let is_edited = then.sha256 != sha256::hex(text.as_bytes());
    let other_global = different_global(then, loaded);
    if is_resumed && is_edited {
        let line = changed_line(then, &hashed_lines(loaded));
        return refuse(match other_global {
            Some(what) => format!(
                "the task file has changed: {line}, and {what}; a fresh run takes both as they are"
            ),
            None => format!(
                "the task file has changed: {line}; --resume-at {id}:{there} goes on there with the file as it is, and a fresh run begins again"
            ),
        });
    }
    if let Some(what) = other_global {
        return refuse(format!("{what}; a fresh run takes the globals as they are"));
    }
    if let Some(what) = different_option(then, loaded) {
        return refuse(what);
    }
    check_selection(then, loaded).or_else(refuse)?;
    if is_resumed {
        let plan = Plan::new(loaded, &Coverage::whole(selection(then)));
        if let Some(what) = different_setting(then, loaded, &plan) {
            return refuse(format!(
                "{what} has changed; --resume-at {id}:{there} goes on there with it, and a fresh run begins again"
            ));
        }
    }
    Ok(())
}

/// A short hash of each line of the file, without secrets.
fn hashed_lines(loaded: &Loaded) -> String {
    let text = &loaded.sources.get(loaded.file).text;
    let masked = mask_definitions(text, loaded.mask());
    let line = |line: &str| short_hash(line.as_bytes())[..8].to_string();
    masked.lines().map(line).collect()
}

/// The first line of the file that is different.
fn changed_line(then: &Header, now: &str) -> String {
    let lines = |hashes: &str| {
        let hashes = hashes.as_bytes();
        hashes.chunks(8).map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    let (old, new) = (lines(&then.lines), lines(now));
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    match (old.len(), new.len()) {
        (o, n) if same == o && n > o => format!("line {} is new", same + 1),
        (o, n) if same == n && o > n => format!("it ends before line {}", same + 1),
        (o, n) if same == o && o == n => "a secret or its line endings differ".into(),
        _ => format!("line {} is different", same + 1),
    }
}

/// The first global that is different.
fn different_global(then: &Header, loaded: &Loaded) -> Option<String> {
    let now = &loaded.identity.globals;
    let find = |globals: &[(String, String)], name: &str| {
        let found = globals.iter().find(|(n, _)| n == name);
        found.map(|(_, hash)| hash.clone())
    };
    for (name, hash) in &then.globals {
        match find(now, name) {
            None => {
                return Some(format!(
                    "the global {name} is not set now (--set {name}=...)"
                ));
            }
            Some(other) if !same_value(&other, hash) => {
                return Some(format!("the global {name} has a different value"));
            }
            Some(_) => {}
        }
    }
    let added = now.iter().find(|(n, _)| find(&then.globals, n).is_none());
    added.map(|(name, _)| format!("the global {name} was not set then"))
}

/// An option whose value is another than then.
fn different_option(then: &Header, loaded: &Loaded) -> Option<String> {
    let find = |options: &[(String, String)], long: &str| {
        let found = options.iter().rev().find(|(l, _)| l == long);
        found.map(|(_, value)| value.clone())
    };
    for (long, variable) in [
        ("type", "TASK_EXECUTOR_TYPE"),
        ("timeout", "TASK_EXECUTOR_TIMEOUT"),
    ] {
        let of_environment = || {
            let found = then.variables.iter().find(|(name, _)| name == variable);
            found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        };
        let old = find(&then.options, long).or_else(of_environment);
        // What was not typed comes from the journal.
        let new = find(&loaded.invocation.journal_options, long);
        match (old, new) {
            (Some(old), Some(new)) if old != new => {
                return Some(format!("it had --{long} {old}; leave --{long} out"));
            }
            (None, Some(_)) => return Some(format!("it had no --{long}; leave that out")),
            _ => {}
        }
    }
    let word = policy_word(loaded.invocation.policy());
    let is_other = word != "stop" && word != then.policy;
    is_other.then(|| format!("it had no --{word}; leave that out"))
}

/// `--limit` and `--exclude` are the run's own.
fn check_selection(then: &Header, loaded: &Loaded) -> Result<(), String> {
    if loaded.invocation.limit.is_empty() && loaded.invocation.exclude.is_empty() {
        return Ok(());
    }
    let given = scope::selection(loaded).map_err(|refusal| refusal.why)?;
    let same = limit_word(&given) == then.limit && exclude_word(&given) == then.exclude;
    match same {
        true => Ok(()),
        false => Err("it had a different --limit or --exclude; leave them out".into()),
    }
}

/// What of the configuration is different, though the file is the same.
fn different_setting(then: &Header, loaded: &Loaded, plan: &Plan) -> Option<String> {
    let (old, new) = (&then.settings, plan.run_facts(&loaded.workflow));
    let names = old.iter().chain(&new).map(|(name, _)| name);
    let find = |facts: &[(String, String)], name: &str| {
        let found = facts.iter().find(|(n, _)| n == name);
        found.map(|(_, hash)| hash.clone())
    };
    let mut names = names.filter(|name| find(old, name) != find(&new, name));
    if let Some(name) = names.next() {
        return Some(format!("{name} in tasker.conf"));
    }
    let known: HashSet<&(u32, String)> = then.tasks.iter().collect();
    let tasks = plan.task_fingerprints(&loaded.workflow);
    let mut tasks = tasks.iter().filter(|task| !known.contains(task));
    let (id, _) = tasks.next()?;
    Some(format!(
        "what tasker.conf or the environment says about task {id}"
    ))
}
