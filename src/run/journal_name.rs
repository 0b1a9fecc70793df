//! The name of a journal (SPEC §6.4): `RUN_ID.MARK.journal`. The mark stands for the task
//! file and the work, so that a run finds the journals that concern it among those of all
//! others without opening them. Older journals have none, and concern everyone.
//!
//! Rejected: an index beside the journals. After a power cut it can lack a journal that
//! is there, and nobody would resume that run.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::ffi::OsStr;

const ENDING: &str = ".journal";
/// `YYYYMMDD_HHMMSS`
const TIME: usize = 15;

pub fn of_run(run_id: &str, mark: &str) -> String {
    format!("{run_id}.{mark}{ENDING}")
}

/// The run that it names.
pub fn run_id(name: &OsStr) -> Cow<'_, str> {
    match name.to_string_lossy() {
        Cow::Borrowed(name) => parts(name).0.into(),
        Cow::Owned(name) => parts(&name).0.to_string().into(),
    }
}

/// Whether it is one of a task file, or of a work, whose mark begins so.
pub fn concerns(name: &OsStr, mark: &str) -> bool {
    let found = name.to_str().and_then(|name| parts(name).1);
    found.is_none_or(|found| found.starts_with(mark))
}

fn parts(name: &str) -> (&str, Option<&str>) {
    let stem = name.strip_suffix(ENDING).unwrap_or(name);
    match stem.split_once('.') {
        Some((run_id, mark)) => (run_id, Some(mark)),
        None => (stem, None),
    }
}

/// Whether this is a time as names have it, `YYYYMMDD_HHMMSS`.
pub fn is_time(text: &str) -> bool {
    let is_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    text.len() == TIME
        && text
            .split_once('_')
            .is_some_and(|(day, time)| day.len() == 8 && is_digits(day) && is_digits(time))
}

/// When a run with this id began; nothing if it is not the id of a run.
pub fn time_of_run(run_id: &str) -> Option<&str> {
    let (time, letters) = run_id.split_once('-')?;
    let is_letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let are_letters = !letters.is_empty() && letters.len() <= 20 && letters.bytes().all(is_letter);
    (is_time(time) && are_letters).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_the_run_and_whom_it_concerns() {
        let name = of_run("20240115_143015-k7m2x9qa", "0123456789abcdef");
        let name = OsStr::new(&name);
        assert_eq!(run_id(name), "20240115_143015-k7m2x9qa");
        for (mark, is_its_own) in [("01234567", true), ("0123456789abcdef", true), ("1", false)] {
            assert_eq!(concerns(name, mark), is_its_own, "{mark}");
        }
        let old = OsStr::new("20240115_143015-4711.journal");
        assert_eq!(run_id(old), "20240115_143015-4711");
        assert!(concerns(old, "01234567"));
    }

    #[test]
    fn what_is_no_run_id_has_no_time() {
        assert_eq!(time_of_run("20240115_143015-4711"), Some("20240115_143015"));
        for other in [
            "20240115_143015",
            "20240115_143015-",
            "20240115_143015-../x",
            "20240115-143015-k7m2x9qa",
            "2024011_5143015-k7m2x9qa",
            "x20240115_143015-k7m2x9qa",
            "plans",
        ] {
            assert_eq!(time_of_run(other), None, "{other}");
        }
    }
}
