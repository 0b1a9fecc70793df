//! What was asked: the options of the task file, then those of the command line,
//! which win (SPEC §1, §6).
//!
//! What was typed (`Typed`) is kept apart from what it means (`Invocation`), and what a
//! task file asks for that does something (`HeldBack`) is no part of that before the
//! file is accepted: until then nothing can go by it, whatever it is.
#![forbid(unsafe_code)]

use super::options::{self, CliOption, InFile, KeptIn, PlanForm, choose};
use crate::plan::flow::Policy;
use crate::plan::plan_id;
use crate::report::color::Color;
use crate::report::log::LogLevel;
use crate::run::interrupt::OnInterrupt;
use crate::task::global_value::{end_of_secret_name, is_secret, without_secret_part};
use crate::task::globals::reserved_name;
use crate::task::{keys, values};
use crate::text::diagnostic::{DiagnosticList, expected};
use crate::text::duration;
use crate::text::home;
use crate::text::moment::{self, Moment};
use crate::text::quote;
use crate::text::source::{SourceMap, Span};
use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What stands for the value of a secret in a printed command line.
const HIDDEN_VALUE: &str = "...";

/// How many tasks a run executes at most when nothing says (SPEC §3.2).
pub const MAX_STEPS: u64 = 100_000;

/// An option as it was typed.
#[derive(Clone)]
pub struct Typed {
    pub option: &'static CliOption,
    pub value: Option<OsString>,
}

/// An option as the plan shows it.
pub struct GivenOption {
    pub long: &'static str,
    /// As it was written; empty without one.
    pub value: String,
    /// It is in the task file, not on the command line.
    pub in_file: bool,
}

/// An option that a printed command line about the run gives again.
pub struct KeptOption {
    pub long: &'static str,
    /// The option with its value, quoted for a shell; a secret only by its name.
    pub words: String,
    /// A run that is resumed has it in its journal.
    pub is_in_journal: bool,
}

/// The options of a task file that write, run a program, contact a host or send
/// something. They hold once the file is accepted; `session::acceptance` decides that.
#[derive(Default)]
pub struct HeldBack(Vec<Typed>);

impl HeldBack {
    /// Where the file says that its runs are recorded: they are looked for there, which
    /// changes nothing.
    pub fn records(&self) -> Option<&Path> {
        self.path_of("log-dir")
    }

    /// The program that the file would run after a failure: it is looked at before.
    pub fn alert_program(&self) -> Option<&Path> {
        self.path_of("alert-on-failure")
    }

    fn path_of(&self, long: &str) -> Option<&Path> {
        let named = self.0.iter().rfind(|typed| typed.option.long == long);
        named.and_then(|typed| typed.value.as_deref().map(Path::new))
    }
}

