//! Every aggregate at its edges (SPEC §3.1), as `next=` and as `success=`, with
//! real subtasks, against a model that knows only how many succeeded.

mod support;

use support::{Ran, Sandbox};

/// An aggregate, and whether it is true if so many of so many subtasks are ok.
type Aggregate = (&'static str, fn(u64, u64) -> bool);

const AGGREGATES: [Aggregate; 23] = [
    ("all_success", |ok, of| ok == of),
    ("any_success", |ok, _| ok > 0),
    ("majority_success", |ok, of| ok * 2 > of),
    ("min_success=0", |_, _| true),
    ("min_success=1", |ok, _| ok >= 1),
    ("min_success=2", |ok, _| ok >= 2),
    ("min_success=4", |ok, _| ok >= 4),
    ("min_success=6", |_, _| false),
    ("min_success=50%", |ok, of| ok * 100 >= 50 * of),
    ("min_success=51%", |ok, of| ok * 100 >= 51 * of),
    ("min_success=100%", |ok, of| ok == of),
    ("max_success=0", |ok, _| ok == 0),
    ("max_success=2", |ok, _| ok <= 2),
    ("max_success=40%", |ok, of| ok * 100 <= 40 * of),
    ("min_failed=1", |ok, of| of - ok >= 1),
    ("min_failed=60%", |ok, of| (of - ok) * 100 >= 60 * of),
    ("max_failed=0", |ok, of| ok == of),
    ("max_failed=2", |ok, of| of - ok <= 2),
    ("max_failed=25%", |ok, of| (of - ok) * 100 <= 25 * of),
    ("max_failed=0%", |ok, of| ok == of),
    ("max_failed=1 & min_success=4", |ok, of| {
        of - ok <= 1 && ok >= 4
    }),
    ("!all_success", |ok, of| ok != of),
    ("success_count=2 | failed_count>3", |ok, of| {
        ok == 2 || of - ok > 3
    }),
];

/// 0, 1, half, half and one more, all.
const EDGES: [(u64, u64); 10] = [
    (0, 4),
    (1, 4),
    (2, 4),
    (3, 4),
    (4, 4),
    (0, 5),
    (1, 5),
    (2, 5),
    (3, 5),
    (5, 5),
];

/// `first N HOST` succeeds on the hosts h1 to hN.
const FIRST: &str = "#!/bin/sh\n[ ${2#h} -le $1 ]\n";

fn block(id: usize, key: &str, aggregate: &str, (ok, of): (u64, u64)) -> String {
    format!(
        "task={id}\ntype=parallel\nhostnames=h[1-{of}]\nexec=local\n\
         command=./first {ok} @hostname@\n{key}={aggregate}\n"
    )
}

/// Runs every aggregate at every edge with this key in one file: block `i` is
/// followed by `i + 1` if it succeeded and by `i + 2` if not, then by the next
/// block.
fn run_all(key: &str) {
    let sandbox = Sandbox::new();
    sandbox.program("first", FIRST);
    let (mut tasks, mut path, mut expected) = (String::new(), Vec::new(), Vec::new());
    let mut arguments = String::new();
    let mut id = 0;
    for (aggregate, holds) in AGGREGATES {
        for edge in EDGES {
            tasks += &block(id, key, aggregate, edge);
            let next = id + 10;
            tasks += &format!(
                "on_success={yes}\non_failure={no}\n\
                 task={yes}\ntype=decision\nsuccess=true\ngoto={next}\n\
                 task={no}\ntype=decision\nsuccess=true\ngoto={next}\n",
                yes = id + 1,
                no = id + 2
            );
            let holds = holds(edge.0, edge.1);
            path.push(id.to_string());
            path.push((id + if holds { 1 } else { 2 }).to_string());
            arguments += &format!("@{id}_success@@{id}_exit@@{id}_failed_count@ ");
            expected.push(format!("{holds}{}{}", i32::from(!holds), edge.1 - edge.0));
            id = next;
        }
    }
    tasks += &format!("task={id}\nexec=shell\ncommand=echo {arguments} >results\n");
    path.push(id.to_string());
    let ran = sandbox.run(&tasks, &["--skip-task-validation"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let found = sandbox.read("results");
    let found: Vec<&str> = found.split_whitespace().collect();
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let (aggregate, _) = AGGREGATES[index / EDGES.len()];
        let (ok, of) = EDGES[index % EDGES.len()];
        assert_eq!(found, expected, "{key}={aggregate} with {ok} ok of {of}");
    }
    assert_eq!(sandbox.steps(), path.join(" "));
}

#[test]
fn every_aggregate_is_right_at_its_edges_as_next() {
    run_all("next");
}

#[test]
fn every_aggregate_is_right_at_its_edges_as_success() {
    run_all("success");
}

#[test]
fn an_unhandled_failed_block_ends_the_run_with_10() {
    for (aggregate, holds) in AGGREGATES {
        for key in ["next", "success"] {
            let sandbox = Sandbox::new();
            sandbox.program("first", FIRST);
            let edge = (2, 5);
            let ran: Ran = sandbox.run(&block(0, key, aggregate, edge), &[]);
            let expected = if holds(2, 5) { 0 } else { 10 };
            assert_eq!(ran.code, expected, "{key}={aggregate}: {ran:?}");
        }
    }
}

#[test]
fn next_decides_the_flow_and_success_the_block() {
    // (keys, success of the block, path): two of four are ok.
    for (keys, success, path) in [
        ("", "false", "0 99"),
        ("next=always\n", "false", "0 1"),
        ("success=any_success\n", "true", "0 1"),
        ("success=all_success\nnext=any_success\n", "false", "0 1"),
        ("success=any_success\nnext=all_success\n", "true", "0 99"),
        ("failure=max_success=2\n", "false", "0 99"),
        ("failure=min_failed=3\n", "true", "0 1"),
        // The block's own id means the result that is judged.
        ("next=@0_success_count@=2\n", "true", "0 1"),
        ("next=success_count=2\n", "true", "0 1"),
        // The criterion is for each host: its output decides, whatever its exit
        // code.
        ("success=stdout~host\n", "true", "0 1"),
        ("success=exit_1\nnext=min_success=2\n", "true", "0 1"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.program("first", "#!/bin/sh\necho host $2\n[ ${2#h} -le $1 ]\n");
        let always = keys == "next=always\n";
        let failure = if always { "" } else { "on_failure=99\n" };
        let tasks = format!(
            "{}{keys}{failure}\
             task=1\nexec=shell\ncommand=echo @0_success@ >results\n\
             task=99\nexec=shell\ncommand=echo @0_success@ >results\n",
            block(0, "description", "two of four", (2, 4))
        );
        let ran = sandbox.run(&tasks, &[]);
        assert_eq!(sandbox.read("results").trim(), success, "{keys}: {ran:?}");
        let path = if always { "0 1 99" } else { path };
        assert_eq!(sandbox.steps(), path, "{keys}: {ran:?}");
    }
}

#[test]
fn skipped_subtasks_do_not_count_in_percentages() {
    // Two ok, one failed, two skipped: percentages are of three.
    for (aggregate, holds) in [
        ("majority_success", true),
        ("min_success=66%", true),
        ("min_success=67%", false),
        ("max_failed=33%", false),
        ("max_failed=34%", true),
        ("min_failed=2", false),
        ("all_success", false),
    ] {
        let sandbox = Sandbox::new();
        let mut tasks = format!("NO=no\ntask=0\ntype=parallel\ntasks=1-5\nsuccess={aggregate}\n");
        for (id, rest) in [
            (1, "command=true\n"),
            (2, "command=true\n"),
            (3, "command=false\n"),
            (4, "command=true\ncondition=@NO@=yes\n"),
            (5, "command=true\ncondition=@NO@=yes\n"),
        ] {
            tasks += &format!("task={id}\nexec=local\n{rest}");
        }
        let ran = sandbox.run(&tasks, &[]);
        assert_eq!(ran.code, if holds { 0 } else { 10 }, "{aggregate}: {ran:?}");
    }
}
