//! `--events FILE` (SPEC §6.6): one JSON object per line, as it happens, for
//! another program; whatever happens to the file, the run continues.

mod support;

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;
use support::{Ran, Sandbox, finish, signal, wait_for};

/// Reads `ev` as a program would, and prints a line for each event with the fields
/// named.
const READER: &str = r#"
import datetime, json, sys
runs, last = set(), None
for line in open("ev", encoding="utf-8"):
    assert line.endswith("\n"), line
    event = json.loads(line)
    keys = list(event)
    assert keys[:4] == ["v", "time", "run", "event"] and event["v"] == 1, line
    at = datetime.datetime.fromisoformat(event["time"])
    assert at.tzinfo and len(event["time"]) == 29, line
    assert last is None or at >= last, line
    last = at
    runs.add(event["run"])
    shown = [event["event"]] + [f"{k}={event[k]}" for k in sys.argv[1].split(",") if k in event]
    print(" ".join(shown) if sys.argv[1] != "keys" else " ".join([event["event"]] + keys[4:]))
assert len(runs) == 1, runs
"#;

fn parse_events(sandbox: &Sandbox, fields: &str) -> Vec<String> {
    let mut command = Command::new("python3");
    command
        .args(["-c", READER, fields])
        .current_dir(&sandbox.path);
    let output = command.output().expect("python3 runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}\n{}", sandbox.read("ev"));
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(String::from).collect()
}

/// A file with a retry, a sleep, a loop, both kinds of block, a skipped task, a
/// warning, a failure and a final task.
const EVERYTHING: &str = "CHANGE=CHG0042
# Come up
task=1
exec=shell
command=test -e up || { touch up; exit 3; }
retry_count=2
retry_delay=10ms
sleep=10ms
task=2
exec=local
command=true
next=loop
loop=2
task=3
type=parallel
hostnames=web[1-2]
exec=local
command=printf %s @hostname@
success=min_success=1
max_parallel=1
task=4
type=conditional
condition=@1_exit@=0
if_true_tasks=41,42
task=41
exec=local
command=true
task=42
exec=local
command=true
condition=@1_exit@=7
task=5
exec=local
command=echo @6_exit@
task=6
exec=local
command=false
return=4
task=99
finally=true
exec=local
command=true
";

#[test]
fn every_event_is_a_line_in_order() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(EVERYTHING, &["--events=ev", "-q", "-p", "night"]);
    assert_eq!(ran.code, 4, "{ran:?}");
    let fields =
        "label,host,attempt,iteration,outcome,exit_code,of,to,total,at_once,condition,tasks,status";
    let found = parse_events(&sandbox, fields).join("\n");
    let expected = "\
run_started tasks=9
task_started label=1 host=localhost attempt=1 iteration=1
task_finished label=1 host=localhost attempt=1 iteration=1 outcome=failed exit_code=3
retry label=1 host=localhost attempt=1 iteration=1 of=2
task_started label=1 host=localhost attempt=2 iteration=1
task_finished label=1 host=localhost attempt=2 iteration=1 outcome=ok exit_code=0
routed exit_code=None to=2
sleep label=1 host=localhost attempt=2 iteration=1
task_started label=2.1 host=localhost attempt=1 iteration=1
task_finished label=2.1 host=localhost attempt=1 iteration=1 outcome=ok exit_code=0
task_started label=2.2 host=localhost attempt=1 iteration=2
task_finished label=2.2 host=localhost attempt=1 iteration=2 outcome=ok exit_code=0
routed exit_code=None to=3
block_started label=3 host= attempt=1 iteration=1 total=2 at_once=1
task_started label=3.1 host=web1 attempt=1 iteration=1
task_finished label=3.1 host=web1 attempt=1 iteration=1 outcome=ok exit_code=0
task_started label=3.2 host=web2 attempt=1 iteration=1
task_finished label=3.2 host=web2 attempt=1 iteration=1 outcome=ok exit_code=0
block_finished label=3 host= attempt=1 iteration=1 outcome=ok exit_code=0
routed exit_code=None to=4
branch label=4 host= attempt=1 iteration=1 condition=True tasks=2
task_started label=41 host=localhost attempt=1 iteration=1
task_finished label=41 host=localhost attempt=1 iteration=1 outcome=ok exit_code=0
task_skipped label=42 host=localhost attempt=1 iteration=1
block_finished label=4 host= attempt=1 iteration=1 outcome=ok exit_code=0
routed exit_code=None to=5
warning label=5
task_started label=5 host=localhost attempt=1 iteration=1
task_finished label=5 host=localhost attempt=1 iteration=1 outcome=ok exit_code=0
routed exit_code=None to=6
task_started label=6 host=localhost attempt=1 iteration=1
task_finished label=6 host=localhost attempt=1 iteration=1 outcome=failed exit_code=1
routed exit_code=4 to=None
finals_started
task_started label=99 host=localhost attempt=1 iteration=1
task_finished label=99 host=localhost attempt=1 iteration=1 outcome=ok exit_code=0
run_ended exit_code=4 status=failed";
    assert_eq!(found, expected);
    let details = parse_events(
        &sandbox,
        "task,title,command,stdout_bytes,counts,project,change",
    );
    let has = |line: &str| assert!(details.iter().any(|l| l == line), "{line}\n{details:#?}");
    has("run_started project=night change=CHG0042");
    has("task_finished task=3 title= stdout_bytes=4");
    has("task_started task=41 title= command=true");
    has(
        "run_ended counts={'ok': 7, 'failed': 1, 'timeout': 0, 'unreachable': 0, \
         'cancelled': 0, 'not_started': 0, 'skipped': 1, 'unknown': 0}",
    );
    let mode = std::fs::metadata(sandbox.path.join("ev"))
        .expect("ev")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    // Output of commands is in the log only.
    assert!(!sandbox.read("ev").contains("web1web2"));
}

