//! Scripts with results in them where no bash runs them: `exec=shell` falls to
//! `/bin/sh`, and the `sh` of another host can be any shell (SPEC §2.4, §5).

#[path = "support/chance.rs"]
mod chance;
#[path = "support/places.rs"]
#[allow(dead_code)]
mod places;
#[path = "support/scripts.rs"]
#[allow(dead_code)]
mod scripts;
#[path = "support/sshd.rs"]
#[allow(dead_code)]
mod sshd;
mod support;

use scripts::Place;
use sshd::{Server, skipped};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use support::{Ran, Sandbox};

/// The shells that can be `/bin/sh`, with their program.
const OTHERS: [(&str, &str); 3] = [("dash", "dash"), ("busybox", "busybox"), ("mksh", "mksh")];

/// Where the program is; `None`, with a message, if it is not installed.
fn installed(program: &str) -> Option<PathBuf> {
    let found = ["/usr/bin", "/bin"].map(|directory| Path::new(directory).join(program));
    let found = found.into_iter().find(|path| path.exists());
    if found.is_none() {
        skipped(&format!("scripts under {program}"), "it is not installed");
    }
    found
}

/// Makes the directory `far` of links to all programs of `/usr/bin`, by its name
/// `programs`, but bash; `sh` in it is another shell.
fn without_bash(sandbox: &Sandbox, programs: &str, shell: &str) {
    let script = format!(
        "mkdir far && cd far && for file in /usr/bin/*; do echo {programs}/${{file##*/}}; done | \
         xargs ln -s -t . && rm -f bash rbash sh && ln -s {programs}/{shell} sh"
    );
    let mut command = Command::new("/bin/sh");
    let made = command.args(["-c", &script]).current_dir(&sandbox.path);
    assert!(made.status().expect("a shell").success());
}

/// Runs tasker where `/usr/bin` is `far`: there is no bash.
struct NoBash<'a> {
    sandbox: &'a Sandbox,
}

impl NoBash<'_> {
    /// `None`, with a message, where that is not possible.
    fn new<'a>(sandbox: &'a Sandbox, shell: &str) -> Option<NoBash<'a>> {
        let merged = std::fs::read_link("/bin").is_ok_and(|to| to.ends_with("usr/bin"));
        let mut probe = Command::new("unshare");
        probe.args(["-r", "-m", "--", "mount", "-t", "tmpfs", "none", "/mnt"]);
        let works = probe.stderr(Stdio::null()).status();
        if !merged || !works.is_ok_and(|status| status.success()) {
            skipped("scripts without bash", "/usr/bin cannot be hidden here");
            return None;
        }
        std::fs::create_dir_all(sandbox.path.join("real")).expect("a directory");
        let real = sandbox.path.join("real").display().to_string();
        without_bash(sandbox, &real, shell);
        Some(NoBash { sandbox })
    }

    fn run(&self, tasks: &str, options: &[&str]) -> Ran {
        self.sandbox.file("tasks.txt", tasks);
        let tasker = self.sandbox.tasker::<&str>(&[]);
        let mut command = Command::new("unshare");
        command
            .args(["-r", "-m", "--", "/bin/sh", "-c"])
            .arg("mount --bind /usr/bin real && mount --bind far /usr/bin && exec \"$0\" \"$@\"")
            .arg(tasker.get_program())
            .arg("-r")
            .args(options)
            .arg("tasks.txt")
            .current_dir(&self.sandbox.path)
            .env_clear()
            .envs(tasker.get_envs().filter_map(|(n, v)| Some((n, v?))))
            .stdin(Stdio::null());
        Ran::from(command.output().expect("unshare runs"))
    }
}

#[test]
fn no_random_script_runs_data_where_there_is_no_bash() {
    let (count, seed) = (scripts::count(150), scripts::seed());
    std::thread::scope(|scope| {
        for (name, shell) in OTHERS {
            scope.spawn(move || {
                let sandbox = Sandbox::new();
                let Some(machine) = installed(shell).and_then(|_| NoBash::new(&sandbox, shell))
                else {
                    return;
                };
                let which = machine.run("task=1\nexec=shell\ncommand=echo \"$0\"\n", &[]);
                assert!(which.stdout.contains("/bin/sh -c"), "{which:?}");
                let place = Place {
                    sandbox: &sandbox,
                    exec: "exec=shell",
                    run: &|tasks| machine.run(tasks, &["-q", "-k"]),
                };
                let run = place.run_random(seed, count, 50);
                println!("{name}: {count} scripts, {run} of them run, no execution");
                assert!(run * 20 > count, "{run} of {count} were run");
            });
        }
    });
}

/// A server whose commands begin in the sandbox; they find the programs of `far` if it
/// is there.
fn server() -> Option<Server> {
    let begin = "ForceCommand cd \"$HOME\" && { [ ! -d far ] || PATH=$HOME/far; }; \
                 eval \"$SSH_ORIGINAL_COMMAND\"\nMaxSessions 100\nMaxStartups 100";
    Server::start(begin)
}

