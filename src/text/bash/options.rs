//! The options of commands, read as getopt does, by tables.
//!
//! A table is a list of options: a letter of a cluster, or a long one with its `--`.
//! What follows its name says what it takes: `:` a harmless value, `!` code, `.` code
//! after which no option follows, `%` code beside the program, `@` a file with code,
//! `=` the name of a variable, `?` a value that can only be attached, `~` such code,
//! `#` attached digits, `;` the next word (the letters after it go on). The
//! beginning of a long option stands for all of it.
#![forbid(unsafe_code)]

use super::tree::{PartKind, ShellWord};
use super::words::has_braces;

/// What an option is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionKind {
    Flag,
    Value,
    Program,
    LastProgram,
    Code,
    File,
    Name,
    Attached,
    AttachedCode,
    Digits,
    Next,
}

impl OptionKind {
    fn of_mark(mark: char) -> Option<OptionKind> {
        Some(match mark {
            ':' => OptionKind::Value,
            '!' => OptionKind::Program,
            '.' => OptionKind::LastProgram,
            '%' => OptionKind::Code,
            '@' => OptionKind::File,
            '=' => OptionKind::Name,
            '?' => OptionKind::Attached,
            '~' => OptionKind::AttachedCode,
            '#' => OptionKind::Digits,
            ';' => OptionKind::Next,
            _ => return None,
        })
    }

    fn is_attached(self) -> bool {
        matches!(self, OptionKind::Attached | OptionKind::AttachedCode)
    }
}

/// An option that was given.
#[derive(Clone, Debug)]
pub struct CommandOption {
    /// Its letter, or a long one with its dashes.
    pub name: String,
    pub kind: OptionKind,
    /// Its value; `None` for a flag and where it is missing.
    pub value: Option<ShellWord>,
}

/// The options of a command.
#[derive(Debug, Default)]
pub struct OptionList<'w> {
    pub given: Vec<CommandOption>,
    /// The words after them.
    pub rest: &'w [ShellWord],
    /// Whether the first word of `rest` is an option that the table does not know.
    pub unknown: bool,
    /// Whether a `--` ended them.
    pub ended: bool,
}

impl OptionList<'_> {
    pub fn has(&self, names: &[&str]) -> bool {
        self.given.iter().any(|o| names.contains(&o.name.as_str()))
    }
}

/// Reads the options before the first operand.
pub fn read_options<'w>(table: &str, words: &'w [ShellWord]) -> OptionList<'w> {
    let mut list = OptionList {
        rest: words,
        ..OptionList::default()
    };
    while let Some((word, rest)) = list.rest.split_first() {
        let text = word.beginning();
        let is_written = word.written().is_some();
        if has_braces(word) {
            list.unknown = true;
            return list;
        }
        if !text.starts_with('-') || (text == "-" && is_written) {
            return list;
        }
        if text == "--" && is_written {
            list.rest = rest;
            list.ended = true;
            return list;
        }
        let before = list.given.len();
        let found = match text.starts_with("--") {
            true => long_option(table, word, rest, &mut list.given),
            false => cluster(table, word, rest, &mut list.given),
        };
        let Some(taken) = found else {
            list.given.truncate(before);
            list.unknown = true;
            return list;
        };
        list.rest = rest.get(taken..).unwrap_or_default();
        if list.given[before..]
            .iter()
            .any(|o| o.kind == OptionKind::LastProgram)
        {
            return list;
        }
    }
    list
}

/// How many words after it the option takes; `None` if it is not known.
fn long_option(
    table: &str,
    word: &ShellWord,
    rest: &[ShellWord],
    given: &mut Vec<CommandOption>,
) -> Option<usize> {
    let text = word.beginning();
    let (name, attached) = match text.split_once('=') {
        Some((name, _)) => (
            name,
            Some(without_beginning(word, name.chars().count() + 1)),
        ),
        None => (text.as_str(), None),
    };
    if attached.is_none() && word.written().is_none() {
        return None;
    }
    let full = full_name(table, name);
    let name = full.as_deref().unwrap_or(name);
    let known = kind_in(table, name);
    // What is not known moves no other word if its value is attached.
    let kind = known.or(attached.is_some().then_some(OptionKind::Code))?;
    let takes_next = attached.is_none() && kind != OptionKind::Flag && !kind.is_attached();
    given.push(CommandOption {
        name: name.to_string(),
        kind,
        value: attached.or_else(|| rest.first().filter(|_| takes_next).cloned()),
    });
    Some(usize::from(takes_next))
}

