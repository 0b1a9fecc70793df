//! The value of a global, as written: its grammar, and what it can refer to.
//!
//! ```text
//! value   := { "@" NAME "@" | "@@" | "$" NAME | "${" NAME [ ":-" value ] "}" | "\$" | any character }
//! ```
#![forbid(unsafe_code)]

use super::keys::is_identifier;
use crate::text::source::{MASK, Span};
use crate::text::template::{Piece, reference};
use std::os::unix::ffi::OsStringExt;

/// How deep defaults can be nested: `${A:-${B:-x}}`.
pub const DEEPEST: usize = 20;

/// Whether a name marks its value as secret.
pub fn is_secret(name: &str) -> bool {
    const HEADS: [&str; 5] = ["SECRET_", "PASSWORD_", "TOKEN_", "MASK_", "HIDE_"];
    const TAILS: [&str; 4] = ["_SECRET", "_PASSWORD", "_TOKEN", "_KEY"];
    let part = |from: usize, to: usize| name.get(from..to).unwrap_or("");
    let head = |h: &&str| part(0, h.len()).eq_ignore_ascii_case(h);
    let tail = |t: &&str| {
        let from = name.len().saturating_sub(t.len());
        part(from, name.len()).eq_ignore_ascii_case(t)
    };
    name.contains('_') && (HEADS.iter().any(head) || TAILS.iter().any(tail))
}

/// Whether the text is one reference and nothing else, which holds no part of a secret.
pub fn is_only_reference(text: &str) -> bool {
    let name = text.strip_prefix('@').and_then(|t| t.strip_suffix('@'));
    name.is_some_and(is_identifier)
}

/// Where the name of a secret ends in what should be a name; what follows could be a
/// part of the secret.
pub fn end_of_secret_name(key: &str) -> Option<usize> {
    let is_between = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let name = key.split(is_between).find(|word| is_secret(word))?;
    Some(key.find(name)? + name.len())
}

/// Text that should be a name, or a definition, as a message can show it.
pub fn without_secret_part(key: &str) -> String {
    match end_of_secret_name(key) {
        Some(end) if end < key.len() => format!("{}{MASK}", &key[..end]),
        _ => key.to_string(),
    }
}

/// A variable of tasker's own environment, as data.
///
/// # Errors
/// With `strict`, a name that does not begin with `TASKER_`.
pub fn environment(name: &str, at: Span, strict: bool) -> Result<Option<Piece>, String> {
    if strict && !name.starts_with("TASKER_") {
        return Err(format!(
            "`${name}` cannot be used: --strict-env-validation allows only names that begin with `TASKER_`"
        ));
    }
    let value = std::env::var_os(name);
    Ok(value.map(|v| Piece::Data {
        bytes: v.into_vec(),
        at,
        secret: is_secret(name),
    }))
}

