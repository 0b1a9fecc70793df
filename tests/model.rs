//! Random workflows, as SPEC §3 says they run and as they run: the path, the outcome
//! and exit code of each task and host, the counts and the exit code of the run.
//!
//! The model in `support/model` is written from the SPEC and shares nothing with the
//! engine: a difference is a mistake in one of them.
//! `TASKER_MODEL_SEED=N` sets another first seed, `TASKER_MODEL_WORKFLOWS=N` the
//! number of workflows; `make test-model` tries 5000.

#[path = "support/chance.rs"]
mod chance;
#[path = "support/json_reader.rs"]
mod json_reader;
#[path = "support/model/mod.rs"]
mod model;
mod support;

use model::interpreter::Story;
use model::workflow::{ACT, SSH, Word, Workflow};
use model::{generator, interpreter, shrink};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use support::{Ran, Sandbox};

const WORDS: [Word; 6] = [
    Word::Ok,
    Word::Failed,
    Word::Unreachable,
    Word::NotStarted,
    Word::Skipped,
    Word::Unknown,
];

/// How often a difference is tried to be made smaller.
const TRIES: usize = 300;

/// The exit code for an invalid task file; the generator makes none.
const INVALID: i32 = 20;

fn number_from_env(variable: &str, default: u64) -> u64 {
    let set = std::env::var(variable).ok();
    set.map_or(default, |text| text.parse().expect("a number"))
}

/// What a run did, one fact a line.
fn describe(exit: i64, path: &[i64], ends: &BTreeMap<(u32, String), (String, i64)>) -> String {
    let path: Vec<String> = path.iter().map(i64::to_string).collect();
    let mut text = format!("exit code {exit}\npath {}\n", path.join(" "));
    for ((id, host), (word, code)) in ends {
        let _ = writeln!(text, "{id} {host}: {word} {code}");
    }
    text
}

fn foretold(story: &Story) -> String {
    let path: Vec<i64> = story.path.iter().map(|id| i64::from(*id)).collect();
    let mut ends = BTreeMap::new();
    for (id, end) in &story.results {
        let name = |word: Word| word.name().to_string();
        ends.insert((*id, String::new()), (name(end.word), i64::from(end.exit)));
        let of_hosts = end.members.iter().filter(|m| m.0.starts_with('h'));
        for (host, word, code) in of_hosts {
            ends.insert((*id, host.clone()), (name(*word), i64::from(*code)));
        }
    }
    let mut text = describe(i64::from(story.exit), &path, &ends);
    for word in WORDS {
        let count = story.results.values().filter(|e| e.word == word).count();
        let _ = writeln!(text, "{} {count}", word.name());
    }
    text
}

fn happened(code: i32, json: &str) -> String {
    let json = json_reader::parse(json);
    let summary = json.get("execution_summary");
    let path = summary.get("execution_path").items();
    let path: Vec<i64> = path.iter().map(|id| id.number()).collect();
    let mut ends = BTreeMap::new();
    for (id, result) in json.get("task_results").members() {
        let id: u32 = id.parse().expect("an id");
        let end = |result: &json_reader::Value| {
            let word = result.get("outcome").text().to_string();
            (word, result.get("exit_code").number())
        };
        ends.insert((id, String::new()), end(result));
        let hosts = result.members().iter().find(|(key, _)| key == "hosts");
        for host in hosts.map_or(&[][..], |(_, hosts)| hosts.items()) {
            ends.insert((id, host.get("hostname").text().to_string()), end(host));
        }
    }
    let mut text = describe(i64::from(code), &path, &ends);
    for word in WORDS {
        let count = summary.get("outcomes").get(word.name()).number();
        let _ = writeln!(text, "{} {count}", word.name());
    }
    text
}

/// Runs the workflow with stand-ins for its commands and for `ssh`.
fn run(workflow: &Workflow) -> (Ran, String) {
    let sandbox = Sandbox::new();
    sandbox.program("bin/act", ACT);
    sandbox.program("bin/ssh", SSH);
    std::fs::create_dir(sandbox.path.join("calls")).expect("a directory");
    for ((id, host), answers) in &workflow.answers {
        sandbox.file(
            &format!("answers/{id}.{host}"),
            Workflow::answer_lines(answers),
        );
    }
    sandbox.file("tasks.txt", workflow.task_file());
    let path = format!("{}/bin:/usr/bin:/bin", sandbox.path.display());
    let options = [
        "-r",
        "--skip-host-validation",
        "--output-json=out.json",
        "tasks.txt",
    ];
    let output = sandbox.tasker(&options).env("PATH", path).output();
    let ran = Ran::from(output.expect("tasker runs"));
    let json = sandbox.read("out.json");
    (ran, json)
}

