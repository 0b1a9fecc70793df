//! Output that cannot be kept whole is a failure (SPEC §4.2): its task fails, every
//! report says so, and no task gets the part that is there.

mod support;

use std::process::{Command, Stdio};
use support::{Ran, Sandbox};

/// How much the first task prints.
const LENGTH: usize = 5_000_000;

/// Task 1 prints on these streams, then task 2 leaves a mark.
fn printing(streams: &str) -> String {
    let commands: Vec<String> = streams
        .split_whitespace()
        .map(|stream| {
            let to = if stream == "stderr" { " >&2" } else { "" };
            format!("head -c {LENGTH} /dev/zero | tr '\\0' x{to}")
        })
        .collect();
    format!(
        "task=1\nexec=shell\ncommand=echo 1 >>ran; {}\ntask=2\nexec=shell\ncommand=echo 2 >>ran\n",
        commands.join("; ")
    )
}

fn configure(sandbox: &Sandbox, lines: &str) {
    sandbox.file(".config/tasker/tasker.conf", lines);
}

/// Runs a shell script with tasker as `$0`, in a mount namespace of its own if it
/// mounts something; `None` where that is not possible.
fn scripted(sandbox: &Sandbox, script: &str) -> Option<Ran> {
    let tasker = sandbox.tasker::<&str>(&[]);
    let words: &[&str] = match script.contains("mount ") {
        true => &["unshare", "-r", "-m", "--", "bash"],
        false => &["bash"],
    };
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    let probe = command.args(["-c", "true"]).stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        println!("skipped: {words:?} does not run here");
        return None;
    }
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .args(["-c", script])
        .arg(tasker.get_program())
        .current_dir(&sandbox.path)
        .env_clear()
        .envs(tasker.get_envs().filter_map(|(n, v)| Some((n, v?))))
        .stdin(Stdio::null());
    Some(Ran::from(command.output().expect("a shell")))
}

