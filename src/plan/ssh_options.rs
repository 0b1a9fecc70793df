//! `ssh_options=` of `tasker.conf` (SPEC §5): further words for the `ssh` of a type.
//!
//! ```text
//! options := { "-" { flag } ( flag | letter value ) }     as getopt(3) reads them
//! ```
//! ssh's standard input is the channel to the host, and its standard error says when the
//! host is connected and why it is not. What would take these away is refused here; all
//! else is left to ssh, which is asked before a run (`ssh -G`).
#![forbid(unsafe_code)]

use crate::text::diagnostic::SyntaxError;
use crate::text::source::Span;
use crate::text::template::{Piece, Template};
use crate::text::words;

/// What a letter means to ssh.
enum Letter {
    Flag,
    TakesValue,
    /// Not for tasker; why, and a help, which may be empty.
    Refused(&'static str, &'static str),
}

const NO_CHANNEL: &str = "ssh's standard input is tasker's channel to the host";
const NO_COMMAND: &str = "the host would not run the task's command";
const ONLY_PRINTS: &str = "ssh would print something and connect to no host";
const NO_WORDS: &str = "tasker reads from ssh's standard error why a host cannot be reached";
const CHATTER: &str = "ssh's own lines would be mixed with the command's standard error";
const NO_TERMINAL: &str = "a terminal would change what the command prints";
const SHARED: &str = "a connection that tasks share is set up elsewhere";
const SHARED_HELP: &str = "set ControlMaster and ControlPath in ssh_config(5)";
const ONE_JUMP: &str = "write the jump hosts as one `-J HOST,HOST`";
const BACKGROUND: &str = "ssh in the background would be taken for a command that has ended";

fn letter(c: char) -> Option<Letter> {
    use Letter::{Flag, Refused, TakesValue};
    Some(match c {
        '4' | '6' | 'A' | 'a' | 'C' | 'g' | 'K' | 'k' | 'T' | 'X' | 'x' | 'Y' => Flag,
        'B' | 'b' | 'c' | 'D' | 'e' | 'F' | 'I' | 'i' | 'J' | 'L' | 'l' | 'm' | 'o' | 'p' | 'R'
        | 'w' => TakesValue,
        'n' => Refused(NO_CHANNEL, ""),
        'f' => Refused(BACKGROUND, ""),
        'N' | 's' | 'W' => Refused(NO_COMMAND, ""),
        't' => Refused(NO_TERMINAL, ""),
        'G' | 'Q' | 'V' => Refused(ONLY_PRINTS, ""),
        'E' | 'q' | 'y' => Refused(NO_WORDS, ""),
        'v' => Refused(CHATTER, ""),
        'M' | 'O' | 'S' => Refused(SHARED, SHARED_HELP),
        'P' => Refused(
            "it means different things to different versions of ssh",
            "write `-o Tag=NAME`",
        ),
        _ => return None,
    })
}

/// The keywords of ssh_config(5) that `-o` may not set, the value that does no harm, and
/// why others do.
const REFUSED_KEYWORDS: &[(&str, &[&str], &str, &str)] = &[
    ("BatchMode", &["yes"], "nobody is there to answer ssh", ""),
    ("RemoteCommand", &["none"], NO_COMMAND, ""),
    ("SessionType", &["default"], NO_COMMAND, ""),
    ("StdinNull", &["no"], NO_CHANNEL, ""),
    ("ForkAfterAuthentication", &["no"], BACKGROUND, ""),
    ("RequestTTY", &["no"], NO_TERMINAL, ""),
    ("LogLevel", &["info", "error"], "", ""),
    ("LogVerbose", &["none"], CHATTER, ""),
    ("ControlMaster", &["no"], SHARED, SHARED_HELP),
    ("ControlPath", &["none"], SHARED, SHARED_HELP),
    ("ControlPersist", &["no"], SHARED, SHARED_HELP),
];

