#!/usr/bin/env python3
"""Measures tasker beside its peers and the physical limit, in one run.

The limit is a C program that starts the same processes with drained pipes and
does nothing else. Runs are interleaved, so that a machine whose speed drifts
slows all alike; what is printed is the ratio of medians to the limit's, with
the spread of tasker's own runs. Nothing here is asserted.

usage: bench.py TASKER [ROUNDS]
"""
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

TASKER = os.path.abspath(sys.argv[1])
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 7
DIR = tempfile.mkdtemp(prefix="tasker-bench-")
os.environ["HOME"] = DIR

LIMIT = r"""
#define _GNU_SOURCE
#include <poll.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
extern char **environ;
/* limit COUNT AT_ONCE PROGRAM [ARGS]: starts, drains, reaps; nothing else. */
int main(int argc, char **argv) {
    int count = atoi(argv[1]), most = atoi(argv[2]), started = 0, alive = 0;
    struct pollfd *fds = calloc(2 * most, sizeof *fds);
    pid_t *pids = calloc(most, sizeof *pids);
    char buffer[65536];
    for (int i = 0; i < 2 * most; i++) fds[i].fd = -1;
    while (started < count || alive > 0) {
        for (int s = 0; s < most && started < count; s++) {
            if (pids[s]) continue;
            int out[2], err[2];
            if (pipe2(out, 02000000) || pipe2(err, 02000000)) return 1;
            posix_spawn_file_actions_t a;
            posix_spawn_file_actions_init(&a);
            posix_spawn_file_actions_adddup2(&a, out[1], 1);
            posix_spawn_file_actions_adddup2(&a, err[1], 2);
            if (posix_spawnp(&pids[s], argv[3], &a, 0, argv + 3, environ)) return 1;
            posix_spawn_file_actions_destroy(&a);
            close(out[1]);
            close(err[1]);
            fds[2 * s] = (struct pollfd){out[0], POLLIN, 0};
            fds[2 * s + 1] = (struct pollfd){err[0], POLLIN, 0};
            started++;
            alive++;
        }
        poll(fds, 2 * most, -1);
        for (int i = 0; i < 2 * most; i++) {
            if (fds[i].fd < 0 || !fds[i].revents) continue;
            if (read(fds[i].fd, buffer, sizeof buffer) > 0) continue;
            close(fds[i].fd);
            fds[i].fd = -1;
            int s = i / 2;
            if (fds[2 * s].fd < 0 && fds[2 * s + 1].fd < 0) {
                waitpid(pids[s], 0, 0);
                pids[s] = 0;
                alive--;
            }
        }
    }
}
"""
NOTHING = "int main(void) { return 0; }\n"


def write(name, text):
    path = os.path.join(DIR, name)
    with open(path, "w") as file:
        file.write(text)
    return path


def compiled(name, source, *flags):
    binary = os.path.join(DIR, name)
    subprocess.run(["cc", "-O2", "-o", binary, *flags, write(name + ".c", source)], check=True)
    return binary


def once(command):
    began = time.monotonic()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - began


def table(title, commands):
    """Runs all commands in turn; the first is the limit."""
    times = {name: [] for name in commands}
    for round_number in range(ROUNDS + 1):
        for name, command in commands.items():
            took = once(command)
            if round_number > 0:
                times[name].append(took)
    limit = statistics.median(times[next(iter(commands))])
    print(f"\n{title}")
    for name, list_ in times.items():
        median = statistics.median(list_)
        spread = f"{min(list_) / limit:.2f} to {max(list_) / limit:.2f}"
        print(f"  {name:<28} {median / limit:6.2f}   ({spread})")


def peak(command):
    """By time(1): what this interpreter starts itself is counted with its own memory."""
    if not shutil.which("/usr/bin/time"):
        return "not measured, there is no /usr/bin/time"
    ran = subprocess.run(["/usr/bin/time", "-f", "%M KiB", *command], capture_output=True, text=True)
    return ran.stderr.splitlines()[-1]


def have(commands):
    return {name: c for name, c in commands.items() if shutil.which(c[0])}


def main():
    limit = compiled("limit", LIMIT)
    nothing = compiled("nothing", NOTHING, "-static")
    run = [TASKER, "-q", "-r", "--skip-host-validation"]
    sequential = lambda program: "".join(f"task={i}\nexec=local\ncommand={program}\n" for i in range(1000))
    block = lambda command: f"task=0\ntype=parallel\nhostnames=h[1-1000]\nexec=local\ncommand={command}\nmax_parallel=50\n"
    one = write("one.txt", "task=0\nexec=local\ncommand=true\n")
    memory = [("one task", run + [one])]
    hosts = write("par.txt", block("true"))
    memory.append(("1000 hosts of true", run + [hosts]))
    print(f"{os.cpu_count()} cores, {ROUNDS} rounds, ratio of medians to the limit (least to most)")
    for name, command in memory:
        print(f"peak memory, {name}: {peak(command)}")
    table("start-up of a one-task run", have({
        "limit": [limit, "1", "1", "true"],
        "tasker": run + [one],
        "bash with capture": ["bash", "-c", "out=$(/bin/true 2>&1)"],
    }))
    loop = "for i in $(seq 1000); do out=$(/bin/true 2>&1); done"
    table("1000 sequential true", have({
        "limit": [limit, "1000", "1", "true"],
        "tasker": run + [write("seq.txt", sequential("true"))],
        "bash loop with capture": ["bash", "-c", loop],
        "xargs -n1": ["bash", "-c", "seq 1000 | xargs -n1 true"],
    }))
    table("1000 sequential, static program", {
        "limit": [limit, "1000", "1", nothing],
        "tasker": run + [write("seqs.txt", sequential(nothing))],
    })
    table("1000 x true, 50 at once", have({
        "limit": [limit, "1000", "50", "true"],
        "tasker": run + [hosts],
        "xargs -P50": ["bash", "-c", "seq 1000 | xargs -P50 -n1 true"],
        "GNU parallel": ["parallel", "-j50", "-N0", "true", ":::"] + [str(i) for i in range(1000)],
    }))
    table("1000 x sleep 0.05, 50 at once", have({
        "limit": [limit, "1000", "50", "sleep", "0.05"],
        "tasker": run + [write("sleep.txt", block("sleep 0.05"))],
        "xargs -P50": ["bash", "-c", "yes 0.05 | head -1000 | xargs -P50 -n1 sleep"],
        "GNU parallel": ["parallel", "-j50", "-N0", "sleep 0.05", ":::"] + [str(i) for i in range(1000)],
    }))
    check = lambda n: write(f"check{n}.txt", "".join(f"task={i}\nhostname=localhost\nexec=local\ncommand=echo\narguments=hello {i}\n" for i in range(n)))
    table("check of 1000, 10000 and 100000 tasks", {
        "1000": [TASKER, check(1000)],
        "10000": [TASKER, check(10000)],
        "100000": [TASKER, check(100000)],
    })


try:
    main()
finally:
    shutil.rmtree(DIR, ignore_errors=True)
