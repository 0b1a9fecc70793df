//! Which runs do the same work, and which belong to the same job (SPEC §6.4). Of a
//! secret only the name counts.
//!
//! A work is the task file's path and all of its globals. A job is wider: the path and
//! the globals that the command line gives. It must be known of a file that cannot be
//! read, so it depends on nothing that is in the file.
#![forbid(unsafe_code)]

use crate::cli::invocation::Invocation;
use crate::report::invoker;
use crate::task::globals::{Global, GlobalTable};
use crate::text::diagnostic::DiagnosticList;
use crate::text::sha256;
use crate::text::source::{Source, SourceMap, Span};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// In place of a value that cannot be expanded: it equals nothing, not even itself. In
/// the ids it counts as a value, because a lock had better hold once too often.
const UNKNOWN: &str = "?";

/// How many digits stand for a task file, and for a work, in the name of a journal.
const MARK: usize = 8;
/// For standard input, which has none.
const NO_WORK: &str = "00000000";

/// What tells a run from runs of other files, and of the same file with other globals.
pub struct Identity {
    /// The task file's absolute path as it was named; `-` for standard input.
    pub file: PathBuf,
    /// 16 digits; nothing for standard input, which is gone after the run.
    pub work: Option<String>,
    /// 16 digits.
    pub job: String,
    /// As `job`, by the real path, so that no link leads past a lock; nothing for
    /// standard input.
    pub real_job: Option<String>,
    /// Each global's name and what stands for its value, sorted by name. Compare them
    /// with `same_value`.
    pub globals: Vec<(String, String)>,
}

impl Identity {
    /// Of a task file, by its path as it was named and its real path.
    pub fn of_file(
        named: &Path,
        real: &Path,
        globals: &GlobalTable,
        invocation: &Invocation,
    ) -> Identity {
        let globals = hashed_globals(globals);
        Identity {
            file: named.to_path_buf(),
            work: Some(id("work", named.as_os_str().as_bytes(), &globals)),
            job: job_of_file(named, invocation),
            real_job: Some(job_of_file(real, invocation)),
            globals,
        }
    }

    /// Of standard input, by its text.
    pub fn of_text(text: &str, globals: &GlobalTable, invocation: &Invocation) -> Identity {
        Identity {
            file: PathBuf::from("-"),
            work: None,
            job: job_of_text(text, invocation),
            real_job: None,
            globals: hashed_globals(globals),
        }
    }
}

impl Identity {
    /// Stands for the file and the work in the name of a journal. It tells others apart; what
    /// is the same work, the journal itself says.
    pub fn journal_mark(&self) -> String {
        let work = self.work.as_deref().unwrap_or_default();
        let work = work.get(..MARK).unwrap_or(NO_WORK);
        file_mark(&self.file.to_string_lossy()) + work
    }
}

/// The beginning of the marks of a task file's journals.
pub fn file_mark(file: &str) -> String {
    let mut mark = short_hash(file.as_bytes());
    mark.truncate(MARK);
    mark
}

/// The job of the task file at this path, whether or not it can be read.
pub fn job_of_file(path: &Path, invocation: &Invocation) -> String {
    let given = given_globals(invocation);
    id("job", path.as_os_str().as_bytes(), &given)
}

/// The job of a task file that came from standard input.
pub fn job_of_text(text: &str, invocation: &Invocation) -> String {
    id("text", text.as_bytes(), &given_globals(invocation))
}

/// Whether two globals of the same name have the same value. One that could not be
/// expanded differs from any.
pub fn same_value(one: &str, other: &str) -> bool {
    one == other && one != UNKNOWN
}

fn id(kind: &str, place: &[u8], globals: &[(String, String)]) -> String {
    let mut text = Vec::from(place);
    for (name, hash) in globals {
        text.extend(format!("\0{name}={hash}").bytes());
    }
    text.extend(format!("\0{kind}").bytes());
    short_hash(&text)
}

/// Stands for a value: the same for the same value.
pub fn short_hash(value: &[u8]) -> String {
    sha256::hex(value)[..16].to_string()
}

/// All globals, sorted by name.
fn hashed_globals(globals: &GlobalTable) -> Vec<(String, String)> {
    let hash = |global: &Global, value: &[u8]| match global.is_expanded() || global.secret {
        true => hash_global(global, value),
        false => UNKNOWN.into(),
    };
    sorted(globals.values().map(|(n, g, v)| (n.into(), hash(g, &v))))
}

/// The globals that the command line gives, as people read them: `REGION=eu,ZONE=b`; a
/// secret only by its name. What tells two jobs of one file apart.
pub fn shown_given_globals(invocation: &Invocation) -> String {
    let (globals, sources) = given(invocation);
    let show = |name: &str, global: &Global, value: &[u8]| {
        let value = match (global.is_expanded(), global.has_secret()) {
            (true, true) => global.shown(),
            (true, false) => String::from_utf8_lossy(value).into_owned(),
            (false, _) => global.written(&sources).to_string(),
        };
        match global.secret {
            true => name.to_string(),
            false => format!("{name}={value}"),
        }
    };
    let mut shown: Vec<String> = globals.values().map(|(n, g, v)| show(n, g, &v)).collect();
    shown.sort_unstable();
    shown.join(",")
}

