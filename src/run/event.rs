//! What a run tells about itself, in the order in which it happened.
#![forbid(unsafe_code)]

use super::interrupt::SignalLevel;
use super::result::TaskResult;
use std::time::Duration;

/// Who an event is about: `5`, `5.2` (an iteration), `10.3 web03`.
#[derive(Clone, Copy)]
pub struct About<'a> {
    /// The task's id; of a copy for a host that of its block.
    pub task: u32,
    pub iteration: u32,
    pub attempt: u32,
    pub label: &'a str,
    pub title: &'a str,
    /// Empty for this machine.
    pub host: &'a str,
    /// A subtask of a parallel block, one of many at once.
    pub in_block: bool,
}

pub enum Event<'a> {
    /// A command was handed to the runner.
    Started {
        about: About<'a>,
        exec: &'a str,
        command: &'a str,
        timeout: Duration,
    },
    /// A parallel block begins, with this many subtasks, so many at once.
    Block {
        about: About<'a>,
        total: usize,
        at_once: usize,
    },
    /// A conditional block chose a branch of this many tasks.
    Branch {
        about: About<'a>,
        holds: bool,
        tasks: usize,
    },
    /// A task has its result, and it is recorded.
    Finished {
        about: About<'a>,
        result: &'a TaskResult,
    },
    /// A parallel block has; what its subtasks did was told for each of them.
    BlockFinished {
        about: About<'a>,
        result: &'a TaskResult,
    },
    Skipped {
        about: About<'a>,
    },
    /// A task that an interrupted run had done, on its resumption.
    Restored {
        about: About<'a>,
        result: &'a TaskResult,
    },
    /// It is tried again after the delay.
    Retry {
        about: About<'a>,
        attempt: u32,
        of: u32,
        delay: Duration,
    },
    /// A pause that the file asks for.
    Sleep {
        about: About<'a>,
        time: Duration,
    },
    /// Where the flow goes, and why: to a task, or to the end with an exit code.
    Routed {
        from: u32,
        to: Result<u32, i32>,
        why: &'a str,
    },
    /// The final tasks begin.
    Finals,
    Warning {
        label: &'a str,
        text: &'a str,
    },
    Debug {
        label: &'a str,
        text: &'a str,
    },
    /// Nothing happened but that time went by, or that the terminal has another
    /// size: what is shown of a live run may be due again.
    Beat,
    /// Somebody asks how far the run is (SIGUSR1).
    Asked,
    /// A signal arrived; what still runs.
    Interrupted {
        signal: i32,
        level: SignalLevel,
        running: &'a [String],
    },
}
