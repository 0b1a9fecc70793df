//! Masks secrets in everything that is shown (SPEC §2.2).
#![forbid(unsafe_code)]

use super::globals::GlobalTable;
use crate::text::search;
use crate::text::source::MASK;
use std::borrow::Cow;
use std::sync::Arc;

/// A secret value and the name that replaces it in a journal: the global's, with a
/// number for a part of its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Secret {
    pub name: String,
    pub value: Vec<u8>,
}

impl Secret {
    /// Whether it is masked wherever it occurs. Shorter values are masked only where a
    /// reference inserts them.
    pub fn is_masked(&self) -> bool {
        self.value.len() >= SHORTEST
    }
}

/// The secret values, each shown as `***` wherever it occurs.
#[derive(Clone, Default)]
pub struct Mask {
    /// The longest first, so that a secret that contains another is masked whole.
    secrets: Arc<[Vec<u8>]>,
    /// The same with their names, and those that are too short.
    named: Arc<[Secret]>,
}

/// Shorter values are masked only where a reference inserts them.
const SHORTEST: usize = 4;

impl Mask {
    pub fn new(globals: &GlobalTable) -> Mask {
        let mut named: Vec<Secret> = globals
            .values()
            .flat_map(|(name, global, _)| name_values(name, global.secret_values()))
            .collect();
        named.sort_unstable_by(|a, b| {
            let by_length = b.value.len().cmp(&a.value.len());
            by_length.then_with(|| (&a.value, &a.name).cmp(&(&b.value, &b.name)))
        });
        let masked = named.iter().filter(|s| s.is_masked());
        let mut secrets: Vec<Vec<u8>> = masked.map(|s| s.value.clone()).collect();
        secrets.dedup();
        Mask {
            secrets: secrets.into(),
            named: named.into(),
        }
    }

    /// Every secret by name, the longest first.
    pub fn named_secrets(&self) -> &[Secret] {
        &self.named
    }

    fn secret_at(&self, bytes: &[u8]) -> Option<&Vec<u8>> {
        self.secrets.iter().find(|s| bytes.starts_with(s))
    }

    /// How many bytes beyond a boundary are needed to see a secret that crosses it.
    pub fn reach(&self) -> usize {
        self.secrets.first().map_or(0, |s| s.len() - 1)
    }

    /// The bytes from `from` to `to` with secrets masked, also those that cross either
    /// end. To see those, `bytes` should extend `reach` further at both ends.
    pub fn apply_to_range(&self, bytes: &[u8], from: usize, to: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let mut at = 0;
        while at < to.min(bytes.len()) {
            match self.secret_at(&bytes[at..]) {
                Some(secret) => {
                    at += secret.len();
                    if at > from {
                        out.extend_from_slice(MASK.as_bytes());
                    }
                }
                None => {
                    if at >= from {
                        out.push(bytes[at]);
                    }
                    at += 1;
                }
            }
        }
        out
    }

    /// Removes bytes from the front of the window and returns them masked: all if no
    /// more follow (`last`), otherwise those that cannot be part of a secret that
    /// continues in the bytes to come.
    pub fn drain_masked(&self, window: &mut Vec<u8>, last: bool) -> Vec<u8> {
        if self.secrets.is_empty() {
            return std::mem::take(window);
        }
        let keep = if last { 0 } else { self.reach() };
        let end = window.len().saturating_sub(keep);
        let (mut out, mut at) = (Vec::with_capacity(end), 0);
        while at < end {
            match self.secret_at(&window[at..]) {
                Some(secret) => {
                    out.extend_from_slice(MASK.as_bytes());
                    at += secret.len();
                }
                None => {
                    out.push(window[at]);
                    at += 1;
                }
            }
        }
        window.drain(..at);
        out
    }

    /// The bytes with secrets masked.
    pub fn apply_bytes<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        let mut text = Cow::Borrowed(text);
        for secret in self.secrets.iter() {
            if let Some(masked) = replace(&text, secret) {
                text = Cow::Owned(masked);
            }
        }
        text
    }

    /// The text with secrets masked.
    pub fn apply(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.apply_bytes(text.as_bytes())).into_owned()
    }
}

