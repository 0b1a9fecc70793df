//! `--report`: a run as one self-contained HTML page (SPEC §6.7), with its outcome,
//! timeline, results, plan and task file.
#![forbid(unsafe_code)]

use super::history::History;
use super::html::Html;
use super::results_table::ResultsTable;
use super::run_summary::{Advice, RunSummary, TaskSummary};
use super::{clock, endings, result_groups, safe_text, timeline};
use crate::exit;
use crate::outcome::{Counts, Outcome};
use crate::run::result::TaskResult;
use crate::task::Ix;
use crate::text::diagnostic::Plural;
use crate::text::duration;
use crate::text::sha256;
use crate::text::source::SourceMap;

/// How many last lines of a failure's output are shown at the top.
const LAST_LINES: usize = 20;
/// How many bytes of the plan, and of the task file, are shown.
const LONGEST_TEXT: usize = 512 << 10;

const STYLE: &str = include_str!("html_report.css");
const SCRIPT: &str = include_str!("html_report.js");

/// The contents of the page.
pub struct HtmlReport<'a> {
    pub run: &'a RunSummary<'a>,
    /// Who ran it, and where.
    pub who: &'a str,
    /// The findings that led to a refusal, in lines.
    pub findings: &'a str,
    /// None if the run did not begin.
    pub details: Option<RunDetails<'a>>,
}

/// What the page of a run that took place also shows.
pub struct RunDetails<'a> {
    pub history: &'a History,
    /// The plan as text.
    pub plan: &'a str,
    /// The text of the task file, secrets masked.
    pub task_file: &'a str,
    pub sources: &'a SourceMap,
}

