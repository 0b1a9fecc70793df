//! A workflow of the model, the answers of its commands, and its task file.

use super::logic::{FieldName, Formula};
use std::collections::BTreeMap;
use std::fmt::Write;

/// An outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Word {
    Ok,
    Failed,
    Unreachable,
    NotStarted,
    Skipped,
    Unknown,
}

impl Word {
    pub fn name(self) -> &'static str {
        match self {
            Word::Ok => "ok",
            Word::Failed => "failed",
            Word::Unreachable => "unreachable",
            Word::NotStarted => "not_started",
            Word::Skipped => "skipped",
            Word::Unknown => "unknown",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Workflow {
    pub tasks: BTreeMap<u32, Spec>,
    pub keep_going: bool,
    pub max_steps: usize,
    /// By task and host: what each call answers; the last answer is repeated.
    pub answers: BTreeMap<(u32, String), Vec<Answer>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// None: the host cannot be reached, or the connection to it is lost.
    pub code: Option<i32>,
    /// It was lost while the command ran.
    pub breaks: bool,
    pub stdout: &'static str,
}

#[derive(Clone, Debug)]
pub enum Work {
    /// On this host through `ssh`, or on this machine.
    Command(Option<String>),
    Hosts {
        hosts: Vec<String>,
        far: bool,
        shape: Shape,
    },
    Tasks {
        members: Vec<u32>,
        shape: Shape,
    },
    Conditional {
        yes: Vec<u32>,
        no: Vec<u32>,
    },
    Decision,
    Bare,
}

/// How a parallel block runs its members.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    pub fail_fast: Option<Limit>,
    pub unreachable: Option<LeftOut>,
    pub waves: Vec<WaveSize>,
    pub wave_check: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
pub enum Limit {
    True,
    Number(usize),
    Percent(usize),
}

#[derive(Clone, Copy, Debug)]
pub enum LeftOut {
    Never,
    Always,
    Percent(usize),
}

#[derive(Clone, Copy, Debug)]
pub enum WaveSize {
    Number(usize),
    Percent(usize),
    Rest,
}

#[derive(Clone, Debug)]
pub enum Next {
    Absent,
    Always,
    Never,
    Success,
    If(Formula),
    Loop(usize, Option<Formula>),
}

#[derive(Clone, Debug)]
pub enum Criterion {
    Success(Formula),
    Failure(Formula),
}

/// What may be retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryOn {
    Default,
    Failed,
    Unreachable,
    Unknown,
    Exit(i32),
}

#[derive(Clone, Debug)]
pub struct Spec {
    pub work: Work,
    pub condition: Option<Formula>,
    pub criterion: Option<Criterion>,
    pub next: Next,
    pub on_success: Option<u32>,
    pub on_failure: Option<u32>,
    pub goto: Option<u32>,
    pub end: Option<i32>,
    pub retries: usize,
    pub retry_on: RetryOn,
    pub is_final: bool,
}

impl Spec {
    pub fn new(work: Work) -> Spec {
        Spec {
            work,
            condition: None,
            criterion: None,
            next: Next::Absent,
            on_success: None,
            on_failure: None,
            goto: None,
            end: None,
            retries: 0,
            retry_on: RetryOn::Default,
            is_final: false,
        }
    }

    /// Where a false verdict leads, if that is a failure jump (§3.2.6).
    pub fn failure_target(&self) -> Option<u32> {
        let has_next = !matches!(self.next, Next::Absent);
        self.on_failure.or(self.goto.filter(|_| has_next))
    }

    /// The tasks that it owns.
    pub fn owned(&self) -> Vec<u32> {
        match &self.work {
            Work::Tasks { members, shape } => {
                members.iter().copied().chain(shape.wave_check).collect()
            }
            Work::Hosts { shape, .. } => shape.wave_check.into_iter().collect(),
            Work::Conditional { yes, no } => yes.iter().chain(no).copied().collect(),
            _ => Vec::new(),
        }
    }

    pub fn is_parallel(&self) -> bool {
        matches!(self.work, Work::Tasks { .. } | Work::Hosts { .. })
    }

