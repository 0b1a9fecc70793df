//! What `--help` and `-h` print.
#![forbid(unsafe_code)]

use super::options;
use crate::exit;

/// The options, and in the long form what goes with them.
pub fn draw(short: bool) -> String {
    let mut out = String::from(
        "usage: tasker [OPTIONS] TASK_FILE\nRuns the tasks of a file; `-` reads standard input.\n\n",
    );
    for option in options::listed() {
        let letter = option.short.map_or("    ".into(), |c| format!("-{c}, "));
        let space = match option.value {
            Some(_) if !option.value_is_optional => " ",
            _ => "",
        };
        let name = format!("{}{space}{}", option.long, option.shown_value());
        out.push_str(&format!("  {letter}--{name:<28} {}\n", option.help));
    }
    if !short {
        out.push_str(&exit_codes());
        out.push_str(REST);
    }
    out
}

fn exit_codes() -> String {
    format!(
        "
Exit codes:
  0    the flow reached its end, or return=0
  N    return=N, or the run stopped at a command that failed with N
  1    --keep-going continued past failures, or a failure handler failed
  {}    the command line is wrong
  {}   the run stopped at a criterion, a block, a decision or an unanswered loop
  {}   --start-from or --resume is not possible, or the plan is not that of --plan
  {}   not the number of hosts in --expect-hosts
  {}   --max-steps was reached
  {}   the deadline passed, or something did not fit before it
  {}   tasker's own question before the run was answered with no
  {}   the task file is invalid; {} it holds no tasks
  {}   another instance of this run is active
  {}   the task file does not exist; {} it cannot be read
  {}   the log directory cannot be written
  {}   a host cannot be resolved or reached
  {}   an exec type's program is missing, or its test failed
  {}  stopped by a task's timeout
  {}  stopped at a host that was not reached
  129, 130, 143  ended by SIGHUP, SIGINT, SIGTERM
",
        exit::USAGE,
        exit::CRITERION,
        exit::POSITION,
        exit::EXPECTED_HOSTS,
        exit::MAX_STEPS,
        exit::DEADLINE,
        exit::NOT_CONFIRMED,
        exit::INVALID,
        exit::NO_TASKS,
        exit::ACTIVE,
        exit::NO_FILE,
        exit::UNREADABLE,
        exit::LOG_DIR,
        exit::HOST,
        exit::EXEC_TYPE,
        exit::TIMEOUT,
        exit::UNREACHABLE,
    )
}

const REST: &str = "
Environment: TASK_EXECUTOR_TYPE, TASK_EXECUTOR_TIMEOUT, TASK_EXECUTOR_LOG and
TASKER_CONFIG are used where -t, -o, -l and --config are not given.
See tasker(1), tasker-file(5) and tasker.conf(5).
";
