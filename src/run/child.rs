//! One command from start to end: its pipes, its time, its process group.
//!
//! The thread that waits for a process is the only one that signals it: it looks
//! whether the process has ended (without reaping it), signals the group, then
//! reaps. So no signal can meet a process that took over the id.
#![forbid(unsafe_code)]

use super::capture::{Capture, Captured};
use super::connection_limit::ConnectionSlot;
use super::launch;
use super::process_context::ProcessContext;
use super::process_group;
use super::remote::{Filter, is_refusal};
use super::runner::{CommandEnd, FinishedCommand, Job};
use super::stdin_pipe::StdinPipe;
use super::sys;
use crate::text::diagnostic::Plural;
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// How much of an output is read at once, in bytes; and once there is much of it,
/// as much as a pipe holds. Rejected: `splice` to the file, a page at a time and so
/// half as fast; and a pipe that holds more, which gains nothing.
const LITTLE: usize = 4 << 10;
const MUCH: usize = 64 << 10;
/// How long a background process may hold the pipes after its command has ended.
const PIPES_AFTER_EXIT: Duration = Duration::from_secs(1);
/// How long a killed process may take to vanish before it is given up.
const AFTER_KILL: Duration = Duration::from_secs(10);

/// How often a connection that a server turned away is tried again.
const REFUSALS: u32 = 3;
/// What ssh exits with when it is its own failure.
const UNREACHABLE: i32 = 255;
/// How much longer than the far end ssh may take to end, once told.
const FAR_END: Duration = Duration::from_secs(2);

/// Runs the job to its end; nothing of it outlasts `deadline` by more than it
/// takes to end a command. Where the machine is short of processes, a `patient`
/// call waits a while and another returns at once.
pub fn run(
    job: &Job,
    deadline: Option<Instant>,
    patient: bool,
    around: &ProcessContext,
) -> FinishedCommand {
    let mut refusals = 0;
    let mut last = None;
    loop {
        let connecting = match job.remote {
            Some(_) => match around.connection_limit.acquire(deadline, &around.interrupt) {
                Some(connecting) => Some(connecting),
                // One that was tried already is unreachable, not unstarted.
                None => {
                    return last.unwrap_or_else(|| without_process(CommandEnd::NotStarted, ""));
                }
            },
            None => None,
        };
        // The wait for its turn is none of the command's time.
        let mut finished = run_once(job, deadline, patient, connecting, around, Instant::now());
        let refused = matches!(finished.ending, CommandEnd::Unreachable(_))
            && is_refusal(&finished.stderr.head(4096));
        refusals += u32::from(refused);
        if refusals > 0 {
            let times = Plural(refusals as usize, "time");
            let warning = format!("the connection was turned away {times}");
            finished.warnings.push(warning);
        }
        if !refused || refusals > REFUSALS {
            return finished;
        }
        // Before a server that drops what is too many, all must not return at once.
        let pause = Duration::from_millis(200 * u64::from(refusals)).mul_f64(0.5 + random());
        if sys::poll(&[around.interrupt.end_fd()], -1, Some(pause)).unwrap_or(0) != 0 {
            return finished;
        }
        last = Some(finished);
    }
}

/// A number from 0 to 1.
pub fn random() -> f64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    (RandomState::new().build_hasher().finish() % 1000) as f64 / 1000.0
}

fn run_once<'a>(
    job: &Job,
    deadline: Option<Instant>,
    patient: bool,
    connecting: Option<ConnectionSlot<'a>>,
    around: &'a ProcessContext,
    began: Instant,
) -> FinishedCommand {
    match RunningChild::start(job, deadline, patient, connecting, around, began) {
        Ok(mut running) => {
            running.follow(around, &Pause::NEVER);
            running.finished(around)
        }
        Err(finished) => *finished,
    }
}

/// When a command that runs is left to itself for a while: at that time, or when
/// that descriptor can be read.
pub struct Pause {
    pub at: Option<Instant>,
    pub bell: RawFd,
}

impl Pause {
    pub const NEVER: Pause = Pause { at: None, bell: -1 };

    fn is_due(&self) -> bool {
        self.at.is_some_and(|at| Instant::now() >= at)
    }
}

