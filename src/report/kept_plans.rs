//! The plans that were shown, kept so that a later one can be compared with them:
//! `state/plans/ID` holds the text.
#![forbid(unsafe_code)]

use super::log_directory::LogDirectory;
use super::replace_file;
use crate::text::diagnostic::cannot;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

/// How many plans are kept.
const PLANS_KEPT: usize = 200;

impl LogDirectory {
    /// Keeps a plan's text, and removes the oldest plans.
    pub fn keep_plan(&self, id: &str, text: &str) -> io::Result<()> {
        let directory = self.create("state/plans")?;
        replace_file::replace(&directory.join(id), text.as_bytes())?;
        let entries = fs::read_dir(&directory).map_err(cannot("read", &directory))?;
        let mut kept: Vec<(SystemTime, PathBuf)> = entries
            .flatten()
            .filter_map(|e| Some((e.metadata().ok()?.modified().ok()?, e.path())))
            .collect();
        kept.sort_unstable_by_key(|(at, _)| *at);
        let surplus = kept.len().saturating_sub(PLANS_KEPT);
        for (_, path) in &kept[..surplus] {
            let _ = fs::remove_file(path);
        }
        Ok(())
    }

    /// The text of the kept plan whose id begins with these digits.
    pub fn kept_plan(&self, digits: &str) -> Option<String> {
        let mut plans = fs::read_dir(self.path().join("state/plans"))
            .ok()?
            .flatten();
        let plan = plans.find(|e| e.file_name().to_string_lossy().starts_with(digits))?;
        fs::read_to_string(plan.path()).ok()
    }
}
