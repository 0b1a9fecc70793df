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
# On standard output a line with the nonce comes before the command's own output, and
# `NONCE end` after it: the two streams do not arrive together, and on a slow line much
# of the one can be missing when the other is complete.

IFS= read -r tk_line || exit 255;
eval "$tk_line"; unset tk_line;
printf "%s\n" "$tk_nonce";
printf "%s %s\n" "$tk_nonce" "$$" >&2;

# Nothing runs before tasker has heard from this host: what a connection that was
# given up leaves in the pipe must never start.
IFS= read -r tk_word && [ "$tk_word" = go ] || exit 255;
exec 9>&2; tk_watch=;
tk_ended() { printf "%s ended\n" "$tk_nonce" >&9; exit 255; };
tk_mark_end() { printf "%s end %s\n" "$tk_nonce" "$1" >&9; printf "%s end\n" "$tk_nonce"; };

# Ends this wrapper, and its watcher; should the command have killed that one, its number
# can be another program's.
tk_leave() {
if [ "$tk_watch" ]; then
if [ "/proc/$tk_watch/exe" -ef "/proc/$$/exe" ] || ! [ -e "/proc/$$/exe" ]; then kill -s VTALRM "$tk_watch"; fi;
fi;
exit "$1"; };
tk_end() { tk_mark_end "$1"; tk_leave "$1"; };

# Next comes the standard input of the command. It is read completely before the
# command starts, and has no name while it is kept; a short one stays in memory. If it
# ends early, the command does not begin.
exec 3<&0 </dev/null;
if [ "$tk_size" -gt 0 ]; then
tk_data=;
if [ "$tk_size" -le 16777216 ]; then tk_data=$(mktemp /dev/shm/tasker.XXXXXX 2>/dev/null); fi;
if [ -z "$tk_data" ]; then tk_data=$(mktemp) || tk_end 126; fi;
exec 4>"$tk_data" <"$tk_data" 5<"$tk_data"; rm -f "$tk_data";
head -c "$tk_size" <&3 >&4 || tk_end 126;
tk_got=$(wc -c <&5) || tk_end 126;
if [ "$tk_got" -ne "$tk_size" ]; then tk_ended; fi;
exec 4>&- 5<&-;
fi;

