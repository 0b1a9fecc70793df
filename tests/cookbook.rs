//! The files of the cookbook, taken from its page: each is valid without a warning,
//! and takes the paths that the page describes, first in rehearsals, then, where
//! that shows more, in runs with stand-ins for its programs.

mod support;

use std::process::Command;
use support::{Ran, Sandbox};

/// The programs that the files call on this machine.
const PROGRAMS: [&str; 10] = [
    "balancer",
    "curl",
    "find",
    "gzip",
    "mail",
    "mountpoint",
    "notify",
    "page-duty",
    "pg_dump",
    "vacuumdb",
];

/// The first task file below a heading of the page.
fn recipe(heading: &str) -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/man/tasker-cookbook.7");
    let page = std::fs::read_to_string(page).expect("the page");
    let (_, section) = page
        .split_once(&format!(".Ss {heading}\n"))
        .expect("the heading");
    let section = section.split(".Ss ").next().expect("a section");
    let mut examples = section.split(".Bd -literal -offset indent\n").skip(1);
    let found = examples.find(|e| e.contains("task="));
    let (text, _) = found.and_then(|e| e.split_once(".Ed\n")).expect("a file");
    text.into()
}

/// A directory with the file, its hosts, and stand-ins that record their calls in
/// `acts` and fail if the call is listed in `failing`.
fn sandbox_with(heading: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", recipe(heading));
    sandbox.file("hosts.txt", "host[0001-1000].example.com\n");
    let home = sandbox.path.display();
    let note = format!(
        "#!/bin/sh\necho \"${{0##*/}} $*\" >> {home}/acts\n! grep -qxF -- \"${{0##*/}} $*\" {home}/failing\n"
    );
    for program in PROGRAMS.iter().chain(&["far"]) {
        sandbox.program(&format!("bin/{program}"), &note);
    }
    // Instead of ssh, for real runs.
    let conf = format!("exec=ssh\nargv={home}/bin/far {{hostname}} {{command}} {{arguments}}\n");
    sandbox.file("tasker.conf", conf);
    sandbox.file("failing", "");
    sandbox
}

