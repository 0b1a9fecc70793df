//! Sizes, read and written: `1000`, `512K`, `64M`, `1.5G`, `2T` (units of 1024).
#![forbid(unsafe_code)]

use super::diagnostic::expected;

const FORMS: &str = "a size such as `64M`, `1.5G` or `512K` (in bytes without a unit)";

/// The units and how many bits they shift.
const UNITS: [(&str, u32); 5] = [("", 0), ("K", 10), ("M", 20), ("G", 30), ("T", 40)];

/// Parses a size in bytes; the error says what was expected.
pub fn parse(text: &str) -> Result<u64, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = UNITS.iter().find(|(name, _)| *name == unit);
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |digits: &str| {
        let all = digits.bytes().all(|b| b.is_ascii_digit());
        all && !digits.is_empty()
    };
    let Some((_, shift)) = shift.filter(|_| is_number(whole) && is_number(part)) else {
        return Err(expected(FORMS, text));
    };
    let too_large = || format!("`{text}` is too large");
    let whole: u64 = whole.parse().map_err(|_| too_large())?;
    // Further digits make no difference.
    let part = &part[..part.len().min(6)];
    let scale = 10u64.pow(part.len() as u32);
    // At most six digits: that fits.
    let part = part.parse::<u64>().unwrap_or(0);
    let bytes = whole.checked_mul(1 << shift).ok_or_else(too_large)?;
    let part = (u128::from(part) << shift) / u128::from(scale);
    bytes.checked_add(part as u64).ok_or_else(too_large)
}

/// The size in the largest unit that needs no decimals: `64 MiB`, `1536 KiB`, `1000
/// bytes`.
pub fn show(bytes: u64) -> String {
    let fits = |shift: &u32| bytes > 0 && bytes.is_multiple_of(1 << shift);
    match UNITS.iter().rev().find(|(_, shift)| fits(shift)) {
        Some((unit, shift)) if *shift > 0 => format!("{} {unit}iB", bytes >> shift),
        _ => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, show};

    #[test]
    fn every_form_is_read() {
        for (text, bytes) in [
            ("0", 0),
            ("1000", 1000),
            ("512K", 512 << 10),
            ("64M", 64 << 20),
            ("1.5G", 1536 << 20),
            ("2T", 2 << 40),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in ["", "M", "1.", ".5M", "1.5.5M", "-1", "64m", "64MB", "64 M"] {
            assert!(parse(text).is_err_and(|e| e.contains("64M")), "{text}");
        }
        assert!(parse("99999999999T").is_err_and(|e| e.contains("too large")));
    }

    #[test]
    fn a_size_is_shown_without_decimals() {
        let shown = [64 << 20, 1536 << 10, 1000, 0].map(show);
        assert_eq!(shown, ["64 MiB", "1536 KiB", "1000 bytes", "0 bytes"]);
    }
}
