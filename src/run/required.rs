//! What a command runs with must be there: a missing result fails the task before it
//! starts (SPEC §2.1).
#![forbid(unsafe_code)]

use super::evaluation::Evaluation;
use crate::task::Ix;
use crate::text::evaluate::Scope;
use crate::text::template::{Field, Piece, Reference, Template};

/// How many characters of a word an error shows.
const SHOWN: usize = 200;

/// The value; no result in it is missing or fails to be a number that must be one.
///
/// # Errors
/// Which reference has no value, why, and what to write instead.
pub fn fill(value: &Template, evaluation: &Evaluation) -> Result<Vec<u8>, String> {
    check(value, evaluation)?;
    evaluation.usable(Ok(value.fill(evaluation)))
}

/// Checks that no result in the value is missing or an output that is not whole, and
/// that what must be a number is one.
///
/// # Errors
/// As for `fill`.
pub fn check(value: &Template, evaluation: &Evaluation) -> Result<(), String> {
    for piece in &value.pieces {
        // A default is for what is empty or missing, not for what was lost.
        if let Piece::Reference {
            to: Reference::Field { task, field },
            ..
        } = piece
            && let Some(why) = evaluation.why_unusable(*task, *field)
        {
            return Err(why);
        }
    }
    for (task, field, written) in results_without_default(value) {
        if field.is_required()
            && let Some(why) = evaluation.why_missing(task, field)
        {
            return Err(format!(
                "`{written}` is missing: {why}; {}",
                remedy(written)
            ));
        }
    }
    match value.why_no_number(evaluation) {
        Some(why) => Err(why),
        None => Ok(()),
    }
}

/// Checks that no empty result leaves a path without its last part: `/srv/@0_stdout@`
/// must not become `/srv/`. `expands` says that a shell makes several words of it;
/// `unknown` are the pieces of which only the shell knows whether they are empty.
///
/// # Errors
/// As for `fill`.
pub fn check_path(
    word: &Template,
    expands: bool,
    unknown: &[usize],
    evaluation: &Evaluation,
) -> Result<(), String> {
    let empty = results_without_default(word).find(|(task, field, _)| {
        let (task, field) = (*task, *field);
        let to = Reference::Field { task, field };
        without_nul(&evaluation.value_within(to, None, SHOWN)).is_empty()
    });
    let Some((_, _, written)) = empty else {
        return Ok(());
    };
    let filled = without_nul(&word.fill(evaluation));
    // What is too large for this is found where it is put in.
    evaluation.take_unusable();
    let loses_end = filled.ends_with(b"/") || may_lose_its_end(word, unknown, evaluation);
    if !expands && !loses_end {
        return Ok(());
    }
    let left: String = word.shown(Some(evaluation)).chars().take(SHOWN).collect();
    let remedy = remedy(written);
    Err(format!(
        "`{written}` is empty and leaves `{left}`; {remedy}"
    ))
}

/// The value as it gets into a word, which holds no NUL.
fn without_nul(value: &[u8]) -> Vec<u8> {
    value.iter().copied().filter(|byte| *byte != 0).collect()
}

/// Whether nothing but an empty result, and what can be empty as well, follows the last
/// `/` of the word or precedes a `/` or `/.` at its end.
fn may_lose_its_end(word: &Template, unknown: &[usize], evaluation: &Evaluation) -> bool {
    let (mut kept, mut empty) = (Vec::new(), None);
    for (index, piece) in word.pieces.iter().enumerate() {
        match piece {
            _ if unknown.binary_search(&index).is_ok() => {}
            Piece::Text { text, .. } => kept.extend_from_slice(text.as_bytes()),
            Piece::Data { bytes, .. } => kept.extend_from_slice(bytes),
            Piece::Reference { to, default, .. } => {
                let value = evaluation.value_within(*to, default.as_deref(), SHOWN);
                let value = without_nul(&value);
                if value.is_empty() && default.is_none() && matches!(to, Reference::Field { .. }) {
                    empty = Some(kept.len());
                }
                kept.extend_from_slice(&value);
            }
        }
    }
    let mut end = kept.as_slice();
    while let Some(shorter) = end.strip_suffix(b"/").or_else(|| end.strip_suffix(b"/.")) {
        end = shorter;
    }
    end.len() < kept.len() && empty.is_some_and(|at| at >= end.len())
}

/// The references to results that have no default, each as it is written.
fn results_without_default(value: &Template) -> impl Iterator<Item = (Ix, Field, &str)> {
    value.pieces.iter().filter_map(|piece| match piece {
        Piece::Reference {
            to: Reference::Field { task, field },
            written,
            default: None,
            ..
        } => Some((*task, *field, written.as_str())),
        _ => None,
    })
}

/// The two ways to run the task without the result.
fn remedy(written: &str) -> String {
    let name = written.trim_matches('@');
    format!("give it a default, `@{name}:-TEXT@`, or the task a `condition=`")
}
