//! What all child processes of a run share.
#![forbid(unsafe_code)]

use super::capture::Spool;
use super::connection_limit::ConnectionLimit;
use super::guardian::Guardian;
use super::interrupt::Interrupt;
use std::sync::Arc;
use std::time::Duration;

pub struct ProcessContext {
    pub interrupt: Interrupt,
    pub guardian: Guardian,
    pub spool: Arc<Spool>,
    /// The time between SIGTERM and SIGKILL (SPEC §4.3).
    pub kill_after: Duration,
    /// How long a host may take to answer (SPEC §5).
    pub connect_timeout: Duration,
    pub connection_limit: ConnectionLimit,
}
