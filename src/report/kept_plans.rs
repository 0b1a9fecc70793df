//! The plans that were shown, kept so that a later one can be compared with them:
//! `state/plans/ID` holds the text.
#![forbid(unsafe_code)]

use super::log_directory::{self, LogDirectory};
use crate::run::directory::{NamedFile, Trust};
use crate::run::place::Place;
use crate::text::diagnostic::cannot;
use std::ffi::OsString;
use std::io;
use std::time::SystemTime;

/// How many plans are kept.
const PLANS_KEPT: usize = 200;

impl LogDirectory {
    /// Keeps a plan's text, and removes the oldest plans.
    pub fn keep_plan(&self, id: &str, text: &str) -> io::Result<()> {
        let file = self.plans().file_to_make(id)?;
        log_directory::replace(&file, &|out| out.write_all(text.as_bytes()))?;
        let directory = &file.directory;
        let names = directory.names();
        let names = names.map_err(cannot("read", directory.path()))?;
        let age = |name: &OsString| directory.look_at(name).ok()?.modified().ok();
        let kept = names
            .into_iter()
            .filter_map(|name| Some((age(&name)?, name)));
        let mut kept: Vec<(SystemTime, OsString)> = kept.collect();
        kept.sort_unstable_by_key(|(at, _)| *at);
        let surplus = kept.len().saturating_sub(PLANS_KEPT);
        for (_, name) in &kept[..surplus] {
            let _ = directory.remove(name);
        }
        Ok(())
    }

    /// The text of the kept plan whose id begins with these digits.
    pub fn kept_plan(&self, digits: &str) -> Option<String> {
        let directory = self.plans().existing().ok()?;
        let mut names = directory.names().ok()?.into_iter();
        let name = names.find(|name| name.to_string_lossy().starts_with(digits))?;
        log_directory::read_text(&NamedFile { directory, name }).ok()
    }

    pub(super) fn plans(&self) -> Place {
        self.state.child("plans", Trust::Own)
    }
}