impl HtmlReport<'_> {
    /// The whole page.
    pub fn draw(&self) -> String {
        let mut html = Html::new(self.run.mask);
        self.head(&mut html);
        html.markup("<body>\n<main>\n");
        self.outcome(&mut html);
        if let Some((tasks, details)) = self.run.tasks.as_ref().zip(self.details.as_ref()) {
            timeline::draw(&mut html, tasks.workflow, details.history);
            let table = ResultsTable {
                workflow: tasks.workflow,
                end: tasks.end,
                mask: self.run.mask,
                began: self.run.began,
                line_of: &|ix| details.line_of(tasks, ix),
            };
            table.draw(&mut html);
            details.plan(&mut html, tasks);
            details.task_file(&mut html);
        }
        html.markup("</main>\n<footer>tasker ")
            .markup(env!("CARGO_PKG_VERSION"));
        html.markup("</footer>\n<script>")
            .markup(SCRIPT)
            .markup("</script>\n</body></html>\n");
        html.finish()
    }

    /// The policy forbids loading anything, and allows only our own script and style,
    /// identified by their hashes.
    fn head(&self, html: &mut Html) {
        let style = self.style();
        html.markup(HEAD);
        html.line(&base64(&sha256::hex(style.as_str().as_bytes())));
        html.markup("'; script-src 'sha256-");
        html.line(&base64(&sha256::hex(SCRIPT.as_bytes())));
        html.markup("'\">\n<title>").line(self.run.file);
        html.markup(": ").line(&self.state());
        html.markup("</title>\n<style>").add(style);
        html.markup("</style></head>\n");
    }

    /// The style, with the distance of the ticks of the timeline.
    fn style(&self) -> Html<'_> {
        let mut style = Html::new(self.run.mask);
        style.markup(STYLE);
        if let Some(details) = &self.details {
            style.markup(".chart { --tick: ");
            style.percent(timeline::tick(details.history));
            style.markup("; }\n");
        }
        style
    }

    /// How the run ended.
    fn state(&self) -> String {
        let exit = self.run.exit;
        match &self.run.tasks {
            Some(tasks) => endings::run_end(exit, tasks.end.signal),
            None => format!("did not run, exit code {exit}"),
        }
    }

    fn outcome(&self, html: &mut Html) {
        let class = match self.run.exit {
            exit::OK => "good",
            _ => "bad",
        };
        html.markup("<header class=\"")
            .markup(class)
            .markup("\">\n<h1>");
        html.line(self.run.file)
            .markup(" <span>")
            .line(&self.state())
            .markup("</span></h1>\n");
        if let Some(tasks) = &self.run.tasks {
            self.counts(html, tasks);
        }
        self.why(html);
        if !self.findings.is_empty() {
            html.markup("<pre>")
                .lines(self.findings.lines())
                .markup("</pre>\n");
        }
        if let Some((tasks, details)) = self.run.tasks.as_ref().zip(self.details.as_ref()) {
            self.failure(html, tasks, details);
            if *tasks.advice != Advice::default() {
                html.markup("<h2>To continue from there</h2>\n");
            }
            if !tasks.advice.line.is_empty() {
                html.command(&tasks.advice.line);
            }
            for words in &tasks.advice.words {
                html.markup("<p>").line(words).markup("</p>\n");
            }
        }
        self.facts(html);
        html.markup("</header>\n");
    }

    /// Why the run ended, unless it succeeded or a task says it better.
    fn why(&self, html: &mut Html) {
        let why = match &self.run.tasks {
            Some(_) if self.run.exit == exit::OK => String::new(),
            Some(tasks) if tasks.end.why.is_empty() => String::new(),
            Some(tasks) => {
                let last = tasks.workflow.tasks[tasks.end.last].id;
                format!("It ended at task {last}: {}", tasks.end.why)
            }
            None => self.run.error.into(),
        };
        if !why.is_empty() {
            html.markup("<p class=\"why\">").line(&why).markup("</p>\n");
        }
    }

    /// How many tasks, and how many hosts of all blocks, had each outcome.
    fn counts(&self, html: &mut Html, tasks: &TaskSummary) {
        html.markup("<p class=\"counts\">");
        draw_counts(html, &tasks.end.results.counts());
        let left = tasks.workflow.tasks.len();
        let left = left.saturating_sub(tasks.end.results.counts().total() as usize);
        if left > 0 {
            html.markup("<span class=\"dim\">").number(left as u64);
            html.markup(" not reached</span> ");
        }
        html.markup("<span class=\"dim\">in ");
        html.line(&duration::show(self.run.took));
        html.markup("</span></p>\n");
        let mut hosts = Counts::default();
        for (ix, task) in tasks.workflow.tasks.iter().enumerate() {
            let result = tasks.end.results.get(ix).filter(|_| task.is_over_hosts());
            let members = result.into_iter().flat_map(|r| &r.members);
            members.for_each(|m| hosts.add(m.result.outcome));
        }
        if hosts.total() > 0 {
            html.markup("<p class=\"counts\"><span class=\"dim\">hosts</span> ");
            draw_counts(html, &hosts);
            html.markup("</p>\n");
        }
    }

    /// The first failure: the task, its place, its command and the end of its output.
    fn failure(&self, html: &mut Html, tasks: &TaskSummary, details: &RunDetails) {
        let failed = tasks
            .end
            .first_failure
            .filter(|_| self.run.exit != exit::OK);
        let Some((ix, result)) = failed.and_then(|ix| Some((ix, tasks.end.results.get(ix)?)))
        else {
            return;
        };
        let task = &tasks.workflow.tasks[ix];
        html.markup("<h2>Task <a href=\"#t")
            .number(task.id)
            .markup("\">")
            .number(task.id);
        html.markup("</a> ")
            .line(&task.title.shown(None))
            .markup("</h2>\n<p>");
        let failure = endings::failure(result, task.repeat.is_some());
        html.line(&format!("{failure}{}", endings::on_host(result)))
            .markup(" (<a href=\"#L")
            .number(details.line_of(tasks, ix) as u64);
        html.markup("\">")
            .line(&details.sources.location(task.at))
            .markup("</a>)</p>\n");
        match result.members.is_empty() {
            true => self.failed_command(html, result),
            false => self.failed_block(html, result),
        }
        let check = result.failed_check(task);
        if let Some((check, result)) = check.and_then(|ix| Some((ix, tasks.end.results.get(ix)?))) {
            let check = safe_text::task_name(&tasks.workflow.tasks[check]);
            html.markup("<h3>Wave check ")
                .line(&check)
                .markup("</h3>\n");
            self.failed_command(html, result);
        }
        further_failures(html, tasks, ix);
    }

    fn failed_command(&self, html: &mut Html, result: &TaskResult) {
        if !result.command.is_empty() {
            html.command(&result.command);
        }
        // The error is more likely in stderr.
        for (name, stream) in [("stderr", &result.stderr), ("stdout", &result.stdout)] {
            let lines = safe_text::tail(stream, self.run.mask, LAST_LINES, safe_text::line);
            if !lines.is_empty() {
                html.markup("<h3>")
                    .markup(name)
                    .markup(", last lines</h3>\n<pre>");
                html.lines(lines.iter().map(String::as_str))
                    .markup("</pre>\n");
            }
        }
    }

    fn failed_block(&self, html: &mut Html, result: &TaskResult) {
        if let Some(first) = result.first_failed_command() {
            html.command(&first.command);
        }
        html.markup("<pre>");
        for group in result_groups::failures(result, self.run.mask, LAST_LINES) {
            html.lines(group.draw("").lines());
        }
        html.markup("</pre>\n");
    }

    fn facts(&self, html: &mut Html) {
        let run = self.run;
        html.markup("<dl>\n");
        html.fact("Run", run.run_id);
        let ended = run.began.checked_add(run.took);
        let ended = ended.map(clock::stamp).unwrap_or_default();
        if run.tasks.is_some() {
            html.fact("Began", &clock::stamp(run.began));
            html.fact("Ended", &ended);
            html.fact("Took", &duration::show(run.took));
        } else {
            html.fact("At", &ended);
        }
        html.fact("By", self.who);
        html.fact("Project", run.project.unwrap_or_default());
        html.fact("Change", run.change.unwrap_or_default());
        let log = run.log.map(|l| l.display().to_string());
        html.fact("Log", &log.unwrap_or_default());
        html.markup("</dl>\n");
    }
}

