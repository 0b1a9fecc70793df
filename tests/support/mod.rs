//! Shared by the tests: a sandbox directory, and tasker run in it.
#![allow(dead_code)]

pub mod neutral;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The id of the run that left this journal.
pub fn run_of(journal: &Path) -> String {
    let name = journal.file_name().expect("a name").to_string_lossy();
    name.split('.').next().unwrap_or_default().into()
}

/// A directory that is removed on drop; it is HOME for what runs in it.
pub struct Sandbox {
    pub path: PathBuf,
    /// TZ for what runs in it.
    pub zone: String,
}

/// A time zone in which it is between 12:00 and 13:00 now, so that no test
/// crosses midnight and `--deadline=04:00` is always hours away.
fn zone_at_noon() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let hour = now.expect("a clock after 1970").as_secs() / 3600 % 24;
    // POSIX counts hours to the west: local time is UTC minus this.
    format!("<NOON>{}", hour as i64 - 12)
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

impl Sandbox {
    pub fn new() -> Sandbox {
        let name = format!(
            "tasker-test-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a directory for the test");
        Sandbox {
            path,
            zone: zone_at_noon(),
        }
    }

    /// Writes a file of the sandbox and returns its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path.join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("the parent");
        std::fs::write(&path, content).expect("a file of the test");
        path
    }

    /// Writes an executable script.
    pub fn program(&self, name: &str, script: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.file(name, script);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("mode");
        path
    }

    pub fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.path.join(name)).unwrap_or_default())
            .into_owned()
    }

    pub fn exists(&self, name: &str) -> bool {
        self.path.join(name).exists()
    }

    /// tasker, to be run in the sandbox with a clean environment.
    pub fn tasker<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tasker"));
        command
            .args(arguments)
            .current_dir(&self.path)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", &self.path)
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", &self.zone)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs tasker with these arguments.
    pub fn output<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Ran {
        Ran::from(self.tasker(arguments).output().expect("tasker runs"))
    }

    /// Types a printed command line into a fresh shell, in another directory: nothing of
    /// the environment of the run that printed it is left.
    pub fn type_in(&self, line: &str) -> Ran {
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", line])
            .current_dir("/")
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", &self.path)
            .env("TZ", &self.zone)
            .stdin(Stdio::null());
        Ran::from(shell.output().expect("a shell"))
    }

    /// Writes `tasks.txt` and runs it with `-r` and the options.
    pub fn run(&self, tasks: &str, options: &[&str]) -> Ran {
        self.file("tasks.txt", tasks);
        let mut arguments = vec!["-r"];
        arguments.extend(options);
        arguments.push("tasks.txt");
        self.output(&arguments)
    }

    /// Writes `tasks.txt` and starts tasker with `-r`, without waiting for it.
    pub fn start(&self, tasks: &str, options: &[&str]) -> Child {
        self.file("tasks.txt", tasks);
        let mut arguments = vec!["-r"];
        arguments.extend(options);
        arguments.push("tasks.txt");
        self.tasker(&arguments).spawn().expect("tasker starts")
    }

    /// Kills tasker alone, and waits until its guardian has ended its commands.
    pub fn kill(&self, child: Child) {
        signal(child.id(), "KILL");
        finish(child);
        let home = format!("HOME={}", self.path.display());
        wait_for("the end of all processes", || {
            processes_with(&home).is_empty()
        });
    }

    /// The journals in the log directory, the oldest first; none if there is no directory.
    pub fn journals(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path.join("TASKER/state"));
        let mut found: Vec<PathBuf> = entries
            .map(|e| e.flatten().map(|e| e.path()).collect())
            .unwrap_or_default();
        found.retain(|p| p.extension().is_some_and(|e| e == "journal"));
        found.sort_by_key(|p| (begun(p), p.clone()));
        found
    }

    /// The log of the only or the last run in this sandbox.
    pub fn log(&self) -> String {
        let logs = std::fs::read_dir(self.path.join("TASKER/logs")).expect("a log directory");
        let mut found: Vec<PathBuf> = logs
            .flatten()
            .map(|e| e.path())
            .filter(|p| name_of(p).starts_with("tasker_"))
            .collect();
        found.sort_by_key(|p| (begun(p), p.clone()));
        // There is none while only the validation has been recorded.
        let log = found
            .last()
            .map(|log| std::fs::read(log).expect("readable"));
        String::from_utf8_lossy(&log.unwrap_or_default()).into_owned()
    }

    /// The ids in the log's `Path:` line.
    pub fn steps(&self) -> String {
        let log = self.log();
        let line = log
            .lines()
            .find_map(|l| l.split_once("[INFO] Path: "))
            .expect("a path in the log");
        line.1.to_string()
    }
}

/// When the file was made: names of one second tell nothing of that.
fn begun(path: &Path) -> Option<std::time::SystemTime> {
    let data = path.metadata().ok()?;
    data.created().or_else(|_| data.modified()).ok()
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// What a run printed and returned.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// The command line that goes on, as the recap prints it.
    #[track_caller]
    pub fn advice(&self) -> String {
        let mut lines = self.stderr.lines();
        let found = lines.find_map(|l| l.strip_prefix("tasker: to continue from there: "));
        found
            .unwrap_or_else(|| panic!("no advice: {self:?}"))
            .to_string()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        use std::os::unix::process::ExitStatusExt;
        Ran {
            code: output
                .status
                .code()
                .or(output.status.signal().map(|s| -s))
                .unwrap_or(-99),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Checks every folder of a directory, four at a time; returns the differences.
pub fn check_all(
    directory: &str,
    check: impl Fn(&Path) -> Result<(), String> + Sync,
) -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let mut cases: Vec<PathBuf> = std::fs::read_dir(directory)
        .expect("the cases")
        .flatten()
        .map(|e| e.path())
        .collect();
    cases.sort();
    assert!(cases.len() >= 20, "{} cases", cases.len());
    let work = Mutex::new(cases.iter());
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some(case) = work.lock().expect("the list").next() else {
                        break;
                    };
                    if let Err(difference) = check(case) {
                        failures.lock().expect("the failures").push(difference);
                    }
                }
            });
        }
    });
    failures.into_inner().expect("the failures")
}

/// Waits until the condition holds; panics after 30 s.
#[track_caller]
pub fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "timed out waiting for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until the child ends; returns its output.
pub fn finish(child: Child) -> Ran {
    Ran::from(child.wait_with_output().expect("tasker ends"))
}

/// Sends a signal by name.
pub fn signal(pid: u32, signal: &str) {
    let status = Command::new("kill")
        .args([&format!("-{signal}"), &pid.to_string()])
        .status();
    assert!(status.expect("kill runs").success(), "kill -{signal} {pid}");
}

/// The processes whose command line or environment contains the text.
pub fn processes_with(text: &str) -> Vec<u32> {
    let me = std::process::id();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|n| n.parse::<u32>().ok())
        else {
            continue;
        };
        let holds = |name: &str| {
            let bytes = std::fs::read(entry.path().join(name)).unwrap_or_default();
            bytes.windows(text.len()).any(|w| w == text.as_bytes())
        };
        if pid != me && (holds("cmdline") || holds("environ")) {
            found.push(pid);
        }
    }
    found
}
