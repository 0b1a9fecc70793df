//! Node sets that hold results (SPEC §1.1, §2.4). What a result puts there is hosts and
//! ranges and nothing else: it excludes nothing and opens no file, and neither ends the
//! author's own `!` and `file:` nor extends them.
#![forbid(unsafe_code)]

use super::host_files::HostFiles;
use super::nodeset::{self, NodeSet, NodeSetBuilder};
use std::path::Path;

/// The most hosts that results can put into one set.
pub const MOST_OF_RESULTS: usize = 10_000;
/// The most bytes that so many hosts take, with what is between them.
pub const LONGEST: usize = MOST_OF_RESULTS * 256;
/// Hosts longer than this are shown only as a part.
const SHORT: usize = 100;

/// A part of a set: the author's text, or the value of a result.
#[derive(Clone, Copy)]
pub enum SetPart<'a> {
    Author(&'a str),
    Result {
        /// The reference.
        written: &'a str,
        value: &'a str,
    },
}

/// Why a set cannot be used.
pub struct BadResult {
    pub message: String,
    /// The part of a result that is to blame, of which the beginning can be shown.
    pub value: Option<String>,
}

impl From<String> for BadResult {
    fn from(message: String) -> BadResult {
        BadResult {
            message,
            value: None,
        }
    }
}

/// Expands a set with the host files that it names.
///
/// # Errors
/// As for `nodeset::expand`; a result that is not a list of hosts.
pub fn expand(parts: &[SetPart], files: &HostFiles) -> Result<NodeSet, BadResult> {
    let mut builder = NodeSetBuilder::default();
    let mut of_results = 0;
    for entry in entries(parts) {
        let (entry, exclude) = without_exclusion(entry);
        let result = entry.iter().find_map(|part| match part {
            SetPart::Result { written, .. } => Some(*written),
            SetPart::Author(_) => None,
        });
        let path = match entry.first() {
            Some(SetPart::Author(text)) => text.starts_with("file:"),
            _ => false,
        };
        let hosts = match result {
            _ if path => {
                let path = path_of(&entry, &files.directory)?;
                nodeset::read_file(&path, result.is_some(), files)?
            }
            None => nodeset::expand_entry(&author_text(&entry))?,
            Some(written) => {
                let hosts = hosts_of(&entry, written)?;
                of_results += hosts.len();
                if of_results > MOST_OF_RESULTS {
                    return Err(too_many(written).into());
                }
                hosts
            }
        };
        builder.add(exclude, hosts)?;
    }
    Ok(builder.finish())
}

fn too_many(written: &str) -> String {
    format!(
        "`{written}` gives more than {MOST_OF_RESULTS} hosts; a result can give so many at most"
    )
}

/// Why this piece of a result cannot be used.
fn bad_value(written: &str, why: &str, value: &str) -> BadResult {
    BadResult {
        message: format!("`{written}` must give hosts and ranges only, but {why}"),
        value: Some(value.to_string()),
    }
}

/// The entries, separated by the author's commas outside of the author's brackets.
fn entries<'a>(parts: &[SetPart<'a>]) -> Vec<Vec<SetPart<'a>>> {
    let mut out = Vec::new();
    let mut entry = Vec::new();
    let mut depth = 0usize;
    for part in parts {
        let SetPart::Author(text) = part else {
            entry.push(*part);
            continue;
        };
        let mut from = 0;
        for (at, c) in text.char_indices() {
            match c {
                '[' => depth += 1,
                ']' => depth = depth.saturating_sub(1),
                ',' if depth == 0 => {
                    entry.push(SetPart::Author(&text[from..at]));
                    out.push(std::mem::take(&mut entry));
                    from = at + 1;
                }
                _ => {}
            }
        }
        entry.push(SetPart::Author(&text[from..]));
    }
    out.push(entry);
    let trimmed = out.into_iter().map(trimmed);
    trimmed.filter(|entry| !entry.is_empty()).collect()
}

