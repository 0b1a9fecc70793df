//! Puts data into shell scripts as variables, so that it never becomes syntax
//! (SPEC §2.4).
//!
//! The script is the author's text. Each reference to a result in it is replaced by
//! a shell variable, quoted for its context: `"${V}"` in plain text, `${V}` inside
//! double quotes, `'"${V}"'` inside single quotes. To know the context, and where bash
//! would evaluate what a variable holds, the script is read as bash reads it.
//!
//! Rejected: inserting the quoted data into the text. One mistake in the reader
//! would then execute the data; with a variable it is split at worst.
#![forbid(unsafe_code)]

use super::bash::carried::Guard;
use super::bash::checker::{ScriptChecker, ScriptFinding, ScriptSetting, ScriptShell};
use super::bash::reader::{Quoting, ScriptReader, Unreadable, is_number};
use super::bash::tree::{PartKind, ShellPart, ShellWord};
use super::diagnostic::SyntaxError;
use super::source::Span;
use super::template::{Piece, Symbol, Template, symbols};

/// A script for `sh -c` and the values of the variables it uses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    /// The author's text, with variables in place of data.
    pub text: Template,
    /// The value of `TASKER_VALUE_1`, `TASKER_VALUE_2`, ….
    pub values: Vec<Template>,
    /// The words that contain references.
    pub words: Vec<ScriptWord>,
    /// What to warn of.
    pub warnings: Vec<ScriptFinding>,
    /// What the results must be checked for, where the shell does arithmetic with them.
    pub guard: Guard,
    /// Why only bash may run it.
    pub bash_only: Option<ScriptFinding>,
}

/// A word of a script, to see what is left of it when a result is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScriptWord {
    /// Without its quotes and without `*` and `?`.
    pub text: Template,
    /// The pieces that only the shell knows and that can be empty, such as `${NAME}`
    /// and `$(...)`, by their index.
    pub unknown: Vec<usize>,
    /// The shell makes several words of it (`{a,b}`).
    pub expands: bool,
}

/// The name of a shell variable, numbered from 1.
pub fn variable(number: usize) -> String {
    format!("TASKER_VALUE_{number}")
}

/// Turns a value into a script.
///
/// # Errors
/// A quote that is never closed, or a result where the shell would evaluate it.
pub fn scan(value: &Template, setting: &ScriptSetting) -> Result<Script, SyntaxError> {
    let symbols: Vec<Symbol> = symbols(value).collect();
    let mut reader = ScriptReader::new(&symbols);
    let commands = reader.script();
    // A number cannot become code.
    let is_more =
        |symbol: &Symbol| is_data(symbol) && !matches!(symbol, Symbol::Atom(p) if is_number(p));
    let has_data = symbols.iter().any(is_more);
    let follows = has_data || setting.stdin || !setting.environment.is_empty();
    let mut script = Script {
        words: reader
            .words
            .iter()
            .filter_map(|word| script_word(word, &symbols))
            .collect(),
        ..Script::default()
    };
    match commands {
        Ok(commands) if follows => {
            let mut checker = ScriptChecker::new(&symbols, &reader.documents, setting, has_data);
            checker.check(&commands);
            if let Some(refused) = checker.findings.iter().find(|f| f.refused) {
                return Err(
                    SyntaxError::new(refused.at, refused.message.clone()).with_help(refused.help)
                );
            }
            script.guard = checker.guard;
            script.warnings = checker.findings;
            if setting.shell != ScriptShell::Bash {
                script.bash_only = other_reading(&symbols, setting, &script, &reader.quoting);
            }
        }
        Ok(_) => {}
        Err(error) if error.open || error.value.is_some() => return Err(unreadable(error)),
        Err(error) if follows => {
            return Err(SyntaxError::new(error.at, error.message).with_help(
                "a result is used in this script, so that it must be one that the checker can read",
            ));
        }
        Err(_) => {}
    }
    let mut quoting = vec![None; symbols.len()];
    for (symbol, how) in &reader.quoting {
        quoting[*symbol] = Some(*how);
    }
    for (symbol, how) in symbols.iter().zip(quoting) {
        script.add(symbol, how)?;
    }
    Ok(script)
}

