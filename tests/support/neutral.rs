//! Removes from a run's output what differs from run to run.

/// The tests call the program by this path.
const PROGRAM: &str = env!("CARGO_BIN_EXE_tasker");

/// Replaces times, plan ids and the paths of the home, the program and the log.
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
        out += &without_times(&line);
    }
    out
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
