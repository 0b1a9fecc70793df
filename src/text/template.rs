//! Values that contain references: `@NAME@`, `@5_stdout@`, `@5_stdout:-none@`, `@@`.
//!
//! A value is parsed once, into pieces that record where each part came from. That
//! origin keeps data from becoming syntax (SPEC §2.4): only `Text` is ever split,
//! quoted or searched for operators.
#![forbid(unsafe_code)]

use super::source::{MASK, Span};
use crate::outcome::{HostSet, Outcome};
use std::borrow::Cow;

/// A field of a task's result (SPEC §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Stdout,
    /// The output, read as one number.
    Number,
    Stderr,
    StdoutFile,
    StderrFile,
    Exit,
    Success,
    Hostname,
    Command,
    Outcome,
    Duration,
    Attempts,
    Count(BlockCount),
    Hosts(HostSet),
}

/// A count that a block keeps: of the subtasks with one outcome, or of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockCount {
    Ended(Outcome),
    Total,
}

/// Every name of a field, in lower case.
pub const FIELDS: &[(&str, Field)] = &[
    ("stdout", Field::Stdout),
    ("stderr", Field::Stderr),
    ("number", Field::Number),
    ("stdout_file", Field::StdoutFile),
    ("stderr_file", Field::StderrFile),
    ("exit", Field::Exit),
    ("exit_code", Field::Exit),
    ("success", Field::Success),
    ("hostname", Field::Hostname),
    ("command", Field::Command),
    ("outcome", Field::Outcome),
    ("duration", Field::Duration),
    ("attempts", Field::Attempts),
    (
        "success_count",
        Field::Count(BlockCount::Ended(Outcome::Ok)),
    ),
    (
        "failed_count",
        Field::Count(BlockCount::Ended(Outcome::Failed)),
    ),
    (
        "timeout_count",
        Field::Count(BlockCount::Ended(Outcome::Timeout)),
    ),
    (
        "unreachable_count",
        Field::Count(BlockCount::Ended(Outcome::Unreachable)),
    ),
    (
        "cancelled_count",
        Field::Count(BlockCount::Ended(Outcome::Cancelled)),
    ),
    (
        "not_started_count",
        Field::Count(BlockCount::Ended(Outcome::NotStarted)),
    ),
    (
        "skipped_count",
        Field::Count(BlockCount::Ended(Outcome::Skipped)),
    ),
    (
        "unknown_count",
        Field::Count(BlockCount::Ended(Outcome::Unknown)),
    ),
    ("total_count", Field::Count(BlockCount::Total)),
    ("ok_hosts", Field::Hosts(HostSet::Ok)),
    ("failed_hosts", Field::Hosts(HostSet::Failed)),
    ("unreachable_hosts", Field::Hosts(HostSet::Unreachable)),
    ("not_started_hosts", Field::Hosts(HostSet::NotStarted)),
    ("unknown_hosts", Field::Hosts(HostSet::Unknown)),
    ("not_ok_hosts", Field::Hosts(HostSet::NotOk)),
];

impl Field {
    /// The field with that name, in any case.
    pub fn from_name(name: &str) -> Option<Field> {
        FIELDS
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, f)| *f)
    }

    pub fn name(self) -> &'static str {
        FIELDS
            .iter()
            .find(|(_, f)| *f == self)
            .map_or("", |(n, _)| n)
    }

    /// Whether a command cannot do without it: a missing one fails the task
    /// unstarted (SPEC §2.1).
    pub fn is_required(self) -> bool {
        matches!(self, Field::Stdout | Field::StdoutFile | Field::Number) || self.is_host_set()
    }

    /// Whether it is a set of a block's hosts.
    pub fn is_host_set(self) -> bool {
        self.is_block_only() && !matches!(self, Field::Count(_))
    }

    /// Whether only blocks have this field.
    pub fn is_block_only(self) -> bool {
        matches!(self, Field::Count(_) | Field::Hosts(_))
    }
}

/// What a reference refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A field of the result of the task with this index.
    Field {
        task: usize,
        field: Field,
    },
    /// `@task@`: the id of the running task, `BLOCK.INDEX` in a `hostnames` block.
    Task,
    Hostname,
    Loop,
    Attempt,
    RunOutcome,
    /// A global that is read as a number, and is none.
    NoNumber,
}

