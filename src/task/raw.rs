//! Sorts the lines of a file into globals and tasks, and finds the order and the
//! names of the tasks. Knows nothing of what a task's keys mean.
#![forbid(unsafe_code)]

use super::global_value::without_secret_part;
use super::globals::{GlobalTable, RESERVED, reserved_name};
use super::keys;
use super::model::{Ix, NO_ID};
use crate::text::decimal::parse_digits;
use crate::text::diagnostic::{DiagnosticList, expected};
use crate::text::nearest::{did_you_mean, nearest};
use crate::text::scanner::{Line, Pair};
use crate::text::source::{SourceMap, Span};
use std::collections::{BTreeMap, HashMap};

/// The lines of a task, not yet interpreted.
pub struct RawTask {
    pub id: u32,
    pub at: Span,
    pub comment: Option<Span>,
    /// The keys and their lines, each key once; every `env.NAME` has the key `env.`.
    pub pairs: Vec<(&'static keys::TaskKey, Pair)>,
    /// The lines with a key that the task has already.
    repeated: Vec<(&'static keys::TaskKey, Pair)>,
}

impl RawTask {
    /// The line of a key.
    pub fn pair(&self, key: &str) -> Option<&Pair> {
        let mut pairs = self.pairs.iter();
        pairs.find(|(k, _)| k.name == key).map(|(_, p)| p)
    }
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
    // The `env.` keys of the current task, of which there can be many.
    let mut env: HashMap<&str, Span> = HashMap::new();
    for line in lines {
        let Line::Pair(pair) = line else { continue };
        let name = sources.snippet(pair.key);
        if opens_task(pair, sources, diagnostics) {
            env.clear();
            tasks.push(open_task(pair, sources, diagnostics));
            continue;
        }
        match (keys::find(name), tasks.last_mut()) {
            (Some(key), Some(task)) => {
                let first = match key.name == keys::ENV.name {
                    true => *env.entry(name).or_insert(pair.key),
                    false => task.pair(key.name).map_or(pair.key, |p| p.key),
                };
                if first == pair.key {
                    task.pairs.push((key, *pair));
                } else {
                    task.repeated.push((key, *pair));
                    diagnostics
                        .error(pair.key, format!("`{name}` is given twice in this task"))
                        .also(first, "first given here");
                }
            }
            (Some(_), None) => {
                let help =
                    "a task begins with `task=ID`; a global cannot have the name of a task key";
                diagnostics
                    .error(
                        pair.key,
                        format!("the task key `{name}` appears before the first task"),
                    )
                    .help(help);
            }
            (None, None) => {
                add_global(&mut globals, pair, false, sources, diagnostics);
            }
            (None, Some(task)) => {
                let meant = add_global(&mut globals, pair, true, sources, diagnostics);
                // Read as the key that was probably meant, to find more mistakes.
                if let Some(key) = meant.filter(|key| task.pair(key.name).is_none()) {
                    task.pairs.push((key, *pair));
                }
            }
        }
    }
    (tasks, globals)
}

/// Whether the line opens a task; a misspelt `Task=1` does as well, and is reported.
fn opens_task(pair: &Pair, sources: &SourceMap, diagnostics: &mut DiagnosticList) -> bool {
    let name = sources.snippet(pair.key);
    let value = keys::without_comment(sources.snippet(pair.value));
    if name == "task" {
        return true;
    }
    let opens = name.eq_ignore_ascii_case("task") && parse_digits(value, 6).is_some();
    if opens {
        let message = format!("unknown key `{name}`; task keys are in lower case");
        diagnostics
            .error(pair.key, message)
            .label("did you mean `task`?");
    }
    opens
}

fn open_task(pair: &Pair, sources: &SourceMap, diagnostics: &mut DiagnosticList) -> RawTask {
    let text = keys::without_comment(sources.snippet(pair.value));
    let at = pair.value.part(0, text.len());
    let id = parse_digits(text, 6).map_or(NO_ID, |id| id as u32);
    if id == NO_ID {
        diagnostics.error(at, expected("a task id from 0 to 999999", text));
    }
    RawTask {
        id,
        at,
        comment: pair.comment,
        pairs: Vec::new(),
        repeated: Vec::new(),
    }
}

/// Names of the keys in other programs.
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

const NAME_HELP: &str =
    "a name consists of letters, digits and `_`, and does not begin with a digit";

/// Adds the global, or reports why it is none; then the task key that it probably is.
fn add_global(
    globals: &mut GlobalTable,
    pair: &Pair,
    in_tasks: bool,
    sources: &SourceMap,
    diagnostics: &mut DiagnosticList,
) -> Option<&'static keys::TaskKey> {
    let (name, at) = (sources.snippet(pair.key), pair.key);
    let known = || keys::KEYS.iter().map(|k| k.name);
    let suggest = || did_you_mean(name, known());
    if !keys::is_identifier(name) {
        let message = match name.is_empty() {
            true => "expected a key before `=`".into(),
            false => {
                let name = without_secret_part(name);
                format!("`{name}` is not a valid name for a key or a global")
            }
        };
        let near = if in_tasks { suggest() } else { String::new() };
        diagnostics.error(at, message).label(near).help(NAME_HELP);
        return None;
    }
    if in_tasks && name.chars().any(|c| c.is_ascii_lowercase()) {
        let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
        let meant = match alias {
            Some((_, key)) => Some(*key),
            None if diagnostics.are_many() => None,
            None => nearest(name, &mut known()),
        };
        let near = meant.map_or(String::new(), |key| format!("did you mean `{key}`?"));
        diagnostics
            .error(at, format!("unknown key `{name}`"))
            .label(near);
        return meant.and_then(keys::find).filter(|key| key.name != "task");
    }
    if let Some(why) = reserved_name(name) {
        diagnostics.error(at, format!("`{name}` cannot be a global: {why}"));
        return None;
    }
    if in_tasks {
        let message = format!("the global `{name}` is defined after the first task");
        let warning = diagnostics.warning(at, message);
        warning.help("move it above the first `task=` line");
        let key = name.to_ascii_lowercase();
        if keys::find(&key).is_some() {
            warning.label(format!("did you mean the key `{key}`?"));
        }
    }
    if let Some(first) = globals.define(name, at, pair.value) {
        diagnostics
            .error(at, format!("the global `{name}` is defined twice"))
            .also(first, "first defined here");
    }
    None
}

/// Sorts the tasks by id; the first of two with the same id is kept. Returns those that
/// are not kept.
pub fn sort_by_id(
    raw: &mut Vec<RawTask>,
    sources: &SourceMap,
    diagnostics: &mut DiagnosticList,
) -> Vec<RawTask> {
    raw.sort_unstable_by_key(|t| (t.id, t.at.start));
    let mut kept: Vec<RawTask> = Vec::with_capacity(raw.len());
    let mut rejected = Vec::new();
    for task in raw.drain(..) {
        match kept.last() {
            _ if task.id == NO_ID => rejected.push(task),
            Some(first) if first.id == task.id => {
                let id = sources.snippet(task.at);
                diagnostics
                    .error(task.at, format!("task {id} is defined twice"))
                    .also(first.at, "first defined here");
                rejected.push(task);
            }
            _ => kept.push(task),
        }
    }
    *raw = kept;
    rejected
}

/// Each task with a repeated key, once more, with the last value of the key.
pub fn with_repeated_keys<'a>(
    tasks: impl Iterator<Item = &'a RawTask>,
    sources: &SourceMap,
) -> Vec<RawTask> {
    let with_last = |task: &RawTask| {
        let mut last: HashMap<&str, _> = HashMap::new();
        for (key, pair) in &task.repeated {
            // Another type would make other keys wrong.
            if key.name != "type" {
                last.insert(sources.snippet(pair.key), (*key, *pair));
            }
        }
        let pairs = task.pairs.iter().map(|(key, pair)| {
            let name = sources.snippet(pair.key);
            *last.get(name).unwrap_or(&(*key, *pair))
        });
        RawTask {
            id: task.id,
            at: task.at,
            comment: task.comment,
            pairs: pairs.collect(),
            repeated: Vec::new(),
        }
    };
    let repeating = tasks.filter(|task| !task.repeated.is_empty());
    repeating.map(with_last).collect()
}

