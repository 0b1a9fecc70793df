//! Starts one command: finds its program, makes its pipes, prepares its memory.
#![forbid(unsafe_code)]

use super::capture::Held;
use super::process_context::ProcessContext;
use super::runner::{CommandEnd, Job, Stdin};
use super::stdin_pipe::{self, StdinPipe};
use super::{orphans, sys};
use crate::exit;
use crate::text::diagnostic::reason;
use std::ffi::OsStr;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long to keep trying while the machine is short of processes or files.
const SHORTAGE: Duration = Duration::from_secs(60);

/// A process and the ends of its pipes.
pub struct SpawnedProcess {
    pub pid: i32,
    pub pidfd: Option<OwnedFd>,
    pub stdout: PipeReader,
    pub stderr: PipeReader,
    /// Only for a job with a remote wrapper; any other has its input from the start.
    pub stdin: Option<StdinPipe>,
}

/// Why a command could not start.
pub struct StartFailure {
    pub ending: CommandEnd,
    pub reason: String,
}

impl StartFailure {
    fn new(code: i32, reason: String) -> StartFailure {
        StartFailure {
            ending: CommandEnd::Unstarted(code),
            reason,
        }
    }
}

/// Starts the program. If the machine is short of processes, a `patient` call
/// waits for a while.
///
/// # Errors
/// Why it could not start, and what to report as its end.
pub fn start(
    job: &Job,
    patient: bool,
    context: &ProcessContext,
) -> Result<SpawnedProcess, StartFailure> {
    let name = String::from_utf8_lossy(&job.words[0]).into_owned();
    let launch = Launch::new(job)?;
    let patience = Instant::now() + SHORTAGE.min(job.timeout);
    let mut nap = Duration::from_millis(10);
    loop {
        let error = match launch.attempt(job, context) {
            Ok(started) => return Ok(started),
            Err(error) => error,
        };
        let short = matches!(
            error.raw_os_error(),
            Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE)
        );
        if short && !patient {
            return Err(StartFailure {
                ending: CommandEnd::Shortage,
                reason: String::new(),
            });
        }
        if !short || Instant::now() + nap > patience {
            return Err(start_failure(&name, &error, &launch));
        }
        let interrupted = sys::poll(&[context.interrupt.end_fd()], -1, Some(nap)).unwrap_or(0) != 0;
        if interrupted {
            return Err(StartFailure {
                ending: CommandEnd::Cancelled,
                reason: "terminated before it could start".into(),
            });
        }
        nap = (nap * 2).min(Duration::from_secs(1));
    }
}

fn start_failure(name: &str, error: &io::Error, launch: &Launch) -> StartFailure {
    match error.raw_os_error() {
        Some(libc::ENOENT) => StartFailure::new(
            exit::NOT_FOUND,
            format!(
                "{name}: cannot start: {} (the program, its interpreter or the working directory)",
                reason(error)
            ),
        ),
        Some(libc::E2BIG) => StartFailure::new(exit::NOT_EXECUTABLE, launch.why_too_big(name)),
        _ => StartFailure::new(
            exit::NOT_EXECUTABLE,
            format!("{name}: cannot start: {}", reason(error)),
        ),
    }
}

/// Everything that `execve` needs, prepared before the process exists.
struct Launch<'a> {
    path: CString,
    argv: Vec<CString>,
    env: Vec<&'a CStr>,
    workdir: Option<CString>,
}