fn without_process(ending: CommandEnd, reason: &str) -> FinishedCommand {
    FinishedCommand {
        ending,
        stdout: Captured::in_memory(""),
        stderr: Captured::in_memory(if reason.is_empty() {
            String::new()
        } else {
            format!("{reason}\n")
        }),
        took: Duration::ZERO,
        cpu: Duration::ZERO,
        peak_kib: 0,
        warnings: Vec::new(),
    }
}

/// Where a running command stands.
#[derive(Clone, Copy)]
enum Phase {
    Running,
    /// SIGTERM was sent; SIGKILL follows at that moment.
    CommandEnd(Instant),
    /// SIGKILL was sent; given up at that moment.
    Killed(Instant),
}

/// A running command. The thread that has this looks after it.
pub struct RunningChild<'a> {
    pid: i32,
    pidfd: Option<OwnedFd>,
    stdout: Stream,
    stderr: Stream,
    feed: Option<StdinPipe>,
    /// Takes the far end's own lines out of standard error.
    filter: Option<Filter>,
    carried: bool,
    /// The place among those that connect, until the far end answers.
    connecting: Option<ConnectionSlot<'a>>,
    began: Instant,
    timeout_at: Instant,
    /// When the leader was seen to have ended.
    exited: Option<Instant>,
    phase: Phase,
    /// Why it was ended before its time.
    cut_short: Option<CommandEnd>,
    left_behind: bool,
    given_up: bool,
    nap: Duration,
    buffer: Vec<u8>,
}

struct Stream {
    pipe: Option<PipeReader>,
    capture: Capture,
    /// Why the rest of it could not be read.
    broken: Option<io::Error>,
}

impl Stream {
    fn fd(&self) -> RawFd {
        self.pipe.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    /// Takes what is there; at the end the pipe is closed.
    fn read(&mut self, buffer: &mut Vec<u8>, filter: Option<&mut Filter>) {
        let Some(pipe) = &mut self.pipe else { return };
        match pipe.read(buffer) {
            Ok(0) => self.pipe = None,
            Ok(length) => {
                match filter {
                    Some(filter) => self.capture.push(&filter.pass(&buffer[..length])),
                    None => self.capture.push(&buffer[..length]),
                }
                if length == buffer.len() {
                    buffer.resize(MUCH, 0);
                }
            }
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
                ) => {}
            Err(e) => {
                self.broken = Some(e);
                self.pipe = None;
            }
        }
    }
}

