//! The system calls that std does not offer, behind safe functions.
//!
//! The only file with `unsafe`; it knows nothing of tasks. Every function that
//! can fail returns the `io::Error` of its call.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::ptr;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use libc::{EISDIR, ELOOP, ENOTDIR, ENXIO, EPERM, EPROTOTYPE};
pub use libc::{O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_PATH};
pub use libc::{O_RDONLY, O_RDWR, O_WRONLY};
pub use libc::{SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGUSR1, SIGWINCH};

/// Turns -1 into the error in `errno`.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// How many bytes an ordinary user can still write on the file system of the file.
pub fn free_space(fd: BorrowedFd) -> io::Result<u64> {
    // SAFETY: all zeros are a valid structure, and the call only writes to it.
    let space = unsafe {
        let mut space: libc::statvfs = std::mem::zeroed();
        check(libc::fstatvfs(fd.as_raw_fd(), &mut space))?;
        space
    };
    if space.f_blocks == 0 {
        // A file system without a size, or one that does not know it.
        return Err(io::ErrorKind::Unsupported.into());
    }
    // The types of the fields differ between systems.
    #[allow(clippy::unnecessary_cast)]
    let (blocks, size) = (space.f_bavail as u64, space.f_frsize as u64);
    Ok(blocks.saturating_mul(size))
}

/// Repeats a call that a signal interrupts.
fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// The host name of this machine; empty if it has none.
pub fn own_name() -> String {
    let mut buffer = [0u8; 256];
    // SAFETY: the buffer is writable for the given length; its last byte is not
    // part of that and stays 0.
    let result = unsafe { libc::gethostname(buffer.as_mut_ptr().cast(), buffer.len() - 1) };
    if result == -1 {
        return String::new();
    }
    CStr::from_bytes_until_nul(&buffer)
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// The real and the effective user id, which tasker never changes.
pub fn user_ids() -> (u32, u32) {
    static IDS: OnceLock<(u32, u32)> = OnceLock::new();
    // SAFETY: neither call has arguments or can fail.
    *IDS.get_or_init(|| unsafe { (libc::getuid(), libc::geteuid()) })
}

/// Sets a variable of the environment, or removes it. To be called before there are
/// threads.
pub fn set_variable(name: &str, value: Option<&OsStr>) {
    // SAFETY: no other thread can read or write the environment, since there is none.
    unsafe {
        match value {
            Some(value) => std::env::set_var(name, value),
            None => std::env::remove_var(name),
        }
    }
}

/// A time in the local time zone.
#[derive(Clone, Copy, Debug)]
pub struct LocalTime {
    pub year: i32,
    pub month: i32,
    pub day: i32,
    pub hour: i32,
    pub minute: i32,
    pub second: i32,
    /// Seconds east of Greenwich.
    pub offset: i64,
}

/// Converts a time to local time.
pub fn local_time(at: SystemTime) -> LocalTime {
    // In whatever type this C library counts seconds.
    let seconds = at.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()) as _;
    // SAFETY: all fields of `tm` are numbers or a pointer that nothing here
    // reads, so zeros are a valid value; localtime_r writes only into it.
    let tm = unsafe {
        let mut tm: libc::tm = std::mem::zeroed();
        libc::localtime_r(&seconds, &mut tm);
        tm
    };
    LocalTime {
        year: tm.tm_year + 1900,
        month: tm.tm_mon + 1,
        day: tm.tm_mday,
        hour: tm.tm_hour,
        minute: tm.tm_min,
        second: tm.tm_sec,
        offset: tm.tm_gmtoff,
    }
}

