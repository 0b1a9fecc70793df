//! No message shows a part of a secret's value (SPEC §2.2), whatever is wrong with it and
//! wherever the message goes.

mod support;

use support::{Ran, Sandbox};

/// A part of each secret here.
const PART: &str = "unter2";

/// Everything that tasker prints and leaves about a file: console, JSON, logs, reports.
fn everything(sandbox: &Sandbox, ran: &Ran) -> String {
    let mut all = format!("{}{}", ran.stdout, ran.stderr);
    let logs = std::fs::read_dir(sandbox.path.join("TASKER/logs"));
    for entry in logs.into_iter().flatten().flatten() {
        let bytes = std::fs::read(entry.path()).unwrap_or_default();
        all += &String::from_utf8_lossy(&bytes);
    }
    if sandbox.exists("out.json") {
        all += &sandbox.read("out.json");
    }
    all
}

fn check(sandbox: &Sandbox, file: &str, options: &[&str]) -> Ran {
    sandbox.file("tasks.txt", file);
    let _ = std::fs::remove_dir_all(sandbox.path.join("TASKER"));
    let mut all = vec!["--skip-host-validation"];
    all.extend(options);
    all.push("tasks.txt");
    let ran = Ran::from(sandbox.tasker(&all).output().expect("tasker"));
    let all = everything(sandbox, &ran);
    assert!(!all.contains(PART), "{file}\n{options:?}\n{all}");
    ran
}

const USE: &str = "task=1\nexec=local\ncommand=echo x\nenv.A=@A_KEY@\n";

/// Values that are not what they were meant to be, and what the message says.
const MISTAKES: [(&str, &str); 16] = [
    (
        "Pa$Hunter2",
        "an environment variable in this secret is not set",
    ),
    (
        "$Hunter2",
        "an environment variable in this secret is not set",
    ),
    (
        "x${Hunter2}y",
        "an environment variable in this secret is not set",
    ),
    (
        "${NO_SUCH_X:-$Hunter2}",
        "an environment variable in this secret is not set",
    ),
    ("x${Hunter2", "expected `${NAME}` or `${NAME:-default}`"),
    ("x${Hunter2!}", "expected `${NAME}` or `${NAME:-default}`"),
    ("x@Hunter2@y", "a reference in this secret is to no global"),
    (
        "x@A_KEYHunter2@y",
        "a reference in this secret is to no global",
    ),
    (
        "x@OTHERunter2@",
        "a reference in this secret is to no global",
    ),
    (
        "${NO_SUCH_X:-@Hunter2@}",
        "a reference in this secret is to no global",
    ),
    (
        "@OTHER:-Hunter2@",
        "a reference in a global takes no default",
    ),
    ("Hunter2@A_KEY@Hunter2", "in a circle: A_KEY -> A_KEY"),
    ("@LOOP@Hunter2", "in a circle: "),
    ("$Hunter2$Munter2@Sunter2@", "in this secret"),
    ("$Hunter2\\", "in this secret"),
    ("unter2\\$x$Punter2@@y", "in this secret"),
];

#[test]
fn a_mistake_in_a_secret_shows_its_place_and_nothing_of_it() {
    let sandbox = Sandbox::new();
    for (value, told) in MISTAKES {
        for before in ["", "# far\n\n  "] {
            let file = format!("{before}A_KEY = {value}\nOTHER=1\nLOOP=@A_KEY@\n{USE}");
            for options in [
                &[][..],
                &["-r", "--output-json=out.json"],
                &["-r", "-q"],
                &["--validate-only"],
                &["--show-plan=json"],
            ] {
                let ran = check(&sandbox, &file, options);
                assert_eq!(ran.code, 20, "{file}: {ran:?}");
                assert!(ran.stderr.contains(told), "{file}: {ran:?}");
                let is_shown = ran.stderr.contains("A_KEY = ***") || value.contains("LOOP");
                assert!(is_shown, "{file}: {ran:?}");
            }
        }
        // The same on the command line and in an option line.
        let set = format!("A_KEY={value}");
        let ran = check(
            &sandbox,
            &format!("A_KEY=1\nOTHER=1\nLOOP=@A_KEY@\n{USE}"),
            &["--set", &set],
        );
        assert_eq!(ran.code, 20, "{set}: {ran:?}");
        assert!(ran.stderr.contains(told), "{set}: {ran:?}");
        let ran = check(
            &sandbox,
            &format!("--set {set}\nOTHER=1\nLOOP=@A_KEY@\n{USE}"),
            &[],
        );
        assert_eq!(ran.code, 20, "{set}: {ran:?}");
    }
    // What is not used is only a warning, and the plan has nothing of it either.
    let ran = check(
        &sandbox,
        "A_KEY=x$Hunter2\ntask=1\nexec=local\ncommand=echo x\n",
        &[],
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stderr
            .contains("warning: an environment variable in this secret"),
        "{ran:?}"
    );
    let ran = check(
        &sandbox,
        &format!("A_KEY=x$Hunter2\n{USE}"),
        &["--strict-env-validation"],
    );
    assert!(
        ran.stderr
            .contains("a variable in this secret cannot be used"),
        "{ran:?}"
    );
    // But for its own name.
    let ran = check(&sandbox, &format!("A_KEY=x${{A_KEY}}Hunter2\n{USE}"), &[]);
    assert!(
        ran.stderr.contains("variable `A_KEY` is not set"),
        "{ran:?}"
    );
    let ran = check(&sandbox, &format!("A_KEY=x$Hunter2\n{USE}"), &[]);
    let help = "write `\\$` for a literal `$` and `@@` for a literal `@`";
    assert!(ran.stderr.contains(help), "{ran:?}");
}

