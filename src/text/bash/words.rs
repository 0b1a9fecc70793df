//! Questions about the words of a command.
#![forbid(unsafe_code)]

use super::reader::MARKS;
use super::tree::{PartKind, ShellPart, ShellWord};
use crate::text::source::Span;

/// The symbol of what a program such as `xargs` puts into words.
pub const READ_BY_PROGRAM: usize = usize::MAX;

/// Programs that read a script in a shell's language.
pub fn is_shell(name: &str) -> bool {
    // `ksh93`, `zsh-5.8`
    let is_version = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-');
    matches!(
        base_name(name).trim_end_matches(is_version),
        "sh" | "bash"
            | "dash"
            | "ksh"
            | "mksh"
            | "lksh"
            | "pdksh"
            | "oksh"
            | "zsh"
            | "ash"
            | "yash"
            | "rbash"
            | "rksh"
            | "rzsh"
            | "hush"
            | "fish"
            | "csh"
            | "tcsh"
    )
}

/// Whether the name is in the list, which blanks separate.
pub fn is_in(list: &str, name: &str) -> bool {
    list.split_ascii_whitespace().any(|one| one == name)
}

pub fn base_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// What follows the first `[` of a word.
pub fn after_bracket(word: &ShellWord) -> ShellWord {
    let mut parts = word.parts.clone();
    if let Some(ShellPart {
        kind: PartKind::Text(text) | PartKind::AnsiC(text),
        ..
    }) = parts.first_mut()
        && let Some((_, after)) = text.split_once('[')
    {
        *text = after.to_string();
    }
    ShellWord { parts }
}

/// Whether the shell can make several words of it.
pub fn can_be_split(word: &ShellWord) -> bool {
    word.parts.iter().any(|part| match &part.kind {
        PartKind::Parameter(_) | PartKind::Substitution(_) => !part.quoted,
        _ => false,
    }) || has_list(word)
}

/// Whether it is `"$@"` or the like.
pub fn has_list(word: &ShellWord) -> bool {
    word.parts.iter().any(|part| match &part.kind {
        PartKind::Parameter(parameter) => {
            parameter.name == "@"
                || (parameter.subscript.as_ref())
                    .is_some_and(|s| s.written().as_deref() == Some("@"))
        }
        _ => false,
    })
}

/// The words after a `--`.
pub fn after_dashes(words: &[ShellWord]) -> &[ShellWord] {
    match words.first().and_then(ShellWord::written).as_deref() {
        Some("--") => &words[1..],
        _ => words,
    }
}

/// Whether the word is an option such as `-c` or `-lc`.
pub fn is_command_option(word: &ShellWord) -> bool {
    let is_cluster = |w: String| {
        // `-connect` is a word of another kind.
        w.starts_with('-') && !w.starts_with("--") && w.contains('c') && w.len() <= 6
    };
    word.written().is_some_and(is_cluster)
}

/// The part of a word before its first `=`, and that after it.
pub fn split_assignment(word: &ShellWord) -> (ShellWord, Option<ShellWord>) {
    let (mut name, mut value) = (ShellWord::default(), None::<ShellWord>);
    for part in &word.parts {
        if let Some(value) = &mut value {
            value.parts.push(part.clone());
            continue;
        }
        let (PartKind::Text(text) | PartKind::AnsiC(text)) = &part.kind else {
            name.parts.push(part.clone());
            continue;
        };
        let Some((before, after)) = text.split_once('=') else {
            name.parts.push(part.clone());
            continue;
        };
        let piece = |text: &str| ShellPart {
            kind: PartKind::Text(text.to_string()),
            ..part.clone()
        };
        name.parts.push(piece(before));
        let mut rest = ShellWord::default();
        if !after.is_empty() {
            rest.parts.push(piece(after));
        }
        value = Some(rest);
    }
    (name, value)
}

/// Whether a file name pattern, braces or an escape leave open what the word is.
pub fn is_odd(word: &ShellWord) -> bool {
    let is_pattern = |part: &ShellPart| match &part.kind {
        PartKind::AnsiC(text) => text.contains('\\'),
        PartKind::Text(text) if !part.quoted => {
            text.contains(['*', '?'])
                || (text.contains('[') && text != "[" && text != "[[")
                || text.contains('(')
        }
        _ => false,
    };
    has_braces(word) || is_marked(word) || word.parts.iter().any(is_pattern)
}

/// Whether a text in it stands for one that is not known.
pub fn is_marked(word: &ShellWord) -> bool {
    let text = word.written().unwrap_or_default();
    // A program in a directory is known by its name.
    text.rsplit('/').next().unwrap_or_default().contains(MARKS)
}

/// Whether the shell makes several words of `{a,b}` or `{1..3}` in it.
pub fn has_braces(word: &ShellWord) -> bool {
    let mut is_open = false;
    for part in &word.parts {
        let PartKind::Text(text) = &part.kind else {
            continue;
        };
        if part.quoted {
            continue;
        }
        for (n, c) in text.char_indices() {
            is_open |= c == '{';
            if is_open && (c == ',' || text[n..].starts_with("..")) {
                return true;
            }
        }
    }
    false
}

/// Whether the word is text that the shell leaves as it is.
pub fn is_written_out(word: &ShellWord) -> bool {
    word.written().is_some() && !is_odd(word)
}

/// Whether an argument of a script or function is in it, `$0` apart.
pub fn is_positional(word: &ShellWord) -> bool {
    word.parts.iter().any(|part| match &part.kind {
        PartKind::Parameter(p) if !p.length => {
            p.name.parse::<u32>().is_ok_and(|n| n > 0) || matches!(p.name.as_str(), "@" | "*")
        }
        _ => false,
    })
}

/// The only part of a word, but for quotes.
pub fn only_part(word: &ShellWord) -> Option<&ShellPart> {
    let is_empty = |part: &ShellPart| matches!(&part.kind, PartKind::Text(t) if t.is_empty());
    let mut parts = word.parts.iter().filter(|part| !is_empty(part));
    let only = parts.next()?;
    parts.next().is_none().then_some(only)
}

/// Whether it is `"$@"` and nothing else.
pub fn is_whole_list(word: &ShellWord) -> bool {
    only_part(word).is_some_and(|part| match &part.kind {
        PartKind::Parameter(p) => {
            part.quoted && p.name == "@" && p.operator.is_empty() && !p.indirect
        }
        _ => false,
    })
}

/// A text as a word that the shell leaves as it is.
pub fn as_word(text: &str, at: Option<Span>) -> ShellWord {
    let part = ShellPart {
        kind: PartKind::Text(text.to_string()),
        quoted: true,
        at: at.unwrap_or(Span::whole(0)),
        secret: false,
    };
    ShellWord { parts: vec![part] }
}
