//! Who watches the runs from outside (SPEC §6.8): metrics for Prometheus, read by the
//! programs that read them in earnest, and syslog.

mod support;

#[path = "support/syslog.rs"]
mod syslog;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use support::{Sandbox, finish, signal, wait_for};
use syslog::Rsyslogd;

const OK: &str = "task=1\nexec=local\ncommand=true\n";
const FAILS: &str = "task=1\nexec=local\ncommand=sh -c 'exit 3'\n";

/// The values of a file in the text format, by name and labels as they are written.
type Values = BTreeMap<String, f64>;

/// Reads the text format, strictly: each name with one HELP and one TYPE before its
/// values, together, no value twice, no timestamps.
fn parse(text: &str) -> Values {
    assert!(text.ends_with('\n'), "{text}");
    let (mut values, mut names) = (Values::new(), Vec::<String>::new());
    let mut lines = text.lines().peekable();
    while let Some(help) = lines.next() {
        let help = help
            .strip_prefix("# HELP ")
            .unwrap_or_else(|| panic!("{help}"));
        let (name, said) = help.split_once(' ').expect("a text");
        assert!(
            !said.is_empty() && !names.iter().any(|n| n == name),
            "{name}"
        );
        names.push(name.to_string());
        assert_eq!(lines.next(), Some(format!("# TYPE {name} gauge").as_str()));
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once("} ").expect("labels and a value");
            let labels = series.strip_prefix(name).and_then(|s| s.strip_prefix('{'));
            let labels = labels.unwrap_or_else(|| panic!("{line}"));
            assert!(!labels.contains(['\n', '\x1b']), "{line}");
            let value = value.parse().expect("one number");
            assert_eq!(values.insert(format!("{series}}}"), value), None, "{line}");
        }
    }
    values
}

fn metrics(sandbox: &Sandbox, name: &str) -> Values {
    parse(&sandbox.read(name))
}

/// The value of the one series with this name, and these words in its labels.
#[track_caller]
fn value(values: &Values, name: &str, words: &str) -> f64 {
    let begin = format!("{name}{{");
    let found = values.iter();
    let found: Vec<_> = found
        .filter(|(s, _)| s.starts_with(&begin) && s.contains(words))
        .collect();
    assert_eq!(found.len(), 1, "{name} {words}: {values:?}");
    *found[0].1
}

const EXIT: &str = "tasker_last_run_exit_code";
const RUN: &str = "tasker_last_run_timestamp_seconds";
const SUCCESS: &str = "tasker_last_success_timestamp_seconds";
const TASKS: &str = "tasker_last_run_tasks";
const HOSTS: &str = "tasker_last_run_hosts";

fn now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("a clock after 1970").as_secs() as f64
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

fn mode(path: &Path) -> u32 {
    path.metadata().expect("a file").mode() & 0o7777
}

/// A configuration in the sandbox, in the place where it is found.
fn configure(sandbox: &Sandbox, text: &str) -> PathBuf {
    sandbox.file(".config/tasker/tasker.conf", text)
}

