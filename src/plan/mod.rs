//! What would happen: the checked workflow, the rules of the flow, the words
//! that would be executed. Starts nothing and contacts nobody.
#![forbid(unsafe_code)]

pub mod check;
pub mod conf;
pub mod exec;
pub mod flow;
pub mod graph;
pub mod listing;
pub mod recipe;
pub mod waves;
pub mod workflow;
