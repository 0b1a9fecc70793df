//! The command line, the options in a task file, and the environment.

mod support;

use std::io::Write;
use std::process::Stdio;
use support::{Ran, Sandbox, finish};

const HELLO: &str = "task=1\nhostname=localhost\ncommand=echo hello\n";

/// tasker with these arguments, in a sandbox with `tasks.txt`.
fn tasker(sandbox: &Sandbox, arguments: &[&str]) -> Ran {
    let mut command = sandbox.tasker(arguments);
    Ran::from(command.output().expect("tasker runs"))
}

/// Runs tasker on the text, with the arguments before the file.
fn run_text(text: &str, arguments: &[&str]) -> (Sandbox, Ran) {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", text);
    let mut all = arguments.to_vec();
    all.push("tasks.txt");
    let ran = tasker(&sandbox, &all);
    (sandbox, ran)
}

/// How a mistake on the command line is printed; a suggestion becomes the help.
fn mistake(sentence: &str) -> String {
    let (sentence, help) = match sentence.split_once("; did you mean") {
        Some((sentence, rest)) => (sentence, format!("did you mean{rest}")),
        None => (sentence, "see tasker --help".into()),
    };
    format!("tasker: error: {sentence}\n     = help: {help}\n")
}

/// Checks that the command line is refused with exactly this sentence.
#[track_caller]
fn refused(arguments: &[&str], sentence: &str) {
    let (sandbox, ran) = run_text(HELLO, arguments);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert_eq!(ran.stderr, mistake(sentence));
    assert_eq!(ran.stdout, "");
    assert!(!sandbox.exists("TASKER"), "nothing is written");
}

/// Checks that the options of the file are refused with this message, on the first
/// line.
#[track_caller]
fn refused_in_file(line: &str, message: &str) {
    let (_, ran) = run_text(&format!("{line}\n{HELLO}"), &[]);
    assert_eq!(ran.code, 20, "{ran:?}");
    let (message, near) = match message.split_once("; ") {
        Some((message, near)) => (message, format!(" {near}")),
        None => (message, String::new()),
    };
    let lines: Vec<&str> = ran.stderr.lines().take(3).collect();
    assert_eq!(lines[0], format!("tasks.txt:1:1: error: {message}"));
    // The suggestion is next to the carets.
    assert!(lines[2].ends_with(&format!("^{near}")), "{lines:?}");
}

#[test]
fn mistakes_have_a_remedy_and_exit_2() {
    refused(
        &["--runn"],
        "unknown option `--runn`; did you mean `--run`?",
    );
    refused(
        &["--log-levle=DEBUG"],
        "unknown option `--log-levle`; did you mean `--log-level`?",
    );
    refused(
        &["--colour-of-the-sky"],
        "unknown option `--colour-of-the-sky`",
    );
    refused(&["-x"], "unknown option `-x`");
    refused(&["-rx"], "unknown option `-x`");
    refused(&["--run=yes"], "`--run` takes no value");
    refused(&["--project="], "`--project` needs a value: NAME");
    refused(
        &["--log-level=LOUD"],
        "--log-level: expected `ERROR`, `WARN`, `INFO` or `DEBUG`, found `LOUD`",
    );
    refused(
        &["--log-level", "LOUD"],
        "--log-level: expected `ERROR`, `WARN`, `INFO` or `DEBUG`, found `LOUD`",
    );
    refused(
        &["-t", "shel"],
        "--type: there is no exec type `shel`; did you mean `shell`?",
    );
    refused(
        &["-o", "soon"],
        "--timeout: expected a duration such as `30`, `1.5s`, `250ms`, `5m` or `2h`, found `soon`",
    );
    refused(
        &["-o0"],
        "--timeout: expected a timeout from 1 s to 7 days, found `0`",
    );
    refused(
        &["-o", "169h"],
        "--timeout: expected a timeout from 1 s to 7 days, found `169h`",
    );
    refused(
        &["--max-steps=0"],
        "--max-steps: expected a number of at least 1, found `0`",
    );
    refused(
        &["--max-steps=-1"],
        "--max-steps: expected a number of at least 1, found `-1`",
    );
    refused(
        &["--on-interrupt=stop"],
        "--on-interrupt: expected `drain` or `kill`, found `stop`",
    );
    let name = "expected a name of letters, digits, `.`, `_` and `-`, found";
    refused(&["-p", "a/b"], &format!("--project: {name} `a/b`"));
    refused(&["-p", "../x y"], &format!("--project: {name} `../x y`"));
    refused(&["--set", "A"], "--set: expected NAME=VALUE, found `A`");
    for bad in ["1A", "timeout", "env.X", "attempt", "run_outcome", ""] {
        refused(
            &["--set", &format!("{bad}=1")],
            &format!("--set: `{bad}` cannot be the name of a global"),
        );
    }
    refused(
        &["other.txt"],
        "expected one task file, found `tasks.txt` as well",
    );
}

