//! One pass finds everything (SPEC §6.2): a mistake hides no other one, neither in its
//! task nor elsewhere. And warnings about words that are not what they look like.

mod support;

use support::{Ran, Sandbox};

fn check_in(sandbox: &Sandbox, text: &str) -> Ran {
    sandbox.file("tasks.txt", text);
    sandbox.output(&["--validate-only", "--skip-host-validation", "tasks.txt"])
}

fn check(text: &str) -> Ran {
    check_in(&Sandbox::new(), text)
}

/// A mistake in a task: the key and the value that have it, and part of the message.
struct Mistake {
    key: &'static str,
    value: &'static str,
    message: &'static str,
}

const fn mistake(key: &'static str, value: &'static str, message: &'static str) -> Mistake {
    Mistake {
        key,
        value,
        message,
    }
}

/// Mistakes in the values of a command, one for each kind.
const MISTAKES: [Mistake; 30] = [
    mistake("exec", "locla", "there is no exec type `locla`"),
    mistake("exec", "magic", "there is no exec type `magic`"),
    mistake("command", "echo 'x", "this quote is never closed"),
    mistake("arguments", "\"x", "this quote is never closed"),
    mistake("command", "echo @NONE@", "there is no global `NONE`"),
    mistake("arguments", "@77_stdout@", "there is no task `77`"),
    mistake("stdin", "@1_stdot@", "has no field `stdot`"),
    mistake("env.A", "@NOWHERE@", "there is no global `NOWHERE`"),
    mistake("env.1A", "x", "`1A` is not a valid environment variable"),
    mistake("workdir", "", "`workdir` is empty"),
    mistake("success", "exit_0 &", "expected a condition, found the end"),
    mistake("failure", "exit_0 |", "expected a condition, found the end"),
    mistake("condition", "(@1_exit@=0", "is never closed"),
    mistake("next", "exit_0 & |", "expected a condition, found `|`"),
    mistake("next", "7", "`next` cannot name a task, found `7`"),
    mistake("next", "sometimes", "expected `always`"),
    mistake(
        "loop_break",
        "exit_0 &",
        "expected a condition, found the end",
    ),
    mistake("loop", "0", "expected a number from 1 to 100000, found `0`"),
    mistake("timeout", "soon", "expected a duration"),
    mistake("sleep", "25h", "expected at most 24 h"),
    mistake("retry_count", "-1", "expected a number from 0 to 1000"),
    mistake("retry_delay", "9s..1s", "decreases"),
    mistake(
        "retry_failed",
        "maybe",
        "expected `true` or `false`, found `maybe`",
    ),
    mistake("retry_on", "ok", "expected `failed`, `timeout`"),
    mistake("return", "256", "expected a number from 0 to 255"),
    mistake("finally", "yes", "expected `true` or `false`, found `yes`"),
    mistake("stdout_split", "comma", "expected `DELIMITER,INDEX`"),
    mistake("on_failure", "78", "there is no task `78`"),
    mistake(
        "fail_fast",
        "true",
        "`fail_fast` does not apply to a command",
    ),
    mistake("hostname", "a,b", "a host name cannot contain `,`"),
];

/// Ways to be wrong as a whole: how the task begins, what follows its keys, and part of
/// the message.
const FRAMES: [(&str, &str, &str); 7] = [
    ("task=2\n", "", ""),
    ("task=1\n", "", "task 1 is defined twice"),
    ("task=two\n", "", "expected a task id"),
    ("Task=2\n", "", "unknown key `Task`"),
    ("task=2\n", "no equals sign\n", "found a line without `=`"),
    ("task=2\n", "on_faliure=1\n", "unknown key `on_faliure`"),
    (
        "task=2\n",
        "--quiet\n",
        "the option `--quiet` appears after",
    ),
];

const FIRST: &str = "task=1\nexec=local\nhostname=localhost\ncommand=true\n";

/// A task with these mistakes, and what a command needs besides.
fn task(frame: (&str, &str, &str), mistakes: &[&Mistake]) -> String {
    let mut text = format!("{FIRST}{}", frame.0);
    let has = |key: &str| mistakes.iter().any(|m| m.key == key);
    for (key, value) in [("exec", "local"), ("command", "true")] {
        if !has(key) {
            text += &format!("{key}={value}\n");
        }
    }
    for m in mistakes {
        text += &format!("{}={}\n", m.key, m.value);
    }
    text + frame.1
}

