//! The narrow seam between the flow and what runs: start this, wait for news.
//!
//! The engine sees only this. Behind it are real processes (`pool`) or a
//! pretence with a clock of its own, so that flow, retries and limits are
//! tested, and rehearsed, without a process or a pause.
#![forbid(unsafe_code)]

use super::capture::Captured;
use super::interrupt::SignalLevel;
use super::remote::RemoteCommand;
use crate::task::Ix;
use std::ffi::CString;
use std::sync::Arc;
use std::time::Duration;

/// Time since the run began, on a clock that nobody sets.
pub type Time = Duration;

/// A command to start, with every value filled in.
pub struct Job {
    /// Comes back with the result.
    pub number: u64,
    /// The task it is of; none for the test of an exec type.
    pub task: Option<Ix>,
    /// The host it is meant for.
    pub host: String,
    pub words: Vec<Vec<u8>>,
    /// tasker's own environment, shared by all jobs.
    pub environment: Arc<Vec<CString>>,
    /// What is set beside it, as `NAME=VALUE`.
    pub settings: Vec<CString>,
    pub stdin: Stdin,
    pub workdir: Option<Vec<u8>>,
    pub timeout: Duration,
    /// The end of its block's time, which no waiting may outlast.
    pub deadline: Option<Time>,
    /// The far end of an `ssh` job; its standard input is then the channel.
    pub remote: Option<RemoteCommand>,
    /// Another program carries it to its host, where nothing of ours can end it.
    pub carried: bool,
}

pub enum Stdin {
    Null,
    Bytes(Vec<u8>),
    /// A result's stream, byte for byte; held, so that its file stays until it
    /// is opened even if the result is replaced meanwhile.
    Stream(Captured),
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CommandEnd {
    Exited(i32),
    Signaled(i32),
    TimedOut,
    /// Ended because tasker was told to end.
    Cancelled,
    /// Never ran: 126 or 127 (SPEC §3.2).
    Unstarted(i32),
    /// The host could not be reached; the connecting program's exit code.
    Unreachable(i32),
    /// A signal or the block's end came before its turn to connect.
    NotStarted,
    /// Not even tried for long: the machine is short of processes. Only within
    /// the pool, which tries again.
    Shortage,
}

pub struct FinishedCommand {
    pub ending: CommandEnd,
    pub stdout: Captured,
    pub stderr: Captured,
    pub took: Duration,
    /// User and system time.
    pub cpu: Duration,
    /// Peak memory in KiB.
    pub peak_kib: u64,
    /// What went wrong beside the command itself.
    pub warnings: Vec<String>,
}

/// Why a wait ended.
pub enum Wake {
    Done(u64, Box<FinishedCommand>),
    Time,
    /// What is shown of a live run is due again.
    Beat,
    /// SIGUSR1: somebody asks how far it is.
    Asked,
    Interrupt {
        signal: i32,
        level: SignalLevel,
    },
}

pub trait Runner {
    fn now(&self) -> Time;
    /// Starts the job; its result comes from a later `wait`.
    fn start(&mut self, job: Job);
    /// Waits for a result, a signal, a beat, or the time.
    fn wait(&mut self, until: Option<Time>) -> Wake;
    /// Forgets the signals so far, so that final tasks can run; when `shield`, the
    /// next one ends nothing.
    fn rearm(&mut self, shield: bool);
}
