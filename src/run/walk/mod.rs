//! The walk through the workflow. All of it are methods of `Engine`, spread over
//! files by subject; each file imports only from those above it.
//!
//! | File | What it decides or does |
//! |---|---|
//! | `engine` | the state of a run; evaluates values, emits events |
//! | `waiting` | waits; signals; the deadline; whether anything can still start |
//! | `recording` | what is taken from the journal, and what is recorded there |
//! | `numbers` | a task's timeout, retries, delays, iterations |
//! | `verdict` | whether a result is a success, and what its verdict is |
//! | `command` | one command, from its words to its result |
//! | `subtasks` | the state of a running parallel block |
//! | `parallel` | parallel blocks: which subtask starts when; waves |
//! | `conditional` | conditional blocks |
//! | `step` | one attempt of one task of any kind |
//! | `on_resume` | what a resumed run begins with: earlier results, repeated tasks |
//! | `repeat` | the next attempt or iteration, and the pause before it |
//! | `main_line` | from task to task, to the end; the deadline task |
//! | `final_tasks` | the final tasks |
#![forbid(unsafe_code)]

pub mod command;
pub mod conditional;
#[cfg(test)]
mod deadline_tests;
pub mod engine;
pub mod final_tasks;
pub mod main_line;
#[cfg(test)]
mod model;
pub mod numbers;
pub mod on_resume;
pub mod parallel;
pub mod recording;
pub mod repeat;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod start_tests;
pub mod step;
pub mod subtasks;
pub mod verdict;
pub mod waiting;