impl Reference {
    /// Whether the value comes from outside; the others are numbers that tasker
    /// itself assigns.
    pub fn is_data(self) -> bool {
        !matches!(self, Reference::Task | Reference::Loop | Reference::Attempt)
    }
}

/// One part of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// The author's text. `direct` text is written at `at` character by character;
    /// other text comes from a global that is referred to at `at`.
    Text {
        text: String,
        at: Span,
        direct: bool,
        secret: bool,
    },
    /// A value from the environment: never syntax.
    Data {
        bytes: Vec<u8>,
        at: Span,
        secret: bool,
    },
    Reference {
        to: Reference,
        at: Span,
        written: String,
        /// Replaces an empty or missing value: the TEXT of `@ID_FIELD:-TEXT@`.
        default: Option<Box<str>>,
    },
}

/// A parsed value; a run fills in its references.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Template {
    pub pieces: Vec<Piece>,
}

/// Supplies the values of references during a run.
pub trait Lookup {
    fn value(&self, reference: Reference) -> Cow<'_, [u8]>;

    /// Why a reference that asks for a number has no value, if it asks for one and the
    /// result is there; `written` is the reference.
    fn why_no_number(
        &self,
        _reference: Reference,
        _written: &str,
        _default: Option<&str>,
    ) -> Option<String> {
        None
    }

    /// The value, or the default where it is empty or missing.
    fn value_or<'v>(&'v self, reference: Reference, default: Option<&'v str>) -> Cow<'v, [u8]> {
        let value = self.value(reference);
        match default {
            Some(default) if value.is_empty() => Cow::Borrowed(default.as_bytes()),
            _ => value,
        }
    }
}

impl Template {
    /// The author's text, without references.
    pub fn literal(text: &str, at: Span) -> Template {
        Template {
            pieces: vec![Piece::Text {
                text: text.into(),
                at,
                direct: true,
                secret: false,
            }],
        }
    }

    /// The value, if it does not depend on the run.
    pub fn known(&self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text { text, .. } => out.extend_from_slice(text.as_bytes()),
                Piece::Data { bytes, .. } => out.extend_from_slice(bytes),
                Piece::Reference { .. } => return None,
            }
        }
        Some(out)
    }

    /// The known value as text; U+FFFD replaces what is not UTF-8.
    pub fn known_text(&self) -> Option<Cow<'_, str>> {
        // Most values are one piece of text: avoid a copy.
        match self.pieces.as_slice() {
            [] => Some(Cow::Borrowed("")),
            [Piece::Text { text, .. }] => Some(Cow::Borrowed(text)),
            _ => {
                let bytes = self.known()?;
                Some(Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()))
            }
        }
    }

    /// The value in a run.
    pub fn fill(&self, values: &dyn Lookup) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text { text, .. } => out.extend_from_slice(text.as_bytes()),
                Piece::Data { bytes, .. } => out.extend_from_slice(bytes),
                Piece::Reference { to, default, .. } => {
                    out.extend_from_slice(&values.value_or(*to, default.as_deref()))
                }
            }
        }
        out
    }

    /// Why a part of the value that must be a number is none; `None` if all is well.
    pub fn why_no_number(&self, values: &dyn Lookup) -> Option<String> {
        self.pieces.iter().find_map(|piece| match piece {
            Piece::Reference {
                to,
                written,
                default,
                ..
            } => values.why_no_number(*to, written, default.as_deref()),
            _ => None,
        })
    }

    /// The value for display: secrets masked; references filled in, or as written
    /// before a run.
    pub fn shown(&self, values: Option<&dyn Lookup>) -> String {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text { secret: true, .. } | Piece::Data { secret: true, .. } => {
                    out.push_str(MASK)
                }
                Piece::Text { text, .. } => out.push_str(text),
                Piece::Data { bytes, .. } => out.push_str(&String::from_utf8_lossy(bytes)),
                Piece::Reference {
                    to,
                    written,
                    default,
                    ..
                } => match values {
                    Some(values) => {
                        let value = values.value_or(*to, default.as_deref());
                        out.push_str(&String::from_utf8_lossy(&value))
                    }
                    None => out.push_str(written),
                },
            }
        }
        out
    }

    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether the value contains a secret.
    pub fn has_secret(&self) -> bool {
        self.pieces.iter().any(Piece::is_secret)
    }

    /// Every reference, with its position.
    pub fn references(&self) -> impl Iterator<Item = (Reference, Span)> + '_ {
        self.pieces.iter().filter_map(|p| match p {
            Piece::Reference { to, at, .. } => Some((*to, *at)),
            _ => None,
        })
    }

    /// Whether part of the value is known only during a run.
    pub fn depends_on_run(&self) -> bool {
        self.references().next().is_some()
    }

    /// Whether its last piece is text that ends so.
    pub fn ends_with(&self, c: char) -> bool {
        matches!(self.pieces.last(), Some(Piece::Text { text, .. }) if text.ends_with(c))
    }

    /// Appends a character of the author's text.
    pub fn push_char(&mut self, c: char, at: Span, secret: bool) {
        self.push_text(c.encode_utf8(&mut [0; 4]), at, secret);
    }

    /// Appends the author's text to the piece before it where that is text too.
    pub fn push_text(&mut self, more: &str, at: Span, secret: bool) {
        if let Some(Piece::Text {
            text,
            secret: before,
            ..
        }) = self.pieces.last_mut()
            && *before == secret
        {
            text.push_str(more);
            return;
        }
        let piece = Piece::Text {
            text: more.into(),
            at,
            direct: false,
            secret,
        };
        // Most words stay one piece; `push` would reserve room for four.
        match self.pieces.is_empty() {
            true => self.pieces = vec![piece],
            false => self.pieces.push(piece),
        }
    }
}

