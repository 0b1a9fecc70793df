//! Where two rules meet: each case was once wrong.

mod support;

use support::neutral::neutral;
use support::{Sandbox, finish, signal, wait_for};

fn run(tasks: &str, options: &[&str]) -> (Sandbox, support::Ran) {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(tasks, options);
    (sandbox, ran)
}

/// A stand-in for ssh in a sandbox: hosts that begin with `bad` are unreachable.
#[test]
fn a_loop_whose_number_is_unusable_is_a_failure() {
    let tasks = "task=0\nexec=local\ncommand=echo many\n\
                 task=1\nexec=local\ncommand=true\nnext=loop\nloop=@0_stdout@\n\
                 task=2\nexec=local\ncommand=touch ran\n";
    let (sandbox, ran) = run(tasks, &[]);
    assert_eq!((ran.code, sandbox.exists("ran")), (126, false), "{ran:?}");
    assert!(ran.stderr.contains("loop: expected a number"), "{ran:?}");
}

#[test]
fn next_always_continues_past_what_cannot_start() {
    for key in [
        "hostname=@0_stdout@",
        "exec=@0_stdout@",
        "timeout=@0_stdout@",
    ] {
        let exec = if key.starts_with("exec") {
            ""
        } else {
            "exec=local\n"
        };
        let tasks = format!(
            "task=0\nexec=local\ncommand=echo 'not usable!'\n\
             task=1\n{exec}command=true\n{key}\nnext=always\nretry_count=3\nretry_delay=9\nsuccess=exit_126\n\
             task=2\nexec=local\ncommand=echo @1_exit@ @1_success@ >>ran\n"
        )
        .replace("exec=local\ncommand=echo @1", "exec=shell\ncommand=echo @1");
        let (sandbox, ran) = run(&tasks, &[]);
        assert_eq!(ran.code, 0, "{key}: {ran:?}");
        assert_eq!(sandbox.read("ran"), "126 false\n", "{key}");
    }
}

#[test]
fn a_secret_with_a_quote_is_masked_before_it_is_quoted() {
    let tasks = "SECRET_A=pa'ss\"word\ntask=0\nexec=shell\ncommand=printenv S\nenv.S=@SECRET_A@\n\
                 task=1\nexec=local\ncommand=echo @0_stdout@\n";
    let (sandbox, ran) = run(tasks, &["-d"]);
    let all = format!("{}{}{}", ran.stdout, ran.stderr, sandbox.log());
    assert!(
        all.contains("echo '***'") && !all.contains("ss\"word"),
        "{all}"
    );
}

#[test]
fn a_cut_through_a_secret_reveals_nothing() {
    let secret = "QabcdefghijRklmnopqrsSuvwxyz0123456789XY";
    // 3000 times without a gap, so that every cut falls inside one.
    let tasks = format!(
        "SECRET_A={secret}\ntask=0\nexec=shell\ncommand=for i in $(seq 3000); do printf %s \"$S\"; done; exit 3\nenv.S=@SECRET_A@\nnext=always\n\
         task=1\nexec=local\ncommand=true x@0_stdout@\nnext=always\ntask=2\nexec=shell\ncommand=for i in $(seq 3000); do printf %s \"$S\"; done; exit 3\nenv.S=@SECRET_A@\n"
    );
    let (sandbox, ran) = run(&tasks, &["-d"]);
    let all = format!("{}{}{}", ran.stdout, ran.stderr, sandbox.log());
    assert_eq!(ran.code, 3);
    for at in 0..secret.len() - 5 {
        assert!(
            !all.contains(&secret[at..at + 5]),
            "{}",
            &secret[at..at + 5]
        );
    }
}

#[test]
fn a_timeout_stays_a_timeout_for_next_and_loop_break() {
    let tasks = "task=0\nexec=local\ncommand=sleep 30\ntimeout=1\nsuccess=exit_124\nnext=timeout\non_failure=9\n\
                 task=1\nexec=local\ncommand=touch ran\ntask=2\nnext=never\ntask=9\nreturn=9\n";
    let (sandbox, ran) = run(tasks, &[]);
    assert_eq!((ran.code, sandbox.exists("ran")), (0, true), "{ran:?}");
}

