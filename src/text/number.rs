//! Numbers of any length, compared digit by digit (SPEC §3.1).
#![forbid(unsafe_code)]

use std::cmp::Ordering;

/// Whether the text is a number: `[+-]digits[.digits]`.
pub fn is_number(text: &[u8]) -> bool {
    Number::parse(text).is_some()
}

/// The number that the text is but for blanks around it, without a `+` and without leading
/// zeros, which would make it octal in a shell; `None` if the text is anything else (SPEC §2.1).
pub fn plain_number(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii();
    Number::parse(text)?;
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let sign = usize::from(text[0] == b'-');
    let (sign, digits) = text.split_at(sign);
    let whole = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    let zeros = digits.iter().take_while(|b| **b == b'0').count();
    Some([sign, &digits[zeros.min(whole - 1)..]].concat())
}

/// The order of two numbers of any length; `None` if one is not a number.
pub fn compare_numbers(left: &[u8], right: &[u8]) -> Option<Ordering> {
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
