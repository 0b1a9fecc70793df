//! Mails: what cron sends when a job fails, word for word.
//!
//! A folder of `tests/mails` has a task file `tasks.txt` that is run as cron does
//! it: quietly, with cron's environment, and with standard output and error
//! together. `mail` holds that output and the exit code. `args` holds further
//! arguments, one per line; `setup` and `teardown` are shell scripts that run
//! before and after, with the program's path in `TASKER`. Times, process ids and
//! paths are replaced by words. `BLESS=1` rewrites the mails: read them like the
//! person they wake up.

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use support::Sandbox;
use support::neutral::neutral;

/// The environment of a crontab: no terminal, no locale, a short PATH.
fn cron_shell(sandbox: &Sandbox, script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", script])
        .current_dir(&sandbox.path)
        .env_clear()
        .env("HOME", &sandbox.path)
        .env("LOGNAME", "root")
        .env("SHELL", "/bin/sh")
        .env("PATH", "/usr/bin:/bin")
        .env("TZ", &sandbox.zone)
        .env("TASKER", env!("CARGO_BIN_EXE_tasker"))
        .stdin(Stdio::null());
    command
}

fn read_or_empty(case: &Path, name: &str) -> String {
    std::fs::read_to_string(case.join(name)).unwrap_or_default()
}

/// The mail and the exit code.
fn mail_and_code(case: &Path) -> String {
    let sandbox = Sandbox::new();
    for entry in std::fs::read_dir(case).expect("the case").flatten() {
        std::fs::copy(entry.path(), sandbox.path.join(entry.file_name())).expect("a file");
    }
    let around = |name: &str| {
        if case.join(name).exists() {
            let ran = cron_shell(&sandbox, &format!(". ./{name}"))
                .status()
                .expect("sh");
            assert!(ran.success(), "{}: {name}", case.display());
        }
    };
    around("setup");
    let arguments: String = read_or_empty(case, "args")
        .lines()
        .map(|a| format!(" '{a}'"))
        .collect();
    let line = format!("exec \"$TASKER\" -q -r{arguments} tasks.txt 2>&1");
    let ran = cron_shell(&sandbox, &line).output().expect("sh runs");
    around("teardown");
    assert!(ran.stderr.is_empty());
    let mail = String::from_utf8(ran.stdout).expect("a mail is text");
    let mail = neutral(&mail, &sandbox.path.display().to_string());
    let code = ran.status.code().unwrap_or(-1);
    format!("{}exit code {code}\n", without_ids(&mail))
}

/// The holder of a lock differs from run to run.
fn without_ids(mail: &str) -> String {
    match mail.split_once(": process ") {
        Some((before, after)) => {
            let rest = after.split_once(';').map_or("", |(_, rest)| rest);
            format!("{before}: HOLDER;{rest}")
        }
        None => mail.to_string(),
    }
}

#[test]
fn every_mail_says_what_to_do_next() {
    let failures = support::check_all("tests/mails", |case| {
        let (expected, found) = (read_or_empty(case, "mail"), mail_and_code(case));
        if expected == found {
            return Ok(());
        }
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(case.join("mail"), found).expect("the mail");
            return Ok(());
        }
        let case = case.display();
        Err(format!(
            "--- {case}: expected\n{expected}--- found\n{found}"
        ))
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_job_that_succeeds_sends_nothing() {
    let sandbox = Sandbox::new();
    let file = "UNUSED=1\ntask=1\nexec=local\ncommand=echo fine\n";
    sandbox.file("tasks.txt", file);
    // Closed, as by some schedulers.
    let line = "exec \"$TASKER\" -q -r tasks.txt 2>&1 <&-";
    let ran = cron_shell(&sandbox, line).output().expect("sh runs");
    assert_eq!((ran.status.code(), ran.stdout.len()), (Some(0), 0));
}
