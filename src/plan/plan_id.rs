//! The plan's id (SPEC §6.1): the SHA-256 of a text with everything that the outline
//! says about what would run, one fact a line, in a fixed order. Every form of the plan
//! shows the same outline, so nothing that the id covers is hidden. Plans with the same
//! id run the same commands; if two ids differ, the lines show why. Titles and comments
//! are not in the text, and secrets only by name and source.
#![forbid(unsafe_code)]

use super::listing;
use super::outline::{EntryKind, MemberGroup, Outline, PlanEntry};
use super::plan_settings::PlanSetting;
use crate::text::diagnostic::printable;
use crate::text::sha256;
use std::collections::HashSet;
use std::fmt::{Display, Write};

/// The fewest digits that can name a plan.
pub const MIN_DIGITS: usize = 8;
/// How many digits are shown, in groups of four.
const SHOWN_DIGITS: usize = 32;
/// How many lines of a difference are shown.
const MAX_LINES: usize = 40;
/// How many characters of each line are shown.
const MAX_CHARACTERS: usize = 300;

/// The text that the id is computed from, without secrets.
pub fn describe_plan(outline: &Outline) -> String {
    let mut out = String::from("tasker plan 2\n");
    // Their order in the file makes no difference.
    let mut settings: Vec<&PlanSetting> = outline.settings.iter().collect();
    settings.sort_by_key(|s| &s.name);
    for setting in settings.into_iter().filter(|s| s.is_in_id()) {
        let _ = writeln!(out, "setting {}", printable(&setting.to_string()));
    }
    out.push_str(&describe_globals(outline));
    let mut tasks = outline.all();
    tasks.sort_by_key(|entry| entry.id);
    for (at, entry) in tasks.iter().enumerate() {
        // A branch task can be a member of both branches.
        if at == 0 || tasks[at - 1].id != entry.id {
            describe_task(&mut out, entry);
        }
    }
    let finals = outline.finals.iter().map(|e| e.id.to_string());
    let finals: Vec<String> = finals.collect();
    if !finals.is_empty() {
        let _ = writeln!(out, "final tasks: {}", finals.join(","));
    }
    out
}

fn describe_globals(outline: &Outline) -> String {
    let globals = outline.globals.iter();
    let line = |name: &str, value: &str| format!("global {name}: {}\n", printable(value));
    globals.map(|g| line(&g.name, &g.value)).collect()
}

fn describe_task(out: &mut String, entry: &PlanEntry) {
    let id = entry.id;
    let mut fact = |key: &str, value: &dyn Display| {
        let _ = writeln!(out, "task {id} {key}: {}", printable(&value.to_string()));
    };
    fact("type", &entry.kind.label());
    if let Some(name) = &entry.name {
        fact("name", name);
    }
    if let Some(condition) = &entry.only_if {
        fact("condition", condition);
    }
    if let EntryKind::Tasks { at_once } | EntryKind::Hosts { at_once, .. } = &entry.kind {
        fact("max_parallel", at_once);
    }
    if let EntryKind::Hosts { set, hosts, .. } = &entry.kind {
        match hosts {
            None => fact("hostnames", set),
            Some(hosts) => {
                let count = hosts.list.len();
                fact("hosts", &format_args!("{} ({count})", hosts.folded));
                // Their order decides which wave a host is in.
                if !hosts.is_sorted {
                    fact("hosts in this order", &hosts.list.join(","));
                }
            }
        }
    }
    if let Some(command) = &entry.command {
        if let Some(host) = &command.host {
            fact("hostname", host);
        }
        fact("exec", &command.exec);
        fact("words", &command.words);
        if let Some(written) = &command.written {
            fact("written", written);
        }
        fact("timeout", &command.timeout);
    }
    for (key, condition) in &entry.criteria {
        fact(key, condition);
    }
    for setting in &entry.settings {
        fact(&setting.key, &setting.value);
    }
    for (group, members) in &entry.groups {
        let members: Vec<String> = members.iter().map(|m| m.id.to_string()).collect();
        fact(group_name(*group), &members.join(","));
    }
    if !entry.routes.is_empty() {
        fact("flow", &listing::routes(&entry.routes));
    }
    for (context, routes) in &entry.routes_when_jumped_to {
        let key = format!("flow {}", context.label());
        fact(&key, &listing::routes(routes));
    }
}