/// Converts a local time, whose `offset` is ignored. Days after the last of the month
/// count into the next one. `None` if there is no such time.
pub fn moment(time: LocalTime) -> Option<SystemTime> {
    // SAFETY: all fields of `tm` are numbers or a pointer that nothing here
    // reads, so zeros are a valid value; mktime reads and writes only it.
    let seconds = unsafe {
        let mut tm: libc::tm = std::mem::zeroed();
        tm.tm_year = time.year - 1900;
        tm.tm_mon = time.month - 1;
        tm.tm_mday = time.day;
        tm.tm_hour = time.hour;
        tm.tm_min = time.minute;
        tm.tm_sec = time.second;
        // The system determines whether daylight saving time is in effect.
        tm.tm_isdst = -1;
        libc::mktime(&mut tm)
    };
    let seconds = u64::try_from(seconds).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// The width of the terminal on standard output in columns; `None` if unknown.
pub fn terminal_columns() -> Option<usize> {
    // SAFETY: winsize is plain data that the call fills.
    let size = unsafe {
        let mut size: libc::winsize = std::mem::zeroed();
        check(libc::ioctl(1, libc::TIOCGWINSZ, &mut size)).ok()?;
        size
    };
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Marks every inherited file descriptor above 2 close-on-exec, so that no
/// command gets one (SPEC §4.2).
pub fn close_on_exec_above_2() {
    // Kernels before 5.11 lack it.
    if close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) {
        return;
    }
    for fd in open_above_2() {
        // SAFETY: sets a flag of a descriptor; a wrong number only fails.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

/// Closes every file descriptor above 2 but this one. To be called in a copy of tasker
/// that uses none of the others and never returns.
pub fn close_above_2_except(kept: &[BorrowedFd]) {
    let mut kept: Vec<RawFd> = kept.iter().map(AsRawFd::as_raw_fd).collect();
    kept.sort_unstable();
    let last = kept.last().map_or(2, |fd| *fd as libc::c_uint);
    // Kernels before 5.9 lack it.
    if close_range(last + 1, libc::c_uint::MAX, 0) {
        let mut from = 3;
        for fd in kept {
            let fd = fd as libc::c_uint;
            if fd > from {
                close_range(from, fd - 1, 0);
            }
            from = from.max(fd + 1);
        }
        return;
    }
    for fd in open_above_2().into_iter().filter(|fd| !kept.contains(fd)) {
        // SAFETY: whoever owns it never uses it again (the caller's promise).
        unsafe { libc::close(fd) };
    }
}

/// Closes the descriptors or, with the flag, marks them close-on-exec; whether the
/// kernel can do it.
fn close_range(first: libc::c_uint, last: libc::c_uint, flags: libc::c_uint) -> bool {
    // SAFETY: uses no memory. Marks the descriptors, or closes those that nobody uses
    // any more (the promise of `close_above_2_except`).
    unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) == 0 }
}

/// The open file descriptors above 2; none if they cannot be listed.
fn open_above_2() -> Vec<RawFd> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return Vec::new();
    };
    let numbers = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|fd| *fd > 2).collect()
}

/// How many bytes of words and environment `execve` takes: a quarter of the stack, but
/// at least 128 KiB and at most 6 MiB.
pub fn exec_room() -> u64 {
    // SAFETY: rlimit is plain data, filled by the call.
    let stack = unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        match libc::getrlimit(libc::RLIMIT_STACK, &mut limit) {
            0 => limit.rlim_cur,
            _ => libc::RLIM_INFINITY,
        }
    };
    (stack / 4).clamp(128 << 10, 6 << 20)
}

/// The soft limit of open files that tasker started with, if it was raised. Commands
/// get this limit back.
static FILE_LIMIT: OnceLock<libc::rlimit> = OnceLock::new();

/// Raises the soft limit of open files to the hard limit: a running command needs
/// four files.
pub fn raise_file_limit() {
    // SAFETY: rlimit is plain data, read and filled during the calls.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0
            && limit.rlim_cur != limit.rlim_max
            && FILE_LIMIT.set(limit).is_ok()
        {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}

/// Makes all threads share one heap. glibc would give each worker its own, for speed
/// that is not needed here. To be called before there are threads.
pub fn share_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets a number while there is only one thread.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1)
    };
}

/// The signals that tasker handles (except an ignored SIGHUP).
const HANDLED: [libc::c_int; 5] = [SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGWINCH];

fn handled_set() -> libc::sigset_t {
    // SAFETY: sigemptyset makes the zeroed set valid before it is used.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        let ignored = is_ignored(SIGHUP);
        for signal in HANDLED.into_iter().filter(|s| !(ignored && *s == SIGHUP)) {
            libc::sigaddset(&mut set, signal);
        }
        set
    }
}

/// The signals that are ignored, because tasker's parent or tasker itself ignores
/// them. A command gets each of them with its default action; the others have it
/// after `execve` anyway.
static IGNORED: OnceLock<Vec<libc::c_int>> = OnceLock::new();

/// All signals except the real-time signals, which nobody ignores.
const SIGNALS: [libc::c_int; 31] = {
    let mut signals = [0; 31];
    let mut n = 0;
    while n < signals.len() {
        signals[n] = n as libc::c_int + 1;
        n += 1;
    }
    signals
};

