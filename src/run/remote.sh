# The remote wrapper of an `ssh` task: runs the command whose words come first on
# standard input, and ends it when standard input ends.
# It is sent without these comments as one line, to be read by the `exec /bin/sh -c`
# of any login shell. So: no single quotes, no double backslash, `!` only before a
# space or `=` (elsewhere csh expands its history), and a command ends with its line.

tk_nl=$(printf "\n_"); tk_nl=${tk_nl%_};
IFS= read -r tk_line || exit 255;
eval "$tk_line"; unset tk_line;

# From here on tasker treats the host as connected.
printf "%s\n" "$tk_nonce" >&2;

# Next comes the standard input of the command. It is read completely before the
# command starts.
exec 3<&0;
if [ "$tk_size" -gt 0 ]; then
tk_data=$(mktemp) || exit 126;
head -c "$tk_size" <&3 >"$tk_data";
if [ "$(wc -c <"$tk_data")" -ne "$tk_size" ]; then rm -f "$tk_data"; exit 255; fi;
exec <"$tk_data"; rm -f "$tk_data";
else exec </dev/null; fi;

# Sends the signal $2 to the other processes of this session ($1 = all), or only to
# those that hold our output ($1 = holders); false if there are none.
# A shell with `set -m`, or `timeout`, creates groups that `kill 0` does not reach.
tk_others() {
tk_found=1;
for tk_proc in /proc/[0-9]*; do
{ IFS= read -r tk_stat <"$tk_proc/stat"; } 2>/dev/null || continue;
tk_pid=${tk_proc#/proc/};
tk_which=$1; tk_signal=$2;
tk_state=${tk_stat##*") "}; tk_parent=${tk_state#* }; tk_session=${tk_parent#* * };
tk_state=${tk_state%% *}; tk_parent=${tk_parent%% *}; tk_session=${tk_session%% *};
if [ "$tk_session" = "$$" ] && [ "$tk_pid" != "$$" ] && [ "$tk_pid" != "$tk_watch" ] && [ "$tk_parent" != "$tk_watch" ] && [ "$tk_state" != Z ]; then
if [ "$tk_which" = holders ]; then
case " $(readlink "/proc/$tk_pid/fd/1") $(readlink "/proc/$tk_pid/fd/2") " in
*" $tk_out "*|*" $tk_err "*) ;;
*) continue;;
esac;
fi;
tk_found=0; kill -s "$tk_signal" "$tk_pid" 2>/dev/null;
fi;
done;
return "$tk_found"; };
tk_out=$(readlink "/proc/$$/fd/1"); tk_err=$(readlink "/proc/$$/fd/2");

# Standard input ends when tasker closes it or dies, or when the connection is lost.
(trap "" TERM HUP INT; read -r tk_end <&3;
{ read -r tk_watch tk_end </proc/self/stat; } 2>/dev/null;
kill -s TERM 0; tk_others all TERM; kill -s CONT 0; tk_others all CONT;
sleep "$tk_kill"; tk_others all KILL; kill -s KILL 0) >/dev/null 2>&1 &
tk_watch=$! ;
exec 3<&-;
tk_told=; trap "tk_told=1" TERM; trap : HUP INT;
"$@"; tk_code=$?;

# If terminated: wait until no process is left, or until the watcher kills the rest.
if [ "$tk_told" ]; then
while [ -r "/proc/$$/stat" ] && tk_others all 0; do sleep 0.1 2>/dev/null || sleep 1; done;
[ -r "/proc/$$/stat" ] || wait "$tk_watch";
kill -s KILL 0;
fi;

# A background process that still holds the output would keep the connection open.
if tk_others holders 0; then
sleep 1;
if tk_others holders TERM; then
printf "%s left\n" "$tk_nonce" >&2;
sleep 1; tk_others holders KILL;
fi;
fi;
kill -s KILL "$tk_watch" 2>/dev/null;
exit "$tk_code"
