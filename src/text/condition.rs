//! Conditions (SPEC §3.1): the tree that a condition is parsed into.
#![forbid(unsafe_code)]

use super::decimal::parse_digits;
use super::source::Span;
use super::template::{BlockCount, Field, Piece, Reference, Template};
use crate::outcome::Outcome;
use std::borrow::Cow;

#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    Or(Vec<Expr>),
    And(Vec<Expr>),
    Not(Box<Expr>),
    Test(Box<Test>, Span),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    Constant(bool),
    Exit(i32),
    Is(ResultState),
    /// An operand alone: true if its value is `true`.
    Truth(Operand),
    Compare {
        left: Operand,
        op: Op,
        right: Pattern,
    },
    All,
    Any,
    Majority,
    /// `min_success=N`, `max_failed=N%` and so on; the bound is `N` or `N%`.
    Bound {
        least: bool,
        failed: bool,
        bound: Template,
    },
}

/// A state of the task's own result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultState {
    Success,
    Failure,
    Timeout,
    Unreachable,
    Unknown,
    Skipped,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    Exit,
    Stdout,
    Stderr,
    Duration,
    StdoutCount,
    StderrCount,
    Count(BlockCount),
    Value(Template),
}

/// Keywords for parts of the task's own result.
pub const OPERANDS: &[(&str, Operand)] = &[
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Contains,
    Lacks,
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Op {
    pub fn parse(text: &str) -> Option<Op> {
        Some(match text {
            "~" => Op::Contains,
            "!~" => Op::Lacks,
            "=" | "==" => Op::Equal,
            "!=" => Op::Unequal,
            "<" => Op::Less,
            "<=" => Op::LessOrEqual,
            ">" => Op::Greater,
            ">=" => Op::GreaterOrEqual,
            _ => return None,
        })
    }

    /// Whether it needs numbers.
    pub fn orders(self) -> bool {
        matches!(
            self,
            Op::Less | Op::LessOrEqual | Op::Greater | Op::GreaterOrEqual
        )
    }

    /// Whether it looks at a value as a whole.
    pub fn compares(self) -> bool {
        !matches!(self, Op::Contains | Op::Lacks)
    }
}

impl std::fmt::Display for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            Op::Contains => "~",
            Op::Lacks => "!~",
            Op::Equal => "=",
            Op::Unequal => "!=",
            Op::Less => "<",
            Op::LessOrEqual => "<=",
            Op::Greater => ">",
            Op::GreaterOrEqual => ">=",
        })
    }
}

/// The right side. An empty one tests whether the left side is empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    pub value: Template,
    pub quoted: bool,
}

impl Expr {
    /// Calls `visit` for every test in the tree.
    pub fn for_each_test(&self, visit: &mut dyn FnMut(&Test, Span)) {
        match self {
            Expr::Or(parts) | Expr::And(parts) => parts.iter().for_each(|p| p.for_each_test(visit)),
            Expr::Not(inner) => inner.for_each_test(visit),
            Expr::Test(test, at) => visit(test, *at),
        }
    }

    /// Tests references to the result of task `own` as the task's own result.
    pub fn with_own_result(self, own: usize) -> Expr {
        let each = |parts: Vec<Expr>| {
            let parts = parts.into_iter();
            parts.map(|part| part.with_own_result(own)).collect()
        };
        match self {
            Expr::Or(parts) => Expr::Or(each(parts)),
            Expr::And(parts) => Expr::And(each(parts)),
            Expr::Not(inner) => Expr::Not(Box::new(inner.with_own_result(own))),
            Expr::Test(mut test, at) => {
                if let Test::Compare { left, .. } | Test::Truth(left) = &mut *test {
                    left.make_own(own);
                }
                Expr::Test(test, at)
            }
        }
    }

    /// Whether one of its tests asks for that state.
    pub fn asks_for(&self, state: ResultState) -> bool {
        let mut found = false;
        self.for_each_test(&mut |test, _| found |= *test == Test::Is(state));
        found
    }

    /// Whether it tests a block's counts, and so the block as a whole.
    pub fn is_about_block(&self) -> bool {
        let mut found = false;
        self.for_each_test(&mut |test, _| found |= test.is_about_block());
        found
    }
}

impl Operand {
    /// Turns a reference to the result of task `own` into the operand for it.
    fn make_own(&mut self, own: usize) {
        let Operand::Value(value) = &*self else {
            return;
        };
        let [
            Piece::Reference {
                to: Reference::Field { task, field },
                default: None,
                ..
            },
        ] = value.pieces.as_slice()
        else {
            return;
        };
        if *task == own
            && let Some(operand) = Operand::of_field(*field)
        {
            *self = operand;
        }
    }

    /// The operand for a field of the task's own result.
    fn of_field(field: Field) -> Option<Operand> {
        match field {
            Field::Exit => Some(Operand::Exit),
            Field::Stdout => Some(Operand::Stdout),
            Field::Stderr => Some(Operand::Stderr),
            Field::Duration => Some(Operand::Duration),
            Field::Count(what) => Some(Operand::Count(what)),
            _ => None,
        }
    }

    /// Whether it is a duration in seconds.
    pub fn is_duration(&self) -> bool {
        *self == Operand::Duration || self.field() == Some(Field::Duration)
    }

    /// Whether it is a task's exit code.
    pub fn is_exit(&self) -> bool {
        *self == Operand::Exit || self.field() == Some(Field::Exit)
    }

    /// Whether it can be nothing but a number, or empty.
    pub fn is_number(&self) -> bool {
        match self {
            Operand::Stdout | Operand::Stderr => false,
            Operand::Value(_) => matches!(
                self.field(),
                Some(
                    Field::Exit
                        | Field::Duration
                        | Field::Attempts
                        | Field::Number
                        | Field::Count(_)
                )
            ),
            _ => true,
        }
    }

    /// The field that it is, and nothing else.
    fn field(&self) -> Option<Field> {
        let Operand::Value(value) = self else {
            return None;
        };
        match value.pieces.as_slice() {
            [
                Piece::Reference {
                    to: Reference::Field { field, .. },
                    default: None,
                    ..
                },
            ] => Some(*field),
            _ => None,
        }
    }

    /// As the author wrote it; secrets are masked.
    pub fn shown(&self) -> Cow<'static, str> {
        match (self, OPERANDS.iter().find(|(_, operand)| operand == self)) {
            (Operand::Value(value), _) => value.shown(None).into(),
            (_, known) => known.map_or("", |(word, _)| *word).into(),
        }
    }
}

impl Test {
    /// Whether it tests a block's counts.
    pub fn is_about_block(&self) -> bool {
        match self {
            Test::All | Test::Any | Test::Majority | Test::Bound { .. } => true,
            Test::Compare { left, .. } | Test::Truth(left) => matches!(left, Operand::Count(_)),
            _ => false,
        }
    }

    /// Whether it tests the task's own result.
    pub fn is_about_own_result(&self) -> bool {
        match self {
            Test::Exit(_) | Test::Is(_) => true,
            Test::Compare { left, .. } | Test::Truth(left) => {
                !matches!(left, Operand::Value(_) | Operand::Count(_))
            }
            _ => false,
        }
    }
}

/// `N` or `N%`: the number, and whether it is a percentage.
pub fn parse_bound(text: &str) -> Option<(u64, bool)> {
    let (digits, percent) = text.strip_suffix('%').map_or((text, false), |d| (d, true));
    let number = parse_digits(digits, 9)?;
    (!percent || number <= 100).then_some((number, percent))
}