/// Splits the value, which stands at `at`, into words as a POSIX shell does, and checks
/// each; `$` and `@` are ordinary characters.
///
/// # Errors
/// Every option that cannot be used.
pub fn read(value: &str, at: Span) -> Result<Vec<String>, Vec<SyntaxError>> {
    let template = Template::literal(value, at);
    let mut literal = |name: &str, at: Span| Some(Piece::data(format!("${name}"), at));
    let split = words::split(&template, &mut literal);
    let mut reader = OptionReader::default();
    if let Some(at) = split.open_quote {
        reader.refuse(at, "a quote is never closed".into(), "");
        return Err(reader.bad);
    }
    let starts = split.words.iter().skip(1);
    let starts = starts.map(|word| word.pieces.first().map(|piece| piece.at().start));
    let ends = starts.map(|start| start.map_or(value.len(), |s| (s - at.start) as usize));
    let ends = ends.chain([value.len()]);
    for (word, end) in split.words.iter().zip(ends) {
        let text = word.known_text().unwrap_or_default().into_owned();
        reader.take_word(&text, place(value, word, at, end));
        reader.words.push(text);
    }
    if let Some((letter, at)) = reader.open {
        reader.refuse(at, format!("`-{letter}` needs a value"), "");
    }
    match reader.bad.is_empty() {
        true => Ok(reader.words),
        false => Err(reader.bad),
    }
}

/// Where the word stands, mostly without the quotes around it; `end` is where the next
/// one begins.
fn place(value: &str, word: &Template, at: Span, end: usize) -> Span {
    let first = word.pieces.first().map(|piece| piece.at().start);
    let start = first.map_or(0, |first| (first - at.start) as usize);
    let written = value.get(start..end).unwrap_or_default();
    let quotes: &[char] = &[' ', '\t', '\n', '\'', '"'];
    at.part(start, start + written.trim_end_matches(quotes).len())
}

#[derive(Default)]
struct OptionReader {
    words: Vec<String>,
    bad: Vec<SyntaxError>,
    /// The option whose value is the next word.
    open: Option<(char, Span)>,
    /// The next word is the value of a refused option.
    skips_value: bool,
    /// A way to the host was set before: ssh ends itself at a `-J` after it.
    has_route: bool,
}

impl OptionReader {
    fn refuse(&mut self, at: Span, message: String, help: &'static str) {
        self.bad.push(SyntaxError { at, message, help });
    }

    fn take_word(&mut self, word: &str, at: Span) {
        if let Some((letter, _)) = self.open.take() {
            return self.value(letter, word, at);
        }
        if std::mem::take(&mut self.skips_value) {
            return;
        }
        let Some(letters) = word.strip_prefix('-').filter(|l| !l.is_empty()) else {
            let message = format!("expected an option of ssh(1), found `{word}`");
            return self.refuse(at, message, "the host is that of the task");
        };
        for (number, c) in letters.char_indices() {
            match letter(c) {
                Some(Letter::Flag) => {}
                Some(Letter::TakesValue) => {
                    match &letters[number + c.len_utf8()..] {
                        "" => self.open = Some((c, at)),
                        value => self.value(c, value, at),
                    }
                    return;
                }
                Some(Letter::Refused(why, help)) => {
                    let is_last = number + c.len_utf8() == letters.len();
                    self.skips_value = is_last && "EOQSW".contains(c);
                    return self.refuse(at, format!("`-{c}` cannot be used here: {why}"), help);
                }
                None => {
                    let message = format!("`{word}` is no option of ssh(1) that tasker knows");
                    let help = "most can be written as `-o NAME=VALUE`";
                    return self.refuse(at, message, help);
                }
            }
        }
    }

    /// Takes the value of an option.
    fn value(&mut self, letter: char, value: &str, at: Span) {
        match letter {
            'o' => self.keyword(value, at),
            'J' => {
                if self.has_route {
                    let message = "ssh ends itself at a `-J` after another jump host or a proxy";
                    self.refuse(at, message.into(), ONE_JUMP);
                }
                self.has_route = true;
            }
            'F' if value.starts_with('~') => {
                let message = format!("ssh does not take `{value}` for a home directory");
                let help = "write the whole path; it may not begin with `~`";
                self.refuse(at, message, help);
            }
            _ => {}
        }
    }

