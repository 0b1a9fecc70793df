//! The completion scripts, tried in their shells.

mod support;

use std::process::Command;
use support::{Ran, Sandbox};

const TASKS: &str = "--log-level=INFO\n# First\ntask=0\nname=prepare\nexec=local\ncommand=true\n\
                     task=10 # second\n name = deploy_all\nexec=local\ncommand=echo task=7\n\
                     task=20\nname=$(touch${IFS}ran)`touch${IFS}ran`\n";

/// A sandbox with the shell's script and a task file.
fn sandbox(shell: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let ran = sandbox.tasker(&["--completions", shell]).output();
    let ran = Ran::from(ran.expect("tasker runs"));
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{shell}");
    sandbox.file("completions", ran.stdout);
    sandbox.file("deploy tasks.txt", TASKS);
    sandbox.file("conf/other.conf", "");
    sandbox
}

fn run(sandbox: &Sandbox, shell: &str, script: &str) -> Vec<String> {
    let output = Command::new(shell)
        .args(if shell == "fish" {
            ["--no-config", "-c"]
        } else {
            ["--norc", "-c"]
        })
        .arg(script)
        .current_dir(&sandbox.path)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", &sandbox.path)
        .output();
    let ran = Ran::from(output.unwrap_or_else(|e| panic!("{shell} is needed: {e}")));
    assert_eq!(ran.stderr, "", "{script}");
    ran.stdout.lines().map(String::from).collect()
}

/// What bash offers for the last word, split as bash does.
fn bash(sandbox: &Sandbox, words: &[&str]) -> Vec<String> {
    let quoted: Vec<String> = words.iter().map(|w| format!("'{w}'")).collect();
    let script = format!(
        "source ./completions; COMP_WORDS=({}); COMP_CWORD={}; _tasker; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        quoted.join(" "),
        words.len() - 1
    );
    run(sandbox, "bash", &script)
}

/// What fish offers at the end of the line, without descriptions.
fn fish(sandbox: &Sandbox, line: &str) -> Vec<String> {
    let script = format!("source ./completions; complete -C \"{line}\"");
    let offered = run(sandbox, "fish", &script);
    let word = |l: String| l.split('\t').next().unwrap_or("").to_string();
    offered.into_iter().map(word).collect()
}

/// The long options in the help.
fn options_of_the_help() -> Vec<String> {
    let ran = Sandbox::new().tasker(&["--help"]).output();
    let help = Ran::from(ran.expect("tasker runs")).stdout;
    let lines = help.lines().take_while(|l| !l.starts_with("Exit codes"));
    let long = lines.filter_map(|l| {
        l.get(6..)?
            .strip_prefix("--")?
            .split([' ', '[', '='])
            .next()
    });
    let found: Vec<String> = long.map(|l| format!("--{l}")).collect();
    assert!(found.len() > 20, "{found:?}");
    found
}

#[test]
fn bash_offers_every_option_and_its_values() {
    let sandbox = sandbox("bash");
    let offered = bash(&sandbox, &["tasker", "--"]);
    assert_eq!(offered, options_of_the_help());
    assert_eq!(bash(&sandbox, &["tasker", "--valid"]), ["--validate-only"]);
    assert_eq!(bash(&sandbox, &["tasker", "--log-level", "D"]), ["DEBUG"]);
    // As bash splits `--log-level=` and `--log-level=E`.
    assert_eq!(
        bash(&sandbox, &["tasker", "--log-level", "="]),
        ["ERROR", "WARN", "INFO", "DEBUG"]
    );
    assert_eq!(
        bash(&sandbox, &["tasker", "--log-level", "=", "E"]),
        ["ERROR"]
    );
    assert_eq!(
        bash(&sandbox, &["tasker", "-t", "ssh"]),
        ["ssh", "ssh-shell"]
    );
    assert_eq!(
        bash(&sandbox, &["tasker", "--on-interrupt", ""]),
        ["drain", "kill"]
    );
    assert_eq!(
        bash(&sandbox, &["tasker", "--color", "a"]),
        ["auto", "always"]
    );
    assert_eq!(bash(&sandbox, &["tasker", "-l", "co"]), ["conf"]);
    assert_eq!(
        bash(&sandbox, &["tasker", "-r", "dep"]),
        ["deploy tasks.txt"]
    );
    assert_eq!(bash(&sandbox, &["tasker", "--set", ""]), [""]);
    // An optional value only follows a `=`.
    assert_eq!(
        bash(&sandbox, &["tasker", "--show-plan", "=", "d"]),
        ["dot"]
    );
    assert_eq!(bash(&sandbox, &["tasker", "--show-plan", "="]).len(), 4);
    let file = bash(&sandbox, &["tasker", "--show-plan", "d"]);
    assert_eq!(file, ["deploy tasks.txt"]);
}

