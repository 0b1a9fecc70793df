//! Tells what a remote command printed from what its wrapper said and from what came
//! before it: the greetings of servers, the noise of a shell's start-up files, the
//! notices of ssh (SPEC §5).
#![forbid(unsafe_code)]

use crate::text::search;
use std::borrow::Cow;

/// How much of what comes before the command is kept, in bytes: its last part.
pub const PREAMBLE: usize = 16 << 10;
/// The longest line of the wrapper, in bytes.
const LINE: usize = 4 << 10;

/// What came before the command, as far as it is kept.
#[derive(Default)]
struct Preamble(Vec<u8>);

impl Preamble {
    fn push(&mut self, bytes: &[u8]) {
        // Cut only now and then, so that the time stays linear.
        let fits = &bytes[bytes.len().saturating_sub(PREAMBLE)..];
        if self.0.len() + fits.len() > 2 * PREAMBLE {
            let excess = (self.0.len() + fits.len() - PREAMBLE).min(self.0.len());
            self.0.drain(..excess);
        }
        self.0.extend_from_slice(fits);
    }

    fn last(&self) -> &[u8] {
        &self.0[self.0.len().saturating_sub(PREAMBLE)..]
    }
}

/// The standard error of an `ssh` job.
pub struct MarkedStderr {
    nonce: Vec<u8>,
    /// What could be the beginning of one of the wrapper's lines.
    held: Vec<u8>,
    preamble: Preamble,
    /// The process id of the wrapper on its host, once it has answered.
    pub pid: Option<i32>,
    /// The exit code of the command, once it has ended by itself.
    pub ended_with: Option<i32>,
    /// That the command was ended, and nothing of it is left.
    pub ended: bool,
    /// The processes that could not be ended, each as `process 12 (`sleep 60`)`.
    pub left: Vec<String>,
}

impl MarkedStderr {
    pub fn new(nonce: &str) -> MarkedStderr {
        MarkedStderr {
            nonce: nonce.into(),
            held: Vec::new(),
            preamble: Preamble::default(),
            pid: None,
            ended_with: None,
            ended: false,
            left: Vec::new(),
        }
    }

    /// What was printed before the wrapper answered: its last 16 KiB.
    pub fn preamble(&self) -> &[u8] {
        self.preamble.last()
    }

    /// Takes the next bytes, and returns those that the command wrote.
    pub fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let held = std::mem::take(&mut self.held);
        let mut out = Vec::new();
        let mut rest = &held[..];
        while let Some(at) = search::find(rest, &self.nonce) {
            let line = &rest[at..];
            let end = line.iter().take(LINE).position(|b| *b == b'\n');
            match end {
                Some(end) => {
                    self.pass_on(&rest[..at], &mut out);
                    self.read_mark(&line[self.nonce.len()..end]);
                    rest = &line[end + 1..];
                }
                // The line is not complete yet.
                None if line.len() < LINE => {
                    self.pass_on(&rest[..at], &mut out);
                    self.held = line.to_vec();
                    return out;
                }
                // No line of the wrapper.
                None => {
                    let end = at + self.nonce.len();
                    self.pass_on(&rest[..end], &mut out);
                    rest = &rest[end..];
                }
            }
        }
        // Hold back the longest suffix that could be the beginning of the nonce.
        let keep = longest_start(rest, &self.nonce);
        self.pass_on(&rest[..rest.len() - keep], &mut out);
        self.held = rest[rest.len() - keep..].to_vec();
        out
    }

    fn pass_on(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match self.pid {
            Some(_) => out.extend_from_slice(bytes),
            None => self.preamble.push(bytes),
        }
    }

    /// Reads what follows the nonce on a line of the wrapper.
    fn read_mark(&mut self, mark: &[u8]) {
        let mark = String::from_utf8_lossy(mark);
        let mut words = mark.trim_start().splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("end"), Some(code), None) => {
                self.ended_with = code.parse::<u8>().ok().map(i32::from)
            }
            (Some("ended"), None, None) => self.ended = true,
            (Some("left"), Some(pid), command) => {
                let command = command.unwrap_or_default().trim_end();
                self.left.push(format!("process {pid} (`{command}`)"));
            }
            (Some(pid), None, None) if self.pid.is_none() => self.pid = pid.parse().ok(),
            _ => {}
        }
    }

    /// The bytes that are still held back, at the end of the stream; not a line of the
    /// wrapper that was cut off.
    pub fn rest(&mut self) -> Vec<u8> {
        let (held, mut out) = (std::mem::take(&mut self.held), Vec::new());
        if held.starts_with(&self.nonce) {
            return out;
        }
        self.pass_on(&held, &mut out);
        out
    }
}

