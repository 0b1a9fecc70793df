//! How each host of a work's blocks ended in the last run that touched it, for
//! `--limit last:failed` (SPEC §6): a file of its own, so that it outlives journals.
//!
//! ```text
//! hosts 2                       the version of the format
//! NUMBER                        of the newest run
//! NUMBER BLOCK OUTCOME HOST     the run, the block's id, and how the host ended there
//! ```
//!
//! A file of another version counts as none.
#![forbid(unsafe_code)]

use super::log_directory::{self, LogDirectory};
use crate::outcome::Outcome;
use crate::run::directory::NamedFile;
use crate::text::diagnostic::{cannot, reason};
use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::io;

const VERSION: &str = "hosts 2";

/// How a host ended in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostEnd<'a> {
    /// The block's id.
    pub block: u32,
    pub host: &'a str,
    pub outcome: Outcome,
}

/// What is remembered of the runs of a work.
struct LastHosts<'a> {
    newest: u64,
    /// Each with the number of its run.
    ends: Vec<(u64, HostEnd<'a>)>,
}

impl<'a> LastHosts<'a> {
    /// `None` for a file of another version, or a damaged one.
    fn parse(text: &'a str) -> Option<LastHosts<'a>> {
        let mut lines = text.lines();
        let version = lines.next()?;
        let newest = lines.next()?.parse().ok()?;
        let ends = lines.map(parse_end).collect::<Option<_>>()?;
        (version == VERSION).then_some(LastHosts { newest, ends })
    }

    fn draw(&self) -> String {
        let mut text = format!("{VERSION}\n{}\n", self.newest);
        for (run, end) in &self.ends {
            let HostEnd {
                block,
                host,
                outcome,
            } = end;
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{run} {block} {outcome} {host}");
        }
        text
    }

    /// Adds a run. What it did not touch keeps what it was, block by block.
    fn add(&mut self, number: u64, ends: &[HostEnd<'a>]) {
        let touched: HashSet<(u32, &str)> = ends.iter().map(|e| (e.block, e.host)).collect();
        self.ends
            .retain(|(_, e)| !touched.contains(&(e.block, e.host)));
        self.ends.extend(ends.iter().map(|end| (number, *end)));
        self.newest = self.newest.max(number);
    }

    /// The hosts that ended in one of these outcomes, in any block of the last run that
    /// touched them.
    fn hosts(&self, outcomes: &[Outcome]) -> HashSet<String> {
        let mut last: HashMap<&str, u64> = HashMap::new();
        for (run, end) in &self.ends {
            let newest = last.entry(end.host).or_default();
            *newest = (*newest).max(*run);
        }
        let of_last_run = self.ends.iter().filter(|(run, e)| last[e.host] == *run);
        let wanted = of_last_run.filter(|(_, e)| outcomes.contains(&e.outcome));
        wanted.map(|(_, e)| e.host.to_string()).collect()
    }
}

fn parse_end(line: &str) -> Option<(u64, HostEnd<'_>)> {
    let mut words = line.splitn(4, ' ');
    let run = words.next()?.parse().ok()?;
    let block = words.next()?.parse().ok()?;
    let word = words.next()?;
    let end = HostEnd {
        block,
        outcome: Outcome::ALL.into_iter().find(|o| o.as_str() == word)?,
        host: words.next()?,
    };
    Some((run, end))
}

impl LogDirectory {
    fn last_hosts_file(&self, work: &str) -> io::Result<NamedFile> {
        self.state.file(format!("last_{work}.hosts"))
    }

    fn last_hosts_text(&self, work: &str) -> io::Result<String> {
        let file = self.last_hosts_file(work)?;
        let named = |e: io::Error| match e.kind() {
            io::ErrorKind::NotFound => e,
            _ => cannot("read", &file.path())(e),
        };
        log_directory::read_text(&file).map_err(named)
    }

    /// Remembers how the hosts of a run ended, and that it was, if it had none. The run
    /// has made the directory, for its journal.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save_last_hosts(&self, work: &str, number: u64, ends: &[HostEnd]) -> io::Result<()> {
        let file = self.last_hosts_file(work)?;
        let text = log_directory::read_text(&file).unwrap_or_default();
        let mut last = LastHosts::parse(&text).unwrap_or(LastHosts {
            newest: number,
            ends: Vec::new(),
        });
        last.add(number, ends);
        let text = last.draw();
        log_directory::replace(&file, &|out| out.write_all(text.as_bytes()))
    }

    /// The hosts that ended in one of these outcomes in the last run that touched them.
    ///
    /// # Errors
    /// The work has not run yet, or its last hosts cannot be read.
    pub fn last_hosts(&self, work: &str, outcomes: &[Outcome]) -> Result<HashSet<String>, String> {
        let none = || "this file has not run yet with these globals".to_string();
        match self.last_hosts_text(work) {
            Ok(text) => LastHosts::parse(&text)
                .map(|last| last.hosts(outcomes))
                .ok_or_else(none),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(none()),
            Err(e) => Err(format!(
                "the hosts of the last run are not known: {}",
                reason(&e)
            )),
        }
    }

    /// The blocks and hosts that ended well in runs after this one; none if nothing is
    /// known.
    pub fn ok_since(&self, work: &str, number: u64) -> HashSet<(u32, String)> {
        let text = self.last_hosts_text(work).unwrap_or_default();
        let ends = LastHosts::parse(&text).map(|last| last.ends);
        let later = ends.into_iter().flatten().filter(|(run, _)| *run > number);
        let well = later.filter(|(_, e)| !e.outcome.is_failure());
        well.map(|(_, e)| (e.block, e.host.to_string())).collect()
    }

    /// The number of the newest run of the work that has ended.
    pub fn newest_run(&self, work: &str) -> Option<u64> {
        let text = self.last_hosts_text(work).ok()?;
        LastHosts::parse(&text).map(|last| last.newest)
    }

    /// The number of the newest run of any work that has ended.
    pub fn newest_run_of_all(&self) -> Option<u64> {
        let files = self.state_files("hosts", |_| true).ok()?.into_iter();
        let texts = files.filter_map(|file| log_directory::read_text(&file).ok());
        let newest = texts.filter_map(|text| Some(LastHosts::parse(&text)?.newest));
        newest.max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::time::SystemTime;

    /// A directory of its own that is removed at the end.
    struct Scratch(PathBuf);

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// A log directory in a scratch directory with this name.
    fn scratch(name: &str) -> (Scratch, LogDirectory) {
        let name = format!("tasker-{name}-{}", std::process::id());
        let scratch = Scratch(std::env::temp_dir().join(name));
        let log_dir = LogDirectory::new(scratch.0.clone(), SystemTime::now());
        log_dir.state.made().expect("a directory");
        (scratch, log_dir)
    }

    fn end(block: u32, outcome: Outcome, host: &str) -> HostEnd<'_> {
        HostEnd {
            block,
            host,
            outcome,
        }
    }

    #[test]
    fn each_block_keeps_the_hosts_that_a_run_did_not_touch() {
        use Outcome::{Failed, NotStarted, Ok, Skipped};
        let (_scratch, log_dir) = scratch("kept-hosts");
        let save = |number, ends: &[HostEnd]| {
            let saved = log_dir.save_last_hosts("work", number, ends);
            saved.expect("saved");
        };
        let last = |outcome| {
            let hosts = log_dir.last_hosts("work", &[outcome]).expect("hosts");
            let mut hosts: Vec<String> = hosts.into_iter().collect();
            hosts.sort();
            hosts.join(" ")
        };
        let since = |number| {
            let mut ends: Vec<_> = log_dir.ok_since("work", number).into_iter().collect();
            ends.sort();
            ends
        };
        assert_eq!(log_dir.newest_run("work"), None);
        save(
            5,
            &[
                end(1, Failed, "a"),
                end(1, Failed, "b"),
                end(2, NotStarted, "a"),
                end(2, Ok, "c"),
            ],
        );
        assert_eq!((last(Failed), last(NotStarted)), ("a b".into(), "a".into()));
        save(6, &[end(1, Ok, "a"), end(2, Skipped, "b")]);
        // The host's last run counts, also if that did not touch every block of it.
        assert_eq!((last(Failed), last(NotStarted)), ("".into(), "".into()));
        assert_eq!(since(5), [(1, "a".to_string()), (2, "b".to_string())]);
        assert_eq!(since(4).len(), 3);
        save(7, &[]);
        assert_eq!(log_dir.newest_run("work"), Some(7));
        assert!(since(6).is_empty());
        save(3, &[]);
        assert_eq!(log_dir.newest_run("work"), Some(7));
        assert_eq!(log_dir.newest_run("other"), None);
    }

    #[test]
    fn a_file_of_another_format_counts_as_none() {
        for text in ["ok web1\n", "hosts 3\n1\n", "hosts 2\n", "hosts 2\n1\nx"] {
            assert!(LastHosts::parse(text).is_none(), "{text}");
        }
        let text = "hosts 2\n8\n7 10 not_started web1\n";
        assert_eq!(
            LastHosts::parse(text).map(|last| last.draw()),
            Some(text.into())
        );
    }

    #[test]
    fn runs_at_the_same_time_leave_one_of_their_files_whole() {
        let (scratch, log_dir) = scratch("last-hosts");
        let run = |count: usize| {
            let names: Vec<String> = (0..count).map(|n| format!("host{n}")).collect();
            let hosts: Vec<_> = names.iter().map(|n| end(1, Outcome::Ok, n)).collect();
            for _ in 0..200 {
                log_dir.save_last_hosts("work", 1, &hosts).expect("saved");
                let saved = log_dir.last_hosts("work", &[Outcome::Ok]);
                let saved = saved.expect("a whole file").len();
                assert!([10, 100, 1000].contains(&saved), "{saved} hosts");
            }
        };
        std::thread::scope(|scope| {
            for count in [10, 100, 1000] {
                scope.spawn(move || run(count));
            }
        });
        let state = std::fs::read_dir(scratch.0.join("state")).expect("state");
        assert_eq!(state.count(), 1, "temporary files are left");
    }
}
