//! What happens: the walk through the workflow, the processes, their results.
//!
//! Emits events and does not know who reads them.

pub mod capture;
pub mod child;
pub mod engine;
pub mod event;
pub mod family;
pub mod guardian;
pub mod interrupt;
pub mod job;
pub mod pool;
pub mod result;
pub mod runner;
pub mod sys;
pub mod view;
