//! What a validation prints and records: the summary, the report,
//! `--validate-only`, colour.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use support::{Ran, Sandbox};

const GOOD: &str = "task=1\nexec=local\ncommand=touch ran\n";
const BAD: &str = "TOKEN_X=very-secret\ntask=1\nexec=local\ncommand=touch ran\non_failure=9\n\
                   task=2\nexec=locla\ncommand=true\n";

fn tasker(sandbox: &Sandbox, text: &str, arguments: &[&str]) -> Ran {
    sandbox.file("tasks.txt", text);
    let arguments = [arguments, &["tasks.txt"]].concat();
    sandbox.output(&arguments)
}

/// Today's report in the log directory.
fn todays_report(sandbox: &Sandbox, directory: &str) -> String {
    let logs = std::fs::read_dir(sandbox.path.join(directory).join("logs"));
    let found: Vec<_> = logs
        .expect("a log directory")
        .flatten()
        .filter(|e| {
            e.file_name()
                .to_string_lossy()
                .starts_with("validation_report_")
        })
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    let data = found[0].metadata().expect("metadata");
    assert_eq!(data.permissions().mode() & 0o777, 0o600);
    std::fs::read_to_string(found[0].path()).expect("the report")
}

#[test]
fn a_failed_file_shows_which_checks_failed() {
    let sandbox = Sandbox::new();
    let ran = tasker(&sandbox, BAD, &[]);
    assert_eq!(ran.code, 20, "{ran:?}");
    assert_eq!(
        ran.stdout,
        "\u{2705} Task file syntax validation passed\n\
         \u{274c} Dependency validation failed (1 error)\n\
         \u{2796} Flow control validation skipped (the file has errors)\n\
         \u{2796} Host DNS resolution skipped (the file has errors)\n\
         \u{274c} Execution type validation failed (1 error)\n\
         \u{274c} Validation failed - not ready for execution\n"
    );
    assert!(
        ran.stderr
            .ends_with("tasks.txt: 2 errors, 1 warning; nothing was run\n"),
        "{ran:?}"
    );
    // A mistake in the flow is counted as one.
    let routing = "task=1\ntype=parallel\ntasks=2\ntask=2\nexec=local\ncommand=true\nnext=always\n";
    let ran = tasker(&sandbox, routing, &[]);
    assert!(
        ran.stdout
            .contains("\u{274c} Flow control validation failed (1 error)\n"),
        "{ran:?}"
    );
    // Another locale gets words instead of symbols.
    let mut plain = sandbox.tasker(&["tasks.txt"]);
    let ran = Ran::from(plain.env("LC_ALL", "C").output().expect("tasker runs"));
    assert!(
        ran.stdout
            .starts_with("OK Task file syntax validation passed\n"),
        "{ran:?}"
    );
    assert!(
        ran.stdout
            .contains("\nFAILED Flow control validation failed (1 error)\nSKIPPED ")
    );
}

#[test]
fn a_failed_host_does_not_affect_the_other_checks() {
    let sandbox = Sandbox::new();
    let text = "task=1\nexec=ssh\nhostname=no-such-host.invalid\ncommand=true\n";
    let ran = tasker(&sandbox, text, &["--validate-only"]);
    assert_eq!(ran.code, 60, "{ran:?}");
    assert_eq!(
        ran.stdout,
        "\u{2705} Task file syntax validation passed\n\
         \u{2705} Dependency validation passed\n\
         \u{2705} Flow control validation passed\n\
         \u{274c} Host DNS resolution failed (0/1 hosts)\n\
         \u{2705} Execution type validation passed (ssh: 1)\n   \
         no-such-host.invalid: no address found\n\
         \u{274c} Validation failed - not ready for execution\n"
    );
    assert!(
        todays_report(&sandbox, "TASKER").contains("no address found\nFAILED Validation failed")
    );
}

