//! Bash evaluates data in more places than one sees (SPEC §2.4). A result that looks
//! like code, in any of them, is refused, or the task does not start, or it is harmless.
//!
//! Each result tries to create the file `X`. `TASKER_BASH_SCRIPTS=N` sets the number of
//! random scripts, `TASKER_BASH_SEED=N` another seed.

#[path = "support/chance.rs"]
mod chance;
#[path = "support/places.rs"]
mod places;
#[path = "support/scripts.rs"]
#[allow(dead_code)]
mod scripts;
mod support;

use places::{ACCEPTED, FOUND, HARMLESS, MORE, REFUSED, TEMPLATES};
use scripts::{Place, named, producers, task_file, with_values};
use support::{Ran, Sandbox};

/// With the bash of this machine.
fn here<T>(sandbox: &Sandbox, test: impl Fn(&Place) -> T) -> T {
    test(&Place {
        sandbox,
        exec: "exec=shell",
        run: &|tasks| sandbox.run(tasks, &["-q", "-k"]),
    })
}

#[test]
fn what_was_found_to_run_data_runs_none() {
    let sandbox = Sandbox::new();
    for (number, pair) in places::PAIRS.iter().enumerate() {
        let before = producers(&sandbox, &[pair.0, pair.1]);
        let found = FOUND.iter().chain(MORE).chain(REFUSED);
        let scripts: Vec<String> = found.map(|t| with_values(t, 0, 1)).collect();
        for scripts in scripts.chunks(25) {
            here(&sandbox, |place| place.run_accepted(&before, scripts));
            assert!(
                !sandbox.exists("X"),
                "pair {number}: {pair:?} in one of {scripts:#?}"
            );
        }
    }
}

