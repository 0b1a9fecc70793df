//! Nothing happens for a task file's sake before it is accepted (SPEC §1): looking is
//! harmless, and a file that is refused does nothing. A sweep over every option that may
//! stand in a task file, the parser's own table.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use support::{Ran, Sandbox};

/// A line for each option that may stand in a task file, and what it leaves behind once
/// the file is accepted and its task has failed: a path, or the name of a program that
/// was called. Empty for what says how the file is read, checked or run.
const LINES: &[(&str, &str, &str)] = &[
    ("log-dir", "-l made/log", "made/log/logs"),
    ("log-level", "--log-level=DEBUG", ""),
    ("debug", "-d", ""),
    ("type", "-t pbrun", ""),
    ("timeout", "-o 20", ""),
    ("project", "-p P", "TASKER/logs/project_P_summary.log"),
    ("auto-recovery", "--auto-recovery", ""),
    ("limit", "--limit=192.0.2.1", ""),
    ("exclude", "--exclude=192.0.2.9", ""),
    ("connection-test", "-c", "called ping"),
    ("show-plan", "--show-plan", ""),
    ("expect-hosts", "--expect-hosts=1..2", ""),
    ("validate-only", "--validate-only", ""),
    ("skip-host-validation", "--skip-host-validation", ""),
    ("keep-going", "-k", ""),
    ("max-steps", "--max-steps=9", ""),
    ("on-interrupt", "--on-interrupt=kill", ""),
    ("deadline", "--deadline=+2h", ""),
    ("deadline-task", "--deadline-task=2\n--deadline=+2h", ""),
    (
        "alert-on-failure",
        "--alert-on-failure=./alert",
        "called alert",
    ),
    ("events", "--events=made.events", "made.events"),
    ("mail-once", "--mail-once\n-q", "TASKER/state"),
    ("instance-check", "--instance-check", ""),
    ("lock-wait", "--lock-wait=1", ""),
    ("lock-skip", "--lock-skip", ""),
    ("splay", "--splay=10ms", ""),
    ("set", "--set=NAME=value", ""),
    ("output-json", "--output-json=made.json", "made.json"),
    ("keep-output", "--keep-output=made/output", "made/output"),
    ("report", "--report=made.html", "made.html"),
    ("metrics", "--metrics=made.prom", "made.prom"),
    ("syslog", "--syslog", "told syslog"),
    ("quiet", "-q", ""),
    ("color", "--color=always", ""),
    ("no-task-backup", "--no-task-backup", ""),
    ("strict-env-validation", "--strict-env-validation", ""),
    ("skip-command-validation", "--skip-command-validation", ""),
    ("skip-security-validation", "--skip-security-validation", ""),
    (
        "skip-subtask-range-validation",
        "--skip-subtask-range-validation",
        "",
    ),
    (
        "skip-unresolved-host-validation",
        "--skip-unresolved-host-validation",
        "",
    ),
];

/// A block over a host, whose command fails.
const TASKS: &str = "NAME=x\ntask=1\ntype=parallel\nexec=pbrun\nhostnames=192.0.2.1,192.0.2.2\n\
                     command=echo @NAME@\nsuccess=exit_0\ntask=2\nexec=local\ncommand=false\n";

/// The programs that tasker could call for a file; each leaves its name in `called`.
const PROGRAMS: [&str; 9] = [
    "ping",
    "pbrun",
    "pbtest",
    "p7s",
    "wwrs_clir",
    "wwrs_test",
    "ssh",
    "getent",
    "../alert",
];

/// Why a file is not accepted with `-r`, or that it is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Accepted,
    /// It has a mistake.
    Broken,
    /// Everyone may write it, and root runs it.
    Untrusted,
    /// `--plan` names another.
    OtherPlan,
}

