# The remote wrapper of an `ssh` task: runs the command whose words come first on
# standard input, and ends it when standard input ends.
# It is sent without these comments as one line, to be read by the `exec /bin/sh -c`
# of any login shell. So: no single quotes, no double backslash, `!` only before a
# space or `=` (elsewhere csh expands its history), and a command ends with its line.
#
# What it says to tasker are lines that begin with the nonce, on standard error:
#   NONCE PID             it runs, with this process id, and waits for `go`
#   NONCE end CODE        the command has ended by itself
#   NONCE ended           the command was to be ended, and nothing of it is left
#   NONCE left PID WORDS  a process that could not be ended
# On standard output a line with the nonce comes before the command's own output.

IFS= read -r tk_line || exit 255;
eval "$tk_line"; unset tk_line;
printf "%s\n" "$tk_nonce";
printf "%s %s\n" "$tk_nonce" "$$" >&2;

# Nothing runs before tasker has heard from this host: what a connection that was
# given up leaves in the pipe must never start.
IFS= read -r tk_word && [ "$tk_word" = go ] || exit 255;
exec 9>&2;
tk_end() { printf "%s end %s\n" "$tk_nonce" "$1" >&9; exit "$1"; };

# Next comes the standard input of the command. It is read completely before the
# command starts, and has no name while it is kept; a short one stays in memory.
exec 3<&0 </dev/null;
if [ "$tk_size" -gt 0 ]; then
tk_data=;
if [ "$tk_size" -le 16777216 ]; then tk_data=$(mktemp /dev/shm/tasker.XXXXXX 2>/dev/null); fi;
if [ -z "$tk_data" ]; then tk_data=$(mktemp) || tk_end 126; fi;
exec 4>"$tk_data" <"$tk_data"; rm -f "$tk_data";
head -c "$tk_size" <&3 >&4 || tk_end 126;
[ "$(wc -c </proc/self/fd/0)" -eq "$tk_size" ] || exit 255;
exec 4>&-;
fi;

# Writes to tk_found the processes of the command, but for this wrapper ($$) and the
# watcher with its helpers: what is in the session, their children, and what has left it
# and is known by its variable or holds the output; to tk_apart those in other process
# groups. False if there are none. Runs in /proc, and only to end a command.
tk_find() {
tk_found=; tk_apart=;
tk_new=$(grep -l ") [^ZX] [0-9]* [0-9]* $$ " [0-9]*/stat);
case $? in 126|127) tk_blind=1;; esac;
tk_new="$tk_new $(grep -l -e "TASKER_SESSION=$TASKER_SESSION" [0-9]*/environ)";
for tk_file in $(ls -l [0-9]*/fd/[0-9]* | grep -e "^l.w.*:.$tk_out.$" -e "^l.w.*:.$tk_err.$"); do
case $tk_file in [0-9]*/fd/*) tk_new="$tk_new $tk_file";; esac;
done;
while :; do
set --;
for tk_file in $tk_new; do
tk_pid=${tk_file%%/*};
case " $tk_found $$ $tk_watch " in *" $tk_pid "*) continue;; esac;
IFS= read -r tk_stat <"$tk_pid/stat" || continue;
tk_stat=${tk_stat##*") "}; tk_state=${tk_stat%% *};
tk_stat=${tk_stat#* }; tk_parent=${tk_stat%% *};
tk_stat=${tk_stat#* }; tk_its=${tk_stat%% *};
case $tk_state$tk_parent in Z*|X*|?"$tk_watch") continue;; esac;
tk_found="$tk_found $tk_pid"; set -- "$@" -e ") [^ZX] $tk_pid ";
if [ "$tk_its" != "$tk_group" ]; then tk_apart="$tk_apart $tk_pid"; fi;
done;
if [ "$#" -eq 0 ]; then break; fi;
tk_new=$(grep -l "$@" [0-9]*/stat);
done;
[ "$tk_found" ]; };

