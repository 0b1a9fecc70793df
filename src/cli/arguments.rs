//! The command line, and the options that a task file holds (SPEC §1, §6).
//!
//! What was typed (`Typed`) is kept apart from what it means (`Invocation`): the
//! file's options are applied first, then those of the command line, which win.
#![forbid(unsafe_code)]

use crate::cli::completions::Shell;
use crate::exit;
use crate::plan::identity;
use crate::plan::picture::Language;
use crate::report::color::Color;
use crate::report::log::LogLevel;
use crate::run::interrupt::OnInterrupt;
use crate::task::globals::is_secret;
use crate::task::keys;
use crate::text::diagnostic::{Diagnostics, Found, printable};
use crate::text::duration;
use crate::text::moment::{self, Moment};
use crate::text::nearest::did_you_mean;
use crate::text::quote;
use crate::text::source::{Sources, Span};
use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// One option: the parser, the help and the check of the man page read this.
pub struct Opt {
    pub long: &'static str,
    pub short: Option<char>,
    /// What its value is called; nothing for a flag. In brackets where it may be
    /// left out; it is then only taken after a `=`.
    pub value: Option<&'static str>,
    /// Whether a task file may hold it.
    pub in_file: bool,
    /// Empty for options of old files, which are accepted without effect.
    pub help: &'static str,
}

impl Opt {
    /// Whether the value may be left out, and can only follow a `=`.
    pub fn value_is_optional(&self) -> bool {
        self.value.is_some_and(|v| v.starts_with('['))
    }
}

const fn flag(long: &'static str, short: Option<char>, help: &'static str) -> Opt {
    Opt {
        long,
        short,
        value: None,
        in_file: true,
        help,
    }
}

const fn valued(
    long: &'static str,
    short: Option<char>,
    value: &'static str,
    help: &'static str,
) -> Opt {
    Opt {
        long,
        short,
        value: Some(value),
        in_file: true,
        help,
    }
}

const fn never_in_file(opt: Opt) -> Opt {
    Opt {
        in_file: false,
        ..opt
    }
}