/// The run of `printing` has failed with this reason, and everything says so. It goes on
/// with task 1 once there is room.
#[track_caller]
fn is_lost(sandbox: &Sandbox, ran: &Ran, streams: &str, reason: &str) {
    assert_eq!(ran.code, 32, "{ran:?}");
    assert_eq!(sandbox.read("ran"), "1\n", "{ran:?}");
    let said = format!(": {reason}");
    // The mail of a cron job.
    assert!(
        ran.stderr.contains("task 1 failed (output lost after"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains(&said), "{ran:?}");
    if ["No space", "Disk quota", "File too", "less than"]
        .iter()
        .any(|disk| reason.starts_with(disk))
    {
        // Where that is.
        assert!(
            ran.stderr.contains(&format!("/output-0`: {reason}")),
            "{ran:?}"
        );
    }
    let log = sandbox.log();
    assert!(log.contains("Task 1 ended: failed"), "{log}");
    let json = sandbox.read("out.json");
    for stream in ["stdout", "stderr"] {
        let key = format!("\"{stream}_lost\"");
        let at = json.find(&key).expect("the key");
        let value = json[at + key.len()..].trim_start_matches([':', ' ']);
        match streams.contains(stream) {
            true => assert!(value.starts_with("\"output lost after"), "{json}"),
            false => assert!(value.starts_with("null"), "{json}"),
        }
        let line = format!("{stream}: output lost after ");
        assert_eq!(log.contains(&line), streams.contains(stream), "{log}");
    }
    assert!(
        json.contains("\"cause\": \"output lost after")
            || json.contains("\"cause\":\"output lost after")
    );
    assert!(sandbox.read("report.html").contains("output lost after"));
    let events = sandbox.read("events");
    let ended = events
        .lines()
        .find(|l| l.contains("\"task_finished\""))
        .expect("the event");
    for stream in ["stdout", "stderr"] {
        let begin = match streams.contains(stream) {
            true => format!("\"{stream}_lost\":\"output lost after"),
            false => format!("\"{stream}_lost\":null"),
        };
        assert!(ended.contains(&begin), "{ended}");
    }
    configure(sandbox, "keep_free=0\n");
    let resumed = sandbox.output(&["-r", "-q", "--resume", "tasks.txt"]);
    assert_eq!(resumed.code, 0, "{resumed:?}");
    assert_eq!(sandbox.read("ran"), "1\n1\n2\n", "{resumed:?}");
}

const REPORTS: [&str; 4] = [
    "-q",
    "--output-json=out.json",
    "--report=report.html",
    "--events=events",
];

#[test]
fn what_is_beyond_max_output_is_lost_and_every_report_says_so() {
    for (streams, most) in [
        ("stdout", 1),
        ("stderr", 1),
        ("stdout stderr", 3_000_000),
        ("stdout", LENGTH - 1),
        ("stderr", LENGTH - 1),
    ] {
        let sandbox = Sandbox::new();
        configure(&sandbox, &format!("max_output={most}\n"));
        let ran = sandbox.run(&printing(streams), &REPORTS);
        let lost = format!("output lost after {most} bytes: it is longer than max_output");
        assert!(ran.stderr.contains(&lost), "{ran:?}");
        is_lost(&sandbox, &ran, streams, "it is longer than max_output");
    }
    let sandbox = Sandbox::new();
    configure(&sandbox, &format!("max_output={LENGTH}\n"));
    let ran = sandbox.run(&printing("stdout"), &REPORTS);
    assert_eq!(
        (ran.code, sandbox.read("ran").as_str()),
        (0, "1\n2\n"),
        "{ran:?}"
    );
}

#[test]
fn a_disk_that_would_not_keep_enough_free_loses_output() {
    let sandbox = Sandbox::new();
    configure(&sandbox, "keep_free=1000000T\n");
    let ran = sandbox.run(&printing("stdout"), &REPORTS);
    is_lost(
        &sandbox,
        &ran,
        "stdout",
        "less than 1000000 TiB would stay free",
    );
    let log = sandbox.path.join("TASKER/logs");
    let logs = std::fs::read_dir(log).expect("logs").flatten();
    let text: String = logs
        .map(|e| std::fs::read_to_string(e.path()).unwrap_or_default())
        .collect();
    let warning = "less than keep_free (1000000 TiB): an output of more than 1 MiB would be lost";
    assert_eq!(text.matches(warning).count(), 1, "{text}");
    // What fits in memory needs no disk.
    configure(&sandbox, "keep_free=1000000T\n");
    let ran = sandbox.run("task=1\nexec=shell\ncommand=seq 1000\n", &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains(warning), "{ran:?}");
}

#[test]
fn a_file_size_limit_loses_output() {
    for (streams, limit) in [("stdout", 2200), ("stdout stderr", 4000), ("stderr", 4880)] {
        let sandbox = Sandbox::new();
        sandbox.file("tasks.txt", printing(streams));
        let script = format!(
            "ulimit -f {limit}; exec \"$0\" -r {} tasks.txt",
            REPORTS.join(" ")
        );
        let Some(ran) = scripted(&sandbox, &script) else {
            return;
        };
        is_lost(&sandbox, &ran, streams, "File too large");
    }
}

#[test]
fn a_full_disk_loses_output_and_the_journal_still_fits() {
    for (streams, size) in [
        ("stdout", "2m"),
        ("stdout stderr", "3m"),
        ("stderr", "4800k"),
    ] {
        let sandbox = Sandbox::new();
        configure(&sandbox, "keep_free=0\n");
        sandbox.file("tasks.txt", printing(streams));
        std::fs::create_dir_all(sandbox.path.join("TASKER/state")).expect("a directory");
        std::fs::create_dir_all(sandbox.path.join("kept")).expect("a directory");
        // What is mounted is gone after the script.
        let script = format!(
            "mount -t tmpfs -o size={size},mode=700 none TASKER/state
            \"$0\" -r {} tasks.txt; code=$?
            cp -a TASKER/state/. kept/; umount TASKER/state; cp -a kept/. TASKER/state/
            exit $code",
            REPORTS.join(" ")
        );
        let Some(ran) = scripted(&sandbox, &script) else {
            return;
        };
        assert!(!ran.stderr.contains("not recorded"), "{ran:?}");
        is_lost(&sandbox, &ran, streams, "No space left on device");
    }
}

#[test]
fn a_quota_that_is_reached_loses_output() {
    let works = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "true"])
        .stderr(Stdio::null())
        .status();
    if !works.is_ok_and(|status| status.success()) {
        println!("skipped: strace cannot trace here");
        return;
    }
    for (error, reason) in [
        ("EDQUOT", "Disk quota exceeded"),
        ("ENOSPC", "No space left on device"),
        ("EIO", "Input/output error"),
    ] {
        let sandbox = Sandbox::new();
        configure(&sandbox, "keep_free=0\n");
        // Only the thread that keeps the output writes so often: at least 300 blocks.
        let much = printing("stdout").replace("5000000", "20000000");
        sandbox.file("tasks.txt", much);
        let script = format!(
            "strace -f -b execve -o trace -e inject=write:error={error}:when=150 \"$0\" -r {} tasks.txt",
            REPORTS.join(" ")
        );
        let Some(ran) = scripted(&sandbox, &script) else {
            return;
        };
        assert!(sandbox.read("trace").contains("(INJECTED)"));
        is_lost(&sandbox, &ran, "stdout", reason);
    }
}

