//! A shell script as a tree of commands and words, as far as data needs it.
#![forbid(unsafe_code)]

use crate::text::source::Span;

/// A word: its parts are joined when it is expanded.
#[derive(Clone, Debug, Default)]
pub struct ShellWord {
    pub parts: Vec<ShellPart>,
}

/// A part of a word, and where it stands.
#[derive(Clone, Debug)]
pub struct ShellPart {
    pub kind: PartKind,
    /// Whether the shell leaves it as it is: no splitting, no file names.
    pub quoted: bool,
    pub at: Span,
    pub secret: bool,
}

/// What a part of a word is.
#[derive(Clone, Debug)]
pub enum PartKind {
    Text(String),
    /// A reference or data, by its symbol.
    Value(usize),
    Parameter(Box<ShellParameter>),
    /// `$(…)` or backquotes.
    Substitution(Vec<ShellCommand>),
    /// `<(…)` or `>(…)`.
    Process(Vec<ShellCommand>),
    /// `$((…))` or `$[…]`.
    Arithmetic(ShellWord),
    /// The text of `$'…'`.
    AnsiC(String),
    /// The elements of an array.
    Elements(Vec<ShellWord>),
}

/// `$NAME` or `${…}`.
#[derive(Clone, Debug, Default)]
pub struct ShellParameter {
    pub name: String,
    /// `${#…}`
    pub length: bool,
    /// `${!…}`
    pub indirect: bool,
    pub subscript: Option<ShellWord>,
    /// Whether it is written with braces.
    pub braces: bool,
    /// The operator, such as `:-` or `@P`; empty without one.
    pub operator: String,
    pub operand: ShellWord,
}

/// `NAME=VALUE`, also with `+=` and a subscript.
#[derive(Clone, Debug)]
pub struct ShellAssignment {
    pub name: String,
    pub subscript: Option<ShellWord>,
    pub append: bool,
    pub value: ShellWord,
    pub at: Span,
}

/// `<`, `>`, `<<`, `<<<` and the like.
#[derive(Clone, Debug)]
pub struct Redirection {
    pub operator: String,
    /// The file, the text of a here-string, or the delimiter of a here-document.
    pub target: ShellWord,
    /// The number of the here-document.
    pub document: Option<usize>,
    /// The NAME of `{NAME}>file`.
    pub variable: Option<String>,
}

/// A command without the operators between commands: what is carried does not depend
/// on the order.
#[derive(Clone, Debug)]
pub enum ShellCommand {
    Simple {
        assignments: Vec<ShellAssignment>,
        words: Vec<ShellWord>,
        redirections: Vec<Redirection>,
    },
    Pipeline(Vec<ShellCommand>),
    /// `{ … }`, `( … )`, `if`, `while` and `until`.
    Group(Vec<ShellCommand>, Vec<Redirection>),
    /// `for` and `select`; without words they take the positional parameters.
    For {
        name: String,
        words: Option<Vec<ShellWord>>,
        body: Vec<ShellCommand>,
        redirections: Vec<Redirection>,
    },
    Case {
        word: ShellWord,
        patterns: Vec<ShellWord>,
        body: Vec<ShellCommand>,
        redirections: Vec<Redirection>,
    },
    /// `((…))`, also that of `for ((…))`.
    Arithmetic(ShellWord, Vec<Redirection>),
    /// The words of `[[ … ]]`, operators too.
    Test(Vec<ShellWord>, Vec<Redirection>),
    Function {
        name: ShellWord,
        body: Box<ShellCommand>,
    },
    Coproc {
        name: String,
        body: Box<ShellCommand>,
    },
}

impl ShellWord {
    /// The text of a word that is written out, without its quotes.
    pub fn written(&self) -> Option<String> {
        let mut all = String::new();
        for part in &self.parts {
            match &part.kind {
                PartKind::Text(text) | PartKind::AnsiC(text) => all.push_str(text),
                _ => return None,
            }
        }
        Some(all)
    }

    /// The text with which the word begins, up to the first part that is none.
    pub fn beginning(&self) -> String {
        let mut all = String::new();
        for part in &self.parts {
            match &part.kind {
                PartKind::Text(text) | PartKind::AnsiC(text) => all.push_str(text),
                _ => break,
            }
        }
        all
    }

    /// Its text if no part of it is quoted, as for reserved words and operators.
    pub fn plain(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [
                ShellPart {
                    kind: PartKind::Text(text),
                    quoted: false,
                    ..
                },
            ] => Some(text),
            _ => None,
        }
    }

    /// Where it begins.
    pub fn at(&self) -> Option<Span> {
        self.parts.first().map(|part| part.at)
    }
}