/// Makes sure that a request for the state of the run (SIGUSR1) does not end tasker
/// before there is a run. Commands get the signal with its default action.
pub fn ignore_sigusr1() {
    // SAFETY: only sets a signal to be ignored.
    unsafe { libc::signal(SIGUSR1, libc::SIG_IGN) };
}

/// Blocks the handled signals in this thread and those it starts, so that only
/// `next_signal` gets them. Also resets what tasker's parent may have changed: no
/// child could be waited for if SIGCHLD were ignored. A file at its size limit
/// (SIGXFSZ) becomes an error to report. An ignored SIGHUP (`nohup`) stays ignored.
/// Which signals are ignored is determined once, here, and does not change later.
pub fn block_signals() {
    // SAFETY: the set is valid, the old mask is not requested, and signals are only
    // set to be ignored or to their default.
    unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        libc::pthread_sigmask(libc::SIG_BLOCK, &handled_set(), ptr::null_mut());
    }
    let ignored = SIGNALS.into_iter().filter(|signal| is_ignored(*signal));
    let _ = IGNORED.set(ignored.collect());
}

/// Whether the signal is ignored, as SIGHUP is under `nohup`.
fn is_ignored(signal: libc::c_int) -> bool {
    // SAFETY: sigaction is plain data that the call fills; nothing is changed.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, ptr::null(), &mut action) == 0
            && action.sa_sigaction == libc::SIG_IGN
    }
}

/// Waits for the next handled signal, at most for `patience`.
pub fn next_signal(patience: Duration) -> Option<i32> {
    let set = handled_set();
    let time = libc::timespec {
        tv_sec: patience.as_secs() as libc::time_t,
        tv_nsec: patience.subsec_nanos() as libc::c_long,
    };
    // SAFETY: the set and the time are valid for the call, and nothing else is filled.
    match unsafe { libc::sigtimedwait(&set, ptr::null_mut(), &time) } {
        -1 => None,
        signal => Some(signal),
    }
}

/// Waits until one of the descriptors can be read (or is at its end) or `writable`
/// can be written, for at most `timeout`. Returns a bit set: one bit for each of
/// `fds` in order, then one for `writable`. A descriptor of -1 is skipped. An
/// interrupted wait returns an empty set.
pub fn poll(fds: &[RawFd], writable: RawFd, timeout: Option<Duration>) -> io::Result<u32> {
    let mut list = [libc::pollfd {
        fd: -1,
        events: libc::POLLIN,
        revents: 0,
    }; 8];
    for (entry, fd) in list.iter_mut().zip(fds) {
        entry.fd = *fd;
    }
    let count = (fds.len() + 1).min(list.len());
    list[count - 1] = libc::pollfd {
        fd: writable,
        events: libc::POLLOUT,
        revents: 0,
    };
    // Rounded up: a wait that ends too early would become a busy loop.
    let milliseconds = timeout.map_or(-1, |t| {
        t.as_micros().div_ceil(1000).min(i32::MAX as u128) as i32
    });
    // SAFETY: the list has at least `count` valid entries.
    let result = unsafe { libc::poll(list.as_mut_ptr(), count as libc::nfds_t, milliseconds) };
    match check(result) {
        Ok(_) => Ok(list
            .iter()
            .enumerate()
            .filter(|(_, e)| e.revents != 0)
            .fold(0, |bits, (i, _)| bits | 1 << i)),
        Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(0),
        Err(e) => Err(e),
    }
}

/// Makes writes return immediately when the pipe is full.
pub fn set_nonblocking(fd: BorrowedFd) -> io::Result<()> {
    // SAFETY: reads and sets flags of an open descriptor.
    unsafe {
        let flags = check(libc::fcntl(fd.as_raw_fd(), libc::F_GETFL))?;
        check(libc::fcntl(
            fd.as_raw_fd(),
            libc::F_SETFL,
            flags | libc::O_NONBLOCK,
        ))?;
    }
    Ok(())
}

/// Starts writing that part of the file to disk, without waiting for it.
pub fn start_writeback(file: BorrowedFd, from: u64, length: u64) {
    // SAFETY: no memory is involved. It is only advice, so a failure does not matter.
    unsafe {
        libc::sync_file_range(
            file.as_raw_fd(),
            from as libc::off64_t,
            length as libc::off64_t,
            libc::SYNC_FILE_RANGE_WRITE,
        )
    };
}

