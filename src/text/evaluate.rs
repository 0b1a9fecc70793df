//! Evaluates conditions during a run (SPEC §3.1).
//!
//! Values are operands and never parsed: the tree was built when the file was
//! loaded.
#![forbid(unsafe_code)]

use super::condition::{Expr, Op, Operand, Pattern, ResultState, Test, parse_bound};
use super::search::contains;
use super::template::{BlockCount, Lookup, Piece, Reference};
use crate::outcome::Outcome;
use std::borrow::Cow;
use std::cmp::Ordering;

/// The values that a condition is evaluated with.
pub trait Scope: Lookup {
    /// An operand of the task's own result; never `Operand::Value`.
    fn own_value(&self, operand: &Operand) -> Cow<'_, [u8]>;
    /// Whether the task's own stream contains the bytes (it can be a large file).
    fn own_contains(&self, operand: &Operand, needle: &[u8]) -> bool {
        contains(&self.own_value(operand), needle)
    }
    /// Whether the value of a reference contains the bytes.
    fn reference_contains(&self, reference: Reference, needle: &[u8]) -> bool {
        contains(&self.value(reference), needle)
    }
    fn has_state(&self, state: ResultState) -> bool;
    fn exit(&self) -> i32;
    fn count(&self, what: BlockCount) -> u64;
    /// The subtasks that aggregates do not count (SPEC §3.5, `unreachable=skip`).
    fn left_out(&self) -> u64 {
        0
    }
    /// Whether `trace_comparison` writes anything.
    fn is_traced(&self) -> bool {
        false
    }
    /// Writes a comparison to the log at level DEBUG.
    fn trace_comparison(&self, _left: &[u8], _op: Op, _right: &[u8], _holds: bool) {}
    /// Writes a warning.
    fn warn(&self, _text: &str) {}
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
            scope.count(BlockCount::Total),
            scope.count(BlockCount::Ended(Outcome::Skipped)),
            scope.count(BlockCount::Ended(Outcome::Ok)),
        );
        let considered = total.saturating_sub(skipped + scope.left_out());
        let not_ok = considered.saturating_sub(ok);
        match self {
            Test::Constant(value) => *value,
            Test::Exit(code) => scope.exit() == *code,
            Test::Is(state) => scope.has_state(*state),
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
                    scope.warn("the bound of an aggregate is not a number; the test is false");
                    return false;
                };
                // In hundredths: a percentage then needs no rounding.
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
        own => scope.own_value(own),
    }
}

fn compare(left: &Operand, op: Op, right: &Pattern, scope: &dyn Scope) -> bool {
    let pattern = right.value.fill(scope);
    let in_order =
        |is: fn(Ordering) -> bool| ordered(&operand_value(left, scope), &pattern).is_some_and(is);
    let holds = match op {
        Op::Contains => holds_text(left, right, &pattern, scope),
        Op::Lacks => !holds_text(left, right, &pattern, scope),
        Op::Equal => equal(&operand_value(left, scope), &pattern, right.quoted),
        Op::Unequal => !equal(&operand_value(left, scope), &pattern, right.quoted),
        Op::Less => in_order(Ordering::is_lt),
        Op::LessOrEqual => in_order(Ordering::is_le),
        Op::Greater => in_order(Ordering::is_gt),
        Op::GreaterOrEqual => in_order(Ordering::is_ge),
    };
    if scope.is_traced() {
        match left {
            // A long output is not loaded just to be logged.
            Operand::Stdout => scope.trace_comparison(b"stdout", op, &pattern, holds),
            Operand::Stderr => scope.trace_comparison(b"stderr", op, &pattern, holds),
            left => scope.trace_comparison(&operand_value(left, scope), op, &pattern, holds),
        }
    }
    holds
}

