//! The commands of a script: bash's grammar, as far as it says where a word stands.
#![forbid(unsafe_code)]

use super::reader::{MARKS, PendingDocument, Read, ScriptReader, is_name, is_name_char};
use super::tree::{PartKind, Redirection, ShellAssignment, ShellCommand, ShellPart, ShellWord};
use super::words::as_word;

/// Words that end a list of commands.
const ENDS: [&str; 9] = [
    "then", "else", "elif", "fi", "do", "done", "esac", "}", "in",
];

impl ScriptReader<'_, '_> {
    /// The whole script.
    pub fn script(&mut self) -> Read<Vec<ShellCommand>> {
        let all = self.commands(&[])?;
        if !self.is_at_end() {
            return self.unknown("the checker cannot read the script from here on");
        }
        self.here_documents()?;
        match self.torn {
            true => self.fatal("the checker cannot see a name in this script"),
            false => Ok(all),
        }
    }

    /// Blanks, line continuations and comments; with `lines` also line ends.
    fn blanks(&mut self, lines: bool) -> Read<()> {
        let mut after_word =
            self.next > 0 && matches!(self.symbols.get(self.next - 1), Some(s) if !is_break(s));
        loop {
            match self.peek(0) {
                Some(' ' | '\t') => self.next += 1,
                Some('\\') if self.peek(1) == Some('\n') => {
                    self.next += 2;
                    continue;
                }
                Some('\n') if lines => {
                    self.next += 1;
                    self.here_documents()?;
                }
                Some('#') if !after_word => {
                    self.comment();
                    continue;
                }
                _ => return Ok(()),
            }
            after_word = false;
        }
    }

    /// A list of commands up to one of these words, a `)`, a `;;` or the end.
    pub fn commands(&mut self, ends: &[&str]) -> Read<Vec<ShellCommand>> {
        let mut all = Vec::new();
        loop {
            self.blanks(true)?;
            if self.is_at_end() || self.peek(0) == Some(')') || self.ends_case_item() {
                return Ok(all);
            }
            if matches!(self.peek(0), Some(';' | '&' | '|')) {
                self.next += 1;
                continue;
            }
            let reserved = self.reserved();
            if ends.contains(&reserved.as_str()) {
                return Ok(all);
            }
            if ENDS.contains(&reserved.as_str()) && reserved != "in" {
                return self.unknown("the checker cannot read the script from here on");
            }
            let before = self.next;
            let command = self.deeper(|reader| reader.pipeline())?;
            all.push(command);
            if self.next == before {
                return self.unknown("the checker cannot read the script from here on");
            }
        }
    }

    fn ends_case_item(&self) -> bool {
        self.follows(";;") || self.follows(";&")
    }

    /// The unquoted word that is next, to see whether it is reserved.
    fn reserved(&self) -> String {
        let mut word = String::new();
        while let Some(c) = self.peek(word.len()) {
            if ends_word(c) {
                return word;
            }
            if !c.is_ascii() || word.len() > 8 || matches!(c, '\\' | '\'' | '"' | '$' | '`') {
                return String::new();
            }
            word.push(c);
        }
        match self.next + word.len() >= self.limit {
            true => word,
            false => String::new(),
        }
    }

    fn accept_word(&mut self, word: &str) -> bool {
        let found = self.reserved() == word;
        if found {
            self.next += word.len();
        }
        found
    }

    fn expect_word(&mut self, word: &str) -> Read<()> {
        self.blanks(true)?;
        match self.accept_word(word) {
            true => Ok(()),
            false => self.unknown("the checker cannot read the script from here on"),
        }
    }

    fn pipeline(&mut self) -> Read<ShellCommand> {
        let mut all = vec![self.command()?];
        loop {
            self.blanks(false)?;
            if self.peek(0) != Some('|') || self.peek(1) == Some('|') {
                break;
            }
            self.next += 1;
            if self.accept("&")
                && let Some(command) = all.pop()
            {
                all.push(ShellCommand::Group(vec![command], vec![errors_too()]));
            }
            self.blanks(true)?;
            all.push(self.command()?);
        }
        match (all.len(), all.pop()) {
            (1, Some(only)) => Ok(only),
            (_, last) => {
                all.extend(last);
                Ok(ShellCommand::Pipeline(all))
            }
        }
    }

