//! How the tasks hang together (SPEC §3): who owns whom, what comes next, which
//! tasks are failure handlers. After this check every jump and member is good.
#![forbid(unsafe_code)]

use super::recipe::Recipe;
use crate::task::build::TaskFile;
use crate::task::globals::GlobalTable;
use crate::task::{Ix, Task, TaskKind};
use crate::text::diagnostic::{Category, DiagnosticList, Found};
use crate::text::nearest::did_you_mean;
use std::path::PathBuf;

pub struct Workflow {
    /// In id order; an `Ix` is a place in it.
    pub tasks: Vec<Task>,
    pub globals: GlobalTable,
    /// Where relative `file:` paths of node sets begin.
    pub directory: PathBuf,
    /// How each task's command would be run.
    pub recipes: Vec<Recipe>,
    owners: Vec<Option<Owner>>,
    handlers: Vec<bool>,
    next: Vec<Option<Ix>>,
}

/// The block a task belongs to.
#[derive(Clone, Copy, PartialEq)]
struct Owner {
    block: Ix,
    /// A conditional's subtask may route and be jumped to.
    conditional: bool,
}

impl Workflow {
    /// Checks the structure; what is wrong is reported and left out. `recipes` has
    /// one for each task of the file.
    pub fn new(file: TaskFile, recipes: Vec<Recipe>, diagnostics: &mut DiagnosticList) -> Workflow {
        diagnostics.begin_category(Category::Dependency);
        let owners = owners(&file.tasks, diagnostics);
        check_nesting(&file.tasks, &owners, diagnostics);
        diagnostics.begin_category(Category::Flow);
        for (ix, task) in file.tasks.iter().enumerate() {
            check_member(&file.tasks, ix, owners[ix], diagnostics);
            check_targets(&file.tasks, task, &owners, diagnostics);
            check_final(task, owners[ix], diagnostics);
            check_uses(&file.tasks, task, diagnostics);
        }
        check_beginning(&file.tasks, &owners, diagnostics);
        let next = next_on_main_line(&file.tasks, &owners);
        let handlers = handlers(&file.tasks, &owners);
        let TaskFile {
            tasks,
            globals,
            directory,
        } = file;
        Workflow {
            tasks,
            globals,
            directory,
            recipes,
            owners,
            handlers,
            next,
        }
    }

    /// The first task of the main line.
    pub fn first(&self) -> Option<Ix> {
        (0..self.tasks.len()).find(|ix| self.is_main_line(*ix))
    }

    /// Where a fall-through from the task leads, were it no handler.
    pub fn next_of(&self, ix: Ix) -> Option<Ix> {
        self.next[ix]
    }

    /// Owned by no block and no final task.
    pub fn is_main_line(&self, ix: Ix) -> bool {
        self.owners[ix].is_none() && !self.tasks[ix].finally
    }

    /// A task that only a failure leads to (SPEC §3.2, rule 6).
    pub fn is_handler(&self, ix: Ix) -> bool {
        self.handlers[ix]
    }

    /// The block that owns the task, and whether that is a conditional.
    pub fn owner_of(&self, ix: Ix) -> Option<(Ix, bool)> {
        self.owners[ix].map(|o| (o.block, o.conditional))
    }

    pub fn finals(&self) -> impl Iterator<Item = Ix> + '_ {
        (0..self.tasks.len()).filter(|ix| self.tasks[*ix].finally)
    }

    /// The task with that id or name, which somebody asked for.
    ///
    /// # Errors
    /// That there is none, with the nearest name.
    pub fn resolve_task(&self, word: &str) -> Result<Ix, String> {
        self.find(word).ok_or_else(|| {
            let names = self.tasks.iter().filter_map(|t| t.name.as_deref());
            let near = did_you_mean(word, names);
            let semicolon = if near.is_empty() { "" } else { "; " };
            format!("there is no task {}{semicolon}{near}", Found(word))
        })
    }

    /// The task with that id or name.
    pub fn find(&self, word: &str) -> Option<Ix> {
        let by_id = word
            .parse::<u32>()
            .ok()
            .and_then(|id| self.tasks.binary_search_by_key(&id, |t| t.id).ok());
        by_id.or_else(|| {
            self.tasks
                .iter()
                .position(|t| t.name.as_deref() == Some(word))
        })
    }
}

