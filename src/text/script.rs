//! Puts data into shell scripts as variables, so that it never becomes syntax
//! (SPEC §2.4).
//!
//! The script is the author's text. Where a result reference stands in it, a
//! shell variable takes its place, quoted to suit the context: `"${V}"` in
//! plain text, `${V}` inside double quotes, `'"${V}"'` inside single quotes. To
//! know the context, the scanner follows the quoting rules of bash. Where no
//! quoting would be safe (backquotes, `$'…'`, arithmetic, `${…}`, a comment, a
//! here-document) the reference is refused. Arithmetic hides in two more places:
//! the subscript of an assignment (`a[…]=`) and the numeric comparisons of
//! `[[ … ]]`; bash runs a `$(…)` in a value that it evaluates there, quoted or not.
//!
//! Rejected: quoting the data into the text. One mistake in the scanner would
//! then run the data; with a variable it can at worst be split.
#![forbid(unsafe_code)]

use super::source::Span;
use super::template::{Piece, Symbol, Template, symbols};

/// A script for `sh -c` and the values of the variables it uses.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// Author's text, with variables in place of data.
    pub text: Template,
    /// The value of `TASKER_VALUE_1`, `TASKER_VALUE_2`, ….
    pub values: Vec<Template>,
}

/// The name of the shell variable with that number, from 1.
pub fn variable(number: usize) -> String {
    format!("TASKER_VALUE_{number}")
}

/// Why a script cannot be used, and where.
#[derive(Debug, PartialEq)]
pub struct BadScript {
    pub at: Span,
    pub message: String,
    pub help: &'static str,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Context {
    /// Commands, up to the end or the `)` of `$(`; with open parentheses.
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
    /// What to call a context in which data cannot stand.
    fn refuses(self) -> Option<&'static str> {
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

struct Scanner<'a> {
    items: Vec<Symbol<'a>>,
    next: usize,
    /// Contexts from outside to inside, each with the place where it opened.
    open: Vec<(Context, Span)>,
    /// Depths at which a `case` waits for its patterns' `)`.
    cases: Vec<(usize, usize)>,
    /// Depths at which the elements of an array are listed.
    lists: Vec<(usize, usize)>,
    /// The unquoted word so far, to see `case` and `esac`.
    word: String,
    at_word_start: bool,
    at_command: bool,
    /// Only assignments stand before this word.
    at_assignment: bool,
    after_for: bool,
    here_document: bool,
    /// The `[[`, `[`, `test` and `let` commands that are open.
    tests: Vec<TestCommand>,
    /// What `end_word` found wrong.
    refused: Option<BadScript>,
    script: Script,
}

/// A test command, or `let`: a value must not meet an operator that evaluates it.
struct TestCommand {
    /// How many contexts are open where it stands.
    level: usize,
    /// `[[`, which evaluates the operands of `-eq` and its like.
    double: bool,
    evaluates: bool,
    value: Option<Span>,
}

/// Words after which a command begins.
const KEYWORDS: &[&str] = &[
    "if", "then", "else", "elif", "while", "until", "do", "{", "!", "time", "coproc",
];

/// Reads the value as a script.
///
/// # Errors
/// A quote that is never closed, or a reference where data cannot be safe.
pub fn scan(value: &Template) -> Result<Script, BadScript> {
    let start = value.pieces.first().map_or(Span::whole(0), Piece::at);
    let mut scanner = Scanner {
        items: symbols(value).collect(),
        next: 0,
        open: vec![(
            Context::Commands {
                nested: false,
                depth: 0,
            },
            start,
        )],
        cases: Vec::new(),
        lists: Vec::new(),
        word: String::new(),
        at_word_start: true,
        at_command: true,
        at_assignment: true,
        after_for: false,
        here_document: false,
        tests: Vec::new(),
        refused: None,
        script: Script {
            text: Template::default(),
            values: Vec::new(),
        },
    };
    while let Some(item) = scanner.items.get(scanner.next).cloned() {
        scanner.next += 1;
        match item {
            Symbol::Atom(piece) => scanner.atom(piece)?,
            Symbol::Char {
                c: c @ ('$' | '\\'),
                at,
                secret,
                ..
            } if scanner.stands_before_data() => {
                // It would act on the variable's quote or name: `\"`, `$"`, `$$`.
                scanner.script.text.push_char('\\', at, secret);
                scanner.script.text.push_char(c, at, secret);
                scanner.at_word_start = false;
                scanner.word.push(c);
            }
            Symbol::Char { c, at, secret, .. } => {
                scanner.script.text.push_char(c, at, secret);
                scanner.step(c, at);
            }
        }
        if let Some(refused) = scanner.refused.take() {
            return Err(refused);
        }
    }
    scanner.end_word();
    if let Some(refused) = scanner.refused.take() {
        return Err(refused);
    }
    match scanner
        .open
        .iter()
        .skip(1)
        .find(|(c, _)| !matches!(c, Context::Comment | Context::HereDocument))
    {
        Some((context, at)) => {
            let what = if matches!(context, Context::Single | Context::Double | Context::AnsiC) {
                "quote"
            } else {
                "bracket"
            };
            Err(BadScript {
                at: *at,
                message: format!("this {what} is never closed"),
                help: "",
            })
        }
        None => Ok(scanner.script),
    }
}

