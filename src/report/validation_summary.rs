//! The summary of the validation: a line for each check (SPEC §6.2).
#![forbid(unsafe_code)]

use crate::exit;
use crate::task::nodeset;
use crate::text::diagnostic::{Category, DiagnosticList, Plural};
use std::collections::HashMap;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckResult {
    Passed,
    Failed,
    /// Not made; the line says why.
    Skipped,
}

/// What the checks found.
#[derive(Default)]
pub struct ValidationSummary {
    pub hosts: usize,
    /// Each check, worded, with its result.
    pub checks: Vec<(String, CheckResult)>,
    /// Each failure: a host and the reason.
    pub failures: Vec<(String, String)>,
    /// The hosts for which there was no time, and the reason; they do not refuse the run.
    pub unchecked: Vec<(String, String)>,
    /// The hosts that failed a check but do not refuse the run, and the reason.
    pub left_out: Vec<(String, String)>,
    /// 0, 20, 24, 60 or 61.
    pub code: i32,
}

/// Why checks that need a file without errors are skipped.
const HAS_ERRORS: &str = "the file has errors";

impl ValidationSummary {
    /// The checks of the file itself; `skipped` with `--skip-task-validation`.
    pub fn for_file(diagnostics: &DiagnosticList, skipped: bool) -> ValidationSummary {
        let mut summary = ValidationSummary::default();
        let has_errors = diagnostics.has_errors();
        for (check, what) in [
            (Category::Syntax, "Task file syntax validation"),
            (Category::Dependency, "Dependency validation"),
            (Category::Flow, "Flow control validation"),
        ] {
            match diagnostics.errors_in(check) {
                0 if check == Category::Flow && skipped => {
                    summary.skip(what, "--skip-task-validation");
                }
                // The flow of a file with errors is not checked.
                0 if check == Category::Flow && has_errors => summary.skip(what, HAS_ERRORS),
                0 => summary
                    .checks
                    .push((format!("{what} passed"), CheckResult::Passed)),
                errors => summary.fail(what, errors),
            }
        }
        if has_errors {
            summary.code = exit::INVALID;
            summary.skip("Host DNS resolution", HAS_ERRORS);
            match diagnostics.errors_in(Category::ExecType) {
                0 => summary.skip("Execution type validation", HAS_ERRORS),
                errors => summary.fail("Execution type validation", errors),
            }
        }
        summary
    }

    /// The summary for a file without tasks.
    pub fn for_empty_file() -> ValidationSummary {
        ValidationSummary {
            checks: vec![(
                "Task file syntax validation failed (no tasks)".into(),
                CheckResult::Failed,
            )],
            code: exit::NO_TASKS,
            ..ValidationSummary::default()
        }
    }

    /// Adds a check, its failures, the hosts it leaves out and those it did not get to. The
    /// first failed check sets the code.
    pub fn add(
        &mut self,
        what: &str,
        unit: &str,
        all: usize,
        [failed, left_out, unchecked]: [Vec<(String, String)>; 3],
        code: i32,
    ) {
        let (word, sign) = match failed.is_empty() {
            true => ("passed", CheckResult::Passed),
            false => ("failed", CheckResult::Failed),
        };
        let good = all - failed.len() - left_out.len() - unchecked.len();
        let counted = |count: usize, what: &str| match count {
            0 => String::new(),
            count => format!("; {count} {what}"),
        };
        let without = counted(left_out.len(), "left out");
        let unknown = counted(unchecked.len(), "not checked");
        let line = format!("{what} {word} ({good}/{all} {unit}{without}{unknown})");
        self.checks.push((line, sign));
        if sign == CheckResult::Failed && self.code == exit::OK {
            self.code = code;
        }
        self.failures.extend(failed);
        self.left_out.extend(left_out);
        self.unchecked.extend(unchecked);
    }

    /// A line for each reason why hosts are left out or were not checked, with those
    /// hosts.
    pub fn warnings(&self) -> Vec<String> {
        let left_out = by_reason(&self.left_out);
        let left_out = left_out.map(|line| format!("{line}; left out as unreachable"));
        let unchecked = by_reason(&self.unchecked).map(|line| format!("{line}; not checked"));
        left_out.chain(unchecked).collect()
    }