/// The names of the tasks; a malformed or repeated one is reported. The names of
/// `rejected` tasks have no task.
pub fn task_names(
    raw: &[RawTask],
    rejected: &[RawTask],
    globals: &GlobalTable,
    sources: &SourceMap,
    diagnostics: &mut DiagnosticList,
) -> BTreeMap<String, Option<Ix>> {
    let mut names = BTreeMap::new();
    let mut places: HashMap<&str, Span> = HashMap::new();
    let kept = raw.iter().enumerate().map(|(ix, task)| (Some(ix), task));
    let all = kept.chain(rejected.iter().map(|task| (None, task)));
    for (ix, task) in all {
        let Some(pair) = task.pair("name") else {
            continue;
        };
        let at = pair.value;
        let name = keys::without_comment(sources.snippet(at));
        if !keys::is_identifier(name) {
            diagnostics
                .error(at, format!("`{name}` cannot be a task's name"))
                .help(NAME_HELP);
        } else if RESERVED.contains(&name) {
            let why = format!("`@{name}@` is reserved");
            diagnostics.error(at, format!("`{name}` cannot be a task's name: {why}"));
        } else if let Some(global) = globals.get(name) {
            diagnostics
                .error(at, format!("`{name}` is already the name of a global"))
                .also(global.at, "the global");
        } else if let Some(first) = places.get(name) {
            diagnostics
                .error(at, format!("the name `{name}` is given to two tasks"))
                .also(*first, "first given here");
        } else {
            places.insert(name, at);
            names.insert(name.to_string(), ix);
        }
    }
    names
}