/// The key that lists these members.
pub fn group_name(group: MemberGroup) -> &'static str {
    match group {
        MemberGroup::Subtasks => "subtasks",
        MemberGroup::Check => "wave_check",
        MemberGroup::IfTrue => "if_true_tasks",
        MemberGroup::IfFalse => "if_false_tasks",
    }
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
/// one. A fact of both follows itself.
pub fn difference(old: &str, new: &str) -> String {
    let in_old: HashSet<&str> = old.lines().collect();
    let in_new: HashSet<&str> = new.lines().collect();
    let mut gone = old.lines().filter(|l| !in_new.contains(l)).peekable();
    let gone_count = gone.clone().count();
    let mut added: Vec<&str> = new.lines().filter(|l| !in_old.contains(l)).collect();
    let count = gone_count + added.len();
    let mut lines = Vec::new();
    while lines.len() < MAX_LINES
        && let Some(line) = gone.next()
    {
        let now = added.iter().position(|a| fact_name(a) == fact_name(line));
        let now = now.map(|at| added.remove(at));
        let from = now.map_or(0, |now| common_start(line, now));
        lines.push(format!("- {}", shorten(line, from)));
        lines.extend(now.map(|now| format!("+ {}", shorten(now, from))));
        // New facts of a task follow its changed ones.
        let subject = subject_of(line);
        if gone.peek().is_none_or(|next| subject_of(next) != subject) {
            let (own, others) = added.iter().partition(|a| subject_of(a) == subject);
            let own: Vec<&str> = own;
            added = others;
            lines.extend(own.iter().map(|a| format!("+ {}", shorten(a, 0))));
        }
    }
    let others = added.iter().take(MAX_LINES);
    lines.extend(others.map(|a| format!("+ {}", shorten(a, 0))));
    lines.truncate(MAX_LINES);
    let more = count - lines.len();
    if more > 0 {
        lines.push(format!("... and {more} more lines"));
    }
    lines.join("\n")
}

/// What the line is about: `task 2 waves` of `task 2 waves: 1,rest`.
fn fact_name(line: &str) -> &str {
    line.split_once(": ").map_or(line, |(name, _)| name)
}

/// `task 2` of `task 2 waves: 1,rest`.
fn subject_of(line: &str) -> &str {
    let end = line.match_indices(' ').nth(1);
    end.map_or(line, |(end, _)| &line[..end])
}

/// The place near the first difference of two long lines, in characters.
fn common_start(a: &str, b: &str) -> usize {
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    match same > MAX_CHARACTERS / 2 {
        true => same - MAX_CHARACTERS / 8,
        false => 0,
    }
}

/// The line without the characters before `from`, cut to a readable length.
fn shorten(line: &str, from: usize) -> String {
    let start = match from {
        0 => String::new(),
        _ => format!("{}: ... ", fact_name(line)),
    };
    let rest: String = line.chars().skip(from).take(MAX_CHARACTERS).collect();
    let is_whole = line.chars().count() <= from + MAX_CHARACTERS;
    format!("{start}{rest}{}", if is_whole { "" } else { " ..." })
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
        let old = "task 1 exec: a\ntask 1 waves: 1\ntask 2 exec: a\n";
        let new = "task 1 exec: b\ntask 1 loop: 2\ntask 2 exec: b\ntask 3 exec: a\n";
        assert_eq!(
            difference(old, new),
            "- task 1 exec: a\n+ task 1 exec: b\n- task 1 waves: 1\n+ task 1 loop: 2\n\
             - task 2 exec: a\n+ task 2 exec: b\n+ task 3 exec: a"
        );
        // However long the line is, the place that differs is shown.
        let long = |end: &str| format!("task 1 words: {}{end}", "x".repeat(1000));
        let shown = difference(&long("old"), &long("new"));
        assert!(shown.contains("xold\n+ task 1 words: ... x"), "{shown}");
        assert!(shown.ends_with("xnew") && shown.len() < 200, "{shown}");
        let many: String = (0..100).map(|n| format!("{n}\n")).collect();
        assert!(difference("", &many).ends_with("... and 60 more lines"));
    }
}
