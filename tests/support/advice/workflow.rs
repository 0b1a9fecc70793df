//! A workflow of which every task and host has an effect of its own, and its task
//! file.

use std::collections::BTreeMap;
use std::fmt::Write;

/// What leaves one effect: `10`, `20.h2` (a host), `30.2` (an iteration).
pub type Item = String;

#[derive(Clone, Debug)]
pub struct Workflow {
    pub tasks: BTreeMap<u32, Spec>,
}

#[derive(Clone, Debug)]
pub enum Work {
    Command,
    Hosts {
        hosts: Hosts,
        shape: Shape,
    },
    Tasks {
        members: Vec<u32>,
        shape: Shape,
    },
    Conditional {
        test: Test,
        yes: Vec<u32>,
        no: Vec<u32>,
    },
    Decision(u32),
    Loop(usize),
    /// Runs until it prints `up`.
    Poll(usize),
    /// A check between waves, which leaves no effect.
    Check,
    /// A handler that undoes what that block did on its hosts.
    Rollback(u32),
}

#[derive(Clone, Copy, Debug)]
pub enum Hosts {
    /// `h[1-N]`.
    Count(usize),
    /// The hosts on which that block did well.
    OkOf(u32),
}

/// How a parallel block runs its members.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    pub max_parallel: Option<usize>,
    pub fail_fast: Option<&'static str>,
    pub waves: Option<&'static str>,
    pub wave_check: Option<u32>,
    /// `min_success=` this.
    pub least: Option<&'static str>,
}

/// A condition over an earlier result.
#[derive(Clone, Copy, Debug)]
pub enum Test {
    Literal(bool),
    /// A command has printed `up`, or has not.
    IsUp(u32, bool),
    Succeeded(u32, bool),
    NoneFailed(u32),
}

#[derive(Clone, Debug)]
pub struct Spec {
    pub work: Work,
    pub condition: Option<Test>,
    /// Whose output is an argument of the command.
    pub passed: Option<u32>,
    pub retries: bool,
    pub on_failure: Option<u32>,
    pub end: Option<i32>,
    /// A conditional that stops the run when its branch failed.
    pub is_strict: bool,
    pub is_final: bool,
    pub repeats: bool,
    /// Whether it needs too long for a near deadline.
    pub is_long: bool,
    /// Whether it is given up soon.
    pub is_hasty: bool,
    /// The command was edited.
    pub is_edited: bool,
}

impl Spec {
    pub fn new(work: Work) -> Spec {
        Spec {
            work,
            condition: None,
            passed: None,
            retries: false,
            on_failure: None,
            end: None,
            is_strict: false,
            is_final: false,
            repeats: false,
            is_long: false,
            is_hasty: false,
            is_edited: false,
        }
    }

    /// The subtasks and checks of a block.
    pub fn owned(&self) -> Vec<u32> {
        match &self.work {
            Work::Tasks { members, shape } => {
                let all = members.iter().copied();
                all.chain(shape.wave_check).collect()
            }
            Work::Hosts { shape, .. } => shape.wave_check.into_iter().collect(),
            Work::Conditional { yes, no, .. } => [&yes[..], no].concat(),
            _ => Vec::new(),
        }
    }

    /// The tasks whose results it uses, but for a default that asks for none.
    pub fn used(&self) -> Vec<u32> {
        let of_test = |test: &Test| match test {
            Test::Literal(_) => None,
            Test::IsUp(id, _) | Test::Succeeded(id, _) | Test::NoneFailed(id) => Some(*id),
        };
        let own = match &self.work {
            Work::Hosts {
                hosts: Hosts::OkOf(id),
                ..
            }
            | Work::Decision(id)
            | Work::Rollback(id) => Some(*id),
            Work::Conditional { test, .. } => of_test(test),
            _ => None,
        };
        let condition = self.condition.as_ref().and_then(of_test);
        own.into_iter()
            .chain(condition)
            .chain(self.passed)
            .collect()
    }

    /// Whether its failure stops the run or goes to a handler.
    pub fn stops(&self) -> bool {
        match &self.work {
            Work::Hosts { shape, .. } | Work::Tasks { shape, .. } => shape.least.is_none(),
            Work::Conditional { .. } => self.is_strict || self.on_failure.is_some(),
            _ => true,
        }
    }
}

/// Where a kind of exec type is said, and how a global gets its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    pub has_exec: bool,
    pub word_of_environment: bool,
}

impl Workflow {
    pub fn owner(&self, id: u32) -> Option<u32> {
        let mut owners = self.tasks.iter().filter(|(_, t)| t.owned().contains(&id));
        owners.next().map(|(id, _)| *id)
    }

