//! Errors and warnings about a text: all are collected, then sorted and drawn.
//!
//! Knows nothing of the rules, only how to show that one is broken.
#![forbid(unsafe_code)]

use super::invisible::is_invisible;
use super::nearest::did_you_mean;
use super::source::{MASK, Source, SourceMap, Span, char_count};
use std::collections::HashMap;
use std::fmt::Write;
use std::io;
use std::path::Path;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    Error,
    Warning,
}

/// The check of a file that a finding belongs to (SPEC §6.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Category {
    /// Lines, keys and their values.
    #[default]
    Syntax,
    /// References between tasks, results, globals, blocks and their members.
    Dependency,
    /// The order in which tasks run.
    Flow,
    /// How commands are executed.
    ExecType,
}

/// One finding: a message and its position, with at most one related position
/// and one remedy.
#[derive(Debug)]
pub struct Diagnostic {
    pub severity: Severity,
    pub at: Span,
    pub message: String,
    category: Category,
    label: String,
    also: Option<(Span, String)>,
    help: String,
}

impl Diagnostic {
    /// Text next to the caret.
    pub fn label(&mut self, text: impl Into<String>) -> &mut Self {
        self.label = text.into();
        self
    }

    /// The category, where it differs from the current one.
    pub fn category(&mut self, category: Category) -> &mut Self {
        self.category = category;
        self
    }

    /// A related position, shown as a note.
    pub fn also(&mut self, at: Span, text: impl Into<String>) -> &mut Self {
        self.also = Some((at, text.into()));
        self
    }

    /// The remedy, only if it is certain; an empty text adds nothing.
    pub fn help(&mut self, text: impl Into<String>) -> &mut Self {
        self.help = text.into();
        self
    }
}

/// Why a condition or a script cannot be parsed, and where. `help` may be empty.
#[derive(Debug, PartialEq)]
pub struct SyntaxError {
    pub at: Span,
    pub message: String,
    pub help: &'static str,
}

impl SyntaxError {
    pub fn new(at: Span, message: impl Into<String>) -> SyntaxError {
        SyntaxError {
            at,
            message: message.into(),
            help: "",
        }
    }

    pub fn with_help(self, help: &'static str) -> SyntaxError {
        SyntaxError { help, ..self }
    }
}

/// The findings of one pass over the sources.
#[derive(Default)]
pub struct DiagnosticList {
    list: Vec<Diagnostic>,
    /// Where each finding is in the list.
    known: HashMap<(Span, String), usize>,
    /// The latest finding beyond `KEPT`; the one before it is dropped.
    overflow: Option<Diagnostic>,
    /// How many errors and warnings were dropped.
    dropped: [usize; 2],
    /// The category of the next finding.
    category: Category,
}

/// How many findings are drawn; the rest are only counted.
const SHOWN: usize = 50;
/// How many are kept, so that a huge file that is not a task file does not fill
/// the memory with findings.
const KEPT: usize = 10_000;

impl DiagnosticList {
    pub fn error(&mut self, at: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.add(Severity::Error, at, message.into())
    }

    /// An error whose message may end with "did you mean", which is shown next to
    /// the caret instead.
    pub fn error_with_suggestion(&mut self, at: Span, message: &str) -> &mut Diagnostic {
        match message.rfind("; did you mean `") {
            Some(end) => self.error(at, &message[..end]).label(&message[end + 2..]),
            None => self.error(at, message),
        }
    }

    pub fn syntax_error(&mut self, bad: SyntaxError) -> &mut Diagnostic {
        self.error(bad.at, bad.message).help(bad.help)
    }

    pub fn warning(&mut self, at: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.add(Severity::Warning, at, message.into())
    }

    /// Sets the category of all further findings.
    pub fn begin_category(&mut self, category: Category) {
        self.category = category;
    }

    /// How many of the errors that are kept have this category.
    pub fn errors_in(&self, category: Category) -> usize {
        let errors = self.list.iter().filter(|d| d.severity == Severity::Error);
        errors.filter(|d| d.category == category).count()
    }

    /// Adds a finding; one that is there already is only changed.
    fn add(&mut self, severity: Severity, at: Span, message: String) -> &mut Diagnostic {
        let index = self.list.len();
        let known = self.known.entry((at, message.clone())).or_insert(index);
        if *known < index {
            return &mut self.list[*known];
        }
        let diagnostic = Diagnostic {
            severity,
            at,
            message,
            category: self.category,
            label: String::new(),
            also: None,
            help: String::new(),
        };
        if index >= KEPT {
            self.known.clear();
            self.dropped[severity as usize] += 1;
            return self.overflow.insert(diagnostic);
        }
        self.list.push(diagnostic);
        &mut self.list[index]
    }

