//! All brokers beside each other: what the choice of one costs.

use anyhow::Result;

use super::deliver::BySidecar;
use super::full::Full;
use super::latency::Sidecars;
use super::publishing::{Load, Published};
use super::{Benchmark, Check};
use crate::measure;
use crate::rounds::{Figure, Prepared, Sample, Side};
use crate::samples::Form;
use crate::sidecar::Broker;
use crate::stage::Stage;

/// Events a second that are published and delivered: what all of them have room for, the test server of Pub/Sub too.
const RATE: f64 = 1000.0;
/// Of publishing.
const CONNECTIONS: u64 = 64;
const PARTITIONS: u32 = 4;

pub(super) struct Brokers;

impl Benchmark for Brokers {
    fn name(&self) -> &'static str {
        "brokers"
    }

    fn about(&self) -> &'static str {
        "publish over 64 connections; a full topic to a webhook, 64 at a time; publish to webhook at 1,000/s. CPU is also \
         ms/1,000 events. Pub/Sub is its test server, at its own rate"
    }

    fn sides(&self, stage: &Stage) -> Vec<Prepared> {
        let mut sides = Vec::new();
        let all = [Broker::Embedded, Broker::Kafka, Broker::Pubsub];
        sides.extend(all.map(|broker| Prepared::new(labels(broker)[0], publishing(stage, broker))));
        sides.extend(all.map(|broker| Prepared::new(labels(broker)[1], delivering(stage, broker))));
        sides.extend(all.map(|broker| Prepared::new(labels(broker)[2], both(stage, broker))));
        sides
    }

    fn checks(&self) -> Vec<Check> {
        Vec::new()
    }
}

fn labels(broker: Broker) -> [&'static str; 3] {
    match broker {
        Broker::Embedded => ["publish, embedded", "deliver, embedded", "publish to webhook, embedded"],
        Broker::Kafka => ["publish, Kafka", "deliver, Kafka", "publish to webhook, Kafka"],
        Broker::Pubsub => ["publish, Pub/Sub", "deliver, Pub/Sub", "publish to webhook, Pub/Sub"],
    }
}

fn publishing(stage: &Stage, broker: Broker) -> Result<WithPeak<Published>> {
    let on = stage.on(broker)?;
    let topics = vec![stage.topic(&on, "brokers", PARTITIONS)?];
    let load = Load { connections: CONNECTIONS, form: Form::Single { stamped: false }, keyed: true, topics };
    let side = Published::by_sidecar(stage, on, &load)?;
    Ok(WithPeak { process: side.process(), side })
}

fn delivering(stage: &Stage, broker: Broker) -> Result<BySidecar> {
    BySidecar::new(stage, Full::new(stage, broker, "brokers", PARTITIONS, stage.events)?)
}

fn both(stage: &Stage, broker: Broker) -> Result<WithPeak<Sidecars>> {
    let side = Sidecars::new(stage, stage.on(broker)?)?.at_rate(RATE);
    Ok(WithPeak { process: side.sidecar.process(), side })
}

/// With the most memory that its process ever had.
struct WithPeak<S> {
    process: u32,
    side: S,
}

impl<S: Side> Side for WithPeak<S> {
    fn round(&mut self) -> Result<Sample> {
        let mut sample = self.side.round()?;
        sample.push((Figure::PeakMb, measure::memory(self.process)?.peak as f64 / 1e6));
        Ok(sample)
    }
}
