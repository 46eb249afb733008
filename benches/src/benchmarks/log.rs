//! The embedded broker's log, beside a file that is written and synced by itself.

use anyhow::Result;
use tempfile::TempDir;

use super::{Benchmark, Bound, Check};
use crate::amount::Amount;
use crate::measure;
use crate::roles::append::{By, Spec};
use crate::roles::load::Done;
use crate::roles::{Ask, Role};
use crate::rounds::{Figure, Prepared, Sample, Side};
use crate::stage::Stage;
use crate::worker::Worker;

const LOG_1: &str = "the log, 1 record a sync";
const FILE_1: &str = "bare file, 1 record a sync";
const LOG_64: &str = "the log, 64 records a sync";
const FILE_64: &str = "bare file, 64 records a sync";
const LOG_256: &str = "the log, 256 records a sync";
const FILE_256: &str = "bare file, 256 records a sync";

pub(super) struct Log;

impl Benchmark for Log {
    fn name(&self) -> &'static str {
        "log"
    }

    fn about(&self) -> &'static str {
        "appends of 1 KiB records, one batch after the other, each synced; a single appender"
    }

    fn sides(&self, stage: &Stage) -> Vec<Prepared> {
        let side = |label, records, by| Prepared::new(label, Appender::new(stage, records, by));
        vec![
            side(LOG_1, 1, By::Log),
            side(FILE_1, 1, By::File),
            side(LOG_64, 64, By::Log),
            side(FILE_64, 64, By::File),
            side(LOG_256, 256, By::Log),
            side(FILE_256, 256, By::File),
        ]
    }

    fn checks(&self) -> Vec<Check> {
        let check = |what, side, against| Check {
            what,
            figure: Figure::EventsPerSecond,
            side,
            against,
            bound: Bound::AtLeast(0.5),
        };
        vec![
            check("rate of the log / bare file, 1 a sync", LOG_1, &[FILE_1]),
            check("rate of the log / bare file, 64 a sync", LOG_64, &[FILE_64]),
            check("rate of the log / bare file, 256 a sync", LOG_256, &[FILE_256]),
        ]
    }
}

/// Each round is a process of its own in a new directory.
struct Appender {
    records: u64,
    by: By,
    round_ms: u64,
}

impl Appender {
    fn new(stage: &Stage, records: u64, by: By) -> Result<Self> {
        Ok(Self { records, by, round_ms: stage.round_ms() })
    }
}

impl Side for Appender {
    fn round(&mut self) -> Result<Sample> {
        let directory = TempDir::with_prefix("postrider-bench-log-")?;
        let (mut appender, ()) = Worker::start(&Role::Append(Spec {
            directory: directory.path().to_owned(),
            records: self.records,
            by: self.by,
            amount: Amount::Milliseconds(self.round_ms),
        }))?;
        let before = measure::cpu(appender.process())?;
        let done: Done = appender.ask(Ask::Go)?;
        let cpu = measure::cpu(appender.process())? - before;
        Ok(super::publishing::throughput(done, cpu))
    }
}
