//! The rules of the project: what the sources may contain, which room imports which,
//! and that the man pages and the README match the program.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use support::neutral::{without_numbers, without_run_ids};
use support::{Ran, Sandbox};

/// The rooms, in the order in which data flows; each imports only those before it.
const ROOMS: [&str; 7] = ["text", "task", "plan", "run", "report", "cli", "session"];

/// What every room may import: words and numbers, nothing with behaviour.
const COMMON: [&str; 2] = ["exit", "outcome"];

const PAGES: [&str; 6] = [
    "man/tasker.1",
    "man/tasker-cookbook.7",
    "man/tasker-migration.7",
    "man/tasker-file.5",
    "man/tasker-json.5",
    "man/tasker.conf.5",
];

/// Files that may go without `#![forbid(unsafe_code)]`, and why.
const NOT_SEALED: [(&str, &str); 3] = [
    ("src/run/sys.rs", "holds all that is unsafe"),
    (
        "src/run/mod.rs",
        "declares sys, and a lint holds for what is inside",
    ),
    ("src/main.rs", "declares run; it denies instead"),
];

struct SourceFile {
    /// Relative to the project: `src/run/sys.rs`.
    name: String,
    /// Without comments.
    all: Vec<String>,
    /// Without comments and `#[cfg(test)]` modules.
    shipped: Vec<String>,
}

