//! The first record of a journal: which run it is of, and everything that decides
//! what the run does (SPEC §6.4).
#![forbid(unsafe_code)]

use super::fields::{FieldReader, FieldWriter};

/// The first record of a journal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Header {
    pub version: String,
    pub run_id: String,
    /// Counts up in the log directory: of two runs the newer one has the higher number.
    pub number: u64,
    /// Nanoseconds since 1970, for people.
    pub began: u64,
    /// The name of the machine.
    pub machine: String,
    /// The absolute path of the task file as it was named; `-` for standard input.
    pub file: String,
    /// The directory that tasker was started in.
    pub directory: Vec<u8>,
    pub sha256: String,
    /// The id of the task that the run began with.
    pub start: u32,
    /// How it came to begin there.
    pub beginning: RunBeginning,
    /// The options for failures that nothing handles.
    pub policy: String,
    /// The hosts of `--limit` and `--exclude`, separated by commas; `-` without.
    pub limit: String,
    pub exclude: String,
    /// A short hash of each line of the file without secrets, to name one that differs.
    pub lines: String,
    /// A hash of each global's value, by name; `-` for a secret.
    pub globals: Vec<(String, String)>,
    /// The options `--set`, `--type` and `--timeout` as they were typed, without
    /// secrets.
    pub options: Vec<(String, String)>,
    /// The environment variables that the globals and words of the file use, without
    /// secrets.
    pub variables: Vec<(String, Vec<u8>)>,
    /// A hash of what each task does, by its id.
    pub tasks: Vec<(u32, String)>,
    /// A hash of each setting of the run that `tasker.conf` can change, by name.
    pub settings: Vec<(String, String)>,
}

/// How a run came to begin at its first task.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum RunBeginning {
    /// At the first task of the file.
    #[default]
    Whole,
    /// `--start-from`
    StartFrom,
    /// `--resume-at`, with the results of this run. With `all_hosts`, hosts that had
    /// done well are run again.
    ResumeAt { run_id: String, all_hosts: bool },
}

impl FieldWriter<'_> {
    pub(super) fn header(&mut self, header: &Header) -> &mut Self {
        self.plain(&header.version).plain(&header.run_id);
        self.plain(header.number).plain(header.began);
        self.escaped_text(&header.machine)
            .escaped_text(&header.file);
        self.escaped(&header.directory).plain(&header.sha256);
        self.plain(header.start);
        match &header.beginning {
            RunBeginning::Whole => self.plain("whole").plain(""),
            RunBeginning::StartFrom => self.plain("start-from").plain(""),
            RunBeginning::ResumeAt { run_id, all_hosts } => {
                let word = if *all_hosts { "all-hosts" } else { "resume-at" };
                self.plain(word).escaped_text(run_id)
            }
        };
        self.plain(&header.policy).escaped_text(&header.limit);
        self.escaped_text(&header.exclude).plain(&header.lines);
        self.pairs(&header.globals, |s, name, hash| {
            s.escaped_text(name).plain(hash)
        });
        self.pairs(&header.options, |s, name, value| {
            s.escaped_text(name).escaped_text(value)
        });
        self.pairs(&header.variables, |s, name, value| {
            s.escaped_text(name).escaped(value)
        });
        self.pairs(&header.tasks, |s, id, hash| s.plain(id).plain(hash));
        self.pairs(&header.settings, |s, name, hash| {
            s.escaped_text(name).plain(hash)
        });
        self
    }

    fn pairs<A, B>(
        &mut self,
        pairs: &[(A, B)],
        write: impl for<'w> Fn(&'w mut Self, &A, &B) -> &'w mut Self,
    ) {
        self.plain(pairs.len());
        for (name, value) in pairs {
            write(self, name, value);
        }
    }
}

impl FieldReader<'_> {
    pub(super) fn header(&mut self) -> Option<Header> {
        Some(Header {
            version: self.next_text()?,
            run_id: self.run_id()?,
            number: self.number()?,
            began: self.number()?,
            machine: self.next_text()?,
            file: self.next_text()?,
            directory: self.bytes()?,
            sha256: self.next_text()?,
            start: self.number()?,
            beginning: self.beginning()?,
            policy: self.next_text()?,
            limit: self.next_text()?,
            exclude: self.next_text()?,
            lines: self.next_text()?,
            globals: self.pairs(|s| Some((s.next_text()?, s.next_text()?)))?,
            options: self.pairs(|s| Some((s.next_text()?, s.next_text()?)))?,
            variables: self.pairs(FieldReader::variable)?,
            tasks: self.pairs(|s| Some((s.number()?, s.next_text()?)))?,
            settings: self.pairs(|s| Some((s.next_text()?, s.next_text()?)))?,
        })
    }

    /// The id of a run. It also names the run's directory, which is removed in the end: it
    /// must not lead elsewhere.
    fn run_id(&mut self) -> Option<String> {
        let is_name = |id: &String| !matches!(id.as_str(), "" | "." | "..");
        let is_plain = |id: &String| !id.contains(['/', '\0']);
        self.next_text().filter(is_name).filter(is_plain)
    }

    /// A variable as an environment can have it.
    fn variable(&mut self) -> Option<(String, Vec<u8>)> {
        let (name, value) = (self.next_text()?, self.bytes()?);
        let is_possible = !name.is_empty() && !name.contains(['=', '\0']) && !value.contains(&0);
        is_possible.then_some((name, value))
    }

    fn beginning(&mut self) -> Option<RunBeginning> {
        let (word, run_id) = (self.raw()?, self.next_text()?);
        Some(match word {
            b"whole" => RunBeginning::Whole,
            b"start-from" => RunBeginning::StartFrom,
            b"resume-at" | b"all-hosts" => RunBeginning::ResumeAt {
                run_id,
                all_hosts: word == b"all-hosts",
            },
            _ => return None,
        })
    }

    /// As many as the next field says; it ends with the record.
    fn pairs<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count: usize = self.number()?;
        (0..count).map(|_| read(self)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(form: &str) -> Option<Header> {
        let fields = form.replace(' ', "\t");
        FieldReader::new(fields.as_bytes(), Some(&[])).header()
    }

    #[test]
    fn what_could_lead_elsewhere_is_no_header() {
        let form = "1 RUN 1 1 m /f /d s 1 whole  stop - - - 0 0 VARIABLES 0 0";
        let with = |run: &str, variables: &str| {
            read(&form.replace("RUN", run).replace("VARIABLES", variables))
        };
        assert!(with("20240101_000000-7", "1 A x").is_some());
        for run in ["", ".", "..", "../x", "/", "a/b", "a\\0b"] {
            assert_eq!(with(run, "0"), None, "{run}");
        }
        for variables in [
            "1  x",
            "1 A=B x",
            "1 A\\0 x",
            "1 A x\\0",
            "18446744073709551615 A x",
        ] {
            assert_eq!(with("R", variables), None, "{variables}");
        }
    }
}
