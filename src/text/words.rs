//! Splits a command line into words as a POSIX shell does (SPEC §4.1): quotes
//! and backslash, `$NAME` outside single quotes, no globbing, nothing else.
//!
//! Data and references are parts of words; they are never split.
#![forbid(unsafe_code)]

use super::source::Span;
use super::template::{Piece, Symbol, SymbolStream, Template, symbols};

/// The words of a command line, with its suspicious words.
#[derive(Default)]
pub struct SplitWords {
    pub words: Vec<Template>,
    /// Words that a shell would interpret, or that a word processor has changed; here
    /// they are passed literally.
    pub suspects: Vec<SuspectWord>,
    /// The quote that is never closed; the word that it begins is left out.
    pub open_quote: Option<Span>,
}

/// A word, outside quotes, that is probably not meant as it is passed.
#[derive(Debug)]
pub struct SuspectWord {
    pub at: Span,
    /// The word as it is written.
    pub written: String,
    pub looks_like: Lookalike,
}

/// What a word would be elsewhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lookalike {
    /// `|`, `>`, `&&`, `$(`: syntax of a shell.
    Operator,
    /// `*.log`: a shell would replace it by the names of files.
    Glob,
    /// `~/x`: a home directory.
    Home,
    /// `#`: the beginning of a comment.
    Comment,
    /// A quote, a dash or a space that only looks like the one on the keyboard.
    Typography,
}

/// The value of `$NAME`; `None` if it is not set.
pub type VariableLookup<'a> = dyn FnMut(&str, Span) -> Option<Piece> + 'a;

/// Splits the value into words.
pub fn split(value: &Template, environment: &mut VariableLookup) -> SplitWords {
    let mut splitter = Splitter {
        symbols: symbols(value),
        word: None,
        bare: String::new(),
        begins_bare: false,
        out: SplitWords::default(),
    };
    if let Err(open) = splitter.split(environment) {
        splitter.out.open_quote = Some(open);
    }
    splitter.out
}

impl Splitter<'_> {
    /// Takes all words.
    ///
    /// # Errors
    /// The position of a quote that is never closed.
    fn split(&mut self, environment: &mut VariableLookup) -> Result<(), Span> {
        let splitter = self;
        loop {
            if let Some((text, at, secret)) = splitter.symbols.text_run(b" \t\n'\"\\$") {
                splitter.push_bare(text);
                splitter.current_word().push_text(text, at, secret);
            }
            let Some(symbol) = splitter.symbols.next() else {
                break;
            };
            match symbol {
                // Only ASCII blanks separate words, as in a shell.
                Symbol::Char {
                    c: ' ' | '\t' | '\n',
                    ..
                } => splitter.end_word(),
                Symbol::Char { c: '\'', at, .. } => splitter.single(at)?,
                Symbol::Char { c: '"', at, .. } => splitter.double(at, environment)?,
                Symbol::Char {
                    c: '\\',
                    at,
                    secret,
                    ..
                } => splitter.escaped(at, secret),
                Symbol::Char {
                    c: '$',
                    at,
                    direct: true,
                    secret,
                } => splitter.dollar(at, secret, environment),
                Symbol::Char { c, at, secret, .. } => {
                    splitter.push_bare(c.encode_utf8(&mut [0; 4]));
                    splitter.current_word().push_char(c, at, secret);
                }
                Symbol::Atom(piece) => splitter.current_word().pieces.push(piece.clone()),
            }
        }
        splitter.end_word();
        Ok(())
    }
}

struct Splitter<'a> {
    symbols: SymbolStream<'a>,
    /// The word being read; `Some` but empty after empty quotes (`""`).
    word: Option<Template>,
    /// The unquoted text of the word.
    bare: String,
    /// Whether the word begins with that text.
    begins_bare: bool,
    out: SplitWords,
}

