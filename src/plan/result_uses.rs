//! Results that are used where their task has not run, or might not have run.
#![forbid(unsafe_code)]

use super::dominators::Dominators;
use super::graph::{Edge, Graph, Node, To, node, task_of};
use super::recipe::Recipe;
use super::task_ends::{Case, can_be_false};
use super::workflow::Workflow;
use crate::task::values::Wave;
use crate::task::{Deferrable, Ix, Members, ResultUse, Task, TaskKind};
use crate::text::diagnostic::DiagnosticList;

/// How many steps the searches for paths can take, so that a huge file is still
/// checked quickly.
const STEPS: usize = 20_000_000;

/// The keys that hold conditions: there an empty result is a valid answer.
const CONDITION_KEYS: [&str; 5] = ["condition", "success", "failure", "next", "loop_break"];

/// The keys that hold what a command runs with: a missing result there fails the task
/// before it starts.
const COMMAND_KEYS: [&str; 8] = [
    "command",
    "arguments",
    "stdin",
    "workdir",
    "env.",
    "exec",
    "hostname",
    "hostnames",
];

/// Warns of results that do not exist when they are used, or not on every path.
pub fn check(
    workflow: &Workflow,
    graph: &Graph,
    reached: &[bool],
    diagnostics: &mut DiagnosticList,
) {
    if workflow.tasks.iter().all(|t| t.uses.is_empty()) {
        return;
    }
    let mut uses = UseChecker {
        workflow,
        graph,
        reached,
        dominators: dominators(workflow, graph, reached),
        searches: (STEPS / reached.len().max(1)).min(500),
        paths: None,
        before: None,
    };
    for (ix, task) in workflow.tasks.iter().enumerate() {
        let mut reported = Vec::new();
        for used in &task.uses {
            // The workflow has checked the task's own result.
            if used.task == ix || reported.contains(&used.task) {
                continue;
            }
            if uses.is_inside(ix, used.task) {
                if !uses.check_unfinished(ix, used, diagnostics) {
                    continue;
                }
            } else if uses.is_impossible(ix, used.task) {
                cannot_have_run(workflow, task, used, diagnostics);
            } else if used.has_default || is_guarded(workflow, ix, used) {
                continue;
            } else if let Some(jump) = uses.jumped_over_by(ix, used) {
                may_not_have_run(workflow, task, used, jump, diagnostics);
            } else if !is_needed(task, used) || !uses.may_be_missing(ix, used, diagnostics) {
                continue;
            }
            reported.push(used.task);
        }
    }
}

fn cannot_have_run(
    workflow: &Workflow,
    task: &Task,
    used: &ResultUse,
    diagnostics: &mut DiagnosticList,
) {
    let target = &workflow.tasks[used.task];
    let message = format!(
        "task {} uses a result of task {}, which cannot have run before it",
        task.id, target.id
    );
    diagnostics
        .warning(used.at, message)
        .also(target.at, "the task");
}

/// `jump` is the task that jumps over the used one.
fn may_not_have_run(
    workflow: &Workflow,
    task: &Task,
    used: &ResultUse,
    jump: Ix,
    diagnostics: &mut DiagnosticList,
) {
    let (target, jumps) = (&workflow.tasks[used.task], &workflow.tasks[jump]);
    let message = format!(
        "task {} uses a result of task {}, which has not run if task {} jumps over it",
        task.id, target.id, jumps.id
    );
    let jump = jumps.first_key_span(&["goto", "on_failure", "on_success"]);
    diagnostics
        .warning(used.at, message)
        .also(jump, "the jump")
        .help(match is_needed(task, used) {
            true => WAYS_OUT,
            false => "in that case the result is empty",
        });
}

const WAYS_OUT: &str =
    "then the task fails unstarted (126); write `@ID_FIELD:-TEXT@` or give it a `condition=`";

/// Whether the use is in one of these keys of the task.
fn is_in(task: &Task, used: &ResultUse, keys: &[&str]) -> bool {
    let mut written = task.written.iter();
    written.any(|(key, value)| keys.contains(key) && value.contains(used.at))
}