impl<'a> Scanner<'a> {
    fn top(&self) -> Context {
        // The outermost context is never popped.
        self.open.last().map_or(Context::Comment, |(c, _)| *c)
    }

    fn push(&mut self, context: Context, at: Span) {
        self.open.push((context, at));
        if let Context::Commands { .. } = context {
            self.begin_command();
        }
    }

    fn pop(&mut self) {
        if self.open.len() > 1 {
            self.open.pop();
        }
        let depth = self.open.len();
        self.cases.retain(|(level, _)| *level <= depth);
        self.tests.retain(|test| test.level <= depth);
    }

    fn begin_command(&mut self) {
        let level = self.open.len();
        self.tests.retain(|test| test.double || test.level != level);
        self.word.clear();
        self.at_command = true;
        self.at_assignment = true;
        self.after_for = false;
        self.at_word_start = true;
    }

    /// Whether a value follows that a `$` or `\` just read would act on.
    fn stands_before_data(&self) -> bool {
        let data = match self.items.get(self.next) {
            Some(Symbol::Atom(Piece::Reference { to, .. })) => to.is_data(),
            Some(Symbol::Atom(_)) => true,
            _ => false,
        };
        data && matches!(self.top(), Context::Commands { .. } | Context::Double)
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        match self.items.get(self.next + ahead) {
            Some(Symbol::Char { c, .. }) => Some(*c),
            _ => None,
        }
    }

