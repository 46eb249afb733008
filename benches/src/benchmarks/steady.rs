//! Publishing and delivering together for a long time, while retention takes what is settled: neither memory nor disk may
//! grow.

use std::fs;
use std::path::Path;

use anyhow::Result;
use tempfile::TempDir;

use super::latency::Sidecars;
use super::{Benchmark, Check, ON_EMBEDDED};
use crate::measure;
use crate::rounds::{Figure, Prepared, Sample, Side};
use crate::sidecar::On;
use crate::stage::Stage;

/// Of the topic, kept once it is settled.
const RETENTION_BYTES: u64 = 128 << 20;

pub(super) struct Steady;

impl Benchmark for Steady {
    fn name(&self) -> &'static str {
        "steady"
    }

    fn about(&self) -> &'static str {
        "publish over 64 connections and deliver, 128 MiB kept, for twelve times --seconds (ten minutes: --seconds 50)"
    }

    fn rounds(&self, _asked: usize) -> usize {
        1
    }

    fn sides(&self, stage: &Stage) -> Vec<Prepared> {
        vec![Prepared::new(ON_EMBEDDED, Long::new(stage))]
    }

    fn checks(&self) -> Vec<Check> {
        let check = |what, figure, most| Check::at_most(what, ON_EMBEDDED, figure, most);
        vec![
            check("peak MB", Figure::PeakMb, 48.0),
            check(
                "MB on the disk at the end, of 134 kept, a reserve of 268 and the segments at both ends",
                Figure::DiskMb,
                600.0,
            ),
        ]
    }
}

struct Long {
    sidecars: Sidecars,
    data: TempDir,
}

impl Long {
    fn new(stage: &Stage) -> Result<Self> {
        let data = TempDir::with_prefix("postrider-bench-data-")?;
        let on = On::Embedded { path: Some(data.path().to_owned()), retention_bytes: Some(RETENTION_BYTES) };
        Ok(Self { sidecars: Sidecars::new(stage, on)?.lasting(stage.round_ms() * 12), data })
    }
}

impl Side for Long {
    fn round(&mut self) -> Result<Sample> {
        let mut sample = self.sidecars.round()?;
        let memory = measure::memory(self.sidecars.sidecar.process())?;
        sample.push((Figure::ResidentMb, memory.resident as f64 / 1e6));
        sample.push((Figure::PeakMb, memory.peak as f64 / 1e6));
        sample.push((Figure::DiskMb, bytes_below(self.data.path())? as f64 / 1e6));
        Ok(sample)
    }
}

/// What the files below a directory hold.
fn bytes_below(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { bytes_below(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}
