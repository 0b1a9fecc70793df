//! Source texts and places in them. Does not know what the text means.
#![forbid(unsafe_code)]

use std::borrow::Cow;

/// What is shown in place of a secret (SPEC §2.2).
pub const MASK: &str = "***";

/// A stretch of bytes in one source. Byte offsets are carried around; line and
/// column are worked out only when something is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    pub file: u32,
    pub start: u32,
    pub end: u32,
}

impl Span {
    pub fn new(file: u32, start: usize, end: usize) -> Span {
        // Sources are refused above MAX_BYTES, so offsets fit.
        Span {
            file,
            start: start as u32,
            end: end as u32,
        }
    }

    /// The source as a whole, for what has no place of its own in it.
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

    /// The part of this span from byte `from` to byte `to`, counted from its start.
    pub fn part(self, from: usize, to: usize) -> Span {
        Span::new(
            self.file,
            self.start as usize + from,
            self.start as usize + to,
        )
    }

    /// The empty span at this one's end.
    pub fn after(self) -> Span {
        Span {
            start: self.end,
            ..self
        }
    }
}

/// The largest source that is read, in bytes; spans are 32 bits wide.
pub const MAX_BYTES: u64 = 1 << 30;

/// One text that was read: a task file, a configuration, or a `--set` value.
pub struct Source {
    /// As the user named it; begins every diagnostic.
    pub name: String,
    pub text: String,
    lines: Vec<u32>,
    /// Where values begin that no message may show, in order; they end their lines.
    hidden: Vec<u32>,
}

/// Why bytes are no source text, and where.
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

    /// Takes bytes as UTF-8 text without its BOM (SPEC §1). Where they are not
    /// text, the source is still returned, readable as far as it goes, so that
    /// the message can show the line.
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

    /// The 1-based line and column (in characters) of a byte offset, and the
    /// offset where that line begins.
    pub fn position(&self, offset: usize) -> (usize, usize, usize) {
        let offset = offset.min(self.text.len());
        let line = self
            .lines
            .partition_point(|start| *start as usize <= offset);
        let start = self.lines[line - 1] as usize;
        let column = self
            .text
            .get(start..offset)
            .map_or(1, |before| before.chars().count() + 1);
        (line, column, start)
    }

    /// The text of the line that begins at `start`, without its line end.
    pub fn line_from(&self, start: usize) -> &str {
        let rest = &self.text[start..];
        let line = rest.split('\n').next().unwrap_or(rest);
        line.strip_suffix('\r').unwrap_or(line)
    }

    /// The line that begins at `start` as it may be shown: what is hidden in it
    /// runs to its end and is replaced. With the number of characters before.
    pub fn shown_line(&self, start: usize) -> (Cow<'_, str>, Option<usize>) {
        let line = self.line_from(start);
        let first = self.hidden.partition_point(|at| (*at as usize) < start);
        match self.hidden.get(first).map(|at| *at as usize - start) {
            Some(from) if from < line.len() => {
                let before = &line[..from];
                let shown = format!("{before}{MASK}");
                (Cow::Owned(shown), Some(before.chars().count()))
            }
            _ => (Cow::Borrowed(line), None),
        }
    }
}

/// Every source of this invocation; a span's `file` is the index.
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

    /// Keeps the value at `span`, which ends its line, out of every message.
    pub fn hide(&mut self, span: Span) {
        let hidden = &mut self.list[span.file as usize].hidden;
        let at = hidden.partition_point(|start| *start < span.start);
        hidden.insert(at, span.start);
    }

    pub fn snippet(&self, span: Span) -> &str {
        &self.get(span.file).text[span.start as usize..span.end as usize]
    }

    /// The line that a span begins in, as it may be shown.
    pub fn line(&self, span: Span) -> Cow<'_, str> {
        let source = self.get(span.file);
        let (_, _, start) = source.position(span.start as usize);
        source.shown_line(start).0
    }

    /// `FILE:LINE` of a span, as an editor reads it.
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
    fn a_bom_is_dropped_and_bad_bytes_are_placed() {
        let (source, bad) = Source::decode("f", b"\xef\xbb\xbfa=1\n");
        assert!(bad.is_none());
        assert_eq!(source.text, "a=1\n");
        let (_, bad) = Source::decode("f", b"ab\xffc");
        assert_eq!(bad.map(|b| b.at), Some(2));
        let (_, bad) = Source::decode("f", b"ab\0\xff");
        assert_eq!(bad.map(|b| b.at), Some(2));
    }
}
