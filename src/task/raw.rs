//! Sorts the lines of a file into globals and tasks, and orders and names the
//! tasks. What a task's keys mean is read by `reader`.
#![forbid(unsafe_code)]

use super::globals::{GlobalTable, RESERVED};
use super::keys;
use super::model::Ix;
use crate::text::diagnostic::{DiagnosticList, Found};
use crate::text::nearest::did_you_mean;
use crate::text::scanner::{Line, Pair};
use crate::text::source::{SourceMap, Span};
use std::collections::{BTreeMap, HashMap};

/// A task's lines, before they mean anything.
pub struct RawTask {
    pub id: u32,
    pub at: Span,
    pub comment: Option<Span>,
    /// The key's name (`env.` keys in full) and its line.
    pub pairs: Vec<(&'static keys::TaskKey, Pair)>,
}

/// Sorts the lines into globals and tasks.
pub fn collect(
    lines: &[Line],
    strict: bool,
    sources: &SourceMap,
    diagnostics: &mut DiagnosticList,
) -> (Vec<RawTask>, GlobalTable) {
    let mut globals = GlobalTable::new(strict);
    let mut tasks: Vec<RawTask> = Vec::new();
    // The `env.` keys of the task being read, of which there can be many.
    let mut given: HashMap<&str, Span> = HashMap::new();
    let mut in_tasks = false;
    for line in lines {
        let Line::Pair(pair) = line else { continue };
        let name = sources.snippet(pair.key);
        match keys::find(name) {
            Some(key) if key.name == "task" => {
                in_tasks = true;
                given.clear();
                tasks.push(open_task(pair, sources, diagnostics));
            }
            Some(key) => match tasks.last_mut() {
                Some(task) => {
                    let mut others = task.pairs.iter();
                    let first = match key.name == keys::ENV.name {
                        true => *given.entry(name).or_insert(pair.key),
                        false => others
                            .find(|(other, _)| other.name == key.name)
                            .map_or(pair.key, |(_, p)| p.key),
                    };
                    if first != pair.key {
                        diagnostics
                            .error(pair.key, format!("`{name}` is given twice in this task"))
                            .also(first, "first given here");
                    } else {
                        task.pairs.push((key, *pair));
                    }
                }
                None => {
                    let help =
                        "a task begins with `task=ID`; a global cannot have the name of a task key";
                    diagnostics
                        .error(
                            pair.key,
                            format!("the task key `{name}` appears before the first task"),
                        )
                        .help(help);
                }
            },
            None => add_global(&mut globals, pair, in_tasks, sources, diagnostics),
        }
    }
    tasks.retain(|t| t.id != NO_ID);
    (tasks, globals)
}

/// Marks a task whose id could not be read; its keys are still taken in.
const NO_ID: u32 = u32::MAX;

fn open_task(pair: &Pair, sources: &SourceMap, diagnostics: &mut DiagnosticList) -> RawTask {
    let text = keys::without_comment(sources.snippet(pair.value));
    let at = pair.value.part(0, text.len());
    let digits = (1..=6).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let id = match text.parse() {
        Ok(id) if digits => id,
        _ => {
            diagnostics.error(
                at,
                format!("expected a task id from 0 to 999999, found {}", Found(text)),
            );
            NO_ID
        }
    };
    RawTask {
        id,
        at,
        comment: pair.comment,
        pairs: Vec::new(),
    }
}

/// What other programs call the keys.
const ALIASES: &[(&str, &str)] = &[
    ("host", "hostname"),
    ("hosts", "hostnames"),
    ("cmd", "command"),
    ("args", "arguments"),
    ("cwd", "workdir"),
    ("retry", "retry_count"),
    ("retries", "retry_count"),
    ("delay", "retry_delay"),
    ("when", "condition"),
    ("title", "description"),
];

fn add_global(
    globals: &mut GlobalTable,
    pair: &Pair,
    in_tasks: bool,
    sources: &SourceMap,
    diagnostics: &mut DiagnosticList,
) {
    let name = sources.snippet(pair.key);
    let known = || keys::KEYS.iter().map(|k| k.name);
    let upper = !name.chars().any(|c| c.is_ascii_lowercase());
    if !keys::is_identifier(name) {
        let message = match name.is_empty() {
            true => "expected a key before `=`".into(),
            false => format!("`{name}` is not a valid name for a key or a global"),
        };
        let error = diagnostics.error(pair.key, message);
        if in_tasks {
            error.label(did_you_mean(name, known()));
        }
        error.help("a name consists of letters, digits and `_`, and does not begin with a digit");
        return;
    }
    if in_tasks && !upper {
        diagnostics
            .error(pair.key, format!("unknown key `{name}`"))
            .label(match ALIASES.iter().find(|(alias, _)| *alias == name) {
                Some((_, key)) => format!("did you mean `{key}`?"),
                None => did_you_mean(name, known()),
            });
        return;
    }
    if RESERVED.contains(&name) {
        diagnostics.error(
            pair.key,
            format!("`{name}` cannot be a global: `@{name}@` refers to the running task"),
        );
        return;
    }
    if in_tasks {
        let warning = diagnostics.warning(
            pair.key,
            format!("the global `{name}` is defined after the first task"),
        );
        warning.help("move it above the first `task=` line");
        let key = name.to_ascii_lowercase();
        if keys::find(&key).is_some() {
            warning.label(format!("did you mean the key `{key}`?"));
        }
    }
    if let Some(first) = globals.define(name, pair.key, pair.value) {
        diagnostics
            .error(pair.key, format!("the global `{name}` is defined twice"))
            .also(first, "first defined here");
    }
}

/// Brings the tasks into id order; of two with one id the first stays.
pub fn order(raw: &mut Vec<RawTask>, sources: &SourceMap, diagnostics: &mut DiagnosticList) {
    raw.sort_unstable_by_key(|t| (t.id, t.at.start));
    let mut kept: Vec<RawTask> = Vec::with_capacity(raw.len());
    for task in raw.drain(..) {
        match kept.last() {
            Some(first) if first.id == task.id => {
                diagnostics
                    .error(
                        task.at,
                        format!("task {} is defined twice", sources.snippet(task.at)),
                    )
                    .also(first.at, "first defined here");
            }
            _ => kept.push(task),
        }
    }
    *raw = kept;
}

pub fn names(
    raw: &[RawTask],
    globals: &GlobalTable,
    sources: &SourceMap,
    diagnostics: &mut DiagnosticList,
) -> BTreeMap<String, Ix> {
    let mut names: BTreeMap<String, Ix> = BTreeMap::new();
    for (ix, task) in raw.iter().enumerate() {
        let Some((_, pair)) = task.pairs.iter().find(|(k, _)| k.name == "name") else {
            continue;
        };
        let name = keys::without_comment(sources.snippet(pair.value));
        if !keys::is_identifier(name) {
            let error = diagnostics.error(pair.value, format!("`{name}` cannot be a task's name"));
            error.help(
                "a name consists of letters, digits and `_`, and does not begin with a digit",
            );
        } else if RESERVED.contains(&name) {
            diagnostics.error(
                pair.value,
                format!("`{name}` cannot be a task's name: `@{name}@` is reserved"),
            );
        } else if let Some(global) = globals.get(name) {
            diagnostics
                .error(
                    pair.value,
                    format!("`{name}` is already the name of a global"),
                )
                .also(global.at, "the global");
        } else if let Some(first) = names.get(name) {
            let first = raw[*first].pairs.iter().find(|(k, _)| k.name == "name");
            let error = diagnostics.error(
                pair.value,
                format!("the name `{name}` is given to two tasks"),
            );
            if let Some((_, first)) = first {
                error.also(first.value, "first given here");
            }
        } else {
            names.insert(name.to_string(), ix);
        }
    }
    names
}