# Whether one of those that were found still runs. Costs little.
tk_lives() {
for tk_pid in $tk_found; do
IFS= read -r tk_stat <"$tk_pid/stat" || continue;
case ${tk_stat##*") "} in Z*|X*) continue;; esac;
return 0;
done;
return 1; };

# Sends the signal to everything that is left of the command.
tk_signal() {
kill -s "$1" 0;
for tk_pid in $tk_apart; do kill -s "$1" "$tk_pid"; done; };

# The watcher. Standard input ends when tasker closes it or dies, or when the connection
# is lost; `cut` is to end what a command that has ended has left behind.
# It must not hold the output.
(trap "" TERM HUP INT USR1;
exec >/dev/null 2>&1 9>&-;
while tk_word=; IFS= read -r tk_word <&3; do if [ "$tk_word" = cut ]; then break; fi; done;

# Without the wrapper the command has ended by itself, and may leave daemons.
if [ "$tk_word" != cut ]; then kill -s 0 "$$" || exit 0; kill -s USR1 "$$"; fi;
tk_blind=; cd /proc && read -r tk_watch tk_key tk_key tk_key tk_group tk_key <self/stat && [ -r 1/stat ] || tk_blind=1;

# The numbers of the pipes of the output: the wrapper, which waits, has them open.
for tk_fd in 1 9; do
tk_out=$tk_err; tk_err=;
while read -r tk_key tk_value; do if [ "$tk_key" = ino: ]; then tk_err=$tk_value; fi; done <"/proc/$$/fdinfo/$tk_fd";
if [ -z "$tk_err" ]; then tk_err=$(readlink "/proc/$$/fd/$tk_fd"); tk_err=${tk_err##*[}; tk_err=${tk_err%]}; fi;
done;
tk_out=${tk_out:-none}; tk_err=${tk_err:-none};
tk_find; tk_signal TERM; tk_signal CONT;
sleep "$tk_kill" & tk_timer=$! ;
while kill -s 0 "$tk_timer" && { [ "$tk_blind" ] || tk_lives || tk_find; }; do sleep 0.05 || sleep 1; done;
for tk_try in 1 2 3 4 5; do
if tk_find; then :; else break; fi;
for tk_pid in $tk_found; do kill -s KILL "$tk_pid"; done;
sleep 0.1 || sleep 1;
done;
kill -s KILL "$tk_timer";
for tk_pid in $tk_found; do
printf "%s left %s %s\n" "$tk_nonce" "$tk_pid" "$(tr "\0\n" "  " <"$tk_pid/cmdline" | head -c 200)" >>"/proc/$$/fd/9";
tk_blind=1;
done;
if [ "$tk_blind" ]; then kill -s KILL 0; fi) &
tk_watch=$! ;
exec 3<&-;

# In a subshell, so that the words name a program and never one of this shell's
# builtins. What the shell itself says, as `Terminated`, is not the command's.
exec 2>/dev/null;
tk_told=; trap "tk_told=1" USR1; trap : TERM HUP INT;
(exec "$@" 2>&9 9>&-); tk_code=$? ;
if [ "$tk_told" ]; then
tk_all=1;
while kill -s 0 "$tk_watch"; do wait "$tk_watch"; tk_all=$? ; done;
if [ "$tk_all" = 0 ]; then printf "%s ended\n" "$tk_nonce" >&9; fi;
exit 255;
fi;

# A signal: yash adds it to 384, ksh93 to 256, any other to 128.
if [ "$tk_code" -ge 384 ]; then tk_code=$((tk_code - 256)); fi;
if [ "$tk_code" -ge 256 ]; then tk_code=$((tk_code - 128)); fi;

# Once this wrapper exits, sshd closes standard input. So it stays for the watcher while
# something holds the output, other than the watcher, which may only have begun. What the
# command has left began after this wrapper, and mostly few processes did; else those of
# the session are searched.
tk_holds() {
[ "$1" != "$tk_watch" ] && [ -d "/proc/$1" ] || return 1;
[ "/proc/$1/fd/1" -ef "/proc/$$/fd/1" ] || [ "/proc/$1/fd/1" -ef "/proc/$$/fd/9" ] || [ "/proc/$1/fd/2" -ef "/proc/$$/fd/9" ] || [ "/proc/$1/fd/2" -ef "/proc/$$/fd/1" ]; };
tk_is_held() {
tk_pid=$$; tk_last=0;
read -r tk_key tk_key tk_key tk_key tk_last </proc/loadavg;
if [ "$tk_last" -ge "$tk_pid" ] && [ "$((tk_last - tk_pid))" -le 1000 ]; then
while [ "$tk_pid" -lt "$tk_last" ]; do
tk_pid=$((tk_pid + 1));
if tk_holds "$tk_pid"; then return 0; fi;
done;
return 1;
fi;
for tk_file in $(grep -l ") [^ZX] [0-9]* [0-9]* $$ " /proc/[0-9]*/stat); do
tk_file=${tk_file%/stat};
if [ "$tk_file" != "/proc/$$" ] && tk_holds "${tk_file##*/}"; then return 0; fi;
done;
return 1; };
if tk_is_held; then
printf "%s end %s\n" "$tk_nonce" "$tk_code" >&9;

# A child that has only begun may let go of it in a moment.
for tk_try in 1 2 3 4 5 6 7 8 9 10; do
sleep 0.05 >/dev/null 9>&- || break;
tk_is_held || exit "$tk_code";
done;
while kill -s 0 "$tk_watch"; do wait "$tk_watch"; done;
exit "$tk_code";
fi;
tk_end "$tk_code"
