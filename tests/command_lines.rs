//! A command line that is printed does what it says wherever it is typed (SPEC §6.4):
//! each is typed into a fresh shell in another directory, whatever the environment and
//! the place of the run that printed it were.

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use support::{Ran, Sandbox};

/// Where the cause of a failure is removed, and what was done.
const FAILS_ONCE: &str = "task=1\nexec=shell\ncommand=echo 1 >>effects\n\
    task=2\nexec=shell\ncommand=test -e fine && echo 2 >>effects\n";

/// The same, but a handler that ran on hosts may have undone everything: only a fresh run
/// goes on.
const IS_ROLLED_BACK: &str = "task=1\nexec=shell\ncommand=test -e fine && echo 1 @DATE@ >>effects\n\
    on_failure=90\ntask=2\nreturn=0\n\
    task=90\ntype=parallel\nhostnames=w[1-2]\nexec=local\ncommand=true @hostname@\nreturn=1\n";

/// A run in `place` of a sandbox, as someone types it there.
struct TypedRun {
    sandbox: Sandbox,
    /// Relative to the sandbox.
    place: &'static str,
    /// What precedes the program in PATH, relative to the sandbox.
    path: &'static str,
    environment: Vec<(&'static str, String)>,
}

impl TypedRun {
    /// A sandbox with `tasks` as a file and the program in `bin` and in `place/own`.
    fn new(place: &'static str, file: &str, tasks: &str) -> TypedRun {
        let sandbox = Sandbox::new();
        let directory = sandbox.path.join(place);
        for name in [sandbox.path.join("bin"), directory.join("own")] {
            std::fs::create_dir_all(&name).expect("a directory");
            let program = env!("CARGO_BIN_EXE_tasker");
            std::os::unix::fs::symlink(program, name.join("tasker")).expect("a link");
        }
        std::fs::write(directory.join(file), tasks).expect("the task file");
        TypedRun {
            sandbox,
            place,
            path: "no-such-directory",
            environment: Vec::new(),
        }
    }

    fn with(mut self, name: &'static str, value: &str) -> TypedRun {
        self.environment.push((name, value.to_string()));
        self
    }

    fn directory(&self) -> std::path::PathBuf {
        self.sandbox.path.join(self.place)
    }

    /// A shell with almost no environment.
    fn shell(&self, directory: &Path, line: &str) -> Command {
        let mut shell = Command::new("/bin/sh");
        let path = self.sandbox.path.join(self.path);
        shell
            .args(["-c", line])
            .current_dir(directory)
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", path.display()))
            .env("HOME", &self.sandbox.path)
            .stdin(Stdio::null());
        shell
    }

    /// Types the line where the file is.
    fn run(&self, line: &str) -> Ran {
        let mut shell = self.shell(&self.directory(), line);
        for (name, value) in &self.environment {
            shell.env(name, value);
        }
        Ran::from(shell.output().expect("a shell"))
    }

    /// Removes the cause of the failure, and types the line elsewhere.
    fn go_on(&self, line: &str) -> Ran {
        std::fs::write(self.directory().join("fine"), "").expect("a file");
        let mut shell = self.shell(Path::new("/"), line);
        Ran::from(shell.output().expect("a shell"))
    }

    fn effects(&self) -> String {
        self.sandbox.read(&format!("{}/effects", self.place))
    }

    /// The command line by which `--status` goes on.
    fn status(&self, options: &str) -> String {
        let ran = self.run(&format!("./own/tasker {options} --status"));
        let id = ran.stdout.split_whitespace().nth(1).expect("a run");
        let ran = self.run(&format!("./own/tasker {options} --status {id}"));
        let line = ran.stdout.lines().last().unwrap_or_default();
        line.split_once(": ").expect("a command line").1.to_string()
    }

