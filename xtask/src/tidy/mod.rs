//! `cargo xtask tidy`: the house rules that no compiler knows.

mod arrows;
mod code;
mod files;
mod pages;
mod text;
mod uses;

use std::fmt;
use std::path::Path;

use anyhow::Result;

use crate::run::say;

/// A broken rule, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    file: String,
    /// From 1.
    line: usize,
    /// What is wrong, and what to do instead.
    reason: String,
    /// Worth a look, but no failure.
    warning: bool,
}

impl Violation {
    fn new(file: &str, line: usize, reason: impl Into<String>) -> Self {
        Self { file: file.into(), line, reason: reason.into(), warning: false }
    }

    fn warning(file: &str, line: usize, reason: impl Into<String>) -> Self {
        Self { warning: true, ..Self::new(file, line, reason) }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let warning = if self.warning { "warning: " } else { "" };
        write!(f, "{}:{}: {warning}{}", self.file, self.line, self.reason)
    }
}

/// Whether every rule holds. All violations are printed.
pub(crate) fn run(root: &Path) -> Result<bool> {
    let sources = files::all(root)?;
    let mut found = arrows::check(root, &sources)?;
    for source in &sources {
        found.extend(text::check(source));
        found.extend(uses::check(source));
    }
    found.extend(pages::check(&sources));
    found.sort();
    for violation in &found {
        say(&violation.to_string());
    }
    let broken = found.iter().filter(|violation| !violation.warning).count();
    say(&match broken {
        0 => format!("tidy: {} files keep the house rules", sources.len()),
        1 => "tidy: 1 rule is broken".into(),
        n => format!("tidy: {n} rules are broken"),
    });
    Ok(broken == 0)
}