/// Task 1 loses its output; `next=always` lets the flow continue.
const LOSES: &str = "task=1\nexec=shell\ncommand=seq 1000\nnext=always\n";

#[test]
fn no_task_gets_the_part_that_is_there() {
    for uses in [
        "command=touch ran\nstdin=@1_stdout@",
        "command=touch ran\nstdin=x@1_stdout@",
        "command=touch ran @1_stdout@",
        "command=touch ran @1_stdout:-none@",
        "command=touch ran @1_stdout_file@",
        "command=touch ran\nenv.DATA=@1_stdout@",
        "command=touch ran\nworkdir=/@1_stdout:-@",
        "command=touch ran\ntimeout=@1_stdout@",
        "command=touch ran\ntimeout=@1_stdout:-3@",
        "command=touch ran\nretry_count=@1_stdout:-3@",
        "command=touch ran\ncondition=@1_stdout@ ~ 1",
        "command=touch ran\ncondition=@1_stdout@ !~ 1",
        "command=touch ran\ncondition=!(@1_stdout@ = 1)",
        "command=touch ran\ncondition='1' != @1_stdout@",
        "command=touch ran\ncondition=@1_stdout@ < 5",
        "command=touch ran\ncondition=@1_stdout@",
    ] {
        let sandbox = Sandbox::new();
        configure(&sandbox, "max_output=10\n");
        let ran = sandbox.run(&format!("{LOSES}task=2\nexec=local\n{uses}\n"), &["-q"]);
        assert_eq!(ran.code, 126, "{uses}: {ran:?}");
        assert!(!sandbox.exists("ran"), "{uses}");
        let log = sandbox.log();
        assert!(
            log.contains("cannot be used: output lost after 10 bytes: it is longer than"),
            "{uses}: {log}"
        );
    }
    let sandbox = Sandbox::new();
    configure(&sandbox, "max_output=10\n");
    let block =
        "task=2\ntype=parallel\nexec=local\nhostnames=@1_stdout:-web1@\ncommand=touch ran\n";
    let ran = sandbox.run(
        &format!("{LOSES}{block}"),
        &["-q", "--skip-host-validation"],
    );
    assert!(ran.code != 0 && !sandbox.exists("ran"), "{ran:?}");
    assert!(sandbox.log().contains("cannot be used: output lost"));
    let decision = "task=2\ntype=decision\nsuccess=@1_stdout@ ~ 1\n";
    let ran = sandbox.run(&format!("{LOSES}{decision}"), &["-q"]);
    assert_eq!(ran.code, 10, "{ran:?}");
}