fn cluster(
    table: &str,
    word: &ShellWord,
    rest: &[ShellWord],
    given: &mut Vec<CommandOption>,
) -> Option<usize> {
    let letters: Vec<char> = word.beginning().chars().collect();
    let (mut n, mut taken) = (1, 0);
    while let Some(letter) = letters.get(n) {
        let kind = kind_in(table, &letter.to_string())?;
        n += 1;
        let mut option = CommandOption {
            name: letter.to_string(),
            kind,
            value: None,
        };
        match kind {
            OptionKind::Flag => {}
            OptionKind::Digits => {
                n += letters[n..]
                    .iter()
                    .take_while(|c| c.is_ascii_digit())
                    .count();
            }
            OptionKind::Next => {
                option.value = rest.get(taken).cloned();
                taken += 1;
            }
            _ => {
                let after = without_beginning(word, n);
                let is_whole = n == letters.len() && word.written().is_some();
                if !is_whole || kind.is_attached() {
                    option.value = Some(after);
                } else {
                    option.value = rest.get(taken).cloned();
                    taken += 1;
                }
                given.push(option);
                return Some(taken);
            }
        }
        given.push(option);
    }
    // What follows the letters could be others.
    word.written().map(|_| taken)
}

fn kind_in(table: &str, name: &str) -> Option<OptionKind> {
    table.split_ascii_whitespace().find_map(|entry| {
        let mark = entry.strip_prefix(name)?;
        let mut mark = mark.chars();
        match (mark.next(), mark.next()) {
            (None, _) => Some(OptionKind::Flag),
            (Some(mark), None) => OptionKind::of_mark(mark),
            _ => None,
        }
    })
}

/// The long option that the beginning of its name stands for; one that matters rather
/// than one that does not.
fn full_name(table: &str, name: &str) -> Option<String> {
    if kind_in(table, name).is_some() || name.len() < 3 {
        return None;
    }
    let names = table.split_ascii_whitespace().filter_map(|entry| {
        let full = entry.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        full.starts_with(name).then(|| full.to_string())
    });
    names.min_by_key(|full| matches!(kind_in(table, full), Some(OptionKind::Flag)))
}

/// The word without the first characters of its text.
pub fn without_beginning(word: &ShellWord, count: usize) -> ShellWord {
    let mut left = count;
    let mut parts = word.parts.clone();
    for part in &mut parts {
        let (PartKind::Text(text) | PartKind::AnsiC(text)) = &mut part.kind else {
            break;
        };
        let all = text.chars().count();
        *text = text.chars().skip(left).collect();
        left = left.saturating_sub(all);
        if left == 0 {
            break;
        }
    }
    ShellWord { parts }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::bash::tree::ShellPart;
    use crate::text::source::Span;

    fn words(texts: &[&str]) -> Vec<ShellWord> {
        let part = |text: &&str| ShellPart {
            kind: PartKind::Text(text.to_string()),
            quoted: true,
            at: Span::whole(0),
            secret: false,
        };
        let word = |text| ShellWord {
            parts: vec![part(text)],
        };
        texts.iter().map(word).collect()
    }

    fn read(table: &str, texts: &[&str]) -> (Vec<(String, Option<String>)>, usize, bool) {
        let words = words(texts);
        let list = read_options(table, &words);
        let given = list.given.iter().map(|o| {
            let value = o.value.as_ref().and_then(ShellWord::written);
            (o.name.clone(), value)
        });
        (given.collect(), texts.len() - list.rest.len(), list.unknown)
    }

    fn some(name: &str, value: Option<&str>) -> (String, Option<String>) {
        (name.into(), value.map(String::from))
    }

    #[test]
    fn options_are_read_as_getopt_reads_them() {
        let table = "r u: a= --user: --verbose l# o; c i?";
        for (texts, given, taken) in [
            (
                &["-ru3", "x"][..],
                vec![some("r", None), some("u", Some("3"))],
                1,
            ),
            (
                &["-ra", "n", "x"],
                vec![some("r", None), some("a", Some("n"))],
                2,
            ),
            (&["--user", "x", "y"], vec![some("--user", Some("x"))], 2),
            (&["--user=x", "y"], vec![some("--user", Some("x"))], 1),
            (&["-r", "--", "-r"], vec![some("r", None)], 2),
            (&["-l0r", "x"], vec![some("l", None), some("r", None)], 1),
            (
                &["-oc", "x", "y"],
                vec![some("o", Some("x")), some("c", None)],
                2,
            ),
            (&["-i", "x"], vec![some("i", Some(""))], 1),
            (&["-", "x"], vec![], 0),
        ] {
            assert_eq!(read(table, texts), (given, taken, false), "{texts:?}");
        }
        for texts in [&["-x", "y"][..], &["-rx"], &["--other", "y"], &["-3"]] {
            assert_eq!(read(table, texts), (vec![], 0, true), "{texts:?}");
        }
        // The value is attached, so that no other word is one.
        assert!(!read(table, &["--other=x", "y"]).2);
    }
}
