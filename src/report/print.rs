//! Prints to standard output and standard error. A closed or full stream is never
//! an error here: there is nowhere left to report it.
#![forbid(unsafe_code)]

use std::fmt::Arguments;
use std::io::Write;

/// Prints to standard output.
pub fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Prints a line to standard error. (`eprintln!` would panic.)
pub fn complain(text: Arguments) {
    complain_raw(format_args!("{text}\n"));
}

/// Prints to standard error text that has its line ends.
pub fn complain_raw(text: Arguments) {
    let _ = std::io::stderr().write_all(text.to_string().as_bytes());
}
