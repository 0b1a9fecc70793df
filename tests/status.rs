//! What earlier and active runs report about themselves (SPEC §6.3, §6.6).

mod support;

use std::process::Command;
use support::neutral::without_numbers;
use support::{Ran, Sandbox, finish, run_of, signal, wait_for};

fn tasker(sandbox: &Sandbox, arguments: &[&str]) -> Ran {
    sandbox.output(arguments)
}

// The project summary.

/// What a run that was killed had begun to write is named, and nothing else is.
#[test]
fn half_written_files_are_named() {
    let sandbox = Sandbox::new();
    sandbox.run("task=1\nexec=local\ncommand=true\n", &[]);
    let before = sandbox.output(&["--status"]);
    assert!(!before.stdout.contains("was killed"), "{before:?}");
    sandbox.file("TASKER/state/.tasker-0123456789abcdef.tmp", "half");
    sandbox.file("TASKER/state/20260101_000000-abcdefgh.journal.new", "");
    let ran = sandbox.output(&["--status"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for name in [
        ".tasker-0123456789abcdef.tmp`",
        "20260101_000000-abcdefgh.journal.new`",
    ] {
        assert!(ran.stdout.contains(name), "{name}: {ran:?}");
    }
    assert_eq!(ran.stdout.matches("was killed while it wrote").count(), 2);
}

#[test]
fn a_project_is_a_table_with_totals() {
    let sandbox = Sandbox::new();
    sandbox.file("good.txt", "task=1\nexec=local\ncommand=true\n");
    sandbox.file("bad.txt", "task=5\nexec=shell\ncommand=exit 3\n");
    for (file, code) in [("good.txt", 0), ("bad.txt", 3), ("good.txt", 0)] {
        let ran = tasker(&sandbox, &["-rq", "-p", "nightly", file]);
        assert_eq!(ran.code, code, "{ran:?}");
    }
    let ran = tasker(&sandbox, &["--project-summary", "nightly"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 5, "{ran:?}");
    let columns = [
        "Timestamp",
        "Task_File",
        "Final_Task",
        "Final_Host",
        "Exit_Code",
        "Status",
        "Log_File",
    ];
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>(),
        columns,
        "{ran:?}"
    );
    // Each cell begins where its column does.
    for line in &lines[1..4] {
        for name in columns {
            let at = lines[0].find(name).expect("a column");
            assert!(line[..at].ends_with("  ") || at == 0, "{name}: {line}");
            assert!(!line[at..].starts_with(' '), "{name}: {line}");
        }
    }
    assert!(lines[2].contains("bad.txt") && lines[2].contains("FAILED"));
    let (stamp, _) = lines[2].split_at(19);
    assert_eq!(
        lines[4],
        format!("3 runs: 2 SUCCESS, 1 FAILED; last failure {stamp} bad.txt at task 5 (exit 3)")
    );
    // From any directory, with each way to name the log directory.
    let elsewhere = Sandbox::new();
    let logs = sandbox.path.join("TASKER").display().to_string();
    let conf = elsewhere.file("conf", format!("log_dir={logs}\n"));
    let conf = conf.display().to_string();
    for options in [["-l", &logs], ["--config", &conf]] {
        let found = tasker(
            &elsewhere,
            &[&options[..], &["--project-summary=nightly"]].concat(),
        );
        assert_eq!((found.code, &found.stdout), (0, &ran.stdout), "{found:?}");
    }
    let mut command = elsewhere.tasker(&["--project-summary", "nightly"]);
    let found = command.env("TASK_EXECUTOR_LOG", &logs).output();
    assert_eq!(Ran::from(found.expect("tasker runs")).stdout, ran.stdout);
    assert!(!elsewhere.exists("TASKER"), "nothing is written");
}

#[test]
fn damaged_lines_of_a_project_are_reported_and_lose_no_run() {
    let sandbox = Sandbox::new();
    let name = "TASKER/logs/project_P_summary.log";
    let good = "2024-01-15 14:30:15 | deploy.txt | 5 | web01 | 3 | FAILED | /l/tasker_1.log";
    let header = "Timestamp | Task_File | Final_Task | Final_Host | Exit_Code | Status | Log_File";
    let hostile = b"\x1b]52;c;aGk=\x07 | \xff | x";
    let cut = &good[..30];
    let text = [
        header.as_bytes(),
        good.as_bytes(),
        hostile,
        header.as_bytes(),
        cut.as_bytes(),
    ];
    sandbox.file(name, text.join(&b'\n'));
    let ran = tasker(&sandbox, &["--project-summary", "P"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stdout.contains(
            "\n1 run: 0 SUCCESS, 1 FAILED; last failure 2024-01-15 14:30:15 deploy.txt at task 5 (exit 3)\n\
             2 lines of the file cannot be read as a run:\n  line 3: \\x1b]52;c;aGk=\\x07 | \u{fffd} | x\n  line 5: "
        ),
        "{ran:?}"
    );
    assert!(
        ran.stdout.ends_with(&format!("  line 5: {cut}\n")),
        "{ran:?}"
    );
    // The next run begins a new line.
    sandbox.run("task=1\nexec=local\ncommand=true\n", &["-q", "-p", "P"]);
    let ran = tasker(&sandbox, &["--project-summary", "P"]);
    assert!(
        ran.stdout.contains("\n2 runs: 1 SUCCESS, 1 FAILED;"),
        "{ran:?}"
    );
    assert!(ran.stdout.contains("\n2 lines of the file"), "{ran:?}");
}

#[test]
fn an_unknown_project_is_refused_with_the_known_ones() {
    let sandbox = Sandbox::new();
    let none = tasker(&sandbox, &["--project-summary", "P"]);
    assert_eq!(none.code, 2, "{none:?}");
    let directory = sandbox.path.join("TASKER").display().to_string();
    let missing = |name| format!("tasker: error: there is no project `{name}` in `{directory}`\n");
    assert!(none.stderr.starts_with(&missing("P")), "{none:?}");
    for name in ["nightly", "backup"] {
        sandbox.file(&format!("TASKER/logs/project_{name}_summary.log"), "");
    }
    let near = tasker(&sandbox, &["--project-summary", "nihgtly"]);
    assert_eq!(near.code, 2, "{near:?}");
    assert_eq!(
        near.stderr,
        missing("nihgtly")
            + "     = help: did you mean `nightly`?\n     = note: existing projects: backup, nightly\n"
    );
    let empty = tasker(&sandbox, &["--project-summary", "backup"]);
    assert_eq!((empty.code, empty.stdout.as_str()), (0, "no runs\n"));
}

#[test]
fn project_summary_is_used_alone() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", "task=1\nexec=local\ncommand=true\n");
    for (arguments, why) in [
        (
            &["--project-summary", "P", "tasks.txt"][..],
            "`--project-summary` reads no task file; leave `tasks.txt` out",
        ),
        (
            &["-r", "--project-summary", "P"],
            "`--run` and `--project-summary` do not go together",
        ),
        (
            &["--project-summary", "../P"],
            "--project-summary: expected a name of letters",
        ),
        (
            &["--project-summary"],
            "`--project-summary` needs a value: NAME",
        ),
        (
            &["--config", "none", "--project-summary", "P"],
            "the configuration `none` does not exist",
        ),
    ] {
        let ran = tasker(&sandbox, arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
        assert!(
            ran.stderr.starts_with(&format!("tasker: error: {why}")),
            "{ran:?}"
        );
    }
    sandbox.file("conf", "log_dri=here\n");
    let ran = tasker(&sandbox, &["--config", "conf", "--project-summary", "P"]);
    assert_eq!(ran.code, 20, "{ran:?}");
    assert!(ran.stderr.contains("did you mean `log_dir`?"), "{ran:?}");
}

// The status.

/// What `--status` prints with these words, in this sandbox.
fn status(sandbox: &Sandbox, words: &[&str]) -> Ran {
    tasker(sandbox, &[&["--status"], words].concat())
}

/// The same once it contains this part: a command is recorded in the journal
/// shortly after it starts, and shortly after it ends.
#[track_caller]
fn status_with(sandbox: &Sandbox, words: &[&str], part: &str) -> String {
    let mut last = String::new();
    wait_for(part, || {
        let ran = status(sandbox, words);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
        last = ran.stdout;
        last.contains(part)
    });
    last
}

/// The id of the only run.
fn run_id(sandbox: &Sandbox) -> String {
    let journal = sandbox.journals().remove(0);
    run_of(&journal)
}

/// A command that waits until something is written to `gate`.
const WAITS: &str = "read line <gate";

fn make_gate(sandbox: &Sandbox) {
    let path = sandbox.path.join("gate");
    let made = Command::new("mkfifo").arg(path).status();
    assert!(made.expect("mkfifo runs").success());
}

/// Two tasks, then a block over hosts: two have ended, two are waiting, the others
/// are left.
fn busy_tasks() -> String {
    format!(
        "task=1\nexec=shell\ncommand=true\ntask=2\nexec=shell\ncommand=exit 3\nnext=always\n\
         task=10\ndescription=deploy\ntype=parallel\nhostnames=web[01-09]\nexec=shell\n\
         max_parallel=2\n\
         command=case @hostname@ in web01) ;; web02) exit 4;; *) {WAITS};; esac\n\
         task=20\nexec=shell\ncommand=true\n"
    )
}

#[test]
fn an_active_run_is_shown_from_anywhere_and_left_alone() {
    let sandbox = Sandbox::new();
    make_gate(&sandbox);
    let child = sandbox.start(&busy_tasks(), &[]);
    status_with(
        &sandbox,
        &[],
        "2/9 done (1 ok, 1 failed), 2 running, 5 left",
    );
    let before = std::fs::read(&sandbox.journals()[0]).expect("a journal");
    let elsewhere = Sandbox::new();
    let (home, pid) = (sandbox.path.display().to_string(), child.id());
    let logs = format!("{home}/TASKER");
    let ran = tasker(&elsewhere, &["-l", &logs, "--status"]);
    let expected = format!(
        "run {} of {home}/tasks.txt: live, process {pid}, since TIME (0:00)
  2 of 4 tasks done: 1 ok, 1 failed; 1 in progress, 1 left
  failed: task 2 (exit 3)
  task 10: deploy, 2/9 done (1 ok, 1 failed), 2 running, 5 left
    failed: web02
    web03 since 00:00:00 (0:00)
    web04 since 00:00:00 (0:00)
  log: {logs}/logs/tasker_1_1.log
",
        run_id(&sandbox)
    );
    let expected = expected.replace("TIME", "2026-11-24 13:26:41");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert_eq!(without_numbers(&ran.stdout), without_numbers(&expected));
    assert!(
        ran.stdout.contains(&format!("live, process {pid}, ")),
        "{ran:?}"
    );
    for host in ["web02\n", "web03 since ", "web04 since "] {
        assert!(ran.stdout.contains(host), "{host}: {ran:?}");
    }
    let after = std::fs::read(&sandbox.journals()[0]).expect("a journal");
    assert!(
        before == after && !elsewhere.exists("TASKER"),
        "only looked"
    );
    signal(child.id(), "TERM");
    let ended = finish(child);
    assert_eq!(ended.code, 143, "{ended:?}");
    // By its file, from any directory: the commands that the signal ended are
    // named.
    let file = format!("{home}/tasks.txt");
    let ran = tasker(&elsewhere, &["-l", &logs, "--status", &file]);
    for part in [
        ": dead, began ",
        "\n  stopped at task 10 with exit code 143\n",
        "\n  2 of 4 tasks done: 1 ok, 1 failed; 2 left\n",
        "task 10: deploy, 2/9 done (1 ok, 1 failed), 7 left\n",
        "  ended with the run, to be run again:\n    web03 since ",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {ran:?}");
    }
}

/// The command line that goes on with the run that is shown.
#[track_caller]
fn go_on(shown: &str) -> String {
    let mut lines = shown.lines().filter(|l| l.starts_with("  to "));
    let line = lines.next_back().and_then(|l| l.split_once(": "));
    line.unwrap_or_else(|| panic!("{shown}")).1.to_string()
}

#[test]
fn a_single_task_is_shown_with_its_title_and_without_secrets() {
    let sandbox = Sandbox::new();
    make_gate(&sandbox);
    let text = format!(
        "SECRET_A=correct-horse\nPIN_KEY=123\ntask=1\nexec=shell\n\
         description=ask @SECRET_A@ and @PIN_KEY@ at correct-horse\ncommand=echo @SECRET_A@; {WAITS}\n"
    );
    let child = sandbox.start(&text, &["--set", "SECRET_A=battery-staple"]);
    let shown = status_with(&sandbox, &[], "task 1: ");
    assert!(
        shown.contains("  task 1: ask *** and *** at correct-horse since "),
        "{shown}"
    );
    let journal = std::fs::read(&sandbox.journals()[0]).expect("a journal");
    assert!(!String::from_utf8_lossy(&journal).contains("battery"));
    sandbox.kill(child);
    let ran = status(&sandbox, &["tasks.txt"]);
    let journal = sandbox.journals().remove(0);
    let id = run_of(&journal);
    for part in [
        "\n  was killed, or the machine went down\n",
        "\n  0 of 1 task done; 1 unknown, 0 left\n",
        "\n  running when it died (outcome not known):\n    task 1: ask *** and *** ",
        &format!("-r --resume={id} --set SECRET_A=... tasks.txt\n"),
    ] {
        assert!(ran.stdout.contains(part), "{part}: {ran:?}");
    }
    assert!(!ran.stdout.contains("battery"), "{ran:?}");
}

#[test]
fn a_run_that_was_killed_in_a_block_is_resumed_as_reported() {
    let sandbox = Sandbox::new();
    make_gate(&sandbox);
    let child = sandbox.start(&busy_tasks(), &[]);
    status_with(&sandbox, &[], "2 running, 5 left");
    sandbox.kill(child);
    let ran = status(&sandbox, &["tasks.txt"]);
    for part in [
        "\n  2 of 4 tasks done: 1 ok, 1 failed; 1 unknown, 1 left\n",
        "\n  task 10: deploy, 2/9 done (1 ok, 1 failed), 2 unknown, 5 left\n",
        "\n    running when it died (outcome not known):\n      web03 since ",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {ran:?}");
    }
    let child = sandbox
        .tasker(&["-r", "--resume", "tasks.txt"])
        .spawn()
        .expect("tasker starts");
    status_with(
        &sandbox,
        &[],
        &format!(": live, process {}, resumed ", child.id()),
    );
    let shown = status_with(
        &sandbox,
        &[],
        "2/9 done (1 ok, 1 failed), 2 running, 5 left",
    );
    assert!(shown.contains("\n  task 10: deploy, 2/9 done "), "{shown}");
    sandbox.kill(child);
}

#[test]
fn a_run_held_by_another_process_is_not_reported_as_dead() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run("task=5\nexec=shell\ncommand=exit 3\n", &["-q"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    let journal = std::fs::File::open(&sandbox.journals()[0]).expect("a journal");
    journal.lock().expect("the lock");
    let ran = status(&sandbox, &[]);
    assert!(
        ran.stdout.contains(" (not visible here), since "),
        "{ran:?}"
    );
    drop(journal);
    assert!(status(&sandbox, &[]).stdout.contains(": dead, "));
}

#[test]
fn members_and_retries_of_a_block_are_distinguished() {
    let sandbox = Sandbox::new();
    make_gate(&sandbox);
    let text = format!(
        "task=1\ntype=parallel\ntasks=2,3,4\n\
         task=2\nexec=shell\nretry_count=1\nretry_delay=1h\ncommand=exit 5\n\
         task=3\ndescription=wait\nexec=shell\ncommand={WAITS}\n\
         task=4\nexec=shell\ncommand=true\n"
    );
    let child = sandbox.start(&text, &[]);
    let shown = status_with(
        &sandbox,
        &[],
        "task 1, 1/3 done (1 ok), 1 running, 1 waiting for a retry, 0 left",
    );
    assert!(shown.contains("\n    task 3: wait since "), "{shown}");
    assert!(
        shown.contains("\n  1 of 4 tasks done: 1 ok; 3 in progress, 0 left\n"),
        "{shown}"
    );
    sandbox.kill(child);
}

#[test]
fn the_longest_running_of_many_are_named() {
    let sandbox = Sandbox::new();
    make_gate(&sandbox);
    let text = format!(
        "task=1\ntype=parallel\nhostnames=h[1-25]\nexec=shell\nmax_parallel=25\ncommand={WAITS}\n"
    );
    let child = sandbox.start(&text, &[]);
    let shown = status_with(&sandbox, &[], "0/25 done, 25 running, 0 left");
    let named: Vec<&str> = shown
        .lines()
        .filter_map(|l| l.strip_prefix("    h")?.split(' ').next())
        .collect();
    let first: Vec<String> = (1..=20).map(|n: u32| n.to_string()).collect();
    assert_eq!(named, first, "{shown}");
    assert!(
        shown.contains("\n    and 5 more, started later\n"),
        "{shown}"
    );
    sandbox.kill(child);
}

#[test]
fn dead_runs_have_a_line_each_newest_first() {
    let sandbox = Sandbox::new();
    let none = status(&sandbox, &[]);
    assert_eq!((none.code, none.stderr.as_str()), (0, ""), "{none:?}");
    assert!(
        none.stdout
            .starts_with("no run is active, and none has left a journal, in `"),
        "{none:?}"
    );
    assert!(!sandbox.exists("TASKER"), "nothing is made");
    let stops = "task=5\nexec=shell\ncommand=exit 3\n";
    let returns = "task=6\nexec=shell\ncommand=exit 4\nreturn=7\n";
    for (name, text, code) in [("a.txt", stops, 3), ("b.txt", returns, 7), ("c.txt", "", 0)] {
        let text = match text {
            "" => "task=1\nexec=local\ncommand=true\n",
            text => text,
        };
        sandbox.file(name, text);
        assert_eq!(tasker(&sandbox, &["-rq", name]).code, code);
    }
    let ran = status(&sandbox, &[]);
    let home = sandbox.path.display();
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "a success leaves none: {ran:?}");
    let line = format!("of {home}/b.txt: dead, reached its end at task 6 with exit code 7");
    assert!(lines[0].ends_with(&line), "{ran:?}");
    let line = format!("of {home}/a.txt: dead, stopped at task 5 with exit code 3");
    assert!(lines[1].ends_with(&line), "{ran:?}");
    let over = status(&sandbox, &["b.txt"]).stdout;
    assert_eq!(sandbox.type_in(&go_on(&over)).code, 7, "{over}");
    let failed = status(&sandbox, &["a.txt"]).stdout;
    assert_eq!(sandbox.type_in(&go_on(&failed)).code, 3, "{failed}");
    assert!(failed.contains("\n  failed: task 5 (exit 3)\n"), "{failed}");
}

#[test]
fn a_run_is_found_by_its_id_or_a_prefix() {
    let sandbox = Sandbox::new();
    for name in ["a.txt", "b.txt"] {
        sandbox.file(name, "task=5\nexec=shell\ncommand=exit 3\n");
        assert_eq!(tasker(&sandbox, &["-rq", name]).code, 3);
    }
    let ids: Vec<String> = sandbox.journals().iter().map(|p| run_of(p)).collect();
    let of = |id: &str| status(&sandbox, &[id]).stdout;
    let whole = of(&ids[0]);
    assert!(whole.starts_with(&format!("run {} of ", ids[0])), "{whole}");
    // The last digit differs, or one is longer: everything before that is shared.
    let shared = ids[0]
        .bytes()
        .zip(ids[1].bytes())
        .take_while(|(a, b)| a == b);
    let shared = shared.count();
    if shared < ids[0].len() {
        assert_eq!(of(&ids[0][..=shared]), whole);
    }
    let option = tasker(&sandbox, &[&format!("--status={}", ids[0])]);
    assert_eq!(option.stdout, whole);
    let many = status(&sandbox, &[&ids[0][..4]]);
    assert_eq!((many.code, many.stdout.as_str()), (12, ""), "{many:?}");
    let unknown = status(&sandbox, &["c.txt"]);
    assert_eq!((unknown.code, unknown.stdout.as_str()), (12, ""));
    assert!(
        unknown
            .stderr
            .contains("error: there is no run `c.txt` in "),
        "{unknown:?}"
    );
    for ran in [many, unknown] {
        for id in &ids {
            assert!(ran.stderr.contains(&format!("\nrun {id} of ")), "{ran:?}");
        }
    }
    for (words, why) in [
        (
            &["--status=1", "2"][..],
            "expected one run, found `1` and `2`",
        ),
        (
            &["--status", "1", "2"],
            "expected one task file, found `2` as well",
        ),
        (
            &["-r", "--status"],
            "`--run` and `--status` do not go together",
        ),
    ] {
        let ran = tasker(&sandbox, words);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.stderr.contains(why), "{ran:?}");
    }
    // A file that was removed is still known by its path.
    std::fs::remove_file(sandbox.path.join("b.txt")).expect("removed");
    assert!(of("b.txt").contains("/b.txt: dead"), "{}", of("b.txt"));
}

#[test]
fn a_torn_journal_is_shown_and_a_damaged_one_reported() {
    let sandbox = Sandbox::new();
    sandbox.run("task=5\nexec=shell\ncommand=exit 3\n", &["-q"]);
    let journal = sandbox.journals().remove(0);
    let bytes = std::fs::read(&journal).expect("a journal");
    let write = |bytes: &[u8]| std::fs::write(&journal, bytes).expect("a journal");
    // The end of the flow and everything after it is cut off.
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let flow = text.find(" flow\t").expect("the end of the flow");
    write(&bytes[..flow]);
    let ran = status(&sandbox, &["tasks.txt"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert!(
        ran.stdout
            .contains("\n  1 of 1 task done: 1 failed; 0 left\n")
            && ran.stdout.contains("was killed"),
        "{ran:?}"
    );
    assert_eq!(std::fs::read(&journal).expect("a journal"), bytes[..flow]);
    let mut damaged = bytes.clone();
    damaged[flow + 2] ^= 1;
    write(&damaged);
    let ran = status(&sandbox, &[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let id = run_id(&sandbox);
    let line = format!("run {id}: dead, but its journal cannot be read: its record ");
    assert!(ran.stdout.starts_with(&line), "{ran:?}");
    assert_eq!(ran.stdout.lines().count(), 1, "{ran:?}");
    assert_eq!(status(&sandbox, &[&id]).code, 12);
    for length in [0, 5, 20] {
        write(&bytes[..length]);
        let ran = status(&sandbox, &[]);
        assert!(
            ran.stdout.ends_with("it ends before anything was run\n"),
            "{ran:?}"
        );
    }
    // A directory that cannot be listed is not reported as empty.
    std::fs::remove_dir_all(sandbox.path.join("TASKER/state")).expect("removed");
    sandbox.file("TASKER/state", "a file");
    let ran = status(&sandbox, &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (32, ""), "{ran:?}");
}

/// A journal has the path as it was named; by another name it is the same file.
#[test]
fn a_run_is_found_by_each_name_of_its_file() {
    let sandbox = Sandbox::new();
    sandbox.file("release-7/t.txt", "task=1\nexec=local\ncommand=false\n");
    std::os::unix::fs::symlink("release-7", sandbox.path.join("current")).expect("a link");
    assert_eq!(sandbox.output(&["-r", "current/t.txt"]).code, 1);
    for name in [
        "current/t.txt",
        "release-7/t.txt",
        "./release-7/../current/t.txt",
    ] {
        let ran = status(&sandbox, &[name]);
        assert_eq!(ran.code, 0, "{name}: {ran:?}");
        assert!(
            ran.stdout.contains("/current/t.txt: dead"),
            "{name}: {ran:?}"
        );
    }
    // Each name is a work of its own, and so is its newest run.
    assert_eq!(sandbox.output(&["-r", "release-7/t.txt"]).code, 1);
    for name in ["current/t.txt", "release-7/t.txt"] {
        let ran = status(&sandbox, &[name]);
        assert!(
            ran.stdout.contains(&format!("/{name}: dead")),
            "{name}: {ran:?}"
        );
    }
}

/// tasker as process 1 of a container, with these arguments.
fn in_container(sandbox: &Sandbox, arguments: &[&str]) -> std::process::Command {
    let tasker = sandbox.tasker(arguments);
    let mut command = std::process::Command::new("unshare");
    command
        .args(["--pid", "--fork", "--mount-proc", "--"])
        .arg(tasker.get_program())
        .args(tasker.get_args())
        .current_dir(&sandbox.path)
        .env_clear()
        .envs(tasker.get_envs().filter_map(|(n, v)| Some((n, v?))))
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    command
}

/// Process 1 of a container is not process 1 of the machine, nor of another container; and
/// while it lives, nobody takes its run for dead.
#[test]
fn a_run_in_a_container_is_live_or_dead_wherever_it_is_looked_at() {
    let sandbox = Sandbox::new();
    let probe = in_container(&sandbox, &["--version"]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        println!("skipped: no PID namespaces here");
        return;
    }
    make_gate(&sandbox);
    sandbox.file(
        "tasks.txt",
        format!("task=1\nexec=shell\ncommand={WAITS}\n"),
    );
    let arguments = [
        "-r",
        "-q",
        "--auto-recovery",
        "--instance-check",
        "tasks.txt",
    ];
    let container = in_container(&sandbox, &arguments)
        .spawn()
        .expect("unshare runs");
    let path = format!("/proc/{0}/task/{0}/children", container.id());
    let children = || std::fs::read_to_string(&path).unwrap_or_default();
    let tasker = || children().trim().parse::<u32>().ok();
    wait_for("the container", || tasker().is_some());
    let tasker = tasker().expect("a process");
    let here = format!(": live, process {tasker} (1 in its container), since ");
    status_with(&sandbox, &[], &here);
    status_with(&sandbox, &[], "1 in progress, 0 left");
    let within = in_container(&sandbox, &["--status"]).output();
    let within = support::Ran::from(within.expect("tasker runs"));
    let elsewhere = ": live, process 1 (not visible here), since ";
    assert!(within.stdout.contains(elsewhere), "{within:?}");
    for (is_within, options) in [
        (false, &arguments[..]),
        (true, &arguments),
        (false, &["-r", "--instance-check", "tasks.txt"]),
        (false, &["-r", "--resume", "tasks.txt"]),
    ] {
        let ran = match is_within {
            true => in_container(&sandbox, options).output(),
            false => sandbox.tasker(options).output(),
        };
        let ran = support::Ran::from(ran.expect("tasker runs"));
        assert_eq!(ran.code, 25, "{options:?}: {ran:?}");
        assert!(ran.stderr.contains(" is active: process 1 on "), "{ran:?}");
        assert!(ran.stderr.contains(" (PID namespace "), "{ran:?}");
    }
    support::signal(tasker, "KILL");
    support::finish(container);
    let dead = status(&sandbox, &[]);
    assert!(dead.stdout.contains(": dead, was killed"), "{dead:?}");
    let within = in_container(&sandbox, &["--status"]).output();
    let within = support::Ran::from(within.expect("tasker runs"));
    assert_eq!(within.stdout, dead.stdout);
}
