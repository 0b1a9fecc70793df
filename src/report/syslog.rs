//! Tells syslog of a run (SPEC §6.8): its begin, each failure and its end, as messages of
//! RFC 3164 without a host name, which is how a program sends them to its own machine.
//!
//! Nothing waits for syslogd. What it does not take at once is kept and sent with the
//! next event, also by a syslogd that was restarted meanwhile.
#![forbid(unsafe_code)]

use super::{clock, endings, safe_text};
use crate::exit;
use crate::outcome::Outcome;
use crate::plan::facility::Facility;
use crate::run::event::{About, Event};
use crate::run::result::TaskResult;
use crate::run::run_end::RunEnd;
use crate::run::sys;
use crate::task::mask::Mask;
use crate::text::diagnostic::{Plural, reason};
use crate::text::duration;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

const SOCKET: &str = "/dev/log";
/// The longest message, in bytes (RFC 3164, 4.1).
const LONGEST: usize = 1024;
/// The end of one that was longer.
const CUT_OFF: &str = " ...";
/// How many messages are kept while syslogd takes none.
const KEPT: usize = 1000;
/// How long the end of a run waits for a syslogd that is there and takes nothing.
const PATIENCE: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(10);

/// How urgent a message is, by its number.
#[derive(Clone, Copy)]
enum Urgency {
    Error = 3,
    Info = 6,
}

/// What the first message says of the run.
pub struct BeginMessage<'a> {
    pub run_id: &'a str,
    pub task_file: &'a str,
    pub who: &'a str,
    pub plan: &'a str,
    pub hosts: &'a str,
    /// `; CHANGE x`, if there is one.
    pub change: &'a str,
}

pub struct Syslog {
    facility: Facility,
    mask: Mask,
    /// `run ID: `
    subject: String,
    channel: Option<Channel>,
    /// The messages that were not taken yet.
    waiting: VecDeque<Vec<u8>>,
    /// How many bytes of the first of them were.
    taken: usize,
    lost: usize,
    /// What is to be said once.
    failure: Option<String>,
    is_reported: bool,
}

impl Syslog {
    pub fn new(facility: Facility, mask: Mask) -> Syslog {
        Syslog {
            facility,
            mask,
            subject: String::new(),
            channel: None,
            waiting: VecDeque::new(),
            taken: 0,
            lost: 0,
            failure: None,
            is_reported: false,
        }
    }

    pub fn begin(&mut self, run: &BeginMessage) {
        self.subject = format!("run {}: ", run.run_id);
        // The list of hosts can be long, and comes last.
        let text = format!(
            "begins: {}; {}{}; plan {}; hosts {}",
            run.task_file, run.who, run.change, run.plan, run.hosts
        );
        self.tell(Urgency::Info, &text);
    }

    pub fn event(&mut self, event: &Event) {
        match event {
            Event::Finished { about, result } | Event::BlockFinished { about, result }
                if is_failure(result) =>
            {
                self.tell(Urgency::Error, &describe_failure(about, result));
            }
            _ => self.send(),
        }
    }

    /// The end of the run; `task_file` and what is in the log.
    pub fn end(&mut self, end: &RunEnd, task_file: &str, change: &str, log: &Path) {
        let urgency = match end.exit {
            exit::OK => Urgency::Info,
            _ => Urgency::Error,
        };
        let text = format!(
            "ended: {task_file}: {}, exit code {}, {}, {}{change}; log {}",
            endings::status(end.exit),
            end.exit,
            end.results.counts(),
            duration::show(end.took),
            log.display()
        );
        self.tell(urgency, &text);
        self.finish();
    }

    /// A run that did not begin.
    pub fn refused(&mut self, code: i32, task_file: &str, who: &str, why: &str) {
        let text = format!("refused: {task_file}: exit code {code}: {why}; {who}");
        self.tell(Urgency::Error, &text);
        self.finish();
    }

    /// Why messages are late or lost; said once.
    pub fn take_failure(&mut self) -> Option<String> {
        let failure = self.failure.take()?;
        (!std::mem::replace(&mut self.is_reported, true)).then_some(failure)
    }

