//! Where mutants are built: a copy of the few crates that the simulation needs, below the target directory, so that
//! neither the clone nor its build products are touched. Always the same place, so that only what a mutant changes is
//! built anew.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::BINARY;
use super::mutants::{Kind, Mutant};
use crate::run::{cargo, output};
use crate::test::target_directory;

/// What the simulation is made of.
const CRATES: [&str; 6] = [
    "crates/broker",
    "crates/engine",
    "crates/event",
    "crates/publish",
    "crates/telemetry",
    "tests/simulation",
];

pub(super) struct Workshop {
    root: PathBuf,
    copy: PathBuf,
    target: PathBuf,
}

impl Workshop {
    pub(super) fn open(root: &Path) -> Result<Self> {
        let place = target_directory(root)?.join("mutants");
        Ok(Self { root: root.to_owned(), copy: place.join("workspace"), target: place.join("target") })
    }

    /// The simulation with this mutant in it.
    pub(super) fn build(&self, mutant: &Mutant) -> Result<PathBuf> {
        self.lay_out(mutant)?;
        let built = output(
            cargo(&self.copy)
                .args(["build", "--quiet", "--offline", "--profile", "mutants", "-p", "postrider-simulation"])
                .env("CARGO_TARGET_DIR", &self.target)
                // Who builds a project but once turns this off; here a line changes, seventy times.
                .env("CARGO_INCREMENTAL", "1")
                // A mutant may leave something unused behind.
                .env("RUSTFLAGS", "--cap-lints allow"),
        );
        built.with_context(|| format!("the mutant {} does not build", mutant.name))?;
        Ok(self.target.join("mutants").join(BINARY))
    }

    fn lay_out(&self, mutant: &Mutant) -> Result<()> {
        let manifest = fs::read_to_string(self.root.join("Cargo.toml"))?;
        write(&self.copy.join("Cargo.toml"), manifest_of(&manifest).as_bytes())?;
        let lock = self.copy.join("Cargo.lock");
        if !lock.exists() {
            fs::copy(self.root.join("Cargo.lock"), lock)?;
        }
        for name in CRATES {
            self.copy_crate(Path::new(name), mutant)?;
        }
        Ok(())
    }

    fn copy_crate(&self, name: &Path, mutant: &Mutant) -> Result<()> {
        let from = self.root.join(name);
        for entry in fs::read_dir(&from).with_context(|| format!("{} cannot be read", from.display()))? {
            let entry = entry?;
            let path = name.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                self.copy_crate(&path, mutant)?;
                continue;
            }
            let text = fs::read(self.root.join(&path))?;
            match mutant.kind {
                Kind::Source { file, .. } if Path::new(file) == path => {
                    let text = String::from_utf8(text).context("source is UTF-8")?;
                    write(&self.copy.join(&path), mutant.apply(&text)?.as_bytes())?;
                }
                _ => write(&self.copy.join(&path), &text)?,
            }
        }
        Ok(())
    }
}

/// The workspace's manifest with no other members.
fn manifest_of(manifest: &str) -> String {
    let members = CRATES.map(|name| format!("{name:?}")).join(", ");
    let lines = manifest.lines().filter(|line| !line.starts_with("default-members = "));
    let lines = lines.map(|line| match line.starts_with("members = ") {
        true => format!("members = [{members}]"),
        false => line.to_owned(),
    });
    lines.map(|line| line + "\n").collect()
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
