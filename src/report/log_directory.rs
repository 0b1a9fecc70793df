//! The files that a run leaves behind (SPEC §6.3): directories 0700, files 0600.
#![forbid(unsafe_code)]

use super::clock;
use crate::outcome::Outcome;
use crate::task::mask::Mask;
use crate::text::sha256;
use std::collections::HashSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The log directory of this invocation.
pub struct LogDirectory {
    directory: PathBuf,
    began: SystemTime,
}

/// Where logs go as the environment says: `TASK_EXECUTOR_LOG`.
pub fn directory_of_environment() -> Option<PathBuf> {
    set("TASK_EXECUTOR_LOG")
}

/// Where logs go when nothing says: `~/TASKER`.
pub fn default_directory() -> Option<PathBuf> {
    set("HOME")
        .or_else(home_of_user)
        .map(|home| home.join("TASKER"))
}

fn set(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|v| !v.is_empty())
        .map(PathBuf::from)
}

/// Who runs tasker, from where: one line for the head of a record.
pub fn who(own_name: &str) -> String {
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| "-".into());
    let (user, effective) = crate::run::sys::user_ids();
    let terminal = std::fs::read_link("/proc/self/fd/0")
        .ok()
        .filter(|p| p.starts_with("/dev/pts") || p.starts_with("/dev/tty"));
    let terminal = terminal.map_or("-".into(), |p| p.display().to_string());
    super::safe_text::line(&format!(
        "User id {user}, effective {effective}, SUDO_USER {}, SSH_CONNECTION {}, terminal {terminal}, host {own_name}",
        variable("SUDO_USER"),
        variable("SSH_CONNECTION"),
    ))
}

/// The home directory that the user database names, for a cron without HOME.
fn home_of_user() -> Option<PathBuf> {
    let uid = crate::run::sys::user_ids().0.to_string();
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let fields = users
        .lines()
        .map(|l| l.split(':').collect::<Vec<_>>())
        .find(|f| f.get(2) == Some(&uid.as_str()))?;
    fields
        .get(5)
        .filter(|home| !home.is_empty())
        .map(PathBuf::from)
}

impl LogDirectory {
    pub fn new(directory: PathBuf, began: SystemTime) -> LogDirectory {
        LogDirectory { directory, began }
    }

