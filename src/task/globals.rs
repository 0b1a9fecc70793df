//! Globals (SPEC §2.2): expanded once, when the file is loaded.
#![forbid(unsafe_code)]

use super::global_value::{self, DEEPEST, ValuePart, environment, is_secret};
use crate::text::diagnostic::{Category, DiagnosticList};
use crate::text::number::plain_number;
use crate::text::source::{MASK, SourceMap, Span};
use crate::text::template::{self, Piece, Template};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Names of references that are neither globals nor tasks (SPEC §1, §2.1).
pub const RESERVED: &[&str] = &[
    "task",
    "hostname",
    "loop",
    "attempt",
    "run_outcome",
    "failed",
];

/// Why no global can have this name, if it is reserved.
pub fn reserved_name(name: &str) -> Option<String> {
    if name == "failed" || name.starts_with("failed_") {
        return Some(format!("`@{name}@` is reserved for the task that failed"));
    }
    RESERVED
        .contains(&name)
        .then(|| format!("`@{name}@` refers to the running task"))
}

/// The most bytes of an expanded global, and of all together.
const LARGEST: usize = 1 << 20;
const LARGEST_SUM: usize = 64 << 20;

/// A global and, once expanded, its value.
pub struct Global {
    /// The span of its name.
    pub at: Span,
    value: Span,
    pub secret: bool,
    expanded: Template,
    refers_to: Vec<String>,
    /// The environment variables that it uses.
    variables: Vec<String>,
    unset: Vec<(Span, String)>,
    /// Whether everything that it refers to has a value, at any depth.
    is_expanded: bool,
    state: ExpansionState,
    used_at: Option<Span>,
}

#[derive(Clone, Copy, PartialEq)]
enum ExpansionState {
    Waiting,
    Expanding,
    Done,
}

#[derive(Default)]
pub struct GlobalTable {
    map: HashMap<String, Global>,
    /// Names in the order of their lines.
    order: Vec<String>,
    strict: bool,
    /// How many errors are variables that are not set.
    unset_errors: usize,
    /// The size of all expanded values, in bytes.
    size: usize,
    /// Whether a value that is too large has been reported.
    too_large: bool,
}

/// A global whose expansion waits for those that it refers to.
struct PendingGlobal {
    name: String,
    wanted: Vec<(String, Span)>,
}

impl GlobalTable {
    pub fn new(strict: bool) -> GlobalTable {
        GlobalTable {
            strict,
            ..GlobalTable::default()
        }
    }

    /// Defines a global, unless it is defined already: then the span of its first
    /// definition is returned.
    pub fn define(&mut self, name: &str, at: Span, value: Span) -> Option<Span> {
        if let Some(first) = self.map.get(name) {
            return Some(first.at);
        }
        self.set(name, at, value);
        None
    }

    /// Defines or overrides a global (`--set`).
    pub fn set(&mut self, name: &str, at: Span, value: Span) {
        let global = Global {
            at,
            value,
            secret: is_secret(name),
            expanded: Template::default(),
            refers_to: Vec::new(),
            variables: Vec::new(),
            unset: Vec::new(),
            is_expanded: false,
            state: ExpansionState::Waiting,
            used_at: None,
        };
        if self.map.insert(name.to_string(), global).is_none() {
            self.order.push(name.to_string());
        }
    }

    /// How many errors were reported for variables that are not set, and the globals
    /// that use them.
    pub fn not_set(&self) -> (usize, Vec<String>) {
        let used = |name: &&String| {
            let global = self.map.get(*name);
            global.is_some_and(|g| g.used_at.is_some() && !g.unset.is_empty())
        };
        let names = self.order.iter().filter(used).cloned();
        (self.unset_errors, names.collect())
    }

