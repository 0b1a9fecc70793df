//! The values of task keys that have a syntax of their own.
#![forbid(unsafe_code)]

use crate::text::condition::parse_bound;
use crate::text::decimal::parse_digits;
use crate::text::diagnostic::expected;
use crate::text::duration;
use crate::text::search::StreamSearch;
use std::ops::Range;
use std::time::Duration;

/// `stdout_split=DELIMITER,INDEX` (SPEC §2.3).
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    pub by: Delimiter,
    /// From 0; a negative index counts from the end.
    pub index: i64,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Delimiter {
    /// Runs of any of these characters.
    Runs(&'static [u8]),
    Text(Vec<u8>),
}

/// A number, or a percentage of the hosts or subtasks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Share {
    Count(u64),
    Percent(u64),
}

impl Share {
    /// The most that it allows of `total`.
    pub fn limit_for(self, total: u64) -> u64 {
        match self {
            Share::Count(n) => n,
            Share::Percent(p) => total * p / 100,
        }
    }
}

/// What happens to hosts that cannot be reached (SPEC §1.1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unreachable {
    Fail,
    Skip,
    /// They are skipped if they are at most this percentage.
    Percent(u64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wave {
    Count(u64),
    Percent(u64),
    Rest,
}

/// `retry_delay=5s`, or `5s..2m`, which doubles from the first to the last delay.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Delay {
    pub first: Duration,
    pub last: Option<Duration>,
}

/// `retry_on`: the outcomes and exit codes that are retried.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryOn {
    pub failed: bool,
    pub timeout: bool,
    pub unreachable: bool,
    pub unknown: bool,
    pub codes: Vec<i32>,
}

impl Default for RetryOn {
    fn default() -> RetryOn {
        RetryOn {
            failed: true,
            timeout: false,
            unreachable: true,
            unknown: false,
            codes: Vec::new(),
        }
    }
}

/// `retry_delay` where nothing is given.
pub const RETRY_DELAY: Duration = Duration::from_secs(1);
/// One hour.
pub const HOUR: Duration = Duration::from_secs(3600);
const TIMEOUTS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(7 * 24 * 3600));

/// `timeout` and `block_timeout`: from 1 second to 7 days. Here and below, the error
/// says what was expected.
pub fn timeout(text: &str) -> Result<Duration, String> {
    let duration = duration::parse(text)?;
    if duration < TIMEOUTS.0 || duration > TIMEOUTS.1 {
        return Err(expected("a timeout from 1 s to 7 days", text));
    }
    Ok(duration)
}

/// `sleep` and `wave_pause`: up to 24 hours.
pub fn pause(text: &str) -> Result<Duration, String> {
    let duration = duration::parse(text)?;
    if duration > 24 * HOUR {
        return Err(expected("at most 24 h", text));
    }
    Ok(duration)
}

fn number(text: &str, least: u32, most: u32) -> Result<u32, String> {
    parse_digits(text, 9)
        .and_then(|n| u32::try_from(n).ok())
        .filter(|n| (least..=most).contains(n))
        .ok_or_else(|| expected(&format!("a number from {least} to {most}"), text))
}

/// `loop`: from 1 to 100,000 iterations.
pub fn loop_count(text: &str) -> Result<u32, String> {
    number(text, 1, 100_000)
}

/// `retry_count`: up to 1000 retries.
pub fn retry_count(text: &str) -> Result<u32, String> {
    number(text, 0, 1000)
}

/// `max_parallel`: from 1 to 10,000 commands at once.
pub fn max_parallel(text: &str) -> Result<u32, String> {
    number(text, 1, 10_000)
}

/// `return`: an exit code.
pub fn return_code(text: &str) -> Result<u8, String> {
    number(text, 0, 255).map(|n| n as u8)
}

/// `true` or `false`, in any case.
pub fn flag(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(expected("`true` or `false`", text)),
    }
}

/// `retry_delay`: a pause, or two with `..` between them.
pub fn delay(text: &str) -> Result<Delay, String> {
    let Some((first, last)) = text.split_once("..") else {
        return Ok(Delay {
            first: pause(text).map_err(|e| match text.contains('-') {
                true => format!("{e}; write an increasing delay as `5s..2m`"),
                false => e,
            })?,
            last: None,
        });
    };
    let delay = Delay {
        first: pause(first.trim())?,
        last: Some(pause(last.trim())?),
    };
    if delay.last.is_some_and(|last| last < delay.first) {
        return Err(format!("the delay `{text}` decreases"));
    }
    Ok(delay)
}

