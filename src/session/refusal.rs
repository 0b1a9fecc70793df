//! Why a run did not begin: what everything that is asked before it may answer.
#![forbid(unsafe_code)]

use crate::exit;
use crate::report::print;
use crate::text::diagnostic::printable;
use std::io;
use std::path::PathBuf;

/// Why a run did not begin.
pub struct Refusal {
    pub code: i32,
    /// One sentence.
    pub why: String,
    /// Lines that come before it; mostly none.
    pub before: String,
    /// Lines that follow it; mostly none.
    pub detail: String,
    /// The log that says more, where there is one already.
    pub log: Option<PathBuf>,
}

impl Refusal {
    pub fn new(code: i32, why: impl Into<String>) -> Refusal {
        Refusal {
            code,
            why: why.into(),
            before: String::new(),
            detail: String::new(),
            log: None,
        }
    }

    pub fn print(&self) {
        print::complain_raw(format_args!("{}", self.before));
        print::complain(format_args!("tasker: {}; nothing was run", self.why));
        print::complain_raw(format_args!("{}", self.detail));
    }
}

/// What was to be written in the log directory cannot be.
pub fn unwritable(e: io::Error) -> Refusal {
    Refusal::new(exit::LOG_DIR, e.to_string())
}

/// There is nowhere to keep records.
pub fn homeless() -> Refusal {
    Refusal::new(
        exit::LOG_DIR,
        "no home directory to keep the log in; name a directory with -l DIR",
    )
}

/// Says what is wrong with the command line, in the form of other mistakes; the
/// exit code. What is probably meant is the remedy.
pub fn refuse_command_line(message: &str) -> i32 {
    let (message, help) = match message.rfind("; did you mean `") {
        Some(at) => (&message[..at], &message[at + 2..]),
        None => (message, "see tasker --help"),
    };
    print::complain(format_args!(
        "tasker: error: {}\n     = help: {}",
        printable(message),
        printable(help)
    ));
    exit::USAGE
}
