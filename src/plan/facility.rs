//! The facilities of syslog that a site can choose in `tasker.conf`: not those of the
//! kernel and of syslogd itself.
#![forbid(unsafe_code)]

use crate::text::diagnostic::expected;
use crate::text::nearest::suggestion;

/// Under which heading syslogd files what it gets, by its number (RFC 3164, 4.1.1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Facility(u8);

impl Facility {
    /// That of programs of which nothing else is known.
    pub const USER: Facility = Facility(1);

    const NAMES: [(&'static str, u8); 18] = [
        ("user", 1),
        ("mail", 2),
        ("daemon", 3),
        ("auth", 4),
        ("lpr", 6),
        ("news", 7),
        ("uucp", 8),
        ("cron", 9),
        ("authpriv", 10),
        ("ftp", 11),
        ("local0", 16),
        ("local1", 17),
        ("local2", 18),
        ("local3", 19),
        ("local4", 20),
        ("local5", 21),
        ("local6", 22),
        ("local7", 23),
    ];

    /// # Errors
    /// One sentence, with the name that is probably meant.
    pub fn parse(text: &str) -> Result<Facility, String> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, number)| Facility(*number)).ok_or_else(|| {
            let wrong = expected("a syslog facility such as `user`, `cron` or `local0`", text);
            wrong + &suggestion(text, Self::NAMES.iter().map(|(name, _)| *name))
        })
    }

    pub fn name(self) -> &'static str {
        let known = Self::NAMES.iter().find(|(_, number)| *number == self.0);
        known.map_or("user", |(name, _)| name)
    }

    /// The number before a message.
    pub fn priority(self, severity: u8) -> u8 {
        self.0 * 8 + severity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facilities_have_names_and_numbers() {
        for (name, number) in Facility::NAMES {
            let facility = Facility::parse(name).expect(name);
            assert_eq!((facility.name(), facility.0), (name, number));
        }
        assert_eq!(Facility::parse("local0").map(|f| f.priority(3)), Ok(131));
        for bad in ["", "kern", "syslog", "local8", "USER"] {
            assert!(Facility::parse(bad).is_err(), "{bad}");
        }
    }
}
