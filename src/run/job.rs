//! Makes the job for a runner: a task's command with its current values filled in.
#![forbid(unsafe_code)]

use super::evaluated::{Checked, CodeSearch};
use super::evaluation::Evaluation;
use super::remote::{self, RemoteCommand};
use super::required;
use super::runner::{Job, Stdin};
use crate::plan::exec::{Arg, ExecMethod, ExecType, local_shell};
use crate::plan::payload::{self, Payload};
use crate::plan::recipe::{self, Defaults, Recipe};
use crate::plan::shown_command::shown_client;
use crate::task::global_value::is_secret;
use crate::task::mask::Mask;
use crate::task::{Command, host};
use crate::text::quote;
use crate::text::script::{Script, variable};
use crate::text::template::{Field, Lookup, Piece, Reference, Template};
use std::borrow::Cow;
use std::ffi::CString;
use std::sync::Arc;
use std::time::Duration;

/// The longest word, in bytes: the kernel accepts 128 KiB with the final NUL.
const WORD_MAX: usize = (128 << 10) - 1;

/// A job, and how to show it.
pub struct PreparedJob {
    pub job: Job,
    pub exec: Arc<ExecType>,
    /// The command line, quoted for a shell, secrets masked.
    pub shown: String,
}

/// What all jobs of a run have in common.
pub struct JobEnvironment {
    pub environment: Arc<Vec<CString>>,
    pub run_id: String,
    /// Hides secrets in command lines that are shown.
    pub mask: Mask,
    /// Nothing is run, so every output is empty unless it is assumed.
    pub pretended: bool,
}

impl JobEnvironment {
    pub fn new(run_id: &str, mask: Mask) -> JobEnvironment {
        use std::os::unix::ffi::OsStrExt;
        let variable = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok()
        };
        let environment = std::env::vars_os().filter_map(variable).collect();
        JobEnvironment {
            environment: Arc::new(environment),
            run_id: run_id.to_string(),
            mask,
            pretended: false,
        }
    }

    /// For a runner that starts no process.
    pub fn pretended(run_id: &str, mask: Mask) -> JobEnvironment {
        JobEnvironment {
            pretended: true,
            ..JobEnvironment::new(run_id, mask)
        }
    }
}

/// What limits the time of a task's command.
#[derive(Clone, Copy, Default)]
pub struct TimeoutRule {
    /// The task's own `timeout`.
    pub own: Option<Duration>,
    /// For a task without one whose exec type has none either.
    pub default: Duration,
    /// Limits both defaults before the deadline.
    pub default_max: Option<Duration>,
    /// The time left for its block.
    pub left: Option<Duration>,
}

impl TimeoutRule {
    fn timeout(self, exec: &ExecType) -> Duration {
        let default = exec.timeout.unwrap_or(self.default);
        let default = self.default_max.map_or(default, |max| max.min(default));
        let timeout = self.own.unwrap_or(default);
        self.left.map_or(timeout, |left| left.min(timeout))
    }
}

/// The host of a task's command. A name that comes from a result is checked now.
///
/// # Errors
/// Why the name cannot be used.
pub fn host_of(command: &Command, evaluation: &Evaluation) -> Result<String, String> {
    let Some(template) = &command.hostname else {
        return Ok("localhost".into());
    };
    evaluation.purpose.set("a host name");
    let host = required::fill(template, evaluation)?;
    let host = String::from_utf8_lossy(&host).into_owned();
    host::check(&host)?;
    Ok(host)
}

/// Checks that no result is missing that every copy of a block's command needs.
///
/// # Errors
/// As for `required::check`.
pub fn check_results(
    command: &Command,
    recipe: &Recipe,
    evaluation: &Evaluation,
) -> Result<(), String> {
    let (words, line) = match recipe {
        Recipe::Ready { payload, .. } => match payload {
            Payload::Words { words, .. } => (&words[..], None),
            Payload::Script(script) => (&script.values[..], None),
        },
        Recipe::Late | Recipe::None => (&[][..], Some(&command.command)),
    };
    let late = line.into_iter().chain(command.arguments.iter());
    let others = [&command.stdin, &command.workdir].into_iter().flatten();
    let variables = command.env.iter().map(|(_, value)| value);
    words
        .iter()
        .chain(late)
        .chain(others)
        .chain(variables)
        .try_for_each(|value| required::check(value, evaluation))
}