fn owners(tasks: &[Task], diagnostics: &mut DiagnosticList) -> Vec<Option<Owner>> {
    let mut owners: Vec<Option<Owner>> = vec![None; tasks.len()];
    for (block, task) in tasks.iter().enumerate() {
        let conditional = matches!(task.kind, TaskKind::Conditional(_));
        for member in task.owned_tasks() {
            match owners[member] {
                None => owners[member] = Some(Owner { block, conditional }),
                // Both branches may name a task: only one of them is taken.
                Some(first) if first.block == block && conditional => {}
                Some(first) => {
                    let message = match first.block == block {
                        true => format!(
                            "task {} stands twice in block {}",
                            tasks[member].id, task.id
                        ),
                        false => format!(
                            "task {} belongs to the blocks {} and {}",
                            tasks[member].id, tasks[first.block].id, task.id
                        ),
                    };
                    let error = diagnostics.error(members_place(task), message);
                    if first.block == block {
                        error.also(tasks[member].at, "this task");
                    } else {
                        error.also(members_place(&tasks[first.block]), "the first block");
                    }
                }
            }
        }
    }
    owners
}

/// The place where a block lists its members.
fn members_place(task: &Task) -> crate::text::source::Span {
    let key = ["tasks", "if_true_tasks", "if_false_tasks"]
        .into_iter()
        .find(|k| task.written.iter().any(|(w, _)| w == k));
    key.map_or(task.at, |k| task.key_span(k))
}

/// How deep blocks may stand in each other.
const DEEPEST: usize = 50;

/// A block must not contain itself, nor stand so deep that nobody follows.
fn check_nesting(tasks: &[Task], owners: &[Option<Owner>], diagnostics: &mut DiagnosticList) {
    // How deep each task stands, where that is known; each is worked out once.
    let mut depths: Vec<Option<usize>> = vec![None; tasks.len()];
    for start in 0..tasks.len() {
        let mut path = Vec::new();
        let mut at = start;
        while depths[at].is_none() && !path.contains(&at) && path.len() <= DEEPEST {
            path.push(at);
            match owners[at] {
                Some(owner) => at = owner.block,
                None => break,
            }
        }
        if let Some(from) = path.iter().position(|ix| *ix == at && owners[at].is_some()) {
            report_circle(tasks, &path[from..], diagnostics);
            depths[at] = Some(0);
        }
        for ix in path.into_iter().rev() {
            let above = owners[ix].and_then(|o| depths[o.block]);
            let depth = above.map_or(0, |d| d + 1);
            if depth == DEEPEST {
                diagnostics.error(
                    tasks[ix].at,
                    format!("blocks stand in each other more than {DEEPEST} deep"),
                );
            }
            depths[ix].get_or_insert(depth);
        }
    }
}

/// Says which blocks lead from the first, which is owned by the last, to itself.
fn report_circle(tasks: &[Task], path: &[Ix], diagnostics: &mut DiagnosticList) {
    let mut ids: Vec<String> = path.iter().map(|ix| tasks[*ix].id.to_string()).collect();
    ids.extend(ids.first().cloned());
    ids.reverse();
    let block = path.last().map_or(&tasks[path[0]], |ix| &tasks[*ix]);
    let message = match path {
        [_] => format!("block {} contains itself", block.id),
        _ => format!("these blocks contain each other: {}", ids.join(" -> ")),
    };
    diagnostics.error(members_place(block), message);
}

/// A subtask of a parallel block neither routes nor is a block (SPEC §3.5).
fn check_member(tasks: &[Task], ix: Ix, owner: Option<Owner>, diagnostics: &mut DiagnosticList) {
    let Some(owner) = owner.filter(|o| !o.conditional) else {
        return;
    };
    let (task, block) = (&tasks[ix], &tasks[owner.block]);
    let is_check = matches!(&block.kind, TaskKind::Parallel(p) if p.wave_check == Some(ix));
    let what = if is_check {
        "the wave_check"
    } else {
        "a subtask"
    };
    if task.is_block() {
        diagnostics.error(
            task.at,
            format!(
                "task {} is {what} of the parallel block {} and cannot be a block",
                task.id, block.id
            ),
        );
    }
    for key in ["next", "goto", "on_success", "on_failure", "loop", "return"] {
        if let Some((_, at)) = task.written.iter().find(|(k, _)| *k == key) {
            let message = format!(
                "task {} is {what} of the parallel block {} and cannot route: `{key}`",
                task.id, block.id
            );
            diagnostics.error(*at, message).also(block.at, "the block");
        }
    }
}