    pub fn get(&self, name: &str) -> Option<&Global> {
        self.map.get(name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.order.iter().map(String::as_str)
    }

    /// Each global with its expanded value.
    pub fn values(&self) -> impl Iterator<Item = (&str, &Global, Vec<u8>)> {
        self.order
            .iter()
            .filter_map(|n| self.map.get(n).map(|g| (n.as_str(), g, g.bytes())))
    }

    /// The environment variables that globals use, but for the hidden ones.
    pub fn variables(&self) -> BTreeSet<String> {
        let all = self.map.values().flat_map(|g| g.variables.iter().cloned());
        let all: BTreeSet<String> = all.collect();
        all.difference(&self.hidden_variables()).cloned().collect()
    }

    /// Those that a secret uses, itself or through other globals.
    pub fn hidden_variables(&self) -> BTreeSet<String> {
        let secrets = self.map.iter().filter(|(_, global)| global.secret);
        let mut waiting: Vec<&str> = secrets.map(|(name, _)| name.as_str()).collect();
        let mut seen: HashSet<&str> = waiting.iter().copied().collect();
        let mut hidden = BTreeSet::new();
        while let Some(global) = waiting.pop().and_then(|name| self.map.get(name)) {
            hidden.extend(global.variables.iter().cloned());
            let inner = global.refers_to.iter().map(String::as_str);
            waiting.extend(inner.filter(|name| seen.insert(name)));
        }
        hidden
    }

    /// Expands all of them, each after those that it refers to.
    pub fn expand_all(&mut self, sources: &SourceMap, diagnostics: &mut DiagnosticList) {
        let mut path = Vec::new();
        for name in self.order.clone() {
            self.visit(&name, &mut path, sources);
            // Not recursive: a chain of globals can be as long as the file.
            while let Some(PendingGlobal { name, wanted }) = path.last_mut() {
                let Some((wanted, at)) = wanted.pop() else {
                    let name = std::mem::take(name);
                    path.pop();
                    self.expand(&name, sources, diagnostics);
                    continue;
                };
                let state = self.map.get(&wanted).map(|g| g.state);
                match state {
                    Some(ExpansionState::Expanding) => {
                        let global = path.last().and_then(|last| self.map.get(&last.name));
                        let hidden = global.filter(|g| g.secret).map(|g| g.value);
                        report_cycle(&path, &wanted, place(hidden, at), diagnostics)
                    }
                    Some(ExpansionState::Waiting) => self.visit(&wanted, &mut path, sources),
                    Some(ExpansionState::Done) | None => {}
                }
            }
        }
    }

    /// Begins to expand a global: finds those that it refers to.
    fn visit(&mut self, name: &str, path: &mut Vec<PendingGlobal>, sources: &SourceMap) {
        let Some(global) = self
            .map
            .get_mut(name)
            .filter(|g| g.state == ExpansionState::Waiting)
        else {
            return;
        };
        global.state = ExpansionState::Expanding;
        let mut wanted =
            global_value::references(sources.snippet(global.value), global.value, self.strict);
        wanted.reverse();
        path.push(PendingGlobal {
            name: name.to_string(),
            wanted,
        });
    }

    fn expand(&mut self, name: &str, sources: &SourceMap, diagnostics: &mut DiagnosticList) {
        let Some(value) = self.map.get(name).map(|g| g.value) else {
            return;
        };
        let mut expansion = Expansion {
            globals: self,
            diagnostics,
            hidden: is_secret(name).then_some(value),
            pieces: Vec::new(),
            size: 0,
            depth: 0,
            refers_to: Vec::new(),
            variables: Vec::new(),
            unset: Vec::new(),
            is_whole: true,
        };
        expansion.expand_text(sources.snippet(value), value);
        if !is_secret(name) {
            expansion.check_unclosed(sources.snippet(value), value);
        }
        let Expansion {
            pieces,
            size,
            refers_to,
            variables,
            unset,
            is_whole,
            ..
        } = expansion;
        if self.size <= LARGEST_SUM && self.size + size > LARGEST_SUM {
            diagnostics.error(
                value,
                "the globals of this file exceed 64 MiB when they are expanded",
            );
        }
        self.size += size;
        self.too_large |= size > LARGEST;
        if let Some(global) = self.map.get_mut(name) {
            if self.size <= LARGEST_SUM {
                global.expanded = Template { pieces };
            }
            (global.refers_to, global.unset) = (refers_to, unset);
            (global.variables, global.is_expanded) = (variables, is_whole);
            global.state = ExpansionState::Done;
        }
    }

    /// The pieces for a reference at `at`; marks the global as used. `None` if the
    /// value takes more than `room` bytes.
    pub fn refer(&mut self, name: &str, at: Span, room: usize) -> Option<Vec<Piece>> {
        let global = self.map.get_mut(name)?;
        global.used_at.get_or_insert(at);
        if global
            .expanded
            .pieces
            .iter()
            .map(Piece::cost)
            .sum::<usize>()
            > room
        {
            return None;
        }
        let secret = global.secret;
        let mut pieces: Vec<Piece> = global
            .expanded
            .pieces
            .iter()
            .map(|p| placed(p, at, secret))
            .collect();
        if pieces.is_empty() {
            // An empty piece tells an empty global from no value.
            pieces.push(Piece::Text {
                text: String::new(),
                at,
                direct: false,
                secret,
            });
        }
        Some(pieces)
    }

    /// Reports unused globals, and unset variables: an error where they are used.
    pub fn report_uses(&mut self, diagnostics: &mut DiagnosticList) {
        let mut waiting: Vec<(String, Span)> = self
            .map
            .iter()
            .filter_map(|(n, g)| g.used_at.map(|at| (n.clone(), at)))
            .collect();
        while let Some((name, at)) = waiting.pop() {
            let Some(refers_to) = self.map.get(&name).map(|g| g.refers_to.clone()) else {
                continue;
            };
            for inner in refers_to {
                if let Some(global) = self.map.get_mut(&inner).filter(|g| g.used_at.is_none()) {
                    global.used_at = Some(at);
                    waiting.push((inner, at));
                }
            }
        }
        for name in &self.order {
            let Some(global) = self.map.get(name) else {
                continue;
            };
            for (at, variable) in &global.unset {
                // `DB_PASSWORD=$DB_PASSWORD` says nothing that its name does not.
                let is_hidden = global.secret && variable != name;
                let hidden = is_hidden.then_some(global.value);
                let at = place(hidden, *at);
                let (message, help) = match hidden {
                    Some(_) => (
                        "an environment variable in this secret is not set".to_string(),
                        LITERAL_SIGNS.to_string(),
                    ),
                    None => (
                        format!("the environment variable `{variable}` is not set"),
                        format!("set it, or give a default: `${{{variable}:-default}}`"),
                    ),
                };
                self.unset_errors += usize::from(global.used_at.is_some());
                match global.used_at {
                    Some(used) => diagnostics
                        .error(at, message)
                        .also(used, format!("`{name}` is used here"))
                        .help(help),
                    None => diagnostics.warning(at, message).help(help),
                };
            }
            if global.used_at.is_none() && name != "CHANGE" {
                diagnostics.warning(global.at, format!("the global `{name}` is never used"));
            }
        }
    }
}

impl Global {
    fn bytes(&self) -> Vec<u8> {
        // A global contains no references.
        self.expanded.known().unwrap_or_default()
    }

