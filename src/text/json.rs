//! Writes JSON, with members in the order in which they are added.
#![forbid(unsafe_code)]

use super::decimal::short_seconds;
use std::fmt::Write;
use std::io;

/// How much text is collected before it is passed on, in bytes.
const BLOCK: usize = 64 << 10;

/// A JSON text being written. Closures fill objects and arrays, so that each is
/// closed.
#[derive(Default)]
pub struct Json<'w> {
    out: String,
    /// What takes the text while it is written; without it the text is collected.
    sink: Option<&'w mut dyn io::Write>,
    /// Why the sink took no more.
    failed: Option<io::Error>,
    /// Whether the next value is the first of its object or array.
    first: bool,
}

impl Json<'_> {
    /// Writes an object and a newline, without collecting the whole text.
    ///
    /// # Errors
    /// Those of `sink`.
    pub fn write(sink: &mut dyn io::Write, fill: impl FnOnce(&mut Json)) -> io::Result<()> {
        let mut json = Json {
            sink: Some(sink),
            ..Json::default()
        };
        json.braces(fill);
        json.out.push('\n');
        json.pass_on(0);
        json.failed.map_or(Ok(()), Err)
    }

    /// Passes the text on if it is at least so long.
    fn pass_on(&mut self, least: usize) {
        if let Some(sink) = &mut self.sink
            && self.out.len() >= least
        {
            if self.failed.is_none() {
                self.failed = sink.write_all(self.out.as_bytes()).err();
            }
            self.out.clear();
        }
    }

    /// The text of an object.
    pub fn object(fill: impl FnOnce(&mut Json)) -> String {
        let mut json = Json::default();
        json.braces(fill);
        json.out
    }

    fn braces(&mut self, fill: impl FnOnce(&mut Json)) {
        self.within('{', '}', fill);
    }

    fn within(&mut self, open: char, close: char, fill: impl FnOnce(&mut Json)) {
        self.out.push(open);
        self.first = true;
        fill(self);
        self.out.push(close);
        self.first = false;
    }

    fn separate(&mut self) {
        self.pass_on(BLOCK);
        if !std::mem::replace(&mut self.first, false) {
            self.out.push(',');
        }
    }

    fn key(&mut self, key: &str) {
        self.separate();
        quote(&mut self.out, key);
        self.out.push(':');
    }

    pub fn string(&mut self, key: &str, value: &str) {
        self.key(key);
        quote(&mut self.out, value);
    }

    /// A string, or null.
    pub fn optional_string(&mut self, key: &str, value: Option<&str>) {
        match value {
            Some(value) => self.string(key, value),
            None => self.null(key),
        }
    }

    pub fn null(&mut self, key: &str) {
        self.key(key);
        self.out.push_str("null");
    }

    pub fn number(&mut self, key: &str, value: i64) {
        self.key(key);
        let _ = write!(self.out, "{value}");
    }

    /// Seconds with up to three decimals, or null.
    pub fn seconds(&mut self, key: &str, value: Option<std::time::Duration>) {
        let Some(value) = value else {
            return self.null(key);
        };
        self.key(key);
        self.out.push_str(&short_seconds(value));
    }

    pub fn boolean(&mut self, key: &str, value: bool) {
        self.key(key);
        self.out.push_str(if value { "true" } else { "false" });
    }

    /// An object in an object.
    pub fn object_member(&mut self, key: &str, fill: impl FnOnce(&mut Json)) {
        self.key(key);
        self.braces(fill);
    }

    /// An array; `fill` adds its items.
    pub fn array(&mut self, key: &str, fill: impl FnOnce(&mut Json)) {
        self.key(key);
        self.within('[', ']', fill);
    }

    /// An object in an array.
    pub fn item_object(&mut self, fill: impl FnOnce(&mut Json)) {
        self.separate();
        self.braces(fill);
    }

    /// A number in an array.
    pub fn item_number(&mut self, value: i64) {
        self.separate();
        let _ = write!(self.out, "{value}");
    }

    /// A string in an array.
    pub fn item_string(&mut self, value: &str) {
        self.separate();
        quote(&mut self.out, value);
    }
}

/// Writes a JSON string. Printable characters are kept as UTF-8. Control characters,
/// those that change the direction of text or end a line in some readers, and `<`
/// are escaped, so that the text is safe on a terminal, in a line and in HTML.
fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || is_escaped(c) => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn is_escaped(c: char) -> bool {
    matches!(c, '<' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn members_keep_their_order() {
        let text = Json::object(|j| {
            j.string("a", "x\"\\\n\u{1}\u{61c}</script>é");
            j.number("b", -1);
            j.seconds("c", Some(Duration::from_millis(1500)));
            j.seconds("d", Some(Duration::from_secs(300)));
            j.optional_string("e", None);
            j.array("f", |j| {
                j.item_string("1");
                j.item_object(|j| j.boolean("g", true));
                j.item_object(|_| {});
            });
        });
        assert_eq!(
            text,
            "{\"a\":\"x\\\"\\\\\\n\\u0001\\u061c\\u003c/script>é\",\"b\":-1,\"c\":1.5,\"d\":300,\"e\":null,\
             \"f\":[\"1\",{\"g\":true},{}]}"
        );
    }
}
