//! Processes: how commands start, what they get, and that nothing of a run is left
//! behind, however it ends (SPEC §4.2, §4.3, §6.5).

mod support;

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::{Ran, Sandbox, finish, processes_with, signal, wait_for};

/// The processes of the sandbox that are still running, found by its HOME or by a
/// program in it.
fn remaining_processes(sandbox: &Sandbox) -> BTreeSet<u32> {
    let path = sandbox.path.display();
    let mut found = processes_with(&format!("HOME={path}\0"));
    found.extend(processes_with(&format!("{path}/")));
    found.into_iter().collect()
}

#[track_caller]
fn assert_nothing_left(sandbox: &Sandbox) {
    let left = remaining_processes(sandbox);
    let shown = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        format!(
            "{pid} {}",
            String::from_utf8_lossy(&line).replace('\0', " ")
        )
    };
    assert!(
        left.is_empty(),
        "left over: {:?}",
        left.iter().map(shown).collect::<Vec<_>>()
    );
}

/// A script with a child, a grandchild and a pipeline that keep running; `ready`
/// says that they do.
const TREE: &str = "#!/bin/sh
sleep 300 &
sh -c 'sleep 300 & sh -c \"echo > ready; sleep 300; true\"; true' &
sleep 300 | cat | cat
";

/// A script that SIGTERM does not end.
const DEAF: &str = "#!/bin/sh
trap '' TERM HUP INT
echo > ready
while :; do sleep 1; done
";

fn local(id: u32, command: &str) -> String {
    format!("task={id}\nexec=local\ncommand={command}\n")
}

fn shell(id: u32, command: &str) -> String {
    format!("task={id}\nexec=shell\ncommand={command}\n")
}

/// Starts a run of the program and waits until it is ready.
fn start_program(sandbox: &Sandbox, script: &str, more: &str, options: &[&str]) -> Child {
    let program = sandbox.program("program", script);
    let tasks = local(1, &program.display().to_string()) + more;
    let child = sandbox.start(&tasks, options);
    wait_for("the program", || sandbox.exists("ready"));
    child
}

#[track_caller]
fn assert_within(began: Instant, seconds: u64) {
    let took = began.elapsed();
    assert!(took < Duration::from_secs(seconds), "took {took:?}");
}

// Timeouts.

#[track_caller]
fn assert_times_out(script: &str, at_least: f64, within: u64) {
    let sandbox = Sandbox::new();
    let program = sandbox.program("program", script);
    let tasks = local(1, &program.display().to_string()) + "timeout=1\n";
    let began = Instant::now();
    let ran = sandbox.run(&tasks, &[]);
    assert_eq!(ran.code, 124, "{ran:?}");
    assert!(began.elapsed().as_secs_f64() >= at_least);
    assert_within(began, within);
    assert_nothing_left(&sandbox);
    assert!(
        sandbox
            .log()
            .contains("Task 1 ended: timeout, exit code 124")
    );
}

#[test]
fn a_timeout_ends_the_whole_tree() {
    assert_times_out(TREE, 1.0, 4);
}

/// `timeout` and `set -m` create process groups of their own in the session.
#[test]
fn a_timeout_ends_further_groups_of_the_session() {
    let timeout = "#!/bin/sh\ntimeout 300 sleep 300\ntrue\n";
    assert_times_out(timeout, 1.0, 4);
    assert_times_out(
        "#!/bin/bash\nset -m\nsleep 300 &\nsleep 300 | cat &\nwait\n",
        1.0,
        4,
    );
    let sandbox = Sandbox::new();
    let script =
        "#!/bin/bash\nset -m\nsleep 300 &\ntimeout 300 sh -c 'echo > ready; sleep 300'; true\n";
    let mut child = start_program(&sandbox, script, "", &[]);
    child.kill().expect("kill");
    child.wait().expect("wait");
    wait_for("the guardian's work", || {
        remaining_processes(&sandbox).is_empty()
    });
}

#[test]
fn a_timeout_kills_what_ignores_sigterm() {
    assert_times_out(DEAF, 5.9, 10);
}