/// The standard output of an `ssh` job.
pub struct MarkedStdout {
    /// The wrapper's next line: before the command's output, after it, and then none.
    line: Vec<u8>,
    nonce: Vec<u8>,
    stage: Stage,
    held: Vec<u8>,
    preamble: Preamble,
}

/// How far the standard output has come.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Preamble,
    Output,
    /// All that the command itself wrote has come.
    Ended,
}

impl MarkedStdout {
    pub fn new(nonce: &str) -> MarkedStdout {
        MarkedStdout {
            line: format!("{nonce}\n").into_bytes(),
            nonce: nonce.into(),
            stage: Stage::Preamble,
            held: Vec::new(),
            preamble: Preamble::default(),
        }
    }

    /// What was printed before the command began: its last 16 KiB.
    pub fn preamble(&self) -> &[u8] {
        self.preamble.last()
    }

    /// Whether everything that the command wrote has come.
    pub fn has_ended(&self) -> bool {
        self.stage == Stage::Ended
    }

    /// Takes the next bytes, and returns those that the command wrote.
    pub fn pass<'b>(&mut self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        let keep = match self.held.is_empty() && self.stage != Stage::Preamble {
            true => self.unmarked(bytes),
            false => None,
        };
        // Mostly there is no mark, and nothing is copied.
        if let Some(keep) = keep {
            let (out, held) = bytes.split_at(bytes.len() - keep);
            self.held = held.to_vec();
            return Cow::Borrowed(out);
        }
        self.held.extend_from_slice(bytes);
        let (held, mut out) = (std::mem::take(&mut self.held), Vec::new());
        let mut rest = &held[..];
        loop {
            if let Some(keep) = self.unmarked(rest) {
                self.pass_on(&rest[..rest.len() - keep], &mut out);
                self.held = rest[rest.len() - keep..].to_vec();
                return Cow::Owned(out);
            }
            let at = search::find(rest, &self.line).unwrap_or(rest.len());
            self.pass_on(&rest[..at], &mut out);
            rest = rest.get(at + self.line.len()..).unwrap_or_default();
            self.advance();
        }
    }

    /// If the next line of the wrapper is not there: how many bytes at the end could be
    /// its beginning.
    fn unmarked(&self, bytes: &[u8]) -> Option<usize> {
        match self.stage {
            Stage::Ended => Some(0),
            _ if search::contains(bytes, &self.line) => None,
            _ => Some(longest_start(bytes, &self.line)),
        }
    }

    fn advance(&mut self) {
        self.stage = match self.stage {
            Stage::Preamble => Stage::Output,
            Stage::Output | Stage::Ended => Stage::Ended,
        };
        self.line = [&self.nonce, b" end\n".as_slice()].concat();
    }

    fn pass_on(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match self.stage {
            Stage::Preamble => self.preamble.push(bytes),
            Stage::Output | Stage::Ended => out.extend_from_slice(bytes),
        }
    }

    /// The bytes that are still held back, at the end of the stream; not a line of the
    /// wrapper that was cut off.
    pub fn rest(&mut self) -> Vec<u8> {
        let (held, mut out) = (std::mem::take(&mut self.held), Vec::new());
        if self.stage == Stage::Preamble || !held.starts_with(&self.nonce) {
            self.pass_on(&held, &mut out);
        }
        out
    }
}

