//! Decimal numbers, printed and parsed with integers alone: the tables for floats
//! would be a large part of the program.
#![forbid(unsafe_code)]

use std::time::Duration;

/// The quotient with that many decimals, from 1 to 9; the divisor is at most 10^9.
/// Halves are rounded to the even digit.
pub fn decimal(dividend: u64, divisor: u64, digits: u32) -> String {
    let scale = 10u64.pow(digits);
    let scaled = dividend % divisor * scale;
    let (part, rest) = (scaled / divisor, scaled % divisor);
    let up = rest * 2 > divisor || rest * 2 == divisor && part % 2 == 1;
    let part = part + u64::from(up);
    let whole = dividend / divisor + part / scale;
    format!("{whole}.{:0width$}", part % scale, width = digits as usize)
}

/// Without trailing zeros: `1.5`, `300`.
pub fn short(decimal: &str) -> &str {
    decimal.trim_end_matches('0').trim_end_matches('.')
}

/// A duration in seconds, with that many decimals.
pub fn seconds(duration: Duration, digits: u32) -> String {
    decimal(nanoseconds(duration), 1_000_000_000, digits)
}

/// A duration in seconds with as many decimals as it needs, at most three.
pub fn short_seconds(duration: Duration) -> String {
    short(&seconds(duration, 3)).to_string()
}

/// The duration in nanoseconds, at most 2^64 - 1 (584 years).
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The duration in whole milliseconds.
pub fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A number of 1 to `most` ASCII digits, without a sign.
pub fn parse_digits(text: &str, most: usize) -> Option<u64> {
    let plain = (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_as_floats_are_printed() {
        let mut chance = crate::text::chance::Chance::new(11);
        for _ in 0..5000 {
            // Quotients that a float holds exactly, ties among them.
            let (dividend, power) = (chance.below(1 << 20) as u64, chance.below(21));
            let float = dividend as f64 / (1u64 << power) as f64;
            for digits in 1..=3 {
                let printed = decimal(dividend, 1 << power, digits);
                assert_eq!(printed, format!("{float:.*}", digits as usize), "{float}");
            }
        }
    }

    #[test]
    fn seconds_are_short() {
        let short = |ms| short_seconds(Duration::from_millis(ms));
        assert_eq!(
            [1500, 300_000, 25, 0].map(short),
            ["1.5", "300", "0.025", "0"]
        );
        assert_eq!(seconds(Duration::from_nanos(999_999_999), 3), "1.000");
        assert_eq!(seconds(Duration::MAX, 1), "18446744073.7");
    }
}