/// `retry_on`: outcomes and exit codes, separated by commas.
pub fn retry_on(text: &str) -> Result<RetryOn, String> {
    let mut on = RetryOn {
        failed: false,
        timeout: false,
        unreachable: false,
        unknown: false,
        codes: Vec::new(),
    };
    for word in text.split(',').map(str::trim) {
        match word {
            "failed" => on.failed = true,
            "timeout" => on.timeout = true,
            "unreachable" => on.unreachable = true,
            "unknown" => on.unknown = true,
            word => match number(word, 0, 255) {
                Ok(code) => on.codes.push(code as i32),
                Err(_) => {
                    return Err(expected(
                        "`failed`, `timeout`, `unreachable`, `unknown` or an exit code",
                        word,
                    ));
                }
            },
        }
    }
    Ok(on)
}

/// A number or a percentage.
pub fn share(text: &str) -> Result<Share, String> {
    match parse_bound(text) {
        Some((n, true)) => Ok(Share::Percent(n)),
        Some((n, false)) => Ok(Share::Count(n)),
        None => Err(expected("a number or a percentage", text)),
    }
}

/// `fail_fast`: `true` means 0; `false` means the same as no key.
pub fn fail_fast(text: &str) -> Result<Option<Share>, String> {
    match flag(text) {
        Ok(true) => Ok(Some(Share::Count(0))),
        Ok(false) => Ok(None),
        Err(_) => share(text)
            .map(Some)
            .map_err(|_| expected("`true`, a number or a percentage", text)),
    }
}

/// `unreachable`: `fail`, `skip` or a percentage.
pub fn unreachable(text: &str) -> Result<Unreachable, String> {
    match (text, share(text)) {
        ("fail", _) => Ok(Unreachable::Fail),
        ("skip", _) => Ok(Unreachable::Skip),
        (_, Ok(Share::Percent(p))) => Ok(Unreachable::Percent(p)),
        _ => Err(expected("`fail`, `skip` or a percentage", text)),
    }
}

/// `on_resume`: `repeat` is the only way that has to be written.
pub fn on_resume(text: &str) -> Result<(), String> {
    match text {
        "repeat" => Ok(()),
        _ => Err(expected("`repeat`", text)),
    }
}

/// `waves`: numbers and percentages of hosts, separated by commas; `rest` only last.
pub fn waves(text: &str) -> Result<Vec<Wave>, String> {
    let words = text.split(',').map(str::trim);
    let waves: Result<Vec<Wave>, String> = words
        .map(|word| match (word, share(word)) {
            ("rest", _) => Ok(Wave::Rest),
            (_, Ok(Share::Count(n))) if n > 0 => Ok(Wave::Count(n)),
            (_, Ok(Share::Percent(p))) if p > 0 => Ok(Wave::Percent(p)),
            (word, _) => Err(expected("a number, a percentage or `rest`", word)),
        })
        .collect();
    let waves = waves?;
    match waves.iter().position(|w| *w == Wave::Rest) {
        Some(at) if at + 1 < waves.len() => {
            Err(format!("`rest` must be the last wave in `{text}`"))
        }
        _ => Ok(waves),
    }
}

/// `stdout_split` and `stderr_split`: `DELIMITER,INDEX`.
pub fn split(text: &str) -> Result<Split, String> {
    let bad = || expected("`DELIMITER,INDEX` such as `comma,0` or `space,-1`", text);
    let (by, index) = text.rsplit_once(',').ok_or_else(bad)?;
    let index = index.trim().parse().map_err(|_| bad())?;
    let literal = |text: &str| Delimiter::Text(text.as_bytes().to_vec());
    let by = match by.trim() {
        "space" => Delimiter::Runs(b" "),
        "whitespace" => Delimiter::Runs(b" \t\r\n\x0b\x0c"),
        "newline" => Delimiter::Runs(b"\r\n"),
        "tab" => literal("\t"),
        "comma" => literal(","),
        "semicolon" | "semi" => literal(";"),
        "colon" => literal(":"),
        "pipe" => literal("|"),
        _ if by.is_empty() => return Err(bad()),
        _ => literal(by),
    };
    Ok(Split { by, index })
}

impl Split {
    /// Where the field is in a text that `read` passes on in pieces, twice if need be;
    /// `None` if no field has that index.
    ///
    /// # Errors
    /// That of `read`.
    pub fn place<E>(
        &self,
        mut read: impl FnMut(&mut dyn FnMut(&[u8]) -> bool) -> Result<(), E>,
    ) -> Result<Option<Range<u64>>, E> {
        let mut find = |index: u64| {
            let mut fields = FieldFinder::new(&self.by, index);
            read(&mut |piece| fields.feed(piece)).map(|()| fields.finish())
        };
        let index = match u64::try_from(self.index) {
            Ok(index) => Some(index),
            Err(_) => find(u64::MAX)?.1.checked_add_signed(self.index),
        };
        match index {
            Some(index) => find(index).map(|(place, _)| place),
            None => Ok(None),
        }
    }
}

/// Counts the fields of a text that comes in pieces, up to one that is looked for.
struct FieldFinder<'d> {
    by: &'d Delimiter,
    search: StreamSearch<'d>,
    /// How many fields are still before the one that is looked for.
    before: u64,
    count: u64,
    /// How much of the text has been seen.
    seen: u64,
    /// Where the field began that has not ended.
    begun: Option<u64>,
    found: Option<Range<u64>>,
}