/// Makes the job of a command.
///
/// # Errors
/// Why it cannot start; the task then fails with 126.
pub fn prepare(
    command: &Command,
    recipe: &Recipe,
    defaults: &Defaults,
    common: &JobEnvironment,
    evaluation: &Evaluation,
    timeout: TimeoutRule,
) -> Result<PreparedJob, String> {
    let late;
    let (exec, payload) = match recipe {
        Recipe::Ready { exec, payload } => (exec.clone(), payload),
        Recipe::Late => {
            let exec = late_exec(command, defaults, evaluation)?;
            late = payload::late_payload(command, &exec, defaults.strict_env)?;
            (exec, &late)
        }
        Recipe::None => return Err("there is no command".into()),
    };
    let filler = Filler {
        evaluation,
        pretended: common.pretended,
    };
    let variables = filler.variables(command, common)?;
    let filled = match payload {
        Payload::Words { words, of_command } => {
            filler.words(&exec, words, *of_command, &variables)?
        }
        Payload::Script(script) => filler.script(&exec, script, &variables)?,
    };
    let workdir = command
        .workdir
        .as_ref()
        .map(|w| filler.path(w))
        .transpose()?;
    let stdin = stdin(command, evaluation)?;
    if let Payload::Script(script) = payload
        && (script.guard.needed && !common.pretended)
    {
        check_evaluated(command, script, &variables, &filled, &stdin, common)?;
    }
    let settings = variables
        .iter()
        .chain(&filled.values)
        .map(|(name, value)| setting(name, value));
    let job = Job {
        settings: settings.collect(),
        stdin,
        workdir,
        remote: filled.remote,
        ..new_job(
            &exec,
            filled.words,
            &evaluation.context.hostname,
            common,
            timeout.timeout(&exec),
        )
    };
    Ok(PreparedJob {
        job,
        exec,
        shown: filled.shown.join(" "),
    })
}

/// A job of plain words on a host, for the probe of an exec type.
pub fn from_words(
    exec: &ExecType,
    words: &[String],
    host: &str,
    common: &JobEnvironment,
    timeout: Duration,
) -> Job {
    let words: Vec<Vec<u8>> = match exec.way {
        // A program that takes a script takes it as one word.
        ExecMethod::Argv(_) if exec.takes_script() => vec![words.join(" ").into_bytes()],
        _ => words.iter().map(|w| w.clone().into_bytes()).collect(),
    };
    let (words, remote) = match &exec.way {
        ExecMethod::Ssh { options, .. } => (
            ssh_words(options, host),
            Some(RemoteCommand::from_words(&words, &[])),
        ),
        ExecMethod::Argv(args) => (fill_argv(args, &words, &[], host), None),
        ExecMethod::Words | ExecMethod::Script => (words, None),
    };
    Job {
        settings: vec![setting("TASKER_HOSTNAME", host.as_bytes())],
        remote,
        ..new_job(exec, words, host, common, timeout)
    }
}

/// Checks that nothing that bash will evaluate as a number holds code.
fn check_evaluated(
    command: &Command,
    script: &Script,
    variables: &[Variable],
    filled: &FilledCommand,
    stdin: &Stdin,
    common: &JobEnvironment,
) -> Result<(), String> {
    let own = variables.iter().map(|(name, value)| setting(name, value));
    let environment: Vec<CString> = common.environment.iter().cloned().chain(own).collect();
    let search = CodeSearch::new(&environment, script.guard);
    let is_masked = |value: &[u8]| common.mask.apply_bytes(value) != value;
    for (template, value) in script.values.iter().zip(&filled.script_values) {
        let (what, help) = evaluated_value(template);
        let checked = Checked {
            what: &what,
            help: &help,
            secret: template.has_secret() || is_masked(value),
        };
        search.check(value, &checked)?;
    }
    for (name, value) in variables {
        let of_task = command.env.iter().find(|(own, _)| own == name);
        if of_task.is_some_and(|(_, template)| template.known().is_some() && !holds_data(template))
        {
            continue;
        }
        let of_template = of_task.is_some_and(|(_, template)| template.has_secret());
        let checked = Checked {
            what: &format!("`{name}`"),
            help: &format!("write `env.{name}=@N_number@`"),
            secret: of_template || is_secret(name) || is_masked(value),
        };
        search.check(value, &checked)?;
    }
    if let Some(template) = command.stdin.as_ref().filter(|t| holds_data(t)) {
        let checked = Checked {
            what: "the standard input",
            help: "let the script make numbers of it with `| tr -dc 0-9`",
            secret: template.has_secret() || !common.mask.named_secrets().is_empty(),
        };
        search.check_stdin(stdin, &checked)?;
    }
    Ok(())
}

