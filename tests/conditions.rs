//! Conditions through the binary (SPEC §3.1): what is undecided and what follows
//! from it, and the own result of a task.

#[path = "support/chance.rs"]
mod chance;
mod support;

use chance::Chance;
use support::{Ran, Sandbox};

fn run(tasks: &str) -> (Ran, Sandbox) {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(tasks, &[]);
    (ran, sandbox)
}

/// A command that prints `output`, with further keys.
fn print(id: u32, output: &str, keys: &str) -> String {
    format!("task={id}\nexec=local\ncommand=printf %s '{output}'\n{keys}\n")
}

/// Notes that the task has run.
fn note(id: u32, keys: &str) -> String {
    format!("task={id}\nexec=shell\ncommand=echo {id} >>ran\n{keys}\n")
}

/// Runs the tasks; checks the exit code and which of them noted that they ran.
#[track_caller]
fn assert_run(tasks: &str, code: i32, noted: &str) -> Ran {
    let (ran, sandbox) = run(tasks);
    let notes = sandbox.read("ran").replace('\n', " ");
    assert_eq!((ran.code, notes.trim()), (code, noted), "{tasks}\n{ran:?}");
    ran
}

#[test]
fn an_undecided_criterion_is_a_failure_whatever_surrounds_it() {
    for criterion in [
        "success=stdout > 90",
        "failure=stdout > 90",
        "success=!(stdout > 90)",
        "failure=!(stdout > 90)",
        "success=exit_0 & !(stdout<=90)",
        "failure=exit_3 | stdout > 90",
        "next=stdout > 90",
        "next=!(!(stdout >= 90) & exit_0)",
        "success=stdout ~ @1_stderr@",
        "success=stdout !~ @1_stderr@",
        "failure=stdout ~ @1_stderr@",
        "next=!(stdout ~ @1_stderr@)",
    ] {
        let tasks = print(1, "x", "") + &print(2, "97%", criterion) + &note(3, "");
        let ran = assert_run(&tasks, 10, "");
        let why = match criterion.contains('~') {
            true => "@1_stderr@` is undecided: the text to search for is empty",
            false => "90` is undecided: `97%` is not a number",
        };
        assert!(ran.stdout.contains(why), "{criterion}: {ran:?}");
    }
}

#[test]
fn the_other_side_of_an_operator_can_decide() {
    for (criterion, code) in [
        ("success=exit_0 | stdout > 90", 0),
        ("success=stdout > 90 | exit_0", 0),
        ("failure=stdout > 90 & exit_3", 0),
        ("failure=stdout > 90 | exit_0", 10),
        ("success=stdout > 90 & exit_3", 10),
        ("success=!(stdout > 90 & exit_3)", 0),
    ] {
        let ran = assert_run(&print(2, "97%", criterion), code, "");
        let failed = "this counts as a failure";
        assert!(!ran.stdout.contains(failed), "{criterion}: {ran:?}");
    }
}

#[test]
fn an_undecided_verdict_is_retried_and_handled_like_any_failure() {
    let tasks = print(
        2,
        "97%",
        "failure=stdout > 90\nretry_count=1\nretry_delay=0\non_failure=90",
    ) + &note(90, "return=7");
    let ran = assert_run(&tasks, 7, "90");
    assert_eq!(ran.stdout.matches("is undecided").count(), 2, "{ran:?}");
}

/// With `condition=@1_stdout@ > 90` on something, where task 1 printed `97%`.
#[track_caller]
fn assert_not_started(keys: &str, code: i32) -> Ran {
    let tasks = print(1, "97%", "") + keys;
    let ran = assert_run(&tasks, code, "");
    let why =
        "was not started: in its condition `@1_stdout@ > 90` is undecided: `97%` is not a number";
    assert!(ran.stdout.contains(why), "{keys}: {ran:?}");
    ran
}

