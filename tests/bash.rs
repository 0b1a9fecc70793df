//! Bash evaluates data in more places than one sees (SPEC §2.4). A result that looks
//! like code, in any of them, is refused, or the task does not start, or it is harmless.
//!
//! Each result tries to create the file `X`. `TASKER_BASH_SCRIPTS=N` sets the number of
//! random scripts, `TASKER_BASH_SEED=N` another seed.

#[path = "support/chance.rs"]
mod chance;
#[path = "support/places.rs"]
mod places;
mod support;

use chance::Chance;
use places::{FOUND, HARMLESS, MORE, PAYLOADS, TEMPLATES};
use std::collections::BTreeSet;
use support::{Ran, Sandbox};

/// The tasks that print the results, from 100 on.
fn producers(sandbox: &Sandbox, results: &[&str]) -> String {
    let mut tasks = String::new();
    for (number, text) in results.iter().enumerate() {
        sandbox.file(&format!("in/{number}"), text);
        let id = 100 + number;
        tasks += &format!("task={id}\nexec=local\ncommand=cat in/{number}\n");
    }
    tasks
}

/// A file with these scripts, and the line of each.
fn task_file(before: &str, scripts: &[String]) -> (String, Vec<usize>) {
    let (mut text, mut lines) = (before.to_string(), Vec::new());
    for (number, script) in scripts.iter().enumerate() {
        let id = 1000 + number;
        text += &format!("task={id}\nexec=shell\ntimeout=10\nnext=always\ncommand=");
        lines.push(text.lines().count());
        text += &format!("{script}\n");
    }
    (text, lines)
}

/// The scripts that are refused, by their number.
fn refused(ran: &Ran, lines: &[usize]) -> BTreeSet<usize> {
    let errors = ran.stderr.lines().filter(|line| line.contains(": error: "));
    let places = errors.filter_map(|line| line.split(':').nth(1)?.parse::<usize>().ok());
    places
        .filter_map(|place| lines.iter().position(|line| *line == place))
        .collect()
}

/// Checks the scripts and runs those that are accepted: their numbers.
fn run_accepted(sandbox: &Sandbox, before: &str, scripts: &[String]) -> Vec<usize> {
    let mut left: Vec<usize> = (0..scripts.len()).collect();
    loop {
        let texts: Vec<String> = left.iter().map(|n| scripts[*n].clone()).collect();
        let (file, lines) = task_file(before, &texts);
        let ran = sandbox.run(&file, &["-q", "-k"]);
        if ran.code != 20 {
            return left;
        }
        let out = refused(&ran, &lines);
        assert!(!out.is_empty(), "{ran:?}");
        left = left
            .iter()
            .enumerate()
            .filter(|(n, _)| !out.contains(n))
            .map(|(_, l)| *l)
            .collect();
    }
}

fn with_values(template: &str, first: usize, second: usize) -> String {
    let one = format!("@{}_stdout@", 100 + first);
    let two = format!("@{}_stdout@", 100 + second);
    template.replace("@D@", &one).replace("@E@", &two)
}

#[test]
fn what_was_found_to_run_data_runs_none() {
    let sandbox = Sandbox::new();
    for (number, pair) in places::PAIRS.iter().enumerate() {
        let before = producers(&sandbox, &[pair.0, pair.1]);
        let found = FOUND.iter().chain(MORE);
        let scripts: Vec<String> = found.map(|t| with_values(t, 0, 1)).collect();
        for scripts in scripts.chunks(25) {
            run_accepted(&sandbox, &before, scripts);
            assert!(
                !sandbox.exists("X"),
                "pair {number}: {pair:?} in one of {scripts:#?}"
            );
        }
    }
}

