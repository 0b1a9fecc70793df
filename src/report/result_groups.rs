//! Equal results of a block's subtasks, shown once: `web[01-97,99] (98): ok`.
#![forbid(unsafe_code)]

use super::safe_text::ShowLine;
use super::{endings, safe_text};
use crate::outcome::Outcome;
use crate::run::capture::Captured;
use crate::run::result::{Member, TaskResult};
use crate::task::mask::Mask;
use crate::task::nodeset;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Subtasks with equal results.
pub struct ResultGroup {
    /// Their names, as a node set.
    pub names: String,
    pub count: usize,
    /// How they ended and what they printed. The first line follows the names.
    pub lines: Vec<String>,
}

/// How many bytes at each end of a stream are compared, and how many are shown.
/// A thousand spooled outputs are not read in full.
const COMPARED: usize = 4 << 10;
/// How many lines of output a group shows.
const LINES: usize = 10;
/// How many groups the console shows. The log has them all.
const GROUPS: usize = 16;

/// How many characters of a node set the console shows.
const LONG_SET: usize = 160;

/// How many last lines each of many groups shows.
const FEW: usize = 3;

/// What equal results share. A stream is compared by its length and its ends.
type ResultKey = (Outcome, i32, String, [(u64, u64); 2]);

/// The names of subtasks, and the result they share.
pub type SharedResult<'a> = (Vec<&'a str>, &'a TaskResult);

/// The groups of a block, in the order of their first subtasks.
pub fn group_results(block: &TaskResult, mask: &Mask) -> Vec<ResultGroup> {
    let draw = |shared: &SharedResult| group(&shared.0, lines(shared, mask, safe_text::line));
    told_results(block).iter().map(draw).collect()
}

/// The same for the console: if there are many groups, only some of them, failures
/// first, and a line for the rest of each outcome.
pub fn group_briefly(block: &TaskResult, mask: &Mask) -> Vec<ResultGroup> {
    let mut all = told_results(block);
    if all.len() > GROUPS {
        all.sort_by_key(|(_, result)| !result.outcome.is_failure());
    }
    briefly(all, &|shared| lines(shared, mask, safe_text::last_state))
}

/// The groups that failed, with the last lines of their output: `most` lines in
/// all, but at least a few each.
pub fn failures(block: &TaskResult, mask: &Mask, most: usize) -> Vec<ResultGroup> {
    let mut all = told_results(block);
    all.retain(|(_, result)| result.outcome.is_failure());
    let each = (most / all.len().max(1)).max(FEW);
    briefly(all, &|shared| last_lines(shared, mask, each))
}

/// Some of the groups, and a line for the rest of each outcome.
fn briefly(
    mut all: Vec<SharedResult>,
    lines: &dyn Fn(&SharedResult) -> Vec<String>,
) -> Vec<ResultGroup> {
    let many = all.len() > GROUPS;
    let rest = all.split_off(if many { GROUPS / 2 } else { all.len() });
    let draw = |shared: &SharedResult| brief_group(&shared.0, lines(shared));
    let mut groups: Vec<ResultGroup> = all.iter().map(draw).collect();
    for outcome in Outcome::ALL {
        let same: Vec<&SharedResult> = rest.iter().filter(|(_, r)| r.outcome == outcome).collect();
        if !same.is_empty() {
            let names: Vec<&str> = same.iter().flat_map(|(n, _)| n).copied().collect();
            let line = format!("{outcome}: {} different results, see the log", same.len());
            groups.push(brief_group(&names, vec![line]));
        }
    }
    groups
}

/// The names as a node set, cut if it is long.
pub fn brief_node_set(names: &[&str]) -> String {
    let set = nodeset::fold(names);
    let end = set.char_indices().nth(LONG_SET).map(|(at, _)| at);
    match end.and_then(|end| set[..end].rfind(',')) {
        Some(comma) => format!("{},...", &set[..comma]),
        None => set,
    }
}

fn brief_group(names: &[&str], lines: Vec<String>) -> ResultGroup {
    ResultGroup {
        names: brief_node_set(names),
        ..group(names, lines)
    }
}

fn group(names: &[&str], lines: Vec<String>) -> ResultGroup {
    ResultGroup {
        count: names.len(),
        names: nodeset::fold(names),
        lines,
    }
}

/// The different results of a block, in the order of their first subtasks.
pub fn shared_results(block: &TaskResult) -> Vec<SharedResult<'_>> {
    sharing(block, |member| key(&member.result))
}

/// The same for what is told of them in lines: hosts that were not reached for the same
/// reason are alike, whatever else was printed and though it names each host.
fn told_results(block: &TaskResult) -> Vec<SharedResult<'_>> {
    sharing(block, |member| {
        let result = &member.result;
        if result.outcome != Outcome::Unreachable || result.cause.is_empty() {
            return key(result);
        }
        let reason = without_host(&result.cause, &member.name);
        (result.outcome, result.exit, reason, [(0, 0); 2])
    })
}

