//! One command from start to end: its pipes, its timeout, its process group.
//!
//! The thread that waits for a process is the only one that signals it: it checks
//! whether the process has ended (without reaping it), signals the group, then
//! reaps. So a signal can never hit another process that was given the same id.
#![forbid(unsafe_code)]

use super::capture::{Capture, Captured};
use super::connection_limit::ConnectionSlot;
use super::far_end::{Announce, FarEnd};
use super::launch;
use super::marks::PREAMBLE;
use super::orphans;
use super::process_context::ProcessContext;
use super::process_group::CommandProcesses;
use super::runner::{CommandEnd, FinishedCommand, Job};
use super::ssh_report::SshReport;
use super::sys::{self, ReapedChild};
use crate::text::decimal::short_seconds;
use crate::text::diagnostic::{Plural, reason};
use std::fs::File;
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
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

/// How often a connection that was turned away is tried again.
const CONNECTION_RETRIES: u32 = 3;
/// ssh's exit code for its own failures.
const UNREACHABLE: i32 = 255;
/// How long a host may take, beyond `kill_after`, to say that the command has ended and
/// for ssh to end.
const SSH_EXIT: Duration = Duration::from_secs(5);
/// ... once the host has said that it could not end everything.
const AFTER_LEFT: Duration = Duration::from_millis(500);

