//! One instance at a time (SPEC §6.4): a kernel lock, so that it is free however
//! its holder ends. What stands in the file only tells who holds it.
#![forbid(unsafe_code)]

use crate::cli::invocation::Invocation;
use crate::exit;
use crate::report::clock;
use crate::report::log_directory::LogDirectory;
use crate::run::pool::Pool;
use crate::run::runner::Runner;
use crate::run::sys;
use crate::session::approval::Plan;
use crate::session::load::Loaded;
use crate::session::real_run;
use crate::session::refusal::{Refusal, unwritable};
use crate::task::nodeset::HostFilter;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// How often a lock that is held is asked for again.
const LOOK: Duration = Duration::from_millis(100);

/// What the command line says about other instances.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wanted {
    /// Nothing: as many at once as anybody starts.
    No,
    /// Refuse to run beside another.
    Check,
    /// Wait so long for another to end.
    Wait(Duration),
    /// End quietly where there is another.
    Skip,
    /// Run beside another.
    Force,
}

impl Wanted {
    fn of(invocation: &Invocation) -> Wanted {
        match invocation.lock_wait {
            _ if invocation.force_instance => Wanted::Force,
            Some(time) => Wanted::Wait(time),
            None if invocation.lock_skip => Wanted::Skip,
            None if invocation.instance_check => Wanted::Check,
            None => Wanted::No,
        }
    }
}

/// A lock that is held until the value is dropped.
pub struct Lock {
    _file: File,
}

/// What became of one try.
enum Try {
    Held(Lock),
    /// Another has it: who, since when.
    Busy(String),
}

/// Whether this instance may run.
pub enum Instance {
    Ours(Place),
    /// Another runs, and this one ends quietly.
    Another,
}

/// What entitles this instance to run.
pub enum Place {
    /// Nothing is needed.
    Free,
    Locked {
        _lock: Lock,
    },
    /// Beside this other one.
    Beside(String),
}

impl Place {
    /// Who else runs, where this one runs beside it.
    pub fn beside(&self) -> Option<&str> {
        match self {
            Place::Beside(holder) => Some(holder),
            Place::Free | Place::Locked { .. } => None,
        }
    }
}

/// Takes the lock of this file and its globals, as the command line says.
///
/// # Errors
/// That another instance is active (25), a signal came, or the lock's file cannot
/// be made (32).
pub fn instance(
    loaded: &Loaded,
    log_dir: &LogDirectory,
    plan: &Plan,
    pool: &mut Pool,
) -> Result<Instance, Refusal> {
    let wanted = Wanted::of(&loaded.invocation);
    if wanted == Wanted::No {
        return Ok(Instance::Ours(Place::Free));
    }
    let path = log_dir
        .lock_file(&plan.instance[..16])
        .map_err(unwritable)?;
    let until = match wanted {
        Wanted::Wait(time) => pool.now() + time,
        _ => pool.now(),
    };
    loop {
        let holder = match take(&path).map_err(unwritable)? {
            Try::Held(lock) => return Ok(Instance::Ours(Place::Locked { _lock: lock })),
            Try::Busy(holder) => holder,
        };
        match wanted {
            Wanted::Force => return Ok(Instance::Ours(Place::Beside(holder))),
            Wanted::Skip => return Ok(Instance::Another),
            _ if pool.now() >= until => return Err(active(&holder)),
            _ => real_run::pause(pool, LOOK)?,
        }
    }
}

fn active(holder: &str) -> Refusal {
    let why = format!("another instance of this run is active: {holder}");
    Refusal::new(exit::ACTIVE, why)
}

/// Looks for another instance before its journal is looked at: that of a run
/// which is alive cannot be gone on with. Whether this instance may begin; not,
/// where it is to end quietly. Nothing has begun, so a signal ends it as any
/// program.
///
/// # Errors
/// That another instance is active (25), or the lock's file cannot be made (32).
pub fn let_others_end(loaded: &Loaded, log_dir: &LogDirectory) -> Result<bool, Refusal> {
    let wanted = Wanted::of(&loaded.invocation);
    let most = match wanted {
        Wanted::No | Wanted::Force => return Ok(true),
        Wanted::Wait(time) => time,
        Wanted::Check | Wanted::Skip => Duration::ZERO,
    };
    let instance = Plan::new(loaded, &HostFilter::default(), Some(log_dir))?.instance;
    let path = log_dir.lock_file(&instance[..16]).map_err(unwritable)?;
    let began = Instant::now();
    loop {
        match take(&path).map_err(unwritable)? {
            Try::Held(_) => return Ok(true),
            Try::Busy(_) if wanted == Wanted::Skip => return Ok(false),
            Try::Busy(holder) if began.elapsed() >= most => return Err(active(&holder)),
            Try::Busy(_) => std::thread::sleep(LOOK),
        }
    }
}

/// Tries to take the lock of this name.
///
/// # Errors
/// That its file cannot be made or locked.
fn take(path: &Path) -> io::Result<Try> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("`{}`: {e}", path.display()));
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(named)?;
    match file.try_lock() {
        Ok(()) => {
            let holder = format!(
                "process {} on {}, started {}\n",
                std::process::id(),
                sys::own_name(),
                clock::stamp(SystemTime::now())
            );
            // A full disk takes no lock away; another instance is then told less.
            let _ = file
                .set_len(0)
                .and_then(|()| file.write_all(holder.as_bytes()));
            Ok(Try::Held(Lock { _file: file }))
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = (&mut file).take(1000).read_to_string(&mut holder);
            let holder = holder.trim();
            let unknown = "a process that has not said its name";
            let holder = if holder.is_empty() { unknown } else { holder };
            Ok(Try::Busy(holder.to_string()))
        }
        Err(TryLockError::Error(e)) => Err(named(e)),
    }
}
