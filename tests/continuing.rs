//! Going on with an earlier run: which one, with what, and what of it is done again
//! (SPEC §6.4, §3.7).

mod support;

use support::neutral::neutral;
use support::{Ran, Sandbox, finish, run_of, signal, wait_for};

/// A shell task that records in `effects` that it ran, then does the rest.
fn task(id: u32, rest: &str) -> String {
    format!("task={id}\nexec=shell\ncommand=echo {id} >>effects; {rest}\n")
}

/// The same on each host.
fn block(id: u32, hosts: &str, rest: &str) -> String {
    format!(
        "task={id}\ntype=parallel\nhostnames={hosts}\nexec=shell\n\
         command=echo {id}-@hostname@ >>effects; {rest}\n"
    )
}

/// A handler that only reports, and ends the run with 5.
fn report(id: u32) -> String {
    task(id, "true") + "return=5\n"
}

/// What was done since this was last asked, sorted.
fn sorted(sandbox: &Sandbox) -> String {
    sorted_words(&in_order(sandbox))
}

/// What was done since this was last asked.
fn in_order(sandbox: &Sandbox) -> String {
    let effects = sandbox.read("effects");
    sandbox.file("effects", "");
    effects.lines().collect::<Vec<&str>>().join(" ")
}

/// Runs `tasks.txt` again without changing it.
fn again(sandbox: &Sandbox, options: &[&str]) -> Ran {
    sandbox.output(&[&["-r"], options, &["tasks.txt"]].concat())
}

/// The ids of the runs that left a journal, the oldest first.
fn runs(sandbox: &Sandbox) -> Vec<String> {
    sandbox.journals().iter().map(|path| run_of(path)).collect()
}

/// The line that says this, neutral.
#[track_caller]
fn line(sandbox: &Sandbox, ran: &Ran, part: &str) -> String {
    let home = sandbox.path.display().to_string();
    let all = neutral(&format!("{}{}", ran.stdout, ran.stderr), &home);
    let found = all.lines().find(|line| line.contains(part));
    found
        .unwrap_or_else(|| panic!("no `{part}`: {ran:?}"))
        .into()
}

// Which run, and with what.

#[test]
fn a_named_run_has_its_own_globals_options_and_directory() {
    let sandbox = Sandbox::new();
    let text = "X=0\nDATE=${TODAY:-none}\n\
        task=1\ncommand=echo 1 @X@ @DATE@ $(pwd) >>~/effects; test -e ~/fine\n\
        task=2\ntype=parallel\nhostnames=w[1-3]\nexec=shell\ncommand=echo 2 @hostname@ @X@ >>~/effects\n";
    let file = sandbox.file("there/tasks.txt", text);
    sandbox.file("elsewhere/x", "");
    let mut first = sandbox.tasker(&[
        "-r",
        "--set",
        "X=one",
        "-t",
        "shell",
        "-o",
        "77",
        "--limit",
        "w[1-2]",
        "-k",
        "tasks.txt",
    ]);
    first
        .current_dir(sandbox.path.join("there"))
        .env("TODAY", "Monday");
    let first = Ran::from(first.output().expect("tasker runs"));
    assert_eq!(first.code, 1, "{first:?}");
    let there = sandbox.path.join("there").display().to_string();
    let one = format!("1 one Monday {there}");
    let all = format!("{one}\n2 w1 one\n2 w2 one\n");
    assert_eq!(sorted(&sandbox), sorted_words(&all));
    let id = runs(&sandbox).remove(0);
    let run = format!("--resume={id}");
    let absolute = file.display().to_string();
    let call = |options: &[&str], file: &str| {
        let mut tasker = sandbox.tasker(&[&["-r", &run], options, &[file]].concat());
        tasker
            .current_dir(sandbox.path.join("elsewhere"))
            .env("TODAY", "Tuesday");
        Ran::from(tasker.output().expect("tasker runs"))
    };
    for (options, what) in [
        (
            &["--set", "X=two"][..],
            "the global X has a different value",
        ),
        (&["-t", "local"], "it had --type shell"),
        (&["-o", "78"], "it had --timeout 77"),
        (&["--fire-and-forget"], "it had no --fire-and-forget"),
        (
            &["--limit", "w3"],
            "it had a different --limit or --exclude",
        ),
        (
            &["--exclude", "w1"],
            "it had a different --limit or --exclude",
        ),
    ] {
        let ran = call(options, &absolute);
        assert_eq!(ran.code, 12, "{options:?} {ran:?}");
        assert!(ran.stderr.contains(what), "{options:?} {ran:?}");
    }
    assert_eq!(sandbox.read("effects"), "", "nothing ran");
    // Another run of other globals is none of its business.
    let mut other = sandbox.tasker(&["-r", "--set", "X=three", "-t", "shell", "tasks.txt"]);
    let other = other.current_dir(&there).output().expect("tasker runs");
    assert_eq!(other.status.code(), Some(1));
    in_order(&sandbox);
    sandbox.file("fine", "");
    let resumed = call(
        &["--set", "X=one", "-t", "shell", "--limit", "w[1-2]"],
        "../there/tasks.txt",
    );
    assert_eq!(resumed.code, 0, "{resumed:?}");
    assert_eq!(
        sandbox.read("effects"),
        format!("{one}\n"),
        "only what had failed"
    );
    assert!(sandbox.log().contains("timeout 77 s"), "{}", sandbox.log());
    assert_eq!(runs(&sandbox).len(), 1, "that of the other work is left");
}

fn sorted_words(text: &str) -> String {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    words.sort_unstable();
    words.join(" ")
}

