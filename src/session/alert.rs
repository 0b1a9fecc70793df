//! The program that runs when a real run fails (SPEC §6.4): once, for at most 30
//! seconds, however the run ended.
#![forbid(unsafe_code)]

use crate::plan::programs::{find_program, is_executable};
use crate::report::clock;
use crate::run::{orphans, sys};
use crate::task::ownership::{self, Doubt};
use crate::text::diagnostic::{DiagnosticList, printable, reason};
use crate::text::duration;
use crate::text::source::Span;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// How long the program may take.
const LIMIT: Duration = Duration::from_secs(30);
/// How often tasker looks whether it has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Looks for the program before anything runs, and for who else could change it.
pub fn check(program: &Path, at: Span, diagnostics: &mut DiagnosticList) {
    let name = printable(&program.display().to_string());
    let Some((_, doubt)) = found(program) else {
        diagnostics
            .warning(at, format!("there is no alert program `{name}`"))
            .help("`--alert-on-failure` names a program that can be run, or one in PATH");
        return;
    };
    if let Some(doubt) = doubt {
        let user = sys::user_ids().1;
        let doubt = Doubt {
            message: format!("the alert program `{name}`: {}", doubt.message),
            ..doubt
        };
        doubt.report(user, false, at, diagnostics);
    }
}

/// Where the program is, and who else could change it.
fn found(program: &Path) -> Option<(PathBuf, Option<Doubt>)> {
    let path = match program.as_os_str().as_bytes().contains(&b'/') {
        true => Some(program.to_path_buf()).filter(|path| is_executable(path)),
        false => find_program(program.to_str()?, None),
    }?;
    let data = path.metadata().ok()?;
    let doubt = ownership::doubt(&path, &data, sys::user_ids().1);
    Some((path, doubt))
}

/// What the program gets in its environment.
pub struct Alert {
    pub program: PathBuf,
    /// As the user named it.
    pub task_file: OsString,
    /// Empty if there is none.
    pub log_file: PathBuf,
    pub state_file: PathBuf,
    /// The id of the task that failed; empty if none ran.
    pub failed_task: String,
    pub exit_code: i32,
    /// One line, secrets masked.
    pub error: String,
}

impl Alert {
    /// Runs the program and waits for it; `stop` says when to wait no longer.
    ///
    /// # Errors
    /// One line: why it could not be run, or how it failed.
    pub fn send(&self, stop: &dyn Fn() -> bool) -> Result<(), String> {
        self.send_within(LIMIT, stop)
    }

    fn send_within(&self, limit: Duration, stop: &dyn Fn() -> bool) -> Result<(), String> {
        let name = self.program.display();
        let user = sys::user_ids().1;
        if let Some((_, Some(doubt))) = found(&self.program)
            && doubt.is_error(user, false)
        {
            let doubt = doubt.sentence();
            return Err(format!("the alert program `{name}` was not run: {doubt}"));
        }
        let mut child = orphans::start_own(|| self.command().spawn(), |child| child.id() as i32)
            .map_err(|e| format!("the alert program `{name}` cannot be run: {}", reason(&e)))?;
        let deadline = Instant::now() + limit;
        loop {
            match child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("the alert program `{name}`: {status}")),
                Err(e) => return Err(format!("the alert program `{name}`: {}", reason(&e))),
                Ok(None) => {}
            }
            let why = match (stop(), Instant::now() >= deadline) {
                (true, _) => "was ended by a signal to tasker".to_string(),
                (_, true) => format!("was ended after {}", duration::setting(limit)),
                _ => {
                    std::thread::sleep(LOOK);
                    continue;
                }
            };
            end(&mut child);
            return Err(format!("the alert program `{name}` {why}"));
        }
    }

    /// The program in a process group of its own, so that all of it can be ended.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .env("TASKER_LOG_FILE", &self.log_file)
            .env("TASKER_STATE_FILE", &self.state_file)
            .env("TASKER_TASK_FILE", &self.task_file)
            .env("TASKER_FAILED_TASK", &self.failed_task)
            .env("TASKER_EXIT_CODE", self.exit_code.to_string())
            .env("TASKER_ERROR", &self.error)
            .env("TASKER_TIMESTAMP", clock::stamp(SystemTime::now()));
        command
    }

    /// The alert for a run that did not begin.
    pub fn of_refusal(program: &Path, task_file: &str, code: i32, error: &str) -> Alert {
        Alert {
            program: program.to_path_buf(),
            task_file: task_file.into(),
            log_file: PathBuf::new(),
            state_file: PathBuf::new(),
            failed_task: String::new(),
            exit_code: code,
            // An environment variable cannot hold a NUL byte.
            error: error.replace('\0', ""),
        }
    }

    /// Runs the program; a failure is reported on standard error, since there is no log.
    pub fn send_alone(&self) {
        if let Err(why) = self.send(&|| false) {
            crate::report::print::complain(format_args!("tasker: warning: {why}"));
        }
    }
}

fn end(child: &mut Child) {
    if let Ok(group) = i32::try_from(child.id()) {
        sys::signal_group(group, sys::SIGKILL);
    }
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_does_not_end_is_ended() {
        let alert = Alert::of_refusal(Path::new("yes"), "tasks.txt", 20, "");
        let began = Instant::now();
        let ended = alert.send_within(Duration::from_millis(100), &|| false);
        assert_eq!(
            ended,
            Err("the alert program `yes` was ended after 100 ms".into())
        );
        assert!(began.elapsed() < LIMIT);
    }
}
