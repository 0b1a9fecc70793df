//! The dry run: what would run, in order, as a person reads it (SPEC §6.1).
#![forbid(unsafe_code)]

use super::exec::{Arg, ExecType, Way};
use super::recipe::{Defaults, Payload, Recipe};
use super::workflow::Workflow;
use crate::task::nodeset::{self, Selection};
use crate::task::{Conditional, Ix, Kind, Late, Members, Next, Parallel, Task};
use crate::text::diagnostic::{Count, printable};
use crate::text::duration;
use crate::text::quote;
use crate::text::script::{Script, variable};
use crate::text::template::{Piece, Template};
use std::fmt::Write;
use std::time::Duration;

/// The whole listing.
pub fn list(workflow: &Workflow, defaults: &Defaults, selection: &Selection, file: &str) -> String {
    let mut lister = Lister {
        workflow,
        defaults,
        selection,
        out: String::new(),
    };
    let _ = writeln!(
        lister.out,
        "{}: {}; dry run, nothing is executed (-r runs it)",
        printable(file),
        Count(workflow.tasks.len(), "task")
    );
    let main: Vec<Ix> = (0..workflow.tasks.len())
        .filter(|ix| workflow.is_main_line(*ix))
        .collect();
    let (handlers, line): (Vec<Ix>, Vec<Ix>) =
        main.into_iter().partition(|ix| workflow.is_handler(*ix));
    line.iter().for_each(|ix| lister.task(*ix, 0));
    lister.part("failure handlers, entered only by a failure", &handlers);
    lister.part(
        "final tasks, run whenever the run ends",
        &workflow.finals().collect::<Vec<_>>(),
    );
    lister.out
}

struct Lister<'a> {
    workflow: &'a Workflow,
    defaults: &'a Defaults,
    /// What `--limit` and `--exclude` leave of blocks over hosts.
    selection: &'a Selection,
    out: String,
}

impl Lister<'_> {
    fn part(&mut self, heading: &str, tasks: &[Ix]) {
        if !tasks.is_empty() {
            let _ = writeln!(self.out, "\n{heading}:");
            tasks.iter().for_each(|ix| self.task(*ix, 0));
        }
    }

    fn line(&mut self, depth: usize, text: &str) {
        let _ = writeln!(
            self.out,
            "{}      {}",
            "    ".repeat(depth),
            printable(text)
        );
    }

    fn task(&mut self, ix: Ix, depth: usize) {
        let task = &self.workflow.tasks[ix];
        let mut head = task.title.shown(None);
        if let Some(name) = task.name.as_ref().filter(|n| **n != head) {
            head = format!("[{name}] {head}");
        }
        let line = format!(
            "{}{:>4}  {}",
            "    ".repeat(depth),
            task.id,
            printable(head.trim_end())
        );
        let _ = writeln!(self.out, "{}", line.trim_end());
        match &task.kind {
            Kind::Command(_) => self.command(ix, depth),
            Kind::Parallel(parallel) => self.parallel(ix, parallel, depth),
            Kind::Conditional(conditional) => self.conditional(conditional, depth),
            Kind::Decision => self.line(depth, "decision"),
            Kind::Bare => {}
        }
        if task.condition.is_some() {
            self.line(depth, "only if its condition holds");
        }
        let limits = self.limits(task);
        if !limits.is_empty() {
            self.line(depth, &limits);
        }
        let route = self.route(ix);
        if !route.is_empty() {
            self.line(depth, &route);
        }
    }

    fn command(&mut self, ix: Ix, depth: usize) {
        let task = &self.workflow.tasks[ix];
        let Some(command) = task.command() else {
            return;
        };
        let host = command.hostname.as_ref().map(|h| h.shown(None));
        let (exec, words) = match &self.workflow.recipes[ix] {
            Recipe::Ready { exec, payload } => (
                exec.name().to_string(),
                words(exec, payload, host.as_deref().unwrap_or("{hostname}")),
            ),
            _ => {
                let exec = command
                    .exec
                    .as_ref()
                    .map_or("type known in the run".into(), |e| e.shown(None));
                let arguments = command
                    .arguments
                    .as_ref()
                    .map_or(String::new(), |a| format!(" {}", a.shown(None)));
                (exec, format!("{}{arguments}", command.command.shown(None)))
            }
        };
        let at = host.map_or(String::new(), |h| format!("{h}, "));
        let timeout = match &command.timeout {
            Some(Late::Known(timeout)) => duration::setting(*timeout),
            Some(Late::Later { value, .. }) => value.shown(None),
            None if task.finally => duration::setting(Duration::from_secs(60)),
            None => duration::setting(self.defaults.timeout),
        };
        self.line(depth, &format!("{at}{exec}, timeout {timeout}"));
        self.line(depth, &format!("$ {words}"));
    }

    fn parallel(&mut self, ix: Ix, parallel: &Parallel, depth: usize) {
        let at_once = match &parallel.max_parallel {
            Some(Late::Known(n)) => format!("at most {n} at once"),
            Some(Late::Later { value, .. }) => format!("at most {} at once", value.shown(None)),
            None => format!("at most {} at once", self.defaults.max_parallel),
        };
        match &parallel.members {
            Members::Tasks(tasks) => {
                self.line(depth, &format!("parallel, {at_once}:"));
                for member in tasks {
                    self.task(*member, depth + 1);
                }
            }
            Members::Hosts { set, .. } => {
                let on = self.hosts(set);
                self.line(depth, &format!("parallel, {at_once}, on each of {on}"));
                self.command(ix, depth);
            }
        }
        if let Some(check) = parallel.wave_check {
            self.line(depth, "between waves:");
            self.task(check, depth + 1);
        }
    }

    /// A node set; where it is known, what the command line leaves of it.
    fn hosts(&self, set: &Template) -> String {
        let written = set.shown(None);
        let known = set
            .known_text()
            .and_then(|t| nodeset::expand(&t, &self.workflow.directory).ok());
        let Some(mut known) = known else {
            return written;
        };
        let all = known.hosts.len();
        known.hosts.retain(|h| self.selection.allows(h));
        match known.hosts.len() {
            left if left == all => written,
            left => format!(
                "{} ({left} of {all}, as the command line says)",
                nodeset::fold(&known.hosts)
            ),
        }
    }

    fn conditional(&mut self, conditional: &Conditional, depth: usize) {
        for (heading, branch) in [
            ("if its condition holds:", &conditional.if_true),
            ("otherwise:", &conditional.if_false),
        ] {
            let Some(branch) = branch else { continue };
            self.line(depth, heading);
            for member in branch {
                self.task(*member, depth + 1);
            }
        }
    }

    fn limits(&self, task: &Task) -> String {
        let mut parts = Vec::new();
        match &task.retry.count {
            Late::Known(0) => {}
            Late::Known(n) => parts.push(format!("up to {}", Count(*n as usize, "more attempt"))),
            Late::Later { value, .. } => {
                parts.push(format!("up to {} more attempts", value.shown(None)))
            }
        }
        match task.repeat.as_ref().map(|r| &r.count) {
            Some(Late::Known(n)) => parts.push(format!("loops {n} times at most")),
            Some(Late::Later { value, .. }) => {
                parts.push(format!("loops {} times at most", value.shown(None)))
            }
            None => {}
        }
        if let Some(Late::Known(sleep)) = &task.sleep {
            parts.push(format!("then sleeps {}", duration::setting(*sleep)));
        }
        parts.join(", ")
    }

    fn route(&self, ix: Ix) -> String {
        let task = &self.workflow.tasks[ix];
        let id = |ix: Ix| self.workflow.tasks[ix].id;
        let mut parts = Vec::new();
        match &task.routing.next {
            Next::Never => parts.push("the run ends here".to_string()),
            Next::Always => parts.push("goes on even if it fails".to_string()),
            _ => {}
        }
        if let Some(to) = task.routing.on_success {
            parts.push(format!("on success goes to {}", id(to)));
        }
        if let Some(to) = task.routing.on_failure {
            parts.push(format!("on failure goes to {}", id(to)));
        }
        if let Some(to) = task.routing.goto {
            parts.push(format!("then goes to {}", id(to)));
        }
        if let Some(code) = &task.routing.return_ {
            let code = code.known().map_or("a result".into(), u8::to_string);
            parts.push(format!("returns {code}"));
        }
        parts.join("; ")
    }
}

