//! The end of a run in the text format of Prometheus, as node_exporter's textfile
//! collector reads it (SPEC §6.8). It does not know where the file is, nor whose.
//!
//! The file of a job is also the memory of its last success. No value has a timestamp:
//! the collector refuses such a file.
#![forbid(unsafe_code)]

use super::run_summary::{RunSummary, TaskSummary};
use super::safe_text;
use crate::exit;
use crate::outcome::{Counts, Outcome};
use crate::task::host::is_this_machine;
use crate::text::decimal::seconds;
use std::collections::HashMap;
use std::fmt::{self, Display, Formatter, Write};
use std::time::{SystemTime, UNIX_EPOCH};

/// More than the longest file that tasker writes, but for very long paths.
pub const LONGEST: u64 = 64 << 10;

/// A metric, with the text that describes it: the same in every file, because the
/// collector refuses two texts for one name.
struct Gauge {
    name: &'static str,
    help: &'static str,
}

const LAST_RUN: Gauge = Gauge {
    name: "tasker_last_run_timestamp_seconds",
    help: "When the last run of the job ended or was refused.",
};
const LAST_SUCCESS: Gauge = Gauge {
    name: "tasker_last_success_timestamp_seconds",
    help: "When the last run of the job that ended with 0 ended; 0 if none is known.",
};
const EXIT_CODE: Gauge = Gauge {
    name: "tasker_last_run_exit_code",
    help: "The exit code of the last run.",
};
const DURATION: Gauge = Gauge {
    name: "tasker_last_run_duration_seconds",
    help: "How long the last run took.",
};
const TASKS: Gauge = Gauge {
    name: "tasker_last_run_tasks",
    help: "How many tasks of the last run ended in this outcome.",
};
const HOSTS: Gauge = Gauge {
    name: "tasker_last_run_hosts",
    help: "How many other machines had this as the worst outcome in the last run.",
};

impl Display for Gauge {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let Gauge { name, help } = self;
        write!(f, "# HELP {name} {help}\n# TYPE {name} gauge\n")
    }
}

/// Which job the metrics are about.
pub struct Series {
    /// `file="/srv/deploy.txt"`, and what else tells the job from others, as it is
    /// written between braces.
    labels: String,
    project: String,
}

/// What an older file tells of the job.
#[derive(Debug, PartialEq)]
pub struct OlderMetrics {
    /// Seconds since 1970; 0 for never.
    pub last_success: u64,
    pub project: String,
}

impl Series {
    /// `globals` are those of the command line, if the job has any.
    pub fn new(file: &str, globals: &str, project: Option<&str>) -> Series {
        let mut labels = format!("file=\"{}\"", label_value(file));
        if !globals.is_empty() {
            let _ = write!(labels, ",set=\"{}\"", label_value(globals));
        }
        Series {
            labels,
            project: project.unwrap_or_default().to_string(),
        }
    }

    /// The same in this project, unless it has one.
    pub fn or_in_project(self, project: &str) -> Series {
        match self.project.is_empty() {
            true => Series {
                project: project.to_string(),
                ..self
            },
            false => self,
        }
    }

    fn begin(&self) -> String {
        format!("{}{{{},project=\"", LAST_SUCCESS.name, self.labels)
    }

