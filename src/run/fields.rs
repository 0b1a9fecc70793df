//! The fields of a journal's record, as text: separated by tabs, with escapes, and with
//! a name in place of each secret.
#![forbid(unsafe_code)]

use crate::task::secret_index::{Secret, SecretIndex};
use crate::text::decimal::nanoseconds;
use crate::text::source::MASK;
use std::borrow::Cow;
use std::fmt::Display;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Writes the fields of a record.
pub struct FieldWriter<'s> {
    pub bytes: Vec<u8>,
    secrets: &'s SecretIndex,
}

impl<'s> FieldWriter<'s> {
    /// Each of the secrets is replaced by its name.
    pub fn new(secrets: &'s SecretIndex) -> FieldWriter<'s> {
        FieldWriter {
            bytes: Vec::new(),
            secrets,
        }
    }

    /// The first field.
    pub fn kind(&mut self, kind: &str) -> &mut Self {
        self.bytes.extend_from_slice(kind.as_bytes());
        self
    }

    /// A field that needs no escapes and holds no secret.
    pub fn plain(&mut self, value: impl Display) -> &mut Self {
        // A vector takes all that is written to it.
        let _ = write!(self.bytes, "\t{value}");
        self
    }

    pub fn escaped_text(&mut self, value: &str) -> &mut Self {
        self.escaped(value.as_bytes())
    }

    pub fn escaped(&mut self, value: &[u8]) -> &mut Self {
        self.bytes.push(b'\t');
        let mut rest = value;
        while let Some((begin, secret)) = self.secrets.find(rest, 0..rest.len()) {
            self.escape(&rest[..begin]);
            let _ = write!(self.bytes, "\\s{};", secret.name);
            rest = &rest[begin + secret.value.len()..];
        }
        self.escape(rest);
        self
    }

    fn escape(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\t' => self.bytes.extend_from_slice(b"\\t"),
                b'\n' => self.bytes.extend_from_slice(b"\\n"),
                b'\\' => self.bytes.extend_from_slice(b"\\\\"),
                0 => self.bytes.extend_from_slice(b"\\0"),
                other => self.bytes.push(*other),
            }
        }
    }

    /// A time, in nanoseconds since 1970.
    pub fn time(&mut self, at: SystemTime) -> &mut Self {
        self.plain(since_1970(at))
    }
}

