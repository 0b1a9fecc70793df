//! Removes from a run's output what differs from run to run.

/// The tests call the program by this path.
const PROGRAM: &str = env!("CARGO_BIN_EXE_tasker");

/// Replaces times, ids of plans and runs, and the paths of the home, the program and the
/// log.
pub fn neutral(text: &str, home: &str) -> String {
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        let line = line.replace(home, "HOME").replace(PROGRAM, "tasker");
        let line = match line.split_once("log: HOME/TASKER/logs/tasker_") {
            Some((before, _)) => format!("{before}log: LOG\n"),
            None => line,
        };
        if line.starts_with("plan: ") {
            out += "plan: PLAN\n";
            continue;
        }
        out += &without_times(&without_run_ids(&line));
    }
    out
}

/// `20240115_143015-4711` becomes `RUN`.
pub fn without_run_ids(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(length) = rest.chars().next().map(char::len_utf8) {
        let word = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
        let word = word.into_iter().next().unwrap_or_default();
        let (before, id) = (out.chars().last(), is_run_id(word));
        let length = if id { word.len() } else { length };
        match id && !before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
            true => out += "RUN",
            false => out += &rest[..length],
        }
        rest = &rest[length..];
    }
    out
}

fn is_run_id(word: &str) -> bool {
    let digits =
        |part: &str, count| part.len() == count && part.chars().all(|c| c.is_ascii_digit());
    let parts = word.split_once('-');
    let time = parts.and_then(|(time, _)| time.split_once('_'));
    let is_time = time.is_some_and(|(day, hour)| digits(day, 8) && digits(hour, 6));
    is_time && parts.is_some_and(|(_, rest)| !rest.is_empty() && !rest.contains(['_', '-']))
}

/// `0.012 s` becomes `TIME`.
fn without_times(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let mut out: Vec<String> = Vec::new();
    let mut skip = false;
    for (index, word) in words.iter().enumerate() {
        if std::mem::take(&mut skip) {
            continue;
        }
        let unit = words.get(index + 1).and_then(|u| u.strip_prefix('s'));
        let is_time = word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.');
        match unit.filter(|rest| is_time && !rest.starts_with(|c: char| c.is_alphanumeric())) {
            Some(rest) => {
                out.push(format!("TIME{rest}"));
                skip = true;
            }
            None => out.push(word.to_string()),
        }
    }
    out.join(" ")
}

/// Each run of digits becomes `#`.
pub fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '0'..='9' if out.ends_with('#') => {}
            '0'..='9' => out.push('#'),
            c => out.push(c),
        }
    }
    out
}
