//! What the file says: text and positions in it, before anything has a meaning.
//!
//! Knows nothing of tasks, hosts, processes or the run.
#![forbid(unsafe_code)]

pub mod bash;
#[cfg(test)]
#[path = "../../tests/support/chance.rs"]
pub mod chance;
pub mod condition;
pub mod condition_parser;
pub mod decimal;
pub mod diagnostic;
pub mod duration;
pub mod evaluate;
pub mod glob;
pub mod home;
pub mod input_file;
pub mod invisible;
pub mod json;
pub mod moment;
pub mod nearest;
pub mod number;
pub mod quote;
pub mod scanner;
pub mod script;
pub mod search;
pub mod sha256;
pub mod size;
pub mod source;
pub mod template;
pub mod words;
