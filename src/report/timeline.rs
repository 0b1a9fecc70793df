//! The timeline of the HTML report: a row for each task and each host of a block, and
//! a bar for each attempt, over one time axis.
//!
//! Positions are percentages of the axis, so that the chart is as wide as the window.
#![forbid(unsafe_code)]

use super::endings;
use super::history::{History, Spent, Stretch};
use super::html::Html;
use super::results_table::{ROWS, most_telling};
use super::time_axis::TimeAxis;
use crate::outcome::Outcome;
use crate::plan::workflow::Workflow;
use crate::run::interrupt::signal_name;
use crate::text::decimal::decimal;
use crate::text::diagnostic::Plural;
use crate::text::duration;
use std::collections::HashMap;
use std::time::Duration;

/// How many subtasks of a block are shown. Of more, only failed ones are unfolded.
const SHOWN: usize = 50;
/// Adjacent bars that are narrower than this share of the axis are merged.
const NARROWEST: f64 = 0.0015;

/// A task, or a host of a block.
struct TimelineRow<'a> {
    task: u32,
    /// Its first stretch.
    first: &'a Stretch,
    /// How many blocks contain it.
    depth: usize,
    is_host: bool,
    stretches: Vec<&'a Stretch>,
    subtasks: Vec<TimelineRow<'a>>,
}

/// One bar, as a share of the axis.
struct Bar {
    class: &'static str,
    from: f64,
    to: f64,
    count: usize,
    title: String,
}

/// Draws the timeline, from the first task to the end of the last.
pub fn draw(html: &mut Html, workflow: &Workflow, history: &History) {
    let mut rows = rows(workflow, history);
    let left_out = cut_rows(&mut rows);
    let scale = TimeAxis::new(history);
    html.markup("<section id=\"timeline\"><h2>Timeline</h2>\n");
    patterns(html);
    html.markup("<div class=\"chart\">\n<ol>\n");
    scale.draw(html, history.began());
    marks(html, history, &scale);
    for row in &rows {
        draw_row(html, row, &scale);
    }
    html.markup("</ol>\n");
    mark_lines(html, history, &scale);
    html.markup("</div>\n");
    if left_out > 0 {
        html.markup("<p class=\"dim\">");
        html.line(&format!("{}, see the log", Plural(left_out, "more row")));
        html.markup("</p>\n");
    }
    legend(html, history);
    html.markup("</section>\n");
}

/// The distance of the ticks, as a share of the width.
pub fn tick(history: &History) -> f64 {
    let scale = TimeAxis::new(history);
    scale.step.as_secs_f64() / scale.whole.as_secs_f64()
}

// Rows.

fn rows<'a>(workflow: &Workflow, history: &'a History) -> Vec<TimelineRow<'a>> {
    let mut rows: Vec<TimelineRow> = Vec::new();
    let mut places: HashMap<u32, usize> = HashMap::new();
    let mut subplaces: HashMap<(u32, &str), usize> = HashMap::new();
    for stretch in &history.stretches {
        let is_host = stretch.in_block && stretch.label != stretch.task.to_string();
        let owners = owners(workflow, stretch.task);
        let row = |is_host| TimelineRow {
            task: stretch.task,
            first: stretch,
            depth: owners.len(),
            is_host,
            stretches: Vec::new(),
            subtasks: Vec::new(),
        };
        // A subtask of a parallel block is shown below it.
        let block = match (stretch.in_block, is_host) {
            (true, false) => owners.first().copied().unwrap_or(stretch.task),
            _ => stretch.task,
        };
        let place = *places.entry(block).or_insert(rows.len());
        if place == rows.len() {
            let depth = self::owners(workflow, block).len();
            rows.push(TimelineRow {
                task: block,
                depth,
                ..row(false)
            });
        }
        let above = &mut rows[place];
        if !stretch.in_block {
            above.stretches.push(stretch);
            continue;
        }
        let key = (block, stretch.label.as_str());
        let place = *subplaces.entry(key).or_insert(above.subtasks.len());
        if place == above.subtasks.len() {
            let depth = above.depth + 1;
            let row = row(is_host);
            above.subtasks.push(TimelineRow { depth, ..row });
        }
        above.subtasks[place].stretches.push(stretch);
    }
    rows
}

