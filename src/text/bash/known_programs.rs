//! The programs that run or read code, with their options (SPEC §2.4).
#![forbid(unsafe_code)]

use super::words::is_in;

/// A program that runs the command in its words.
pub struct Wrapper {
    pub names: &'static str,
    pub options: &'static str,
    /// How many words stand before the command, such as the time of `timeout`.
    pub operands: usize,
}

const WRAPPERS: &[Wrapper] = &[
    Wrapper {
        names: "env",
        options: "i 0 v u: C: S! a: --ignore-environment --null --unset: --chdir: \
            --split-string! --argv0: --debug --block-signal? --default-signal? --ignore-signal? \
            --list-signal-handling",
        operands: 0,
    },
    Wrapper {
        names: "sudo",
        options: "A b B E H K k n N P S s i l v V e u: U: g: C: D: p: R: r: t: T: c: a: --askpass \
            --background --bell --preserve-env? --set-home --remove-timestamp \
            --reset-timestamp --non-interactive --no-update --preserve-groups --stdin --shell \
            --login --list --validate --version --edit --user: --other-user: --group: \
            --close-from: --chdir: --prompt: --chroot: --role: --type: --command-timeout: --host:",
        operands: 0,
    },
    Wrapper {
        names: "doas",
        options: "C: L n s u: a:",
        operands: 0,
    },
    Wrapper {
        names: "timeout gtimeout",
        options: "f p v k: s: --foreground --preserve-status --verbose --kill-after: --signal:",
        operands: 1,
    },
    Wrapper {
        names: "nice",
        options: "n: --adjustment: 0# 1# 2# 3# 4# 5# 6# 7# 8# 9#",
        operands: 0,
    },
    Wrapper {
        names: "time",
        options: "a p q v V f: o: --append --portability --quiet --verbose --format: --output:",
        operands: 0,
    },
    Wrapper {
        names: "setarch linux32 linux64",
        options: "B F I L R S T X Z v --uname-2.6 --addr-no-randomize --verbose",
        operands: 0,
    },
    Wrapper {
        names: "sshpass",
        options: "f: d: p: P: e v",
        operands: 0,
    },
    Wrapper {
        names: "nohup busybox toybox",
        options: "",
        operands: 0,
    },
    Wrapper {
        names: "setsid",
        options: "c f w --ctty --fork --wait",
        operands: 0,
    },
    Wrapper {
        names: "stdbuf",
        options: "i: o: e: --input: --output: --error:",
        operands: 0,
    },
    Wrapper {
        names: "ionice",
        options: "c: n: p: P: u: t --class: --classdata: --pid: --ignore",
        operands: 0,
    },
    Wrapper {
        names: "chroot",
        options: "--userspec: --groups: --skip-chdir",
        operands: 1,
    },
    Wrapper {
        names: "flock",
        options: "s x e u n w: o c! E: F --shared --exclusive --unlock --nonblock --nb --wait: \
            --timeout: --close --command! --conflict-exit-code: --no-fork --verbose",
        operands: 1,
    },
    Wrapper {
        names: "strace",
        options: "c C d D f F h i k n q r t T v V w x y z Z A a: b: e: E: I: o: O: p: P: s: S: u: \
            U: X:",
        operands: 0,
    },
    Wrapper {
        names: "ltrace",
        options: "c C f h i L r S t T V a: A: D: e: F: l: n: o: p: s: u: w: x: X:",
        operands: 0,
    },
    Wrapper {
        names: "unshare",
        options: "m u i n p U C T f r c R: w: S: G: --mount? --uts? --ipc? --net? --pid? --user? \
            --cgroup? --time? --fork --map-root-user --map-current-user --mount-proc? \
            --propagation: --setgroups: --root: --wd: --setuid: --setgid: --kill-child?",
        operands: 0,
    },
    Wrapper {
        names: "nsenter",
        options: "a t: m? u? i? n? p? U? C? T? S: G: r? w? W: F Z e --all --target: --mount? \
            --uts? --ipc? --net? --pid? --user? --cgroup? --time? --setuid: --setgid: --root? \
            --wd? --no-fork --env --preserve-credentials --follow-context",
        operands: 0,
    },
    Wrapper {
        names: "systemd-run",
        options: "r t P q G d S u: p: E: H: M: --user --system --scope --remain-after-exit --pty \
            --pipe --quiet --wait --collect --same-dir --shell --no-block --no-ask-password \
            --send-sighup --slice-inherit --ignore-failure --unit: --description: --slice: \
            --property: --setenv: --uid: --gid: --nice: --working-directory: --host: --machine: \
            --service-type: --on-active: --on-boot: --on-calendar: --timer-property:",

        operands: 0,
    },
    Wrapper {
        names: "chrt",
        options: "a b f i m o r R v p d T: P: D: --all-tasks --batch --fifo --idle --max --other \
            --rr --deadline --reset-on-fork --verbose --sched-runtime: --sched-period: \
            --sched-deadline:",
        operands: 1,
    },
    Wrapper {
        names: "taskset",
        options: "a c p --all-tasks --cpu-list --pid",
        operands: 1,
    },
    Wrapper {
        names: "runuser",
        options: "u: l f m p P T c! s: g: G: w: --user: --login --fast --preserve-environment \
            --pty --command! --session-command! --shell: --group: --supp-group: \
            --whitelist-environment:",
        operands: 0,
    },
];

pub const SU: &str = "l f m p P T c! s: g: G: w: --login --fast --preserve-environment --pty --no-pty \
    --command! --session-command! --shell: --group: --supp-group: --whitelist-environment:";