#[test]
fn an_undecided_condition_starts_nothing() {
    let when = "condition=@1_stdout@ > 90";
    assert_not_started(&(note(2, when) + &note(3, "")), 126);
    assert_not_started(
        &format!("task=2\ntype=decision\nsuccess=true\n{when}\n"),
        10,
    );
    assert_not_started(&format!("task=2\nnext=never\n{when}\n"), 126);
    assert_not_started(&format!("task=2\nreturn=0\n{when}\n"), 10);
    let members = note(11, "") + &note(12, "");
    for block in [
        format!("task=2\ntype=parallel\ntasks=11,12\n{when}\n"),
        format!("task=2\ntype=parallel\nhostnames=a,b\nexec=shell\ncommand=echo 2 >>ran\n{when}\n"),
        format!("task=2\ntype=conditional\nif_true_tasks=11\nif_false_tasks=12\n{when}\n"),
    ] {
        let rest = match block.contains("hostnames") {
            true => note(20, ""),
            false => members.clone() + &note(20, ""),
        };
        assert_not_started(&(block + &rest), 10);
    }
    // Its members, and those of a branch.
    let tasks = print(1, "97%", "")
        + "task=2\ntype=parallel\ntasks=11,12\n"
        + &note(11, when)
        + &note(12, "");
    let ran = assert_run(&tasks, 10, "12");
    assert!(ran.stdout.contains("is undecided"), "{ran:?}");
    let tasks = print(1, "97%", "")
        + "task=2\ntype=conditional\ncondition=true\nif_true_tasks=11,12\nnext=success\n"
        + &note(11, when)
        + &note(12, "");
    assert_run(&tasks, 10, "12");
}

#[test]
fn a_task_with_an_undecided_condition_can_be_handled() {
    let when = "condition=@1_stdout@ > 90\non_failure=90\nretry_count=3";
    let tasks = print(1, "97%", "") + &note(2, when) + &note(90, "return=7");
    let ran = assert_run(&tasks, 7, "90");
    assert!(!ran.stdout.contains("retry"), "{ran:?}");
}

#[test]
fn a_resumed_run_stops_where_a_condition_is_undecided() {
    let when = "condition=@1_stdout@ > 90";
    for block in [
        format!("type=parallel\nhostnames=a,b\nexec=shell\ncommand=true\n{when}\n"),
        format!("type=conditional\nif_true_tasks=11\n{when}\n") + &note(11, ""),
        format!("type=decision\nsuccess=true\n{when}\n"),
    ] {
        let tasks = print(1, "97%", "") + "task=2\n" + &block + &note(20, "");
        let (ran, sandbox) = run(&tasks);
        let again = sandbox.output(&["-r", "--resume", "tasks.txt"]);
        assert_eq!((ran.code, again.code), (10, 10), "{again:?}");
        assert!(again.stdout.contains("`97%` is not a number"), "{again:?}");
        assert!(!sandbox.exists("ran"), "{again:?}");
    }
}

#[test]
fn a_final_task_runs_though_its_condition_is_undecided() {
    let tasks = print(1, "97%", "")
        + &note(90, "finally=true\ncondition=@1_stdout@ > 90")
        + &note(91, "finally=true\ncondition=@1_stdout@ = 90");
    let ran = assert_run(&tasks, 0, "90");
    assert!(ran.stdout.contains("the final task runs anyway"), "{ran:?}");
}

#[test]
fn an_undecided_loop_break_does_not_hold() {
    let tasks = "task=1\nexec=shell\ncommand=echo x >>ran; echo y\nnext=loop\nloop=3\nloop_break=!(stdout > 90)\n";
    let (ran, sandbox) = run(tasks);
    // It never held, so nothing was answered.
    assert_eq!((ran.code, sandbox.read("ran").len()), (10, 6), "{ran:?}");
    let why = "`stdout > 90` is undecided: `y` is not a number; the loop continues";
    assert_eq!(ran.stdout.matches(why).count(), 3, "{ran:?}");
}

