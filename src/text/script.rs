//! Puts data into shell scripts as variables, so that it never becomes syntax
//! (SPEC §2.4).
//!
//! The script is the author's text. Each reference to a result in it is replaced by
//! a shell variable, quoted for its context: `"${V}"` in plain text, `${V}` inside
//! double quotes, `'"${V}"'` inside single quotes. To know the context, the scanner
//! follows the quoting rules of bash. Where no quoting is safe (backquotes, `$'…'`,
//! arithmetic, `${…}`, a comment, a here-document) the reference is refused. Bash
//! also evaluates arithmetic in the subscript of an assignment (`a[…]=`) and in the
//! numeric comparisons of `[[ … ]]`; there it runs a `$(…)` in a value, quoted or not.
//!
//! Rejected: inserting the quoted data into the text. One mistake in the scanner
//! would then execute the data; with a variable it is split at worst.
#![forbid(unsafe_code)]

use super::diagnostic::SyntaxError;
use super::source::Span;
use super::template::{Piece, Symbol, Template, symbols};

/// A script for `sh -c` and the values of the variables it uses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    /// The author's text, with variables in place of data.
    pub text: Template,
    /// The value of `TASKER_VALUE_1`, `TASKER_VALUE_2`, ….
    pub values: Vec<Template>,
    /// The words that contain references.
    pub words: Vec<ScriptWord>,
}

/// A word of a script, to see what is left of it when a result is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScriptWord {
    /// Without its quotes and without `*` and `?`.
    pub text: Template,
    /// The pieces that only the shell knows and that can be empty, such as `${NAME}`
    /// and `$(...)`, by their index.
    pub unknown: Vec<usize>,
    /// The shell makes several words of it (`{a,b}`).
    pub expands: bool,
    has_brace: bool,
}

impl ScriptWord {
    fn push_char(&mut self, c: char, at: Span, secret: bool) {
        match self.ends_unknown() {
            true => self.push_piece(c.into(), at, secret),
            false => self.text.push_char(c, at, secret),
        }
    }

    /// Begins a piece whose value only the shell knows, as it is shown.
    fn push_unknown(&mut self, shown: &str, at: Span, secret: bool) {
        self.push_piece(shown.into(), at, secret);
        self.unknown.push(self.text.pieces.len() - 1);
    }

    /// Adds a character to the piece that `push_unknown` began.
    fn extend_unknown(&mut self, c: char, secret: bool) {
        if self.ends_unknown()
            && let Some(Piece::Text {
                text, secret: all, ..
            }) = self.text.pieces.last_mut()
        {
            text.push(c);
            *all |= secret;
        }
    }

    fn ends_unknown(&self) -> bool {
        (self.unknown.last()).is_some_and(|last| last + 1 == self.text.pieces.len())
    }

    fn push_piece(&mut self, text: String, at: Span, secret: bool) {
        self.text.pieces.push(Piece::Text {
            text,
            at,
            direct: false,
            secret,
        });
    }
}

/// The name of a shell variable, numbered from 1.
pub fn variable(number: usize) -> String {
    format!("TASKER_VALUE_{number}")
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Context {
    /// Commands, up to the end or to the `)` of `$(`; `depth` counts open parentheses.
    Commands {
        nested: bool,
        depth: usize,
    },
    Double,
    Single,
    Backquote,
    AnsiC,
    /// `$((…))`, `((…))` or `$[…]`.
    Arithmetic {
        close: char,
        depth: usize,
    },
    Parameter,
    Comment,
    HereDocument,
}

impl Context {
    /// The name of a context in which data is refused.
    fn unsafe_name(self) -> Option<&'static str> {
        match self {
            Context::Backquote => Some("backquotes"),
            Context::AnsiC => Some("`$'...'`"),
            Context::Arithmetic { .. } => Some("arithmetic"),
            Context::Parameter => Some("`${...}`"),
            Context::Comment => Some("a comment"),
            Context::HereDocument => Some("a here-document"),
            _ => None,
        }
    }
}

