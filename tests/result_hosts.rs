//! Hosts that come from results (SPEC §1.1): hosts and ranges and nothing else. They
//! exclude no host, open no file, and change nothing that the author wrote around them.

mod support;

use support::{Ran, Sandbox};

/// Runs a block whose set is `set`, in which task 1 prints `output`; the hosts it ran on
/// are in the file `ran`.
fn run(sandbox: &Sandbox, output: &[u8], set: &str) -> Ran {
    sandbox.file("output", output);
    let _ = std::fs::remove_file(sandbox.path.join("ran"));
    let _ = std::fs::remove_dir_all(sandbox.path.join("TASKER"));
    let tasks = format!(
        "task=1\nexec=local\ncommand=cat output\ntask=5\ntype=parallel\nmax_parallel=1\n\
         hostnames={set}\nexec=local\ncommand=sh -c 'echo $TASKER_HOSTNAME >> ran'\n"
    );
    sandbox.run(&tasks, &["-q", "--skip-host-validation"])
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("hosts.txt", "file1\nfile2\n");
    sandbox.file("prod", "file3\n");
    sandbox.file("sub/hosts.txt", "file4\n");
    sandbox
}

/// A set, what the result in it is, and the hosts that the block runs on.
const SETS: [(&str, &str, &str); 24] = [
    ("@1_stdout@", "a,b", "a b"),
    ("@1_stdout@", "a b\n\nc\td, e\r\n", "a b c d e"),
    ("@1_stdout@", " , ,a,, ", "a"),
    (
        "@1_stdout@",
        "web[01-03,7]x db[1-5/2]",
        "web01x web02x web03x web7x db1 db3 db5",
    ),
    (
        "@1_stdout@",
        "[::1] 10.0.0.[1-2]",
        "[::1] 10.0.0.1 10.0.0.2",
    ),
    ("a,@1_stdout@,z", "b c", "a b c z"),
    ("a , @1_stdout@ , z", "b", "a b z"),
    ("web[01-03],@1_stdout@", "db", "web01 web02 web03 db"),
    ("@1_stdout@,!web02", "web[01-03]", "web01 web03"),
    ("web[1-3],!@1_stdout@", "web2", "web1 web3"),
    ("web[1-4],!@1_stdout@", "web2,web3", "web1 web4"),
    ("web[1-4],! @1_stdout@", "web2\nweb3", "web1 web4"),
    ("web[1-2],!@1_stdout@", "", "web1 web2"),
    ("web@1_stdout@", "1,2", "web1 web2"),
    ("web@1_stdout@.prod,x", "[1-2]", "web1.prod web2.prod x"),
    ("web[1-@1_stdout@]", "3", "web1 web2 web3"),
    ("web[@1_stdout@]x", " 1-2,5\n", "web1x web2x web5x"),
    ("web[1-3],!web[@1_stdout@]", "1-2", "web3"),
    ("file:hosts.txt,@1_stdout@", "a", "file1 file2 a"),
    ("file:hosts.txt,!@1_stdout@", "file1", "file2"),
    ("file:@1_stdout@,a", "prod", "file3 a"),
    ("file:sub/@1_stdout@.txt", "hosts", "file4"),
    ("@1_stdout:-b,c@,a", "", "b c a"),
    ("@1_hostname@,a", "x", "localhost a"),
];

#[test]
fn a_result_gives_hosts_and_ranges() {
    let sandbox = sandbox();
    for (set, output, hosts) in SETS {
        let ran = run(&sandbox, output.as_bytes(), set);
        let what = format!("{set}: {output:?}: {}", ran.stderr);
        assert_eq!(ran.code, 0, "{what}");
        let found = match sandbox.exists("ran") {
            true => sandbox.read("ran"),
            false => String::new(),
        };
        let found: Vec<&str> = found.lines().collect();
        assert_eq!(found.join(" "), hosts, "{what}");
    }
}

/// What is no list of hosts.
const BAD: [&[u8]; 34] = [
    b"!web01",
    b"!web[01-03]",
    b"a,!web01",
    b"a\n!web01",
    b"a ! web01",
    b"web!01",
    b"file:hosts.txt",
    b"file:/etc/passwd",
    b"a,file:hosts.txt",
    b"a file:fifo",
    b"file:fifo",
    b"/etc/passwd",
    b"../x",
    b"a;b",
    b"a|b",
    b"$(touch PWNED)",
    b"`touch PWNED`",
    b"a[$(touch PWNED)]",
    b"web[1-3",
    b"web1-3]",
    b"],!web01,[1",
    b"1],!web[01-03",
    b"web[1-3]],x",
    b"-oProxyCommand=x",
    b"a:22",
    b"a%eth0",
    b"300.1.1.1",
    b"# all",
    b"\xff\xfe",
    b"a\0b",
    b"web[1-100000]",
    b"web[1-10001]",
    b"a[1-101]b[1-101]",
    b"web[1-9999999999999999999]",
];

