//! The summary of the validation, one line a check (SPEC §6.2).
#![forbid(unsafe_code)]

use crate::exit;
use crate::text::diagnostic::{Category, DiagnosticList, Plural};

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckResult {
    Passed,
    Failed,
    /// It was not made, and the line says why.
    Skipped,
}

/// What the checks found.
#[derive(Default)]
pub struct ValidationSummary {
    pub hosts: usize,
    /// Each check: what it is and how it ended.
    pub checks: Vec<(String, CheckResult)>,
    /// Each failure: the host and the reason.
    pub failures: Vec<(String, String)>,
    /// 0, 20, 24, 60 or 61.
    pub code: i32,
}

/// What is said of checks that need a file without errors.
const HAS_ERRORS: &str = "the file has errors";

impl ValidationSummary {
    /// The checks of the file itself; `skipped` with `--skip-task-validation`.
    pub fn of_file(diagnostics: &DiagnosticList, skipped: bool) -> ValidationSummary {
        let mut findings = ValidationSummary::default();
        let has_errors = diagnostics.has_errors();
        for (check, what) in [
            (Category::Syntax, "Task file syntax validation"),
            (Category::Dependency, "Dependency validation"),
            (Category::Flow, "Flow control validation"),
        ] {
            match diagnostics.errors_in(check) {
                0 if check == Category::Flow && skipped => {
                    findings.skip(what, "--skip-task-validation");
                }
                // The flow of a file that is not understood is not followed.
                0 if check == Category::Flow && has_errors => findings.skip(what, HAS_ERRORS),
                0 => findings
                    .checks
                    .push((format!("{what} passed"), CheckResult::Passed)),
                errors => findings.fail(what, errors),
            }
        }
        if has_errors {
            findings.code = exit::INVALID;
            findings.skip("Host DNS resolution", HAS_ERRORS);
            match diagnostics.errors_in(Category::ExecType) {
                0 => findings.skip("Execution type validation", HAS_ERRORS),
                errors => findings.fail("Execution type validation", errors),
            }
        }
        findings
    }

    /// A file that says nothing.
    pub fn of_empty_file() -> ValidationSummary {
        ValidationSummary {
            checks: vec![(
                "Task file syntax validation failed (no tasks)".into(),
                CheckResult::Failed,
            )],
            code: exit::NO_TASKS,
            ..ValidationSummary::default()
        }
    }

    /// Adds a check and what failed in it; the first that fails gives the code.
    pub fn add(
        &mut self,
        what: &str,
        unit: &str,
        all: usize,
        failed: Vec<(String, String)>,
        code: i32,
    ) {
        let (word, sign) = match failed.is_empty() {
            true => ("passed", CheckResult::Passed),
            false => ("failed", CheckResult::Failed),
        };
        self.checks.push((
            format!("{what} {word} ({}/{all} {unit})", all - failed.len()),
            sign,
        ));
        if sign == CheckResult::Failed && self.code == exit::OK {
            self.code = code;
        }
        self.failures.extend(failed);
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

    /// These, and then what was found of the hosts.
    pub fn with(&self, hosts: &ValidationSummary) -> ValidationSummary {
        let both = self.checks.iter().chain(&hosts.checks);
        ValidationSummary {
            hosts: hosts.hosts,
            checks: both.cloned().collect(),
            failures: hosts.failures.clone(),
            code: match self.code {
                exit::OK => hosts.code,
                code => code,
            },
        }
    }
}

/// The lines, with signs where the locale can show them.
pub fn lines(findings: &ValidationSummary) -> String {
    drawn(findings, is_utf8())
}

/// Only what failed, for someone who wants to hear of nothing else.
pub fn failed_lines(findings: &ValidationSummary) -> String {
    let failed = findings
        .checks
        .iter()
        .filter(|(_, s)| *s == CheckResult::Failed);
    let mut out: String = failed
        .map(|(text, _)| format!("tasker: {text}\n"))
        .collect();
    out.push_str(&reasons(findings));
    out
}

/// The lines as they stand in a file: without signs, whatever the locale.
pub fn plain_lines(findings: &ValidationSummary) -> String {
    drawn(findings, false)
}

/// Why each host is not as it should be.
fn reasons(findings: &ValidationSummary) -> String {
    let line = |(name, reason): &(String, String)| {
        let (name, reason) = (super::safe_text::line(name), super::safe_text::line(reason));
        format!("   {name}: {reason}\n")
    };
    findings.failures.iter().map(line).collect()
}

fn drawn(findings: &ValidationSummary, signs: bool) -> String {
    let [good, bad, skipped, all] = match signs {
        true => ["\u{2705} ", "\u{274c} ", "\u{2796} ", "\u{1f389} "],
        false => ["OK ", "FAILED ", "SKIPPED ", "OK "],
    };
    let mut out = String::new();
    for (text, sign) in &findings.checks {
        let sign = match sign {
            CheckResult::Passed => good,
            CheckResult::Failed => bad,
            CheckResult::Skipped => skipped,
        };
        out.push_str(&format!("{sign}{text}\n"));
    }
    out.push_str(&reasons(findings));
    let was_skipped = findings
        .checks
        .iter()
        .any(|(_, s)| *s == CheckResult::Skipped);
    match (findings.code, was_skipped) {
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

/// Whether the locale is a UTF-8 one, by the variables in their order.
fn is_utf8() -> bool {
    let set = |name| std::env::var(name).ok().filter(|v| !v.is_empty());
    let locale = set("LC_ALL")
        .or_else(|| set("LC_CTYPE"))
        .or_else(|| set("LANG"))
        .unwrap_or_default();
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}
