//! Which files have the metrics of a job (SPEC §6.8). What the command line and a trusted
//! `tasker.conf` say holds for every run, also for one that is refused; a task file's
//! options once it is accepted.
#![forbid(unsafe_code)]

use crate::cli::invocation::Invocation;
use crate::report::destination;
use crate::report::metrics::{LONGEST, OlderMetrics, Series};
use crate::report::run_summary::RunSummary;
use crate::run::sys;
use crate::session::destinations;
use crate::session::identity;
use crate::session::validation::Validation;
use crate::text::diagnostic::{printable, reason};
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// How much of the task file's name is in that of its metrics, in characters.
const STEM: usize = 100;
/// How much of the given globals is in a label, in characters.
const GLOBALS: usize = 200;

/// The files that have the metrics of a job.
pub struct MetricsFiles<'a> {
    validation: &'a Validation,
    /// The job's globals, as people read them.
    globals: String,
    /// Each with what names it.
    files: Vec<(&'static str, PathBuf)>,
}

/// What is to be said of such a file.
pub enum Problem {
    Unwritten(String),
    /// What was there tells nothing of this job.
    Replaced(String),
}

impl Display for Problem {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self {
            Problem::Unwritten(text) => f.write_str(text),
            Problem::Replaced(text) => write!(f, "warning: {text}"),
        }
    }
}

/// The files that this run of the job is to write: that of the option, and that of the
/// site, which has to be right also after a run that knew no option of the file.
pub fn of_job<'a>(invocation: &Invocation, validation: &'a Validation) -> MetricsFiles<'a> {
    let named = invocation.metrics.as_ref();
    let named = named.map(|path| ("--metrics", path.clone()));
    let directory = validation.monitoring.directory.as_ref();
    let of_site = directory.map(|place| ("metrics", place.join(file_name(validation))));
    MetricsFiles {
        validation,
        globals: identity::shown_given_globals(invocation),
        files: named.into_iter().chain(of_site).collect(),
    }
}

/// `STEM-HASH.prom`
fn file_name(validation: &Validation) -> String {
    let stem = match validation.from_stdin {
        true => "stdin".into(),
        false => validation
            .named
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy(),
    };
    let plain = |c: char| match c.is_ascii_alphanumeric() || "._-".contains(c) {
        true => c,
        false => '_',
    };
    let stem: String = stem.chars().take(STEM).map(plain).collect();
    format!("{stem}-{}.prom", validation.job)
}

impl MetricsFiles<'_> {
    pub fn only(mut self, is_wanted: &dyn Fn(&Path) -> bool) -> Self {
        self.files.retain(|(_, path)| is_wanted(path));
        self
    }

    /// Writes the end of a run to all of them. `stop` says when to wait no longer for
    /// the reader of a FIFO.
    pub fn write(&self, run: &RunSummary, stop: &dyn Fn() -> bool) -> Vec<Problem> {
        let written = self.files.iter();
        let written = written.filter_map(|(option, path)| self.write_one(option, path, run, stop));
        written.collect()
    }

    fn write_one(
        &self,
        option: &str,
        path: &Path,
        run: &RunSummary,
        stop: &dyn Fn() -> bool,
    ) -> Option<Problem> {
        if destinations::is_task_file(path, &self.validation.name) {
            return None;
        }
        let series = self.series(run);
        let (earlier, doubt) = match read(path, &series) {
            Ok(earlier) => (earlier, None),
            Err(why) => (None, Some(why)),
        };
        let last_success = earlier.as_ref().map_or(0, |earlier| earlier.last_success);
        let series = match earlier {
            // A file that was not accepted does not say which project it belongs to.
            Some(earlier) if run.tasks.is_none() => series.or_in_project(&earlier.project),
            _ => series,
        };
        let text = series.draw(run, SystemTime::now(), last_success, &sys::own_name());
        let contents = |out: &mut dyn std::io::Write| out.write_all(text.as_bytes());
        if let Err(e) = destination::write_for_all(path, &contents, stop) {
            return Some(Problem::Unwritten(format!("{option}: {e}")));
        }
        let shown = path.display().to_string();
        let shown = printable(&shown);
        doubt.map(|why| {
            Problem::Replaced(format!(
                "{option}: `{shown}` did not say when this job last succeeded ({why}), and was replaced"
            ))
        })
    }

    /// What tells the job from others, secrets masked.
    fn series(&self, run: &RunSummary) -> Series {
        let job = &self.validation.job;
        let file = match self.validation.from_stdin {
            true => format!("standard input {job}"),
            false => self.validation.named.display().to_string(),
        };
        let mut globals = run.mask.apply(&self.globals);
        if let Some((end, _)) = globals.char_indices().nth(GLOBALS) {
            globals.truncate(end);
            globals += &format!(" ... {job}");
        }
        Series::new(&run.mask.apply(&file), &globals, run.project)
    }
}

/// What an older file tells of the job, if there is one.
fn read(path: &Path, series: &Series) -> Result<Option<OlderMetrics>, String> {
    let bytes = match destination::read(path, LONGEST) {
        Ok(bytes) => bytes.unwrap_or_default(),
        Err(e) => return Err(reason(&e)),
    };
    let text = String::from_utf8_lossy(&bytes);
    series.read(&text).map_err(str::to_string)
}
