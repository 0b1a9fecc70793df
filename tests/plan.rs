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
        "      parallel, at most 2 at once, on each of file:hosts: web[01-03] (3)",
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
    let limit = |s: &Sandbox| replace(s, "tasks.txt", "max_parallel=2", "max_parallel=3");
    let none = |_: &Sandbox| {};
    let ran = plan_after(command, None);
    assert_eq!(ran.code, 12, "{ran:?}");
    assert!(
        ran.stderr
            .contains("\n- task 90 words: echo undo\n+ task 90 words: echo undO\n"),
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
            "- task 1 timeout: 100 s\n+ task 1 timeout: 101 s",
        ),
        (plan_after(limit, None), "+ task 2 max_parallel: 3"),
        (
            plan_after(none, Some(("STAGE", "/srv/other"))),
            "+ task 1 words: echo -n /srv/a /srv/other",
        ),
    ] {
        assert_eq!(ran.code, 12, "{named}: {ran:?}");
        assert!(ran.stderr.contains(named), "{named}: {}", ran.stderr);
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
}

/// A file in which every key that decides something is written.
const EVERY_KEY: &str = "\
--alert-on-failure=~/bin/page
--deadline=+9h
--report=out.html
--metrics=out.prom
--max-steps=500
# Keys
SECRET_KEY=hunter22
OTHER_KEY=$ROTATED
SPARE=1
N=4
task=1
name=first
exec=local
command=echo $STAGE
arguments=@SECRET_KEY@
env.PASS=@SECRET_KEY@
stdin=@SECRET_KEY@ and more
workdir=/tmp
timeout=30  # seconds
retry_count=2
retry_delay=5s..2m
retry_on=failed,3
success=exit_0
stdout_split=comma,1
stderr_split=space,0
sleep=5
on_failure=91
task=2
type=parallel
hostnames=file:hosts
exec=pod
command=run @1_stdout@
max_parallel=2
waves=1,rest
wave_check=21
wave_pause=30
fail_fast=10%
unreachable=skip
block_timeout=600
on_failure=91
task=21
exec=local
command=true checked
task=3
type=parallel
tasks=31,32
condition=@2_success_count@ > 1
next=min_success=1
goto=91
task=31
hostname=db01
exec=ssh
command=true one
task=32
hostname=db02
exec=ssh
command=true two
task=4
type=conditional
condition=@1_exit@ = @N@
if_true_tasks=41,42
if_false_tasks=43
on_failure=91
task=41
exec=local
command=true
next=success
task=42
exec=local
command=true
on_success=6
task=43
return=7
task=5
exec=local
command=true
next=loop
loop=3
loop_break=stdout ~ up
on_failure=91
task=6
exec=local
command=true
next=always
task=7
type=decision
success=@6_exit@ = 0
on_failure=91
task=8
exec=local
command=true
return=@1_exit@
task=91
exec=local
command=true undo
goto=95
task=95
exec=local
command=true tell
next=never
task=99
exec=local
command=true off
finally=true
";

/// The four forms of the plan of `EVERY_KEY`, without its id, and the id.
fn forms(
    sandbox: &Sandbox,
    options: &[&str],
    environment: &[(&str, &str)],
) -> (Vec<String>, String) {
    let form = |form: &str| {
        let form = format!("--show-plan={form}");
        let mut all = vec!["--config=tasker.conf", "--skip-host-validation", &form];
        all.extend(options);
        all.push("tasks.txt");
        let mut command = sandbox.tasker(&all);
        command
            .env("STAGE", "/srv/stage")
            .env("ROTATED", "swordfish");
        command.envs(environment.iter().copied());
        let ran = Ran::from(command.output().expect("tasker runs"));
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(!ran.stdout.contains("hunter2"), "{}", ran.stdout);
        assert!(!ran.stdout.contains("swordfish"), "{}", ran.stdout);
        ran.stdout
    };
    let text = form("text");
    let id = text.lines().find_map(|l| l.strip_prefix("plan: "));
    let id = id.expect("the plan's id").to_string();
    let json = form("json");
    let (_, digits) = json.split_once("\"plan_id\":\"").expect("its id");
    let json = json.replace(&digits[..64], "ID");
    let forms = vec![text.replace(&id, "ID"), form("dot"), form("mermaid"), json];
    (forms, id)
}