    /// One command, with the reserved words before it.
    fn command(&mut self) -> Read<ShellCommand> {
        loop {
            self.blanks(false)?;
            let word = self.reserved();
            match word.as_str() {
                "!" => self.next += 1,
                "time" => {
                    self.next += 4;
                    self.blanks(false)?;
                    if self.accept_word("-p") {
                        self.blanks(false)?;
                    }
                    if self.accept_word("--") {
                        self.blanks(false)?;
                    }
                    let ends = matches!(self.peek(0), None | Some('\n' | ';' | '&' | '|' | ')'));
                    if ends && !self.is_value() {
                        return Ok(ShellCommand::Group(Vec::new(), Vec::new()));
                    }
                }
                _ => return self.compound(&word),
            }
        }
    }

    fn is_value(&self) -> bool {
        !self.is_at_end() && self.peek(0).is_none()
    }

    fn compound(&mut self, word: &str) -> Read<ShellCommand> {
        match word {
            "{" => {
                self.next += 1;
                let body = self.commands(&["}"])?;
                self.expect_word("}")?;
                Ok(ShellCommand::Group(body, self.redirections()?))
            }
            "if" => self.conditional(),
            "while" | "until" => {
                self.next += word.len();
                let mut body = self.commands(&["do"])?;
                self.expect_word("do")?;
                body.extend(self.commands(&["done"])?);
                self.expect_word("done")?;
                Ok(ShellCommand::Group(body, self.redirections()?))
            }
            "for" | "select" => {
                self.next += word.len();
                self.loop_over()
            }
            "case" => self.case(),
            "[[" => self.test(),
            "function" => {
                self.next += 8;
                self.blanks(false)?;
                let name = self.read_word()?;
                self.blanks(false)?;
                if self.accept("(") {
                    self.blanks(false)?;
                    self.accept(")");
                }
                self.function(name)
            }
            "coproc" => self.coproc(),
            "" if self.follows("((") && !self.portable => match self.arithmetic_or_not(2)? {
                Some(text) => Ok(ShellCommand::Arithmetic(text, self.redirections()?)),
                None => self.subshell(),
            },
            "" if self.follows("(") => self.subshell(),
            _ => self.simple(),
        }
    }

    fn subshell(&mut self) -> Read<ShellCommand> {
        self.next += 1;
        let body = self.commands(&[])?;
        match self.accept(")") {
            true => Ok(ShellCommand::Group(body, self.redirections()?)),
            false => self.unknown("the checker cannot read the script from here on"),
        }
    }

    fn conditional(&mut self) -> Read<ShellCommand> {
        self.next += 2;
        let mut all = self.commands(&["then"])?;
        self.expect_word("then")?;
        loop {
            all.extend(self.commands(&["elif", "else", "fi"])?);
            self.blanks(true)?;
            if self.accept_word("fi") {
                return Ok(ShellCommand::Group(all, self.redirections()?));
            }
            if self.accept_word("elif") {
                all.extend(self.commands(&["then"])?);
                self.expect_word("then")?;
            } else {
                self.expect_word("else")?;
            }
        }
    }

    fn loop_over(&mut self) -> Read<ShellCommand> {
        self.blanks(false)?;
        if self.follows("((") {
            let Some(text) = self.arithmetic_or_not(2)? else {
                return self.unknown("the checker cannot read this `for ((...))`");
            };
            self.blanks(true)?;
            self.accept(";");
            let body = self.loop_body()?;
            let redirections = self.redirections()?;
            let head = ShellCommand::Arithmetic(text, Vec::new());
            return Ok(ShellCommand::Group(
                std::iter::once(head).chain(body).collect(),
                redirections,
            ));
        }
        let Some(name) = self.read_word()?.written().filter(|n| is_name(n)) else {
            return self.unknown("the checker cannot read the name of this loop");
        };
        self.blanks(true)?;
        let mut words = None;
        if self.accept_word("in") {
            words = Some(self.words_of_line()?);
        }
        self.blanks(true)?;
        self.accept(";");
        Ok(ShellCommand::For {
            name,
            words,
            body: self.loop_body()?,
            redirections: self.redirections()?,
        })
    }

    fn words_of_line(&mut self) -> Read<Vec<ShellWord>> {
        let mut words = Vec::new();
        loop {
            self.blanks(false)?;
            let before = self.next;
            let word = self.read_word()?;
            if self.next == before {
                return Ok(words);
            }
            words.push(word);
        }
    }