    /// How many findings there are, dropped ones included.
    pub fn count(&self, severity: Severity) -> usize {
        let kept = self.list.iter().filter(|d| d.severity == severity).count();
        kept + self.dropped[severity as usize]
    }

    pub fn has_errors(&self) -> bool {
        self.dropped[Severity::Error as usize] > 0
            || self.list.iter().any(|d| d.severity == Severity::Error)
    }

    /// Whether there are more findings than are drawn, so that it is a waste to
    /// compute remedies for further ones.
    pub fn are_many(&self) -> bool {
        self.list.len() > SHOWN
    }

    /// "did you mean", or an empty text once there are more findings than are drawn.
    pub fn suggest<'a>(&self, word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
        match self.are_many() {
            true => String::new(),
            false => did_you_mean(word, candidates),
        }
    }

    /// The message of each finding that is kept.
    #[cfg(test)]
    pub fn messages(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|d| d.message.as_str())
    }

    /// The message of the first error.
    pub fn first_message(&self) -> Option<String> {
        self.list
            .iter()
            .find(|d| d.severity == Severity::Error)
            .map(|d| d.message.clone())
    }

    /// Drops the warnings (`--skip-task-validation`).
    pub fn drop_warnings(&mut self) {
        self.list.retain(|d| d.severity == Severity::Error);
        self.known.clear();
        self.dropped[Severity::Warning as usize] = 0;
    }

    /// Draws the first 50 findings in the order of their positions, of each kind of
    /// warning three, and counts the rest.
    pub fn draw(&self, sources: &SourceMap) -> String {
        self.draw_up_to(SHOWN, FOLDED, sources)
    }

    /// Draws every finding that is kept, unless their lines are very long.
    pub fn draw_all(&self, sources: &SourceMap) -> String {
        self.draw_up_to(KEPT, usize::MAX, sources)
    }

    fn draw_up_to(&self, most: usize, of_a_kind: usize, sources: &SourceMap) -> String {
        let mut kinds = KindCounts::new(&self.list, of_a_kind);
        let (mut out, mut shown, mut left) = (String::new(), 0, self.dropped);
        let (mut help, mut room) = ("", MOST_LINES);
        for diagnostic in self.in_order() {
            let place = kinds.place(diagnostic);
            if place == KindPlace::Folded {
                continue;
            }
            let source = sources.get(diagnostic.at.file);
            let length = source.line_length(diagnostic.at.start as usize);
            // The first is drawn, however long its line is.
            if shown == most || (length > room && shown > 0) {
                left[diagnostic.severity as usize] += 1;
                continue;
            }
            shown += 1;
            room = room.saturating_sub(length);
            draw_one(&mut out, sources, diagnostic, help);
            if !diagnostic.help.is_empty() {
                help = &diagnostic.help;
            }
            if let KindPlace::LastShown(more) = place {
                let _ = writeln!(out, "... and {more} more like this");
            }
        }
        if left != [0, 0] {
            let [errors, warnings] = left;
            let _ = writeln!(
                out,
                "... and {}, {}",
                Plural(errors, "more error"),
                Plural(warnings, "more warning")
            );
        }
        out
    }

    /// The findings by their positions; those at one position stay in the order in
    /// which they were found.
    fn in_order(&self) -> impl Iterator<Item = &Diagnostic> {
        let mut order: Vec<(usize, &Diagnostic)> = self.list.iter().enumerate().collect();
        order.sort_unstable_by_key(|(number, d)| (d.at.file, d.at.start, *number));
        order.into_iter().map(|(_, diagnostic)| diagnostic)
    }
}

/// How many bytes of lines are looked at to draw their findings: one line can be long
/// and have many.
const MOST_LINES: usize = 4 << 20;

/// How many warnings of a kind are drawn before the others are only counted.
const FOLDED: usize = 3;

/// Where a finding is among the findings of its kind.
#[derive(PartialEq)]
enum KindPlace {
    Shown,
    /// The last one that is drawn, with the number of those that follow.
    LastShown(usize),
    Folded,
}

/// The warnings of each kind: how many there are, and how many came so far.
struct KindCounts {
    counts: HashMap<String, (usize, usize)>,
    most: usize,
}

impl KindCounts {
    fn new(list: &[Diagnostic], most: usize) -> KindCounts {
        let mut counts: HashMap<String, (usize, usize)> = HashMap::new();
        let warnings = list.iter().filter(|d| d.severity == Severity::Warning);
        for warning in warnings {
            counts.entry(kind_of(&warning.message)).or_default().0 += 1;
        }
        KindCounts { counts, most }
    }

