//! Many works of one file side by side in three containers that share a log directory.
//! Some are killed and started again in another container, until all are ok: every task
//! took effect exactly once, but for those that ran at a kill.
//!
//! `TASKER_SOAK_MINUTES=10`, as in `make test-crash`, does whole rounds for so long;
//! `TASKER_SOAK_SEED` sets the first seed.

#[path = "support/chance.rs"]
mod chance;
mod support;

use chance::Chance;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::{Ran, Sandbox, processes_with, wait_for};

/// What takes effect, in the order of the flow. What has the same stage runs at once.
const ITEMS: [(&str, u32); 9] = [
    ("1", 1),
    ("2", 2),
    ("3", 3),
    ("4.h1", 4),
    ("4.h2", 4),
    ("4.h3", 4),
    ("4.h4", 4),
    ("5", 5),
    ("6", 6),
];
/// How many of one stage run at once.
const AT_ONCE: usize = 2;

/// Task 3 needs time to end: its work must not go on beside it.
fn tasks(sandbox: &Sandbox) -> String {
    let effect = sandbox.path.join("effect");
    let effect = effect.display();
    format!(
        "N=0\n\
         task=1\nexec=local\ncommand={effect} @N@ 1\n\
         task=2\nexec=shell\ncommand={effect} @N@ 2; seq 2000\n\
         task=3\nexec=local\nstdin=@2_stdout@\ncommand={effect} @N@ 3\n\
         task=4\ntype=parallel\nhostnames=h[1-4]\nmax_parallel={AT_ONCE}\nexec=shell\n\
         command={effect} @N@ 4.@hostname@\n\
         task=5\ncondition=@4_success@\nexec=local\ncommand={effect} @N@ 5\n\
         task=6\nfinally=true\nexec=local\ncommand={effect} @N@ 6\n"
    )
}

/// Writes a line for each effect. The environment that a run keeps for its continuation
/// does not have what only this program reads.
const EFFECT: &str = "#!/bin/sh\n\
    if [ \"$2\" = 3 ]; then\n\
    trap '' TERM\n\
    exec 9>>\"$SOAK/busy/$1\"\n\
    flock -n 9 || echo \"$1 $SOAK_START\" >> \"$SOAK/overlaps\"\n\
    [ \"$(wc -l)\" -eq 2000 ] || echo \"$1 $SOAK_START\" >> \"$SOAK/shortened\"\n\
    fi\n\
    echo \"$1 $2 $SOAK_START\" >> \"$SOAK/effects\"\n\
    [ \"$2\" != 3 ] || sleep 0.05\n\
    while [ -e \"$SOAK/hold/$SOAK_START.$2\" ]; do sleep 0.01; done\n";

/// How much is done.
struct Extent {
    works: usize,
    kills: usize,
}

const SHORT: Extent = Extent {
    works: 30,
    kills: 6,
};
const WHOLE: Extent = Extent {
    works: 300,
    kills: 40,
};

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Aim {
    Tasker,
    /// The guardian, which the run survives.
    Guardian,
    GuardianAndTasker,
    /// All processes of the work.
    All,
}

const AIMS: [Aim; 5] = [
    Aim::Tasker,
    Aim::Tasker,
    Aim::Guardian,
    Aim::GuardianAndTasker,
    Aim::All,
];

/// The file that keeps the command of this effect of a start from ending.
fn hold(start: usize, after: usize) -> String {
    format!("hold/{start}.{}", ITEMS[after - 1].0)
}

/// One call of tasker.
struct Start {
    work: usize,
    /// Which container it is in; none of the three if it has one of its own.
    space: usize,
    /// `unshare` or `nsenter`, whose child tasker is.
    child: Child,
    /// Where its output goes.
    output: PathBuf,
    /// It was killed, after which the work may have nothing left to do.
    killed: bool,
}

/// When a process is to be killed.
#[derive(Clone)]
struct Plan {
    /// Once the work has so many effects.
    after: usize,
    /// So long after that, to hit it at other points too.
    delay: Duration,
    /// The file for which the command of the last of them waits until the kill.
    hold: Option<String>,
    /// From when on it has so many.
    since: Option<Instant>,
    aim: Aim,
}

