//! Memory: idle, at work, and far behind a slow webhook.

use std::time::Duration;

use anyhow::Result;

use super::full::Full;
use super::latency::{Sidecars, webhook};
use super::{Benchmark, Check};
use crate::measure;
use crate::rounds::{Figure, Prepared, Sample, Side};
use crate::sidecar::{Broker, Setup, Sidecar, Subscription, durable_name};
use crate::stage::{Stage, unique};
use crate::worker::Worker;

/// Before each answer of the slow webhook.
const SLOW_MS: u64 = 100;

struct Memory {
    name: &'static str,
    about: &'static str,
    brokers: &'static [Broker],
}

pub(super) fn all() -> Vec<Box<dyn Benchmark>> {
    vec![
        Box::new(Memory {
            name: "memory",
            about: "resident memory of Postrider with one subscription; far behind: a million events, unless --lag says otherwise",
            brokers: &[Broker::Kafka, Broker::Embedded],
        }),
        Box::new(Memory {
            name: "pubsub-memory",
            about: "resident memory of Postrider with one subscription; far behind: 20,000 events, which Pub/Sub's test server can bear",
            brokers: &[Broker::Pubsub],
        }),
    ]
}

impl Benchmark for Memory {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn rounds(&self, _asked: usize) -> usize {
        1
    }

    fn sides(&self, stage: &Stage) -> Vec<Prepared> {
        let sides = |broker: &Broker| {
            let [idle, busy, behind] = labels(*broker);
            let through = stage.on(*broker).and_then(|on| Sidecars::new(stage, on)).map(Busy);
            [
                Prepared::new(idle, Idle::new(stage, *broker, "idle", 0)),
                Prepared::new(busy, through),
                Prepared::new(behind, Idle::new(stage, *broker, "behind", stage.lag)),
            ]
        };
        self.brokers.iter().flat_map(sides).collect()
    }

    fn checks(&self) -> Vec<Check> {
        let of = |broker: &Broker| {
            let [idle, busy, behind] = labels(*broker);
            match broker {
                Broker::Embedded => vec![
                    Check::at_most("resident MB, idle, on embedded", idle, Figure::ResidentMb, 15.0),
                    Check::at_most("peak MB, far behind, on embedded", behind, Figure::PeakMb, 48.0),
                ],
                // Google's publisher keeps some ten kilobytes for each of its last thousand keys or more.
                Broker::Kafka | Broker::Pubsub => vec![
                    Check::at_most("resident MB, idle", idle, Figure::ResidentMb, 20.0),
                    Check::at_most(
                        "peak MB, publishing and delivering",
                        busy,
                        Figure::PeakMb,
                        if *broker == Broker::Pubsub { 48.0 } else { 36.0 },
                    ),
                    Check::at_most("peak MB, far behind", behind, Figure::PeakMb, 64.0),
                ],
            }
        };
        self.brokers.iter().flat_map(of).collect()
    }
}

fn labels(broker: Broker) -> [&'static str; 3] {
    match broker {
        Broker::Kafka => [
            "idle, on Kafka",
            "publishing and delivering, 64 connections, on Kafka",
            "far behind a slow webhook, on Kafka",
        ],
        Broker::Pubsub => [
            "idle, on Pub/Sub",
            "publishing and delivering, 64 connections, on Pub/Sub",
            "far behind a slow webhook, on Pub/Sub",
        ],
        Broker::Embedded => [
            "idle, on embedded",
            "publishing and delivering, 64 connections, on embedded",
            "far behind a slow webhook, on embedded",
        ],
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
    _full: Full,
}

impl Idle {
    fn new(stage: &Stage, broker: Broker, what: &str, events: u64) -> Result<Self> {
        let full = Full::new(stage, broker, what, 4, events)?;
        let service = unique(what);
        let (on, topic) = full.for_new(&durable_name(&service))?;
        let (webhook, at) = webhook(SLOW_MS)?;
        let subscription = Subscription { topic: topic.clone(), to: at.address, concurrency: 64 };
        let setup = Setup { on, service, topics: vec![topic], subscription: Some(subscription) };
        // Long enough for what is read ahead to fill.
        let lasts = Duration::from_secs_f64(stage.seconds * if events > 0 { 4.0 } else { 1.0 });
        Ok(Self { sidecar: stage.start(&setup)?, _webhook: webhook, lasts, _full: full })
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