/// A file in memory with these bytes, positioned at its beginning.
pub fn memory_file(bytes: &[u8]) -> io::Result<File> {
    // SAFETY: the name is a valid C string; the descriptor is new and owned here.
    let mut file = unsafe {
        File::from_raw_fd(check(libc::memfd_create(
            c"stdin".as_ptr(),
            libc::MFD_CLOEXEC,
        ))?)
    };
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

/// A path for a system call.
fn c_path(path: &OsStr) -> io::Result<CString> {
    CString::new(path.as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// Opens a file by its path from a directory, or from the working directory. No command
/// inherits it. The mode is that of a file that is made, less the umask.
pub fn open_at(
    directory: Option<BorrowedFd>,
    path: &OsStr,
    flags: i32,
    mode: u32,
) -> io::Result<File> {
    let path = c_path(path)?;
    let from = directory.map_or(libc::AT_FDCWD, |fd| fd.as_raw_fd());
    let flags = flags | libc::O_CLOEXEC;
    // SAFETY: the path is a valid C string; the descriptor is new and owned here.
    retry(|| unsafe {
        check(libc::openat(from, path.as_ptr(), flags, mode)).map(|fd| File::from_raw_fd(fd))
    })
}

/// Makes a directory. Its mode is this, less the umask.
pub fn make_directory(parent: BorrowedFd, name: &OsStr, mode: u32) -> io::Result<()> {
    let name = c_path(name)?;
    // SAFETY: the name is a valid C string.
    check(unsafe { libc::mkdirat(parent.as_raw_fd(), name.as_ptr(), mode) }).map(drop)
}

/// Removes a name from a directory: of an empty directory, or of anything else.
pub fn remove_at(directory: BorrowedFd, name: &OsStr, is_directory: bool) -> io::Result<()> {
    let name = c_path(name)?;
    let flags = if is_directory { libc::AT_REMOVEDIR } else { 0 };
    // SAFETY: the name is a valid C string.
    check(unsafe { libc::unlinkat(directory.as_raw_fd(), name.as_ptr(), flags) }).map(drop)
}

/// Gives a file of a directory another name in it, in place of what had that name.
pub fn rename_at(directory: BorrowedFd, from: &OsStr, to: &OsStr) -> io::Result<()> {
    let (from, to) = (c_path(from)?, c_path(to)?);
    let directory = directory.as_raw_fd();
    // SAFETY: both names are valid C strings.
    check(unsafe { libc::renameat(directory, from.as_ptr(), directory, to.as_ptr()) }).map(drop)
}

/// The same, unless that name is taken.
pub fn rename_new_at(directory: BorrowedFd, from: &OsStr, to: &OsStr) -> io::Result<()> {
    let (c_from, c_to) = (c_path(from)?, c_path(to)?);
    let fd = directory.as_raw_fd();
    // SAFETY: both names are valid C strings.
    let renamed = unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            fd,
            c_from.as_ptr(),
            fd,
            c_to.as_ptr(),
            libc::RENAME_NOREPLACE,
        )
    };
    if renamed == 0 {
        return Ok(());
    }
    let failed = io::Error::last_os_error();
    // Old kernels and some file systems lack it.
    let is_missing = matches!(failed.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL));
    match is_missing.then(|| open_at(Some(directory), to, O_PATH | O_NOFOLLOW, 0)) {
        Some(Err(e)) if e.kind() == io::ErrorKind::NotFound => rename_at(directory, from, to),
        Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
        None => Err(failed),
    }
}

/// Where a symbolic link leads that was opened with `O_PATH | O_NOFOLLOW`.
pub fn read_link(link: BorrowedFd) -> io::Result<OsString> {
    let mut target = vec![0u8; libc::PATH_MAX as usize];
    // SAFETY: the buffer is writable for its length; the empty path is a C string.
    let length = unsafe {
        let buffer = target.as_mut_ptr().cast();
        libc::readlinkat(link.as_raw_fd(), c"".as_ptr(), buffer, target.len())
    };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    target.truncate(length);
    Ok(OsString::from_vec(target))
}

