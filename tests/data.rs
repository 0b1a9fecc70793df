//! Data stays data (SPEC §2.4, §4.2): what one command prints comes out equal
//! wherever the next one gets it, and nothing of it is ever run.

mod support;

use std::os::unix::fs::PermissionsExt;
use support::{Ran, Sandbox};

/// What outputs may hold; each would make `PWNED` if any of it were run.
fn hostile() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = [
        "plain",
        "",
        "'",
        "\"",
        "it's \"quoted\" 'twice'",
        "$(touch PWNED)",
        "`touch PWNED`",
        "; touch PWNED;",
        "\n touch PWNED \n",
        "a\nb\n\nc",
        "' ; touch PWNED ; '",
        "\" ; touch PWNED ; \"",
        "\\'; touch PWNED; \\\"",
        "')\"; touch PWNED; #",
        "}; touch PWNED; {",
        "a[$(touch PWNED)]",
        "x=$(touch PWNED)",
        "| touch PWNED &",
        "> PWNED",
        "@1_stdout@ @@ @nothing@ @",
        "%s %d %n %%",
        "\\",
        "\\\\ \\n \\$ \\",
        "-n",
        "--help",
        "-e \\x41",
        "* ? [a-z]* ~ {a,b} !!",
        "$HOME ${PATH} $0 $$ $1",
        "${IFS}touch${IFS}PWNED",
        "  two  spaces\tand tab  ",
        "# comment",
        "exit_0 | true",
        "\u{fc}\u{4e2d}\u{1f600}\u{202e}",
        "\r\n\u{b}\u{c}\u{1b}[31m",
    ]
    .iter()
    .map(|t| t.as_bytes().to_vec())
    .collect();
    all.push(b"\xff\xfe\x80 not utf-8 \xc3".to_vec());
    all.push((1..=255).filter(|b| *b != b'\n').collect());
    all
}

/// A program that writes its arguments after the first, each ended by NUL, into
/// the file that the first names.
const ARGV: &str = "#!/bin/sh\nout=$1\nshift\nprintf '%s\\0' \"$@\" > \"$out\"\n";

/// Tasks from 100 on that print the hostile data, one each.
fn producers(sandbox: &Sandbox, data: &[Vec<u8>]) -> String {
    let mut tasks = String::new();
    for (number, bytes) in data.iter().enumerate() {
        sandbox.file(&format!("in/{number}"), bytes);
        tasks += &format!(
            "task={}\nexec=local\ncommand=cat in/{number}\n",
            100 + number
        );
    }
    std::fs::create_dir_all(sandbox.path.join("out")).expect("a directory");
    sandbox.program("argv", ARGV);
    tasks
}

/// The value of a reference to an output.
fn trimmed(bytes: &[u8]) -> Vec<u8> {
    let end = bytes.iter().rposition(|b| *b != b'\n').map_or(0, |i| i + 1);
    bytes[..end].iter().copied().filter(|b| *b != 0).collect()
}

fn words(words: &[&[u8]]) -> Vec<u8> {
    words.iter().flat_map(|w| [*w, b"\0"].concat()).collect()
}

#[track_caller]
fn same(sandbox: &Sandbox, file: &str, expected: &[u8], what: &str) {
    let found = std::fs::read(sandbox.path.join(file)).unwrap_or_default();
    if found != expected {
        let show = |b: &[u8]| String::from_utf8_lossy(&b[..b.len().min(400)]).into_owned();
        panic!(
            "{what}\nfound    {:?}\nexpected {:?}",
            show(&found),
            show(expected)
        );
    }
}

#[track_caller]
fn nothing_was_run(sandbox: &Sandbox) {
    for place in ["PWNED", "in/PWNED", "out/PWNED"] {
        assert!(!sandbox.exists(place), "data was run: {place}");
    }
}

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
fn nul_bytes_are_lost_in_words_only_and_told() {
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
    let told = |task: &str| {
        log.lines().any(|l| {
            l.contains(&format!("[WARN] Task {task}: "))
                && l.contains("NUL")
                && l.contains("stdin=@N_stdout@")
                && l.contains("@N_stdout_file@")
        })
    };
    assert!(told("200") && told("201"), "{log}");
}