/// How a value of a script is called, and what to use in its place.
fn evaluated_value(template: &Template) -> (String, String) {
    let [Piece::Reference { written, .. }] = template.pieces.as_slice() else {
        return (
            "a value from the environment".into(),
            "use `@NAME_number@` of the global that holds it".into(),
        );
    };
    let help = match written.strip_suffix("_stdout@") {
        Some(start) => format!("use `{start}_number@`"),
        None => "make a number of it with `| tr -dc 0-9`".into(),
    };
    (format!("`{written}`"), help)
}

fn holds_data(template: &Template) -> bool {
    template
        .pieces
        .iter()
        .any(|piece| !matches!(piece, Piece::Text { .. }))
}

/// A job that only has its words.
fn new_job(
    exec: &ExecType,
    words: Vec<Vec<u8>>,
    host: &str,
    common: &JobEnvironment,
    timeout: Duration,
) -> Job {
    Job {
        number: 0,
        task: None,
        host: host.to_string(),
        words,
        environment: common.environment.clone(),
        settings: Vec::new(),
        stdin: Stdin::Null,
        workdir: None,
        timeout,
        deadline: None,
        remote: None,
        carried: matches!(exec.way, ExecMethod::Argv(_)) && !exec.is_local(),
    }
}

/// The exec type of a task whose exec type or host comes from a result.
fn late_exec(
    command: &Command,
    defaults: &Defaults,
    evaluation: &Evaluation,
) -> Result<Arc<ExecType>, String> {
    match &command.exec {
        Some(name) => {
            let name = required::fill(name, evaluation)?;
            let name = String::from_utf8_lossy(&name).into_owned();
            defaults.types.resolve(name.trim()).cloned()
        }
        None => recipe::default_exec(Some(&evaluation.context.hostname), defaults)
            .ok_or_else(|| "no exec type".into()),
    }
}

fn setting(name: &str, value: &[u8]) -> CString {
    // NUL bytes were removed before, so this does not fail.
    CString::new([name.as_bytes(), b"=", value].concat()).unwrap_or_default()
}

fn without_nul(mut value: Vec<u8>, evaluation: &Evaluation, what: &str) -> Vec<u8> {
    if value.contains(&0) {
        evaluation.warnings.borrow_mut().push(format!(
            "{what}: NUL bytes were removed; `stdin=@N_stdout@` and `@N_stdout_file@` keep them"
        ));
        value.retain(|b| *b != 0);
    }
    value
}

fn stdin(command: &Command, evaluation: &Evaluation) -> Result<Stdin, String> {
    let Some(value) = &command.stdin else {
        return Ok(Stdin::Null);
    };
    required::check(value, evaluation)?;
    // A value that is only a stream is passed on byte for byte (SPEC §1.1).
    if let [
        Piece::Reference {
            to:
                Reference::Field {
                    task,
                    field: field @ (Field::Stdout | Field::Stderr),
                },
            default,
            ..
        },
    ] = value.pieces.as_slice()
        && let Some(result) = evaluation.result_of(*task)
    {
        let stream = match field {
            Field::Stdout => &result.stdout,
            _ => &result.stderr,
        };
        if default.is_none() || stream.trimmed_len() > 0 {
            return Ok(Stdin::Stream(stream.clone()));
        }
    }
    evaluation.purpose.set("`stdin=` with text around it");
    let mut text = value.fill(evaluation);
    // As bash's `<<<`: `while read` sees only lines that are ended. Nothing stays nothing.
    if !text.is_empty() && !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    Ok(Stdin::Bytes(text))
}

struct Filler<'a> {
    evaluation: &'a Evaluation<'a>,
    /// In a rehearsal an output is empty because nothing was run.
    pretended: bool,
}