struct Round<'a> {
    sandbox: &'a Sandbox,
    chance: Chance,
    spaces: Vec<Child>,
    starts: Vec<Start>,
    /// The starts that are running.
    running: BTreeSet<usize>,
    effects: File,
    /// Work, item and start of each effect so far.
    lines: Vec<(usize, String, usize)>,
    /// How many each work has.
    seen: Vec<usize>,
    unread: String,
    plans: BTreeMap<usize, Plan>,
    /// What holds commands of works whose next start is to find the lock held.
    slow: Vec<(usize, String)>,
    kills_left: usize,
    figures: Figures,
}

#[derive(Clone, Debug, Default)]
struct Figures {
    works: usize,
    started_in: Duration,
    kills: BTreeMap<String, usize>,
    /// Kills after which nothing was left to do.
    after_the_end: usize,
    starts: usize,
    refused_as_active: usize,
    repeated: usize,
    looks: usize,
    /// Files that were being written at a kill.
    torn: usize,
}

/// A container: a PID namespace with its own /proc.
fn container() -> Child {
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--", "sleep", "86400"]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().expect("unshare runs")
}

fn is_permitted() -> bool {
    let mut probe = Command::new("unshare");
    probe.args(["--pid", "--fork", "--mount-proc", "--", "true"]);
    let works = probe.stderr(Stdio::null()).status();
    let has_nsenter = Command::new("nsenter").arg("--version").output().is_ok();
    works.is_ok_and(|status| status.success()) && has_nsenter
}

/// The children of a process, here and now.
fn children(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

fn descendants(pid: u32) -> Vec<u32> {
    let mut found = children(pid);
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        found.extend(children(*pid));
        next += 1;
    }
    found
}

fn name(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm"))
        .unwrap_or_default()
        .trim()
        .to_string()
}

/// Ends those that are still there, in this order.
fn kill(pids: &[u32]) {
    if pids.is_empty() {
        return;
    }
    let pids = pids.iter().map(u32::to_string);
    let mut command = Command::new("kill");
    command.arg("-KILL").args(pids).stderr(Stdio::null());
    // One that has ended by itself is none to complain of.
    let _ = command.status();
}