#[derive(Default)]
struct Scanner<'a> {
    symbols: Vec<Symbol<'a>>,
    next: usize,
    /// The open contexts, outermost first, each with the position where it began.
    open: Vec<(Context, Span)>,
    /// Where a `case` is open, in which a `)` ends a pattern: the number of open
    /// contexts, and the depth of parentheses.
    cases: Vec<(usize, usize)>,
    /// Where the elements of an array are listed, in the same form.
    lists: Vec<(usize, usize)>,
    /// The unquoted word so far.
    word: String,
    at_word_start: bool,
    at_command: bool,
    /// Only assignments precede this word.
    at_assignment: bool,
    after_for: bool,
    here_document: bool,
    /// The `[[`, `[`, `test` and `let` commands that are open.
    tests: Vec<TestCommand>,
    /// The error that `end_word` found.
    refused: Option<SyntaxError>,
    /// The words that are being read, one for each open `Commands`.
    unquoted: Vec<ScriptWord>,
    /// How many characters that follow belong to the `$NAME` just begun.
    in_name: usize,
    script: Script,
}

/// A test command or `let`, in which an operator can evaluate a value.
struct TestCommand {
    /// The number of open contexts.
    level: usize,
    /// Whether it is `[[`, which evaluates the operands of `-eq` and the like.
    double: bool,
    evaluates: bool,
    value: Option<Span>,
}

/// Words that are followed by a command.
const KEYWORDS: &[&str] = &[
    "if", "then", "else", "elif", "while", "until", "do", "{", "!", "time", "coproc",
];

/// Turns a value into a script.
///
/// # Errors
/// A quote that is never closed, or a reference where data is not safe.
pub fn scan(value: &Template) -> Result<Script, SyntaxError> {
    let start = value.pieces.first().map_or(Span::whole(0), Piece::at);
    let mut scanner = Scanner {
        symbols: symbols(value).collect(),
        ..Scanner::default()
    };
    let (nested, depth) = (false, 0);
    scanner.push(Context::Commands { nested, depth }, start);
    while let Some(symbol) = scanner.symbols.get(scanner.next).cloned() {
        scanner.next += 1;
        match symbol {
            Symbol::Atom(piece) => scanner.atom(piece)?,
            Symbol::Char {
                c: c @ ('$' | '\\'),
                at,
                secret,
                ..
            } if scanner.is_before_data() => {
                // It would change the meaning of the variable: `\"`, `$"`, `$$`.
                scanner.script.text.push_char('\\', at, secret);
                scanner.script.text.push_char(c, at, secret);
                scanner.unquoted_word().push_char(c, at, secret);
                scanner.at_word_start = false;
                scanner.word.push(c);
            }
            Symbol::Char { c, at, secret, .. } => {
                scanner.script.text.push_char(c, at, secret);
                scanner.add_unquoted(c, at, secret);
                scanner.step(c, at);
            }
        }
        if let Some(refused) = scanner.refused.take() {
            return Err(refused);
        }
    }
    scanner.finish()
}

impl<'a> Scanner<'a> {
    fn finish(mut self) -> Result<Script, SyntaxError> {
        self.end_word();
        self.end_unquoted_word();
        if let Some(refused) = self.refused {
            return Err(refused);
        }
        for (context, at) in self.open.into_iter().skip(1) {
            let what = match context {
                Context::Comment | Context::HereDocument => continue,
                Context::Single | Context::Double | Context::AnsiC => "quote",
                _ => "bracket",
            };
            return Err(SyntaxError::new(at, format!("this {what} is never closed")));
        }
        Ok(self.script)
    }

    fn top(&self) -> Context {
        // The outermost context is never popped.
        self.open.last().map_or(Context::Comment, |(c, _)| *c)
    }

    fn push(&mut self, context: Context, at: Span) {
        self.open.push((context, at));
        if let Context::Commands { .. } = context {
            self.unquoted.push(ScriptWord::default());
            self.begin_command();
        }
    }

    fn push_commands(&mut self, at: Span) {
        let (nested, depth) = (true, 0);
        self.push(Context::Commands { nested, depth }, at);
    }

