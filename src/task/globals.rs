//! Globals (SPEC §2.2): expanded once, when the file is loaded.
//!
//! ```text
//! value   := { "@" NAME "@" | "@@" | "$" NAME | "${" NAME [ ":-" value ] "}" | "\$" | any character }
//! ```
#![forbid(unsafe_code)]

use super::keys::is_identifier;
use crate::text::diagnostic::{Count, Diagnostics};
use crate::text::nearest::did_you_mean;
use crate::text::source::{Sources, Span};
use crate::text::template::{Piece, reference_name};
use std::collections::HashMap;
use std::os::unix::ffi::OsStringExt;

/// Names that references give to the running task itself.
pub const RESERVED: &[&str] = &["task", "hostname", "loop", "attempt", "run_outcome"];

/// The most bytes a global may grow to when it is expanded.
const LARGEST: usize = 1 << 20;
/// How many globals may refer to one another in a chain.
const DEEPEST: usize = 200;

pub struct Global {
    /// Where its name stands.
    pub at: Span,
    value: Span,
    pub secret: bool,
    pieces: Vec<Piece>,
    refers_to: Vec<String>,
    unset: Vec<(Span, String)>,
    state: State,
    used_at: Option<Span>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Waiting,
    Expanding,
    Done,
}

#[derive(Default)]
pub struct Globals {
    map: HashMap<String, Global>,
    /// Names in the order of their lines.
    order: Vec<String>,
    strict: bool,
}

/// Whether the name says that the value must never be shown.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    const HEADS: [&str; 5] = ["SECRET_", "PASSWORD_", "TOKEN_", "MASK_", "HIDE_"];
    const TAILS: [&str; 4] = ["_SECRET", "_PASSWORD", "_TOKEN", "_KEY"];
    HEADS.iter().any(|h| name.starts_with(h)) || TAILS.iter().any(|t| name.ends_with(t))
}

/// A variable of tasker's own environment, as data. With `strict` only names
/// that begin with `TASKER_` may be used; the error says so.
pub fn environment(name: &str, at: Span, strict: bool) -> Result<Option<Piece>, String> {
    if strict && !name.starts_with("TASKER_") {
        return Err(format!(
            "`${name}` may not be used: --strict-env-validation allows only names that begin with `TASKER_`"
        ));
    }
    let value = std::env::var_os(name);
    Ok(value.map(|v| Piece::Data {
        bytes: v.into_vec(),
        at,
        secret: is_secret(name),
    }))
}

impl Globals {
    pub fn new(strict: bool) -> Globals {
        Globals {
            strict,
            ..Globals::default()
        }
    }

    /// Defines a global; the place of the first definition where there is one.
    pub fn define(&mut self, name: &str, at: Span, value: Span) -> Option<Span> {
        if let Some(first) = self.map.get(name) {
            return Some(first.at);
        }
        self.order.push(name.to_string());
        self.set(name, at, value);
        None
    }

    /// Defines or overrides a global (`--set`).
    pub fn set(&mut self, name: &str, at: Span, value: Span) {
        if !self.order.iter().any(|n| n == name) {
            self.order.push(name.to_string());
        }
        let global = Global {
            at,
            value,
            secret: is_secret(name),
            pieces: Vec::new(),
            refers_to: Vec::new(),
            unset: Vec::new(),
            state: State::Waiting,
            used_at: None,
        };
        self.map.insert(name.to_string(), global);
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

    /// Expands all of them.
    pub fn expand_all(&mut self, sources: &Sources, diagnostics: &mut Diagnostics) {
        for name in self.order.clone() {
            self.expand(&name, &mut Vec::new(), sources, diagnostics);
        }
    }

    fn expand(
        &mut self,
        name: &str,
        chain: &mut Vec<String>,
        sources: &Sources,
        diagnostics: &mut Diagnostics,
    ) {
        let Some(global) = self.map.get_mut(name).filter(|g| g.state == State::Waiting) else {
            return;
        };
        global.state = State::Expanding;
        let value = global.value;
        chain.push(name.to_string());
        let mut expansion = Expansion {
            globals: self,
            chain,
            sources,
            diagnostics,
            pieces: Vec::new(),
            size: 0,
            refers_to: Vec::new(),
            unset: Vec::new(),
        };
        expansion.text(sources.text(value), value);
        let Expansion {
            pieces,
            refers_to,
            unset,
            ..
        } = expansion;
        chain.pop();
        if let Some(global) = self.map.get_mut(name) {
            (global.pieces, global.refers_to, global.unset) = (pieces, refers_to, unset);
            global.state = State::Done;
        }
    }

    /// The pieces for a reference at `at`; marks the global as used.
    pub fn refer(&mut self, name: &str, at: Span) -> Option<Vec<Piece>> {
        let global = self.map.get_mut(name)?;
        global.used_at.get_or_insert(at);
        let secret = global.secret;
        let mut pieces: Vec<Piece> = global
            .pieces
            .iter()
            .map(|p| placed(p, at, secret))
            .collect();
        if pieces.is_empty() {
            // So that an empty global differs from no value at all.
            pieces.push(Piece::Text {
                text: String::new(),
                at,
                direct: false,
                secret,
            });
        }
        Some(pieces)
    }

    /// Reports globals that nothing uses, and unset variables where they count.
    pub fn report_uses(&mut self, diagnostics: &mut Diagnostics) {
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
                let message = format!("the environment variable `{variable}` is not set");
                let help = format!("set it, or give a default: `${{{variable}:-default}}`");
                match global.used_at {
                    Some(used) => diagnostics
                        .error(*at, message)
                        .also(used, format!("`{name}` is used here"))
                        .help(help),
                    None => diagnostics.warning(*at, message).help(help),
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
        let mut out = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text { text, .. } => out.extend_from_slice(text.as_bytes()),
                Piece::Data { bytes, .. } => out.extend_from_slice(bytes),
                Piece::Reference { .. } => {}
            }
        }
        out
    }

