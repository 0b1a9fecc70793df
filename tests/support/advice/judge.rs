//! What is wrong with a story: something undone, done twice, not told, or without an
//! end.

use super::chain::{Event, MOST_RUNS, Story, Told};
use super::line::advised;
use super::round::{Ending, Round};
use super::workflow::{Hosts, Item, Work, Workflow, host_of, task_of};
use std::collections::{BTreeMap, BTreeSet};

/// A kind of mistake, and what it is about.
pub struct Complaint {
    pub kind: &'static str,
    pub about: String,
}

/// Exit codes of a line that could not be done as it was typed.
const REFUSALS: [i32; 12] = [2, 12, 13, 20, 24, 25, 30, 31, 32, 60, 61, 127];

pub fn judge(round: &Round, story: &Story) -> Result<(), Complaint> {
    let court = Court { round, story };
    court.no_refusal()?;
    court.no_wrong_result()?;
    court.an_end()?;
    court.everything_done()?;
    court.nothing_twice()?;
    court.repeated_where_undone()?;
    court.final_tasks()?;
    court.in_order()?;
    court.no_false_alarm()?;
    court.known_is_known()?;
    court.nothing_left_over()
}

struct Court<'a> {
    round: &'a Round,
    story: &'a Story,
}

fn complain(kind: &'static str, about: String) -> Result<(), Complaint> {
    Err(Complaint { kind, about })
}

