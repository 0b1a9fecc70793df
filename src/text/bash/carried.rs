//! What a variable or a word of a script can hold, as far as results go (SPEC §2.4).
#![forbid(unsafe_code)]

/// Where what a value holds comes from, from harmless to unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Written out, a number, or from a command that got no result.
    #[default]
    Safe,
    /// It can be a result or a part of one.
    Result,
    /// Made from a result by a program or a replacement, or a file's name.
    Made,
}

/// What is known of a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    pub origin: Origin,
    /// It can hold a `$`, a backquote or a backslash that is not a result's.
    pub sharp: bool,
    /// It can hold a pattern of file names that is not a result's.
    pub glob: bool,
    /// Its written text can be a variable's name.
    pub wordy: bool,
    /// A result in it was split without quotes, so that a pattern finds files.
    pub split: bool,
}

impl Carried {
    pub const NUMBER: Carried = Carried {
        origin: Origin::Safe,
        sharp: false,
        glob: false,
        wordy: false,
        split: false,
    };

    /// What a command prints that got no result.
    pub const OUTPUT: Carried = Carried {
        sharp: true,
        glob: true,
        ..Carried::NUMBER
    };

    pub const RESULT: Carried = Carried {
        origin: Origin::Result,
        ..Carried::NUMBER
    };

    pub const MADE: Carried = Carried {
        origin: Origin::Made,
        sharp: true,
        glob: true,
        wordy: true,
        split: true,
    };

    /// Text of the author.
    pub fn of_text(text: &str) -> Carried {
        Carried {
            origin: Origin::Safe,
            sharp: text.contains(['$', '`', '\\']),
            glob: is_pattern(text),
            wordy: text.contains(|c: char| c.is_alphabetic() || c == '_'),
            split: false,
        }
    }

    pub fn is_safe(self) -> bool {
        self.origin == Origin::Safe
    }

    /// Either of two values.
    pub fn or(self, other: Carried) -> Carried {
        Carried {
            origin: self.origin.max(other.origin),
            sharp: self.sharp || other.sharp,
            glob: self.glob || other.glob,
            wordy: self.wordy || other.wordy,
            split: self.split || other.split,
        }
    }

    /// One value after the other in one word.
    pub fn joined(self, other: Carried) -> Carried {
        let both = self.or(other);
        // `a[$(` before a result would make code of it.
        match both.origin == Origin::Result && both.sharp {
            true => both.made(),
            false => both,
        }
    }

    /// What a program makes of it.
    pub fn made(self) -> Carried {
        match self.is_safe() {
            true => self.or(Carried::OUTPUT),
            false => Carried::MADE,
        }
    }
}

/// Whether a shell could replace the text by file names.
pub fn is_pattern(text: &str) -> bool {
    let bracket = text.find('[').is_some_and(|at| text[at..].contains(']'));
    bracket || text.contains(['*', '?']) || ["+(", "@(", "!("].iter().any(|p| text.contains(p))
}