pub const OPTIONS: &[Opt] = &[
    never_in_file(flag(
        "run",
        Some('r'),
        "run the tasks; without it they are only checked and listed",
    )),
    valued(
        "log-dir",
        Some('l'),
        "DIR",
        "where logs and records go (default: ~/TASKER)",
    ),
    valued(
        "log-level",
        None,
        "LEVEL",
        "ERROR, WARN, INFO (default) or DEBUG",
    ),
    flag("debug", Some('d'), "the same as --log-level=DEBUG"),
    valued(
        "type",
        Some('t'),
        "TYPE",
        "exec type of tasks that name none",
    ),
    valued(
        "timeout",
        Some('o'),
        "TIME",
        "timeout of tasks that name none (default: 300)",
    ),
    valued(
        "project",
        Some('p'),
        "NAME",
        "add a line to this project's summary",
    ),
    valued("start-from", None, "ID", "begin at this task"),
    flag(
        "resume",
        None,
        "go on with the interrupted or failed run of this file",
    ),
    flag(
        "auto-recovery",
        None,
        "--resume where there is such a run, else a fresh one",
    ),
    flag("show-recovery-info", None, "print what --resume would do"),
    flag(
        "finish-only",
        None,
        "run just the final tasks of the interrupted run",
    ),
    valued(
        "limit",
        None,
        "SET",
        "cut every block over hosts to this node set",
    ),
    valued(
        "exclude",
        None,
        "SET",
        "cut this node set out of every block over hosts",
    ),
    never_in_file(valued(
        "assume",
        None,
        "RESULT",
        "rehearse, this being the result: TASK=exit 3",
    )),
    never_in_file(flag(
        "assume-each-fails",
        None,
        "rehearse one failure of each task, and list where it leads",
    )),
    flag(
        "connection-test",
        Some('c'),
        "also ping every host and try every exec type on it",
    ),
    valued(
        "show-plan",
        None,
        "[=FORM]",
        "print the plan as text, dot, mermaid or json; with -r, then ask",
    ),
    valued(
        "plan",
        None,
        "ID",
        "run only if the plan is still the one with this id",
    ),
    valued(
        "expect-hosts",
        None,
        "N",
        "run only on N distinct hosts, or on N..M",
    ),
    never_in_file(flag("yes", Some('y'), "ask nothing before the run")),
    valued(
        "config",
        None,
        "FILE",
        "read this instead of the usual tasker.conf",
    ),
    never_in_file(flag(
        "validate-only",
        None,
        "check as a run would, show what was found and no plan",
    )),
    never_in_file(flag(
        "skip-host-validation",
        None,
        "do not resolve or contact hosts before the run",
    )),
    never_in_file(flag(
        "skip-task-validation",
        None,
        "no checks of the flow, no warnings",
    )),
    never_in_file(flag(
        "skip-validation",
        None,
        "the same as all --skip options",
    )),
    flag(
        "keep-going",
        Some('k'),
        "go on past failures that nothing handles; end with 1",
    ),
    never_in_file(flag("fire-and-forget", None, "the same, but end with 0")),
    valued(
        "max-steps",
        None,
        "N",
        "execute at most N tasks (default: 100000)",
    ),
    valued(
        "on-interrupt",
        None,
        "HOW",
        "what a first Ctrl-C does: drain (default) or kill",
    ),
    valued(
        "deadline",
        None,
        "TIME",
        "start only what ends by 04:00, +2h, 2024-01-15T04:00",
    ),
    valued(
        "deadline-task",
        None,
        "ID",
        "go to this task when something does not fit",
    ),
    valued(
        "alert-on-failure",
        None,
        "PROGRAM",
        "run this program once when a real run fails",
    ),
    valued(
        "events",
        None,
        "FILE",
        "add each event of the run to this file, as a line of JSON",
    ),
    flag(
        "mail-once",
        None,
        "with -q: the same failure as last time is one line",
    ),
    flag(
        "instance-check",
        None,
        "refuse to run beside another instance of this run",
    ),
    never_in_file(flag(
        "force-instance",
        None,
        "run beside another instance all the same",
    )),
    valued(
        "lock-wait",
        None,
        "TIME",
        "wait so long for another instance to end",
    ),
    flag(
        "lock-skip",
        None,
        "end quietly with 0 where another instance runs",
    ),
    valued(
        "splay",
        None,
        "TIME",
        "wait a random time up to this before the run",
    ),
    never_in_file(valued(
        "status",
        None,
        "[=RUN]",
        "show what runs, or how a run ended: by its id or its task file",
    )),
    never_in_file(valued(
        "project-summary",
        None,
        "NAME",
        "print the runs of this project as a table, with totals",
    )),
    valued("set", None, "NAME=VALUE", "set or override a global"),
    valued(
        "output-json",
        None,
        "[=FILE]",
        "write the results as JSON (default: below the log directory)",
    ),
    valued(
        "keep-output",
        None,
        "DIR",
        "keep all output, a file for each task or host and stream",
    ),
    valued(
        "report",
        None,
        "FILE.html",
        "write a page about the run: outcome, timeline, table, outputs",
    ),
    flag("quiet", Some('q'), "print nothing unless the run fails"),
    valued(
        "color",
        None,
        "WHEN",
        "colour on standard error: auto (default), always, never",
    ),
    flag("no-task-backup", None, "keep no copy of the task file"),
    flag(
        "strict-env-validation",
        None,
        "use only environment variables that begin with TASKER_",
    ),
    never_in_file(valued(
        "completions",
        None,
        "SHELL",
        "print a script that completes options: bash, zsh or fish",
    )),
    never_in_file(flag("help", Some('h'), "print help (-h: only the options)")),
    never_in_file(flag("version", Some('V'), "print the version")),
    flag("skip-command-validation", None, ""),
    flag("skip-security-validation", None, ""),
    flag("skip-subtask-range-validation", None, ""),
    flag("skip-unresolved-host-validation", None, ""),
];

