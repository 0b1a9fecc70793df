//! What happens in a run, reported in the order in which it happens.
#![forbid(unsafe_code)]

use super::interrupt::SignalLevel;
use super::result::TaskResult;
use std::time::Duration;

/// What an event is about: task `5`, `5.2` (an iteration) or `10.3` (a host's copy).
#[derive(Clone, Copy)]
pub struct About<'a> {
    /// The task's id; for a host's copy that of its block.
    pub task: u32,
    pub iteration: u32,
    pub attempt: u32,
    pub label: &'a str,
    pub title: &'a str,
    /// Empty for the local machine.
    pub host: &'a str,
    /// It is a subtask of a parallel block, so others may run at the same time.
    pub in_block: bool,
}

pub enum Event<'a> {
    /// A command was started.
    Started {
        about: About<'a>,
        exec: &'a str,
        command: &'a str,
        timeout: Duration,
        /// It first connects to its host; `Connected` follows if the host answers.
        connects: bool,
    },
    /// The host has answered, and the command begins there.
    Connected {
        about: About<'a>,
    },
    /// A parallel block begins.
    Block {
        about: About<'a>,
        total: usize,
        at_once: usize,
        /// The subtasks that had ended well when the run was resumed, and the others;
        /// both empty for a block that begins.
        kept: &'a [&'a str],
        open: &'a [&'a str],
    },
    /// A conditional block chose a branch, or the run begins at this member of it.
    Branch {
        about: About<'a>,
        holds: bool,
        begins_at: Option<u32>,
        tasks: usize,
    },
    /// A task has its result.
    Finished {
        about: About<'a>,
        result: &'a TaskResult,
    },
    /// A parallel block has its result; each subtask has been reported already.
    BlockFinished {
        about: About<'a>,
        result: &'a TaskResult,
    },
    Skipped {
        about: About<'a>,
    },
    /// A resumed run took the result from the journal.
    Restored {
        about: About<'a>,
        result: &'a TaskResult,
    },
    /// The attempt failed; the next one follows after the delay.
    Retry {
        about: About<'a>,
        attempt: u32,
        of: u32,
        delay: Duration,
    },
    /// A pause that the task file asks for.
    Sleep {
        about: About<'a>,
        time: Duration,
    },
    /// Where the flow goes, and why: to the task with this id, or to the end with
    /// this exit code.
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
    /// Time has passed, or the terminal has a new size: what is shown of a live
    /// run may need an update.
    Beat,
    /// Someone asks for the progress of the run (SIGUSR1).
    Asked,
    /// A signal arrived; `running` names what still runs.
    Interrupted {
        signal: i32,
        level: SignalLevel,
        running: &'a [String],
    },
}
