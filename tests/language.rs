//! Difficult inputs: files that are truncated, huge, malicious or random. Each is
//! refused or accepted in bounded time with a clear message, and none runs
//! anything: every command here would create a file `ran`.

mod support;

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use support::{Ran, Sandbox};

/// Every construct of the language in one valid file.
const RICH: &str = r#"#!/usr/bin/env tasker
--log-level=DEBUG
-p NIGHTLY
--set LEVEL=high

HOST=localhost
URL=https://@HOST@/${TASKER_NO_SUCH:-status}?q=@@
OPTS=--quiet --level=@LEVEL@
DB_PASSWORD=s3cret-enough
OK=exit_0 & !stderr~fatal
LEVEL=low

# The first of all
task=1
name=fetch
hostname=@HOST@
command=touch ran
arguments=@OPTS@ "two words" 'it''s' \$HOME $PATH @URL@
env.PW=@DB_PASSWORD@
timeout=90s   # seconds
success=@OK@
retry_count=3
retry_delay=1s..5s
retry_on=failed,timeout,7
stdout_split=comma,-1
next=exit_0 | stdout~"a \"b\"" & (duration<5 | NOT stderr_count>3)
on_success=2
on_failure=90
sleep=250ms

task=2
exec=shell
command=touch ran; echo "@fetch_stdout@" | tr a-z A-Z; case x in a) echo '@1_exit@';; esac
stdin=@1_stdout@
workdir=/tmp
condition=@fetch_success@ & @1_stdout@!=

task=3
type=decision
success=@1_exit@=0 OR @2_stdout@~yes
next=always

task=4
hostname=localhost
command=touch ran
next=loop
loop=5
loop_break=stdout~ready
on_failure=99

task=10
type=parallel
tasks=11,12-13
max_parallel=2
fail_fast=25%
block_timeout=5m
success=min_success=50% & failed_count<2
on_failure=90

task=11
hostname=localhost
command=touch ran
task=12
hostname=localhost
command=touch ran
task=13
hostname=localhost
command=touch ran

task=20
type=parallel
hostnames=web[01-20].prod,!web[05-06].prod,db1
command=touch ran @hostname@
exec=shell
waves=1,25%,rest
wave_check=21
wave_pause=10s
unreachable=skip

task=21
exec=local
command=touch ran

task=30
type=conditional
condition=@10_success_count@>=2 & @fetch_hostname@!=x
if_true_tasks=31
if_false_tasks=32,33

task=31
exec=local
command=touch ran
task=32
exec=local
command=touch ran
task=33
return=0

task=40
next=never

# Undo
task=90
hostname=localhost
command=touch ran
on_success=99
task=99
return=3

task=100
finally=true
hostname=localhost
command=touch ran
arguments=@run_outcome@ @20_failed_hosts:-none@
"#;

/// Runs tasker on these bytes, from standard input or a file; it is killed after 20
/// s.
fn check(options: &[&str], content: &[u8]) -> Ran {
    let sandbox = Sandbox::new();
    let file = sandbox.file("tasks.txt", content);
    let mut arguments: Vec<&str> = options.to_vec();
    arguments.push("tasks.txt");
    let create = |name: &str| std::fs::File::create(sandbox.path.join(name)).expect("a file");
    let child = sandbox
        .tasker(&arguments)
        .stdout(create("stdout"))
        .stderr(create("stderr"))
        .stdin(Stdio::null())
        .spawn()
        .expect("tasker starts");
    let code = wait_for_output(child);
    let ran = Ran {
        code,
        stdout: sandbox.read("stdout"),
        stderr: sandbox.read("stderr"),
    };
    assert!(!sandbox.exists("ran"), "something was run: {ran:.2000?}");
    assert!(
        !ran.stderr.contains("panicked") && code >= 0,
        "{code}: {}\n{}",
        ran.stderr,
        std::fs::read_to_string(file).unwrap_or_default()
    );
    ran
}