impl Splitter<'_> {
    fn peek(&self) -> Option<char> {
        char_of(self.symbols.clone().next()?)
    }

    fn current_word(&mut self) -> &mut Template {
        self.word.get_or_insert_with(Template::default)
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        if let Some(looks_like) = lookalike(&self.bare, self.begins_bare)
            && let Some(piece) = word.pieces.first()
        {
            let written = match looks_like {
                Lookalike::Glob => word.shown(None),
                _ if word.has_secret() => word.shown(None),
                _ => self.bare.clone(),
            };
            self.out.suspects.push(SuspectWord {
                at: piece.at(),
                written,
                looks_like,
            });
        }
        self.bare.clear();
        self.out.words.push(word);
    }

    /// Takes unquoted text of the word.
    fn push_bare(&mut self, text: &str) {
        if self.word.is_none() {
            self.begins_bare = true;
        } else if self.bare.is_empty() {
            self.begins_bare = false;
        }
        self.bare.push_str(text);
    }

    /// Takes quoted text up to one of these.
    fn quoted_text(&mut self, to: &[u8]) {
        if let Some((text, at, secret)) = self.symbols.text_run(to) {
            self.current_word().push_text(text, at, secret);
        }
    }

    fn single(&mut self, open: Span) -> Result<(), Span> {
        self.current_word();
        loop {
            self.quoted_text(b"'");
            match self.symbols.next() {
                None => return Err(open),
                Some(Symbol::Char { c: '\'', .. }) => return Ok(()),
                Some(Symbol::Char { c, at, secret, .. }) => {
                    self.current_word().push_char(c, at, secret)
                }
                Some(Symbol::Atom(piece)) => self.current_word().pieces.push(piece.clone()),
            }
        }
    }

    fn double(&mut self, open: Span, environment: &mut VariableLookup) -> Result<(), Span> {
        self.current_word();
        loop {
            self.quoted_text(b"\"\\$");
            match self.symbols.next() {
                None => return Err(open),
                Some(Symbol::Char { c: '"', .. }) => return Ok(()),
                Some(Symbol::Char {
                    c: '\\',
                    at,
                    secret,
                    ..
                }) => match self.peek() {
                    Some('$' | '`' | '"' | '\\') => self.escaped(at, secret),
                    _ => self.current_word().push_char('\\', at, secret),
                },
                Some(Symbol::Char {
                    c: '$',
                    at,
                    direct: true,
                    secret,
                }) => self.dollar(at, secret, environment),
                Some(Symbol::Char { c, at, secret, .. }) => {
                    self.current_word().push_char(c, at, secret)
                }
                Some(Symbol::Atom(piece)) => self.current_word().pieces.push(piece.clone()),
            }
        }
    }

    /// After a backslash: takes the next character literally.
    fn escaped(&mut self, at: Span, secret: bool) {
        let mut ahead = self.symbols.clone();
        match ahead.next() {
            Some(Symbol::Char { c, at, secret, .. }) => {
                self.symbols = ahead;
                self.current_word().push_char(c, at, secret);
            }
            _ => self.current_word().push_char('\\', at, secret),
        }
    }

    /// After a `$`: takes an environment variable, or a literal dollar.
    fn dollar(&mut self, at: Span, secret: bool, environment: &mut VariableLookup) {
        let mut ahead = self.symbols.clone();
        let braced = self.peek() == Some('{');
        if braced {
            ahead.next();
        }
        let inside = ahead.clone().map_while(char_of);
        let name: String = inside
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        let named = !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit());
        let closed = !braced || ahead.clone().nth(name.len()).and_then(char_of) == Some('}');
        if !named || !closed {
            self.push_bare("$");
            self.current_word().push_char('$', at, secret);
            return;
        }
        let length = name.len() + 2 * usize::from(braced);
        self.symbols.nth(length - 1);
        let place = Span {
            end: at.end + length as u32,
            ..at
        };
        let piece = environment(&name, place);
        self.current_word().pieces.extend(piece);
    }
}

fn char_of(symbol: Symbol) -> Option<char> {
    match symbol {
        Symbol::Char { c, .. } => Some(c),
        Symbol::Atom(_) => None,
    }
}

/// What the unquoted text of a word looks like; `begins` if the word begins with it.
fn lookalike(bare: &str, begins: bool) -> Option<Lookalike> {
    match () {
        _ if is_operator(bare) => Some(Lookalike::Operator),
        _ if begins && bare.starts_with('#') => Some(Lookalike::Comment),
        _ if begins && is_home(bare) => Some(Lookalike::Home),
        _ if is_typographic(bare, begins) => Some(Lookalike::Typography),
        _ if is_glob(bare) => Some(Lookalike::Glob),
        _ => None,
    }
}

