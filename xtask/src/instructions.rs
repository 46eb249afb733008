//! `cargo xtask instructions`: builds what instructions are counted in and what counts them, and hands over.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::machine;
use crate::run::{cargo, output, say_aside};
use crate::test::target_directory;

const BUDGET: &str = "benches/instructions.json";

/// Whether events take no more than the budget allows.
pub(crate) fn run(root: &Path, update: bool, profile_out: Option<PathBuf>) -> Result<bool> {
    machine::setup_counting()?;
    say_aside("building; the first time takes minutes");
    // With the features of the whole workspace, as the tests are, so that nothing is compiled for this alone.
    let bench = ["--workspace", "--exclude", "postrider-tests", "--bin", "postrider-bench"];
    output(cargo(root).args(["build", "--locked"]).args(bench))?;
    let postrider = ["--package", "postrider", "--no-default-features", "--features", "embedded"];
    output(cargo(root).args(["build", "--locked", "--profile", "counted"]).args(postrider))?;
    let target = target_directory(root)?;
    let mut count = Command::new(target.join("debug").join("postrider-bench"));
    count
        .args(["instructions", "--budget", BUDGET, "--rustc", &rustc()?])
        .current_dir(root)
        .stdin(Stdio::null());
    count.env("POSTRIDER_BIN", target.join("counted").join("postrider"));
    if update {
        count.arg("--update");
    }
    if let Some(directory) = profile_out {
        // It is meant from where we were started.
        count.arg("--profile-out").arg(std::path::absolute(directory)?);
    }
    Ok(count.status().context("the count cannot be started")?.success())
}

/// The compiler's version without its patch level, for that changes no code.
fn rustc() -> Result<String> {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let told = String::from_utf8(output(Command::new(compiler).arg("--version"))?)?;
    minor(&told).with_context(|| format!("rustc says of itself {told:?}"))
}

/// `1.95` of `rustc 1.95.0 (…)`.
fn minor(told: &str) -> Option<String> {
    let mut numbers = told.strip_prefix("rustc ")?.split('.');
    Some(format!("{}.{}", numbers.next()?, numbers.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_is_known_by_its_minor_version() {
        assert_eq!(minor("rustc 1.95.0 (59807616e 2026-04-14)\n").as_deref(), Some("1.95"));
        assert_eq!(minor("gcc 12"), None);
    }
}
