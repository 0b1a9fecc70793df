//! The remote wrapper of an `ssh` task (SPEC §5): a few lines of POSIX `sh` that run
//! the command on the host, and end it when the control channel closes.
//!
//! The channel is ssh's standard input. It carries one line that sets the words of
//! the command; once the host has answered `go`, then the command's own standard
//! input; then tasker keeps it open.
//! So only `sh` parses the words, whatever the login shell is; the kernel's limit of
//! a command line does not apply; and `ps` does not show them.
//!
//! Rejected: quoting the words on ssh's command line. csh does not accept newlines in
//! quotes, and fish interprets backslashes in them.
#![forbid(unsafe_code)]

use crate::text::decimal::short_seconds;
use crate::text::{quote, search};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

const WRAPPER: &str = include_str!("remote.sh");
/// What stands for a newline in a quoted word of the setup line.
const NEWLINE: &[u8] = b"'\"$tk_nl\"'";
/// The lines that the wrapper takes after the setup line: the command may begin; what it
/// has left behind is to be ended.
pub const GO: &[u8] = b"go\n";
pub const CUT: &[u8] = b"cut\n";

/// The command of an `ssh` job, as the wrapper gets it.
pub struct RemoteCommand {
    /// The wrapper's first line on standard error. Random, so that no other output can
    /// be taken for it.
    pub nonce: String,
    /// The assignments and `set -- WORDS`.
    setup: Vec<u8>,
}

/// The wrapper as the command that ssh runs on the host, the same for every job.
pub fn wrapper_command() -> String {
    let lines = WRAPPER
        .lines()
        .filter(|l| !l.starts_with('#') && !l.is_empty());
    format!("exec /bin/sh -c '{}'", lines.collect::<Vec<_>>().join(" "))
}

impl RemoteCommand {
    /// A command of words, with the variables of its environment.
    pub fn from_words(words: &[Vec<u8>], variables: &[(String, Vec<u8>)]) -> RemoteCommand {
        let mut setup = exports(variables);
        setup.extend_from_slice(b"set --");
        for word in words {
            setup.push(b' ');
            setup.extend(quoted(word));
        }
        RemoteCommand {
            nonce: nonce(),
            setup,
        }
    }

    /// A script with the values it uses. It is run by bash, or by sh if the host has no
    /// bash and it is not for bash only.
    pub fn from_script(
        text: &[u8],
        values: &[(String, Vec<u8>)],
        variables: &[(String, Vec<u8>)],
        bash_only: bool,
    ) -> RemoteCommand {
        const NO_BASH: &[u8] = b"echo 'there is no bash on this host, and another shell would read the script otherwise; a result could run in it' >&2; exit 127";
        let mut setup = exports(variables);
        setup.extend(exports(values));
        // A bash that sshd starts reads .bashrc, also for a script, and what that prints
        // would be taken for output of the script.
        setup.extend_from_slice(b"set -- bash --norc -c ");
        setup.extend(quoted(text));
        setup.extend_from_slice(b"; command -v bash >/dev/null 2>&1 || ");
        match bash_only {
            true => {
                setup.extend_from_slice(b"set -- sh -c ");
                setup.extend(quoted(NO_BASH));
            }
            false => setup.extend_from_slice(b"{ shift 2; set -- sh \"$@\"; }"),
        }
        RemoteCommand {
            nonce: nonce(),
            setup,
        }
    }

    /// The first line on the channel; `data` is the length of the standard input in
    /// bytes.
    pub fn setup_line(&self, data: u64, kill_after: Duration) -> Vec<u8> {
        let seconds = short_seconds(kill_after);
        let newline = match search::contains(&self.setup, NEWLINE) {
            true => r#"tk_nl=$(printf "\n_"); tk_nl=${tk_nl%_}; "#,
            false => "",
        };
        let (nonce, session) = (&self.nonce, random_name());
        let head = format!(
            "tk_nonce={nonce} tk_size={data} tk_kill={seconds}; export TASKER_SESSION={session}; {newline}"
        );
        [head.as_bytes(), &self.setup, b"\n"].concat()
    }
}

fn exports(list: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in list {
        out.extend_from_slice(format!("export {name}=").as_bytes());
        out.extend(quoted(value));
        out.extend_from_slice(b"; ");
    }
    out
}

/// Quotes a word for `sh` on one line: a newline becomes the wrapper's variable that
/// holds one, outside the quotes.
fn quoted(word: &[u8]) -> Vec<u8> {
    quote::shell_bytes(word, NEWLINE)
}

fn nonce() -> String {
    format!("tasker-{}{}", random_name(), random_name())
}

