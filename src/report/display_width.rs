//! The width of text on a terminal (SPEC §6.6).
#![forbid(unsafe_code)]

/// Characters without width: combining marks, joiners, selectors.
const ZERO_WIDTH: [(u32, u32); 14] = [
    (0x300, 0x36f),
    (0x483, 0x489),
    (0x591, 0x5bd),
    (0x610, 0x61a),
    (0x64b, 0x65f),
    (0x900, 0x902),
    (0xe31, 0xe31),
    (0xe34, 0xe3a),
    (0x1ab0, 0x1aff),
    (0x1dc0, 0x1dff),
    (0x200b, 0x200f),
    (0x20d0, 0x20ff),
    (0xfe00, 0xfe0f),
    (0xfe20, 0xfe2f),
];

/// Characters of two columns: East Asian ones and emoji.
const DOUBLE_WIDTH: [(u32, u32); 17] = [
    (0x1100, 0x115f),
    (0x231a, 0x231b),
    (0x23e9, 0x23ec),
    (0x25fd, 0x25fe),
    (0x2614, 0x2615),
    (0x26a1, 0x26a1),
    (0x2705, 0x2705),
    (0x274c, 0x274c),
    (0x2753, 0x2757),
    (0x2795, 0x2797),
    (0x2e80, 0x303e),
    (0x3041, 0xa4cf),
    (0xac00, 0xd7a3),
    (0xf900, 0xfaff),
    (0xfe30, 0xfe6f),
    (0xff00, 0xff60),
    (0x1f300, 0x1faff),
];

/// The columns of a character. If a terminal disagrees about a rare one, the line is
/// a column too short or too long, no worse.
fn char_columns(c: char) -> usize {
    let within = |ranges: &[(u32, u32)]| {
        ranges
            .iter()
            .any(|(from, to)| (*from..=*to).contains(&(c as u32)))
    };
    match c {
        ' '..='~' => 1,
        _ if within(&ZERO_WIDTH) => 0,
        _ if within(&DOUBLE_WIDTH) || (0x20000..0x40000).contains(&(c as u32)) => 2,
        _ => 1,
    }
}

/// The columns of a text without control characters.
pub fn columns(text: &str) -> usize {
    text.chars().map(char_columns).sum()
}

/// The text, cut to fit into `columns`. A cut text ends with `…`.
pub fn cut(text: &str, columns: usize) -> String {
    if self::columns(text) <= columns {
        return text.to_string();
    }
    let mut left = columns.saturating_sub(1);
    let mut out = String::new();
    for c in text.chars() {
        let wide = char_columns(c);
        if wide > left {
            break;
        }
        left -= wide;
        out.push(c);
    }
    if columns > 0 {
        out.push('\u{2026}');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_by_columns() {
        assert_eq!(columns("ab\u{301}\u{65e5}\u{1f600}"), 6);
        assert_eq!(cut("deploy", 6), "deploy");
        assert_eq!(cut("deploy", 4), "dep\u{2026}");
        assert_eq!(cut("\u{65e5}\u{672c}\u{8a9e}", 4), "\u{65e5}\u{2026}");
        assert_eq!(
            (cut("ab", 1), cut("ab", 0)),
            ("\u{2026}".into(), String::new())
        );
    }
}
