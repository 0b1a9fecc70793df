//! Times as logs, file names and status lines show them: local time, and time
//! elapsed.
#![forbid(unsafe_code)]

use crate::run::sys::local_time;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

/// `Jan  5 14:30:15` (RFC 3164), for syslog.
pub fn rfc3164(at: SystemTime) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let t = local_time(at);
    let month = usize::try_from(t.month - 1).ok();
    let month = month.and_then(|m| MONTHS.get(m)).unwrap_or(&MONTHS[0]);
    format!(
        "{month} {:2} {:02}:{:02}:{:02}",
        t.day, t.hour, t.minute, t.second
    )
}

/// `0:41`, `12:04`, `1:02:03`
pub fn elapsed(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elapsed_times_look_like_a_clock() {
        let all = [0, 41, 724, 3723, 111_601].map(|s| elapsed(Duration::from_secs(s)));
        assert_eq!(all, ["0:00", "0:41", "12:04", "1:02:03", "31:00:01"]);
    }
}
