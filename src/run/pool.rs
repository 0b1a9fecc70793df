//! Runs real commands: each running command has a worker thread. Threads are reused,
//! and there are never more than needed. A single command needs no worker: the
//! engine's thread, which would only wait for it, follows it itself. That saves a
//! sequential run two thread switches per task.
//!
//! Ownership: the engine's thread owns the flow and all results. A worker owns its
//! command from start to end, and hands over the result. The signal thread owns the
//! signal level. They meet in one mutex (`PoolState`) with two condition variables,
//! `work` for the workers and `news` for the engine. While the engine's thread
//! follows a command it waits for descriptors instead, and the signal thread wakes it
//! through a pipe, the bell. When a second command starts, a worker takes over the
//! first as it is.
//!
//! Locks: those of `PoolState` and of the connection limit are never held together.
//! Under either, the level of `Interrupt` can be read or raised, which takes only its
//! own lock. The locks of the spool and of the last scan of `/proc` are always held
//! alone. Those of `orphans` and of the guardian are taken in this order, under no other. Only the engine uses the beat; SIGUSR1 and SIGWINCH only set a flag in
//! `PoolState`. So there can be no deadlock, and no thread that holds a lock waits
//! for anything but that lock's condition variable.
#![forbid(unsafe_code)]

use super::child::{self, Pause, RunningChild};
use super::interrupt::{SignalLevel, lock, wait_on};
use super::process_context::ProcessContext;
use super::runner::{CommandEnd, FinishedCommand, Job, Runner, Time, Wake};
use super::{orphans, sys};
use crate::exit;
use std::collections::VecDeque;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// How often the signal thread reaps orphans, and looks whether the guardian lives.
const LOOK_AROUND: Duration = Duration::from_secs(2);
/// How long tasker has to write its records after the last signal, whatever they wait
/// for: a full pipe, a lock, a file system that hangs.
const TO_RECORD: Duration = Duration::from_secs(2);
/// A worker's stack in bytes; its buffers are on the heap.
const STACK: usize = 128 << 10;

pub struct Pool {
    shared: Arc<PoolShared>,
    /// The command that this thread follows, and the number of its job.
    own: Option<(u64, Box<RunningChild<'static>>)>,
    /// Becomes readable when there is news meanwhile.
    bell: PipeReader,
    /// How many jobs are queued or running.
    busy: usize,
    /// How often a wait returns with a beat, and when next.
    beat: Option<(Duration, Instant)>,
}

struct PoolShared {
    context: Arc<ProcessContext>,
    began: Instant,
    state: Mutex<PoolState>,
    work: Condvar,
    news: Condvar,
}

impl PoolShared {
    /// Does the work, and returns its result. If the machine is short of processes, a
    /// `patient` call waits, and any other returns the work.
    fn carry_out(&self, work: Work, patient: bool) -> Result<JobResult, Work> {
        match work {
            Work::Job(job) => {
                let announce = || self.announce(job.number);
                let deadline = self.deadline(&job);
                let finished = child::run(&job, deadline, patient, &announce, &self.context);
                match finished.ending {
                    CommandEnd::Shortage => Err(Work::Job(job)),
                    _ => Ok((job.number, Box::new(finished))),
                }
            }
            Work::Running(number, mut running) => {
                running.follow(&self.context, &Pause::NEVER);
                Ok((number, Box::new(running.finish(&self.context))))
            }
        }
    }

    /// Tells the engine that the host of a job has answered.
    fn announce(&self, number: u64) {
        lock(&self.state).connected.push_back(number);
        self.news.notify_one();
    }

    fn deadline(&self, job: &Job) -> Option<Instant> {
        job.deadline.map(|d| self.began + d)
    }
}

/// The number of a job, and its result.
type JobResult = (u64, Box<FinishedCommand>);

/// What a worker does.
enum Work {
    Job(Box<Job>),
    /// A command that is already running.
    Running(u64, Box<RunningChild<'static>>),
}

#[derive(Default)]
struct PoolState {
    jobs: VecDeque<Work>,
    /// How many worker threads there are, and how many are busy.
    workers: usize,
    busy_workers: usize,
    /// The jobs whose hosts have answered.
    connected: VecDeque<u64>,
    done: VecDeque<JobResult>,
    signals: VecDeque<(i32, SignalLevel)>,
    /// SIGUSR1 or SIGWINCH came.
    asked: bool,
    resized: bool,
    /// The bell was rung, and its byte is not read yet.
    rung: bool,
    closed: bool,
}

impl Pool {
    /// Starts the thread that waits for signals, which must be blocked already. Workers
    /// start with the jobs.
    ///
    /// # Errors
    /// That there can be no pipe or no thread.
    pub fn new(context: Arc<ProcessContext>) -> io::Result<Pool> {
        sys::raise_file_limit();
        let shared = Arc::new(PoolShared {
            context,
            began: Instant::now(),
            state: Mutex::default(),
            work: Condvar::new(),
            news: Condvar::new(),
        });
        let signals = shared.clone();
        let (bell, bell_end) = io::pipe()?;
        std::thread::Builder::new()
            .stack_size(STACK)
            .spawn(move || watch_signals(&signals, &bell_end))?;
        Ok(Pool {
            shared,
            own: None,
            bell,
            busy: 0,
            beat: None,
        })
    }