fn every_key() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", EVERY_KEY);
    sandbox.file("hosts", "web[01-03]\n");
    sandbox.program("bin/page", "#!/bin/sh\n");
    sandbox.file(
        "tasker.conf",
        "timeout=100\nkill_after=9\nlog_dir=~/TASKER\nmax_connecting=7\nconnect_timeout=21\nssh_options=-4\nkeep_free=3G\nmax_output=2G\nkeep_logs=90d\nkeep_state=31d\nmetrics=~/prom\nsyslog=cron\nexec=pod\nargv=run {hostname} {command} {arguments}\n",
    );
    sandbox
}

/// Each of these is another plan, and every form of the plan shows the difference.
const DECIDING: &[(&str, &str, &str)] = &[
    ("tasks.txt", "~/bin/page", "~/bin/../bin/page"),
    ("tasks.txt", "+9h", "+8h"),
    ("tasks.txt", "out.html", "off.html"),
    ("tasks.txt", "out.prom", "off.prom"),
    ("tasks.txt", "--report", "--syslog\n--report"),
    ("tasks.txt", "max-steps=500", "max-steps=501"),
    ("tasks.txt", "--report", "--keep-going\n--report"),
    ("tasks.txt", "SECRET_KEY=hunter22", "SECRET_KEY=$ROTATED"),
    ("tasks.txt", "OTHER_KEY=$ROTATED", "OTHER_KEY=$TASKER_B"),
    ("tasks.txt", "SPARE=1", "SPARE=2"),
    ("tasks.txt", "N=4", "N=5"),
    ("tasks.txt", "name=first", "name=begin"),
    ("tasks.txt", "echo $STAGE", "echo -n $STAGE"),
    (
        "tasks.txt",
        "arguments=@SECRET_KEY@",
        "arguments=@OTHER_KEY@",
    ),
    ("tasks.txt", "PASS=@SECRET_KEY@", "PASS=@OTHER_KEY@"),
    ("tasks.txt", "env.PASS", "env.WORD"),
    ("tasks.txt", "stdin=@SECRET_KEY@", "stdin=@OTHER_KEY@"),
    ("tasks.txt", "and more", "and less"),
    ("tasks.txt", "workdir=/tmp", "workdir=/usr"),
    ("tasks.txt", "timeout=30 ", "timeout=31 "),
    ("tasks.txt", "retry_count=2", "retry_count=3"),
    ("tasks.txt", "5s..2m", "5s..3m"),
    ("tasks.txt", "retry_on=failed,3", "retry_on=failed,4"),
    ("tasks.txt", "success=exit_0", "failure=exit_0"),
    ("tasks.txt", "success=exit_0", "success=exit_1"),
    ("tasks.txt", "comma,1", "comma,2"),
    ("tasks.txt", "space,0", "tab,0"),
    ("tasks.txt", "sleep=5", "sleep=6"),
    ("tasks.txt", "on_failure=91\ntask=2", "task=2"),
    ("hosts", "03", "04"),
    ("hosts", "web[01-03]", "web02,web01,web03"),
    ("tasks.txt", "exec=pod", "exec=ssh"),
    ("tasks.txt", "run @1_stdout@", "run @1_stderr@"),
    ("tasks.txt", "run @1_stdout@", "run @@1_stdout@@"),
    ("tasks.txt", "max_parallel=2", "max_parallel=3"),
    ("tasks.txt", "waves=1,rest", "waves=2,rest"),
    ("tasks.txt", "wave_check=21\n", "wave_check=31\n"),
    ("tasks.txt", "wave_pause=30", "wave_pause=31"),
    ("tasks.txt", "fail_fast=10%", "fail_fast=11%"),
    ("tasks.txt", "fail_fast=10%", "fail_fast=true"),
    ("tasks.txt", "unreachable=skip", "unreachable=5%"),
    ("tasks.txt", "unreachable=skip\n", ""),
    ("tasks.txt", "block_timeout=600", "block_timeout=601"),
    ("tasks.txt", "tasks=31,32", "tasks=31,32\non_resume=repeat"),
    ("tasks.txt", "tasks=31,32", "tasks=32,31"),
    ("tasks.txt", "success_count@ > 1", "success_count@ > 2"),
    ("tasks.txt", "min_success=1", "min_success=2"),
    ("tasks.txt", "hostname=db01", "hostname=db03"),
    ("tasks.txt", "@1_exit@ = @N@", "@1_exit@ != @N@"),
    ("tasks.txt", "if_true_tasks=41,42", "if_true_tasks=42,41"),
    ("tasks.txt", "if_false_tasks=43", "if_false_tasks=43,31"),
    ("tasks.txt", "next=success\n", ""),
    ("tasks.txt", "on_success=6", "on_success=7"),
    ("tasks.txt", "return=7", "return=8"),
    ("tasks.txt", "loop=3", "loop=4"),
    ("tasks.txt", "stdout ~ up", "stdout ~ on"),
    ("tasks.txt", "next=always", "next=success"),
    ("tasks.txt", "@6_exit@ = 0", "@6_exit@ = 1"),
    ("tasks.txt", "return=@1_exit@", "return=@2_exit@"),
    ("tasks.txt", "type=decision", "exec=local\ncommand=true"),
    ("tasks.txt", "= 0\non_failure=91", "= 0\non_failure=95"),
    (
        "tasks.txt",
        "retry_count=2",
        "retry_count=2\nretry_failed=false",
    ),
    ("tasks.txt", "hostnames=file:hosts", "hostnames=web[01-02]"),
    ("tasks.txt", "goto=95", "on_success=95"),
    ("tasks.txt", "next=never", "return=0"),
    ("tasks.txt", "finally=true\n", ""),
    ("tasker.conf", "timeout=100", "timeout=101"),
    ("tasker.conf", "kill_after=9", "kill_after=8"),
    ("tasker.conf", "~/TASKER", "~/TASKER2"),
    ("tasker.conf", "max_connecting=7", "max_connecting=8"),
    ("tasker.conf", "connect_timeout=21", "connect_timeout=22"),
    ("tasker.conf", "ssh_options=-4", "ssh_options=-6"),
    ("tasker.conf", "keep_free=3G", "keep_free=2G"),
    ("tasker.conf", "max_output=2G", "max_output=1G"),
    ("tasker.conf", "~/prom", "~/prom2"),
    ("tasker.conf", "syslog=cron", "syslog=user"),
    ("tasker.conf", "keep_logs=90d", "keep_logs=91d"),
    ("tasker.conf", "keep_state=31d", "keep_state=32d"),
    ("tasker.conf", "argv=run", "argv=rum"),
];