impl<'a> Court<'a> {
    fn workflow(&self) -> &'a Workflow {
        &self.round.workflow
    }

    fn last(&self) -> &'a Told {
        self.story.runs.last().expect("a run")
    }

    /// How often each item is done by an undisturbed run, but for handlers and final
    /// tasks.
    fn wanted(&self) -> BTreeMap<&'a Item, usize> {
        let mut wanted = BTreeMap::new();
        let done = self.story.good.iter().filter(|e| e.what == "done");
        for event in done.filter(|e| !self.task(&e.item).is_final) {
            *wanted.entry(&event.item).or_insert(0) += 1;
        }
        wanted
    }

    fn task(&self, item: &str) -> &'a super::workflow::Spec {
        &self.workflow().tasks[&task_of(item)]
    }

    /// All events, each with the number of its run.
    fn events(&self) -> impl Iterator<Item = (usize, &'a Event)> {
        let runs = self.story.runs.iter().enumerate();
        runs.flat_map(|(number, run)| run.events.iter().map(move |event| (number, event)))
    }

    fn no_refusal(&self) -> Result<(), Complaint> {
        for (number, run) in self.story.runs.iter().enumerate() {
            if run.code <= -1000 {
                return complain("hangs", format!("run {number}"));
            }
            if let Some(about) = &run.looked {
                return complain("dry run", format!("before run {number}: {about}"));
            }
            if run.must_be_refused {
                if run.code != 12 {
                    let about = format!("run {number} went on with an edited file: {}", run.code);
                    return complain("edited", about);
                }
                continue;
            }
            if REFUSALS.contains(&run.code) && (number > 0 || run.events.is_empty()) {
                return complain("refused", format!("run {number} ended with {}", run.code));
            }
        }
        Ok(())
    }

    fn no_wrong_result(&self) -> Result<(), Complaint> {
        match self.events().find(|(_, event)| event.what == "wrong") {
            Some((number, event)) => complain(
                "wrong",
                format!("{} got another value in run {number}", event.item),
            ),
            None => Ok(()),
        }
    }

    fn an_end(&self) -> Result<(), Complaint> {
        match self.story.runs.len() > MOST_RUNS && self.last().advice().is_some() {
            true => complain("endless", format!("{} runs", self.story.runs.len())),
            false => Ok(()),
        }
    }

    /// What has its effect now: handlers may have undone some.
    fn standing(&self) -> BTreeSet<&'a Item> {
        let mut standing = BTreeSet::new();
        for (_, event) in self.events() {
            match event.what.as_str() {
                "done" => drop(standing.insert(&event.item)),
                "undo" => drop(standing.remove(&event.item)),
                _ => {}
            }
        }
        standing
    }

    fn everything_done(&self) -> Result<(), Complaint> {
        let (standing, last) = (self.standing(), self.last());
        // With -q there is one line for a failure that a handler has turned into a 0.
        if last.code == 0
            && last
                .output
                .contains("ended with 0, but not everything is ok")
        {
            return Ok(());
        }
        let is_done = |item: &str| standing.iter().any(|done| *done == item);
        let good = self.story.good.iter().filter(|e| e.what == "done");
        for item in good.map(|e| &e.item) {
            if is_done(item) || self.is_said(item) || self.follows_from_a_block(item, &is_done) {
                continue;
            }
            let kind = match last.code {
                0 => "OK BUT UNDONE",
                _ => "undone and not said",
            };
            return complain(kind, format!("{item} is not done at the end"));
        }
        Ok(())
    }

    /// The end names it among what is not ok or undone.
    fn is_said(&self, item: &str) -> bool {
        let output = &self.last().output;
        let lines = output.lines().filter(|line| line.starts_with("tasker: "));
        let lines = lines.map(|line| line.split(" log: ").next().unwrap_or_default());
        let mut told = lines.filter(|line| {
            let others = ["retried: ", "then ran: "];
            !others.iter().any(|other| line.contains(other))
        });
        let stop = format!(" task {} ", task_of(item));
        told.any(|line| mentions(line, item)) || (self.last().code != 0 && output.contains(&stop))
    }

    /// It is a host of a block over the ok hosts of another, where it is not ok.
    fn follows_from_a_block(&self, item: &str, is_done: &dyn Fn(&str) -> bool) -> bool {
        let Work::Hosts {
            hosts: Hosts::OkOf(other),
            ..
        } = self.task(item).work
        else {
            return false;
        };
        let of_other = format!("{other}.{}", host_of(item).unwrap_or_default());
        !is_done(&of_other)
            && (self.is_said(&of_other) || self.follows_from_a_block(&of_other, is_done))
    }

    fn nothing_twice(&self) -> Result<(), Complaint> {
        let wanted = self.wanted();
        let mut done: BTreeMap<&Item, usize> = BTreeMap::new();
        for (number, event) in self.events() {
            match event.what.as_str() {
                "undo" => drop(done.remove(&event.item)),
                "done" => {
                    let before = done.insert(&event.item, number);
                    let is_wanted = wanted.contains_key(&event.item);
                    match before {
                        Some(run) if run == number => {
                            let about = format!("{} in run {number}", event.item);
                            return complain("twice in one run", about);
                        }
                        Some(run) if is_wanted && !self.may_repeat(&event.item, run, number) => {
                            let about = format!("{} in runs {run} and {number}", event.item);
                            return complain("twice", about);
                        }
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether there is a reason for doing it again in a later run.
    fn may_repeat(&self, item: &str, run: usize, later: usize) -> bool {
        let runs = &self.story.runs[run + 1..=later];
        let is_repeated = self.task(item).repeats;
        let was_fresh = runs.iter().any(|r| r.is_fresh);
        // What ran at a kill is named before it runs again, as is everything else; what
        // a signal has cancelled is in the recap.
        let was_cancelled = self.story.runs[run].signal == Some("TERM");
        is_repeated
            || was_fresh
            || (was_cancelled && self.was_in_flight(item, run))
            || self.story.runs[run..=later]
                .iter()
                .any(|r| says_again(r, item))
    }

    /// It had no result yet when the run was ended.
    fn was_in_flight(&self, item: &str, run: usize) -> bool {
        let told = &self.story.runs[run];
        let done = told
            .events
            .iter()
            .rposition(|e| e.what == "done" && e.item == item);
        let block = self.workflow().block_of(item);
        let later = &told.events[done.unwrap_or(0)..];
        let moved_on = |event: &&Event| {
            event.what == "begin"
                && event.item != item
                && !self.task(&event.item).is_final
                && (block.is_none() || self.workflow().block_of(&event.item) != block)
        };
        !later.iter().any(|event| moved_on(&event))
    }

    /// After final tasks have run, `on_resume=repeat` comes before the flow goes on.
    fn repeated_where_undone(&self) -> Result<(), Complaint> {
        let tasks = &self.workflow().tasks;
        let Some((repeated, _)) = tasks.iter().find(|(_, t)| t.repeats) else {
            return Ok(());
        };
        let (mut was_done, mut is_undone) = (false, false);
        for (number, event) in self.events() {
            let id = task_of(&event.item);
            let is_final = tasks[&id].is_final;
            match event.what.as_str() {
                "done" if id == *repeated => (was_done, is_undone) = (true, false),
                "done" if id == super::generator::USERS_IN => is_undone = was_done,
                "begin" if is_undone && id != *repeated && !is_final => {
                    let about = format!("run {number} begins {} before {repeated}", event.item);
                    return complain("not repeated", about);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Final tasks come last in each run that was not killed and began anything.
    fn final_tasks(&self) -> Result<(), Complaint> {
        let tasks = &self.workflow().tasks;
        let finals: Vec<u32> = tasks
            .iter()
            .filter(|(_, t)| t.is_final)
            .map(|(id, _)| *id)
            .collect();
        for (number, run) in self.story.runs.iter().enumerate() {
            // A signal that comes during the final tasks leaves out the rest, loudly.
            let was_cut_short = |run: &Told| run.output.contains("DURING THE FINAL TASKS");
            if run.was_killed() || run.events.is_empty() || was_cut_short(run) {
                continue;
            }
            let begun: Vec<u32> = run
                .events
                .iter()
                .filter(|e| e.what == "begin")
                .map(|e| task_of(&e.item))
                .collect();
            let last = &begun[begun.len().saturating_sub(finals.len())..];
            // What a kill or a signal has cut off is finished.
            let before = number.checked_sub(1).map(|n| &self.story.runs[n]);
            let was_cut = before.is_some_and(|run| run.was_killed() || was_cut_short(run));
            if last != finals && !(was_cut && finals.ends_with(&begun)) {
                let about = format!("run {number} ends with {last:?}");
                return complain("final tasks", about);
            }
        }
        Ok(())
    }

    /// Nothing begins before what comes earlier was done once, where a failure of
    /// that stops the run.
    fn in_order(&self) -> Result<(), Complaint> {
        let (workflow, wanted) = (self.workflow(), self.wanted());
        if matches!(self.round.first, Ending::KeepGoing) {
            return Ok(());
        }
        let mut done = BTreeSet::new();
        for (number, event) in self.events() {
            // A bad answer is judged later.
            if ["done", "soft"].contains(&event.what.as_str()) {
                done.insert(&event.item);
            }
            if event.what != "begin" || !wanted.contains_key(&event.item) {
                continue;
            }
            let unit = workflow.unit(task_of(&event.item));
            let missing = wanted.keys().find(|item| {
                let earlier = workflow.unit(task_of(item));
                earlier < unit && self.is_needed(item) && !done.contains(*item)
            });
            if let Some(missing) = missing {
                let about = format!("run {number} begins {} before {missing}", event.item);
                return complain("order", about);
            }
        }
        Ok(())
    }

    /// What is said to stay undone when the printed line is typed is not done by it.
    fn no_false_alarm(&self) -> Result<(), Complaint> {
        for (number, pair) in self.story.runs.windows(2).enumerate() {
            let mut done = pair[1].events.iter().filter(|e| e.what == "done");
            let lines = pair[0].output.lines();
            let mut lines = lines.filter(|line| line.starts_with("tasker: stays undone: "));
            let Some(line) = lines.next().filter(|_| !pair[1].is_fresh) else {
                continue;
            };
            if let Some(event) = done.find(|event| mentions(line, &event.item)) {
                let about = format!("{} was to stay undone after run {number}", event.item);
                return complain("false alarm", about);
            }
        }
        Ok(())
    }

    /// Only what ran when tasker died is named as not known.
    fn known_is_known(&self) -> Result<(), Complaint> {
        let runs = &self.story.runs;
        for (number, run) in runs.iter().enumerate().skip(1) {
            let lines = run.output.lines();
            let Some(line) = lines.into_iter().find(|l| l.contains("may have been done")) else {
                continue;
            };
            let Some(dead) = runs[..number].iter().rposition(|r| r.was_killed()) else {
                return complain("false alarm", format!("nothing died before run {number}"));
            };
            let done = runs[dead].events.iter().filter(|e| e.what == "done");
            let known = done.filter(|event| {
                let is_loop = matches!(self.task(&event.item).work, Work::Loop(_));
                !is_loop && !self.was_in_flight(&event.item, dead)
            });
            for event in known {
                if mentions(line, &event.item) {
                    let about = format!("the end of {} was known in run {number}", event.item);
                    return complain("false alarm", about);
                }
            }
        }
        Ok(())
    }

    /// Where everything is done and ended well, no run is left to go on with.
    fn nothing_left_over(&self) -> Result<(), Complaint> {
        let standing = self.standing();
        let is_done = |item: &Item| standing.contains(item);
        let is_well = self.last().code == 0 && !self.last().output.contains("failed: ");
        let is_over = is_well && self.wanted().into_keys().all(is_done);
        match advised(&self.story.status).filter(|_| is_over) {
            Some(line) => complain("left over", line),
            None => Ok(()),
        }
    }

    /// Whether every failure of it stops the run, and nothing else leaves it out.
    fn is_needed(&self, item: &str) -> bool {
        let mut id = task_of(item);
        if self.workflow().may_be_passed_over(self.workflow().unit(id)) {
            return false;
        }
        loop {
            let task = &self.workflow().tasks[&id];
            let is_narrowed = matches!(
                task.work,
                Work::Hosts {
                    hosts: Hosts::OkOf(_),
                    ..
                }
            );
            if !task.stops() || task.condition.is_some() || is_narrowed {
                return false;
            }
            match self.workflow().owner(id) {
                Some(owner) => id = owner,
                None => return true,
            }
        }
    }
}

/// The run says that it does the item again, or the one before it said so.
fn says_again(run: &Told, item: &str) -> bool {
    let text = format!("{}\n{}", run.output, run.status);
    text.lines().any(|line| {
        let says = ["runs again", "run again", "may have been done"];
        says.iter().any(|word| line.contains(word)) && mentions(line, item)
    })
}

/// Whether a line names the task, and the host if it names hosts of it.
pub fn mentions(line: &str, item: &str) -> bool {
    let id = task_of(item).to_string();
    let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit() || c == '.');
    for (at, _) in line.match_indices(&id) {
        let rest = &line[at + id.len()..];
        let is_longer = rest.starts_with(|c: char| c.is_ascii_digit());
        if is_digit(line[..at].chars().next_back()) || is_longer {
            continue;
        }
        let hosts = rest.split_once(" on ").filter(|(between, _)| {
            // `10 on h2`, `10 (title) on h2`.
            between.is_empty() || between.ends_with(')')
        });
        match (hosts, host_of(item)) {
            (Some((_, set)), Some(host)) => {
                if names_host(set, host) {
                    return true;
                }
            }
            _ => return true,
        }
    }
    false
}

/// Whether a node set at the beginning of the text has the host.
fn names_host(text: &str, host: &str) -> bool {
    let mut set = String::new();
    let mut depth = 0;
    for c in text.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            ',' if depth == 0 => set.push('\n'),
            ' ' | ';' | ')' | ':' => break,
            _ => {}
        }
        set.push(c);
    }
    set.lines().any(|part| {
        let part = part.trim_start_matches(',');
        let Some((stem, ranges)) = part.split_once('[') else {
            return part == host;
        };
        let number: Option<u32> = host.strip_prefix(stem).and_then(|n| n.parse().ok());
        let mut ranges = ranges.trim_end_matches(']').split(',');
        number.is_some_and(|number| {
            ranges.any(|range| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                let parse = |text: &str| text.parse::<u32>().unwrap_or(0);
                (parse(first)..=parse(last)).contains(&number)
            })
        })
    })
}