fn project(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(project(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Every source file below `src`.
fn sources() -> Vec<SourceFile> {
    let mut directories = vec!["src".to_string()];
    let mut found = Vec::new();
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(project(&directory))
            .expect("src")
            .flatten()
        {
            let name = format!("{directory}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                directories.push(name);
            } else if name.ends_with(".rs") {
                found.push(source(name));
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(found.len() > 10);
    found
}

fn source(name: String) -> SourceFile {
    let text = read(&name);
    // A file that is all tests is declared with `#[cfg(test)]` in its `mod.rs`.
    let declared = Path::new(&name).with_file_name("mod.rs");
    let module = Path::new(&name)
        .file_stem()
        .map_or("".into(), |s| s.to_string_lossy());
    let declaration = format!("#[cfg(test)]\nmod {module};");
    let all_tests = project("").join(&declared).exists()
        && read(&declared.display().to_string()).contains(&declaration);
    let comment = |line: &&str| line.trim_start().starts_with("//");
    let mut shipped = Vec::new();
    let mut in_tests = false;
    let shipped_text = if all_tests { "" } else { &text };
    let mut lines = shipped_text.lines().filter(|l| !comment(l)).peekable();
    while let Some(line) = lines.next() {
        // A module of tests ends at the first brace that is not indented.
        let follows = lines
            .peek()
            .is_some_and(|l| l.contains("mod ") && l.ends_with('{'));
        in_tests |= line == "#[cfg(test)]" && follows;
        if !in_tests {
            shipped.push(line.to_string());
        }
        in_tests &= line != "}";
    }
    SourceFile {
        name,
        all: text
            .lines()
            .filter(|l| !comment(l))
            .map(String::from)
            .collect(),
        shipped,
    }
}

/// The identifiers of a line.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|w| !w.is_empty())
}

#[track_caller]
fn none(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

#[test]
fn unsafe_code_is_in_one_file() {
    let mut found = Vec::new();
    for file in sources() {
        let sealed = file.all.iter().any(|l| l == "#![forbid(unsafe_code)]");
        if sealed == NOT_SEALED.iter().any(|(name, _)| *name == file.name) {
            found.push(format!("{}: sealed: {sealed}", file.name));
        }
        if file.name != "src/run/sys.rs" {
            let lines = file.all.iter().filter(|l| words(l).any(|w| w == "unsafe"));
            found.extend(lines.map(|l| format!("{}: {l}", file.name)));
        }
    }
    none("unsafe code outside its file", found);
}

/// What a task file asks for that does something is let out of `HeldBack` in one place.
#[test]
fn one_file_decides_that_a_task_file_is_accepted() {
    let mut found = Vec::new();
    let files = sources();
    let others = files
        .iter()
        .filter(|f| f.name != "src/session/acceptance.rs");
    for file in others {
        let lines = file.all.iter().filter(|l| l.contains("let_hold("));
        let lines = lines.filter(|l| !l.trim_start().starts_with("pub fn let_hold("));
        found.extend(lines.map(|l| format!("{}: {l}", file.name)));
    }
    none("files accepted elsewhere", found);
}

#[test]
fn every_unsafe_block_says_why_it_is_sound() {
    let text = read("src/run/sys.rs");
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let code = !line.trim_start().starts_with("//");
        if code && line.contains("unsafe {") {
            let before = &lines[index.saturating_sub(8)..=index];
            if !before.iter().any(|l| l.contains("SAFETY:")) {
                found.push(format!("src/run/sys.rs:{}: {line}", index + 1));
            }
        }
    }
    none("unsafe blocks without `// SAFETY:`", found);
}

#[test]
fn nothing_is_left_unfinished_and_nothing_panics_deliberately() {
    const NEVER: [&str; 3] = ["todo!", "unimplemented!", "dbg!"];
    const NOT_SHIPPED: [&str; 3] = [".unwrap()", ".expect(", "panic!("];
    let mut found = Vec::new();
    for file in sources() {
        let left = file
            .all
            .iter()
            .filter(|l| NEVER.iter().any(|w| l.contains(w)));
        let rash = file
            .shipped
            .iter()
            .filter(|l| NOT_SHIPPED.iter().any(|w| l.contains(w)));
        found.extend(left.chain(rash).map(|l| format!("{}: {l}", file.name)));
    }
    none("not fit to ship", found);
}

/// Every file and the files that it imports, both by name. What is not a file's own
/// is `src/main.rs`'s.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let files = sources();
    let names: BTreeSet<String> = files.iter().map(|f| f.name.clone()).collect();
    let mut graph = BTreeMap::new();
    for file in &files {
        let module = module_path(&file.name);
        let parent = module.split_last().map_or(&[][..], |(_, parent)| parent);
        let super_is = match file.name.ends_with("/mod.rs") {
            true => &module[..],
            false => parent,
        };
        let (all, shipped) = (file.all.join("\n"), file.shipped.join("\n"));
        let mut paths = paths_after(&all, "crate::", &[]);
        // In a module of tests `super` is the file itself.
        paths.extend(paths_after(&shipped, "super::", super_is));
        if declares_modules(&file.name) {
            let children = paths_after(&shipped, "use ", &module);
            let declared = |child: &str| shipped.contains(&format!("mod {child};"));
            paths.extend(children.into_iter().filter(|p| declared(&p[module.len()])));
        }
        let used = paths.iter().filter_map(|path| file_of(path, &names));
        let used = used.filter(|used| *used != file.name).collect();
        graph.insert(file.name.clone(), used);
    }
    graph
}

/// Files whose `use` lines can begin with one of their own modules.
fn declares_modules(name: &str) -> bool {
    name == "src/main.rs" || name.ends_with("/mod.rs")
}

/// `src/run/sys.rs` is `run::sys`, `src/run/mod.rs` is `run`, `src/main.rs` nothing.
fn module_path(name: &str) -> Vec<String> {
    let name = name["src/".len()..].trim_end_matches(".rs");
    let parts = name.split('/').filter(|p| *p != "mod" && *p != "main");
    parts.map(String::from).collect()
}

/// The file of the longest part of the path that is a module.
fn file_of(path: &[String], names: &BTreeSet<String>) -> Option<String> {
    for length in (1..=path.len()).rev() {
        let module = path[..length].join("/");
        let forms = [format!("src/{module}.rs"), format!("src/{module}/mod.rs")];
        if let Some(name) = forms.into_iter().find(|f| names.contains(f)) {
            return Some(name);
        }
    }
    Some("src/main.rs".into())
}

/// Every path in the text that follows `mark`, groups in braces taken apart.
fn paths_after(text: &str, mark: &str, base: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices(mark) {
        // The second of `super::super::` belongs to the first.
        if text[..at].ends_with("super::") || text[..at].ends_with(char::is_alphanumeric) {
            continue;
        }
        let mut rest = &text[at + mark.len()..];
        let mut base = base.to_vec();
        while let Some(further) = rest.strip_prefix("super::") {
            base.pop();
            rest = further;
        }
        group(&mut rest, &base, &mut found);
    }
    found
}

/// path := NAME { "::" NAME } [ "::" ( "{" path { "," path } "}" | "*" ) ]
fn group(rest: &mut &str, base: &[String], found: &mut Vec<Vec<String>>) {
    let mut path = base.to_vec();
    loop {
        *rest = rest.trim_start();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
        *rest = after;
        if !name.is_empty() {
            path.push(name.to_string());
        }
        if let Some(after) = rest.strip_prefix("::") {
            *rest = after;
            continue;
        }
        if let Some(after) = rest.strip_prefix('{').filter(|_| name.is_empty()) {
            *rest = after;
            while !rest.is_empty() {
                group(rest, &path, found);
                *rest = rest.trim_start();
                match rest.strip_prefix(',') {
                    Some(after) if !after.trim_start().starts_with('}') => *rest = after,
                    Some(after) => *rest = after.trim_start(),
                    None => {}
                }
                if let Some(after) = rest.strip_prefix('}') {
                    *rest = after;
                    break;
                }
            }
            return;
        }
        found.push(path);
        return;
    }
}

#[test]
fn a_room_imports_only_those_before_it() {
    let mut found = Vec::new();
    let room = |file: &str| {
        let first = module_path(file).into_iter().next().unwrap_or_default();
        let common = COMMON.contains(&first.as_str());
        match ROOMS.iter().position(|r| *r == first) {
            Some(place) => place + 1,
            None if common => 0,
            None => ROOMS.len() + 1,
        }
    };
    let graph = imports();
    for (file, imported) in &graph {
        let against = imported.iter().filter(|other| room(other) > room(file));
        found.extend(against.map(|other| format!("{file} imports {other}")));
    }
    none("imports against the order of the rooms", found);
    // The reader of imports has read them: of a group, over lines, by `super`.
    let knows = |file: &str, other: &str| graph[file].contains(other);
    assert!(knows("src/main.rs", "src/session/real_run.rs"));
    assert!(knows("src/cli/arguments.rs", "src/cli/options.rs"));
    assert!(knows(
        "src/session/real_run.rs",
        "src/session/journal_file.rs"
    ));
    let edges: usize = graph.values().map(BTreeSet::len).sum();
    assert!(edges > 500, "{edges}");
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let mut graph = imports();
    // A file that imports nothing which is left is in no circle.
    loop {
        let ends: BTreeSet<String> = graph
            .iter()
            .filter(|(_, imported)| imported.is_empty())
            .map(|(file, _)| file.clone())
            .collect();
        if ends.is_empty() {
            break;
        }
        graph.retain(|file, _| !ends.contains(file));
        graph
            .values_mut()
            .for_each(|i| i.retain(|f| !ends.contains(f)));
    }
    // Nor is one that nothing imports.
    loop {
        let imported: BTreeSet<String> = graph.values().flatten().cloned().collect();
        let before = graph.len();
        graph.retain(|file, _| imported.contains(file));
        if graph.len() == before {
            break;
        }
    }
    let lines = graph.iter().map(|(file, imported)| {
        let imported: Vec<&str> = imported.iter().map(String::as_str).collect();
        format!("{file} imports {}", imported.join(", "))
    });
    none("files in circles", lines.collect());
}

/// A name that is used twice, or that cannot be searched for, says too little.
#[test]
fn every_type_has_a_name_of_its_own_and_functions_can_be_searched_for() {
    const VAGUE: [&str; 8] = ["of", "text", "named", "how", "who", "told", "said", "word"];
    let mut types: BTreeMap<String, String> = BTreeMap::new();
    let mut found = Vec::new();
    for file in sources() {
        for line in &file.shipped {
            let mut words = words(line).skip_while(|w| ["pub", "super", "crate"].contains(w));
            match (words.next(), words.next()) {
                (Some("struct" | "enum" | "trait" | "union"), Some(name)) => {
                    if let Some(other) = types.insert(name.to_string(), file.name.clone()) {
                        found.push(format!("{name}: {other} and {}", file.name));
                    }
                }
                (Some("fn"), Some(name)) if VAGUE.contains(&name) => {
                    found.push(format!("{}: fn {name}", file.name));
                }
                _ => {}
            }
        }
    }
    assert!(types.len() > 150, "{}", types.len());
    none("names that are used twice or cannot be searched for", found);
}

#[test]
fn the_only_dependencies_are_lexopt_and_libc() {
    let manifest = read("Cargo.toml");
    let (mut section, mut found) = (String::new(), BTreeSet::new());
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line.to_string();
        } else if section.contains("dependencies") && !line.is_empty() && !line.starts_with('#') {
            found.insert(format!("{section} {}", words(line).next().unwrap_or("")));
        }
        assert!(
            !line.starts_with('[') || !line.contains("dependencies") || line == "[dependencies]",
            "{line}"
        );
    }
    assert_eq!(
        found,
        set(["[dependencies] lexopt", "[dependencies] libc"]),
        "Cargo.toml"
    );
    let locked = read("Cargo.lock");
    let locked = locked.lines().filter_map(|l| l.strip_prefix("name = "));
    assert_eq!(
        locked
            .map(|n| n.trim_matches('"').to_string())
            .collect::<BTreeSet<_>>(),
        set(["lexopt", "libc", "tasker"]),
        "Cargo.lock"
    );
}

fn set<const N: usize>(items: [&str; N]) -> BTreeSet<String> {
    items.into_iter().map(String::from).collect()
}

/// The lines of one section of a man page.
fn section(page: &str, heading: &str) -> Vec<String> {
    let text = read(page);
    let lines = text.lines().skip_while(|l| *l != format!(".Sh {heading}"));
    let lines: Vec<String> = lines
        .skip(1)
        .take_while(|l| !l.starts_with(".Sh "))
        .map(String::from)
        .collect();
    assert!(!lines.is_empty(), "{page} has no section {heading}");
    lines
}

#[test]
fn the_glossary_has_the_words_of_the_field() {
    let glossary = section("man/tasker-file.5", "GLOSSARY");
    let entries: Vec<&str> = glossary
        .iter()
        .filter_map(|l| l.strip_prefix(".It Em "))
        .collect();
    assert!((15..=20).contains(&entries.len()), "{entries:?}");
    let terms: BTreeSet<&str> = entries.iter().flat_map(|e| e.split(" , ")).collect();
    for term in [
        "task", "block", "member", "host", "attempt", "verdict", "outcome", "plan", "journal",
        "run", "resume",
    ] {
        assert!(terms.contains(term), "{term}: {terms:?}");
    }
}

#[test]
fn every_key_is_in_the_man_page_and_no_other() {
    let table = read("src/task/keys.rs");
    let quoted = |line: &str| Some(line.split_once("key(\"")?.1.split_once('"')?.0.to_string());
    let keys: BTreeSet<String> = table.lines().filter_map(quoted).collect();
    assert!(keys.len() > 30 && keys.contains("env."), "{keys:?}");
    let documented: BTreeSet<String> = section("man/tasker-file.5", "KEYS")
        .iter()
        .filter(|l| l.contains(" Ns = Ns "))
        .filter_map(|l| Some(l.strip_prefix(".It Cm ")?.split_once(' ')?.0.to_string()))
        .collect();
    assert_eq!(keys, documented);
}

/// The keys of `tasker.conf`, of the settings and of a section.
#[test]
fn every_key_of_the_configuration_is_in_its_page_and_no_other() {
    let source = read("src/plan/conf.rs");
    for (list, heading) in [("SETTINGS", "SETTINGS"), ("SECTION", "EXEC TYPES")] {
        let list = source
            .split_once(&format!("pub const {list}: &[&str] = &["))
            .and_then(|(_, rest)| Some(rest.split_once("];")?.0))
            .expect("the list of keys");
        let keys: BTreeSet<String> = words(list).map(String::from).collect();
        assert!(keys.len() > 5, "{keys:?}");
        let documented: BTreeSet<String> = section("man/tasker.conf.5", heading)
            .iter()
            .filter_map(|l| {
                let (key, rest) = l.strip_prefix(".It Cm ")?.split_once(' ')?;
                rest.starts_with("Ns = Ns ").then(|| key.to_string())
            })
            .collect();
        assert_eq!(keys, documented, "{heading}");
    }
}

/// The options of the help, as `-l --log-dir DIR`.
fn options_of_the_help() -> BTreeSet<String> {
    help()
        .lines()
        .filter_map(|line| {
            let line = line
                .strip_prefix("  ")
                .filter(|l| l.trim_start().starts_with('-'))?;
            let what = line.trim_start().split("  ").next()?;
            Some(what.replace(',', "").to_string())
        })
        .collect()
}

fn help() -> String {
    let ran = Sandbox::new().tasker(&["--help"]).output();
    Ran::from(ran.expect("tasker runs")).stdout
}

/// The same for the man page, and whether each is marked as not allowed in a file.
fn options_of_the_page() -> Vec<(String, bool)> {
    let lines = section("man/tasker.1", "OPTIONS");
    let items = lines.iter().filter_map(|l| l.strip_prefix(".It Fl "));
    items
        .map(|item| {
            let marked = item.ends_with(" Pq *");
            let item = item.trim_end_matches(" Pq *");
            let item = match item.split_once(" Ns Op = Ns Ar ") {
                Some((name, value)) => format!("{name}[={value}]"),
                None => item.to_string(),
            };
            let item = item.replace(" Ns = Ns Ar ", "=").replace(" , Fl ", " -");
            (format!("-{}", item.replace(" Ar ", " ")), marked)
        })
        .collect()
}

#[test]
fn every_option_is_in_the_man_page_and_no_other() {
    let help = options_of_the_help();
    assert!(help.contains("-l --log-dir DIR"), "{help:?}");
    let page: BTreeSet<String> = options_of_the_page().into_iter().map(|(o, _)| o).collect();
    assert_eq!(help, page);
}

/// Options of old files are not in the help, but are in the page and accepted.
#[test]
fn every_option_that_a_page_mentions_exists() {
    let help = help();
    for page in PAGES {
        let text = read(page);
        let mentioned: BTreeSet<&str> = text
            .lines()
            .flat_map(|l| l.match_indices("Fl -").map(|(at, _)| &l[at + 4..]))
            .filter_map(|l| l.split(' ').next())
            .filter(|l| *l != "skip" && *l != "opt")
            .collect();
        for option in mentioned {
            let old = option.starts_with("skip-") && is_accepted(&format!("--{option}"));
            assert!(
                help.contains(&format!("--{option} "))
                    || help.contains(&format!("--{option}["))
                    || old,
                "{page}: --{option}"
            );
        }
    }
    let table = read("src/cli/options.rs");
    let old = table.lines().filter_map(|l| {
        let l = l.trim().strip_prefix("flag(\"")?;
        Some(l.strip_suffix("\", \"\"),")?.to_string())
    });
    let page = read("man/tasker.1");
    for option in old {
        assert!(
            page.contains(&format!("Fl -{option}")),
            "man/tasker.1: --{option}"
        );
    }
}

fn is_accepted(option: &str) -> bool {
    let sandbox = Sandbox::new();
    sandbox.file("tasks.txt", "task=0\nreturn=0\n");
    let ran = sandbox.tasker(&[option, "tasks.txt"]).output();
    Ran::from(ran.expect("tasker runs")).code == 0
}

#[test]
fn options_not_allowed_in_a_file_are_marked() {
    let sandbox = Sandbox::new();
    for (option, marked) in options_of_the_page() {
        let long = option
            .split(' ')
            .find(|w| w.starts_with("--"))
            .expect("a long name");
        let name = long.split(['=', '[']).next().expect("a name");
        sandbox.file("tasks.txt", format!("{name}\ntask=0\nreturn=0\n"));
        let ran = sandbox.output(&["tasks.txt"]);
        let refused = ran.stderr.contains("is not allowed in a task file");
        assert_eq!(refused, marked, "{option}: {}", ran.stderr);
    }
}

#[test]
fn every_exit_code_is_written_down_and_no_other() {
    let number = |text: &str| {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        text[..digits].parse::<u32>().ok()
    };
    // By SIGHUP, SIGINT and SIGTERM: 128+n.
    let signals = [129, 130, 143];
    let table = read("src/exit.rs");
    let codes: BTreeSet<u32> = table
        .lines()
        .filter_map(|l| number(l.strip_prefix("pub const ")?.split_once(": i32 = ")?.1))
        .chain(signals)
        .collect();
    assert!(codes.len() > 12);
    let items = section("man/tasker.1", "EXIT STATUS");
    let page: BTreeSet<u32> = items
        .iter()
        .filter_map(|l| l.strip_prefix(".It "))
        .flat_map(|l| l.split(", ").filter_map(number))
        .collect();
    assert_eq!(codes, page, "man/tasker.1");
    let readme = read("README.md");
    let rows: BTreeSet<u32> = readme
        .lines()
        .skip_while(|l| *l != "## Exit codes")
        .filter_map(|l| l.strip_prefix("| ")?.split_once(" |"))
        .flat_map(|(l, _)| l.split(", ").filter_map(number))
        .collect();
    assert_eq!(codes, rows, "README.md");
}

#[test]
fn the_man_pages_are_clean() {
    let there = std::fs::read_dir(project("man")).expect("man").flatten();
    let there: BTreeSet<String> = there
        .map(|e| format!("man/{}", e.file_name().to_string_lossy()))
        .collect();
    assert_eq!(there, set(PAGES));
    for page in PAGES {
        let lint = Command::new("mandoc")
            .args(["-Tlint", "-Wwarning"])
            .arg(project(page))
            .output();
        match lint {
            Ok(lint) => {
                let lint = Ran::from(lint);
                assert_eq!((lint.code, lint.stdout.as_str()), (0, ""), "{page}");
            }
            Err(e) => eprintln!("{page} is not checked: mandoc cannot be run: {e}"),
        }
    }
}

/// The task files in the pages are valid without a warning; tasks that an example omits
/// are added.
#[test]
fn every_task_file_in_the_man_pages_is_valid() {
    for (page, least) in [
        ("man/tasker-file.5", 6),
        ("man/tasker-migration.7", 2),
        ("man/tasker-cookbook.7", 5),
    ] {
        let page = read(page).replace("\\(ga", "`").replace("\\e", "\\");
        let mut tried = 0;
        for example in page.split(".Bd -literal -offset indent\n").skip(1) {
            let example = example.split(".Ed\n").next().unwrap_or("");
            if example.contains("task=") {
                assert_valid(example);
                tried += 1;
            }
        }
        assert!(tried >= least);
    }
}

/// The configurations in their page are valid as they are, and each of their types
/// can be used; a task file there belongs to the section that it names.
#[test]
fn every_configuration_in_the_man_page_is_valid() {
    let page = read("man/tasker.conf.5");
    let examples = page
        .split(".Bd -literal -offset indent\n")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once(".Ed\n")?.0));
    let (files, configurations): (Vec<&str>, Vec<&str>) = examples
        .filter(|e| e.lines().any(|l| l.starts_with("exec=")))
        .partition(|e| e.contains("task="));
    let sandbox = Sandbox::new();
    let types = |text: &str| -> Vec<String> {
        let names = text.lines().filter_map(|l| l.strip_prefix("exec="));
        names.map(String::from).collect()
    };
    // It knows a way to every host.
    sandbox.program("bin/ssh", "#!/bin/sh\necho hostname 127.0.0.2\n");
    let mut tried = 0;
    for conf in configurations {
        // The engines need not be installed here.
        for line in conf.lines() {
            let words = line.strip_prefix("argv=").or(line.strip_prefix("script="));
            if let Some(program) = words.and_then(|w| w.split(' ').next()) {
                sandbox.program(&format!("bin/{program}"), "#!/bin/sh\n");
            }
        }
        for name in types(conf) {
            let mut tasks = vec![format!("task=0\nhostname=x\nexec={name}\ncommand=true\n")];
            let whole = files.iter().filter(|f| types(f).contains(&name));
            tasks.extend(whole.map(|f| f.to_string()));
            for text in tasks {
                sandbox.file("tasker.conf", conf);
                sandbox.file("tasks.txt", &text);
                let mut tasker = sandbox.tasker(&["--config", "tasker.conf", "tasks.txt"]);
                tasker.env(
                    "PATH",
                    format!("{}/bin:/usr/bin:/bin", sandbox.path.display()),
                );
                let ran = Ran::from(tasker.output().expect("tasker runs"));
                let result = (ran.code, ran.stderr.as_str());
                assert_eq!(result, (0, ""), "{conf}\n{text}\n{}", ran.stdout);
                tried += 1;
            }
        }
    }
    assert!(tried > 8, "{tried}");
    assert!(!files.is_empty());
}

