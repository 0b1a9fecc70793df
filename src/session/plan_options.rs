//! What options and `tasker.conf` say about the run, as the plan shows it (SPEC §6.1).
#![forbid(unsafe_code)]

use crate::cli::invocation::GivenOption;
use crate::plan::plan_settings::{PlanSetting, SettingSource};
use crate::run::interrupt::OnInterrupt;
use crate::session::config::{CONNECT_TIMEOUT, KEEP_FREE, KEEP_STATE, KILL_AFTER};
use crate::session::load::Loaded;
use crate::task::nodeset::{self, HostFilter};
use crate::text::{duration, quote, size};
use std::collections::HashSet;

/// What the plan makes of an option.
#[derive(Clone, Copy, Debug, PartialEq)]
enum PlanPart {
    /// What runs depends on it; the plan shows its effect, whoever gives it.
    Effect,
    /// A program, a destination, a deadline or a lock: shown as it is written. The id
    /// covers it where the task file gives it.
    Listed,
    /// It does not change what runs or is written.
    Nothing,
}

fn part_of(option: &str) -> PlanPart {
    match option {
        "type"
        | "timeout"
        | "start-from"
        | "limit"
        | "exclude"
        | "keep-going"
        | "fire-and-forget"
        | "max-steps"
        | "on-interrupt"
        | "set"
        | "strict-env-validation" => PlanPart::Effect,
        "log-dir"
        | "project"
        | "resume"
        | "resume-at"
        | "all-hosts"
        | "auto-recovery"
        | "finish-only"
        | "connection-test"
        | "skip-host-validation"
        | "skip-validation"
        | "deadline"
        | "deadline-task"
        | "alert-on-failure"
        | "events"
        | "mail-once"
        | "instance-check"
        | "force-instance"
        | "lock-wait"
        | "lock-skip"
        | "splay"
        | "output-json"
        | "keep-output"
        | "report"
        | "metrics"
        | "syslog"
        | "no-task-backup" => PlanPart::Listed,
        _ => PlanPart::Nothing,
    }
}

/// The settings of the whole run that are not the default.
pub fn settings(loaded: &Loaded, selection: &HostFilter) -> Vec<PlanSetting> {
    let mut settings = effects(loaded, selection);
    let given = &loaded.invocation.given;
    // The last one holds, in the file and on the command line.
    let holds = |at: usize| {
        let same = |g: &GivenOption| (g.long, g.in_file) == (given[at].long, given[at].in_file);
        !given[at + 1..].iter().any(same)
    };
    let listed = given.iter().enumerate();
    let listed = listed.filter(|(at, g)| part_of(g.long) == PlanPart::Listed && holds(*at));
    let listed = listed.map(|(_, given)| given);
    settings.extend(listed.map(|given| PlanSetting {
        name: format!("--{}", given.long),
        value: given.value.clone(),
        source: match given.in_file {
            true => SettingSource::TaskFile,
            false => SettingSource::CommandLine,
        },
    }));
    let conf = &loaded.config.conf;
    let mut of_conf = |name: &str, value: String| {
        settings.push(PlanSetting {
            name: name.to_string(),
            value,
            source: SettingSource::Conf,
        });
    };
    if let Some(time) = conf.kill_after.filter(|t| *t != KILL_AFTER) {
        of_conf("kill_after", duration::setting(time));
    }
    if let Some(time) = conf.connect_timeout.filter(|t| *t != CONNECT_TIMEOUT) {
        of_conf("connect_timeout", duration::setting(time));
    }
    if let Some(most) = conf.max_connecting {
        of_conf("max_connecting", most.to_string());
    }
    if let Some((options, _)) = &conf.ssh_options {
        let words: Vec<String> = options.iter().map(|word| quote::shell_word(word)).collect();
        of_conf("ssh_options", words.join(" "));
    }
    if let Some(bytes) = conf.keep_free.filter(|bytes| *bytes != KEEP_FREE) {
        of_conf("keep_free", size::show(bytes));
    }
    if let Some(bytes) = conf.max_output {
        of_conf("max_output", size::show(bytes));
    }
    if let Some(days) = conf.keep_logs {
        of_conf("keep_logs", format!("{days} d"));
    }
    if let Some(days) = conf.keep_state.filter(|days| *days != KEEP_STATE) {
        of_conf("keep_state", format!("{days} d"));
    }
    if let Some((_, at)) = &conf.log_dir {
        of_conf("log_dir", loaded.sources.snippet(*at).to_string());
    }
    if let Some((_, at)) = &conf.metrics {
        of_conf("metrics", loaded.sources.snippet(*at).to_string());
    }
    if let Some(facility) = conf.syslog {
        of_conf("syslog", facility.name().to_string());
    }
    settings
}

/// The options that change what runs, whoever gives them.
fn effects(loaded: &Loaded, selection: &HostFilter) -> Vec<PlanSetting> {
    let invocation = &loaded.invocation;
    let flag = |is_set: bool| is_set.then(String::new);
    let set = |hosts: &HashSet<String>| {
        let hosts: Vec<&String> = hosts.iter().collect();
        nodeset::fold(&hosts)
    };
    let has_default = invocation.max_steps() == crate::cli::invocation::MAX_STEPS;
    let kill = invocation.on_interrupt == OnInterrupt::Kill;
    let excluded = Some(&selection.exclude).filter(|e| !e.is_empty());
    let effects = [
        ("--keep-going", flag(invocation.keep_going)),
        ("--fire-and-forget", flag(invocation.fire_and_forget)),
        ("--strict-env-validation", flag(invocation.strict_env)),
        ("--start-from", invocation.start_from.clone()),
        (
            "--max-steps",
            (!has_default).then(|| invocation.max_steps().to_string()),
        ),
        ("--on-interrupt", kill.then(|| "kill".to_string())),
        ("--limit", selection.limit.as_ref().map(set)),
        ("--exclude", excluded.map(set)),
    ];
    let effects = effects.into_iter();
    let effects = effects.filter_map(|(name, value)| {
        Some(PlanSetting {
            name: name.to_string(),
            value: value?,
            source: SettingSource::Effective,
        })
    });
    effects.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::options::OPTIONS;

    /// A new option must be sorted into one of the parts.
    #[test]
    fn every_option_is_known() {
        let nothing = [
            "run",
            "log-level",
            "debug",
            "show-recovery-info",
            "assume",
            "assume-each-fails",
            "show-plan",
            "plan",
            "expect-hosts",
            "yes",
            "config",
            "validate-only",
            "skip-task-validation",
            "status",
            "project-summary",
            "prune",
            "quiet",
            "color",
            "completions",
            "help",
            "version",
        ];
        for option in OPTIONS.iter().filter(|o| !o.help.is_empty()) {
            let expected = nothing.contains(&option.long);
            let part = part_of(option.long);
            assert_eq!(part == PlanPart::Nothing, expected, "--{}", option.long);
        }
    }
}
