//! A command as a reader of the plan sees it, quoted for a shell.
#![forbid(unsafe_code)]

use super::exec::{Arg, ExecMethod, ExecType};
use super::payload::Payload;
use crate::task::host;
use crate::text::quote;
use crate::text::script::{Script, variable};
use crate::text::template::{Piece, Template};

/// The whole command line for `host`. References to results are left as written,
/// secrets are masked.
pub fn shown_command(exec: &ExecType, payload: &Payload, host: &str) -> String {
    let (of_command, of_arguments): (Vec<String>, Vec<String>) = match payload {
        Payload::Words { words, of_command } => {
            let own: Vec<String> = words.iter().map(shown_word).collect();
            (own[..*of_command].to_vec(), own[*of_command..].to_vec())
        }
        Payload::Script(script) => (vec![shown_script(exec, script)], Vec::new()),
    };
    let all = || [&of_command[..], &of_arguments[..]].concat().join(" ");
    match &exec.way {
        ExecMethod::Words | ExecMethod::Script => all(),
        ExecMethod::Ssh { options, .. } => {
            let words = shown_client(options, host);
            format!("{} {}", words.join(" "), all())
        }
        ExecMethod::Argv(args) => {
            let part = |arg: &Arg| match arg {
                Arg::Word(parts) => parts.iter().map(|p| p.as_deref().unwrap_or(host)).collect(),
                Arg::Command | Arg::Script => of_command.join(" "),
                Arg::Arguments => of_arguments.join(" "),
            };
            let shown: Vec<String> = args
                .iter()
                .map(part)
                .filter(|p: &String| !p.is_empty())
                .collect();
            shown.join(" ")
        }
    }
}

/// `ssh` with the options of the type, and the host as ssh takes it.
pub fn shown_client(options: &[String], host: &str) -> Vec<String> {
    let host = host::for_ssh(host);
    let words = options.iter().map(|word| quote::shell_word(word));
    let client = std::iter::once("ssh".to_string()).chain(words);
    client.chain([quote::shell_word(&host)]).collect()
}

/// The word, quoted unless only a reference seems to need it.
fn shown_word(word: &Template) -> String {
    let literal: String = word
        .pieces
        .iter()
        .filter(|p| !matches!(p, Piece::Reference { .. }))
        .map(|p| {
            Template {
                pieces: vec![p.clone()],
            }
            .shown(None)
        })
        .collect();
    let text = word.shown(None);
    if !text.is_empty()
        && (literal.is_empty() || quote::shell_word(&literal) == literal || word.has_secret())
    {
        text
    } else {
        quote::shell_word(&text)
    }
}

/// The values that the script uses and its text: after a shell's `-c` on this
/// machine, elsewhere as one word.
fn shown_script(exec: &ExecType, script: &Script) -> String {
    let values: String = script
        .values
        .iter()
        .enumerate()
        .map(|(i, v)| format!("{}={} ", variable(i + 1), v.shown(None)))
        .collect();
    let text = quote::shell_word(&script.text.shown(None));
    match exec.way {
        ExecMethod::Script => format!("{values}/bin/bash -c {text}"),
        _ => format!("{values}{text}"),
    }
}
