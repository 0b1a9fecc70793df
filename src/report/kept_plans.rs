//! The plans that were shown, kept so that a later one can be compared with them:
//! `state/plans/ID` holds the text, `state/plan.key` the key of the hashes that
//! stand for secrets.
#![forbid(unsafe_code)]

use super::log_directory::LogDirectory;
use super::replace_file;
use crate::run::sys;
use crate::text::diagnostic::cannot;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// How many plans are kept.
const PLANS_KEPT: usize = 200;

impl LogDirectory {
    /// The key of this log directory; created when it is first needed.
    ///
    /// # Errors
    /// `cannot create PATH: REASON`.
    pub fn plan_key(&self) -> io::Result<Vec<u8>> {
        if let Ok(key) = fs::read(self.path().join("state/plan.key")) {
            return Ok(key);
        }
        let path = self.create("state")?.join("plan.key");
        create_key(&path).map_err(cannot("create", &path))
    }

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

/// Creates the key, unless another run does so first; reads the one that is there.
fn create_key(path: &Path) -> io::Result<Vec<u8>> {
    let mut key = vec![0; 32];
    sys::random(&mut key)?;
    // Written in full, then linked: the first of several runs wins.
    let (mut file, temporary) = replace_file::create_temporary(path)?;
    let linked = file
        .write_all(&key)
        .and_then(|()| fs::hard_link(&temporary, path));
    let _ = fs::remove_file(&temporary);
    match linked {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => fs::read(path),
    }
}
