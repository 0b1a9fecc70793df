//! What was asked: the command line and the options that a task file holds.
#![forbid(unsafe_code)]

pub mod arguments;
pub mod completions;
pub mod help;
pub mod invocation;
pub mod options;