/// A time in nanoseconds since 1970.
pub fn since_1970(at: SystemTime) -> u64 {
    nanoseconds(at.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Reads the fields of a record, one after the other.
#[derive(Clone, Copy)]
pub struct FieldReader<'a> {
    rest: Option<&'a [u8]>,
    secrets: Option<&'a [Secret]>,
}

impl<'a> FieldReader<'a> {
    /// Without the secrets, `***` stands for each.
    pub fn new(fields: &'a [u8], secrets: Option<&'a [Secret]>) -> FieldReader<'a> {
        FieldReader {
            rest: Some(fields),
            secrets,
        }
    }

    /// The next field as it is written.
    pub fn raw(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let end = rest.iter().position(|b| *b == b'\t');
        self.rest = end.map(|end| &rest[end + 1..]);
        Some(&rest[..end.unwrap_or(rest.len())])
    }

    pub fn bytes(&mut self) -> Option<Vec<u8>> {
        let field = self.raw()?;
        let mut out = Vec::with_capacity(field.len());
        let mut rest = field.iter();
        while let Some(byte) = rest.next() {
            if *byte != b'\\' {
                out.push(*byte);
                continue;
            }
            match rest.next()? {
                b't' => out.push(b'\t'),
                b'n' => out.push(b'\n'),
                b'\\' => out.push(b'\\'),
                b'0' => out.push(0),
                b's' => {
                    let name: Vec<u8> =
                        rest.by_ref().take_while(|b| **b != b';').copied().collect();
                    let is_it = |s: &&Secret| s.name.as_bytes() == name;
                    out.extend_from_slice(match self.secrets {
                        Some(secrets) => &secrets.iter().find(is_it)?.value,
                        None => MASK.as_bytes(),
                    });
                }
                _ => return None,
            }
        }
        Some(out)
    }

    pub fn next_text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?).ok()
    }

    /// Text in which a masked secret may have split a character.
    pub fn lossy(&mut self) -> Option<Cow<'static, str>> {
        let bytes = self.bytes()?;
        Some(String::from_utf8_lossy(&bytes).into_owned().into())
    }

    pub fn number<T: std::str::FromStr>(&mut self) -> Option<T> {
        std::str::from_utf8(self.raw()?).ok()?.parse().ok()
    }

    /// The number of a turn: at least 1, and small enough that others can follow.
    pub fn turn(&mut self) -> Option<u64> {
        self.number()
            .filter(|turn| (1..u64::MAX / 2).contains(turn))
    }

    /// The number of an iteration or attempt, within the same bounds.
    pub fn ordinal(&mut self) -> Option<u32> {
        self.number().filter(|n| (1..u32::MAX / 2).contains(n))
    }

    pub fn time(&mut self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_nanos(self.number()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::chance::Chance;

    fn secret(name: &str, value: &[u8]) -> Secret {
        Secret {
            name: name.into(),
            value: value.into(),
        }
    }

    fn write(kind: &str, values: &[&[u8]], secrets: &[Secret]) -> Vec<u8> {
        let index = SecretIndex::new(secrets);
        let mut out = FieldWriter::new(&index);
        out.kind(kind);
        for value in values {
            out.escaped(value);
        }
        out.bytes
    }

    #[test]
    fn fields_come_back_and_a_secret_is_not_written() {
        let secrets = [secret("A_KEY", b"hunter2")];
        let bytes = write("done", &[b"a\tb\n\\s0;hunter2\0x", b"7"], &secrets);
        assert!(bytes.windows(8).any(|w| w == b"\\sA_KEY;"));
        assert!(!bytes.windows(7).any(|w| w == b"hunter2"));
        assert!(!bytes.contains(&0));
        let mut known = FieldReader::new(&bytes, Some(&secrets));
        assert_eq!(known.next_text().as_deref(), Some("done"));
        assert_eq!(known.next_text().as_deref(), Some("a\tb\n\\s0;hunter2\0x"));
        assert_eq!(known.number::<u32>(), Some(7));
        assert_eq!(known.bytes(), None);
        let mut masked = FieldReader::new(&bytes, None);
        assert_eq!(masked.next_text().as_deref(), Some("done"));
        assert_eq!(masked.next_text().as_deref(), Some("a\tb\n\\s0;***\0x"));
    }

    #[test]
    fn a_turn_has_one_before_and_others_after_it() {
        let read = |text: &str| FieldReader::new(text.as_bytes(), None).turn();
        assert_eq!([read("1"), read("12")], [Some(1), Some(12)]);
        let beyond = (u64::MAX / 2).to_string();
        for none in ["0", "-1", "", "x", &beyond, "18446744073709551616"] {
            assert_eq!(read(none), None, "{none}");
        }
    }

    #[test]
    fn any_fields_come_back_without_a_secret() {
        let mut chance = Chance::new(8);
        let pieces = ["\\s0;", "\\", "\t", "\n", "hunter2", "hunt"];
        for _ in 0..3000 {
            let other = chance.bytes(&pieces, 4);
            let secrets = &[secret("A", b"hunter2"), secret("B.1", &other)];
            let values: Vec<Vec<u8>> = (0..4).map(|_| chance.bytes(&pieces, 6)).collect();
            let fields: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
            let bytes = write("done", &fields, secrets);
            assert!(!bytes.windows(7).any(|w| w == b"hunter2"));
            assert!(!bytes.contains(&b'\n'));
            let mut reader = FieldReader::new(&bytes, Some(secrets));
            reader.raw();
            for value in &values {
                assert_eq!(reader.bytes().as_ref(), Some(value));
            }
        }
    }
}
