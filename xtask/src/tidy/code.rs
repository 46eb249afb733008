//! Rust text without what is not code, so that a rule about code is not broken by a comment or a message.

/// The text with comments, string and character literals blanked out, and without `#[cfg(test)]` modules at its end.
/// Lines stay where they are.
pub(super) fn only(text: &str) -> String {
    let code = blank(text);
    match code.find("#[cfg(test)]\nmod ") {
        Some(at) => code[..at].to_owned(),
        None => code,
    }
}

/// The text with comments, string and character literals blanked out.
pub(super) fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (taken, is_code) = token(rest, out.chars().next_back());
        let taken = if taken == 0 { first.len_utf8() } else { taken };
        if is_code {
            out.push_str(&rest[..taken]);
        } else {
            out.extend(rest[..taken].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        }
        rest = &rest[taken..];
    }
    out
}

/// The length of the comment or literal that the text begins with (false), or else of one character of code (true).
fn token(text: &str, before: Option<char>) -> (usize, bool) {
    let to_end = |end: Option<usize>| (end.unwrap_or(text.len()), false);
    if text.starts_with("//") {
        return to_end(text.find('\n'));
    }
    if text.starts_with("/*") {
        return to_end(block_comment(text));
    }
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if !in_word && let Some(hashes) = raw_string(text) {
        let close = format!("\"{}", "#".repeat(hashes.1));
        return to_end(text[hashes.0..].find(&close).map(|at| hashes.0 + at + close.len()));
    }
    if text.starts_with('"') {
        return to_end(quoted(text, '"'));
    }
    // A lifetime is no character: 'a' is one, 'a is none.
    if text.starts_with('\'') {
        let mut chars = text.chars().skip(1);
        let is_char = matches!((chars.next(), chars.next()), (Some('\\'), _) | (Some(_), Some('\'')));
        if is_char {
            return to_end(quoted(text, '\''));
        }
    }
    (text.chars().next().map_or(0, char::len_utf8), true)
}

fn block_comment(text: &str) -> Option<usize> {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if text[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += text[at..].chars().next()?.len_utf8();
        }
    }
    None
}

/// Where the content of a raw string begins, and how many hashes it has.
fn raw_string(text: &str) -> Option<(usize, usize)> {
    let after_b = text.strip_prefix('b').or_else(|| text.strip_prefix('c')).unwrap_or(text);
    let after_r = after_b.strip_prefix('r')?;
    let hashes = after_r.len() - after_r.trim_start_matches('#').len();
    after_r[hashes..].starts_with('"').then(|| (text.len() - after_r.len() + hashes + 1, hashes))
}

fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return Some(at + c.len_utf8());
        }
    }
    None
}

/// The numbers (from 1) of the lines on which the word stands, as a whole word or path.
pub(super) fn lines_with(code: &str, word: &str) -> Vec<usize> {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, _) in code.match_indices(word) {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        let ends_in_word = word.chars().next_back().is_some_and(part_of_word);
        if before.is_some_and(part_of_word) || (ends_in_word && after.is_some_and(part_of_word)) {
            continue;
        }
        found.push(code[..at].matches('\n').count() + 1);
    }
    found
}

/// The lines on which a module of a crate is named, as `std::fs` or within `use std::{fs, io}`.
pub(super) fn lines_naming(code: &str, krate: &str, module: &str) -> Vec<usize> {
    let mut found = lines_with(code, &format!("{krate}::{module}"));
    for (at, opening) in code.match_indices(&format!("{krate}::{{")) {
        let start = at + opening.len();
        let group = &code[start..start + group_length(&code[start..])];
        let line = code[..start].matches('\n').count();
        found.extend(top_level(group, module).map(|within| line + within));
    }
    found
}

/// The length of what stands before the brace that closes a group.
fn group_length(text: &str) -> usize {
    let mut depth = 1;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// The lines (from 1) of a use group on which the name stands at its top level.
fn top_level<'a>(group: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    let mut depth = 0;
    let mut at = 0;
    let mut entries = Vec::new();
    for entry in group.split(',') {
        if depth == 0 {
            let words = entry.trim_start();
            let first = words.split([':', ' ', '{', '}', '\n']).next().unwrap_or_default();
            if first == name {
                entries.push(group[..at + entry.len() - words.len()].matches('\n').count() + 1);
            }
        }
        depth += entry.matches('{').count();
        depth -= entry.matches('}').count().min(depth);
        at += entry.len() + 1;
    }
    entries.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_no_code() {
        let text = r##"let a = "std::fs"; // std::fs
/* std::fs /* nested */ std::fs */ let b = r#"std::fs "quoted" "#;
let c = '"'; let d: &'static str = b"\"std::fs"; std::fs::read(c);
"##;
        let code = blank(text);
        assert_eq!(lines_with(&code, "std::fs"), [3]);
        assert_eq!(code.matches('\n').count(), text.matches('\n').count());
        assert!(code.contains("&'static str"), "{code}");
    }

    #[test]
    fn test_modules_are_cut_off() {
        assert_eq!(only("fn a() {}\n#[cfg(test)]\nmod tests { std::fs }\n"), "fn a() {}\n");
    }

    #[test]
    fn words_are_whole() {
        assert_eq!(lines_with("Instant::now()\nmy_Instant::now()\nInstant::nowhere()", "Instant::now"), [1]);
        assert_eq!(lines_with("todo!()\nmy_todo!()", "todo!("), [1]);
    }

    #[test]
    fn modules_are_found_in_use_groups() {
        let code = "use std::{\n    fs::File,\n    io::{self, fs_like},\n};\nuse std::{io, net};\nstd::fs::read();\n";
        assert_eq!(lines_naming(code, "std", "fs"), [6, 2]);
        assert_eq!(lines_naming(code, "std", "net"), [5]);
        assert_eq!(lines_naming(code, "std", "process"), Vec::<usize>::new());
    }
}