fn sharing(block: &TaskResult, key: impl Fn(&Member) -> ResultKey) -> Vec<SharedResult<'_>> {
    let mut places: HashMap<ResultKey, usize> = HashMap::new();
    let mut groups: Vec<SharedResult> = Vec::new();
    for member in &block.members {
        let place = *places.entry(key(member)).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((names, _)) => names.push(&member.name),
            None => groups.push((vec![&member.name], &member.result)),
        }
    }
    groups
}

fn key(result: &TaskResult) -> ResultKey {
    let ends = |stream: &Captured| {
        let mut hasher = DefaultHasher::new();
        stream.head(COMPARED).hash(&mut hasher);
        stream.tail(COMPARED).hash(&mut hasher);
        (stream.len(), hasher.finish())
    };
    let streams = [ends(&result.stdout), ends(&result.stderr)];
    (result.outcome, result.exit, result.cause.clone(), streams)
}

/// The text with `HOST` for each mention of the host.
fn without_host(text: &str, host: &str) -> String {
    let host = host.rsplit('@').next().unwrap_or(host);
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(host).filter(|_| !host.is_empty()) {
        let (before, after) = (&rest[..at], &rest[at + host.len()..]);
        out.push_str(before);
        let joined = out.ends_with(|c| is_part(c) || c == '.')
            || after.starts_with(is_part)
            || after
                .strip_prefix('.')
                .is_some_and(|a| a.starts_with(is_part));
        out.push_str(if joined { host } else { "HOST" });
        rest = after;
    }
    out + rest
}

fn lines(shared: &SharedResult, mask: &Mask, show: ShowLine) -> Vec<String> {
    let result = shared.1;
    let mut lines = Vec::new();
    let mut more = 0;
    // The error of a failure comes first.
    let streams = match result.success {
        true => [&result.stdout, &result.stderr],
        false => [&result.stderr, &result.stdout],
    };
    for stream in streams {
        let (head, rest) = safe_text::head(stream, mask, COMPARED, show);
        lines.extend(head.iter().map(|l| safe_text::short(l)));
        more += rest;
    }
    if is_explained(result) {
        lines.retain(|line| !is_cause(line, result));
    }
    if result.outcome == Outcome::Unreachable {
        // Only the reason: ssh prints it last, below banners and warnings.
        let reason = usize::from(!is_explained(result));
        let above = lines.len().saturating_sub(reason);
        more += u64::from(above > 0);
        lines.drain(..above);
    }
    if lines.len() > LINES || more > 0 {
        lines.truncate(LINES);
        lines.push("... more in the log".into());
    }
    with_end(shared, lines)
}

/// The last lines that a failed subtask printed, to stderr first.
fn last_lines(shared: &SharedResult, mask: &Mask, most: usize) -> Vec<String> {
    let result = shared.1;
    let mut lines = Vec::new();
    for stream in [&result.stderr, &result.stdout] {
        let left = most - lines.len();
        let mut tail = safe_text::tail(stream, mask, left + 1, safe_text::last_state);
        if tail.len() > left {
            tail.drain(..tail.len() - left);
            if let Some(first) = tail.first_mut() {
                first.insert_str(0, "... ");
            }
        }
        lines.extend(tail.iter().map(|l| safe_text::short(l)));
    }
    if is_explained(result) {
        lines.retain(|line| !is_cause(line, result));
        if result.outcome == Outcome::Unreachable {
            // What came before the reason is in the log.
            lines.clear();
        }
    }
    with_end(shared, lines)
}

/// Whether it is known why its host was not reached or how it ended: that comes before
/// what it printed.
fn is_explained(result: &TaskResult) -> bool {
    let needs = matches!(result.outcome, Outcome::Unreachable | Outcome::Unknown);
    needs && !result.cause.is_empty()
}

/// Whether the line says the same as the cause.
fn is_cause(line: &str, result: &TaskResult) -> bool {
    line == shown(&result.cause)
}

fn shown(cause: &str) -> String {
    safe_text::short(&safe_text::line(cause))
}

/// The lines, with how the subtask ended before the first one.
fn with_end((names, result): &SharedResult, mut lines: Vec<String>) -> Vec<String> {
    if is_explained(result) {
        let cause = match names.as_slice() {
            [_] => shown(&result.cause),
            [first, ..] => shown(&without_host(&result.cause, first)),
            [] => String::new(),
        };
        lines.insert(0, format!("{}: {cause}", result.outcome));
        return lines;
    }
    let end = match result.outcome {
        Outcome::Failed if result.cause.is_empty() => {
            endings::failure_label(result.outcome, result.exit)
        }
        _ => endings::outcome_and_cause(result),
    };
    match lines.first() {
        Some(first) => lines[0] = format!("{end}: {first}"),
        None => lines.push(end),
    }
    lines
}

