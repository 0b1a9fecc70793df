//! Results for a program (SPEC §6.7): however a run ends, it leaves a JSON file
//! that a real parser reads and that matches tasker-json(5).

#[path = "support/hostile.rs"]
mod hostile;
mod support;

use std::path::Path;
use std::process::Command;
use support::neutral::neutral;
use support::{Ran, Sandbox, finish, signal, wait_for};

/// Checks that the file exists and is as documented; returns its text.
fn assert_documented(sandbox: &Sandbox, name: &str) -> String {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ran = Command::new("python3")
        .arg(project.join("tests/check_json.py"))
        .arg(project.join("man/tasker-json.5"))
        .arg(sandbox.path.join(name))
        .output()
        .expect("python3 runs");
    let complaint = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{complaint}\n{}", sandbox.read(name));
    sandbox.read(name)
}

/// The value that Python gives for an expression about the object `j`.
fn evaluate(sandbox: &Sandbox, name: &str, expression: &str) -> String {
    let script = format!("import json; j = json.load(open({name:?})); print({expression})");
    let ran = Command::new("python3")
        .args(["-c", &script])
        .current_dir(&sandbox.path)
        .output()
        .expect("python3 runs");
    let complaint = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{complaint}");
    String::from_utf8_lossy(&ran.stdout).trim().to_string()
}

const ALL: &str = "\
CHANGE=CHG-7
NAME=web
SECRET_PW=hunter22
task=1
description=first of @NAME@
exec=local
command=echo hello
task=2
type=parallel
hostnames=a,b,c
exec=local
command=./one @hostname@
next=always
task=3
exec=local
condition=@1_stdout@=other
command=true
task=4
type=conditional
condition=@1_exit@=0
if_true_tasks=40,41
task=5
type=parallel
tasks=50,51
next=always
task=6
exec=local
command=./flaky
retry_count=2
retry_delay=0
task=7
exec=local
command=echo @7_stdout@ @SECRET_PW@
next=loop
loop=3
task=40
exec=local
command=true
task=41
exec=local
command=false
task=50
exec=local
timeout=1
command=sleep 9
task=51
exec=local
command=sh -c \"exit 9\"
task=99
finally=true
exec=local
command=true
";

/// A run with everything in it.
fn run_all(sandbox: &Sandbox, options: &[&str]) -> Ran {
    sandbox.program(
        "one",
        "#!/bin/sh\n[ $1 = b ] && echo no >&2 && exit 3\necho $1\n",
    );
    sandbox.program("flaky", "#!/bin/sh\n[ -e once ] || { : >once; exit 1; }\n");
    sandbox.run(ALL, options)
}