#[test]
fn a_missing_result_answers_no_but_never_the_opposite() {
    let skipped = note(1, "condition=false");
    for (condition, code, noted) in [
        ("@1_stdout@ > 90", 0, "3"),
        ("@1_stdout@ < 90 | true", 0, "2 3"),
        ("!(@1_stdout@ > 90)", 126, ""),
        ("!!(@1_stdout@ > 90)", 126, ""),
        ("@1_stdout@ =", 0, "2 3"),
    ] {
        let tasks = skipped.clone() + &note(2, &format!("condition={condition}")) + &note(3, "");
        let ran = assert_run(&tasks, code, noted);
        let warned = ran.stdout.contains("there is no result to compare");
        assert_eq!(warned, code == 0 && condition.contains('9'), "{ran:?}");
    }
    for (criterion, code) in [("success", 10), ("failure", 10)] {
        let tasks = skipped.clone() + &note(2, &format!("{criterion}=@1_stdout@ > 90"));
        assert_run(&tasks, code, "2");
    }
    let tasks = skipped + &note(2, "success=exit_0 & !(@1_stdout@ > 90)");
    assert_run(&tasks, 10, "2");
}

#[test]
fn a_value_in_a_warning_is_short_and_holds_no_secret() {
    let tasks = "DB_PASSWORD=hunter2\n".to_string()
        + "task=1\nexec=shell\ncommand=echo \"$p\"; seq 1000\nenv.p=@DB_PASSWORD@\nfailure=stdout > 3\n";
    let (ran, sandbox) = run(&tasks);
    assert!(ran.stdout.contains("is undecided: `***\\n1\\n2"), "{ran:?}");
    let log = sandbox.log();
    let line = log.lines().find(|l| l.contains("is undecided"));
    assert!(line.is_some_and(|l| l.len() < 500), "{line:?}");
    assert!(!log.contains("hunter2") && !ran.stdout.contains("hunter2"));
}

#[test]
fn a_duration_is_compared_with_a_duration() {
    for (criterion, code) in [
        ("success=duration > 5s", 10),
        ("success=duration < 5s", 0),
        ("failure=duration > 2m", 0),
        ("success=duration <= @LIMIT@", 0),
        ("success=duration < 0.0001", 10),
    ] {
        let tasks = "LIMIT=1h\n".to_string() + &print(1, "x", criterion);
        assert_run(&tasks, code, "");
    }
    let tasks = print(1, "x", "") + &note(2, "condition=@1_duration@ < 5m");
    assert_run(&tasks, 0, "2");
}

#[test]
fn a_host_that_was_not_reached_is_a_failure_unless_that_is_asked_for() {
    for (criterion, code) in [
        ("success=exit_255", 255),
        ("success=true", 255),
        ("failure=exit_3", 255),
        ("success=unreachable", 0),
        ("success=exit_0 | unreachable", 0),
        ("failure=!unreachable", 0),
        ("next=unreachable", 0),
        ("next=unknown", 255),
        ("next=always", 0),
    ] {
        let sandbox = Sandbox::new();
        sandbox.program(
            "bin/ssh",
            "#!/bin/sh\necho 'ssh: connect to host web1 port 22: No route to host' >&2\nexit 255\n",
        );
        sandbox.file(
            "tasks.txt",
            format!("task=1\nexec=ssh\nhostname=web1\ncommand=true\n{criterion}\n"),
        );
        let path = format!("{}/bin:/usr/bin:/bin", sandbox.path.display());
        let mut tasker = sandbox.tasker(&["-r", "--skip-host-validation", "tasks.txt"]);
        let ran = Ran::from(tasker.env("PATH", path).output().expect("tasker runs"));
        assert_eq!(ran.code, code, "{criterion}: {ran:?}");
    }
}

#[test]
fn the_log_shows_an_undecided_comparison() {
    let sandbox = Sandbox::new();
    sandbox.run(
        &print(1, "97%", "failure=stdout > 90 | exit = 3"),
        &["--log-level=DEBUG"],
    );
    let log = sandbox.log();
    assert!(log.contains("`stdout` > `90`: undecided"), "{log}");
    assert!(log.contains("`0` = `3`: false"), "{log}");
}

