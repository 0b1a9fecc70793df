//! Everything that reports a run: the console, the log, the files it leaves.
//!
//! It reads the run's events and results, and decides nothing.
#![forbid(unsafe_code)]

pub mod clock;
pub mod color;
pub mod console;
pub mod destination;
pub mod display_width;
pub mod endings;
pub mod event_stream;
pub mod history;
pub mod html;
pub mod html_report;
pub mod invoker;
pub mod kept_plans;
pub mod last_hosts;
pub mod log;
pub mod log_directory;
pub mod lone_outputs;
pub mod metrics;
pub mod output_files;
pub mod print;
pub mod progress;
pub mod project_summary;
pub mod recap;
pub mod rehearsal_text;
pub mod reporter;
pub mod result_groups;
pub mod results_json;
pub mod results_table;
pub mod retention;
pub mod run_number;
pub mod run_status;
pub mod run_summary;
pub mod safe_text;
pub mod status_line;
pub mod syslog;
pub mod time_axis;
pub mod timeline;
pub mod validation_summary;
