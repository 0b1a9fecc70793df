//! Why a run did not begin: the answer of everything that is asked before it.
#![forbid(unsafe_code)]

use crate::exit;
use crate::run::interrupt;
use std::io;
use std::path::Path;

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
    /// The remedy, for a mistake on the command line.
    pub help: Option<Box<str>>,
    /// The log that says more, if there already is one.
    pub log: Option<Box<Path>>,
    /// The file of an option that cannot be written: nothing tries it again.
    pub unwritable: Option<Box<Path>>,
}

impl Refusal {
    pub fn new(code: i32, why: impl Into<String>) -> Refusal {
        Refusal {
            code,
            why: why.into(),
            ..Refusal::default()
        }
    }

    /// A mistake on the command line; what is probably meant is the remedy.
    pub fn of_command_line(message: &str) -> Refusal {
        let (why, help) = match message.rfind("; did you mean `") {
            Some(at) => (&message[..at], &message[at + 2..]),
            None => (message, "see tasker --help"),
        };
        Refusal {
            help: Some(help.into()),
            ..Refusal::new(exit::USAGE, why)
        }
    }

    /// A signal came before the run began.
    pub fn of_signal(signal: i32) -> Refusal {
        let name = interrupt::signal_name(signal);
        Refusal::new(exit::SIGNAL + signal, format!("ended by {name}"))
    }

    /// The file that an option names cannot be written.
    pub fn of_destination(path: &Path, e: &io::Error) -> Refusal {
        Refusal {
            unwritable: Some(path.into()),
            ..Refusal::new(exit::LOG_DIR, e.to_string())
        }
    }
}

/// Something in the log directory cannot be written.
pub fn unwritable(e: io::Error) -> Refusal {
    Refusal::new(exit::LOG_DIR, e.to_string())
}

/// There is nowhere to keep records.
pub fn homeless() -> Refusal {
    Refusal::new(
        exit::LOG_DIR,
        "no home directory to keep logs and records in; name a directory with -l DIR",
    )
}
