//! A real OpenSSH server for a test: its own keys, its own port, every loopback
//! address a host. It ends on drop, and with the test's process.

use crate::support::{Ran, Sandbox, finish, processes_with, wait_for};
use std::ffi::OsStr;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const SSHD: &str = "/usr/sbin/sshd";

/// Reports what a machine lacks for a test; on the project's own CI nothing may be
/// missing.
pub fn skipped(what: &str, because: &str) {
    let line = format!("skipped: {what}: {because}\n");
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "{line}"
    );
    // Bypasses the capture of `eprintln!`, so that it is seen.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

pub fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    id.stdout == b"0\n"
}

/// The name of the user who runs the tests.
pub fn own_name() -> String {
    let id = Command::new("id").arg("-un").output().expect("id runs");
    String::from_utf8_lossy(&id.stdout).trim().to_string()
}

/// The sandbox of a server and of the runs against it.
pub struct Server {
    pub sandbox: Sandbox,
    pub port: u16,
    holder: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        // The holder waits for the end of its input.
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
        for pid in self.left() {
            kill(pid, "KILL");
        }
    }
}

impl Server {
    /// Starts it with further lines of configuration, in which `SANDBOX` is the path of
    /// its sandbox; None, with a message, if that
    /// is not possible.
    pub fn start(settings: &str) -> Option<Server> {
        if !Path::new(SSHD).exists() || !Path::new("/usr/bin/ssh").exists() {
            skipped("a test by ssh", "OpenSSH is not installed");
            return None;
        }
        let sandbox = Sandbox::new();
        if is_root() {
            std::fs::create_dir_all("/run/sshd").expect("sshd's directory");
        }
        for name in ["host", "other-host", "user"] {
            make_key(&sandbox, name);
        }
        sandbox.file("known", format!("* {}", sandbox.read("host.pub")));
        sandbox.file("changed", format!("* {}", sandbox.read("other-host.pub")));
        sandbox.file("authorized", sandbox.read("user.pub"));
        sandbox.file(".config/tasker/tasker.conf", "kill_after=1\n");
        let path = sandbox.path.display().to_string();
        sandbox.program(
            "bin/ssh",
            &format!("#!/bin/sh\nexec /usr/bin/ssh -F {path}/ssh_config \"$@\"\n"),
        );
        let (holder, port) = start(&sandbox, settings);
        let server = Server {
            sandbox,
            port,
            holder,
        };
        server.configure("");
        Some(server)
    }

    /// The clients' configuration, with the test's own hosts first and a fast key
    /// exchange, because many connections are made. Every name that begins with
    /// `node` is a host of this server.
    pub fn configure(&self, hosts: &str) {
        let path = self.sandbox.path.display();
        let port = self.port;
        let text = format!(
            "{hosts}
Host node*
  HostName 127.0.0.2
Host *
  Port {port}
  IdentityFile {path}/user
  IdentitiesOnly yes
  KexAlgorithms curve25519-sha256
  StrictHostKeyChecking yes
  UserKnownHostsFile {path}/known
  GlobalKnownHostsFile /dev/null
"
        );
        self.sandbox.file("ssh_config", text);
    }

    pub fn tasker<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = self.sandbox.tasker(arguments);
        let bin = self.sandbox.path.join("bin");
        command.env(
            "PATH",
            format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display()),
        );
        command
    }

    /// Writes `tasks.txt` and starts it with `-r`.
    pub fn begin(&self, tasks: &str, options: &[&str]) -> Child {
        self.sandbox.file("tasks.txt", tasks);
        let mut arguments = vec!["-r"];
        arguments.extend(options);
        arguments.push("tasks.txt");
        self.tasker(&arguments).spawn().expect("tasker starts")
    }

    pub fn run(&self, tasks: &str, options: &[&str]) -> Ran {
        finish(self.begin(tasks, options))
    }

    /// What the server logged.
    pub fn log(&self) -> String {
        self.sandbox.read("sshd.log")
    }

    /// The processes of its sessions that are still running.
    pub fn left(&self) -> Vec<u32> {
        processes_with(&format!("TEST_SESSION={}\0", self.sandbox.path.display()))
    }
}

fn make_key(sandbox: &Sandbox, name: &str) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
        .arg(sandbox.path.join(name))
        .status();
    assert!(made.expect("ssh-keygen runs").success());
}