/// `~`, `~/x`, `~user`, `~user/x`
fn is_home(bare: &str) -> bool {
    let Some(rest) = bare.strip_prefix('~') else {
        return false;
    };
    let user = rest.split('/').next().unwrap_or("");
    user.chars()
        .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}

/// `*`, `?` or a closed `[...]`, but not in a URL.
fn is_glob(bare: &str) -> bool {
    let brackets = || {
        let (_, rest) = bare.split_once('[')?;
        rest.find(']').filter(|end| *end > 0)
    };
    (bare.contains(['*', '?']) || brackets().is_some()) && !bare.contains("://")
}

/// Whether a word processor has put a quote at the word's beginning or end, a dash in
/// place of a hyphen, or a space that separates nothing.
fn is_typographic(bare: &str, begins: bool) -> bool {
    if bare.is_ascii() {
        return false;
    }
    let is_dash = |c: char| ('\u{2010}'..='\u{2015}').contains(&c) || c == '\u{2212}';
    let after_equals = bare
        .split_once('=')
        .is_some_and(|(_, v)| v.starts_with(is_quote));
    let dash = bare.strip_prefix(is_dash).filter(|_| begins);
    bare.starts_with(is_quote)
        || bare.ends_with(is_quote)
        || after_equals
        || dash.is_some_and(|option| option.contains(char::is_alphanumeric))
        || bare.contains('\u{a0}')
}

fn is_quote(c: char) -> bool {
    ('\u{2018}'..='\u{201f}').contains(&c)
}

/// The first typographic quote that begins a word or a pattern, outside plain quotes,
/// with its position in the text.
pub fn typographic_quote(text: &str) -> Option<(usize, char)> {
    let (mut open, mut before) = (None, ' ');
    for (at, c) in text.char_indices() {
        match open {
            Some(quote) if c == quote => open = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => open = Some(c),
            None if is_quote(c) && " \t=~<>!(&|".contains(before) => return Some((at, c)),
            None => {}
        }
        before = c;
    }
    None
}