#[test]
fn a_plain_variable_is_warned_of_and_checked_before_the_run() {
    let sandbox = Sandbox::new();
    let script = "n=@100_stdout@; echo $((n + 1))";
    let file = |data: &str| {
        producers(&sandbox, &[data]) + &format!("task=1000\nexec=shell\ncommand={script}\n")
    };
    let ran = sandbox.run(&file("41"), &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stderr.contains("warning: `n` can hold a result"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("@N_number@"), "{ran:?}");
    assert!(ran.stdout.contains("42"), "{ran:?}");
    for (data, what) in [
        ("a[$(touch X)]", "`$` at byte 2"),
        ("ab`touch X`", "``` at byte 2"),
        ("\\044", "`\\` at byte 0"),
    ] {
        let ran = sandbox.run(&file(data), &[]);
        assert_eq!(ran.code, 126, "{data}: {ran:?}");
        let told = ran.stderr.contains("`@100_stdout@` holds") && ran.stderr.contains(what);
        assert!(told, "{data}: {ran:?}");
    }
    // The name of an environment variable that holds code.
    sandbox.file("tasks.txt", file("x SPITE"));
    let mut command = sandbox.tasker(&["-r", "tasks.txt"]);
    let ran = Ran::from(
        command
            .env("SPITE", "a[$(touch X)]")
            .output()
            .expect("tasker"),
    );
    assert_eq!(ran.code, 126, "{ran:?}");
    assert!(
        ran.stderr.contains("`SPITE`") && ran.stderr.contains("at byte 2"),
        "{ran:?}"
    );
    assert!(!sandbox.exists("X"));
}

#[test]
fn scripts_that_people_write_are_accepted() {
    let sandbox = Sandbox::new();
    assert!(HARMLESS.len() >= 120, "{}", HARMLESS.len());
    let before = producers(&sandbox, &["42", "web01"]);
    let mut accepted = 0;
    let mut out = Vec::new();
    for (number, scripts) in HARMLESS.chunks(20).enumerate() {
        let scripts: Vec<String> = scripts.iter().map(|t| with_values(t, 0, 1)).collect();
        let kept = run_accepted(&sandbox, &before, &scripts);
        accepted += kept.len();
        // Nor is one refused when it is to start.
        let texts: Vec<String> = kept.iter().map(|n| scripts[*n].clone()).collect();
        let ran = sandbox.run(&task_file(&before, &texts).0, &["-k"]);
        assert!(!ran.stdout.contains("was not started"), "{}", ran.stdout);
        out.extend(
            (0..scripts.len())
                .filter(|n| !kept.contains(n))
                .map(|n| HARMLESS[number * 20 + n]),
        );
    }
    assert!(
        accepted * 100 >= HARMLESS.len() * 95,
        "{accepted} of {}: {out:#?}",
        HARMLESS.len()
    );
}

#[test]
fn no_random_script_runs_data() {
    let number = |name: &str, default: usize| {
        let set = std::env::var(name).ok();
        set.map_or(default, |text| text.parse().expect("a number"))
    };
    let count = number("TASKER_BASH_SCRIPTS", 600);
    let seed = number("TASKER_BASH_SEED", 18) as u64;
    let templates: Vec<&str> = FOUND.iter().chain(TEMPLATES).copied().collect();
    let templates = &templates;
    assert!(templates.len() >= 150, "{}", templates.len());
    let threads = 2;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let sandbox = Sandbox::new();
                let before = producers(&sandbox, PAYLOADS);
                let mut chance = Chance::new(seed.wrapping_add(thread as u64));
                let (mut tried, mut run) = (0, 0);
                while tried < count / threads {
                    let scripts: Vec<String> =
                        (0..25).map(|_| random(templates, &mut chance)).collect();
                    let kept = run_accepted(&sandbox, &before, &scripts);
                    if sandbox.exists("X") {
                        let ran = kept.iter().map(|n| &scripts[*n]);
                        let culprits: Vec<&String> = ran.filter(|s| runs_data(s)).collect();
                        panic!("seed {seed}: {culprits:#?}");
                    }
                    tried += scripts.len();
                    run += kept.len();
                }
                println!("{tried} scripts, {run} of them run, no execution");
                assert!(run * 20 > tried, "{run} of {tried} were run");
            });
        }
    });
}

/// Whether the script alone runs a result.
fn runs_data(script: &str) -> bool {
    let sandbox = Sandbox::new();
    let before = producers(&sandbox, PAYLOADS);
    run_accepted(&sandbox, &before, &[script.to_string()]);
    sandbox.exists("X")
}

/// A random script: a place, in any surroundings, with results in it.
fn random(templates: &[&str], chance: &mut Chance) -> String {
    let mut text = match chance.below(3) {
        0 => chance.one_of(MORE).to_string(),
        _ => chance.one_of(templates).to_string(),
    };
    for _ in 0..chance.below(3) {
        let around = chance.one_of(places::AROUND);
        text = around.replace("@S@", &text);
    }
    if chance.below(4) == 0 {
        text = format!("{}; {text}", chance.one_of(templates));
    }
    with_values(
        &text,
        chance.below(PAYLOADS.len()),
        chance.below(PAYLOADS.len()),
    )
}