impl Round<'_> {
    /// Starts tasker for a work in a container.
    fn start(&mut self, work: usize, space: usize, options: &[&str]) {
        let number = self.starts.len();
        let mut command = match self.spaces.get(space) {
            Some(space) => {
                let init = children(space.id());
                let mut command = Command::new("nsenter");
                command.arg(format!("--target={}", init[0]));
                command.args(["--pid", "--mount", "--"]);
                command
            }
            None => {
                let mut command = Command::new("unshare");
                command.args(["--pid", "--fork", "--mount-proc", "--"]);
                command
            }
        };
        let output = self.sandbox.path.join(format!("outputs/{number}"));
        let file = File::create(&output).expect("a file for its output");
        let tasker = self.sandbox.tasker::<&str>(&[]);
        // All of the first begin when the gate opens.
        command
            .args(["sh", "-c", ": < \"$0\"; exec \"$@\""])
            .arg(self.sandbox.path.join("gate"))
            .arg(tasker.get_program())
            .args(["-r", "-q", "--project=soak", "--timeout=600"])
            .args(["--auto-recovery", "--instance-check"])
            .args(options)
            .arg(format!("--set=N={work}"))
            .arg(self.sandbox.path.join("tasks.txt"))
            .env_clear()
            .envs(tasker.get_envs().filter_map(|(n, v)| Some((n, v?))))
            .env("SOAK", &self.sandbox.path)
            .env("SOAK_START", number.to_string())
            .current_dir(&self.sandbox.path)
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a copy"))
            .stderr(file);
        let child = command.spawn().expect("it starts");
        self.starts.push(Start {
            work,
            space,
            child,
            output,
            killed: false,
        });
        self.running.insert(number);
        self.figures.starts += 1;
    }

    /// Chooses works that are not done yet to be killed, up to so many.
    fn plan(&mut self, most: usize, held: bool) {
        let starts = self.running.iter().copied();
        let mut open: Vec<usize> = starts
            .filter(|start| !self.plans.contains_key(&self.starts[*start].work))
            .filter(|start| self.seen[self.starts[*start].work] < ITEMS.len() - 1)
            .collect();
        while self.plans.len() < most && !open.is_empty() {
            let start = open.remove(self.chance.below(open.len()));
            let work = self.starts[start].work;
            let seen = self.seen[work];
            let after = match held {
                true => seen + 1 + self.chance.below(ITEMS.len() - seen),
                false => seen + self.chance.below(ITEMS.len() + 1 - seen),
            };
            // At the start there is no command yet.
            let held = after > 0 && (held || self.chance.below(4) > 0);
            let longest = match (held, after) {
                (true, _) => 3_000,
                (false, 0) => 40_000,
                (false, _) => 10_000,
            };
            let hold = held.then(|| hold(start, after));
            if let Some(hold) = &hold {
                self.sandbox.file(hold, "");
            }
            let delay = Duration::from_micros(self.chance.below(longest) as u64);
            let aim = self.chance.one_of(&AIMS);
            let since = None;
            self.plans.insert(
                work,
                Plan {
                    after,
                    delay,
                    hold,
                    since,
                    aim,
                },
            );
        }
    }

    fn effects_of(&self, work: usize) -> Vec<&(usize, String, usize)> {
        self.lines.iter().filter(|line| line.0 == work).collect()
    }

    /// Reads what has taken effect since.
    fn read_effects(&mut self) {
        let read = self.effects.read_to_string(&mut self.unread);
        read.expect("readable effects");
        while let Some((line, rest)) = self.unread.split_once('\n') {
            let words: Vec<&str> = line.split(' ').collect();
            let [work, item, start] = words[..] else {
                panic!("a mixed line: {line}");
            };
            let number = |word: &str| word.parse().expect("a number");
            let line = (number(work), item.to_string(), number(start));
            self.seen[line.0] += 1;
            self.lines.push(line);
            self.unread = rest.to_string();
        }
    }

    /// Kills those whose time has come.
    fn kill_due(&mut self) {
        let works: Vec<usize> = self.plans.keys().copied().collect();
        for work in works {
            let seen = self.seen[work];
            let of_work = |start: &&usize| self.starts[**start].work == work;
            let start = self.running.iter().rfind(of_work).copied();
            let Some(plan) = self.plans.get_mut(&work).filter(|plan| seen >= plan.after) else {
                continue;
            };
            let since = *plan.since.get_or_insert_with(Instant::now);
            let plan = plan.clone();
            if start.is_some() && since.elapsed() < plan.delay {
                continue;
            }
            let tasker = start.and_then(|start| self.tasker_of(start));
            if let Some((start, tasker)) = start.zip(tasker) {
                self.kill_one(start, tasker, plan.aim);
            } else if start.is_some() && plan.after == 0 {
                // It has not begun yet.
                continue;
            }
            self.plans.remove(&work);
            // Task 3 does not end by itself: the next start finds its lock held.
            let is_slow = plan.aim == Aim::Tasker && plan.after == 3;
            match plan.hold {
                Some(hold) if is_slow => self.slow.push((work, hold)),
                Some(hold) => self.release(&hold),
                None => {}
            }
        }
    }

    /// What the guardian of a killed run waits for may end.
    fn release_slow(&mut self, work: usize) {
        let (of_work, others) = std::mem::take(&mut self.slow)
            .into_iter()
            .partition(|(slow, _)| *slow == work);
        self.slow = others;
        let of_work: Vec<(usize, String)> = of_work;
        of_work.iter().for_each(|(_, hold)| self.release(hold));
    }

    fn release(&self, hold: &str) {
        // It may be gone already.
        let _ = std::fs::remove_file(self.sandbox.path.join(hold));
    }

    /// The process of a start; nothing if it has ended, or is not tasker yet.
    fn tasker_of(&self, start: usize) -> Option<u32> {
        let wrapper = self.starts[start].child.id();
        let tasker = children(wrapper).into_iter().next()?;
        (name(tasker) == "tasker").then_some(tasker)
    }

    fn kill_one(&mut self, start: usize, tasker: u32, aim: Aim) {
        let guardian = children(tasker)
            .into_iter()
            .find(|pid| name(*pid) == "tasker-guardian");
        let targets: Vec<u32> = match aim {
            Aim::Tasker => vec![tasker],
            Aim::Guardian => guardian.into_iter().collect(),
            Aim::GuardianAndTasker => guardian.into_iter().chain([tasker]).collect(),
            Aim::All => {
                // The commands last, or tasker would see that they failed.
                let mut first: Vec<u32> = guardian.into_iter().chain([tasker]).collect();
                if self.chance.below(2) == 0 {
                    first.reverse();
                }
                let mut all = descendants(tasker);
                all.retain(|pid| !first.contains(pid));
                [first, all].concat()
            }
        };
        if targets.is_empty() {
            return;
        }
        if aim != Aim::Guardian {
            self.starts[start].killed = true;
        }
        kill(&targets);
        if aim == Aim::Guardian {
            *self.figures.kills.entry("Guardian".into()).or_default() += 1;
        }
        // Whether tasker was faster is known when it has ended.
        let note = self.sandbox.path.join(format!("outputs/{start}.aim"));
        std::fs::write(note, format!("{aim:?}")).expect("a note");
    }

    /// Goes on with each work whose tasker has ended and did not do all.
    fn follow_up(&mut self) {
        let mut ended = Vec::new();
        for number in self.running.iter().copied() {
            let child = &mut self.starts[number].child;
            if let Some(status) = child.try_wait().expect("its state") {
                use std::os::unix::process::ExitStatusExt;
                let code = status.code().or(status.signal().map(|s| -s));
                ended.push((number, code.expect("a code or a signal")));
            }
        }
        self.read_effects();
        for (number, code) in ended {
            self.running.remove(&number);
            self.after(number, code);
        }
    }

    fn after(&mut self, number: usize, code: i32) {
        let Start {
            work,
            space,
            killed,
            ..
        } = self.starts[number];
        let output = std::fs::read_to_string(&self.starts[number].output).unwrap_or_default();
        match code {
            0 => {}
            25 => {
                // The guardian of the killed run has not let go yet.
                self.figures.refused_as_active += 1;
                let why = "another instance of this run is active: process ";
                assert!(output.contains(why), "work {work}: {output}");
                self.release_slow(work);
                std::thread::sleep(Duration::from_millis(5));
                self.start(work, (space + 1) % 4, &[]);
            }
            // What `unshare` says of a child that was killed.
            -9 | 137 | 1 if killed && (code != 1 || output.contains("unshare: sigprocmask ")) => {
                let aim = self.sandbox.read(&format!("outputs/{number}.aim"));
                *self.figures.kills.entry(aim).or_default() += 1;
                self.kills_left = self.kills_left.saturating_sub(1);
                if self.is_done(work) {
                    self.figures.after_the_end += 1;
                    return;
                }
                let is_held = self.slow.iter().any(|(slow, _)| *slow == work);
                let options = match !is_held && self.chance.below(2) == 0 {
                    true => &["--lock-wait=60s"][..],
                    false => &[],
                };
                // One of the others, or one of its own.
                let other = (space + 1 + self.chance.below(3)) % 4;
                self.start(work, other, options);
            }
            _ => panic!("work {work}, start {number} ended with {code}: {output}"),
        }
    }

    /// Whether a killed run had done everything, and nothing is left to go on with.
    fn is_done(&mut self, work: usize) -> bool {
        let effects = self.effects_of(work);
        let all = |item: &str| effects.iter().any(|line| line.1 == item);
        if !ITEMS.iter().all(|(item, _)| all(item)) {
            return false;
        }
        let file = self.sandbox.path.join("tasks.txt");
        let set = format!("--set=N={work}");
        let file = file.display().to_string();
        let asked = self.sandbox.output(&["--show-recovery-info", &set, &file]);
        assert!([0, 12].contains(&asked.code), "{asked:?}");
        asked.code == 12
    }

    /// No live run is called dead, from wherever it is looked at.
    fn look(&mut self) {
        self.figures.looks += 1;
        let ran = status_in(self.sandbox, None);
        let killed = self.starts.iter().filter(|start| start.killed).count();
        let dead = ran
            .stdout
            .lines()
            .filter(|l| l.contains(": dead, "))
            .count();
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
        assert!(dead <= killed, "{dead} dead, {killed} killed: {ran:?}");
    }
}

