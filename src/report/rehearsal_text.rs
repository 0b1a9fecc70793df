//! What a rehearsal tells (SPEC §6.1): each task as it would end, each decision
//! and its reason.
#![forbid(unsafe_code)]

use super::safe_text;
use crate::outcome::Outcome;
use crate::run::event::{About, Event};
use crate::run::result::TaskResult;
use crate::task::nodeset;
use crate::text::duration;
use std::fmt::Write;

/// The story so far, a line for everything that happens.
#[derive(Default)]
pub struct Story {
    pub text: String,
}

impl Story {
    pub fn event(&mut self, event: &Event) {
        let out = &mut self.text;
        let _ = match event {
            Event::Finished { about, .. } if about.in_block => Ok(()),
            Event::Finished { about, result } => {
                writeln!(out, "{}: {}", headline(about), ended(result))
            }
            Event::BlockFinished { about, result } => {
                writeln!(out, "{}: {}", headline(about), block_ended(result))
            }
            Event::Skipped { about } => {
                writeln!(out, "{}: skipped, its condition is false", headline(about))
            }
            Event::Branch { about, holds, .. } => {
                writeln!(out, "{}: its condition is {holds}", headline(about))
            }
            Event::Retry {
                about,
                attempt,
                of,
                delay,
            } => writeln!(
                out,
                "  {}: retry {attempt} of {of} in {}",
                who(about),
                duration::setting(*delay)
            ),
            Event::Sleep { time, .. } => {
                writeln!(out, "  sleeps {}", duration::setting(*time))
            }
            Event::Routed { to, why, .. } => match to {
                Ok(id) => writeln!(out, "  -> task {id}: {}", safe_text::line(why)),
                Err(code) => writeln!(
                    out,
                    "  -> the end, exit code {code}: {}",
                    safe_text::line(why)
                ),
            },
            Event::Beat | Event::Asked => Ok(()),
            Event::Finals => writeln!(out, "final tasks"),
            Event::Warning { label: "", text } => {
                writeln!(out, "  warning: {}", safe_text::line(text))
            }
            Event::Warning { label, text } => {
                writeln!(out, "  warning: task {label}: {}", safe_text::line(text))
            }
            Event::Started { .. }
            | Event::Restored { .. }
            | Event::Block { .. }
            | Event::Debug { .. }
            | Event::Interrupted { .. } => Ok(()),
        };
    }
}

fn who(about: &About) -> String {
    format!("task {}", safe_text::who(about))
}

fn headline(about: &About) -> String {
    format!("{}{}", who(about), safe_text::titled(about))
}

fn ended(result: &TaskResult) -> String {
    match (result.outcome, result.exit) {
        (Outcome::Ok, 0) => "ok".into(),
        (outcome, exit) => format!("{outcome}, exit {exit}"),
    }
}

/// `failed (3 ok, 1 failed: web07)`
fn block_ended(result: &TaskResult) -> String {
    let mut parts = Vec::new();
    for outcome in Outcome::ALL {
        let names = result.members_with(&[outcome]);
        match (outcome, names.len()) {
            (_, 0) => {}
            (Outcome::Ok, n) => parts.push(format!("{n} ok")),
            (_, n) => parts.push(format!("{n} {outcome}: {}", nodeset::fold(&names))),
        }
    }
    if parts.is_empty() {
        parts.push("no subtasks".into());
    }
    format!("{} ({})", result.outcome, parts.join("; "))
}
