//! Missing results (SPEC §2.1): no command runs with nothing where a result should
//! be, wherever it is used and why ever it is missing, unless a default says so.

#[path = "support/chance.rs"]
mod chance;
mod support;

use chance::Chance;
use std::process::Command;
use support::{Ran, Sandbox};

/// Writes what it ran with: its arguments, input, directory and variable.
const MARK: &str = "#!/bin/bash\n{ printf '<%s>' \"$@\"; printf 'in:%s dir:%s env:%s' \"$(cat)\" \"${PWD##*/}\" \"$VALUE\"; } >> \"$HOME/ran\"\n";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.program("mark", MARK);
    sandbox.program("silent", "#!/bin/sh\n");
    sandbox.file("sub/file", "");
    sandbox
}

fn run(sandbox: &Sandbox, tasks: &str, options: &[&str]) -> Ran {
    let _ = std::fs::remove_file(sandbox.path.join("ran"));
    let mut all = vec!["--skip-host-validation"];
    all.extend(options);
    sandbox.run(tasks, &all)
}

/// How the result of task 12 comes to be missing: tasks, options, and the reason.
const WAYS: [(&str, &str, &[&str], &str); 7] = [
    (
        "jumped over",
        "task=1\nexec=local\ncommand=true\ngoto=20\ntask=12\nexec=local\ncommand=echo x\n",
        &[],
        "task 12 has not run",
    ),
    (
        "left out by --start-from",
        "task=12\nexec=local\ncommand=echo x\n",
        &["--start-from=20", "--skip-task-validation"],
        "task 12 has not run",
    ),
    (
        "skipped",
        "task=12\nexec=local\ncommand=echo x\ncondition=false\n",
        &[],
        "task 12 was skipped",
    ),
    (
        "not started",
        "task=10\ntype=parallel\ntasks=11,12\nmax_parallel=1\nfail_fast=true\nnext=always\n\
         task=11\nexec=local\ncommand=false\ntask=12\nexec=local\ncommand=echo x\n",
        &[],
        "task 12 was not started",
    ),
    (
        "its program is missing",
        "task=12\nexec=local\ncommand=./absent\nnext=always\n",
        &[],
        "task 12 could not be started",
    ),
    (
        "its directory is missing",
        "task=12\nexec=local\ncommand=echo x\nworkdir=absent\nnext=always\n",
        &[],
        "task 12 could not be started",
    ),
    (
        "the result that it needs is missing",
        "task=1\nexec=local\ncommand=true\ngoto=12\ntask=2\nexec=local\ncommand=true\n\
         task=12\nexec=local\ncommand=echo @2_stdout@\nnext=always\n",
        &[],
        "task 12 could not be started",
    ),
];

