//! Evaluates conditions during a run (SPEC §3.1).
//!
//! Values are operands and never parsed: the tree was built when the file was
//! loaded.
#![forbid(unsafe_code)]

use super::condition::{Expr, Op, Operand, Pattern, ResultState, Test, parse_bound};
use super::number::{compare_numbers, is_number};
use super::search::contains;
use super::template::{BlockCount, Lookup, Piece, Reference, Template};
use crate::outcome::Outcome;
use std::borrow::Cow;
use std::cmp::Ordering;

/// The text of an operand, of which no more is read than a comparison needs.
pub struct TextStart<'a> {
    pub bytes: Cow<'a, [u8]>,
    /// How long the whole is.
    pub length: u64,
    pub is_whole: bool,
}

impl TextStart<'_> {
    pub fn whole(bytes: Cow<'_, [u8]>) -> TextStart<'_> {
        TextStart {
            length: bytes.len() as u64,
            bytes,
            is_whole: true,
        }
    }
}

/// The values that a condition is evaluated with.
pub trait Scope: Lookup {
    /// An operand of the task's own result; never `Operand::Value`.
    fn own_value(&self, operand: &Operand) -> Cow<'_, [u8]>;
    /// The same, or only the beginning of an output that is too long for a pattern.
    fn own_start(&self, operand: &Operand) -> TextStart<'_> {
        TextStart::whole(self.own_value(operand))
    }
    /// The value of a reference, or only its beginning, as above.
    fn start<'v>(&'v self, reference: Reference, default: Option<&'v str>) -> TextStart<'v> {
        TextStart::whole(self.value_or(reference, default))
    }
    /// Whether the task's own stream contains the bytes (it can be a large file).
    fn own_contains(&self, operand: &Operand, needle: &[u8]) -> bool {
        contains(&self.own_value(operand), needle)
    }
    /// Whether the value of a reference contains the bytes.
    fn reference_contains(&self, reference: Reference, needle: &[u8]) -> bool {
        contains(&self.value(reference), needle)
    }
    /// Says what values are used for from here on.
    fn use_for(&self, _purpose: &'static str) {}
    /// Why a value since the last call was empty that must not be used.
    fn take_unusable(&self) -> Option<String> {
        None
    }
    fn has_state(&self, state: ResultState) -> bool;
    fn exit(&self) -> i32;
    fn count(&self, what: BlockCount) -> u64;
    /// The subtasks that aggregates do not count (SPEC §3.5, `unreachable=skip`).
    fn left_out(&self) -> u64 {
        0
    }
    /// Whether the reference is to a result that is missing (SPEC §2.1).
    fn is_missing(&self, _reference: Reference) -> bool {
        false
    }
    /// A value as a message can show it.
    fn shown(&self, value: &[u8]) -> String {
        String::from_utf8_lossy(value).into_owned()
    }
    /// Whether `trace_comparison` writes anything.
    fn is_traced(&self) -> bool {
        false
    }
    /// Writes a comparison to the log at level DEBUG.
    fn trace_comparison(&self, _left: &[u8], _op: Op, _right: &[u8], _holds: Option<bool>) {}
    /// Writes a warning.
    fn warn(&self, _text: String) {}
    /// Notes why a test is undecided.
    fn note_undecided(&self, _why: String) {}
}

impl Expr {
    /// Whether the condition holds; `None` if that is undecided (SPEC §3.1).
    /// `opposed` says that its opposite is asked for, as in `failure=`.
    pub fn eval(&self, scope: &dyn Scope, opposed: bool) -> Option<bool> {
        match self {
            Expr::Or(parts) => combine(parts, true, scope, opposed),
            Expr::And(parts) => combine(parts, false, scope, opposed),
            Expr::Not(inner) => inner.eval(scope, true).map(|holds| !holds),
            Expr::Test(test, _) => test.eval(scope, opposed),
        }
    }
}