fn random_name() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::marks::{MarkedStderr, MarkedStdout};
    use std::io::Write;
    use std::process::{Child, Command, Output, Stdio};
    use std::time::Instant;

    #[test]
    fn the_wrapper_is_one_line_that_any_shell_accepts() {
        let command = wrapper_command();
        let inside = command
            .strip_prefix("exec /bin/sh -c '")
            .and_then(|c| c.strip_suffix('\''))
            .unwrap_or("");
        assert!(!inside.is_empty());
        for bad in ["'", "\n", "\\\\"] {
            assert!(!inside.contains(bad), "{bad:?}");
        }
        let after: Vec<char> = inside
            .split('!')
            .skip(1)
            .filter_map(|rest| rest.chars().next())
            .collect();
        assert!(
            after.iter().all(|c| matches!(c, ' ' | '=')),
            "csh would take them for history: {after:?}"
        );
    }

    #[test]
    fn the_wrapper_runs_words_unchanged() {
        let words: Vec<Vec<u8>> = [
            &b"printf"[..],
            b"<%s>",
            b"a b",
            b"it's",
            b"",
            b"x\ny\n",
            b"$HOME `id` \\\\",
            b"\xff\xfe",
        ]
        .iter()
        .map(|w| w.to_vec())
        .collect();
        let remote = RemoteCommand::from_words(&words, &[("TASKER_X".into(), b"v'w".to_vec())]);
        let output = run(&remote, b"");
        assert_eq!(
            output.stdout,
            b"<a b><it's><><x\ny\n><$HOME `id` \\\\><\xff\xfe>"
        );
        let marks = &mut MarkedStderr::new(&remote.nonce);
        assert_eq!(
            (marks.pass(&output.stderr), marks.ended_with),
            (Vec::new(), Some(0))
        );
    }

    #[test]
    fn the_wrapper_passes_on_standard_input() {
        let remote = RemoteCommand::from_words(
            &[b"sh".to_vec(), b"-c".to_vec(), b"cat; exit 3".to_vec()],
            &[],
        );
        let data: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
        let output = run(&remote, &data);
        assert!(output.stdout == data);
        assert_eq!(output.status.code(), Some(3));
    }

    /// Even where the command ends before the watcher has let go of its output.
    #[test]
    fn the_watcher_is_no_background_process() {
        let watcher = "(trap \"\" TERM HUP INT USR1;";
        let pause = "tk_n=0; while [ $tk_n -lt 100000 ]; do tk_n=$((tk_n + 1)); done;";
        let slow = wrapper_command().replacen(watcher, &format!("{watcher} {pause}"), 1);
        assert!(slow.contains(pause));
        assert!(ends_by_itself(&slow, &["true"]));
    }

    #[test]
    fn what_lets_go_of_the_output_is_not_waited_for() {
        let words = ["sh", "-c", "sleep 0.2 & exit 3"];
        assert!(ends_by_itself(&wrapper_command(), &words));
    }

    /// Whether the wrapper ends without a further word from tasker.
    fn ends_by_itself(wrapper: &str, words: &[&str]) -> bool {
        let words: Vec<Vec<u8>> = words.iter().map(|w| w.as_bytes().to_vec()).collect();
        let remote = RemoteCommand::from_words(&words, &[]);
        let mut child = start(wrapper);
        let mut stdin = child.stdin.take().expect("a pipe");
        let line = remote.setup_line(0, Duration::from_secs(1));
        stdin.write_all(&[&line, GO].concat()).expect("the lines");
        let began = Instant::now();
        let mut is_over = || child.try_wait().expect("a child").is_some();
        while !is_over() && began.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let ended = is_over();
        drop(stdin);
        child.wait().expect("an end");
        ended
    }

    /// Starts the wrapper with the local sh, in its own session.
    fn start(wrapper: &str) -> Child {
        Command::new("setsid")
            .args(["-w", "sh", "-c", wrapper])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("sh runs")
    }

    fn run(remote: &RemoteCommand, data: &[u8]) -> Output {
        let mut child = start(&wrapper_command());
        let mut stdin = child.stdin.take().expect("a pipe");
        // The wrapper reads all of it before the command writes anything.
        stdin
            .write_all(&remote.setup_line(data.len() as u64, Duration::from_secs(1)))
            .expect("the line");
        stdin.write_all(GO).expect("the word");
        stdin.write_all(data).expect("the data");
        // Kept open until the end, as tasker does.
        let mut output = child.wait_with_output().expect("an end");
        drop(stdin);
        let mut marks = MarkedStdout::new(&remote.nonce);
        output.stdout = marks.pass(&output.stdout).into_owned();
        assert!(marks.has_ended());
        output
    }
}
