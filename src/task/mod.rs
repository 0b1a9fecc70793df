//! What each task means: typed tasks with every reference resolved.
//!
//! Does not know how tasks hang together (that is `plan`) nor how they run.
#![forbid(unsafe_code)]

pub mod build;
pub mod globals;
pub mod host;
pub mod keys;
pub mod mask;
mod model;
pub mod nodeset;
mod raw;
mod reader;
pub mod resolve;
pub mod values;

pub use model::{
    Command, Conditional, Criterion, Deferrable, Ix, Members, NextRule, Parallel, ResultUse, Task,
    TaskKind, resolve_setting,
};