    /// The value as it may be shown.
    pub fn shown(&self) -> String {
        if self.secret {
            crate::text::template::MASK.into()
        } else {
            crate::text::template::Template {
                pieces: self.pieces.clone(),
            }
            .shown(None)
        }
    }

    /// What of the value must never be shown: all of a secret global, and
    /// secret variables of the environment in any other.
    pub fn secrets(&self) -> Vec<Vec<u8>> {
        if self.secret {
            return vec![self.bytes()];
        }
        let data = |p: &Piece| match p {
            Piece::Data {
                bytes,
                secret: true,
                ..
            } => Some(bytes.clone()),
            _ => None,
        };
        self.pieces.iter().filter_map(data).collect()
    }
}

/// The piece as part of a value that refers to its global at `at`.
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

/// One global's value being expanded.
struct Expansion<'a> {
    globals: &'a mut Globals,
    chain: &'a mut Vec<String>,
    sources: &'a Sources,
    diagnostics: &'a mut Diagnostics,
    pieces: Vec<Piece>,
    size: usize,
    refers_to: Vec<String>,
    unset: Vec<(Span, String)>,
}

impl Expansion<'_> {
    fn text(&mut self, value: &str, at: Span) {
        let mut literal = String::new();
        let mut next = 0;
        while let Some(c) = value[next..].chars().next() {
            let rest = &value[next + c.len_utf8()..];
            let taken = match c {
                '\\' if rest.starts_with('$') => {
                    literal.push('$');
                    2
                }
                '@' => match reference_name(rest) {
                    Some("") => {
                        literal.push('@');
                        2
                    }
                    Some(name) => {
                        self.flush(&mut literal, at);
                        let length = name.len() + 2;
                        self.reference(name, at.part(next, next + length));
                        length
                    }
                    None => plain(&mut literal, c),
                },
                '$' => match variable(rest) {
                    Variable::None => plain(&mut literal, c),
                    Variable::Named {
                        name,
                        default,
                        length,
                    } => {
                        self.flush(&mut literal, at);
                        self.variable(
                            name,
                            default.map(|(from, text)| {
                                (at.part(next + 1 + from, next + 1 + from + text.len()), text)
                            }),
                            at.part(next, next + 1 + length),
                        );
                        length + 1
                    }
                    Variable::Bad => {
                        self.diagnostics
                            .error(
                                at.part(next, next + 2),
                                "expected `${NAME}` or `${NAME:-default}`",
                            )
                            .help("write `\\$` for a literal dollar");
                        literal.push(c);
                        1
                    }
                },
                _ => plain(&mut literal, c),
            };
            next += taken;
        }
        self.flush(&mut literal, at);
    }

    fn flush(&mut self, literal: &mut String, at: Span) {
        if !literal.is_empty() {
            let text = std::mem::take(literal);
            self.push(Piece::Text {
                text,
                at,
                direct: false,
                secret: false,
            });
        }
    }

    fn push(&mut self, piece: Piece) {
        let length = match &piece {
            Piece::Text { text, .. } => text.len(),
            Piece::Data { bytes, .. } => bytes.len(),
            Piece::Reference { .. } => 0,
        };
        if self.size <= LARGEST && self.size + length > LARGEST {
            self.diagnostics.error(
                piece.at(),
                "a global may grow to at most 1 MiB when it is expanded",
            );
        }
        self.size += length;
        if self.size <= LARGEST {
            self.pieces.push(piece);
        }
    }

    fn reference(&mut self, name: &str, at: Span) {
        if let Some(from) = self.chain.iter().position(|n| n == name) {
            let cycle: Vec<&str> = self.chain[from..]
                .iter()
                .map(String::as_str)
                .chain([name])
                .collect();
            self.diagnostics.error(
                at,
                format!("these globals define each other: {}", cycle.join(" -> ")),
            );
            return;
        }
        if self.globals.get(name).is_none() {
            let near = did_you_mean(name, self.globals.names());
            self.diagnostics
                .error(at, format!("there is no global `{name}`"))
                .label(near)
                .help("a global may use other globals and the environment; a task's result only in a task; `@@` is a literal `@`");
            return;
        }
        if self.chain.len() >= DEEPEST {
            self.diagnostics.error(
                at,
                format!(
                    "globals refer to each other over more than {}",
                    Count(DEEPEST, "step")
                ),
            );
            return;
        }
        self.globals
            .expand(name, self.chain, self.sources, self.diagnostics);
        self.refers_to.push(name.to_string());
        let Some(inner) = self.globals.get(name) else {
            return;
        };
        let secret = inner.secret;
        let pieces: Vec<Piece> = inner.pieces.iter().map(|p| placed(p, at, secret)).collect();
        for piece in pieces {
            self.push(piece);
        }
    }

    fn variable(&mut self, name: &str, default: Option<(Span, &str)>, at: Span) {
        let value = match environment(name, at, self.globals.strict) {
            Ok(value) => value,
            Err(message) => {
                self.diagnostics.error(at, message);
                return;
            }
        };
        let empty = matches!(&value, Some(Piece::Data { bytes, .. }) if bytes.is_empty());
        match (value, default) {
            (Some(piece), None) => self.push(piece),
            (Some(piece), Some(_)) if !empty => self.push(piece),
            (_, Some((at, text))) => self.text(text, at),
            (None, None) => self.unset.push((at, name.to_string())),
        }
    }
}

