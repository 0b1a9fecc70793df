//! The log file (SPEC §6.3): complete, greppable, and safe: output of a command
//! cannot forge a line of it, control a terminal or reveal a secret.

#[path = "support/hostile.rs"]
mod hostile;
mod support;

use support::Sandbox;

/// Whether the line begins as every log line does.
fn is_stamped(line: &str) -> bool {
    let shape = "[0000-00-00 00:00:00] [";
    let bytes = line.as_bytes();
    bytes.len() > shape.len()
        && shape
            .bytes()
            .zip(bytes)
            .all(|(wanted, found)| match wanted {
                b'0' => found.is_ascii_digit(),
                other => *found == other,
            })
        && ["ERROR] ", "WARN] ", "INFO] ", "DEBUG] "]
            .iter()
            .any(|level| line[shape.len()..].starts_with(level))
}

/// Whether it has neither control characters nor characters that change the
/// direction of text.
fn is_inert(text: &str) -> bool {
    let active = |c: char| c.is_control() && !"\n\t".contains(c) || c == '\u{202e}';
    !text.contains(active)
}

#[test]
fn the_header_says_who_ran_what_from_where() {
    let sandbox = Sandbox::new();
    let tasks =
        "CHANGE=CHG-7\ntask=1\ntype=parallel\nhostnames=web[1-3],db1\nexec=local\ncommand=true\n";
    sandbox.file("tasks.txt", tasks);
    let mut tasker = sandbox.tasker(&["-r", "tasks.txt"]);
    tasker
        .env("SUDO_USER", "ann\n[x]")
        .env("SSH_CONNECTION", "10.0.0.7 5 10.0.0.8 22");
    assert!(tasker.status().expect("tasker runs").success());
    let log = sandbox.log();
    let head = [
        format!("[INFO] tasker {} run 2", env!("CARGO_PKG_VERSION")),
        "; CHANGE CHG-7\n".into(),
        format!(
            "[INFO] Task file {}/tasks.txt, SHA-256 ",
            sandbox.path.display()
        ),
        "[INFO] Plan ".into(),
        "[INFO] User id ".into(),
        ", SUDO_USER ann\\n[x], SSH_CONNECTION 10.0.0.7 5 10.0.0.8 22, terminal -, host ".into(),
        "targets ".into(),
        "[INFO] Task validation passed (1 task)\n".into(),
        "[INFO] Host validation passed (".into(),
        "[INFO] Executing Task 1.2 web2\n".into(),
        "[INFO] Path: 1\n".into(),
        "[INFO] Run ended: SUCCESS, exit code 0, 1 ok, final task 1\n".into(),
    ];
    for text in head {
        assert!(log.contains(&text), "{text} in {log}");
    }
    let (_, sum) = log.split_once("SHA-256 ").expect("the hash");
    let found = std::process::Command::new("sha256sum")
        .arg(sandbox.path.join("tasks.txt"))
        .output()
        .expect("sha256sum runs");
    assert_eq!(sum.as_bytes()[..64], found.stdout[..64]);
}

