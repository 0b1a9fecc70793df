//! "did you mean": the known word nearest to an unknown one.
#![forbid(unsafe_code)]

/// The most candidates that are compared: a suggestion is not worth waiting for.
const MOST: usize = 20_000;

/// The candidate nearest to `word`, if it differs in at most a third of the letters;
/// of equally near ones the first of the same length, or else the first.
pub fn nearest<'a>(word: &str, candidates: &mut dyn Iterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word
        .chars()
        .take(64)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let limit = (word.len() / 3).max(1);
    candidates
        .take(MOST)
        .filter(|c| c.len().abs_diff(word.len()) <= limit)
        .filter_map(|c| Some((distance(&word, c, limit)?, c)))
        .min_by_key(|(d, c)| (*d, c.len().abs_diff(word.len())))
        .map(|(_, c)| c)
}

/// ``did you mean `X`?`` if a word is near, else an empty text.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    // Through `dyn`, so that the search is compiled once, not for each iterator.
    nearest(word, &mut candidates.into_iter())
        .map_or(String::new(), |n| format!("did you mean `{n}`?"))
}

/// The same as the end of a message: ``; did you mean `X`?``, or an empty text.
pub fn suggestion<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    match did_you_mean(word, candidates) {
        near if near.is_empty() => near,
        near => format!("; {near}"),
    }
}

/// The number of edits between two words: insert, delete, replace, or swap two
/// neighbours; `None` if there are more than `limit`.
fn distance(a: &[char], b: &str, limit: usize) -> Option<usize> {
    let b: Vec<char> = b.chars().map(|c| c.to_ascii_lowercase()).collect();
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replace = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replace.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        // Every path to the end passes through this row or, by a swap, the one above.
        if row.iter().chain(&above).min().is_none_or(|d| *d > limit) {
            return None;
        }
        before = std::mem::replace(&mut above, row);
    }
    Some(above[b.len()]).filter(|d| *d <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let keys = ["on_failure", "on_success", "timeout", "task"];
        let nearest = |word| nearest(word, &mut keys.into_iter());
        assert_eq!(nearest("on_faliure"), Some("on_failure"));
        assert_eq!(nearest("timout"), Some("timeout"));
        assert_eq!(nearest("TASK"), Some("task"));
        assert_eq!(nearest("colour"), None);
        let types = ["shell", "sh", "ssh"];
        assert_eq!(super::nearest("shh", &mut types.into_iter()), Some("ssh"));
    }
}