    /// Takes the `NAME=VALUE` or `NAME VALUE` of a `-o`.
    fn keyword(&mut self, text: &str, at: Span) {
        let text = text.trim_start();
        let end = text.find(|c: char| c == '=' || c.is_ascii_whitespace());
        let Some(end) = end.filter(|end| *end > 0) else {
            let message = format!("expected `-o NAME=VALUE`, found `-o {text}`");
            return self.refuse(at, message, "");
        };
        let (name, rest) = text.split_at(end);
        let rest = rest.trim_start();
        let value = rest.strip_prefix('=').unwrap_or(rest).trim();
        let is_route =
            |n: &&str| name.eq_ignore_ascii_case(n) && !value.eq_ignore_ascii_case("none");
        self.has_route |= ["ProxyJump", "ProxyCommand"].iter().any(is_route);
        let known = REFUSED_KEYWORDS
            .iter()
            .find(|(keyword, ..)| keyword.eq_ignore_ascii_case(name));
        let Some((keyword, harmless, why, help)) = known else {
            return;
        };
        let value = value.trim_matches('"').to_ascii_lowercase();
        if harmless.contains(&value.as_str()) {
            return;
        }
        let why = match (*keyword, value.as_str()) {
            ("LogLevel", "quiet" | "fatal") => NO_WORDS,
            ("LogLevel", _) => CHATTER,
            _ => why,
        };
        self.refuse(at, format!("`{keyword}` cannot be set here: {why}"), help);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Result<Vec<String>, String> {
        read(text, Span::new(0, 100, 100 + text.len())).map_err(|bad| {
            let bad = bad.iter().map(|b| {
                let (start, end) = (b.at.start as usize - 100, b.at.end as usize - 100);
                format!("{}: {}", &text[start..end], b.message)
            });
            bad.collect::<Vec<_>>().join("\n")
        })
    }

    #[test]
    fn words_are_split_as_in_a_shell() {
        let words = |text: &str| found(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(words(""), Vec::<String>::new());
        assert_eq!(words("-J bastion"), ["-J", "bastion"]);
        assert_eq!(
            words(r#"-4C -i '/a b/key' -o "User=$x" -p2222 -oPort\ 22"#),
            [
                "-4C",
                "-i",
                "/a b/key",
                "-o",
                "User=$x",
                "-p2222",
                "-oPort 22"
            ]
        );
        for good in [
            "-T -o BatchMode=yes -oLogLevel=ERROR",
            "-o 'requesttty no' -o ProxyJump=none -J a,b",
            "-o ProxyCommand='nc %h %p'",
            "-o ControlPath=none",
            "-l -n",
            "-i ~/.ssh/key",
        ] {
            words(good);
        }
    }

    #[test]
    fn what_would_break_the_channel_is_refused() {
        for letter in "fnNstGVEQqyvMOSPW".chars() {
            let text = format!("-4 -{letter}");
            let message = found(&text).expect_err(&text);
            let start = format!("-{letter}: `-{letter}` cannot be used here: ");
            assert!(message.starts_with(&start), "{message}");
            assert!(found(&format!("-4{letter}")).is_err());
        }
        for keyword in [
            "RemoteCommand=id",
            "stdinnull yes",
            "ForkAfterAuthentication=yes",
            "SessionType=none",
            "REQUESTTTY=force",
            "LogLevel=QUIET",
            "LogLevel DEBUG3",
            "BatchMode=no",
            "ControlMaster=auto",
            "ControlPath=/x",
        ] {
            let text = format!("-o '{keyword}' -C");
            let message = found(&text).expect_err(&text);
            assert!(message.contains("cannot be set here: "), "{message}");
            assert!(found(&format!("-Co'{keyword}'")).is_err());
        }
    }

    #[test]
    fn mistakes_are_all_located() {
        for (text, expected) in [
            (
                "-C bastion",
                "bastion: expected an option of ssh(1), found `bastion`",
            ),
            ("--", "--: `--` is no option of ssh(1) that tasker knows"),
            ("-", "-: expected an option of ssh(1), found `-`"),
            (
                "-C # x",
                "#: expected an option of ssh(1), found `#`\nx: expected an option of ssh(1), found `x`",
            ),
            ("-C -p", "-p: `-p` needs a value"),
            ("-o Port", "Port: expected `-o NAME=VALUE`, found `-o Port`"),
            ("-z", "-z: `-z` is no option of ssh(1) that tasker knows"),
            ("-i 'x", "': a quote is never closed"),
            (
                "-J a -J b",
                "b: ssh ends itself at a `-J` after another jump host or a proxy",
            ),
            (
                "-o ProxyCommand=x -J b",
                "b: ssh ends itself at a `-J` after another jump host or a proxy",
            ),
            (
                "-F ~/config",
                "~/config: ssh does not take `~/config` for a home directory",
            ),
        ] {
            assert_eq!(found(text), Err(expected.to_string()), "{text}");
        }
    }
}
