//! Damaged task files: whatever they contain, tasker ends by itself with a
//! documented code, reports the place of the mistake, runs nothing, reveals no
//! secret and does not control the terminal.
//!
//! The files are generated from a seed, and are the same in every run.
//! `TASKER_FUZZ_SEED=N` sets another seed, `TASKER_FUZZ_FILES=N` the number of
//! files.

#[path = "support/chance.rs"]
mod chance;
mod support;

use chance::Chance;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use support::{Ran, Sandbox};

/// The exit codes of `exit.rs` that are possible if nothing is run and the task
/// file can be read.
const CODES: [i32; 9] = [0, 2, 12, 13, 20, 24, 32, 60, 61];

/// Far more than any of these files needs.
const LONG: Duration = Duration::from_secs(20);

/// What is tried with a file: plan, validation, rehearsals.
const ASKED: [&[&str]; 6] = [
    &[],
    &["--show-plan=json"],
    &["--validate-only", "--skip-task-validation"],
    &["--assume-each-fails", "--max-steps=50"],
    &["--assume=1=exit 3", "--max-steps=50"],
    &["--show-plan=dot", "--set=A=$B"],
];

const SECRET: &str = "hunter2-of-the-fuzzer";

fn number_from_env(variable: &str, default: u64) -> u64 {
    let set = std::env::var(variable).ok();
    set.map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn a_damaged_file_is_reported_and_nothing_is_run() {
    let seed = number_from_env("TASKER_FUZZ_SEED", 82);
    let count = number_from_env("TASKER_FUZZ_FILES", 400);
    let files = chance::task_files();
    assert!(files.len() > 100, "{} files", files.len());
    let (files, seen) = (&files, &Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for number in (thread..count).step_by(4) {
                    let one = try_one(files, seed.wrapping_add(number));
                    seen.lock().expect("what was seen").push(one);
                }
            });
        }
    });
    let seen = seen.lock().expect("what was seen");
    let failures: Vec<&str> = seen
        .iter()
        .filter_map(|s| Some(s.as_ref().err()?.as_str()))
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {count} files:\n{}",
        failures.len(),
        failures[..failures.len().min(3)].join("\n")
    );
    // Otherwise the changes are too wild, or too tame, to show anything.
    let ended = |code| seen.iter().filter(|s| **s == Ok(code)).count() as u64;
    let (good, refused) = (ended(0), ended(20));
    assert!(
        good >= count / 20 && refused >= count / 4,
        "{good} good, {refused} refused"
    );
}

/// Runs tasker on the file of a seed: its exit code, or what was wrong and how to
/// reproduce it.
fn try_one(files: &[Vec<u8>], seed: u64) -> Result<i32, String> {
    let mut chance = Chance::new(seed);
    let file = with_secret(&chance.file(files), &mut chance);
    let asked = chance.one_of(&ASKED);
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", &file);
    // Anything that a file runs leaves a trace: these are the only programs there
    // are.
    for name in ["echo", "touch", "true", "sh", "bash"] {
        sandbox.program(
            &format!("bin/{name}"),
            "#!/bin/sh\n: > \"${0%/*}/../RAN\"\n",
        );
    }
    // Names are not resolved: the time of a resolver is not tasker's.
    let mut tasker = sandbox.tasker(&[asked, &["--skip-host-validation", "tasks.txt"]].concat());
    tasker.env("PATH", sandbox.path.join("bin"));
    let ran = run_within(LONG, &mut tasker);
    let wrong = find_violations(&sandbox, &file, &ran);
    if wrong.is_empty() {
        return Ok(ran.code);
    }
    Err(format!(
        "{}\nTASKER_FUZZ_SEED={seed} TASKER_FUZZ_FILES=1 makes it again: {asked:?} of\n{}\n{ran:?}\n",
        wrong.join("\n"),
        String::from_utf8_lossy(&file)
    ))
}

/// The file with a secret above its first key, used in a text of a task if there is
/// one, and sometimes at a random place.
fn with_secret(file: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = file.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    let is_text =
        |line: &Vec<u8>| line.starts_with(b"command=") || line.starts_with(b"description=");
    let used = match chance.below(4) {
        0 => Some(chance.below(lines.len())),
        _ => lines.iter().position(is_text),
    };
    if let Some(line) = used
        .map(|used| &mut lines[used])
        .filter(|l| l.contains(&b'='))
    {
        line.extend_from_slice(b" @SECRET_FUZZ@");
    }
    let starts = |line: &Vec<u8>, with: &[u8]| line.trim_ascii_start().starts_with(with);
    let is_pair = |line: &Vec<u8>| {
        !starts(line, b"-") && !starts(line, b"#") && !starts(line, b"\xef") && !line.is_empty()
    };
    let first = lines.iter().position(is_pair).unwrap_or(0);
    lines.insert(first, format!("SECRET_FUZZ={SECRET}").into_bytes());
    lines.join(&b'\n')
}

/// Runs it; if it takes longer it is killed, which its exit code shows.
fn run_within(limit: Duration, command: &mut Command) -> Ran {
    let output = |name: &str| {
        let path = command
            .get_current_dir()
            .expect("the sandbox")
            .join(format!(".{name}"));
        (std::fs::File::create(&path).expect("an output"), path)
    };
    let ((out, stdout), (err, stderr)) = (output("stdout"), output("stderr"));
    let mut child = command
        .stdout(Stdio::from(out))
        .stderr(Stdio::from(err))
        .spawn()
        .expect("tasker starts");
    let deadline = Instant::now() + limit;
    let status = loop {
        match child.try_wait().expect("a status") {
            Some(status) => break status,
            None if Instant::now() > deadline => drop(child.kill()),
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    let read = |path| String::from_utf8_lossy(&std::fs::read(path).expect("readable")).into_owned();
    Ran {
        code: status.code().or(status.signal().map(|s| -s)).unwrap_or(-99),
        stdout: read(stdout),
        stderr: read(stderr),
    }
}

fn find_violations(sandbox: &Sandbox, file: &[u8], ran: &Ran) -> Vec<String> {
    let mut wrong = Vec::new();
    if !CODES.contains(&ran.code) {
        wrong.push(format!("it ended with {}", ran.code));
    }
    if ran.code == 20 {
        let lines = file.iter().filter(|b| **b == b'\n').count() + 1;
        let first = ran.stderr.lines().find(|l| l.contains(": error: "));
        let place = first.and_then(|l| l.strip_prefix("tasks.txt:")?.split(':').next());
        let line = place.and_then(|p| p.parse::<usize>().ok());
        let of_option = first.is_some_and(|l| l.starts_with("--set A:1:"));
        if !of_option && line.is_none_or(|l| l < 1 || l > lines) {
            wrong.push(format!("no place in the file: {first:?}"));
        }
        if !ran.stderr.trim_end().ends_with("nothing was run") {
            wrong.push("it does not end with what was not done".into());
        }
    }
    if ran.code != 0 && ran.stderr.is_empty() {
        wrong.push("it does not say why".into());
    }
    if sandbox.exists("RAN") {
        wrong.push("something was run".into());
    }
    for (name, text) in [("stdout", &ran.stdout), ("stderr", &ran.stderr)] {
        if text.contains(SECRET) {
            wrong.push(format!("{name} holds the secret"));
        }
        if let Some(c) = text
            .chars()
            .find(|c| c.is_control() && !"\n\t".contains(*c))
        {
            wrong.push(format!("{name} holds {c:?}"));
        }
    }
    wrong
}