/// The length of the longest suffix that is a proper prefix of the word.
fn longest_start(bytes: &[u8], word: &[u8]) -> usize {
    let most = word.len().saturating_sub(1).min(bytes.len());
    (1..=most)
        .rev()
        .find(|n| bytes.ends_with(&word[..*n]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn lines_that_come_in_pieces_are_found() {
        let text = b"banner\r\ntasker-abc 12\nerror tasker-ab\n\
            tasker-abc left 7 sleep 60 \ntasker-abc left 8\ntasker-abc ended\nx tasker-abc end 3\nend tasker-a";
        for size in 1..text.len() {
            let mut marks = MarkedStderr::new("tasker-abc");
            let mut out = Vec::new();
            for piece in text.chunks(size) {
                out.extend(marks.pass(piece));
            }
            out.extend(marks.rest());
            assert_eq!(out, b"error tasker-ab\nx end tasker-a", "{size}");
            assert_eq!(marks.preamble(), b"banner\r\n");
            assert_eq!((marks.pid, marks.ended_with), (Some(12), Some(3)));
            assert!(marks.ended);
            assert_eq!(marks.left, ["process 7 (`sleep 60`)", "process 8 (``)"]);
        }
    }

    #[test]
    fn output_is_between_the_lines_of_the_wrapper() {
        let text = b"motd\ntasker-ab tasker-abc\nout\ntasker-abc\ntasker-abc entasker-abc end\nlate tasker-abc end\n";
        for size in 1..=text.len() {
            let mut marks = MarkedStdout::new("tasker-abc");
            let mut out = Vec::new();
            for piece in text.chunks(size) {
                out.extend_from_slice(&marks.pass(piece));
            }
            out.extend(marks.rest());
            assert!(marks.has_ended());
            assert_eq!(
                out, b"out\ntasker-abc\ntasker-abc enlate tasker-abc end\n",
                "{size}"
            );
            assert_eq!(marks.preamble(), b"motd\ntasker-ab ");
        }
    }

    #[test]
    fn output_that_is_cut_off_has_not_ended() {
        let mut marks = MarkedStdout::new("tasker-abc");
        assert!(marks.pass(b"only a greeting tasker").is_empty());
        assert!(marks.rest().is_empty());
        assert_eq!(marks.preamble(), b"only a greeting tasker");
        for (end, rest) in [("out tasker-a", "tasker-a"), ("out tasker-abc e", "")] {
            let mut marks = MarkedStdout::new("tasker-abc");
            let text = format!("tasker-abc\n{end}");
            assert_eq!(&*marks.pass(text.as_bytes()), b"out ");
            assert_eq!(marks.rest(), rest.as_bytes());
            assert!(!marks.has_ended());
        }
    }

    /// A host that never ends a line costs neither memory nor time out of proportion.
    #[test]
    fn a_line_without_an_end_is_bounded() {
        let began = Instant::now();
        let mut marks = MarkedStderr::new("tasker-abc");
        let mut stdout = MarkedStdout::new("tasker-abc");
        let piece = [b"tasker-abc ".as_slice(), &[b'x'; 4096]].concat();
        for _ in 0..4096 {
            assert!(marks.pass(&piece).is_empty());
            assert!(stdout.pass(&piece).is_empty());
            assert!(marks.held.len() < 2 * LINE && marks.preamble.0.len() <= 2 * PREAMBLE);
            assert!(stdout.held.len() < LINE && stdout.preamble.0.len() <= 2 * PREAMBLE);
        }
        assert!(marks.pid.is_none());
        assert!(began.elapsed() < Duration::from_secs(30));
    }
}