#[test]
fn a_timeout_ends_a_stopped_command() {
    assert_times_out("#!/bin/sh\nkill -STOP $$\nsleep 300\n", 1.0, 4);
}

#[test]
fn a_timeout_ends_an_endless_writer() {
    assert_times_out("#!/bin/sh\nyes | cat\n", 1.0, 5);
}

#[test]
fn a_leader_that_ends_at_sigterm_does_not_spare_a_stubborn_child() {
    assert_times_out(
        "#!/bin/bash\n(trap '' TERM; exec >/dev/null 2>&1; while :; do sleep 1; done) &\nsleep 300\n",
        5.9,
        10,
    );
}

/// A process outside the group that holds the pipes is not waited for.
#[test]
fn a_timeout_does_not_wait_for_a_new_session() {
    let sandbox = Sandbox::new();
    let tasks = shell(1, "setsid sleep 20 & echo $! > pid; sleep 300") + "timeout=1\n";
    let began = Instant::now();
    let ran = sandbox.run(&tasks, &[]);
    assert_within(began, 4);
    assert_eq!(ran.code, 124, "{ran:?}");
    for pid in remaining_processes(&sandbox) {
        signal(pid, "KILL");
    }
}

#[test]
fn a_timeout_ends_what_sudo_started() {
    if !sudo_works() {
        return println!("skipped: sudo -n does not work here");
    }
    let sandbox = Sandbox::new();
    let program = sandbox.program("program", TREE);
    let tasks = local(1, &format!("sudo -n {}", program.display())) + "timeout=1\n";
    let ran = sandbox.run(&tasks, &[]);
    assert_eq!(ran.code, 124, "{ran:?}");
    wait_for("sudo's end", || remaining_processes(&sandbox).is_empty());
}

