//! One command from start to end: its pipes, its timeout, its process group.
//!
//! The thread that waits for a process is the only one that signals it: it checks
//! whether the process has ended (without reaping it), signals the group, then
//! reaps. So a signal can never hit another process that was given the same id.
#![forbid(unsafe_code)]

use super::capture::{Capture, Captured};
use super::connection_limit::ConnectionSlot;
use super::launch;
use super::orphans;
use super::process_context::ProcessContext;
use super::process_group::CommandProcesses;
use super::remote::{StderrFilter, is_connection_refused};
use super::runner::{CommandEnd, FinishedCommand, Job};
use super::stdin_pipe::StdinPipe;
use super::sys::{self, ReapedChild};
use crate::text::diagnostic::{Plural, reason};
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// How much output is read at once, in bytes: a little at first, then as much as a
/// pipe holds. Rejected: `splice` to the file, which moves a page at a time and is
/// half as fast; a larger pipe, which gains nothing.
const FIRST_READ: usize = 4 << 10;
const FULL_READ: usize = 64 << 10;
/// How long a background process can hold the pipes after its command has ended.
const PIPES_AFTER_EXIT: Duration = Duration::from_secs(1);
/// How long to wait for a process to end after SIGKILL.
const AFTER_KILL: Duration = Duration::from_secs(10);

/// How often a refused connection is tried again.
const CONNECTION_RETRIES: u32 = 3;
/// ssh's exit code for its own failures.
const UNREACHABLE: i32 = 255;
/// How long ssh may take to end after the remote command has ended.
const SSH_EXIT: Duration = Duration::from_secs(2);

/// Runs the job to its end. It ends by `deadline`, apart from the time that it
/// takes to end a command. If the machine is short of processes, a `patient` call
/// waits for a while and any other returns at once.
pub fn run(
    job: &Job,
    deadline: Option<Instant>,
    patient: bool,
    announce: &(dyn Fn() + Sync),
    context: &ProcessContext,
) -> FinishedCommand {
    let mut refusals = 0;
    let mut last = None;
    loop {
        let connecting = match job.remote {
            Some(_) => match context
                .connection_limit
                .acquire(deadline, &context.interrupt)
            {
                Some(connecting) => Some(connecting),
                // After a first attempt it is unreachable, not unstarted.
                None => {
                    return last.unwrap_or_else(|| without_process(CommandEnd::NotStarted, ""));
                }
            },
            None => None,
        };
        // Waiting for a connection slot does not count as the command's time.
        let started = RunningChild::start(job, deadline, patient, connecting, context);
        let mut finished = match started {
            Ok(mut running) => {
                running.announce = Some(announce);
                running.follow(context, &Pause::NEVER);
                running.finish(context)
            }
            Err(finished) => *finished,
        };
        let refused = matches!(finished.ending, CommandEnd::Unreachable(_))
            && is_connection_refused(&finished.stderr.head(4096));
        refusals += u32::from(refused);
        if refusals > 0 {
            let times = Plural(refusals as usize, "time");
            let warning = format!("the connection was refused {times}");
            finished.warnings.push(warning);
        }
        if !refused || refusals > CONNECTION_RETRIES {
            return finished;
        }
        // All at the same moment would overload the server again.
        let pause = Duration::from_millis(200 * u64::from(refusals)).mul_f64(0.5 + random());
        if sys::poll(&[context.interrupt.end_fd()], -1, Some(pause)).unwrap_or(0) != 0 {
            return finished;
        }
        last = Some(finished);
    }
}

/// A random number from 0 to 1.
pub fn random() -> f64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    (RandomState::new().build_hasher().finish() % 1000) as f64 / 1000.0
}

/// When `follow` returns although the command is still running: at this time, or
/// when this descriptor becomes readable.
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
        connecting: Duration::ZERO,
        reason: None,
        preamble: String::new(),
        cpu: Duration::ZERO,
        peak_kib: 0,
        warnings: Vec::new(),
        left: None,
    }
}

#[derive(Clone, Copy)]
enum Phase {
    Running,
    /// SIGTERM was sent; SIGKILL follows at this time.
    Terminating(Instant),
    /// SIGKILL was sent; given up at this time.
    Killed(Instant),
}

