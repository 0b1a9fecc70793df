//! Quotes words for a POSIX shell.
#![forbid(unsafe_code)]

use super::invisible::is_invisible;

/// The word, quoted if a shell would change it.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_string();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Any bytes as one word. Those that cannot be typed are written as `printf` reads them,
/// which loses only newlines at the end.
pub fn shell_argument(word: &[u8]) -> String {
    let typed = std::str::from_utf8(word).ok();
    let is_seen = |c: char| !c.is_control() && !is_invisible(c);
    if let Some(word) = typed.filter(|text| text.chars().all(is_seen)) {
        return shell_word(word);
    }
    let mut octal = String::new();
    for byte in word {
        match byte {
            b if b.is_ascii_alphanumeric() || b"_./:=@+, ".contains(b) => {
                octal.push(char::from(*b));
            }
            b => octal.push_str(&format!("\\{b:03o}")),
        }
    }
    format!("\"$(printf '{octal}')\"")
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
    fn a_shell_reads_any_bytes_as_they_are() {
        for word in [
            &b"a b"[..],
            b"-n\n'x'",
            b"\xff%s\\ \"$(id)\"",
            b"\x1b[0m",
            "x\u{202e}y\u{200b}".as_bytes(),
            b"",
        ] {
            let line = format!("printf %s {}", shell_argument(word));
            assert!(!line.contains(char::is_control), "{line}");
            let mut shell = std::process::Command::new("/bin/sh");
            let output = shell.args(["-c", &line]).output().expect("a shell");
            assert_eq!(output.stdout, word, "{line}");
        }
    }

    #[test]
    fn words_are_quoted_if_needed() {
        let line: Vec<String> = ["ls", "-l", "a b", "", "it's", "$x", "*"]
            .into_iter()
            .map(shell_word)
            .collect();
        assert_eq!(line.join(" "), "ls -l 'a b' '' 'it'\\''s' '$x' '*'");
    }
}
