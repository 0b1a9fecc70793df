//! How a record of the journal is written as bytes, and read back.
//!
//! A record is one line: `LENGTH CHECKSUM GUARD FIELDS\n`, the first three as
//! eight hexadecimal digits. LENGTH counts the bytes of FIELDS; CHECKSUM is the
//! CRC-32 of the checksum before it and FIELDS, so that no record can be lost,
//! doubled or moved unseen; GUARD is the CRC-32 of LENGTH and CHECKSUM, so that
//! a damaged length is told from a record that was cut off. FIELDS are separated
//! by tabs; in them `\t`, `\n`, `\\`, `\0` stand for these bytes and `\sN;` for
//! the N-th secret, which is never written itself.
//!
//! So no record holds a zero byte: zeros are room that is not written yet. They
//! follow the last record, and after a power cut they may stand where a part of
//! what was not synced has not come to the disk though a later one has.
#![forbid(unsafe_code)]

use super::capture::{Captured, Spool};
use super::result::TaskResult;
use crate::outcome::Outcome;
use crate::text::decimal::nanoseconds;
use crate::text::source::MASK;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The length of what stands before the fields.
const HEAD: usize = 27;

/// What a disk writes whole, in bytes.
const SECTOR: usize = 512;

/// The next record of a journal, from the bytes after the one before.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// Where its fields are, and its checksum.
    Record(Range<usize>, u32),
    /// The file ends here, with a record that was not written to its end.
    Torn,
    End,
    Corrupt,
}

/// CRC-32 as in zip files, going on from an earlier one.
fn crc32(before: u32, bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!before, |crc, byte| {
        (crc >> 8) ^ TABLE[(crc as u8 ^ byte) as usize]
    })
}

/// What each byte does to the checksum.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte as u32, 0);
        while bit < 8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// The record as it is written after one with that checksum, and its own.
pub fn frame(fields: &[u8], before: u32) -> (Vec<u8>, u32) {
    let checksum = crc32(before, fields);
    let head = format!("{:08x} {checksum:08x} ", fields.len());
    let guard = crc32(before, head.as_bytes());
    let mut out = format!("{head}{guard:08x} ").into_bytes();
    out.extend_from_slice(fields);
    out.push(b'\n');
    (out, checksum)
}

/// Reads the record that begins at `at`.
pub fn next(bytes: &[u8], at: usize, before: u32) -> Next {
    let rest = bytes.get(at..).unwrap_or_default();
    if rest.is_empty() {
        return Next::End;
    }
    match whole(rest, at, before) {
        Next::Corrupt if has_hole(bytes, at) => Next::Torn,
        found => found,
    }
}

/// What is written of a journal, without the room that follows.
pub fn written(bytes: &[u8]) -> &[u8] {
    let last = bytes.iter().rposition(|b| *b != 0);
    &bytes[..last.map_or(0, |last| last + 1)]
}

/// Whether some sector is not written from there on.
fn has_hole(bytes: &[u8], at: usize) -> bool {
    let mut from = at;
    while from < bytes.len() {
        let to = (from / SECTOR + 1) * SECTOR;
        if bytes[from..to.min(bytes.len())].iter().all(|b| *b == 0) {
            return true;
        }
        from = to;
    }
    false
}

/// The record that the bytes begin with, which are not nothing.
fn whole(rest: &[u8], at: usize, before: u32) -> Next {
    let Some(head) = rest.get(..HEAD) else {
        return Next::Torn;
    };
    let number = |range: Range<usize>| {
        let digits = std::str::from_utf8(&head[range]).ok()?;
        let plain = digits
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        u32::from_str_radix(digits, 16).ok().filter(|_| plain)
    };
    let (Some(length), Some(checksum), Some(guard)) = (number(0..8), number(9..17), number(18..26))
    else {
        return Next::Corrupt;
    };
    if crc32(before, &head[..18]) != guard || head[26] != b' ' {
        return Next::Corrupt;
    }
    let Some(body) = rest.get(HEAD..HEAD + length as usize + 1) else {
        return Next::Torn;
    };
    let (fields, newline) = body.split_at(length as usize);
    if newline != b"\n" || crc32(before, fields) != checksum {
        return Next::Corrupt;
    }
    let from = at + HEAD;
    Next::Record(from..from + length as usize, checksum)
}