/// The ways to look at a file, and to run it.
const LOOKS: [&[&str]; 7] = [
    &[],
    &["--validate-only"],
    &["--show-plan"],
    &["--show-plan=json"],
    &["--assume-each-fails"],
    &["--show-recovery-info"],
    &["-r", "--validate-only"],
];

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// Not as root, others may write the file: there it is a mere warning.
fn kinds() -> Vec<Kind> {
    let all = [
        Kind::Accepted,
        Kind::Broken,
        Kind::Untrusted,
        Kind::OtherPlan,
    ];
    let kinds = all.into_iter();
    kinds
        .filter(|kind| *kind != Kind::Untrusted || is_root())
        .collect()
}

/// A directory with the programs and the file.
fn world(kind: Kind, lines: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    for program in PROGRAMS {
        let name = program.trim_start_matches("../");
        let code = if name == "pbrun" { 1 } else { 0 };
        let script = format!(
            "#!/bin/sh\necho {name} >> '{}/called'\nexit {code}\n",
            sandbox.path.display()
        );
        sandbox.program(&format!("bin/{program}"), &script);
    }
    let mistake = match kind {
        Kind::Broken => "on_failure=77\n",
        _ => "",
    };
    let path = sandbox.file("tasks.txt", format!("{lines}\n{TASKS}{mistake}"));
    let mode = if kind == Kind::Untrusted {
        0o666
    } else {
        0o644
    };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
    sandbox
}

fn call(sandbox: &Sandbox, options: &[&str]) -> Ran {
    let mut all = options.to_vec();
    all.push("tasks.txt");
    let mut command = sandbox.tasker(&all);
    let path = format!("{}/bin:/usr/bin:/bin", sandbox.path.display());
    Ran::from(command.env("PATH", path).output().expect("tasker runs"))
}

/// With `-r`, and with `--plan` if that refuses it.
fn run(sandbox: &Sandbox, kind: Kind) -> Ran {
    match kind {
        Kind::OtherPlan => call(sandbox, &["-r", "-y", "--plan=00000000"]),
        _ => call(sandbox, &["-r", "-y"]),
    }
}

/// Everything below the directory: each path with its content.
fn content(directory: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![directory.to_path_buf()];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(&next).expect("a directory").flatten() {
            let path = entry.path();
            let name = path.strip_prefix(directory).expect("inside");
            let name = name.display().to_string();
            if path.is_dir() {
                waiting.push(path);
                found.insert(name, String::new());
            } else {
                let bytes = std::fs::read(&path).unwrap_or_default();
                found.insert(name, String::from_utf8_lossy(&bytes).into_owned());
            }
        }
    }
    found
}

/// What was made, changed or removed.
fn difference(before: &BTreeMap<String, String>, sandbox: &Sandbox) -> BTreeSet<String> {
    let after = content(&sandbox.path);
    let changed = after
        .iter()
        .filter(|(name, text)| before.get(*name) != Some(text));
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    changed.map(|(name, _)| name).chain(gone).cloned().collect()
}

/// Every option of the parser's table.
fn options() -> Vec<String> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli/options.rs");
    let source = std::fs::read_to_string(source).expect("the table of options");
    let table = source.split_once("pub const OPTIONS").expect("the table").1;
    let names = table.lines().filter_map(|line| {
        let line = line.trim();
        let row = line
            .strip_prefix("flag(\"")
            .or(line.strip_prefix("valued(\""));
        row.and_then(|row| row.split('"').next())
    });
    names.map(String::from).collect()
}

/// A new option that may stand in a file must get a line here.
#[test]
fn every_option_that_may_stand_in_a_file_has_a_line() {
    let all = options();
    assert!(all.len() > 50, "{all:?}");
    let sandbox = world(Kind::Accepted, "");
    for long in all {
        sandbox.file("tasks.txt", format!("--{long}\n{TASKS}"));
        let said = call(&sandbox, &["--validate-only", "-l", "log"]).stderr;
        let is_refused = said.contains("is not allowed in a task file");
        let has_line = LINES.iter().any(|(name, ..)| *name == long);
        assert_eq!(has_line, !is_refused, "--{long}: {said}");
    }
}

