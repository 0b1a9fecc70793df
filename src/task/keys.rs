//! The table of task keys (SPEC §1.1), used by the reader of tasks, by "did you
//! mean" and by the test of the man page.
#![forbid(unsafe_code)]

/// A set of kinds of task, one bit each.
pub type KindSet = u8;
pub const COMMAND: KindSet = 1;
/// A parallel block over `tasks=`.
pub const TASKS: KindSet = 2;
/// A parallel block over `hostnames=`.
pub const HOSTS: KindSet = 4;
pub const CONDITIONAL: KindSet = 8;
pub const DECISION: KindSet = 16;
/// A task with only a `return=` or a `next=never`.
pub const BARE: KindSet = 32;
const PARALLEL: KindSet = TASKS | HOSTS;
const RUNS: KindSet = COMMAND | HOSTS;
const ANY: KindSet = COMMAND | PARALLEL | CONDITIONAL | DECISION | BARE;

/// What a message calls a task of that kind.
pub fn describe_kind(kind: KindSet) -> &'static str {
    match kind {
        COMMAND => "a command",
        TASKS => "a block over `tasks=`",
        HOSTS => "a block over `hostnames=`",
        CONDITIONAL => "a conditional block",
        DECISION => "a decision",
        _ => "a task that runs nothing",
    }
}

/// A key of tasks.
pub struct TaskKey {
    pub name: &'static str,
    /// The kinds of task that the key applies to.
    pub on: KindSet,
    /// Whether ` # …` at the end is a comment: no value of the key can contain a `#`.
    pub comment: bool,
}

const fn key(name: &'static str, on: KindSet, comment: bool) -> TaskKey {
    TaskKey { name, on, comment }
}

/// Every key except `env.NAME`.
pub const KEYS: &[TaskKey] = &[
    key("task", ANY, true),
    key("name", ANY, true),
    key("description", ANY, false),
    key("type", ANY, true),
    key("hostname", COMMAND, false),
    key("command", RUNS, false),
    key("arguments", RUNS, false),
    key("exec", RUNS, true),
    key("timeout", COMMAND | PARALLEL, true),
    key("block_timeout", PARALLEL, true),
    key("stdin", RUNS, false),
    key("workdir", RUNS, false),
    key("condition", ANY, false),
    key("success", ANY & !BARE, false),
    key("failure", ANY & !BARE, false),
    key("next", ANY, false),
    key("on_success", ANY & !BARE, true),
    key("on_failure", ANY & !BARE, true),
    key("goto", ANY & !BARE, true),
    key("return", ANY, true),
    key("loop", ANY & !BARE, true),
    key("loop_break", ANY & !BARE, false),
    key("retry_count", COMMAND | PARALLEL | CONDITIONAL, true),
    key("retry_delay", COMMAND | PARALLEL | CONDITIONAL, true),
    key("retry_failed", COMMAND | PARALLEL | CONDITIONAL, true),
    key("retry_on", COMMAND | PARALLEL | CONDITIONAL, true),
    key("finally", ANY, true),
    key("on_resume", COMMAND | PARALLEL, true),
    key("sleep", ANY & !BARE, true),
    key("stdout_split", RUNS, false),
    key("stderr_split", RUNS, false),
    key("tasks", TASKS, true),
    key("hostnames", HOSTS, false),
    key("max_parallel", PARALLEL, true),
    key("fail_fast", PARALLEL, true),
    key("unreachable", PARALLEL, true),
    key("waves", PARALLEL, true),
    key("wave_check", PARALLEL, true),
    key("wave_pause", PARALLEL, true),
    key("if_true_tasks", CONDITIONAL, true),
    key("if_false_tasks", CONDITIONAL, true),
];

/// Keys that protect: where they could not, they are an error, not a warning (SPEC §1).
/// `finally` applies to every kind of task.
pub const PROTECTIVE: &[&str] = &[
    "fail_fast",
    "unreachable",
    "waves",
    "wave_check",
    "on_resume",
];

/// Every `env.NAME` is a key.
pub const ENV: TaskKey = key("env.", RUNS, false);

/// The key with that name.
pub fn find(name: &str) -> Option<&'static TaskKey> {
    if name.starts_with(ENV.name) {
        return Some(&ENV);
    }
    KEYS.iter().find(|k| k.name == name)
}

/// `[A-Za-z_][A-Za-z0-9_]*`
pub fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The value without a ` #…` comment at its end.
pub fn without_comment(value: &str) -> &str {
    let mut before = None;
    for (at, c) in value.char_indices() {
        if c == '#' && before.is_none_or(char::is_whitespace) {
            return value[..at].trim_end();
        }
        before = Some(c);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_begin_after_a_space() {
        assert_eq!(without_comment("30  # seconds"), "30");
        assert_eq!(without_comment("30#x"), "30#x");
        assert_eq!(without_comment("# x"), "");
    }

    #[test]
    fn keys_are_found() {
        assert!(find("env.PATH").is_some_and(|k| k.name == "env."));
        assert!(find("Task").is_none());
        assert!(
            is_identifier("_a1")
                && !is_identifier("1a")
                && !is_identifier("")
                && !is_identifier("a-b")
        );
    }
}
