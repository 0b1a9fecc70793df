//! The two large examples of the original tool, word for word, on all their paths: the
//! exit code, the steps and who was told. Stand-ins in PATH take the place of their
//! programs.

mod support;

use support::{Ran, Sandbox};

/// A path of an example: what fails, then the expected result.
struct Way {
    /// The calls that fail, separated by `;`; each is `PROGRAM ARGUMENTS`, and with a
    /// remote host ` @HOST`.
    failing: &'static str,
    code: i32,
    steps: &'static str,
    /// The calls that told somebody.
    told: &'static str,
}

/// The programs of the examples that are not run by pbrun.
const PROGRAMS: [&str; 7] = [
    "pbrun",
    "validate_deployment_readiness",
    "send_notification",
    "initiate_rollback",
    "send_alert",
    "alert",
    "emergency_alert",
];

const NOTICES: [&str; 4] = [
    "send_notification",
    "send_alert",
    "alert",
    "emergency_alert",
];

/// A directory with the example and the stand-ins for its programs.
fn example(text: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    // Links to one file: a file that is written now could be busy when it is run.
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/original/program");
    std::fs::create_dir(sandbox.path.join("bin")).expect("bin");
    for name in PROGRAMS {
        let link = sandbox.path.join("bin").join(name);
        std::os::unix::fs::symlink(program, link).expect("a stand-in");
    }
    sandbox.file("tasks.txt", text);
    sandbox
}

fn run(sandbox: &Sandbox, options: &[&str], failing: &str) -> Ran {
    let path = format!("{}/bin:/usr/bin:/bin", sandbox.path.display());
    let always = ["-r", "--skip-host-validation", "tasks.txt"];
    let mut command = sandbox.tasker(&[&always, options].concat());
    command.env("PATH", path).env("FAILING", failing);
    Ran::from(command.output().expect("tasker runs"))
}

fn take(text: &str, way: &Way) -> (i32, String, String, Ran) {
    let sandbox = example(text);
    let ran = run(&sandbox, &[], way.failing);
    let acts = sandbox.read("acts");
    let is_notice = |act: &&str| NOTICES.contains(&act.split(' ').next().unwrap_or(""));
    let told: Vec<&str> = acts.lines().filter(is_notice).collect();
    (ran.code, sandbox.steps(), told.join("; "), ran)
}

/// The paths are taken at once: retries wait for a second.
fn assert_paths(text: &'static str, ways: &'static [Way]) -> Vec<Ran> {
    let started: Vec<_> = ways
        .iter()
        .map(|way| std::thread::spawn(move || take(text, way)))
        .collect();
    let mut all = Vec::new();
    for (way, thread) in ways.iter().zip(started) {
        let (code, steps, told, ran) = thread.join().expect("a path");
        assert_eq!(
            (code, steps.as_str(), told.as_str()),
            (way.code, way.steps, way.told),
            "failing {:?}: {ran:?}",
            way.failing
        );
        all.push(ran);
    }
    all
}

#[test]
fn the_web_deployment_on_every_path() {
    const GOOD: &str = "send_notification Deployment successful: 3/3 servers";
    const BAD: &str = "send_alert Deployment failed: ";
    assert_paths(
        include_str!("original/web-deployment.txt"),
        &[
            Way {
                failing: "",
                code: 0,
                steps: "0 5 10",
                told: GOOD,
            },
            Way {
                failing: "validate_deployment_readiness ",
                code: 1,
                steps: "0 99",
                told: "send_alert Deployment failed: cannot validate_deployment_readiness",
            },
            Way {
                failing: "validate_deployment_readiness ;send_alert Deployment failed: cannot validate_deployment_readiness",
                code: 1,
                steps: "0 99",
                told: "send_alert Deployment failed: cannot validate_deployment_readiness",
            },
            Way {
                failing: "deploy_application v2.1.0 @web2.prod.com",
                code: 1,
                steps: "0 5 90 99",
                told: BAD,
            },
            // The rollback fails as well: somebody is told anyway.
            Way {
                failing: "deploy_application v2.1.0 @web2.prod.com;initiate_rollback ",
                code: 1,
                steps: "0 5 90 99",
                told: BAD,
            },
            Way {
                failing: "deploy_application v2.1.0 @web1.prod.com;deploy_application v2.1.0 @web2.prod.com;deploy_application v2.1.0 @web3.prod.com",
                code: 1,
                steps: "0 5 90 99",
                told: BAD,
            },
            Way {
                failing: "deploy_application v2.1.0 @web2.prod.com;initiate_rollback ;send_alert Deployment failed: ",
                code: 1,
                steps: "0 5 90 99",
                told: BAD,
            },
            // Its `return=0` does not hide that nobody was told.
            Way {
                failing: GOOD,
                code: 4,
                steps: "0 5 10",
                told: GOOD,
            },
        ],
    );
}

