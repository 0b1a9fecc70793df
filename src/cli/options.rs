//! Every option, once: the command line, the option lines of a task file, the
//! help, the completions and the check of the man page all read this table.
#![forbid(unsafe_code)]

use crate::plan::diagram::DiagramLanguage;
use crate::report::color::Color;
use crate::report::log::LogLevel;
use crate::run::interrupt::OnInterrupt;
use crate::text::diagnostic::expected;
use crate::text::nearest::{did_you_mean, suggestion};

/// One option.
pub struct CliOption {
    pub long: &'static str,
    pub short: Option<char>,
    /// What the value is called, without brackets; nothing for a flag.
    pub value: Option<&'static str>,
    /// The value can be left out, and is only taken after a `=`.
    pub value_is_optional: bool,
    /// What a shell can offer for the value.
    pub offers: Offers,
    /// What becomes of it in a task file.
    pub in_file: InFile,
    /// Which printed command lines about the run give it again.
    pub kept: KeptIn,
    /// It can be given several times, each adding to the others.
    pub adds_up: bool,
    /// Its value is a path: in a file, `~/` at its beginning is the home directory.
    pub is_path: bool,
    /// Empty for options of old files, which are accepted without effect.
    pub help: &'static str,
}

/// What becomes of an option in a task file (SPEC §1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InFile {
    /// It is refused there: a file must not run itself, take a protection away, or be
    /// an action of its own.
    Refused,
    /// It says how the file is read, checked or run, and holds at once.
    AtOnce,
    /// It writes, runs a program, contacts a host or sends something: it holds only with
    /// `-r`, and only once the file is accepted.
    OnceAccepted,
}

/// Where an option of a run is needed again.
#[derive(Clone, Copy, PartialEq)]
pub enum KeptIn {
    Nothing,
    /// A fresh run; one that is resumed has it in its journal.
    FreshRun,
    /// Also a run that is resumed.
    EveryRun,
}

/// What completes an option's value.
#[derive(Clone, Copy)]
pub enum Offers {
    Nothing,
    Words(&'static [&'static str]),
    /// The built-in exec types.
    ExecTypes,
    Files,
    Directories,
    /// Ids and names of the tasks in the task file on the line.
    Tasks,
}

const fn flag(long: &'static str, help: &'static str) -> CliOption {
    CliOption {
        long,
        short: None,
        value: None,
        value_is_optional: false,
        offers: Offers::Nothing,
        // A new option is refused there until somebody decides what it may do.
        in_file: InFile::Refused,
        kept: KeptIn::EveryRun,
        adds_up: false,
        is_path: false,
        help,
    }
}

const fn valued(
    long: &'static str,
    value: &'static str,
    offers: Offers,
    help: &'static str,
) -> CliOption {
    CliOption {
        value: Some(value),
        is_path: matches!(offers, Offers::Files | Offers::Directories),
        offers,
        ..flag(long, help)
    }
}

impl CliOption {
    const fn short(self, letter: char) -> CliOption {
        CliOption {
            short: Some(letter),
            ..self
        }
    }

    const fn optional(self) -> CliOption {
        CliOption {
            value_is_optional: true,
            ..self
        }
    }

    const fn in_file(self, in_file: InFile) -> CliOption {
        CliOption { in_file, ..self }
    }

    const fn not_kept(self) -> CliOption {
        CliOption {
            kept: KeptIn::Nothing,
            ..self
        }
    }

    /// A journal keeps it.
    const fn in_journal(self) -> CliOption {
        CliOption {
            kept: KeptIn::FreshRun,
            ..self
        }
    }

    const fn adding_up(self) -> CliOption {
        CliOption {
            adds_up: true,
            ..self
        }
    }

    /// What the help and a message call the value: `DIR`, `[=FORM]`; empty for a
    /// flag.
    pub fn shown_value(&self) -> String {
        match self.value {
            Some(value) if self.value_is_optional => format!("[={value}]"),
            Some(value) => value.to_string(),
            None => String::new(),
        }
    }

