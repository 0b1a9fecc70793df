//! Node sets (SPEC §1.1): `web[01-20].prod,!web[05-06]`, expanded and folded.
//!
//! ```text
//! set    := entry { "," entry }
//! entry  := [ "!" ] ( "file:" PATH | { text | range } )
//! range  := "[" part { "," part } "]"
//! part   := digits [ "-" digits [ "/" step ] ]
//! ```
#![forbid(unsafe_code)]

use super::host;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

/// The most hosts a set may have.
pub const MOST: usize = 100_000;

/// Why a set cannot be used; `at` and `length` are bytes in the text.
#[derive(Debug, PartialEq)]
pub struct BadSet {
    pub at: usize,
    pub length: usize,
    pub message: String,
}

/// The hosts in the order given, each once.
#[derive(Debug, Default, PartialEq)]
pub struct NodeSet {
    pub hosts: Vec<String>,
    /// Hosts that were given more than once.
    pub repeated: Vec<String>,
}

/// What `--limit` and `--exclude` leave of every block over hosts.
#[derive(Default)]
pub struct Selection {
    pub limit: Option<HashSet<String>>,
    pub exclude: HashSet<String>,
}

impl Selection {
    pub fn allows(&self, host: &str) -> bool {
        self.limit.as_ref().is_none_or(|l| l.contains(host)) && !self.exclude.contains(host)
    }
}

/// Expands a node set. Relative `file:` paths begin at `directory`.
///
/// # Errors
/// A malformed range, a bad host name, a file that cannot be read, more than
/// 100000 hosts. An empty set is none: what it means is for the caller.
pub fn expand(text: &str, directory: &Path) -> Result<NodeSet, BadSet> {
    let mut set = NodeSet::default();
    let mut seen = HashSet::new();
    let mut excluded = HashSet::new();
    for (at, entry) in entries(text) {
        let wrong = |message: String| BadSet {
            at,
            length: entry.len(),
            message,
        };
        let (exclude, name) = entry
            .strip_prefix('!')
            .map_or((false, entry), |rest| (true, rest.trim()));
        let hosts = match name.strip_prefix("file:") {
            Some(path) => read_file(&directory.join(path)).map_err(wrong)?,
            None => expand_entry(name).map_err(wrong)?,
        };
        for host in hosts {
            if exclude {
                excluded.insert(host);
            } else if !seen.insert(host.clone()) {
                set.repeated.push(host);
            } else if set.hosts.len() == MOST {
                return Err(wrong(format!("more than {MOST} hosts")));
            } else {
                set.hosts.push(host);
            }
        }
    }
    set.hosts.retain(|h| !excluded.contains(h));
    set.repeated.retain(|h| !excluded.contains(h));
    Ok(set)
}

/// The entries with their offsets: cut at commas outside brackets.
fn entries(text: &str) -> Vec<(usize, &str)> {
    let mut out = Vec::new();
    let (mut from, mut depth) = (0, 0usize);
    for (at, c) in text.char_indices().chain([(text.len(), ',')]) {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 || at == text.len() => {
                let part = &text[from..at];
                let head = part.len() - part.trim_start().len();
                if !part.trim().is_empty() {
                    out.push((from + head, part.trim()));
                }
                from = at + 1;
            }
            _ => {}
        }
    }
    out
}

/// The hosts of a file. A `!` in it takes hosts out of this file's, so that
/// `!file:PATH` names just what `file:PATH` does.
fn read_file(path: &Path) -> Result<Vec<String>, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| format!("cannot read host file `{}`: {e}", path.display()))?;
    let mut hosts = Vec::new();
    let mut excluded = HashSet::new();
    for (number, line) in text.lines().enumerate() {
        let line = super::keys::without_comment(line.trim());
        for (_, entry) in entries(line) {
            let wrong = |e| format!("{}:{}: {e}", path.display(), number + 1);
            match entry.strip_prefix('!') {
                Some(entry) => excluded.extend(expand_entry(entry.trim()).map_err(wrong)?),
                None => hosts.extend(expand_entry(entry).map_err(wrong)?),
            }
            if hosts.len() > MOST {
                return Err(format!("`{}` has more than {MOST} hosts", path.display()));
            }
        }
    }
    hosts.retain(|h| !excluded.contains(h));
    Ok(hosts)
}

/// One entry without `!` and `file:`.
fn expand_entry(entry: &str) -> Result<Vec<String>, String> {
    let mut names = vec![String::new()];
    let mut rest = entry;
    while let Some(open) = rest.find('[') {
        let close = rest[open..]
            .find(']')
            .ok_or_else(|| format!("`[` without `]` in `{entry}`"))?
            + open;
        let inside = &rest[open + 1..close];
        // `[::1]` is an address, not a range.
        let choices = if inside.contains(':') {
            vec![format!("[{inside}]")]
        } else {
            range(inside)?
        };
        if names.len().saturating_mul(choices.len()) > MOST {
            return Err(format!("`{entry}` has more than {MOST} hosts"));
        }
        let before = &rest[..open];
        names = names
            .iter()
            .flat_map(|n| choices.iter().map(move |c| format!("{n}{before}{c}")))
            .collect();
        rest = &rest[close + 1..];
    }
    for name in &mut names {
        name.push_str(rest);
        host::check(name)?;
    }
    Ok(names)
}

