//! The structure of the tasks (SPEC §3): which block owns which task, what comes
//! next, which tasks are failure handlers. In a checked workflow every jump and
//! every member is valid.
#![forbid(unsafe_code)]

use super::recipe::Recipe;
use crate::task::build::TaskFile;
use crate::task::globals::GlobalTable;
use crate::task::host_files::HostFiles;
use crate::task::{Ix, ResultUse, Task, TaskKind};
use crate::text::diagnostic::{Category, DiagnosticList, Found};
use crate::text::nearest::suggestion;

pub struct Workflow {
    /// In id order; an `Ix` is an index into it.
    pub tasks: Vec<Task>,
    pub globals: GlobalTable,
    pub host_files: HostFiles,
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
    /// Whether that is a conditional block, whose subtasks can route and be jumped to.
    conditional: bool,
}

impl Workflow {
    /// Checks the structure; what is wrong is reported and left out. `recipes` holds
    /// one for each task of the file.
    pub fn new(file: TaskFile, recipes: Vec<Recipe>, diagnostics: &mut DiagnosticList) -> Workflow {
        diagnostics.begin_category(Category::Dependency);
        let owners = owners(&file.tasks, diagnostics);
        check_nesting(&file.tasks, &owners, diagnostics);
        diagnostics.begin_category(Category::Flow);
        for (ix, task) in file.tasks.iter().enumerate() {
            check_member(&file.tasks, ix, owners[ix], diagnostics);
            check_targets(&file.tasks, task, &owners, diagnostics);
            check_final(&file.tasks, task, owners[ix], diagnostics);
            check_on_resume(&file.tasks, task, owners[ix], diagnostics);
            check_uses(&file.tasks, ix, diagnostics);
        }
        check_beginning(&file.tasks, &owners, diagnostics);
        let next = next_on_main_line(&file.tasks, &owners);
        let handlers = handlers(&file.tasks, &owners);
        let TaskFile {
            tasks,
            globals,
            host_files,
            ..
        } = file;
        Workflow {
            tasks,
            globals,
            host_files,
            recipes,
            owners,
            handlers,
            next,
        }
    }

    /// The first task of the main line.
    pub fn first(&self) -> Option<Ix> {
        first_task(&self.tasks, &self.owners)
    }

    /// The next task of the main line, even if it is a handler.
    pub fn next_of(&self, ix: Ix) -> Option<Ix> {
        self.next[ix]
    }

    /// Whether the task belongs to no block and is not a final task.
    pub fn is_main_line(&self, ix: Ix) -> bool {
        is_main_line(&self.tasks, &self.owners, ix)
    }

    /// Whether only a failure leads to the task (SPEC §3.2, rule 6).
    pub fn is_handler(&self, ix: Ix) -> bool {
        self.handlers[ix]
    }

    /// The block that owns the task, and whether that is a conditional block.
    pub fn owner_of(&self, ix: Ix) -> Option<(Ix, bool)> {
        self.owners[ix].map(|o| (o.block, o.conditional))
    }

    /// Whether the task belongs to the block, at any depth.
    pub fn is_inside(&self, mut ix: Ix, block: Ix) -> bool {
        while let Some((owner, _)) = self.owner_of(ix) {
            if owner == block {
                return true;
            }
            ix = owner;
        }
        false
    }