/// The files in a directory of the sandbox, by name.
fn files(sandbox: &Sandbox, directory: &str) -> Vec<String> {
    let found = std::fs::read_dir(sandbox.path.join(directory)).expect("a directory");
    let mut names: Vec<String> = found
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn the_end_of_a_run_is_written_for_prometheus() {
    let sandbox = Sandbox::new();
    let tasks = "task=1\nexec=local\ncommand=sleep 0.3\n\
                 task=2\ntype=parallel\nexec=local\nhostnames=a,b,c\n\
                 command=test @hostname@ != b\nsuccess=min_success=2\n\
                 task=3\ntype=parallel\nexec=local\nhostnames=b,c,d\ncommand=true @hostname@\n\
                 task=4\nexec=local\ncondition='1' = '2'\ncommand=true\n\
                 task=5\nexec=local\ncommand=sleep 9\ntimeout=1\n";
    let before = now();
    let ran = sandbox.run(tasks, &["--metrics=out.prom", "-p", "nightly"]);
    assert_eq!(ran.code, 124, "{ran:?}");
    let values = metrics(&sandbox, "out.prom");
    let file = sandbox.path.join("tasks.txt");
    let labels = format!("{{file=\"{}\",project=\"nightly\"", file.display());
    assert!(
        values.keys().all(|series| series.contains(&labels)),
        "{values:?}"
    );
    assert_eq!(value(&values, EXIT, ""), 124.0);
    assert!((before..=now()).contains(&value(&values, RUN, "")));
    assert_eq!(value(&values, SUCCESS, ""), 0.0, "it never succeeded");
    let took = value(&values, "tasker_last_run_duration_seconds", "");
    assert!((1.3..60.0).contains(&took), "{took}");
    let of = |name: &str| -> Vec<f64> {
        let outcomes = "ok failed timeout unreachable cancelled not_started skipped unknown";
        let outcomes = outcomes.split(' ');
        outcomes
            .map(|o| value(&values, name, &format!("outcome=\"{o}\"")))
            .collect()
    };
    assert_eq!(of(TASKS), [3.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    // Each host once, by its worst outcome.
    assert_eq!(of(HOSTS), [3.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn the_last_success_is_kept_over_failed_and_refused_runs() {
    let sandbox = Sandbox::new();
    let options = ["--metrics=out.prom", "-q"];
    let good = sandbox.run(&format!("-p nightly\n{OK}"), &options);
    assert_eq!(good.code, 0, "{good:?}");
    let at = value(
        &metrics(&sandbox, "out.prom"),
        SUCCESS,
        "project=\"nightly\"",
    );
    assert!(at > now() - 60.0 && at == value(&metrics(&sandbox, "out.prom"), RUN, ""));
    // So that the time of a run differs from it.
    let earlier = sandbox
        .read("out.prom")
        .replace(&format!("}} {at}"), "} 1700000000");
    sandbox.file("out.prom", earlier);
    let failed = format!("-p weekly\n{FAILS}");
    let broken = format!("-p weekly\n{FAILS}on_failure=7\n");
    for (tasks, code, project) in [(&failed, 3.0, "weekly"), (&broken, 20.0, "weekly")] {
        let ran = sandbox.run(tasks, &options);
        assert!(!ran.stderr.contains("did not say"), "{ran:?}");
        let values = metrics(&sandbox, "out.prom");
        let labels = format!("project=\"{project}\"");
        assert_eq!(value(&values, EXIT, &labels), code);
        assert_eq!(value(&values, SUCCESS, &labels), 1_700_000_000.0);
        assert!(value(&values, RUN, &labels) > 1_700_000_000.0);
    }
    sandbox.run(OK, &options);
    assert!(value(&metrics(&sandbox, "out.prom"), SUCCESS, "project=\"\"") >= at);
}

/// Everything that can refuse a run is a run that failed, for whoever watches.
#[test]
fn a_refused_run_counts_as_a_run() {
    let sandbox = Sandbox::new();
    configure(&sandbox, "metrics=prom\n");
    sandbox.file("prom/.keep", "");
    let host = "task=1\nhostname=no-such-host.invalid\nexec=ssh\ncommand=true\n";
    let pbrun = "task=1\nhostname=127.0.0.2\nexec=pbrun\ncommand=true\n";
    let remote = "task=1\ntype=parallel\nexec=local\nhostnames=a,b\ncommand=true @hostname@\n";
    for (code, tasks, options) in [
        (2, OK, &["--limit=nobody"][..]),
        (2, OK, &["--report=tasks.txt"]),
        (12, OK, &["--resume"]),
        (12, OK, &["--plan=00000000"]),
        (12, OK, &["--start-from=9"]),
        (13, remote, &["--expect-hosts=3"]),
        (15, OK, &["--deadline=2001-01-01T00:00"]),
        (20, "task=1\ncommand\n", &[]),
        (24, "A=1\n", &[]),
        (32, OK, &["-l", "/proc/nowhere"]),
        (32, OK, &["--report=nowhere/x.html"]),
        (60, host, &[]),
        (61, pbrun, &[]),
    ] {
        let mut all = vec!["--metrics=out.prom", "-y"];
        all.extend(options);
        let ran = sandbox.run(tasks, &all);
        assert_eq!(ran.code, code, "{options:?} {ran:?}");
        let of_job = files(&sandbox, "prom")
            .into_iter()
            .find(|n| n.starts_with("tasks-"));
        for name in [
            "out.prom".into(),
            format!("prom/{}", of_job.expect("a file")),
        ] {
            let values = metrics(&sandbox, &name);
            assert_eq!(
                value(&values, EXIT, ""),
                f64::from(code),
                "{name} {options:?}"
            );
            assert_eq!(value(&values, SUCCESS, ""), 0.0);
            let tasks: f64 = values
                .iter()
                .filter(|(s, _)| s.starts_with(TASKS))
                .map(|(_, v)| v)
                .sum();
            assert_eq!(tasks, 0.0, "{name} {options:?}");
        }
        std::fs::remove_file(sandbox.path.join("out.prom")).expect("it is there");
        std::fs::remove_dir_all(sandbox.path.join("prom")).expect("it is there");
        sandbox.file("prom/.keep", "");
    }
    let ran = sandbox.output(&["-r", "--metrics=out.prom", "absent.txt"]);
    assert_eq!(ran.code, 30, "{ran:?}");
    assert_eq!(
        value(&metrics(&sandbox, "out.prom"), EXIT, "absent.txt"),
        30.0
    );
}

#[test]
fn an_active_instance_refuses_a_run_and_lock_skip_makes_none() {
    let sandbox = Sandbox::new();
    let child = sandbox.start(
        "task=1\nexec=local\ncommand=sh -c 'echo > ready; while [ ! -e go ]; do sleep 0.01; done'\n",
        &["--instance-check"],
    );
    wait_for("the first run", || sandbox.exists("ready"));
    let again = |more: &[&str]| {
        let mut all = vec!["-r", "--instance-check", "--metrics=out.prom"];
        all.extend(more);
        all.push("tasks.txt");
        sandbox.output(&all).code
    };
    assert_eq!(again(&["--lock-skip"]), 0);
    assert!(!sandbox.exists("out.prom"), "it left the work to another");
    assert_eq!(again(&[]), 25);
    assert_eq!(value(&metrics(&sandbox, "out.prom"), EXIT, ""), 25.0);
    sandbox.file("go", "");
    assert_eq!(finish(child).code, 0);
}

#[test]
fn a_run_that_a_signal_ends_has_metrics() {
    let sandbox = Sandbox::new();
    let tasks = "task=1\nexec=shell\ncommand=echo > ready; exec sleep 60\n";
    let child = sandbox.start(tasks, &["--metrics=out.prom"]);
    wait_for("the task", || sandbox.exists("ready"));
    signal(child.id(), "TERM");
    assert_eq!(finish(child).code, 143);
    let values = metrics(&sandbox, "out.prom");
    assert_eq!(value(&values, EXIT, ""), 143.0);
    assert_eq!(value(&values, TASKS, "outcome=\"cancelled\""), 1.0);
}

/// The file's own option holds for what refuses a run once the file is accepted.
#[test]
fn the_option_of_an_accepted_file_holds_for_a_refusal() {
    let sandbox = Sandbox::new();
    let tasks = format!("--metrics=out.prom\n{OK}");
    assert_eq!(sandbox.run(&tasks, &["--expect-hosts=3"]).code, 13);
    assert_eq!(value(&metrics(&sandbox, "out.prom"), EXIT, ""), 13.0);
    assert_eq!(sandbox.run(&format!("{tasks}on_failure=7\n"), &[]).code, 20);
    assert_eq!(
        value(&metrics(&sandbox, "out.prom"), EXIT, ""),
        13.0,
        "as it was"
    );
}

#[test]
fn what_is_no_run_writes_no_metrics() {
    let sandbox = Sandbox::new();
    configure(&sandbox, "metrics=prom\nsyslog=user\n");
    sandbox.file("prom/.keep", "");
    for tasks in [OK, "task=1\ncommand\n"] {
        sandbox.file("tasks.txt", tasks);
        for options in [
            &[][..],
            &["--validate-only"],
            &["-r", "--validate-only"],
            &["--assume-each-fails"],
            &["--show-recovery-info"],
        ] {
            let mut all = vec!["--metrics=out.prom", "--syslog"];
            all.extend(options);
            all.push("tasks.txt");
            let ran = sandbox.output(&all);
            assert!(!ran.stderr.contains("syslog:"), "{ran:?}");
            assert!(!sandbox.exists("out.prom"), "{options:?}");
            assert_eq!(files(&sandbox, "prom"), [".keep"], "{options:?}");
        }
    }
}

/// A date in the file makes no new series every night; other globals on the command
/// line do, and a secret counts by its name.
#[test]
fn each_job_has_a_file_of_its_own() {
    let sandbox = Sandbox::new();
    configure(&sandbox, "metrics=~/prom\n");
    sandbox.file("prom/.keep", "");
    let tasks = format!("DATE=$TODAY\nREGION=none\nA_TOKEN=none\n{OK}");
    sandbox.file("a job's tasks.txt", tasks);
    let run = |today: &str, options: &[&str]| {
        let mut all = vec!["-r"];
        all.extend(options);
        all.push("a job's tasks.txt");
        let ran = sandbox
            .tasker(&all)
            .env("TODAY", today)
            .output()
            .expect("tasker");
        assert!(ran.status.success(), "{ran:?}");
    };
    run("monday", &[]);
    run("tuesday", &[]);
    let one = files(&sandbox, "prom");
    assert_eq!(one.len(), 2, "{one:?}");
    assert!(
        one[1].starts_with("a_job_s_tasks-") && one[1].ends_with(".prom"),
        "{one:?}"
    );
    assert_eq!(one[1].len(), "a_job_s_tasks-.prom".len() + 16);
    for region in ["eu", "us \"\\\u{1b}[31m"] {
        run("monday", &["--set", &format!("REGION={region}")]);
    }
    run("monday", &["--set", "A_TOKEN=hunter2"]);
    run("monday", &["--set", "A_TOKEN=hunter3"]);
    let all = files(&sandbox, "prom");
    assert_eq!(all.len(), 5, "{all:?}");
    let texts: Vec<String> = all
        .iter()
        .map(|n| sandbox.read(&format!("prom/{n}")))
        .collect();
    let texts = texts.concat();
    assert!(!texts.contains("hunter"), "{texts}");
    for labels in [
        "tasks.txt\",project=\"\"}",
        "set=\"REGION=eu\",project=\"\"}",
        "set=\"REGION=us \\\"\\\\\\\\x1b[31m\",project=\"\"}",
        "set=\"A_TOKEN\",project=\"\"}",
    ] {
        assert!(texts.contains(labels), "{labels}: {texts}");
    }
}

#[test]
fn standard_input_has_metrics_too() {
    let sandbox = Sandbox::new();
    configure(&sandbox, "metrics=prom\n");
    sandbox.file("prom/.keep", "");
    for (tasks, code) in [(OK, 0), (FAILS, 3), ("task=1\ncommand\n", 20)] {
        let mut child = sandbox
            .tasker(&["-r", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("tasker");
        let mut input = child.stdin.take().expect("a pipe");
        input.write_all(tasks.as_bytes()).expect("it reads");
        drop(input);
        assert_eq!(finish(child).code, code);
    }
    let found = files(&sandbox, "prom");
    assert_eq!(
        found.iter().filter(|n| n.starts_with("stdin-")).count(),
        3,
        "{found:?}"
    );
}

/// Whatever the umask, another user can read the file, and nobody else can write it. The
/// mode of a file that was there is kept.
#[test]
fn the_user_of_the_exporter_can_read_the_file() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", OK);
    let run = |umask: &str| {
        let line = format!("umask {umask}; exec \"$@\"");
        let plain = sandbox.tasker(&["-r", "--metrics=out.prom", "tasks.txt"]);
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &line, "sh"])
            .arg(plain.get_program())
            .args(plain.get_args());
        shell.current_dir(&sandbox.path).env("HOME", &sandbox.path);
        let ran = shell.output().expect("tasker runs");
        assert!(ran.status.success(), "{ran:?}");
    };
    let path = sandbox.path.join("out.prom");
    for umask in ["077", "000"] {
        run(umask);
        assert_eq!(mode(&path), 0o644, "{umask}");
        std::fs::remove_file(&path).expect("it is there");
    }
    run("077");
    if is_root() {
        let mut other = Command::new("setpriv");
        other.args(["--reuid=65534", "--regid=65534", "--clear-groups", "cat"]);
        let read = other.arg(&path).output().expect("setpriv");
        assert!(
            String::from_utf8_lossy(&read.stdout).contains(EXIT),
            "{read:?}"
        );
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("a mode");
    run("022");
    assert_eq!(mode(&path), 0o640);
}

#[test]
fn what_is_not_of_this_job_is_replaced_with_a_word() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", OK);
    let options = ["--metrics=out.prom"];
    sandbox.file("other.txt", OK);
    assert_eq!(
        sandbox
            .output(&["-r", "--metrics=out.prom", "other.txt"])
            .code,
        0
    );
    let of_other = sandbox.read("out.prom");
    let damaged = of_other
        .replace("other.txt", "tasks.txt")
        .replace(SUCCESS, &format!("{SUCCESS}{{}}"));
    for (old, why) in [
        ("up 1\n".to_string(), "tasker did not write it"),
        (of_other, "it is about another job"),
        (damaged, "it is about another job"),
        ("\0\u{fffd}".to_string(), "tasker did not write it"),
    ] {
        sandbox.file("out.prom", old);
        let ran = sandbox.run(FAILS, &options);
        let word = format!(
            "tasker: warning: --metrics: `out.prom` did not say when this job last succeeded ({why}), and was replaced\n"
        );
        assert!(ran.stderr.contains(&word), "{ran:?}");
        assert!(sandbox.log().contains(why), "{}", sandbox.log());
        assert_eq!(value(&metrics(&sandbox, "out.prom"), SUCCESS, ""), 0.0);
    }
    // A file that somebody made beforehand tells nothing, and is no surprise.
    sandbox.file("out.prom", "");
    assert!(!sandbox.run(FAILS, &options).stderr.contains("did not say"));
}

#[test]
fn a_target_that_cannot_be_written_is_reported() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(OK, &["--metrics=nowhere/out.prom"]);
    assert_eq!(ran.code, 32, "before anything runs: {ran:?}");
    let named = "--metrics: cannot write `nowhere/out.prom`";
    assert_eq!(ran.stderr.matches(named).count(), 1, "{ran:?}");
    let ran = sandbox.run(OK, &["--metrics=./tasks.txt"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert_eq!(sandbox.read("tasks.txt"), OK);
    // A site's directory is no reason not to run.
    configure(&sandbox, "metrics=nowhere\n");
    for (tasks, code) in [(OK, 0), (FAILS, 3), ("task=1\ncommand\n", 20)] {
        let ran = sandbox.run(tasks, &["-q"]);
        assert_eq!(ran.code, code, "{ran:?}");
        let said = ran
            .stderr
            .matches("tasker: metrics: cannot write `")
            .count();
        assert_eq!(said, 1, "{ran:?}");
    }
    assert!(!sandbox.exists("nowhere"));
    assert!(
        sandbox.log().contains("[ERROR] metrics: cannot write"),
        "{}",
        sandbox.log()
    );
    // Nor does a link of the user's lead into nothing, or stay a link's text.
    configure(&sandbox, "");
    sandbox.file("place/real.prom", "");
    symlink("place/real.prom", sandbox.path.join("link.prom")).expect("a link");
    assert_eq!(sandbox.run(OK, &["--metrics=link.prom"]).code, 0);
    assert!(sandbox.read("place/real.prom").contains(EXIT));
    let shown = sandbox.run(OK, &["-q", "--metrics=/dev/stdout"]);
    assert_eq!(value(&parse(&shown.stdout), EXIT, ""), 0.0);
}

#[test]
fn a_configuration_that_others_can_change_names_nothing() {
    if !is_root() {
        return eprintln!("skipped: for an ordinary user it is a mere warning");
    }
    let sandbox = Sandbox::new();
    sandbox.file("prom/.keep", "");
    let path = configure(&sandbox, "metrics=prom\nsyslog=user\n");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).expect("a mode");
    let ran = sandbox.run(OK, &["--metrics=out.prom"]);
    assert_eq!(ran.code, 20, "{ran:?}");
    assert_eq!(files(&sandbox, "prom"), [".keep"]);
    assert!(!ran.stderr.contains("syslog:"), "{ran:?}");
    assert_eq!(
        value(&metrics(&sandbox, "out.prom"), EXIT, ""),
        20.0,
        "what was typed holds"
    );
}

#[test]
fn the_settings_are_checked() {
    let sandbox = Sandbox::new();
    for (line, word) in [
        ("syslog=local8", "did you mean `local0`?"),
        (
            "syslog=kern",
            "expected a syslog facility such as `user`, `cron` or `local0`, found `kern`",
        ),
        ("metrics=", "expected a directory, found nothing"),
    ] {
        configure(&sandbox, &format!("{line}\n"));
        let ran = sandbox.run(OK, &[]);
        assert_eq!(ran.code, 20, "{ran:?}");
        assert!(ran.stderr.contains(word), "{line}: {ran:?}");
    }
}

/// What watches the runs decides nothing: an interrupted run is resumed all the same.
#[test]
fn a_run_is_resumed_whatever_watches_it() {
    let sandbox = Sandbox::new();
    sandbox.file("prom/.keep", "");
    let tasks = "task=1\nexec=local\ncommand=test -e ready\n";
    assert_eq!(sandbox.run(tasks, &[]).code, 1);
    configure(&sandbox, "metrics=prom\nsyslog=cron\n");
    sandbox.file("ready", "");
    let ran = sandbox.run(tasks, &["--resume", "-q"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(files(&sandbox, "prom").len(), 2);
}

// With the programs that read it.

/// Whether a program is installed.
fn has(program: &str) -> bool {
    let found = ["/usr/bin", "/usr/sbin", "/usr/local/bin"].iter();
    let found = found
        .map(|d| Path::new(d).join(program))
        .any(|path| path.exists());
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

#[test]
fn promtool_finds_nothing() {
    if !has("promtool") {
        return;
    }
    let sandbox = Sandbox::new();
    for (tasks, options) in [
        (OK, &["-p", "P"][..]),
        (FAILS, &["--set", "A=\"\\ \u{1b}[1mé{}=,"]),
        ("task=1\ncommand\n", &[]),
    ] {
        let mut all = vec!["--metrics=out.prom"];
        all.extend(options);
        let tasks = format!("A=1\n{tasks}");
        sandbox.run(&tasks, &all);
        parse(&sandbox.read("out.prom"));
        let text = std::fs::File::open(sandbox.path.join("out.prom")).expect("metrics");
        let mut promtool = Command::new("promtool");
        let checked = promtool
            .args(["check", "metrics"])
            .stdin(text)
            .output()
            .expect("promtool");
        let said = [checked.stdout, checked.stderr].concat();
        assert!(
            checked.status.success(),
            "{}",
            String::from_utf8_lossy(&said)
        );
        assert_eq!(String::from_utf8_lossy(&said), "");
    }
}

/// The rules of the cookbook, as a file for prometheus.
fn cookbook_rules() -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/man/tasker-cookbook.7");
    let page = std::fs::read_to_string(page).expect("the page");
    let (_, rules) = page.split_once("\ngroups:\n").expect("the rules");
    let (rules, _) = rules.split_once(".Ed\n").expect("their end");
    format!("groups:\n{rules}")
}

/// The rules of the cookbook are rules.
#[test]
fn promtool_accepts_the_rules_of_the_cookbook() {
    if !has("promtool") {
        return;
    }
    let rules = cookbook_rules();
    for name in [RUN, SUCCESS, EXIT] {
        assert!(rules.contains(name), "{name}");
    }
    let sandbox = Sandbox::new();
    let path = sandbox.file("rules.yml", &rules);
    let mut promtool = Command::new("promtool");
    let checked = promtool.args(["check", "rules"]).arg(path).output();
    let checked = checked.expect("promtool");
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(said.contains("SUCCESS: 3 rules found"), "{checked:?}");
}

/// And they say what the cookbook says, with metrics as they are written.
#[test]
fn the_rules_of_the_cookbook_tell_of_a_job_without_a_success() {
    if !has("promtool") {
        return;
    }
    let rules = cookbook_rules();
    let sandbox = Sandbox::new();
    sandbox.file("rules.yml", &rules);
    sandbox.run(FAILS, &["--metrics=out.prom", "-p", "P"]);
    let text = sandbox.read("out.prom");
    let line = |name: &str| {
        text.lines()
            .find(|line| line.starts_with(name))
            .expect("a line")
    };
    // Never a success: 0, where the test's clock begins.
    let (success, at) = line(SUCCESS).rsplit_once(' ').expect("a value");
    let (exit, code) = line(EXIT).rsplit_once(' ').expect("a value");
    assert_eq!((at, code), ("0", "3"));
    let labels = |series: &str| {
        let (_, labels) = series.split_once('{').expect("labels");
        labels
            .trim_end_matches('}')
            .replace("=", ": ")
            .replace("\",", "\", ")
    };
    let test = format!(
        "rule_files: [rules.yml]\ntests:\n  - interval: 1h\n    input_series:\n      - series: '{success}'\n        \
         values: '{at}x48'\n      - series: '{exit}'\n        values: '{code}x48'\n    alert_rule_test:\n      \
         - {{eval_time: 26h, alertname: NoSuccess}}\n      \
         - eval_time: 27h\n        alertname: NoSuccess\n        exp_alerts:\n          - exp_labels: {{{}}}\n            \
         exp_annotations: {{summary: '{}: no success for 26 h'}}\n      \
         - eval_time: 1h\n        alertname: RunFailed\n        exp_alerts:\n          - exp_labels: {{{}}}\n            \
         exp_annotations: {{summary: '{}: exit code 3'}}\n",
        labels(success),
        sandbox.path.join("tasks.txt").display(),
        labels(exit),
        sandbox.path.join("tasks.txt").display(),
    );
    let path = sandbox.file("test.yml", test);
    let mut promtool = Command::new("promtool");
    let tested = promtool.args(["test", "rules"]).arg(path).output();
    let tested = tested.expect("promtool");
    let said = String::from_utf8_lossy(&[tested.stdout, tested.stderr].concat()).into_owned();
    assert!(
        tested.status.success(),
        "{said}\n{}",
        sandbox.read("test.yml")
    );
}

/// A program that is ended with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A real node_exporter with the textfile collector, as another user where that is
/// possible; and its port.
fn node_exporter(directory: &Path) -> (Server, u16) {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
    let port = port.expect("a port").port();
    let mut command = match is_root() {
        true => Command::new("setpriv"),
        false => Command::new("env"),
    };
    if is_root() {
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
    }
    let child = command
        .args(["prometheus-node-exporter", "--collector.disable-defaults"])
        .arg("--collector.textfile")
        .arg(format!(
            "--collector.textfile.directory={}",
            directory.display()
        ))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let server = Server(child.expect("node_exporter starts"));
    wait_for("node_exporter", || {
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    (server, port)
}

fn ask(port: u16) -> String {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    let request = "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n";
    connection.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn node_exporter_serves_two_jobs_of_one_file_side_by_side() {
    if !has("prometheus-node-exporter") {
        return;
    }
    let sandbox = Sandbox::new();
    configure(&sandbox, "metrics=prom\n");
    sandbox.file("prom/.keep", "");
    sandbox.file("other.txt", OK);
    let (_server, port) = node_exporter(&sandbox.path.join("prom"));
    let tasks = "REGION=none\ntask=1\nexec=local\ncommand=test @REGION@ = eu\n";
    sandbox.file("tasks.txt", tasks);
    let start = |options: &[&str]| sandbox.tasker(options).spawn().expect("tasker starts");
    let side_by_side = [
        start(&["-r", "-p", "P", "--set", "REGION=eu", "tasks.txt"]),
        start(&["-r", "-p", "P", "--set", "REGION=us", "tasks.txt"]),
        start(&["-r", "other.txt"]),
        start(&["-r", "absent.txt"]),
    ];
    let codes = side_by_side.map(|child| finish(child).code);
    assert_eq!(codes, [0, 1, 0, 30]);
    let answer = ask(port);
    assert!(answer.starts_with("HTTP/1.0 200 OK"), "{answer}");
    assert!(
        answer.contains("node_textfile_scrape_error 0\n"),
        "{answer}"
    );
    for (labels, code) in [
        ("project=\"P\",set=\"REGION=eu\"", 0),
        ("project=\"P\",set=\"REGION=us\"", 1),
        ("/other.txt\"", 0),
        ("/absent.txt\"", 30),
    ] {
        let lines = answer
            .lines()
            .filter(|l| l.starts_with(EXIT) && l.contains(labels));
        let lines: Vec<&str> = lines.collect();
        assert_eq!(lines.len(), 1, "{labels}: {answer}");
        assert!(lines[0].ends_with(&format!(" {code}")), "{lines:?}");
    }
    // The next night, one of them again.
    assert_eq!(
        finish(start(&["-r", "-p", "P", "--set", "REGION=eu", "tasks.txt"])).code,
        0
    );
    assert!(ask(port).contains("node_textfile_scrape_error 0\n"));
}

// Syslog.

/// A socket of the test as `/dev/log`.
fn bind(sandbox: &Sandbox) -> UnixDatagram {
    UnixDatagram::bind(sandbox.path.join("log")).expect("a socket")
}

/// `<PRI>Mmm dd hh:mm:ss tasker[PID]: TEXT`: the number and the text.
#[track_caller]
fn read_message(message: &str) -> (u8, &str) {
    assert!(message.len() <= 1024, "{} bytes: {message}", message.len());
    assert!(!message.contains(char::is_control), "{message:?}");
    let rest = message.strip_prefix('<').expect("a priority");
    let (priority, rest) = rest.split_once('>').expect("its end");
    let (stamp, rest) = rest.split_at(15);
    let shape: String = stamp
        .chars()
        .map(|c| {
            if c.is_ascii_digit() {
                '0'
            } else if c.is_alphabetic() {
                'a'
            } else {
                c
            }
        })
        .collect();
    assert!(
        ["aaa 00 00:00:00", "aaa  0 00:00:00"].contains(&shape.as_str()),
        "{message}"
    );
    let rest = rest.strip_prefix(" tasker[").expect("the tag");
    let (pid, text) = rest.split_once("]: ").expect("its end");
    pid.parse::<u32>().expect("a process");
    (priority.parse().expect("a number"), text)
}

#[test]
fn syslog_hears_of_begin_failures_and_end() {
    if !syslog::can_mount() {
        return;
    }
    let sandbox = Sandbox::new();
    let socket = bind(&sandbox);
    let tasks = "CHANGE=CHG-7\nA_SECRET=$WORD\n\
                 # Say @A_SECRET@\ntask=1\nexec=local\ncommand=sh -c 'exit 3' @A_SECRET@\non_failure=2\n\
                 # Ring \u{1b}[31m\u{7}the bell\ntask=2\ntype=parallel\nexec=local\nhostnames=a,b,c\n\
                 command=test @hostname@ != b\n";
    let ran = syslog::tasker(&sandbox, tasks, &["--syslog"], "log")
        .env("WORD", "hunter22")
        .output();
    let ran = support::Ran::from(ran.expect("tasker runs"));
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(!ran.stderr.contains("syslog:"), "{ran:?}");
    let messages = syslog::received(&socket);
    let messages: Vec<(u8, &str)> = messages.iter().map(|m| read_message(m)).collect();
    let all = format!("{messages:#?}");
    assert!(!all.contains("hunter22"), "{all}");
    assert_eq!(messages.len(), 5, "{all}");
    let file = sandbox.path.join("tasks.txt").display().to_string();
    let (first, last) = (messages[0], messages[4]);
    assert_eq!(first.0, 8 + 6, "user.info");
    assert!(
        first.1.starts_with("run 2") && first.1.contains(": begins: "),
        "{all}"
    );
    for word in [
        &file,
        "User id ",
        "SUDO_USER",
        "; CHANGE CHG-7",
        "plan ",
        "hosts [a-c]",
    ] {
        let word = word.replace("[a-c]", "a,b,c");
        assert!(first.1.contains(&word), "{word}: {all}");
    }
    for (priority, _) in &messages[1..] {
        assert_eq!(*priority, 8 + 3, "user.err: {all}");
    }
    assert!(
        messages[1]
            .1
            .contains("task 1: Say @A_SECRET@: failed with exit code 3 after "),
        "{all}"
    );
    assert!(messages[2].1.contains("task 2.2 on b"), "{all}");
    assert!(
        messages[3]
            .1
            .contains("task 2: Ring \\x1b[31m\\x07the bell: failed"),
        "{all}"
    );
    assert!(
        last.1
            .contains(&format!("ended: {file}: failed, exit code ")),
        "{all}"
    );
    assert!(
        last.1.contains("2 failed") && last.1.contains("; log /"),
        "{all}"
    );
}

#[test]
fn the_configuration_names_the_facility_and_a_good_run_is_info() {
    if !syslog::can_mount() {
        return;
    }
    let sandbox = Sandbox::new();
    let socket = bind(&sandbox);
    configure(&sandbox, "syslog=local0\n");
    for options in [&["-q"][..], &["-q", "--syslog"]] {
        let ran = syslog::run(&sandbox, OK, options, "log");
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        let messages = syslog::received(&socket);
        let priorities: Vec<u8> = messages.iter().map(|m| read_message(m).0).collect();
        assert_eq!(priorities, [16 * 8 + 6; 2], "{messages:?}");
    }
    // A mistake in the file, and a run without the option.
    for (tasks, options, word) in [
        ("task=1\ncommand\n", &[][..], "refused: "),
        (OK, &["--expect-hosts=7"], "exit code 13: "),
    ] {
        syslog::run(&sandbox, tasks, options, "log");
        let messages = syslog::received(&socket);
        assert_eq!(messages.len(), 1, "{messages:?}");
        assert_eq!(read_message(&messages[0]).0, 16 * 8 + 3);
        assert!(messages[0].contains(word), "{messages:?}");
    }
    configure(&sandbox, "");
    syslog::run(&sandbox, "--syslog\ntask=1\ncommand\n", &[], "log");
    assert_eq!(
        syslog::received(&socket).len(),
        0,
        "the file is not accepted"
    );
    syslog::run(&sandbox, &format!("--syslog\n{OK}"), &[], "log");
    assert_eq!(syslog::received(&socket).len(), 2);
}

#[test]
fn a_long_message_is_cut_and_no_secret_is_left_at_the_cut() {
    if !syslog::can_mount() {
        return;
    }
    let sandbox = Sandbox::new();
    let socket = bind(&sandbox);
    for fill in 800..1000 {
        if fill % 20 != 0 {
            continue;
        }
        let title = format!("{}é hunter22hunter22", "x".repeat(fill));
        let tasks = format!("A_SECRET=hunter22hunter22\n# {title}\n{FAILS}");
        let tasks = tasks.replace("exit 3'", "exit 3' @A_SECRET@");
        syslog::run(&sandbox, &tasks, &["-q", "--syslog"], "log");
        let messages = syslog::received(&socket);
        assert_eq!(messages.len(), 3, "{messages:?}");
        for message in &messages {
            read_message(message);
            assert!(!message.contains("hunt"), "{message}");
        }
    }
}

/// A stream, whose messages are lines; one that nobody accepts from keeps no run waiting.
#[test]
fn a_stream_socket_gets_lines() {
    if !syslog::can_mount() {
        return;
    }
    let sandbox = Sandbox::new();
    let listener = UnixListener::bind(sandbox.path.join("log")).expect("a socket");
    let ran = syslog::run(&sandbox, FAILS, &["-q", "--syslog"], "log");
    assert!(!ran.stderr.contains("syslog:"), "{ran:?}");
    let (stream, _) = listener.accept().expect("a connection");
    let lines: Vec<String> = BufReader::new(stream)
        .lines()
        .map(|l| l.expect("text"))
        .collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    let urgency: Vec<u8> = lines.iter().map(|l| read_message(l).0).collect();
    assert_eq!(urgency, [14, 11, 11]);
}

/// One warning, in the log too, and the run is as it would be without.
#[test]
fn a_syslog_that_is_not_there_is_one_warning() {
    if !syslog::can_mount() {
        return;
    }
    let sandbox = Sandbox::new();
    for (options, said) in [(&["--syslog"][..], 1), (&["--syslog", "-q"], 0)] {
        let ran = syslog::run(&sandbox, FAILS, options, "log");
        assert_eq!(ran.code, 3, "{ran:?}");
        let warning = "syslog: cannot send to /dev/log: No such file or directory";
        assert_eq!(ran.stderr.matches(warning).count(), said, "{ran:?}");
        let logged = sandbox.log();
        assert_eq!(
            logged.matches(&format!("[WARN] {warning}")).count(),
            1,
            "{logged}"
        );
    }
    // What is there, and is no socket or not its user's.
    sandbox.file("log", "");
    let ran = syslog::run(&sandbox, OK, &["--syslog"], "log");
    assert_eq!(
        (ran.code, ran.stderr.matches("syslog:").count()),
        (0, 1),
        "{ran:?}"
    );
}

/// A syslogd that is there and takes nothing: more failures than its queue holds.
#[test]
fn a_syslogd_that_hangs_keeps_no_run_waiting() {
    if !syslog::can_mount() {
        return;
    }
    let sandbox = Sandbox::new();
    let socket = bind(&sandbox);
    let tasks =
        "task=1\ntype=parallel\nexec=local\nhostnames=h[1-1500]\ncommand=false @hostname@\n";
    let began = Instant::now();
    let ran = syslog::run(&sandbox, tasks, &["--syslog", "-q"], "log");
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(ran.code, 10, "{}", ran.stderr);
    let logged = sandbox.log();
    let warnings: Vec<&str> = logged.lines().filter(|l| l.contains("syslog: ")).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("messages lost: /dev/log takes no more"),
        "{warnings:?}"
    );
    drop(socket);
}

/// What is sent while syslogd is restarted arrives at the new one.
#[test]
fn a_socket_that_is_made_anew_is_found_again() {
    if !syslog::can_mount() {
        return;
    }
    let sandbox = Sandbox::new();
    let socket = bind(&sandbox);
    let child = syslog::tasker(&sandbox, GAP, &["--syslog", "-q"], "log")
        .spawn()
        .expect("tasker");
    wait_for("the first failure", || sandbox.exists("ready"));
    let before = syslog::received(&socket);
    drop(socket);
    std::fs::remove_file(sandbox.path.join("log")).expect("the old socket");
    sandbox.file("gap", "");
    wait_for("the failure in the gap", || sandbox.exists("passed"));
    let socket = bind(&sandbox);
    sandbox.file("go", "");
    let ran = finish(child);
    let after = syslog::received(&socket);
    let texts: Vec<&str> = before
        .iter()
        .chain(&after)
        .map(|m| read_message(m).1)
        .collect();
    for word in ["begins", "task 1:", "task 3:", "task 5:", "ended"] {
        let found = texts.iter().filter(|text| text.contains(word)).count();
        assert_eq!(found, 1, "{word}: {texts:#?} {ran:?}");
    }
    assert_eq!(
        sandbox.log().matches("[WARN] syslog: ").count(),
        1,
        "one word about the gap"
    );
}

/// Fails, waits for `gap`, fails, waits for `go`, fails.
const GAP: &str = "\
-k
task=1
exec=local
command=false
task=2
exec=local
command=sh -c 'echo > ready; while [ ! -e gap ]; do sleep 0.01; done'
task=3
exec=local
command=false
task=4
exec=local
command=sh -c 'echo > passed; while [ ! -e go ]; do sleep 0.01; done'
task=5
exec=local
command=false
";

#[test]
fn a_real_rsyslogd_gets_every_message_also_after_its_restart() {
    if !syslog::can_mount() {
        return;
    }
    for log in ["log", "stream"] {
        let sandbox = Sandbox::new();
        configure(&sandbox, "syslog=local3\n");
        let Some(first) = Rsyslogd::start(&sandbox) else {
            return;
        };
        let child = syslog::tasker(&sandbox, GAP, &["-q"], log)
            .spawn()
            .expect("tasker starts");
        wait_for("the first failure", || sandbox.exists("ready"));
        wait_for("its message", || {
            sandbox.read("messages").contains("task 1")
        });
        first.stop();
        sandbox.file("gap", "");
        wait_for("the failure in the gap", || sandbox.exists("passed"));
        let _second = Rsyslogd::start(&sandbox);
        sandbox.file("go", "");
        let (pid, ran) = (child.id(), finish(child));
        assert_eq!(ran.code, 1, "{ran:?}");
        wait_for("the last message", || {
            sandbox.read("messages").contains(" ended: ")
        });
        let messages = sandbox.read("messages");
        let mut lines = messages.lines();
        for (severity, word) in [
            ("info", "begins: "),
            ("err", "task 1: "),
            ("err", "task 3: "),
            ("err", "task 5: "),
            ("err", "ended: "),
        ] {
            let line = lines
                .next()
                .unwrap_or_else(|| panic!("{log} {word}: {messages}"));
            let begin = format!("local3.{severity} tasker {pid}:");
            assert!(
                line.starts_with(&begin) && line.contains(word),
                "{log}: {messages}"
            );
        }
        assert_eq!(lines.next(), None, "{log}: {messages}");
    }
}

/// A stopped syslogd, as in a debugger or on a full disk.
#[test]
fn a_stopped_rsyslogd_keeps_no_run_waiting() {
    if !syslog::can_mount() {
        return;
    }
    let sandbox = Sandbox::new();
    let Some(daemon) = Rsyslogd::start(&sandbox) else {
        return;
    };
    signal(daemon.id(), "STOP");
    for log in ["log", "stream"] {
        let began = Instant::now();
        let ran = syslog::run(&sandbox, FAILS, &["-q", "--syslog"], log);
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{log}: {:?}",
            began.elapsed()
        );
        assert_eq!(ran.code, 3, "{ran:?}");
    }
    signal(daemon.id(), "CONT");
    wait_for("what it had not read", || {
        sandbox.read("messages").matches(" ended: ").count() == 2
    });
}