/// The secret values of one global, each whole and line by line, as a value can be
/// printed line by line. The names do not depend on the values.
fn name_values(name: &str, values: Vec<Vec<u8>>) -> Vec<Secret> {
    let mut out = Vec::new();
    for (number, value) in values.into_iter().enumerate() {
        let name = match number {
            0 => name.to_string(),
            n => format!("{name}.{n}"),
        };
        let lines: Vec<Vec<u8>> = value.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
        if lines.len() > 1 {
            let lines = lines.into_iter().enumerate();
            out.extend(lines.map(|(at, value)| Secret {
                name: format!("{name}.{number}.{at}"),
                value,
            }));
        }
        out.push(Secret { name, value });
    }
    out
}

/// The text with every occurrence masked; `None` if there is none.
fn replace(text: &[u8], secret: &[u8]) -> Option<Vec<u8>> {
    let mut rest = text;
    let mut out = Vec::new();
    while let Some(at) = search::find(rest, secret) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(MASK.as_bytes());
        rest = &rest[at + secret.len()..];
    }
    if rest.len() == text.len() {
        return None;
    }
    out.extend_from_slice(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::chance::Chance;

    #[test]
    fn a_secret_across_a_boundary_is_masked() {
        let mask = Mask {
            secrets: [b"0123456789".to_vec()].into(),
            ..Mask::default()
        };
        let text = b"ab0123456789cd0123456789ef";
        let part =
            |from, to| String::from_utf8_lossy(&mask.apply_to_range(text, from, to)).into_owned();
        assert_eq!(part(0, 26), "ab***cd***ef");
        assert_eq!(part(0, 5), "ab***");
        assert_eq!(part(5, 14), "***cd");
        assert_eq!(part(12, 14), "cd");
        assert_eq!(part(20, 26), "***ef");
    }

    #[test]
    fn a_secret_that_comes_in_pieces_is_masked() {
        let mask = Mask {
            secrets: [b"0123456789".to_vec(), b"abcd".to_vec()].into(),
            ..Mask::default()
        };
        let text = b"ab01234567890123456789cabcdd";
        for size in 1..text.len() {
            let (mut window, mut out) = (Vec::new(), Vec::new());
            for piece in text.chunks(size) {
                window.extend_from_slice(piece);
                out.extend(mask.drain_masked(&mut window, false));
            }
            out.extend(mask.drain_masked(&mut window, true));
            assert_eq!(String::from_utf8_lossy(&out), "ab******c***d", "{size}");
        }
    }

    #[test]
    fn every_occurrence_is_masked_the_longest_first() {
        let mask = Mask {
            secrets: [b"pass-word".to_vec(), b"pass".to_vec()].into(),
            ..Mask::default()
        };
        assert_eq!(
            mask.apply("a pass-word, pass and pas"),
            "a ***, *** and pas"
        );
        assert_eq!(mask.apply("passpass"), "******");
        assert_eq!(mask.apply("nothing"), "nothing");
    }

    #[test]
    fn no_secret_is_left_however_the_text_is_cut() {
        let mut chance = Chance::new(6);
        let pieces = ["ab", "abab", "aab", "b", "xy", "\n", "secret", "sec"];
        for _ in 0..3000 {
            let secret = |chance: &mut Chance| chance.bytes(&pieces, 4);
            let mut secrets: Vec<Vec<u8>> = (0..3).map(|_| secret(&mut chance)).collect();
            secrets.retain(|s| s.len() >= SHORTEST && !s.contains(&b'*'));
            secrets.sort_by_key(|s| std::cmp::Reverse(s.len()));
            let mut text = chance.bytes(&pieces, 10);
            if let Some(secret) = secrets.last() {
                let at = chance.below(text.len() + 1);
                text.splice(at..at, secret.iter().copied());
            }
            let mask = Mask {
                secrets: secrets.into(),
                ..Mask::default()
            };
            let from = chance.below(text.len() + 1);
            let to = from + chance.below(text.len() - from + 1);
            let seen = &text[..text.len().min(to + mask.reach())];
            let size = 1 + chance.below(8);
            let (mut window, mut taken) = (Vec::new(), Vec::new());
            for piece in text.chunks(size) {
                window.extend_from_slice(piece);
                taken.extend(mask.drain_masked(&mut window, false));
            }
            taken.extend(mask.drain_masked(&mut window, true));
            for shown in [
                &mask.apply_bytes(&text),
                &mask.apply_to_range(seen, from, to)[..],
                &taken,
            ] {
                for secret in mask.secrets.iter() {
                    let left = search::contains(shown, secret);
                    assert!(!left, "{secret:?} in {shown:?} of {text:?}");
                }
            }
        }
    }
}
