//! Tells what a remote command printed from what its wrapper said and from what came
//! before it: the greetings of servers, the noise of a shell's start-up files, the
//! notices of ssh (SPEC §5).
#![forbid(unsafe_code)]

use crate::text::search;

/// How much of what comes before the command is kept, in bytes: its last part.
const PREAMBLE: usize = 16 << 10;
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
    /// The wrapper's line; empty once it has come.
    line: Vec<u8>,
    held: Vec<u8>,
    preamble: Preamble,
}

impl MarkedStdout {
    pub fn new(nonce: &str) -> MarkedStdout {
        MarkedStdout {
            line: format!("{nonce}\n").into_bytes(),
            held: Vec::new(),
            preamble: Preamble::default(),
        }
    }

    /// What was printed before the command began: its last 16 KiB.
    pub fn preamble(&self) -> &[u8] {
        self.preamble.last()
    }

    /// Whether the command's own output has begun, so that nothing of it is held back.
    pub fn has_begun(&self) -> bool {
        self.line.is_empty()
    }

    /// Takes the next bytes, and returns those that the command wrote.
    pub fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        if self.has_begun() {
            return bytes.to_vec();
        }
        self.held.extend_from_slice(bytes);
        if let Some(at) = search::find(&self.held, &self.line) {
            let out = self.held.split_off(at + self.line.len());
            self.preamble.push(&self.held[..at]);
            (self.held, self.line) = (Vec::new(), Vec::new());
            return out;
        }
        let keep = longest_start(&self.held, &self.line);
        let held = self.held.split_off(self.held.len() - keep);
        self.preamble.push(&self.held);
        self.held = held;
        Vec::new()
    }

    /// Keeps what is still held back, at the end of the stream.
    pub fn close(&mut self) {
        self.preamble.push(&std::mem::take(&mut self.held));
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
    fn output_begins_after_the_line_of_the_wrapper() {
        let text = b"motd\ntasker-ab tasker-abc\nout\ntasker-abc\n";
        for size in 1..text.len() {
            let mut marks = MarkedStdout::new("tasker-abc");
            let mut out = Vec::new();
            for piece in text.chunks(size) {
                out.extend(marks.pass(piece));
            }
            marks.close();
            assert_eq!(out, b"out\ntasker-abc\n", "{size}");
            assert_eq!(marks.preamble(), b"motd\ntasker-ab ");
        }
        let mut marks = MarkedStdout::new("tasker-abc");
        assert!(marks.pass(b"only a greeting tasker").is_empty());
        marks.close();
        assert_eq!(marks.preamble(), b"only a greeting tasker");
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
