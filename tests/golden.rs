//! Golden cases: a folder of `tests/cases` has a task file `tasks.txt` and the
//! exact standard output, standard error and exit code of running it.
//!
//! `args` holds the arguments before the file, one per line; `environment` holds
//! `NAME=VALUE` lines; `path` the ids of the steps that the run took. A file that
//! does not exist counts as empty (for `exit`, as 0). A case `broken-NAME` has a
//! file that must be refused: its commands would create a file `ran`. Times, the
//! log's path and the ids of plans and runs are written as `TIME`, `LOG`, `PLAN` and
//! `RUN`. `make bless` rewrites the expected output.

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use support::neutral::neutral;
use support::{Ran, Sandbox};

#[test]
fn every_case_prints_what_is_expected() {
    let failures = support::check_all("tests/cases", check);
    assert!(
        failures.is_empty(),
        "{} cases differ:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// The sections of SPEC that define what a file or a run prints.
const SECTIONS: [&str; 27] = [
    "1", "1.1", "2.1", "2.2", "2.3", "2.4", "3.1", "3.2", "3.3", "3.4", "3.5", "3.6", "3.7", "3.8",
    "4.1", "4.2", "4.3", "5", "6", "6.1", "6.2", "6.3", "6.4", "6.5", "6.6", "6.7", "6.8",
];

/// `tests/SPEC-MAP` says which case shows which section: every case is listed,
/// every listed case exists, and every section has a case.
#[test]
fn every_section_has_a_case_and_every_case_a_section() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let map = std::fs::read_to_string(tests.join("SPEC-MAP")).expect("the map");
    let (mut named, mut sections) = (BTreeSet::new(), BTreeSet::new());
    let (mut section, mut wrong) = ("", Vec::new());
    for line in map.lines().filter(|l| !l.is_empty()) {
        if let Some(heading) = line.strip_prefix("## ") {
            section = heading.split(' ').next().unwrap_or("");
            continue;
        }
        let Some((_, cases)) = line.split_once(": ").filter(|_| !line.starts_with('#')) else {
            if !line.starts_with('#') {
                wrong.push(format!("not `what: case case`: {line}"));
            }
            continue;
        };
        for case in cases.split(' ') {
            sections.insert(section);
            let is_there = match case.split_once("::") {
                Some((file, function)) => std::fs::read_to_string(tests.join(file))
                    .is_ok_and(|t| t.contains(&format!("#[test]\nfn {function}()"))),
                None => tests.join("cases").join(case).join("tasks.txt").exists(),
            };
            if !is_there {
                wrong.push(format!("there is no {case}"));
            }
            if !named.insert(case.to_string()) {
                wrong.push(format!("{case} is listed twice"));
            }
        }
    }
    let cases = std::fs::read_dir(tests.join("cases")).expect("the cases");
    for case in cases.flatten() {
        let name = case.file_name().to_string_lossy().into_owned();
        if !named.contains(&name) {
            wrong.push(format!("{name} is not in any section"));
        }
    }
    let unmapped = SECTIONS.iter().filter(|s| !sections.contains(*s));
    wrong.extend(unmapped.map(|s| format!("section {s} has no case")));
    wrong.extend(
        sections
            .iter()
            .filter(|s| !SECTIONS.contains(s))
            .map(|s| format!("no section {s}")),
    );
    assert!(wrong.is_empty(), "tests/SPEC-MAP:\n{}", wrong.join("\n"));
}

fn read_or_empty(case: &Path, name: &str) -> String {
    std::fs::read_to_string(case.join(name)).unwrap_or_default()
}

fn check(case: &Path) -> Result<(), String> {
    let sandbox = Sandbox::new();
    for entry in std::fs::read_dir(case).expect("the case").flatten() {
        std::fs::copy(entry.path(), sandbox.path.join(entry.file_name()))
            .expect("a file of the case");
    }
    let arguments: Vec<String> = read_or_empty(case, "args")
        .lines()
        .map(String::from)
        .chain(["tasks.txt".into()])
        .collect();
    let mut command = sandbox.tasker(&arguments);
    for line in read_or_empty(case, "environment").lines() {
        let (name, value) = line.split_once('=').expect("NAME=VALUE");
        command.env(name, value);
    }
    let ran = Ran::from(command.output().expect("tasker runs"));
    let home = sandbox.path.display().to_string();
    let path = if case.join("path").exists() {
        format!("{}\n", sandbox.steps())
    } else {
        String::new()
    };
    let exit = if ran.code == 0 {
        String::new()
    } else {
        format!("{}\n", ran.code)
    };
    let mut differences = String::new();
    let broken = case
        .file_name()
        .is_some_and(|n| n.to_string_lossy().starts_with("broken-"));
    let began = sandbox.exists("ran") || sandbox.exists("TASKER/tasks");
    if broken && (began || ran.code == 0) {
        differences += &format!("--- {}: it was run\n", case.display());
    }
    for (name, found) in [
        ("stdout", neutral(&ran.stdout, &home)),
        ("stderr", neutral(&ran.stderr, &home)),
        ("exit", exit),
        ("path", path),
    ] {
        let expected = read_or_empty(case, name);
        if expected == found {
            continue;
        }
        if std::env::var_os("BLESS").is_some() {
            let file = case.join(name);
            let _ = if found.is_empty() {
                std::fs::remove_file(file)
            } else {
                std::fs::write(file, &found)
            };
        } else {
            differences += &format!(
                "--- {} {name}: expected\n{expected}--- found\n{found}",
                case.display()
            );
        }
    }
    if differences.is_empty() {
        Ok(())
    } else {
        Err(differences)
    }
}
