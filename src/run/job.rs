//! Fills a task's command with the values of the moment: the job for a runner.
#![forbid(unsafe_code)]

use super::runner::{Job, Stdin};
use super::view::View;
use crate::plan::exec::{self, Arg, ExecType, Way};
use crate::plan::recipe::{self, Defaults, Payload, Recipe};
use crate::task::{Command, host};
use crate::text::quote;
use crate::text::script::{Script, variable};
use crate::text::template::{Field, Lookup, Piece, Reference, Template};
use std::ffi::CString;
use std::sync::Arc;
use std::time::Duration;

/// How much of an output goes into a command line, in bytes (SPEC §2.1).
const OUTPUT_IN_WORD: usize = 100 << 10;
/// The longest word, in bytes: the kernel takes 128 KiB with its final NUL.
const WORD: usize = (128 << 10) - 1;

/// A job and how to show it.
pub struct Prepared {
    pub job: Job,
    pub exec: &'static ExecType,
    /// The command line, quoted for a shell, secrets masked.
    pub shown: String,
}

/// What jobs of one run have in common.
pub struct Common {
    pub environment: Arc<Vec<CString>>,
    pub run_id: String,
}

impl Common {
    pub fn new(run_id: &str) -> Common {
        use std::os::unix::ffi::OsStrExt;
        let variable = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok()
        };
        let environment = std::env::vars_os().filter_map(variable).collect();
        Common {
            environment: Arc::new(environment),
            run_id: run_id.to_string(),
        }
    }
}

/// The host of a task's command; a late name is checked now.
///
/// # Errors
/// Why the name is unusable.
pub fn host_of(command: &Command, view: &View) -> Result<String, String> {
    let Some(template) = &command.hostname else {
        return Ok("localhost".into());
    };
    let host = String::from_utf8_lossy(&template.fill(view)).into_owned();
    host::check(&host)?;
    Ok(host)
}

/// Makes the job of a command.
///
/// # Errors
/// Why it cannot be started; the task then fails with 126.
pub fn prepare(
    command: &Command,
    recipe: &Recipe,
    defaults: &Defaults,
    common: &Common,
    view: &View,
    timeout: Duration,
) -> Result<Prepared, String> {
    let late;
    let (exec, payload) = match recipe {
        Recipe::Ready { exec, payload } => (*exec, payload),
        Recipe::Late => {
            let exec = late_exec(command, defaults, view)?;
            late = recipe::payload(command, exec, defaults.strict_env)?;
            (exec, &late)
        }
        Recipe::None => return Err("there is no command".into()),
    };
    let mut filler = Filler {
        view,
        shown: Vec::new(),
    };
    let mut settings = vec![
        setting("TASKER_TASK", view.own.task.as_bytes()),
        setting("TASKER_HOSTNAME", view.own.hostname.as_bytes()),
        setting("TASKER_RUN_ID", common.run_id.as_bytes()),
    ];
    for (name, value) in &command.env {
        let value = filler.limited(value, name.len() + 1, &format!("env.{name}"));
        settings.push(setting(name, &value));
    }
    let words = match payload {
        Payload::Words(words) => filler.words(exec, words),
        Payload::Script(script) => filler.script(script, &mut settings),
    };
    let job = Job {
        number: 0,
        words,
        environment: common.environment.clone(),
        settings,
        stdin: stdin(command, view),
        workdir: command.workdir.as_ref().map(|w| w.fill(view)),
        timeout,
    };
    Ok(Prepared {
        job,
        exec,
        shown: filler.shown.join(" "),
    })
}

/// The exec type of a task whose type or host comes from a result.
fn late_exec(
    command: &Command,
    defaults: &Defaults,
    view: &View,
) -> Result<&'static ExecType, String> {
    match &command.exec {
        Some(name) => {
            let name = String::from_utf8_lossy(&name.fill(view)).into_owned();
            exec::find(name.trim()).ok_or_else(|| format!("there is no exec type `{name}`"))
        }
        None => recipe::default_exec(Some(&view.own.hostname), defaults)
            .ok_or_else(|| "no exec type".into()),
    }
}

fn setting(name: &str, value: &[u8]) -> CString {
    // NUL bytes are gone already; an empty string is what is left of a mistake.
    CString::new([name.as_bytes(), b"=", value].concat()).unwrap_or_default()
}

fn without_nul(mut value: Vec<u8>, view: &View, what: &str) -> Vec<u8> {
    if value.contains(&0) {
        view.doubts.borrow_mut().push(format!(
            "{what} lost its NUL bytes; `stdin=@N_stdout@` and `@N_stdout_file@` keep them"
        ));
        value.retain(|b| *b != 0);
    }
    value
}

