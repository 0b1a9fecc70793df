//! The plan as a diagram (SPEC §6.1), for Graphviz (`dot`) and for Mermaid.
#![forbid(unsafe_code)]

use super::outline::{
    EntryKind, MemberGroup, Outline, PlanEntry, PlanRoute, RouteCase, RouteTarget,
};
use crate::task::mask::Mask;
use crate::text::diagnostic::printable;
use std::fmt::Write;

/// Longer lines are broken; the boxes would be too wide to read.
const MAX_WIDTH: usize = 60;

/// The language a diagram is written in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DiagramLanguage {
    Dot,
    Mermaid,
}

/// The whole diagram, secrets masked.
pub fn draw(outline: &Outline, file: &str, language: DiagramLanguage, mask: &Mask) -> String {
    let mut drawer = Drawer {
        language,
        mask,
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
    drawer.section("handlers", "failure handlers", &outline.handlers);
    drawer.section("finals", "final tasks", &outline.finals);
    drawer.run(outline);
    drawer.edges(outline);
    if language == DiagramLanguage::Dot {
        drawer.out.push_str("}\n");
    }
    drawer.out
}

struct Drawer<'a> {
    language: DiagramLanguage,
    /// Applied to whole lines: a broken line could show half a secret.
    mask: &'a Mask,
    out: String,
    depth: usize,
}

impl Drawer<'_> {
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.out, "{}{text}", "  ".repeat(self.depth));
    }

    /// A text in quotes, escaped for the language.
    fn quoted(&self, text: &str) -> String {
        let text = printable(text);
        match self.language {
            DiagramLanguage::Dot => {
                let text = text.replace('\\', "\\\\").replace('"', "\\\"");
                format!("\"{text}\"")
            }
            // Within quotes Mermaid knows only its own entities.
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

    fn section(&mut self, name: &str, heading: &str, entries: &[PlanEntry]) {
        if !entries.is_empty() {
            self.open(name, heading);
            entries.iter().for_each(|e| self.node(e));
            self.close();
        }
    }

    /// A task's box; a block and its members share a frame.
    fn node(&mut self, entry: &PlanEntry) {
        if entry.groups.is_empty() {
            return self.task_box(entry);
        }
        self.open(
            &format!("block{}", entry.id),
            &format!("block {}", entry.id),
        );
        self.task_box(entry);
        for (_, members) in &entry.groups {
            members.iter().for_each(|m| self.node(m));
        }
        self.close();
    }

    fn task_box(&mut self, entry: &PlanEntry) {
        let label = self.label(entry);
        let id = entry.id;
        let decides = matches!(entry.kind, EntryKind::Decision | EntryKind::Conditional);
        let text = match (self.language, decides) {
            (DiagramLanguage::Dot, true) => format!("t{id} [label={label}, shape=diamond];"),
            (DiagramLanguage::Dot, false) => format!("t{id} [label={label}];"),
            (DiagramLanguage::Mermaid, true) => format!("t{id}{{{{{label}}}}}"),
            (DiagramLanguage::Mermaid, false) => format!("t{id}[{label}]"),
        };
        self.line(&text);
    }

    /// The settings and globals of the run, in a box of their own.
    fn run(&mut self, outline: &Outline) {
        let settings = outline.settings.iter().map(ToString::to_string);
        let globals = outline.globals.iter();
        let globals = globals.map(|g| format!("{}={}", g.name, g.value));
        let lines: Vec<String> = settings.chain(globals).collect();
        if !lines.is_empty() {
            let label = self.join(&lines);
            self.line(&match self.language {
                DiagramLanguage::Dot => format!("settings [label={label}, shape=note];"),
                DiagramLanguage::Mermaid => format!("settings[/{label}/]"),
            });
        }
    }

    /// The task's label: its title, where it runs, what it runs, and how.
    fn label(&self, entry: &PlanEntry) -> String {
        let name = entry.name.as_ref().filter(|n| **n != entry.title);
        let name = name.map_or(String::new(), |n| format!("[{n}] "));
        let mut lines = vec![format!("{} {name}{}", entry.id, entry.title)];
        lines.extend(entry.only_if.as_ref().map(|c| format!("condition={c}")));
        if let EntryKind::Tasks { at_once } | EntryKind::Hosts { at_once, .. } = &entry.kind {
            lines.push(format!("at most {at_once} at once"));
        }
        if let EntryKind::Hosts { set, hosts, .. } = &entry.kind {
            let on = hosts
                .as_ref()
                .map_or(set.clone(), |hosts| hosts.describe(set));
            lines.push(on);
            let unsorted = hosts.as_ref().filter(|h| !h.is_sorted);
            lines.extend(unsorted.map(|h| format!("in this order: {}", h.list.join(","))));
        }
        if let Some(command) = &entry.command {
            let host = command.host.as_ref();
            let host = host.map_or(String::new(), |h| format!("{h}: "));
            lines.push(format!("{host}{}", command.words));
            let written = command.written.as_ref();
            lines.extend(written.map(|w| format!("written: {w}")));
            lines.push(format!("{}, timeout {}", command.exec, command.timeout));
        }
        let criteria = entry.criteria.iter();
        lines.extend(criteria.map(|(key, condition)| format!("{key}={condition}")));
        let settings = entry.settings.iter();
        lines.extend(settings.map(|s| format!("{}={}", s.key, s.value)));
        self.join(&lines)
    }

    /// The lines as one label; long ones are broken.
    fn join(&self, lines: &[String]) -> String {
        let broken = lines.iter().flat_map(|l| {
            let characters: Vec<char> = self.mask.apply(l).trim_end().chars().collect();
            let parts = characters.chunks(MAX_WIDTH).map(|c| c.iter().collect());
            parts.collect::<Vec<String>>()
        });
        let quoted: Vec<String> = broken.map(|l| self.quoted(&l)).collect();
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
                for member in members {
                    let label = member_label(entry, *group, member.id);
                    self.edge(entry.id, &format!("t{}", member.id), label, true);
                }
            }
            for (route, label) in shown_routes(entry) {
                let target = match route.to {
                    RouteTarget::Task { id, .. } => format!("t{id}"),
                    RouteTarget::End(_) => "the_end".into(),
                };
                ends |= matches!(route.to, RouteTarget::End(_));
                self.edge(entry.id, &target, &label, false);
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
        let label = Some(label)
            .filter(|l| !l.is_empty())
            .map(|l| self.quoted(l));
        let text = match self.language {
            DiagramLanguage::Dot => {
                let label = label.map(|l| format!("label={l}"));
                let style = member.then(|| "style=dashed".to_string());
                let attributes: Vec<String> = label.into_iter().chain(style).collect();
                match attributes.is_empty() {
                    true => format!("t{from} -> {to};"),
                    false => format!("t{from} -> {to} [{}];", attributes.join(", ")),
                }
            }
            DiagramLanguage::Mermaid => {
                let arrow = if member { "-.->" } else { "-->" };
                let label = label.map_or(String::new(), |l| format!("|{l}|"));
                format!("t{from} {arrow}{label} {to}")
            }
        };
        self.line(&text);
    }
}

/// When the block runs the member.
fn member_label(entry: &PlanEntry, group: MemberGroup, member: u32) -> &'static str {
    match (entry.begins_at, group) {
        (Some(first), _) if first == member => "begins here",
        (Some(_), _) | (None, MemberGroup::Subtasks) => "",
        (None, MemberGroup::Check) => "between waves",
        (None, MemberGroup::IfTrue) => "if true",
        (None, MemberGroup::IfFalse) => "if false",
    }
}

