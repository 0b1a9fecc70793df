//! `--status`: the runs that are active and those that left a journal (SPEC §6.6).
//!
//! Read-only: creates and writes nothing, and takes no lock that a run would wait
//! for.
#![forbid(unsafe_code)]

use crate::cli::invocation::Typed;
use crate::exit;
use crate::report::log_directory::LogDirectory;
use crate::report::print::{complain, print};
use crate::report::run_status::{self, FoundRun};
use crate::run::directory::{self, NamedFile, OpenMode};
use crate::run::pid_space;
use crate::run::record::JournalError;
use crate::run::snapshot::{self, Snapshot};
use crate::run::{journal, journal_name};
use crate::session::config;
use crate::session::identity::named_path;
use crate::session::refusal::Refusal;
use crate::text::diagnostic::{Plural, printable, reason};
use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io::{self, Seek};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// How many times, and how long apart, a run whose process does not exist is looked
/// at again: another process may be about to resume it.
const LOOKS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(10);

/// How many runs are listed if the requested one does not exist.
const LISTED: usize = 20;

/// Prints the run that was asked for, or all of them; the exit code.
pub fn show(run: Option<&OsStr>, typed: &[Typed]) -> Result<i32, Refusal> {
    let directory = config::log_directory_of(typed)?;
    let now = SystemTime::now();
    let name = printable(&directory.display().to_string());
    let log_dir = LogDirectory::to_look_at(directory, now);
    let runs = look_at(&log_dir.try_journals().map_err(|e| {
        let why = format!("cannot look for runs in `{name}`: {}", reason(&e));
        Refusal::new(exit::LOG_DIR, why)
    })?);
    match run {
        None => {
            print(&all(&runs, &name, now));
            for outputs in log_dir.lone_outputs() {
                print(&format!("{}\n", outputs.sentence()));
            }
            for path in log_dir.half_written() {
                let path = printable(&path.display().to_string());
                print(&format!(
                    "a run was killed while it wrote `{path}`; nothing reads it, and --prune removes it in time\n"
                ));
            }
            Ok(exit::OK)
        }
        Some(run) => {
            let word = run.to_string_lossy();
            let shown = one(&word, &runs, &name, now);
            shown.map_err(|refusal| named_for_what_it_is(refusal, &word, &log_dir))
        }
    }
}

/// The runs, the newest first.
fn look_at(journals: &[NamedFile]) -> Vec<FoundRun> {
    let mut runs: Vec<FoundRun> = journals.iter().filter_map(look).collect();
    runs.sort_unstable_by_key(|run| std::cmp::Reverse(run.began()));
    runs
}