/// Everything the command line and the file's options say.
pub struct Invocation {
    pub run: bool,
    pub log_dir: Option<PathBuf>,
    pub log_level: LogLevel,
    /// The name of an exec type; checked when all types are known. With its place
    /// where the file names it.
    pub exec: Option<(String, Option<Span>)>,
    pub timeout: Option<Duration>,
    pub project: Option<String>,
    pub start_from: Option<String>,
    pub resume: bool,
    pub auto_recovery: bool,
    pub show_recovery_info: bool,
    pub finish_only: bool,
    pub limit: Option<String>,
    pub exclude: Option<String>,
    /// What a rehearsal is to assume, as typed.
    pub assume: Vec<String>,
    pub assume_each_fails: bool,
    pub connection_test: bool,
    pub show_plan: Option<Form>,
    /// The digits of the reviewed plan's id.
    pub plan: Option<String>,
    pub expect_hosts: Option<RangeInclusive<usize>>,
    pub yes: bool,
    pub config: Option<PathBuf>,
    pub validate_only: bool,
    pub skip_host_validation: bool,
    pub skip_task_validation: bool,
    pub keep_going: bool,
    pub fire_and_forget: bool,
    pub max_steps: u64,
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
    /// Globals from `--set`, in order.
    pub settings: Vec<(String, String)>,
    /// Results for a program; the file where one is named.
    pub output_json: Option<Option<PathBuf>>,
    pub keep_output: Option<PathBuf>,
    pub report: Option<PathBuf>,
    pub quiet: bool,
    pub color: Color,
    pub no_task_backup: bool,
    pub strict_env: bool,
    /// Options without effect that were given.
    pub ignored: Vec<&'static str>,
    /// The words of the command line that a run which goes on needs again.
    pub again: Vec<String>,
}

impl Default for Invocation {
    fn default() -> Invocation {
        Invocation {
            run: false,
            log_dir: None,
            log_level: LogLevel::Info,
            exec: None,
            timeout: None,
            project: None,
            start_from: None,
            resume: false,
            auto_recovery: false,
            show_recovery_info: false,
            finish_only: false,
            limit: None,
            exclude: None,
            assume: Vec::new(),
            assume_each_fails: false,
            connection_test: false,
            show_plan: None,
            plan: None,
            expect_hosts: None,
            yes: false,
            config: None,
            validate_only: false,
            skip_host_validation: false,
            skip_task_validation: false,
            keep_going: false,
            fire_and_forget: false,
            max_steps: 100_000,
            on_interrupt: OnInterrupt::Drain,
            deadline: None,
            deadline_task: None,
            alert_on_failure: None,
            events: None,
            mail_once: false,
            instance_check: false,
            force_instance: false,
            lock_wait: None,
            lock_skip: false,
            splay: None,
            settings: Vec::new(),
            output_json: None,
            keep_output: None,
            report: None,
            quiet: false,
            color: Color::Auto,
            no_task_backup: false,
            strict_env: false,
            ignored: Vec::new(),
            again: Vec::new(),
        }
    }
}

/// An option as it was typed; the name is one of the table's.
pub struct Typed {
    opt: &'static Opt,
    value: Option<OsString>,
}

/// What the command line asks for.
pub enum Request {
    /// The short help (`-h`) or all of it.
    Help {
        short: bool,
    },
    Version,
    Completions(Shell),
    /// What is known of a run, or of all of them.
    Status {
        run: Option<OsString>,
        typed: Vec<Typed>,
    },
    /// The runs of a project.
    ProjectSummary {
        name: String,
        typed: Vec<Typed>,
    },
    Run {
        file: OsString,
        typed: Vec<Typed>,
    },
}

/// Reads the command line.
///
/// # Errors
/// One sentence for standard error; the exit code is 2.
pub fn read(arguments: impl Iterator<Item = OsString>) -> Result<Request, String> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let (mut file, mut typed) = (None, Vec::new());
    while let Some(argument) = parser.next().map_err(explain)? {
        let is_short = matches!(argument, lexopt::Arg::Short(_));
        let opt = match argument {
            lexopt::Arg::Value(value) if file.is_none() => {
                file = Some(value);
                continue;
            }
            lexopt::Arg::Value(value) => {
                let bare = |t: &Typed| t.opt.long == "show-plan" && t.value.is_none();
                let words = [file.as_ref(), Some(&value)].into_iter().flatten();
                let meant = words
                    .filter_map(|word| word.to_str())
                    .find(|word| form(word).is_ok() && typed.iter().any(bare))
                    .map(|word| format!("; did you mean `--show-plan={word}`?"));
                return Err(format!(
                    "one task file at a time; `{}` is a second one{}",
                    value.to_string_lossy(),
                    meant.unwrap_or_default()
                ));
            }
            lexopt::Arg::Long(name) => long(name)?,
            lexopt::Arg::Short(c) => short(c)?,
        };
        match (opt.long, opt.value) {
            ("help", _) => return Ok(Request::Help { short: is_short }),
            ("version", _) => return Ok(Request::Version),
            (_, Some(_)) if opt.value_is_optional() => typed.push(Typed {
                opt,
                value: parser.optional_value(),
            }),
            ("completions", Some(what)) => {
                let value = parser.value().map_err(|_| needs(opt, what))?;
                return shell(&value.to_string_lossy()).map(Request::Completions);
            }
            (_, Some(what)) => match parser.value() {
                Ok(value) if !value.is_empty() => typed.push(Typed {
                    opt,
                    value: Some(value),
                }),
                _ => return Err(needs(opt, what)),
            },
            (_, None) => typed.push(Typed { opt, value: None }),
        }
    }
    if typed.iter().any(|t| QUESTIONS.contains(&t.opt.long)) {
        return question(file, typed);
    }
    match file {
        Some(file) => Ok(Request::Run { file, typed }),
        None => Err("no task file given".into()),
    }
}

