//! The escapes of `$'…'`.
#![forbid(unsafe_code)]

/// What is between the quotes, without its escapes; `None` if that cannot be told. A byte
/// beyond ASCII is some character: none of a name.
pub fn decoded(written: &str) -> Option<String> {
    let mut text = String::new();
    let mut rest = written;
    while let Some((before, escape)) = rest.split_once('\\') {
        text += before;
        let c = escape.chars().next()?;
        rest = &escape[c.len_utf8()..];
        let number = match c {
            '0'..='7' => Some((escape, 3, 8)),
            'x' => Some((rest, 2, 16)),
            'u' => Some((rest, 4, 16)),
            'U' => Some((rest, 8, 16)),
            _ => None,
        };
        let Some((digits, most, radix)) = number else {
            text.push_str(&plain(c)?);
            continue;
        };
        let length = digits
            .chars()
            .take(most)
            .take_while(|c| c.is_digit(radix))
            .count();
        let value = u32::from_str_radix(digits.get(..length)?, radix).ok()?;
        // A NUL ends the text, and what is no character has no one meaning.
        let is_byte = matches!(c, 'x' | '0'..='7');
        let value = if is_byte { value & 0xff } else { value };
        text.push(match value {
            0 => return None,
            128.. if is_byte => char::REPLACEMENT_CHARACTER,
            _ => char::from_u32(value)?,
        });
        rest = &digits[length..];
    }
    Some(text + rest)
}

/// What a backslash and this character are.
fn plain(c: char) -> Option<String> {
    let one = match c {
        'a' => '\x07',
        'b' => '\x08',
        'e' | 'E' => '\x1b',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        '\\' | '\'' | '"' | '?' => c,
        'c' => return None,
        _ => return Some(format!("\\{c}")),
    };
    Some(one.into())
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn escapes_are_decoded() {
        for (written, text) in [
            ("let", Some("let")),
            ("\\x65val", Some("eval")),
            ("\\x6cet n", Some("let n")),
            ("\\156", Some("n")),
            ("\\u006e\\U0000006e", Some("nn")),
            ("a\\nb\\t\\'\\\\", Some("a\nb\t'\\")),
            ("\\q", Some("\\q")),
            ("\\xe9", Some("\u{fffd}")),
            ("\\545", Some("e")),
            ("\\x", None),
            ("\\0", None),
            ("\\cx", None),
            ("\\ud800", None),
        ] {
            assert_eq!(decoded(written).as_deref(), text, "{written}");
        }
    }
}
