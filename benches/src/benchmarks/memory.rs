//! Memory: idle, at work, and far behind a slow webhook.

use std::time::Duration;

use anyhow::Result;

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
        let embedded = || On::Embedded { path: None };
        vec![
            Prepared::new(IDLE, Idle::new(stage, stage.on_kafka(), "idle", 0)),
            Prepared::new(BUSY, Sidecars::new(stage, stage.on_kafka()).map(Busy)),
            Prepared::new(BEHIND, Idle::new(stage, stage.on_kafka(), "behind", stage.lag)),
            Prepared::new(IDLE_EMBEDDED, Idle::new(stage, embedded(), "idle", 0)),
            Prepared::new(BUSY_EMBEDDED, Sidecars::new(stage, embedded()).map(Busy)),
        ]
    }

    fn checks(&self) -> Vec<Check> {
        let check = |what, side, figure, at_most| Check { what, figure, side, against: &[], at_most };
        vec![
            check("resident MB, idle", IDLE, Figure::ResidentMb, 20.0),
            check("peak MB, publishing and delivering", BUSY, Figure::PeakMb, 36.0),
            check("peak MB, far behind", BEHIND, Figure::PeakMb, 64.0),
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
}

impl Idle {
    fn new(stage: &Stage, on: On, what: &str, events: u64) -> Result<Self> {
        let topic = match on {
            On::Kafka { .. } => stage.topic(what, 4)?,
            On::Embedded { .. } => "orders".to_owned(),
        };
        if events > 0 {
            stage.cluster.fill(&topic, events)?;
        }
        let (webhook, at) = webhook(SLOW_MS)?;
        let subscription = Subscription { topic: topic.clone(), to: at.address, concurrency: 64 };
        let setup =
            Setup { on, service: unique(what), topics: vec![topic], subscription: Some(subscription) };
        // Long enough for what is read ahead to fill.
        let lasts = Duration::from_secs_f64(stage.seconds * if events > 0 { 4.0 } else { 1.0 });
        Ok(Self { sidecar: stage.start(&setup)?, _webhook: webhook, lasts })
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