#[test]
fn whatever_decides_changes_the_id_and_every_form_of_the_plan() {
    let sandbox = every_key();
    let (before, id) = forms(&sandbox, &[], &[]);
    for (file, from, to) in DECIDING {
        let text = sandbox.read(file);
        // Both branches and the block may name a task only once.
        let to = match *to {
            "wave_check=31\n" => "wave_check=22\n",
            "if_false_tasks=43,31" => "if_false_tasks=43,44",
            to => to,
        };
        replace(&sandbox, file, from, to);
        let more = "task=22\nexec=local\ncommand=true\ntask=44\nexec=local\ncommand=true\n";
        if to.ends_with("22\n") || to.ends_with(",44") {
            let with = sandbox.read(file) + more;
            sandbox.file(file, with);
        }
        let (after, other_id) = forms(&sandbox, &[], &[("TASKER_B", "swordfish")]);
        assert_ne!(id, other_id, "{from} -> {to}");
        for (before, after) in before.iter().zip(&after) {
            assert_ne!(before, after, "{from} -> {to}");
        }
        sandbox.file(file, text);
    }
    let (after, other_id) = forms(&sandbox, &[], &[("STAGE", "/srv/other")]);
    assert!(id != other_id && before.iter().zip(&after).all(|(b, a)| a != b));
    for options in [
        &["--limit=web01"][..],
        &["--set=N=9"],
        &["-k"],
        &["--start-from=5"],
    ] {
        let (after, other_id) = forms(&sandbox, options, &[]);
        assert_ne!(id, other_id, "{options:?}");
        assert!(
            before.iter().zip(&after).all(|(b, a)| a != b),
            "{options:?}"
        );
    }
}