#[test]
fn looking_at_a_file_makes_nothing_and_calls_nothing() {
    for kind in kinds() {
        for (long, line, _) in LINES {
            let sandbox = world(kind, line);
            let before = content(&sandbox.path);
            for look in LOOKS {
                let ran = call(&sandbox, look);
                let mut made = difference(&before, &sandbox);
                if look.contains(&"--validate-only") {
                    // Its report is for whoever typed that.
                    made.retain(|name| !is_own_report(name));
                }
                assert!(
                    made.is_empty(),
                    "{kind:?} {long} {look:?}: {made:?} {ran:?}"
                );
                let _ = std::fs::remove_dir_all(sandbox.path.join("TASKER"));
            }
        }
    }
}

/// The report of the validation in the default directory.
fn is_own_report(name: &str) -> bool {
    ["TASKER", "TASKER/logs"].contains(&name) || name.starts_with("TASKER/logs/validation_report_")
}

#[test]
fn a_file_that_is_not_accepted_does_nothing() {
    for kind in kinds() {
        for (long, line, leaves) in LINES {
            let sandbox = world(kind, line);
            let before = content(&sandbox.path);
            let ran = run(&sandbox, kind);
            let mut made = difference(&before, &sandbox);
            // What goes to a real syslogd leaves nothing here; see tests/monitoring.rs.
            let tries_syslog = ran.stderr.contains("syslog: cannot send to");
            if kind != Kind::Accepted {
                assert!(!tries_syslog, "{kind:?} {long}: {ran:?}");
                made.retain(|name| !is_own_report(name));
                assert!(made.is_empty(), "{kind:?} {long}: {made:?} {ran:?}");
                continue;
            }
            // It is this option that leaves it.
            let is_left = |made: &BTreeSet<String>| match leaves.strip_prefix("called ") {
                Some(program) => sandbox.read("called").lines().any(|line| line == program),
                None if *leaves == "told syslog" => tries_syslog || Path::new("/dev/log").exists(),
                None => made.contains(*leaves),
            };
            assert!(
                leaves.is_empty() || is_left(&made),
                "{long}: {made:?} {ran:?}"
            );
            let runs = !["validate-only"].contains(long);
            assert_eq!(
                sandbox.read("called").contains("pbrun"),
                runs,
                "{long} {ran:?}"
            );
        }
    }
}

/// Options that change nothing about what runs and is written: they only print, ask,
/// check or do nothing any more. `--set` is in the plan as a global.
const NOT_IN_PLAN: [&str; 15] = [
    "log-level",
    "debug",
    "type",
    "timeout",
    "limit",
    "exclude",
    "show-plan",
    "expect-hosts",
    "validate-only",
    "quiet",
    "color",
    "skip-command-validation",
    "skip-security-validation",
    "skip-subtask-range-validation",
    "skip-unresolved-host-validation",
];

/// Every program and destination that the file names, its deadline and its locks: in the
/// id, and shown. What the command line adds is shown.
#[test]
fn what_a_file_names_is_in_its_plan() {
    const FORMS: [&str; 4] = ["text", "dot", "mermaid", "json"];
    let forms = |sandbox: &Sandbox, option: &str| -> Vec<String> {
        let form = |form: &str| {
            let form = format!("--show-plan={form}");
            let mut options = vec!["--skip-host-validation", form.as_str()];
            options.extend(Some(option).filter(|option| !option.is_empty()));
            let ran = call(sandbox, &options);
            assert_eq!(ran.code, 0, "{option} {ran:?}");
            ran.stdout
        };
        FORMS.into_iter().map(form).collect()
    };
    let id = |forms: &[String]| {
        let line = forms[0].lines().find_map(|l| l.strip_prefix("plan: "));
        line.expect("an id").to_string()
    };
    // The file defines what `--set` sets, so that only that differs.
    let plain = id(&forms(&world(Kind::Accepted, ""), ""));
    for (long, line, leaves) in LINES
        .iter()
        .filter(|(long, ..)| !NOT_IN_PLAN.contains(long))
    {
        // The names of another option's line.
        let line = line.lines().next().unwrap_or_default();
        let names = format!("--{long}");
        if *long == "set" {
            assert_ne!(plain, id(&forms(&world(Kind::Accepted, line), "")));
            continue;
        }
        let with = match *long {
            "deadline-task" => format!("--deadline=+2h\n{line}"),
            _ => line.to_string(),
        };
        let in_file = forms(&world(Kind::Accepted, &with), "");
        assert_ne!(plain, id(&in_file), "{long}");
        for (form, text) in FORMS.iter().zip(&in_file) {
            assert!(text.contains(&names), "{long} {form}: {text}");
        }
        let is_listed = !leaves.is_empty() && *long != "mail-once";
        let typed = format!("--{}", line.trim_start_matches('-'));
        if is_listed && typed == line {
            let typed = forms(&world(Kind::Accepted, ""), line);
            assert_eq!(plain, id(&typed), "{long}");
            for (form, text) in FORMS.iter().zip(&typed) {
                assert!(text.contains(&names), "{long} {form}: {text}");
            }
        }
    }
}