    /// Reads an older file. An empty one tells nothing.
    ///
    /// # Errors
    /// Why it is not one of this job.
    pub fn read(&self, text: &str) -> Result<Option<OlderMetrics>, &'static str> {
        let begin = self.begin();
        if let Some(rest) = text.lines().find_map(|line| line.strip_prefix(&begin)) {
            return match earlier(rest) {
                Some(earlier) => Ok(Some(earlier)),
                None => Err("it is damaged"),
            };
        }
        match (text.trim().is_empty(), text.contains(LAST_SUCCESS.name)) {
            (true, _) => Ok(None),
            (_, true) => Err("it is about another job"),
            (_, false) => Err("tasker did not write it"),
        }
    }

    /// All metrics of a run that has ended now.
    pub fn draw(&self, run: &RunSummary, now: SystemTime, last_success: u64, own: &str) -> String {
        let now = unix_seconds(now);
        let last_success = match run.exit {
            exit::OK => now,
            _ => last_success,
        };
        let tasks = run.tasks.as_ref();
        let outcomes = tasks.map(|t| t.end.results.counts()).unwrap_or_default();
        let hosts = tasks.map(|t| hosts(t, own)).unwrap_or_default();
        [
            self.one(&LAST_RUN, now),
            self.one(&LAST_SUCCESS, last_success),
            self.one(&EXIT_CODE, run.exit),
            self.one(&DURATION, seconds(run.took, 3)),
            self.of_each_outcome(&TASKS, &outcomes),
            self.of_each_outcome(&HOSTS, &hosts),
        ]
        .concat()
    }

    fn one(&self, gauge: &Gauge, value: impl Display) -> String {
        let (labels, project) = (&self.labels, &self.project);
        let name = gauge.name;
        format!("{gauge}{name}{{{labels},project=\"{project}\"}} {value}\n")
    }

    /// All eight, so that none vanishes that was there before.
    fn of_each_outcome(&self, gauge: &Gauge, counts: &Counts) -> String {
        let (labels, project) = (&self.labels, &self.project);
        let name = gauge.name;
        let mut out = gauge.to_string();
        for outcome in Outcome::ALL {
            let count = counts.count(outcome);
            let _ = writeln!(
                out,
                "{name}{{{labels},project=\"{project}\",outcome=\"{outcome}\"}} {count}"
            );
        }
        out
    }
}

/// What follows `project="`.
fn earlier(rest: &str) -> Option<OlderMetrics> {
    let (project, value) = rest.split_once("\"} ")?;
    // A project's name has no characters that would be written otherwise.
    let is_plain = !project.contains(['"', '\\', '{', ',']);
    let project = Some(project).filter(|_| is_plain)?.to_string();
    Some(OlderMetrics {
        last_success: value.parse().ok()?,
        project,
    })
}

/// The value of a label as it is written: on one line, and with nothing in it that a
/// terminal obeys.
fn label_value(text: &str) -> String {
    let line = safe_text::line(text).replace('\t', "\\t");
    line.replace('\\', "\\\\").replace('"', "\\\"")
}

fn unix_seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// How many hosts had each outcome as their worst one. This machine is none.
fn hosts(tasks: &TaskSummary, own: &str) -> Counts {
    let mut worst: HashMap<&str, Outcome> = HashMap::new();
    let mut add = |host, outcome| {
        let before = worst.entry(host).or_insert(outcome);
        if badness(outcome) > badness(*before) {
            *before = outcome;
        }
    };
    for (ix, task) in tasks.workflow.tasks.iter().enumerate() {
        let Some(result) = tasks.end.results.get(ix) else {
            continue;
        };
        add(&result.hostname, result.outcome);
        for member in &result.members {
            match task.is_over_hosts() {
                true => add(&member.name, member.result.outcome),
                false => add(&member.result.hostname, member.result.outcome),
            }
        }
    }
    let mut counts = Counts::default();
    let is_other = |host: &str| !host.is_empty() && !is_this_machine(host, own);
    let others = worst.into_iter().filter(|(host, _)| is_other(host));
    others.for_each(|(_, outcome)| counts.add(outcome));
    counts
}

/// Which of two outcomes a host is counted by.
fn badness(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Skipped => 0,
        Outcome::Ok => 1,
        Outcome::NotStarted => 2,
        Outcome::Cancelled => 3,
        Outcome::Unreachable => 4,
        Outcome::Unknown => 5,
        Outcome::Timeout => 6,
        Outcome::Failed => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_file_is_read_if_it_is_of_the_job() {
        let series = Series::new("/srv/a \"b\"\\c\n.txt", "REGION=eu", Some("nightly"));
        let name = LAST_SUCCESS.name;
        let line = |value: &str| {
            format!(
                "{name}{{file=\"/srv/a \\\"b\\\"\\\\c\\\\n.txt\",set=\"REGION=eu\",project=\"old\"}} {value}\n"
            )
        };
        let known = OlderMetrics {
            last_success: 17,
            project: "old".into(),
        };
        assert_eq!(series.read(&line("17")), Ok(Some(known)));
        assert_eq!(series.read("\n"), Ok(None));
        for damaged in ["", "x", "-1", "1e9", "17 1700000000"] {
            assert_eq!(series.read(&line(damaged)), Err("it is damaged"));
        }
        let other = line("17").replace("eu", "us");
        assert_eq!(series.read(&other), Err("it is about another job"));
        assert_eq!(series.read("up 1\n"), Err("tasker did not write it"));
    }
}
