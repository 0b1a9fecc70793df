//! Parses conditions (SPEC §3.1).
//!
//! Only the author's text is parsed: references and data are operands, whatever
//! they contain.
#![forbid(unsafe_code)]

use super::condition::{Expr, Op, Operand, Pattern, ResultState, Test, parse_bound};
use super::decimal::parse_digits;
use super::diagnostic::{SyntaxError, expected};
use super::nearest::suggestion;
use super::source::Span;
use super::template::{BlockCount, Piece, Symbol, Template};
use crate::outcome::Outcome;

/// How deep parentheses and negations can be nested.
const DEEPEST: usize = 100;

const OPERATORS: &str =
    "`AND`, `OR` and `NOT` must be in upper case, with spaces or parentheses around them";

const SIGNS: &str = "`~` and `!~` test whether the left side contains a text; `=`, `!=`, `<`, `<=`, `>`, `>=` compare";

/// Operators of other languages: one of ours, followed by a character that then
/// begins the pattern. They are reported if a blank follows.
const NO_OPERATORS: [(&str, char); 5] =
    [("=", '~'), ("~", '='), ("=", '>'), ("=", '<'), ("<", '>')];

/// Names of the operands in other programs.
const ALIASES: &[(&str, &str)] = &[
    ("exit_code", "exit"),
    ("exitcode", "exit"),
    ("exit_status", "exit"),
    ("status", "exit"),
    ("rc", "exit"),
    ("code", "exit"),
    ("output", "stdout"),
    ("error", "stderr"),
];

/// Keywords for parts of the task's own result.
const OPERANDS: &[(&str, Operand)] = &[
    ("exit", Operand::Exit),
    ("stdout", Operand::Stdout),
    ("stderr", Operand::Stderr),
    ("duration", Operand::Duration),
    ("stdout_count", Operand::StdoutCount),
    ("stderr_count", Operand::StderrCount),
    (
        "success_count",
        Operand::Count(BlockCount::Ended(Outcome::Ok)),
    ),
    (
        "failed_count",
        Operand::Count(BlockCount::Ended(Outcome::Failed)),
    ),
    (
        "timeout_count",
        Operand::Count(BlockCount::Ended(Outcome::Timeout)),
    ),
    (
        "unreachable_count",
        Operand::Count(BlockCount::Ended(Outcome::Unreachable)),
    ),
    (
        "cancelled_count",
        Operand::Count(BlockCount::Ended(Outcome::Cancelled)),
    ),
    (
        "not_started_count",
        Operand::Count(BlockCount::Ended(Outcome::NotStarted)),
    ),
    (
        "skipped_count",
        Operand::Count(BlockCount::Ended(Outcome::Skipped)),
    ),
    (
        "unknown_count",
        Operand::Count(BlockCount::Ended(Outcome::Unknown)),
    ),
    ("total_count", Operand::Count(BlockCount::Total)),
];

const BOUNDS: &[(&str, bool, bool)] = &[
    ("min_success", true, false),
    ("max_success", false, false),
    ("min_failed", true, true),
    ("max_failed", false, true),
];

const WORDS: &[&str] = &[
    "success",
    "failure",
    "timeout",
    "skipped",
    "true",
    "false",
    "exit_0",
    "all_success",
    "any_success",
    "majority_success",
];

/// Whether the word alone can be a condition.
pub fn is_word(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    lower.starts_with("exit_") || known_words().any(|w| w == lower)
}

/// Every word that can begin a test, for "did you mean".
pub fn known_words() -> impl Iterator<Item = &'static str> {
    OPERANDS
        .iter()
        .map(|(w, _)| *w)
        .chain(BOUNDS.iter().map(|(w, ..)| *w))
        .chain(WORDS.iter().copied())
}