impl RunDetails<'_> {
    /// The plan, with the outcome of each task after its line.
    fn plan(&self, html: &mut Html, tasks: &TaskSummary) {
        html.markup("<section id=\"plan\"><details open><summary><h2>Plan</h2></summary>\n<pre>");
        for line in self.part(self.plan).lines() {
            html.line(line);
            if let Some(ix) = task_id_of(line).and_then(|id| tasks.workflow.find(id)) {
                match tasks.end.results.get(ix).map(|r| r.outcome.as_str()) {
                    Some(word) => html
                        .markup("  <b class=\"o ")
                        .markup(word)
                        .markup("\">")
                        .markup(word),
                    None => html.markup("  <b class=\"dim\">not reached"),
                };
                html.markup("</b>");
            }
            html.markup("\n");
        }
        html.markup("</pre>\n");
        self.more(html, self.plan);
        html.markup("</details></section>\n");
    }

    fn task_file(&self, html: &mut Html) {
        html.markup("<section id=\"file\"><details><summary><h2>Task file</h2></summary>\n<pre>");
        for (number, line) in self.part(self.task_file).lines().enumerate() {
            html.markup("<span id=\"L")
                .number(number as u64 + 1)
                .markup("\">");
            html.line(line).markup("</span>\n");
        }
        html.markup("</pre>\n");
        self.more(html, self.task_file);
        html.markup("</details></section>\n");
    }

    /// The part of a text that is shown, in whole lines.
    fn part<'t>(&self, text: &'t str) -> &'t str {
        if text.len() <= LONGEST_TEXT {
            return text;
        }
        let end = text.as_bytes()[..LONGEST_TEXT]
            .iter()
            .rposition(|b| *b == b'\n');
        &text[..end.map_or(0, |e| e + 1)]
    }

    fn more(&self, html: &mut Html, text: &str) {
        let more = text[self.part(text).len()..].lines().count();
        if more > 0 {
            html.markup("<p class=\"dim\">")
                .line(&format!("... {}", Plural(more, "more line")));
            html.markup("</p>\n");
        }
    }

    fn line_of(&self, tasks: &TaskSummary, ix: Ix) -> usize {
        let at = tasks.workflow.tasks[ix].at;
        self.sources.get(at.file).position(at.start as usize).0
    }
}