#[test]
fn every_part_of_a_run_is_written() {
    let sandbox = Sandbox::new();
    let ran = run_all(&sandbox, &["--output-json=out.json", "-p", "night"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let text = assert_documented(&sandbox, "out.json");
    assert!(!text.contains("hunter22"), "{text}");
    let asked = |expression: &str| evaluate(&sandbox, "out.json", expression);
    assert_eq!(
        asked("j['execution_summary']['execution_path']"),
        "[1, 2, 4, 5, 6, 7]"
    );
    let meta = "j['workflow_metadata']";
    assert_eq!(
        asked(&format!(
            "[{meta}[k] for k in ('project', 'change', 'status')]"
        )),
        "['night', 'CHG-7', 'success']"
    );
    assert!(
        sandbox
            .read(&asked(&format!("{meta}['log_file']")))
            .contains("Executing Task 1")
    );
    assert_eq!(
        asked(
            "[(h['hostname'], h['exit_code'], h['stderr']) for h in j['task_results']['2']['hosts']]"
        ),
        "[('a', 0, ''), ('b', 3, 'no\\n'), ('c', 0, '')]"
    );
    assert_eq!(
        asked("[j['task_results'][t]['members'] for t in ('4', '5')]"),
        "[[40, 41], [50, 51]]"
    );
    assert_eq!(
        asked(
            "[(t, r['outcome'], r['attempts']) for t, r in j['task_results'].items() if r['outcome'] != 'ok' or r['attempts'] > 1]"
        ),
        "[('2', 'failed', 1), ('3', 'skipped', 0), ('4', 'failed', 1), ('5', 'failed', 1), ('6', 'ok', 2), ('41', 'failed', 1), ('50', 'timeout', 1), ('51', 'failed', 1)]"
    );
    assert_eq!(
        asked("[j['variables'][v] for v in ('NAME', 'SECRET_PW')]"),
        "['web', '***']"
    );
    assert_eq!(asked("j['task_results']['1']['name']"), "first of web");
}

#[test]
fn without_a_path_it_goes_to_the_log_directory() {
    let sandbox = Sandbox::new();
    for _ in 0..2 {
        let ran = sandbox.run("task=1\nexec=local\ncommand=true\n", &["--output-json"]);
        assert_eq!(ran.code, 0);
    }
    let output = std::fs::read_dir(sandbox.path.join("TASKER/output")).expect("the directory");
    let names: Vec<String> = output
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    // Two files, even if both runs began in the same second.
    assert_eq!(names.len(), 2, "{names:?}");
    for name in names {
        assert!(
            name.starts_with("tasks_2") && name.ends_with(".json"),
            "{name}"
        );
        assert_documented(&sandbox, &format!("TASKER/output/{name}"));
    }
}

/// What prevents a run, and its exit code.
#[test]
fn every_refusal_is_written() {
    const GOOD: &str = "task=1\nexec=local\ncommand=true\n";
    let cases: [(&str, &[&str], i32); 11] = [
        ("task=1\ncomand=x\n", &[], 20),
        ("# nothing\n", &[], 24),
        ("A=1\n", &[], 24),
        (GOOD, &["--start-from", "7"], 12),
        (GOOD, &["--resume"], 12),
        (GOOD, &["--plan", "00000000"], 12),
        (GOOD, &["--limit", "web1"], 2),
        (GOOD, &["--config", "none.conf"], 2),
        (GOOD, &["--expect-hosts", "3"], 13),
        (
            "task=1\nexec=ssh\nhostname=none.invalid\ncommand=true\n",
            &[],
            60,
        ),
        (GOOD, &["-l", "/proc/none"], 32),
    ];
    for (file, options, code) in cases {
        let sandbox = Sandbox::new();
        let mut all = vec!["--output-json=out.json"];
        all.extend(options);
        let ran = sandbox.run(file, &all);
        assert_eq!(ran.code, code, "{options:?}: {}", ran.stderr);
        assert_documented(&sandbox, "out.json");
        let asked = evaluate(
            &sandbox,
            "out.json",
            "(j['workflow_metadata']['exit_code'], j['task_results'], len(j['execution_summary']['failure_info']['error']) > 3)",
        );
        assert_eq!(asked, format!("({code}, {{}}, True)"), "{options:?}");
    }
}

#[test]
fn a_missing_task_file_is_written_as_such() {
    let sandbox = Sandbox::new();
    let ran = sandbox
        .tasker(&["-r", "--output-json", "none.txt"])
        .output();
    assert_eq!(Ran::from(ran.expect("tasker runs")).code, 30);
    let output = std::fs::read_dir(sandbox.path.join("TASKER/output")).expect("the directory");
    let name = output.flatten().next().expect("a file").file_name();
    assert_documented(
        &sandbox,
        &format!("TASKER/output/{}", name.to_string_lossy()),
    );
}

#[test]
fn every_end_of_a_run_is_written() {
    let cases: [(&str, &[&str], i32, &str); 6] = [
        (
            "task=1\nexec=local\ncommand=sh -c \"exit 7\"\n",
            &[],
            7,
            "task 1: failed, exit 7",
        ),
        (
            "task=1\nexec=local\ntimeout=1\ncommand=sleep 9\n",
            &[],
            124,
            "task 1: timeout, exit 124",
        ),
        (
            "task=1\nexec=local\ncommand=true\nsuccess=exit_1\n",
            &[],
            10,
            "task 1: failed, exit 0",
        ),
        (
            "task=1\nexec=local\ncommand=true\nreturn=5\n",
            &[],
            5,
            "return",
        ),
        (
            "task=1\nexec=local\ncommand=true\ngoto=1\n",
            &["--max-steps", "3"],
            14,
            "--max-steps",
        ),
        (
            "task=1\nexec=local\ntimeout=2h\ncommand=true\n",
            &["--deadline", "+1h"],
            15,
            "does not fit",
        ),
    ];
    for (file, options, code, error) in cases {
        let sandbox = Sandbox::new();
        let mut all = vec!["--output-json=out.json"];
        all.extend(options);
        let ran = sandbox.run(file, &all);
        assert_eq!(ran.code, code, "{file}: {}", ran.stderr);
        assert_documented(&sandbox, "out.json");
        let found = evaluate(
            &sandbox,
            "out.json",
            "j['execution_summary']['failure_info']['error']",
        );
        assert!(found.contains(error), "{file}: {found}");
    }
}

#[test]
fn an_end_by_a_signal_is_written() {
    for (name, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let sandbox = Sandbox::new();
        let file = "task=1\nexec=local\ncommand=sh -c \": >started; exec sleep 60\"\n";
        let options = ["--output-json=out.json", "--on-interrupt=kill"];
        let child = sandbox.start(file, &options);
        wait_for("the command", || sandbox.exists("started"));
        signal(child.id(), name);
        assert_eq!(finish(child).code, code);
        assert_documented(&sandbox, "out.json");
        let asked = evaluate(&sandbox, "out.json", "j['task_results']['1']['outcome']");
        assert_eq!(asked, "cancelled");
    }
}

#[test]
fn hostile_outputs_are_data() {
    let sandbox = Sandbox::new();
    let mut data = hostile::hostile();
    data.push(
        b"\x1b]52;c;ZXZpbA==\x07\x1b[2J</script><!--\r[2024-01-15 14:30:15] [INFO] fake".to_vec(),
    );
    data.push(b"\xff\xfe\xe2\x80\xae\xe2\x80\xa8 end".to_vec());
    let tasks = hostile::producers(&sandbox, &data);
    let ran = sandbox.run(&tasks, &["--output-json=out.json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let text = assert_documented(&sandbox, "out.json");
    let inert = |c: char| c.is_control() || "<\u{202e}\u{2028}".contains(c);
    assert!(!text.trim_end().contains(inert));
    let back = "sum(chr(27) in r['stdout'] for r in j['task_results'].values()) > 0";
    assert_eq!(evaluate(&sandbox, "out.json", back), "True");
}

#[test]
fn a_long_output_is_cut_and_its_length_given() {
    let sandbox = Sandbox::new();
    let command = "head -c 3000000 /dev/zero";
    let ran = sandbox.run(
        &format!("task=1\nexec=local\ncommand={command}\n"),
        &["--output-json=out.json", "--keep-output", "kept"],
    );
    assert_eq!(ran.code, 0);
    assert_documented(&sandbox, "out.json");
    let asked = evaluate(
        &sandbox,
        "out.json",
        "(len(j['task_results']['1']['stdout']), j['task_results']['1']['stdout_bytes'])",
    );
    assert_eq!(asked, format!("({}, 3000000)", 1 << 20));
    let kept = std::fs::metadata(sandbox.path.join("kept/1.stdout")).expect("the output");
    assert_eq!(kept.len(), 3_000_000);
}

/// A run that ended well removes its spooled outputs, but only after reporting them.
/// What one that failed has is for those that go on with it.
#[test]
fn outputs_are_written_before_their_files_are_removed() {
    let sandbox = Sandbox::new();
    let text = "task=1\nexec=shell\ncommand=yes | head -n 800000; echo the last line; exit 3\n";
    let ran = sandbox.run(&format!("{text}return=3\n"), &["--output-json=out.json"]);
    assert_eq!(ran.code, 3);
    let asked = evaluate(
        &sandbox,
        "out.json",
        "len(j['task_results']['1']['stdout'])",
    );
    assert_eq!(asked, format!("{}", 1 << 20));
    assert!(ran.stderr.contains("the last line"), "{}", ran.stderr);
    // An optional value needs a `=`.
    let again = neutral(&ran.advice(), &sandbox.path.display().to_string());
    let expected = "cd HOME && tasker -r --resume-at RUN:1 --output-json=out.json tasks.txt";
    assert_eq!(again, expected);
    let directories = || -> Vec<_> {
        let state = std::fs::read_dir(sandbox.path.join("TASKER/state"));
        let entries = state.expect("the directory").flatten();
        entries.filter(|e| e.path().is_dir()).collect()
    };
    assert_eq!((directories().len(), sandbox.journals().len()), (1, 1));
    let ran = sandbox.run(
        &format!("{text}success=exit_3\n"),
        &["--output-json=out.json"],
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    let asked = evaluate(
        &sandbox,
        "out.json",
        "len(j['task_results']['1']['stdout'])",
    );
    assert_eq!(asked, format!("{}", 1 << 20));
    assert!(directories().is_empty() && sandbox.journals().is_empty());
}

#[test]
fn an_unwritable_path_is_found_before_anything_runs() {
    for place in ["/proc/out.json", "none/out.json", "/"] {
        let sandbox = Sandbox::new();
        let option = format!("--output-json={place}");
        let ran = sandbox.run("task=1\nexec=local\ncommand=touch ran\n", &[&option]);
        assert_eq!(ran.code, 32, "{place}: {}", ran.stderr);
        assert!(ran.stderr.contains("cannot write"), "{}", ran.stderr);
        assert!(!sandbox.exists("ran"));
    }
    let sandbox = Sandbox::new();
    sandbox.file("plain", "");
    let ran = sandbox.run(
        "task=1\nexec=local\ncommand=touch ran\n",
        &["--keep-output", "plain/kept"],
    );
    assert_eq!(ran.code, 32, "{}", ran.stderr);
    assert!(!sandbox.exists("ran"));
}

/// A target that is not a regular file is written to, not replaced; a link is
/// followed.
#[test]
fn a_fifo_and_a_link_are_not_replaced() {
    let sandbox = Sandbox::new();
    let file = "task=1\nexec=local\ncommand=true\n";
    let ran = sandbox.run(file, &["-q", "--output-json=/dev/stdout"]);
    assert_eq!(ran.code, 0);
    assert!(
        ran.stdout.starts_with("{\"schema_version\":1,"),
        "{}",
        ran.stdout
    );
    sandbox.file("real.json", "old");
    std::os::unix::fs::symlink("real.json", sandbox.path.join("out.json")).expect("a link");
    assert_eq!(sandbox.run(file, &["--output-json=out.json"]).code, 0);
    let meta = std::fs::symlink_metadata(sandbox.path.join("out.json")).expect("the link");
    assert!(meta.is_symlink());
    assert_documented(&sandbox, "real.json");
}

#[test]
fn a_dry_run_writes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", "task=1\nexec=local\ncommand=true\n");
    let options = [
        "--output-json=out.json",
        "--keep-output",
        "kept",
        "tasks.txt",
    ];
    let ran = sandbox.output(&options);
    assert_eq!(ran.code, 0);
    assert!(!sandbox.exists("out.json") && !sandbox.exists("kept"));
}

/// All output, by task, host and iteration, with secrets masked, even one that
/// arrives in two pieces.
#[test]
fn outputs_are_kept_by_task_host_and_iteration() {
    let sandbox = Sandbox::new();
    sandbox.program(
        "pieces",
        "#!/bin/sh\nprintf 'pw hunt'; sleep 0.2; printf 'er22 end'; printf 'err' >&2\n",
    );
    let file = "\
SECRET_PW=hunter22
task=1
exec=local
command=./pieces
task=2
type=parallel
hostnames=web[1-2]
exec=local
command=echo from @hostname@
task=3
exec=local
command=echo number @loop@
next=loop
loop=2
task=4
exec=local
condition=@1_exit@=7
command=true
task=5
exec=local
env.PW=@SECRET_PW@
command=./many
";
    sandbox.program("many", "#!/bin/sh\nyes $PW | head -n 300000\n");
    let ran = sandbox.run(file, &["--keep-output", "kept"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let mut names: Vec<String> = std::fs::read_dir(sandbox.path.join("kept"))
        .expect("the directory")
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "1.stderr",
            "1.stdout",
            "2.web1.stderr",
            "2.web1.stdout",
            "2.web2.stderr",
            "2.web2.stdout",
            "3.1.stderr",
            "3.1.stdout",
            "3.2.stderr",
            "3.2.stdout",
            "5.stderr",
            "5.stdout",
        ]
    );
    let kept = |name: &str| sandbox.read(&format!("kept/{name}"));
    assert_eq!(
        (kept("1.stdout").as_str(), kept("1.stderr").as_str()),
        ("pw *** end", "err")
    );
    assert_eq!(kept("2.web2.stdout"), "from web2\n");
    assert_eq!(kept("3.2.stdout"), "number 2\n");
    assert_eq!(kept("5.stdout"), "***\n".repeat(300_000));
}

/// A typing error must not destroy the task file.
#[test]
fn the_task_file_is_never_overwritten() {
    const GOOD: &str = "task=1\nexec=local\ncommand=touch ran\n";
    for option in [
        "--output-json=./tasks.txt",
        "--report=tasks.txt",
        "--events=tasks.txt",
    ] {
        for text in [GOOD, "broken\n"] {
            let sandbox = Sandbox::new();
            let ran = sandbox.run(text, &[option]);
            let code = if text == GOOD { 2 } else { 20 };
            assert_eq!(ran.code, code, "{option}: {}", ran.stderr);
            assert_eq!(sandbox.read("tasks.txt"), text);
            assert!(!sandbox.exists("ran"));
        }
    }
}