/// The manual lists the options that wait until the file is accepted.
#[test]
fn the_manual_names_the_options_that_wait() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/man/tasker.1");
    let page = std::fs::read_to_string(page).expect("the page");
    let list = page
        .split_once(".Ss Options in the task file")
        .expect("the section")
        .1;
    let list = list.split_once(".Bd -filled").expect("the list").1;
    let list = list.split_once(".Ed").expect("its end").0;
    let named = list.lines().filter_map(|line| line.strip_prefix(".Fl -"));
    let named: BTreeSet<&str> = named.map(|name| name.trim_end_matches(" ,")).collect();
    let wait = LINES.iter().filter(|(.., leaves)| !leaves.is_empty());
    assert_eq!(named, wait.map(|(long, ..)| *long).collect());
}

/// What the command line and the configuration ask for is done for such a file too: a
/// nightly run whose file somebody broke is noticed.
#[test]
fn what_the_command_line_and_the_configuration_ask_for_is_done_for_any_file() {
    for kind in kinds() {
        let sandbox = world(kind, "--report=theirs.html\n--alert-on-failure=/bin/false");
        sandbox.file("tasker.conf", "log_dir=records\n");
        let mut options = vec!["-r", "-q", "--mail-once", "--config=tasker.conf"];
        options.extend(["--report=ours.html", "--output-json=ours.json"]);
        options.push("--alert-on-failure=./alert");
        if kind == Kind::OtherPlan {
            options.push("--plan=00000000");
        }
        let (first, second) = (call(&sandbox, &options), call(&sandbox, &options));
        assert_eq!(first.code, second.code);
        assert!(second.stderr.contains("(2nd time)"), "{kind:?} {second:?}");
        let alerts = sandbox.read("called");
        assert_eq!(alerts.matches("alert").count(), 2, "{kind:?} {alerts}");
        for path in ["ours.html", "ours.json", "records/state"] {
            assert!(sandbox.exists(path), "{kind:?} {path}");
        }
        for path in ["theirs.html", "TASKER"] {
            assert!(!sandbox.exists(path), "{kind:?} {path}");
        }
        // Of another plan there is nothing to report about the validation.
        let has_report = content(&sandbox.path.join("records"));
        let has_report = has_report
            .keys()
            .any(|name| name.contains("validation_report"));
        assert_eq!(has_report, kind != Kind::OtherPlan, "{kind:?}");
    }
}

/// Nor can a broken file say that it was not to be run.
#[test]
fn a_broken_file_does_not_silence_the_run_that_was_asked_for() {
    for line in ["--validate-only", "-q", "--lock-skip"] {
        let sandbox = world(Kind::Broken, line);
        let ran = call(
            &sandbox,
            &["-r", "--alert-on-failure=./alert", "--report=ours.html"],
        );
        assert_eq!(ran.code, 20, "{line} {ran:?}");
        assert!(
            ran.stderr.contains("there is no task `77`"),
            "{line} {ran:?}"
        );
        assert_eq!(sandbox.read("called"), "alert\n", "{line}");
        assert!(sandbox.exists("ours.html"), "{line}");
    }
}