fn plain(literal: &mut String, c: char) -> usize {
    literal.push(c);
    c.len_utf8()
}

enum Variable<'a> {
    /// A dollar that is itself.
    None,
    Named {
        name: &'a str,
        default: Option<(usize, &'a str)>,
        length: usize,
    },
    Bad,
}

/// Reads what follows a `$`; lengths and offsets are bytes after it.
fn variable(rest: &str) -> Variable<'_> {
    let Some(inside) = rest.strip_prefix('{') else {
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        let name = &rest[..end];
        return if is_identifier(name) {
            Variable::Named {
                name,
                default: None,
                length: end,
            }
        } else {
            Variable::None
        };
    };
    let mut depth = 1;
    let close = inside.char_indices().find(|(at, c)| {
        match c {
            '{' if inside[..*at].ends_with('$') => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    let Some((close, _)) = close else {
        return Variable::Bad;
    };
    let content = &inside[..close];
    let (name, default) = match content.split_once(":-") {
        Some((name, default)) => (name, Some((1 + name.len() + 2, default))),
        None => (content, None),
    };
    if !is_identifier(name) {
        return Variable::Bad;
    }
    Variable::Named {
        name,
        default,
        length: close + 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::source::Source;

    /// Expands `A=…` lines and gives the value of `A` or the first error.
    fn expand(lines: &[&str]) -> Result<String, String> {
        let mut sources = Sources::default();
        let mut globals = Globals::new(false);
        for line in lines {
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            let file = sources.add(Source::new(name, value.to_string()));
            globals.define(name, Span::whole(file), Span::new(file, 0, value.len()));
        }
        let mut diagnostics = Diagnostics::default();
        globals.expand_all(&sources, &mut diagnostics);
        globals.refer("A", Span::whole(0));
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
    fn mistakes_are_found() {
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
        let chain: Vec<String> = (0..1000)
            .map(|i| format!("A{i}=@A{}@", i + 1))
            .chain(["A1000=x".into(), "A=@A0@".into()])
            .collect();
        let chain: Vec<&str> = chain.iter().map(String::as_str).collect();
        assert!(error(&chain).contains("200 steps"));
    }

    #[test]
    fn secret_names_are_known() {
        for yes in [
            "SECRET_X",
            "db_password",
            "API_KEY",
            "Token_a",
            "MASK_1",
            "x_secret",
        ] {
            assert!(is_secret(yes), "{yes}");
        }
        for no in ["KEY", "MONKEY", "PASSWORD", "TOKENS", "SECRETS"] {
            assert!(!is_secret(no), "{no}");
        }
    }
}