    /// The value for display, with secrets masked.
    pub fn shown(&self) -> String {
        match self.secret {
            true => MASK.into(),
            false => self.expanded.shown(None),
        }
    }

    /// Whether the whole value is known. An unused global can refer to a variable that is
    /// not set.
    pub fn is_expanded(&self) -> bool {
        self.is_expanded
    }

    /// The value as it is written.
    pub fn written<'a>(&self, sources: &'a SourceMap) -> &'a str {
        sources.snippet(self.value)
    }

    /// Whether something in the value comes from the environment.
    pub fn is_from_environment(&self) -> bool {
        let mut pieces = self.expanded.pieces.iter();
        pieces.any(|piece| matches!(piece, Piece::Data { bytes, .. } if !bytes.is_empty()))
    }

    pub fn has_secret(&self) -> bool {
        self.secret || self.expanded.has_secret()
    }

    /// Where the value comes from: variables, other globals, and the source of the
    /// text around them. It says nothing about what the value is.
    pub fn origins(&self, sources: &SourceMap) -> Vec<String> {
        let place = match sources.get(self.value.file).name.split_once(' ') {
            Some(("--set", _)) => "--set",
            _ => "the task file",
        };
        let mut all = global_value::origins(sources.snippet(self.value), place);
        if self.secret {
            // What is no variable can be a part of the secret.
            all.retain(|origin| match origin.strip_prefix('$') {
                Some(name) => std::env::var_os(name).is_some(),
                None => !origin.starts_with('@') || self.is_expanded,
            });
        }
        if all.is_empty() {
            all.push(place.to_string());
        }
        all
    }

    /// The secrets in the value: all of a secret global, and the secret environment
    /// variables in any other.
    pub fn secret_values(&self) -> Vec<Vec<u8>> {
        if self.secret {
            let bytes = self.bytes();
            let number = plain_number(&bytes).filter(|number| *number != bytes);
            return [bytes].into_iter().chain(number).collect();
        }
        let data = |p: &Piece| match p {
            Piece::Data {
                bytes,
                secret: true,
                ..
            } => Some(bytes.clone()),
            _ => None,
        };
        self.expanded.pieces.iter().filter_map(data).collect()
    }
}

