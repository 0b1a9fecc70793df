//! One instance at a time (SPEC §6.4): kernel locks, so that they are free however
//! their holder ends. The text in a lock's file only says who holds it.
//!
//! The options such as `--instance-check` lock the job, twice: by the task file's path
//! as it was named, and by its real path, so that neither an edited file nor a link
//! leads past. What continues an earlier run locks the work in any case, before it
//! looks for that run: two of them would choose the same one.
//!
//! A holder removes the file at the end, because with a date among the globals each
//! night has a work of its own. Whoever had opened the file before holds a lock that
//! nobody else will find, notices that, and begins anew.
#![forbid(unsafe_code)]

use crate::cli::invocation::Invocation;
use crate::exit;
use crate::report::clock;
use crate::report::log_directory::LogDirectory;
use crate::run::directory::{NamedFile, OpenMode};
use crate::run::pid_space::PidSpace;
use crate::run::sys;
use crate::session::identity::Identity;
use crate::session::load::Loaded;
use crate::session::refusal::{Refusal, unwritable};
use crate::text::diagnostic::cannot;
use std::fs::{File, Metadata, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// How often a lock that is held is tried again.
pub const RETRY: Duration = Duration::from_millis(100);
/// How often, and how long apart, the name of a holder is read that has just begun.
const NAME_ATTEMPTS: u32 = 20;
const NAME_RETRY: Duration = Duration::from_millis(5);

/// What is done about a lock that another instance holds.
#[derive(Clone, Copy, Debug, PartialEq)]
enum LockMode {
    /// Refuse to run.
    Check,
    /// Wait this long for the other to end.
    Wait(Duration),
    /// End quietly.
    Skip,
    /// Run anyway.
    Force,
}

impl LockMode {
    /// For the locks of the job; nothing if any number of instances can run at once.
    fn of_job(invocation: &Invocation) -> Option<LockMode> {
        let is_wanted =
            invocation.instance_check || invocation.lock_skip || invocation.lock_wait.is_some();
        match invocation.force_instance {
            true => Some(LockMode::Force),
            false => is_wanted.then(|| LockMode::of_work(invocation)),
        }
    }

    /// For the lock of the work, which nothing overrides.
    fn of_work(invocation: &Invocation) -> LockMode {
        match invocation.lock_wait {
            Some(time) => LockMode::Wait(time),
            None if invocation.lock_skip => LockMode::Skip,
            None => LockMode::Check,
        }
    }
}

/// Whether the call continues an earlier run. Then its locks are taken before that run
/// is chosen.
pub fn continues_a_run(invocation: &Invocation) -> bool {
    invocation.resume.is_some()
        || invocation.resume_at.is_some()
        || invocation.auto_recovery
        || invocation.finish_only
}

/// A lock that an instance needs.
struct NeededLock<'a> {
    /// What it is a lock of, in the name of its file.
    kind: &'static str,
    id: &'a str,
    mode: LockMode,
}

/// The locks of a call, always in the same order, so that two calls never wait for each
/// other.
fn needed<'a>(identity: &'a Identity, invocation: &Invocation) -> Vec<NeededLock<'a>> {
    let lock = |kind, id, mode| NeededLock { kind, id, mode };
    let mut needed = Vec::new();
    if let Some(work) = &identity.work
        && continues_a_run(invocation)
    {
        needed.push(lock("work", work, LockMode::of_work(invocation)));
    }
    if let Some(mode) = LockMode::of_job(invocation) {
        needed.push(lock("job", &identity.job, mode));
        let real = identity.real_job.as_ref();
        needed.extend(real.map(|id| lock("file", id, mode)));
    }
    needed
}

/// The locks of an instance, held until this is dropped.
#[derive(Default)]
pub struct InstanceLocks {
    held: Vec<HeldLock>,
    /// The instance that is active as well, if this one was forced.
    other: Option<String>,
}

impl InstanceLocks {
    /// Takes the locks that the command line asks for, in all within its `--lock-wait`,
    /// which counts from `began`; nothing if another instance is active and this one is to
    /// end quietly.
    ///
    /// # Errors
    /// That another instance is active (25), the wait was ended, or a lock's file cannot
    /// be made (32).
    pub fn take(
        loaded: &Loaded,
        log_dir: &LogDirectory,
        began: Instant,
        wait: &mut dyn FnMut(Duration) -> Result<(), Refusal>,
    ) -> Result<Option<InstanceLocks>, Refusal> {
        let mut locks = InstanceLocks::default();
        for NeededLock { kind, id, mode } in needed(&loaded.identity, &loaded.invocation) {
            let place = log_dir.lock_file(kind, id).map_err(unwritable)?;
            match try_long_enough(&place, mode, began, wait)? {
                TakenLock::Held(lock) => locks.held.push(lock),
                TakenLock::Busy(_) if mode == LockMode::Skip => return Ok(None),
                TakenLock::Busy(holder) => locks.other = Some(locks.other.unwrap_or(holder)),
            }
        }
        Ok(Some(locks))
    }

