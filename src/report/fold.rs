//! Equal results of a block's subtasks, told once: `web[01-97,99] (98): ok`.
#![forbid(unsafe_code)]

use super::mask::Mask;
use super::show;
use crate::outcome::Outcome;
use crate::run::capture::Captured;
use crate::run::result::TaskResult;
use crate::task::nodeset;
use std::collections::HashMap;

/// Subtasks that ended alike.
pub struct Group {
    /// Their names, folded.
    pub names: String,
    pub count: usize,
    pub outcome: Outcome,
    /// How they ended and what they said, the first line beside the names.
    pub lines: Vec<String>,
}

/// How many bytes of each stream are compared and shown.
const COMPARED: usize = 4 << 10;
/// How many lines of output a group shows.
const LINES: usize = 10;

type Key = (Outcome, i32, String, u64, Vec<u8>, u64, Vec<u8>);

/// The groups of a block, in the order of their first subtask.
pub fn fold(block: &TaskResult, mask: &Mask) -> Vec<Group> {
    let mut places: HashMap<Key, usize> = HashMap::new();
    let mut groups: Vec<(Vec<&str>, &TaskResult)> = Vec::new();
    for member in &block.members {
        let place = *places.entry(key(&member.result)).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((names, _)) => names.push(&member.name),
            None => groups.push((vec![&member.name], &member.result)),
        }
    }
    let group = |(names, result): (Vec<&str>, &TaskResult)| Group {
        count: names.len(),
        names: nodeset::fold(&names),
        outcome: result.outcome,
        lines: lines(result, mask),
    };
    groups.into_iter().map(group).collect()
}

fn key(result: &TaskResult) -> Key {
    let head = |stream: &Captured| stream.head(COMPARED).into_owned();
    (
        result.outcome,
        result.exit,
        result.cause.clone(),
        result.stdout.len(),
        head(&result.stdout),
        result.stderr.len(),
        head(&result.stderr),
    )
}

fn lines(result: &TaskResult, mask: &Mask) -> Vec<String> {
    let mut lines = Vec::new();
    let mut more = 0;
    // Of a failure the error comes first.
    let streams = match result.success {
        true => [&result.stdout, &result.stderr],
        false => [&result.stderr, &result.stdout],
    };
    for stream in streams {
        let (head, rest) = show::head(stream, mask, COMPARED);
        lines.extend(head);
        more += rest;
    }
    if lines.len() > LINES || more > 0 {
        lines.truncate(LINES);
        lines.push("... more in the log".into());
    }
    let how = match result.outcome {
        Outcome::Ok | Outcome::Skipped => result.outcome.to_string(),
        Outcome::Failed => format!("exit {}", result.exit),
        outcome if result.cause.is_empty() => outcome.to_string(),
        outcome => format!("{outcome} ({})", result.cause),
    };
    match lines.first() {
        Some(first) => lines[0] = format!("{how}: {first}"),
        None => lines.push(how),
    }
    lines
}

impl Group {
    /// `web[01-97,99] (98): ok: first line`, then the other lines.
    pub fn text(&self, indent: &str) -> String {
        let mut text = format!(
            "{indent}{} ({}): {}\n",
            self.names, self.count, self.lines[0]
        );
        for line in &self.lines[1..] {
            text.push_str(&format!("{indent}  | {line}\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::result::Member;

    #[test]
    fn equal_results_are_told_once() {
        let member = |name: &str, exit: i32, stderr: &str| Member {
            name: name.into(),
            result: TaskResult {
                stderr: Captured::text(stderr),
                exit,
                ..TaskResult::without_process(
                    if exit == 0 {
                        Outcome::Ok
                    } else {
                        Outcome::Failed
                    },
                    exit,
                    1,
                )
            },
        };
        let mut members: Vec<Member> = (1..=99)
            .map(|i| member(&format!("web{i:02}"), 0, ""))
            .collect();
        members[97] = member("web98", 1, "connection refused\n");
        let block = TaskResult {
            members,
            ..TaskResult::without_process(Outcome::Failed, 1, 1)
        };
        let told: String = fold(&block, &Mask::default())
            .iter()
            .map(|g| g.text(""))
            .collect();
        assert_eq!(
            told,
            "web[01-97,99] (98): ok\nweb98 (1): exit 1: connection refused\n"
        );
    }
}
