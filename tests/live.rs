//! What a run shows while it runs (SPEC §6.6): on real terminals of several widths,
//! in a pipe, and when asked.

#[path = "support/sshd.rs"]
#[allow(dead_code)]
mod sshd;
mod support;

use sshd::skipped;
use std::process::{Command, Stdio};
use support::neutral::without_numbers;
use support::{Sandbox, finish, signal, wait_for};

/// A separate terminal, controlled through tmux.
struct Terminal<'a> {
    sandbox: &'a Sandbox,
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]);
    }
}

impl<'a> Terminal<'a> {
    /// Runs the command line in a terminal of that width; None without tmux.
    fn start(sandbox: &'a Sandbox, columns: u32, line: &str) -> Option<Terminal<'a>> {
        let terminal = Terminal { sandbox };
        let tasker = env!("CARGO_BIN_EXE_tasker");
        // The waiting shell keeps the screen as it was.
        let line = format!("trap : INT; TASKER={tasker}; {line}; echo END $?; sleep 600");
        let columns = columns.to_string();
        let size = ["-x", &columns, "-y", "30"];
        let mut words = vec!["-f", "/dev/null", "new-session", "-d"];
        words.extend(size);
        words.push(&line);
        match terminal.tmux(&words) {
            Some(_) => Some(terminal),
            None => {
                skipped("a live terminal", "tmux is not there");
                None
            }
        }
    }

    fn tmux(&self, words: &[&str]) -> Option<String> {
        let socket = self.sandbox.path.join("tmux");
        let ran = Command::new("tmux")
            .arg("-S")
            .arg(socket)
            .args(words)
            .current_dir(&self.sandbox.path)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", &self.sandbox.path)
            .env("SHELL", "/bin/sh")
            .env("LC_ALL", "C.UTF-8")
            .stderr(Stdio::null())
            .output()
            .ok()?;
        ran.status
            .success()
            .then(|| String::from_utf8_lossy(&ran.stdout).into_owned())
    }

    /// The lines of the screen that are not empty.
    fn screen(&self) -> Vec<String> {
        let shown = self.tmux(&["capture-pane", "-p"]).unwrap_or_default();
        let lines = shown.lines().map(|l| l.trim_end().to_string());
        lines.filter(|l| !l.is_empty()).collect()
    }

    /// Everything that was ever on the screen, one line per terminal line.
    fn history(&self) -> String {
        let words = ["capture-pane", "-p", "-S", "-", "-J"];
        self.tmux(&words).unwrap_or_default()
    }

    fn last(&self) -> String {
        self.screen().pop().unwrap_or_default()
    }

    /// The last line once it contains the text.
    #[track_caller]
    fn wait_last(&self, text: &str) -> String {
        wait_for(&format!("the last line with `{text}`"), || {
            self.last().contains(text)
        });
        self.last()
    }

    fn resize(&self, columns: u32) {
        let columns = columns.to_string();
        let _ = self.tmux(&["resize-window", "-x", &columns]);
    }

    fn status_lines(&self) -> usize {
        self.screen().iter().filter(|l| l.starts_with('[')).count()
    }
}

/// A block of ten hosts, four at once; some wait until the file `gate` exists.
const BLOCK: &str = "\
task=1
description=make ready
exec=local
command=true
task=10
description=deploy the release everywhere
type=parallel
hostnames=web[01-10]
max_parallel=4
exec=local
command=./deploy @hostname@
next=always
task=11
exec=local
command=echo all done
";

/// `web0[1-3]` end at once, the third with a failure; the others once `gate`
/// exists.
const DEPLOY: &str = "\
#!/bin/sh
case $1 in
web03) echo broken >&2; exit 3;;
web0[1-2]) exit 0;;
esac
until [ -e gate ]; do sleep 0.05; done
";

fn block() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", BLOCK);
    sandbox.program("deploy", DEPLOY);
    sandbox
}

