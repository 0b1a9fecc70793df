//! Runs a whole task file on a pretended runner, for tests: no process, no pause.
#![forbid(unsafe_code)]

use super::engine::{Engine, Settings};
use crate::outcome::Outcome;
use crate::plan::flow::Policy;
use crate::plan::start::Start;
use crate::plan::workflow::Workflow;
use crate::plan::workflow::tests::{defaults, workflow};
use crate::run::deadline::Deadline;
use crate::run::event::Event;
use crate::run::job::JobEnvironment;
use crate::run::pretend::{Answer, PretendedRunner};
use crate::run::run_end::RunEnd;
use crate::run::runner::{CommandEnd, Job, Time};
use crate::task::nodeset::HostFilter;
use std::time::Duration;

/// What was observed of a run: its end, when which command started, what was
/// reported.
pub struct Observed {
    pub end: RunEnd,
    /// Command words and the time of each start, in order.
    pub starts: Vec<(String, Time)>,
    pub most_at_once: usize,
    pub reported: Vec<String>,
}

/// Runs a file; `script` says how each command ends, by its words and how often
/// it was started before.
pub fn run(text: &str, script: &dyn Fn(&str, usize) -> (CommandEnd, Duration)) -> Observed {
    run_until(None, text, script)
}

pub fn run_until(
    deadline: Option<Deadline>,
    text: &str,
    script: &dyn Fn(&str, usize) -> (CommandEnd, Duration),
) -> Observed {
    let adjust = |_: &Workflow, settings: &mut Settings| settings.deadline = deadline;
    run_adjusted(adjust, text, script)
}

/// The same with other settings than the default.
pub fn run_adjusted(
    adjust: impl FnOnce(&Workflow, &mut Settings),
    text: &str,
    script: &dyn Fn(&str, usize) -> (CommandEnd, Duration),
) -> Observed {
    let workflow = workflow(text);
    let mut starts: Vec<(String, Time)> = Vec::new();
    let mut reported = Vec::new();
    let mut answer = |job: &Job, now: Time| {
        let words: Vec<_> = job
            .words
            .iter()
            .map(|w| String::from_utf8_lossy(w))
            .collect();
        let words = words.join(" ");
        let before = starts.iter().filter(|(w, _)| *w == words).count();
        starts.push((words.clone(), now));
        let (ending, took) = script(&words, before);
        Answer::new(ending, took)
    };
    let mut runner = PretendedRunner::new(&mut answer);
    let mut emit = |event: Event| match event {
        Event::Warning { text, .. } => reported.push(text.to_string()),
        Event::Finished { about, result } => {
            reported.push(format!("{} {}", about.label, result.outcome))
        }
        _ => {}
    };
    let mut settings = Settings {
        policy: Policy::default(),
        max_steps: 1000,
        start: Start::main_line(workflow.first().unwrap_or(0)),
        debug: false,
        selection: HostFilter::default(),
        deadline: None,
    };
    adjust(&workflow, &mut settings);
    let (defaults, common) = (defaults(), JobEnvironment::new("test", Default::default()));
    let end = Engine::new(
        &workflow,
        &defaults,
        &settings,
        &common,
        &mut runner,
        &mut emit,
    )
    .run();
    let most_at_once = runner.most_at_once;
    Observed {
        end,
        starts,
        most_at_once,
        reported,
    }
}

pub const OK: CommandEnd = CommandEnd::Exited(0);

pub fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub fn outcomes(seen: &Observed, block: usize) -> Vec<Outcome> {
    let result = seen.end.results.get(block).expect("a result");
    result.members.iter().map(|m| m.result.outcome).collect()
}
