//! Results that bash will evaluate as numbers must hold no code (SPEC §2.4).
#![forbid(unsafe_code)]

use super::runner::Stdin;
use crate::text::bash::carried::Guard;
use crate::text::diagnostic::reason;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;

/// What is looked for in results.
pub struct CodeSearch {
    /// Environment variables whose value holds code or the name of another such one: bash
    /// evaluates what a variable holds whose name a result is.
    names: Vec<Vec<u8>>,
    longest: usize,
    guard: Guard,
}

/// A value that is checked, as a message calls it.
pub struct Checked<'a> {
    pub what: &'a str,
    /// What to write instead.
    pub help: &'a str,
    /// Whether it holds a secret, of which nothing is said.
    pub secret: bool,
}

/// Values of bash that can hold what a result was joined to.
const OWN_PREFIX: &[u8] = b"BASH_";

fn is_sharp(byte: u8) -> bool {
    matches!(byte, b'$' | b'`' | b'\\')
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn words_of(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let words = text.split(|byte| !is_name_byte(*byte));
    words.filter(|word| !word.is_empty())
}

/// The names of the variables that hold code, and of those that hold one of these names.
fn sharp_names(environment: &[CString]) -> Vec<Vec<u8>> {
    let split = |variable: &'_ CString| {
        let bytes = variable.to_bytes();
        let end = bytes.iter().position(|b| *b == b'=')?;
        Some((bytes[..end].to_vec(), bytes[end + 1..].to_vec()))
    };
    // Bash sets these itself, to nothing or to what it runs.
    let is_set = |name: &[u8]| matches!(name, b"_" | b"PS1" | b"PS2");
    let variables: BTreeMap<Vec<u8>, Vec<u8>> = environment
        .iter()
        .filter_map(split)
        .filter(|(name, _)| !name.is_empty() && !is_set(name))
        .collect();
    let mut names: BTreeSet<&[u8]> = BTreeSet::new();
    loop {
        let is_sharp = |value: &[u8]| {
            value.iter().any(|b| is_sharp(*b)) || words_of(value).any(|w| names.contains(w))
        };
        let more: Vec<&[u8]> = variables
            .iter()
            .filter(|(name, value)| !names.contains(name.as_slice()) && is_sharp(value))
            .map(|(name, _)| name.as_slice())
            .collect();
        if more.is_empty() {
            return names.into_iter().map(<[u8]>::to_vec).collect();
        }
        names.extend(more);
    }
}

impl CodeSearch {
    pub fn new(environment: &[CString], guard: Guard) -> CodeSearch {
        let names = sharp_names(environment);
        CodeSearch {
            longest: names.iter().map(Vec::len).max().unwrap_or_default(),
            names,
            guard,
        }
    }

    /// Checks one value.
    ///
    /// # Errors
    /// What it holds, and where.
    pub fn check(&self, value: &[u8], checked: &Checked) -> Result<(), String> {
        let mut scan = Scan::new(self);
        let found = scan.take(value).and_then(|()| scan.end());
        found.map_err(|found| refusal(&found, checked))
    }

    /// Checks what a command reads from standard input.
    ///
    /// # Errors
    /// What it holds, and where.
    pub fn check_stdin(&self, stdin: &Stdin, checked: &Checked) -> Result<(), String> {
        let stream = match stdin {
            Stdin::Null => return Ok(()),
            Stdin::Bytes(bytes) => return self.check(bytes, checked),
            Stdin::Stream(stream) => stream,
        };
        let (mut scan, mut found) = (Scan::new(self), Ok(()));
        let whole = stream.chunks(&mut |chunk| {
            found = scan.take(chunk);
            found.is_ok()
        });
        let what = checked.what;
        let found = found.and_then(|()| match whole {
            Ok(_) => scan.end(),
            Err(_) => Ok(()),
        });
        found.map_err(|found| refusal(&found, checked))?;
        whole.map_err(|e| format!("{what} cannot be read: {}", reason(&e)))?;
        Ok(())
    }
}