/// Options that ask about earlier runs, and run nothing.
const QUESTIONS: [&str; 2] = ["status", "project-summary"];

/// What may stand beside one of them.
const BESIDE: [&str; 4] = ["log-dir", "config", "color", "quiet"];

fn question(file: Option<OsString>, typed: Vec<Typed>) -> Result<Request, String> {
    let asks = |t: &&Typed| QUESTIONS.contains(&t.opt.long);
    let Some(asked) = typed.iter().find(asks) else {
        return Err("no task file given".into());
    };
    let name = asked.opt.long;
    let fits = |t: &&Typed| t.opt.long == name || BESIDE.contains(&t.opt.long);
    if let Some(other) = typed.iter().find(|t| !fits(t)) {
        let other = other.opt.long;
        return Err(format!("`--{other}` and `--{name}` do not go together"));
    }
    let value = asked.value.clone().filter(|v| !v.is_empty());
    match (name, value, file) {
        // The run may as well be the next word: no file can be meant.
        ("status", None, run) | ("status", run, None) => Ok(Request::Status { run, typed }),
        ("status", Some(run), Some(other)) => Err(format!(
            "one run at a time; `{}` is a second one beside `{}`",
            other.to_string_lossy(),
            run.to_string_lossy()
        )),
        (_, _, Some(file)) => Err(format!(
            "`--{name}` reads no task file; leave `{}` out",
            file.to_string_lossy()
        )),
        (_, value, None) => project(&value.unwrap_or_default().to_string_lossy())
            .map(|name| Request::ProjectSummary { name, typed })
            .map_err(|why| format!("--{name}: {why}")),
    }
}

fn needs(opt: &Opt, what: &str) -> String {
    format!("`--{}` needs a value: {what}", opt.long)
}

fn explain(error: lexopt::Error) -> String {
    match error {
        lexopt::Error::UnexpectedValue { option, .. } => format!("`{option}` takes no value"),
        error => error.to_string(),
    }
}

fn long(name: &str) -> Result<&'static Opt, String> {
    OPTIONS.iter().find(|o| o.long == name).ok_or_else(|| {
        let known: Vec<String> = OPTIONS.iter().map(|o| format!("--{}", o.long)).collect();
        let near = did_you_mean(&format!("--{name}"), known.iter().map(String::as_str));
        format!(
            "unknown option `--{name}`{}{near}",
            if near.is_empty() { "" } else { "; " }
        )
    })
}

fn short(c: char) -> Result<&'static Opt, String> {
    OPTIONS
        .iter()
        .find(|o| o.short == Some(c))
        .ok_or_else(|| format!("unknown option `-{c}`"))
}

/// Reads an option line of a task file: `--opt=value`, `--opt value`, `-o value`.
/// The value is taken literally (SPEC §1).
fn read_line(line: &str) -> Result<Typed, String> {
    let (name, value) = match line.split_once(['=', ' ', '\t']) {
        Some((name, value)) => (name, Some(value.trim())),
        None => (line, None),
    };
    let (opt, value) = match name.strip_prefix("--") {
        Some("") => return Err(format!("expected an option, found `{name}`")),
        Some(name) => (long(name)?, value),
        None => {
            let mut letters = name[1..].chars();
            let opt = short(letters.next().ok_or("expected an option, found `-`")?)?;
            let attached = letters.as_str();
            (
                opt,
                if attached.is_empty() {
                    value
                } else {
                    Some(line[2..].trim_start_matches('='))
                },
            )
        }
    };
    if !opt.in_file {
        return Err(format!(
            "`--{}` is not allowed in a task file, only on the command line",
            opt.long
        ));
    }
    match (opt.value, value) {
        (Some(what), None | Some("")) if !opt.value_is_optional() => Err(needs(opt, what)),
        (None, Some(_)) => Err(format!("`--{}` takes no value", opt.long)),
        (_, value) => Ok(Typed {
            opt,
            value: value.map(OsString::from),
        }),
    }
}