/// A piece of a global, as a piece of a value that refers to the global at `at`.
fn placed(piece: &Piece, at: Span, in_secret: bool) -> Piece {
    match piece {
        Piece::Text { text, secret, .. } => Piece::Text {
            text: text.clone(),
            at,
            direct: false,
            secret: *secret || in_secret,
        },
        Piece::Data { bytes, secret, .. } => Piece::Data {
            bytes: bytes.clone(),
            at,
            secret: *secret || in_secret,
        },
        reference => reference.clone(),
    }
}

/// The value of a global being expanded.
struct Expansion<'a> {
    globals: &'a GlobalTable,
    diagnostics: &'a mut DiagnosticList,
    /// The whole value of a secret, of which no message shows a part.
    hidden: Option<Span>,
    pieces: Vec<Piece>,
    size: usize,
    /// How deep the current default is nested.
    depth: usize,
    refers_to: Vec<String>,
    variables: Vec<String>,
    unset: Vec<(Span, String)>,
    /// Nothing was left out for want of a value.
    is_whole: bool,
}

/// How to write a secret that was taken for a reference.
const LITERAL_SIGNS: &str = "in a secret too, write `\\$` for a literal `$` and `@@` for a literal `@`; a variable that can be unset has a default: `${NAME:-default}`";

/// Where a mistake in a value is reported; its place in a secret would tell something.
fn place(hidden: Option<Span>, at: Span) -> Span {
    hidden.map_or(at, |whole| whole.part(0, 0))
}