impl Piece {
    /// Text of a global that is referred to at `at`.
    pub fn of_global(text: impl Into<String>, at: Span) -> Piece {
        Piece::Text {
            text: text.into(),
            at,
            direct: false,
            secret: false,
        }
    }

    /// Marks what is known of it as a secret.
    pub fn mark_secret(&mut self) {
        if let Piece::Text { secret, .. } | Piece::Data { secret, .. } = self {
            *secret = true;
        }
    }

    /// Data that is referred to at `at`.
    pub fn data(bytes: impl Into<Vec<u8>>, at: Span) -> Piece {
        Piece::Data {
            bytes: bytes.into(),
            at,
            secret: false,
        }
    }

    pub fn is_secret(&self) -> bool {
        matches!(
            self,
            Piece::Text { secret: true, .. } | Piece::Data { secret: true, .. }
        )
    }

    /// Whether a command gets it only as a number, in which a shell finds nothing to
    /// evaluate.
    pub fn is_number(&self) -> bool {
        let Piece::Reference { to, .. } = self else {
            return false;
        };
        match to {
            Reference::Field { field, .. } => *field == Field::Number,
            to => *to == Reference::NoNumber,
        }
    }

    /// The number of bytes that are known before a run.
    pub fn size(&self) -> usize {
        match self {
            Piece::Text { text, .. } => text.len(),
            Piece::Data { bytes, .. } => bytes.len(),
            Piece::Reference { .. } => 0,
        }
    }

    /// Roughly what it takes in memory; a value can have many empty pieces.
    pub fn cost(&self) -> usize {
        size_of::<Piece>() + self.size()
    }

    pub fn at(&self) -> Span {
        match self {
            Piece::Text { at, .. } | Piece::Data { at, .. } | Piece::Reference { at, .. } => *at,
        }
    }
}

/// A reference as it is written: `@NAME@` or `@NAME:-TEXT@`.
pub struct WrittenReference<'a> {
    pub name: &'a str,
    /// TEXT, in which `@@` has become `@`.
    pub default: Option<String>,
    pub at: Span,
}

/// Turns a reference into pieces; reports an unknown name itself.
pub type ReferenceLookup<'a> = dyn FnMut(WrittenReference) -> Vec<Piece> + 'a;

