//! `tasker.conf` (SPEC §5): the settings of a site for all its task files.
//!
//! It has the same kind of lines as a task file: first the settings, then a section
//! for each exec type that is added or overridden, opened by `exec=NAME`.
#![forbid(unsafe_code)]

use super::exec::{ExecMethod, ExecType, ExecTypes, Probe, read_argv};
use super::facility::Facility;
use super::ssh_options;
use crate::task::{keys, values};
use crate::text::diagnostic::{DiagnosticList, SyntaxError, expected};
use crate::text::duration;
use crate::text::home;
use crate::text::nearest::did_you_mean;
use crate::text::scanner::{Line, Pair};
use crate::text::size;
use crate::text::source::{SourceMap, Span};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
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
    /// Further words for every ssh, and the place in the file.
    pub ssh_options: Option<(Vec<String>, Span)>,
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
    "ssh_options",
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
    "ssh_options",
];

/// One `exec=NAME` section while it is read.
struct ExecSection {
    at: Span,
    name: String,
    seen: Vec<(String, Span)>,
    way: Option<SectionWay>,
    ssh_options: Option<Vec<String>>,
    probe: Option<Vec<String>>,
    expect_exit: i32,
    expect_output: Option<String>,
    timeout: Option<Duration>,
}

/// What `argv` or `script` says.
enum SectionWay {
    Program(ExecMethod),
    /// Only `{script}`, or only `{command} {arguments}`, for a type built on ssh; and what
    /// is wrong with it for any other.
    OfSsh {
        script: bool,
        at: Span,
        otherwise: String,
    },
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
        with_ssh_options: HashSet::new(),
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
    let own = reader.with_ssh_options;
    let conf = reader.conf;
    if let Some((options, _)) = &conf.ssh_options {
        types.set_ssh_options(options, |name| own.contains(name));
    }
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
    /// The types that have `ssh_options` of their own.
    with_ssh_options: HashSet<String>,
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

    /// The words of `ssh_options`; mistakes in it are reported.
    fn ssh_options(&mut self, pair: &Pair) -> Option<Vec<String>> {
        let found = ssh_options::read(self.sources.snippet(pair.value), pair.value);
        let report = |bad: Vec<SyntaxError>| {
            for bad in bad {
                self.diagnostics.syntax_error(bad);
            }
        };
        found.map_err(report).ok()
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
            "ssh_options" => {
                let options = self.ssh_options(pair);
                self.conf.ssh_options = options.map(|options| (options, pair.value));
            }
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
            ssh_options: None,
            probe: None,
            expect_exit: 0,
            expect_output: None,
            timeout: None,
        });
    }

    fn section_key(&mut self, key: &str, pair: &Pair) -> Result<(), String> {
        let (text, plain) = (self.sources.snippet(pair.value), self.plain(pair));
        if key == "ssh_options" {
            // With a mistake in it there is no way to tell what it was to be.
            let options = self.ssh_options(pair).unwrap_or_default();
            if let Some(section) = &mut self.section {
                section.ssh_options = Some(options);
            }
            return Ok(());
        }
        let Some(section) = &mut self.section else {
            return Ok(());
        };
        match key {
            "argv" | "script" => {
                if section.way.is_some() {
                    return Err("an exec type has either `argv` or `script`, not both".into());
                }
                section.way = Some(SectionWay::read(text, key == "script", pair.value)?);
            }
            "probe" => section.probe = Some(text.split_whitespace().map(String::from).collect()),
            "probe_expect_exit" => section.expect_exit = i32::from(values::return_code(&plain)?),
            "probe_expect_output" => section.expect_output = Some(text.to_string()),
            _ => section.timeout = Some(values::timeout(&plain)?),
        }
        Ok(())
    }

    fn close_section(&mut self, types: &mut ExecTypes) {
        let Some(mut section) = self.section.take() else {
            return;
        };
        // A section without an argv changes an existing type in part.
        let before = types.find(&section.name).cloned();
        let has_options = section.ssh_options.is_some();
        let Some(way) = self.way(&mut section, before.as_deref()) else {
            return;
        };
        let of_ssh = matches!(way, ExecMethod::Ssh { .. });
        if has_options && of_ssh {
            self.with_ssh_options.insert(section.name.clone());
        }
        // A new type that is built on ssh is like `ssh` in all that its section leaves out.
        let like_ssh = || Arc::new(ExecType::over_ssh(&section.name, false, Vec::new()));
        let before = before.or_else(|| of_ssh.then(like_ssh));
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

impl ConfReader<'_> {
    /// How the type of a section runs commands; a section that does not say it, or
    /// contradicts itself, is reported.
    fn way(&mut self, section: &mut ExecSection, before: Option<&ExecType>) -> Option<ExecMethod> {
        let place = |key: &str| {
            section
                .seen
                .iter()
                .find(|(k, _)| k == key)
                .map(|(_, at)| *at)
        };
        let tried = place("argv").or(place("script"));
        let options_at = place("ssh_options").unwrap_or(section.at);
        let options = section.ssh_options.take();
        match (section.way.take(), options, before) {
            (Some(SectionWay::Program(way)), None, _) => Some(way),
            (Some(SectionWay::Program(_)), Some(_), _) => {
                let message = "`ssh_options` is for types built on ssh";
                let help = "write the options in `argv` or `script`, or leave these out";
                self.diagnostics.error(options_at, message).help(help);
                None
            }
            (Some(SectionWay::OfSsh { script, .. }), Some(options), _) => {
                Some(ExecMethod::Ssh { script, options })
            }
            (Some(SectionWay::OfSsh { at, otherwise, .. }), None, _) => {
                self.diagnostics.error(at, otherwise);
                None
            }
            // Its mistake is reported.
            (None, ..) if tried.is_some() => None,
            (None, Some(options), before) => {
                if let Some(other) = before.filter(|b| b.ssh_options().is_none()) {
                    let message = format!("exec type `{}` is not built on ssh", other.name());
                    self.diagnostics.error(options_at, message);
                    return None;
                }
                let script = before.is_some_and(ExecType::takes_script);
                Some(ExecMethod::Ssh { script, options })
            }
            (None, None, Some(before)) => Some(before.way.clone()),
            (None, None, None) => {
                let message = format!(
                    "the exec type `{}` has neither `argv` nor `script` nor `ssh_options`",
                    section.name
                );
                self.diagnostics.error(section.at, message);
                None
            }
        }
    }
}

impl SectionWay {
    fn read(text: &str, takes_script: bool, at: Span) -> Result<SectionWay, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let of_ssh: &[&str] = match takes_script {
            true => &["{script}"],
            false => &["{command}", "{arguments}"],
        };
        match read_argv(text, takes_script) {
            Ok(way) => Ok(SectionWay::Program(way)),
            Err(otherwise) if words == of_ssh => Ok(SectionWay::OfSsh {
                script: takes_script,
                at,
                otherwise,
            }),
            Err(message) => Err(message),
        }
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
