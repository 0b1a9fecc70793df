//! Finds secrets in bytes, in a time that does not depend on how many there are.
#![forbid(unsafe_code)]

use std::ops::Range;

/// How many words of 64 bits have one for each pair of bytes.
const PAIRS: usize = (1 << 16) / 64;

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

/// Shorter values are masked only where a reference inserts them.
pub const SHORTEST: usize = 4;

/// The secrets that are masked wherever they occur.
///
/// Nearly every byte of a text is passed over for one look at a table: only where a
/// secret begins with the two bytes there, it is looked for, by its place among all in
/// their order.
#[derive(Clone, Debug, Default)]
pub struct SecretIndex {
    /// In the order of their values, each value once.
    secrets: Vec<Secret>,
    /// For each, the longest other one that it begins with.
    within: Vec<Option<usize>>,
    /// A bit for each pair of bytes that one begins with; empty if there is none.
    pairs: Vec<u64>,
    longest: usize,
}

impl SecretIndex {
    /// Of secrets with the same value the first counts. Those that are too short to be
    /// masked everywhere are left out.
    pub fn new(secrets: &[Secret]) -> SecretIndex {
        let mut secrets: Vec<Secret> = secrets.iter().filter(|s| s.is_masked()).cloned().collect();
        secrets.sort_by(|a, b| a.value.cmp(&b.value));
        secrets.dedup_by(|next, kept| next.value == kept.value);
        let mut index = SecretIndex {
            longest: secrets.iter().map(|s| s.value.len()).max().unwrap_or(0),
            ..SecretIndex::default()
        };
        if !secrets.is_empty() {
            index.pairs = vec![0; PAIRS];
        }
        for secret in secrets {
            let (word, bit) = pair(&secret.value);
            index.pairs[word] |= bit;
            // What it begins with precedes it, with nothing else between them.
            let before = index.secrets.len().checked_sub(1);
            let within = index.first_of(before, &secret.value);
            index.within.push(within);
            index.secrets.push(secret);
        }
        index
    }

    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// The length of the longest, in bytes.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// The first secret that begins in the range, which ends in the bytes: where it
    /// begins, and which it is. Of several at one place it is the longest.
    pub fn find(&self, bytes: &[u8], within: Range<usize>) -> Option<(usize, &Secret)> {
        if self.is_empty() {
            return None;
        }
        let ends = bytes.len().saturating_sub(1).min(within.end);
        for at in within.start..ends {
            let (word, bit) = pair(&bytes[at..]);
            if self.pairs[word] & bit != 0
                && let Some(secret) = self.begins(&bytes[at..])
            {
                return Some((at, secret));
            }
        }
        None
    }

    /// The longest secret that the bytes begin with.
    fn begins(&self, bytes: &[u8]) -> Option<&Secret> {
        // All that the bytes begin with are up to here, and the last is the longest.
        let end = self
            .secrets
            .partition_point(|s| s.value.as_slice() <= bytes);
        let found = self.first_of(end.checked_sub(1), bytes);
        found.map(|at| &self.secrets[at])
    }

    /// Of a secret and those that it begins with, the longest that the bytes begin with.
    fn first_of(&self, mut at: Option<usize>, bytes: &[u8]) -> Option<usize> {
        while let Some(index) = at {
            if bytes.starts_with(&self.secrets[index].value) {
                break;
            }
            at = self.within[index];
        }
        at
    }
}

/// The place of the bit for the first two bytes.
fn pair(bytes: &[u8]) -> (usize, u64) {
    let pair = usize::from(bytes[0]) << 8 | usize::from(bytes[1]);
    (pair / 64, 1 << (pair % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::chance::Chance;

    #[test]
    fn it_finds_what_a_look_for_each_secret_at_each_byte_finds() {
        let mut chance = Chance::new(181);
        let pieces = ["a", "ab", "aab", "abab", "b", "\n", "xy"];
        for _ in 0..5000 {
            let mut secrets: Vec<Secret> = (0..chance.below(6))
                .map(|number| Secret {
                    name: format!("S{number}"),
                    value: chance.bytes(&pieces, 6),
                })
                .collect();
            secrets.sort_by_key(|s| std::cmp::Reverse(s.value.len()));
            let text = chance.bytes(&pieces, 12);
            let index = SecretIndex::new(&secrets);
            let from = chance.below(text.len() + 1);
            let to = from + chance.below(text.len() - from + 1);
            let expected = (from..to).find_map(|at| {
                let mut masked = secrets.iter().filter(|s| s.is_masked());
                let found = masked.find(|s| text[at..].starts_with(&s.value))?;
                Some((at, found.value.clone()))
            });
            let found = index.find(&text, from..to);
            let found = found.map(|(at, s)| (at, s.value.clone()));
            assert_eq!(found, expected, "{secrets:?} in {text:?}");
        }
    }
}
