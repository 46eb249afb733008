//! Where mutants are built: a copy of the workspace below the target directory, so that neither the clone nor its build
//! products are touched. Always the same place, so that only what a mutant changes is built anew.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::run::{cargo, output, say};
use crate::test::target_directory;

/// What the workspace is made of, and what its programs take in as they are built.
const FILES: [&str; 2] = ["Cargo.toml", "Cargo.lock"];
const DIRECTORIES: [&str; 5] = ["benches", "crates", "docs/errors", "tests", "xtask"];

/// A change of a source file: a text that stands exactly once in it, and what stands there instead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edit {
    pub(crate) file: &'static str,
    pub(crate) find: &'static str,
    pub(crate) replace: &'static str,
}

/// What is built.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program {
    pub(crate) package: &'static str,
    pub(crate) binary: &'static str,
    /// Arguments of `cargo build` that choose features.
    pub(crate) features: &'static [&'static str],
}

/// Held by one command at a time.
#[derive(Debug)]
pub(crate) struct Workshop {
    root: PathBuf,
    copy: PathBuf,
    target: PathBuf,
    _lock: File,
}

impl Edit {
    /// The file's text with the change in it.
    pub(crate) fn apply(&self, text: &str) -> Result<String> {
        match text.matches(self.find).count() {
            1 => Ok(text.replacen(self.find, self.replace, 1)),
            count => bail!("no longer applies: its text stands {count} times in {}", self.file),
        }
    }

    /// For a test of every list of mutants: what is wrong with this one.
    #[cfg(test)]
    pub(crate) fn fault(&self, root: &Path) -> Option<String> {
        let text = match fs::read_to_string(root.join(self.file)) {
            Ok(text) => text,
            Err(error) => return Some(format!("{} cannot be read: {error}", self.file)),
        };
        match self.apply(&text) {
            Ok(mutated) => (mutated == text).then(|| "changes nothing".to_owned()),
            Err(error) => Some(error.to_string()),
        }
    }
}

impl Workshop {
    /// Waits while another command has it.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        let place = target_directory(root)?.join("mutants");
        fs::create_dir_all(&place).with_context(|| format!("{} cannot be created", place.display()))?;
        let lock = File::create(place.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                say("waiting for another command that builds mutants");
                lock.lock()?;
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let (copy, target) = (place.join("workspace"), place.join("target"));
        Ok(Self { root: root.to_owned(), copy, target, _lock: lock })
    }

    /// The program with this change in it, or as it is.
    pub(crate) fn build(&self, program: &Program, edit: Option<&Edit>) -> Result<PathBuf> {
        self.lay_out(edit)?;
        output(
            cargo(&self.copy)
                .args(["build", "--quiet", "--locked", "--offline", "--profile", "mutants"])
                .args(["-p", program.package, "--bin", program.binary])
                .args(program.features)
                .env("CARGO_TARGET_DIR", &self.target)
                // Who builds a project but once turns this off; here a line changes, time and again.
                .env("CARGO_INCREMENTAL", "1")
                // A mutant may leave something unused behind.
                .env("RUSTFLAGS", "--cap-lints allow"),
        )?;
        Ok(self.target.join("mutants").join(program.binary))
    }

    fn lay_out(&self, edit: Option<&Edit>) -> Result<()> {
        for name in FILES {
            self.copy_file(Path::new(name), edit)?;
        }
        for name in DIRECTORIES {
            self.copy_directory(Path::new(name), edit)?;
        }
        Ok(())
    }

    fn copy_directory(&self, name: &Path, edit: Option<&Edit>) -> Result<()> {
        let from = self.root.join(name);
        let mut names: BTreeSet<OsString> = BTreeSet::new();
        for entry in fs::read_dir(&from).with_context(|| format!("{} cannot be read", from.display()))? {
            let entry = entry?;
            let path = name.join(entry.file_name());
            names.insert(entry.file_name());
            if entry.file_type()?.is_dir() {
                self.copy_directory(&path, edit)?;
            } else {
                self.copy_file(&path, edit)?;
            }
        }
        // A crate that is gone would be a member still.
        for entry in fs::read_dir(self.copy.join(name)).into_iter().flatten() {
            let entry = entry?;
            if !names.contains(&entry.file_name()) {
                let gone = entry.path();
                if entry.file_type()?.is_dir() { fs::remove_dir_all(gone)? } else { fs::remove_file(gone)? }
            }
        }
        Ok(())
    }

    fn copy_file(&self, name: &Path, edit: Option<&Edit>) -> Result<()> {
        let from = self.root.join(name);
        let text = fs::read(&from).with_context(|| format!("{} cannot be read", from.display()))?;
        match edit {
            Some(edit) if Path::new(edit.file) == name => {
                let text = String::from_utf8(text).context("source is UTF-8")?;
                write(&self.copy.join(name), edit.apply(&text)?.as_bytes())
            }
            _ => write(&self.copy.join(name), &text),
        }
    }
}

/// Writes only what differs: cargo builds anew what has a new time.
fn write(path: &Path, text: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    let shown = || format!("{} cannot be written", path.display());
    fs::create_dir_all(path.parent().unwrap_or(path)).with_context(shown)?;
    fs::write(path, text).with_context(shown)
}