impl Expansion<'_> {
    fn place(&self, at: Span) -> Span {
        place(self.hidden, at)
    }

    /// Reports a mistake in the text of the value; nothing of a secret is shown.
    fn report(&mut self, at: Span, message: String, in_secret: &str, help: &str) {
        let (message, help) = match self.hidden {
            Some(_) => (in_secret.to_string(), LITERAL_SIGNS),
            None => (message, help),
        };
        let error = self.diagnostics.error(place(self.hidden, at), message);
        if !help.is_empty() {
            error.help(help);
        }
    }

    fn expand_text(&mut self, value: &str, at: Span) {
        let mut literal = String::new();
        for (next, part) in global_value::parts(value) {
            if let ValuePart::Literal(text) = part {
                literal.push_str(text);
                continue;
            }
            self.flush(&mut literal, at);
            match part {
                ValuePart::Literal(_) => {}
                ValuePart::Global(name) => {
                    self.reference(name, at.part(next, next + name.len() + 2));
                }
                ValuePart::Variable {
                    name,
                    default,
                    length,
                } => {
                    let default =
                        default.map(|(from, text)| (at.part(from, from + text.len()), text));
                    self.variable(name, default, at.part(next, next + length));
                }
                ValuePart::ResultDefault { length } => {
                    self.report(
                        at.part(next, next + length),
                        "a reference in a global takes no default".into(),
                        "a reference in a global takes no default",
                        "a default for a variable of the environment: `${VARIABLE:-TEXT}`",
                    );
                }
                ValuePart::Bad => {
                    self.report(
                        at.part(next, next + 2),
                        "expected `${NAME}` or `${NAME:-default}`".into(),
                        "expected `${NAME}` or `${NAME:-default}`",
                        "write `\\$` for a literal `$`",
                    );
                }
            }
        }
        self.flush(&mut literal, at);
    }

    /// Warns about a reference to a global without its closing `@`.
    fn check_unclosed(&mut self, value: &str, at: Span) {
        let text = template::parse(value, at, &mut |_| Vec::new());
        for (name, at) in template::unclosed_names(&text) {
            if self.globals.get(name).is_some() {
                let (message, help) = template::unclosed_message(name);
                self.diagnostics.warning(at, message).help(help);
            }
        }
    }

    fn flush(&mut self, literal: &mut String, at: Span) {
        if !literal.is_empty() {
            let text = std::mem::take(literal);
            self.push(Piece::of_global(text, at));
        }
    }

    fn push(&mut self, piece: Piece) {
        // Texts are merged, so that a chain of globals stays one piece.
        let joined = match (self.pieces.last_mut(), &piece) {
            (
                Some(Piece::Text {
                    text, secret: a, ..
                }),
                Piece::Text {
                    text: more,
                    secret: b,
                    ..
                },
            ) if a == b => Some((text, more)),
            _ => None,
        };
        let cost = joined.as_ref().map_or(piece.cost(), |(_, more)| more.len());
        // Values that contain one that is too large are not reported again.
        let grew = self.size <= LARGEST && self.size + cost > LARGEST;
        if grew && !self.globals.too_large {
            self.diagnostics.error(
                place(self.hidden, piece.at()),
                "this global exceeds 1 MiB when it is expanded",
            );
        }
        self.size += cost;
        if self.size > LARGEST {
            return;
        }
        match joined {
            Some((text, more)) => text.push_str(more),
            None => self.pieces.push(piece),
        }
    }

    fn reference(&mut self, name: &str, at: Span) {
        let Some(inner) = self.globals.get(name) else {
            self.is_whole = false;
            if self.hidden.is_some() {
                let message = "a reference in this secret is to no global";
                self.report(at, String::new(), message, "");
                return;
            }
            let near = self.diagnostics.suggest(name, self.globals.names());
            self.diagnostics
                .error(at, format!("there is no global `{name}`"))
                .category(Category::Dependency)
                .label(near)
                .help("a global can refer to other globals and the environment, but not to a task's result; write `@@` for a literal `@`");
            return;
        };
        self.refers_to.push(name.to_string());
        self.is_whole &= inner.is_expanded;
        for piece in &inner.expanded.pieces {
            self.push(placed(piece, at, inner.secret));
        }
    }

    fn variable(&mut self, name: &str, default: Option<(Span, &str)>, at: Span) {
        self.variables.push(name.to_string());
        let value = match environment(name, at, self.globals.strict) {
            Ok(value) => value,
            Err(message) => {
                self.is_whole = false;
                let in_secret = "a variable in this secret cannot be used: --strict-env-validation allows only names that begin with `TASKER_`";
                self.report(at, message, in_secret, "");
                return;
            }
        };
        let empty = matches!(&value, Some(Piece::Data { bytes, .. }) if bytes.is_empty());
        match (value, default) {
            (Some(piece), None) => self.push(piece),
            (Some(piece), Some(_)) if !empty => self.push(piece),
            (_, Some((at, _))) if self.depth == DEEPEST => {
                let at = self.place(at);
                self.diagnostics
                    .error(at, format!("defaults are nested more than {DEEPEST} deep"));
            }
            (_, Some((at, text))) => {
                self.depth += 1;
                self.expand_text(text, at);
                self.depth -= 1;
            }
            (None, None) => {
                self.is_whole = false;
                self.unset.push((at, name.to_string()));
            }
        }
    }
}

