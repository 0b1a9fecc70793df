//! What a journal keeps of each task, and of what the run uses of `tasker.conf`, to
//! tell later whether they are still the same (SPEC §6.4). Made of the same facts as
//! the plan's id, and secrets count only by name and source.
#![forbid(unsafe_code)]

use super::outline::{EntryKind, Outline, PlanEntry, PlannedCommand};
use super::plan_id::{self, group_name};
use super::plan_settings::{PlanGlobal, PlanSetting, SettingSource};
use super::recipe::Recipe;
use super::workflow::Workflow;
use crate::task::global_value::{ValuePart, parts};
use crate::task::{Deferrable, Ix, NextRule, Task};
use crate::text::diagnostic::printable;
use std::collections::HashMap;
use std::fmt::Write;

/// How many digits stand for a task or a fact.
const DIGITS: usize = 8;

fn short_hash(text: &str) -> String {
    plan_id::hash(text)[..DIGITS].to_string()
}

/// Each task's id with 8 digits that stand for everything that decides what the task
/// does, in id order. What does not count: titles, the hosts that a node set makes (only
/// the set as it is written), and where the flow goes without a key of the task.
/// A block's members count by their ids; each has digits of its own.
pub fn task_fingerprints(outline: &Outline, workflow: &Workflow) -> Vec<(u32, String)> {
    let facts = FactCollector::new(outline, workflow);
    let mut found: Vec<(u32, String)> = outline
        .all()
        .iter()
        .map(|entry| (entry.id, short_hash(&facts.describe(entry))))
        .collect();
    found.sort_unstable();
    // A branch task can be a member of both branches.
    found.dedup();
    found
}

/// What the run uses of `tasker.conf`: the key's name with 8 digits that stand for its
/// value, by name. The defaults of tasks are taken from the tasks that they apply to,
/// so that one which applies to none makes no difference.
pub fn run_facts(outline: &Outline, workflow: &Workflow) -> Vec<(String, String)> {
    let of_conf = outline.settings.iter().filter(|s| is_of_conf(s));
    // The log directory decides where a run is recorded, not what it does, and so do what
    // watches it and how long that is kept; and where an output did not fit, more room
    // for it is what lets the run be resumed.
    let recorded = [
        "log_dir",
        "keep_free",
        "max_output",
        "keep_logs",
        "keep_state",
        "metrics",
        "syslog",
    ];
    let of_conf = of_conf.filter(|s| !recorded.contains(&s.name.as_str()));
    let mut facts: Vec<(String, String)> = of_conf
        .map(|s| (s.name.clone(), short_hash(&s.value)))
        .collect();
    let defaults = [
        default_values(outline, workflow, "exec", exec_of),
        default_values(outline, workflow, "timeout", timeout_of),
        default_values(outline, workflow, "max_parallel", at_once_of),
    ];
    let names = ["default_exec", "timeout", "max_parallel"];
    for (name, values) in names.iter().zip(defaults) {
        if !values.is_empty() {
            facts.push((name.to_string(), short_hash(&values)));
        }
    }
    facts.sort_unstable();
    facts
}

fn is_of_conf(setting: &PlanSetting) -> bool {
    setting.source == SettingSource::Conf
}

/// The values of the tasks that have no such key, a line each.
fn default_values(
    outline: &Outline,
    workflow: &Workflow,
    key: &str,
    value: fn(&PlanEntry) -> Option<&str>,
) -> String {
    let mut without_key: Vec<&PlanEntry> = outline.all();
    without_key.retain(|entry| !workflow.tasks[entry.ix].has_key(key));
    without_key.sort_unstable_by_key(|entry| entry.id);
    without_key.dedup_by_key(|entry| entry.id);
    let lines = without_key.iter().filter_map(|entry| {
        let value = value(entry)?;
        Some(format!("{}: {value}\n", entry.id))
    });
    lines.collect()
}

fn exec_of(entry: &PlanEntry) -> Option<&str> {
    entry.command.as_ref().map(|command| command.exec.as_str())
}

fn timeout_of(entry: &PlanEntry) -> Option<&str> {
    let command = entry.command.as_ref();
    command.map(|command| command.timeout.as_str())
}

fn at_once_of(entry: &PlanEntry) -> Option<&str> {
    match &entry.kind {
        EntryKind::Tasks { at_once } | EntryKind::Hosts { at_once, .. } => Some(at_once),
        _ => None,
    }
}

/// The facts of a task, one a line: `key: value`.
#[derive(Default)]
struct FactList(String);

impl FactList {
    fn add(&mut self, key: &str, value: &str) {
        let _ = writeln!(self.0, "{key}: {}", printable(value));
    }

    fn add_some(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.add(key, value);
        }
    }
}

struct FactCollector<'a> {
    workflow: &'a Workflow,
    globals: HashMap<&'a str, &'a PlanGlobal>,
    /// The exec types of `tasker.conf` that the run uses.
    exec_types: Vec<&'a PlanSetting>,
}