    fn push_arithmetic(&mut self, close: char, at: Span) {
        self.push(Context::Arithmetic { close, depth: 0 }, at);
    }

    fn pop(&mut self) {
        if self.open.len() > 1
            && let Some((Context::Commands { .. }, _)) = self.open.pop()
        {
            self.end_unquoted_word();
            self.unquoted.pop();
        }
        let depth = self.open.len();
        self.cases.retain(|(level, _)| *level <= depth);
        self.tests.retain(|test| test.level <= depth);
    }

    fn begin_command(&mut self) {
        let level = self.open.len();
        self.tests.retain(|test| test.double || test.level != level);
        self.word.clear();
        self.end_unquoted_word();
        self.at_command = true;
        self.at_assignment = true;
        self.after_for = false;
        self.at_word_start = true;
    }

    /// Whether data follows the `$` or `\` just read, and so would be changed by it.
    fn is_before_data(&self) -> bool {
        let data = match self.symbols.get(self.next) {
            Some(Symbol::Atom(Piece::Reference { to, .. })) => to.is_data(),
            Some(Symbol::Atom(_)) => true,
            _ => false,
        };
        data && matches!(self.top(), Context::Commands { .. } | Context::Double)
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        match self.symbols.get(self.next + ahead) {
            Some(Symbol::Char { c, .. }) => Some(*c),
            _ => None,
        }
    }