#[test]
fn anything_else_fails_the_block_unstarted() {
    let sandbox = sandbox();
    let mut mkfifo = std::process::Command::new("mkfifo");
    let made = mkfifo.arg(sandbox.path.join("fifo")).status();
    assert!(made.expect("mkfifo").success());
    for set in [
        "web[01-03],@1_stdout@",
        "@1_stdout@,web[01-03]",
        "web[01-03],!@1_stdout@",
    ] {
        for output in BAD {
            let ran = run(&sandbox, output, set);
            let what = format!(
                "{set}: {:?}: {}",
                String::from_utf8_lossy(output),
                ran.stderr
            );
            assert_eq!(ran.code, 10, "{what}");
            assert!(!sandbox.exists("ran") && !sandbox.exists("PWNED"), "{what}");
            assert!(
                sandbox
                    .log()
                    .contains("Task 5 ended: failed, exit code 126"),
                "{what}"
            );
            assert!(ran.stderr.contains("@1_stdout@"), "{what}");
        }
    }
    // Between the author's brackets, and in the name of the author's file.
    for (set, outputs) in [
        ("web[1-@1_stdout@]", ["3],!web1,x[1", "a", "$(id)"]),
        ("file:@1_stdout@", ["/etc/passwd", "../x", "fifo"]),
        ("file:sub/@1_stdout@", ["..", "hosts.txt,!file4", "absent"]),
    ] {
        for output in outputs {
            let ran = run(&sandbox, output.as_bytes(), set);
            assert_eq!(ran.code, 10, "{set}: {output}: {}", ran.stderr);
            assert!(!sandbox.exists("ran"), "{set}: {output}");
        }
    }
}

#[test]
fn the_number_of_hosts_from_results_is_bounded_and_little_of_them_is_shown() {
    let sandbox = sandbox();
    let list = |count: usize| (1..=count).map(|n| format!("h{n}\n")).collect::<String>();
    let one_more = run(&sandbox, list(10_001).as_bytes(), "a,@1_stdout@");
    assert_eq!(one_more.code, 10, "{:.500}", one_more.stderr);
    let told = "`@1_stdout@` gives more than 10000 hosts";
    assert!(one_more.stderr.contains(told), "{:.500}", one_more.stderr);
    // Also in two parts, and with the author's text as a factor.
    for set in ["@1_stdout@,x@1_stdout@", "web[1-2]@1_stdout@"] {
        let ran = run(&sandbox, list(6000).as_bytes(), set);
        assert_eq!(ran.code, 10, "{set}: {:.500}", ran.stderr);
        assert!(ran.stderr.contains(told), "{set}: {:.500}", ran.stderr);
    }
    for output in [
        "x".repeat(5_000_000),
        format!("a,{}", "!".repeat(100_000)),
        format!("[{}", "1".repeat(100_000)),
        format!("[{}]", "1,".repeat(100_000)),
        "é".repeat(50_000),
        "web[1-3],".repeat(200_000),
    ] {
        let ran = run(&sandbox, output.as_bytes(), "@1_stdout@,a");
        assert_eq!(ran.code, 10, "{:.500}", ran.stderr);
        assert!(ran.stderr.len() < 1500, "{:.2000}", ran.stderr);
        assert!(!ran.stderr.contains('\u{fffd}'), "{:.2000}", ran.stderr);
    }
    let whole = run(&sandbox, list(10_000).as_bytes(), "@1_stdout@,!h[11-10000]");
    assert_eq!(whole.code, 0, "{:.500}", whole.stderr);
    assert_eq!(sandbox.read("ran").lines().count(), 10);
}

#[test]
fn a_secret_in_a_bad_host_is_not_shown() {
    let sandbox = sandbox();
    let tasks = "A_KEY=hunter2hunter2\ntask=1\nexec=local\ncommand=printenv K\nenv.K=;@A_KEY@\n\
        task=5\ntype=parallel\nhostnames=@1_stdout@\nexec=local\ncommand=touch ran\n";
    let ran = sandbox.run(tasks, &["--skip-host-validation"]);
    assert_eq!(ran.code, 10, "{ran:?}");
    let all = format!("{}{}{}", ran.stdout, ran.stderr, sandbox.log());
    assert!(all.contains("this is no host: `;***`"), "{all}");
    assert!(!all.contains("hunter2"), "{all}");
}
