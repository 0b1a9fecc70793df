#!/usr/bin/env python3
"""Measures tasker against similar tools and the physical limit, in one run.

The limit is a C program that starts the same processes, drains their pipes and
does nothing else. Runs are interleaved, so that a machine whose speed changes
affects all of them alike. The output is the ratio of each median to that of the
limit, with the spread of the runs. Nothing is asserted.

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
DIR = tempfile.mkdtemp(prefix="tasker-bench-", dir=sys.argv[3] if len(sys.argv) > 3 else None)
os.environ["HOME"] = DIR

LIMIT = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
extern char **environ;
/* limit COUNT AT_ONCE JOURNAL PROGRAM [ARGS]: starts, drains, reaps; nothing else.
   Where JOURNAL is not "-", a line for each process is synced to that file. */
int main(int argc, char **argv) {
    int journal = -1, ended = 0;
    char line[64] = "ended", room[65536] = "";
    if (strcmp(argv[3], "-")) {
        journal = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (write(journal, room, sizeof room) < 0) return 1;
    }
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
            if (posix_spawnp(&pids[s], argv[4], &a, 0, argv + 4, environ)) return 1;
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
                if (journal >= 0) {
                    if (pwrite(journal, line, sizeof line, 64 * ended++) < 0) return 1;
                    fdatasync(journal);
                }
                pids[s] = 0;
                alive--;
            }
        }
    }
}
"""
# As tasker does with each result (SPEC 6.4); none of the other tools does.
SYNCED = "limit, synced to disk"
NOTHING = "int main(void) { return 0; }\n"
DRAIN = r"""
#include <fcntl.h>
#include <unistd.h>
/* drain FILE [sync]: from standard input to the file; nothing else. */
int main(int argc, char **argv) {
    static char buffer[1 << 16];
    int file = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    for (ssize_t got; (got = read(0, buffer, sizeof buffer)) > 0;)
        if (write(file, buffer, got) != got) return 1;
    if (argc > 2 && fdatasync(file)) return 1;
    return unlink(argv[1]);
}
"""
GIB = 1 << 30


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
    """Runs all commands in turn; the first is the limit. Commands that are not
    installed are skipped with a note."""
    missing = [name for name, c in commands.items() if not shutil.which(c[0])]
    commands = {name: c for name, c in commands.items() if name not in missing}
    times = {name: [] for name in commands}
    for round_number in range(ROUNDS + 1):
        for name, command in commands.items():
            took = once(command)
            if round_number > 0:
                times[name].append(took)
    limit = statistics.median(times[next(iter(commands))])
    print(f"\n{title}: {limit * 1000:.1f} ms")
    for name, list_ in times.items():
        spread = f"{min(list_) / limit:.2f} to {max(list_) / limit:.2f}"
        print(f"  {name:<28} {statistics.median(list_) / limit:6.2f}   ({spread})")
    for name in missing:
        print(f"  {name:<28} not installed", flush=True)


def peak(command):
    """Measured by time(1): a child of this interpreter would be counted with its memory."""
    if not shutil.which("/usr/bin/time"):
        return "not measured: /usr/bin/time is missing"
    ran = subprocess.run(["/usr/bin/time", "-f", "%M", *command], capture_output=True, text=True)
    return f"{int(ran.stderr.splitlines()[-1]) / 1024:.1f} MiB"


def file_system(path):
    """The type of the file system of a path, from /proc."""
    best = ("", "unknown")
    with open("/proc/self/mounts") as mounts:
        for line in mounts:
            _, point, kind, *_ = line.split()
            if os.path.commonpath([os.path.realpath(path), point]) == point:
                best = max(best, (point, kind), key=lambda found: len(found[0]))
    return best[1]


def memory():
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"{pages / GIB:.0f} GiB"


RUN = [TASKER, "-q", "-r", "--skip-host-validation"]


def sequential(program):
    return "".join(f"task={i}\nexec=local\ncommand={program}\n" for i in range(1000))


def block(command):
    hosts = "task=0\ntype=parallel\nhostnames=h[1-1000]\nexec=local\nmax_parallel=50\n"
    return hosts + f"command={command}\n"


def parallel(command):
    """Other tools with the same work: the command 1000 times, 50 at once."""
    targets = " ".join(f"t{i}" for i in range(1000))
    rules = write(f"make-{len(command)}", f"all: {targets}\n{targets}:\n\t@{command}\n")
    hosts = ",".join(f"h{i}" for i in range(1000))
    return {
        "make -j50": ["make", "-s", "-j50", "-f", rules],
        "xargs -P50": ["xargs", "-a", write("numbers", "\n" * 1000), "-d", "\n", "-P50", "-I{}", *command.split()],
        "clush -f50": ["clush", "-R", "exec", "-f", "50", "-w", hosts, command],
        "GNU parallel": ["parallel", "-j50", "-N0", command, ":::", *map(str, range(1000))],
    }