impl<'a> FactCollector<'a> {
    fn new(outline: &'a Outline, workflow: &'a Workflow) -> FactCollector<'a> {
        let globals = outline.globals.iter();
        let settings = outline.settings.iter();
        FactCollector {
            workflow,
            globals: globals.map(|g| (g.name.as_str(), g)).collect(),
            exec_types: settings
                .filter(|s| is_of_conf(s) && s.name.starts_with("exec="))
                .collect(),
        }
    }

    fn describe(&self, entry: &PlanEntry) -> String {
        let mut facts = FactList::default();
        facts.add("type", entry.kind.label());
        if let Some(condition) = &entry.only_if {
            self.add_condition("condition", condition, &mut facts);
        }
        facts.add_some("max_parallel", at_once_of(entry));
        if let EntryKind::Hosts { set, .. } = &entry.kind {
            facts.add("hostnames", set);
        }
        if let Some(command) = &entry.command {
            self.add_command(entry.ix, command, &mut facts);
        }
        for (key, condition) in &entry.criteria {
            self.add_condition(key, condition, &mut facts);
        }
        for setting in &entry.settings {
            facts.add(&setting.key, &setting.value.to_string());
        }
        for (group, members) in &entry.groups {
            let members: Vec<String> = members.iter().map(|m| m.id.to_string()).collect();
            facts.add(group_name(*group), &members.join(","));
        }
        self.add_routes(&self.workflow.tasks[entry.ix], &mut facts);
        facts.0
    }

    /// A condition as it is written, with the globals that it refers to.
    fn add_condition(&self, key: &str, condition: &str, facts: &mut FactList) {
        facts.add(key, condition);
        for (_, part) in parts(condition) {
            let ValuePart::Global(name) = part else {
                continue;
            };
            let number_of = name.strip_suffix("_number");
            let found = self.globals.get(name);
            if let Some(global) = found.or_else(|| self.globals.get(number_of?)) {
                facts.add(&format!("global {}", global.name), &global.value);
            }
        }
    }

    fn add_command(&self, ix: Ix, command: &PlannedCommand, facts: &mut FactList) {
        facts.add_some("hostname", command.host.as_deref());
        facts.add("exec", &command.exec);
        facts.add("words", &command.words);
        facts.add_some("written", command.written.as_deref());
        facts.add("timeout", &command.timeout);
        // One that is known only during the run can be any of them.
        let is_late = matches!(self.workflow.recipes[ix], Recipe::Late);
        let own = format!("exec={}", command.exec);
        for exec in &self.exec_types {
            if is_late || exec.name == own {
                facts.add(&exec.name, &exec.value);
            }
        }
    }

    /// The routes that the task's own keys make. Where the flow goes without one is
    /// decided by the tasks around it.
    fn add_routes(&self, task: &Task, facts: &mut FactList) {
        let routing = &task.routing;
        match routing.next {
            NextRule::Success => facts.add("next", "success"),
            NextRule::Loop => facts.add("next", "loop"),
            // The others are among the settings and criteria.
            _ => {}
        }
        let targets = [
            ("on_success", routing.on_success),
            ("on_failure", routing.on_failure),
            ("goto", routing.goto),
        ];
        for (key, target) in targets {
            let id = target.map(|ix| self.workflow.tasks[ix].id.to_string());
            facts.add_some(key, id.as_deref());
        }
        // One that comes from a result is among the settings.
        if let Some(Deferrable::Known(code)) = &routing.return_ {
            facts.add("return", &code.to_string());
        }
        if task.finally {
            facts.add("finally", "true");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::coverage::Coverage;
    use crate::plan::exec::{Arg, ExecMethod, ExecType};
    use crate::plan::outline::PlanBasis;
    use crate::plan::recipe::Defaults;
    use crate::plan::workflow::tests::{defaults, workflow_with};
    use crate::task::nodeset::HostFilter;
    use std::time::Duration;

    type FingerprintList = Vec<(u32, String)>;

    /// The fingerprints of a file and what it uses of `tasker.conf`; `;` separates its
    /// lines.
    fn both(
        text: &str,
        defaults: &Defaults,
        selection: &HostFilter,
    ) -> (FingerprintList, Vec<(String, String)>) {
        let (workflow, sources) = workflow_with(&text.replace(';', "\n"), defaults);
        let outline = Outline::new(PlanBasis {
            workflow: &workflow,
            defaults,
            coverage: &Coverage::whole(selection.clone()),
            sources: &sources,
            settings: Vec::new(),
        });
        (
            task_fingerprints(&outline, &workflow),
            run_facts(&outline, &workflow),
        )
    }

    fn fingerprints(text: &str) -> FingerprintList {
        both(text, &defaults(), &HostFilter::default()).0
    }

    /// The ids of the tasks that are not the same in both files.
    fn changed(old: &str, new: &str) -> Vec<u32> {
        let (old, new) = (fingerprints(old), fingerprints(new));
        let new = new.into_iter().filter(|one| !old.contains(one));
        new.map(|(id, _)| id).collect()
    }

    const FILE: &str = "A=x;TOKEN_A=y;task=0;exec=local;command=a @A@;task=2;exec=shell;\
        command=b;success=stdout~@A@;env.T=@TOKEN_A@;task=9;exec=local;command=c";

    #[test]
    fn a_task_counts_with_all_that_it_does() {
        let with = |from: &str, to: &str| {
            assert!(FILE.contains(from), "{from}");
            changed(FILE, &FILE.replace(from, to))
        };
        assert_eq!(with("command=c", "command=d"), [9]);
        assert_eq!(with("A=x", "A=z"), [0, 2]);
        assert_eq!(with("command=b", "command=b;timeout=7"), [2]);
        assert_eq!(with("command=b", "command=b;workdir=/"), [2]);
        assert_eq!(with("command=b", "command=b;on_failure=9"), [2]);
        assert_eq!(with("exec=shell", "exec=local"), [2]);
        // The value of a secret is none of it.
        assert_eq!(with("TOKEN_A=y", "TOKEN_A=z"), []);
    }

    #[test]
    fn titles_and_tasks_around_make_no_difference() {
        let more = FILE.replace(
            "task=2;",
            "task=1;exec=local;command=n;task=2;name=new;description=New;",
        );
        assert_eq!(changed(FILE, &more), [1]);
    }

    #[test]
    fn a_block_counts_with_its_node_set_not_with_its_hosts() {
        let text = "task=1;type=parallel;hostnames=w[1-3];exec=ssh;command=a";
        let limited = HostFilter {
            limit: Some(["w2".to_string()].into()),
            ..HostFilter::default()
        };
        assert_eq!(both(text, &defaults(), &limited).0, fingerprints(text));
        assert_eq!(changed(text, &text.replace("1-3", "1-4")), [1]);
        let text = "task=1;type=parallel;tasks=2,3;task=2;exec=local;command=a;\
            task=3;exec=local;command=b";
        assert_eq!(changed(text, &text.replace("=b", "=c")), [3]);
        assert_eq!(
            changed(text, &text.replace("parallel", "parallel;waves=1,rest")),
            [1]
        );
    }

    fn own_type(program: &str) -> ExecType {
        let local = defaults().types;
        let local = local.find("local").expect("local");
        ExecType {
            names: vec!["own".into()],
            way: ExecMethod::Argv(vec![
                Arg::Word(vec![Some(program.into())]),
                Arg::Word(vec![None]),
                Arg::Command,
            ]),
            built_in: false,
            ..ExecType::clone(local)
        }
    }

    #[test]
    fn the_exec_type_counts_with_its_definition() {
        let with = |program: &str| {
            let mut defaults = defaults();
            defaults.types.add(own_type(program));
            defaults
        };
        let all = HostFilter::default();
        let text = "task=1;exec=own;hostname=h;command=a;task=2;exec=local;command=a";
        let (old, old_facts) = both(text, &with("a"), &all);
        let (new, new_facts) = both(text, &with("b"), &all);
        assert!(old[0] != new[0] && old[1] == new[1], "{old:?} {new:?}");
        assert_eq!(old_facts.len(), 2, "{old_facts:?}");
        let differ: Vec<_> = new_facts
            .iter()
            .filter(|f| !old_facts.contains(f))
            .collect();
        assert!(
            matches!(differ[..], [(name, _)] if name == "exec=own"),
            "{differ:?}"
        );
        // One that no task uses is no fact of the run.
        let unused = "task=2;exec=local;command=a";
        assert_eq!(
            both(unused, &with("a"), &all),
            both(unused, &with("b"), &all)
        );
    }

    #[test]
    fn defaults_count_where_they_apply() {
        let named = |text: &str, other: Defaults| {
            let facts = |defaults: &Defaults| both(text, defaults, &HostFilter::default()).1;
            let old = facts(&defaults());
            let changed = facts(&other).into_iter().filter(|f| !old.contains(f));
            changed.map(|(name, _)| name).collect::<Vec<_>>()
        };
        let slow = || Defaults {
            timeout: Duration::from_secs(9),
            max_parallel: 3,
            ..defaults()
        };
        let text = "task=1;exec=local;command=a";
        assert_eq!(named(text, slow()), ["timeout"]);
        assert!(named("task=1;exec=local;command=a;timeout=5", slow()).is_empty());
        let block = "task=1;type=parallel;hostnames=a,b;command=a;exec=ssh;timeout=5";
        assert_eq!(named(block, slow()), ["max_parallel"]);
        assert!(named(&format!("{block};max_parallel=2"), slow()).is_empty());
    }
}
