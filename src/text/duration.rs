//! Durations, read and written: `1.5`, `90s`, `250ms`, `5m`, `2h`, `7d` (SPEC §1).
#![forbid(unsafe_code)]

use super::decimal::milliseconds;
use super::diagnostic::expected;
use std::time::Duration;

const FORMS: &str = "a duration such as `30`, `1.5s`, `250ms`, `5m` or `2h`";

/// In milliseconds: 30,000 years.
const LONGEST: u64 = 1_000_000_000_000_000;

/// Parses a duration; the error says what was expected.
pub fn parse(text: &str) -> Result<Duration, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(expected(FORMS, text)),
    };
    let well_formed = number.starts_with(|c: char| c.is_ascii_digit())
        && number.ends_with(|c: char| c.is_ascii_digit())
        && number.matches('.').count() <= 1;
    if !well_formed {
        return Err(expected(FORMS, text));
    }
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    // A number that overflows is too long in any unit.
    let whole = whole.parse().unwrap_or(u64::MAX).saturating_mul(unit);
    let milliseconds = whole.saturating_add(part_of(unit, part));
    if milliseconds > LONGEST {
        return Err(format!("`{text}` is too long"));
    }
    Ok(Duration::from_millis(milliseconds))
}

/// The decimals of a unit, in milliseconds, rounded; `unit` is in milliseconds too.
fn part_of(unit: u64, decimals: &str) -> u64 {
    // Further digits make no difference.
    let decimals = &decimals[..decimals.len().min(10)];
    let scale = 10u64.pow(decimals.len() as u32);
    // `parse` has checked that these are digits.
    let part = decimals.parse().unwrap_or(0) * unit;
    (part + scale / 2) / scale
}

/// A measured duration: `0.025 s`, `42.1 s`, `12:04`, `31:00:00`.
pub fn show(duration: Duration) -> String {
    let ms = milliseconds(duration);
    match ms {
        0..=9_999 => format!("{}.{:03} s", ms / 1000, ms % 1000),
        10_000..=59_999 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        60_000..=3_599_999 => format!("{}:{:02}", ms / 60_000, ms / 1000 % 60),
        _ => format!(
            "{}:{:02}:{:02}",
            ms / 3_600_000,
            ms / 60_000 % 60,
            ms / 1000 % 60
        ),
    }
}

/// An estimated duration, in its two largest units, rounded up: `40 s`, `12 m`,
/// `2 h 5 m`, `3 d 4 h`.
pub fn rough(duration: Duration) -> String {
    let seconds = milliseconds(duration).div_ceil(1000);
    let minutes = seconds.div_ceil(60);
    let hours = minutes.div_ceil(60);
    let two = |large: u64, a: &str, small: u64, b: &str| match small {
        0 => format!("{large} {a}"),
        _ => format!("{large} {a} {small} {b}"),
    };
    match (seconds, minutes, hours) {
        (0..120, ..) => format!("{seconds} s"),
        (_, 0..60, _) => two(seconds / 60, "m", seconds % 60, "s"),
        (_, _, 0..48) => two(minutes / 60, "h", minutes % 60, "m"),
        _ => two(hours / 24, "d", hours % 24, "h"),
    }
}

/// A configured duration, in the largest unit that needs no decimals: `90 s`,
/// `1500 ms`, `5 m`.
pub fn setting(duration: Duration) -> String {
    let ms = milliseconds(duration);
    if ms.is_multiple_of(3_600_000) && ms > 0 {
        format!("{} h", ms / 3_600_000)
    } else if ms.is_multiple_of(60_000) && ms > 0 {
        format!("{} m", ms / 60_000)
    } else if ms.is_multiple_of(1000) {
        format!("{} s", ms / 1000)
    } else {
        format!("{} ms", ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_rounded_up() {
        let estimate = |s: u64| rough(Duration::from_secs(s));
        let all = [0, 119, 120, 3599, 3600, 7501, 172_800].map(estimate);
        assert_eq!(
            all,
            ["0 s", "119 s", "2 m", "1 h", "1 h", "2 h 6 m", "2 d"].map(String::from)
        );
        assert_eq!(rough(Duration::from_millis(1)), "1 s");
    }

    #[test]
    fn every_form_is_read() {
        let ms = |text| parse(text).map(|d| d.as_millis());
        assert_eq!(ms("1.5"), Ok(1500));
        assert_eq!(ms("0.3"), Ok(300));
        assert_eq!(ms("90s"), Ok(90_000));
        assert_eq!(ms("0.0005"), Ok(1));
        assert_eq!(ms("0.00049999999999999999s"), Ok(0));
        assert_eq!(ms("0.3333333333333333h"), Ok(1_200_000));
        assert_eq!(ms("00000000000000000000000001"), Ok(1000));
        assert_eq!(ms("277777777.7h"), Ok(999_999_999_720_000));
        assert_eq!(ms("250ms"), Ok(250));
        assert_eq!(ms("5m"), Ok(300_000));
        assert_eq!(ms("2h"), Ok(7_200_000));
        assert_eq!(ms("1.5d"), Ok(129_600_000));
        assert_eq!(ms("0.99999999999999d"), Ok(86_400_000));
        for bad in [
            "",
            "s",
            "-1",
            "1,5",
            "1.5.2",
            "1 s",
            ".5",
            "5.",
            "1w",
            "9e9",
            "99999999999999h",
            "99999999999999999999999999ms",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_are_shown() {
        let show = |ms| super::show(Duration::from_millis(ms));
        assert_eq!(
            (show(7), show(1234), show(42_100), show(724_000)),
            (
                "0.007 s".into(),
                "1.234 s".into(),
                "42.1 s".into(),
                "12:04".into()
            )
        );
        assert_eq!(setting(Duration::from_secs(90)), "90 s");
        assert_eq!(setting(Duration::from_secs(300)), "5 m");
    }

    #[test]
    fn settings_are_parsed_back() {
        let mut chance = crate::text::chance::Chance::new(5);
        for _ in 0..5000 {
            let text = chance.text(&["1", "0", "9", ".", "ms", "s", "m", "h"], 5);
            if let Ok(duration) = parse(&text) {
                let set = setting(duration).replace(' ', "");
                assert_eq!(parse(&set), Ok(duration), "{text} is {set}");
            }
        }
    }
}
