#!/usr/bin/env python3
"""Makes each system call of a small run fail, one at a time, and checks how it ends.

    inject.py TASKER [EVERY]

With EVERY, only every EVERY-th point. A run must end within 20 s, must not panic
and must leave no process. It must end with 0, all its tasks done and its log
complete, or report what is wrong. Prints a line for each point that does not, and
the counts; exits with 1 if there is one, and with 77 if strace cannot trace.
"""

import collections
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

CALLS = """openat write read pipe2 poll ppoll clone clone3 vfork mkdirat renameat renameat2 fchmod fdatasync fsync
flock fcntl unlinkat readlinkat memfd_create wait4 waitid statx fstat newfstatat lseek ftruncate
getdents64 ioctl socket connect sendto recvfrom pidfd_open prctl eventfd2 fstatfs sync_file_range""".split()
ERRORS = ["ENOSPC", "EIO", "EMFILE", "EAGAIN", "EINTR"]
LIMIT = 20
ON_DISK = "No space left on device|Input/output error"
# How many occurrences of a call are tried: on a busy machine an output comes in many
# more pieces than when the call is met again.
MOST = 45

# Commands that take a while, so that one that tasker leaves running is noticed.
TASKS = """-p FAULTS
task=1
exec=shell
command=sleep 0.1; echo 1 >>effects
task=2
exec=local
command=sh -c '(cat; echo) >>effects; head -c 1300000 /dev/zero'
stdin=@1_exit@2
task=3
type=parallel
tasks=4,5
task=4
exec=shell
command=sleep 0.1; echo 4 >>effects
task=5
exec=shell
command=echo 5 >>effects
task=9
exec=shell
command=echo 9 >>effects
finally=true
"""
EFFECTS = ["02", "1", "4", "5", "9"]


def one(tasker, injection):
    """Runs the file with the fault; returns what was wrong, the exit code, the trace."""
    home = tempfile.mkdtemp(prefix="tasker-inject-")
    try:
        with open(f"{home}/tasks.txt", "w") as file:
            file.write(TASKS)
        return judge(tasker, injection, home)
    finally:
        for pid in left(home):
            end(pid)
        shutil.rmtree(home, ignore_errors=True)


def judge(tasker, injection, home):
    # Commands are released as they start: only tasker gets the faults.
    command = ["strace", "-f", "-b", "execve", "-o", f"{home}/trace"]
    command += ["-e", f"trace={injection.split(':')[0]}" if injection else "trace=all"]
    command += ["-e", f"inject={injection}"] if injection else []
    env = {"HOME": home, "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    child = subprocess.Popen(
        command + [tasker, "-r", "tasks.txt"],
        cwd=home, env=env, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, errors="replace",
    )
    try:
        out, err = child.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        for pid in left(home):
            end(pid)
        child.kill()
        out, err = child.communicate()
        return f"did not end in {LIMIT} s: {err[-300:]!r}", None, ""
    trace = read(f"{home}/trace")
    wrong = complaint(child.returncode, out, err, home)
    return wrong, child.returncode, trace


def complaint(code, out, err, home):
    if "panicked" in out + err:
        return f"panicked: {err!r}"
    if code < 0:
        return f"ended by signal {-code}: {err!r}"
    if code != 0 and not err.strip() and "rror" not in out and "failed" not in out:
        return f"exit {code} with no message: {out!r}"
    done = sorted(read(f"{home}/effects").split())
    if code == 0 and done != EFFECTS:
        return f"exit 0, but done is {done}: {err!r} {out[-600:]!r}"
    if len(done) != len(set(done)):
        return f"done twice: {done}"
    if code == 0 and not err.strip() and (lack := lacking(home)):
        return f"exit 0 and no message, but no {lack}: {out[-600:]!r}"
    # The guardian ends what tasker left running, then exits.
    until = time.monotonic() + 5
    while left(home):
        if time.monotonic() > until:
            lines = [read(f"/proc/{pid}/cmdline").replace("\0", " ") for pid in left(home)]
            return f"exit {code}, left over: {lines}"
        time.sleep(0.01)
    return nameless(err, home)


def nameless(err, home):
    """A message about the disk that does not say which file it is about."""
    logs = f"{home}/TASKER/logs"
    names = os.listdir(logs) if os.path.isdir(logs) else []
    log = "".join(read(f"{logs}/{n}") for n in names if n.startswith("tasker_"))
    for line in (err + log).splitlines():
        # A pipe has no name, and what a command reads is held in memory.
        is_exempt = re.search("lost after .* cannot read it|cannot start|shared librar", line)
        if re.search(ON_DISK, line) and "`" not in line and not is_exempt:
            return f"names no file: {line!r}"
    return None


def lacking(home):
    """What a run without a message has failed to record, or None."""
    logs = f"{home}/TASKER/logs"
    names = os.listdir(logs) if os.path.isdir(logs) else []
    text = {n: read(f"{logs}/{n}") for n in names}
    log = "".join(t for n, t in text.items() if n.startswith("tasker_"))
    if any(f"Task {id} ended: ok" not in log for id in (1, 2, 4, 5, 9)):
        return "complete log"
    if not re.search(r"^\d.* \| .*\| 0 \|", text.get("project_FAULTS_summary.log", ""), re.M):
        return "line in the project's summary"
    if not any(n.startswith("validation_report") for n in names):
        return "validation report"
    tasks = f"{home}/TASKER/tasks"
    if not os.path.isdir(tasks) or not any(n.endswith(".txt") for n in os.listdir(tasks)):
        return "copy of the task file"
    return None


def read(path):
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def left(home):
    """The processes of the run except strace: those with its HOME."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        strace = read(f"/proc/{pid}/comm").startswith("strace")
        if not strace and f"HOME={home}\0" in read(f"/proc/{pid}/environ"):
            found.append(int(pid))
    return found


def end(pid):
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        pass


def points(trace):
    """Each occurrence of each call; strace counts them separately for each process."""
    counts = collections.Counter()
    for line in trace.splitlines():
        if found := re.match(r"(\d+) +(\w+)\(", line):
            counts[found.groups()] += 1
    most = collections.Counter()
    for (_, call), count in counts.items():
        most[call] = max(most[call], count)
    return [
        f"{call}:error={error}:when={n}"
        for call in CALLS
        for n in range(1, min(most[call], MOST) + 1)
        for error in ERRORS
        # Rust's runtime polls the standard streams before `main`.
        if (call, n) != ("poll", 1)
    ]


def main():
    tasker = os.path.abspath(sys.argv[1])
    every = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    if subprocess.run(["strace", "-o", "/dev/null", "true"], stderr=subprocess.DEVNULL).returncode:
        print("skipped: strace cannot trace here")
        return 77
    wrong, code, trace = one(tasker, None)
    if wrong or code != 0:
        print(f"without a fault: exit {code}: {wrong}")
        return 1
    chosen = points(trace)[::every]
    codes, bad, met = collections.Counter(), 0, 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = pool.map(lambda point: one(tasker, point), chosen)
        for point, (wrong, code, trace) in zip(chosen, runs):
            met += "(INJECTED)" in trace
            codes[code] += 1
            if wrong:
                bad += 1
                print(f"{point}: {wrong}", flush=True)
    shown = ", ".join(f"exit {code}: {count}" for code, count in sorted(codes.items(), key=str))
    print(f"{len(chosen)} points, {met} met, {bad} wrong ({shown})")
    return 1 if bad or met * 2 < len(chosen) else 0


if __name__ == "__main__":
    sys.exit(main())