    fn loop_body(&mut self) -> Read<Vec<ShellCommand>> {
        self.blanks(true)?;
        let braces = self.reserved() == "{";
        let (open, close) = if braces { ("{", "}") } else { ("do", "done") };
        self.expect_word(open)?;
        let body = self.commands(&[close])?;
        self.expect_word(close)?;
        Ok(body)
    }

    fn case(&mut self) -> Read<ShellCommand> {
        self.next += 4;
        self.blanks(false)?;
        let word = self.read_word()?;
        self.expect_word("in")?;
        let (mut patterns, mut body) = (Vec::new(), Vec::new());
        loop {
            self.blanks(true)?;
            if self.accept_word("esac") {
                break;
            }
            self.accept("(");
            loop {
                self.blanks(true)?;
                patterns.push(self.read_word()?);
                self.blanks(true)?;
                if !self.accept("|") {
                    break;
                }
            }
            if !self.accept(")") {
                return self.unknown("the checker cannot read this `case`");
            }
            body.extend(self.commands(&["esac"])?);
            let _ = self.accept(";;&") || self.accept(";;") || self.accept(";&");
        }
        Ok(ShellCommand::Case {
            word,
            patterns,
            body,
            redirections: self.redirections()?,
        })
    }

    /// `[[ … ]]`, as a list of its words and operators.
    fn test(&mut self) -> Read<ShellCommand> {
        self.next += 2;
        let mut words = Vec::new();
        loop {
            self.blanks(true)?;
            if self.accept_word("]]") {
                return Ok(ShellCommand::Test(words, self.redirections()?));
            }
            let mut word = ShellWord::default();
            let after_match = words.last().and_then(ShellWord::plain) == Some("=~");
            if after_match {
                word = self.pattern()?;
            } else if matches!(self.peek(0), Some('(' | ')' | '&' | '|' | '<' | '>'))
                && !self.follows("<(")
                && !self.follows(">(")
            {
                self.take_text(&mut word, false);
            } else {
                word = self.read_word()?;
            }
            if word.parts.is_empty() {
                return self.unknown("the checker cannot read this `[[`");
            }
            if self.portable && has_operator(&word) {
                return self.unknown("`&&`, `||`, `<`, `>` and brackets in `[[` are bash's");
            }
            words.push(word);
        }
    }

    /// The pattern after `=~`, in which brackets and `|` are characters.
    fn pattern(&mut self) -> Read<ShellWord> {
        let mut word = ShellWord::default();
        let mut depth = 0;
        loop {
            self.no_process()?;
            match self.peek(0) {
                Some(' ' | '\t' | '\n') if depth == 0 => break,
                Some(c @ ('(' | ')' | '|' | '<' | '>' | '&' | ';' | ' ' | '\t')) => {
                    depth += i32::from(c == '(') - i32::from(c == ')');
                    self.take_text(&mut word, false);
                }
                Some(_) => self.unquoted_char(&mut word)?,
                None if self.is_at_end() => break,
                None => {
                    let before = self.next;
                    word.parts.extend(self.value_part()?.parts);
                    if self.next == before {
                        break;
                    }
                }
            }
        }
        self.note(&word);
        Ok(word)
    }

    fn function(&mut self, name: ShellWord) -> Read<ShellCommand> {
        let known = |c: char| is_name_char(c) || "-.:".contains(c);
        if !name.plain().is_some_and(|name| name.chars().all(known)) {
            return self.fatal("the checker does not know this name of a function");
        }
        self.blanks(true)?;
        let body = Box::new(self.deeper(|reader| reader.command())?);
        Ok(ShellCommand::Function { name, body })
    }

    fn coproc(&mut self) -> Read<ShellCommand> {
        self.next += 6;
        self.blanks(false)?;
        let mut name = "COPROC".to_string();
        let before = self.next;
        let word = self.reserved();
        if is_name(&word) && !is_compound(&word) {
            self.next += word.len();
            self.blanks(false)?;
            match is_compound(&self.reserved()) || self.follows("(") {
                true => name = word,
                false => self.next = before,
            }
        }
        let body = Box::new(self.deeper(|reader| reader.command())?);
        Ok(ShellCommand::Coproc { name, body })
    }

