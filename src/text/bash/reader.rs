//! The characters of a script, and the words in them, by the quoting rules of bash.
#![forbid(unsafe_code)]

use super::ansi_c;
use super::tree::{Body, PartKind, ShellParameter, ShellPart, ShellWord};
use crate::text::source::Span;
use crate::text::template::{Field, Piece, Reference, Symbol};
use std::collections::BTreeSet;

/// Characters that stand for a number or a word that is not known, in a script that is
/// put together from variables.
pub const MARKS: [char; 2] = ['\u{f8fe}', '\u{f8ff}'];

/// How a value stands in a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quoting {
    Unquoted,
    Double,
    Single,
    /// In a here-document or arithmetic, where no quotes are needed.
    Bare,
    Arithmetic,
    Comment,
    /// The `$` or `\` before a value; it would change the meaning of the variable.
    Escaped,
}

/// Why a script cannot be read, and where.
#[derive(Clone, Debug)]
pub struct Unreadable {
    pub at: Span,
    pub message: String,
    /// Whether a quote or bracket is never closed, which no shell accepts either.
    pub open: bool,
    /// Whether a value stands where it would be code.
    pub value: Option<&'static str>,
    /// Whether it cannot be read in another way either.
    pub fatal: bool,
}

/// What most functions here give.
pub type Read<T> = Result<T, Unreadable>;

/// A here-document whose text begins after this line.
#[derive(Clone, Debug)]
pub struct PendingDocument {
    pub number: usize,
    pub delimiter: String,
    pub quoted: bool,
    /// Whether the tabs before a line are dropped.
    pub tabs: bool,
}

const TICKS: &str = "the checker does not know a `'` in arithmetic";

/// How deep brackets may be nested.
const DEPTH: usize = 100;

/// A place in a script.
pub struct ScriptReader<'s, 'a> {
    pub symbols: &'s [Symbol<'a>],
    pub next: usize,
    /// Where what is read ends.
    pub limit: usize,
    /// How each value stands, by its symbol.
    pub quoting: Vec<(usize, Quoting)>,
    /// The words that hold references.
    pub words: Vec<ShellWord>,
    /// The here-documents of this line.
    pub pending: Vec<PendingDocument>,
    /// The texts of the here-documents, by their number.
    pub documents: Vec<ShellWord>,
    pub depth: usize,
    /// Read what bash and other shells read differently as the others do: `((` is two
    /// subshells, `$'…'` and `$[` begin with a character, and `&>` is two operators.
    pub portable: bool,
    /// Where something was tried that it turned out not to be, with `limit`: what is in
    /// brackets would else be read twice as often with each level.
    pub tried: BTreeSet<(usize, usize)>,
    /// Whether a `'` was in the arithmetic that is read.
    ticks: bool,
    /// Whether what is not known touches a name.
    pub torn: bool,
}

/// A place to go back to when what was tried is not there.
pub struct ReadMark {
    next: usize,
    quoting: usize,
    words: usize,
    pending: Vec<PendingDocument>,
}

/// Whether the character ends an unquoted word.
fn is_meta(c: char) -> bool {
    matches!(
        c,
        ' ' | '\t' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>'
    )
}

/// Whether the character can be part of a name.
pub fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Whether the text is the name of a variable.
pub fn is_name(text: &str) -> bool {
    text.chars().all(is_name_char) && text.starts_with(|c: char| !c.is_ascii_digit())
}

