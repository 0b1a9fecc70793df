//! What a plan says about the whole run: options, the exec types of `tasker.conf`, and
//! globals (SPEC §6.1).
#![forbid(unsafe_code)]

use super::coverage::Coverage;
use super::exec::{Arg, ExecMethod, ExecType};
use super::recipe::{Defaults, Recipe};
use super::workflow::Workflow;
use crate::task::globals::{Global, GlobalTable};
use crate::text::decimal::short_seconds;
use crate::text::diagnostic::printable;
use crate::text::source::SourceMap;
use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};

/// Where a setting of the run comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SettingSource {
    /// It counts wherever it comes from: what runs depends on it.
    Effective,
    TaskFile,
    Conf,
    /// Shown, but the id does not cover it.
    CommandLine,
}

/// A setting of the whole run.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanSetting {
    pub name: String,
    /// Empty for a flag.
    pub value: String,
    pub source: SettingSource,
}

impl PlanSetting {
    pub fn is_in_id(&self) -> bool {
        self.source != SettingSource::CommandLine
    }

    /// Where it comes from, for people and programs; empty if that makes no difference.
    pub fn source_name(&self) -> &'static str {
        match self.source {
            SettingSource::Effective => "",
            SettingSource::TaskFile => "task file",
            SettingSource::Conf => "tasker.conf",
            SettingSource::CommandLine => "command line",
        }
    }
}

impl Display for PlanSetting {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        f.write_str(&self.name)?;
        if !self.value.is_empty() {
            write!(f, " {}", self.value)?;
        }
        match self.source_name() {
            "" => Ok(()),
            source if self.is_in_id() => write!(f, " ({source})"),
            source => write!(f, " ({source}, not in the plan id)"),
        }
    }
}

/// A global and its value; of a secret only where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanGlobal {
    pub name: String,
    pub value: String,
}

/// The globals by name.
pub fn globals(table: &GlobalTable, sources: &SourceMap) -> Vec<PlanGlobal> {
    let mut globals: Vec<PlanGlobal> = table
        .values()
        .map(|(name, global, value)| PlanGlobal {
            name: name.to_string(),
            value: match global.has_secret() {
                true => shown_secret(global, sources),
                false => shown_bytes(value),
            },
        })
        .collect();
    globals.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    globals
}

/// Text as it is; other bytes as escapes, so that no two values are shown alike.
fn shown_bytes(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| e.as_bytes().escape_ascii().to_string())
}

fn shown_secret(global: &Global, sources: &SourceMap) -> String {
    format!(
        "{} (from {})",
        global.shown(),
        global.origins(sources).join(", ")
    )
}

/// The exec types of `tasker.conf` that a task uses, or can use where the type is
/// known only during the run.
pub fn exec_types(
    workflow: &Workflow,
    defaults: &Defaults,
    coverage: &Coverage,
) -> Vec<PlanSetting> {
    let mut used = BTreeSet::new();
    let mut is_late = false;
    let tasks = workflow.tasks.iter().enumerate();
    for (ix, task) in tasks.filter(|(ix, _)| coverage.has_task(*ix)) {
        match &workflow.recipes[ix] {
            Recipe::Ready { exec, .. } => {
                used.insert(exec.name());
            }
            Recipe::Late => is_late |= task.command().is_some(),
            Recipe::None => {}
        }
    }
    let own = defaults.types.all().filter(|t| !t.built_in);
    let mut types: Vec<&ExecType> = own.filter(|t| is_late || used.contains(t.name())).collect();
    types.sort_unstable_by_key(|t| t.name());
    let setting = |exec: &ExecType| PlanSetting {
        name: format!("exec={}", exec.name()),
        value: exec_line(exec),
        source: SettingSource::Conf,
    };
    types.into_iter().map(setting).collect()
}

fn exec_line(exec: &ExecType) -> String {
    let way = match &exec.way {
        ExecMethod::Words => "words".into(),
        ExecMethod::Script => "script".into(),
        ExecMethod::Ssh { script, options } => {
            let options: String = options.iter().map(|w| format!(" {w:?}")).collect();
            format!("ssh{options}, script {script}")
        }
        ExecMethod::Argv(args) => {
            let args: Vec<String> = args.iter().map(arg_text).collect();
            format!("argv {}", args.join(" "))
        }
    };
    let timeout = exec.timeout.map_or(String::new(), |t| {
        format!(", timeout {} s", short_seconds(t))
    });
    let probe = exec.probe.as_ref().map_or(String::new(), |probe| {
        let output = probe.output.as_ref();
        let output = output.map_or(String::new(), |o| format!(" and prints {o:?}"));
        format!(
            ", test {} exits {}{output}",
            probe.words.join(" "),
            probe.exit
        )
    });
    format!("{}{timeout}{probe}", printable(&way))
}

fn arg_text(arg: &Arg) -> String {
    match arg {
        Arg::Word(parts) => {
            let parts = parts.iter().map(|p| p.as_deref().unwrap_or("{hostname}"));
            format!("{:?}", parts.collect::<String>())
        }
        Arg::Command => "{command}".into(),
        Arg::Arguments => "{arguments}".into(),
        Arg::Script => "{script}".into(),
    }
}