/// Whether the task cannot start without the result.
fn is_needed(task: &Task, used: &ResultUse) -> bool {
    used.field.is_required() && !used.has_default && is_in(task, used, &COMMAND_KEYS)
}

/// Whether the condition of the task, or of a block around it, asks about the used one.
fn is_guarded(workflow: &Workflow, ix: Ix, used: &ResultUse) -> bool {
    owners(workflow, ix).any(|ix| {
        let task = &workflow.tasks[ix];
        let mut uses = task.uses.iter().filter(|u| u.task == used.task);
        task.has_key("condition") && uses.any(|u| is_in(task, u, &["condition"]))
    })
}

/// `1, 2 or 3`, by their ids.
fn ids(workflow: &Workflow, tasks: &[Ix]) -> String {
    let ids: Vec<String> = tasks
        .iter()
        .map(|ix| workflow.tasks[*ix].id.to_string())
        .collect();
    match ids.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, first)) => format!("{} or {last}", first.join(", ")),
        None => String::new(),
    }
}

struct UseChecker<'a> {
    workflow: &'a Workflow,
    graph: &'a Graph,
    reached: &'a [bool],
    dominators: Option<Dominators>,
    /// How many searches are left.
    searches: usize,
    /// The last result of `paths_around`, and the task it is about.
    paths: Option<(Ix, Vec<Option<Node>>)>,
    /// The nodes from which an edge leads to each node, once they are needed.
    before: Option<Vec<Vec<Node>>>,
}