/// The option that a line of a file names, without its value.
pub fn name_in(line: &str) -> &str {
    line.split(['=', ' ', '\t']).next().unwrap_or(line)
}

/// Where the value begins in a line that sets a secret global.
pub fn secret_value(line: &str) -> Option<usize> {
    let setting = line[name_in(line).len()..].trim_start_matches(['=', ' ', '\t']);
    let (name, value) = setting.split_once('=')?;
    (name_in(line) == "--set" && is_secret(name.trim())).then_some(line.len() - value.len())
}

impl Typed {
    /// The option as it would be typed again to go on; a secret only by its name.
    fn again(&self) -> Option<String> {
        let long = self.opt.long;
        let value = self.value.as_ref().map(|v| v.to_string_lossy());
        match (long, value) {
            // What is said anew, or was about the plan of the whole run.
            ("resume" | "auto-recovery" | "show-recovery-info" | "finish-only", _) => None,
            // Whoever goes on by hand wants to see it.
            ("quiet" | "mail-once", _) => None,
            ("run" | "start-from" | "limit" | "show-plan" | "plan" | "expect-hosts", _) => None,
            (_, None) => Some(format!("--{long}")),
            ("set", Some(set)) => {
                let name = set.split('=').next().unwrap_or("");
                let shown = if is_secret(name) {
                    format!("{name}=...")
                } else {
                    set.to_string()
                };
                Some(format!("--set {}", quote::word(&shown)))
            }
            (_, Some(value)) if self.opt.value_is_optional() => {
                Some(format!("--{long}={}", quote::word(&value)))
            }
            (_, Some(value)) => Some(format!("--{long} {}", quote::word(&value))),
        }
    }
}

impl Invocation {
    /// Applies the file's option lines, then the command line's.
    ///
    /// # Errors
    /// What is wrong with the command line; mistakes of the file are reported.
    pub fn new(
        typed: &[Typed],
        lines: &[Span],
        sources: &Sources,
        diagnostics: &mut Diagnostics,
    ) -> Result<Invocation, String> {
        let mut invocation = Invocation::default();
        for at in lines {
            if let Err(message) =
                read_line(sources.text(*at)).and_then(|typed| invocation.apply(&typed))
            {
                diagnostics.near_miss(*at, &message);
            }
            if let Some((_, place @ None)) = &mut invocation.exec {
                *place = Some(*at);
            }
        }
        for typed in typed {
            invocation.again.extend(typed.again());
            invocation
                .apply(typed)
                .map_err(|message| match typed.opt.value {
                    Some(_) => format!("--{}: {message}", typed.opt.long),
                    None => message,
                })?;
        }
        if invocation.run && crate::session::rehearsal::is_wanted(&invocation) {
            return Err("a rehearsal (--assume) runs nothing; leave -r out".into());
        }
        if invocation.deadline_task.is_some() && invocation.deadline.is_none() {
            return Err("--deadline-task does nothing alone; add --deadline TIME".into());
        }
        let typed_mail_once = typed.iter().any(|t| t.opt.long == "mail-once");
        if typed_mail_once && !invocation.quiet {
            return Err("--mail-once is about what -q prints; add -q".into());
        }
        if invocation.run && invocation.validate_only {
            return Err("--validate-only runs nothing; leave -r out".into());
        }
        Ok(invocation)
    }