fn sudo_works() -> bool {
    let status = Command::new("sudo")
        .args(["-n", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|s| s.success())
}

// Background processes.

#[test]
fn a_background_process_that_holds_the_pipes_does_not_hang_the_run() {
    let sandbox = Sandbox::new();
    let tasks = shell(1, "sleep 300 & echo started") + &local(2, "touch second");
    let began = Instant::now();
    let ran = sandbox.run(&tasks, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let took = began.elapsed();
    assert!(took > Duration::from_millis(900), "{took:?}");
    assert_within(began, 4);
    assert_nothing_left(&sandbox);
    let log = sandbox.log();
    assert!(
        sandbox.exists("second") && log.contains("Task 1 stdout| started"),
        "{log}"
    );
    assert!(
        log.lines()
            .any(|l| l.contains("[WARN] Task 1: a background process")),
        "{log}"
    );
}

#[test]
fn a_background_process_in_a_new_session_is_released_after_a_second() {
    let sandbox = Sandbox::new();
    let began = Instant::now();
    let ran = sandbox.run(&shell(1, "setsid sleep 20 & echo started"), &[]);
    assert_within(began, 4);
    assert_eq!(ran.code, 0, "{ran:?}");
    for pid in remaining_processes(&sandbox) {
        signal(pid, "KILL");
    }
}

// Signals to tasker.

#[track_caller]
fn assert_ended_by(
    signals: &[&str],
    script: &str,
    options: &[&str],
    code: i32,
    within: u64,
) -> Ran {
    let sandbox = Sandbox::new();
    let child = start_program(&sandbox, script, &local(2, "touch second"), options);
    let began = Instant::now();
    for (number, name) in signals.iter().enumerate() {
        signal(child.id(), name);
        wait_for("the signal in the log", || {
            sandbox.log().matches("[WARN] SIG").count() > number
        });
    }
    let ran = finish(child);
    assert_within(began, within);
    assert_eq!(ran.code, code, "{ran:?}");
    assert_nothing_left(&sandbox);
    assert!(!sandbox.exists("second"), "a task was started");
    ran
}

#[test]
fn one_sigterm_or_sighup_ends_the_run() {
    assert_ended_by(&["TERM"], TREE, &[], 143, 4);
    assert_ended_by(&["HUP"], TREE, &[], 129, 4);
    assert_ended_by(&["INT"], TREE, &["--on-interrupt=kill"], 130, 4);
    assert_ended_by(&["INT"], TREE, &["--on-interrupt", "kill", "-q"], 130, 4);
}

#[test]
fn one_sigterm_kills_what_ignores_it() {
    assert_ended_by(&["TERM"], DEAF, &[], 143, 9);
}

#[test]
fn a_second_interrupt_ends_and_a_third_kills() {
    let ran = assert_ended_by(&["INT", "INT"], TREE, &[], 130, 4);
    assert!(ran.stderr.contains("still running: task 1"), "{ran:?}");
    assert_ended_by(&["INT", "INT", "INT"], DEAF, &[], 130, 4);
    assert_ended_by(&["INT", "TERM", "HUP"], DEAF, &[], 130, 4);
}

#[test]
fn a_second_sigterm_kills_at_once() {
    assert_ended_by(&["TERM", "TERM"], DEAF, &[], 143, 4);
    assert_ended_by(&["HUP", "INT"], DEAF, &[], 129, 4);
}

#[test]
fn the_first_interrupt_lets_the_command_finish() {
    let sandbox = Sandbox::new();
    let script = "#!/bin/sh\necho > ready\nuntil test -e go; do sleep 0.02; done\necho > done\n";
    let child = start_program(&sandbox, script, &local(2, "touch second"), &[]);
    signal(child.id(), "INT");
    wait_for("the signal", || sandbox.log().contains("SIGINT"));
    assert!(!sandbox.exists("done"));
    sandbox.file("go", "");
    let ran = finish(child);
    assert_eq!(ran.code, 130, "{ran:?}");
    assert!(sandbox.exists("done") && !sandbox.exists("second"));
    assert!(
        ran.stderr.contains("still running: task 1"),
        "{}",
        ran.stderr
    );
    assert!(sandbox.log().contains("Task 1 ended: ok, exit code 0"));
    assert_nothing_left(&sandbox);
}

#[test]
fn a_pause_ends_at_the_first_signal() {
    let sleeping = local(1, "true") + "sleep=300\n";
    let waiting = local(1, "false") + "retry_count=3\nretry_delay=300\n";
    for (tasks, message) in [(sleeping, "sleeping"), (waiting, "etry")] {
        for (name, code) in [("INT", 130), ("TERM", 143)] {
            let sandbox = Sandbox::new();
            let child = sandbox.start(&(tasks.clone() + &local(2, "touch second")), &[]);
            let logs = sandbox.path.join("TASKER/logs");
            wait_for("the pause", || {
                logs.exists() && log_holds(&sandbox, message)
            });
            let began = Instant::now();
            signal(child.id(), name);
            assert_eq!(finish(child).code, code);
            assert_within(began, 3);
            assert!(!sandbox.exists("second"));
        }
    }
}

/// Whether the log contains the text; there may be no log yet.
fn log_holds(sandbox: &Sandbox, text: &str) -> bool {
    let directory = std::fs::read_dir(sandbox.path.join("TASKER/logs"));
    let files = directory.into_iter().flatten().flatten();
    files
        .filter_map(|f| std::fs::read_to_string(f.path()).ok())
        .any(|t| t.contains(text))
}

#[test]
fn final_tasks_run_after_a_first_signal() {
    for (name, code) in [("TERM", 143), ("HUP", 129)] {
        let sandbox = Sandbox::new();
        let finals = local(90, "touch final-@run_outcome@") + "finally=true\n";
        let child = start_program(&sandbox, TREE, &finals, &[]);
        signal(child.id(), name);
        let ran = finish(child);
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(sandbox.exists("final-interrupted"), "{ran:?}");
        assert_nothing_left(&sandbox);
    }
}

#[test]
fn a_second_signal_skips_final_tasks_and_reports_it() {
    let sandbox = Sandbox::new();
    let finals = shell(90, "echo > in-final; sleep 300")
        + "finally=true\n"
        + &local(91, "touch second")
        + "finally=true\n";
    let child = start_program(&sandbox, TREE, &finals, &[]);
    signal(child.id(), "TERM");
    wait_for("the final task", || sandbox.exists("in-final"));
    signal(child.id(), "TERM");
    let ran = finish(child);
    assert_eq!(ran.code, 143, "{ran:?}");
    assert!(!sandbox.exists("second"));
    let log = sandbox.log();
    assert!(log.contains("91") && log.contains("did NOT run"), "{log}");
    assert_nothing_left(&sandbox);
}

#[test]
fn nohup_keeps_a_run_alive() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "tasks.txt",
        shell(1, "echo > ready; until test -e go; do sleep 0.02; done"),
    );
    let child = in_shell(&sandbox, "trap '' HUP; exec \"$0\" -r tasks.txt")
        .spawn()
        .expect("sh runs");
    wait_for("the command", || sandbox.exists("ready"));
    signal(child.id(), "HUP");
    sandbox.file("go", "");
    let ran = finish(child);
    assert_eq!(ran.code, 0, "{ran:?}");
}

