//! How each host of a task file's blocks ended in the last run that touched it, for
//! `--limit last:failed` (SPEC §6): one `OUTCOME HOST` a line, in a file named after
//! the real path of the task file.
#![forbid(unsafe_code)]

use super::log_directory::LogDirectory;
use super::replace_file;
use crate::outcome::Outcome;
use crate::text::diagnostic::{cannot, reason};
use crate::text::sha256;
use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

impl LogDirectory {
    fn last_hosts_file(&self, task_file: &str) -> io::Result<PathBuf> {
        let real = fs::canonicalize(task_file).map_err(cannot("find", Path::new(task_file)))?;
        let name = sha256::hex(real.as_os_str().as_encoded_bytes());
        let name = format!("state/last_{}.hosts", &name[..16]);
        Ok(self.path().join(name))
    }

    /// Saves how the hosts of a run ended. Those of earlier runs that it did not
    /// touch keep what they were.
    pub fn save_last_hosts(&self, task_file: &str, hosts: &[(Outcome, &str)]) -> io::Result<()> {
        self.create("state")?;
        let file = self.last_hosts_file(task_file)?;
        let before = fs::read_to_string(&file).unwrap_or_default();
        let touched: HashSet<&str> = hosts.iter().map(|(_, host)| *host).collect();
        let is_untouched = |line: &&str| {
            line.split_once(' ')
                .is_some_and(|(_, h)| !touched.contains(h))
        };
        let untouched = before.lines().filter(is_untouched);
        let mut text: String = untouched.map(|line| format!("{line}\n")).collect();
        for (outcome, host) in hosts {
            text.push_str(&format!("{outcome} {host}\n"));
        }
        replace_file::replace(&file, text.as_bytes())
    }

    /// The hosts that ended in one of these outcomes in the last run that touched them.
    ///
    /// # Errors
    /// The file has not run yet, or its last hosts cannot be read.
    pub fn last_hosts(
        &self,
        task_file: &str,
        outcomes: &[Outcome],
    ) -> Result<HashSet<String>, String> {
        let text = self.last_hosts_file(task_file).and_then(fs::read_to_string);
        let text = text.map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => "this file has not run yet".to_string(),
            _ => format!("cannot read the hosts of the last run: {}", reason(&e)),
        })?;
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        let wanted = lines.filter(|(word, _)| outcomes.iter().any(|o| o.as_str() == *word));
        Ok(wanted.map(|(_, host)| host.to_string()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    /// A directory of its own that is removed at the end.
    struct Scratch(PathBuf);

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn runs_at_the_same_time_leave_one_of_their_files_whole() {
        let name = format!("tasker-last-hosts-{}", std::process::id());
        let scratch = Scratch(std::env::temp_dir().join(name));
        let log_dir = LogDirectory::new(scratch.0.clone(), SystemTime::now());
        log_dir.create("state").expect("a directory");
        let task_file = scratch.0.join("tasks.txt");
        fs::write(&task_file, "task=1\n").expect("a task file");
        let task_file = task_file.to_str().expect("a path in UTF-8");
        let run = |count: usize| {
            let names: Vec<String> = (0..count).map(|n| format!("host{n}")).collect();
            let hosts: Vec<_> = names.iter().map(|n| (Outcome::Ok, n.as_str())).collect();
            for _ in 0..200 {
                log_dir.save_last_hosts(task_file, &hosts).expect("saved");
                let saved = log_dir.last_hosts(task_file, &[Outcome::Ok]);
                let saved = saved.expect("a whole file").len();
                assert!([10, 100, 1000].contains(&saved), "{saved} hosts");
            }
        };
        std::thread::scope(|scope| {
            for count in [10, 100, 1000] {
                scope.spawn(move || run(count));
            }
        });
        let state = fs::read_dir(scratch.0.join("state")).expect("state");
        assert_eq!(state.count(), 1, "temporary files are left");
    }
}