#[test]
fn the_status_line_fits_every_width() {
    let sandbox = block();
    let Some(terminal) = Terminal::start(&sandbox, 80, "$TASKER -r tasks.txt") else {
        return;
    };
    let counts = "2/10 ok 1 failed 4 running";
    let line = terminal.wait_last(counts);
    assert!(
        line.starts_with("[2/3] 10 deploy the release everywhere 2/10 ok"),
        "{line}"
    );
    // The lines above it are unchanged.
    let screen = terminal.screen().join("\n");
    assert!(
        screen.contains("task 1: make ready\n  $ true\n"),
        "{screen}"
    );
    assert!(screen.contains("10.3 on web03: failed, exit 3"), "{screen}");
    for (columns, end) in [
        (40, "4 running"),
        (200, "web07"),
        (60, "4 running"),
        (80, "4 running"),
    ] {
        terminal.resize(columns);
        wait_for(&format!("a line of {columns} columns"), || {
            let last = terminal.last();
            let fits = last.chars().count() < columns as usize;
            fits && last.starts_with("[2/3] 10") && last.contains(end)
        });
        assert_eq!(terminal.status_lines(), 1, "{:#?}", terminal.screen());
    }
    terminal.resize(200);
    let line = terminal.wait_last(" | web04 ");
    assert!(line.contains(", web05 ") && line.contains(counts), "{line}");
    sandbox.file("gate", "");
    terminal.wait_last("END 0");
    let all = terminal.history();
    assert!(!all.contains("running") && !all.contains("[2/3]"), "{all}");
    assert!(all.contains("web[01-02,04-10] (9): ok"), "{all}");
    assert!(
        all.contains("tasker: tasks.txt: ok; 2 ok, 1 failed"),
        "{all}"
    );
}

#[test]
fn wide_characters_are_counted_as_the_terminal_does() {
    let sandbox = block();
    let title = "\u{65e5}\u{672c}\u{8a9e}\u{306e}\u{30bf}\u{30a4}\u{30c8}\u{30eb} e\u{301}";
    sandbox.file(
        "tasks.txt",
        BLOCK.replace("deploy the release everywhere", title),
    );
    let Some(terminal) = Terminal::start(&sandbox, 40, "$TASKER -r tasks.txt") else {
        return;
    };
    let line = terminal.wait_last("2/10 ok 1 failed 4 running");
    assert!(line.starts_with("[2/3] 10 "), "{line}");
    assert_eq!(terminal.status_lines(), 1);
    terminal.resize(200);
    terminal.wait_last(title);
}

#[test]
fn a_signal_from_the_keyboard_is_answered_above_the_status_line() {
    let sandbox = block();
    let Some(terminal) = Terminal::start(&sandbox, 80, "$TASKER -r tasks.txt") else {
        return;
    };
    terminal.wait_last("4 running");
    let _ = terminal.tmux(&["send-keys", "C-c"]);
    wait_for("the answer", || {
        terminal
            .screen()
            .join(" ")
            .contains("nothing new starts; still running")
    });
    sandbox.file("gate", "");
    terminal.wait_last("END 130");
    let all = terminal.history();
    assert!(!all.contains("[2/3]"), "{all}");
}

#[test]
fn output_that_cannot_be_redrawn_gets_plain_lines() {
    let lines = [
        "TERM=dumb $TASKER -r tasks.txt",
        "unset TERM; $TASKER -r tasks.txt",
        "$TASKER -r tasks.txt | cat",
        "$TASKER -q -r tasks.txt",
    ];
    for line in lines {
        let sandbox = block();
        let Some(terminal) = Terminal::start(&sandbox, 80, line) else {
            return;
        };
        wait_for("the run", || {
            sandbox.exists("TASKER/logs") && { sandbox.log().contains("Executing Task 10.7 web07") }
        });
        assert_eq!(
            terminal.status_lines(),
            0,
            "{line}: {:#?}",
            terminal.screen()
        );
        sandbox.file("gate", "");
        terminal.wait_last("END 0");
        let all = terminal.history();
        assert_eq!(
            all.contains("all done"),
            !line.contains("-q"),
            "{line}: {all}"
        );
    }
}

/// What a terminal receives, byte for byte, from a run with that environment.
fn raw_terminal_output(sandbox: &Sandbox, environment: &[(&str, &str)]) -> String {
    let line = format!("{} -r tasks.txt", env!("CARGO_BIN_EXE_tasker"));
    let ran = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .current_dir(&sandbox.path)
        .env("HOME", &sandbox.path)
        .env_remove("NO_COLOR")
        .env("TERM", "xterm")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("script runs");
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

#[test]
fn colour_is_only_where_it_is_wanted() {
    let sandbox = block();
    sandbox.file("gate", "");
    let red = "\x1b[31m1 failed\x1b[0m";
    let seen = raw_terminal_output(&sandbox, &[]);
    assert!(seen.contains(red), "{seen:?}");
    let seen = raw_terminal_output(&sandbox, &[("NO_COLOR", "1")]);
    assert!(
        seen.contains("1 failed") && !seen.contains("\x1b[31m"),
        "{seen:?}"
    );
    assert!(seen.contains("\x1b[J"), "it is redrawn anyway: {seen:?}");
    let seen = raw_terminal_output(&sandbox, &[("TERM", "dumb")]);
    assert!(!seen.contains('\x1b'), "{seen:?}");
}

/// Neither the output of a command nor a title in the status line can control the
/// terminal.
#[test]
fn hostile_text_is_inert_on_a_terminal() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "out",
        b"\x1b]52;c;ZXZpbA==\x07\x1b[2J\rtasker: ok\x9b31m\xff \xe2\x80\xae",
    );
    sandbox.file(
        "tasks.txt",
        "task=1\ndescription=a \u{202e}title\u{1b}[2J\nexec=local\ncommand=cat out\n",
    );
    let seen = raw_terminal_output(&sandbox, &[("NO_COLOR", "1")]);
    let ours = seen.replace("\x1b[J", "");
    let inert = |c: char| c.is_control() && !"\r\n".contains(c) || c == '\u{202e}';
    assert!(!ours.contains(inert), "{ours:?}");
    assert!(seen.contains("…\\rtasker: ok"), "{seen:?}");
}