    /// Takes characters that belong to the one just read.
    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            if let Some(Symbol::Char { c, at, secret, .. }) = self.items.get(self.next).cloned() {
                self.script.text.push_char(c, at, secret);
                self.next += 1;
            }
        }
    }

    /// A reference or data: becomes a variable, quoted for where it stands.
    fn atom(&mut self, piece: &Piece) -> Result<(), BadScript> {
        let at = piece.at();
        self.at_word_start = false;
        self.word.push('@');
        if let Piece::Reference { to, .. } = piece
            && !to.is_data()
        {
            self.script.text.pieces.push(piece.clone());
            return Ok(());
        }
        if let Some(what) = self.open.iter().find_map(|(c, _)| c.refuses()) {
            return Err(BadScript {
                at,
                message: format!(
                    "a value cannot be used inside {what}; the shell would read it as code"
                ),
                help: match what {
                    "arithmetic" => "assign it to a variable first: `n=@...@; echo $((n + 1))`",
                    "backquotes" => "use `$(...)` instead of the backquotes",
                    _ => "",
                },
            });
        }
        if self.in_subscript() {
            return Err(BadScript {
                at,
                message:
                    "a value cannot be used inside an array subscript; the shell would evaluate it"
                        .into(),
                help: "",
            });
        }
        let level = self.command_level();
        if let Some(test) = self.tests.last_mut().filter(|t| t.level == level) {
            test.value.get_or_insert(at);
            self.check_test();
        }
        let name = variable(self.number_of(piece));
        let (before, after) = match self.top() {
            Context::Double => ("${", "}"),
            Context::Single => ("'\"${", "}\"'"),
            _ => ("\"${", "}\""),
        };
        for c in [before, &name, after].iter().flat_map(|s| s.chars()) {
            self.script.text.push_char(c, at, false);
        }
        Ok(())
    }

    /// How many contexts are open where the innermost command stands.
    fn command_level(&self) -> usize {
        let command = |(c, _): &(Context, Span)| matches!(c, Context::Commands { .. });
        self.open.iter().rposition(command).map_or(0, |at| at + 1)
    }

    /// Whether the word is an assignment to an element that is being named.
    fn in_subscript(&self) -> bool {
        let Some((name, subscript)) = self.word.split_once('[') else {
            return false;
        };
        let named = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        // `[…]=` names an element only in a list; elsewhere it is a pattern.
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

    /// Refuses a value beside an operator that evaluates it.
    fn check_test(&mut self) {
        if let Some(TestCommand {
            evaluates: true,
            value: Some(at),
            ..
        }) = self.tests.last()
        {
            self.refused = Some(BadScript {
                at: *at,
                message: "a value cannot be used where bash evaluates arithmetic (`let`, `-v`, `[[` with `-eq`, `-lt`, ...); compare numbers with `[ ... ]`".into(),
                help: "",
            });
        }
    }

    fn number_of(&mut self, piece: &Piece) -> usize {
        let same = |value: &Template| match (value.pieces.first(), piece) {
            (Some(Piece::Reference { to: a, .. }), Piece::Reference { to: b, .. }) => a == b,
            _ => false,
        };
        if let Some(found) = self.script.values.iter().position(same) {
            return found + 1;
        }
        self.script.values.push(Template {
            pieces: vec![piece.clone()],
        });
        self.script.values.len()
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
            '<' if self.peek(0) == Some('<') => self.here(),
            '<' | '>' if self.peek(0) == Some('(') => {
                self.skip(1);
                self.push(
                    Context::Commands {
                        nested: true,
                        depth: 0,
                    },
                    at,
                );
            }
            '(' if self.begins_arithmetic() => {
                self.skip(1);
                self.push(
                    Context::Arithmetic {
                        close: ')',
                        depth: 0,
                    },
                    at,
                );
            }
            '(' => {
                // After a word it opens a list of elements, or nothing (`f()`).
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

    /// At a `(`: whether it is that of `((`, also behind `for` or a keyword.
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

    /// A `)`: the end of a `case` pattern, of a subshell, or of `$(`.
    fn close_parenthesis(&mut self, nested: bool, depth: usize) {
        self.end_word();
        if self.cases.last() == Some(&(self.open.len(), depth)) {
            // A pattern's end.
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

    /// A word ended: `case` and `esac` change what a `)` means, and some words
    /// are followed by another command.
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

    /// Follows the words of `[[ … ]]`, `[ … ]` and `test …`.
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

    fn here(&mut self) {
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
                self.push(
                    Context::Arithmetic {
                        close: ')',
                        depth: 0,
                    },
                    at,
                );
            }
            (Some('('), _) => {
                self.skip(1);
                self.push(
                    Context::Commands {
                        nested: true,
                        depth: 0,
                    },
                    at,
                );
            }
            (Some('['), _) => {
                self.skip(1);
                self.push(
                    Context::Arithmetic {
                        close: ']',
                        depth: 0,
                    },
                    at,
                );
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
            // Not arithmetic after all, but a subshell in `$( (…) …)`.
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
        // Whether `$'` is a quote is decided by what is around the `${`, as far as
        // the nearest `$(`. A plain `'` is one for bash even inside double quotes.
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

/// `NAME=…`, `NAME+=…` or `NAME[…]=…`, as far as it was read.
fn is_assignment(word: &str) -> bool {
    let name = word.split(['=', '+', '[']).next().unwrap_or_default();
    let named = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    named && !name.is_empty() && word.contains('=')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::chance::Chance;
    use crate::text::template::parse;

    fn scanned(line: &str) -> Result<String, String> {
        let mut resolve = |name: &str, at| match name {
            "TEXT" => vec![Piece::Text {
                text: "a; b".into(),
                at,
                direct: false,
                secret: false,
            }],
            _ => vec![Piece::Data {
                bytes: b"data".into(),
                at,
                secret: false,
            }],
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
