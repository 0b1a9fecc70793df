//! Splits a task file or a configuration into lines.
//!
//! ```text
//! file    := { line ("\n" | "\r\n") }
//! line    := blank | "#" comment | "-" option | key "=" value
//! ```
//! Knows nothing of which keys exist (SPEC §1).
#![forbid(unsafe_code)]

use super::diagnostic::DiagnosticList;
use super::source::{Source, Span};

/// A line that is neither blank nor a comment.
pub enum Line {
    /// An option line, without the white space around it.
    Option(Span),
    Pair(Pair),
}

/// A `key=value` line; both sides without the white space around them.
#[derive(Clone, Copy)]
pub struct Pair {
    pub key: Span,
    pub value: Span,
    /// The text of the comment on the line right above.
    pub comment: Option<Span>,
}

/// Splits the source into lines; a malformed one is reported and left out.
pub fn scan(file: u32, source: &Source, diagnostics: &mut DiagnosticList) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut comment = None;
    let mut at = 0;
    // Whether the line before ends in a backslash.
    let mut continues = false;
    for raw in source.text.split_inclusive('\n') {
        let line = trimmed(file, at, raw);
        at += raw.len();
        let above = comment.take();
        let text = &source.text[line.start as usize..line.end as usize];
        let is_continued = ends_in_backslash(text);
        // Already reported: the line was meant as part of the one before.
        if std::mem::replace(&mut continues, is_continued) && !is_key_line(text) {
            continue;
        }
        match text.chars().next() {
            None => {}
            Some('#') => {
                let inside = text.trim_start_matches('#');
                comment = Some(inner(file, line, inside, text.len() - inside.len()));
            }
            Some('-') => lines.push(Line::Option(line)),
            Some(_) => match text.find('=') {
                Some(cut) => {
                    if is_continued {
                        let end = line.part(text.len() - 1, text.len());
                        diagnostics
                            .error(end, "a backslash does not continue a line")
                            .help("write the value on one line, however long");
                    }
                    lines.push(Line::Pair(Pair {
                        key: inner(file, line, &text[..cut], 0),
                        value: inner(file, line, &text[cut + 1..], cut + 1),
                        comment: above,
                    }));
                }
                None => {
                    diagnostics
                        .error(line, "expected `key=value`, found a line without `=`")
                        .help("a comment begins with `#`");
                }
            },
        }
    }
    lines
}

/// Whether the line ends in a backslash of its own, as it does to continue in a shell.
fn ends_in_backslash(text: &str) -> bool {
    text.strip_suffix('\\')
        .is_some_and(|rest| rest.ends_with([' ', '\t', '=']))
}

/// Whether the line begins as a `key=value` line does: with an identifier.
fn is_key_line(text: &str) -> bool {
    let Some((key, _)) = text.split_once('=') else {
        return text.is_empty();
    };
    let key = key.trim_end();
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    !key.is_empty() && key.chars().all(is_part)
}

fn trimmed(file: u32, start: usize, raw: &str) -> Span {
    let text = raw.trim_start();
    let start = start + raw.len() - text.len();
    Span::new(file, start, start + text.trim_end().len())
}

/// The trimmed span of `text`, which begins `skip` bytes into `line`.
fn inner(file: u32, line: Span, text: &str, skip: usize) -> Span {
    trimmed(file, line.start as usize + skip, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_with_their_spans() {
        let source = Source::new(
            "f",
            " -p X \r\n# title\ntask = 1\r\n\n# far\n\na=b=c # d".into(),
        );
        let mut diagnostics = DiagnosticList::default();
        let lines = scan(0, &source, &mut diagnostics);
        let text = |s: Span| &source.text[s.start as usize..s.end as usize];
        let seen: Vec<String> = lines
            .iter()
            .map(|l| match l {
                Line::Option(o) => format!("option [{}]", text(*o)),
                Line::Pair(p) => format!(
                    "[{}]=[{}] {:?}",
                    text(p.key),
                    text(p.value),
                    p.comment.map(text)
                ),
            })
            .collect();
        assert_eq!(
            seen,
            [
                "option [-p X]",
                "[task]=[1] Some(\"title\")",
                "[a]=[b=c # d] None"
            ]
        );
        assert!(!diagnostics.has_errors());
    }

    #[test]
    fn a_line_without_an_equals_sign_is_an_error() {
        let source = Source::new("f", "task=1\nfoo bar\n".into());
        let mut diagnostics = DiagnosticList::default();
        assert_eq!(scan(0, &source, &mut diagnostics).len(), 1);
        assert!(diagnostics.has_errors());
    }
}