// tasker itself is killed.

#[test]
fn sigkill_of_tasker_leaves_nothing_running() {
    let sandbox = Sandbox::new();
    let mut child = start_program(&sandbox, TREE, "", &[]);
    let began = Instant::now();
    child.kill().expect("kill");
    child.wait().expect("wait");
    wait_for("the guardian's work", || {
        remaining_processes(&sandbox).is_empty()
    });
    assert_within(began, 4);
}

#[test]
fn sigkill_of_tasker_kills_what_ignores_sigterm_and_wakes_what_is_stopped() {
    let scripts = [
        DEAF,
        "#!/bin/sh\n(trap '' TERM; while :; do sleep 1; done) &\necho > ready\nkill -STOP $$\n",
    ];
    std::thread::scope(|scope| {
        for script in scripts {
            scope.spawn(move || {
                let sandbox = Sandbox::new();
                let mut child = start_program(&sandbox, script, "", &[]);
                child.kill().expect("kill");
                child.wait().expect("wait");
                wait_for("the guardian's work", || {
                    remaining_processes(&sandbox).is_empty()
                });
            });
        }
    });
}

#[test]
fn sigkill_of_tasker_ends_what_sudo_started() {
    if !sudo_works() {
        return println!("skipped: sudo -n does not work here");
    }
    let sandbox = Sandbox::new();
    let program = sandbox.program("program", TREE);
    let mut child = sandbox.start(&local(1, &format!("sudo -n {}", program.display())), &[]);
    wait_for("the program", || sandbox.exists("ready"));
    child.kill().expect("kill");
    child.wait().expect("wait");
    wait_for("the guardian's work", || {
        remaining_processes(&sandbox).is_empty()
    });
}

fn guardian(sandbox: &Sandbox) -> Option<u32> {
    remaining_processes(sandbox).into_iter().find(|pid| {
        std::fs::read_to_string(format!("/proc/{pid}/comm"))
            .is_ok_and(|name| name.trim() == "tasker-guardian")
    })
}

#[test]
fn a_run_survives_its_guardian() {
    for name in ["KILL", "STOP"] {
        let sandbox = Sandbox::new();
        let script = "#!/bin/sh\necho > ready\nuntil test -e go; do sleep 0.02; done\n";
        let child = start_program(&sandbox, script, &local(2, "touch second"), &[]);
        signal(guardian(&sandbox).expect("a guardian"), name);
        sandbox.file("go", "");
        let ran = finish(child);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(sandbox.exists("second"));
        assert_nothing_left(&sandbox);
    }
}

#[test]
fn no_catchable_signal_ends_the_guardian() {
    let sandbox = Sandbox::new();
    let mut child = start_program(&sandbox, TREE, "", &[]);
    let pid = guardian(&sandbox).expect("a guardian");
    for name in ["TERM", "HUP", "INT", "QUIT", "USR1", "PIPE"] {
        signal(pid, name);
    }
    child.kill().expect("kill");
    child.wait().expect("wait");
    wait_for("the guardian's work", || {
        remaining_processes(&sandbox).is_empty()
    });
}

// Exit codes of commands.

