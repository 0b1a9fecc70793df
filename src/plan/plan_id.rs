//! The plan's id (SPEC §6.1): the SHA-256 of a text with everything that decides
//! what would run, one fact a line, in a fixed order. Plans with the same id run the
//! same commands; if two ids differ, the lines show why. Titles and comments are not
//! in the text.
#![forbid(unsafe_code)]

use super::exec::{Arg, ExecMethod, ExecType};
use super::hosts::hosts_of_task;
use super::payload::Payload;
use super::recipe::{Defaults, Recipe};
use super::workflow::Workflow;
use crate::task::mask::Mask;
use crate::task::nodeset::{self, HostFilter};
use crate::task::{Ix, Task, keys};
use crate::text::decimal::short_seconds;
use crate::text::diagnostic::printable;
use crate::text::sha256;
use crate::text::source::SourceMap;
use crate::text::template::{Piece, Template};
use std::borrow::Cow;
use std::fmt::Write;

/// The fewest digits that can name a plan.
pub const MIN_DIGITS: usize = 8;
/// How many digits are shown, in groups of four.
const SHOWN_DIGITS: usize = 32;
/// How many lines of a difference are shown.
const MAX_LINES: usize = 40;
/// How many characters of each line are shown.
const MAX_CHARACTERS: usize = 300;

/// Everything that the plan depends on.
pub struct PlanBasis<'a> {
    pub workflow: &'a Workflow,
    pub defaults: &'a Defaults,
    pub selection: &'a HostFilter,
    pub sources: &'a SourceMap,
    /// Options that change the run, one line each.
    pub options: &'a [String],
    /// The key for hashes of secrets, so that nobody can test guesses against the id.
    pub key: &'a [u8],
}

/// The text that the id is computed from, without secrets.
pub fn describe_plan(basis: &PlanBasis) -> String {
    let mut out = String::from("tasker plan 1\n");
    let defaults = basis.defaults;
    let _ = writeln!(
        out,
        "default timeout: {} s",
        short_seconds(defaults.timeout)
    );
    let _ = writeln!(out, "default at once: {}", defaults.max_parallel);
    for line in basis.options {
        let _ = writeln!(out, "option: {line}");
    }
    for exec in defaults.types.all().filter(|t| !t.built_in) {
        let _ = writeln!(out, "exec type {}: {}", exec.name(), exec_line(exec));
    }
    globals(&mut out, basis);
    let mask = Mask::new(&basis.workflow.globals);
    for ix in 0..basis.workflow.tasks.len() {
        task(&mut out, basis, &mask, ix);
    }
    out
}

fn globals(out: &mut String, basis: &PlanBasis) {
    let mut lines: Vec<String> = basis
        .workflow
        .globals
        .values()
        .map(|(name, global, value)| {
            let shown = match global.secret_values().is_empty() {
                true => printable(&String::from_utf8_lossy(&value)),
                false => format!("*** ({})", keyed_hash(basis.key, name, &value)),
            };
            format!("global {name}: {shown}\n")
        })
        .collect();
    lines.sort_unstable();
    out.extend(lines);
}

/// The same for all runs of one file with the same globals, and different for others.
pub fn instance_id(basis: &PlanBasis, file: &str) -> String {
    let mut text = format!("{file}\0");
    globals(&mut text, basis);
    hash(&text)
}

/// Replaces a secret: the same for the same value, and useless to anyone without the
/// key.
pub fn keyed_hash(key: &[u8], name: &str, value: &[u8]) -> String {
    let inner = sha256::hex(&[key, name.as_bytes(), b"\0", value].concat());
    let outer = sha256::hex(&[key, inner.as_bytes()].concat());
    outer[..16].to_string()
}

fn exec_line(exec: &ExecType) -> String {
    let way = match &exec.way {
        ExecMethod::Words => "words".into(),
        ExecMethod::Script => "script".into(),
        ExecMethod::Ssh { script } => format!("ssh, script {script}"),
        ExecMethod::Argv(args) => {
            let args: Vec<String> = args.iter().map(arg_text).collect();
            format!("argv {}", args.join(" "))
        }
    };
    let timeout = exec.timeout.map_or(String::new(), |t| {
        format!(", timeout {} s", short_seconds(t))
    });
    format!("{}{timeout}", printable(&way))
}

fn arg_text(arg: &Arg) -> String {
    match arg {
        Arg::Word(parts) => {
            let parts = parts.iter().map(|p| p.as_deref().unwrap_or("{hostname}"));
            format!("{:?}", parts.collect::<String>())
        }
        Arg::Command => "{command}".into(),
        Arg::Arguments => "{arguments}".into(),
        Arg::Script => "{script}".into(),
    }
}

/// Every key of the task as written, except its description; then what the file does
/// not say: its exec type, its hosts, and words with variables of the environment.
fn task(out: &mut String, basis: &PlanBasis, mask: &Mask, ix: Ix) {
    let task = &basis.workflow.tasks[ix];
    let id = task.id;
    for (key, value) in written(task, basis.sources) {
        let _ = writeln!(out, "task {id} {key}: {}", printable(&mask.apply(&value)));
    }
    if let Recipe::Ready { exec, payload } = &basis.workflow.recipes[ix] {
        let _ = writeln!(out, "task {id} runs by: {}", exec.name());
        if let Some(words) = words_from_environment(payload) {
            let _ = writeln!(out, "task {id} words: {}", printable(&mask.apply(&words)));
        }
    }
    if task.is_over_hosts() {
        let hosts: Vec<Cow<str>> = hosts_of_task(basis.workflow, basis.selection, task)
            .into_iter()
            .flatten()
            .collect();
        let folded = nodeset::fold(&hosts);
        let _ = writeln!(
            out,
            "task {id} hosts: {} ({})",
            printable(&folded),
            hosts.len()
        );
        // Their order decides which wave a host is in; the folded set is sorted.
        let sorted = nodeset::expand(&folded, &basis.workflow.directory);
        if sorted.is_ok_and(|s| s.hosts != hosts) {
            let order = printable(&hosts.join(","));
            let _ = writeln!(out, "task {id} hosts in this order: {order}");
        }
    }
}

