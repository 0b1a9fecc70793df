//! Text from outside is inert wherever it is shown (SPEC §6.6): it starts no line,
//! controls no terminal and hides nothing.

mod support;

use std::path::Path;
use std::process::Command;
use support::{Ran, Sandbox};

/// An escape sequence, a forged line, a CR, and characters that nobody sees: of other
/// directions, of no width, tags.
const HOSTILE: &str = "v\u{1b}[31m\r\n[2024-01-01 00:00:00] [INFO] forged\u{7}\u{9b}2J\u{202e}\u{200b}\u{200d}\u{2066}\u{e0041}\u{feff}\u{ad}\u{2028}w";
/// The same for the name of a file, a title or a host, without ends of lines.
const NAME: &str = "n\u{1b}[31m\u{202e}x\u{200b}\u{e0041}\u{2067}y\u{9b}z";

/// The characters that must not arrive as they are.
fn harmful(text: &str) -> Vec<char> {
    let is_harmful = |c: &char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
    };
    text.chars().filter(is_harmful).collect()
}

fn assert_inert(what: &str, text: &str) {
    assert_eq!(harmful(text), [], "{what}: {text:?}");
    assert!(
        !text.lines().any(|l| l.starts_with("[2024-01-01 00:00:00]")),
        "{what}: {text}"
    );
}

/// Every file below the directory, but for journals and outputs, which keep the bytes.
fn records(directory: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true if path.ends_with("state") || path.ends_with("tasks") => {}
            true => records(&path, found),
            false => {
                let bytes = std::fs::read(&path).expect("the record");
                let text = String::from_utf8_lossy(&bytes).into_owned();
                found.push((path.display().to_string(), text));
            }
        }
    }
}

/// A run whose name, globals, titles, outputs and arguments are hostile.
fn tasks(exit: u8) -> String {
    format!(
        "CHANGE=$HOSTILE\nWORD=$HOSTILE\n\
         # {NAME}\n\
         task=1\nexec=shell\ncommand=printf '%s' @WORD@; printf '%s' @WORD@ >&2; exit {exit}\n\
         env.VALUE=@WORD@\nretry_count=1\nretry_delay=10ms\n\
         task=2\ntype=parallel\nhostnames=a,b\nexec=shell\n\
         command=printf '%s\\n' @WORD@ @hostname@; exit {exit}\n\
         task=3\nhostname=localhost\ncommand=/nowhere/@WORD@\ncondition=@1_stdout@ = @WORD@\n\
         task=9\nfinally=true\nhostname=localhost\ncommand=true @1_stdout@\n"
    )
}

fn run(sandbox: &Sandbox, options: &[&str], file: &str) -> Ran {
    let mut arguments = options.to_vec();
    arguments.push(file);
    let mut command: Command = sandbox.tasker(&arguments);
    command.env("HOSTILE", HOSTILE).env("SUDO_USER", HOSTILE);
    command.env("SSH_CONNECTION", HOSTILE);
    Ran::from(command.output().expect("tasker runs"))
}

#[test]
fn nothing_hostile_is_shown_as_it_is() {
    for exit in [0, 3] {
        let sandbox = Sandbox::new();
        let name = format!("{NAME}.txt");
        sandbox.file(&name, tasks(exit));
        let log_dir = format!("--log-dir=log{NAME}");
        let modes: [&[&str]; 9] = [
            &[],
            &["--validate-only"],
            &["--show-plan"],
            &["-r", &log_dir],
            &["-r", "-q", "-k", "--project=p"],
            &[
                "-r",
                "--debug",
                "-y",
                "--events=ev",
                "--report=r.html",
                "--output-json=o.json",
            ],
            &["--assume-each-fails"],
            &["-r", "--resume"],
            &["--show-recovery-info"],
        ];
        for options in modes {
            let ran = run(&sandbox, options, &name);
            assert_inert(&format!("{options:?} stdout"), &ran.stdout);
            assert_inert(&format!("{options:?} stderr"), &ran.stderr);
        }
        let ran = sandbox.output(&["--status"]);
        assert_inert("--status", &(ran.stdout + &ran.stderr));
        let ran = sandbox.output(&["--project-summary=p"]);
        assert_inert("--project-summary", &(ran.stdout + &ran.stderr));
        let mut found = Vec::new();
        records(&sandbox.path.join("TASKER"), &mut found);
        records(&sandbox.path.join(format!("log{NAME}")), &mut found);
        let logs = found.iter().filter(|(path, _)| path.contains("/logs/"));
        assert!(logs.count() >= 4, "{found:?}");
        for (path, text) in found {
            assert_inert(&path, &text);
        }
        for name in ["ev", "o.json"] {
            // JSON keeps the text; what controls a terminal is escaped.
            let text = sandbox.read(name);
            assert!(!text.is_empty(), "{name}");
            assert!(
                !text.chars().any(|c| c.is_control() && c != '\n'),
                "{name}: {text}"
            );
        }
    }
}

/// A mistake shows the line in which it is.
#[test]
fn mistakes_are_shown_inert() {
    let sandbox = Sandbox::new();
    let name = format!("{NAME}.txt");
    for line in [
        format!("{NAME}=1"),
        format!("task={NAME}"),
        format!("--{NAME}"),
        format!("--set {NAME}=x"),
        format!("task=1\nhostname={NAME}\ncommand=x"),
        format!("task=1\nhostname=h\nexec={NAME}\ncommand=x"),
        format!("task=1\nhostname=h\ncommand=x \"{NAME}"),
        format!("task=1\nhostname=h\ncommand=x\ncondition={NAME} ="),
        format!("task=1\nhostname=h\ncommand=@{NAME}@"),
        format!("task=1\nhostname=h\ncommand=x\ntimeout={NAME}"),
        format!("task=1\ntype=parallel\nhostnames=file:{NAME}\ncommand=x"),
    ] {
        sandbox.file(&name, format!("{line}\n"));
        let ran = run(&sandbox, &["-r"], &name);
        assert_ne!(ran.code, 0, "{line:?}");
        assert_inert(&format!("{line:?}"), &(ran.stdout + &ran.stderr));
    }
}

/// A command line that is printed works when it is typed, whatever the name.
#[test]
fn a_printed_line_with_such_a_name_can_be_typed() {
    let sandbox = Sandbox::new();
    let name = format!("{NAME}.txt");
    sandbox.file(
        &name,
        "task=1\nexec=shell\ncommand=echo x >> ran; [ -e fixed ]\n",
    );
    let ran = sandbox.output(&["-r", &name]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let marker = "tasker: to continue from there: ";
    let line = ran.stderr.lines().find_map(|l| l.strip_prefix(marker));
    let line = line.expect("the line").to_string();
    sandbox.file("fixed", "");
    let ran = sandbox.type_in(&line);
    assert_eq!(ran.code, 0, "{line}: {ran:?}");
    assert_eq!(sandbox.read("ran"), "x\nx\n");
}