/// What only the command line gave is not in the file.
#[test]
fn a_global_that_only_the_command_line_gave_comes_from_the_journal() {
    let sandbox = Sandbox::new();
    let text = "task=1\ncommand=echo @X@ >>effects; test -e fine\n";
    let ran = sandbox.run(text, &["--set", "X=one", "-t", "shell"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    sandbox.file("fine", "");
    let ran = sandbox.type_in(&ran.advice());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(in_order(&sandbox), "one one");
}

#[test]
fn a_secret_that_is_not_set_is_named() {
    let sandbox = Sandbox::new();
    let text = "task=1\nexec=shell\nenv.S=@MY_TOKEN@\ncommand=printenv S >>effects; test -e fine\n";
    let first = sandbox.run(text, &["--set", "MY_TOKEN=hush-hush"]);
    assert_eq!(first.code, 1, "{first:?}");
    let advice = first.advice();
    assert!(advice.contains("--set MY_TOKEN=... "), "{advice}");
    let id = format!("--resume={}", runs(&sandbox)[0]);
    let ran = again(&sandbox, &[&id]);
    assert_eq!(ran.code, 12, "{ran:?}");
    assert!(ran.stderr.contains("MY_TOKEN"), "{ran:?}");
    sandbox.file("fine", "");
    // Typed as it is printed, it does not run with a wrong value.
    let ran = sandbox.type_in(&advice);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.stderr.contains("type the value of the secret"),
        "{ran:?}"
    );
    let ran = again(&sandbox, &[&id, "--set", "MY_TOKEN=another"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(in_order(&sandbox), "hush-hush another");
}

/// Where the globals of a file were edited, no run of it can be continued.
#[test]
fn only_a_fresh_run_is_named_where_a_global_was_edited() {
    let sandbox = Sandbox::new();
    let text = task(1, "true") + &task(2, "echo @A@ >>effects; false");
    assert_eq!(sandbox.run(&format!("A=1\n{text}"), &[]).code, 1);
    let id = runs(&sandbox).remove(0);
    sandbox.file("tasks.txt", format!("A=2\n{text}"));
    let ran = again(&sandbox, &[&format!("--resume={id}")]);
    assert_eq!(ran.code, 12, "{ran:?}");
    assert!(!ran.stderr.contains("--resume-at"), "{ran:?}");
    let why = "line 1 is different, and the global A has a different value; a fresh run takes";
    assert!(ran.stderr.contains(why), "{ran:?}");
    let ran = again(&sandbox, &["--resume-at", &format!("{id}:2")]);
    assert_eq!(ran.code, 12, "{ran:?}");
    let why = "the global A has a different value; a fresh run takes the globals as they are";
    assert!(ran.stderr.contains(why), "{ran:?}");
}

#[test]
fn a_live_run_of_the_work_is_left_alone_by_name_too() {
    let sandbox = Sandbox::new();
    let text = "X=1\n".to_string()
        + &task(
            1,
            "echo @X@; test -e fine && while test ! -e go; do sleep 0.01; done; test -e go",
        );
    assert_eq!(sandbox.run(&text, &[]).code, 1);
    let old = runs(&sandbox).remove(0);
    sandbox.file("fine", "");
    let child = sandbox.start(&text, &[]);
    wait_for("it runs", || sandbox.read("effects") == "1\n1\n");
    for option in [format!("--resume={old}"), format!("--resume-at={old}:1")] {
        let ran = again(&sandbox, &[&option]);
        assert_eq!(ran.code, 25, "{option}: {ran:?}");
        assert!(ran.stderr.contains("is still active"), "{option}: {ran:?}");
    }
    // Another work is not live.
    sandbox.file("go", "");
    let ran = again(&sandbox, &["--auto-recovery", "--set", "X=2"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(finish(child).code, 0);
    assert_eq!(runs(&sandbox), [""; 0], "it made up for the older run");
}

// `--resume-at`.

#[test]
fn a_handled_failure_goes_on_with_the_results_before_it() {
    let sandbox = Sandbox::new();
    let text = task(1, "echo from one")
        + &task(2, "test -e fine; ")
        + "on_failure=90\n"
        + &task(3, "echo @1_stdout@ >>effects")
        + &report(90);
    let first = sandbox.run(&text, &[]);
    assert_eq!(first.code, 5, "{first:?}");
    assert_eq!(in_order(&sandbox), "1 2 90");
    let resumed = again(&sandbox, &["--resume"]);
    assert_eq!(resumed.code, 12, "{resumed:?}");
    let old = runs(&sandbox).remove(0);
    assert!(
        resumed.stderr.contains(&format!("--resume-at {old}:ID")),
        "{resumed:?}"
    );
    sandbox.file("fine", "");
    let second = sandbox.type_in(&first.advice());
    assert_eq!(second.code, 0, "{second:?}");
    assert_eq!(in_order(&sandbox), "2 3 from one");
    assert!(
        second
            .stdout
            .starts_with(&format!("Continuing run {old} at task 2: 1 ok restored\n")),
        "{second:?}"
    );
    assert!(
        runs(&sandbox).is_empty(),
        "that it goes on with is ended too"
    );
    let none = again(&sandbox, &["--resume-at", "2"]);
    assert_eq!(none.code, 12, "{none:?}");
    assert!(
        none.stderr.contains("there is no earlier run of tasks.txt"),
        "{none:?}"
    );
}

#[test]
fn an_edited_file_goes_on_with_what_is_still_the_same() {
    let sandbox = Sandbox::new();
    let text = task(1, "echo from one")
        + &task(2, "echo from two")
        + &task(3, "false")
        + &task(4, "echo @1_stdout@, @2_success@ >>effects");
    assert_eq!(sandbox.run(&text, &[]).code, 1);
    in_order(&sandbox);
    // The failed task alone is repaired.
    let repaired = text.replace("3 >>effects; false", "3 >>effects; true");
    sandbox.file("tasks.txt", &repaired);
    let ran = again(&sandbox, &["--resume"]);
    assert_eq!(ran.code, 12, "{ran:?}");
    assert!(ran.stderr.contains("line 9 is different"), "{ran:?}");
    assert!(ran.stderr.contains("--resume-at"), "{ran:?}");
    // What the rest needs has changed: it does not hold any more.
    sandbox.file(
        "tasks.txt",
        repaired.replace("echo from one", "echo from 1"),
    );
    let ran = again(&sandbox, &["--resume-at", "3"]);
    assert_eq!(ran.code, 12, "{ran:?}");
    let why =
        "task 4 uses the result of task 1, which has changed since it ran; go on at task 1 instead";
    assert!(ran.stderr.contains(why), "{ran:?}");
    assert_eq!(in_order(&sandbox), "", "nothing ran");
    // Fields that may be missing are empty.
    sandbox.file(
        "tasks.txt",
        repaired.replace("echo from two", "echo from 2"),
    );
    let ran = again(&sandbox, &["--resume-at", "3"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(in_order(&sandbox), "3 4 from one, ");
    assert!(ran.stdout.contains("at task 3: 1 ok restored"), "{ran:?}");
}

#[test]
fn a_block_runs_on_the_hosts_that_did_not_do_well_or_on_all() {
    for (options, hosts) in [
        (&[][..], "10-h3 20-h1 20-h2 20-h3 20-h4"),
        (
            &["--all-hosts"],
            "10-h1 10-h2 10-h3 10-h4 20-h1 20-h2 20-h3 20-h4",
        ),
    ] {
        let sandbox = Sandbox::new();
        let text = block(10, "h[1-4]", "test -e fine -o @hostname@ != h3")
            + "on_failure=90\n"
            + &block(20, "@10_ok_hosts@", "true")
            + &report(90);
        let first = sandbox.run(&text, &[]);
        assert_eq!(first.code, 5, "{first:?}");
        sandbox.file("fine", "");
        in_order(&sandbox);
        let ran = again(&sandbox, &[&["--resume-at", "10"], options].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(sorted(&sandbox), hosts, "{options:?}");
        if options.is_empty() {
            let members = line(&sandbox, &ran, "task 10: 3 done");
            assert!(
                members.contains("h3") && members.contains("h[1-2,4]"),
                "{members}"
            );
        }
    }
}

#[test]
fn a_conditional_goes_on_at_its_first_failed_member() {
    let sandbox = Sandbox::new();
    let text = "task=5\ntype=conditional\ncondition=true\nif_true_tasks=6,7,8,9\n\
        next=success\non_failure=90\n"
        .to_string()
        + &task(6, "true")
        + &task(7, "test -e fine")
        + &task(8, "true")
        + &task(9, "test -e fine")
        + &task(20, "true")
        + &report(90);
    let first = sandbox.run(&text, &[]);
    assert_eq!(first.code, 5, "{first:?}");
    assert_eq!(in_order(&sandbox), "6 7 8 9 90");
    sandbox.file("fine", "");
    let journal = std::fs::read(&sandbox.journals()[0]).expect("a journal");
    let path = sandbox.journals().remove(0);
    let ran = again(&sandbox, &["--resume-at", "5"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        in_order(&sandbox),
        "7 9 20",
        "without the later ones that were ok"
    );
    assert_eq!(sandbox.steps(), "5 20");
    // A member: with the rest of its branch.
    std::fs::write(&path, &journal).expect("a journal");
    let ran = again(&sandbox, &["--resume-at", "7"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(in_order(&sandbox), "7 8 9 20");
}

/// At any depth, and also in a run that was killed there.
#[test]
fn a_branch_in_a_branch_goes_on_at_its_failed_member() {
    let text = "task=4\ntype=conditional\ncondition=true\nif_true_tasks=5,9\nnext=success\n\
        on_failure=90\n\
        task=5\ntype=conditional\ncondition=true\nif_true_tasks=6,7,8\nnext=success\n"
        .to_string()
        + &task(6, "true")
        + &task(
            7,
            "test ! -e hang || { touch held; sleep 60; }; test -e fine",
        )
        + "next=success\n"
        + &task(8, "true")
        + &task(9, "true")
        + &report(90);
    let sandbox = Sandbox::new();
    let first = sandbox.run(&text, &[]);
    assert_eq!(first.code, 5, "{first:?}");
    assert_eq!(in_order(&sandbox), "6 7 90");
    sandbox.file("hang", "");
    let child = sandbox.start(&text, &["--resume-at", "4"]);
    wait_for("it hangs", || sandbox.exists("held"));
    sandbox.kill(child);
    assert_eq!(in_order(&sandbox), "7");
    std::fs::remove_file(sandbox.path.join("hang")).expect("it was there");
    sandbox.file("fine", "");
    let ran = again(&sandbox, &["--resume-at", "4"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(in_order(&sandbox), "7 8 9");
    assert!(runs(&sandbox).is_empty());
}

/// Blocks over hosts that the branch had not come to.
#[test]
fn a_branch_that_was_stopped_goes_on_to_blocks_that_had_not_begun() {
    let sandbox = Sandbox::new();
    let text = "task=5\ntype=conditional\ncondition=true\nif_true_tasks=6,7\nnext=success\n"
        .to_string()
        + &task(6, "test -e fine")
        + "next=success\n"
        + &block(7, "h[1-2]", "true");
    let first = sandbox.run(&text, &[]);
    assert_eq!(first.code, 10, "{first:?}");
    sandbox.file("fine", "");
    in_order(&sandbox);
    let ran = sandbox.type_in(&first.advice());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(sorted(&sandbox), "6 7-h1 7-h2", "{ran:?}");
}

/// What was restored once is restored again, as often as it takes.
#[test]
fn a_branch_that_was_restored_is_restored_again() {
    let sandbox = Sandbox::new();
    let text = "task=5\ntype=conditional\ncondition=true\nif_true_tasks=6,7\nnext=success\n"
        .to_string()
        + &task(6, "true")
        + &task(7, "test -e fine")
        + "next=success\non_failure=90\n"
        + &task(20, "true")
        + &report(90);
    let first = sandbox.run(&text, &[]);
    assert_eq!(in_order(&sandbox), "6 7 90", "{first:?}");
    again(&sandbox, &["--resume-at", "5"]);
    again(&sandbox, &["--resume-at", "5"]);
    assert_eq!(in_order(&sandbox), "7 90 7 90");
    sandbox.file("fine", "");
    let ran = again(&sandbox, &["--resume-at", "5"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(in_order(&sandbox), "7 20");
}

/// In a cycle everything can be reached, also what had run before.
#[test]
fn what_had_run_before_holds_where_the_flow_jumps_back() {
    let sandbox = Sandbox::new();
    let text = task(1, "echo v")
        + &task(2, "test -e fine && echo @1_stdout@")
        + "on_failure=90\n"
        + "task=3\ntype=decision\nsuccess=@2_stdout@ = v\non_failure=1\n"
        + &report(90);
    let first = sandbox.run(&text, &[]);
    assert_eq!(first.code, 5, "{first:?}");
    assert_eq!(in_order(&sandbox), "1 2 90");
    sandbox.file("fine", "");
    let ran = sandbox.type_in(&first.advice());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(in_order(&sandbox), "2");
}

#[test]
fn a_block_in_waves_begins_anew_over_the_rest() {
    let sandbox = Sandbox::new();
    let text = block(10, "h[1-7]", "test -e fine -o @hostname@ != h2")
        + "waves=2,2,rest\nwave_check=11\non_failure=90\n"
        + &task(11, "test -e fine -o ! -e strict")
        + &report(90);
    sandbox.file("strict", "");
    let first = sandbox.run(&text, &[]);
    assert_eq!(first.code, 5, "{first:?}");
    assert_eq!(sorted(&sandbox), "10-h1 10-h2 11 90");
    sandbox.file("fine", "");
    let ran = sandbox.type_in(&first.advice());
    assert_eq!(ran.code, 0, "{ran:?}");
    let effects = in_order(&sandbox);
    let waves: Vec<String> = effects.split(" 11 ").map(sorted_words).collect();
    assert_eq!(
        waves,
        ["10-h2 10-h3", "10-h4 10-h5", "10-h6 10-h7"],
        "{effects}"
    );
}

#[test]
fn long_outputs_outlive_the_journal_that_they_come_from() {
    let sandbox = Sandbox::new();
    let text = task(1, "head -c 3000000 /dev/zero | tr '\\0' x")
        + "task=2\nexec=shell\nstdin=@1_stdout@\ncommand=test -e fine && wc -c >>effects\n\
           on_failure=90\n"
        + &report(90);
    let first = sandbox.run(&text, &[]);
    assert_eq!(first.code, 5, "{first:?}");
    let old = runs(&sandbox).remove(0);
    let second = sandbox.type_in(&first.advice());
    assert_eq!(second.code, 5, "{second:?}");
    let state = sandbox.path.join("TASKER/state");
    let journal = sandbox.journals().remove(0);
    assert_eq!(run_of(&journal), old);
    std::fs::remove_file(journal).expect("a journal");
    std::fs::remove_dir_all(state.join(&old)).expect("its outputs");
    in_order(&sandbox);
    sandbox.file("fine", "");
    let third = sandbox.type_in(&second.advice());
    assert_eq!(third.code, 0, "{third:?}");
    assert_eq!(in_order(&sandbox), "3000000");
    let left = std::fs::read_dir(state).expect("the directory").flatten();
    let left: Vec<_> = left
        .filter(|e| e.path().is_dir() && e.file_name() != "plans")
        .collect();
    assert!(left.is_empty() && runs(&sandbox).is_empty(), "{left:?}");
}

// What final tasks may have undone.

/// "Users out", work, "users in".
fn maintenance(work: &str) -> String {
    task(
        1,
        "n=$(cat count); echo $((n+1)) >count; echo out $n; test ! -e stuck",
    ) + "on_resume=repeat\n"
        + &task(2, "true")
        + &task(3, work)
        + &task(9, "true")
        + "finally=true\n"
}

#[test]
fn tasks_are_repeated_once_for_each_end() {
    let sandbox = Sandbox::new();
    sandbox.file("count", "1\n");
    let first = sandbox.run(&maintenance("echo @1_stdout@ >>effects; test -e fine"), &[]);
    assert_eq!(first.code, 1, "{first:?}");
    assert_eq!(in_order(&sandbox), "1 2 3 out 1 9");
    let second = again(&sandbox, &["--resume"]);
    assert_eq!(second.code, 1, "{second:?}");
    assert_eq!(
        in_order(&sandbox),
        "1 3 out 2 9",
        "its result is the new one"
    );
    let doubt = line(&sandbox, &second, "final tasks had run");
    assert_eq!(
        doubt,
        "tasker: warning: final tasks had run (9); because of on_resume=repeat these run again first: 1"
    );
    // A repetition that fails stops the run.
    sandbox.file("stuck", "");
    let third = again(&sandbox, &["--resume"]);
    assert_eq!(third.code, 1, "{third:?}");
    assert_eq!(in_order(&sandbox), "1 9");
    std::fs::remove_file(sandbox.path.join("stuck")).expect("it was there");
    sandbox.file("fine", "");
    let last = sandbox.type_in(&third.advice());
    assert_eq!(last.code, 0, "{last:?}");
    assert_eq!(in_order(&sandbox), "1 3 out 4 9");
    assert!(runs(&sandbox).is_empty());
}

/// However the run ended whose final tasks had run.
#[test]
fn tasks_are_repeated_before_what_was_cut_short() {
    let hang = "test -e fine || { touch held; sleep 60; }";
    let first = task(1, "true") + "on_resume=repeat\n";
    let finals = task(9, "true") + "finally=true\n";
    let waves = block(
        3,
        "h[1-4]",
        &format!("test @hostname@ != h3 || {{ {hang}; }}"),
    ) + "waves=2,rest\nwave_check=4\n"
        + &task(4, "true");
    let branch = "task=3\ntype=conditional\ncondition=true\nif_true_tasks=4,5\n".to_string()
        + &task(4, "true")
        + &task(5, hang);
    for (work, before, after) in [
        (task(3, hang), "1 3 9", "1 3 9"),
        (waves, "1 3-h1 3-h2 4 3-h3 3-h4 9", "1 3-h3 9"),
        (branch, "1 4 5 9", "1 5 9"),
    ] {
        let sandbox = Sandbox::new();
        let text = format!("{first}{work}{finals}");
        let child = sandbox.start(&text, &[]);
        wait_for("it hangs", || sandbox.exists("held"));
        wait_for("the others", || {
            let done = sandbox.read("effects");
            done.lines().count() == before.split(' ').count() - 1
        });
        wait_for("its record", || {
            !text.contains("waves") || journal_has(&sandbox, "\th4\t3\tok\t")
        });
        signal(child.id(), "TERM");
        assert_eq!(finish(child).code, 143);
        assert_eq!(sorted(&sandbox), sorted_words(before), "{work}");
        sandbox.file("fine", "");
        let ran = again(&sandbox, &["--resume"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(in_order(&sandbox), after, "{work}");
    }
}

fn journal_has(sandbox: &Sandbox, text: &str) -> bool {
    std::fs::read_to_string(&sandbox.journals()[0]).is_ok_and(|journal| journal.contains(text))
}

#[test]
fn a_kill_while_tasks_are_repeated_repeats_only_the_rest() {
    let sandbox = Sandbox::new();
    let text = task(1, "true")
        + "on_resume=repeat\n"
        + &task(2, "test ! -e hold || { touch held; sleep 60; }")
        + "on_resume=repeat\n"
        + &task(3, "test -e fine")
        + &task(9, "true")
        + "finally=true\n";
    assert_eq!(sandbox.run(&text, &[]).code, 1);
    assert_eq!(in_order(&sandbox), "1 2 3 9");
    sandbox.file("hold", "");
    let child = sandbox.start(&text, &["--resume"]);
    wait_for("the repetition of 2", || sandbox.exists("held"));
    sandbox.kill(child);
    assert_eq!(in_order(&sandbox), "1 2");
    std::fs::remove_file(sandbox.path.join("hold")).expect("it was there");
    sandbox.file("fine", "");
    let ran = again(&sandbox, &["--resume"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(in_order(&sandbox), "2 3 9");
}

/// Killed before its final tasks ran, they have undone nothing.
#[test]
fn nothing_is_repeated_if_no_final_task_has_run() {
    let sandbox = Sandbox::new();
    sandbox.file("count", "1\n");
    let text = maintenance("test -e fine || { touch held; sleep 60; }");
    let child = sandbox.start(&text, &[]);
    wait_for("the work", || sandbox.exists("held"));
    sandbox.kill(child);
    in_order(&sandbox);
    sandbox.file("fine", "");
    let ran = again(&sandbox, &["--resume"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(in_order(&sandbox), "3 9");
    assert!(!ran.stderr.contains("final tasks had run"), "{ran:?}");
}

#[test]
fn final_tasks_that_ran_are_named_where_nothing_is_repeated() {
    let sandbox = Sandbox::new();
    let text = task(1, "true") + &task(2, "test -e fine") + &task(9, "true") + "finally=true\n";
    assert_eq!(sandbox.run(&text, &[]).code, 1);
    sandbox.file("fine", "");
    let shown = again(&sandbox, &["--show-recovery-info"]);
    let ran = again(&sandbox, &["--resume"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for ran in [shown, ran] {
        let doubt = line(&sandbox, &ran, "final tasks had run");
        assert!(doubt.ends_with("final tasks had run (9), and what they undid stays undone: no restored task has on_resume=repeat"), "{doubt}");
    }
}

/// It may have undone what it was to undo before it was ended.
#[test]
fn a_final_task_that_was_ended_counts_as_one_that_had_run() {
    for signal_name in ["TERM", "KILL"] {
        let sandbox = Sandbox::new();
        let text = task(1, "true")
            + "on_resume=repeat\n"
            + &task(2, "test -e fine")
            + &task(9, "test -e fine || { touch held; sleep 60; }")
            + "finally=true\n";
        let child = sandbox.start(&text, &[]);
        wait_for("it hangs", || sandbox.exists("held"));
        match signal_name {
            "KILL" => sandbox.kill(child),
            _ => {
                signal(child.id(), signal_name);
                assert_eq!(finish(child).code, 1);
            }
        }
        assert_eq!(in_order(&sandbox), "1 2 9");
        sandbox.file("fine", "");
        let ran = again(&sandbox, &["--resume"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        line(&sandbox, &ran, "final tasks had run (9)");
        assert_eq!(in_order(&sandbox), "1 2 9", "{signal_name}");
    }
}

#[test]
fn resume_at_repeats_what_it_restores() {
    let sandbox = Sandbox::new();
    sandbox.file("count", "1\n");
    let text = maintenance("test -e fine").replace("task=9", "on_failure=90\ntask=9") + &report(90);
    let first = sandbox.run(&text, &[]);
    assert_eq!(first.code, 5, "{first:?}");
    assert_eq!(in_order(&sandbox), "1 2 3 90 9");
    sandbox.file("fine", "");
    let ran = sandbox.type_in(&first.advice());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(in_order(&sandbox), "1 3 9");
}

// What is not known.

#[test]
fn what_ran_at_a_kill_is_named_before_it_runs_again() {
    let sandbox = Sandbox::new();
    let text = block(
        10,
        "h[1-4]",
        "test -e fine -o @hostname@ = h1 || { touch held-@hostname@; sleep 60; }",
    ) + "max_parallel=2\n";
    let child = sandbox.start(&text, &[]);
    wait_for("two that hang", || {
        sandbox.exists("held-h2") && sandbox.exists("held-h3")
    });
    sandbox.kill(child);
    assert_eq!(sorted(&sandbox), "10-h1 10-h2 10-h3");
    sandbox.file("fine", "");
    let shown = again(&sandbox, &["--show-recovery-info"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    let status = sandbox.output(&["--status", "tasks.txt"]);
    assert!(status.stdout.contains("outcome not known"), "{status:?}");
    let ran = again(&sandbox, &["--auto-recovery"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for ran in [shown, ran] {
        let doubt = line(&sandbox, &ran, "may have been done");
        assert!(
            doubt.ends_with("may have been done already, and runs again: 10 on h2, 10 on h3"),
            "{doubt}"
        );
    }
    assert_eq!(sorted(&sandbox), "10-h2 10-h3 10-h4");
}

/// Another run in between, which did not come to it, has not made it known.
#[test]
fn what_ran_at_a_kill_is_named_until_it_runs_again() {
    let sandbox = Sandbox::new();
    let text = block(10, "h[1-3]", "test -e fine || { touch held; sleep 60; }")
        + "max_parallel=1\n"
        + &task(99, "true")
        + "finally=true\n";
    let child = sandbox.start(&text, &[]);
    wait_for("it hangs", || sandbox.exists("held"));
    sandbox.kill(child);
    let closed = again(&sandbox, &["--finish-only"]);
    line(
        &sandbox,
        &closed,
        "may have been done, and is not run again: 10 on h1",
    );
    assert_eq!(in_order(&sandbox), "10-h1 99");
    sandbox.file("fine", "");
    let ran = sandbox.type_in(&closed.advice());
    assert_eq!(ran.code, 0, "{ran:?}");
    line(&sandbox, &ran, "and runs again: 10 on h1");
    assert_eq!(in_order(&sandbox), "10-h1 10-h2 10-h3 99");
}

/// What does not run again is named too, but nothing is asked about it.
#[test]
fn what_ran_at_a_kill_is_not_said_to_run_again_where_it_does_not() {
    let sandbox = Sandbox::new();
    let text = task(1, "test -e fine || { touch held; sleep 60; }") + &task(2, "true");
    let child = sandbox.start(&text, &[]);
    wait_for("it hangs", || sandbox.exists("held"));
    sandbox.kill(child);
    in_order(&sandbox);
    let ran = again(&sandbox, &["--resume-at", "2"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let unknown = line(&sandbox, &ran, "may have been done");
    assert_eq!(unknown, "may have been done, and is not run again: 1");
    assert_eq!(in_order(&sandbox), "2");
}

/// On a terminal it is asked about; a no leaves everything as it is.
#[test]
fn a_doubt_is_a_question_on_a_terminal() {
    let sandbox = Sandbox::new();
    let text = task(1, "true") + &task(2, "test -e fine") + &task(9, "true") + "finally=true\n";
    assert_eq!(sandbox.run(&text, &[]).code, 1);
    sandbox.file("fine", "");
    in_order(&sandbox);
    let journal = || std::fs::read(&sandbox.journals()[0]).expect("a journal");
    let before = journal();
    // Answers the question with its first argument.
    let program = "
import os,pty,sys
pid,fd=pty.fork()
if pid==0: os.execv(sys.argv[2],sys.argv[2:])
out=b''
while True:
    try: got=os.read(fd,4096)
    except OSError: break
    if not got: break
    if b'[y/N]' not in out and b'[y/N]' in out+got: os.write(fd,sys.argv[1].encode()+b'\\n')
    out+=got
sys.stdout.write(out.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid,0)[1]))";
    let answer = |answer: &str| {
        let mut python = std::process::Command::new("python3");
        let tasker = env!("CARGO_BIN_EXE_tasker");
        python.args(["-c", program, answer, tasker, "-r", "--resume", "tasks.txt"]);
        python.current_dir(&sandbox.path).env("HOME", &sandbox.path);
        Ran::from(python.output().expect("python runs"))
    };
    let no = answer("n");
    assert_eq!(no.code, 16, "{no:?}");
    let asked = no.stdout.lines().next().unwrap_or_default();
    assert!(
        asked.starts_with("tasker: final tasks had run (9), "),
        "{no:?}"
    );
    assert_eq!((in_order(&sandbox).as_str(), journal()), ("", before));
    let yes = answer("y");
    assert_eq!(yes.code, 0, "{yes:?}");
    assert_eq!(in_order(&sandbox), "2 9");
}

// `--finish-only`.

#[test]
fn a_run_that_is_closed_is_finished_with_the_code_it_had() {
    let hang = "test -e fine || { touch held; sleep 60; }";
    // Also a good flow whose final tasks were killed is closed without success.
    for (flow, code) in [
        (task(1, "exit 7"), 7),
        (task(1, hang), 1),
        (task(1, "true"), 1),
    ] {
        let sandbox = Sandbox::new();
        let finals = task(9, hang) + "finally=true\n";
        let child = sandbox.start(&(flow.clone() + &finals), &[]);
        wait_for("it hangs", || sandbox.exists("held"));
        sandbox.kill(child);
        in_order(&sandbox);
        sandbox.file("fine", "");
        let ran = again(&sandbox, &["--finish-only"]);
        assert_eq!(ran.code, code, "{flow}: {ran:?}");
        assert_eq!(in_order(&sandbox), "9", "{flow}");
        let ran = again(&sandbox, &["--resume"]);
        assert_eq!(ran.code, 12, "{flow}: {ran:?}");
        let closed = runs(&sandbox).remove(0);
        let ran = again(&sandbox, &["--auto-recovery"]);
        let why = format!("--auto-recovery begins afresh: run {closed} reached its end\n");
        assert!(ran.stdout.starts_with(&why), "{flow}: {ran:?}");
        assert_eq!(in_order(&sandbox), "1 9", "{flow}");
    }
}

// `--keep-going`.

#[test]
fn a_run_that_kept_going_does_only_what_was_not_ok() {
    let sandbox = Sandbox::new();
    let text = task(1, "true")
        + &task(2, "test -e fine")
        + "task=3\nexec=shell\nnext=loop\nloop=2\ncommand=echo 3.@loop@ >>effects\n"
        + "task=4\ntype=conditional\ncondition=@1_success@\nif_true_tasks=5,6\n"
        + &task(5, "true")
        + &task(6, "test -e fine")
        + &block(7, "h[1-3]", "test -e fine -o @hostname@ != h2")
        + "success=min_success=1\n"
        + &task(8, "true");
    let first = sandbox.run(&text, &["-k"]);
    assert_eq!(first.code, 1, "{first:?}");
    assert_eq!(sorted(&sandbox), "1 2 3.1 3.2 5 6 7-h1 7-h2 7-h3 8");
    let fresh = again(&sandbox, &["-k", "--auto-recovery", "--limit", "h1"]);
    assert!(
        fresh.stdout.contains("begins afresh"),
        "it is finished for it: {fresh:?}"
    );
    in_order(&sandbox);
    sandbox.file("fine", "");
    let ran = sandbox.type_in(&first.advice());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(in_order(&sandbox), "2 6 7-h2");
    assert_eq!(runs(&sandbox).len(), 1, "the limited one, which is newer");
}

#[test]
fn a_run_that_kept_going_goes_into_its_handlers_only_for_a_new_failure() {
    let sandbox = Sandbox::new();
    let text = task(1, "test -e fine")
        + "next=success\non_failure=90\n"
        + &task(2, "test -e fine")
        + &task(3, "true")
        + &task(90, "true")
        + "goto=2\n";
    let first = sandbox.run(&text, &["-k"]);
    assert_eq!(first.code, 1, "{first:?}");
    assert_eq!(in_order(&sandbox), "1 90 2 3");
    let second = sandbox.type_in(&first.advice());
    assert_eq!(second.code, 1, "{second:?}");
    assert_eq!(in_order(&sandbox), "1 90 2");
    sandbox.file("fine", "");
    let third = sandbox.type_in(&second.advice());
    assert_eq!(third.code, 0, "{third:?}");
    assert_eq!(in_order(&sandbox), "1 2");
}

/// The second pass through the task made good what had failed in the first.
#[test]
fn what_a_later_pass_made_good_is_ok_when_the_flow_is_walked_again() {
    let sandbox = Sandbox::new();
    let text = task(1, "true")
        + &task(2, "touch once; test -e twice || { mv once twice; false; }")
        + "on_failure=1\n"
        + &task(3, "test -e fine");
    let first = sandbox.run(&text, &["-k"]);
    assert_eq!(first.code, 1, "{first:?}");
    assert_eq!(in_order(&sandbox), "1 2 1 2 3");
    sandbox.file("fine", "");
    let ran = sandbox.type_in(&first.advice());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(in_order(&sandbox), "3");
}

#[test]
fn a_block_over_the_hosts_of_an_earlier_one_gains_them() {
    let sandbox = Sandbox::new();
    let text = block(10, "h[1-3]", "test -e fine -o @hostname@ != h2")
        + &block(20, "@10_ok_hosts@", "true");
    let first = sandbox.run(&text, &["-k"]);
    assert_eq!(first.code, 1, "{first:?}");
    assert_eq!(sorted(&sandbox), "10-h1 10-h2 10-h3 20-h1 20-h3");
    sandbox.file("fine", "");
    let ran = sandbox.type_in(&first.advice());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(in_order(&sandbox), "10-h2 20-h2");
}

// What is advised.

#[test]
fn after_a_rollback_only_a_fresh_run_is_advised_also_under_keep_going() {
    let sandbox = Sandbox::new();
    let text = block(10, "h[1-3]", "test -e fine -o @hostname@ != h2")
        + "on_failure=90\n"
        + &block(90, "@10_ok_hosts@", "true")
        + "return=1\n";
    let first = sandbox.run(&text, &["-k"]);
    assert_eq!(first.code, 1, "{first:?}");
    in_order(&sandbox);
    let advice = line(&sandbox, &first, "to continue from there: ");
    assert!(
        advice.ends_with("tasker -r --keep-going tasks.txt"),
        "{advice}"
    );
    line(
        &sandbox,
        &first,
        "a failure handler ran on hosts, so only a fresh run does everything",
    );
    sandbox.file("fine", "");
    let ran = sandbox.type_in(&first.advice());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(sorted(&sandbox), "10-h1 10-h2 10-h3");
    assert!(runs(&sandbox).is_empty());
}

#[test]
fn a_decision_goes_on_where_its_result_comes_from() {
    let sandbox = Sandbox::new();
    let text = task(1, "true")
        + &task(2, "cat state")
        + &task(3, "true")
        + "task=4\ntype=decision\nsuccess=@2_stdout@ = up\n"
        + &task(5, "true");
    sandbox.file("state", "down\n");
    let first = sandbox.run(&text, &[]);
    assert_eq!(first.code, 10, "{first:?}");
    assert_eq!(in_order(&sandbox), "1 2 3");
    let advice = line(&sandbox, &first, "to continue from there: ");
    assert!(
        advice.ends_with("tasker -r --resume-at RUN:2 tasks.txt"),
        "{advice}"
    );
    assert_eq!(
        line(&sandbox, &first, "runs again"),
        "tasker: runs again: 2, 3"
    );
    // What is asked again is not restored.
    let shown = again(&sandbox, &["--show-recovery-info"]);
    assert!(shown.stdout.contains("  done: 3 ok\n"), "{shown:?}");
    assert!(!shown.stdout.contains("task 4: failed"), "{shown:?}");
    sandbox.file("state", "up\n");
    let ran = sandbox.type_in(&first.advice());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(in_order(&sandbox), "2 3 5");
}

/// The printed line, typed once the cause is gone: what is said to run again, and what
/// then runs.
#[track_caller]
fn goes_on(text: &str, options: &[&str], says: &str, does: &str) {
    let sandbox = Sandbox::new();
    sandbox.file("state", "down\n");
    let first = sandbox.run(text, options);
    assert_ne!(first.code, 0, "{first:?}");
    in_order(&sandbox);
    sandbox.file("state", "up\n");
    sandbox.file("fine", "");
    let again = match says {
        "" => String::new(),
        _ => line(&sandbox, &first, "runs again"),
    };
    assert_eq!(again, says, "{first:?}");
    let ran = sandbox.type_in(&first.advice());
    assert_eq!(ran.code, 0, "{first:?} {ran:?}");
    assert_eq!(sorted(&sandbox), does, "{first:?}");
    assert!(runs(&sandbox).is_empty());
}

/// Each of these would only read the same results again, and end as before.
#[test]
fn what_only_reads_results_goes_on_where_they_come_from() {
    let reads = "success=@5_stdout@ = up\n";
    let (five, last) = (task(5, "cat state"), task(20, "true"));
    let decision = |id: u32, rest: &str| format!("task={id}\ntype=decision\n{rest}");
    // A task that was skipped because of a result, and one of the other branch.
    let text = five.clone()
        + &task(10, "true")
        + "condition=@5_stdout@ = up\n"
        + &decision(11, "success=@10_success@\n")
        + &last;
    goes_on(&text, &[], "tasker: runs again: 5", "10 20 5");
    let text = five.clone()
        + "task=10\ntype=conditional\ncondition=@5_stdout@ = up\nif_true_tasks=11\n"
        + &task(11, "true")
        + &decision(12, "success=@11_success@\n")
        + &last;
    goes_on(&text, &[], "tasker: runs again: 5, 10", "11 20 5");
    // A decision in a block, and between its waves.
    let text = five.clone()
        + "task=10\ntype=parallel\ntasks=11,12\n"
        + &decision(11, reads)
        + &task(12, "true")
        + &last;
    goes_on(&text, &[], "tasker: runs again: 5, 12", "12 20 5");
    let text = five.clone()
        + &block(10, "h[1-2]", "true")
        + "waves=1\nwave_check=11\n"
        + &decision(11, reads)
        + &last;
    let says = "tasker: runs again: 5, 10 on h1";
    goes_on(&text, &[], says, "10-h1 10-h2 20 5");
    // Under --keep-going, and a command that is judged by another's result.
    let text = five.clone() + &decision(10, reads) + &last;
    goes_on(&text, &["-k"], "tasker: runs again: 5, 20", "20 5");
    let text = five.clone() + &task(10, "true") + reads + &last;
    goes_on(&text, &[], "tasker: runs again: 5", "10 20 5");
    // A return that a failure has led to, past its own task.
    let text = task(5, "test -e fine")
        + "next=always\ntask=6\ncondition=@5_success@ = false\nreturn=3\n"
        + &last;
    goes_on(&text, &[], "", "20 5");
}

/// What its tasks did well is not enough for the block.
#[test]
fn a_block_whose_criterion_reads_its_own_tasks_runs_them_again() {
    let members = task(11, "cat state") + &task(12, "true") + &task(20, "true");
    let judged = "success=@11_stdout@ = up\n";
    let parallel = format!("task=10\ntype=parallel\ntasks=11,12\n{judged}") + &members;
    let says = "tasker: runs again: 11, 12";
    goes_on(&parallel, &[], says, "11 12 20");
    let conditional =
        format!("task=10\ntype=conditional\ncondition=true\nif_true_tasks=12,11\n{judged}")
            + &members;
    goes_on(&conditional, &[], "tasker: runs again: 11", "11 20");
}

/// It has no result that decides, but its hosts may be reached later.
#[test]
fn a_block_of_which_no_host_was_reached_is_tried_again() {
    let sandbox = Sandbox::new();
    sandbox.program("bin/ssh", "#!/bin/sh\nexit 255\n");
    sandbox.file(
        "tasks.txt",
        "task=1\ntype=parallel\nhostnames=h[1-2]\nunreachable=skip\nexec=ssh\ncommand=true\n",
    );
    let mut tasker = sandbox.tasker(&["-r", "--skip-host-validation", "tasks.txt"]);
    let path = format!("{}/bin:/usr/bin:/bin", sandbox.path.display());
    let ran = tasker.env("PATH", path).output().expect("tasker runs");
    let ran = Ran::from(ran);
    assert_eq!(ran.code, 10, "{ran:?}");
    assert!(ran.advice().contains(" --resume="), "{ran:?}");
}

/// A member that had failed before the one that sent the flow to its handler.
#[test]
fn no_failed_member_is_passed_by() {
    let text = "task=5\ntype=conditional\ncondition=true\nif_true_tasks=6,7,8,9\nnext=success\n"
        .to_string()
        + &task(6, "true")
        + &task(7, "test -e fine")
        + &task(8, "true")
        + &task(9, "test -e fine")
        + "on_failure=90\n"
        + &report(90);
    goes_on(&text, &[], "", "7 9");
    // Also where a run began past it.
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(&text, &[]).code, 5);
    sandbox.file("fine", "");
    let ran = again(&sandbox, &["--resume-at", "9"]);
    assert_eq!(ran.code, 10, "{ran:?}");
    in_order(&sandbox);
    let ran = sandbox.type_in(&ran.advice());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(in_order(&sandbox), "7");
}

/// It was a step of its own: the rest of the branch is not for this run.
#[test]
fn a_member_that_was_jumped_to_is_jumped_to_again() {
    let text = task(1, "true")
        + "on_success=6\ntask=5\ntype=conditional\ncondition=true\nif_true_tasks=6,7\n"
        + &task(6, "test -e fine")
        + "on_failure=90\n"
        + &task(7, "true")
        + &task(20, "true")
        + &report(90);
    goes_on(&text, &[], "tasker: runs again: 1", "1 20 6");
}

/// A failure that was made good is not where the run goes on.
#[test]
fn a_run_goes_on_at_the_first_failure_that_lasts() {
    let text = task(10, "test -e ready")
        + "on_failure=15\n"
        + &task(11, "true")
        + "goto=20\n"
        + &task(14, "true")
        + &task(15, "touch ready")
        + "goto=10\n"
        + &task(20, "test -e fine")
        + "on_failure=90\n"
        + &task(21, "true")
        + &report(90);
    goes_on(&text, &[], "", "20 21");
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&text, &[]);
    line(&sandbox, &ran, "task 20 failed with exit code 1");
    assert!(!ran.stderr.contains("task 10 failed"), "{ran:?}");
}

/// The handlers after the first one are named by no task.
#[test]
fn a_rollback_later_in_the_chain_of_handlers_is_one_too() {
    let sandbox = Sandbox::new();
    let text = block(10, "h[1-2]", "test -e fine -o @hostname@ != h2")
        + "on_failure=90\n"
        + &task(90, "true")
        + &block(91, "h[1-2]", "true")
        + "next=never\nreturn=1\n";
    let first = sandbox.run(&text, &[]);
    assert_eq!(first.code, 1, "{first:?}");
    line(&sandbox, &first, "a failure handler ran on hosts");
    line(&sandbox, &first, "then ran: 90: ok, 91: ok");
    in_order(&sandbox);
    sandbox.file("fine", "");
    let ran = sandbox.type_in(&first.advice());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(sorted(&sandbox), "10-h1 10-h2");
}

#[test]
fn a_deadline_is_not_repeated() {
    let sandbox = Sandbox::new();
    let text = task(1, "true") + &task(2, "true") + "timeout=2h\n";
    let first = sandbox.run(&text, &["--deadline", "+1h"]);
    assert_eq!(first.code, 15, "{first:?}");
    assert_eq!(in_order(&sandbox), "1");
    let ran = sandbox.type_in(&first.advice());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(in_order(&sandbox), "2");
}

#[test]
fn a_signal_leaves_the_rest_for_the_line_that_is_printed() {
    let sandbox = Sandbox::new();
    let text = block(
        10,
        "h[1-4]",
        "test -e fine -o @hostname@ = h1 || { touch held; sleep 60; }",
    ) + "max_parallel=1\n"
        + &task(11, "true");
    let child = sandbox.start(&text, &[]);
    wait_for("one that hangs", || sandbox.exists("held"));
    signal(child.id(), "TERM");
    let first = finish(child);
    assert_eq!(first.code, 143, "{first:?}");
    assert_eq!(in_order(&sandbox), "10-h1 10-h2");
    sandbox.file("fine", "");
    let ran = sandbox.type_in(&first.advice());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(in_order(&sandbox), "10-h2 10-h3 10-h4 11");
}

#[test]
fn a_relative_log_directory_is_found_from_another_depth() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", task(1, "test -e fine"));
    let first = sandbox.output(&["-r", "-l", "logs", "tasks.txt"]);
    assert_eq!(first.code, 1, "{first:?}");
    sandbox.file("fine", "");
    let deeper = sandbox.path.join("a/b");
    std::fs::create_dir_all(&deeper).expect("directories");
    let mut command = sandbox.tasker(&["-r", "-l", "../../logs", "--resume", "../../tasks.txt"]);
    let ended = command.current_dir(&deeper).output().expect("it runs");
    assert!(ended.status.success(), "{ended:?}");
    let left = |name: &str| {
        let entries = std::fs::read_dir(sandbox.path.join("logs").join(name));
        let names = entries.expect("a directory").flatten();
        let names = names.map(|e| e.file_name().to_string_lossy().into_owned());
        names
            .filter(|name| !name.ends_with(".hosts"))
            .collect::<Vec<_>>()
    };
    assert_eq!(left("state"), ["number"]);
    assert!(left("locks").is_empty(), "{:?}", left("locks"));
}

/// A variable that the run did not have is not set for it, also where the file cannot be
/// read without those that it had.
#[test]
fn a_variable_that_was_not_set_then_is_not_set_now() {
    let sandbox = Sandbox::new();
    let text = "DATE=$TODAY\nMODE=${MODE:-none}\n".to_string()
        + &task(1, "test -e fine")
        + &task(2, "echo @DATE@ @MODE@ >>effects");
    sandbox.file("tasks.txt", &text);
    let mut first = sandbox.tasker(&["-r", "tasks.txt"]);
    let ran = Ran::from(first.env("TODAY", "a b").output().expect("tasker runs"));
    assert_eq!(ran.code, 1, "{ran:?}");
    sandbox.file("fine", "");
    let run = format!("--resume={}", runs(&sandbox)[0]);
    let mut second = sandbox.tasker(&["-r", &run, "tasks.txt"]);
    let ran = Ran::from(second.env("MODE", "other").output().expect("tasker runs"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(in_order(&sandbox), "1 1 2 a b none");
}

#[test]
fn a_run_that_began_in_a_directory_that_was_gone_needs_none() {
    let sandbox = Sandbox::new();
    let home = sandbox.path.display().to_string();
    let text = task(1, &format!("test -e {home}/fine")).replace(">>", &format!(">>{home}/"));
    sandbox.file("tasks.txt", &text);
    let tasker = env!("CARGO_BIN_EXE_tasker");
    let ran = sandbox.type_in(&format!(
        "mkdir {home}/gone && cd {home}/gone && rmdir {home}/gone && {tasker} -r {home}/tasks.txt"
    ));
    assert_eq!(ran.code, 1, "{ran:?}");
    sandbox.file("fine", "");
    let ran = sandbox.type_in(&ran.advice());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(in_order(&sandbox), "1 1");
}

#[test]
fn hosts_that_an_earlier_run_had_done_stay_done_when_one_that_went_on_is_killed() {
    let sandbox = Sandbox::new();
    let text = block(
        10,
        "h[1-3]",
        "test @hostname@ = h1 || { test -e fine && { test @hostname@ = h2 || test -e held || \
         { touch held; sleep 60; }; }; }",
    ) + "max_parallel=1\non_failure=90\nreturn=0\n"
        + &report(90);
    assert_eq!(sandbox.run(&text, &[]).code, 5);
    let first = runs(&sandbox).remove(0);
    sandbox.file("fine", "");
    in_order(&sandbox);
    let child = sandbox.start(&text, &["--resume-at", &format!("{first}:10")]);
    wait_for("the last host", || sandbox.exists("held"));
    sandbox.kill(child);
    assert_eq!(in_order(&sandbox), "10-h2 10-h3");
    let second = runs(&sandbox).remove(1);
    let ran = again(&sandbox, &["--resume-at", &format!("{second}:10")]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(in_order(&sandbox), "10-h3");
}

// Which journals a run ends.

#[test]
fn a_limited_run_ends_older_journals_once_nothing_is_undone() {
    let sandbox = Sandbox::new();
    let text = block(
        10,
        "h[1-4]",
        "test -e fine -o @hostname@ = h1 -o @hostname@ = h4",
    );
    assert_eq!(sandbox.run(&text, &[]).code, 10);
    sandbox.file("fine", "");
    let night = runs(&sandbox);
    assert_eq!(again(&sandbox, &["--limit", "h2"]).code, 0);
    assert_eq!(runs(&sandbox), night, "h3 is not done");
    assert_eq!(again(&sandbox, &["--start-from", "10"]).code, 0);
    assert_eq!(
        runs(&sandbox),
        night,
        "a run that began elsewhere ends none"
    );
    in_order(&sandbox);
    let ran = again(&sandbox, &["--limit", "h3"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(runs(&sandbox).is_empty(), "all are done");
    in_order(&sandbox);
    // The next night is a night as any other.
    let ran = again(&sandbox, &["--auto-recovery"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(sorted(&sandbox), "10-h1 10-h2 10-h3 10-h4");
}

#[test]
fn a_limited_run_that_is_resumed_leaves_the_other_hosts_of_a_block_to_the_night() {
    let sandbox = Sandbox::new();
    let text = block(10, "h[1-3]", "test -e fine -o @hostname@ != h1")
        + &block(20, "h[1-3]", "test -e held || { touch held; sleep 60; }");
    assert_eq!(sandbox.run(&text, &[]).code, 10);
    let night = runs(&sandbox);
    sandbox.file("fine", "");
    let child = sandbox.start(&text, &["--limit", "h1"]);
    wait_for("a host of block 20", || sandbox.exists("held"));
    signal(child.id(), "TERM");
    let morning = finish(child);
    assert_eq!(morning.code, 143, "{morning:?}");
    in_order(&sandbox);
    let ran = sandbox.type_in(&morning.advice());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(in_order(&sandbox), "20-h1");
    assert_eq!(
        runs(&sandbox),
        night,
        "nothing has run block 20 on h2 and h3"
    );
}

#[test]
fn the_hosts_that_failed_make_up_for_the_night() {
    let sandbox = Sandbox::new();
    let text = task(1, "true") + &block(10, "h[1-4]", "test -e fine -o @hostname@ = h1");
    assert_eq!(sandbox.run(&text, &["--auto-recovery"]).code, 10);
    sandbox.file("fine", "");
    in_order(&sandbox);
    let ran = again(&sandbox, &["--limit", "last:failed"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(sorted(&sandbox), "1 10-h2 10-h3 10-h4");
    assert!(runs(&sandbox).is_empty(), "nothing of it is undone");
    assert_eq!(again(&sandbox, &["--auto-recovery"]).code, 0);
    assert_eq!(sorted(&sandbox), "1 10-h1 10-h2 10-h3 10-h4");
}

/// A run that continues one of `--start-from` did no more of the work than that one.
#[test]
fn what_continues_a_run_that_began_in_the_middle_ends_only_that_one() {
    let sandbox = Sandbox::new();
    let text = task(1, "test -e fine")
        + &task(2, "test -e finer")
        + "on_failure=9\n"
        + &task(3, "true")
        + "return=0\n"
        + &report(9);
    assert_eq!(sandbox.run(&text, &[]).code, 1);
    let night = runs(&sandbox);
    assert_eq!(again(&sandbox, &["--start-from", "2"]).code, 5);
    assert_eq!(again(&sandbox, &["--resume-at", "2"]).code, 5);
    in_order(&sandbox);
    sandbox.file("finer", "");
    let ran = again(&sandbox, &["--resume-at", "2"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(in_order(&sandbox), "2 3");
    assert_eq!(runs(&sandbox), night, "1 is undone");
    sandbox.file("fine", "");
    assert_eq!(again(&sandbox, &["--resume"]).code, 0);
    assert_eq!(in_order(&sandbox), "1 2 3");
    assert!(runs(&sandbox).is_empty(), "all are done");
}

/// Hosts that were ok in one block and are those of the next are undone there.
#[test]
fn a_limited_run_leaves_a_run_whose_hosts_have_not_come_to_the_next_block() {
    let sandbox = Sandbox::new();
    let text = block(10, "h[1-3]", "test -e fine -o @hostname@ != h2")
        + &block(20, "@10_ok_hosts@", "true")
        + &block(30, "@20_ok_hosts@", "true");
    assert_eq!(sandbox.run(&text, &[]).code, 10);
    sandbox.file("fine", "");
    let night = runs(&sandbox);
    in_order(&sandbox);
    assert_eq!(again(&sandbox, &["--limit", "last:failed"]).code, 0);
    assert_eq!(sorted(&sandbox), "10-h2 20-h2 30-h2");
    assert_eq!(runs(&sandbox), night, "20 and 30 on h1 and h3 are undone");
    assert_eq!(again(&sandbox, &["--limit", "h1,h3"]).code, 0);
    assert!(runs(&sandbox).is_empty(), "all are done");
}

/// What a limited run left out is undone, however its blocks came to their results.
#[test]
fn a_limited_run_that_is_continued_leaves_what_is_undone_beyond_its_limit() {
    let text = task(1, "test -e fine") + &block(10, "h[1-2]", "true") + &task(20, "test -e finer");
    for (options, edit) in [
        (&["--limit", "h1"][..], ""),
        (&["--limit", "h1", "--keep-going"], ""),
        (&["--limit", "h1"], "# edited\n"),
    ] {
        let sandbox = Sandbox::new();
        assert_eq!(sandbox.run(&text, &[]).code, 1);
        sandbox.file("fine", "");
        let night = runs(&sandbox);
        let ran = again(&sandbox, options);
        assert_eq!(ran.code, 1, "{ran:?}");
        sandbox.file("finer", "");
        sandbox.file("tasks.txt", format!("{text}{edit}"));
        in_order(&sandbox);
        let option = if edit.is_empty() {
            "--resume"
        } else {
            "--resume-at=20"
        };
        let ran = again(&sandbox, &[option]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(in_order(&sandbox), "20");
        assert!(runs(&sandbox).contains(&night[0]), "10 on h2 is undone");
        assert_eq!(again(&sandbox, &["--limit", "h2"]).code, 0);
        assert!(runs(&sandbox).is_empty(), "all are done");
    }
}

/// So also where it was killed in the block.
#[test]
fn a_limited_run_that_was_killed_leaves_what_is_undone_beyond_its_limit() {
    let sandbox = Sandbox::new();
    let text = task(1, "test -e fine") + &block(10, "h[1-2]", "test -e finer || sleep 60");
    assert_eq!(sandbox.run(&text, &[]).code, 1);
    sandbox.file("fine", "");
    let night = runs(&sandbox);
    let child = sandbox.start(&text, &["--limit", "h1"]);
    wait_for("the block", || sandbox.read("effects").contains("10-h1"));
    sandbox.kill(child);
    sandbox.file("finer", "");
    let ran = again(&sandbox, &["--resume"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(runs(&sandbox), night, "10 on h2 is undone");
}

#[test]
fn auto_recovery_goes_on_only_with_a_run_like_this_one() {
    let sandbox = Sandbox::new();
    let text = task(1, "true") + &task(2, "test -e fine") + &block(3, "h[1-2]", "true");
    assert_eq!(sandbox.run(&text, &["--limit", "h1"]).code, 1);
    in_order(&sandbox);
    let ran = again(&sandbox, &["--auto-recovery"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let why = "had another --limit, --exclude, --start-from or --resume-at";
    assert!(ran.stdout.contains(why), "{ran:?}");
    assert_eq!(in_order(&sandbox), "1 2");
    // An edited file, with the line in the log alone under -q.
    sandbox.file("tasks.txt", format!("{text}# edited\n"));
    let ran = again(&sandbox, &["-q", "--auto-recovery"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        !ran.stderr.contains("afresh") && ran.stdout.is_empty(),
        "{ran:?}"
    );
    assert!(
        sandbox.log().contains("begins afresh: run "),
        "{}",
        sandbox.log()
    );
    assert_eq!(in_order(&sandbox), "1 2");
    sandbox.file("fine", "");
    let ran = again(&sandbox, &["-q", "--auto-recovery"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.starts_with("Resuming run "), "{ran:?}");
    assert_eq!(sorted(&sandbox), "2 3-h1 3-h2");
    assert!(runs(&sandbox).is_empty(), "the older ones are ended");
}

/// Every night would end like the one before it.
#[test]
fn auto_recovery_begins_afresh_where_it_would_end_as_before() {
    for rest in [
        "task=10\ntype=decision\nsuccess=@5_stdout@ = up\n",
        "task=10\nexec=shell\ntimeout=@5_stdout@\ncommand=true\n",
    ] {
        let sandbox = Sandbox::new();
        sandbox.file("state", "down\n");
        let text = task(5, "cat state") + rest + &task(20, "true") + &task(9, "true");
        let text = text + "finally=true\n";
        let first = sandbox.run(&text, &["--auto-recovery"]);
        assert_ne!(first.code, 0, "{rest}");
        assert_eq!(in_order(&sandbox), "5 9", "{first:?}");
        let old = runs(&sandbox).remove(0);
        sandbox.file("state", "up\n");
        let ran = again(&sandbox, &["--auto-recovery"]);
        let why = format!(
            "--auto-recovery begins afresh: run {old} would only read the same results again and end as before\n"
        );
        assert!(ran.stdout.starts_with(&why), "{rest}: {ran:?}");
        assert!(in_order(&sandbox).starts_with("5 "), "{rest}");
    }
}

/// Runs are counted on where the file that counts them was lost.
#[test]
fn a_lost_count_makes_no_run_older_than_those_before_it() {
    let sandbox = Sandbox::new();
    let text = task(1, "true") + &task(2, "test -e fine");
    sandbox.file("fine", "");
    for _ in 0..3 {
        assert_eq!(sandbox.run(&text, &[]).code, 0);
    }
    std::fs::remove_file(sandbox.path.join("TASKER/state/number")).expect("a count");
    std::fs::remove_file(sandbox.path.join("fine")).expect("it was there");
    assert_eq!(again(&sandbox, &[]).code, 1);
    sandbox.file("fine", "");
    in_order(&sandbox);
    let ran = again(&sandbox, &["--auto-recovery"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.starts_with("Resuming run "), "{ran:?}");
    assert_eq!(in_order(&sandbox), "2");
}

#[test]
fn a_task_to_go_on_at_is_named() {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", task(1, "true"));
    for word in ["20260101_000000-1:", ":"] {
        let ran = again(&sandbox, &["--resume-at", word]);
        assert_eq!(ran.code, 2, "{ran:?}");
        let why = format!("--resume-at: expected a task, or RUN:ID, found `{word}`");
        assert!(ran.stderr.contains(&why), "{ran:?}");
    }
}