fn stdin(command: &Command, view: &View) -> Stdin {
    let Some(value) = &command.stdin else {
        return Stdin::Null;
    };
    // A stream alone in the value is handed over byte for byte (SPEC §1.1).
    if let [
        Piece::Reference {
            to:
                Reference::Field {
                    task,
                    field: field @ (Field::Stdout | Field::Stderr),
                },
            ..
        },
    ] = value.pieces.as_slice()
        && let Some(result) = view.results.get(*task)
    {
        let stream = if *field == Field::Stdout {
            &result.stdout
        } else {
            &result.stderr
        };
        return Stdin::Stream(stream.clone());
    }
    Stdin::Bytes(value.fill(view))
}

struct Filler<'a> {
    view: &'a View<'a>,
    shown: Vec<String>,
}

impl Filler<'_> {
    fn words(&mut self, exec: &ExecType, payload: &[Template]) -> Vec<Vec<u8>> {
        let Way::Argv(args) = exec.way else {
            return self.payload(payload);
        };
        let mut out = Vec::new();
        for arg in args {
            match arg {
                Arg::Literal(text) => {
                    self.shown.push(quote::word(text));
                    out.push(text.as_bytes().to_vec());
                }
                Arg::Hostname => {
                    self.shown.push(quote::word(&self.view.own.hostname));
                    out.push(self.view.own.hostname.as_bytes().to_vec());
                }
                Arg::Words => out.extend(self.payload(payload)),
            }
        }
        out
    }

    fn payload(&mut self, payload: &[Template]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        for word in payload {
            self.shown.push(quote::word(&shown(word, self.view)));
            out.push(self.word(word));
        }
        out
    }

    /// `bash -c SCRIPT`, its data in the environment.
    fn script(&mut self, script: &Script, settings: &mut Vec<CString>) -> Vec<Vec<u8>> {
        for (index, value) in script.values.iter().enumerate() {
            let name = variable(index + 1);
            self.shown
                .push(format!("{name}={}", quote::word(&shown(value, self.view))));
            let value = self.limited(value, name.len() + 1, "a value in the script");
            settings.push(setting(&name, &value));
        }
        let shell = if std::path::Path::new("/bin/bash").exists() {
            "/bin/bash"
        } else {
            "/bin/sh"
        };
        self.shown.extend([
            shell.to_string(),
            "-c".into(),
            quote::word(&shown(&script.text, self.view)),
        ]);
        vec![shell.into(), b"-c".to_vec(), self.word(&script.text)]
    }

    fn word(&self, word: &Template) -> Vec<u8> {
        self.limited(word, 0, "a word of the command line")
    }

    /// A word with its values, cut to what the kernel takes with that much before
    /// it (the name of a variable).
    fn limited(&self, word: &Template, before: usize, what: &str) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in &word.pieces {
            match piece {
                Piece::Text { text, .. } => out.extend_from_slice(text.as_bytes()),
                Piece::Data { bytes, .. } => out.extend_from_slice(bytes),
                Piece::Reference { to, written, .. } => {
                    let value = self.view.value_within(*to, OUTPUT_IN_WORD);
                    out.extend_from_slice(self.cut(&value, OUTPUT_IN_WORD, written));
                }
            }
        }
        let out = without_nul(out, self.view, what);
        self.cut(&out, WORD.saturating_sub(before), what).to_vec()
    }

    /// At most `limit` bytes, not ending within a character.
    fn cut<'b>(&self, value: &'b [u8], limit: usize, what: &str) -> &'b [u8] {
        if value.len() <= limit {
            return value;
        }
        let text = format!(
            "{what} is cut at {} KiB; `stdin=@N_stdout@` and `@N_stdout_file@` hold all of an output",
            limit.div_ceil(1 << 10)
        );
        self.view.doubts.borrow_mut().push(text);
        let continues = |at: &usize| value[*at] & 0xc0 == 0x80;
        let end = (limit.saturating_sub(3)..=limit)
            .rev()
            .find(|at| !continues(at))
            .unwrap_or(limit);
        &value[..end]
    }
}

/// How many characters of one word a log line shows.
const SHOWN: usize = 2000;

fn shown(word: &Template, view: &View) -> String {
    struct Short<'a>(&'a View<'a>);
    impl Lookup for Short<'_> {
        fn value(&self, reference: Reference) -> std::borrow::Cow<'_, [u8]> {
            self.0.value_within(reference, SHOWN)
        }
    }
    let text = word.shown(Some(&Short(view)));
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