#[test]
fn no_output_can_forge_a_line_or_drive_a_terminal() {
    let sandbox = Sandbox::new();
    let mut data = hostile::hostile();
    let fakes = [
        "\r[2024-01-15 14:30:15] [INFO] Run ended: SUCCESS, exit code 0",
        "\x1b]52;c;ZXZpbA==\x07\x1b[2J\x1b[1A\x1b[31m",
        "x\n[2024-01-15 14:30:15] [INFO] Path: 7\n",
        "\u{9b}2J\u{85}\u{2028}[2024-01-15 14:30:15] [ERROR] no",
        "</script><!--<img src=x onerror=alert(1)>",
    ];
    data.extend(fakes.iter().map(|f| f.as_bytes().to_vec()));
    let count = data.len();
    let tasks = hostile::producers(&sandbox, &data);
    let ran = sandbox.run(&tasks, &["-d"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let log = sandbox.log();
    for line in log.lines() {
        assert!(is_stamped(line), "{line:?}");
    }
    assert!(is_inert(&log) && is_inert(&ran.stdout) && is_inert(&ran.stderr));
    // The lines that could be mistaken for the log are tasker's own.
    let steps: Vec<&str> = log
        .lines()
        .filter(|l| l[21..].starts_with(" [INFO] Path: "))
        .collect();
    assert_eq!(steps.len(), 1, "{steps:?}");
    assert_eq!(steps[0].matches(' ').count(), count + 3);
    let ends = log.lines().filter(|l| l.contains("[INFO] Run ended"));
    let believed = ends.filter(|l| !l.contains("stdout| ")).count();
    assert_eq!(believed, 1);
    assert!(log.contains("stdout| \\r[2024-01-15 14:30:15] [INFO] Run ended"));
    for line in ran.stdout.lines().filter(|l| l.contains("[2024")) {
        assert!(line.starts_with("  | "), "{line:?}");
    }
}

#[test]
fn a_line_of_ten_million_bytes_is_cut_with_its_place() {
    let sandbox = Sandbox::new();
    let tasks = "\
task=1
exec=shell
command=head -c 10000000 /dev/zero | tr '\\0' x; echo on stderr >&2; exit 4
";
    let ran = sandbox.run(tasks, &[]);
    assert_eq!(ran.code, 4);
    let log = sandbox.log();
    let longest = log.lines().map(str::len).max().unwrap_or(0);
    assert!((64 << 10..66 << 10).contains(&longest), "{longest}");
    let (_, rest) = log
        .split_once("Task 1 stdout: ")
        .expect("a line about the rest");
    let rest = rest.lines().next().unwrap_or_default();
    assert!(rest.starts_with("9701 KiB more of 9.5 MiB, in "), "{rest}");
    let place = rest.split(", in ").nth(1).unwrap_or_default();
    let place = place.trim_end_matches(" while the run can be resumed");
    // It failed and can be resumed, so its output is kept.
    assert_eq!(
        std::fs::metadata(place).map(|m| m.len()).ok(),
        Some(10_000_000)
    );
    assert!(log.contains("Task 1 stderr| on stderr\n"));
    let most = ran
        .stdout
        .lines()
        .chain(ran.stderr.lines())
        .map(str::len)
        .max();
    assert!(most.is_some_and(|m| m < 600), "{most:?}");
}

/// A secret is masked wherever it appears in an output, also across every size at
/// which the output could be cut.
#[test]
fn an_echoed_secret_is_masked_at_every_cut() {
    let secret = "correct horse battery staple";
    for cut in [4096, 16 << 10, 64 << 10, 128 << 10] {
        for before in [1, 9, secret.len() - 1] {
            let sandbox = Sandbox::new();
            sandbox.file("head", "x".repeat(cut - before));
            sandbox.file("tail", "y".repeat(cut - (secret.len() - before)));
            sandbox.program(
                "echo-it",
                "#!/bin/sh\ncat head; printf %s \"$PW\"; cat tail; exit 3\n",
            );
            let tasks = format!(
                "SECRET_PW={secret}\ntask=1\nexec=local\nenv.PW=@SECRET_PW@\ncommand=./echo-it\n"
            );
            let options = ["--output-json=out.json", "--keep-output", "kept", "-d"];
            let ran = sandbox.run(&tasks, &options);
            assert_eq!(ran.code, 3);
            let all = [
                sandbox.log(),
                ran.stdout,
                ran.stderr,
                sandbox.read("out.json"),
                sandbox.read("kept/1.stdout"),
            ];
            for (place, text) in all.iter().enumerate() {
                for part in ["correct", "horse b", "staple"] {
                    assert!(
                        !text.contains(part),
                        "cut {cut}, {before} before, place {place}"
                    );
                }
            }
            assert!(all[3].contains("x***y") && all[4].contains("x***y"));
        }
    }
}

/// Whoever cleans up or compresses logs may not know that a run still writes.
#[test]
fn a_log_that_is_removed_during_the_run_goes_on_in_a_new_one() {
    let sandbox = Sandbox::new();
    let tasks = "task=1\nexec=shell\ncommand=gzip TASKER/logs/tasker_*.log\n\
                 task=2\nexec=shell\ncommand=echo after; echo \"$TASKER_RUN_ID\"; exit 3\n";
    let ran = sandbox.run(tasks, &["-q"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.stderr.contains("was removed during the run"), "{ran:?}");
    // Its path is the one that is named.
    let mut lines = ran.stderr.lines();
    let path = lines.find_map(|line| line.strip_prefix("tasker: log: "));
    let log = std::fs::read_to_string(path.expect("the path")).expect("the log");
    let note = "was removed during the run; it goes on in";
    assert!(
        log.contains("[WARN] the log ") && log.contains(note),
        "{log}"
    );
    assert!(
        log.contains("Task 2 stdout| after") && log.contains("Run ended: FAILED"),
        "{log}"
    );
}

#[test]
fn a_log_that_can_go_on_nowhere_is_named_once() {
    let sandbox = Sandbox::new();
    let tasks =
        "task=1\nexec=shell\ncommand=rm -r TASKER/logs\ntask=2\nexec=shell\ncommand=exit 3\n";
    let ran = sandbox.run(tasks, &["-q"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    let why = "was removed during the run, and it goes on nowhere: ";
    assert_eq!(ran.stderr.matches(why).count(), 1, "{ran:?}");
}

/// As `find -mtime -delete` does to a run that waits for days.
#[test]
fn a_journal_that_is_removed_during_the_run_is_named_instead_of_a_line_that_resumes() {
    let sandbox = Sandbox::new();
    let tasks = "task=1\nexec=shell\ncommand=rm TASKER/state/*.journal\n\
                 task=2\nexec=shell\ncommand=test -e fine\n";
    let ran = sandbox.run(tasks, &["-q"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let why = "its journal was removed during the run, so it cannot be continued\n";
    assert!(ran.stderr.contains(why), "{ran:?}");
    assert!(!ran.stderr.contains("--resume"), "{ran:?}");
    // It harms no run that needs none.
    sandbox.file("fine", "");
    let ran = sandbox.run(tasks, &["-q"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
}

#[test]
fn the_log_says_when_the_deadline_is() {
    let sandbox = Sandbox::new();
    let tasks = "task=1\nexec=local\ntimeout=1\ncommand=true\n";
    let ran = sandbox.run(tasks, &["-q", "--deadline=2099-01-15T04:00"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let log = sandbox.log();
    assert!(
        log.contains("[INFO] Deadline 2099-01-15 04:00:00\n"),
        "{log}"
    );
}
