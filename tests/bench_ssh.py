#!/usr/bin/env python3
"""Measures `ssh` tasks beside plain ssh under xargs and similar tools, in one run.

The server is a real sshd on this machine, with keys of its own; every loopback
address is a host. The runs of the tools are interleaved, and each is compared with
the run of xargs in the same round, so that a machine whose speed changes affects all
of them alike. The output is the median of these ratios with the least and the most:
the time, the CPU of the client with its ssh processes, and the CPU of the far end,
which is sshd and everything that its sessions started, to the last orphan. Nothing is
asserted.

usage: bench_ssh.py TASKER [ROUNDS]
"""
import asyncio
import ctypes
import os
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

# In another role of this script the arguments are others.
ROLE = sys.argv[2] if sys.argv[1] == "--role" else None
TASKER = os.path.abspath(sys.argv[1])
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 and not ROLE else 5
SSHD = "/usr/sbin/sshd"
AT_ONCE = 50
IDLE = 3000
DELAY = 1.0
# How often a program that is slow by itself is run.
SLOW = 1
BASE = f"xargs -P{AT_ONCE} ssh"
# As tasker starts it. Where the kernel shares the CPUs among sessions (autogroup), a busy
# machine gives such a run more of them.
APART = f"xargs -P{AT_ONCE} setsid ssh"


def cpu(usage):
    return usage.ru_utime + usage.ru_stime


def become_subreaper():
    """What loses its parent becomes this process's child."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


def serve():
    """Runs in a process of its own: sshd, and every orphan of its sessions. Answers each
    line of input, once all sessions are over, with the CPU that they took so far."""
    become_subreaper()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sshd = subprocess.Popen([SSHD, "-D", "-f", "sshd_config", "-E", "sshd.log"])
    try:
        for _ in sys.stdin:
            while children(sshd.pid) or len(children(os.getpid())) > 1:
                for pid in children(os.getpid()):
                    if pid != sshd.pid:
                        os.waitpid(pid, os.WNOHANG)
                time.sleep(0.02)
            with open(f"/proc/{sshd.pid}/stat") as stat:
                # Its own time, and that of its children and theirs.
                times = stat.read().rsplit(")", 1)[1].split()[11:15]
            total = sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
            print(total + cpu(resource.getrusage(resource.RUSAGE_CHILDREN)), flush=True)
    finally:
        sshd.terminate()
        sshd.wait()


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def idle():
    """Runs in a process of its own: many processes that do nothing, until input ends."""
    for _ in range(IDLE):
        if os.fork() == 0:
            signal.pause()
    print(flush=True)
    sys.stdin.read()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)


def relay(port, to):
    """Runs in a process of its own: every address is a host whose server answers late."""
    async def copy(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.write_eof()
        except OSError:
            pass

    async def connected(reader, writer):
        await asyncio.sleep(DELAY)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", to)
        await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))
        far_writer.close()
        writer.close()

    async def run():
        server = await asyncio.start_server(connected, "0.0.0.0", port, backlog=1000)
        print(flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        server.close()
        os._exit(0)

    asyncio.run(run())


class Helper:
    """This script in another role, until the end of its input."""

    def __init__(self, *role):
        self.process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), "--role", *map(str, role)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)

    def ask(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


def write(name, text, mode=0o600):
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    with open(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
        file.write(text)
    return os.path.abspath(name)


def read(name):
    with open(name) as file:
        return file.read()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def client_config(name, port, more="  KexAlgorithms curve25519-sha256\n"):
    """The key exchange is a cheap one, beside which the cost of the tools is seen best."""
    return write(name, f"""Host *
  Port {port}
  IdentityFile {os.getcwd()}/user
  IdentitiesOnly yes
  StrictHostKeyChecking yes
  UserKnownHostsFile {os.getcwd()}/known
  GlobalKnownHostsFile /dev/null
{more}""")


def prepare(port):
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", name], check=True)
    write("known", "* " + read("host.pub"))
    write("authorized", read("user.pub"))
    if os.getuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)
    # Only this machine may connect, even though every loopback address listens.
    write("sshd_config", f"""Port {port}
