//! The rehearsal (SPEC §6.1): what it reports is what a run does, and it does
//! nothing itself.

#[path = "support/chance.rs"]
mod chance;
mod support;

use chance::Chance;
use std::collections::BTreeMap;
use std::process::Command;
use support::{Ran, Sandbox};

/// A workflow of commands with every kind of route, a block over hosts, one over
/// tasks and a conditional block; each command asks the stand-in for its answer.
fn generate_workflow(random: &mut Chance) -> String {
    let ids: Vec<usize> = (0..5 + random.below(4))
        .map(|i| 10 + i * 3 + i % 2)
        .collect();
    let mut text = String::from("--max-steps=25\n");
    for id in &ids {
        let target = ids[random.below(ids.len())];
        let other = ids[random.below(ids.len())];
        let keys = match random.below(16) {
            0 => format!("on_failure={target}"),
            1 => format!("next=exit_0 & stdout ~ good\ngoto={target}"),
            2 => format!("on_success={target}\non_failure={other}"),
            3 => "success=stdout !~ bad".into(),
            4 => "next=always".into(),
            5 => "next=never".into(),
            6 => format!("return={}", random.below(4)),
            7 => format!("next=loop\nloop=2\nloop_break=stdout ~ good\non_failure={target}"),
            // A condition cannot use the own result.
            8 if other != *id => format!("condition=@{other}_exit@ = 0"),
            9 => "retry_count=1\nretry_delay=10ms".into(),
            _ => String::new(),
        };
        text += &format!("task={id}\nexec=local\ncommand=./say {id}\n{keys}\n");
    }
    let last = ids[ids.len() - 1];
    text += &format!(
        "task=100\ntype=parallel\nhostnames=h[1-3]\nexec=local\ncommand=./say 100 @hostname@\n\
         retry_count=1\nretry_delay=10ms\nsuccess=min_success={}\non_failure={last}\n",
        1 + random.below(3)
    );
    text += &format!(
        "task=101\ntype=conditional\ncondition=@100_failed_count@ > 0\nif_true_tasks=111,112\n\
         if_false_tasks=113\ntask=111\nexec=local\ncommand=./say 111\nnext=success\n\
         task=112\nexec=local\ncommand=./say 112\non_failure={last}\n\
         task=113\nexec=local\ncommand=./say 113\n\
         task=120\nexec=local\ncommand=./say 120\nfinally=true\n"
    );
    text
}

/// The answers of the stand-in: an exit code and a word, by task and host.
fn generate_answers(text: &str, random: &mut Chance) -> BTreeMap<String, (usize, &'static str)> {
    let mut out = BTreeMap::new();
    for line in text.lines() {
        let Some(id) = line.strip_prefix("command=./say ") else {
            continue;
        };
        let who: Vec<String> = match id.strip_suffix(" @hostname@") {
            Some(id) => (1..4).map(|n| format!("{id}:h{n}")).collect(),
            None => vec![id.to_string()],
        };
        for who in who {
            let code = if random.below(8) == 0 {
                1 + random.below(9)
            } else {
                0
            };
            let word = ["", "good", "bad"][random.below(3)];
            out.insert(who, (code, word));
        }
    }
    out
}

