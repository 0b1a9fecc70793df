//! What happens: the walk through the workflow, the processes, their results.
//!
//! Emits events and does not know who reads them. `engine` walks, with `step`
//! for one task, `block` for parallel blocks and `branch` for conditionals; it
//! sees commands only through `runner`, behind which `pool` runs real ones.

pub mod block;
pub mod branch;
pub mod capture;
pub mod child;
pub mod connection_limit;
pub mod contact;
pub mod deadline;
pub mod engine;
pub mod evaluation;
pub mod event;
pub mod guardian;
pub mod interrupt;
pub mod job;
pub mod journal;
pub mod launch;
#[cfg(test)]
mod model;
pub mod pool;
pub mod pretend;
pub mod process_context;
pub mod process_group;
pub mod record;
pub mod remote;
pub mod restore;
pub mod result;
pub mod runner;
pub mod snapshot;
pub mod stdin_pipe;
pub mod step;
pub mod sys;