/// The refusals after that: the file's own options report them.
#[test]
fn what_refuses_an_accepted_file_is_reported_by_its_own_options() {
    let lines = "--alert-on-failure=./alert\n--report=made.html\n-l log";
    for (more, code) in [("--expect-hosts=7", 13), ("-c\n--limit=192.0.2.1", 60)] {
        let sandbox = world(Kind::Accepted, &format!("{lines}\n{more}"));
        sandbox.program("bin/ping", "#!/bin/sh\nexit 1\n");
        let id = call(&sandbox, &["--skip-host-validation"]).stdout;
        let id = id
            .lines()
            .find_map(|l| l.strip_prefix("plan: "))
            .expect("an id");
        for options in [&["-r", "-y"][..], &["-r", "-y", "--plan", id]] {
            let ran = call(&sandbox, options);
            assert_eq!(ran.code, code, "{options:?} {ran:?}");
            assert_eq!(sandbox.read("called"), "alert\n", "{options:?} {ran:?}");
            assert!(sandbox.exists("made.html"), "{options:?} {ran:?}");
            for path in ["called", "made.html"] {
                std::fs::remove_file(sandbox.path.join(path)).expect("it can be removed");
            }
        }
    }
}

#[test]
fn nothing_that_a_refused_configuration_names_is_written() {
    for (text, mode) in [
        ("log_dir=made\nno_such_key=1\n", 0o644),
        ("log_dir=made\n", 0o666),
    ] {
        if mode == 0o666 && !is_root() {
            continue;
        }
        for options in [&[][..], &["--validate-only"], &["-r"], &["-r", "--no-such"]] {
            let sandbox = world(Kind::Accepted, "");
            let path = sandbox.file("tasker.conf", text);
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
            let mut all = vec!["--config=tasker.conf"];
            all.extend(options);
            let ran = call(&sandbox, &all);
            assert_ne!(ran.code, 0, "{ran:?}");
            assert!(!sandbox.exists("made"), "{text} {options:?} {ran:?}");
            assert!(!sandbox.exists("called"), "{text} {options:?} {ran:?}");
        }
    }
}

/// A file's own `-l` names the place where journals are read, and nothing is written
/// there by a look.
#[test]
fn earlier_runs_are_found_where_the_file_says() {
    let sandbox = world(Kind::Accepted, "-l records");
    assert_eq!(call(&sandbox, &["-r"]).code, 10);
    assert!(sandbox.exists("records/state") && !sandbox.exists("TASKER"));
    let before = content(&sandbox.path);
    for (look, finds) in [
        (&["--show-recovery-info"][..], "resumes with task 1"),
        (&["--resume"], "resumes with task 1"),
        (&["--resume-at=1"], "resumes with task 1"),
        (&["--auto-recovery"], "resumes with task 1"),
        (&["--limit=last:failed"], "hosts: 2 distinct"),
    ] {
        let ran = call(&sandbox, look);
        assert_eq!(ran.code, 0, "{look:?} {ran:?}");
        assert!(ran.stdout.contains(finds), "{look:?} {ran:?}");
        let made = difference(&before, &sandbox);
        assert!(made.is_empty(), "{look:?} {made:?}");
    }
    let ran = call(&sandbox, &["--finish-only"]);
    assert!(ran.stderr.contains("have already run"), "{ran:?}");
    // With `-r` too, as long as the plan is another.
    for option in [
        "--resume",
        "--resume-at=1",
        "--auto-recovery",
        "--limit=last:failed",
    ] {
        let ran = call(&sandbox, &["-r", option, "--plan=00000000"]);
        assert_eq!(ran.code, 12, "{option} {ran:?}");
        assert!(
            ran.stderr.contains("--plan: expected plan"),
            "{option} {ran:?}"
        );
        let made = difference(&before, &sandbox);
        assert!(made.is_empty(), "{option} {made:?}");
    }
    let plan = call(&sandbox, &["--resume"]).stdout;
    let plan = plan
        .lines()
        .find_map(|l| l.strip_prefix("plan: "))
        .expect("an id");
    sandbox.program("bin/pbrun", "#!/bin/sh\nexit 0\n");
    let ran = call(&sandbox, &["-r", "--resume", "--plan", plan]);
    assert!(ran.stdout.contains("Resuming run"), "{ran:?}");
    assert!(!sandbox.exists("TASKER"));
}