/// What was found, and at which byte.
struct CodeFound {
    what: String,
    at: usize,
}

/// How far a value was looked at. It comes in parts.
struct Scan<'s> {
    search: &'s CodeSearch,
    /// How much came before `tail`.
    before: usize,
    /// The end of what came, in which a name can have begun.
    tail: Vec<u8>,
    read: usize,
    /// The last two bytes.
    last: [u8; 2],
    /// Where an `=` is of which it is not known what follows.
    equals: Option<usize>,
    /// The last byte that is no blank, and where a `++` or `--` is that has nothing yet
    /// after it.
    solid: Option<u8>,
    /// The last one of all, and how many came before it.
    edge: Option<(u8, usize)>,
    steps: Option<usize>,
    /// Whether a `%` that begins a conversion of `printf` is open.
    format: bool,
    /// How much of each name came, with anything in between.
    parts: Vec<usize>,
    /// The characters of a name that came last, and whether any others came before them.
    run: Vec<u8>,
    run_is_first: bool,
}

impl<'s> Scan<'s> {
    fn new(search: &'s CodeSearch) -> Scan<'s> {
        Scan {
            search,
            before: 0,
            tail: Vec::new(),
            read: 0,
            last: [0; 2],
            equals: None,
            solid: None,
            edge: None,
            steps: None,
            format: false,
            parts: vec![0; search.names.len()],
            run: Vec::new(),
            run_is_first: true,
        }
    }

    fn take(&mut self, part: &[u8]) -> Result<(), CodeFound> {
        for byte in part {
            // A shell drops it, and what stands around it stands together.
            if *byte != 0 {
                self.byte(*byte)?;
            }
            self.read += 1;
        }
        self.tail.extend(part.iter().filter(|byte| **byte != 0));
        self.names()?;
        let kept = self.search.longest.max(OWN_PREFIX.len()).max(2) - 1;
        let drop = self.tail.len().saturating_sub(kept);
        self.tail.drain(..drop);
        self.before += drop;
        Ok(())
    }

    fn byte(&mut self, byte: u8) -> Result<(), CodeFound> {
        let (at, guard) = (self.read, self.search.guard);
        let found = |what: &str, at| {
            Err(CodeFound {
                what: what.into(),
                at,
            })
        };
        if is_sharp(byte) || (guard.patterns && matches!(byte, b'*' | b'?' | b'[' | b'(')) {
            return found(&format!("`{}`", char::from(byte)), at);
        }
        if let Some(at) = self.equals.take() {
            if byte != b'=' {
                return found("an assignment (`=`)", at);
            }
        } else if byte == b'=' {
            let [second, first] = self.last;
            match first {
                b'<' | b'>' if second == first => return found("an assignment (`=`)", at),
                b'<' | b'>' | b'!' if !guard.cut => {}
                _ => self.equals = Some(at),
            }
        }
        if guard.cut && byte == b'=' {
            return found("an assignment (`=`)", at);
        }
        self.edge(byte, at)?;
        self.step(byte, at)?;
        self.run(byte, at)?;
        if guard.formats {
            self.format = match byte {
                b'n' if self.format => return found("`%n`", at),
                b'%' => !self.format,
                b' '
                | b'#'
                | b'+'
                | b'-'
                | b'.'
                | b'*'
                | b'\''
                | b'0'..=b'9'
                | b'h'
                | b'l'
                | b'L'
                | b'j'
                | b'z'
                | b't'
                | b'(' => self.format,
                _ => false,
            };
        }
        // `==` is a pair.
        self.last = match self.last[1] == b'=' && byte == b'=' {
            true => [0, 0],
            false => [self.last[1], byte],
        };
        Ok(())
    }

    /// Looks at the first character, and keeps the last: an operator there makes another
    /// one with what stands before or after the value, such as `n-` before `-1`.
    fn edge(&mut self, byte: u8, at: usize) -> Result<(), CodeFound> {
        if byte.is_ascii_whitespace() {
            return Ok(());
        }
        let is_sign = matches!(self.edge, Some((b'+' | b'-', 0)));
        if is_sign && !byte.is_ascii_digit()
            || self.edge.is_none() && matches!(byte, b'<' | b'>' | b'=')
        {
            let what = "an operator at its beginning".into();
            return Err(CodeFound { what, at });
        }
        let before = self.edge.map_or(0, |(_, n)| n + 1);
        self.edge = Some((byte, before));
        Ok(())
    }

    /// Looks for `++` and `--` next to a name.
    fn step(&mut self, byte: u8, at: usize) -> Result<(), CodeFound> {
        let is_end = |byte: u8| is_name_byte(byte) || byte == b']';
        let found = |at| {
            Err(CodeFound {
                what: "`++` or `--`".into(),
                at,
            })
        };
        if let Some(step) = self.steps
            && is_name_byte(byte)
        {
            return found(step);
        }
        let doubled = matches!(byte, b'+' | b'-') && self.last[1] == byte;
        if doubled && self.solid.is_none_or(is_end) {
            return found(at - 1);
        }
        if doubled {
            self.steps = Some(at - 1);
        } else if !byte.is_ascii_whitespace() {
            self.steps = None;
        }
        if !byte.is_ascii_whitespace() && !matches!(byte, b'+' | b'-') {
            self.solid = Some(byte);
        }
        Ok(())
    }

    /// Takes the characters of names together: text can come before the first ones.
    fn run(&mut self, byte: u8, at: usize) -> Result<(), CodeFound> {
        if !is_name_byte(byte) {
            self.end_of_run(at)?;
            self.run_is_first = false;
            self.run.clear();
        } else if self.run.len() <= self.search.longest.max(1) {
            self.run.push(byte);
        }
        Ok(())
    }

    fn end_of_run(&self, end: usize) -> Result<(), CodeFound> {
        if self.run == b"_" {
            let what = "`_`, which is the last word of a command,".into();
            return Err(CodeFound { what, at: end - 1 });
        }
        match self.run_is_first {
            true => self.part_of_name(end),
            false => Ok(()),
        }
    }

    fn part_of_name(&self, end: usize) -> Result<(), CodeFound> {
        let run = &self.run;
        if !self.search.guard.glued {
            return Ok(());
        }
        let holds = |name: &&Vec<u8>| name.windows(run.len().max(1)).any(|part| part == run);
        match self.search.names.iter().find(holds) {
            Some(name) if !run.is_empty() => Err(CodeFound {
                what: format!(
                    "a part of `{}`, the name of an environment variable that holds code,",
                    String::from_utf8_lossy(name)
                ),
                at: end - run.len(),
            }),
            _ => Ok(()),
        }
    }

    /// Looks for the names in what came.
    fn names(&mut self) -> Result<(), CodeFound> {
        let own = self
            .tail
            .windows(OWN_PREFIX.len())
            .position(|w| w == OWN_PREFIX);
        if let Some(at) = own {
            let what = "the name of a variable of bash".into();
            let at = self.before + at;
            return Err(CodeFound { what, at });
        }
        for (name, part) in self.search.names.iter().zip(&mut self.parts) {
            let place = self.tail.windows(name.len()).position(|w| w == *name);
            let spread = self.search.guard.cut && is_spread(name, part, &self.tail);
            if place.is_some() || spread {
                let name = String::from_utf8_lossy(name);
                return Err(CodeFound {
                    what: format!("`{name}`, the name of an environment variable that holds code,"),
                    at: self.before + place.unwrap_or_default(),
                });
            }
        }
        Ok(())
    }

    /// What can only be said at the end.
    fn end(&self) -> Result<(), CodeFound> {
        if let Some(at) = self.equals {
            let what = "an assignment (`=`)".into();
            return Err(CodeFound { what, at });
        }
        if let Some((b'+' | b'-' | b'<' | b'>', _)) = self.edge {
            let what = "an operator at its end".into();
            let at = self.read.saturating_sub(1);
            return Err(CodeFound { what, at });
        }
        self.end_of_run(self.read)?;
        self.part_of_name(self.read)?;
        if let Some(at) = self.steps {
            let what = "`++` or `--`".into();
            return Err(CodeFound { what, at });
        }
        Ok(())
    }
}

/// Whether the text goes on with the rest of the name, with anything in between.
fn is_spread(name: &[u8], part: &mut usize, text: &[u8]) -> bool {
    for byte in text {
        if name.get(*part) == Some(byte) {
            *part += 1;
        }
    }
    *part >= name.len()
}

fn refusal(found: &CodeFound, checked: &Checked) -> String {
    let Checked { what, help, secret } = checked;
    if *secret {
        return format!(
            "{what} holds what bash would evaluate where it expects a number; it is a secret, so that it is not said what; {help}"
        );
    }
    format!(
        "{what} holds {} at byte {}, and bash would evaluate it as a number; {help}",
        found.what, found.at
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(value: &str, guard: Guard, environment: &[&str]) -> Option<String> {
        let environment: Vec<CString> = environment
            .iter()
            .map(|text| CString::new(*text).expect("no NUL"))
            .collect();
        let search = CodeSearch::new(&environment, guard);
        let mut whole = Scan::new(&search);
        let at_once = whole.take(value.as_bytes()).and_then(|()| whole.end());
        let mut single = Scan::new(&search);
        let by_byte = value
            .as_bytes()
            .chunks(1)
            .try_for_each(|byte| single.take(byte))
            .and_then(|()| single.end());
        assert_eq!(at_once.is_err(), by_byte.is_err(), "{value}");
        at_once.err().map(|found| found.what)
    }

    #[test]
    fn assignments_are_found() {
        let guard = Guard::default();
        for value in [
            "PATH=7",
            "dir=0",
            "i=-1,9",
            "x+=2",
            "x <<= 1",
            "a[0]=1",
            "=7",
            "x=",
            "n++",
            "++n",
            "-- n",
            "n --",
            "++",
            "a == b = c",
            "a[$",
            "x >>=2",
            "n-",
            "n + ",
            "n <",
            "-n",
            " - n",
            ">1",
            "BASH_COMMAND",
            "_",
            "1 + _",
        ] {
            assert!(found(value, guard, &[]).is_some(), "{value}");
        }
        for value in [
            "5", "-5", "a == b", "a<=b", "a >= b", "a != b", "a - b", "a_b _c", "x+1", "100%",
            "%n", "web01",
        ] {
            assert_eq!(found(value, guard, &[]), None, "{value}");
        }
        let formats = Guard {
            formats: true,
            ..guard
        };
        for value in ["%n", "a%-5n", "%%%n", "%ln"] {
            assert!(found(value, formats, &[]).is_some(), "{value}");
        }
        assert!(found("100% now", formats, &[]).is_some());
        assert_eq!(found("%%n %d", formats, &[]), None);
    }

    #[test]
    fn names_of_variables_that_hold_code_are_found() {
        let environment = ["A=B", "B=a[$(touch X)]", "C=1", "SPITE=`x`", "PS1=\\u"];
        let guard = Guard::default();
        for value in ["A", "x + A", "SPITE", "xSPITE"] {
            assert!(found(value, guard, &environment).is_some(), "{value}");
        }
        for value in ["C", "SP%ITE", "5", "PS1"] {
            assert_eq!(found(value, guard, &environment), None, "{value}");
        }
        let cut = Guard { cut: true, ..guard };
        assert!(found("SP%ITE", cut, &environment).is_some());
        assert!(found("x<=1", cut, &environment).is_some());
        let glued = Guard {
            glued: true,
            ..guard
        };
        for value in ["ITE", "ITE + 1", "1 + SP"] {
            assert!(found(value, glued, &environment).is_some(), "{value}");
        }
        assert_eq!(found("1 + ITE + 1", glued, &environment), None);
    }
}
