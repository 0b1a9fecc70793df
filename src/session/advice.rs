//! How to continue after a run that failed, as it is printed (SPEC §6.4): a command line
//! that leaves nothing out and does nothing twice without a word, or the words that
//! there is none.
#![forbid(unsafe_code)]

use crate::exit;
use crate::outcome::Outcome;
use crate::plan::flow::Policy;
use crate::plan::reach::{self, Beginning, Reach};
use crate::plan::recipe::Recipe;
use crate::plan::start::Start;
use crate::report::result_groups;
use crate::report::run_summary::Advice;
use crate::run::result::TaskResult;
use crate::run::run_end::RunEnd;
use crate::session::command_line::CommandLine;
use crate::session::load::Loaded;
use crate::session::origins::Origins;
use crate::session::scope::RunScope;
use crate::task::{Ix, TaskKind};

/// A run that has ended, and what its journal is good for.
pub struct EndToAdvise<'a> {
    pub loaded: &'a Loaded,
    pub end: &'a RunEnd,
    pub run_id: &'a str,
    pub scope: &'a RunScope,
    /// The journal is there.
    pub has_journal: bool,
    /// Somebody has removed it during the run.
    pub journal_is_gone: bool,
    pub policy: Policy,
}

impl EndToAdvise<'_> {
    /// What to do after the run; nothing after one that left nothing to do.
    pub fn advise(&self) -> Advice {
        let (loaded, end) = (self.loaded, self.end);
        if end.exit == exit::OK && end.is_all_ok() {
            return Advice::default();
        }
        if loaded.from_stdin {
            return in_words("it was read from standard input, so it cannot be continued");
        }
        if !self.has_journal {
            return Advice::default();
        }
        if self.journal_is_gone {
            return in_words("its journal was removed during the run, so it cannot be continued");
        }
        if !end.complete || end.finals_left.is_some() {
            return self.after_stop();
        }
        match end.first_failure {
            Some(_) if self.was_rolled_back() => Advice {
                line: CommandLine::new(loaded).fresh(&self.scope.selection),
                words: vec![
                    "a failure handler ran on hosts, so only a fresh run does everything".into(),
                ],
            },
            Some(_) if self.policy.keep_going && self.has_own_failure() => self.resume(),
            Some(ix) => self.resume_at(ix),
            // What was passed over, or a condition on it, has led to a `return`.
            None if end.exit != exit::OK && self.origins().only_reads(end.last) => {
                self.resume_at(end.last)
            }
            None => Advice::default(),
        }
    }

    /// After a run that can be resumed.
    fn after_stop(&self) -> Advice {
        if self.loaded.invocation.finish_only {
            return self.resume_at(self.end.last);
        }
        match self.end.stopped_at {
            Some(ix) if self.origins().only_reads(ix) || self.began_past_failure(ix) => {
                self.resume_at(ix)
            }
            _ => self.resume(),
        }
    }

    fn resume(&self) -> Advice {
        let line = CommandLine::new(self.loaded).continuing(&format!("--resume={}", self.run_id));
        let workflow = &self.loaded.workflow;
        // What stopped the run goes on, or what the flow was at, and with it what that had
        // not done.
        let goes_on = |ix: Ix| {
            let steps = self.end.stopped_at.into_iter().chain([self.end.last]);
            steps
                .into_iter()
                .any(|step| ix == step || workflow.is_inside(ix, step))
        };
        let is_restored = |ix: Ix| !self.policy.keep_going && !goes_on(ix);
        Advice {
            line,
            words: self.undone(is_restored).into_iter().collect(),
        }
    }

    /// Goes on at the task or, where that would only read the same results again, at the
    /// first of the tasks that they come from.
    fn resume_at(&self, ix: Ix) -> Advice {
        let workflow = &self.loaded.workflow;
        let Some(origin) = self.origins().first(ix) else {
            let id = workflow.tasks[ix].id;
            return in_words(&format!(
                "task {id} depends on no result, so it would end the same way again; change the task file or its globals for a fresh run"
            ));
        };
        let at = self.step_to(origin).unwrap_or_else(|| self.place(origin));
        let id = workflow.tasks[at].id;
        let Ok(start) = Start::new(workflow, at, &|_| None) else {
            return in_words(&format!("no run can begin at task {id}"));
        };
        let beginning = Beginning {
            start: &start,
            policy: self.policy,
            deadline_task: None,
        };
        let reach = reach::find(workflow, &beginning);
        // What a block had done well is restored, unless that is what is to be different.
        let runs_all = workflow.tasks[at].is_block() && self.is_done(origin);
        let all_hosts = if runs_all { " --all-hosts" } else { "" };
        let line = format!("--resume-at {}:{id}{all_hosts}", self.run_id);
        let restored = Some(at).filter(|_| !runs_all);
        let again = self.done_again(restored, &reach);
        let undone = self.undone(|ix| !reach.tasks[ix]);
        Advice {
            line: CommandLine::new(self.loaded).continuing(&line),
            words: again.into_iter().chain(undone).collect(),
        }
    }

    fn origins(&self) -> Origins<'_> {
        Origins {
            workflow: &self.loaded.workflow,
            end: self.end,
        }
    }

    /// Whether the task and all of its members are ok.
    fn is_done(&self, ix: Ix) -> bool {
        let is_ok = |result: &TaskResult| matches!(result.outcome, Outcome::Ok | Outcome::Skipped);
        let result = self.end.results.get(ix);
        result.is_some_and(|r| is_ok(r) && r.members.iter().all(|m| is_ok(&m.result)))
    }

    /// Whether something has failed that does not only read results, so that it can end in
    /// another way where the flow is walked again.
    fn has_own_failure(&self) -> bool {
        let (workflow, end) = (&self.loaded.workflow, self.end);
        (0..workflow.tasks.len()).any(|ix| {
            let has_failed = end.results.get(ix).is_some_and(|r| r.outcome.is_failure());
            let is_walked = !workflow.tasks[ix].in_finals && !workflow.is_handler(ix);
            has_failed && is_walked && !self.origins().only_reads(ix)
        })
    }

    /// The step that had jumped to the task, if that is a member of a conditional: a run
    /// that begins at the member goes on with the rest of its branch.
    fn step_to(&self, ix: Ix) -> Option<Ix> {
        self.loaded.workflow.owner_of(ix)?;
        let steps = &self.end.path;
        let at = steps.iter().rposition(|step| *step == ix)?;
        Some(steps[at.checked_sub(1)?])
    }

    /// A task that a run can begin at for this one: itself, or the block that owns it,
    /// also where a member before it has failed.
    fn place(&self, mut ix: Ix) -> Ix {
        let workflow = &self.loaded.workflow;
        while let Some((block, _)) = workflow.owner_of(ix)
            && (Start::new(workflow, ix, &|_| None).is_err() || self.is_second_failure(ix, block))
        {
            ix = block;
        }
        ix
    }

    /// Whether a member of the block had failed before this one did.
    fn is_second_failure(&self, ix: Ix, block: Ix) -> bool {
        let id = self.loaded.workflow.tasks[ix].id.to_string();
        let result = self.end.results.get(block);
        let mut failed = result.into_iter().flat_map(|r| r.failed_members());
        let first = failed.next().is_some_and(|m| m.name != id);
        first && failed.any(|m| m.name == id)
    }

    /// Whether the run began past a member of the block that had failed: it is passed by
    /// again where the run is resumed.
    fn began_past_failure(&self, block: Ix) -> bool {
        let workflow = &self.loaded.workflow;
        let failed = self
            .end
            .results
            .get(block)
            .and_then(|r| r.failed_members().next());
        let failed = failed.and_then(|m| workflow.find(&m.name));
        let mut way = self
            .scope
            .start
            .way
            .iter()
            .filter(|entry| entry.block == block);
        way.any(|entry| match &workflow.tasks[block].kind {
            TaskKind::Conditional(conditional) => {
                failed.is_some_and(|ix| entry.split(conditional).0.contains(&ix))
            }
            _ => false,
        })
    }

    /// The tasks and hosts that had ended well and run again.
    fn done_again(&self, restored: Option<Ix>, reach: &Reach) -> Option<String> {
        let workflow = &self.loaded.workflow;
        let mut again = Vec::new();
        for (ix, task) in workflow.tasks.iter().enumerate() {
            // A handler runs again only if something fails again.
            let is_expected = reach.expected[ix] && !task.in_finals;
            let is_kept = restored.is_some_and(|at| {
                let is_of_block = ix == at || workflow.is_inside(ix, at);
                workflow.tasks[at].is_block() && is_of_block
            });
            let result = self.end.results.get(ix).filter(|_| is_expected && !is_kept);
            let Some(result) = result else { continue };
            if task.is_over_hosts() && result.outcome != Outcome::Ok {
                let hosts = result.members_with(&[Outcome::Ok]);
                if !hosts.is_empty() {
                    let hosts = result_groups::brief_node_set(&hosts);
                    again.push(format!("{} on {hosts}", task.id));
                }
            } else if result.outcome == Outcome::Ok && result.started.is_some() {
                again.push(task.id.to_string());
            }
        }
        (!again.is_empty()).then(|| format!("runs again: {}", again.join(", ")))
    }

    /// What is not ok and stays so, since its task is restored as it is.
    fn undone(&self, is_restored: impl Fn(Ix) -> bool) -> Option<String> {
        let workflow = &self.loaded.workflow;
        let mut undone: Vec<String> = Vec::new();
        for (ix, task) in workflow.tasks.iter().enumerate() {
            let result = self
                .end
                .results
                .get(ix)
                .filter(|_| is_restored(ix) && !task.in_finals && !task.repeats_on_resume);
            let Some(result) = result.filter(|r| r.is_judged()) else {
                continue;
            };
            if task.is_over_hosts() {
                let failed = result
                    .members
                    .iter()
                    .filter(|m| m.result.outcome.is_failure());
                let hosts: Vec<&str> = failed.map(|m| m.name.as_str()).collect();
                if !hosts.is_empty() {
                    let hosts = result_groups::brief_node_set(&hosts);
                    undone.push(format!("{} on {hosts}", task.id));
                }
            } else if task.command().is_some() && result.outcome.is_failure() {
                undone.push(task.id.to_string());
            }
        }
        (!undone.is_empty()).then(|| format!("stays undone: {}", undone.join(", ")))
    }

    /// Whether a failure handler ran on hosts. It may have undone what succeeded, so that
    /// the failed task alone does not make up for it.
    fn was_rolled_back(&self) -> bool {
        let workflow = &self.loaded.workflow;
        let handlers = &self.end.handlers;
        let runs_there = |ix: Ix| {
            let is_local =
                |recipe: &Recipe| matches!(recipe, Recipe::Ready { exec, .. } if exec.is_local());
            workflow.tasks[ix].is_over_hosts()
                || workflow.tasks[ix].command().is_some() && !is_local(&workflow.recipes[ix])
        };
        let in_handler = |mut ix: Ix| loop {
            if handlers.contains(&ix) {
                return true;
            }
            match workflow.owner_of(ix) {
                Some((block, _)) => ix = block,
                None => return false,
            }
        };
        let has_run = |ix: Ix| {
            let result = self.end.results.get(ix);
            result.is_some_and(|r| r.started.is_some())
        };
        (0..workflow.tasks.len()).any(|ix| runs_there(ix) && has_run(ix) && in_handler(ix))
    }
}

fn in_words(words: &str) -> Advice {
    Advice {
        line: String::new(),
        words: vec![words.into()],
    }
}
