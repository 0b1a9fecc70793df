//! How records follow each other in a journal: lengths and checksums.
//!
//! A record is one line, `LENGTH CHECKSUM GUARD FIELDS\n`; the first three are
//! eight hexadecimal digits each. LENGTH counts the bytes of FIELDS. CHECKSUM is
//! the CRC-32 of the previous checksum and FIELDS, so that a lost, repeated or
//! moved record is noticed. GUARD is the CRC-32 of LENGTH and CHECKSUM; it tells a
//! damaged length from a record that was cut off.
//!
//! FIELDS never contain a zero byte: zeros are preallocated space. They follow the
//! last record. After a power cut they can also appear where data that was not yet
//! synced did not reach the disk although later data did.
#![forbid(unsafe_code)]

use std::ops::Range;

/// The length of what precedes FIELDS, in bytes.
const HEAD: usize = 27;

/// The smallest unit that a disk writes, in bytes.
const SECTOR: usize = 512;

/// What follows at some place in a journal.
#[derive(Debug, PartialEq)]
pub enum NextFrame {
    /// A record: where its fields are, and its checksum.
    Record(Range<usize>, u32),
    /// A record that was not completely written; the file ends with it.
    Torn,
    End,
    Corrupt,
}

/// CRC-32 as in zip files, continued from an earlier one.
fn crc32(before: u32, bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!before, |crc, byte| {
        (crc >> 8) ^ TABLE[(crc as u8 ^ byte) as usize]
    })
}

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

/// The bytes of a record that follows one with the checksum `before`, and its own
/// checksum.
pub fn encode(fields: &[u8], before: u32) -> (Vec<u8>, u32) {
    let checksum = crc32(before, fields);
    let head = format!("{:08x} {checksum:08x} ", fields.len());
    let guard = crc32(before, head.as_bytes());
    let mut out = format!("{head}{guard:08x} ").into_bytes();
    out.extend_from_slice(fields);
    out.push(b'\n');
    (out, checksum)
}

/// Finds the record that begins at `at`, after one with the checksum `before`.
pub fn next(bytes: &[u8], at: usize, before: u32) -> NextFrame {
    let rest = bytes.get(at..).unwrap_or_default();
    if rest.is_empty() {
        return NextFrame::End;
    }
    match first(rest, at, before) {
        NextFrame::Corrupt if has_hole(bytes, at) => NextFrame::Torn,
        found => found,
    }
}

/// The journal without the preallocated space at its end.
pub fn written(bytes: &[u8]) -> &[u8] {
    let last = bytes.iter().rposition(|b| *b != 0);
    &bytes[..last.map_or(0, |last| last + 1)]
}

/// Whether a sector from there on was never written.
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

/// The record at the beginning of `rest`, which is not empty.
fn first(rest: &[u8], at: usize, before: u32) -> NextFrame {
    let Some(head) = rest.get(..HEAD) else {
        return NextFrame::Torn;
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
        return NextFrame::Corrupt;
    };
    if crc32(before, &head[..18]) != guard || head[26] != b' ' {
        return NextFrame::Corrupt;
    }
    let Some(body) = rest.get(HEAD..HEAD + length as usize + 1) else {
        return NextFrame::Torn;
    };
    let (fields, newline) = body.split_at(length as usize);
    if newline != b"\n" || crc32(before, fields) != checksum {
        return NextFrame::Corrupt;
    }
    let from = at + HEAD;
    NextFrame::Record(from..from + length as usize, checksum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::chance::Chance;

    #[test]
    fn a_truncated_record_is_torn_and_a_changed_bit_is_corrupt() {
        assert_eq!(crc32(0, b"123456789"), 0xcbf4_3926);
        let (record, sum) = encode(b"some fields", 5);
        assert_eq!(next(&record, 0, 5), NextFrame::Record(HEAD..HEAD + 11, sum));
        assert_eq!(next(&record, 0, 6), NextFrame::Corrupt);
        for length in 1..record.len() {
            assert_eq!(next(&record[..length], 0, 5), NextFrame::Torn, "{length}");
        }
        for bit in 0..record.len() * 8 {
            let mut flipped = record.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(next(&flipped, 0, 5), NextFrame::Corrupt, "bit {bit}");
        }
    }

    #[test]
    fn random_bytes_are_not_a_record() {
        let mut chance = Chance::new(9);
        for _ in 0..5000 {
            let bytes = chance.bytes(&["\\s", "\t", "file 5", "ok", "7"], 40);
            let found = next(&bytes, 0, 0);
            assert!(!matches!(found, NextFrame::Record(..)), "{bytes:?}");
        }
    }

    #[test]
    fn a_sector_that_was_not_written_ends_the_journal() {
        let mut records = Vec::new();
        let (mut checksum, mut ends) = (0, vec![0]);
        for _ in 0..20 {
            let (record, sum) = encode(&[b'x'; 100], checksum);
            records.extend_from_slice(&record);
            (checksum, _) = (sum, ends.push(records.len()));
        }
        let count = |bytes: &[u8]| {
            let (mut at, mut checksum, mut count) = (0, 0, 0);
            loop {
                match next(bytes, at, checksum) {
                    NextFrame::Record(range, sum) => (at, checksum) = (range.end + 1, sum),
                    end => return (count, end),
                }
                count += 1;
            }
        };
        let preallocated = [&records[..], &[0; 3000]].concat();
        assert_eq!(written(&preallocated), records);
        // One sector is missing, all later ones are there.
        for sector in 0..records.len() / SECTOR {
            let mut bytes = records.clone();
            bytes[sector * SECTOR..(sector + 1) * SECTOR].fill(0);
            let whole = ends.iter().filter(|e| **e <= sector * SECTOR).count() - 1;
            assert_eq!(count(&bytes), (whole, NextFrame::Torn), "sector {sector}");
        }
        // A single zero byte is damage.
        let mut bytes = records.clone();
        bytes[700] = 0;
        assert_eq!(
            count(&bytes),
            (700 / (records.len() / 20), NextFrame::Corrupt)
        );
    }
}