/// Whether the two agree: what the model says, or both and the run's own words.
fn compare(workflow: &Workflow) -> Result<Story, (i32, String)> {
    let story = interpreter::run(workflow);
    let (ran, json) = run(workflow);
    let is_complete = json.ends_with("}\n") && ran.code != INVALID;
    let (model, binary) = match is_complete {
        true => (foretold(&story), happened(ran.code, &json)),
        false => (foretold(&story), "nothing that can be compared\n".into()),
    };
    if model == binary {
        return Ok(story);
    }
    let mut answers = String::new();
    let in_file = |(id, _): &&(u32, String)| workflow.tasks.contains_key(id);
    for (id, host) in workflow.answers.keys().filter(in_file) {
        let all = &workflow.answers[&(*id, host.clone())];
        let lines = Workflow::answer_lines(all).replace('\n', "; ");
        let _ = writeln!(answers, "{id} {host}: {lines}");
    }
    Err((
        ran.code,
        format!(
            "--- task file\n{}--- answers\n{answers}--- model\n{model}--- binary\n{binary}--- it printed\n{}{}",
            workflow.task_file(),
            ran.stdout,
            ran.stderr
        ),
    ))
}

fn try_one(seed: u64, differences: &AtomicU64) -> Result<Story, String> {
    let workflow = generator::generate(seed);
    let difference = match compare(&workflow) {
        Ok(story) => return Ok(story),
        Err(difference) => difference,
    };
    let again = format!("TASKER_MODEL_SEED={seed} TASKER_MODEL_WORKFLOWS=1 makes it again\n");
    let (code, text) = difference;
    if code == INVALID {
        return Err(format!("{again}{text}"));
    }
    if differences.fetch_add(1, Ordering::Relaxed) >= number_from_env("TASKER_MODEL_SHRINK", 3) {
        return Err(again);
    }
    let smallest = shrink::shrink(workflow, TRIES, &mut |smaller| {
        compare(smaller).is_err_and(|(code, _)| code != INVALID)
    });
    let text = compare(&smallest).map_or_else(|(_, text)| text, |_| "it is gone\n".into());
    Err(format!("{again}{text}"))
}

#[test]
fn random_workflows_run_as_the_specification_says() {
    let first = number_from_env("TASKER_MODEL_SEED", 16_000);
    let count = number_from_env("TASKER_MODEL_WORKFLOWS", 200);
    let (seen, differences) = (&Mutex::new(Vec::new()), &AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for number in (thread..count).step_by(4) {
                    let one = try_one(first.wrapping_add(number), differences);
                    seen.lock().expect("what was seen").push(one);
                }
            });
        }
    });
    let seen = seen.lock().expect("what was seen");
    let failures: Vec<&String> = seen.iter().filter_map(|s| s.as_ref().err()).collect();
    let text: String = failures.iter().map(|f| format!("{f}\n")).collect();
    assert!(
        failures.is_empty(),
        "{} of {count}:\n{text}",
        failures.len()
    );
    assert_varied(seen.iter().flatten());
}

/// Workflows that are too tame, or too wild, would show nothing.
fn assert_varied<'a>(stories: impl Iterator<Item = &'a Story>) {
    let (mut codes, mut words, mut paths) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    let mut count = 0;
    for story in stories {
        count += 1;
        *codes.entry(story.exit).or_insert(0) += 1;
        paths.insert(story.path.clone());
        let of_members = |e: &model::workflow::TaskEnd| e.members.iter().map(|m| m.1).collect();
        for end in story.results.values() {
            let members: Vec<Word> = of_members(end);
            words.extend(members);
            words.insert(end.word);
        }
    }
    if count >= 200 {
        let all_codes = [0, 1, 3, 7, 10, 14, 126, 255];
        assert!(all_codes.iter().all(|c| codes.contains_key(c)), "{codes:?}");
        assert!(WORDS.iter().all(|w| words.contains(w)), "{words:?}");
        assert!(paths.len() >= 80, "{} paths", paths.len());
    }
}