/// What is traced, if this machine can trace: `None` if not.
fn traced(
    sandbox: &Sandbox,
    calls: &str,
    options: &[&str],
    environment: (&str, &str),
) -> Option<String> {
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-s", "4000", "-o", "trace", "-e", calls])
        .arg(env!("CARGO_BIN_EXE_tasker"))
        .args(options)
        .arg("tasks.txt")
        .current_dir(&sandbox.path)
        .env_clear()
        .env(
            "PATH",
            format!("{}/bin:/usr/bin:/bin", sandbox.path.display()),
        )
        .env("HOME", &sandbox.path)
        .env(environment.0, environment.1)
        .stdin(Stdio::null());
    command.output().ok()?;
    let trace = std::fs::read_to_string(sandbox.path.join("trace")).ok()?;
    let _ = std::fs::remove_file(sandbox.path.join("trace"));
    // Otherwise it could not trace.
    trace.contains("execve(").then_some(trace)
}

/// Whoever types `-c` has the hosts contacted, but nothing is made for that.
#[test]
fn a_connection_test_that_is_typed_leaves_nothing_behind() {
    let sandbox = world(Kind::Accepted, "-l made\n-c\n--alert-on-failure=./alert");
    let before = content(&sandbox.path);
    let ran = call(&sandbox, &["-c"]);
    assert_eq!(ran.code, 61, "{ran:?}");
    let called = sandbox.read("called");
    assert!(
        called.contains("ping") && called.contains("pbrun"),
        "{called}"
    );
    assert!(!called.contains("alert"), "{called}");
    assert_eq!(
        difference(&before, &sandbox),
        BTreeSet::from(["called".to_string()])
    );
}

/// The same with the kernel's own word for it: all of the options at once.
#[test]
fn a_look_asks_the_kernel_for_nothing_that_makes_runs_or_contacts() {
    let lines = LINES.iter().filter(|(.., leaves)| !leaves.is_empty());
    let lines: Vec<&str> = lines.map(|(_, line, _)| *line).collect();
    let calls = "trace=execve,connect,sendto,sendmsg,mkdir,mkdirat,open,openat,creat,rename,renameat,renameat2,unlink,unlinkat,link,linkat,symlink,symlinkat,chmod,fchmodat,ftruncate,truncate,fallocate";
    for kind in kinds() {
        for look in LOOKS
            .iter()
            .filter(|look| !look.contains(&"--validate-only"))
        {
            let sandbox = world(kind, &lines.join("\n"));
            let Some(trace) = traced(&sandbox, calls, look, ("A", "B")) else {
                println!("skipped: strace cannot trace here");
                return;
            };
            let harmless = |line: &&str| {
                let opens = line.contains(" open(") || line.contains(" openat(");
                let reads = opens && !line.contains("O_WRONLY") && !line.contains("O_RDWR");
                (reads && !line.contains("O_CREAT")) || line.contains("+++") || line.contains("---")
            };
            let made: Vec<&str> = trace.lines().filter(|line| !harmless(line)).collect();
            // Its own beginning.
            assert_eq!(made.len(), 1, "{kind:?} {look:?}: {made:#?}");
        }
    }
}