/// Reports the circle of globals on the path from `name` back to it.
fn report_cycle(path: &[PendingGlobal], name: &str, at: Span, diagnostics: &mut DiagnosticList) {
    /// The most names that are listed; the rest are counted.
    const MOST: usize = 12;
    if diagnostics.are_many() {
        diagnostics
            .error(at, "these globals refer to each other in a circle")
            .category(Category::Dependency);
        return;
    }
    let from = path.iter().position(|v| v.name == name).unwrap_or(0);
    let cycle: Vec<&str> = path[from..].iter().map(|v| v.name.as_str()).collect();
    let mut names = cycle[..cycle.len().min(MOST)].join(" -> ");
    if cycle.len() > MOST {
        names.push_str(&format!(" -> ({} more)", cycle.len() - MOST));
    }
    diagnostics
        .error(
            at,
            format!("these globals refer to each other in a circle: {names} -> {name}"),
        )
        .category(Category::Dependency);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::source::Source;

    /// Expands `A=…` lines; returns the value of `A`, or the first error.
    fn expand(lines: &[&str]) -> Result<String, String> {
        let mut sources = SourceMap::default();
        let mut globals = GlobalTable::new(false);
        for line in lines {
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            let file = sources.add(Source::new(name, value.to_string()));
            globals.define(name, Span::whole(file), Span::new(file, 0, value.len()));
        }
        let mut diagnostics = DiagnosticList::default();
        globals.expand_all(&sources, &mut diagnostics);
        globals.refer("A", Span::whole(0), LARGEST);
        globals.report_uses(&mut diagnostics);
        if diagnostics.has_errors() {
            return Err(diagnostics
                .draw(&sources)
                .lines()
                .next()
                .unwrap_or("")
                .to_string());
        }
        Ok(globals
            .values()
            .find(|(n, ..)| *n == "A")
            .map(|(_, _, v)| String::from_utf8_lossy(&v).into_owned())
            .unwrap_or_default())
    }

    #[test]
    fn values_are_expanded() {
        assert_eq!(expand(&["A=x@B@y", "B=1@C@", "C=2"]), Ok("x12y".into()));
        assert_eq!(
            expand(&["A=a@@b $ $1 \\$HOME 5$"]),
            Ok("a@b $ $1 $HOME 5$".into())
        );
        assert_eq!(
            expand(&["A=${TASKER_NO_SUCH:-d}${TASKER_NO_SUCH:-@B@}", "B=2"]),
            Ok("d2".into())
        );
        assert_eq!(
            expand(&["A=${TASKER_NO_SUCH:-${TASKER_NO_OTHER:-x}}y"]),
            Ok("xy".into())
        );
        assert_eq!(
            expand(&["A=$PATH"]),
            Ok(std::env::var("PATH").unwrap_or_default())
        );
    }

    #[test]
    fn errors_are_found() {
        let error = |lines: &[&str]| expand(lines).expect_err("an error");
        assert!(error(&["A=@B@", "B=@C@", "C=@A@"]).contains("A -> B -> C -> A"));
        assert!(error(&["A=@A@"]).contains("A -> A"));
        assert!(error(&["A=@BB@"]).contains("no global `BB`"));
        assert!(error(&["A=$TASKER_NO_SUCH"]).contains("`TASKER_NO_SUCH` is not set"));
        assert!(error(&["A=${1x}"]).contains("expected `${NAME}`"));
        let doubling: Vec<String> = (0..40)
            .map(|i| format!("A{i}=@A{0}@@A{0}@", i + 1))
            .chain(["A40=xxxx".into(), "A=@A0@".into()])
            .collect();
        let doubling: Vec<&str> = doubling.iter().map(String::as_str).collect();
        assert!(error(&doubling).contains("1 MiB"));
        assert!(error(&["A=${TASKER_NO_SUCH:-@B@}", "B=@A@"]).contains("A -> B -> A"));
        assert_eq!(expand(&["A=${PATH:-@B@}", "B=@A@"]).map(|_| ()), Ok(()));
        let deep = format!("A={}x{}", "${NO_SUCH_:-".repeat(100), "}".repeat(100));
        assert!(error(&[&deep]).contains("20 deep"));
    }

    #[test]
    fn a_chain_can_be_long_in_any_order() {
        let mut chain: Vec<String> = (0..20_000).map(|i| format!("A{i}=@A{}@", i + 1)).collect();
        chain.extend(["A20000=x".into(), "A=@A0@".into()]);
        let lines: Vec<&str> = chain.iter().map(String::as_str).collect();
        assert_eq!(expand(&lines), Ok("x".into()));
        let lines: Vec<&str> = chain.iter().rev().map(String::as_str).collect();
        assert_eq!(expand(&lines), Ok("x".into()));
    }
}
