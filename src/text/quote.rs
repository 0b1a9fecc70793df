//! Quotes words so that a POSIX shell reads each back as it was.
#![forbid(unsafe_code)]

/// The word as a shell would have to be given it; plain words stay plain.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_string();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// The same for any bytes, always in quotes; `newline` stands for each newline.
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
    fn words_are_quoted_where_needed() {
        let line: Vec<String> = ["ls", "-l", "a b", "", "it's", "$x", "*"]
            .into_iter()
            .map(shell_word)
            .collect();
        assert_eq!(line.join(" "), "ls -l 'a b' '' 'it'\\''s' '$x' '*'");
    }
}