    fn apply(&mut self, typed: &Typed) -> Result<(), String> {
        let value = typed.value.as_deref().unwrap_or_default();
        let text = || {
            value
                .to_str()
                .ok_or("the value is not UTF-8 text".to_string())
        };
        match typed.opt.long {
            "run" => self.run = true,
            "log-dir" => self.log_dir = Some(PathBuf::from(value)),
            "log-level" => self.log_level = log_level(text()?)?,
            "debug" => self.log_level = LogLevel::Debug,
            "type" => self.exec = Some((text()?.to_string(), None)),
            "timeout" => self.timeout = Some(crate::task::values::timeout(text()?)?),
            "project" => self.project = Some(project(text()?)?),
            "start-from" => self.start_from = Some(text()?.to_string()),
            "resume" => self.resume = true,
            "auto-recovery" => self.auto_recovery = true,
            "show-recovery-info" => self.show_recovery_info = true,
            "finish-only" => self.finish_only = true,
            "limit" => self.limit = Some(text()?.to_string()),
            "exclude" => self.exclude = Some(text()?.to_string()),
            "assume" => self.assume.push(text()?.to_string()),
            "assume-each-fails" => self.assume_each_fails = true,
            "connection-test" => self.connection_test = true,
            "show-plan" => self.show_plan = Some(form(text()?)?),
            "plan" => self.plan = Some(identity::digits(text()?)?),
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
            "max-steps" => self.max_steps = max_steps(text()?)?,
            "on-interrupt" => self.on_interrupt = on_interrupt(text()?)?,
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
            "status" | "project-summary" => {}
            "set" => self.settings.push(setting(text()?)?),
            "output-json" => {
                self.output_json = Some((!value.is_empty()).then(|| PathBuf::from(value)));
            }
            "keep-output" => self.keep_output = Some(PathBuf::from(value)),
            "report" => self.report = Some(PathBuf::from(value)),
            "quiet" => self.quiet = true,
            "color" => self.color = color(text()?)?,
            "no-task-backup" => self.no_task_backup = true,
            "strict-env-validation" => self.strict_env = true,
            old if !self.ignored.contains(&old) => self.ignored.push(old),
            _ => {}
        }
        Ok(())
    }

    /// The exec type of tasks that name none where no option does.
    pub fn exec_of_environment(&self) -> Option<String> {
        environment("TASK_EXECUTOR_TYPE")
    }

    /// The timeout of tasks that name none: `-o`, else the environment's.
    pub fn default_timeout(&self) -> Result<Option<Duration>, String> {
        match (self.timeout, environment("TASK_EXECUTOR_TIMEOUT")) {
            (None, Some(text)) => crate::task::values::timeout(&text)
                .map(Some)
                .map_err(|e| format!("TASK_EXECUTOR_TIMEOUT: {e}")),
            (timeout, _) => Ok(timeout),
        }
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var_os(name)
        .filter(|v| !v.is_empty())
        .map(|v| v.to_string_lossy().into_owned())
}

fn log_level(text: &str) -> Result<LogLevel, String> {
    let found = LogLevel::NAMES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text));
    let near = || near(text, LogLevel::NAMES.map(|(name, _)| name));
    found.map(|(_, level)| *level).ok_or_else(|| {
        format!(
            "expected ERROR, WARN, INFO or DEBUG, found {}{}",
            Found(text),
            near()
        )
    })
}

/// The word that is probably meant, at the end of a sentence.
fn near<const N: usize>(text: &str, words: [&str; N]) -> String {
    match did_you_mean(text, words) {
        near if near.is_empty() => near,
        near => format!("; {near}"),
    }
}

/// How the plan is printed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    Text,
    Picture(Language),
    Json,
}

fn form(text: &str) -> Result<Form, String> {
    match text {
        "" | "text" => Ok(Form::Text),
        "dot" => Ok(Form::Picture(Language::Dot)),
        "mermaid" => Ok(Form::Picture(Language::Mermaid)),
        "json" => Ok(Form::Json),
        _ => Err(format!(
            "expected text, dot, mermaid or json, found {}{}",
            Found(text),
            near(text, ["text", "dot", "mermaid", "json"])
        )),
    }
}

fn expect_hosts(text: &str) -> Result<RangeInclusive<usize>, String> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let number = |text: &str| text.trim().parse::<usize>().ok();
    match (number(from), number(to)) {
        (Some(from), Some(to)) if from <= to => Ok(from..=to),
        _ => Err(format!(
            "expected a number of hosts, or N..M, found {}",
            Found(text)
        )),
    }
}

fn color(text: &str) -> Result<Color, String> {
    let found = Color::NAMES.iter().find(|(name, _)| *name == text);
    let near = || near(text, Color::NAMES.map(|(name, _)| name));
    found.map(|(_, color)| *color).ok_or_else(|| {
        format!(
            "expected auto, always or never, found {}{}",
            Found(text),
            near()
        )
    })
}

fn shell(text: &str) -> Result<Shell, String> {
    let found = Shell::NAMES.iter().find(|(name, _)| *name == text);
    found.map(|(_, shell)| *shell).ok_or_else(|| {
        format!(
            "--completions: expected bash, zsh or fish, found {}{}",
            Found(text),
            near(text, Shell::NAMES.map(|(name, _)| name))
        )
    })
}