/// A running command. The thread that has this follows it.
pub struct RunningChild<'a> {
    pid: i32,
    processes: CommandProcesses,
    pidfd: Option<OwnedFd>,
    stdout: ChildStream,
    stderr: ChildStream,
    stdin: Option<StdinPipe>,
    /// Takes the remote wrapper's own lines out of standard error.
    filter: Option<StderrFilter>,
    carried: bool,
    /// Held until the remote wrapper answers.
    connecting: Option<ConnectionSlot<'a>>,
    /// Called when it answers.
    announce: Option<&'a (dyn Fn() + Sync)>,
    began: Instant,
    /// When it answered.
    answered: Option<Instant>,
    timeout_at: Instant,
    /// When it was noticed that the process itself had ended.
    exited: Option<Instant>,
    phase: Phase,
    /// Why it was terminated.
    cut_short: Option<CommandEnd>,
    left_behind: bool,
    given_up: bool,
    nap: Duration,
    buffer: Vec<u8>,
}

/// Standard output or standard error.
struct ChildStream {
    pipe: Option<PipeReader>,
    capture: Capture,
}

impl ChildStream {
    fn fd(&self) -> RawFd {
        self.pipe.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    /// Reads what is available; at the end of the stream the pipe is closed.
    fn read(&mut self, buffer: &mut Vec<u8>, filter: Option<&mut StderrFilter>) {
        let Some(pipe) = &mut self.pipe else { return };
        match pipe.read(buffer) {
            Ok(0) => self.pipe = None,
            Ok(length) => {
                match filter {
                    Some(filter) => self.capture.push(&filter.pass(&buffer[..length])),
                    None => self.capture.push(&buffer[..length]),
                }
                if length == buffer.len() {
                    buffer.resize(FULL_READ, 0);
                }
            }
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
                ) => {}
            Err(e) => {
                self.capture
                    .lose(&format!("cannot read it: {}", reason(&e)));
                self.pipe = None;
            }
        }
    }
}

/// What can be ready, as bits in the order of the descriptors given to `poll`.
const STDOUT: u32 = 1;
const STDERR: u32 = 2;
const EXIT: u32 = 4;
const SIGNAL: u32 = 8;
const BELL: u32 = 16;
const STDIN: u32 = 32;