impl UseChecker<'_> {
    /// Whether the task runs only as a part of the used block.
    fn is_inside(&self, ix: Ix, used: Ix) -> bool {
        // What is jumped to also runs outside of its block.
        let mut inner = owners(self.workflow, ix).take_while(|o| *o != used);
        let is_owned = owners(self.workflow, ix).any(|o| o == used);
        is_owned && !inner.any(|o| self.can_run(o))
    }

    /// Reports a use of the block that the task belongs to; only a conditional that
    /// runs again has a result then, of its earlier pass.
    fn check_unfinished(
        &mut self,
        ix: Ix,
        used: &ResultUse,
        diagnostics: &mut DiagnosticList,
    ) -> bool {
        let workflow = self.workflow;
        let (task, block) = (&workflow.tasks[ix], &workflow.tasks[used.task]);
        let again = matches!(block.kind, TaskKind::Conditional(_))
            && (owners(workflow, used.task).any(|o| workflow.tasks[o].repeat.is_some())
                || self.can_return_to(outermost(workflow, ix)));
        if again && used.has_default {
            return false;
        }
        let message = format!(
            "task {} belongs to block {}: the result of block {} does not exist before the block has ended",
            task.id, block.id, block.id
        );
        if again {
            diagnostics
                .warning(used.at, message)
                .also(block.at, "the block")
                .help("the result is that of the earlier pass, and the first pass has none");
            return true;
        }
        let error = diagnostics
            .error(used.at, message)
            .also(block.at, "the block");
        if workflow
            .owner_of(ix)
            .is_some_and(|(b, _)| is_check(workflow, b, ix))
        {
            error.help(
                "a wave check sees what its own command finds out; `fail_fast=` bounds failures",
            );
        } else if matches!(block.kind, TaskKind::Parallel(_)) {
            error.help("use it in a task after the block; `fail_fast=` bounds failures");
        } else {
            error.help("use it in a task after the block");
        }
        true
    }

    fn is_impossible(&mut self, ix: Ix, used: Ix) -> bool {
        let (task, target) = (&self.workflow.tasks[ix], &self.workflow.tasks[used]);
        let (here, there) = (outermost(self.workflow, ix), outermost(self.workflow, used));
        if target.finally && !task.finally {
            true
        } else if task.finally {
            target.finally && used >= ix
        } else if here == there {
            are_concurrent(self.workflow, ix, used) && !self.can_return_to(here)
        } else if !self.can_run(there) && !self.can_run(used) {
            true
        } else if there < here || self.searches == 0 {
            // Earlier in the file is the ordinary case.
            false
        } else {
            self.searches -= 1;
            !leads_to(self.graph, there, here)
        }
    }

    /// Whether the flow can come back to the task, with a result from the last visit.
    fn can_return_to(&mut self, ix: Ix) -> bool {
        let next: Vec<Node> = [node(ix, false), node(ix, true)]
            .into_iter()
            .filter(|n| self.reached[*n])
            .flat_map(|n| self.graph.edges_from(n))
            .filter_map(|e| e.to.node())
            .collect();
        match self.searches.checked_sub(1) {
            Some(left) => self.searches = left,
            None => return true,
        }
        let seen = self.graph.reachable(&next);
        seen[node(ix, false)] || seen[node(ix, true)]
    }

    fn can_run(&self, ix: Ix) -> bool {
        self.reached[node(ix, false)] || self.reached[node(ix, true)]
    }

    /// The last jump of a path to the task that avoids the used task.
    ///
    /// Failure handlers and final tasks expect that only a part of the tasks has run,
    /// and conditions can well ask about a task that was jumped over.
    fn jumped_over_by(&mut self, ix: Ix, used: &ResultUse) -> Option<Ix> {
        let task = &self.workflow.tasks[ix];
        let (here, there) = (
            outermost(self.workflow, ix),
            outermost(self.workflow, used.task),
        );
        if here == there
            || task.finally
            || !self.reached[node(here, false)]
            || is_in(task, used, &CONDITION_KEYS)
            || self.dominators.as_ref()?.dominates(there, here)
        {
            return None;
        }
        self.find_paths_around(there, used.task)?;
        let (_, paths) = self.paths.as_ref()?;
        // Follow the path back to its last jump.
        let mut at = node(here, false);
        loop {
            let before = paths[at]?;
            if before == at {
                return None;
            }
            let jumps = self.graph.edges_from(before).iter();
            if jumps.clone().any(|e| e.jump && e.to == To::Node(at))
                && !jumps.clone().any(|e| !e.jump && e.to == To::Node(at))
            {
                return Some(task_of(before));
            }
            at = before;
        }
    }

    /// Warns of a needed result that can be missing although its task is not jumped
    /// over: in a handler, in a final task, of a task that may be left out.
    fn may_be_missing(
        &mut self,
        ix: Ix,
        used: &ResultUse,
        diagnostics: &mut DiagnosticList,
    ) -> bool {
        let workflow = self.workflow;
        let (task, target) = (&workflow.tasks[ix], &workflow.tasks[used.task]);
        let failures = self.failures_before(ix, used.task);
        let why = if !failures.is_empty() {
            format!("has not run if task {} fails", ids(workflow, &failures))
        } else if let Some(limit) = self.limit_on_starts(ix, used.task) {
            format!("is not started if `{limit}` ends its block first")
        } else if task.finally && workflow.first() != Some(outermost(workflow, used.task)) {
            "has not run if the run ends before it".into()
        } else if let Some(block) = self.branch_of(ix, used.task) {
            format!(
                "runs only in one branch of task {}",
                workflow.tasks[block].id
            )
        } else if target.condition.is_some() && task.condition.is_none() && ix != used.task {
            "is skipped if its condition is false".into()
        } else if self.is_lost_with_host(ix, used.task) {
            "is missing if its host is not reached".into()
        } else {
            return false;
        };
        let message = format!(
            "task {} needs a result of task {}, which {why}",
            task.id, target.id
        );
        let jumps = failures.iter().map(|jump| {
            let jump = &workflow.tasks[*jump];
            jump.first_key_span(&["goto", "on_failure"])
        });
        let warning = diagnostics.warning(used.at, message);
        jumps
            .take(1)
            .fold(warning, |w, at| w.also(at, "the jump"))
            .help(WAYS_OUT);
        true
    }

    /// Whether the flow leads to the task although the host of the used one was not
    /// reached.
    fn is_lost_with_host(&mut self, ix: Ix, used: Ix) -> bool {
        let (workflow, task) = (self.workflow, &self.workflow.tasks[used]);
        let is_local = match &workflow.recipes[used] {
            Recipe::Ready { exec, .. } => exec.is_local(),
            // A block has its own result, whatever becomes of its hosts.
            Recipe::None | Recipe::Late => true,
        };
        let Some(left) = self
            .searches
            .checked_sub(1)
            .filter(|_| !is_local && !task.is_block())
        else {
            return false;
        };
        self.searches = left;
        let outermost_used = outermost(workflow, used);
        let fails = |edge: &&Edge| edge.case != Case::True || !can_be_false(task);
        let next: Vec<Node> = [node(outermost_used, false), node(outermost_used, true)]
            .into_iter()
            .filter(|n| self.reached[*n])
            .flat_map(|n| self.graph.edges_from(n).iter().filter(fails))
            .filter_map(|e| e.to.node())
            .collect();
        let here = outermost(workflow, ix);
        let seen = self.graph.reachable(&next);
        here != outermost_used && (seen[node(here, false)] || seen[node(here, true)])
    }

    /// The conditional block in which the used task is on one branch, if the other
    /// task is outside of it.
    fn branch_of(&self, ix: Ix, used: Ix) -> Option<Ix> {
        if outermost(self.workflow, ix) == outermost(self.workflow, used) {
            return None;
        }
        let (block, _) = self.workflow.owner_of(used)?;
        matches!(self.workflow.tasks[block].kind, TaskKind::Conditional(_)).then_some(block)
    }

    /// The key that can end the block of the used task before that task has started,
    /// if the other one is a handler or a final task outside of the block.
    fn limit_on_starts(&self, ix: Ix, used: Ix) -> Option<&'static str> {
        let here = outermost(self.workflow, ix);
        let is_outside = here != outermost(self.workflow, used);
        if !is_outside || !(self.workflow.tasks[ix].finally || self.reached[node(here, true)]) {
            return None;
        }
        let subtasks = owners(self.workflow, used);
        let blocks = owners(self.workflow, used).skip(1);
        subtasks
            .zip(blocks)
            .find_map(|(subtask, block)| limit_before(&self.workflow.tasks[block], subtask))
    }

    /// The tasks whose failure leads to a handler although the used task has not run.
    fn failures_before(&mut self, ix: Ix, used: Ix) -> Vec<Ix> {
        let (here, there) = (outermost(self.workflow, ix), outermost(self.workflow, used));
        let dominates = |d: &Dominators| d.dominates(there, here);
        if here == there
            || !self.reached[node(here, true)]
            || self.dominators.as_ref().is_none_or(dominates)
            || self.find_paths_around(there, used).is_none()
            || self.searches == 0
        {
            return Vec::new();
        }
        self.searches -= 1;
        let Some((_, paths)) = self.paths.as_ref() else {
            return Vec::new();
        };
        let before = self.before.get_or_insert_with(|| self.graph.reversed());
        let mut seen = vec![false; before.len()];
        let mut waiting = vec![node(here, true)];
        let mut failures = Vec::new();
        while let Some(at) = waiting.pop() {
            for from in &before[at] {
                if paths[*from].is_none() || std::mem::replace(&mut seen[*from], true) {
                    continue;
                }
                match *from == node(task_of(*from), true) {
                    true => waiting.push(*from),
                    false => failures.push(task_of(*from)),
                }
            }
        }
        failures.sort_unstable();
        failures
    }

    /// Sets `paths` to the paths around the task; `None` after too many searches.
    fn find_paths_around(&mut self, task: Ix, member: Ix) -> Option<()> {
        if self.paths.as_ref().is_none_or(|(of, _)| *of != task) {
            self.searches = self.searches.checked_sub(1)?;
            self.paths = Some((task, self.paths_around(task, member)));
        }
        Some(())
    }

    /// For every node that the flow can reach without the task (or the member of it
    /// that is a jump target), the node before it on a path; the start has itself.
    fn paths_around(&self, task: Ix, member: Ix) -> Vec<Option<Node>> {
        let mut from = vec![None; self.reached.len()];
        let Some(first) = self.workflow.first() else {
            return from;
        };
        let start = node(first, self.workflow.is_handler(first));
        let mut waiting = vec![(start, start)];
        while let Some((at, before)) = waiting.pop() {
            if from[at].is_some() || [task, member].contains(&task_of(at)) {
                continue;
            }
            from[at] = Some(before);
            let next = self.graph.edges_from(at).iter().filter_map(|e| e.to.node());
            waiting.extend(next.map(|next| (next, at)));
        }
        from
    }
}

