//! Keeps secrets out of everything that is shown (SPEC §2.2).
#![forbid(unsafe_code)]

use crate::task::globals::Globals;
use crate::text::template::MASK;
use std::borrow::Cow;

/// The values that are shown as `***` wherever they occur.
#[derive(Clone, Default)]
pub struct Mask {
    /// The longest first, so that one secret inside another leaves no rest.
    secrets: Vec<Vec<u8>>,
}

/// Shorter values are masked only where a reference put them in.
const SHORTEST: usize = 4;

impl Mask {
    pub fn new(globals: &Globals) -> Mask {
        let mut secrets: Vec<Vec<u8>> = globals
            .values()
            .flat_map(|(_, global, _)| global.secrets())
            .collect();
        // A value echoed line by line is masked line by line.
        let lines: Vec<Vec<u8>> = secrets
            .iter()
            .flat_map(|s| s.split(|b| *b == b'\n').map(<[u8]>::to_vec))
            .collect();
        secrets.extend(lines);
        secrets.retain(|s| s.len() >= SHORTEST);
        secrets.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        secrets.dedup();
        Mask { secrets }
    }

    /// How many bytes beyond a cut must be looked at to see a secret across it.
    pub fn longest(&self) -> usize {
        self.secrets.first().map_or(0, Vec::len)
    }

    pub fn bytes<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        let mut text = Cow::Borrowed(text);
        for secret in &self.secrets {
            if let Some(masked) = replace(&text, secret) {
                text = Cow::Owned(masked);
            }
        }
        text
    }

    pub fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.bytes(text.as_bytes())).into_owned()
    }
}

/// The text with every occurrence masked; nothing where there is none.
fn replace(text: &[u8], secret: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut from = 0;
    let mut at = 0;
    while let Some(found) = text[at..].iter().position(|b| *b == secret[0]) {
        at += found;
        if text[at..].starts_with(secret) {
            out.extend_from_slice(&text[from..at]);
            out.extend_from_slice(MASK.as_bytes());
            at += secret.len();
            from = at;
        } else {
            at += 1;
        }
    }
    if from == 0 {
        return None;
    }
    out.extend_from_slice(&text[from..]);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_occurrence_is_masked_the_longest_first() {
        let mask = Mask {
            secrets: vec![b"pass-word".to_vec(), b"pass".to_vec()],
        };
        assert_eq!(mask.text("a pass-word, pass and pas"), "a ***, *** and pas");
        assert_eq!(mask.text("passpass"), "******");
        assert_eq!(mask.text("nothing"), "nothing");
    }
}