/// Runs the job to its end. It ends by `deadline`, apart from the time that it
/// takes to end a command. If the machine is short of processes, a `patient` call
/// waits for a while and any other returns at once. `announce` is called when the host
/// of an `ssh` job has answered.
pub fn run(
    job: &Job,
    deadline: Option<Instant>,
    patient: bool,
    announce: Announce,
    context: &ProcessContext,
) -> FinishedCommand {
    if job.remote.is_none() {
        let started = RunningChild::start(job, deadline, patient, None, context);
        return match started {
            Ok(running) => running.run(context).0,
            Err(finished) => *finished,
        };
    }
    let limit = &context.connection_limit;
    let mut times = 0;
    let mut last = None;
    loop {
        // Waiting for a connection slot does not count as the command's time.
        let Some(slot) = limit.acquire(deadline, &context.interrupt) else {
            // After a first attempt it is unreachable, not unstarted.
            return last.unwrap_or_else(|| without_process(CommandEnd::NotStarted, ""));
        };
        let far = Some((slot, announce));
        let (mut finished, slot) = match RunningChild::start(job, deadline, patient, far, context) {
            Ok(running) => running.run(context),
            Err(finished) => return *finished,
        };
        let turned_away = finished.ending == CommandEnd::Unreachable(UNREACHABLE)
            && SshReport::read(&finished.stderr.head(PREAMBLE)).turned_away;
        times += u32::from(turned_away);
        if times > 0 {
            let mut warning = format!(
                "the connection was turned away {}, as an overloaded server does",
                Plural(times as usize, "time")
            );
            if turned_away && times > CONNECTION_RETRIES {
                warning += "; `max_connecting` in tasker.conf bounds how many are made at once";
            }
            finished.warnings.push(warning);
        }
        if !turned_away || times > CONNECTION_RETRIES {
            return finished;
        }
        if let Some(slot) = slot {
            slot.turned_away();
        }
        // All at the same moment would overload the server again.
        let pause = Duration::from_millis(200 * u64::from(times)).mul_f64(0.5 + random());
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
    /// What an `ssh` job runs on another host.
    far: Option<FarEnd<'a>>,
    carried: bool,
    began: Instant,
    /// The timeout; for an `ssh` job it counts from when its host answers.
    timeout: Duration,
    deadline: Option<Instant>,
    /// When what it waits for must have come: that its host answers, that the command
    /// ends, and then that nothing holds its output any more.
    limit: Instant,
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

    /// Reads what is available to the beginning of the buffer, and returns how much; at
    /// the end of the stream the pipe is closed.
    fn read(&mut self, buffer: &mut Vec<u8>) -> usize {
        let Some(pipe) = &mut self.pipe else { return 0 };
        match pipe.read(buffer) {
            Ok(0) => self.pipe = None,
            Ok(length) => {
                if length == buffer.len() {
                    buffer.resize(FULL_READ, 0);
                }
                return length;
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
        0
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
    /// Starts the job; for an `ssh` job with its connection slot, and with what to call
    /// when its host answers.
    ///
    /// # Errors
    /// The finished command, if it could not start.
    pub fn start(
        job: &Job,
        deadline: Option<Instant>,
        patient: bool,
        far: Option<(ConnectionSlot<'a>, Announce<'a>)>,
        context: &ProcessContext,
    ) -> Result<RunningChild<'a>, Box<FinishedCommand>> {
        let began = Instant::now();
        let started = launch::start(job, patient, context).map_err(|failure| {
            Box::new(FinishedCommand {
                took: began.elapsed(),
                ..without_process(failure.ending, &failure.reason)
            })
        })?;
        let far = match (&job.remote, started.stdin, far) {
            (Some(remote), Some(stdin), Some((slot, announce))) => {
                Some(FarEnd::new(&remote.nonce, stdin, slot, announce))
            }
            _ => None,
        };
        let patience = match far {
            Some(_) => context.connect_timeout,
            None => job.timeout,
        };
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
            far,
            carried: job.carried,
            began,
            timeout: job.timeout,
            deadline,
            limit: earlier(Instant::now() + patience, deadline),
            exited: None,
            phase: Phase::Running,
            cut_short: None,
            left_behind: false,
            given_up: false,
            nap: Duration::from_millis(1),
            buffer: vec![0; FIRST_READ],
        })
    }

    /// Follows it to its end. Returns the connection slot of a host that never answered.
    fn run(mut self, context: &ProcessContext) -> (FinishedCommand, Option<ConnectionSlot<'a>>) {
        self.follow(context, &Pause::NEVER);
        let slot = self.far.as_mut().and_then(FarEnd::take_slot);
        (self.finish(context), slot)
    }

    /// Reads output, feeds input, and handles the timeout and signals, until the
    /// command is over or it is time to pause. Returns whether the command is over.
    pub fn follow(&mut self, context: &ProcessContext, pause: &Pause) -> bool {
        while !self.is_over() {
            let gone = self.is_gone();
            let ready = self.ready(gone, context, pause);
            if ready & STDOUT != 0 {
                self.read_stdout();
            }
            if ready & STDERR != 0 {
                self.read_stderr();
            }
            if ready & STDIN != 0
                && let Some(far) = &mut self.far
            {
                far.write_stdin();
            }
            if gone && ready & (STDOUT | STDERR) == 0 {
                // Everything that it wrote has been read. Other processes that hold the
                // pipes are not waited for.
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
        let stdin = self.far.as_ref().map_or(-1, FarEnd::stdin_fd);
        sys::poll(&fds, stdin, Some(patience)).unwrap_or_else(|_| {
            std::thread::sleep(Duration::from_millis(10));
            0
        })
    }

    fn read_stdout(&mut self) {
        let length = self.stdout.read(&mut self.buffer);
        let bytes = &self.buffer[..length];
        let Some(far) = &mut self.far else {
            self.stdout.capture.push(bytes);
            return;
        };
        let was_complete = far.is_complete();
        self.stdout.capture.push(&far.pass_stdout(bytes));
        if far.is_complete() && !was_complete {
            self.expect_end_of_ssh();
        }
    }

    /// ssh has a moment to end once the command's own output has come, unless something
    /// holds the output.
    fn expect_end_of_ssh(&mut self) {
        if matches!(self.phase, Phase::Running) {
            self.limit = Instant::now() + PIPES_AFTER_EXIT;
        }
    }

    /// Reads standard error, and follows what the remote wrapper says on it.
    fn read_stderr(&mut self) {
        let length = self.stderr.read(&mut self.buffer);
        let bytes = &self.buffer[..length];
        let Some(far) = &mut self.far else {
            self.stderr.capture.push(bytes);
            return;
        };
        let was_complete = far.is_complete();
        self.stderr.capture.push(&far.pass_stderr(bytes));
        let now = Instant::now();
        match self.phase {
            Phase::Running if far.is_ready() => {
                far.begin();
                self.limit = earlier(now + self.timeout, self.deadline);
            }
            Phase::Running if far.is_complete() && !was_complete => self.expect_end_of_ssh(),
            Phase::Terminating(at) if far.has_left() => {
                self.phase = Phase::Terminating(at.min(now + AFTER_LEFT));
            }
            _ => {}
        }
    }

    /// Whether the command has not begun, because its host has not answered.
    fn is_connecting(&self) -> bool {
        self.far.as_ref().is_some_and(|far| far.began.is_none())
    }

    /// Whether the command has ended by itself on another host.
    fn has_ended_there(&self) -> bool {
        self.far
            .as_ref()
            .is_some_and(|far| far.ended_with().is_some())
    }

    /// ... and all that it wrote has come.
    fn is_complete_there(&self) -> bool {
        self.far.as_ref().is_some_and(FarEnd::is_complete)
    }

    fn pipes_closed(&self) -> bool {
        self.stdout.pipe.is_none() && self.stderr.pipe.is_none()
    }

    fn is_over(&self) -> bool {
        let quiet = self.exited.is_some() && self.pipes_closed();
        self.given_up || matches!(self.phase, Phase::Running) && quiet
    }

    /// Whether nothing more can come: a terminated command has no process left in its
    /// group, or ssh has ended after its host had answered. What it started here is not
    /// of the command, and other commands may share it.
    fn is_gone(&self) -> bool {
        match self.exited {
            Some(_) if self.far.as_ref().is_some_and(|far| far.began.is_some()) => true,
            Some(at) if !matches!(self.phase, Phase::Running) => !self.processes.is_alive(at),
            _ => false,
        }
    }

    /// How long to wait until something is due.
    fn patience(&mut self) -> Duration {
        let due = match (self.phase, self.exited) {
            (Phase::Running, None) => self.limit,
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
                if self.exited.is_none() && !self.has_ended_there() {
                    self.cut_short = Some(match self.is_connecting() {
                        true => CommandEnd::NotStarted,
                        false => CommandEnd::Cancelled,
                    });
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
            (Phase::Running, None) if now >= self.limit => {
                let late = self.deadline.is_some_and(|deadline| now >= deadline);
                match self.is_connecting() {
                    _ if self.is_complete_there() => self.left_behind = true,
                    true if late => self.cut_short = Some(CommandEnd::NotStarted),
                    true => self.cut_short = Some(CommandEnd::Unreachable(UNREACHABLE)),
                    false => self.cut_short = Some(CommandEnd::TimedOut),
                }
                self.end_group(context);
            }
            (Phase::Running, Some(at)) if now >= at + PIPES_AFTER_EXIT && !self.pipes_closed() => {
                self.left_behind = true;
                self.processes.add_holders(&self.open_pipes());
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
        if let Some(far) = &mut self.far {
            // The remote wrapper ends the command, then ssh ends by itself.
            far.end_command();
            if far.began.is_some() && self.exited.is_none() {
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
        let far_began = self.far.as_ref().and_then(|far| far.began);
        let took = far_began.unwrap_or(self.began).elapsed();
        // Before its id is free.
        let left = self.left();
        if far_began.is_some() && self.exited.is_some() && !self.pipes_closed() {
            self.processes.end_unshared();
        }
        context.guardian.unregister(self.pid);
        let reaped = self.exited.and_then(|_| sys::reap(self.pid).ok());
        orphans::forget(self.pid);
        let preamble = self.close_far_outputs();
        let ending = self.cut_short.unwrap_or_else(|| self.natural_end(reaped));
        let mut warnings = self.warnings(left.is_some());
        if self.cut_short.is_none() {
            warnings.extend(left.clone());
        }
        warnings.extend(context.guardian.take_notice());
        let stderr = self.stderr.capture.finish();
        FinishedCommand {
            reason: reason_of_ssh(ending, self.cut_short.is_some(), reaped, &stderr, context),
            ending,
            stdout: self.stdout.capture.finish(),
            stderr,
            took,
            connecting: far_began.map_or(Duration::ZERO, |at| at - self.began),
            preamble,
            cpu: reaped.map_or(Duration::ZERO, |r| r.cpu),
            peak_kib: reaped.map_or(0, |r| r.peak_kib),
            warnings,
            left: left.filter(|_| self.cut_short.is_some()),
        }
    }

    /// Adds what was held back of the outputs of a remote command, and returns what was
    /// printed before it began. Where it never did, that is its standard error: all that
    /// there is to say about a host that was not reached.
    fn close_far_outputs(&mut self) -> String {
        let Some(far) = &mut self.far else {
            return String::new();
        };
        let [stdout, stderr] = far.close_outputs();
        self.stdout.capture.push(&stdout);
        self.stderr.capture.push(&stderr);
        if self.cut_short.is_none() && far.ended_with().is_some() && !far.is_complete() {
            let why = "the connection ended before all of it had come";
            self.stdout.capture.lose(why);
        }
        let mut preamble = far.preamble();
        if far.began.is_none() {
            self.stderr.capture.push(&std::mem::take(&mut preamble));
        }
        preamble.extend(far.stdout_preamble());
        String::from_utf8_lossy(&preamble).into_owned()
    }

    /// What was to be ended, and may still run.
    fn left(&self) -> Option<String> {
        if let Some(far) = self.far.as_ref().filter(|far| far.began.is_some()) {
            return match self.cut_short {
                Some(_) => far.unconfirmed(),
                None => far.left(),
            };
        }
        let mut left = match self.given_up {
            true => self.processes.left(),
            false => Vec::new(),
        };
        let was_ended = !matches!(self.phase, Phase::Running);
        if was_ended && !self.pipes_closed() && left.is_empty() {
            left = CommandProcesses::holders(&self.open_pipes());
        }
        let left = Some(left.join(", ")).filter(|left| !left.is_empty());
        left.map(|left| format!("could not be ended, and may go on: {left}"))
    }

    /// The numbers of its pipes that are still open.
    fn open_pipes(&self) -> Vec<u64> {
        let pipes = [&self.stdout.pipe, &self.stderr.pipe].into_iter().flatten();
        let numbers = pipes.filter_map(|pipe| {
            let file = File::from(pipe.as_fd().try_clone_to_owned().ok()?);
            Some(file.metadata().ok()?.ino())
        });
        numbers.collect()
    }

    fn warnings(&self, is_left: bool) -> Vec<String> {
        let mut warnings: Vec<String> = Vec::new();
        if self.left_behind {
            let is_held = match &self.far {
                Some(_) => is_left || matches!(self.phase, Phase::Killed(_)),
                None => is_left,
            };
            warnings.push(match is_held {
                true => "a background process holds the output open after the command ended, and could not be ended".into(),
                false => "a background process held the output open after the command ended; its process group was terminated".into(),
            });
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
    fn natural_end(&self, reaped: Option<ReapedChild>) -> CommandEnd {
        if let Some(far) = &self.far {
            return match (far.ended_with(), far.began) {
                (Some(code), _) => CommandEnd::Exited(code),
                (None, Some(_)) => CommandEnd::Lost(UNREACHABLE),
                // Whatever exited, a login shell or a forced command: the task's command
                // itself never ran.
                (None, None) => CommandEnd::Unreachable(UNREACHABLE),
            };
        }
        match reaped.map(|r| r.status) {
            Some(Ok(code)) => CommandEnd::Exited(code),
            Some(Err(signal)) => CommandEnd::Signaled(signal),
            None => CommandEnd::Signaled(sys::SIGKILL),
        }
    }
}

fn earlier(limit: Instant, deadline: Option<Instant>) -> Instant {
    deadline.map_or(limit, |deadline| deadline.min(limit))
}

/// Why an `ssh` job did not reach its host, or lost it. `late` if tasker gave it up.
fn reason_of_ssh(
    ending: CommandEnd,
    late: bool,
    reaped: Option<ReapedChild>,
    stderr: &Captured,
    context: &ProcessContext,
) -> Option<String> {
    let said = || SshReport::read(&stderr.tail(PREAMBLE)).reason;
    let status = reaped.map(|r| r.status);
    match (ending, status) {
        (CommandEnd::Unreachable(_), _) if late => {
            let within = short_seconds(context.connect_timeout);
            let said = said().map_or(String::new(), |said| format!("; ssh: {said}"));
            Some(format!(
                "no answer within {within} s (connect_timeout){said}"
            ))
        }
        (CommandEnd::Unreachable(_), Some(Ok(code))) if code != UNREACHABLE => Some(format!(
            "the host ended the session with exit code {code} before the command started; if it runs a command of its own there, it needs an exec type of its own (`argv=ssh ...` in tasker.conf)"
        )),
        (CommandEnd::Unreachable(_) | CommandEnd::Lost(_), Some(Err(signal))) => {
            Some(format!("ssh was ended by signal {signal}"))
        }
        (CommandEnd::Unreachable(_) | CommandEnd::Lost(_), _) => {
            said().or(Some("ssh ended without a reason".into()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::capture::Spool;

    #[test]
    fn a_stream_that_cannot_be_read_is_reported() {
        // A directory can be opened, but not read.
        let directory = File::open("/").expect("the root directory");
        let mut stream = ChildStream {
            pipe: Some(PipeReader::from(OwnedFd::from(directory))),
            capture: Capture::new(&Spool::in_directory("/nowhere")),
        };
        assert_eq!(stream.read(&mut vec![0; 16]), 0);
        assert!(stream.pipe.is_none());
        let lost = stream.capture.finish();
        assert_eq!(
            lost.lost(),
            Some("output lost after 0 bytes: cannot read it: Is a directory")
        );
    }
}