fn project(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match !text.is_empty() && text.len() <= 100 && text.chars().all(allowed) {
        true => Ok(text.to_string()),
        false => Err(format!(
            "expected a name of letters, digits, `.`, `_` and `-`, found {}",
            Found(text)
        )),
    }
}

fn max_steps(text: &str) -> Result<u64, String> {
    text.parse()
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(|| format!("expected a number from 1 on, found {}", Found(text)))
}

fn on_interrupt(text: &str) -> Result<OnInterrupt, String> {
    match text {
        "drain" => Ok(OnInterrupt::Drain),
        "kill" => Ok(OnInterrupt::Kill),
        _ => Err(format!(
            "expected `drain` or `kill`, found {}{}",
            Found(text),
            near(text, ["drain", "kill"])
        )),
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("expected NAME=VALUE, found {}", Found(text)))?;
    let name = name.trim();
    if !keys::is_identifier(name)
        || keys::find(name).is_some()
        || crate::task::globals::RESERVED.contains(&name)
    {
        return Err(format!("`{name}` cannot be the name of a global"));
    }
    Ok((name.to_string(), value.trim().to_string()))
}

/// Says what is wrong with the command line, in the form of other mistakes; the
/// exit code. What is probably meant is the remedy.
pub fn refuse(message: &str) -> i32 {
    let (message, help) = match message.rfind("; did you mean `") {
        Some(at) => (&message[..at], &message[at + 2..]),
        None => (message, "see tasker --help"),
    };
    crate::report::print::complain(format_args!(
        "tasker: error: {}\n     = help: {}",
        printable(message),
        printable(help)
    ));
    exit::USAGE
}

const USAGE: &str = "usage: tasker [OPTIONS] TASK_FILE\n";

/// The help: the options, and in its long form what surrounds them.
pub fn help(short: bool) -> String {
    let mut out = String::from(USAGE);
    out.push_str("Runs the tasks of a file; `-` reads standard input.\n\n");
    for opt in OPTIONS.iter().filter(|o| !o.help.is_empty()) {
        let letter = opt.short.map_or("    ".into(), |c| format!("-{c}, "));
        let space = if opt.value_is_optional() { "" } else { " " };
        let value = opt.value.map_or(String::new(), |v| format!("{space}{v}"));
        out.push_str(&format!(
            "  {letter}--{:<28} {}\n",
            format!("{}{value}", opt.long),
            opt.help
        ));
    }
    if short {
        return out;
    }
    out.push_str(&format!(
        "
Exit codes:
  0    the flow reached its end, or return=0
  N    return=N, or the run stopped at a command that failed with N
  1    --keep-going went past failures
  {}    the command line is wrong
  {}   the run stopped at a criterion, a block or a decision
  {}   --start-from is not possible, or the plan is not the one of --plan
  {}   not the number of hosts that --expect-hosts says
  {}   --max-steps was reached
  {}   the deadline passed, or something did not fit before it
  {}   the task file is invalid; {} it holds no tasks
  {}   another instance of this run is active
  {}   the task file is not there; {} it cannot be read
  {}   the log directory cannot be written
  {}   a host cannot be resolved or reached
  {}   an exec type's program is missing, or its test failed
  {}  stopped by a task's timeout
  129, 130, 143  ended by SIGHUP, SIGINT, SIGTERM

Environment: TASK_EXECUTOR_TYPE, TASK_EXECUTOR_TIMEOUT, TASK_EXECUTOR_LOG and
TASKER_CONFIG stand in for -t, -o, -l and --config.
See tasker(1), tasker-file(5) and tasker.conf(5).
",
        exit::USAGE,
        exit::CRITERION,
        exit::POSITION,
        exit::EXPECTED_HOSTS,
        exit::MAX_STEPS,
        exit::DEADLINE,
        exit::INVALID,
        exit::NO_TASKS,
        exit::ACTIVE,
        exit::NO_FILE,
        exit::UNREADABLE,
        exit::LOG_DIR,
        exit::HOST,
        exit::EXEC_TYPE,
        exit::TIMEOUT,
    ));
    out
}

/// The timeout's value as it is shown in the log's head.
pub fn shown_timeout(timeout: Duration) -> String {
    duration::setting(timeout)
}
