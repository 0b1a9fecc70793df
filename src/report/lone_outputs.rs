//! What is in `state/` without a journal: outputs whose journals are gone, because somebody
//! removed them or tasker was killed between the two, and files that a run had only begun
//! to write when it was killed. Nothing can be resumed from them.
#![forbid(unsafe_code)]

use super::log_directory::LogDirectory;
use super::retention;
use crate::run::directory::Directory;
use crate::run::journal_name::time_of_run;
use crate::text::diagnostic::printable;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

/// How many times, and how long apart, they are looked for: a run that is just ending
/// removes its outputs after its journal.
const LOOKS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(10);

/// What is left of a run.
pub struct LoneOutputs {
    pub run: String,
    path: PathBuf,
}

impl LoneOutputs {
    /// What to say of them.
    pub fn sentence(&self) -> String {
        let path = printable(&self.path.display().to_string());
        format!(
            "the journal of run {} is gone, only its outputs are left in `{path}`",
            self.run
        )
    }
}

impl LogDirectory {
    /// All of them, the newest first; none if they cannot be looked for.
    pub fn lone_outputs(&self) -> Vec<LoneOutputs> {
        let Ok(state) = self.state.existing() else {
            return Vec::new();
        };
        let mut found = lasting(&state, alone_in);
        found.sort_unstable_by(|a, b| b.cmp(a));
        let describe = |run: String| LoneOutputs {
            path: state.path_of(OsStr::new(&run)),
            run,
        };
        found.into_iter().map(describe).collect()
    }

    /// The files that runs had begun to write when they were killed; none if they cannot
    /// be looked for.
    pub fn half_written(&self) -> Vec<PathBuf> {
        let Ok(state) = self.state.existing() else {
            return Vec::new();
        };
        let mut found = lasting(&state, half_written_in);
        found.sort_unstable();
        let path = |name: String| state.path_of(OsStr::new(&name));
        found.into_iter().map(path).collect()
    }
}

/// What is found each time, and not only while a run is at work on it.
fn lasting(state: &Directory, find: impl Fn(&Directory) -> Vec<String>) -> Vec<String> {
    let mut found = find(state);
    for _ in 1..LOOKS {
        if found.is_empty() {
            break;
        }
        std::thread::sleep(PAUSE);
        let again: HashSet<String> = find(state).into_iter().collect();
        found.retain(|name| again.contains(name));
    }
    found
}

fn half_written_in(state: &Directory) -> Vec<String> {
    let names = state.names().unwrap_or_default().into_iter();
    let mut names: Vec<String> = names.flat_map(OsString::into_string).collect();
    names.retain(|name| retention::is_half_written(name));
    names
}

fn alone_in(state: &Directory) -> Vec<String> {
    let names = state.names().unwrap_or_default();
    let names = names.into_iter().map(OsString::into_string);
    // A journal's name has more after a dot, also while it is made or removed.
    let (journals, mut others): (Vec<String>, Vec<String>) =
        names.flatten().partition(|name| name.contains('.'));
    let with_journal: HashSet<&str> = journals
        .iter()
        .filter_map(|name| name.split_once('.'))
        .map(|(run, _)| run)
        .collect();
    let is_directory = |name: &str| {
        let about = state.look_at(OsStr::new(name));
        about.is_ok_and(|about| about.is_dir())
    };
    others.retain(|name| {
        time_of_run(name).is_some() && !with_journal.contains(name.as_str()) && is_directory(name)
    });
    others
}
