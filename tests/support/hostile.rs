//! Hostile data, and shell scripts that use it in every quoting context, shared by
//! the tests of local and remote data.
#![allow(dead_code)]

use crate::support::Sandbox;

/// What outputs may contain; each would create `PWNED` if any part of it were
/// executed.
pub fn hostile() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = [
        "plain",
        "",
        "'",
        "\"",
        "it's \"quoted\" 'twice'",
        "$(touch PWNED)",
        "`touch PWNED`",
        "; touch PWNED;",
        "\n touch PWNED \n",
        "a\nb\n\nc",
        "' ; touch PWNED ; '",
        "\" ; touch PWNED ; \"",
        "\\'; touch PWNED; \\\"",
        "')\"; touch PWNED; #",
        "}; touch PWNED; {",
        "a[$(touch PWNED)]",
        "x=$(touch PWNED)",
        "| touch PWNED &",
        "> PWNED",
        "@1_stdout@ @@ @nothing@ @",
        "%s %d %n %%",
        "\\",
        "\\\\ \\n \\$ \\",
        "-n",
        "--help",
        "-e \\x41",
        "* ? [a-z]* ~ {a,b} !!",
        "$HOME ${PATH} $0 $$ $1",
        "${IFS}touch${IFS}PWNED",
        "  two  spaces\tand tab  ",
        "# comment",
        "exit_0 | true",
        "\u{fc}\u{4e2d}\u{1f600}\u{202e}",
        "\r\n\u{b}\u{c}\u{1b}[31m",
    ]
    .iter()
    .map(|t| t.as_bytes().to_vec())
    .collect();
    all.push(b"\xff\xfe\x80 not utf-8 \xc3".to_vec());
    all.push((1..=255).filter(|b| *b != b'\n').collect());
    all
}

/// A program that writes its arguments after the first, each ended by NUL, to the
/// file named by the first.
pub const ARGV: &str = "#!/bin/sh\nout=$1\nshift\nprintf '%s\\0' \"$@\" > \"$out\"\n";

/// Tasks from 100 on that print the hostile data, one each.
pub fn producers(sandbox: &Sandbox, data: &[Vec<u8>]) -> String {
    let mut tasks = String::new();
    for (number, bytes) in data.iter().enumerate() {
        sandbox.file(&format!("in/{number}"), bytes);
        tasks += &format!(
            "task={}\nexec=local\ncommand=cat in/{number}\n",
            100 + number
        );
    }
    std::fs::create_dir_all(sandbox.path.join("out")).expect("a directory");
    sandbox.program("argv", ARGV);
    tasks
}

/// The value of a reference to an output.
pub fn trimmed(bytes: &[u8]) -> Vec<u8> {
    let end = bytes.iter().rposition(|b| *b != b'\n').map_or(0, |i| i + 1);
    bytes[..end].iter().copied().filter(|b| *b != 0).collect()
}

pub fn words(words: &[&[u8]]) -> Vec<u8> {
    words.iter().flat_map(|w| [*w, b"\0"].concat()).collect()
}

#[track_caller]
pub fn same(sandbox: &Sandbox, file: &str, expected: &[u8], what: &str) {
    let found = std::fs::read(sandbox.path.join(file)).unwrap_or_default();
    if found != expected {
        let show = |b: &[u8]| String::from_utf8_lossy(&b[..b.len().min(400)]).into_owned();
        panic!(
            "{what}\nfound    {:?}\nexpected {:?}",
            show(&found),
            show(expected)
        );
    }
}

#[track_caller]
pub fn nothing_was_run(sandbox: &Sandbox) {
    for place in ["PWNED", "in/PWNED", "out/PWNED"] {
        assert!(!sandbox.exists(place), "data was run: {place}");
    }
}

/// xorshift64: the same scripts in every run.
pub fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Generates words of a shell script and knows what the shell makes of them.
pub struct Writer<'a> {
    pub state: u64,
    pub data: &'a [Vec<u8>],
}

/// A piece of script and the bytes that it produces.
pub type Part = (String, Vec<u8>);