/// What other shells than bash would make of results in the script: the first thing that
/// bash does not. Some of bash's syntax is other syntax to them; `(( $n > 5 ))` runs `$n`.
fn other_reading(
    symbols: &[Symbol],
    setting: &ScriptSetting,
    script: &Script,
    quoting: &[(usize, Quoting)],
) -> Option<ScriptFinding> {
    let mut reader = ScriptReader::new(symbols);
    reader.portable = true;
    let unlike = |at, message| ScriptFinding {
        at,
        message,
        help: "",
        refused: true,
    };
    let commands = match reader.script() {
        Ok(commands) => commands,
        Err(error) => return Some(unlike(error.at, error.message)),
    };
    let is_text =
        |symbol: usize| !matches!(symbols.get(symbol), Some(Symbol::Atom(p)) if is_number(p));
    let other = quoting
        .iter()
        .find(|pair| is_text(pair.0) && !reader.quoting.contains(pair));
    if let Some(Symbol::Atom(piece)) = other.and_then(|(symbol, _)| symbols.get(*symbol)) {
        return Some(unlike(
            piece.at(),
            "a result is quoted otherwise there".into(),
        ));
    }
    let has_data = symbols.iter().any(is_data);
    let mut checker = ScriptChecker::new(symbols, &reader.documents, setting, has_data);
    checker.portable = true;
    checker.check(&commands);
    let mut found = checker.findings.into_iter();
    found.find(|finding| !script.warnings.contains(finding))
}

fn unreadable(error: Unreadable) -> SyntaxError {
    let Some(what) = error.value else {
        return SyntaxError::new(error.at, error.message);
    };
    let message = format!("a value cannot be used inside {what}; the shell would read it as code");
    SyntaxError::new(error.at, message).with_help(match what {
        "backquotes" => "use `$(...)` instead of the backquotes",
        _ => "",
    })
}

fn is_data(symbol: &Symbol) -> bool {
    match symbol {
        Symbol::Atom(Piece::Reference { to, .. }) => to.is_data(),
        Symbol::Atom(_) => true,
        Symbol::Char { .. } => false,
    }
}

impl Script {
    /// Adds a symbol of the author's text, with a variable in place of data.
    fn add(&mut self, symbol: &Symbol, how: Option<Quoting>) -> Result<(), SyntaxError> {
        let piece = match symbol {
            Symbol::Char { c, at, secret, .. } => {
                if how == Some(Quoting::Escaped) {
                    self.text.push_char('\\', *at, *secret);
                }
                self.text.push_char(*c, *at, *secret);
                return Ok(());
            }
            Symbol::Atom(piece) => *piece,
        };
        let at = piece.at();
        if !is_data(symbol) {
            self.text.pieces.push(piece.clone());
            return Ok(());
        }
        let name = variable(self.number_of(piece));
        let text = match how {
            Some(Quoting::Double | Quoting::Bare | Quoting::Comment) => format!("${{{name}}}"),
            // `x-` and a negative number would be `x--`.
            Some(Quoting::Arithmetic) if self.text.ends_with('-') => format!(" ${{{name}}}"),
            Some(Quoting::Arithmetic) => format!("${{{name}}}"),
            Some(Quoting::Single) => format!("'\"${{{name}}}\"'"),
            Some(Quoting::Unquoted) => format!("\"${{{name}}}\""),
            Some(Quoting::Escaped) | None => {
                let message = "a value cannot be used here; the checker does not know what the shell makes of it";
                return Err(SyntaxError::new(at, message));
            }
        };
        self.text.push_text(&text, at, false);
        Ok(())
    }

    fn number_of(&mut self, piece: &Piece) -> usize {
        let key = |piece: &Piece| match piece {
            Piece::Reference { to, default, .. } => Some((*to, default.clone())),
            _ => None,
        };
        let wanted = key(piece);
        let same =
            |value: &Template| wanted.is_some() && value.pieces.first().and_then(key) == wanted;
        if let Some(found) = self.values.iter().position(same) {
            return found + 1;
        }
        self.values.push(Template {
            pieces: vec![piece.clone()],
        });
        self.values.len()
    }
}

