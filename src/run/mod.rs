//! What happens: the walk through the workflow, its processes and their results.
//!
//! Emits events and does not know who reads them. `walk` follows the flow. It starts
//! commands only through `runner`; behind that, `pool` runs real processes and
//! `pretend` simulates them. `names` and `contact` check the hosts
//! before a run.
//!
//! `journal` keeps what was done: `record` in `header` and `fields`, one after the other
//! as `frame` says. What it holds is read by `recorded_run`, from which `replay` answers
//! when a run is continued, and by `snapshot` for all who only look.

pub mod capture;
pub mod child;
pub mod connection_limit;
pub mod contact;
pub mod deadline;
pub mod directory;
pub mod evaluated;
pub mod evaluation;
pub mod event;
pub mod far_end;
pub mod fields;
pub mod frame;
pub mod guardian;
pub mod header;
pub mod interrupt;
pub mod job;
pub mod journal;
pub mod journal_name;
pub mod launch;
pub mod lookup;
pub mod marks;
pub mod names;
pub mod orphans;
pub mod pid_space;
pub mod place;
pub mod pool;
pub mod pretend;
pub mod process_context;
pub mod process_group;
pub mod process_table;
pub mod record;
pub mod record_lock;
pub mod recorded_run;
pub mod remote;
pub mod replay;
pub mod required;
pub mod result;
pub mod round;
pub mod run_end;
pub mod run_id;
pub mod runner;
pub mod snapshot;
pub mod ssh_report;
pub mod stdin_pipe;
pub mod sys;
pub mod walk;
