//! One call of tasker: what was asked is loaded and checked, then run,
//! rehearsed, shown or refused.
//!
//! A call that goes on with an earlier run (SPEC §6.4) takes this way:
//!
//! | File | What it decides or does |
//! |---|---|
//! | `identity` | which runs do the same work |
//! | `earlier_runs` | what the journals tell of the file's runs |
//! | `choice` | which of them is meant |
//! | `instance` | the locks, so that no other call chooses the same |
//! | `continued_run` | goes through all of this; takes the run's journal |
//! | `surroundings` | the run's directory, environment and options |
//! | `journal_header` | whether the run can be continued as the file is now |
//! | `recovery`, `resume_at` | what continuing it does |
//! | `journal_file` | the journal of the run, and which older ones its end removes |
//! | `advice`, `command_line` | how to go on after a failure |
#![forbid(unsafe_code)]

pub mod acceptance;
pub mod advice;
pub mod alert;
pub mod approval;
pub mod choice;
pub mod command_line;
pub mod config;
pub mod continued_run;
pub mod destinations;
pub mod dry_run;
pub mod earlier_runs;
pub mod ending;
pub mod identity;
pub mod instance;
pub mod journal_file;
pub mod journal_header;
pub mod left_out_hosts;
pub mod load;
pub mod mail_once;
pub mod metrics_files;
pub mod monitoring;
pub mod opening;
pub mod origins;
pub mod plan_options;
pub mod preflight;
pub mod prepared;
pub mod prune;
pub mod real_run;
pub mod recovery;
pub mod refusal;
pub mod rehearsal;
pub mod rejection;
pub mod resume_at;
pub mod scope;
pub mod show_project;
pub mod show_status;
pub mod start_point;
pub mod surroundings;
pub mod time_limit;
pub mod validation;
