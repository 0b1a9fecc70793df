//! Quotes words so that a POSIX shell reads each back as it was.
#![forbid(unsafe_code)]

/// The word as a shell would have to be given it; plain words stay plain.
pub fn word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_string();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_needed() {
        let line: Vec<String> = ["ls", "-l", "a b", "", "it's", "$x", "*"]
            .into_iter()
            .map(word)
            .collect();
        assert_eq!(line.join(" "), "ls -l 'a b' '' 'it'\\''s' '$x' '*'");
    }
}