#[test]
fn every_kind_of_end_has_its_exit_code() {
    let sandbox = Sandbox::new();
    sandbox.program("bare", "exit 9\n");
    sandbox.program("binary", "\x7fELF\0\ntouch PWNED\n");
    sandbox.program("odd", "#!/no/such/interpreter\n");
    sandbox.file("plain", "#!/bin/sh\n");
    std::fs::create_dir_all(sandbox.path.join("bin/inner")).expect("directories");
    sandbox.file("bin/blocked", "#!/bin/sh\n");
    let cases = [
        ("true", 0),
        ("sh -c 'exit 7'", 7),
        ("sh -c 'exit 255'", 255),
        ("./bare a b", 9),
        ("./binary", 126),
        ("./plain", 126),
        ("/etc", 126),
        ("./", 126),
        ("blocked", 126),
        ("no-such-program", 127),
        ("./no-such-program", 127),
        ("./odd", 127),
        ("\"\"", 127),
        ("inner", 127),
        ("sh -c 'kill -9 $$'", 137),
        ("sh -c 'kill -TERM $$'", 143),
        ("sh -c 'kill -SEGV $$'", 139),
        ("sh -c 'ulimit -c 0; kill -ABRT $$'", 134),
    ];
    let mut tasks = String::new();
    for (id, (command, _)) in cases.iter().enumerate() {
        tasks += &local(id as u32, command);
    }
    tasks += "task=50\nexec=local\ncommand=pwd\nworkdir=no/such/place\n";
    tasks += "task=51\nexec=local\ncommand=pwd\nworkdir=plain\n";
    sandbox.file("tasks.txt", tasks);
    let mut command = sandbox.tasker(&["-r", "-k", "tasks.txt"]);
    command.env(
        "PATH",
        format!("{}/bin:/usr/bin:/bin", sandbox.path.display()),
    );
    let ran = Ran::from(command.output().expect("tasker runs"));
    assert_eq!(ran.code, 1, "{ran:?}");
    let log = sandbox.log();
    for (id, (command, code)) in cases.iter().enumerate() {
        let ended = if *code == 0 { "ok" } else { "failed" };
        let line = format!("Task {id} ended: {ended}, exit code {code},");
        assert!(log.contains(&line), "{command}: {line}\n{log}");
    }
    for line in [
        "Task 50 ended: failed, exit code 126,",
        "Task 50 stderr| cannot enter the working directory `no/such/place`: No such file",
        "Task 51 stderr| cannot enter the working directory `plain`: Not a directory",
    ] {
        assert!(log.contains(line), "{line}\n{log}");
    }
    assert!(!sandbox.exists("PWNED"));
    assert_nothing_left(&sandbox);
}

#[test]
fn a_command_line_that_is_too_long_is_reported() {
    let sandbox = Sandbox::new();
    let words = "@1_stdout@ ".repeat(30);
    let tasks =
        shell(1, "head -c 100000 /dev/zero | tr '\\0' x") + &local(2, &format!("true {words}"));
    let ran = sandbox.run(&tasks, &[]);
    assert_eq!(ran.code, 126, "{ran:?}");
    assert!(sandbox.log().contains("too long"), "{}", sandbox.log());
}

// The environment of a command.

