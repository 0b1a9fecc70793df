//! The page of `--report` (SPEC §6.7): what it shows for each way a run can end,
//! and that everything in it is only text. `report.py` reads it as a browser would;
//! `ui.py` uses a real browser.

#[path = "support/hostile.rs"]
mod data;
mod support;

use data::hostile;
use std::process::Command;
use support::{Ran, Sandbox, finish, run_of, signal, wait_for};

/// The contents of the page, one line each: `row OUTCOME | TASK | …`, `bar CLASS |
/// TITLE`, `text …`.
struct Page(Vec<String>);

/// Reads `report.html`; fails if it breaks a rule for every page.
#[track_caller]
fn page(sandbox: &Sandbox) -> Page {
    let reader = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/report.py");
    let path = sandbox.path.join("report.html");
    let read = Command::new("python3").arg(reader).arg(path).output();
    let read = Ran::from(read.expect("python runs"));
    assert_eq!(read.code, 0, "{}", read.stderr);
    Page(read.stdout.lines().map(String::from).collect())
}

impl Page {
    #[track_caller]
    fn rows(&self, expected: &[&str]) {
        // Times differ from run to run.
        let row = |l: &String| {
            let cells: Vec<&str> = l.strip_prefix("row ")?.split(" | ").collect();
            let [outcome, task, title, host, _, exit, attempts, ..] = cells[..] else {
                panic!("{l}");
            };
            Some(format!("{outcome} {task} {title} {host} {exit} {attempts}"))
        };
        let rows: Vec<String> = self.0.iter().filter_map(row).collect();
        let words = |l: &str| l.split_whitespace().collect::<Vec<_>>().join(" ");
        let rows: Vec<String> = rows.iter().map(|r| words(r)).collect();
        assert_eq!(rows, expected);
    }

    #[track_caller]
    fn assert_text(&self, text: &str) {
        let found = self.0.iter().any(|l| l.contains(text));
        assert!(found, "no `{text}` in\n{}", self.0.join("\n"));
    }

    fn bars(&self, class: &str) -> usize {
        let bar = format!("bar {class} |");
        self.0.iter().filter(|l| l.starts_with(&bar)).count()
    }
}

const REPORT: [&str; 2] = ["--report", "report.html"];

#[track_caller]
fn run(tasks: &str, options: &[&str], code: i32) -> (Sandbox, Ran) {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(tasks, &[&REPORT[..], options].concat());
    assert_eq!(ran.code, code, "{ran:?}");
    (sandbox, ran)
}

#[test]
fn a_successful_run_is_shown_completely() {
    let tasks = "CHANGE=CHG1\n\
        # First\ntask=1\nexec=local\ncommand=echo one\n\
        task=2\ncondition=@1_stdout@=two\nexec=local\ncommand=true\n\
        # Hosts\ntask=3\ntype=parallel\nhostnames=h[1-3],localhost\nexec=shell\ncommand=echo same\nsleep=0.01\n\
        # Again\ntask=4\nnext=loop\nloop=3\nexec=local\ncommand=true\nsleep=0.01\n\
        task=5\nfinally=true\nexec=local\ncommand=echo off\n";
    let (sandbox, _) = run(tasks, &["-p", "PROD"], 0);
    let page = page(&sandbox);
    page.rows(&[
        "ok 1 First 0 1",
        "skipped 2",
        "ok 3 Hosts 0 1",
        "ok 3 h1 0 1",
        "ok 3 h2 0 1",
        "ok 3 h3 0 1",
        "ok 3 localhost 0 1",
        "ok 4 Again 0 1",
        "ok 5 0 1",
    ]);
    page.assert_text("tasks.txt ok");
    page.assert_text("hosts 4 ok");
    page.assert_text("Change CHG1");
    page.assert_text("Project PROD");
    page.assert_text("final tasks start");
    // Equal outputs once, and the plan and the task file.
    page.assert_text("h[1-3],localhost (4): ok stdout 5 bytes");
    page.assert_text("parallel, at most 50 at once, on each of h[1-3],localhost");
    page.assert_text("hostnames=h[1-3],localhost");
    assert_eq!(page.bars("sleep"), 3);
    assert_eq!(page.bars("block ok"), 1);
    assert!(!page.0.iter().any(|l| l.contains("go on from")));
    let mode = std::fs::metadata(sandbox.path.join("report.html")).expect("a page");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    let left = std::fs::read_dir(&sandbox.path).expect("the sandbox");
    let left = left
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().contains("report"));
    assert_eq!(left.count(), 1, "something is left next to the page");
}