/// The run of a journal; nothing if it has meanwhile ended well, or if others may have
/// put the journal there.
fn look(place: &NamedFile) -> Option<FoundRun> {
    let owner = place.directory.owner();
    let mut run = FoundRun {
        id: journal_name::run_id(&place.name).into_owned(),
        owner: Some(owner).filter(|owner| *owner != directory::own_id()),
        live: false,
        process_here: None,
        log_is_gone: false,
        last_write: SystemTime::UNIX_EPOCH,
        snapshot: Err(String::new()),
    };
    for _ in 0..LOOKS {
        match read(place, &mut run) {
            Ok(true) => {}
            Ok(false) => return None,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return None,
            Err(e) if directory::is_about_trust(&e) => {
                let name = printable(&place.path().display().to_string());
                let why = reason(&e);
                complain(format_args!(
                    "tasker: warning: the journal `{name}` is ignored: {why}"
                ));
                return None;
            }
            Err(e) => run.snapshot = Err(reason(&e)),
        }
        let process = run.snapshot.as_ref().ok().and_then(|s| s.process.as_ref());
        let process = process.filter(|_| run.live);
        run.process_here = process.and_then(|p| pid_space::id_here(p.pid, &p.pid_space));
        if process.is_none() || run.process_here.is_some() {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    // Where another user's journal says that it is, nobody looks.
    run.log_is_gone = run.owner.is_none() && run.snapshot.as_ref().is_ok_and(lacks_log);
    Some(run)
}

fn lacks_log(snapshot: &Snapshot) -> bool {
    let log = snapshot.process.as_ref().map(|process| &process.log);
    let log = log.map(|log| Path::new(OsStr::from_bytes(log)));
    log.is_some_and(|log| log.is_absolute() && log.try_exists().is_ok_and(|exists| !exists))
}

/// Whether the run still exists.
fn read(place: &NamedFile, run: &mut FoundRun) -> io::Result<bool> {
    let mut file = place.open(OpenMode::Read)?;
    run.live = is_held(&file)?;
    let about = file.metadata()?;
    run.last_write = about.modified()?;
    let mut bytes = Vec::new();
    journal::read_rest(&mut file, &mut bytes)?;
    run.snapshot = tell(&bytes);
    if run.live && run.snapshot.is_err() {
        // A resumed run begins by cutting off an incomplete record.
        file.rewind()?;
        bytes.clear();
        journal::read_rest(&mut file, &mut bytes)?;
        run.snapshot = tell(&bytes);
    }
    if run
        .snapshot
        .as_ref()
        .is_ok_and(|s| s.header.run_id != run.id)
    {
        run.snapshot = Err("it is the journal of another run".into());
    }
    Ok(file.metadata()?.nlink() > 0)
}

/// Whether a process holds the journal. If none does, the lock is released at once,
/// since a run that is just being resumed tries to take it.
fn is_held(file: &File) -> io::Result<bool> {
    match file.try_lock_shared() {
        Ok(()) => file.unlock().map(|()| false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(e)) => Err(e),
    }
}

fn tell(bytes: &[u8]) -> Result<Snapshot, String> {
    snapshot::read(bytes).map_err(|problem| match problem {
        JournalError::Unusable(why) => why,
        JournalError::Empty | JournalError::Active => "it ends before anything was run".into(),
    })
}

/// Active runs in detail, the others in a line each.
fn all(runs: &[FoundRun], directory: &str, now: SystemTime) -> String {
    if runs.is_empty() {
        return format!("no run is active, and none has left a journal, in `{directory}`\n");
    }
    let (live, dead): (Vec<&FoundRun>, Vec<&FoundRun>) = runs.iter().partition(|run| run.live);
    let mut parts: Vec<String> = live
        .iter()
        .map(|run| run_status::detail(run, now))
        .collect();
    let lines: String = dead.iter().map(|run| run_status::line(run, now)).collect();
    if !lines.is_empty() {
        parts.push(lines);
    }
    parts.join("\n")
}

/// Prints the one that `word` names.
fn one(word: &str, runs: &[FoundRun], directory: &str, now: SystemTime) -> Result<i32, Refusal> {
    let found = find_runs(word, runs);
    if let [run] = found[..] {
        print(&run_status::detail(run, now));
        return Ok(match run.snapshot {
            Ok(_) => exit::OK,
            Err(_) => exit::POSITION,
        });
    }
    let shown = printable(word);
    let why = match found.len() {
        0 => format!("there is no run `{shown}` in `{directory}`"),
        n => format!("{n} runs begin with `{shown}`"),
    };
    let there: Vec<&FoundRun> = match found.is_empty() {
        true => runs.iter().collect(),
        false => found,
    };
    let count = match there.len() {
        0 => "no run is active, and none has left a journal".into(),
        1 => "there is 1 run:".into(),
        n => format!("there are {}:", Plural(n, "run")),
    };
    let mut detail = format!("     = note: {count}\n");
    for run in there.iter().take(LISTED) {
        detail.push_str(&run_status::line(run, now));
    }
    if there.len() > LISTED {
        detail.push_str(&format!("and {} older ones\n", there.len() - LISTED));
    }
    Err(Refusal {
        detail: detail.into(),
        ..Refusal::new(exit::POSITION, why)
    })
}

/// A run whose journal is gone is not one that never was.
fn named_for_what_it_is(refusal: Refusal, word: &str, log_dir: &LogDirectory) -> Refusal {
    let outputs = log_dir.lone_outputs();
    match outputs.iter().find(|outputs| outputs.run == word) {
        Some(outputs) => Refusal {
            why: outputs.sentence(),
            ..refusal
        },
        None => refusal,
    }
}

/// The run with this id, else the newest of this task file, else those whose ids
/// begin so.
fn find_runs<'a>(word: &str, runs: &'a [FoundRun]) -> Vec<&'a FoundRun> {
    let path = path_in_journals(word);
    let file = |run: &'a FoundRun| run.snapshot.as_ref().map_or("", |t| &t.header.file);
    let by_id = runs.iter().find(|run| run.id == word);
    let by_name = || runs.iter().find(|run| file(run) == path);
    let is_same = |run: &&FoundRun| is_same_file(&run.snapshot, &path);
    match by_id.or_else(by_name).or_else(|| runs.iter().find(is_same)) {
        Some(run) => vec![run],
        None => {
            let begins = |run: &&FoundRun| !word.is_empty() && run.id.starts_with(word);
            runs.iter().filter(begins).collect()
        }
    }
}

/// The path as journals hold it, also for a file that no longer exists.
fn path_in_journals(word: &str) -> String {
    match word {
        "-" => word.into(),
        _ => named_path(Path::new(word)).to_string_lossy().into_owned(),
    }
}

/// Whether the run is of this file, by another name.
fn is_same_file(snapshot: &Result<Snapshot, String>, path: &str) -> bool {
    let real = |path: &str| Path::new(path).canonicalize().ok();
    let file = snapshot.as_ref().map_or("", |t| t.header.file.as_str());
    file != "-" && real(file).is_some_and(|file| Some(file) == real(path))
}
