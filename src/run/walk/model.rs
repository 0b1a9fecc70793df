//! Tests of the walk on a pretended runner, compared with simple models of what a
//! run does.
#![forbid(unsafe_code)]

use super::simulation::{OK, Observed, outcomes, run, seconds};
use crate::outcome::Outcome;
use crate::plan::check;
use crate::plan::workflow::Workflow;
use crate::plan::workflow::tests::workflow;
use crate::run::runner::CommandEnd;
use crate::text::diagnostic::DiagnosticList;
use std::collections::HashMap;
use std::time::Duration;

#[test]
fn retries_double_and_sleeps_pass_on_the_clock() {
    let text = "task=0\nexec=local\ncommand=job\nretry_count=4\nretry_delay=10s..60s\nsleep=5m\n\
                task=1\nexec=local\ncommand=next\n";
    let seen = run(text, &|words, before| match words {
        "job" if before < 4 => (CommandEnd::Exited(1), seconds(1)),
        _ => (OK, seconds(1)),
    });
    assert_eq!(seen.end.exit, 0);
    let times: Vec<f64> = seen.starts.iter().map(|(_, t)| t.as_secs_f64()).collect();
    for (pair, delay) in times.windows(2).zip([10.0, 20.0, 40.0, 60.0]) {
        let waited = pair[1] - pair[0] - 1.0;
        assert!(
            waited >= delay * 0.79 && waited <= delay * 1.21,
            "{waited} for {delay}"
        );
    }
    assert!(
        (times[5] - times[4] - 301.0).abs() < 0.01,
        "one sleep, after the last attempt"
    );
}

#[test]
fn waiting_for_a_retry_holds_no_slot() {
    let text = "task=0\ntype=parallel\ntasks=1,2,3\nmax_parallel=1\nretry_count=1\nretry_delay=100s\n\
                task=1\nexec=local\ncommand=one\ntask=2\nexec=local\ncommand=two\ntask=3\nexec=local\ncommand=three\n";
    let seen = run(text, &|words, before| {
        (
            if words == "one" && before == 0 {
                CommandEnd::Exited(1)
            } else {
                OK
            },
            seconds(1),
        )
    });
    let order: Vec<(&str, u64)> = seen
        .starts
        .iter()
        .map(|(w, t)| (w.as_str(), t.as_secs()))
        .collect();
    assert_eq!(order, [("one", 0), ("two", 1), ("three", 2), ("one", 101)]);
    assert_eq!(outcomes(&seen, 0), [Outcome::Ok; 3]);
}

#[test]
fn a_subtask_that_sleeps_keeps_its_slot() {
    let text = "task=0\ntype=parallel\ntasks=1,2\nmax_parallel=1\n\
                task=1\nexec=local\ncommand=one\nsleep=10\ntask=2\nexec=local\ncommand=two\n";
    let seen = run(text, &|_, _| (OK, seconds(1)));
    assert_eq!(seen.starts[1].1, seconds(11));
}

#[test]
fn the_deadline_of_a_block_ends_subtasks_in_every_state() {
    // 1 and 3 run, 2 waits for its retry, 4 has not started.
    let text = "task=0\ntype=parallel\ntasks=1-4\nmax_parallel=2\nblock_timeout=10\nretry_count=3\nretry_delay=60\n\
                task=1\nexec=local\ncommand=long\ntask=2\nexec=local\ncommand=fails\n\
                task=3\nexec=local\ncommand=long2\ntask=4\nexec=local\ncommand=never\n";
    let seen = run(text, &|words, _| match words {
        "fails" => (CommandEnd::Exited(7), seconds(1)),
        _ => (OK, seconds(100)),
    });
    assert_eq!(
        outcomes(&seen, 0),
        [
            Outcome::Timeout,
            Outcome::Failed,
            Outcome::Timeout,
            Outcome::NotStarted
        ]
    );
    let exits: Vec<i32> = (1..5)
        .map(|ix| seen.end.results.get(ix).map_or(-99, |r| r.exit))
        .collect();
    assert_eq!(exits, [124, 7, 124, 124]);
    assert_eq!(seen.end.took, seconds(10));
    assert_eq!(seen.end.exit, 10);
}

