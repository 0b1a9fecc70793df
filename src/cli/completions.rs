//! Scripts that complete tasker's command line in bash, zsh and fish, made from
//! the table of options.
//!
//! Ids and names of tasks are read from the task file on the line by `awk` in the
//! script: tasker itself is not started for it, so a file that is being written
//! and is wrong elsewhere completes as well.
#![forbid(unsafe_code)]

use crate::cli::arguments::{OPTIONS, Opt};
use crate::plan::exec::Types;
use crate::report::color::Color;
use crate::report::log::LogLevel;

/// A shell that there is a script for.
#[derive(Clone, Copy, Debug)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    pub const NAMES: [(&'static str, Shell); 3] = [
        ("bash", Shell::Bash),
        ("zsh", Shell::Zsh),
        ("fish", Shell::Fish),
    ];
}

/// The script for a shell.
pub fn script(shell: Shell) -> String {
    match shell {
        Shell::Bash => bash(),
        Shell::Zsh => zsh(),
        Shell::Fish => fish(),
    }
}

/// What may stand as an option's value.
enum Values {
    Words(String),
    Files,
    Directories,
    /// Ids and names of the task file on the line.
    Tasks,
    /// Nothing that could be listed.
    Any,
}

fn values(opt: &Opt) -> Values {
    let joined = |words: &[&str]| Values::Words(words.join(" "));
    match (opt.long, value_name(opt)) {
        ("log-level", _) => joined(&LogLevel::NAMES.map(|(name, _)| name)),
        ("color", _) => joined(&Color::NAMES.map(|(name, _)| name)),
        ("completions", _) => joined(&Shell::NAMES.map(|(name, _)| name)),
        ("type", _) => joined(&Types::built_in().names().collect::<Vec<_>>()),
        ("on-interrupt", _) => joined(&["drain", "kill"]),
        ("show-plan", _) => joined(&["text", "dot", "mermaid", "json"]),
        ("limit", _) => joined(&["last:failed", "last:unreachable", "last:not_started"]),
        ("start-from" | "deadline-task", _) => Values::Tasks,
        (_, value) if value.starts_with("DIR") => Values::Directories,
        (_, value) if value.starts_with("FILE") || value == "PROGRAM" => Values::Files,
        _ => Values::Any,
    }
}

/// What the value is called: `FORM` of `[=FORM]`.
fn value_name(opt: &Opt) -> &'static str {
    opt.value.unwrap_or("").trim_matches(['[', '=', ']'])
}

/// The options that are offered: not those of old files.
fn offered() -> impl Iterator<Item = &'static Opt> {
    OPTIONS.iter().filter(|o| !o.help.is_empty())
}

/// `--log-dir`, and `-l` where there is a letter.
fn names(opt: &Opt) -> Vec<String> {
    let letter = opt.short.map(|c| format!("-{c}"));
    letter
        .into_iter()
        .chain([format!("--{}", opt.long)])
        .collect()
}

/// The names of every option whose value is the next word, for a `case`.
fn valued() -> String {
    let valued = offered().filter(|o| o.value.is_some() && !o.value_is_optional());
    valued.flat_map(names).collect::<Vec<_>>().join("|")
}

/// The same of those whose value can only follow a `=`.
fn optional() -> String {
    let optional = offered().filter(|o| o.value_is_optional());
    optional.flat_map(names).collect::<Vec<_>>().join("|")
}

/// Prints the ids and names of a task file, one a line. Only those that may be
/// one: bash expands the words that it is given, and a task file is data.
const AWK: &str = r#"awk -F= '
        /^[ \t]*(task|name)[ \t]*=/ {
            sub(/[ \t]#.*/, "", $2)
            gsub(/[ \t\r]/, "", $2)
            if ($2 ~ /^[A-Za-z0-9_]+$/) print $2
        }'"#;

const BASH: &str = r#"# Completes tasker in bash; made by `tasker --completions bash`.

# The task file on the line: the first word that is a file and no option's value.
_tasker_file() {
    local i word
    for ((i = 1; i < ${#COMP_WORDS[@]}; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
        VALUED)
            ((i += 1))
            [[ ${COMP_WORDS[i]} == '=' ]] && ((i += 1))
            ;;
        -?*) ;;
        *)
            word=${word//[\"\'\\]/}
            word=${word/#\~\//$HOME/}
            if ((i != COMP_CWORD)) && [[ -f $word ]]; then
                printf '%s\n' "$word"
                return
            fi
            ;;
        esac
    done
}

_tasker_tasks() {
    local file
    file=$(_tasker_file)
    [[ -n $file ]] || return
    AWK <"$file"
}

_tasker() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    # `--option=value` comes as three words.
    if [[ $cur == '=' ]]; then
        cur=
        prev+='='
    elif [[ $prev == '=' ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}=
    fi
    # Where the value may as well be the next word, the `=` says nothing.
    case $prev in
    OPTIONAL) ;;
    *) prev=${prev%=} ;;
    esac
    COMPREPLY=()
    case $prev in
VALUES    VALUED)
        return
        ;;
    esac
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W 'NAMES' -- "$cur")
    else
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    fi
}

complete -F _tasker tasker
"#;

