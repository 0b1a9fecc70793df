//! Data stays data (SPEC §2.4, §4.2): what one command prints reaches the next one
//! unchanged, wherever it is used, and is never executed.

#[path = "support/hostile.rs"]
mod hostile;
mod support;

use hostile::{ARGV, Writer, hostile, next, nothing_was_run, producers, same, trimmed, words};
use std::os::unix::fs::PermissionsExt;
use support::{Ran, Sandbox};

#[test]
fn arguments_arrive_byte_for_byte() {
    let sandbox = Sandbox::new();
    let data = hostile();
    let mut tasks = producers(&sandbox, &data);
    for number in 0..data.len() {
        let (id, from) = (300 + number, 100 + number);
        tasks += &format!(
            "task={id}\nexec=local\ncommand=./argv out/{number} @{from}_stdout@\n\
             arguments=pre@{from}_stdout@post \"a @{from}_stdout@ b\" '@{from}_stdout@' \\@{from}_stdout@ $@{from}_stdout@\n\
             env.DATA=@{from}_stdout@\nstdin=x@{from}_stdout@\n"
        );
        let id = 500 + number;
        tasks += &format!(
            "task={id}\nexec=local\ncommand=sh -c 'cat > out/in{number}; printf %s \"$DATA\" > out/env{number}'\n\
             env.DATA=@{from}_stdout@\nstdin=@{from}_stdout@\n"
        );
    }
    let ran = sandbox.run(&tasks, &["-q"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for (number, bytes) in data.iter().enumerate() {
        let d = trimmed(bytes);
        let expected = words(&[
            &d,
            &[b"pre", &d[..], b"post"].concat(),
            &[b"a ", &d[..], b" b"].concat(),
            &d,
            &[b"\\", &d[..]].concat(),
            &[b"$", &d[..]].concat(),
        ]);
        let what = format!("{:?}", String::from_utf8_lossy(bytes));
        same(&sandbox, &format!("out/{number}"), &expected, &what);
        same(&sandbox, &format!("out/in{number}"), bytes, &what);
        same(&sandbox, &format!("out/env{number}"), &d, &what);
    }
    nothing_was_run(&sandbox);
}

#[test]
fn conditions_compare_data_as_it_is() {
    let sandbox = Sandbox::new();
    let data = hostile();
    let mut tasks = producers(&sandbox, &data);
    tasks += "task=90\nexec=local\ncommand=printf other\n";
    for number in 0..data.len() {
        let (id, from) = (300 + number, 100 + number);
        let next = (number + 1) % data.len() + 100;
        tasks += &format!(
            "task={id}\ntype=decision\nsuccess=@{from}_stdout@ = @{from}_stdout@ & !(@{from}_stdout@ = @{next}_stdout@) & @{from}_stdout@ != @90_stdout@\n"
        );
        if !data[number].is_empty() {
            let id = 400 + number;
            tasks += &format!(
                "task={id}\nexec=local\ncommand=cat in/{number}\nsuccess=stdout ~ @{from}_stdout@ & !(@90_stdout@ ~ @{from}_stdout@)\n"
            );
        }
    }
    let ran = sandbox.run(&tasks, &["-q"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    nothing_was_run(&sandbox);
}

#[test]
fn nul_bytes_are_lost_only_in_words_with_a_warning() {
    let sandbox = Sandbox::new();
    let bytes = b"a\0b\0\0c\n";
    let tasks = producers(&sandbox, &[bytes.to_vec()])
        + "task=200\nexec=local\ncommand=./argv out/words @100_stdout@\n\
           task=201\nexec=shell\ncommand=printf '%s\\0' @100_stdout@ > out/script; cat > out/stdin\nstdin=@100_stdout@\n";
    let ran = sandbox.run(&tasks, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    same(&sandbox, "out/words", b"abc\0", "words");
    same(&sandbox, "out/script", b"abc\0", "script");
    same(&sandbox, "out/stdin", bytes, "stdin");
    let log = sandbox.log();
    let warned = |task: &str| {
        log.lines().any(|l| {
            l.contains(&format!("[WARN] Task {task}: "))
                && l.contains("NUL")
                && l.contains("stdin=@N_stdout@")
                && l.contains("@N_stdout_file@")
        })
    };
    assert!(warned("200") && warned("201"), "{log}");
}

#[test]
fn only_what_is_left_without_nul_bytes_counts_for_a_word() {
    let sandbox = Sandbox::new();
    for (nul, kept, code) in [
        (200_000, 131_071, 0),
        (200_000, 131_072, 126),
        (3_000_000, 10, 0),
        (3_000_000, 131_072, 126),
    ] {
        let _ = std::fs::remove_file(sandbox.path.join("out/words"));
        let bytes = [vec![0; nul], vec![b'x'; kept], b"\n".to_vec()].concat();
        let tasks = producers(&sandbox, &[bytes])
            + "task=200\nexec=local\ncommand=./argv out/words @100_stdout@\n";
        let ran = sandbox.run(&tasks, &["-q"]);
        assert_eq!(ran.code, code, "{nul} {kept}: {:.900}", ran.stderr);
        assert_eq!(sandbox.exists("out/words"), code == 0);
        if code == 0 {
            let expected = [vec![b'x'; kept], b"\0".to_vec()].concat();
            same(&sandbox, "out/words", &expected, "words");
            assert!(sandbox.log().contains("NUL bytes were removed"));
        }
    }
}

#[test]
fn nul_bytes_are_nothing_where_a_path_needs_a_result() {
    let sandbox = Sandbox::new();
    for bytes in [&b"\0"[..], b"\0\0\n", &[0; 5000]] {
        for task in [
            "exec=local\ncommand=./argv out/ran /srv/@100_stdout@",
            "exec=local\ncommand=./argv out/ran /srv/@100_stdout@/",
            "exec=shell\ncommand=./argv out/ran \"/srv/@100_stdout@\"",
            "exec=shell\ncommand=./argv out/ran /srv/@100_stdout@/*",
            "exec=local\ncommand=./argv ran\nworkdir=out/@100_stdout@",
        ] {
            let tasks = producers(&sandbox, &[bytes.to_vec()]) + "task=200\n" + task + "\n";
            let ran = sandbox.run(&tasks, &["-q"]);
            assert_eq!(ran.code, 126, "{task}: {ran:?}");
            assert!(
                ran.stderr.contains("`@100_stdout@` is empty and leaves"),
                "{ran:?}"
            );
            assert!(!sandbox.exists("out/ran"), "{task}");
        }
    }
}

/// The longest word that the kernel takes, without its NUL.
const WORD: usize = (128 << 10) - 1;

/// Where a result (`{}`) becomes part of a word, with how many bytes of the author's
/// text, and what `argv` or the file then holds around it.
const WORDS: [(&str, &str, usize); 9] = [
    ("a word", "exec=local\ncommand=./argv out {}", 0),
    ("a part of a word", "exec=local\ncommand=./argv out <{}>", 2),
    (
        "a quoted word",
        "exec=local\ncommand=./argv out \"<{}> END\"",
        6,
    ),
    (
        "arguments",
        "exec=local\ncommand=./argv out\narguments='x {}'",
        2,
    ),
    (
        "env",
        "exec=local\ncommand=sh -c 'printf %s \"$V\" > out'\nenv.V={}",
        2,
    ),
    (
        "env and text",
        "exec=local\ncommand=sh -c 'printf %s \"$V\" > out'\nenv.V=<{}>",
        4,
    ),
    (
        "a script",
        "exec=shell\ncommand=printf %s {} > out",
        "TASKER_VALUE_1=".len(),
    ),
    (
        "a script's quotes",
        "exec=shell\ncommand=printf %s \"<{}>\" > out",
        "TASKER_VALUE_1=".len(),
    ),
    (
        "a carrier",
        "exec=carried\nhostname=web1\ncommand=./argv out a{}",
        1,
    ),
];

#[test]
fn a_word_has_all_of_a_result_or_nothing_runs() {
    let sandbox = Sandbox::new();
    sandbox.program("argv", ARGV);
    sandbox.file(
        "tasks.conf",
        "exec=carried\nargv=env {command} {arguments}\n",
    );
    let sizes = [
        (100 << 10) - 1,
        (100 << 10) + 1,
        WORD - 9,
        WORD - 2,
        WORD - 1,
        WORD,
        WORD + 1,
        WORD + 2,
        2 << 20,
    ];
    for (place, task, around) in WORDS {
        for size in sizes {
            let _ = std::fs::remove_file(sandbox.path.join("out"));
            let task = task.replace("{}", "@1_stdout@");
            let tasks = format!(
                "task=1\nexec=shell\ncommand=head -c {size} /dev/zero | tr '\\0' x; echo\ntask=2\n{task}\n"
            );
            let ran = sandbox.run(
                &tasks,
                &["-q", "--skip-host-validation", "--config=tasks.conf"],
            );
            let what = format!("{place}, {size} bytes: {:.600}", ran.stderr);
            if size + around <= WORD {
                assert_eq!(ran.code, 0, "{what}");
                let out = sandbox.read("out");
                assert_eq!(
                    out.matches('x').count() - usize::from(place == "arguments"),
                    size,
                    "{what}"
                );
                assert!(!task.contains("END") || out.ends_with("> END\0"), "{what}");
                continue;
            }
            assert_eq!(ran.code, 126, "{what}");
            assert!(!sandbox.exists("out"), "{what}");
            let sizes = [
                format!("{} bytes", size + around),
                format!("`@1_stdout@` has {size})"),
                "`stdin=@1_stdout@`".into(),
                "`@1_stdout_file@`".into(),
            ];
            if !place.starts_with("env") && !place.contains("script") {
                assert!(ran.stderr.contains(&sizes[0]), "{what}");
            }
            assert!(sizes[1..].iter().all(|s| ran.stderr.contains(s)), "{what}");
        }
    }
}

#[test]
fn results_that_fit_alone_are_not_cut_together() {
    let sandbox = Sandbox::new();
    let before = producers(&sandbox, &[])
        + "task=1\nexec=shell\ncommand=head -c 100000 /dev/zero | tr '\\0' x\n";
    for (task, size) in [
        (
            "exec=local\ncommand=./argv out \"<@1_stdout@><@1_stdout@> END\"",
            200_008,
        ),
        (
            "exec=local\ncommand=./argv out x\nenv.V=@1_stdout@@1_stdout@",
            200_000,
        ),
        (
            "exec=local\ncommand=./argv out x\nworkdir=@1_stdout@@1_stdout@",
            200_000,
        ),
    ] {
        let ran = sandbox.run(&format!("{before}task=2\n{task}\n"), &["-q"]);
        assert_eq!(ran.code, 126, "{task}: {ran:?}");
        assert!(
            !sandbox.exists("out/out") && !sandbox.exists("out2"),
            "{task}"
        );
        let reason = format!("would have {size} bytes, and at most ");
        assert!(ran.stderr.contains(&reason), "{task}: {:.900}", ran.stderr);
    }
    // A host of a block alike: it alone fails, unstarted.
    let block = format!(
        "{before}task=2\ntype=parallel\nhostnames=a,b\nexec=local\ncommand=./argv out @1_stdout@@1_stdout@\nnext=always\n"
    );
    let ran = sandbox.run(&block, &["-q", "--skip-host-validation"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let log = sandbox.log();
    assert!(log.contains("would have 200000 bytes"), "{log:.2000}");
}

#[test]
fn more_words_than_the_kernel_takes_are_refused_with_their_size() {
    let sandbox = Sandbox::new();
    let words = "@1_stdout@ ".repeat(80);
    let tasks = producers(&sandbox, &[])
        + &format!(
            "task=1\nexec=shell\ncommand=head -c 100000 /dev/zero | tr '\\0' x\n\
             task=2\nexec=local\ncommand=./argv out/all {words}\n"
        );
    let ran = sandbox.run(&tasks, &["-q"]);
    assert_eq!(ran.code, 126, "{ran:?}");
    assert!(!sandbox.exists("out/all"));
    for part in [
        "the words (80",
        "bytes that a command can get here",
        "stdin=@N_stdout@",
        "@N_stdout_file@",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {:.900}", ran.stderr);
    }
}

#[test]
fn newlines_at_the_end_are_no_part_of_a_result() {
    let sandbox = Sandbox::new();
    for newlines in [300, 200_000, 3 << 20] {
        for (start, code) in [("x", 0), ("", 126)] {
            let tasks = producers(&sandbox, &[])
                + &format!(
                    "task=1\nexec=shell\ncommand=printf %s '{start}'; head -c {newlines} /dev/zero | tr '\\0' '\\n'\n\
                     task=2\nexec=local\ncommand=./argv out/path /srv/@1_stdout@\n"
                );
            let ran = sandbox.run(&tasks, &["-q"]);
            assert_eq!(ran.code, code, "{newlines}: {ran:?}");
            if code == 0 {
                same(&sandbox, "out/path", b"/srv/x\0", "a path");
                std::fs::remove_file(sandbox.path.join("out/path")).expect("a file");
            }
            assert!(!sandbox.exists("out/path"), "{newlines}");
        }
    }
}

#[test]
fn much_output_is_spooled_privately_and_streamed_whole() {
    let sandbox = Sandbox::new();
    // 64 MiB without repetition, with every byte value.
    let mut state = 1u64;
    let big: Vec<u8> = (0..8 << 20)
        .flat_map(|_| next(&mut state).to_le_bytes())
        .collect();
    sandbox.file("big", &big);
    sandbox.file("mib", &big[..1 << 20]);
    let tasks = "task=1\nexec=local\ncommand=sh -c 'cat big; cat mib >&2'\n\
        task=2\nexec=local\ncommand=cmp big -\nstdin=@1_stdout@\n\
        task=3\nexec=local\ncommand=cmp mib -\nstdin=@1_stderr@\n\
        task=4\nexec=shell\ncommand=cmp big @1_stdout_file@; test -z @1_stderr_file@\n\
        task=5\nexec=shell\ncommand=f=@1_stdout_file@; umask > um; stat -c %a \"$f\" \"${f%/*}\" \"${f%/*/*}\" > modes; echo \"${f%/*}\" > where\n\
        task=6\nexec=local\ncommand=cat big\nsuccess=stdout !~ 'no such text' & stdout_count > 100\n\
        task=7\nexec=shell\ncommand=grep VmHWM /proc/$PPID/status > peak\n\
        task=8\nexec=shell\ncommand=exit 0\n";
    let ran = sandbox.run(tasks, &["-q"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(sandbox.steps(), "1 2 3 4 5 6 7 8");
    assert_eq!(sandbox.read("modes"), "600\n700\n700\n");
    let peak = sandbox.read("peak");
    let kib = peak
        .split_whitespace()
        .nth(1)
        .and_then(|n| n.parse::<u64>().ok());
    assert!(kib.expect("a number") < 40 << 10, "{peak}");
    let place = sandbox.read("where");
    assert!(place.contains("/TASKER/state/"), "{place}");
    assert!(
        !std::path::Path::new(place.trim()).exists(),
        "{place} is left"
    );
    let logs = sandbox.path.join("TASKER/logs");
    let mode = |path: &std::path::Path| path.metadata().expect("a file").permissions().mode();
    assert_eq!(mode(&logs) & 0o777, 0o700);
    for entry in std::fs::read_dir(&logs).expect("logs").flatten() {
        assert_eq!(mode(&entry.path()) & 0o777, 0o600, "{:?}", entry.path());
    }
}

// Shell scripts.

#[test]
fn scripts_take_data_in_every_quoting_context() {
    let sandbox = Sandbox::new();
    let mut data = hostile();
    data.push(b"a\0b\n\n".to_vec());
    let mut tasks = producers(&sandbox, &data);
    let mut writer = Writer {
        state: 0x9e37_79b9_7f4a_7c15,
        data: &data,
    };
    let mut expected = Vec::new();
    for number in 0..400 {
        let (text, bytes) = writer.command(3);
        let comment = ["", " # it's", " #"][number % 3];
        tasks += &format!(
            "task={}\nexec=shell\ncommand={{ {text}; }} > out/{number}{comment}\n",
            1000 + number
        );
        expected.push((text, bytes));
    }
    let ran = sandbox.run(&tasks, &["-q", "-k"]);
    let log = sandbox.log();
    let failed = |number: &usize| log.contains(&format!("Task {} ended: failed", 1000 + number));
    let failed: Vec<_> = (0..expected.len())
        .filter(failed)
        .map(|n| &expected[n].0)
        .collect();
    assert_eq!(ran.code, 0, "{failed:#?}\n{:.2000}", ran.stderr);
    nothing_was_run(&sandbox);
    for (number, (text, bytes)) in expected.iter().enumerate() {
        same(&sandbox, &format!("out/{number}"), bytes, text);
    }
}

#[test]
fn every_hostile_output_is_inert_in_the_plain_contexts() {
    let sandbox = Sandbox::new();
    let data = hostile();
    let mut tasks = producers(&sandbox, &data);
    for number in 0..data.len() {
        let d = format!("@{}_stdout@", 100 + number);
        tasks += &format!(
            "task={}\nexec=shell\ncommand=./argv out/{number} {d} \"{d}\" '{d}' a{d}b \"$(printf %s {d})\" \"$(printf %s \"{d}\")\" \"$(printf %s '{d}')\" \"$(printf %s \"$(printf %s \"{d}\")\")\" && x=$(printf %s. {d}) && printf %s \"${{x%.}}\" > out/x{number}\n",
            300 + number
        );
    }
    let ran = sandbox.run(&tasks, &["-q"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for (number, bytes) in data.iter().enumerate() {
        let d = trimmed(bytes);
        let around = [b"a", &d[..], b"b"].concat();
        let what = format!("{:?}", String::from_utf8_lossy(bytes));
        let expected = words(&[&d, &d, &d, &around, &d, &d, &d, &d]);
        same(&sandbox, &format!("out/{number}"), &expected, &what);
        same(&sandbox, &format!("out/x{number}"), &d, &what);
    }
    nothing_was_run(&sandbox);
}

#[test]
fn a_value_is_refused_where_bash_would_evaluate_it() {
    let sandbox = Sandbox::new();
    for script in [
        "[[ @1_stdout@ -eq 0 ]]",
        "for ((i = 0; i < @1_stdout@; i++)); do :; done",
        "a[@1_stdout@]=1",
        "echo $((@1_stdout@ + 1))",
        "echo `echo @1_stdout@`",
        "echo $'@1_stdout@'",
        "echo ${x:-@1_stdout@}",
    ] {
        let tasks = format!(
            "task=1\nexec=local\ncommand=printf 'a[$(touch PWNED)]'\ntask=2\nexec=shell\ncommand={script}\n"
        );
        let ran = sandbox.run(&tasks, &[]);
        assert_eq!(ran.code, 20, "{script}: {ran:?}");
        assert!(ran.stderr.contains("tasks.txt:6:"), "{script}: {ran:?}");
    }
    // The safe way to compare numbers is still allowed.
    let tasks = "task=1\nexec=local\ncommand=printf 'a[$(touch PWNED)]'\ntask=2\nexec=shell\ncommand=[ @1_stdout@ -eq 0 ]\n";
    let ran: Ran = sandbox.run(tasks, &[]);
    assert_eq!(ran.code, 2, "{ran:?}");
    nothing_was_run(&sandbox);
}

#[test]
fn environment_variables_are_data_too() {
    let sandbox = Sandbox::new();
    sandbox.program("argv", ARGV);
    std::fs::create_dir(sandbox.path.join("out")).expect("a directory");
    sandbox.file(
        "tasks.txt",
        "MSG=$MESSAGE\ntask=1\nexec=local\ncommand=./argv out/words @MSG@ $MESSAGE \"x$MESSAGE\"\n\
         task=2\nexec=shell\ncommand=./argv out/script @MSG@ \"x@MSG@\" '@MSG@'\n",
    );
    for value in hostile().iter().filter(|v| !v.is_empty()) {
        let mut command = sandbox.tasker(&["-r", "-q", "tasks.txt"]);
        let value_text: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(&value[..]);
        let ran = Ran::from(command.env("MESSAGE", value_text).output().expect("tasker"));
        let what = format!("{:?}", String::from_utf8_lossy(value));
        assert_eq!(ran.code, 0, "{what}: {ran:?}");
        let x = [b"x", &value[..]].concat();
        same(&sandbox, "out/words", &words(&[value, value, &x]), &what);
        same(&sandbox, "out/script", &words(&[value, &x, value]), &what);
    }
    nothing_was_run(&sandbox);
}

#[test]
fn a_text_on_stdin_is_a_line_and_an_output_is_as_it_is() {
    let sandbox = Sandbox::new();
    sandbox.file("out/x", "");
    for (output, stdin, expected) in [
        ("", "yes", "yes\n"),
        ("", "  a  b", "a  b\n"),
        ("", "@G@", "global\n"),
        ("", "@EMPTY@", ""),
        ("", "@task@", "2\n"),
        ("a", "x@1_stdout@", "xa\n"),
        ("a\n\n", "x@1_stdout@y", "xay\n"),
        ("a", "@1_stdout@@1_stdout@", "aa\n"),
        ("a\n\n", "@1_stdout@ ", "a\n\n"),
        ("a", "@1_stdout@", "a"),
        ("a\n", "@1_stdout@", "a\n"),
        ("a\nb\n\n", "@1_stdout@", "a\nb\n\n"),
        ("a\0b", "@1_stdout@", "a\0b"),
        ("", "@1_stdout@", ""),
        ("\n\n", "@1_stdout@", "\n\n"),
        ("a", "@1_stdout:-none@", "a"),
        ("", "@1_stdout:-none@", "none\n"),
        ("", "@1_stdout:-@", ""),
        ("07", "@1_number@", "7\n"),
        ("a", "@1_exit@", "0\n"),
        ("a", "@1_stdout_file:-none@", "none\n"),
    ] {
        sandbox.file("output", output);
        let tasks = format!(
            "G=global\nEMPTY=\ntask=1\nexec=local\ncommand=cat output\n\
             task=2\nexec=shell\ncommand=cat > out/x\nstdin={stdin}\n"
        );
        let ran = sandbox.run(&tasks, &["-q"]);
        assert_eq!(ran.code, 0, "{stdin}: {ran:?}");
        assert_eq!(sandbox.read("out/x"), expected, "{stdin} with {output:?}");
    }
    let ran = sandbox.run(
        "task=1\nexec=shell\ncommand=while read -r line; do echo \"got $line\"; done\nstdin=last\nsuccess=stdout = got last\n",
        &["-q"],
    );
    assert_eq!(ran.code, 0, "{ran:?}");
}