#[test]
fn sigusr1_prints_the_progress() {
    for quiet in [true, false] {
        let sandbox = block();
        let options: &[&str] = if quiet { &["-q"] } else { &[] };
        let child = sandbox.start(BLOCK, options);
        wait_for("the block", || {
            sandbox.exists("TASKER/logs") && sandbox.log().contains("Executing Task 10.7 web07")
        });
        signal(child.id(), "USR1");
        wait_for("the answer", || sandbox.log().contains("SIGUSR1: answered"));
        sandbox.file("gate", "");
        let ran = finish(child);
        assert_eq!(ran.code, 0, "{ran:?}");
        let answer = "tasker: [2/3] 10 deploy the release everywhere 2/10 ok 1 failed 4 running ";
        assert!(ran.stderr.starts_with(answer), "{}", ran.stderr);
        for host in ["  web04 ", "  web07 "] {
            assert!(ran.stderr.contains(host), "{}", ran.stderr);
        }
        let shape = without_numbers(&ran.stderr);
        assert!(shape.contains(" running #:#"), "{}", ran.stderr);
        assert!(shape.contains("  web# #:#"), "{}", ran.stderr);
        assert!(!ran.stdout.contains('\x1b'));
    }
}

/// The numbers depend on how busy the machine is; `report::progress` tests them.
#[test]
fn a_slow_host_is_named_once() {
    let sandbox = block();
    let child = sandbox.start(BLOCK, &[]);
    let slow = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|l| l.contains("web04 is slow"));
        lines.map(without_numbers).collect()
    };
    wait_for("the warning", || {
        sandbox.exists("TASKER/logs") && !slow(&sandbox.log()).is_empty()
    });
    sandbox.file("gate", "");
    let ran = finish(child);
    let warning = "web# is slow: #:# so far; the median of # others is #.# s";
    assert_eq!(slow(&ran.stdout), [format!("  {warning}")]);
    let log = sandbox.log();
    assert_eq!(slow(&log), [format!("[#-#-# #:#:#] [WARN] {warning}")]);
    assert!(log.contains("; the median of 3 others is "), "{log}");
}

/// SIGUSR1 before the run begins does not end tasker either.
#[test]
fn sigusr1_before_the_run_does_not_end_tasker() {
    use std::io::Write;
    let sandbox = Sandbox::new();
    let mut command = sandbox.tasker(&["-r", "-"]);
    let mut child = command
        .stdin(Stdio::piped())
        .spawn()
        .expect("tasker starts");
    let mut stdin = child.stdin.take().expect("its input");
    let status = format!("/proc/{}/status", child.id());
    // tasker ignores the signal once it has begun; then it waits for the file.
    wait_for("the start", || {
        let status = std::fs::read_to_string(&status).unwrap_or_default();
        let ignored = status.lines().find_map(|l| l.strip_prefix("SigIgn:\t"));
        ignored.is_some_and(|mask| u64::from_str_radix(mask, 16).unwrap_or(0) & (1 << 9) != 0)
    });
    signal(child.id(), "USR1");
    let _ = stdin.write_all(b"task=1\nexec=local\ncommand=grep SigIgn /proc/self/status\n");
    drop(stdin);
    let ran = finish(child);
    assert_eq!(ran.code, 0, "{ran:?}");
    // A command gets the default action.
    let mask = ran
        .stdout
        .lines()
        .find_map(|l| l.strip_prefix("  | SigIgn:\t"));
    let mask = u64::from_str_radix(mask.expect("the mask").trim(), 16).expect("a mask");
    assert_eq!(mask & (1 << 9), 0, "{}", ran.stdout);
}