#[test]
fn a_failed_canary_stops_the_waves() {
    let text = "task=0\ntype=parallel\nhostnames=h[1-10]\nexec=local\ncommand=do @hostname@\nwaves=1,3,rest\nwave_pause=30\n";
    let seen = run(text, &|words, _| {
        (
            if words == "do h1" {
                CommandEnd::Exited(1)
            } else {
                OK
            },
            seconds(1),
        )
    });
    assert_eq!(seen.starts.len(), 1);
    assert_eq!(outcomes(&seen, 0)[1..], [Outcome::NotStarted; 9]);
    let seen = run(text, &|_, _| (OK, seconds(1)));
    let times: Vec<u64> = seen.starts.iter().map(|(_, t)| t.as_secs()).collect();
    assert_eq!(times, [0, 31, 31, 31, 62, 62, 62, 62, 62, 62]);
}

#[test]
fn a_wave_check_decides_between_waves() {
    let text = "task=0\ntype=parallel\nhostnames=h[1-4]\nexec=local\ncommand=do\nwaves=2\nwave_check=9\n\
                task=9\nexec=local\ncommand=check\n";
    let seen = run(text, &|words, _| {
        (
            if words == "check" {
                CommandEnd::Exited(1)
            } else {
                OK
            },
            seconds(1),
        )
    });
    assert_eq!(
        outcomes(&seen, 0),
        [
            Outcome::Ok,
            Outcome::Ok,
            Outcome::NotStarted,
            Outcome::NotStarted
        ]
    );
    assert!(
        seen.reported
            .iter()
            .any(|t| t.contains("wave_check failed (task 9)")),
        "{:?}",
        seen.reported
    );
}

#[test]
fn branches_route_out_of_their_block() {
    let branch = |keys: &str| {
        format!(
            "task=0\ntype=conditional\ncondition=true\nif_true_tasks=10,11,12\n\
             task=1\nexec=local\ncommand=one\n\
             task=10\nexec=local\ncommand=a\ntask=11\nexec=local\ncommand=b\n{keys}\ntask=12\nexec=local\ncommand=c\n\
             task=90\nexec=local\ncommand=handler\n"
        )
    };
    let go = |keys: &str, bad: &str| {
        let seen = run(&branch(keys), &|words, _| {
            (
                if words == bad {
                    CommandEnd::Exited(3)
                } else {
                    OK
                },
                seconds(1),
            )
        });
        let order: Vec<String> = seen.starts.iter().map(|(w, _)| w.clone()).collect();
        (order.join(" "), seen.end.exit)
    };
    // A failed branch task stops the branch only if it has a `next=`.
    assert_eq!(go("", "b"), ("a b c one handler".into(), 0));
    assert_eq!(go("next=success", "b"), ("a b".into(), 10));
    assert_eq!(go("on_failure=90", "b"), ("a b handler".into(), 0));
    assert_eq!(go("return=5", ""), ("a b".into(), 5));
    assert_eq!(go("next=never", "b"), ("a b".into(), 3));
    // To a sibling, which is then an ordinary step of the main line.
    assert_eq!(go("on_success=12", ""), ("a b c handler".into(), 0));
}

/// xorshift with a fixed seed.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// What the model knows of one subtask: how each of its attempts ends.
struct SubtaskPlan {
    retries: u64,
    timeout: u64,
    attempts: Vec<(i32, u64)>,
}

impl SubtaskPlan {
    fn random(random: &mut Random) -> SubtaskPlan {
        let retries = random.below(4);
        let mut attempts = Vec::new();
        for _ in 0..=retries {
            let exit = if random.below(3) == 0 {
                1 + random.below(9) as i32
            } else {
                0
            };
            attempts.push((exit, 1 + random.below(20)));
        }
        SubtaskPlan {
            retries,
            timeout: 5 + random.below(20),
            attempts,
        }
    }

