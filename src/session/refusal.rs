//! Why a run did not begin: the answer of everything that is asked before it.
#![forbid(unsafe_code)]

use crate::exit;
use crate::run::directory;
use crate::run::interrupt;
use crate::text::diagnostic::reason;
use std::io;
use std::path::Path;

/// How a remedy begins that corrects a word.
const MEANT: &str = "did you mean `";

/// Why a run did not begin; `session::rejection` reports it.
#[derive(Default)]
pub struct Refusal {
    pub code: i32,
    /// One sentence, without the name of the task file.
    pub why: String,
    /// Lines that come before it; usually empty.
    pub findings: String,
    /// Lines that follow it; usually empty.
    pub detail: Box<str>,
    /// The remedy, if it is known.
    pub help: Option<Box<str>>,
    /// It is a mistake on the command line, and has the form of one in a file.
    pub is_usage: bool,
    /// The log that says more, if there already is one.
    pub log: Option<Box<Path>>,
    /// The file of an option that cannot be written: nothing tries it again.
    pub unwritable: Option<Box<Path>>,
}

impl Refusal {
    /// What is probably meant, at the end of the sentence, becomes the remedy.
    pub fn new(code: i32, why: impl Into<String>) -> Refusal {
        let mut why = why.into();
        let help = why.rfind(&format!("; {MEANT}")).map(|at| {
            let help = why[at + 2..].into();
            why.truncate(at);
            help
        });
        Refusal {
            code,
            why,
            help,
            ..Refusal::default()
        }
    }

    /// A mistake on the command line, which always has a remedy.
    pub fn of_command_line(message: &str) -> Refusal {
        let refusal = Refusal::new(exit::USAGE, message);
        Refusal {
            is_usage: true,
            help: refusal.help.or(Some("see tasker --help".into())),
            ..refusal
        }
    }

    /// A signal came before the run began.
    pub fn of_signal(signal: i32) -> Refusal {
        let name = interrupt::signal_name(signal);
        Refusal::new(exit::SIGNAL + signal, format!("ended by {name}"))
    }

    /// The file that an option names cannot be written.
    pub fn of_destination(option: &str, path: &Path, e: &io::Error) -> Refusal {
        Refusal {
            unwritable: Some(path.into()),
            help: remedy(e),
            ..Refusal::new(exit::LOG_DIR, format!("{option}: {e}"))
        }
    }

    /// Why the run did not begin, with what was probably meant instead.
    pub fn sentence(&self) -> String {
        match self.help.as_deref() {
            Some(help) if help.starts_with(MEANT) => format!("{}; {help}", self.why),
            _ => self.why.clone(),
        }
    }
}

/// Something in the log directory cannot be written.
pub fn unwritable(e: io::Error) -> Refusal {
    Refusal {
        help: remedy(&e),
        ..Refusal::new(exit::LOG_DIR, reason(&e))
    }
}

/// What every run needs of the system, whatever it runs, is not to be had.
pub fn no_process(e: io::Error) -> Refusal {
    let why = format!(
        "cannot start the guardian process or a thread: {}",
        reason(&e)
    );
    Refusal::new(exit::LOG_DIR, why)
}

/// What helps where a directory of the log directory is not the user's alone.
fn remedy(e: &io::Error) -> Option<Box<str>> {
    let is_sudo = std::env::var_os("SUDO_USER").is_some_and(|user| !user.is_empty());
    let sudo = match is_sudo {
        true => ", or use sudo -H for the home directory of the user that runs it",
        false => "",
    };
    directory::is_about_trust(e)
        .then(|| format!("name another directory with -l DIR{sudo}").into_boxed_str())
}

/// There is nowhere to keep records.
pub fn homeless() -> Refusal {
    Refusal::new(
        exit::LOG_DIR,
        "no home directory to keep logs and records in; name a directory with -l DIR",
    )
}