/// Everything that the command line says, and the file's options as far as they hold.
#[derive(Default)]
pub struct Invocation {
    pub run: bool,
    pub log_dir: Option<PathBuf>,
    pub log_level: LogLevel,
    /// The name of an exec type, with its place if the file gives it; it is checked
    /// when all types are known.
    pub exec: Option<(String, Option<Span>)>,
    /// `-o`; see `default_timeout`.
    timeout: Option<Duration>,
    pub project: Option<String>,
    pub start_from: Option<String>,
    /// `--resume`: the run, empty for the newest.
    pub resume: Option<String>,
    /// `--resume-at`: `[RUN:]ID`
    pub resume_at: Option<String>,
    pub all_hosts: bool,
    pub auto_recovery: bool,
    pub show_recovery_info: bool,
    pub finish_only: bool,
    /// The sets of `--limit`, which add up.
    pub limit: Vec<String>,
    /// The sets of `--exclude`, which add up.
    pub exclude: Vec<String>,
    /// What a rehearsal is to assume, as typed.
    pub assume: Vec<String>,
    pub assume_each_fails: bool,
    pub connection_test: bool,
    pub show_plan: Option<PlanForm>,
    /// The digits of the reviewed plan's id.
    pub plan: Option<String>,
    pub expect_hosts: Option<RangeInclusive<usize>>,
    pub yes: bool,
    pub config: Option<PathBuf>,
    pub validate_only: bool,
    /// `-r` was given, but with an option that runs nothing: the option.
    pub overrules_run: Option<&'static str>,
    pub skip_host_validation: bool,
    pub skip_task_validation: bool,
    pub keep_going: bool,
    pub fire_and_forget: bool,
    max_steps: Option<u64>,
    pub on_interrupt: OnInterrupt,
    pub deadline: Option<Moment>,
    pub deadline_task: Option<String>,
    pub alert_on_failure: Option<PathBuf>,
    pub events: Option<PathBuf>,
    pub mail_once: bool,
    pub instance_check: bool,
    pub force_instance: bool,
    pub lock_wait: Option<Duration>,
    pub lock_skip: bool,
    pub splay: Option<Duration>,
    /// Globals from `--set`, those of the file first.
    pub settings: Vec<(String, String)>,
    /// How many of them are the file's.
    settings_in_file: usize,
    /// Results as JSON; the file if one was named.
    pub output_json: Option<Option<PathBuf>>,
    pub keep_output: Option<PathBuf>,
    pub report: Option<PathBuf>,
    /// The run's end for Prometheus.
    pub metrics: Option<PathBuf>,
    pub syslog: bool,
    pub quiet: bool,
    pub color: Color,
    pub no_task_backup: bool,
    pub strict_env: bool,
    /// Options without effect that were given.
    pub ignored: Vec<&'static str>,
    /// Every option that was given, those of the file first.
    pub given: Vec<GivenOption>,
    /// The options of the command line that a printed one gives again.
    pub kept_options: Vec<KeptOption>,
    /// The options of the command line that the journal keeps: `--set`, `--type` and
    /// `--timeout`, without secrets.
    pub journal_options: Vec<(String, String)>,
}

/// What this call of tasker is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// `--assume`, `--assume-each-fails`
    Rehearse,
    /// `--show-recovery-info`, or `--finish-only` without `-r`
    ShowRecovery,
    /// `-r`
    Run,
    /// Check, and show what would run unless `--validate-only`.
    DryRun,
}

impl Invocation {
    /// Applies the file's option lines, but for those that are held back, then the
    /// command line's options.
    ///
    /// # Errors
    /// What is wrong with the command line; mistakes in the file are reported.
    pub fn new(
        typed: &[Typed],
        lines: &[Span],
        sources: &SourceMap,
        diagnostics: &mut DiagnosticList,
    ) -> Result<(Invocation, HeldBack), String> {
        let mut invocation = Invocation::default();
        let mut held_back = HeldBack::default();
        for at in lines {
            let line = sources.snippet(*at);
            if let Err(message) = invocation.apply_line(line, &mut held_back) {
                diagnostics.error_with_suggestion(*at, &message);
            }
            if let Some((_, place @ None)) = &mut invocation.exec {
                *place = Some(*at);
            }
        }
        invocation.settings_in_file = invocation.settings.len();
        // The command line wins over the file. What the file excludes stays excluded.
        if typed.iter().any(|t| t.option.long == "limit") {
            invocation.limit.clear();
        }
        for typed in typed {
            invocation.kept_options.extend(typed.kept());
            invocation.journal_options.extend(typed.journal_option());
            let long = typed.option.long;
            let value = typed.value.as_ref();
            invocation.given.push(GivenOption {
                long,
                value: value.map_or(String::new(), |v| v.to_string_lossy().into_owned()),
                in_file: false,
            });
            invocation
                .apply(typed)
                .map_err(|e| match typed.option.value {
                    Some(_) => format!("--{long}: {e}"),
                    None => e,
                })?;
        }
        let typed_mail_once = typed.iter().any(|t| t.option.long == "mail-once");
        if let Some(why) = invocation.contradiction(typed_mail_once) {
            return Err(why.into());
        }
        invocation.rule_out_run();
        Ok((invocation, held_back))
    }