fn check_targets(
    tasks: &[Task],
    task: &Task,
    owners: &[Option<Owner>],
    diagnostics: &mut DiagnosticList,
) {
    for key in ["on_success", "on_failure", "goto"] {
        let target = match key {
            "on_success" => task.routing.on_success,
            "on_failure" if task.written.iter().any(|(k, _)| *k == "on_failure") => {
                task.routing.on_failure
            }
            "goto" if task.written.iter().any(|(k, _)| *k == "goto") => {
                task.routing.goto.or(task.routing.on_failure)
            }
            _ => None,
        };
        let Some(target) = target else { continue };
        let id = tasks[target].id;
        if let Some(owner) = owners[target].filter(|o| !o.conditional) {
            let message = format!(
                "task {id} belongs to the parallel block {} and cannot be jumped to",
                tasks[owner.block].id
            );
            diagnostics
                .error(task.key_span(key), message)
                .also(tasks[owner.block].at, "the block");
        }
        if tasks[target].finally {
            diagnostics
                .error(
                    task.key_span(key),
                    format!("task {id} is a final task and cannot be jumped to"),
                )
                .also(tasks[target].at, "the task");
        }
    }
}

/// A run must have a task to begin at.
fn check_beginning(tasks: &[Task], owners: &[Option<Owner>], diagnostics: &mut DiagnosticList) {
    let main = |ix: usize| owners[ix].is_none() && !tasks[ix].finally;
    if let Some(first) = tasks.first()
        && !(0..tasks.len()).any(main)
        && !diagnostics.has_errors()
    {
        diagnostics.error(
            first.at,
            "there is no task to begin at: every one belongs to a block or is a final task",
        );
    }
}

fn check_final(task: &Task, owner: Option<Owner>, diagnostics: &mut DiagnosticList) {
    if !task.finally {
        return;
    }
    if owner.is_some() {
        diagnostics.error(
            task.key_span("finally"),
            format!(
                "task {} belongs to a block and cannot be a final task",
                task.id
            ),
        );
    }
    for key in ["next", "goto", "on_success", "on_failure", "loop", "return"] {
        if let Some((_, at)) = task.written.iter().find(|(k, _)| *k == key) {
            diagnostics.error(
                *at,
                format!("task {} is a final task and cannot route: `{key}`", task.id),
            );
        }
    }
}

/// Counts and host sets are fields of blocks only.
fn check_uses(tasks: &[Task], task: &Task, diagnostics: &mut DiagnosticList) {
    for used in &task.uses {
        let target = &tasks[used.task];
        if used.field.is_block_only() && !target.is_block() {
            diagnostics
                .error(
                    used.at,
                    format!("task {} is no block and has no such field", target.id),
                )
                .category(Category::Dependency)
                .also(target.at, "the task");
        }
    }
}

fn next_on_main_line(tasks: &[Task], owners: &[Option<Owner>]) -> Vec<Option<Ix>> {
    let mut next = vec![None; tasks.len()];
    let mut following = None;
    for ix in (0..tasks.len()).rev() {
        next[ix] = following;
        if owners[ix].is_none() && !tasks[ix].finally {
            following = Some(ix);
        }
    }
    next
}

/// Failure targets whose id minus one is no task of the file. The task where a
/// run begins is none: nothing falls into it, and a failure that leads back to
/// the start begins the ordinary flow again.
fn handlers(tasks: &[Task], owners: &[Option<Owner>]) -> Vec<bool> {
    let mut handlers = vec![false; tasks.len()];
    let first = (0..tasks.len()).find(|ix| owners[*ix].is_none() && !tasks[*ix].finally);
    for target in tasks.iter().filter_map(|t| t.routing.on_failure) {
        let follows = target > 0 && tasks[target - 1].id + 1 == tasks[target].id;
        handlers[target] = !follows && Some(target) != first && owners[target].is_none();
    }
    handlers
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::plan::recipe::{self, Defaults};
    use crate::task::build::build;
    use crate::text::scanner::scan;
    use crate::text::source::{Source, SourceMap};
    use std::path::Path;
    use std::time::Duration;

    pub fn defaults() -> Defaults {
        Defaults {
            types: crate::plan::exec::ExecTypes::built_in(),
            max_parallel: 50,
            exec: None,
            timeout: Duration::from_secs(300),
            kill_after: Duration::from_secs(5),
            own_name: "here".into(),
            strict_env: false,
        }
    }

    /// The workflow of a file that must be good.
    pub fn workflow(text: &str) -> Workflow {
        let mut sources = SourceMap::default();
        let file = sources.add(Source::new("t", text.to_string()));
        let mut diagnostics = DiagnosticList::default();
        let lines = scan(file, sources.get(file), &mut diagnostics);
        let tasks = build(
            &lines,
            &[],
            false,
            Path::new("."),
            &sources,
            &mut diagnostics,
        );
        let recipes = recipe::prepare(&tasks.tasks, &defaults(), &mut diagnostics);
        let workflow = Workflow::new(tasks, recipes, &mut diagnostics);
        assert!(!diagnostics.has_errors(), "{}", diagnostics.draw(&sources));
        workflow
    }
}
