//! `tasker.conf` (SPEC §5): the settings of a site for all its task files.
//!
//! It has the same kind of lines as a task file: first the settings, then a section
//! for each exec type that is added or overridden, opened by `exec=NAME`.
#![forbid(unsafe_code)]

use super::exec::{ExecMethod, ExecType, ExecTypes, Probe, read_argv};
use super::facility::Facility;
use crate::task::{keys, values};
use crate::text::diagnostic::{DiagnosticList, expected};
use crate::text::duration;
use crate::text::home;
use crate::text::nearest::did_you_mean;
use crate::text::scanner::{Line, Pair};
use crate::text::size;
use crate::text::source::{SourceMap, Span};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::PathBuf;
use std::time::Duration;

/// The settings; `None` if not set.
#[derive(Default)]
pub struct Conf {
    pub default_exec: Option<(String, Span)>,
    pub timeout: Option<Duration>,
    pub kill_after: Option<Duration>,
    /// The directory, and its place in the file.
    pub log_dir: Option<(PathBuf, Span)>,
    pub max_parallel: Option<u32>,
    pub max_connecting: Option<u32>,
    /// How long a host may take to answer.
    pub connect_timeout: Option<Duration>,
    /// On a terminal, a run on more hosts than this asks for their number first.
    pub confirm_above: Option<u32>,
    /// How much of the disk with the outputs stays free, in bytes.
    pub keep_free: Option<u64>,
    /// The longest output of a stream that is kept, in bytes.
    pub max_output: Option<u64>,
    /// Where each job has its metrics, and the place in the file.
    pub metrics: Option<(PathBuf, Span)>,
    /// Every run tells syslog.
    pub syslog: Option<Facility>,
    /// For how many days records of runs are kept.
    pub keep_logs: Option<u32>,
    /// ... and what is kept for going on with runs.
    pub keep_state: Option<u32>,
}

/// The keys before the first section.
pub const SETTINGS: &[&str] = &[
    "default_exec",
    "timeout",
    "kill_after",
    "log_dir",
    "max_parallel",
    "max_connecting",
    "connect_timeout",
    "confirm_above",
    "keep_free",
    "max_output",
    "metrics",
    "syslog",
    "keep_logs",
    "keep_state",
];
/// The keys of an `exec=NAME` section.
pub const SECTION: &[&str] = &[
    "argv",
    "script",
    "probe",
    "probe_expect_exit",
    "probe_expect_output",
    "timeout",
];

/// One `exec=NAME` section while it is read.
struct ExecSection {
    at: Span,
    name: String,
    seen: Vec<(String, Span)>,
    way: Option<ExecMethod>,
    probe: Option<Vec<String>>,
    expect_exit: i32,
    expect_output: Option<String>,
    timeout: Option<Duration>,
}

/// Reads the lines. Adds exec types to `types` and reports mistakes.
pub fn read(
    lines: &[Line],
    types: &mut ExecTypes,
    sources: &SourceMap,
    diagnostics: &mut DiagnosticList,
) -> Conf {
    let mut reader = ConfReader {
        sources,
        diagnostics,
        conf: Conf::default(),
        seen: Vec::new(),
        opened: HashMap::new(),
        section: None,
    };
    for line in lines {
        match line {
            Line::Option(at) => {
                reader
                    .diagnostics
                    .error(*at, "tasker.conf cannot contain option lines");
            }
            Line::Pair(pair) => reader.pair(pair, types),
        }
    }
    reader.close_section(types);
    let conf = reader.conf;
    if let Some((name, at)) = &conf.default_exec
        && let Err(message) = types.resolve(name)
    {
        diagnostics.error_with_suggestion(*at, &message);
    }
    conf
}

struct ConfReader<'a> {
    sources: &'a SourceMap,
    diagnostics: &'a mut DiagnosticList,
    conf: Conf,
    seen: Vec<(String, Span)>,
    /// The sections so far, and where each was opened.
    opened: HashMap<String, Span>,
    section: Option<ExecSection>,
}