    /// What the command line alone says.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of_command_line(typed: &[Typed]) -> Result<Invocation, String> {
        let (sources, mut unseen) = (SourceMap::default(), DiagnosticList::default());
        Invocation::new(typed, &[], &sources, &mut unseen).map(|(invocation, _)| invocation)
    }

    /// Applies a line of the file, or holds it back.
    fn apply_line(&mut self, line: &str, held_back: &mut HeldBack) -> Result<(), String> {
        let typed = Typed::from_line(line)?;
        self.given.push(GivenOption {
            long: typed.option.long,
            value: written_value(line).to_string(),
            in_file: true,
        });
        match typed.option.in_file {
            InFile::OnceAccepted => {
                // Its mistakes are found now.
                Invocation::default().apply(&typed)?;
                held_back.0.push(typed);
                Ok(())
            }
            InFile::AtOnce | InFile::Refused => self.apply(&typed),
        }
    }

    /// Applies what was held back: the file is accepted. The command line wins.
    pub fn let_hold(&mut self, held_back: &mut HeldBack) {
        for typed in std::mem::take(&mut held_back.0) {
            if !self.is_typed(typed.option.long) {
                // It was applied before, to look for mistakes.
                let _ = self.apply(&typed);
            }
        }
    }

    /// Whether the command line gives this option.
    pub fn is_typed(&self, long: &str) -> bool {
        let mut typed = self.given.iter().filter(|given| !given.in_file);
        typed.any(|given| given.long == long)
    }

    /// The globals that `--set` gives on the command line.
    pub fn typed_settings(&self) -> &[(String, String)] {
        &self.settings[self.settings_in_file..]
    }

    /// Drops `-r` next to an option that runs nothing (SPEC §6).
    fn rule_out_run(&mut self) {
        let option = match (self.show_recovery_info, self.validate_only) {
            (true, _) => "--show-recovery-info",
            (_, true) => "--validate-only",
            _ => return,
        };
        if std::mem::take(&mut self.run) {
            self.overrules_run = Some(option);
        }
    }

    /// Options that cannot be given together, or not alone.
    fn contradiction(&self, typed_mail_once: bool) -> Option<&'static str> {
        if self.run && self.mode() == Mode::Rehearse {
            return Some("a rehearsal (--assume) runs nothing; leave -r out");
        }
        if self.deadline_task.is_some() && self.deadline.is_none() {
            return Some("--deadline-task has no effect alone; add --deadline TIME");
        }
        if self.all_hosts && self.resume_at.is_none() {
            return Some("--all-hosts has no effect alone; add --resume-at ID");
        }
        if let Some(why) = self.two_beginnings() {
            return Some(why);
        }
        if typed_mail_once && !self.quiet {
            return Some("--mail-once changes what -q prints; add -q");
        }
        None
    }

    /// A run begins at one place.
    fn two_beginnings(&self) -> Option<&'static str> {
        let goes_on = self.resume.is_some() || self.finish_only || self.show_recovery_info;
        match (&self.resume_at, &self.start_from) {
            (Some(_), Some(_)) => Some(
                "give either --resume-at, which uses the results of an earlier run, or --start-from, which knows none",
            ),
            (Some(_), None) if goes_on || self.auto_recovery => Some(
                "give either --resume-at, which goes on at that task, or an option that continues where the run stopped",
            ),
            (None, Some(_)) if goes_on => Some(
                "give either --resume, which continues where the run stopped, or --start-from, not both",
            ),
            _ => None,
        }
    }

    /// Whether it is a run that prints only what went wrong.
    pub fn is_quiet_run(&self) -> bool {
        self.quiet && self.mode() == Mode::Run
    }

    /// What this call is for.
    pub fn mode(&self) -> Mode {
        if !self.assume.is_empty() || self.assume_each_fails {
            Mode::Rehearse
        } else if self.show_recovery_info {
            Mode::ShowRecovery
        } else if self.validate_only {
            Mode::DryRun
        } else if !self.run && self.finish_only {
            Mode::ShowRecovery
        } else if self.run {
            Mode::Run
        } else {
            Mode::DryRun
        }
    }

    /// Whether the command line asks for a run, whatever the file says.
    pub fn asks_to_run(&self) -> bool {
        let overrules = |long| self.is_typed(long);
        self.is_typed("run")
            && !["validate-only", "show-recovery-info"]
                .into_iter()
                .any(overrules)
    }

    /// Whether `-o` is given.
    pub fn has_timeout(&self) -> bool {
        self.timeout.is_some()
    }

    /// What is done about failures that nothing handles.
    pub fn policy(&self) -> Policy {
        Policy {
            keep_going: self.keep_going || self.fire_and_forget,
            forgive: self.fire_and_forget,
        }
    }

    /// How many tasks a run executes at most.
    pub fn max_steps(&self) -> u64 {
        self.max_steps.unwrap_or(MAX_STEPS)
    }

    /// The exec type of tasks without `exec=` if no option gives one.
    pub fn exec_of_environment(&self) -> Option<String> {
        environment("TASK_EXECUTOR_TYPE")
    }

    /// The timeout of tasks without `timeout=`: `-o`, else the environment's.
    ///
    /// # Errors
    /// That the environment's is not a timeout.
    pub fn default_timeout(&self) -> Result<Option<Duration>, String> {
        match (self.timeout, environment("TASK_EXECUTOR_TIMEOUT")) {
            (None, Some(text)) => values::timeout(&text)
                .map(Some)
                .map_err(|e| format!("TASK_EXECUTOR_TIMEOUT: {e}")),
            (timeout, _) => Ok(timeout),
        }
    }

    fn apply(&mut self, typed: &Typed) -> Result<(), String> {
        let value = typed.value.as_deref().unwrap_or_default();
        let text = || {
            value
                .to_str()
                .ok_or("the value is not UTF-8 text".to_string())
        };
        match typed.option.long {
            "run" => self.run = true,
            "log-dir" => self.log_dir = Some(PathBuf::from(value)),
            "log-level" => self.log_level = log_level(text()?)?,
            "debug" => self.log_level = LogLevel::Debug,
            "type" => self.exec = Some((text()?.to_string(), None)),
            "timeout" => self.timeout = Some(values::timeout(text()?)?),
            "project" => self.project = Some(project(text()?)?),
            "start-from" => self.start_from = Some(text()?.to_string()),
            "resume" => self.resume = Some(text()?.to_string()),
            "resume-at" => self.resume_at = Some(resume_at(text()?)?),
            "all-hosts" => self.all_hosts = true,
            "auto-recovery" => self.auto_recovery = true,
            "show-recovery-info" => self.show_recovery_info = true,
            "finish-only" => self.finish_only = true,
            "limit" => self.limit.push(text()?.to_string()),
            "exclude" => self.exclude.push(text()?.to_string()),
            "assume" => self.assume.push(text()?.to_string()),
            "assume-each-fails" => self.assume_each_fails = true,
            "connection-test" => self.connection_test = true,
            "show-plan" => self.show_plan = Some(plan_form(text()?)?),
            "plan" => self.plan = Some(plan_id::parse_digits(text()?)?),
            "expect-hosts" => self.expect_hosts = Some(expect_hosts(text()?)?),
            "yes" => self.yes = true,
            "config" => self.config = Some(PathBuf::from(value)),
            "validate-only" => self.validate_only = true,
            "skip-host-validation" => self.skip_host_validation = true,
            "skip-task-validation" => self.skip_task_validation = true,
            "skip-validation" => {
                self.skip_host_validation = true;
                self.skip_task_validation = true;
            }
            "keep-going" => self.keep_going = true,
            "fire-and-forget" => self.fire_and_forget = true,
            "max-steps" => self.max_steps = Some(max_steps(text()?)?),
            "on-interrupt" => self.on_interrupt = choose(text()?, &OnInterrupt::NAMES)?,
            "deadline" => self.deadline = Some(moment::parse(text()?)?),
            "deadline-task" => self.deadline_task = Some(text()?.to_string()),
            "alert-on-failure" => self.alert_on_failure = Some(PathBuf::from(value)),
            "mail-once" => self.mail_once = true,
            "events" => self.events = Some(PathBuf::from(value)),
            "instance-check" => self.instance_check = true,
            "force-instance" => self.force_instance = true,
            "lock-wait" => self.lock_wait = Some(duration::parse(text()?)?),
            "lock-skip" => self.lock_skip = true,
            "splay" => self.splay = Some(duration::parse(text()?)?),
            // Requests of their own, not settings of a run.
            "status" | "project-summary" | "prune" => {}
            "set" => self.settings.push(setting(text()?)?),
            "output-json" => {
                self.output_json = Some((!value.is_empty()).then(|| PathBuf::from(value)));
            }
            "keep-output" => self.keep_output = Some(PathBuf::from(value)),
            "report" => self.report = Some(PathBuf::from(value)),
            "metrics" => self.metrics = Some(PathBuf::from(value)),
            "syslog" => self.syslog = true,
            "quiet" => self.quiet = true,
            "color" => self.color = choose(text()?, &Color::NAMES)?,
            "no-task-backup" => self.no_task_backup = true,
            "strict-env-validation" => self.strict_env = true,
            old if !self.ignored.contains(&old) => self.ignored.push(old),
            _ => {}
        }
        Ok(())
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var_os(name)
        .filter(|v| !v.is_empty())
        .map(|v| v.to_string_lossy().into_owned())
}