    /// The outcome and the number of attempts, without limits.
    fn expected(&self) -> (Outcome, usize) {
        for (number, (exit, took)) in self.attempts.iter().enumerate() {
            if *took > self.timeout {
                return (Outcome::Timeout, number + 1);
            }
            if *exit == 0 {
                return (Outcome::Ok, number + 1);
            }
        }
        (Outcome::Failed, self.attempts.len())
    }
}

#[test]
fn random_blocks_agree_with_the_model() {
    let mut random = Random(0x5eed_cafe_1234_5678);
    for round in 0..400 {
        let plans: Vec<SubtaskPlan> = (0..1 + random.below(30))
            .map(|_| SubtaskPlan::random(&mut random))
            .collect();
        let at_once = 1 + random.below(8);
        let fail_fast = (random.below(3) == 0).then(|| random.below(5));
        let mut text = format!(
            "task=0\ntype=parallel\ntasks=1-{}\nmax_parallel={at_once}\n",
            plans.len()
        );
        if let Some(n) = fail_fast {
            text += &format!("fail_fast={n}\n");
        }
        for (i, plan) in plans.iter().enumerate() {
            text += &format!(
                "task={}\nexec=local\ncommand=job {i}\ntimeout={}\nretry_count={}\nretry_delay=2\n",
                i + 1,
                plan.timeout,
                plan.retries
            );
        }
        let seen = run(&text, &|words, before| {
            let i: usize = words.trim_start_matches("job ").parse().expect("a number");
            let (exit, took) = plans[i].attempts[before];
            (CommandEnd::Exited(exit), seconds(took))
        });
        check_block(&seen, &plans, at_once as usize, fail_fast, round);
    }
}

fn check_block(
    seen: &Observed,
    plans: &[SubtaskPlan],
    at_once: usize,
    fail_fast: Option<u64>,
    round: usize,
) {
    let found = outcomes(seen, 0);
    let block = seen.end.results.get(0).expect("the block");
    assert_eq!(
        found.len(),
        plans.len(),
        "round {round}: every subtask exactly once"
    );
    assert!(
        seen.most_at_once <= at_once,
        "round {round}: {} at once",
        seen.most_at_once
    );
    let mut starts: HashMap<&str, usize> = HashMap::new();
    seen.starts
        .iter()
        .for_each(|(words, _)| *starts.entry(words).or_default() += 1);
    for (i, plan) in plans.iter().enumerate() {
        let (outcome, attempts) = plan.expected();
        let started = starts
            .get(format!("job {i}").as_str())
            .copied()
            .unwrap_or(0);
        let result = seen.end.results.get(i + 1).expect("a result");
        assert_eq!(result.outcome, found[i], "round {round}: both places agree");
        match fail_fast {
            None => assert_eq!(
                (found[i], started),
                (outcome, attempts),
                "round {round} subtask {i}"
            ),
            Some(_) if found[i] == Outcome::NotStarted => {
                assert_eq!(started, 0, "round {round} subtask {i}")
            }
            Some(_) => assert!(
                started >= 1 && started <= attempts,
                "round {round} subtask {i}"
            ),
        }
    }
    let first: Vec<&str> = {
        let mut seen_before = std::collections::HashSet::new();
        seen.starts
            .iter()
            .map(|(w, _)| w.as_str())
            .filter(|w| seen_before.insert(*w))
            .collect()
    };
    let in_order: Vec<String> = (0..first.len()).map(|i| format!("job {i}")).collect();
    assert_eq!(first, in_order, "round {round}: started in order");
    let failures = found
        .iter()
        .filter(|o| matches!(o, Outcome::Failed | Outcome::Timeout))
        .count() as u64;
    let left = found.contains(&Outcome::NotStarted);
    if let (true, Some(most)) = (left, fail_fast) {
        assert!(
            failures > most,
            "round {round}: stopped though only {failures} of {most} failed"
        );
    }
    let counts = block.counts();
    assert_eq!(counts.total() as usize, plans.len());
    assert_eq!(block.success, failures == 0 && !left, "round {round}");
    let ok = found.iter().filter(|o| **o == Outcome::Ok).count();
    assert_eq!(
        block.stdout.head(99).as_ref(),
        format!("{ok}/{} succeeded\n", plans.len()).as_bytes()
    );
}

