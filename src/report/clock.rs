//! Moments as they are written in logs and file names: local time.
#![forbid(unsafe_code)]

use crate::run::sys::local_time;
use std::time::{SystemTime, UNIX_EPOCH};

/// `2024-01-15 14:30:15`
pub fn stamp(at: SystemTime) -> String {
    let t = local_time(at);
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        t.year, t.month, t.day, t.hour, t.minute, t.second
    )
}

/// `20240115_143015`
pub fn compact(at: SystemTime) -> String {
    let t = local_time(at);
    format!(
        "{:04}{:02}{:02}_{:02}{:02}{:02}",
        t.year, t.month, t.day, t.hour, t.minute, t.second
    )
}

/// `2024-01-15T14:30:15.123+01:00` (RFC 3339), for programs.
pub fn rfc3339(at: SystemTime) -> String {
    let t = local_time(at);
    let part = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (sign, east) = match t.offset {
        offset @ 0.. => ('+', offset),
        offset => ('-', -offset),
    };
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}{sign}{:02}:{:02}",
        t.year,
        t.month,
        t.day,
        t.hour,
        t.minute,
        t.second,
        part.subsec_millis(),
        east / 3600,
        east / 60 % 60
    )
}
