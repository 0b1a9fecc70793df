//! `--deadline` and `--deadline-task` (SPEC §6.5), through the program.

mod support;

use support::{Ran, Sandbox};

const WINDOW: &str = "task=1\nexec=local\ncommand=touch one\ntimeout=5\n\
     task=2\nexec=local\ncommand=touch two\ntimeout=2h\nnext=never\n\
     task=5\nexec=local\ncommand=touch back\n\
     task=9\nexec=local\ncommand=sh -c 'echo \"$0\" >> off' @run_outcome@\nfinally=true\n";

fn tasker(sandbox: &Sandbox, options: &[&str]) -> Ran {
    sandbox.file("tasks.txt", WINDOW);
    let mut arguments = options.to_vec();
    arguments.push("tasks.txt");
    sandbox.output(&arguments)
}

#[test]
fn a_task_that_does_not_fit_ends_the_run_with_15() {
    let sandbox = Sandbox::new();
    let ran = tasker(&sandbox, &["-r", "--deadline=+1h"]);
    assert_eq!(ran.code, 15, "{ran:?}");
    assert!(
        ran.stderr.contains("does not fit (needs 2 h, 59 m "),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("warning: the run can take "), "{ran:?}");
    assert!(ran.stderr.contains("-r --resume"), "{ran:?}");
    assert!(sandbox.exists("one") && !sandbox.exists("two"));
    assert_eq!(sandbox.read("off"), "deadline\n");
}

#[test]
fn the_run_is_resumed_in_the_next_window() {
    let sandbox = Sandbox::new();
    let ran = tasker(&sandbox, &["-r", "--deadline=+1h", "--deadline-task=5"]);
    assert_eq!((ran.code, sandbox.exists("back")), (15, true), "{ran:?}");
    assert!(!sandbox.exists("two"));
    std::fs::remove_file(sandbox.path.join("one")).expect("it was made");
    let ran = tasker(&sandbox, &["-r", "--resume", "--deadline=+9h"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(!sandbox.exists("one") && sandbox.exists("two"));
    assert_eq!(sandbox.read("off"), "deadline\nok\n");
}

#[test]
fn an_impossible_deadline_is_refused() {
    let sandbox = Sandbox::new();
    let ran = tasker(&sandbox, &["-r", "--deadline=2020-01-15T04:00"]);
    assert_eq!(ran.code, 15, "{ran:?}");
    let why = "tasker: the deadline 2020-01-15T04:00 has already passed; nothing was run\n     = help: \
               --deadline on the command line sets another one\n";
    assert!(ran.stderr.contains(why), "{ran:?}");
    let ran = tasker(&sandbox, &["-r", "--deadline=25:00"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("expected a time such as `04:00`"));
    let ran = tasker(&sandbox, &["-r", "--deadline-task=5"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    let ran = tasker(&sandbox, &["-r", "--deadline=+1h", "--deadline-task=9"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(!sandbox.exists("one") && !sandbox.exists("off"));
}

#[test]
fn a_dry_run_warns_where_the_plan_does_not_fit() {
    let sandbox = Sandbox::new();
    let ran = tasker(&sandbox, &["--deadline=+1h"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stderr.contains("and the deadline is in 1 h;"),
        "{ran:?}"
    );
    let ran = tasker(&sandbox, &["--deadline=+9h"]);
    assert!(!ran.stderr.contains("deadline"), "{ran:?}");
}
