//! What `tasker.conf` says about who watches the runs from outside (SPEC §6.8).
#![forbid(unsafe_code)]

use crate::cli::invocation::Invocation;
use crate::plan::facility::Facility;
use crate::report::invoker;
use crate::report::syslog::Syslog;
use crate::session::config::Config;
use crate::task::mask::Mask;
use std::path::PathBuf;

/// Both hold for every run, also for one that is refused.
pub struct Monitoring {
    /// Where each job has its metrics.
    pub directory: Option<PathBuf>,
    /// Under what every run tells syslog.
    facility: Option<Facility>,
}

impl Monitoring {
    /// Nothing that an untrusted configuration says is among it.
    pub fn of_site(config: &Config) -> Monitoring {
        let directory = config.metrics_directory();
        Monitoring {
            // A run that is resumed is in another directory.
            directory: directory.map(|path| invoker::started_in().join(path)),
            facility: config.facility(),
        }
    }

    /// What tells syslog, if it is to hear of the run.
    pub fn syslog(&self, invocation: &Invocation, mask: &Mask) -> Option<Syslog> {
        let asked = invocation.syslog.then_some(Facility::USER);
        let facility = self.facility.or(asked)?;
        Some(Syslog::new(facility, mask.clone()))
    }
}
