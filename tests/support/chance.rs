//! Generated input with a seed: the same in every run, different with another seed.
//! The unit tests of `src/text` and others use it as well.
#![allow(dead_code)]

/// What may confuse a reader of text, alone or with other text.
pub const HOSTILE: [&str; 50] = [
    "",
    " ",
    "\t",
    "\r",
    "\n",
    "\\",
    "'",
    "\"",
    "`",
    "$",
    "$(",
    "${",
    "${A:-",
    "}",
    "@",
    "@@",
    "@1_stdout@",
    "@1_stdout:-",
    "@1_stdout:-a b@",
    "@task@",
    "@A@",
    "@1_",
    "#",
    "=",
    "!",
    "(",
    ")",
    "[",
    "]",
    "[1-",
    "[01-9/2]",
    "{",
    "<<E",
    ",",
    ",,",
    ";",
    "&",
    "|",
    " AND ",
    " OR ",
    "NOT ",
    "~",
    "-",
    "%",
    "*",
    "\u{1b}[31m",
    "\u{202e}",
    "\u{fc}\u{301}",
    "\u{1f600}",
    "\u{feff}",
];

/// Numbers that are too small, too large or not numbers.
pub const NUMBERS: [&str; 14] = [
    "0",
    "1",
    "-1",
    "007",
    "1.5",
    "1e9",
    "100000",
    "999999",
    "1000000",
    "2147483648",
    "4294967296",
    "18446744073709551616",
    "0x10",
    "\u{661}",
];

/// xorshift64.
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Chance {
        // It would stay at zero forever.
        Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number from 0 to `count - 1`; `count` is not 0.
    pub fn below(&mut self, count: usize) -> usize {
        ((self.next() >> 16) % count as u64) as usize
    }

    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// Up to `most` of these pieces and hostile ones, joined.
    pub fn text(&mut self, pieces: &[&str], most: usize) -> String {
        let mut text = String::new();
        for _ in 0..self.below(most + 1) {
            text.push_str(match self.below(3) {
                0 => self.one_of(&HOSTILE),
                _ => self.one_of(pieces),
            });
        }
        text
    }

    /// The bytes of such a text, some of them replaced by random bytes.
    pub fn bytes(&mut self, pieces: &[&str], most: usize) -> Vec<u8> {
        let mut bytes = self.text(pieces, most).into_bytes();
        for _ in 0..self.below(3) {
            if !bytes.is_empty() {
                let at = self.below(bytes.len());
                bytes[at] = self.next() as u8;
            }
        }
        bytes
    }

    /// One of the files, changed in a few places as by a typing error, a bad merge
    /// or a full disk.
    pub fn file(&mut self, files: &[Vec<u8>]) -> Vec<u8> {
        let mut lines = self.lines(files);
        // Usually one change: if a file has many, only the first matters.
        for _ in 0..1 + self.below(5) * self.below(2) * self.below(2) {
            self.change(&mut lines, files);
        }
        let mut bytes = lines.join(&b'\n');
        if self.below(8) == 0 {
            bytes.truncate(self.below(bytes.len() + 1));
        }
        bytes
    }

    fn lines(&mut self, files: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let file = &files[self.below(files.len())];
        file.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect()
    }

    fn change(&mut self, lines: &mut Vec<Vec<u8>>, files: &[Vec<u8>]) {
        if lines.is_empty() {
            return;
        }
        let (at, other) = (self.below(lines.len()), self.below(lines.len()));
        let place = self.below(lines[at].len() + 1);
        match self.below(11) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(other, lines[at].clone()),
            2 => lines.swap(at, other),
            3 => {
                let strange = self.lines(files);
                lines.insert(at, strange[self.below(strange.len())].clone());
            }
            4 => lines[at] = [key(&lines[at]), b"=", value(&lines[other])].concat(),
            5 => {
                let new = self.one_of(&NUMBERS);
                lines[at] = [key(&lines[at]), b"=", new.as_bytes()].concat();
            }
            6 => {
                let new = self.text(&NUMBERS, 3);
                lines[at] = [key(&lines[at]), b"=", new.as_bytes()].concat();
            }
            7 | 8 => {
                let new = self.one_of(&HOSTILE).bytes();
                lines[at].splice(place..place, new);
            }
            9 => {
                let end = lines[at].len().min(place + self.below(20));
                drop(lines[at].drain(place..end));
            }
            _ => {
                let byte = self.next() as u8;
                lines[at].insert(place, byte);
            }
        }
    }
}

fn key(line: &[u8]) -> &[u8] {
    line.split(|b| *b == b'=').next().unwrap_or_default()
}

fn value(line: &[u8]) -> &[u8] {
    match line.iter().position(|b| *b == b'=') {
        Some(at) => &line[at + 1..],
        None => line,
    }
}

/// The shipped task files and those of the golden cases; valid ones several times,
/// because most cases are about mistakes.
pub fn task_files() -> Vec<Vec<u8>> {
    let tests = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let list = |directory: &str| {
        let entries = std::fs::read_dir(tests.join(directory)).expect("the files");
        let mut paths: Vec<_> = entries.flatten().map(|e| e.path()).collect();
        paths.sort();
        paths
    };
    let is_broken = |case: &std::path::PathBuf| case.to_string_lossy().contains("/broken-");
    let (broken, good): (Vec<_>, Vec<_>) = list("cases").into_iter().partition(is_broken);
    let in_cases = |cases: Vec<std::path::PathBuf>| cases.into_iter().map(|c| c.join("tasks.txt"));
    let good: Vec<_> = in_cases(good).chain(list("files")).collect();
    let all = [good.clone(), good.clone(), good, in_cases(broken).collect()].concat();
    let bytes = all.iter().filter_map(|path| std::fs::read(path).ok());
    // A large one would take the time of all the others.
    bytes.filter(|b| b.len() < 10_000).collect()
}
