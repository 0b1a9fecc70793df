//! The summary of the validation, one line a check (SPEC §6.2).
#![forbid(unsafe_code)]

use crate::exit;

/// What the checks found.
#[derive(Default)]
pub struct Findings {
    pub hosts: usize,
    /// Each check: what it is, whether it passed, how many of how many.
    pub checks: Vec<(String, bool)>,
    /// Each failure: the host and the reason.
    pub failures: Vec<(String, String)>,
    /// 0, 60 or 61.
    pub code: i32,
}

impl Findings {
    /// Adds a check and what failed in it; the first that fails gives the code.
    pub fn add(
        &mut self,
        what: &str,
        unit: &str,
        all: usize,
        failed: Vec<(String, String)>,
        code: i32,
    ) {
        let passed = failed.is_empty();
        let word = if passed { "passed" } else { "failed" };
        self.checks.push((
            format!("{what} {word} ({}/{all} {unit})", all - failed.len()),
            passed,
        ));
        if !passed && self.code == exit::OK {
            self.code = code;
        }
        self.failures.extend(failed);
    }
}

/// The lines, with signs where the locale can show them.
pub fn lines(findings: &Findings) -> String {
    let (good, bad, all) = match is_utf8() {
        true => ("\u{2705} ", "\u{274c} ", "\u{1f389} "),
        false => ("OK ", "FAILED ", "OK "),
    };
    let mut out = String::new();
    for what in ["Task file syntax", "Dependency", "Flow control"] {
        out.push_str(&format!("{good}{what} validation passed\n"));
    }
    for (text, passed) in &findings.checks {
        out.push_str(&format!("{}{text}\n", if *passed { good } else { bad }));
    }
    for (name, reason) in &findings.failures {
        out.push_str(&format!(
            "   {}: {}\n",
            super::show::line(name),
            super::show::line(reason)
        ));
    }
    if findings.code == exit::OK {
        out.push_str(&format!(
            "{all}All validations passed - ready for execution\n"
        ));
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