// Option lines of a task file.

impl Typed {
    /// Reads an option line: `--opt=value`, `--opt value`, `-o value`. The value is
    /// taken literally, except for the home directory of a path (SPEC §1).
    fn from_line(line: &str) -> Result<Typed, String> {
        let (name, value) = match line.split_once(['=', ' ', '\t']) {
            Some((name, value)) => (name, Some(value.trim())),
            None => (line, None),
        };
        let joined = line[name.len()..].starts_with('=');
        let (option, value) = match name.strip_prefix("--") {
            Some("") => return Err(format!("expected an option, found `{name}`")),
            Some(name) => (options::find_long(name)?, value),
            None => {
                let mut letters = name[1..].chars();
                let letter = letters.next().ok_or("expected an option, found `-`")?;
                let attached = !letters.as_str().is_empty();
                let value = match attached {
                    true => Some(line[2..].trim_start_matches('=')),
                    false => value,
                };
                (options::find_short(letter)?, value)
            }
        };
        if option.in_file == InFile::Refused {
            return Err(format!(
                "`--{}` is not allowed in a task file, only on the command line",
                option.long
            ));
        }
        match (option.value, value) {
            (Some(_), None | Some("")) if !option.value_is_optional => Err(option.needs_value()),
            (None, Some(_)) => Err(format!("`--{}` takes no value", option.long)),
            (Some(_), Some(value)) if option.value_is_optional && !joined => Err(format!(
                "`--{0}` takes a value only after `=`; did you mean `--{0}={value}`?",
                option.long
            )),
            (Some(_), Some(path)) if option.is_path => Ok(Typed {
                option,
                value: Some(home::expand(path)?.into_os_string()),
            }),
            (_, value) => Ok(Typed {
                option,
                value: value.map(OsString::from),
            }),
        }
    }

