//! A shell script as a tree of commands and words, as far as data needs it.
#![forbid(unsafe_code)]

use crate::text::source::Span;
use std::rc::Rc;

/// A word: its parts are joined when it is expanded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShellWord {
    pub parts: Vec<ShellPart>,
}

/// A part of a word, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct ShellPart {
    pub kind: PartKind,
    /// Whether the shell leaves it as it is: no splitting, no file names.
    pub quoted: bool,
    pub at: Span,
    pub secret: bool,
}

/// What a part of a word is.
#[derive(Clone, Debug, PartialEq)]
pub enum PartKind {
    Text(String),
    /// A reference or data, by its symbol.
    Value(usize),
    Parameter(Box<ShellParameter>),
    /// `$(…)` or backquotes.
    Substitution(Body),
    /// `<(…)` or `>(…)`.
    Process(Body),
    /// `$((…))` or `$[…]`.
    Arithmetic(ShellWord),
    /// The text of `$'…'`.
    AnsiC(String),
    /// The elements of an array.
    Elements(Vec<ShellWord>),
}

/// Commands inside a word. They are shared, so that what is found out about them can be
/// remembered by where they are.
pub type Body = Rc<Vec<ShellCommand>>;

/// `$NAME` or `${…}`.
#[derive(Clone, Debug, Default, PartialEq)]
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
#[derive(Clone, Debug, PartialEq)]
pub struct ShellAssignment {
    pub name: String,
    pub subscript: Option<ShellWord>,
    pub append: bool,
    pub value: ShellWord,
    pub at: Span,
}

/// `<`, `>`, `<<`, `<<<` and the like.
#[derive(Clone, Debug, PartialEq)]
pub struct Redirection {
    pub operator: String,
    /// The file, the text of a here-string, or the delimiter of a here-document.
    pub target: ShellWord,
    /// The number of the here-document.
    pub document: Option<usize>,
    /// The number before the operator.
    pub descriptor: Option<String>,
    /// The NAME of `{NAME}>file`.
    pub variable: Option<String>,
}

/// A command without the operators between commands: what is carried does not depend
/// on the order.
#[derive(Clone, Debug, PartialEq)]
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

impl ShellParameter {
    /// Whether it has this subscript, `@` or `*`.
    pub fn has_subscript(&self, subscript: &str) -> bool {
        let written = self.subscript.as_ref().and_then(ShellWord::written);
        written.as_deref() == Some(subscript)
    }

    /// Whether it is `${!NAME[@]}`.
    pub fn is_keys(&self) -> bool {
        self.indirect && (self.has_subscript("@") || self.has_subscript("*"))
    }

    /// Whether it is `${!PREFIX*}`.
    pub fn is_prefix(&self) -> bool {
        self.indirect && matches!(self.operator.as_str(), "*" | "@")
    }
}

impl Redirection {
    /// Whether something can be read through it.
    pub fn is_input(&self) -> bool {
        let of_stdin = self.descriptor.as_deref().is_some_and(is_zero);
        match self.operator.as_str() {
            "<" | "<>" | "<<" | "<<-" | "<<<" => true,
            "<&" | ">&" if self.target.written().as_deref() == Some("-") => false,
            "<&" => true,
            // It is the same as `<&` where the number is that of an input.
            ">&" => of_stdin,
            _ => false,
        }
    }

    /// Whether it takes the place of standard input.
    pub fn replaces_stdin(&self) -> bool {
        let of_stdin = self.descriptor.as_deref().is_none_or(is_zero);
        of_stdin && self.variable.is_none() && self.is_input()
    }
}

fn is_zero(number: &str) -> bool {
    number.chars().all(|c| c == '0')
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

    /// Whether it begins with a character that is in no name and no operator.
    pub fn begins_apart(&self) -> bool {
        self.beginning()
            .starts_with(|c: char| c.is_whitespace() || ",.:;".contains(c))
    }

    /// Where it begins.
    pub fn at(&self) -> Option<Span> {
        self.parts.first().map(|part| part.at)
    }
}