impl Writer<'_> {
    pub fn pick(&mut self, count: usize) -> usize {
        (next(&mut self.state) >> 20) as usize % count
    }

    pub fn literal(&mut self, choices: &[&str]) -> Part {
        let text = choices[self.pick(choices.len())];
        (text.into(), text.into())
    }

    pub fn reference(&mut self) -> Part {
        let number = self.pick(self.data.len());
        let text = format!("@{}_stdout@", 100 + number);
        (text, trimmed(&self.data[number]))
    }

    pub fn join(&mut self, most: usize, part: impl Fn(&mut Self) -> Part) -> Part {
        let mut out = Part::default();
        for _ in 0..1 + self.pick(most) {
            let (text, bytes) = part(self);
            out.0 += &text;
            out.1 = [out.1, bytes].concat();
        }
        out
    }

    /// One word, in any mixture of quotes.
    pub fn word(&mut self, depth: usize) -> Part {
        self.join(4, |w| match w.pick(8) {
            0 => w.literal(&["a", "b.c", "=", "x-", "case", "esac", "a#b", ",", "%"]),
            1 => {
                let (text, bytes) =
                    w.literal(&["'", "\"", "$", "\\", "(", ")", ";", "#", "`", " "]);
                (format!("\\{text}"), bytes)
            }
            2 => {
                let (text, bytes) = w.join(3, |w| match w.pick(2) {
                    0 => w.literal(&["\"", "\\", "$(", ")", "`", " # ", "a", "$", "${", "; "]),
                    _ => w.reference(),
                });
                (format!("'{text}'"), bytes)
            }
            3 | 4 => w.double(depth),
            5 => {
                let (text, bytes) = w.reference();
                match w.pick(6) {
                    0 => (format!("${text}"), [b"$", &bytes[..]].concat()),
                    1 => (format!("\\{text}"), [b"\\", &bytes[..]].concat()),
                    _ => (text, bytes),
                }
            }
            6 => match w.pick(4) {
                0 => ("${NOPE:-it}".into(), b"it".to_vec()),
                1 => ("$((1 + (2) * 3))".into(), b"7".to_vec()),
                2 => ("$'\\x41\\''".into(), b"A'".to_vec()),
                _ => ("`echo 'q'`".into(), b"q".to_vec()),
            },
            _ => w.reference(),
        })
    }

    pub fn double(&mut self, depth: usize) -> Part {
        let (text, bytes) = self.join(4, |w| match w.pick(7) {
            0 => w.literal(&[
                "'",
                " ",
                "a",
                ")",
                "(",
                "#",
                " # ",
                ";",
                "it's",
                "case x in",
            ]),
            1 => {
                let (text, bytes) = w.literal(&["\"", "$", "\\", "`"]);
                (format!("\\{text}"), bytes)
            }
            2 | 3 if depth > 0 => {
                let (text, bytes) = w.command(depth - 1);
                // A substitution loses its trailing newlines.
                (format!("$({text})"), trimmed(&bytes))
            }
            4 => ("${NOPE:-'}'}".into(), b"'}'".to_vec()),
            5 => {
                let (text, bytes) = w.reference();
                match w.pick(4) {
                    0 => (format!("${text}"), [b"$", &bytes[..]].concat()),
                    1 => (format!("\\{text}"), [b"\\", &bytes[..]].concat()),
                    _ => (text, bytes),
                }
            }
            _ => w.reference(),
        });
        (format!("\"{text}\""), bytes)
    }

    /// A command that prints one word, in any compound command of the shell.
    pub fn command(&mut self, depth: usize) -> Part {
        let (word, bytes) = self.word(depth);
        let print = format!("printf %s {word}");
        let text = match self.pick(14) {
            0 => format!("if true; then {print}; else :; fi"),
            1 => format!(" ({print}) "),
            2 => format!("{{ {print}; }}"),
            3 => format!("case x in (y) : ;; x) {print} ;; esac"),
            4 => format!("case x in x) {print};; z) ;; esac"),
            5 => format!("for i in one; do {print}; done"),
            6 => format!("f() {{ {print}; }}; f"),
            7 => format!("v={word}; printf %s \"$v\""),
            // bash 5.2 miscounts `\(` and `\'` in a list inside `$(…)`.
            8 if !word.contains('\\') => format!("v=(a {word} b); printf %s \"${{v[1]}}\""),
            9 => format!("cat <(printf %s {word})"),
            10 => format!("[[ x{word} = x{word} ]] && {print}"),
            11 => format!("if [ 1 -eq 1 ] && (( 2 > 1 )); then {print}; fi"),
            12 => format!("for ((i = 0; i < 1; i++)); do {print}; done"),
            _ => print,
        };
        (text, bytes)
    }
}
