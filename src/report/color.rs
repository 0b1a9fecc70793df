//! Whether to use colour, and coloured diagnostics (SPEC §6, §6.6).
//!
//! Colours are added to finished lines, so that the text is the same with and
//! without them, except for the escape codes.
#![forbid(unsafe_code)]

use std::io::IsTerminal;

/// The value of `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

impl Color {
    pub const NAMES: [(&'static str, Color); 3] = [
        ("auto", Color::Auto),
        ("always", Color::Always),
        ("never", Color::Never),
    ];

    /// Whether to colour standard error. `auto` means on a terminal that supports
    /// colour, unless `NO_COLOR` is set.
    pub fn on_stderr(self) -> bool {
        self.is_on(&std::io::stderr())
    }

    /// Whether to colour standard output.
    pub fn on_stdout(self) -> bool {
        self.is_on(&std::io::stdout())
    }

    fn is_on(self, stream: &dyn IsTerminal) -> bool {
        let set = |name| std::env::var_os(name).filter(|v| !v.is_empty());
        match self {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                let able = set("TERM").is_some_and(|t| t != "dumb");
                able && set("NO_COLOR").is_none() && stream.is_terminal()
            }
        }
    }
}

const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";
const CYAN: &str = "\x1b[1;36m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// Diagnostics with the severity, the message and the carets in colour.
pub fn diagnostics(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut color = RED;
    for line in text.lines() {
        let colored = match head(line) {
            Some((_, word, _)) => {
                color = severity_color(word);
                head(line).map(|(place, word, message)| {
                    format!("{place}: {color}{word}{PLAIN}: {BOLD}{message}{PLAIN}")
                })
            }
            None => caret(line, color).or_else(|| help(line)),
        };
        out.push_str(colored.as_deref().unwrap_or(line));
        out.push('\n');
    }
    out
}

fn severity_color(word: &str) -> &'static str {
    match word {
        "error" => RED,
        "warning" => YELLOW,
        _ => CYAN,
    }
}

/// The first line of a diagnostic: its location, `error`, and the message. Lines of
/// the file, carets and help are indented, or have a number before ` | `.
fn head(line: &str) -> Option<(&str, &str, &str)> {
    if line.starts_with(' ')
        || line
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .starts_with(" | ")
    {
        return None;
    }
    let words = ["error", "warning", "note"].into_iter();
    let first = words.filter_map(|w| Some((line.find(&format!(": {w}: "))?, w)));
    let (at, word) = first.min()?;
    Some((&line[..at], word, &line[at + word.len() + 4..]))
}

fn caret(line: &str, color: &str) -> Option<String> {
    let rest = line.strip_prefix("     | ")?;
    let blank = rest.len() - rest.trim_start_matches(' ').len();
    rest[blank..]
        .starts_with('^')
        .then(|| format!("     | {}{color}{}{PLAIN}", &rest[..blank], &rest[blank..]))
}

fn help(line: &str) -> Option<String> {
    let rest = line.strip_prefix("     = help: ")?;
    Some(format!("     = {CYAN}help{PLAIN}: {rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_words_are_colored() {
        let drawn = "f:1:2: error: `a: warning: b` is bad\n   1 | f: error: x\n     | ^^ here\n     = help: do\n12345 | g: error: y\n";
        assert_eq!(
            diagnostics(drawn),
            "f:1:2: \x1b[1;31merror\x1b[0m: \x1b[1m`a: warning: b` is bad\x1b[0m\n   1 | f: error: x\n     | \x1b[1;31m^^ here\x1b[0m\n     = \x1b[1;36mhelp\x1b[0m: do\n12345 | g: error: y\n"
        );
    }
}
