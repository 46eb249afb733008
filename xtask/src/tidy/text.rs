//! Rules about any text: sizes, and words that mean something only where they were written.

use super::Violation;
use super::files::Source;

const LINES_MAX: usize = 600;
const LINES_WARNED: usize = 400;

/// Beginnings of paths that exist on one machine only. Spelled in two, so that this file keeps its own rule.
const MACHINE_PATHS: &[&str] = &[
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
    concat!("/tmp/tar", "get"),
];

/// Holds a text file to the rules.
pub(super) fn check(source: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    found.extend(size(source));
    found.extend(lints(source));
    for (number, line) in (1..).zip(source.text.lines()) {
        if let Some(path) = MACHINE_PATHS.iter().find(|path| begins_in(line, path)) {
            let reason = format!("`{path}…` exists on one machine only; name it relative, or by a variable");
            found.push(Violation::new(&source.path, number, reason));
        }
        if names_an_issue(line) {
            let reason = "a tracker's number says nothing to a reader; say the reason itself";
            found.push(Violation::new(&source.path, number, reason));
        }
    }
    found
}

/// Whether a path begins so somewhere in the line; `./home/a` and `$X/home/a` begin otherwise.
fn begins_in(line: &str, path: &str) -> bool {
    let goes_on = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | '*' | '~');
    line.match_indices(path).any(|(at, _)| !line[..at].ends_with(goes_on))
}

fn size(source: &Source) -> Option<Violation> {
    let lines = source.text.lines().count();
    let say = |max: usize| format!("{lines} lines, over {max}: split it by responsibility");
    if !source.is_rust() || lines <= LINES_WARNED {
        None
    } else if lines <= LINES_MAX {
        Some(Violation::warning(&source.path, LINES_WARNED, say(LINES_WARNED)))
    } else {
        Some(Violation::new(&source.path, LINES_MAX, say(LINES_MAX)))
    }
}

/// Every crate takes the workspace's lints, or it would have none.
fn lints(source: &Source) -> Option<Violation> {
    if source.krate().is_none() || !source.path.ends_with("/Cargo.toml") {
        return None;
    }
    let mut section = "";
    for line in source.text.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        } else if section == "[lints]" && line.replace(' ', "") == "workspace=true" {
            return None;
        }
    }
    Some(Violation::new(
        &source.path,
        1,
        "write `[lints]` with `workspace = true`: a crate without it has no lints",
    ))
}

/// With a number for N: `issue N`, `issue #N`, `issues/N`, `(#N)`. Another project's, as in `eventing#N`, is a source
/// and stays.
fn names_an_issue(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    let number_follows =
        |rest: &str| rest.trim_start_matches([' ', '#', '/']).starts_with(|c: char| c.is_ascii_digit());
    let issue = |at: usize| {
        let rest = &line[at + "issue".len()..];
        let rest = rest.strip_prefix('s').unwrap_or(rest);
        rest.starts_with([' ', '#', '/']) && number_follows(rest)
    };
    line.match_indices("issue").any(|(at, _)| issue(at))
        || line.match_indices("(#").any(|(at, _)| number_follows(&line[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons(path: &str, text: &str) -> Vec<String> {
        check(&Source::new(path, text)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn long_files_are_warned_of_and_then_refused() {
        assert_eq!(reasons("crates/a/src/b.rs", &"\n".repeat(400)), Vec::<String>::new());
        let warned = reasons("crates/a/src/b.rs", &"\n".repeat(401));
        assert!(warned[0].contains("warning: 401 lines"), "{warned:?}");
        let refused = reasons("crates/a/src/b.rs", &"\n".repeat(601));
        assert!(refused[0].contains(":600: 601 lines"), "{refused:?}");
        assert_eq!(reasons("docs/long.md", &"\n".repeat(601)), Vec::<String>::new());
    }

    #[test]
    fn a_crate_without_the_lints_is_found() {
        let with = "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n";
        assert_eq!(reasons("crates/a/Cargo.toml", with), Vec::<String>::new());
        assert_eq!(reasons("crates/a/Cargo.toml", "[package]\nworkspace = true\n\n[lints]\n").len(), 1);
        assert_eq!(reasons("Cargo.toml", "[workspace]\n"), Vec::<String>::new());
    }

    #[test]
    fn machine_paths_are_found() {
        let path = format!("/ho{}/someone/data", "me");
        assert_eq!(reasons("docs/a.md", &format!("fine\nsee {path}\n")).len(), 1);
        assert_eq!(reasons("docs/a.md", "see ./home/data and $HOME/data"), Vec::<String>::new());
    }

    #[test]
    fn numbers_of_a_tracker_are_found() {
        // With the number put in here, since this file keeps its own rule.
        for bad in ["see issue N", "Issue #N", "tracker/issues/N", "fixed (#N)"] {
            let line = bad.replace('N', "12");
            assert!(names_an_issue(&line), "{line}");
        }
        for fine in ["an issue with two sides", "eventing#9278", "reissued 3 times", "issuer 5"] {
            assert!(!names_an_issue(fine), "{fine}");
        }
    }
}