/// One part with the value `decisive` decides the whole, whatever the others are.
fn combine(parts: &[Expr], decisive: bool, scope: &dyn Scope, opposed: bool) -> Option<bool> {
    let mut whole = Some(!decisive);
    for part in parts {
        match part.eval(scope, opposed) {
            Some(value) if value == decisive => return Some(decisive),
            Some(_) => {}
            None => whole = None,
        }
    }
    whole
}

impl Test {
    fn eval(&self, scope: &dyn Scope, opposed: bool) -> Option<bool> {
        scope.use_for("a comparison");
        if let Some(why) = self.values().find_map(|value| value.why_no_number(scope)) {
            scope.note_undecided(format!("undecided: {why}"));
            return None;
        }
        let holds = self.holds(scope, opposed);
        let Some(why) = scope.take_unusable() else {
            return holds;
        };
        let text = match self {
            Test::Compare { left, op, right } => shown(left, *op, right),
            Test::Truth(operand) => operand.shown().to_string(),
            _ => "a bound".into(),
        };
        scope.note_undecided(format!("`{text}` is undecided: {why}"));
        None
    }

    fn holds(&self, scope: &dyn Scope, opposed: bool) -> Option<bool> {
        Some(match self {
            Test::Constant(value) => *value,
            Test::Exit(code) => scope.exit() == *code,
            Test::Is(state) => scope.has_state(*state),
            Test::Truth(operand) => {
                let value = operand_start(operand, scope);
                value.is_whole && as_bool(&value.bytes) == Some(true)
            }
            Test::Compare { left, op, right } => {
                return Comparison {
                    left,
                    op: *op,
                    right,
                    pattern: right.value.fill(scope),
                    scope,
                }
                .eval(opposed);
            }
            Test::All => BlockTotals::new(scope).not_ok == 0,
            Test::Any => BlockTotals::new(scope).ok > 0,
            Test::Majority => {
                let totals = BlockTotals::new(scope);
                totals.ok * 2 > totals.considered
            }
            Test::Bound {
                least,
                failed,
                bound,
            } => {
                let text = bound.fill(scope);
                let Some((number, percent)) = parse_bound(&String::from_utf8_lossy(&text)) else {
                    let (bound, value) = (bound.shown(None), scope.shown(&text));
                    scope.note_undecided(format!(
                        "the bound `{bound}` is undecided: `{value}` is neither a number nor a percentage"
                    ));
                    return None;
                };
                let totals = BlockTotals::new(scope);
                // In hundredths: a percentage then needs no rounding.
                let have = if *failed { totals.not_ok } else { totals.ok } * 100;
                let bound = if percent {
                    number * totals.considered
                } else {
                    number * 100
                };
                if *least { have >= bound } else { have <= bound }
            }
        })
    }
}

impl Test {
    /// The values that are filled in.
    fn values(&self) -> impl Iterator<Item = &Template> {
        let (operand, other) = match self {
            Test::Truth(operand) => (Some(operand), None),
            Test::Compare { left, right, .. } => (Some(left), Some(&right.value)),
            Test::Bound { bound, .. } => (None, Some(bound)),
            _ => (None, None),
        };
        let operand = operand.and_then(|operand| match operand {
            Operand::Value(value) => Some(value),
            _ => None,
        });
        operand.into_iter().chain(other)
    }
}

/// The counts of a block that the aggregates use.
struct BlockTotals {
    ok: u64,
    not_ok: u64,
    /// All but those that were skipped or left out.
    considered: u64,
}

impl BlockTotals {
    fn new(scope: &dyn Scope) -> BlockTotals {
        let ok = scope.count(BlockCount::Ended(Outcome::Ok));
        let skipped = scope.count(BlockCount::Ended(Outcome::Skipped));
        let total = scope.count(BlockCount::Total);
        let considered = total.saturating_sub(skipped + scope.left_out());
        BlockTotals {
            ok,
            not_ok: considered.saturating_sub(ok),
            considered,
        }
    }
}

