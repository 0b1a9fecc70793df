//! Source texts and positions in them. Knows nothing of what the text means.
#![forbid(unsafe_code)]

use std::borrow::Cow;

/// What is shown in place of a secret (SPEC §2.2).
pub const MASK: &str = "***";

/// A range of bytes in one source. Line and column are computed only when
/// something is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    pub file: u32,
    pub start: u32,
    pub end: u32,
}

impl Span {
    pub fn new(file: u32, start: usize, end: usize) -> Span {
        // The offsets fit: larger sources than MAX_BYTES are refused.
        Span {
            file,
            start: start as u32,
            end: end as u32,
        }
    }

    /// The whole source, for what has no position of its own in it.
    pub fn whole(file: u32) -> Span {
        Span {
            file,
            start: u32::MAX,
            end: u32::MAX,
        }
    }

    pub fn is_whole(self) -> bool {
        self.start == u32::MAX
    }

    /// Whether the other one begins in it.
    pub fn contains(self, other: Span) -> bool {
        self.file == other.file && (self.start..self.end).contains(&other.start)
    }

    /// The part of this span from byte `from` to byte `to`, relative to its start.
    pub fn part(self, from: usize, to: usize) -> Span {
        Span::new(
            self.file,
            self.start as usize + from,
            self.start as usize + to,
        )
    }

    /// From this span to the end of a later one.
    pub fn through(self, last: Span) -> Span {
        Span {
            end: self.end.max(last.end),
            ..self
        }
    }

    /// The empty span at this one's end.
    pub fn after(self) -> Span {
        Span {
            start: self.end,
            ..self
        }
    }
}

/// The largest source that is read, in bytes: offsets in a span have 32 bits.
pub const MAX_BYTES: u64 = 1 << 30;

/// A text that was read: a task file, a configuration, or a `--set` value.
pub struct Source {
    /// As the user wrote it; every diagnostic begins with it.
    pub name: String,
    pub text: String,
    lines: Vec<u32>,
    /// Where values begin that no message must show, ascending; each extends to
    /// the end of its line.
    hidden: Vec<u32>,
}

/// Why bytes are not a source text, and where.
pub struct BadText {
    pub at: usize,
    pub what: &'static str,
}

impl Source {
    pub fn new(name: &str, text: String) -> Source {
        let mut lines = vec![0];
        lines.extend(
            text.bytes()
                .enumerate()
                .filter(|(_, b)| *b == b'\n')
                .map(|(i, _)| i as u32 + 1),
        );
        Source {
            name: name.to_string(),
            text,
            lines,
            hidden: Vec::new(),
        }
    }

    /// Decodes UTF-8 text and drops its BOM (SPEC §1). Bytes that are not text
    /// still give a source, readable as far as it goes, so that the message can
    /// show the line.
    pub fn decode(name: &str, bytes: &[u8]) -> (Source, Option<BadText>) {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let nul = bytes.iter().position(|b| *b == 0);
        let bad = match (std::str::from_utf8(bytes), nul) {
            (Err(e), Some(nul)) if nul < e.valid_up_to() => Some(nul),
            (Err(e), _) => {
                let (text, at) = (String::from_utf8_lossy(bytes), e.valid_up_to());
                let what = "this byte is not valid UTF-8";
                return (
                    Source::new(name, Cow::into_owned(text)),
                    Some(BadText { at, what }),
                );
            }
            (Ok(text), None) => return (Source::new(name, text.to_string()), None),
            (Ok(_), nul) => nul,
        };
        let text = String::from_utf8_lossy(bytes).into_owned();
        let bad = bad.map(|at| BadText {
            at,
            what: "a NUL byte is not allowed in a text file",
        });
        (Source::new(name, text), bad)
    }

    /// The line and column of a byte offset, both from 1, the column in characters;
    /// and the offset where that line begins.
    pub fn position(&self, offset: usize) -> (usize, usize, usize) {
        let offset = offset.min(self.text.len());
        let line = self
            .lines
            .partition_point(|start| *start as usize <= offset);
        let start = self.lines[line - 1] as usize;
        let column = self
            .text
            .get(start..offset)
            .map_or(1, |before| char_count(before) + 1);
        (line, column, start)
    }

