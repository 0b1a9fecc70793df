//! What a journal begins with: which file, globals and options its run had, and
//! how they differ from what there is now (SPEC §6.4).
#![forbid(unsafe_code)]

use crate::plan::flow::Policy;
use crate::report::log_directory::mask_definitions;
use crate::run::fields::since_1970;
use crate::run::record::Header;
use crate::run::walk::engine::Settings;
use crate::session::identity::{same_value, short_hash};
use crate::session::load::Loaded;
use crate::task::nodeset::HostFilter;
use crate::text::sha256;
use std::collections::HashSet;
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
fn join_hosts(hosts: &HashSet<String>) -> String {
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

/// What a new run's journal begins with.
pub fn new(loaded: &Loaded, run_id: &str, began: SystemTime, settings: &Settings) -> Header {
    let selection = &settings.selection;
    let text = &loaded.sources.get(loaded.file).text;
    let masked = mask_definitions(text, loaded.mask());
    let line = |line: &str| short_hash(line.as_bytes())[..8].to_string();
    Header {
        version: env!("CARGO_PKG_VERSION").into(),
        run_id: run_id.into(),
        began: since_1970(began),
        file: file_name(loaded),
        sha256: sha256::hex(text.as_bytes()),
        start: loaded.workflow.tasks[settings.start].id,
        policy: policy_word(settings.policy).into(),
        limit: selection.limit.as_ref().map_or("-".into(), join_hosts),
        exclude: join_hosts(&selection.exclude),
        lines: masked.lines().map(line).collect(),
        globals: loaded.identity.globals.clone(),
    }
}

/// The file as its journal names it: the real path, or `-`.
pub fn file_name(loaded: &Loaded) -> String {
    match loaded.from_stdin {
        true => "-".into(),
        false => loaded.validation.real.to_string_lossy().into_owned(),
    }
}

/// What has changed, in one sentence.
pub fn difference(then: &Header, now: &Header) -> Option<String> {
    if then.sha256 != now.sha256 {
        let lines = |header: &Header| {
            let bytes = header.lines.as_bytes();
            bytes.chunks(8).map(<[u8]>::to_vec).collect::<Vec<_>>()
        };
        let (old, new) = (lines(then), lines(now));
        let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
        let what = match (old.len(), new.len()) {
            (o, n) if same == o && n > o => format!("line {} is new", same + 1),
            (o, n) if same == n && o > n => format!("it ends before line {}", same + 1),
            (o, n) if same == o && o == n => "a secret or its line endings differ".into(),
            _ => format!("line {} is different", same + 1),
        };
        return Some(format!("the task file has changed: {what}"));
    }
    let value = |header: &Header, name: &str| {
        let found = header.globals.iter().find(|(n, _)| n == name);
        found.map(|(_, hash)| hash.clone())
    };
    for (name, hash) in &then.globals {
        match value(now, name) {
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
    let added = now.globals.iter().find(|(n, _)| value(then, n).is_none());
    added.map(|(name, _)| format!("the global {name} was not set then"))
}
