//! Runs a workflow, ends the run as planned, and types what tasker printed, in a fresh
//! shell, for as long as it prints something.

use super::line::advised;
use super::round::{Call, Cure, Edit, Ending, Exec, Hold, Logs, Program, Round, When};
use super::workflow::{ACT, CHECK, Item, UNDO, Work, task_of};
use crate::support::{Sandbox, processes_with};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How many runs may follow the first one.
pub const MOST_RUNS: usize = 8;
/// `--resume` of a file that was edited.
const NOT_POSSIBLE: i32 = 12;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub what: String,
    pub item: Item,
}

/// One run of tasker, and what it did.
pub struct Told {
    pub line: String,
    pub code: i32,
    pub output: String,
    /// For a run that was killed, what `--status` says of it.
    pub status: String,
    /// The signal that it got.
    pub signal: Option<&'static str>,
    pub events: Vec<Event>,
    /// It began without earlier results.
    pub is_fresh: bool,
    /// The file was edited since the line was printed.
    pub must_be_refused: bool,
    /// What was wrong with a dry run of the line.
    pub looked: Option<String>,
}

impl Told {
    pub fn was_killed(&self) -> bool {
        self.signal == Some("KILL")
    }

    /// What failed and stopped the flow.
    fn stopped_at(&self, round: &Round) -> Option<Item> {
        let is_poll = |item: &Item| {
            let task = &round.workflow.tasks[&task_of(item)];
            matches!(task.work, Work::Poll(_))
        };
        let done = |item: &Item| {
            let mut events = self.events.iter();
            events.any(|e| e.what == "done" && e.item == *item)
        };
        let mut failed = self.events.iter().filter(|e| {
            let has_failed = e.what == "failed" || (e.what == "soft" && is_poll(&e.item));
            has_failed && !done(&e.item) && round.workflow.unit(task_of(&e.item)) < 900
        });
        failed.next_back().map(|e| e.item.clone())
    }

    /// What to type next.
    pub fn advice(&self) -> Option<String> {
        match self.was_killed() {
            true => advised(&self.status),
            false => advised(&self.output),
        }
    }
}

pub struct Story {
    /// What an undisturbed run did.
    pub good: Vec<Event>,
    pub runs: Vec<Told>,
    /// What `--status` says in the end.
    pub status: String,
}

/// The undisturbed run of the workflow.
pub fn good_run(round: &Round) -> Result<Vec<Event>, String> {
    let place = Place::new(round);
    let told = place.first(round, &Ending::Natural);
    match told.code {
        0 => Ok(told.events),
        code => Err(format!(
            "an undisturbed run ends with {code}\n{}",
            told.output
        )),
    }
}

/// Runs it as planned and does what is printed.
pub fn follow(round: &Round, good: Vec<Event>) -> Story {
    let mut round = round.clone();
    let place = Place::new(&round);
    place.break_all(&round);
    let mut runs = vec![place.first(&round, &round.first)];
    let mut causes = round.broken.len() + round.hung.len() + round.soft.len();
    let mut edited = false;
    while runs.len() <= MOST_RUNS {
        place.cure(&round, runs.len(), &mut causes);
        let last = &runs[runs.len() - 1];
        let Some(mut line) = last.advice() else {
            // It was killed before it began.
            if last.was_killed() && runs.iter().all(|run| run.events.is_empty()) {
                runs.push(place.first(&round, &Ending::Natural));
                continue;
            }
            break;
        };
        let stopped_at = last.stopped_at(&round);
        let edit = round.edit.filter(|_| !edited && stopped_at.is_some());
        if let Some(edit) = edit {
            edited = true;
            place.edit(&mut round, last, edit);
        }
        let ending = match runs.len() {
            1 => round.second.clone(),
            _ => Ending::Natural,
        };
        let resumes = |line: &str| line.contains(" --resume ") || line.contains(" --resume=");
        if edit.is_some() && resumes(&line) {
            let mut told = place.typed(&line, &Ending::Natural);
            told.must_be_refused = true;
            let is_refused = told.code == NOT_POSSIBLE;
            let remedy = advised(&told.output);
            let at = stopped_at.map_or(0, |item| round.workflow.unit(task_of(&item)));
            runs.push(told);
            if !is_refused {
                break;
            }
            line = remedy.unwrap_or_else(|| resumed_at(&line, at));
        }
        let looked = match round.looks_first {
            true => place.look(&line),
            false => None,
        };
        runs.push(place.typed(&line, &ending));
        runs.last_mut().expect("a run").looked = looked;
    }
    let status = place.status();
    Story { good, runs, status }
}

