//! `cargo xtask torture`: builds what tortures the log, for release, and hands over.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::run::{cargo, output, say_aside};
use crate::test::target_directory;

/// Whether nothing was lost.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<bool> {
    say_aside("building for release");
    output(cargo(root).args(["build", "--release", "--quiet", "--locked", "-p", "postrider-torture"]))?;
    let built = target_directory(root)?.join("release").join("postrider-torture");
    let mut torture = Command::new(built);
    torture.arg("all").args(arguments).stdin(Stdio::null());
    Ok(torture.status().context("the torture cannot be started")?.success())
}