    /// Makes a directory of the log directory; the error names it.
    fn directory(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.directory.join(name);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|e| {
            io::Error::new(
                e.kind(),
                format!("cannot make the directory `{}`: {e}", path.display()),
            )
        })?;
        Ok(path)
    }

    /// Makes a file in a directory of the log directory, which is mostly there; where
    /// that fails the directory is made first.
    fn make_in<T>(&self, name: &str, make: impl Fn(&Path) -> io::Result<T>) -> io::Result<T> {
        make(&self.directory.join(name)).or_else(|_| make(&self.directory(name)?))
    }

    /// A new log file, named by the time; a number is added where that is taken.
    pub fn create_log(&self) -> io::Result<(File, PathBuf)> {
        let name = format!("tasker_{}", clock::compact(self.began));
        self.make_in("logs", |directory| create_numbered(directory, &name, "log"))
    }

    /// The file of a lock, by the name of what it locks.
    pub fn lock_file(&self, name: &str) -> io::Result<PathBuf> {
        Ok(self.directory("locks")?.join(format!("{name}.lock")))
    }

    /// Where a run's private files go.
    pub fn private(&self, run_id: &str) -> PathBuf {
        self.directory.join("state").join(run_id)
    }

    /// Makes a run's journal where it belongs.
    pub fn make_journal<T>(
        &self,
        run_id: &str,
        make: impl Fn(&Path) -> io::Result<T>,
    ) -> io::Result<T> {
        let name = format!("{run_id}.journal");
        self.make_in("state", |directory| make(&directory.join(&name)))
    }

    /// The journals that there are.
    pub fn journals(&self) -> Vec<PathBuf> {
        self.try_journals().unwrap_or_default()
    }

    /// The same; no directory holds none.
    ///
    /// # Errors
    /// That it cannot be read.
    pub fn try_journals(&self) -> io::Result<Vec<PathBuf>> {
        let mut paths: Vec<PathBuf> = match std::fs::read_dir(self.directory.join("state")) {
            Ok(entries) => entries.flatten().map(|e| e.path()).collect(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(e),
        };
        paths.retain(|p| p.extension().is_some_and(|e| e == "journal"));
        // Of one directory, so that the bytes say what their parts say.
        paths.sort_unstable_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
        Ok(paths)
    }

    /// Keeps a copy of the task file, secrets masked.
    pub fn copy_task_file(&self, name: &str, text: &str, mask: &Mask) -> io::Result<PathBuf> {
        let stem = self.named_after(name);
        let made = self.make_in("tasks", |directory| {
            create_numbered(directory, &stem, "txt")
        });
        let (mut file, path) = made?;
        file.write_all(mask_definitions(text, mask).as_bytes())?;
        Ok(path)
    }

    /// `STEM_YYYYMMDD_HHMMSS`, after a task file.
    fn named_after(&self, task_file: &str) -> String {
        let stem = Path::new(task_file).file_stem();
        let stem = stem.map_or("tasks".into(), |s| s.to_string_lossy());
        format!("{stem}_{}", clock::compact(self.began))
    }

    /// Where results for programs go that name no file.
    pub fn output_directory(&self) -> io::Result<PathBuf> {
        self.directory("output")
    }

    /// Keeps the results of a run of this task file.
    pub fn write_output(&self, task_file: &str, text: &str) -> io::Result<()> {
        let directory = self.output_directory()?;
        let (_, path) = create_numbered(&directory, &self.named_after(task_file), "json")?;
        write_whole(&path, text.as_bytes())
    }

    /// Appends a line to the project's summary.
    pub fn add_to_project(&self, project: &str, line: &str) -> io::Result<()> {
        let mut file = self.shared(&format!("project_{project}_summary.log"))?;
        let mut last = [b'\n'];
        let before = match file.metadata()?.len() {
            0 => PROJECT_HEADER,
            // A line that a full disk cut off must not take this one with it.
            length => match file.read_at(&mut last, length - 1) {
                Ok(1) if last != *b"\n" => "\n",
                _ => "",
            },
        };
        file.write_all(format!("{before}{line}\n").as_bytes())
    }

    /// The project's summary as it is, for a reader.
    pub fn project(&self, project: &str) -> io::Result<Vec<u8>> {
        let name = format!("project_{project}_summary.log");
        std::fs::read(self.directory.join("logs").join(name))
    }

    /// The names of the projects that have a summary, sorted.
    pub fn projects(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.join("logs"));
        let named = |entry: std::fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            let name = name.strip_prefix("project_")?;
            Some(name.strip_suffix("_summary.log")?.to_string())
        };
        let mut names: Vec<String> = entries
            .map(|e| e.flatten().filter_map(named).collect())
            .unwrap_or_default();
        names.sort_unstable();
        names
    }

    /// Appends an entry to the day's validation report.
    pub fn add_to_validations(&self, entry: &str) -> io::Result<()> {
        let day = clock::compact(self.began);
        let day = day.split('_').next().unwrap_or_default();
        let mut file = self.shared(&format!("validation_report_{day}.log"))?;
        file.write_all(entry.as_bytes())
    }

    /// A file in `logs` that several runs append to: each in one write, under
    /// this lock, so that runs at the same time never mix lines.
    fn shared(&self, name: &str) -> io::Result<File> {
        let file = self.make_in("logs", |directory| {
            let path = directory.join(name);
            let open = OpenOptions::new()
                .read(true)
                .append(true)
                .create(true)
                .mode(0o600)
                .open(&path);
            open.map_err(|e| io::Error::new(e.kind(), format!("`{}`: {e}", path.display())))
        })?;
        file.lock()?;
        Ok(file)
    }
}

/// Plans that were shown, so that a later one can be compared with them: text by
/// id in `state/plans/`, and the key of the hashes that stand for secrets.
impl LogDirectory {
    pub fn exists(&self) -> bool {
        self.directory.is_dir()
    }

