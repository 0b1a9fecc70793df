//! The plan before the run (SPEC §6.1): its four forms, its id, the questions.

mod support;

use std::io::Write;
use std::process::{Command, Stdio};
use support::{Ran, Sandbox};

const FILE: &str = "\
SECRET_KEY=hunter22
TARGET=/srv/a
task=1
name=prepare
exec=local
command=echo -n @TARGET@ $STAGE
# Roll it out
task=2
type=parallel
hostnames=file:hosts
exec=local
command=echo @hostname@ @1_stdout@
max_parallel=2
on_failure=90
# Only with a database
task=3
type=conditional
condition=@2_success_count@ > 1
if_true_tasks=30
task=30
exec=shell
command=echo \"<b> & 'x'\" | cat
timeout=20  # seconds
task=90
exec=local
command=echo undo
env.PASS=@SECRET_KEY@
return=4
task=99
exec=local
command=echo off
finally=true
";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", FILE);
    sandbox.file("hosts", "web[01-03]\n# spare\n");
    sandbox.file(
        "tasker.conf",
        "timeout=100\nexec=pod\nargv=run {hostname} {command} {arguments}\n",
    );
    std::fs::create_dir(sandbox.path.join("TASKER")).expect("the log directory");
    sandbox
}

/// tasker on the sandbox's file, with its configuration and environment.
fn tasker(sandbox: &Sandbox, arguments: &[&str]) -> Ran {
    let mut all = vec!["--config=tasker.conf"];
    all.extend(arguments);
    all.push("tasks.txt");
    let mut command = sandbox.tasker(&all);
    command.env("STAGE", "/srv/stage");
    Ran::from(command.output().expect("tasker runs"))
}

/// Whether a run has left a log.
fn has_run(sandbox: &Sandbox) -> bool {
    let logs = std::fs::read_dir(sandbox.path.join("TASKER/logs"));
    logs.is_ok_and(|logs| {
        logs.flatten()
            .any(|e| e.file_name().to_string_lossy().starts_with("tasker_"))
    })
}

