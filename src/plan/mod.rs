//! What would happen: the checked workflow, the rules of the flow, the words
//! that would be executed. Starts no process and contacts no host.
#![forbid(unsafe_code)]

pub mod as_json;
mod bounds;
pub mod check;
pub mod conf;
pub mod coverage;
pub mod diagram;
mod dominators;
pub mod durations;
pub mod environment_hosts;
pub mod exec;
mod exit_255;
pub mod facility;
mod fall_throughs;
pub mod fingerprints;
pub mod flow;
pub mod graph;
pub mod hosts;
mod keys_without_effect;
pub mod listing;
pub mod lost_results;
pub mod outline;
pub mod payload;
pub mod plan_id;
pub mod plan_settings;
pub mod programs;
pub mod reach;
pub mod recipe;
mod result_uses;
pub mod shown_command;
mod ssh_options;
pub mod start;
pub mod task_ends;
mod task_settings;
pub mod waves;
pub mod workflow;