/// `docker exec`, and `docker run`, in which most options take a value.
pub const CONTAINER: &str = "d i t P q T a: c: e: h: l: m: p: u: v: w: --detach --interactive --tty \
    --privileged --rm --init --read-only --publish-all --no-healthcheck --oom-kill-disable \
    --sig-proxy --quiet --latest --help --no-deps --no-TTY --replace --build --service-ports \
    --use-aliases --disable-content-trust --name: --env: --env-file: --workdir: --user: \
    --entrypoint! --network: --net: --volume: --mount: --publish: --hostname: --add-host: \
    --memory: --cpus: --label: --restart: --platform: --pull: --cap-add: --cap-drop: \
    --security-opt: --device: --ulimit: --gpus: --log-driver: --log-opt: --tmpfs: --ipc: --pid: \
    --shm-size: --dns: --stop-signal: --stop-timeout: --group-add: --userns: --cgroupns: --index: \
    --detach-keys: --link: --cidfile: --runtime: --annotation: --expose: --domainname:";

pub const XARGS: &str = "0 r t x p o e? E: i? I: l? L: n: P: s: d: a: --null --no-run-if-empty \
    --verbose --exit --interactive --open-tty --show-limits --eof? --replace? --max-lines? \
    --max-args: --max-procs: --max-chars: --delimiter: --arg-file: --process-slot-var:";

pub const SHELL: &str = "a b e f h i l m n p r s t u v x B C D E H I P T c o; O; --rcfile@ \
    --init-file@ --norc --noprofile --login --posix --restricted --verbose --version --help \
    --noediting --no-rcs";

pub const SSH: &str = "4 6 A a C f G g K k M N n q s T t V v X x Y y B: b: c: D: E: e: F@ I: i: J: L: \
    l: m: O: o% p: Q: R: S: W: w:";

/// A program whose program text is in a word or on standard input.
pub struct Interpreter {
    pub names: &'static str,
    pub options: &'static str,
    /// What its first operand is, where no option gave the program.
    pub operand: ProgramOperand,
    /// Whether options can stand behind operands.
    pub permutes: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ProgramOperand {
    /// The text of the program.
    Text,
    /// A file with it; without one it is read from standard input.
    File,
}

const INTERPRETERS: &[Interpreter] = &[
    Interpreter {
        names: "sed gsed",
        options: "n E r s u z b i? l: e! f@ --quiet --silent --regexp-extended --separate \
            --unbuffered --null-data --zero-terminated --posix --debug --sandbox \
            --follow-symlinks --in-place? --line-length: --expression! --file@ --help --version",
        operand: ProgramOperand::Text,
        permutes: true,
    },
    Interpreter {
        names: "awk gawk mawk nawk original-awk",
        options: "b c C g h I k M n N O r s S t V P F% v: f@ e! E@ i% l% W% d? D? o? p? L? \
            --field-separator% --assign: --file@ --source! --exec@ --include% --load% \
            --re-interval --posix --traditional --characters-as-bytes --csv --sandbox --version \
            --lint? --non-decimal-data --bignum --optimize --use-lc-numeric",
        operand: ProgramOperand::Text,
        permutes: false,
    },
    Interpreter {
        names: "python pypy",
        options: "b B d E h i I O P q s S u v V x ? W: X: c. m. --check-hash-based-pycs: --help \
            --version",
        operand: ProgramOperand::File,
        permutes: false,
    },
    Interpreter {
        names: "perl",
        options: "a c f n p s S t T u U w W X v h g l# 0# i? F~ I% M% m% d~ D? V? x? C? e! E!",
        operand: ProgramOperand::File,
        permutes: false,
    },
    Interpreter {
        names: "ruby",
        options: "a c l n p s S v w h d y U W? 0# i? F~ I% r% e! E: K? T? x? C: X: --verbose \
            --version --disable: --enable: --yjit --jit",
        operand: ProgramOperand::File,
        permutes: false,
    },
    Interpreter {
        names: "node nodejs",
        options: "e! p r% i c v h C: --eval! --print! --require% --import% --loader% \
            --experimental-loader% --check --interactive --version --help --test --watch \
            --inspect --no-warnings --trace-warnings --input-type:",
        operand: ProgramOperand::File,
        permutes: false,
    },
    Interpreter {
        names: "php",
        options: "r! f@ B! R! E! F@ n q s w v i m l a c% d% z% S: t:",
        operand: ProgramOperand::File,
        permutes: false,
    },
    Interpreter {
        names: "lua luajit",
        options: "e! l% i v E W",
        operand: ProgramOperand::File,
        permutes: false,
    },
    Interpreter {
        names: "tclsh wish",
        options: "",
        operand: ProgramOperand::File,
        permutes: false,
    },
    Interpreter {
        names: "expect",
        options: "c! f@ b@ d D: i n N v",
        operand: ProgramOperand::File,
        permutes: false,
    },
];

/// Programs in which any word or line can be a command.
pub const ALL_CODE: &str = "ed ex vi vim view nvim emacs gdb dc m4";

/// Programs for which `-c` is no command.
pub const TAKES_C: &str = "grep egrep fgrep zgrep rg head tail cut stat ping tr uniq tar gzip sort wc \
    df du cp echo curl git";

pub fn wrapper(name: &str) -> Option<&'static Wrapper> {
    WRAPPERS.iter().find(|w| is_in(w.names, name))
}

pub fn interpreter(name: &str) -> Option<&'static Interpreter> {
    // `python3.11`, `perl5`
    let base = name.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-'));
    INTERPRETERS.iter().find(|i| is_in(i.names, base))
}