/// The key of a parallel block that can end it before this subtask has started.
fn limit_before(block: &Task, subtask: Ix) -> Option<&'static str> {
    let TaskKind::Parallel(parallel) = &block.kind else {
        return None;
    };
    let Members::Tasks(subtasks) = &parallel.members else {
        return None;
    };
    // The first one always starts, as do those that start together with it.
    let before = subtasks.iter().position(|ix| *ix == subtask)? as u64;
    let is_braked = !matches!(parallel.fail_fast, None | Some(Deferrable::Known(None)));
    let has_slot =
        matches!(parallel.max_parallel, Some(Deferrable::Known(slots)) if before < slots.into());
    let in_first_wave = match &parallel.waves {
        None => true,
        Some(Deferrable::Known(waves)) => {
            matches!(waves.first(), Some(Wave::Count(size)) if before < *size)
        }
        Some(Deferrable::Deferred { .. }) => false,
    };
    let is_timed = parallel.block_timeout.is_some() && !has_slot;
    let timeout = match block.has_key("block_timeout") {
        true => "block_timeout",
        false => "timeout",
    };
    [
        ("fail_fast", is_braked),
        ("waves", !in_first_wave),
        (timeout, is_timed),
    ]
    .into_iter()
    .find(|(_, ends)| *ends && before > 0)
    .map(|(key, _)| key)
}