fn written(task: &Task, sources: &SourceMap) -> Vec<(String, String)> {
    let mut names = task.command().map_or(&[][..], |c| &c.env).iter();
    let mut lines: Vec<(String, String)> = task
        .written
        .iter()
        .map(|(key, at)| {
            let text = sources.snippet(*at);
            let comment = keys::find(key).is_some_and(|k| k.comment);
            let value = if comment {
                keys::without_comment(text)
            } else {
                text
            };
            let name = match *key == keys::ENV.name {
                true => names.next().map_or("", |(n, _)| n.as_str()),
                false => "",
            };
            (format!("{key}{name}"), value.to_string())
        })
        .filter(|(key, _)| key != "description")
        .collect();
    lines.sort_unstable();
    lines
}

/// The words, if variables of the environment were filled in.
fn words_from_environment(payload: &Payload) -> Option<String> {
    let Payload::Words { words, .. } = payload else {
        return None;
    };
    let from_outside = |w: &Template| w.pieces.iter().any(|p| matches!(p, Piece::Data { .. }));
    words.iter().any(from_outside).then(|| {
        let words: Vec<String> = words
            .iter()
            .map(|w| format!("{:?}", w.shown(None)))
            .collect();
        words.join(" ")
    })
}

/// The id of the plan with this text, 64 digits.
pub fn hash(text: &str) -> String {
    sha256::hex(text.as_bytes())
}

/// The id as it is shown, 32 digits: `7f3a-91c2-…`.
pub fn short_form(id: &str) -> String {
    let digits = &id[..id.len().min(SHOWN_DIGITS)];
    let groups: Vec<&str> = (0..digits.len())
        .step_by(4)
        .map(|at| &digits[at..(at + 4).min(digits.len())])
        .collect();
    groups.join("-")
}

/// Reads the digits of a plan's id, with or without dashes.
///
/// # Errors
/// They are not the digits of an id.
pub fn parse_digits(given: &str) -> Result<String, String> {
    let digits: String = given.chars().filter(|c| *c != '-').collect();
    let digits = digits.to_ascii_lowercase();
    let is_hex = digits.chars().all(|c| c.is_ascii_hexdigit());
    match is_hex && (MIN_DIGITS..=64).contains(&digits.len()) {
        true => Ok(digits),
        false => Err(format!(
            "expected a plan id of at least {MIN_DIGITS} hexadecimal digits, as printed by the dry run, found `{}`",
            printable(given)
        )),
    }
}

/// The difference between two plans: `-` lines of the old one, `+` lines of the new
/// one.
pub fn difference(old: &str, new: &str) -> String {
    let (before, after): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let in_old: std::collections::HashSet<&str> = before.iter().copied().collect();
    let in_new: std::collections::HashSet<&str> = after.iter().copied().collect();
    let (mut at_old, mut at_new) = (0, 0);
    let mut lines = Vec::new();
    while at_old < before.len() || at_new < after.len() {
        while at_old < before.len() && !in_new.contains(before[at_old]) {
            lines.push(format!("- {}", before[at_old]));
            at_old += 1;
        }
        while at_new < after.len() && !in_old.contains(after[at_new]) {
            lines.push(format!("+ {}", after[at_new]));
            at_new += 1;
        }
        at_old += 1;
        at_new += 1;
    }
    for line in &mut lines {
        if let Some((end, _)) = line.char_indices().nth(MAX_CHARACTERS) {
            line.replace_range(end.., " ...");
        }
    }
    let more = lines.len().saturating_sub(MAX_LINES);
    lines.truncate(MAX_LINES);
    if more > 0 {
        lines.push(format!("... and {more} more lines"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_and_shown() {
        let id = hash("");
        assert_eq!(short_form(&id), "e3b0-c442-98fc-1c14-9afb-f4c8-996f-b924");
        assert_eq!(parse_digits("E3B0-C442"), Ok("e3b0c442".into()));
        assert!(parse_digits("e3b0-c44").is_err() && parse_digits("e3b0c44g").is_err());
    }

    #[test]
    fn differences_name_what_changed() {
        let old = "a: 1\nb: 2\nc: 3\n";
        assert_eq!(
            difference(old, "a: 1\nb: 4\nc: 3\nd: 5\n"),
            "- b: 2\n+ b: 4\n+ d: 5"
        );
        assert_eq!(difference(old, "c: 3\n"), "- a: 1\n- b: 2");
        assert_eq!(difference(old, old), "");
        let many: String = (0..100).map(|n| format!("{n}\n")).collect();
        assert!(difference("", &many).ends_with("... and 60 more lines"));
    }

    #[test]
    fn secrets_are_distinguished_only_with_the_key() {
        let hash = |key: &[u8], value: &[u8]| keyed_hash(key, "SECRET_A", value);
        assert_eq!(hash(b"k", b"x"), hash(b"k", b"x"));
        assert_ne!(hash(b"k", b"x"), hash(b"k", b"y"));
        assert_ne!(hash(b"k", b"x"), hash(b"l", b"x"));
    }
}
