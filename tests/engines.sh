#!/usr/bin/env bash
# Runs task files through a real engine: Slurm, with one controller and one node on
# this machine. Needs root; installs slurm-wlm and munge if they are missing.
# Everything else is in a temporary directory, and is stopped and removed at the end.
#
#   tests/engines.sh PROGRAM     (or: make test-engines)
set -u
export LC_ALL=C.UTF-8 PATH=$PATH:/usr/sbin:/sbin

tasker=$(realpath "${1:?usage: tests/engines.sh PROGRAM}")
[ "$(id -u)" = 0 ] || { echo "tests/engines.sh: needs root, for Slurm's daemons" >&2; exit 2; }

work=$(mktemp -d /tmp/tasker-engines.XXXXXX)
chmod 755 "$work"
pids=()
passed=0
failed=0

# stop PID...: ends processes that this script started, and waits for them.
stop() {
    kill "$@" 2>/dev/null
    for _ in $(seq 50); do
        kill -0 "$@" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$@" 2>/dev/null
    wait "$@" 2>/dev/null
}

# waits SECONDS COMMAND...: waits until the command succeeds.
waits() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.2
    done
}

queue_is_empty() {
    local queue
    queue=$(squeue -h 2>/dev/null) && [ -z "$queue" ]
}

finish() {
    code=$?
    trap - EXIT
    # A failed test may leave jobs.
    if [ -n "$(squeue -h 2>/dev/null)" ]; then
        scancel --user="$(id -un)" 2>/dev/null
        waits 15 queue_is_empty
    fi
    # The node before the controller.
    [ ${#pids[@]} -eq 0 ] || for ((i = ${#pids[@]} - 1; i >= 0; i--)); do stop "${pids[i]}"; done
    if [ "${KEEP:-}" ]; then echo "kept: $work"; else rm -rf "$work"; fi
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# check WHAT CONDITION...: counts the result, and reports a failure.
check() {
    what=$1
    shift
    if "$@" >/dev/null 2>&1; then
        passed=$((passed + 1))
        echo "ok      $what"
    else
        failed=$((failed + 1))
        echo "FAILED  $what"
        sed 's/^/        | /' "$work/out" 2>/dev/null | tail -n 15
    fi
}

give_up() {
    echo "tests/engines.sh: $1" >&2
    tail -n 20 "$work"/*.log >&2
    exit 1
}

# A port that nothing listens on.
free_port() {
    local port
    for port in $(shuf -i 20000-29999 -n 50); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
}

missing=
for program in munged slurmctld slurmd srun squeue sinfo; do
    command -v "$program" >/dev/null || missing=yes
done
if [ "$missing" ]; then
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends slurm-wlm munge; } \
        >"$work/install.log" 2>&1 || give_up "cannot install slurm-wlm and munge"
fi

# --- the cluster ---------------------------------------------------------------
# 16 subtasks run at once, however few processors there are.
slots=16
node=$(hostname -s)
dd if=/dev/urandom of="$work/munge.key" bs=128 count=1 status=none
chmod 400 "$work/munge.key"
mkdir "$work/state" "$work/spool"
cat >"$work/slurm.conf" <<CONF
ClusterName=tasker
SlurmctldHost=$node(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge.socket
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
# Needs no kernel feature except processes.
ProctrackType=proctrack/linuxproc
SlurmdParameters=config_overrides
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=5
KillWait=2
NodeName=$node NodeAddr=127.0.0.1 CPUs=$slots State=UNKNOWN
PartitionName=all Nodes=$node Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$work/slurm.conf

munged --foreground --force --key-file="$work/munge.key" --socket="$work/munge.socket" \
    --pid-file="$work/munged.pid" --seed-file="$work/munged.seed" \
    --log-file="$work/munged.log" >"$work/munged.out" 2>&1 &
pids+=($!)
waits 10 test -S "$work/munge.socket" || give_up "munged does not start"
slurmctld -D >"$work/slurmctld.log" 2>&1 &
pids+=($!)
slurmd -D -N "$node" >"$work/slurmd.log" 2>&1 &
pids+=($!)
idle() { [ "$(sinfo -h -o %t 2>/dev/null)" = idle ]; }
waits 60 idle || give_up "the node does not become idle: $(sinfo 2>&1)"
echo "Slurm: $(srun --version), node $node idle"

# --- the commands -------------------------------------------------------------
cat >"$work/tasker.conf" <<'CONF'
# A subtask is a Slurm job, named after its host.
exec=srun
argv=srun --quiet --nodes=1 --ntasks=1 --job-name={hostname} {command} {arguments}
probe=true
timeout=2m

# The host is the node that the job runs on.
exec=node
argv=srun --quiet --nodes=1 --ntasks=1 --nodelist={hostname} {command} {arguments}
probe=hostname -s
probe_expect_output=@NODE@
CONF
sed -i "s/@NODE@/$node/" "$work/tasker.conf"
cat >"$work/act" <<'ACT'
#!/bin/sh
# Records its start, does what its argument says, and records its end.
echo "begin $SLURM_JOB_NAME $SLURM_JOB_ID $TASKER_HOSTNAME" >>"$WORK/acts"
case $1 in
    work) sleep 1 ;;
    some) case $SLURM_JOB_NAME in
        job07) exit 7 ;;
        job23) sleep 4711 ;;
        esac ;;
    wait) sleep 4712 ;;
    words) shift; printf '<%s>' "$@" ;;
esac
echo "end $SLURM_JOB_NAME" >>"$WORK/acts"
ACT
chmod 755 "$work/act"
export WORK=$work HOME=$work

# Runs `tasks.txt`; the output is in `out`, the exit code in `code`.
run() {
    : >"$work/acts"
    "$tasker" -r --config "$work/tasker.conf" -l "$work/tasker" "$@" "$work/tasks.txt" >"$work/out" 2>&1
    code=$?
}
says() { grep -qF -- "$1" "$work/out"; }
count() { grep -c -- "$1" "$work/acts"; }
nothing_left() { queue_is_empty && ! pgrep -f "^sleep 471[12]" >/dev/null; }

# The largest number that ran at the same time, from the records.
most_at_once() {
    awk '$1 == "begin" { n++; if (n > most) most = n } $1 == "end" { n-- } END { print most + 0 }' "$work/acts"
}

# 50 subtasks
cat >"$work/tasks.txt" <<'TASKS'
task=0
type=parallel
hostnames=job[01-50]
exec=srun
command=./act work
max_parallel=25
TASKS
cd "$work" || exit 1
run
check "50 subtasks: exit code 0, is $code" [ "$code" = 0 ]
check "50 of 50 succeeded" says "task 0: ok (50 ok)"
check "50 jobs of their own" [ "$(awk '$1 == "begin" { print $3 }' acts | sort -u | wc -l)" = 50 ]
check "each is named after its host" awk '$1 == "begin" && $2 != $4 { exit 1 }' acts
check "several at once: $(most_at_once)" [ "$(most_at_once)" -ge 4 ]
check "not more than the node takes" [ "$(most_at_once)" -le "$slots" ]
check "the queue is empty" waits 20 nothing_left

# one fails, one times out
cat >"$work/tasks.txt" <<'TASKS'
task=0
type=parallel
hostnames=job[01-50]
exec=srun
command=./act some
timeout=20s
max_parallel=16
next=min_success=48

task=1
exec=local
command=echo ok @0_success_count@ failed @0_failed_count@ timeout @0_timeout_count@ of @0_total_count@: @0_failed_hosts@
TASKS
run
check "one failed, one timed out, 48 are enough: exit code 0, is $code" [ "$code" = 0 ]
check "the counts" says "ok 48 failed 1 timeout 1 of 50: job[07,23]"
check "the exit code of the one that failed" says "job07 (1): exit 7"
check "the timeout of the other" says "job23 (1): timeout"
check "the queue is empty" waits 20 nothing_left

sed -i s/min_success=48/all_success/ "$work/tasks.txt"
run
check "all are wanted: exit code 10, is $code" [ "$code" = 10 ]
check "the queue is empty" waits 20 nothing_left

# exit codes of a single task
printf 'task=0\nhostname=job07\nexec=srun\ncommand=./act some\n' >"$work/tasks.txt"
run
check "exit code 7 passes unchanged, is $code" [ "$code" = 7 ]
printf 'task=0\nhostname=job23\nexec=srun\ncommand=./act some\ntimeout=3s\n' >"$work/tasks.txt"
run
check "a timeout: exit code 124, is $code" [ "$code" = 124 ]
check "the queue is empty" waits 20 nothing_left

# words and data
cat >"$work/tasks.txt" <<'TASKS'
task=0
hostname=job01
exec=srun
command=./act words "a b" 'it"s' "" '$HOME' '*' '; true' 'a\b'

task=1
hostname=job02
exec=srun
command=wc -c
stdin=twelve bytes
TASKS
run
check "words arrive unchanged" says '| <a b><it"s><><$HOME><*><; true><a\b>'
check "standard input arrives" says '| 12'

# the test of a type, and a node by its name
cat >"$work/tasks.txt" <<TASKS
task=0
type=parallel
hostnames=job[01-04]
exec=srun
command=true

task=1
hostname=$node
exec=node
command=hostname -s
success=exit_0 & stdout = $node
TASKS
run -c
check "each type is tested on its hosts: exit code 0, is $code" [ "$code" = 0 ]
sed -i s/^probe=true/probe=false/ "$work/tasker.conf"
run -c
check "a test that fails: exit code 61, is $code" [ "$code" = 61 ]
check "it names the host and the type" says "job04 (srun): its probe exited with 1"
printf 'task=0\nhostname=no-such-node\nexec=node\ncommand=true\n' >"$work/tasks.txt"
run
check "a node that Slurm does not know: exit code 1, is $code" [ "$code" = 1 ]
check "Slurm says why" says "Invalid node name"

# cancelled: some run, the others wait in the queue
cat >"$work/tasks.txt" <<'TASKS'
task=0
type=parallel
hostnames=job[01-50]
exec=srun
command=./act wait
max_parallel=50
TASKS
cancel() {
    : >"$work/acts"
    "$tasker" -r --config "$work/tasker.conf" -l "$work/tasker" "$work/tasks.txt" >"$work/out" 2>&1 &
    run=$!
    waits 60 queue_is_full
    check "$slots run, the others wait: $(squeue -h | wc -l) in the queue" queue_is_full
    kill "$1" "$run"
    wait "$run" 2>/dev/null
    code=$?
}
queue_is_full() { [ "$(squeue -h -t running | wc -l)" = "$slots" ] && [ "$(squeue -h | wc -l)" = 50 ]; }
cancel -TERM
check "SIGTERM: exit code 143, is $code" [ "$code" = 143 ]
check "it leaves no job and no process" waits 20 nothing_left
cancel -KILL
check "SIGKILL: exit code 137, is $code" [ "$code" = 137 ]
check "it leaves no job and no process" waits 30 nothing_left

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