/// Puts fields together.
pub struct Fields<'s> {
    pub bytes: Vec<u8>,
    secrets: &'s [Vec<u8>],
}

impl<'s> Fields<'s> {
    pub fn new(kind: &str, secrets: &'s [Vec<u8>]) -> Fields<'s> {
        Fields {
            bytes: kind.as_bytes().to_vec(),
            secrets,
        }
    }

    pub fn add(&mut self, value: impl AsRef<[u8]>) -> &mut Self {
        let value = value.as_ref();
        self.bytes.push(b'\t');
        let mut at = 0;
        while at < value.len() {
            let rest = &value[at..];
            if let Some(n) = self.secrets.iter().position(|s| rest.starts_with(s)) {
                self.bytes.extend_from_slice(format!("\\s{n};").as_bytes());
                at += self.secrets[n].len();
                continue;
            }
            match rest[0] {
                b'\t' => self.bytes.extend_from_slice(b"\\t"),
                b'\n' => self.bytes.extend_from_slice(b"\\n"),
                b'\\' => self.bytes.extend_from_slice(b"\\\\"),
                0 => self.bytes.extend_from_slice(b"\\0"),
                other => self.bytes.push(other),
            }
            at += 1;
        }
        self
    }

    pub fn number(&mut self, value: impl std::fmt::Display) -> &mut Self {
        self.plain(&value.to_string())
    }

    /// What is never taken for a secret.
    fn plain(&mut self, value: &str) -> &mut Self {
        self.bytes.push(b'\t');
        self.bytes.extend_from_slice(value.as_bytes());
        self
    }

    /// All of a result but its members.
    pub fn result(&mut self, result: &TaskResult) -> &mut Self {
        self.number(result.outcome)
            .number(result.exit)
            .number(result.success)
            .number(result.timed_out)
            .number(result.started.map_or(0, since_1970))
            .number(nanoseconds(result.took))
            .number(result.attempts)
            .number(nanoseconds(result.cpu))
            .number(result.peak_kib)
            .add(&result.hostname)
            .add(&result.command)
            .add(&result.cause);
        self.stream(&result.stdout).stream(&result.stderr)
    }

    /// An output: its bytes, or where they are spooled.
    fn stream(&mut self, stream: &Captured) -> &mut Self {
        match stream.path() {
            None => self.number("memory").add(stream.bytes()),
            Some(path) => self
                .number(format!("file {}", stream.len()))
                .add(path.as_os_str().as_encoded_bytes()),
        }
    }
}

/// A moment in nanoseconds since 1970.
pub fn since_1970(at: SystemTime) -> u64 {
    nanoseconds(at.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Takes fields apart.
pub struct Reader<'a> {
    fields: std::slice::Split<'a, u8, fn(&u8) -> bool>,
    /// Nothing where they are not known, and shown as `***`.
    secrets: Option<&'a [Vec<u8>]>,
    /// An output that was kept in a file is gone or not as it was.
    pub missing: bool,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8], secrets: &'a [Vec<u8>]) -> Reader<'a> {
        Reader {
            secrets: Some(secrets),
            ..Reader::masked(bytes)
        }
    }

    /// For one who does not know the secrets.
    pub fn masked(bytes: &'a [u8]) -> Reader<'a> {
        let is_tab: fn(&u8) -> bool = |b| *b == b'\t';
        Reader {
            fields: bytes.split(is_tab),
            secrets: None,
            missing: false,
        }
    }

    pub fn bytes(&mut self) -> Option<Vec<u8>> {
        let field = self.fields.next()?;
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
                    let digits: Vec<u8> =
                        rest.by_ref().take_while(|b| **b != b';').copied().collect();
                    let n: usize = std::str::from_utf8(&digits).ok()?.parse().ok()?;
                    out.extend_from_slice(match self.secrets {
                        Some(secrets) => secrets.get(n)?,
                        None => MASK.as_bytes(),
                    });
                }
                _ => return None,
            }
        }
        Some(out)
    }

    pub fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?).ok()
    }

    pub fn number<T: std::str::FromStr>(&mut self) -> Option<T> {
        std::str::from_utf8(self.fields.next()?).ok()?.parse().ok()
    }

    /// The number of a turn: from 1, and never so large that none comes after it.
    pub fn turn(&mut self) -> Option<u64> {
        self.number().filter(|turn| (1..u64::MAX).contains(turn))
    }

    pub fn outcome(&mut self) -> Option<Outcome> {
        let word = self.text()?;
        Outcome::ALL.into_iter().find(|o| o.as_str() == word)
    }

    pub fn result(&mut self, spool: &Arc<Spool>) -> Option<TaskResult> {
        let outcome = self.outcome()?;
        let exit = self.number()?;
        let (success, timed_out) = (self.number()?, self.number()?);
        let started: u64 = self.number()?;
        let took = Duration::from_nanos(self.number()?);
        let attempts = self.number()?;
        let cpu = Duration::from_nanos(self.number()?);
        let peak_kib = self.number()?;
        let (hostname, command, cause) = (self.text()?, self.text()?, self.text()?);
        Some(TaskResult {
            success,
            timed_out,
            started: (started > 0).then(|| UNIX_EPOCH + Duration::from_nanos(started)),
            took,
            cpu,
            peak_kib,
            hostname,
            command,
            cause,
            stdout: self.stream(spool)?,
            stderr: self.stream(spool)?,
            ..TaskResult::without_process(outcome, exit, attempts)
        })
    }

    fn stream(&mut self, spool: &Arc<Spool>) -> Option<Captured> {
        use std::os::unix::ffi::OsStringExt;
        let kind = self.text()?;
        let bytes = self.bytes()?;
        match kind.strip_prefix("file ") {
            None => Some(Captured::in_memory(bytes)),
            Some(length) => {
                let path = std::ffi::OsString::from_vec(bytes).into();
                let stream = Captured::spooled(path, length.parse().ok()?, spool);
                self.missing |= stream.is_none();
                Some(stream.unwrap_or(Captured::in_memory("")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::chance::Chance;

    #[test]
    fn a_record_comes_back_and_a_secret_is_not_written() {
        let secrets = [b"hunter2".to_vec()];
        let mut fields = Fields::new("done", &secrets);
        fields.add("a\tb\n\\s0;hunter2\0x").number(7);
        assert!(!fields.bytes.windows(7).any(|w| w == b"hunter2"));
        assert!(!fields.bytes.contains(&0));
        let mut reader = Reader::new(&fields.bytes, &secrets);
        assert_eq!(reader.text().as_deref(), Some("done"));
        assert_eq!(reader.text().as_deref(), Some("a\tb\n\\s0;hunter2\0x"));
        assert_eq!(reader.number::<u32>(), Some(7));
        assert_eq!(reader.bytes(), None);
        let mut reader = Reader::masked(&fields.bytes);
        assert_eq!(reader.text().as_deref(), Some("done"));
        assert_eq!(reader.text().as_deref(), Some("a\tb\n\\s0;***\0x"));
    }

    #[test]
    fn a_turn_has_one_before_and_one_after_it() {
        let read = |text: &str| Reader::masked(text.as_bytes()).turn();
        assert_eq!([read("1"), read("12")], [Some(1), Some(12)]);
        let beyond = u64::MAX.to_string();
        for none in ["0", "-1", "", "x", &beyond, "18446744073709551616"] {
            assert_eq!(read(none), None, "{none}");
        }
    }

    #[test]
    fn a_cut_is_torn_and_a_flip_is_corrupt() {
        assert_eq!(crc32(0, b"123456789"), 0xcbf4_3926);
        let (record, sum) = frame(b"some fields", 5);
        assert_eq!(next(&record, 0, 5), Next::Record(HEAD..HEAD + 11, sum));
        assert_eq!(next(&record, 0, 6), Next::Corrupt);
        for length in 1..record.len() {
            assert_eq!(next(&record[..length], 0, 5), Next::Torn, "{length}");
        }
        for bit in 0..record.len() * 8 {
            let mut flipped = record.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(next(&flipped, 0, 5), Next::Corrupt, "bit {bit}");
        }
    }

    #[test]
    fn any_fields_come_back_without_a_secret() {
        let mut chance = Chance::new(8);
        let pieces = ["\\s0;", "\\", "\t", "\n", "hunter2", "hunt"];
        for _ in 0..3000 {
            let secrets = [b"hunter2".to_vec(), chance.bytes(&pieces, 4)];
            let secrets = if secrets[1].is_empty() {
                &secrets[..1]
            } else {
                &secrets[..]
            };
            let values: Vec<Vec<u8>> = (0..4).map(|_| chance.bytes(&pieces, 6)).collect();
            let mut fields = Fields::new("done", secrets);
            for value in &values {
                fields.add(value);
            }
            assert!(!fields.bytes.windows(7).any(|w| w == b"hunter2"));
            assert!(!fields.bytes.contains(&b'\n'));
            let mut reader = Reader::new(&fields.bytes, secrets);
            reader.text();
            for value in &values {
                assert_eq!(reader.bytes().as_ref(), Some(value));
            }
        }
    }

    #[test]
    fn any_bytes_are_read_to_their_end() {
        let mut chance = Chance::new(9);
        let pieces = [
            "\\s",
            "\\s9999999999999999999999;",
            "\t",
            "file 5",
            "ok",
            "true",
            "7",
        ];
        let spool = Spool::new("/nowhere".into());
        for _ in 0..5000 {
            let bytes = chance.bytes(&pieces, 40);
            assert!(!matches!(next(&bytes, 0, 0), Next::Record(..)), "{bytes:?}");
            Reader::masked(&bytes).result(&spool);
            let mut reader = Reader::new(&bytes, &[]);
            let fields = bytes.split(|b| *b == b'\t').count();
            assert!((0..=fields).any(|_| reader.bytes().is_none()), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_not_written_yet_ends_a_journal() {
        let mut records = Vec::new();
        let (mut checksum, mut ends) = (0, vec![0]);
        for _ in 0..20 {
            let (record, sum) = frame(&[b'x'; 100], checksum);
            records.extend_from_slice(&record);
            (checksum, _) = (sum, ends.push(records.len()));
        }
        let count = |bytes: &[u8]| {
            let (mut at, mut checksum, mut count) = (0, 0, 0);
            loop {
                match next(bytes, at, checksum) {
                    Next::Record(range, sum) => (at, checksum) = (range.end + 1, sum),
                    end => return (count, end),
                }
                count += 1;
            }
        };
        let room = [&records[..], &[0; 3000]].concat();
        assert_eq!(written(&room), records);
        // A sector that is not there, and all after it that is.
        for sector in 0..records.len() / SECTOR {
            let mut bytes = records.clone();
            bytes[sector * SECTOR..(sector + 1) * SECTOR].fill(0);
            let whole = ends.iter().filter(|e| **e <= sector * SECTOR).count() - 1;
            assert_eq!(count(&bytes), (whole, Next::Torn), "sector {sector}");
        }
        // One byte that is zero is damage.
        let mut bytes = records.clone();
        bytes[700] = 0;
        assert_eq!(count(&bytes), (700 / (records.len() / 20), Next::Corrupt));
    }
}
