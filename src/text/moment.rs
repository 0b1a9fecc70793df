//! A point in time, as written: `04:00`, `+2h`, `2024-01-15T04:00` (SPEC §6.5).
#![forbid(unsafe_code)]

use super::decimal::parse_digits;
use super::diagnostic::expected;
use super::duration;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Moment {
    /// This long from now.
    In(Duration),
    /// The next time at which the local clock shows this.
    Clock { hour: i32, minute: i32 },
    At {
        year: i32,
        month: i32,
        day: i32,
        hour: i32,
        minute: i32,
    },
}

/// Parses a moment; the error says what was expected.
pub fn parse(text: &str) -> Result<Moment, String> {
    if let Some(time) = text.strip_prefix('+') {
        return duration::parse(time).map(Moment::In);
    }
    let read = match text.split_once('T') {
        None => clock(text).map(|(hour, minute)| Moment::Clock { hour, minute }),
        Some((date, time)) => {
            day(date)
                .zip(clock(time))
                .map(|((year, month, day), (hour, minute))| Moment::At {
                    year,
                    month,
                    day,
                    hour,
                    minute,
                })
        }
    };
    read.ok_or_else(|| expected("a time such as `04:00`, `+2h` or `2024-01-15T04:00`", text))
}

/// `04:00`
fn clock(text: &str) -> Option<(i32, i32)> {
    let (hour, minute) = text.split_once(':')?;
    let hour = number(hour, 2, 0, 23)?;
    Some((hour, number(minute, 2, 0, 59)?))
}

/// `2024-01-15`
fn day(text: &str) -> Option<(i32, i32, i32)> {
    let (year, rest) = text.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    let (year, month) = (number(year, 4, 1970, 9999)?, number(month, 2, 1, 12)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    Some((year, month, number(day, 2, 1, days)?))
}

fn number(text: &str, digits: usize, from: i32, to: i32) -> Option<i32> {
    let number = parse_digits(text, digits).filter(|_| text.len() == digits)? as i32;
    (from..=to).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        let (hour, minute) = (4, 5);
        assert_eq!(parse("04:05"), Ok(Moment::Clock { hour, minute }));
        assert_eq!(parse("+2h"), Ok(Moment::In(Duration::from_secs(7200))));
        let (year, month, day) = (2024, 2, 29);
        let at = Moment::At {
            year,
            month,
            day,
            hour,
            minute,
        };
        assert_eq!(parse("2024-02-29T04:05"), Ok(at));
        let bad = [
            "",
            "4:00",
            "24:00",
            "04:60",
            "04",
            "+",
            "+x",
            "2h",
            "2023-02-29T04:00",
            "é0:00",
            "2024-13-01T00:00",
            "2024-01-15",
            "2024-01-15 04:00",
            "04:00:00",
            "-1:00",
        ];
        for bad in bad {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