    /// The key of this log directory; made when it is first needed.
    pub fn plan_key(&self) -> io::Result<Vec<u8>> {
        let key = std::fs::read(self.directory.join("state").join("plan.key"));
        if let Ok(key) = key {
            return Ok(key);
        }
        let path = self.directory("state")?.join("plan.key");
        let mut key = vec![0; 32];
        crate::run::sys::random(&mut key)?;
        // Made whole under a name of its own: whoever links it first has made it.
        let own = path.with_extension(format!("key.{}", std::process::id()));
        let made = private_file(&own).and_then(|mut file| file.write_all(&key));
        let linked = made.and_then(|()| match path.exists() {
            true => Ok(()),
            false => std::fs::hard_link(&own, &path),
        });
        let _ = std::fs::remove_file(&own);
        match linked {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists && !path.exists() => Err(e),
            _ => std::fs::read(&path),
        }
    }

    /// Keeps a plan's text; the oldest ones go.
    pub fn keep_plan(&self, id: &str, text: &str) -> io::Result<()> {
        let directory = self.directory("state/plans")?;
        let new = directory.join(format!("new.{}", std::process::id()));
        private_file(&new)?.write_all(text.as_bytes())?;
        std::fs::rename(&new, directory.join(id))?;
        let mut kept: Vec<(SystemTime, PathBuf)> = std::fs::read_dir(&directory)?
            .flatten()
            .filter_map(|e| Some((e.metadata().ok()?.modified().ok()?, e.path())))
            .collect();
        kept.sort_unstable_by_key(|(at, _)| *at);
        let surplus = kept.len().saturating_sub(PLANS_KEPT);
        for (_, path) in &kept[..surplus] {
            let _ = std::fs::remove_file(path);
        }
        Ok(())
    }

    /// The text of the kept plan whose id begins with these digits.
    pub fn kept_plan(&self, digits: &str) -> Option<String> {
        let plans = std::fs::read_dir(self.directory.join("state/plans")).ok()?;
        let named = |e: &std::fs::DirEntry| e.file_name().to_string_lossy().starts_with(digits);
        let found = plans.flatten().find(named)?;
        std::fs::read_to_string(found.path()).ok()
    }
}

/// How many plans are kept for later comparison.
const PLANS_KEPT: usize = 200;

fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

/// Writes a file that somebody may be reading: all of it or nothing. What is no
/// plain file (a pipe, a terminal) is written to as it is.
///
/// # Errors
/// That it cannot be written; the file is named.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("`{}`: {e}", path.display()));
    if std::fs::metadata(path).is_ok_and(|m| !m.is_file()) {
        let open = OpenOptions::new().write(true).open(path);
        return open.and_then(|mut f| f.write_all(bytes)).map_err(named);
    }
    // A link stays one: what it leads to is replaced.
    let path = std::fs::canonicalize(path).unwrap_or(path.to_path_buf());
    let new = beside(&path);
    let written = private_file(&new).and_then(|mut file| {
        file.write_all(bytes)?;
        std::fs::rename(&new, &path)
    });
    written.map_err(|e| {
        let _ = std::fs::remove_file(&new);
        named(e)
    })
}

/// Whether `write_whole` will be able to, but for a full disk.
///
/// # Errors
/// That it will not; the file is named.
pub fn can_write(path: &Path) -> io::Result<()> {
    let named = |e: io::Error| {
        let text = format!("cannot write `{}`: {e}", path.display());
        io::Error::new(e.kind(), text)
    };
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Err(named(io::ErrorKind::IsADirectory.into())),
        Ok(meta) if !meta.is_file() => Ok(()),
        _ => {
            let path = std::fs::canonicalize(path).unwrap_or(path.to_path_buf());
            let new = beside(&path);
            private_file(&new).map_err(named)?;
            std::fs::remove_file(&new).map_err(named)
        }
    }
}

/// The name of a file while it is written, which is in the same directory.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".new.{}", std::process::id()));
    path.with_file_name(name)
}