    /// The task of the main line that it belongs to.
    pub fn unit(&self, id: u32) -> u32 {
        self.owner(id).map_or(id, |owner| self.unit(owner))
    }

    /// Its answer stops the run when it is a no.
    pub fn is_judged(&self, id: u32) -> bool {
        let is_poll = |task: &Spec| matches!(task.work, Work::Poll(_));
        // One in a branch may not be asked, nor one between waves.
        let decides = |(at, task): (&u32, &Spec)| {
            let is_asked = match self.owner(*at).map(|block| &self.tasks[&block].work) {
                None => true,
                Some(Work::Tasks { members, .. }) => members.contains(at),
                Some(_) => false,
            };
            is_asked && matches!(task.work, Work::Decision(of) if of == id)
        };
        self.tasks.get(&id).is_some_and(is_poll) || self.tasks.iter().any(decides)
    }

    pub fn is_handler(&self, id: u32) -> bool {
        (900..950).contains(&id)
    }

    /// A failure of it, or of a task before it, leads past it to a later task.
    pub fn may_be_passed_over(&self, unit: u32) -> bool {
        let mut tasks = self.tasks.iter();
        tasks.any(|(id, task)| {
            let to = task.on_failure.filter(|to| !self.is_handler(*to));
            to.is_some_and(|to| (*id..to).contains(&unit))
        })
    }

    /// The parallel block whose members run beside it.
    pub fn block_of(&self, item: &str) -> Option<u32> {
        let id = task_of(item);
        match self.tasks.get(&id).map(|t| &t.work) {
            Some(Work::Hosts { .. } | Work::Rollback(_)) => return Some(id),
            Some(_) => {}
            None => return None,
        }
        let owner = self.owner(id)?;
        let is_parallel = matches!(self.tasks[&owner].work, Work::Tasks { .. });
        is_parallel.then_some(owner)
    }

    pub fn host_count(&self, id: u32) -> usize {
        match &self.tasks[&id].work {
            Work::Hosts { hosts, .. } => match hosts {
                Hosts::Count(count) => *count,
                Hosts::OkOf(other) => self.host_count(*other),
            },
            Work::Rollback(block) => self.host_count(*block),
            _ => 0,
        }
    }

    pub fn task_file(&self, style: Style) -> String {
        let mut text = String::from(match style.word_of_environment {
            true => "WORD=$WORD_OF_TEST\n",
            false => "WORD=hello\n",
        });
        for (id, task) in &self.tasks {
            self.write(&mut text, *id, task, style);
        }
        text
    }

    fn write(&self, text: &mut String, id: u32, task: &Spec, style: Style) {
        let mut key = |key: &str, value: String| {
            let _ = writeln!(text, "{key}={value}");
        };
        key("task", id.to_string());
        let mut pairs = String::from(" hello @WORD@");
        if let Some(from) = task.passed {
            let _ = write!(pairs, " up-{from} @{from}_stdout@");
        }
        if task.is_edited {
            pairs.push_str(" edited edited");
        }
        let command = match &task.work {
            Work::Hosts { .. } => Some(format!("bin/act {id}.@hostname@{pairs}")),
            Work::Loop(_) => Some(format!("bin/act {id}.@loop@{pairs}")),
            Work::Command | Work::Poll(_) => Some(format!("bin/act {id}{pairs}")),
            Work::Check => Some(format!("bin/check {id}")),
            Work::Rollback(of) => Some(format!("bin/undo {id}.@hostname@ {of}.@hostname@")),
            Work::Tasks { .. } | Work::Conditional { .. } | Work::Decision(_) => None,
        };
        if let Some(command) = command {
            if style.has_exec {
                key("exec", "shell".into());
            }
            key("command", command);
        }
        self.write_kind(id, task, &mut key);
        write_flow(task, &mut key);
    }

