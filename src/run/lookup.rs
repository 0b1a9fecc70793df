//! Runs programs that answer a question (`getent`, `ssh -G`), each within a time. One
//! that does not end is killed, with all that it started.
#![forbid(unsafe_code)]

use super::interrupt::lock;
use super::{orphans, sys};
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How much of an answer is kept, in bytes.
const LONGEST: usize = 1 << 20;
/// How often a program is looked after that keeps its pipes open.
const LOOK: Duration = Duration::from_millis(100);

/// What a program answered.
#[derive(Debug)]
pub struct ProgramAnswer {
    /// The exit code; nothing if a signal killed it.
    pub code: Option<i32>,
    /// What it wrote, on whichever stream: one pipe is enough, and many programs can run.
    pub text: String,
}

/// How a lookup ended.
#[derive(Debug)]
pub enum LookupEnd {
    Answered(ProgramAnswer),
    /// It did not end in time, or there was no room to start it.
    Unanswered,
    /// There is no such program, or it cannot be executed.
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
    pub fn ask(&self, words: &[String], end: Instant) -> LookupEnd {
        let (mut child, pipe) = loop {
            match self.start(words) {
                Ok(Some(started)) => break started,
                Err(e) if is_shortage(&e) && Instant::now() < end => std::thread::sleep(LOOK),
                Err(e) if !is_shortage(&e) => return LookupEnd::Missing,
                Ok(None) | Err(_) => return LookupEnd::Unanswered,
            }
        };
        // Without its answer it only has to end.
        let text = read(pipe, &child, end).unwrap_or_default();
        let in_time = wait(&child, end);
        let leader = child.id() as i32;
        let mut running = lock(&self.running);
        // Of the whole group: what it has started must not outlive the question.
        sys::signal_group(leader, libc::SIGKILL);
        running.leaders.retain(|other| *other != leader);
        // It has ended or was killed.
        let code = child.wait().ok().and_then(|status| status.code());
        orphans::forget(leader);
        match in_time && !running.is_over {
            true => LookupEnd::Answered(ProgramAnswer { code, text }),
            false => LookupEnd::Unanswered,
        }
    }

    /// Starts a program, unless all is over.
    fn start(&self, words: &[String]) -> io::Result<Option<(Child, PipeReader)>> {
        let Some((program, arguments)) = words.split_first() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let mut running = lock(&self.running);
        if running.is_over {
            return Ok(None);
        }
        let (pipe, end) = io::pipe()?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(end.try_clone()?)
            .stderr(end);
        // Or it could be reaped as an orphan, and its answer lost.
        let child = orphans::start_own(|| command.spawn(), |child| child.id() as i32)?;
        running.leaders.push(child.id() as i32);
        Ok(Some((child, pipe)))
    }
}

/// Whether there is only no room now for one more process or pipe.
fn is_shortage(e: &io::Error) -> bool {
    let short = [libc::EAGAIN, libc::ENOMEM, libc::EMFILE, libc::ENFILE];
    e.raw_os_error().is_some_and(|code| short.contains(&code))
}

/// Reads what it prints until that is at its end, or it has ended, or `end`.
fn read(mut pipe: PipeReader, child: &Child, end: Instant) -> io::Result<String> {
    sys::set_nonblocking(pipe.as_fd())?;
    let mut out = Vec::new();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let is_ready = sys::poll(&[pipe.as_raw_fd()], -1, Some(left.min(LOOK)))? != 0;
        if is_ready && drain(&mut pipe, &mut out)? {
            break;
        }
        // A process in the background can hold the pipe.
        let is_idle = !is_ready && sys::has_ended(child.id() as i32, false)?;
        if left.is_zero() || is_idle {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// Takes what is there; returns whether that was the end.
fn drain(pipe: &mut PipeReader, out: &mut Vec<u8>) -> io::Result<bool> {
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

    fn ask(script: &str, patience: Duration) -> (LookupEnd, Duration) {
        let began = Instant::now();
        let words = ["sh", "-c", script].map(String::from);
        let found = Lookups::default().ask(&words, began + patience);
        (found, began.elapsed())
    }

    #[test]
    fn programs_answer() {
        let long = Duration::from_secs(60);
        let (found, _) = ask("echo a; echo b >&2; exit 2", long);
        let LookupEnd::Answered(answer) = found else {
            panic!("{found:?}");
        };
        assert_eq!((answer.code, &*answer.text), (Some(2), "a\nb\n"));
        let none = Lookups::default().ask(&["no-such-program".into()], Instant::now() + long);
        assert!(matches!(none, LookupEnd::Missing));
        // What it leaves behind is not waited for.
        let (found, took) = ask("sleep 30 & echo a", long);
        assert!(matches!(found, LookupEnd::Answered(a) if a.text == "a\n"));
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
            assert!(matches!(found, LookupEnd::Unanswered), "{script} {found:?}");
            assert!(
                took >= short && took < Duration::from_secs(20),
                "{script} {took:?}"
            );
        }
    }
}
