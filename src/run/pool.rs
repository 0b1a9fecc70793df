//! Real commands: a thread for each that runs, reused, never more than there is
//! work for. A command that runs alone needs none: the engine's thread, which has
//! nothing to do but wait for it, looks after it itself. That spares a sequential
//! run two changes of thread a task.
//!
//! Who owns what: the engine's thread owns the flow and every result; a worker
//! owns its command from start to end and hands over the result; the signal
//! thread owns the level. They meet in one `Mutex` (`State`) with two
//! condition variables, `work` for workers and `news` for the engine. While the
//! engine's thread looks after a command it waits for descriptors instead, and
//! the signal thread rings a bell, a pipe, for it. Once more than one command runs,
//! its own goes to a worker as it is.
//!
//! Locks: `State` and the ramp's are never held together; under either the level
//! of `Interrupt` may be read or raised, and nothing but what is its own is taken
//! under that. The spool's lock is held alone, while a file is made or removed,
//! and so is that of the last look at `/proc` (`family`). The beat is the engine's
//! alone; SIGUSR1 and SIGWINCH only set a flag in `State`. So no circle of
//! waiting can form, and nobody who holds a lock waits for anything but that
//! lock's own condition variable.
#![forbid(unsafe_code)]

use super::child::{self, Pause, RunningChild};
use super::interrupt::{SignalLevel, lock};
use super::process_context::ProcessContext;
use super::runner::{CommandEnd, FinishedCommand, Job, Runner, Time, Wake};
use super::sys;
use std::collections::VecDeque;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A worker's stack in bytes; its buffers are elsewhere.
const STACK: usize = 128 << 10;

pub struct Pool {
    shared: Arc<Shared>,
    /// The command that this thread looks after, and the number of its job.
    own: Option<(u64, Box<RunningChild<'static>>)>,
    /// Can be read when there is news while it does.
    bell: PipeReader,
    /// Jobs that are queued or run.
    busy: usize,
    /// How often a wait tells that time goes by, and when next.
    beat: Option<(Duration, Instant)>,
}

struct Shared {
    around: Arc<ProcessContext>,
    began: Instant,
    state: Mutex<State>,
    work: Condvar,
    news: Condvar,
}

impl Shared {
    /// The result of the work; the work itself where the machine is short of
    /// processes, which a `patient` call waits for.
    fn carry_out(&self, work: Work, patient: bool) -> Result<Done, Work> {
        match work {
            Work::Job(job) => {
                let finished = child::run(&job, self.deadline(&job), patient, &self.around);
                match finished.ending {
                    CommandEnd::Shortage => Err(Work::Job(job)),
                    _ => Ok((job.number, Box::new(finished))),
                }
            }
            Work::Running(number, mut running) => {
                running.follow(&self.around, &Pause::NEVER);
                Ok((number, Box::new(running.finished(&self.around))))
            }
        }
    }

    fn deadline(&self, job: &Job) -> Option<Instant> {
        job.deadline.map(|d| self.began + d)
    }
}

/// The number of a job, and its result.
type Done = (u64, Box<FinishedCommand>);

/// What a worker takes on.
enum Work {
    Job(Box<Job>),
    /// A command that runs already.
    Running(u64, Box<RunningChild<'static>>),
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Work>,
    /// Threads that take jobs, and how many of them have one.
    workers: usize,
    at_work: usize,
    done: VecDeque<Done>,
    signals: VecDeque<(i32, SignalLevel)>,
    /// SIGUSR1 and SIGWINCH came.
    asked: bool,
    resized: bool,
    /// The bell was rung and not heard yet.
    rung: bool,
    closed: bool,
}

impl Pool {
    /// Starts the thread that waits for signals; workers come with the jobs.
    /// The signals must be blocked already.
    pub fn new(around: Arc<ProcessContext>) -> io::Result<Pool> {
        sys::raise_file_limit();
        let shared = Arc::new(Shared {
            around,
            began: Instant::now(),
            state: Mutex::default(),
            work: Condvar::new(),
            news: Condvar::new(),
        });
        let of_signals = shared.clone();
        let (bell, rope) = io::pipe()?;
        std::thread::Builder::new()
            .stack_size(STACK)
            .spawn(move || watch_signals(&of_signals, &rope))?;
        Ok(Pool {
            shared,
            own: None,
            bell,
            busy: 0,
            beat: None,
        })
    }

    /// From now on a wait also ends each time that so much time has gone by.
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
                Wake::Done(..) | Wake::Beat | Wake::Asked => {}
            }
        }
    }

    /// Ends the workers, then the guardian. Jobs must all be done.
    pub fn close(self) {
        lock(&self.shared.state).closed = true;
        self.shared.work.notify_all();
        self.shared.around.guardian.finish();
    }
}

impl Pool {
    /// Starts the job on this thread; gives it back where the machine is short of
    /// processes, which may take long to wait for.
    fn start_here(&mut self, job: Job) -> Option<Job> {
        let deadline = self.shared.deadline(&job);
        let around = &self.shared.around;
        match RunningChild::start(&job, deadline, false, None, around, Instant::now()) {
            Ok(running) => self.own = Some((job.number, Box::new(running))),
            Err(finished) if finished.ending == CommandEnd::Shortage => return Some(job),
            Err(finished) => lock(&self.shared.state)
                .done
                .push_back((job.number, finished)),
        }
        None
    }

