//! A command that runs without a shell: its program can still read a result as code
//! (SPEC §2.4).
#![forbid(unsafe_code)]

use super::checker::{ScriptChecker, ScriptSetting};
use super::reader::is_number;
use super::tree::{PartKind, ShellPart, ShellWord};
use crate::text::source::Span;
use crate::text::template::{Piece, Symbol, Template};

/// What a program could do with a result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ProgramRisk {
    /// The result names the program.
    IsName(Span),
    /// The result is in code that the program reads, such as the script of `sh -c`, or
    /// its standard input.
    IsCode(Span),
}

/// Finds the first result that the command of these words could run; `setting` is what
/// else it is run with.
pub fn check(words: &[Template], setting: &ScriptSetting) -> Option<ProgramRisk> {
    if let Some(at) = words.first().and_then(result_in) {
        return Some(ProgramRisk::IsName(at));
    }
    let has_data = words.iter().any(|word| result_in(word).is_some());
    if !has_data && !setting.stdin && setting.environment.is_empty() {
        return None;
    }
    let references = words.iter().flat_map(|word| &word.pieces);
    let symbols: Vec<Symbol> = references
        .filter(|piece| matches!(piece, Piece::Reference { .. }))
        .map(Symbol::Atom)
        .collect();
    let mut numbers = 0..;
    let words: Vec<ShellWord> = words
        .iter()
        .map(|word| as_shell_word(word, &mut numbers))
        .collect();
    let mut checker = ScriptChecker::new(&symbols, &[], setting, has_data);
    checker.check_program(&words);
    let first = checker.findings.iter().min_by_key(|f| f.at);
    first.map(|finding| ProgramRisk::IsCode(finding.at))
}

/// The first result in the word that is more than a number.
fn result_in(word: &Template) -> Option<Span> {
    let is_result = |piece: &&Piece| {
        matches!(piece, Piece::Reference { to, .. } if to.is_data()) && !is_number(piece)
    };
    word.pieces.iter().find(is_result).map(Piece::at)
}

/// The word as if it stood in quotes in a script. `numbers` counts the references.
fn as_shell_word(word: &Template, numbers: &mut std::ops::RangeFrom<usize>) -> ShellWord {
    let part = |piece: &Piece| ShellPart {
        kind: match piece {
            Piece::Text { text, .. } => PartKind::Text(text.clone()),
            // Of the environment, which is the author's.
            Piece::Data { bytes, .. } => {
                PartKind::Text(String::from_utf8_lossy(bytes).into_owned())
            }
            Piece::Reference { .. } => PartKind::Value(numbers.next().unwrap_or_default()),
        },
        quoted: true,
        at: piece.at(),
        secret: piece.is_secret(),
    };
    ShellWord {
        parts: word.pieces.iter().map(part).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::template::{Field, Reference};

    fn word(text: &str) -> Template {
        let at = Span::whole(0);
        let mut pieces = Vec::new();
        for (n, part) in text.split("@D@").enumerate() {
            if n > 0 {
                pieces.push(Piece::Reference {
                    to: Reference::Field {
                        task: 0,
                        field: Field::Stdout,
                    },
                    at,
                    written: "@0_stdout@".into(),
                    default: None,
                });
            }
            pieces.push(Piece::of_global(part, at));
        }
        Template { pieces }
    }

    fn risk(words: &[&str], stdin: bool) -> Option<ProgramRisk> {
        let words: Vec<Template> = words.iter().map(|text| word(text)).collect();
        let setting = ScriptSetting {
            stdin,
            ..ScriptSetting::default()
        };
        check(&words, &setting)
    }

    #[test]
    fn a_program_that_runs_a_result_is_found() {
        for words in [
            &["sh", "-c", "echo @D@"][..],
            &["/bin/bash", "-lc", "@D@"],
            &["env", "A=1", "sh", "-c", "@D@"],
            &["timeout", "5", "sh", "-c", "@D@"],
            &["sudo", "-u", "x", "sh", "-c", "echo @D@"],
            &["sh", "-c", "eval \"$1\"", "_", "@D@"],
            &["ssh", "host", "ls @D@"],
            &["python3", "-c", "print('@D@')"],
            &["perl", "-e", "print '@D@'"],
            &["awk", "/@D@/", "f"],
            &["sed", "s/x/@D@/", "f"],
            &["su", "-", "x", "-c", "ls @D@"],
            &["psql", "-c", "select @D@"],
        ] {
            assert!(
                matches!(risk(words, false), Some(ProgramRisk::IsCode(_))),
                "{words:?}"
            );
        }
        for words in [
            &["sh"][..],
            &["bash", "-s", "x"],
            &["python3", "-"],
            &["xargs", "-I{}", "sh", "-c", "echo {}"],
            &["sudo", "-i", "bash"],
            &["ssh", "host"],
        ] {
            assert!(
                matches!(risk(words, true), Some(ProgramRisk::IsCode(_))),
                "{words:?}"
            );
            assert_eq!(risk(words, false), None, "{words:?}");
        }
        for name in ["@D@", "/opt/@D@/bin/x"] {
            assert!(matches!(
                risk(&[name, "x"], false),
                Some(ProgramRisk::IsName(_))
            ));
        }
    }

    #[test]
    fn words_that_stay_words_are_fine() {
        for words in [
            &["echo", "@D@"][..],
            &["sh", "-c", "echo \"$1\"", "_", "@D@"],
            &["awk", "-v", "n=@D@", "{print n}"],
            &["grep", "-c", "@D@", "f"],
            &["printf", "@D@", "x"],
            &["test", "-v", "@D@"],
            &["sort", "-n"],
            &["xargs", "rm", "--"],
            &["find", "/tmp", "-name", "@D@", "-delete"],
            &["curl", "-d", "@D@", "http://web01"],
            &["python3", "./x.py", "@D@"],
        ] {
            assert_eq!(risk(words, true), None, "{words:?}");
        }
    }
}