/// What is left of a word when a result is empty; `None` for one without references.
fn script_word(word: &ShellWord, symbols: &[Symbol]) -> Option<ScriptWord> {
    let mut found = ScriptWord::default();
    let mut has_brace = false;
    for part in &word.parts {
        let (at, secret) = (part.at, part.secret);
        match &part.kind {
            PartKind::Value(symbol) => {
                if let Some(Symbol::Atom(piece)) = symbols.get(*symbol) {
                    found.text.pieces.push((*piece).clone());
                }
            }
            PartKind::Text(text) => {
                for c in text
                    .chars()
                    .filter(|c| part.quoted || !matches!(c, '*' | '?'))
                {
                    found.push_char(c, at, secret);
                    has_brace |= !part.quoted && c == '{';
                    found.expands |= !part.quoted && has_brace && c == ',';
                }
            }
            PartKind::AnsiC(text) if text.is_empty() => {}
            PartKind::AnsiC(_) => found.push_piece("$'...'", at, secret),
            PartKind::Arithmetic(_) => found.push_piece("$((...))", at, secret),
            _ => found.push_shell_part(part),
        }
    }
    found.text.depends_on_run().then_some(found)
}

impl ScriptWord {
    fn push_char(&mut self, c: char, at: Span, secret: bool) {
        match self.ends_unknown() {
            true => self.push_piece(&c.to_string(), at, secret),
            false => self.text.push_char(c, at, secret),
        }
    }

    /// Adds what only the shell knows, as it is shown.
    fn push_shell_part(&mut self, part: &ShellPart) {
        let shown = match &part.kind {
            PartKind::Parameter(parameter) => {
                let name = &parameter.name;
                if matches!(name.as_str(), "?" | "#" | "$") || parameter.length {
                    return self.push_piece(&format!("${name}"), part.at, part.secret);
                }
                let more = !parameter.operator.is_empty() || parameter.subscript.is_some();
                match parameter.braces {
                    true if more => format!("${{{name}{}...}}", parameter.operator),
                    true => format!("${{{name}}}"),
                    false => format!("${name}"),
                }
            }
            _ => "$(...)".into(),
        };
        self.push_piece(&shown, part.at, part.secret);
        self.unknown.push(self.text.pieces.len() - 1);
    }

    fn ends_unknown(&self) -> bool {
        (self.unknown.last()).is_some_and(|last| last + 1 == self.text.pieces.len())
    }