impl ResultGroup {
    /// `web[01-97,99] (98): ok: first line`, then the other lines.
    pub fn draw(&self, indent: &str) -> String {
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

/// `2 done before (web[1,3]), 1 to run now (web2)`: the subtasks of a block that is
/// resumed; empty if none had ended before.
pub fn resumed_members(kept: &[&str], open: &[&str]) -> String {
    if kept.is_empty() {
        return String::new();
    }
    let group = |names: &[&str], what: &str| match names.len() {
        0 => format!("0 {what}"),
        n => format!("{n} {what} ({})", brief_node_set(names)),
    };
    format!(
        "{}, {}",
        group(kept, "done before"),
        group(open, "to run now")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, exit: i32, stderr: &str) -> Member {
        let outcome = if exit == 0 {
            Outcome::Ok
        } else {
            Outcome::Failed
        };
        let result = TaskResult {
            stderr: Captured::in_memory(stderr),
            ..TaskResult::without_process(outcome, exit, 1)
        };
        Member::counted(name.into(), result)
    }

    #[test]
    fn long_outputs_that_end_differently_are_different() {
        let long = |last: &str| format!("{}{last}", "same\n".repeat(4000));
        let members = vec![
            member("a", 1, &long("1")),
            member("b", 1, &long("2")),
            member("c", 1, &long("1")),
        ];
        let block = TaskResult {
            members,
            ..TaskResult::without_process(Outcome::Failed, 1, 1)
        };
        let groups = group_results(&block, &Mask::default());
        let names: Vec<&str> = groups.iter().map(|g| g.names.as_str()).collect();
        assert_eq!(names, ["a,c", "b"]);
    }

    #[test]
    fn a_few_of_many_different_results_are_shown() {
        let members = (1..=300)
            .map(|i| match i {
                7 | 70 => member(&format!("w{i}"), 3, &format!("no {i}\n")),
                i => member(&format!("w{i}"), 0, &i.to_string()),
            })
            .collect();
        let block = TaskResult {
            members,
            ..TaskResult::without_process(Outcome::Failed, 1, 1)
        };
        let groups = group_briefly(&block, &Mask::default());
        let text: String = groups.iter().map(|g| g.draw("")).collect();
        assert_eq!(
            text,
            "w7 (1): exit 3: no 7\nw70 (1): exit 3: no 70\n\
             w1 (1): ok: 1\nw2 (1): ok: 2\nw3 (1): ok: 3\nw4 (1): ok: 4\nw5 (1): ok: 5\nw6 (1): ok: 6\n\
             w[8-69,71-300] (292): ok: 292 different results, see the log\n"
        );
        assert_eq!(groups.iter().map(|g| g.count).sum::<usize>(), 300);
        let failed = failures(&block, &Mask::default(), 20);
        assert_eq!(failed.len(), 2);
    }

    #[test]
    fn hosts_that_were_not_reached_for_one_reason_are_one_group() {
        let unreachable = |name: &str, why: &str| {
            let result = TaskResult {
                cause: why.replace("HOST", name),
                stderr: Captured::in_memory(format!("Welcome to {name}\n")),
                ..TaskResult::without_process(Outcome::Unreachable, 255, 1)
            };
            Member::counted(name.into(), result)
        };
        let refused = "ssh: connect to host HOST port 22: Connection refused";
        let members = vec![
            unreachable("web1", refused),
            unreachable("web2", "Host key verification failed."),
            unreachable("web3", refused),
        ];
        let block = TaskResult {
            members,
            ..TaskResult::without_process(Outcome::Failed, 1, 1)
        };
        let groups = failures(&block, &Mask::default(), 20);
        let text: String = groups.iter().map(|g| g.draw("")).collect();
        assert_eq!(
            text,
            format!(
                "web[1,3] (2): unreachable: {refused}\n\
                 web2 (1): unreachable: Host key verification failed.\n"
            )
        );
        assert_eq!(shared_results(&block).len(), 3);
        for (text, host, without) in [
            ("a host a: no", "u@a", "HOST host HOST: no"),
            ("web1.example and web1.", "web1", "web1.example and HOST."),
            ("xweb1 web1-b web1", "web1", "xweb1 web1-b HOST"),
            ("no host", "", "no host"),
        ] {
            assert_eq!(without_host(text, host), without);
        }
    }

    #[test]
    fn a_long_set_is_cut() {
        let names: Vec<String> = (1..=200).map(|n| format!("h{}", 10 * n)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let set = brief_node_set(&names);
        assert!(
            set.starts_with("h[10,20,") && set.ends_with("0,..."),
            "{set}"
        );
        assert!((150..170).contains(&set.len()), "{set}");
        assert_eq!(brief_node_set(&names[..3]), "h[10,20,30]");
    }

    #[test]
    fn equal_results_are_shown_once() {
        let mut members: Vec<Member> = (1..=99)
            .map(|i| member(&format!("web{i:02}"), 0, ""))
            .collect();
        members[97] = member("web98", 1, "connection refused\n");
        let block = TaskResult {
            members,
            ..TaskResult::without_process(Outcome::Failed, 1, 1)
        };
        let text: String = group_results(&block, &Mask::default())
            .iter()
            .map(|g| g.draw(""))
            .collect();
        assert_eq!(
            text,
            "web[01-97,99] (98): ok\nweb98 (1): exit 1: connection refused\n"
        );
    }
}