/// The same for the README.
#[test]
fn every_task_file_in_the_readme_is_valid() {
    let readme = read("README.md");
    let mut tried = 0;
    for (number, example) in readme.split("```\n").enumerate() {
        if number % 2 == 1 && example.lines().any(|l| l.starts_with("task=")) {
            assert_valid(example);
            tried += 1;
        }
    }
    assert!(tried > 4);
}

/// The example is valid without a warning. One that omits tasks it refers to has no
/// other mistake, and with such tasks it is valid.
#[track_caller]
fn assert_valid(example: &str) {
    let sandbox = Sandbox::new();
    sandbox.file("hosts.txt", "web[001-200]\n");
    let check = |text: &str| {
        sandbox.file("tasks.txt", text);
        // Its hosts do not exist, nor do some of its programs.
        let mut tasker = sandbox.tasker(&["--skip-host-validation", "tasks.txt"]);
        tasker.env("DB_PASSWORD", "of the test");
        let path = format!("{}/bin:/usr/bin:/bin", sandbox.path.display());
        tasker.env("PATH", path);
        Ran::from(tasker.output().expect("tasker runs"))
    };
    for program in quoted_after(&check(example).stderr, "warning: the program `") {
        sandbox.program(&format!("bin/{program}"), "#!/bin/sh\n");
    }
    let ran = check(example);
    let missing = quoted_after(&ran.stderr, "there is no task `");
    let places = ran.stderr.lines().filter(|l| l.starts_with("tasks.txt:"));
    let mut others = places.filter(|l| missing.is_empty() || !l.contains("there is no task `"));
    assert_eq!(others.next(), None, "{example}\n{}", ran.stderr);
    let mut whole = example.to_string();
    for id in missing {
        whole += &format!("\ntask={id}\nexec=local\ncommand=true\n");
    }
    let ran = check(&whole);
    assert_eq!(ran.code, 0, "{whole}\n{}", ran.stderr);
}

