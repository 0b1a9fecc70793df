//! The number of a run (SPEC §6.4): it counts up in the log directory, so that which of
//! two runs is newer depends on no clock.
#![forbid(unsafe_code)]

use super::log_directory::{LogDirectory, wait_for_turn};
use crate::run::directory::OpenMode;
use crate::run::journal;
use crate::text::diagnostic::cannot;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

impl LogDirectory {
    /// The number of a run that begins now, and the file that keeps it: it must reach the
    /// disk no later than the run's journal. If the file stays locked, two runs can get the
    /// same number, and the time they began decides.
    ///
    /// # Errors
    /// `cannot write ... PATH: REASON`.
    pub fn next_run_number(&self) -> io::Result<(u64, File)> {
        let named = self.state.file_to_make("number")?;
        let path = named.path();
        let failed = cannot("write", &path);
        let mut file = named.open(OpenMode::Keep).map_err(&failed)?;
        wait_for_turn(&file, &path).map_err(&failed)?;
        let mut text = String::new();
        // What cannot be read is no number.
        let _ = (&mut file).take(100).read_to_string(&mut text);
        let last = match text.trim_end().parse() {
            Ok(last) => last,
            Err(_) => {
                if !text.is_empty() {
                    file.set_len(0).map_err(&failed)?;
                }
                self.highest_run_number()
            }
        };
        let number: u64 = u64::saturating_add(last, 1);
        file.write_all_at(format!("{number:020}\n").as_bytes(), 0)
            .and_then(|()| file.unlock())
            .map_err(&failed)?;
        Ok((number, file))
    }

    /// For a log directory that has no such file, or a damaged one.
    fn highest_run_number(&self) -> u64 {
        let journals = self.journals();
        let numbers = journals
            .iter()
            .filter_map(|place| journal::header(place).ok());
        let numbers = numbers.map(|header| header.number);
        numbers.chain(self.newest_run_of_all()).max().unwrap_or(0)
    }
}