impl<'s, 'a> ScriptReader<'s, 'a> {
    pub fn new(symbols: &'s [Symbol<'a>]) -> ScriptReader<'s, 'a> {
        ScriptReader {
            symbols,
            next: 0,
            limit: symbols.len(),
            quoting: Vec::new(),
            words: Vec::new(),
            pending: Vec::new(),
            documents: Vec::new(),
            depth: 0,
            portable: false,
            tried: BTreeSet::new(),
            ticks: false,
            torn: false,
        }
    }

    pub fn mark(&self) -> ReadMark {
        ReadMark {
            next: self.next,
            quoting: self.quoting.len(),
            words: self.words.len(),
            pending: self.pending.clone(),
        }
    }

    /// Goes back, and remembers that it is not what was tried.
    pub fn go_back(&mut self, to: ReadMark) {
        self.tried.insert((to.next, self.limit));
        self.next = to.next;
        self.quoting.truncate(to.quoting);
        self.words.truncate(to.words);
        self.pending = to.pending;
    }

    /// Whether what is tried here is known not to be here.
    pub fn was_tried(&self) -> bool {
        self.tried.contains(&(self.next, self.limit))
    }

    /// The character `ahead` of the next one; `None` at the end and for a value.
    pub fn peek(&self, ahead: usize) -> Option<char> {
        match self.symbols[..self.limit].get(self.next + ahead) {
            Some(Symbol::Char { c, .. }) => Some(*c),
            _ => None,
        }
    }

    pub fn is_at_end(&self) -> bool {
        self.next >= self.limit
    }

    pub fn at(&self) -> Span {
        let last = self.symbols.len().saturating_sub(1);
        match self.symbols.get(self.next.min(last)) {
            Some(Symbol::Char { at, .. }) => *at,
            Some(Symbol::Atom(piece)) => piece.at(),
            None => Span::whole(0),
        }
    }

    fn is_secret(&self) -> bool {
        matches!(self.symbols.get(self.next), Some(Symbol::Char { secret, .. }) if *secret)
    }

    /// Whether the next characters are these.
    pub fn follows(&self, text: &str) -> bool {
        text.chars()
            .enumerate()
            .all(|(ahead, c)| self.peek(ahead) == Some(c))
    }

    /// Reads these characters if they are next.
    pub fn accept(&mut self, text: &str) -> bool {
        let found = self.follows(text);
        if found {
            self.next += text.chars().count();
        }
        found
    }

    pub fn never_closed<T>(&self, at: Span, what: &str) -> Read<T> {
        Err(Unreadable {
            at,
            message: format!("this {what} is never closed"),
            open: true,
            value: None,
            fatal: false,
        })
    }

    pub fn unknown<T>(&self, what: &str) -> Read<T> {
        Err(Unreadable {
            at: self.at(),
            message: what.to_string(),
            open: false,
            value: None,
            fatal: false,
        })
    }

    /// The same where no other way to read it must be tried.
    pub fn fatal<T>(&self, what: &str) -> Read<T> {
        self.unknown(what).map_err(|error| Unreadable {
            fatal: true,
            ..error
        })
    }

    /// Fails at a `<(…)` where the checker does not follow it.
    pub fn no_process(&self) -> Read<()> {
        match self.follows("<(") || self.follows(">(") {
            true => self.fatal("the checker does not follow `<(...)` here"),
            false => Ok(()),
        }
    }

    /// Fails if the next symbol is data, which must not stand in `what`.
    fn no_value(&self, what: &'static str) -> Read<()> {
        if self.is_data(self.next) && self.next < self.limit {
            return Err(Unreadable {
                at: self.at(),
                message: String::new(),
                open: false,
                value: Some(what),
                fatal: true,
            });
        }
        Ok(())
    }

    fn is_data(&self, symbol: usize) -> bool {
        match self.symbols.get(symbol) {
            Some(Symbol::Atom(Piece::Reference { to, .. })) => to.is_data(),
            Some(Symbol::Atom(_)) => true,
            _ => false,
        }
    }

    /// Whether the symbol is a number that was checked to be one.
    fn is_number(&self, symbol: usize) -> bool {
        matches!(self.symbols.get(symbol), Some(Symbol::Atom(piece)) if is_number(piece))
    }

    pub fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        if self.depth >= DEPTH {
            return self.fatal("the brackets are nested too deeply to be checked");
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Adds a part that began at this symbol.
    fn part(&self, from: usize, kind: PartKind, quoted: bool) -> ShellPart {
        let secret = self.symbols[from..self.next.max(from)]
            .iter()
            .any(|s| matches!(s, Symbol::Char { secret: true, .. }));
        let at = match self.symbols.get(from) {
            Some(Symbol::Char { at, .. }) => *at,
            Some(Symbol::Atom(piece)) => piece.at(),
            None => self.at(),
        };
        ShellPart {
            kind,
            quoted,
            at,
            secret,
        }
    }

    /// Reads one character of text into the word.
    pub fn take_text(&mut self, word: &mut ShellWord, quoted: bool) {
        let (at, secret) = (self.at(), self.is_secret());
        if let Some(c) = self.peek(0) {
            self.next += 1;
            push_text(word, c, quoted, at, secret);
        }
    }

    /// Reads a reference or data into the word.
    fn take_value(&mut self, word: &mut ShellWord, quoting: Quoting) {
        let symbol = self.next;
        self.next += 1;
        if self.is_data(symbol) {
            self.quoting.push((symbol, quoting));
        }
        word.parts
            .push(self.part(symbol, PartKind::Value(symbol), true));
    }

    /// A `$` or `\` that stands before data, as text.
    fn take_before_data(&mut self, word: &mut ShellWord) -> bool {
        let found = matches!(self.peek(0), Some('$' | '\\')) && self.is_data(self.next + 1);
        if found && self.next + 1 < self.limit {
            self.quoting.push((self.next, Quoting::Escaped));
            self.take_text(word, true);
            return true;
        }
        false
    }

    /// A word up to the next blank or operator; empty if there is none.
    pub fn read_word(&mut self) -> Read<ShellWord> {
        let mut word = ShellWord::default();
        let from = self.next;
        while !self.is_at_end() {
            if self.peek(0).is_none() {
                self.take_value(&mut word, Quoting::Unquoted);
            } else if !self.word_part(&mut word)? {
                break;
            }
        }
        if self.names_descriptor(from) {
            return self
                .fatal("the checker does not know what is in the braces before this redirection");
        }
        self.note(&word);
        Ok(word)
    }

    /// Whether what was read from here is the `{NAME[…]}` of a redirection, whose
    /// subscript bash evaluates.
    fn names_descriptor(&self, from: usize) -> bool {
        let char_at = |n: usize| match self.symbols.get(n) {
            Some(Symbol::Char { c, .. }) => Some(*c),
            _ => None,
        };
        matches!(self.peek(0), Some('<' | '>'))
            && char_at(from) == Some('{')
            && char_at(self.next - 1) == Some('}')
            && (from..self.next).any(|n| char_at(n) == Some('['))
    }

    /// Notes a word that holds a reference.
    pub fn note(&mut self, word: &ShellWord) {
        if word
            .parts
            .iter()
            .any(|p| matches!(p.kind, PartKind::Value(_)))
        {
            self.words.push(word.clone());
        }
    }

    /// Reads one part of an unquoted word; `false` where the word ends.
    pub fn word_part(&mut self, word: &mut ShellWord) -> Read<bool> {
        let Some(c) = self.peek(0) else {
            return Ok(false);
        };
        if matches!(c, '?' | '*' | '+' | '@' | '!')
            && self.peek(1) == Some('(')
            && !(c == '!' && word.parts.is_empty())
        {
            self.take_text(word, false);
            self.in_parentheses(word)?;
            return Ok(true);
        }
        if matches!(c, '<' | '>') && self.peek(1) == Some('(') {
            let from = self.next;
            self.next += 2;
            let body = self.substituted(from)?;
            word.parts
                .push(self.part(from, PartKind::Process(body), true));
            return Ok(true);
        }
        if is_meta(c) {
            return Ok(false);
        }
        self.unquoted_char(word)?;
        Ok(true)
    }

    /// A pattern in parentheses, or an array's elements after `=`.
    fn in_parentheses(&mut self, word: &mut ShellWord) -> Read<()> {
        let at = self.at();
        self.take_text(word, false);
        self.deeper(|reader| {
            while !reader.is_at_end() {
                reader.no_process()?;
                match reader.peek(0) {
                    None => reader.take_value(word, Quoting::Unquoted),
                    Some(')') => {
                        reader.take_text(word, false);
                        return Ok(());
                    }
                    Some('(') => reader.in_parentheses(word)?,
                    Some(_) => reader.unquoted_char(word)?,
                }
            }
            reader.never_closed(at, "bracket")
        })
    }

    /// A character outside quotes, with what it begins.
    pub fn unquoted_char(&mut self, word: &mut ShellWord) -> Read<()> {
        if self.take_before_data(word) {
            return Ok(());
        }
        match self.peek(0) {
            Some('\\') => {
                let (from, secret) = (self.next, self.is_secret());
                self.next += 1;
                match self.peek(0) {
                    Some('\n') => self.next += 1,
                    Some(_) => self.take_text(word, true),
                    None => {
                        let part = self.part(from, PartKind::Text("\\".into()), true);
                        word.parts.push(ShellPart { secret, ..part });
                    }
                }
                Ok(())
            }
            Some('\'') => self.single_quoted(word),
            Some('"') => self.double_quoted(word),
            Some('`') => self.backquoted(word, false),
            Some('$') => self.dollar(word, false),
            _ => {
                self.take_text(word, false);
                Ok(())
            }
        }
    }

    fn single_quoted(&mut self, word: &mut ShellWord) -> Read<()> {
        let at = self.at();
        word.parts
            .push(self.part(self.next, PartKind::Text(String::new()), true));
        self.next += 1;
        while !self.is_at_end() {
            match self.peek(0) {
                Some('\'') => {
                    self.next += 1;
                    return Ok(());
                }
                Some(_) => self.take_text(word, true),
                None => self.take_value(word, Quoting::Single),
            }
        }
        self.never_closed(at, "quote")
    }

    fn double_quoted(&mut self, word: &mut ShellWord) -> Read<()> {
        word.parts
            .push(self.part(self.next, PartKind::Text(String::new()), true));
        self.between_quotes(word, Quoting::Double)
    }

    /// What stands between double quotes, from the first one on.
    fn between_quotes(&mut self, word: &mut ShellWord, quoting: Quoting) -> Read<()> {
        let at = self.at();
        self.next += 1;
        while !self.is_at_end() {
            match self.peek(0) {
                Some('"') => {
                    self.next += 1;
                    return Ok(());
                }
                Some(_) => self.double_char(word, true)?,
                None => self.take_value(word, quoting),
            }
        }
        self.never_closed(at, "quote")
    }

    /// A character in double quotes or a here-document, with what it begins.
    fn double_char(&mut self, word: &mut ShellWord, in_quotes: bool) -> Read<()> {
        if self.take_before_data(word) {
            return Ok(());
        }
        match (self.peek(0), self.peek(1)) {
            (Some('\\'), Some('\n')) => self.next += 2,
            (Some('\\'), Some(c)) if "$`\\".contains(c) || (c == '"' && in_quotes) => {
                self.next += 1;
                self.take_text(word, true);
            }
            (Some('`'), _) => self.backquoted(word, true)?,
            (Some('$'), _) => self.dollar(word, true)?,
            _ => self.take_text(word, true),
        }
        Ok(())
    }

    /// What backquotes hold is a script of its own, after one round of backslashes.
    fn backquoted(&mut self, word: &mut ShellWord, quoted: bool) -> Read<()> {
        let (from, at) = (self.next, self.at());
        self.next += 1;
        let mut inner = Vec::new();
        while !self.is_at_end() {
            self.no_value("backquotes")?;
            match (self.peek(0), self.peek(1)) {
                (Some('`'), _) => {
                    self.next += 1;
                    let body = self.deeper(|reader| {
                        let mut nested = ScriptReader::new(&inner);
                        nested.depth = reader.depth;
                        nested.portable = reader.portable;
                        nested.documents = std::mem::take(&mut reader.documents);
                        let body = nested.script();
                        reader.documents = nested.documents;
                        body
                    })?;
                    let part = self.part(from, PartKind::Substitution(body.into()), quoted);
                    word.parts.push(part);
                    return Ok(());
                }
                (Some('\\'), Some(c)) if "`\\$".contains(c) || (quoted && c == '"') => {
                    self.next += 1;
                }
                (Some('\\'), Some(_)) => {
                    inner.push(self.symbols[self.next].clone());
                    self.next += 1;
                }
                _ => {}
            }
            if let Some(symbol) = self.symbols.get(self.next) {
                inner.push(symbol.clone());
            }
            self.next += 1;
        }
        self.never_closed(at, "bracket")
    }

    /// A `$` and what it begins.
    fn dollar(&mut self, word: &mut ShellWord, quoted: bool) -> Read<()> {
        let (from, at) = (self.next, self.at());
        let kind = match (self.peek(1), self.peek(2)) {
            (Some('('), Some('(')) => match self.arithmetic_or_not(3)? {
                Some(text) => PartKind::Arithmetic(text),
                None => {
                    self.next += 2;
                    PartKind::Substitution(self.substituted(from)?)
                }
            },
            (Some('('), _) => {
                self.next += 2;
                PartKind::Substitution(self.substituted(from)?)
            }
            (Some('['), _) if !self.portable => {
                self.next += 2;
                let ticks = std::mem::replace(&mut self.ticks, false);
                let text = self.arithmetic_until(']', at)?;
                self.next += 1;
                if std::mem::replace(&mut self.ticks, ticks) {
                    return self.fatal(TICKS);
                }
                PartKind::Arithmetic(text)
            }
            (Some('{'), _) => self.deeper(|reader| reader.braced(quoted, at))?,
            (Some('\''), _) if !quoted && self.portable => return self.dollar_quoted(word, at),
            (Some('\''), _) if !quoted => self.ansi_c(at)?,
            (Some('"'), _) if !quoted && self.portable => {
                self.take_text(word, true);
                return self.double_quoted(word);
            }
            (Some('"'), _) if !quoted => {
                self.next += 1;
                return self.double_quoted(word);
            }
            (Some(c), _) if "@*#?-$!".contains(c) || c.is_ascii_digit() => {
                self.next += 2;
                parameter(c.to_string())
            }
            (Some(c), _) if MARKS.contains(&c) => {
                return self.fatal("the checker cannot see the name of this variable");
            }
            (Some(c), _) if is_name_char(c) => {
                self.next += 1;
                parameter(self.name())
            }
            _ => {
                self.take_text(word, quoted);
                return Ok(());
            }
        };
        word.parts.push(self.part(from, kind, quoted));
        Ok(())
    }

    pub fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) = self.peek(0).filter(|c| is_name_char(*c)) {
            name.push(c);
            self.next += 1;
        }
        self.torn |= self.is_mark();
        name
    }

    /// Whether what is next is not known.
    fn is_mark(&self) -> bool {
        self.peek(0).is_some_and(|c| MARKS.contains(&c))
    }

    /// The commands of `$(…)` or `<(…)`, whose bracket was read.
    fn substituted(&mut self, from: usize) -> Read<Body> {
        let at = self.part(from, PartKind::Text(String::new()), true).at;
        self.deeper(|reader| {
            let from = reader.next;
            let waiting = std::mem::take(&mut reader.pending);
            let body = reader.commands(&[])?;
            let lines = (from..reader.next)
                .any(|n| matches!(reader.symbols.get(n), Some(Symbol::Char { c: '\n', .. })));
            if !reader.pending.is_empty() || (lines && !waiting.is_empty()) {
                return reader.unknown("the checker cannot tell where this here-document begins");
            }
            reader.pending = waiting;
            match reader.accept(")") {
                true => Ok(body.into()),
                false if reader.is_at_end() => reader.never_closed(at, "bracket"),
                false => reader.unknown("the checker cannot read the script from here on"),
            }
        })
    }

    /// `$'…'` where the `$` is a character; a `\'` in it must not decide where it ends.
    fn dollar_quoted(&mut self, word: &mut ShellWord, at: Span) -> Read<()> {
        let from = self.next;
        self.ansi_c(at)?;
        let end = std::mem::replace(&mut self.next, from);
        self.take_text(word, true);
        self.single_quoted(word)?;
        match self.next == end {
            true => Ok(()),
            false => self.unknown("shells do not agree where this `$'...'` ends"),
        }
    }

    fn ansi_c(&mut self, at: Span) -> Read<PartKind> {
        self.next += 2;
        let mut written = String::new();
        while !self.is_at_end() {
            self.no_value("`$'...'`")?;
            let c = self.peek(0).unwrap_or('0');
            self.next += 1;
            written.push(c);
            match c {
                '\'' => {
                    written.pop();
                    let Some(text) = ansi_c::decoded(&written) else {
                        return self.fatal("the checker does not know this `$'...'`");
                    };
                    return Ok(PartKind::AnsiC(text));
                }
                '\\' => {
                    self.no_value("`$'...'`")?;
                    written.extend(self.peek(0));
                    self.next += 1;
                }
                _ => {}
            }
        }
        self.never_closed(at, "quote")
    }

    /// `((…))` whose first bracket is `ahead - 1` before what is read as its text; `None`
    /// if it turns out to be a subshell in brackets.
    pub fn arithmetic_or_not(&mut self, ahead: usize) -> Read<Option<ShellWord>> {
        if self.was_tried() {
            return Ok(None);
        }
        let (mark, at) = (self.mark(), self.at());
        self.next += ahead;
        let ticks = std::mem::replace(&mut self.ticks, false);
        let text = self.arithmetic_until(')', at);
        let has_ticks = std::mem::replace(&mut self.ticks, ticks);
        match text {
            Ok(_) if has_ticks && self.follows("))") => self.fatal(TICKS),
            Ok(text) if self.accept("))") => Ok(Some(text)),
            Err(error) if error.fatal || (error.open && self.next >= self.limit) => Err(error),
            _ => {
                self.go_back(mark);
                Ok(None)
            }
        }
    }

    /// The text of arithmetic up to the bracket that closes it.
    fn arithmetic_until(&mut self, close: char, at: Span) -> Read<ShellWord> {
        let mut word = ShellWord::default();
        let mut depth = 0;
        self.deeper(|reader| {
            while !reader.is_at_end() {
                match reader.peek(0) {
                    None => reader.take_value(&mut word, Quoting::Arithmetic),
                    Some(c) if c == close && depth == 0 => return Ok(word),
                    Some(c @ ('(' | '[' | ')' | ']')) => {
                        let of_close = matches!((c, close), ('(' | ')', ')') | ('[' | ']', ']'));
                        match c {
                            '(' | '[' if of_close => depth += 1,
                            ')' | ']' if of_close => depth -= 1,
                            _ => {}
                        }
                        reader.take_text(&mut word, false);
                    }
                    Some('<' | '>') if close == ']' => {
                        reader.no_process()?;
                        reader.take_text(&mut word, false);
                    }
                    Some(_) => reader.arithmetic_char(&mut word)?,
                }
            }
            reader.never_closed(at, "bracket")
        })
    }

    /// What in arithmetic is no bracket. Bash looks for the end with the rules of quoting,
    /// though it evaluates the text without them.
    fn arithmetic_char(&mut self, word: &mut ShellWord) -> Read<()> {
        match self.peek(0) {
            Some('$') if self.peek(1) == Some('\'') => self.fatal(TICKS),
            Some('\'') => {
                self.ticks = true;
                self.single_quoted(word)
            }
            Some('"') => self.between_quotes(word, Quoting::Arithmetic),
            Some('`') => self.backquoted(word, true),
            Some('\\') if self.peek(1).is_some_and(|c| !"$`\\\n".contains(c)) => {
                self.take_text(word, true);
                self.take_text(word, true);
                Ok(())
            }
            _ => self.double_char(word, true),
        }
    }

    /// `${…}`
    fn braced(&mut self, quoted: bool, at: Span) -> Read<PartKind> {
        self.next += 2;
        let mut found = ShellParameter {
            braces: true,
            ..ShellParameter::default()
        };
        let is_parameter =
            |c: Option<char>| c.is_some_and(|c| is_name_char(c) || "@*#?-$!".contains(c));
        if self.peek(0) == Some('#') && is_parameter(self.peek(1)) {
            self.next += 1;
            found.length = true;
        } else if self.peek(0) == Some('!')
            && self
                .peek(1)
                .is_some_and(|c| is_name_char(c) || "@*#".contains(c))
        {
            self.next += 1;
            found.indirect = true;
        }
        self.no_value("`${...}`")?;
        match self.peek(0) {
            Some(c) if is_name_char(c) => found.name = self.name(),
            Some(c) if "@*#?-$!".contains(c) => {
                found.name = c.to_string();
                self.next += 1;
            }
            None if self.is_at_end() => return self.never_closed(at, "bracket"),
            _ => return self.unknown("the checker does not know this form of `${...}`"),
        }
        if self.accept("[") {
            found.subscript = Some(self.subscript()?);
            self.next += 1;
        }
        self.operator(&mut found)?;
        self.operand(&mut found, quoted, at)?;
        Ok(PartKind::Parameter(Box::new(found)))
    }

    fn operator(&mut self, found: &mut ShellParameter) -> Read<()> {
        const OPERATORS: [&str; 20] = [
            ":-", ":=", ":?", ":+", "##", "%%", "//", "/#", "/%", "^^", ",,", ":", "-", "=", "?",
            "+", "#", "%", "/", "^",
        ];
        self.no_value("`${...}`")?;
        if self.peek(0) == Some('}') || self.is_at_end() {
            return Ok(());
        }
        if let Some(operator) = OPERATORS
            .iter()
            .chain(&[",", "*"])
            .find(|o| self.follows(o))
        {
            self.accept(operator);
            found.operator = (*operator).into();
            return Ok(());
        }
        if self.accept("@") {
            found.operator = "@".into();
            match self.peek(0) {
                Some('}') => {}
                Some(c) => {
                    found.operator.push(c);
                    self.next += 1;
                }
                None => {}
            }
            return Ok(());
        }
        self.unknown("the checker does not know this form of `${...}`")
    }

    fn operand(&mut self, found: &mut ShellParameter, quoted: bool, at: Span) -> Read<()> {
        // In double quotes a `'` is a character in what replaces a value, though a `}`
        // after it does not close; it quotes in a pattern.
        let is_text = quoted && found.operator.contains(['-', '=', '?', '+']);
        let word = &mut found.operand;
        let mut in_ticks = false;
        while !self.is_at_end() {
            if !self.is_number(self.next) {
                self.no_value("`${...}`")?;
            }
            if !quoted {
                self.no_process()?;
            }
            match self.peek(0) {
                Some('}') if !in_ticks => {
                    self.next += 1;
                    return Ok(());
                }
                Some('}') if self.portable => {
                    return self.unknown("shells do not agree where this `${...}` ends");
                }
                Some('\'') if is_text => {
                    in_ticks = !in_ticks;
                    self.take_text(word, true);
                }
                Some('"') => self.double_quoted(word)?,
                Some('\'') => self.single_quoted(word)?,
                Some('\\') => {
                    self.next += 1;
                    self.take_text(word, true);
                }
                Some('`') => self.backquoted(word, quoted)?,
                Some('$') => self.dollar(word, quoted)?,
                Some(_) => self.take_text(word, quoted),
                None if found.operator == ":" => self.take_value(word, Quoting::Arithmetic),
                None => self.take_value(word, Quoting::Bare),
            }
        }
        let what = if in_ticks { "quote" } else { "bracket" };
        self.never_closed(at, what)
    }

    /// The array subscript after a `[` that was read.
    pub fn subscript(&mut self) -> Read<ShellWord> {
        let (at, ticks) = (self.at(), self.ticks);
        let text = self.arithmetic_until(']', at);
        // In a key they are quotes.
        self.ticks = ticks;
        text
    }

    /// Reads the here-documents that this line began, after its end.
    pub fn here_documents(&mut self) -> Read<()> {
        for pending in std::mem::take(&mut self.pending) {
            let quoted = pending.quoted;
            let (end, after) = self.end_of_document(&pending);
            let limit = std::mem::replace(&mut self.limit, end);
            let mut body = ShellWord::default();
            while !self.is_at_end() {
                if quoted {
                    self.no_value("a here-document whose delimiter is quoted")?;
                }
                match self.peek(0) {
                    None => self.take_value(&mut body, Quoting::Bare),
                    Some(_) if quoted => self.take_text(&mut body, true),
                    Some(_) => self.double_char(&mut body, false)?,
                }
            }
            self.limit = limit;
            self.next = after;
            self.documents[pending.number] = body;
        }
        Ok(())
    }

    /// Where the here-document ends, and where the script goes on.
    fn end_of_document(&self, document: &PendingDocument) -> (usize, usize) {
        let (delimiter, quoted) = (document.delimiter.as_str(), document.quoted);
        let char_at = |n: usize| match self.symbols.get(n) {
            Some(Symbol::Char { c, .. }) if n < self.limit => Some(*c),
            _ => None,
        };
        let mut line = self.next;
        while line < self.limit {
            let mut from = line;
            while document.tabs && char_at(from) == Some('\t') {
                from += 1;
            }
            let length = delimiter.chars().count();
            let same = (delimiter.chars().enumerate()).all(|(n, c)| char_at(from + n) == Some(c));
            if same && (from + length >= self.limit || char_at(from + length) == Some('\n')) {
                return (line, from + length);
            }
            // A line that ends in a backslash goes on in the next one.
            let mut escaped = false;
            while line < self.limit && (char_at(line) != Some('\n') || (escaped && !quoted)) {
                escaped = char_at(line) == Some('\\') && !escaped;
                line += 1;
            }
            line += 1;
        }
        (self.limit, self.limit)
    }

    /// Reads a comment.
    pub fn comment(&mut self) {
        while !self.is_at_end() && self.peek(0) != Some('\n') {
            if self.is_data(self.next) {
                self.quoting.push((self.next, Quoting::Comment));
            }
            self.next += 1;
        }
    }
}

