//! What a rehearsal prints (SPEC §6.1): how each task would end, and each decision
//! with its reason.
#![forbid(unsafe_code)]

use super::{endings, safe_text};
use crate::run::event::{About, Event};
use crate::text::duration;
use std::fmt::Write;

/// The text so far, a line for each event.
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
                writeln!(out, "{}: {}", headline(about), endings::task_end(result))
            }
            Event::BlockFinished { about, result } => {
                writeln!(
                    out,
                    "{}: {}",
                    headline(about),
                    endings::block_end_with_names(result)
                )
            }
            Event::Skipped { about } => {
                writeln!(out, "{}: skipped: its condition is false", headline(about))
            }
            Event::Branch {
                about,
                holds,
                begins_at,
                ..
            } => {
                let chosen = endings::branch_choice(*holds, *begins_at);
                writeln!(out, "{}: {chosen}", headline(about))
            }
            Event::Retry {
                about,
                attempt,
                of,
                delay,
            } => writeln!(
                out,
                "  {}: retry {attempt} of {of} in {}",
                task_name(about),
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
            | Event::Connected { .. }
            | Event::Restored { .. }
            | Event::Block { .. }
            | Event::Debug { .. }
            | Event::Interrupted { .. } => Ok(()),
        };
    }
}

fn task_name(about: &About) -> String {
    format!("task {}", safe_text::subject(about))
}

fn headline(about: &About) -> String {
    format!("{}{}", task_name(about), safe_text::title_suffix(about))
}