#[test]
fn a_missing_file_argument_is_refused() {
    let sandbox = Sandbox::new();
    for arguments in [&[][..], &["-r"], &["--"]] {
        let ran = tasker(&sandbox, arguments);
        assert_eq!(ran.code, 2);
        assert_eq!(ran.stderr, mistake("no task file given"));
    }
    for option in ["--set", "-p", "--project"] {
        let ran = tasker(&sandbox, &[option]);
        assert_eq!(ran.code, 2);
        assert!(ran.stderr.contains("needs a value: NAME"), "{}", ran.stderr);
    }
}

#[test]
fn options_are_accepted_anywhere_and_in_every_form() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "tasks.txt",
        "A=1\ntask=1\nhostname=localhost\ncommand=echo got @A@\n",
    );
    for arguments in [
        &["--set", "A=x y", "-r", "tasks.txt"][..],
        &["--set=A=x y", "-r", "tasks.txt"],
        &["tasks.txt", "--run", "--set", "A=x y"],
        &["-r", "tasks.txt", "--set=A=x y"],
        &["-rk", "--set= A = x y ", "--", "tasks.txt"],
        &["-rdpX", "--set=A=no", "tasks.txt", "--set=A=x y"],
        &[
            "-r",
            "-o=5",
            "-o",
            "6",
            "-o7",
            "--set",
            "A=x y",
            "./tasks.txt",
        ],
    ] {
        let ran = tasker(&sandbox, arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        assert!(
            ran.stdout.contains("got x y\n"),
            "{arguments:?}: {}",
            ran.stdout
        );
    }
}

#[test]
fn a_file_name_can_begin_with_a_dash_after_two_dashes() {
    let sandbox = Sandbox::new();
    sandbox.file("-tasks", HELLO);
    let ran = tasker(&sandbox, &["-r", "--", "-tasks"]);
    assert_eq!(
        (ran.code, ran.stdout.contains("hello")),
        (0, true),
        "{ran:?}"
    );
}

#[test]
fn a_file_holds_options_and_the_command_line_wins() {
    let file = "--log-level=DEBUG\n  -o 7\n--project ONE\n-t=shell\n--set A=file\n\
                A=text\ntask=1\nhostname=localhost\ncommand=echo got @A@ | cat\nsuccess=stdout~got\n";
    let (sandbox, ran) = run_text(file, &["-r"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stdout.contains("got file\n"),
        "--set wins over the text: {}",
        ran.stdout
    );
    assert!(sandbox.log().contains("[DEBUG]"));
    assert!(sandbox.log().contains("Default timeout 7 s"));
    assert!(sandbox.exists("TASKER/logs/project_ONE_summary.log"));

    let over = [
        "-r",
        "--log-level=INFO",
        "-o",
        "9",
        "-p",
        "TWO",
        "--set",
        "A=typed",
    ];
    let (sandbox, ran) = run_text(file, &over);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("got typed\n"), "{}", ran.stdout);
    assert!(!sandbox.log().contains("[DEBUG]"));
    assert!(sandbox.log().contains("Default timeout 9 s"));
    assert!(sandbox.exists("TASKER/logs/project_TWO_summary.log"));
    assert!(!sandbox.exists("TASKER/logs/project_ONE_summary.log"));

    // The exec type too: `local` passes the `|` on as a word.
    let (_, ran) = run_text(file, &["-r", "-t", "local"]);
    assert!(ran.stdout.contains("got file | cat\n"), "{}", ran.stdout);
}

