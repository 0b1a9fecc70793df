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

/// Searches a text that comes in pieces, in a time that depends on its length only:
/// whatever the text and the needle, no byte is looked at again.
pub struct StreamSearch<'n> {
    needle: &'n [u8],
    /// For each length of a beginning of the needle: how long the longest shorter
    /// beginning is with which it ends.
    borders: Vec<u32>,
    /// How much of the needle the text ends with.
    matched: usize,
}

impl StreamSearch<'_> {
    pub fn new(needle: &[u8]) -> StreamSearch<'_> {
        let mut borders: Vec<u32> = vec![0; needle.len()];
        let mut border = 0;
        for at in 1..needle.len() {
            while border > 0 && needle[at] != needle[border] {
                border = borders[border - 1] as usize;
            }
            border += usize::from(needle[at] == needle[border]);
            borders[at] = border as u32;
        }
        StreamSearch {
            needle,
            borders,
            matched: 0,
        }
    }

    pub fn has_found(&self) -> bool {
        self.matched == self.needle.len()
    }

    /// Takes the next piece; whether the needle has been found.
    pub fn feed(&mut self, piece: &[u8]) -> bool {
        self.find_end(piece).is_some()
    }

    /// Looks for the needle behind its last occurrence.
    pub fn restart(&mut self) {
        self.matched = 0;
    }

    /// Takes the next piece up to the end of the needle; where in it this is.
    pub fn find_end(&mut self, piece: &[u8]) -> Option<usize> {
        let Some(first) = self.needle.first() else {
            return Some(0);
        };
        let mut rest = piece;
        while !self.has_found() && !rest.is_empty() {
            if self.matched == 0 {
                let at = rest.iter().position(|b| b == first);
                rest = &rest[at.unwrap_or(rest.len())..];
            }
            let Some((byte, after)) = rest.split_first() else {
                break;
            };
            while self.matched > 0 && self.needle[self.matched] != *byte {
                self.matched = self.borders[self.matched - 1] as usize;
            }
            self.matched += usize::from(self.needle[self.matched] == *byte);
            rest = after;
        }
        self.has_found().then(|| piece.len() - rest.len())
    }
}

#[cfg(test)]
mod tests {
    use super::{StreamSearch, contains, find};
    use crate::text::chance::Chance;

    #[test]
    fn a_text_in_pieces_is_searched_as_the_whole() {
        let mut chance = Chance::new(18);
        let pieces = ["a", "b", "aab", "abab", "c"];
        for _ in 0..5000 {
            let (text, needle) = (chance.bytes(&pieces, 12), chance.bytes(&pieces, 3));
            let mut search = StreamSearch::new(&needle);
            for piece in text.chunks(1 + chance.below(5)) {
                search.feed(piece);
            }
            let expected = contains(&text, &needle);
            assert_eq!(search.has_found(), expected, "{needle:?} in {text:?}");
        }
    }

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