    /// What is wrong where the value is missing.
    pub fn needs_value(&self) -> String {
        format!("`--{}` needs a value: {}", self.long, self.shown_value())
    }
}

const LEVELS: [&str; 4] = words(LogLevel::NAMES);
const COLORS: [&str; 3] = words(Color::NAMES);
const SHELLS: [&str; 3] = words(Shell::NAMES);
const FORMS: [&str; 4] = words(PlanForm::NAMES);
const INTERRUPTS: [&str; 2] = words(OnInterrupt::NAMES);
const LAST: [&str; 4] = [
    "last:failed",
    "last:unreachable",
    "last:not_started",
    "last:not_ok",
];

use InFile::{AtOnce, OnceAccepted};
use Offers::{Directories, ExecTypes, Files, Nothing, Tasks, Words};

#[rustfmt::skip]
pub const OPTIONS: &[CliOption] = &[
    flag("run", "run the tasks; without it they are only checked and listed")
        .short('r').not_kept(),
    valued("log-dir", "DIR", Directories, "where logs and records go (default: ~/TASKER)")
        .short('l').in_file(OnceAccepted),
    valued("log-level", "LEVEL", Words(&LEVELS), "ERROR, WARN, INFO (default) or DEBUG")
        .in_file(AtOnce),
    flag("debug", "the same as --log-level=DEBUG").short('d').in_file(AtOnce),
    valued("type", "TYPE", ExecTypes, "exec type of tasks without exec=")
        .short('t').in_journal().in_file(AtOnce),
    valued("timeout", "TIME", Nothing, "timeout of tasks without timeout= (default: 300)")
        .short('o').in_journal().in_file(AtOnce),
    valued("project", "NAME", Nothing, "add a line to this project's summary").short('p')
        .in_file(OnceAccepted),
    valued("start-from", "ID", Tasks, "begin at this task").not_kept(),
    valued("resume", "RUN", Nothing, "resume the interrupted or failed run of this file, or this one")
        .optional().not_kept(),
    valued("resume-at", "[RUN:]ID", Tasks, "go on at this task with the results of the last run, or of RUN")
        .not_kept(),
    flag("all-hosts", "with --resume-at: also on the hosts of that task that did well")
        .not_kept(),
    flag("auto-recovery", "--resume if there is such a run, else a fresh run").not_kept()
        .in_file(AtOnce),
    flag("show-recovery-info", "print what --resume would do").not_kept(),
    flag("finish-only", "run only the final tasks of the interrupted run")
        .not_kept(),
    valued("limit", "SET", Words(&LAST), "run blocks over hosts only on this node set")
        .in_journal().adding_up().in_file(AtOnce),
    valued("exclude", "SET", Nothing, "leave this node set out of blocks over hosts")
        .in_journal().adding_up().in_file(AtOnce),
    valued("assume", "RESULT", Nothing, "rehearse with this result: TASK=exit 3")
        .adding_up(),
    flag("assume-each-fails", "rehearse a failure of each task, and list where it leads"),
    flag("connection-test", "also ping every host and test every exec type on it").short('c')
        .in_file(OnceAccepted),
    valued("show-plan", "FORM", Words(&FORMS), "print the plan: text, dot, mermaid or json; with -r, then ask")
        .optional().not_kept().in_file(AtOnce),
    valued("plan", "ID", Nothing, "run only if the plan still has this id")
        .not_kept(),
    valued("expect-hosts", "N", Nothing, "run only on N distinct hosts, or on N..M").not_kept()
        .in_file(AtOnce),
    flag("yes", "ask nothing before the run").short('y'),
    valued("config", "FILE", Files, "read this file instead of the usual tasker.conf"),
    flag("validate-only", "check as for a run, print the findings but no plan").in_file(AtOnce),
    flag("skip-host-validation", "do not resolve or contact hosts before the run").in_file(AtOnce),
    flag("skip-task-validation", "no flow checks and no warnings"),
    flag("skip-validation", "the same as all --skip options"),
    flag("keep-going", "continue past failures that nothing handles; end with 1")
        .short('k').in_journal().in_file(AtOnce),
    flag("fire-and-forget", "the same, but end with 0").in_journal(),
    valued("max-steps", "N", Nothing, "run at most N tasks (default: 100000)").in_file(AtOnce),
    valued("on-interrupt", "HOW", Words(&INTERRUPTS), "what the first Ctrl-C does: drain (default) or kill")
        .in_file(AtOnce),
    valued("deadline", "TIME", Nothing, "start only what ends by 04:00, +2h, 2024-01-15T04:00")
        .not_kept().in_file(AtOnce),
    valued("deadline-task", "ID", Tasks, "jump to this task when something does not fit")
        .not_kept().in_file(AtOnce),
    valued("alert-on-failure", "PROGRAM", Files, "run this program once when a real run fails")
        .in_file(OnceAccepted),
    valued("events", "FILE", Files, "append each event of the run to this file, as a line of JSON")
        .in_file(OnceAccepted),
    flag("mail-once", "with -q: report the same failure as last time in one line").not_kept()
        .in_file(OnceAccepted),
    flag("instance-check", "refuse to run while another instance of this run is active")
        .in_file(AtOnce),
    flag("force-instance", "run even if another instance is active"),
    valued("lock-wait", "TIME", Nothing, "wait this long for another instance to end")
        .in_file(AtOnce),
    flag("lock-skip", "end quietly with 0 if another instance is active").in_file(AtOnce),
    valued("splay", "TIME", Nothing, "wait a random time up to this before the run")
        .in_file(AtOnce),
    valued("status", "RUN", Files, "show what runs, or how a run ended: by run id or task file")
        .optional(),
    flag("prune", "remove what keep_logs and keep_state no longer keep").not_kept(),
    valued("project-summary", "NAME", Nothing, "print the runs of this project as a table, with totals"),
    valued("set", "NAME=VALUE", Nothing, "set or override a global")
        .in_journal().adding_up().in_file(AtOnce),
    valued("output-json", "FILE", Files, "write the results as JSON (default: in the log directory)")
        .optional().in_file(OnceAccepted),
    valued("keep-output", "DIR", Directories, "keep all output, one file per task or host and stream")
        .in_file(OnceAccepted),
    valued("report", "FILE.html", Files, "write an HTML report: outcome, timeline, table, outputs")
        .in_file(OnceAccepted),
    valued("metrics", "FILE", Files, "write how the run ended for Prometheus (textfile collector)")
        .in_file(OnceAccepted),
    flag("syslog", "tell syslog of the run's begin, failures and end").in_file(OnceAccepted),
    flag("quiet", "print nothing unless the run fails").short('q').not_kept().in_file(AtOnce),
    valued("color", "WHEN", Words(&COLORS), "colour on standard error: auto (default), always, never")
        .in_file(AtOnce),
    flag("no-task-backup", "keep no copy of the task file").in_file(AtOnce),
    flag("strict-env-validation", "use only environment variables that begin with TASKER_")
        .in_file(AtOnce),
    valued("completions", "SHELL", Words(&SHELLS), "print a completion script: bash, zsh or fish"),
    flag("help", "print help (-h: only the options)").short('h'),
    flag("version", "print the version").short('V'),
    flag("skip-command-validation", "").in_file(AtOnce),
    flag("skip-security-validation", "").in_file(AtOnce),
    flag("skip-subtask-range-validation", "").in_file(AtOnce),
    flag("skip-unresolved-host-validation", "").in_file(AtOnce),
];

