//! The results in the HTML report: a table with a row for each task and each host of
//! a block, and its output in a closed fold.
#![forbid(unsafe_code)]

use super::html::Html;
use super::result_groups::{self, SharedResult};
use super::{clock, safe_text};
use crate::outcome::{Counts, Outcome};
use crate::plan::workflow::Workflow;
use crate::run::capture::Captured;
use crate::run::result::TaskResult;
use crate::run::run_end::RunEnd;
use crate::task::mask::Mask;
use crate::task::{Ix, nodeset};
use crate::text::diagnostic::Plural;
use crate::text::duration;
use std::collections::HashMap;
use std::time::SystemTime;

/// How many bytes at each end of a stream are shown.
const EACH_END: usize = 4 << 10;
/// How many bytes of the page all streams together can fill.
const ALL_STREAMS: usize = 3 << 20;
/// How many hosts have a row. The log has them all.
pub const ROWS: usize = 3000;
/// How many characters of a command a row shows. The whole command is folded.
const COMMAND: usize = 160;
/// The same for a host, whose command resembles those of the other hosts.
const COMMAND_OF_HOST: usize = 44;

pub struct ResultsTable<'a> {
    pub workflow: &'a Workflow,
    pub end: &'a RunEnd,
    pub mask: &'a Mask,
    pub began: SystemTime,
    /// The line of each task in the task file.
    pub line_of: &'a dyn Fn(Ix) -> usize,
}

/// What identifies a row: its anchor and its first cells.
struct RowHead<'a> {
    anchor: String,
    id: u32,
    title: &'a str,
    host: &'a str,
    /// The line of the task in its file. None for a host.
    line: Option<usize>,
}

/// The room left on the page, which the remaining streams share.
struct PageRoom {
    left: usize,
    streams: usize,
    /// How many hosts of each block have a row.
    hosts: usize,
}

impl PageRoom {
    /// How many bytes at each end of the next stream are shown.
    fn each_end(&self) -> usize {
        EACH_END.min(self.left / self.streams.max(1) / 2)
    }

    fn take(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
        self.streams = self.streams.saturating_sub(1);
    }
}