/// The entry without blanks of the author around it.
fn trimmed(mut entry: Vec<SetPart>) -> Vec<SetPart> {
    while let Some(SetPart::Author(text)) = entry.first_mut() {
        *text = text.trim_start();
        if !text.is_empty() {
            break;
        }
        entry.remove(0);
    }
    while let Some(SetPart::Author(text)) = entry.last_mut() {
        *text = text.trim_end();
        if !text.is_empty() {
            break;
        }
        entry.pop();
    }
    entry
}

/// The entry without the author's `!`, and whether there was one.
fn without_exclusion(mut entry: Vec<SetPart>) -> (Vec<SetPart>, bool) {
    let rest = match entry.first() {
        Some(SetPart::Author(text)) => text.strip_prefix('!'),
        _ => None,
    };
    let Some(rest) = rest else {
        return (entry, false);
    };
    entry[0] = SetPart::Author(rest);
    (trimmed(entry), true)
}

fn author_text(entry: &[SetPart]) -> String {
    let texts = entry.iter().map(|part| match part {
        SetPart::Author(text) => *text,
        SetPart::Result { .. } => "",
    });
    texts.collect()
}

/// The path of an entry that the author began with `file:`. A result in it can only be
/// a part of a name, and the file must be one: reading anything else might never end.
fn path_of(entry: &[SetPart], directory: &Path) -> Result<String, BadResult> {
    let mut out = String::new();
    let mut of_result = None;
    for part in entry {
        match part {
            SetPart::Author(text) => out.push_str(text),
            SetPart::Result { written, value } => {
                let value = value.trim();
                let plain = |c: char| c.is_alphanumeric() || "._-".contains(c);
                if value.starts_with('.') || !value.chars().all(plain) {
                    return Err(bad_value(
                        written,
                        "this is no part of a file's name",
                        value,
                    ));
                }
                out.push_str(value);
                of_result = Some(*written);
            }
        }
    }
    let path = out.strip_prefix("file:").unwrap_or(&out).to_string();
    let is_file = || {
        directory
            .join(&path)
            .metadata()
            .is_ok_and(|data| data.is_file())
    };
    match of_result {
        Some(written) if !is_file() => Err(bad_value(written, "there is no such file", &path)),
        _ => Ok(path),
    }
}

/// The hosts of an entry with a result: the author's text belongs to each of them.
fn hosts_of(entry: &[SetPart], written: &str) -> Result<Vec<String>, BadResult> {
    let mut names = vec![String::new()];
    let mut depth = 0usize;
    for part in entry {
        let choices = match part {
            SetPart::Author(text) => {
                let count = |c: char| text.matches(c).count();
                depth = (depth + count('[')).saturating_sub(count(']'));
                vec![*text]
            }
            SetPart::Result { written, value } if depth > 0 => vec![bounds_in(written, value)?],
            SetPart::Result { written, value } => match hosts_in(written, value)? {
                hosts if hosts.is_empty() => vec![""],
                hosts => hosts,
            },
        };
        if names.len() * choices.len() > MOST_OF_RESULTS {
            return Err(too_many(written).into());
        }
        let joined = names
            .iter()
            .flat_map(|name| choices.iter().map(move |choice| format!("{name}{choice}")));
        names = joined.collect();
    }
    let mut out = Vec::new();
    for name in names.iter().filter(|name| !name.is_empty()) {
        let hosts = nodeset::expand_entry(name).map_err(|why| match name.len() {
            0..=SHORT => format!("`{written}`: {why}").into(),
            _ => bad_value(written, "this is no host", name),
        })?;
        out.extend(hosts);
        if out.len() > MOST_OF_RESULTS {
            return Err(too_many(written).into());
        }
    }
    Ok(out)
}

/// What a result puts between the author's brackets: numbers and ranges of them.
fn bounds_in<'a>(written: &str, value: &'a str) -> Result<&'a str, BadResult> {
    let value = value.trim();
    match value
        .chars()
        .all(|c| c.is_ascii_digit() || "-,/".contains(c))
    {
        true => Ok(value),
        false => Err(bad_value(written, "this is no range", value)),
    }
}