    /// Takes the next finding.
    fn place(&mut self, diagnostic: &Diagnostic) -> KindPlace {
        if diagnostic.severity == Severity::Error {
            return KindPlace::Shown;
        }
        let counts = self.counts.entry(kind_of(&diagnostic.message)).or_default();
        counts.1 += 1;
        match *counts {
            (all, seen) if seen == self.most && all > seen => KindPlace::LastShown(all - seen),
            (_, seen) if seen > self.most => KindPlace::Folded,
            _ => KindPlace::Shown,
        }
    }
}

/// The message without what differs from one finding of a kind to the next: what is
/// quoted, and numbers.
fn kind_of(message: &str) -> String {
    let unquoted = message.split('`').step_by(2);
    let kind: String = unquoted.collect();
    kind.replace(|c: char| c.is_ascii_digit(), "")
}

/// Draws a finding, but not the remedy that was drawn last.
fn draw_one(out: &mut String, sources: &SourceMap, d: &Diagnostic, last_help: &str) {
    let word = match d.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    draw_place(
        out,
        sources.get(d.at.file),
        d.at,
        word,
        &d.message,
        &d.label,
    );
    if let Some((at, text)) = &d.also {
        draw_place(out, sources.get(at.file), *at, "note", text, "");
    }
    if !d.help.is_empty() && d.help != last_help {
        let _ = writeln!(out, "     = help: {}", cut(&printable(&d.help)));
    }
}

/// Draws one position: the message, the line of text and the carets under it.
fn draw_place(out: &mut String, source: &Source, at: Span, word: &str, message: &str, label: &str) {
    let name = printable(&source.name);
    if at.is_whole() {
        let _ = writeln!(out, "{name}: {word}: {}", cut(&printable(message)));
        return;
    }
    let (line, column, start) = source.position(at.start as usize);
    let _ = writeln!(
        out,
        "{name}:{line}:{column}: {word}: {}",
        cut(&printable(message))
    );
    let (text, hidden) = source.shown_line(start);
    let length = source
        .text
        .get(at.start as usize..at.end as usize)
        .map_or(1, |s| s.chars().count());
    let (column, length) = match hidden {
        // The carets mark the whole mask or nothing of it.
        Some(from) if column > from => (from + 1, MASK.len()),
        Some(from) => (column, length.min(from + 1 - column)),
        None => (column, length),
    };
    let window = Excerpt::around(&text, column - 1, length.max(1));
    let _ = writeln!(out, "{line:>4} | {}", window.text.trim_end());
    let label = if label.is_empty() {
        String::new()
    } else {
        format!(" {}", printable(label))
    };
    let _ = writeln!(
        out,
        "     | {}{}{label}",
        " ".repeat(window.caret),
        "^".repeat(window.length)
    );
}

/// The part of a long line that fits in 80 columns, margin included.
struct Excerpt {
    text: String,
    caret: usize,
    length: usize,
}

impl Excerpt {
    const WIDTH: usize = 73;

    fn around(line: &str, column: usize, length: usize) -> Excerpt {
        let total = char_count(line);
        let first = if total <= Self::WIDTH {
            0
        } else {
            column.saturating_sub(30).min(total - Self::WIDTH + 3)
        };
        let mut text = String::new();
        if first > 0 {
            text.push_str("...");
        }
        let room = Self::WIDTH - text.len();
        let cut = total - first > room;
        let shown = if cut { room - 3 } else { room };
        let from = match total == line.len() {
            true => first,
            false => line.char_indices().nth(first).map_or(line.len(), |c| c.0),
        };
        text.extend(line[from..].chars().take(shown).map(plain));
        let caret = column - first + if first > 0 { 3 } else { 0 };
        let length = length
            .min((total + 1).saturating_sub(column))
            .min(Self::WIDTH.saturating_sub(caret))
            .max(1);
        if cut {
            text.push_str("...");
        }
        Excerpt {
            text,
            caret,
            length,
        }
    }
}

/// The character, or one of the same width that cannot control a terminal.
fn plain(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() || is_invisible(c) => '\u{fffd}',
        c => c,
    }
}

/// The text for use in a message: nothing in it can start a line or control a
/// terminal.
pub fn printable(text: &str) -> String {
    // Nearly every text is printable as it is.
    match text.bytes().all(|b| matches!(b, b' '..=b'~')) {
        true => text.to_string(),
        false => text.chars().map(plain).collect(),
    }
}

/// Shortens a message that quotes a long text.
fn cut(text: &str) -> String {
    const HEAD: usize = 200;
    const TAIL: usize = 60;
    let length = text.chars().count();
    if length <= HEAD + TAIL + 5 {
        return text.to_string();
    }
    let head: String = text.chars().take(HEAD).collect();
    let tail: String = text.chars().skip(length - TAIL).collect();
    format!("{head} ... {tail}")
}

/// What was found where something else was expected: "`x`", or "nothing".
pub struct Found<'a>(pub &'a str);