/// A shell that starts tasker as `$0`, in the sandbox.
fn in_shell(sandbox: &Sandbox, script: &str) -> Command {
    let tasker = sandbox.tasker::<&str>(&[]);
    let mut command = Command::new("/bin/bash");
    command
        .args(["-c", script])
        .arg(tasker.get_program())
        .current_dir(&sandbox.path)
        .env_clear()
        .envs(tasker.get_envs().filter_map(|(n, v)| Some((n, v?))))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[test]
fn a_command_leads_its_own_session_and_has_only_three_descriptors() {
    let sandbox = Sandbox::new();
    let tasks = shell(
        1,
        "cat /proc/$$/stat > stat; ls /proc/$$/fd > fds; readlink /proc/$$/fd/0 > in",
    ) + "task=2\nexec=local\ncommand=sh -c 'pwd > pwd; echo \"$NAME/$TASKER_TASK/$TASKER_HOSTNAME/$TASKER_RUN_ID\" > env; cat > in'\n\
           workdir=sub\nenv.NAME=a 'b' $(c)\nstdin=some text\n"
        + &local(3, "sh -c 'grep Sig /proc/self/status > signals'");
    sandbox.file("tasks.txt", tasks);
    std::fs::create_dir(sandbox.path.join("sub")).expect("a directory");
    let script = "trap '' INT QUIT TERM CHLD PIPE USR1 XFSZ; exec 5</etc/passwd 9>nine 77>&9; \
                  exec \"$0\" -r tasks.txt";
    let ran = Ran::from(in_shell(&sandbox, script).output().expect("bash runs"));
    assert_eq!(ran.code, 0, "{ran:?}");
    let stat = sandbox.read("stat");
    let after: Vec<&str> = stat
        .rsplit(") ")
        .next()
        .expect("a state")
        .split(' ')
        .collect();
    let pid = stat.split(' ').next().expect("a pid");
    assert_eq!(
        (after[2], after[3]),
        (pid, pid),
        "group and session of {stat}"
    );
    // bash does not list its own /proc/$$/fd; the descriptor that `ls` opens is its
    // own.
    assert_eq!(sandbox.read("fds"), "0\n1\n2\n");
    assert_eq!(sandbox.read("in").trim(), "/dev/null");
    let signals = sandbox.read("signals");
    for name in ["SigBlk", "SigIgn"] {
        let line = signals
            .lines()
            .find(|l| l.starts_with(name))
            .expect("a line");
        let mask = line.split('\t').nth(1).map(|m| u64::from_str_radix(m, 16));
        // Descriptors from 32 on belong to the C library.
        assert_eq!(
            mask.expect("a mask").expect("hex") as u32 & 0x7fff_ffff,
            0,
            "{line}"
        );
    }
    assert_eq!(sandbox.read("sub/in"), "some text\n");
    assert_eq!(
        sandbox.read("sub/pwd").trim(),
        sandbox.path.join("sub").display().to_string()
    );
    let env = sandbox.read("sub/env");
    assert!(env.starts_with("a 'b' $(c)/2/localhost/20"), "{env}");
    let run_id = env.trim().rsplit('/').next().expect("a run id");
    assert!(sandbox.log().contains(&format!(" run {run_id}")));
}

#[test]
fn a_broken_pipe_ends_a_command_as_usual() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&shell(1, "yes | head -n 1; exit ${PIPESTATUS[0]}"), &[]);
    assert_eq!(ran.code, 141, "{ran:?}");
}

#[test]
fn tasker_needs_no_open_descriptors() {
    let sandbox = Sandbox::new();
    let tasks = shell(
        1,
        "ls /proc/$$/fd > fds; echo out; echo err >&2; cat; exit 3",
    ) + "stdin=in\n";
    sandbox.file("tasks.txt", tasks);
    for closed in ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"] {
        let script = format!("exec \"$0\" -r tasks.txt {closed}");
        let ran = Ran::from(in_shell(&sandbox, &script).output().expect("bash runs"));
        assert_eq!(ran.code, 3, "{closed}: {ran:?}");
        assert_eq!(sandbox.read("fds"), "0\n1\n2\n", "{closed}");
        let log = sandbox.log();
        for line in ["stdout| out", "stdout| in", "stderr| err"] {
            assert!(log.contains(line), "{closed}: {log}");
        }
    }
}

#[test]
fn the_limit_of_open_files_is_raised_for_tasker_only() {
    let sandbox = Sandbox::new();
    let tasks = shell(
        1,
        "ulimit -Sn > soft; ulimit -Hn > hard; grep 'open files' /proc/$PPID/limits > limits",
    );
    sandbox.file("tasks.txt", tasks);
    let script = "ulimit -Sn 77; ulimit -Hn 300; exec \"$0\" -r tasks.txt";
    let ran = Ran::from(in_shell(&sandbox, script).output().expect("bash runs"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        (sandbox.read("soft").as_str(), sandbox.read("hard").as_str()),
        ("77\n", "300\n")
    );
    let limits = sandbox.read("limits");
    let numbers: Vec<&str> = limits.split_whitespace().skip(3).collect();
    assert_eq!(numbers[..2], ["300", "300"], "{limits}");
}

#[test]
fn output_without_a_reader_does_not_end_the_run() {
    let sandbox = Sandbox::new();
    let tasks = shell(1, "seq 5000; echo err >&2") + &shell(2, "echo last > last; exit 3");
    sandbox.file("tasks.txt", tasks);
    for to in [">/dev/full 2>&1", "> >(true) 2>&1"] {
        let script = format!("exec {to}; wait $!; exec \"$0\" -r tasks.txt");
        let ran = Ran::from(in_shell(&sandbox, &script).output().expect("bash runs"));
        assert_eq!(ran.code, 3, "{to}: {ran:?}");
        assert_eq!(sandbox.read("last"), "last\n");
    }
}

#[test]
fn tasker_needs_neither_path_nor_home() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", local(1, "sh -c 'echo found; exit 4'"));
    for name in ["PATH", "HOME"] {
        let mut command = sandbox.tasker(&["-r", "-l", "logs-here", "tasks.txt"]);
        let ran = Ran::from(command.env_remove(name).output().expect("tasker runs"));
        assert_eq!(ran.code, 4, "{name}: {ran:?}");
        assert!(ran.stdout.contains("found"), "{name}: {ran:?}");
    }
}