/// The connection breaks while the command runs.
const LOST: CommandEnd = CommandEnd::Lost(255);

/// A block over hosts with retries, `fail_fast=`, `unreachable=` and waves, and how
/// each attempt on each host ends.
struct BlockPlan {
    attempts: Vec<Vec<(CommandEnd, Duration)>>,
    fail_fast: Option<u64>,
    /// The most unreachable hosts that are left out.
    left_out: Option<u64>,
    wave: usize,
}

impl BlockPlan {
    fn random(random: &mut Random) -> BlockPlan {
        let hosts = 1 + random.below(15);
        let attempts = 1 + random.below(3);
        let mut attempt = || {
            let ending = match random.below(8) {
                0 | 1 => CommandEnd::Exited(1),
                2 | 3 => CommandEnd::Unreachable(255),
                4 => LOST,
                _ => OK,
            };
            // No two attempts end at the same time.
            let took = Duration::from_nanos(1 + random.below(20_000_000_000));
            (ending, took)
        };
        let mut of_host = || (0..attempts).map(|_| attempt()).collect();
        let attempts = (0..hosts).map(|_| of_host()).collect();
        BlockPlan {
            attempts,
            fail_fast: (random.below(4) > 0).then(|| random.below(4)),
            left_out: match random.below(3) {
                0 => None,
                1 => Some(hosts),
                _ => Some(hosts / 4),
            },
            wave: match random.below(2) {
                0 => hosts as usize,
                _ => 1 + random.below(4) as usize,
            },
        }
    }

    fn text(&self, at_once: u64) -> String {
        let (hosts, retries) = (self.attempts.len(), self.attempts[0].len() - 1);
        let unreachable = match self.left_out {
            None => "fail",
            Some(most) if most as usize == hosts => "skip",
            Some(_) => "25%",
        };
        let fail_fast = match self.fail_fast {
            None => "false".into(),
            Some(n) => n.to_string(),
        };
        format!(
            "task=0\ntype=parallel\nhostnames=h[1-{hosts}]\nexec=local\ncommand=do @hostname@\n\
             retry_count={retries}\nretry_delay=2\nmax_parallel={at_once}\nwaves={}\n\
             unreachable={unreachable}\nfail_fast={fail_fast}\n",
            self.wave
        )
    }

    /// Whether `fail_fast=` allows what ended so.
    fn allows(&self, failed: &[CommandEnd]) -> bool {
        let unreachable = failed.iter();
        let unreachable = unreachable.filter(|e| matches!(e, CommandEnd::Unreachable(_)));
        let unreachable = unreachable.count() as u64;
        let counted = match self.left_out.is_some_and(|most| unreachable <= most) {
            true => failed.len() as u64 - unreachable,
            false => failed.len() as u64,
        };
        self.fail_fast.is_none_or(|most| counted <= most)
    }
}

/// The index of the host in `do h3`.
fn host_of(words: &str) -> usize {
    let number = words.trim_start_matches("do h").parse::<usize>();
    number.expect("a number") - 1
}