/// Whether the message is reported for the line of the key and value.
fn reports(ran: &Ran, text: &str, mistake: &Mistake) -> bool {
    let line = format!("{}={}", mistake.key, mistake.value);
    let numbers = text.lines().enumerate().filter(|(_, l)| *l == line);
    numbers.into_iter().any(|(index, _)| {
        let place = format!("tasks.txt:{}:", index + 1);
        let mut found = ran.stderr.lines().filter(|l| l.starts_with(&place));
        found.any(|l| l.contains(": error: ") && l.contains(mistake.message))
    })
}

#[test]
fn a_mistake_hides_no_other_in_its_task() {
    let sandbox = Sandbox::new();
    let mut hidden = Vec::new();
    for (number, one) in MISTAKES.iter().enumerate() {
        for other in &MISTAKES[number + 1..] {
            let text = task(FRAMES[0], &[one, other]);
            let ran = check_in(&sandbox, &text);
            assert_eq!(ran.code, 20, "{text}{ran:?}");
            for mistake in [one, other] {
                if !reports(&ran, &text, mistake) {
                    hidden.push(format!("{}:\n{text}{}", mistake.message, ran.stderr));
                }
            }
        }
    }
    assert!(hidden.is_empty(), "{}: {}", hidden.len(), hidden.join("\n"));
}

#[test]
fn a_task_that_is_wrong_as_a_whole_hides_no_mistake_in_it() {
    let sandbox = Sandbox::new();
    for frame in &FRAMES[1..] {
        for mistake in &MISTAKES {
            let text = task(*frame, &[mistake]);
            let ran = check_in(&sandbox, &text);
            assert!(ran.stderr.contains(frame.2), "{text}{ran:?}");
            assert!(reports(&ran, &text, mistake), "{text}{ran:?}");
        }
    }
}

/// The keys that cannot be in one task with others of `MISTAKES`.
#[test]
fn a_mistake_in_a_block_hides_no_other() {
    let block = "task=1\ntype=parallel\nhostnames=a[\ncommand=echo 'x\nexec=locla\nwaves=rest,1\n\
                 wave_check=9\nfail_fast=x\nunreachable=x\nmax_parallel=0\nblock_timeout=0\n\
                 timeout=x\nsuccess=exit_0 & all_success\nnext=2\ntask=1\ntype=paralel\ntasks=8,x-9\n\
                 command=echo @NONE@\n";
    let ran = check(block);
    for message in [
        ":3:",
        "this quote is never closed",
        "there is no exec type `locla`",
        "`rest` must be the last wave",
        "there is no task `9`",
        "expected `true`, a number or a percentage",
        "expected `fail`, `skip` or a percentage",
        "expected a number from 1 to 10000",
        ":11:",
        ":12:",
        "each host or the whole block",
        "`next` cannot name a task, found `2`",
        "task 1 is defined twice",
        "found `paralel`",
        "a block over `tasks=` cannot have a `command`",
        "there is no task `8`",
        "expected a range of ids",
        "there is no global `NONE`",
    ] {
        assert!(ran.stderr.contains(message), "{message}: {ran:?}");
    }
}

#[test]
fn a_repeated_key_hides_no_mistake_in_its_value() {
    let text = format!("{FIRST}command=echo 'x\nsuccess=exit_0\nsuccess=exit_1 &\n");
    let ran = check(&text);
    assert_eq!(ran.stderr.matches("is given twice").count(), 2, "{ran:?}");
    assert!(ran.stderr.contains("this quote is never closed"), "{ran:?}");
    assert!(ran.stderr.contains("found the end"), "{ran:?}");
    assert!(
        ran.stderr
            .contains("\ntasker: tasks.txt: 4 errors, 0 warnings")
    );
}

/// What would be wrong with a value without the reference is not reported.
#[test]
fn an_unknown_reference_is_one_mistake() {
    for key in [
        "exec",
        "hostname",
        "command",
        "timeout",
        "success",
        "condition",
        "next",
        "return",
        "retry_count",
        "retry_delay",
        "retry_on",
        "sleep",
        "stdout_split",
        "workdir",
    ] {
        for value in ["@NONE@", "@77_stdout@"] {
            let given = Mistake {
                key,
                value,
                message: "there is no",
            };
            let text = task(FRAMES[0], &[&given]);
            let ran = check(&text);
            assert!(reports(&ran, &text, &given), "{ran:?}");
            assert!(
                ran.stderr.contains(": 1 error, 0 warnings"),
                "{text}{ran:?}"
            );
        }
    }
    let ran = check(&format!(
        "{FIRST}condition=@77_exit@ < 2 & @77_duration@ > 5\n"
    ));
    assert!(ran.stderr.contains(": 2 errors, 0 warnings"), "{ran:?}");
}