#[test]
fn a_loss_is_answered_like_any_other_failure() {
    let lost = "task=1\nexec=shell\ncommand=echo 1 >>ran; seq 1000\n";
    let after = "task=2\nexec=shell\ncommand=echo 2 >>ran\n";
    let handler = "task=90\nexec=shell\ncommand=echo 90 >>ran\n";
    let once = "task=1\nexec=shell\ncommand=echo 1 >>ran; [ -e again ] || seq 1000; touch again\n";
    let block = "task=1\ntype=parallel\nexec=shell\nhostnames=a,b\n\
                 command=[ @hostname@ = b ] || seq 1000\n";
    let branch =
        format!("task=0\ntype=conditional\ncondition=true\nif_true_tasks=1\n{lost}{after}");
    for (tasks, code, done) in [
        (format!("{lost}{after}"), 32, "1\n"),
        (format!("{lost}success=exit_0\n{after}"), 32, "1\n"),
        (format!("{lost}success=true\n{after}"), 32, "1\n"),
        (format!("{lost}failure=exit_3\n{after}"), 32, "1\n"),
        (format!("{lost}next=exit_0\n{after}"), 32, "1\n"),
        (format!("{lost}next=never\n{after}"), 32, "1\n"),
        (format!("{lost}return=0\n{after}"), 32, "1\n"),
        (format!("{lost}next=loop\nloop=3\n{after}"), 32, "1\n"),
        (format!("{lost}return=7\n{after}"), 7, "1\n"),
        (format!("{lost}next=always\n{after}"), 0, "1\n2\n"),
        (
            format!("{lost}on_failure=90\n{after}{handler}"),
            0,
            "1\n90\n",
        ),
        (format!("{lost}retry_count=2\n{after}"), 32, "1\n1\n1\n"),
        (format!("{once}retry_count=2\n{after}"), 0, "1\n1\n2\n"),
        (
            format!("{once}next=loop\nloop=5\nloop_break=exit_0\n{after}"),
            0,
            "1\n1\n2\n",
        ),
        (
            format!("{lost}next=loop\nloop=2\nloop_break=exit_0\n{after}"),
            32,
            "1\n1\n",
        ),
        (format!("{block}{after}"), 32, ""),
        (format!("{block}success=any_success\n{after}"), 0, "2\n"),
        (branch, 32, "1\n"),
        (format!("{after}{lost}finally=true\n"), 32, "2\n1\n"),
    ] {
        let sandbox = Sandbox::new();
        configure(&sandbox, "max_output=10\n");
        let ran = sandbox.run(&tasks, &["--skip-host-validation"]);
        assert_eq!(ran.code, code, "{tasks}: {ran:?}");
        assert_eq!(sandbox.read("ran"), done, "{tasks}: {ran:?}");
        let log = sandbox.log();
        assert!(log.contains("output lost after 10 bytes"), "{log}");
    }
    let sandbox = Sandbox::new();
    configure(&sandbox, "max_output=10\n");
    let ran = sandbox.run(&format!("{lost}{after}"), &["--keep-going"]);
    assert_eq!(
        (ran.code, sandbox.read("ran").as_str()),
        (1, "1\n2\n"),
        "{ran:?}"
    );
}

#[test]
fn a_command_that_prints_without_an_end_takes_no_more_of_the_disk_than_it_may() {
    let sandbox = Sandbox::new();
    configure(&sandbox, "max_output=3M\n");
    let tasks = "task=1\nexec=local\ncommand=yes\ntimeout=1\nsuccess=timeout\n";
    let ran = sandbox.run(tasks, &["-q", "--output-json=out.json"]);
    assert_eq!(ran.code, 32, "{ran:?}");
    assert!(
        ran.stderr
            .contains("failed (output lost after 3145728 bytes"),
        "{ran:?}"
    );
    let json = sandbox.read("out.json");
    assert!(
        json.contains("\"timed_out\":true") && json.contains("\"exit_code\":124"),
        "{json:.900}"
    );
    let state = std::fs::read_dir(sandbox.path.join("TASKER/state")).expect("the directory");
    let directories = state.flatten().filter(|e| e.path().is_dir());
    let files = directories.flat_map(|d| std::fs::read_dir(d.path()).expect("outputs"));
    let kept: u64 = files
        .flatten()
        .map(|f| f.metadata().expect("a file").len())
        .sum();
    assert_eq!(kept, 1 << 20, "what no task gets is not kept");
}

#[test]
fn a_split_does_not_hide_a_loss() {
    let sandbox = Sandbox::new();
    configure(&sandbox, "max_output=10\n");
    let ran = sandbox.run(
        "task=1\nexec=shell\ncommand=seq 1000\nstdout_split=newline,0\n",
        &["-q"],
    );
    assert_eq!(ran.code, 32, "{ran:?}");
}

