//! File name patterns as a shell has them: `*`, `?` and `[...]`.
#![forbid(unsafe_code)]

/// Whether the name matches the pattern; a leading dot only matches itself.
pub fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    // Where to continue if the rest does not match: after the last `*`, which then
    // stands for one more character.
    let mut retry: Option<(usize, usize)> = None;
    let (mut p, mut n) = (0, 0);
    loop {
        let step = match pattern.get(p) {
            None if n == name.len() => return true,
            Some('*') => {
                retry = Some((p + 1, n));
                p += 1;
                continue;
            }
            _ if n == name.len() => return pattern[p..].iter().all(|c| *c == '*'),
            None => None,
            Some('?') => Some(1),
            Some('[') => bracket(&pattern[p..], name[n]),
            Some(c) => (*c == name[n]).then_some(1),
        };
        (p, n, retry) = match (step, retry) {
            (Some(length), _) => (p + length, n + 1, retry),
            (None, Some((after, from))) => (after, from + 1, Some((after, from + 1))),
            (None, None) => return false,
        };
    }
}

/// The length of a `[...]` that has the character, or of a `[` that is literal.
fn bracket(pattern: &[char], c: char) -> Option<usize> {
    let negated = matches!(pattern.get(1), Some('!' | '^'));
    let first = 1 + usize::from(negated);
    let closed = pattern.iter().skip(first + 1).position(|c| *c == ']');
    let Some(length) = closed.map(|at| at + first + 1) else {
        return (c == '[').then_some(1);
    };
    let inside = &pattern[first..length];
    let mut at = 0;
    let mut has = false;
    while at < inside.len() {
        let is_range = inside.get(at + 1) == Some(&'-') && at + 2 < inside.len();
        let last = if is_range { at + 2 } else { at };
        has |= (inside[at]..=inside[last]).contains(&c);
        at = last + 1;
    }
    (has != negated).then_some(length + 1)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn names_match_as_in_a_shell() {
        for (pattern, name) in [
            ("*", "a"),
            ("*.log", "a.b.log"),
            ("a?c*", "abc"),
            ("[a-c]x", "bx"),
            ("[!a-c]x", "dx"),
            ("[", "["),
            ("*a*b*", "xxaxxbxx"),
            (".*", ".x"),
            ("[]]", "]"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("*", ".x"),
            ("*.log", "a.logs"),
            ("?", ""),
            ("[a-c]x", "dx"),
            ("[!a-c]x", "ax"),
            ("*a*b*", "xxbxxa"),
            ("a*", "ba"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