# Writes to tk_found the processes of the command, but for this wrapper with what called
# it (tk_above) and the watcher with their helpers: what is in the session, their children,
# and what has left it and is known by its variable or holds the output; to tk_apart
# those in other process groups. False if there are none. Runs in /proc, and only to end
# a command. All open files of a busy machine do not fit into one command line.
tk_find() {
tk_found=; tk_apart=;
tk_new=$(grep -l ") [^ZX] [0-9]* [0-9]* $$ " [0-9]*/stat);
case $? in 126|127) tk_blind=1;; esac;
tk_new="$tk_new $(grep -l -e "TASKER_SESSION=$TASKER_SESSION" [0-9]*/environ)";
for tk_digits in 0-9 012 345 67 89; do
tk_files=$({ ls -l *[$tk_digits]/fd/[0-9]* || [ "$?" -lt 126 ] || echo tk:blind; } | grep -e "^l.w.*:.$tk_out.$" -e "^l.w.*:.$tk_err.$" -e "^tk:blind");
case $tk_digits$tk_files in 0-9*tk:blind) continue;; esac;
for tk_file in $tk_files; do
case $tk_file in [0-9]*/fd/*) tk_new="$tk_new $tk_file";; tk:blind) tk_blind=1;; esac;
done;
if [ "$tk_digits" = 0-9 ]; then break; fi;
done;
while :; do
set --;
for tk_file in $tk_new; do
tk_pid=${tk_file%%/*};
case " $tk_found $tk_above $tk_watch " in *" $tk_pid "*) continue;; esac;
IFS= read -r tk_stat <"$tk_pid/stat" || continue;
tk_stat=${tk_stat##*") "}; tk_state=${tk_stat%% *};
tk_stat=${tk_stat#* }; tk_parent=${tk_stat%% *};
tk_stat=${tk_stat#* }; tk_its=${tk_stat%% *};
case $tk_state$tk_parent in Z*|X*|?"$tk_watch") continue;; esac;
case $tk_word$tk_parent in "cut$$") continue;; esac;
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

# Sends the signal to everything that is left of the command. The process group is only
# its own where this wrapper leads it: some servers, and a forced command that calls it,
# are in the same group.
tk_signal() {
if [ "$tk_group" = "$$" ]; then kill -s "$1" 0; fi;
for tk_pid in $tk_apart; do kill -s "$1" "$tk_pid"; done; };

# The watcher. Standard input ends when tasker closes it or dies, or when the connection
# is lost; `cut` is to end what a command that has ended has left behind.
# It must not hold the output, so it keeps only the numbers of its pipes.
(trap "" TERM HUP INT USR1;
exec >/dev/null 2>&1 9>&-;
for tk_fd in 1 9; do
tk_out=$tk_err; tk_err=;
while read -r tk_key tk_value; do if [ "$tk_key" = ino: ]; then tk_err=$tk_value; fi; done <"/proc/$$/fdinfo/$tk_fd";
if [ -z "$tk_err" ]; then tk_err=$(readlink "/proc/$$/fd/$tk_fd"); tk_err=${tk_err##*[}; tk_err=${tk_err%]}; fi;
done;
tk_out=${tk_out:-none}; tk_err=${tk_err:-none};
while tk_word=; IFS= read -r tk_word <&3; do if [ "$tk_word" = cut ]; then break; fi; done;

# A wrapper that ends by itself ends this watcher first, if it still waits: the command may
# leave daemons. If the wrapper was killed, the command may still run, and is ended.
trap "" VTALRM;
if [ "$tk_word" != cut ]; then kill -s USR1 "$$"; fi;
tk_blind=; tk_group=$$;
cd /proc && read -r tk_watch tk_key tk_key tk_key tk_group tk_key <self/stat && [ -r 1/stat ] || tk_blind=1;
if [ "$tk_group" != "$$" ]; then tk_group=; fi;
tk_above=$$; tk_pid=$$;
while IFS= read -r tk_stat <"$tk_pid/stat"; do
tk_stat=${tk_stat##*") "}; tk_stat=${tk_stat#* }; tk_pid=${tk_stat%% *};
tk_above="$tk_above $tk_pid";
done;
tk_find; tk_signal TERM; tk_signal CONT;
sleep "$tk_kill" & tk_timer=$! ;
while kill -s 0 "$tk_timer" && { [ "$tk_blind" ] || tk_lives || tk_find; }; do sleep 0.05 || sleep 1; done;
for tk_try in 1 2 3 4 5; do
if tk_find; then :; else break; fi;
for tk_pid in $tk_found; do kill -s KILL "$tk_pid"; done;
sleep 0.1 || sleep 1;
done;
kill -s KILL "$tk_timer"; kill -s CONT "$$";
for tk_pid in $tk_found; do
printf "%s left %s %s\n" "$tk_nonce" "$tk_pid" "$(tr "\0\n" "  " <"$tk_pid/cmdline" | head -c 200)" >>"/proc/$$/fd/9";
tk_blind=1;
done;
if [ "$tk_blind" ]; then tk_apart=$$; tk_signal KILL; fi) &
tk_watch=$! ;
exec 3<&-;

# In a subshell, so that the words name a program and never one of this shell's
# builtins. What the shell itself says, as `Terminated`, is not the command's.
exec 2>/dev/null;
tk_told=; trap "tk_told=1" USR1; trap : TERM HUP INT;
(exec "$@" 2>&9 9>&-); tk_code=$? ;
if [ "$tk_told" ]; then
while wait "$tk_watch"; tk_all=$? ; [ "$tk_all" -gt 128 ] && kill -s 0 "$tk_watch"; do :; done;
if [ "$tk_all" = 0 ]; then tk_ended; fi;
exit 255;
fi;

# A signal: yash adds it to 384, ksh93 to 256, any other to 128.
if [ "$tk_code" -ge 384 ]; then tk_code=$((tk_code - 256)); fi;
if [ "$tk_code" -ge 256 ]; then tk_code=$((tk_code - 128)); fi;

# Once this wrapper exits, sshd closes standard input. So it stays for the watcher while
# something holds the output: for a moment that may be a daemon that is about to let it
# go. What the command has left began after this wrapper, and mostly few processes did;
# else those of the session are searched.
tk_holds() {
if [ "$1" = "$tk_watch" ]; then return 1; fi;
for tk_file in "/proc/$1/fd"/[0-9]*; do
if [ "$tk_file" -ef "/proc/$$/fd/1" ] || [ "$tk_file" -ef "/proc/$$/fd/9" ]; then return 0; fi;
done;
return 1; };
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
for tk_pid in $(cd /proc && grep -l ") [^ZX] [0-9]* [0-9]* $$ " [0-9]*/stat); do
tk_pid=${tk_pid%/stat};
if [ "$tk_pid" != "$$" ] && tk_holds "$tk_pid"; then return 0; fi;
done;
return 1; };
if tk_is_held; then
tk_mark_end "$tk_code";
trap "" TERM;
while kill -s 0 "$tk_watch" && tk_is_held; do sleep 0.05 || sleep 1; done;
tk_leave "$tk_code";
fi;
tk_end "$tk_code"