/// The words in backquotes that follow this text.
fn quoted_after(text: &str, before: &str) -> BTreeSet<String> {
    let after = text.split(before).skip(1);
    let words = after.filter_map(|rest| Some(rest.split_once('`')?.0.to_string()));
    words.collect()
}

#[test]
fn the_readme_shows_what_is_printed() {
    let readme = read("README.md");
    let quick = read("tests/files/quick-start.txt");
    assert!(
        readme.contains(&format!("```\n{quick}```\n")),
        "the task file"
    );
    let sandbox = Sandbox::new();
    for file in ["quick-start.txt", "health-check.txt"] {
        sandbox.file(file, read(&format!("tests/files/{file}")));
    }
    let mistakes = "task=0\nexec=local\ncommand=true\ntimeuot=5s\nnext=success\non_failure=91\n";
    sandbox.file("deploy.txt", mistakes);
    for arguments in [
        &["-r", "quick-start.txt"][..],
        &["health-check.txt"],
        &["-q", "-r", "health-check.txt"],
        &["deploy.txt"],
    ] {
        let mut tasker = sandbox.tasker(arguments);
        if arguments[0] == "-q" {
            tasker.env("TASKER_TEST_ANSWER", "status: DOWN");
        }
        let ran = Ran::from(tasker.output().expect("tasker runs"));
        // Removed, so that the name of the next log has no number.
        let _ = std::fs::remove_dir_all(sandbox.path.join("TASKER"));
        let home = sandbox.path.display().to_string();
        // Findings come first, then the summary.
        let printed = format!("{}{}", ran.stderr, ran.stdout)
            .replace(&home, "/home/ann")
            .replace(env!("CARGO_BIN_EXE_tasker"), "/usr/local/bin/tasker")
            .replace("env TASKER_TEST_ANSWER='status: DOWN' ", "");
        let plain = |text: &str| without_numbers(&without_run_ids(text));
        assert!(
            plain(&readme).contains(&format!("```\n{}```\n", plain(&printed))),
            "{arguments:?}: {printed}"
        );
    }
}
