//! "did you mean": the known word nearest to one that is not known.
#![forbid(unsafe_code)]

/// The most candidates that are looked at: a remedy is not worth a wait.
const MOST: usize = 20_000;

/// The candidate that is at most a third of its letters away from `word`; of
/// two that are equally near the first.
fn nearest<'a>(word: &str, candidates: &mut dyn Iterator<Item = &'a str>) -> Option<&'a str> {
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
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}

/// ``did you mean `X`?`` where there is a near word, else nothing.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    // Behind a pointer, so that there is one search and not one for each list.
    nearest(word, &mut candidates.into_iter())
        .map_or(String::new(), |n| format!("did you mean `{n}`?"))
}

/// Edits between two words: insert, delete, replace, or swap of two neighbours;
/// nothing where there are more than `limit`.
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
        // Every way to the end passes this row or, by a swap, the one above.
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
    }
}