/// The names in a directory, up to so many of them, in no order, without `.` and `..`.
pub fn names_in(directory: BorrowedFd, most: usize) -> io::Result<Vec<OsString>> {
    // A handle with a position of its own: it can be listed again.
    let own = open_at(Some(directory), OsStr::new("."), O_RDONLY | O_DIRECTORY, 0)?;
    let fd = own.into_raw_fd();
    // SAFETY: the descriptor is open and owned here; the stream takes it over, or it is
    // closed.
    let stream = unsafe {
        let stream = libc::fdopendir(fd);
        if stream.is_null() {
            let failed = io::Error::last_os_error();
            libc::close(fd);
            return Err(failed);
        }
        stream
    };
    let mut names = Vec::new();
    let ended = loop {
        if names.len() == most {
            break Ok(());
        }
        // SAFETY: the stream is open, and used by this thread only; an entry is valid
        // until the next call, and its name ends with NUL.
        let name = unsafe {
            *libc::__errno_location() = 0;
            let entry = libc::readdir(stream);
            if entry.is_null() {
                let why = io::Error::last_os_error();
                break match why.raw_os_error() {
                    Some(0) => Ok(()),
                    _ => Err(why),
                };
            }
            CStr::from_ptr((*entry).d_name.as_ptr()).to_bytes()
        };
        if !matches!(name, b"." | b"..") {
            names.push(OsStr::from_bytes(name).to_os_string());
        }
    };
    // SAFETY: the stream is open, and not used afterwards.
    unsafe { libc::closedir(stream) };
    ended.map(|()| names)
}

/// A second descriptor of what this process has open under this number.
pub fn duplicate(number: RawFd) -> io::Result<File> {
    // SAFETY: a wrong number only fails; the new descriptor is owned here.
    unsafe {
        let fd = check(libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3))?;
        Ok(File::from_raw_fd(fd))
    }
}

/// `/dev/null`, or an empty private file in a root file system without it.
pub fn null_file() -> io::Result<File> {
    let device = File::options().read(true).write(true).open("/dev/null");
    device.or_else(|_| memory_file(b""))
}

/// Fills the buffer with random bytes. Needs no device file.
pub fn random(bytes: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        let rest = &mut bytes[filled..];
        filled += retry(|| {
            // SAFETY: `rest` is writable for its length.
            let result = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
            usize::try_from(result).map_err(|_| io::Error::last_os_error())
        })?;
    }
    Ok(())
}

/// Whether a process with this id exists.
pub fn process_exists(pid: u32) -> bool {
    // 0 and negative numbers would mean process groups.
    let pid = i32::try_from(pid).ok().filter(|pid| *pid > 0);
    pid.is_some_and(|pid| {
        // SAFETY: signal 0 only checks.
        let result = unsafe { libc::kill(pid, 0) };
        result == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
    })
}

/// A program to start. The caller has prepared all memory for it.
pub struct Program<'a> {
    pub path: &'a CStr,
    pub argv: &'a [CString],
    pub env: &'a [&'a CStr],
    pub workdir: Option<&'a CStr>,
    pub stdin: BorrowedFd<'a>,
    pub stdout: BorrowedFd<'a>,
    pub stderr: BorrowedFd<'a>,
    /// Where the new process writes its id before it becomes the program.
    pub register: Option<BorrowedFd<'a>>,
}

/// What the new process reads in the memory of its parent.
struct ChildSetup {
    path: *const libc::c_char,
    argv: *const *const libc::c_char,
    envp: *const *const libc::c_char,
    workdir: *const libc::c_char,
    fds: [RawFd; 3],
    register: RawFd,
    file_limit: *const libc::rlimit,
    ignored: *const [libc::c_int],
    error: libc::c_int,
}

