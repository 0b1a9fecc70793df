//! What is shipped: where `make install` puts files, and that the binary runs where
//! there is nothing else: no libraries, no /proc, no /dev, no users, no home.
//!
//! Tests that take minutes because they build the static binary are left to `make
//! test-ship`; `make test` tries the same with the binary of the tests and its
//! libraries.

mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use support::{Ran, Sandbox};

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `make` in the project.
#[track_caller]
fn make(arguments: &[&str]) {
    let mut command = Command::new("make");
    // This may itself run under `make test`.
    for name in ["MAKEFLAGS", "MAKEOVERRIDES", "PREFIX", "DESTDIR"] {
        command.env_remove(name);
    }
    let command = command.current_dir(project()).args(arguments);
    let ran = Ran::from(command.stdin(Stdio::null()).output().expect("make runs"));
    assert_eq!(ran.code, 0, "make {arguments:?}: {ran:?}");
}

/// Every file below the directory, with its mode; directories end with `/`.
fn files(root: &Path) -> BTreeMap<String, u32> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).expect("readable").flatten() {
            let path = entry.path();
            let name = path.strip_prefix(root).expect("below").display();
            let mode = entry.metadata().expect("there").permissions().mode() & 0o7777;
            match path.is_dir() {
                true => open.push(path.clone()),
                false => drop(found.insert(name.to_string(), mode)),
            }
        }
    }
    found
}

fn installed() -> BTreeMap<String, u32> {
    let mut expected: BTreeMap<String, u32> = [
        "share/bash-completion/completions/tasker",
        "share/zsh/site-functions/_tasker",
        "share/fish/vendor_completions.d/tasker.fish",
    ]
    .map(|name| (name.to_string(), 0o644))
    .into();
    expected.insert("bin/tasker".into(), 0o755);
    for page in std::fs::read_dir(project().join("man"))
        .expect("man")
        .flatten()
    {
        let page = page.file_name().into_string().expect("a name");
        let section = page.rsplit('.').next().unwrap_or_default();
        expected.insert(format!("share/man/man{section}/{page}"), 0o644);
    }
    expected
}

#[test]
fn uninstall_removes_what_install_installed() {
    let sandbox = Sandbox::new();
    let destination = format!("DESTDIR={}", sandbox.path.display());
    let options = [&destination, "PREFIX=/opt/tasker"];
    let binary = format!("BINARY={}", env!("CARGO_BIN_EXE_tasker"));
    // Files of others stay, and so do modes that differ from ours.
    let mut before = BTreeMap::new();
    for name in [
        "bin/other",
        "share/man/man1/other.1",
        "share/zsh/site-functions/_other",
    ] {
        sandbox.file(&format!("opt/tasker/{name}"), "not ours");
        before.insert(name.to_string(), 0o644);
    }
    let place = sandbox.path.join("opt/tasker");
    for name in before.keys() {
        let mode = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(place.join(name), mode).expect("mode");
    }
    let install = ["install", &binary, options[0], options[1]];
    make(&install);
    let mut expected = installed();
    expected.extend(before.clone());
    assert_eq!(files(&place), expected);
    let version = Command::new(place.join("bin/tasker"))
        .arg("--version")
        .output();
    let version = Ran::from(version.expect("what was installed runs"));
    assert_eq!(
        version.stdout,
        concat!("tasker ", env!("CARGO_PKG_VERSION"), "\n")
    );
    // Installed again over existing files, and removed again.
    make(&install);
    make(&["uninstall", options[0], options[1]]);
    assert_eq!(files(&place), before);
    let entries = std::fs::read_dir(&sandbox.path).expect("readable").count();
    assert_eq!(entries, 1, "only what PREFIX names");
}

/// A root file system with a binary, its libraries and task files.
struct Root {
    sandbox: Sandbox,
}

