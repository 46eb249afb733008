//! `cargo xtask bench`: builds what is measured and what measures it, for release, and hands over.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::run::{cargo, output, say_aside};
use crate::test::target_directory;

/// Whether the benchmarks ran. Their figures decide nothing: machines differ, and are shared.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<bool> {
    say_aside("building for release; the first time takes minutes");
    output(cargo(root).args([
        "build",
        "--release",
        "--locked",
        "-p",
        "postrider",
        "-p",
        "postrider-benches",
    ]))?;
    let built = target_directory(root)?.join("release");
    let mut bench = Command::new(built.join("postrider-bench"));
    bench.arg("run").args(arguments).current_dir(root).stdin(Stdio::null());
    bench.env("POSTRIDER_BIN", built.join("postrider"));
    Ok(bench.status().context("the benchmarks cannot be started")?.success())
}