fn bash() -> String {
    let mut cases = String::new();
    for opt in offered().filter(|o| o.value.is_some()) {
        let (offer, are_files) = match values(opt) {
            Values::Words(words) => (format!("compgen -W '{words}' -- \"$cur\""), false),
            Values::Tasks => ("compgen -W \"$(_tasker_tasks)\" -- \"$cur\"".into(), false),
            Values::Files => ("compgen -f -- \"$cur\"".into(), true),
            Values::Directories => ("compgen -d -- \"$cur\"".into(), true),
            Values::Any => continue,
        };
        let mut names = names(opt).join("|");
        if opt.value_is_optional() {
            names.push('=');
        }
        let filenames = match are_files {
            true => "        compopt -o filenames 2>/dev/null\n",
            false => "",
        };
        cases.push_str(&format!(
            "    {names})\n{filenames}        mapfile -t COMPREPLY < <({offer})\n        return\n        ;;\n"
        ));
    }
    let all: Vec<String> = offered().flat_map(names).collect();
    BASH.replace("VALUES", &cases)
        .replace("VALUED", &valued())
        .replace("OPTIONAL", &with_equals(&optional()))
        .replace("NAMES", &all.join(" "))
        .replace("AWK", AWK)
}

/// `--a=|--b=` of `--a|--b`.
fn with_equals(names: &str) -> String {
    format!("{}=", names.replace('|', "=|"))
}

const ZSH: &str = r#"#compdef tasker
# Completes tasker in zsh; made by `tasker --completions zsh`.

# Ids and names of the task file on the line: the first word that is a file and
# no option's value.
_tasker_tasks() {
    local i word
    local -a tasks
    for ((i = 2; i <= $#words; i++)); do
        word=${(Q)words[i]}
        case $word in
        VALUED) ((i += 1)) ;;
        -?*) ;;
        *)
            word=${word/#\~\//$HOME/}
            if ((i != CURRENT)) && [[ -f $word ]]; then
                tasks=(${(f)"$(AWK <$word)"})
                break
            fi
            ;;
        esac
    done
    compadd -- $tasks
}

_tasker() {
    _arguments -s -S \
OPTIONS        '1:task file:_files'
}

if [[ $funcstack[1] == _tasker ]]; then
    _tasker "$@"
else
    compdef _tasker tasker
fi
"#;

fn zsh() -> String {
    let options: String = offered()
        .map(|opt| {
            let help = opt.help.replace('\\', "\\\\").replace('[', "\\[");
            let help = help.replace(']', "\\]").replace('\'', "'\\''");
            let named = opt.value.map(|_| value_name(opt));
            let value = match (named, values(opt)) {
                (None, _) => String::new(),
                (Some(what), Values::Words(words)) => {
                    format!(":{what}:({words})").replace("last:", "last\\:")
                }
                (Some(what), Values::Files) => format!(":{what}:_files"),
                (Some(what), Values::Directories) => format!(":{what}:_files -/"),
                (Some(what), Values::Tasks) => format!(":{what}:_tasker_tasks"),
                (Some(what), Values::Any) => format!(":{what}: "),
            };
            let optional = if opt.value_is_optional() { ":" } else { "" };
            let value = format!("{optional}{value}");
            let (plus, equals) = match opt.value {
                Some(_) if opt.value_is_optional() => ("", "=-"),
                Some(_) => ("+", "="),
                None => ("", ""),
            };
            let long = opt.long;
            // What may be given several times is not taken from the list.
            match opt.short {
                Some(c) => format!(
                    "        '(-{c} --{long})'{{-{c}{plus},--{long}{equals}}}'[{help}]{value}' \\\n"
                ),
                None => {
                    let again = if is_repeated(opt) { "*" } else { "" };
                    format!("        '{again}--{long}{equals}[{help}]{value}' \\\n")
                }
            }
        })
        .collect();
    ZSH.replace("OPTIONS", &options)
        .replace("VALUED", &valued())
        .replace("AWK", AWK)
}

fn is_repeated(opt: &Opt) -> bool {
    ["set", "assume"].contains(&opt.long)
}

const FISH: &str = r#"# Completes tasker in fish; made by `tasker --completions fish`.

# Ids and names of the task file on the line: the first word that is a file and
# no option's value.
function __tasker_tasks
    set -l skip 0
    for word in (commandline -o)[2..-1]
        if test $skip = 1
            set skip 0
        else if contains -- $word WORDS
            set skip 1
        else if not string match -q -- '-?*' $word
            set word (string replace -r '^~/' "$HOME/" -- $word)
            if test -f $word
                AWK <$word
                return
            end
        end
    end
end

"#;

fn fish() -> String {
    let mut out = FISH
        .replace("WORDS", &valued().replace('|', " "))
        .replace("AWK", AWK);
    for opt in offered() {
        let letter = opt.short.map_or(String::new(), |c| format!(" -s {c}"));
        let value = match (opt.value, values(opt)) {
            (None, _) => String::new(),
            (_, Values::Words(words)) if opt.value_is_optional() => format!(" -a '{words}'"),
            (_, _) if opt.value_is_optional() => String::new(),
            (_, Values::Words(words)) => format!(" -x -a '{words}'"),
            (_, Values::Files) => " -r -F".into(),
            (_, Values::Directories) => " -x -a '(__fish_complete_directories)'".into(),
            (_, Values::Tasks) => " -x -a '(__tasker_tasks)'".into(),
            (_, Values::Any) => " -x".into(),
        };
        let help = opt.help.replace('\\', "\\\\").replace('\'', "\\'");
        out.push_str(&format!(
            "complete -c tasker{letter} -l {}{value} -d '{help}'\n",
            opt.long
        ));
    }
    out
}