/// What refers to such a task is no mistake of its own.
#[test]
fn the_name_of_a_rejected_task_is_known() {
    let text = format!(
        "{FIRST}on_failure=late\ntask=two\nname=late\nexec=local\ncommand=echo @late_stdout@\n"
    );
    let ran = check(&text);
    assert!(ran.stderr.contains(": 1 error, 0 warnings"), "{ran:?}");
}

#[test]
fn a_missing_exec_type_is_named_by_the_nearest_of_the_same_length() {
    let ran = check("task=1\nexec=shh\nhostname=localhost\ncommand=true\n");
    assert!(ran.stderr.contains("^^^ did you mean `ssh`?\n"), "{ran:?}");
}

/// The only warning, on the second line, and its remedy.
#[track_caller]
fn warns(lines: &str, message: &str, help: &str) {
    let ran = check(&format!("task=1\n{lines}"));
    assert_ne!(ran.code, 20, "{ran:?}");
    let first = format!(": warning: {message}\n");
    assert!(ran.stderr.contains(&first), "{lines}{ran:?}");
    assert!(ran.stderr.contains(&format!("= help: {help}\n")), "{ran:?}");
    assert!(ran.stderr.contains("0 errors, 1 warning\n"), "{ran:?}");
}

#[test]
fn a_command_here_that_names_another_host_is_reported() {
    for (exec, remote) in [("local", "ssh"), ("shell", "ssh-shell")] {
        let message = format!("exec type `{exec}` runs the command on this machine, not on `web1`");
        let help = format!(
            "use `exec={remote}` to run it there, or name the host in it with `@hostname@`"
        );
        let task = format!("hostname=web1\nexec={exec}\n");
        warns(&format!("{task}command=true\n"), &message, &help);
        let block = format!("type=parallel\nhostnames=localhost,web[1-3]\nexec={exec}\n");
        warns(&format!("{block}command=true\n"), &message, &help);
        for used in [
            "command=echo @hostname@\n",
            "command=cat\nstdin=@hostname@\n",
            "command=env\nenv.HOST=@hostname@\n",
            "command=true\narguments=x@hostname@\n",
        ] {
            for kind in [&task, &block] {
                let ran = check(&format!("task=1\n{kind}{used}"));
                assert_eq!((ran.code, ran.stderr.lines().count()), (0, 1), "{ran:?}");
            }
        }
    }
    for own in ["localhost", "127.0.0.1", "::1"] {
        let ran = check(&format!(
            "task=1\nhostname={own}\nexec=local\ncommand=true\n"
        ));
        assert_eq!((ran.code, ran.stderr.lines().count()), (0, 1), "{ran:?}");
    }
}

#[test]
fn the_shell_that_is_suggested_is_one_of_the_same_host() {
    let message = "`|` is passed literally, not interpreted by a shell";
    for (exec, shell) in [
        ("local", "use `exec=shell`"),
        ("ssh", "use `exec=ssh-shell`"),
        ("pbrun", "run a shell, as in `sh -c '...'`,"),
    ] {
        let task = format!("hostname=localhost\nexec={exec}\ncommand=ls | cat\n");
        let help = format!("{shell} for pipes, redirections and substitutions");
        warns(&task, message, &help);
    }
}

