//! The journal of a real run from its creation to its removal (SPEC §6.4).
#![forbid(unsafe_code)]

use crate::exit;
use crate::report::log_directory::LogDirectory;
use crate::run::capture::Spool;
use crate::run::journal::{self, Journal};
use crate::run::record::Header;
use crate::run::run_end::RunEnd;
use crate::session::load::Loaded;
use crate::session::refusal::{Refusal, unwritable};
use crate::text::diagnostic::reason;
use std::path::PathBuf;
use std::sync::Arc;

/// A new run's journal.
///
/// # Errors
/// That it cannot be written (32).
pub fn create(
    loaded: &Loaded,
    log_dir: &LogDirectory,
    header: &Header,
    spool: &Arc<Spool>,
) -> Result<Journal, Refusal> {
    let made = log_dir.create_journal(&header.run_id, |path| {
        Journal::create(path, header, loaded.mask().named_secrets(), spool)
    });
    made.map_err(unwritable)
}

/// A journal after its run.
#[derive(Default)]
pub struct ClosedJournal {
    /// The option that resumes the run.
    pub option: Option<&'static str>,
    /// The journal whose outputs nobody needs once the end has been reported.
    pub done_with: Option<Journal>,
}

/// Closes the journal of a run that has ended: removes it on success, with those of
/// earlier runs that this run makes pointless. Adds what is to be reported.
pub fn close(
    loaded: &Loaded,
    log_dir: &LogDirectory,
    end: &mut RunEnd,
    complaints: &mut Vec<String>,
) -> ClosedJournal {
    let Some(mut journal) = end.journal.take() else {
        return ClosedJournal::default();
    };
    if let Some(why) = journal.broken() {
        complaints.push(why.to_string());
        let done = std::mem::take(&mut journal.unrecorded);
        complaints.push(format!("done but not recorded: {}", done.join(", ")));
        return ClosedJournal {
            option: Some("--resume"),
            done_with: None,
        };
    }
    let success = end.exit == exit::OK && end.complete;
    if success || loaded.from_stdin {
        let path = journal.path().to_path_buf();
        let others: Vec<PathBuf> = log_dir.journals();
        let others: Vec<PathBuf> = others.into_iter().filter(|p| *p != path).collect();
        // Read while it exists, and only if there are others to compare it with.
        let header = (!others.is_empty()).then(|| journal::header(&path));
        if let Err(e) = journal.remove() {
            complaints.push(format!(
                "cannot remove the journal `{}`: {}",
                path.display(),
                reason(&e)
            ));
        }
        if let Some(Ok(header)) = header {
            remove_older(loaded, log_dir, &header, &others);
        }
        return ClosedJournal {
            option: None,
            done_with: Some(journal),
        };
    }
    let over = end.complete && journal.recorded.is_over();
    ClosedJournal {
        option: (!over).then_some("--resume"),
        done_with: Some(journal).filter(|_| over),
    }
}

/// Removes the journals of earlier runs of the same file with the same globals.
fn remove_older(loaded: &Loaded, log_dir: &LogDirectory, last: &Header, others: &[PathBuf]) {
    for path in others {
        let Ok(header) = journal::header(path) else {
            continue;
        };
        let same = header.file == last.file
            && header.sha256 == last.sha256
            && header.globals == last.globals
            && header.began < last.began;
        if !same {
            continue;
        }
        let spool = Spool::new(log_dir.private(&header.run_id));
        if let Ok((_, mut journal)) = Journal::open(path, loaded.mask().named_secrets(), &spool) {
            // If it cannot be removed, that does no harm: a newer one comes first.
            let _ = journal.remove().map(|()| journal.release_outputs());
        }
    }
}