fn holds_text(left: &Operand, right: &Pattern, pattern: &[u8], scope: &dyn Scope) -> bool {
    if right.value.is_empty() {
        return operand_value(left, scope).is_empty();
    }
    if pattern.is_empty() {
        scope.warn("the text to search for is empty; it counts as not found");
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

/// The order of two numbers of any length; `None` if one is not a number.
fn ordered(left: &[u8], right: &[u8]) -> Option<Ordering> {
    Some(Number::parse(left)?.compare(&Number::parse(right)?))
}

/// `[+-]digits[.digits]`, kept as digits so that a long number loses no precision.
struct Number<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
}

impl<'a> Number<'a> {
    fn parse(text: &'a [u8]) -> Option<Number<'a>> {
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

    fn compare(&self, other: &Number) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.compare_size(other),
            (true, true) => other.compare_size(self),
        }
    }

    fn compare_size(&self, other: &Number) -> Ordering {
        let whole = self
            .whole
            .len()
            .cmp(&other.whole.len())
            .then_with(|| self.whole.cmp(other.whole));
        whole.then_with(|| self.fraction.cmp(other.fraction))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::chance::Chance;
    use crate::text::condition_parser::{parse, symbols};
    use crate::text::diagnostic::SyntaxError;
    use crate::text::source::Span;
    use crate::text::template;

    struct FixedScope {
        exit: i32,
        stdout: &'static str,
        counts: [u64; 3],
    }

    impl Lookup for FixedScope {
        fn value(&self, _: Reference) -> Cow<'_, [u8]> {
            Cow::Borrowed(b"")
        }
    }

    impl Scope for FixedScope {
        fn own_value(&self, operand: &Operand) -> Cow<'_, [u8]> {
            match operand {
                Operand::Exit => Cow::Owned(self.exit.to_string().into_bytes()),
                Operand::Stdout => Cow::Borrowed(self.stdout.as_bytes()),
                Operand::StdoutCount => {
                    Cow::Owned(self.stdout.lines().count().to_string().into_bytes())
                }
                Operand::Count(what) => Cow::Owned(self.count(*what).to_string().into_bytes()),
                _ => Cow::Borrowed(b""),
            }
        }
        fn has_state(&self, state: ResultState) -> bool {
            match state {
                ResultState::Success => self.exit == 0,
                ResultState::Failure => self.exit != 0,
                _ => false,
            }
        }
        fn exit(&self) -> i32 {
            self.exit
        }
        fn count(&self, what: BlockCount) -> u64 {
            match what {
                BlockCount::Total => self.counts[0],
                BlockCount::Ended(Outcome::Ok) => self.counts[1],
                BlockCount::Ended(Outcome::Skipped) => self.counts[2],
                _ => 0,
            }
        }
    }

    fn read(text: &str) -> Result<Expr, SyntaxError> {
        let at = Span::new(0, 0, text.len());
        let mut resolve = |name: &str, at| match name {
            "EVIL" => vec![Piece::data(b"x | true", at)],
            "EMPTY" => vec![Piece::data(b"", at)],
            name => vec![Piece::of_global(name.to_lowercase(), at)],
        };
        let value = template::parse(text, at, &mut resolve);
        parse(&symbols(&value), at)
    }

    fn holds(text: &str) -> bool {
        let scope = FixedScope {
            exit: 3,
            stdout: "line one\nready (yes)",
            counts: [4, 2, 0],
        };
        read(text)
            .unwrap_or_else(|e| panic!("{text}: {}", e.message))
            .eval(&scope)
    }

    #[test]
    fn precedence_and_negation() {
        for yes in [
            "true | false & false",
            "(true | false) & true",
            "!false & NOT (false)",
            "true OR false AND false",
            "!!true",
            "((exit_3))",
            "EXIT=3 && Stdout~ready",
            "exit_3 AND(true)",
        ] {
            assert!(holds(yes), "{yes}");
        }
        for no in [
            "(true | false) & false",
            "NOT true",
            "! exit_3",
            "exit_0 || failure & exit_4",
        ] {
            assert!(!holds(no), "{no}");
        }
    }

    #[test]
    fn patterns_end_where_the_grammar_says() {
        for yes in [
            "stdout~ready (yes)",
            "(stdout~ready (yes))",
            "stdout ~  line one  & exit=3",
            "stdout~\"line one\" AND exit=3",
            "stdout~one\nready",
            "stdout~'one\\nready'",
            "stdout!~zz & exit=3 | false",
            "stdout~@READY@",
            "@A@=a",
            "'a b'='a b'",
            "stdout_count=2",
            "stdout!=",
            "stdout!~",
        ] {
            assert!(holds(yes), "{yes}");
        }
        for no in [
            "stdout=",
            "stdout~",
            "stdout~Ready",
            "stdout~ORANGE OR false",
        ] {
            assert!(!holds(no), "{no}");
        }
    }

    #[test]
    fn values_are_never_syntax() {
        assert!(!holds("stdout~@EVIL@"));
        assert!(holds("@EVIL@=\"x | true\""));
        assert!(!holds("@EVIL@"));
        assert!(holds("@TRUE@"));
        assert!(!holds("stdout~@EMPTY@"), "an empty value is found nowhere");
        assert!(holds("stdout!~@EMPTY@"));
        assert!(!holds("@EMPTY@"));
    }

    #[test]
    fn comparisons_are_typed() {
        for yes in [
            "exit=03",
            "exit=3.0",
            "exit<10",
            "exit>=3",
            "exit=+3",
            "'-0'=0",
            "'1e3'!=1000",
            "'TRUE'=true",
            "'10'>'9'",
            "'99999999999999999999'>99999999999999999998",
            "'0.10'=.1 | true",
            "'-2'<-1",
            "exit!='03'",
            "'a'!=b",
        ] {
            assert!(holds(yes), "{yes}");
        }
        for no in ["exit='03'", "'a'<b", "''<1", "'1.'<2", "exit<3"] {
            assert!(!holds(no), "{no}");
        }
    }

    #[test]
    fn aggregates_count_what_is_not_ok() {
        let at = |total, ok, skipped| {
            move |text: &str| {
                read(text)
                    .unwrap_or_else(|e| panic!("{text}: {}", e.message))
                    .eval(&FixedScope {
                        exit: 0,
                        stdout: "",
                        counts: [total, ok, skipped],
                    })
            }
        };
        assert!(
            at(4, 4, 0)("all_success") && at(4, 3, 1)("all_success") && at(0, 0, 0)("all_success")
        );
        assert!(!at(4, 3, 0)("all_success"));
        assert!(at(4, 1, 0)("any_success") && !at(4, 0, 0)("any_success"));
        assert!(
            !at(4, 2, 0)("majority_success")
                && at(4, 3, 0)("majority_success")
                && at(5, 3, 0)("majority_success")
        );
        assert!(at(4, 2, 0)("min_success=50%") && !at(4, 1, 0)("min_success=50%"));
        assert!(at(4, 2, 0)(
            "min_success=2 & max_failed=2 & max_success=2 & min_failed=2"
        ));
        assert!(at(3, 2, 0)("max_failed=34%") && !at(3, 2, 0)("max_failed=33%"));
        assert!(at(4, 2, 1)(
            "failed_count=0 & total_count>=4 & success_count=2"
        ));
    }

    #[test]
    fn mistakes_are_located() {
        let wrong = |text: &str| read(text).expect_err(text);
        let place = |text: &str| wrong(text).at.start;
        assert_eq!(place("exit=0 & | true"), 9);
        assert_eq!(place("(exit=0"), 0);
        assert_eq!(place("exit=0)"), 6);
        assert_eq!(place("true & foo=bar"), 7);
        assert_eq!(place("stdout~'abc"), 7);
        assert_eq!(place(""), 0);
        assert_eq!(place("exit"), 0);
        assert_eq!(place("success=1"), 0);
        assert_eq!(place("min_success=x"), 0);
        assert_eq!(place("exit_300"), 0);
        assert_eq!(place("true false"), 5);
        assert!(wrong("sucess").message.contains("did you mean `success`?"));
        assert!(wrong(&"(".repeat(100_000)).message.contains("levels"));
        assert!(wrong(&"!".repeat(100_000)).message.contains("levels"));
    }

    #[test]
    fn any_text_is_a_condition_with_an_opposite_or_a_located_error() {
        let mut chance = Chance::new(4);
        let pieces = [
            "exit",
            "=",
            "stdout",
            "~",
            "!~",
            "<=",
            "success",
            "exit_3",
            " & ",
            " | ",
            " AND ",
            "(",
            ")",
            "!",
            "\"a b\"",
            "min_success=",
            "50%",
            "all_success",
            "12",
            "@1_exit@",
        ];
        let scope = FixedScope {
            exit: 3,
            stdout: "12",
            counts: [4, 2, 1],
        };
        let mut good = 0;
        for _ in 0..10_000 {
            let text = chance.text(&pieces, 8);
            match read(&text) {
                // An unclosed `(` in a pattern would consume the closing one added here.
                Ok(_) if text.matches('(').count() != text.matches(')').count() => {}
                Ok(expr) => {
                    let opposite = read(&format!("!({text})"));
                    let opposite = opposite.unwrap_or_else(|e| panic!("!({text}): {}", e.message));
                    assert_ne!(expr.eval(&scope), opposite.eval(&scope), "{text}");
                    good += 1;
                }
                Err(bad) => {
                    let place = bad.at.start as usize..bad.at.end as usize;
                    assert!(text.get(place).is_some(), "{:?} in {text:?}", bad.at);
                }
            }
        }
        assert!(good > 500, "{good}");
    }
}
