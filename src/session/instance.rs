//! One instance at a time (SPEC §6.4): a kernel lock, so that it is free however
//! its holder ends. The text in the file only says who holds it.
#![forbid(unsafe_code)]

use crate::cli::invocation::Invocation;
use crate::exit;
use crate::report::clock;
use crate::report::log_directory::LogDirectory;
use crate::run::pool::Pool;
use crate::run::runner::Runner;
use crate::run::sys;
use crate::session::approval::{Plan, PlanKey};
use crate::session::load::Loaded;
use crate::session::refusal::{Refusal, unwritable};
use crate::task::nodeset::HostFilter;
use crate::text::diagnostic::cannot;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// How often a lock that is held is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// What the command line says about other instances.
#[derive(Clone, Copy, Debug, PartialEq)]
enum LockMode {
    /// Any number of instances can run at once.
    Unlocked,
    /// Refuse to run while another is active.
    Check,
    /// Wait this long for another to end.
    Wait(Duration),
    /// End quietly if another is active.
    Skip,
    /// Run even if another is active.
    Force,
}

impl LockMode {
    fn wanted_by(invocation: &Invocation) -> LockMode {
        match invocation.lock_wait {
            _ if invocation.force_instance => LockMode::Force,
            Some(time) => LockMode::Wait(time),
            None if invocation.lock_skip => LockMode::Skip,
            None if invocation.instance_check => LockMode::Check,
            None => LockMode::Unlocked,
        }
    }
}

/// The result of one attempt to take the lock.
enum TakenLock {
    /// Held until the file is closed.
    Held(File),
    /// Another instance has it: which one, since when.
    Busy(String),
}

/// Whether this instance can run.
pub enum Instance {
    Ours(InstanceLock),
    /// Another is active, and this one ends quietly.
    Another,
}

/// What this instance runs under.
pub enum InstanceLock {
    NotNeeded,
    Held {
        _file: File,
    },
    /// Another instance has it.
    Forced {
        holder: String,
    },
}

impl InstanceLock {
    /// The instance that is active as well, if this one was forced.
    pub fn other_instance(&self) -> Option<&str> {
        match self {
            InstanceLock::Forced { holder } => Some(holder),
            InstanceLock::NotNeeded | InstanceLock::Held { .. } => None,
        }
    }
}

/// Takes the lock of this file and its globals, as the command line says.
///
/// # Errors
/// That another instance is active (25), a signal came, or the lock's file cannot
/// be made (32).
pub fn take(
    loaded: &Loaded,
    log_dir: &LogDirectory,
    plan: &PlanKey,
    pool: &mut Pool,
) -> Result<Instance, Refusal> {
    let wanted = LockMode::wanted_by(&loaded.invocation);
    if wanted == LockMode::Unlocked {
        return Ok(Instance::Ours(InstanceLock::NotNeeded));
    }
    let path = log_dir
        .lock_file(&plan.instance[..16])
        .map_err(unwritable)?;
    let until = match wanted {
        LockMode::Wait(time) => pool.now() + time,
        _ => pool.now(),
    };
    loop {
        let holder = match try_lock(&path).map_err(unwritable)? {
            TakenLock::Held(file) => {
                return Ok(Instance::Ours(InstanceLock::Held { _file: file }));
            }
            TakenLock::Busy(holder) => holder,
        };
        match wanted {
            LockMode::Force => return Ok(Instance::Ours(InstanceLock::Forced { holder })),
            LockMode::Skip => return Ok(Instance::Another),
            _ if pool.now() >= until => return Err(active(&holder)),
            _ => pool.pause(RETRY).map_err(Refusal::of_signal)?,
        }
    }
}

fn active(holder: &str) -> Refusal {
    let why = format!("another instance of this run is active: {holder}");
    Refusal::new(exit::ACTIVE, why)
}

/// Whether this call can look for a run to resume. While another instance is active,
/// the journal belongs to that one, and this call ends quietly, waits or is refused.
/// Nothing has begun yet, so a signal ends it like any program.
///
/// # Errors
/// That another instance is active (25), or the lock's file cannot be made (32).
pub fn may_look_for_a_run(loaded: &Loaded, log_dir: &LogDirectory) -> Result<bool, Refusal> {
    let invocation = &loaded.invocation;
    if !(invocation.resume || invocation.auto_recovery || invocation.finish_only) {
        return Ok(true);
    }
    let wanted = LockMode::wanted_by(invocation);
    let most = match wanted {
        LockMode::Unlocked | LockMode::Force => return Ok(true),
        LockMode::Wait(time) => time,
        LockMode::Check | LockMode::Skip => Duration::ZERO,
    };
    let instance = Plan::new(loaded, &HostFilter::default()).key.instance;
    let path = log_dir.lock_file(&instance[..16]).map_err(unwritable)?;
    let began = Instant::now();
    loop {
        match try_lock(&path).map_err(unwritable)? {
            TakenLock::Held(_) => return Ok(true),
            TakenLock::Busy(_) if wanted == LockMode::Skip => return Ok(false),
            TakenLock::Busy(holder) if began.elapsed() >= most => return Err(active(&holder)),
            TakenLock::Busy(_) => std::thread::sleep(RETRY),
        }
    }
}

/// Tries once to take the lock.
///
/// # Errors
/// That its file cannot be made or locked.
fn try_lock(path: &Path) -> io::Result<TakenLock> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(cannot("open the lock", path))?;
    match file.try_lock() {
        Ok(()) => {
            let holder = format!(
                "process {} on {}, started {}\n",
                std::process::id(),
                sys::own_name(),
                clock::stamp(SystemTime::now())
            );
            // On a full disk the lock still holds; another instance learns less.
            let _ = file
                .set_len(0)
                .and_then(|()| file.write_all(holder.as_bytes()));
            Ok(TakenLock::Held(file))
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = (&mut file).take(1000).read_to_string(&mut holder);
            let holder = holder.trim();
            let unknown = "an unnamed process";
            let holder = if holder.is_empty() { unknown } else { holder };
            Ok(TakenLock::Busy(holder.to_string()))
        }
        Err(TryLockError::Error(e)) => Err(cannot("lock", path)(e)),
    }
}