#[test]
fn a_program_is_looked_up_where_it_will_run() {
    let sandbox = Sandbox::new();
    sandbox.program("sub/bin/here", "#!/bin/sh\nexit 5\n");
    sandbox.file("tasks.txt", local(1, "here") + "workdir=sub\n");
    let mut command = sandbox.tasker(&["-r", "tasks.txt"]);
    let ran = Ran::from(
        command
            .env("PATH", "bin:/usr/bin")
            .output()
            .expect("tasker runs"),
    );
    assert_eq!(ran.code, 5, "{ran:?}");
}

// Faults.

/// Runs tasker under strace with the faults; None where strace cannot trace.
fn with_faults(sandbox: &Sandbox, faults: &[&str], tasks: &str) -> Option<Ran> {
    let works = Command::new("strace")
        .args(["-f", "-b", "execve", "-o", "/dev/null", "true"])
        .stderr(Stdio::null())
        .status();
    if !works.is_ok_and(|s| s.success()) {
        println!("skipped: strace cannot trace here");
        return None;
    }
    sandbox.file("tasks.txt", tasks);
    let tasker = sandbox.tasker::<&str>(&[]);
    let mut command = Command::new("timeout");
    // Commands are released as they start: only tasker gets the faults.
    command.args(["-k1", "15", "strace", "-f", "-b", "execve", "-o", "trace"]);
    for fault in faults {
        command.args(["-e", &format!("inject={fault}")]);
    }
    let child = command
        .arg(tasker.get_program())
        .args(["-r", "-k", "tasks.txt"])
        .current_dir(&sandbox.path)
        .env_clear()
        .envs(tasker.get_envs().filter_map(|(n, v)| Some((n, v?))))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("strace starts");
    let began = Instant::now();
    let ran = finish(child);
    assert_within(began, 20);
    assert_nothing_left(sandbox);
    assert!(!ran.stderr.contains("panicked"), "{faults:?}: {ran:?}");
    assert!(
        sandbox.read("trace").contains("(INJECTED)"),
        "{faults:?} met nothing"
    );
    Some(ran)
}

const TASKS: &str = "task=1
exec=local
command=sh -c 'head -c 300000 /dev/zero | tr \"\\0\" x; echo err >&2; exit 7'
success=exit_7
task=2
exec=local
command=sh -c 'test $(wc -c) = 300000'
stdin=@1_stdout@
task=3
exec=local
command=true
";

#[test]
fn interrupted_calls_change_nothing() {
    let sandbox = Sandbox::new();
    for fault in [
        "poll:error=EINTR:when=2+3",
        "waitid:error=EINTR:when=1+2",
        "wait4:error=EINTR:when=1+2",
        "read:error=EINTR:when=9+5",
        "write:error=EINTR:when=3+4",
    ] {
        let Some(ran) = with_faults(&sandbox, &[fault], TASKS) else {
            return;
        };
        assert_eq!(ran.code, 0, "{fault}: {ran:?}");
    }
}