    /// The option as a printed command line gives it again, if it does.
    fn kept(&self) -> Option<KeptOption> {
        let kept = self.option.kept;
        let long = self.option.long;
        let value = self.value.as_ref().map(|v| v.as_encoded_bytes());
        let is_set = |name: &&str| long == "set" && is_secret(name);
        let secret = value.and_then(setting_name).filter(is_set);
        let words = match (value, secret) {
            (None, _) => format!("--{long}"),
            (_, Some(name)) => format!(
                "--{long} {}",
                quote::shell_word(&format!("{name}={HIDDEN_VALUE}"))
            ),
            (Some(value), _) if self.option.value_is_optional => {
                format!("--{long}={}", quote::shell_argument(value))
            }
            (Some(value), _) => format!("--{long} {}", quote::shell_argument(value)),
        };
        (kept != KeptIn::Nothing).then_some(KeptOption {
            long,
            words,
            // A journal has no secrets.
            is_in_journal: kept == KeptIn::FreshRun && secret.is_none(),
        })
    }
}

/// The name in `NAME=VALUE`.
fn setting_name(value: &[u8]) -> Option<&str> {
    let name = value.split(|b| *b == b'=').next()?;
    std::str::from_utf8(name).ok().map(str::trim)
}

impl Typed {
    /// The name in a `--set NAME=VALUE`.
    pub fn setting_name(&self) -> Option<&str> {
        let value = self.value.as_ref()?;
        setting_name(value.as_encoded_bytes())
    }