#[test]
fn a_malformed_definition_of_a_secret_shows_nothing_of_it() {
    let sandbox = Sandbox::new();
    for line in [
        "A_KEY Hunter2",
        "A_KEY: Hunter2",
        "A_KEY:Hunter2",
        "A_KEY - Hunter2",
        "A_KEY: Hunter2=",
        "A_KEY Hunter2=x",
        "A_KEY+=Hunter2",
        "A_KEY[0]=Hunter2",
        "export A_KEY=Hunter2",
        "set A_KEY Hunter2",
        "$A_KEY=Hunter2",
        "\"A_KEY\"=\"Hunter2\"",
        "  A_KEY   Hunter2  ",
        "A_KEY=Hunter2 \\",
        "--set A_KEY Hunter2",
        "--set A_KEY:Hunter2",
        "--set=A_KEY=x$Hunter2",
        "--set A_KEY: Hunter2=",
    ] {
        for file in [
            format!("{line}\n{USE}"),
            format!("A_KEY=1\n{USE}{line}\n"),
            format!("A_KEY=1\n{line}\nwrong\n{USE}"),
        ] {
            let ran = check(&sandbox, &file, &["-r"]);
            assert_eq!(ran.code, 20, "{file}: {ran:?}");
        }
    }
    for set in [
        "A_KEY Hunter2",
        "A_KEY:Hunter2",
        "A_KEY: Hunter2=",
        "$A_KEY=Hunter2",
        "A_KEY+=Hunter2",
    ] {
        let ran = check(&sandbox, &format!("A_KEY=1\n{USE}"), &["--set", set]);
        assert_eq!(ran.code, 2, "{set}: {ran:?}");
    }
}

#[test]
fn a_secret_that_is_not_usable_where_it_stands_is_not_shown() {
    let sandbox = Sandbox::new();
    for value in [
        "x|Hunter2",
        "*Hunter2",
        "~Hunter2",
        "\u{201c}Hunter2",
        "`Hunter2`",
        "#Hunter2",
        "'Hunter2",
        "\"Hunter2",
        "(Hunter2",
        "Hunter2)",
        "a;Hunter2 &&",
        "stdout => Hunter2",
        "stdout = Hunter2 and exit_0",
        "stdout < Hunter2",
        "exit_Hunter2",
        "Hunter2,a[1-",
        "-oHunter2",
    ] {
        for task in [
            "exec=local\ncommand=echo @A_KEY@",
            "exec=shell\ncommand=echo @A_KEY@",
            "exec=local\ncommand=@A_KEY@ x",
            "exec=@A_KEY@\ncommand=x",
            "exec=local\ncommand=echo x\nsuccess=@A_KEY@",
            "exec=local\ncommand=echo x\ncondition=@A_KEY@ > 3",
            "exec=local\ncommand=echo x\nsuccess=stdout < @A_KEY@",
            "exec=local\ncommand=echo x\nworkdir=/@A_KEY@",
            "exec=local\ncommand=echo x\ntimeout=@A_KEY@\nsleep=@A_KEY@\nretry_count=@A_KEY@\nretry_on=@A_KEY@",
            "exec=local\ncommand=echo x\nstdout_split=@A_KEY@\nreturn=@A_KEY@",
            "exec=local\ncommand=echo x\nhostname=@A_KEY@",
            "type=parallel\nhostnames=@A_KEY@\nexec=local\ncommand=echo x\nwaves=@A_KEY@\nfail_fast=@A_KEY@",
            "exec=local\ncommand=echo @A_KEY_number@",
        ] {
            for file in [
                format!("A_KEY={value}\ntask=1\n{task}\n"),
                format!("A_KEY=${{V_KEY:-{value}}}\ntask=1\n{task}\n"),
            ] {
                sandbox.file("tasks.txt", &file);
                let ran = Ran::from(
                    sandbox
                        .tasker(&["--validate-only", "--skip-host-validation", "tasks.txt"])
                        .output()
                        .expect("tasker"),
                );
                let all = everything(&sandbox, &ran);
                let lines: Vec<&str> = all.lines().filter(|l| l.contains(PART)).collect();
                assert!(lines.is_empty(), "{file}\n{lines:#?}");
            }
        }
    }
}