/// The dominators among tasks, with both nodes of a task merged. A path that passes
/// through a task here also does in the graph, so that most uses need no search.
fn dominators(workflow: &Workflow, graph: &Graph, reached: &[bool]) -> Option<Dominators> {
    let next: Vec<Vec<usize>> = (0..workflow.tasks.len())
        .map(|ix| {
            let nodes = [node(ix, false), node(ix, true)];
            let edges = nodes.into_iter().filter(|n| reached[*n]);
            edges
                .flat_map(|n| graph.edges_from(n))
                .filter_map(|e| e.to.node().map(task_of))
                .collect()
        })
        .collect();
    Dominators::new(&next, workflow.first()?, STEPS / 4)
}

/// The task, the block that owns it, the block that owns that, and so on.
fn owners(workflow: &Workflow, ix: Ix) -> impl Iterator<Item = Ix> {
    let owner = |ix: &Ix| workflow.owner_of(*ix).map(|(block, _)| block);
    std::iter::successors(Some(ix), owner).take(workflow.tasks.len().min(64))
}

/// The task of the main line that contains the task, or the task itself.
fn outermost(workflow: &Workflow, ix: Ix) -> Ix {
    owners(workflow, ix).last().unwrap_or(ix)
}

/// Whether neither of two tasks of one block can finish before the other begins.
fn are_concurrent(workflow: &Workflow, ix: Ix, used: Ix) -> bool {
    match (workflow.owner_of(ix), workflow.owner_of(used)) {
        // Two subtasks of one parallel block run at the same time.
        (Some((a, false)), Some((b, false))) if a == b => !is_check(workflow, a, ix),
        _ => false,
    }
}

fn is_check(workflow: &Workflow, block: Ix, ix: Ix) -> bool {
    matches!(&workflow.tasks[block].kind, TaskKind::Parallel(p) if p.wave_check == Some(ix))
}

fn leads_to(graph: &Graph, from: Ix, to: Ix) -> bool {
    let seen = graph.reachable(&[node(from, false), node(from, true)]);
    seen[node(to, false)] || seen[node(to, true)]
}