    /// Gives work to a worker, a new one where there are too few.
    fn hand_over(&mut self, work: Work) {
        let mut state = lock(&self.shared.state);
        if state.workers < self.busy {
            let shared = self.shared.clone();
            let spawned = std::thread::Builder::new()
                .stack_size(STACK)
                .spawn(move || work_on(&shared));
            if spawned.is_ok() {
                state.workers += 1;
            } else if state.workers == 0 {
                // No thread to be had at all: run it here, slowly but surely.
                drop(state);
                let done = self.shared.carry_out(work, true);
                lock(&self.shared.state).done.extend(done.ok());
                return;
            }
            // Else it waits for a worker that is at work now.
        }
        state.jobs.push_back(work);
        drop(state);
        self.shared.work.notify_one();
    }

    /// What has happened, and how long nothing more can be due; `None` for ever.
    fn news(&mut self, state: &mut State, until: Option<Time>) -> Result<Wake, Option<Duration>> {
        if std::mem::take(&mut state.rung) {
            let _ = self.bell.read(&mut [0]);
        }
        if let Some((signal, level)) = state.signals.pop_front() {
            return Ok(Wake::Interrupt { signal, level });
        }
        if let Some((number, finished)) = state.done.pop_front() {
            self.busy -= 1;
            return Ok(Wake::Done(number, finished));
        }
        if std::mem::take(&mut state.asked) {
            return Ok(Wake::Asked);
        }
        if is_due(&mut self.beat, std::mem::take(&mut state.resized)) {
            return Ok(Wake::Beat);
        }
        let left = until.map(|u| u.saturating_sub(self.shared.began.elapsed()));
        if left == Some(Duration::ZERO) {
            return Ok(Wake::Time);
        }
        let beat = self.beat.map(|(_, next)| next - Instant::now());
        Err([left, beat].into_iter().flatten().min())
    }

    /// Looks after the command of this thread until there is news; its result once
    /// it is over.
    fn look_after(&mut self, patience: Option<Duration>) -> Option<Wake> {
        let (number, mut running) = self.own.take()?;
        let pause = Pause {
            at: patience.map(|p| Instant::now() + p),
            bell: self.bell.as_raw_fd(),
        };
        if running.follow(&self.shared.around, &pause) {
            self.busy -= 1;
            let finished = running.finished(&self.shared.around);
            return Some(Wake::Done(number, Box::new(finished)));
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
        // What has a far end may have to wait for its turn.
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
                if let Some(wake) = self.look_after(patience) {
                    return wake;
                }
                state = lock(&shared.state);
                continue;
            }
            state = match patience {
                None => shared
                    .news
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(patience) => {
                    shared
                        .news
                        .wait_timeout(state, patience)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        }
    }

    fn rearm(&mut self, shield: bool) {
        // A signal that came since the engine looked counts from here on: it must
        // not be lost, for it may be the one that is to end the final tasks.
        let mut state = lock(&self.shared.state);
        self.shared.around.interrupt.rearm(shield);
        for news in &mut state.signals {
            news.1 = self.shared.around.interrupt.raise(news.0);
        }
    }
}

/// Whether to tell that time goes by: in its turn, or for another size of the
/// terminal.
fn is_due(beat: &mut Option<(Duration, Instant)>, resized: bool) -> bool {
    let now = Instant::now();
    match beat {
        Some((every, next)) if resized || *next <= now => {
            *next = now + *every;
            true
        }
        _ => false,
    }
}

/// A worker's life: take a job, run it, hand over the result.
///
/// When the machine is short of processes, threads are part of the shortage: a
/// worker then gives its job back and ends, as long as another one is at work
/// that will take it; only the last waits until there is room.
fn work_on(shared: &Shared) {
    let mut state = lock(&shared.state);
    loop {
        if let Some(work) = state.jobs.pop_front() {
            state.at_work += 1;
            drop(state);
            let mut done = shared.carry_out(work, false);
            state = lock(&shared.state);
            if let Err(work) = done {
                if state.at_work > 1 {
                    state.jobs.push_front(work);
                    state.at_work -= 1;
                    state.workers -= 1;
                    return;
                }
                drop(state);
                done = shared.carry_out(work, true);
                state = lock(&shared.state);
            }
            state.at_work -= 1;
            state.done.extend(done.ok());
            shared.news.notify_one();
        } else if state.closed {
            return;
        } else {
            state = shared
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The signal thread's life, as long as the process.
fn watch_signals(shared: &Shared, rope: &PipeWriter) {
    loop {
        let signal = sys::next_signal();
        // In one step, so that `rearm` sees a signal either whole or not at all.
        let mut state = lock(&shared.state);
        let ends = signal != sys::SIGUSR1 && signal != sys::SIGWINCH;
        if ends {
            let level = shared.around.interrupt.raise(signal);
            state.signals.push_back((signal, level));
        }
        state.asked |= signal == sys::SIGUSR1;
        state.resized |= signal == sys::SIGWINCH;
        // Never more than one byte, for which a pipe has room.
        if !std::mem::replace(&mut state.rung, true) {
            let _ = { rope }.write(b"!");
        }
        drop(state);
        shared.news.notify_one();
        if ends {
            shared.around.connection_limit.wake();
        }
    }
}
