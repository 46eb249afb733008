//! Every error code has a page in `docs/errors`, which `postrider explain` prints, and every page a code.

use std::collections::BTreeMap;

use super::files::Source;
use super::{Violation, code};

const PAGES: &str = "docs/errors/";

pub(super) fn check(sources: &[Source]) -> Vec<Violation> {
    let mut codes: BTreeMap<String, (&str, usize)> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.is_rust() && !source.is_test()) {
        for (code, line) in codes_of(source) {
            codes.entry(code).or_insert((&source.path, line));
        }
    }
    let mut found = Vec::new();
    for (code, (file, line)) in &codes {
        if !sources.iter().any(|source| source.path == format!("{PAGES}{code}.md")) {
            let reason = format!(
                "error code `{code}` has no page: write {PAGES}{code}.md (what it means, why, what to do)"
            );
            found.push(Violation::new(file, *line, reason));
        }
    }
    for page in sources.iter().filter(|source| source.path.starts_with(PAGES)) {
        let Some(code) = page.path[PAGES.len()..].strip_suffix(".md").filter(|code| *code != "README") else {
            continue;
        };
        if !codes.contains_key(code) && !is_spelled_out(sources, code) {
            found.push(Violation::new(
                &page.path,
                1,
                format!("no error has the code `{code}`: remove the page, or use it"),
            ));
        }
        if page.text.lines().next().is_none_or(|title| !title.contains(code)) {
            found.push(Violation::new(
                &page.path,
                1,
                format!("the first line of a page names its code: `# {code}`"),
            ));
        }
    }
    found
}

/// Codes are what the arms of a function give whose name says `code`, or of a `Code`'s `as_str`; and the entries of a
/// table, `code(507, "log_full", …)`.
fn codes_of(source: &Source) -> Vec<(String, usize)> {
    let blanked = code::only(&source.text);
    let has_code_enum = !code::lines_with(&blanked, "enum Code").is_empty();
    let mut found = Vec::new();
    let mut gives_codes = false;
    for ((number, line), shape) in (1..).zip(source.text.lines()).zip(blanked.lines()) {
        if let Some(name) = function_name(shape) {
            let says_code = name.split('_').any(|word| word == "code");
            let gives_text = shape.contains("'static str") || shape.contains("Option<&");
            gives_codes = gives_text && (says_code || (has_code_enum && name == "as_str"));
        }
        if gives_codes
            && shape.contains("=>")
            && let Some(word) = line.split("=>").nth(1).and_then(|arm| arm.split('"').nth(1))
            && is_code(word)
        {
            found.push((word.to_owned(), number));
        }
        if let Some(word) = table_entry(line).filter(|_| shape.trim_start().starts_with("code(")) {
            found.push((word.to_owned(), number));
        }
    }
    found
}

fn table_entry(line: &str) -> Option<&str> {
    let (status, rest) = line.trim_start().strip_prefix("code(")?.split_once(',')?;
    status.parse::<u16>().ok()?;
    rest.split('"').nth(1).filter(|word| is_code(word))
}

fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let visible = before.chars().next_back().is_none_or(char::is_whitespace);
    visible.then(|| after.split(['(', '<']).next().unwrap_or_default())
}

fn is_code(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    word.starts_with(|c: char| c.is_ascii_lowercase()) && word.chars().all(plain)
}

/// Whether some code of ours holds this string.
fn is_spelled_out(sources: &[Source], code: &str) -> bool {
    let literal = format!("\"{code}\"");
    let ours = |source: &&Source| source.is_rust() && source.path.starts_with("crates/") && !source.is_test();
    sources.iter().filter(ours).any(|source| source.text.contains(&literal))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODES: &str = "impl Problem {\n    fn code(&self) -> &'static str {\n        match self {\n            \
        Self::Full => \"log_full\",\n            Self::Other => unreachable(),\n        }\n    }\n    \
        fn title(&self) -> &'static str {\n        match self { Self::Full => \"full\" }\n    }\n}\n";

    fn reasons(page: Option<(&str, &str)>) -> Vec<String> {
        let mut sources = vec![Source::new("crates/api/src/problem.rs", CODES)];
        sources.extend(page.map(|(path, text)| Source::new(path, text)));
        check(&sources).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_code_without_a_page_is_found() {
        let found = reasons(None);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with("crates/api/src/problem.rs:4: error code `log_full` has no page"),
            "{found:?}"
        );
        assert_eq!(reasons(Some(("docs/errors/log_full.md", "# log_full\n"))), Vec::<String>::new());
    }

    #[test]
    fn a_page_without_a_code_or_a_title_is_found() {
        assert_eq!(reasons(Some(("docs/errors/log_full.md", "# The log is full\n"))).len(), 1);
        assert_eq!(reasons(Some(("docs/errors/gone.md", "# gone\n"))).len(), 2);
    }

    #[test]
    fn codes_of_a_table_are_found() {
        let table = "const CODES: &[Code] = &[\n    code(507, \"log_full\", \"The log is full\"),\n    // code(1, \"x\")\n];\n";
        assert_eq!(codes_of(&Source::new("crates/api/src/codes.rs", table)), [("log_full".to_owned(), 2)]);
    }

    #[test]
    fn codes_of_an_enum_are_found() {
        let source = Source::new(
            "crates/config/src/error.rs",
            "enum Code { A }\nimpl Code {\n  const fn as_str(self) -> &'static str {\n    match self { Self::A =>\n\
             \"x\",\n      Self::B => \"config_syntax\",\n    }\n  }\n}\n",
        );
        assert_eq!(codes_of(&source), [("config_syntax".to_owned(), 6)]);
    }
}