#[test]
fn a_resumed_run_still_knows_what_was_lost() {
    let sandbox = Sandbox::new();
    configure(&sandbox, "max_output=2M\n");
    let tasks = "task=1\nexec=shell\ncommand=seq 1000000\nnext=always\n\
                 task=2\nexec=shell\ncommand=[ -e fixed ]\n\
                 task=3\nexec=shell\ncommand=touch ran; cat\nstdin=@1_stdout@\n";
    let ran = sandbox.run(tasks, &["-q"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    sandbox.file("fixed", "");
    let shown = sandbox.output(&["--show-recovery-info", "tasks.txt"]);
    let line = "task 1: failed, exit code 0, output lost after 2097152 bytes: it is longer than";
    assert!(shown.stdout.contains(line), "{shown:?}");
    let ran = sandbox.output(&["-r", "-q", "--resume", "tasks.txt"]);
    assert_eq!(ran.code, 126, "{ran:?}");
    assert!(!sandbox.exists("ran"));
    let lost = "`@1_stdout@` cannot be used: output lost after 2097152 bytes: it is longer than \
                max_output (2 MiB)";
    assert!(ran.stderr.contains(lost), "{ran:?}");
}

#[test]
fn an_output_that_cannot_be_read_any_more_is_not_taken_for_an_empty_one() {
    for spoil in ["rm \"$F\"", ": >\"$F\"", "truncate -s 100 \"$F\""] {
        for uses in [
            "stdin=@1_stdout@",
            "stdin=x@1_stdout@",
            "env.DATA=@1_stdout@",
            "condition=@1_stdout@ ~ xyz",
            "condition=@1_stdout@ !~ xyz",
            "condition=@1_stdout@ != xyz",
            "env.DATA=@1_stdout_file@",
        ] {
            let sandbox = Sandbox::new();
            let tasks = format!(
                "task=1\nexec=shell\ncommand=seq 1000000\n\
                 task=2\nexec=shell\ncommand={spoil}\nenv.F=@1_stdout_file@\n\
                 task=3\nexec=local\ncommand=touch ran\n{uses}\n"
            );
            let ran = sandbox.run(&tasks, &["-q"]);
            assert_eq!(ran.code, 126, "{spoil}, {uses}: {ran:?}");
            assert!(!sandbox.exists("ran"), "{spoil}, {uses}");
            let why = "cannot be read: `";
            let at = ran.stderr.find(why).unwrap_or_else(|| panic!("{ran:?}"));
            let path = &ran.stderr[at + why.len()..];
            let state = sandbox.path.join("TASKER/state").display().to_string();
            assert!(path.starts_with(&state), "{ran:?}");
            assert!(path.contains("/output-0`: "), "{ran:?}");
        }
    }
}

#[test]
fn the_bounds_are_checked_and_the_plan_shows_them() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", LOSES);
    configure(&sandbox, "keep_free=1.5G\nmax_output=512K\n");
    let ran = sandbox.output(&["--show-plan", "tasks.txt"]);
    assert!(ran.stdout.contains("keep_free"), "{ran:?}");
    assert!(
        ran.stdout.contains("1536 MiB") && ran.stdout.contains("512 KiB"),
        "{ran:?}"
    );
    configure(&sandbox, "keep_free=64M\n");
    let ran = sandbox.output(&["--show-plan", "tasks.txt"]);
    assert!(!ran.stdout.contains("keep_free"), "the default: {ran:?}");
    for (line, why) in [
        ("keep_free=1 MB", "a size such as `64M`"),
        ("max_output=0", "a size above 0"),
        ("max_output=99999999999T", "too large"),
    ] {
        configure(&sandbox, &format!("{line}\n"));
        let ran = sandbox.output(&["tasks.txt"]);
        assert_eq!(ran.code, 20, "{line}: {ran:?}");
        assert!(ran.stderr.contains(why), "{line}: {ran:?}");
    }
}

#[test]
fn a_host_of_a_block_that_lost_output_is_named_and_runs_again() {
    let sandbox = Sandbox::new();
    configure(&sandbox, "max_output=10\n");
    let tasks = "task=1\ntype=parallel\nexec=shell\nhostnames=web[1-3]\n\
                 command=echo @hostname@ >>ran; [ @hostname@ != web2 ] || seq 1000 >&2\n\
                 task=2\nexec=shell\ncommand=echo after >>ran\n";
    let ran = sandbox.run(tasks, &[&REPORTS[..], &["--skip-host-validation"]].concat());
    assert_eq!(ran.code, 32, "{ran:?}");
    let said = "web2 (1): failed (output lost after 10 bytes: it is longer than max_output";
    assert!(ran.stderr.contains(said), "{ran:?}");
    let log = sandbox.log();
    assert!(log.contains(said), "{log}");
    let json = sandbox.read("out.json");
    let lost = json
        .matches("\"stderr_lost\":\"output lost after 10 bytes")
        .count();
    assert_eq!(lost, 1, "{json}");
    assert!(sandbox.read("report.html").contains("output lost after 10"));
    configure(&sandbox, "");
    let mut first: Vec<String> = sandbox.read("ran").lines().map(String::from).collect();
    first.sort();
    assert_eq!(first, ["web1", "web2", "web3"]);
    let ran = sandbox.output(&["-r", "-q", "--resume", "tasks.txt"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(sandbox.read("ran").ends_with("\nweb2\nafter\n"), "{ran:?}");
}
