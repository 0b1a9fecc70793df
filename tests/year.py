#!/usr/bin/env python3
"""A year of unattended runs in fast motion: what grows in the log directory must end.

The runs are spread over 365 days that libfaketime pretends (so TASKER must be a dynamic
build), in one log directory with `keep_logs=90d`. Every 20th fails: some in a work that
never succeeds, some in a work of its own, some with an output that is kept, some until
the next run. The clock of the file system is not pretended: what has no date in its
name is made a day older each evening. A line for each month says how much there is and
how long a call takes, and how much of that is its own; what jobs remember (the hosts
and the failure of their last run) has a bound of its own, and is counted apart. The exit
code is 1 if the end of the year is not as its fourth month.

usage: year.py TASKER [RUNS] [SEED]
"""
import os
import random
import shutil
import statistics
import sys
import tempfile
import time

DAYS = 365
KEPT_DAYS = 90
EVERY = 20
MEASURED = 31
# How many of a kind of what jobs remember outlive the other state; see tasker(1).
REMEMBERED = 1000
MOST_WRONG = 5
DAY = 86_400
DEVNULL = os.open(os.devnull, os.O_RDWR)
LIBRARIES = [
    f"{directory}/faketime/libfaketime.so.1"
    for directory in (
        "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"
    )
]
FILES = {
    "good.txt": "task=1\nexec=local\ncommand=true\n",
    "bad.txt": "NIGHT=0\ntask=1\nexec=local\ncommand=false @NIGHT@\n",
    "flaky.txt": "task=1\nexec=shell\ncommand=test -e fine\n",
    "large.txt": "task=1\nexec=shell\ncommand=head -c 1500000 /dev/zero | tr '\\0' x\n"
    "task=2\nexec=shell\nstdin=@1_stdout@\ncommand=cat >/dev/null; exit 3\n",
}
# The failing runs in turn: the arguments, the exit code.
FAILING = [
    (["bad.txt", "-p", "bad"], 1),
    (["bad.txt", "--set=NIGHT={n}", "--instance-check", "--mail-once"], 1),
    (["flaky.txt", "--mail-once"], 1),
    (["large.txt"], 3),
]
# The others in turn.
FINE = [
    (["good.txt", "-p", "good", "--instance-check", "--mail-once"], 0),
    (["good.txt", "--output-json"], 0),
    (["good.txt", "--auto-recovery"], 0),
]