/// Where a result is used (`{}`), a default, and what then runs.
const PLACES: [(&str, &str, &str, &str); 15] = [
    (
        "a word",
        "exec=local\ncommand=./mark {}",
        "a b",
        "<a b>in: dir:HOME env:",
    ),
    (
        "part of a word",
        "exec=local\ncommand=./mark x{}y",
        "'",
        "<x'y>in: dir:HOME env:",
    ),
    (
        "a quoted word",
        "exec=local\ncommand=./mark \"1 {} 2\"",
        "\"",
        "<1 \" 2>in: dir:HOME env:",
    ),
    (
        "nothing",
        "exec=local\ncommand=./mark x{} {}",
        "",
        "<x><>in: dir:HOME env:",
    ),
    (
        "a path",
        "exec=local\ncommand=./mark -rf /srv/{}",
        "@@",
        "<-rf></srv/@>in: dir:HOME env:",
    ),
    (
        "arguments",
        "exec=local\ncommand=./mark\narguments=1 {}",
        "$HOME `id`",
        "<1><$HOME `id`>in: dir:HOME env:",
    ),
    (
        "a script",
        "exec=shell\ncommand=./mark {}",
        "$(id); id",
        "<$(id); id>in: dir:HOME env:",
    ),
    (
        "a script's quotes",
        "exec=shell\ncommand=./mark \"1 {}\" '2 {}'",
        "a  \"'b",
        "<1 a  \"'b><2 a  \"'b>in: dir:HOME env:",
    ),
    (
        "a script's path",
        "exec=shell\ncommand=./mark -rf \"/srv/{}\"/*",
        "x y",
        "<-rf></srv/x y/*>in: dir:HOME env:",
    ),
    (
        "stdin",
        "exec=local\ncommand=./mark\nstdin={}",
        "none",
        "<>in:none dir:HOME env:",
    ),
    (
        "part of stdin",
        "exec=local\ncommand=./mark\nstdin=got {}",
        "a | b",
        "<>in:got a | b dir:HOME env:",
    ),
    (
        "workdir",
        "exec=local\ncommand=../mark\nworkdir={}",
        "sub",
        "<>in: dir:sub env:",
    ),
    (
        "env",
        "exec=local\ncommand=./mark\nenv.VALUE={}",
        "a=b",
        "<>in: dir:HOME env:a=b",
    ),
    (
        "hostname",
        "exec=local\ncommand=./mark @hostname@\nhostname={}",
        "web1",
        "<web1>in: dir:HOME env:",
    ),
    (
        "hostnames",
        "type=parallel\nexec=local\ncommand=./mark @hostname@\nmax_parallel=1\nhostnames={}",
        "web[1-2]",
        "<web1>in: dir:HOME env:<web2>in: dir:HOME env:",
    ),
];

#[test]
fn nothing_runs_without_a_result_wherever_it_is_used() {
    let sandbox = sandbox();
    for (way, before, options, reason) in WAYS {
        for (place, task, default, expected) in PLACES {
            let name = sandbox.path.file_name().expect("a name").to_string_lossy();
            let expected = expected.replace("dir:HOME", &format!("dir:{name}"));
            let used = |reference: &str| {
                let task = task.replace("{}", reference);
                format!("{before}task=20\n{task}\n")
            };
            let what = format!("{place}, {way}");
            let ran = run(&sandbox, &used("@12_stdout@"), options);
            // A run that stops at a block ends with 10 (SPEC §3.8).
            let code = if place == "hostnames" { 10 } else { 126 };
            assert_eq!(ran.code, code, "{what}: {}{}", ran.stdout, ran.stderr);
            assert!(!sandbox.exists("ran"), "{what}");
            let told = format!(
                "`@12_stdout@` is missing: {reason}; give it a default, `@12_stdout:-TEXT@`, or the task a `condition=`"
            );
            assert!(ran.stderr.contains(&told), "{what}: {}", ran.stderr);

            let ran = run(&sandbox, &used(&format!("@12_stdout:-{default}@")), options);
            assert_eq!(ran.code, 0, "{what}: {}", ran.stderr);
            assert_eq!(sandbox.read("ran"), expected, "{what}");

            // With a condition the task is skipped.
            let guarded = used("@12_stdout@") + "condition=@12_outcome@ = ok\n";
            let ran = run(&sandbox, &guarded, options);
            assert_eq!(ran.code, 0, "{what}: {}", ran.stderr);
            assert!(!sandbox.exists("ran"), "{what}");
        }
    }
}

