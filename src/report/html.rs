//! Writes HTML in which text from outside stays text, whatever it contains.
//!
//! Only literals of this program can be markup; everything else goes through `text`.
#![forbid(unsafe_code)]

use super::safe_text;
use crate::task::mask::Mask;
use crate::text::decimal::{decimal, short};
use std::fmt::Write;

/// The longest line, in characters. Longer ones are cut.
const LONGEST_LINE: usize = 2000;
/// The same for a line of a command, which readers copy.
const LONGEST_COMMAND: usize = 128 << 10;

/// A page, or a part of one, that is being written.
pub struct Html<'a> {
    out: String,
    mask: &'a Mask,
}

impl<'a> Html<'a> {
    pub fn new(mask: &'a Mask) -> Html<'a> {
        let out = String::new();
        Html { out, mask }
    }

    // A page takes hundreds of calls.
    #[inline(never)]
    pub fn markup(&mut self, markup: &'static str) -> &mut Self {
        self.out.push_str(markup);
        self
    }

    /// One line of text, as content or in a quoted attribute: secrets masked,
    /// control characters escaped, cut if it is too long to read.
    pub fn line(&mut self, text: &str) -> &mut Self {
        self.text_up_to(text, LONGEST_LINE)
    }

    fn text_up_to(&mut self, text: &str, longest: usize) -> &mut Self {
        let masked = self.mask.apply(text);
        let shown = match masked.char_indices().nth(longest) {
            Some((end, _)) => {
                let more = masked[end..].chars().count();
                format!(
                    "{} ... {more} more characters",
                    safe_text::line(&masked[..end])
                )
            }
            None => safe_text::line(&masked),
        };
        for c in shown.chars() {
            match c {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '>' => self.out.push_str("&gt;"),
                '"' => self.out.push_str("&quot;"),
                '\'' => self.out.push_str("&#39;"),
                c => self.out.push(c),
            }
        }
        self
    }

    /// Several lines of text, for a `<pre>`.
    pub fn lines<'t>(&mut self, lines: impl Iterator<Item = &'t str>) -> &mut Self {
        for line in lines {
            self.line(line).markup("\n");
        }
        self
    }

    pub fn number(&mut self, number: impl Into<u64>) -> &mut Self {
        let _ = write!(self.out, "{}", number.into());
        self
    }

    /// A share, 0 to 1, as a percentage with at most two decimals.
    pub fn percent(&mut self, share: f64) -> &mut Self {
        let share = if share > 0.0 { share.min(1.0) } else { 0.0 };
        let hundredths = (share * 10_000.0).round_ties_even() as u64;
        self.out.push_str(short(&decimal(hundredths, 100, 2)));
        self.markup("%")
    }

    /// `<dt>name</dt><dd>text</dd>`, unless the text is empty.
    pub fn fact(&mut self, name: &'static str, text: &str) -> &mut Self {
        if text.is_empty() {
            return self;
        }
        self.markup("<dt>").markup(name).markup("</dt><dd>");
        self.line(text).markup("</dd>\n")
    }

    /// A command to be copied, in its own lines.
    pub fn command(&mut self, command: &str) -> &mut Self {
        self.markup("<pre class=\"command\"><code>");
        for (number, line) in command.split('\n').enumerate() {
            self.markup(if number > 0 { "\n" } else { "" });
            self.text_up_to(line, LONGEST_COMMAND);
        }
        self.markup("</code></pre>\n")
    }

    pub fn as_str(&self) -> &str {
        &self.out
    }

    /// Appends another part.
    pub fn add(&mut self, part: Html) -> &mut Self {
        self.out.push_str(&part.out);
        self
    }

    pub fn finish(self) -> String {
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> String {
        let mask = Mask::default();
        let mut html = Html::new(&mask);
        html.line(text);
        html.finish()
    }

    #[test]
    fn hostile_text_stays_text() {
        assert_eq!(
            text("</script><!-- \"a\" 'b' & \x1b[31m\0\r\n\u{202e}"),
            "&lt;/script&gt;&lt;!-- &quot;a&quot; &#39;b&#39; &amp; \\x1b[31m\\x00\\r\\n\\u{202e}"
        );
    }

    #[test]
    fn long_lines_are_cut() {
        let long = text(&"é<".repeat(1500));
        assert!(long.starts_with("é&lt;é&lt;") && long.ends_with("&lt; ... 1000 more characters"));
    }

    #[test]
    fn shares_are_short() {
        let mask = Mask::default();
        let mut html = Html::new(&mask);
        html.percent(0.5).percent(1.0 / 3.0).percent(0.0);
        html.percent(f64::NAN).percent(7.0);
        assert_eq!(html.finish(), "50%33.33%0%0%100%");
    }
}