fn status_in(sandbox: &Sandbox, space: Option<u32>) -> Ran {
    let tasker = sandbox.tasker(&["--status"]);
    let mut command = match space {
        None => tasker,
        Some(init) => {
            let mut command = Command::new("nsenter");
            command
                .arg(format!("--target={init}"))
                .args(["--pid", "--mount", "--"])
                .arg(tasker.get_program())
                .args(tasker.get_args())
                .env_clear()
                .envs(tasker.get_envs().filter_map(|(n, v)| Some((n, v?))));
            command
        }
    };
    Ran::from(command.output().expect("tasker runs"))
}

impl Drop for Round<'_> {
    /// Ends the containers, with all that is left in them.
    fn drop(&mut self) {
        let wrappers = self
            .running
            .iter()
            .map(|start| self.starts[*start].child.id());
        let wrappers = wrappers.chain(self.spaces.iter().map(Child::id));
        kill(&wrappers.flat_map(children).collect::<Vec<u32>>());
        for space in &mut self.spaces {
            let _ = space.wait();
        }
        for start in &self.running {
            let _ = self.starts[*start].child.wait();
        }
    }
}

/// One round; what it did.
fn round(seed: u64, extent: &Extent) -> Figures {
    let sandbox = Sandbox::new();
    sandbox.program("effect", EFFECT);
    for name in [
        "busy/none",
        "hold/none",
        "outputs/none",
        "effects",
        "overlaps",
        "shortened",
    ] {
        sandbox.file(name, "");
    }
    sandbox.file("tasks.txt", tasks(&sandbox));
    let gate = Command::new("mkfifo")
        .arg(sandbox.path.join("gate"))
        .status();
    assert!(gate.expect("mkfifo").success());
    let spaces: Vec<Child> = (0..3).map(|_| container()).collect();
    wait_for("the containers", || {
        let is_there = |space: &Child| {
            children(space.id())
                .first()
                .is_some_and(|p| name(*p) == "sleep")
        };
        spaces.iter().all(is_there)
    });
    let mut round = Round {
        sandbox: &sandbox,
        chance: Chance::new(seed),
        spaces,
        starts: Vec::new(),
        running: BTreeSet::new(),
        effects: File::open(sandbox.path.join("effects")).expect("the effects"),
        lines: Vec::new(),
        seen: vec![0; extent.works],
        unread: String::new(),
        plans: BTreeMap::new(),
        slow: Vec::new(),
        kills_left: extent.kills,
        figures: Figures {
            works: extent.works,
            ..Figures::default()
        },
    };
    round.effects.seek(SeekFrom::Start(0)).expect("the start");
    for work in 0..extent.works {
        round.start(work, work % 3, &[]);
    }
    // Some will have ended before, and a guardian's end does not count.
    round.plan(2 * extent.kills, false);
    let gate = sandbox.path.join("gate");
    let began = Instant::now();
    let open = File::options().write(true).open(&gate).expect("a gate");
    wait_for("the start of all", || round.all_have_begun());
    round.figures.started_in = began.elapsed();
    drop(open);
    std::fs::remove_file(&gate).expect("a gate");
    sandbox.file("gate", "");
    round.run_to_end(began);
    round.check();
    round.figures.clone()
}