#[test]
fn the_database_maintenance_on_every_path() {
    const ALERT: &str = "alert Database backup failed - maintenance aborted";
    const EMERGENCY: &str = "emergency_alert Failed to enter maintenance mode";
    let all = assert_paths(
        include_str!("original/database-maintenance.txt"),
        &[
            Way {
                failing: "",
                code: 0,
                steps: "0 5 10 20",
                told: "",
            },
            Way {
                failing: "set_maintenance_mode on @db-cluster-vip",
                code: 1,
                steps: "0 99",
                told: EMERGENCY,
            },
            Way {
                failing: "set_maintenance_mode on @db-cluster-vip;emergency_alert Failed to enter maintenance mode",
                code: 1,
                steps: "0 99",
                told: EMERGENCY,
            },
            // Most backups succeeded.
            Way {
                failing: "pg_dump --clean --create logs_db @db3.cluster.com",
                code: 0,
                steps: "0 5 10 20",
                told: "",
            },
            // The plain `goto` of 95 answers the failure.
            Way {
                failing: "pg_dump --clean --create logs_db @db3.cluster.com;pg_dump --clean --create production_db @db1.cluster.com",
                code: 0,
                steps: "0 5 95 20",
                told: ALERT,
            },
            // Nobody was told.
            Way {
                failing: "pg_dump --clean --create logs_db @db3.cluster.com;pg_dump --clean --create production_db @db1.cluster.com;alert Database backup failed - maintenance aborted",
                code: 1,
                steps: "0 5 95 20",
                told: ALERT,
            },
            // The cluster is still in maintenance mode.
            Way {
                failing: "pg_dump --clean --create logs_db @db3.cluster.com;pg_dump --clean --create production_db @db1.cluster.com;set_maintenance_mode off @db-cluster-vip",
                code: 4,
                steps: "0 5 95 20",
                told: ALERT,
            },
            Way {
                failing: "set_maintenance_mode off @db-cluster-vip",
                code: 4,
                steps: "0 5 10 20",
                told: "",
            },
            // The conditional is an `if`: a warning names what failed.
            Way {
                failing: "vacuum_analyze @db-cluster-vip",
                code: 0,
                steps: "0 5 10 20",
                told: "",
            },
        ],
    );
    let warning = "warning: task 10: in its branch: 15 failed; the flow continues";
    let warned: Vec<bool> = all.iter().map(|r| r.stdout.contains(warning)).collect();
    assert_eq!(
        warned,
        [false, false, false, false, false, false, false, false, true]
    );
}

/// Going on at the health check of a failed deployment is no way around the rollback: its
/// condition is asked with the results of the run, and each handler runs again.
#[test]
fn the_web_deployment_continued_at_its_health_check() {
    let sandbox = example(include_str!("original/web-deployment.txt"));
    let failing =
        "deploy_application v2.1.0 @web2.prod.com;deploy_application v2.1.0 @web3.prod.com";
    assert_eq!(run(&sandbox, &[], failing).code, 1);
    sandbox.file("acts", "");
    let ran = run(&sandbox, &["--resume-at", "10"], "");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(sandbox.steps(), "10 99");
    let acts = sandbox.read("acts");
    let acts: Vec<&str> = acts.lines().map(str::trim_end).collect();
    assert_eq!(acts, ["initiate_rollback", "send_alert Deployment failed:"]);
}