const SAY: &str = "#!/bin/sh
while read -r who code word; do
    if [ \"$who\" = \"$1${2:+:$2}\" ]; then echo \"$word\"; exit \"$code\"; fi
done < answers
exit 77
";

#[test]
fn a_rehearsal_takes_the_path_of_the_run() {
    let mut random = Chance::new(0x7e4e_a45a);
    let (mut paths, mut codes) = (BTreeMap::new(), BTreeMap::new());
    for round in 0..60 {
        let sandbox = Sandbox::new();
        let text = generate_workflow(&mut random);
        let answers = generate_answers(&text, &mut random);
        sandbox.program("say", SAY);
        let lines = answers
            .iter()
            .map(|(who, (code, word))| format!("{who} {code} {word}\n"));
        sandbox.file("answers", lines.collect::<String>());
        let ran = sandbox.run(&text, &[]);
        let mut arguments = Vec::new();
        for (who, (code, word)) in &answers {
            arguments.push(format!("--assume={who}=exit {code}"));
            arguments.push(format!("--assume={who}=stdout:{word}"));
        }
        arguments.push("tasks.txt".into());
        let rehearsed = sandbox.output(&arguments);
        assert_eq!(rehearsed.code, 0, "{rehearsed:?}");
        let (path, code) = (sandbox.steps(), ran.code);
        let context = format!("round {round}: {}\n{text}", rehearsed.stdout);
        assert!(
            rehearsed.stdout.contains(&format!("\npath: {path}\n")),
            "{path}: {context}"
        );
        assert!(
            rehearsed
                .stdout
                .ends_with(&format!("\nexit code: {code}\n")),
            "{code}: {context}"
        );
        *paths.entry(path).or_insert(0) += 1;
        *codes.entry(code).or_insert(0) += 1;
    }
    assert!(paths.len() >= 15 && codes.len() > 5, "{paths:?} {codes:?}");
}

#[test]
fn a_rehearsal_starts_nothing_and_writes_nothing() {
    let works = Command::new("strace").args(["-qq", "true"]).output();
    if !works.is_ok_and(|o| o.status.success()) {
        println!("skipped: strace cannot trace here");
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.file(
        "tasks.txt",
        "task=1\nexec=shell\ncommand=echo x > made\ntask=2\ntype=parallel\nhostnames=a.invalid,b.invalid\n\
         exec=ssh\ncommand=true\ntask=3\nexec=local\ncommand=touch made\nfinally=true\n",
    );
    for option in ["--assume=2:a.invalid=unreachable", "--assume-each-fails"] {
        let ran = Command::new("strace")
            .args([
                "-f",
                "-o",
                "trace",
                "-e",
                "trace=execve,fork,vfork,clone,clone3,connect,socket,mkdir,openat",
            ])
            .args([env!("CARGO_BIN_EXE_tasker"), option, "tasks.txt"])
            .current_dir(&sandbox.path)
            .env("HOME", &sandbox.path)
            .output();
        let ran = Ran::from(ran.expect("strace runs"));
        assert_eq!(ran.code, 0, "{ran:?}");
        let trace = sandbox.read("trace");
        assert_eq!(trace.matches("execve(").count(), 1, "{trace}");
        for call in [
            "fork(", "clone(", "clone3(", "connect(", "socket(", "mkdir(", "O_WRONLY", "O_RDWR",
            "O_CREAT",
        ] {
            assert!(!trace.contains(call), "{call}: {trace}");
        }
        assert!(!sandbox.exists("made") && !sandbox.exists("TASKER"));
    }
}

/// A rehearsal of the text with the options.
fn rehearse(text: &str, options: &[&str]) -> Ran {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", text);
    let mut arguments = options.to_vec();
    arguments.push("tasks.txt");
    sandbox.output(&arguments)
}

const WEB: &str = "SECRET_A=hunter22
# Prepare
task=1
name=prepare
exec=local
command=true
env.A=@SECRET_A@
retry_count=2
retry_delay=1h
on_failure=90
# Roll out
task=2
type=parallel
hostnames=web[01-09]
exec=ssh
command=deploy
timeout=10m
unreachable=skip
on_failure=90
task=3
exec=local
command=true
success=stdout ~ standby
return=0
# Undo
task=90
exec=local
command=true
return=1
# Off
task=99
exec=local
command=true
finally=true
";

#[test]
fn a_rehearsal_estimates_its_pauses() {
    let tasks = "task=1\nexec=local\ncommand=true\nsleep=300300ms\n\
                 task=2\nexec=local\ncommand=true\n";
    let ran = rehearse(tasks, &["--assume=1=ok"]);
    let time = "time: 5 m 1 s in pauses and timeouts";
    assert!(ran.stdout.lines().any(|l| l == time), "{ran:?}");
}

#[test]
fn a_rehearsal_shows_every_decision_and_its_reason() {
    let assume = [
        "--assume=prepare=failed",
        "--assume=2:web[02-03]=timeout",
        "--assume=3=stdout:on standby",
        "--assume=3=stderr:hunter22",
    ];
    let ran = rehearse(WEB, &assume);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    for line in [
        "  task 1: retry 1 of 2 in 1 h",
        "task 1: prepare: failed, exit 1",
        "  -> task 90: its verdict is false",
        "  -> the end, exit code 1: return=1",
        "task 99: Off: ok",
        "path: 1 90",
        "time: 2 h in pauses and timeouts",
        "no effect: --assume '2:web[02-03]=timeout'",
        "exit code: 1",
    ] {
        assert!(
            ran.stdout.lines().any(|l| l == line),
            "{line}\n{}",
            ran.stdout
        );
    }
    assert!(!ran.stdout.contains("hunter22"));
    let ran = rehearse(WEB, &assume[1..3]);
    for line in [
        "task 2: Roll out: failed (7 ok; 2 timeout: web[02-03])",
        "time: 10 m in pauses and timeouts",
        "path: 1 2 90",
    ] {
        assert!(
            ran.stdout.lines().any(|l| l == line),
            "{line}\n{}",
            ran.stdout
        );
    }
    let ran = rehearse(
        WEB,
        &[
            "--assume=2:web09=unreachable",
            "--assume=3=stdout:on standby",
        ],
    );
    assert!(
        ran.stdout.contains("path: 1 2 3\n"),
        "left out: {}",
        ran.stdout
    );
    assert!(ran.stdout.ends_with("exit code: 0\n"), "{}", ran.stdout);
}

#[test]
fn one_failure_at_a_time_shows_where_each_leads() {
    let ran = rehearse(WEB, &["--assume-each-fails", "--assume=3=stdout:standby"]);
    assert_eq!(
        ran.stdout,
        "tasks.txt: one failure at a time; nothing is executed\n\
         \u{20}    1 (prepare): 1 90 -> exit 1\n\
         \u{20}    2 (Roll out): 2 90 -> exit 1\n\
         \u{20}    3: 3 -> exit 0\n\
         \u{20}   90 (Undo): is not reached\n\
         \u{20}   99 (Off): after the end -> exit 1\n"
    );
}

#[test]
fn mistakes_in_assumptions_are_one_line_each() {
    let more = "task=4\ntype=parallel\ntasks=6\ntask=5\ntype=decision\nsuccess=true\nreturn=0\n\
                task=6\nexec=local\ncommand=true\n";
    let text = WEB.replacen("return=0\n", more, 1);
    assert!(text.contains(more));
    for (option, sentence) in [
        ("--assume=7=exit 3", "there is no task `7`"),
        (
            "--assume=prepair=exit 3",
            "there is no task `prepair`\n     = help: did you mean `prepare`?",
        ),
        (
            "--assume=2:web1=ok",
            "task 2 does not run on `web1`\n     = help: did you mean `web01`?",
        ),
        ("--assume=2:web[1=ok", "`[` without `]` in `web[1`"),
        ("--assume=2:=ok", "expected a host or node set after `:`"),
        ("--assume=1:web01=ok", "task 1 does not run on `web01`"),
        (
            "--assume=4=ok",
            "task 4 is a block; assume something of its subtasks",
        ),
        ("--assume=5=ok", "task 5 runs no command"),
        ("--assume=1=exit 256", "expected `exit N`"),
        ("--assume=1=timout", "did you mean `timeout`?"),
        ("--assume=1", "expected TASK=RESULT or TASK:HOSTS=RESULT"),
    ] {
        let ran = rehearse(&text, &[option]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
        assert!(ran.stderr.contains(sentence), "{sentence}: {ran:?}");
        let help = usize::from(ran.stderr.contains("= help:"));
        assert_eq!(ran.stderr.lines().count(), 1 + help, "{ran:?}");
    }
    let ran = rehearse(WEB, &["-r", "--assume=1=ok"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr
            .contains("a rehearsal (--assume) runs nothing; leave -r out"),
        "{ran:?}"
    );
}

#[test]
fn a_cycle_ends_with_max_steps() {
    let text = "task=1\nexec=local\ncommand=true\ntask=2\nexec=local\ncommand=true\ngoto=1\n";
    let ran = rehearse(text, &["--assume=1=ok", "--max-steps=500"]);
    assert!(ran.stdout.ends_with("exit code: 14\n"), "{}", ran.stdout);
    let ends = "path: 1 2 1 2 1 2 1 2 1 2 1 2 1 2 1 2 1 2 1 2 ... (460 more) ... 1 2 ";
    assert!(ran.stdout.contains(ends), "{}", ran.stdout);
}

#[test]
fn results_can_be_assumed_for_hosts_named_by_a_result() {
    let text = "task=1\nexec=local\ncommand=true\n\
                task=2\ntype=parallel\nhostnames=@1_stdout@\nexec=ssh\ncommand=deploy\n\
                task=3\nexec=local\ncommand=true\n";
    let ran = rehearse(
        text,
        &[
            "--assume=1=stdout:a,b",
            "--assume=2:b=exit 4",
            "--assume=3:localhost=ok",
        ],
    );
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert!(
        ran.stdout.contains("task 2: failed (1 ok; 1 failed: b)\n"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.ends_with("exit code: 10\n"), "{}", ran.stdout);
}