/// The operand's value. Of one that is an output alone only the beginning is read.
fn operand_start<'a>(operand: &'a Operand, scope: &'a dyn Scope) -> TextStart<'a> {
    match operand {
        Operand::Value(value) => match value.pieces.as_slice() {
            [Piece::Reference { to, default, .. }] => scope.start(*to, default.as_deref()),
            _ => TextStart::whole(Cow::Owned(value.fill(scope))),
        },
        own => scope.own_start(own),
    }
}

/// The comparison as the author wrote it, except for blanks and quotes.
fn shown(left: &Operand, op: Op, right: &Pattern) -> String {
    format!("{} {op} {}", left.shown(), right.value.shown(None))
}

/// One comparison; `pattern` is the value of the right side.
struct Comparison<'a> {
    left: &'a Operand,
    op: Op,
    right: &'a Pattern,
    pattern: Vec<u8>,
    scope: &'a dyn Scope,
}

impl Comparison<'_> {
    fn eval(&self, opposed: bool) -> Option<bool> {
        let holds = match self.op {
            Op::Contains => self.contains(),
            Op::Lacks => self.contains().map(|holds| !holds),
            Op::Equal => Some(self.equal()),
            Op::Unequal => Some(!self.equal()),
            Op::Less => self.in_order(Ordering::is_lt, opposed),
            Op::LessOrEqual => self.in_order(Ordering::is_le, opposed),
            Op::Greater => self.in_order(Ordering::is_gt, opposed),
            Op::GreaterOrEqual => self.in_order(Ordering::is_ge, opposed),
        };
        if self.scope.is_traced() {
            self.trace(holds);
        }
        holds
    }

    fn trace(&self, holds: Option<bool>) {
        let (scope, op, pattern) = (self.scope, self.op, &self.pattern);
        match self.left {
            // A long output is not loaded just to be logged.
            Operand::Stdout => scope.trace_comparison(b"stdout", op, pattern, holds),
            Operand::Stderr => scope.trace_comparison(b"stderr", op, pattern, holds),
            left => {
                let left = operand_start(left, scope).bytes;
                scope.trace_comparison(&left, op, pattern, holds);
            }
        }
    }

    fn contains(&self) -> Option<bool> {
        let scope = self.scope;
        if self.right.value.is_empty() {
            return Some(operand_start(self.left, scope).bytes.is_empty());
        }
        if self.pattern.is_empty() {
            self.undecided("the text to search for is empty");
            return None;
        }
        Some(match self.left {
            Operand::Value(value) => match value.pieces.as_slice() {
                [
                    Piece::Reference {
                        to, default: None, ..
                    },
                ] => scope.reference_contains(*to, &self.pattern),
                _ => contains(&value.fill(scope), &self.pattern),
            },
            own => scope.own_contains(own, &self.pattern),
        })
    }

    fn equal(&self) -> bool {
        let left = operand_start(self.left, self.scope);
        // What is longer than any pattern can be equals none.
        left.is_whole && equal(&left.bytes, &self.pattern, self.right.quoted)
    }

    /// Compares as numbers. A missing result makes that false, but undecided where
    /// the opposite is asked for: else nothing at all would count as a yes.
    fn in_order(&self, is: fn(Ordering) -> bool, opposed: bool) -> Option<bool> {
        let TextStart {
            bytes: left,
            is_whole,
            ..
        } = operand_start(self.left, self.scope);
        if is_whole && let Some(order) = compare_numbers(&left, &self.pattern) {
            return Some(is(order));
        }
        if !opposed && self.has_missing_result() {
            let text = format!("`{}` is false: there is no result to compare", self.shown());
            self.scope.warn(text);
            return Some(false);
        }
        let wrong = match is_whole && is_number(&left) {
            true => &self.pattern[..],
            false => &left[..],
        };
        match wrong.is_empty() {
            true => self.undecided("there is no number to compare"),
            false => self.undecided(&format!("`{}` is not a number", self.scope.shown(wrong))),
        }
        None
    }

    fn has_missing_result(&self) -> bool {
        let left = match self.left {
            Operand::Value(value) => Some(value),
            _ => None,
        };
        let sides = left.into_iter().chain([&self.right.value]);
        let mut pieces = sides.flat_map(|side| &side.pieces);
        pieces.any(|piece| match piece {
            Piece::Reference {
                to, default: None, ..
            } => self.scope.is_missing(*to),
            _ => false,
        })
    }

    fn undecided(&self, why: &str) {
        let text = format!("`{}` is undecided: {why}", self.shown());
        self.scope.note_undecided(text);
    }

    fn shown(&self) -> String {
        shown(self.left, self.op, self.right)
    }
}