impl ResultsTable<'_> {
    pub fn draw(&self, html: &mut Html) {
        // The different results of each block over hosts; empty for other tasks.
        let groups: Vec<Vec<SharedResult>> = self
            .results()
            .map(|(ix, result)| match result {
                Some(result) if self.is_over_hosts(ix) => result_groups::shared_results(result),
                _ => Vec::new(),
            })
            .collect();
        let blocks = groups.iter().filter(|g| !g.is_empty()).count();
        let mut room = PageRoom {
            left: ALL_STREAMS,
            streams: self.streams(&groups),
            hosts: ROWS / blocks.max(1),
        };
        html.markup("<section id=\"tasks\"><h2>Tasks and hosts</h2>\n");
        self.search(html);
        html.markup(HEAD);
        for (ix, result) in self.results() {
            self.task(html, ix, result, &groups[ix], &mut room);
        }
        html.markup("</tbody></table></section>\n");
    }

    fn results(&self) -> impl Iterator<Item = (Ix, Option<&TaskResult>)> {
        (0..self.workflow.tasks.len()).map(|ix| (ix, self.end.results.get(ix)))
    }

    /// How many streams and long commands are to be shown. Equal streams of hosts
    /// are shown once.
    fn streams(&self, groups: &[Vec<SharedResult>]) -> usize {
        let of_hosts = groups.iter().flatten().map(|(_, result)| *result);
        let of_tasks = self.results().filter(|(ix, _)| !self.is_over_hosts(*ix));
        of_tasks
            .filter_map(|(_, result)| result)
            .chain(of_hosts)
            .map(|r| streams(r).count() + usize::from(r.command.len() > COMMAND_OF_HOST))
            .sum()
    }

    fn is_over_hosts(&self, ix: Ix) -> bool {
        self.workflow.tasks[ix].is_over_hosts()
    }

    /// The search form, hidden unless the script runs.
    fn search(&self, html: &mut Html) {
        html.markup(SEARCH);
        let mut counts = Counts::default();
        for (ix, result) in self.results() {
            let hosts = result.filter(|_| self.is_over_hosts(ix));
            let hosts = hosts.iter().flat_map(|r| &r.members).map(|m| &m.result);
            result
                .into_iter()
                .chain(hosts)
                .for_each(|r| counts.add(r.outcome));
        }
        for outcome in Outcome::ALL.into_iter().filter(|o| counts.count(*o) > 0) {
            html.markup("<option value=\"")
                .markup(outcome.as_str())
                .markup("\">");
            html.line(&format!("{outcome} ({})", counts.count(outcome)));
            html.markup("</option>");
        }
        html.markup("</select></label> <output id=\"n\"></output></form>\n");
    }

    fn task(
        &self,
        html: &mut Html,
        ix: Ix,
        result: Option<&TaskResult>,
        groups: &[SharedResult],
        room: &mut PageRoom,
    ) {
        let task = &self.workflow.tasks[ix];
        let title = task.title.shown(None);
        let head = RowHead {
            anchor: task.id.to_string(),
            id: task.id,
            title: &title,
            host: result.map_or("", |r| &r.hostname),
            line: Some((self.line_of)(ix)),
        };
        let Some(result) = result else {
            return self.not_reached(html, &head);
        };
        self.row(html, &head, result);
        if task.is_block() {
            html.line(&result.counts().to_string());
        } else {
            self.details(html, result, COMMAND, room);
        }
        for (number, group) in groups.iter().enumerate() {
            self.shared_output(html, task.id, number, group, room);
        }
        html.markup("</td></tr>\n");
        if task.is_over_hosts() {
            self.hosts(html, task.id, result, groups, room);
        }
    }

    /// Output that several hosts share, shown once.
    fn shared_output(
        &self,
        html: &mut Html,
        block: u32,
        number: usize,
        (names, result): &SharedResult,
        room: &mut PageRoom,
    ) {
        if names.len() == 1 || !has_output(result) {
            return;
        }
        let (set, count) = (nodeset::fold(names), names.len());
        html.markup("<details id=\"g").number(block).markup("-");
        html.number(number as u64).markup("\"><summary>");
        html.line(&format!("{set} ({count}): {}", result.outcome));
        self.sizes(html, result);
        html.markup("</summary>");
        self.draw_streams(html, result, room);
        html.markup("</details>");
    }

    /// A row for each host. Shared output is a link.
    fn hosts(
        &self,
        html: &mut Html,
        block: u32,
        result: &TaskResult,
        groups: &[SharedResult],
        room: &mut PageRoom,
    ) {
        let shared = groups.iter().enumerate().filter(|(_, g)| g.0.len() > 1);
        let shared: HashMap<&str, usize> = shared
            .flat_map(|(number, (names, _))| names.iter().map(move |n| (*n, number)))
            .collect();
        let members = most_telling(result.members.iter().collect(), room.hosts, |m| {
            m.result.outcome.is_failure()
        });
        let left_out = result.members.len() - members.len();
        for member in members {
            let (name, result) = (member.name.as_str(), &member.result);
            self.row(html, &host_head(block, name), result);
            if member.left_out {
                html.markup("<small>left out of the criterion</small> ");
            }
            match shared.get(name).filter(|_| has_output(result)) {
                None => self.details(html, result, COMMAND_OF_HOST, room),
                Some(number) => {
                    html.markup("<code>")
                        .line(&self.short(&result.command, COMMAND_OF_HOST));
                    html.markup("</code> <a href=\"#g")
                        .number(block)
                        .markup("-");
                    html.number(*number as u64).markup("\">output</a>");
                }
            }
            html.markup("</td></tr>\n");
        }
        if left_out > 0 {
            html.markup("<tr><th scope=\"row\">").number(block);
            html.markup("</th><td colspan=\"8\" class=\"dim\">");
            html.line(&format!("{}, see the log", Plural(left_out, "more host")));
            html.markup("</td></tr>\n");
        }
    }

    fn not_reached(&self, html: &mut Html, head: &RowHead) {
        html.markup("<tr class=\"dim\" data-o=\"not_reached\" id=\"t")
            .line(&head.anchor)
            .markup("\">");
        self.names(html, head);
        html.markup("<td></td><td class=\"o\">not reached</td><td></td><td></td><td></td><td></td><td></td></tr>\n");
    }

    fn names(&self, html: &mut Html, head: &RowHead) {
        html.markup("<th scope=\"row\">");
        match head.line {
            Some(line) => {
                html.markup("<a href=\"#L")
                    .number(line as u64)
                    .markup("\">")
                    .number(head.id);
                html.markup("</a>")
            }
            None => html.number(head.id),
        };
        html.markup("</th><td>").line(head.title).markup("</td>");
    }

    /// All cells but the last, which the caller fills and closes.
    fn row(&self, html: &mut Html, head: &RowHead, result: &TaskResult) {
        let word = result.outcome.as_str();
        html.markup(match head.line {
            Some(_) => "<tr",
            None => "<tr class=\"host\"",
        });
        html.markup(" data-o=\"")
            .markup(word)
            .markup("\" id=\"t")
            .line(&head.anchor)
            .markup("\">");
        self.names(html, head);
        html.markup("<td>");
        // A task runs on this machine by default.
        if head.line.is_none() || head.host != "localhost" {
            html.line(head.host);
        }
        html.markup("</td><td class=\"o ")
            .markup(word)
            .markup("\">")
            .markup(word);
        if !result.cause.is_empty() {
            html.markup(" <small>")
                .line(&result.cause)
                .markup("</small>");
        }
        let ran = result.attempts > 0 && result.exit >= 0;
        html.markup("</td><td>");
        if ran {
            html.line(&result.exit.to_string());
        }
        html.markup("</td><td>");
        if ran {
            html.number(result.attempts);
        }
        html.markup("</td><td>")
            .line(&self.start(result))
            .markup("</td><td>");
        if ran {
            html.line(&duration::show(result.took));
        }
        html.markup("</td><td class=\"c\">");
    }

    /// When it began, with the date if the run did not begin on that day.
    fn start(&self, result: &TaskResult) -> String {
        let Some(started) = result.started else {
            return String::new();
        };
        let (stamp, of_run) = (clock::stamp(started), clock::stamp(self.began));
        match stamp.split_once(' ') {
            Some((date, time)) if of_run.starts_with(date) => time.to_string(),
            _ => stamp,
        }
    }

    /// The command; the whole command and the output are folded.
    fn details(&self, html: &mut Html, result: &TaskResult, most: usize, room: &mut PageRoom) {
        let short = self.short(&result.command, most);
        let is_cut = short != self.mask.apply(&result.command);
        let folds = is_cut || has_output(result);
        html.markup(if folds { "<details><summary>" } else { "" });
        if !short.is_empty() {
            html.markup("<code>").line(&short).markup("</code>");
        }
        if folds {
            self.sizes(html, result);
            html.markup("</summary>");
            if is_cut {
                self.whole_command(html, result, room);
            }
            self.draw_streams(html, result, room);
            html.markup("</details>");
        }
    }

    /// The beginning of a command, masked before it is cut: half a secret is secret.
    fn short(&self, command: &str, most: usize) -> String {
        let masked = self.mask.apply(command);
        match masked.char_indices().nth(most) {
            Some((end, _)) => format!("{}...", &masked[..end]),
            None => masked,
        }
    }

    /// Long commands share the room on the page with the streams.
    fn whole_command(&self, html: &mut Html, result: &TaskResult, room: &mut PageRoom) {
        let before = html.as_str().len();
        html.command(&self.short(&result.command, 2 * room.each_end()));
        room.take(html.as_str().len() - before);
    }

    fn sizes(&self, html: &mut Html, result: &TaskResult) {
        for (name, stream) in streams(result) {
            html.markup(" <small>");
            html.line(&format!("{name} {}", safe_text::size(stream.len())));
            html.markup("</small>");
        }
    }

    fn draw_streams(&self, html: &mut Html, result: &TaskResult, room: &mut PageRoom) {
        for (name, stream) in streams(result) {
            html.markup("<h3>").markup(name).markup("</h3>");
            self.stream(html, stream, room);
        }
    }

    /// Both ends of a stream, as far as there is room.
    fn stream(&self, html: &mut Html, stream: &Captured, room: &mut PageRoom) {
        let each = room.each_end();
        let before = html.as_str().len();
        html.markup("<pre>");
        if stream.len() <= 2 * each as u64 {
            let (lines, _) = safe_text::head(stream, self.mask, 2 * each, safe_text::line);
            html.lines(lines.iter().map(String::as_str));
        } else {
            let (first, _) = safe_text::head(stream, self.mask, each, safe_text::line);
            html.lines(first.iter().map(String::as_str));
            html.markup("<i>");
            let more = safe_text::size(stream.len() - 2 * each as u64);
            html.line(&format!("... {more} more, see the log"));
            html.markup("</i>\n");
            let foot = safe_text::last_bytes(stream, self.mask, each, safe_text::line);
            html.lines(foot.iter().map(String::as_str));
        }
        html.markup("</pre>");
        room.take(html.as_str().len() - before);
    }
}