#[test]
fn words_that_only_a_shell_would_expand_are_reported() {
    let glob = "use `exec=shell` to expand it, or quote it to pass it as it is";
    let message = "is passed literally; no shell replaces it by file names";
    let local = "exec=local\ncommand=ls";
    for word in ["/var/log/*.log", "a/?", "x/[ab]"] {
        warns(
            &format!("{local} {word}\n"),
            &format!("`{word}` {message}"),
            glob,
        );
        warns(
            &format!("{local}\narguments=-l {word}\n"),
            &format!("`{word}` {message}"),
            glob,
        );
    }
    // Here it names a file: the task file.
    warns(
        &format!("{local} task*.txt\n"),
        &format!("`task*.txt` {message}"),
        glob,
    );
    let home = "no shell replaces it by a home directory";
    warns(
        "exec=ssh\nhostname=localhost\ncommand=ls ~/x\n",
        &format!("`~/x` is passed literally; {home}"),
        "write the whole path, or use `exec=ssh-shell`; quote it to pass it as it is",
    );
    for silent in [
        "'/var/*'",
        "\\*/x",
        "no-such*",
        "http://h/?a=b",
        "a~",
        "\"~\"/x",
        "x[/",
    ] {
        let ran = check(&format!("task=1\n{local} {silent}\n"));
        assert_eq!((ran.code, ran.stderr.lines().count()), (0, 1), "{ran:?}");
    }
    let ran = check("task=1\nexec=shell\ncommand=ls /var/*.log ~/x # all\n");
    assert_eq!((ran.code, ran.stderr.lines().count()), (0, 1), "{ran:?}");
}

#[test]
fn a_comment_among_words_is_reported() {
    let help = "put the comment on a line of its own, or quote the `#`";
    let message = "begins no comment here; it is passed to the command with all that follows";
    let task = "exec=local\ncommand=echo restart";
    warns(
        &format!("{task} # careful | really\n"),
        &format!("`#` {message}"),
        help,
    );
    warns(
        &format!("{task} #careful\n"),
        &format!("`#careful` {message}"),
        help,
    );
    let ran = check(&format!("task=1\n{task} '#' a#b \\#\n"));
    assert_eq!((ran.code, ran.stderr.lines().count()), (0, 1), "{ran:?}");
    // It explains the quote that is reported.
    let ran = check(&format!("task=1\n{task} # don't\n"));
    assert!(ran.stderr.contains("1 error, 1 warning"), "{ran:?}");
}

#[test]
fn typographic_characters_are_reported() {
    let help = "replace it by the plain character, or quote it to pass it as it is";
    for exec in ["local", "shell"] {
        for word in [
            "\u{2013}la",
            "\u{2018}x\u{2019}",
            "\u{201c}x\u{201d}",
            "a\u{a0}b",
        ] {
            warns(
                &format!("exec={exec}\ncommand=ls {word}\n"),
                &format!("`{word}` contains a typographic quote, dash or space"),
                help,
            );
        }
        let ran = check(&format!(
            "task=1\nexec={exec}\ncommand=echo caf\u{e9} \u{2013} it\u{2019}s\n"
        ));
        assert_eq!((ran.code, ran.stderr.lines().count()), (0, 1), "{ran:?}");
    }
}

#[test]
fn typographic_quotes_in_conditions_are_reported() {
    let help = "replace it by the plain character, or quote it to compare with it";
    for (key, test) in [
        ("success", "stdout"),
        ("next", "stdout"),
        ("condition", "@task@"),
    ] {
        let task = format!("exec=local\ncommand=true\n{key}={test}");
        let message = "`\u{201c}` is a typographic quote and quotes nothing";
        warns(&format!("{task}~\u{201c}up\u{201d}\n"), message, help);
        warns(&format!("{task} = \u{201c}up\u{201d}\n"), message, help);
        let ran = check(&format!(
            "task=1\n{task}~\"\u{201c}up\u{201d}\"|{test}~it\u{2019}s\n"
        ));
        assert_eq!((ran.code, ran.stderr.lines().count()), (0, 1), "{ran:?}");
    }
}

/// The error, and its remedy next to the caret or as help.
#[track_caller]
fn refuses(text: &str, place: &str, message: &str, remedy: &str) {
    let ran = check(text);
    assert_eq!(ran.code, 20, "{ran:?}");
    let first = format!("tasks.txt:{place}: error: {message}\n");
    assert!(ran.stderr.contains(&first), "{ran:?}");
    assert!(ran.stderr.contains(remedy), "{ran:?}");
    let count = "tasker: tasks.txt: 1 error, 0 warnings; nothing was run\n";
    assert!(ran.stderr.ends_with(count), "{ran:?}");
}

