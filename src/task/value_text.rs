//! The values of `values` as a plan shows them, in the syntax of the task file.
#![forbid(unsafe_code)]

use super::values::{Delay, Delimiter, RetryOn, Share, Split, Unreachable, Wave};
use crate::text::duration;
use std::fmt::{Display, Formatter, Result};

impl Display for Share {
    fn fmt(&self, f: &mut Formatter) -> Result {
        match self {
            Share::Count(n) => write!(f, "{n}"),
            Share::Percent(n) => write!(f, "{n}%"),
        }
    }
}

impl Display for Unreachable {
    fn fmt(&self, f: &mut Formatter) -> Result {
        match self {
            Unreachable::Fail => f.write_str("fail"),
            Unreachable::Skip => f.write_str("skip"),
            Unreachable::Percent(n) => write!(f, "{n}%"),
        }
    }
}

impl Display for Wave {
    fn fmt(&self, f: &mut Formatter) -> Result {
        match self {
            Wave::Count(n) => write!(f, "{n}"),
            Wave::Percent(n) => write!(f, "{n}%"),
            Wave::Rest => f.write_str("rest"),
        }
    }
}

/// `waves=`, separated by commas.
pub fn list_waves(waves: &[Wave]) -> String {
    let waves: Vec<String> = waves.iter().map(Wave::to_string).collect();
    waves.join(",")
}

impl Display for Delay {
    fn fmt(&self, f: &mut Formatter) -> Result {
        let short = |time| duration::setting(time).replace(' ', "");
        match self.last {
            None => f.write_str(&short(self.first)),
            Some(last) => write!(f, "{}..{}", short(self.first), short(last)),
        }
    }
}

impl Display for RetryOn {
    fn fmt(&self, f: &mut Formatter) -> Result {
        let RetryOn {
            failed,
            timeout,
            unreachable,
            unknown,
            codes,
        } = self;
        let outcomes = [
            (*failed, "failed"),
            (*timeout, "timeout"),
            (*unreachable, "unreachable"),
            (*unknown, "unknown"),
        ];
        let outcomes = outcomes.iter().filter(|(named, _)| *named);
        let outcomes = outcomes.map(|(_, word)| word.to_string());
        let codes = codes.iter().map(i32::to_string);
        f.write_str(&outcomes.chain(codes).collect::<Vec<_>>().join(","))
    }
}

impl Display for Split {
    fn fmt(&self, f: &mut Formatter) -> Result {
        match &self.by {
            Delimiter::Runs(b" ") => f.write_str("space")?,
            Delimiter::Runs(b"\r\n") => f.write_str("newline")?,
            Delimiter::Runs(_) => f.write_str("whitespace")?,
            Delimiter::Text(by) => f.write_str(match by.as_slice() {
                b"\t" => "tab",
                b"," => "comma",
                b";" => "semicolon",
                b":" => "colon",
                b"|" => "pipe",
                other => return write!(f, "{},{}", String::from_utf8_lossy(other), self.index),
            })?,
        }
        write!(f, ",{}", self.index)
    }
}

#[cfg(test)]
mod tests {
    use crate::task::values::{delay, fail_fast, retry_on, split, unreachable, waves};

    /// A value that is shown as it is written.
    fn same<T: ToString>(read: fn(&str) -> Result<T, String>, values: &[&str]) {
        for value in values {
            assert_eq!(
                read(value).map(|v| v.to_string()),
                Ok(value.to_string()),
                "{value}"
            );
        }
    }

    #[test]
    fn values_are_shown_as_they_are_written() {
        let share = |text: &str| fail_fast(text).map(|s| s.map(|s| s.to_string()));
        assert_eq!(share("25%"), Ok(Some("25%".into())));
        assert_eq!(share("true"), Ok(Some("0".into())));
        same(unreachable, &["fail", "skip", "10%"]);
        same(delay, &["5s", "5s..2m", "250ms..1h"]);
        same(
            retry_on,
            &[
                "failed,timeout,unreachable,unknown",
                "timeout,3,7",
                "failed",
            ],
        );
        let splits = [
            "space,0",
            "whitespace,-1",
            "newline,2",
            "tab,1",
            "comma,1",
            "semicolon,1",
            "colon,1",
            "pipe,1",
            "::,1",
        ];
        same(split, &splits);
        let all = waves("1, 5,25%,rest").map(|w| super::list_waves(&w));
        assert_eq!(all, Ok("1,5,25%,rest".into()));
    }
}
