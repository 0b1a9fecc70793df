//! Moments as they are written in logs and file names: local time.
#![forbid(unsafe_code)]

use crate::run::sys::local_time;
use std::time::SystemTime;

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