    /// The files of the locks, for the guardian.
    pub fn files(&self) -> Vec<Arc<File>> {
        self.held.iter().map(|lock| lock.file.clone()).collect()
    }

    /// The instance that is active as well, if this one was forced.
    pub fn other_instance(&self) -> Option<&str> {
        self.other.as_deref()
    }
}

/// Tries to take the lock as long as the mode says. A busy one is no refusal if it is
/// forced or skipped.
fn try_long_enough(
    place: &NamedFile,
    mode: LockMode,
    began: Instant,
    wait: &mut dyn FnMut(Duration) -> Result<(), Refusal>,
) -> Result<TakenLock, Refusal> {
    loop {
        match (try_lock(place).map_err(unwritable)?, mode) {
            (TakenLock::Busy(_), LockMode::Wait(time)) if began.elapsed() < time => wait(RETRY)?,
            (TakenLock::Busy(holder), LockMode::Check | LockMode::Wait(_)) => {
                return Err(active(&holder));
            }
            (taken, _) => return Ok(taken),
        }
    }
}

fn active(holder: &str) -> Refusal {
    let why = format!("another instance of this run is active: {holder}");
    Refusal::new(exit::ACTIVE, why)
}

/// A lock that this process holds.
struct HeldLock {
    file: Arc<File>,
    place: NamedFile,
}

impl HeldLock {
    /// Whether others find this lock: the file can have been removed, or replaced,
    /// between its opening and its locking.
    fn is_in_place(&self) -> bool {
        let inode = |meta: Metadata| (meta.dev(), meta.ino());
        let own = self.file.metadata().map(inode);
        let found = self.place.directory.look_at(&self.place.name).map(inode);
        own.is_ok_and(|own| found.is_ok_and(|found| own == found))
    }

    /// Writes who holds it. On a full disk the lock still holds; another instance
    /// learns less.
    fn sign(&self) {
        let holder = format!(
            "process {} on {}{}, started {}\n",
            std::process::id(),
            sys::own_name(),
            PidSpace::own().map_or_else(String::new, |space| space.note()),
            clock::stamp(SystemTime::now())
        );
        let mut file = self.file.as_ref();
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(holder.as_bytes()));
    }
}

impl Drop for HeldLock {
    /// Removes the file before the lock is free, so that nobody else can hold it.
    fn drop(&mut self) {
        if self.is_in_place() {
            let _ = self.place.remove();
        }
        let _ = self.file.unlock();
    }
}

/// The result of one attempt to take a lock.
enum TakenLock {
    Held(HeldLock),
    /// Another instance has it: which one, since when.
    Busy(String),
}

/// Tries to take the lock.
///
/// # Errors
/// That its file cannot be made or locked.
fn try_lock(place: &NamedFile) -> io::Result<TakenLock> {
    loop {
        let file = place.open(OpenMode::Keep);
        let file = file.map_err(cannot("open the lock", &place.path()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(TakenLock::Busy(holder_of(file))),
            Err(TryLockError::Error(e)) => return Err(cannot("lock", &place.path())(e)),
        }
        let lock = HeldLock {
            file: Arc::new(file),
            place: place.clone(),
        };
        if lock.is_in_place() {
            lock.sign();
            return Ok(TakenLock::Held(lock));
        }
    }
}

/// Who holds the lock. A holder that has just locked it has not signed yet.
fn holder_of(mut file: File) -> String {
    for _ in 0..NAME_ATTEMPTS {
        let mut holder = String::new();
        let _ = file.rewind();
        let _ = (&mut file).take(1000).read_to_string(&mut holder);
        if holder.ends_with('\n') {
            return holder.trim().to_string();
        }
        std::thread::sleep(NAME_RETRY);
    }
    "an unnamed process".into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::directory::Directory;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

    /// A lock belongs to the opened file, so threads compete like processes.
    #[test]
    fn one_that_takes_the_lock_while_its_file_is_removed_is_not_alone() {
        let name = format!("tasker-lock-{}", std::process::id());
        let directory = std::env::temp_dir();
        let path = directory.join(&name);
        let place = NamedFile {
            directory: Directory::at(&directory).expect("a directory"),
            name: name.into(),
        };
        let is_held = AtomicBool::new(false);
        let take_often = || {
            let mut taken = 0;
            while taken < 250 {
                if let TakenLock::Held(lock) = try_lock(&place).expect("a lock") {
                    assert!(!is_held.swap(true, SeqCst), "two hold the lock");
                    (0..10).for_each(|_| std::thread::yield_now());
                    is_held.store(false, SeqCst);
                    drop(lock);
                    taken += 1;
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(take_often);
            }
        });
        assert!(!path.exists());
    }
}
