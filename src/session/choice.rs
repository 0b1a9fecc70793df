//! Which earlier run a call goes on with (SPEC §6.4): the newest unfinished one of the
//! same work, the one that was named, or with `--auto-recovery` perhaps none.
#![forbid(unsafe_code)]

use crate::cli::invocation::Invocation;
use crate::exit;
use crate::run::header::Header;
use crate::session::earlier_runs::{EarlierRun, EarlierRuns, differences};
use crate::session::identity::Identity;
use crate::session::refusal::Refusal;
use crate::text::diagnostic::{Plural, printable};
use std::fmt::Write;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// To go on where a run stopped; the option that says so, and the run if it is named.
    Resume {
        option: &'static str,
        run: Option<String>,
    },
    /// To go on at this task; the run if it is named.
    ResumeAt { run: Option<String>, task: String },
    /// To go on if there is an unfinished run.
    AutoRecovery,
}

/// How many runs of other globals are listed.
const LISTED: usize = 10;

impl Wanted {
    /// What this command line asks for; nothing for a fresh run.
    pub fn by(invocation: &Invocation) -> Option<Wanted> {
        let named = |word: &str| Some(word.to_string()).filter(|word| !word.is_empty());
        if let Some(word) = &invocation.resume_at {
            let (run, task) = match word.rsplit_once(':') {
                Some((run, task)) => (named(run), task),
                None => (None, word.as_str()),
            };
            let task = task.to_string();
            return Some(Wanted::ResumeAt { run, task });
        }
        let run = invocation.resume.as_deref().and_then(named);
        let option = match () {
            () if invocation.resume.is_some() => "--resume",
            () if invocation.finish_only => "--finish-only",
            () if invocation.show_recovery_info => "--show-recovery-info",
            () if invocation.auto_recovery => return Some(Wanted::AutoRecovery),
            () => return None,
        };
        Some(Wanted::Resume { option, run })
    }

    /// The option, for a message.
    pub fn option(&self) -> &'static str {
        match self {
            Wanted::Resume { option, .. } => option,
            Wanted::ResumeAt { .. } => "--resume-at",
            Wanted::AutoRecovery => "--auto-recovery",
        }
    }

    /// The run that is named.
    pub fn run(&self) -> Option<&str> {
        match self {
            Wanted::Resume { run, .. } | Wanted::ResumeAt { run, .. } => run.as_deref(),
            Wanted::AutoRecovery => None,
        }
    }

    /// Chooses among the earlier runs of the file.
    ///
    /// # Errors
    /// That there is no such run, or a run of the same work is live.
    pub fn choose<'r>(
        &self,
        runs: &'r EarlierRuns,
        identity: &'r Identity,
        file: &str,
    ) -> Result<Option<&'r EarlierRun>, Refusal> {
        let option = self.option();
        let refuse = |why: String| Refusal::new(exit::POSITION, format!("{option}: {why}"));
        if let Some(word) = self.run() {
            let run = runs.find_by_id(word).map_err(refuse)?;
            let mut same = runs
                .runs
                .iter()
                .filter(|r| r.header.globals == run.header.globals);
            return match same.find(|r| r.is_live) {
                Some(live) => Err(still_active(&live.header)),
                None => self.if_unfinished(run).map(Some),
            };
        }
        if let Some(live) = runs.same_work(identity).find(|run| run.is_live) {
            return Err(still_active(&live.header));
        }
        let mut same = runs.same_work(identity);
        let newest = same.next();
        let found = match self {
            Wanted::AutoRecovery | Wanted::ResumeAt { .. } => newest,
            Wanted::Resume { .. } => newest.into_iter().chain(same).find(|r| r.can_be_resumed()),
        };
        match (found, newest) {
            (Some(run), _) => Ok(Some(run)),
            (None, _) if *self == Wanted::AutoRecovery => Ok(None),
            (None, Some(finished)) => self.if_unfinished(finished).map(Some),
            (None, None) => Err(self.no_run(runs, identity, file)),
        }
    }

    /// The run, if it can be continued in this way.
    fn if_unfinished<'r>(&self, run: &'r EarlierRun) -> Result<&'r EarlierRun, Refusal> {
        match self {
            Wanted::Resume { .. } if !run.can_be_resumed() => Err(reached_its_end(run)),
            _ => Ok(run),
        }
    }

    /// There is no such run of this work; those with other globals are listed.
    fn no_run(&self, runs: &EarlierRuns, identity: &Identity, file: &str) -> Refusal {
        let is_resume_at = matches!(self, Wanted::ResumeAt { .. });
        let others = runs
            .runs
            .iter()
            .filter(|run| is_resume_at || run.can_be_resumed());
        let others: Vec<&EarlierRun> = others.collect();
        let (option, file) = (self.option(), printable(file));
        let kind = if is_resume_at {
            "earlier"
        } else {
            "interrupted or failed"
        };
        if others.is_empty() {
            let why = format!("{option}: there is no {kind} run of {file} to go on with");
            return Refusal::new(exit::POSITION, why);
        }
        let mut detail = String::new();
        for run in others.iter().take(LISTED) {
            let differences = differences(identity, &run.header).join(", ");
            let _ = writeln!(
                detail,
                "     = note: run {} is one with other globals: {differences}",
                run.header.run_id
            );
        }
        let more = others.len().saturating_sub(LISTED);
        if more > 0 {
            let _ = writeln!(detail, "     = note: and {}", Plural(more, "older run"));
        }
        let why = format!(
            "{option}: there is no {kind} run of {file} with these globals; {} names one of the others",
            if is_resume_at {
                "--resume-at RUN:ID"
            } else {
                "--resume=RUN"
            }
        );
        Refusal {
            detail: detail.into(),
            ..Refusal::new(exit::POSITION, why)
        }
    }
}

fn still_active(header: &Header) -> Refusal {
    let why = format!(
        "run {} of the same work is still active; wait until it ends",
        header.run_id
    );
    Refusal::new(exit::ACTIVE, why)
}

/// There is nothing to resume.
fn reached_its_end(run: &EarlierRun) -> Refusal {
    let id = &run.header.run_id;
    let flow = run.snapshot.flow.as_ref();
    let end = flow.map_or(String::new(), |flow| {
        format!(", at task {} with exit code {}", flow.task, flow.exit)
    });
    let why = format!(
        "run {id} reached its end{end}, so there is nothing to resume; --resume-at {id}:ID goes on at a task with its results"
    );
    Refusal::new(exit::POSITION, why)
}