/// Starts a program as the leader of its own session and process group, with default
/// signal actions and only descriptors 0, 1 and 2 open. Returns its id and, from
/// kernel 5.2 on, a pidfd: readable once the process has ended (in 5.2, always).
///
/// `clone` with `CLONE_VM | CLONE_VFORK` is what makes `posix_spawn` fast: no page
/// table is copied. It is called directly because the process must register with the
/// guardian *before* it becomes the program. If its parent did that, a SIGKILL in
/// between would leave it unguarded.
///
/// # Errors
/// The error of `clone`, `dup2`, `chdir` or `execve`.
pub fn spawn(program: &Program) -> io::Result<(i32, Option<OwnedFd>)> {
    let pointers = |list: &mut dyn Iterator<Item = *const libc::c_char>| {
        list.chain([ptr::null()]).collect::<Vec<_>>()
    };
    let argv = pointers(&mut program.argv.iter().map(|s| s.as_ptr()));
    let envp = pointers(&mut program.env.iter().map(|s| s.as_ptr()));
    let mut setup = ChildSetup {
        path: program.path.as_ptr(),
        argv: argv.as_ptr(),
        envp: envp.as_ptr(),
        workdir: program.workdir.map_or(ptr::null(), CStr::as_ptr),
        fds: [
            program.stdin.as_raw_fd(),
            program.stdout.as_raw_fd(),
            program.stderr.as_raw_fd(),
        ],
        register: program.register.map_or(-1, |fd| fd.as_raw_fd()),
        file_limit: FILE_LIMIT.get().map_or(ptr::null(), ptr::from_ref),
        ignored: ptr::from_ref(IGNORED.get().map_or(&SIGNALS[..], Vec::as_slice)),
        error: 0,
    };
    let mut stack = [0u128; 512];
    let mut pidfd: libc::c_int = -1;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    // SAFETY: `become_program` only makes system calls. The parent's thread is
    // suspended until the child has left this memory (CLONE_VFORK), so the stack,
    // `setup` and everything it points to outlive the child's use of them. The end
    // of the stack is aligned to 16 bytes. The signals that tasker handles are
    // blocked in every thread, so no handler runs on the borrowed memory.
    let pid = check(unsafe {
        libc::clone(
            become_program,
            stack.as_mut_ptr().add(stack.len()).cast(),
            flags,
            (&raw mut setup).cast(),
            &raw mut pidfd,
        )
    })?;
    // SAFETY: the kernel has just created this descriptor, or left -1.
    let pidfd = (pidfd != -1).then(|| unsafe { OwnedFd::from_raw_fd(pidfd) });
    // SAFETY: the child wrote through a pointer the compiler cannot follow.
    let error = unsafe { ptr::read_volatile(&raw const setup.error) };
    if error != 0 {
        // It registered itself before it failed, and must be unregistered before its
        // id is free.
        if let Some(registry) = program.register {
            let _ = write_message(registry, -pid);
        }
        let _ = reap(pid);
        return Err(io::Error::from_raw_os_error(error));
    }
    Ok((pid, pidfd))
}