/// Whether a shell would interpret the unquoted word.
fn is_operator(bare: &str) -> bool {
    // A quick answer for most words.
    if !bare.contains(['|', '&', ';', '<', '>', '`', '$']) {
        return false;
    }
    let redirection = bare.trim_start_matches(|c: char| c.is_ascii_digit());
    matches!(bare, "|" | "||" | "&" | "&&" | ";")
        || redirection.starts_with(['>', '<'])
        || bare.ends_with(';')
        || bare.contains('`')
        || bare.contains("$(")
        || bare.contains("${")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::chance::Chance;
    use crate::text::template::{WrittenReference, parse};

    fn words(line: &str) -> Result<Vec<String>, u32> {
        let mut resolve = |WrittenReference { name, at, .. }: WrittenReference| match name {
            "OPTS" => vec![Piece::of_global("--a '--b c'", at)],
            "PRICE" => vec![Piece::of_global("$HOME", at)],
            _ => vec![Piece::data(b"x; 'y z", at)],
        };
        let value = parse(line, Span::new(0, 0, line.len()), &mut resolve);
        let mut environment =
            |name: &str, at| (name == "HOME").then(|| Piece::data(b"/home/a b", at));
        let split = split(&value, &mut environment);
        if let Some(open) = split.open_quote {
            return Err(open.start);
        }
        Ok(split
            .words
            .iter()
            .map(|w| w.known_text().unwrap_or_default().into_owned())
            .collect())
    }

    fn operators(line: &str) -> usize {
        let value = Template::literal(line, Span::new(0, 0, line.len()));
        let split = split(&value, &mut |_, _| None);
        let suspects = split.suspects.iter();
        suspects
            .filter(|s| s.looks_like == Lookalike::Operator)
            .count()
    }

    #[test]
    fn words_are_split_as_a_shell_does() {
        let split = |line| words(line).unwrap_or_default();
        assert_eq!(split("  a  b\tc "), ["a", "b", "c"]);
        assert_eq!(split(r#"a"b c"d 'e  f' "" ''"#), ["ab cd", "e  f", "", ""]);
        assert_eq!(
            split(r#"a\ b \\ \" "\$x \q \"" '\n'"#),
            ["a b", "\\", "\"", "$x \\q \"", "\\n"]
        );
        assert_eq!(split("* ~ #x {a,b}"), ["*", "~", "#x", "{a,b}"]);
        assert_eq!(split("a\u{a0}b\u{3000}c"), ["a\u{a0}b\u{3000}c"]);
        assert_eq!(split(""), Vec::<String>::new());
    }

    #[test]
    fn the_environment_gives_one_word_and_never_syntax() {
        let split = |line| words(line).unwrap_or_default();
        assert_eq!(
            split("$HOME ${HOME}/x '$HOME' \"$HOME\" $1 $ \\$HOME"),
            [
                "/home/a b",
                "/home/a b/x",
                "$HOME",
                "/home/a b",
                "$1",
                "$",
                "$HOME"
            ]
        );
        assert_eq!(split("a$UNSET b $UNSET"), ["a", "b", ""]);
    }

    #[test]
    fn globals_are_text_and_results_are_data() {
        let split = |line| words(line).unwrap_or_default();
        assert_eq!(
            split("run @OPTS@ @PRICE@"),
            ["run", "--a", "--b c", "$HOME"]
        );
        assert_eq!(split("run pre@1_stdout@post"), ["run", "prex; 'y zpost"]);
    }

    #[test]
    fn an_open_quote_is_located() {
        assert_eq!(words("echo 'abc"), Err(5));
        assert_eq!(words("echo \"a\\\""), Err(5));
    }

    #[test]
    fn shell_operators_are_noticed_only_unquoted() {
        for line in [
            "a | b",
            "a > f",
            "a 2>&1",
            "a; b",
            "a && b",
            "echo `x`",
            "echo $(x)",
            "a &",
            "a ${x:-y}",
        ] {
            assert!(operators(line) > 0, "{line}");
        }
        for line in ["a '|' b", "a \">\" f", "a\\;b", "a=b", "x -> y", "'$(x)'"] {
            assert_eq!(operators(line), 0, "{line}");
        }
    }

    #[test]
    fn words_that_are_not_what_they_look_like_are_noticed() {
        let seen = |line: &str| {
            let value = Template::literal(line, Span::new(0, 0, line.len()));
            let suspects = split(&value, &mut |_, _| None).suspects;
            suspects.iter().map(|s| s.looks_like).collect::<Vec<_>>()
        };
        use Lookalike::{Comment, Glob, Home, Typography};
        for (line, expected) in [
            ("ls *.log /x/a?.[a-z]", &[Glob, Glob][..]),
            ("ls ~ ~/x ~root/x", &[Home, Home, Home]),
            ("app # careful", &[Comment]),
            ("grep \u{201c}a b\u{201d} f", &[Typography, Typography]),
            ("ls \u{2013}la --a=\u{2018}x a\u{a0}b", &[Typography; 3]),
            ("ls '*.log' \\*.log \"~\"/x \"\"~ x~ '#' \\# a#b", &[]),
            ("[ -f x ] a[ b] http://h/?a=b ~~ a~/b", &[]),
            (
                "echo it\u{2019}s a \u{2013} b '\u{201c}a\u{201d}' caf\u{e9}",
                &[],
            ),
        ] {
            assert_eq!(seen(line), expected, "{line}");
        }
    }

    #[test]
    fn any_text_is_split_or_its_open_quote_is_located() {
        let mut chance = Chance::new(1);
        for _ in 0..5000 {
            let line = chance.text(&["a", " ", "'b c'", "@OPTS@", "$HOME", "\\\""], 12);
            if let Err(at) = words(&line) {
                let quote = line[at as usize..].chars().next();
                // The position of a quote in a global is that of the reference.
                assert!(matches!(quote, Some('\'' | '"' | '@')), "{at} in {line:?}");
            }
        }
    }

    #[test]
    fn what_is_quoted_is_read_back() {
        let mut chance = Chance::new(2);
        for _ in 0..5000 {
            let word = chance.text(&["a b", "it's", "\\", "\n"], 12);
            let line = crate::text::quote::shell_word(&word);
            let value = Template::literal(&line, Span::new(0, 0, line.len()));
            let read = split(&value, &mut |_, _| None);
            assert!(read.open_quote.is_none(), "{line}");
            let known: Vec<_> = read.words.iter().map(Template::known_text).collect();
            assert_eq!(known, [Some(word.into())], "{line}");
            assert!(read.suspects.is_empty(), "{line}");
        }
    }
}
