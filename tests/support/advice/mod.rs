//! Random workflows whose tasks leave effects, the ways in which a run of one ends
//! early, and what is wrong with what came of it once the printed advice was followed.

pub mod chain;
pub mod generator;
pub mod judge;
pub mod line;
pub mod round;
pub mod shrink;
pub mod workflow;