/// The blocks that contain the task, innermost first.
fn owners(workflow: &Workflow, task: u32) -> Vec<u32> {
    let mut owners = Vec::new();
    let mut at = workflow.find(&task.to_string());
    while let Some((block, _)) = at.and_then(|ix| workflow.owner_of(ix)) {
        owners.push(workflow.tasks[block].id);
        at = Some(block);
    }
    owners
}

/// Removes rows that would make the page too large, a share from each block; the
/// number removed.
fn cut_rows(rows: &mut [TimelineRow]) -> usize {
    let blocks = rows.iter().filter(|r| !r.subtasks.is_empty()).count();
    let mut left_out = 0;
    for row in rows {
        let all = std::mem::take(&mut row.subtasks);
        let count = all.len();
        row.subtasks = most_telling(all, ROWS / blocks.max(1), TimelineRow::has_failed);
        left_out += count - row.subtasks.len();
    }
    left_out
}

impl TimelineRow<'_> {
    /// How it last ended, if that is known.
    fn outcome(&self) -> Option<Outcome> {
        self.stretches.iter().rev().find_map(|s| s.outcome)
    }

    fn has_failed(&self) -> bool {
        self.outcome().is_none_or(Outcome::is_failure)
    }
}

fn draw_row(html: &mut Html, row: &TimelineRow, scale: &TimeAxis) {
    html.markup("<li>");
    head(html, row);
    lane(html, &bars(row, scale));
    tail(html, row);
    html.markup("</li>\n");
    let many = row.subtasks.len() > SHOWN;
    let (open, folded): (Vec<&TimelineRow>, Vec<&TimelineRow>) =
        row.subtasks.iter().partition(|r| !many || r.has_failed());
    let (open, more) = open.split_at(open.len().min(SHOWN));
    for row in open {
        draw_row(html, row, scale);
    }
    let folded = [more, &folded].concat();
    if folded.is_empty() {
        return;
    }
    let what = match row.subtasks[0].is_host {
        true => "more host",
        false => "more subtask",
    };
    html.markup("<li class=\"more\"><details><summary><span class=\"n\">");
    html.line(&Plural(folded.len(), what).to_string());
    html.markup("</span>");
    load(html, &folded, scale);
    html.markup("</summary>\n<ol>\n");
    for row in folded {
        draw_row(html, row, scale);
    }
    html.markup("</ol></details></li>\n");
}

/// How many of the rows ran at once, as an area chart.
fn load(html: &mut Html, rows: &[&TimelineRow], scale: &TimeAxis) {
    const STEPS: usize = 120;
    let mut load = [0.0; STEPS];
    let stretches = rows.iter().flat_map(|r| &r.stretches);
    for stretch in stretches.filter(|s| s.spent == Spent::Attempt) {
        let ended = stretch.ended.unwrap_or(scale.whole);
        let from = scale.share(stretch.began) * STEPS as f64;
        let to = scale.share(ended) * STEPS as f64;
        for (step, load) in load.iter_mut().enumerate().skip(from as usize) {
            let (begin, end) = (step as f64, (step + 1) as f64);
            if begin >= to {
                break;
            }
            *load += to.min(end) - from.max(begin);
        }
    }
    let most = load.iter().copied().fold(1.0, f64::max);
    let points: String = load
        .iter()
        .enumerate()
        .map(|(step, load)| {
            let tenths = (200.0 - 180.0 * load / most).round_ties_even() as u64;
            format!("{step} {} ", decimal(tenths, 10, 1))
        })
        .collect();
    html.markup("<svg viewBox=\"0 0 120 20\" preserveAspectRatio=\"none\"><path d=\"M0 20L");
    html.line(&format!("{points}{} 20z", STEPS - 1));
    html.markup("\"><title>");
    html.line(&format!(
        "running at once, up to about {}",
        most.round_ties_even() as u64
    ));
    html.markup("</title></path></svg><span class=\"o\"></span><span class=\"d\"></span>");
}