#[test]
fn a_shortage_of_processes_or_files_is_only_a_delay() {
    let sandbox = Sandbox::new();
    for fault in [
        "clone:error=EAGAIN:when=2..4",
        "clone:error=ENOMEM:when=2",
        "pipe2:error=EMFILE:when=5..6",
        "pipe2:error=ENFILE:when=6",
        "memfd_create:error=EMFILE:when=1",
    ] {
        let Some(ran) = with_faults(&sandbox, &[fault], TASKS) else {
            return;
        };
        assert_eq!(ran.code, 0, "{fault}: {ran:?}");
    }
}

#[test]
fn a_shortage_before_the_run_refuses_it() {
    let sandbox = Sandbox::new();
    for fault in ["clone:error=EAGAIN:when=1", "pipe2:error=EMFILE:when=1..4"] {
        let Some(ran) = with_faults(&sandbox, &[fault], TASKS) else {
            return;
        };
        assert_eq!(ran.code, 32, "{fault}: {ran:?}");
        assert!(ran.stderr.contains("nothing was run"), "{ran:?}");
    }
}

#[test]
fn a_run_without_threads_is_correct() {
    let sandbox = Sandbox::new();
    // The first thread waits for signals; a block needs more.
    let tasks = format!(
        "{TASKS}task=4\ntype=parallel\nhostnames=h[1-4]\nexec=local\ncommand=sh -c 'echo @hostname@ >> met'\n"
    );
    if let Some(ran) = with_faults(&sandbox, &["clone3:error=EAGAIN:when=2+"], &tasks) {
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(sandbox.read("met").lines().count(), 4);
    }
}

#[test]
fn a_log_that_cannot_grow_does_not_stop_the_run() {
    let sandbox = Sandbox::new();
    // The journal of so many small tasks stays below the limit, their log does not.
    let tasks: String = (1..28).map(|id| local(id, "sh -c 'exit 0'")).collect();
    sandbox.file("tasks.txt", tasks + &shell(28, "exit 6"));
    let script = "ulimit -f 8; exec \"$0\" -r tasks.txt";
    let ran = Ran::from(in_shell(&sandbox, script).output().expect("bash runs"));
    assert_eq!(ran.code, 6, "{ran:?}");
    assert_eq!(
        ran.stderr.matches("cannot write the log").count(),
        1,
        "{ran:?}"
    );
    assert_nothing_left(&sandbox);
}

#[test]
fn a_file_of_an_output_that_was_lost_goes_with_the_work() {
    let sandbox = Sandbox::new();
    // The spool file cannot grow past 2 MiB; the command writes to a pipe.
    let tasks = shell(1, "head -c 4000000 /dev/zero") + &shell(2, "exit 0");
    sandbox.file("tasks.txt", tasks);
    let script = "ulimit -f 2048; exec \"$0\" -r tasks.txt";
    let ran = Ran::from(in_shell(&sandbox, script).output().expect("bash runs"));
    assert_eq!(ran.code, 32, "{ran:?}");
    let log = sandbox.log();
    assert!(
        log.contains("[WARN] Task 1: stdout: output lost after 20")
            && log.contains(": File too large"),
        "{log:.2000}"
    );
    let ran = sandbox.output(&["-r", "-q", "--resume", "tasks.txt"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let state = std::fs::read_dir(sandbox.path.join("TASKER/state")).expect("the directory");
    let left: Vec<_> = state.flatten().filter(|e| e.path().is_dir()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The command ends by the signal itself, so its result is there at the same moment.
#[test]
fn a_signal_is_known_before_the_result_of_the_command_that_it_ends() {
    let tasks = "task=1\nexec=shell\ncommand=touch ready; exec sleep 100\n\
                 task=9\nfinally=true\nexec=shell\ncommand=echo @run_outcome@ >outcome\n";
    for _ in 0..20 {
        let sandbox = Sandbox::new();
        let child = sandbox.start(tasks, &["-q"]);
        support::wait_for("the command", || sandbox.exists("ready"));
        support::signal(child.id(), "TERM");
        let ran = support::finish(child);
        assert_eq!(ran.code, 143, "{ran:?}");
        assert_eq!(sandbox.read("outcome"), "interrupted\n", "{ran:?}");
        assert!(sandbox.log().contains("SIGTERM"), "{ran:?}");
    }
}
