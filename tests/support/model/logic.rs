//! Conditions with three values (SPEC §3.1).

use super::workflow::{TaskEnd, Word};
use std::collections::BTreeMap;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    Yes,
    No,
    Undecided,
}

impl Truth {
    fn from(holds: bool) -> Truth {
        if holds { Truth::Yes } else { Truth::No }
    }

    pub fn not(self) -> Truth {
        match self {
            Truth::Yes => Truth::No,
            Truth::No => Truth::Yes,
            Truth::Undecided => Truth::Undecided,
        }
    }

    fn and(self, other: Truth) -> Truth {
        match (self, other) {
            (Truth::No, _) | (_, Truth::No) => Truth::No,
            (Truth::Yes, Truth::Yes) => Truth::Yes,
            _ => Truth::Undecided,
        }
    }

    fn or(self, other: Truth) -> Truth {
        self.not().and(other.not()).not()
    }
}

#[derive(Clone, Debug)]
pub enum Formula {
    And(Box<Formula>, Box<Formula>),
    Or(Box<Formula>, Box<Formula>),
    Not(Box<Formula>),
    ExitIs(i32),
    Success,
    Failure,
    Unreachable,
    Unknown,
    /// `true` or `false`, written out.
    Literal(bool),
    /// A reference alone.
    Holds(Operand),
    Compared(Operand, &'static str, Pattern),
    Aggregate(Aggregate),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    Exit,
    Stdout,
    StdoutCount,
    Field(u32, FieldName),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldName {
    Stdout,
    Exit,
    Success,
    Outcome,
    SuccessCount,
    FailedCount,
    UnreachableCount,
    NotStartedCount,
    SkippedCount,
    UnknownCount,
    TotalCount,
}

#[derive(Clone, Debug)]
pub enum Pattern {
    Bare(&'static str),
    Quoted(&'static str),
    Reference(u32, FieldName),
}

#[derive(Clone, Copy, Debug)]
pub enum Aggregate {
    All,
    Any,
    Majority,
    Least(Word, Amount),
    Most(Word, Amount),
}

#[derive(Clone, Copy, Debug)]
pub enum Amount {
    Number(usize),
    Percent(usize),
}

/// What a condition is evaluated against.
pub struct Facts<'a> {
    pub results: &'a BTreeMap<u32, TaskEnd>,
    /// The task's own result, where there is one, and its id.
    pub own: Option<(u32, &'a TaskEnd)>,
    /// Whether this judges the result: `success` means exit 0 there.
    pub is_criterion: bool,
}

impl Facts<'_> {
    pub fn evaluate(&self, formula: &Formula) -> Truth {
        self.truth(formula, false)
    }

    /// `failure=`: undecided stays undecided, and a missing result is one.
    pub fn evaluate_opposite(&self, formula: &Formula) -> Truth {
        self.truth(formula, true).not()
    }

    fn truth(&self, formula: &Formula, negated: bool) -> Truth {
        let own = || self.own.expect("a result of its own").1;
        match formula {
            Formula::And(a, b) => self.truth(a, negated).and(self.truth(b, negated)),
            Formula::Or(a, b) => self.truth(a, negated).or(self.truth(b, negated)),
            Formula::Not(inner) => self.truth(inner, true).not(),
            Formula::ExitIs(code) => Truth::from(own().exit == *code),
            Formula::Success => Truth::from(self.own_success()),
            Formula::Failure => Truth::from(!self.own_success()),
            Formula::Unreachable => Truth::from(own().is_lost),
            // A criterion may have made it ok.
            Formula::Unknown if self.is_criterion => Truth::from(own().breaks),
            Formula::Unknown => Truth::from(own().word == Word::Unknown),
            Formula::Literal(holds) => Truth::from(*holds),
            Formula::Holds(operand) => {
                Truth::from(self.value(*operand).0.eq_ignore_ascii_case("true"))
            }
            Formula::Compared(left, operator, right) => {
                self.compare(self.value(*left), operator, right, negated)
            }
            Formula::Aggregate(aggregate) => Truth::from(aggregate.holds(own())),
        }
    }

    fn own_success(&self) -> bool {
        let own = self.own.expect("a result of its own").1;
        if self.is_criterion {
            own.exit == 0
        } else {
            own.success
        }
    }

    /// The text, and whether the result is missing.
    fn value(&self, operand: Operand) -> (String, bool) {
        match operand {
            Operand::Exit => (self.own.expect("own").1.exit.to_string(), false),
            Operand::Stdout => self.own.expect("own").1.stdout(),
            Operand::StdoutCount => {
                let (text, missing) = self.own.expect("own").1.stdout();
                (text.lines().count().to_string(), missing)
            }
            Operand::Field(id, name) => self.field(id, name),
        }
    }

    fn field(&self, id: u32, name: FieldName) -> (String, bool) {
        let own = self.own.filter(|(own, _)| *own == id).map(|(_, end)| end);
        match own.or_else(|| self.results.get(&id)) {
            Some(end) => end.field(name),
            None => (String::new(), true),
        }
    }

    fn compare(
        &self,
        (left, left_missing): (String, bool),
        operator: &str,
        right: &Pattern,
        negated: bool,
    ) -> Truth {
        let (right_text, right_missing, quoted) = match right {
            Pattern::Bare(text) => (text.to_string(), false, false),
            Pattern::Quoted(text) => (text.to_string(), false, true),
            Pattern::Reference(id, name) => {
                let (text, missing) = self.field(*id, *name);
                (text, missing, false)
            }
        };
        if matches!(operator, "~" | "!~") {
            let found = match right {
                Pattern::Reference(..) if right_text.is_empty() => return Truth::Undecided,
                _ if right_text.is_empty() => left.is_empty(),
                _ => left.contains(&right_text),
            };
            return Truth::from(found == (operator == "~"));
        }
        let numbers = number(&left).zip(number(&right_text));
        if let "=" | "==" | "!=" = operator {
            let equal = match numbers.filter(|_| !quoted) {
                Some((a, b)) => a == b,
                None if !quoted && is_boolean(&left) && is_boolean(&right_text) => {
                    left.eq_ignore_ascii_case(&right_text)
                }
                None => left == right_text,
            };
            return Truth::from(equal == (operator != "!="));
        }
        if left_missing || right_missing {
            return if negated { Truth::Undecided } else { Truth::No };
        }
        match numbers {
            None => Truth::Undecided,
            Some((a, b)) => Truth::from(match operator {
                "<" => a < b,
                "<=" => a <= b,
                ">" => a > b,
                _ => a >= b,
            }),
        }
    }
}

fn is_boolean(text: &str) -> bool {
    text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")
}

/// `[+-]digits[.digits]`.
fn number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let all = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (all(whole) && all(part)).then(|| text.parse().expect("a number"))
}

impl Amount {
    /// Compares `count`, a part of `all`, with the amount.
    fn against(self, count: usize, all: usize) -> std::cmp::Ordering {
        match self {
            Amount::Number(number) => count.cmp(&number),
            Amount::Percent(percent) => (count * 100).cmp(&(percent * all)),
        }
    }
}

impl Aggregate {
    pub fn holds(self, end: &TaskEnd) -> bool {
        let wanted = end.criterion_total - end.count(Word::Skipped);
        let ok = end.count(Word::Ok);
        let of = |word: Word| match word {
            Word::Ok => ok,
            _ => wanted - ok,
        };
        match self {
            Aggregate::All => ok == wanted,
            Aggregate::Any => ok > 0,
            Aggregate::Majority => ok * 2 > wanted,
            Aggregate::Least(word, amount) => amount.against(of(word), wanted).is_ge(),
            Aggregate::Most(word, amount) => amount.against(of(word), wanted).is_le(),
        }
    }
}

impl Formula {
    pub fn any(&self, holds: &dyn Fn(&Formula) -> bool) -> bool {
        holds(self)
            || match self {
                Formula::And(a, b) | Formula::Or(a, b) => a.any(holds) || b.any(holds),
                Formula::Not(inner) => inner.any(holds),
                _ => false,
            }
    }

    pub fn names_unreachable(&self) -> bool {
        self.any(&|f| matches!(f, Formula::Unreachable))
    }

    pub fn names_unknown(&self) -> bool {
        self.any(&|f| matches!(f, Formula::Unknown))
    }

    pub fn is_aggregate(&self) -> bool {
        self.any(&|f| matches!(f, Formula::Aggregate(_)))
    }

    pub fn uses(&self, id: u32) -> bool {
        let in_operand = |o: &Operand| matches!(o, Operand::Field(used, _) if *used == id);
        self.any(&|f| match f {
            Formula::Holds(operand) => in_operand(operand),
            Formula::Compared(left, _, right) => {
                in_operand(left) || matches!(right, Pattern::Reference(used, _) if *used == id)
            }
            _ => false,
        })
    }

    /// In parentheses if it would otherwise be split.
    fn within(&self, f: &mut fmt::Formatter, in_and: bool) -> fmt::Result {
        match self {
            Formula::Or(..) => write!(f, "({self})"),
            Formula::And(..) if !in_and => write!(f, "({self})"),
            _ => write!(f, "{self}"),
        }
    }
}

impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Formula::And(a, b) => {
                a.within(f, true)?;
                write!(f, " & ")?;
                b.within(f, true)
            }
            Formula::Or(a, b) => write!(f, "{a} OR {b}"),
            Formula::Not(inner) => {
                write!(f, "!")?;
                inner.within(f, false)
            }
            Formula::ExitIs(code) => write!(f, "exit_{code}"),
            Formula::Success => write!(f, "success"),
            Formula::Failure => write!(f, "failure"),
            Formula::Unreachable => write!(f, "unreachable"),
            Formula::Unknown => write!(f, "unknown"),
            Formula::Literal(holds) => write!(f, "{holds}"),
            Formula::Holds(operand) => write!(f, "{operand}"),
            Formula::Compared(left, operator, right) => write!(f, "{left} {operator} {right}"),
            Formula::Aggregate(aggregate) => write!(f, "{aggregate}"),
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Operand::Exit => write!(f, "exit"),
            Operand::Stdout => write!(f, "stdout"),
            Operand::StdoutCount => write!(f, "stdout_count"),
            Operand::Field(id, name) => write!(f, "@{id}_{name}@"),
        }
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            FieldName::Stdout => "stdout",
            FieldName::Exit => "exit",
            FieldName::Success => "success",
            FieldName::Outcome => "outcome",
            FieldName::SuccessCount => "success_count",
            FieldName::FailedCount => "failed_count",
            FieldName::UnreachableCount => "unreachable_count",
            FieldName::NotStartedCount => "not_started_count",
            FieldName::SkippedCount => "skipped_count",
            FieldName::UnknownCount => "unknown_count",
            FieldName::TotalCount => "total_count",
        })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Pattern::Bare(text) => write!(f, "{text}"),
            Pattern::Quoted(text) => write!(f, "\"{text}\""),
            Pattern::Reference(id, name) => write!(f, "@{id}_{name}@"),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Amount::Number(number) => write!(f, "{number}"),
            Amount::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let counted = |word: &Word| match word {
            Word::Ok => "success",
            _ => "failed",
        };
        match self {
            Aggregate::All => write!(f, "all_success"),
            Aggregate::Any => write!(f, "any_success"),
            Aggregate::Majority => write!(f, "majority_success"),
            Aggregate::Least(word, amount) => write!(f, "min_{}={amount}", counted(word)),
            Aggregate::Most(word, amount) => write!(f, "max_{}={amount}", counted(word)),
        }
    }
}