/// What `--mail-once` remembers of a job, in `state/`.
impl LogDirectory {
    pub fn mail_file(&self, job: &str) -> io::Result<PathBuf> {
        Ok(self.directory("state")?.join(format!("mail_{job}.txt")))
    }

    /// Replaces a file as a whole, so that no reader finds half of it.
    pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
        let new = path.with_extension(format!("new.{}", std::process::id()));
        let written = private_file(&new).and_then(|mut file| file.write_all(bytes));
        let placed = written.and_then(|()| std::fs::rename(&new, path));
        placed.inspect_err(|_| drop(std::fs::remove_file(&new)))
    }
}

/// The hosts of a file's last run by outcome, for `--limit last:failed`: one
/// `OUTCOME HOST` a line, in `state/`, named by the file's real path.
impl LogDirectory {
    fn last_run(&self, task_file: &str) -> io::Result<PathBuf> {
        let real = std::fs::canonicalize(task_file)?;
        let name = sha256::hex(real.as_os_str().as_encoded_bytes());
        Ok(self
            .directory
            .join("state")
            .join(format!("last_{}.hosts", &name[..16])))
    }

    pub fn save_hosts(&self, task_file: &str, hosts: &[(Outcome, &str)]) -> io::Result<()> {
        self.directory("state")?;
        let path = self.last_run(task_file)?;
        let text: String = hosts
            .iter()
            .map(|(outcome, host)| format!("{outcome} {host}\n"))
            .collect();
        let new = path.with_extension("new");
        private_file(&new)?.write_all(text.as_bytes())?;
        std::fs::rename(new, path)
    }

    /// The hosts of the file's last run that ended so.
    ///
    /// # Errors
    /// That there was no such run, or its record cannot be read.
    pub fn hosts_of_last_run(
        &self,
        task_file: &str,
        ended: &[Outcome],
    ) -> Result<HashSet<String>, String> {
        let text = self.last_run(task_file).and_then(std::fs::read_to_string);
        let text = text.map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => "this file has not run yet".to_string(),
            _ => format!("cannot read the record of the last run: {e}"),
        })?;
        let wanted = |line: &str| {
            let (outcome, host) = line.split_once(' ')?;
            ended
                .iter()
                .any(|e| e.word() == outcome)
                .then(|| host.to_string())
        };
        Ok(text.lines().filter_map(wanted).collect())
    }
}

pub const PROJECT_HEADER: &str =
    "Timestamp | Task_File | Final_Task | Final_Host | Exit_Code | Status | Log_File\n";

fn create_numbered(directory: &Path, name: &str, extension: &str) -> io::Result<(File, PathBuf)> {
    for number in 1.. {
        let suffix = if number == 1 {
            String::new()
        } else {
            format!("_{number}")
        };
        let path = directory.join(format!("{name}{suffix}.{extension}"));
        match OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
        {
            Ok(file) => return Ok((file, path)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => {
                return Err(io::Error::new(
                    e.kind(),
                    format!("cannot create `{}`: {e}", path.display()),
                ));
            }
        }
    }
    Err(io::Error::other("no free name"))
}

/// The file's text without the values of secrets: where they are defined, however
/// short they are, and wherever else they stand.
pub fn mask_definitions(text: &str, mask: &Mask) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let end = if line.ends_with('\n') { "\n" } else { "" };
        let name = line.split_once('=').map(|(name, _)| name.trim());
        match name
            .filter(|n| crate::task::globals::is_secret(n) && crate::task::keys::is_identifier(n))
        {
            Some(name) => out.push_str(&format!("{name}={}{end}", crate::text::source::MASK)),
            None => out.push_str(line),
        }
    }
    mask.apply(&out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_where_they_are_defined() {
        let text = "SECRET_A=x\nB=y\ntask=1\ncommand=echo SECRET_A=x\n";
        assert_eq!(
            mask_definitions(text, &Mask::default()),
            "SECRET_A=***\nB=y\ntask=1\ncommand=echo SECRET_A=x\n"
        );
    }
}
