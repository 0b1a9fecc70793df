//! Parses conditions (SPEC §3.1).
//!
//! Only the author's text is parsed: references and data are operands, whatever
//! they contain.
#![forbid(unsafe_code)]

use super::condition::{Expr, OPERANDS, Op, Operand, Pattern, ResultState, Test, parse_bound};
use super::decimal::{parse_digits, short_seconds};
use super::diagnostic::{SyntaxError, expected};
use super::duration;
use super::nearest::suggestion;
use super::number::is_number;
use super::source::Span;
use super::template::{Piece, Symbol, Template};

/// How deep parentheses and negations can be nested.
const DEEPEST: usize = 100;

const OPERATORS: &str =
    "`AND`, `OR` and `NOT` must be in upper case, with spaces or parentheses around them";

const SIGNS: &str = "`~` and `!~` test whether the left side contains a text; `=`, `!=`, `<`, `<=`, `>`, `>=` compare";

const SWALLOWED: &str = "to combine tests, write `AND`, `OR` or `NOT` in upper case, with spaces or parentheses around it; else quote the text";

/// For a run of operator characters that is none of the operators.
const NO_OPERATOR: &str = "`~` and `!~` test whether the left side contains a text; `=`, `!=`, `<`, `<=`, `>`, `>=` compare; quote a text that begins with one of these characters";

const OPERATOR_CHARACTERS: &str = "=~<>!";

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
    "unreachable",
    "unknown",
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

/// A parsed condition.
#[derive(Debug)]
pub struct ParsedCondition {
    pub expr: Expr,
    pub warnings: Vec<ConditionWarning>,
}

/// Something that is allowed but probably not meant; `help` may be empty.
#[derive(Debug)]
pub struct ConditionWarning {
    pub at: Span,
    pub message: String,
    pub help: &'static str,
}