fn plan_id(sandbox: &Sandbox) -> String {
    let ran = tasker(sandbox, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let line = ran.stdout.lines().find_map(|l| l.strip_prefix("plan: "));
    line.expect("the plan's id").to_string()
}

/// The output of a program for the text on its standard input.
fn piped(program: &str, arguments: &[&str], text: &str) -> Ran {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(text.as_bytes()).expect("it reads");
    drop(stdin);
    Ran::from(child.wait_with_output().expect("it ends"))
}

#[test]
fn the_text_shows_what_runs_where_and_what_comes_next() {
    let ran = tasker(&sandbox(), &[]);
    let text = ran.stdout;
    for line in [
        "   1  prepare",
        "      $ echo -n /srv/a /srv/stage",
        "      then 2; a failure ends the run",
        "      parallel, at most 2 at once, on each of file:hosts",
        "      then 3; on failure go to 90",
        "      if @2_success_count@ > 1:",
        "          shell, timeout 20 s",
        "failure handlers, entered only on failure:",
        "final tasks, run whenever the run ends:",
        "hosts: 3 distinct (web[01-03])",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
    assert!(!text.contains("hunter22"), "{text}");
}

#[test]
fn graphviz_draws_the_plan() {
    let ran = tasker(&sandbox(), &["--show-plan=dot"]);
    assert!(ran.stdout.starts_with("digraph"), "nothing but the diagram");
    let drawn = piped("dot", &["-Tsvg"], &ran.stdout);
    assert_eq!((drawn.code, drawn.stderr.as_str()), (0, ""));
    for text in ["Roll it out", "block 3", "failure handlers", "file:hosts"] {
        assert!(drawn.stdout.contains(text), "{text}: {}", drawn.stdout);
    }
    // An arrow for every jump: from 2 to its handler, and none from 1 to the end.
    assert!(ran.stdout.contains("t2 -> t90 [label=\"failure\"];"));
    assert!(!ran.stdout.contains("t1 -> the_end"));
}

#[test]
fn mermaid_has_a_box_for_every_task() {
    let ran = tasker(&sandbox(), &["--show-plan=mermaid"]);
    assert!(ran.stdout.starts_with("flowchart TD\n"));
    for id in [1, 2, 3, 30, 90, 99] {
        let boxes = ran.stdout.lines().filter(|l| {
            let l = l.trim();
            l.starts_with(&format!("t{id}[")) || l.starts_with(&format!("t{id}{{"))
        });
        assert_eq!(boxes.count(), 1, "{id}: {}", ran.stdout);
    }
    assert!(ran.stdout.contains("#60;b#62; #38;"), "{}", ran.stdout);
}

#[test]
fn json_is_read_by_a_real_parser() {
    let ran = tasker(&sandbox(), &["--show-plan=json"]);
    let program = "
import json,sys
p=json.load(sys.stdin)
t={e['id']:e for e in p['main']+p['failure_handlers']+p['final_tasks']}
assert p['version']==1 and len(p['plan_id'])==64, p
assert p['hosts']==['web01','web02','web03'], p
assert p['likely_seconds']>0 and p['worst_seconds']>100, p
assert t[1]['worst_seconds']==108 and t[1]['likely_seconds']==10, t[1]
assert t[1]['words']=='echo -n /srv/a /srv/stage' and t[1]['timeout_seconds']==100, t[1]
assert t[1]['routes']==[{'when':'success','task':2,'jump':False},{'when':'failure','exit_code':None}], t[1]
assert {'when':'failure','task':90,'jump':True} in t[2]['routes'], t[2]
assert t[3]['if_true'][0]['id']==30 and t[3]['if_true'][0]['timeout_seconds']==20, t[3]
assert [e['id'] for e in p['failure_handlers']]==[90] and [e['id'] for e in p['final_tasks']]==[99]
print('good')";
    let read = piped("python3", &["-c", program], &ran.stdout);
    assert_eq!(read.stdout, "good\n", "{} {}", read.stderr, ran.stdout);
    assert!(!ran.stdout.contains("hunter22"));
}

/// A change to the sandbox after the plan was reviewed.
fn plan_after(change: impl Fn(&Sandbox), environment: Option<(&str, &str)>) -> Ran {
    let sandbox = sandbox();
    let id = plan_id(&sandbox);
    change(&sandbox);
    let arguments = [
        "--config=tasker.conf",
        "-r",
        "--plan",
        &id[..9],
        "tasks.txt",
    ];
    let mut command = sandbox.tasker(&arguments);
    command.env("STAGE", "/srv/stage");
    command.envs(environment);
    let ran = Ran::from(command.output().expect("tasker runs"));
    assert!(
        ran.code != 12 || !has_run(&sandbox),
        "refused before anything is written"
    );
    ran
}

fn replace(sandbox: &Sandbox, file: &str, from: &str, to: &str) {
    let text = sandbox.read(file);
    assert!(text.contains(from), "{from} in {text}");
    sandbox.file(file, text.replacen(from, to, 1));
}

#[test]
fn a_changed_byte_is_refused_and_shown() {
    let command = |s: &Sandbox| replace(s, "tasks.txt", "echo undo", "echo undO");
    let host = |s: &Sandbox| replace(s, "hosts", "03", "04");
    let order = |s: &Sandbox| replace(s, "hosts", "web[01-03]", "web02,web01,web03");
    let conf = |s: &Sandbox| replace(s, "tasker.conf", "timeout=100", "timeout=101");
    let argv = |s: &Sandbox| replace(s, "tasker.conf", "argv=run", "argv=rum");
    let secret = |s: &Sandbox| replace(s, "tasks.txt", "hunter22", "hunter23");
    let limit = |s: &Sandbox| replace(s, "tasks.txt", "max_parallel=2", "max_parallel=3");
    let none = |_: &Sandbox| {};
    let ran = plan_after(command, None);
    assert_eq!(ran.code, 12, "{ran:?}");
    assert!(
        ran.stderr
            .contains("\n- task 90 command: echo undo\n+ task 90 command: echo undO\n"),
        "{ran:?}"
    );
    for (ran, named) in [
        (
            plan_after(host, None),
            "- task 2 hosts: web[01-03] (3)\n+ task 2 hosts: web[01-04] (4)",
        ),
        (
            plan_after(order, None),
            "+ task 2 hosts in this order: web02,web01,web03",
        ),
        (
            plan_after(conf, None),
            "- default timeout: 100 s\n+ default timeout: 101 s",
        ),
        (plan_after(argv, None), "+ exec type pod: argv \"rum\""),
        (plan_after(secret, None), "+ global SECRET_KEY: *** ("),
        (plan_after(limit, None), "+ task 2 max_parallel: 3"),
        (
            plan_after(none, Some(("STAGE", "/srv/other"))),
            "+ task 1 words: \"echo\" \"-n\" \"/srv/a\" \"/srv/other\"",
        ),
    ] {
        assert_eq!(ran.code, 12, "{named}: {ran:?}");
        assert!(ran.stderr.contains(named), "{named}: {}", ran.stderr);
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
}

#[test]
fn an_irrelevant_change_is_not_refused() {
    let comment = |s: &Sandbox| {
        replace(s, "tasks.txt", "# Roll it out", "# Make ready");
        replace(s, "tasks.txt", "# seconds", "# s");
        replace(s, "hosts", "# spare", "# none");
    };
    let ran = plan_after(comment, None);
    assert_ne!(ran.code, 12, "{ran:?}");
    assert!(ran.stdout.contains("Make ready"), "it ran: {ran:?}");
}

#[test]
fn a_plan_that_was_not_kept_is_refused_anyway() {
    let ran = tasker(&sandbox(), &["-r", "--plan", "0000-0000"]);
    assert_eq!(ran.code, 12);
    assert!(
        ran.stderr.contains("is not in this log directory"),
        "{ran:?}"
    );
    let ran = tasker(&sandbox(), &["-r", "--plan", "0000-000"]);
    assert_eq!(ran.code, 2, "{ran:?}");
}

#[test]
fn a_different_number_of_hosts_is_refused_before_anything_runs() {
    for (expected, code) in [("3", 0), ("2..5", 0), ("2", 13), ("4..9", 13)] {
        let sandbox = sandbox();
        let ran = tasker(&sandbox, &["-r", "--expect-hosts", expected]);
        assert_eq!(ran.code == 13, code == 13, "{expected}: {ran:?}");
        assert_eq!(has_run(&sandbox), code == 0, "{expected}");
        if code == 13 {
            assert!(
                ran.stderr.contains("the plan has 3 hosts (web[01-03])"),
                "{ran:?}"
            );
        }
        // The dry run reports the same.
        assert_eq!(tasker(&sandbox, &["--expect-hosts", expected]).code, code);
    }
    let ran = tasker(&sandbox(), &["-r", "--expect-hosts", "5..2"]);
    assert_eq!(ran.code, 2, "{ran:?}");
}

/// Runs tasker on a separate terminal and types the answer to its question.
fn on_a_terminal(
    sandbox: &Sandbox,
    arguments: &[&str],
    question: &str,
    answer: &str,
) -> (i32, String) {
    let program = "
import os,pty,sys
question,answer,argv=sys.argv[1].encode(),sys.argv[2],sys.argv[3:]
pid,fd=pty.fork()
if pid==0: os.execv(argv[0],argv)
seen,asked=b'',False
while True:
    try: data=os.read(fd,4096)
    except OSError: break
    if not data: break
    seen+=data
    if not asked and question in seen:
        asked=True
        os.write(fd,(answer+'\\n').encode())
sys.stdout.buffer.write(seen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid,0)[1]))";
    let ran = Command::new("python3")
        .args([
            "-c",
            program,
            question,
            answer,
            env!("CARGO_BIN_EXE_tasker"),
        ])
        .args(arguments)
        .current_dir(&sandbox.path)
        .env("HOME", &sandbox.path)
        .env("STAGE", "/srv/stage")
        .output();
    let ran = Ran::from(ran.expect("python runs"));
    assert!(ran.stdout.contains(question), "{ran:?}");
    (ran.code, ran.stdout)
}

#[test]
fn with_r_the_plan_is_shown_and_a_question_asked() {
    let arguments = ["-r", "--show-plan", "tasks.txt"];
    for (answer, runs) in [("y", true), ("n", false), ("", false)] {
        let sandbox = sandbox();
        let (code, seen) = on_a_terminal(&sandbox, &arguments, "Run this? [y/N] ", answer);
        assert!(
            seen.contains("then 2; a failure ends the run"),
            "the plan: {seen}"
        );
        assert_eq!(has_run(&sandbox), runs, "{answer}: {seen}");
        assert_eq!(code == 16, !runs, "{answer}: {seen}");
    }
    let sandbox = sandbox();
    let ran = tasker(&sandbox, &["-r", "--show-plan"]);
    assert_eq!(ran.code, 2, "no terminal to ask on: {ran:?}");
    assert!(!has_run(&sandbox));
    let ran = tasker(&sandbox, &["-r", "-y", "--show-plan"]);
    assert!(has_run(&sandbox), "{ran:?}");
}

#[test]
fn the_number_of_many_hosts_must_be_typed() {
    let text = "task=1\ntype=parallel\nhostnames=h[1-60]\nexec=local\ncommand=true\n";
    for (answer, runs) in [("60", true), ("y", false), ("61", false)] {
        let sandbox = Sandbox::new();
        sandbox.file("tasks.txt", text);
        let arguments = ["-r", "tasks.txt"];
        let (code, seen) = on_a_terminal(&sandbox, &arguments, "Type their number", answer);
        assert_eq!(has_run(&sandbox), runs, "{answer}: {seen}");
        assert_eq!(code, if runs { 0 } else { 16 }, "{seen}");
    }
    // No question: fewer hosts than tasker.conf says, an option that answers it, no
    // terminal.
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", text);
    sandbox.file("tasker.conf", "confirm_above=59\n");
    let (code, _) = on_a_terminal(
        &sandbox,
        &["-r", "--config=tasker.conf", "tasks.txt"],
        "60 hosts",
        "60",
    );
    assert_eq!(code, 0);
    for option in ["--yes", "--expect-hosts=60"] {
        let (code, seen) = on_a_terminal(&sandbox, &["-r", option, "tasks.txt"], "60", "");
        assert_eq!(code, 0, "{seen}");
        assert!(!seen.contains("Type"), "{seen}");
    }
    assert_eq!(sandbox.run(text, &[]).code, 0);
}

#[test]
fn the_log_names_the_plan() {
    let sandbox = sandbox();
    let id = plan_id(&sandbox);
    tasker(&sandbox, &["-r"]);
    assert!(
        sandbox.log().contains(&format!("[INFO] Plan {id}\n")),
        "{}",
        sandbox.log()
    );
}