/// The hosts and ranges of a result, separated by commas, blanks or newlines.
fn hosts_in<'a>(written: &str, value: &'a str) -> Result<Vec<&'a str>, BadResult> {
    let mut out = Vec::new();
    let (mut from, mut depth) = (0, 0usize);
    for (at, c) in value.char_indices().chain([(value.len(), ',')]) {
        match c {
            '[' => depth += 1,
            ']' if depth == 0 => {
                return Err(bad_value(written, "a `]` has no `[`", &value[from..]));
            }
            ']' => depth -= 1,
            c if at == value.len() || (depth == 0 && (c == ',' || c.is_whitespace())) => {
                let host = &value[from..at];
                if !host.is_empty() {
                    check(written, host, depth)?;
                    out.push(host);
                }
                from = at + c.len_utf8();
            }
            _ => {}
        }
        if out.len() > MOST_OF_RESULTS {
            return Err(too_many(written).into());
        }
    }
    Ok(out)
}

fn check(written: &str, host: &str, depth: usize) -> Result<(), BadResult> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-:@[],/ ".contains(c);
    let outside = host.split(['[', ']']).step_by(2);
    let why = if host.contains('!') {
        "it holds `!`"
    } else if host.starts_with("file:") {
        "it names a file"
    } else if depth > 0 {
        "a `[` has no `]`"
    } else if !host.chars().all(allowed) || outside.flat_map(str::chars).any(|c| c == '/') {
        "this is no host"
    } else {
        return Ok(());
    };
    Err(bad_value(written, why, host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::host::split_user;
    use crate::text::chance::Chance;

    #[test]
    fn no_result_changes_what_the_author_wrote_around_it() {
        let mut chance = Chance::new(12);
        let pieces = [
            "web01",
            "web[01-03]",
            "!",
            "!web01",
            ",",
            " ",
            "\n",
            "[",
            "]",
            "[1",
            "1]",
            "file:",
            "file:Cargo.toml",
            "/",
            "[::1]",
            "-",
            "2-3",
            "x",
            "@",
            "#",
            "\u{fc}",
        ];
        let is_range = |h: &String| h.contains('[') && split_user(h).1 != "[::1]";
        let mut used = 0;
        for _ in 0..20_000 {
            let (first, second) = (chance.text(&pieces, 6), chance.text(&pieces, 3));
            let result = |value| SetPart::Result {
                written: "@1_stdout@",
                value,
            };
            let parts = [
                SetPart::Author("web[01-03], "),
                result(&first),
                SetPart::Author(" ,db,!web02,z"),
                result(&second),
            ];
            let Ok(set) = expand(&parts, &HostFiles::new(".".into(), 1)) else {
                continue;
            };
            used += 1;
            let has = |host: &str| set.hosts.iter().any(|h| h == host);
            let what = format!("{first:?} {second:?}: {:?}", set.hosts);
            assert!(
                has("web01") && has("web03") && has("db") && !has("web02"),
                "{what}"
            );
            // Nothing is left of a range.
            assert!(!set.hosts.iter().any(is_range), "{what}");
        }
        assert!(used > 500, "{used}");
    }

    #[test]
    fn a_set_without_results_is_what_it_was() {
        let mut chance = Chance::new(13);
        let pieces = [
            "web",
            "[1-3]",
            "[008-012/2]",
            ",",
            ", ",
            "!",
            "[::1]",
            "10.0.0.",
            "9",
            "file:x",
        ];
        for _ in 0..5000 {
            let set = chance.text(&pieces, 8);
            let here = expand(
                &[SetPart::Author(&set)],
                &HostFiles::new("/nowhere".into(), 1),
            )
            .ok();
            let there = nodeset::expand(&set, &HostFiles::new("/nowhere".into(), 1)).ok();
            assert_eq!(here, there, "{set}");
        }
    }
}