fn draw_counts(html: &mut Html, counts: &Counts) {
    for outcome in Outcome::ALL.into_iter().filter(|o| counts.count(*o) > 0) {
        html.markup("<span class=\"o ")
            .markup(outcome.as_str())
            .markup("\">");
        html.number(counts.count(outcome)).markup(" ");
        html.markup(outcome.as_str()).markup("</span> ");
    }
}

/// Links to the other tasks that did not succeed.
fn further_failures(html: &mut Html, tasks: &TaskSummary, first: Ix) {
    const MOST: usize = 50;
    let failed = tasks.workflow.tasks.iter().enumerate().filter(|(ix, _)| {
        let result = tasks.end.results.get(*ix);
        *ix != first && result.is_some_and(|r| r.outcome.is_failure())
    });
    let failed: Vec<u32> = failed.map(|(_, task)| task.id).collect();
    if failed.is_empty() {
        return;
    }
    html.markup("<p>Also failed:");
    for id in failed.iter().take(MOST) {
        html.markup(" <a href=\"#t").number(*id).markup("\">");
        html.number(*id).markup("</a>");
    }
    html.markup(if failed.len() > MOST {
        " ...</p>\n"
    } else {
        "</p>\n"
    });
}

/// The id in a line of the plan that describes a task: `  10  Deploy`.
fn task_id_of(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let id = &line[..line.bytes().take_while(u8::is_ascii_digit).count()];
    let rest = &line[id.len()..];
    (!id.is_empty() && (rest.is_empty() || rest.starts_with("  "))).then_some(id)
}

/// Base64 of bytes given as hexadecimal digits.
fn base64(hex: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u8> = hex
        .bytes()
        .filter_map(|b| char::from(b).to_digit(16))
        .flat_map(|d| (0..4).rev().map(move |bit| (d >> bit & 1) as u8))
        .collect();
    let mut out: String = bits
        .chunks(6)
        .map(|six| (0..6).fold(0, |n, i| n << 1 | six.get(i).copied().unwrap_or(0)))
        .map(|n| char::from(DIGITS[usize::from(n)]))
        .collect();
    while !out.len().is_multiple_of(4) {
        out.push('=');
    }
    out
}

const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
<meta name=\"color-scheme\" content=\"light dark\">\n\
<meta name=\"referrer\" content=\"no-referrer\">\n\
<link rel=\"icon\" href=\"data:,\">\n\
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; \
base-uri 'none'; form-action 'none'; style-src 'sha256-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_digits() {
        assert_eq!(base64("4d616e"), "TWFu");
        assert_eq!(base64("4d61"), "TWE=");
        assert_eq!(base64("4d"), "TQ==");
    }

    #[test]
    fn lines_of_the_plan_that_describe_a_task() {
        assert_eq!(task_id_of("   4  Deploy"), Some("4"));
        assert_eq!(task_id_of("      11"), Some("11"));
        assert_eq!(task_id_of("      10.0.0.1, ssh, timeout 5 m"), None);
        assert_eq!(task_id_of("      $ 4  "), None);
    }
}