/// Checks what had failed at each start: nothing new starts while too many have not
/// succeeded, and no retry once too many have failed for good. Returns how the last
/// attempt on each host ended.
fn check_starts(plan: &BlockPlan, seen: &Observed, what: &str) -> Vec<Option<CommandEnd>> {
    let attempts = plan.attempts[0].len();
    let mut made: Vec<Vec<(CommandEnd, Duration)>> = vec![Vec::new(); plan.attempts.len()];
    for (words, at) in &seen.starts {
        let attempt = made[host_of(words)].len();
        let before = made[host_of(words)].last();
        // It may have been done.
        assert!(
            before.is_none_or(|(end, _)| *end != LOST),
            "{words}: {what}"
        );
        let ended = made.iter().filter_map(|of_host| {
            let ended = of_host.iter().take_while(|(_, end)| end <= at).count();
            let (ending, _) = of_host[ended.checked_sub(1)?];
            (attempt == 0 || ended == attempts || ending == LOST).then_some(ending)
        });
        let failed: Vec<CommandEnd> = ended.filter(|e| *e != OK).collect();
        assert!(plan.allows(&failed), "{words}, attempt {attempt}: {what}");
        let (ending, took) = plan.attempts[host_of(words)][attempt];
        made[host_of(words)].push((ending, *at + took));
    }
    let last = made.iter().map(|of_host| of_host.last());
    last.map(|end| end.map(|(ending, _)| *ending)).collect()
}

/// Whether the block must end before its last host has begun.
fn must_stop(plan: &BlockPlan, ends: &[CommandEnd]) -> bool {
    let failed: Vec<CommandEnd> = ends.iter().copied().filter(|e| *e != OK).collect();
    let wave = (ends.len() - 1) / plan.wave * plan.wave;
    let applies = wave == 0 || plan.fail_fast.is_none();
    let is_whole = ends.len().is_multiple_of(plan.wave);
    !plan.allows(&failed) || (is_whole && applies && !ends[wave..].contains(&OK))
}

#[test]
fn fail_fast_and_waves_hold_in_every_block() {
    let mut random = Random(0xb10c_ba5e);
    let mut stopped = 0;
    for round in 0..600 {
        let plan = BlockPlan::random(&mut random);
        let text = plan.text(1 + random.below(6));
        let what = format!("round {round}\n{text}");
        let seen = run(&text, &|words, before| {
            plan.attempts[host_of(words)][before]
        });
        let ends = check_starts(&plan, &seen, &what);
        let outcomes = outcomes(&seen, 0);
        for (outcome, end) in outcomes.iter().zip(&ends) {
            let expected = match end {
                None => Outcome::NotStarted,
                Some(CommandEnd::Unreachable(_)) => Outcome::Unreachable,
                Some(end) if *end == OK => Outcome::Ok,
                Some(end) if *end == LOST => Outcome::Unknown,
                Some(_) => Outcome::Failed,
            };
            assert_eq!(*outcome, expected, "{what}");
        }
        let begun: Vec<CommandEnd> = ends.iter().flatten().copied().collect();
        if begun.len() < outcomes.len() {
            assert!(must_stop(&plan, &begun), "{outcomes:?}: {what}");
            stopped += 1;
        }
    }
    assert!(stopped > 100, "{stopped}");
}

/// A random, well-formed workflow: commands with every kind of route.
pub(super) fn random_workflow(random: &mut Random) -> String {
    let count = 3 + random.below(8);
    let ids: Vec<u64> = (0..count).map(|i| i * (1 + random.below(3)) + i).collect();
    let mut ids: Vec<u64> = ids
        .into_iter()
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();
    ids.sort_unstable();
    let mut text = String::new();
    for id in &ids {
        let target = ids[random.below(ids.len() as u64) as usize];
        let other = ids[random.below(ids.len() as u64) as usize];
        let keys = match random.below(11) {
            0 => format!("on_failure={target}"),
            1 => format!("next=success\ngoto={target}"),
            2 => format!("on_success={target}\non_failure={other}"),
            3 => format!("goto={target}"),
            4 => "next=always".into(),
            5 => "next=never".into(),
            6 => format!("return={}", random.below(4)),
            7 => format!("next=loop\nloop=2\nloop_break=exit_0\non_failure={target}"),
            8 => "condition=@TASKER_RUN@=1".replace("@TASKER_RUN@", "'1'"),
            9 => "retry_count=1\nretry_delay=1".into(),
            _ => String::new(),
        };
        text += &format!("task={id}\nexec=local\ncommand=job {id}\n{keys}\n");
    }
    let last = ids[ids.len() - 1];
    let any = ids[random.below(ids.len() as u64) as usize];
    if random.below(2) == 0 {
        text += &format!(
            "task=200\ntype=parallel\ntasks=211,212\non_failure={any}\n\
             task=211\nexec=local\ncommand=job 211\ntask=212\nexec=local\ncommand=job 212\n"
        );
    }
    if random.below(2) == 0 {
        text += &format!(
            "task=201\ntype=conditional\ncondition=@{last}_exit@ = 0\n\
             if_true_tasks=221,222\nif_false_tasks=223\n\
             task=221\nexec=local\ncommand=job 221\non_failure={any}\n\
             task=222\nexec=local\ncommand=job 222\nnext=success\n\
             task=223\nexec=local\ncommand=job 223\nreturn=4\n"
        );
    }
    text
}