fn tasker(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = sandbox.tasker(arguments);
    let path = format!("{}/bin:/usr/bin:/bin", sandbox.path.display());
    command.env("PATH", path).env("DB_PASSWORD", "of the test");
    command
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Ran {
    let whole = [arguments, &["tasks.txt"]].concat();
    Ran::from(tasker(sandbox, &whole).output().expect("tasker runs"))
}

/// A rehearsal: its options, the path and the exit code of the run.
type Way<'a> = (&'a [&'a str], &'a str, i32);

#[track_caller]
fn rehearse(heading: &str, ways: &[Way]) {
    let sandbox = sandbox_with(heading);
    let checked = run(&sandbox, &["--skip-host-validation", "--validate-only"]);
    let only = "tasker: warning: hosts are neither resolved nor contacted before the run\n";
    assert_eq!(
        (checked.code, checked.stderr.as_str()),
        (0, only),
        "{checked:?}"
    );
    for (given, path, code) in ways {
        let ran = run(&sandbox, given);
        assert_eq!(ran.code, 0, "{given:?}: {ran:?}");
        let line = |start: &str| ran.stdout.lines().find_map(|l| l.strip_prefix(start));
        assert_eq!(line("path: "), Some(*path), "{given:?}: {ran:?}");
        let code = code.to_string();
        assert_eq!(
            line("exit code: "),
            Some(code.as_str()),
            "{given:?}: {ran:?}"
        );
        assert_eq!(line("no effect: "), None, "{given:?}: {ran:?}");
    }
}

#[test]
fn a_failed_rolling_deployment_is_rolled_back() {
    rehearse(
        "A rolling deployment",
        &[
            (&["--assume", "20=ok"], "0 10 20", 0),
            (&["--assume", "20=failed"], "0 10 20", 0),
            (&["--assume", "0=failed"], "0", 1),
            // Two hosts may fail; a third stops the block.
            (
                &["--assume", "10:web[02-03].example.com=failed"],
                "0 10 20",
                0,
            ),
            (
                &["--assume", "10:web[02-04].example.com=failed"],
                "0 10 90 99",
                1,
            ),
            (
                &["--assume", "10:web01.example.com=unreachable"],
                "0 10 90 99",
                1,
            ),
            (&["--assume", "11=failed"], "0 10 90 99", 1),
            (
                &["--assume", "11=failed", "--assume", "90=failed"],
                "0 10 90 99",
                1,
            ),
        ],
    );
}

#[test]
fn a_maintenance_window_ends_in_time_and_lets_the_users_back_in() {
    let heading = "A maintenance window";
    rehearse(
        heading,
        &[
            (&["--deadline=+4h", "--assume", "20=ok"], "0 10 20 30", 0),
            (&["--deadline=+4h", "--assume", "10=failed"], "0 10", 1),
            (
                &["--deadline=+90m", "--assume", "20:orders=timeout"],
                "0 10 20 80",
                15,
            ),
            (&["--deadline=+54m", "--assume", "10=ok"], "0 10 20 80", 15),
        ],
    );
    // The final task runs on every path.
    for given in ["0=failed", "10=timeout", "20:orders=timeout"] {
        let ran = run(
            &sandbox_with(heading),
            &["--deadline=+90m", "--assume", given],
        );
        assert!(ran.stdout.contains("task 100 "), "{given}: {ran:?}");
    }
}

#[test]
fn a_service_is_polled_until_it_is_ready_or_times_out() {
    let green = r#"1=stdout:{"status":"green"}"#;
    rehearse(
        "Poll until it is ready",
        &[
            (&["--assume", green], "0 1 2", 0),
            (&["--assume", "1=failed"], "0 1 90 91", 75),
            (&["--assume", "90=failed"], "0 1 90 91", 75),
            (&["--assume", "0=failed"], "0", 1),
        ],
    );
}

#[test]
fn a_nightly_job_mails_once_and_is_quiet_again() {
    let heading = "A nightly job";
    rehearse(
        heading,
        &[
            (&["--assume", "20=failed"], "0 10 11 12 20", 0),
            (&["--assume", "0=failed"], "0", 1),
            (&["--assume", "11=failed"], "0 10 11", 1),
        ],
    );
    let sandbox = sandbox_with(heading);
    // The dump and its directory are in the sandbox.
    let text = sandbox.read("tasks.txt");
    let place = sandbox.path.display().to_string();
    sandbox.file("tasks.txt", text.replace("/backup/", &format!("{place}/")));
    sandbox.file("failing", "mountpoint -q /backup\n");
    let mails = [(1, "task 0"), (1, "same as since"), (0, "recovered")];
    for (night, (code, mail)) in mails.into_iter().enumerate() {
        if code == 0 {
            sandbox.file("failing", "");
        }
        let ran = run(&sandbox, &["-r"]);
        assert_eq!(ran.code, code, "night {night}: {ran:?}");
        let printed = format!("{}{}", ran.stdout, ran.stderr);
        assert!(printed.contains(mail), "night {night}: {printed}");
        assert!(
            night == 0 || printed.lines().count() <= 4,
            "night {night}: {printed}"
        );
    }
    let quiet = run(&sandbox, &["-r"]);
    let printed = (quiet.code, quiet.stdout.as_str(), quiet.stderr.as_str());
    assert_eq!(printed, (0, "", ""));
    assert!(sandbox.exists("shop.gz") && !sandbox.exists("shop.new"));
    let summary = tasker(&sandbox, &["--project-summary", "nightly"]).output();
    let summary = Ran::from(summary.expect("tasker runs")).stdout;
    assert!(summary.contains("4 runs: 2 SUCCESS, 2 FAILED"), "{summary}");
    assert!(!sandbox.log().contains("of the test"), "{}", sandbox.log());
}

#[test]
fn failed_hosts_of_a_thousand_run_again_the_next_time() {
    let heading = "A thousand hosts";
    let set = |hosts| format!("10:host[{hosts}].example.com");
    let off = |hosts| format!("{}=unreachable", set(hosts));
    let bad = |hosts| format!("{}=failed", set(hosts));
    rehearse(
        heading,
        &[
            (&["--assume", &off("0001-0050")], "10", 0),
            (&["--assume", &off("0001-0051")], "10", 10),
            (&["--assume", &bad("0001-0020")], "10", 0),
            (&["--assume", &bad("0001-0021")], "10", 10),
        ],
    );
    let sandbox = sandbox_with(heading);
    let real = ["-r", "--skip-host-validation", "--config", "tasker.conf"];
    let failing: String = [3, 500, 1000]
        .map(|n| format!("far host{n:04}.example.com install-patch 2026-11\n"))
        .concat();
    sandbox.file("failing", &failing);
    let first = run(
        &sandbox,
        &[&real[..], &["--expect-hosts", "990..1010"]].concat(),
    );
    assert_eq!(first.code, 0, "{first:?}");
    assert!(first.stdout.contains("997 ok, 3 failed"), "{first:?}");
    assert_eq!(sandbox.read("acts").lines().count(), 1000);
    sandbox.file("failing", "");
    sandbox.file("acts", "");
    let again = run(&sandbox, &[&real[..], &["--limit", "last:failed"]].concat());
    assert_eq!(again.code, 0, "{again:?}");
    let acts = sandbox.read("acts");
    let mut acts: Vec<&str> = acts.lines().collect();
    acts.sort();
    assert_eq!(acts, failing.lines().collect::<Vec<_>>());
}