/// The line with `--resume-at` in the place of its `--resume`.
fn resumed_at(line: &str, id: u32) -> String {
    let word = line.split(' ').find(|word| word.starts_with("--resume"));
    let word = word.expect("a line that resumes");
    let at = match word.split_once('=') {
        Some((_, run)) => format!("--resume-at {run}:{id}"),
        None => format!("--resume-at {id}"),
    };
    line.replace(word, &at)
}

/// Where a workflow is run.
struct Place {
    sandbox: Sandbox,
    call: Call,
}

impl Place {
    fn new(round: &Round) -> Place {
        let sandbox = Sandbox::new();
        sandbox.program("bin/act", ACT);
        sandbox.program("bin/check", CHECK);
        sandbox.program("bin/undo", UNDO);
        for directory in ["broken", "soft", "flaky", "hold", "programs"] {
            std::fs::create_dir(sandbox.path.join(directory)).expect("a directory");
        }
        let tasker = env!("CARGO_BIN_EXE_tasker");
        for link in ["programs/tasker", "bin/tasker"] {
            std::os::unix::fs::symlink(tasker, sandbox.path.join(link)).expect("a link");
        }
        let call = round.call.clone();
        sandbox.file(call.file, round.workflow.task_file(call.style));
        Place { sandbox, call }
    }

    fn break_all(&self, round: &Round) {
        let kinds = [
            ("broken", &round.broken),
            ("soft", &round.soft),
            ("flaky", &round.flaky),
        ];
        for (directory, items) in kinds {
            for item in items {
                self.sandbox.file(&format!("{directory}/{item}"), "");
            }
        }
        for item in &round.hung {
            self.sandbox.file(&format!("broken/{item}"), "hang\n");
        }
    }

    /// Removes the causes that are removed after so many runs.
    fn cure(&self, round: &Round, runs: usize, causes: &mut usize) {
        let first = match round.cure {
            Cure::AtOnce => 0,
            Cure::AfterTheSecond if runs < 2 => return,
            Cure::AfterTheSecond => 0,
            Cure::OneByOne => causes.saturating_sub(1),
        };
        let broken = round.broken.iter().chain(&round.hung);
        let broken = broken.map(|i| format!("broken/{i}"));
        let all: Vec<String> = broken
            .chain(round.soft.iter().map(|i| format!("soft/{i}")))
            .collect();
        for name in &all[first.min(all.len())..] {
            let _ = std::fs::remove_file(self.sandbox.path.join(name));
        }
        *causes = first;
    }

    fn edit(&self, round: &mut Round, last: &Told, edit: Edit) {
        if let (Edit::Command, Some(item)) = (edit, last.stopped_at(round)) {
            let task = round.workflow.tasks.get_mut(&task_of(&item));
            task.expect("a task that failed").is_edited = true;
        }
        let text = round.workflow.task_file(self.call.style);
        self.sandbox
            .file(self.call.file, format!("# Edited.\n{text}"));
    }

    /// The programs of this place, then those of the system.
    fn path(&self) -> String {
        format!("{}/programs:/usr/bin:/bin", self.sandbox.path.display())
    }