/// The ids of the tasks that the validator reports as unreachable.
fn called_unreachable(workflow: &Workflow) -> Vec<u32> {
    let mut diagnostics = DiagnosticList::default();
    check::check(workflow, None, &mut diagnostics);
    let id = |message: &str| {
        let rest = message.strip_prefix("task ")?;
        let (id, _) = rest.split_once(" can never run")?;
        id.parse().ok()
    };
    diagnostics.messages().filter_map(id).collect()
}

/// The ids of all steps that the flow took and of all commands that were started.
pub(super) fn ids_that_ran(workflow: &Workflow, seen: &Observed) -> Vec<u32> {
    let steps = seen.end.path.iter().map(|ix| workflow.tasks[*ix].id);
    let words = seen.starts.iter().map(|(words, _)| words.as_str());
    let started = words.filter_map(|w| w.strip_prefix("job ")?.parse().ok());
    steps.chain(started).collect()
}

#[test]
fn every_run_is_a_path_of_the_graph() {
    use crate::plan::graph::{Graph, To, node, task_of};
    let mut unreachable = 0;
    let mut random = Random(0x0dd_ba11);
    let mut jumps = 0;
    for round in 0..200 {
        let text = random_workflow(&mut random);
        let workflow = workflow(&text);
        let graph = Graph::new(&workflow);
        let first = workflow.first().expect("a task");
        let reached = graph.reachable(&[node(first, workflow.is_handler(first))]);
        let never = called_unreachable(&workflow);
        unreachable += never.len();
        for _ in 0..4 {
            let seed = random.below(u64::MAX - 1) + 1;
            let seen = run(&text, &|words, before| {
                let mut own = Random(
                    seed ^ (words.len() as u64 * 7919
                        + words.as_bytes()[words.len() - 1] as u64 * 31
                        + before as u64 * 104_729
                        + 1),
                );
                own.below(3);
                (CommandEnd::Exited((own.below(3) == 0) as i32), seconds(1))
            });
            for id in ids_that_ran(&workflow, &seen) {
                assert!(!never.contains(&id), "round {round}: {id} ran\n{text}");
            }
            for ix in &seen.end.path {
                assert!(
                    reached[node(*ix, false)] || reached[node(*ix, true)],
                    "round {round}: {} ran\n{text}",
                    workflow.tasks[*ix].id
                );
            }
            for pair in seen.end.path.windows(2) {
                let goes = |h| {
                    graph
                        .edges_from(node(pair[0], h))
                        .iter()
                        .any(|e| matches!(e.to, To::Node(n) if task_of(n) == pair[1]))
                };
                jumps += usize::from(pair[1] != pair[0] + 1);
                assert!(
                    goes(false) || goes(true),
                    "round {round}: {:?}\n{text}",
                    pair
                );
            }
        }
    }
    assert!(
        jumps > 200,
        "the workflows must jump to show anything: {jumps}"
    );
    assert!(unreachable > 50, "too few unreachable: {unreachable}");
}