/// A new key must be added to `EVERY_KEY`, with a change of it to `DECIDING`.
#[test]
fn every_key_of_a_task_is_changed() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/task/keys.rs");
    let source = std::fs::read_to_string(source).expect("the table of keys");
    let keys = source
        .lines()
        .filter_map(|l| l.trim().strip_prefix("key(\""));
    let keys = keys.filter_map(|l| l.split_once('"').map(|(key, _)| key));
    let mut changed = std::collections::HashSet::new();
    let own = DECIDING.iter().filter(|(file, ..)| *file == "tasks.txt");
    for (_, from, to) in own {
        let after = EVERY_KEY.replacen(from, to, 1);
        let gone = EVERY_KEY
            .lines()
            .filter(|l| !after.lines().any(|a| a == *l));
        let new = after
            .lines()
            .filter(|l| !EVERY_KEY.lines().any(|b| b == *l));
        changed.extend(
            gone.chain(new)
                .filter_map(|l| l.split_once('='))
                .map(|(key, _)| key.to_string()),
        );
    }
    // Each task has an id, and a title decides nothing.
    let missing: Vec<&str> = keys
        .filter(|key| !["task", "description"].contains(key) && !changed.contains(*key))
        .collect();
    assert!(missing.is_empty(), "no change of {missing:?}");
}

#[test]
fn comments_titles_and_rotated_secrets_change_no_id() {
    let sandbox = every_key();
    let (_, id) = forms(&sandbox, &[], &[]);
    for (file, from, to) in [
        ("tasks.txt", "# Keys", "# Of the site"),
        ("tasks.txt", "# seconds", "# s"),
        ("tasks.txt", "task=5\n", "# Wait for it\ntask=5\n"),
        ("tasks.txt", "task=5\n", "task=5\ndescription=Wait for it\n"),
        ("tasks.txt", "timeout=30 ", "timeout=30s "),
        ("tasks.txt", "hunter22", "hunter23"),
        (
            "tasks.txt",
            "--deadline=+9h\n--report=out.html\n",
            "--report=other.html\n--report=out.html\n--deadline=+9h\n",
        ),
        ("hosts", "web[01-03]\n", "# spare\nweb01,web[02-03]\n"),
        ("tasker.conf", "timeout=100", "# a comment\ntimeout=100"),
    ] {
        let text = sandbox.read(file);
        replace(&sandbox, file, from, to);
        assert_eq!(forms(&sandbox, &[], &[]).1, id, "{from} -> {to}");
        sandbox.file(file, text);
    }
    let rotated = forms(&sandbox, &[], &[("ROTATED", "swordfish2")]).1;
    assert_eq!(rotated, id, "a secret of the environment");
    assert!(!sandbox.exists("TASKER/state/plan.key"));
}

#[test]
fn what_the_command_line_adds_is_shown_but_changes_no_id() {
    let sandbox = every_key();
    let (before, id) = forms(&sandbox, &[], &[]);
    for option in [
        "--report=mine.html",
        "--events=ev",
        "--deadline=+2h",
        "--lock-skip",
        "-pX",
    ] {
        let (after, same_id) = forms(&sandbox, &[option], &[]);
        assert_eq!(id, same_id, "{option}");
        for (before, after) in before.iter().zip(&after) {
            assert_ne!(before, after, "{option}");
        }
    }
}

/// Each key of `tasker.conf` with two values.
const CONF_KEYS: &[(&str, &str, &str)] = &[
    ("default_exec", "one", "two"),
    ("timeout", "100", "101"),
    ("kill_after", "9", "8"),
    ("log_dir", "~/a", "~/b"),
    ("max_parallel", "3", "4"),
    ("max_connecting", "7", "8"),
    ("connect_timeout", "21", "22"),
    ("ssh_options", "-4", "-6"),
    ("keep_free", "3G", "2G"),
    ("max_output", "2G", "1G"),
    ("metrics", "~/a", "~/b"),
    ("syslog", "user", "local0"),
    ("keep_logs", "90d", "91d"),
    ("keep_state", "31d", "32d"),
    (
        "argv",
        "run {command} {arguments}",
        "rum {command} {arguments}",
    ),
    ("script", "run {script}", "rum {script}"),
    ("probe", "true", "false"),
    ("probe_expect_exit", "3", "4"),
    ("probe_expect_output", "up", "down"),
];

