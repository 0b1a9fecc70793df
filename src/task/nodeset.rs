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
use super::host_files::HostFiles;
use crate::text::decimal::parse_digits;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// The most hosts a set may have.
pub const MOST: usize = 100_000;
/// The most hosts that a set can list, counting repeated and excluded ones.
const MOST_WRITTEN: usize = 10 * MOST;
/// How many repeated hosts are kept, for a warning.
const MOST_REPEATED: usize = 100;

/// Why a set cannot be used; `at` and `length` are in bytes of the text.
#[derive(Debug, PartialEq)]
pub struct BadNodeSet {
    pub at: usize,
    pub length: usize,
    pub message: String,
}

/// The hosts in the order written, each once.
#[derive(Debug, Default, PartialEq)]
pub struct NodeSet {
    pub hosts: Vec<String>,
    /// The first hosts that were given more than once.
    pub repeated: Vec<String>,
}

/// Which hosts of every block `--limit` and `--exclude` allow. A name without a user is
/// that machine for any user; one with a user is only that.
#[derive(Clone, Default, PartialEq)]
pub struct HostFilter {
    pub limit: Option<HashSet<String>>,
    pub exclude: HashSet<String>,
}

impl HostFilter {
    pub fn allows(&self, host: &str) -> bool {
        let limit = self.limit.as_ref();
        limit.is_none_or(|limit| names(limit, host)) && !names(&self.exclude, host)
    }
}

/// Whether the set names the host, with its user or without.
fn names(set: &HashSet<String>, host: &str) -> bool {
    set.contains(host) || set.contains(host::split_user(host).1)
}

/// Expands a node set with the host files that it names.
///
/// # Errors
/// A malformed range, a bad host name, a file that cannot be read, more than
/// 100,000 hosts. An empty set is not an error here; the caller decides.
pub fn expand(text: &str, files: &HostFiles) -> Result<NodeSet, BadNodeSet> {
    let mut builder = NodeSetBuilder::default();
    for (at, entry) in entries(text) {
        let (exclude, name) = split_exclusion(entry);
        let added = match name.strip_prefix("file:") {
            Some(path) => {
                read_file(path, false, files).and_then(|hosts| builder.add(exclude, hosts))
            }
            None => expand_entry(name).and_then(|hosts| builder.add(exclude, hosts)),
        };
        added.map_err(|message| BadNodeSet {
            at,
            length: entry.len(),
            message,
        })?;
    }
    Ok(builder.finish())
}

/// The hosts that a set takes from host files.
pub fn hosts_of_files(text: &str, files: &HostFiles) -> HashSet<String> {
    let names = entries(text)
        .into_iter()
        .map(|(_, entry)| split_exclusion(entry).1);
    let paths = names.filter_map(|name| name.strip_prefix("file:"));
    paths
        .filter_map(|path| read_file(path, false, files).ok())
        .flatten()
        .collect()
}

/// A node set being built from its entries.
#[derive(Default)]
pub(super) struct NodeSetBuilder {
    set: NodeSet,
    seen: HashSet<String>,
    excluded: HashSet<String>,
    written: usize,
}