    /// Copies characters that belong to the one just read.
    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            if let Some(Symbol::Char { c, at, secret, .. }) = self.symbols.get(self.next).cloned() {
                self.script.text.push_char(c, at, secret);
                self.next += 1;
            }
        }
    }

    /// Replaces a reference or data by a variable, quoted for its context.
    fn atom(&mut self, piece: &Piece) -> Result<(), SyntaxError> {
        let at = piece.at();
        self.at_word_start = false;
        self.word.push('@');
        self.unquoted_word().text.pieces.push(piece.clone());
        if let Piece::Reference { to, .. } = piece
            && !to.is_data()
        {
            self.script.text.pieces.push(piece.clone());
            return Ok(());
        }
        let is_number = piece.is_number();
        let is_allowed =
            |context: &Context| is_number && matches!(context, Context::Arithmetic { .. });
        let mut around = self.open.iter().filter(|(context, _)| !is_allowed(context));
        if let Some(what) = around.find_map(|(c, _)| c.unsafe_name()) {
            let why = match what {
                "a comment" => "a line break in it would end the comment",
                _ => "the shell would read it as code",
            };
            return Err(SyntaxError::new(
                at,
                format!("a value cannot be used inside {what}; {why}"),
            )
            .with_help(match what {
                "arithmetic" => "write `@N_number@` for an output that is a number",
                "backquotes" => "use `$(...)` instead of the backquotes",
                _ => "",
            }));
        }
        if !is_number && self.in_subscript() {
            return Err(SyntaxError::new(
                at,
                "a value cannot be used inside an array subscript; the shell would evaluate it",
            ));
        }
        let level = self.command_level();
        let test = self.tests.last_mut().filter(|t| t.level == level);
        if let Some(test) = test.filter(|_| !is_number) {
            test.value.get_or_insert(at);
            self.check_test();
        }
        let name = variable(self.number_of(piece));
        let (before, after) = match self.top() {
            Context::Double | Context::Arithmetic { .. } => ("${", "}"),
            Context::Single => ("'\"${", "}\"'"),
            _ => ("\"${", "}\""),
        };
        for c in [before, &name, after].iter().flat_map(|s| s.chars()) {
            self.script.text.push_char(c, at, false);
        }
        Ok(())
    }

    /// The number of open contexts at the innermost command.
    fn command_level(&self) -> usize {
        let command = |(c, _): &(Context, Span)| matches!(c, Context::Commands { .. });
        self.open.iter().rposition(command).map_or(0, |at| at + 1)
    }

    /// Whether the word is in the subscript of an assignment to an array element.
    fn in_subscript(&self) -> bool {
        let Some((name, subscript)) = self.word.split_once('[') else {
            return false;
        };
        let named = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        // `[…]=` assigns an element only in a list; elsewhere it is a pattern.
        let in_list = self
            .lists
            .iter()
            .any(|(level, _)| *level == self.open.len());
        let element = match name.is_empty() {
            true => in_list && !subscript.is_empty(),
            false => self.at_assignment,
        };
        named && element && !subscript.contains(']')
    }

    /// Refuses a value next to an operator that evaluates it.
    fn check_test(&mut self) {
        if let Some(TestCommand {
            evaluates: true,
            value: Some(at),
            ..
        }) = self.tests.last()
        {
            self.refused = Some(SyntaxError::new(
                *at,
                "a value cannot be used where bash evaluates arithmetic (`let`, `-v`, `[[` with `-eq`, `-lt`, ...); compare numbers with `[ ... ]`",
            ));
        }
    }

    fn number_of(&mut self, piece: &Piece) -> usize {
        let key = |piece: &Piece| match piece {
            Piece::Reference { to, default, .. } => Some((*to, default.clone())),
            _ => None,
        };
        let wanted = key(piece);
        let same =
            |value: &Template| wanted.is_some() && value.pieces.first().and_then(key) == wanted;
        if let Some(found) = self.script.values.iter().position(same) {
            return found + 1;
        }
        self.script.values.push(Template {
            pieces: vec![piece.clone()],
        });
        self.script.values.len()
    }

    fn unquoted_word(&mut self) -> &mut ScriptWord {
        if self.unquoted.is_empty() {
            self.unquoted.push(ScriptWord::default());
        }
        let last = self.unquoted.len() - 1;
        &mut self.unquoted[last]
    }

    /// Adds a character that was read in the innermost context to the word.
    fn add_unquoted(&mut self, c: char, at: Span, secret: bool) {
        let escaped = match self.peek(0) {
            Some(next) if c == '\\' => next,
            _ => c,
        };
        if self.is_expansion() {
            return self.unquoted_word().extend_unknown(c, secret);
        }
        if self.in_name > 0 {
            self.in_name -= 1;
            return self.unquoted_word().extend_unknown(c, secret);
        }
        match (self.top(), c) {
            (Context::Commands { .. } | Context::Double, '$') => self.add_expansion(at, secret),
            (Context::Commands { .. } | Context::Double, '`') => {
                self.unquoted_word().push_unknown("`", at, secret)
            }
            (
                Context::Commands { .. },
                ' ' | '\t' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>',
            ) => self.end_unquoted_word(),
            (Context::Commands { .. }, '\'' | '"' | '*' | '?') | (Context::Double, '"') => {}
            (Context::Commands { .. } | Context::Double, '\\') if escaped == '\n' => {}
            (Context::Commands { .. } | Context::Double, '\\') => {
                self.unquoted_word().push_char(escaped, at, secret)
            }
            (Context::Commands { .. }, '{' | ',') => {
                let word = self.unquoted_word();
                word.push_char(c, at, secret);
                word.has_brace |= c == '{';
                word.expands |= word.has_brace && c == ',';
            }
            (Context::Single, '\'') => {}
            (Context::Commands { .. } | Context::Double | Context::Single, c) => {
                self.unquoted_word().push_char(c, at, secret)
            }
            _ => {}
        }
    }

    /// Whether what is read is inside `${...}` or backquotes, or is arithmetic, so that
    /// it is no part of the word.
    fn is_expansion(&self) -> bool {
        let around = self.open.iter().rev().map(|(c, _)| *c);
        around
            .take_while(|c| !matches!(c, Context::Commands { .. }))
            .any(|c| {
                matches!(
                    c,
                    Context::Parameter
                        | Context::Backquote
                        | Context::Arithmetic { .. }
                        | Context::AnsiC
                )
            })
    }

    /// Adds what a `$` begins to the word.
    fn add_expansion(&mut self, at: Span, secret: bool) {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let in_double = self.top() == Context::Double;
        let shown = match (self.peek(0), self.peek(1)) {
            // These are never empty.
            (Some('('), Some('(')) => return self.add_shown("$((...))", at, secret),
            (Some('['), _) => return self.add_shown("$[...]", at, secret),
            (Some('\''), Some('\'')) if !in_double => return,
            (Some('\''), _) if !in_double => return self.add_shown("$'...'", at, secret),
            (Some('"'), _) if !in_double => return,
            (Some('('), _) => "$(...)",
            (Some('{'), _) => "${",
            (Some(c @ ('?' | '#' | '$')), _) => {
                self.in_name = 1;
                return self.add_shown(&format!("${c}"), at, secret);
            }
            (Some(c), _) if "@*!-".contains(c) || c.is_ascii_digit() => {
                self.in_name = 1;
                "$"
            }
            (Some(c), _) if is_name(c) => {
                self.in_name = (0..)
                    .take_while(|n| self.peek(*n).is_some_and(is_name))
                    .count();
                "$"
            }
            _ => return self.add_shown("$", at, secret),
        };
        self.unquoted_word().push_unknown(shown, at, secret);
    }

    fn add_shown(&mut self, shown: &str, at: Span, secret: bool) {
        for c in shown.chars() {
            self.unquoted_word().push_char(c, at, secret);
        }
    }

    fn end_unquoted_word(&mut self) {
        let word = std::mem::take(self.unquoted_word());
        if word.text.depends_on_run() {
            self.script.words.push(word);
        }
    }

    fn step(&mut self, c: char, at: Span) {
        match self.top() {
            Context::Commands { nested, depth } => self.in_commands(c, at, nested, depth),
            Context::Double => match c {
                '"' => self.pop(),
                '\\' => self.skip(1),
                '`' => self.push(Context::Backquote, at),
                '$' => self.dollar(at, true),
                _ => {}
            },
            Context::Single if c == '\'' => self.pop(),
            Context::AnsiC | Context::Backquote if c == '\\' => self.skip(1),
            Context::AnsiC if c == '\'' => self.pop(),
            Context::Backquote if c == '`' => self.pop(),
            Context::Arithmetic { close, depth } => self.in_arithmetic(c, close, depth),
            Context::Parameter => self.in_parameter(c, at),
            Context::Comment if c == '\n' => {
                self.pop();
                self.begin_command();
            }
            _ => {}
        }
    }

    fn in_commands(&mut self, c: char, at: Span, nested: bool, depth: usize) {
        let word_start = std::mem::replace(&mut self.at_word_start, false);
        match c {
            '\\' => {
                self.word.push('\\');
                self.skip(1);
            }
            '\'' => self.quoted(Context::Single, at),
            '"' => self.quoted(Context::Double, at),
            '`' => self.quoted(Context::Backquote, at),
            '$' => self.dollar(at, false),
            '#' if word_start => self.push(Context::Comment, at),
            '<' if self.peek(0) == Some('<') => self.here_redirection(),
            '<' | '>' if self.peek(0) == Some('(') => {
                self.skip(1);
                self.push_commands(at);
            }
            '(' if self.begins_arithmetic() => {
                self.skip(1);
                self.push_arithmetic(')', at);
            }
            '(' => {
                // After a word it opens an array's list, or declares a function.
                let command = self.word.is_empty();
                if self.word.ends_with('=') {
                    self.lists.push((self.open.len(), depth + 1));
                }
                self.set_depth(depth + 1);
                self.begin_command();
                self.at_command = command;
                self.at_assignment = command;
            }
            ')' => self.close_parenthesis(nested, depth),
            ';' | '&' | '|' | '\n' => {
                self.end_word();
                self.begin_command();
                if c == '\n' && self.here_document {
                    self.push(Context::HereDocument, at);
                }
            }
            ' ' | '\t' => {
                self.end_word();
                self.at_word_start = true;
            }
            c => self.word.push(c),
        }
    }

    fn quoted(&mut self, context: Context, at: Span) {
        self.word.push('"');
        self.push(context, at);
    }

    /// After a `(`: whether it begins `((`, also after `for` or a keyword.
    fn begins_arithmetic(&mut self) -> bool {
        if self.at_command && (self.word == "for" || KEYWORDS.contains(&self.word.as_str())) {
            self.end_word();
        }
        (self.at_command || self.after_for) && self.word.is_empty() && self.peek(0) == Some('(')
    }

    fn set_depth(&mut self, depth: usize) {
        if let Some((Context::Commands { depth: d, .. }, _)) = self.open.last_mut() {
            *d = depth;
        }
    }

    /// A `)` ends a `case` pattern, a subshell, or `$(`.
    fn close_parenthesis(&mut self, nested: bool, depth: usize) {
        self.end_word();
        if self.cases.last() == Some(&(self.open.len(), depth)) {
            // It ends a pattern.
        } else if depth > 0 {
            let list = (self.open.len(), depth);
            self.lists.retain(|l| *l != list);
            self.set_depth(depth - 1);
        } else if nested {
            self.pop();
            self.at_command = false;
            self.at_word_start = false;
            return;
        }
        self.begin_command();
    }

    /// Ends a word: `case` and `esac` change the meaning of `)`, and a keyword is
    /// followed by a command.
    fn end_word(&mut self) {
        let word = std::mem::take(&mut self.word);
        if word.is_empty() {
            return;
        }
        let Context::Commands { depth, .. } = self.top() else {
            return;
        };
        self.test_word(&word);
        self.after_for = self.at_command && word == "for";
        self.at_assignment &= is_assignment(&word) || KEYWORDS.contains(&word.as_str());
        if !self.at_command {
            return;
        }
        match word.as_str() {
            "case" => self.cases.push((self.open.len(), depth)),
            "esac" => drop(self.cases.pop()),
            _ => {}
        }
        self.at_command = KEYWORDS.contains(&word.as_str());
    }

    /// Tracks the words of `[[ … ]]`, `[ … ]`, `test …` and `let …`.
    fn test_word(&mut self, word: &str) {
        let level = self.open.len();
        if self.at_command && matches!(word, "[[" | "[" | "test" | "let") {
            self.tests.push(TestCommand {
                level,
                double: word == "[[",
                evaluates: word == "let",
                value: None,
            });
            return;
        }
        let Some(test) = self.tests.last_mut().filter(|t| t.level == level) else {
            return;
        };
        match word {
            "]]" if test.double => drop(self.tests.pop()),
            "-v" | "-R" => test.evaluates = true,
            "-eq" | "-ne" | "-lt" | "-le" | "-gt" | "-ge" if test.double => test.evaluates = true,
            _ => {}
        }
        self.check_test();
    }

    fn here_redirection(&mut self) {
        if self.peek(1) == Some('<') {
            self.skip(2);
        } else {
            self.skip(1);
            self.here_document = true;
        }
    }

    /// After a `$`, in commands or in double quotes.
    fn dollar(&mut self, at: Span, in_double: bool) {
        self.word.push('$');
        match (self.peek(0), self.peek(1)) {
            (Some('('), Some('(')) => {
                self.skip(2);
                self.push_arithmetic(')', at);
            }
            (Some('('), _) => {
                self.skip(1);
                self.push_commands(at);
            }
            (Some('['), _) => {
                self.skip(1);
                self.push_arithmetic(']', at);
            }
            (Some('{'), _) => {
                self.skip(1);
                self.push(Context::Parameter, at);
            }
            (Some('\''), _) if !in_double => {
                self.skip(1);
                self.push(Context::AnsiC, at);
            }
            _ => {}
        }
    }

    fn in_arithmetic(&mut self, c: char, close: char, depth: usize) {
        let set = |scanner: &mut Self, depth| {
            if let Some((Context::Arithmetic { depth: d, .. }, _)) = scanner.open.last_mut() {
                *d = depth;
            }
        };
        match c {
            '(' if close == ')' => set(self, depth + 1),
            '[' if close == ']' => set(self, depth + 1),
            c if c == close && depth > 0 => set(self, depth - 1),
            ']' if close == ']' => self.pop(),
            ')' if close == ')' && self.peek(0) == Some(')') => {
                self.skip(1);
                self.pop();
            }
            // It was not arithmetic, but a subshell in `$((…) …)`.
            ')' if close == ')' => {
                if let Some((context, _)) = self.open.last_mut() {
                    *context = Context::Commands {
                        nested: true,
                        depth: 0,
                    };
                }
                self.begin_command();
            }
            _ => {}
        }
    }

    fn in_parameter(&mut self, c: char, at: Span) {
        // What surrounds the `${`, up to the nearest `$(`, decides whether `$'` is a
        // quote. A plain `'` is a quote for bash even inside double quotes.
        let around = self.open.iter().rev().map(|(c, _)| *c);
        let in_double = around
            .take_while(|c| !matches!(c, Context::Commands { .. }))
            .any(|c| c == Context::Double);
        match c {
            '}' => self.pop(),
            '\\' => self.skip(1),
            '\'' => self.push(Context::Single, at),
            '"' => self.push(Context::Double, at),
            '`' => self.push(Context::Backquote, at),
            '$' => self.dollar(at, in_double),
            _ => {}
        }
    }
}