#[test]
fn a_failure_is_at_the_top_with_the_command_to_continue() {
    let tasks = "# Deploy\ntask=1\nexec=shell\ncommand=echo trying; echo no answer >&2; exit 7\n\
        retry_count=2\nretry_delay=0.01\ntask=2\nexec=local\ncommand=true\n";
    let (sandbox, _) = run(tasks, &[], 7);
    let page = page(&sandbox);
    page.rows(&["failed 1 Deploy 7 3", "not_reached 2"]);
    page.assert_text("tasks.txt failed with exit code 7");
    page.assert_text("Task 1 Deploy failed with exit code 7");
    page.assert_text("on attempt 3 ( tasks.txt:2 )");
    page.assert_text("/bin/bash -c 'echo trying; echo no answer >&2; exit 7'");
    page.assert_text("stderr, last lines no answer");
    let journal = sandbox.journals().remove(0);
    let id = run_of(&journal);
    page.assert_text(&format!(
        "tasker -r --resume={id} --report report.html tasks.txt"
    ));
    assert_eq!((page.bars("failed"), page.bars("wait")), (3, 2));
}

#[test]
fn further_failures_are_named_with_the_first() {
    let tasks = "task=1\nexec=shell\ncommand=exit 3\ntask=2\nexec=local\ncommand=true\n\
        task=3\nexec=shell\ncommand=exit 4\n";
    let (sandbox, _) = run(tasks, &["--keep-going"], 1);
    let page = page(&sandbox);
    page.assert_text("Task 1 failed with exit code 3");
    page.assert_text("Also failed: 3 ");
}

#[test]
fn failed_hosts_are_grouped_by_their_output() {
    let tasks = "task=1\ntype=parallel\nhostnames=h[1-5]\nexec=shell\ntimeout=1\n\
        command=case @hostname@ in h2|h4) echo refused >&2; exit 3;; h5) sleep 9;; esac\n";
    let (sandbox, _) = run(tasks, &[], 10);
    let page = page(&sandbox);
    page.assert_text("failed (2 ok, 2 failed, 1 timeout)");
    page.assert_text("h[2,4] (2): exit 3: refused");
    page.rows(&[
        "failed 1 1 1",
        "ok 1 h1 0 1",
        "failed 1 h2 3 1",
        "ok 1 h3 0 1",
        "failed 1 h4 3 1",
        "timeout 1 h5 124 1",
    ]);
    assert_eq!((page.bars("failed"), page.bars("timeout")), (2, 1));
}

#[test]
fn a_signal_is_marked_and_ends_the_timeline() {
    let sandbox = Sandbox::new();
    let tasks = "task=1\nexec=shell\ncommand=touch begun; sleep 60\n\
        task=2\nexec=local\ncommand=true\n\
        task=3\nfinally=true\nexec=local\ncommand=echo off\n";
    let child = sandbox.start(tasks, &REPORT);
    wait_for("the task", || sandbox.exists("begun"));
    signal(child.id(), "TERM");
    assert_eq!(finish(child).code, 143);
    let page = page(&sandbox);
    page.assert_text("tasks.txt ended by SIGTERM with exit code 143");
    page.assert_text("SIGTERM at ");
    page.rows(&["cancelled 1 143 1", "not_reached 2", "ok 3 0 1"]);
    assert_eq!(page.bars("cancelled"), 1);
}

#[test]
fn a_refused_run_replaces_the_page_of_an_earlier_one() {
    let sandbox = Sandbox::new();
    let good = "task=1\nexec=local\ncommand=true\n";
    assert_eq!(sandbox.run(good, &REPORT).code, 0);
    page(&sandbox).assert_text("tasks.txt ok");
    // Refused by the command line, by the file, and before the file is read.
    assert_eq!(
        sandbox
            .run(good, &["--report", "report.html", "--expect-hosts", "4"])
            .code,
        13
    );
    let refused = page(&sandbox);
    refused.assert_text("tasks.txt did not run, exit code 13");
    refused.assert_text("--expect-hosts: expected 4, the plan has no host except this machine");
    refused.rows(&[]);
    assert_eq!(sandbox.run("task=1\ncommnd=true\n", &REPORT).code, 20);
    let refused = page(&sandbox);
    refused.assert_text("tasks.txt did not run, exit code 20");
    refused.assert_text("tasks.txt:2:1: error: unknown key `commnd`");
    let mut gone = sandbox.tasker(&["-r", "--report", "report.html", "gone.txt"]);
    assert_eq!(Ran::from(gone.output().expect("tasker runs")).code, 30);
    page(&sandbox).assert_text("gone.txt did not run, exit code 30");
}