/// The options that the help and the completions list: not those of old files.
pub fn listed() -> impl Iterator<Item = &'static CliOption> {
    OPTIONS.iter().filter(|o| !o.help.is_empty())
}

/// The option with this long name.
///
/// # Errors
/// One sentence, with the option that is probably meant.
pub fn find_long(name: &str) -> Result<&'static CliOption, String> {
    OPTIONS.iter().find(|o| o.long == name).ok_or_else(|| {
        let known: Vec<String> = OPTIONS.iter().map(|o| format!("--{}", o.long)).collect();
        let near = did_you_mean(&format!("--{name}"), known.iter().map(String::as_str));
        format!(
            "unknown option `--{name}`{}{near}",
            if near.is_empty() { "" } else { "; " }
        )
    })
}

/// The option with this letter.
///
/// # Errors
/// One sentence.
pub fn find_short(letter: char) -> Result<&'static CliOption, String> {
    let found = OPTIONS.iter().find(|o| o.short == Some(letter));
    found.ok_or_else(|| format!("unknown option `-{letter}`"))
}

/// A shell that there is a completion script for.
#[derive(Clone, Copy, Debug)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    pub const NAMES: [(&'static str, Shell); 3] = [
        ("bash", Shell::Bash),
        ("zsh", Shell::Zsh),
        ("fish", Shell::Fish),
    ];
}