/// A variable and its value.
type Variable = (String, Vec<u8>);

/// A command with its values filled in.
#[derive(Default)]
struct FilledCommand {
    /// What is executed on this machine.
    words: Vec<Vec<u8>>,
    /// The values of a script, for its environment.
    values: Vec<Variable>,
    /// The values of a script, wherever they are passed.
    script_values: Vec<Vec<u8>>,
    remote: Option<RemoteCommand>,
    /// The words to show.
    shown: Vec<String>,
}

impl Filler<'_> {
    /// The variables that every command gets, and the task's `env.NAME`.
    fn variables(
        &self,
        command: &Command,
        common: &JobEnvironment,
    ) -> Result<Vec<Variable>, String> {
        let own = &self.evaluation.context;
        let mut out = vec![
            ("TASKER_TASK".to_string(), own.task.clone().into_bytes()),
            (
                "TASKER_HOSTNAME".to_string(),
                own.hostname.clone().into_bytes(),
            ),
            (
                "TASKER_RUN_ID".to_string(),
                common.run_id.clone().into_bytes(),
            ),
        ];
        for (name, value) in &command.env {
            self.check_path(value, false, &[])?;
            let value = self.limited(value, name.len() + 1, &format!("env.{name}"))?;
            out.push((name.clone(), value));
        }
        Ok(out)
    }

    fn words(
        &self,
        exec: &ExecType,
        payload: &[Template],
        of_command: usize,
        variables: &[Variable],
    ) -> Result<FilledCommand, String> {
        let host = &self.evaluation.context.hostname;
        let words: Result<Vec<Vec<u8>>, String> = payload
            .iter()
            .map(|word| {
                self.check_path(word, false, &[])?;
                self.word_bytes(word)
            })
            .collect();
        let words = words?;
        let shown: Vec<String> = payload.iter().map(|word| self.shown(word)).collect();
        Ok(match &exec.way {
            ExecMethod::Ssh { options, .. } => FilledCommand {
                words: ssh_words(options, host),
                remote: Some(RemoteCommand::from_words(&words, variables)),
                shown: [
                    shown_client(options, host),
                    vec![quote::shell_word(&shown.join(" "))],
                ]
                .concat(),
                ..FilledCommand::default()
            },
            ExecMethod::Argv(args) => {
                let (command, arguments) = words.split_at(of_command);
                FilledCommand {
                    words: fill_argv(args, command, arguments, host),
                    shown: show_argv(args, &shown[..of_command], &shown[of_command..], host),
                    ..FilledCommand::default()
                }
            }
            ExecMethod::Words | ExecMethod::Script => FilledCommand {
                words,
                shown,
                ..FilledCommand::default()
            },
        })
    }

    /// A script: its values go into the environment of a local shell. Elsewhere they
    /// precede the script as assignments.
    fn script(
        &self,
        exec: &ExecType,
        script: &Script,
        variables: &[Variable],
    ) -> Result<FilledCommand, String> {
        for word in &script.words {
            self.check_path(&word.text, word.expands, &word.unknown)?;
        }
        let host = &self.evaluation.context.hostname;
        let mut values = Vec::new();
        let mut shown = Vec::new();
        for (index, value) in script.values.iter().enumerate() {
            let name = variable(index + 1);
            shown.push(format!("{name}={}", self.shown(value)));
            let value = self.limited(value, name.len() + 1, "a value in the script")?;
            values.push((name, value));
        }
        let checked = values.iter().filter(|_| script.guard.needed);
        let script_values = checked.map(|(_, value)| value.clone()).collect();
        let text = self.word_bytes(&script.text)?;
        let shown_text = self.shown(&script.text);
        Ok(match &exec.way {
            ExecMethod::Ssh { options, .. } => {
                shown.extend(shown_client(options, host));
                shown.push(shown_text);
                FilledCommand {
                    words: ssh_words(options, host),
                    remote: Some(RemoteCommand::from_script(
                        &text,
                        &values,
                        variables,
                        script.bash_only.is_some(),
                    )),
                    shown,
                    script_values,
                    ..FilledCommand::default()
                }
            }
            ExecMethod::Argv(args) => {
                let whole = [assignments(&values), text].concat();
                if whole.len() > WORD_MAX {
                    return Err(format!(
                        "the script with its values would have {} bytes, and at most {WORD_MAX} can be passed; pass large data with `stdin=@N_stdout@`, or its file with `@N_stdout_file@`",
                        whole.len()
                    ));
                }
                shown.extend(show_argv(args, &[shown_text], &[], host));
                FilledCommand {
                    words: fill_argv(args, &[whole], &[], host),
                    shown,
                    script_values,
                    ..FilledCommand::default()
                }
            }
            ExecMethod::Words | ExecMethod::Script => {
                let shell = local_shell();
                shown.extend([shell.to_string(), "-c".into(), shown_text]);
                FilledCommand {
                    words: vec![shell.into(), b"-c".to_vec(), text],
                    values,
                    shown,
                    script_values,
                    ..FilledCommand::default()
                }
            }
        })
    }

    /// The word as it is shown, quoted.
    fn shown(&self, word: &Template) -> String {
        quote::shell_word(&shown(word, self.evaluation))
    }

    /// The value of a path; no result in it is missing or leaves a part out.
    fn path(&self, value: &Template) -> Result<Vec<u8>, String> {
        self.check_path(value, false, &[])?;
        self.limited(value, 0, "workdir")
    }

    fn check_path(&self, word: &Template, expands: bool, unknown: &[usize]) -> Result<(), String> {
        // What is missing is the better reason.
        required::check(word, self.evaluation)?;
        match self.pretended {
            true => Ok(()),
            false => required::check_path(word, expands, unknown, self.evaluation),
        }
    }

    fn word_bytes(&self, word: &Template) -> Result<Vec<u8>, String> {
        self.limited(word, 0, "a word of the command line")
    }

    /// A word with its values, without NUL bytes. `before` bytes precede it, such as the
    /// name of a variable.
    ///
    /// # Errors
    /// A result in it is missing, or it is longer than the kernel accepts: nothing runs
    /// with a part of it (SPEC §2.1).
    fn limited(&self, word: &Template, before: usize, what: &str) -> Result<Vec<u8>, String> {
        required::check(word, self.evaluation)?;
        let limit = WORD_MAX.saturating_sub(before);
        let mut out = Vec::new();
        for piece in &word.pieces {
            match piece {
                Piece::Text { text, .. } => out.extend_from_slice(text.as_bytes()),
                Piece::Data { bytes, .. } => out.extend_from_slice(bytes),
                Piece::Reference { to, default, .. } => {
                    let default = default.as_deref();
                    let value = self.evaluation.value_up_to(*to, default, limit);
                    let value = value.ok().or_else(|| {
                        // Without its NUL bytes it may fit; one is kept for the warning.
                        let kept = self.evaluation.without_nul_up_to(*to, limit)?;
                        Some(Cow::Owned([&kept[..], b"\0"].concat()))
                    });
                    match value {
                        Some(value) => out.extend_from_slice(&value),
                        None => return Err(too_long(word, limit, what, self.evaluation)),
                    }
                }
            }
        }
        let out = without_nul(out, self.evaluation, what);
        match out.len() > limit {
            true => Err(too_long(word, limit, what, self.evaluation)),
            false => Ok(out),
        }
    }
}