/// The words as they would be executed; what the run decides is left as written.
fn words(exec: &ExecType, payload: &Payload, host: &str) -> String {
    let (of_command, of_arguments): (Vec<String>, Vec<String>) = match payload {
        Payload::Words { words, of_command } => {
            let own: Vec<String> = words.iter().map(shown_word).collect();
            (own[..*of_command].to_vec(), own[*of_command..].to_vec())
        }
        Payload::Script(script) => (vec![shown_script(exec, script)], Vec::new()),
    };
    let own = || {
        of_command
            .iter()
            .chain(&of_arguments)
            .cloned()
            .collect::<Vec<_>>()
            .join(" ")
    };
    match &exec.way {
        Way::Words | Way::Script => own(),
        Way::Ssh { .. } => format!("ssh {} {}", quote::word(host), own()),
        Way::Argv(args) => {
            let part = |arg: &Arg| match arg {
                Arg::Word(parts) => parts.iter().map(|p| p.as_deref().unwrap_or(host)).collect(),
                Arg::Command | Arg::Script => of_command.join(" "),
                Arg::Arguments => of_arguments.join(" "),
            };
            let shown: Vec<String> = args
                .iter()
                .map(part)
                .filter(|p: &String| !p.is_empty())
                .collect();
            shown.join(" ")
        }
    }
}

/// Quoted, unless only a reference makes it look as if it needed that.
fn shown_word(word: &Template) -> String {
    let literal: String = word
        .pieces
        .iter()
        .filter(|p| !matches!(p, Piece::Reference { .. }))
        .map(|p| {
            Template {
                pieces: vec![p.clone()],
            }
            .shown(None)
        })
        .collect();
    let text = word.shown(None);
    if !text.is_empty()
        && (literal.is_empty() || quote::word(&literal) == literal || word.has_secret())
    {
        text
    } else {
        quote::word(&text)
    }
}

/// The script with the values it uses, as a local shell gets it; elsewhere as
/// one word.
fn shown_script(exec: &ExecType, script: &Script) -> String {
    let values: String = script
        .values
        .iter()
        .enumerate()
        .map(|(i, v)| format!("{}={} ", variable(i + 1), v.shown(None)))
        .collect();
    let text = quote::word(&script.text.shown(None));
    match exec.way {
        Way::Script => format!("{values}/bin/bash -c {text}"),
        _ => format!("{values}{text}"),
    }
}
