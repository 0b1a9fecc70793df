//! What would happen: the checked workflow, the rules of the flow, the words
//! that would be executed. Starts nothing and contacts nobody.
#![forbid(unsafe_code)]

pub mod as_json;
pub mod bounds;
pub mod check;
pub mod conf;
mod dominators;
pub mod exec;
pub mod flow;
pub mod graph;
pub mod identity;
mod idle;
pub mod listing;
pub mod outline;
pub mod picture;
pub mod recipe;
pub mod targets;
mod uses;
pub mod waves;
pub mod workflow;