/// What a task may write for its own output: bare, by id, by name.
const OWN: [&str; 3] = ["stdout", "@1_stdout@", "@probe_stdout@"];

#[test]
fn a_task_means_the_result_being_judged_by_its_own_id() {
    for own in OWN {
        for (keys, code) in [
            (format!("success={own}=up"), 0),
            (format!("success={own} ~ down"), 10),
            (format!("failure={own} ~ down"), 0),
            (format!("failure={own} !="), 10),
            (format!("next={own}=up"), 0),
            (format!("next={own}!=up"), 10),
        ] {
            assert_run(&print(1, "up", &format!("name=probe\n{keys}")), code, "");
        }
        // The right side and other fields, too.
        let other = own.replace("stdout", "outcome");
        if own != "stdout" {
            let keys = format!("name=probe\nsuccess=\"up\"={own} & {other}=ok");
            assert_run(&print(1, "up", &keys), 0, "");
            let default = own.replace("stdout@", "stderr:-none@");
            let keys = format!("name=probe\nsuccess={default} = none & {default} ~ on");
            assert_run(&print(1, "up", &keys), 0, "");
            let keys = format!("name=probe\nsuccess='my up' = \"my {own}\"");
            assert_run(&print(1, "up", &keys), 0, "");
        }
    }
}

#[test]
fn a_retried_or_repeated_task_judges_each_result_by_itself() {
    let count = "task=1\nname=probe\nexec=shell\ncommand=echo >>ran; wc -l <ran | tr -d ' '\n";
    for own in OWN {
        let keys = format!("success={own}=3\nretry_count=5\nretry_delay=0\n");
        let (ran, sandbox) = run(&(count.to_string() + &keys));
        assert_eq!((ran.code, sandbox.read("ran").len()), (0, 3), "{ran:?}");
        let keys = format!("next=loop\nloop=5\nloop_break={own} >= 2\n");
        let (ran, sandbox) = run(&(count.to_string() + &keys));
        assert_eq!((ran.code, sandbox.read("ran").len()), (0, 2), "{ran:?}");
    }
}

#[test]
fn a_block_means_its_own_counts_by_its_own_id() {
    for own in ["", "10_", "all_"] {
        let at = if own.is_empty() { "" } else { "@" };
        let count = format!("{at}{own}failed_count{at}");
        for (keys, code) in [
            (format!("success={count}=1"), 0),
            (format!("next={count}=1"), 0),
            (format!("failure={count} > 0"), 10),
        ] {
            let hosts = "type=parallel\nhostnames=a,b\nexec=shell\ncommand=[ @hostname@ = a ]";
            let tasks = format!("task=10\nname=all\n{hosts}\n{keys}\n");
            assert_run(&tasks, code, "");
            let members = "task=11\nexec=local\ncommand=true\ntask=12\nexec=local\ncommand=false\n";
            let block = format!("task=10\nname=all\ntype=parallel\ntasks=11,12\n{keys}\n");
            assert_run(&(block + members), code, "");
        }
    }
    // Each host's own output.
    let tasks = "task=10\ntype=parallel\nhostnames=a,b\nexec=shell\ncommand=echo @hostname@\nsuccess=@10_stdout@=a\nnext=@10_failed_hosts@=b\n";
    let ran = assert_run(tasks, 0, "");
    assert!(ran.stdout.contains("1 ok, 1 failed"), "{ran:?}");
}