impl FieldFinder<'_> {
    fn new(by: &Delimiter, index: u64) -> FieldFinder<'_> {
        let (needle, begun) = match by {
            Delimiter::Runs(_) => (&b""[..], None),
            Delimiter::Text(text) => (&text[..], Some(0)),
        };
        FieldFinder {
            by,
            search: StreamSearch::new(needle),
            before: index,
            count: 0,
            seen: 0,
            begun,
            found: None,
        }
    }

    /// Takes the next piece; whether the field is still to come.
    fn feed(&mut self, piece: &[u8]) -> bool {
        match self.by {
            Delimiter::Runs(of) => {
                for (at, byte) in (self.seen..).zip(piece) {
                    match (of.contains(byte), self.begun) {
                        (true, Some(_)) => self.end(at),
                        (false, None) => self.begun = Some(at),
                        _ => {}
                    }
                }
            }
            Delimiter::Text(by) => {
                let mut at = 0;
                while let Some(length) = self.search.find_end(&piece[at..]) {
                    self.search.restart();
                    at += length;
                    let end = self.seen + at as u64;
                    self.end(end - by.len() as u64);
                    self.begun = Some(end);
                }
            }
        }
        self.seen += piece.len() as u64;
        self.found.is_none()
    }

    fn end(&mut self, at: u64) {
        let Some(begun) = self.begun.take() else {
            return;
        };
        if self.before == 0 && self.found.is_none() {
            self.found = Some(begun..at);
        }
        self.before = self.before.saturating_sub(1);
        self.count += 1;
    }

    /// The place of the field, and how many fields there were up to it.
    fn finish(mut self) -> (Option<Range<u64>>, u64) {
        self.end(self.seen);
        (self.found, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(setting: &str, text: &str) -> Option<String> {
        let split = split(setting).unwrap_or_else(|e| panic!("{e}"));
        let place = |size: usize| {
            let place = split.place(|take| {
                let mut pieces = text.as_bytes().chunks(size);
                let _ = pieces.all(take);
                Ok::<_, ()>(())
            });
            place.expect("it can be read")
        };
        let found = place(text.len());
        for size in 1..text.len() {
            assert_eq!(place(size), found, "{setting} in pieces of {size}");
        }
        found.map(|f| text[f.start as usize..f.end as usize].to_string())
    }

    #[test]
    fn fields_are_found_from_both_ends() {
        assert_eq!(field("comma,1", "a,,b"), Some("".into()));
        assert_eq!(field("space,1", "a   b c"), Some("b".into()));
        assert_eq!(field("whitespace,-1", " a\t b\nc \n"), Some("c".into()));
        assert_eq!(field("newline,1", "a\n\nb"), Some("b".into()));
        assert_eq!(field("semi,-2", "a;b;c"), Some("b".into()));
        assert_eq!(field("::,1", "a::b::c"), Some("b".into()));
        assert_eq!(field(",,1", "a,b"), Some("b".into()));
        assert_eq!(field("aa,1", "xaaay"), Some("ay".into()));
        assert_eq!(field("aab,-1", "aaab"), Some("".into()));
        assert_eq!(field("tab,5", "a\tb"), None);
        assert_eq!(field("pipe,-3", "a|b"), None);
    }

    #[test]
    fn values_are_ranged() {
        assert!(
            timeout("0.5").is_err()
                && timeout("8d").is_err()
                && timeout("169h").is_err()
                && timeout("168h").is_ok()
        );
        assert!(pause("24h").is_ok() && pause("25h").is_err());
        assert!(
            loop_count("0").is_err()
                && loop_count("100000").is_ok()
                && loop_count("100001").is_err()
        );
        assert!(
            retry_count("1001").is_err()
                && retry_count("+1").is_err()
                && return_code("256").is_err()
        );
        assert_eq!(
            delay("5s..2m").map(|d| d.last),
            Ok(Some(Duration::from_secs(120)))
        );
        assert!(delay("2m..5s").is_err());
        assert_eq!(fail_fast("true"), Ok(Some(Share::Count(0))));
        assert_eq!(fail_fast("false"), Ok(None));
        assert_eq!(unreachable("10%"), Ok(Unreachable::Percent(10)));
        assert!(unreachable("10").is_err());
        assert_eq!(
            waves("1, 25%,rest"),
            Ok(vec![Wave::Count(1), Wave::Percent(25), Wave::Rest])
        );
        assert!(waves("rest,1").is_err() && waves("0").is_err() && waves("").is_err());
        assert_eq!(
            retry_on("timeout, 7").map(|r| (r.failed, r.timeout, r.codes)),
            Ok((false, true, vec![7]))
        );
        assert!(retry_on("ok").is_err());
    }
}