    /// The run fails by this line; what it prints then finishes the work.
    #[track_caller]
    fn assert_resumed(&self, line: &str) -> String {
        let failed = self.run(line);
        assert_eq!(failed.code, 1, "{failed:?}");
        let advice = failed.advice();
        let again = self.go_on(&advice);
        assert_eq!(again.code, 0, "{advice}: {again:?}");
        assert_eq!(self.effects(), "1\n2\n", "{advice}");
        advice
    }
}

#[test]
fn the_program_is_found_however_it_was_called() {
    let relative = TypedRun::new("work", "t.txt", FAILS_ONCE);
    let advice = relative.assert_resumed("./own/tasker -r t.txt");
    let program = relative.sandbox.path.join("work/own/tasker");
    assert!(
        advice.contains(&format!("&& {} -r ", program.display())),
        "{advice}"
    );
    let below = TypedRun::new("work", "t.txt", FAILS_ONCE);
    below.assert_resumed("own/../own/tasker -r t.txt");
    let absolute = TypedRun::new("work", "t.txt", FAILS_ONCE);
    let program = absolute.sandbox.path.join("bin/tasker");
    let advice = absolute.assert_resumed(&format!("{} -r t.txt", program.display()));
    assert!(advice.contains(&program.display().to_string()), "{advice}");
    let mut in_path = TypedRun::new("work", "t.txt", FAILS_ONCE);
    in_path.path = "bin";
    let advice = in_path.assert_resumed("tasker -r t.txt");
    assert!(advice.contains("&& tasker -r "), "{advice}");
}

#[test]
fn names_are_quoted() {
    for place in ["it's a \"dir\"", "two\nlines", "$HOME;x", "t\u{e9}l\u{e9}"] {
        let run = TypedRun::new(place, "my 'tasks' & co.txt", FAILS_ONCE);
        run.assert_resumed("./own/tasker -r \"my 'tasks' & co.txt\"");
    }
    let run = TypedRun::new("work", "-r.txt", FAILS_ONCE);
    run.assert_resumed("./own/tasker -r -- -r.txt");
}

#[test]
fn a_link_to_the_directory_is_kept() {
    let run = TypedRun::new("release-7", "t.txt", FAILS_ONCE);
    let link = run.sandbox.path.join("current");
    std::os::unix::fs::symlink("release-7", &link).expect("a link");
    let advice = run.assert_resumed("cd ../current && ./own/tasker -r t.txt");
    assert!(
        advice.starts_with(&format!("cd {} && ", link.display())),
        "{advice}"
    );
    // One that names another directory counts for nothing.
    let run = TypedRun::new("work", "t.txt", FAILS_ONCE);
    let advice = run.assert_resumed("PWD=/ ./own/tasker -r t.txt");
    assert!(
        advice.starts_with(&format!("cd {} && ", run.directory().display())),
        "{advice}"
    );
}

#[test]
fn the_log_directory_is_named_unless_it_is_the_usual_one() {
    let run = TypedRun::new("work", "t.txt", FAILS_ONCE);
    let advice = run.assert_resumed("./own/tasker -r t.txt");
    assert!(
        !advice.contains(" -l ") && !advice.contains("--log-dir"),
        "{advice}"
    );
    let typed = TypedRun::new("work", "t.txt", FAILS_ONCE);
    typed.assert_resumed("./own/tasker -r -l logs t.txt");
    for value in ["logs", "/dev/shm/"] {
        let run = TypedRun::new("work", "t.txt", FAILS_ONCE);
        let value = match value {
            "logs" => value.to_string(),
            _ => run.sandbox.path.join("my logs").display().to_string(),
        };
        let run = run.with("TASK_EXECUTOR_LOG", &value);
        run.assert_resumed("./own/tasker -r t.txt");
        assert!(!run.sandbox.exists("TASKER"), "{value}");
    }
    // The file says it again.
    let in_file = TypedRun::new("work", "t.txt", &format!("-l logs\n{FAILS_ONCE}"));
    let advice = in_file.assert_resumed("./own/tasker -r t.txt");
    assert!(!advice.contains(" -l "), "{advice}");
}

#[test]
fn the_configuration_of_the_environment_is_named() {
    let tasks = FAILS_ONCE.replace("task=2\nexec=shell\n", "task=2\nexec=own\n");
    let run = TypedRun::new("work", "t.txt", &tasks);
    let logs = run.sandbox.path.join("logs");
    let conf = format!(
        "log_dir={}\nexec=own\nscript=sh -c {{script}}\n",
        logs.display()
    );
    run.sandbox.file("work/site's.conf", conf);
    let run = run.with("TASKER_CONFIG", "site's.conf");
    run.assert_resumed("./own/tasker -r t.txt");
    assert!(logs.exists() && !run.sandbox.exists("TASKER"));
}

/// What a journal keeps is not in a line that resumes the run, but in one that starts
/// afresh.
#[test]
fn options_of_the_run_are_given_where_no_journal_has_them() {
    let run = TypedRun::new("work", "t.txt", FAILS_ONCE);
    let options = "--set X=1 --exclude w9 -t shell -o 9 --deadline +9h -k --set TOKEN_A=dummy";
    let tasks = |target: &str| {
        format!(
            "X=0\nTOKEN_A=y\n{FAILS_ONCE}env.A=@X@@TOKEN_A@\n{target}\
             task=3\ntype=parallel\nhostnames=w[1-9]\nexec=shell\ncommand=true @hostname@\n\
             task=90\ntype=parallel\nhostnames=w1\nexec=shell\ncommand=true @hostname@\nreturn=1\n"
        )
    };
    run.sandbox.file("work/t.txt", tasks("on_failure=90\n"));
    let failed = run.run(&format!("./own/tasker -rq --max-steps 50 {options} t.txt"));
    let fresh = failed.advice();
    for part in [
        "--set X=1",
        "--exclude w9",
        "--type shell",
        "--timeout 9",
        "--keep-going",
        "--max-steps 50",
        "--set TOKEN_A=...",
    ] {
        assert!(fresh.contains(part), "{part}: {fresh}");
    }
    for part in ["--deadline", "-q", "dummy"] {
        assert!(!fresh.contains(part), "{part}: {fresh}");
    }
    run.sandbox.file("work/t.txt", tasks("next=success\n"));
    for options in [options, &options.replace(" -k", "")] {
        let failed = run.run(&format!("./own/tasker -r --max-steps 50 {options} t.txt"));
        let resuming = failed.advice();
        assert!(resuming.contains("tasker -r --resume="), "{resuming}");
        let expected = "--max-steps 50 --set TOKEN_A=... t.txt";
        assert!(resuming.ends_with(expected), "{resuming}");
        for part in ["X=1", "w9", "-t", "-o", "-k", "--keep-going", "--deadline"] {
            let words: Vec<&str> = resuming.split(' ').collect();
            assert!(!words.contains(&part), "{part}: {resuming}");
        }
    }
}

#[test]
fn a_fresh_run_gets_what_came_from_the_environment() {
    let tasks = "DATE=$TODAY\nSECRET_A=@WAY@x\nWAY=$HIDDEN\n".to_string()
        + &IS_ROLLED_BACK.replace("exec=shell\n", "env.S=@SECRET_A@\n")
        + "task=95\nfinally=true\nexec=local\ncommand=true $HIDDEN $MY_TOKEN ${REGION}\n";
    let run = TypedRun::new("work", "t.txt", &tasks)
        .with("TODAY", "the 1st; it's $(late)")
        .with("HIDDEN", "not to be seen")
        .with("MY_TOKEN", "neither is this")
        .with("REGION", "eu")
        .with("UNUSED", "x")
        .with("TASK_EXECUTOR_TYPE", "shell")
        .with("TASK_EXECUTOR_TIMEOUT", "77");
    let failed = run.run("./own/tasker -r t.txt");
    assert_eq!(failed.code, 1, "{failed:?}");
    let advice = failed.advice();
    for part in [" env REGION=eu TODAY='the 1st", " -t shell ", " -o 77 "] {
        assert!(advice.contains(part), "{part}: {advice}");
    }
    for part in ["HIDDEN", "seen", "TOKEN", "neither", "UNUSED", "HOME="] {
        assert!(!advice.contains(part), "{part}: {advice}");
    }
    // The secrets have to be there, as its author knows.
    let again = run.go_on(&format!("export HIDDEN=x MY_TOKEN=y; {advice}"));
    assert_eq!(again.code, 0, "{advice}: {again:?}");
    assert_eq!(run.effects(), "1 the 1st; it's $(late)\n");
    // One that is given on the command line is no longer taken from there.
    let failed = run.run("rm fine; ./own/tasker -r --set DATE=now -t shell -o 5 t.txt");
    let advice = failed.advice();
    assert!(
        !advice.contains("TODAY") && !advice.contains("77"),
        "{advice}"
    );
}

/// A journal has all of that but the secrets.
#[test]
fn a_continued_run_gets_what_came_from_the_environment() {
    let tasks = "DATE=$TODAY\nSECRET_A=$MY_TOKEN\n\
         task=1\nexec=shell\ncommand=echo @DATE@ >>effects\n\
         task=2\nenv.S=@SECRET_A@\n\
         command=test -e fine && printenv S >>effects\n\
         on_failure=90\n\
         task=3\nexec=local\ncommand=sh -c 'echo $0 >>effects' ${REGION}\nreturn=0\ntask=90\nexec=local\ncommand=true\nreturn=1\n";
    let run = TypedRun::new("work", "t.txt", tasks)
        .with("TODAY", "the 1st; it's $(late)")
        .with("MY_TOKEN", "not-to-be-kept")
        .with("REGION", "eu")
        .with("TASK_EXECUTOR_TYPE", "shell");
    let failed = run.run("./own/tasker -r t.txt");
    assert_eq!(failed.code, 1, "{failed:?}");
    let advice = failed.advice();
    assert!(advice.contains("tasker -r --resume-at "), "{advice}");
    assert!(advice.ends_with(":2 t.txt"), "{advice}");
    let again = run.go_on(&advice);
    assert_eq!(again.code, 12, "{again:?}");
    assert!(again.stderr.contains("SECRET_A"), "{again:?}");
    assert!(!again.stderr.contains("MY_TOKEN"), "{again:?}");
    let again = run.go_on(&format!("export MY_TOKEN=new TODAY=x REGION=us; {advice}"));
    assert_eq!(again.code, 0, "{advice}: {again:?}");
    assert_eq!(run.effects(), "the 1st; it's $(late)\nnew\neu\n");
}

#[test]
fn sudo_is_part_of_the_line() {
    let mut run = TypedRun::new("work", "t.txt", FAILS_ONCE).with("SUDO_USER", "ann");
    run.path = "bin";
    run.sandbox.program(
        "bin/sudo",
        "#!/bin/sh\nprintf '%s\\n' \"$@\" >\"$HOME/words\"\nshift 2\nexec \"$@\"\n",
    );
    run.assert_resumed("tasker -r t.txt");
    let user = run.run("id -un").stdout;
    let words = run.sandbox.read("words");
    assert!(
        words.starts_with(&format!("-u\n{user}tasker\n-r\n")),
        "{words}"
    );
    // What the environment gives comes after it: sudo drops the rest.
    let tasks = format!("DATE=$TODAY\n{IS_ROLLED_BACK}");
    run.sandbox.file("work/t.txt", tasks);
    run = run.with("TODAY", "a b");
    let failed = run.run("rm -f fine effects; tasker -r t.txt");
    let again = run.go_on(&failed.advice());
    assert_eq!(
        (again.code, run.effects().as_str()),
        (0, "1 a b\n"),
        "{again:?}"
    );
    let words = run.sandbox.read("words");
    assert!(
        words.starts_with(&format!("-u\n{user}env\nTODAY=a b\ntasker\n")),
        "{words}"
    );
}

#[test]
fn status_prints_the_line_of_the_recap() {
    let run = TypedRun::new("it's", "t.txt", FAILS_ONCE);
    let failed = run.run("./own/tasker -r -l logs --max-steps 40 t.txt");
    assert_eq!(run.status("-l logs"), failed.advice());
}