impl Root {
    /// None if this user cannot create a root file system.
    fn new(binary: &Path) -> Option<Root> {
        let root = Root {
            sandbox: Sandbox::new(),
        };
        root.add(binary, "tasker");
        let linked = Command::new("ldd").arg(binary).output().expect("ldd runs");
        let linked = Ran::from(linked).stdout;
        for library in linked.split_whitespace().filter(|w| w.starts_with('/')) {
            root.add(Path::new(library), &library[1..]);
        }
        let tried = root.tasker(&["--version"]);
        if tried.code != 0 {
            eprintln!("not tried in a bare root, which needs a namespace or root: {tried:?}");
            return None;
        }
        Some(root)
    }

    fn add(&self, from: &Path, name: &str) {
        let to = self.sandbox.path.join(name);
        std::fs::create_dir_all(to.parent().expect("a parent")).expect("made");
        std::fs::copy(from, to).expect("copied");
    }

    /// Runs it there with an empty environment.
    fn tasker(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new("unshare");
        command
            .args(["--map-root-user", "--root"])
            .arg(&self.sandbox.path)
            .arg("/tasker")
            .args(arguments)
            .env_clear()
            .stdin(Stdio::null());
        Ran::from(command.output().expect("unshare runs"))
    }
}

fn of_the_tests() -> PathBuf {
    env!("CARGO_BIN_EXE_tasker").into()
}

#[test]
fn the_binary_runs_in_an_empty_root() {
    if let Some(root) = Root::new(&of_the_tests()) {
        runs_in(&root);
    }
}

/// Everything that a run does, with tasker itself as the only program.
fn runs_in(root: &Root) {
    let one = "task=0\nexec=local\ncommand=/tasker --version\n";
    root.sandbox.file("one.txt", one);
    let shown = root.tasker(&["one.txt"]);
    assert_eq!((shown.code, shown.stderr.as_str()), (0, ""), "{shown:?}");
    assert!(shown.stdout.contains("\nplan: "), "{shown:?}");

    let homeless = root.tasker(&["-r", "one.txt"]);
    assert_eq!(homeless.code, 32, "{homeless:?}");
    let why = "no home directory to keep logs and records in; name a directory with -l DIR";
    assert!(homeless.stderr.contains(why), "{homeless:?}");

    // Standard input, empty and not; a block; its own status; a final task.
    let tasks = "
KEPT_SECRET=one two three
task=0
exec=local
command=/tasker -
success=exit_24

task=1
exec=local
command=/tasker -
stdin=task=0
success=exit_20 & stderr ~ task 0 does nothing

task=2
type=parallel
hostnames=a[1-3]
exec=local
command=/tasker --version @hostname@

task=3
exec=local
env.HANDED=@KEPT_SECRET@
command=/tasker --status -l /log
success=exit_0 & stdout ~ live & stdout !~ not seen

task=4
finally=true
exec=local
command=/tasker --version
";
    root.sandbox.file("all.txt", tasks);
    let arguments = ["-r", "-l", "/log", "--output-json=/out.json", "all.txt"];
    let ran = root.tasker(&arguments);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert!(ran.stdout.contains("5 ok"), "{ran:?}");
    assert!(
        root.sandbox
            .read("out.json")
            .contains("\"status\":\"success\"")
    );

    let ran = root.tasker(&["-r", "-l", "/log", "-t", "shell", "no-shell.txt"]);
    assert_eq!(ran.code, 30, "{ran:?}");
    root.sandbox
        .file("no-shell.txt", "task=0\nexec=shell\ncommand=echo\n");
    let ran = root.tasker(&["-r", "-l", "/log", "no-shell.txt"]);
    assert_eq!(ran.code, 127, "{ran:?}");
    assert!(ran.stderr.contains("/bin/sh: no such program"), "{ran:?}");

    // A name that must be resolved where nothing can resolve it.
    let remote = "task=0\nhostname=web01\nexec=ssh\ncommand=true\n";
    root.sandbox.file("remote.txt", remote);
    let ran = root.tasker(&["remote.txt"]);
    assert_eq!(ran.code, 60, "{ran:?}");
    assert!(ran.stdout.contains("web01: no address found"), "{ran:?}");
    // There may be a hosts file, but no ssh.
    root.sandbox.file("etc/hosts", "192.0.2.1 web01\n");
    root.sandbox.file("etc/nsswitch.conf", "hosts: files\n");
    let ran = root.tasker(&["-r", "-l", "/log", "remote.txt"]);
    assert_eq!(ran.code, 61, "{ran:?}");
    assert!(ran.stderr.contains("not in PATH: `ssh`"), "{ran:?}");

    assert_timeout_without_proc(root);
}