fn equal(left: &[u8], right: &[u8], quoted: bool) -> bool {
    if !quoted && let Some(order) = compare_numbers(left, right) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::chance::Chance;
    use crate::text::condition_parser::{parse, symbols};
    use crate::text::diagnostic::SyntaxError;
    use crate::text::source::Span;
    use crate::text::template::{self, Field, WrittenReference};

    /// A result that is missing; those of other tasks are empty.
    const MISSING: Reference = Reference::Field {
        task: 9,
        field: Field::Stdout,
    };

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
                Operand::Duration => Cow::Borrowed(b"6.000"),
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
        fn is_missing(&self, reference: Reference) -> bool {
            reference == MISSING
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
        let mut resolve = |WrittenReference { name, at, .. }: WrittenReference| match name {
            "EVIL" => vec![Piece::data(b"x | true", at)],
            "EMPTY" => vec![Piece::data(b"", at)],
            "WORD" => vec![Piece::data(b"97%", at)],
            "9_stdout" => vec![Piece::Reference {
                to: MISSING,
                at,
                written: "@9_stdout@".into(),
                default: None,
            }],
            name => vec![Piece::of_global(name.to_lowercase(), at)],
        };
        let value = template::parse(text, at, &mut resolve);
        parse(&symbols(&value), at).map(|parsed| parsed.expr)
    }

    fn holds(text: &str) -> bool {
        decide(text, false).unwrap_or_else(|| panic!("{text} is undecided"))
    }

    fn decide(text: &str, opposed: bool) -> Option<bool> {
        let scope = FixedScope {
            exit: 3,
            stdout: "line one\nready (yes)",
            counts: [4, 2, 0],
        };
        read(text)
            .unwrap_or_else(|e| panic!("{text}: {}", e.message))
            .eval(&scope, opposed)
    }

    /// The three values, and the tests that have them.
    const VALUES: [(Option<bool>, &str); 3] = [
        (Some(false), "false"),
        (Some(true), "true"),
        (None, "stdout > 90"),
    ];

    #[test]
    fn undecided_is_a_third_value() {
        for (left, a) in VALUES {
            assert_eq!(decide(&format!("!({a})"), false), left.map(|l| !l), "!{a}");
            for (right, b) in VALUES {
                let (and, or) = match (left, right) {
                    (Some(l), Some(r)) => (Some(l && r), Some(l || r)),
                    (Some(known), None) | (None, Some(known)) => {
                        (Some(false).filter(|_| !known), Some(true).filter(|_| known))
                    }
                    (None, None) => (None, None),
                };
                for opposed in [false, true] {
                    let text = format!("{a} & {b}");
                    assert_eq!(decide(&text, opposed), and, "{text}");
                    let text = format!("{a} | {b}");
                    assert_eq!(decide(&text, opposed), or, "{text}");
                    // De Morgan's law holds for three values too.
                    let text = format!("!(!({a}) & !({b}))");
                    assert_eq!(decide(&text, opposed), or, "{text}");
                }
            }
        }
    }

    #[test]
    fn a_test_without_an_answer_is_undecided() {
        for text in [
            "stdout > 90",
            "stdout<=90",
            "exit < @WORD@",
            "@WORD@ >= 3",
            "@EMPTY@ > 3",
            "stdout ~ @EMPTY@",
            "stdout !~ @EMPTY@",
            "min_success=@9_stdout@",
        ] {
            for opposed in [false, true] {
                assert_eq!(decide(text, opposed), None, "{text}");
                assert_eq!(decide(&format!("!!({text})"), opposed), None, "{text}");
            }
        }
    }

    #[test]
    fn a_missing_result_is_undecided_only_where_the_opposite_is_asked_for() {
        for text in ["@9_stdout@ > 90", "3 < @9_stdout@", "exit >= @9_stdout@"] {
            let text = text.replace("3 <", "'3' <");
            assert_eq!(decide(&text, false), Some(false), "{text}");
            assert_eq!(decide(&text, true), None, "{text}");
            assert_eq!(decide(&format!("!({text})"), false), None, "{text}");
            assert_eq!(decide(&format!("!(!{text})"), false), None, "{text}");
            assert_eq!(decide(&format!("exit=3 & {text}"), true), None, "{text}");
        }
        assert_eq!(decide("@9_stdout@ =", true), Some(true));
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
            "'-2'< -1",
            "duration>5s",
            "duration<=1m & duration=6",
            "duration>250ms & duration!=1h",
            "exit!='03'",
            "'a'!=b",
        ] {
            assert!(holds(yes), "{yes}");
        }
        for no in ["exit='03'", "exit<3", "duration>6s", "duration=1m"] {
            assert!(!holds(no), "{no}");
        }
    }

    #[test]
    fn aggregates_count_what_is_not_ok() {
        let at = |total, ok, skipped| {
            move |text: &str| {
                read(text)
                    .unwrap_or_else(|e| panic!("{text}: {}", e.message))
                    .eval(
                        &FixedScope {
                            exit: 0,
                            stdout: "",
                            counts: [total, ok, skipped],
                        },
                        false,
                    )
                    .expect("decided")
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
    fn every_other_run_of_operator_characters_is_an_error() {
        let signs = ["", "=", "~", "<", ">", "!", " "];
        let operators = ["~", "!~", "=", "==", "!=", "<", "<=", ">", ">="];
        for code in 0..signs.len().pow(4) {
            let sign = |n: u32| signs[code / signs.len().pow(n) % signs.len()];
            let run = [sign(0), sign(1), sign(2), sign(3)].concat();
            if run.trim().is_empty() {
                continue;
            }
            for text in [format!("exit{run}3"), format!("@9_stdout@ {run} 3")] {
                match read(&text) {
                    Ok(_) => assert!(operators.contains(&run.trim()), "{text}"),
                    Err(_) if run.trim() == "!" => {}
                    Err(bad) => {
                        assert!(!operators.contains(&run.trim()), "{text}");
                        let message = format!("there is no operator `{}`", run.trim());
                        assert_eq!(bad.message, message, "{text}");
                        let place = bad.at.start as usize..bad.at.end as usize;
                        assert_eq!(text.get(place), Some(run.trim()), "{text}");
                        assert!(bad.help.contains("`!~`"), "{text}");
                    }
                }
            }
        }
        for quoted in ["stdout=\"=x\"", "stdout ~ '<html>'", "stdout != '!'"] {
            assert!(read(quoted).is_ok(), "{quoted}");
        }
    }

    #[test]
    fn a_right_side_that_can_never_be_a_number_is_an_error() {
        for (text, found) in [
            ("stdout > 90%", "90%"),
            ("exit>=x & true", "x"),
            ("stdout < @9_stdout@ %", "@9_stdout@ %"),
            ("exit < 5m", "5m"),
            ("duration > 5 apples", "5 apples"),
            ("@A@ < 5", "a"),
        ] {
            let bad = read(text).expect_err(text);
            assert!(
                bad.message.ends_with(&format!("found `{found}`")),
                "{bad:?}"
            );
            let place = bad.at.start as usize..bad.at.end as usize;
            let shown = if found == "a" { "@A@" } else { found };
            assert_eq!(text.get(place), Some(shown));
        }
        for possible in ["exit < @9_stdout@", "exit < -@9_stdout@.5", "exit < @WORD@"] {
            assert!(read(possible).is_ok(), "{possible}");
        }
    }

    #[test]
    fn operators_within_a_pattern_are_noticed() {
        for (text, found) in [
            ("stdout~ready and exit=0", "and at 13"),
            ("stdout~\"a b\" Or @X@", "Or at 13"),
            ("stdout~x or not success", "or at 9, not at 12"),
            ("stdout~x & stdout~y and (true)", "and at 20"),
            ("stdout~x AND!exit=0", "AND at 9"),
            ("stdout~x OR@X@", "OR at 9"),
            ("stderr~command not found", ""),
            ("stdout~this and/or that", ""),
            ("stdout~\"ready and waiting\"", ""),
            ("stdout~brand order or", ""),
            ("stdout~x AND exit=0 OR true", ""),
        ] {
            let is_word = |w: &String| w.contains("is part of the text");
            let warned = warnings(text).into_iter().filter(is_word);
            let short =
                |w: String| w.replace("` is part of the text to compare here, not an operator", "");
            let warned: Vec<String> = warned.map(short).collect();
            assert_eq!(warned.join(", ").replace('`', ""), found, "{text}");
        }
    }

    /// The warnings about a condition, each with its place.
    fn warnings(text: &str) -> Vec<String> {
        let at = Span::new(0, 0, text.len());
        let value = template::parse(text, at, &mut |w| vec![Piece::data(b"", w.at)]);
        let parsed = parse(&symbols(&value), at).unwrap_or_else(|e| panic!("{text}: {e:?}"));
        let warnings = parsed.warnings.into_iter();
        warnings
            .map(|w| format!("{} at {}", w.message, w.at.start))
            .collect()
    }

    #[test]
    fn a_comparison_that_never_changes_is_noticed() {
        for (text, found) in [
            (
                "exit=0 # fine",
                "`exit` is a number and never equals `0 # fine` at 5",
            ),
            (
                "stdout_count != many",
                "`stdout_count` is a number and never equals `many` at 16",
            ),
            (
                "duration = 5 apples",
                "`duration` is a number and never equals `5 apples` at 11",
            ),
            (
                "stdout !~ @X@",
                "the text to search for is empty, so the test is undecided at 10",
            ),
            ("exit= & stdout=x & duration=5m & exit=@X@ & stdout ~", ""),
        ] {
            assert_eq!(warnings(text).join(", "), found, "{text}");
        }
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
        assert_eq!(place("'a'<5"), 0);
        assert_eq!(place("''<1"), 0);
        assert_eq!(place("'1.'<2"), 0);
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
            "@9_stdout@",
            "@EMPTY@",
            ">",
            " and ",
            "duration",
            "5s",
        ];
        let scope = FixedScope {
            exit: 3,
            stdout: "12",
            counts: [4, 2, 1],
        };
        let (mut good, mut undecided) = (0, 0);
        for _ in 0..20_000 {
            let text = chance.text(&pieces, 8);
            match read(&text) {
                // An unclosed `(` in a pattern would consume the closing one added here.
                Ok(_) if text.matches('(').count() != text.matches(')').count() => {}
                Ok(expr) => {
                    let opposite = read(&format!("!({text})"));
                    let opposite = opposite.unwrap_or_else(|e| panic!("!({text}): {}", e.message));
                    let (holds, fails) = (expr.eval(&scope, true), opposite.eval(&scope, false));
                    assert_eq!(holds.map(|h| !h), fails, "{text}");
                    // Asking for the opposite only makes a missing result undecided.
                    let asked = expr.eval(&scope, false);
                    assert!(holds == asked || holds.is_none(), "{text}");
                    undecided += usize::from(holds.is_none());
                    good += 1;
                }
                Err(bad) => {
                    let place = bad.at.start as usize..bad.at.end as usize;
                    assert!(text.get(place).is_some(), "{:?} in {text:?}", bad.at);
                }
            }
        }
        assert!(good > 500 && undecided > 10, "{good}, {undecided}");
    }
}