ListenAddress 0.0.0.0
AllowUsers *@127.0.0.0/8
HostKey {os.getcwd()}/host
AuthorizedKeysFile {os.getcwd()}/authorized
PidFile none
UsePAM no
StrictModes no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 1000
LogLevel ERROR
SetEnv HOME={os.getcwd()}
""")


def wait_for(port):
    for _ in range(500):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    sys.exit("sshd does not start: " + read("sshd.log"))


def hosts(count):
    return [f"127.1.{n // 100}.{n % 100 + 1}" for n in range(count)]


def tasker(config, count, *options):
    """A command of tasker with a home directory of its own, in which ssh's options are."""
    home = f"home-{os.path.basename(config)}"
    write(f"{home}/.config/tasker/tasker.conf", f"ssh_options=-F {config}\n")
    names = ",".join(f"127.1.{n}.[1-100]" for n in range(count // 100))
    file = write(f"hosts{count}.txt", f"task=0\ntype=parallel\nhostnames={names}\nexec=ssh\n"
                 f"max_parallel={AT_ONCE}\ncommand=true\n")
    return ["env", f"HOME={os.path.abspath(home)}", TASKER, "-q", "-r", *options, file]


def tools(config, count):
    """The command `true` on that many hosts; the first is what all are compared with."""
    ssh = ["ssh", "-F", config]
    names = write(f"names{count}", "\n".join(hosts(count)) + "\n")
    found = {
        BASE: ["xargs", "-a", names, f"-P{AT_ONCE}", "-I{}", *ssh, "-n", "{}", "true"],
        APART: ["xargs", "-a", names, f"-P{AT_ONCE}", "-I{}", "setsid", *ssh, "-n", "{}", "true"],
        "tasker, hosts not validated": tasker(config, count, "--skip-host-validation"),
        "tasker": tasker(config, count),
        f"clush -f{AT_ONCE}": ["clush", "-q", "-f", str(AT_ONCE), "-o", f"-F {config}",
                               "-w", ",".join(hosts(count)), "true"],
        "GNU parallel": ["parallel", f"-j{AT_ONCE}", "-a", names, *ssh, "-n", "{}", "true"],
    }
    if count == 100:
        found["ansible"] = ["env", "ANSIBLE_PIPELINING=1", "ANSIBLE_HOST_KEY_CHECKING=0",
                            f"ANSIBLE_HOME={os.getcwd()}/ansible",
                            "ANSIBLE_PYTHON_INTERPRETER=/usr/bin/python3",
                            f"ANSIBLE_SSH_ARGS=-F {config} -o ControlMaster=auto -o ControlPersist=2s",
                            "ansible", "-i", ",".join(hosts(count)) + ",", "-f", str(AT_ONCE),
                            "all", "-m", "command", "-a", "true"]
    return found


def is_installed(command):
    """Whether the program of a command is there, which may begin with `env`."""
    words = [word for word in command if "=" not in word]
    program = words[1] if words[0] == "env" else words[0]
    if program == "parallel" and shutil.which(program):
        # There is another program of that name.
        version = subprocess.run([program, "--version"], capture_output=True, text=True)
        return version.stdout.startswith("GNU")
    return shutil.which(program) is not None


class Round:
    """The time, the client's CPU and the far end's CPU of one run."""

    def __init__(self, server, command):
        before = server.ask()
        began = time.monotonic()
        started = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=open("stderr", "w"))
        _, status, usage = os.wait4(started.pid, 0)
        self.wall = time.monotonic() - began
        started.returncode = os.waitstatus_to_exitcode(status)
        if started.returncode != 0:
            sys.exit(f"{command} failed: {read('stderr')[-1000:]}")
        self.client = cpu(usage)
        self.far = server.ask() - before


def ratio(rounds, base, what):
    values = [getattr(r, what) / getattr(b, what) for r, b in zip(rounds, base)]
    return f"{statistics.median(values):6.2f} ({min(values):.2f} to {max(values):.2f})"


def table(title, server, commands, count):
    missing = [name for name, c in commands.items() if not is_installed(c)]
    commands = {name: c for name, c in commands.items() if name not in missing}
    results = {name: [] for name in commands}
    for number in range(ROUNDS):
        # Each round begins with another one, since what comes first can be slower.
        names = list(commands)
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            if name == "ansible" and number >= SLOW:
                continue
            results[name].append(Round(server, commands[name]))
    base = results[BASE]
    median = {what: statistics.median(getattr(r, what) for r in base) for what in ("wall", "client", "far")}
    print(f"\n{title}: {BASE} takes {median['wall']:.2f} s; CPU per host: client "
          f"{median['client'] / count * 1000:.1f} ms, far end {median['far'] / count * 1000:.1f} ms")
    print(f"  {'':<28} {'time':<22} {'CPU of the client':<22} CPU of the far end")
    for name, done in results.items():
        columns = [f"{ratio(done, base, what):<22}" for what in ("wall", "client", "far")]
        print(f"  {name:<28} {' '.join(columns).rstrip()}")
    for name in missing:
        print(f"  {name:<28}   not installed")
    sys.stdout.flush()


def only(commands, *names):
    return {name: commands[name] for name in (BASE, APART, *names)}


def main():
    if not os.path.exists(SSHD) or not shutil.which("ssh"):
        sys.exit("OpenSSH with its server is needed")
    port = free_port()
    prepare(port)
    config = client_config("ssh_config", port)
    usual = client_config("usual", port, "")
    late = free_port()
    delayed = client_config("delayed", late)
    print(f"{os.cpu_count()} cores, {ROUNDS} rounds; medians of the ratios to {BASE} in the same round (least to most)", flush=True)
    with Helper("serve") as server:
        wait_for(port)
        for count in (100, 300):
            table(f"{count} hosts", server, tools(config, count), count)
        ours = "tasker, hosts not validated"
        table("100 hosts, the key exchange that ssh prefers", server, only(tools(usual, 100), ours, "tasker"), 100)
        with Helper("idle") as others:
            others.process.stdout.readline()
            table(f"100 hosts, {IDLE} idle processes", server, only(tools(config, 100), ours), 100)
        with Helper("relay", late, port) as between:
            between.process.stdout.readline()
            peers = only(tools(delayed, 100), ours, f"clush -f{AT_ONCE}")
            table(f"100 hosts that answer after {DELAY:g} s", server, peers, 100)


if ROLE:
    {"serve": serve, "idle": idle, "relay": relay}[ROLE](*map(int, sys.argv[3:]))
else:
    home = tempfile.mkdtemp(prefix="tasker-bench-")
    os.chdir(home)
    try:
        main()
    finally:
        os.chdir("/")
        shutil.rmtree(home, ignore_errors=True)
