//! Text from outside, made safe to print: it can neither forge a line of tasker
//! nor control a terminal.
#![forbid(unsafe_code)]

use crate::run::capture::Captured;
use crate::run::event::About;
use crate::task::Task;
use crate::task::mask::Mask;
use crate::text::decimal::decimal;
use crate::text::invisible::is_invisible;

/// Text as one line, with control characters escaped.
pub fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push(c),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", c as u32)),
            c if is_invisible(c) => out.push_str(&format!("\\u{{{:x}}}", c as u32)),
            c => out.push(c),
        }
    }
    out
}

/// The line as a terminal shows it in the end: without what was drawn over after a
/// CR, as progress bars are.
pub fn last_state(text: &str) -> String {
    match text.trim_end_matches('\r').rfind('\r') {
        Some(cr) => format!("…\\r{}", line(&text[cr + 1..])),
        None => line(text),
    }
}

/// How a line of output is shown: by `line` or `last_state`.
pub type ShowLine = fn(&str) -> String;

/// The first `limit` bytes of an output as lines, and the number of bytes after
/// them.
pub fn head(output: &Captured, mask: &Mask, limit: usize, show: ShowLine) -> (Vec<String>, u64) {
    // Reads a little more, so that a secret across the cut is recognized.
    let bytes = output.head(limit + mask.reach());
    let more = output.len().saturating_sub(limit.min(bytes.len()) as u64);
    (lines(&mask.apply_to_range(&bytes, 0, limit), show), more)
}

/// The last `count` lines of an output.
pub fn tail(output: &Captured, mask: &Mask, count: usize, show: ShowLine) -> Vec<String> {
    const BYTES: usize = 16 << 10;
    let all = last_bytes(output, mask, BYTES, show);
    all[all.len().saturating_sub(count)..].to_vec()
}

/// The last `limit` bytes of an output as lines.
pub fn last_bytes(output: &Captured, mask: &Mask, limit: usize, show: ShowLine) -> Vec<String> {
    let bytes = output.tail(limit + mask.reach());
    // Reads a little more, as above.
    let from = bytes.len().saturating_sub(limit);
    lines(&mask.apply_to_range(&bytes, from, bytes.len()), show)
}

/// `5`, `5.2 on web03`: the subject of an event.
pub fn subject(about: &About) -> String {
    match about.host {
        "" | "localhost" => about.label.to_string(),
        host => format!("{} on {}", about.label, line(host)),
    }
}

/// `5 (Deploy)`: a task with its title, if it has one.
pub fn task_name(task: &Task) -> String {
    match task.title.shown(None) {
        title if title.is_empty() => task.id.to_string(),
        title => format!("{} ({})", task.id, line(&title)),
    }
}

/// `: Title` of a task, if it has one.
pub fn title_suffix(about: &About) -> String {
    if about.title.is_empty() {
        String::new()
    } else {
        format!(": {}", line(about.title))
    }
}

/// The line, cut if it is too long to read.
pub fn short(line: &str) -> String {
    const MOST: usize = 400;
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{} ...", &line[..end]),
        None => line.to_string(),
    }
}

/// The lines, each with the CR at its end: it decides comparisons too.
fn lines(bytes: &[u8], show: ShowLine) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.split_inclusive('\n');
    lines
        .map(|line| show(line.strip_suffix('\n').unwrap_or(line)))
        .collect()
}

/// `512 bytes`, `12 KiB`, `3.4 MiB`
pub fn size(bytes: u64) -> String {
    match bytes {
        0..=9_999 => format!("{bytes} bytes"),
        10_000..=9_999_999 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", decimal(bytes, 1 << 20, 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::display_width;

    #[test]
    fn hostile_text_is_escaped() {
        assert_eq!(
            line("a\x1b[31mb\r\u{7}\u{9b}c\nd\t\u{202e}e\u{61c}f\u{2028}"),
            "a\\x1b[31mb\\r\\x07\\x9bc\\nd\t\\u{202e}e\\u{61c}f\\u{2028}"
        );
        assert_eq!(
            line("a\u{200b}\u{ad}\u{200d}\u{e0041}\u{feff}\u{2062}é\u{fe0f}中"),
            "a\\u{200b}\\u{ad}\\u{200d}\\u{e0041}\\u{feff}\\u{2062}é\u{fe0f}中"
        );
    }

    #[test]
    fn outputs_are_cut_at_both_ends() {
        let output = Captured::in_memory("one\ntwo\nthree\n");
        assert_eq!(
            head(&output, &Mask::default(), 7, line),
            (vec!["one".into(), "two".into()], 7)
        );
        assert_eq!(tail(&output, &Mask::default(), 2, line), ["two", "three"]);
    }

    #[test]
    fn a_carriage_return_is_seen() {
        let output = Captured::in_memory("ready\r\n\n10%\r99%\rdone\r\n");
        let all = |show| head(&output, &Mask::default(), 100, show).0;
        assert_eq!(all(line), ["ready\\r", "", "10%\\r99%\\rdone\\r"]);
        assert_eq!(all(last_state), ["ready\\r", "", "…\\rdone\\r"]);
        let forged = Captured::in_memory("a\\rb");
        assert_eq!(head(&forged, &Mask::default(), 9, last_state).0, ["a\\rb"]);
    }

    #[test]
    fn no_text_controls_a_terminal_or_exceeds_its_width() {
        let mut chance = crate::text::chance::Chance::new(7);
        for _ in 0..5000 {
            let bytes = chance.bytes(&["a", "\u{9b}", "\r\n", "\u{2029}", "\u{61c}", "\u{7}"], 12);
            let shown = line(&String::from_utf8_lossy(&bytes));
            let moves = |c: char| {
                c.is_control() && c != '\t' || matches!(c, '\u{61c}' | '\u{2028}'..='\u{202e}')
            };
            assert!(!shown.contains(moves), "{shown:?}");
            let room = chance.below(20);
            let cut = display_width::cut(&shown, room);
            assert!(display_width::columns(&cut) <= room, "{room}: {cut:?}");
        }
    }
}
