//! A project's summary as people read it: a table of its runs, and totals
//! (SPEC §6.3).
//!
//! The file is only appended to, but by a disk that may be full and by whoever
//! else can write there. A line that tells of no run stands below the table.
#![forbid(unsafe_code)]

use super::log_directory::PROJECT_HEADER;
use super::safe_text;
use crate::text::diagnostic::Plural;

/// How many lines that tell of no run are shown.
const SHOWN: usize = 10;

/// The columns of the table.
const COLUMNS: usize = 7;
const TIMESTAMP: usize = 0;
const TASK_FILE: usize = 1;
const FINAL_TASK: usize = 2;
const EXIT_CODE: usize = 4;
const STATUS: usize = 5;
const LOG_FILE: usize = 6;

type Row = [String; COLUMNS];

/// The summary's bytes as a table with its totals.
pub fn table(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let header = cells(PROJECT_HEADER);
    let (mut rows, mut others) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        match row(line) {
            Some(row) => rows.push(row),
            None if Some(cells(line)) == Some(header.clone()) || line.trim().is_empty() => {}
            None => others.push((number + 1, line)),
        }
    }
    let mut out = String::new();
    if !rows.is_empty() {
        draw(header.iter().map(String::as_str), &rows, &mut out);
    }
    out.push_str(&totals(&rows));
    out.push('\n');
    tell_others(&others, &mut out);
    out
}

fn cells(line: &str) -> Vec<String> {
    let cells = line.trim_end().split(" | ");
    cells.map(|cell| safe_text::line(cell.trim())).collect()
}

/// The line of a run; nothing where it is none.
fn row(line: &str) -> Option<Row> {
    let row: Row = cells(line).try_into().ok()?;
    let shape = row[TIMESTAMP]
        .bytes()
        .map(|b| if b.is_ascii_digit() { b'0' } else { b });
    let is_stamp = shape.eq(*b"0000-00-00 00:00:00");
    let is_status = ["SUCCESS", "FAILED"].contains(&row[STATUS].as_str());
    // The end of the log's name is that of a line which was not cut off.
    let is_whole = row[EXIT_CODE].parse::<i32>().is_ok() && row[LOG_FILE].ends_with(".log");
    (is_stamp && is_status && is_whole).then_some(row)
}

fn draw<'a>(header: impl Iterator<Item = &'a str> + Clone, rows: &[Row], out: &mut String) {
    let width = |text: &str| text.chars().count();
    let mut widths: Vec<usize> = header.clone().map(width).collect();
    for row in rows {
        for (most, cell) in widths.iter_mut().zip(row) {
            *most = width(cell).max(*most);
        }
    }
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        let line = padded.collect::<Vec<_>>().join("  ");
        out.push_str(line.trim_end());
        out.push('\n');
    };
    line(&mut header.clone());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
}

/// `12 runs: 10 SUCCESS, 2 FAILED; last failure ...`
fn totals(rows: &[Row]) -> String {
    let mut failed = rows.iter().filter(|r| r[STATUS] == "FAILED");
    let (all, bad) = (rows.len(), failed.clone().count());
    let mut out = match all {
        0 => return "no runs".into(),
        _ => format!(
            "{}: {} SUCCESS, {bad} FAILED",
            Plural(all, "run"),
            all - bad
        ),
    };
    if let Some(row) = failed.next_back() {
        out.push_str(&format!(
            "; last failure {} {} at task {} (exit {})",
            row[TIMESTAMP], row[TASK_FILE], row[FINAL_TASK], row[EXIT_CODE]
        ));
    }
    out
}

fn tell_others(others: &[(usize, &str)], out: &mut String) {
    if others.is_empty() {
        return;
    }
    let count = Plural(others.len(), "line");
    out.push_str(&format!("{count} of the file cannot be read as a run:\n"));
    for (number, line) in others.iter().take(SHOWN) {
        let text = safe_text::short(&safe_text::line(line));
        out.push_str(&format!("  line {number}: {text}\n"));
    }
    if others.len() > SHOWN {
        out.push_str(&format!("  and {} more\n", others.len() - SHOWN));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "2024-01-15 14:30:15 | deploy.txt | 5 | web01 | 3 | FAILED | /l/a.log";

    #[test]
    fn what_is_no_run_is_told_apart() {
        assert!(row(GOOD).is_some());
        for end in 0..GOOD.len() {
            assert_eq!(row(&GOOD[..end]), None, "{end}");
        }
        for bad in [
            &GOOD.replace("FAILED", "failed"),
            &GOOD.replace("| 3 |", "| x |"),
            &GOOD.replace("2024", "20é4"),
            &format!("{GOOD} | more"),
        ] {
            assert_eq!(row(bad), None, "{bad}");
        }
        assert_eq!(table(b""), "no runs\n");
    }
}
