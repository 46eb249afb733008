//! `cargo xtask torture`: builds what tortures the log, for release, and hands over.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::run::{cargo, output, say_aside};
use crate::test::target_directory;

/// Whether nothing was lost.
pub(crate) fn run(root: &Path, cycles: u64, seed: Option<u64>, directory: Option<&Path>) -> Result<bool> {
    say_aside("building for release");
    output(cargo(root).args(["build", "--release", "--quiet", "--locked", "-p", "postrider-torture"]))?;
    let built = target_directory(root)?.join("release").join("postrider-torture");
    let mut torture = Command::new(built);
    torture.arg("all").args(["--cycles", &cycles.to_string()]).stdin(Stdio::null());
    torture.args(seed.map(|seed| format!("--seed={seed}")));
    if let Some(directory) = directory {
        torture.arg("--directory").arg(directory);
    }
    Ok(torture.status().context("the torture cannot be started")?.success())
}
