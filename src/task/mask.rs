//! Masks secrets in everything that is shown (SPEC §2.2).
#![forbid(unsafe_code)]

use super::Task;
use super::global_value::is_secret;
use super::globals::GlobalTable;
use super::secret_index::{Secret, SecretIndex};
use crate::text::source::MASK;
use crate::text::template::Piece;
use std::borrow::Cow;
use std::sync::Arc;

/// The secret values, each shown as `***` wherever it occurs.
#[derive(Clone, Default)]
pub struct Mask {
    masked: Arc<SecretIndex>,
    /// All of them, also those that are too short.
    named: Arc<[Secret]>,
}

impl Mask {
    /// The secrets among the globals, and those that tasks hand to their commands in a
    /// variable with the name of one.
    pub fn new(globals: &GlobalTable, tasks: &[Task]) -> Mask {
        let of_globals = globals
            .values()
            .flat_map(|(name, global, _)| name_values(name, global.secret_values()));
        let of_variables = tasks.iter().flat_map(secret_variables);
        Mask::of_secrets(of_globals.chain(of_variables).collect())
    }

    fn of_secrets(mut named: Vec<Secret>) -> Mask {
        named.sort_unstable_by(|a, b| {
            let by_length = b.value.len().cmp(&a.value.len());
            by_length.then_with(|| (&a.value, &a.name).cmp(&(&b.value, &b.name)))
        });
        Mask {
            masked: SecretIndex::new(&named).into(),
            named: named.into(),
        }
    }

    /// Every secret by name, the longest first.
    pub fn named_secrets(&self) -> &[Secret] {
        &self.named
    }

    /// How many bytes beyond a boundary are needed to see a secret that crosses it.
    pub fn reach(&self) -> usize {
        self.masked.longest().saturating_sub(1)
    }

    /// The bytes from `from` to `to` with secrets masked, also those that cross either
    /// end. To see those, `bytes` should extend `reach` further at both ends.
    pub fn apply_to_range(&self, bytes: &[u8], from: usize, to: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let end = to.min(bytes.len());
        let mut at = 0;
        while at < end {
            let found = self.masked.find(bytes, at..end);
            let begin = found.map_or(end, |(begin, _)| begin);
            if begin > from {
                out.extend_from_slice(&bytes[at.max(from)..begin]);
            }
            at = begin;
            if let Some((_, secret)) = found {
                at += secret.value.len();
                if at > from {
                    out.extend_from_slice(MASK.as_bytes());
                }
            }
        }
        out
    }

    /// Removes bytes from the front of the window and returns them masked: all if no
    /// more follow (`last`), otherwise those that cannot be part of a secret that
    /// continues in the bytes to come.
    pub fn drain_masked(&self, window: &mut Vec<u8>, last: bool) -> Vec<u8> {
        if self.masked.is_empty() {
            return std::mem::take(window);
        }
        let keep = if last { 0 } else { self.reach() };
        let end = window.len().saturating_sub(keep);
        let mut out = Vec::with_capacity(end);
        let at = self.mask_to(window, end, &mut out);
        window.drain(..at);
        out
    }

    /// Writes the bytes up to `end` masked; where the last secret in them ends, else
    /// `end`.
    fn mask_to(&self, bytes: &[u8], end: usize, out: &mut Vec<u8>) -> usize {
        let mut at = 0;
        while at < end {
            let Some((begin, secret)) = self.masked.find(bytes, at..end) else {
                out.extend_from_slice(&bytes[at..end]);
                return end;
            };
            out.extend_from_slice(&bytes[at..begin]);
            out.extend_from_slice(MASK.as_bytes());
            at = begin + secret.value.len();
        }
        at
    }

    /// The bytes with secrets masked.
    pub fn apply_bytes<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        if self.masked.find(text, 0..text.len()).is_none() {
            return Cow::Borrowed(text);
        }
        let mut out = Vec::with_capacity(text.len());
        self.mask_to(text, text.len(), &mut out);
        Cow::Owned(out)
    }

    /// The text with secrets masked.
    pub fn apply(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.apply_bytes(text.as_bytes())).into_owned()
    }
}

/// The secrets that are written in the variables of a task. One that refers to a global has
/// the secret of that.
fn secret_variables(task: &Task) -> Vec<Secret> {
    let is_written = |piece: &Piece| matches!(piece, Piece::Text { direct: true, .. });
    let variables = task.command().into_iter().flat_map(|command| &command.env);
    let secrets = variables
        .filter(|(name, value)| is_secret(name) && value.pieces.iter().any(is_written))
        .filter_map(|(name, value)| Some((format!("{}.env.{name}", task.id), value.known()?)));
    secrets
        .flat_map(|(name, value)| name_values(&name, vec![value]))
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::secret_index::SHORTEST;
    use crate::text::chance::Chance;
    use crate::text::search;

    fn masking(secrets: &[&[u8]]) -> Mask {
        let secrets = secrets.iter().enumerate().map(|(number, value)| Secret {
            name: format!("S{number}"),
            value: value.to_vec(),
        });
        Mask::of_secrets(secrets.collect())
    }

    #[test]
    fn a_secret_across_a_boundary_is_masked() {
        let mask = masking(&[b"0123456789"]);
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
        let mask = masking(&[b"0123456789", b"abcd"]);
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
        let mask = masking(&[b"pass", b"pass-word"]);
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
            let values: Vec<&[u8]> = secrets.iter().map(Vec::as_slice).collect();
            let mask = masking(&values);
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
                for secret in &secrets {
                    let left = search::contains(shown, secret);
                    assert!(!left, "{secret:?} in {shown:?} of {text:?}");
                }
            }
        }
    }
}