/// Whether the value can only be a decimal number.
pub fn is_number(piece: &Piece) -> bool {
    let is_decimal = |text: &[u8]| {
        let digits = text.strip_prefix(b"-").unwrap_or(text);
        !digits.is_empty() && digits.iter().all(|b| b.is_ascii_digit() || *b == b'.')
    };
    match piece {
        Piece::Reference {
            to: Reference::Field { field, .. },
            default,
            ..
        } => {
            (field.name() == "number"
                || matches!(
                    field,
                    Field::Exit | Field::Attempts | Field::Duration | Field::Count(_)
                ))
                && default.as_ref().is_none_or(|d| is_decimal(d.as_bytes()))
        }
        Piece::Data { bytes, .. } => is_decimal(bytes),
        piece => piece.is_number(),
    }
}

fn parameter(name: String) -> PartKind {
    PartKind::Parameter(Box::new(ShellParameter {
        name,
        ..ShellParameter::default()
    }))
}

/// Adds a character of text to a word.
fn push_text(word: &mut ShellWord, c: char, quoted: bool, at: Span, secret: bool) {
    if let Some(ShellPart {
        kind: PartKind::Text(text),
        quoted: before,
        secret: all,
        ..
    }) = word.parts.last_mut()
        && *before == quoted
    {
        text.push(c);
        *all |= secret;
        return;
    }
    word.parts.push(ShellPart {
        kind: PartKind::Text(c.into()),
        quoted,
        at,
        secret,
    });
}