impl<'a> RunningChild<'a> {
    /// Starts the job.
    ///
    /// # Errors
    /// The finished command, if it could not start.
    pub fn start(
        job: &Job,
        deadline: Option<Instant>,
        patient: bool,
        connecting: Option<ConnectionSlot<'a>>,
        context: &ProcessContext,
    ) -> Result<RunningChild<'a>, Box<FinishedCommand>> {
        let began = Instant::now();
        let started = launch::start(job, patient, context).map_err(|failure| {
            Box::new(FinishedCommand {
                took: began.elapsed(),
                ..without_process(failure.ending, &failure.reason)
            })
        })?;
        let timeout_at = Instant::now() + job.timeout;
        let stream = |pipe| ChildStream {
            pipe: Some(pipe),
            capture: Capture::new(&context.spool),
        };
        Ok(RunningChild {
            pid: started.pid,
            processes: CommandProcesses::new(started.pid, &job.settings),
            pidfd: started.pidfd,
            stdout: stream(started.stdout),
            stderr: stream(started.stderr),
            stdin: started.stdin,
            filter: job
                .remote
                .as_ref()
                .map(|remote| StderrFilter::new(&remote.nonce)),
            carried: job.carried,
            connecting,
            announce: None,
            began,
            answered: None,
            timeout_at: deadline.map_or(timeout_at, |d| d.min(timeout_at)),
            exited: None,
            phase: Phase::Running,
            cut_short: None,
            left_behind: false,
            given_up: false,
            nap: Duration::from_millis(1),
            buffer: vec![0; FIRST_READ],
        })
    }

    /// Reads output, feeds input, and handles the timeout and signals, until the
    /// command is over or it is time to pause. Returns whether the command is over.
    pub fn follow(&mut self, context: &ProcessContext, pause: &Pause) -> bool {
        while !self.is_over() {
            let gone = self.group_is_gone();
            let ready = self.ready(gone, context, pause);
            if ready & STDOUT != 0 {
                self.stdout.read(&mut self.buffer, None);
            }
            if ready & STDERR != 0 {
                self.read_stderr();
            }
            if ready & STDIN != 0
                && let Some(stdin) = &mut self.stdin
            {
                stdin.write();
            }
            if gone && ready & (STDOUT | STDERR) == 0 {
                // Everything that the group wrote has been read. Processes outside
                // the group that hold the pipes are not waited for.
                return true;
            }
            self.check_exit();
            if ready & EXIT != 0 && self.exited.is_none() {
                // Kernel 5.2 has pidfds, but always reports them as readable.
                self.pidfd = None;
            }
            if ready & SIGNAL != 0 {
                self.handle_signal(context);
            }
            self.check_time(context);
            if ready & BELL != 0 || pause.is_due() {
                return self.is_over();
            }
        }
        true
    }

    /// Waits until there is something to do: a set of the bits above.
    fn ready(&mut self, gone: bool, context: &ProcessContext, pause: &Pause) -> u32 {
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
        let signal = match self.phase {
            Phase::Running => context.interrupt.end_fd(),
            Phase::Terminating(_) => context.interrupt.kill_fd(),
            Phase::Killed(_) => -1,
        };
        let fds = [
            self.stdout.fd(),
            self.stderr.fd(),
            pidfd,
            signal,
            pause.bell,
        ];
        let stdin = self.stdin.as_ref().map_or(-1, StdinPipe::fd);
        sys::poll(&fds, stdin, Some(patience)).unwrap_or_else(|_| {
            std::thread::sleep(Duration::from_millis(10));
            0
        })
    }

    /// Reads standard error. The remote wrapper's first line on it means that the
    /// connection is made.
    fn read_stderr(&mut self) {
        self.stderr.read(&mut self.buffer, self.filter.as_mut());
        if self.is_connected() && self.answered.is_none() {
            self.connecting = None;
            self.answered = Some(Instant::now());
            if let Some(announce) = self.announce {
                announce();
            }
        }
    }

    /// Whether there is a remote wrapper and it has answered.
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

    /// Whether a terminated command has no process left in its group.
    fn group_is_gone(&self) -> bool {
        match self.exited {
            Some(at) if !matches!(self.phase, Phase::Running) => !self.processes.is_alive(at),
            _ => false,
        }
    }

    /// How long to wait until something is due.
    fn patience(&mut self) -> Duration {
        let due = match (self.phase, self.exited) {
            (Phase::Running, None) => self.timeout_at,
            (Phase::Running, Some(at)) => at + PIPES_AFTER_EXIT,
            (Phase::Terminating(at) | Phase::Killed(at), _) => at,
        };
        let mut wait = due.saturating_duration_since(Instant::now());
        // There is no notification of the end of a group's last process, nor, before
        // kernel 5.2, of its leader. So look again after a growing nap.
        let must_poll = match self.phase {
            Phase::Running => self.exited.is_none() && self.pidfd.is_none(),
            _ => self.pidfd.is_none() || self.exited.is_some(),
        };
        if must_poll {
            wait = wait.min(self.nap);
            self.nap = (self.nap * 2).min(Duration::from_millis(50));
        }
        wait
    }

    fn check_exit(&mut self) {
        if self.exited.is_none() && sys::has_ended(self.pid, false).unwrap_or(true) {
            self.exited = Some(Instant::now());
            self.nap = Duration::from_millis(1);
        }
    }

    /// tasker got the signal that moves this phase to the next one.
    fn handle_signal(&mut self, context: &ProcessContext) {
        match self.phase {
            Phase::Running => {
                // A command that has ended by itself was not cut short.
                if self.exited.is_none() {
                    self.cut_short = Some(CommandEnd::Cancelled);
                }
                self.end_group(context);
            }
            Phase::Terminating(_) => self.kill_group(),
            Phase::Killed(_) => {}
        }
    }

    fn check_time(&mut self, context: &ProcessContext) {
        let now = Instant::now();
        match (self.phase, self.exited) {
            (Phase::Running, None) if now >= self.timeout_at => {
                self.cut_short = Some(CommandEnd::TimedOut);
                self.end_group(context);
            }
            (Phase::Running, Some(at)) if now >= at + PIPES_AFTER_EXIT && !self.pipes_closed() => {
                self.left_behind = true;
                self.end_group(context);
            }
            (Phase::Terminating(at), _) if now >= at => self.kill_group(),
            (Phase::Killed(at), _) if now >= at => self.given_up = true,
            // A process that was just being started may have been missed.
            (Phase::Killed(_), _) => self.processes.signal(&[sys::SIGKILL]),
            _ => {}
        }
    }

    fn end_group(&mut self, context: &ProcessContext) {
        self.nap = Duration::from_millis(1);
        if let Some(stdin) = &mut self.stdin {
            // The remote wrapper ends its command, then ssh ends by itself.
            stdin.close();
            if self.is_connected() && self.exited.is_none() {
                self.phase = Phase::Terminating(Instant::now() + context.kill_after + SSH_EXIT);
                return;
            }
        }
        // A stopped process handles SIGTERM only once it continues.
        self.processes.signal(&[sys::SIGTERM, sys::SIGCONT]);
        self.phase = Phase::Terminating(Instant::now() + context.kill_after);
    }

    fn kill_group(&mut self) {
        self.processes.signal(&[sys::SIGKILL]);
        // Processes outside the group that hold the pipes are not waited for, nor what
        // may not be signalled.
        let may_signal = sys::signal_process(self.pid, 0).is_ok();
        let patience = match self.exited.is_none() && may_signal {
            true => AFTER_KILL,
            false => PIPES_AFTER_EXIT,
        };
        self.phase = Phase::Killed(Instant::now() + patience);
    }

    /// Reaps the process, and collects its output.
    pub fn finish(mut self, context: &ProcessContext) -> FinishedCommand {
        let took = self.answered.unwrap_or(self.began).elapsed();
        let connecting = self.answered.map(|at| at - self.began);
        // Before its id is free.
        let left = match self.given_up {
            true => self.processes.left(),
            false => Vec::new(),
        };
        let left = (!left.is_empty()).then(|| {
            let left = left.join(", ");
            format!("could not be ended, and may go on: {left}")
        });
        context.guardian.unregister(self.pid);
        let reaped = self.exited.and_then(|_| sys::reap(self.pid).ok());
        orphans::forget(self.pid);
        if let Some(rest) = self.filter.as_mut().map(StderrFilter::rest) {
            self.stderr.capture.push(&rest);
        }
        let mut warnings = self.warnings();
        warnings.extend(left.clone());
        warnings.extend(context.guardian.take_notice());
        let natural = self.natural_end(reaped, &mut warnings);
        FinishedCommand {
            ending: self.cut_short.unwrap_or(natural),
            stdout: self.stdout.capture.finish(),
            stderr: self.stderr.capture.finish(),
            took,
            connecting: connecting.unwrap_or_default(),
            reason: None,
            preamble: String::new(),
            cpu: reaped.map_or(Duration::ZERO, |r| r.cpu),
            peak_kib: reaped.map_or(0, |r| r.peak_kib),
            warnings,
            left: left.filter(|_| self.cut_short.is_some()),
        }
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = Vec::new();
        if self.left_behind || self.filter.as_ref().is_some_and(|f| f.left_behind) {
            warnings.push("a background process held the output open after the command ended; its process group was terminated".into());
        }
        if self.carried && self.cut_short.is_some() {
            warnings.push("the command may still be running on the host".into());
        }
        let suspects = match self.cut_short {
            Some(_) => self.processes.suspects(),
            None => Vec::new(),
        };
        if !suspects.is_empty() {
            let suspects = suspects.join(", ");
            warnings.push(format!(
                "began during the command and may be of it, but was not ended: {suspects}"
            ));
        }
        warnings
    }

    /// How the command ended, apart from being cut short.
    fn natural_end(&self, reaped: Option<ReapedChild>, warnings: &mut Vec<String>) -> CommandEnd {
        match reaped.map(|r| r.status) {
            // Whatever exited, a login shell or a forced command: the task's
            // command itself never ran.
            Some(Ok(code)) if self.filter.is_some() && !self.is_connected() => {
                if code != UNREACHABLE {
                    warnings.push(format!(
                        "the host ended the session with exit code {code} before the command started"
                    ));
                }
                CommandEnd::Unreachable(UNREACHABLE)
            }
            Some(Ok(UNREACHABLE)) if self.filter.is_some() => CommandEnd::Lost(UNREACHABLE),
            Some(Ok(code)) => CommandEnd::Exited(code),
            Some(Err(signal)) => CommandEnd::Signaled(signal),
            None => CommandEnd::Signaled(sys::SIGKILL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::capture::Spool;
    use std::fs::File;

    #[test]
    fn a_stream_that_cannot_be_read_is_reported() {
        // A directory can be opened, but not read.
        let directory = File::open("/").expect("the root directory");
        let mut stream = ChildStream {
            pipe: Some(PipeReader::from(OwnedFd::from(directory))),
            capture: Capture::new(&Spool::in_directory("/nowhere")),
        };
        stream.read(&mut vec![0; 16], None);
        assert!(stream.pipe.is_none());
        let lost = stream.capture.finish();
        assert_eq!(
            lost.lost(),
            Some("output lost after 0 bytes: cannot read it: Is a directory")
        );
    }
}