/// Whether the word begins as `NAME=…`, `NAME+=…` or `NAME[…]=…`.
fn is_assignment(word: &str) -> bool {
    let name = word.split(['=', '+', '[']).next().unwrap_or_default();
    let named = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    named && !name.is_empty() && word.contains('=')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::chance::Chance;
    use crate::text::template::{WrittenReference, parse};

    fn scanned(line: &str) -> Result<String, String> {
        let mut resolve = |WrittenReference { name, at, .. }: WrittenReference| match name {
            "TEXT" => vec![Piece::of_global("a; b", at)],
            _ => vec![Piece::data(b"data", at)],
        };
        let value = parse(line, Span::new(0, 0, line.len()), &mut resolve);
        let script = scan(&value).map_err(|e| e.message)?;
        Ok(script
            .text
            .known_text()
            .unwrap_or_default()
            .replace("TASKER_VALUE_", "V"))
    }

    fn ok(line: &str, expected: &str) {
        assert_eq!(scanned(line), Ok(expected.to_string()), "{line}");
    }

    #[test]
    fn data_is_quoted_for_its_context() {
        ok("echo @D@", "echo \"${V1}\"");
        ok("echo \"x @D@ y\"", "echo \"x ${V1} y\"");
        ok("echo 'x @D@ y'", "echo 'x '\"${V1}\"' y'");
        ok("echo $(cat @D@)", "echo $(cat \"${V1}\")");
        ok("echo \"$(cat @D@) @D@\"", "echo \"$(cat \"${V1}\") ${V2}\"");
        ok(
            "echo \"$(echo '@D@' \"@D@\")\"",
            "echo \"$(echo ''\"${V1}\"'' \"${V2}\")\"",
        );
        ok("a \\\"@D@\\\"", "a \\\"\"${V1}\"\\\"");
        ok(
            "cat <(echo @D@) <<< @D@",
            "cat <(echo \"${V1}\") <<< \"${V2}\"",
        );
        ok("echo a#@D@", "echo a#\"${V1}\"");
        ok("x=${y:-'}'} @D@", "x=${y:-'}'} \"${V1}\"");
        ok("echo $((1+(2)*3)) @D@", "echo $((1+(2)*3)) \"${V1}\"");
        ok(
            "if ((1 > 0)); then echo @D@; fi",
            "if ((1 > 0)); then echo \"${V1}\"; fi",
        );
    }

    #[test]
    fn a_global_stays_text() {
        ok("@TEXT@", "a; b");
    }

    #[test]
    fn case_patterns_do_not_close_a_substitution() {
        ok(
            "echo \"$(case x in a) echo @D@;; (b) @D@;; esac) @D@\"",
            "echo \"$(case x in a) echo \"${V1}\";; (b) \"${V2}\";; esac) ${V3}\"",
        );
        ok(
            "echo case \"$(echo case) @D@\"",
            "echo case \"$(echo case) ${V1}\"",
        );
        ok("(cd x; echo @D@) | cat", "(cd x; echo \"${V1}\") | cat");
    }

    #[test]
    fn unsafe_contexts_are_refused() {
        for line in [
            "echo `cat @D@`",
            "echo $'a@D@'",
            "echo $((@D@ + 1))",
            "((@D@ > 1))",
            "echo $[@D@]",
            "echo ${x:-@D@}",
            "echo \"${x:-@D@}\"",
            "echo a # @D@",
            "cat <<X\n@D@",
            "echo \"`cat @D@`\"",
        ] {
            assert!(
                scanned(line).is_err_and(|e| e.contains("cannot be used inside")),
                "{line}: {:?}",
                scanned(line)
            );
        }
    }

    #[test]
    fn a_dollar_or_backslash_before_data_is_itself() {
        ok("echo $@D@ \"$@D@\"", "echo \\$\"${V1}\" \"\\$${V2}\"");
        ok("echo \\@D@ \"\\@D@\"", "echo \\\\\"${V1}\" \"\\\\${V2}\"");
        ok("echo '$@D@\\'", "echo '$'\"${V1}\"'\\'");
    }

    #[test]
    fn hidden_arithmetic_is_refused() {
        for line in [
            "[[ @D@ -eq 0 ]]",
            "if [[ 1 -lt \"@D@\" ]]; then x; fi",
            "[[ a = b && ( @D@ -gt 1 ) ]]",
            "[[ -v @D@ ]]",
            "[ -v @D@ ]",
            "let x=@D@",
            "let \"x = @D@\"",
            "x=1 && test -v '@D@'",
            "[[ 1 -eq @D@",
            "a[@D@]=1",
            "x=1 a[@D@]=1",
            "if true; then a[\"@D@\"]=1; fi",
            "a=([@D@]=1)",
            "for ((i = 0; i < @D@; i++)); do x; done",
            "for((i = 0; i < @D@; i++)); do x; done",
            "if((@D@)); then x; fi",
        ] {
            assert!(
                scanned(line).is_err_and(|e| e.contains("cannot be used")),
                "{line}: {:?}",
                scanned(line)
            );
        }
        ok("[ @D@ -eq 0 ]", "[ \"${V1}\" -eq 0 ]");
        ok(
            "[[ @D@ = x ]]; [ 1 -eq @D@ ]",
            "[[ \"${V1}\" = x ]]; [ 1 -eq \"${V2}\" ]",
        );
        ok("[[ $(cat @D@) -eq 1 ]]", "[[ $(cat \"${V1}\") -eq 1 ]]");
        ok("[ -f x ]; grep -v @D@", "[ -f x ]; grep -v \"${V1}\"");
        ok("echo a[@D@]", "echo a[\"${V1}\"]");
        ok(
            "a=(@D@ b); f() { echo @D@; }",
            "a=(\"${V1}\" b); f() { echo \"${V2}\"; }",
        );
    }

    #[test]
    fn open_quotes_are_found() {
        for line in [
            "echo 'a",
            "echo \"a",
            "echo $(a",
            "echo ${a",
            "echo $((1)",
            "echo `a",
        ] {
            assert!(
                scanned(line).is_err_and(|e| e.contains("never closed")),
                "{line}: {:?}",
                scanned(line)
            );
        }
        assert!(scanned("echo it\\'s # it's").is_ok());
    }

    #[test]
    fn any_script_is_refused_or_holds_no_data() {
        let mut chance = Chance::new(3);
        let pieces = [
            "echo ",
            "@D@",
            "a",
            "$(",
            "((",
            "[[ ",
            " -eq ",
            "]]",
            "let ",
            "case x in ",
            "esac",
            "for i in ",
            "; do ",
            "done",
            "x[",
            "]=",
            "=(",
            "<<E\n",
            "\nE\n",
            "$'",
            "$\"",
            "\\",
        ];
        for _ in 0..5000 {
            let line = chance.text(&pieces, 15);
            match scanned(&line) {
                Ok(text) => assert!(!text.contains("data"), "{text:?} from {line:?}"),
                Err(message) => assert!(!message.is_empty(), "{line:?}"),
            }
        }
    }
}