/// Parses a condition. Only the author's text is characters in `symbols`; `at` is
/// the span of the whole value.
///
/// ```text
/// expr    := and  { ("|" | "||" | "OR")  and }
/// and     := unary { ("&" | "&&" | "AND") unary }
/// unary   := ("!" | "NOT") unary | "(" expr ")" | test
/// ```
pub fn parse(symbols: &[Symbol], at: Span) -> Result<ParsedCondition, SyntaxError> {
    let mut parser = Parser {
        symbols,
        next: 0,
        end: at.after(),
        depth: 0,
        warnings: Vec::new(),
    };
    let expr = parser.or()?;
    parser.space();
    match parser.peek(0) {
        None if parser.next >= symbols.len() => Ok(ParsedCondition {
            expr,
            warnings: parser.warnings,
        }),
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
    warnings: Vec<ConditionWarning>,
}

impl Parser<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        match self.symbols.get(self.next + ahead) {
            Some(Symbol::Char { c, .. }) => Some(*c),
            _ => None,
        }
    }

    fn here(&self) -> Span {
        self.span(0)
    }

    /// The position of the symbol `ahead` of the next one.
    fn span(&self, ahead: usize) -> Span {
        match self.symbols.get(self.next + ahead) {
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
                let found = self.read_word(0);
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
        let word = self.read_word(0);
        word.eq_ignore_ascii_case("and") || word.eq_ignore_ascii_case("or")
    }

    /// The word that begins `ahead` symbols from here; empty if none does.
    fn read_word(&self, ahead: usize) -> String {
        (ahead..)
            .map_while(|i| self.peek(i))
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .take(40)
            .collect()
    }

    /// Warns if the next word of a pattern was probably meant as an operator. `not`
    /// is an ordinary word, unless a test follows.
    fn check_swallowed(&mut self) {
        let word = self.read_word(0);
        let is = |operator: &str| word.eq_ignore_ascii_case(operator);
        if !is("AND") && !is("OR") && !is("NOT") {
            return;
        }
        let blanks = (word.len()..)
            .take_while(|i| self.peek(*i).is_some_and(char::is_whitespace))
            .count();
        let after = word.len() + blanks;
        let is_test = match self.symbols.get(self.next + after) {
            None => return,
            Some(Symbol::Char { c, .. }) => "!(\"'".contains(*c),
            Some(Symbol::Atom(_)) => true,
        };
        let meant = match is("NOT") {
            true => blanks > 0 && is_word(&self.read_word(after)),
            false => blanks > 0 || is_test,
        };
        if meant {
            let at = self.here().through(self.span(word.len() - 1));
            let message = format!("`{word}` is part of the text to compare here, not an operator");
            self.warn(at, message, SWALLOWED);
        }
    }

    fn warn(&mut self, at: Span, message: String, help: &'static str) {
        self.warnings.push(ConditionWarning { at, message, help });
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
        let span = start.through(self.before());
        self.space();
        let op = self.op()?;
        let test = match left {
            LeftSide::Word(word) => self.keyword(&word, op, span)?,
            LeftSide::Value { quoted: true, .. } if op.is_none() && self.ends_test() => {
                let message = "a quoted text is not a condition";
                return Err(SyntaxError::new(span, message).with_help("remove the quotes"));
            }
            LeftSide::Value { value, quoted } => match op {
                None => Test::Truth(Operand::Value(value)),
                Some(op) if op.orders() && !can_be_number(&value) => {
                    let what = format!("a number before `{op}`");
                    return Err(SyntaxError::new(span, expected(&what, &value.shown(None))));
                }
                Some(op) => {
                    let operand = Some(value.shown(None)).filter(|text| quoted && is_operand(text));
                    let test = self.comparison(Operand::Value(value), op)?;
                    if let (Some(operand), Test::Compare { right, .. }) = (operand, &test)
                        && written_text(&right.value).is_some()
                    {
                        let message = format!("`{operand}` in quotes is a text, not an operand");
                        self.warn(span, message, "remove the quotes");
                    }
                    test
                }
            },
        };
        Ok(Expr::Test(Box::new(test), span))
    }

    /// Whether a connective, a parenthesis or the end is next.
    fn ends_test(&self) -> bool {
        self.peek(0).is_none_or(|c| "&|)".contains(c)) || self.at_word("AND") || self.at_word("OR")
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
                Symbol::Char { c, .. } if c.is_whitespace() || "!~=<>&|()".contains(*c) => {
                    break;
                }
                Symbol::Char { c, at, secret, .. } => {
                    word.push(*c);
                    value.push_char(*c, *at, *secret);
                    self.next += 1;
                }
            }
        }
        match (quoted || atoms, word.is_empty()) {
            (true, _) => Ok(LeftSide::Value { value, quoted }),
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
                Some(op) => self.comparison(operand.clone(), op),
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
            "unreachable" => Test::Is(ResultState::Unreachable),
            "unknown" => Test::Is(ResultState::Unknown),
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

    fn is_sign(&self, ahead: usize) -> bool {
        self.peek(ahead)
            .is_some_and(|c| OPERATOR_CHARACTERS.contains(c))
    }

    /// The operator that is next, if there is one. Other runs of its characters are
    /// an error, also if there are blanks in them: a pattern begins with something
    /// else.
    fn op(&mut self) -> Result<Option<Op>, SyntaxError> {
        let run: String = (0..)
            .take_while(|i| self.is_sign(*i))
            .map_while(|i| self.peek(i))
            .collect();
        let blanks = (run.len()..)
            .take_while(|i| self.peek(*i).is_some_and(char::is_whitespace))
            .count();
        let more = (run.len() + blanks..)
            .take_while(|i| self.is_sign(*i))
            .count();
        // A lone `!` is not meant as an operator.
        if run.is_empty() || run == "!" && more == 0 {
            return Ok(None);
        }
        let length = run.len() + if more > 0 { blanks + more } else { 0 };
        match Op::parse(&run).filter(|_| more == 0) {
            Some(op) => {
                self.next += run.len();
                Ok(Some(op))
            }
            None => {
                let written: String = (0..length).map_while(|i| self.peek(i)).collect();
                let at = self.here().through(self.span(length - 1));
                let message = format!("there is no operator `{written}`");
                Err(SyntaxError::new(at, message).with_help(NO_OPERATOR))
            }
        }
    }

    /// A comparison, from its right side on.
    fn comparison(&mut self, left: Operand, op: Op) -> Result<Test, SyntaxError> {
        let sign = self.before();
        self.space();
        let start = self.here();
        let mut right = self.pattern()?;
        if op.orders() && right.value.is_empty() {
            let message = "expected a number after this, found nothing";
            return Err(SyntaxError::new(sign, message));
        }
        let at = start.through(self.last());
        let is_time = left.is_duration();
        if is_time && op.compares() && !right.quoted {
            right.value = in_seconds(right.value);
        }
        if op.orders() && !can_be_number(&right.value) {
            let what = match is_time {
                true => format!("a number or a duration such as `5m` after `{op}`"),
                false => format!("a number after `{op}`"),
            };
            let found = expected(&what, &right.value.shown(None));
            return Err(SyntaxError::new(at, found));
        }
        self.check_constant(&left, op, &right.value, at);
        Ok(Test::Compare { left, op, right })
    }

    /// Warns of a comparison that has the same answer in every run.
    fn check_constant(&mut self, left: &Operand, op: Op, right: &Template, at: Span) {
        if right.is_empty() {
            return;
        }
        if op.compares() && left.is_number() && !can_be_number(right) {
            let (left, right) = (left.shown(), right.shown(None));
            let message = format!("`{left}` is a number and never equals `{right}`");
            self.warn(at, message, "");
        } else if matches!(op, Op::Equal | Op::Unequal)
            && left.is_exit()
            && written_text(right).is_some_and(|code| !code.is_empty() && !is_exit_code(&code))
        {
            let (left, right) = (left.shown(), right.shown(None));
            let message = format!("`{left}` is from 0 to 255, or -1, and never equals `{right}`");
            self.warn(at, message, "");
        } else if !op.compares() && left.is_number() && !has_only_number_characters(right) {
            let (left, right) = (left.shown(), right.shown(None));
            let message = format!("`{left}` is a number and never contains `{right}`");
            self.warn(at, message, "");
        } else if !op.compares() && right.known().is_some_and(|text| text.is_empty()) {
            let message = "the text to search for is empty, so the test is undecided";
            self.warn(at, message.into(), "");
        }
    }

    /// The position of the last symbol before the next one that is not a blank.
    fn last(&self) -> Span {
        let before = self.symbols[..self.next.min(self.symbols.len())].iter();
        let solid = |s: &&Symbol| !matches!(s, Symbol::Char { c, .. } if c.is_whitespace());
        match before.rev().find(solid) {
            Some(Symbol::Char { at, .. }) => *at,
            Some(Symbol::Atom(piece)) => piece.at(),
            None => self.end,
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
                    'A' | 'a' | 'O' | 'o' | 'N' | 'n' if !spaces.is_empty() => {
                        self.check_swallowed();
                    }
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

/// Whether the value can be a number in some run. Data is known only then.
fn can_be_number(value: &Template) -> bool {
    match written_text(value) {
        Some(whole) => is_number(whole.as_bytes()),
        None => has_only_number_characters(value),
    }
}

/// The value, if it consists of the author's text only.
fn written_text(value: &Template) -> Option<String> {
    let texts = value.pieces.iter().map(|piece| match piece {
        Piece::Text { text, .. } => Some(text.as_str()),
        Piece::Data { .. } | Piece::Reference { .. } => None,
    });
    texts.collect()
}

/// Whether no character that is known before a run rules out a number.
fn has_only_number_characters(value: &Template) -> bool {
    value.pieces.iter().all(|piece| match piece {
        Piece::Text { text, .. } => text.bytes().all(|b| b"+-.0123456789".contains(&b)),
        Piece::Data { .. } | Piece::Reference { .. } => true,
    })
}

/// Whether the number can be a task's exit code: 0 to 255, or -1 without one.
fn is_exit_code(number: &str) -> bool {
    let number = number.parse::<f64>();
    number.is_ok_and(|n| n.fract() == 0.0 && (-1.0..=255.0).contains(&n))
}

/// A duration that is written out, as a number of seconds; other values unchanged.
fn in_seconds(value: Template) -> Template {
    let duration = value
        .known_text()
        .filter(|text| !is_number(text.as_bytes()))
        .and_then(|text| duration::parse(&text).ok());
    match (duration, value.pieces.first()) {
        (Some(duration), Some(first)) => {
            let mut seconds = Template::default();
            seconds.push_text(&short_seconds(duration), first.at(), value.has_secret());
            seconds
        }
        _ => value,
    }
}

enum LeftSide {
    Word(String),
    Value { value: Template, quoted: bool },
}

/// Whether the text is the name of an operand.
fn is_operand(text: &str) -> bool {
    OPERANDS.iter().any(|(w, _)| w.eq_ignore_ascii_case(text))
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
