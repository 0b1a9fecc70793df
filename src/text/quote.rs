//! Quotes words for a POSIX shell.
#![forbid(unsafe_code)]

/// The word, quoted if a shell would change it.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_string();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Any bytes, always in quotes; `newline` replaces each newline.
pub fn shell_bytes(word: &[u8], newline: &[u8]) -> Vec<u8> {
    let mut out = vec![b'\''];
    for byte in word {
        match byte {
            b'\'' => out.extend_from_slice(b"'\\''"),
            b'\n' => out.extend_from_slice(newline),
            byte => out.push(*byte),
        }
    }
    out.push(b'\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_if_needed() {
        let line: Vec<String> = ["ls", "-l", "a b", "", "it's", "$x", "*"]
            .into_iter()
            .map(shell_word)
            .collect();
        assert_eq!(line.join(" "), "ls -l 'a b' '' 'it'\\''s' '$x' '*'");
    }
}