#[test]
fn long_output_is_cut_in_words_and_told() {
    let sandbox = Sandbox::new();
    let tasks = producers(&sandbox, &[])
        + "task=1\nexec=shell\ncommand=head -c 150000 /dev/zero | tr '\\0' x\n\
           task=2\nexec=local\ncommand=./argv out/one @1_stdout@\n\
           task=3\nexec=local\ncommand=./argv out/two @1_stdout@-@1_stdout@\n\
           task=4\nexec=shell\ncommand=printf %s @1_stdout@ > out/script; printf %s \"$BIG\" > out/env\nenv.BIG=@1_stdout@-@1_stdout@\n\
           task=5\nexec=shell\ncommand=printf 'ä%.0s' $(seq 60000)\n\
           task=6\nexec=local\ncommand=./argv out/text @5_stdout@\n";
    let ran = sandbox.run(&tasks, &["-q"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let length = |name: &str| sandbox.read(name).trim_end_matches('\0').len();
    assert_eq!(length("out/one"), 100 << 10);
    assert_eq!(length("out/two"), (128 << 10) - 1);
    assert_eq!(length("out/script"), 100 << 10);
    assert_eq!(length("out/env"), (128 << 10) - 1 - "BIG=".len());
    // Not within a character.
    let text = sandbox.read("out/text");
    assert_eq!(text.trim_end_matches('\0'), "ä".repeat(50 << 10));
    let log = sandbox.log();
    let warned = |task: &str, size: &str| {
        log.lines().any(|l| {
            l.contains(&format!("[WARN] Task {task}: "))
                && l.contains(&format!("is cut at {size} KiB"))
                && l.contains("stdin=@N_stdout@")
        })
    };
    for (task, size) in [
        ("2", "100"),
        ("3", "100"),
        ("3", "128"),
        ("4", "100"),
        ("4", "128"),
    ] {
        assert!(warned(task, size), "task {task}, {size} KiB");
    }
}

#[test]
fn much_output_is_spooled_privately_and_streamed_whole() {
    let sandbox = Sandbox::new();
    // 64 MiB that do not repeat, with every byte in it.
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
        task=8\nexec=shell\ncommand=exit 5\n";
    let ran = sandbox.run(tasks, &["-q"]);
    assert_eq!(ran.code, 5, "{ran:?}");
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

/// xorshift64: the same scripts at every run.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Makes words of a shell script and knows what the shell makes of them.
struct Writer<'a> {
    state: u64,
    data: &'a [Vec<u8>],
}

/// A piece of script and the bytes that it stands for.
type Part = (String, Vec<u8>);

impl Writer<'_> {
    fn pick(&mut self, count: usize) -> usize {
        (next(&mut self.state) >> 20) as usize % count
    }

    fn literal(&mut self, choices: &[&str]) -> Part {
        let text = choices[self.pick(choices.len())];
        (text.into(), text.into())
    }

    fn reference(&mut self) -> Part {
        let number = self.pick(self.data.len());
        let text = format!("@{}_stdout@", 100 + number);
        (text, trimmed(&self.data[number]))
    }

    fn join(&mut self, most: usize, part: impl Fn(&mut Self) -> Part) -> Part {
        let mut out = Part::default();
        for _ in 0..1 + self.pick(most) {
            let (text, bytes) = part(self);
            out.0 += &text;
            out.1 = [out.1, bytes].concat();
        }
        out
    }

    /// One word, in any mixture of quotes.
    fn word(&mut self, depth: usize) -> Part {
        self.join(4, |w| match w.pick(8) {
            0 => w.literal(&["a", "b.c", "=", "x-", "case", "esac", "a#b", ",", "%"]),
            1 => {
                let (text, bytes) =
                    w.literal(&["'", "\"", "$", "\\", "(", ")", ";", "#", "`", " "]);
                (format!("\\{text}"), bytes)
            }
            2 => {
                let (text, bytes) = w.join(3, |w| match w.pick(2) {
                    0 => w.literal(&["\"", "\\", "$(", ")", "`", " # ", "a", "$", "${", "; "]),
                    _ => w.reference(),
                });
                (format!("'{text}'"), bytes)
            }
            3 | 4 => w.double(depth),
            5 => {
                let (text, bytes) = w.reference();
                match w.pick(6) {
                    0 => (format!("${text}"), [b"$", &bytes[..]].concat()),
                    1 => (format!("\\{text}"), [b"\\", &bytes[..]].concat()),
                    _ => (text, bytes),
                }
            }
            6 => match w.pick(4) {
                0 => ("${NOPE:-it}".into(), b"it".to_vec()),
                1 => ("$((1 + (2) * 3))".into(), b"7".to_vec()),
                2 => ("$'\\x41\\''".into(), b"A'".to_vec()),
                _ => ("`echo 'q'`".into(), b"q".to_vec()),
            },
            _ => w.reference(),
        })
    }

    fn double(&mut self, depth: usize) -> Part {
        let (text, bytes) = self.join(4, |w| match w.pick(7) {
            0 => w.literal(&[
                "'",
                " ",
                "a",
                ")",
                "(",
                "#",
                " # ",
                ";",
                "it's",
                "case x in",
            ]),
            1 => {
                let (text, bytes) = w.literal(&["\"", "$", "\\", "`"]);
                (format!("\\{text}"), bytes)
            }
            2 | 3 if depth > 0 => {
                let (text, bytes) = w.command(depth - 1);
                // A substitution loses the newlines at its end.
                (format!("$({text})"), trimmed(&bytes))
            }
            4 => ("${NOPE:-'}'}".into(), b"'}'".to_vec()),
            5 => {
                let (text, bytes) = w.reference();
                match w.pick(4) {
                    0 => (format!("${text}"), [b"$", &bytes[..]].concat()),
                    1 => (format!("\\{text}"), [b"\\", &bytes[..]].concat()),
                    _ => (text, bytes),
                }
            }
            _ => w.reference(),
        });
        (format!("\"{text}\""), bytes)
    }

    /// A command that prints one word, in any of the shell's compounds.
    fn command(&mut self, depth: usize) -> Part {
        let (word, bytes) = self.word(depth);
        let print = format!("printf %s {word}");
        let text = match self.pick(14) {
            0 => format!("if true; then {print}; else :; fi"),
            1 => format!(" ({print}) "),
            2 => format!("{{ {print}; }}"),
            3 => format!("case x in (y) : ;; x) {print} ;; esac"),
            4 => format!("case x in x) {print};; z) ;; esac"),
            5 => format!("for i in one; do {print}; done"),
            6 => format!("f() {{ {print}; }}; f"),
            7 => format!("v={word}; printf %s \"$v\""),
            // bash 5.2 loses count of `\(` and `\'` in a list inside `$(…)`.
            8 if !word.contains('\\') => format!("v=(a {word} b); printf %s \"${{v[1]}}\""),
            9 => format!("cat <(printf %s {word})"),
            10 => format!("[[ x{word} = x{word} ]] && {print}"),
            11 => format!("if [ 1 -eq 1 ] && (( 2 > 1 )); then {print}; fi"),
            12 => format!("for ((i = 0; i < 1; i++)); do {print}; done"),
            _ => print,
        };
        (text, bytes)
    }
}

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
        "echo # @1_stdout@",
    ] {
        let tasks = format!(
            "task=1\nexec=local\ncommand=printf 'a[$(touch PWNED)]'\ntask=2\nexec=shell\ncommand={script}\n"
        );
        let ran = sandbox.run(&tasks, &[]);
        assert_eq!(ran.code, 20, "{script}: {ran:?}");
        assert!(ran.stderr.contains("tasks.txt:6:"), "{script}: {ran:?}");
    }
    // The safe way to compare numbers stays open.
    let tasks = "task=1\nexec=local\ncommand=printf 'a[$(touch PWNED)]'\ntask=2\nexec=shell\ncommand=[ @1_stdout@ -eq 0 ]\n";
    let ran: Ran = sandbox.run(tasks, &[]);
    assert_eq!(ran.code, 2, "{ran:?}");
    nothing_was_run(&sandbox);
}

#[test]
fn data_of_the_environment_is_no_syntax_either() {
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