/// The routes that have an arrow, with their labels. A route that a branch
/// task takes whether its block or a jump led to it is drawn once.
fn shown_routes(entry: &PlanEntry) -> Vec<(&PlanRoute, String)> {
    let own = entry.routes.iter().map(|r| (r, route_label(r)));
    let jumped = entry.routes_when_jumped_to.iter();
    let jumped = jumped.flat_map(|(context, routes)| routes.iter().map(|r| (context.label(), r)));
    let jumped = jumped.filter(|(_, r)| !entry.routes.contains(r));
    let jumped = jumped.map(|(context, r)| match route_label(r).as_str() {
        "" => (r, context.into()),
        label => (r, format!("{context}: {label}")),
    });
    let routes = own.chain(jumped);
    routes.filter(|(r, _)| !is_plain_failure(r)).collect()
}

fn route_label(route: &PlanRoute) -> String {
    let case = match (route.when, route.to) {
        (RouteCase::Always, _) | (RouteCase::Success, RouteTarget::Task { jump: false, .. }) => "",
        (RouteCase::Left, _) => "branch leaves",
        (other, _) => other.label(),
    };
    match route.to {
        RouteTarget::End(Some(code)) if case.is_empty() => format!("exit {code}"),
        RouteTarget::End(Some(code)) => format!("{case}: exit {code}"),
        _ => case.into(),
    }
}

/// A failure that ends the run. It has no arrow: one from every box would hide all
/// the others.
fn is_plain_failure(route: &PlanRoute) -> bool {
    route.when == RouteCase::Failure && route.to == RouteTarget::End(None)
}