fn range(inside: &str) -> Result<Vec<String>, String> {
    let mut out = Vec::new();
    for part in inside.split(',').map(str::trim) {
        let bad = || {
            format!("expected a range such as `[1-9]`, `[01-20]` or `[1-9/2]`, found `[{inside}]`")
        };
        let (ends, step) = part.split_once('/').map_or((part, "1"), |(e, s)| (e, s));
        let (first, last) = ends.split_once('-').unwrap_or((ends, ends));
        let digits =
            |text: &str| (1..=18).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(first) || !digits(last) || !digits(step) {
            return Err(bad());
        }
        let read = |text: &str| text.parse::<u64>().map_err(|_| bad());
        let (from, to, step) = (read(first)?, read(last)?, read(step)?);
        if step == 0 || to < from {
            return Err(format!("the range `{part}` runs backwards or has no step"));
        }
        if (to - from) / step >= MOST as u64 {
            return Err(format!("the range `{part}` has more than {MOST} hosts"));
        }
        let width = if first.starts_with('0') {
            first.len()
        } else {
            0
        };
        out.extend(
            (from..=to)
                .step_by(step as usize)
                .map(|n| format!("{n:0width$}")),
        );
    }
    Ok(out)
}

/// A part of a host name while folding.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Token {
    Text(String),
    /// Numbers as (zero padding, value).
    Numbers(BTreeSet<(usize, u64)>),
}

/// The shortest node set of these hosts: `web[01-20],db[1-3]`. Expanding it
/// gives the same hosts.
pub fn fold<S: AsRef<str>>(hosts: &[S]) -> String {
    let mut names: Vec<Vec<Token>> = Vec::new();
    let mut seen = HashSet::new();
    for host in hosts {
        if seen.insert(host.as_ref()) {
            names.push(tokens(host.as_ref()));
        }
    }
    let width = names.iter().map(Vec::len).max().unwrap_or(0);
    for position in (0..width).rev() {
        names = merge(names, position);
    }
    let mut folded: Vec<(Vec<(usize, u64)>, String)> =
        names.iter().map(|n| (order(n), show(n))).collect();
    folded.sort_by(|a, b| {
        stem(&a.1)
            .cmp(stem(&b.1))
            .then_with(|| a.0.cmp(&b.0))
            .then_with(|| a.1.cmp(&b.1))
    });
    folded
        .into_iter()
        .map(|(_, text)| text)
        .collect::<Vec<_>>()
        .join(",")
}

fn stem(text: &str) -> &str {
    text.split(|c: char| c.is_ascii_digit() || c == '[')
        .next()
        .unwrap_or(text)
}

fn order(name: &[Token]) -> Vec<(usize, u64)> {
    let first = |t: &Token| match t {
        Token::Numbers(set) => set.first().copied(),
        Token::Text(_) => None,
    };
    name.iter().filter_map(first).collect()
}

fn tokens(host: &str) -> Vec<Token> {
    // An IPv6 address, or digits too long for a number, are left as they are.
    let long = host
        .split(|c: char| !c.is_ascii_digit())
        .any(|run| run.len() > 18);
    if host.contains(['[', ':']) || long {
        return vec![Token::Text(host.to_string())];
    }
    let mut out = Vec::new();
    let mut rest = host;
    while !rest.is_empty() {
        let digit = rest.as_bytes()[0].is_ascii_digit();
        let end = rest
            .find(|c: char| c.is_ascii_digit() != digit)
            .unwrap_or(rest.len());
        let part = &rest[..end];
        rest = &rest[end..];
        out.push(match (digit, part.parse()) {
            (true, Ok(value)) => Token::Numbers(BTreeSet::from([(padding(part), value)])),
            _ => Token::Text(part.to_string()),
        });
    }
    out
}

fn padding(digits: &str) -> usize {
    if digits.len() > 1 && digits.starts_with('0') {
        digits.len()
    } else {
        0
    }
}

/// Joins the names that differ only in the numbers at `position`.
fn merge(names: Vec<Vec<Token>>, position: usize) -> Vec<Vec<Token>> {
    let mut groups: HashMap<Vec<Token>, usize> = HashMap::new();
    let mut out: Vec<Vec<Token>> = Vec::new();
    for mut name in names {
        let Some(Token::Numbers(numbers)) = name.get_mut(position) else {
            out.push(name);
            continue;
        };
        let numbers = std::mem::take(numbers);
        match groups.get(&name) {
            Some(index) => {
                if let Token::Numbers(set) = &mut out[*index][position] {
                    set.extend(numbers);
                }
            }
            None => {
                groups.insert(name.clone(), out.len());
                name[position] = Token::Numbers(numbers);
                out.push(name);
            }
        }
    }
    out
}