impl NodeSetBuilder {
    pub(super) fn add(&mut self, exclude: bool, hosts: Vec<String>) -> Result<(), String> {
        self.written += hosts.len();
        if self.written > MOST_WRITTEN {
            return Err(format!(
                "the node set lists more than {MOST_WRITTEN} hosts, counting repeated and excluded ones"
            ));
        }
        for host in hosts {
            if exclude {
                self.excluded.insert(host);
            } else if !self.seen.insert(host.clone()) {
                if self.set.repeated.len() < MOST_REPEATED && !self.set.repeated.contains(&host) {
                    self.set.repeated.push(host);
                }
            } else if self.set.hosts.len() == MOST {
                return Err(format!("the node set has more than {MOST} hosts"));
            } else {
                self.set.hosts.push(host);
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> NodeSet {
        self.set.hosts.retain(|h| !self.excluded.contains(h));
        self.set.repeated.retain(|h| !self.excluded.contains(h));
        self.set
    }
}

/// The hosts whose names are written, at least partly, in one of these ranges of the
/// text, and nowhere else in it. The path of a `file:` is no name.
pub fn hosts_written_in(text: &str, ranges: &[Range<usize>]) -> HashSet<String> {
    let (mut inside, mut outside) = (HashSet::new(), HashSet::new());
    // Mostly there are none, and a set can be large.
    let entries = Some(entries(text)).filter(|_| !ranges.is_empty());
    for (at, entry) in entries.unwrap_or_default() {
        let (exclude, name) = split_exclusion(entry);
        if exclude || name.starts_with("file:") {
            continue;
        }
        let touches = |r: &Range<usize>| r.start < at + entry.len() && at < r.end;
        let hosts = expand_entry(name).unwrap_or_default();
        match ranges.iter().any(touches) {
            true => inside.extend(hosts),
            false => outside.extend(hosts),
        }
    }
    inside.retain(|host| !outside.contains(host));
    inside
}

/// Whether the entry excludes hosts, and the entry without its `!`.
fn split_exclusion(entry: &str) -> (bool, &str) {
    match entry.strip_prefix('!') {
        Some(rest) => (true, rest.trim()),
        None => (false, entry),
    }
}

/// The entries with their offsets, separated by commas outside brackets.
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

/// The hosts of a file, which is a set of its own: each line is a host or a set.
pub(super) fn read_file(
    shown: &str,
    plain: bool,
    files: &HostFiles,
) -> Result<Vec<String>, String> {
    let text = files.lines(shown, plain)?;
    let mut builder = NodeSetBuilder::default();
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = super::keys::without_comment(line.trim());
        for (_, entry) in entries(line) {
            let (exclude, name) = split_exclusion(entry);
            let hosts = match name.starts_with("file:") {
                true => Err("a host file cannot include another".into()),
                false => expand_entry(name),
            };
            hosts
                .and_then(|hosts| builder.add(exclude, hosts))
                .map_err(|e| format!("{shown}:{}: {e}", number + 1))?;
        }
    }
    Ok(builder.finish().hosts)
}

/// Expands an entry without `!` and `file:`.
pub(super) fn expand_entry(entry: &str) -> Result<Vec<String>, String> {
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
        // Checked here too, so that a million brackets do not copy the name as often.
        if let Some(first) = names.first().filter(|n| n.len() + before.len() > 253) {
            host::check(&format!("{first}{before}"))?;
        }
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
        let number = |text: &str| parse_digits(text, 18).ok_or_else(bad);
        let (from, to, step) = (number(first)?, number(last)?, number(step)?);
        if step == 0 || to < from {
            return Err(format!(
                "the range `{part}` runs backwards or has a step of 0"
            ));
        }
        if (to - from) / step >= MOST as u64 {
            return Err(format!("the range `{part}` has more than {MOST} hosts"));
        }
        let width = padding(first).max(padding(last));
        if width > 0 && first.len() != last.len() {
            return Err(format!(
                "the ends of the range `{part}` differ in width; with leading zeros both ends have as many digits"
            ));
        }
        if out.len() > MOST {
            return Err(format!("the range `[{inside}]` has more than {MOST} hosts"));
        }
        out.extend(
            (from..=to)
                .step_by(step as usize)
                .map(|n| format!("{n:0width$}")),
        );
    }
    Ok(out)
}

/// A part of a host name during folding.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Token {
    Text(String),
    /// Numbers as (zero padding, value), in order.
    Numbers(Vec<(usize, u64)>),
}

/// A short node set that expands to these hosts: `db[1-3],web[01-20]`.
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
    folded.sort_unstable_by(|a, b| {
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
        Token::Numbers(numbers) => numbers.first().copied(),
        Token::Text(_) => None,
    };
    name.iter().filter_map(first).collect()
}

fn tokens(host: &str) -> Vec<Token> {
    // IPv6 addresses, and digits too long for a number, are not folded.
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
            (true, Ok(value)) => Token::Numbers(vec![(padding(part), value)]),
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

/// Merges the names that differ only in the numbers at `position`.
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
                if let Token::Numbers(all) = &mut out[*index][position] {
                    all.extend(numbers);
                }
            }
            None => {
                groups.insert(name.clone(), out.len());
                name[position] = Token::Numbers(numbers);
                out.push(name);
            }
        }
    }
    for name in &mut out {
        if let Some(Token::Numbers(all)) = name.get_mut(position) {
            all.sort_unstable();
            all.dedup();
        }
    }
    out
}

fn show(name: &[Token]) -> String {
    name.iter()
        .map(|token| match token {
            Token::Text(text) => text.clone(),
            Token::Numbers(numbers) => show_numbers(numbers),
        })
        .collect()
}