#[test]
fn a_block_in_a_loop_retries_nothing() {
    let tasks = "task=0\ntype=parallel\nhostnames=a\nexec=shell\ncommand=echo x >>ran; exit 1\nnext=loop\nloop=3\nretry_count=2\nretry_delay=0.01\n";
    let (sandbox, _) = run(tasks, &[]);
    assert_eq!(sandbox.read("ran").lines().count(), 3);
}

#[test]
fn an_empty_set_is_success_whatever_the_criterion() {
    for criterion in [
        "success=any_success",
        "success=min_success=1",
        "next=any_success",
    ] {
        let tasks = format!(
            "task=0\nexec=local\ncommand=true\ntask=1\ntype=parallel\nhostnames=@0_stdout@\nexec=local\ncommand=touch ran\n{criterion}\n"
        );
        let (sandbox, ran) = run(&tasks, &[]);
        assert_eq!(
            (ran.code, sandbox.exists("ran")),
            (0, false),
            "{criterion}: {ran:?}"
        );
    }
}

#[test]
fn a_final_task_has_60_s_instead_of_300_s() {
    let carry = "exec=carry\nargv=env {command} {arguments}\n";
    for (conf, options, ordinary, last) in [
        (carry.to_string(), &[][..], "5 m", "1 m"),
        (carry.to_string(), &["-o", "2m"][..], "2 m", "2 m"),
        (carry.to_string(), &["-o", "20s"][..], "20 s", "20 s"),
        (format!("timeout=3m\n{carry}"), &[][..], "3 m", "3 m"),
        (
            format!("{carry}timeout=20m\n"),
            &["-o", "2m"][..],
            "20 m",
            "20 m",
        ),
    ] {
        let sandbox = Sandbox::new();
        sandbox.file("c", conf);
        let tasks = "task=0\nexec=carry\ncommand=true\n\
                     task=1\nexec=carry\ncommand=true\nfinally=true\n\
                     task=2\nexec=carry\ncommand=true\nfinally=true\ntimeout=90\n";
        let ran = sandbox.run(tasks, &[&["--config", "c"], options].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        let log = sandbox.log();
        for (task, timeout) in [(0, ordinary), (1, last), (2, "90 s")] {
            let line = format!("Task {task}: carry, timeout {timeout}");
            assert!(log.contains(&line), "{line}: {log}");
        }
    }
}

#[test]
fn limits_apply_to_host_validation_and_to_a_resumed_run() {
    let sandbox = Sandbox::new();
    sandbox.program("bin/ssh", "#!/bin/sh\nexit 255\n");
    let tasks = "X=1\ntask=0\ntype=parallel\nhostnames=localhost,no-such-host.invalid\nexec=ssh\ncommand=echo @X@\n";
    sandbox.file("tasks.txt", tasks);
    let path = format!("{}/bin:/usr/bin:/bin", sandbox.path.display());
    let tasker = |words: &[&str]| {
        let mut command = sandbox.tasker(words);
        support::Ran::from(command.env("PATH", &path).output().expect("tasker runs"))
    };
    let ran = tasker(&[
        "-r",
        "--limit",
        "localhost",
        "--set",
        "X=2 3",
        "-k",
        "tasks.txt",
    ]);
    assert_eq!(
        ran.code, 1,
        "not 60, for the dead host is not asked: {ran:?}"
    );
    // The journal has its limit, its globals and its options.
    let advice = neutral(&ran.advice(), &sandbox.path.display().to_string());
    assert_eq!(advice, "cd HOME && tasker -r --resume=RUN tasks.txt");
    let again = tasker(&["-r", "--resume", "--set", "X=2 3", "tasks.txt"]);
    assert_eq!(again.code, 1, "{again:?}");
    assert!(
        again.stderr.contains("| ssh localhost 'echo 2 3'"),
        "{again:?}"
    );
    assert!(!again.stderr.contains("no-such-host"), "{again:?}");
    assert_eq!(tasker(&["-r", "tasks.txt"]).code, 60);
    let listed = tasker(&["--limit", "localhost", "tasks.txt"]);
    assert_eq!(listed.code, 0, "{listed:?}");
    assert!(
        listed
            .stdout
            .contains("localhost (1 of 2 selected on the command line)"),
        "{listed:?}"
    );
    assert_eq!(tasker(&["--limit", "nosuch", "tasks.txt"]).code, 2);
}

#[test]
fn a_signal_ends_host_validation() {
    let sandbox = Sandbox::new();
    sandbox.program("bin/ping", "#!/bin/sh\necho asked >>asked\nexec sleep 9\n");
    sandbox.program("bin/pbrun", "#!/bin/sh\ntouch ran\n");
    sandbox.file(
        "tasks.txt",
        "task=0\nhostname=127.0.0.9\nexec=pbrun\ncommand=true\n",
    );
    let path = format!("{}/bin:/usr/bin:/bin", sandbox.path.display());
    let began = std::time::Instant::now();
    let child = sandbox
        .tasker(&["-r", "-c", "tasks.txt"])
        .env("PATH", path)
        .spawn()
        .expect("tasker starts");
    wait_for("the ping", || sandbox.exists("asked"));
    signal(child.id(), "TERM");
    let ran = finish(child);
    assert_eq!((ran.code, sandbox.exists("ran")), (143, false), "{ran:?}");
    assert!(began.elapsed().as_secs() < 9, "it waited for the ping");
}

#[test]
fn the_task_reference_is_its_id_in_a_loop_too() {
    let tasks =
        "task=5\nexec=shell\ncommand=echo @task@-@loop@ $TASKER_TASK >>ran\nnext=loop\nloop=2\n";
    let (sandbox, _) = run(tasks, &[]);
    assert_eq!(sandbox.read("ran"), "5-1 5\n5-2 5\n");
}

#[test]
fn what_was_not_reached_answers_nothing() {
    let run = |tasks: &str| {
        let sandbox = Sandbox::new();
        sandbox.program("bin/ssh", "#!/bin/sh\nexit 255\n");
        sandbox.file("tasks.txt", tasks);
        let mut tasker = sandbox.tasker(&["-r", "--skip-host-validation", "tasks.txt"]);
        tasker.env(
            "PATH",
            format!("{}/bin:/usr/bin:/bin", sandbox.path.display()),
        );
        let ran = support::Ran::from(tasker.output().expect("tasker runs"));
        (sandbox, ran)
    };
    let polling = |until: &str| {
        format!(
            "task=0\nhostname=bad\nexec=ssh\ncommand=true\nnext=loop\nloop=2\nloop_break={until}\n\
             task=1\nexec=local\ncommand=touch ran\n"
        )
    };
    // Nothing was printed there, but not because nothing is left to do.
    for until in ["stdout_count < 5", "stdout !~ busy", "failure", "!exit_0"] {
        let (sandbox, ran) = run(&polling(until));
        assert_eq!(
            (ran.code, sandbox.exists("ran")),
            (10, false),
            "{until}: {ran:?}"
        );
    }
    let (sandbox, ran) = run(&polling("unreachable"));
    assert_eq!((ran.code, sandbox.exists("ran")), (0, true), "{ran:?}");

    // A block from which every host was left out: the condition of `next` is apart
    // from the criterion.
    for next in ["max_success=0", "@10_failed_count@=0"] {
        let tasks = format!(
            "task=10\ntype=parallel\nhostnames=bad[1-2]\nexec=ssh\ncommand=true\nunreachable=skip\n\
             success=min_success=0\nnext={next}\ntask=11\nexec=local\ncommand=touch ran\n"
        );
        let (sandbox, ran) = run(&tasks);
        assert_eq!(
            (ran.code, sandbox.exists("ran")),
            (10, false),
            "{next}: {ran:?}"
        );
    }
}