    /// The option as the journal keeps it, if it does.
    fn journal_option(&self) -> Option<(String, String)> {
        let (long, value) = (self.option.long, self.value.as_ref()?.to_str()?);
        let is_secret = || is_secret(value.split('=').next().unwrap_or("").trim());
        let is_kept = match long {
            "set" => !is_secret(),
            long => matches!(long, "type" | "timeout"),
        };
        is_kept.then(|| (long.to_string(), value.to_string()))
    }
}

/// The option that a line of a file gives, without its value.
pub fn option_name(line: &str) -> &str {
    line.split(['=', ' ', '\t']).next().unwrap_or(line)
}

/// The value in the line as it is written; empty without one.
fn written_value(line: &str) -> &str {
    let is_attached = |rest: &str| !rest.is_empty() && !rest.starts_with(['=', ' ', '\t']);
    match line.get(2..) {
        Some(rest) if !line.starts_with("--") && is_attached(rest) => rest,
        _ => line[option_name(line).len()..].trim_start_matches(['=', ' ', '\t']),
    }
}

/// What is wrong with an option line, wherever it is.
pub fn line_error(line: &str) -> Option<String> {
    let typed = Typed::from_line(line);
    typed
        .and_then(|typed| Invocation::default().apply(&typed))
        .err()
}

/// Where the value begins in a line that sets a secret global.
pub fn secret_value_start(line: &str) -> Option<usize> {
    let setting = line[option_name(line).len()..].trim_start_matches(['=', ' ', '\t']);
    let key = setting.split('=').next()?;
    let value = setting[end_of_secret_name(key)?..].trim_start_matches([' ', '\t', '=']);
    (option_name(line) == "--set").then_some(line.len() - value.len())
}

// Values.

fn log_level(text: &str) -> Result<LogLevel, String> {
    choose(&text.to_ascii_uppercase(), &LogLevel::NAMES).or_else(|_| choose(text, &LogLevel::NAMES))
}

fn plan_form(text: &str) -> Result<PlanForm, String> {
    match text {
        "" => Ok(PlanForm::Text),
        text => choose(text, &PlanForm::NAMES),
    }
}

fn expect_hosts(text: &str) -> Result<RangeInclusive<usize>, String> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let number = |text: &str| text.trim().parse::<usize>().ok();
    match (number(from), number(to)) {
        (Some(from), Some(to)) if from <= to => Ok(from..=to),
        _ => Err(expected("a number of hosts, or N..M", text)),
    }
}

/// The name of a project.
///
/// # Errors
/// One sentence: what a name may hold.
pub fn project(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match !text.is_empty() && text.len() <= 100 && text.chars().all(allowed) {
        true => Ok(text.to_string()),
        false => Err(expected(
            "a name of letters, digits, `.`, `_` and `-`",
            text,
        )),
    }
}

fn resume_at(text: &str) -> Result<String, String> {
    let task = text.rsplit_once(':').map_or(text, |(_, task)| task);
    match task.is_empty() {
        true => Err(expected("a task, or RUN:ID", text)),
        false => Ok(text.to_string()),
    }
}

fn max_steps(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|n| *n > 0);
    number.ok_or_else(|| expected("a number of at least 1", text))
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| expected("NAME=VALUE", &without_secret_part(text)))?;
    let name = name.trim();
    if !keys::is_identifier(name) || keys::find(name).is_some() || reserved_name(name).is_some() {
        let name = without_secret_part(name);
        return Err(format!("`{name}` cannot be the name of a global"));
    }
    if is_secret(name) && value.trim() == HIDDEN_VALUE {
        return Err(format!(
            "in place of `{HIDDEN_VALUE}` type the value of the secret {name}, which no printed line shows"
        ));
    }
    Ok((name.to_string(), value.trim().to_string()))
}
