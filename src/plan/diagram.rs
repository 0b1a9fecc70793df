//! The plan as a picture (SPEC §6.1): for Graphviz (`dot`) and for Mermaid.
#![forbid(unsafe_code)]

use super::as_json::when;
use super::outline::{
    EntryKind, MemberGroup, Outline, PlanEntry, PlanRoute, RouteCase, RouteTarget,
};
use crate::text::diagnostic::printable;
use std::fmt::Write;

/// Longer titles and commands would make boxes that nobody can look over.
const WIDEST: usize = 40;

/// The language of the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DiagramLanguage {
    Dot,
    Mermaid,
}

/// The whole picture; `secret` texts must be masked by the caller.
pub fn draw(outline: &Outline, file: &str, language: DiagramLanguage) -> String {
    let mut drawer = Drawer {
        language,
        out: String::new(),
        depth: 1,
    };
    match language {
        DiagramLanguage::Dot => {
            let _ = writeln!(drawer.out, "digraph tasks {{");
            drawer.line(&format!("label={}; labelloc=t;", drawer.quoted(file)));
            drawer
                .line("node [shape=box, fontname=\"sans-serif\"]; edge [fontname=\"sans-serif\"];");
            drawer.line("compound=true;");
        }
        DiagramLanguage::Mermaid => {
            let _ = writeln!(drawer.out, "flowchart TD");
        }
    }
    outline.main.iter().for_each(|e| drawer.node(e));
    drawer.part("handlers", "failure handlers", &outline.handlers);
    drawer.part("finals", "final tasks", &outline.finals);
    drawer.edges(outline);
    if language == DiagramLanguage::Dot {
        drawer.out.push_str("}\n");
    }
    drawer.out
}

struct Drawer {
    language: DiagramLanguage,
    out: String,
    depth: usize,
}