    fn simple(&mut self) -> Read<ShellCommand> {
        let (mut assignments, mut words, mut redirections) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            self.blanks(false)?;
            if let Some(redirection) = self.redirection()? {
                redirections.push(redirection);
                continue;
            }
            if words.is_empty()
                && let Some(assignment) = self.assignment()?
            {
                assignments.push(assignment);
                continue;
            }
            let before = self.next;
            let word = self.argument()?;
            if self.next == before {
                break;
            }
            let has_bracket = |p: &ShellPart| matches!(&p.kind, PartKind::Text(t) if !p.quoted && t.contains('('));
            if words.is_empty() && word.parts.iter().any(has_bracket) {
                return self.fatal("the checker does not know which command this is");
            }
            let first = words.is_empty() && assignments.is_empty();
            if first && self.follows("(") {
                self.next += 1;
                self.blanks(false)?;
                if !self.accept(")") {
                    return self.unknown("the checker cannot read the script from here on");
                }
                return self.function(word);
            }
            if words.len() + assignments.len() + redirections.len() == 0 {
                let start = self.next;
                self.blanks(false)?;
                if self.accept("(") {
                    self.blanks(false)?;
                    if self.accept(")") {
                        return self.function(word);
                    }
                }
                self.next = start;
            }
            words.push(word);
        }
        if words.is_empty() && assignments.is_empty() && redirections.is_empty() {
            return self.unknown("the checker cannot read the script from here on");
        }
        Ok(ShellCommand::Simple {
            assignments,
            words,
            redirections,
        })
    }

    /// A word of a command; `NAME=(…)` as for `declare` is one.
    fn argument(&mut self) -> Read<ShellWord> {
        let mut word = self.read_word()?;
        let text = word.plain().unwrap_or_default();
        let is_list = self.follows("(")
            && text
                .strip_suffix('=')
                .is_some_and(|name| is_name(name.trim_end_matches('+')));
        if is_list {
            let elements = self.elements()?;
            word.parts.extend(elements.parts);
        }
        Ok(word)
    }

    /// `NAME=VALUE`, `NAME+=VALUE`, `NAME[…]=VALUE` or `NAME=(…)`.
    fn assignment(&mut self) -> Read<Option<ShellAssignment>> {
        let starts = |c: char| is_name_char(c) && !c.is_ascii_digit();
        if !self.peek(0).is_some_and(starts) || self.was_tried() {
            return Ok(None);
        }
        let (mark, at) = (self.mark(), self.at());
        let name = self.name();
        let mut subscript = None;
        if self.accept("[") {
            let inside = self.subscript()?;
            self.next += 1;
            if self.portable && inside.parts.iter().any(has_end) {
                return self.unknown("other shells do not know such arrays");
            }
            subscript = Some(inside);
        }
        let append = self.follows("+=");
        if !self.accept("+=") && !self.accept("=") {
            self.go_back(mark);
            return Ok(None);
        }
        let value = match self.peek(0) {
            Some('(') => self.elements()?,
            _ => self.read_word()?,
        };
        Ok(Some(ShellAssignment {
            name,
            subscript,
            append,
            value,
            at,
        }))
    }

    /// `( WORD … )` of an array.
    fn elements(&mut self) -> Read<ShellWord> {
        let at = self.at();
        self.next += 1;
        let mut elements = Vec::new();
        loop {
            self.blanks(true)?;
            if self.accept(")") {
                break;
            }
            if self.is_at_end() {
                return self.never_closed(at, "bracket");
            }
            let before = self.next;
            let element = self.read_word()?;
            if self.next == before || has_open_subscript(&element) {
                return self.fatal("the checker cannot read this list");
            }
            elements.push(element);
        }
        Ok(ShellWord {
            parts: vec![ShellPart {
                kind: PartKind::Elements(elements),
                quoted: true,
                at,
                secret: false,
            }],
        })
    }

    fn redirections(&mut self) -> Read<Vec<Redirection>> {
        let mut all = Vec::new();
        loop {
            self.blanks(false)?;
            match self.redirection()? {
                Some(redirection) => all.push(redirection),
                None => return Ok(all),
            }
        }
    }

    fn redirection(&mut self) -> Read<Option<Redirection>> {
        const OPERATORS: [&str; 12] = [
            "&>>", "<<<", "<<-", "&>", "<<", "<>", ">>", ">|", ">&", "<&", "<", ">",
        ];
        let from = self.next;
        let mut descriptor = String::new();
        let in_number = |c: &char| c.is_ascii_digit() || *c == MARKS[0];
        while let Some(digit) = self.peek(0).filter(in_number) {
            descriptor.push(digit);
            self.next += 1;
        }
        let variable = match self.next == from {
            true => self.descriptor_variable(),
            false => None,
        };
        let is_process = self.follows("<(") || self.follows(">(");
        // To other shells `&>` is a `&` and a redirection of the next command.
        let known = |o: &&&str| !(self.portable && o.starts_with('&'));
        let operator = OPERATORS.iter().filter(known).find(|o| self.follows(o));
        let Some(operator) = operator.filter(|_| !is_process) else {
            self.next = from;
            return Ok(None);
        };
        if operator.starts_with('&') && self.next != from {
            self.next = from;
            return Ok(None);
        }
        self.accept(operator);
        self.blanks(false)?;
        let target = self.read_word()?;
        if target.parts.is_empty() {
            return self.unknown("the checker cannot read this redirection");
        }
        let mut document = None;
        if *operator == "<<" || *operator == "<<-" {
            let quoted = target.parts.iter().any(|part| part.quoted);
            let Some(delimiter) = target.written() else {
                return self.unknown("the checker cannot read the end of this here-document");
            };
            document = Some(self.documents.len());
            self.pending.push(PendingDocument {
                number: self.documents.len(),
                delimiter,
                quoted,
                tabs: *operator == "<<-",
            });
            self.documents.push(ShellWord::default());
        }
        Ok(Some(Redirection {
            operator: (*operator).to_string(),
            target,
            document,
            descriptor: Some(descriptor).filter(|digits| !digits.is_empty()),
            variable,
        }))
    }

    /// The NAME of `{NAME}>file`, also with a written number as its subscript.
    fn descriptor_variable(&mut self) -> Option<String> {
        let from = self.next;
        if self.accept("{") {
            let name = self.name();
            if self.accept("[") {
                let digits = self.name();
                if digits.parse::<u32>().is_err() || !self.accept("]") {
                    self.next = from;
                    return None;
                }
            }
            if is_name(&name) && self.accept("}") {
                return Some(name);
            }
        }
        self.next = from;
        None
    }

    /// The value that is next, as a word without what follows.
    fn value_part(&mut self) -> Read<ShellWord> {
        let limit = self.limit;
        self.limit = self.next + 1;
        let word = self.read_word();
        self.limit = limit;
        self.words.pop();
        word
    }
}

