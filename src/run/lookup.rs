//! Runs programs that answer a question (`getent`, `ssh -G`), each within a time. One
//! that does not end is killed, with all that it started.
#![forbid(unsafe_code)]

use super::interrupt::lock;
use super::sys;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How much of an answer is kept, in bytes.
const LONGEST: usize = 1 << 20;
/// How often a program is looked after that keeps its pipes open.
const LOOK: Duration = Duration::from_millis(100);

/// What a program answered.
#[derive(Debug, Default)]
pub struct Answer {
    /// The exit code; nothing if a signal killed it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// How a lookup ended.
#[derive(Debug)]
pub enum Lookup {
    Answered(Answer),
    /// It did not end in time, or could not be started.
    Unanswered,
    /// There is no such program.
    Missing,
}

/// The programs that are running.
#[derive(Default)]
pub struct Lookups {
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    /// Children that are not reaped; each leads a process group.
    leaders: Vec<i32>,
    /// No more are started.
    is_over: bool,
}

impl Drop for Lookups {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Lookups {
    /// Kills what is running, and starts nothing more.
    pub fn stop(&self) {
        let mut running = lock(&self.running);
        running.is_over = true;
        for leader in &running.leaders {
            sys::signal_group(*leader, libc::SIGKILL);
        }
    }

    /// Runs the program with its arguments until `end` at most.
    pub fn ask(&self, words: &[String], end: Instant) -> Lookup {
        let mut child = match self.start(words) {
            Ok(Some(child)) => child,
            Ok(None) => return Lookup::Unanswered,
            Err(e) if is_missing(&e) => return Lookup::Missing,
            // No room for one more process.
            Err(_) => return Lookup::Unanswered,
        };
        let mut answer = Answer::default();
        // Without its answer it only has to end.
        let _ = read(&mut child, &mut answer, end);
        let in_time = wait(&child, end);
        let leader = child.id() as i32;
        let mut running = lock(&self.running);
        // Of the whole group: what it has started must not outlive the question.
        sys::signal_group(leader, libc::SIGKILL);
        running.leaders.retain(|other| *other != leader);
        // It has ended or was killed.
        answer.code = child.wait().ok().and_then(|status| status.code());
        match in_time && !running.is_over {
            true => Lookup::Answered(answer),
            false => Lookup::Unanswered,
        }
    }

    /// Starts a program, unless all is over.
    fn start(&self, words: &[String]) -> io::Result<Option<Child>> {
        let Some((program, arguments)) = words.split_first() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let mut running = lock(&self.running);
        if running.is_over {
            return Ok(None);
        }
        let child = Command::new(program)
            .args(arguments)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        running.leaders.push(child.id() as i32);
        Ok(Some(child))
    }
}

fn is_missing(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
    )
}

/// Reads what it prints until it is at its end, has ended, or `end`.
fn read(child: &mut Child, answer: &mut Answer, end: Instant) -> io::Result<()> {
    let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Ok(());
    };
    sys::set_nonblocking(stdout.as_fd())?;
    sys::set_nonblocking(stderr.as_fd())?;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut fds: [RawFd; 2] = [stdout.as_raw_fd(), stderr.as_raw_fd()];
    while fds != [-1, -1] {
        let left = end.saturating_duration_since(Instant::now());
        let ready = sys::poll(&fds, -1, Some(left.min(LOOK)))?;
        if ready & 1 != 0 && drain(&mut stdout, &mut out)? {
            fds[0] = -1;
        }
        if ready & 2 != 0 && drain(&mut stderr, &mut err)? {
            fds[1] = -1;
        }
        // A process in the background can hold the pipes.
        let is_idle = ready == 0 && sys::has_ended(child.id() as i32, false)?;
        if left.is_zero() || is_idle {
            break;
        }
    }
    answer.stdout = String::from_utf8_lossy(&out).into_owned();
    answer.stderr = String::from_utf8_lossy(&err).into_owned();
    Ok(())
}

/// Takes what is there; returns whether that was the end.
fn drain(pipe: &mut impl Read, out: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 8192];
    match pipe.read(&mut buffer) {
        Ok(0) => Ok(true),
        Ok(count) => {
            let room = LONGEST.saturating_sub(out.len());
            out.extend_from_slice(&buffer[..count.min(room)]);
            Ok(false)
        }
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(e) => Err(e),
    }
}

/// Waits until it has ended, or `end`; returns whether it has.
fn wait(child: &Child, end: Instant) -> bool {
    let mut nap = Duration::from_micros(200);
    loop {
        // An error means that it is not there.
        if sys::has_ended(child.id() as i32, false).unwrap_or(true) {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(nap);
        nap = (nap * 2).min(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(script: &str, patience: Duration) -> (Lookup, Duration) {
        let began = Instant::now();
        let words = ["sh", "-c", script].map(String::from);
        let found = Lookups::default().ask(&words, began + patience);
        (found, began.elapsed())
    }

    #[test]
    fn programs_answer() {
        let long = Duration::from_secs(60);
        let (found, _) = ask("echo a; echo b >&2; exit 2", long);
        let Lookup::Answered(answer) = found else {
            panic!("{found:?}");
        };
        assert_eq!(
            (answer.code, &*answer.stdout, &*answer.stderr),
            (Some(2), "a\n", "b\n")
        );
        let none = Lookups::default().ask(&["no-such-program".into()], Instant::now() + long);
        assert!(matches!(none, Lookup::Missing));
        // What it leaves behind is not waited for.
        let (found, took) = ask("sleep 30 & echo a", long);
        assert!(matches!(found, Lookup::Answered(a) if a.stdout == "a\n"));
        assert!(took < Duration::from_secs(20), "{took:?}");
    }

    #[test]
    fn a_program_that_hangs_is_ended_with_its_children() {
        let short = Duration::from_millis(200);
        for script in [
            "sleep 30",
            "sleep 30; :",
            "exec >&- 2>&-; sleep 30",
            "trap '' TERM; while :; do echo x; done",
        ] {
            let (found, took) = ask(script, short);
            assert!(matches!(found, Lookup::Unanswered), "{script} {found:?}");
            assert!(
                took >= short && took < Duration::from_secs(20),
                "{script} {took:?}"
            );
        }
    }
}