    fn first(&self, round: &Round, ending: &Ending) -> Told {
        let call = &round.call;
        let program = match call.program {
            Program::Name => "tasker",
            Program::Relative => "bin/tasker",
            Program::Absolute => env!("CARGO_BIN_EXE_tasker"),
        };
        let mut words: Vec<String> = vec!["-r".into()];
        let mut add = |more: &[&str]| words.extend(more.iter().map(|w| w.to_string()));
        if call.is_quiet {
            add(&["-q"]);
        }
        if call.exec == Exec::Option {
            add(&["-t", "shell"]);
        }
        if call.logs == Logs::Option {
            add(&["-l", "my logs"]);
        }
        if let Some(set) = call.limit {
            add(&["--limit", set]);
        }
        match ending {
            Ending::Deadline(time) => add(&["--deadline", time]),
            Ending::KeepGoing => add(&["--keep-going"]),
            Ending::MaxSteps(count) => add(&["--max-steps", &count.to_string()]),
            Ending::Natural | Ending::Signal(..) => {}
        }
        add(&[call.file]);
        let mut command = Command::new(program);
        command.args(&words).current_dir(&self.sandbox.path);
        self.clean(&mut command);
        command
            .env("LC_ALL", "C.UTF-8")
            .env("PWD", &self.sandbox.path);
        if call.logs == Logs::Environment {
            command.env("TASK_EXECUTOR_LOG", self.sandbox.path.join("other"));
        }
        if call.exec == Exec::Environment {
            command.env("TASK_EXECUTOR_TYPE", "shell");
        }
        if call.style.word_of_environment {
            command.env("WORD_OF_TEST", "hello");
        }
        let line = format!("{program} {}", words.join(" "));
        self.run(command, &line, ending)
    }

    fn clean(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", self.path())
            .env("HOME", &self.sandbox.path);
    }

    /// The line as typed in a fresh shell, somewhere else.
    fn typed(&self, line: &str, ending: &Ending) -> Told {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", line]).current_dir("/");
        self.clean(&mut command);
        self.run(command, line, ending)
    }

    /// Shows what the line would do; says what is wrong with that.
    fn look(&self, line: &str) -> Option<String> {
        let told = self.typed(&line.replacen(" -r ", " ", 1), &Ending::Natural);
        let is_idle = told.code == 0 && told.events.is_empty();
        (!is_idle).then(|| format!("{} ended with {}\n{}", told.line, told.code, told.output))
    }

    fn run(&self, mut command: Command, line: &str, ending: &Ending) -> Told {
        let before = self.events().len();
        let (out, err) = (self.sandbox.path.join("out"), self.sandbox.path.join("err"));
        let create = |path: &PathBuf| File::create(path).expect("a file for output");
        command
            .stdin(Stdio::null())
            .stdout(create(&out))
            .stderr(create(&err));
        let hold = match ending {
            Ending::Signal(_, hold) => Some(Held::new(&self.sandbox.path, hold)),
            _ => None,
        };
        let mut child = command.spawn().expect("tasker or a shell starts");
        let mut signal = None;
        if let Ending::Signal(name, hold) = ending
            && self.reaches(&mut child, hold, before)
        {
            self.send(&mut child, name);
            signal = Some(*name);
        }
        if let Some(held) = hold.as_ref().filter(|_| signal.is_none_or(|s| s == "INT")) {
            held.release();
        }
        let code = self.wait(&mut child);
        drop(hold);
        let read =
            |path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
        // A run that was over before the signal came was not ended by it.
        let signal = signal.filter(|name| *name != "KILL" || code == 137 || code == -9);
        let resumed = ["--resume", "--start-from", "--auto-recovery"];
        Told {
            line: line.to_string(),
            code,
            output: read(&out) + &read(&err),
            status: match signal {
                Some("KILL") => self.status(),
                _ => String::new(),
            },
            signal,
            events: self.events().split_off(before),
            is_fresh: !resumed.iter().any(|option| line.contains(option)),
            must_be_refused: false,
            looked: None,
        }
    }

