//! Mistakes and doubts about a text: collected all, then sorted and drawn.
//!
//! Does not know what the rules are, only how a broken one is shown.
#![forbid(unsafe_code)]

use super::source::{MASK, Source, SourceMap, Span};
use std::fmt::Write;
use std::io;
use std::path::Path;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    Error,
    Warning,
}

/// Which check of a file a finding belongs to (SPEC §6.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Category {
    /// Lines, keys and their values.
    #[default]
    Syntax,
    /// What refers to what: tasks, results, globals, blocks and their members.
    Dependency,
    /// Where the flow goes.
    Flow,
    /// How commands are carried out.
    ExecType,
}

/// One finding: the sentence, its place, and at most one second place and remedy.
#[derive(Debug)]
pub struct Diagnostic {
    pub severity: Severity,
    pub at: Span,
    pub message: String,
    check: Category,
    label: String,
    also: Option<(Span, String)>,
    help: Option<String>,
}

impl Diagnostic {
    /// Words beside the caret.
    pub fn label(&mut self, text: impl Into<String>) -> &mut Self {
        self.label = text.into();
        self
    }

    /// The check that it belongs to, where that is not the one at hand.
    pub fn category(&mut self, check: Category) -> &mut Self {
        self.check = check;
        self
    }

    /// A second place that belongs to the finding.
    pub fn also(&mut self, at: Span, text: impl Into<String>) -> &mut Self {
        self.also = Some((at, text.into()));
        self
    }

    /// What to do; only where the remedy is certain.
    pub fn help(&mut self, text: impl Into<String>) -> &mut Self {
        self.help = Some(text.into());
        self
    }
}

/// Every finding of one pass over the sources.
#[derive(Default)]
pub struct DiagnosticList {
    list: Vec<Diagnostic>,
    /// The latest finding beyond those that are kept.
    spare: Option<Diagnostic>,
    /// How many errors and warnings are counted without being kept.
    more: [usize; 2],
    /// The check at hand.
    check: Category,
}

/// How many findings are drawn before the rest is only counted.
const SHOWN: usize = 50;
/// How many are kept, so that a huge file that is no task file at all does not
/// fill the memory with what is wrong with it.
const KEPT: usize = 10_000;

impl DiagnosticList {
    pub fn error(&mut self, at: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.add(Severity::Error, at, message.into())
    }

    /// An error whose sentence may end with what is probably meant, which then
    /// stands beside the caret.
    pub fn error_with_suggestion(&mut self, at: Span, message: &str) -> &mut Diagnostic {
        match message.rfind("; did you mean `") {
            Some(end) => self.error(at, &message[..end]).label(&message[end + 2..]),
            None => self.error(at, message),
        }
    }

    pub fn warning(&mut self, at: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.add(Severity::Warning, at, message.into())
    }

    /// What is found from now on belongs to this check.
    pub fn begin_category(&mut self, check: Category) {
        self.check = check;
    }

    /// How many errors a check found, of those that are kept.
    pub fn errors_in(&self, check: Category) -> usize {
        let errors = self.list.iter().filter(|d| d.severity == Severity::Error);
        errors.filter(|d| d.check == check).count()
    }

    fn add(&mut self, severity: Severity, at: Span, message: String) -> &mut Diagnostic {
        let diagnostic = Diagnostic {
            severity,
            at,
            message,
            check: self.check,
            label: String::new(),
            also: None,
            help: None,
        };
        let index = self.list.len();
        if index >= KEPT {
            self.more[severity as usize] += 1;
            return self.spare.insert(diagnostic);
        }
        self.list.push(diagnostic);
        &mut self.list[index]
    }

    pub fn count(&self, severity: Severity) -> usize {
        let kept = self.list.iter().filter(|d| d.severity == severity).count();
        kept + self.more[severity as usize]
    }

    pub fn has_errors(&self) -> bool {
        self.more[Severity::Error as usize] > 0
            || self.list.iter().any(|d| d.severity == Severity::Error)
    }

