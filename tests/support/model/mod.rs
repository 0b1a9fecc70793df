//! A reference model of SPEC §3 (conditions, flow, retries, loops, blocks, handlers,
//! final tasks, exit codes), written from that page and apart from the engine, and a
//! generator of workflows for it. It knows nothing of processes: what a command
//! answers is in a table.

pub mod generator;
pub mod interpreter;
pub mod logic;
pub mod shrink;
pub mod workflow;
