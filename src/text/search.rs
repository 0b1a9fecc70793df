//! Finds bytes in bytes.
#![forbid(unsafe_code)]

/// Where `needle` first occurs in `text`; an empty one at its beginning.
pub fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    let Some(first) = needle.first() else {
        return Some(0);
    };
    let mut from = 0;
    while let Some(at) = text[from..].iter().position(|b| b == first) {
        if text[from + at..].starts_with(needle) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

/// Whether `needle` is part of `text`.
pub fn contains(text: &[u8], needle: &[u8]) -> bool {
    find(text, needle).is_some()
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn the_first_place_is_found() {
        assert_eq!(find(b"aab aabc", b"aabc"), Some(4));
        assert_eq!(
            (find(b"abc", b""), find(b"abc", b"d"), find(b"", b"a")),
            (Some(0), None, None)
        );
        assert_eq!(find(b"ab", b"abc"), None);
    }
}