fn show_numbers(numbers: &[(usize, u64)]) -> String {
    // Ascending, as the numbers are.
    let widths: Vec<usize> = numbers.iter().map(|(w, _)| *w).filter(|w| *w > 0).collect();
    // `10` belongs between `09` and `11` in a padded range; `100` does not.
    let padded = |(width, value): (usize, u64)| match width {
        0 => {
            let digits = value.to_string().len();
            if widths.contains(&digits) { digits } else { 0 }
        }
        width => width,
    };
    let mut placed: Vec<(usize, u64)> = numbers.iter().map(|n| (padded(*n), n.1)).collect();
    placed.sort_unstable();
    placed.dedup();
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
    use crate::text::chance::Chance;

    fn hosts(text: &str) -> Vec<String> {
        expand(text, &HostFiles::new(".".into(), 1))
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
        assert_eq!(hosts("n[8-10],m[0-1]"), ["n8", "n9", "n10", "m0", "m1"]);
        assert_eq!(hosts("[::1],a"), ["[::1]", "a"]);
        assert_eq!(
            hosts("root@[::1],me@db[1-2]"),
            ["root@[::1]", "me@db1", "me@db2"]
        );
        assert_eq!(hosts(""), Vec::<String>::new());
    }

    #[test]
    fn a_filter_without_a_user_takes_the_machine_for_any_user() {
        let set = |text: &str| -> HashSet<String> { hosts(text).into_iter().collect() };
        let filter = |limit: &str, exclude: &str| HostFilter {
            limit: Some(set(limit)).filter(|l| !l.is_empty()),
            exclude: set(exclude),
        };
        for (limit, exclude, host, allowed) in [
            ("web[01-02]", "", "web01", true),
            ("web[01-02]", "", "root@web01", true),
            ("web[01-02]", "", "a@b@web02", true),
            ("web[01-02]", "", "root@web03", false),
            ("[::1]", "", "root@[::1]", true),
            ("root@web01", "", "root@web01", true),
            ("root@web01", "", "web01", false),
            ("root@web01", "", "me@web01", false),
            ("", "web01", "root@web01", false),
            ("", "root@web01", "web01", true),
            ("", "root@web01", "root@web01", false),
            ("web01", "root@web01", "root@web01", false),
        ] {
            assert_eq!(
                filter(limit, exclude).allows(host),
                allowed,
                "{limit} {exclude} {host}"
            );
        }
    }

    #[test]
    fn repeated_hosts_run_once() {
        let set = expand("a,b,a", &HostFiles::new(".".into(), 1)).unwrap_or_default();
        assert_eq!(
            (set.hosts, set.repeated),
            (vec!["a".into(), "b".into()], vec!["a".to_string()])
        );
    }

    #[test]
    fn a_file_is_a_set_of_its_own() {
        let directory = std::env::temp_dir().join(format!("tasker-set-{}", std::process::id()));
        let write = |name: &str, text: &str| std::fs::write(directory.join(name), text);
        let written = std::fs::create_dir_all(&directory)
            .and_then(|()| write("a", "# all\r\nweb[1-4] # four\r\n!web2\n\ndb,web3\n"))
            .and_then(|()| write("b", "file:a\n"));
        assert!(written.is_ok());
        let found =
            |text: &str| expand(text, &HostFiles::new(directory.clone(), 1)).map(|s| s.hosts);
        assert_eq!(
            found("file:a"),
            Ok(["web1", "web3", "web4", "db"].map(String::from).to_vec())
        );
        assert_eq!(found("db,x,!file:a"), Ok(vec!["x".to_string()]));
        assert!(found("file:b").is_err_and(|e| e.message.contains("b:1: a host file cannot")));
        let _ = std::fs::remove_dir_all(&directory);
    }

    #[test]
    fn huge_sets_are_refused_quickly() {
        let many = ["1-99999"; 100_000].join(",");
        for bad in [
            format!("a[{many}]"),
            format!("a{}", "[1]".repeat(1_000_000)),
            (0..1000).map(|i| format!("!a{i}x[1-99999],")).collect(),
        ] {
            assert!(expand(&bad, &HostFiles::new(".".into(), 1)).is_err());
        }
    }

    #[test]
    fn mistakes_are_located() {
        let wrong = |text: &str| {
            expand(text, &HostFiles::new(".".into(), 1))
                .map(|s| s.hosts)
                .expect_err(text)
        };
        assert_eq!((wrong("a,b[1-").at, wrong("a, b[x]").length), (2, 4));
        for bad in [
            "a[2-1]",
            "a[1-5/0]",
            "a[1-03]",
            "a[8-012]",
            "a[08-012]",
            "a[01-100]",
            "a[01-3]",
            "a[]",
            "a[1-99999999]",
            "a[1-1000]b[1-1000]",
            "-x",
            "@all",
            "user@",
            "db[1-2]:22",
            "root@[fe80::1%eth0]",
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
        assert_eq!(fold("n[09-99],n100,n101"), "n[100-101,09-99]");
        assert_eq!(fold("[::1],127.0.0.[2-5]"), "[::1],127.0.0.[2-5]");
    }

    #[test]
    fn folding_loses_and_invents_nothing() {
        let mut chance = Chance::new(10);
        for _ in 0..2000 {
            let mut names: Vec<String> = Vec::new();
            for _ in 0..1 + chance.below(40) {
                let stem = chance.one_of(&["web", "db", "r", ""]);
                let width = chance.below(4);
                let number = chance.below(130);
                let tail = chance.one_of(&["", ".prod", "n1", "n02"]);
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

    #[test]
    fn any_text_is_a_set_that_folds_or_a_located_error() {
        let mut chance = Chance::new(11);
        let pieces = [
            "web",
            "[1-3]",
            "[008-012/2]",
            ",",
            ", ",
            "!",
            "[::1]",
            "10.0.0.",
            "9",
            "file:x",
        ];
        for _ in 0..5000 {
            let text = chance.text(&pieces, 8);
            match expand(&text, &HostFiles::new("/nowhere".into(), 1)) {
                Ok(set) => {
                    let (mut before, mut after) = (set.hosts.clone(), hosts(&fold(&set.hosts)));
                    before.sort();
                    after.sort();
                    assert_eq!(before, after, "{text}");
                }
                Err(bad) => {
                    let place = text.get(bad.at..bad.at + bad.length);
                    assert!(place.is_some(), "{} in {text:?}", bad.at);
                }
            }
        }
    }
}