    /// Whether so much is wrong that looking for remedies is a waste of time.
    pub fn are_many(&self) -> bool {
        self.list.len() > SHOWN
    }

    /// The sentence of each finding that is kept.
    #[cfg(test)]
    pub fn messages(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|d| d.message.as_str())
    }

    /// The first error's sentence.
    pub fn first_message(&self) -> Option<String> {
        self.list
            .iter()
            .find(|d| d.severity == Severity::Error)
            .map(|d| d.message.clone())
    }

    /// Forgets the warnings (`--skip-task-validation`).
    pub fn drop_warnings(&mut self) {
        self.list.retain(|d| d.severity == Severity::Error);
        self.more[Severity::Warning as usize] = 0;
    }

    /// Draws all findings in the order of their places, the first 50 in full.
    pub fn draw(&self, sources: &SourceMap) -> String {
        // Of two at one place the first found comes first.
        let mut order: Vec<(usize, &Diagnostic)> = self.list.iter().enumerate().collect();
        order.sort_unstable_by_key(|(number, d)| (d.at.file, d.at.start, *number));
        order.truncate(SHOWN);
        let mut out = String::new();
        for (_, diagnostic) in &order {
            draw_one(&mut out, sources, diagnostic);
        }
        if self.list.len() > SHOWN {
            let shown = |severity| order.iter().filter(|(_, d)| d.severity == severity).count();
            let rest = |severity| self.count(severity) - shown(severity);
            let _ = writeln!(
                out,
                "... and {}, {}",
                Plural(rest(Severity::Error), "more error"),
                Plural(rest(Severity::Warning), "more warning")
            );
        }
        out
    }
}

fn draw_one(out: &mut String, sources: &SourceMap, d: &Diagnostic) {
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
    if let Some(help) = &d.help {
        let _ = writeln!(out, "     = help: {}", cut(&printable(help)));
    }
}

/// One place: the head line, the line of text and the carets under it.
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
        // The caret stands under all of what is hidden or none of it.
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

/// The part of a long line that is shown, in 80 columns with the margin.
struct Excerpt {
    text: String,
    caret: usize,
    length: usize,
}

impl Excerpt {
    const WIDTH: usize = 73;

    fn around(line: &str, column: usize, length: usize) -> Excerpt {
        let total = line.chars().count();
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
        text.extend(line.chars().skip(first).take(shown).map(plain));
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

/// A character that stays in its column and cannot drive a terminal.
fn plain(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() || is_unseen(c) => '\u{fffd}',
        c => c,
    }
}

/// Characters that cannot be seen but can make a line read otherwise than it
/// is: zero-width ones and those that turn the direction of writing or end a line.
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A text for a message: nothing in it can start a new line or drive a terminal.
pub fn printable(text: &str) -> String {
    // Nearly every text is, as it stands.
    match text.bytes().all(|b| matches!(b, b' '..=b'~')) {
        true => text.to_string(),
        false => text.chars().map(plain).collect(),
    }
}

/// A message that a reader can take in, whatever text of the user's is in it.
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

/// What stands where something else was expected: "`x`", or "nothing".
pub struct Found<'a>(pub &'a str);

impl std::fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self.0 {
            "" => f.write_str("nothing"),
            text => write!(f, "`{text}`"),
        }
    }
}

/// Why the system refused something, without its number.
pub fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_lowercase(),
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
    fn a_place_is_drawn_under_its_line() {
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
    fn findings_beyond_what_is_kept_are_counted() {
        let mut diagnostics = DiagnosticList::default();
        for _ in 0..KEPT + 5 {
            diagnostics
                .warning(Span::new(0, 0, 0), "w")
                .label("x".repeat(3));
        }
        assert!(!diagnostics.has_errors());
        diagnostics.error(Span::new(0, 0, 0), "e");
        assert!(diagnostics.has_errors());
        assert_eq!(diagnostics.count(Severity::Warning), KEPT + 5);
    }

    #[test]
    fn what_cannot_be_seen_is_shown() {
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