/// A name that holds a value from the environment is not looked up by a look.
#[test]
fn a_host_that_the_environment_names_is_resolved_only_by_a_run() {
    let globals = "TARGET=$TARGET_HOST\nNUMBER=$TARGET_NUMBER\nLIST=$LIST_DIR/hosts\n\
                   A_TOKEN=tok\nFIXED=${NO_SUCH_VARIABLE:-fixed.invalid}\n";
    for (key, asked, unasked) in [
        (
            "hostname=@TARGET@.evil.invalid",
            &[][..],
            &["value.evil.invalid"][..],
        ),
        ("hostname=u@@@TARGET@", &[], &["value"]),
        ("hostname=h@NUMBER_number@.invalid", &[], &["h7.invalid"]),
        ("hostname=@A_TOKEN@.invalid", &[], &["tok.invalid"]),
        ("hostname=@FIXED@", &["fixed.invalid"], &[]),
        ("hostname=plain.invalid", &["plain.invalid"], &[]),
        (
            "type=parallel\nhostnames=web[1-2].invalid,@TARGET@.invalid,!web2.invalid,file:@LIST@",
            &["web1.invalid", "listed.invalid"],
            &["value.invalid"],
        ),
        (
            "type=parallel\nhostnames=w[1-@NUMBER@].invalid,w1.invalid",
            &["w1.invalid"],
            &["w2.invalid", "w7.invalid"],
        ),
    ] {
        let sandbox = world(Kind::Accepted, "");
        sandbox.program(
            "bin/getent",
            &format!(
                "#!/bin/sh\necho \"$2\" >> '{}/asked'\nexit 0\n",
                sandbox.path.display()
            ),
        );
        sandbox.file("lists/hosts", "listed.invalid\n");
        sandbox.file(
            "tasks.txt",
            format!("{globals}task=1\nexec=pbrun\n{key}\ncommand=true\n"),
        );
        let call = |options: &[&str]| {
            let _ = std::fs::remove_file(sandbox.path.join("asked"));
            let mut command = sandbox.tasker(&[options, &["tasks.txt"]].concat());
            command
                .env(
                    "PATH",
                    format!("{}/bin:/usr/bin:/bin", sandbox.path.display()),
                )
                .env("TARGET_HOST", "value")
                .env("TARGET_NUMBER", "7")
                .env("LIST_DIR", "lists");
            let ran = Ran::from(command.output().expect("tasker runs"));
            let names: BTreeSet<String> = sandbox.read("asked").lines().map(String::from).collect();
            (ran, names)
        };
        let expected =
            |names: &[&str]| names.iter().map(|n| n.to_string()).collect::<BTreeSet<_>>();
        for look in [&[][..], &["--validate-only"], &["--show-plan"], &["-c"]] {
            let (ran, names) = call(look);
            assert_eq!(names, expected(asked), "{key} {look:?} {ran:?}");
            let warns = ran
                .stderr
                .contains("a host name holds a value from the environment");
            assert_eq!(warns, !unasked.is_empty(), "{key} {look:?} {ran:?}");
            let skips = ran.stdout.contains("skipped (only with -r: named by");
            assert_eq!(skips, !unasked.is_empty(), "{key} {look:?} {ran:?}");
        }
        let (ran, names) = call(&["-r"]);
        assert!(
            names.is_superset(&expected(&[asked, unasked].concat())),
            "{key} {names:?} {ran:?}"
        );
        assert!(
            !ran.stderr.contains("from the environment"),
            "{key} {ran:?}"
        );
        let (ran, names) = call(&["--skip-host-validation"]);
        let warns = ran.stderr.contains("from the environment");
        assert!(names.is_empty() && !warns, "{key} {names:?} {ran:?}");
        // A name that is typed is not the environment's; a secret stays one.
        let (ran, names) = call(&[
            "--set=TARGET=typed",
            "--set=NUMBER=8",
            "--set=A_TOKEN=typed",
        ]);
        if key.contains("A_TOKEN") {
            assert!(names.is_empty(), "{key} {ran:?}");
            continue;
        }
        assert!(
            !ran.stderr.contains("from the environment"),
            "{key} {ran:?}"
        );
        assert!(!names.is_empty(), "{key} {ran:?}");
    }
}
