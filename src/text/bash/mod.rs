//! Bash's language, read to know where data in a script would become code.
#![forbid(unsafe_code)]

pub mod ansi_c;
pub mod arithmetic;
pub mod builtins;
pub mod carried;
pub mod checker;
pub mod commands;
pub mod known_programs;
pub mod options;
pub mod places;
pub mod program;
pub mod programs;
pub mod reader;
pub mod scripts;
pub mod tree;
pub mod values;
pub mod walk;
pub mod words;