/// Parses a condition. Only the author's text is characters in `symbols`; `at` is
/// the span of the whole value.
///
/// ```text
/// expr    := and  { ("|" | "||" | "OR")  and }
/// and     := unary { ("&" | "&&" | "AND") unary }
/// unary   := ("!" | "NOT") unary | "(" expr ")" | test
/// ```
pub fn parse(symbols: &[Symbol], at: Span) -> Result<Expr, SyntaxError> {
    let mut parser = Parser {
        symbols,
        next: 0,
        end: at.after(),
        depth: 0,
    };
    let expr = parser.or()?;
    parser.space();
    match parser.peek(0) {
        None if parser.next >= symbols.len() => Ok(expr),
        _ => {
            let mut compares = true;
            expr.for_each_test(&mut |test, _| compares = !matches!(test, Test::Truth(_)));
            let help = match parser.at_lower_operator() {
                true => OPERATORS,
                false if !compares && parser.peek(0).is_some_and(char::is_alphanumeric) => SIGNS,
                false => "",
            };
            Err(parser.wrong("expected `&`, `|` or the end", help))
        }
    }
}

struct Parser<'a> {
    symbols: &'a [Symbol<'a>],
    next: usize,
    end: Span,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        match self.symbols.get(self.next + ahead) {
            Some(Symbol::Char { c, .. }) => Some(*c),
            _ => None,
        }
    }

    fn here(&self) -> Span {
        match self.symbols.get(self.next) {
            Some(Symbol::Char { at, .. }) => *at,
            Some(Symbol::Atom(piece)) => piece.at(),
            None => self.end,
        }
    }

    fn space(&mut self) {
        while self.peek(0).is_some_and(char::is_whitespace) {
            self.next += 1;
        }
    }

    /// An error at the next symbol: what was expected, and what was found.
    fn wrong(&self, expected: &str, help: &'static str) -> SyntaxError {
        let found = match self.symbols.get(self.next) {
            Some(Symbol::Char { c, .. }) => {
                let word = |c: &char| c.is_alphanumeric() || *c == '_';
                let rest = (0..40).map_while(|i| self.peek(i));
                let found: String = rest.take_while(word).collect();
                match found.is_empty() {
                    true => format!("found `{c}`"),
                    false => format!("found `{found}`"),
                }
            }
            Some(Symbol::Atom(_)) => "found a reference".into(),
            None => "found the end".into(),
        };
        SyntaxError::new(self.here(), format!("{expected}, {found}")).with_help(help)
    }

    /// Whether the upper-case operator is next, between spaces or parentheses.
    fn at_word(&self, word: &str) -> bool {
        let before = self.next == 0
            || matches!(self.symbols[self.next - 1], Symbol::Char { c, .. } if c.is_whitespace() || c == '(' || c == ')');
        let after = self.peek(word.len());
        let ends = self.next + word.len() >= self.symbols.len()
            || after.is_some_and(|c| c.is_whitespace() || c == '(');
        before
            && ends
            && word
                .chars()
                .enumerate()
                .all(|(i, c)| self.peek(i) == Some(c))
    }

    /// Whether the next word would be an operator in upper case.
    fn at_lower_operator(&self) -> bool {
        let word: String = (0..)
            .map_while(|i| self.peek(i))
            .take_while(|c| c.is_alphanumeric())
            .take(4)
            .collect();
        word.eq_ignore_ascii_case("and") || word.eq_ignore_ascii_case("or")
    }

    /// Consumes a connective: a sign, a doubled sign or a word.
    fn connective(&mut self, sign: char, word: &str) -> bool {
        self.space();
        if self.peek(0) == Some(sign) {
            self.next += if self.peek(1) == Some(sign) { 2 } else { 1 };
            true
        } else if self.at_word(word) {
            self.next += word.len();
            true
        } else {
            false
        }
    }

    fn or(&mut self) -> Result<Expr, SyntaxError> {
        let mut parts = vec![self.and()?];
        while self.connective('|', "OR") {
            parts.push(self.and()?);
        }
        Ok(if parts.len() == 1 {
            parts.remove(0)
        } else {
            Expr::Or(parts)
        })
    }

    fn and(&mut self) -> Result<Expr, SyntaxError> {
        let mut parts = vec![self.unary()?];
        while self.connective('&', "AND") {
            parts.push(self.unary()?);
        }
        Ok(if parts.len() == 1 {
            parts.remove(0)
        } else {
            Expr::And(parts)
        })
    }

    fn unary(&mut self) -> Result<Expr, SyntaxError> {
        self.space();
        let negated = match self.peek(0) {
            Some('!') => Some(1),
            _ if self.at_word("NOT") => Some(3),
            _ => None,
        };
        if negated.is_none() && self.peek(0) != Some('(') {
            return self.test();
        }
        if self.depth == DEEPEST {
            return Err(SyntaxError::new(
                self.here(),
                format!("parentheses and `!` are nested more than {DEEPEST} levels deep"),
            ));
        }
        self.depth += 1;
        let expr = match negated {
            Some(length) => {
                self.next += length;
                Expr::Not(Box::new(self.unary()?))
            }
            None => self.group()?,
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn group(&mut self) -> Result<Expr, SyntaxError> {
        let open = self.here();
        self.next += 1;
        let expr = self.or()?;
        self.space();
        if self.peek(0) != Some(')') {
            return Err(match self.next < self.symbols.len() {
                true => self.wrong("expected `)`", ""),
                false => SyntaxError::new(open, "this `(` is never closed"),
            });
        }
        self.next += 1;
        Ok(expr)
    }

    fn test(&mut self) -> Result<Expr, SyntaxError> {
        let start = self.here();
        let left = self.left()?;
        let span = Span {
            end: self.before().end.max(start.end),
            ..start
        };
        self.space();
        let op = self.op();
        let test = match left {
            LeftSide::Word(word) => self.keyword(&word, op, span)?,
            LeftSide::Value(value) => match op {
                None => Test::Truth(Operand::Value(value)),
                Some(op) => Test::Compare {
                    left: Operand::Value(value),
                    op,
                    right: self.right(op)?,
                },
            },
        };
        Ok(Expr::Test(Box::new(test), span))
    }

    /// The position of the symbol before the next one.
    fn before(&self) -> Span {
        match self.next.checked_sub(1).and_then(|i| self.symbols.get(i)) {
            Some(Symbol::Char { at, .. }) => *at,
            Some(Symbol::Atom(piece)) => piece.at(),
            None => self.end,
        }
    }

    fn left(&mut self) -> Result<LeftSide, SyntaxError> {
        let mut value = Template::default();
        let (mut word, mut quoted, mut atoms) = (String::new(), false, false);
        while let Some(symbol) = self.symbols.get(self.next) {
            match symbol {
                Symbol::Atom(piece) => {
                    atoms = true;
                    value.pieces.push((*piece).clone());
                    self.next += 1;
                }
                Symbol::Char { c: '"' | '\'', .. } => {
                    quoted = true;
                    self.quoted(&mut value)?;
                }
                Symbol::Char { c, .. } if c.is_whitespace() || "~=<>&|()".contains(*c) => break,
                Symbol::Char { c: '!', .. } if matches!(self.peek(1), Some('~' | '=')) => break,
                Symbol::Char { c, at, secret, .. } => {
                    word.push(*c);
                    value.push_char(*c, *at, *secret);
                    self.next += 1;
                }
            }
        }
        match (quoted || atoms, word.is_empty()) {
            (true, _) => Ok(LeftSide::Value(value)),
            (false, false) => Ok(LeftSide::Word(word)),
            (false, true) => Err(self.wrong("expected a condition", "")),
        }
    }

    /// The test for an unquoted word, which must be a keyword.
    fn keyword(&mut self, word: &str, op: Option<Op>, at: Span) -> Result<Test, SyntaxError> {
        let lower = word.to_ascii_lowercase();
        if let Some((_, least, failed)) = BOUNDS.iter().find(|(w, ..)| *w == lower) {
            return self.bound(*least, *failed, op, at);
        }
        if let Some((_, operand)) = OPERANDS.iter().find(|(w, _)| *w == lower) {
            return match op {
                Some(op) => Ok(Test::Compare {
                    left: operand.clone(),
                    op,
                    right: self.right(op)?,
                }),
                None if matches!(operand, Operand::Stdout | Operand::Stderr) => {
                    Ok(Test::Truth(operand.clone()))
                }
                None => Err(SyntaxError::new(
                    at,
                    format!("`{word}` must be compared with something"),
                )
                .with_help("for example `exit=0`")),
            };
        }
        let test = match lower.as_str() {
            "success" => Test::Is(ResultState::Success),
            "failure" => Test::Is(ResultState::Failure),
            "timeout" => Test::Is(ResultState::Timeout),
            "skipped" => Test::Is(ResultState::Skipped),
            "true" => Test::Constant(true),
            "false" => Test::Constant(false),
            "all_success" => Test::All,
            "any_success" => Test::Any,
            "majority_success" => Test::Majority,
            _ => match lower.strip_prefix("exit_").and_then(exit_number) {
                Some(code) => Test::Exit(code),
                None => return Err(unknown(word, op, at)),
            },
        };
        match op {
            None => Ok(test),
            Some(_) => Err(SyntaxError::new(
                at,
                format!("`{word}` is true or false by itself and cannot be compared"),
            )),
        }
    }

    fn bound(
        &mut self,
        least: bool,
        failed: bool,
        op: Option<Op>,
        at: Span,
    ) -> Result<Test, SyntaxError> {
        if op != Some(Op::Equal) {
            return Err(SyntaxError::new(at, "expected `=N` or `=N%` after this"));
        }
        let bound = self.pattern()?.value;
        match bound.known_text() {
            Some(text) if parse_bound(&text).is_none() => Err(SyntaxError::new(
                at,
                expected("a number or a percentage", &text),
            )),
            _ => Ok(Test::Bound {
                least,
                failed,
                bound,
            }),
        }
    }

    fn op(&mut self) -> Option<Op> {
        let (op, length) = match (self.peek(0)?, self.peek(1)) {
            ('!', Some('~')) => (Op::Lacks, 2),
            ('!', Some('=')) => (Op::Unequal, 2),
            ('=', Some('=')) => (Op::Equal, 2),
            ('<', Some('=')) => (Op::LessOrEqual, 2),
            ('>', Some('=')) => (Op::GreaterOrEqual, 2),
            ('=', _) => (Op::Equal, 1),
            ('~', _) => (Op::Contains, 1),
            ('<', _) => (Op::Less, 1),
            ('>', _) => (Op::Greater, 1),
            _ => return None,
        };
        self.next += length;
        Some(op)
    }

    /// The right side, which must not be empty after an operator that orders.
    fn right(&mut self, op: Op) -> Result<Pattern, SyntaxError> {
        let sign = self.before();
        let known = op.to_string();
        let after = self.peek(1).is_none_or(char::is_whitespace);
        if let Some((one, two)) = NO_OPERATORS
            .iter()
            .find(|(one, two)| *one == known && self.peek(0) == Some(*two))
            .filter(|_| after)
        {
            return Err(SyntaxError::new(
                Span {
                    end: self.here().end.max(sign.end),
                    ..sign
                },
                format!("there is no operator `{one}{two}`"),
            )
            .with_help(SIGNS));
        }
        let pattern = self.pattern()?;
        let ordered = matches!(
            op,
            Op::Less | Op::LessOrEqual | Op::Greater | Op::GreaterOrEqual
        );
        match ordered && pattern.value.is_empty() {
            true => Err(SyntaxError::new(
                sign,
                "expected a number after this, found nothing",
            )),
            false => Ok(pattern),
        }
    }

    /// The pattern, up to the next connective or an unbalanced `)`.
    fn pattern(&mut self) -> Result<Pattern, SyntaxError> {
        self.space();
        let mut value = Template::default();
        let (mut quoted, mut depth) = (false, 0usize);
        // Spaces count only if something follows them.
        let mut spaces: Vec<(char, Span, bool)> = Vec::new();
        while let Some(symbol) = self.symbols.get(self.next) {
            if let Symbol::Char { c, at, secret, .. } = symbol {
                match c {
                    '&' | '|' => break,
                    ')' if depth == 0 => break,
                    'A' if self.at_word("AND") => break,
                    'O' if self.at_word("OR") => break,
                    c if c.is_whitespace() => {
                        spaces.push((*c, *at, *secret));
                        self.next += 1;
                        continue;
                    }
                    '(' => depth += 1,
                    ')' => depth -= 1,
                    _ => {}
                }
            }
            for (c, at, secret) in spaces.drain(..) {
                value.push_char(c, at, secret);
            }
            match symbol {
                Symbol::Char { c: '"' | '\'', .. } => {
                    quoted = true;
                    self.quoted(&mut value)?;
                    continue;
                }
                Symbol::Char { c, at, secret, .. } => value.push_char(*c, *at, *secret),
                Symbol::Atom(piece) => value.pieces.push((*piece).clone()),
            }
            self.next += 1;
        }
        Ok(Pattern { value, quoted })
    }

    /// Quoted text, from its opening quote.
    fn quoted(&mut self, value: &mut Template) -> Result<(), SyntaxError> {
        let open = self.here();
        let quote = self.peek(0);
        self.next += 1;
        loop {
            match self.symbols.get(self.next) {
                None => {
                    return Err(
                        SyntaxError::new(open, "this quote is never closed").with_help(
                            "for a literal quote character, use quotes of the other kind around it",
                        ),
                    );
                }
                Some(Symbol::Atom(piece)) => value.pieces.push((*piece).clone()),
                Some(Symbol::Char { c, .. }) if Some(*c) == quote => {
                    self.next += 1;
                    return Ok(());
                }
                Some(Symbol::Char {
                    c: '\\',
                    at,
                    secret,
                    ..
                }) if self.peek(1).is_some() => {
                    self.next += 1;
                    let c = match self.peek(0) {
                        Some('n') => '\n',
                        Some('t') => '\t',
                        other => other.unwrap_or('\\'),
                    };
                    value.push_char(c, *at, *secret);
                }
                Some(Symbol::Char { c, at, secret, .. }) => value.push_char(*c, *at, *secret),
            }
            self.next += 1;
        }
    }
}

enum LeftSide {
    Word(String),
    Value(Template),
}

/// The error for a word that is not a keyword, with what was probably meant.
fn unknown(word: &str, op: Option<Op>, at: Span) -> SyntaxError {
    if ["AND", "OR", "NOT"]
        .iter()
        .any(|o| o.eq_ignore_ascii_case(word))
    {
        return SyntaxError::new(at, format!("expected a condition, found `{word}`"))
            .with_help(OPERATORS);
    }
    let code = word.get(..5).filter(|w| w.eq_ignore_ascii_case("exit_"));
    if code.is_some() && word[5..].bytes().all(|b| b.is_ascii_digit()) {
        let what = "an exit code from 0 to 255 after `exit_`";
        return SyntaxError::new(at, expected(what, &word[5..]));
    }
    let lower = word.to_ascii_lowercase();
    let result = word.split_once('_').filter(|(id, field)| {
        !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()) && !field.is_empty()
    });
    let near = match ALIASES.iter().find(|(alias, _)| *alias == lower) {
        Some((_, known)) => format!("; did you mean `{known}`?"),
        None if result.is_some() => format!("; did you mean `@{word}@`?"),
        None => suggestion(word, known_words()),
    };
    match op {
        None => SyntaxError::new(at, format!("`{word}` is not a condition{near}")),
        Some(_) => {
            let help = match near.is_empty() {
                true => "put literal text in quotes to compare it",
                false => "",
            };
            SyntaxError::new(at, format!("`{word}` cannot be compared{near}")).with_help(help)
        }
    }
}

fn exit_number(digits: &str) -> Option<i32> {
    parse_digits(digits, 3)
        .filter(|n| *n <= 255)
        .map(|n| n as i32)
}

/// The symbols of a condition: the text written in it is syntax; a global or a
/// result is an operand.
pub fn symbols(value: &Template) -> Vec<Symbol<'_>> {
    let mut out = Vec::with_capacity(value.pieces.iter().map(Piece::size).sum());
    for piece in &value.pieces {
        match piece {
            Piece::Text {
                text,
                at,
                direct: true,
                secret,
            } => out.extend(text.char_indices().map(|(offset, c)| Symbol::Char {
                c,
                at: at.part(offset, offset + c.len_utf8()),
                direct: true,
                secret: *secret,
            })),
            piece => out.push(Symbol::Atom(piece)),
        }
    }
    out
}