    fn tell(&mut self, urgency: Urgency, text: &str) {
        let priority = self.facility.priority(urgency as u8);
        let stamp = clock::rfc3164(SystemTime::now());
        let (pid, subject) = (std::process::id(), &self.subject);
        let text = self.mask.apply(&format!("{subject}{text}"));
        let text = safe_text::line(&text).replace('\t', " ");
        let mut message = format!("<{priority}>{stamp} tasker[{pid}]: {text}");
        if message.len() > LONGEST {
            cut(&mut message, LONGEST - CUT_OFF.len());
            message.push_str(CUT_OFF);
        }
        match self.waiting.len() < KEPT {
            true => self.waiting.push_back(message.into_bytes()),
            false => self.lost += 1,
        }
        self.send();
    }

    /// Sends what is taken without a wait.
    fn send(&mut self) {
        match self.try_send() {
            Err(e) if e.kind() != ErrorKind::WouldBlock => {
                let why = reason(&e);
                self.failure = Some(format!(
                    "syslog: cannot send to {SOCKET}: {why} (this does not affect the run)"
                ));
            }
            Ok(()) | Err(_) => {}
        }
    }

    fn try_send(&mut self) -> io::Result<()> {
        while let Some(message) = self.waiting.front() {
            let is_new = self.channel.is_none();
            let channel = match &mut self.channel {
                Some(channel) => channel,
                none => none.insert(Channel::open(Path::new(SOCKET))?),
            };
            match channel.send(message, &mut self.taken) {
                Ok(()) => {
                    self.waiting.pop_front();
                    self.taken = 0;
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Err(e),
                // The syslogd of this socket has ended; another may have begun.
                Err(e) => {
                    self.channel = None;
                    self.taken = 0;
                    if is_new {
                        return Err(e);
                    }
                }
            }
        }
        Ok(())
    }

    /// Gives a syslogd that has much to do a moment to take the rest.
    fn finish(&mut self) {
        let until = Instant::now() + PATIENCE;
        let is_late = |e: io::Error| e.kind() == ErrorKind::WouldBlock;
        while self.try_send().is_err_and(is_late) && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        let lost = self.lost + self.waiting.len();
        if lost > 0 && self.failure.is_none() {
            let lost = Plural(lost, "message");
            self.failure = Some(format!("syslog: {lost} lost: {SOCKET} takes no more"));
        }
    }
}

/// Leaves at most so many bytes, and no half of a character.
fn cut(text: &mut String, most: usize) {
    let end = (0..=most).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or(0));
}

/// Whether something ran and did not succeed, or should have.
fn is_failure(result: &TaskResult) -> bool {
    let is_left_out = matches!(result.outcome, Outcome::Skipped | Outcome::NotStarted);
    !result.success && !is_left_out
}

fn describe_failure(about: &About, result: &TaskResult) -> String {
    let (subject, title) = (safe_text::subject(about), safe_text::title_suffix(about));
    let failed = endings::failure(result, false);
    format!("task {subject}{title}: {failed}")
}

/// A connection to syslogd.
enum Channel {
    Datagrams(UnixDatagram),
    Stream(UnixStream),
}

impl Channel {
    fn open(path: &Path) -> io::Result<Channel> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        match socket.connect(path) {
            Ok(()) => Ok(Channel::Datagrams(socket)),
            Err(e) if e.raw_os_error() == Some(sys::EPROTOTYPE) => {
                sys::connect_stream(path).map(Channel::Stream)
            }
            Err(e) => Err(e),
        }
    }

    /// Sends a message, or what is left of it after the bytes that were `taken`.
    fn send(&mut self, message: &[u8], taken: &mut usize) -> io::Result<()> {
        let stream = match self {
            Channel::Datagrams(socket) => return socket.send(message).map(drop),
            Channel::Stream(stream) => stream,
        };
        // A line end parts messages on a stream.
        let framed = [message, b"\n"].concat();
        while *taken < framed.len() {
            match stream.write(&framed[*taken..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => *taken += count,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}