/// Writes one number to a pipe. Such a short message is never split.
pub fn write_message(pipe: BorrowedFd, message: i32) -> io::Result<()> {
    let bytes = message.to_ne_bytes();
    retry(|| {
        // SAFETY: the bytes are valid for the call.
        match unsafe { libc::write(pipe.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    })
}

/// Runs in the new process on borrowed memory, so it only makes system calls.
extern "C" fn become_program(setup: *mut libc::c_void) -> libc::c_int {
    let setup = setup.cast::<ChildSetup>();
    // SAFETY: `setup` points to the suspended parent's `ChildSetup`, whose pointers are
    // valid C strings and null-terminated lists. All calls here are allowed after
    // fork.
    unsafe {
        libc::setsid();
        let pid: i32 = libc::getpid();
        if (*setup).register != -1 {
            let id = (&raw const pid).cast();
            while libc::write((*setup).register, id, size_of::<i32>()) == -1
                && *libc::__errno_location() == libc::EINTR
            {}
        }
        for (target, fd) in (*setup).fds.iter().enumerate() {
            if libc::dup2(*fd, target as libc::c_int) == -1 {
                (*setup).error = *libc::__errno_location();
                libc::_exit(126);
            }
        }
        if !(*setup).workdir.is_null() && libc::chdir((*setup).workdir) == -1 {
            (*setup).error = *libc::__errno_location();
            libc::_exit(126);
        }
        if !(*setup).file_limit.is_null() {
            libc::setrlimit(libc::RLIMIT_NOFILE, (*setup).file_limit);
        }
        // tasker ignores and blocks some signals; a program expects neither. Signals
        // that tasker's parent ignores are reset too: a shell cannot trap a signal
        // that was ignored when it started.
        for signal in &*(*setup).ignored {
            libc::signal(*signal, libc::SIG_DFL);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
        libc::execve((*setup).path, (*setup).argv, (*setup).envp);
        (*setup).error = *libc::__errno_location();
        libc::_exit(126);
    }
}

/// Whether the child has ended. It stays a zombie, so that no other process can get
/// its id or its group's yet. Waits for it if `wait`.
pub fn has_ended(pid: i32, wait: bool) -> io::Result<bool> {
    let flags = libc::WEXITED | libc::WNOWAIT | if wait { 0 } else { libc::WNOHANG };
    // SAFETY: siginfo_t is plain data that the call fills.
    retry(|| unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let result = libc::waitid(libc::P_PID, pid as libc::id_t, &mut info, flags);
        check(result).map(|_| info.si_pid() == pid)
    })
}

/// How a process ended, and the resources it used.
#[derive(Clone, Copy, Debug)]
pub struct ReapedChild {
    /// The exit code, or the signal that killed it.
    pub status: Result<i32, i32>,
    /// User and system time.
    pub cpu: Duration,
    /// Peak memory in KiB.
    pub peak_kib: u64,
}

/// Waits for the child and reaps it; its id is free afterwards.
pub fn reap(pid: i32) -> io::Result<ReapedChild> {
    // SAFETY: rusage is plain data that the call fills.
    let (status, usage) = retry(|| unsafe {
        let (mut status, mut usage) = (0, std::mem::zeroed::<libc::rusage>());
        check(libc::wait4(pid, &mut status, 0, &mut usage)).map(|_| (status, usage))
    })?;
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
    let status = if libc::WIFSIGNALED(status) {
        Err(libc::WTERMSIG(status))
    } else {
        Ok(libc::WEXITSTATUS(status))
    };
    Ok(ReapedChild {
        status,
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        peak_kib: usage.ru_maxrss as u64,
    })
}

/// Sends a signal to a child that is not reaped yet.
pub fn signal_child(pid: i32, signal: i32) {
    // SAFETY: no memory is involved. The id cannot belong to another process yet.
    unsafe { libc::kill(pid, signal) };
}

/// Sends a signal to a process that need not be a child. With signal 0 it only checks.
///
/// # Errors
/// There is no such process, or it may not be signalled.
pub fn signal_process(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: no memory is involved. That the id is still that of the process is the
    // caller's concern.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// From now on, what the children of this process leave behind becomes its children.
pub fn become_subreaper() {
    // SAFETY: no memory is involved. A kernel that lacks it leaves orphans to init.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
}

/// Ends this process at once, without the handlers that run at an exit: they could wait.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: no memory is involved, and nothing of this process is used afterwards.
    unsafe { libc::_exit(code) }
}

/// Writes some of the bytes to the descriptor; how many.
///
/// # Errors
/// That of `write`.
pub fn write_some(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the bytes are valid for the call.
    let written = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}

/// Writes a short text to the descriptor if that can be done without waiting.
pub fn write_if_ready(fd: RawFd, text: &str) {
    if poll(&[], fd, Some(Duration::ZERO)).unwrap_or(0) != 0 {
        // SAFETY: the bytes are valid for the call, and what is written is not counted.
        unsafe { libc::write(fd, text.as_ptr().cast(), text.len().min(libc::PIPE_BUF)) };
    }
}

/// Makes the descriptor `target` refer to what `source` refers to, at once.
///
/// # Errors
/// That of `dup3`.
pub fn replace_descriptor(source: BorrowedFd, target: BorrowedFd) -> io::Result<()> {
    let (source, target) = (source.as_raw_fd(), target.as_raw_fd());
    // SAFETY: the owner of `target` keeps it, and only what it refers to changes.
    check(unsafe { libc::dup3(source, target, libc::O_CLOEXEC) }).map(drop)
}

/// Whether this process, with its effective user id, can execute the file.
pub fn can_execute(path: &CStr) -> bool {
    // SAFETY: the path is a valid C string.
    unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::X_OK, libc::AT_EACCESS) == 0 }
}

/// Sends a signal to every process of the group, if there is one.
pub fn signal_group(group: i32, signal: i32) {
    // SAFETY: no memory is involved. The caller has not reaped the group's leader yet,
    // or is the guardian, with which the group is registered.
    unsafe { libc::kill(-group, signal) };
}

