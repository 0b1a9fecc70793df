//! Searches bytes for bytes.
#![forbid(unsafe_code)]

/// The offset of the first `needle` in `text`; 0 for an empty one.
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

/// Whether `text` contains `needle`.
pub fn contains(text: &[u8], needle: &[u8]) -> bool {
    find(text, needle).is_some()
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn the_first_occurrence_is_found() {
        assert_eq!(find(b"aab aabc", b"aabc"), Some(4));
        assert_eq!(
            (find(b"abc", b""), find(b"abc", b"d"), find(b"", b"a")),
            (Some(0), None, None)
        );
        assert_eq!(find(b"ab", b"abc"), None);
    }
}