/// Parses a value.
///
/// ```text
/// value     := { "@@" | "@" NAME [ ":-" TEXT ] "@" | any character }
/// NAME      := letters, digits and "_"
/// TEXT      := { "@@" | any character but "@" }
/// ```
/// An `@` that does not begin a reference is literal (`user@host`). TEXT is literal:
/// it is never split, and holds no reference.
pub fn parse(value: &str, at: Span, resolve: &mut ReferenceLookup) -> Template {
    // Most values are one piece of text; `push` would reserve room for four.
    if !value.is_empty() && !value.contains('@') {
        return Template::literal(value, at);
    }
    let mut pieces = Vec::new();
    let mut from = 0;
    let mut next = 0;
    let text = |from: usize, to: usize, pieces: &mut Vec<Piece>| {
        if from < to {
            let text = value[from..to].to_string();
            pieces.push(Piece::Text {
                text,
                at: at.part(from, to),
                direct: true,
                secret: false,
            });
        }
    };
    while let Some(found) = value[next..].find('@') {
        let open = next + found;
        let after = &value[open + 1..];
        if after.starts_with('@') {
            text(from, open + 1, &mut pieces);
            from = open + 2;
            next = from;
        } else if let Some((name, default, length)) = reference(after) {
            text(from, open, &mut pieces);
            from = open + 1 + length;
            next = from;
            pieces.extend(resolve(WrittenReference {
                name,
                default,
                at: at.part(open, from),
            }));
        } else {
            next = open + 1;
        }
    }
    text(from, value.len(), &mut pieces);
    Template { pieces }
}

/// After the `@` that opens a reference: its name, its default, and the length up to
/// the end of the closing `@`.
pub fn reference(after: &str) -> Option<(&str, Option<String>, usize)> {
    let name = leading_name(after);
    let (end, rest) = (name.len(), &after[name.len()..]);
    if let Some(rest) = rest.strip_prefix(":-").filter(|_| !name.is_empty()) {
        let (default, length) = default_text(rest)?;
        return Some((name, Some(default), end + 2 + length));
    }
    rest.starts_with('@').then_some((name, None, end + 1))
}

/// The default that begins the text, and its length with the closing `@`.
fn default_text(rest: &str) -> Option<(String, usize)> {
    let mut text = String::new();
    let mut from = 0;
    loop {
        let end = from + rest[from..].find('@')?;
        text.push_str(&rest[from..end]);
        if !rest[end + 1..].starts_with('@') {
            return Some((text, end + 1));
        }
        text.push('@');
        from = end + 2;
    }
}

/// The characters of a name with which the text begins; they can be none.
pub fn leading_name(text: &str) -> &str {
    let end = text.find(|c| !is_name_char(c)).unwrap_or(text.len());
    &text[..end]
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The name up to the closing `@`, empty for `@@`; `None` if there is no reference.
pub fn reference_name(after: &str) -> Option<&str> {
    let name = leading_name(after);
    after[name.len()..].starts_with('@').then_some(name)
}

/// The names in the author's text after an `@` that no second one closes, with their
/// positions, the `@` included.
pub fn unclosed_names(value: &Template) -> impl Iterator<Item = (&str, Span)> {
    let texts = value.pieces.iter().filter_map(|piece| match piece {
        Piece::Text {
            text,
            at,
            direct: true,
            ..
        } => Some((text, at)),
        _ => None,
    });
    texts.flat_map(|(text, at)| {
        text.match_indices('@').filter_map(|(open, _)| {
            let name = leading_name(&text[open + 1..]);
            let end = open + 1 + name.len();
            // A default after it is never closed either, which is another mistake.
            let alone = !name.is_empty() && !text[end..].starts_with(":-");
            alone.then(|| (name, at.part(open, end)))
        })
    })
}

/// The warning about a name from `unclosed_names` that could be a reference.
pub fn unclosed_message(name: &str) -> (String, String) {
    (
        format!("`@{name}` is text here, since no `@` closes it"),
        format!("write `@{name}@` for the value, `@@{name}` for the text"),
    )
}

/// A symbol of a value whose text is parsed as syntax.
#[derive(Clone, Debug)]
pub enum Symbol<'a> {
    /// A character of the author's text. Only `direct` characters can begin a
    /// `$NAME`; a global's were expanded when the file was loaded.
    Char {
        c: char,
        at: Span,
        direct: bool,
        secret: bool,
    },
    /// Data or a reference: part of a word, never syntax.
    Atom(&'a Piece),
}

/// An iterator over the symbols of a value.
#[derive(Clone)]
pub struct SymbolStream<'a> {
    pieces: &'a [Piece],
    /// How many bytes of the first piece have been read.
    read: usize,
}

/// The symbols of a value.
pub fn symbols(template: &Template) -> SymbolStream<'_> {
    SymbolStream {
        pieces: &template.pieces,
        read: 0,
    }
}

