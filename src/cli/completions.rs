//! Scripts that complete tasker's command line in bash, zsh and fish, made from
//! the table of options.
//!
//! Ids and names of tasks are read from the task file on the line by `awk` in the
//! script: tasker itself is not started for it, so a file that is being written
//! and is wrong elsewhere completes as well.
#![forbid(unsafe_code)]

use super::options::{CliOption, Offers, Shell, listed};
use crate::plan::exec::ExecTypes;

/// The script for a shell.
pub fn script(shell: Shell) -> String {
    match shell {
        Shell::Bash => bash(),
        Shell::Zsh => zsh(),
        Shell::Fish => fish(),
    }
}

/// `--log-dir`, and `-l` where there is a letter.
fn names(option: &CliOption) -> Vec<String> {
    let letter = option.short.map(|c| format!("-{c}"));
    letter
        .into_iter()
        .chain([format!("--{}", option.long)])
        .collect()
}

/// The names of every option whose value is the next word, for a `case`.
fn valued() -> String {
    let valued = listed().filter(|o| o.value.is_some() && !o.value_is_optional);
    valued.flat_map(names).collect::<Vec<_>>().join("|")
}

/// The same of those whose value can only follow a `=`.
fn optional() -> String {
    let optional = listed().filter(|o| o.value_is_optional);
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
    for option in listed().filter(|o| o.value.is_some()) {
        let (offer, are_files) = match option.offers {
            Offers::Nothing => continue,
            Offers::Words(words) => (compgen_words(&words.join(" ")), false),
            Offers::ExecTypes => (compgen_words(&exec_types()), false),
            Offers::Tasks => ("compgen -W \"$(_tasker_tasks)\" -- \"$cur\"".into(), false),
            Offers::Files => ("compgen -f -- \"$cur\"".into(), true),
            Offers::Directories => ("compgen -d -- \"$cur\"".into(), true),
        };
        let mut names = names(option).join("|");
        if option.value_is_optional {
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
    let all: Vec<String> = listed().flat_map(names).collect();
    BASH.replace("VALUES", &cases)
        .replace("VALUED", &valued())
        .replace("OPTIONAL", &with_equals(&optional()))
        .replace("NAMES", &all.join(" "))
        .replace("AWK", AWK)
}

fn compgen_words(words: &str) -> String {
    format!("compgen -W '{words}' -- \"$cur\"")
}

/// The names of the built-in exec types.
fn exec_types() -> String {
    ExecTypes::built_in().names().collect::<Vec<_>>().join(" ")
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
    let options: String = listed()
        .map(|option| {
            let help = option.help.replace('\\', "\\\\").replace('[', "\\[");
            let help = help.replace(']', "\\]").replace('\'', "'\\''");
            let what = option.value.unwrap_or("");
            let value = match option.offers {
                _ if option.value.is_none() => String::new(),
                Offers::Nothing => format!(":{what}: "),
                Offers::Words(words) => {
                    format!(":{what}:({})", words.join(" ")).replace("last:", "last\\:")
                }
                Offers::ExecTypes => format!(":{what}:({})", exec_types()),
                Offers::Files => format!(":{what}:_files"),
                Offers::Directories => format!(":{what}:_files -/"),
                Offers::Tasks => format!(":{what}:_tasker_tasks"),
            };
            let optional = if option.value_is_optional { ":" } else { "" };
            let value = format!("{optional}{value}");
            let (plus, equals) = match option.value {
                Some(_) if option.value_is_optional => ("", "=-"),
                Some(_) => ("+", "="),
                None => ("", ""),
            };
            let long = option.long;
            // What may be given several times is not taken from the list.
            match option.short {
                Some(c) => format!(
                    "        '(-{c} --{long})'{{-{c}{plus},--{long}{equals}}}'[{help}]{value}' \\\n"
                ),
                None => {
                    let again = if option.adds_up { "*" } else { "" };
                    format!("        '{again}--{long}{equals}[{help}]{value}' \\\n")
                }
            }
        })
        .collect();
    ZSH.replace("OPTIONS", &options)
        .replace("VALUED", &valued())
        .replace("AWK", AWK)
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
    for option in listed() {
        let letter = option.short.map_or(String::new(), |c| format!(" -s {c}"));
        let value = match option.offers {
            _ if option.value.is_none() => String::new(),
            Offers::Words(words) if option.value_is_optional => {
                format!(" -a '{}'", words.join(" "))
            }
            _ if option.value_is_optional => String::new(),
            Offers::Nothing => " -x".into(),
            Offers::Words(words) => format!(" -x -a '{}'", words.join(" ")),
            Offers::ExecTypes => format!(" -x -a '{}'", exec_types()),
            Offers::Files => " -r -F".into(),
            Offers::Directories => " -x -a '(__fish_complete_directories)'".into(),
            Offers::Tasks => " -x -a '(__tasker_tasks)'".into(),
        };
        let help = option.help.replace('\\', "\\\\").replace('\'', "\\'");
        out.push_str(&format!(
            "complete -c tasker{letter} -l {}{value} -d '{help}'\n",
            option.long
        ));
    }
    out
}