#[test]
fn nested_blocks_and_skipped_tasks_are_shown() {
    let tasks = "task=1\nexec=local\ncommand=echo yes\n\
        # Fork\ntask=2\ntype=conditional\ncondition=@1_stdout@=yes\nif_true_tasks=3,4\nif_false_tasks=5\n\
        task=3\ntype=parallel\ntasks=6,7\n\
        # Waves\ntask=4\ntype=parallel\nhostnames=h[1-2]\nexec=local\ncommand=true\nwaves=1,rest\nwave_check=8\n\
        task=5\nexec=local\ncommand=true\n\
        # Left\ntask=6\nexec=local\ncommand=true\n\
        # Right\ntask=7\nexec=local\ncommand=true\n\
        # Check\ntask=8\nexec=local\ncommand=true\n";
    let (sandbox, _) = run(tasks, &[], 0);
    let page = page(&sandbox);
    page.rows(&[
        "ok 1 0 1",
        "ok 2 Fork 0 1",
        "ok 3 0 1",
        "ok 4 Waves 0 1",
        "ok 4 h1 0 1",
        "ok 4 h2 0 1",
        "not_reached 5",
        "ok 6 Left 0 1",
        "ok 7 Right 0 1",
        "ok 8 Check 0 1",
    ]);
    assert_eq!((page.bars("block ok"), page.bars("ok")), (3, 6));
    page.assert_text("between waves: 8 Check ok");
}

#[test]
fn hosts_that_are_left_out_have_their_rows() {
    let sandbox = Sandbox::new();
    sandbox.program("bin/ssh", "#!/bin/sh\necho no route >&2\nexit 255\n");
    let tasks = "task=1\ntype=parallel\nhostnames=h[1-2],localhost\nexec=ssh\ncommand=true\n\
        unreachable=skip\n";
    sandbox.file("tasks.txt", tasks);
    let arguments = [
        &["-r", "--skip-host-validation"],
        &REPORT[..],
        &["tasks.txt"],
    ]
    .concat();
    let mut tasker = sandbox.tasker(&arguments);
    let path = format!("{}:/usr/bin:/bin", sandbox.path.join("bin").display());
    let ran = Ran::from(tasker.env("PATH", path).output().expect("tasker runs"));
    assert_eq!(ran.code, 10, "{ran:?}");
    let page = page(&sandbox);
    page.assert_text("row unreachable | 1 |  | h2 | unreachable");
    page.assert_text("left out of the criterion");
}

#[test]
fn results_of_an_earlier_run_are_marked_as_such() {
    let tasks = "task=1\nexec=local\ncommand=echo one\n\
        task=2\nexec=shell\ncommand=test -e mended\n";
    let (sandbox, _) = run(tasks, &[], 1);
    sandbox.file("mended", "");
    assert_eq!(
        sandbox
            .run(tasks, &["--resume", "--report", "report.html"])
            .code,
        0
    );
    let page = page(&sandbox);
    page.rows(&["ok 1 0 1", "ok 2 0 1"]);
    page.assert_text("an earlier run: ok");
    assert_eq!((page.bars("earlier"), page.bars("ok")), (2, 1));
}

#[test]
fn a_dry_run_writes_no_page() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", "task=1\nexec=local\ncommand=true\n");
    for more in [&[][..], &["--assume", "1=exit 3"]] {
        let arguments = [&REPORT[..], more, &["tasks.txt"]].concat();
        sandbox.tasker(&arguments).output().expect("tasker runs");
        assert!(!sandbox.exists("report.html"), "{more:?}");
    }
}