/// A command is ended at its timeout without /proc to tell what belongs to it.
fn assert_timeout_without_proc(root: &Root) {
    let hangs = "task=0\nexec=local\ncommand=/tasker --version\nsleep=1h\n\ntask=1\nreturn=0\n";
    root.sandbox.file("hangs.txt", hangs);
    let ended = "task=0\nexec=local\ncommand=/tasker -r -l /inner hangs.txt\ntimeout=1\n";
    root.sandbox.file("ended.txt", ended);
    root.sandbox.file("tasker.conf", "kill_after=100ms\n");
    let conf = ["--config", "tasker.conf"];
    let ran = root.tasker(&[&["-r", "-l", "/log"], &conf[..], &["ended.txt"]].concat());
    assert_eq!(ran.code, 124, "{ran:?}");
    assert!(ran.stdout.contains("ended by SIGTERM"), "{ran:?}");
}

/// What the headers of the program must say: no fixed address (PIE), relocated data
/// is read-only afterwards (RELRO), and nothing, including the stack (NX), is both
/// writable and executable.
#[track_caller]
fn is_hardened(binary: &Path) {
    let Ok(read) = Command::new("readelf").arg("-hlW").arg(binary).output() else {
        eprintln!("the headers are not checked: readelf is not installed");
        return;
    };
    let headers = Ran::from(read).stdout;
    let line = |start: &str| headers.lines().find(|l| l.trim_start().starts_with(start));
    assert!(
        line("Type:").is_some_and(|l| l.contains("DYN")),
        "{headers}"
    );
    assert!(line("GNU_RELRO").is_some(), "{headers}");
    let stack = line("GNU_STACK").expect("it says how the stack is");
    assert!(stack.contains(" RW ") && !stack.contains('E'), "{headers}");
    let segments: Vec<&str> = headers
        .lines()
        .filter(|l| l.trim_start().starts_with("LOAD "))
        .collect();
    assert!(segments.len() > 2, "{headers}");
    for segment in segments {
        let flags = segment.split_whitespace().skip(6);
        let flags: String = flags.filter(|f| !f.starts_with("0x")).collect();
        assert!(flags.starts_with('R'), "{segment}");
        assert!(!(flags.contains('W') && flags.contains('E')), "{segment}");
    }
}

#[test]
fn the_headers_are_hardened() {
    is_hardened(&of_the_tests());
}

/// The sources of a package.
const PROJECT: [&str; 8] = [
    "Cargo.toml",
    "Cargo.lock",
    "Makefile",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "man",
    "src",
];

/// A copy of the project with a separate home, built without a network.
struct Workshop {
    sandbox: Sandbox,
    project: PathBuf,
}

impl Workshop {
    fn new(name: &str) -> Workshop {
        let sandbox = Sandbox::new();
        let project = sandbox.path.join(name);
        std::fs::create_dir_all(&project).expect("made");
        for name in PROJECT {
            copy_all(&self::project().join(name), &project.join(name));
        }
        let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
        let registry = home.expect("a home of cargo").join("registry");
        copy_all(&registry, &project.join("cargo/registry"));
        Workshop { sandbox, project }
    }