    fn push_piece(&mut self, text: &str, at: Span, secret: bool) {
        self.text.pieces.push(Piece::Text {
            text: text.into(),
            at,
            direct: false,
            secret,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::chance::Chance;
    use crate::text::template::{WrittenReference, parse};

    fn scanned(line: &str) -> Result<String, String> {
        let mut resolve = |WrittenReference { name, at, .. }: WrittenReference| match name {
            "TEXT" => vec![Piece::of_global("a; b", at)],
            _ => vec![Piece::data(b"data", at)],
        };
        let value = parse(line, Span::new(0, 0, line.len()), &mut resolve);
        let script = scan(&value, &ScriptSetting::default()).map_err(|e| e.message)?;
        Ok(script
            .text
            .known_text()
            .unwrap_or_default()
            .replace("TASKER_VALUE_", "V"))
    }

    fn ok(line: &str, expected: &str) {
        assert_eq!(scanned(line), Ok(expected.to_string()), "{line}");
    }

    #[test]
    fn data_is_quoted_for_its_context() {
        ok("echo @D@", "echo \"${V1}\"");
        ok("echo \"x @D@ y\"", "echo \"x ${V1} y\"");
        ok("echo 'x @D@ y'", "echo 'x '\"${V1}\"' y'");
        ok("echo $(cat @D@)", "echo $(cat \"${V1}\")");
        ok("echo \"$(cat @D@) @D@\"", "echo \"$(cat \"${V1}\") ${V2}\"");
        ok(
            "echo \"$(echo '@D@' \"@D@\")\"",
            "echo \"$(echo ''\"${V1}\"'' \"${V2}\")\"",
        );
        ok("a \\\"@D@\\\"", "a \\\"\"${V1}\"\\\"");
        ok(
            "cat <(echo @D@) <<< @D@",
            "cat <(echo \"${V1}\") <<< \"${V2}\"",
        );
        ok("echo a#@D@", "echo a#\"${V1}\"");
        ok("x=${y:-'}'} @D@", "x=${y:-'}'} \"${V1}\"");
        ok("echo $((1+(2)*3)) @D@", "echo $((1+(2)*3)) \"${V1}\"");
        ok(
            "if ((1 > 0)); then echo @D@; fi",
            "if ((1 > 0)); then echo \"${V1}\"; fi",
        );
    }

    #[test]
    fn a_global_stays_text() {
        ok("@TEXT@", "a; b");
    }

    #[test]
    fn case_patterns_do_not_close_a_substitution() {
        ok(
            "echo \"$(case x in a) echo @D@;; (b) @D@;; esac) @D@\"",
            "echo \"$(case x in a) echo \"${V1}\";; (b) \"${V2}\";; esac) ${V3}\"",
        );
        ok(
            "echo case \"$(echo case) @D@\"",
            "echo case \"$(echo case) ${V1}\"",
        );
        ok("(cd x; echo @D@) | cat", "(cd x; echo \"${V1}\") | cat");
    }

    #[test]
    fn unsafe_contexts_are_refused() {
        for line in [
            "echo `cat @D@`",
            "echo $'a@D@'",
            "echo $((@D@ + 1))",
            "((@D@ > 1))",
            "echo $[@D@]",
            "echo ${x:-@D@}",
            "echo \"${x:-@D@}\"",
            "cat <<'X'\n@D@",
            "echo \"`cat @D@`\"",
        ] {
            assert!(
                scanned(line).is_err_and(|e| e.contains("cannot be used inside")),
                "{line}: {:?}",
                scanned(line)
            );
        }
    }

    #[test]
    fn a_dollar_or_backslash_before_data_is_itself() {
        ok("echo $@D@ \"$@D@\"", "echo \\$\"${V1}\" \"\\$${V2}\"");
        ok("echo \\@D@ \"\\@D@\"", "echo \\\\\"${V1}\" \"\\\\${V2}\"");
        ok("echo '$@D@\\'", "echo '$'\"${V1}\"'\\'");
    }

    #[test]
    fn hidden_arithmetic_is_refused() {
        for line in [
            "[[ @D@ -eq 0 ]]",
            "if [[ 1 -lt \"@D@\" ]]; then x; fi",
            "[[ a = b && ( @D@ -gt 1 ) ]]",
            "[[ -v @D@ ]]",
            "[ -v @D@ ]",
            "let x=@D@",
            "let \"x = @D@\"",
            "x=1 && test -v '@D@'",
            "[[ 1 -eq @D@ ]]",
            "a[@D@]=1",
            "x=1 a[@D@]=1",
            "if true; then a[\"@D@\"]=1; fi",
            "a=([@D@]=1)",
            "for ((i = 0; i < @D@; i++)); do x; done",
            "for((i = 0; i < @D@; i++)); do x; done",
            "if((@D@)); then x; fi",
        ] {
            assert!(
                scanned(line).is_err_and(|e| e.contains("cannot be used")),
                "{line}: {:?}",
                scanned(line)
            );
        }
        ok("[ @D@ -eq 0 ]", "[ \"${V1}\" -eq 0 ]");
        ok(
            "[[ @D@ = x ]]; [ 1 -eq @D@ ]",
            "[[ \"${V1}\" = x ]]; [ 1 -eq \"${V2}\" ]",
        );
        ok(
            "[[ $(wc -l <@D@) -eq 1 ]]",
            "[[ $(wc -l <\"${V1}\") -eq 1 ]]",
        );
        ok("[ -f x ]; grep -v @D@", "[ -f x ]; grep -v \"${V1}\"");
        ok("echo a[@D@]", "echo a[\"${V1}\"]");
        ok(
            "a=(@D@ b); f() { echo @D@; }",
            "a=(\"${V1}\" b); f() { echo \"${V2}\"; }",
        );
    }

    #[test]
    fn a_here_document_takes_data_for_a_program_that_reads_data() {
        ok(
            "cat <<E\nx @D@ y\nE\necho @D@",
            "cat <<E\nx ${V1} y\nE\necho \"${V2}\"",
        );
        ok(
            "cat <<-E\n\t\"@D@\" $@D@\n\tE",
            "cat <<-E\n\t\"${V1}\" \\$${V2}\n\tE",
        );
        ok(
            "cat > f <<A; cat <<B\n@D@\nA\n@D@\nB",
            "cat > f <<A; cat <<B\n${V1}\nA\n${V2}\nB",
        );
        for line in [
            "bash <<E\necho @D@\nE",
            "python3 <<E\nprint(@D@)\nE",
            "cat <<E | sh\necho @D@\nE",
            "ssh web01 <<E\necho @D@\nE",
            "cat <<E\n$((@D@))\nE",
            "cat <<E\n$(let n=@D@)\nE",
            "read n <<E; x=$(cat <<'F'\n@D@\nE\n@D@\nF\n)",
            "cat <<@D@\nx",
        ] {
            assert!(scanned(line).is_err(), "{line}: {:?}", scanned(line));
        }
    }

    #[test]
    fn a_shell_on_another_host_can_evaluate_in_brackets() {
        let remote = ScriptSetting {
            shell: ScriptShell::Any,
            sh: ScriptShell::Any,
            ..ScriptSetting::default()
        };
        let mut resolve =
            |WrittenReference { at, .. }: WrittenReference| vec![Piece::data(b"data", at)];
        let line = "[ \"@D@\" -gt 5 ]";
        let value = parse(line, Span::new(0, 0, line.len()), &mut resolve);
        assert!(scan(&value, &remote).is_err());
        assert!(scan(&value, &ScriptSetting::default()).is_ok());
        // A number is one, wherever it stands.
        let mut number =
            |WrittenReference { at, .. }: WrittenReference| vec![Piece::data(b"-42", at)];
        let line = "[ \"@D@\" -gt 5 ]; echo $((@D@ + 1)) ${s:0:@D@} ${a[@D@]}; let n=@D@";
        let value = parse(line, Span::new(0, 0, line.len()), &mut number);
        let script =
            scan(&value, &remote).map(|s| s.text.known_text().unwrap_or_default().into_owned());
        let text = script.unwrap_or_else(|e| e.message);
        assert!(
            text.contains("$((${TASKER_VALUE_2} + 1)) ${s:0:${TASKER_VALUE_3}}"),
            "{text}"
        );
    }

    /// Whether only bash may run the line.
    fn is_for_bash(line: &str, shell: ScriptShell) -> bool {
        let setting = ScriptSetting {
            shell,
            sh: shell,
            ..ScriptSetting::default()
        };
        let mut resolve =
            |WrittenReference { at, .. }: WrittenReference| vec![Piece::data(b"data", at)];
        let value = parse(line, Span::new(0, 0, line.len()), &mut resolve);
        match scan(&value, &setting) {
            Ok(script) => script.bash_only.is_some(),
            Err(error) => panic!("{line}: {}", error.message),
        }
    }

    #[test]
    fn what_other_shells_read_otherwise_is_for_bash_only() {
        for line in [
            "n=@D@; (( $n > 0 ))",
            "n=@D@; if (($n)); then x; fi",
            "f() { (( $1 > 0 )); }; f @D@",
            "n=@D@; while (( 1 && $n )); do x; done",
            "n=@D@; x=$( (( $n )) )",
            "n=@D@; [[ -z $n || $n ]]",
            "n=@D@; [[ -n $n && \"$n\" == x ]]",
            "n=@D@; [[ x > $n ]]",
            "n=@D@; [[ $n =~ a|b ]]",
            "n=@D@; export x=$n",
            "f() { local x=$1; }; f @D@",
            "readonly x=$(echo @D@)",
            "echo $'it\\'s' @D@ 'x'",
            "n=@D@; eval $'n\\n'",
            "n=@D@; echo \"${x:-'}'; $n }\"",
            "n=@D@; trap '(( $n ))' EXIT",
            "echo x &> out @D@",
            "n=@D@; true &>> out $n",
            "n=@D@; x=$[ $n + 1 ]",
            "n=@D@; a[ 1 || $n ]=1",
        ] {
            for shell in [ScriptShell::Posix, ScriptShell::Any] {
                assert!(is_for_bash(line, shell), "{line}");
            }
            assert!(!is_for_bash(line, ScriptShell::Bash), "{line}");
        }
        for line in [
            "echo @D@; i=1; ((i < 3)); (( $i > 1 ))",
            "n=@D@; [[ $n == x* ]]; [[ -n $n ]] && echo \"$n\"",
            "n=@D@; export x=\"$n\" y; export x=$((1 + 2))",
            "f() { local x; x=$1; }; f @D@",
            "n=@D@; IFS=$'\\n'; echo $n $\"x\"",
            "a=(@D@ b); f() { echo \"${a[0]}\"; }; cat <<< @D@",
            "function f { echo \"$1\"; }; f @D@ &> out",
        ] {
            assert!(!is_for_bash(line, ScriptShell::Posix), "{line}");
        }
    }

    #[test]
    fn the_shell_of_a_script_in_a_script_counts() {
        let refused = |line: &str, sh| {
            let setting = ScriptSetting {
                sh,
                ..ScriptSetting::default()
            };
            let mut resolve =
                |WrittenReference { at, .. }: WrittenReference| vec![Piece::data(b"data", at)];
            let value = parse(line, Span::new(0, 0, line.len()), &mut resolve);
            scan(&value, &setting).map_or(true, |script| script.guard.needed)
        };
        for line in [
            "sh -c '(( $1 > 0 ))' _ @D@",
            "sudo -n sh -c 'f() { local x=$1; }; f \"$1\"' _ @D@",
            "/bin/dash -c '[[ -n $1 && $1 ]]' _ @D@",
            "mksh -c '[ \"$1\" -gt 5 ]' _ @D@",
            "ksh -c 'shift \"$1\"' _ @D@",
        ] {
            assert!(refused(line, ScriptShell::Posix), "{line}");
        }
        for line in [
            "busybox sh -c '(( $1 > 0 ))' _ @D@",
            "export n=@D@; su bob -c '(( $n > 0 ))'",
            "docker exec web sh -c '(( $1 > 0 ))' _ @D@",
            "chroot / sh -c '[ \"$1\" -gt 5 ]' _ @D@",
        ] {
            assert!(refused(line, ScriptShell::Bash), "{line}");
        }
        let line = "sh -c '[ \"$1\" -gt 5 ]' _ @D@";
        assert!(refused(line, ScriptShell::Any));
        assert!(!refused(line, ScriptShell::Posix));
        assert!(!refused(
            "bash -c 'f() { local x=$1; }; f \"$1\"' _ @D@",
            ScriptShell::Any
        ));
    }

    #[test]
    fn what_ksh_evaluates_is_checked_for_any_shell() {
        for line in [
            "n=@D@; [ \"$n\" -gt 5 ]",
            "n=@D@; o=-gt; [ \"$n\" $o 5 ]",
            "n=@D@; shift \"$n\"",
            "n=@D@; ulimit -n \"$n\"",
            "n=@D@; integer x; x=\"$n\"",
            "n=@D@; COLUMNS=$n",
            "n=@D@; set -A x -- \"$n\"; echo $((x))",
        ] {
            let mut resolve =
                |WrittenReference { at, .. }: WrittenReference| vec![Piece::data(b"data", at)];
            let value = parse(line, Span::new(0, 0, line.len()), &mut resolve);
            for (shell, expected) in [(ScriptShell::Any, true), (ScriptShell::Posix, false)] {
                let setting = ScriptSetting {
                    shell,
                    ..ScriptSetting::default()
                };
                let evaluates = scan(&value, &setting).map(|script| script.guard.needed);
                let other = line.contains("$((x))");
                assert!(
                    evaluates.as_ref().is_ok_and(|e| *e == expected || other),
                    "{line}: {evaluates:?}"
                );
            }
        }
    }

    fn number_scanned(line: &str) -> Result<String, String> {
        let mut resolve =
            |WrittenReference { at, .. }: WrittenReference| vec![Piece::data(b"-5", at)];
        let value = parse(line, Span::new(0, 0, line.len()), &mut resolve);
        let script = scan(&value, &ScriptSetting::default()).map_err(|e| e.message)?;
        let text = script.text.known_text().unwrap_or_default();
        Ok(text.replace("TASKER_VALUE_", "V"))
    }

    #[test]
    fn a_negative_number_is_no_decrement() {
        for (line, expected) in [
            ("echo $((x-@D@))", "echo $((x- ${V1}))"),
            ("echo $((x - @D@))", "echo $((x - ${V1}))"),
            ("echo $((10#@D@))", "echo $((10#${V1}))"),
            ("a[n-@D@]=1", "a[n- ${V1}]=1"),
            ("echo ${s:n-@D@}", "echo ${s:n- ${V1}}"),
            ("echo ${s:-@D@}", "echo ${s:-${V1}}"),
        ] {
            assert_eq!(number_scanned(line).as_deref(), Ok(expected), "{line}");
        }
    }

    #[test]
    fn what_bash_reads_in_another_way_is_refused() {
        for line in [
            "(( 1' )) '1 )); echo @D@",
            "echo $((1 + '1')) @D@",
            "echo $[1 + '1'] @D@",
            "(( $'1' )); echo @D@",
            "{a[n]}<f cat @D@",
            "x+() { :; }; echo @D@",
            "function a*b { :; }; echo @D@",
            "a=([n + 0]=x); echo @D@",
            "a=([b[n] + 0]=x); echo @D@",
            "echo ${x:-<(ls)} @D@",
            "[[ x == @(<(ls)) ]]; echo @D@",
            "[[ x =~ <(ls) ]]; echo @D@",
            "a[<(ls)]=1; echo @D@",
            "echo $'\\cx' @D@",
            "echo $'\\0' @D@",
            "@(ls) @D@",
            "n=@D@; x=$(cat <<'E'\na[$(eval \"$n\")]\nE\n); ((x))",
            "n=@D@; x=$(sed 1p <<E\na[\\$(eval \"\\$n\")]\nE\n); ((x))",
        ] {
            assert!(scanned(line).is_err(), "{line}: {:?}", scanned(line));
        }
        for line in [
            "((echo 'a'; echo b) | cat); echo @D@",
            "echo $((echo 'a'; echo b) | cat) @D@",
            "echo \"${m['a b']}\" @D@",
            "{a[1]}<f cat @D@",
            "exec {fd}<f; echo @D@",
            "echo {a,b}>f @D@",
            "my-f.x:y() { :; }; echo @D@",
            "a=([0]=x [1+2]=y \"[n + 0]=z\"); echo @D@",
            "true &>f; true & echo @D@",
            "[[ $x =~ ^(a|b)$ ]]; echo @D@",
            "echo $'a\\x41\\n\\'' @D@",
            "cat <<E 3</dev/null\n@D@\nE",
        ] {
            assert!(scanned(line).is_ok(), "{line}: {:?}", scanned(line));
        }
    }

    #[test]
    fn what_is_in_brackets_is_read_once() {
        for (before, after) in [
            ("echo $((", ") )"),
            ("((", "; ) )"),
            ("a[$(", ")]"),
            ("echo $(( $(", ") + 1 ))"),
        ] {
            let line = format!("{}ls{}; echo @D@", before.repeat(30), after.repeat(30));
            let _ = scanned(&line);
            let line = format!("{}ls{}; echo @D@", before.repeat(300), after.repeat(300));
            let found = scanned(&line);
            assert!(
                found.is_err_and(|e| e.contains("nested too deeply")),
                "{line}"
            );
        }
    }

    #[test]
    fn open_quotes_are_found() {
        for line in [
            "echo 'a",
            "echo \"a",
            "echo $(a",
            "echo ${a",
            "echo $((1)",
            "echo `a",
        ] {
            assert!(
                scanned(line).is_err_and(|e| e.contains("never closed")),
                "{line}: {:?}",
                scanned(line)
            );
        }
        assert!(scanned("echo it\\'s # it's").is_ok());
    }

    #[test]
    fn any_script_is_refused_or_holds_no_data() {
        let mut chance = Chance::new(3);
        let pieces = [
            "echo ",
            "@D@",
            "a",
            "$(",
            "((",
            "[[ ",
            " -eq ",
            "]]",
            "let ",
            "case x in ",
            "esac",
            "for i in ",
            "; do ",
            "done",
            "x[",
            "]=",
            "=(",
            "<<E\n",
            "\nE\n",
            "$'",
            "$\"",
            "\\",
        ];
        for _ in 0..5000 {
            let line = chance.text(&pieces, 15);
            match scanned(&line) {
                Ok(text) => assert!(!text.contains("data"), "{text:?} from {line:?}"),
                Err(message) => assert!(!message.is_empty(), "{line:?}"),
            }
        }
    }
}
