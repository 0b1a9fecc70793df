//! The far end of an `ssh` task (SPEC §5): a few lines of POSIX `sh` that run
//! the words there, and end them when the control channel closes.
//!
//! The channel is ssh's standard input. First comes one line that sets the
//! words, then the command's own standard input, then nothing; tasker holds it
//! open. So the words meet no other parser than `sh`, whatever the login shell
//! is, their length is not bounded by the kernel's, and nobody sees them in `ps`.
//!
//! Rejected: quoting the words into ssh's command line. A csh takes no newline
//! in quotes, a fish reads backslashes in them.
#![forbid(unsafe_code)]

use crate::text::decimal::short_seconds;
use crate::text::{quote, search};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

const WRAPPER: &str = include_str!("remote.sh");

/// What a job needs at the far end.
pub struct RemoteCommand {
    /// The wrapper's first line on standard error; nobody can know it before.
    pub nonce: String,
    /// The assignments and `set -- WORDS`, without the size of the data.
    setup: Vec<u8>,
}

/// The command that ssh runs there: the same for every job.
pub fn remote_command() -> String {
    let lines = WRAPPER
        .lines()
        .filter(|l| !l.starts_with('#') && !l.is_empty());
    format!("exec /bin/sh -c '{}'", lines.collect::<Vec<_>>().join(" "))
}

impl RemoteCommand {
    /// Prepares the words; `variables` are exported, `values` only set.
    pub fn words(words: &[Vec<u8>], variables: &[(String, Vec<u8>)]) -> RemoteCommand {
        let mut setup = assignments(variables, "export ");
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

    /// The same for a script and the values it uses: run by bash where there is
    /// one, else by sh.
    pub fn script(
        text: &[u8],
        values: &[(String, Vec<u8>)],
        variables: &[(String, Vec<u8>)],
    ) -> RemoteCommand {
        let mut setup = assignments(variables, "export ");
        setup.extend(assignments(values, "export "));
        setup.extend_from_slice(b"set -- sh -c ");
        setup.extend(quoted(text));
        setup.extend_from_slice(
            b"; if command -v bash >/dev/null 2>&1; then shift; set -- bash \"$@\"; fi",
        );
        RemoteCommand {
            nonce: nonce(),
            setup,
        }
    }

    /// The first line on the channel.
    pub fn setup_line(&self, data: u64, kill_after: Duration) -> Vec<u8> {
        let seconds = short_seconds(kill_after);
        let head = format!("tk_nonce={} tk_size={data} tk_kill={seconds}; ", self.nonce);
        [head.as_bytes(), &self.setup, b"\n"].concat()
    }
}

fn assignments(list: &[(String, Vec<u8>)], before: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in list {
        out.extend_from_slice(format!("{before}{name}=").as_bytes());
        out.extend(quoted(value));
        out.extend_from_slice(b"; ");
    }
    out
}

/// The word for `sh`, on one line: a newline stands outside the quotes, as the
/// variable that the wrapper holds it in.
fn quoted(word: &[u8]) -> Vec<u8> {
    quote::shell_bytes(word, b"'\"$tk_nl\"'")
}

fn nonce() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("tasker-{:016x}{:016x}", random(), random())
}

/// Takes the wrapper's own lines out of standard error.
pub struct Filter {
    nonce: Vec<u8>,
    /// What could be the beginning of a line of the wrapper's.
    held: Vec<u8>,
    pub connected: bool,
    /// A background process had to be ended at the far end.
    pub left_behind: bool,
}

impl Filter {
    pub fn new(nonce: &str) -> Filter {
        Filter {
            nonce: nonce.into(),
            held: Vec::new(),
            connected: false,
            left_behind: false,
        }
    }

    /// The bytes that are the command's.
    pub fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let mut out = Vec::new();
        while let Some(at) = search::find(&self.held, &self.nonce) {
            let Some(end) = self.held[at..].iter().position(|b| *b == b'\n') else {
                // The line is not whole yet.
                out.extend(self.held.drain(..at));
                return out;
            };
            self.left_behind |= self.held[at..at + end].ends_with(b" left");
            self.connected = true;
            out.extend_from_slice(&self.held[..at]);
            self.held.drain(..=at + end);
        }
        // The longest end that could still become the nonce is held back.
        let keep = (1..self.nonce.len())
            .rev()
            .find(|n| self.held.ends_with(&self.nonce[..*n]))
            .unwrap_or(0);
        out.extend(self.held.drain(..self.held.len() - keep));
        out
    }

    /// What was held back, at the end of the stream.
    pub fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }
}

/// Whether ssh says that the server turned the connection away for now.
pub fn is_refusal(stderr: &[u8]) -> bool {
    const SIGNS: [&str; 4] = [
        "Connection refused",
        "Connection reset",
        "Connection closed by",
        "kex_exchange_identification",
    ];
    SIGNS
        .iter()
        .any(|sign| search::contains(stderr, sign.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wrapper_is_one_line_for_any_shell() {
        let command = remote_command();
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
            "a csh would take them for history: {after:?}"
        );
    }

    #[test]
    fn the_wrapper_runs_words_as_they_are() {
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
        let far = RemoteCommand::words(&words, &[("TASKER_X".into(), b"v'w".to_vec())]);
        let output = run(&far, b"");
        assert_eq!(
            output.stdout,
            b"<a b><it's><><x\ny\n><$HOME `id` \\\\><\xff\xfe>"
        );
        let mut filter = Filter::new(&far.nonce);
        assert_eq!(
            (filter.pass(&output.stderr), filter.connected),
            (Vec::new(), true)
        );
    }

    #[test]
    fn data_comes_before_the_silence() {
        let far = RemoteCommand::words(
            &[b"sh".to_vec(), b"-c".to_vec(), b"cat; exit 3".to_vec()],
            &[],
        );
        let data: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
        let output = run(&far, &data);
        assert!(output.stdout == data);
        assert_eq!(output.status.code(), Some(3));
    }

    /// Runs the wrapper by the local sh, with a session of its own.
    fn run(far: &RemoteCommand, data: &[u8]) -> std::process::Output {
        use std::io::Write;
        use std::process::{Command, Stdio};
        let mut child = Command::new("setsid")
            .args(["-w", "sh", "-c", &remote_command()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("sh runs");
        let mut stdin = child.stdin.take().expect("a pipe");
        // All of the data is taken before the command says a word.
        stdin
            .write_all(&far.setup_line(data.len() as u64, Duration::from_secs(1)))
            .expect("the line");
        stdin.write_all(data).expect("the data");
        // Held open until the end, as tasker does.
        let output = child.wait_with_output().expect("an end");
        drop(stdin);
        output
    }

    #[test]
    fn the_filter_finds_its_lines_in_pieces() {
        let text = b"banner\ntasker-abc\nerror tasker-ab\ntasker-abc left\nend tasker-a";
        for size in 1..text.len() {
            let mut filter = Filter::new("tasker-abc");
            let mut out = Vec::new();
            for piece in text.chunks(size) {
                out.extend(filter.pass(piece));
            }
            out.extend(filter.rest());
            assert_eq!(out, b"banner\nerror tasker-ab\nend tasker-a", "{size}");
            assert!(filter.connected && filter.left_behind);
        }
    }
}