    /// Its packages, from the last line of the output.
    fn make(&self, goal: &str, umask: &str) -> PathBuf {
        // The compiler itself, not the proxy that looks for it in a home.
        let rustc = Command::new("rustc").args(["--print", "sysroot"]).output();
        let sysroot = Ran::from(rustc.expect("rustc")).stdout;
        let path = std::env::var("PATH").expect("PATH");
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("umask {umask} && exec make {goal}")])
            .current_dir(&self.project)
            .env_clear()
            .env("PATH", format!("{}/bin:{path}", sysroot.trim()))
            .env("HOME", &self.sandbox.path)
            .env("CARGO_HOME", self.project.join("cargo"))
            .env("CARGO_NET_OFFLINE", "true")
            .env("SOURCE_DATE_EPOCH", "1700000000")
            .stdin(Stdio::null());
        let ran = Ran::from(command.output().expect("make runs"));
        assert_eq!(ran.code, 0, "{ran:?}");
        let last = ran.stdout.trim().lines().last().expect("a last line");
        let quoted = last.split('\'').find(|w| w.ends_with(".deb"));
        self.project.join(quoted.unwrap_or(last))
    }
}

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().expect("a parent")).expect("made");
    let status = Command::new("cp")
        .args(["-R", "--"])
        .args([from, to])
        .status();
    assert!(status.expect("cp runs").success(), "{}", from.display());
}

/// Builds in two places, as users with different homes and umasks; compares the
/// results, and runs the binary where there is nothing else.
#[test]
#[ignore = "takes minutes: make test-ship"]
fn builds_are_reproducible() {
    let (here, there) = (
        Workshop::new("a"),
        Workshop::new("quite/another/place/with-a-longer-name"),
    );
    for goal in ["dist", "deb"] {
        let packages = [here.make(goal, "022"), there.make(goal, "077")];
        assert_eq!(packages[0].file_name(), packages[1].file_name());
        let bytes = packages.clone().map(|p| std::fs::read(p).expect("there"));
        assert!(bytes[0] == bytes[1], "{} differs", packages[0].display());
        println!("{}: {} bytes", packages[0].display(), bytes[0].len());
    }
    let package = here.make("dist", "022");
    let unpacked = unpack(&package);
    let binary = unpacked.path.join("tasker");
    println!(
        "{}: {} bytes",
        binary.display(),
        std::fs::read(&binary).expect("there").len()
    );
    is_hardened(&binary);
    let text = std::fs::read(&binary).expect("there");
    let text = String::from_utf8_lossy(&text);
    for path in [&here.project, &here.sandbox.path] {
        let path = path.display().to_string();
        assert!(!text.contains(&path), "it knows where it was built: {path}");
    }
    let linked = Command::new("readelf").arg("-dW").arg(&binary).output();
    let linked = Ran::from(linked.expect("readelf")).stdout;
    assert!(!linked.contains("(NEEDED)"), "{linked}");
    if let Some(root) = Root::new(&binary) {
        runs_in(&root);
    }
}

/// The contents of the package, after checking its checksums.
fn unpack(package: &Path) -> Sandbox {
    let sandbox = Sandbox::new();
    let listed = Command::new("tar").arg("-tvzf").arg(package).output();
    let listed = Ran::from(listed.expect("tar")).stdout;
    for line in listed.lines() {
        assert!(line.contains(" 0/0 "), "somebody's: {line}");
    }
    let unpacked = Command::new("tar")
        .args(["--strip-components=1", "-xzf"])
        .arg(package)
        .current_dir(&sandbox.path)
        .status();
    assert!(unpacked.expect("tar").success());
    let sums = Command::new("sha256sum")
        .args(["--check", "--strict", "SHA256SUMS"])
        .current_dir(&sandbox.path)
        .output();
    let sums = Ran::from(sums.expect("sha256sum"));
    assert_eq!(sums.code, 0, "{sums:?}");
    // Every file except the list of checksums has one.
    assert_eq!(sums.stdout.lines().count() + 1, files(&sandbox.path).len());
    for name in [
        "tasker",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "completions/_tasker",
    ] {
        assert!(sandbox.exists(name), "{name}: {listed}");
    }
    for page in std::fs::read_dir(project().join("man"))
        .expect("man")
        .flatten()
    {
        let name = format!("man/{}", page.file_name().to_string_lossy());
        assert!(sandbox.exists(&name), "{name}: {listed}");
    }
    sandbox
}
