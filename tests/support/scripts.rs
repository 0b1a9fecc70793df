//! Scripts with hostile results in them, checked by tasker and run by a real shell.
//! Each result tries to create the file `X`.

use crate::chance::Chance;
use crate::places::{AROUND, COMMANDS, FOUND, MORE, PAYLOADS, REFUSED, SHELLS, TEMPLATES};
use crate::support::{Ran, Sandbox};
use std::collections::BTreeSet;

/// Where the scripts run.
pub struct Place<'a> {
    pub sandbox: &'a Sandbox,
    /// The lines of a task that say so.
    pub exec: &'a str,
    /// Runs `tasks.txt`.
    pub run: &'a dyn Fn(&str) -> Ran,
}

/// How many random scripts: `TASKER_BASH_SCRIPTS`, else this.
pub fn count(usual: usize) -> usize {
    set("TASKER_BASH_SCRIPTS").unwrap_or(usual)
}

/// The seed: `TASKER_BASH_SEED`, else always the same.
pub fn seed() -> u64 {
    set("TASKER_BASH_SEED").unwrap_or(18) as u64
}

/// A number that the environment sets.
pub fn set(name: &str) -> Option<usize> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

/// The tasks that print the results, from 100 on.
pub fn producers(sandbox: &Sandbox, results: &[&str]) -> String {
    let mut tasks = String::new();
    for (number, text) in results.iter().enumerate() {
        sandbox.file(&format!("in/{number}"), text);
        let id = 100 + number;
        tasks += &format!("task={id}\nexec=local\ncommand=cat in/{number}\n");
    }
    tasks
}

/// A file with these scripts, and the line of each.
pub fn task_file(exec: &str, before: &str, scripts: &[&String]) -> (String, Vec<usize>) {
    let (mut text, mut lines) = (before.to_string(), Vec::new());
    for (number, script) in scripts.iter().enumerate() {
        let id = 1000 + number;
        text += &format!("task={id}\n{exec}\ntimeout=10\nnext=always\ncommand=");
        lines.push(text.lines().count());
        text += &format!("{script}\n");
    }
    (text, lines)
}

/// The scripts that are named in these lines of a report, by their number.
pub fn named(report: &str, what: &str, lines: &[usize]) -> BTreeSet<usize> {
    let found = report.lines().filter(|line| line.contains(what));
    let places = found.filter_map(|line| line.split(':').nth(1)?.parse::<usize>().ok());
    places
        .filter_map(|place| lines.iter().position(|line| *line == place))
        .collect()
}

impl Place<'_> {
    /// Checks the scripts and runs those that are accepted: their numbers.
    pub fn run_accepted(&self, before: &str, scripts: &[String]) -> Vec<usize> {
        let mut left: Vec<usize> = (0..scripts.len()).collect();
        let mut checked = false;
        loop {
            let texts: Vec<&String> = left.iter().map(|n| &scripts[*n]).collect();
            let (mut file, lines) = task_file(self.exec, before, &texts);
            if !checked {
                // With an error nothing runs yet, and the report has every warning.
                file += "task=9999\nexec=shell\ncommand=let x=@100_stdout@\n";
            }
            let _ = std::fs::remove_dir_all(self.sandbox.path.join("TASKER/logs"));
            let ran = (self.run)(&file);
            if ran.code != 20 {
                return left;
            }
            let report = self.validation_report();
            let mut out = named(&report, ": error: ", &lines);
            assert!(!checked || !out.is_empty(), "{ran:?}");
            // Whoever runs a result as a command is warned, and runs it.
            let warned = named(&report, "is the name of the command", &lines);
            out.extend(warned.into_iter().filter(|n| names_command(texts[*n])));
            checked = true;
            let kept = left.iter().enumerate().filter(|(n, _)| !out.contains(n));
            left = kept.map(|(_, number)| *number).collect();
        }
    }

    fn validation_report(&self) -> String {
        let logs = std::fs::read_dir(self.sandbox.path.join("TASKER/logs"));
        let files = logs.expect("a log directory").flatten();
        let report = files
            .map(|file| file.path())
            .find(|path| path.display().to_string().contains("validation_report"));
        let text = std::fs::read(report.expect("a report")).expect("readable");
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Runs so many random scripts; the number of those that were accepted.
    ///
    /// # Panics
    /// One of them ran a result.
    pub fn run_random(&self, seed: u64, count: usize, at_once: usize) -> usize {
        let before = self.prepared();
        let mut chance = Chance::new(seed);
        let mut run = 0;
        for first in (0..count).step_by(at_once) {
            let scripts: Vec<String> = (first..count.min(first + at_once))
                .map(|_| random(&mut chance))
                .collect();
            let kept = self.run_accepted(&before, &scripts);
            run += kept.len();
            if self.sandbox.exists("X") {
                let ran = kept.iter().map(|n| &scripts[*n]);
                let culprits: Vec<&String> = ran.filter(|s| self.runs_data(&before, s)).collect();
                panic!("seed {seed}: {culprits:#?}");
            }
        }
        run
    }

    /// The results, and the program `evil` that some of them name.
    pub fn prepared(&self) -> String {
        self.sandbox.program("evil", "#!/bin/sh\ntouch X\n");
        let results: Vec<&str> = PAYLOADS.iter().chain(COMMANDS).copied().collect();
        producers(self.sandbox, &results)
    }

    /// Whether the script alone runs a result.
    fn runs_data(&self, before: &str, script: &str) -> bool {
        let _ = std::fs::remove_file(self.sandbox.path.join("X"));
        self.run_accepted(before, &[script.to_string()]);
        self.sandbox.exists("X")
    }
}

/// Whether one of the results in the script is a command that exists.
fn names_command(script: &str) -> bool {
    let commands = PAYLOADS.len()..PAYLOADS.len() + COMMANDS.len();
    commands
        .into_iter()
        .any(|number| script.contains(&format!("@{}_stdout@", 100 + number)))
}

pub fn with_values(template: &str, first: usize, second: usize) -> String {
    let one = format!("@{}_stdout@", 100 + first);
    let two = format!("@{}_stdout@", 100 + second);
    template.replace("@D@", &one).replace("@E@", &two)
}

/// A random script: a place, in any surroundings, with results in it.
fn random(chance: &mut Chance) -> String {
    let mut text = one_place(chance).to_string();
    for _ in 0..chance.below(3) {
        let around = chance.one_of(AROUND);
        text = around.replace("@S@", &text);
    }
    match chance.below(8) {
        0 | 1 => text = format!("{}; {text}", one_place(chance)),
        // Runs data if a result has set PATH.
        2 => text += "; evil",
        _ => {}
    }
    let results = PAYLOADS.len() + COMMANDS.len();
    with_values(&text, chance.below(results), chance.below(results))
}

fn one_place(chance: &mut Chance) -> &'static str {
    match chance.below(7) {
        0 => chance.one_of(MORE),
        1 => chance.one_of(FOUND),
        6 => chance.one_of(REFUSED),
        2 | 3 => chance.one_of(SHELLS),
        _ => chance.one_of(TEMPLATES),
    }
}