    pub fn formulas(&self) -> Vec<&Formula> {
        let criterion = match &self.criterion {
            Some(Criterion::Success(formula) | Criterion::Failure(formula)) => Some(formula),
            None => None,
        };
        let next = match &self.next {
            Next::If(formula) => Some(formula),
            Next::Loop(_, held) => held.as_ref(),
            _ => None,
        };
        let all = [self.condition.as_ref(), criterion, next];
        all.into_iter().flatten().collect()
    }
}

/// The result of a task.
#[derive(Clone, Debug)]
pub struct TaskEnd {
    pub word: Word,
    pub exit: i32,
    pub success: bool,
    pub attempts: usize,
    pub text: &'static str,
    /// The host was not reached.
    pub is_lost: bool,
    /// The connection was lost while the command ran.
    pub breaks: bool,
    /// It failed before anything could run.
    pub is_unstarted: bool,
    /// The members of a block: their outcomes and exit codes, by host or id.
    pub members: Vec<(String, Word, i32)>,
    /// How many of them the criterion counts.
    pub criterion_total: usize,
}

impl TaskEnd {
    pub fn new(word: Word, exit: i32) -> TaskEnd {
        TaskEnd {
            word,
            exit,
            success: word == Word::Ok,
            attempts: 0,
            text: "",
            is_lost: false,
            breaks: false,
            is_unstarted: false,
            members: Vec::new(),
            criterion_total: 0,
        }
    }

    pub fn unstarted() -> TaskEnd {
        let end = TaskEnd::new(Word::Failed, 126);
        TaskEnd {
            is_unstarted: true,
            ..end
        }
    }

    pub fn count(&self, word: Word) -> usize {
        self.members.iter().filter(|m| m.1 == word).count()
    }

    fn nothing_ran(&self) -> bool {
        self.is_unstarted || matches!(self.word, Word::Skipped | Word::NotStarted)
    }

    /// The text, and whether it is missing (§2.1).
    pub fn stdout(&self) -> (String, bool) {
        let missing = self.nothing_ran() || self.is_lost;
        (self.text.to_string(), missing)
    }

