//! `~/` at the beginning of a path, where no shell reads the path (SPEC §1, §5).
#![forbid(unsafe_code)]

use std::path::PathBuf;

/// The path, with a leading `~/` replaced by the home directory.
///
/// # Errors
/// That there is no home directory to replace it by.
pub fn expand(path: &str) -> Result<PathBuf, String> {
    let Some(rest) = path.strip_prefix("~/") else {
        return Ok(PathBuf::from(path));
    };
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let home = home.ok_or("cannot resolve `~`: HOME is not set")?;
    Ok(PathBuf::from(home).join(rest))
}