fn show(name: &[Token]) -> String {
    name.iter()
        .map(|token| match token {
            Token::Text(text) => text.clone(),
            Token::Numbers(set) => show_numbers(set),
        })
        .collect()
}

fn show_numbers(set: &BTreeSet<(usize, u64)>) -> String {
    let widths: BTreeSet<usize> = set.iter().map(|(w, _)| *w).filter(|w| *w > 0).collect();
    // `10` stands between `09` and `11` of a padded range.
    let home = |(width, value): (usize, u64)| match width {
        0 => widths
            .iter()
            .rev()
            .find(|w| **w <= value.to_string().len())
            .copied()
            .unwrap_or(0),
        width => width,
    };
    let placed: BTreeSet<(usize, u64)> = set.iter().map(|n| (home(*n), n.1)).collect();
    let mut runs: Vec<(usize, u64, u64)> = Vec::new();
    for (width, value) in placed {
        match runs.last_mut() {
            Some((w, _, last)) if *w == width && *last + 1 == value => *last = value,
            _ => runs.push((width, value, value)),
        }
    }
    let text = |(width, first, last): &(usize, u64, u64)| match first == last {
        true => format!("{first:0width$}"),
        false => format!("{first:0width$}-{last:0width$}"),
    };
    match runs.as_slice() {
        [one] if one.1 == one.2 => text(one),
        runs => format!("[{}]", runs.iter().map(text).collect::<Vec<_>>().join(",")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(text: &str) -> Vec<String> {
        expand(text, Path::new("."))
            .unwrap_or_else(|e| panic!("{text}: {}", e.message))
            .hosts
    }

    #[test]
    fn ranges_expand_in_order() {
        assert_eq!(hosts("b,a"), ["b", "a"]);
        assert_eq!(
            hosts("web[08-11].prod"),
            ["web08.prod", "web09.prod", "web10.prod", "web11.prod"]
        );
        assert_eq!(hosts("r[1-2]n[1-2]"), ["r1n1", "r1n2", "r2n1", "r2n2"]);
        assert_eq!(hosts("db[1-9/4,20]"), ["db1", "db5", "db9", "db20"]);
        assert_eq!(hosts("web[1-4], !web[2-3]"), ["web1", "web4"]);
        assert_eq!(hosts("[::1],a"), ["[::1]", "a"]);
        assert_eq!(hosts(""), Vec::<String>::new());
    }

    #[test]
    fn repeated_hosts_run_once() {
        let set = expand("a,b,a", Path::new(".")).unwrap_or_default();
        assert_eq!(
            (set.hosts, set.repeated),
            (vec!["a".into(), "b".into()], vec!["a".to_string()])
        );
    }

    #[test]
    fn mistakes_are_placed() {
        let wrong = |text: &str| {
            expand(text, Path::new("."))
                .map(|s| s.hosts)
                .expect_err(text)
        };
        assert_eq!((wrong("a,b[1-").at, wrong("a, b[x]").length), (2, 4));
        for bad in [
            "a[2-1]",
            "a[1-5/0]",
            "a[]",
            "a[1-99999999]",
            "a[1-1000]b[1-1000]",
            "-x",
            "a b",
            "file:/nowhere/x",
        ] {
            wrong(bad);
        }
    }

    #[test]
    fn folding_is_compact() {
        let fold = |text: &str| super::fold(&hosts(text));
        assert_eq!(fold("web3,web1,web2,db1"), "db1,web[1-3]");
        assert_eq!(fold("web[01-97],web99"), "web[01-97,99]");
        assert_eq!(fold("r[1-3]n[1-4].x"), "r[1-3]n[1-4].x");
        assert_eq!(fold("n[098-102]"), "n[098-102]");
        assert_eq!(fold("a1,a01,a001"), "a[1,01,001]");
        assert_eq!(fold("[::1],127.0.0.[2-5]"), "[::1],127.0.0.[2-5]");
    }

    /// A small generator with a fixed seed (xorshift).
    fn random(state: &mut u64, below: u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state % below
    }

    #[test]
    fn folding_loses_and_invents_nothing() {
        let mut state = 0x5eed_1234_u64;
        for _ in 0..2000 {
            let mut names: Vec<String> = Vec::new();
            for _ in 0..1 + random(&mut state, 40) {
                let stem = ["web", "db", "r", ""][random(&mut state, 4) as usize];
                let width = random(&mut state, 4) as usize;
                let number = random(&mut state, 130);
                let tail = ["", ".prod", "n1", "n02"][random(&mut state, 4) as usize];
                names.push(format!("{stem}x{number:0width$}{tail}"));
            }
            let mut before: Vec<String> = names.clone();
            before.sort();
            before.dedup();
            let folded = fold(&names);
            let mut after = hosts(&folded);
            after.sort();
            assert_eq!(before, after, "{folded}");
            assert_eq!(fold(&hosts(&folded)), folded);
        }
    }
}