    /// How many bytes the line at the offset has, with its line ending.
    pub fn line_length(&self, offset: usize) -> usize {
        let next = self
            .lines
            .partition_point(|start| *start as usize <= offset);
        let end = self
            .lines
            .get(next)
            .map_or(self.text.len(), |s| *s as usize);
        end.saturating_sub(self.lines[next - 1] as usize)
    }

    /// The line that begins at `start`, without its line ending.
    pub fn line_from(&self, start: usize) -> &str {
        let rest = &self.text[start..];
        let line = rest.split('\n').next().unwrap_or(rest);
        line.strip_suffix('\r').unwrap_or(line)
    }

    /// The line that begins at `start` with a hidden value masked, and the column,
    /// from 0, where the mask begins.
    pub fn shown_line(&self, start: usize) -> (Cow<'_, str>, Option<usize>) {
        let line = self.line_from(start);
        let first = self.hidden.partition_point(|at| (*at as usize) < start);
        match self.hidden.get(first).map(|at| *at as usize - start) {
            Some(from) if from < line.len() => {
                let before = &line[..from];
                let shown = format!("{before}{MASK}");
                (Cow::Owned(shown), Some(char_count(before)))
            }
            _ => (Cow::Borrowed(line), None),
        }
    }
}

/// How many characters the text has; fast for a long line of ASCII, in which there
/// can be thousands of findings.
pub fn char_count(text: &str) -> usize {
    match text.is_ascii() {
        true => text.len(),
        false => text.chars().count(),
    }
}

/// Every source of this invocation; a span's `file` is an index into it.
#[derive(Default)]
pub struct SourceMap {
    list: Vec<Source>,
}

impl SourceMap {
    /// Adds a source and returns its number.
    pub fn add(&mut self, source: Source) -> u32 {
        self.list.push(source);
        (self.list.len() - 1) as u32
    }

    pub fn get(&self, file: u32) -> &Source {
        &self.list[file as usize]
    }

    /// Masks the value at `span`, which ends its line, in every message.
    pub fn hide(&mut self, span: Span) {
        let hidden = &mut self.list[span.file as usize].hidden;
        let at = hidden.partition_point(|start| *start < span.start);
        hidden.insert(at, span.start);
    }

    /// The text of a span.
    pub fn snippet(&self, span: Span) -> &str {
        &self.get(span.file).text[span.start as usize..span.end as usize]
    }

    /// The line that a span begins in, with a hidden value masked.
    pub fn line(&self, span: Span) -> Cow<'_, str> {
        let source = self.get(span.file);
        let (_, _, start) = source.position(span.start as usize);
        source.shown_line(start).0
    }

    /// `FILE:LINE` of a span, as editors read it.
    pub fn location(&self, span: Span) -> String {
        let source = self.get(span.file);
        if span.is_whole() {
            return source.name.clone();
        }
        format!("{}:{}", source.name, source.position(span.start as usize).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters() {
        let source = Source::new("f", "a\nübc\n".into());
        assert_eq!(source.position(0), (1, 1, 0));
        assert_eq!(source.position(4), (2, 2, 2));
        assert_eq!(source.position(99), (3, 1, 7));
        assert_eq!(source.line_from(2), "übc");
    }

    #[test]
    fn a_bom_is_dropped_and_bad_bytes_are_located() {
        let (source, bad) = Source::decode("f", b"\xef\xbb\xbfa=1\n");
        assert!(bad.is_none());
        assert_eq!(source.text, "a=1\n");
        let (_, bad) = Source::decode("f", b"ab\xffc");
        assert_eq!(bad.map(|b| b.at), Some(2));
        let (_, bad) = Source::decode("f", b"ab\0\xff");
        assert_eq!(bad.map(|b| b.at), Some(2));
    }
}
