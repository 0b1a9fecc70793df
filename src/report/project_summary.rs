//! A project's summary: a line for each run, shown as a table with totals
//! (SPEC §6.3).
//!
//! Runs only append to the file, but the disk may fill up, and anyone with access
//! can write there. Lines that describe no run are listed below the table.
#![forbid(unsafe_code)]

use super::log_directory::LogDirectory;
use super::{clock, safe_text};
use crate::exit;
use crate::run::directory::OpenMode;
use crate::run::snapshot::Snapshot;
use crate::text::diagnostic::Plural;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::time::SystemTime;

/// How many unreadable lines are shown.
const SHOWN: usize = 10;

/// The exit code of a run that was killed, as a shell has it.
const KILLED: i32 = exit::SIGNAL + 9;

const HEADER: &str =
    "Timestamp | Task_File | Final_Task | Final_Host | Exit_Code | Status | Log_File\n";

/// The columns of the table.
const COLUMNS: usize = 7;
const TIMESTAMP: usize = 0;
const TASK_FILE: usize = 1;
const FINAL_TASK: usize = 2;
const EXIT_CODE: usize = 4;
const STATUS: usize = 5;
const LOG_FILE: usize = 6;

type RunRow = [String; COLUMNS];

/// The summary's bytes as a table with its totals.
pub fn table(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let header = cells(HEADER);
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
    list_unreadable(&others, &mut out);
    out
}

fn cells(line: &str) -> Vec<String> {
    let cells = line.trim_end().split(" | ");
    cells.map(|cell| safe_text::line(cell.trim())).collect()
}

/// The row of a run, unless the line describes none.
fn row(line: &str) -> Option<RunRow> {
    let row: RunRow = cells(line).try_into().ok()?;
    let shape = row[TIMESTAMP]
        .bytes()
        .map(|b| if b.is_ascii_digit() { b'0' } else { b });
    let is_stamp = shape.eq(*b"0000-00-00 00:00:00");
    let is_status = ["SUCCESS", "FAILED"].contains(&row[STATUS].as_str());
    // A line that was not cut off ends with the whole name of the log.
    let is_whole = row[EXIT_CODE].parse::<i32>().is_ok() && row[LOG_FILE].ends_with(".log");
    (is_stamp && is_status && is_whole).then_some(row)
}

fn draw<'a>(header: impl Iterator<Item = &'a str> + Clone, rows: &[RunRow], out: &mut String) {
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
fn totals(rows: &[RunRow]) -> String {
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

fn list_unreadable(others: &[(usize, &str)], out: &mut String) {
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

/// A run as the summary has it.
pub struct ProjectRow<'a> {
    pub file: &'a str,
    /// The last task, and its host.
    pub task: u32,
    pub host: &'a str,
    pub exit: i32,
    pub log: &'a str,
}

impl ProjectRow<'_> {
    fn line(&self) -> String {
        let host = Some(self.host).filter(|host| !host.is_empty());
        format!(
            "{} | {} | {} | {} | {} | {} | {}",
            clock::stamp(SystemTime::now()),
            field(self.file),
            self.task,
            field(host.unwrap_or("-")),
            self.exit,
            status(self.exit),
            field(self.log)
        )
    }
}

/// A field of a line: no separator in it.
fn field(text: &str) -> String {
    safe_text::line(text).replace('|', "/")
}

/// What the summary calls an exit code.
pub fn status(exit: i32) -> &'static str {
    match exit {
        exit::OK => "SUCCESS",
        _ => "FAILED",
    }
}

/// The project of a run that left a journal.
pub fn project_of(snapshot: &Snapshot) -> Option<String> {
    let project = snapshot.process.as_ref()?.project.to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (!project.is_empty() && project.chars().all(is_plain)).then_some(project)
}

/// The last task of a run that was killed, with its host.
fn last_task(snapshot: &Snapshot) -> (u32, String) {
    if let Some(flow) = &snapshot.flow {
        return (flow.task, String::new());
    }
    if let Some(command) = snapshot.running().last() {
        return (command.task, command.host.to_string());
    }
    let begun = snapshot.unfinished_tasks().last().copied();
    let done = || snapshot.last_done();
    let task = begun.or_else(done).unwrap_or(snapshot.header.start);
    (task, String::new())
}

fn summary_file(project: &str) -> String {
    format!("project_{project}_summary.log")
}

impl LogDirectory {
    /// Appends a run to the project's summary.
    pub fn append_to_project(&self, project: &str, row: &ProjectRow) -> io::Result<()> {
        self.append_row(project, row, &|_| Ok(false))
    }

    /// Appends a run of which only its journal is left, and which nobody goes on with: its
    /// process was killed before it could do so.
    pub fn append_killed_to_project(&self, snapshot: &Snapshot) -> io::Result<()> {
        let reported = snapshot.advice.is_some();
        let project = project_of(snapshot).filter(|_| !reported);
        let Some((project, process)) = project.zip(snapshot.process.as_ref()) else {
            return Ok(());
        };
        let (task, host) = last_task(snapshot);
        let log = String::from_utf8_lossy(&process.log);
        let row = ProjectRow {
            file: &snapshot.header.file,
            task,
            host: &host,
            exit: snapshot.flow.as_ref().map_or(KILLED, |flow| flow.exit),
            log: &log,
        };
        // It may have been killed right after its line.
        let end = format!(" | {}", field(&log));
        self.append_row(&project, &row, &|file| {
            let mut bytes = vec![0; usize::try_from(file.metadata()?.len()).unwrap_or(0)];
            file.read_exact_at(&mut bytes, 0)?;
            let text = String::from_utf8_lossy(&bytes);
            Ok(text.lines().any(|line| line.ends_with(&end)))
        })
    }

    fn append_row(
        &self,
        project: &str,
        row: &ProjectRow,
        is_there: &dyn Fn(&File) -> io::Result<bool>,
    ) -> io::Result<()> {
        self.append_shared(&summary_file(project), |file| {
            if is_there(file)? {
                return Ok(String::new());
            }
            let line = row.line();
            let mut last = [b'\n'];
            let before = match file.metadata()?.len() {
                0 => HEADER,
                // A full disk may have cut off the last line.
                length => match file.read_at(&mut last, length - 1) {
                    Ok(1) if last != *b"\n" => "\n",
                    _ => "",
                },
            };
            Ok(format!("{before}{line}\n"))
        })
    }

    /// The bytes of the project's summary.
    pub fn project_summary(&self, project: &str) -> io::Result<Vec<u8>> {
        let file = self.logs.file(summary_file(project))?;
        let mut bytes = Vec::new();
        file.open(OpenMode::Read)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The names of the projects that have a summary, sorted.
    pub fn projects(&self) -> Vec<String> {
        let found = self.logs.existing().and_then(|logs| logs.names());
        let named = |name: OsString| {
            let name = name.into_string().ok()?;
            let name = name.strip_prefix("project_")?;
            Some(name.strip_suffix("_summary.log")?.to_string())
        };
        let mut names: Vec<String> = found
            .map(|found| found.into_iter().filter_map(named).collect())
            .unwrap_or_default();
        names.sort_unstable();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "2024-01-15 14:30:15 | deploy.txt | 5 | web01 | 3 | FAILED | /l/a.log";

    #[test]
    fn a_damaged_line_is_not_a_run() {
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
