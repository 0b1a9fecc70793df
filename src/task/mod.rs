//! What each task means: typed tasks with every reference resolved.
//!
//! Knows nothing of how tasks are connected (see `plan`) or run (see `run`).
#![forbid(unsafe_code)]

pub mod build;
pub mod global_value;
pub mod globals;
pub mod host;
pub mod host_files;
mod key_reader;
pub mod keys;
pub mod mask;
mod model;
pub mod nodeset;
pub mod ownership;
mod raw;
mod reader;
pub mod resolve;
pub mod result_hosts;
pub mod secret_index;
pub mod value_text;
pub mod values;

pub use model::{
    Command, Conditional, Criterion, Deferrable, Ix, Members, NextRule, Parallel, ResultUse, Task,
    TaskKind, resolve_setting,
};
