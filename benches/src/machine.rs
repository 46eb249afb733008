//! The machine that is measured on, and the binary: told with the figures, for what they are worth elsewhere.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// The file system's magic number (statfs(2)).
const TMPFS: u64 = 0x0102_1994;
/// Syncs that are timed.
const SYNCS: usize = 200;

#[derive(Debug)]
pub(crate) struct Machine {
    processors: usize,
    /// Of the `postrider` binary.
    binary_bytes: u64,
    /// What `fdatasync` took after a kilobyte was appended.
    sync_p50: Duration,
    sync_p99: Duration,
}

impl Machine {
    /// Looks at the disk that brokers' data will be on. Refuses one in memory: a sync costs nothing there.
    pub(crate) fn look(postrider: &Path) -> Result<Self> {
        let directory = std::env::temp_dir();
        let found = rustix::fs::statfs(&directory).context("the temporary directory cannot be looked at")?;
        if found.f_type as u64 == TMPFS {
            bail!(
                "{} is in memory (tmpfs), where a sync costs nothing; set TMPDIR to a place on a disk",
                directory.display()
            );
        }
        let syncs = syncs(&directory).context("the disk's syncs cannot be timed")?;
        let binary =
            fs::metadata(postrider).with_context(|| format!("{} is not there", postrider.display()))?;
        Ok(Self {
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            binary_bytes: binary.len(),
            sync_p50: syncs[SYNCS / 2],
            sync_p99: syncs[SYNCS * 99 / 100],
        })
    }

    /// A line.
    pub(crate) fn line(&self) -> String {
        format!(
            "{} processors ({}); fdatasync after 1 KiB: p50 {:.2} ms, p99 {:.2} ms; the binary has {:.1} MB",
            self.processors,
            std::env::consts::ARCH,
            milliseconds(self.sync_p50),
            milliseconds(self.sync_p99),
            self.binary_bytes as f64 / 1e6
        )
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "processors": self.processors,
            "arch": std::env::consts::ARCH,
            "fdatasync_p50_ms": milliseconds(self.sync_p50),
            "fdatasync_p99_ms": milliseconds(self.sync_p99),
            "binary_bytes": self.binary_bytes,
        })
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// What each sync took, in order of length.
fn syncs(directory: &Path) -> Result<Vec<Duration>> {
    let mut file: File = tempfile::tempfile_in(directory)?;
    let mut took = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        file.write_all(&[7; 1024])?;
        let began = Instant::now();
        file.sync_data()?;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    Ok(took)
}
