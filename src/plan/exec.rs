//! Exec types (SPEC §5): one table of how a command reaches its host.
#![forbid(unsafe_code)]

/// A part of an exec type's argument vector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arg {
    Literal(&'static str),
    Hostname,
    /// The words of `command`, then those of `arguments`.
    Words,
}

/// How an exec type runs what it is given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    /// The words are the program and its arguments.
    Words,
    /// `COMMAND ARGUMENTS` is a script for the local shell.
    Script,
    /// A program that carries the words to the host.
    Argv(&'static [Arg]),
}

#[derive(Debug, PartialEq)]
pub struct ExecType {
    /// The name and its aliases.
    pub names: &'static [&'static str],
    pub way: Way,
}

impl ExecType {
    pub fn name(&self) -> &'static str {
        self.names[0]
    }

    /// Whether it runs on this machine, whatever the host.
    pub fn is_local(&self) -> bool {
        !matches!(self.way, Way::Argv(_))
    }
}

use Arg::{Hostname, Literal, Words};

pub const TYPES: &[ExecType] = &[
    ExecType {
        names: &["local"],
        way: Way::Words,
    },
    ExecType {
        names: &["shell", "bash", "sh"],
        way: Way::Script,
    },
    ExecType {
        names: &["pbrun"],
        way: Way::Argv(&[
            Literal("pbrun"),
            Literal("-n"),
            Literal("-h"),
            Hostname,
            Words,
        ]),
    },
    ExecType {
        names: &["p7s"],
        way: Way::Argv(&[Literal("p7s"), Hostname, Words]),
    },
    ExecType {
        names: &["wwrs"],
        way: Way::Argv(&[Literal("wwrs_clir"), Hostname, Words]),
    },
];

/// The type for a host that is not this machine when nothing names one.
pub const REMOTE_DEFAULT: &str = "pbrun";

/// The exec type of that name or alias.
pub fn find(name: &str) -> Option<&'static ExecType> {
    TYPES.iter().find(|t| t.names.contains(&name))
}

pub fn names() -> impl Iterator<Item = &'static str> {
    TYPES.iter().flat_map(|t| t.names.iter().copied())
}
