//! The interface between the walk and the commands it runs: start one, wait for
//! what happens.
//!
//! Behind it are real processes (`pool`), or pretended ones with a clock of their
//! own (`pretend`), so that flow, retries and limits can be tested and rehearsed
//! without a process or a pause.
#![forbid(unsafe_code)]

use super::capture::Captured;
use super::interrupt::SignalLevel;
use super::remote::RemoteCommand;
use crate::task::Ix;
use std::ffi::CString;
use std::sync::Arc;
use std::time::Duration;

/// Time since the run began, on a clock that nobody can set.
pub type Time = Duration;

/// A command to start, with every value filled in.
pub struct Job {
    /// Identifies the command when it has finished.
    pub number: u64,
    /// `None` for the test of an exec type.
    pub task: Option<Ix>,
    /// The host it is meant for.
    pub host: String,
    pub words: Vec<Vec<u8>>,
    /// tasker's own environment, shared by all jobs.
    pub environment: Arc<Vec<CString>>,
    /// Variables set in addition, as `NAME=VALUE`.
    pub settings: Vec<CString>,
    pub stdin: Stdin,
    pub workdir: Option<Vec<u8>>,
    pub timeout: Duration,
    /// When the time of its block is over; no wait lasts longer.
    pub deadline: Option<Time>,
    /// What an `ssh` job runs on its host; it is sent over standard input.
    pub remote: Option<RemoteCommand>,
    /// Another program takes it to its host, where tasker cannot terminate it.
    pub carried: bool,
}

pub enum Stdin {
    Null,
    Bytes(Vec<u8>),
    /// An output of an earlier task, byte for byte. Holding it keeps its file until
    /// it is opened, even if the result is replaced meanwhile.
    Stream(Captured),
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CommandEnd {
    Exited(i32),
    Signaled(i32),
    TimedOut,
    /// Terminated because tasker got a signal.
    Cancelled,
    /// It could not be started: 126 or 127 (SPEC §3.2).
    Unstarted(i32),
    /// The host could not be reached; the exit code of the connecting program.
    Unreachable(i32),
    /// The connection to the host was lost while the command ran there; the exit code
    /// of the connecting program.
    Lost(i32),
    /// A signal arrived, or the time of its block was over, before its turn to
    /// connect.
    NotStarted,
    /// The machine is short of processes. Never leaves the pool, which retries.
    Shortage,
}

pub struct FinishedCommand {
    pub ending: CommandEnd,
    pub stdout: Captured,
    pub stderr: Captured,
    /// Since the command began; for one on another host since it answered. Where it
    /// never did, since the connecting program began.
    pub took: Duration,
    /// How long it took to connect to its host before that; zero for a command here.
    pub connecting: Duration,
    /// Why the host was not reached or the connection was lost, in one line.
    pub reason: Option<String>,
    /// What was printed before the command began: banners, notices of ssh.
    pub preamble: String,
    /// User and system time.
    pub cpu: Duration,
    /// Peak memory in KiB.
    pub peak_kib: u64,
    /// What went wrong apart from the command itself.
    pub warnings: Vec<String>,
    /// It was cut short, and this of it could not be ended.
    pub left: Option<String>,
}

/// Why a wait ended.
pub enum Wake {
    Done(u64, Box<FinishedCommand>),
    /// The host of this job has answered, and its command begins.
    Connected(u64),
    Time,
    /// What is shown of a live run may need an update.
    Beat,
    /// SIGUSR1: someone asks for the progress of the run.
    Asked,
    Interrupt {
        signal: i32,
        level: SignalLevel,
    },
}

pub trait Runner {
    fn now(&self) -> Time;
    /// Starts the command; a later `wait` returns it when it has finished.
    fn start(&mut self, job: Job);
    /// Waits for a finished command, a signal, a beat, or the given time.
    fn wait(&mut self, until: Option<Time>) -> Wake;
    /// Forgets earlier signals, so that final tasks can run. The next one ends what
    /// runs.
    fn rearm(&mut self);
}