/// The name: a link to its row of the table.
fn head(html: &mut Html, row: &TimelineRow) {
    html.markup("<a class=\"n");
    html.markup(["", " in1", " in2"][row.depth.min(2)]);
    html.markup("\" href=\"#t").number(row.task);
    if row.is_host {
        let host = match row.first.host.as_str() {
            "" => "localhost",
            host => host,
        };
        html.markup("-").line(host).markup("\">");
        html.line(host).markup("</a>");
        return;
    }
    html.markup("\"><b>").number(row.task).markup("</b> ");
    // A block without an event of its own has the first stretch of a subtask.
    if row.task == row.first.task {
        html.line(&row.first.title);
    }
    html.markup("</a>");
}

/// How it ended, and after how long.
fn tail(html: &mut Html, row: &TimelineRow) {
    let restored = row.stretches.last().map(|s| s.spent) == Some(Spent::Restored);
    let word = match row.outcome() {
        _ if row.stretches.is_empty() => "",
        Some(outcome) => outcome.as_str(),
        None => "ended early",
    };
    html.markup("<span class=\"o ")
        .markup(class_of(row.outcome()))
        .markup("\">");
    html.markup(word).markup("</span><span class=\"d\">");
    if restored {
        html.markup("earlier");
    } else if let (Some(first), Some(last)) = (row.stretches.first(), row.stretches.last())
        && row.outcome() != Some(Outcome::Skipped)
    {
        let ended = last.ended.unwrap_or(last.began);
        html.line(&duration::show(ended.saturating_sub(first.began)));
    }
    html.markup("</span>");
}

fn class_of(outcome: Option<Outcome>) -> &'static str {
    outcome.map_or("open", Outcome::as_str)
}

// Bars.

fn bars(row: &TimelineRow, scale: &TimeAxis) -> Vec<Bar> {
    let mut bars: Vec<Bar> = Vec::new();
    for stretch in &row.stretches {
        let ended = stretch.ended.unwrap_or(scale.whole);
        let (from, to) = (scale.share(stretch.began), scale.share(ended));
        let class = class(stretch);
        match bars.last_mut() {
            Some(last)
                if last.class == class
                    && last.to + NARROWEST > from
                    && to - last.from < NARROWEST =>
            {
                last.to = to;
                last.count += 1;
            }
            _ => bars.push(Bar {
                class,
                from,
                to,
                count: 1,
                title: title(stretch, ended),
            }),
        }
    }
    bars
}

fn class(stretch: &Stretch) -> &'static str {
    match stretch.spent {
        Spent::Attempt | Spent::Skipped => class_of(stretch.outcome),
        Spent::Block => match class_of(stretch.outcome) {
            "ok" => "block ok",
            "timeout" => "block timeout",
            "cancelled" => "block cancelled",
            "open" => "block open",
            _ => "block failed",
        },
        Spent::Connecting => "connect",
        Spent::RetryDelay => "wait",
        Spent::Sleep => "sleep",
        Spent::Restored => "earlier",
    }
}

fn title(stretch: &Stretch, ended: Duration) -> String {
    let took = duration::show(ended.saturating_sub(stretch.began));
    let mut text = match stretch.spent {
        Spent::Attempt if stretch.attempt > 1 => format!("attempt {}: ", stretch.attempt),
        Spent::Attempt | Spent::Skipped | Spent::Block => String::new(),
        Spent::Connecting => return format!("connects to its host for {took}"),
        Spent::RetryDelay => return format!("waits {took} before the next attempt"),
        Spent::Sleep => return format!("sleeps {took}"),
        Spent::Restored => "an earlier run: ".into(),
    };
    // An iteration of a loop.
    if !stretch.in_block && stretch.label != stretch.task.to_string() {
        text = format!("{} {text}", stretch.label);
    }
    match stretch.outcome {
        Some(outcome) => {
            text.push_str(outcome.as_str());
            text.push_str(&endings::exit_part(outcome, stretch.exit));
        }
        None => text.push_str("ended early"),
    }
    match stretch.spent {
        Spent::Attempt | Spent::Block => {
            format!("{text}, {took}, from {}", duration::show(stretch.began))
        }
        _ => text,
    }
}