/// Why a word is not passed: its size, that of the results in it, and what to write
/// instead.
fn too_long(word: &Template, limit: usize, what: &str, evaluation: &Evaluation) -> String {
    let mut total: u64 = word.pieces.iter().map(|piece| piece.size() as u64).sum();
    let mut longest: Option<(u64, &str)> = None;
    for piece in &word.pieces {
        if let Piece::Reference {
            to,
            written,
            default,
            ..
        } = piece
        {
            let length = match evaluation.value_up_to(*to, default.as_deref(), limit) {
                Ok(value) => value.len() as u64,
                Err(length) => length,
            };
            total += length;
            if longest.is_none_or(|(most, _)| length > most) {
                longest = Some((length, written));
            }
        }
    }
    let begin = format!("{what} would have {total} bytes, and at most {limit} can be passed");
    let Some((length, written)) = longest else {
        return format!("{begin}; pass large data with `stdin=`");
    };
    format!("{begin} (`{written}` has {length}); {}", whole(written))
}

/// How to pass the whole of a result that is too long.
fn whole(written: &str) -> String {
    let name = written.trim_matches('@');
    let name = name.split(":-").next().unwrap_or(name);
    let of_stream = ["_stdout", "_stderr"].iter().any(|end| {
        let from = name.len().saturating_sub(end.len());
        name.get(from..)
            .is_some_and(|n| n.eq_ignore_ascii_case(end))
    });
    match of_stream {
        true => format!(
            "pass it whole with `stdin=@{name}@`, or its file with `@{name}_file@` if it has more than 1 MiB"
        ),
        false => format!("pass it whole with `stdin=@{name}@`"),
    }
}