#[test]
fn an_empty_result_never_leaves_a_path_without_its_last_part() {
    let sandbox = sandbox();
    let before = "task=0\nexec=local\ncommand=./silent\n";
    let refused = [
        "exec=local\ncommand=./mark -rf /srv/@0_stdout@",
        "exec=local\ncommand=./mark -rf '/srv/@0_stdout@'",
        "exec=local\ncommand=./mark -rf @0_stdout@/",
        "exec=local\ncommand=./mark --dir=/srv/@0_stderr@",
        "exec=local\ncommand=./mark /srv/@0_stdout@@0_stdout_file@",
        "exec=local\ncommand=./mark\narguments=host:/srv/@0_stdout@/",
        "exec=local\ncommand=../mark\nworkdir=sub/@0_stdout@",
        "exec=local\ncommand=./mark\nenv.VALUE=/srv/@0_stdout@",
        "exec=local\ncommand=sh -c './mark /srv/@0_stdout@'",
        "exec=shell\ncommand=./mark -rf /srv/@0_stdout@",
        "exec=shell\ncommand=./mark \"/srv/@0_stdout@\" x",
        "exec=shell\ncommand=./mark \"/srv/\"'@0_stdout@'",
        "exec=shell\ncommand=./mark '/srv/'@0_stdout@; true",
        "exec=shell\ncommand=./mark /srv\\/@0_stdout@",
        "exec=shell\ncommand=./mark /srv/@0_stdout@/*",
        "exec=shell\ncommand=./mark \"/srv/@0_stdout@\"*",
        "exec=shell\ncommand=./mark /srv/{@0_stdout@,x}",
        "exec=shell\ncommand=true && (./mark /srv/@0_stdout@)",
        "exec=shell\ncommand=x=$(./mark /srv/@0_stdout@); true",
        "exec=shell\ncommand=x=\"$(./mark \"/srv/@0_stdout@\")\"; true",
        "exec=shell\ncommand=./mark /srv/@0_stdout@>/dev/null",
        "exec=shell\ncommand=./mark /srv/@0_stdout@|cat",
        "exec=shell\ncommand=dir=/srv/@0_stdout@; ./mark $dir",
        "exec=shell\ncommand=for f in /srv/@0_stdout@; do ./mark $f; done",
        "exec=shell\ncommand=case x in x) ./mark /srv/@0_stdout@;; esac",
        "exec=shell\ncommand=cd /srv/@0_stdout@ && ./mark -rf *",
        "exec=shell\ncommand=./mark /srv/@0_stdout@$N",
        "exec=shell\ncommand=./mark /srv/@0_stdout@${N}/*",
        "exec=shell\ncommand=./mark /srv/$N@0_stdout@",
        "exec=shell\ncommand=./mark \"/srv/@0_stdout@$(true)\"",
        "exec=shell\ncommand=./mark /srv/`true`@0_stdout@${N:-\"$N\"}",
        "exec=shell\ncommand=./mark /srv/@0_stdout@$1$@$''",
        "exec=shell\ncommand=./mark /srv/@0_stdout@/.",
        "exec=local\ncommand=./mark /srv/@0_stdout@/./",
        "exec=local\ncommand=./mark /srv/@0_stdout@/.",
    ];
    for task in refused {
        let ran = run(&sandbox, &format!("{before}task=1\n{task}\n"), &[]);
        assert_eq!(ran.code, 126, "{task}: {}{}", ran.stdout, ran.stderr);
        assert!(!sandbox.exists("ran"), "{task}");
        let told =
            ran.stderr.contains("` is empty and leaves `") && ran.stderr.contains(":-TEXT@`");
        assert!(told, "{task}: {}", ran.stderr);

        // An empty default says that this is meant.
        let meant = task.replace("_stdout@", "_stdout:-@");
        let meant = meant.replace("_stdout_file@", "_stdout_file:-@");
        let meant = meant
            .replace("_stderr@", "_stderr:-@")
            .replace("cd /srv/", "cd ./");
        let ran = run(&sandbox, &format!("{before}task=1\n{meant}\n"), &[]);
        assert_eq!(ran.code, 0, "{meant}: {}", ran.stderr);
        assert!(sandbox.exists("ran"), "{meant}");
    }
    // What only the shell knows is shown as it is written.
    let script = "exec=shell\ncommand=./mark ${UNSET}$N/\"$(true)\"@0_stdout@";
    let ran = run(&sandbox, &format!("{before}task=1\n{script}\n"), &[]);
    let left = "`@0_stdout@` is empty and leaves `${UNSET}$N/$(...)`";
    assert!(ran.stderr.contains(left), "{}", ran.stderr);
    // Elsewhere an empty output is an output.
    let free = [
        "exec=local\ncommand=./mark @0_stdout@ /srv/",
        "exec=local\ncommand=./mark /srv/@0_stdout@x",
        "exec=local\ncommand=./mark /srv/@0_exit@",
        "exec=local\ncommand=./mark\nstdin=/srv/@0_stdout@",
        "exec=shell\ncommand=./mark \"@0_stdout@\" /srv/",
        "exec=shell\ncommand=[ -n \"@0_stdout@\" ] || ./mark /srv/*",
        "exec=shell\ncommand=./mark \"empty: @0_stdout@ in /srv/$N\"",
        "exec=shell\ncommand=./mark /srv/@0_stdout@$#",
        "exec=shell\ncommand=./mark /srv/@0_stdout@$((1))",
        "exec=shell\ncommand=./mark /srv/@0_stdout@'$N'",
        "exec=shell\ncommand=./mark x@0_stdout@$N",
        "exec=local\ncommand=./mark /srv/@0_stdout@..",
        "exec=shell\ncommand=./mark '{\"a\":1,\"b\":\"@0_stdout@\"}'",
    ];
    for task in free {
        let ran = run(&sandbox, &format!("{before}task=1\n{task}\n"), &[]);
        assert_eq!(ran.code, 0, "{task}: {}", ran.stderr);
        assert!(sandbox.exists("ran"), "{task}");
    }
}