/// How the plan is printed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PlanForm {
    Text,
    Diagram(DiagramLanguage),
    Json,
}

impl PlanForm {
    pub const NAMES: [(&'static str, PlanForm); 4] = [
        ("text", PlanForm::Text),
        ("dot", PlanForm::Diagram(DiagramLanguage::Dot)),
        ("mermaid", PlanForm::Diagram(DiagramLanguage::Mermaid)),
        ("json", PlanForm::Json),
    ];
}

/// The first of each pair.
const fn words<T: Copy, const N: usize>(pairs: [(&'static str, T); N]) -> [&'static str; N] {
    let mut words = [""; N];
    let mut at = 0;
    while at < N {
        words[at] = pairs[at].0;
        at += 1;
    }
    words
}

/// What a word stands for.
///
/// # Errors
/// One sentence: the words that are expected, and the one that is probably meant.
pub fn choose<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let quoted = |(word, _): &(&str, T)| format!("`{word}`");
    let quoted: Vec<String> = choices.iter().map(quoted).collect();
    let near = suggestion(text, choices.iter().map(|(word, _)| *word));
    let (last, others) = quoted.split_last().map_or(("", &[][..]), |(l, o)| (l, o));
    let choices = format!("{} or {last}", others.join(", "));
    Err(expected(&choices, text) + &near)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What SPEC §1 says of each option in a task file, also of those to come.
    const REFUSED: &str = "run force-instance yes confirmed skip-task-validation skip-validation
        fire-and-forget plan help version config resume resume-at all-hosts start-from finish-only
        show-recovery-info status follow confirm refuse prune project-summary completions example
        assume assume-each-fails";
    const ONCE_ACCEPTED: &str = "log-dir connection-test project report output-json events
        keep-output metrics syslog alert-on-failure mail-once";
    const AT_ONCE: &str = "log-level debug type timeout auto-recovery limit exclude show-plan
        expect-hosts validate-only skip-host-validation keep-going max-steps on-interrupt deadline
        deadline-task instance-check lock-wait lock-skip splay set set-file quiet color
        no-task-backup strict-env-validation wait-for-confirm live events-output
        skip-command-validation skip-security-validation skip-subtask-range-validation
        skip-unresolved-host-validation";

    /// A new option must be sorted into one of them.
    #[test]
    fn every_option_has_its_place_in_a_task_file() {
        for option in OPTIONS {
            let listed = match option.in_file {
                InFile::Refused => REFUSED,
                InFile::OnceAccepted => ONCE_ACCEPTED,
                InFile::AtOnce => AT_ONCE,
            };
            let is_listed = listed.split_whitespace().any(|long| long == option.long);
            assert!(
                is_listed,
                "--{} is not to be {:?}",
                option.long, option.in_file
            );
        }
    }
}
