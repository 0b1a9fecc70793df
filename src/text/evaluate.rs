//! Evaluates conditions over what a run has seen (SPEC §3.1).
//!
//! Values are operands and never parsed: the tree was made when the file was
//! loaded.
#![forbid(unsafe_code)]

use super::condition::{Expr, Op, Operand, Pattern, State, Test, parse_bound};
use super::search::contains;
use super::template::{Counted, Lookup, Piece, Reference};
use std::borrow::Cow;
use std::cmp::Ordering;

/// What a condition is evaluated over.
pub trait Scope: Lookup {
    /// The task's own operand; `Operand::Value` never comes here.
    fn own(&self, operand: &Operand) -> Cow<'_, [u8]>;
    /// Whether the task's own stream holds the bytes (streams may be large files).
    fn own_contains(&self, operand: &Operand, needle: &[u8]) -> bool {
        contains(&self.own(operand), needle)
    }
    /// The same for a reference alone.
    fn reference_contains(&self, reference: Reference, needle: &[u8]) -> bool {
        contains(&self.value(reference), needle)
    }
    fn is(&self, state: State) -> bool;
    fn exit(&self) -> i32;
    fn count(&self, what: Counted) -> u64;
    /// Whether anyone reads what `compared` is told.
    fn is_traced(&self) -> bool {
        false
    }
    /// A comparison that was made, for the DEBUG log.
    fn compared(&self, _left: &[u8], _op: Op, _right: &[u8], _holds: bool) {}
    /// A doubtful case, for a WARN line.
    fn doubt(&self, _text: &str) {}
}

impl Expr {
    pub fn eval(&self, scope: &dyn Scope) -> bool {
        match self {
            Expr::Or(parts) => parts.iter().any(|p| p.eval(scope)),
            Expr::And(parts) => parts.iter().all(|p| p.eval(scope)),
            Expr::Not(inner) => !inner.eval(scope),
            Expr::Test(test, _) => test.eval(scope),
        }
    }
}

impl Test {
    fn eval(&self, scope: &dyn Scope) -> bool {
        let (total, skipped, ok) = (
            scope.count(Counted::Total),
            scope.count(Counted::Skipped),
            scope.count(Counted::Success),
        );
        let considered = total.saturating_sub(skipped);
        let not_ok = considered.saturating_sub(ok);
        match self {
            Test::Constant(value) => *value,
            Test::Exit(code) => scope.exit() == *code,
            Test::Is(state) => scope.is(*state),
            Test::Truth(operand) => as_bool(&operand_value(operand, scope)) == Some(true),
            Test::Compare { left, op, right } => compare(left, *op, right, scope),
            Test::All => not_ok == 0,
            Test::Any => ok > 0,
            Test::Majority => ok * 2 > considered,
            Test::Bound {
                least,
                failed,
                bound,
            } => {
                let text = bound.fill(scope);
                let Some((number, percent)) = parse_bound(&String::from_utf8_lossy(&text)) else {
                    scope.doubt("the bound of an aggregate is no number; it does not hold");
                    return false;
                };
                // In hundredths, so that a percentage needs no rounding.
                let have = if *failed { not_ok } else { ok } * 100;
                let bound = if percent {
                    number * considered
                } else {
                    number * 100
                };
                if *least { have >= bound } else { have <= bound }
            }
        }
    }
}

fn operand_value<'a>(operand: &Operand, scope: &'a dyn Scope) -> Cow<'a, [u8]> {
    match operand {
        Operand::Value(value) => Cow::Owned(value.fill(scope)),
        own => scope.own(own),
    }
}

fn compare(left: &Operand, op: Op, right: &Pattern, scope: &dyn Scope) -> bool {
    let pattern = right.value.fill(scope);
    let holds = match op {
        Op::Contains => holds_text(left, right, &pattern, scope),
        Op::Lacks => !holds_text(left, right, &pattern, scope),
        Op::Equal => equal(&operand_value(left, scope), &pattern, right.quoted),
        Op::Unequal => !equal(&operand_value(left, scope), &pattern, right.quoted),
        Op::Less => ordered(&operand_value(left, scope), &pattern).is_some_and(Ordering::is_lt),
        Op::LessOrEqual => {
            ordered(&operand_value(left, scope), &pattern).is_some_and(Ordering::is_le)
        }
        Op::Greater => ordered(&operand_value(left, scope), &pattern).is_some_and(Ordering::is_gt),
        Op::GreaterOrEqual => {
            ordered(&operand_value(left, scope), &pattern).is_some_and(Ordering::is_ge)
        }
    };
    if scope.is_traced() {
        match left {
            // A long output is not loaded to be shown.
            Operand::Stdout => scope.compared(b"stdout", op, &pattern, holds),
            Operand::Stderr => scope.compared(b"stderr", op, &pattern, holds),
            left => scope.compared(&operand_value(left, scope), op, &pattern, holds),
        }
    }
    holds
}

fn holds_text(left: &Operand, right: &Pattern, pattern: &[u8], scope: &dyn Scope) -> bool {
    if right.value.is_empty() {
        return operand_value(left, scope).is_empty();
    }
    if pattern.is_empty() {
        scope.doubt("the text to look for is empty; it counts as not found");
        return false;
    }
    match left {
        Operand::Value(value) => match value.pieces.as_slice() {
            [Piece::Reference { to, .. }] => scope.reference_contains(*to, pattern),
            _ => contains(&value.fill(scope), pattern),
        },
        own => scope.own_contains(own, pattern),
    }
}

fn equal(left: &[u8], right: &[u8], quoted: bool) -> bool {
    if !quoted && let Some(order) = ordered(left, right) {
        return order.is_eq();
    }
    if let (false, Some(a), Some(b)) = (quoted, as_bool(left), as_bool(right)) {
        return a == b;
    }
    left == right
}

fn as_bool(text: &[u8]) -> Option<bool> {
    if text.eq_ignore_ascii_case(b"true") {
        Some(true)
    } else if text.eq_ignore_ascii_case(b"false") {
        Some(false)
    } else {
        None
    }
}

/// The order of two numbers of any length; nothing where one is no number.
fn ordered(left: &[u8], right: &[u8]) -> Option<Ordering> {
    Some(Number::read(left)?.order(&Number::read(right)?))
}

/// `[+-]digits[.digits]`, kept as digits so that no length loses precision.
struct Number<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
}

impl<'a> Number<'a> {
    fn read(text: &'a [u8]) -> Option<Number<'a>> {
        let (negative, digits) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let dot = digits.iter().position(|b| *b == b'.');
        let (whole, fraction) = match dot {
            Some(dot) => (&digits[..dot], &digits[dot + 1..]),
            None => (digits, &b""[..]),
        };
        let all_digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
        if whole.is_empty()
            || (dot.is_some() && fraction.is_empty())
            || !all_digits(whole)
            || !all_digits(fraction)
        {
            return None;
        }
        let zeros = whole.iter().take_while(|b| **b == b'0').count();
        let kept = fraction.len() - fraction.iter().rev().take_while(|b| **b == b'0').count();
        let (whole, fraction) = (&whole[zeros..], &fraction[..kept]);
        Some(Number {
            negative: negative && !(whole.is_empty() && fraction.is_empty()),
            whole,
            fraction,
        })
    }

    fn order(&self, other: &Number) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.size(other),
            (true, true) => other.size(self),
        }
    }

    fn size(&self, other: &Number) -> Ordering {
        let whole = self
            .whole
            .len()
            .cmp(&other.whole.len())
            .then_with(|| self.whole.cmp(other.whole));
        whole.then_with(|| self.fraction.cmp(other.fraction))
    }
}