impl Round<'_> {
    /// Whether tasker runs in place of each shell, or has ended.
    fn all_have_begun(&self) -> bool {
        let is_shell = |pid: u32| name(pid) == "sh";
        let starts = self.starts.iter();
        starts
            .flat_map(|start| children(start.child.id()))
            .all(|pid| !is_shell(pid))
    }

    fn run_to_end(&mut self, began: Instant) {
        let mut looked = Instant::now();
        while !self.running.is_empty() {
            self.plan(self.kills_left, true);
            self.read_effects();
            self.kill_due();
            self.follow_up();
            if looked.elapsed() > Duration::from_millis(500) {
                self.look();
                looked = Instant::now();
            }
            std::thread::sleep(Duration::from_millis(1));
            assert!(
                began.elapsed() < Duration::from_secs(300),
                "it hangs: {:?}; {}",
                self.running,
                status_in(self.sandbox, None).stdout
            );
        }
    }
}

impl Round<'_> {
    fn check(&mut self) {
        self.check_that_nothing_runs();
        self.read_effects();
        for work in 0..self.figures.works {
            self.check_effects(work);
        }
        assert_eq!(self.sandbox.read("shortened"), "");
        self.check_overlaps();
        assert_eq!(self.kills_left, 0, "too few were killed");
        self.check_state();
        self.check_project();
    }

    /// No process of any work is left, but for the containers themselves.
    fn check_that_nothing_runs(&mut self) {
        wait_for("the end of all processes", || {
            processes_with("SOAK_START=")
                .iter()
                .all(|pid| !belongs_to(*pid, self.sandbox))
        });
    }

    /// Each item took effect, and once, unless it was in flight at a kill.
    fn check_effects(&mut self, work: usize) {
        let effects = self.effects_of(work);
        let effects: Vec<(String, usize)> = effects
            .iter()
            .map(|(_, item, start)| (item.clone(), *start))
            .collect();
        let stage = |item: &str| {
            let found = ITEMS.iter().find(|(name, _)| *name == item);
            found.expect("a known item").1
        };
        let starts: BTreeSet<usize> = effects.iter().map(|(_, start)| *start).collect();
        let mut before: BTreeSet<&str> = BTreeSet::new();
        let mut repeated_in_all = 0;
        for start in starts {
            let own = effects.iter().filter(|(_, s)| *s == start);
            let own: Vec<&str> = own.map(|(item, _)| item.as_str()).collect();
            let latest = before.iter().map(|item| stage(item)).max().unwrap_or(0);
            let repeated: Vec<&&str> = own.iter().filter(|item| before.contains(**item)).collect();
            let story = format!("work {work}, start {start}: {effects:?}");
            assert!(repeated.iter().all(|item| stage(item) == latest), "{story}");
            let most = if latest == 4 { AT_ONCE } else { 1 };
            assert!(repeated.len() <= most, "{story}");
            let said = std::fs::read_to_string(&self.starts[start].output).unwrap_or_default();
            for item in &repeated {
                let shown = item.replace(".h", " on h");
                let is_said = said.lines().any(|line| {
                    let listed = line.split_once("may have been done already, and runs again: ");
                    listed.is_some_and(|(_, list)| list.split(", ").any(|name| name == shown))
                });
                assert!(is_said, "{item} is not named: {story}\n{said}");
            }
            repeated_in_all += repeated.len();
            let distinct: BTreeSet<&str> = own.iter().copied().collect();
            assert_eq!(distinct.len(), own.len(), "{story}");
            before.extend(distinct);
        }
        assert_eq!(before.len(), ITEMS.len(), "work {work}: {effects:?}");
        self.figures.repeated += repeated_in_all;
    }

    /// A command ran beside one of the killed run only where nobody was left to prevent
    /// that.
    fn check_overlaps(&self) {
        for line in self.sandbox.read("overlaps").lines() {
            let (work, start) = line.split_once(' ').expect("a work and a start");
            let start: usize = start.parse().expect("a number");
            let earlier = (0..start).filter(|n| self.starts[*n].work.to_string() == work);
            let lost = earlier.filter(|n| {
                let aim = self.sandbox.read(&format!("outputs/{n}.aim"));
                aim == "GuardianAndTasker" || aim == "All"
            });
            assert_ne!(
                lost.count(),
                0,
                "work {work} ran beside itself in start {start}"
            );
        }
    }

    /// What is left in `state/` is what `--status` shows, and what a kill left half
    /// written, which is kept like journals.
    fn check_state(&mut self) {
        let ran = status_in(self.sandbox, None);
        assert!(!ran.stdout.contains(": live, "), "{ran:?}");
        for line in ran.stdout.lines().filter(|line| line.contains(": dead, ")) {
            assert!(line.contains("reached its end at task "), "{ran:?}");
        }
        let (mut journals, mut torn) = (0, Vec::new());
        for path in self.state() {
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let run = name.split('.').next().unwrap_or_default();
            if name == "number" || name.ends_with(".hosts") {
                continue;
            }
            if name.ends_with(".tmp") || name.ends_with(".new") {
                assert!(ran.stdout.contains(&name), "{name}: {ran:?}");
                torn.push(path);
                continue;
            }
            assert!(
                ran.stdout.contains(&format!("run {run} of ")),
                "{name}: {ran:?}"
            );
            journals += usize::from(name.ends_with(".journal"));
        }
        let most = self.figures.after_the_end;
        assert!(journals <= most, "{journals} journals: {ran:?}");
        let kills: usize = self.figures.kills.values().sum();
        assert!(torn.len() <= kills, "{torn:?}");
        self.figures.torn = torn.len();
        self.check_that_they_go(&torn);
    }

    /// A run has one line in the summary of its project, however many processes it had.
    fn check_project(&self) {
        let summary = self.sandbox.read("TASKER/logs/project_soak_summary.log");
        let rows: Vec<&str> = summary.lines().skip(1).collect();
        let logs: BTreeSet<&str> = rows
            .iter()
            .filter_map(|row| row.rsplit(" | ").next())
            .collect();
        assert_eq!(logs.len(), rows.len(), "{summary}");
        assert!(
            rows.iter().all(|row| row.contains(" | SUCCESS | ")),
            "{summary}"
        );
        // One that was killed at its very end has none before its journal is removed.
        let most = self.figures.works;
        let least = most - self.figures.after_the_end;
        assert!((least..=most).contains(&rows.len()), "{} rows", rows.len());
    }

    /// As if all of them had been made long ago: by their last change, or by the date in
    /// their names.
    fn check_that_they_go(&self, torn: &[PathBuf]) {
        let mut old = Vec::new();
        for path in torn {
            let name = path.file_name().expect("a name").to_string_lossy();
            let earlier = match name.strip_prefix("20") {
                Some(rest) => path.with_file_name(format!("19{rest}")),
                None => path.clone(),
            };
            std::fs::rename(path, &earlier).expect("renamed");
            let mut touch = Command::new("touch");
            let touched = touch.args(["-d", "40 days ago"]).arg(&earlier).status();
            assert!(touched.expect("touch runs").success());
            old.push(earlier);
        }
        let ran = self.sandbox.output(&["--prune"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(old.iter().all(|path| !path.exists()), "{old:?} {ran:?}");
    }

    fn state(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.sandbox.path.join("TASKER/state"));
        entries
            .expect("state")
            .flatten()
            .map(|e| e.path())
            .collect()
    }
}

fn belongs_to(pid: u32, sandbox: &Sandbox) -> bool {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let own = format!("SOAK={}\0", sandbox.path.display());
    String::from_utf8_lossy(&environment).contains(&own)
}

#[test]
fn works_killed_in_containers_are_done_once() {
    if !is_permitted() {
        println!("skipped: no PID namespaces here");
        return;
    }
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    let first = number("TASKER_SOAK_SEED").unwrap_or(1);
    let minutes = number("TASKER_SOAK_MINUTES");
    let extent = if minutes.is_some() { &WHOLE } else { &SHORT };
    let until = Instant::now() + Duration::from_secs(60 * minutes.unwrap_or(0));
    for seed in first.. {
        println!("soak with TASKER_SOAK_SEED={seed}");
        let figures = round(seed, extent);
        println!("{figures:?}");
        if Instant::now() >= until {
            break;
        }
    }
}