#[test]
fn elsewhere_only_a_loop_has_a_result_of_its_own() {
    let wrong = "task 1 uses its own result, which does not exist before it has run";
    for keys in [
        "condition=@1_stdout@ =",
        "stdin=@probe_stdout@",
        "env.X=@1_exit@",
        "workdir=@1_stdout@",
        "description=@1_stdout@",
        "sleep=@1_exit@\non_failure=1",
        "retry_count=@1_attempts@",
    ] {
        let tasks = note(1, &format!("name=probe\n{keys}"));
        let ran = assert_run(&tasks, 20, "");
        let error = format!("error: {wrong}");
        assert!(ran.stderr.contains(&error), "{keys}: {ran:?}");
    }
    let ran = assert_run("task=1\ntype=decision\nsuccess=@1_exit@ = 0\n", 20, "");
    assert!(ran.stderr.contains("has no result yet"), "{ran:?}");
    let ran = assert_run("task=1\ntype=decision\nsuccess=@1_success@\n", 20, "");
    assert!(ran.stderr.contains("no such result"), "{ran:?}");
}

#[test]
fn a_return_has_the_result_of_its_task() {
    let exit = "task=1\nname=probe\nexec=shell\ncommand=echo 7; exit 4\nnext=exit=4\n";
    for (keys, code) in [
        ("return=@1_exit@", 4),
        ("return=@probe_stdout@", 7),
        ("return=@1_exit_code@\ncondition=true", 4),
    ] {
        assert_run(&format!("{exit}{keys}\n"), code, "");
    }
    let count = "task=1\nexec=shell\ncommand=echo @loop@\nnext=loop\nloop=3\nreturn=@1_stdout@\n";
    assert_run(count, 3, "");
}

#[test]
fn a_loop_has_the_result_of_the_iteration_before() {
    // Task 2 leads back once: the second visit begins with nothing, too.
    let tasks = "task=1\nexec=shell\ncommand=echo \"<$before>\" >>ran; cat >>ran; echo @loop@\nenv.before=@1_stdout@\nstdin=@1_stdout@\nnext=loop\nloop=3\n\
        task=2\nexec=shell\ncommand=[ -e again ] || { touch again; exit 1; }\non_failure=1\n";
    let (ran, sandbox) = run(tasks);
    let visit = "<>\n<1>\n1\n<2>\n2\n";
    assert_eq!(sandbox.read("ran"), visit.repeat(2), "{ran:?}");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(!ran.stdout.contains("warning"), "{ran:?}");
}

