//! What a variable or a word of a script can hold, as far as results go (SPEC §2.4).
#![forbid(unsafe_code)]

/// Where what a value holds comes from, from harmless to unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Carried {
    pub origin: Origin,
    /// It can hold a `$`, a backquote or a backslash that is not a result's.
    pub sharp: bool,
    /// It can hold a pattern of file names that is not a result's.
    pub glob: bool,
    /// Its written text is more than a number: it can be a variable's name.
    pub wordy: bool,
    /// A result in it was split without quotes, so that a pattern finds files.
    pub split: bool,
    /// What is in it is not known: it can be a variable's name.
    pub unknown: bool,
    /// A result in it touches a name or another result: together they can be a name.
    pub glued: bool,
    /// Something was taken out of the middle of a result.
    pub cut: bool,
    /// Its written text holds a `$` or a backquote.
    pub dollar: bool,
    /// Its written text holds a command that arithmetic would run.
    pub code: bool,
}

/// What is looked for in the results before a script runs that evaluates them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    pub needed: bool,
    /// Patterns of file names too.
    pub patterns: bool,
    /// What could be left when something is taken out of the middle.
    pub cut: bool,
    /// What can become a name together with text that stands next to it.
    pub glued: bool,
    /// What is in the format of `printf`.
    pub formats: bool,
}

impl Carried {
    pub const NUMBER: Carried = Carried {
        origin: Origin::Safe,
        sharp: false,
        glob: false,
        wordy: false,
        split: false,
        unknown: false,
        glued: false,
        cut: false,
        dollar: false,
        code: false,
    };

    /// What a command prints that got no result.
    pub const OUTPUT: Carried = Carried {
        sharp: true,
        glob: true,
        unknown: true,
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
        unknown: true,
        glued: true,
        cut: true,
        dollar: true,
        code: false,
    };

    /// Text of the author.
    pub fn of_text(text: &str) -> Carried {
        Carried {
            origin: Origin::Safe,
            sharp: text.contains(['$', '`', '\\']),
            glob: is_pattern(text),
            wordy: !text
                .chars()
                .all(|c| c.is_ascii_digit() || " \t\n+-.".contains(c)),
            dollar: text.contains(['$', '`']),
            code: holds_command(text),
            ..Carried::NUMBER
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
            unknown: self.unknown || other.unknown,
            glued: self.glued || other.glued,
            cut: self.cut || other.cut,
            dollar: self.dollar || other.dollar,
            code: self.code || other.code,
        }
    }

    /// One value right after the other in one word.
    pub fn joined(self, other: Carried) -> Carried {
        let both = self.apart(other);
        // A digit is no beginning of a name.
        let begins = self != Carried::NUMBER;
        Carried {
            glued: both.glued || (begins && !both.is_safe()),
            // `$` and `(…)`
            code: both.code || (both.dollar && begins && other != Carried::NUMBER),
            ..both
        }
    }

    /// One value after the other in one word, with something between them that is in no
    /// name and no operator.
    pub fn apart(self, other: Carried) -> Carried {
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
            false => self.or(Carried::MADE),
        }
    }
}

/// Whether a shell could replace the text by file names.
pub fn is_pattern(text: &str) -> bool {
    let bracket = text.find('[').is_some_and(|at| text[at..].contains(']'));
    bracket || text.contains(['*', '?']) || ["+(", "@(", "!("].iter().any(|p| text.contains(p))
}

/// Whether arithmetic with the text, or with a variable that holds it, runs a command.
pub fn holds_command(text: &str) -> bool {
    let opens = text.contains('`') || ["$(", "${", "$["].iter().any(|open| text.contains(open));
    // It does so in subscripts.
    opens && text.contains('[')
}
