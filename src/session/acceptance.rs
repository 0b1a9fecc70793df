//! When a task file is accepted (SPEC §1): it was read, checked and trusted and, with
//! `--plan`, it has the plan that is named there. Only then, and only with `-r`, do
//! those of its options hold that write, run a program, contact a host or send
//! something. Before, they are in `Loaded::held_back`, where nothing finds them; this is
//! the only place that takes them out.
#![forbid(unsafe_code)]

use crate::cli::invocation::{Invocation, Mode};
use crate::exit;
use crate::plan::coverage::Coverage;
use crate::session::approval::{self, Plan};
use crate::session::journal_header;
use crate::session::load::Loaded;
use crate::session::prepared::ContinuedRun;
use crate::session::refusal::Refusal;
use crate::session::scope;
use crate::text::sha256;
use std::time::SystemTime;

/// A file whose plan is the one that the command line names.
pub struct AcceptedPlan {
    /// Of the file: another text under the same name is not accepted by this.
    sha256: String,
}

/// Whether a checked file has to have a certain plan as well before it is accepted.
pub fn depends_on_plan(invocation: &Invocation) -> bool {
    invocation.mode() == Mode::Run && invocation.plan.is_some()
}

/// Accepts a file that a call with `-r` has read, checked and trusted, unless that
/// depends on its plan. Whatever refuses the run from now on is reported by the file's
/// own options as well.
pub fn accept_checked(loaded: &mut Loaded) {
    let invocation = &loaded.invocation;
    if invocation.mode() == Mode::Run && !depends_on_plan(invocation) {
        let_hold(loaded);
    }
}

impl AcceptedPlan {
    /// Compares the plan of a fresh run, or of one that continues an earlier run.
    ///
    /// # Errors
    /// It is another (12), or the hosts of the command line are none of the file's (2).
    pub fn compare(
        loaded: &Loaded,
        earlier: Option<&ContinuedRun>,
    ) -> Result<AcceptedPlan, Refusal> {
        let selection = match earlier {
            Some(run) => journal_header::selection(&run.header),
            None => scope::selection(loaded)?,
        };
        let plan = Plan::new(loaded, &Coverage::whole(selection));
        let log_dir = loaded.log_directory(SystemTime::now()).ok();
        approval::check_id(loaded, &plan, log_dir.as_ref())?;
        Ok(AcceptedPlan {
            sha256: sha256_of(loaded),
        })
    }

    /// Accepts the file.
    ///
    /// # Errors
    /// It is no longer the same (12).
    pub fn accept(&self, loaded: &mut Loaded) -> Result<(), Refusal> {
        if sha256_of(loaded) != self.sha256 {
            let why = "--plan: the task file was changed while tasker read it";
            return Err(Refusal::new(exit::POSITION, why));
        }
        let_hold(loaded);
        Ok(())
    }
}

fn sha256_of(loaded: &Loaded) -> String {
    sha256::hex(loaded.sources.get(loaded.file).text.as_bytes())
}

fn let_hold(loaded: &mut Loaded) {
    // A file whose every task belongs to a block is refused as an invalid one, later.
    if loaded.workflow.first().is_none() && loaded.invocation.start_from.is_none() {
        return;
    }
    loaded.invocation.let_hold(&mut loaded.held_back);
    let records = loaded.validation.records.clone();
    loaded.validation.log_directory = records;
}