/// A task file is data: its contents are offered or not, but never executed.
#[test]
fn bash_offers_the_tasks_of_the_file_on_the_line() {
    let sandbox = sandbox("bash");
    let all = ["0", "prepare", "10", "deploy_all", "20"];
    let file = "deploy\\ tasks.txt";
    assert_eq!(bash(&sandbox, &["tasker", file, "--start-from", ""]), all);
    // The value of an option is not taken for the file.
    let words = ["tasker", "--show-plan", file, "--start-from", "pre"];
    assert_eq!(bash(&sandbox, &words), ["prepare"]);
    let words = [
        "tasker",
        "--config",
        "conf/other.conf",
        file,
        "--start-from",
        "de",
    ];
    assert_eq!(bash(&sandbox, &words), ["deploy_all"]);
    assert_eq!(
        bash(
            &sandbox,
            &[
                "tasker",
                "--config",
                "=",
                "conf/other.conf",
                file,
                "--start-from",
                "1"
            ]
        ),
        ["10"]
    );
    assert_eq!(bash(&sandbox, &["tasker", "--start-from", ""]), [""]);
    assert!(!sandbox.exists("ran"));
}

#[test]
fn fish_offers_options_values_and_tasks() {
    let sandbox = sandbox("fish");
    let offered = fish(&sandbox, "tasker --");
    for option in options_of_the_help() {
        assert!(
            offered.iter().any(|o| o.trim_end_matches('=') == option),
            "{option}: {offered:?}"
        );
    }
    assert_eq!(fish(&sandbox, "tasker --log-level D"), ["DEBUG"]);
    assert_eq!(fish(&sandbox, "tasker -t ssh-"), ["ssh-shell"]);
    let plan = fish(&sandbox, "tasker --show-plan=d");
    assert!(plan.contains(&"--show-plan=dot".to_string()), "{plan:?}");
    let tasks = fish(
        &sandbox,
        "tasker --config conf/other.conf deploy\\\\ tasks.txt --start-from ",
    );
    assert_eq!(tasks, ["0", "10", "20", "deploy_all", "prepare"]);
    assert!(!sandbox.exists("ran"));
}

/// The functions of the script, with stand-ins for what lists the choices.
#[test]
fn zsh_offers_tasks_and_reads_every_specification() {
    let sandbox = sandbox("zsh");
    let script = r#"
        autoload -U compinit && compinit -u -D
        source ./completions
        whence -w _tasker
        # Only the tasks, with a stand-in for the function that adds them to the
        # list.
        compadd() { shift; print -rl -- "$@" }
        words=(tasker --config conf/other.conf 'deploy\ tasks.txt' --start-from '')
        CURRENT=6
        _tasker_tasks
        # What _arguments gets: one word per option or form, and the file.
        _arguments() { shift 2; print -rl -- "$@" }
        _tasker
    "#;
    let output = Command::new("zsh")
        .args(["-f", "-c", script])
        .current_dir(&sandbox.path)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", &sandbox.path)
        .output();
    let ran = Ran::from(output.unwrap_or_else(|e| panic!("zsh is needed: {e}")));
    assert_eq!(ran.stderr, "");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let tasks = [
        "_tasker: function",
        "0",
        "prepare",
        "10",
        "deploy_all",
        "20",
    ];
    assert_eq!(lines[..6], tasks, "{ran:?}");
    for option in options_of_the_help() {
        let is_its = |l: &&str| {
            l.split(['[', '='])
                .next()
                .is_some_and(|o| o.rsplit([')', '*']).next() == Some(option.as_str()))
        };
        assert!(lines.iter().any(is_its), "{option}: {lines:?}");
    }
    assert!(
        lines
            .iter()
            .any(|l| l.ends_with("LEVEL:(ERROR WARN INFO DEBUG)")),
        "{lines:?}"
    );
    assert!(!sandbox.exists("ran"));
}

#[test]
fn an_unknown_shell_is_refused() {
    let sandbox = Sandbox::new();
    for arguments in [&["--completions", "tcsh"][..], &["--completions"]] {
        let ran = sandbox.output(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
        assert!(
            ran.stderr.contains("`bash`, `zsh` or `fish`")
                || ran.stderr.contains("needs a value: SHELL")
        );
    }
}