    /// Waits until the run is where the signal is to come; false if it ends first.
    fn reaches(&self, child: &mut Child, hold: &Hold, before: usize) -> bool {
        let what = match hold.when {
            When::After => "done",
            When::Before | When::Racing => "begin",
        };
        let wanted = Event {
            what: what.into(),
            item: hold.item.clone(),
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let is_over = child.try_wait().expect("a child").is_some();
            if self.events()[before..].contains(&wanted) {
                return !is_over;
            }
            if is_over || Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn send(&self, child: &mut Child, name: &str) {
        let Some(pid) = tasker_of(child.id()) else {
            return;
        };
        let kill = Command::new("kill")
            .args([&format!("-{name}"), &pid.to_string()])
            .stderr(Stdio::null())
            .status();
        // It may have ended by itself.
        let _ = kill.expect("kill runs");
        let deadline = Instant::now() + Duration::from_secs(3);
        // What is held ends once the signal was heard.
        while name == "INT" && Instant::now() < deadline {
            let heard = self.sandbox.read("err") + &self.sandbox.read("out");
            let is_over = child.try_wait().expect("a child").is_some();
            if is_over || heard.contains("nothing new starts") {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn wait(&self, child: &mut Child) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut was_late = false;
        let status = loop {
            if let Some(status) = child.try_wait().expect("a child") {
                break status;
            }
            if Instant::now() > deadline && !was_late {
                was_late = true;
                let _ = child.kill();
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        if status.code().is_none_or(|code| code > 127) {
            // After a kill the guardian ends what ran.
            let home = format!("HOME={}", self.sandbox.path.display());
            crate::support::wait_for("the end of all processes", || {
                processes_with(&home).is_empty()
            });
        }
        match was_late {
            true => -1000,
            false => status
                .code()
                .or(status.signal().map(|s| -s))
                .unwrap_or(-1001),
        }
    }

    /// What is said of the newest run.
    fn status(&self) -> String {
        let all = self.status_of(None);
        let mut words = all.split_whitespace();
        let id = words.find(|w| w.starts_with(|c: char| c.is_ascii_digit()) && w.contains('-'));
        match id {
            Some(id) => self.status_of(Some(id)),
            None => all,
        }
    }

    fn status_of(&self, run: Option<&str>) -> String {
        let mut command = Command::new("tasker");
        command.arg("--status").args(run).current_dir("/");
        let logs = match self.call.logs {
            Logs::Default => None,
            Logs::Option => Some("my logs"),
            Logs::Environment => Some("other"),
        };
        if let Some(logs) = logs {
            command.arg("-l").arg(self.sandbox.path.join(logs));
        }
        self.clean(&mut command);
        let output = command.stdin(Stdio::null()).output().expect("tasker runs");
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).into_owned()
    }

    fn events(&self) -> Vec<Event> {
        let text = self.sandbox.read("events");
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        let event = |(what, item): (&str, &str)| Event {
            what: what.into(),
            item: item.into(),
        };
        lines.map(event).collect()
    }
}

/// tasker itself, where a shell was started that has started it.
fn tasker_of(pid: u32) -> Option<u32> {
    let name = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    if name(pid).trim_end() == "tasker" {
        return Some(pid);
    }
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let mut children = children.split_whitespace().filter_map(|p| p.parse().ok());
    children.find(|child| name(*child).trim_end() == "tasker")
}

/// A command that waits.
struct Held {
    fifo: Option<PathBuf>,
    writer: Option<File>,
}

impl Held {
    fn new(place: &Path, hold: &Hold) -> Held {
        let when = match hold.when {
            When::Before => "before",
            When::After => "after",
            When::Racing => {
                return Held {
                    fifo: None,
                    writer: None,
                };
            }
        };
        let fifo = place.join("hold").join(format!("{}.{when}", hold.item));
        let made = Command::new("mkfifo").arg(&fifo).status();
        assert!(made.expect("mkfifo runs").success());
        // Reading as well, it is opened at once.
        let writer = File::options().read(true).write(true).open(&fifo);
        Held {
            fifo: Some(fifo),
            writer: Some(writer.expect("a pipe")),
        }
    }

    /// Lets it go on, as often as it asks.
    fn release(&self) {
        if let Some(mut writer) = self.writer.as_ref() {
            writer.write_all(b"\n\n\n\n\n\n\n\n").expect("a pipe");
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(fifo) = &self.fifo {
            let _ = std::fs::remove_file(fifo);
        }
    }
}