class Year:
    def __init__(self, tasker, home):
        self.tasker, self.home = tasker, home
        self.kept = os.path.join(home, "TASKER")
        self.began, self.wrong = time.time(), 0
        self.first_day = (int(self.began) // DAY - DAYS) * DAY
        library = next((path for path in LIBRARIES if os.path.exists(path)), None)
        if library is None:
            sys.exit("year.py: libfaketime is not installed")
        self.environment = {
            "HOME": home, "PATH": "/usr/bin:/bin", "TZ": "UTC", "LD_PRELOAD": library,
            "DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1",
            "TASKER_CONFIG": os.path.join(home, "tasker.conf"),
        }
        os.chdir(home)
        for name, text in FILES.items():
            self.write(name, text)
        self.write("tasker.conf", f"keep_logs={KEPT_DAYS}d\n")

    def write(self, name, text):
        with open(os.path.join(self.home, name), "w") as file:
            file.write(text)

    def call(self, arguments, moment):
        """The exit code of one call at that moment, and its times in ms: all, CPU."""
        environment = dict(self.environment)
        environment["FAKETIME"] = time.strftime("@%Y-%m-%d %H:%M:%S", time.gmtime(moment))
        start = time.perf_counter()
        actions = [(os.POSIX_SPAWN_DUP2, DEVNULL, fd) for fd in (0, 1, 2)]
        pid = os.posix_spawn(
            self.tasker, [self.tasker, *arguments], environment, file_actions=actions
        )
        _, status, used = os.wait4(pid, 0)
        took = time.perf_counter() - start
        cpu = used.ru_utime + used.ru_stime
        return os.waitstatus_to_exitcode(status), took * 1e3, cpu * 1e3

    def run(self, n, moment):
        """The n-th run."""
        arguments, expected = FINE[n % len(FINE)]
        if n % EVERY == 0:
            arguments, expected = FAILING[n // EVERY % len(FAILING)]
        fine = os.path.join(self.home, "fine")
        if n % EVERY == 1 and n // EVERY % len(FAILING) == 2:
            self.write("fine", "")
            arguments, expected = ["flaky.txt", "--mail-once"], 0
        elif os.path.exists(fine):
            os.unlink(fine)
        arguments = [argument.format(n=n) for argument in arguments]
        code, _, _ = self.call(["-r", "-q", *arguments], moment)
        if code != expected:
            self.wrong += 1
            print(f"year.py: run {n} {arguments}: expected {expected}, found {code}")
        if self.wrong > MOST_WRONG:
            sys.exit(f"year.py: see {self.home}")

    def evening(self, moment):
        """What has no date in its name is a day older than it was."""
        self.call(["--show-plan", f"--set=NIGHT=plan{moment}", "bad.txt"], moment)
        for directory, names, files in os.walk(self.kept):
            if os.path.basename(directory) in ("logs", "tasks", "output"):
                continue
            for path in (os.path.join(directory, name) for name in names + files):
                changed = os.lstat(path).st_mtime - DAY
                os.utime(path, (changed, changed))

    def figures(self, moment):
        """How much there is, and how long a call takes."""
        counts, space, total, journals, remembered = {}, 0, 0, 0, 0
        for directory, _, files in os.walk(self.kept):
            place = os.path.relpath(directory, self.kept).split("/")[0]
            counts[place] = counts.get(place, 0) + len(files)
            journals += sum(name.endswith(".journal") for name in files)
            remembered += sum(name.startswith(("last_", "mail_")) for name in files)
            total += len(files)
            for path in [directory, *(os.path.join(directory, name) for name in files)]:
                space += os.lstat(path).st_blocks * 512
        runs = [self.call(["-r", "-q", "good.txt"], moment) for _ in range(MEASURED)]
        bad = [self.call(["-r", "-q", "bad.txt"], moment) for _ in range(MEASURED // 3)]
        states = [self.call(["--status"], moment) for _ in range(MEASURED // 3)]
        median = lambda calls, part: statistics.median(call[part] for call in calls)
        return {
            "files": total - remembered,
            "logs": counts.get("logs", 0),
            "tasks": counts.get("tasks", 0),
            "state": counts.get("state", 0) - remembered,
            "remember": remembered,
            "journals": journals,
            "locks": counts.get("locks", 0),
            "output": counts.get("output", 0),
            "MB": round(space / 1e6, 1),
            "run ms": round(median(runs, 1), 1),
            "cpu": round(median(runs, 2), 1),
            "worst": round(max(call[1] for call in runs), 1),
            "fail ms": round(median(bad, 1), 1),
            "status ms": round(median(states, 1), 1),
            "cpu ": round(median(states, 2), 1),
        }


def say(day, figures):
    print(f"{day:>5}" + "".join(f"{figures[name]:>10}" for name in figures), flush=True)


def not_flat(months):
    """What there is more of at the end of the year than after its fourth month."""
    early, late = months[3], months[-1]
    found = []
    for name in early:
        is_time = "cpu" in name
        # How long a call takes is up to what else the machine does.
        if "ms" in name or name in ("worst", "remember"):
            continue
        if late[name] > early[name] * (1.5 if is_time else 1.1) + (1 if is_time else 20):
            found.append(f"{name}: {early[name]} after 120 days, {late[name]} at the end")
    if late["remember"] > 2 * REMEMBERED + 100:
        found.append(f"remembered: {late['remember']}")
    return found


def main():
    tasker = os.path.abspath(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    chance = random.Random(seed)
    home = tempfile.mkdtemp(prefix="tasker-year-")
    year = Year(tasker, home)
    print(f"{count} runs in {DAYS} days, keep_logs={KEPT_DAYS}d, seed {seed}")
    months, n = [], 0
    for day in range(1, DAYS + 1):
        midnight = year.first_day + (day - 1) * DAY
        today = count * day // DAYS - n
        for second in sorted(chance.randrange(DAY - 600) for _ in range(today)):
            n += 1
            year.run(n, midnight + second)
        evening = midnight + DAY - 500
        year.evening(evening)
        if day == 1 or day % 30 == 0 or day == DAYS:
            figures = year.figures(evening)
            if day == 1:
                print("  day" + "".join(f"{name.strip():>10}" for name in figures))
            else:
                months.append(figures)
            say(day, figures)
    print(f"{n} runs took {time.time() - year.began:.0f} s")
    found = not_flat(months)
    for line in found:
        print(f"not flat: {line}")
    if found or year.wrong:
        sys.exit(f"year.py: see {home}")
    shutil.rmtree(home)


main()
