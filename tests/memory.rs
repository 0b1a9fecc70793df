//! Memory is bounded however an output is used (SPEC §4.2): a spooled stream is read
//! piece by piece, or the task that needs its text fails.

mod support;

use support::{Ran, Sandbox};

/// How much the first task prints.
const LENGTH: usize = 20_000_000;
/// How much more memory a run may take for that than for a short output, in KiB.
const MORE: u64 = 8 << 10;

/// Runs the tasks, and then one that notes how much memory tasker has taken at most.
#[track_caller]
fn peak(sandbox: &Sandbox, tasks: &str, options: &[&str]) -> (Ran, u64) {
    let last = "task=99\nfinally=true\nexec=shell\ncommand=grep VmHWM /proc/$PPID/status >peak\n";
    let options = [&["-q", "--skip-host-validation"], options].concat();
    let ran = sandbox.run(&format!("{tasks}{last}"), &options);
    let line = sandbox.read("peak");
    let number = line.split_whitespace().nth(1);
    let number = number.and_then(|n| n.parse().ok());
    (ran, number.expect("the peak memory"))
}

/// The task that prints, with these keys.
fn printing(length: usize, keys: &str) -> String {
    format!("task=1\nexec=shell\ncommand=yes 0123456789 | head -c {length}\n{keys}\n")
}

fn small(keys: &str, then: &str, options: &[&str]) -> u64 {
    let sandbox = Sandbox::new();
    peak(&sandbox, &format!("{}{then}", printing(10, keys)), options).1
}

/// A run with these keys of task 1, and these tasks after it, ends with the code, says
/// this in its log, and takes little memory.
#[track_caller]
fn takes_little(keys: &str, then: &str, options: &[&str], code: i32, said: &str) {
    let sandbox = Sandbox::new();
    let tasks = format!("{}{then}", printing(LENGTH, keys));
    let (ran, peak) = peak(&sandbox, &tasks, options);
    assert_eq!(ran.code, code, "{keys} {then}: {ran:?}");
    let log = sandbox.log();
    assert!(log.contains(said), "{keys} {then}: {said} in {log}");
    let before = small(keys, then, options);
    assert!(
        peak <= before + MORE,
        "{keys} {then} {options:?}: {before} KiB with a short output, {peak} KiB"
    );
}

#[test]
fn a_large_output_is_compared_and_split_piece_by_piece() {
    for (keys, code) in [
        ("success=stdout = x", 10),
        ("success=stdout != x", 0),
        ("success=stdout ~", 10),
        ("success=stdout ~ 98765", 10),
        ("success=stdout ~ 9\nstderr_split=comma,0", 0),
        ("success=stdout_count = 1818182", 0),
        ("success=!(stdout < 5)", 10),
        ("stdout_split=newline,-1\nsuccess=stdout = 012345678", 0),
        ("stdout_split=newline,1\nsuccess=stdout = 0123456789", 0),
        (
            "stdout_split=newline,1818180\nsuccess=stdout = 0123456789",
            0,
        ),
        (
            "stdout_split=newline,9999999\nsuccess=stdout ~ 0123456789",
            0,
        ),
        ("stdout_split=;,0\nsuccess=stdout_count = 1818182", 0),
    ] {
        takes_little(keys, "", &[], code, "");
    }
}

#[test]
fn a_large_output_of_another_task_is_compared_piece_by_piece() {
    for (condition, ran) in [
        ("@1_stdout@ = x", false),
        ("@1_stdout@ != x", true),
        ("@1_stdout@ ~ 6789", true),
        ("@1_stdout@", false),
        ("@1_stdout:-x@ = x", false),
    ] {
        let task = format!("task=2\nexec=local\ncommand=true\ncondition={condition}\nreturn=7\n");
        takes_little("", &task, &[], if ran { 7 } else { 0 }, "");
    }
}

#[test]
fn a_large_output_whose_text_is_needed_fails_the_task() {
    let too_large = |what: &str| {
        format!("`@1_stdout@`: output of {LENGTH} bytes is too large for {what}, at most 1 MiB")
    };
    for (then, code, what) in [
        (
            "task=2\nexec=local\ncommand=cat\nstdin=x@1_stdout@\n",
            126,
            "`stdin=` with text around it",
        ),
        (
            "task=2\ntype=parallel\nexec=local\nhostnames=@1_stdout@\ncommand=true\n",
            10,
            "a set of hosts",
        ),
        (
            "task=2\nexec=local\ncommand=true\ntimeout=@1_stdout@\n",
            126,
            "a value",
        ),
        (
            "task=2\nexec=local\ncommand=true\nsuccess=stdout ~ @1_stdout@\n",
            10,
            "a comparison",
        ),
        (
            "task=2\nexec=local\ncommand=true\ncondition=@1_exit@ = @1_stdout@\n",
            126,
            "a comparison",
        ),
        (
            "task=2\nexec=local\ncommand=true\ncondition=@1_stdout@x = y\n",
            126,
            "a comparison",
        ),
    ] {
        takes_little("", then, &[], code, &too_large(what));
    }
}

/// The peak memory after all reports are written, of a run that fails at its end.
#[track_caller]
fn peak_with_reports(sandbox: &Sandbox, tasks: &str) -> u64 {
    sandbox.program(
        "note",
        "#!/bin/sh\ngrep VmHWM /proc/$PPID/status >peak-with-reports\n",
    );
    let options = [
        "--output-json=out.json",
        "--report=report.html",
        "--keep-output=kept",
        "--log-level=DEBUG",
        "--alert-on-failure=./note",
    ];
    let tasks = format!("SOME_KEY=abcdefgh\n{tasks}task=9\nexec=shell\ncommand=exit 5\n");
    let (ran, _) = peak(sandbox, &tasks, &options);
    assert_eq!(ran.code, 5, "{ran:?}");
    let line = sandbox.read("peak-with-reports");
    let number = line.split_whitespace().nth(1);
    number.and_then(|n| n.parse().ok()).expect("the peak")
}

#[test]
fn reports_read_a_large_output_piece_by_piece() {
    let then = "task=2\nexec=local\ncommand=sh -c 'test $(wc -c) = \"$SIZE\"'\n\
                stdin=@1_stdout@\nenv.SIZE=@SIZE@\n";
    let run = |length: usize| {
        let sandbox = Sandbox::new();
        let tasks = format!("SIZE={length}\n{}{then}", printing(length, ""));
        let peak = peak_with_reports(&sandbox, &tasks);
        assert_eq!(sandbox.read("kept/1.stdout").len(), length);
        peak
    };
    let (before, after) = (run(10), run(LENGTH));
    assert!(
        after <= before + MORE,
        "{before} KiB with a short output, {after} KiB"
    );
}

#[test]
fn reports_of_many_large_outputs_are_written_piece_by_piece() {
    let sandbox = Sandbox::new();
    let tasks = "task=1\ntype=parallel\nexec=shell\nhostnames=web[1-60]\nmax_parallel=4\n\
                 command=yes @hostname@ | head -c 1000000\n";
    let peak = peak_with_reports(&sandbox, tasks);
    let json = sandbox.read("out.json").len();
    assert!(json > 60_000_000, "{json}");
    // 16 MiB of outputs are kept in memory.
    assert!(peak <= 40 << 10, "{peak} KiB");
}