/// A part of a value; offsets are in bytes from the beginning of the value.
pub enum ValuePart<'a> {
    Literal(&'a str),
    Global(&'a str),
    Variable {
        name: &'a str,
        default: Option<(usize, &'a str)>,
        length: usize,
    },
    /// `@NAME:-TEXT@`, which only a task's values can have.
    ResultDefault {
        length: usize,
    },
    /// A `${` that does not begin a variable.
    Bad,
}

/// The parts of a value, each with its offset; the last one is the first `Bad`.
pub fn parts(value: &str) -> Vec<(usize, ValuePart<'_>)> {
    let mut out = Vec::new();
    let (mut from, mut next) = (0, 0);
    while let Some(found) = value[next..].find(['\\', '@', '$']) {
        let at = next + found;
        let Some((taken, part)) = special(value, at) else {
            next = at + 1;
            continue;
        };
        if from < at {
            out.push((from, ValuePart::Literal(&value[from..at])));
        }
        let bad = matches!(part, ValuePart::Bad);
        out.push((at, part));
        next = at + taken;
        from = next;
        if bad {
            // The rest cannot be parsed: one error is enough.
            return out;
        }
    }
    if from < value.len() {
        out.push((from, ValuePart::Literal(&value[from..])));
    }
    out
}

/// The special part at `at`, and its length; `None` for a literal character.
fn special(value: &str, at: usize) -> Option<(usize, ValuePart<'_>)> {
    let rest = &value[at + 1..];
    match value.as_bytes()[at] {
        b'\\' => rest
            .starts_with('$')
            .then_some((2, ValuePart::Literal("$"))),
        b'@' if rest.starts_with('@') => Some((2, ValuePart::Literal("@"))),
        b'@' => {
            let (name, default, length) = reference(rest)?;
            let length = length + 1;
            let part = match default {
                None => ValuePart::Global(name),
                Some(_) => ValuePart::ResultDefault { length },
            };
            Some((length, part))
        }
        _ => variable(value, at),
    }
}

/// The `$NAME` or `${…}` at `at`, and its length; `None` for a literal dollar.
fn variable(value: &str, at: usize) -> Option<(usize, ValuePart<'_>)> {
    let rest = &value[at + 1..];
    let Some(inside) = rest.strip_prefix('{') else {
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        let name = &rest[..end];
        let length = end + 1;
        let part = ValuePart::Variable {
            name,
            default: None,
            length,
        };
        return is_identifier(name).then_some((length, part));
    };
    let bad = Some((2, ValuePart::Bad));
    let Some(close) = closing(inside) else {
        return bad;
    };
    let content = &inside[..close];
    let (name, default) = match content.split_once(":-") {
        Some((name, default)) => (name, Some((at + 2 + name.len() + 2, default))),
        None => (content, None),
    };
    if !is_identifier(name) {
        return bad;
    }
    let length = close + 3;
    let part = ValuePart::Variable {
        name,
        default,
        length,
    };
    Some((length, part))
}

/// The offset of the `}` that closes a `${` right before the text.
fn closing(inside: &str) -> Option<usize> {
    let mut depth = 1;
    let mut before = ' ';
    for (at, c) in inside.char_indices() {
        match c {
            '{' if before == '$' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
        before = c;
    }
    None
}

/// The globals that the value refers to; those in a default only if the default
/// is used.
pub fn references(value: &str, at: Span, strict: bool) -> Vec<(String, Span)> {
    let mut out = Vec::new();
    let mut waiting = vec![(value, 0, 0)];
    while let Some((value, from, depth)) = waiting.pop() {
        for (next, part) in parts(value) {
            match part {
                ValuePart::Global(name) => {
                    let next = from + next;
                    out.push((name.to_string(), at.part(next, next + name.len() + 2)));
                }
                ValuePart::Variable {
                    name,
                    default: Some((begin, text)),
                    ..
                } if depth < DEEPEST => {
                    let set = environment(name, at, strict).is_ok_and(
                        |v| matches!(v, Some(Piece::Data { bytes, .. }) if !bytes.is_empty()),
                    );
                    if !set {
                        waiting.push((text, from + begin, depth + 1));
                    }
                }
                _ => {}
            }
        }
    }
    out
}

/// Where the parts of the value come from: `$NAME`, `@NAME@`, and `place` for text.
pub fn origins(value: &str, place: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut waiting = vec![(value, 0)];
    while let Some((value, depth)) = waiting.pop() {
        for (_, part) in parts(value) {
            let origin = match part {
                ValuePart::Literal(_) => place.to_string(),
                ValuePart::Global(name) => format!("@{name}@"),
                ValuePart::Variable { name, default, .. } => {
                    let default = default.filter(|_| depth < DEEPEST);
                    waiting.extend(default.map(|(_, text)| (text, depth + 1)));
                    format!("${name}")
                }
                ValuePart::ResultDefault { .. } | ValuePart::Bad => continue,
            };
            if !out.contains(&origin) {
                out.push(origin);
            }
        }
    }
    match out.is_empty() {
        true => vec![place.to_string()],
        false => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_names_are_recognised() {
        for yes in [
            "SECRET_X",
            "db_password",
            "API_KEY",
            "Token_a",
            "MASK_1",
            "x_secret",
        ] {
            assert!(is_secret(yes), "{yes}");
        }
        for no in ["KEY", "MONKEY", "PASSWORD", "TOKENS", "SECRETS"] {
            assert!(!is_secret(no), "{no}");
        }
    }
}