impl<'a> RunningChild<'a> {
    /// Starts the job; returns what became of it if it could not start.
    pub fn start(
        job: &Job,
        deadline: Option<Instant>,
        patient: bool,
        connecting: Option<ConnectionSlot<'a>>,
        around: &ProcessContext,
        began: Instant,
    ) -> Result<RunningChild<'a>, Box<FinishedCommand>> {
        let started = launch::start(job, patient, around).map_err(|failure| {
            Box::new(FinishedCommand {
                took: began.elapsed(),
                ..without_process(failure.ending, &failure.reason)
            })
        })?;
        let timeout_at = Instant::now() + job.timeout;
        let stream = |pipe| Stream {
            pipe: Some(pipe),
            capture: Capture::new(&around.spool),
            broken: None,
        };
        Ok(RunningChild {
            pid: started.pid,
            pidfd: started.pidfd,
            stdout: stream(started.stdout),
            stderr: stream(started.stderr),
            feed: started.feed,
            filter: job.remote.as_ref().map(|remote| Filter::new(&remote.nonce)),
            carried: job.carried,
            connecting,
            began,
            timeout_at: deadline.map_or(timeout_at, |d| d.min(timeout_at)),
            exited: None,
            phase: Phase::Running,
            cut_short: None,
            left_behind: false,
            given_up: false,
            nap: Duration::from_millis(1),
            buffer: vec![0; LITTLE],
        })
    }

    /// Waits for output, the end, the time or a signal, until all is over (then
    /// it is true) or the pause comes.
    pub fn follow(&mut self, around: &ProcessContext, pause: &Pause) -> bool {
        while !self.is_over() {
            let gone = self.group_is_gone();
            let ready = self.ready(gone, around, pause);
            if ready & 1 != 0 {
                self.stdout.read(&mut self.buffer, None);
            }
            if ready & 2 != 0 {
                self.read_stderr();
            }
            if ready & 32 != 0
                && let Some(feed) = &mut self.feed
            {
                feed.write();
            }
            if gone && ready & 3 == 0 {
                // All that the group wrote is read; who still holds the pipes is
                // not of it and is not waited for.
                return true;
            }
            self.look_for_end();
            if ready & 4 != 0 && self.exited.is_none() {
                // Kernel 5.2 has the descriptor but always calls it readable.
                self.pidfd = None;
            }
            if ready & 8 != 0 {
                self.told(around);
            }
            self.look_at_clock(around);
            if ready & 16 != 0 || pause.is_due() {
                return self.is_over();
            }
        }
        true
    }

    /// Waits until something can be done: a bit each for standard output, standard
    /// error, the end, the signals, the pause, the feed.
    fn ready(&mut self, gone: bool, around: &ProcessContext, pause: &Pause) -> u32 {
        let mut patience = if gone {
            Duration::ZERO
        } else {
            self.patience()
        };
        if let Some(at) = pause.at {
            patience = patience.min(at.saturating_duration_since(Instant::now()));
        }
        let pidfd = if self.exited.is_some() {
            -1
        } else {
            self.pidfd.as_ref().map_or(-1, AsRawFd::as_raw_fd)
        };
        let told = match self.phase {
            Phase::Running => around.interrupt.end_fd(),
            Phase::CommandEnd(_) => around.interrupt.kill_fd(),
            Phase::Killed(_) => -1,
        };
        let fds = [self.stdout.fd(), self.stderr.fd(), pidfd, told, pause.bell];
        let feed = self.feed.as_ref().map_or(-1, StdinPipe::fd);
        sys::poll(&fds, feed, Some(patience)).unwrap_or_else(|_| {
            std::thread::sleep(Duration::from_millis(10));
            0
        })
    }

    /// Reads standard error; the far end's first line ends the connecting.
    fn read_stderr(&mut self) {
        self.stderr.read(&mut self.buffer, self.filter.as_mut());
        if self.is_connected() {
            self.connecting = None;
        }
    }

    /// Whether the far end has answered, where there is one.
    fn is_connected(&self) -> bool {
        self.filter.as_ref().is_some_and(|f| f.connected)
    }

    fn pipes_closed(&self) -> bool {
        self.stdout.pipe.is_none() && self.stderr.pipe.is_none()
    }

    fn is_over(&self) -> bool {
        let quiet = self.exited.is_some() && self.pipes_closed();
        self.given_up || matches!(self.phase, Phase::Running) && quiet
    }

    /// What was ended is over when nothing of its group is left.
    fn group_is_gone(&self) -> bool {
        match self.exited {
            Some(at) if !matches!(self.phase, Phase::Running) => {
                !process_group::lives(self.pid, at)
            }
            _ => false,
        }
    }

    /// How long nothing can become due.
    fn patience(&mut self) -> Duration {
        let due = match (self.phase, self.exited) {
            (Phase::Running, None) => self.timeout_at,
            (Phase::Running, Some(at)) => at + PIPES_AFTER_EXIT,
            (Phase::CommandEnd(at) | Phase::Killed(at), _) => at,
        };
        let mut wait = due.saturating_duration_since(Instant::now());
        // Nothing tells when a group's last process ends, nor, on kernels before
        // 5.2, when the leader does: look again after a growing nap.
        let blind = match self.phase {
            Phase::Running => self.exited.is_none() && self.pidfd.is_none(),
            _ => self.pidfd.is_none() || self.exited.is_some(),
        };
        if blind {
            wait = wait.min(self.nap);
            self.nap = (self.nap * 2).min(Duration::from_millis(50));
        }
        wait
    }

    fn look_for_end(&mut self) {
        if self.exited.is_none() && sys::has_ended(self.pid, false).unwrap_or(true) {
            self.exited = Some(Instant::now());
            self.nap = Duration::from_millis(1);
        }
    }

    /// A signal to tasker reached the level that this phase waits for.
    fn told(&mut self, around: &ProcessContext) {
        match self.phase {
            Phase::Running => {
                // A command that has ended by itself was not cut short.
                if self.exited.is_none() {
                    self.cut_short = Some(CommandEnd::Cancelled);
                }
                self.end_group(around);
            }
            Phase::CommandEnd(_) => self.kill_group(),
            Phase::Killed(_) => {}
        }
    }

    fn look_at_clock(&mut self, around: &ProcessContext) {
        let now = Instant::now();
        match (self.phase, self.exited) {
            (Phase::Running, None) if now >= self.timeout_at => {
                self.cut_short = Some(CommandEnd::TimedOut);
                self.end_group(around);
            }
            (Phase::Running, Some(at)) if now >= at + PIPES_AFTER_EXIT && !self.pipes_closed() => {
                self.left_behind = true;
                self.end_group(around);
            }
            (Phase::CommandEnd(at), _) if now >= at => self.kill_group(),
            (Phase::Killed(at), _) if now >= at => self.given_up = true,
            // What was being started at that moment may have been missed.
            (Phase::Killed(_), _) => process_group::signal(self.pid, &[sys::SIGKILL]),
            _ => {}
        }
    }

    fn end_group(&mut self, around: &ProcessContext) {
        self.nap = Duration::from_millis(1);
        if let Some(feed) = &mut self.feed {
            // The far end ends its command, then ssh ends by itself.
            feed.close();
            if self.is_connected() && self.exited.is_none() {
                self.phase = Phase::CommandEnd(Instant::now() + around.kill_after + FAR_END);
                return;
            }
        }
        // A stopped process does not see SIGTERM before it goes on.
        process_group::signal(self.pid, &[sys::SIGTERM, sys::SIGCONT]);
        self.phase = Phase::CommandEnd(Instant::now() + around.kill_after);
    }

    fn kill_group(&mut self) {
        process_group::signal(self.pid, &[sys::SIGKILL]);
        // What holds the pipes without being of the group is not waited for.
        let patience = if self.exited.is_some() {
            PIPES_AFTER_EXIT
        } else {
            AFTER_KILL
        };
        self.phase = Phase::Killed(Instant::now() + patience);
    }

    pub fn finished(mut self, around: &ProcessContext) -> FinishedCommand {
        let took = self.began.elapsed();
        let mut warnings = Vec::new();
        let connected = self.is_connected();
        around.guardian.forget(self.pid);
        let ended = match self.exited {
            Some(_) => sys::reap(self.pid).ok(),
            None => None,
        };
        if let Some(rest) = self.filter.as_mut().map(Filter::rest) {
            self.stderr.capture.push(&rest);
        }
        if self.left_behind || self.filter.as_ref().is_some_and(|f| f.left_behind) {
            warnings.push("a background process held the output open after the command had ended; its group was ended".into());
        }
        if self.carried && self.cut_short.is_some() {
            warnings.push("what was started on the host may still run there".into());
        }
        if ended.is_none() {
            warnings.push(format!(
                "process {} does not end, not even by SIGKILL; it is left alone",
                self.pid
            ));
        }
        for (name, stream) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if let Some(e) = &stream.broken {
                warnings.push(format!("{name}: the rest could not be read: {e}"));
            }
        }
        let (stdout, lost) = self.stdout.capture.finish();
        warnings.extend(lost.map(|l| format!("stdout: {l}")));
        let (stderr, lost) = self.stderr.capture.finish();
        warnings.extend(lost.map(|l| format!("stderr: {l}")));
        let natural = match ended.map(|e| e.status) {
            // Whatever ended there, a login shell that refuses or a forced
            // command, it was not the command: it never ran.
            Some(Ok(code)) if self.filter.is_some() && !connected => {
                if code != UNREACHABLE {
                    warnings.push(format!(
                        "the host ended the session with exit code {code} before the command began"
                    ));
                }
                CommandEnd::Unreachable(UNREACHABLE)
            }
            Some(Ok(code)) => CommandEnd::Exited(code),
            Some(Err(signal)) => CommandEnd::Signaled(signal),
            None => CommandEnd::Signaled(sys::SIGKILL),
        };
        FinishedCommand {
            ending: self.cut_short.unwrap_or(natural),
            stdout,
            stderr,
            took,
            cpu: ended.map_or(Duration::ZERO, |e| e.cpu),
            peak_kib: ended.map_or(0, |e| e.peak_kib),
            warnings,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::capture::Spool;
    use std::fs::File;

    #[test]
    fn a_stream_that_cannot_be_read_says_so() {
        // A directory can be opened, but not read.
        let directory = File::open("/").expect("the root directory");
        let mut stream = Stream {
            pipe: Some(PipeReader::from(OwnedFd::from(directory))),
            capture: Capture::new(&Spool::new("/nowhere".into())),
            broken: None,
        };
        stream.read(&mut vec![0; 16], None);
        assert!(stream.pipe.is_none());
        let kind = stream.broken.map(|e| e.kind());
        assert_eq!(kind, Some(io::ErrorKind::IsADirectory));
    }
}