/// A variable with the name of a secret hides what is written there, as a global does.
#[test]
fn a_secret_that_is_written_in_a_variable_is_masked_and_warned_of() {
    for (written, value) in [
        ("hunter2-literal", "hunter2-literal"),
        ("pa@@ss-literal", "pa@ss-literal"),
        ("x1@HOST@-literal", "x1web01-literal"),
        ("two words-literal", "two words-literal"),
    ] {
        let sandbox = Sandbox::new();
        let tasks = format!(
            "HOST=web01\ntask=1\nexec=shell\nenv.DB_PASSWORD={written}\n\
             command=echo \"$DB_PASSWORD\"; echo \"$DB_PASSWORD\" > got; exit 3\n"
        );
        let options = [
            "--debug",
            "--events=ev",
            "--report=page",
            "--output-json=json",
            "--show-plan",
            "-y",
        ];
        let ran = sandbox.run(&tasks, &options);
        assert_eq!(ran.code, 3, "{ran:?}");
        assert_eq!(sandbox.read("got"), format!("{value}\n"));
        let message = "tasks.txt:4:17: warning: the secret `env.DB_PASSWORD` is written in the \
                       task file\n   4 | env.DB_PASSWORD=***\n";
        assert!(ran.stderr.contains(message), "{ran:?}");
        let mut all = everything(&sandbox, &ran);
        for name in ["ev", "page", "json"] {
            let text = sandbox.read(name);
            assert!(!text.is_empty(), "{name}");
            all += &text;
        }
        for part in [value, "-literal", "pa@"] {
            assert!(!all.contains(part), "{part} in {all}");
        }
        let resumed = sandbox.output(&["-r", "-q", "--resume", "tasks.txt"]);
        assert_eq!(resumed.code, 3, "{resumed:?}");
    }
}

/// The form that the warning recommends, and a mistake in a secret.
#[test]
fn a_variable_that_refers_to_a_secret_is_fine_and_a_mistake_shows_no_part() {
    let sandbox = Sandbox::new();
    let tasks = "DB_PASSWORD=${UNSET:-from-global}\ntask=1\nexec=shell\n\
                 env.DB_PASSWORD=@DB_PASSWORD@\ncommand=[ \"$DB_PASSWORD\" = from-global ]\n";
    let ran = sandbox.run(tasks, &[]);
    assert_eq!(
        (ran.code, ran.stderr.contains("warning")),
        (0, false),
        "{ran:?}"
    );
    for written in [
        "pa@Super1Secret@x",
        "@Super1Secret@Super2Secret",
        "x@Super1Secret_stdout:-Super2Secret@",
    ] {
        let tasks = format!("task=1\nexec=local\ncommand=true\nenv.A_TOKEN={written}\n");
        let ran = sandbox.run(&tasks, &[]);
        assert_eq!(ran.code, 20, "{ran:?}");
        let all = ran.stdout + &ran.stderr;
        assert!(!all.contains("Super"), "{all}");
        assert!(all.contains("write `@@` for a literal `@`"), "{all}");
    }
}

/// Everyone sees the command line in `ps`.
#[test]
fn a_secret_on_the_command_line_is_warned_of() {
    let sandbox = Sandbox::new();
    let tasks = "DB_PASSWORD=x\ntask=1\nexec=local\nenv.P=@DB_PASSWORD@\ncommand=true\n";
    let ran = sandbox.run(tasks, &["--set", "DB_PASSWORD=visible-in-ps"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let message = "--set DB_PASSWORD:1:1: warning: everyone on this machine can see this secret in \
                   `ps`\n   1 | ***\n";
    assert!(ran.stderr.contains(message), "{ran:?}");
    assert!(!ran.stderr.contains("visible-in-ps"), "{ran:?}");
    let ran = sandbox.run(tasks, &["--set", "P=harmless", "-q"]);
    assert!(!ran.stderr.contains("`ps`"), "{ran:?}");
}
