//! How soon a sidecar is ready: with nothing on its disk, with a million events there, and after it was killed with them.

use std::path::PathBuf;

use anyhow::Result;
use tempfile::TempDir;

use super::full::fill_embedded;
use super::{Benchmark, Check};
use crate::rounds::{Figure, Prepared, Sample, Side};
use crate::sidecar::{On, Setup, Sidecar};
use crate::stage::Stage;

const EMPTY: &str = "on embedded, nothing there";
const FULL: &str = "on embedded, full";
const KILLED: &str = "on embedded, full, after kill -9";

pub(super) struct Start;

impl Benchmark for Start {
    fn name(&self) -> &'static str {
        "start"
    }

    fn about(&self) -> &'static str {
        "from the start of the process to ready; full: a million events, unless --lag says otherwise"
    }

    fn sides(&self, stage: &Stage) -> Vec<Prepared> {
        vec![
            Prepared::new(EMPTY, Started::new(stage, 0, false)),
            Prepared::new(FULL, Started::new(stage, stage.lag, false)),
            Prepared::new(KILLED, Started::new(stage, stage.lag, true)),
        ]
    }

    fn checks(&self) -> Vec<Check> {
        let check = |what, side| Check::at_most(what, side, Figure::ReadyMs, 100.0);
        vec![
            check("ms until ready, nothing there", EMPTY),
            check("ms until ready, full", FULL),
            check("ms until ready, full, after kill -9", KILLED),
        ]
    }
}

struct Started {
    program: PathBuf,
    setup: Setup,
    is_killed: bool,
    _data: TempDir,
}

impl Started {
    fn new(stage: &Stage, events: u64, is_killed: bool) -> Result<Self> {
        let data = TempDir::with_prefix("postrider-bench-data-")?;
        fill_embedded(stage, data.path(), events)?;
        let on = On::embedded_at(data.path());
        let topics = vec!["orders".to_owned()];
        let setup = Setup { on, service: "start".into(), topics, subscription: None };
        Ok(Self { program: stage.postrider.clone(), setup, is_killed, _data: data })
    }
}

impl Side for Started {
    fn round(&mut self) -> Result<Sample> {
        if self.is_killed {
            Sidecar::start(&self.program, &self.setup)?.kill()?;
        }
        let sidecar = Sidecar::start(&self.program, &self.setup)?;
        Ok(vec![(Figure::ReadyMs, sidecar.ready_after().as_secs_f64() * 1e3)])
    }
}