/// What a key of `tasker.conf` says that only asks a question.
const ASKING: [&str; 1] = ["confirm_above"];

/// A new key must get its values, and a place in the plan.
#[test]
fn every_key_of_the_configuration_changes_the_id_and_the_plan() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/plan/conf.rs");
    let source = std::fs::read_to_string(source).expect("the keys");
    let lists = source.split("&[&str] = &[").skip(1);
    let keys = lists.flat_map(|list| {
        list.split("];")
            .next()
            .unwrap_or("")
            .split('"')
            .skip(1)
            .step_by(2)
    });
    for key in keys.filter(|key| !ASKING.contains(key)) {
        let known = CONF_KEYS.iter().find(|(name, ..)| *name == key);
        let (_, one, other) = known.unwrap_or_else(|| panic!("no values of {key}"));
        let is_script = key == "script";
        let with = |value: &str| {
            let sandbox = Sandbox::new();
            let is_default = [
                "argv",
                "script",
                "probe",
                "probe_expect_exit",
                "probe_expect_output",
            ];
            let (before, inside) = match is_default.contains(&key) {
                true => (String::new(), format!("{key}={value}\n")),
                false => (format!("{key}={value}\n"), String::new()),
            };
            let default = match key {
                "default_exec" => "",
                _ => "default_exec=one\n",
            };
            let argv = if is_script || key == "argv" {
                ""
            } else {
                "argv=run {command} {arguments}\n"
            };
            let probe = match key {
                "probe_expect_exit" | "probe_expect_output" => "probe=true\n",
                _ => "",
            };
            let two = "exec=two\nargv=two {command} {arguments}\n";
            let conf = format!("{before}{default}exec=one\n{argv}{probe}{inside}{two}");
            sandbox.file("tasker.conf", conf);
            let tasks = "task=1\ntype=parallel\nhostnames=h[1-9]\ncommand=true\n";
            sandbox.file("tasks.txt", tasks);
            forms(&sandbox, &[], &[])
        };
        let ((before, id), (after, other_id)) = (with(one), with(other));
        assert_ne!(id, other_id, "{key}");
        for (before, after) in before.iter().zip(&after) {
            assert_ne!(before, after, "{key}");
        }
    }
}

#[test]
fn what_only_a_handler_leads_to_is_listed_with_the_handlers() {
    let sandbox = every_key();
    let (forms, _) = forms(&sandbox, &[], &[]);
    let (main, handlers) = forms[0].split_once("\nfailure handlers").expect("handlers");
    for task in ["  91\n", "  95\n"] {
        assert!(
            !main.contains(task) && handlers.contains(task),
            "{task}{}",
            forms[0]
        );
    }
}

/// The four forms of the plan of a task file, and its id.
fn forms_of(text: &str) -> (Vec<String>, String) {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", text);
    sandbox.file("tasker.conf", "");
    forms(&sandbox, &[], &[])
}

