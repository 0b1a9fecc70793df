//! tasker in a private `/dev`, whose `log` leads to a socket of the test; and rsyslogd.
#![allow(dead_code)]

use crate::support::{self, Ran, Sandbox, wait_for};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Mounts a directory with the usual devices over `/dev`, for this process only.
const PRIVATE_DEV: &str = r#"set -e
dev=$1 log=$2
shift 2
mkdir -p "$dev"
mount -t tmpfs -o mode=755 none "$dev"
for name in null zero full random urandom tty; do
    : > "$dev/$name"
    mount --bind "/dev/$name" "$dev/$name"
done
for name in pts shm; do
    mkdir "$dev/$name"
    mount --rbind "/dev/$name" "$dev/$name"
done
ln -s /proc/self/fd "$dev/fd"
ln -s /proc/self/fd/0 "$dev/stdin"
ln -s /proc/self/fd/1 "$dev/stdout"
ln -s /proc/self/fd/2 "$dev/stderr"
ln -s "$log" "$dev/log"
mount --rbind "$dev" /dev
exec "$@"
"#;

/// Whether a mount can be made that only one process sees.
pub fn can_mount() -> bool {
    let made = Command::new("unshare").args(["-m", "true"]).output();
    let can = made.is_ok_and(|output| output.status.success());
    if !can {
        eprintln!("skipped: `unshare -m` is not possible here");
    }
    can
}

/// tasker with `-r` on `tasks.txt`, with this socket of the sandbox as `/dev/log`.
pub fn tasker(sandbox: &Sandbox, tasks: &str, options: &[&str], log: &str) -> Command {
    sandbox.file("tasks.txt", tasks);
    sandbox.file("private-dev", PRIVATE_DEV);
    let plain = sandbox.tasker::<&str>(&[]);
    let mut command = Command::new("unshare");
    command
        .args(["-m", "--", "sh", "private-dev"])
        .arg(sandbox.path.join(format!("dev-{}", std::process::id())))
        .arg(sandbox.path.join(log))
        .arg(plain.get_program())
        .arg("-r")
        .args(options)
        .arg("tasks.txt")
        .current_dir(&sandbox.path)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command
}

/// Runs it to its end.
pub fn run(sandbox: &Sandbox, tasks: &str, options: &[&str], log: &str) -> Ran {
    let output = tasker(sandbox, tasks, options, log).output();
    Ran::from(output.expect("tasker runs"))
}

/// What was sent to the socket so far.
pub fn received(socket: &UnixDatagram) -> Vec<String> {
    socket.set_nonblocking(true).expect("a socket");
    let mut buffer = vec![0; 1 << 16];
    let mut messages = Vec::new();
    while let Ok(length) = socket.recv(&mut buffer) {
        let text = std::str::from_utf8(&buffer[..length]).expect("UTF-8");
        messages.push(text.to_string());
    }
    messages
}

/// A real rsyslogd with a socket of either kind in the sandbox, which writes to
/// `messages`.
pub struct Rsyslogd(Child);

impl Rsyslogd {
    /// Nothing where it is not installed.
    pub fn start(sandbox: &Sandbox) -> Option<Rsyslogd> {
        const PROGRAM: &str = "/usr/sbin/rsyslogd";
        if !Path::new(PROGRAM).exists() {
            eprintln!("skipped: {PROGRAM} is not installed");
            return None;
        }
        let at = |name: &str| sandbox.path.join(name).display().to_string();
        let configuration = format!(
            "global(workDirectory=\"{work}\")\n\
             module(load=\"imuxsock\" SysSock.Use=\"off\")\n\
             module(load=\"imptcp\")\n\
             input(type=\"imuxsock\" Socket=\"{log}\" RateLimit.Interval=\"0\")\n\
             input(type=\"imptcp\" path=\"{stream}\" unlink=\"on\")\n\
             template(name=\"fields\" type=\"string\" string=\"%syslogfacility-text%.%syslogseverity-text% %programname% %procid%:%msg%\\n\")\n\
             action(type=\"omfile\" file=\"{messages}\" template=\"fields\")\n",
            work = sandbox.path.display(),
            log = at("log"),
            stream = at("stream"),
            messages = at("messages"),
        );
        let configuration = sandbox.file("rsyslog.conf", configuration);
        let child = Command::new(PROGRAM)
            .arg("-n")
            .arg("-f")
            .arg(configuration)
            .arg("-i")
            .arg(at("rsyslog.pid"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("rsyslogd starts");
        wait_for("rsyslogd", || {
            let datagrams = UnixDatagram::unbound().expect("a socket");
            datagrams.connect(at("log")).is_ok() && UnixStream::connect(at("stream")).is_ok()
        });
        Some(Rsyslogd(child))
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Ends it as its service would.
    pub fn stop(mut self) {
        support::signal(self.0.id(), "TERM");
        let _ = self.0.wait();
    }
}

impl Drop for Rsyslogd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