    /// From now on a wait also ends at this interval.
    pub fn beat(&mut self, every: Duration) {
        self.beat = Some((every, Instant::now() + every));
    }

    /// Waits while nothing runs.
    ///
    /// # Errors
    /// The signal that came first.
    pub fn pause(&mut self, time: Duration) -> Result<(), i32> {
        let until = self.now() + time;
        loop {
            match self.wait(Some(until)) {
                Wake::Interrupt { signal, .. } => return Err(signal),
                Wake::Time => return Ok(()),
                Wake::Done(..) | Wake::Beat | Wake::Asked | Wake::Connected(_) => {}
            }
        }
    }

    /// Ends the workers and the guardian. To be called when all jobs are done.
    pub fn close(self) {
        lock(&self.shared.state).closed = true;
        self.shared.work.notify_all();
        self.shared.context.guardian.finish();
    }

    /// Starts the job on this thread. Returns it if the machine is short of processes,
    /// since waiting for that could take long.
    fn start_here(&mut self, job: Job) -> Option<Job> {
        let deadline = self.shared.deadline(&job);
        let context = &self.shared.context;
        match RunningChild::start(&job, deadline, false, None, context) {
            Ok(running) => self.own = Some((job.number, Box::new(running))),
            Err(finished) if finished.ending == CommandEnd::Shortage => return Some(job),
            Err(finished) => lock(&self.shared.state)
                .done
                .push_back((job.number, finished)),
        }
        None
    }

    /// Gives work to a worker. Starts a new one if there are too few.
    fn hand_over(&mut self, work: Work) {
        let mut state = lock(&self.shared.state);
        if state.workers < self.busy {
            let shared = self.shared.clone();
            let spawned = std::thread::Builder::new()
                .stack_size(STACK)
                .spawn(move || run_worker(&shared));
            if spawned.is_ok() {
                state.workers += 1;
            } else if state.workers == 0 {
                // There can be no thread at all: run it here.
                drop(state);
                let done = self.shared.carry_out(work, true);
                lock(&self.shared.state).done.extend(done.ok());
                return;
            }
            // Otherwise it waits for a worker that is busy now.
        }
        state.jobs.push_back(work);
        drop(state);
        self.shared.work.notify_one();
    }

    /// Returns what has happened; otherwise how long to wait for more, `None` without
    /// a limit.
    fn news(
        &mut self,
        state: &mut PoolState,
        until: Option<Time>,
    ) -> Result<Wake, Option<Duration>> {
        if std::mem::take(&mut state.rung) {
            let _ = self.bell.read(&mut [0]);
        }
        if let Some((signal, level)) = state.signals.pop_front() {
            return Ok(Wake::Interrupt { signal, level });
        }
        if let Some(number) = state.connected.pop_front() {
            return Ok(Wake::Connected(number));
        }
        if let Some((number, finished)) = state.done.pop_front() {
            self.busy -= 1;
            return Ok(Wake::Done(number, finished));
        }
        if std::mem::take(&mut state.asked) {
            return Ok(Wake::Asked);
        }
        if is_beat_due(&mut self.beat, std::mem::take(&mut state.resized)) {
            return Ok(Wake::Beat);
        }
        let left = until.map(|u| u.saturating_sub(self.shared.began.elapsed()));
        if left == Some(Duration::ZERO) {
            return Ok(Wake::Time);
        }
        let beat = self.beat.map(|(_, next)| next - Instant::now());
        Err([left, beat].into_iter().flatten().min())
    }

    /// Follows this thread's command until there is news. Returns its result once it is
    /// over.
    fn follow_own(&mut self, patience: Option<Duration>) -> Option<(u64, Box<FinishedCommand>)> {
        let (number, mut running) = self.own.take()?;
        let pause = Pause {
            at: patience.map(|p| Instant::now() + p),
            bell: self.bell.as_raw_fd(),
        };
        if running.follow(&self.shared.context, &pause) {
            let finished = running.finish(&self.shared.context);
            return Some((number, Box::new(finished)));
        }
        self.own = Some((number, running));
        None
    }
}

impl Runner for Pool {
    fn now(&self) -> Time {
        self.shared.began.elapsed()
    }