#[test]
fn a_plain_variable_is_warned_of_and_checked_before_the_run() {
    let sandbox = Sandbox::new();
    let script = "n=@100_stdout@; echo $((n + 1))";
    let file = |data: &str| {
        producers(&sandbox, &[data]) + &format!("task=1000\nexec=shell\ncommand={script}\n")
    };
    let ran = sandbox.run(&file("41"), &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stderr.contains("warning: `n` can hold a result"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("@N_number@"), "{ran:?}");
    assert!(ran.stdout.contains("42"), "{ran:?}");
    for (data, what) in [
        ("a[$(touch X)]", "`$` at byte 2"),
        ("ab`touch X`", "``` at byte 2"),
        ("\\044", "`\\` at byte 0"),
    ] {
        let ran = sandbox.run(&file(data), &[]);
        assert_eq!(ran.code, 126, "{data}: {ran:?}");
        let told = ran.stderr.contains("`@100_stdout@` holds") && ran.stderr.contains(what);
        assert!(told, "{data}: {ran:?}");
    }
    // The name of an environment variable that holds code.
    sandbox.file("tasks.txt", file("x SPITE"));
    let mut command = sandbox.tasker(&["-r", "tasks.txt"]);
    let ran = Ran::from(
        command
            .env("SPITE", "a[$(touch X)]")
            .output()
            .expect("tasker"),
    );
    assert_eq!(ran.code, 126, "{ran:?}");
    assert!(
        ran.stderr.contains("`SPITE`") && ran.stderr.contains("at byte 2"),
        "{ran:?}"
    );
    assert!(!sandbox.exists("X"));
}

/// The run of a script in which a result is evaluated.
fn evaluated(data: &str, script: &str, environment: &[(&str, &str)]) -> (Ran, bool) {
    let sandbox = Sandbox::new();
    let file = producers(&sandbox, &[data]) + &format!("task=1000\nexec=shell\n{script}\n");
    sandbox.file("tasks.txt", file);
    let mut command = sandbox.tasker(&["-r", "tasks.txt"]);
    let ran = command.envs(environment.iter().copied()).output();
    (Ran::from(ran.expect("tasker")), sandbox.exists("X"))
}

#[test]
fn a_result_assigns_nothing_and_names_no_code() {
    let chain = [("A", "B"), ("B", "a[$(touch X)]")];
    for (data, script, environment, what) in [
        (
            "PATH=7",
            "n=@100_stdout@; ((n > 5))",
            &[][..],
            "(`=`) at byte 4",
        ),
        (
            "i=-1,9",
            "n=@100_stdout@; ((n > 5))",
            &[],
            "(`=`) at byte 1",
        ),
        (
            "dir++",
            "n=@100_stdout@; ((n > 5))",
            &[],
            "`++` or `--` at byte 3",
        ),
        (
            "x <<= 2",
            "n=@100_stdout@; ((n > 5))",
            &[],
            "(`=`) at byte 4",
        ),
        (
            "_",
            "echo x@100_stdout@; n=@100_stdout@; ((n))",
            &[],
            "last word",
        ),
        ("A", "n=@100_stdout@; ((n > 5))", &chain, "`A`, the name of"),
        (
            "xB",
            "n=@100_stdout@; n=${n#x}; ((n))",
            &chain,
            "`B`, the name of",
        ),
        ("%n", "f=@100_stdout@; ((f)); echo $((1))", &[], ""),
    ] {
        let (ran, executed) = evaluated(data, &format!("command={script}"), environment);
        assert!(!executed, "{data}: {ran:?}");
        if !what.is_empty() {
            assert_eq!(ran.code, 126, "{data}: {ran:?}");
            assert!(ran.stderr.contains(what), "{data}: {ran:?}");
        }
    }
    for data in ["5", "-5", "5 == 5", "2 <= 3", "2 - 1"] {
        let script = "command=n=@100_stdout@; echo $((n))";
        let (ran, _) = evaluated(data, script, &chain);
        assert_eq!(ran.code, 0, "{data}: {ran:?}");
    }
}

#[test]
fn of_a_secret_that_is_evaluated_nothing_is_said() {
    let script = "env.DB_PASSWORD=@100_stdout@\ncommand=echo $((DB_PASSWORD))";
    let (ran, executed) = evaluated("pa$(touch X)", script, &[]);
    assert_eq!((ran.code, executed), (126, false), "{ran:?}");
    assert!(ran.stderr.contains("it is a secret"), "{ran:?}");
    let told = ran.stderr.contains("at byte") || ran.stderr.contains("`$` at");
    assert!(!told, "{ran:?}");
}

#[test]
fn a_negative_number_is_subtracted() {
    let script = "command=x=1; echo \"is $((x-@100_number@))\" $((-@100_number@))";
    for (data, shown) in [("-5", "is 6 5"), ("+5", "is -4 -5")] {
        let (ran, _) = evaluated(data, script, &[]);
        assert!(ran.stdout.contains(shown), "{data}: {ran:?}");
    }
}

#[test]
fn deeply_nested_scripts_are_checked() {
    let nested = |before: &str, after: &str, depth: usize| {
        format!("{}echo 1{}", before.repeat(depth), after.repeat(depth))
    };
    let mut scripts = Vec::new();
    for (before, after) in [
        ("echo $((", ") )"),
        ("echo $(( $(", " | cat) + 1 ))"),
        ("[[ $(", ") -gt 1 ]]"),
        ("let \"x=$(", ")\""),
        ("a[$(", ")]"),
        ("a[$(", ")]=1"),
        ("eval \"$(", ")\""),
        ("echo ${x:-$(", ")}"),
        ("declare -i x=$(", ")"),
        ("cat <(", ")"),
        ("{ ", " | cat; }"),
    ] {
        for depth in [10, 30, 200] {
            scripts.push(format!(
                "{}; echo @100_stdout@",
                nested(before, after, depth)
            ));
        }
    }
    let chain = |first: &str, next: &dyn Fn(usize) -> String, last: &str| {
        let middle: Vec<String> = (0..12).map(next).collect();
        format!("n=@100_stdout@; {first}; {}; {last}", middle.join("; "))
    };
    let names = |n: usize| format!("x{n}='{}'", vec![format!("x{}", n + 1); 8].join(" + "));
    scripts.push(chain(":", &names, "((x0))"));
    for first in ["a0=x", "a0="] {
        let join = |n: usize| format!("a{}=\"{}\"", n + 1, format!("$a{n}").repeat(11));
        scripts.push(chain(first, &join, "eval \"$a7\""));
    }
    let again = |n: usize| format!("v='eval \"$v\" {n}'");
    scripts.push(chain(":", &again, "eval \"$v\""));
    let sandbox = Sandbox::new();
    let before = producers(&sandbox, &["42"]);
    // That it ends at all is what counts.
    let texts: Vec<&String> = scripts.iter().collect();
    let (file, _) = task_file("exec=shell", &before, &texts);
    let ran = sandbox.run(&file, &["--validate-only"]);
    assert!(matches!(ran.code, 0 | 20), "{ran:?}");
}

#[test]
fn scripts_that_people_write_are_accepted() {
    let sandbox = Sandbox::new();
    assert!(HARMLESS.len() >= 120, "{}", HARMLESS.len());
    let before = producers(&sandbox, &["42", "web01"]);
    let mut accepted = 0;
    let mut out = Vec::new();
    for (number, scripts) in HARMLESS.chunks(20).enumerate() {
        let scripts: Vec<String> = scripts.iter().map(|t| with_values(t, 0, 1)).collect();
        let kept = here(&sandbox, |place| place.run_accepted(&before, &scripts));
        accepted += kept.len();
        // Nor is one refused when it is to start.
        let texts: Vec<&String> = kept.iter().map(|n| &scripts[*n]).collect();
        let ran = sandbox.run(&task_file("exec=shell", &before, &texts).0, &["-k"]);
        assert!(!ran.stdout.contains("was not started"), "{}", ran.stdout);
        out.extend(
            (0..scripts.len())
                .filter(|n| !kept.contains(n))
                .map(|n| HARMLESS[number * 20 + n]),
        );
    }
    assert!(
        accepted * 100 >= HARMLESS.len() * 95,
        "{accepted} of {}: {out:#?}",
        HARMLESS.len()
    );
}

/// The templates that are accepted; none is run.
fn accepted(templates: &[&'static str]) -> Vec<&'static str> {
    let sandbox = Sandbox::new();
    let before = producers(&sandbox, &["42", "web01"]);
    let mut kept = Vec::new();
    // Only so many errors are shown.
    for templates in templates.chunks(15) {
        let scripts: Vec<String> = templates.iter().map(|t| with_values(t, 0, 1)).collect();
        let texts: Vec<&String> = scripts.iter().collect();
        let (file, lines) = task_file("exec=shell", &before, &texts);
        let ran = sandbox.run(&file, &["--validate-only"]);
        let out = named(&ran.stderr, ": error: ", &lines);
        assert!(ran.code == 0 || !out.is_empty(), "{ran:?}");
        let is_kept = |n: &usize| !out.contains(n);
        kept.extend((0..templates.len()).filter(is_kept).map(|n| templates[n]));
    }
    kept
}

#[test]
fn what_hides_its_commands_is_refused() {
    let kept = accepted(REFUSED);
    assert!(kept.is_empty(), "{kept:#?}");
}

#[test]
fn commands_that_people_write_are_accepted() {
    let kept = accepted(ACCEPTED);
    let out = ACCEPTED.iter().filter(|t| !kept.contains(t));
    let out: Vec<&&str> = out.collect();
    assert!(out.is_empty(), "{out:#?}");
}

#[test]
fn a_result_as_the_command_of_a_program_is_warned_of() {
    let sandbox = Sandbox::new();
    for script in [
        "sudo \"$x\"",
        "timeout 5 \"$x\"",
        "xargs \"$x\"",
        "env A=1 \"$x\" y",
    ] {
        let script = format!("x=@100_stdout@; {script}");
        let before = producers(&sandbox, &["ls"]);
        let ran = sandbox.run(
            &task_file("exec=shell", &before, &[&script]).0,
            &["--validate-only"],
        );
        let told = ran
            .stderr
            .contains("warning: a result is the name of the command");
        assert!(ran.code == 0 && told, "{ran:?}");
    }
}

#[test]
fn a_command_of_many_forms_is_refused_soon() {
    let sandbox = Sandbox::new();
    let choices = "s=sudo; s=env; s=nice; s=nohup; s=setsid; s=doas; ";
    let arguments = "f(){ \"$@\"; shift; }; f ";
    let scripts = [
        format!("{choices}{} ls @100_stdout@", "$s ".repeat(12)),
        format!("{arguments}{} @100_stdout@", "f sudo env ".repeat(30)),
        format!(
            "{arguments}{} @100_stdout@",
            "bash -c 'f bash -c ls' ".repeat(15)
        ),
        format!(
            "find . {} {{}} \\; @100_stdout@",
            "-exec find . ".repeat(40)
        ),
    ];
    let before = producers(&sandbox, &["ls"]);
    let texts: Vec<&String> = scripts.iter().collect();
    let file = task_file("exec=shell", &before, &texts).0;
    // That it ends at all is what counts.
    let ran = sandbox.run(&file, &["--validate-only"]);
    assert!(ran.stderr.contains("has too many forms"), "{ran:?}");
}

#[test]
fn no_random_script_runs_data() {
    let (count, seed) = (scripts::count(600), scripts::seed());
    assert!(FOUND.len() + TEMPLATES.len() >= 150);
    let threads = 2;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let sandbox = Sandbox::new();
                let run = here(&sandbox, |place| {
                    place.run_random(seed + thread as u64, count / threads, 25)
                });
                println!(
                    "{} scripts, {run} of them run, no execution",
                    count / threads
                );
                assert!(run * 20 * threads > count, "{run} of {count} were run");
            });
        }
    });
}