#[test]
fn flags_of_the_file_and_the_command_line_add_up() {
    let failing = "-k\ntask=1\nhostname=localhost\ncommand=false\ntask=2\nhostname=localhost\ncommand=echo on\n";
    let (_, ran) = run_text(failing, &["-r"]);
    assert_eq!(
        (ran.code, ran.stdout.contains("| on")),
        (1, true),
        "{ran:?}"
    );
    let (_, ran) = run_text(failing, &["-r", "--fire-and-forget"]);
    assert_eq!(
        (ran.code, ran.stdout.contains("| on")),
        (0, true),
        "{ran:?}"
    );
    let (_, ran) = run_text(&format!("--quiet\n{HELLO}"), &["-rk"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (0, "", "")
    );
}

#[test]
fn some_options_are_not_allowed_in_a_file() {
    for (line, long) in [
        ("-r", "run"),
        ("--run", "run"),
        ("-h", "help"),
        ("--help", "help"),
        ("-V", "version"),
        ("--version", "version"),
        ("--skip-task-validation", "skip-task-validation"),
        ("--skip-validation", "skip-validation"),
        ("--fire-and-forget", "fire-and-forget"),
        ("--force-instance", "force-instance"),
        ("-y", "yes"),
        ("--plan=12345678", "plan"),
        ("--config=x", "config"),
        ("--resume", "resume"),
        ("--start-from=1", "start-from"),
        ("--finish-only", "finish-only"),
        ("--show-recovery-info", "show-recovery-info"),
        ("--status", "status"),
        ("--project-summary=X", "project-summary"),
        ("--completions=bash", "completions"),
    ] {
        let why = "is not allowed in a task file, only on the command line";
        refused_in_file(line, &format!("`--{long}` {why}"));
    }
}

/// As in the original: with one of them, `-r` checks and runs nothing.
#[test]
fn a_file_can_say_how_it_is_checked() {
    let (sandbox, ran) = run_text(&format!("--validate-only\n{HELLO}"), &["-r"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let note = "tasker: note: --validate-only overrules -r; nothing is run\n";
    assert_eq!(ran.stderr, note);
    assert!(ran.stdout.ends_with("ready for execution\n"), "{ran:?}");
    assert!(sandbox.journals().is_empty());
    let nowhere = "--skip-host-validation\n-t local\ntask=1\nhostname=no-such.invalid\n\
                   command=echo @hostname@\n";
    let (_, ran) = run_text(nowhere, &["-r"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stderr
            .contains("hosts are neither resolved nor contacted")
    );
}

#[test]
fn options_that_run_nothing_overrule_run() {
    for (options, shows) in [
        (&["--validate-only"][..], "ready for execution\n"),
        (&["--validate-only", "--resume"], "ready for execution\n"),
        (&["--show-recovery-info"], ""),
    ] {
        let (sandbox, ran) = run_text("task=1\nexec=local\ncommand=touch ran\n", options);
        let mut with_run = options.to_vec();
        with_run.push("-r");
        with_run.push("tasks.txt");
        let real = tasker(&sandbox, &with_run);
        assert_eq!((real.code, &real.stdout), (ran.code, &ran.stdout));
        assert!(real.stdout.ends_with(shows), "{real:?}");
        assert!(!sandbox.exists("ran") && sandbox.journals().is_empty());
    }
}

#[test]
fn the_home_directory_can_be_written_in_option_lines() {
    let file = format!("-l ~/far/logs\n--report=~/page.html\n--output-json=~/out.json\n{HELLO}");
    let (sandbox, ran) = run_text(&file, &["-r"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(sandbox.exists("far/logs/logs") && sandbox.exists("page.html"));
    assert!(sandbox.exists("out.json") && !sandbox.exists("~"));
    // Elsewhere in a value it is taken literally, and so is another user's.
    let (sandbox, ran) = run_text(&format!("--report=./~/page.html\n{HELLO}"), &["-r"]);
    assert_eq!(ran.code, 32, "{ran:?}");
    assert!(!sandbox.exists("page.html"));
    let mut homeless = sandbox.tasker(&["-r", "-l", "logs", "tasks.txt"]);
    sandbox.file("tasks.txt", format!("--report=~/page.html\n{HELLO}"));
    let ran = Ran::from(homeless.env_remove("HOME").output().expect("tasker runs"));
    let why = "tasks.txt:1:1: error: cannot resolve `~`: HOME is not set\n";
    assert!(ran.stderr.starts_with(why), "{ran:?}");
}

#[test]
fn an_optional_value_needs_an_equals_sign() {
    refused_in_file(
        "--output-json out.json",
        "`--output-json` takes a value only after `=`; did you mean `--output-json=out.json`?",
    );
    refused_in_file(
        "--show-plan dot",
        "`--show-plan` takes a value only after `=`; did you mean `--show-plan=dot`?",
    );
    refused(
        &["--output-json", "out.json"],
        "expected one task file, found `tasks.txt` as well; \
         did you mean `--output-json=out.json`?",
    );
}

const ON_HOSTS: &str = "task=1\ntype=parallel\nhostnames=web[1-5]\nexec=local\n\
                        command=touch ran-@hostname@\n";

#[test]
fn repeated_limits_and_exclusions_add_up() {
    for (lines, options, hosts) in [
        ("", &["--limit=web1", "--limit", "web[3-4]"][..], "1 3 4"),
        ("", &["--exclude=web1", "--exclude=web5"], "2 3 4"),
        (
            "",
            &["--limit=web[1-2]", "--limit=web3", "--exclude=web2"],
            "1 3",
        ),
        ("--limit=web1\n--limit=web2\n", &[], "1 2"),
        // The command line wins, but it cannot reach what the file excludes.
        ("--limit=web[1-2]\n", &["--limit=web3"], "3"),
        ("--exclude=web[1-3]\n", &["--exclude=web4"], "5"),
        ("--exclude=web[1-3]\n", &["--limit=web[3-4]"], "4"),
    ] {
        let options = [&["-r"], options].concat();
        let (sandbox, ran) = run_text(&format!("{lines}{ON_HOSTS}"), &options);
        assert_eq!(ran.code, 0, "{ran:?}");
        let touched = (1..=5).filter(|n| sandbox.exists(&format!("ran-web{n}")));
        let touched: Vec<String> = touched.map(|n| n.to_string()).collect();
        assert_eq!(touched.join(" "), hosts, "{lines}{options:?}");
    }
    let (_, ran) = run_text(ON_HOSTS, &["--limit=web1", "--limit=web["]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("--limit: "), "{ran:?}");
}

#[test]
fn mistakes_in_a_file_are_placed() {
    refused_in_file("--runn", "unknown option `--runn`; did you mean `--run`?");
    refused_in_file("-x", "unknown option `-x`");
    refused_in_file("-", "expected an option, found `-`");
    refused_in_file("--", "expected an option, found `--`");
    refused_in_file("--quiet=1", "`--quiet` takes no value");
    refused_in_file("-qk", "`--quiet` takes no value");
    refused_in_file("--project", "`--project` needs a value: NAME");
    refused_in_file("--project=", "`--project` needs a value: NAME");
    // Option lines are taken literally.
    let name = "expected a name of letters, digits, `.`, `_` and `-`, found";
    refused_in_file("-p X # main", &format!("{name} `X # main`"));
    refused_in_file("-p \"X\"", &format!("{name} `\"X\"`"));
}

#[test]
fn a_missing_file_is_30_and_an_unreadable_one_31() {
    let sandbox = Sandbox::new();
    sandbox.file("plain", "");
    for name in ["none.txt", "plain/none.txt", "no/such/dir.txt"] {
        let ran = tasker(&sandbox, &["-r", name]);
        assert_eq!(ran.code, 30);
        let here = sandbox.path.display();
        assert_eq!(
            ran.stderr,
            format!("tasker: there is no task file `{name}` in `{here}`; nothing was run\n")
        );
    }
    let ran = tasker(&sandbox, &["-r", "."]);
    assert_eq!(ran.code, 31);
    assert_eq!(
        ran.stderr,
        "tasker: cannot read the task file `.`: it is a directory; nothing was run\n"
    );
    std::os::unix::fs::symlink("loop", sandbox.path.join("loop")).expect("a link");
    let ran = tasker(&sandbox, &["loop"]);
    assert_eq!(ran.code, 31, "{ran:?}");
    let ran = tasker(&sandbox, &["plain"]);
    assert_eq!(ran.code, 24);
    assert_eq!(
        ran.stderr,
        "tasker: plain: the file holds no tasks; nothing was run\n"
    );
    assert!(!sandbox.exists("TASKER"));
}

#[test]
fn a_dash_is_standard_input() {
    for (text, code, expected) in [
        (HELLO, 0, "| hello"),
        ("", 24, "standard input: the file holds no tasks"),
        (
            "task=x\n",
            20,
            "standard input:1:6: error: expected a task id",
        ),
    ] {
        let sandbox = Sandbox::new();
        let mut child = sandbox
            .tasker(&["-r", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut input = child.stdin.take().expect("a pipe");
        input.write_all(text.as_bytes()).expect("written");
        drop(input);
        let ran = finish(child);
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(
            format!("{}{}", ran.stdout, ran.stderr).contains(expected),
            "{ran:?}"
        );
    }
}

#[test]
fn only_named_variables_with_strict_validation() {
    let text = |name: &str| format!("A=${name}\ntask=1\nhostname=localhost\ncommand=echo @A@\n");
    for (name, code) in [("USER", 20), ("TASKER_USER", 0), ("TASKERUSER", 20)] {
        let sandbox = Sandbox::new();
        sandbox.file("tasks.txt", text(name));
        sandbox.file(
            "strict.txt",
            format!("--strict-env-validation\n{}", text(name)),
        );
        for arguments in [
            &["--strict-env-validation", "tasks.txt"][..],
            &["strict.txt"],
        ] {
            let mut command = sandbox.tasker(arguments);
            let ran = Ran::from(command.env(name, "me").output().expect("tasker runs"));
            assert_eq!(ran.code, code, "{ran:?}");
        }
        let mut command = sandbox.tasker(&["tasks.txt"]);
        assert!(
            command
                .env(name, "me")
                .status()
                .expect("tasker runs")
                .success()
        );
    }
}

#[test]
fn old_options_are_accepted_with_one_note() {
    let file = format!("--skip-command-validation\n--skip-security-validation\n{HELLO}");
    let arguments = [
        "-r",
        "--skip-subtask-range-validation",
        "--skip-unresolved-host-validation",
        "--skip-command-validation",
    ];
    let (_, ran) = run_text(&file, &arguments);
    assert_eq!(ran.code, 0);
    assert_eq!(
        ran.stderr,
        "tasker: note: these options no longer have an effect: --skip-command-validation, --skip-security-validation, \
         --skip-subtask-range-validation, --skip-unresolved-host-validation\n"
    );
    let (_, ran) = run_text(&file, &["-r", "-q"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

#[test]
fn skipping_validation_warns_and_skips_no_errors() {
    let unused_global = format!("SPARE=1\n{HELLO}");
    let tasks = "tasker: warning: flow checks and all warnings are skipped\n";
    let hosts = "tasker: warning: hosts are neither resolved nor contacted before the run\n";
    for (option, note) in [
        ("--skip-task-validation", tasks.to_string()),
        ("--skip-validation", format!("{tasks}{hosts}")),
    ] {
        let (_, ran) = run_text(&unused_global, &[option]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, note.as_str()));
        // A quiet run that succeeds is silent: the warning is in the log.
        let (sandbox, ran) = run_text(&unused_global, &["-r", "-q", option]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        assert!(
            sandbox
                .log()
                .contains("[WARN] Flow checks and all warnings were skipped")
        );
        let (_, ran) = run_text("task=1\nhostname=localhost\ncommand=x\ngoto=9\n", &[option]);
        assert_eq!(ran.code, 20, "{ran:?}");
    }
}

#[test]
fn help_and_version_need_no_file() {
    let sandbox = Sandbox::new();
    let short = tasker(&sandbox, &["-h"]);
    let long = tasker(&sandbox, &["--help"]);
    for ran in [&short, &long] {
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        assert!(
            ran.stdout
                .starts_with("usage: tasker [OPTIONS] TASK_FILE\n")
        );
        assert!(
            ran.stdout.lines().all(|l| l.chars().count() <= 100),
            "{}",
            ran.stdout
        );
        for option in ["-r, --run", "-p, --project NAME", "--strict-env-validation"] {
            assert!(ran.stdout.contains(option), "{option}: {}", ran.stdout);
        }
        assert!(!ran.stdout.contains("--skip-command-validation"));
    }
    assert!(long.stdout.starts_with(&short.stdout) && long.stdout.contains("Exit codes:"));
    assert_eq!(tasker(&sandbox, &["-rh"]).stdout, short.stdout);
    assert_eq!(
        tasker(&sandbox, &["none.txt", "--help"]).stdout,
        long.stdout
    );
    for option in ["-V", "--version"] {
        let ran = tasker(&sandbox, &[option, "none.txt"]);
        assert_eq!(
            ran.stdout,
            concat!("tasker ", env!("CARGO_PKG_VERSION"), "\n")
        );
    }
}

#[test]
fn the_environment_stands_in_for_options() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "tasks.txt",
        "task=1\nhostname=localhost\ncommand=echo a | cat\n",
    );
    let run = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut all = vec!["-r"];
        all.extend(arguments);
        all.push("tasks.txt");
        let mut command = sandbox.tasker(&all);
        command.envs(variables.iter().copied());
        Ran::from(command.output().expect("tasker runs"))
    };
    let ran = run(&[("TASK_EXECUTOR_TYPE", "shell")], &[]);
    assert!(ran.stdout.contains("| a\n"), "{}", ran.stdout);
    let ran = run(&[("TASK_EXECUTOR_TYPE", "shell")], &["-t", "local"]);
    assert!(ran.stdout.contains("| a | cat\n"), "{}", ran.stdout);
    // An empty variable counts as unset.
    let ran = run(
        &[("TASK_EXECUTOR_TYPE", ""), ("TASK_EXECUTOR_TIMEOUT", "")],
        &[],
    );
    assert!(ran.stdout.contains("| a | cat\n"), "{}", ran.stdout);

    let ran = run(
        &[
            ("TASK_EXECUTOR_TIMEOUT", "17"),
            ("TASK_EXECUTOR_LOG", "here"),
        ],
        &[],
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    let logs = std::fs::read_dir(sandbox.path.join("here/logs"))
        .expect("logs")
        .flatten();
    let log = logs
        .map(|e| std::fs::read_to_string(e.path()).expect("a log"))
        .collect::<String>();
    assert!(log.contains("Default timeout 17 s"), "{log}");
    let ran = run(&[("TASK_EXECUTOR_LOG", "here")], &["-l", "there"]);
    assert!(ran.code == 0 && sandbox.exists("there/logs"), "{ran:?}");

    for (name, value, why) in [
        (
            "TASK_EXECUTOR_TYPE",
            "shel",
            "there is no exec type `shel`; did you mean `shell`?",
        ),
        (
            "TASK_EXECUTOR_TIMEOUT",
            "0",
            "expected a timeout from 1 s to 7 days, found `0`",
        ),
    ] {
        let ran = run(&[(name, value)], &[]);
        assert_eq!(ran.code, 2);
        assert_eq!(ran.stderr, mistake(&format!("{name}: {why}")));
    }
    // The command line makes a bad value irrelevant.
    let ran = run(&[("TASK_EXECUTOR_TYPE", "shel")], &["-t", "local"]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn log_levels_control_the_detail() {
    let levels = |arguments: &[&str]| {
        let mut all = vec!["-r"];
        all.extend(arguments);
        let (sandbox, ran) = run_text(
            "A=1\ntask=1\nhostname=localhost\ncommand=false\narguments=@A@\n",
            &all,
        );
        assert_eq!(ran.code, 1, "{ran:?}");
        let log = sandbox.log();
        ["[ERROR]", "[WARN]", "[INFO]", "[DEBUG]"].map(|l| log.contains(l))
    };
    assert_eq!(levels(&["--log-level=error"])[..3], [true, false, false]);
    assert!(levels(&["--log-level=INFO"])[2] && !levels(&[])[3]);
    assert!(levels(&["--log-level=DEBUG"])[2]);
    assert_eq!(levels(&["-d"]), levels(&["--log-level=DEBUG"]));
    assert!(!levels(&["-d", "--log-level=ERROR"])[2]);
}

#[test]
fn quiet_is_silent_unless_something_fails() {
    let unused_global = format!("SPARE=1\n{HELLO}");
    let (sandbox, ran) = run_text(&unused_global, &["-rq"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (0, "", "")
    );
    assert!(sandbox.log().contains("hello"));
    let (_, ran) = run_text(
        "task=1\nhostname=localhost\ncommand=ls /no/such/place\n",
        &["-r", "-q"],
    );
    assert_ne!(ran.code, 0);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("/no/such/place"), "{}", ran.stderr);
    // Printing is the purpose of a dry run.
    let (_, ran) = run_text(&unused_global, &["-q"]);
    assert!(
        ran.stdout.contains("echo hello") && ran.stderr.contains("never used"),
        "{ran:?}"
    );
}

#[test]
fn a_project_gets_one_line_per_run() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", HELLO);
    for _ in 0..2 {
        assert_eq!(
            tasker(&sandbox, &["-rq", "-p", "My.Own_1-x", "tasks.txt"]).code,
            0
        );
    }
    let summary = sandbox.read("TASKER/logs/project_My.Own_1-x_summary.log");
    let lines: Vec<&str> = summary.lines().collect();
    assert_eq!(lines.len(), 3, "{summary}");
    assert_eq!(
        lines[0],
        "Timestamp | Task_File | Final_Task | Final_Host | Exit_Code | Status | Log_File"
    );
    assert!(
        lines[2].contains(" | tasks.txt | 1 | localhost | 0 | SUCCESS | "),
        "{summary}"
    );
    // A dry run leaves no trace.
    let (sandbox, _) = run_text(HELLO, &["-p", "X"]);
    assert!(!sandbox.exists("TASKER"));
}

#[test]
fn set_values_are_text_like_the_file_s() {
    let text = "A=1\nB=@A@-@A@\ntask=1\nhostname=localhost\ncommand=echo [@B@]\n";
    let (_, ran) = run_text(text, &["-r", "--set", "A=x", "--set=B=@A@$TASKER_NO:y"]);
    assert_eq!(ran.code, 20, "an unset variable: {ran:?}");
    assert!(ran.stderr.contains("--set B:1:4: error"), "{}", ran.stderr);
    let (_, ran) = run_text(text, &["-r", "--set", "A=x y=z"]);
    assert!(ran.stdout.contains("[x y=z-x y=z]"), "{}", ran.stdout);
    let (_, ran) = run_text(text, &["-r", "--set", "A="]);
    assert!(ran.stdout.contains("[-]"), "{}", ran.stdout);
    let (_, ran) = run_text(text, &["--set", "C=1"]);
    assert!(
        ran.stderr.contains("the global `C` is never used"),
        "{}",
        ran.stderr
    );
    let (_, ran) = run_text(text, &["-r", "--set", "DB_PASSWORD=hunter2@X@"]);
    assert!(
        ran.code == 20 && !ran.stderr.contains("hunter2"),
        "{}",
        ran.stderr
    );
}

#[test]
fn names_and_values_can_be_not_utf_8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let sandbox = Sandbox::new();
    let name = OsStr::from_bytes(b"t\xff.txt");
    std::fs::write(sandbox.path.join(name), HELLO).expect("a file");
    let run = |arguments: &[&OsStr]| sandbox.output(arguments);
    let ran = run(&[OsStr::new("-r"), name]);
    assert_eq!(
        (ran.code, ran.stdout.contains("hello")),
        (0, true),
        "{ran:?}"
    );
    let ran = run(&[OsStr::new("--project"), OsStr::from_bytes(b"\xff"), name]);
    assert_eq!(ran.code, 2);
    assert_eq!(
        ran.stderr,
        mistake("--project: the value is not UTF-8 text")
    );
    let ran = run(&[OsStr::from_bytes(b"--\xff"), name]);
    assert_eq!(ran.code, 2, "{ran:?}");
}
