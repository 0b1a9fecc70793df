//! The two long examples in `tests/files`, on all their paths: the exit code, the
//! steps and what was done, with a stand-in for their programs.

mod support;

use support::{Ran, Sandbox};

/// A path of an example: what fails and what is flaky, then the expected result.
struct Way {
    failing: &'static str,
    flaky: &'static str,
    code: i32,
    steps: &'static str,
    /// The calls of the stand-in; those that ran at the same time in alphabetical
    /// order.
    acts: &'static str,
}

fn assert_paths(name: &str, ways: &[Way]) {
    let files = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files");
    for way in ways {
        let sandbox = Sandbox::new();
        std::fs::copy(files.join("act"), sandbox.path.join("act")).expect("the stand-in");
        std::fs::copy(files.join(name), sandbox.path.join(name)).expect("the example");
        let output = sandbox
            .tasker(&["-r", name])
            .env("FAILING", way.failing)
            .env("FLAKY", way.flaky)
            .output();
        let ran = Ran::from(output.expect("tasker runs"));
        let case = format!("failing {:?} flaky {:?}: {ran:?}", way.failing, way.flaky);
        assert_eq!(ran.code, way.code, "{case}");
        assert_eq!(sandbox.steps(), way.steps, "{case}");
        assert!(!ran.stdout.contains("warning"), "{case}");
        let acts = sandbox.read("acts");
        let mut acts: Vec<&str> = acts.lines().collect();
        // The order of those that run at the same time is not fixed.
        let together = |act: &&str| act.starts_with("deploy ") || act.starts_with("backup ");
        let from = acts.iter().position(together).unwrap_or(0);
        let to = acts.iter().rposition(together).map_or(0, |at| at + 1);
        acts[from..to].sort();
        assert_eq!(acts.join(", "), way.acts, "{case}");
    }
}

#[test]
fn the_web_deployment_on_every_path() {
    assert_paths(
        "web-deployment.txt",
        &[
            Way {
                failing: "",
                flaky: "",
                code: 0,
                steps: "0 1 2 3",
                acts: "validate 1.0, deploy web1, deploy web2, deploy web3, smoke, switch, notify 1.0 on 3 of 3",
            },
            Way {
                failing: "",
                flaky: "deploy web2",
                code: 0,
                steps: "0 1 2 3",
                acts: "validate 1.0, deploy web1, deploy web2, deploy web2, deploy web3, smoke, switch, notify 1.0 on 3 of 3",
            },
            // One host fails: the others continue without it.
            Way {
                failing: "deploy web3",
                flaky: "",
                code: 0,
                steps: "0 1 2 3",
                acts: "validate 1.0, deploy web1, deploy web2, deploy web3, deploy web3, deploy web3, drain 12, switch, notify 1.0 on 2 of 3",
            },
            // Too few hosts: everything is rolled back.
            Way {
                failing: "deploy web1;deploy web3",
                flaky: "",
                code: 1,
                steps: "0 1 90 99",
                acts: "validate 1.0, deploy web1, deploy web1, deploy web1, deploy web2, deploy web3, deploy web3, deploy web3, rollback, alert",
            },
            // The new version is not healthy: the branch leads to the rollback.
            Way {
                failing: "smoke",
                flaky: "",
                code: 1,
                steps: "0 1 2 90 99",
                acts: "validate 1.0, deploy web1, deploy web2, deploy web3, smoke, rollback, alert",
            },
            // The branch's last task has no route of its own: the block's applies.
            Way {
                failing: "switch;rollback",
                flaky: "",
                code: 1,
                steps: "0 1 2 90 99",
                acts: "validate 1.0, deploy web1, deploy web2, deploy web3, smoke, switch, rollback, alert",
            },
            Way {
                failing: "validate 1.0",
                flaky: "",
                code: 1,
                steps: "0 99",
                acts: "validate 1.0, alert",
            },
            // The deployment is done, but nobody knows.
            Way {
                failing: "notify 1.0 on 3 of 3",
                flaky: "",
                code: 4,
                steps: "0 1 2 3",
                acts: "validate 1.0, deploy web1, deploy web2, deploy web3, smoke, switch, notify 1.0 on 3 of 3",
            },
        ],
    );
}

#[test]
fn the_database_maintenance_on_every_path() {
    assert_paths(
        "database-maintenance.txt",
        &[
            Way {
                failing: "",
                flaky: "",
                code: 0,
                steps: "0 1 2 3 4 5",
                acts: "maintenance on, backup events, backup orders, backup users, vacuum, reindex, maintenance off",
            },
            Way {
                failing: "backup users",
                flaky: "",
                code: 0,
                steps: "0 1 2 3 4 5",
                acts: "maintenance on, backup events, backup orders, backup users, analyze without users, maintenance off",
            },
            // Too few backups: an alert, then the run ends where the decision
            // fails.
            Way {
                failing: "backup users;backup events",
                flaky: "",
                code: 10,
                steps: "0 1 95 3 4",
                acts: "maintenance on, backup events, backup orders, backup users, alert 2 backups failed: events,users, maintenance off",
            },
            // The alert itself fails: its `goto` jumps anyway.
            Way {
                failing: "backup users;backup events;alert 2 backups failed: events,users",
                flaky: "",
                code: 10,
                steps: "0 1 95 3 4",
                acts: "maintenance on, backup events, backup orders, backup users, alert 2 backups failed: events,users, maintenance off",
            },
            Way {
                failing: "maintenance on",
                flaky: "",
                code: 1,
                steps: "0 99",
                acts: "maintenance on, emergency",
            },
            Way {
                failing: "vacuum",
                flaky: "",
                code: 1,
                steps: "0 1 2 99",
                acts: "maintenance on, backup events, backup orders, backup users, vacuum, emergency",
            },
            Way {
                failing: "maintenance off",
                flaky: "",
                code: 1,
                steps: "0 1 2 3 99",
                acts: "maintenance on, backup events, backup orders, backup users, vacuum, reindex, maintenance off, emergency",
            },
        ],
    );
}

#[test]
fn a_failed_reindex_is_named_but_does_not_stop_the_run() {
    let files = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files");
    let sandbox = Sandbox::new();
    std::fs::copy(files.join("act"), sandbox.path.join("act")).expect("the stand-in");
    let example = files.join("database-maintenance.txt");
    let mut command = sandbox.tasker(&["-r"]);
    command
        .arg(&example)
        .env("FAILING", "reindex")
        .env("UPKEEP_SHARDS", "s[1-4]");
    let ran = Ran::from(command.output().expect("tasker runs"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stdout
            .contains("in its branch: 21 failed; the flow continues"),
        "{ran:?}"
    );
    assert!(sandbox.read("acts").ends_with("reindex\nmaintenance off\n"));
}