#[test]
fn an_unwritable_page_is_found_before_anything_runs() {
    let sandbox = Sandbox::new();
    let tasks = "task=1\nexec=shell\ncommand=touch ran\n";
    sandbox.file("file", "");
    for (path, why) in [
        ("gone/report.html", "No such file or directory"),
        ("file/report.html", "Not a directory"),
        (".", "Is a directory"),
    ] {
        let ran = sandbox.run(tasks, &["--report", path]);
        assert_eq!(ran.code, 32, "{path}: {ran:?}");
        let reported = ran.stderr.contains(path) && ran.stderr.contains(why);
        assert!(reported, "{path}: {}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "reported once: {ran:?}");
        assert!(!sandbox.exists("ran"));
    }
}

#[test]
fn the_task_file_is_never_overwritten_by_a_page() {
    let sandbox = Sandbox::new();
    // Also if the run would be refused for another reason.
    for tasks in [
        "task=1\nexec=shell\ncommand=touch ran\n",
        "task=1\ncommnd=true\n",
    ] {
        let ran = sandbox.run(tasks, &["--report", "./tasks.txt"]);
        assert!(matches!(ran.code, 2 | 20), "{ran:?}");
        assert_eq!(sandbox.read("tasks.txt"), tasks);
        assert!(!sandbox.exists("ran"));
    }
}

#[test]
fn a_page_that_cannot_be_written_in_the_end_changes_no_exit_code() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path.join("pages")).expect("a directory");
    let tasks = "task=1\nexec=shell\ncommand=rm -r pages; exit 3\n";
    let ran = sandbox.run(tasks, &["--report", "pages/report.html"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(
        ran.stderr.contains("cannot write `pages/report.html`: "),
        "{ran:?}"
    );
    assert!(sandbox.log().contains("cannot write `pages/report.html`: "));
}

#[test]
fn hostile_text_is_inert_and_secrets_stay_out() {
    let sandbox = Sandbox::new();
    let mut data = hostile();
    data.extend([
        b"</script><script>alert(1)</script>".to_vec(),
        b"<!-- --><img src=http://x.invalid/ onerror=alert(1)>".to_vec(),
        b"</pre></td></table><b id='t1' onclick=\"x\">&amp;&lt;".to_vec(),
        b"]]></svg></title></style>".to_vec(),
        "\u{202e}\u{2066}gpj.exe\0".into(),
        b"\x1b]52;c;aGk=\x07\x1b[2J\r[2026-01-01 00:00:00] [INFO] forged".to_vec(),
        vec![b'<'; 200_000],
    ]);
    let mut tasks = String::from("DB_PASSWORD=pass<word&1\n");
    for (number, bytes) in data.iter().enumerate() {
        sandbox.file(&format!("in/{number}"), bytes);
        // In both streams, a title, words, and a host's name from a result.
        tasks += &format!(
            "# <i>title</i> \" {number}\ntask={number}\nexec=shell\ncommand=cat in/{number}; cat in/{number} >&2; \
             echo '<b>'\"@DB_PASSWORD@\" pass'<word&1'\n"
        );
    }
    let last = data.len();
    tasks += &format!(
        "task={last}\nexec=local\ncommand=cat in/{} in/37\nsuccess=exit_9\n",
        last - 1
    );
    let ran = sandbox.run(&tasks, &["--report", "report.html", "-q"]);
    assert_eq!(ran.code, 10, "{}", ran.stderr);
    let page = page(&sandbox);
    assert_eq!(
        page.0.iter().filter(|l| l.starts_with("row ")).count(),
        last + 1
    );
    page.assert_text("</script><script>alert(1)</script>");
    page.assert_text("\\x1b]52;c;aGk=\\x07\\x1b[2J\\r[2026");
    page.assert_text("<i>title</i> \" 3");
    let raw = sandbox.read("report.html");
    for secret in ["pass<word&1", "pass&lt;word&amp;1"] {
        assert!(!raw.contains(secret), "{secret}");
    }
    assert!(raw.contains("DB_PASSWORD=***"));
}

#[test]
fn a_thousand_hosts_fit_in_less_than_5_mb() {
    let tasks = "task=1\ntype=parallel\nhostnames=web[0001-1000]\nexec=local\nmax_parallel=64\n\
        command=cat @hostname@ big\nsuccess=all_success\n";
    let sandbox = Sandbox::new();
    // Every output is different, and each is larger in the page.
    for number in 1..=1000 {
        sandbox.file(
            &format!("web{number:04}"),
            format!("<&\"{number}\n").repeat(500),
        );
    }
    sandbox.file("big", "");
    std::fs::remove_file(sandbox.path.join("web0500")).expect("it was there");
    let ran = sandbox.run(tasks, &["--report", "report.html", "-q"]);
    assert_eq!(ran.code, 10, "{}", ran.stderr);
    let size = std::fs::metadata(sandbox.path.join("report.html"))
        .expect("a page")
        .len();
    assert!(size < 5_000_000, "{size}");
    let page = page(&sandbox);
    page.assert_text("hosts 999 ok 1 failed");
    let rows = |outcome: &str| {
        page.0
            .iter()
            .filter(|l| l.starts_with(&format!("row {outcome} | 1 |")))
            .count()
    };
    assert_eq!((rows("ok"), rows("failed")), (999, 2));
    assert_eq!(page.bars("ok"), 999);
    page.assert_text("999 more hosts");
    page.assert_text("more, see the log");
}

#[test]
fn long_outputs_show_both_ends() {
    let tasks = "task=1\nexec=shell\ncommand=echo the beginning; head -c 9000000 /dev/zero | tr '\\0' x; \
        for i in $(seq 5000); do echo line $i; done\n";
    let (sandbox, _) = run(tasks, &["-q"], 0);
    let page = page(&sandbox);
    page.assert_text("the beginning xxxx");
    page.assert_text(" more, see the log");
    page.assert_text("line 4999 line 5000");
    assert!(
        std::fs::metadata(sandbox.path.join("report.html"))
            .expect("a page")
            .len()
            < 60_000
    );
}