impl<'a> Launch<'a> {
    fn new(job: &'a Job) -> Result<Launch<'a>, StartFailure> {
        let env = environment(job);
        let workdir = job.workdir.as_deref().map(c_string).transpose()?;
        if let Some(workdir) = &workdir {
            check_directory(workdir.to_bytes())?;
        }
        let path = find_program(&job.words[0], &env, workdir.as_deref())?;
        let argv = job
            .words
            .iter()
            .map(|w| c_string(w))
            .collect::<Result<_, _>>()?;
        Ok(Launch {
            path,
            argv,
            env,
            workdir,
        })
    }

    fn attempt(&self, job: &Job, context: &ProcessContext) -> io::Result<SpawnedProcess> {
        let (stdin, stdin_pipe) = match &job.remote {
            None => (OwnedFd::from(open_stdin(&job.stdin)?), None),
            Some(remote) => {
                let (reader, writer) = io::pipe()?;
                let line = remote.setup_line(stdin_pipe::size(&job.stdin), context.kill_after);
                (
                    OwnedFd::from(reader),
                    Some(StdinPipe::new(writer, line, &job.stdin)?),
                )
            }
        };
        let (stdout, stdout_end) = io::pipe()?;
        let (stderr, stderr_end) = io::pipe()?;
        let mut program = sys::Program {
            path: &self.path,
            argv: &self.argv,
            env: &self.env,
            workdir: self.workdir.as_deref(),
            stdin: stdin.as_fd(),
            stdout: stdout_end.as_fd(),
            stderr: stderr_end.as_fd(),
            register: Some(context.guardian.registry()),
        };
        let start = |program: &sys::Program| orphans::start_own(|| sys::spawn(program), |s| s.0);
        let mut spawned = start(&program);
        let refused = spawned.as_ref().err().and_then(io::Error::raw_os_error);
        if refused == Some(libc::ENOEXEC) && self.is_text() {
            // A script without `#!`: a shell would run it, so tasker does.
            let argv: Vec<CString> = [c"/bin/sh".into(), c"--".into(), self.path.clone()]
                .into_iter()
                .chain(self.argv[1..].iter().cloned())
                .collect();
            program.path = c"/bin/sh";
            program.argv = &argv;
            spawned = start(&program);
        }
        let (pid, pidfd) = spawned?;
        Ok(SpawnedProcess {
            pid,
            pidfd,
            stdout,
            stderr,
            stdin: stdin_pipe,
        })
    }

    /// What is too big for the kernel, which takes the words and the environment
    /// together.
    fn why_too_big(&self, name: &str) -> String {
        let size = |all: &mut dyn Iterator<Item = &CStr>| -> usize {
            all.map(|word| word.count_bytes() + 1 + size_of::<usize>())
                .sum()
        };
        let words = size(&mut self.argv.iter().map(CString::as_c_str));
        let variables = size(&mut self.env.iter().copied());
        format!(
            "{name}: the command line is too long: the words ({words} bytes) and the environment ({variables} bytes) are more than the {} bytes that a command can get here; pass large data with `stdin=@N_stdout@`, or its file with `@N_stdout_file@`",
            sys::exec_room()
        )
    }

    /// Whether the program can be a script: like bash, checks that its first line
    /// has no NUL. A shell would read another machine's binary as commands.
    fn is_text(&self) -> bool {
        let mut head = [0; 128];
        let path = in_workdir(self.workdir.as_deref(), self.path.to_bytes());
        let length = File::open(path).and_then(|mut f| f.read(&mut head));
        let head = &head[..length.unwrap_or(0)];
        let first = head.split(|b| *b == b'\n').next().unwrap_or_default();
        !first.contains(&0)
    }
}

/// The path, relative to the working directory.
fn in_workdir(workdir: Option<&CStr>, path: &[u8]) -> PathBuf {
    Path::new(OsStr::from_bytes(workdir.map_or(b"", CStr::to_bytes))).join(OsStr::from_bytes(path))
}

/// tasker's environment; the job's settings replace variables of the same name.
fn environment(job: &Job) -> Vec<&CStr> {
    let name = |variable: &CStr| {
        variable
            .to_bytes()
            .split(|b| *b == b'=')
            .next()
            .map(<[u8]>::to_vec)
    };
    let set: Vec<_> = job.settings.iter().map(|s| name(s)).collect();
    let kept = job.environment.iter().filter(|v| !set.contains(&name(v)));
    kept.chain(&job.settings).map(CString::as_c_str).collect()
}

/// Reports a bad working directory as such, not as a bad program.
fn check_directory(path: &[u8]) -> Result<(), StartFailure> {
    let error = match Path::new(OsStr::from_bytes(path)).metadata() {
        Ok(data) if data.is_dir() => return Ok(()),
        Ok(_) => io::Error::from_raw_os_error(libc::ENOTDIR),
        Err(error) => error,
    };
    let path = String::from_utf8_lossy(path);
    Err(StartFailure::new(
        exit::NOT_EXECUTABLE,
        format!(
            "cannot enter the working directory `{path}`: {}",
            reason(&error)
        ),
    ))
}

/// Finds the program in the PATH that it will see, from its working directory.
fn find_program(
    word: &[u8],
    env: &[&CStr],
    workdir: Option<&CStr>,
) -> Result<CString, StartFailure> {
    if word.is_empty() {
        let why = "the command is empty".into();
        return Err(StartFailure::new(exit::NOT_FOUND, why));
    }
    let failure = |code, why: &str| {
        let name = String::from_utf8_lossy(word);
        Err(StartFailure::new(code, format!("{name}: {why}")))
    };
    if word.contains(&b'/') {
        return match in_workdir(workdir, word).metadata() {
            Ok(data) if data.is_dir() => failure(exit::NOT_EXECUTABLE, "is a directory"),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                failure(exit::NOT_FOUND, "no such program")
            }
            _ => c_string(word),
        };
    }
    let path = env.iter().find_map(|v| v.to_bytes().strip_prefix(b"PATH="));
    let directories = path.unwrap_or(b"/usr/bin:/bin").split(|b| *b == b':');
    let mut found_forbidden = false;
    for directory in directories {
        let directory = match directory {
            b"" => b".",
            _ => directory,
        };
        let candidate = [directory, b"/", word].concat();
        let path = in_workdir(workdir, &candidate);
        if path.is_file() {
            if sys::can_execute(&c_string(path.as_os_str().as_bytes())?) {
                return c_string(&candidate);
            }
            found_forbidden = true;
        }
    }
    match found_forbidden {
        true => failure(exit::NOT_EXECUTABLE, "Permission denied"),
        false => failure(exit::NOT_FOUND, "command not found"),
    }
}

fn c_string(bytes: &[u8]) -> Result<CString, StartFailure> {
    CString::new(bytes)
        .map_err(|_| StartFailure::new(exit::NOT_EXECUTABLE, "a word contains a NUL byte".into()))
}

fn open_stdin(from: &Stdin) -> io::Result<File> {
    match from {
        Stdin::Null => sys::null_file(),
        Stdin::Bytes(bytes) => sys::memory_file(bytes),
        Stdin::Stream(stream) => match stream.held() {
            Held::File(file) => file.open(),
            Held::Memory(bytes) => sys::memory_file(bytes),
        },
    }
}