#[test]
fn frequent_mistakes_are_reported_once_with_their_remedy() {
    for word in ["Task", "TASK", "tAsk"] {
        refuses(
            &format!("{word}=0\nexec=local\ncommand=true\n"),
            "1:1",
            &format!("unknown key `{word}`; task keys are in lower case"),
            "did you mean `task`?",
        );
    }
    for target in ["2", "deploy"] {
        refuses(
            &format!("{FIRST}next={target}\ntask=2\nname=deploy\nreturn=0\n"),
            "5:6",
            &format!("`next` cannot name a task, found `{target}`"),
            &format!("= help: `goto={target}` jumps there always, `on_success={target}` if"),
        );
    }
    for rest in [
        "  --now",
        "  --with=x --more \\\n  and this",
        "x y",
        "  -v # no",
    ] {
        refuses(
            &format!("task=1\nexec=local\ncommand=true \\\n{rest}\n"),
            "3:14",
            "a backslash does not continue a line",
            "= help: write the value on one line, however long\n",
        );
    }
    // A backslash that is part of the value, or escapes a blank, is none of this.
    let ran = check("task=1\nexec=local\ncommand=echo a\\ b\\\\\n");
    assert_eq!((ran.code, ran.stderr.lines().count()), (0, 1), "{ran:?}");
}

#[test]
fn keys_that_could_not_protect_are_errors() {
    for (key, value) in [
        ("fail_fast", "true"),
        ("unreachable", "skip"),
        ("waves", "1,rest"),
        ("wave_check", "1"),
    ] {
        for (kind, name) in [
            ("exec=local\ncommand=true\n", "a command"),
            (
                "type=conditional\ncondition=@1_exit@=0\nif_true_tasks=3\n",
                "a conditional block",
            ),
            ("type=decision\nsuccess=@1_exit@=0\n", "a decision"),
            ("return=0\n", "a task that runs nothing"),
        ] {
            let three = "task=3\nexec=local\ncommand=true\n";
            let ran = check(&format!("{FIRST}task=2\n{kind}{key}={value}\n{three}"));
            let why =
                format!("error: `{key}` does not apply to {name} and would protect nothing\n");
            assert_eq!(ran.code, 20, "{ran:?}");
            assert!(ran.stderr.contains(&why), "{ran:?}");
        }
    }
    let block = "type=parallel\nhostnames=localhost\nexec=local\ncommand=true\n";
    let ran = check(&format!("{FIRST}task=2\n{block}wave_check=1\n"));
    let why = "error: `wave_check` without `waves` would never run, and protect nothing\n";
    assert!(ran.code == 20 && ran.stderr.contains(why), "{ran:?}");
}

#[test]
fn comments_after_numbers_ids_and_durations_are_none_of_the_value() {
    let text = "task=1 # a\nname=a # b\ntype=parallel # c\ntasks=2,3-4 # d\nmax_parallel=2 # e\n\
                fail_fast=true # f\nblock_timeout=5m # g\nunreachable=skip # h\nretry_count=1 # i\n\
                retry_delay=1s..2s # j\nretry_on=failed # k\nsleep=1 # l\non_failure=5 # m\n\
                next=success # n\ntask=2\nexec=local # o\ntimeout=30 # p\ncommand=true\n\
                task=3\nexec=local\ncommand=true\ntask=4\nexec=local\ncommand=true\n\
                task=5\nexec=local\ncommand=true\nnext=never # q\nreturn=3 # r\n\
                task=6\nfinally=true # s\nexec=local\ncommand=true\n";
    let ran = check(text);
    assert_eq!(ran.code, 0, "{ran:?}");
}

/// Asserts that the key, on the last line of the file, has that mistake and no other.
#[track_caller]
fn assert_key_mistake(task: &str, key: &str, message: &str, help: &str) {
    let before = "task=1\nexec=local\ncommand=echo web3\nsuccess=exit_0\n";
    let ran = check(&format!("{before}task=5\n{task}\n{key}\n"));
    assert_eq!(ran.code, 20, "{key}{ran:?}");
    assert!(
        ran.stderr.contains(&format!(": error: {message}")),
        "{key}{ran:?}"
    );
    assert!(
        ran.stderr.contains(&format!("= help: {help}")),
        "{key}{ran:?}"
    );
    assert!(ran.stderr.contains(": 1 error, "), "{key}{ran:?}");
}

const COMMAND: &str = "exec=local\ncommand=true";
const HOSTS: &str = "type=parallel\nhostnames=web[1-3]\nexec=local\ncommand=echo @hostname@";