def own_cpu(secrets):
    """The seconds of CPU that tasker itself takes for 1000 outputs of 10 KB which it masks."""
    text = write("text", "".join(f"line {i} of what a host prints, key=ghp_{i}\n" for i in range(270)))
    names = "".join(f"S{i}_TOKEN=ghp_{i * 7919:x}secret{i}\n" for i in range(secrets))
    stat = os.path.join(DIR, "stat")
    last = f"task=9\nfinally=true\nexec=shell\ncommand=cat /proc/$PPID/stat >{stat}\n"
    once(RUN + [write("secrets.txt", names + block(f"cat {text}") + last)])
    with open(stat) as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def masking():
    """Runs with none, some and many secrets in turn."""
    counts = (0, 10, 100)
    times = {count: [] for count in counts}
    for _ in range(ROUNDS):
        for count in counts:
            times[count].append(own_cpu(count))
    none = statistics.median(times[0])
    print(f"\nown CPU, 1000 hosts with 10 KB of output each, without a secret: {none:.2f} s")
    for count in counts[1:]:
        spread = f"{min(times[count]) / none:.2f} to {max(times[count]) / none:.2f}"
        print(f"  {count:>4} secrets {statistics.median(times[count]) / none:22.2f}   ({spread})")


def check_file(count):
    task = "task={0}\nhostname=localhost\nexec=local\ncommand=echo\narguments=hello {0}\n"
    return write(f"check{count}.txt", "".join(task.format(i) for i in range(count)))


def main():
    print(f"{os.cpu_count()} cores, {memory()}, {DIR} on {file_system(DIR)}, {ROUNDS} rounds;")
    print("ratios of medians to the limit, whose median is in the title (least to most)")
    if not shutil.which("cc"):
        sys.exit("cc is missing; it is needed to build the limit")
    limit = compiled("limit", LIMIT)
    nothing = compiled("nothing", NOTHING, "-static")
    drain = compiled("drain", DRAIN)
    journal = os.path.join(DIR, "journal")
    one = write("one.txt", "task=0\nexec=local\ncommand=true\n")
    hosts = write("hosts.txt", block("true"))
    table("start-up of a one-task run", {
        "limit": [limit, "1", "1", "-", "true"],
        SYNCED: [limit, "1", "1", journal, "true"],
        "tasker": RUN + [one],
        "bash with capture": ["bash", "-c", "out=$(/bin/true 2>&1)"],
        "make": ["make", "-s", "-f", write("make-one", "all:\n\t@/bin/true\n")],
        "GNU parallel": ["parallel", "-j1", "true", ":::", ""],
    })
    targets = " ".join(f"t{i}" for i in range(1000))
    rules = write("make-sequential", f"all: {targets}\n{targets}:\n\t@true\n")
    table("1000 sequential true", {
        "limit": [limit, "1000", "1", "-", "true"],
        SYNCED: [limit, "1000", "1", journal, "true"],
        "tasker": RUN + [write("seq.txt", sequential("true"))],
        "bash loop with capture": ["bash", "-c", "for i in $(seq 1000); do out=$(/bin/true 2>&1); done"],
        "make": ["make", "-s", "-f", rules],
        "xargs -n1": ["xargs", "-a", write("words", "x\n" * 1000), "-n1", "true"],
        "GNU parallel": ["parallel", "-j1", "-N0", "true", ":::", *map(str, range(1000))],
    })
    table("1000 sequential, static program", {
        "limit": [limit, "1000", "1", "-", nothing],
        SYNCED: [limit, "1000", "1", journal, nothing],
        "tasker": RUN + [write("static.txt", sequential(nothing))],
    })
    table("1000 x true, 50 at once", {
        "limit": [limit, "1000", "50", "-", "true"], "tasker": RUN + [hosts], **parallel("true"),
    })
    peers = parallel(nothing)
    table("1000 x static program, 50 at once", {
        "limit": [limit, "1000", "50", "-", nothing],
        "tasker": RUN + [write("hosts-static.txt", block(nothing))],
        **{name: peers[name] for name in ("make -j50", "xargs -P50")},
    })
    table("1000 x sleep 0.05, 50 at once", {
        "limit": [limit, "1000", "50", "-", "sleep", "0.05"],
        "tasker": RUN + [write("sleep.txt", block("sleep 0.05"))],
        **parallel("sleep 0.05"),
    })
    print("  (ideal: 1000.0 ms)")
    source = f"head -c {GIB} /dev/zero"
    much = write("much.txt", f"task=0\nexec=local\ncommand={source}\n")
    table("1 GiB of output", {
        "limit": ["sh", "-c", f"{source} | {drain} {DIR}/drained"],
        SYNCED: ["sh", "-c", f"{source} | {drain} {DIR}/drained sync"],
        "tasker": RUN + [much],
    })
    masking()
    print("\npeak memory")
    for name, command in [("one task", [one]), ("1000 hosts of true", [hosts]), ("1 GiB of output", [much])]:
        print(f"  {name:<28} {peak(RUN + command)}")
    for title, options in [("check of a file", ["--validate-only"]), ("check and plan", [])]:
        print(f"\n{title}, whole process")
        for count in (1000, 10_000, 100_000):
            file = check_file(count)
            times = sorted(once([TASKER, *options, file]) * 1000 for _ in range(ROUNDS))
            spread = f"{times[0]:.1f} to {times[-1]:.1f}"
            print(f"  {count:>7} tasks {statistics.median(times):12.1f} ms   ({spread})")


try:
    main()
finally:
    shutil.rmtree(DIR, ignore_errors=True)