impl std::fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self.0 {
            "" => f.write_str("nothing"),
            text => write!(f, "`{text}`"),
        }
    }
}

/// A message that says what was expected and what was found.
pub fn expected(what: &str, found: &str) -> String {
    format!("expected {what}, found {}", Found(found))
}

/// The text of a system error, without Rust's ` (os error N)`.
pub fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_string(),
        None => text,
    }
}

/// Describes an error with what failed: "cannot write `PATH`: REASON".
pub fn cannot(what: &str, path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |e| {
        let path = printable(&path.display().to_string());
        io::Error::new(e.kind(), format!("cannot {what} `{path}`: {}", reason(&e)))
    }
}

/// A number with its noun: "1 task", "2 tasks".
pub struct Plural(pub usize, pub &'static str);

impl std::fmt::Display for Plural {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let plural = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} {}{plural}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(text: &str, start: usize, end: usize) -> String {
        let mut sources = SourceMap::default();
        let file = sources.add(Source::new("f.txt", text.into()));
        let mut diagnostics = DiagnosticList::default();
        diagnostics
            .error(Span::new(file, start, end), "it is wrong")
            .label("here");
        diagnostics.draw(&sources)
    }

    #[test]
    fn a_position_is_drawn_under_its_line() {
        assert_eq!(
            drawn("a=1\nbad=2\n", 4, 7),
            "f.txt:2:1: error: it is wrong\n   2 | bad=2\n     | ^^^ here\n"
        );
    }

    #[test]
    fn long_lines_are_cut_around_the_caret() {
        let text = format!("{}X{}", "a".repeat(500), "b".repeat(500));
        let shown = drawn(&text, 500, 501);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines.iter().all(|l| l.chars().count() <= 80 + 5), "{shown}");
        assert_eq!(lines[1].find('X'), lines[2].find('^'), "{shown}");
    }

    #[test]
    fn a_secret_is_not_drawn() {
        let mut sources = SourceMap::default();
        let file = sources.add(Source::new("f", "A=1\nS_KEY=hunter2@X@ \n".into()));
        sources.hide(Span::new(file, 10, 20));
        let mut diagnostics = DiagnosticList::default();
        diagnostics.error(Span::new(file, 17, 20), "no");
        assert_eq!(
            diagnostics.draw(&sources),
            "f:2:14: error: no\n   2 | S_KEY=***\n     |       ^^^\n"
        );
    }

    #[test]
    fn dropped_findings_are_counted() {
        let mut diagnostics = DiagnosticList::default();
        for number in 0..KEPT + 5 {
            diagnostics
                .warning(Span::new(0, number, number), "w")
                .label("x".repeat(3));
        }
        assert!(!diagnostics.has_errors());
        diagnostics.error(Span::new(0, 0, 0), "e");
        assert!(diagnostics.has_errors());
        assert_eq!(diagnostics.count(Severity::Warning), KEPT + 5);
    }

    #[test]
    fn warnings_of_a_kind_are_folded_and_a_remedy_is_drawn_once() {
        let mut sources = SourceMap::default();
        let file = sources.add(Source::new("f", "a\n".repeat(20)));
        let mut diagnostics = DiagnosticList::default();
        // Backwards: they are sorted.
        for line in (0..10).rev() {
            let at = Span::new(file, line * 2, line * 2 + 1);
            diagnostics
                .warning(at, format!("`{line}` of task {line} is odd"))
                .help("do it");
            diagnostics.error(at, format!("`{line}` is wrong"));
        }
        let drawn = diagnostics.draw(&sources);
        let starting = |word: &str| drawn.lines().filter(|l| l.contains(word)).count();
        assert_eq!((starting("is odd"), starting("is wrong")), (3, 10));
        assert_eq!(starting("= help: do it"), 1);
        let (before, after) = drawn
            .split_once("... and 7 more like this\n")
            .expect("a fold");
        assert!(before.contains("`2` of task 2 is odd") && !after.contains("is odd"));
        assert!(after.starts_with("f:3:1: error: `2` is wrong\n"), "{drawn}");
        let all = diagnostics.draw_all(&sources);
        assert_eq!(all.matches("is odd").count(), 10);
    }

    #[test]
    fn invisible_characters_are_shown() {
        let shown = printable("a\u{202e}b\u{feff}c\u{2028}\u{1b}[0m\u{e9}");
        assert_eq!(shown, "a\u{fffd}b\u{fffd}c\u{fffd}\u{fffd}[0m\u{e9}");
    }

    #[test]
    fn counts_have_a_plural() {
        assert_eq!(
            format!("{}, {}", Plural(1, "error"), Plural(2, "warning")),
            "1 error, 2 warnings"
        );
    }
}
