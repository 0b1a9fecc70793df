//! Real commands: a thread for each that runs, reused, never more than there is
//! work for.
//!
//! Who owns what: the engine's thread owns the flow and every result; a worker
//! owns its command from start to end and hands over the result; the signal
//! thread owns the level. They meet in one `Mutex` (`State`) with two
//! condition variables, `work` for workers and `news` for the engine.
//!
//! Locks: `State` and the ramp's are never held together; under either the level
//! of `Interrupt` may be read or raised, and nothing but what is its own is taken
//! under that. The spool's lock is held alone, while a file is made or removed,
//! and so is that of the last look at `/proc` (`family`). The beat is the engine's
//! alone; SIGUSR1 and SIGWINCH only set a flag in `State`. So no circle of
//! waiting can form, and nobody who holds a lock waits for anything but that
//! lock's own condition variable.
#![forbid(unsafe_code)]

use super::child::{self, Surroundings};
use super::interrupt::{Level, lock};
use super::runner::{Ending, Finished, Job, Runner, Time, Wake};
use super::sys;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A worker's stack in bytes; its buffers are elsewhere.
const STACK: usize = 128 << 10;

pub struct Pool {
    shared: Arc<Shared>,
    /// Jobs that are queued or run.
    busy: usize,
    /// How often a wait tells that time goes by, and when next.
    beat: Option<(Duration, Instant)>,
}

struct Shared {
    around: Arc<Surroundings>,
    began: Instant,
    state: Mutex<State>,
    work: Condvar,
    news: Condvar,
}

impl Shared {
    /// Runs the job; `patient` waits where the machine is short of processes.
    fn run(&self, job: &Job, patient: bool) -> Finished {
        child::run(
            job,
            job.deadline.map(|d| self.began + d),
            patient,
            &self.around,
        )
    }
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Threads that take jobs, and how many of them have one.
    workers: usize,
    at_work: usize,
    done: VecDeque<(u64, Box<Finished>)>,
    signals: VecDeque<(i32, Level)>,
    /// SIGUSR1 and SIGWINCH came.
    asked: bool,
    resized: bool,
    closed: bool,
}

impl Pool {
    /// Starts the thread that waits for signals; workers come with the jobs.
    /// The signals must be blocked already.
    pub fn new(around: Arc<Surroundings>) -> io::Result<Pool> {
        sys::raise_file_limit();
        let shared = Arc::new(Shared {
            around,
            began: Instant::now(),
            state: Mutex::default(),
            work: Condvar::new(),
            news: Condvar::new(),
        });
        let of_signals = shared.clone();
        std::thread::Builder::new()
            .stack_size(STACK)
            .spawn(move || watch_signals(&of_signals))?;
        Ok(Pool {
            shared,
            busy: 0,
            beat: None,
        })
    }

    /// From now on a wait also ends each time that so much time has gone by.
    pub fn beat(&mut self, every: Duration) {
        self.beat = Some((every, Instant::now() + every));
    }

    /// Ends the workers, then the guardian. Jobs must all be done.
    pub fn close(self) {
        lock(&self.shared.state).closed = true;
        self.shared.work.notify_all();
        self.shared.around.guardian.finish();
    }
}

impl Runner for Pool {
    fn now(&self) -> Time {
        self.shared.began.elapsed()
    }

    fn start(&mut self, job: Job) {
        self.busy += 1;
        let mut state = lock(&self.shared.state);
        if state.workers < self.busy {
            let shared = self.shared.clone();
            let spawned = std::thread::Builder::new()
                .stack_size(STACK)
                .spawn(move || work(&shared));
            if spawned.is_ok() {
                state.workers += 1;
            } else if state.workers == 0 {
                // No thread to be had at all: run it here, slowly but surely.
                drop(state);
                let finished = self.shared.run(&job, true);
                lock(&self.shared.state)
                    .done
                    .push_back((job.number, Box::new(finished)));
                return;
            }
            // Else the job waits for a worker that is at work now.
        }
        state.jobs.push_back(job);
        drop(state);
        self.shared.work.notify_one();
    }

    fn wait(&mut self, until: Option<Time>) -> Wake {
        let mut state = lock(&self.shared.state);
        loop {
            if let Some((signal, level)) = state.signals.pop_front() {
                return Wake::Interrupt { signal, level };
            }
            if let Some((number, finished)) = state.done.pop_front() {
                self.busy -= 1;
                return Wake::Done(number, finished);
            }
            if std::mem::take(&mut state.asked) {
                return Wake::Asked;
            }
            if is_due(&mut self.beat, std::mem::take(&mut state.resized)) {
                return Wake::Beat;
            }
            let left = until.map(|u| u.saturating_sub(self.shared.began.elapsed()));
            if left == Some(Duration::ZERO) {
                return Wake::Time;
            }
            let beat = self.beat.map(|(_, next)| next - Instant::now());
            let Some(left) = [left, beat].into_iter().flatten().min() else {
                state = self
                    .shared
                    .news
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state = self
                .shared
                .news
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
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
fn work(shared: &Shared) {
    let mut state = lock(&shared.state);
    loop {
        if let Some(job) = state.jobs.pop_front() {
            state.at_work += 1;
            drop(state);
            let mut finished = shared.run(&job, false);
            state = lock(&shared.state);
            if finished.ending == Ending::Shortage && state.at_work > 1 {
                state.jobs.push_front(job);
                state.at_work -= 1;
                state.workers -= 1;
                return;
            }
            if finished.ending == Ending::Shortage {
                drop(state);
                finished = shared.run(&job, true);
                state = lock(&shared.state);
            }
            state.at_work -= 1;
            state.done.push_back((job.number, Box::new(finished)));
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
fn watch_signals(shared: &Shared) {
    loop {
        let signal = sys::next_signal();
        // In one step, so that `rearm` sees a signal either whole or not at all.
        let mut state = lock(&shared.state);
        if signal == sys::SIGUSR1 || signal == sys::SIGWINCH {
            state.asked |= signal == sys::SIGUSR1;
            state.resized |= signal == sys::SIGWINCH;
            shared.news.notify_one();
            continue;
        }
        let level = shared.around.interrupt.raise(signal);
        state.signals.push_back((signal, level));
        drop(state);
        shared.news.notify_one();
        shared.around.ramp.wake();
    }
}
