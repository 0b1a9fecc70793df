//! The id of a run (SPEC §6.3): when it began, and letters that no other run has, on
//! whatever machine or in whatever container that shares the log directory.
#![forbid(unsafe_code)]

use super::sys;
use std::hash::{BuildHasher, Hasher, RandomState};

/// How many letters an id has: 40 bits.
const LENGTH: usize = 8;
/// Letters and digits that nobody mistakes for each other when they are read aloud.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// New letters.
pub fn letters() -> String {
    let mut bytes = [0; LENGTH];
    if sys::random(&mut bytes).is_err() {
        // A kernel without getrandom: std has another source.
        bytes = RandomState::new().build_hasher().finish().to_ne_bytes();
    }
    let letter = |byte: &u8| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]);
    bytes.iter().map(letter).collect()
}