impl<'a> Iterator for SymbolStream<'a> {
    type Item = Symbol<'a>;

    fn next(&mut self) -> Option<Symbol<'a>> {
        loop {
            let (first, rest) = self.pieces.split_first()?;
            let Piece::Text {
                text,
                direct,
                secret,
                ..
            } = first
            else {
                self.pieces = rest;
                return Some(Symbol::Atom(first));
            };
            if let Some(c) = text[self.read..].chars().next() {
                let at = self.place(first, c);
                self.read += c.len_utf8();
                return Some(Symbol::Char {
                    c,
                    at,
                    direct: *direct,
                    secret: *secret,
                });
            }
            (self.pieces, self.read) = (rest, 0);
        }
    }
}

impl<'a> SymbolStream<'a> {
    /// The text up to the next of these ASCII characters, in one step; `None` if
    /// one of them, data or a reference is next.
    pub fn text_run(&mut self, to: &[u8]) -> Option<(&'a str, Span, bool)> {
        let first = self.pieces.first()?;
        let Piece::Text { text, secret, .. } = first else {
            return None;
        };
        let rest = &text[self.read..];
        let end = rest.bytes().position(|b| to.contains(&b));
        let run = &rest[..end.unwrap_or(rest.len())];
        let at = self.place(first, run.chars().next()?);
        self.read += run.len();
        Some((run, at, *secret))
    }

    /// The position of `c`, the next character of the first piece.
    fn place(&self, first: &Piece, c: char) -> Span {
        match first {
            Piece::Text {
                at, direct: true, ..
            } => at.part(self.read, self.read + c.len_utf8()),
            piece => piece.at(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(value: &str) -> String {
        let mut seen = String::new();
        let mut resolve = |written: WrittenReference| {
            let WrittenReference { name, default, at } = written;
            let default = default.map_or(String::new(), |d| format!(" else {d}"));
            let seen = format!("<{name}:{}-{}{default}>", at.start, at.end);
            vec![Piece::data(seen, at)]
        };
        for piece in parse(value, Span::new(0, 0, value.len()), &mut resolve).pieces {
            match piece {
                Piece::Text { text, .. } => seen.push_str(&text),
                Piece::Data { bytes, .. } => seen.push_str(&String::from_utf8_lossy(&bytes)),
                Piece::Reference { .. } => unreachable!(),
            }
        }
        seen
    }

    #[test]
    fn references_and_literal_signs_are_distinguished() {
        assert_eq!(shape("a @X@ b"), "a <X:2-5> b");
        assert_eq!(shape("@0_stdout@@B@"), "<0_stdout:0-10><B:10-13>");
        assert_eq!(shape("user@host and a@b.c"), "user@host and a@b.c");
        assert_eq!(shape("user@@host"), "user@host");
        assert_eq!(shape("@@X@@"), "@X@");
        assert_eq!(shape("@ @"), "@ @");
        assert_eq!(shape("a@b @X@"), "a@b <X:4-7>");
    }

    #[test]
    fn a_default_ends_at_the_next_single_sign() {
        assert_eq!(shape("@X:-none@"), "<X:0-9 else none>");
        assert_eq!(shape("a @X:-@ b"), "a <X:2-7 else > b");
        assert_eq!(shape("@X:-a b 'c@@d\"@!"), "<X:0-15 else a b 'c@d\">!");
        assert_eq!(shape("@X:-:-}@@Y@"), "<X:0-11 else :-}@Y>");
        assert_eq!(shape("@X:-open"), "@X:-open");
        assert_eq!(shape("@X:-open@@"), "@X:-open@");
        assert_eq!(shape("@:-x@ @X:x@ @X-x@"), "@:-x@ @X:x@ @X-x@");
        assert_eq!(shape("u@host:/x @Y@"), "u@host:/x <Y:10-13>");
    }

    #[test]
    fn a_secret_is_masked() {
        let at = Span::new(0, 0, 1);
        let template = Template {
            pieces: vec![
                Piece::Text {
                    text: "p=".into(),
                    at,
                    direct: true,
                    secret: false,
                },
                Piece::Text {
                    text: "x1".into(),
                    at,
                    direct: false,
                    secret: true,
                },
            ],
        };
        assert_eq!(template.shown(None), "p=***");
        assert_eq!(template.known(), Some(b"p=x1".to_vec()));
    }
}