fn lane(html: &mut Html, bars: &[Bar]) {
    html.markup("<svg class=\"b\">");
    for bar in bars {
        html.markup("<rect class=\"").markup(bar.class);
        html.markup("\" x=\"").percent(bar.from);
        html.markup("\" width=\"")
            .percent((bar.to - bar.from).max(0.0005));
        html.markup("\"><title>");
        match bar.count {
            1 => html.line(&bar.title),
            n => html.line(&format!("{n} times, the first: {}", bar.title)),
        };
        html.markup("</title></rect>");
    }
    html.markup("</svg>");
}

// Moments.

/// What is marked on the whole chart: its class, name and time.
fn moments(history: &History) -> Vec<(&'static str, &'static str, Duration)> {
    let signals = history.signals.iter();
    signals
        .map(|(at, signal)| ("signal", signal_name(*signal), *at))
        .chain(history.finals.map(|at| ("", "final tasks start", at)))
        .collect()
}

/// Signals and the start of the final tasks, in a row each, so that labels do not
/// overlap.
fn marks(html: &mut Html, history: &History, scale: &TimeAxis) {
    for (class, name, at) in moments(history) {
        html.markup("<li class=\"mark ")
            .markup(class)
            .markup("\"><span class=\"n\">");
        html.markup(name)
            .markup("</span><svg><circle cy=\"11\" r=\"4\" cx=\"");
        html.percent(scale.share(at));
        html.markup("\"/></svg><span class=\"o\"></span><span class=\"d\">at ");
        html.line(&duration::show(at)).markup("</span></li>\n");
    }
}

/// The same moments as lines over the whole chart.
fn mark_lines(html: &mut Html, history: &History, scale: &TimeAxis) {
    let moments = moments(history);
    if moments.is_empty() {
        return;
    }
    html.markup("<svg class=\"marks\" aria-hidden=\"true\">");
    for (class, _, at) in moments {
        html.markup("<line class=\"").markup(class);
        html.markup("\" y2=\"100%\" x1=\"").percent(scale.share(at));
        html.markup("\" x2=\"")
            .percent(scale.share(at))
            .markup("\"/>");
    }
    html.markup("</svg>\n");
}

/// Outcomes differ by pattern as well as by colour.
fn patterns(html: &mut Html) {
    html.markup(include_str!("patterns.svg"));
}

/// What the bars on this page mean.
fn legend(html: &mut Html, history: &History) {
    let used = |named: &str| history.stretches.iter().any(|s| class(s) == named);
    html.markup("<p class=\"legend b\">");
    for (class, word) in LEGEND.into_iter().filter(|(class, _)| used(class)) {
        html.markup("<span><svg><rect width=\"100%\" class=\"")
            .markup(class);
        html.markup("\"/></svg>").markup(word).markup("</span>\n");
    }
    html.markup("</p>\n");
}

const LEGEND: [(&str, &str); 14] = [
    ("ok", "ok"),
    ("failed", "failed"),
    ("timeout", "timeout"),
    ("unreachable", "unreachable"),
    ("cancelled", "cancelled"),
    ("not_started", "not started"),
    ("skipped", "skipped"),
    ("unknown", "unknown"),
    ("open", "ended early"),
    ("block ok", "a block"),
    ("connect", "connects to its host"),
    ("wait", "waits before the next attempt"),
    ("sleep", "sleeps"),
    ("earlier", "done by an earlier run"),
];