impl ConfReader<'_> {
    fn pair(&mut self, pair: &Pair, types: &mut ExecTypes) {
        let key = self.sources.snippet(pair.key).to_string();
        if key == "exec" {
            self.close_section(types);
            self.open_section(pair);
            return;
        }
        let (known, place) = match &self.section {
            Some(section) => (SECTION, format!("the section `exec={}`", section.name)),
            None => (
                SETTINGS,
                "the settings before the first `exec=`".to_string(),
            ),
        };
        if !known.contains(&key.as_str()) {
            let near = did_you_mean(&key, known.iter().copied().chain(["exec"]));
            self.diagnostics
                .error(pair.key, format!("unknown key `{key}` in {place}"))
                .label(near);
            return;
        }
        let seen = self
            .section
            .as_mut()
            .map_or(&mut self.seen, |s| &mut s.seen);
        if let Some((_, first)) = seen.iter().find(|(k, _)| *k == key) {
            let first = *first;
            self.diagnostics
                .error(pair.key, format!("`{key}` is given twice"))
                .also(first, "first given here");
            return;
        }
        seen.push((key.clone(), pair.key));
        let result = if self.section.is_some() {
            self.section_key(&key, pair)
        } else {
            self.setting(&key, pair)
        };
        if let Err(message) = result {
            self.diagnostics.error_with_suggestion(pair.value, &message);
        }
    }

    /// The value without its comment, for values that cannot contain a `#`.
    fn plain(&self, pair: &Pair) -> String {
        keys::without_comment(self.sources.snippet(pair.value)).to_string()
    }

    fn setting(&mut self, key: &str, pair: &Pair) -> Result<(), String> {
        let text = self.plain(pair);
        match key {
            "default_exec" => self.conf.default_exec = Some((text, pair.value)),
            "timeout" => self.conf.timeout = Some(values::timeout(&text)?),
            "kill_after" => self.conf.kill_after = Some(kill_after(&text)?),
            "log_dir" => {
                let path = directory(self.sources.snippet(pair.value))?;
                self.conf.log_dir = Some((path, pair.value));
            }
            "max_parallel" => self.conf.max_parallel = Some(values::max_parallel(&text)?),
            "max_connecting" => self.conf.max_connecting = Some(values::max_parallel(&text)?),
            "connect_timeout" => self.conf.connect_timeout = Some(connect_timeout(&text)?),
            "keep_free" => self.conf.keep_free = Some(size::parse(&text)?),
            "max_output" => self.conf.max_output = Some(max_output(&text)?),
            "metrics" => {
                let path = directory(self.sources.snippet(pair.value))?;
                self.conf.metrics = Some((path, pair.value));
            }
            "syslog" => self.conf.syslog = Some(Facility::parse(&text)?),
            "keep_logs" => self.conf.keep_logs = Some(days(&text)?),
            "keep_state" => self.conf.keep_state = Some(days(&text)?),
            _ => self.conf.confirm_above = Some(confirm_above(&text)?),
        }
        Ok(())
    }

    fn open_section(&mut self, pair: &Pair) {
        let name = self.plain(pair);
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || !name.chars().all(allowed) {
            let message =
                format!("expected a name of letters, digits, `-` and `_`, found `{name}`");
            self.diagnostics.error(pair.value, message);
        }
        match self.opened.entry(name.clone()) {
            Entry::Occupied(first) => {
                self.diagnostics
                    .error(pair.value, format!("the exec type `{name}` is given twice"))
                    .also(*first.get(), "first given here");
            }
            Entry::Vacant(place) => {
                place.insert(pair.value);
            }
        }
        self.section = Some(ExecSection {
            at: pair.key,
            name,
            seen: Vec::new(),
            way: None,
            probe: None,
            expect_exit: 0,
            expect_output: None,
            timeout: None,
        });
    }

    fn section_key(&mut self, key: &str, pair: &Pair) -> Result<(), String> {
        let (text, plain) = (self.sources.snippet(pair.value), self.plain(pair));
        let Some(section) = &mut self.section else {
            return Ok(());
        };
        match key {
            "argv" | "script" => {
                if section.way.is_some() {
                    return Err("an exec type has either `argv` or `script`, not both".into());
                }
                section.way = Some(read_argv(text, key == "script")?);
            }
            "probe" => section.probe = Some(text.split_whitespace().map(String::from).collect()),
            "probe_expect_exit" => section.expect_exit = i32::from(values::return_code(&plain)?),
            "probe_expect_output" => section.expect_output = Some(text.to_string()),
            _ => section.timeout = Some(values::timeout(&plain)?),
        }
        Ok(())
    }

    fn close_section(&mut self, types: &mut ExecTypes) {
        let Some(section) = self.section.take() else {
            return;
        };
        // A section without an argv changes an existing type in part.
        let before = types.find(&section.name).cloned();
        let tried = section
            .seen
            .iter()
            .any(|(k, _)| k == "argv" || k == "script");
        let way = match (section.way, &before) {
            (Some(way), _) => way,
            (None, Some(before)) if !tried => before.way.clone(),
            (None, _) if tried => return,
            (None, _) => {
                let message = format!(
                    "the exec type `{}` has neither `argv` nor `script`",
                    section.name
                );
                self.diagnostics.error(section.at, message);
                return;
            }
        };
        let (exit, output) = (section.expect_exit, section.expect_output);
        let probe = section
            .probe
            .filter(|words| !words.is_empty())
            .map(|words| Probe {
                words,
                exit,
                output,
            });
        types.add(ExecType {
            names: before
                .as_ref()
                .map_or(vec![section.name], |b| b.names.clone()),
            way,
            probe: probe.or_else(|| before.as_ref().and_then(|b| b.probe.clone())),
            timeout: section
                .timeout
                .or_else(|| before.as_ref().and_then(|b| b.timeout)),
            built_in: false,
            resolves: before.as_ref().is_some_and(|b| b.resolves),
            port: before.and_then(|b| b.port),
        });
    }
}

fn confirm_above(text: &str) -> Result<u32, String> {
    text.parse()
        .map_err(|_| expected("a number of hosts", text))
}

fn max_output(text: &str) -> Result<u64, String> {
    match size::parse(text)? {
        0 => Err("expected a size above 0; without `max_output` nothing bounds an output".into()),
        bytes => Ok(bytes),
    }
}

/// A number of days. Without its unit it would be one of seconds anywhere else.
fn days(text: &str) -> Result<u32, String> {
    /// A hundred years.
    const MOST: u32 = 36_500;
    let number = text.strip_suffix('d').filter(|number| is_number(number));
    match number.map(|number| number.parse().unwrap_or(u32::MAX)) {
        Some(days @ 1..=MOST) => Ok(days),
        Some(_) => Err(format!("expected 1d to {MOST}d, found `{text}`")),
        None => Err(expected("a number of days such as `90d`", text)),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn kill_after(text: &str) -> Result<Duration, String> {
    let duration = duration::parse(text)?;
    match duration <= values::HOUR {
        true => Ok(duration),
        false => Err(format!("expected at most 1 h, found `{text}`")),
    }
}

fn connect_timeout(text: &str) -> Result<Duration, String> {
    let duration = duration::parse(text)?;
    match (Duration::from_secs(1)..=values::HOUR).contains(&duration) {
        true => Ok(duration),
        false => Err(format!("expected 1 s to 1 h, found `{text}`")),
    }
}

fn directory(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("expected a directory, found nothing".into());
    }
    home::expand(text)
}