#[test]
fn the_fields_of_a_task_that_did_not_run() {
    let sandbox = sandbox();
    let fields = "<@12_exit@|@12_success@|@12_outcome@|@12_duration@|@12_attempts@|@12_hostname@|@12_command@|@12_stderr@|@12_stderr_file@>";
    for (way, before, options, _) in WAYS {
        let task = format!("task=20\nexec=local\ncommand=./mark '{fields}'\n");
        let ran = run(&sandbox, &format!("{before}{task}"), options);
        assert_eq!(ran.code, 0, "{way}: {}", ran.stderr);
        let ran = sandbox.read("ran");
        let expected = match way {
            "skipped" => "<<-1|false|skipped||||||>>",
            "not started" => "<<-1|false|not_started||||||>>",
            "jumped over" | "left out by --start-from" => "<<||||||||>>",
            "its program is missing" => "<<127|false|failed|",
            _ => "<<126|false|failed|",
        };
        assert!(ran.starts_with(expected), "{way}: {ran}");
        if expected.ends_with("||>>") {
            // One line, however many fields are used.
            let log = sandbox.log();
            assert_eq!(
                log.matches("a reference to its result is empty").count(),
                1,
                "{log}"
            );
        }
    }
}

#[test]
fn an_unreachable_host_leaves_no_output() {
    let sandbox = sandbox();
    // An ssh that reaches no host.
    sandbox.program("bin/ssh", "#!/bin/sh\nexit 255\n");
    let path = format!("{}/bin:/usr/bin:/bin", sandbox.path.display());
    let run = |sandbox: &Sandbox, tasks: &str, options: &[&str]| {
        sandbox.file("tasks.txt", tasks);
        let mut command = sandbox.tasker(&["-r", "--skip-host-validation", "tasks.txt"]);
        Ran::from(
            command
                .args(options)
                .env("PATH", &path)
                .output()
                .expect("a run"),
        )
    };
    let before = "task=12\nexec=ssh\nhostname=web1\ncommand=echo x\nnext=always\n";
    let tasks =
        format!("HOST=nowhere.invalid\n{before}task=20\nexec=local\ncommand=./mark @12_stdout@\n");
    let ran = run(&sandbox, &tasks, &[]);
    assert_eq!(ran.code, 126, "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("is missing: task 12 did not reach its host"),
        "{}",
        ran.stderr
    );
    assert!(!sandbox.exists("ran"));
    let ran = run(&sandbox, &tasks.replace("_stdout@", "_stdout:-x@"), &[]);
    assert_eq!((ran.code, &sandbox.read("ran")[..3]), (0, "<x>"));
}