/// The globals that the command line gives, sorted by name.
fn given_globals(invocation: &Invocation) -> Vec<(String, String)> {
    let (globals, sources) = given(invocation);
    let hash = |global: &Global, value: &[u8]| match global.is_expanded() || global.secret {
        true => hash_global(global, value),
        false => format!("typed {}", short_hash(global.written(&sources).as_bytes())),
    };
    sorted(globals.values().map(|(n, g, v)| (n.into(), hash(g, &v))))
}

/// The globals that the command line gives. They are expanded without the file: one that
/// refers to a global of the file counts as it was typed.
fn given(invocation: &Invocation) -> (GlobalTable, SourceMap) {
    let mut sources = SourceMap::default();
    let mut globals = GlobalTable::new(false);
    for (name, value) in invocation.typed_settings() {
        let file = sources.add(Source::new(name, value.clone()));
        globals.set(name, Span::whole(file), Span::new(file, 0, value.len()));
    }
    globals.expand_all(&sources, &mut DiagnosticList::default());
    (globals, sources)
}

/// Stands for a global's value. A secret counts by its name, also within another.
fn hash_global(global: &Global, value: &[u8]) -> String {
    match (global.secret, global.has_secret()) {
        (true, _) => "-".into(),
        (false, true) => short_hash(global.shown().as_bytes()),
        (false, false) => short_hash(value),
    }
}

fn sorted(globals: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut globals: Vec<(String, String)> = globals.collect();
    globals.sort_unstable();
    globals
}

/// The path as it was named, made absolute: links stay links. A relative one is joined
/// to `$PWD` if that names the current directory.
pub fn named_path(name: &Path) -> PathBuf {
    match name.is_absolute() {
        true => without_dots(name),
        false => without_dots(&invoker::working_directory().join(name)),
    }
}

/// The path without `.`, and without `..` where that leads back: not after a link.
fn without_dots(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if leads_back(&out) => drop(out.pop()),
            other => out.push(other),
        }
    }
    out
}

/// Whether `..` after this directory is the directory that it is named in.
fn leads_back(directory: &Path) -> bool {
    let is_directory = || fs::symlink_metadata(directory).is_ok_and(|meta| meta.is_dir());
    directory == Path::new("/") || (directory.file_name().is_some() && is_directory())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(lines: &[(&str, &str)]) -> GlobalTable {
        let mut sources = SourceMap::default();
        let mut globals = GlobalTable::new(false);
        for (name, value) in lines {
            let file = sources.add(Source::new(name, value.to_string()));
            globals.set(name, Span::whole(file), Span::new(file, 0, value.len()));
        }
        globals.expand_all(&sources, &mut DiagnosticList::default());
        globals
    }

    /// The id of a work with these globals.
    fn work(lines: &[(&str, &str)]) -> String {
        let (path, globals) = (Path::new("/a/b"), expanded(lines));
        let identity = Identity::of_file(path, path, &globals, &Invocation::default());
        identity.work.expect("a file")
    }

    #[test]
    fn works_are_told_apart_by_what_their_globals_are_when_expanded() {
        let first = work(&[("A", "x@B@"), ("B", "y")]);
        assert_eq!(first.len(), 16);
        assert_eq!(first, work(&[("B", "y"), ("A", "xy")]));
        for other in [
            &[("A", "x@B@"), ("B", "z")][..],
            &[("A", "xy")],
            &[("A", "xy"), ("B", "y"), ("C", "")],
            &[("A", "y"), ("B", "xy")],
        ] {
            assert_ne!(first, work(other), "{other:?}");
        }
    }

    #[test]
    fn secrets_count_by_name_also_within_other_globals() {
        let with = |secret| work(&[("A_TOKEN", secret), ("B", "x@A_TOKEN@")]);
        assert_eq!(with("1"), with("22"));
        assert_ne!(with("1"), work(&[("C_TOKEN", "1"), ("B", "x@C_TOKEN@")]));
        assert_ne!(with("1"), work(&[("A_TOKEN", "1"), ("B", "y@A_TOKEN@")]));
    }

    #[test]
    fn a_value_that_cannot_be_expanded_equals_none() {
        let globals = expanded(&[("A", "x@B@"), ("B", "$TASKER_NO_SUCH"), ("C", "x")]);
        let hashes = hashed_globals(&globals);
        let equal_to_itself = hashes.iter().map(|(_, hash)| same_value(hash, hash));
        assert_eq!(equal_to_itself.collect::<Vec<_>>(), [false, false, true]);
    }

    #[test]
    fn dots_are_removed_where_that_changes_nothing() {
        assert_eq!(without_dots(Path::new("/.././x/./y")), Path::new("/x/y"));
        let scratch = std::env::temp_dir().join(format!("tasker-dots-{}", std::process::id()));
        fs::create_dir_all(scratch.join("a/b")).expect("directories");
        let linked = std::os::unix::fs::symlink("a/b", scratch.join("link"));
        let plain = |name: &str| {
            let path = without_dots(&scratch.join(name));
            path.strip_prefix(&scratch).map(Path::to_path_buf)
        };
        let found = ["a/b/../../x", "link/../x", "link/../../x", "gone/../x"].map(plain);
        fs::remove_dir_all(&scratch).expect("it can be removed");
        linked.expect("a link");
        let expected = ["x", "link/../x", "link/../../x", "gone/../x"];
        assert_eq!(found, expected.map(|path| Ok(PathBuf::from(path))));
    }
}