fn start(sandbox: &Sandbox, settings: &str) -> (Child, u16) {
    let path = sandbox.path.display().to_string();
    let settings = settings.replace("SANDBOX", &path);
    for _ in 0..20 {
        let port = free_port();
        // Only this machine may connect, even though every loopback address
        // listens.
        let text = format!(
            "{settings}
Port {port}
ListenAddress 0.0.0.0
AllowUsers *@127.0.0.0/8
HostKey {path}/host
AuthorizedKeysFile {path}/authorized
PidFile none
UsePAM no
StrictModes no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
LogLevel VERBOSE
SetEnv TEST_SESSION={path} HOME={path}
"
        );
        sandbox.file("sshd_config", text);
        let script = format!(
            "{SSHD} -D -f {path}/sshd_config -E {path}/sshd.log & read -r end; kill $! 2>/dev/null; wait"
        );
        let mut holder = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell starts");
        let mut up = false;
        wait_for("the server", || {
            up = TcpStream::connect(("127.0.0.1", port)).is_ok();
            up || sandbox.read("sshd.log").contains("Cannot bind")
        });
        if up {
            return (holder, port);
        }
        drop(holder.stdin.take());
        let _ = holder.wait();
    }
    panic!("no port for the server: {}", sandbox.read("sshd.log"));
}

/// A port that nothing listened on a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("its address").port()
}

impl Server {
    /// Signals the server with all its sessions.
    pub fn signal_sessions(&self, signal: &str) {
        let ours = self.left();
        // The sshd processes of the holder's session tree, found by their parents.
        for pid in ours.iter().flat_map(|p| ancestors(*p)) {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            if name.trim() == "sshd" {
                kill(pid, signal);
            }
        }
    }
}

/// Signals a process that may already be gone.
fn kill(pid: u32, signal: &str) {
    let _ = Command::new("kill")
        .args([&format!("-{signal}"), &pid.to_string()])
        .stderr(Stdio::null())
        .status();
}

/// The ancestors of a process.
fn ancestors(pid: u32) -> Vec<u32> {
    let parent = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, rest) = stat.rsplit_once(") ")?;
        rest.split(' ')
            .nth(1)?
            .parse::<u32>()
            .ok()
            .filter(|p| *p > 1)
    };
    std::iter::successors(parent(pid), |p| parent(*p)).collect()
}

/// One connection shared by many ssh clients, for tests of what passes through it.
pub struct Shared {
    master: Child,
}

impl Drop for Shared {
    fn drop(&mut self) {
        let _ = self.master.kill();
        let _ = self.master.wait();
    }
}

impl Server {
    /// Opens it for every host; the server should have a large `MaxSessions`.
    pub fn share_connections(&self) -> Shared {
        let socket = self.sandbox.path.join("shared");
        self.configure(&format!("Host *\n  ControlPath {}", socket.display()));
        let master = Command::new(self.sandbox.path.join("bin/ssh"))
            .args(["-M", "-N", "node1"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("ssh starts");
        wait_for("the shared connection", || socket.exists());
        Shared { master }
    }
}

/// A user for the test with that login shell, removed on drop.
pub struct User {
    pub name: String,
}

impl User {
    /// None unless root runs the tests, with a message.
    pub fn new(name: &str, shell: &str, home: &Path) -> Option<User> {
        if !is_root() {
            skipped(
                &format!("{name} as login shell"),
                "only root can make users",
            );
            return None;
        }
        remove_stale_users();
        let user = User {
            name: format!("{USER}{name}-{}", std::process::id()),
        };
        let made = Command::new("/usr/sbin/useradd")
            .args(["-M", "-N", "-p", "*", "-s", shell, "-d"])
            .arg(home)
            .arg(&user.name)
            .output()
            .expect("useradd runs");
        assert!(made.status.success(), "{made:?}");
        Some(user)
    }
}

impl Drop for User {
    fn drop(&mut self) {
        remove_user(&self.name);
    }
}

/// The prefix of the names of test users; the process id follows.
const USER: &str = "tasker-test-";

fn remove_user(name: &str) {
    let _ = Command::new("/usr/sbin/userdel")
        .args(["-f", name])
        .output();
}

/// Removes those of tests that were killed.
fn remove_stale_users() {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    for name in users.lines().filter_map(|l| l.split(':').next()) {
        let pid = name.strip_prefix(USER).and_then(|n| n.rsplit_once('-'));
        if pid.is_some_and(|(_, pid)| !Path::new("/proc").join(pid).exists()) {
            remove_user(name);
        }
    }
}