/// Whether an unquoted character ends a word.
fn ends_word(c: char) -> bool {
    matches!(
        c,
        ' ' | '\t' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>'
    )
}

fn is_break(symbol: &crate::text::template::Symbol) -> bool {
    use crate::text::template::Symbol;
    match symbol {
        Symbol::Char { c, .. } => ends_word(*c),
        Symbol::Atom(_) => false,
    }
}

/// Whether an unquoted character in it ends a word where `[[` is a command.
fn has_operator(word: &ShellWord) -> bool {
    word.parts.iter().any(|part| !part.quoted && has_end(part))
}

fn has_end(part: &ShellPart) -> bool {
    matches!(&part.kind, PartKind::Text(text) if text.contains(ends_word))
}

/// Whether an element begins with a subscript that does not end in it: bash reads on.
fn has_open_subscript(element: &ShellWord) -> bool {
    let begins = |part: &ShellPart| matches!(&part.kind, PartKind::Text(t) if !part.quoted && t.starts_with('['));
    let unquoted = element.parts.iter().filter(|part| !part.quoted);
    let count = |bracket: char| -> usize {
        let texts = unquoted.clone().map(|part| match &part.kind {
            PartKind::Text(text) => text.matches(bracket).count(),
            _ => 0,
        });
        texts.sum()
    };
    element.parts.first().is_some_and(begins) && count('[') > count(']')
}

fn is_compound(word: &str) -> bool {
    matches!(
        word,
        "{" | "if" | "while" | "until" | "for" | "select" | "case" | "[["
    )
}

/// What `|&` does to the command before it: `2>&1`.
fn errors_too() -> Redirection {
    Redirection {
        operator: ">&".into(),
        target: as_word("1", None),
        document: None,
        descriptor: Some("2".into()),
        variable: None,
    }
}