/// Every event with its fields, as documented in the man page and as written.
#[test]
fn the_man_page_names_every_event_and_every_field() {
    let sandbox = Sandbox::new();
    let kinds = |sandbox: &Sandbox| -> Vec<(String, String)> {
        let lines = parse_events(sandbox, "keys");
        let pairs = lines.iter().map(|l| l.split_once(' ').unwrap_or((l, "")));
        pairs
            .map(|(kind, keys)| (kind.into(), keys.into()))
            .collect()
    };
    let ran = sandbox.run(EVERYTHING, &["--events=ev", "-q"]);
    assert_eq!(ran.code, 4, "{ran:?}");
    let mut found = kinds(&sandbox);
    // A run that is interrupted and then resumed: both append to one file.
    let sandbox = Sandbox::new();
    let text = "task=1\nexec=local\ncommand=true\ntask=2\nexec=shell\n\
                command=test -e go || { touch waits; sleep 60; }\n";
    let child = sandbox.start(text, &["--events=ev", "-q"]);
    wait_for("the second task", || sandbox.exists("waits"));
    signal(child.id(), "TERM");
    assert_eq!(finish(child).code, 143);
    sandbox.file("go", "");
    let ran = sandbox.run(text, &["--events=ev", "-q", "--resume"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    found.extend(kinds(&sandbox));
    let lines = parse_events(&sandbox, "resumed,status,signal,level,label,running");
    let has = |line: &str| assert!(lines.iter().any(|l| l == line), "{line}\n{lines:#?}");
    has("run_started resumed=False");
    has("interrupted signal=SIGTERM level=end running=['task 2']");
    has("run_ended status=failed signal=SIGTERM");
    has("run_started resumed=True");
    has("task_restored label=1");
    assert_eq!(
        lines.last().map(String::as_str),
        Some("run_ended status=success signal=None")
    );
    // A host that answers.
    let sandbox = Sandbox::new();
    let ssh = "#!/bin/sh\nshift $(($# - 1)); exec setsid -w sh -c \"$1\"\n";
    sandbox.program("bin/ssh", ssh);
    let tasks = "task=1\nhostname=web1\nexec=ssh\ncommand=true\n";
    sandbox.file("tasks.txt", tasks);
    let options = ["-r", "-q", "--events=ev", "--skip-host-validation"];
    let mut tasker = sandbox.tasker(&[&options[..], &["tasks.txt"]].concat());
    let path = format!("{}/bin:/usr/bin:/bin", sandbox.path.display());
    let output = tasker.env("PATH", path).output();
    assert_eq!(Ran::from(output.expect("tasker runs")).code, 0);
    found.extend(kinds(&sandbox));
    found.sort();
    found.dedup();
    assert_eq!(found, documented_events());
}

/// The list in the section EVENTS: for each `.It Cm KIND` its fields, with those
/// that several events share (`TASK`, `RESULT`) expanded.
fn documented_events() -> Vec<(String, String)> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/man/tasker.1"));
    let page = page.expect("the man page");
    let section = page.split_once("\n.Sh EVENTS\n").expect("EVENTS").1;
    let section = section.split_once("\n.El\n").expect("the list's end").0;
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for line in section.lines() {
        let words = |rest: &str| {
            rest.split([' ', ','])
                .filter(|w| !w.is_empty())
                .map(String::from)
                .collect()
        };
        if let Some(kind) = line.strip_prefix(".It Cm ") {
            found.push((kind.into(), Vec::new()));
        } else if let (Some(fields), Some(last)) = (line.strip_prefix(".Cm "), found.last_mut()) {
            let fields: Vec<String> = words(fields);
            last.1.extend(fields);
        }
    }
    let fields = |kind: &str| {
        let found = found.iter().find(|(k, _)| k == kind);
        found.expect("a list of fields").1.join(" ")
    };
    let (who, result) = (fields("TASK"), fields("RESULT"));
    let full = |fields: &str| fields.replace("TASK", &who).replace("RESULT", &result);
    let kinds = found
        .iter()
        .filter(|(k, _)| k.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
    let mut kinds: Vec<(String, String)> = kinds
        .map(|(k, f)| (k.clone(), full(&f.join(" "))))
        .collect();
    kinds.sort();
    kinds
}

/// A task that runs until the file `go` exists.
const WAITS: &str = "task=1\nexec=local\ncommand=true\n\
     task=2\nexec=shell\ncommand=touch waits; until test -e go; do sleep 0.02; done\n";

#[test]
fn events_appear_while_the_run_is_active() {
    let sandbox = Sandbox::new();
    let child = sandbox.start(WAITS, &["--events=ev"]);
    let starts = || sandbox.read("ev").matches("task_started").count();
    wait_for("the event of the task that runs", || starts() == 2);
    let text = sandbox.read("ev");
    assert!(text.ends_with("}\n"), "{text}");
    assert!(text.contains(&format!("\"pid\":{},", child.id())), "{text}");
    assert!(!text.contains("run_ended"), "{text}");
    sandbox.file("go", "");
    assert_eq!(finish(child).code, 0);
    assert!(parse_events(&sandbox, "status").contains(&"run_ended status=success".into()));
}

fn fifo(sandbox: &Sandbox) {
    let made = Command::new("mkfifo")
        .arg(sandbox.path.join("fifo"))
        .status();
    assert!(made.expect("mkfifo runs").success());
}

#[test]
fn events_can_go_to_a_fifo() {
    let sandbox = Sandbox::new();
    fifo(&sandbox);
    let path = sandbox.path.join("fifo");
    let (send, lines) = mpsc::channel();
    // Opened for reading and writing, so that there is a reader before the run
    // begins.
    let file = std::fs::File::options().read(true).write(true).open(path);
    let reader = BufReader::new(file.expect("the pipe"));
    std::thread::spawn(move || {
        for line in reader.lines().map_while(Result::ok) {
            let ended = line.contains("run_ended");
            if send.send(line).is_err() || ended {
                break;
            }
        }
    });
    let child = sandbox.start(WAITS, &["--events=fifo"]);
    let next = || {
        lines
            .recv_timeout(Duration::from_secs(30))
            .expect("an event")
    };
    while !next().contains("\"event\":\"task_started\",\"task\":2,") {}
    sandbox.file("go", "");
    while !next().contains("run_ended") {}
    assert_eq!(finish(child).code, 0);
}

#[test]
fn a_file_that_cannot_be_opened_is_refused_before_anything_runs() {
    for (file, why) in [
        (
            "fifo",
            "--events: cannot open `fifo`: no process reads it; start its reader first",
        ),
        (
            "absent/ev",
            "--events: cannot open `absent/ev`: No such file",
        ),
        (".", "--events: cannot open `.`: Is a directory"),
    ] {
        let sandbox = Sandbox::new();
        fifo(&sandbox);
        let text = "task=1\nexec=local\ncommand=touch done\n";
        let ran = sandbox.run(text, &["--events", file]);
        assert_eq!(ran.code, 32, "{ran:?}");
        assert!(ran.stderr.contains(why), "{ran:?}");
        assert!(ran.stderr.ends_with("; nothing was run\n"), "{ran:?}");
        assert!(sandbox.log().contains(why), "{}", sandbox.log());
        assert!(!sandbox.exists("done"));
    }
}

#[test]
fn a_full_disk_is_reported_once_and_does_not_end_the_run() {
    let sandbox = Sandbox::new();
    let text = "task=1\nexec=local\ncommand=true\nnext=loop\nloop=3\n";
    let ran = sandbox.run(text, &["-q", "--events=/dev/full"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        ran.stderr,
        "tasker: cannot write events to `/dev/full`: No space left on device; \
         the run continues without them\n"
    );
}

/// One line is longer than the pipe; once the pipe is read again, lines are
/// complete.
#[test]
fn a_reader_that_does_not_read_does_not_delay_the_run() {
    let sandbox = Sandbox::new();
    fifo(&sandbox);
    let path = sandbox.path.join("fifo");
    let pipe = std::fs::File::options().read(true).write(true).open(path);
    let mut pipe = pipe.expect("the pipe");
    let title = "x".repeat(200_000);
    let text = format!(
        "# {title}\ntask=1\nexec=local\ncommand=true\n{}",
        WAITS
            .replace("task=2", "task=3")
            .replace("task=1", "task=2")
    );
    let child = sandbox.start(&text, &["-q", "--events=fifo"]);
    wait_for("the last task", || sandbox.exists("waits"));
    let mut bytes = vec![0; 1 << 20];
    let length = pipe.read(&mut bytes).expect("what the pipe holds");
    sandbox.file("go", "");
    let ran = finish(child);
    assert_eq!(ran.code, 0, "{ran:?}");
    let message = "tasker: cannot write events to `fifo`: its reader is not reading; the run continues without them\n";
    assert_eq!(ran.stderr, message);
    let rest = pipe.read(&mut bytes[length..]).expect("the rest");
    sandbox.file("ev", &bytes[..length + rest]);
    let text = sandbox.read("ev");
    let (whole, torn): (Vec<&str>, Vec<&str>) = text.lines().partition(|l| l.ends_with('}'));
    assert_eq!(torn.len(), 1, "{torn:?}");
    assert!(
        whole.last().is_some_and(|l| l.contains("run_ended")),
        "{text}"
    );
}

#[test]
fn a_run_that_is_refused_after_run_started_has_run_ended() {
    let sandbox = Sandbox::new();
    let text = "task=1\nhostname=h.invalid\nexec=ssh\ncommand=true\n";
    let ran = sandbox.run(text, &["--events=ev"]);
    assert_eq!(ran.code, 60, "{ran:?}");
    let found = parse_events(&sandbox, "exit_code,status,signal,why");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("run_started"), "{found:?}");
    let end = "run_ended exit_code=60 status=failed signal=None why=host validation failed";
    assert!(found[1].starts_with(end), "{found:?}");
}

#[test]
fn hostile_text_and_secrets_are_inert() {
    let sandbox = Sandbox::new();
    let secret = r#"a"b\c'd"#;
    sandbox.file("out", b"\x1b]52;c;\xff\n{\"v\":1}\n");
    let text = format!(
        "SECRET_A={secret}\n\
         # \u{1b}[31m\"quoted\" \\ \u{202e}</script> {secret}\n\
         task=1\nexec=local\ncommand=cat out\n\
         task=2\nexec=shell\nenv.A=@SECRET_A@\ncommand=printf %s \"$A\"\n\
         task=3\nexec=local\ncommand=echo @2_stdout@\ncondition=@2_stdout@=@SECRET_A@\n"
    );
    let ran = sandbox.run(&text, &["--events=ev", "-q"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let found = parse_events(&sandbox, "title,command");
    assert!(
        found
            .iter()
            .any(|l| l.contains("\"quoted\" \\ \u{202e}</script> ***")),
        "{found:#?}"
    );
    assert!(
        found
            .iter()
            .any(|l| l.contains("command=echo") && l.contains("***")),
        "{found:#?}"
    );
    let raw = sandbox.read("ev");
    assert!(
        !raw.contains(|c: char| c.is_control() && c != '\n'),
        "{raw}"
    );
    for leak in [secret, "b\\\\c", "b\\c", "c'd", "\u{202e}"] {
        assert!(!raw.contains(leak), "{leak}: {raw}");
    }
}

/// Output and events share a file without overwriting each other.
#[test]
fn events_can_share_a_file_with_the_output() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", "task=1\nexec=local\ncommand=true\n");
    let mut command = sandbox.tasker(&["-r", "--events=/dev/stdout", "tasks.txt"]);
    let file = std::fs::File::create(sandbox.path.join("out")).expect("a file");
    command.stdout(file);
    assert!(command.status().expect("tasker runs").success());
    let text = sandbox.read("out");
    assert!(!text.contains('\0'), "{text}");
    let (events, rest): (Vec<&str>, Vec<&str>) = text.lines().partition(|l| l.starts_with('{'));
    assert_eq!(events.len(), 5, "{text}");
    assert!(
        rest.iter().any(|l| l.starts_with("tasker: log: ")),
        "{text}"
    );
}

#[test]
fn a_dry_run_writes_no_events() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "tasks.txt",
        "--events=ev\ntask=1\nexec=local\ncommand=true\n",
    );
    let output = sandbox
        .tasker(&["tasks.txt"])
        .output()
        .expect("tasker runs");
    assert!(output.status.success());
    assert!(!sandbox.exists("ev"));
    let output = sandbox.tasker(&["-r", "tasks.txt"]).output();
    assert!(output.expect("tasker runs").status.success());
    assert_eq!(parse_events(&sandbox, "status").len(), 5);
}