#[test]
fn a_carriage_return_decides_no_comparison_unseen() {
    let crlf = "task=1\nexec=shell\ncommand=printf '10%%\\r99%%\\rready\\r\\n'; printf 'bad\\r\\n' >&2\nsuccess=stdout=ready\n";
    for (options, console) in [(&[][..], true), (&["-q"][..], false)] {
        let sandbox = Sandbox::new();
        let ran = sandbox.run(crlf, options);
        assert_eq!(ran.code, 10, "{ran:?}");
        let shown =
            ran.stdout.contains("  | …\\rready\\r\n") && ran.stdout.contains("  | bad\\r\n");
        assert_eq!(shown, console, "{ran:?}");
        // What cron sends by mail.
        assert!(ran.stderr.contains("= stdout: …\\rready\\r\n"), "{ran:?}");
        assert!(ran.stderr.contains("= stderr: bad\\r\n"), "{ran:?}");
        let log = sandbox.log();
        assert!(log.contains("stdout| 10%\\r99%\\rready\\r\n"), "{log}");
        assert!(!log.contains('\r') && !(ran.stdout + &ran.stderr).contains('\r'));
    }
    // A block's outputs, and the value in a comparison.
    let sandbox = Sandbox::new();
    let tasks = "task=1\ntype=parallel\nhostnames=a,b\nexec=shell\ncommand=printf '9%%\\rup\\r\\n'\nsuccess=stdout=up | stdout > 3\n";
    let ran = sandbox.run(tasks, &["--log-level=DEBUG"]);
    assert!(ran.stdout.contains(" …\\rup\\r\n"), "{ran:?}");
    assert!(
        ran.stdout.contains("`9%\\rup\\r` is not a number"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("…\\rup\\r\n"), "{ran:?}");
    let log = sandbox.log();
    assert!(log.contains("9%\\rup\\r\n") && !log.contains('…'), "{log}");
}

/// An expression whose value is known from the rules alone.
enum Known {
    Is(bool, &'static str),
    Undecided(&'static str),
    /// False, but undecided where the opposite is asked for.
    Missing(&'static str),
    Not(Box<Known>),
    Both(Box<Known>, Box<Known>),
    Either(Box<Known>, Box<Known>),
}

impl Known {
    fn generate(chance: &mut Chance, depth: usize) -> Known {
        let part = |chance: &mut Chance| Box::new(Known::generate(chance, depth - 1));
        match chance.below(if depth == 0 { 5 } else { 11 }) {
            0 => Known::Is(true, "@1_exit@=0"),
            1 => Known::Is(false, "@1_stdout@ ~ 98"),
            2 => Known::Undecided("@1_stdout@ > 90"),
            3 => Known::Undecided("@1_stdout@ !~ @1_stderr@"),
            4 => Known::Missing("@2_stdout@ <= 90"),
            5 | 6 => Known::Not(part(chance)),
            7 | 8 => Known::Both(part(chance), part(chance)),
            _ => Known::Either(part(chance), part(chance)),
        }
    }

    fn value(&self, opposed: bool) -> Option<bool> {
        match self {
            Known::Is(value, _) => Some(*value),
            Known::Undecided(_) => None,
            Known::Missing(_) => (!opposed).then_some(false),
            Known::Not(inner) => inner.value(true).map(|value| !value),
            Known::Both(a, b) => match (a.value(opposed), b.value(opposed)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Known::Either(a, b) => match (a.value(opposed), b.value(opposed)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
        }
    }

    fn write(&self, chance: &mut Chance) -> String {
        match self {
            Known::Is(_, text) | Known::Undecided(text) | Known::Missing(text) => text.to_string(),
            Known::Not(inner) => {
                let not = ["!", "NOT ", "! "][chance.below(3)];
                format!("{not}({})", inner.write(chance))
            }
            Known::Both(a, b) => {
                let and = [" & ", " AND ", "&& "][chance.below(3)];
                let mut side = |part: &Known| match part {
                    Known::Either(..) => format!("({})", part.write(chance)),
                    _ => part.write(chance),
                };
                [side(a), and.to_string(), side(b)].concat()
            }
            Known::Either(a, b) => {
                let or = [" | ", " OR ", "|| "][chance.below(3)];
                [a.write(chance), or.to_string(), b.write(chance)].concat()
            }
        }
    }
}

#[test]
fn any_condition_has_the_value_that_the_rules_give_it() {
    let mut chance = Chance::new(16);
    let mut tasks = print(1, "97%", "") + &note(2, "condition=false");
    let mut expected = Vec::new();
    for id in 10..610 {
        let known = Known::generate(&mut chance, 4);
        let text = known.write(&mut chance);
        let key = ["success", "failure", "condition"][chance.below(3)];
        let value = known.value(key == "failure");
        let outcome = match (key, value) {
            ("condition" | "success", Some(true)) | ("failure", Some(false)) => "ok",
            ("condition", Some(false)) => "skipped",
            _ => "failed",
        };
        let keys = if key == "condition" {
            "success=true"
        } else {
            ""
        };
        tasks += &format!("task={id}\ntype=decision\n{key}={text}\n{keys}\nnext=always\n");
        expected.push((id, format!("{key}={text}"), outcome));
    }
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&tasks, &["--output-json=out", "-q"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let json = sandbox.read("out");
    let mut seen = [0; 3];
    for (id, text, outcome) in expected {
        let result = json
            .split_once(&format!("\"{id}\":{{"))
            .expect("a result")
            .1;
        let found = result.split_once("\"outcome\":\"").expect("an outcome").1;
        assert!(found.starts_with(outcome), "{id}: {text}: not {outcome}");
        seen[["ok", "skipped", "failed"]
            .iter()
            .position(|o| *o == outcome)
            .unwrap_or(0)] += 1;
    }
    assert!(seen.iter().all(|n| *n > 40), "{seen:?}");
}