/// Whether any process of the group is left, including zombies.
pub fn group_exists(group: i32) -> bool {
    // SAFETY: signal 0 only checks.
    let result = unsafe { libc::kill(-group, 0) };
    result == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

/// Connects to a stream socket. Neither this nor what is done with it waits, also where
/// whoever listens accepts nobody: std's `UnixStream` connects with a wait.
pub fn connect_stream(path: &Path) -> io::Result<UnixStream> {
    // SAFETY: all fields of `sockaddr_un` are numbers, so zeros are a valid value.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let bytes = path.as_os_str().as_bytes();
    // The last one stays 0.
    if bytes.len() >= address.sun_path.len() || bytes.contains(&0) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in address.sun_path.iter_mut().zip(bytes) {
        *to = *from as libc::c_char;
    }
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: the descriptor is new and owned here.
    let socket = unsafe { OwnedFd::from_raw_fd(check(libc::socket(libc::AF_UNIX, kind, 0))?) };
    // SAFETY: the address is a valid one of the length that is given.
    check(unsafe {
        libc::connect(
            socket.as_raw_fd(),
            ptr::from_ref(&address).cast(),
            size_of::<libc::sockaddr_un>() as libc::socklen_t,
        )
    })?;
    Ok(socket.into())
}

/// Starts a copy of this process that runs `body` and then exits with 0. The copy has
/// only the calling thread: `body` must take no lock that another one can hold. (The
/// allocator's are put right by the C library.)
pub fn fork(body: impl FnOnce()) -> io::Result<i32> {
    // SAFETY: no lock is waited for that a thread holds which the copy does not have
    // (the caller's promise). The copy never returns.
    let pid = check(unsafe { libc::fork() })?;
    if pid == 0 {
        body();
        // SAFETY: ends the copy without running the original's exit handlers.
        unsafe { libc::_exit(0) };
    }
    Ok(pid)
}

/// Detaches this process from the terminal, and makes it ignore all signals that ask
/// it to end.
pub fn detach(name: &CStr) {
    // SAFETY: the only memory involved is the name, a C string of at most 16 bytes
    // that the kernel copies.
    unsafe {
        libc::setsid();
        libc::prctl(libc::PR_SET_NAME, name.as_ptr());
        for signal in [
            SIGINT,
            SIGTERM,
            SIGHUP,
            SIGUSR1,
            libc::SIGQUIT,
            libc::SIGPIPE,
        ] {
            libc::signal(signal, libc::SIG_IGN);
        }
    }
    if let Ok(null) = null_file() {
        for fd in 0..3 {
            // SAFETY: replaces this process's standard descriptors.
            unsafe { libc::dup2(null.as_raw_fd(), fd) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{PipeReader, Read};
    use std::os::fd::AsFd;

    /// Starts the program; returns its id and its standard output.
    fn start(
        path: &CStr,
        words: &[&CStr],
        register: Option<BorrowedFd>,
    ) -> io::Result<(i32, PipeReader)> {
        let (reader, writer) = io::pipe()?;
        let null = File::open("/dev/null")?;
        let argv: Vec<CString> = words.iter().map(|w| (*w).into()).collect();
        let (pid, _) = spawn(&Program {
            path,
            argv: &argv,
            env: &[],
            workdir: None,
            stdin: null.as_fd(),
            stdout: writer.as_fd(),
            stderr: null.as_fd(),
            register,
        })?;
        Ok((pid, reader))
    }

    #[test]
    fn processes_started_at_once_inherit_nothing_from_each_other() -> io::Result<()> {
        let one = || -> io::Result<()> {
            for _ in 0..25 {
                let (pid, mut output) = start(
                    c"/bin/sh",
                    &[c"sh", c"-c", c"echo /proc/$$/fd/*; exit 3"],
                    None,
                )?;
                let mut text = String::new();
                output.read_to_string(&mut text)?;
                // The shell itself can have the directory open while it reads it.
                assert_eq!(reap(pid)?.status, Ok(3));
                let open: Vec<&str> = text
                    .trim()
                    .split(' ')
                    .filter_map(|f| f.rsplit('/').next())
                    .collect();
                assert_eq!(open[..3], ["0", "1", "2"], "{text}");
                assert!(open.len() <= 4, "{text}");
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
            threads
                .into_iter()
                .try_for_each(|t| t.join().unwrap_or(Ok(())))
        })
    }

    #[test]
    fn a_process_registers_itself_and_is_unregistered_if_it_cannot_start() -> io::Result<()> {
        let message = |from: &mut PipeReader| {
            let mut bytes = [0; 4];
            from.read_exact(&mut bytes)
                .map(|()| i32::from_ne_bytes(bytes))
        };
        let (mut reader, writer) = io::pipe()?;
        let (pid, _) = start(c"/bin/true", &[c"true"], Some(writer.as_fd()))?;
        assert_eq!(message(&mut reader)?, pid);
        reap(pid)?;
        let error = start(c"/no/such", &[c"such"], Some(writer.as_fd())).map(|_| ());
        assert_eq!(error.map_err(|e| e.raw_os_error()), Err(Some(libc::ENOENT)));
        let (id, back) = (message(&mut reader)?, message(&mut reader)?);
        assert!(id > 0 && back == -id, "{id} {back}");
        assert!(reap(id).is_err(), "it is reaped already");
        Ok(())
    }
}
