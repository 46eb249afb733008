//! The files that the rules are about.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// A text file of ours.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// Relative to the workspace, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

/// Directories that hold files of ours; the root's own files are added.
const DIRECTORIES: &[&str] =
    &[".cargo", ".ci", "benches", "config", "crates", "deploy", "docs", "fuzz", "tests", "xtask"];
/// Names of directories that hold what is made, not written.
const MADE: &[&str] = &["target", "data", "node_modules"];
const EXTENSIONS: &[&str] = &["rs", "toml", "md", "yaml", "yml", "json", "sh", "tf", "go"];

impl Source {
    #[cfg(test)]
    pub(super) fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    pub(super) fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == "rs")
    }

    /// The directory of the crate that it belongs to: `engine`, `tests`, `xtask`.
    pub(super) fn krate(&self) -> Option<&str> {
        match self.path.split('/').collect::<Vec<_>>().as_slice() {
            ["crates", name, _, ..] => Some(name),
            ["tests", name @ ("brokers" | "simulation" | "torture"), _, ..] => Some(name),
            [name @ ("tests" | "xtask" | "benches"), _, ..] => Some(name),
            _ => None,
        }
    }

    /// Whether it is only ever built for tests: below a `tests` directory, or a module named `tests` or `…_tests`.
    pub(super) fn is_test(&self) -> bool {
        let (directories, file) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        let stem = file.strip_suffix(".rs").unwrap_or(file);
        directories.split('/').any(|name| name == "tests") || stem == "tests" || stem.ends_with("_tests")
    }
}

/// Every text file of ours, sorted by path.
pub(super) fn all(root: &Path) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for name in DIRECTORIES {
        walk(root, &root.join(name), &mut sources)?;
    }
    for entry in fs::read_dir(root).with_context(|| format!("{} cannot be read", root.display()))? {
        let path = entry?.path();
        if path.is_file() {
            read(root, &path, &mut sources)?;
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(sources)
}

fn walk(root: &Path, directory: &Path, into: &mut Vec<Source>) -> Result<()> {
    let Ok(entries) = fs::read_dir(directory) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        let made = path.file_name().is_some_and(|name| MADE.iter().any(|made| name == *made));
        if path.is_dir() && !path.is_symlink() {
            // A crate may well have a module named `data`; only what lies beside its sources is made.
            if !made || path.parent().is_some_and(|parent| parent.ends_with("src")) {
                walk(root, &path, into)?;
            }
        } else {
            read(root, &path, into)?;
        }
    }
    Ok(())
}

fn read(root: &Path, path: &Path, into: &mut Vec<Source>) -> Result<()> {
    let relative = path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/");
    let wanted = match path.extension() {
        Some(extension) => EXTENSIONS.iter().any(|known| extension == *known),
        None => relative == ".ci/run",
    };
    if wanted
        && let Ok(text) =
            String::from_utf8(fs::read(path).with_context(|| format!("{relative} cannot be read"))?)
    {
        into.push(Source { path: relative, text });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_know_their_crate_and_whether_they_are_tests() {
        let of = |path: &str| {
            let source = Source::new(path, "");
            (source.krate().map(str::to_owned), source.is_test())
        };
        assert_eq!(of("crates/engine/src/lanes.rs"), (Some("engine".into()), false));
        assert_eq!(of("crates/engine/src/lanes/tests.rs"), (Some("engine".into()), true));
        assert_eq!(of("crates/log/tests/torn_tail.rs"), (Some("log".into()), true));
        assert_eq!(of("tests/src/lib.rs"), (Some("tests".into()), true));
        assert_eq!(of("README.md"), (None, false));
    }
}