#[test]
fn a_branch_task_that_is_jumped_to_shows_where_the_flow_goes_then() {
    let (forms, _) = forms_of(include_str!("original/web-deployment.txt"));
    let [text, dot, mermaid, json] = &forms[..] else {
        panic!("four forms");
    };
    let (main, handlers) = text.split_once("\nfailure handlers").expect("handlers");
    let member = "      90  Rollback procedure\n          deploy-controller, local, timeout 5 m\n          \
                  $ initiate_rollback\n          when jumped to: then 99\n";
    assert!(main.contains(member), "{text}");
    assert!(
        handlers.contains(":\n  90  see block 10\n  99  Failure notification\n"),
        "{text}"
    );
    assert!(
        dot.contains("t90 -> t99 [label=\"when jumped to\"];"),
        "{dot}"
    );
    assert!(
        mermaid.contains("t90 -->|\"when jumped to\"| t99\n"),
        "{mermaid}"
    );
    let routes =
        r#""routes":[],"routes_when_jumped_to":[{"when":"always","task":99,"jump":false}]"#;
    assert!(json.contains(routes), "{json}");
    assert!(
        json.contains(r#""failure_handlers_in_blocks":[90]"#),
        "{json}"
    );
}

/// The branch task 21 is no handler, and has a route of its own.
const JUMPED_TO: &str = "\
task=1
exec=local
command=true
on_success=21
task=2
type=conditional
condition=@1_stdout@ ~ x
if_true_tasks=20,21
task=20
exec=local
command=true
task=21
exec=local
command=true
on_failure=90
task=30
exec=local
command=true
task=90
exec=local
command=true
return=4
";

#[test]
fn any_jump_to_a_branch_task_is_shown_and_counts_for_the_id() {
    let (before, id) = forms_of(JUMPED_TO);
    let text = &before[0];
    let routes = "          on failure go to 90\n          \
                  when jumped to: then 30; on failure go to 90\n";
    assert!(text.contains(routes), "{text}");
    assert_eq!(text.matches("when jumped to").count(), 1, "{text}");
    assert!(!text.contains("see block"), "{text}");
    let dot = &before[1];
    assert!(
        dot.contains("t21 -> t30 [label=\"when jumped to\"];"),
        "{dot}"
    );
    assert_eq!(dot.matches("t21 -> t90").count(), 1, "{dot}");
    for (from, to) in [
        ("on_success=21", "on_success=20"),
        ("on_success=21\n", ""),
        ("task=30", "task=31"),
    ] {
        let (after, other_id) = forms_of(&JUMPED_TO.replace(from, to));
        assert_ne!(id, other_id, "{from} -> {to}");
        assert!(before.iter().zip(&after).all(|(b, a)| a != b), "{from}");
        let is_jumped_to = after[0].contains("when jumped to");
        assert_eq!(is_jumped_to, !to.is_empty(), "{}", after[0]);
    }
}

#[test]
fn a_jump_while_handling_a_failure_is_shown_apart_where_it_leads_elsewhere() {
    // Handler 90 is also the target of a jump on success.
    let text = "task=1\nexec=local\ncommand=true\non_success=90\non_failure=90\n\
                task=2\ntype=conditional\ncondition=@1_exit@ = 0\nif_false_tasks=90\n\
                task=90\nexec=local\ncommand=true\n\
                task=99\nexec=local\ncommand=true\n\
                task=101\nexec=local\ncommand=true\non_failure=99\n";
    let (forms, _) = forms_of(text);
    let [text, dot, _, json] = &forms[..] else {
        panic!("four forms");
    };
    let routes = "when jumped to: then the run ends with 0; a failure ends the run\n          \
                  when jumped to while handling a failure: then 99\n";
    assert!(text.contains(routes), "{text}");
    assert!(
        dot.contains("t90 -> t99 [label=\"when jumped to while handling a failure\"];"),
        "{dot}"
    );
    assert!(
        dot.contains("t90 -> the_end [label=\"when jumped to: success: exit 0\"];"),
        "{dot}"
    );
    let key = r#""routes_when_jumped_to_while_handling_a_failure":[{"when":"always","task":99,"#;
    assert!(json.contains(key), "{json}");
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

#[test]
fn a_report_shows_the_plan_as_it_was_before_the_run() {
    let sandbox = Sandbox::new();
    sandbox.file("hosts", "web[01-03]\n");
    let text = "task=1\ntype=parallel\nhostnames=file:hosts\nexec=shell\n\
                command=: @hostname@; echo spare99 > hosts\nmax_parallel=1\n";
    let ran = sandbox.run(text, &["--report=out.html"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(sandbox.read("hosts"), "spare99\n");
    let page = sandbox.read("out.html");
    assert!(
        page.contains("on each of file:hosts: web[01-03] (3)"),
        "{page}"
    );
    assert!(!page.contains("spare99 (1)"), "{page}");
}

#[test]
fn a_broken_line_of_a_diagram_shows_no_part_of_a_secret() {
    let sandbox = Sandbox::new();
    let secret = "abcdefghijklmnopqrstuvwxyz0123456789";
    let filler = "x".repeat(40);
    sandbox.file(
        "tasks.txt",
        format!("SECRET_KEY={secret}\ntask=1\nexec=local\ncommand=echo {filler} {secret}\nenv.A=@SECRET_KEY@\n"),
    );
    for form in ["text", "dot", "mermaid", "json"] {
        let ran = sandbox.output(&[&format!("--show-plan={form}"), "tasks.txt"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(
            ran.stdout.contains("***") && !ran.stdout.contains("abcdefgh"),
            "{form}: {ran:?}"
        );
    }
}