    /// A line for each reason why hosts failed, with those hosts.
    pub fn failure_lines(&self) -> Vec<String> {
        by_reason(&self.failures).collect()
    }

    /// Adds a check that was not made.
    pub fn skip(&mut self, what: &str, why: &str) {
        self.checks
            .push((format!("{what} skipped ({why})"), CheckResult::Skipped));
    }

    fn fail(&mut self, what: &str, errors: usize) {
        self.checks.push((
            format!("{what} failed ({})", Plural(errors, "error")),
            CheckResult::Failed,
        ));
    }

    /// This summary, followed by the one of the hosts.
    pub fn with(&self, hosts: &ValidationSummary) -> ValidationSummary {
        let both = self.checks.iter().chain(&hosts.checks);
        ValidationSummary {
            hosts: hosts.hosts,
            checks: both.cloned().collect(),
            failures: hosts.failures.clone(),
            left_out: hosts.left_out.clone(),
            unchecked: hosts.unchecked.clone(),
            code: match self.code {
                exit::OK => hosts.code,
                code => code,
            },
        }
    }
}

/// The lines, with emoji if the locale supports them.
pub fn lines(summary: &ValidationSummary) -> String {
    draw(summary, is_utf8())
}

/// Only the failed checks, for `-q`.
pub fn failed_lines(summary: &ValidationSummary) -> String {
    let failed = summary
        .checks
        .iter()
        .filter(|(_, s)| *s == CheckResult::Failed);
    let mut out: String = failed
        .map(|(text, _)| format!("tasker: {text}\n"))
        .collect();
    out.push_str(&reasons(summary));
    out
}

/// The lines for a file, without emoji.
pub fn plain_lines(summary: &ValidationSummary) -> String {
    draw(summary, false)
}

/// Why hosts failed.
fn reasons(summary: &ValidationSummary) -> String {
    let lines = summary.failure_lines().into_iter();
    lines.map(|line| format!("   {line}\n")).collect()
}

/// `HOSTS: REASON` for each reason, in their order. The hosts are folded; a program, which
/// is quoted, is no host.
fn by_reason(found: &[(String, String)]) -> impl Iterator<Item = String> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (name, reason) in found {
        let place = *places.entry(reason).or_insert(reasons.len());
        match reasons.get_mut(place) {
            Some((_, names)) if !name.starts_with('`') => names.push(name),
            _ => reasons.push((reason, vec![name])),
        }
    }
    reasons.into_iter().map(|(reason, names)| {
        let (names, reason) = (nodeset::fold(&names), super::safe_text::line(reason));
        format!("{}: {reason}", super::safe_text::line(&names))
    })
}

fn draw(summary: &ValidationSummary, signs: bool) -> String {
    let [good, bad, skipped, all] = match signs {
        true => ["\u{2705} ", "\u{274c} ", "\u{2796} ", "\u{1f389} "],
        false => ["OK ", "FAILED ", "SKIPPED ", "OK "],
    };
    let mut out = String::new();
    for (text, sign) in &summary.checks {
        let sign = match sign {
            CheckResult::Passed => good,
            CheckResult::Failed => bad,
            CheckResult::Skipped => skipped,
        };
        out.push_str(&format!("{sign}{text}\n"));
    }
    out.push_str(&reasons(summary));
    for line in summary.warnings() {
        out.push_str(&format!("   {line}\n"));
    }
    let skipped = |(_, result): &(String, CheckResult)| *result == CheckResult::Skipped;
    let was_skipped = summary.checks.iter().any(skipped) || !summary.unchecked.is_empty();
    match (summary.code, was_skipped) {
        (exit::OK, false) => {
            out.push_str(&format!(
                "{all}All validations passed - ready for execution\n"
            ));
        }
        (exit::OK, true) => out.push_str(&format!(
            "{all}All validations that were made passed - ready for execution\n"
        )),
        _ => out.push_str(&format!(
            "{bad}Validation failed - not ready for execution\n"
        )),
    }
    out
}

/// Whether the locale uses UTF-8, by the usual variables in their order.
fn is_utf8() -> bool {
    let set = |name| std::env::var(name).ok().filter(|v| !v.is_empty());
    let locale = set("LC_ALL")
        .or_else(|| set("LC_CTYPE"))
        .or_else(|| set("LANG"))
        .unwrap_or_default();
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}