#[test]
fn a_quoted_text_alone_is_not_a_condition() {
    for (task, key) in [
        (COMMAND, r#"failure="exit_1""#),
        (COMMAND, r#"condition="@1_exit@ = 0""#),
        (COMMAND, r#"condition="@1_success@""#),
        (COMMAND, "success='stdout ~ x'"),
        (COMMAND, r#"next="exit_0""#),
        (COMMAND, r#"failure="stdout~ERROR" | exit_1"#),
        (COMMAND, r#"success=exit_0 & !("stdout ~ x")"#),
        (COMMAND, r#"success=exit_0 AND "stdout ~ x" OR exit_1"#),
        (HOSTS, r#"success="all_success""#),
    ] {
        assert_key_mistake(
            task,
            key,
            "a quoted text is not a condition\n",
            "remove the quotes\n",
        );
    }
    for fine in [
        r#"success="x" = @1_stdout@"#,
        r#"success="@1_stdout@" = web3"#,
        "condition=@1_success@",
    ] {
        let first = "task=1\nexec=local\ncommand=echo web3\n";
        let ran = check(&format!("{first}task=2\n{COMMAND}\n{fine}\n"));
        assert_eq!((ran.code, ran.stderr.lines().count()), (0, 1), "{ran:?}");
    }
}

#[test]
fn a_test_that_never_changes_is_reported() {
    for (key, message) in [
        (
            r#"failure="stdout" ~ ERR"#,
            "`stdout` in quotes is a text, not an operand",
        ),
        (
            "success=exit ~ 1 2",
            "`exit` is a number and never contains `1 2`",
        ),
        (
            "success=exit = 300",
            "`exit` is from 0 to 255, or -1, and never equals `300`",
        ),
        (
            "failure=exit != -2",
            "`exit` is from 0 to 255, or -1, and never equals `-2`",
        ),
        (
            "failure=skipped",
            "`skipped` is never true here: a skipped task is not judged",
        ),
        (
            "next=exit_0 | skipped",
            "`skipped` is never true here: a skipped task is not judged",
        ),
    ] {
        let ran = check(&format!("task=1\n{COMMAND}\n{key}\n"));
        assert_eq!(ran.code, 0, "{ran:?}");
        let warning = format!(": warning: {message}\n");
        assert!(ran.stderr.contains(&warning), "{key}{ran:?}");
        assert!(ran.stderr.contains("0 errors, 1 warning\n"), "{ran:?}");
    }
    for fine in [
        "exit = -1",
        "exit = 255",
        "exit ~ 1",
        "exit ~ @hostname@",
        "'1'=1",
    ] {
        let ran = check(&format!("task=1\n{COMMAND}\nsuccess={fine}\n"));
        assert_eq!((ran.code, ran.stderr.lines().count()), (0, 1), "{ran:?}");
    }
}

#[test]
fn a_host_where_there_is_none_is_an_error() {
    let none = "`@hostname@` has no value here";
    let excluded = "to leave a host out, exclude it from `hostnames=`";
    assert_key_mistake(HOSTS, "condition=@hostname@ != web3", none, excluded);
    let whole = "`success=` without a block's counts judges each host by itself";
    for key in [
        "next=all_success & @hostname@ != web3",
        "success=all_success | @hostname@ = web3",
        "failure=any_success & @hostname@ = web3",
    ] {
        assert_key_mistake(HOSTS, key, none, whole);
    }
    let other = "the host of another task is `@ID_hostname@`";
    let conditional = "type=conditional\nif_true_tasks=6";
    let member = "task=6\nexec=local\ncommand=true";
    for (task, key) in [
        ("type=decision", "success=@hostname@ = web3"),
        (
            "type=decision\nsuccess='1'=1",
            "condition=@hostname@ = web3",
        ),
        (
            conditional,
            &*format!("condition=@hostname@ = web3\n{member}"),
        ),
        (
            "type=parallel\ntasks=6",
            &*format!("condition=@hostname@ = web3\n{member}"),
        ),
    ] {
        assert_key_mistake(task, key, none, other);
    }
    // Each host's copy, and a command, have one.
    for fine in [
        format!("{HOSTS}\nsuccess=stdout = @hostname@\nenv.X=@hostname@\nstdin=@hostname@"),
        format!("{COMMAND}\ncondition=@hostname@ = localhost\nnext=@hostname@ ~ local"),
    ] {
        let ran = check(&format!("task=1\n{fine}\n"));
        assert_eq!((ran.code, ran.stderr.lines().count()), (0, 1), "{ran:?}");
    }
}
