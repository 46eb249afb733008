//! Memory: idle, at work, and far behind a slow webhook.

use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use super::deliver::fill_embedded;
use super::latency::{Sidecars, webhook};
use super::{Benchmark, Check};
use crate::measure;
use crate::rounds::{Figure, Prepared, Sample, Side};
use crate::sidecar::{On, Setup, Sidecar, Subscription};
use crate::stage::{Stage, unique};
use crate::worker::Worker;

const IDLE: &str = "idle, on Kafka";
const BUSY: &str = "publishing and delivering, 64 connections, on Kafka";
const BEHIND: &str = "far behind a slow webhook, on Kafka";
const IDLE_EMBEDDED: &str = "idle, on embedded";
const BEHIND_EMBEDDED: &str = "far behind a slow webhook, on embedded";
const BUSY_EMBEDDED: &str = "publishing and delivering, 64 connections, on embedded";

/// Before each answer of the slow webhook.
const SLOW_MS: u64 = 100;

pub(super) struct Memory;

impl Benchmark for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn about(&self) -> &'static str {
        "resident memory of Postrider with one subscription; far behind: a million events, unless --lag says otherwise"
    }

    fn rounds(&self, _asked: usize) -> usize {
        1
    }

    fn sides(&self, stage: &Stage) -> Vec<Prepared> {
        let (on_kafka, embedded) = (|| stage.on_kafka(), On::embedded);
        let behind_embedded = || {
            let data = TempDir::with_prefix("postrider-bench-data-")?;
            let mut side = Idle::new(stage, On::embedded_at(data.path()), "behind", stage.lag)?;
            side._data = Some(data);
            anyhow::Ok(side)
        };
        vec![
            Prepared::new(IDLE, on_kafka().and_then(|on| Idle::new(stage, on, "idle", 0))),
            Prepared::new(BUSY, on_kafka().and_then(|on| Sidecars::new(stage, on)).map(Busy)),
            Prepared::new(BEHIND, on_kafka().and_then(|on| Idle::new(stage, on, "behind", stage.lag))),
            Prepared::new(IDLE_EMBEDDED, Idle::new(stage, embedded(), "idle", 0)),
            Prepared::new(BUSY_EMBEDDED, Sidecars::new(stage, embedded()).map(Busy)),
            Prepared::new(BEHIND_EMBEDDED, behind_embedded()),
        ]
    }

    fn checks(&self) -> Vec<Check> {
        vec![
            Check::at_most("resident MB, idle", IDLE, Figure::ResidentMb, 20.0),
            Check::at_most("peak MB, publishing and delivering", BUSY, Figure::PeakMb, 36.0),
            Check::at_most("peak MB, far behind", BEHIND, Figure::PeakMb, 64.0),
            Check::at_most("resident MB, idle, on embedded", IDLE_EMBEDDED, Figure::ResidentMb, 15.0),
            Check::at_most("peak MB, far behind, on embedded", BEHIND_EMBEDDED, Figure::PeakMb, 48.0),
        ]
    }
}

fn sample(sidecar: &Sidecar) -> Result<Sample> {
    let memory = measure::memory(sidecar.process())?;
    Ok(vec![(Figure::ResidentMb, memory.resident as f64 / 1e6), (Figure::PeakMb, memory.peak as f64 / 1e6)])
}

/// A sidecar that nobody publishes to, for a while. Its topic may be full.
struct Idle {
    sidecar: Sidecar,
    _webhook: Worker,
    lasts: Duration,
    /// Where an embedded broker's topic is.
    _data: Option<TempDir>,
}

impl Idle {
    fn new(stage: &Stage, on: On, what: &str, events: u64) -> Result<Self> {
        let topic = match &on {
            On::Kafka { .. } => stage.topic(what, 4)?,
            On::Embedded { .. } => "orders".to_owned(),
        };
        match &on {
            _ if events == 0 => {}
            On::Kafka { .. } => stage.cluster()?.fill(&topic, events)?,
            On::Embedded { .. } => fill_embedded(stage, &on, events)?,
        }
        let (webhook, at) = webhook(SLOW_MS)?;
        let subscription = Subscription { topic: topic.clone(), to: at.address, concurrency: 64 };
        let setup =
            Setup { on, service: unique(what), topics: vec![topic], subscription: Some(subscription) };
        // Long enough for what is read ahead to fill.
        let lasts = Duration::from_secs_f64(stage.seconds * if events > 0 { 4.0 } else { 1.0 });
        Ok(Self { sidecar: stage.start(&setup)?, _webhook: webhook, lasts, _data: None })
    }
}

impl Side for Idle {
    fn round(&mut self) -> Result<Sample> {
        std::thread::sleep(self.lasts);
        sample(&self.sidecar)
    }
}

/// As many publishes and deliveries under way as there may be.
struct Busy(Sidecars);

impl Side for Busy {
    fn round(&mut self) -> Result<Sample> {
        let rate = self.0.highest_rate()?;
        let mut sample = sample(&self.0.sidecar)?;
        sample.push((Figure::EventsPerSecond, rate));
        Ok(sample)
    }
}