    pub fn finals(&self) -> impl Iterator<Item = Ix> + '_ {
        (0..self.tasks.len()).filter(|ix| self.tasks[*ix].finally)
    }

    /// The task with that id or name, as given by the user.
    ///
    /// # Errors
    /// There is no such task; the message suggests the nearest name.
    pub fn resolve_task(&self, word: &str) -> Result<Ix, String> {
        self.find(word).ok_or_else(|| {
            let names = self.tasks.iter().filter_map(|t| t.name.as_deref());
            format!(
                "there is no task {}{}",
                Found(word),
                suggestion(word, names)
            )
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

fn first_task(tasks: &[Task], owners: &[Option<Owner>]) -> Option<Ix> {
    (0..tasks.len()).find(|ix| is_main_line(tasks, owners, *ix))
}

fn is_main_line(tasks: &[Task], owners: &[Option<Owner>], ix: Ix) -> bool {
    owners[ix].is_none() && !tasks[ix].finally
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
                            "task {} is listed twice in block {}",
                            tasks[member].id, task.id
                        ),
                        false => format!(
                            "task {} belongs to two blocks, {} and {}",
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
    task.first_key_span(&["tasks", "if_true_tasks", "if_false_tasks"])
}

/// How deep blocks can be nested.
const MAX_NESTING: usize = 50;

/// A block must not contain itself, and nesting must stay readable.
fn check_nesting(tasks: &[Task], owners: &[Option<Owner>], diagnostics: &mut DiagnosticList) {
    // The nesting depth of each task, once it is known.
    let mut depths: Vec<Option<usize>> = vec![None; tasks.len()];
    for start in 0..tasks.len() {
        let mut path = Vec::new();
        let mut at = start;
        while depths[at].is_none() && !path.contains(&at) && path.len() <= MAX_NESTING {
            path.push(at);
            match owners[at] {
                Some(owner) => at = owner.block,
                None => break,
            }
        }
        if let Some(from) = path.iter().position(|ix| *ix == at && owners[at].is_some()) {
            report_cycle(tasks, &path[from..], diagnostics);
            depths[at] = Some(0);
        }
        for ix in path.into_iter().rev() {
            let above = owners[ix].and_then(|o| depths[o.block]);
            let depth = above.map_or(0, |d| d + 1);
            if depth == MAX_NESTING {
                diagnostics.error(
                    tasks[ix].at,
                    format!("blocks are nested more than {MAX_NESTING} deep"),
                );
            }
            depths[ix].get_or_insert(depth);
        }
    }
}

/// Reports a cycle of blocks; the last block of the path owns the first.
fn report_cycle(tasks: &[Task], path: &[Ix], diagnostics: &mut DiagnosticList) {
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

/// A subtask of a parallel block cannot route and cannot be a block (SPEC §3.5).
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
    for key in ROUTING_KEYS {
        if let Some(at) = task.find_key(key) {
            let message = format!(
                "task {} is {what} of the parallel block {} and cannot route: `{key}`",
                task.id, block.id
            );
            diagnostics.error(at, message).also(block.at, "the block");
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
            "on_failure" if task.has_key(key) => task.routing.on_failure,
            "goto" if task.has_key(key) => task.routing.goto.or(task.routing.on_failure),
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
        // A final task cannot jump at all, which is reported as such.
        let outside = !task.in_finals;
        if outside && tasks[target].in_finals && owners[target].is_none_or(|o| o.conditional) {
            let what = match tasks[target].finally {
                true => "is a final task",
                false => "runs with the final tasks",
            };
            diagnostics
                .error(
                    task.key_span(key),
                    format!("task {id} {what} and cannot be jumped to"),
                )
                .also(tasks[target].at, "the task");
        }
    }
}

/// A run needs a task to begin with.
fn check_beginning(tasks: &[Task], owners: &[Option<Owner>], diagnostics: &mut DiagnosticList) {
    if let Some(first) = tasks.first()
        && first_task(tasks, owners).is_none()
        && !diagnostics.has_errors()
    {
        diagnostics.error(
            first.at,
            "there is no task to begin with: each one belongs to a block or is a final task",
        );
    }
}

/// The keys that say where the flow goes next.
const ROUTING_KEYS: [&str; 6] = ["next", "goto", "on_success", "on_failure", "loop", "return"];

/// A final task cannot belong to a block, and neither it nor what it owns can route
/// (SPEC §3.7).
fn check_final(
    tasks: &[Task],
    task: &Task,
    owner: Option<Owner>,
    diagnostics: &mut DiagnosticList,
) {
    if task.finally && owner.is_some() {
        diagnostics.error(
            task.key_span("finally"),
            format!(
                "task {} belongs to a block and cannot be a final task",
                task.id
            ),
        );
    }
    // The subtasks of a parallel block are checked as such.
    if !task.in_finals || owner.is_some_and(|owner| !owner.conditional) {
        return;
    }
    let block = owner.map(|owner| &tasks[owner.block]);
    let what = match block {
        Some(block) => format!("runs with the final tasks, in block {},", block.id),
        None => "is a final task".to_string(),
    };
    for key in ROUTING_KEYS {
        let Some(at) = task.find_key(key) else {
            continue;
        };
        let message = format!("task {} {what} and cannot route: `{key}`", task.id);
        let error = diagnostics.error(at, message);
        if let Some(block) = block {
            error.also(block.at, "the block");
        }
    }
}

/// Only what the flow itself runs is run again after final tasks: a block as a whole,
/// and a final task whenever a run ends (SPEC §3.7).
fn check_on_resume(
    tasks: &[Task],
    task: &Task,
    owner: Option<Owner>,
    diagnostics: &mut DiagnosticList,
) {
    let Some(at) = task.find_key("on_resume") else {
        return;
    };
    let block = owner.map(|owner| &tasks[owner.block]);
    let (why, help) = match (block, owner) {
        _ if task.in_finals => (
            format!("task {} runs whenever the run ends", task.id),
            "leave it out: it is for a task whose work a final task undoes".to_string(),
        ),
        (
            Some(block),
            Some(Owner {
                conditional: false, ..
            }),
        ) => (
            format!("task {} runs only as a part of block {}", task.id, block.id),
            format!("give it to block {}", block.id),
        ),
        _ => return,
    };
    let message = format!("{why}: `on_resume` would protect nothing here");
    let error = diagnostics.error(at, message).help(help);
    if let Some(block) = block {
        error.also(block.at, "the block");
    }
}

/// Only blocks have counts and host sets as fields, and a task has its own result
/// only where that is judged.
fn check_uses(tasks: &[Task], ix: Ix, diagnostics: &mut DiagnosticList) {
    for used in &tasks[ix].uses {
        if used.task == ix {
            check_own_use(&tasks[ix], used, diagnostics);
        }
        let target = &tasks[used.task];
        if used.field.is_block_only() && !target.is_block() {
            diagnostics
                .error(
                    used.at,
                    format!("task {} is not a block and has no such field", target.id),
                )
                .category(Category::Dependency)
                .also(target.at, "the task");
        }
    }
}

/// The keys that judge the task's own result.
const JUDGING_KEYS: [&str; 4] = ["success", "failure", "next", "loop_break"];

/// A task's reference to itself means the result that is judged or, in `return=`,
/// that was; elsewhere a loop has that of the iteration before (SPEC §2.1).
fn check_own_use(task: &Task, used: &ResultUse, diagnostics: &mut DiagnosticList) {
    let is_in = |key: &str| {
        let value = task.key_span(key);
        value != task.at && value.contains(used.at)
    };
    let has_output = task.command().is_some();
    let message = if JUDGING_KEYS.into_iter().any(is_in) {
        if has_output || used.field.is_block_only() {
            return;
        }
        format!("task {} runs no command and has no such result", task.id)
    } else if is_in("return") || task.repeat.is_some() {
        return;
    } else {
        format!(
            "task {} uses its own result, which does not exist before it has run",
            task.id
        )
    };
    diagnostics
        .error(used.at, message)
        .category(Category::Dependency);
}

fn next_on_main_line(tasks: &[Task], owners: &[Option<Owner>]) -> Vec<Option<Ix>> {
    let mut next = vec![None; tasks.len()];
    let mut following = None;
    for ix in (0..tasks.len()).rev() {
        next[ix] = following;
        if is_main_line(tasks, owners, ix) {
            following = Some(ix);
        }
    }
    next
}

/// The failure handlers: failure targets without a task whose id is one lower. The
/// task where a run begins is not one, since a failure that leads back to the start
/// begins the ordinary flow again. A conditional can own a handler.
fn handlers(tasks: &[Task], owners: &[Option<Owner>]) -> Vec<bool> {
    let mut handlers = vec![false; tasks.len()];
    let first = first_task(tasks, owners);
    for target in tasks.iter().filter_map(|t| t.routing.on_failure) {
        let follows = target > 0 && tasks[target - 1].id + 1 == tasks[target].id;
        let in_parallel = owners[target].is_some_and(|owner| !owner.conditional);
        handlers[target] = !follows && Some(target) != first && !in_parallel;
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
    use std::time::Duration;

    pub fn defaults() -> Defaults {
        Defaults {
            types: crate::plan::exec::ExecTypes::built_in(),
            max_parallel: 50,
            exec: None,
            timeout: Duration::from_secs(300),
            final_timeout: Duration::from_secs(60),
            kill_after: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(20),
            own_name: "here".into(),
            strict_env: false,
        }
    }

    /// The workflow of a file without errors.
    pub fn workflow(text: &str) -> Workflow {
        workflow_with(text, &defaults()).0
    }

    /// The same with these defaults, and its sources.
    pub fn workflow_with(text: &str, defaults: &Defaults) -> (Workflow, SourceMap) {
        let mut sources = SourceMap::default();
        let file = sources.add(Source::new("t", text.to_string()));
        let mut diagnostics = DiagnosticList::default();
        let lines = scan(file, sources.get(file), &mut diagnostics);
        let tasks = build(
            &lines,
            &[],
            false,
            HostFiles::new(".".into(), 1),
            &sources,
            &mut diagnostics,
        );
        let recipes = recipe::prepare(&tasks, defaults, &mut diagnostics);
        let workflow = Workflow::new(tasks, recipes, &mut diagnostics);
        assert!(!diagnostics.has_errors(), "{}", diagnostics.draw(&sources));
        (workflow, sources)
    }
}
