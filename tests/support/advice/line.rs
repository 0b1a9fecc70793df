//! The command line that tasker tells the user to type.

/// The last command line in the text that goes on with a run or begins it anew: what
/// follows a colon.
pub fn advised(text: &str) -> Option<String> {
    let mut lines = text.lines().rev();
    lines.find_map(|line| {
        let starts = line.match_indices(": ").map(|(at, _)| at + 2);
        starts
            .map(|at| &line[at..])
            .find(|rest| is_command(rest))
            .map(str::to_string)
    })
}

fn is_command(text: &str) -> bool {
    let call = text
        .strip_prefix("cd ")
        .and_then(|rest| rest.split_once(" && "))
        .map_or(text, |(_, call)| call);
    let is_before = |word: &&str| *word == "env" || word.contains('=');
    let mut words = call.split(' ').skip_while(is_before);
    let program = words.next().unwrap_or_default();
    let is_tasker = program == "sudo" || program.trim_end_matches('\'').ends_with("tasker");
    is_tasker && words.any(|word| word == "-r")
}
