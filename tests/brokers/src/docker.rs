//! The container engine of this computer.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

const PATIENCE: Duration = Duration::from_secs(30);

/// Whether an engine runs and answers.
pub(crate) fn is_possible() -> bool {
    let mut asked = Command::new("docker");
    asked.args(["info", "--format", "{{.ServerVersion}}"]);
    asked.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut asked) = asked.spawn() else { return false };
    let began = Instant::now();
    // An engine that hangs is none.
    while began.elapsed() < PATIENCE {
        match asked.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => std::thread::sleep(Duration::from_millis(20)),
            Err(_) => break,
        }
    }
    drop(asked.kill());
    drop(asked.wait());
    false
}

/// Has an image here.
pub(crate) fn pull(image: &str, progress: fn(&str)) -> Result<()> {
    if !run(&["image", "inspect", image])?.status.success() {
        progress(&format!("pulling {image}, once for this machine"));
        let pulled = run(&["pull", "--quiet", image])?;
        ensure!(
            pulled.status.success(),
            "{image} cannot be pulled: {}",
            String::from_utf8_lossy(&pulled.stderr).trim()
        );
    }
    Ok(())
}

/// Runs `docker` to its end.
pub(crate) fn run(arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new("docker");
    command.args(arguments).stdin(Stdio::null()).output().context("docker cannot be started")
}