#[test]
fn only_outputs_and_host_sets_are_needed() {
    let sandbox = sandbox();
    for (way, before, options, reason) in WAYS {
        let task =
            |field: &str| format!("{before}task=20\nexec=local\ncommand=./mark x@12_{field}@\n");
        let ran = run(&sandbox, &task("stdout_file"), options);
        assert_eq!((ran.code, sandbox.exists("ran")), (126, false), "{way}");
        let told = format!("`@12_stdout_file@` is missing: {reason};");
        assert!(ran.stderr.contains(&told), "{way}: {}", ran.stderr);
        for field in ["stderr", "exit", "outcome", "duration"] {
            let ran = run(&sandbox, &task(field), options);
            assert_eq!(
                (ran.code, sandbox.exists("ran")),
                (0, true),
                "{field}, {way}"
            );
        }
    }
}

#[test]
fn a_missing_host_set_is_not_an_empty_one() {
    let sandbox = sandbox();
    let block = "task=10\ntype=parallel\nexec=local\nhostnames=a,b\ncommand=true\n";
    let again = "task=20\ntype=parallel\nexec=local\nhostnames=@10_failed_hosts@\ncommand=./mark @hostname@\n";
    // It has run: no host failed, and nothing is to be done.
    let ran = run(&sandbox, &format!("{block}{again}"), &[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout
            .contains("the set of hosts is empty; nothing is run"),
        "{}",
        ran.stdout
    );
    let ran = run(&sandbox, &format!("{block}condition=false\n{again}"), &[]);
    assert_eq!(ran.code, 10, "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("`@10_failed_hosts@` is missing: task 10 was skipped"),
        "{}",
        ran.stderr
    );
    let all = again.replace("_hosts@", "_hosts:-c[1-2]@");
    let ran = run(&sandbox, &format!("{block}condition=false\n{all}"), &[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(sandbox.read("ran").contains("<c2>"));
}

#[test]
fn no_criterion_makes_a_block_a_success_whose_command_misses_a_result() {
    let sandbox = sandbox();
    let before = "task=0\nexec=local\ncommand=echo x\ncondition=false\n";
    for (exec, key) in [
        ("local", "command=./mark @0_stdout@"),
        ("shell", "command=./mark \"@0_stdout@\""),
        ("local", "command=./mark\narguments=@0_stdout@"),
        ("local", "command=./mark\nstdin=@0_stdout@"),
        ("local", "command=./mark\nworkdir=@0_stdout@"),
        ("local", "command=./mark\nenv.VALUE=@0_stdout@"),
        ("@1_stdout@", "command=./mark\narguments=@0_stdout@"),
    ] {
        let tasks = format!(
            "{before}task=1\nexec=local\ncommand=echo local\ntask=2\ntype=parallel\nhostnames=a,b\nexec={exec}\n{key}\n\
             success=max_failed=100%\nretry_count=1\n"
        );
        let ran = run(&sandbox, &tasks, &[]);
        assert_eq!(ran.code, 10, "{key}: {}{}", ran.stdout, ran.stderr);
        assert!(
            ran.stdout.contains("task 2: failed (nothing ran)"),
            "{key}: {}",
            ran.stdout
        );
        assert!(!sandbox.exists("ran"), "{key}");
    }
}

#[test]
fn conditions_compare_with_the_default() {
    let sandbox = sandbox();
    for (way, before, options, _) in WAYS {
        for (condition, holds) in [
            ("@12_stdout:-a & b@ = \"a & b\"", true),
            ("@12_stdout:-none@ = none", true),
            ("@12_stdout:-none@ = x", false),
            ("@12_stdout:-a@ = b | @12_stdout:-c d@ = c d", true),
            ("@12_stdout:-5@ > 4", true),
            ("@12_stdout:-it's @@home@ ~ @@h", true),
            ("@12_stdout:-true@", true),
            ("@12_stdout:-@ =", true),
            ("\"x\" = @12_stdout:-x@", true),
            ("\"a | b\" = @12_stdout:-a | b@", true),
        ] {
            let task = format!("task=20\nexec=local\ncommand=./mark\ncondition={condition}\n");
            let ran = run(&sandbox, &format!("{before}{task}"), options);
            assert_eq!(ran.code, 0, "{way}: {}", ran.stderr);
            assert_eq!(sandbox.exists("ran"), holds, "{condition}, {way}");
            let log = sandbox.log();
            assert!(!log.contains("a reference to its result is empty"), "{log}");
        }
    }
}

#[test]
fn a_loop_begins_without_an_iteration_before() {
    let sandbox = sandbox();
    let tasks = "task=0\nexec=shell\ncommand=echo [@0_stdout@] | tee -a out\nnext=loop\nloop=2\n";
    let ran = run(&sandbox, tasks, &[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(sandbox.read("out"), "[]\n[[]]\n");
}

#[test]
fn a_rehearsal_does_not_take_an_output_for_empty() {
    let sandbox = sandbox();
    let tasks =
        "task=0\nexec=local\ncommand=echo x\ntask=1\nexec=local\ncommand=echo /srv/@0_stdout@\n";
    sandbox.file("tasks.txt", tasks);
    let ran = sandbox.output(&["--assume=1=exit 0", "tasks.txt"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let jumped = "task=0\ntype=decision\nsuccess=true\non_success=2\ntask=1\nexec=local\ncommand=true\n\
                  task=2\nexec=local\ncommand=echo @1_stdout@\n";
    sandbox.file("tasks.txt", jumped);
    let ran = sandbox.output(&["--assume=1=exit 0", "tasks.txt"]);
    assert!(
        ran.stdout.contains("task 1 has not run"),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
}

/// Random words of a script are refused if and only if bash, with nothing in place of
/// the result, gets a word that ends in `/`, or could if its expansions are empty.
#[test]
fn a_script_is_refused_where_bash_would_see_a_path_without_its_end() {
    let pieces = [
        "/srv/",
        "/",
        "x",
        "%",
        "%",
        "%",
        "$N",
        "${N}",
        "$(printf E)",
        "`printf E`",
        "/.",
        "\"",
        "'",
        "\\/",
        " ",
        "\"/srv/%\"",
        "'%'",
        "\"%\"",
        "; words ",
        " && words ",
        "=",
        "-",
        "\\\"",
        "\\'",
        "\\\\",
    ];
    let mut chance = Chance::new(16);
    let mut tasks = String::from("task=0\nexec=local\ncommand=./silent\n");
    let mut expected = Vec::new();
    while expected.len() < 300 {
        let line: String = (0..2 + chance.below(7))
            .map(|_| chance.one_of(&pieces))
            .collect();
        let Some(words) = words_with_result(&line) else {
            continue;
        };
        let id = expected.len() + 1;
        let script = line.replace('%', "@0_stdout@");
        tasks += &format!(
            "task={id}\nexec=shell\ncommand=words() {{ :; }}; echo > ran-{id}; words {script}\nnext=always\n"
        );
        let refused = words.iter().any(|w| can_lose_its_end(w));
        expected.push((id, script, refused));
    }
    let sandbox = sandbox();
    let ran = run(&sandbox, &tasks, &["-q"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let wrong: Vec<_> = expected
        .iter()
        .filter(|(id, _, refused)| sandbox.exists(&format!("ran-{id}")) == *refused)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let refused = expected.iter().filter(|(_, _, refused)| *refused).count();
    assert!((50..250).contains(&refused), "{refused}");
}

/// Whether the word, without the result `%`, ends in `/`; or whether all that can be
/// empty at its end, the result and expansions (`E`), leaves a `/` or `/.`.
fn can_lose_its_end(word: &str) -> bool {
    let bare = word.replace(['%', 'E'], "");
    let mut end = bare.as_str();
    while let Some(shorter) = end.strip_suffix('/').or(end.strip_suffix("/.")) {
        end = shorter;
    }
    let before_result = word[..word.rfind('%').unwrap_or(0)].replace(['%', 'E'], "");
    word.replace('%', "").ends_with('/') || (end != bare && before_result.len() >= end.len())
}

/// The words of the line that contain the result, `%`; `None` if there is none, or
/// for bash it is not a valid line.
fn words_with_result(line: &str) -> Option<Vec<String>> {
    // In tasker `\\` before a result is itself; in bash it would quote the `%`. A name
    // in it would be another variable.
    if !line.contains('%') || line.contains("\\%") || line.contains("$Nx") {
        return None;
    }
    let script = format!("N=E; words() {{ printf '%s\\0' \"$@\"; }}; words {line}");
    let output = Command::new("bash")
        .args(["-c", &script])
        .output()
        .expect("bash");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words: Vec<String> = text
        .split('\0')
        .filter(|w| w.contains('%'))
        .map(String::from)
        .collect();
    (output.status.success() && !words.is_empty()).then_some(words)
}

/// A parallel block 10 with lines that use its result, in a task of this kind.
fn inside(shape: &str, line: &str) -> String {
    let (member, check) = match shape {
        "check" => ("command=true\n".into(), format!("{line}\n")),
        "decision check" => ("command=true\n".into(), format!("type=decision\n{line}\n")),
        _ => (format!("{line}\n"), "exec=local\ncommand=true\n".into()),
    };
    let member = format!("task=11\nexec=local\n{member}");
    format!(
        "task=10\ntype=parallel\ntasks=11,20\nwaves=1,rest\nwave_check=15\n{member}\
         task=15\n{check}task=20\nexec=local\ncommand=touch ran\n\
         task=30\nexec=local\ncommand=echo @10_failed_count@\n"
    )
}

#[test]
fn a_parallel_block_has_no_result_before_it_ended() {
    let command = "exec=local\ncommand=touch ran @10_failed_count@";
    for (shape, by, line) in [
        ("check", 15, command),
        (
            "check",
            15,
            "exec=shell\ncommand=touch ran; [ -n \"@10_ok_hosts@\" ]",
        ),
        ("check", 15, "exec=local\ncommand=true\nstdin=@10_stdout@"),
        (
            "check",
            15,
            "exec=local\ncommand=true\ncondition=@10_success@",
        ),
        (
            "check",
            15,
            "exec=local\ncommand=true\nsuccess=@10_failed_count@ != 1",
        ),
        ("decision check", 15, "success=@10_failed_count@ != 1"),
        ("decision check", 15, "success=@10_failed_count:-0@ < 2"),
        ("member", 11, "command=touch ran @10_failed_count@"),
        ("member", 11, "command=true\nsuccess=@10_stdout@ = x"),
    ] {
        let sandbox = Sandbox::new();
        let ran = run(&sandbox, &inside(shape, line), &[]);
        assert_eq!(ran.code, 20, "{shape}: {line}: {}", ran.stderr);
        let message = format!(
            "error: task {by} belongs to block 10: the result of block 10 does not exist before the block has ended"
        );
        assert!(ran.stderr.contains(&message), "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains("tasks.txt:1:6: note: the block"));
        let of_check = ran
            .stderr
            .contains("a wave check sees what its own command");
        assert_eq!(of_check, shape.ends_with("check"), "{}", ran.stderr);
        assert!(!sandbox.exists("ran"), "{line}");
    }
    // What the block does not own has its result.
    let ran = run(&Sandbox::new(), &inside("member", "command=true"), &[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[test]
fn a_branch_task_has_only_an_earlier_result_of_its_conditional() {
    let start = "task=0\nexec=local\ncommand=echo x\n";
    let back = "task=3\nexec=local\ncommand=test -e done\non_failure=1\n";
    let direct = "task=2\nexec=local\ncommand=echo USE\n";
    let nested = "task=2\ntype=parallel\ntasks=4\ntask=4\nexec=local\ncommand=echo USE\n";
    let message =
        " belongs to block 1: the result of block 1 does not exist before the block has ended";
    // The use, what follows, what is reported and the exit code of the check.
    for (used, after, level, code) in [
        ("@1_outcome@", "", "error", 20),
        ("@1_outcome:-none@", "", "error", 20),
        ("@1_outcome@", back, "warning", 0),
        ("@1_outcome:-none@", back, "", 0),
    ] {
        for (id, branch) in [(2, direct), (4, nested)] {
            let sandbox = Sandbox::new();
            let branch = branch.replace("USE", used);
            let block = "task=1\ntype=conditional\ncondition=@0_stdout@=x\nif_true_tasks=2\n";
            sandbox.file("tasks.txt", format!("{start}{block}{branch}{after}"));
            let ran = sandbox.output(&["--validate-only", "tasks.txt"]);
            assert_eq!(ran.code, code, "{used}: {}", ran.stderr);
            let expected = match level {
                "" => message.to_string(),
                level => format!("{level}: task {id}{message}"),
            };
            let reported = ran.stderr.contains(&expected);
            assert_eq!(reported, !level.is_empty(), "{}", ran.stderr);
        }
    }
}

#[test]
fn a_handler_is_warned_of_subtasks_that_may_not_start() {
    let sandbox = sandbox();
    let warnings = |keys: &str, handler: &str| {
        let tasks = format!(
            "task=0\ntype=parallel\ntasks=1,2,3\non_failure=90\n{keys}\ntask=1\nexec=local\ncommand=false\n\
             task=2\nexec=local\ncommand=true\ntask=3\nexec=local\ncommand=true\ntask=4\nreturn=0\n\
             task=90\nexec=local\n{handler}\nreturn=1\n"
        );
        sandbox.file("tasks.txt", &tasks);
        sandbox.output(&["--validate-only", "tasks.txt"]).stderr
    };
    for (keys, first, second) in [
        ("fail_fast=true", None, Some("fail_fast")),
        ("fail_fast=50%\nmax_parallel=3", None, Some("fail_fast")),
        ("waves=1", None, Some("waves")),
        ("waves=2,rest", None, None),
        ("block_timeout=5", None, Some("block_timeout")),
        ("timeout=5", None, Some("timeout")),
        ("timeout=5\nmax_parallel=1", None, Some("timeout")),
        ("timeout=5\nmax_parallel=2", None, None),
        ("fail_fast=false", None, None),
        ("max_parallel=1", None, None),
    ] {
        for (task, limit) in [(1, first), (2, second)] {
            let told = warnings(keys, &format!("command=echo @{task}_stdout@"));
            let warning = format!("task 90 needs a result of task {task}, which is not started");
            assert_eq!(told.contains(&warning), limit.is_some(), "{keys}: {told}");
            if let Some(key) = limit {
                let reason = format!("which is not started if `{key}` ends its block first");
                assert!(told.contains(&reason), "{keys}: {told}");
            }
            for free in [
                format!("command=echo @{task}_stdout:-none@"),
                format!("command=echo @{task}_stdout@\ncondition=@{task}_outcome@ = ok"),
            ] {
                let told = warnings(keys, &free);
                assert!(!told.contains("which is not started"), "{free}: {told}");
            }
        }
    }
}

#[test]
fn a_default_of_a_host_set_is_hosts_and_ranges() {
    let sandbox = sandbox();
    let before = "task=0\nexec=local\ncommand=echo web9\ncondition=false\n";
    for (set, sign, column) in [
        ("@0_stdout:-!web1@", "!", 22),
        ("web[1-2],@0_stdout:-!web1@", "!", 31),
        ("@0_stdout:-web3, !web1@", "!", 28),
        ("@0_stdout:-file:hosts@", "file:", 22),
        ("web1,@0_stdout:-web2,file:hosts@", "file:", 32),
    ] {
        let block = format!("task=1\ntype=parallel\nhostnames={set}\nexec=local\ncommand=./mark\n");
        let ran = run(&sandbox, &format!("{before}{block}"), &[]);
        let told = format!("tasks.txt:7:{column}: error: `{sign}` in a default");
        assert!(ran.stderr.contains(&told), "{set}: {}", ran.stderr);
        assert!(!sandbox.exists("ran"), "{set}");
    }
    for set in ["web[1-2],!@0_stdout:-web1@", "@0_stdout:-web[1-2],db@"] {
        let block = format!("task=1\ntype=parallel\nhostnames={set}\nexec=local\ncommand=./mark\n");
        let ran = run(&sandbox, &format!("{before}{block}"), &[]);
        assert_eq!(ran.code, 0, "{set}: {}", ran.stderr);
    }
}