    fn write_kind(&self, id: u32, task: &Spec, key: &mut dyn FnMut(&str, String)) {
        match &task.work {
            Work::Hosts { hosts, shape } => {
                key("type", "parallel".into());
                key(
                    "hostnames",
                    match hosts {
                        Hosts::Count(count) => format!("h[1-{count}]"),
                        Hosts::OkOf(other) => format!("@{other}_ok_hosts@"),
                    },
                );
                shape.write(key);
            }
            Work::Rollback(_) => {
                key("type", "parallel".into());
                key("hostnames", format!("h[1-{}]", self.host_count(id)));
            }
            Work::Tasks { members, shape } => {
                key("type", "parallel".into());
                key("tasks", list(members));
                shape.write(key);
            }
            Work::Conditional { test, yes, no } => {
                key("type", "conditional".into());
                key("condition", test.text());
                for (name, ids) in [("if_true_tasks", yes), ("if_false_tasks", no)] {
                    if !ids.is_empty() {
                        key(name, list(ids));
                    }
                }
            }
            Work::Decision(of) => {
                key("type", "decision".into());
                key("success", format!("@{of}_stdout@ ~ up"));
            }
            Work::Loop(count) => {
                key("next", "loop".into());
                key("loop", count.to_string());
            }
            Work::Poll(count) => {
                key("next", "loop".into());
                key("loop", count.to_string());
                key("loop_break", "stdout ~ up".into());
            }
            Work::Command | Work::Check => {}
        }
    }
}

fn write_flow(task: &Spec, key: &mut dyn FnMut(&str, String)) {
    if let Some(test) = &task.condition {
        key("condition", test.text());
    }
    if task.is_strict {
        key("next", "success".into());
    }
    if task.retries {
        key("retry_count", "1".into());
        key("retry_delay", "0.01".into());
    }
    if let Some(to) = task.on_failure {
        key("on_failure", to.to_string());
    }
    if let Some(code) = task.end {
        key("return", code.to_string());
    }
    if task.is_final {
        key("finally", "true".into());
        key("timeout", "5".into());
    } else if task.is_hasty {
        key("timeout", "1".into());
    } else if task.is_long {
        key("timeout", "30".into());
    }
    if task.repeats {
        key("on_resume", "repeat".into());
    }
}

impl Shape {
    fn write(&self, key: &mut dyn FnMut(&str, String)) {
        if let Some(count) = self.max_parallel {
            key("max_parallel", count.to_string());
        }
        if let Some(limit) = self.fail_fast {
            key("fail_fast", limit.into());
        }
        if let Some(sizes) = self.waves {
            key("waves", sizes.into());
        }
        if let Some(check) = self.wave_check {
            key("wave_check", check.to_string());
        }
        if let Some(least) = self.least {
            key("success", format!("min_success={least}"));
        }
    }
}

impl Test {
    fn text(self) -> String {
        match self {
            Test::Literal(holds) => holds.to_string(),
            Test::IsUp(id, true) => format!("@{id}_stdout@ ~ up"),
            Test::IsUp(id, false) => format!("@{id}_stdout@ !~ up"),
            Test::Succeeded(id, wanted) => format!("@{id}_success@ = {wanted}"),
            Test::NoneFailed(id) => format!("@{id}_failed_count@ = 0"),
        }
    }
}

fn list(ids: &[u32]) -> String {
    let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
    ids.join(",")
}

pub fn task_of(item: &str) -> u32 {
    let id = item.split('.').next().unwrap_or_default();
    id.parse().expect("an item begins with an id")
}

/// The host of an item of a block over hosts.
pub fn host_of(item: &str) -> Option<&str> {
    let (_, rest) = item.split_once('.')?;
    rest.starts_with('h').then_some(rest)
}

/// `act ITEM [WANTED GOT]...` does the work of an item, unless it is broken. Each
/// pair must be equal: results and globals that were passed on. What got nothing, since
/// what was to give it has failed, fails. What is broken by a file with text in it hangs.
pub const ACT: &str = "#!/bin/sh
who=$1; shift
say() { echo \"$1 $who\" >>events; }
wait_here() { [ -p \"hold/$who.$1\" ] && read -r _ <\"hold/$who.$1\"; }
say begin
while [ $# -gt 0 ]; do
    case $2 in
    \"\") say failed; exit 5 ;;
    \"$1\" | down) ;;
    *) say wrong ;;
    esac
    shift 2
done
wait_here before
if [ -e \"flaky/$who\" ]; then rm \"flaky/$who\"; say failed; exit 4; fi
if [ -s \"broken/$who\" ]; then say failed; sleep 60; fi
if [ -e \"broken/$who\" ]; then say failed; echo \"$who is broken\" >&2; exit 3; fi
if [ -e \"soft/$who\" ]; then say soft; echo down; exit 0; fi
say done
wait_here after
say end
echo \"up-$who\"
";

/// `check ID` between waves.
pub const CHECK: &str = "#!/bin/sh
[ -e \"broken/$1\" ] || exit 0
echo \"failed $1\" >>events; exit 3
";

/// `undo ITEM OTHER` undoes what the other did.
pub const UNDO: &str = "#!/bin/sh
echo \"begin $1\" >>events; echo \"undo $2\" >>events; echo \"done $1\" >>events
echo \"end $1\" >>events
";