impl Drawer {
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.out, "{}{text}", "  ".repeat(self.depth));
    }

    /// A text of both languages, in quotes.
    fn quoted(&self, text: &str) -> String {
        let text = printable(text);
        match self.language {
            DiagramLanguage::Dot => {
                let text = text.replace('\\', "\\\\").replace('"', "\\\"");
                format!("\"{text}\"")
            }
            // Mermaid has no escapes in quotes but its own entities.
            DiagramLanguage::Mermaid => {
                let escaped = |c: char| match c {
                    '"' | '#' | '<' | '>' | '&' | '`' | '\\' => format!("#{};", c as u32),
                    c => c.to_string(),
                };
                format!("\"{}\"", text.chars().map(escaped).collect::<String>())
            }
        }
    }

    fn open(&mut self, name: &str, label: &str) {
        let label = self.quoted(label);
        match self.language {
            DiagramLanguage::Dot => {
                self.line(&format!("subgraph cluster_{name} {{"));
                self.depth += 1;
                self.line(&format!("label={label};"));
            }
            DiagramLanguage::Mermaid => {
                self.line(&format!("subgraph {name} [{label}]"));
                self.depth += 1;
            }
        }
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.line(match self.language {
            DiagramLanguage::Dot => "}",
            DiagramLanguage::Mermaid => "end",
        });
    }

    fn part(&mut self, name: &str, heading: &str, entries: &[PlanEntry]) {
        if !entries.is_empty() {
            self.open(name, heading);
            entries.iter().for_each(|e| self.node(e));
            self.close();
        }
    }

    /// A task's box; a block's members stand in a frame with it.
    fn node(&mut self, entry: &PlanEntry) {
        if entry.groups.is_empty() {
            return self.box_of(entry);
        }
        self.open(
            &format!("block{}", entry.id),
            &format!("block {}", entry.id),
        );
        self.box_of(entry);
        for (_, members) in &entry.groups {
            members.iter().for_each(|m| self.node(m));
        }
        self.close();
    }

    fn box_of(&mut self, entry: &PlanEntry) {
        let label = self.lines_of(entry);
        let id = entry.id;
        let decides = matches!(entry.what, EntryKind::Decision | EntryKind::Conditional);
        let text = match (self.language, decides) {
            (DiagramLanguage::Dot, true) => format!("t{id} [label={label}, shape=diamond];"),
            (DiagramLanguage::Dot, false) => format!("t{id} [label={label}];"),
            (DiagramLanguage::Mermaid, true) => format!("t{id}{{{{{label}}}}}"),
            (DiagramLanguage::Mermaid, false) => format!("t{id}[{label}]"),
        };
        self.line(&text);
    }

    /// The task's label: its title, where it runs, what it runs.
    fn lines_of(&self, entry: &PlanEntry) -> String {
        let mut lines = vec![format!("{} {}", entry.id, short(&entry.title))];
        match &entry.what {
            EntryKind::Hosts { set, left, .. } => {
                lines.push(short(left.as_ref().map_or(set, |(left, ..)| left)))
            }
            EntryKind::Conditional => lines.extend(entry.only_if.as_deref().map(short)),
            _ => {}
        }
        if let Some(runs) = &entry.runs {
            let host = runs
                .host
                .as_ref()
                .map_or(String::new(), |h| format!("{h}: "));
            lines.push(short(&format!("{host}{}", runs.words)));
        }
        let quoted: Vec<String> = lines.iter().map(|l| self.quoted(l.trim_end())).collect();
        let inner: Vec<&str> = quoted.iter().map(|q| &q[1..q.len() - 1]).collect();
        let line_end = match self.language {
            DiagramLanguage::Dot => "\\n",
            DiagramLanguage::Mermaid => "<br/>",
        };
        format!("\"{}\"", inner.join(line_end))
    }

    fn edges(&mut self, outline: &Outline) {
        let mut ends = false;
        for entry in outline.all() {
            for (group, members) in &entry.groups {
                let label = match group {
                    MemberGroup::Subtasks => "",
                    MemberGroup::Check => "between waves",
                    MemberGroup::IfTrue => "if so",
                    MemberGroup::IfFalse => "else",
                };
                for member in members {
                    self.edge(entry.id, &format!("t{}", member.id), label, true);
                }
            }
            for route in entry.routes.iter().filter(|r| !is_plain_failure(r)) {
                let label = match route.when {
                    RouteCase::Always => "",
                    RouteCase::Success
                        if matches!(route.to, RouteTarget::Task { jump: false, .. }) =>
                    {
                        ""
                    }
                    other => when(other),
                };
                match route.to {
                    RouteTarget::Task { id, .. } => {
                        self.edge(entry.id, &format!("t{id}"), label, false)
                    }
                    RouteTarget::End(code) => {
                        ends = true;
                        let code = code.map_or(String::new(), |c| format!("exit {c}"));
                        let label = format!("{label} {code}");
                        self.edge(entry.id, "the_end", label.trim(), false);
                    }
                }
            }
        }
        if ends {
            self.line(match self.language {
                DiagramLanguage::Dot => "the_end [label=\"end\", shape=ellipse];",
                DiagramLanguage::Mermaid => "the_end([\"end\"])",
            });
        }
    }

    fn edge(&mut self, from: u32, to: &str, label: &str, member: bool) {
        let text = match (self.language, label, member) {
            (DiagramLanguage::Dot, _, _) => {
                let label = match label {
                    "" => String::new(),
                    label => format!("label={}", self.quoted(label)),
                };
                let style = if member { "style=dashed" } else { "" };
                let both = [label.as_str(), style];
                let both: Vec<&str> = both.into_iter().filter(|t| !t.is_empty()).collect();
                match both.len() {
                    0 => format!("t{from} -> {to};"),
                    _ => format!("t{from} -> {to} [{}];", both.join(", ")),
                }
            }
            (DiagramLanguage::Mermaid, "", false) => format!("t{from} --> {to}"),
            (DiagramLanguage::Mermaid, "", true) => format!("t{from} -.-> {to}"),
            (DiagramLanguage::Mermaid, label, false) => {
                format!("t{from} -->|{}| {to}", self.quoted(label))
            }
            (DiagramLanguage::Mermaid, label, true) => {
                format!("t{from} -.->|{}| {to}", self.quoted(label))
            }
        };
        self.line(&text);
    }
}

/// A failure that ends the run: an arrow from every box to the end would hide
/// all others.
fn is_plain_failure(route: &PlanRoute) -> bool {
    route.when == RouteCase::Failure && route.to == RouteTarget::End(None)
}

fn short(text: &str) -> String {
    match text.char_indices().nth(WIDEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_string(),
    }
}