fn has_output(result: &TaskResult) -> bool {
    result.stdout.len() + result.stderr.len() > 0
}

/// The streams that are not empty.
fn streams(result: &TaskResult) -> impl Iterator<Item = (&'static str, &Captured)> {
    let both = [("stdout", &result.stdout), ("stderr", &result.stderr)];
    both.into_iter().filter(|(_, stream)| stream.len() > 0)
}

fn host_head(block: u32, host: &str) -> RowHead<'_> {
    RowHead {
        anchor: format!("{block}-{host}"),
        id: block,
        title: "",
        host,
        line: None,
    }
}

/// At most `most` elements, in order: failures first, then as many others as fit.
pub fn most_telling<T>(mut list: Vec<T>, most: usize, failed: impl Fn(&T) -> bool) -> Vec<T> {
    let failures = list.iter().filter(|t| failed(t)).count().min(most);
    let mut room = [most - failures, failures];
    list.retain(|t| {
        let room = &mut room[usize::from(failed(t))];
        let kept = *room > 0;
        *room = room.saturating_sub(1);
        kept
    });
    list
}

const HEAD: &str = "<table><thead><tr><th scope=\"col\">Task</th><th scope=\"col\">Title</th>\
<th scope=\"col\">Host</th><th scope=\"col\">Outcome</th><th scope=\"col\">Exit</th>\
<th scope=\"col\">Attempts</th><th scope=\"col\">Start</th><th scope=\"col\">Duration</th>\
<th scope=\"col\">Command and output</th></tr></thead>\n<tbody>\n";

const SEARCH: &str = "<form role=\"search\" id=\"search\" hidden>\
<label>Search <input type=\"search\" id=\"q\" placeholder=\"host, title, command, output\" autocomplete=\"off\"></label> \
<label>Outcome <select id=\"o\"><option value=\"\">all</option>";
