//! Every exit code of tasker itself, once (SPEC §3.8).
#![forbid(unsafe_code)]

pub const OK: i32 = 0;
/// `--keep-going` ran past a failure; or a `return` that cannot be used.
pub const FAILURES: i32 = 1;
pub const USAGE: i32 = 2;
/// A criterion did not hold though the command exited 0; a block or decision failed.
pub const CRITERION: i32 = 10;
/// `--start-from` or `--resume` is not possible, or the plan is not the reviewed one.
pub const POSITION: i32 = 12;
/// Not the number of hosts that was expected.
pub const EXPECTED_HOSTS: i32 = 13;
pub const MAX_STEPS: i32 = 14;
/// The deadline passed, or something did not fit before it.
pub const DEADLINE: i32 = 15;
/// tasker's own question before the run was answered with no.
pub const NOT_CONFIRMED: i32 = 16;
pub const INVALID: i32 = 20;
pub const NO_TASKS: i32 = 24;
/// Another instance of this run is active.
pub const ACTIVE: i32 = 25;
pub const NO_FILE: i32 = 30;
pub const UNREADABLE: i32 = 31;
pub const LOG_DIR: i32 = 32;
/// A host cannot be resolved or reached.
pub const HOST: i32 = 60;
/// An exec type's program is missing, or its test failed.
pub const EXEC_TYPE: i32 = 61;
pub const TIMEOUT: i32 = 124;
/// A command that cannot be executed, and one that is not there.
pub const NOT_EXECUTABLE: i32 = 126;
pub const NOT_FOUND: i32 = 127;
/// A host was not reached: what ssh exits with.
pub const UNREACHABLE: i32 = 255;
/// 128+n: ended by signal n.
pub const SIGNAL: i32 = 128;