fn wait_for_output(mut child: Child) -> i32 {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return status.code().unwrap_or(-1);
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            panic!("not done after 60 s");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Checks that a real run refuses the file, with this text in the reason.
#[track_caller]
fn refused(content: impl AsRef<[u8]>, code: i32, reason: &str) -> Ran {
    let ran = check(&["-r"], content.as_ref());
    assert_eq!(ran.code, code, "{:.2000}", ran.stderr);
    assert!(ran.stderr.contains(reason), "{:.2000}", ran.stderr);
    assert!(
        ran.stderr.ends_with("nothing was run\n"),
        "{:.2000}",
        ran.stderr
    );
    // However long the lines of the file are, the messages stay readable.
    assert!(ran.stderr.len() < 60_000, "{} bytes", ran.stderr.len());
    ran
}

/// Checks that the file is valid: a dry run lists it.
#[track_caller]
fn accepted(content: impl AsRef<[u8]>) -> Ran {
    let ran = check(&[], content.as_ref());
    assert_eq!(ran.code, 0, "{:.2000}", ran.stderr);
    ran
}

/// The same without the list, for large files.
#[track_caller]
fn valid(content: impl AsRef<[u8]>) {
    let ran = check(&["--validate-only"], content.as_ref());
    assert_eq!(ran.code, 0, "{:.2000}", ran.stderr);
}

const TASK: &str = "task=1\nhostname=localhost\ncommand=touch ran\n";

#[test]
fn the_full_file_is_valid() {
    let ran = accepted(RICH);
    assert_eq!(ran.stderr, "");
    assert!(!ran.stdout.contains("s3cret"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("--level=high"),
        "--set wins: {}",
        ran.stdout
    );
}

#[test]
fn a_file_may_be_cut_off_anywhere() {
    for cut in (0..RICH.len()).step_by(RICH.len() / 60) {
        let ran = check(&[], &RICH.as_bytes()[..cut]);
        assert!([0, 20, 24].contains(&ran.code), "{cut}: {}", ran.stderr);
    }
}

#[test]
fn invalid_utf_8_is_reported_with_its_place() {
    refused(
        b"task=1\n\nname=\xff\xfe\n",
        20,
        "tasks.txt:3:6: error: this byte is not valid UTF-8",
    );
    refused(
        b"task=1\r\ncommand=a\0b\r\n",
        20,
        "tasks.txt:2:10: error: a NUL byte",
    );
    refused(
        b"\xff\xfet\0a\0s\0k\0",
        20,
        "tasks.txt:1:1: error: this byte is not valid UTF-8",
    );
    refused(
        b"\0".repeat(1 << 20),
        20,
        "tasks.txt:1:1: error: a NUL byte",
    );
    refused(b"\x7fELF\x02\x01\x01\0\0", 20, "error: a NUL byte");
    // An overlong form, a surrogate, a truncated character at the very end.
    for bad in [&b"A=\xc0\xaf\n"[..], b"A=\xed\xa0\x80\n", b"A=\xe2\x82"] {
        refused(
            bad,
            20,
            "tasks.txt:1:3: error: this byte is not valid UTF-8",
        );
    }
}

#[test]
fn a_bom_and_crlf_are_ignored() {
    // The plan id of a file with secrets differs between log directories.
    let listed = |text: String| {
        let ran = accepted(text);
        let (list, id) = ran.stdout.rsplit_once("plan: ").expect("an id");
        assert_eq!(id.len(), 40, "{id}");
        list.to_string()
    };
    let plain = listed(RICH.into());
    assert_eq!(listed(RICH.replace('\n', "\r\n")), plain);
    assert_eq!(listed(format!("\u{feff}{RICH}")), plain);
    assert_eq!(listed(RICH.trim_end().into()), plain);
    refused("\u{feff}task=x", 20, "tasks.txt:1:6");
    // A BOM inside the file is an ordinary character.
    refused(
        format!("{TASK}\u{feff}name=x\n"),
        20,
        "is not a valid name for a key",
    );
}

#[test]
fn escape_codes_are_not_printed() {
    let ran = refused("task=1\x1b[31m\nname=\x07\n", 20, "expected a task id");
    assert!(!ran.stderr.contains(['\x1b', '\x07']), "{:?}", ran.stderr);
}

#[test]
fn a_line_can_be_huge() {
    let long = "x".repeat(10 << 20);
    refused(&long, 20, "without `=`");
    refused(format!("task={long}"), 20, "expected a task id");
    let long = &long[..1 << 20];
    refused(format!("{long}=1\ntask={long}"), 20, "expected a task id");
    refused(format!("{TASK}{long}=1"), 20, "unknown key");
    refused(
        format!("{TASK}next={long}"),
        20,
        "or a condition, found `xxx",
    );
    refused(
        format!("{TASK}success=stdout~a | {long}"),
        20,
        "is not a condition",
    );
    refused(format!("{TASK}timeout={long}"), 20, "expected a duration");
    refused(
        format!("{TASK}arguments=@{long}@"),
        20,
        "there is no global `xxx",
    );
    refused(
        format!("{TASK}arguments=\"{long}"),
        20,
        "this quote is never closed",
    );
    refused(format!("{TASK}goto={long}"), 20, "there is no task");
    refused(format!("--{long}\n{TASK}"), 20, "unknown option");
    refused(
        format!("{TASK}arguments={long}"),
        20,
        "at most 131071 bytes",
    );
    refused(
        format!("A={long}x\n{TASK}arguments=@A@"),
        20,
        "exceeds 1 MiB",
    );
}

#[test]
fn a_line_can_have_many_parts() {
    let times = |part: &str| part.repeat((1 << 20) / part.len());
    refused(format!("{TASK}success={}", times("(")), 20, "levels deep");
    refused(format!("{TASK}success={}", times("!")), 20, "levels deep");
    accepted(format!("{TASK}success={}exit_0", times("exit_0 & ")));
    accepted(format!(
        "{TASK}success={}exit_0",
        times("stdout~\"a b\" | ")
    ));
    refused(
        format!("{TASK}arguments={}", times("@X@")),
        20,
        "there is no global `X`",
    );
    refused(
        format!("A={}\n{TASK}", times("@X@")),
        20,
        "there is no global `X`",
    );
    refused(
        format!("A={}\n{TASK}", times("${")),
        20,
        "expected `${NAME}`",
    );
    refused(format!("A={}\n{TASK}", times("@A@")), 20, "A -> A");
    refused(
        format!("{TASK}task=5\ntype=parallel\ntasks={}1", times("1,")),
        20,
        "listed twice",
    );
    refused(
        format!("{TASK}task=5\ntype=parallel\ntasks={}", times("2-1,")),
        20,
        "runs backwards",
    );
    refused(
        format!("{TASK}retry_on={}", times("1,x,")),
        20,
        "or an exit code",
    );
    refused(times("a\n"), 20, "without `=`");
    refused(times("task=1\n"), 20, "task 1 is defined twice");
    refused(
        format!("{TASK}{}", times("name=a\n")),
        20,
        "`name` is given twice",
    );
    refused(
        format!("{}{TASK}", times("A=1\n")),
        20,
        "the global `A` is defined twice",
    );
    refused(format!("{}{TASK}", times("--set\n")), 20, "needs a value");
    refused(format!("{TASK}{}", times("-q\n")), 20, "move it up");
}

#[test]
fn deep_nesting_is_refused() {
    refused(
        format!("A={}x\n{TASK}", "${B:-".repeat(100_000)),
        20,
        "expected `${NAME}`",
    );
    let closed = format!("A={}x{}\n{TASK}", "${B:-".repeat(1000), "}".repeat(1000));
    refused(closed, 20, "more than 20 deep");
    let blocks: String = (0..20_000)
        .map(|i| {
            format!(
                "task={i}\ntype=conditional\ncondition=true\nif_true_tasks={}\n",
                i + 1
            )
        })
        .collect();
    refused(
        format!("{blocks}task=20000\nreturn=0\n"),
        20,
        "more than 50 deep",
    );
}

/// A line for each number, joined.
fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect()
}

#[test]
fn a_hundred_thousand_tasks_can_be_read() {
    let tasks = lines(100_000, |i| {
        format!("task={i}\nname=t{i}\nhostname=localhost\ncommand=touch ran\n")
    });
    let ran = accepted(&tasks);
    assert!(ran.stdout.contains("\ntasks.txt: 100000 tasks"));
    refused(
        format!("{tasks}goto=t9999x"),
        20,
        "there is no task `t9999x`",
    );
    let chained = lines(100_000, |i| {
        let before = i.saturating_sub(1);
        let key = if i == 0 { "success" } else { "arguments" };
        format!(
            "task={i}\nexec=local\ncommand=touch ran\n{key}=@{before}_stdout@\nnext=success\non_failure=99999\n"
        )
    });
    let first = "arguments=@0_stdout@\n";
    valid(chained.replacen(first, "", 1));
    let typos = lines(50_000, |i| {
        format!("task={i}\nname=n{i}\nexec=local\ncommand=touch @m{i}@ @n{i}_exitt@\ngoto=m{i}\n")
    });
    refused(typos, 20, "150000 errors");
    refused(
        format!("task=999999\ncommand={}", "x"),
        20,
        "needs a `hostname`",
    );
}

#[test]
fn a_block_can_be_large() {
    let members = lines(50_000, |i| {
        format!("task={i}\nexec=local\ncommand=touch ran\n")
    });
    accepted(format!(
        "{members}task=60000\ntype=parallel\ntasks=0-49999\ntask=70000\nreturn=0\n"
    ));
    let listed = (0..50_000)
        .map(|i| i.to_string())
        .collect::<Vec<_>>()
        .join(",");
    accepted(format!(
        "{members}task=60000\ntype=parallel\ntasks={listed}\n"
    ));
    let twice = format!("{members}task=60000\ntype=parallel\ntasks={listed},0-49999\n");
    refused(twice, 20, "listed twice");
    let owners = format!(
        "{members}task=60000\ntype=parallel\ntasks=0-49999\ntask=60001\ntype=parallel\ntasks=0-49999\n"
    );
    refused(owners, 20, "belongs to two blocks, 60000 and 60001");
    let circle = lines(1000, |i| {
        format!(
            "task={i}\ntype=conditional\ncondition=true\nif_true_tasks={}\n",
            (i + 1) % 1000
        )
    });
    refused(circle, 20, "error: ");
    let keys = lines(100_000, |i| format!("env.V{i}={i}\n"));
    accepted(format!("{TASK}{keys}"));
}

#[test]
fn globals_can_be_many_but_are_bounded() {
    let chain = lines(100_000, |i| format!("G{i}=@G{}@\n", i + 1));
    let used = format!("{TASK}arguments=@G0@\n");
    let ran = accepted(format!("{chain}G100000=the end\n{used}"));
    assert!(ran.stdout.contains("touch ran the end"), "{}", ran.stdout);
    refused(format!("{chain}{used}"), 20, "there is no global `G100000`");
    refused(
        format!("{chain}G100000=@G0@\n{used}"),
        20,
        "refer to each other in a circle: G0 -> G1 -> ",
    );
    let growing = lines(100_000, |i| format!("G{i}=x@G{}@\n", i + 1));
    refused(format!("{growing}G100000=x\n{used}"), 20, "exceed 64 MiB");
    let doubling = lines(100, |i| format!("G{i}=@G{0}@@G{0}@\n", i + 1));
    refused(format!("{doubling}G100=x\n{used}"), 20, "exceeds 1 MiB");
    let many = lines(20_000, |i| {
        format!("task={}\nexec=local\ncommand=touch @A@\n", i + 2)
    });
    let large = "x".repeat(100_000);
    refused(
        format!("A={large}\n{many}"),
        20,
        "add up to more than 64 MiB",
    );
    let every = lines(2000, |i| {
        format!(
            "G{i}={}\n",
            (0..100)
                .map(|j| format!("@G{}@", (i * 7 + j) % 2000))
                .collect::<String>()
        )
    });
    refused(
        format!("{every}{used}"),
        20,
        "refer to each other in a circle",
    );
}

#[test]
fn node_sets_are_bounded() {
    let block = |set: &str| {
        format!("task=1\ntype=parallel\nhostnames={set}\nexec=local\ncommand=touch ran\n")
    };
    valid(block("web[000001-100000]"));
    refused(block("web[1-100001]"), 20, "more than 100000 hosts");
    refused(
        block("a[1-999]b[1-999]c[1-999]"),
        20,
        "more than 100000 hosts",
    );
    refused(
        block("a[1-999999999999999999]"),
        20,
        "more than 100000 hosts",
    );
    refused(block("a[1-18446744073709551616]"), 20, "expected a range");
    refused(block(&"a[1-99999],".repeat(100_000)), 20, "1000000 hosts");
    refused(
        block(&"[1]".repeat(1_000_000)),
        20,
        "at most 253 characters",
    );
    refused(block(&"[".repeat(1_000_000)), 20, "`[` without `]`");
    refused(block(&",".repeat(1_000_000)), 20, "this node set is empty");
    refused(block(&format!("a[{}]", "1-9,".repeat(1_000_000))), 20, "a");
    refused(block("file:/dev/zero"), 20, "larger than 64 MiB");
    refused(block("file:/"), 20, "Is a directory");
    let hosts = lines(100_000, |i| format!("web{i},"));
    valid(block(&hosts));
}