    pub fn field(&self, name: FieldName) -> (String, bool) {
        let word = match name {
            FieldName::Stdout => return self.stdout(),
            FieldName::Exit => return (self.exit.to_string(), false),
            FieldName::Success => return (self.success.to_string(), false),
            FieldName::Outcome => return (self.word.name().into(), false),
            _ if self.nothing_ran() => return (String::new(), true),
            FieldName::TotalCount => return (self.members.len().to_string(), false),
            FieldName::SuccessCount => Word::Ok,
            FieldName::FailedCount => Word::Failed,
            FieldName::UnreachableCount => Word::Unreachable,
            FieldName::NotStartedCount => Word::NotStarted,
            FieldName::SkippedCount => Word::Skipped,
            FieldName::UnknownCount => Word::Unknown,
        };
        (self.count(word).to_string(), false)
    }
}

/// The stand-in of all commands: `act TASK HOST` gives the next answer of that task
/// on that host.
pub const ACT: &str = "#!/bin/sh
here=${0%/*}/..; who=$1.$2; calls=0; number=0
[ -e \"$here/calls/$who\" ] && read -r calls <\"$here/calls/$who\"
calls=$((calls + 1)); echo $calls >\"$here/calls/$who\"
while read -r one two; do
    code=$one; text=$two; number=$((number + 1)); [ $number -ge $calls ] && break
done <\"$here/answers/$who\"
[ \"$code\" = gone ] && exit 255
if [ -n \"$tk_nonce\" ]; then
    echo \"$tk_nonce\"; echo \"$tk_nonce $$\" >&2; IFS= read -r word; [ \"$word\" = go ] || exit 255
fi
[ -n \"$text\" ] && echo \"$text\"
[ \"$code\" = lost ] && exit 255
[ -n \"$tk_nonce\" ] && { echo \"$tk_nonce end\"; echo \"$tk_nonce end $code\" >&2; }
exit \"$code\"
";

/// The stand-in of `ssh`: it reads the line that the wrapper on the host would, and
/// answers in its place.
pub const SSH: &str = "#!/bin/sh
IFS= read -r line; eval \"$line\"; shift; . \"${0%/*}/act\"
";

impl Workflow {
    pub fn owner(&self, id: u32) -> Option<u32> {
        let mut owners = self.tasks.iter().filter(|(_, t)| t.owned().contains(&id));
        owners.next().map(|(id, _)| *id)
    }

    pub fn task_file(&self) -> String {
        let mut text = format!("--max-steps={}\n", self.max_steps);
        if self.keep_going {
            text += "--keep-going\n";
        }
        for (id, task) in &self.tasks {
            task.write(&mut text, *id);
        }
        text
    }

    /// The answers of a task on a host as the stand-in reads them.
    pub fn answer_lines(answers: &[Answer]) -> String {
        let mut text = String::new();
        for answer in answers {
            let without = if answer.breaks { "lost" } else { "gone" };
            let code = answer.code.map_or(without.into(), |c| c.to_string());
            let _ = writeln!(text, "{code} {}", answer.stdout);
        }
        text
    }
}

fn list(ids: &[u32]) -> String {
    let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
    ids.join(",")
}

impl Spec {
    fn write(&self, text: &mut String, id: u32) {
        let mut key = |key: &str, value: String| {
            let _ = writeln!(text, "{key}={value}");
        };
        key("task", id.to_string());
        match &self.work {
            Work::Command(Some(host)) => {
                key("hostname", host.clone());
                key("exec", "ssh".into());
                key("command", format!("act {id} {host}"));
            }
            Work::Command(None) => {
                key("exec", "local".into());
                key("command", format!("act {id}"));
            }
            Work::Hosts { hosts, far, shape } => {
                key("type", "parallel".into());
                key("hostnames", hosts.join(","));
                key("exec", if *far { "ssh" } else { "local" }.into());
                key("command", format!("act {id} @hostname@"));
                shape.write(&mut key);
            }
            Work::Tasks { members, shape } => {
                key("type", "parallel".into());
                key("tasks", list(members));
                shape.write(&mut key);
            }
            Work::Conditional { yes, no } => {
                key("type", "conditional".into());
                for (name, ids) in [("if_true_tasks", yes), ("if_false_tasks", no)] {
                    if !ids.is_empty() {
                        key(name, list(ids));
                    }
                }
            }
            Work::Decision => key("type", "decision".into()),
            Work::Bare => {}
        }
        self.write_flow(&mut key);
    }

    fn write_flow(&self, key: &mut dyn FnMut(&str, String)) {
        if let Some(condition) = &self.condition {
            key("condition", condition.to_string());
        }
        match &self.criterion {
            Some(Criterion::Success(formula)) => key("success", formula.to_string()),
            Some(Criterion::Failure(formula)) => key("failure", formula.to_string()),
            None => {}
        }
        match &self.next {
            Next::Absent => {}
            Next::Always => key("next", "always".into()),
            Next::Never => key("next", "never".into()),
            Next::Success => key("next", "success".into()),
            Next::If(formula) => key("next", formula.to_string()),
            Next::Loop(count, held) => {
                key("next", "loop".into());
                key("loop", count.to_string());
                if let Some(held) = held {
                    key("loop_break", held.to_string());
                }
            }
        }
        let jumps = [
            ("on_success", self.on_success),
            ("on_failure", self.on_failure),
            ("goto", self.goto),
        ];
        for (name, target) in jumps {
            if let Some(target) = target {
                key(name, target.to_string());
            }
        }
        if let Some(end) = self.end {
            key("return", end.to_string());
        }
        if self.retries > 0 {
            key("retry_count", self.retries.to_string());
            key("retry_delay", "0".into());
            match self.retry_on {
                RetryOn::Default => {}
                RetryOn::Failed => key("retry_on", "failed".into()),
                RetryOn::Unreachable => key("retry_on", "unreachable".into()),
                RetryOn::Unknown => key("retry_on", "failed,unknown".into()),
                RetryOn::Exit(code) => key("retry_on", code.to_string()),
            }
        }
        if self.is_final {
            key("finally", "true".into());
        }
    }
}

impl Shape {
    fn write(&self, key: &mut dyn FnMut(&str, String)) {
        match self.fail_fast {
            Some(Limit::True) => key("fail_fast", "true".into()),
            Some(Limit::Number(number)) => key("fail_fast", number.to_string()),
            Some(Limit::Percent(percent)) => key("fail_fast", format!("{percent}%")),
            None => {}
        }
        if self.fail_fast.is_some() {
            // Otherwise it depends on time how many have started.
            key("max_parallel", "1".into());
        }
        match self.unreachable {
            Some(LeftOut::Never) => key("unreachable", "fail".into()),
            Some(LeftOut::Always) => key("unreachable", "skip".into()),
            Some(LeftOut::Percent(percent)) => key("unreachable", format!("{percent}%")),
            None => {}
        }
        if !self.waves.is_empty() {
            let sizes: Vec<String> = self.waves.iter().map(WaveSize::text).collect();
            key("waves", sizes.join(","));
        }
        if let Some(check) = self.wave_check {
            key("wave_check", check.to_string());
        }
    }
}

impl WaveSize {
    fn text(&self) -> String {
        match self {
            WaveSize::Number(number) => number.to_string(),
            WaveSize::Percent(percent) => format!("{percent}%"),
            WaveSize::Rest => "rest".into(),
        }
    }
}