#[test]
fn warnings_of_one_kind_are_folded_but_not_in_the_report() {
    let sandbox = Sandbox::new();
    let task = |id: u32| format!("task={id}\nexec=local\ncommand=no-such-program-{id}\n");
    let text: String = (1..=10).map(task).collect();
    let ran = tasker(&sandbox, &text, &["--validate-only"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let lines = |text: &str, word: &str| text.lines().filter(|l| l.contains(word)).count();
    assert_eq!(lines(&ran.stderr, "is not in PATH"), 3, "{ran:?}");
    assert_eq!(lines(&ran.stderr, "PATH is /"), 1, "{ran:?}");
    let end = "... and 7 more like this\ntasker: 0 errors, 10 warnings\n";
    assert!(ran.stderr.ends_with(end), "{ran:?}");
    let report = todays_report(&sandbox, "TASKER");
    assert_eq!(lines(&report, "is not in PATH"), 10, "{report}");
    assert_eq!(lines(&report, "more like this"), 0, "{report}");
}

#[test]
fn validate_only_shows_no_plan_and_runs_nothing() {
    let sandbox = Sandbox::new();
    let ran = tasker(&sandbox, GOOD, &["--validate-only"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(
        ran.stdout
            .ends_with("All validations passed - ready for execution\n"),
        "{ran:?}"
    );
    assert!(!sandbox.exists("ran"));
    assert_eq!(tasker(&sandbox, BAD, &["--validate-only"]).code, 20);
    assert_eq!(
        tasker(&sandbox, "# nothing\n", &["--validate-only"]).code,
        24
    );
    let ran = tasker(&sandbox, GOOD, &["--validate-only", "-r"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stderr
            .contains("--validate-only overrules -r; nothing is run")
    );
    assert!(!sandbox.exists("ran"));
    let absent = sandbox.tasker(&["--validate-only", "absent.txt"]).output();
    assert_eq!(Ran::from(absent.expect("tasker runs")).code, 30);
}

/// Without its program a run would not begin; a dry run warns, `--validate-only`
/// refuses, and `-c` checks the programs of local commands as well.
#[test]
fn a_missing_program_is_exit_code_61() {
    let sandbox = Sandbox::new();
    let remote = "task=1\nexec=pbrun\nhostname=localhost\ncommand=true\n";
    let ran = tasker(&sandbox, remote, &["--validate-only"]);
    assert_eq!(ran.code, 61, "{ran:?}");
    assert!(
        ran.stdout
            .contains("Execution type validation failed (pbrun: 1)\n"),
        "{ran:?}"
    );
    assert!(
        ran.stdout
            .contains("   `pbrun` for exec type `pbrun`: not in PATH\n")
    );
    assert_eq!(tasker(&sandbox, remote, &[]).code, 0);
    let local = "task=1\nexec=local\ncommand=no-such-program\n";
    assert_eq!(tasker(&sandbox, local, &["--validate-only"]).code, 0);
    for options in [&["-c"][..], &["-c", "--validate-only"], &["-c", "-r"]] {
        let ran = tasker(&sandbox, local, options);
        assert_eq!(ran.code, 61, "{options:?} {ran:?}");
        let all = ran.stdout + &ran.stderr;
        assert!(all.contains("`no-such-program`: not in PATH\n"), "{all}");
    }
}

#[test]
fn every_validation_adds_an_entry_to_the_report() {
    let sandbox = Sandbox::new();
    assert_eq!(tasker(&sandbox, GOOD, &["--validate-only"]).code, 0);
    assert_eq!(tasker(&sandbox, BAD, &["-r"]).code, 20);
    assert_eq!(tasker(&sandbox, BAD, &[]).code, 20);
    assert_eq!(tasker(&sandbox, GOOD, &["-r"]).code, 0);
    let text = todays_report(&sandbox, "TASKER");
    let entries: Vec<&str> = text.split_terminator("\n\n").collect();
    assert_eq!(entries.len(), 4, "{text}");
    let real = sandbox
        .path
        .canonicalize()
        .expect("a path")
        .join("tasks.txt");
    for (entry, code) in entries.iter().zip([0, 20, 20, 0]) {
        let head = entry.lines().next().expect("a head");
        assert!(
            head.starts_with("[20")
                && head.ends_with(&format!("] Validation of {}", real.display())),
            "{head}"
        );
        assert!(
            entry
                .lines()
                .nth(1)
                .is_some_and(|l| l.starts_with("User id ")),
            "{entry}"
        );
        assert!(entry.ends_with(&format!("\nExit code {code}")), "{entry}");
    }
    assert!(entries[0].contains("\n0 errors, 0 warnings\nOK Task file syntax validation passed\n"));
    assert!(
        entries[1].contains(": error: there is no task `9`\n"),
        "{text}"
    );
    assert!(
        entries[1].contains("\n2 errors, 1 warning\nOK Task file"),
        "{text}"
    );
    assert!(!text.contains("very-secret"), "{text}");
}

/// Looking at a file leaves nothing behind.
#[test]
fn a_dry_run_creates_no_default_directory() {
    let sandbox = Sandbox::new();
    assert_eq!(tasker(&sandbox, GOOD, &[]).code, 0);
    assert_eq!(tasker(&sandbox, BAD, &[]).code, 20);
    assert!(!sandbox.exists("TASKER"));
    assert_eq!(tasker(&sandbox, GOOD, &["-l", "named"]).code, 0);
    assert!(todays_report(&sandbox, "named").contains("Exit code 0\n"));
    assert!(!sandbox.exists("TASKER"));
}

#[test]
fn a_report_that_cannot_be_written_is_a_warning() {
    let sandbox = Sandbox::new();
    sandbox.file("taken", "a file");
    let ran = tasker(&sandbox, GOOD, &["-l", "taken", "--validate-only"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let warning = "tasker: warning: the validation report is not written: ";
    assert!(ran.stderr.starts_with(warning), "{ran:?}");
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    assert_eq!(tasker(&sandbox, BAD, &["-l", "taken"]).code, 20);
}

/// Many at once: every entry is complete.
#[test]
fn entries_of_simultaneous_validations_do_not_mix() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", BAD);
    let children: Vec<_> = (0..20)
        .map(|_| {
            sandbox
                .tasker(&["--validate-only", "tasks.txt"])
                .spawn()
                .expect("tasker starts")
        })
        .collect();
    for child in children {
        assert_eq!(support::finish(child).code, 20);
    }
    let text = todays_report(&sandbox, "TASKER");
    let entries: Vec<&str> = text.split_terminator("\n\n").collect();
    assert_eq!(entries.len(), 20);
    let rest = |e: &str| e.split_once('\n').expect("a head").1.to_string();
    assert!(
        entries.iter().all(|e| rest(e) == rest(entries[0])),
        "{text}"
    );
}

const PAINTED: &str = "\u{1b}[1;31merror\u{1b}[0m: \u{1b}[1mthere is no task `9`\u{1b}[0m";

/// Through `script`, which gives it a terminal.
fn on_a_terminal(sandbox: &Sandbox, option: &str, environment: &[(&str, &str)]) -> String {
    let mut command = Command::new("script");
    let line = format!("{} {option} tasks.txt", env!("CARGO_BIN_EXE_tasker"));
    command
        .args(["-qec", &line, "/dev/null"])
        .current_dir(&sandbox.path)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", &sandbox.path)
        .envs(environment.iter().copied());
    Ran::from(command.output().expect("script runs")).stdout
}

#[test]
fn colour_is_used_only_on_capable_terminals() {
    let sandbox = Sandbox::new();
    assert!(!tasker(&sandbox, BAD, &[]).stderr.contains('\u{1b}'));
    assert!(
        !tasker(&sandbox, BAD, &["--color", "never"])
            .stderr
            .contains('\u{1b}')
    );
    assert!(
        tasker(&sandbox, BAD, &["--color=always"])
            .stderr
            .contains(PAINTED)
    );
    let xterm = ("TERM", "xterm");
    assert!(on_a_terminal(&sandbox, "", &[xterm]).contains(PAINTED));
    for (option, environment) in [
        ("", &[("TERM", "dumb")][..]),
        ("", &[]),
        ("", &[xterm, ("NO_COLOR", "1")]),
        ("--color=never", &[xterm]),
    ] {
        let shown = on_a_terminal(&sandbox, option, environment);
        assert!(shown.contains(": error: there is no task `9`"), "{shown}");
        assert!(!shown.contains('\u{1b}'), "{environment:?} {shown}");
    }
    let ran = tasker(&sandbox, BAD, &["--color=sometimes"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr
            .contains("--color: expected `auto`, `always` or `never`, found `sometimes`")
    );
    // The report has no escape codes, whatever the screen shows.
    tasker(&sandbox, BAD, &["--color=always", "--validate-only"]);
    assert!(!todays_report(&sandbox, "TASKER").contains('\u{1b}'));
}

/// What is skipped is reported: on the screen, in the summary, in the log of a run.
#[test]
fn skipped_checks_are_reported() {
    let flow = (
        "--skip-task-validation",
        "Flow checks and all warnings were skipped",
    );
    let hosts = (
        "--skip-host-validation",
        "Hosts were neither resolved nor contacted before the run",
    );
    for (option, sentences) in [
        (flow.0, &[flow.1][..]),
        (hosts.0, &[hosts.1]),
        ("--skip-validation", &[flow.1, hosts.1]),
    ] {
        let sandbox = Sandbox::new();
        let ran = tasker(&sandbox, GOOD, &["-r", option]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let warnings = ran
            .stderr
            .lines()
            .filter(|l| l.starts_with("tasker: warning: "));
        assert_eq!(warnings.count(), sentences.len(), "{ran:?}");
        let log = sandbox.log();
        let found = log.lines().filter(|l| l.contains("[WARN]")).count();
        assert_eq!(found, sentences.len(), "{log}");
        for sentence in sentences {
            assert!(log.contains(&format!("[WARN] {sentence}\n")), "{log}");
        }
        let skipped = todays_report(&sandbox, "TASKER")
            .matches("SKIPPED ")
            .count();
        assert_eq!(skipped, sentences.len());
    }
}

/// A group may have write access if only the owner is in it.
#[test]
fn a_file_that_a_group_can_write_is_reported() {
    let sandbox = Sandbox::new();
    let path = sandbox.file("tasks.txt", GOOD);
    let mode = std::fs::Permissions::from_mode(0o664);
    std::fs::set_permissions(&path, mode).expect("mode");
    let me = std::fs::metadata(&path).expect("metadata");
    if std::os::unix::fs::chown(&path, None, Some(65534)).is_err() {
        // Only root can change the group to any other; for other users their own is
        // enough.
        return assert_ne!(std::os::unix::fs::MetadataExt::uid(&me), 0);
    }
    let check = || {
        let output = sandbox.tasker(&["tasks.txt"]).output();
        Ran::from(output.expect("tasker runs"))
    };
    // `nogroup` is the group of `nobody`.
    let ran = check();
    assert_eq!(ran.code, 20, "{ran:?}");
    let message = "tasks.txt: error: the group `nogroup` can write to this file and so decide what runs\n     = help: chmod g-w tasks.txt\n";
    assert!(ran.stderr.starts_with(message), "{ran:?}");
    // Only root is in root's own group.
    std::os::unix::fs::chown(&path, None, Some(0)).expect("chown");
    let ran = check();
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
}