    fn start(&mut self, job: Job) {
        self.busy += 1;
        let mut job = Some(job);
        // An `ssh` job can have to wait for a connection slot.
        if self.busy == 1 {
            job = job.and_then(|j| {
                if j.remote.is_none() {
                    self.start_here(j)
                } else {
                    Some(j)
                }
            });
        }
        if let Some((number, running)) = self.own.take_if(|_| job.is_some()) {
            self.hand_over(Work::Running(number, running));
        }
        if let Some(job) = job {
            self.hand_over(Work::Job(Box::new(job)));
        }
    }

    fn wait(&mut self, until: Option<Time>) -> Wake {
        let shared = self.shared.clone();
        let mut state = lock(&shared.state);
        loop {
            let patience = match self.news(&mut state, until) {
                Ok(wake) => return wake,
                Err(patience) => patience,
            };
            if self.own.is_some() {
                drop(state);
                let finished = self.follow_own(patience);
                state = lock(&shared.state);
                // Through the queue: a signal that ended the command comes first.
                state.done.extend(finished);
                continue;
            }
            state = wait_on(&shared.news, state, patience);
        }
    }

    fn rearm(&mut self) {
        // A signal that came since the engine last looked counts for what follows. It
        // must not be lost: it can be the one that is to end the final tasks.
        let mut state = lock(&self.shared.state);
        self.shared.context.interrupt.rearm();
        for news in &mut state.signals {
            news.1 = self.shared.context.interrupt.raise(news.0);
        }
    }
}

/// Whether a beat is due: at its interval, or because the terminal was resized.
fn is_beat_due(beat: &mut Option<(Duration, Instant)>, resized: bool) -> bool {
    let now = Instant::now();
    match beat {
        Some((every, next)) if resized || *next <= now => {
            *next = now + *every;
            true
        }
        _ => false,
    }
}

/// Runs in a worker: takes a job, runs it, hands over the result.
///
/// If the machine is short of processes, threads are part of the problem: a worker
/// puts its job back and ends, as long as another one is busy and will take it. Only
/// the last one waits.
fn run_worker(shared: &PoolShared) {
    let mut state = lock(&shared.state);
    loop {
        if let Some(work) = state.jobs.pop_front() {
            state.busy_workers += 1;
            drop(state);
            let mut done = shared.carry_out(work, false);
            state = lock(&shared.state);
            if let Err(work) = done {
                if state.busy_workers > 1 {
                    state.jobs.push_front(work);
                    state.busy_workers -= 1;
                    state.workers -= 1;
                    return;
                }
                drop(state);
                done = shared.carry_out(work, true);
                state = lock(&shared.state);
            }
            state.busy_workers -= 1;
            state.done.extend(done.ok());
            shared.news.notify_one();
        } else if state.closed {
            return;
        } else {
            state = wait_on(&shared.work, state, None);
        }
    }
}

/// Runs in the signal thread, until the process ends.
fn watch_signals(shared: &PoolShared, bell: &PipeWriter) {
    // The signal that ends tasker at once.
    let mut killed = None;
    loop {
        let patience = match killed {
            Some(_) => TO_RECORD,
            None => LOOK_AROUND,
        };
        let signal = sys::next_signal(patience);
        // The time is over, or somebody cannot wait for it.
        if let Some(by) = killed {
            give_up(by);
        }
        let Some(signal) = signal else {
            orphans::reap_ended();
            shared.context.guardian.check();
            continue;
        };
        // Locked, so that `rearm` sees a signal either completely or not at all.
        let mut state = lock(&shared.state);
        let ends = signal != sys::SIGUSR1 && signal != sys::SIGWINCH;
        if ends {
            let level = shared.context.interrupt.raise(signal);
            state.signals.push_back((signal, level));
            if level == SignalLevel::Kill {
                killed = Some(signal);
            }
        }
        state.asked |= signal == sys::SIGUSR1;
        state.resized |= signal == sys::SIGWINCH;
        // Never more than one byte, so it always fits into the pipe.
        if !std::mem::replace(&mut state.rung, true) {
            let _ = { bell }.write(b"!");
        }
        drop(state);
        shared.news.notify_one();
        if ends {
            shared.context.connection_limit.wake();
        }
    }
}

/// Ends tasker where it stands. The journal has what was done, and the guardian ends what
/// is left.
fn give_up(signal: i32) -> ! {
    let text = "tasker: ended by a signal before its records were complete; --status says how far it came\n";
    sys::write_if_ready(2, text);
    sys::exit_now(exit::SIGNAL + signal)
}
