//! Results that bash will evaluate as numbers must hold no code (SPEC §2.4).
#![forbid(unsafe_code)]

use super::runner::Stdin;
use crate::text::diagnostic::reason;
use std::collections::HashSet;
use std::ffi::CString;

/// What is looked for in results.
pub struct CodeSearch {
    /// Environment variables whose value holds such a character: bash evaluates what a
    /// variable holds whose name a result is.
    variables: HashSet<Vec<u8>>,
    /// Whether patterns of file names are refused too.
    patterns: bool,
}

fn is_sharp(byte: u8) -> bool {
    matches!(byte, b'$' | b'`' | b'\\')
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

impl CodeSearch {
    pub fn new(environment: &[CString], patterns: bool) -> CodeSearch {
        let split = |variable: &CString| {
            let bytes = variable.to_bytes();
            let end = bytes.iter().position(|b| *b == b'=')?;
            let sharp = bytes[end + 1..].iter().any(|b| is_sharp(*b));
            sharp.then(|| bytes[..end].to_vec())
        };
        CodeSearch {
            variables: environment.iter().filter_map(split).collect(),
            patterns,
        }
    }

    /// Checks one value.
    ///
    /// # Errors
    /// What it holds, and where.
    pub fn check(&self, what: &str, value: &[u8]) -> Result<(), String> {
        let mut word = Vec::new();
        self.check_part(what, value, 0, &mut word)?;
        self.check_word(what, &word, value.len())
    }

    /// Checks what a command reads from standard input.
    ///
    /// # Errors
    /// What it holds, and where.
    pub fn check_stdin(&self, stdin: &Stdin) -> Result<(), String> {
        const WHAT: &str = "the standard input";
        let stream = match stdin {
            Stdin::Null => return Ok(()),
            Stdin::Bytes(bytes) => return self.check(WHAT, bytes),
            Stdin::Stream(stream) => stream,
        };
        let (mut word, mut read, mut found) = (Vec::new(), 0, Ok(()));
        let whole = stream.chunks(&mut |chunk| {
            found = self.check_part(WHAT, chunk, read, &mut word);
            read += chunk.len();
            found.is_ok()
        });
        found?;
        whole.map_err(|e| format!("{WHAT} cannot be read: {}", reason(&e)))?;
        self.check_word(WHAT, &word, read)
    }

    fn check_part(
        &self,
        what: &str,
        part: &[u8],
        from: usize,
        word: &mut Vec<u8>,
    ) -> Result<(), String> {
        for (offset, byte) in part.iter().enumerate() {
            if is_name_byte(*byte) {
                // A longer word is no variable's name here.
                if word.len() < 4096 {
                    word.push(*byte);
                }
                continue;
            }
            self.check_word(what, word, from + offset)?;
            word.clear();
            if is_sharp(*byte) || (self.patterns && matches!(byte, b'*' | b'?' | b'[' | b'(')) {
                let c = char::from(*byte);
                return Err(refusal(what, &format!("`{c}`"), from + offset));
            }
        }
        Ok(())
    }

    fn check_word(&self, what: &str, word: &[u8], end: usize) -> Result<(), String> {
        match self.variables.contains(word) {
            true => {
                let name = String::from_utf8_lossy(word);
                let found =
                    format!("`{name}`, the name of an environment variable that holds code,");
                Err(refusal(what, &found, end - word.len()))
            }
            false => Ok(()),
        }
    }
}

fn refusal(what: &str, found: &str, offset: usize) -> String {
    format!(
        "{what} holds {found} at byte {offset}, and bash would evaluate it as a number; use `@N_number@`"
    )
}