#[test]
fn no_random_script_runs_data_on_another_host() {
    let shares = [None, Some("mksh"), Some("dash"), Some("busybox")];
    let count = scripts::set("TASKER_SSH_SCRIPTS").unwrap_or(40) / shares.len();
    std::thread::scope(|scope| {
        for (number, shell) in shares.into_iter().enumerate() {
            scope.spawn(move || {
                if shell.is_some_and(|shell| installed(shell).is_none()) {
                    return;
                }
                let Some(server) = server() else {
                    return;
                };
                if let Some(shell) = shell {
                    without_bash(&server.sandbox, "/usr/bin", shell);
                }
                let which = "task=1\nexec=ssh-shell\nhostname=node1\n\
                     command=echo \"${BASH_VERSION:-none}$KSH_VERSION\"; test -e tasks.txt\n";
                let ran = server.run(which, &[]);
                let is_bash = !ran.stdout.contains("| none");
                assert!(ran.code == 0 && is_bash == shell.is_none(), "{ran:?}");
                assert!(
                    ran.stdout.contains("MIRBSD") == (shell == Some("mksh")),
                    "{ran:?}"
                );
                let place = Place {
                    sandbox: &server.sandbox,
                    exec: "exec=ssh-shell\nhostname=node1",
                    run: &|tasks| server.run(tasks, &["-q", "-k"]),
                };
                let run = place.run_random(scripts::seed() + number as u64, count, 50);
                let name = shell.unwrap_or("bash");
                println!("{name} by ssh: {count} scripts, {run} of them run, no execution");
                assert!(run * 20 > count, "{run} of {count} were run");
            });
        }
    });
}

/// A script that bash alone reads as it is meant.
const FOR_BASH: &str = "n=@1_stdout@; (( $n > 0 )) && echo more";

#[test]
fn a_script_for_bash_does_not_fall_to_another_shell() {
    let sandbox = Sandbox::new();
    sandbox.program("evil", "#!/bin/sh\ntouch X\n");
    let tasks = |data: &str, lines: &str| {
        format!("task=1\nexec=local\ncommand=echo {data}\ntask=2\n{lines}\ncommand={FOR_BASH}\n")
    };
    let ran = sandbox.run(&tasks("7", "exec=shell"), &[]);
    assert!(ran.code == 0 && ran.stdout.contains("more"), "{ran:?}");
    if let Some(machine) = NoBash::new(&sandbox, "dash") {
        let ran = machine.run(&tasks("./evil", "exec=shell"), &[]);
        assert_eq!(ran.code, 20, "{ran:?}");
        let message = "tasks.txt:6:26: error: another shell than bash reads this script otherwise: \
                       `$n` can hold a result";
        assert!(ran.stderr.contains(message), "{ran:?}");
        assert!(
            ran.stderr
                .contains("help: use bash, or what every shell reads alike"),
            "{ran:?}"
        );
    }
    // What runs a type's scripts is known by its name.
    sandbox.file(
        "types.conf",
        "exec=in-sh\nscript=nice sh -c {script}\nexec=in-bash\nscript=nice bash -c {script}\n",
    );
    let options = ["--config", "types.conf"];
    let ran = sandbox.run(&tasks("7", "exec=in-bash"), &options);
    assert!(ran.code == 0 && ran.stdout.contains("more"), "{ran:?}");
    let ran = sandbox.run(&tasks("./evil", "exec=in-sh"), &options);
    assert!(
        ran.code == 20 && ran.stderr.contains("another shell"),
        "{ran:?}"
    );
    assert!(!sandbox.exists("X"));
}

#[test]
fn another_host_without_bash_refuses_what_is_for_bash() {
    let Some(server) = server() else {
        return;
    };
    server.sandbox.program("evil", "#!/bin/sh\ntouch X\n");
    let tasks = |data: &str, script: &str| {
        format!(
            "task=1\nexec=local\ncommand=echo {data}\n\
             task=2\nexec=ssh-shell\nhostname=node1\ncommand={script}\n"
        )
    };
    let ran = server.run(&tasks("7", FOR_BASH), &[]);
    assert!(ran.code == 0 && ran.stdout.contains("more"), "{ran:?}");
    without_bash(&server.sandbox, "/usr/bin", "dash");
    let ran = server.run(&tasks("./evil", FOR_BASH), &[]);
    assert!(ran.code != 0, "{ran:?}");
    assert!(
        server
            .sandbox
            .log()
            .contains("Task 2 node1 ended: failed, exit code 127"),
        "{ran:?}"
    );
    assert!(
        ran.stderr.contains("there is no bash on this host"),
        "{ran:?}"
    );
    // Everything else still falls to `sh`.
    let ran = server.run(
        &tasks("7", "n=@1_stdout@; echo \"$n in ${BASH_VERSION:-sh}\""),
        &[],
    );
    assert!(ran.code == 0 && ran.stdout.contains("7 in sh"), "{ran:?}");
    assert!(!server.sandbox.exists("X"));
}

#[test]
fn where_sh_is_mksh_a_test_is_arithmetic() {
    let sandbox = Sandbox::new();
    let Some(machine) = installed("mksh").and_then(|_| NoBash::new(&sandbox, "mksh")) else {
        return;
    };
    let tasks = |data: &str| {
        format!(
            "task=1\nexec=local\ncommand=echo '{data}'\n\
             task=2\nexec=shell\ncommand=n=@1_stdout@; [ \"$n\" -gt 5 ] && echo more\n"
        )
    };
    let ran = machine.run(&tasks("7"), &[]);
    assert!(ran.code == 0 && ran.stdout.contains("more"), "{ran:?}");
    assert!(ran.stderr.contains("the numeric tests of `[`"), "{ran:?}");
    let ran = machine.run(&tasks("a[$(touch X)]"), &[]);
    assert!(ran.code == 126 && !sandbox.exists("X"), "{ran:?}");
}