/// ssh, up to the options of the exec type. ssh takes the first value that it is given
/// for a setting, so what must not be changed comes before them.
const SSH: &[&str] = &["ssh", "-o", "BatchMode=yes", "-T"];

/// What follows the options of the exec type, up to the host.
const SSH_DEFAULTS: &[&str] = &[
    "-o",
    "ConnectTimeout=10",
    "-o",
    "ServerAliveInterval=15",
    "--",
];

/// ssh with all its options, up to the host.
pub fn ssh_client(options: &[String]) -> impl Iterator<Item = &str> {
    let options = options.iter().map(String::as_str);
    let fixed = |words: &'static [&'static str]| words.iter().copied();
    fixed(SSH).chain(options).chain(fixed(SSH_DEFAULTS))
}

/// The words that start ssh (SPEC §5). The command for the host comes on its standard
/// input.
fn ssh_words(options: &[String], host: &str) -> Vec<Vec<u8>> {
    let mut words: Vec<Vec<u8>> = ssh_client(options).map(|w| w.as_bytes().to_vec()).collect();
    words.extend([
        host::for_ssh(host).into_owned().into_bytes(),
        remote::wrapper_command().into_bytes(),
    ]);
    words
}

/// An exec type's argument vector with the words filled in.
fn fill_argv(args: &[Arg], command: &[Vec<u8>], arguments: &[Vec<u8>], host: &str) -> Vec<Vec<u8>> {
    let word = |parts: &[Option<String>]| with_host(parts, host).into_bytes();
    fill_args(args, command, arguments, word)
}

/// The same with words that are shown, which are quoted.
fn show_argv(args: &[Arg], command: &[String], arguments: &[String], host: &str) -> Vec<String> {
    let word = |parts: &[Option<String>]| quote::shell_word(&with_host(parts, host));
    fill_args(args, command, arguments, word)
}

fn fill_args<W: Clone>(
    args: &[Arg],
    command: &[W],
    arguments: &[W],
    word: impl Fn(&[Option<String>]) -> W,
) -> Vec<W> {
    let mut out = Vec::new();
    for arg in args {
        match arg {
            Arg::Word(parts) => out.push(word(parts)),
            Arg::Command | Arg::Script => out.extend_from_slice(command),
            Arg::Arguments => out.extend_from_slice(arguments),
        }
    }
    out
}

fn with_host(parts: &[Option<String>], host: &str) -> String {
    parts.iter().map(|p| p.as_deref().unwrap_or(host)).collect()
}

/// The values as `NAME='VALUE'` lines, for a script that another program runs.
fn assignments(values: &[Variable]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in values {
        out.extend_from_slice(format!("{name}=").as_bytes());
        out.extend(quote::shell_bytes(value, b"\n"));
        out.push(b'\n');
    }
    out
}

/// How many characters of a word are shown.
const SHOWN_MAX: usize = 2000;

/// The word as it is shown. Secrets are masked in the values before anything is quoted
/// or cut.
fn shown(word: &Template, evaluation: &Evaluation) -> String {
    struct ShortValues<'a>(&'a Evaluation<'a>);
    impl Lookup for ShortValues<'_> {
        fn value(&self, reference: Reference) -> Cow<'_, [u8]> {
            self.value_or(reference, None)
        }

        fn value_or<'v>(&'v self, reference: Reference, default: Option<&'v str>) -> Cow<'v, [u8]> {
            let mask = self.0.mask;
            let value = self
                .0
                .value_within(reference, default, SHOWN_MAX + mask.reach());
            Cow::Owned(mask.apply_to_range(&value, 0, SHOWN_MAX))
        }
    }
    let text = word.shown(Some(&ShortValues(evaluation)));
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
