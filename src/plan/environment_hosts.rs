//! Host names that hold a value from the environment, or a secret, or stand in a host file
//! that somebody else's task file names (SPEC §6.2). To look a name up tells it to others,
//! so that it is done only for a file that is to be run, not for one that somebody looks
//! at.
#![forbid(unsafe_code)]

use super::hosts::exec_type;
use super::recipe::Defaults;
use super::workflow::Workflow;
use crate::task::globals::{Global, GlobalTable};
use crate::task::{Ix, Members, TaskKind, nodeset};
use crate::text::diagnostic::DiagnosticList;
use crate::text::source::SourceMap;
use crate::text::template::{Field, Piece, Template};
use std::collections::HashSet;
use std::ops::Range;

/// The hosts of a task that the environment or a secret names.
#[derive(Default)]
pub struct EnvironmentHosts(HashSet<String>);

impl EnvironmentHosts {
    pub fn of_task(workflow: &Workflow, sources: &SourceMap, ix: Ix) -> EnvironmentHosts {
        let ranges = |value| data_ranges(value, &workflow.globals, sources);
        let found = match &workflow.tasks[ix].kind {
            TaskKind::Command(command) => {
                let name = command.hostname.as_ref().map(ranges);
                let name = name.filter(|(_, ranges)| !ranges.is_empty());
                name.map(|(name, _)| name).into_iter().collect()
            }
            TaskKind::Parallel(parallel) => match &parallel.members {
                Members::Hosts { set, .. } => {
                    let (text, ranges) = ranges(set);
                    let mut found = nodeset::hosts_written_in(&text, &ranges);
                    if workflow.host_files.named_by_another {
                        found.extend(nodeset::hosts_of_files(&text, &workflow.host_files));
                    }
                    found
                }
                Members::Tasks(_) => HashSet::new(),
            },
            _ => HashSet::new(),
        };
        EnvironmentHosts(found)
    }

    pub fn contains(&self, host: &str) -> bool {
        self.0.contains(host)
    }
}

/// Warns of such hosts, where a run would look their names up, or all of them if hosts
/// are to be contacted.
pub fn check(
    workflow: &Workflow,
    defaults: &Defaults,
    contacts: bool,
    sources: &SourceMap,
    diagnostics: &mut DiagnosticList,
) {
    for (ix, task) in workflow.tasks.iter().enumerate() {
        let private = EnvironmentHosts::of_task(workflow, sources, ix);
        if private.0.is_empty() {
            continue;
        }
        let is_asked = |host: &str| {
            let exec = exec_type(workflow, defaults, ix, Some(host));
            exec.is_some_and(|exec| !exec.is_local() && (exec.resolves || contacts))
        };
        if !private.0.iter().any(|host| is_asked(host)) {
            continue;
        }
        let key = match task.is_over_hosts() {
            true => "hostnames",
            false => "hostname",
        };
        let message = match workflow.host_files.named_by_another {
            true => {
                "a host name holds a value from the environment or a secret, or stands in a host file that somebody else's task file names; a dry run does not ask DNS for it, since that would tell it to others"
            }
            false => {
                "a host name holds a value from the environment or a secret; a dry run does not ask DNS for it, since that would tell it to others"
            }
        };
        diagnostics
            .warning(task.key_span(key), message)
            .help("with -r it is resolved; a name that `--set` gives is resolved at once");
    }
}

/// The text of a value that does not depend on the run, and where in it secrets and
/// values from the environment are.
fn data_ranges(
    value: &Template,
    globals: &GlobalTable,
    sources: &SourceMap,
) -> (String, Vec<Range<usize>>) {
    let (mut text, mut ranges) = (String::new(), Vec::new());
    for piece in &value.pieces {
        let from = text.len();
        let is_data = match piece {
            Piece::Text {
                text: more,
                at,
                direct,
                secret,
            } => {
                text.push_str(more);
                *secret || !direct && is_number_from_environment(sources.snippet(*at), globals)
            }
            Piece::Data { bytes, .. } => {
                text.push_str(&String::from_utf8_lossy(bytes));
                true
            }
            Piece::Reference { .. } => false,
        };
        if is_data && text.len() > from {
            ranges.push(from..text.len());
        }
    }
    (text, ranges)
}

/// Whether it refers to a global as a number (`@NAME_number@`), which comes from the
/// environment.
fn is_number_from_environment(reference: &str, globals: &GlobalTable) -> bool {
    let field = reference.trim_matches('@').rsplit_once('_');
    let number = field.filter(|(_, field)| Field::from_name(field) == Some(Field::Number));
    let global = number.and_then(|(name, _)| globals.get(name));
    global.is_some_and(Global::is_from_environment)
}
